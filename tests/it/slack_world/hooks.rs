//! Response URLs: thirty minutes, five uses, and only for whoever acted.

use std::time::Duration;

use serde_json::{Map, Value};

use super::api::ephemeral_content;
use super::state::State;
use super::workspace::{BOT_USER, Content, Ephemeral, Message};

const USES: u32 = 5;
const FIELDS: &[&str] = &[
    "text",
    "blocks",
    "attachments",
    "response_type",
    "replace_original",
    "delete_original",
    "thread_ts",
    "mrkdwn",
    "unfurl_links",
    "unfurl_media",
    "metadata",
];

/// The status and the body, as Slack gives them.
pub(super) fn used(state: &mut State, id: &str, body: &[u8], now: Duration) -> (u16, String) {
    let window = state.setup.windows.response_url;
    let Some(url) = state.response_urls.get_mut(id) else {
        state.violated(format!("response URL {id}: never given"));
        return (404, "no_service".to_owned());
    };
    if now > url.at + window {
        return (404, "expired_url".to_owned());
    }
    if url.uses >= USES {
        state.violated(format!("response URL {id}: used more than {USES} times"));
        return (404, "used_url".to_owned());
    }
    url.uses += 1;
    let url = url.clone();
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
        state.violated("response URL: the body is no JSON object");
        return (400, "invalid_payload".to_owned());
    };
    let place = Place { user: url.user, channel: url.channel, message: url.message };
    match respond(state, &place, &fields, now) {
        Ok(()) => {
            state.answered(url.deed, now);
            (200, "ok".to_owned())
        }
        Err(error) => (400, error),
    }
}

/// Whom an answer concerns, and where.
pub(super) struct Place {
    pub(super) user: String,
    pub(super) channel: String,
    pub(super) message: Option<String>,
}

/// The same for a response URL and for what an acknowledgement says.
pub(super) fn respond(
    state: &mut State,
    place: &Place,
    fields: &Map<String, Value>,
    now: Duration,
) -> Result<(), String> {
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        state.violated(format!("an answer with `{name}`, which is not documented"));
        return Err("invalid_payload".to_owned());
    }
    let flag = |name: &str| fields.get(name) == Some(&Value::Bool(true));
    if flag("delete_original") {
        removed(state, place);
        return Ok(());
    }
    if place.message.is_some() && !fields.contains_key("replace_original") {
        state.violated("an answer to a click should say `replace_original`: defaults differ");
    }
    let kind = fields.get("response_type").and_then(Value::as_str).unwrap_or("ephemeral");
    if !["ephemeral", "in_channel"].contains(&kind) {
        state.violated(format!("`response_type` {kind:?}"));
    }
    let passed = ["text", "blocks", "attachments"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())));
    let content = ephemeral_content(state, &passed.collect()).map_err(|refusal| {
        let why = refusal.wrong.clone().unwrap_or_default();
        state.violated(format!("an answer: {} ({why})", refusal.error));
        refusal.error.to_owned()
    })?;
    if flag("replace_original") && place.message.is_some() {
        replaced(state, place, content, now);
    } else if kind == "in_channel" {
        posted(state, place, content, now);
    } else {
        let (user, channel) = (place.user.clone(), place.channel.clone());
        let ts = state.ts(now);
        state.workspace.ephemerals.push(Ephemeral { user, channel, ts, content, read: false });
    }
    Ok(())
}

fn removed(state: &mut State, place: &Place) {
    let Some(ts) = &place.message else { return };
    state.workspace.ephemerals.retain(|it| it.ts != *ts);
    let channel = state.workspace.channels.get_mut(&place.channel);
    if let Some(message) = channel.and_then(|it| it.message_mut(ts)) {
        message.deleted = true;
    }
}

fn replaced(state: &mut State, place: &Place, content: Content, now: Duration) {
    let ts = place.message.clone().unwrap_or_default();
    let edit = state.ts(now);
    let own = state.workspace.ephemerals.iter_mut().find(|it| it.ts == ts);
    if let Some(ephemeral) = own {
        ephemeral.content = content;
        ephemeral.read = false;
        return;
    }
    let channel = state.workspace.channels.get_mut(&place.channel);
    if let Some(message) = channel.and_then(|it| it.message_mut(&ts)) {
        let old = std::mem::replace(&mut message.content, content);
        message.earlier.push(old);
        message.edited = Some(edit);
    }
}

fn posted(state: &mut State, place: &Place, content: Content, now: Duration) {
    let ts = state.ts(now);
    let message = Message::new(BOT_USER, &ts, content, now);
    if let Some(channel) = state.workspace.channels.get_mut(&place.channel) {
        channel.messages.push(message);
    }
    state.seen_in(&place.channel, now);
}
