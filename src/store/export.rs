//! The log to hand out: JSON Lines to recompute, CSV to sort, Markdown to read.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::log::{Entry, ReadError, Reader, Which, instant};

/// What an entry says, for the person who reads the export.
pub type Describe<'a> = &'a (dyn Fn(&Entry) -> String + Send + Sync);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object for each entry. `actor` and `event` are JSON to look into; `raw` holds both as
    /// the texts that were hashed, to the byte, so that an auditor can recompute the chain without
    /// knowing how we write JSON: see `Hashed` for what is hashed.
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
    actor: Inside<'a>,
    request: &'a str,
    release: Option<&'a str>,
    schema: u32,
    event: Inside<'a>,
    hash: String,
    raw: Raw<'a>,
}

#[derive(Serialize)]
struct Raw<'a> {
    actor: &'a str,
    event: &'a str,
}

/// JSON of the log within JSON of ours. What is none, or would break the line, stays a text: an
/// export of a damaged log is still one.
#[derive(Serialize)]
#[serde(untagged)]
enum Inside<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl<'a> Inside<'a> {
    fn of(text: &'a str) -> Self {
        match serde_json::from_str(text) {
            Ok(json) if !text.contains(['\n', '\r']) => Self::Json(json),
            Ok(_) | Err(_) => Self::Text(text),
        }
    }
}

fn json_line(entry: &Entry, description: &str, out: &mut impl Write) -> io::Result<()> {
    let line = Line {
        seq: entry.seq,
        at: instant(entry.at),
        description,
        actor: Inside::of(&entry.actor),
        request: &entry.request,
        release: entry.release.as_deref(),
        schema: entry.schema,
        event: Inside::of(&entry.event),
        hash: entry.hash.to_string(),
        raw: Raw { actor: &entry.actor, event: &entry.event },
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

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag};
    use serde_json::Value;

    use super::super::log::{Hash, Hashed};
    use super::super::testing::{entries, entry};
    use super::super::{NewEntry, Store};
    use super::*;

    /// Six entries, one of which has been written by somebody with ideas.
    async fn exported(format: Format) -> anyhow::Result<(String, Vec<Entry>)> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        let mut batch = entries(1..=6);
        batch.entries[3] = NewEntry {
            request: "=cmd|' /C calc'!A0".to_owned(),
            release: Some("-2+3`|`".to_owned()),
            event: r#"{"said":"a|b\\|c `x` \"quoted\", *bold*\n<b>"}"#.to_owned(),
            ..entry(4)
        };
        store.commit(&batch).await?;
        let mut out = Vec::new();
        let describe = |entry: &Entry| match entry.seq {
            4 => "@ann said: *go* | [now](https://example.org)\nand <b>left</b>".to_owned(),
            seq => format!("ann said {seq}"),
        };
        let count = export(store.reader(), Which::default(), format, &describe, &mut out).await?;
        assert_eq!(count, 6);
        Ok((String::from_utf8(out)?, store.reader().entries(&Which::default()).await?))
    }

    #[tokio::test]
    async fn the_chain_can_be_recomputed_from_the_json_lines_alone() -> anyhow::Result<()> {
        let (text, entries) = exported(Format::JsonLines).await?;
        let mut hash = Hash::GENESIS;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)?;
            let text = |name: &str| line[name].as_str().expect("a text");
            let raw = |name: &str| line["raw"][name].as_str().expect("a text");
            for name in ["actor", "event"] {
                assert!(line[name].is_object(), "{line}");
                assert_eq!(line[name], serde_json::from_str::<Value>(raw(name))?);
            }
            let entry = Hashed {
                seq: line["seq"].as_u64().expect("a number"),
                at: text("at"),
                actor: raw("actor"),
                request: text("request"),
                release: line["release"].as_str(),
                schema: u32::try_from(line["schema"].as_u64().expect("a number"))?,
                event: raw("event"),
            };
            hash = entry.after(&hash);
            assert_eq!(hash.to_string(), text("hash"));
        }
        assert_eq!(Some(hash), entries.last().map(|entry| entry.hash));
        assert_eq!(text.lines().count(), 6);
        Ok(())
    }

    #[tokio::test]
    async fn no_cell_of_the_csv_is_a_formula() -> anyhow::Result<()> {
        let (text, entries) = exported(Format::Csv).await?;
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(csv.headers()?, &COLUMNS[..]);
        let records = csv.records().collect::<Result<Vec<_>, _>>()?;
        assert!(records.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@'])));
        let record = &records[3];
        assert_eq!(&record[2], "'@ann said: *go* | [now](https://example.org)\nand <b>left</b>");
        assert_eq!(&record[4], "'=cmd|' /C calc'!A0");
        assert_eq!(&record[5], "'-2+3`|`");
        assert_eq!(&record[7], entries[3].event);
        assert_eq!(&record[8], entries[3].hash.to_string());
        Ok(())
    }

    #[test]
    fn what_only_begins_like_a_formula_is_marked_and_nothing_else() {
        for cell in ["=1", "+1", "-1", "@a", "\tx", "\rx", "\n=1"] {
            assert_eq!(harmless(cell.to_owned()), format!("'{cell}"));
        }
        for cell in ["", "1-2", "{}", "a=b"] {
            assert_eq!(harmless(cell.to_owned()), cell);
        }
    }

    /// The cells as a reader of the rendered table sees them.
    fn cells(markdown: &str) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
            if let Event::Start(Tag::TableHead | Tag::TableRow) = event {
                rows.push(Vec::new());
            } else if let Event::Start(Tag::TableCell) = event {
                rows.last_mut().expect("a cell is in a row").push(String::new());
            } else if let Event::Text(text) | Event::Code(text) = event {
                rows.last_mut().and_then(|row| row.last_mut()).expect("in a cell").push_str(&text);
            } else {
                let ours = matches!(event, Event::Start(Tag::Table(_)) | Event::End(_));
                assert!(ours, "{event:?} has no place in a table of ours");
            }
        }
        rows
    }

    #[tokio::test]
    async fn the_markdown_shows_what_the_log_holds() -> anyhow::Result<()> {
        let (text, entries) = exported(Format::Markdown).await?;
        let rows = cells(&text);
        assert_eq!(rows[0], COLUMNS);
        for (row, entry) in rows[1..].iter().zip(&entries) {
            assert_eq!(row[0], entry.seq.to_string());
            assert_eq!(row[1], instant(entry.at));
            assert_eq!(row[3], entry.actor);
            assert_eq!(row[4], entry.request);
            assert_eq!(row[5], entry.release.clone().unwrap_or_default());
            assert_eq!(row[7], entry.event);
            assert_eq!(row[8], entry.hash.to_string());
        }
        assert_eq!(rows[4][2], "@ann said: *go* | [now](https://example.org) and <b>left</b>");
        assert_eq!(rows.len(), 7);
        Ok(())
    }

    #[tokio::test]
    async fn an_export_that_cannot_be_written_says_so() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        store.commit(&entries(1..=2000)).await?;
        for format in [Format::JsonLines, Format::Csv, Format::Markdown] {
            let mut small = [0; 64];
            let out = &mut small[..];
            let done = export(store.reader(), Which::default(), format, &|_| String::new(), out);
            let error = done.await.expect_err("no room");
            assert!(matches!(error, ExportError::Write(_)), "{error}");
        }
        Ok(())
    }
}
