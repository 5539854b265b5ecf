//! Whether the numbers that a plan names can judge anything.

use std::collections::BTreeSet;

use super::super::argument::{self, placeholders};
use super::super::ids::is_slug;
use super::super::metric::{CI, Limits, PLACEHOLDERS, Queries, Query};
use super::super::plan::{Against, MetricGate, Plan, PlannedQuery};
use super::super::policy::Policy;
use super::{Finding, did_you_mean};

pub(super) fn metrics(plan: &Plan, policy: &Policy) -> Vec<Finding> {
    let queries = Queries::of(plan, policy);
    let mut found: Vec<_> =
        plan.queries.iter().flat_map(|(name, own)| of_query(name, own, queries, policy)).collect();
    for (stage, planned) in plan.stages.iter().enumerate() {
        for (index, gate) in planned.metrics.iter().enumerate() {
            let at = format!("stage[{stage}].metric[{index}]");
            found.extend(of_gate(gate, queries, &at));
            found.extend(alone(gate, queries, planned.traffic, &at));
        }
    }
    for (index, metric) in plan.monitoring.metrics.iter().enumerate() {
        let at = format!("monitoring.metric[{index}].query");
        found.extend(metric.query.iter().filter_map(|name| unknown(name, queries, &at)));
    }
    found.extend(nothing_to_turn_red(plan));
    found
}

/// What the plan asks itself.
fn of_query(name: &str, own: &PlannedQuery, all: Queries, policy: &Policy) -> Vec<Finding> {
    let at = |key: &str| format!("queries.{name}{key}");
    let mut found = Vec::new();
    let mut refuse = |rule: &str, key: &str, what: String, mend: String| {
        found.push(Finding::refuse(rule, what).mend(mend).at(at(key)));
    };
    if !is_slug(name) {
        let mend = "Use at most 60 lower-case letters, digits and dashes: `error-rate`.";
        refuse("bad-name", "", format!("`{name}` cannot be the name of a query."), mend.into());
    }
    if policy.queries.contains_key(name) {
        let what = format!("The configuration has a query `{name}` already, and that is asked.");
        refuse("query-taken", "", what, "Give yours another name, or leave it out.".into());
    }
    let Some(source) = all.source(own) else {
        let (what, mend) = nobody_to_ask(name, own, policy);
        refuse("unknown-source", if own.source.is_some() { ".source" } else { "" }, what, mend);
        return found;
    };
    let is_ci = source == CI;
    match (&own.query, is_ci) {
        (Some(_), true) => {
            let what = format!("`{name}` comes from CI, and nobody is asked.");
            refuse("query-of-ci", ".query", what, "Leave `query` out.".into());
        }
        (None, false) => {
            let what = format!("`{name}` has no query, so there is nothing to ask.");
            refuse("no-query", "", what, "Add `query`, as its source understands it.".into());
        }
        (Some(_), false) | (None, true) => {}
    }
    let is_program = policy.metrics.get(source).is_some_and(|source| source.is_program);
    for (key, text) in [(".query", &own.query), (".baseline", &own.baseline)] {
        if let Some((rule, what, mend)) = text.as_ref().and_then(|text| wrong(text, is_program)) {
            refuse(rule, key, what, mend);
        }
    }
    found
}

fn nobody_to_ask(name: &str, own: &PlannedQuery, policy: &Policy) -> (String, String) {
    let known = || policy.metrics.keys().map(String::as_str);
    match &own.source {
        Some(source) => {
            (format!("I know no source of metrics `{source}`."), did_you_mean(source, known()))
        }
        None if policy.metrics.is_empty() => (
            format!("There is no source of metrics to ask for `{name}`."),
            "The operator declares one: [metrics.prometheus] with its `url`.".into(),
        ),
        None => (
            format!("There are several sources of metrics, and `{name}` names none."),
            format!("Add `source`, one of {}.", known().collect::<Vec<_>>().join(", ")),
        ),
    }
}

/// What would be asked in vain, or would be more to a program than a value.
fn wrong(text: &str, is_program: bool) -> Option<(&'static str, String, String)> {
    if text.trim().is_empty() {
        let mend = "Write what the source understands.".into();
        return Some(("no-query", "There is nothing to ask.".into(), mend));
    }
    let known: BTreeSet<&str> = PLACEHOLDERS.into();
    if let Some(name) = placeholders(text).into_iter().find(|name| !known.contains(name)) {
        let what = format!("Nothing fills the placeholder `{{{name}}}`.");
        return Some(("unknown-placeholder", what, did_you_mean(name, PLACEHOLDERS.into_iter())));
    }
    let filled = PLACEHOLDERS
        .iter()
        .fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), "value"));
    let wrong = is_program.then(|| argument::wrong(&filled)).flatten()?;
    Some(("bad-value", format!("What a program is asked {wrong}"), argument::right()))
}

/// Once everybody has the new version, nobody is left to compare it with.
fn alone(gate: &MetricGate, all: Queries, traffic: Option<f64>, at: &str) -> Option<Finding> {
    let limits = Limits::of(gate, all.get(&gate.name)?.kind);
    let alone = traffic == Some(100.0) && gate.against == Against::Stable && limits.compares();
    let what = format!(
        "{} is compared with a stable group, and at 100 % there may be none: then nobody can tell.",
        gate.name
    );
    let mend = "Give limits of the number itself, such as `hold_above`, or say \
                `against = \"before\"`.";
    alone.then(|| Finding::warn("no-stable-group", what).mend(mend).at(format!("{at}.against")))
}

fn unknown(name: &str, all: Queries, at: &str) -> Option<Finding> {
    if all.has(name) {
        return None;
    }
    let what = format!("There is no query `{name}` in the configuration, nor in the plan.");
    let mend = match all.names().next() {
        None => format!("Add [queries.{name}], with its source."),
        Some(_) => did_you_mean(name, all.names()),
    };
    Some(Finding::refuse("unknown-query", what).mend(mend).at(at))
}

fn of_gate(gate: &MetricGate, all: Queries, at: &str) -> Vec<Finding> {
    let Some(query) = all.get(&gate.name) else {
        return unknown(&gate.name, all, &format!("{at}.name")).into_iter().collect();
    };
    let limits = Limits::of(gate, query.kind);
    let mut found = Vec::new();
    if limits.is_empty() {
        let what = format!("{} has no limits, so that nothing can be judged by it.", gate.name);
        let mend = "Give `hold_above` and `roll_back_above`, or `hold_rise` in percent.";
        found.push(Finding::refuse("metric-without-limits", what).mend(mend).at(at));
    }
    if limits.compares() {
        found.extend(against(gate, &query, all, at));
    }
    found
}

/// What a gate is compared with has to be there.
fn against(gate: &MetricGate, query: &Query, all: Queries, at: &str) -> Option<Finding> {
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
        Against::Metric(other) if !all.has(other) => (
            format!("There is no query `{other}` to compare `{name}` with."),
            did_you_mean(other, all.names()),
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
