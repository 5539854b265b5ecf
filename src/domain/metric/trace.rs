//! What was seen of a metric when it counted. It is kept with the event, so that a picture of it
//! comes from the log alone: the same at each try, and after each restart.

use serde::{Deserialize, Serialize};

use super::{Answer, Judged, Limits, Line, Query, Reading};
use crate::domain::plan::MetricGate;
use crate::domain::time::Time;

/// More points than these show no more.
const MOST: usize = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// As in what was judged.
    pub name: String,
    pub canary: Vec<Point>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<Point>,
    /// Where it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Limit>,
    /// Where it rolls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_back: Option<Limit>,
}

/// Seconds since 1970, and the value; what is no number is none.
pub(super) type Point = (i64, Option<f64>);

/// Where a measurement leaves what is good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    Above(f64),
    Below(f64),
}

impl Trace {
    /// Nothing where the source said nothing.
    pub fn of(judged: &Judged, gate: &MetricGate, query: &Query, read: &Reading) -> Option<Self> {
        let line = beside(&read.canary, judged, gate)?;
        let canary = points(line);
        let (first, last) = (canary.first()?.0, canary.last()?.0);
        let base = read.baseline.as_ref().and_then(|answer| beside(answer, judged, gate));
        let mut baseline = base.map(points).unwrap_or_default();
        // What was before the deploy is shown as the level that it was compared with.
        if let Some(level) =
            judged.baseline.filter(|_| baseline.last().is_some_and(|it| it.0 < first))
        {
            baseline = vec![(first, Some(rounded(level))), (last, Some(rounded(level)))];
        }
        let limits = Limits::of(gate, query.kind);
        let hold = limit(&limits, judged, |band| band.hold);
        let roll_back = limit(&limits, judged, |band| band.roll_back);
        Some(Self { name: judged.name.clone(), canary, baseline, hold, roll_back })
    }
}

/// The line that was judged: the only one, or the one by whose name it goes.
fn beside<'a>(answer: &'a Answer, judged: &Judged, gate: &MetricGate) -> Option<&'a Line> {
    let Answer::Lines(lines) = answer else { return None };
    let own = judged.name.strip_prefix(gate.name.as_str()).map(str::trim_start);
    match lines.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|line| Some(line.name.as_str()) == own),
    }
}

/// Every so many of them, counted from the newest.
fn points(line: &Line) -> Vec<Point> {
    let every = line.points.len().div_ceil(MOST).max(1);
    let kept = line.points.iter().rev().step_by(every);
    let mut kept: Vec<Point> = kept.map(|(at, value)| point(*at, *value)).collect();
    kept.reverse();
    kept
}

fn point(at: Time, value: f64) -> Point {
    (at.timestamp(), value.is_finite().then(|| rounded(value)))
}

/// Four digits that count.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The one that is met first; of a number that must neither rise nor fall, the upper one.
fn limit(
    limits: &Limits,
    judged: &Judged,
    of: impl Fn(super::Band) -> Option<f64>,
) -> Option<Limit> {
    let moved = |percent: Option<f64>, sign: f64| {
        Some(rounded(judged.baseline? * (1.0 + sign * percent? / 100.0)))
    };
    let top = [of(limits.above), moved(of(limits.rise), 1.0)];
    let floor = [of(limits.below), moved(of(limits.fall), -1.0)];
    let top = top.into_iter().flatten().reduce(f64::min).map(Limit::Above);
    top.or_else(|| floor.into_iter().flatten().reduce(f64::max).map(Limit::Below))
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::metric::{Light, QueryKind, Rule};

    fn now() -> Time {
        chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn judged(name: &str, baseline: Option<f64>) -> Judged {
        let (light, rule, value) = (Light::Green, Rule::Within, Some(0.31));
        let name = name.to_owned();
        Judged { name, light, rule, value, baseline, samples: 3, red_since: None, said: None }
    }

    fn errors() -> (MetricGate, Query) {
        let gate = MetricGate { name: "errors".into(), ..MetricGate::default() };
        let query = Query {
            source: "main".into(),
            query: "errors".into(),
            baseline: None,
            title: "Error rate".into(),
            unit: "%".into(),
            kind: QueryKind::ErrorRate,
            has_past: true,
        };
        (gate, query)
    }

    fn line(name: &str, values: &[f64], end: Time) -> Line {
        let at = |index: usize| end - Duration::seconds(15 * (values.len() - 1 - index) as i64);
        let points = values.iter().enumerate().map(|(index, value)| (at(index), *value)).collect();
        Line { name: name.to_owned(), points }
    }

    fn read(canary: Vec<Line>, baseline: Option<Line>) -> Reading {
        let baseline = baseline.map(|line| Answer::Lines(vec![line]));
        Reading { name: "errors".into(), canary: Answer::Lines(canary), baseline }
    }

    #[test]
    fn it_keeps_both_lines_and_the_limits_that_follow_from_the_baseline() {
        let (gate, query) = errors();
        let canary = line("", &[0.3, f64::NAN, 0.312_345], now());
        let read = read(vec![canary], Some(line("", &[0.3, 0.3], now())));
        let trace = Trace::of(&judged("errors", Some(0.3)), &gate, &query, &read).expect("one");
        let seen: Vec<_> = trace.canary.iter().map(|(_, value)| *value).collect();
        assert_eq!(seen, [Some(0.3), None, Some(0.3123)]);
        assert_eq!(trace.baseline.len(), 2);
        assert_eq!(trace.hold, Some(Limit::Above(0.33)));
        assert_eq!(trace.roll_back, Some(Limit::Above(0.6)));
        let json = serde_json::to_string(&trace).expect("plain data");
        assert_eq!(serde_json::from_str::<Trace>(&json).expect("its own"), trace);
    }

    #[test]
    fn what_was_before_the_deploy_is_a_level_beside_what_is_now() {
        let (gate, query) = errors();
        let before = line("", &[0.2, 0.4], now() - Duration::hours(3));
        let read = read(vec![line("", &[0.3, 0.31], now())], Some(before));
        let trace = Trace::of(&judged("errors", Some(0.3)), &gate, &query, &read).expect("one");
        let ends = [trace.canary[0].0, trace.canary[1].0];
        assert_eq!(trace.baseline, ends.map(|at| (at, Some(0.3))));
    }

    #[test]
    fn of_several_lines_it_is_the_one_that_was_judged() {
        let (gate, query) = errors();
        let lines = vec![line("/a", &[1.0], now()), line("/b", &[2.0], now())];
        let trace = Trace::of(&judged("errors /b", None), &gate, &query, &read(lines, None));
        assert_eq!(trace.expect("one").canary[0].1, Some(2.0));
    }

    #[test]
    fn a_source_that_is_silent_leaves_nothing_to_draw() {
        let (gate, query) = errors();
        let canary = Answer::Nothing { why: "gone".into() };
        let gone = Reading { name: "errors".into(), canary, baseline: None };
        assert_eq!(Trace::of(&judged("errors", None), &gate, &query, &gone), None);
        let empty = read(vec![line("", &[], now())], None);
        assert_eq!(Trace::of(&judged("errors", None), &gate, &query, &empty), None);
    }

    proptest! {
        #[test]
        fn it_is_never_long_and_always_ends_with_the_newest(
            values in prop::collection::vec(-1e6..1e6_f64, 1..500),
        ) {
            let kept = points(&line("", &values, now()));
            prop_assert!(kept.len() <= MOST);
            prop_assert!(kept.len() >= values.len().min(MOST / 2));
            prop_assert_eq!(kept.last().map(|it| it.0), Some(now().timestamp()));
            prop_assert!(kept.is_sorted_by_key(|it| it.0));
        }
    }
}
