//! The numbers of the sample release, and what becomes of it.

use super::super::command::{Command, Commitment, RunOutcome};
use super::super::effect::{Effect, Target};
use super::super::event::Event;
use super::super::fixture::{World, id, plan};
use super::super::metric::{Answer, Reading};
use super::super::notice::{Notice, NoticeKind};
use super::super::plan::{Advance, Metric, Plan};
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

/// Green at a quarter past ten, and to go on by itself at ten, or in the afternoon.
fn out_of_hours() -> World {
    let mut plan = gated();
    plan.release.advance_within = Some("Mon–Fri 10–10:10, Mon–Fri 14–16".parse().expect("hours"));
    let mut world = at_gate(plan, GREEN);
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    world
}

#[test]
fn what_is_green_out_of_hours_says_so_once_and_goes_on_when_they_begin() {
    let mut world = out_of_hours();
    let begin = crate::domain::fixture::time("2026-12-15T22:00:00Z");
    assert_eq!(world.release().goes_on_at, Some(begin), "14:00 in Los Angeles");
    let wanted = |world: &World| {
        let wanted = world.notices().filter(|notice| {
            matches!(&notice.kind, NoticeKind::AdvanceWanted { goes_on_at: Some(at), .. } if *at == begin)
        });
        wanted.count()
    };
    assert_eq!(wanted(&world), 1);
    let before = measured(&world);
    lasts(&mut world, GREEN, Duration::hours(2));
    assert_eq!(measured(&world), before + 24, "every five minutes, and not each");
    assert_eq!(wanted(&world), 1);
    let prompts = |notice: &Notice| matches!(notice.kind, NoticeKind::SilencePrompt { .. });
    assert!(!world.notices().any(prompts), "nobody is asked for news meanwhile");
    let rest = begin - world.now - Duration::seconds(20);
    lasts(&mut world, GREEN, rest);
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    world.after(Duration::minutes(1));
    assert_eq!(
        world.release().phase,
        Phase::AtGate { stage: 1 },
        "what was green is looked at anew"
    );
    assert_eq!(world.release().goes_on_at, None);
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
    // The last stage ends when it is done, whatever the hour.
    world.run_ends(3, RunOutcome::Worked);
    world.wait_until("2026-12-16T02:00:00Z");
    assert!(world.release().goes_on_at.is_none());
}

#[test]
fn nothing_but_the_hours_and_new_numbers_ends_the_wait() {
    let mut world = out_of_hours();
    // Nobody measured and no deadline was met from then on until after the hours began.
    world.now = crate::domain::fixture::time("2026-12-15T22:05:00Z");
    world.by("dave", Command::Update { release: id(), text: "good morning".into() });
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    world.after(Duration::seconds(1));
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 }, "they are old");
    let asked = |notice: &Notice| matches!(notice.kind, NoticeKind::SilencePrompt { .. });
    assert!(!world.notices().any(asked), "nobody is late with news");
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

#[test]
fn who_has_until_then_to_decide_is_asked_while_it_is_not_green_out_of_hours() {
    let mut plan = gated();
    plan.release.advance_within = Some("Mon–Fri 10–10:10, Mon–Fri 14–16".parse().expect("hours"));
    plan.stages[1].decide_by = Some(Span::hours(2));
    let overdue = |world: &World| !world.release().overdue.is_empty();
    let mut world = at_gate(plan.clone(), GREEN);
    lasts(&mut world, GREEN, Duration::hours(6));
    assert!(!overdue(&world), "it was green, and went on by itself");
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
    let mut world = at_gate(plan, GREEN);
    lasts(&mut world, GREEN, Duration::minutes(10));
    lasts(&mut world, YELLOW, Duration::hours(2));
    assert!(overdue(&world), "long before the hours begin");
}

#[test]
fn a_person_advances_out_of_hours_and_what_is_not_green_when_they_begin_is_held() {
    let mut world = out_of_hours();
    let commits = Commitment { stage: Some(1), ..Commitment::default() };
    world.by("maria", Command::Advance { release: id(), commits });
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
    assert_eq!(world.release().goes_on_at, None);

    let mut world = out_of_hours();
    lasts(&mut world, YELLOW, Duration::hours(4));
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 });
    assert!(held(&world).is_some_and(|why| why.contains("0.42 %")), "{:?}", held(&world));
    lasts(&mut world, GREEN, Duration::hours(3));
    world.by("maria", Command::Resume { release: id() });
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::AtGate { stage: 1 }, "the hours are over");
    let tomorrow = crate::domain::fixture::time("2026-12-16T18:00:00Z");
    assert_eq!(world.release().goes_on_at, Some(tomorrow));
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
fn green_that_nobody_saw_last_does_not_open_the_gate() {
    let mut world = soaking(gated());
    lasts(&mut world, GREEN, Duration::seconds(585));
    lasts(&mut world, YELLOW, Duration::seconds(15));
    world.run_ends(2, RunOutcome::Worked);
    world.measures(GREEN);
    world.after(Duration::milliseconds(59_999));
    world.measures(GREEN);
    world.after(Duration::milliseconds(1));
    let stands = gate(world.release(), 1, world.policy(), world.now);
    assert_eq!(stands, Gate::Wait, "a minute is over, but it was not seen to be");
    let looks = next_sample_at(world.release(), world.policy(), world.now);
    assert!(looks.is_some(), "who moves a clock measures before the wait is over");
    let commits = Commitment::default();
    refused(&world.by("maria", Command::Advance { release: id(), commits }));
    world.after(Duration::seconds(15));
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
}

/// While it is held, what stays green is not on record each time.
#[test]
fn green_that_lasts_while_it_is_held_counts_when_it_is_resumed() {
    let mut world = at_gate(gated(), YELLOW);
    world.measures(YELLOW);
    assert!(held(&world).is_some());
    lasts(&mut world, GREEN, Duration::minutes(2));
    assert_eq!(gate(world.release(), 1, world.policy(), world.now), Gate::Open);
    world.by("maria", Command::Resume { release: id() });
    world.measures(GREEN);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
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

// ---------------------------------------------------------------------------------------------
// Red is red only as long as it is seen

#[test]
fn a_pause_in_measuring_begins_red_anew() {
    let mut world = soaking(automatic(None));
    lasts(&mut world, RED, Duration::seconds(105));
    world.now += longest_gap(world.policy()) + Duration::seconds(1);
    world.measures(RED);
    assert!(world.release().rollback.is_none(), "nobody knows what was in between");
    lasts(&mut world, RED, Duration::seconds(105));
    assert!(world.release().rollback.is_none());
    lasts(&mut world, RED, Duration::seconds(15));
    assert_eq!(world.release().phase, Phase::RollingBack, "two minutes, all of them seen");
}

#[test]
fn a_clock_that_is_jumped_makes_nothing_last() {
    let mut world = soaking(automatic(None));
    lasts(&mut world, RED, Duration::seconds(60));
    let to = world.now + Duration::minutes(10);
    world.state.house = {
        let mut house = super::super::state::House::clone(&world.state.house);
        house.jumped = Some((world.now, to));
        std::sync::Arc::new(house)
    };
    world.after(Duration::minutes(4));
    assert!(world.release().rollback.is_none() && world.release().red.is_none());
    let health = world.release().health.as_ref().expect("it was measured");
    assert_eq!(health.light, Light::Unknown);
}

#[test]
fn whoever_moves_a_clock_measures_what_is_red_on_the_way() {
    let mut world = soaking(automatic(None));
    assert_eq!(looks_again_at(world.release(), world.policy()), None);
    world.measures(RED);
    while let Some(at) = looks_again_at(world.release(), world.policy()) {
        assert_eq!(at, world.now + Duration::seconds(15));
        world.now = at;
        world.measures(RED);
    }
    assert_eq!(world.release().phase, Phase::RollingBack);
}

proptest::proptest! {
    /// Whatever is measured and whenever: it goes back by itself only after it was seen to be red
    /// for as long as the plan says without a pause, and then it does.
    #[test]
    fn only_what_was_seen_to_last_goes_back(
        measured in proptest::collection::vec((1_i64..100, proptest::bool::weighted(0.9)), 1..60),
    ) {
        let mut world = soaking(automatic(None));
        let longest = longest_gap(world.policy());
        let (mut red, mut widest): (Option<Time>, Duration) = (None, Duration::zero());
        let mut last = world.now;
        for (pause, is_red) in measured {
            world.after(Duration::seconds(pause));
            let gap = world.now - last;
            last = world.now;
            red = red.filter(|_| is_red && gap <= longest).or(is_red.then_some(world.now));
            widest = if red == Some(world.now) { Duration::zero() } else { widest.max(gap) };
            world.measures(if is_red { RED } else { GREEN });
            let lasted = red.is_some_and(|since| world.now - since >= Duration::minutes(2));
            let back = world.release().rollback.is_some();
            proptest::prop_assert!(!back || lasted, "it was not seen to last");
            proptest::prop_assert!(back || !lasted || widest > Duration::seconds(45), "it was");
            if back {
                break;
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// After the rollout

/// Errors judged the last stage, and nothing is monitored.
fn judged_before() -> Plan {
    let mut plan = plan();
    plan.monitoring.metrics.clear();
    let errors = MetricGate { name: "errors".into(), ..MetricGate::default() };
    plan.stages[1].metrics = vec![errors];
    plan
}

/// Rolled out without numbers, and watched with those of this plan.
fn to_watch(plan: Plan) -> World {
    let mut world = World::rolled_out();
    let release = world.state.releases.values_mut().next().expect("the sample");
    std::sync::Arc::make_mut(release).plan = std::sync::Arc::new(plan);
    world
}

#[test]
fn the_first_minutes_are_judged_against_what_was_before_the_deploy() {
    let mut world = to_watch(judged_before());
    let (release, policy) = (world.release(), world.policy());
    let seen = watched(release, policy, world.now).expect("what judged the stage");
    assert_eq!(seen.stage, None);
    assert_eq!(seen.gates[0].against, super::super::plan::Against::Before);
    assert_eq!(seen.gates[0].roll_back_rise, Some(100.0));
    let later = world.now + Duration::minutes(15);
    assert_eq!(watched(release, policy, later), None, "then the hour of the day explains more");
    world.measures(GREEN);
    lasts(&mut world, RED, Duration::seconds(90));
    let why = held(&world).expect("somebody is called");
    assert!(why.starts_with("Error rate 3.1 % (baseline 0.3 %)"), "{why}");
}

#[test]
fn what_is_red_when_the_first_minutes_end_is_looked_at_until_it_is_not() {
    let mut world = to_watch(judged_before());
    lasts(&mut world, GREEN, Duration::seconds(870));
    lasts(&mut world, RED, Duration::seconds(30));
    assert!(watched(world.release(), world.policy(), world.now).is_some());
    lasts(&mut world, RED, Duration::seconds(60));
    assert!(held(&world).is_some());
}

#[test]
fn nothing_measured_within_five_minutes_of_the_rollout_calls_somebody() {
    let mut world = to_watch(judged_before());
    world.after(Duration::minutes(5));
    assert_eq!(held(&world), Some("nothing was measured"));
    let called = world.notices().any(|notice| {
        let NoticeKind::Held { people, .. } = &notice.kind else { return false };
        people.iter().any(|person| person.name == "john")
    });
    assert!(called, "on-call is named");
}

#[test]
fn a_source_without_a_past_is_not_asked_for_it() {
    let mut world = to_watch(judged_before());
    let mut policy = world.policy().clone();
    policy.queries.get_mut("errors").expect("the sample").has_past = false;
    assert_eq!(watched(world.release(), &policy, world.now), None);
    policy.queries.get_mut("errors").expect("the sample").has_past = true;
    assert!(watched(world.release(), &policy, world.now).is_some());
    world.measures(GREEN);
}

// ---------------------------------------------------------------------------------------------
// What is shown

fn shown(world: &World) -> Vec<(Option<String>, bool)> {
    let shown = world.notices().filter_map(|notice| {
        let NoticeKind::Pictures { stage, back, .. } = &notice.kind else { return None };
        Some((stage.clone(), *back))
    });
    shown.collect()
}

#[test]
fn what_was_seen_is_shown_when_it_goes_on_and_not_at_every_measuring() {
    let mut world = soaking(gated());
    lasts(&mut world, GREEN, Duration::minutes(10));
    assert_eq!(shown(&world), []);
    world.run_ends(2, RunOutcome::Worked);
    assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
    assert_eq!(shown(&world), [(Some("Pod 1".into()), false)]);
}

#[test]
fn what_was_seen_is_shown_when_it_is_held_when_it_is_red_and_when_it_has_gone_back() {
    let mut world = at_gate(gated(), YELLOW);
    world.measures(YELLOW);
    assert_eq!(shown(&world), [(Some("Pod 1".into()), false)]);
    let mut world = soaking(automatic(None));
    lasts(&mut world, RED, Duration::seconds(135));
    assert_eq!(shown(&world), [(Some("Pod 1".into()), false)]);
    while world.release().running().next().is_some() {
        world.run_ends(5, RunOutcome::Worked);
    }
    assert_eq!(world.release().phase, Phase::RolledBack);
    assert_eq!(shown(&world), [(Some("Pod 1".into()), false), (Some("Pod 1".into()), true)]);
}

#[test]
fn where_nothing_was_seen_nothing_is_shown() {
    let mut world = soaking(gated());
    world.after(Duration::minutes(5));
    assert!(held(&world).is_some());
    assert_eq!(shown(&world), []);
}

#[test]
fn no_word_waits_for_a_picture() {
    use super::super::effect::Effect;
    let mut world = at_gate(gated(), YELLOW);
    world.measures(YELLOW);
    let lanes = world.effects.iter().filter_map(|effect| match effect {
        Effect::Say { notice, .. } => Some((notice.is_shown(), effect.lane())),
        Effect::Refresh { .. }
        | Effect::Pin { .. }
        | Effect::OpenRoom { .. }
        | Effect::Archive { .. }
        | Effect::Run { .. }
        | Effect::Look { .. }
        | Effect::Flag { .. }
        | Effect::AnswerGate { .. }
        | Effect::Stop { .. } => None,
    });
    let (pictures, words): (Vec<_>, Vec<_>) = lanes.partition(|(is_shown, _)| *is_shown);
    assert!(!pictures.is_empty());
    assert!(pictures.iter().all(|(_, lane)| words.iter().all(|(_, other)| other != lane)));
}

#[test]
fn the_log_keeps_what_was_seen_where_it_may_decide() {
    let mut world = soaking(gated());
    lasts(&mut world, GREEN, Duration::seconds(315));
    let kept = world.log.iter().filter_map(|(_, _, event)| {
        let Happened::Measured { traces, .. } = event.of_release()?.1 else { return None };
        Some(traces.len())
    });
    assert_eq!(kept.collect::<Vec<_>>(), [1, 0], "and every five minutes the numbers alone");
}

#[test]
fn what_the_report_compares_comes_from_the_log() {
    let mut world = soaking(automatic(None));
    lasts(&mut world, GREEN, Duration::seconds(60));
    lasts(&mut world, RED, Duration::seconds(135));
    let course = &world.release().courses["errors"];
    assert_eq!(course.before, Some(0.30));
    assert_eq!((course.worst.value, course.worst.light), (Some(3.1), Light::Red));
}
