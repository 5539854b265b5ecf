//! The numbers of the sample release, and what becomes of it.

use super::super::command::{Command, Commitment, RunOutcome};
use super::super::effect::{Effect, Target};
use super::super::event::Event;
use super::super::fixture::{World, id, plan};
use super::super::metric::{Answer, Reading};
use super::super::notice::NoticeKind;
use super::super::plan::{Advance, Plan};
use super::*;

const GREEN: &[(&str, f64, f64)] = &[("errors", 0.31, 0.30)];
const YELLOW: &[(&str, f64, f64)] = &[("errors", 0.42, 0.30)];
const RED: &[(&str, f64, f64)] = &[("errors", 3.1, 0.30)];

/// Pod 1 carries traffic, soaks for ten minutes and is judged by its errors.
fn gated() -> Plan {
    let mut plan = plan();
    plan.release.strategy = Strategy::Canary;
    let errors = MetricGate {
        name: "errors".into(),
        lasting: Some(Span::minutes(2)),
        ..MetricGate::default()
    };
    plan.stages[1].metrics = vec![errors];
    plan
}

fn automatic(veto: Option<Span>) -> Plan {
    let mut plan = gated();
    let back = plan.rollback.as_mut().expect("the sample has one");
    (back.automatic, back.veto) = (true, veto);
    plan
}

fn soaking(plan: Plan) -> World {
    World::soaking_with(plan)
}

/// Measured every 15 seconds for so long.
fn lasts(world: &mut World, numbers: &[(&str, f64, f64)], length: Duration) {
    let end = world.now + length;
    while world.now < end {
        world.after(Duration::seconds(15));
        world.measures(numbers);
    }
}

/// The soak is over and its check has passed.
fn at_gate(plan: Plan, numbers: &[(&str, f64, f64)]) -> World {
    let mut world = soaking(plan);
    lasts(&mut world, numbers, Duration::minutes(10));
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    world.run_ends(2, RunOutcome::Worked);
    world
}

fn held(world: &World) -> Option<&str> {
    world.release().held.as_ref().map(|hold| hold.reason.as_str())
}

fn refused(events: &[Event]) -> String {
    let refusal = events.iter().find_map(|event| {
        let Happened::Refused { why, .. } = event.of_release()?.1 else { return None };
        Some(why.to_string())
    });
    refusal.expect("it is refused")
}

fn measured(world: &World) -> usize {
    let is_measured = |event: &Event| {
        event.of_release().is_some_and(|(_, did)| matches!(did, Happened::Measured { .. }))
    };
    world.log.iter().filter(|(_, _, event)| is_measured(event)).count()
}

fn numbers_told(world: &World) -> Vec<String> {
    let told = world.notices().filter_map(|notice| {
        let NoticeKind::Numbers { light, .. } = &notice.kind else { return None };
        Some(light.clone())
    });
    told.collect()
}

#[test]
fn a_stage_goes_on_by_itself_on_green_and_by_nothing_else() {
    let mut world = soaking(gated());
    lasts(&mut world, GREEN, Duration::seconds(585));
    world.after(Duration::seconds(15));
    world.run_ends(2, RunOutcome::Worked);
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 }, "it is measured once more");
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
    assert_eq!(numbers_told(&world), [""; 0], "green all along is not news");
}

#[test]
fn what_is_measured_is_on_record_when_it_changes_when_it_decides_and_every_five_minutes() {
    let mut world = soaking(gated());
    lasts(&mut world, GREEN, Duration::seconds(285));
    assert_eq!(measured(&world), 1);
    lasts(&mut world, GREEN, Duration::seconds(30));
    assert_eq!(measured(&world), 2, "after five minutes");
    lasts(&mut world, YELLOW, Duration::seconds(60));
    assert_eq!(measured(&world), 3, "it changed");
    lasts(&mut world, RED, Duration::seconds(60));
    assert_eq!(measured(&world), 7, "red may decide at any time");
}

#[test]
fn yellow_at_the_gate_is_held_with_its_numbers_and_goes_on_when_it_is_green_again() {
    let mut world = at_gate(gated(), YELLOW);
    world.measures(YELLOW);
    let reason = "Error rate 0.42 % (baseline 0.3 %), more than 10 % above the baseline";
    assert_eq!(held(&world), Some(reason));
    let no = refused(&world.by("maria", Command::Resume { release: id() }));
    assert!(no.contains(reason) && no.contains("override metrics-2"), "{no}");
    lasts(&mut world, GREEN, Duration::seconds(90));
    assert_eq!(numbers_told(&world), ["yellow", "green"]);
    assert!(held(&world).is_some(), "a person lifts a hold");
    world.by("maria", Command::Resume { release: id() });
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

#[test]
fn whoever_may_goes_on_against_the_numbers_and_it_is_on_record() {
    let mut world = at_gate(gated(), YELLOW);
    world.measures(YELLOW);
    let command = |obstacle: &str| Command::Override {
        release: id(),
        obstacle: obstacle.into(),
        reason: "a known bug of the old version".into(),
    };
    assert!(refused(&world.by("ann", command("metrics-2"))).contains("override"));
    assert!(refused(&world.by("maria", command("freeze"))).contains("metrics-2"));
    world.by("maria", command("metrics-2"));
    world.by("maria", Command::Resume { release: id() });
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

#[test]
fn a_person_does_not_advance_what_is_not_green() {
    let mut plan = gated();
    plan.stages[1].advance = Advance::Manual;
    let mut world = at_gate(plan, GREEN);
    world.measures(GREEN);
    assert!(world.release().advance_asked.contains(&1), "asked while it was green");
    world.after(Duration::minutes(1));
    world.measures(YELLOW);
    world.after(Duration::minutes(1));
    world.measures(YELLOW);
    let advance = || Command::Advance { release: id(), commits: Commitment::default() };
    let no = refused(&world.by("maria", advance()));
    assert!(no.contains("Error rate 0.42 %"), "{no}");
    lasts(&mut world, GREEN, Duration::minutes(2));
    world.by("maria", advance());
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

#[test]
fn red_that_lasts_rolls_back_by_itself_where_the_plan_says_so() {
    let mut world = soaking(automatic(None));
    lasts(&mut world, RED, Duration::seconds(120));
    assert!(world.release().phase.is_rolling_out(), "red for less than its two minutes");
    lasts(&mut world, RED, Duration::seconds(15));
    assert_eq!(world.release().phase, Phase::RollingBack);
    let back = world.release().rollback.as_ref().expect("it goes back");
    assert_eq!(back.by, None);
    let why = back.reason.as_deref().expect("it says why");
    assert!(why.starts_with("Error rate 3.1 % (baseline 0.3 %)"), "{why}");
}

#[test]
fn red_that_comes_and_goes_does_not_roll_back() {
    let mut world = soaking(automatic(None));
    for _ in 0..4 {
        lasts(&mut world, RED, Duration::seconds(105));
        lasts(&mut world, GREEN, Duration::seconds(15));
    }
    assert!(world.release().phase.is_rolling_out());
    assert!(numbers_told(&world).len() <= 6, "what flaps is not told each time");
}

#[test]
fn a_hold_stops_what_would_roll_back_by_itself() {
    let mut world = soaking(automatic(Some(Span::minutes(3))));
    lasts(&mut world, RED, Duration::seconds(135));
    let red = world.release().red.as_ref().expect("it has lasted");
    assert_eq!(red.roll_back_at, Some(world.now + Duration::minutes(3)));
    world.by("jane", Command::Hold { release: id(), reason: "it is the monitoring".into() });
    lasts(&mut world, RED, Duration::minutes(10));
    assert!(world.release().phase.is_rolling_out(), "somebody has it in hand");
    world.by("maria", Command::Resume { release: id() });
    lasts(&mut world, RED, Duration::seconds(15));
    world.after(Duration::minutes(4));
    assert_eq!(world.release().phase, Phase::RollingBack, "and has it no longer");
}

#[test]
fn what_recovers_within_the_window_is_not_rolled_back() {
    let mut world = soaking(automatic(Some(Span::minutes(3))));
    lasts(&mut world, RED, Duration::seconds(135));
    assert!(world.release().red.is_some());
    lasts(&mut world, GREEN, Duration::minutes(4));
    assert!(world.release().red.is_none() && world.release().rollback.is_none());
}

#[test]
fn without_it_red_is_held_and_on_call_is_asked() {
    let mut world = soaking(gated());
    lasts(&mut world, RED, Duration::seconds(135));
    assert!(held(&world).is_some_and(|why| why.starts_with("Error rate 3.1 %")));
    let told = world.notices().filter(|notice| {
        let NoticeKind::TurnedRed { roll_back_at: None, people, .. } = &notice.kind else {
            return false;
        };
        people.iter().any(|person| person.name == "john")
    });
    assert_eq!(told.count(), 2, "the room and the incident channel");
    world.after(Duration::minutes(6));
    assert!(world.release().held.as_ref().is_some_and(|hold| hold.escalated == 1));
}

#[test]
fn silence_is_held_and_says_so() {
    let gone = |world: &mut World| {
        let canary = Answer::Nothing { why: "Prometheus cannot be reached".into() };
        world.reads(vec![Reading { name: "errors".into(), canary, baseline: None }]);
    };
    let mut world = soaking(gated());
    world.measures(GREEN);
    world.after(Duration::seconds(15));
    gone(&mut world);
    world.after(Duration::minutes(4));
    assert_eq!(held(&world), None);
    world.after(Duration::minutes(1));
    assert_eq!(held(&world), Some("Error rate cannot be told: Prometheus cannot be reached"));
}

#[test]
fn a_release_that_nobody_measures_is_held() {
    let mut world = soaking(gated());
    world.after(Duration::minutes(5));
    assert_eq!(held(&world), Some("nothing was measured"));
}

#[test]
fn red_that_nobody_looks_at_any_more_is_not_known_to_be_red() {
    let mut world = soaking(automatic(None));
    lasts(&mut world, RED, Duration::seconds(60));
    world.after(Duration::minutes(3));
    let health = world.release().health.as_ref().expect("it was measured");
    assert_eq!(health.light, Light::Unknown);
    assert!(world.release().rollback.is_none());
}

#[test]
fn numbers_that_do_not_settle_hold_the_gate() {
    let mut world = soaking(gated());
    for _ in 0..31 {
        lasts(&mut world, YELLOW, Duration::seconds(15));
        lasts(&mut world, GREEN, Duration::seconds(15));
        if world.release().running().next().is_some() {
            world.run_ends(1, RunOutcome::Worked);
        }
    }
    assert_eq!(held(&world), Some("the numbers do not settle"));
}

#[test]
fn a_person_declares_red_what_no_number_shows() {
    let red = |reason: &str| Command::DeclareRed { release: id(), reason: reason.into() };
    let mut world = soaking(automatic(Some(Span::minutes(2))));
    refused(&world.by("quinn", red(" ")));
    world.by("quinn", red("orders are written twice"));
    lasts(&mut world, GREEN, Duration::seconds(60));
    assert!(world.release().red.is_some(), "green numbers do not take a person's word back");
    world.after(Duration::minutes(2));
    assert_eq!(world.release().phase, Phase::RollingBack);
    let by = world.release().rollback.as_ref().and_then(|back| back.by.clone());
    assert_eq!(by, Some("quinn".into()));
    let mut early = World::scheduled();
    refused(&early.by("quinn", red("too early")));
}

#[test]
fn a_step_back_runs_the_stage_before_once_more_and_waits_there() {
    let mut plan = gated();
    plan.stages[1].metrics.clear();
    let mut world = soaking(plan);
    world.after(Duration::minutes(10));
    for seconds in [2, 40] {
        world.run_ends(seconds, RunOutcome::Worked);
    }
    assert!(matches!(world.release().phase, Phase::Soaking { stage: 2, .. }));
    refused(&world.by("quinn", Command::StepBack { release: id() }));
    world.by("maria", Command::StepBack { release: id() });
    assert_eq!(world.release().phase, Phase::Deploying { stage: 1 });
    world.run_ends(40, RunOutcome::Worked);
    assert!(matches!(world.release().phase, Phase::Soaking { stage: 1, .. }));
    world.after(Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    assert_eq!(held(&world), Some("it was taken back to Pod 1"));
    world.by("maria", Command::Resume { release: id() });
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

#[test]
fn what_is_watched_after_the_rollout_calls_somebody_when_it_turns_red() {
    let mut plan = plan();
    let metric = Metric {
        name: "Memory".into(),
        query: Some("memory".into()),
        unit: "%".into(),
        warning: Some(80.0),
        critical: Some(90.0),
    };
    plan.monitoring.metrics = vec![metric];
    let mut world = World::rolled_out_with(plan);
    world.measures(&[("memory", 70.0, 70.0)]);
    lasts(&mut world, &[("memory", 93.0, 70.0)], Duration::seconds(90));
    assert_eq!(held(&world), Some("Memory 93 %, above 90"));
}

// ---------------------------------------------------------------------------------------------
// Time to decide

fn unhurried() -> Plan {
    let mut plan = gated();
    plan.stages[1].decide_by = Some(Span::hours(1));
    plan
}

#[test]
fn within_its_time_to_decide_a_stage_waits_for_green_and_then_goes_on_by_itself() {
    let mut world = at_gate(unhurried(), YELLOW);
    lasts(&mut world, YELLOW, Duration::minutes(30));
    assert_eq!(held(&world), None, "there is time");
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    let before = measured(&world);
    lasts(&mut world, YELLOW, Duration::minutes(5));
    assert!(measured(&world) <= before + 1, "what does not change fills no log");
    lasts(&mut world, GREEN, Duration::minutes(2));
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

#[test]
fn when_its_time_to_decide_is_over_the_captain_is_asked_once_and_it_is_held() {
    let mut world = at_gate(unhurried(), YELLOW);
    lasts(&mut world, YELLOW, Duration::minutes(55));
    let asked = |world: &World| {
        let kinds = world.notices().map(|notice| &notice.kind);
        kinds
            .filter(|kind| matches!(kind, NoticeKind::AdvanceWanted { soaked_ms: Some(_), .. }))
            .count()
    };
    let before = asked(&world);
    assert_eq!(before, 2, "the room, and the captain in private");
    assert!(held(&world).is_some_and(|why| why.contains("Error rate")), "{:?}", held(&world));
    lasts(&mut world, YELLOW, Duration::minutes(20));
    assert_eq!(asked(&world), before);
}

#[test]
fn who_has_to_approve_is_asked_in_private_and_what_is_still_missing_is_said() {
    let mut plan = gated();
    plan.stages[1].advance = Advance::Manual;
    plan.stages[1].approvers = vec!["product".into(), "support".into()];
    let mut world = at_gate(plan, GREEN);
    lasts(&mut world, GREEN, Duration::minutes(2));
    let asked = world.effects.iter().filter_map(|effect| {
        let Effect::Say { to: Target::Person { person, .. }, notice } = effect else { return None };
        let wanted = matches!(notice.kind, NoticeKind::AdvanceWanted { .. });
        wanted.then(|| person.to_string())
    });
    assert_eq!(asked.collect::<Vec<_>>(), ["paula", "sam"]);
    let commits = Commitment::default;
    refused(&world.by("quinn", Command::Advance { release: id(), commits: commits() }));
    world.by("paula", Command::Advance { release: id(), commits: commits() });
    let said = world.notices().filter_map(|notice| {
        let NoticeKind::Update { text, .. } = &notice.kind else { return None };
        Some(text.clone())
    });
    assert!(said.last().is_some_and(|text| text.contains("still has to")));
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    world.by("sam", Command::Advance { release: id(), commits: commits() });
    lasts(&mut world, GREEN, Duration::minutes(1));
    assert_ne!(world.release().phase, Phase::AtGate { stage: 1 });
}
