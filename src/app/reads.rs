//! What is answered without changing anything: where a release stands, and its documents.

use crate::domain::agenda::{self, Scope};
use crate::domain::checklist::{ItemState, tally};
use crate::domain::command::Vote;
use crate::domain::policy::Policy;
use crate::domain::react::reason_text;
use crate::domain::state::{Release, State};
use crate::domain::time::{Time, show};
use crate::domain::{poll, verdict};
use crate::ports::{Block, Inline, Message};
use crate::store::Entry;

use super::grammar::Paper;
use super::messages::Messages;

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
    fn when(&self, at: Time, zone: chrono_tz::Tz) -> String {
        use chrono::Datelike;
        show(at, zone, self.now.year())
    }
}

fn paragraph(text: impl Into<String>) -> Block {
    Block::Paragraph(vec![Inline::Text(text.into())])
}

fn list(items: impl IntoIterator<Item = String>) -> Block {
    Block::List(items.into_iter().map(|item| vec![Inline::Text(item)]).collect())
}

fn message(body: Vec<Block>) -> Message {
    Message { body, ..Message::default() }
}

pub fn status(look: &Look, release: &Release) -> Message {
    let (title, phase) = (release.title(), release.phase.name());
    let start = look.when(release.start.at, release.start.zone);
    let mut body = vec![paragraph(format!("{title} is {phase}. Start: {start}."))];
    if let Some(hold) = &release.held {
        body.push(paragraph(format!("On hold: {}.", hold.reason)));
    }
    let reasons = verdict::reasons(release, look.policy);
    if release.phase.is_before_deploy() && !reasons.is_empty() {
        body.push(list(reasons.iter().map(|reason| reason_text(reason, look.policy))));
    }
    message(body)
}

pub fn releases(look: &Look) -> Message {
    if look.state.releases.is_empty() {
        return message(vec![paragraph("No release is known yet. `schedule` makes one.")]);
    }
    let mut all: Vec<_> = look.state.releases.values().collect();
    all.sort_by_key(|release| (release.phase.is_over(), release.start.at));
    let line = |release: &&std::sync::Arc<Release>| {
        let start = look.when(release.start.at, release.start.zone);
        format!("{}: {}, {start} ({})", release.title(), release.phase.name(), release.id)
    };
    message(vec![list(all.iter().map(line))])
}

pub fn agenda(look: &Look, release: Option<&Release>) -> Message {
    let scopes: Vec<Scope> = match release {
        Some(release) => vec![Scope::Release(release.id.clone())],
        None => agenda::scopes(look.state).collect(),
    };
    let mut due: Vec<_> =
        scopes.iter().flat_map(|scope| agenda::agenda(look.state, scope)).collect();
    due.sort_by_key(|due| due.at);
    let zone = release.map_or(look.policy.zone, |release| release.start.zone);
    let lines = due.iter().map(|due| format!("{}: {}", look.when(due.at, zone), due.about));
    match due.is_empty() {
        true => message(vec![paragraph("Nothing is due.")]),
        false => message(vec![list(lines)]),
    }
}

pub fn checklist(look: &Look, release: &Release) -> Message {
    let tally = tally(&release.items);
    let lead = format!("{}: {}/{} sections passed.", release.title(), tally.passed, tally.sections);
    let line = |item: &crate::domain::checklist::Item| {
        let owner = item.owner.as_ref().map_or("nobody", |owner| look.policy.name_of(owner));
        let state = match &item.state {
            ItemState::Open => format!("open ({owner})"),
            ItemState::Passed { by, .. } => format!("passed ({by})"),
            ItemState::Failed { by, .. } => format!("failed ({by})"),
            ItemState::Waived { by, why, .. } => format!("waived ({by}): {why}"),
        };
        format!("{} → {}: {state}", item.section_title, item.name)
    };
    message(vec![paragraph(lead), list(release.items.iter().map(line))])
}

pub fn roles(look: &Look, release: &Release) -> Message {
    let line = |seat: &crate::domain::state::Seat| {
        let title = look.policy.title_of(&seat.role);
        let members = poll::members(&seat.role, look.policy);
        let vote = match seat.vote(release.poll_revision) {
            None => "has not answered".to_owned(),
            Some(ballot) => {
                let name = look.policy.name_of(&ballot.by);
                match &ballot.vote {
                    Vote::Go => format!("GO ({name})"),
                    Vote::NoGo { reason } => format!("NO-GO ({name}): {reason}"),
                }
            }
        };
        format!("{title} ({members}): {vote}")
    };
    message(vec![list(release.seats.iter().map(line))])
}

pub fn oncall(look: &Look, release: &Release) -> Message {
    let people = release.plan.monitoring.oncall.people();
    let names: Vec<_> = people.map(|person| look.policy.name_of(person)).collect();
    let said = match names.is_empty() {
        true => "The plan names nobody on call.".to_owned(),
        false => format!("On call: {}.", crate::domain::words::and(&names)),
    };
    message(vec![paragraph(said)])
}

pub fn freezes(look: &Look) -> Message {
    let zone = look.policy.zone;
    let added = look.state.house.freezes.iter().map(|(id, freeze)| {
        let (from, until) = (look.when(freeze.from, zone), look.when(freeze.until, zone));
        format!("{id}: {from} to {until}, {}", freeze.reason)
    });
    let standing = look.policy.freezes.iter().map(|freeze| {
        let (from, until) = (look.when(freeze.from, zone), look.when(freeze.until, zone));
        format!("{}: {from} to {until}, {}", freeze.id, freeze.reason)
    });
    let lines: Vec<_> = added.chain(standing).collect();
    match lines.is_empty() {
        true => message(vec![paragraph("Nothing is frozen.")]),
        false => message(vec![list(lines)]),
    }
}

pub fn audit(look: &Look, entries: &[Entry]) -> Message {
    let zone = look.policy.zone;
    let line = |entry: &Entry| {
        let name = super::engine::event_of(entry).map_or_else(
            |_| "unreadable".to_owned(),
            |event| super::engine::name_of(&event).0.to_owned(),
        );
        format!("#{} {} {name}", entry.seq, look.when(entry.at, zone))
    };
    message(vec![list(entries.iter().map(line))])
}

/// A document, as Markdown.
pub fn document(look: &Look, release: &Release, paper: Paper) -> String {
    let title = super::markup::escape(&release.title());
    let name = match paper {
        Paper::Plan => "Release plan",
        Paper::Checklist => "Deployment checklist",
        Paper::Rollback => "Rollback plan",
        Paper::Notes => "Release notes",
        Paper::TechnicalNotes => "Technical release notes",
        Paper::Report => "Report",
    };
    let start = look.when(release.start.at, release.start.zone);
    format!("# {name}: {title}\n\nStart: {start}.\n")
}
