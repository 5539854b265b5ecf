//! Answers to what people did: once, within three seconds, and for a quarter of an hour after.

use std::time::Duration;

use serde_json::{Value, json};

use super::messages::{change, judge, judge_body, rings};
use super::{Answer, nothing, ok};
use crate::discord_world::content::{self, EPHEMERAL};
use crate::discord_world::realm::{APP, Attachment, Content, Message};
use crate::discord_world::refusal::{Refusal, circumstance, one, refuse};
use crate::discord_world::render;
use crate::discord_world::request::Request;
use crate::discord_world::state::{Interaction, Modal, State, What};

const SAY: u64 = 4;
const THINK: u64 = 5;
const WAIT: u64 = 6;
const CHANGE: u64 = 7;
const COMPLETE: u64 = 8;
const ASK: u64 = 9;
/// Flags of an answer: only for one person, no preview, no sound.
const FLAGS: u64 = EPHEMERAL | 1 << 2 | 1 << 12;

pub(super) fn callback(state: &mut State, request: &Request, now: Duration) -> Answer {
    let (id, token) = (request.id("interaction_id"), request.id("interaction_token"));
    let found = state.interactions.iter().position(|it| it.id == id);
    let Some(number) = found.filter(|number| state.interactions[*number].token == token) else {
        return Err(refuse(10062, format!("the interaction {id} is invented, or its token is")));
    };
    respond(state, number, (&request.body, &request.files), now)?;
    if request.query("with_response").is_some_and(|it| it == "true" || it == "1") {
        return ok(with_response(state, number));
    }
    nothing()
}

fn with_response(state: &State, number: usize) -> Value {
    let interaction = &state.interactions[number];
    let own = &interaction.original;
    let kind = if interaction.what == What::Command { 2 } else { 3 };
    let shown = json!({"interaction": {
        "id": interaction.id, "type": kind, "response_message_id": own,
        "response_message_loading": false, "response_message_ephemeral": false,
    }});
    let channel = &state.realm.channels[&interaction.channel];
    let Some(message) = own.as_ref().and_then(|id| channel.message(id)) else { return shown };
    let mut shown = shown;
    shown["resource"] = json!({
        "type": interaction.response.map(|it| it.1),
        "message": render::message(message, channel, &state.realm),
    });
    shown
}

/// The one answer, by whichever road it came.
pub(in crate::discord_world) fn respond(
    state: &mut State,
    number: usize,
    (body, files): (&Value, &[Attachment]),
    now: Duration,
) -> Result<(), Refusal> {
    let interaction = state.interactions[number].clone();
    let what = state.deeds[interaction.deed].what.clone();
    if interaction.response.is_some() {
        return Err(refuse(40060, format!("{what}: answered twice")));
    }
    if now > interaction.at + state.setup.windows.answer {
        return Err(refuse(10062, format!("{what}: answered after three seconds")));
    }
    let kind = body["type"].as_u64().unwrap_or_default();
    if !fits(&interaction, kind) {
        let message = format!("{what}: not to be answered with type {kind}");
        return Err(one("type", "INTERACTION_CALLBACK_TYPE_INVALID", message));
    }
    let data = &body["data"];
    match kind {
        SAY => say(state, number, data, files, now)?,
        THINK => think(state, number, data, now),
        WAIT => state.interactions[number].original = interaction.message.clone(),
        CHANGE => update(state, number, data, files, now)?,
        COMPLETE => complete(state, number, data)?,
        ASK => ask(state, number, data, now)?,
        other => unreachable!("{other} fits nothing"),
    }
    let interaction = &mut state.interactions[number];
    interaction.response = Some((now, kind));
    let deed = interaction.deed;
    state.deeds[deed].acknowledged.get_or_insert(now);
    Ok(())
}

fn fits(interaction: &Interaction, kind: u64) -> bool {
    let on_message = interaction.message.is_some();
    match interaction.what {
        What::Command => [SAY, THINK, ASK].contains(&kind),
        What::Component => [SAY, THINK, WAIT, CHANGE, ASK].contains(&kind),
        What::Completion => kind == COMPLETE,
        What::Submission if on_message => [SAY, THINK, WAIT, CHANGE].contains(&kind),
        What::Submission => [SAY, THINK].contains(&kind),
    }
}

fn request_of(body: &Value, files: &[Attachment]) -> Request {
    Request::of("create_interaction_response", body.clone(), files.to_vec())
}

fn say(
    state: &mut State,
    number: usize,
    data: &Value,
    files: &[Attachment],
    now: Duration,
) -> Result<(), Refusal> {
    let id = post(state, number, &request_of(data, files), now)?;
    state.interactions[number].original = Some(id);
    Ok(())
}

/// A new message in the name of the interaction.
fn post(
    state: &mut State,
    number: usize,
    request: &Request,
    now: Duration,
) -> Result<String, Refusal> {
    let interaction = state.interactions[number].clone();
    let flags = request.body["flags"].as_u64().unwrap_or_default();
    content::check(&request.body, &request.files)?;
    judge_body(state, &request.operation, &request.body, true);
    if flags & !FLAGS != 0 {
        state.violated(format!("{}: `flags` {flags}", request.operation));
    }
    let files = request.files.clone();
    let said =
        content::applied(&Content::default(), &request.body, files, || state.snowflake(now))?;
    let mut message = fresh(state, &interaction, said, now);
    if flags & EPHEMERAL != 0 {
        message.only_for = Some(interaction.user.clone());
    }
    let allowed = &request.body["allowed_mentions"];
    message.pings = rings(state, &interaction.channel, &message.content, allowed);
    let id = message.id.clone();
    put(state, &interaction, message)?;
    shown(state, &interaction, &id, now);
    Ok(id)
}

fn fresh(state: &mut State, interaction: &Interaction, said: Content, now: Duration) -> Message {
    let mut message = Message::new(&state.snowflake(now), APP, said, now);
    let kind = interaction.payload["type"].clone();
    message.interaction = Some(json!({
        "id": interaction.id, "type": kind, "authorizing_integration_owners": {},
        "user": render::user(&state.realm.users[&interaction.user]),
    }));
    message.token = Some(interaction.token.clone());
    message
}

fn put(state: &mut State, interaction: &Interaction, message: Message) -> Result<(), Refusal> {
    let Some(channel) = state.realm.channels.get_mut(&interaction.channel) else {
        return Err(circumstance(10003));
    };
    channel.messages.push(message);
    Ok(())
}

/// Whoever acted has an answer, and so has whoever else can read it.
fn shown(state: &mut State, interaction: &Interaction, message: &str, now: Duration) {
    state.answered(interaction.deed, now);
    let channel = state.realm.channels.get(&interaction.channel);
    let found = channel.and_then(|it| it.message(message));
    if found.is_some_and(|it| it.only_for.is_none()) {
        state.seen_in(&interaction.channel, now);
    }
}

fn think(state: &mut State, number: usize, data: &Value, now: Duration) {
    let interaction = state.interactions[number].clone();
    let mut message = fresh(state, &interaction, Content::default(), now);
    message.thinking = true;
    if data["flags"].as_u64().unwrap_or_default() & EPHEMERAL != 0 {
        message.only_for = Some(interaction.user.clone());
    }
    state.interactions[number].original = Some(message.id.clone());
    // If the channel is gone there is nowhere to think.
    put(state, &interaction, message).ok();
}

fn update(
    state: &mut State,
    number: usize,
    data: &Value,
    files: &[Attachment],
    now: Duration,
) -> Result<(), Refusal> {
    let interaction = state.interactions[number].clone();
    let on = interaction.message.clone().expect("it fits only where there is one");
    let request = request_of(data, files);
    content::check(&request.body, files)?;
    judge(state, &request, false);
    let there = state.realm.channels.get(&interaction.channel).and_then(|it| it.message(&on));
    if there.is_none() {
        return Err(circumstance(10008));
    }
    change(state, (&interaction.channel, &on), &request, now)?;
    state.interactions[number].original = Some(on.clone());
    shown(state, &interaction, &on, now);
    Ok(())
}

fn complete(state: &mut State, number: usize, data: &Value) -> Result<(), Refusal> {
    let choices = data["choices"].as_array().cloned().unwrap_or_default();
    if choices.len() > 25 {
        let message = "Must be 25 or fewer in length.";
        return Err(one("data/choices", "BASE_TYPE_MAX_LENGTH", message));
    }
    state.interactions[number].choices = choices;
    Ok(())
}

fn ask(state: &mut State, number: usize, data: &Value, now: Duration) -> Result<(), Refusal> {
    content::modal(data)?;
    let interaction = state.interactions[number].clone();
    let modal = Modal {
        id: state.snowflake(now),
        user: interaction.user,
        channel: interaction.channel,
        message: interaction.message,
        body: data.clone(),
        open: true,
    };
    state.modals.insert(modal.id.clone(), modal);
    state.answered(interaction.deed, now);
    Ok(())
}

/// The token of an interaction, used as that of a webhook.
pub(super) fn webhook(state: &mut State, request: &Request, now: Duration) -> Answer {
    if request.id("webhook_id") != APP {
        return Err(refuse(10015, format!("{}: not this application", request.operation)));
    }
    let token = request.id("webhook_token");
    let Some(number) = state.interactions.iter().position(|it| it.token == token) else {
        return Err(refuse(50027, format!("{}: a token that is invented", request.operation)));
    };
    let interaction = state.interactions[number].clone();
    if now > interaction.at + state.setup.windows.token {
        let why = format!("{}: the token is older than a quarter of an hour", request.operation);
        return Err(refuse(50027, why));
    }
    if interaction.response.is_none() {
        let why = format!("{}: before the interaction was answered", request.operation);
        return Err(refuse(10015, why));
    }
    if !state.realm.channels.contains_key(&interaction.channel) {
        return Err(circumstance(10003));
    }
    if request.operation == "execute_webhook" {
        return follow_up(state, number, request, now);
    }
    let id = if request.operation.contains("original") {
        interaction.original.clone().unwrap_or_default()
    } else {
        request.id("message_id").to_owned()
    };
    let channel = &state.realm.channels[&interaction.channel];
    let own = |it: &&Message| {
        it.token.as_deref() == Some(token) || interaction.original.as_deref() == Some(&it.id)
    };
    let Some(message) = channel.message(&id).filter(own).cloned() else {
        let was = channel.messages.iter().any(|it| it.id == id && it.deleted);
        let why = format!("{}: there is no such answer", request.operation);
        return Err(if was { circumstance(10008) } else { refuse(10008, why) });
    };
    if request.operation.starts_with("get") {
        return ok(render::message(&message, channel, &state.realm));
    }
    if request.operation.starts_with("delete") {
        state.realm.deletes_message(&interaction.channel, &id);
        return nothing();
    }
    content::check(&request.body, &request.files)?;
    judge(state, request, message.thinking);
    let done = change(state, (&interaction.channel, &id), request, now)?;
    shown(state, &interaction, &id, now);
    Ok(done)
}

/// The first one after "is thinking…" takes its place, and is as public as that was.
fn follow_up(state: &mut State, number: usize, request: &Request, now: Duration) -> Answer {
    let interaction = state.interactions[number].clone();
    if interaction.what == What::Completion {
        return Err(refuse(10015, "execute_webhook: a completion has no follow-up"));
    }
    let channel = &state.realm.channels[&interaction.channel];
    let thought = interaction.original.as_ref().and_then(|id| channel.message(id));
    let id = match thought.filter(|it| it.thinking) {
        Some(thought) => {
            let id = thought.id.clone();
            content::check(&request.body, &request.files)?;
            judge(state, request, true);
            change(state, (&interaction.channel, &id), request, now)?;
            shown(state, &interaction, &id, now);
            id
        }
        None => post(state, number, request, now)?,
    };
    let channel = &state.realm.channels[&interaction.channel];
    let message = channel.message(&id).expect("it was just said");
    ok(render::message(message, channel, &state.realm))
}
