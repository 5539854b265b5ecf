//! What the TOML reader says, in words for the person who wrote the file.

use toml::de::DeValue;

use super::document::{Step, written};
use super::problem::{did_you_mean, excerpt, nearest, without_addresses};

use crate::domain::zone::Zone;

/// What is wrong with a text that is not TOML, and what would be right.
pub(super) fn syntax(message: &str, at: &str, line: &str) -> (String, String) {
    let shown = excerpt(at);
    let (short, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    match short {
        "string values must be quoted" if at.trim().is_empty() => {
            ("there is no value after `=`".into(), "write one, texts in \"quotes\"".into())
        }
        "string values must be quoted" => match at {
            "yes" | "Yes" | "on" | "True" | "TRUE" => bare(&shown, "true"),
            "no" | "No" | "off" | "False" | "FALSE" => bare(&shown, "false"),
            _ => (format!("`{shown}` is a text without quotes"), format!("write \"{shown}\"")),
        },
        "duplicate key" => {
            (format!("`{shown}` is there twice"), "keep one of the two, or merge them".into())
        }
        "key with no value" | "invalid unquoted key" => (
            format!("`{}` is not `key = value`", excerpt(line.trim())),
            "put `=` between the key and its value".into(),
        ),
        "invalid basic string" | "invalid literal string" => {
            ("a text is not closed".into(), "end it with the quote that began it".into())
        }
        _ if expected.is_empty() => (short.to_owned(), String::new()),
        _ => (short.to_owned(), format!("expected {expected}")),
    }
}

fn bare(written: &str, meant: &str) -> (String, String) {
    (format!("`{written}` is not a value in TOML"), format!("write `{meant}`"))
}

/// The key that is missing, if that is what the message says.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// What is wrong with a value, and what would be right.
pub(super) fn shape(message: &str, path: &[Step], value: Option<&DeValue<'_>>) -> (String, String) {
    if let Some(key) = missing_field(message) {
        let what = format!("`{key}` is missing {}", place(path));
        return (what, format!("add `{}`", example(key)));
    }
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (name, rest) = rest.split_once('`').unwrap_or((rest, ""));
        let parent = path.split_last().map_or(path, |(_, parent)| parent);
        let what = format!("unknown key `{}` {}", excerpt(name), place(parent));
        return (what, did_you_mean(name, choices(rest)));
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (name, rest) = rest.split_once('`').unwrap_or((rest, ""));
        let key = key_of(path);
        let mend = match nearest(name, choices(rest)) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("one of {}", choices(rest).collect::<Vec<_>>().join(", ")),
        };
        return (format!("\"{}\" cannot be {key}", excerpt(name)), mend);
    }
    if let Some(name) = message.strip_prefix("I know no time zone `") {
        return zone(name.trim_end_matches('`'));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        return wrong_type(rest, path, value);
    }
    own_words(message, path, value)
}

fn wrong_type(rest: &str, path: &[Step], value: Option<&DeValue<'_>>) -> (String, String) {
    let (_, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "something else"));
    let key = key_of(path);
    let is = value.map_or("something else", kind);
    let (wanted, mend) = match expected {
        "a string" => ("a text", quoted(path, value)),
        "a boolean" => ("true or false", format!("write `{} = true`", bare_key(path))),
        "a sequence" => ("a list", format!("write `{} = […]`", bare_key(path))),
        "f64" | "u32" | "u64" | "i64" => ("a number", "write it without quotes".into()),
        "a length of time" => (expected, written_as(path, "15m")),
        "a map" => ("a table", format!("write [{}] and its keys below it", written(path))),
        text if text.starts_with("struct ") => {
            ("a table", format!("write [{}] and its keys below it", written(path)))
        }
        text => (text, String::new()),
    };
    (format!("{key} must be {wanted}, and this is {is}"), mend)
}

fn quoted(path: &[Step], value: Option<&DeValue<'_>>) -> String {
    let text = match value {
        Some(DeValue::Integer(number)) => number.as_str().to_owned(),
        Some(DeValue::Float(number)) => number.as_str().to_owned(),
        Some(DeValue::Boolean(truth)) => truth.to_string(),
        _ => return "write it in \"quotes\"".into(),
    };
    let key = match path.last() {
        Some(Step::Key(key)) => key.as_str(),
        Some(Step::Index(_)) | None => "",
    };
    // What would be refused next, were it only quoted.
    match (key, text.parse::<u16>()) {
        ("listen", Ok(port)) => written_as(path, &format!("127.0.0.1:{port}")),
        ("listen", Err(_)) => written_as(path, "127.0.0.1:7777"),
        ("advance_within" | "at" | "expires" | "limit" | "start", _) => {
            format!("write for example `{}`", example(key))
        }
        (_, _) => written_as(path, &text),
    }
}

/// As it would be right.
fn written_as(path: &[Step], text: &str) -> String {
    match path.last() {
        Some(Step::Key(key)) => format!("write `{key} = \"{text}\"`"),
        Some(Step::Index(_)) | None => format!("write \"{text}\""),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn zone(name: &str) -> (String, String) {
    let what = format!("I know no time zone `{}`", excerpt(name));
    match nearest(name, Zone::all().map(Zone::name)) {
        Some(near) => (what, format!("did you mean `{near}`?")),
        None => (what, "write its IANA name, for example `Europe/Berlin`".into()),
    }
}

/// A sentence of the types themselves: what is wrong, then what to say instead.
fn own_words(message: &str, path: &[Step], value: Option<&DeValue<'_>>) -> (String, String) {
    let message = without_addresses(message);
    let is_date = matches!(path.last(), Some(Step::Key(key)) if key == "expires");
    if let (true, Some(DeValue::String(text))) = (is_date, value) {
        let what = format!("\"{}\" is not a day", excerpt(text));
        return (what, "write it as `2026-12-31`".into());
    }
    for middle in [". ", ": write "] {
        if let Some((what, mend)) = message.split_once(middle) {
            let write = if middle == ". " { "" } else { "write " };
            let mend = mend.trim_end_matches('.');
            return (format!("{}: {what}", bare_key(path)), format!("{write}{}", lower(mend)));
        }
    }
    (format!("{}: {message}", bare_key(path)), String::new())
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// The names in `, expected one of `a`, `b``.
fn choices(rest: &str) -> impl Iterator<Item = &str> {
    rest.split('`').skip(1).step_by(2)
}

/// `in [roles.qa]`, as the file writes it.
fn place(path: &[Step]) -> String {
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    match path.last() {
        None => "at the top of the file".into(),
        Some(Step::Index(_)) => format!("in [[{}]]", keys.join(".")),
        Some(Step::Key(_)) => format!("in [{}]", keys.join(".")),
    }
}

fn key_of(path: &[Step]) -> String {
    match path.last() {
        Some(Step::Index(_)) => format!("an item of `{}`", bare_key(path)),
        Some(Step::Key(_)) => format!("`{}`", bare_key(path)),
        None => "the file".into(),
    }
}

fn bare_key(path: &[Step]) -> &str {
    let named = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    named.unwrap_or("the file")
}

/// A line that one could write.
fn example(key: &str) -> String {
    let value = match key {
        "action" => "\"deploy\"",
        "advance" => "\"manual\"",
        "advance_within" => "\"Mon–Fri 09–17\"",
        "after" => "\"15m\"",
        "at" => "\"T-24h\"",
        "audience" => "\"internal\"",
        "backward_compatible" => "true",
        "captain" | "who" | "accepted_by" => "\"maria\"",
        "command" => "[\"/usr/local/bin/deploy\", \"{version}\"]",
        "expires" => "\"2026-12-31\"",
        "from" | "until" => "\"2026-12-24 00:00\"",
        "level" => "\"medium\"",
        "limit" => "\"LCP < 2.5 s\"",
        "members" => "[\"ann\"]",
        "order" => "1",
        "release" | "rollback" => return format!("[{key}]"),
        "result" => "\"pass\"",
        "rto" => "\"15m\"",
        "service" => "\"web-shop\"",
        "start" => "\"2026-12-15 10:00\"",
        "strategy" => "\"rolling\"",
        "to" => "\"v1.1.9\"",
        "url" => "\"https://…\"",
        "version" => "\"v1.2.0\"",
        _ => "…",
    };
    format!("{key} = {value}")
}
