//! What the console takes and what it turns down: as strict as the platforms it stands in for.

use crate::ports::{Block, Button, Failure, File, Inline, Message};

/// Characters of text in one message.
const TEXT: usize = 12_000;
const BUTTONS: usize = 25;
const FILES: usize = 10;
const LABEL: usize = 75;
const COMMAND: usize = 2_000;
const TOPIC: usize = 250;
const NAME: usize = 80;

pub(super) fn check_message(message: &Message) -> Result<(), Failure> {
    let length: usize = message.body.iter().map(block_length).sum();
    if length == 0 {
        return Err(Failure::permanent("the message has no text"));
    }
    at_most("the message", length, TEXT)?;
    let buttons: Vec<_> = message.buttons.iter().flatten().collect();
    if buttons.len() > BUTTONS {
        let why = format!("the message has {} buttons, at most {BUTTONS} fit", buttons.len());
        return Err(Failure::permanent(why));
    }
    buttons.into_iter().try_for_each(check_button)?;
    if message.files.len() > FILES {
        let why = format!("the message has {} files, at most {FILES} fit", message.files.len());
        return Err(Failure::permanent(why));
    }
    message.files.iter().try_for_each(check_file)?;
    let mut inlines = message.body.iter().flat_map(block_inlines);
    inlines.try_for_each(check_link)
}

pub(super) fn check_topic(topic: &str) -> Result<(), Failure> {
    at_most("a topic or purpose", topic.chars().count(), TOPIC)
}

/// The links stand in the purpose, as many as it holds.
pub(super) fn purpose_with(purpose: &str, links: &[(String, String)]) -> String {
    let mut whole = purpose.to_owned();
    for (title, url) in links {
        let longer = format!("{whole} · {title}: {url}");
        if longer.chars().count() <= TOPIC {
            whole = longer;
        }
    }
    whole
}

/// A line that somebody typed into the conversation.
pub(super) fn check_said(text: &str) -> Result<(), Failure> {
    at_most("your message", text.chars().count(), TEXT)
}

fn check_button(button: &Button) -> Result<(), Failure> {
    if button.label.trim().is_empty() {
        return Err(Failure::permanent("a button has no label"));
    }
    at_most("a button's label", button.label.chars().count(), LABEL)?;
    at_most("a button's command", button.command.chars().count(), COMMAND)
}

fn check_file(file: &File) -> Result<(), Failure> {
    let File { name, text, .. } = file;
    if name.trim().is_empty() || name.contains(['/', '\\']) || name.contains(char::is_control) {
        return Err(Failure::permanent(format!("`{}` is no name of a file", name.escape_debug())));
    }
    at_most("a file's name", name.chars().count(), NAME)?;
    if text.is_empty() || text.len() > File::LONGEST {
        let (bytes, limit) = (text.len(), File::LONGEST);
        let why = format!("the file `{name}` has {bytes} bytes; it may have 1 to {limit}");
        return Err(Failure::permanent(why));
    }
    Ok(())
}

fn at_most(what: &str, length: usize, limit: usize) -> Result<(), Failure> {
    if length <= limit {
        return Ok(());
    }
    Err(Failure::permanent(format!("{what} has {length} characters, at most {limit} fit")))
}

fn check_link(inline: &Inline) -> Result<(), Failure> {
    match inline {
        Inline::Link { url, .. } if !is_web(url) => {
            Err(Failure::permanent(format!("`{url}` is not an http or https address")))
        }
        Inline::Strong(inner) | Inline::Emphasis(inner) => inner.iter().try_for_each(check_link),
        Inline::Text(_)
        | Inline::Code(_)
        | Inline::Break
        | Inline::Link { .. }
        | Inline::Time { .. }
        | Inline::Mention { .. }
        | Inline::Channel { .. } => Ok(()),
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn block_inlines(block: &Block) -> Vec<&Inline> {
    match block {
        Block::Heading(line) | Block::Paragraph(line) | Block::Quote(line) => line.iter().collect(),
        Block::List(items) => items.iter().flatten().collect(),
        Block::Code(_) => Vec::new(),
        Block::Table { head, rows } => head.iter().chain(rows.iter().flatten()).flatten().collect(),
    }
}

fn block_length(block: &Block) -> usize {
    let code = if let Block::Code(text) = block { text.chars().count() } else { 0 };
    code + block_inlines(block).into_iter().map(inline_length).sum::<usize>()
}

fn inline_length(inline: &Inline) -> usize {
    match inline {
        Inline::Text(text)
        | Inline::Code(text)
        | Inline::Link { text, .. }
        | Inline::Time { text, .. } => text.chars().count(),
        Inline::Strong(inner) | Inline::Emphasis(inner) => inner.iter().map(inline_length).sum(),
        Inline::Mention { name, .. } | Inline::Channel { name, .. } => name.chars().count() + 1,
        Inline::Break => 1,
    }
}

/// The name that a room gets: within the rules, and not `taken`.
pub(super) fn room_name(wished: &str, taken: impl Fn(&str) -> bool) -> String {
    let tidy = tidy_name(wished);
    let first = cut(&tidy, NAME);
    if !taken(&first) {
        return first;
    }
    (2_u64..)
        .map(|number| {
            let suffix = format!("-{number}");
            cut(&tidy, NAME - suffix.len()) + &suffix
        })
        .find(|name| !taken(name))
        .expect("there are more numbers than rooms")
}

/// Lower-case letters, digits, `-` and `_`; everything else becomes one `-`.
fn tidy_name(wished: &str) -> String {
    let mut name = String::new();
    for letter in wished.chars().flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() || letter == '_' {
            name.push(letter);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches('-');
    if name.is_empty() { "room".to_owned() } else { name.to_owned() }
}

fn cut(name: &str, limit: usize) -> String {
    let cut: String = name.chars().take(limit).collect();
    cut.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &str) -> Message {
        let body = vec![Block::Paragraph(vec![Inline::Text(text.to_owned())])];
        Message { body, ..Message::default() }
    }

    #[test]
    fn limits_hold_at_their_edges() {
        assert_eq!(check_message(&message(&"é".repeat(TEXT))), Ok(()));
        let why = check_message(&message(&"é".repeat(TEXT + 1))).expect_err("one too many");
        assert_eq!(why.to_string(), "the message has 12001 characters, at most 12000 fit");
        assert!(check_message(&Message::default()).is_err());

        let button = |label: usize, command: usize| Button {
            label: "l".repeat(label),
            command: "c".repeat(command),
            style: crate::ports::Style::Plain,
        };
        let with = |rows: Vec<Vec<Button>>| Message { buttons: rows, ..message("text") };
        assert_eq!(check_message(&with(vec![vec![button(75, 2_000); 5]; 5])), Ok(()));
        assert!(check_message(&with(vec![vec![button(1, 1); 26]])).is_err());
        assert!(check_message(&with(vec![vec![button(76, 1)]])).is_err());
        assert!(check_message(&with(vec![vec![button(0, 1)]])).is_err());
        assert!(check_message(&with(vec![vec![button(1, 2_001)]])).is_err());
    }

    #[test]
    fn files_have_a_name_and_a_limit() {
        let file = |name: &str, bytes: usize| File {
            name: name.to_owned(),
            media: "text/markdown".to_owned(),
            text: "x".repeat(bytes),
        };
        let with = |file| Message { files: vec![file], ..message("text") };
        assert_eq!(check_message(&with(file("report-v1.2.0.md", File::LONGEST))), Ok(()));
        let why = check_message(&with(file("a.md", File::LONGEST + 1))).expect_err("too long");
        assert_eq!(why.to_string(), "the file `a.md` has 1000001 bytes; it may have 1 to 1000000");
        for wrong in [file("a.md", 0), file(" ", 1), file("../a.md", 1), file("a\nb.md", 1)] {
            assert!(check_message(&with(wrong.clone())).is_err(), "{}", wrong.name);
        }
        let eleven = Message { files: vec![file("a.md", 1); 11], ..message("text") };
        assert!(check_message(&eleven).is_err());
    }

    #[test]
    fn a_link_leads_to_the_web() {
        let link = |url: &str| Inline::Link { url: url.to_owned(), text: "here".to_owned() };
        let body = |inline| Message { body: vec![Block::Quote(vec![inline])], ..message("") };
        assert_eq!(check_message(&body(link("https://example.org"))), Ok(()));
        let hidden = Inline::Strong(vec![link("javascript:alert(1)")]);
        assert!(check_message(&body(hidden)).is_err());
    }

    #[test]
    fn room_names_are_tidied_and_numbered() {
        assert_eq!(room_name("Launch v1.2.0!", |_| false), "launch-v1-2-0");
        assert_eq!(room_name("  ", |_| false), "room");
        assert_eq!(room_name("Über_Größe", |_| false), "über_größe");
        assert_eq!(room_name("a", |name| name == "a" || name == "a-2"), "a-3");
    }

    proptest! {
        #[test]
        fn any_wish_gives_a_valid_name(wish in ".{0,120}", used in 0_usize..12) {
            let mut taken: Vec<String> = Vec::new();
            for _ in 0..=used {
                let name = room_name(&wish, |name| taken.iter().any(|known| known == name));
                prop_assert!((1..=NAME).contains(&name.chars().count()));
                prop_assert!(name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'));
                prop_assert!(!taken.contains(&name));
                taken.push(name);
            }
        }
    }
}
