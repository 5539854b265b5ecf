//! The stand-in's own answers and payloads, held against the fields that Slack documents.

use std::sync::LazyLock;

use serde_json::Value;

static FIELDS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../specs/slack/answer_fields.json"))
        .expect("the published fields are JSON")
});

/// Documented, though the samples were taken without them.
const ALSO: &[&str] = &["view.blocks", "response_urls", "user.is_stranger"];

/// Trees of their own, checked elsewhere.
const APART: &[&str] = &["blocks", "attachments", "state", "metadata", "values"];

/// Fields that no published sample has; a method without a sample may answer what it likes.
pub(super) fn undocumented(what: &str, answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(known) = FIELDS[what].as_array() {
        walk(known, answer, "", &mut found);
    }
    found
}

fn walk(known: &[Value], value: &Value, at: &str, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}").trim_start_matches('.').to_owned();
        if !ALSO.contains(&at.as_str()) && !known.iter().any(|it| *it == at) {
            found.push(at);
        } else if !APART.contains(&name.as_str()) {
            walk(known, value, &at, found);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        walk(known, item, &format!("{at}[]"), found);
    }
}
