//! The rollout: stage by stage, each with its soak and its gate. Nothing here starts by itself
//! without a clear outcome before it.

use std::collections::BTreeMap;

use super::argument;
use super::authority::is_in;
use super::command::{Commitment, RunEnd, RunOutcome};
use super::decide::{Case, Decided, already, did};
use super::event::Happened;
use super::freeze;
use super::health::{self, Gate};
use super::hours::Hours;
use super::ids::{ActionName, Role, RunId};
use super::plan::Advance;
use super::policy::Right;
use super::poll;
use super::refusal::Refusal;
use super::registry;
use super::report::step_name;
use super::schedule;
use super::state::{Phase, Release, RunRecord, State, Step};
use super::time::{Time, span};
use super::verdict;

/// **Invariant:** no path leads to `Deploying` without verdict go, a green checklist and no freeze,
/// or a recorded override by the named role.
pub(super) fn start(case: &Case, commits: &Commitment) -> Decided {
    let person = case.person_may(Right::Start)?;
    let release = case.release;
    if release.phase.is_rolling_out() {
        return already(release, "start", format!("{} has started already.", release.title()));
    }
    if !release.phase.is_before_deploy() {
        return Err(case.wrong_phase("It cannot be started any more."));
    }
    if commits.revision.is_some_and(|revision| revision != release.revision) {
        return Err(Refusal::Stale {
            was: "the plan or its time has changed since it was shown".into(),
            hint: "Look at the release again: `status`.".into(),
        });
    }
    not_held(case)?;
    in_time(case)?;
    let reasons = verdict::reasons(release, case.policy);
    if !reasons.is_empty() {
        let reasons = reasons.iter().map(|reason| reason_text(case, reason)).collect();
        return Err(Refusal::NotGo { reasons });
    }
    not_frozen(case)?;
    schedule::not_locked(case.state, &release.plan)?;
    free_target(case.state, release, case.policy.timing.settle.duration(), case.now)?;
    case.did(Happened::Started { by: person })
}

fn reason_text(case: &Case, reason: &verdict::Reason) -> String {
    super::react::reason_text(reason, case.policy)
}

fn not_held(case: &Case) -> Result<(), Refusal> {
    match &case.release.held {
        Some(hold) => Err(Refusal::OnHold {
            release: case.release.title(),
            reason: hold.reason.clone(),
            hint: match case.release.start_missed {
                true => "Reschedule it, or scrub it.".into(),
                false => "Resume it first.".into(),
            },
        }),
        None => Ok(()),
    }
}

fn in_time(case: &Case) -> Result<(), Refusal> {
    let (start, timing) = (case.release.start.at, &case.policy.timing);
    if case.now < start {
        let keeps = span(timing.move_keeps_votes.duration());
        return Err(Refusal::TooEarly { at: case.when(start), keeps });
    }
    let until = start + timing.start_within.duration();
    if case.now > until {
        return Err(Refusal::TooLate { until: case.when(until) });
    }
    Ok(())
}

fn not_frozen(case: &Case) -> Result<(), Refusal> {
    let head = &case.release.plan.release;
    let found = freeze::covering(
        &case.state.house,
        case.policy,
        &head.service,
        &head.environment,
        case.now,
    );
    match found {
        Some((until, reason)) if !case.release.is_overridden("freeze") => Err(Refusal::Frozen {
            target: case.release.target(),
            until: case.when(until),
            reason: reason.to_owned(),
            hint: format!("To go anyway: `override {} freeze \"why\"`.", head.version),
        }),
        _ => Ok(()),
    }
}

/// **Invariant:** at most one deploy or rollback runs per service and environment, and the last one
/// has settled.
fn free_target(
    state: &State,
    release: &Release,
    settle: chrono::Duration,
    now: Time,
) -> Result<(), Refusal> {
    let busy = |other: &&Release| {
        if other.id == release.id || other.target() != release.target() {
            return false;
        }
        match other.phase {
            Phase::Deploying { .. }
            | Phase::Soaking { .. }
            | Phase::AtGate { .. }
            | Phase::RollingBack
            | Phase::RollbackFailed => true,
            Phase::Watching => other.rolled_out_at.is_some_and(|done| now < done + settle),
            Phase::CountingDown
            | Phase::Ready
            | Phase::Done
            | Phase::Scrubbed
            | Phase::RolledBack => false,
        }
    };
    match state.releases.values().map(AsRef::as_ref).find(busy) {
        Some(other) => Err(Refusal::TargetBusy {
            other: other.title(),
            phase: other.phase.name().into(),
            target: release.target(),
        }),
        None => Ok(()),
    }
}

pub(super) fn update(case: &Case, text: &str) -> Decided {
    let who = case.may(Right::Update)?;
    if case.release.phase.is_over() {
        return Err(case.wrong_phase("Its room has no more updates."));
    }
    if text.trim().is_empty() {
        let hint = "Say what happened: `update \"cache is warm\"`.".into();
        return Err(Refusal::NothingToDo { hint });
    }
    poll::not_too_long("The update", text)?;
    case.did(Happened::UpdatePosted { text: text.to_owned(), by: who.name() })
}

pub(super) fn advance(case: &Case, commits: &Commitment) -> Decided {
    let release = case.release;
    let person = case.person()?;
    let Some(stage) = release.phase.stage() else {
        return Err(case.wrong_phase("There is no stage to advance from."));
    };
    if commits.stage.is_some_and(|shown| shown != stage) {
        return Err(Refusal::Stale {
            was: "the rollout has moved on since it was shown".into(),
            hint: "Look at the stage that runs now: `status`.".into(),
        });
    }
    not_held(case)?;
    if let Some(until) = release.phase.soaks_until() {
        return Err(Refusal::StillSoaking { until: case.clock(until) });
    }
    if let Phase::Deploying { .. } = release.phase {
        return Err(still_running(case, &Step::Stage(stage)));
    }
    if let Some(check) = unfinished_check(release, stage) {
        return Err(still_running(case, &check));
    }
    health::not_green(case, stage)?;
    let wanted = wanted_approvals(release, stage);
    if wanted.is_empty() {
        let by = Some(case.person_may(Right::Advance)?);
        let advanced = Happened::StageAdvanced { stage, by };
        return case.did(if stage == release.last_stage() {
            Happened::RolledOut
        } else {
            advanced
        });
    }
    let mine: Vec<Role> =
        wanted.into_iter().filter(|role| is_in(case.by, &person, role, case.policy)).collect();
    match mine.first() {
        Some(role) => case.did(Happened::StageApproved { stage, role: role.clone(), person }),
        None => Err(case.person_may(Right::Advance).err().unwrap_or(Refusal::NothingToDo {
            hint: "This stage waits for the approval of its own roles: `status` names them.".into(),
        })),
    }
}

fn still_running(case: &Case, step: &Step) -> Refusal {
    let name = step_name(case.release, step);
    match case.release.run(step) {
        Some(run) if !run.is_running() => Refusal::Unsettled { step: name, why: how_it_ended(run) },
        run => Refusal::StillRunning {
            step: name,
            since: case.clock(run.map_or(case.release.phase_since, |run| run.began)),
        },
    }
}

fn unfinished_check(release: &Release, stage: usize) -> Option<Step> {
    let checks = 0..release.plan.stages[stage].checks.len();
    checks
        .map(|check| Step::StageCheck { stage, check })
        .find(|step| release.run(step).and_then(RunRecord::worked) != Some(true))
}

/// Until when the stage may wait for a decision, where its plan says so.
pub fn decide_by(release: &Release, stage: usize) -> Option<Time> {
    let by = release.plan.stages.get(stage)?.decide_by?;
    Some(release.stage_since? + by.duration())
}

/// Whether there is time to wait for better numbers before anybody has to decide.
pub fn may_wait(release: &Release, stage: usize) -> bool {
    decide_by(release, stage).is_some() && !release.overdue.contains(&stage)
}

/// The plan gives it no more time: the captain decides.
pub(super) fn overdue(case: &Case, stage: usize) -> Decided {
    let why = match health::gate(case.release, stage, case.policy, case.now) {
        Gate::Shut(why) => Some(why),
        Gate::Open | Gate::Wait => None,
    };
    case.did(Happened::StageOverdue { stage, why })
}

/// Roles whose approval this stage still waits for.
pub fn wanted_approvals(release: &Release, stage: usize) -> Vec<Role> {
    let given = release.approvals.get(&stage);
    let approvers = release.plan.stages[stage].approvers.iter();
    approvers.filter(|role| given.is_none_or(|given| !given.contains_key(*role))).cloned().collect()
}

/// Whether a person has to say so before the rollout goes on from this stage.
pub fn needs_a_person(release: &Release, stage: usize) -> bool {
    let plan = &release.plan.stages[stage];
    let manual = plan.advance == Advance::Manual && stage != release.last_stage();
    let approved = !plan.approvers.is_empty() && wanted_approvals(release, stage).is_empty();
    !approved && (manual || !plan.approvers.is_empty())
}

/// The hours in which the rollout goes on from a stage, where any bound it: after the last one there is
/// nothing to go on to, and what people say they want at once.
pub fn hours(release: &Release, stage: usize) -> Option<&Hours> {
    let by_itself = release.plan.stages[stage].goes_on_by_itself();
    release
        .plan
        .release
        .advance_within
        .as_ref()
        .filter(|_| by_itself && stage != release.last_stage())
}

/// When the rollout goes on from a stage that is ready at a time, if nobody says so before.
pub fn goes_on_at(release: &Release, stage: usize, ready: Time) -> Time {
    hours(release, stage).map_or(ready, |hours| hours.next(ready, release.start.zone))
}

/// How a run ended, completing "it …". What a person says of it counts more than what we saw.
pub fn how_it_ended(run: &RunRecord) -> String {
    match (run.settled, &run.said) {
        (Some(false), Some(why)) => format!("failed: {}", why.trim_end_matches('.')),
        (Some(_) | None, _) => how_it_looked(run),
    }
}

/// How a run ended as far as we saw, completing "it …".
pub fn how_it_looked(run: &RunRecord) -> String {
    match run.ended.as_ref().map(|(_, end)| &end.outcome) {
        None => "is still running".into(),
        Some(RunOutcome::Worked) => "worked".into(),
        Some(RunOutcome::Failed(why)) => format!("failed: {}", why.trim_end_matches('.')),
        Some(RunOutcome::TimedOut) => "hit its time limit and was stopped".into(),
        Some(RunOutcome::Stopped) => "was stopped".into(),
        Some(RunOutcome::Unknown(why)) => format!("has an unknown outcome: {why}"),
    }
}

/// Any known person may hold: a false alarm costs minutes.
pub(super) fn hold(case: &Case, reason: &str) -> Decided {
    let person = case.named()?;
    let release = case.release;
    poll::not_too_long("The reason", reason)?;
    if release.phase.is_over() {
        return Err(case.wrong_phase("There is nothing to hold."));
    }
    if matches!(release.phase, Phase::RollingBack | Phase::RollbackFailed) {
        return Err(case.wrong_phase("A rollback is not held: half of it helps nobody."));
    }
    if let Some(hold) = &release.held {
        return already(release, "hold", format!("It is on hold already: {}.", hold.reason));
    }
    if reason.trim().is_empty() {
        return Err(Refusal::NeedsReason);
    }
    case.did(Happened::Held { reason: reason.to_owned(), by: Some(person) })
}

pub(super) fn resume(case: &Case) -> Decided {
    let by = case.person_may(Right::Resume)?;
    let release = case.release;
    if release.held.is_none() {
        return Err(Refusal::NotOnHold { release: release.title() });
    }
    if release.start_missed {
        let hint = "Its start was missed. Reschedule it, or scrub it.".into();
        return Err(Refusal::NothingToDo { hint });
    }
    if let (Phase::AtGate { stage }, None) = (release.phase, release.unsettled())
        && let Gate::Shut(_) = health::gate(release, stage, case.policy, case.now)
    {
        health::not_green(case, stage)?;
    }
    if let Some(refusal) = registry::disagreement(release, &case.state.house) {
        return Err(refusal);
    }
    match release.unsettled() {
        Some(run) if !matches!(run.step, Step::Smoke(_) | Step::Timed(_)) => {
            let step = step_name(release, &run.step);
            Err(Refusal::Unsettled { step, why: how_it_ended(run) })
        }
        _ => case.did(Happened::Resumed { by }),
    }
}

/// Whoever may roll back settles a rollback that stopped; otherwise whoever may resume.
/// What it takes to say how a step ended, or to run it again.
pub fn right_to_settle(release: &Release) -> Right {
    if release.phase == Phase::RollbackFailed { Right::Rollback } else { Right::Resume }
}

/// A click is about the run that its message told of, and about no other.
fn not_about_another(case: &Case, shown: Option<&RunId>) -> Result<(), Refusal> {
    let Some(shown) = shown else { return Ok(()) };
    let unsettled = case.release.unsettled();
    if unsettled.is_some_and(|run| run.id == *shown) {
        return Ok(());
    }
    let known = case.release.runs.iter().find(|run| run.id == *shown);
    let was = match known {
        Some(run) if run.set_aside => {
            format!("it is about an earlier try of {}", step_name(case.release, &run.step))
        }
        Some(run) => format!("{} is settled", step_name(case.release, &run.step)),
        None => "its step is settled".to_owned(),
    };
    let hint = match unsettled {
        Some(run) => {
            format!("Now {} {}.", step_name(case.release, &run.step), how_it_ended(run))
        }
        None => "No step waits for a decision now.".to_owned(),
    };
    Err(Refusal::Stale { was, hint })
}

/// A step that failed or whose outcome nobody can tell is run again, because a person says so.
pub(super) fn retry(case: &Case, shown: Option<&RunId>) -> Decided {
    case.may(right_to_settle(case.release))?;
    not_about_another(case, shown)?;
    match case.release.unsettled() {
        Some(run) => case.did(Happened::RetryAsked { step: run.step.clone() }),
        None => {
            let hint = "No step has failed, so there is nothing to try again.".into();
            Err(Refusal::NothingToDo { hint })
        }
    }
}

/// Runs the smoke tests once more.
pub(super) fn verify(case: &Case) -> Decided {
    case.may(Right::Run)?;
    if case.release.phase != Phase::Watching {
        return Err(case.wrong_phase("The smoke tests run once it is rolled out."));
    }
    if case.release.running().next().is_some() {
        return Err(Refusal::NothingToDo { hint: "Checks are running already.".into() });
    }
    let tests = case.release.plan.smoke.iter().enumerate().filter(|(_, c)| c.action.is_some());
    let again: Vec<_> = tests
        .map(|(index, _)| did(&case.release.id, Happened::RetryAsked { step: Step::Smoke(index) }))
        .collect();
    if again.is_empty() {
        return Err(Refusal::NothingToDo { hint: "The plan has no automatic smoke test.".into() });
    }
    Ok(again)
}

pub(super) fn complete(case: &Case) -> Decided {
    let by = case.person_may(Right::Advance)?;
    if case.release.phase == Phase::Done {
        return already(case.release, "complete", "It is done already.");
    }
    if case.release.phase != Phase::Watching {
        let hint = "It can be completed once it is rolled out and watched.";
        return Err(case.wrong_phase(hint));
    }
    not_held(case)?;
    let result = super::report::result(case.release);
    case.did(Happened::Finished { result, by: Some(by) })
}

pub(super) fn run_action(
    case: &Case,
    action: &ActionName,
    with: &BTreeMap<String, String>,
) -> Decided {
    case.may(Right::Run)?;
    let Some(known) = case.policy.actions.get(action) else {
        let open = case.policy.actions.iter().filter(|(_, action)| action.from_chat);
        let names: Vec<_> = open.map(|(name, _)| name.as_str()).collect();
        let hint = match names.is_empty() {
            true => "The operator allows none from chat.".into(),
            false => format!("From chat you can run {}.", super::words::or(&names)),
        };
        return Err(Refusal::UnknownName {
            what: format!("The action {}", super::words::excerpt(action)),
            hint,
        });
    };
    if !known.from_chat {
        return Err(Refusal::ActionNotForChat { action: action.to_string() });
    }
    let with = filled(case.release, action, with, case.policy)?;
    let step = Step::Named(action.clone());
    if case.release.run(&step).is_some_and(RunRecord::is_running) {
        return Err(Refusal::NothingToDo { hint: format!("{action} is running already.") });
    }
    let attempt = case.release.attempts(&step) + 1;
    case.did(Happened::StepStarted { step, attempt, action: action.clone(), with })
}

/// The placeholders of an action, from the plan's arguments and from what every call knows: a step
/// of the way back names the version that it goes back to.
pub fn arguments(
    release: &Release,
    step: &Step,
    action: &ActionName,
    with: &BTreeMap<String, String>,
    policy: &super::policy::Policy,
) -> BTreeMap<String, String> {
    let plan = &release.plan;
    let back = plan.rollback.as_ref().map(|back| back.to.as_str());
    let version = match step {
        Step::Rollback(_) | Step::RollbackVerify(_) | Step::Rehearse(_) => back,
        Step::Stage(_)
        | Step::StageCheck { .. }
        | Step::Smoke(_)
        | Step::Timed(_)
        | Step::FlagOff(_)
        | Step::Named(_) => None,
    };
    let mut values = super::lint::given(plan, version.unwrap_or(&plan.release.version));
    values.extend(super::flag::given(plan, step, policy));
    values.extend(with.iter().map(|(name, value)| (name.clone(), value.clone())));
    if let Some(action) = policy.actions.get(action) {
        values.retain(|name, _| action.placeholders.contains(name));
    }
    values
}

fn filled(
    release: &Release,
    action: &ActionName,
    with: &BTreeMap<String, String>,
    policy: &super::policy::Policy,
) -> Result<BTreeMap<String, String>, Refusal> {
    let declared = &policy.actions[action].placeholders;
    if let Some(unknown) = with.keys().find(|name| !declared.contains(*name)) {
        let names: Vec<_> = declared.iter().map(String::as_str).collect();
        return Err(Refusal::UnknownName {
            what: format!("The argument {} of {action}", super::words::excerpt(unknown)),
            hint: match names.is_empty() {
                true => "It takes no arguments.".into(),
                false => format!("It takes {}.", super::words::and(&names)),
            },
        });
    }
    let step = Step::Named(action.clone());
    let arguments = arguments(release, &step, action, with, policy);
    if let Some(missing) = declared.iter().find(|name| !arguments.contains_key(*name)) {
        let hint = format!("{action} needs `{missing}`: `run {action} {missing}=…`.");
        return Err(Refusal::NothingToDo { hint });
    }
    let bad = |(name, value): (&String, &String)| {
        let (wrong, right) = (argument::wrong(value)?, argument::right());
        Some(Refusal::BadArgument { action: action.to_string(), name: name.clone(), wrong, right })
    };
    match arguments.iter().find_map(bad) {
        Some(refusal) => Err(refusal),
        None => Ok(arguments),
    }
}

/// A person says how a step ended that failed or that nobody could tell.
pub(super) fn outcome(case: &Case, shown: Option<&RunId>, worked: bool, reason: &str) -> Decided {
    let by = case.person_may(right_to_settle(case.release))?;
    not_about_another(case, shown)?;
    let Some(run) = case.release.unsettled() else {
        let hint = "No step's outcome is in question.".into();
        return Err(Refusal::NothingToDo { hint });
    };
    if reason.trim().is_empty() {
        return Err(Refusal::NeedsReason);
    }
    poll::not_too_long("The reason", reason)?;
    case.did(Happened::OutcomeSettled {
        step: run.step.clone(),
        attempt: run.attempt,
        worked,
        by,
        reason: reason.to_owned(),
    })
}

/// A run that nobody waits for any more changes nothing: its end came twice.
pub(super) fn ended(case: &Case, id: &RunId, end: &RunEnd) -> Decided {
    match case.release.runs.iter().find(|run| run.id == *id && run.is_running()) {
        Some(run) => case.did(Happened::StepEnded {
            step: run.step.clone(),
            attempt: run.attempt,
            end: end.clone(),
        }),
        None => Ok(Vec::new()),
    }
}
