//! What a message may hold, wherever it comes from.

use serde_json::{Map, Value};

use super::{Refusal, wrong};
use crate::slack_world::args::Args;
use crate::slack_world::state::State;
use crate::slack_world::workspace::Content;
use crate::slack_world::{blocks, markup};

/// Above this a message could never be edited again.
const MOST_TEXT: usize = 4_000;
/// What Slack allows for metadata, as JSON.
const MOST_METADATA: usize = 12_000;

/// The content of a posted or edited message, checked whole.
pub(in crate::slack_world) fn content(state: &mut State, args: &Args) -> Result<Content, Refusal> {
    let blocks = tree(args, "blocks", "invalid_blocks_format")?;
    let attachments = tree(args, "attachments", "invalid_attachments")?;
    let metadata = tree(args, "metadata", "invalid_metadata_format")?;
    let text = args.text("text").to_owned();
    let markdown = args.text("markdown_text");
    if !markdown.is_empty() && (!text.is_empty() || !blocks.is_null()) {
        return Err(wrong("markdown_text_conflict", "either `markdown_text` or the others"));
    }
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    if text.trim().is_empty() && markdown.is_empty() && empty(&blocks) && empty(&attachments) {
        return Err(wrong("no_text", "nothing to show"));
    }
    if text.len() > MOST_TEXT || blocks::length(markdown) > 12_000 {
        return Err(wrong("msg_too_long", format!("`text` is {} long", text.len())));
    }
    if attachments.as_array().is_some_and(|list| list.len() > 100) {
        return Err(wrong("too_many_attachments", "100 at most"));
    }
    if !empty(&blocks) && text.trim().is_empty() {
        state.violated("no `text` beside `blocks`: notifications and screen readers read it");
    }
    checked_blocks(&blocks)?;
    for attachment in attachments.as_array().into_iter().flatten() {
        if let Some(first) = blocks::problems("MessageAttachment", attachment).first() {
            return Err(wrong("invalid_attachments", first));
        }
        checked_blocks(&attachment["blocks"])?;
    }
    checked_metadata(&metadata)?;
    let texts = [text.clone()].into_iter().chain(markup::texts(&blocks));
    for problem in texts.flat_map(|it| markup::problems(&it, &state.workspace)).collect::<Vec<_>>()
    {
        state.violated(format!("markup: {problem}"));
    }
    let mut attachments = attachments;
    for attachment in attachments.as_array_mut().into_iter().flatten() {
        if attachment["blocks"].is_array() {
            attachment["blocks"] = with_ids(attachment["blocks"].take());
        }
    }
    let text = if markdown.is_empty() { text } else { markdown.to_owned() };
    Ok(Content { text, blocks: with_ids(blocks), attachments, metadata })
}

/// What an acknowledgement or a response URL may carry; those give no metadata back.
pub(in crate::slack_world) fn ephemeral_content(
    state: &mut State,
    body: &Map<String, Value>,
) -> Result<Content, Refusal> {
    content(state, &Args::of(body.clone()))
}

fn tree(args: &Args, name: &str, error: &'static str) -> Result<Value, Refusal> {
    let found = args.tree(name).unwrap_or(Ok(Value::Null));
    found.map_err(|()| wrong(error, format!("`{name}` is no JSON")))
}

fn checked_blocks(blocks: &Value) -> Result<(), Refusal> {
    if blocks.is_null() {
        return Ok(());
    }
    let problems = blocks::message_problems(blocks);
    if let Some(first) = problems.first() {
        return Err(wrong("invalid_blocks", first));
    }
    if blocks::too_long(blocks) {
        return Err(wrong("msg_blocks_too_long", "all texts together"));
    }
    Ok(())
}

fn checked_metadata(metadata: &Value) -> Result<(), Refusal> {
    if metadata.is_null() {
        return Ok(());
    }
    let kind = metadata["event_type"].as_str().unwrap_or_default();
    let named =
        !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !named || !metadata["event_payload"].is_object() {
        return Err(wrong("invalid_metadata_format", "`event_type` and `event_payload`"));
    }
    let fields = metadata.as_object().expect("it has fields");
    if fields.keys().any(|name| !["event_type", "event_payload", "entities"].contains(&&**name)) {
        return Err(wrong("invalid_metadata_schema", "an additional field"));
    }
    if metadata.to_string().len() > MOST_METADATA {
        return Err(wrong("metadata_too_large", "as JSON"));
    }
    Ok(())
}

/// Slack gives an id to each block and element that has none.
pub(in crate::slack_world) fn with_ids(mut blocks: Value) -> Value {
    for (number, block) in blocks.as_array_mut().into_iter().flatten().enumerate() {
        if block["block_id"].is_null() {
            block["block_id"] = Value::String(format!("b{number}"));
        }
        let fields = block.as_object_mut().expect("the schema has seen it");
        let lists = fields.get_mut("elements").and_then(Value::as_array_mut);
        for (place, element) in lists.into_iter().flatten().enumerate() {
            if element["action_id"].is_null() && element["type"] == "button" {
                element["action_id"] = Value::String(format!("a{place}"));
            }
        }
    }
    blocks
}
