//! What may fill a placeholder of an action: a value that no program can take for anything else.

use std::collections::BTreeSet;

const LONGEST: usize = 200;
const HARMLESS: &str = "._-+:@/=%,~#^";

/// What is wrong with a value, said after its name; [`right`] says what would not be. The backends
/// refuse by the same rule on their own; asked here, nobody is called out for a slip of the pen.
pub fn wrong(value: &str) -> Option<String> {
    let wrong = trouble(value)?;
    // Escaped: whoever reads it must not be steered by it.
    let shown: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    Some(format!("{wrong}: \"{shown}\"."))
}

fn trouble(value: &str) -> Option<String> {
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || HARMLESS.contains(*c));
    if value.is_empty() {
        Some("is empty".into())
    } else if value.chars().count() > LONGEST {
        Some(format!("is longer than {LONGEST} characters"))
    } else if value.starts_with('-') {
        Some("begins with `-`".into())
    } else if value.split(['/', '=', ':', ',']).any(|part| part == "..") {
        Some("has `..` as a part of a path".into())
    } else {
        let c = value.chars().find(odd)?;
        Some(format!("holds `{}`", c.escape_debug()))
    }
}

/// What a value may be.
pub fn right() -> String {
    format!(
        "Allowed are 1 to {LONGEST} letters (a-z), digits and `{HARMLESS}`, no `-` in front and no \
         `..` part."
    )
}

/// The names in braces. Braces around anything else are text: JSON can be an argument.
pub fn placeholders(text: &str) -> BTreeSet<&str> {
    let after = text.split('{').skip(1);
    let names = after.filter_map(|rest| Some(rest.split_once('}')?.0));
    names.filter(|name| is_name(name)).collect()
}

pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_value_is_said_after_its_name() {
        assert_eq!(wrong("v1.2.0"), None);
        assert_eq!(wrong("2;reboot").as_deref(), Some("holds `;`: \"2;reboot\"."));
        assert_eq!(wrong("").as_deref(), Some("is empty: \"\"."));
        let steered = wrong("a\u{202e}b").expect("it is refused");
        assert_eq!(steered, r#"holds `\u{202e}`: "a\u{202e}b"."#);
    }
}
