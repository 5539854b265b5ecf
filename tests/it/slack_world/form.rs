//! Filling in what a form asks: by the labels on the screen, within what Slack lets a person enter.

use serde_json::{Map, Value, json};

use super::workspace::Workspace;

/// The block and the button with this label.
pub(super) fn button(blocks: &Value, label: &str) -> Option<(Value, Value)> {
    find(blocks, |element| element["type"] == "button" && element["text"]["text"] == label)
}

pub(super) fn menu(blocks: &Value, name: &str) -> (Value, Value) {
    let named = |it: &Value| it["placeholder"]["text"] == name || it["action_id"] == name;
    find(blocks, named).unwrap_or_else(|| panic!("there is no menu {name:?} in {blocks}"))
}

fn find(blocks: &Value, wanted: impl Fn(&Value) -> bool) -> Option<(Value, Value)> {
    blocks.as_array().into_iter().flatten().find_map(|block| {
        let own = super::blocks::elements(block).into_iter().find(|element| wanted(element))?;
        Some((block.clone(), own.clone()))
    })
}

/// The state of a form as it opens.
pub(super) fn initial(blocks: &Value) -> Value {
    collected(blocks, |_, element| Some(as_opened(element)))
}

/// The state of a form once it is filled in; Slack keeps back one with a field missing.
pub(super) fn values(blocks: &Value, fields: &[(&str, &str)], workspace: &Workspace) -> Value {
    let labels: Vec<&str> = inputs(blocks).map(label).collect();
    for (name, _) in fields {
        assert!(labels.contains(name), "no field is called {name:?}; there are {labels:?}");
    }
    collected(blocks, |block, element| {
        let given = fields.iter().find(|(name, _)| *name == label(block));
        let state = match given {
            Some((_, text)) => filled(element, text, workspace),
            None => as_opened(element),
        };
        let empty = state.as_object().is_none_or(|it| it.values().all(Value::is_null));
        let required = block["type"] == "input" && block["optional"] != true;
        assert!(!(empty && required), "Slack does not send it without {:?}", label(block));
        Some(state)
    })
}

fn inputs(blocks: &Value) -> impl Iterator<Item = &Value> {
    blocks.as_array().into_iter().flatten().filter(|block| block["type"] == "input")
}

fn label(block: &Value) -> &str {
    block["label"]["text"].as_str().unwrap_or_default()
}

/// By block and action, as `view.state.values` has it; buttons have no state.
fn collected(blocks: &Value, state: impl Fn(&Value, &Value) -> Option<Value>) -> Value {
    let mut values = Map::new();
    for block in blocks.as_array().into_iter().flatten() {
        for element in super::blocks::elements(block) {
            let kind = element["type"].as_str().unwrap_or_default();
            let id = element["action_id"].as_str();
            if ["button", "image", "mrkdwn", "plain_text", "overflow"].contains(&kind) {
                continue;
            }
            let (Some(id), Some(mut entry)) = (id, state(block, element)) else { continue };
            entry["type"] = json!(kind);
            let block_id = block["block_id"].as_str().unwrap_or_default();
            let own = values.entry(block_id).or_insert_with(|| json!({}));
            own[id] = entry;
        }
    }
    Value::Object(values)
}

fn as_opened(element: &Value) -> Value {
    let pairs = [
        ("initial_value", "value"),
        ("initial_date", "selected_date"),
        ("initial_time", "selected_time"),
        ("initial_date_time", "selected_date_time"),
        ("initial_option", "selected_option"),
        ("initial_options", "selected_options"),
        ("initial_user", "selected_user"),
        ("initial_users", "selected_users"),
        ("initial_channel", "selected_channel"),
        ("initial_conversation", "selected_conversation"),
    ];
    let own = field_of(element);
    let initial = pairs.iter().find(|(name, _)| !element[*name].is_null());
    match initial {
        Some((from, to)) => json!({*to: element[*from]}),
        None if own == "selected_options" => json!({own: []}),
        None => json!({own: null}),
    }
}

fn field_of(element: &Value) -> &'static str {
    match element["type"].as_str().unwrap_or_default() {
        "datepicker" => "selected_date",
        "timepicker" => "selected_time",
        "datetimepicker" => "selected_date_time",
        "static_select" | "radio_buttons" | "external_select" => "selected_option",
        "multi_static_select" | "checkboxes" => "selected_options",
        "users_select" => "selected_user",
        "multi_users_select" => "selected_users",
        "channels_select" => "selected_channel",
        "conversations_select" => "selected_conversation",
        _ => "value",
    }
}

/// What a person's text means to this kind of field.
pub(super) fn filled(element: &Value, text: &str, workspace: &Workspace) -> Value {
    let own = field_of(element);
    let many = || text.split(',').map(str::trim).filter(|it| !it.is_empty());
    let value = match own {
        "selected_date" => {
            let read = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d");
            assert!(read.is_ok(), "a date picker gives YYYY-MM-DD, not {text:?}");
            json!(text)
        }
        "selected_time" => {
            let read = chrono::NaiveTime::parse_from_str(text, "%H:%M");
            assert!(read.is_ok() && text.len() == 5, "a time picker gives HH:mm, not {text:?}");
            json!(text)
        }
        "selected_date_time" => json!(text.parse::<i64>().expect("seconds since 1970")),
        "selected_option" => option(element, text),
        "selected_options" => many().map(|it| option(element, it)).collect(),
        "selected_user" => json!(workspace.user(text).id),
        "selected_users" => many().map(|it| json!(workspace.user(it).id)).collect(),
        "selected_channel" | "selected_conversation" => json!(workspace.channel(text).id),
        _ => typed(element, text),
    };
    json!({own: value})
}

fn typed(element: &Value, text: &str) -> Value {
    let length = super::blocks::length(text) as u64;
    let most = element["max_length"].as_u64().unwrap_or(3000);
    let least = element["min_length"].as_u64().unwrap_or(0);
    assert!(length <= most, "the field ends after {most} characters");
    assert!(length >= least, "the field wants {least} characters");
    let lines = element["multiline"] == true || !text.contains('\n');
    assert!(lines, "the field has one line");
    if text.is_empty() { Value::Null } else { json!(text) }
}

fn option(element: &Value, text: &str) -> Value {
    let groups = element["option_groups"].as_array().into_iter().flatten();
    let grouped = groups.flat_map(|it| it["options"].as_array().into_iter().flatten());
    let mut all = element["options"].as_array().into_iter().flatten().chain(grouped);
    let found = all.find(|it| it["text"]["text"] == text);
    found.unwrap_or_else(|| panic!("{text:?} is not among {}", element["options"])).clone()
}
