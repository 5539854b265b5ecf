//! Placeholders in what the operator wrote: `{name}`, and nothing else between braces.

use crate::ports::Failure;

/// Puts `value` in the place of each `{name}`. Braces around anything but a name stay as they are,
/// so that JSON and Go templates can be arguments.
pub(super) fn fill_with(
    text: &str,
    value: impl Fn(&str) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        rest = match after.split_once('}') {
            Some((name, behind)) if is_name(name) => {
                filled.push_str(&value(name)?);
                behind
            }
            _ => {
                filled.push('{');
                after
            }
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

pub(super) fn has_placeholder(text: &str) -> bool {
    fill_with(text, |name| Err(Failure::permanent(name))).is_err()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
