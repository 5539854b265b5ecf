//! What the numbers mean for a rollout: go on, hold, or go back.
//!
//! **Invariant:** a stage with metrics goes on only while they are known to be green, or because
//! somebody who may has said so on record.

mod watched;

use chrono::Duration;

use super::agenda::Deadline;
use super::command::Number;
use super::decide::{Case, Decided};
use super::event::Happened;
use super::metric::{
    CI, Demands, Judged, Light, Line, Queries, Reading, Rule, Trace, Untold, baseline_of, judge,
    number,
};
use super::plan::{MetricGate, Strategy};
use super::policy::{Policy, Right};
use super::refusal::Refusal;
use super::rollout::may_wait;
use super::state::{Health, Phase, Release};
use super::time::{Span, Time};
use super::words;
pub use watched::{Watched, watched};

/// As it is, it is on record again after this long.
const ON_RECORD: Duration = Duration::minutes(5);

/// What got better is said only this long after something was said of it: what flaps is not news.
const CALM: Duration = Duration::minutes(2);

// ---------------------------------------------------------------------------------------------
// A measurement comes in

/// CI hands a number in. It is judged when it is measured: here it is only kept.
pub(super) fn report(case: &Case, number: &Number) -> Decided {
    let who = case.may(Right::Evidence)?;
    if case.release.phase.is_over() {
        return Err(case.wrong_phase("Numbers come too late for it."));
    }
    let names: Vec<_> = case.queries().from_ci().map(|(name, _)| name).collect();
    if !names.contains(&number.query.as_str()) {
        return Err(Refusal::UnknownName {
            what: format!("A number from CI called {}", words::excerpt(&number.query)),
            hint: match names.is_empty() {
                true => "There is no query with `source = \"ci\"`.".into(),
                false => format!("It takes {}.", words::and(&names)),
            },
        });
    }
    let all = [Some(number.value), number.baseline];
    if all.into_iter().flatten().any(|value| !value.is_finite()) {
        let hint = "What is no number cannot be judged: leave it out, and it holds.".into();
        return Err(Refusal::NothingToDo { hint });
    }
    if number.line.chars().count() > 100 {
        return Err(Refusal::TooLong { text: "The name of the line".into(), limit: 100 });
    }
    case.did(Happened::NumberReported { number: number.clone(), by: who.name() })
}

/// As many points as a line keeps, and as many lines as a number has.
const KEPT: usize = 200;
const MOST_LINES: usize = 50;

impl Case<'_> {
    fn queries(&self) -> Queries<'_> {
        self.release.queries(self.policy)
    }
}

impl Release {
    /// What an override has to name, where it is its numbers that hold it at its gate.
    pub fn held_by_numbers(&self) -> Option<String> {
        let Phase::AtGate { stage } = self.phase else { return None };
        let nobody_holds = self.held.as_ref().is_some_and(|hold| hold.by.is_none());
        let health = self.health.as_ref().filter(|health| health.stage == Some(stage));
        let is_green = health.is_some_and(|health| health.light == Light::Green);
        let own = !self.plan.stages[stage].metrics.is_empty() && self.unsettled().is_none();
        let name = obstacle(stage);
        (nobody_holds && own && !is_green && !self.is_overridden(&name)).then_some(name)
    }

    /// What it can be judged by.
    pub fn queries<'a>(&'a self, policy: &'a Policy) -> Queries<'a> {
        Queries::of(&self.plan, policy)
    }

    pub(super) fn keep_number(&mut self, number: &Number, at: Time) {
        let own = (number.query.clone(), Some(number.value));
        let base = (baseline_of(&number.query), number.baseline);
        for (name, value) in [own, base] {
            let Some(value) = value else { continue };
            let lines = self.numbers.entry(name).or_default();
            let place = lines.iter().position(|line| line.name == number.line);
            let place = place.unwrap_or_else(|| {
                if lines.len() == MOST_LINES {
                    lines.remove(0);
                }
                lines.push(Line { name: number.line.clone(), points: Vec::new() });
                lines.len() - 1
            });
            let points = &mut lines[place].points;
            if points.len() == KEPT {
                points.remove(0);
            }
            points.push((at, value));
        }
    }
}

/// It is on record if it says something new, if it decides, or if it is time again.
pub(super) fn measured(case: &Case, stage: Option<usize>, readings: &[Reading]) -> Decided {
    let policy = case.policy;
    let watched = watched(case.release, policy, case.now);
    let Some(watched) = watched.filter(|watched| watched.stage == stage) else {
        return Ok(Vec::new());
    };
    let queries = case.queries();
    let metrics = watched.gates.iter().map(|gate| {
        let query = queries.get(&gate.name);
        let reading = readings.iter().find(|reading| reading.name == gate.name);
        let demands = match query.as_ref().is_some_and(|query| query.source == CI) {
            true => Demands::of_ci(gate),
            false => Demands::of(gate, policy.timing.measure_every),
        };
        let judged = judge(gate, query.as_deref(), reading, demands, case.now);
        Judged { said: queries.said(&gate.name), ..judged }
    });
    let before = last_health(case, stage);
    let metrics: Vec<_> = metrics.map(|judged| lasting(judged, before, case)).collect();
    if !is_news(case, before, &metrics) {
        return Ok(Vec::new());
    }
    let traces = match is_worth_a_picture(case, before, &watched, &metrics) {
        true => traces(&watched, &metrics, readings, queries),
        false => Vec::new(),
    };
    record(case, stage, metrics, traces)
}

fn record(case: &Case, stage: Option<usize>, metrics: Vec<Judged>, traces: Vec<Trace>) -> Decided {
    let tell = is_worth_telling(last_health(case, stage), &metrics, case.now);
    case.did(Happened::Measured { stage, metrics, tell, traces })
}

/// What was seen is kept where it may decide, or says something new. Every five minutes the numbers
/// alone are enough.
fn is_worth_a_picture(
    case: &Case,
    before: Option<&Health>,
    watched: &Watched,
    metrics: &[Judged],
) -> bool {
    let lasted = |judged: &Judged| {
        let for_long = red_for(gate_of(&watched.gates, judged), case.policy);
        judged.red_since.is_some_and(|since| since + for_long <= case.now)
    };
    let is_new = before.is_none_or(|before| before.light != overall(metrics));
    is_new || may_open_the_gate(case, metrics) || metrics.iter().any(lasted)
}

fn traces(
    watched: &Watched,
    metrics: &[Judged],
    readings: &[Reading],
    queries: Queries<'_>,
) -> Vec<Trace> {
    let trace = |judged: &Judged| {
        let gate = gate_of(&watched.gates, judged)?;
        let query = queries.get(&gate.name)?;
        let reading = readings.iter().find(|reading| reading.name == gate.name)?;
        Trace::of(judged, gate, &query, reading)
    };
    metrics.iter().filter_map(trace).collect()
}

fn last_health<'a>(case: &Case<'a>, stage: Option<usize>) -> Option<&'a Health> {
    case.release.health.as_ref().filter(|health| health.stage == stage)
}

/// Between two measurements that confirm each other: a few of the policy's periods, and what slow
/// sources take to answer.
fn longest_gap(policy: &Policy) -> Duration {
    policy.timing.measure_every.duration() * 3 + Duration::seconds(30)
}

/// Red goes on from when it began, unless nobody looked in between. While it is red each
/// measurement is on record.
fn lasting(judged: Judged, before: Option<&Health>, case: &Case) -> Judged {
    if judged.light != Light::Red {
        return judged;
    }
    let longest = longest_gap(case.policy);
    let unbroken = before.filter(|health| case.now - health.at <= longest);
    let same =
        unbroken.and_then(|health| health.metrics.iter().find(|other| other.name == judged.name));
    let since = same.and_then(|other| other.red_since).unwrap_or(case.now);
    Judged { red_since: Some(since), ..judged }
}

fn is_news(case: &Case, before: Option<&Health>, metrics: &[Judged]) -> bool {
    let Some(before) = before else { return true };
    let lights = |metrics: &[Judged]| {
        metrics.iter().map(|judged| (judged.name.clone(), judged.light)).collect::<Vec<_>>()
    };
    may_open_the_gate(case, metrics)
        || overall(metrics) == Light::Red && case.release.red.is_none()
        || lights(&before.metrics) != lights(metrics)
        || case.now - before.at >= ON_RECORD
}

fn may_open_the_gate(case: &Case, metrics: &[Judged]) -> bool {
    match case.release.phase {
        Phase::AtGate { stage } => {
            // Where there are days to decide in, only green decides before they are over.
            let waits = may_wait(case.release, stage) && overall(metrics) != Light::Green;
            let asked = case.release.advance_asked.contains(&stage);
            case.release.held.is_none() && !asked && !waits
        }
        Phase::CountingDown
        | Phase::Ready
        | Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::Watching
        | Phase::Done
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => false,
    }
}

fn is_worth_telling(before: Option<&Health>, metrics: &[Judged], now: Time) -> bool {
    let light = overall(metrics);
    match before.and_then(|health| health.told) {
        // What has only just begun is not known yet: that is no news.
        None if light == Light::Unknown => !metrics.iter().all(is_young),
        None => light != Light::Green,
        Some((told, at)) => light != told && (light > told || now - at >= CALM),
    }
}

fn is_young(judged: &Judged) -> bool {
    match &judged.rule {
        Rule::Untold { why } => why.is_young(),
        Rule::Within
        | Rule::Above { .. }
        | Rule::Below { .. }
        | Rule::Rise { .. }
        | Rule::Fall { .. }
        | Rule::Noise { .. } => judged.light == Light::Green,
    }
}

pub fn overall(metrics: &[Judged]) -> Light {
    metrics.iter().map(|judged| judged.light).max().unwrap_or(Light::Unknown)
}

// ---------------------------------------------------------------------------------------------
// What follows

/// How long a metric has to be red.
fn red_for(gate: Option<&MetricGate>, policy: &Policy) -> Duration {
    let own = gate.and_then(|gate| gate.lasting);
    own.unwrap_or(policy.timing.red_for).duration()
}

/// The metric of this name, with its line's own name left out.
fn gate_of<'a>(gates: &'a [MetricGate], judged: &Judged) -> Option<&'a MetricGate> {
    gates.iter().find(|gate| is_of(judged, &gate.name))
}

fn is_of(judged: &Judged, gate: &str) -> bool {
    let rest = judged.name.strip_prefix(gate);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// When the first metric that is red will have been so for long enough.
fn red_lasts_at(release: &Release, policy: &Policy) -> Option<Time> {
    let health = release.health.as_ref()?;
    let watched = watched(release, policy, health.at).filter(|it| it.stage == health.stage)?;
    let at = |judged: &Judged| {
        Some(judged.red_since? + red_for(gate_of(&watched.gates, judged), policy))
    };
    health.metrics.iter().filter_map(at).min()
}

/// When red that is not known to have lasted has to be seen again: whoever moves a clock instead of
/// waiting measures then.
pub fn looks_again_at(release: &Release, policy: &Policy) -> Option<Time> {
    if release.red.is_some() || is_held_by_a_person(release) {
        return None;
    }
    red_lasts_at(release, policy)?;
    let seen = release.health.as_ref()?.at;
    Some(seen + policy.timing.measure_every.duration())
}

/// When what has only just begun to be measured has its next sample, and when a gate sees whether its
/// light lasts: whoever moves a clock instead of waiting measures then, too.
pub fn next_sample_at(release: &Release, policy: &Policy, now: Time) -> Option<Time> {
    let watched = watched(release, policy, now)?;
    if release.held.is_some() {
        return None;
    }
    let health = release.health.as_ref().filter(|health| health.stage == watched.stage);
    let begins = health
        .is_none_or(|health| health.light == Light::Unknown && health.metrics.iter().all(is_young));
    let settles = health.is_some_and(|health| health.light != Light::Unknown)
        && matches!(release.phase, Phase::AtGate { stage }
            if gate(release, stage, policy, now) == Gate::Wait);
    (begins || settles).then(|| now + policy.timing.measure_every.duration())
}

/// Red that has lasted rolls back or calls somebody; what nobody vetoed is rolled back.
pub(super) fn follow(release: &Release, policy: &Policy, now: Time) -> Option<Happened> {
    if !release.phase.is_rolling_out() && release.phase != Phase::Watching {
        return None;
    }
    if let Some(red) = &release.red {
        return red.roll_back_at.filter(|at| *at <= now).and_then(|_| rolls_back(release));
    }
    // Whoever holds it has looked, and decides.
    if release.held.as_ref().is_some_and(|hold| hold.by.is_some()) {
        return None;
    }
    // As far as it was seen to last: what time passes unmeasured confirms nothing.
    let seen = release.health.as_ref().map(|health| health.at);
    let lasted =
        red_lasts_at(release, policy).is_some_and(|at| seen.is_some_and(|seen| at <= seen));
    lasted.then(|| turned_red(release, why_red(release, policy), None, now))
}

fn turned_red(
    release: &Release,
    why: String,
    by: Option<super::ids::PersonId>,
    now: Time,
) -> Happened {
    let plan = release.plan.rollback.as_ref().filter(|plan| plan.automatic);
    let roll_back_at = plan.map(|plan| now + plan.veto.unwrap_or_default().duration());
    Happened::TurnedRed { why, by, roll_back_at }
}

fn rolls_back(release: &Release) -> Option<Happened> {
    let red = release.red.as_ref()?;
    Some(Happened::RollbackAsked {
        from: release.plan.release.version.clone(),
        to: release.plan.rollback.as_ref()?.to.clone(),
        by: red.by.clone(),
        reason: Some(red.why.clone()),
    })
}

/// A person declares red what no metric shows: data that is wrong, a hole, a wave of complaints.
pub(super) fn declare(case: &Case, reason: &str) -> Decided {
    let by = case.named()?;
    super::poll::not_too_long("The reason", reason)?;
    if reason.trim().is_empty() {
        return Err(Refusal::NeedsReason);
    }
    let release = case.release;
    if !release.phase.is_rolling_out() && release.phase != Phase::Watching {
        return Err(case.wrong_phase("There is nothing live to declare red."));
    }
    if let Some(red) = &release.red {
        return super::decide::already(release, "red", format!("It is red already: {}.", red.why));
    }
    case.did(turned_red(release, reason.to_owned(), Some(by), case.now))
}

/// Back to the share of the stage before: its action once more. Then it waits for a person, since
/// whatever was wrong is not mended.
pub(super) fn step_back(case: &Case) -> Decided {
    let by = case.person_may(Right::Rollback)?;
    let release = case.release;
    match release.plan.release.strategy {
        Strategy::Canary | Strategy::BlueGreen | Strategy::FeatureFlag => {}
        Strategy::Direct | Strategy::Recreate | Strategy::Rolling => {
            let hint = "The stages of this strategy replace what runs, so that only `rollback` \
                        takes them back.";
            return Err(Refusal::NothingToDo { hint: hint.into() });
        }
    }
    let stage = match release.phase {
        Phase::Soaking { stage, .. } | Phase::AtGate { stage } => stage,
        Phase::Deploying { .. } => {
            return Err(case.wrong_phase("A step is running: wait for it, or roll back."));
        }
        Phase::CountingDown
        | Phase::Ready
        | Phase::Watching
        | Phase::Done
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => {
            return Err(case.wrong_phase("There is no stage to step back from."));
        }
    };
    if stage == 0 {
        let hint = "This is the first stage: to take it back as well, `rollback`.".into();
        return Err(Refusal::NothingToDo { hint });
    }
    case.did(Happened::SteppedBack { from: stage, to: stage - 1, by })
}

// ---------------------------------------------------------------------------------------------
// The gate

/// Whether the numbers let the rollout go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Not yet.
    Wait,
    /// No, and why.
    Shut(String),
}

/// The name under which `override` takes the numbers of a stage.
pub fn obstacle(stage: usize) -> String {
    format!("metrics-{}", stage + 1)
}

pub fn gate(release: &Release, stage: usize, policy: &Policy, now: Time) -> Gate {
    let plan = &release.plan.stages[stage];
    if plan.metrics.is_empty() || release.is_overridden(&obstacle(stage)) {
        return Gate::Open;
    }
    let timing = &policy.timing;
    let late = now - release.waiting_since() >= timing.no_data.duration();
    let health = release.health.as_ref().filter(|health| health.stage == Some(stage));
    // What was green when the soak began says nothing of how it ended.
    let Some(health) = health.filter(|health| health.at >= release.phase_since) else {
        return if late { Gate::Shut("nothing was measured".into()) } else { Gate::Wait };
    };
    let lasts = now - health.since >= timing.green_for.duration();
    // As far as it was seen to last: what time passes unmeasured opens nothing. While it is held, and
    // once it has asked to go on, what stays the same is not on record each time.
    let on_record = release.held.is_none() && !release.advance_asked.contains(&stage);
    let seen = if on_record { health.at } else { now };
    let seen_to_last = seen - health.since >= timing.green_for.duration();
    let given_up = now - health.since >= timing.no_data.duration();
    match health.light {
        Light::Green if seen_to_last => Gate::Open,
        Light::Red | Light::Yellow if lasts => Gate::Shut(why_not(health, policy)),
        Light::Unknown if given_up => Gate::Shut(why_not(health, policy)),
        Light::Unknown if late && lasts => Gate::Shut(why_not(health, policy)),
        Light::Green | Light::Yellow | Light::Unknown | Light::Red if late => {
            Gate::Shut("the numbers do not settle".into())
        }
        Light::Green | Light::Yellow | Light::Unknown | Light::Red => Gate::Wait,
    }
}

/// What keeps a person from advancing.
pub(super) fn not_green(case: &Case, stage: usize) -> Result<(), Refusal> {
    match gate(case.release, stage, case.policy, case.now) {
        Gate::Open => Ok(()),
        Gate::Wait => Err(Refusal::NotGreen {
            why: "the numbers are not known to be green yet".into(),
            hint: "Wait for the next measurement.".into(),
        }),
        Gate::Shut(why) => Err(Refusal::NotGreen {
            why,
            hint: format!("To go on regardless: `override {} \"why\"`.", obstacle(stage)),
        }),
    }
}

// ---------------------------------------------------------------------------------------------
// In words

fn why_red(release: &Release, policy: &Policy) -> String {
    let health = release.health.as_ref();
    health.map(|health| words_of(health, Light::Red, policy)).unwrap_or_default()
}

fn why_not(health: &Health, policy: &Policy) -> String {
    words_of(health, health.light, policy)
}

fn words_of(health: &Health, light: Light, policy: &Policy) -> String {
    let worst = health.metrics.iter().filter(|judged| judged.light == light);
    let said: Vec<_> = worst.map(|judged| in_words(judged, policy)).collect();
    words::and(&said)
}

/// `Error rate 3.1 % (baseline 0.3 %), more than 100 % above the baseline`.
pub fn in_words(judged: &Judged, policy: &Policy) -> String {
    let title = title(judged, policy);
    match (&judged.rule, judged.value) {
        (Rule::Untold { why }, _) => format!("{title} cannot be told: {why}"),
        (rule, Some(value)) => {
            let unit = unit(judged, policy);
            let base = judged.baseline;
            let base = base.map(|base| format!(" (baseline {}{unit})", number(base)));
            let base = base.unwrap_or_default();
            format!("{title} {}{unit}{base}, {rule}", number(value))
        }
        (rule, None) => format!("{title} {rule}"),
    }
}

/// `Error rate 0.31 % (baseline 0.30 %, +3 %)`: with what it is compared with, without a word on
/// limits, unless nobody can tell.
pub fn brief(judged: &Judged, policy: &Policy) -> String {
    let title = title(judged, policy);
    let unit = unit(judged, policy);
    if let Rule::Untold { why } = &judged.rule {
        return format!("{title}: {why}");
    }
    let Some(value) = judged.value else { return format!("{title}: {}", judged.rule) };
    let shown = format!("{title} {}{unit}", number(value));
    match (judged.baseline, judged.change()) {
        (Some(base), Some(change)) => {
            format!("{shown} (baseline {}{unit}, {})", number(base), percent(change))
        }
        (Some(base), None) => format!("{shown} (baseline {}{unit})", number(base)),
        (None, _) => shown,
    }
}

/// `+3 %`, with a minus as wide as the plus.
pub fn percent(change: f64) -> String {
    let sign = if change < 0.0 { '−' } else { '+' };
    let size = change.abs();
    format!("{sign}{} %", number(if size < 1.0 { size } else { size.round() }))
}

/// `p95 187 ms (−1 %)`: where there is room for little.
pub fn short(judged: &Judged, policy: &Policy) -> String {
    let whole = brief(judged, policy);
    match (whole.split_once(" (baseline "), judged.change()) {
        (Some((shown, rest)), Some(_)) => {
            let change = rest.rsplit_once(", ").map_or(rest, |(_, change)| change);
            format!("{shown} ({change}")
        }
        (Some(_) | None, Some(_) | None) => whole,
    }
}

fn query<'a>(judged: &Judged, policy: &'a Policy) -> Option<(&'a str, &'a super::metric::Query)> {
    let found = policy.queries.iter().find(|(name, _)| is_of(judged, name));
    found.map(|(name, query)| (name.as_str(), query))
}

pub fn title(judged: &Judged, policy: &Policy) -> String {
    match (&judged.said, query(judged, policy)) {
        // Of several lines the name of each comes behind that of the query.
        (Some(said), _) => {
            let line = judged.name.split_once(' ').map(|(_, line)| format!(" {line}"));
            format!("{}{}", said.title, line.unwrap_or_default())
        }
        (None, Some((name, query))) => format!("{}{}", query.title, &judged.name[name.len()..]),
        (None, None) => judged.name.clone(),
    }
}

/// With the space before it.
pub fn unit(judged: &Judged, policy: &Policy) -> String {
    let unit = match &judged.said {
        Some(said) => said.unit.as_str(),
        None => query(judged, policy).map_or("", |(_, query)| query.unit.as_str()),
    };
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

// ---------------------------------------------------------------------------------------------
// Time

/// What time asks for while numbers are watched.
pub(super) fn agenda(release: &Release, policy: &Policy) -> Vec<(Time, Deadline)> {
    let mut list = Vec::new();
    let rolls = release.red.as_ref().and_then(|red| red.roll_back_at);
    let live = release.phase.is_rolling_out() || release.phase == Phase::Watching;
    if let Some(at) = rolls.filter(|_| live) {
        list.push((at, Deadline::RollBackRed));
    }
    let seen = release.health.as_ref().map_or(release.phase_since, |health| health.at);
    let Some(watched) = watched(release, policy, seen) else { return list };
    let pace = policy.timing.measure_every;
    if release.red.is_none() && !is_held_by_a_person(release) {
        // Whoever measures decides before that, unless nobody measures any more.
        let lasts = red_lasts_at(release, policy).map(|at| at + pace.duration() * 3);
        list.extend(lasts.map(|at| (at, Deadline::RedLasts)));
    }
    list.extend(untold_at(release, &watched, policy).map(|at| (at, Deadline::HoldUntold)));
    list
}

fn is_held_by_a_person(release: &Release) -> bool {
    release.held.as_ref().is_some_and(|hold| hold.by.is_some())
}

/// When it is held because nobody can tell.
fn untold_at(release: &Release, watched: &Watched, policy: &Policy) -> Option<Time> {
    if release.held.is_some() || release.red.is_some() {
        return None;
    }
    let patience = policy.timing.no_data.duration();
    let health = release.health.as_ref().filter(|health| health.stage == watched.stage);
    let Some(health) = health else {
        return Some(watched.since.max(release.waiting_since()) + patience);
    };
    if let Phase::AtGate { stage } = release.phase {
        if may_wait(release, stage) {
            return None;
        }
        let asked = release.advance_asked.contains(&stage);
        let open = release.is_overridden(&obstacle(stage));
        return (!asked && !open).then(|| release.waiting_since() + patience);
    }
    let unknown = health.light == Light::Unknown;
    unknown.then(|| health.since.max(release.waiting_since()) + patience)
}

pub(super) fn roll_back_red(case: &Case) -> Decided {
    match follow(case.release, case.policy, case.now) {
        Some(did @ Happened::RollbackAsked { .. }) => case.did(did),
        Some(_) | None => Ok(Vec::new()),
    }
}

/// It was red and nobody has looked since: nobody can tell.
pub(super) fn red_lasts(case: &Case) -> Decided {
    let Some(watched) = watched(case.release, case.policy, case.now) else {
        return Ok(Vec::new());
    };
    let gone = |gate: &MetricGate| Judged {
        name: gate.name.clone(),
        light: Light::Unknown,
        rule: Rule::Untold { why: Untold::NotMeasured },
        value: None,
        baseline: None,
        samples: 0,
        red_since: None,
        said: case.queries().said(&gate.name),
    };
    record(case, watched.stage, watched.gates.iter().map(gone).collect(), Vec::new())
}

pub(super) fn hold_untold(case: &Case) -> Decided {
    let release = case.release;
    if release.held.is_some() {
        return Ok(Vec::new());
    }
    let watched = watched(release, case.policy, case.now);
    let stage = watched.and_then(|watched| watched.stage);
    let health = release.health.as_ref().filter(|health| health.stage == stage);
    let why = match (release.phase, health) {
        (Phase::AtGate { stage }, _) => match gate(release, stage, case.policy, case.now) {
            Gate::Shut(why) => why,
            Gate::Open | Gate::Wait => "the numbers do not settle".into(),
        },
        (_, Some(health)) => why_not(health, case.policy),
        (_, None) => "nothing was measured".into(),
    };
    case.did(Happened::Held { reason: why, by: None })
}

impl Release {
    /// Since when it waits for what it waits for: a resume begins anew.
    pub fn waiting_since(&self) -> Time {
        self.resumed_at.map_or(self.phase_since, |resumed| resumed.max(self.phase_since))
    }
}

/// How long somebody may stop an automatic rollback, in words for the documents.
pub fn veto(plan: &super::plan::RollbackPlan) -> Option<Span> {
    plan.automatic.then(|| plan.veto.unwrap_or_default())
}

#[cfg(test)]
mod tests;
