//! Buttons, and what a button carries: the line itself where it fits, else the name under which the
//! shelf has it.

use serde_json::{Value, json};

use super::{cut, length};
use crate::adapters::chat::discord::shelf::Shelf;
use crate::ports::{Button, Failure, Style};

const ROWS: usize = 5;
const ABREAST: usize = 5;
const LABEL: usize = 80;
/// Of what comes back with a press.
const CARRIES: usize = 100;

/// What a press, a choice or a form that comes back is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A button of a message: its line.
    Press,
    /// The button that confirms; the question goes with the answer.
    Confirm,
    /// The button that does not.
    Cancel,
    /// A dialog that was filled in: its form.
    Fill,
    /// A button that opens a dialog which is already known: its form.
    Reopen,
    /// One of several: its form, which has one field.
    Choose,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Press, Self::Confirm, Self::Cancel, Self::Fill, Self::Reopen, Self::Choose];

    fn letter(self) -> char {
        match self {
            Self::Press => 'p',
            Self::Confirm => 'y',
            Self::Cancel => 'n',
            Self::Fill => 'm',
            Self::Reopen => 'f',
            Self::Choose => 's',
        }
    }
}

/// What came back with a press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Within one message every id is another, also of buttons that do the same: so it has a number.
pub(super) fn carry(
    kind: Kind,
    number: usize,
    text: &str,
    shelf: &Shelf,
) -> Result<String, Failure> {
    let whole = format!("{}{number}:{text}", kind.letter());
    if length(&whole) <= CARRIES {
        return Ok(whole);
    }
    let name = shelf.keep(text).map_err(|why| {
        Failure::transient(format!("What a button does cannot be written down: {why}"))
    })?;
    Ok(format!("{}{number}#{name}", kind.letter()))
}

/// Nothing, if it is not ours or forgotten.
pub(crate) fn carried(id: &str, shelf: &Shelf) -> Option<Carried> {
    let letter = id.chars().next()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.letter() == letter)?;
    let rest = id[1..].trim_start_matches(|c: char| c.is_ascii_digit());
    let text = match rest.strip_prefix(':') {
        Some(text) => text.to_owned(),
        None => shelf.find(rest.strip_prefix('#')?)?,
    };
    Some(Carried { kind, text })
}

/// The rows as they were meant, five abreast; if there are too many, as tight as Discord takes them.
pub(super) fn rows(rows: &[Vec<Button>], shelf: &Shelf) -> Result<Vec<Value>, Failure> {
    let mut packed: Vec<Vec<&Button>> = rows
        .iter()
        .flat_map(|row| row.chunks(ABREAST))
        .map(|row| row.iter().collect())
        .filter(|row: &Vec<_>| !row.is_empty())
        .collect();
    if packed.len() > ROWS {
        let all: Vec<&Button> = rows.iter().flatten().collect();
        packed = all.chunks(ABREAST).map(<[_]>::to_vec).collect();
    }
    if packed.len() > ROWS {
        return Err(Failure::permanent("The message has more buttons than Discord takes"));
    }
    let mut number = 0;
    let mut components = Vec::new();
    for row in packed {
        let mut buttons = Vec::new();
        for own in row {
            let id = carry(Kind::Press, number, &own.command, shelf)?;
            buttons.push(button(&own.label, own.style, &id));
            number += 1;
        }
        components.push(self::row(buttons));
    }
    Ok(components)
}

pub(super) fn row(components: Vec<Value>) -> Value {
    json!({"type": 1, "components": components})
}

pub(super) fn button(label: &str, style: Style, id: &str) -> Value {
    let label = if label.trim().is_empty() { "…" } else { label };
    let style = match style {
        Style::Plain => 2,
        Style::Primary => 1,
        Style::Danger => 4,
    };
    json!({"type": 2, "style": style, "label": cut(label, LABEL), "custom_id": id})
}
