//! `chat.*` and reactions: what the bot says, and how it corrects itself.

use serde_json::json;

use super::content::content;
use super::{Answer, Request, refused, wrong};
use crate::slack_world::workspace::{BOT_USER, Ephemeral, Kind, Message};

pub(super) fn post_message(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let (id, kind) = (channel.id.clone(), channel.kind);
    let (inside, read_only) = (channel.has(BOT_USER), channel.read_only);
    if channel.archived {
        return Err(refused("is_archived"));
    }
    let public = kind == Kind::Public && request.state.setup.scopes.contains("chat:write.public");
    if !inside && !public {
        return Err(refused("not_in_channel"));
    }
    if read_only {
        return Err(refused("restricted_action_read_only_channel"));
    }
    let thread = request.text("thread_ts").to_owned();
    if request.args.flag("reply_broadcast") && thread.is_empty() {
        return Err(wrong("invalid_arguments", "`reply_broadcast` needs `thread_ts`"));
    }
    let root = request.state.workspace.channels[&id].message(&thread);
    if !thread.is_empty() && root.is_none_or(|it| it.thread_ts.is_some()) {
        return Err(wrong("cannot_reply_to_message", "`thread_ts` is not the start of a thread"));
    }
    let content = content(request.state, request.args)?;
    let ts = request.state.ts(request.now);
    let mut message = Message::new(BOT_USER, &ts, content, request.now);
    message.thread_ts = (!thread.is_empty()).then_some(thread);
    let shown = message.to_json(&message.content, true);
    request.channel_mut(&id).messages.push(message);
    request.state.seen_in(&id, request.now);
    Ok(json!({"channel": id, "ts": ts, "message": shown}))
}

pub(super) fn update(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let (id, archived) = (channel.id.clone(), channel.archived);
    let ts = request.text("ts").to_owned();
    let Some(message) = channel.message(&ts) else { return Err(refused("message_not_found")) };
    if !message.is_ours() {
        return Err(wrong("cant_update_message", "somebody else wrote it"));
    }
    if archived {
        return Err(refused("is_inactive"));
    }
    let closes = request.state.setup.windows.edit.map(|window| message.at + window);
    if closes.is_some_and(|closes| request.now > closes) {
        return Err(refused("edit_window_closed"));
    }
    let mut new = content(request.state, request.args)?;
    let (now, edit) = (request.now, request.state.ts(request.now));
    let message = request.channel_mut(&id).message_mut(&ts).expect("it was just there");
    // What an edit does not name, it leaves as it was: metadata; blocks go with the text.
    if new.metadata.is_null() {
        new.metadata = message.content.metadata.clone();
    }
    let old = std::mem::replace(&mut message.content, new);
    message.earlier.push(old);
    message.edited = Some(edit);
    let text = message.content.text.clone();
    let shown = message.to_json(&message.content, true);
    request.state.seen_in(&id, now);
    Ok(json!({"channel": id, "ts": ts, "text": text, "message": shown}))
}

pub(super) fn delete(request: &mut Request) -> Answer {
    let id = request.visible("channel")?.id.clone();
    let ts = request.text("ts").to_owned();
    let message = request.channel_mut(&id).message_mut(&ts);
    let message = message.ok_or_else(|| refused("message_not_found"))?;
    if !message.is_ours() {
        return Err(wrong("cant_delete_message", "somebody else wrote it"));
    }
    message.deleted = true;
    request.channel_mut(&id).pins.retain(|pin| *pin != ts);
    Ok(json!({"channel": id, "ts": ts}))
}

pub(super) fn post_ephemeral(request: &mut Request) -> Answer {
    let channel = request.open("channel")?;
    let (id, user) = (channel.id.clone(), request.text("user").to_owned());
    if !channel.has(&user) {
        return Err(refused("user_not_in_channel"));
    }
    let content = content(request.state, request.args)?;
    let ts = request.state.ts(request.now);
    let (owner, own) = (user.clone(), ts.clone());
    let shown = Ephemeral { user: owner, channel: id, ts: own, content, read: false };
    request.state.workspace.ephemerals.push(shown);
    request.state.seen_by(&user, request.now);
    Ok(json!({"message_ts": ts}))
}

pub(super) fn get_permalink(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let ts = request.text("message_ts");
    let message = channel.message(ts).ok_or_else(|| refused("message_not_found"))?;
    let digits = message.ts.replace('.', "");
    let link = format!("https://home.slack.com/archives/{}/p{digits}", channel.id);
    Ok(json!({"channel": channel.id, "permalink": link}))
}

pub(super) fn react(request: &mut Request) -> Answer {
    let id = request.open("channel")?.id.clone();
    let (ts, name) = (request.text("timestamp").to_owned(), request.text("name").to_owned());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-:'".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(wrong("invalid_name", format!("{name:?} is no name of an emoji")));
    }
    let message = request.channel_mut(&id).message_mut(&ts);
    let message = message.ok_or_else(|| refused("message_not_found"))?;
    if message.reactions.contains(&name) {
        return Err(refused("already_reacted"));
    }
    message.reactions.push(name);
    Ok(json!({}))
}
