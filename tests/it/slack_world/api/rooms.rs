//! `conversations.*`: rooms are made, named, filled and closed.

use serde_json::json;

use super::{Answer, Refusal, Request, refused, wrong};
use crate::slack_world::state::State;
use crate::slack_world::workspace::{BOT_USER, Channel, Kind, OTHER_TEAM, Standing};

pub(super) fn create(request: &mut Request) -> Answer {
    let name = request.text("name").to_owned();
    checked_name(&name)?;
    if request.state.setup.creation_forbidden {
        return Err(refused("restricted_action"));
    }
    taken(request.state, &name)?;
    let id = format!("C{:09}", request.state.serial());
    let kind = if request.args.flag("is_private") { Kind::Private } else { Kind::Public };
    let mut channel = Channel::new(&id, &name, kind, BOT_USER);
    channel.members.insert(BOT_USER.to_owned());
    let shown = channel.to_json();
    request.state.workspace.channels.insert(id, channel);
    Ok(json!({"channel": shown}))
}

/// Slack forgives capitals by lowering them, sometimes; here nothing is forgiven.
fn checked_name(name: &str) -> Result<(), Refusal> {
    let bad = |error| Err(wrong(error, format!("{name:?} is no name of a channel")));
    let fits = |c: char| {
        c == '-' || c == '_' || c.is_ascii_digit() || (c.is_alphabetic() && !c.is_uppercase())
    };
    if name.is_empty() {
        return bad("invalid_name_required");
    }
    if name.chars().count() > 80 {
        return bad("invalid_name_maxlength");
    }
    if !name.chars().all(fits) {
        return bad("invalid_name_specials");
    }
    if !name.chars().any(char::is_alphanumeric) {
        return bad("invalid_name_punctuation");
    }
    Ok(())
}

/// Archived channels and the names of people keep theirs.
fn taken(state: &State, name: &str) -> Result<(), Refusal> {
    let channels = state.workspace.channels.values().map(|it| &it.name);
    let people = state.workspace.users.values().map(|it| &it.name);
    let groups = state.workspace.groups.values().map(|it| &it.handle);
    let known = channels.chain(people).chain(groups).any(|it| it == name);
    if known { Err(refused("name_taken")) } else { Ok(()) }
}

pub(super) fn rename(request: &mut Request) -> Answer {
    let name = request.text("name").to_owned();
    let channel = request.open("channel")?;
    let (id, own) = (channel.id.clone(), channel.creator == BOT_USER);
    if !own {
        return Err(wrong("not_authorized", "the bot did not make this channel"));
    }
    checked_name(&name)?;
    taken(request.state, &name)?;
    let channel = request.channel_mut(&id);
    channel.name = name;
    Ok(json!({"channel": channel.to_json()}))
}

pub(super) fn info(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let mut shown = channel.to_json();
    if request.args.flag("include_num_members") {
        shown["num_members"] = json!(channel.members.len());
    }
    Ok(json!({"channel": shown}))
}

/// It answers, but nobody should have to ask: a workspace may have a hundred thousand.
pub(super) fn list(request: &mut Request) -> Answer {
    request.state.violated("conversations.list: nothing is ever resolved by listing");
    let public = request.state.workspace.channels.values().filter(|it| it.kind == Kind::Public);
    let shown: Vec<_> = public.map(Channel::to_json).collect();
    Ok(json!({"channels": shown, "response_metadata": {"next_cursor": ""}}))
}

/// Where the bot itself is: it never grows beyond what the bot did.
pub(super) fn own(request: &mut Request) -> Answer {
    let hidden = request.args.flag("exclude_archived");
    let start = match request.text("cursor") {
        "" => 0,
        cursor => cursor.strip_prefix("next:").and_then(|it| it.parse().ok()).unwrap_or(0),
    };
    let limit = request.args.number("limit").unwrap_or(100);
    let channels = request.state.workspace.channels.values();
    let own = channels.filter(|it| it.kind == Kind::Public && it.has(BOT_USER));
    let own: Vec<_> = own.filter(|it| !(hidden && it.archived)).map(Channel::to_json).collect();
    let end = (start + limit).min(own.len());
    let next = if end < own.len() { format!("next:{end}") } else { String::new() };
    Ok(json!({"channels": own[start..end], "response_metadata": {"next_cursor": next}}))
}

pub(super) fn members(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let limit = request.args.number("limit").unwrap_or(100);
    let start = match request.text("cursor") {
        "" => 0,
        cursor => {
            let read = cursor.strip_prefix("next:").and_then(|it| it.parse::<usize>().ok());
            read.ok_or_else(|| wrong("invalid_cursor", "not one of Slack's"))?
        }
    };
    let shown: Vec<&String> = channel.members.iter().skip(start).take(limit).collect();
    let end = start + shown.len();
    let more = end < channel.members.len();
    let next = if more { format!("next:{end}") } else { String::new() };
    Ok(json!({"members": shown, "response_metadata": {"next_cursor": next}}))
}

pub(super) fn invite(request: &mut Request) -> Answer {
    let channel = request.open("channel")?;
    let (id, present, shared) = (channel.id.clone(), channel.members.clone(), channel.shared);
    let users: Vec<String> =
        request.text("users").split(',').map(|it| it.trim().to_owned()).collect();
    if users.iter().any(String::is_empty) {
        return Err(wrong("no_user", "`users` is empty"));
    }
    if users.len() > 1000 {
        return Err(wrong("too_many_users", "1000 at most"));
    }
    let mut errors = Vec::new();
    let mut welcome = Vec::new();
    for user in users {
        match invitable(request.state, &user, present.contains(&user), shared) {
            None => welcome.push(user),
            Some(error) => errors.push((user, error)),
        }
    }
    // Without `force`, one who cannot come keeps everybody out.
    if errors.is_empty() || (request.args.flag("force") && !welcome.is_empty()) {
        let channel = request.channel_mut(&id);
        channel.members.extend(welcome);
        return Ok(json!({"channel": channel.to_json()}));
    }
    let mut refusal = refused(errors[0].1);
    let each =
        errors.iter().map(|(user, error)| json!({"user": user, "error": error, "ok": false}));
    refusal.more.insert("errors".to_owned(), each.collect());
    if errors[0].1 == "cant_invite_self" {
        refusal.wrong = Some("the bot is in it already".to_owned());
    }
    Err(refusal)
}

fn invitable(state: &State, user: &str, inside: bool, shared: bool) -> Option<&'static str> {
    if user == BOT_USER {
        return Some("cant_invite_self");
    }
    let Some(known) = state.workspace.users.get(user) else { return Some("user_not_found") };
    if known.team() == OTHER_TEAM && !shared {
        return Some("cant_invite");
    }
    match known.standing {
        _ if inside => Some("already_in_channel"),
        Standing::Deactivated => Some("user_not_found"),
        Standing::SingleChannelGuest => Some("ura_max_channels"),
        Standing::Member
        | Standing::Guest
        | Standing::Stranger
        | Standing::Sister
        | Standing::Bot => None,
    }
}

pub(super) fn join(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let id = channel.id.clone();
    if channel.archived {
        return Err(refused("is_archived"));
    }
    if channel.kind != Kind::Public {
        return Err(refused("method_not_supported_for_channel_type"));
    }
    let already = channel.has(BOT_USER);
    let channel = request.channel_mut(&id);
    channel.members.insert(BOT_USER.to_owned());
    let shown = channel.to_json();
    Ok(if already {
        json!({"channel": shown, "warning": "already_in_channel"})
    } else {
        json!({"channel": shown})
    })
}

pub(super) fn archive(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let id = channel.id.clone();
    if channel.archived {
        return Err(refused("already_archived"));
    }
    if channel.name == "general" {
        return Err(wrong("cant_archive_general", "that one is for everybody"));
    }
    if !channel.has(BOT_USER) {
        return Err(refused("not_in_channel"));
    }
    if channel.creator != BOT_USER {
        request.state.violated(format!("conversations.archive: {id} is somebody else's"));
        return Err(refused("restricted_action"));
    }
    request.channel_mut(&id).archived = true;
    Ok(json!({}))
}

pub(super) fn set_topic(request: &mut Request) -> Answer {
    set(request, "topic")
}

pub(super) fn set_purpose(request: &mut Request) -> Answer {
    set(request, "purpose")
}

fn set(request: &mut Request, what: &str) -> Answer {
    let id = request.open("channel")?.id.clone();
    let text = request.text(what).to_owned();
    if text.chars().count() > 250 {
        return Err(wrong("too_long", format!("the {what} has more than 250 characters")));
    }
    let channel = request.channel_mut(&id);
    if what == "topic" {
        channel.topic = text;
    } else {
        channel.purpose = text;
    }
    Ok(json!({"channel": channel.to_json()}))
}

pub(super) fn open(request: &mut Request) -> Answer {
    let users = request.text("users").to_owned();
    if users.is_empty() {
        return Err(wrong("users_list_not_supplied", "`users` is empty"));
    }
    if users.contains(',') {
        return Err(wrong("method_not_supported_for_channel_type", "no scope for groups"));
    }
    let known = request.state.workspace.users.get(&users);
    let known = known.ok_or_else(|| refused("user_not_found"))?;
    if known.standing == Standing::Deactivated {
        return Err(refused("user_disabled"));
    }
    let id = format!("D{}", &users[1..]);
    let fresh = !request.state.workspace.channels.contains_key(&id);
    if fresh {
        let name = format!("dm-{}", known.name);
        let mut direct = Channel::new(&id, &name, Kind::Direct, BOT_USER);
        direct.members = [BOT_USER.to_owned(), users].into();
        request.state.workspace.channels.insert(id.clone(), direct);
    }
    Ok(json!({"channel": {"id": id}, "already_open": !fresh, "no_op": !fresh}))
}
