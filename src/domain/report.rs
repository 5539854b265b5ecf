//! How a release went, computed from its own success criteria and never typed.

use serde::{Deserialize, Serialize};

use super::checklist::{Item, ItemState};
use super::command::RunOutcome;
use super::plan::ItemPhase;
use super::state::{Phase, Release, Step};
use super::time::Time;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Result {
    pub outcome: Outcome,
    pub state: Deployed,
    /// What kept it from being a plain success.
    pub issues: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    Success,
    Partial,
    Failed,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Partial => "PARTIAL",
            Self::Failed => "FAILED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Deployed {
    NotDeployed,
    Deployed,
    RolledBack,
    /// A rollback failed and nobody has settled it.
    Unclear,
}

impl Deployed {
    pub fn word(self) -> &'static str {
        match self {
            Self::NotDeployed => "NOT_DEPLOYED",
            Self::Deployed => "DEPLOYED",
            Self::RolledBack => "ROLLED_BACK",
            Self::Unclear => "UNCLEAR",
        }
    }
}

pub fn result(release: &Release) -> Result {
    let issues = issues(release);
    let state = match release.phase {
        Phase::Watching | Phase::Done => Deployed::Deployed,
        Phase::RolledBack => Deployed::RolledBack,
        Phase::RollbackFailed | Phase::RollingBack => Deployed::Unclear,
        Phase::CountingDown | Phase::Ready | Phase::Scrubbed => Deployed::NotDeployed,
        Phase::Deploying { .. } | Phase::Soaking { .. } | Phase::AtGate { .. } => Deployed::Unclear,
    };
    let outcome = match state {
        Deployed::Deployed if issues.is_empty() => Outcome::Success,
        Deployed::Deployed => Outcome::Partial,
        Deployed::NotDeployed | Deployed::RolledBack | Deployed::Unclear => Outcome::Failed,
    };
    Result { outcome, state, issues }
}

fn issues(release: &Release) -> Vec<String> {
    let success = &release.plan.success;
    let mut issues = Vec::new();
    let failed = failed_runs(release);
    if failed.len() > success.max_failed_runs as usize {
        issues.extend(failed);
    }
    if let Some((passed, total)) = release.smoke
        && success.smoke_must_pass
        && passed < total
    {
        issues.push(format!("Smoke tests: {passed}/{total} passing"));
    }
    issues.extend(failed_items(release));
    if let Some(rollback) = &release.rollback {
        issues.push(format!("Rolled back from {} to {}", rollback.from, rollback.to));
    }
    issues
}

/// In words, what people found to be wrong once the launch had begun.
pub fn failed_items(release: &Release) -> Vec<String> {
    let failed = |item: &Item| match &item.state {
        ItemState::Failed { note, .. } => {
            let why = note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            Some(format!("{} → {} failed{why}", item.section_title, item.name))
        }
        ItemState::Open | ItemState::Passed { .. } | ItemState::Waived { .. } => None,
    };
    let late = release.items.iter().filter(|item| item.phase > ItemPhase::T30m);
    late.filter_map(failed).collect()
}

/// In words, each failed or unclear run that changed or judged the target.
pub fn failed_runs(release: &Release) -> Vec<String> {
    let failed = |run: &super::state::RunRecord| {
        let (_, end) = run.ended.as_ref()?;
        let name = step_name(release, &run.step);
        match &end.outcome {
            RunOutcome::Worked => None,
            RunOutcome::Failed(why) => Some(format!("{name} failed: {why}")),
            RunOutcome::TimedOut => Some(format!("{name} hit its time limit")),
            RunOutcome::Stopped => Some(format!("{name} was stopped")),
            RunOutcome::Unknown(why) => Some(format!("{name}: outcome unknown, {why}")),
        }
    };
    let matters = |step: &Step| !matches!(step, Step::Rehearse(_) | Step::Named(_));
    release.runs.iter().filter(|run| matters(&run.step)).filter_map(failed).collect()
}

/// How many tests a check passed: what it counted itself in its output (`9/9 passed`, the last such
/// words), or itself as one. What failed never counts as all passed.
pub fn counted(run: &super::state::RunRecord) -> (usize, usize) {
    let worked = run.worked() == Some(true);
    let tail = run.ended.as_ref().map_or("", |(_, end)| end.tail.as_str());
    let fraction = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        let (passed, total) = word.split_once('/')?;
        let (passed, total) = (passed.parse().ok()?, total.parse().ok()?);
        (passed <= total && (1..10_000).contains(&total)).then_some((passed, total))
    };
    match tail.split_whitespace().rev().find_map(fraction) {
        Some((passed, total)) if worked == (passed == total) => (passed, total),
        _ => (usize::from(worked), 1),
    }
}

/// The step as people call it.
pub fn step_name(release: &Release, step: &Step) -> String {
    let plan = &release.plan;
    let rollback = |index: usize| plan.rollback.as_ref().and_then(|back| back.steps.get(index));
    let verify = |index: usize| plan.rollback.as_ref().and_then(|back| back.verify.get(index));
    let found = match step {
        Step::Stage(stage) => plan.stages.get(*stage).map(|stage| stage.name.clone()),
        Step::StageCheck { stage, check } => plan
            .stages
            .get(*stage)
            .and_then(|stage| Some(format!("{} of {}", stage.checks.get(*check)?, stage.name))),
        Step::Smoke(check) => plan.smoke.get(*check).map(|check| check.name.clone()),
        Step::Timed(check) => plan.checks.get(*check).map(|check| check.name.clone()),
        Step::FlagOff(index) => {
            plan.flags.get(*index).map(|flag| format!("Kill switch of {}", flag.name))
        }
        Step::Rollback(index) => rollback(*index).map(|step| step.name.clone()),
        Step::RollbackVerify(index) => verify(*index).map(|step| step.name.clone()),
        Step::Rehearse(index) => rollback(*index).map(|step| format!("{} (rehearsal)", step.name)),
        Step::Named(action) => Some(action.to_string()),
    };
    found.unwrap_or_else(|| "a step that the plan no longer has".into())
}

/// How long the target was on its way back, and whether the plan's own RTO was met.
pub fn rollback_time(release: &Release, at: Time) -> Option<(chrono::Duration, Option<bool>)> {
    let rollback = release.rollback.as_ref()?;
    let took = rollback.ended_at.unwrap_or(at) - rollback.asked_at;
    let rto = release.plan.rollback.as_ref().map(|plan| plan.rto.duration());
    Some((took, rto.map(|rto| took <= rto)))
}
