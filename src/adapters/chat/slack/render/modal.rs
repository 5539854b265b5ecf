//! Forms as modal views, and the home tab.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::runs::length;
use super::{Ground, Part, cut, message};
use crate::ports::{Block, Failure, Field, FieldKind, Form, Inline, Message};

const TITLE: usize = 24;
const LABEL: usize = 2_000;
const INPUT: usize = 3_000;
const LINE: usize = 1_000;
const OPTIONS: usize = 100;
const OPTION: usize = 75;
const METADATA: usize = 3_000;
const BLOCKS: usize = 100;

/// Where a form was asked for. It travels with the view, so that the answer finds its way back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) handle: Option<String>,
}

/// What a view remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Draft {
    pub(in super::super) command: String,
    #[serde(flatten)]
    pub(in super::super) origin: Origin,
}

/// `None` if its command is too long to travel with it: then it has to be typed.
pub(in super::super) fn view(form: &Form, origin: &Origin) -> Option<Value> {
    let metadata = metadata(&form.command, origin)?;
    let mut blocks = text_blocks(form);
    for (number, field) in form.fields.iter().enumerate().take(BLOCKS - 1) {
        blocks.push(input(number, field));
    }
    let fields = blocks.iter().filter(|block| block["type"] == "input").count();
    let texts = BLOCKS - fields;
    let mut seen = 0;
    blocks.retain(|block| {
        seen += usize::from(block["type"] != "input");
        block["type"] == "input" || seen <= texts
    });
    let submit = if form.submit.trim().is_empty() { "OK" } else { &form.submit };
    Some(json!({
        "type": "modal",
        "callback_id": "form",
        "title": text(&form.title, TITLE),
        "submit": text(submit, TITLE),
        "close": text("Cancel", TITLE),
        "private_metadata": metadata,
        "blocks": blocks,
    }))
}

/// The way back is given up before the command is.
fn metadata(command: &str, origin: &Origin) -> Option<String> {
    let written = |origin: &Origin| {
        let draft = Draft { command: command.to_owned(), origin: origin.clone() };
        serde_json::to_string(&draft).ok().filter(|text| length(text) <= METADATA)
    };
    written(origin).or_else(|| written(&Origin { handle: None, ..origin.clone() }))
}

/// What is about to happen; first the whole title, where Slack's is too short for it.
fn text_blocks(form: &Form) -> Vec<Value> {
    let mut body = form.text.clone();
    if length(&form.title) > TITLE {
        body.insert(0, Block::Heading(vec![Inline::Text(form.title.clone())]));
    }
    if body.is_empty() && !form.fields.is_empty() {
        return Vec::new();
    }
    let message = Message { body, ..Message::default() };
    all_blocks(&message).unwrap_or_default()
}

fn all_blocks(body: &Message) -> Result<Vec<Value>, Failure> {
    let parts = message(body, Ground::Channel)?;
    Ok(parts.into_iter().flat_map(|Part { blocks, .. }| blocks).collect())
}

fn text(words: &str, limit: usize) -> Value {
    let words = if words.trim().is_empty() { "…" } else { words };
    json!({"type": "plain_text", "text": cut(words, limit), "emoji": true})
}

fn input(number: usize, field: &Field) -> Value {
    let label = if field.label.trim().is_empty() { &field.name } else { &field.label };
    let mut block = json!({
        "type": "input",
        "block_id": format!("field-{number}"),
        "label": text(label, LABEL),
        "optional": !field.required,
        "element": element(field),
    });
    let hint = [field.problem.trim(), field.hint.trim()];
    let hint: Vec<_> = hint.into_iter().filter(|text| !text.is_empty()).collect();
    if !hint.is_empty() {
        block["hint"] = text(&hint.join(" — "), LABEL);
    }
    block
}

fn element(field: &Field) -> Value {
    let id = cut(&field.name, 255);
    match &field.kind {
        FieldKind::Line => written(&id, &field.value, false),
        FieldKind::Paragraph => written(&id, &field.value, true),
        FieldKind::Choice(options) => {
            choice(&id, options, &field.value).unwrap_or_else(|| written(&id, &field.value, false))
        }
        FieldKind::Date => {
            picker("datepicker", "initial_date", &id, &field.value, is_day(&field.value))
        }
        FieldKind::Clock => {
            picker("timepicker", "initial_time", &id, &field.value, is_clock(&field.value))
        }
    }
}

fn written(id: &str, value: &str, multiline: bool) -> Value {
    let limit = if multiline { INPUT } else { LINE };
    let mut element = json!({
        "type": "plain_text_input",
        "action_id": id,
        "multiline": multiline,
        "max_length": limit,
    });
    if !value.is_empty() {
        element["initial_value"] = json!(cut(value, limit));
    }
    element
}

fn picker(kind: &str, initial: &str, id: &str, value: &str, fits: bool) -> Value {
    let mut element = json!({"type": kind, "action_id": id});
    if fits {
        element[initial] = json!(value);
    }
    element
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_clock(text: &str) -> bool {
    text.len() == 5 && chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok()
}

/// `None` where Slack's menus cannot hold them: then the value is typed.
fn choice(id: &str, options: &[(String, String)], value: &str) -> Option<Value> {
    let fits = |(value, _): &(String, String)| length(value) <= OPTION;
    // An empty value is what stands there while nothing is chosen.
    let offered: Vec<_> = options.iter().filter(|(value, _)| !value.is_empty()).collect();
    if offered.is_empty() || offered.len() > OPTIONS || !offered.iter().all(|it| fits(it)) {
        return None;
    }
    let option = |(value, label): &(String, String)| {
        let label = if label.trim().is_empty() { value } else { label };
        json!({"text": text(label, OPTION), "value": value})
    };
    let mut element = json!({
        "type": "static_select",
        "action_id": id,
        "options": offered.iter().map(|it| option(it)).collect::<Vec<_>>(),
    });
    if let Some(chosen) = offered.iter().find(|(known, _)| known == value) {
        element["initial_option"] = option(chosen);
    }
    Some(element)
}

/// What is wrong, beside the fields that are on the screen; `None` if not all of it can be there.
pub(in super::super) fn errors(form: &Form, shown: &Value) -> Option<Value> {
    let wrong = form.fields.iter().filter(|field| !field.problem.trim().is_empty());
    let mut errors = BTreeMap::new();
    for field in wrong {
        let fields = shown.pointer("/state/values")?.as_object()?;
        let block = fields.iter().find(|(_, inputs)| inputs.get(&field.name).is_some())?;
        errors.insert(block.0.clone(), cut(field.problem.trim(), LABEL));
    }
    (!errors.is_empty()).then(|| json!({"response_action": "errors", "errors": errors}))
}

/// What somebody sees who opens the bot itself.
pub(in super::super) fn home(message: &Message) -> Result<Value, Failure> {
    let mut blocks = all_blocks(message)?;
    blocks.truncate(BLOCKS);
    Ok(json!({"type": "home", "blocks": blocks}))
}
