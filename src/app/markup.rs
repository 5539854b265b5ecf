//! Markdown in, neutral blocks out: the one way in which our words become a message.
//!
//! CommonMark and tables. Four link schemes name what platforms show in their own way:
//! `[Tue 10:00](time:1765821600)`, `[@ann](person:console/local/ann)`,
//! `[#releases](channel:releases)` and `[a|b](code:)`, which is inline code that a table cell can
//! hold. `http` and `https` are links; of any other scheme only the text stays.
//!
//! **Invariant:** what people wrote reaches a template through [`escape`] alone, and then comes
//! back from [`parse`] as text: it is never a mention, a link or a style.

use chrono::DateTime;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::ports::{Block, Inline};

/// Styles nested deeper than this are flattened, so that no text can exhaust the stack of the code
/// that walks a message.
const DEEPEST: usize = 8;

/// Reads Markdown. Never fails: what is not understood stays as text.
pub fn parse(markdown: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        reader.read(event);
    }
    reader.blocks
}

/// Makes what people wrote safe inside Markdown: every character comes back as text, in one line.
///
/// Line breaks become spaces; other control characters and those that steer the direction of
/// writing are removed. Text with right-to-left letters is isolated, so that it cannot reorder its
/// neighbours. Meant for running text: inside backticks use the filter `code`.
pub fn escape(text: &str) -> String {
    guard(&isolate(clean(text)))
}

/// Escapes a cleaned line, character by character.
pub(crate) fn guard(text: &str) -> String {
    let first = text.len() - text.trim_start_matches(' ').len();
    let last = text.trim_end_matches(' ').len();
    let mut escaped = String::with_capacity(text.len() + 8);
    // Only ASCII speaks, and what lies between is copied as it is: each answer is escaped.
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let (instead, over) = match byte {
            b' ' if at < first || at >= last => ("&#32;", 1),
            // As entities, since the cells of a table are split before backslashes are read.
            b'\\' => ("&#92;", 1),
            b'|' => ("&#124;", 1),
            _ if speaks_markdown(byte) => ("\\", 0),
            _ if byte.is_ascii_punctuation() && starts_line(&text[..at]) => ("\\", 0),
            _ => continue,
        };
        escaped.push_str(&text[copied..at]);
        escaped.push_str(instead);
        copied = at + over;
    }
    escaped.push_str(&text[copied..]);
    escaped
}

fn speaks_markdown(byte: u8) -> bool {
    matches!(byte, b'`' | b'*' | b'_' | b'[' | b']' | b'(' | b')' | b'<' | b'>' | b'&' | b'~')
        || matches!(byte, b'!' | b'{' | b'}' | b'#')
}

/// Only here do dashes, pluses, colons and `1.` mean something.
fn starts_line(before: &str) -> bool {
    before.bytes().all(|byte| byte == b' ' || byte.is_ascii_digit())
}

/// One line without control characters: what [`escape`] keeps of a text.
pub(crate) fn clean(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.replace("\r\n", "\n")
        .chars()
        .filter_map(|c| match c {
            '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                Some(' ')
            }
            _ if c.is_control() || steers_direction(c) => None,
            _ => Some(c),
        })
        .collect()
}

fn steers_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}')
}

/// One line for a terminal or a spreadsheet: what [`clean`] takes away is shown as `\u202e`, for
/// whoever looks for it. Tabs stay, and so do isolates of ours, as long as each one ends.
pub fn visible(line: &str) -> String {
    let is_ours = isolates_end(line);
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        let harmless = c == '\t' || (is_ours && matches!(c, '\u{2068}' | '\u{2069}'));
        match !harmless && (c.is_control() || steers_direction(c) || is_line_break(c)) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    shown
}

fn isolates_end(line: &str) -> bool {
    let mut open = 0_i32;
    for c in line.chars() {
        open += i32::from(c == '\u{2068}') - i32::from(c == '\u{2069}');
        if open < 0 {
            return false;
        }
    }
    open == 0
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

pub(crate) fn isolate(text: String) -> String {
    let has_some = !text.is_ascii() && text.chars().any(is_right_to_left);
    if has_some { format!("\u{2068}{text}\u{2069}") } else { text }
}

/// The blocks of Unicode whose letters run from right to left.
fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// An id as the target of a link; [`parse`] gives back the same id.
pub(crate) fn address(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    id.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn read_address(address: &str) -> String {
    let bytes = address.as_bytes();
    let mut id = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = address.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                id.push(byte);
                at += 3;
            }
            None => {
                id.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&id).into_owned()
}

// ---------------------------------------------------------------------------------------------
// Reading

/// Builds blocks from the parser's events. Quotes and lists are flat in a message, so only the
/// outermost one counts; what is nested in it becomes lines of it.
#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    outer: Option<Outer>,
    /// Open lists, each with the number of its next item if it counts.
    lists: Vec<Option<u64>>,
    quotes: usize,
    /// The text that is being read, outside of any style.
    line: Vec<Inline>,
    /// Nothing was said yet since the line, or the last break in it, began.
    fresh: bool,
    styles: Vec<(Style, Vec<Inline>)>,
    too_deep: usize,
    code: Option<String>,
    table: Option<Table>,
}

enum Outer {
    Quote,
    List(Vec<Vec<Inline>>),
}

enum Style {
    Strong,
    Emphasis,
    Link(String),
}

#[derive(Default)]
struct Table {
    head: Vec<Vec<Inline>>,
    rows: Vec<Vec<Vec<Inline>>>,
}

impl Reader {
    fn read(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.say(&text),
            },
            Event::Html(text) => self.say_lines(&text),
            Event::Code(text) => self.push(Inline::Code(text.into_string())),
            Event::SoftBreak | Event::HardBreak => self.push(Inline::Break),
            Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.say(&text),
            // A rule says nothing.
            Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock | Tag::Heading { .. } => self.open_line(),
            Tag::BlockQuote(_) => self.start_quote(),
            Tag::List(number) => self.start_list(number),
            Tag::Item => self.start_item(),
            Tag::CodeBlock(_) => self.code = Some(String::new()),
            Tag::Table(_) => self.start_table(),
            Tag::TableRow => self.start_row(),
            Tag::TableCell => self.start_cell(),
            Tag::Emphasis => self.start_style(Style::Emphasis),
            Tag::Strong => self.start_style(Style::Strong),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.start_style(Style::Link(dest_url.into_string()));
            }
            Tag::TableHead
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.close_line(Block::Paragraph),
            TagEnd::Heading(_) => self.close_line(Block::Heading),
            TagEnd::BlockQuote(_) => self.end_quote(),
            TagEnd::List(_) => self.end_list(),
            TagEnd::Item => self.end_item(),
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::Table => self.end_table(),
            TagEnd::TableCell => self.end_cell(),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link | TagEnd::Image => self.end_style(),
            TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    fn push(&mut self, inline: Inline) {
        if let Inline::Text(text) = inline {
            return self.say(&text);
        }
        self.fresh = false;
        let line = self.styles.last_mut().map_or(&mut self.line, |(_, inside)| inside);
        line.push(inline);
    }

    /// Text that the parser gave in pieces is one text again.
    fn say(&mut self, text: &str) {
        self.fresh = false;
        let line = self.styles.last_mut().map_or(&mut self.line, |(_, inside)| inside);
        if let Some(Inline::Text(said)) = line.last_mut() {
            said.push_str(text);
        } else if !text.is_empty() {
            line.push(Inline::Text(text.to_owned()));
        }
    }

    /// Raw HTML comes line by line, each with its end.
    fn say_lines(&mut self, text: &str) {
        for line in text.lines() {
            if !self.fresh {
                self.push(Inline::Break);
            }
            self.say(line);
        }
    }

    fn open_line(&mut self) {
        if self.outer.is_some() && !self.fresh {
            self.push(Inline::Break);
        }
        self.fresh = true;
    }

    fn close_line(&mut self, block: impl Fn(Vec<Inline>) -> Block) {
        if self.outer.is_none() && !self.line.is_empty() {
            self.blocks.push(block(std::mem::take(&mut self.line)));
        }
    }

    fn start_quote(&mut self) {
        self.quotes += 1;
        if self.outer.is_none() {
            self.outer = Some(Outer::Quote);
            self.fresh = true;
        }
    }

    fn end_quote(&mut self) {
        self.quotes -= 1;
        if self.quotes == 0 && matches!(self.outer, Some(Outer::Quote)) {
            self.outer = None;
            self.close_line(Block::Quote);
        }
    }

    fn start_list(&mut self, number: Option<u64>) {
        self.lists.push(number);
        if self.outer.is_none() {
            self.outer = Some(Outer::List(Vec::new()));
        }
    }

    fn start_item(&mut self) {
        match &mut self.outer {
            Some(Outer::List(items)) if !self.line.is_empty() => {
                items.push(std::mem::take(&mut self.line));
            }
            Some(Outer::Quote) => self.open_line(),
            Some(Outer::List(_)) | None => {}
        }
        let depth = self.lists.len() - usize::from(matches!(self.outer, Some(Outer::List(_))));
        let number = self.lists.last_mut().and_then(Option::as_mut).map(|number| {
            *number += 1;
            *number - 1
        });
        let indent = "\u{a0}\u{a0}".repeat(depth.saturating_sub(1).min(DEEPEST));
        match number {
            Some(number) => self.say(&format!("{indent}{number}. ")),
            None if depth > 0 => self.say(&format!("{indent}– ")),
            None => {}
        }
        self.fresh = true;
    }

    fn end_item(&mut self) {
        if let Some(Outer::List(items)) = &mut self.outer
            && !self.line.is_empty()
        {
            items.push(std::mem::take(&mut self.line));
        }
    }

    fn end_list(&mut self) {
        self.lists.pop();
        if self.lists.is_empty()
            && let Some(Outer::List(items)) = self.outer.take_if(|o| matches!(o, Outer::List(_)))
            && !items.is_empty()
        {
            self.blocks.push(Block::List(items));
        }
    }

    fn end_code(&mut self) {
        let code = self.code.take().unwrap_or_default();
        let code = code.trim_end_matches('\n');
        if self.outer.is_none() {
            self.blocks.push(Block::Code(code.to_owned()));
            return;
        }
        for line in code.lines() {
            self.open_line();
            self.push(Inline::Code(line.to_owned()));
        }
    }

    /// A table within a list or a quote becomes lines of it.
    fn start_table(&mut self) {
        match self.outer {
            Some(_) => self.open_line(),
            None => self.table = Some(Table::default()),
        }
    }

    fn start_row(&mut self) {
        match &mut self.table {
            Some(table) => table.rows.push(Vec::new()),
            None => self.open_line(),
        }
    }

    fn start_cell(&mut self) {
        if self.table.is_none() && !self.fresh {
            self.say(" | ");
        }
    }

    fn end_cell(&mut self) {
        if let Some(table) = &mut self.table {
            let cell = std::mem::take(&mut self.line);
            table.rows.last_mut().unwrap_or(&mut table.head).push(cell);
        }
    }

    fn end_table(&mut self) {
        if let Some(Table { head, rows }) = self.table.take() {
            self.blocks.push(Block::Table { head, rows });
        }
    }

    fn start_style(&mut self, style: Style) {
        if self.styles.len() < DEEPEST {
            self.styles.push((style, Vec::new()));
        } else {
            self.too_deep += 1;
        }
    }

    fn end_style(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        let Some((style, inside)) = self.styles.pop() else { return };
        match style {
            Style::Strong => self.push(Inline::Strong(inside)),
            Style::Emphasis => self.push(Inline::Emphasis(inside)),
            Style::Link(url) => self.push(target(&url, line_of(&inside, Urls::Hidden))),
        }
    }
}

/// What a link means, by its scheme.
fn target(url: &str, text: String) -> Inline {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" if text.is_empty() => Inline::Link { url: url.into(), text: url.into() },
        "http" | "https" => Inline::Link { url: url.into(), text },
        "time" => match rest.parse().ok().filter(|at| DateTime::from_timestamp(*at, 0).is_some()) {
            Some(at) => Inline::Time { at, text },
            None => Inline::Text(text),
        },
        "person" => Inline::Mention { id: read_address(rest), name: without_mark(&text, '@') },
        "channel" => Inline::Channel { id: read_address(rest), name: without_mark(&text, '#') },
        "code" => Inline::Code(text),
        _ => Inline::Text(text),
    }
}

fn without_mark(text: &str, mark: char) -> String {
    text.strip_prefix(mark).unwrap_or(text).to_owned()
}

// ---------------------------------------------------------------------------------------------
// As plain text

/// For logs, letters, the terminal and screen readers.
pub fn plain(blocks: &[Block]) -> String {
    blocks.iter().map(plain_block).collect::<Vec<_>>().join("\n\n")
}

/// The first block in one line: what a lock screen shows.
pub fn lead(blocks: &[Block]) -> String {
    let line = match blocks.first() {
        Some(Block::Heading(line) | Block::Paragraph(line) | Block::Quote(line)) => {
            line_of(line, Urls::Hidden)
        }
        Some(Block::List(items)) => {
            items.first().map(|i| line_of(i, Urls::Hidden)).unwrap_or_default()
        }
        Some(Block::Code(code)) => code.clone(),
        Some(Block::Table { head, .. }) => row_of(head),
        None => String::new(),
    };
    line.replace('\n', " ")
}

fn plain_block(block: &Block) -> String {
    match block {
        Block::Heading(line) | Block::Paragraph(line) => line_of(line, Urls::Shown),
        Block::Quote(line) => format!("> {}", line_of(line, Urls::Shown).replace('\n', "\n> ")),
        Block::Code(code) => code.clone(),
        Block::List(items) => {
            let items = items.iter().map(|item| line_of(item, Urls::Shown).replace('\n', "\n  "));
            items.map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n")
        }
        Block::Table { head, rows } => {
            let rows = std::iter::once(head).chain(rows).map(|row| row_of(row));
            rows.collect::<Vec<_>>().join("\n")
        }
    }
}

fn row_of(cells: &[Vec<Inline>]) -> String {
    cells.iter().map(|cell| line_of(cell, Urls::Shown)).collect::<Vec<_>>().join(" | ")
}

#[derive(Clone, Copy, PartialEq)]
enum Urls {
    Shown,
    Hidden,
}

fn line_of(line: &[Inline], urls: Urls) -> String {
    line.iter().map(|inline| text_of(inline, urls)).collect()
}

fn text_of(inline: &Inline, urls: Urls) -> String {
    match inline {
        Inline::Text(text) | Inline::Code(text) | Inline::Time { text, .. } => text.clone(),
        Inline::Strong(inside) | Inline::Emphasis(inside) => line_of(inside, urls),
        Inline::Break => "\n".to_owned(),
        Inline::Link { url, text } if urls == Urls::Shown && url != text => {
            format!("{text} ({url})")
        }
        Inline::Link { text, .. } => text.clone(),
        Inline::Mention { name, .. } => format!("@{name}"),
        Inline::Channel { name, .. } => format!("#{name}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Inline {
        Inline::Text(text.into())
    }

    fn paragraph(markdown: &str) -> Vec<Inline> {
        match parse(markdown).as_slice() {
            [Block::Paragraph(line)] => line.clone(),
            other => panic!("not one paragraph: {other:?}"),
        }
    }

    #[test]
    fn link_schemes_become_what_platforms_show_in_their_own_way() {
        assert_eq!(
            paragraph("[Tue 15 Dec, 10:00 PST](time:1765821600)"),
            [Inline::Time { at: 1_765_821_600, text: "Tue 15 Dec, 10:00 PST".into() }]
        );
        assert_eq!(
            paragraph("[@ann](person:console/local/ann)"),
            [Inline::Mention { id: "console/local/ann".into(), name: "ann".into() }]
        );
        assert_eq!(
            paragraph("[#releases](channel:releases)"),
            [Inline::Channel { id: "releases".into(), name: "releases".into() }]
        );
        assert_eq!(
            paragraph("[plan](https://x.test/a_b)"),
            [Inline::Link { url: "https://x.test/a_b".into(), text: "plan".into() }]
        );
        assert_eq!(paragraph("[a\\|b](code:)"), [Inline::Code("a|b".into())]);
    }

    #[test]
    fn other_schemes_leave_only_their_text() {
        assert_eq!(paragraph("go [there](javascript:alert) now"), [text("go there now")]);
        assert_eq!(paragraph("[x](time:soon)"), [text("x")]);
        assert_eq!(paragraph("[x](time:9223372036854775807)"), [text("x")]);
        assert_eq!(paragraph("[x](/relative)"), [text("x")]);
    }

    #[test]
    fn raw_html_is_text() {
        assert_eq!(paragraph("<!channel> <b>hi</b>"), [text("<!channel> <b>hi</b>")]);
        assert_eq!(paragraph("a <b>hi</b>"), [text("a <b>hi</b>")]);
        assert_eq!(
            paragraph("<div>\nx\n</div>"),
            [text("<div>"), Inline::Break, text("x"), Inline::Break, text("</div>")]
        );
    }

    #[test]
    fn a_new_line_is_a_break() {
        assert_eq!(paragraph("one\ntwo"), [text("one"), Inline::Break, text("two")]);
    }

    #[test]
    fn nested_lists_are_flat_with_a_dash() {
        assert_eq!(
            parse("- a\n  - b\n    - c\n- d"),
            [Block::List(vec![
                vec![text("a")],
                vec![text("– b")],
                vec![text("\u{a0}\u{a0}– c")],
                vec![text("d")],
            ])]
        );
        assert_eq!(
            parse("3. a\n4. b"),
            [Block::List(vec![vec![text("3. a")], vec![text("4. b")]])]
        );
    }

    #[test]
    fn a_quote_holds_its_paragraphs_and_lists() {
        assert_eq!(
            parse("> a\n>\n> b\n> - c\n\nd"),
            [
                Block::Quote(vec![text("a"), Inline::Break, text("b"), Inline::Break, text("– c")]),
                Block::Paragraph(vec![text("d")]),
            ]
        );
    }

    #[test]
    fn code_and_tables_stay() {
        let blocks = parse("# Head\n```sh\na  b\n```\n| x | y |\n|---|---|\n| **1** | `2` |\n");
        assert_eq!(
            blocks,
            [
                Block::Heading(vec![text("Head")]),
                Block::Code("a  b".into()),
                Block::Table {
                    head: vec![vec![text("x")], vec![text("y")]],
                    rows: vec![vec![
                        vec![Inline::Strong(vec![text("1")])],
                        vec![Inline::Code("2".into())]
                    ]],
                },
            ]
        );
        assert_eq!(plain(&blocks), "Head\n\na  b\n\nx | y\n1 | 2");
    }

    #[test]
    fn plain_text_reads_alone() {
        let blocks = parse(
            "**Web shop** for [@ann](person:a)\nin [#r](channel:r), [plan](https://p)\n\n\
             - x\n\n> q\n> r",
        );
        assert_eq!(plain(&blocks), "Web shop for @ann\nin #r, plan (https://p)\n\n- x\n\n> q\n> r");
        assert_eq!(lead(&blocks), "Web shop for @ann in #r, plan");
        assert_eq!(lead(&[]), "");
    }

    #[test]
    fn right_to_left_text_is_isolated_and_controls_are_removed() {
        assert_eq!(escape("a\u{202e}b\u{2066}c\u{200f}"), "abc");
        assert_eq!(paragraph(&escape("דנה")), [text("\u{2068}דנה\u{2069}")]);
        assert_eq!(paragraph(&escape("\u{2069}دانا")), [text("\u{2068}دانا\u{2069}")]);
    }

    #[test]
    fn a_deep_nest_is_flattened() {
        let blocks = parse(&format!("{}x{}", "*a **b ".repeat(5_000), "** *".repeat(5_000)));
        assert!(plain(&blocks).contains('x'));
        parse(&"> ".repeat(3_000));
        parse(&"- ".repeat(3_000));
        parse(&"[".repeat(10_000));
    }

    fn expected(written: &str) -> Vec<Inline> {
        let kept = isolate(clean(written));
        if kept.is_empty() { vec![] } else { vec![Inline::Text(kept)] }
    }

    /// Any text, with a liking for what Markdown could mistake.
    fn anything() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[-+*_`~#<>\\[\\]()!|:.=&;\\\\ \n\t0-9a@דs\"'{}$^%/]{0,24}",
            "(\\PC|\n){0,40}",
        ]
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_as_its_characters(written in anything()) {
            let blocks = parse(&escape(&written));
            let line = match blocks.as_slice() {
                [] => vec![],
                [Block::Paragraph(line)] => line.clone(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(line, expected(&written));
        }

        #[test]
        fn escaped_text_stays_text_in_every_place(written in anything()) {
            let line = expected(&written);
            prop_assume!(!line.is_empty());
            let it = escape(&written);
            let around = |before: &str, after: &str| {
                let inner = line.first().map(|i| text_of(i, Urls::Shown)).unwrap_or_default();
                vec![Inline::Text(format!("{before}{inner}{after}"))]
            };
            prop_assert_eq!(parse(&format!("# t {it}")), [Block::Heading(around("t ", ""))]);
            prop_assert_eq!(parse(&format!("- t {it}.")), [Block::List(vec![around("t ", ".")])]);
            prop_assert_eq!(
                parse(&format!("a\n{it} z")),
                [Block::Paragraph([vec![text("a"), Inline::Break], around("", " z")].concat())]
            );
            prop_assert_eq!(
                parse(&format!("| h | {it} . |\n|---|---|\n| {it}. | b |")),
                [Block::Table {
                    head: vec![vec![text("h")], around("", " .")],
                    rows: vec![vec![around("", "."), vec![text("b")]]],
                }]
            );
            prop_assert_eq!(
                parse(&format!("[@ {it}](person:x)")),
                [Block::Paragraph(vec![Inline::Mention {
                    id: "x".into(),
                    name: format!(" {}", line_of(&line, Urls::Shown)),
                }])]
            );
        }

        #[test]
        fn an_id_survives_as_an_address(id in any::<String>()) {
            prop_assert_eq!(read_address(&address(&id)), id);
        }

        #[test]
        fn reading_never_fails(markdown in anything()) {
            let blocks = parse(&markdown);
            plain(&blocks);
            lead(&blocks);
        }
    }
}
