//! A line as Discord reads it: text in which nothing can mention, link or format, and the markup
//! that we mean, split where it has to be without breaking either.

use reqwest::Url;

use super::super::api;
use crate::ports::Inline;

/// As Discord's clients count, which is never less than its servers do.
pub(crate) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// As much of it as fits, with a mark where it was cut.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let mut short = first(text, most.saturating_sub(1)).to_owned();
    short.push('…');
    short
}

/// Its beginning, without a mark.
fn first(text: &str, most: usize) -> &str {
    let mut size = 0;
    for (at, c) in text.char_indices() {
        size += c.len_utf16();
        if size > most {
            return &text[..at];
        }
    }
    text
}

/// A longer address is only told.
const LONGEST_LINK: usize = 400;
/// Of what cannot be split: a name in a link.
const LONGEST_NAME: usize = 200;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    strong: bool,
    emphasis: bool,
}

/// A piece of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    style: Style,
    ink: Ink,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ink {
    /// As it was written; escaped when it is shown.
    Text(String),
    Code(String),
    /// Markup of ours, shown whole or not at all.
    Markup(String),
    /// The reader's own time, and how far away it is, which goes on counting.
    Time(i64),
}

impl Run {
    pub(super) fn text(text: &str) -> Self {
        Self { style: Style::default(), ink: Ink::Text(text.to_owned()) }
    }

    pub(super) fn bold(self) -> Self {
        Self { style: Style { strong: true, ..self.style }, ..self }
    }

    /// Where others tell how far away it is, in a column of a table.
    pub(super) fn brief(self) -> Self {
        match self.ink {
            Ink::Time(at) => Self { ink: Ink::Markup(format!("<t:{at}:F>")), ..self },
            Ink::Text(_) | Ink::Code(_) | Ink::Markup(_) => self,
        }
    }

    fn shown(&self) -> String {
        match &self.ink {
            Ink::Time(at) => format!("<t:{at}:F> (<t:{at}:R>)"),
            Ink::Text(text) => escape(text),
            Ink::Code(text) => code(text),
            Ink::Markup(markup) => markup.clone(),
        }
    }

    /// What it takes at most: styles that meet are written once.
    fn cost(&self) -> usize {
        length(&self.shown()) + 8
    }
}

pub(super) fn runs(inlines: &[Inline]) -> Vec<Run> {
    let mut all = Vec::new();
    collect(inlines, Style::default(), &mut all);
    for number in 1..all.len() {
        let (before, after) = all.split_at_mut(number);
        if let (Ink::Time(_), Ink::Text(text)) = (&before[number - 1].ink, &mut after[0].ink)
            && let Some(rest) = without_distance(text)
        {
            *text = rest;
        }
    }
    all
}

/// Without the `, in 1 h 30 min` or ` (in 45 min)` that follows a time: Discord says it by itself, and
/// goes on counting.
fn without_distance(text: &str) -> Option<String> {
    let (rest, closed) = match text.strip_prefix(" (in ") {
        Some(rest) => (rest, true),
        None => (text.strip_prefix(", in ")?, false),
    };
    let mut rest = length_of_time(rest)?;
    while let Some(next) = rest.strip_prefix(' ').and_then(length_of_time) {
        rest = next;
    }
    if closed { rest.strip_prefix(')').map(str::to_owned) } else { Some(rest.to_owned()) }
}

/// What follows `45 min`.
fn length_of_time(text: &str) -> Option<&str> {
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = number.strip_prefix(' ').filter(|_| number.len() < text.len())?;
    let units = ["min", "s", "h", "d"];
    let rest = units.iter().find_map(|unit| rest.strip_prefix(unit))?;
    (!rest.starts_with(char::is_alphanumeric)).then_some(rest)
}

fn collect(inlines: &[Inline], style: Style, all: &mut Vec<Run>) {
    let text = |text: &str| Ink::Text(text.to_owned());
    for inline in inlines {
        let ink = match inline {
            Inline::Text(words) => text(words),
            Inline::Strong(inner) => {
                collect(inner, Style { strong: true, ..style }, all);
                continue;
            }
            Inline::Emphasis(inner) => {
                collect(inner, Style { emphasis: true, ..style }, all);
                continue;
            }
            Inline::Code(words) => Ink::Code(words.clone()),
            Inline::Break => text("\n"),
            Inline::Link { url, text } => link(url, text),
            Inline::Time { at, .. } => Ink::Time(*at),
            Inline::Mention { id, name } => match mention(id) {
                Some(markup) => Ink::Markup(markup),
                None => text(&format!("@{name}")),
            },
            Inline::Channel { id, name } => match api::id(id) {
                Some(id) => Ink::Markup(format!("<#{id}>")),
                None => text(&format!("#{name}")),
            },
        };
        all.push(Run { style, ink });
    }
}

/// `42` is a person, `&42` a role.
pub(super) fn mention(id: &str) -> Option<String> {
    match id.strip_prefix('&') {
        Some(role) => api::id(role).map(|id| format!("<@&{id}>")),
        None => api::id(id).map(|id| format!("<@{id}>")),
    }
}

/// Only to the web, and only under a name that does not claim to be another address.
fn link(url: &str, name: &str) -> Ink {
    let web = Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let Some(address) = web.map(|url| tame(url.as_str())) else {
        return Ink::Text(name.to_owned());
    };
    if length(&address) > LONGEST_LINK {
        return Ink::Text(name.to_owned());
    }
    let name = cut(&name.replace('\n', " "), LONGEST_NAME);
    if name.trim().is_empty() || name == url || tame(&name) == address {
        return Ink::Markup(format!("<{address}>"));
    }
    if name.contains("://") || name.contains("www.") {
        return Ink::Markup(format!("{} (<{address}>)", escape(&name)));
    }
    Ink::Markup(format!("[{}](<{address}>)", escape(&name)))
}

/// What would end a link early, as the web writes it.
fn tame(url: &str) -> String {
    let mut tame = String::new();
    for c in url.chars() {
        match c {
            '<' => tame.push_str("%3C"),
            '>' => tame.push_str("%3E"),
            '(' => tame.push_str("%28"),
            ')' => tame.push_str("%29"),
            c => tame.push(c),
        }
    }
    tame
}

/// In a fixed width, on one line; nothing in it is read as markup.
fn code(text: &str) -> String {
    let text = text.replace('`', "ˋ").replace('\n', " ");
    match text.trim().is_empty() {
        true => String::new(),
        false => format!("`{text}`"),
    }
}

/// What follows `<` in a mention, a time, a command or a picture.
const MARKS: [&str; 7] = ["@", "#", ":", "/", "t:", "a:", "id:"];

/// Text that stays text. Addresses can be followed, and show no preview.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let (mut at, mut line_start) = (0, true);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let before = text[..at].chars().next_back();
        if !before.is_some_and(char::is_alphanumeric)
            && let Some(url) = address(rest)
        {
            out.push_str(&format!("<{url}>"));
            at += url.len();
            line_start = false;
            continue;
        }
        at += c.len_utf8();
        match c {
            // Who looks for mentions may pay no heed to the stroke before them.
            '<' if MARKS.iter().any(|mark| rest[1..].starts_with(mark)) => {
                out.push_str("\\<\u{200b}");
            }
            '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' | '>' => out.extend(['\\', c]),
            '#' | '-' | '+' if line_start && rest[1..].starts_with([' ', '#']) => {
                out.extend(['\\', c]);
            }
            '.' | ')' if is_numbered(&text[..at - 1]) => out.extend(['\\', c]),
            '@' if rest[1..].starts_with("everyone") || rest[1..].starts_with("here") => {
                out.push_str("@\u{200b}");
            }
            '\r' => {}
            c => out.push(c),
        }
        line_start = c == '\n' || (line_start && c.is_whitespace());
    }
    out
}

/// Whether the line so far is only a number, which would begin a list.
fn is_numbered(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
    !line.is_empty() && line.len() < 12 && line.bytes().all(|b| b.is_ascii_digit())
}

/// The address that a text begins with, of signs that Discord reads as nothing else.
fn address(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let scheme = text.len() - rest.len();
    let sign = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'+,;=%".contains(c);
    let end = rest.find(|c: char| !sign(c)).unwrap_or(rest.len());
    let url = text[..scheme + end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']);
    (url.len() > scheme && length(url) <= LONGEST_LINK).then_some(url)
}

/// The markup of a whole line.
pub(super) fn write(runs: &[Run]) -> String {
    let (mut out, mut now) = (String::new(), Style::default());
    for run in merged(runs) {
        let shown = run.shown();
        if shown.is_empty() {
            continue;
        }
        turn(&mut out, &mut now, run.style);
        out.push_str(&shown);
    }
    turn(&mut out, &mut now, Style::default());
    out
}

/// Emphasis is always within what is strong.
fn turn(out: &mut String, now: &mut Style, next: Style) {
    let mut closed = false;
    if now.emphasis && (!next.emphasis || now.strong != next.strong) {
        out.push('*');
        (now.emphasis, closed) = (false, true);
    }
    if now.strong && !next.strong {
        out.push_str("**");
        closed = true;
    }
    let opens = (next.strong && !now.strong) || (next.emphasis && !now.emphasis);
    if closed && opens {
        // Else the stars of both would be read together.
        out.push('\u{200b}');
    }
    if next.strong && !now.strong {
        out.push_str("**");
    }
    if next.emphasis && !now.emphasis {
        out.push('*');
    }
    *now = next;
}

/// Text of one style is one text.
fn merged(runs: &[Run]) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs {
        if let (Some(Run { style, ink: Ink::Text(before) }), Ink::Text(text)) =
            (merged.last_mut(), &run.ink)
            && *style == run.style
        {
            before.push_str(text);
        } else {
            merged.push(run.clone());
        }
    }
    merged
}

/// Lines of which none takes more than `most` when written, broken between words if possible.
pub(super) fn split(runs: &[Run], most: usize) -> Vec<Vec<Run>> {
    let (mut lines, mut line, mut size) = (Vec::new(), Vec::new(), 0);
    for run in runs.iter().flat_map(|run| units(run, most)) {
        let cost = run.cost();
        if size + cost > most && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            size = 0;
        }
        size += cost;
        line.push(run);
    }
    lines.push(line);
    lines.retain(|line| !write(line).trim().is_empty());
    lines
}

/// What can be on a line of its own; none is longer than a line.
fn units(run: &Run, most: usize) -> Vec<Run> {
    // A sign is two when escaped, and three as an `@` that is broken.
    let room = most.saturating_sub(16) / 3;
    let again = |ink: Ink| Run { style: run.style, ink };
    match &run.ink {
        Ink::Markup(_) | Ink::Time(_) => vec![run.clone()],
        Ink::Code(text) if run.cost() > most => {
            slices(text, room).into_iter().map(|slice| again(Ink::Code(slice))).collect()
        }
        Ink::Code(_) => vec![run.clone()],
        Ink::Text(text) if run.cost() <= most / 8 => vec![again(Ink::Text(text.clone()))],
        Ink::Text(text) => {
            let words = text.split_inclusive(char::is_whitespace);
            let words = words.flat_map(|word| slices(word, room));
            words.map(|word| again(Ink::Text(word))).collect()
        }
    }
}

pub(super) fn slices(text: &str, most: usize) -> Vec<String> {
    let (mut slices, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let slice = first(rest, most.max(2));
        slices.push(slice.to_owned());
        rest = &rest[slice.len()..];
    }
    slices
}
