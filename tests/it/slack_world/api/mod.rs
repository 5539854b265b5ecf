//! The Web API: which methods there are, what each needs, and the gate before all of them.

mod chat;
mod content;
mod files;
mod history;
mod people;
mod pins;
mod rooms;
mod views;

pub(super) use content::ephemeral_content;
pub(super) use views::{refused_view, replaced, shown};

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::answers;
use super::args::{self, Args};
use super::markup;
use super::rates::Verdict;
use super::state::State;
use super::workspace::{BOT_USER, Channel, Kind};

/// Slack's answer when it does not do what it was asked.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: &'static str,
    /// The bot should have known better.
    pub(super) wrong: Option<String>,
    pub(super) more: Map<String, Value>,
}

pub(super) type Answer = Result<Value, Refusal>;

/// The call itself is wrong.
pub(super) fn wrong(error: &'static str, why: impl Into<String>) -> Refusal {
    Refusal { error, wrong: Some(why.into()), more: Map::new() }
}

/// The call is in order, but the world is not as it would need.
pub(super) fn refused(error: &'static str) -> Refusal {
    Refusal { error, wrong: None, more: Map::new() }
}

pub(super) struct Request<'a> {
    pub(super) state: &'a mut State,
    pub(super) args: &'a Args,
    pub(super) now: Duration,
    pub(super) base: &'a str,
}

impl Request<'_> {
    fn text(&self, name: &str) -> &str {
        self.args.text(name)
    }

    /// A channel that the bot can see: private ones only from within.
    fn visible(&self, name: &str) -> Result<&Channel, Refusal> {
        let id = self.text(name);
        if id.starts_with('#') || id.chars().any(|c| c.is_ascii_lowercase()) {
            return Err(wrong("channel_not_found", format!("{id:?} is a name; ids last")));
        }
        let found = self.state.workspace.channels.get(id);
        let found = found.filter(|it| it.kind == Kind::Public || it.has(BOT_USER));
        found.ok_or_else(|| refused("channel_not_found"))
    }

    /// Where something is about to change: the bot is in it, and it is not archived.
    fn open(&self, name: &str) -> Result<&Channel, Refusal> {
        let channel = self.visible(name)?;
        if channel.archived {
            return Err(refused("is_archived"));
        }
        if !channel.has(BOT_USER) {
            return Err(refused("not_in_channel"));
        }
        Ok(channel)
    }

    fn channel_mut(&mut self, id: &str) -> &mut Channel {
        self.state.workspace.channels.get_mut(id).expect("the caller has just seen it")
    }
}

enum Need {
    Nothing,
    One(&'static str),
    /// By the kind of the channel: public, private, direct; any of each list will do.
    ByKind([&'static [&'static str]; 3]),
}

struct Method {
    name: &'static str,
    need: Need,
    /// Reading methods take a form or a query, never a JSON body.
    json: bool,
    run: fn(&mut Request) -> Answer,
}

const MANAGE: Need = Need::ByKind([&["channels:manage"], &["groups:write"], &["im:write"]]);
const READ: Need = Need::ByKind([&["channels:read"], &["groups:read"], &["im:read", "im:write"]]);
const HISTORY: Need = Need::ByKind([&["channels:history"], &["groups:history"], &["im:history"]]);
const INVITE: Need = Need::ByKind([
    &["channels:manage", "channels:write.invites"],
    &["groups:write", "groups:write.invites"],
    &["im:write"],
]);
const TOPIC: Need = Need::ByKind([
    &["channels:manage", "channels:write.topic"],
    &["groups:write", "groups:write.topic"],
    &["im:write", "im:write.topic"],
]);

const fn writes(name: &'static str, need: Need, run: fn(&mut Request) -> Answer) -> Method {
    Method { name, need, json: true, run }
}

const fn reads(name: &'static str, need: Need, run: fn(&mut Request) -> Answer) -> Method {
    Method { name, need, json: false, run }
}

static METHODS: &[Method] = &[
    writes("auth.test", Need::Nothing, people::auth_test),
    writes("apps.connections.open", Need::One("connections:write"), people::connections_open),
    writes("bookmarks.add", Need::One("bookmarks:write"), pins::bookmarks_add),
    writes("bookmarks.list", Need::One("bookmarks:read"), pins::bookmarks_list),
    writes("chat.delete", Need::One("chat:write"), chat::delete),
    reads("chat.getPermalink", Need::Nothing, chat::get_permalink),
    writes("chat.postEphemeral", Need::One("chat:write"), chat::post_ephemeral),
    writes("chat.postMessage", Need::One("chat:write"), chat::post_message),
    writes("chat.update", Need::One("chat:write"), chat::update),
    writes("conversations.archive", MANAGE, rooms::archive),
    writes("conversations.create", MANAGE, rooms::create),
    reads("conversations.history", HISTORY, history::history),
    reads("conversations.info", READ, rooms::info),
    writes("conversations.invite", INVITE, rooms::invite),
    writes("conversations.join", Need::One("channels:join"), rooms::join),
    reads("conversations.list", Need::One("channels:read"), rooms::list),
    reads("conversations.members", READ, rooms::members),
    writes("conversations.open", Need::One("im:write"), rooms::open),
    writes("conversations.rename", MANAGE, rooms::rename),
    reads("conversations.replies", HISTORY, history::replies),
    writes("conversations.setPurpose", TOPIC, rooms::set_purpose),
    writes("conversations.setTopic", TOPIC, rooms::set_topic),
    writes("files.completeUploadExternal", Need::One("files:write"), files::complete),
    reads("files.getUploadURLExternal", Need::One("files:write"), files::upload_url),
    writes("pins.add", Need::One("pins:write"), pins::add),
    reads("pins.list", Need::One("pins:read"), pins::list),
    writes("pins.remove", Need::One("pins:write"), pins::remove),
    writes("reactions.add", Need::One("reactions:write"), chat::react),
    reads("team.info", Need::One("team:read"), people::team_info),
    reads("usergroups.list", Need::One("usergroups:read"), people::groups),
    reads("usergroups.users.list", Need::One("usergroups:read"), people::group_users),
    reads("users.conversations", Need::One("channels:read"), rooms::own),
    reads("users.info", Need::One("users:read"), people::info),
    reads("users.lookupByEmail", Need::One("users:read.email"), people::by_email),
    writes("views.open", Need::Nothing, views::open),
    writes("views.publish", Need::Nothing, views::publish),
    writes("views.push", Need::Nothing, views::push),
    writes("views.update", Need::Nothing, views::update),
];

/// Such a method is posted; `auth.test` may be asked either way.
pub(super) fn writes_something(method: &str) -> bool {
    let known = METHODS.iter().find(|known| known.name == method);
    known.is_some_and(|known| known.json && method != "auth.test")
}

/// How a call came out: the status, what is said, and how long to wait if it was one too many.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) retry_after: Option<u64>,
}

pub(super) fn call(
    state: &mut State,
    method: &str,
    token: &str,
    args: &Result<Args, &'static str>,
    (base, now): (&str, Duration),
) -> Reply {
    let answer = gate(state, method, token, args, (base, now));
    let (status, retry_after, body) = match answer {
        Ok(mut body) => {
            body["ok"] = json!(true);
            for field in answers::undocumented(method, &body) {
                state.violated(format!("the stand-in itself: {method} answers `{field}`"));
            }
            (200, None, body)
        }
        Err(refusal) => {
            let mut body = Value::Object(refusal.more);
            let wait = body.get("retry_after").and_then(Value::as_u64);
            body["ok"] = json!(false);
            body["error"] = json!(refusal.error);
            if let Some(why) = refusal.wrong {
                body["response_metadata"] = json!({"messages": [format!("[ERROR] {why}")]});
                state.violated(format!("{method}: {} ({why})", refusal.error));
            }
            (if wait.is_some() { 429 } else { 200 }, wait, body)
        }
    };
    Reply { status, body, retry_after }
}

fn gate(
    state: &mut State,
    method: &str,
    token: &str,
    args: &Result<Args, &'static str>,
    (base, now): (&str, Duration),
) -> Answer {
    let Some(known) = METHODS.iter().find(|known| known.name == method) else {
        let there = if args::is_documented(method) { "not in this stand-in" } else { "unknown" };
        return Err(wrong("unknown_method", there));
    };
    authorised(state, method, token)?;
    let args = args.as_ref().map_err(|error| wrong(error, "the body cannot be read"))?;
    limited(state, method, args.text("channel"), now)?;
    let channel = ["channel", "channel_id"].map(|name| args.text(name)).concat();
    scoped(state, known, &channel, args.flag("is_private"))?;
    if args.is_json() && !known.json {
        return Err(wrong("invalid_arguments", "this method reads no JSON body"));
    }
    if let Some((error, why)) = args.check(method) {
        return Err(wrong(error, why));
    }
    let secrets = [&state.setup.bot_token, &state.setup.app_token, &state.setup.signing_secret];
    let written = Value::Object(without_token(&args.values)).to_string();
    if markup::holds_secret(&written, &secrets.map(String::as_str)) {
        state.violated(format!("{method}: a secret is in what was sent"));
    }
    (known.run)(&mut Request { state, args, now, base })
}

fn without_token(values: &Map<String, Value>) -> Map<String, Value> {
    let others = values.iter().filter(|(name, _)| *name != "token");
    others.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn authorised(state: &State, method: &str, token: &str) -> Result<(), Refusal> {
    if token.is_empty() {
        return Err(wrong("not_authed", "no token"));
    }
    if state.revoked.contains(token) {
        return Err(refused("token_revoked"));
    }
    let bot = token == state.setup.bot_token;
    let app = token == state.setup.app_token;
    if !bot && !app {
        return Err(refused("invalid_auth"));
    }
    if app != (method == "apps.connections.open") {
        return Err(wrong("not_allowed_token_type", "the other token is for this"));
    }
    Ok(())
}

fn limited(state: &mut State, method: &str, channel: &str, now: Duration) -> Result<(), Refusal> {
    let verdict = if state.setup.rate_limits {
        state.rates.ask(method, channel, now)
    } else {
        let told = state.rates.told(method, channel, now);
        told.map_or(Verdict::Allowed, Verdict::Impatient)
    };
    let (wait, impatient) = match verdict {
        Verdict::Allowed => return Ok(()),
        Verdict::TooMany(wait) => (wait, false),
        Verdict::Impatient(wait) => (wait, true),
    };
    if impatient {
        let crossed = state.rates.crossed(method, channel);
        let what = format!("{method}: called {wait} s before `Retry-After` had passed{crossed}");
        state.violated(what);
    }
    let mut refusal = refused("ratelimited");
    refusal.more.insert("retry_after".to_owned(), json!(wait));
    Err(refusal)
}

fn scoped(state: &State, method: &Method, channel: &str, private: bool) -> Result<(), Refusal> {
    let kind = state.workspace.channels.get(channel).map_or(Kind::Public, |it| it.kind);
    let needed: &[&str] = match &method.need {
        Need::Nothing | Need::One("connections:write") => return Ok(()),
        Need::One(scope) => &[scope],
        Need::ByKind([public, _, _]) if kind == Kind::Public && !private => public,
        Need::ByKind([_, private, _]) if kind != Kind::Direct => private,
        Need::ByKind([_, _, direct]) => direct,
    };
    if needed.iter().any(|scope| state.setup.scopes.contains(*scope)) {
        return Ok(());
    }
    let provided: Vec<&str> = state.setup.scopes.iter().map(String::as_str).collect();
    let mut refusal = wrong("missing_scope", format!("needs {}", needed.join(" or ")));
    refusal.more.insert("needed".to_owned(), json!(needed.join(",")));
    refusal.more.insert("provided".to_owned(), json!(provided.join(",")));
    Err(refusal)
}
