//! Channels: made, changed, moved and deleted; their overwrites and threads.

use std::time::Duration;

use serde_json::{Value, json};

use super::guilds::guild;
use super::messages::message_of;
use super::{Answer, channel_for, lacking, made, nothing, ok, reach};
use crate::discord_world::permissions::{
    CREATE_PRIVATE_THREADS, CREATE_PUBLIC_THREADS, MANAGE_CHANNELS, MANAGE_ROLES, MANAGE_THREADS,
    READ_MESSAGE_HISTORY, SEND_MESSAGES_IN_THREADS, VIEW_CHANNEL, in_channel, in_guild,
};
use crate::discord_world::realm::{APP, Channel, Content, Kind, Message, Overwrite};
use crate::discord_world::refusal::Problem;
use crate::discord_world::refusal::{Refusal, circumstance, form, one, refuse};
use crate::discord_world::render;
use crate::discord_world::request::Request;
use crate::discord_world::state::State;

const PER_GUILD: usize = 500;
const PER_CATEGORY: usize = 50;
const TOPIC: i64 = 1_024;

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, 0)?;
    ok(render::channel(channel, &state.realm))
}

pub(super) fn create(state: &mut State, request: &Request, now: Duration) -> Answer {
    let guild = guild(state, request)?.id.clone();
    let has = in_guild(&state.realm, &guild, APP);
    let kind = Kind::of(request.body["type"].as_u64().unwrap_or_default());
    let Some(kind @ (Kind::Text | Kind::Category)) = kind else {
        return Err(refuse(50024, "create_guild_channel: not a kind that the bot needs"));
    };
    let own = |it: &&Channel| it.guild.as_ref() == Some(&guild) && !it.kind.is_thread();
    if state.realm.channels.values().filter(own).count() >= PER_GUILD {
        return Err(circumstance(30013));
    }
    let parent = request.body["parent_id"].as_str();
    let mut may = has;
    if let Some(parent) = parent {
        may = under(state, request, &guild, (kind, parent))?;
    }
    lacking(may, MANAGE_CHANNELS, "create_guild_channel")?;
    let overwrites = match request.body["permission_overwrites"].as_array() {
        Some(given) => {
            lacking(has, MANAGE_ROLES, "create_guild_channel with overwrites")?;
            overwrites(state, &guild, given, has)?
        }
        None => parent.map_or_else(Vec::new, |it| state.realm.channels[it].overwrites.clone()),
    };
    let name = named(state, request, kind);
    let mut channel = Channel::new(&state.snowflake(now), Some(&guild), kind, &name);
    channel.parent = parent.map(str::to_owned);
    channel.overwrites = overwrites;
    topic(request)?.clone_into(&mut channel.topic);
    channel.position = request.body["position"].as_u64().unwrap_or_default();
    let shown = render::channel(&channel, &state.realm);
    state.realm.channels.insert(channel.id.clone(), channel);
    made(shown)
}

/// What the bot may do in this category, if there is room in it.
fn under(
    state: &State,
    request: &Request,
    guild: &str,
    (kind, parent): (Kind, &str),
) -> Result<u64, Refusal> {
    let channel = channel_for(state, parent, 0, &request.operation);
    let channel = match channel {
        Ok(channel) => channel,
        Err(refusal) if refusal.body["code"] == 10003 => {
            let mut refusal = one("parent_id", "CHANNEL_PARENT_INVALID", "Category does not exist");
            refusal.blame = refusal.blame.filter(|_| !state.realm.gone.contains(parent));
            return Err(refusal);
        }
        Err(refusal) => return Err(refusal),
    };
    let elsewhere = channel.guild.as_deref() != Some(guild);
    if channel.kind != Kind::Category || elsewhere || kind == Kind::Category {
        return Err(one("parent_id", "CHANNEL_PARENT_INVALID_TYPE", "Not a category"));
    }
    let children = state.realm.channels.values().filter(|it| it.parent.as_deref() == Some(parent));
    if children.count() >= PER_CATEGORY {
        let message = "Maximum number of channels in category reached (50)";
        let mut full = one("parent_id", "CHANNEL_PARENT_MAX_CHANNELS", message);
        full.blame = None;
        return Err(full);
    }
    Ok(in_channel(&state.realm, channel, APP))
}

/// Discord changes the names of text channels without a word; a bot should know them as they are.
fn named(state: &mut State, request: &Request, kind: Kind) -> String {
    let given = request.text("name").to_owned();
    if kind != Kind::Text {
        return given;
    }
    let kept =
        |letter: char| letter.is_alphanumeric() || "-_".contains(letter) || !letter.is_ascii();
    let dashed = given.to_lowercase().replace(' ', "-");
    let name: String = dashed.chars().filter(|it| kept(*it)).collect();
    if name != given {
        state.violated(format!("{}: {given:?} becomes {name:?}", request.operation));
    }
    name
}

fn topic(request: &Request) -> Result<&str, Refusal> {
    let topic = request.text("topic");
    if crate::discord_world::schema::length(topic) > TOPIC {
        let message = format!("Must be {TOPIC} or fewer in length.");
        return Err(one("topic", "BASE_TYPE_MAX_LENGTH", message));
    }
    Ok(topic)
}

/// Nobody gives away or takes what they do not have themselves.
fn overwrites(
    state: &State,
    guild: &str,
    given: &[Value],
    has: u64,
) -> Result<Vec<Overwrite>, Refusal> {
    let mut found: Vec<Overwrite> = Vec::new();
    for (number, one) in given.iter().enumerate() {
        let id = one["id"].as_str().unwrap_or_default();
        let at = format!("permission_overwrites/{number}");
        if found.iter().any(|it| it.id == id) {
            return Err(form(&[Problem::new(&at, "DUPLICATE", "twice the same id")]));
        }
        found.push(read_overwrite(state, guild, id, one, has)?);
    }
    Ok(found)
}

fn read_overwrite(
    state: &State,
    guild: &str,
    id: &str,
    given: &Value,
    has: u64,
) -> Result<Overwrite, Refusal> {
    let bits = |name: &str| {
        let value = &given[name];
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
    };
    let member = given["type"] == 1;
    let guild = &state.realm.guilds[guild];
    let known = if member { guild.members.contains_key(id) } else { guild.roles.contains_key(id) };
    if !known {
        let what = if member { 10013 } else { 10011 };
        // Who has left was there once; who never lived is a mistake.
        return Err(match state.realm.users.contains_key(id) {
            true => circumstance(what),
            false => refuse(what, format!("an overwrite for {id}, whom nobody knows")),
        });
    }
    let overwrite =
        Overwrite { id: id.to_owned(), member, allow: bits("allow"), deny: bits("deny") };
    if overwrite.allow & overwrite.deny != 0 {
        return Err(refuse(50035, format!("an overwrite for {id} allows what it denies")));
    }
    lacking(has, overwrite.allow | overwrite.deny, "permission overwrites")?;
    Ok(overwrite)
}

pub(super) fn overwrite(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, MANAGE_ROLES)?;
    let (id, guild) = (channel.id.clone(), guild_of(channel)?);
    let has = in_channel(&state.realm, channel, APP);
    let made = read_overwrite(state, &guild, request.id("overwrite_id"), &request.body, has)?;
    let channel = state.realm.channel_mut(&id);
    channel.overwrites.retain(|it| it.id != made.id);
    channel.overwrites.push(made);
    nothing()
}

pub(super) fn lift(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, MANAGE_ROLES)?;
    let (id, of) = (channel.id.clone(), request.id("overwrite_id").to_owned());
    guild_of(channel)?;
    if !channel.overwrites.iter().any(|it| it.id == of) {
        return Err(refuse(10009, format!("{}: {of} has none", request.operation)));
    }
    state.realm.channel_mut(&id).overwrites.retain(|it| it.id != of);
    nothing()
}

fn guild_of(channel: &Channel) -> Result<String, Refusal> {
    match &channel.guild {
        Some(guild) if !channel.kind.is_thread() => Ok(guild.clone()),
        Some(_) => Err(refuse(50024, format!("{} is a thread", channel.name))),
        None => Err(refuse(50003, "a conversation in private")),
    }
}

pub(super) fn update(state: &mut State, request: &Request, now: Duration) -> Answer {
    let channel = reach(state, request, 0)?.clone();
    if channel.kind.is_thread() {
        return update_thread(state, request, &channel);
    }
    let guild = guild_of(&channel)?;
    reach(state, request, MANAGE_CHANNELS)?;
    let mut after = channel.clone();
    if let Some(given) = request.body["permission_overwrites"].as_array() {
        let has = in_channel(&state.realm, &channel, APP);
        lacking(has, MANAGE_ROLES, "update_channel with overwrites")?;
        after.overwrites = overwrites(state, &guild, given, has)?;
    }
    if request.gives("parent_id") {
        let parent = request.body["parent_id"].as_str().map(str::to_owned);
        if let Some(parent) = parent.as_ref().filter(|it| channel.parent.as_ref() != Some(it)) {
            let may = under(state, request, &guild, (channel.kind, parent))?;
            lacking(may, MANAGE_CHANNELS, "moving a channel into a category")?;
        }
        after.parent = parent;
    }
    if request.gives("topic") {
        topic(request)?.clone_into(&mut after.topic);
    }
    if !request.text("name").is_empty() {
        after.name = named(state, request, channel.kind);
    }
    if let Some(position) = request.body["position"].as_u64() {
        after.position = position;
    }
    renamed(state, &channel, &mut after, now)?;
    state.realm.channels.insert(after.id.clone(), after.clone());
    ok(render::channel(&after, &state.realm))
}

/// Twice in ten minutes and no more, so nothing that is alive belongs into a name.
fn renamed(
    state: &mut State,
    before: &Channel,
    after: &mut Channel,
    now: Duration,
) -> Result<(), Refusal> {
    if before.name == after.name && before.topic == after.topic {
        return Ok(());
    }
    if state.setup.rate_limits {
        let standing = state.rates.count_rename(&before.id, now);
        if standing.exceeded.is_some() {
            let mut refusal = circumstance(20028);
            refusal.body["retry_after"] = json!(standing.reset_after);
            refusal.body["global"] = json!(false);
            return Err(refusal);
        }
    }
    if before.name != after.name {
        state.smells.push(format!("#{} was renamed to #{}", before.name, after.name));
        after.earlier_names.push(before.name.clone());
    }
    Ok(())
}

fn update_thread(state: &mut State, request: &Request, thread: &Channel) -> Answer {
    let mine = thread.with.as_deref() == Some(APP) && !thread.locked;
    let only_archives = !request.gives("locked") && !request.gives("name");
    let needed = if mine && only_archives { 0 } else { MANAGE_THREADS };
    reach(state, request, needed)?;
    if thread.archived && request.body["archived"] != false {
        return Err(refuse(50083, format!("{} is archived", thread.name)));
    }
    let mut after = thread.clone();
    if let Some(archived) = request.body["archived"].as_bool() {
        after.archived = archived;
    }
    if let Some(locked) = request.body["locked"].as_bool() {
        after.locked = locked;
    }
    if !request.text("name").is_empty() {
        request.text("name").clone_into(&mut after.name);
        state.smells.push(format!("the thread {} was renamed to {}", thread.name, after.name));
    }
    state.realm.channels.insert(after.id.clone(), after.clone());
    ok(render::channel(&after, &state.realm))
}

pub(super) fn delete(state: &mut State, request: &Request) -> Answer {
    let channel = reach(state, request, 0)?.clone();
    let needed = if channel.kind.is_thread() { MANAGE_THREADS } else { MANAGE_CHANNELS };
    if channel.guild.is_none() {
        return Err(refuse(50003, "delete_channel: a conversation in private"));
    }
    reach(state, request, needed)?;
    let shown = render::channel(&channel, &state.realm);
    state.realm.deletes_channel(&channel.id);
    ok(shown)
}

/// Positions, and parents, of several at once.
pub(super) fn reorder(state: &mut State, request: &Request) -> Answer {
    let guild = guild(state, request)?.id.clone();
    lacking(in_guild(&state.realm, &guild, APP), MANAGE_CHANNELS, &request.operation)?;
    for given in request.body.as_array().into_iter().flatten() {
        let id = given["id"].as_str().unwrap_or_default();
        let channel = channel_for(state, id, 0, &request.operation)?.clone();
        if let Some(parent) = given["parent_id"].as_str() {
            under(state, request, &guild, (channel.kind, parent))?;
            state.realm.channel_mut(id).parent = Some(parent.to_owned());
        }
        if let Some(position) = given["position"].as_u64() {
            state.realm.channel_mut(id).position = position;
        }
    }
    nothing()
}

pub(super) fn thread(state: &mut State, request: &Request, now: Duration) -> Answer {
    let kind = Kind::of(request.body["type"].as_u64().unwrap_or(12));
    let Some(kind @ (Kind::PublicThread | Kind::PrivateThread)) = kind else {
        return Err(refuse(50024, "create_thread: no kind of thread"));
    };
    let private = kind == Kind::PrivateThread;
    let needed = if private { CREATE_PRIVATE_THREADS } else { CREATE_PUBLIC_THREADS };
    let parent = reach(state, request, needed)?.clone();
    let id = state.snowflake(now);
    start(state, (&parent, &id, kind), request, now)
}

/// It has the id of its message, and each message has one at most.
pub(super) fn thread_from(state: &mut State, request: &Request, now: Duration) -> Answer {
    let parent = reach(state, request, CREATE_PUBLIC_THREADS | READ_MESSAGE_HISTORY)?.clone();
    let message = message_of(state, request)?;
    if state.realm.channels.contains_key(&message.id) {
        return Err(refuse(160004, "create_thread_from_message: it has one already"));
    }
    start(state, (&parent, &message.id, Kind::PublicThread), request, now)
}

/// Whoever is put into a thread has to see the channel that it hangs in.
pub(super) fn thread_member(state: &mut State, request: &Request) -> Answer {
    let thread = reach(state, request, SEND_MESSAGES_IN_THREADS)?.clone();
    if !thread.kind.is_thread() {
        return Err(refuse(50024, format!("add_thread_member: {} is no thread", thread.name)));
    }
    if thread.archived {
        return Err(refuse(50083, format!("{} is archived", thread.name)));
    }
    let user = request.id("user_id").to_owned();
    if !state.realm.users.contains_key(&user) {
        return Err(refuse(10013, format!("add_thread_member: {user} is invented")));
    }
    if in_channel(&state.realm, &thread, &user) & VIEW_CHANNEL == 0 {
        return Err(circumstance(50001));
    }
    state.realm.channel_mut(&thread.id).joined.insert(user);
    nothing()
}

fn start(
    state: &mut State,
    (parent, id, kind): (&Channel, &str, Kind),
    request: &Request,
    now: Duration,
) -> Answer {
    if parent.kind != Kind::Text {
        return Err(refuse(50024, format!("no threads in {}", parent.name)));
    }
    let mut thread = Channel::new(id, parent.guild.as_deref(), kind, request.text("name"));
    thread.parent = Some(parent.id.clone());
    thread.with = Some(APP.to_owned());
    let shown = render::channel(&thread, &state.realm);
    let said = Content { text: thread.name.clone(), ..Content::default() };
    state.realm.channels.insert(id.to_owned(), thread);
    if kind == Kind::PublicThread {
        let mut notice = Message::new(&state.snowflake(now), APP, said, now);
        notice.kind = 18;
        state.realm.channel_mut(&parent.id).messages.push(notice);
    }
    made(shown)
}
