//! The manifest of the Slack app: as Slack's published schema wants it, and with no scope too many.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::slack_edges::{everything, granting};

const MANIFEST: &str = include_str!("../../deploy/slack/manifest.yaml");
const README: &str = include_str!("../../deploy/slack/README.md");
const SCHEMA: &str = include_str!("../specs/slack/manifest/manifest.schema.1.0.0.json");

fn manifest() -> Value {
    serde_norway::from_str(MANIFEST).expect("the manifest is YAML")
}

/// What the schema says against a value, by the words that it uses.
fn problems(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = root.pointer(name.trim_start_matches('#')).expect("it is defined");
        return problems(root, schema, value, at);
    }
    let mut found = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"].as_str().is_some_and(|wanted| wanted != kind) {
        found.push(format!("{at}: a {kind} instead of a {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        found.push(format!("{at}: {value} is not one of {}", schema["enum"]));
    }
    let text = value.as_str().map(|text| text.chars().count());
    let size = text.or_else(|| value.as_array().map(Vec::len)).unwrap_or(0) as u64;
    let limit =
        |text: &str, list: &str| schema[if value.is_string() { text } else { list }].as_u64();
    if limit("maxLength", "maxItems").is_some_and(|most| size > most)
        || limit("minLength", "minItems").is_some_and(|least| size < least)
    {
        found.push(format!("{at}: {size} long"));
    }
    if let Some(pattern) = schema["pattern"].as_str().filter(|_| value.is_string()) {
        let pattern = regex::Regex::new(pattern).expect("a pattern");
        if !value.as_str().is_some_and(|text| pattern.is_match(text)) {
            found.push(format!("{at}: {value} does not fit {pattern}"));
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(problems(root, &schema["items"], item, &format!("{at}/{number}")));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().expect("a name")).is_none() {
            found.push(format!("{at}: {required} is missing"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match schema.pointer(&format!("/properties/{name}")) {
            Some(known) => found.extend(problems(root, known, value, &format!("{at}/{name}"))),
            None => found.push(format!("{at}: {name} is unknown")),
        }
    }
    found
}

fn list(pointer: &str) -> BTreeSet<String> {
    let manifest = manifest();
    let all = manifest.pointer(pointer).and_then(Value::as_array).expect("a list").clone();
    all.iter().map(|each| each.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn the_manifest_is_one_that_slack_takes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(problems(&schema, &schema, &manifest(), ""), Vec::<String>::new());
}

#[test]
fn a_wrong_manifest_would_be_noticed() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut wrong = manifest();
    wrong["display_information"]["name"] = Value::from("x".repeat(36));
    wrong["features"]["app_hoem"] = Value::from(true);
    wrong["features"]["slash_commands"][0]["command"] = Value::Null;
    assert_eq!(problems(&schema, &schema, &wrong, "").len(), 3);
}

#[test]
fn every_scope_is_explained_and_every_event_has_its_scope() {
    let scopes = list("/oauth_config/scopes/bot");
    for scope in &scopes {
        assert!(README.contains(&format!("`{scope}`")), "{scope} is not explained");
    }
    let needs = [
        ("app_home_opened", None),
        ("app_mention", Some("app_mentions:read")),
        ("message.im", Some("im:history")),
    ];
    let events = list("/settings/event_subscriptions/bot_events");
    assert_eq!(events, needs.iter().map(|(event, _)| (*event).to_owned()).collect());
    assert!(needs.iter().filter_map(|(_, scope)| *scope).all(|scope| scopes.contains(scope)));
}

#[test]
fn the_stand_in_grants_no_less() {
    let granted: BTreeSet<_> =
        crate::slack_world::SCOPES.iter().map(|it| (*it).to_owned()).collect();
    let scopes = list("/oauth_config/scopes/bot");
    let missing: Vec<_> = scopes.difference(&granted).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Those of what Slack tells us by itself, which no method needs.
fn told() -> BTreeSet<String> {
    let manifest = manifest();
    let commands = manifest["features"]["slash_commands"].as_array().map_or(0, Vec::len);
    assert!(commands > 0, "`commands` is for nothing");
    ["commands", "app_mentions:read"].map(str::to_owned).into()
}

#[tokio::test]
async fn the_scopes_are_enough_for_everything_that_is_asked() {
    let scopes = list("/oauth_config/scopes/bot");
    let world = granting(scopes.into_iter()).await;
    everything(&world).await;
    assert_eq!(world.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn without_any_one_scope_something_does_not_work() {
    let scopes = list("/oauth_config/scopes/bot");
    for scope in scopes.difference(&told()) {
        let world = granting(scopes.iter().filter(|it| *it != scope).cloned()).await;
        everything(&world).await;
        let missed = world.violations();
        let named = missed.iter().any(|it| it.contains("missing_scope") && it.contains(scope));
        assert!(named, "nothing needs `{scope}`: {missed:?}");
    }
}
