//! Every edge of every limit, and everything that cannot be told.

use proptest::prelude::*;

use super::*;

fn now() -> Time {
    "2026-12-15T18:30:00Z".parse().expect("an instant")
}

fn query(kind: QueryKind) -> Query {
    Query {
        source: "main".into(),
        query: "q".into(),
        baseline: Some("b".into()),
        title: "Error rate".into(),
        unit: "%".into(),
        kind,
        has_past: true,
    }
}

fn gate() -> MetricGate {
    MetricGate { name: "errors".into(), ..MetricGate::default() }
}

/// Points every 15 s, the last one now.
fn line(values: &[f64]) -> Line {
    let at = |back: usize| now() - Duration::seconds(15) * i32::try_from(back).expect("few");
    let count = values.len();
    let points = values.iter().enumerate().map(|(i, value)| (at(count - 1 - i), *value));
    Line { name: String::new(), points: points.collect() }
}

fn flat(value: f64) -> Answer {
    Answer::Lines(vec![line(&[value; 4])])
}

fn reading(canary: Answer, baseline: Option<Answer>) -> Reading {
    Reading { name: "errors".into(), canary, baseline }
}

fn judged(gate: &MetricGate, kind: QueryKind, canary: Answer, baseline: Option<Answer>) -> Judged {
    let demands = Demands::of(gate, Span::seconds(15));
    judge(gate, Some(&query(kind)), Some(&reading(canary, baseline)), demands, now())
}

fn light(kind: QueryKind, canary: f64, baseline: f64) -> Light {
    judged(&gate(), kind, flat(canary), Some(flat(baseline))).light
}

fn untold(judged: &Judged) -> &Untold {
    assert_eq!(judged.light, Light::Unknown, "{judged:?}");
    let Rule::Untold { why } = &judged.rule else { panic!("{judged:?}") };
    why
}

#[test]
fn each_kind_of_number_has_its_edges_and_an_edge_is_still_on_the_better_side() {
    use Light::{Green, Red, Yellow};
    use QueryKind::{Business, ErrorRate, Latency, Throughput};
    let table = [
        (ErrorRate, 0.30, 0.30, Green),
        (ErrorRate, 0.33, 0.30, Green),
        (ErrorRate, 0.331, 0.30, Yellow),
        (ErrorRate, 0.60, 0.30, Yellow),
        (ErrorRate, 0.601, 0.30, Red),
        (ErrorRate, 0.01, 0.30, Green),
        (Latency, 120.0, 100.0, Green),
        (Latency, 120.1, 100.0, Yellow),
        (Latency, 150.0, 100.0, Yellow),
        (Latency, 150.1, 100.0, Red),
        (Throughput, 80.0, 100.0, Green),
        (Throughput, 79.9, 100.0, Yellow),
        (Throughput, 49.9, 100.0, Red),
        (Throughput, 150.1, 100.0, Red),
        (Business, 99.0, 100.0, Green),
        (Business, 98.9, 100.0, Yellow),
        (Business, 95.0, 100.0, Yellow),
        (Business, 94.9, 100.0, Red),
        (Business, 300.0, 100.0, Green),
    ];
    for (kind, canary, baseline, wanted) in table {
        assert_eq!(light(kind, canary, baseline), wanted, "{kind:?} {canary} against {baseline}");
    }
    for (share, wanted) in [(0.0, Green), (0.05, Yellow), (0.1, Yellow), (0.11, Red)] {
        let judged = judged(&gate(), QueryKind::ClientErrors, flat(share), None);
        assert_eq!(judged.light, wanted, "{share} % of the sessions");
    }
}

#[test]
fn a_stages_own_limits_take_the_place_of_the_usual_ones() {
    let own = MetricGate {
        hold_above: Some(0.1),
        roll_back_above: Some(0.5),
        hold_below: Some(0.01),
        ..gate()
    };
    let light = |value| judged(&own, QueryKind::ErrorRate, flat(value), None).light;
    assert_eq!(light(0.1), Light::Green);
    assert_eq!(light(0.11), Light::Yellow);
    assert_eq!(light(0.5), Light::Yellow);
    assert_eq!(light(0.51), Light::Red);
    assert_eq!(light(0.005), Light::Yellow, "suspiciously few");
    let both = MetricGate { hold_rise: Some(10.0), ..own };
    let judged = judged(&both, QueryKind::ErrorRate, flat(0.09), Some(flat(0.05)));
    assert_eq!(judged.light, Light::Yellow, "absolutely fine, and much worse than before");
    assert_eq!(judged.rule, Rule::Rise { limit: 10.0 });
}

#[test]
fn what_cannot_be_told_is_never_green_and_says_why() {
    let lines = |lines: Vec<Line>| Answer::Lines(lines);
    let base = || Some(flat(0.3));
    let untold_by = |canary, baseline| {
        let judged = judged(&gate(), QueryKind::ErrorRate, canary, baseline);
        untold(&judged).to_string()
    };
    assert_eq!(untold_by(lines(vec![]), base()), "no data");
    assert_eq!(untold_by(lines(vec![Line::default()]), base()), "no data");
    assert_eq!(untold_by(flat(f64::NAN), base()), "the last value is no number");
    assert_eq!(untold_by(flat(f64::INFINITY), base()), "the last value is no number");
    assert_eq!(untold_by(flat(f64::NEG_INFINITY), base()), "the last value is no number");
    assert_eq!(untold_by(lines(vec![line(&[0.3, 0.3])]), base()), "2 of 3 samples so far");
    let two = vec![line(&[0.3; 4]), Line { name: "b".into(), ..line(&[0.3; 4]) }];
    assert_eq!(untold_by(lines(two), base()), "2 lines instead of one");
    let mut old = line(&[0.3; 4]);
    old.points.iter_mut().for_each(|point| point.0 -= Duration::minutes(2));
    assert_eq!(untold_by(lines(vec![old.clone()]), base()), "the last value is 2 min old");
    let gone = || Answer::Nothing { why: "connection refused".into() };
    assert_eq!(untold_by(gone(), base()), "connection refused");
    assert_eq!(untold_by(flat(0.3), None), "the baseline: no data");
    assert_eq!(untold_by(flat(0.3), Some(gone())), "the baseline: connection refused");
    let base_old = Some(lines(vec![old]));
    assert_eq!(untold_by(flat(0.3), base_old), "the baseline: the last value is 2 min old");
    let zero = "the baseline is 0, so that no percentage can be told";
    assert_eq!(untold_by(flat(0.3), Some(flat(0.0))), zero);
    let below = "the baseline is below 0, so that no percentage can be told";
    assert_eq!(untold_by(flat(0.3), Some(flat(-1.0))), below);
    let none = judged(&gate(), QueryKind::Gauge, flat(0.3), None);
    assert_eq!(untold(&none), &Untold::NoLimits);
    let demands = Demands { samples: 3, fresh: Duration::seconds(45) };
    assert_eq!(untold(&judge(&gate(), None, None, demands, now())), &Untold::NoQuery);
    let query = query(QueryKind::ErrorRate);
    let unread = judge(&gate(), Some(&query), None, demands, now());
    assert_eq!(untold(&unread), &Untold::NotMeasured);
}

#[test]
fn nothing_against_nothing_is_green_and_a_limit_of_its_own_outweighs_a_missing_baseline() {
    assert_eq!(light(QueryKind::ErrorRate, 0.0, 0.0), Light::Green);
    let own = MetricGate { roll_back_above: Some(1.0), hold_rise: Some(10.0), ..gate() };
    let judged = judged(&own, QueryKind::ErrorRate, flat(3.0), None);
    assert_eq!(judged.light, Light::Red, "whatever it was before, 3 % is too much");
    assert_eq!(judged.rule, Rule::Above { limit: 1.0 });
}

#[test]
fn before_the_deploy_counts_by_its_middle_and_may_be_long_ago() {
    let before = MetricGate { against: Against::Before, ..gate() };
    let mut base = line(&[0.2, 0.4, 0.3, 0.3]);
    base.points.iter_mut().for_each(|point| point.0 -= Duration::days(2));
    let base = Some(Answer::Lines(vec![base]));
    let judged = judged(&before, QueryKind::ErrorRate, flat(0.33), base);
    assert_eq!(judged.light, Light::Green);
    assert!((judged.baseline.expect("it has one") - 0.3).abs() < 1e-9);
}

#[test]
fn of_several_lines_the_worst_counts_each_beside_its_own() {
    let named = |name: &str, value| Line { name: name.into(), ..line(&[value; 4]) };
    let each = MetricGate { each: true, ..gate() };
    let canary = Answer::Lines(vec![named("/cart", 100.0), named("/search", 160.0)]);
    let base = Answer::Lines(vec![named("/search", 100.0), named("/cart", 100.0)]);
    let found = judged(&each, QueryKind::Latency, canary.clone(), Some(base));
    assert_eq!((found.name.as_str(), found.light), ("errors /search", Light::Red));
    let half = Answer::Lines(vec![named("/cart", 100.0), named("/pay", 100.0)]);
    let found = judged(&each, QueryKind::Latency, canary, Some(half));
    assert_eq!((found.name.as_str(), found.light), ("errors /search", Light::Unknown));
}

#[test]
fn one_metric_can_be_held_against_another() {
    let tail = MetricGate {
        against: Against::Metric("p50".into()),
        roll_back_rise: Some(400.0),
        ..gate()
    };
    let light = |p99, p50| judged(&tail, QueryKind::Latency, flat(p99), Some(flat(p50))).light;
    assert_eq!(light(250.0, 50.0), Light::Green, "five times the middle");
    assert_eq!(light(251.0, 50.0), Light::Red);
}

/// Numbers that jump about as numbers do, from a generator of our own so that they never change.
fn noisy(middle: f64, width: f64, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    (0..40).map(|_| middle + width * (next() - 0.5)).collect()
}

#[test]
fn noise_does_not_decide_but_a_difference_does() {
    let with_last = |mut values: Vec<f64>, last: f64| {
        values.push(last);
        Answer::Lines(vec![line(&values)])
    };
    let base = || Some(with_last(noisy(0.30, 0.4, 1), 0.30));
    let spike = with_last(noisy(0.30, 0.4, 2), 0.48);
    let found = judged(&gate(), QueryKind::ErrorRate, spike, base());
    assert_eq!(found.light, Light::Green, "{found:?}");
    assert!(matches!(found.rule, Rule::Noise { limit, ranks } if limit == 10.0 && ranks.p > 0.05));
    let double = with_last(noisy(0.30, 0.4, 3), 0.75);
    let found = judged(&gate(), QueryKind::ErrorRate, double, base());
    assert_eq!(found.light, Light::Yellow, "by chance at most a hold: {found:?}");
    let worse = with_last(noisy(0.70, 0.4, 4), 0.75);
    let found = judged(&gate(), QueryKind::ErrorRate, worse, base());
    assert_eq!((found.light, found.rule), (Light::Red, Rule::Rise { limit: 100.0 }));
    // A limit of its own is a limit, whatever chance says.
    let own = MetricGate { roll_back_above: Some(0.7), hold_rise: Some(10.0), ..gate() };
    let double = with_last(noisy(0.30, 0.4, 3), 0.75);
    assert_eq!(judged(&own, QueryKind::ErrorRate, double, base()).light, Light::Red);
}

#[test]
fn the_rule_is_said_with_its_numbers() {
    let said = |rule: Rule| rule.to_string();
    assert_eq!(said(Rule::Rise { limit: 100.0 }), "more than 100 % above the baseline");
    assert_eq!(said(Rule::Below { limit: 0.5 }), "below 0.5");
    let ranks = Ranks { canary: 40, baseline: 41, p: 0.312 };
    assert_eq!(
        said(Rule::Noise { limit: 10.0, ranks }),
        "over 10 %, but no more than chance (rank test of 40 against 41 samples: p = 0.31)"
    );
    let why = Untold::Baseline { why: Box::new(Untold::NoData) };
    assert_eq!(said(Rule::Untold { why }), "cannot be told: the baseline: no data");
    let shown: Vec<_> =
        [0.0, 0.314_2, 0.03, 0.001_2, 3.15, 42.25, 187.4, 12_345.6, -0.5].map(number).into();
    assert_eq!(shown, ["0", "0.31", "0.03", "0.0012", "3.15", "42.2", "187", "12346", "-0.5"]);
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1e6..1e6f64,
        1 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
    ]
}

fn any_kind() -> impl Strategy<Value = QueryKind> {
    prop_oneof![
        Just(QueryKind::ErrorRate),
        Just(QueryKind::Latency),
        Just(QueryKind::Throughput),
        Just(QueryKind::ClientErrors),
        Just(QueryKind::Business),
        Just(QueryKind::Gauge),
    ]
}

proptest! {
    /// Whatever a source answers: green takes a number, and what it is compared with.
    #[test]
    fn green_takes_numbers(
        kind in any_kind(),
        canary in prop::collection::vec(any_number(), 0..6),
        baseline in prop::option::of(prop::collection::vec(any_number(), 0..6)),
        late in 0..300i64,
    ) {
        let mut mine = line(&canary);
        mine.points.iter_mut().for_each(|point| point.0 -= Duration::seconds(late));
        let base = baseline.as_ref().map(|values| Answer::Lines(vec![line(values)]));
        let found = judged(&gate(), kind, Answer::Lines(vec![mine]), base);
        if found.light == Light::Green {
            prop_assert!(canary.last().is_some_and(|value| value.is_finite()));
            prop_assert!(canary.iter().filter(|value| value.is_finite()).count() >= 3);
            prop_assert!(late <= 45);
            if Limits::of(&gate(), kind).compares() {
                let last = baseline.as_ref().and_then(|values| values.last());
                prop_assert!(last.is_some_and(|value| value.is_finite()));
            }
        }
    }

    /// The edges of every percentage, whatever the size of the numbers.
    #[test]
    fn an_edge_is_an_edge_at_every_size(
        size in -6..9i32,
        digits in 1.0..9.99f64,
        kind in prop_oneof![
            Just((QueryKind::ErrorRate, 10.0, 100.0)),
            Just((QueryKind::Latency, 20.0, 50.0)),
        ],
    ) {
        let baseline = digits * 10f64.powi(size);
        let at = |percent: f64| light(kind.0, baseline * (1.0 + percent / 100.0), baseline);
        prop_assert_eq!(at(kind.1), Light::Green);
        prop_assert_eq!(at(kind.1 + 0.001), Light::Yellow);
        prop_assert_eq!(at(kind.2), Light::Yellow);
        prop_assert_eq!(at(kind.2 + 0.001), Light::Red);
    }

    /// Worse is never judged better.
    #[test]
    fn worse_is_never_better(kind in prop_oneof![Just(QueryKind::ErrorRate), Just(QueryKind::Latency)],
        baseline in 0.001..1e6f64, one in 0.0..4.0f64, other in 0.0..4.0f64) {
        let (better, worse) = (one.min(other), one.max(other));
        prop_assert!(
            light(kind, baseline * better, baseline) <= light(kind, baseline * worse, baseline)
        );
    }
}
