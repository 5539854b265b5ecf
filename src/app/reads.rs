//! What is answered without changing anything: where a release stands, its documents, its log.

use std::sync::Arc;

use chrono::Datelike;

use super::documents::{self, ReportEntry};
use super::grammar::Paper;
use super::messages::Messages;
use super::notices::Scene;
use super::{notices, replay, status};
use crate::domain::agenda::{announcement_at, called, planned_announcements};
use crate::domain::command::Actor;
use crate::domain::event::{Event, Happened};
use crate::domain::notice::{Brief, Notice, NoticeKind};
use crate::domain::policy::Policy;
use crate::domain::react::CUSTOMERS;
use crate::domain::registry::Record;
use crate::domain::state::{House, Release, State};
use crate::domain::time::{Time, show};
use crate::domain::words;
use crate::ports::{Block, File, Inline, Message};
use crate::store::Entry;

/// What an answer looks at.
pub struct Look<'a> {
    pub messages: &'a Messages,
    pub state: &'a State,
    pub policy: &'a Policy,
    pub now: Time,
    /// The platform of whoever asks, for mentions and channels.
    pub platform: &'a str,
}

impl Look<'_> {
    fn scene(&self) -> Scene<'_> {
        let home = self.policy.rooms.iter().find(|home| home.platform == self.platform);
        Scene {
            platform: self.platform,
            tenant: home.map_or("", |home| &home.tenant),
            now: self.now,
            zone: self.policy.zone,
            head: None,
            prefix: "/release",
        }
    }
}

pub fn status(look: &Look, release: &Release) -> Message {
    status::status(look.messages, look.state, release, &look.scene())
}

pub fn releases(look: &Look) -> Message {
    status::list(look.messages, look.state, &look.scene())
}

pub fn home(look: &Look, by: &Actor) -> Message {
    status::home(look.messages, look.state, by, &look.scene())
}

pub fn agenda(look: &Look, release: Option<&Release>) -> Message {
    status::agenda(look.messages, look.state, release, &look.scene())
}

pub fn checklist(look: &Look, release: &Release, by: &Actor) -> Message {
    status::checklist(look.messages, look.state, (release, by), &look.scene())
}

pub fn roles(look: &Look) -> Message {
    status::roles(look.messages, look.state, &look.scene())
}

pub fn oncall(look: &Look) -> Message {
    status::oncall(look.messages, look.state, &look.scene())
}

pub fn freezes(look: &Look) -> Message {
    status::freezes(look.messages, look.state, &look.scene())
}

pub fn flags(look: &Look) -> Message {
    status::flags(look.messages, look.state, &look.scene())
}

pub fn flag(look: &Look, record: &Record) -> Message {
    status::flag(look.messages, look.state, record, &look.scene())
}

/// What is still to be announced, as it would read if it went out now.
pub fn preview(look: &Look, release: &Release) -> Message {
    let mut body = Vec::new();
    for planned in planned_announcements(release, look.policy) {
        let at = announcement_at(release, planned);
        let said =
            release.said.get(&planned.id).is_some_and(|said| at.is_some_and(|at| said.at >= at));
        if said {
            continue;
        }
        let to = look.policy.audiences.get(&planned.audience).into_iter().flatten();
        let to: Vec<String> = to.map(ToString::to_string).collect();
        let when = match at {
            Some(at) => show(at, release.start.zone, look.now.year()),
            None => String::from(planned.at),
        };
        let head = format!("{}: {when}, to {}", called(&planned.id), words::and(&to));
        body.push(Block::Heading(vec![Inline::Text(head)]));
        let notice = Notice {
            kind: NoticeKind::Announcement {
                template: planned.template.clone(),
                planned: at.unwrap_or(look.now),
                late: false,
                at: at.unwrap_or(look.now),
            },
            brief: Some(Brief::of(release, look.policy)),
            public: planned.audience == CUSTOMERS,
        };
        body.extend(notices::render(look.messages, &notice, &look.scene()).body);
    }
    if body.is_empty() {
        body = super::markup::parse("Everything that was to be announced has been.");
    }
    Message { body, ..Message::default() }
}

/// The last entries of the log, as sentences.
pub fn audit(look: &Look, entries: &[Entry]) -> Message {
    let zone = look.policy.zone;
    let line = |line: ReportEntry| {
        let when = show(line.at, zone, look.now.year());
        let text = format!(" {when} · {}: {}", line.actor_name, line.text);
        vec![Inline::Strong(vec![Inline::Text(format!("#{}", line.seq))]), Inline::Text(text)]
    };
    let lines: Vec<_> = told(entries, look.policy).into_iter().map(line).collect();
    let lead = match lines.len() {
        0 => "The log has nothing of that yet.".to_owned(),
        1 => "The last entry. Check them all with `tminus audit verify`.".to_owned(),
        n => format!("The last {n} entries. Check them all with `tminus audit verify`."),
    };
    let mut body = super::markup::parse(&lead);
    if !lines.is_empty() {
        body.push(Block::List(lines));
    }
    Message { body, ..Message::default() }
}

/// A document, as Markdown; the entries are the release's own.
pub fn document(release: &Release, policy: &Policy, paper: Paper, entries: &[Entry]) -> String {
    match paper {
        Paper::Plan => documents::release_plan(release, policy),
        Paper::Checklist => documents::deployment_checklist(release, policy),
        Paper::Rollback => documents::rollback_plan(release, policy),
        Paper::Notes => documents::release_notes(&release.plan),
        Paper::TechnicalNotes => documents::technical_notes(&release.plan),
        Paper::Report => documents::report(release, policy, &told(&of_note(entries), policy)),
    }
}

/// The same as it is said, written beside those who hear people: of a long log that takes a while, and
/// whoever clicks meanwhile waits for none of it.
pub async fn said(
    release: Arc<Release>,
    house: Arc<House>,
    paper: Paper,
    entries: Vec<Entry>,
) -> (Vec<Block>, Option<File>) {
    let written = tokio::task::spawn_blocking(move || {
        let markdown = document(&release, house.policy(), paper, &entries);
        as_said(markdown, &release.plan.release.version, paper)
    });
    written.await.expect("nobody cancels it, and it does not panic")
}

/// A document of at most so many characters is read where it is said.
const SHORT: usize = 5_000;
/// A longer one only begins there: about two screens of a phone.
const BEGINNING: usize = 2_500;

/// What is said of a document, and the whole of it where that is only its beginning.
fn as_said(markdown: String, version: &str, paper: Paper) -> (Vec<Block>, Option<File>) {
    let whole = super::markup::parse(&markdown);
    if whole.iter().map(length).sum::<usize>() <= SHORT {
        return (whole, None);
    }
    let (name, media) = (format!("{}-{version}.md", paper.name()), "text/markdown".to_owned());
    (beginning(whole), Some(File { name, media, text: at_most(markdown, File::LONGEST) }))
}

/// Whole blocks and list items. A heading never stands last.
fn beginning(blocks: Vec<Block>) -> Vec<Block> {
    let (mut body, mut room) = (Vec::new(), BEGINNING);
    for block in blocks {
        match room.checked_sub(length(&block)) {
            Some(left) => room = left,
            None => {
                body.extend(shortened(block, room));
                break;
            }
        }
        body.push(block);
    }
    while body.len() > 1 && matches!(body.last(), Some(Block::Heading(_))) {
        body.pop();
    }
    body
}

/// What fits of a block that can be read in part.
fn shortened(block: Block, mut room: usize) -> Option<Block> {
    let mut fits = |length: usize| match room.checked_sub(length) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    match block {
        Block::List(mut items) => {
            let fitting = items.iter().take_while(|item| fits(length(&as_block(item)))).count();
            items.truncate(fitting);
            (fitting > 0).then_some(Block::List(items))
        }
        Block::Table { head, mut rows } => {
            let row = |row: &[Vec<Inline>]| row.iter().map(|cell| length(&as_block(cell))).sum();
            let fitting = rows.iter().take_while(|cells| fits(row(cells))).count();
            rows.truncate(fitting);
            (fitting > 0).then_some(Block::Table { head, rows })
        }
        Block::Heading(_) | Block::Paragraph(_) | Block::Quote(_) | Block::Code(_) => None,
    }
}

fn as_block(line: &[Inline]) -> Block {
    Block::Paragraph(line.to_vec())
}

/// Whole lines.
fn at_most(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let limit = (0..=limit).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let end = text[..limit].rfind('\n').map_or(limit, |end| end + 1);
        text.truncate(end);
    }
    text
}

fn length(block: &Block) -> usize {
    super::markup::plain(std::slice::from_ref(block)).chars().count()
}

/// Where a message ended up is for the audit, not for the story.
fn of_note(entries: &[Entry]) -> Vec<Entry> {
    let posted = |entry: &&Entry| {
        let event = replay::event_of(entry);
        !matches!(event, Ok(Event::Release { did: Happened::Posted { .. }, .. }))
    };
    entries.iter().filter(posted).cloned().collect()
}

/// Entries as people read them: who, and what happened.
pub fn told(entries: &[Entry], policy: &Policy) -> Vec<ReportEntry> {
    let line = |entry: &Entry| ReportEntry {
        seq: i64::try_from(entry.seq).unwrap_or(i64::MAX),
        at: entry.at,
        actor_name: actor_name(entry, policy),
        text: sentence(entry, policy),
    };
    entries.iter().map(line).collect()
}

/// What an entry says, in one sentence.
pub fn sentence(entry: &Entry, policy: &Policy) -> String {
    match replay::event_of(entry) {
        Ok(event) => documents::describe(&event, policy),
        Err(_) => "This entry is of a newer version and cannot be read here.".into(),
    }
}

fn actor_name(entry: &Entry, policy: &Policy) -> String {
    match serde_json::from_str::<Actor>(&entry.actor) {
        Ok(Actor::Person { account, .. }) => match policy.person(&account) {
            Some(person) => policy.name_of(person).to_owned(),
            None => account.to_string(),
        },
        Ok(Actor::Machine(name)) => name,
        Ok(Actor::Clock) => "clock".into(),
        Ok(Actor::Neighbour) => "tminus".into(),
        Ok(Actor::Operator) => "operator".into(),
        Err(_) => entry.actor.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(count: usize) -> String {
        (1..=count).map(|n| format!("## Part {n}\n\n{}\n\n", "word ".repeat(100))).collect()
    }

    #[test]
    fn a_short_document_is_said_whole() {
        let (body, file) = as_said(heads(9), "v1.2.0", Paper::Plan);
        assert_eq!((body.len(), file), (18, None));
    }

    #[test]
    fn a_long_document_begins_and_is_a_file_as_a_whole() {
        let (body, file) = as_said(heads(40), "v1.2.0", Paper::TechnicalNotes);
        assert!(matches!(body.last(), Some(Block::Paragraph(_))), "a heading stands last");
        assert_eq!(body.len(), 8);
        let file = file.expect("the whole");
        assert_eq!(file.name, "technical-notes-v1.2.0.md");
        assert_eq!(file.text, heads(40));
    }

    #[test]
    fn a_long_list_is_cut_between_its_items() {
        let items = |count| format!("- {}\n", "x".repeat(99)).repeat(count);
        let (body, _) = as_said(format!("# Log\n\n{}", items(500)), "v1", Paper::Report);
        let [Block::Heading(_), Block::List(shown)] = &body[..] else { panic!("{body:?}") };
        assert_eq!(shown.len(), 25);
    }

    #[test]
    fn a_file_holds_what_every_platform_takes() {
        let line = format!("{}\n\n", "é".repeat(40));
        let (_, file) = as_said(line.repeat(20_000), "v1", Paper::Report);
        let text = file.expect("the whole").text;
        assert!(text.len() <= File::LONGEST && text.len() > File::LONGEST - 100);
        assert!(text.ends_with('\n'));
        assert_eq!(at_most("é".repeat(9), 5), "éé");
    }
}
