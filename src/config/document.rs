//! Reads a TOML text into a type and collects every mistake with its place, not only the first.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::problem::Problem;
use super::{translate, tree};

/// A TOML text that can be parsed, with the place of each of its keys.
pub(super) struct Document<'t> {
    file: String,
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
    /// Without what could not be read: places in its lists are those of the value that was read.
    readable: Option<Spanned<DeTable<'t>>>,
}

/// One step into a document: a key, or a place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

pub(super) type Path = Vec<Step>;

/// `stage[1].soak`.
pub(super) fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn child(path: &[Step], key: &str) -> Path {
    path.iter().cloned().chain([Step::Key(key.to_owned())]).collect()
}

fn parsed(path: &str) -> Path {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        steps.extend(pieces.next().map(|key| Step::Key(key.to_owned())));
        let indices = pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    steps
}

/// More than this many mistakes help nobody.
const ENOUGH: usize = 50;

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str, file: &str) -> Result<Self, Vec<Problem>> {
        let (mut tree, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax(text, file, &errors));
        }
        dates_to_texts(tree.get_mut());
        Ok(Self { file: file.to_owned(), text, tree, readable: None })
    }

    /// The value, without the parts that are wrong, and what is wrong with them. A part that is
    /// taken out lets the rest be read, so that one reading finds all mistakes.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> (Option<T>, Vec<Problem>) {
        let mut rest: Option<Spanned<DeTable<'t>>> = None;
        let mut removed: Vec<Path> = Vec::new();
        let mut problems: Vec<Problem> = Vec::new();
        while problems.len() < ENOUGH {
            let error = match tree::read::<T>(rest.as_ref().unwrap_or(&self.tree)) {
                Ok(value) => {
                    self.readable = rest;
                    return (Some(value), problems);
                }
                Err(error) => error,
            };
            let tree = rest.get_or_insert_with(|| self.tree.clone());
            let at = |tree: &DeTable<'_>| error.span().and_then(|span| locate(tree, &span));
            // Paths are those of the text; what was taken out of a list shifts what is behind it.
            let path = at(self.tree.get_ref()).unwrap_or_default();
            let lost = translate::missing_field(error.message()).map(|key| child(&path, key));
            if !lost.is_some_and(|lost| removed.contains(&lost)) {
                let value = get(self.tree.get_ref(), &path);
                let (what, mend) = translate::shape(error.message(), &path, value);
                problems.push(self.place(written(&path), error.span(), what, mend));
            }
            let gone = at(tree.get_ref()).is_some_and(|path| remove(tree.get_mut(), &path));
            if !gone {
                break;
            }
            removed.push(path);
        }
        problems.dedup();
        (None, problems)
    }

    /// A mistake in what a key means. Where the key is missing, its table is shown.
    pub(super) fn problem(
        &self,
        key: &str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        self.place(key.to_owned(), self.find(&parsed(key)), what.into(), mend.into())
    }

    /// The line of a key, or of the nearest thing above it that is there.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        self.find(&parsed(key)).map(|span| position(self.text, span.start).0)
    }

    /// The names in a table, whether or not what they name is right.
    pub(super) fn keys(&self, table: &str) -> Vec<String> {
        match get(self.tree.get_ref(), &parsed(table)) {
            Some(DeValue::Table(table)) => {
                table.keys().map(|key| key.get_ref().to_string()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn place(
        &self,
        key: String,
        span: Option<Range<usize>>,
        what: String,
        mend: String,
    ) -> Problem {
        let (line, column) = span.map_or((0, 0), |span| position(self.text, span.start));
        Problem { file: self.file.clone(), line, column, key, what, mend }
    }

    fn find(&self, path: &[Step]) -> Option<Range<usize>> {
        let readable = self.readable.as_ref().unwrap_or(&self.tree);
        let (mut found, mut table) = (None, Some(readable.get_ref()));
        let mut list: Option<&DeArray<'_>> = None;
        for step in path {
            let (span, value) = match (step, table, list) {
                (Step::Key(key), Some(at), _) => {
                    let Some((key, value)) = at.get_key_value(key.as_str()) else { return found };
                    (key.span(), value)
                }
                (Step::Index(index), _, Some(at)) => {
                    let Some(value) = at.get(*index) else { return found };
                    (value.span(), value)
                }
                _ => return found,
            };
            found = Some(span);
            (table, list) = (value.get_ref().as_table(), value.get_ref().as_array());
        }
        found
    }
}

fn syntax(text: &str, file: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or_default();
            let (line, column) = position(text, span.start);
            let line_text = text.lines().nth(line - 1).unwrap_or_default();
            let at = text.get(span).unwrap_or_default();
            let (what, mend) = translate::syntax(error.message(), at, line_text);
            Problem { file: file.to_owned(), line, column, key: String::new(), what, mend }
        })
        .collect();
    // What follows on the same line follows from the first.
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup_by_key(|problem| problem.line);
    problems
}

/// Line and column from 1; the column counts characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Dates may be written with or without quotes.
fn dates_to_texts(table: &mut DeTable<'_>) {
    table.iter_mut().for_each(|(_, value)| date_to_text(value));
}

fn date_to_text(value: &mut Spanned<DeValue<'_>>) {
    match value.get_mut() {
        DeValue::Datetime(date) => {
            let text = date.to_string();
            *value.get_mut() = DeValue::String(text.into());
        }
        DeValue::Array(list) => list.iter_mut().for_each(date_to_text),
        DeValue::Table(table) => dates_to_texts(table),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {}
    }
}

/// The deepest node that is exactly there: its value, or else its key.
fn locate(root: &DeTable<'_>, span: &Range<usize>) -> Option<Path> {
    let mut found = Vec::new();
    walk(root, &mut Vec::new(), &mut |path, key, value| {
        if key == Some(span) || value == span {
            found.push(path.to_vec());
        }
    });
    found.into_iter().max_by_key(Vec::len)
}

type Visit<'a> = dyn FnMut(&[Step], Option<&Range<usize>>, &Range<usize>) + 'a;

fn walk(table: &DeTable<'_>, path: &mut Path, visit: &mut Visit<'_>) {
    for (key, value) in table.iter() {
        path.push(Step::Key(key.get_ref().to_string()));
        visit(path, Some(&key.span()), &value.span());
        walk_value(value, path, visit);
        path.pop();
    }
}

fn walk_value(value: &Spanned<DeValue<'_>>, path: &mut Path, visit: &mut Visit<'_>) {
    match value.get_ref() {
        DeValue::Table(table) => walk(table, path, visit),
        DeValue::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                path.push(Step::Index(index));
                visit(path, None, &value.span());
                walk_value(value, path, visit);
                path.pop();
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn get<'a, 't>(root: &'a DeTable<'t>, path: &[Step]) -> Option<&'a DeValue<'t>> {
    let (first, rest) = path.split_first()?;
    let Step::Key(first) = first else { return None };
    let mut value = root.get(first.as_str())?.get_ref();
    for step in rest {
        value = match step {
            Step::Key(key) => value.as_table()?.get(key.as_str())?,
            Step::Index(index) => value.as_array()?.get(*index)?,
        }
        .get_ref();
    }
    Some(value)
}

fn remove(root: &mut DeTable<'_>, path: &[Step]) -> bool {
    let Some((Step::Key(first), rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        return root.remove(first.as_str()).is_some();
    }
    root.get_mut(first.as_str()).is_some_and(|value| remove_in(value.get_mut(), rest))
}

fn remove_in(value: &mut DeValue<'_>, path: &[Step]) -> bool {
    match (value, path) {
        (DeValue::Table(table), _) => remove(table, path),
        (DeValue::Array(list), [Step::Index(index)]) if *index < list.len() => {
            let others = list.iter().enumerate().filter(|(i, _)| i != index);
            let kept: Vec<_> = others.map(|(_, item)| item.clone()).collect();
            *list = DeArray::new();
            kept.into_iter().for_each(|item| list.push(item));
            true
        }
        (DeValue::Array(list), [Step::Index(index), rest @ ..]) => {
            list.get_mut(*index).is_some_and(|item| remove_in(item.get_mut(), rest))
        }
        _ => false,
    }
}
