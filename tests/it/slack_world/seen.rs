//! What can be read on the screens: messages as plain text, transcripts, and the end of a test.

use serde_json::Value;

use super::markup;
use super::state::State;
use super::workspace::{Channel, Content, Message, Workspace};

/// As a person reads it: the blocks if there are any, buttons in brackets, else the text.
pub(crate) fn readable(content: &Content, workspace: &Workspace) -> String {
    let blocks = content.all_blocks();
    let Some(blocks) = blocks.as_array().filter(|list| !list.is_empty()) else {
        return markup::plain(&content.text, workspace);
    };
    let lines = blocks.iter().map(|block| line(block, workspace));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

pub(super) fn line(block: &Value, workspace: &Workspace) -> String {
    let kind = block["type"].as_str().unwrap_or_default();
    if kind == "divider" {
        return "———".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    for part in [&block["text"], &block["label"], &block["title"]] {
        parts.extend(text(part, workspace));
    }
    let fields = block["fields"].as_array().into_iter().flatten();
    parts.extend(fields.filter_map(|field| text(field, workspace)));
    let elements = block["elements"].as_array().into_iter().flatten();
    let elements = elements.chain([&block["accessory"], &block["element"]]);
    parts.extend(elements.filter_map(|element| shown(element, workspace)));
    let between = if kind == "context" { " " } else { "  " };
    parts.join(between)
}

fn text(part: &Value, workspace: &Workspace) -> Option<String> {
    let written = part.as_str().or_else(|| part["text"].as_str())?;
    Some(markup::plain(written, workspace))
}

fn shown(element: &Value, workspace: &Workspace) -> Option<String> {
    let kind = element["type"].as_str()?;
    let own = text(&element["text"], workspace);
    let hint = text(&element["placeholder"], workspace);
    Some(match kind {
        "button" => format!("[ {} ]", own.unwrap_or_default()),
        "mrkdwn" | "plain_text" => text(element, workspace).unwrap_or_default(),
        "image" => format!("({})", element["alt_text"].as_str().unwrap_or_default()),
        _ if kind.starts_with("rich_text") => rich(element, workspace),
        _ => format!("[ {} ▾ ]", hint.unwrap_or_else(|| kind.to_owned())),
    })
}

fn rich(element: &Value, workspace: &Workspace) -> String {
    let parts = element["elements"].as_array().into_iter().flatten();
    let spoken = parts.map(|part| {
        let user = part["user_id"].as_str().and_then(|id| workspace.users.get(id));
        let group = part["usergroup_id"].as_str().and_then(|id| workspace.groups.get(id));
        let channel = part["channel_id"].as_str().and_then(|id| workspace.channels.get(id));
        let name = user.map(|user| format!("@{}", user.name));
        let name = name.or(group.map(|group| format!("@{}", group.handle)));
        let name = name.or(channel.map(|channel| format!("#{}", channel.name)));
        if part["type"] == "rich_text_section" && element["type"] == "rich_text_list" {
            return format!("\n• {}", rich(part, workspace));
        }
        let own = part["text"].as_str().map(str::to_owned);
        let fallback = part["fallback"].as_str().map(str::to_owned);
        name.or(own).or(fallback).unwrap_or_else(|| rich(part, workspace))
    });
    spoken.collect()
}

/// Everything that a search in Slack would find in it: what is shown, and the fallback.
pub(super) fn holds(content: &Content, workspace: &Workspace, wanted: &str) -> bool {
    readable(content, workspace).contains(wanted)
        || markup::plain(&content.text, workspace).contains(wanted)
}

/// A channel from top to bottom, threads indented below their start.
pub(crate) fn transcript(channel: &Channel, workspace: &Workspace) -> String {
    let mut lines = Vec::new();
    let tops = channel.messages.iter().filter(|it| it.thread_ts.is_none() && !it.deleted);
    for top in tops {
        said(top, "", workspace, &mut lines);
        let below = |it: &&Message| it.thread_ts.as_ref() == Some(&top.ts) && !it.deleted;
        for reply in channel.messages.iter().filter(below) {
            said(reply, "    ", workspace, &mut lines);
        }
    }
    lines.join("\n")
}

fn said(message: &Message, indent: &str, workspace: &Workspace, lines: &mut Vec<String>) {
    let name = workspace.users.get(&message.user).map_or("?", |user| user.name.as_str());
    let edited = if message.edited.is_some() { " (edited)" } else { "" };
    let text = readable(&message.content, workspace);
    for (number, line) in text.lines().enumerate() {
        let who = if number == 0 { format!("{name}{edited}: ") } else { "    ".to_owned() };
        lines.push(format!("{indent}{who}{line}"));
    }
    let files = message.files.iter().filter_map(|it| it["title"].as_str());
    lines.extend(files.map(|title| format!("{indent}    ({title})")));
}

/// For a test that has failed: all that was said, opened and called.
pub(super) fn everything(state: &State) -> String {
    let workspace = &state.workspace;
    let mut shown = Vec::new();
    for channel in workspace.channels.values().filter(|it| !it.messages.is_empty()) {
        shown.push(format!("#{}\n{}", channel.name, transcript(channel, workspace)));
    }
    for note in &workspace.ephemerals {
        let name = workspace.users.get(&note.user).map_or("?", |user| user.name.as_str());
        shown.push(format!("only {name} sees: {}", readable(&note.content, workspace)));
    }
    for view in workspace.views.values().filter(|it| it.open) {
        shown.push(format!("{} has open: {}", view.user, view.title()));
    }
    for call in state.calls.iter().rev().take(12).rev() {
        shown.push(format!("called {}: {} {}", call.method, call.status, brief(&call.answer)));
    }
    let last = state.deeds.iter().rev().take(6).rev();
    shown.extend(last.map(|deed| format!("{}: {:?}", deed.what, deed.outcome)));
    shown.extend(state.violations.iter().map(|it| format!("violated: {it}")));
    shown.join("\n")
}

fn brief(answer: &Value) -> String {
    answer["error"].as_str().unwrap_or("ok").to_owned()
}
