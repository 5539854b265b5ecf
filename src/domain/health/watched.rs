//! What is measured now, and against which limits: a stage's own gates, or, once it is rolled out,
//! what the plan monitors, and at first what judged the stages.

use chrono::Duration;

use crate::domain::metric::{Limits, QueryKind};
use crate::domain::plan::{Against, Metric, MetricGate};
use crate::domain::policy::Policy;
use crate::domain::state::{Phase, Release};
use crate::domain::time::Time;

use super::{Light, is_of};

/// Of a stage (by its place) or of the release as a whole, while it is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    pub stage: Option<usize>,
    pub gates: Vec<MetricGate>,
    /// Since when the new version carries this traffic.
    pub since: Time,
}

/// So long after the rollout errors and latency are compared with what was before the deploy. Later
/// the hour of the day explains more of a difference than the release does.
const FIRST_LOOK: Duration = Duration::minutes(15);

pub fn watched(release: &Release, policy: &Policy, now: Time) -> Option<Watched> {
    let (stage, gates, since) = match release.phase {
        Phase::Soaking { stage, .. } | Phase::AtGate { stage } => {
            let since = release.stage_since.unwrap_or(release.phase_since);
            (Some(stage), release.plan.stages[stage].metrics.clone(), since)
        }
        Phase::Watching => {
            let since = release.rolled_out_at?;
            (None, after_the_rollout(release, policy, now - since), since)
        }
        Phase::CountingDown
        | Phase::Ready
        | Phase::Deploying { .. }
        | Phase::Done
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => return None,
    };
    (!gates.is_empty()).then_some(Watched { stage, gates, since })
}

fn after_the_rollout(release: &Release, policy: &Policy, age: Duration) -> Vec<MetricGate> {
    let monitored = release.plan.monitoring.metrics.iter().filter_map(as_gate);
    let mut gates: Vec<MetricGate> = monitored.collect();
    let judged = release.plan.stages.iter().flat_map(|stage| &stage.metrics);
    let mut names: Vec<String> = gates.iter().map(|gate| gate.name.clone()).collect();
    names.extend(judged.map(|gate| gate.name.clone()));
    names.sort();
    names.dedup();
    for first in names.iter().filter_map(|name| first_look(release, policy, name)) {
        if age >= FIRST_LOOK && !is_red(release, &first.name) {
            continue;
        }
        match gates.iter_mut().find(|gate| gate.name == first.name) {
            Some(gate) => *gate = both(gate, first),
            None => gates.push(first),
        }
    }
    gates
}

/// At the warning somebody looks, at the critical value it is red.
fn as_gate(metric: &Metric) -> Option<MetricGate> {
    Some(MetricGate {
        name: metric.query.clone()?,
        hold_above: metric.warning,
        roll_back_above: metric.critical,
        ..MetricGate::default()
    })
}

/// What was red when the first look ended is looked at until it is not.
fn is_red(release: &Release, name: &str) -> bool {
    let health = release.health.as_ref().filter(|health| health.stage.is_none());
    let mut metrics = health.into_iter().flat_map(|health| &health.metrics);
    metrics.any(|judged| judged.light == Light::Red && is_of(judged, name))
}

/// By the gate of the last stage that has one, or by what its kind of number brings along. There is
/// no stable group any more: it is compared with what was before the deploy, if the source knows.
fn first_look(release: &Release, policy: &Policy, name: &str) -> Option<MetricGate> {
    let query = release.queries(policy).get(name)?;
    match query.kind {
        QueryKind::ErrorRate | QueryKind::Latency => {}
        QueryKind::Throughput
        | QueryKind::ClientErrors
        | QueryKind::Business
        | QueryKind::Gauge => return None,
    }
    let stages = release.plan.stages.iter().rev();
    let own = stages.flat_map(|stage| &stage.metrics).find(|gate| gate.name == name).cloned();
    let gate = own.unwrap_or(MetricGate { name: name.to_owned(), ..MetricGate::default() });
    let limits = Limits::of(&gate, query.kind);
    let against = match gate.against {
        Against::Stable | Against::Before => Against::Before,
        Against::Metric(other) => Against::Metric(other),
    };
    let knows = query.has_past || matches!(against, Against::Metric(_));
    let compared = |limit: Option<f64>| limit.filter(|_| knows);
    let limits =
        Limits { rise: limits.rise.map(compared), fall: limits.fall.map(compared), ..limits };
    (!limits.is_empty()).then(|| limits.into_gate(MetricGate { against, ..gate }))
}

/// Both limits count; where both name the same one, that of the monitoring.
fn both(gate: &MetricGate, first: MetricGate) -> MetricGate {
    MetricGate {
        hold_above: gate.hold_above.or(first.hold_above),
        roll_back_above: gate.roll_back_above.or(first.roll_back_above),
        ..first
    }
}
