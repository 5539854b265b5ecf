//! Guilds, their members and roles, and conversations with one person.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, ok, unknown};
use crate::discord_world::permissions::{VIEW_CHANNEL, in_channel, in_guild};
use crate::discord_world::realm::{APP, Channel, Guild, Kind};
use crate::discord_world::refusal::{Refusal, one, refuse};
use crate::discord_world::render;
use crate::discord_world::request::Request;
use crate::discord_world::schema::is_snowflake;
use crate::discord_world::state::State;

pub(super) fn gateway(base: &str) -> String {
    base.replacen("http", "ws", 1)
}

pub(super) fn bot_gateway((left, until): (u32, Duration), base: &str) -> Value {
    let until = u64::try_from(until.as_millis()).expect("less than a day");
    let limit = json!({
        "total": 1000, "remaining": left, "reset_after": until, "max_concurrency": 1,
    });
    json!({"url": gateway(base), "shards": 1, "session_start_limit": limit})
}

/// A guild in which the bot is; of others it learns nothing.
pub(super) fn guild<'a>(state: &'a State, request: &Request) -> Result<&'a Guild, Refusal> {
    let id = request.id("guild_id");
    let found = state.realm.guilds.get(id).filter(|it| it.members.contains_key(APP));
    found.ok_or_else(|| refuse(10004, format!("{}: not in the guild {id}", request.operation)))
}

pub(super) fn get(state: &mut State, request: &Request) -> Answer {
    ok(render::guild(guild(state, request)?))
}

pub(super) fn roles(state: &mut State, request: &Request) -> Answer {
    ok(Value::Array(render::roles(guild(state, request)?)))
}

pub(super) fn mine(state: &mut State) -> Answer {
    let realm = &state.realm;
    let own = realm.guilds.values().filter(|it| it.members.contains_key(APP));
    let listed = own.map(|it| {
        json!({
            "id": it.id, "name": it.name, "icon": null, "banner": null, "owner": false,
            "permissions": in_guild(realm, &it.id, APP).to_string(), "features": [],
        })
    });
    ok(listed.collect())
}

pub(super) fn user(state: &mut State, request: &Request) -> Answer {
    let id = request.id("user_id");
    let found = state.realm.users.get(id);
    let found = found.ok_or_else(|| unknown(state, 10013, id, "get_user"))?;
    ok(render::user(found))
}

pub(super) fn member(state: &mut State, request: &Request) -> Answer {
    let (guild, user) = (guild(state, request)?, request.id("user_id"));
    if !state.realm.users.contains_key(user) {
        return Err(refuse(10013, format!("get_guild_member: {user} is invented")));
    }
    if !guild.members.contains_key(user) {
        // Who has left can be asked for at any time.
        return Err(crate::discord_world::refusal::circumstance(10007));
    }
    ok(render::member(&state.realm, &guild.id, user))
}

/// All of them, also those that the bot does not see; threads are listed elsewhere.
pub(super) fn channels(state: &mut State, request: &Request) -> Answer {
    let guild = guild(state, request)?;
    let own = |it: &&Channel| it.guild.as_ref() == Some(&guild.id) && !it.kind.is_thread();
    let realm = &state.realm;
    ok(realm.channels.values().filter(own).map(|it| render::channel(it, realm)).collect())
}

pub(super) fn threads(state: &mut State, request: &Request) -> Answer {
    let guild = guild(state, request)?;
    let realm = &state.realm;
    let active = realm.channels.values().filter(|it| {
        let seen = in_channel(realm, it, APP) & VIEW_CHANNEL != 0;
        it.guild.as_ref() == Some(&guild.id) && it.kind.is_thread() && !it.archived && seen
    });
    let active: Vec<Value> = active.map(|it| render::channel(it, realm)).collect();
    ok(json!({"threads": active, "members": []}))
}

pub(super) fn create_dm(state: &mut State, request: &Request, now: Duration) -> Answer {
    let with = request.text("recipient_id").to_owned();
    if with == APP || !is_snowflake(&with) || !state.realm.users.contains_key(&with) {
        return Err(one(
            "recipient_id",
            "CANNOT_MESSAGE_USER",
            "Cannot send messages to this user",
        ));
    }
    let meets = state
        .realm
        .guilds
        .values()
        .any(|it| it.members.contains_key(APP) && it.members.contains_key(&with));
    if !meets {
        return Err(refuse(50007, format!("create_dm: no guild in common with {with}")));
    }
    let known = |it: &&Channel| it.kind == Kind::Dm && it.with.as_deref() == Some(&with);
    let id = match state.realm.channels.values().find(known) {
        Some(channel) => channel.id.clone(),
        None => state.opens_dm(&with, now),
    };
    ok(render::channel(&state.realm.channels[&id], &state.realm))
}

impl State {
    /// The conversation of this person with the bot.
    pub(in crate::discord_world) fn opens_dm(&mut self, user: &str, now: Duration) -> String {
        let name = format!("dm-{}", self.realm.users[user].name);
        let id = self.snowflake(now);
        let mut channel = Channel::new(&id, None, Kind::Dm, &name);
        channel.with = Some(user.to_owned());
        self.realm.channels.insert(id.clone(), channel);
        id
    }
}
