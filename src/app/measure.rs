//! Looks up the numbers that judge a rollout, while there is one to judge, and tells the engine.
//! What they mean is for the rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration as Wait, SystemTime};

use chrono::{DateTime, Duration, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::engine::Engine;
use crate::domain::argument;
use crate::domain::command::{Actor, Command, Request};
use crate::domain::health::{Watched, watched};
use crate::domain::ids::ReleaseId;
use crate::domain::metric::{self, Answer, Line, Query, Reading};
use crate::domain::plan::{Against, MetricGate};
use crate::domain::policy::Policy;
use crate::domain::state::Release;
use crate::domain::time::Time;
use crate::ports::{Failure, Metrics, Question, Series};

/// Who can be asked, by the names of the configuration.
pub type Sources = BTreeMap<String, Arc<dyn Metrics>>;

/// No more of the past is looked at.
const LONGEST: Duration = Duration::hours(1);
/// What was before a deploy.
const BEFORE: Duration = Duration::minutes(15);
/// More points than this tell no more.
const MOST_POINTS: i32 = 60;

/// Cheap to clone.
#[derive(Clone)]
pub struct Gauges(Arc<Inner>);

struct Inner {
    engine: Engine,
    sources: Sources,
    /// What was read of sources that only know the present.
    kept: Mutex<HashMap<Asked, Vec<Line>>>,
    /// Keeps two measurements at the same time apart.
    count: AtomicU64,
    /// Held while something is measured, and while a clock is moved.
    still: tokio::sync::Mutex<()>,
}

/// When this changes, what was measured says nothing of how it is now.
#[derive(PartialEq, Eq)]
struct WatchList {
    releases: BTreeSet<(ReleaseId, Option<usize>, &'static str)>,
    /// How far a demo's clock was jumped.
    jumped: Duration,
}

/// One question about one release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    release: ReleaseId,
    stage: Option<usize>,
    source: String,
    query: String,
    from: Time,
    to: Time,
    step: Duration,
    has_past: bool,
}

/// All that is asked about one gate.
struct Wanted {
    name: String,
    canary: Result<Asked, String>,
    baseline: Option<Result<Asked, String>>,
}

impl Gauges {
    pub fn new(engine: Engine, sources: Sources) -> Self {
        let (kept, count) = (Mutex::default(), AtomicU64::new(0));
        let still = tokio::sync::Mutex::default();
        Self(Arc::new(Inner { engine, sources, kept, count, still }))
    }

    /// Measures at the policy's pace, and at once when something new is to be watched or the clock
    /// was moved.
    pub async fn follow(self, stop: CancellationToken) {
        let mut commits = self.0.engine.commits();
        loop {
            let before = self.watch_list();
            if !before.releases.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.measure() => {}
                }
            }
            let pause = tokio::time::sleep(self.pace());
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut pause, if !before.releases.is_empty() => break,
                    commit = commits.changed() => {
                        if commit.is_err() {
                            return;
                        }
                        if self.watch_list() != before {
                            break;
                        }
                    }
                }
            }
        }
    }

    fn pace(&self) -> Wait {
        let state = self.0.engine.state();
        let pace = state.house.policy.as_deref().map(|policy| policy.timing.measure_every);
        pace.and_then(|pace| pace.duration().to_std().ok()).unwrap_or(Wait::from_secs(15))
    }

    fn watch_list(&self) -> WatchList {
        let (state, now) = (self.0.engine.state(), self.0.engine.clock().now());
        let policy = state.house.policy.as_deref();
        let releases = state.releases.values().filter_map(|release| {
            let watched = watched(release, policy?, now)?;
            Some((release.id.clone(), watched.stage, release.phase.name()))
        });
        WatchList { releases: releases.collect(), jumped: self.0.engine.clock().jumped() }
    }

    /// Moves a demo's clock between two measurements: what was asked before would be taken for old.
    pub async fn move_clock(&self, to: Time) {
        let _nothing_is_measured = self.0.still.lock().await;
        self.0.engine.clock().set(to);
    }

    /// Everything that is watched, once.
    pub async fn measure(&self) {
        let _one_at_a_time = self.0.still.lock().await;
        let list: Vec<_> = {
            let state = self.0.engine.state();
            let Some(policy) = state.house.policy.as_deref() else { return };
            let now = self.0.engine.clock().now();
            let releases = state.releases.values().filter_map(|release| {
                let watched = watched(release, policy, now)?;
                let wanted = wanted(release, &watched, policy, now);
                Some((release.id.clone(), watched.stage, wanted))
            });
            releases.collect()
        };
        let mut all = JoinSet::new();
        for (release, stage, wanted) in list {
            let gauges = self.clone();
            all.spawn(async move { gauges.measure_one(release, stage, wanted).await });
        }
        all.join_all().await;
    }

    async fn measure_one(&self, release: ReleaseId, stage: Option<usize>, wanted: Vec<Wanted>) {
        let mut readings = JoinSet::new();
        for wanted in wanted {
            let gauges = self.clone();
            readings.spawn(async move {
                let canary = gauges.answer(wanted.canary).await;
                let baseline = match wanted.baseline {
                    Some(baseline) => Some(gauges.answer(baseline).await),
                    None => None,
                };
                Reading { name: wanted.name, canary, baseline }
            });
        }
        let mut readings = readings.join_all().await;
        readings.sort_by(|a, b| a.name.cmp(&b.name));
        let count = self.0.count.fetch_add(1, Ordering::Relaxed);
        let now = self.0.engine.clock().now();
        let id = format!("measure/{release}/{}/{count}", now.to_rfc3339());
        let command = Command::Measured { release: release.clone(), stage, readings };
        if let Err(lost) = self.0.engine.ask(Request { id, by: Actor::Neighbour, command }).await {
            warn!(%release, %lost, "what was measured of {release} is not on record: {lost}");
        }
    }

    async fn answer(&self, asked: Result<Asked, String>) -> Answer {
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => return Answer::Nothing { why },
        };
        if asked.source == metric::CI {
            return self.handed_in(&asked);
        }
        let Some(source) = self.0.sources.get(&asked.source) else {
            let why = format!("there is no source of metrics `{}`", asked.source);
            return Answer::Nothing { why };
        };
        // A demo's clock may be ahead; whoever measures lives by the real one.
        let ahead = self.0.engine.clock().jumped();
        let question = Question {
            query: asked.query.clone(),
            from: SystemTime::from(asked.from - ahead),
            to: SystemTime::from(asked.to - ahead),
            step: asked.step.to_std().unwrap_or(Wait::from_secs(15)),
        };
        match source.read(&question).await {
            Ok(series) => {
                let lines = series.into_iter().map(|series| line(series, ahead)).collect();
                Answer::Lines(if asked.has_past { lines } else { self.with_kept(asked, lines) })
            }
            Err(
                Failure::Transient { why, .. }
                | Failure::Permanent { why }
                | Failure::Unknown { why }
                | Failure::NoEntry { why },
            ) => Answer::Nothing { why },
        }
    }

    /// What CI has reported is in the log already.
    fn handed_in(&self, asked: &Asked) -> Answer {
        let state = self.0.engine.state();
        let release = state.releases.get(&asked.release);
        let lines = release.and_then(|release| release.numbers.get(&asked.query));
        let within = |line: &Line| Line {
            name: line.name.clone(),
            points: (line.points.iter().copied())
                .filter(|(at, _)| (asked.from..=asked.to).contains(at))
                .collect(),
        };
        let lines = lines.into_iter().flatten().map(within);
        Answer::Lines(lines.filter(|line| !line.points.is_empty()).collect())
    }

    /// A source that only knows the present is remembered for.
    fn with_kept(&self, asked: Asked, new: Vec<Line>) -> Vec<Line> {
        let (from, to) = (asked.from, asked.to);
        let key = Asked { to: from, step: Duration::zero(), ..asked };
        let mut kept = self.0.kept.lock().expect("never held in a panic");
        // Nobody asks again about what has ended.
        kept.retain(|other, _| other.release != key.release || other.stage == key.stage);
        let lines = kept.entry(key).or_default();
        let mut merged = Vec::with_capacity(new.len());
        for line in new {
            let before = lines.iter().find(|known| known.name == line.name);
            let mut points = before.map(|known| known.points.clone()).unwrap_or_default();
            let last = points.last().map(|(at, _)| *at);
            points.extend(line.points.into_iter().filter(|(at, _)| last.is_none_or(|l| *at > l)));
            points.retain(|(at, _)| *at >= from.max(to - LONGEST));
            merged.push(Line { name: line.name, points });
        }
        lines.clone_from(&merged);
        merged
    }
}

fn line(series: Series, ahead: Duration) -> Line {
    let points = series.points.into_iter();
    let points = points.map(|(at, value)| (DateTime::<Utc>::from(at) + ahead, value)).collect();
    Line { name: series.name, points }
}

// ---------------------------------------------------------------------------------------------
// What to ask

fn wanted(release: &Release, watched: &Watched, policy: &Policy, now: Time) -> Vec<Wanted> {
    let asks = Asks { release, watched, policy, now };
    watched.gates.iter().filter_map(|gate| asks.of(gate)).collect()
}

struct Asks<'a> {
    release: &'a Release,
    watched: &'a Watched,
    policy: &'a Policy,
    now: Time,
}

impl Asks<'_> {
    fn of(&self, gate: &MetricGate) -> Option<Wanted> {
        let queries = self.release.queries(self.policy);
        let query = &*queries.get(&gate.name)?;
        let canary = self.now(query, &query.query);
        let baseline = match &gate.against {
            Against::Stable => query.baseline.as_ref().map(|text| self.now(query, text)),
            Against::Before => Some(self.before(query)),
            Against::Metric(other) => {
                queries.get(other).map(|other| self.now(&other, &other.query))
            }
        };
        Some(Wanted { name: gate.name.clone(), canary, baseline })
    }

    /// From when the stage began until now, the last point being now.
    fn now(&self, query: &Query, text: &str) -> Result<Asked, String> {
        let since = self.watched.since.max(self.now - LONGEST);
        let pace = self.policy.timing.measure_every.duration().max(Duration::seconds(1));
        let step = pace.max((self.now - since) / MOST_POINTS);
        let steps = (self.now - since).num_milliseconds() / step.num_milliseconds().max(1);
        let steps = i32::try_from(steps).unwrap_or(MOST_POINTS);
        let from = if query.has_past { self.now - step * steps } else { self.watched.since };
        self.asked(query, text, &self.release.plan.release.version, (from, self.now, step))
    }

    /// The 15 minutes before the deploy, as the old version was then.
    fn before(&self, query: &Query) -> Result<Asked, String> {
        if !query.has_past {
            return Err("its source does not know what was before the deploy".into());
        }
        let end = self.release.started_at.unwrap_or(self.watched.since);
        let old = self.release.plan.rollback.as_ref().map(|plan| plan.to.as_str());
        let step = BEFORE / MOST_POINTS;
        self.asked(query, &query.query, old.unwrap_or_default(), (end - BEFORE, end, step))
    }

    fn asked(
        &self,
        query: &Query,
        text: &str,
        version: &str,
        (from, to, step): (Time, Time, Duration),
    ) -> Result<Asked, String> {
        let head = &self.release.plan.release;
        let good = self.release.plan.rollback.as_ref().map(|plan| plan.to.as_str());
        let good = good.unwrap_or_default();
        let mut filled = text.to_owned();
        for (name, value) in [
            ("service", head.service.as_str()),
            ("environment", &head.environment),
            ("version", version),
            ("known_good", good),
            ("from", good),
        ] {
            let placeholder = format!("{{{name}}}");
            if !filled.contains(&placeholder) {
                continue;
            }
            // A version must not become part of the question.
            if let Some(wrong) = argument::wrong(value) {
                return Err(format!("`{name}` of the plan cannot be asked for: it {wrong}"));
            }
            filled = filled.replace(&placeholder, value);
        }
        Ok(Asked {
            release: self.release.id.clone(),
            stage: self.watched.stage,
            source: query.source.clone(),
            query: filled,
            from,
            to,
            step,
            has_past: query.has_past,
        })
    }
}
