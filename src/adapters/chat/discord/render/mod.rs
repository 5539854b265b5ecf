//! A message of ours as Discord shows it: the lead as the message's own text, which is what a lock
//! screen shows, and everything else in an embed with the colour of its tone.
//!
//! Whoever must act is mentioned in the text, since Discord tells nobody of a mention in an embed,
//! and only they are allowed to be: `allowed_mentions` is set on every message.

mod buttons;
mod ink;
mod modal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub(super) use self::buttons::{Carried, Kind, carried};
use self::ink::{Run, runs, split, write};
pub(super) use self::ink::{cut, length};
pub(super) use self::modal::{Asking, again, ask, filled, typed};
use super::shelf::Shelf;
use crate::ports::{Block, Failure, File, Inline, Message, Picture, Tone};

const CONTENT: usize = 2_000;
/// Of Discord's 4,096, so that a sentence fits below what was cut.
const DESCRIPTION: usize = 4_000;
/// Of one piece of a text. Every piece can be a lead, with room for mentions below it.
const PIECE: usize = 1_400;
/// More than this is no message but a document.
const MOST_PARTS: usize = 6;
/// In one message, says Discord.
const MENTIONS: usize = 100;
const FILES: usize = 10;
const FILE_NAME: usize = 100;
const ALT: usize = 1_024;
/// Below a message of one line.
const SIGNATURE: &str = "tminus";

/// One message of Discord's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    pub(super) content: String,
    description: String,
    colour: Option<u32>,
    pub(super) components: Vec<Value>,
    called: Vec<String>,
}

impl Part {
    /// What Discord is sent. The mark is how the message is found again: the address of an embed, which
    /// its clients show as the link of a title, and ours has none.
    pub(super) fn body(&self, mark: Option<&str>) -> Value {
        let mut embed = json!({});
        if !self.description.is_empty() {
            embed["description"] = json!(self.description);
        }
        if let Some(mark) = mark {
            embed["url"] = json!(mark);
            // Discord takes no embed that shows nothing.
            if self.description.is_empty() {
                embed["footer"] = json!({"text": SIGNATURE});
            }
        }
        let embeds = match embed.as_object().is_some_and(|fields| fields.is_empty()) {
            true => Vec::new(),
            false => {
                if let Some(colour) = self.colour {
                    embed["color"] = json!(colour);
                }
                vec![embed]
            }
        };
        json!({
            "content": self.content,
            "embeds": embeds,
            "components": self.components,
            "allowed_mentions": allowed(&self.called),
        })
    }
}

/// Those who must act, and nobody else.
fn allowed(called: &[String]) -> Value {
    let roles: Vec<_> = called.iter().filter_map(|id| id.strip_prefix('&')).collect();
    let users: Vec<_> = called.iter().filter(|id| !id.starts_with('&')).collect();
    json!({"parse": [], "users": users, "roles": roles, "replied_user": false})
}

/// One part for most messages. The first has the buttons; the others follow it.
pub(super) fn message(message: &Message, shelf: &Shelf) -> Result<Vec<Part>, Failure> {
    let components = buttons::rows(&message.buttons, shelf)?;
    let mut parts = parts_of(pieces(&message.body), called(&message.body));
    if parts.len() > MOST_PARTS {
        return Err(Failure::permanent(format!(
            "The message would take {} messages of Discord's, and {MOST_PARTS} is the most",
            parts.len()
        )));
    }
    for part in &mut parts {
        part.colour = colour(message.tone);
    }
    parts[0].components = components;
    Ok(parts)
}

/// All of it in one message, cut where it must be: what is edited can have no followers.
pub(super) fn single(body: &Message, shelf: &Shelf) -> Result<Part, Failure> {
    let mut parts = message(body, shelf)?;
    let rest = parts.len() - 1;
    let mut first = parts.swap_remove(0);
    if rest > 0 {
        first.description.push_str("\n\n*The rest is too long to be shown here.*");
    }
    Ok(first)
}

/// What is sent at once: a part, and the file beside it.
pub(super) struct Letter<'f> {
    part: Part,
    pub(super) beside: Option<Attached<'f>>,
}

/// A document or a picture.
pub(super) struct Attached<'f> {
    pub(super) name: &'f str,
    pub(super) bytes: &'f [u8],
    /// What it shows, for those who do not see it.
    alt: String,
}

impl<'f> Attached<'f> {
    fn document(file: &'f File) -> Self {
        Self { name: &file.name, bytes: file.text.as_bytes(), alt: String::new() }
    }

    fn picture(picture: &'f Picture) -> Self {
        Self { name: &picture.name, bytes: &picture.png, alt: cut(&picture.alt, ALT) }
    }
}

impl Letter<'_> {
    pub(super) fn body(&self, mark: Option<&str>) -> Value {
        let mut body = self.part.body(mark);
        if let Some(file) = &self.beside {
            let mut named = json!({"id": "0", "filename": cut(file.name, FILE_NAME)});
            if !file.alt.is_empty() {
                named["description"] = json!(file.alt);
            }
            body["attachments"] = json!([named]);
        }
        body
    }
}

/// All parts of a message; a second file or picture has one of its own.
pub(super) fn letters<'f>(said: &'f Message, shelf: &Shelf) -> Result<Vec<Letter<'f>>, Failure> {
    may_send(&said.files)?;
    let parts = message(said, shelf)?;
    let pictures = said.pictures.iter().map(Attached::picture);
    let mut beside = said.files.iter().map(Attached::document).chain(pictures);
    let mut letters: Vec<_> = parts.into_iter().map(|part| Letter { part, beside: None }).collect();
    letters[0].beside = beside.next();
    letters.extend(beside.map(|file| Letter { part: Part::default(), beside: Some(file) }));
    Ok(letters)
}

fn may_send(files: &[File]) -> Result<(), Failure> {
    if files.len() > FILES {
        return Err(Failure::permanent(format!(
            "The message has {} files, and Discord takes {FILES}",
            files.len()
        )));
    }
    if let Some(file) = files.iter().find(|file| file.text.len() > File::LONGEST) {
        let name = &file.name;
        return Err(Failure::permanent(format!("The file {name} is longer than Discord takes")));
    }
    Ok(())
}

fn colour(tone: Tone) -> Option<u32> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some(0x2E_B6_7D),
        Tone::Warning => Some(0xEC_B2_2E),
        Tone::Bad => Some(0xE0_1E_5A),
    }
}

// ---------------------------------------------------------------------------------------------
// Pieces

/// Some markup that is shown whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: String,
    /// It follows the one before without a gap.
    tight: bool,
}

/// Each small enough to be a lead, and none of them empty.
fn pieces(body: &[Block]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = body.iter().flat_map(pieces_of).collect();
    if pieces.is_empty() {
        pieces.push(Piece { text: "…".to_owned(), tight: false });
    }
    pieces
}

fn pieces_of(block: &Block) -> Vec<Piece> {
    match block {
        Block::Heading(inlines) => lines(runs(inlines).into_iter().map(Run::bold).collect(), ""),
        Block::Paragraph(inlines) => lines(runs(inlines), ""),
        Block::Quote(inlines) => lines(runs(inlines), "> "),
        Block::List(items) => list(items.iter().map(|item| runs(item)).collect()),
        Block::Table { head, rows } => list(rows.iter().map(|row| table_row(head, row)).collect()),
        Block::Code(text) => code(text),
    }
}

/// Of one text: what does not fit goes on below, without a gap.
fn lines(all: Vec<Run>, prefix: &str) -> Vec<Piece> {
    // Each line of a quote has its mark again; there are never so many that this doubles it.
    let room = if prefix.is_empty() { PIECE } else { PIECE / 3 };
    let text = |line: &Vec<Run>| {
        let text = write(line);
        let text = text.trim_end();
        format!("{prefix}{}", text.replace('\n', &format!("\n{prefix}")))
    };
    let each = split(&all, room).into_iter().enumerate();
    each.map(|(number, line)| Piece { text: text(&line), tight: number > 0 }).collect()
}

fn list(items: Vec<Vec<Run>>) -> Vec<Piece> {
    let mut all = Vec::new();
    for item in items {
        for (number, line) in split(&item, PIECE / 3).into_iter().enumerate() {
            let mark = if number == 0 { "- " } else { "  " };
            let text = write(&line).trim().replace('\n', "\n  ");
            all.push(Piece { text: format!("{mark}{text}"), tight: true });
        }
    }
    if let Some(first) = all.first_mut() {
        first.tight = false;
    }
    all
}

/// One line for each row, as a telephone can show it: **first cell** — head: cell · head: cell.
fn table_row(head: &[Vec<Inline>], row: &[Vec<Inline>]) -> Vec<Run> {
    let (mut line, mut joint) = (Vec::new(), " — ");
    for (column, cell) in row.iter().enumerate() {
        let cell: Vec<_> = runs(cell).into_iter().map(Run::brief).collect();
        if cell.is_empty() {
            continue;
        }
        if column == 0 {
            line.extend(cell.into_iter().map(Run::bold));
            continue;
        }
        if !line.is_empty() {
            line.push(Run::text(joint));
            joint = " · ";
        }
        let name = head.get(column).map(|name| runs(name)).unwrap_or_default();
        if !write(&name).trim().is_empty() {
            line.extend(name);
            line.push(Run::text(": "));
        }
        line.extend(cell);
    }
    line
}

/// Between lines where that is possible.
fn code(text: &str) -> Vec<Piece> {
    const FENCE: usize = 8;
    // A fence within would end it: a sign without width keeps its strokes apart.
    let text = text.replace("```", "`\u{200b}`\u{200b}`");
    let (mut all, mut one) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n').flat_map(|line| ink::slices(line, PIECE - FENCE)) {
        if length(&one) + length(&line) > PIECE - FENCE {
            all.push(std::mem::take(&mut one));
        }
        one.push_str(&line);
    }
    all.push(one);
    all.retain(|text| !text.trim().is_empty());
    let fenced = |(number, text): (usize, String)| {
        let text = format!("```\n{}\n```", text.trim_end_matches('\n'));
        Piece { text, tight: number > 0 }
    };
    all.into_iter().enumerate().map(fenced).collect()
}

// ---------------------------------------------------------------------------------------------
// Parts

/// The lead and all mentions in the text, everything else below it.
fn parts_of(pieces: Vec<Piece>, called: Vec<String>) -> Vec<Part> {
    let mut pieces = pieces.into_iter();
    let lead = pieces.next().map(|piece| piece.text).unwrap_or_default();
    let mut parts = vec![Part { content: lead, ..Part::default() }];
    for piece in pieces {
        let gap = if piece.tight { "\n" } else { "\n\n" };
        let part = parts.last_mut().expect("the first is there");
        let size = length(&part.description) + gap.len() + length(&piece.text);
        if size > DESCRIPTION {
            parts.push(Part { description: piece.text, ..Part::default() });
        } else if part.description.is_empty() {
            part.description = piece.text;
        } else {
            part.description.push_str(gap);
            part.description.push_str(&piece.text);
        }
    }
    call(&mut parts, called);
    parts
}

/// Puts each mention where it is heard: where it stands if that is the lead, else below the text of
/// the first part that has room.
fn call(parts: &mut Vec<Part>, called: Vec<String>) {
    let (mut at, mut list) = (0, None);
    for id in called {
        let Some(mention) = ink::mention(&id) else { continue };
        if parts[0].content.contains(&mention) && parts[0].called.len() < MENTIONS {
            parts[0].called.push(id);
            continue;
        }
        let fits = |part: &Part| {
            length(&part.content) + mention.len() < CONTENT && part.called.len() < MENTIONS
        };
        while parts.get(at).is_some_and(|part| !fits(part)) {
            at += 1;
        }
        if at == parts.len() {
            parts.push(Part::default());
        }
        let part = &mut parts[at];
        if !part.content.is_empty() {
            part.content.push(if list == Some(at) { ' ' } else { '\n' });
        }
        part.content.push_str(&mention);
        part.called.push(id);
        list = Some(at);
    }
}

/// Whom the message calls, each once, in the order in which they are named.
fn called(body: &[Block]) -> Vec<String> {
    let (mut order, mut known) = (Vec::new(), BTreeSet::new());
    let mut note = |id: &str| {
        if ink::mention(id).is_some() && known.insert(id.to_owned()) {
            order.push(id.to_owned());
        }
    };
    for block in body {
        match block {
            Block::Heading(line) | Block::Paragraph(line) | Block::Quote(line) => {
                each_mention(line, &mut note);
            }
            Block::List(items) => items.iter().for_each(|line| each_mention(line, &mut note)),
            Block::Table { head, rows } => {
                let cells = head.iter().chain(rows.iter().flatten());
                cells.for_each(|line| each_mention(line, &mut note));
            }
            Block::Code(_) => {}
        }
    }
    order
}

fn each_mention(line: &[Inline], note: &mut dyn FnMut(&str)) {
    for inline in line {
        match inline {
            Inline::Mention { id, .. } => note(id),
            Inline::Strong(inner) | Inline::Emphasis(inner) => each_mention(inner, note),
            Inline::Text(_)
            | Inline::Code(_)
            | Inline::Break
            | Inline::Link { .. }
            | Inline::Time { .. }
            | Inline::Channel { .. } => {}
        }
    }
}
