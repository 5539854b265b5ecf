//! What can be read on the screens: messages as plain text, transcripts, and the end of a test.

use serde_json::Value;

use super::markup;
use super::realm::{Channel, Content, Message, Realm};
use super::state::{Modal, State};

/// As a person reads it: the text, the embeds below it, files and buttons in brackets.
pub(crate) fn readable(content: &Content, realm: &Realm) -> String {
    let mut lines = vec![markup::plain(&content.text, realm)];
    lines.extend(content.embeds.iter().map(|it| embed(it, realm)));
    lines.extend(content.attachments.iter().map(|it| format!("({})", it.name)));
    lines.extend(content.components.iter().map(row));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn embed(embed: &Value, realm: &Realm) -> String {
    let text = |value: &Value| markup::plain(value.as_str().unwrap_or_default(), realm);
    let mut lines =
        vec![text(&embed["author"]["name"]), text(&embed["title"]), text(&embed["description"])];
    for field in embed["fields"].as_array().into_iter().flatten() {
        lines.push(format!("{}: {}", text(&field["name"]), text(&field["value"])));
    }
    lines.push(text(&embed["footer"]["text"]));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn row(row: &Value) -> String {
    let shown = row["components"].as_array().into_iter().flatten().map(|element| {
        let named = ["label", "placeholder", "custom_id"].map(|it| element[it].as_str());
        let name = named.into_iter().flatten().next().unwrap_or_default();
        let mark = if element["disabled"] == true { "×" } else { "" };
        if element["type"] == 2 {
            format!("[ {name}{mark} ]")
        } else {
            format!("[ {name} ▾{mark} ]")
        }
    });
    shown.collect::<Vec<_>>().join("  ")
}

/// What is written there, with or without the signs that make it bold.
pub(super) fn holds(content: &Content, realm: &Realm, wanted: &str) -> bool {
    let shown = readable(content, realm);
    shown.contains(wanted) || markup::bare(&shown).contains(wanted)
}

pub(super) fn form(modal: &Modal) -> String {
    let mut lines = vec![modal.body["title"].as_str().unwrap_or_default().to_owned()];
    for row in modal.body["components"].as_array().into_iter().flatten() {
        let inputs = row["components"].as_array().into_iter().flatten();
        lines.extend(inputs.map(|input| {
            let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
            let given = if text("value").is_empty() { text("placeholder") } else { text("value") };
            format!("{}: {given}", text("label"))
        }));
    }
    lines.join("\n")
}

/// A channel from top to bottom.
pub(crate) fn transcript(channel: &Channel, realm: &Realm) -> String {
    let mut lines = Vec::new();
    for message in channel.shown() {
        said(message, realm, &mut lines);
    }
    lines.join("\n")
}

fn said(message: &Message, realm: &Realm, lines: &mut Vec<String>) {
    let name = realm.users.get(&message.author).map_or("?", |user| user.name.as_str());
    let edited = if message.edited.is_some() { " (edited)" } else { "" };
    let text = match message.kind {
        6 => "pinned a message".to_owned(),
        18 => format!("started a thread: {}", message.content.text),
        _ => readable(&message.content, realm),
    };
    for (number, line) in text.lines().enumerate() {
        let who = if number == 0 { format!("{name}{edited}: ") } else { "    ".to_owned() };
        lines.push(format!("{who}{line}"));
    }
}

/// For a test that has failed: all that was said, opened and called.
pub(super) fn everything(state: &State) -> String {
    let realm = &state.realm;
    let mut shown = Vec::new();
    for channel in realm.channels.values().filter(|it| !it.messages.is_empty()) {
        shown.push(format!("#{}\n{}", channel.name, transcript(channel, realm)));
        for note in channel.messages.iter().filter(|it| it.only_for.is_some() && !it.deleted) {
            let user = note.only_for.as_ref().and_then(|id| realm.users.get(id));
            let name = user.map_or("?", |user| user.name.as_str());
            let thinking = if note.thinking { "tminus is thinking…" } else { "" };
            let text = readable(&note.content, realm);
            shown.push(format!("only {name} sees: {thinking}{text}"));
        }
    }
    for modal in state.modals.values().filter(|it| it.open) {
        shown.push(format!("{} has open: {}", modal.user, form(modal)));
    }
    for call in state.calls.iter().rev().take(16).rev() {
        let error = call.answer["message"].as_str().unwrap_or("ok");
        shown.push(format!("called {}: {} {error}", call.operation, call.status));
    }
    let last = state.deeds.iter().rev().take(6).rev();
    shown.extend(last.map(|deed| format!("{}: {:?}", deed.what, deed.outcome)));
    shown.extend(state.violations.iter().map(|it| format!("violated: {it}")));
    shown.join("\n")
}
