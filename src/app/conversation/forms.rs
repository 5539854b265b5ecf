//! Forms: what is asked for when something is missing, or before something that hurts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::say::Words;
use crate::app::grammar::{self, Guide};
use crate::ports::{Block, Button, Field, FieldKind, Form, Inline, Message, Style, Tone};

/// A form before it has its words and its line.
pub(super) struct Draft {
    pub title: String,
    pub submit: String,
    pub fields: Vec<Field>,
    pub style: Style,
}

impl Draft {
    pub(super) fn new(title: &str, submit: &str, fields: Vec<Field>) -> Self {
        Self { title: title.into(), submit: submit.into(), fields, style: Style::Primary }
    }

    /// With what is wrong said beside one field.
    pub(super) fn marked(mut self, field: &str, problem: &str) -> Self {
        for marked in self.fields.iter_mut().filter(|known| known.name == field) {
            problem.clone_into(&mut marked.problem);
        }
        self
    }

    /// With what is wrong in front, if something is.
    pub(super) fn form(self, words: Words<'_>, command: String, problem: Option<&str>) -> Form {
        #[derive(Serialize)]
        struct About<'a> {
            about: String,
            depth: String,
            problem: Option<&'a str>,
        }
        let mut verbs = command.split_whitespace();
        let (first, second) = (verbs.next().unwrap_or_default(), verbs.next().unwrap_or_default());
        let guide = Guide::of(&format!("{first} {second}")).or_else(|| Guide::of(first));
        let (about, depth) = guide.map(|guide| (guide.about, guide.depth)).unwrap_or_default();
        let text = words.blocks("answer-form.md", &About { about, depth, problem });
        let Self { title, submit, fields, style } = self;
        Form { title, text, command, fields, submit, style }
    }
}

fn field(name: &str, label: &str, kind: FieldKind) -> Field {
    Field {
        name: name.into(),
        label: label.into(),
        hint: String::new(),
        kind,
        required: true,
        value: String::new(),
        problem: String::new(),
    }
}

pub(super) fn text_field(name: &str, label: &str, value: &str) -> Field {
    Field { value: value.into(), ..field(name, label, FieldKind::Paragraph) }
}

pub(super) fn line_field(name: &str, label: &str, value: &str, required: bool) -> Field {
    Field { value: value.into(), required, ..field(name, label, FieldKind::Line) }
}

pub(super) fn date_field(name: &str, label: &str, value: &str) -> Field {
    Field { value: value.into(), required: false, ..field(name, label, FieldKind::Date) }
}

pub(super) fn clock_field(name: &str, label: &str, value: &str) -> Field {
    Field { value: value.into(), required: false, ..field(name, label, FieldKind::Clock) }
}

/// From nothing to choose from, one types.
pub(super) fn choice(name: &str, label: &str, choices: &[(String, String)]) -> Field {
    match choices.is_empty() {
        true => field(name, label, FieldKind::Line),
        false => field(name, label, FieldKind::Choice(choices.to_vec())),
    }
}

/// The same for a mouth without dialogs, such as the command line: what would be submitted, as a
/// line to send.
pub(super) fn as_message(form: &Form, prefix: &str) -> Message {
    let blanks: BTreeMap<String, String> = form
        .fields
        .iter()
        .filter(|field| field.required || !field.value.is_empty())
        .map(|field| {
            let blank = format!("<{}>", field.label.to_lowercase());
            let value = if field.value.is_empty() { blank } else { field.value.clone() };
            (field.name.clone(), value)
        })
        .collect();
    let words = grammar::read(&form.command, &grammar::looks_like_a_release)
        .and_then(|said| grammar::fill(&said.words, &blanks));
    let line = words.map_or_else(|_| form.command.clone(), |words| grammar::line(&words));
    let mut body = form.text.clone();
    let wrong = form.fields.iter().filter(|field| !field.problem.is_empty());
    body.extend(wrong.map(|field| {
        let label = Inline::Strong(vec![Inline::Text(format!("{}:", field.label))]);
        Block::Paragraph(vec![label, Inline::Text(format!(" {}", field.problem))])
    }));
    let to_say = vec![Inline::Text("To do it: ".into()), Inline::Code(format!("{prefix} {line}"))];
    body.push(Block::Paragraph(to_say));
    let button = Button { label: form.submit.clone(), command: line, style: form.style };
    let buttons = if form.fields.is_empty() { vec![vec![button]] } else { Vec::new() };
    Message { tone: Tone::Warning, body, buttons, ..Message::default() }
}
