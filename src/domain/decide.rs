//! What a request means. One table; each rule lives in the file of its subject. Whatever follows by
//! itself is added by [`settle`](super::settle).

use super::authority::{Who, may, named, person, person_may, signer};
use super::command::{Actor, Command, Request};
use super::event::{Event, Happened};
use super::ids::ReleaseId;
use super::policy::{Policy, Right};
use super::refusal::Refusal;
use super::state::{Release, State};
use super::time::Time;
use super::{
    announcement, filing, freeze, gate, health, poll, registry, rollback, rollout, schedule, settle,
};

/// What a rule answers: events, or why not.
pub type Decided = Result<Vec<Event>, Refusal>;

/// Refusing is an event too, so that every attempt is on record.
pub fn decide(state: &State, request: &Request, now: Time) -> Vec<Event> {
    let now = state.last_at.map_or(now, |last| last.max(now));
    match rule(state, request, now) {
        Ok(events) => settle::follow(state, events, now),
        Err(why) => vec![refused(state, &request.command, why)],
    }
}

/// It is on record where it belongs: with the release, if it names one.
pub fn refused(state: &State, command: &Command, why: Refusal) -> Event {
    let verb = command.verb().to_owned();
    match command.release().filter(|release| state.releases.contains_key(*release)) {
        Some(release) => did(release, Happened::Refused { verb, why }),
        None => Event::Refused { verb, why },
    }
}

pub(super) fn did(release: &ReleaseId, did: Happened) -> Event {
    Event::Release { release: release.clone(), did }
}

pub(super) fn already(release: &Release, command: &str, what: impl Into<String>) -> Decided {
    let so = Happened::AlreadySo { verb: command.to_owned(), what: what.into() };
    Ok(vec![did(&release.id, so)])
}

fn rule(state: &State, request: &Request, now: Time) -> Decided {
    let by = &request.by;
    if let Some(decided) = of_the_house(state, by, &request.command, now) {
        return decided;
    }
    let policy = state.house.policy();
    let Some(id) = request.command.release() else {
        unreachable!("what names no release belongs to the house")
    };
    // Known people first: a stranger does not learn which releases there are.
    if matches!(by, Actor::Person { .. }) {
        named(by, policy)?;
    }
    let release = state.releases.get(id).ok_or_else(|| not_here(state, id))?;
    of_a_release(&Case { state, policy, release, by, now }, &request.command)
}

fn not_here(state: &State, id: &super::ids::ReleaseId) -> Refusal {
    let release = super::words::excerpt(id);
    match state.filed.get(id) {
        Some(filed) => {
            let ended = filed.ended_at.format("%Y-%m-%d").to_string();
            Refusal::Filed { release, ended }
        }
        None => Refusal::UnknownRelease { release },
    }
}

/// What a rule about one release looks at.
pub(super) struct Case<'a> {
    pub state: &'a State,
    pub policy: &'a Policy,
    pub release: &'a Release,
    pub by: &'a Actor,
    pub now: Time,
}

impl Case<'_> {
    pub(super) fn may(&self, right: Right) -> Result<Who, Refusal> {
        may(self.by, right, self.policy)
    }

    pub(super) fn person(&self) -> Result<super::ids::PersonId, Refusal> {
        person(self.by, self.policy)
    }

    pub(super) fn signer(&self) -> Result<super::ids::PersonId, Refusal> {
        signer(self.by, self.policy)
    }

    /// Known by name: enough for a hold.
    pub(super) fn named(&self) -> Result<super::ids::PersonId, Refusal> {
        named(self.by, self.policy)
    }

    pub(super) fn person_may(&self, right: Right) -> Result<super::ids::PersonId, Refusal> {
        person_may(self.by, right, self.policy)
    }

    pub(super) fn did(&self, happened: Happened) -> Decided {
        Ok(vec![did(&self.release.id, happened)])
    }

    pub(super) fn wrong_phase(&self, hint: &str) -> Refusal {
        Refusal::WrongPhase {
            release: self.release.title(),
            phase: self.release.phase.name().into(),
            hint: hint.into(),
        }
    }

    pub(super) fn clock(&self, at: Time) -> String {
        super::time::clock(at, self.release.start.zone)
    }

    pub(super) fn when(&self, at: Time) -> String {
        use chrono::Datelike;
        super::time::show(at, self.release.start.zone, self.now.year())
    }
}

fn of_the_house(state: &State, by: &Actor, command: &Command, now: Time) -> Option<Decided> {
    let decided = match command {
        Command::Begin { jumpable } => match state.house.begun {
            true => Ok(Vec::new()),
            false => Ok(vec![Event::Begun { jumpable: *jumpable }]),
        },
        Command::AdoptPolicy { policy } => {
            let same = state.house.policy.as_deref() == Some(policy);
            Ok(if same { vec![] } else { vec![Event::PolicyAdopted { policy: policy.clone() }] })
        }
        Command::JumpClock { to } => jump(state, *to, now),
        Command::NoteLeap { expected, found } => {
            Ok(vec![Event::ClockLeapt { expected: *expected, found: *found }])
        }
        Command::NoteSnapshot { seq, digest } => {
            Ok(vec![Event::SnapshotTaken { seq: *seq, digest: digest.clone() }])
        }
        Command::ComeTooLate { said } => {
            Err(Refusal::CameTooLate { said: super::words::excerpt(said) })
        }
        Command::AddFreeze { id, freeze } => freeze::add(state, by, id, freeze, now),
        Command::LiftFreeze { id, reason } => freeze::lift(state, by, id, reason),
        Command::FreezeOver { id } => freeze::over(state, id, now),
        Command::Welcome { plan, name, start } => {
            let (plan, name, start) = (plan.clone(), name.clone(), start.clone());
            let fresh = !state.house.welcomed && state.releases.is_empty();
            Ok(if fresh { vec![Event::Welcomed { plan, name, start }] } else { vec![] })
        }
        Command::Lock { target, version, reason } => {
            freeze::lock(state, by, target, version, reason)
        }
        Command::Unlock { target, version, reason } => {
            freeze::unlock(state, by, target, version, reason)
        }
        Command::SetFlag { flag, percent } => registry::set(state, by, flag, *percent),
        Command::KillFlag { flag } => registry::kill(state, by, flag),
        Command::CleanFlag { flag } => registry::clean(state, by, flag),
        Command::RemindOwner { flag, reminder } => registry::remind(state, flag, reminder, now),
        Command::FlagChanged { flag, nth, end } => registry::changed(state, flag, *nth, end),
        Command::AskGate { waiting, target } => gate::ask(state, waiting, target.as_ref()),
        Command::Schedule { plan, start } => schedule::schedule(state, by, plan, start, now),
        Command::Reschedule { .. }
        | Command::Edit { .. }
        | Command::Scrub { .. }
        | Command::Mark { .. }
        | Command::Report { .. }
        | Command::Vote { .. }
        | Command::Override { .. }
        | Command::AcceptRisk { .. }
        | Command::Handover { .. }
        | Command::KeepRoom { .. }
        | Command::Announce { .. }
        | Command::Start { .. }
        | Command::Update { .. }
        | Command::Advance { .. }
        | Command::Hold { .. }
        | Command::Resume { .. }
        | Command::Retry { .. }
        | Command::Verify { .. }
        | Command::Complete { .. }
        | Command::RunAction { .. }
        | Command::Outcome { .. }
        | Command::Rollback { .. }
        | Command::RehearseRollback { .. }
        | Command::ReportNumber { .. }
        | Command::Measured { .. }
        | Command::DeclareRed { .. }
        | Command::StepBack { .. }
        | Command::File { .. }
        | Command::Tick { .. }
        | Command::Ended { .. }
        | Command::Posted { .. }
        | Command::NotPosted { .. }
        | Command::RoomOpened { .. } => return None,
    };
    Some(decided)
}

/// Only a demo's clock can be moved, and only forward.
fn jump(state: &State, to: Time, now: Time) -> Decided {
    if !state.house.jumpable {
        let hint = "Only the demo's clock can be jumped; this log has real neighbours.".into();
        return Err(Refusal::NothingToDo { hint });
    }
    Ok(if to > now { vec![Event::ClockJumped { to }] } else { vec![] })
}

fn of_a_release(case: &Case, command: &Command) -> Decided {
    match command {
        Command::Reschedule { start, reason, .. } => schedule::reschedule(case, start, reason),
        Command::Edit { plan, .. } => schedule::edit(case, plan),
        Command::Scrub { reason, .. } => schedule::scrub(case, reason),
        Command::Handover { to, .. } => schedule::handover(case, to),
        Command::KeepRoom { .. } => schedule::keep_room(case),

        Command::Mark { item, mark, why, link, .. } => {
            poll::mark(case, item, *mark, why.as_ref(), link.as_ref())
        }
        Command::Report { report, .. } => poll::report(case, report),
        Command::Vote { role, vote, commits, .. } => poll::vote(case, role.as_ref(), vote, commits),
        Command::Override { obstacle, reason, .. } => poll::overrule(case, obstacle, reason),
        Command::AcceptRisk { risk, reason, .. } => poll::accept_risk(case, risk, reason),

        Command::Announce { text, .. } => announcement::by_hand(case, text),
        Command::Tick { deadline, .. } => announcement::tick(case, deadline),

        Command::Start { commits, .. } => rollout::start(case, commits),
        Command::Update { text, .. } => rollout::update(case, text),
        Command::Advance { commits, .. } => rollout::advance(case, commits),
        Command::Hold { reason, .. } => rollout::hold(case, reason),
        Command::Resume { .. } => rollout::resume(case),
        Command::Retry { run, .. } => rollout::retry(case, run.as_ref()),
        Command::Verify { .. } => rollout::verify(case),
        Command::Complete { .. } => rollout::complete(case),
        Command::RunAction { action, with, .. } => rollout::run_action(case, action, with),
        Command::Outcome { run, worked, reason, .. } => {
            rollout::outcome(case, run.as_ref(), *worked, reason)
        }
        Command::Ended { run, end, .. } => rollout::ended(case, run, end),

        Command::Rollback { reason, commits, .. } => {
            rollback::rollback(case, reason.as_ref(), commits)
        }
        Command::RehearseRollback { .. } => rollback::rehearse(case),
        Command::ReportNumber { number, .. } => health::report(case, number),
        Command::Measured { stage, readings, .. } => health::measured(case, *stage, readings),
        Command::DeclareRed { reason, .. } => health::declare(case, reason),
        Command::StepBack { .. } => health::step_back(case),
        Command::File { .. } => filing::file(case),

        Command::Posted { card, posted, text, .. } => {
            let (card, posted, text) = (card.clone(), posted.clone(), text.clone());
            case.did(Happened::Posted { card, posted, text })
        }
        Command::NotPosted { to, what, why, unknown, .. } => case.did(Happened::NotPosted {
            to: to.clone(),
            what: what.clone(),
            why: why.clone(),
            unknown: *unknown,
        }),
        Command::RoomOpened { room, .. } => case.did(Happened::RoomOpened { room: room.clone() }),

        Command::Begin { .. }
        | Command::AdoptPolicy { .. }
        | Command::JumpClock { .. }
        | Command::NoteLeap { .. }
        | Command::NoteSnapshot { .. }
        | Command::ComeTooLate { .. }
        | Command::AddFreeze { .. }
        | Command::LiftFreeze { .. }
        | Command::Lock { .. }
        | Command::Unlock { .. }
        | Command::FreezeOver { .. }
        | Command::SetFlag { .. }
        | Command::KillFlag { .. }
        | Command::CleanFlag { .. }
        | Command::RemindOwner { .. }
        | Command::FlagChanged { .. }
        | Command::Welcome { .. }
        | Command::AskGate { .. }
        | Command::Schedule { .. } => unreachable!("decided by the house"),
    }
}
