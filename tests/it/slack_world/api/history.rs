//! Reading what was said: the place where a post with an unknown outcome is looked up.

use serde_json::{Value, json};

use super::{Answer, Refusal, Request, refused, wrong};
use crate::slack_world::workspace::{BOT_USER, Message};

pub(super) fn history(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    if !channel.has(BOT_USER) {
        return Err(refused("not_in_channel"));
    }
    let tops = channel.messages.iter().filter(|it| it.thread_ts.is_none());
    page(request, tops.rev().collect())
}

pub(super) fn replies(request: &mut Request) -> Answer {
    let channel = request.visible("channel")?;
    let root = request.text("ts");
    if !channel.has(BOT_USER) {
        return Err(refused("not_in_channel"));
    }
    if channel.message(root).is_none() {
        return Err(refused("thread_not_found"));
    }
    let own = |it: &&Message| it.ts == root || it.thread_ts.as_deref() == Some(root);
    page(request, channel.messages.iter().filter(own).collect())
}

/// Newest first for a channel, oldest first for a thread, and never more than asked for.
fn page(request: &Request, messages: Vec<&Message>) -> Answer {
    let (oldest, latest) = (bound(request, "oldest")?, bound(request, "latest")?);
    let inclusive = request.args.flag("inclusive");
    let within = |message: &&&Message| {
        let ts = message.ts.as_str();
        let after = oldest.is_none_or(|it| ts > it || (inclusive && ts == it));
        let before = latest.is_none_or(|it| ts < it || (inclusive && ts == it));
        after && before && !message.deleted
    };
    let found: Vec<&&Message> = messages.iter().filter(within).collect();
    let limit = request.args.number("limit").unwrap_or(100);
    if limit == 0 || limit > 999 {
        return Err(wrong("invalid_arguments", "`limit` is 1 to 999"));
    }
    let cursor = request.text("cursor");
    let start = if cursor.is_empty() {
        0
    } else {
        let read = cursor.strip_prefix("next:").and_then(|it| it.parse::<usize>().ok());
        read.ok_or_else(|| wrong("invalid_cursor", "not one of Slack's"))?
    };
    let metadata = request.args.flag("include_all_metadata");
    let shown = found.iter().skip(start).take(limit);
    let shown: Vec<Value> = shown.map(|it| it.to_json(&it.content, metadata)).collect();
    let more = start + shown.len() < found.len();
    let next = if more { format!("next:{}", start + shown.len()) } else { String::new() };
    Ok(json!({
        "messages": shown, "has_more": more, "response_metadata": {"next_cursor": next},
    }))
}

fn bound<'a>(request: &'a Request, name: &str) -> Result<Option<&'a str>, Refusal> {
    let text = request.text(name);
    let error = if name == "oldest" { "invalid_ts_oldest" } else { "invalid_ts_latest" };
    match text {
        "" | "0" => Ok(None),
        _ if text.parse::<f64>().is_ok() => Ok(Some(text)),
        _ => Err(wrong(error, format!("{text:?}"))),
    }
}
