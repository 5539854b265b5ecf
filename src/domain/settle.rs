//! What follows by itself. After each decision, the release is looked at as it then stands, and what
//! its state calls for is added, until it calls for nothing more. So a rule only says what was asked,
//! and nothing is forgotten, whichever way a release came to where it is.

use super::command::RunOutcome;
use super::decide::did;
use super::event::{Event, Happened};
use super::flag;
use super::gate;
use super::health::{self, Gate};
use super::ids::{ActionName, ReleaseId};
use super::policy::Policy;
use super::report;
use super::rollout::{arguments, goes_on_at, how_it_ended, may_wait, needs_a_person};
use super::state::{Phase, Rehearsal, Release, RunRecord, State, Step};
use super::time::{Span, Time};
use super::verdict;
use std::collections::BTreeMap;

/// More than a release can call for at once; a limit, so that a mistake here cannot spin.
const MOST: usize = 100;

pub fn follow(state: &State, mut events: Vec<Event>, now: Time) -> Vec<Event> {
    let touched = touched(state, &events);
    let before = events.len();
    for id in touched {
        let mut draft = state.narrowed(&id);
        for event in &events[..before] {
            draft.evolve(event, now);
        }
        let policy = state.house.policy();
        for _ in 0..MOST {
            let release = draft.releases.get(&id);
            let Some(next) = release.and_then(|release| next(release, policy, now)) else { break };
            let event = did(&id, next);
            draft.evolve(&event, now);
            events.push(event);
        }
    }
    events
}

/// The releases that these events change: the one that they are about, or, where a freeze comes or
/// goes, each that has not started.
fn touched(state: &State, events: &[Event]) -> Vec<ReleaseId> {
    let changes =
        |did: &Happened| !matches!(did, Happened::Refused { .. } | Happened::AlreadySo { .. });
    let mut of_releases = events.iter().filter_map(Event::of_release);
    let of_release = of_releases.find(|(_, did)| changes(did)).map(|(id, _)| id.clone());
    if of_release.is_some() || !events.iter().any(Event::moves_freezes) {
        return of_release.into_iter().collect();
    }
    let waiting = state.releases.values().filter(|release| release.phase.is_before_deploy());
    waiting.map(|release| release.id.clone()).collect()
}

fn next(release: &Release, policy: &Policy, now: Time) -> Option<Happened> {
    if let Some(did) = health::follow(release, policy, now) {
        return Some(did);
    }
    let of_phase = match release.phase {
        Phase::CountingDown => verdict_reached(release, policy),
        Phase::Ready => verdict_lost(release, policy),
        Phase::Deploying { stage } => deploying(release, stage, policy, now),
        Phase::Soaking { .. } => None,
        Phase::AtGate { stage } => at_gate(release, stage, policy, now),
        Phase::Watching => watching(release, policy),
        Phase::RollingBack => rolling_back(release, policy, now),
        Phase::RolledBack | Phase::Scrubbed => finished(release),
        Phase::Done | Phase::RollbackFailed => None,
    };
    of_phase
        .or_else(|| rehearsing(release, policy))
        .or_else(|| super::asking::answered(release))
        .or_else(|| gate::next(release, policy, now))
}

fn verdict_reached(release: &Release, policy: &Policy) -> Option<Happened> {
    verdict::reasons(release, policy).is_empty().then_some(Happened::WentGo)
}

fn verdict_lost(release: &Release, policy: &Policy) -> Option<Happened> {
    let reasons = verdict::reasons(release, policy);
    (!reasons.is_empty()).then_some(Happened::WentNoGo { reasons })
}

/// Where a step stands, for those who wait for it.
enum Stands {
    ToBegin {
        attempt: u32,
    },
    Running,
    Worked,
    /// It failed, or nobody can tell.
    Stuck(String),
}

fn stands(release: &Release, step: &Step) -> Stands {
    match release.run(step) {
        None => Stands::ToBegin { attempt: 1 },
        Some(run) if run.set_aside => Stands::ToBegin { attempt: run.attempt + 1 },
        Some(run) if run.is_running() => Stands::Running,
        Some(run) => match run.worked() {
            Some(true) => Stands::Worked,
            Some(false) | None => Stands::Stuck(stuck_text(release, run)),
        },
    }
}

fn stuck_text(release: &Release, run: &RunRecord) -> String {
    format!("{} {}", report::step_name(release, &run.step), how_it_ended(run))
}

fn begin(
    release: &Release,
    step: Step,
    attempt: u32,
    action: &ActionName,
    with: &BTreeMap<String, String>,
    policy: &Policy,
) -> Happened {
    let with = arguments(release, &step, action, with, policy);
    Happened::StepStarted { step, attempt, action: action.clone(), with }
}

fn held_by_us(release: &Release, reason: String) -> Option<Happened> {
    release.held.is_none().then_some(Happened::Held { reason, by: None })
}

fn deploying(release: &Release, stage: usize, policy: &Policy, now: Time) -> Option<Happened> {
    let step = Step::Stage(stage);
    let plan = &release.plan.stages[stage];
    match stands(release, &step) {
        // On hold, nothing new begins; what runs finishes.
        Stands::ToBegin { .. } if release.held.is_some() => None,
        Stands::ToBegin { attempt } => {
            Some(begin(release, step, attempt, &plan.action, &plan.with, policy))
        }
        Stands::Running => None,
        Stands::Stuck(why) => held_by_us(release, why),
        Stands::Worked => {
            let soak = plan.soak.map(Span::duration).filter(|soak| !soak.is_zero());
            let soak_until = soak.map(|soak| now + soak);
            Some(Happened::StageDeployed { stage, soak_until })
        }
    }
}

fn at_gate(release: &Release, stage: usize, policy: &Policy, now: Time) -> Option<Happened> {
    if release.held.is_some() || release.red.is_some() || release.goes_on_at.is_some() {
        return None;
    }
    let plan = &release.plan.stages[stage];
    for (check, action) in plan.checks.iter().enumerate() {
        let step = Step::StageCheck { stage, check };
        match stands(release, &step) {
            Stands::ToBegin { attempt } => {
                return Some(begin(release, step, attempt, action, &plan.with, policy));
            }
            Stands::Running => return None,
            Stands::Stuck(why) => return held_by_us(release, why),
            Stands::Worked => {}
        }
    }
    if release.stepped_back {
        let name = &plan.name;
        return held_by_us(release, format!("it was taken back to {name}"));
    }
    match health::gate(release, stage, policy, now) {
        Gate::Open => {}
        Gate::Wait => return None,
        // It was asked while it was green; whoever answers is told that it no longer is.
        Gate::Shut(_) if release.advance_asked.contains(&stage) => return None,
        Gate::Shut(_) if may_wait(release, stage) => return None,
        Gate::Shut(why) => return held_by_us(release, why),
    }
    if needs_a_person(release, stage) {
        let asked = release.advance_asked.contains(&stage);
        return (!asked).then_some(Happened::AdvanceAsked { stage, until: None });
    }
    let at = goes_on_at(release, stage, now);
    if at > now {
        return Some(Happened::AdvanceAsked { stage, until: Some(at) });
    }
    Some(match stage == release.last_stage() {
        true => Happened::RolledOut,
        false => Happened::StageAdvanced { stage, by: None },
    })
}

/// The smoke tests, then the checks whose time has come; what fails is a hold and a page.
fn watching(release: &Release, policy: &Policy) -> Option<Happened> {
    if release.held.is_some() {
        return None;
    }
    smoke_tests(release, policy)
        .or_else(|| timed_checks(release, policy))
        .or_else(|| stuck_check(release))
}

fn smoke_tests(release: &Release, policy: &Policy) -> Option<Happened> {
    if release.smoke.is_some() {
        return None;
    }
    let automatic = release.plan.smoke.iter().enumerate();
    let automatic: Vec<_> = automatic
        .filter_map(|(index, check)| Some((index, check, check.action.as_ref()?)))
        .collect();
    let (mut passed, mut total) = (0, 0);
    for (index, check, action) in &automatic {
        let step = Step::Smoke(*index);
        match stands(release, &step) {
            Stands::ToBegin { attempt } => {
                return Some(begin(release, step, attempt, action, &check.with, policy));
            }
            Stands::Running => return None,
            Stands::Worked | Stands::Stuck(_) => {
                let counted = release.run(&step).map_or((0, 1), report::counted);
                (passed, total) = (passed + counted.0, total + counted.1);
            }
        }
    }
    (total > 0).then_some(Happened::SmokeTallied { passed, total })
}

fn timed_checks(release: &Release, policy: &Policy) -> Option<Happened> {
    let recalled = release.recalled.iter().filter_map(|index| {
        let check = release.plan.checks.get(*index)?;
        Some((*index, check, check.action.as_ref()?))
    });
    for (index, check, action) in recalled {
        let step = Step::Timed(index);
        match release.run(&step) {
            None => return Some(begin(release, step, 1, action, &check.with, policy)),
            Some(run) if run.is_running() => return None,
            Some(_) => {}
        }
    }
    None
}

fn stuck_check(release: &Release) -> Option<Happened> {
    let run = release.unsettled()?;
    held_by_us(release, stuck_text(release, run))
}

/// Where the kill switches of a rollback stand.
enum Flags {
    Begin(Happened),
    Wait,
    /// They were to be the whole way back, and one of them is not done.
    Stuck(String),
    Off,
}

/// **Invariant:** before the first step back, every flag that the release may have opened was
/// switched off, or somebody was told that it was not. All at once: each has its time limit.
fn flags_off(release: &Release, policy: &Policy) -> Flags {
    let suffice = release.plan.rollback.as_ref().is_some_and(|plan| plan.flags_suffice);
    let (mut wait, mut stuck) = (false, None);
    for (index, flag, _) in flag::to_kill(&release.plan, policy) {
        if !flag::may_be_open(release, flag) {
            continue;
        }
        let step = Step::FlagOff(index);
        match stands(release, &step) {
            Stands::ToBegin { attempt } => {
                let kill = ActionName::from(flag::KILL);
                let next = begin(release, step, attempt, &kill, &BTreeMap::new(), policy);
                return Flags::Begin(next);
            }
            Stands::Running => wait = true,
            Stands::Stuck(why) => stuck = Some(why),
            Stands::Worked => {}
        }
    }
    match (wait, stuck.filter(|_| suffice)) {
        (true, _) => Flags::Wait,
        (false, Some(why)) => Flags::Stuck(why),
        (false, None) => Flags::Off,
    }
}

fn rolling_back(release: &Release, policy: &Policy, now: Time) -> Option<Happened> {
    // What runs in the target is stopped first.
    let deploy_runs = |run: &&RunRecord| matches!(run.step, Step::Stage(_));
    if release.running().any(|run| deploy_runs(&run)) {
        return None;
    }
    match flags_off(release, policy) {
        Flags::Begin(next) => return Some(next),
        Flags::Wait => return None,
        Flags::Stuck(why) => return Some(Happened::RollbackFailed { why }),
        Flags::Off => {}
    }
    let plan = release.plan.rollback.as_ref()?;
    let steps = flag::steps_back(plan).iter().enumerate();
    let steps = steps.map(|(at, step)| (Step::Rollback(at), step));
    let verify = plan.verify.iter().enumerate().map(|(at, step)| (Step::RollbackVerify(at), step));
    for (step, planned) in steps.chain(verify) {
        match stands(release, &step) {
            Stands::ToBegin { attempt } => {
                let action = &planned.action;
                return Some(begin(release, step, attempt, action, &planned.with, policy));
            }
            Stands::Running => return None,
            Stands::Stuck(why) => return Some(Happened::RollbackFailed { why }),
            Stands::Worked => {}
        }
    }
    let asked_at = release.rollback.as_ref()?.asked_at;
    let took_ms = u64::try_from((now - asked_at).num_milliseconds()).unwrap_or(0);
    Some(Happened::RolledBack { took_ms })
}

fn finished(release: &Release) -> Option<Happened> {
    let result = report::result(release);
    release.result.is_none().then_some(Happened::Finished { result, by: None })
}

fn rehearsing(release: &Release, policy: &Policy) -> Option<Happened> {
    let Rehearsal::Running { attempt } = release.rehearsal else { return None };
    let plan = release.plan.rollback.as_ref()?;
    for (at, planned) in plan.steps.iter().enumerate() {
        let Some(action) = &planned.rehearse else { continue };
        let step = Step::Rehearse(at);
        let run = release.run(&step).filter(|run| run.attempt >= attempt);
        match run {
            None => return Some(begin(release, step, attempt, action, &planned.with, policy)),
            Some(run) if run.is_running() => return None,
            Some(run) => match run.ended.as_ref().map(|(_, end)| &end.outcome) {
                Some(RunOutcome::Worked) => {}
                _ => {
                    let why = Some(stuck_text(release, run));
                    return Some(Happened::RehearsalEnded { worked: false, why });
                }
            },
        }
    }
    Some(Happened::RehearsalEnded { worked: true, why: None })
}
