//! Going back: one click from the right person, step by step, until the old version answers.

use super::command::Commitment;
use super::decide::{Case, Decided, already};
use super::event::Happened;
use super::ids::PersonId;
use super::plan::Condition;
use super::policy::Right;
use super::refusal::Refusal;
use super::state::{Phase, Rehearsal, Release};

/// Whom a failed rollback calls, in order: a failed rollback is a Sev 1 with user impact.
pub fn contacts(release: &Release) -> Vec<PersonId> {
    let mut contacts: Vec<_> = release.plan.contacts.iter().collect();
    contacts.sort_by_key(|contact| contact.order);
    let fits = |when: Condition| match when {
        Condition::Always | Condition::Sev1 | Condition::UserImpact => true,
        Condition::CustomerCommunication => release.plan.release.user_facing,
    };
    let planned = contacts.iter().filter(|contact| fits(contact.when)).map(|c| c.who.clone());
    let own = release.plan.rollback.as_ref().and_then(|back| back.escalation.clone());
    let oncall = release.plan.monitoring.oncall.people().cloned();
    let mut people: Vec<PersonId> = Vec::new();
    for person in planned.chain(own).chain(oncall) {
        if !people.contains(&person) {
            people.push(person);
        }
    }
    people
}

/// Whom a stuck step calls, in order: those on call, then the captain. The first is called at once.
pub fn on_duty(release: &Release) -> Vec<PersonId> {
    let oncall = release.plan.monitoring.oncall.people().cloned();
    let mut people: Vec<PersonId> = Vec::new();
    for person in oncall.chain([release.captain.clone()]) {
        if !people.contains(&person) {
            people.push(person);
        }
    }
    people
}

/// Asked by an authorised person, confirmed once. A running step is stopped first, and an outcome
/// that nobody can tell never blocks it.
pub(super) fn rollback(case: &Case, reason: Option<&String>, commits: &Commitment) -> Decided {
    let by = case.person_may(Right::Rollback)?;
    let release = case.release;
    if let Some(reason) = reason {
        super::poll::not_too_long("The reason", reason)?;
    }
    let from = release.plan.release.version.clone();
    let Some(plan) = &release.plan.rollback else {
        return Err(Refusal::NothingToRollBack);
    };
    let to = plan.to.clone();
    let moved =
        |shown: &Option<String>, now: &String| shown.as_ref().is_some_and(|shown| shown != now);
    if moved(&commits.from, &from) || moved(&commits.to, &to) {
        return Err(Refusal::Stale {
            was: "what would be rolled back has changed since it was shown".into(),
            hint: format!("Now it is {from} to {to}: `rollback {from}`."),
        });
    }
    match release.phase {
        Phase::RollingBack => return already(release, "rollback", "It is rolling back already."),
        Phase::RolledBack => {
            return already(release, "rollback", format!("It is back on {to} already."));
        }
        Phase::RollbackFailed => {
            let hint = "The rollback stopped at a step: `retry` it, or say `outcome worked`.";
            return Err(Refusal::NothingToDo { hint: hint.into() });
        }
        Phase::CountingDown | Phase::Ready | Phase::Scrubbed => {
            return Err(Refusal::NothingToRollBack);
        }
        Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::AtGate { .. }
        | Phase::Watching
        | Phase::Done => {}
    }
    let live = case.state.house.live(&release.target());
    if matches!(release.phase, Phase::Watching | Phase::Done)
        && let Some(live) = live
        && live.release != release.id
    {
        let (newer, target) = (live.version.clone(), release.target());
        return Err(Refusal::NewerIsLive { newer, target });
    }
    case.did(Happened::RollbackAsked { from, to, by: Some(by), reason: reason.cloned() })
}

/// Proves the mechanism without going back.
pub(super) fn rehearse(case: &Case) -> Decided {
    case.may(Right::Rollback)?;
    if !case.release.phase.is_before_deploy() {
        return Err(case.wrong_phase("A rehearsal belongs before the launch."));
    }
    if matches!(case.release.rehearsal, Rehearsal::Running { .. }) {
        return already(case.release, "rollback --dry-run", "The rehearsal is running already.");
    }
    let steps = case.release.plan.rollback.as_ref().map(|plan| plan.steps.as_slice());
    if !steps.unwrap_or_default().iter().any(|step| step.rehearse.is_some()) {
        let hint = "No step of the rollback plan has a `rehearse` action. Add one to the plan, or \
                    tick the item by hand once you have tried it.";
        return Err(Refusal::NothingToDo { hint: hint.into() });
    }
    case.did(Happened::RehearsalAsked)
}
