//! Forms: as a dialog where there is something to write, as a list where there is something to
//! choose, as two buttons where there is only something to confirm.
//!
//! Discord's dialogs of this kind hold lines of text and nothing else: what a form explains is said
//! when it comes back, and a choice is typed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::buttons::{Kind, button, carry, row};
use super::{Part, cut, message};
use crate::adapters::chat::discord::shelf::Shelf;
use crate::ports::{Block, Failure, Field, FieldKind, Form, Inline, Message, Style, Tone};

const TITLE: usize = 45;
const LABEL: usize = 45;
const HINT: usize = 100;
const VALUE: usize = 4_000;
const FIELDS: usize = 5;
/// In a list, and of one of its lines.
const CHOICES: usize = 25;
const CHOICE: usize = 100;

/// How a form is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asking {
    /// A dialog, which Discord opens only at once.
    Dialog(Value),
    /// A message that only the asker sees.
    Message(Box<Part>),
    /// It does not fit into anything.
    TooMuch,
}

pub(crate) fn ask(form: &Form, shelf: &Shelf) -> Result<Asking, Failure> {
    match form.fields.as_slice() {
        [] => confirm(form, shelf),
        [Field { kind: FieldKind::Choice(choices), .. }] if is_list(choices) => {
            choose(form, choices, shelf)
        }
        _ => match shown(form) {
            Some(fields) => dialog(form, &fields, shelf),
            None => Ok(Asking::TooMuch),
        },
    }
}

/// As many as a dialog holds, in their order: what is needed, what was wrong, and what stands first.
/// The others keep what they have.
fn shown(form: &Form) -> Option<Vec<&Field>> {
    let must = |field: &Field| field.required || !field.problem.is_empty();
    let needed = form.fields.iter().filter(|field| must(field)).count();
    let mut room = FIELDS.checked_sub(needed)?;
    let mut fits = |field: &Field| {
        let optional = !must(field) && room > 0;
        room -= usize::from(optional);
        must(field) || optional
    };
    Some(form.fields.iter().filter(|field| fits(field)).collect())
}

fn is_list(choices: &[(String, String)]) -> bool {
    (1..=CHOICES).contains(&choices.len())
        && choices.iter().all(|(value, _)| (1..=CHOICE).contains(&super::length(value)))
}

/// The form as it is kept for when it comes back; its text was said by then.
fn kept(form: &Form) -> String {
    let bare = Form { text: Vec::new(), ..form.clone() };
    serde_json::to_string(&bare).expect("a form is JSON")
}

fn dialog(form: &Form, fields: &[&Field], shelf: &Shelf) -> Result<Asking, Failure> {
    let id = carry(Kind::Fill, 0, &kept(form), shelf)?;
    let rows: Vec<_> = fields.iter().map(|field| row(vec![input(field)])).collect();
    let title = if form.title.trim().is_empty() { "…" } else { &form.title };
    let data = json!({"custom_id": id, "title": cut(title, TITLE), "components": rows});
    Ok(Asking::Dialog(data))
}

fn input(field: &Field) -> Value {
    let long = field.kind == FieldKind::Paragraph;
    let label = if field.label.trim().is_empty() { &field.name } else { &field.label };
    let mut input = json!({
        "type": 4,
        "custom_id": field.name,
        "label": cut(label, LABEL),
        "style": if long { 2 } else { 1 },
        "required": field.required,
        "min_length": u8::from(field.required),
        "max_length": VALUE,
    });
    let hint = cut(&hint(field), HINT);
    if !hint.trim().is_empty() {
        input["placeholder"] = json!(hint);
    }
    if !field.value.is_empty() {
        input["value"] = json!(cut(&field.value, VALUE));
    }
    input
}

fn hint(field: &Field) -> String {
    match &field.kind {
        FieldKind::Choice(choices) => {
            let names: Vec<_> = choices.iter().map(|(value, _)| value.as_str()).collect();
            names.join(", ")
        }
        FieldKind::Date if field.hint.is_empty() => "2026-12-15".to_owned(),
        FieldKind::Clock if field.hint.is_empty() => "10:00".to_owned(),
        FieldKind::Date | FieldKind::Clock | FieldKind::Line | FieldKind::Paragraph => {
            field.hint.clone()
        }
    }
}

fn confirm(form: &Form, shelf: &Shelf) -> Result<Asking, Failure> {
    let mut part = sheet(form, shelf)?;
    let yes = carry(Kind::Confirm, 0, &form.command, shelf)?;
    let no = carry(Kind::Cancel, 1, "", shelf)?;
    let buttons = vec![button(&form.submit, form.style, &yes), button("Cancel", Style::Plain, &no)];
    part.components = vec![row(buttons)];
    Ok(Asking::Message(Box::new(part)))
}

fn choose(form: &Form, choices: &[(String, String)], shelf: &Shelf) -> Result<Asking, Failure> {
    let mut part = sheet(form, shelf)?;
    let field = &form.fields[0];
    let options = choices.iter().map(|(value, label)| {
        let label = if label.trim().is_empty() { value } else { label };
        let default = *value == field.value;
        json!({"label": cut(label, CHOICE), "value": value, "default": default})
    });
    let options: Vec<_> = options.collect();
    let list = json!({
        "type": 3, "custom_id": carry(Kind::Choose, 0, &kept(form), shelf)?,
        "placeholder": cut(&field.label, HINT), "options": options,
    });
    let no = carry(Kind::Cancel, 1, "", shelf)?;
    part.components = vec![row(vec![list]), row(vec![button("Cancel", Style::Plain, &no)])];
    Ok(Asking::Message(Box::new(part)))
}

/// The title and the text of a form, as a message.
fn sheet(form: &Form, shelf: &Shelf) -> Result<Part, Failure> {
    let mut body = vec![Block::Heading(vec![words(&form.title)])];
    body.extend(form.text.clone());
    let tone = if form.style == Style::Danger { Tone::Bad } else { Tone::Warning };
    super::single(&Message { tone, body, ..Message::default() }, shelf)
}

/// A form that came back with something wrong: what, and a button that opens it as it was filled in.
/// Discord opens no dialog in answer to a dialog.
pub(crate) fn again(form: &Form, shelf: &Shelf) -> Result<Part, Failure> {
    let problems = form.fields.iter().filter(|field| !field.problem.is_empty());
    let problem = |field: &Field| {
        let mut line = vec![words(&format!("{}: ", field.label))];
        line.extend(with_code(&field.problem));
        line
    };
    let problems: Vec<_> = problems.map(problem).collect();
    let mut lead = vec![Inline::Strong(vec![words(&form.title)])];
    let label = match problems.is_empty() {
        true => "Go on",
        false => "Fill in again",
    };
    lead.push(words(": not done yet."));
    let mut body = vec![Block::Paragraph(lead)];
    if !problems.is_empty() {
        body.push(Block::List(problems));
    }
    body.extend(form.text.clone());
    let said = Message { tone: Tone::Warning, body, ..Message::default() };
    let mut part = super::single(&said, shelf)?;
    let id = carry(Kind::Reopen, 0, &kept(form), shelf)?;
    part.components = vec![row(vec![button(label, Style::Primary, &id)])];
    Ok(part)
}

/// What stands between two strokes is to be typed.
fn with_code(text: &str) -> Vec<Inline> {
    let each = text.split('`').enumerate();
    let shown = |(number, piece): (usize, &str)| match number % 2 {
        0 => words(piece),
        _ => Inline::Code(piece.to_owned()),
    };
    each.filter(|(_, piece)| !piece.is_empty()).map(shown).collect()
}

/// A form that is too large for any dialog, as what can be typed instead.
pub(crate) fn typed(form: &Form, line: String, shelf: &Shelf) -> Result<Part, Failure> {
    let line = Inline::Code(line);
    let body = vec![Block::Paragraph(vec![
        Inline::Strong(vec![words(&form.title)]),
        words(" needs more to be said than a dialog holds. Type "),
        line,
    ])];
    let said = Message { tone: Tone::Warning, body, ..Message::default() };
    Ok(message(&said, shelf)?.swap_remove(0))
}

/// What was filled in, under the values that were meant: of a choice its name will do, in any case.
/// What was not on the screen stays as it was.
pub(crate) fn filled(
    form: &Form,
    mut fields: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for field in &form.fields {
        if !fields.contains_key(&field.name) && !field.value.is_empty() {
            fields.insert(field.name.clone(), field.value.clone());
        }
        let (FieldKind::Choice(choices), Some(said)) = (&field.kind, fields.get_mut(&field.name))
        else {
            continue;
        };
        let same = |text: &str| text.trim().eq_ignore_ascii_case(said.trim());
        let by_value = choices.iter().find(|(value, _)| same(value));
        let by_name = choices.iter().find(|(_, name)| same(name));
        if let Some((value, _)) = by_value.or(by_name) {
            *said = value.clone();
        }
    }
    fields
}

fn words(text: &str) -> Inline {
    Inline::Text(text.to_owned())
}
