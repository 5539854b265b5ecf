//! A message of ours as Slack shows it.
//!
//! Everything is `rich_text`, where text is text: Slack reads no markup in it, so that nothing a
//! person wrote can mention, link or format anything. Only the fallback for notifications and
//! screen readers passes through Slack's markup, escaped. There is no coloured bar: attachments
//! are a thing of the past, and the lead says how it is.

mod modal;
mod runs;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub(super) use self::modal::{Draft, Origin, errors, home, view};
use self::runs::{Run, elements, flat, is_user, length, plain, runs, split};
use crate::ports::{Block, Button, Failure, Message, Style};

/// Slack's limits, a little narrower where it does not say how it counts.
const BLOCKS: usize = 50;
const HEADING: usize = 150;
const LABEL: usize = 75;
const VALUE: usize = 2_000;
/// Of one block of text.
const BLOCK_TEXT: usize = 2_900;
/// Of all blocks of a message.
const PART_TEXT: usize = 11_000;
/// Of all blocks and the buttons below them.
const SOME_TEXT: usize = 12_500;
/// Of the fallback. An edit takes 4,000 bytes, counted after the escapes.
const FALLBACK: usize = 3_900;
/// More than this is no message but a document.
const WHOLE: usize = 40_000;
/// Beside each other on a telephone.
const ABREAST: usize = 5;
/// Slack takes 25 in one block.
const IN_BLOCK: usize = 25;
/// Blocks and characters that buttons may take of a message.
const FOR_BUTTONS: usize = 25;
const LABELS: usize = 9_000;

/// One message of Slack's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) blocks: Vec<Value>,
}

/// Where it will stand, as far as its buttons must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    Channel,
    /// A thread that stands in for a room: a press there was a press in that room.
    ThreadRoom,
}

/// How the buttons' blocks are named in each, so that a press tells where it was.
const ROW: &str = "row-";
const ROOM_ROW: &str = "room-";

impl Ground {
    /// Where a pressed button stood, by its block.
    pub(super) fn of(block_id: &str) -> Self {
        if block_id.starts_with(ROOM_ROW) { Self::ThreadRoom } else { Self::Channel }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Channel => ROW,
            Self::ThreadRoom => ROOM_ROW,
        }
    }
}

/// One part for most messages. The first has the buttons; the others follow it.
pub(super) fn message(message: &Message, ground: Ground) -> Result<Vec<Part>, Failure> {
    let pieces = pieces(&message.body);
    let size: usize = pieces.iter().map(Piece::length).sum();
    if size > WHOLE {
        return Err(Failure::permanent(format!(
            "The message has {size} characters, and Slack takes {WHOLE}"
        )));
    }
    let actions = actions(&message.buttons, ground)?;
    let labels = labels(&message.buttons);
    let first = Space { blocks: BLOCKS - actions.len(), text: PART_TEXT.min(SOME_TEXT - labels) };
    let mut parts = Vec::new();
    for (number, pieces) in parts_of(pieces, first).into_iter().enumerate() {
        let text = fallback(&pieces);
        let mut blocks: Vec<Value> = pieces.into_iter().map(Piece::block).collect();
        if number == 0 {
            blocks.extend(actions.iter().cloned());
        }
        parts.push(Part { text, blocks });
    }
    Ok(parts)
}

/// All of it in one message, cut where it must be: what is edited can have no followers.
pub(super) fn single(body: &Message, ground: Ground) -> Result<Part, Failure> {
    let mut parts = message(body, ground)?;
    let rest = parts.len() - 1;
    let mut first = parts.swap_remove(0);
    if rest > 0 {
        let note = "The rest is too long to be shown here.";
        let section = json!({"type": "rich_text_section", "elements": [
            {"type": "text", "text": note, "style": {"italic": true}},
        ]});
        let actions = first.blocks.iter().position(|block| block["type"] == "actions");
        let at = actions.unwrap_or(first.blocks.len());
        if first.blocks.len() == BLOCKS {
            first.blocks.remove(at - 1);
        }
        let at = at.min(first.blocks.len());
        first.blocks.insert(at, json!({"type": "rich_text", "elements": [section]}));
    }
    Ok(first)
}

/// Without any layout, for a Slack that refused ours: every button becomes what can be typed. That
/// stays whole as far as it can, and what is above it is cut.
pub(super) fn bare(message: &Message, slash: &str) -> String {
    let line = |button: &Button| format!("\n{}: {slash} {}", button.label, button.command);
    let buttons: String = message.buttons.iter().flatten().map(line).collect();
    let buttons = escaped(&buttons, FALLBACK / 2);
    let body = escaped(&plain_body(&message.body), FALLBACK - buttons.len());
    format!("{body}{buttons}")
}

fn plain_body(body: &[Block]) -> String {
    let pieces = pieces(body);
    pieces.iter().map(Piece::text).collect::<Vec<_>>().join("\n")
}

/// Text for where Slack reads markup, of at most so many bytes, with a mark where some is missing.
fn escaped(text: &str, limit: usize) -> String {
    let whole = escape(text);
    if whole.len() <= limit {
        return whole;
    }
    let mut short = String::new();
    for c in text.chars() {
        let next = escape(c.encode_utf8(&mut [0; 4]));
        if short.len() + next.len() + '…'.len_utf8() > limit {
            break;
        }
        short.push_str(&next);
    }
    format!("{}…", short.trim_end())
}

/// Text for where Slack reads markup.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What is shown where blocks are not: the lock screen, and what a screen reader reads.
fn fallback(pieces: &[Piece]) -> String {
    let text: Vec<_> = pieces.iter().map(Piece::text).collect();
    let text = escaped(text.join("\n").trim(), FALLBACK);
    if text.is_empty() { "…".to_owned() } else { text }
}

/// At most so many of Slack's characters, with a mark where something is missing.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if length(text) <= limit {
        return text.to_owned();
    }
    let mut size = 0;
    let short: String = text
        .chars()
        .take_while(|c| {
            size += c.len_utf16();
            size < limit
        })
        .collect();
    format!("{}…", short.trim_end())
}

// ---------------------------------------------------------------------------------------------
// Pieces: what a block can be made of

#[derive(Debug, Clone)]
enum Piece {
    Heading(String),
    Rich(Vec<Rich>),
}

/// One element of a rich text.
#[derive(Debug, Clone)]
enum Rich {
    Section(Vec<Run>),
    List(Vec<Vec<Run>>),
    Quote(Vec<Run>),
    Code(String),
}

impl Piece {
    fn length(&self) -> usize {
        match self {
            Self::Heading(text) => length(text),
            Self::Rich(all) => all.iter().map(Rich::length).sum(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Heading(text) => text.clone(),
            Self::Rich(all) => all.iter().map(Rich::text).collect::<Vec<_>>().join("\n"),
        }
    }

    fn block(self) -> Value {
        match self {
            Self::Heading(text) => json!({
                "type": "header",
                "text": {"type": "plain_text", "text": text, "emoji": false},
            }),
            Self::Rich(all) => {
                let last = all.len().saturating_sub(1);
                let each = all.into_iter().enumerate();
                let elements: Vec<_> = each.map(|(at, rich)| rich.element(at < last)).collect();
                json!({"type": "rich_text", "elements": elements})
            }
        }
    }
}

impl Rich {
    fn length(&self) -> usize {
        match self {
            Self::Section(runs) | Self::Quote(runs) => flat(runs),
            Self::List(items) => items.iter().map(|runs| flat(runs) + 1).sum(),
            Self::Code(text) => length(text),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Section(runs) | Self::Quote(runs) => plain(runs),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|runs| format!("• {}", plain(runs))).collect();
                items.join("\n")
            }
            Self::Code(text) => text.clone(),
        }
    }

    /// Sections of one block follow each other without a gap unless one is written.
    fn element(self, followed: bool) -> Value {
        match self {
            Self::Section(runs) => {
                let mut all = elements(&runs);
                if followed {
                    all.push(json!({"type": "text", "text": "\n\n"}));
                }
                json!({"type": "rich_text_section", "elements": all})
            }
            Self::List(items) => {
                let item = |runs: &Vec<Run>| json!({"type": "rich_text_section", "elements": elements(runs)});
                let items: Vec<_> = items.iter().map(item).collect();
                json!({"type": "rich_text_list", "style": "bullet", "elements": items})
            }
            Self::Quote(runs) => json!({"type": "rich_text_quote", "elements": elements(&runs)}),
            Self::Code(text) => json!({
                "type": "rich_text_preformatted",
                "elements": [{"type": "text", "text": text}],
            }),
        }
    }
}

/// Each small enough for a block of its own, and none of them empty.
fn pieces(body: &[Block]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = body.iter().flat_map(pieces_of).collect();
    if pieces.is_empty() {
        pieces.push(Piece::Rich(vec![Rich::Section(vec![Run::text("…")])]));
    }
    pieces
}

fn pieces_of(block: &Block) -> Vec<Piece> {
    let alone = |rich: Rich| Piece::Rich(vec![rich]);
    let sections = |all: Vec<Run>| split(all, BLOCK_TEXT).into_iter();
    match block {
        Block::Heading(inlines) => heading(runs(inlines)),
        Block::Paragraph(inlines) => {
            sections(runs(inlines)).map(Rich::Section).map(alone).collect()
        }
        Block::Quote(inlines) => sections(runs(inlines)).map(Rich::Quote).map(alone).collect(),
        Block::Code(text) => code(text).into_iter().map(Rich::Code).map(alone).collect(),
        Block::List(items) => lists(items.iter().map(|item| runs(item)).collect()),
        Block::Table { head, rows } => lists(rows.iter().map(|row| table_row(head, row)).collect()),
    }
}

/// A heading of Slack's holds plain text: one with a date or a mention stays a bold line.
fn heading(all: Vec<Run>) -> Vec<Piece> {
    let text = plain(&all);
    let is_plain = all.iter().all(Run::is_text);
    if is_plain && !text.trim().is_empty() && length(&text) <= HEADING {
        return vec![Piece::Heading(text)];
    }
    let bold = all.into_iter().map(Run::bold).collect();
    let sections = split(bold, BLOCK_TEXT).into_iter();
    sections.map(|runs| Piece::Rich(vec![Rich::Section(runs)])).collect()
}

/// One line for each row, as a telephone can show it: **first cell** — head: cell · head: cell.
/// A dash fills a cell of a table that has columns; here it would say nothing.
fn table_row(head: &[Vec<crate::ports::Inline>], row: &[Vec<crate::ports::Inline>]) -> Vec<Run> {
    let (mut line, mut joint) = (Vec::new(), " — ");
    for (column, cell) in row.iter().enumerate() {
        let cell = runs(cell);
        if cell.is_empty() || plain(&cell).trim() == "—" {
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
        let name = head.get(column).map(|name| plain(&runs(name))).unwrap_or_default();
        if !name.trim().is_empty() {
            line.push(Run::text(&format!("{name}: ")));
        }
        line.extend(cell);
    }
    line
}

fn lists(items: Vec<Vec<Run>>) -> Vec<Piece> {
    let (mut lists, mut list, mut size) = (Vec::new(), Vec::new(), 0);
    for item in items.into_iter().flat_map(|item| split(item, BLOCK_TEXT)) {
        let more = flat(&item) + 1;
        if size + more > BLOCK_TEXT && !list.is_empty() {
            lists.push(Piece::Rich(vec![Rich::List(std::mem::take(&mut list))]));
            size = 0;
        }
        size += more;
        list.push(item);
    }
    if !list.is_empty() {
        lists.push(Piece::Rich(vec![Rich::List(list)]));
    }
    lists
}

/// Between lines where that is possible.
fn code(text: &str) -> Vec<String> {
    let (mut all, mut one) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n') {
        for line in split(vec![Run::text(line)], BLOCK_TEXT).iter().map(|runs| plain(runs)) {
            if length(&one) + length(&line) > BLOCK_TEXT {
                all.push(std::mem::take(&mut one));
            }
            one.push_str(&line);
        }
    }
    all.push(one);
    all.retain(|text| !text.trim().is_empty());
    all
}

// ---------------------------------------------------------------------------------------------
// Parts

/// What a message has room for.
#[derive(Clone, Copy)]
struct Space {
    blocks: usize,
    text: usize,
}

/// Fills messages one after the other. The first has less room, since the buttons are on it.
fn parts_of(pieces: Vec<Piece>, first: Space) -> Vec<Vec<Piece>> {
    let pieces = if pieces.len() > first.blocks { merged(pieces) } else { pieces };
    let (mut parts, mut part, mut size) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let space = match parts.is_empty() {
            true => first,
            false => Space { blocks: BLOCKS, text: PART_TEXT },
        };
        let length = piece.length();
        let is_full = part.len() == space.blocks || size + length > space.text;
        if is_full && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            size = 0;
        }
        size += length;
        part.push(piece);
    }
    parts.push(part);
    parts
}

/// Fewer blocks with the same in them.
fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    let mut size = 0;
    for piece in pieces {
        let more = piece.length() + 2;
        match (merged.last_mut(), piece) {
            (Some(Piece::Rich(before)), Piece::Rich(next)) if size + more <= BLOCK_TEXT => {
                before.extend(next);
                size += more;
            }
            (_, piece) => {
                merged.push(piece);
                size = more;
            }
        }
    }
    merged
}

// ---------------------------------------------------------------------------------------------
// Buttons

/// The rows as they were meant, five abreast; if there are too many, as tight as Slack takes them.
fn actions(rows: &[Vec<Button>], ground: Ground) -> Result<Vec<Value>, Failure> {
    let mut blocks: Vec<Vec<&Button>> = rows
        .iter()
        .flat_map(|row| row.chunks(ABREAST))
        .map(|row| row.iter().collect())
        .filter(|row: &Vec<_>| !row.is_empty())
        .collect();
    if blocks.len() > FOR_BUTTONS {
        let all: Vec<&Button> = rows.iter().flatten().collect();
        blocks = all.chunks(IN_BLOCK).map(<[_]>::to_vec).collect();
    }
    if blocks.len() > FOR_BUTTONS || labels(rows) > LABELS {
        return Err(Failure::permanent("The message has more buttons than Slack takes"));
    }
    let block = |(number, row): (usize, Vec<&Button>)| {
        let elements: Result<Vec<_>, _> = row.into_iter().enumerate().map(button).collect();
        let id = format!("{}{number}", ground.prefix());
        Ok(json!({"type": "actions", "block_id": id, "elements": elements?}))
    };
    blocks.into_iter().enumerate().map(block).collect()
}

/// What stands on them, all together.
fn labels(rows: &[Vec<Button>]) -> usize {
    rows.iter().flatten().map(|button| length(&button.label).min(LABEL)).sum()
}

fn button((number, button): (usize, &Button)) -> Result<Value, Failure> {
    if length(&button.command) > VALUE {
        return Err(Failure::permanent(format!(
            "The command of the button \"{}\" is longer than Slack takes ({VALUE})",
            cut(&button.label, LABEL)
        )));
    }
    let label = if button.label.trim().is_empty() { "…" } else { &button.label };
    let mut value = json!({
        "type": "button",
        "action_id": format!("press-{number}"),
        "text": {"type": "plain_text", "text": cut(label, LABEL), "emoji": true},
        "value": button.command,
    });
    match button.style {
        Style::Plain => {}
        Style::Primary => value["style"] = json!("primary"),
        Style::Danger => value["style"] = json!("danger"),
    }
    Ok(value)
}

/// Whether it looks like the id of a person, which is all that a mention may hold.
pub(super) fn is_person(id: &str) -> bool {
    is_user(id)
}
