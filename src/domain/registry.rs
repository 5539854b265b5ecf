//! The flags of all releases: who owns each, how far it is open as far as we know, and what is still
//! to be done about it. Derived from the log: a flag is known once a release that has it is
//! scheduled, and a step that sets it tells of its share.

mod rules;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

pub(super) use self::rules::{changed, clean, disagreement, kill, remind, set};
pub use self::rules::{find, governing, may_kill, share_text, stands_for};
pub(super) use self::told::react;
use super::agenda::Due;
use super::command::{Command, RunEnd, RunOutcome};
use super::event::{Event, FlagDid, Happened, Reminder};
use super::flag;
use super::ids::{FlagId, PersonId, ReleaseId, RunId};
use super::plan::Flag;
use super::policy::Policy;
use super::state::{House, Release, RunRecord, State, Step};
use super::time::{Span, Time};
use super::zone::Zone;

/// A flag, as far as the log knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: FlagId,
    pub name: String,
    pub provider: Option<String>,
    /// A plan without one is not scheduled; an old log may hold one.
    pub owner: Option<PersonId>,
    pub purpose: String,
    pub expires: Option<NaiveDate>,
    /// In which that day is meant.
    pub zone: Zone,
    pub since: Time,
    /// The releases that have it, the newest last.
    pub releases: Vec<ReleaseId>,
    /// How far it was opened last.
    pub share: Option<Share>,
    /// Why it may be open otherwise.
    pub doubt: Option<String>,
    /// Since when it is open for everybody.
    pub full_since: Option<Time>,
    /// What somebody asked for, and is under way.
    pub change: Option<Change>,
    pub changes: u32,
    /// What somebody asked for last, and is over.
    pub changed: Option<Change>,
    /// When its kill switch was thrown last, by a person or in a rollback.
    pub killed_at: Option<Time>,
    /// The shortest notice of its expiry that its owner was given.
    pub told_before: Option<Span>,
    /// How often, and when last, its owner was reminded to clean it up.
    pub reminders: u32,
    pub reminded_at: Option<Time>,
    pub cleaned: Option<(Time, PersonId)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub percent: f64,
    pub at: Time,
    pub by: SetBy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetBy {
    Person(PersonId),
    Release(ReleaseId),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub nth: u32,
    /// Nothing: the kill switch.
    pub percent: Option<f64>,
    pub by: PersonId,
    pub at: Time,
}

/// The idempotency key of a change that a person asked for.
pub fn run_id(flag: &FlagId, nth: u32) -> RunId {
    RunId::new(format!("flag/{flag}/{nth}"))
}

/// Under which a flag of a plan is known.
pub fn id_of(flag: &Flag, policy: &Policy) -> FlagId {
    FlagId::of(kept_by(flag, policy), &flag.name)
}

/// Also one whom the configuration does not know keeps a flag apart from others of its name.
fn kept_by<'a>(flag: &'a Flag, policy: &'a Policy) -> Option<&'a str> {
    flag.provider.as_deref().or_else(|| flag::provider(flag, policy))
}

// ---------------------------------------------------------------------------------------------
// What the log says of it

/// What a release does to the flags.
pub(super) fn follow(house: &mut Arc<House>, release: &Release, did: &Happened, at: Time) {
    if let Happened::Scheduled { .. } | Happened::Rescheduled { .. } | Happened::Edited { .. } = did
    {
        register(house, release, at);
    }
    if let Happened::StepStarted { action, with, .. } = did
        && action.as_str() == flag::KILL
        && let Some(id) =
            changed_by(action.as_str(), with).filter(|id| house.flags.contains_key(id))
    {
        let record = Arc::make_mut(house).flags.get_mut(&id).expect("it has just been seen");
        Arc::make_mut(record).killed_at = Some(at);
    }
    let ended = if let Happened::StepEnded { step, attempt, end } = did {
        Some((step, attempt, &end.outcome))
    } else if let Happened::OutcomeSettled { step, attempt, worked: true, .. } = did {
        Some((step, attempt, &RunOutcome::Worked))
    } else {
        None
    };
    if let Some((step, attempt, how)) = ended
        && let Some(run) = run_of(release, step, *attempt)
    {
        ran(house, release, run, how, at);
    }
}

fn run_of<'a>(release: &'a Release, step: &Step, attempt: u32) -> Option<&'a RunRecord> {
    release.runs.iter().find(|run| run.step == *step && run.attempt == attempt)
}

/// The flags of its plan; what a changed plan no longer has, it no longer uses.
fn register(house: &mut Arc<House>, release: &Release, at: Time) {
    let before = house.flags.values().any(|record| record.releases.contains(&release.id));
    if release.plan.flags.is_empty() && !before {
        return;
    }
    let policy = house.policy.clone();
    let Some(policy) = policy.as_deref() else { return };
    let house = Arc::make_mut(house);
    let own: BTreeMap<FlagId, &Flag> =
        release.plan.flags.iter().map(|flag| (id_of(flag, policy), flag)).collect();
    for (id, record) in &mut house.flags {
        if !own.contains_key(id) && record.releases.contains(&release.id) {
            Arc::make_mut(record).releases.retain(|other| *other != release.id);
        }
    }
    for (id, flag) in own {
        let fresh = || Arc::new(Record::new(&id, flag, kept_by(flag, policy), release, at));
        let record = house.flags.entry(id.clone()).or_insert_with(fresh);
        Arc::make_mut(record).declared(flag, release, at);
    }
}

/// A step that changed a flag has ended.
fn ran(house: &mut Arc<House>, release: &Release, run: &RunRecord, how: &RunOutcome, at: Time) {
    let Some(id) = about(run) else { return };
    if house.flags.contains_key(&id) {
        let record = Arc::make_mut(house).flags.get_mut(&id).expect("it has just been seen");
        let percent = match run.action.as_str() {
            flag::KILL => Some(0.0),
            _ => run.with.get("percent").and_then(|share| share.parse().ok()),
        };
        let by = SetBy::Release(release.id.clone());
        Arc::make_mut(record).is_now(percent, by, how, at);
    }
}

/// The flag that a run changes.
pub fn about(run: &RunRecord) -> Option<FlagId> {
    changed_by(run.action.as_str(), &run.with)
}

pub fn changed_by(action: &str, with: &BTreeMap<String, String>) -> Option<FlagId> {
    let changes = [flag::SET, flag::KILL].contains(&action);
    let flag = with.get("flag").filter(|_| changes)?;
    Some(FlagId::of(with.get("provider").map(String::as_str), flag))
}

impl Record {
    fn new(id: &FlagId, flag: &Flag, provider: Option<&str>, release: &Release, at: Time) -> Self {
        Self {
            id: id.clone(),
            name: flag.name.clone(),
            provider: provider.map(str::to_owned),
            owner: None,
            purpose: String::new(),
            expires: None,
            zone: release.start.zone,
            since: at,
            releases: Vec::new(),
            share: None,
            doubt: None,
            full_since: None,
            change: None,
            changes: 0,
            changed: None,
            killed_at: None,
            told_before: None,
            reminders: 0,
            reminded_at: None,
            cleaned: None,
        }
    }

    /// The newest plan that has it says what is true of it.
    fn declared(&mut self, flag: &Flag, release: &Release, at: Time) {
        if self.cleaned.take().is_some() {
            (self.since, self.reminders, self.reminded_at) = (at, 0, None);
            (self.share, self.full_since, self.told_before) = (None, None, None);
        }
        let expires = flag.expires.map(|expires| expires.day(&release.start));
        if self.expires != expires || self.zone != release.start.zone {
            self.told_before = None;
        }
        (self.expires, self.zone) = (expires, release.start.zone);
        self.owner.clone_from(&flag.owner);
        self.purpose.clone_from(&flag.purpose);
        if !self.releases.contains(&release.id) {
            self.releases.push(release.id.clone());
        }
    }

    /// What nobody can tell of is said to be so.
    fn is_now(&mut self, percent: Option<f64>, by: SetBy, how: &RunOutcome, at: Time) {
        let (Some(percent), RunOutcome::Worked) = (percent, how) else {
            self.doubt = Some(match how {
                RunOutcome::Worked => "nobody knows to which share".into(),
                RunOutcome::Failed(why) => {
                    format!("a change failed: {}", why.trim_end_matches('.'))
                }
                RunOutcome::TimedOut => "a change hit its time limit".into(),
                RunOutcome::Stopped => "a change was stopped".into(),
                RunOutcome::Unknown(why) => format!("a change has an unknown outcome: {why}"),
            });
            return;
        };
        self.doubt = None;
        self.full_since = (percent >= 100.0).then(|| self.full_since.unwrap_or(at));
        self.share = Some(Share { percent, at, by });
    }

    pub(super) fn evolve(&mut self, did: &FlagDid, at: Time) {
        match did {
            FlagDid::ChangeAsked { nth, percent, by } => {
                self.changes = *nth;
                let (nth, percent, by) = (*nth, *percent, by.clone());
                if percent.is_none() {
                    self.killed_at = Some(at);
                }
                self.change = Some(Change { nth, percent, by, at });
            }
            FlagDid::ChangeEnded { nth, end } => self.ended(*nth, end, at),
            FlagDid::OwnerReminded { reminder: Reminder::Expires { before } } => {
                self.told_before = Some(*before);
            }
            FlagDid::OwnerReminded { reminder: Reminder::CleanUp { nth } } => {
                (self.reminders, self.reminded_at) = (*nth, Some(at));
            }
            FlagDid::Cleaned { by } => self.cleaned = Some((at, by.clone())),
        }
    }

    fn ended(&mut self, nth: u32, end: &RunEnd, at: Time) {
        let Some(change) = self.change.take_if(|change| change.nth == nth) else { return };
        let percent = Some(change.percent.unwrap_or(0.0));
        self.is_now(percent, SetBy::Person(change.by.clone()), &end.outcome, at);
        self.changed = Some(change);
    }

    /// Whether its kill switch was thrown after this run was asked for.
    pub fn is_killed_since(&self, run: &RunId, of_release: Option<Time>) -> bool {
        let mut changes = self.change.iter().chain(&self.changed);
        let own = changes.find(|change| run_id(&self.id, change.nth) == *run);
        let asked = of_release.or(own.map(|change| change.at));
        self.killed_at.is_some_and(|killed| asked.is_none_or(|asked| asked <= killed))
    }

    /// Whether it may be open, as far as anybody here knows.
    pub fn may_be_open(&self) -> bool {
        self.doubt.is_some() || self.share.as_ref().is_some_and(|share| share.percent > 0.0)
    }
}

// ---------------------------------------------------------------------------------------------
// What time will ask for

/// When people are reminded, on the day: who is woken up at midnight cleans nothing up.
const HOUR: NaiveTime = NaiveTime::from_hms_opt(10, 0, 0).expect("a time of day");

/// When a flag is to be gone.
pub fn expires_at(record: &Record) -> Option<Time> {
    let local = record.expires?.and_time(HOUR);
    super::time::resolve(local, record.zone).ok()
}

/// The scopes whose deadlines an event may move.
pub fn scopes(state: &State, event: &Event) -> Vec<FlagId> {
    match (event, event.of_release()) {
        (Event::Flag { flag, .. }, _) => vec![flag.clone()],
        (_, Some((release, _))) => {
            let Some(release) = state.releases.get(release) else { return Vec::new() };
            let flags = release.plan.flags.iter();
            flags.map(|flag| id_of(flag, state.house.policy())).collect()
        }
        (_, None) => Vec::new(),
    }
}

/// What its owner will be reminded of, the earliest first. Nothing once it is cleaned up.
pub fn agenda(record: &Record, policy: &Policy) -> Vec<Due> {
    if record.cleaned.is_some() {
        return Vec::new();
    }
    let owner = match &record.owner {
        Some(owner) => policy.name_of(owner),
        None => "somebody",
    };
    let mut list: Vec<_> =
        expiry(record, policy).into_iter().chain(clean_up(record, policy)).collect();
    list.sort();
    let due = |(at, reminder): (Time, Reminder)| {
        let (key, what) = match &reminder {
            Reminder::Expires { before } => (format!("expires/{before}"), "expires"),
            Reminder::CleanUp { nth } => (format!("clean-up/{nth}"), "is to be cleaned up"),
        };
        let about = format!("remind {owner} that the flag {} {what}", record.name);
        Due { at, key, about, command: Command::RemindOwner { flag: record.id.clone(), reminder } }
    };
    list.into_iter().map(due).collect()
}

/// Only what lies ahead of the moment at which it was declared, and is nearer than what was said.
fn expiry(record: &Record, policy: &Policy) -> Vec<(Time, Reminder)> {
    let Some(end) = expires_at(record) else { return Vec::new() };
    let nearer = |before: &&Span| record.told_before.is_none_or(|told| **before < told);
    let spans = policy.timing.flag_expires.iter().filter(nearer);
    let due = spans.map(|before| (end - before.duration(), Reminder::Expires { before: *before }));
    due.filter(|(at, _)| *at > record.since).collect()
}

/// From the day on which it expires, or a while after it was opened for everybody; again and again.
fn clean_up(record: &Record, policy: &Policy) -> Option<(Time, Reminder)> {
    let pace = policy.timing.flag_clean_up.duration();
    let full = record.full_since.map(|since| since + pace);
    let end = expires_at(record).map(|end| end.max(record.since));
    let first = full.into_iter().chain(end).min()?;
    let at = match record.reminded_at {
        Some(last) if last >= first => last + pace,
        Some(_) | None => first,
    };
    Some((at, Reminder::CleanUp { nth: record.reminders + 1 }))
}

#[cfg(test)]
mod tests;
