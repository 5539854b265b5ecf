//! The log to hand out: JSON Lines to recompute, CSV to sort, Markdown to read.

use std::io::{self, Write};

use serde::Serialize;

use super::log::{Entry, ReadError, Reader, Which, instant};

/// What an entry says, for the person who reads the export.
pub type Describe<'a> = &'a (dyn Fn(&Entry) -> String + Send + Sync);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object for each entry. `actor` and `event` are strings that hold the JSON exactly as it
    /// was hashed, so that an auditor can recompute the chain: see `Hashed` for what is hashed.
    JsonLines,
    /// For a spreadsheet. A cell that begins with `=`, `+`, `-`, `@`, a tab or a line break gets an
    /// apostrophe in front, so that no spreadsheet takes it for a formula; an absent release is
    /// empty. To recompute the chain, take the JSON Lines.
    Csv,
    /// One table. Line breaks become spaces.
    Markdown,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the export could not be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes the wanted entries, a page at a time, and answers how many they were.
pub async fn export(
    reader: &Reader,
    which: Which,
    format: Format,
    describe: Describe<'_>,
    out: impl Write,
) -> Result<u64, ExportError> {
    let mut sheet = Sheet::new(format, describe, out)?;
    let mut pages = reader.pages(which);
    let mut count = 0;
    while let Some(page) = pages.next().await? {
        for entry in &page {
            sheet.add(entry)?;
        }
        count += page.len() as u64;
    }
    sheet.finish()?;
    Ok(count)
}

/// An export that is being written.
pub struct Sheet<'a, W: Write> {
    describe: Describe<'a>,
    page: Page<W>,
}

enum Page<W: Write> {
    JsonLines(W),
    Csv(Box<csv::Writer<W>>),
    Markdown(W),
}

const COLUMNS: [&str; 9] =
    ["seq", "at", "description", "actor", "request", "release", "schema", "event", "hash"];

impl<'a, W: Write> Sheet<'a, W> {
    /// Begins with the head, if the format has one.
    pub fn new(format: Format, describe: Describe<'a>, mut out: W) -> io::Result<Self> {
        let page = match format {
            Format::JsonLines => Page::JsonLines(out),
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(COLUMNS)?;
                Page::Csv(Box::new(csv))
            }
            Format::Markdown => {
                writeln!(out, "| {} |", COLUMNS.join(" | "))?;
                writeln!(out, "|--:|{}", "---|".repeat(COLUMNS.len() - 1))?;
                Page::Markdown(out)
            }
        };
        Ok(Self { describe, page })
    }

    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let description = (self.describe)(entry);
        match &mut self.page {
            Page::JsonLines(out) => json_line(entry, &description, out),
            Page::Csv(csv) => csv_record(entry, description, csv),
            Page::Markdown(out) => markdown_row(entry, &description, out),
        }
    }

    pub fn finish(self) -> io::Result<()> {
        match self.page {
            Page::JsonLines(mut out) | Page::Markdown(mut out) => out.flush(),
            Page::Csv(mut csv) => csv.flush(),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: String,
    description: &'a str,
    actor: &'a str,
    request: &'a str,
    release: Option<&'a str>,
    schema: u32,
    event: &'a str,
    hash: String,
}

fn json_line(entry: &Entry, description: &str, out: &mut impl Write) -> io::Result<()> {
    let line = Line {
        seq: entry.seq,
        at: instant(entry.at),
        description,
        actor: &entry.actor,
        request: &entry.request,
        release: entry.release.as_deref(),
        schema: entry.schema,
        event: &entry.event,
        hash: entry.hash.to_string(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn csv_record(
    entry: &Entry,
    description: String,
    csv: &mut csv::Writer<impl Write>,
) -> io::Result<()> {
    let cells = [
        entry.seq.to_string(),
        instant(entry.at),
        description,
        entry.actor.clone(),
        entry.request.clone(),
        entry.release.clone().unwrap_or_default(),
        entry.schema.to_string(),
        entry.event.clone(),
        entry.hash.to_string(),
    ];
    csv.write_record(cells.map(harmless)).map_err(io::Error::from)
}

/// A spreadsheet runs what looks like a formula, and people write what looks like one.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cell}") } else { cell }
}

fn markdown_row(entry: &Entry, description: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        entry.seq,
        instant(entry.at),
        prose(description),
        code(&entry.actor),
        code(&entry.request),
        entry.release.as_deref().map(code).unwrap_or_default(),
        entry.schema,
        code(&entry.event),
        code(&entry.hash.to_string()),
    )
}

/// Text that Markdown must not take for markup.
fn prose(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            safe.push(' ');
            continue;
        }
        if character.is_ascii_punctuation() && !".,;:'\"?/%".contains(character) {
            safe.push('\\');
        }
        safe.push(character);
    }
    safe
}

/// A code span: its fence is longer than any row of backticks within, and only the bar is escaped.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let room = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{room}{}{room}{fence}", line.replace('|', r"\|"))
}
