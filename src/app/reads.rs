//! What is answered without changing anything: where a release stands, its documents, its log.

use chrono::Datelike;

use super::documents::{self, ReportEntry};
use super::grammar::Paper;
use super::messages::Messages;
use super::notices::Scene;
use super::{engine, notices, status};
use crate::domain::agenda::{announcement_at, planned_announcements};
use crate::domain::command::Actor;
use crate::domain::event::{Event, Happened};
use crate::domain::notice::{Brief, Notice, NoticeKind};
use crate::domain::policy::Policy;
use crate::domain::react::CUSTOMERS;
use crate::domain::state::{Release, State};
use crate::domain::time::{Time, show};
use crate::domain::words;
use crate::ports::{Block, Inline, Message};
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

pub fn checklist(look: &Look, release: &Release) -> Message {
    status::checklist(look.messages, look.state, release, &look.scene())
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
        let head = format!("{}: {when}, to {}", planned.id, words::and(&to));
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

/// The most that a document may be as a message: platforms refuse more.
const LONGEST_DOCUMENT: usize = 9_000;

/// A document as blocks, as far as a message holds it, and whether something was left out. A heading
/// never stands last.
pub fn cut(markdown: &str) -> (Vec<Block>, bool) {
    let (mut body, mut size, mut cut) = (Vec::new(), 0, false);
    for block in super::markup::parse(markdown) {
        size += super::markup::plain(std::slice::from_ref(&block)).chars().count();
        if size > LONGEST_DOCUMENT && !body.is_empty() {
            cut = true;
            break;
        }
        body.push(block);
    }
    while cut && matches!(body.last(), Some(Block::Heading(_))) {
        body.pop();
    }
    (body, cut)
}

/// Where a message ended up is for the audit, not for the story.
fn of_note(entries: &[Entry]) -> Vec<Entry> {
    let posted = |entry: &&Entry| {
        let event = engine::event_of(entry);
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
    match engine::event_of(entry) {
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
