//! Discord's published OpenAPI: which calls there are, and what their bodies may be.

use std::sync::LazyLock;

use serde_json::Value;

use super::refusal::Problem;

pub(super) static API: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../specs/discord/openapi.json"))
        .expect("the published specification is JSON")
});

/// Permissions are numbers in the specification and strings in the documentation, which is right.
const ALSO_TEXT: &[&str] = &["allow", "deny", "default_member_permissions"];

/// Documented and sent by the clients, though the specification does not have them.
const ALSO: &[&str] = &["nsfw", "handler", "id"];

/// What is wrong with a body, each with its place.
pub(super) fn problems(schema: &Value, value: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(schema, value, "", &mut found);
    found
}

fn walk(schema: &Value, value: &Value, at: &str, found: &mut Vec<Problem>) {
    let schema = resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return choose(choices, value, at, found);
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        let message = format!("Value must be {}.", schema["const"]);
        return found.push(Problem::new(at, "BASE_TYPE_CHOICES", message));
    }
    if schema["type"].is_null() {
        return;
    }
    if !fits_kind(schema, value, at) {
        let message = format!("Could not interpret this as {}.", schema["type"]);
        return found.push(Problem::new(at, "BASE_TYPE_BAD_TYPE", message));
    }
    if value.is_null() {
        return;
    }
    if schema["enum"].as_array().is_some_and(|choices| !choices.contains(value)) {
        let message = format!("Value must be one of {}.", schema["enum"]);
        found.push(Problem::new(at, "BASE_TYPE_CHOICES", message));
    }
    lengths(schema, value, at, found);
    formats(schema, value, at, found);
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        walk(&schema["items"], item, &format!("{at}/{number}"), found);
    }
    fields(schema, value, at, found);
}

fn lengths(schema: &Value, value: &Value, at: &str, found: &mut Vec<Problem>) {
    let limit = |name: &str| schema[name].as_i64();
    let (size, least, most) = match value {
        Value::String(text) => (length(text), limit("minLength"), limit("maxLength")),
        Value::Array(list) => (count(list.len()), limit("minItems"), limit("maxItems")),
        Value::Object(map) => (count(map.len()), None, limit("maxProperties")),
        Value::Number(number) if schema["format"] != "snowflake" => {
            let Some(number) = number.as_i64() else { return };
            (number, limit("minimum"), limit("maximum"))
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => return,
    };
    if most.is_some_and(|most| size > most) {
        let message = format!("Must be {} or fewer in length.", most.unwrap_or_default());
        found.push(Problem::new(at, "BASE_TYPE_MAX_LENGTH", message));
    }
    if least.is_some_and(|least| size < least) {
        let message = format!("Must be {} or more in length.", least.unwrap_or_default());
        found.push(Problem::new(at, "BASE_TYPE_MIN_LENGTH", message));
    }
    let twins = schema["uniqueItems"] == true && value.as_array().is_some_and(|it| doubled(it));
    if twins {
        found.push(Problem::new(at, "SET_TYPE_CONTAINS_DUPLICATES", "The set has duplicates."));
    }
}

fn formats(schema: &Value, value: &Value, at: &str, found: &mut Vec<Problem>) {
    let Some(text) = value.as_str() else { return };
    let right = match schema["format"].as_str() {
        Some("snowflake") => is_snowflake(text),
        Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        Some("uri") => {
            let known = ["http://", "https://", "attachment://", "discord://"];
            known.iter().any(|scheme| text.starts_with(scheme))
        }
        _ => true,
    };
    if !right {
        let message = format!("Value {text:?} is not {}.", schema["format"]);
        found.push(Problem::new(at, "BASE_TYPE_BAD_FORMAT", message));
    }
}

pub(super) fn is_snowflake(text: &str) -> bool {
    text.len() <= 20 && text.parse::<u64>().is_ok() && !text.starts_with('+')
}

fn fields(schema: &Value, value: &Value, at: &str, found: &mut Vec<Problem>) {
    let Some(given) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if given.get(name).is_none_or(Value::is_null) {
            let at = format!("{at}/{name}");
            found.push(Problem::new(&at, "BASE_TYPE_REQUIRED", "This field is required"));
        }
    }
    for (name, value) in given {
        let at = format!("{at}/{name}");
        let known = &schema["properties"][name];
        if !known.is_null() {
            walk(known, value, &at, found);
        } else if !schema["additionalProperties"].is_null() {
            walk(&schema["additionalProperties"], value, &at, found);
        } else if !ALSO.contains(&name.as_str()) && !says_nothing(value) {
            let message = "Discord knows no such field, and would ignore it";
            found.push(Problem::new(&at, "UNKNOWN_FIELD", message));
        }
    }
}

/// Clients write out what they were not told to send.
fn says_nothing(value: &Value) -> bool {
    let nothing = value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty);
    nothing || value.is_null() || *value == false
}

/// Of several shapes the one that names this `type`, else the one that fits best.
fn choose(choices: &[Value], value: &Value, at: &str, found: &mut Vec<Problem>) {
    let flat: Vec<&Value> = choices.iter().flat_map(flattened).collect();
    if flat.iter().all(|it| !it["const"].is_null()) {
        if !flat.iter().any(|it| it["const"] == *value) {
            let known = flat.iter().map(|it| it["const"].to_string()).collect::<Vec<_>>();
            let message = format!("Value must be one of {}.", known.join(", "));
            found.push(Problem::new(at, "BASE_TYPE_CHOICES", message));
        }
        return;
    }
    if value.is_null() && flat.iter().any(|it| it["type"] == "null") {
        return;
    }
    let kind = &value["type"];
    let named = |it: &&Value| {
        let own = it["properties"]["type"]["enum"].as_array();
        !kind.is_null() && own.is_some_and(|own| own.contains(kind))
    };
    let named: Vec<&Value> = flat.iter().copied().filter(named).collect();
    let candidates = if named.is_empty() { flat } else { named };
    let right: Vec<&Value> =
        candidates.iter().copied().filter(|it| fits_kind(it, value, at)).collect();
    let candidates = if right.is_empty() { candidates } else { right };
    let complaints = candidates.into_iter().map(|candidate| {
        let mut own = Vec::new();
        walk(candidate, value, at, &mut own);
        own
    });
    found.extend(complaints.min_by_key(Vec::len).unwrap_or_default());
}

fn flattened(schema: &Value) -> Vec<&Value> {
    let schema = resolved(schema);
    match schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        Some(choices) => choices.iter().flat_map(flattened).collect(),
        None => vec![schema],
    }
}

fn resolved(schema: &Value) -> &Value {
    let Some(name) = schema["$ref"].as_str() else { return schema };
    let name = name.rsplit('/').next().expect("a split has a last part");
    resolved(&API["schemas"][name])
}

/// Discord takes a number for an id too.
fn fits_kind(schema: &Value, value: &Value, at: &str) -> bool {
    let numbered = schema["format"] == "snowflake" && value.is_u64();
    if schema["type"].is_null() {
        return schema["const"].is_null() || schema["const"] == *value;
    }
    numbered || is_a(&schema["type"], value, at)
}

fn is_a(kinds: &Value, value: &Value, at: &str) -> bool {
    let fits = |kind: &Value| match kind.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => {
            let name = at.rsplit('/').next().unwrap_or_default();
            let text = value.as_str().is_some_and(|it| it.parse::<u64>().is_ok());
            value.is_i64() || value.is_u64() || (text && ALSO_TEXT.contains(&name))
        }
        other => panic!("a type that the specification does not use: {other}"),
    };
    match kinds.as_array() {
        Some(kinds) => kinds.iter().any(fits),
        None => fits(kinds),
    }
}

fn count(size: usize) -> i64 {
    i64::try_from(size).expect("bodies are small")
}

/// Discord counts characters, not bytes.
pub(super) fn length(text: &str) -> i64 {
    count(text.chars().count())
}

fn doubled(list: &[Value]) -> bool {
    list.iter().enumerate().any(|(number, item)| list[..number].contains(item))
}
