//! The measurements of a rehearsal: good ones, unless trouble was asked for. They come from the
//! limits of the plan, and from no real source.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::Trouble;
use crate::app::measure::Sources;
use crate::domain::metric::{Limits, Queries, QueryKind};
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
    kinds: BTreeMap<String, QueryKind>,
    /// How often each was asked for.
    asked: Mutex<BTreeMap<String, u32>>,
}

impl Numbers {
    /// **Invariant:** the policy that is rehearsed asks nobody else.
    pub(super) fn of(plan: &Plan, policy: &Policy, trouble: Trouble) -> (Policy, Self) {
        let mut policy = policy.clone();
        // The configuration's word counts, so that the plan's own queries lead here, too.
        let queries = Queries::of(plan, &policy);
        let own = plan.queries.keys();
        let own = own.filter_map(|name| Some((name.clone(), queries.get(name)?.into_owned())));
        let own: Vec<_> = own.collect();
        policy.queries.extend(own);
        for (name, query) in &mut policy.queries {
            query.source = NAME.to_owned();
            query.query.clone_from(name);
            query.baseline = query.baseline.as_ref().map(|_| format!("{BASELINE}{name}"));
        }
        let kinds = policy.queries.iter().map(|(name, query)| (name.clone(), query.kind));
        let kinds: BTreeMap<_, _> = kinds.collect();
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
            let limits = Limits::of(gate, kinds.get(&gate.name).copied().unwrap_or_default());
            (gate.name.clone(), limits)
        });
        let (limits, asked) = (limits.collect(), Mutex::default());
        (policy, Self { trouble, limits, kinds, asked })
    }

    pub(super) fn sources(self) -> Sources {
        BTreeMap::from([(NAME.to_owned(), Arc::new(self) as Arc<dyn Metrics>)])
    }

    fn value(&self, name: &str) -> Option<f64> {
        let limits = self.limits.get(name).cloned().unwrap_or_default();
        let good = self.good(name);
        match self.trouble {
            Trouble::None
            | Trouble::NoGo
            | Trouble::FailedStep
            | Trouble::Late
            | Trouble::Crash => Some(good),
            Trouble::RedMetric => Some(bad(&limits, good)),
            Trouble::NoData => None,
            Trouble::Flapping => {
                let mut asked = self.asked.lock().expect("never held in a panic");
                let nth = asked.entry(name.to_owned()).or_default();
                *nth += 1;
                Some(if nth.is_multiple_of(2) { bad(&limits, good) } else { good })
            }
        }
    }

    fn good(&self, name: &str) -> f64 {
        let limits = self.limits.get(name).cloned().unwrap_or_default();
        good(&limits, self.kinds.get(name).copied().unwrap_or_default())
    }
}

/// Within every limit.
fn good(limits: &Limits, kind: QueryKind) -> f64 {
    let top = limits.above.hold.or(limits.above.roll_back);
    let floor = limits.below.hold.or(limits.below.roll_back);
    match (floor, top) {
        (Some(floor), Some(top)) => (floor + top) / 2.0,
        (Some(floor), None) => floor.abs().mul_add(0.1, floor),
        (None, Some(top)) => top / 2.0,
        (None, None) => match kind {
            QueryKind::ErrorRate | QueryKind::ClientErrors => 0.3,
            QueryKind::Latency | QueryKind::Throughput | QueryKind::Business | QueryKind::Gauge => {
                100.0
            }
        },
    }
}

/// Beyond what holds.
fn worse(limits: &Limits, good: f64) -> f64 {
    if let Some(hold) = limits.above.hold {
        return hold.abs().mul_add(2.0, 1.0);
    }
    if let Some(hold) = limits.below.hold {
        return -hold.abs() - 1.0;
    }
    if let Some(hold) = limits.rise.hold {
        return good * (2.0 + hold / 100.0);
    }
    match limits.fall.hold {
        Some(hold) => good * (1.0 - hold / 100.0) / 2.0,
        None => f64::NAN,
    }
}

/// Beyond what rolls back, or else beyond what holds.
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
        None => worse(limits, good),
    }
}

#[async_trait]
impl Metrics for Numbers {
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        let value = match question.query.strip_prefix(BASELINE) {
            Some(name) => Some(self.good(name)),
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
