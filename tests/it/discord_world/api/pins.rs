//! Pins, by the new address and by the one that is going away.

use std::time::Duration;

use serde_json::{Value, json};

use super::messages::{discreet, message_of};
use super::{Answer, nothing, ok, reach};
use crate::discord_world::permissions::{PIN_MESSAGES, READ_MESSAGE_HISTORY};
use crate::discord_world::realm::{APP, Channel, Content, Message};
use crate::discord_world::refusal::{circumstance, refuse};
use crate::discord_world::render;
use crate::discord_world::request::Request;
use crate::discord_world::state::State;

const MOST: usize = 250;

pub(super) fn create(state: &mut State, request: &Request, now: Duration) -> Answer {
    let channel = reach(state, request, PIN_MESSAGES | READ_MESSAGE_HISTORY)?.id.clone();
    let message = message_of(state, request)?;
    if message.kind != 0 {
        return Err(refuse(50021, "create_pin: a system message"));
    }
    if message.pinned.is_some() {
        return nothing();
    }
    if pinned(&state.realm.channels[&channel]).len() >= MOST {
        return Err(circumstance(30003));
    }
    let notice = state.snowflake(now);
    let place = state.realm.channel_mut(&channel);
    place.message_mut(&message.id).expect("it was just there").pinned = Some(now);
    let mut said = Message::new(&notice, APP, Content::default(), now);
    said.kind = 6;
    place.messages.push(said);
    nothing()
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, PIN_MESSAGES)?.id.clone();
    let message = message_of(state, request)?;
    let place = state.realm.channel_mut(&channel);
    place.message_mut(&message.id).expect("it was just there").pinned = None;
    nothing()
}

/// The newest first.
fn pinned(channel: &Channel) -> Vec<&Message> {
    let mut found: Vec<&Message> = channel.shown().filter(|it| it.pinned.is_some()).collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.pinned));
    found
}

pub(super) fn list(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, READ_MESSAGE_HISTORY)?;
    let limit = request.query("limit").and_then(|it| it.parse().ok()).unwrap_or(50);
    let all = pinned(channel);
    let items = all.iter().take(limit).map(|it| {
        json!({"pinned_at": it.pinned.map(render::time), "message": discreet(it, channel, state)})
    });
    ok(json!({"items": items.collect::<Vec<_>>(), "has_more": all.len() > limit}))
}

pub(super) fn old_list(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, READ_MESSAGE_HISTORY)?;
    let first = pinned(channel).into_iter().take(50);
    ok(Value::Array(first.map(|it| discreet(it, channel, state)).collect()))
}
