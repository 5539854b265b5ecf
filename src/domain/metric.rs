//! Whether a number is good enough to go on: green, yellow or red, against limits and a baseline.
//!
//! **Invariant:** what cannot be told is never green. No data, no number, a stale or a thin answer,
//! several answers where one was asked for: each says so, and holds.

mod queries;
mod ranks;
mod trace;

use std::fmt;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::plan::{Against, MetricGate};
use super::time::{Span, Time};
pub use queries::{PLACEHOLDERS, Queries, titled};
pub use ranks::Ranks;
pub use trace::{Limit, Trace};

/// A question that the operator named, so that a plan holds no query and no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The name of its source in the configuration.
    pub source: String,
    /// In the source's language, with `{placeholders}`.
    pub query: String,
    /// The same for the stable group, now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// As people say it: `Error rate`.
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    #[serde(default)]
    pub kind: QueryKind,
    /// Whether the source can be asked about the past.
    #[serde(default)]
    pub has_past: bool,
}

/// The source of the numbers that CI hands in.
pub const CI: &str = "ci";

/// Under which name CI's number for the stable group is kept.
pub fn baseline_of(query: &str) -> String {
    format!("{query}/baseline")
}

/// What a number means, and with it which limits it has if a stage names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryKind {
    /// Within 10 % of the baseline, hold to 100 %, roll back above.
    ErrorRate,
    /// Within 20 % of the baseline, hold to 50 %, roll back above.
    Latency,
    /// Within 20 % of the baseline either way, hold to 50 %, roll back beyond.
    Throughput,
    /// The share of sessions that meet an error never seen before: none, hold to 0.1 %, roll back
    /// above.
    ClientErrors,
    /// Orders, sign-ups: neutral to 1 %, hold down to 5 % fewer, roll back below.
    Business,
    /// Anything else: it has the limits that the stage gives it.
    #[default]
    Gauge,
}

impl QueryKind {
    pub const ALL: [Self; 6] = [
        Self::ErrorRate,
        Self::Latency,
        Self::Throughput,
        Self::ClientErrors,
        Self::Business,
        Self::Gauge,
    ];

    /// As a configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error-rate",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::ClientErrors => "client-errors",
            Self::Business => "business",
            Self::Gauge => "gauge",
        }
    }
}

/// What the numbers say. In this order the worst of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Light {
    /// Go on.
    Green,
    /// Hold: worse than it should be.
    Yellow,
    /// Hold: nobody can tell.
    Unknown,
    /// Roll back.
    Red,
}

impl Light {
    pub fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Unknown => "unknown",
            Self::Red => "red",
        }
    }
}

// ---------------------------------------------------------------------------------------------
// What was read

/// What a source answered on one gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The gate's name.
    pub name: String,
    pub canary: Answer,
    /// What it is compared with, if it is.
    pub baseline: Option<Answer>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Lines(Vec<Line>),
    /// The source cannot be reached, or one of us does not understand the other.
    Nothing {
        why: String,
    },
}

/// Numbers in the order of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub points: Vec<(Time, f64)>,
}

// ---------------------------------------------------------------------------------------------
// The limits

/// Where green ends and where red begins. Each limit itself is still on the better side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Band {
    pub hold: Option<f64>,
    pub roll_back: Option<f64>,
}

impl Band {
    fn is_empty(self) -> bool {
        self.hold.is_none() && self.roll_back.is_none()
    }

    fn of(hold: f64, roll_back: f64) -> Self {
        Self { hold: Some(hold), roll_back: Some(roll_back) }
    }

    pub fn map(self, each: impl Fn(Option<f64>) -> Option<f64>) -> Self {
        Self { hold: each(self.hold), roll_back: each(self.roll_back) }
    }
}

/// What a gate demands, with what its kind of number brings along.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Of the number itself.
    pub above: Band,
    pub below: Band,
    /// Of its rise and its fall against the baseline, in percent.
    pub rise: Band,
    pub fall: Band,
}

impl Limits {
    /// What the gate says; what its kind brings along if it says nothing.
    pub fn of(gate: &MetricGate, kind: QueryKind) -> Self {
        let own = Self {
            above: Band { hold: gate.hold_above, roll_back: gate.roll_back_above },
            below: Band { hold: gate.hold_below, roll_back: gate.roll_back_below },
            rise: Band { hold: gate.hold_rise, roll_back: gate.roll_back_rise },
            fall: Band { hold: gate.hold_fall, roll_back: gate.roll_back_fall },
        };
        if own == Self::default() { Self::preset(kind) } else { own }
    }

    fn preset(kind: QueryKind) -> Self {
        let none = Self::default();
        match kind {
            QueryKind::ErrorRate => Self { rise: Band::of(10.0, 100.0), ..none },
            QueryKind::Latency => Self { rise: Band::of(20.0, 50.0), ..none },
            QueryKind::Throughput => {
                Self { rise: Band::of(20.0, 50.0), fall: Band::of(20.0, 50.0), ..none }
            }
            QueryKind::ClientErrors => Self { above: Band::of(0.0, 0.1), ..none },
            QueryKind::Business => Self { fall: Band::of(1.0, 5.0), ..none },
            QueryKind::Gauge => none,
        }
    }

    /// A gate that demands just these, and everything else as it did.
    pub fn into_gate(self, gate: MetricGate) -> MetricGate {
        MetricGate {
            hold_above: self.above.hold,
            roll_back_above: self.above.roll_back,
            hold_below: self.below.hold,
            roll_back_below: self.below.roll_back,
            hold_rise: self.rise.hold,
            roll_back_rise: self.rise.roll_back,
            hold_fall: self.fall.hold,
            roll_back_fall: self.fall.roll_back,
            ..gate
        }
    }

    /// Without limits everything would be green.
    pub fn is_empty(&self) -> bool {
        self.above.is_empty() && self.below.is_empty() && !self.compares()
    }

    /// Whether it takes a baseline.
    pub fn compares(&self) -> bool {
        !self.rise.is_empty() || !self.fall.is_empty()
    }
}

// ---------------------------------------------------------------------------------------------
// The judgement

/// What one metric says, with the numbers that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub name: String,
    pub light: Light,
    pub rule: Rule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// How many points were looked at.
    #[serde(default)]
    pub samples: usize,
    /// Since when it is red without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub red_since: Option<Time>,
    /// How people say it, where the plan has named it: the log alone is enough to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
}

/// A name for people, and what is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// Which rule decided, and by which limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    Within,
    Above {
        limit: f64,
    },
    Below {
        limit: f64,
    },
    /// More than this percentage over the baseline.
    Rise {
        limit: f64,
    },
    Fall {
        limit: f64,
    },
    /// Over a limit, but the two groups do not differ by more than chance explains.
    Noise {
        limit: f64,
        ranks: Ranks,
    },
    /// It cannot be told, and why.
    Untold {
        why: Untold,
    },
}

/// Why a number cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Untold {
    #[error("it was not measured")]
    NotMeasured,
    #[error("there is no query of that name")]
    NoQuery,
    #[error("it has no limits")]
    NoLimits,
    #[error("{why}")]
    NoAnswer { why: String },
    #[error("no data")]
    NoData,
    #[error("the last value is no number")]
    NotANumber,
    #[error("{lines} lines instead of one")]
    ManyLines { lines: usize },
    #[error("the last value is {age} old")]
    Stale { age: String },
    #[error("{found} of {wanted} samples so far")]
    TooFew { found: usize, wanted: usize },
    #[error("the baseline: {why}")]
    Baseline { why: Box<Untold> },
    #[error("the baseline is 0, so that no percentage can be told")]
    ZeroBaseline,
    #[error("the baseline is below 0, so that no percentage can be told")]
    NegativeBaseline,
    #[error("this source does not know the past")]
    NoPast,
}

impl Untold {
    /// It has only just begun to be measured.
    pub fn is_young(&self) -> bool {
        match self {
            Self::TooFew { .. } => true,
            Self::Baseline { why } => why.is_young(),
            Self::NotMeasured
            | Self::NoQuery
            | Self::NoLimits
            | Self::NoAnswer { .. }
            | Self::NoData
            | Self::NotANumber
            | Self::ManyLines { .. }
            | Self::Stale { .. }
            | Self::ZeroBaseline
            | Self::NegativeBaseline
            | Self::NoPast => false,
        }
    }
}

impl Judged {
    fn untold(name: &str, why: Untold) -> Self {
        Self {
            name: name.to_owned(),
            light: Light::Unknown,
            rule: Rule::Untold { why },
            value: None,
            baseline: None,
            samples: 0,
            red_since: None,
            said: None,
        }
    }

    /// By how many percent it lies over its baseline.
    pub fn change(&self) -> Option<f64> {
        change(self.value?, self.baseline.filter(|baseline| *baseline > 0.0)?)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within => f.write_str("within its limits"),
            Self::Above { limit } => write!(f, "above {}", number(*limit)),
            Self::Below { limit } => write!(f, "below {}", number(*limit)),
            Self::Rise { limit } => {
                write!(f, "more than {} % above the baseline", number(*limit))
            }
            Self::Fall { limit } => {
                write!(f, "more than {} % below the baseline", number(*limit))
            }
            Self::Noise { limit, ranks } => {
                write!(f, "over {} %, but no more than chance ({ranks})", number(*limit))
            }
            Self::Untold { why } => write!(f, "cannot be told: {why}"),
        }
    }
}

/// Three digits that count: `0.31`, `187`, `1240`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.1 => 2,
        _ if size >= 0.01 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// How thin or old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demands {
    pub samples: usize,
    pub fresh: Duration,
}

impl Demands {
    /// A point every `pace`: three of them, and none missed twice in a row.
    pub fn of(gate: &MetricGate, pace: Span) -> Self {
        let pace = pace.duration();
        let fresh = gate.fresh.map_or(pace * 3, Span::duration);
        Self { samples: gate.samples.map_or(3, |samples| samples as usize), fresh }
    }

    /// What CI hands in comes when a job ends, not at our pace.
    pub fn of_ci(gate: &MetricGate) -> Self {
        let fresh = gate.fresh.map_or(Duration::minutes(15), Span::duration);
        Self { samples: gate.samples.map_or(1, |samples| samples as usize), fresh }
    }
}

/// What one gate says of one reading.
pub fn judge(
    gate: &MetricGate,
    query: Option<&Query>,
    reading: Option<&Reading>,
    demands: Demands,
    now: Time,
) -> Judged {
    let name = &gate.name;
    let Some(query) = query else { return Judged::untold(name, Untold::NoQuery) };
    let Some(reading) = reading else { return Judged::untold(name, Untold::NotMeasured) };
    let limits = Limits::of(gate, query.kind);
    if limits.is_empty() {
        return Judged::untold(name, Untold::NoLimits);
    }
    let lines = match &reading.canary {
        Answer::Lines(lines) if lines.len() > 1 && !gate.each => {
            return Judged::untold(name, Untold::ManyLines { lines: lines.len() });
        }
        Answer::Lines(lines) => lines,
        Answer::Nothing { why } => {
            return Judged::untold(name, Untold::NoAnswer { why: why.clone() });
        }
    };
    let each = lines.iter().map(|line| {
        let baseline = reading.baseline.as_ref().map(|answer| beside(answer, line, lines.len()));
        let judged = judge_line(name, &limits, line, baseline, gate, demands, now);
        named(judged, line, lines.len())
    });
    each.max_by_key(|judged| judged.light).unwrap_or_else(|| Judged::untold(name, Untold::NoData))
}

/// Of several lines each is judged by itself, and said by its name.
fn named(judged: Judged, line: &Line, lines: usize) -> Judged {
    match lines {
        1 => judged,
        _ => Judged { name: format!("{} {}", judged.name, line.name), ..judged },
    }
}

/// The baseline's line that goes with one of ours: the only one, or the one of the same name.
fn beside<'a>(answer: &'a Answer, line: &Line, lines: usize) -> Result<&'a Line, Untold> {
    match answer {
        Answer::Nothing { why } => Err(Untold::NoAnswer { why: why.clone() }),
        Answer::Lines(found) => match found.as_slice() {
            [] => Err(Untold::NoData),
            [only] if lines == 1 => Ok(only),
            several => several
                .iter()
                .find(|other| lines > 1 && other.name == line.name)
                .ok_or(Untold::ManyLines { lines: several.len() }),
        },
    }
}

fn judge_line(
    name: &str,
    limits: &Limits,
    line: &Line,
    baseline: Option<Result<&Line, Untold>>,
    gate: &MetricGate,
    demands: Demands,
    now: Time,
) -> Judged {
    let value = match last(line, demands, now) {
        Ok(value) => value,
        Err(why) => return Judged { samples: line.points.len(), ..Judged::untold(name, why) },
    };
    let mut judged = Judged {
        name: name.to_owned(),
        light: Light::Green,
        rule: Rule::Within,
        value: Some(value),
        baseline: None,
        samples: line.points.len(),
        red_since: None,
        said: None,
    };
    worst(&mut judged, absolute(limits, value));
    if !limits.compares() {
        return judged;
    }
    let found = baseline
        .unwrap_or(Err(Untold::NoData))
        .and_then(|base| Ok((base, compared_with(base, gate, demands, now)?)));
    match found {
        Ok((base, middle)) => {
            judged.baseline = Some(middle);
            let (light, rule) = relative(limits, value, middle);
            // Chance explains a difference between two groups, not one between two quantities.
            worst(
                &mut judged,
                match gate.against {
                    Against::Stable | Against::Before => by_chance(light, rule, line, base),
                    Against::Metric(_) => (light, rule),
                },
            );
        }
        Err(why) => {
            let why = Untold::Baseline { why: Box::new(why) };
            worst(&mut judged, (Light::Unknown, Rule::Untold { why }));
        }
    }
    judged
}

fn worst(judged: &mut Judged, (light, rule): (Light, Rule)) {
    let is_noise = matches!(rule, Rule::Noise { .. });
    if light > judged.light || light == judged.light && is_noise {
        (judged.light, judged.rule) = (light, rule);
    }
}

/// The value that counts: the last, if it is a number, and new, and has others beside it.
fn last(line: &Line, demands: Demands, now: Time) -> Result<f64, Untold> {
    let (at, value) = *line.points.last().ok_or(Untold::NoData)?;
    if !value.is_finite() {
        return Err(Untold::NotANumber);
    }
    if now - at > demands.fresh {
        return Err(Untold::Stale { age: super::time::span(now - at) });
    }
    let (found, wanted) = (numbers(line).count(), demands.samples);
    if found < wanted { Err(Untold::TooFew { found, wanted }) } else { Ok(value) }
}

fn numbers(line: &Line) -> impl Iterator<Item = f64> {
    line.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite())
}

/// The stable group counts as it is now; what was before the deploy, by its middle.
fn compared_with(
    base: &Line,
    gate: &MetricGate,
    demands: Demands,
    now: Time,
) -> Result<f64, Untold> {
    match gate.against {
        Against::Before => {
            let (sum, count) = numbers(base).fold((0.0, 0.0), |(s, n), value| (s + value, n + 1.0));
            let found = numbers(base).count();
            let wanted = demands.samples;
            match found {
                0 => Err(Untold::NoData),
                _ if found < wanted => Err(Untold::TooFew { found, wanted }),
                _ => Ok(sum / count),
            }
        }
        Against::Stable | Against::Metric(_) => last(base, demands, now),
    }
}

fn absolute(limits: &Limits, value: f64) -> (Light, Rule) {
    let over = |limit: Option<f64>| limit.filter(|limit| value > *limit);
    let under = |limit: Option<f64>| limit.filter(|limit| value < *limit);
    let red = over(limits.above.roll_back).map(|limit| Rule::Above { limit });
    let red = red.or(under(limits.below.roll_back).map(|limit| Rule::Below { limit }));
    let yellow = over(limits.above.hold).map(|limit| Rule::Above { limit });
    let yellow = yellow.or(under(limits.below.hold).map(|limit| Rule::Below { limit }));
    match (red, yellow) {
        (Some(rule), _) => (Light::Red, rule),
        (None, Some(rule)) => (Light::Yellow, rule),
        (None, None) => (Light::Green, Rule::Within),
    }
}

/// A hair's breadth, so that 0.33 is not more than 10 % above 0.30.
const HAIR: f64 = 1e-9;

fn change(value: f64, baseline: f64) -> Option<f64> {
    (baseline != 0.0).then(|| (value - baseline) / baseline * 100.0)
}

fn relative(limits: &Limits, value: f64, middle: f64) -> (Light, Rule) {
    let untold = |why| (Light::Unknown, Rule::Untold { why });
    if value == middle {
        return (Light::Green, Rule::Within);
    }
    let change = match change(value, middle) {
        None => return untold(Untold::ZeroBaseline),
        Some(_) if middle < 0.0 => return untold(Untold::NegativeBaseline),
        Some(change) => change,
    };
    let beyond = |size: f64, limit: Option<f64>| limit.filter(|limit| size > *limit + HAIR);
    let red = beyond(change, limits.rise.roll_back).map(|limit| Rule::Rise { limit });
    let red = red.or(beyond(-change, limits.fall.roll_back).map(|limit| Rule::Fall { limit }));
    let yellow = beyond(change, limits.rise.hold).map(|limit| Rule::Rise { limit });
    let yellow = yellow.or(beyond(-change, limits.fall.hold).map(|limit| Rule::Fall { limit }));
    match (red, yellow) {
        (Some(rule), _) => (Light::Red, rule),
        (None, Some(rule)) => (Light::Yellow, rule),
        (None, None) => (Light::Green, Rule::Within),
    }
}

/// What chance explains does not roll back, and does not hold: one step better.
fn by_chance(light: Light, rule: Rule, canary: &Line, base: &Line) -> (Light, Rule) {
    let (canary, base): (Vec<_>, Vec<_>) = (numbers(canary).collect(), numbers(base).collect());
    let (side, limit) = match rule {
        Rule::Rise { limit } => (ranks::Side::Higher, limit),
        Rule::Fall { limit } => (ranks::Side::Lower, limit),
        Rule::Within
        | Rule::Above { .. }
        | Rule::Below { .. }
        | Rule::Noise { .. }
        | Rule::Untold { .. } => return (light, rule),
    };
    let Some(ranks) = Ranks::of(&canary, &base, side) else { return (light, rule) };
    if ranks.is_significant() {
        return (light, rule);
    }
    let softer = if light == Light::Red { Light::Yellow } else { Light::Green };
    (softer, Rule::Noise { limit, ranks })
}

#[cfg(test)]
mod tests;
