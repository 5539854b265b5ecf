//! Every event as one plain sentence: for the timeline, the audit and its export.

use crate::domain::checklist::Mark;
use crate::domain::command::{RunEnd, RunOutcome, Vote};
use crate::domain::event::{Event, FlagDid, Happened, Reminder};
use crate::domain::gate::Word;
use crate::domain::health;
use crate::domain::ids::{FlagId, PersonId};
use crate::domain::plan::Finding;
use crate::domain::policy::{Destination, Policy};
use crate::domain::react::reason_text;
use crate::domain::state::{CardKind, Start, Step};
use crate::domain::time::{self, Time};
use crate::domain::words;

/// What happened, as text; times in the policy's zone unless the event names one.
pub fn describe(event: &Event, policy: &Policy) -> String {
    let when = |at: Time| time::show(at, policy.zone, i32::MIN);
    match event {
        Event::Begun { jumpable: true } => "The log began, on a clock that can be jumped.".into(),
        Event::Begun { jumpable: false } => "The log began.".into(),
        Event::PolicyAdopted { policy } => {
            let (people, roles) = (policy.people.len(), policy.roles.len());
            format!("A policy was adopted: {people} people, {roles} roles.")
        }
        Event::ClockJumped { to } => format!("The clock was set forward to {}.", when(*to)),
        Event::ClockLeapt { expected, found } => {
            let which = if found > expected { "forward" } else { "back" };
            let (length, from, to) =
                (time::span(*found - *expected), when(*expected), when(*found));
            format!("The machine's clock was set {which} by {length}, from {from} to {to}.")
        }
        Event::SnapshotTaken { seq, digest } => {
            format!("What the log adds up to at #{seq} was written beside it: sha256:{digest:.32}.")
        }
        Event::Refused { verb, why } => format!("Refused {verb}: {why}"),
        Event::AlreadySo { verb, what } => format!("Nothing to do for {verb}: {}", ended(what)),
        Event::FreezeAdded { id, freeze } => {
            let (from, until) = (when(freeze.from), when(freeze.until));
            format!("Freeze {id} was added, {from} until {until}: {}", ended(&freeze.reason))
        }
        Event::FreezeLifted { id, reason } => {
            format!("Freeze {id} was lifted: {}", ended(reason))
        }
        Event::Welcomed { plan, .. } => format!("The sample {} was shown.", plan.title()),
        Event::FreezeEnded { id } => format!("Freeze {id} ended."),
        Event::Locked { target, version, reason } => {
            format!("{version} was locked on {target}: {}", ended(reason))
        }
        Event::Unlocked { target, version, reason } => {
            format!("{version} was unlocked on {target}: {}", ended(reason))
        }
        Event::GateTurnedAway { waiting, why } => {
            format!("Run {} of {} was turned down: {}", waiting.run, waiting.place, ended(why))
        }
        Event::Release { did, .. } => of_release(did, policy),
        Event::Flag { flag, did } => of_flag(flag, did, policy),
    }
}

fn of_flag(flag: &FlagId, did: &FlagDid, policy: &Policy) -> String {
    let name = |person: &PersonId| policy.name_of(person).to_owned();
    match did {
        FlagDid::ChangeAsked { percent: Some(percent), by, .. } => {
            format!("{} asked for the flag {flag} at {percent} %.", name(by))
        }
        FlagDid::ChangeAsked { percent: None, by, .. } => {
            format!("{} threw the kill switch of the flag {flag}.", name(by))
        }
        FlagDid::ChangeEnded { end, .. } => {
            format!("The change of the flag {flag} {}{}.", outcome(&end.outcome), after(end))
        }
        FlagDid::OwnerReminded { reminder: Reminder::Expires { before } } => {
            format!("The owner of the flag {flag} was reminded {before} before it expires.")
        }
        FlagDid::OwnerReminded { reminder: Reminder::CleanUp { nth } } => {
            format!(
                "The owner of the flag {flag} was reminded to clean it up, for the {nth}. time."
            )
        }
        FlagDid::Cleaned { by } => {
            format!("{} said that the flag {flag} is gone from the code.", name(by))
        }
    }
}

/// ` in under 1 s`, ` after 2 s`; of an end that nobody saw nobody knows when it was.
fn after(end: &RunEnd) -> String {
    if let RunOutcome::Unknown(_) = end.outcome {
        return String::new();
    }
    let took = i64::try_from(end.took_ms).unwrap_or(i64::MAX);
    let took = time::took(chrono::Duration::milliseconds(took));
    let when = if end.took_ms < 1_000 { "in" } else { "after" };
    format!(" {when} {took}")
}

/// With its full stop.
fn ended(sentence: &str) -> String {
    let sentence = sentence.trim_end();
    let closed = sentence.ends_with(['.', '?', '!', '…']);
    if closed { sentence.to_owned() } else { format!("{sentence}.") }
}

fn because(reason: Option<&String>) -> String {
    reason.map_or_else(|| ".".to_owned(), |reason| format!(": {}", ended(reason)))
}

fn start_text(start: &Start) -> String {
    time::show(start.at, start.zone, i32::MIN)
}

fn of_release(did: &Happened, policy: &Policy) -> String {
    let name = |person: &PersonId| policy.name_of(person).to_owned();
    let by_name = |by: &str| policy.name_of(&PersonId::from(by)).to_owned();
    let by = |by: &Option<PersonId>| by.as_ref().map_or_else(|| "tminus".to_owned(), &name);
    let when = |at: Time| time::show(at, policy.zone, i32::MIN);
    match did {
        Happened::Refused { verb, why } => format!("Refused {verb}: {why}"),
        Happened::AlreadySo { verb, what } => format!("Nothing to do for {verb}: {}", ended(what)),
        Happened::Scheduled { plan, start, .. } => {
            format!("{} was scheduled for {}.", plan.title(), start_text(start))
        }
        Happened::Rescheduled { start, keeps_votes, reason, .. } => {
            let votes = if *keeps_votes { "votes were kept" } else { "votes became stale" };
            let moved = format!("It was moved to {}; {votes}", start_text(start));
            moved + &because(reason.as_ref())
        }
        Happened::Edited { stale: true, .. } => "The plan was changed; votes became stale.".into(),
        Happened::Edited { stale: false, .. } => "The plan was changed; votes were kept.".into(),
        Happened::Scrubbed { reason } => format!("It was called off: {}", ended(reason)),
        Happened::ItemMarked { item, mark, by, why, .. } => {
            let marked = format!("{} {} {item}", by_name(by), marked(*mark));
            marked + &because(why.as_ref())
        }
        Happened::EvidenceReported { report, by } => {
            let (kind, found) = (report.kind.name(), finding(report.result));
            format!("{} reported {kind}: {found}", by_name(by)) + &because(report.note.as_ref())
        }
        Happened::VoteCast { role, person, vote } => {
            let (who, seat) = (name(person), policy.title_of(role));
            match vote {
                Vote::Go => format!("{who} said GO for {seat}."),
                Vote::NoGo { reason } => format!("{who} said NO-GO for {seat}: {}", ended(reason)),
            }
        }
        Happened::WentGo => "The verdict is GO.".into(),
        Happened::WentNoGo { reasons } => {
            let reasons: Vec<_> = reasons.iter().map(|one| reason_text(one, policy)).collect();
            format!("The verdict is no longer GO. {}", reasons.join(" "))
        }
        Happened::Overridden { obstacle, person, reason } => {
            format!("{} overrode {obstacle}: {}", name(person), ended(reason))
        }
        Happened::RiskAccepted { risk, person, reason } => {
            format!("{} accepted the risk {risk}: {}", name(person), ended(reason))
        }
        Happened::HandedOver { to } => format!("{} became the captain.", name(to)),
        Happened::VotesAsked => "Everyone was asked for go or no-go.".into(),
        Happened::VotersReminded { before, roles } => {
            let seats: Vec<_> = roles.iter().map(|role| policy.title_of(role)).collect();
            format!("{} {} reminded at {before}.", words::and(&seats), was(seats.len()))
        }
        Happened::Announced { id, to, late, .. } => {
            let late = if *late { ", late" } else { "" };
            format!("{id} was announced to {}{late}.", destinations(to))
        }
        Happened::AnnouncementSkipped { id, why, .. } => {
            format!("The announcement {id} was skipped: {}", ended(why))
        }
        Happened::SaidByHand { text, by } => format!("{} announced: {}", name(by), ended(text)),
        Happened::Posted { card, posted, text } => {
            let what = card.as_ref().map_or("A message", |card| card_name(&card.kind));
            let lead = text.lines().next().filter(|lead| !lead.is_empty());
            let lead = lead.map_or(String::new(), |lead| format!(": {lead}"));
            format!("{what} was posted in {}/{}{lead}", posted.platform, posted.channel)
        }
        Happened::NotPosted { to, what, why, unknown: false } => {
            format!("{what} could not be delivered to {to}: {}", ended(why))
        }
        Happened::NotPosted { to, what, why, unknown: true } => {
            format!("Nobody can tell whether {what} reached {to}: {}", ended(why))
        }
        Happened::RoomWanted => "The war room was asked for.".into(),
        Happened::RoomOpened { room } => {
            format!("The war room #{} opened on {}.", room.name, room.platform)
        }
        Happened::RoomKept => "The room was asked to stay open.".into(),
        Happened::RoomClosed => "The room was archived.".into(),
        Happened::StartOffered => "It is T-0: the start was offered.".into(),
        Happened::MissReminded { to, .. } => {
            format!("{} was reminded that it waits for a new time.", policy.name_of(to))
        }
        Happened::StartMissed { why } => format!("The start was missed: {}", ended(why)),
        Happened::Started { by } => format!("{} started the release.", name(by)),
        Happened::StepStarted { step, attempt, action, .. } => {
            let again = if *attempt > 1 { format!(", try {attempt}") } else { String::new() };
            format!("{} began ({action}{again}).", step_text(step))
        }
        Happened::StepEnded { step, end, .. } => {
            format!("{} {}{}.", step_text(step), outcome(&end.outcome), after(end))
        }
        Happened::OutcomeSettled { step, worked, by, reason, .. } => {
            let how = if *worked { "worked" } else { "failed" };
            format!("{} said that {} {how}: {}", name(by), lower(step), ended(reason))
        }
        Happened::RetryAsked { step } => format!("{} was asked for again.", step_text(step)),
        Happened::StageDeployed { stage, soak_until } => {
            let soak = soak_until.map(|until| format!("; it soaks until {}", when(until)));
            format!("Stage {} is deployed{}.", stage + 1, soak.unwrap_or_default())
        }
        Happened::SoakEnded { stage } => format!("The soak of stage {} ended.", stage + 1),
        Happened::AdvanceAsked { stage, until: None } => {
            format!("Stage {} is through its checks and waits for a person.", stage + 1)
        }
        Happened::AdvanceAsked { stage, until: Some(until) } => {
            let (stage, at) = (stage + 1, when(*until));
            format!("Stage {stage} is through its checks and waits until {at}, or for a person.")
        }
        Happened::AdvanceOpened { stage } => {
            format!("The hours began in which it goes on by itself from stage {}.", stage + 1)
        }
        Happened::NumberReported { number, by } => {
            let line = match number.line.as_str() {
                "" => String::new(),
                line => format!(" of {line}"),
            };
            format!("{} reported {}{line}: {}.", by_name(by), number.query, number.value)
        }
        Happened::StageOverdue { stage, .. } => {
            format!("Stage {} has soaked as long as it may; the captain was asked.", stage + 1)
        }
        Happened::StageApproved { stage, role, person } => {
            let seat = policy.title_of(role);
            format!("{} approved stage {} for {seat}.", name(person), stage + 1)
        }
        Happened::StageAdvanced { stage, by: who } => {
            format!("{} advanced from stage {} to stage {}.", by(who), stage + 1, stage + 2)
        }
        Happened::GateAsked { waiting } => {
            let (run, place, to) = (waiting.run, &waiting.place, &waiting.environment);
            format!("Run {run} of {place} waits for our word to deploy to {to}.")
        }
        Happened::GateAnswered { word, text, .. } => {
            let heard = match word {
                Word::Approved => "was approved",
                Word::Rejected => "was turned down",
                Word::Comment => "was told how things stand",
            };
            format!("A deployment that waits {heard}: {}", ended(text))
        }
        Happened::UpdatePosted { text, by } => format!("{}: {}", by_name(by), ended(text)),
        Happened::SilenceNoticed { who, .. } => match who {
            Some(who) => format!("Nothing was heard; {} was asked for an update.", name(who)),
            None => "Nothing was heard; the room was asked for an update.".into(),
        },
        Happened::Measured { stage, metrics, .. } => {
            let said: Vec<_> = metrics.iter().map(|judged| health::brief(judged, policy)).collect();
            let of = stage.map(|stage| format!(" of stage {}", stage + 1)).unwrap_or_default();
            let light = health::overall(metrics).word();
            format!("The numbers{of} are {light}: {}.", words::and(&said))
        }
        Happened::TurnedRed { why, by, roll_back_at } => {
            let who = by.as_ref().map(|by| format!("{} declared it", name(by)));
            let who = who.unwrap_or_else(|| "It stayed".into());
            let then = match roll_back_at {
                Some(_) => "it goes back by itself unless somebody holds it",
                None => "it is on hold, and on-call is asked",
            };
            format!("{who} red, and {then}: {}", ended(why))
        }
        Happened::Filed => "Filed away: it is over for good.".into(),
        Happened::SteppedBack { from, to, by } => {
            format!("{} took it back from stage {} to stage {}.", name(by), from + 1, to + 1)
        }
        Happened::Held { reason, by: who } => {
            format!("{} put it on hold: {}", by(who), ended(reason))
        }
        Happened::Resumed { by } => format!("{} lifted the hold.", name(by)),
        Happened::RolledOut => "All stages are done.".into(),
        Happened::SmokeTallied { passed, total } => {
            format!("Smoke tests: {passed}/{total} passing.")
        }
        Happened::CheckRecalled { check } => format!("Check {} fell due.", check + 1),
        Happened::ItemsAsked { phase, items } => {
            let asked = crate::domain::asking::words(*phase);
            let number = items.len();
            let noun = if number == 1 { "item" } else { "items" };
            format!("{number} open checklist {noun} of {asked} {} asked for.", was(number))
        }
        Happened::Finished { result, .. } => {
            format!("It was closed: {}, {}.", result.outcome.word(), result.state.word())
        }
        Happened::RehearsalAsked => "A rollback rehearsal was asked for.".into(),
        Happened::RehearsalEnded { worked: true, .. } => "The rollback rehearsal worked.".into(),
        Happened::RehearsalEnded { worked: false, why } => {
            "The rollback rehearsal failed".to_owned() + &because(why.as_ref())
        }
        Happened::RollbackAsked { from, to, by, reason } => {
            let asked = match by {
                Some(by) => format!("{} asked to roll back from {from} to {to}", name(by)),
                None => format!("The numbers rolled it back from {from} to {to}"),
            };
            asked + &because(reason.as_ref())
        }
        Happened::RolledBack { took_ms } => {
            let took = i64::try_from(*took_ms).unwrap_or(i64::MAX);
            format!("Rolled back in {}.", time::took(chrono::Duration::milliseconds(took)))
        }
        Happened::RollbackFailed { why } => format!("The rollback stopped: {}", ended(why)),
        Happened::Escalated { nth, to } => {
            format!("Contact {nth} was called: {}.", name(to))
        }
    }
}

fn was(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

fn marked(mark: Mark) -> &'static str {
    match mark {
        Mark::Pass => "passed",
        Mark::Fail => "failed",
        Mark::Waive => "waived",
        Mark::Reopen => "reopened",
    }
}

pub(super) fn finding(result: Finding) -> &'static str {
    match result {
        Finding::Pass => "pass",
        Finding::PassWithWarnings => "pass with warnings",
        Finding::Fail => "fail",
    }
}

fn destinations(to: &[Destination]) -> String {
    words::and(&to.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn card_name(kind: &CardKind) -> &'static str {
    match kind {
        CardKind::Poll => "The poll",
        CardKind::Live => "The live card",
        CardKind::RollbackPlan => "The rollback plan",
        CardKind::Run(_) => "A run's output",
    }
}

/// Completes "the step …".
pub(super) fn outcome(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Worked => "worked".into(),
        RunOutcome::Failed(why) => format!("failed ({why})"),
        RunOutcome::TimedOut => "hit its time limit".into(),
        RunOutcome::Stopped => "was stopped".into(),
        RunOutcome::Unknown(why) => format!("ended in a way that nobody can tell ({why})"),
    }
}

/// By its place: the plan that named it may have changed since.
fn step_text(step: &Step) -> String {
    let text = lower(step);
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

fn lower(step: &Step) -> String {
    match step {
        Step::Stage(stage) => format!("stage {}", stage + 1),
        Step::StageCheck { stage, check } => format!("check {} of stage {}", check + 1, stage + 1),
        Step::Smoke(check) => format!("smoke test {}", check + 1),
        Step::Timed(check) => format!("check {}", check + 1),
        Step::FlagOff(flag) => format!("the kill switch of flag {}", flag + 1),
        Step::Rollback(step) => format!("rollback step {}", step + 1),
        Step::RollbackVerify(step) => format!("rollback check {}", step + 1),
        Step::Rehearse(step) => format!("the rehearsal of rollback step {}", step + 1),
        Step::Named(action) => format!("the action {action}"),
    }
}
