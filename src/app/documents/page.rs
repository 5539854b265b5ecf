//! A page of Markdown for a file. Everything that a person wrote is escaped on its way in.

use crate::app::markup;

/// What a person wrote, as text; safe in a table as well. Lighter than in chat: people read these
/// files as they are, too.
pub(super) fn text(written: &str) -> String {
    let line = markup::isolate(markup::clean(written));
    let line = line.trim();
    let mut safe = String::with_capacity(line.len() + 8);
    // Only ASCII means something, and what lies between is copied as it is.
    let mut copied = 0;
    for (at, byte) in line.bytes().enumerate() {
        let within = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
        let means_something = match byte {
            b'_' => {
                let (before, after) =
                    (line[..at].chars().next_back(), line[at + 1..].chars().next());
                !(within(before) && within(after))
            }
            b'\\' | b'`' | b'*' | b'[' | b']' | b'<' | b'>' | b'&' | b'~' | b'|' => true,
            // Only at the start of a line.
            b'#' | b'-' | b'+' | b'=' | b':' | b'.' | b')' => {
                line.bytes().take(at).all(|byte| byte.is_ascii_digit())
            }
            _ => false,
        };
        if means_something {
            safe.push_str(&line[copied..at]);
            safe.push('\\');
            copied = at;
        }
    }
    safe.push_str(&line[copied..]);
    safe
}

/// Inline code that no backtick and no cell can end.
pub(super) fn code(written: &str) -> String {
    let line = markup::clean(written).replace('|', "\\|");
    let run = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(run + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

pub(super) struct Page(String);

impl Page {
    pub(super) fn new(title: &str) -> Self {
        Self(format!("# {}\n", text(title)))
    }

    pub(super) fn done(self) -> String {
        self.0
    }

    pub(super) fn heading(&mut self, title: &str) {
        self.0.push_str(&format!("\n## {}\n", text(title)));
    }

    pub(super) fn subheading(&mut self, title: &str) {
        self.0.push_str(&format!("\n### {}\n", text(title)));
    }

    /// Markdown of our own.
    pub(super) fn para(&mut self, markdown: &str) {
        self.0.push_str(&format!("\n{markdown}\n"));
    }

    pub(super) fn sentence(&mut self, written: &str) {
        if !written.trim().is_empty() {
            self.para(&text(written));
        }
    }

    pub(super) fn maybe(&mut self, written: Option<&str>) {
        self.sentence(written.unwrap_or_default());
    }

    /// A step of its own, before its command.
    pub(super) fn step(&mut self, markdown: &str) {
        // A number at the start of a line would open a list that the command ends.
        let markdown = match markdown.split_once(". ") {
            Some((number, rest)) if number.chars().all(|c| c.is_ascii_digit()) => {
                format!("{number}\\. {rest}")
            }
            Some(_) | None => markdown.to_owned(),
        };
        self.para(&markdown);
    }

    pub(super) fn code(&mut self, lines: &str) {
        let lines: Vec<_> = lines.lines().map(markup::clean).collect();
        let lines = lines.join("\n");
        let run = lines.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat((run + 1).max(3));
        self.0.push_str(&format!("\n{fence}\n{lines}\n{fence}\n"));
    }

    /// Items of Markdown; nothing if there are none.
    pub(super) fn items(&mut self, items: impl IntoIterator<Item = String>) {
        let mut lines = items.into_iter().map(|item| format!("- {item}\n")).peekable();
        if lines.peek().is_some() {
            self.0.push_str(if self.0.rsplit('\n').nth(1).is_some_and(is_item) {
                ""
            } else {
                "\n"
            });
            self.0.extend(lines);
        }
    }

    /// Items under a bold title.
    pub(super) fn list(&mut self, title: &str, items: impl IntoIterator<Item = String>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.para(&format!("**{}**", text(title)));
            self.items(items);
        }
    }

    /// What is not known is left out.
    pub(super) fn facts(&mut self, facts: &[(&str, Option<String>)]) {
        let known = facts.iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| vec![(*name).to_owned(), text(value)])
        });
        self.table(&["", ""], known.collect());
    }

    /// Cells are Markdown; nothing without rows.
    pub(super) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let head: Vec<_> = head.iter().map(|title| text(title)).collect();
        self.0.push_str(&format!("\n| {} |\n", head.join(" | ")));
        self.0.push_str(&format!("|{}\n", "---|".repeat(head.len())));
        for row in rows {
            self.0.push_str(&format!("| {} |\n", row.join(" | ")));
        }
    }
}

fn is_item(line: &str) -> bool {
    line.starts_with("- ")
}
