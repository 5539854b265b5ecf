//! Messages: said, changed, read back and deleted.

use std::time::Duration;

use serde_json::Value;

use super::{Answer, nothing, ok, only_text, reach, unknown};
use crate::discord_world::permissions::{
    ATTACH_FILES, EMBED_LINKS, MANAGE_MESSAGES, MENTION_EVERYONE, READ_MESSAGE_HISTORY,
    SEND_MESSAGES, SEND_MESSAGES_IN_THREADS, in_channel,
};
use crate::discord_world::realm::{APP, Channel, Content, Message};
use crate::discord_world::refusal::{Refusal, one, refuse};
use crate::discord_world::request::Request;
use crate::discord_world::state::State;
use crate::discord_world::{content, markup, render};

/// Flags that a bot may set on what it says: no preview, no sound.
const FLAGS: u64 = 1 << 2 | 1 << 12;

pub(super) fn create(state: &mut State, request: &Request, now: Duration) -> Answer {
    let channel = reach(state, request, 0)?;
    only_text(channel)?;
    let speak = if channel.kind.is_thread() { SEND_MESSAGES_IN_THREADS } else { SEND_MESSAGES };
    reach(state, request, speak | shown_needs(request))?;
    if channel.locked && channel.archived {
        return Err(refuse(50083, format!("{} is archived and locked", channel.name)));
    }
    let id = channel.id.clone();
    if let Some(twin) = twin(state, request, now) {
        return ok(twin);
    }
    refers(state, request)?;
    // What `flags` ask for otherwise is dropped in silence.
    if request.body["flags"].as_u64().unwrap_or_default() & !FLAGS != 0 {
        state.violated(format!("{}: `flags` that a message cannot have", request.operation));
    }
    content::check(&request.body, &request.files)?;
    judge(state, request, true);
    let files = request.files.clone();
    let said =
        content::applied(&Content::default(), &request.body, files, || state.snowflake(now))?;
    let message = Message::new(&state.snowflake(now), APP, said, now);
    let message = Message {
        nonce: request.body.get("nonce").filter(|it| !it.is_null()).cloned(),
        pings: rings(state, &id, &message.content, &request.body["allowed_mentions"]),
        ..message
    };
    let place = state.realm.channels.get_mut(&id).expect("it was just there");
    place.archived = false;
    place.messages.push(message.clone());
    state.seen_in(&id, now);
    ok(with_nonce(state, &id, &message))
}

fn with_nonce(state: &State, channel: &str, message: &Message) -> Value {
    let realm = &state.realm;
    let mut shown = render::message(message, &realm.channels[channel], realm);
    if let Some(nonce) = &message.nonce {
        shown["nonce"] = nonce.clone();
    }
    shown
}

fn shown_needs(request: &Request) -> u64 {
    let embeds = request.body["embeds"].as_array().is_some_and(|it| !it.is_empty());
    u64::from(embeds) * EMBED_LINKS + u64::from(!request.files.is_empty()) * ATTACH_FILES
}

/// What the same bot said with the same nonce a moment ago.
fn twin(state: &State, request: &Request, now: Duration) -> Option<Value> {
    let nonce = request.body.get("nonce").filter(|it| !it.is_null())?;
    if request.body["enforce_nonce"] != true {
        return None;
    }
    let since = now.saturating_sub(state.setup.windows.nonce);
    state.realm.channels.values().find_map(|channel| {
        let mut messages = channel.messages.iter().rev();
        let found = messages.find(|it| it.nonce.as_ref() == Some(nonce) && it.at >= since)?;
        Some(with_nonce(state, &channel.id, found))
    })
}

fn refers(state: &State, request: &Request) -> Result<(), Refusal> {
    let Some(to) = request.body["message_reference"]["message_id"].as_str() else { return Ok(()) };
    let channel = reach(state, request, READ_MESSAGE_HISTORY)?;
    let optional = request.body["message_reference"]["fail_if_not_exists"] == false;
    if channel.message(to).is_none() && !optional {
        return Err(one("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message"));
    }
    Ok(())
}

/// What Discord would take without a word, and a careful bot would not send.
pub(super) fn judge(state: &mut State, request: &Request, fresh: bool) {
    judge_body(state, &request.operation, &request.body, fresh);
}

pub(super) fn judge_body(state: &mut State, operation: &str, body: &Value, fresh: bool) {
    let speaks = fresh || body["content"].is_string();
    if speaks && !body["allowed_mentions"].is_object() {
        state.violated(format!("{operation}: no `allowed_mentions`, so anything may ring"));
    }
    let told = body.to_string();
    let signs = [state.setup.bot_token.as_str(), "/api/webhooks/"];
    if signs.iter().any(|secret| told.contains(secret)) {
        state.violated(format!("{operation}: a secret is in a message"));
    }
    for text in texts(body) {
        for problem in markup::problems(&text, &state.realm) {
            state.violated(format!("{operation}: {problem}"));
        }
    }
}

/// Where marks are read: the text, and what an embed describes.
fn texts(body: &Value) -> Vec<String> {
    let mut found = vec![&body["content"]];
    for embed in body["embeds"].as_array().into_iter().flatten() {
        found.push(&embed["description"]);
        let fields = embed["fields"].as_array().into_iter().flatten();
        found.extend(fields.map(|field| &field["value"]));
    }
    found.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(super) fn rings(
    state: &State,
    channel: &str,
    said: &Content,
    allowed: &Value,
) -> std::collections::BTreeSet<String> {
    let has = in_channel(&state.realm, &state.realm.channels[channel], APP);
    markup::pings(&said.text, allowed, has & MENTION_EVERYONE != 0, &state.realm)
}

pub(super) fn update(state: &mut State, request: &Request, now: Duration) -> Answer {
    let channel = reach(state, request, shown_needs(request))?;
    let (channel, id) = (channel.id.clone(), request.id("message_id").to_owned());
    let before = own(state, request)?;
    if before.author != APP {
        return Err(refuse(50005, "update_message: it is somebody else's"));
    }
    if before.kind != 0 {
        return Err(refuse(50021, "update_message: a system message"));
    }
    content::check(&request.body, &request.files)?;
    judge(state, request, false);
    change(state, (&channel, &id), request, now)
}

/// For both roads: the channel's and the interaction's.
pub(super) fn change(
    state: &mut State,
    (channel, id): (&str, &str),
    request: &Request,
    now: Duration,
) -> Answer {
    let place = &state.realm.channels[channel];
    let before = place.message(id).expect("it was just there").content.clone();
    let files = request.files.clone();
    let after = content::applied(&before, &request.body, files, || state.snowflake(now))?;
    let place = state.realm.channels.get_mut(channel).expect("it was just there");
    let message = place.message_mut(id).expect("it was just there");
    if message.thinking {
        message.content = after;
        message.thinking = false;
    } else {
        message.edit(after, now);
    }
    let message = message.clone();
    match &message.only_for {
        Some(user) => state.seen_by(&user.clone(), now),
        None => state.seen_in(channel, now),
    }
    let realm = &state.realm;
    ok(render::message(&message, &realm.channels[channel], realm))
}

/// Ephemeral messages cannot be reached this way.
fn own(state: &State, request: &Request) -> Result<Message, Refusal> {
    let id = request.id("message_id");
    let channel = reach(state, request, 0)?;
    let found = channel.message(id).filter(|it| it.only_for.is_none());
    let deleted = channel.messages.iter().any(|it| it.id == id && it.deleted);
    match found {
        Some(message) => Ok(message.clone()),
        None if deleted => Err(crate::discord_world::refusal::circumstance(10008)),
        None => Err(unknown(state, 10008, id, &request.operation)),
    }
}

pub(super) fn message_of(state: &State, request: &Request) -> Result<Message, Refusal> {
    own(state, request)
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, READ_MESSAGE_HISTORY)?;
    ok(discreet(&own(state, request)?, channel, state))
}

/// Without the intent for message contents, other people's words are kept back.
pub(super) fn discreet(message: &Message, channel: &Channel, state: &State) -> Value {
    let mut shown = render::message(message, channel, &state.realm);
    let private = channel.guild.is_some() && message.author != APP;
    if private && !message.pings.contains(APP) {
        shown["content"] = Value::from("");
        for part in ["embeds", "attachments", "components"] {
            shown[part] = Value::Array(Vec::new());
        }
    }
    shown
}

pub(super) fn list(state: &mut State, request: &Request) -> Answer {
    // Discord answers with nothing at all, which is worse than a refusal.
    if reach(state, request, 0).is_ok()
        && let Err(refusal) = reach(state, request, READ_MESSAGE_HISTORY)
    {
        state.violated(refusal.blame.unwrap_or_default());
        return ok(Value::Array(Vec::new()));
    }
    let channel = reach(state, request, 0)?;
    only_text(channel)?;
    let number = |name: &str| request.query(name).and_then(|it| it.parse::<u64>().ok());
    let limit = number("limit").and_then(|it| usize::try_from(it).ok()).unwrap_or(50);
    let id = |message: &Message| message.id.parse::<u64>().unwrap_or_default();
    let readable = channel.messages.iter().filter(|it| !it.deleted && it.only_for.is_none());
    let mut found: Vec<&Message> = match (number("after"), number("before"), number("around")) {
        (Some(after), None, None) => readable.filter(|it| id(it) > after).take(limit).collect(),
        (None, before, None) => {
            let earlier = readable.filter(|it| before.is_none_or(|before| id(it) < before));
            let all: Vec<&Message> = earlier.collect();
            all[all.len().saturating_sub(limit)..].to_vec()
        }
        (None, None, Some(around)) => {
            let (half, all) = (limit / 2, readable.collect::<Vec<_>>());
            let middle = all.iter().position(|it| id(it) >= around).unwrap_or(all.len());
            all[middle.saturating_sub(half)..(middle + half + 1).min(all.len())].to_vec()
        }
        _ => return Err(one("before", "ONLY_ONE", "`after`, `before` or `around`")),
    };
    found.reverse();
    ok(found.into_iter().map(|it| discreet(it, channel, state)).collect())
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let message = own(state, request)?;
    let needed = if message.author == APP { 0 } else { MANAGE_MESSAGES };
    let channel = reach(state, request, needed)?.id.clone();
    state.realm.deletes_message(&channel, &message.id);
    nothing()
}
