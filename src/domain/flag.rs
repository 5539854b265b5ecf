//! Feature flags in a release: who keeps them, what opens them, and that a rollback closes them
//! before anything else.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::ActionName;
use super::plan::{Flag, Plan, RollbackPlan, Stage};
use super::policy::{Action, Policy};
use super::state::{Release, Step};
use super::time::Span;

/// Opens a flag for a share of those who ask its provider.
pub const SET: &str = "flag-set";
/// Switches a flag off.
pub const KILL: &str = "flag-kill";

/// What the program brings itself where there is a provider. Setting a flag to what it is changes
/// nothing, so both may be done twice.
pub fn actions() -> BTreeMap<ActionName, Action> {
    let action = |(name, shows, placeholders): (&str, &str, &[&str])| {
        let action = Action {
            shows: shows.to_owned(),
            placeholders: placeholders.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
            limit: Span::minutes(1),
            repeat_safe: true,
            has_status: true,
            from_chat: false,
        };
        (ActionName::from(name), action)
    };
    [
        (
            SET,
            "flag {flag} at {provider} → {percent} %",
            ["flag", "percent", "provider"].as_slice(),
        ),
        (KILL, "kill switch {flag} at {provider}", &["flag", "provider"]),
    ]
    .map(action)
    .into()
}

/// Who keeps it: whom the plan names, or the only one that there is.
pub fn provider<'a>(flag: &'a Flag, policy: &'a Policy) -> Option<&'a str> {
    match &flag.provider {
        Some(named) => policy.flags.contains_key(named).then_some(named),
        None => {
            let mut all = policy.flags.keys();
            all.next().filter(|_| all.next().is_none()).map(String::as_str)
        }
    }
}

/// Whether the stage itself opens its flag, rather than naming the one that its deploy obeys.
pub fn sets(stage: &Stage) -> bool {
    stage.action.as_str() == SET
}

/// The share that a stage sets, as a provider is told it.
fn percent(stage: &Stage) -> Option<String> {
    stage.traffic.map(|share| share.to_string())
}

/// What a stage knows of its flag.
pub(super) fn of_stage(plan: &Plan, stage: &Stage, policy: &Policy) -> BTreeMap<String, String> {
    let flag = plan.flags.iter().find(|flag| Some(&flag.name) == stage.flag.as_ref());
    let known = flag.map(|flag| of_flag(flag, policy)).unwrap_or_default();
    known.into_iter().chain(percent(stage).map(|share| ("percent".to_owned(), share))).collect()
}

fn of_flag(flag: &Flag, policy: &Policy) -> BTreeMap<String, String> {
    let name = ("flag".to_owned(), flag.name.clone());
    let provider = provider(flag, policy).map(|name| ("provider".to_owned(), name.to_owned()));
    [name].into_iter().chain(provider).collect()
}

/// What the step knows of the flag that it is about.
pub(super) fn given(plan: &Plan, step: &Step, policy: &Policy) -> BTreeMap<String, String> {
    match step {
        Step::Stage(stage) | Step::StageCheck { stage, .. } => {
            plan.stages.get(*stage).map(|stage| of_stage(plan, stage, policy))
        }
        Step::FlagOff(flag) => plan.flags.get(*flag).map(|flag| of_flag(flag, policy)),
        Step::Smoke(_)
        | Step::Timed(_)
        | Step::Rollback(_)
        | Step::RollbackVerify(_)
        | Step::Rehearse(_)
        | Step::Named(_) => None,
    }
    .unwrap_or_default()
}

/// The flags that a rollback switches off by itself: those that a stage of the plan is about or that
/// a feature in its scope is behind, at a provider that we reach.
pub fn to_kill<'a>(
    plan: &'a Plan,
    policy: &'a Policy,
) -> impl Iterator<Item = (usize, &'a Flag, &'a str)> {
    let named = |flag: &Flag| is_opened(plan, flag) || has_feature(plan, flag);
    let flags = plan.flags.iter().enumerate().filter(move |(_, flag)| named(flag));
    flags.filter_map(|(index, flag)| Some((index, flag, provider(flag, policy)?)))
}

fn is_opened(plan: &Plan, flag: &Flag) -> bool {
    plan.stages.iter().any(|stage| stage.flag.as_ref() == Some(&flag.name))
}

fn has_feature(plan: &Plan, flag: &Flag) -> bool {
    plan.scope.features.iter().any(|feature| feature.flag.as_ref() == Some(&flag.name))
}

/// Whether the release may have opened it: a stage about it has begun, whatever became of that.
/// What no stage opens, somebody opens by hand once the code behind it is there.
pub fn may_be_open(release: &Release, flag: &Flag) -> bool {
    if !is_opened(&release.plan, flag) {
        return release.touched_target();
    }
    let about = |step: &Step| match step {
        Step::Stage(stage) => {
            let stage = release.plan.stages.get(*stage);
            stage.is_some_and(|stage| stage.flag.as_ref() == Some(&flag.name))
        }
        Step::StageCheck { .. }
        | Step::Smoke(_)
        | Step::Timed(_)
        | Step::FlagOff(_)
        | Step::Rollback(_)
        | Step::RollbackVerify(_)
        | Step::Rehearse(_)
        | Step::Named(_) => false,
    };
    release.runs.iter().any(|run| about(&run.step))
}

/// The steps that a rollback takes besides the kill switches: none where those are all that it
/// takes.
pub fn steps_back(back: &RollbackPlan) -> &[super::plan::RollbackStep] {
    if back.flags_suffice { &[] } else { &back.steps }
}

#[cfg(test)]
mod tests;
