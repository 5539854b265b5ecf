//! The measurements of a rehearsal: good ones, unless trouble was asked for. They come from the
//! limits of the plan, and from no real source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::Trouble;
use crate::app::measure::Sources;
use crate::domain::metric::{Limits, QueryKind};
use crate::domain::plan::{MetricGate, Plan};
use crate::domain::policy::Policy;
use crate::ports::{Failure, Metrics, Question, Series};

/// The name under which the rehearsed policy knows this source.
const NAME: &str = "rehearsal";
/// What a baseline's query begins with.
const BASELINE: &str = "baseline of ";

pub(super) struct Numbers {
    trouble: Trouble,
    limits: BTreeMap<String, Limits>,
    asked: AtomicU32,
}

impl Numbers {
    /// **Invariant:** the policy that is rehearsed asks nobody else.
    pub(super) fn of(plan: &Plan, policy: &Policy, trouble: Trouble) -> (Policy, Self) {
        let mut policy = policy.clone();
        for (name, query) in &mut policy.queries {
            query.source = NAME.to_owned();
            query.query.clone_from(name);
            query.baseline = query.baseline.as_ref().map(|_| format!("{BASELINE}{name}"));
        }
        let kind = |name: &str| policy.queries.get(name).map(|query| query.kind);
        let gates = plan.stages.iter().flat_map(|stage| &stage.metrics);
        let watched = plan.monitoring.metrics.iter().filter_map(|metric| {
            Some(MetricGate {
                name: metric.query.clone()?,
                hold_above: metric.warning,
                roll_back_above: metric.critical,
                ..MetricGate::default()
            })
        });
        // The stage's own limits win over those of the watch.
        let all: Vec<MetricGate> = watched.chain(gates.cloned()).collect();
        let limits = all.iter().map(|gate| {
            let limits = Limits::of(gate, kind(&gate.name).unwrap_or(QueryKind::Gauge));
            (gate.name.clone(), limits)
        });
        let (limits, asked) = (limits.collect(), AtomicU32::new(0));
        (policy, Self { trouble, limits, asked })
    }

    pub(super) fn sources(self) -> Sources {
        BTreeMap::from([(NAME.to_owned(), Arc::new(self) as Arc<dyn Metrics>)])
    }

    fn value(&self, name: &str) -> Option<f64> {
        let limits = self.limits.get(name).cloned().unwrap_or_default();
        let good = good(&limits);
        match self.trouble {
            Trouble::None
            | Trouble::NoGo
            | Trouble::FailedStep
            | Trouble::Late
            | Trouble::Crash => Some(good),
            Trouble::RedMetric => Some(bad(&limits, good)),
            Trouble::NoData => None,
            Trouble::Flapping => {
                let nth = self.asked.fetch_add(1, Ordering::Relaxed);
                Some(if nth.is_multiple_of(2) { worse(&limits, good) } else { good })
            }
        }
    }
}

/// Within every limit.
fn good(limits: &Limits) -> f64 {
    let top = limits.above.hold.or(limits.above.roll_back);
    let floor = limits.below.hold.or(limits.below.roll_back);
    match (floor, top) {
        (Some(floor), Some(top)) => (floor + top) / 2.0,
        (Some(floor), None) => floor.abs().mul_add(0.1, floor),
        (None, Some(top)) => top / 2.0,
        (None, None) => 100.0,
    }
}

/// Beyond what holds, and, where there is something between the two, not beyond what rolls back.
fn worse(limits: &Limits, good: f64) -> f64 {
    let between = |hold: f64, back: Option<f64>, wide: f64| match back {
        Some(back) => (hold + back) / 2.0,
        None => hold + wide,
    };
    if let Some(hold) = limits.above.hold {
        return between(hold, limits.above.roll_back, hold.abs() + 1.0);
    }
    if let Some(hold) = limits.below.hold {
        return between(hold, limits.below.roll_back, -hold.abs() - 1.0);
    }
    if let Some(hold) = limits.rise.hold {
        return good * (1.0 + between(hold, limits.rise.roll_back, hold + 1.0) / 100.0);
    }
    match limits.fall.hold {
        Some(hold) => good * (1.0 - between(hold, limits.fall.roll_back, hold + 1.0) / 100.0),
        None => bad(limits, good),
    }
}

/// Beyond what rolls back.
fn bad(limits: &Limits, good: f64) -> f64 {
    if let Some(back) = limits.above.roll_back {
        return back.abs().mul_add(2.0, 1.0);
    }
    if let Some(back) = limits.below.roll_back {
        return -back.abs() - 1.0;
    }
    if let Some(back) = limits.rise.roll_back {
        return good * (2.0 + back / 100.0);
    }
    match limits.fall.roll_back {
        Some(back) => good * (1.0 - back / 100.0) / 2.0,
        None => f64::NAN,
    }
}

#[async_trait]
impl Metrics for Numbers {
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        let value = match question.query.strip_prefix(BASELINE) {
            Some(name) => Some(good(&self.limits.get(name).cloned().unwrap_or_default())),
            None => self.value(&question.query),
        };
        let Some(value) = value else { return Ok(Vec::new()) };
        // Four points that end now, whatever the stretch: the clock jumps.
        let points = (0..4)
            .rev()
            .filter_map(|back| Some((question.to.checked_sub(question.step * back)?, value)));
        Ok(vec![Series { name: String::new(), points: points.collect() }])
    }
}
