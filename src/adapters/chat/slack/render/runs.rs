//! Runs of text within a block: what rich text is made of, and where it may be split.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::ports::Inline;

/// As it is shown: bold, italic, code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Looks {
    bold: bool,
    italic: bool,
    code: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    what: What,
    looks: Looks,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Text(String),
    Link { url: String, text: String },
    Time { at: i64, text: String },
    Person { id: String, name: String },
    Group { id: String, name: String },
    Channel { id: String, name: String },
}

/// Slack's clients write the reader's own day and time, in words.
const TIME_FORMAT: &str = "{date_long_pretty} {time}";
/// Longer addresses are shown and cannot be pressed.
const LONGEST_URL: usize = 2_000;
/// Beyond this a second count is no time that Slack can show.
const LAST_SECOND: i64 = 9_999_999_999;

/// As Slack counts: an emoji outside of the first plane is two.
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

impl Run {
    pub(super) fn text(text: &str) -> Self {
        Self { what: What::Text(text.to_owned()), looks: Looks::default() }
    }

    pub(super) fn bold(mut self) -> Self {
        self.looks.bold = true;
        self
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.what, What::Text(_)) && !self.looks.code
    }

    /// As it reads without Slack.
    fn plain(&self) -> Cow<'_, str> {
        match &self.what {
            What::Text(text) | What::Time { text, .. } => text.into(),
            What::Link { url, text } if url == text => url.into(),
            What::Link { url, text } => format!("{text} ({url})").into(),
            What::Person { name, .. } | What::Group { name, .. } => {
                format!("@{}", name.trim_start_matches('@')).into()
            }
            What::Channel { name, .. } => format!("#{}", name.trim_start_matches('#')).into(),
        }
    }

    fn length(&self) -> usize {
        length(&self.plain())
    }

    fn element(&self) -> Value {
        let mut value = match &self.what {
            What::Text(text) => json!({"type": "text", "text": text}),
            What::Link { url, text } => json!({"type": "link", "url": url, "text": text}),
            What::Time { at, text } => json!({
                "type": "date", "timestamp": at, "format": TIME_FORMAT, "fallback": text,
            }),
            What::Person { id, .. } => json!({"type": "user", "user_id": id}),
            What::Group { id, .. } => json!({"type": "usergroup", "usergroup_id": id}),
            What::Channel { id, .. } => json!({"type": "channel", "channel_id": id}),
        };
        let Looks { bold, italic, code } = self.looks;
        for (name, is_set) in [("bold", bold), ("italic", italic), ("code", code)] {
            // A channel or a person has no code style.
            let fits = name != "code" || matches!(self.what, What::Text(_) | What::Link { .. });
            if is_set && fits {
                value["style"][name] = json!(true);
            }
        }
        value
    }
}

pub(super) fn elements(runs: &[Run]) -> Vec<Value> {
    runs.iter().map(Run::element).collect()
}

pub(super) fn plain(runs: &[Run]) -> String {
    runs.iter().map(Run::plain).collect()
}

pub(super) fn flat(runs: &[Run]) -> usize {
    runs.iter().map(Run::length).sum()
}

/// None of them empty: Slack refuses an empty text.
pub(super) fn runs(inlines: &[Inline]) -> Vec<Run> {
    let mut found = Vec::new();
    gather(inlines, Looks::default(), &mut found);
    found.retain(|run: &Run| run.length() > 0);
    if found.iter().all(|run| run.plain().trim().is_empty()) {
        found.clear();
    }
    found
}

fn gather(inlines: &[Inline], looks: Looks, found: &mut Vec<Run>) {
    for inline in inlines {
        let mut add = |what: What| found.push(Run { what, looks });
        match inline {
            Inline::Text(text) => add(What::Text(text.clone())),
            Inline::Break => add(What::Text("\n".to_owned())),
            Inline::Strong(inner) => gather(inner, Looks { bold: true, ..looks }, found),
            Inline::Emphasis(inner) => gather(inner, Looks { italic: true, ..looks }, found),
            Inline::Code(text) => {
                let what = What::Text(text.clone());
                found.push(Run { what, looks: Looks { code: true, ..looks } });
            }
            Inline::Link { url, text } => add(link(url, text)),
            Inline::Time { at, text } => add(time(*at, text)),
            Inline::Mention { id, name } => add(person(id, name)),
            Inline::Channel { id, name } => add(channel(id, name)),
        }
    }
}

fn link(url: &str, text: &str) -> What {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let fits = length(url) <= LONGEST_URL && !url.contains(char::is_whitespace);
    let label = if text.trim().is_empty() { url } else { text };
    match (is_web && fits, label == url) {
        (true, _) => What::Link { url: url.to_owned(), text: label.to_owned() },
        (false, true) => What::Text(url.to_owned()),
        (false, false) => What::Text(format!("{label} ({url})")),
    }
}

fn time(at: i64, text: &str) -> What {
    match (0..=LAST_SECOND).contains(&at) && !text.trim().is_empty() {
        true => What::Time { at, text: text.to_owned() },
        false => What::Text(text.to_owned()),
    }
}

fn person(id: &str, name: &str) -> What {
    if let Some(group) = id.strip_prefix('&').filter(|id| is_id(id, &['S'])) {
        return What::Group { id: group.to_owned(), name: name.to_owned() };
    }
    match is_user(id) {
        true => What::Person { id: id.to_owned(), name: name.to_owned() },
        false => What::Text(format!("@{}", name.trim_start_matches('@'))),
    }
}

/// A thread that stands in for a room is shown as the channel that it is in.
fn channel(id: &str, name: &str) -> What {
    let id = id.split(':').next().unwrap_or(id);
    match is_id(id, &['C', 'G', 'D']) {
        true => What::Channel { id: id.to_owned(), name: name.to_owned() },
        false => What::Text(format!("#{}", name.trim_start_matches('#'))),
    }
}

pub(super) fn is_user(id: &str) -> bool {
    is_id(id, &['U', 'W'])
}

fn is_id(id: &str, first: &[char]) -> bool {
    id.starts_with(first)
        && id.len() > 2
        && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Into pieces of at most `limit`, between words where there are any.
pub(super) fn split(runs: Vec<Run>, limit: usize) -> Vec<Vec<Run>> {
    let (mut all, mut one, mut size) = (Vec::new(), Vec::new(), 0);
    for run in runs.into_iter().flat_map(|run| halves(run, limit)) {
        let more = run.length();
        if size + more > limit && !one.is_empty() {
            all.push(std::mem::take(&mut one));
            size = 0;
        }
        size += more;
        one.push(run);
    }
    if !one.is_empty() {
        all.push(one);
    }
    all
}

/// A text that is longer than a block becomes several. What else is too long becomes text first,
/// since half a link leads nowhere.
fn halves(run: Run, limit: usize) -> Vec<Run> {
    if run.length() <= limit {
        return vec![run];
    }
    let looks = run.looks;
    let text = run.plain();
    let mut found = Vec::new();
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(break_at(rest, limit));
        found.push(Run { what: What::Text(head.to_owned()), looks });
        rest = tail;
    }
    found
}

/// After the last space that fits, if it is not too far back.
fn break_at(text: &str, limit: usize) -> usize {
    let (mut size, mut end, mut space) = (0, 0, None);
    for (at, c) in text.char_indices() {
        size += c.len_utf16();
        if size > limit {
            return space.filter(|space| *space > end / 2).unwrap_or(end);
        }
        end = at + c.len_utf8();
        if c.is_whitespace() {
            space = Some(end);
        }
    }
    end
}
