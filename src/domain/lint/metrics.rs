//! Whether the numbers that a plan names can judge anything.

use super::super::metric::{Limits, Query};
use super::super::plan::{Against, MetricGate, Plan};
use super::super::policy::Policy;
use super::{Finding, did_you_mean};

pub(super) fn metrics(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    for (stage, planned) in plan.stages.iter().enumerate() {
        for (index, gate) in planned.metrics.iter().enumerate() {
            found.extend(of_gate(gate, policy, &format!("stage[{stage}].metric[{index}]")));
        }
    }
    for (index, metric) in plan.monitoring.metrics.iter().enumerate() {
        let at = format!("monitoring.metric[{index}].query");
        found.extend(metric.query.iter().filter_map(|name| unknown(name, policy, &at)));
    }
    found.extend(nothing_to_turn_red(plan));
    found
}

fn unknown(name: &str, policy: &Policy, at: &str) -> Option<Finding> {
    if policy.queries.contains_key(name) {
        return None;
    }
    let what = format!("There is no query `{name}` in the configuration.");
    let mend = match policy.queries.is_empty() {
        true => format!("Add [queries.{name}], with its source."),
        false => did_you_mean(name, policy.queries.keys().map(String::as_str)),
    };
    Some(Finding::refuse("unknown-query", what).mend(mend).at(at))
}

fn of_gate(gate: &MetricGate, policy: &Policy, at: &str) -> Vec<Finding> {
    let Some(query) = policy.queries.get(&gate.name) else {
        return unknown(&gate.name, policy, &format!("{at}.name")).into_iter().collect();
    };
    let limits = Limits::of(gate, query.kind);
    let mut found = Vec::new();
    if limits.is_empty() {
        let what = format!("{} has no limits, so that nothing can be judged by it.", gate.name);
        let mend = "Give `hold_above` and `roll_back_above`, or `hold_rise` in percent.";
        found.push(Finding::refuse("metric-without-limits", what).mend(mend).at(at));
    }
    if limits.compares() {
        found.extend(against(gate, query, policy, at));
    }
    found
}

/// What a gate is compared with has to be there.
fn against(gate: &MetricGate, query: &Query, policy: &Policy, at: &str) -> Option<Finding> {
    let name = &gate.name;
    let (what, mend) = match &gate.against {
        Against::Stable if query.baseline.is_none() => (
            format!(
                "The query `{name}` has no `baseline`, so there is no stable group to compare."
            ),
            "Add `baseline` to the query, or `against = \"before\"` to the metric.".to_owned(),
        ),
        Against::Before if !query.has_past => (
            format!("The source of `{name}` does not know what was before the deploy."),
            "Compare with the stable group, or give limits of the number itself.".to_owned(),
        ),
        Against::Metric(other) if !policy.queries.contains_key(other) => (
            format!("There is no query `{other}` to compare `{name}` with."),
            did_you_mean(other, policy.queries.keys().map(String::as_str)),
        ),
        Against::Stable | Against::Before | Against::Metric(_) => return None,
    };
    Some(Finding::refuse("no-baseline", what).mend(mend).at(format!("{at}.against")))
}

fn nothing_to_turn_red(plan: &Plan) -> Option<Finding> {
    let automatic = plan.rollback.as_ref().is_some_and(|back| back.automatic);
    if !automatic || plan.stages.iter().any(|stage| !stage.metrics.is_empty()) {
        return None;
    }
    let what = "It rolls back by itself on red, and no stage has a metric that could turn red.";
    let mend = "Add [[stage.metric]], or leave `automatic` out.";
    Some(Finding::warn("nothing-turns-red", what).mend(mend).at("rollback.automatic"))
}
