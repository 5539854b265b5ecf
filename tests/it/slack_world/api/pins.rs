//! Pins and bookmarks: what stays at the top of a room.

use serde_json::{Value, json};

use super::{Answer, Refusal, Request, refused, wrong};
use crate::slack_world::workspace::BOT_USER;

fn pinned(request: &Request) -> Result<(String, String), Refusal> {
    let channel = request.open("channel")?;
    let ts = request.text("timestamp");
    if ts.is_empty() {
        return Err(wrong("no_item_specified", "`timestamp` is empty"));
    }
    if ts.parse::<f64>().is_err() {
        return Err(wrong("bad_timestamp", format!("{ts:?}")));
    }
    channel.message(ts).ok_or_else(|| refused("message_not_found"))?;
    Ok((channel.id.clone(), ts.to_owned()))
}

pub(super) fn add(request: &mut Request) -> Answer {
    let (id, ts) = pinned(request)?;
    let pins = &mut request.channel_mut(&id).pins;
    if pins.contains(&ts) {
        return Err(refused("already_pinned"));
    }
    if pins.len() >= 100 {
        return Err(refused("too_many_pins"));
    }
    pins.push(ts);
    Ok(json!({}))
}

pub(super) fn remove(request: &mut Request) -> Answer {
    let (id, ts) = pinned(request)?;
    let pins = &mut request.channel_mut(&id).pins;
    let before = pins.len();
    pins.retain(|pin| *pin != ts);
    if pins.len() == before { Err(refused("no_pin")) } else { Ok(json!({})) }
}

pub(super) fn list(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    if !channel.has(BOT_USER) {
        return Err(refused("not_in_channel"));
    }
    let shown = channel.pins.iter().filter_map(|ts| channel.message(ts)).map(|message| {
        json!({
            "type": "message", "channel": channel.id, "created": message.at.as_secs(),
            "created_by": BOT_USER, "message": message.to_json(&message.content, false),
        })
    });
    Ok(json!({"items": shown.collect::<Vec<_>>()}))
}

/// A bookmark's channel comes as `channel_id`.
pub(super) fn bookmarks_add(request: &mut Request) -> Answer {
    let id = request.open("channel_id")?.id.clone();
    let (title, link) = (request.text("title").to_owned(), request.text("link").to_owned());
    if request.text("type") != "link" {
        return Err(wrong("invalid_bookmark_type", "only `link` is for apps"));
    }
    if title.is_empty() {
        return Err(wrong("invalid_arguments", "`title` is empty"));
    }
    if !["http://", "https://"].iter().any(|scheme| link.starts_with(scheme)) {
        return Err(wrong("invalid_link", format!("{link:?}")));
    }
    let emoji = request.text("emoji").to_owned();
    let named = emoji.len() > 2 && emoji.starts_with(':') && emoji.ends_with(':');
    if !emoji.is_empty() && !named {
        return Err(wrong("invalid_emoji", format!("{emoji:?}")));
    }
    let bookmark = json!({
        "id": format!("Bk{}", request.state.serial()), "channel_id": id, "title": title,
        "link": link, "emoji": emoji, "type": "link", "date_created": request.now.as_secs(),
        "date_updated": 0, "rank": "a", "last_updated_by_user_id": BOT_USER,
    });
    let bookmarks = &mut request.channel_mut(&id).bookmarks;
    if bookmarks.len() >= 100 {
        return Err(refused("too_many_bookmarks"));
    }
    bookmarks.push(bookmark.clone());
    Ok(json!({"bookmark": bookmark}))
}

pub(super) fn bookmarks_list(request: &mut Request) -> Answer {
    let channel = request.visible("channel_id")?;
    if !channel.has(BOT_USER) {
        return Err(refused("channel_not_found"));
    }
    Ok(json!({"bookmarks": Value::from(channel.bookmarks.clone())}))
}
