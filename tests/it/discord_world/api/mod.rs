//! What each call does, once it is known to be well formed.

mod channels;
mod commands;
mod guilds;
mod interactions;
mod messages;
mod pins;

pub(super) use interactions::respond;

use std::time::Duration;

use serde_json::{Value, json};

use super::permissions::{self, VIEW_CHANNEL, in_channel};
use super::realm::{APP, Channel, Kind};
use super::refusal::{Refusal, circumstance, plain, refuse};
use super::request::Request;
use super::state::State;
use super::{render, signed};

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

type Answer = Result<Reply, Refusal>;

fn ok(body: Value) -> Answer {
    Ok(Reply { status: 200, body })
}

fn made(body: Value) -> Answer {
    Ok(Reply { status: 201, body })
}

fn nothing() -> Answer {
    Ok(Reply { status: 204, body: Value::Null })
}

/// When it is, and where the stand-in can be found.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) base: &'a str,
    pub(super) now: Duration,
}

/// Who may call it: the bot, except where the path itself holds a secret.
pub(super) fn admitted(state: &State, request: &Request, token: &str) -> Result<(), Refusal> {
    let open = request.operation.contains("webhook")
        || ["create_interaction_response", "get_gateway"].contains(&request.operation.as_str());
    let right = !state.revoked && token == format!("Bot {}", state.setup.bot_token);
    if right || (open && token.is_empty()) {
        return Ok(());
    }
    if open && !state.revoked {
        return Err(plain(401, "Unauthorized", format!("{}: another token", request.operation)));
    }
    let mut refusal = plain(401, "Unauthorized", format!("{}: no such token", request.operation));
    if state.revoked {
        refusal.blame = None;
    }
    Err(refusal)
}

pub(super) fn call(state: &mut State, request: &Request, place: Place<'_>) -> Answer {
    let now = place.now;
    match request.operation.as_str() {
        "get_gateway" => ok(json!({"url": guilds::gateway(place.base)})),
        "get_bot_gateway" => ok(guilds::bot_gateway(state.setup.sessions_left, place.base)),
        "get_my_application" | "get_my_oauth2_application" => {
            let called = state.setup.bot_url.as_ref();
            let called = called.map(|url| format!("{url}/discord/interactions"));
            ok(render::application(&state.realm, &signed::public_key(state), called))
        }
        "get_my_user" => ok(render::user(&state.realm.users[APP])),
        "get_user" => guilds::user(state, request),
        "list_my_guilds" => guilds::mine(state),
        "create_dm" => guilds::create_dm(state, request, now),
        "get_guild" => guilds::get(state, request),
        "list_guild_channels" => guilds::channels(state, request),
        "list_guild_roles" => guilds::roles(state, request),
        "get_guild_member" => guilds::member(state, request),
        "get_active_guild_threads" => guilds::threads(state, request),
        "create_guild_channel" => channels::create(state, request, now),
        "bulk_update_guild_channels" => channels::reorder(state, request),
        "get_channel" => channels::get(state, request),
        "update_channel" => channels::update(state, request, now),
        "delete_channel" => channels::delete(state, request),
        "set_channel_permission_overwrite" => channels::overwrite(state, request),
        "delete_channel_permission_overwrite" => channels::lift(state, request),
        "create_thread" => channels::thread(state, request, now),
        "create_thread_from_message" => channels::thread_from(state, request, now),
        "add_thread_member" => channels::thread_member(state, request),
        "create_message" => messages::create(state, request, now),
        "update_message" => messages::update(state, request, now),
        "get_message" => messages::get(state, request),
        "list_messages" => messages::list(state, request),
        "delete_message" => messages::delete(state, request),
        "create_pin" | "deprecated_create_pin" => pins::create(state, request, now),
        "delete_pin" | "deprecated_delete_pin" => pins::delete(state, request),
        "list_pins" => pins::list(state, request),
        "deprecated_list_pins" => pins::old_list(state, request),
        "create_interaction_response" => interactions::callback(state, request, now),
        name if name.contains("webhook") => interactions::webhook(state, request, now),
        _ => commands::call(state, request, now),
    }
}

/// The channel of the path, where the bot may do all of this.
fn reach<'a>(state: &'a State, request: &Request, needed: u64) -> Result<&'a Channel, Refusal> {
    channel_for(state, request.id("channel_id"), needed, &request.operation)
}

fn channel_for<'a>(
    state: &'a State,
    id: &str,
    needed: u64,
    operation: &str,
) -> Result<&'a Channel, Refusal> {
    let Some(channel) = state.realm.channels.get(id) else {
        let known = state.realm.gone.contains(id);
        let why = || format!("{operation}: the channel {id} is invented");
        return Err(if known { circumstance(10003) } else { refuse(10003, why()) });
    };
    let has = in_channel(&state.realm, channel, APP);
    if has & VIEW_CHANNEL == 0 {
        let why = format!("{operation}: the bot does not see #{}", channel.name);
        return Err(refuse(50001, why));
    }
    lacking(has, needed, &format!("{operation} in #{}", channel.name))?;
    Ok(channel)
}

fn lacking(has: u64, needed: u64, what: &str) -> Result<(), Refusal> {
    let missing = needed & !has;
    if missing == 0 {
        return Ok(());
    }
    Err(refuse(50013, format!("{what}: the bot lacks {}", permissions::names(missing))))
}

/// Something that is not there: no mistake if it was there once.
fn unknown(state: &State, code: u32, id: &str, what: &str) -> Refusal {
    if state.realm.gone.contains(id) {
        return circumstance(code);
    }
    refuse(code, format!("{what}: {id} is invented"))
}

fn only_text(channel: &Channel) -> Result<(), Refusal> {
    if channel.kind == Kind::Category {
        return Err(refuse(50008, format!("{} is a category", channel.name)));
    }
    Ok(())
}
