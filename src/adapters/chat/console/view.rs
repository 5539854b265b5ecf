//! What a page is told, as JSON: the board as one person may see it.

use serde_json::{Value, json};

use super::board::{Author, Board, Channel, Entry, Fact, Kind, Shown};
use super::settings::{Access, ConsoleSettings};

/// Messages per channel that a page gets at once; it asks for earlier ones.
const PAGE: usize = 200;

pub(super) fn state(board: &Board, settings: &ConsoleSettings, person: &str) -> Value {
    let people = settings
        .people
        .iter()
        .map(|who| json!({ "id": who.id, "name": who.name, "about": who.about }));
    let channels: Vec<_> =
        board.visible_to(person).map(|channel| channel_in_full(channel, settings)).collect();
    json!({
        "journal": board.journal,
        "seq": board.seq(),
        "as": person,
        "people": people.collect::<Vec<_>>(),
        "switcher": settings.access == Access::Switcher,
        "slash": settings.slash,
        "bot": settings.bot,
        "channels": channels,
    })
}

/// The page of messages that ends before the message `before`.
pub(super) fn earlier(channel: &Channel, settings: &ConsoleSettings, before: u64) -> Value {
    let end = channel.messages.partition_point(|shown| shown.seq < before);
    let start = end.saturating_sub(PAGE);
    let messages = channel.messages[start..end].iter();
    let messages: Vec<_> = messages.map(|shown| message(shown, settings)).collect();
    json!({ "messages": messages, "earlier": start > 0 })
}

/// A change as this person sees it: the event's name and its data; nothing if it is not theirs.
pub(super) fn event(
    entry: &Entry,
    board: &Board,
    settings: &ConsoleSettings,
    person: &str,
) -> Option<(&'static str, Value)> {
    let room_id;
    let (name, id) = match &entry.fact {
        Fact::Posted { channel, .. } | Fact::Said { channel, .. } => ("posted", channel),
        Fact::Edited { at, .. } => ("edited", &at.channel),
        Fact::Pinned { at } => ("pinned", &at.channel),
        Fact::Opened { .. } => {
            room_id = super::board::room_id(entry.seq);
            ("room", &room_id)
        }
        Fact::Invited { channel, .. } => ("room", channel),
        Fact::Topic { channel, .. } => ("topic", channel),
        Fact::Archived { channel } => ("archived", channel),
    };
    let channel = board.channel(id).filter(|channel| channel.is_visible_to(person))?;
    Some((name, event_data(entry, channel, settings)))
}

fn event_data(entry: &Entry, channel: &Channel, settings: &ConsoleSettings) -> Value {
    let mut data = match &entry.fact {
        Fact::Posted { .. } | Fact::Said { .. } => {
            let shown = channel.messages.binary_search_by_key(&entry.seq, |shown| shown.seq);
            let shown = shown.ok().map(|at| message(&channel.messages[at], settings));
            json!({ "message": shown })
        }
        Fact::Edited { at, .. } | Fact::Pinned { at } => {
            json!({ "message": channel.message(&at.message).map(|at| message(at, settings)) })
        }
        Fact::Opened { .. } | Fact::Invited { .. } => json!({ "room": about(channel) }),
        Fact::Topic { topic, .. } => json!({ "topic": topic }),
        Fact::Archived { .. } => json!({}),
    };
    data["channel"] = json!(channel.id);
    data["seq"] = json!(entry.seq);
    data
}

/// What is archived is loaded when somebody looks at it.
fn channel_in_full(channel: &Channel, settings: &ConsoleSettings) -> Value {
    let mut view = about(channel);
    let page = if channel.archived {
        json!({ "messages": [], "earlier": !channel.messages.is_empty() })
    } else {
        earlier(channel, settings, u64::MAX)
    };
    view["messages"] = page["messages"].clone();
    view["earlier"] = page["earlier"].clone();
    let pins = channel.pins.iter().filter_map(|id| channel.message(id));
    view["pins"] = pins.map(|shown| message(shown, settings)).collect();
    view
}

fn about(channel: &Channel) -> Value {
    let kind = match channel.kind {
        Kind::Channel => "channel",
        Kind::Room => "room",
        Kind::Direct(_) => "direct",
    };
    json!({
        "id": channel.id,
        "name": channel.name,
        "kind": kind,
        "topic": channel.topic,
        "purpose": channel.purpose,
        "members": channel.members,
        "archived": channel.archived,
    })
}

fn message(shown: &Shown, settings: &ConsoleSettings) -> Value {
    let by = match &shown.by {
        Author::Bot => json!({ "bot": true, "name": settings.bot }),
        Author::Person(id) => {
            let known = settings.person(id);
            json!({ "bot": false, "id": id, "name": known.map_or(id, |known| &known.name) })
        }
    };
    json!({
        "id": shown.id(),
        "seq": shown.seq,
        "at": shown.at,
        "by": by,
        "edited": shown.edited,
        "message": shown.message,
    })
}
