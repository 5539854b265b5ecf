//! Whether the flags of a plan can be set and switched off as it says.

use super::super::argument;
use super::super::flag;
use super::super::plan::{Flag, Plan, Stage};
use super::super::policy::Policy;
use super::{Finding, did_you_mean};

pub(super) fn flags(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let mut found: Vec<Finding> = plan
        .flags
        .iter()
        .enumerate()
        .flat_map(|(index, flag)| kept(index, flag, plan, policy))
        .collect();
    let stages = plan.stages.iter().enumerate().filter(|(_, stage)| flag::sets(stage));
    found.extend(stages.flat_map(|(index, stage)| set(index, stage, plan, policy)));
    found.extend(sufficient(plan));
    found
}

/// Who keeps it. A flag that no stage is about may be kept by somebody whom we do not know.
fn kept(index: usize, flag: &Flag, plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let at = |key: &str| format!("flag[{index}].{key}");
    let mut found = Vec::new();
    let is_set = plan.stages.iter().any(|stage| stage.flag.as_ref() == Some(&flag.name));
    match (&flag.provider, flag::provider(flag, policy)) {
        (Some(named), None) if is_set || !policy.flags.is_empty() => {
            let what = format!("I know no provider of flags `{named}`.");
            let mend = did_you_mean(named, policy.flags.keys().map(String::as_str));
            let finding = Finding::refuse("unknown-flag-provider", what).mend(mend);
            found.push(finding.at(at("provider")));
        }
        (None, None) if is_set && !policy.flags.is_empty() => {
            let names: Vec<_> = policy.flags.keys().map(|name| format!("`{name}`")).collect();
            let what = format!("The flag {} does not say who keeps it.", flag.name);
            let mend = format!("Add `provider`, one of {}.", names.join(", "));
            found.push(Finding::refuse("flag-without-provider", what).mend(mend).at(at("name")));
        }
        (_, Some(_)) => {
            if let Some(wrong) = argument::wrong(&flag.name).filter(|_| is_set) {
                let what = format!("The name of the flag {wrong}");
                let finding = Finding::refuse("bad-value", what).mend(argument::right());
                found.push(finding.at(at("name")));
            }
        }
        (Some(_) | None, None) => {}
    }
    found
}

/// A stage that opens a flag by itself.
fn set(index: usize, stage: &Stage, plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let at = |key: &str| format!("stage[{index}].{key}");
    let name = &stage.name;
    let Some(named) = &stage.flag else {
        let what = format!("{name} has neither an `action` nor a `flag`, so it does nothing.");
        let mend = "Add the `action` that deploys, or the `flag` that it opens.";
        return vec![Finding::refuse("stage-does-nothing", what).mend(mend).at(at("name"))];
    };
    let mut found = Vec::new();
    if policy.flags.is_empty() {
        let what = format!("{name} opens the flag {named}, and nobody keeps flags here.");
        let mend = "Add a provider to the configuration: [flags.local] with `kind = \"file\"`.";
        found.push(Finding::refuse("no-flag-provider", what).mend(mend).at(at("flag")));
    }
    let Some(share) = stage.traffic else {
        let what = format!("{name} does not say how far it opens the flag {named}.");
        let mend = "Add `traffic`: the share in percent.";
        found.push(Finding::refuse("flag-without-share", what).mend(mend).at(at("flag")));
        return found;
    };
    let flag = plan.flags.iter().find(|flag| flag.name == *named);
    let provider = flag.and_then(|flag| flag::provider(flag, policy));
    let whole = |name: &&str| policy.flags.get(*name).is_some_and(|own| own.whole_percents);
    if let Some(provider) = provider.filter(whole)
        && share.fract() != 0.0
    {
        let what = format!("{name} opens {named} for {share} %, and {provider} takes whole ones.");
        let mend = "Give a whole number, or keep the flag at another provider.";
        found.push(Finding::refuse("flag-fraction", what).mend(mend).at(at("traffic")));
    }
    found
}

/// Where the kill switches are the whole way back, nothing else may have gone out.
fn sufficient(plan: &Plan) -> Option<Finding> {
    let back = plan.rollback.as_ref().filter(|back| back.flags_suffice)?;
    let is_set = plan.stages.iter().any(flag::sets);
    let at = "rollback.flags_suffice";
    if !is_set {
        let what = "The flags are the whole way back, and no stage opens one.";
        let mend = "Leave `flags_suffice` out, or let the stages open flags.";
        return Some(Finding::refuse("flags-do-not-suffice", what).mend(mend).at(at));
    }
    let what = "The steps of the rollback plan are never run: the flags are the whole way back.";
    let mend = "Leave out either the steps or `flags_suffice`.";
    (!back.steps.is_empty()).then(|| Finding::warn("idle-rollback-steps", what).mend(mend).at(at))
}
