//! Each card in each phase, read as it stands in its channel.

use super::*;
use crate::app::notices::tests::{messages, read_aloud, scene};
use crate::domain::command::Command;
use crate::domain::event::{Event, Happened};
use crate::domain::fixture::{World, id};
use crate::domain::ids::Role;

fn now(world: &World) -> Scene<'static> {
    Scene { now: world.now, ..scene() }
}

fn card(kind: CardKind) -> Card {
    let (platform, channel) = ("console".to_owned(), "release-v1-2-0".to_owned());
    Card { release: id(), kind, platform, channel }
}

fn shown(world: &World, kind: CardKind) -> String {
    let card = render(&messages(), &world.state, &card(kind), None, &now(world));
    read_aloud(&card.expect("the release is there"))
}

fn held() -> World {
    let mut world = World::soaking();
    world.by("jane", Command::Hold { release: id(), reason: "p95 looks odd.".into() });
    world
}

fn unknown() -> World {
    let mut world = World::started();
    world.run_ends(9, RunOutcome::Unknown("the program was killed".into()));
    world
}

fn at_the_gate() -> World {
    let mut world = World::soaking();
    world.after(chrono::Duration::minutes(10));
    for seconds in [2, 40] {
        world.run_ends(seconds, RunOutcome::Worked);
    }
    world.after(chrono::Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    world
}

fn against() -> World {
    let mut world = World::counting_down();
    world.no_go("sam", "support", "hotline is short-staffed until noon");
    world
}

/// A canary whose numbers were measured a minute ago.
fn measured(numbers: &[(&str, f64, f64)]) -> World {
    let mut plan = crate::domain::fixture::plan();
    plan.release.strategy = crate::domain::plan::Strategy::Canary;
    plan.stages[1].advance = crate::domain::plan::Advance::Auto;
    plan.stages[1].traffic = Some(5.0);
    let gate = |name: &str| crate::domain::plan::MetricGate {
        name: name.to_owned(),
        ..Default::default()
    };
    plan.stages[1].metrics = vec![gate("errors"), gate("p95")];
    let mut world = World::soaking_with(plan);
    world.after(chrono::Duration::minutes(1));
    world.measures(numbers);
    world
}

pub(crate) fn worlds() -> Vec<(&'static str, World)> {
    let mut missed = World::counting_down();
    missed.wait_until("2026-12-15T18:01:00Z");
    let mut failed = World::stuck();
    let (reason, commits) = (None, crate::domain::command::Commitment::default());
    failed.by("john", Command::Rollback { release: id(), reason, commits });
    let mut stopped = World::stuck();
    let commits = crate::domain::command::Commitment::default();
    stopped.by("john", Command::Rollback { release: id(), reason: None, commits });
    stopped.run_ends(1, RunOutcome::Worked);
    stopped.run_ends(7, RunOutcome::Failed("exit status 2".into()));
    vec![
        ("scheduled", World::scheduled()),
        ("counting down", World::counting_down()),
        ("against", against()),
        ("missed", missed),
        ("ready", World::ready()),
        ("started", World::started()),
        ("unknown", unknown()),
        ("soaking", World::soaking()),
        ("measured, green", measured(&[("errors", 0.31, 0.30), ("p95", 187.0, 189.0)])),
        ("measured, yellow", measured(&[("errors", 0.42, 0.30), ("p95", 187.0, 189.0)])),
        ("held", held()),
        ("at the gate", at_the_gate()),
        ("stuck", World::stuck()),
        ("rolling back", failed),
        ("rollback failed", stopped),
        ("rolled back", World::rolled_back()),
        ("rolled out", World::rolled_out()),
        ("done", World::done()),
    ]
}

/// The first run, one that failed and one that runs.
fn run_cards() -> Vec<(World, CardKind)> {
    let last = |world: World| {
        let run = world.release().runs.last().expect("something ran").id.clone();
        (world, CardKind::Run(run))
    };
    let mut settled = unknown();
    let (release, reason) = (id(), "I looked".to_owned());
    settled.by("maria", Command::Outcome { release, run: None, worked: true, reason });
    let first = settled.release().runs.iter().find(|run| run.settled.is_some());
    let first = CardKind::Run(first.expect("it was settled").id.clone());
    let soaking = last(World::soaking());
    vec![last(World::started()), soaking, last(World::stuck()), last(unknown()), (settled, first)]
}

pub(crate) fn samples() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut add = |world: &World, kind: &CardKind| {
        let (policy, scene) = (world.policy(), now(world));
        let (name, seen) = seen(world.release(), policy, kind, None, &scene).expect("it is there");
        all.push((name.to_owned(), finish(seen, &scene)));
    };
    for (_, world) in &worlds() {
        add(world, &CardKind::Poll);
        add(world, &CardKind::Live);
    }
    add(&World::counting_down(), &CardKind::RollbackPlan);
    run_cards().iter().for_each(|(world, kind)| add(world, kind));
    all
}

#[test]
fn how_the_live_card_reads_in_every_phase() {
    let of =
        |(name, world): &(&str, World)| format!("── {name}\n{}\n\n", shown(world, CardKind::Live));
    insta::assert_snapshot!(worlds().iter().map(of).collect::<String>());
}

#[test]
fn how_the_poll_reads() {
    let of =
        |(name, world): &(&str, World)| format!("── {name}\n{}\n\n", shown(world, CardKind::Poll));
    insta::assert_snapshot!(worlds().iter().take(6).map(of).collect::<String>());
}

#[test]
fn how_the_rollback_plan_reads() {
    insta::assert_snapshot!(shown(&World::counting_down(), CardKind::RollbackPlan));
}

#[test]
fn how_a_run_reads() {
    let mut book = String::new();
    for (world, kind) in run_cards() {
        book.push_str(&format!("──\n{}\n\n", shown(&world, kind)));
    }
    insta::assert_snapshot!(book);
}

#[test]
fn only_the_last_lines_of_a_run_are_shown() {
    let (world, kind) = run_cards().remove(0);
    let lines: Vec<String> = (1..=40).map(|line| format!("line {line}")).collect();
    let card = render(&messages(), &world.state, &card(kind), Some(&lines), &now(&world));
    let said = read_aloud(&card.expect("it runs"));
    assert!(!said.contains("line 25\n") && said.contains("line 26\n") && said.contains("line 40"));
}

#[test]
fn what_is_gone_has_no_card() {
    let world = World::scheduled();
    let gone = Card { release: "other/one/v1#1".into(), ..card(CardKind::Live) };
    assert_eq!(render(&messages(), &world.state, &gone, None, &now(&world)), None);
    let run = card(CardKind::Run("nothing".into()));
    assert_eq!(render(&messages(), &world.state, &run, None, &now(&world)), None);
}

#[test]
fn no_row_is_longer_than_five_and_no_command_than_a_hundred() {
    for (name, world) in worlds() {
        for kind in [CardKind::Poll, CardKind::Live] {
            let card = render(&messages(), &world.state, &card(kind), None, &now(&world));
            let buttons = card.expect("it is there").buttons;
            assert!(buttons.len() <= 5, "{name}");
            for row in &buttons {
                assert!(!row.is_empty() && row.len() <= 5, "{name}");
                assert!(row.iter().all(|button| button.command.len() <= 100), "{name}");
            }
        }
    }
}

fn poll_rows(world: &World) -> Vec<Vec<Button>> {
    let card = render(&messages(), &world.state, &card(CardKind::Poll), None, &now(world));
    card.expect("it is there").buttons
}

fn labels(rows: &[Vec<Button>]) -> Vec<String> {
    rows.iter().flatten().map(|button| button.label.clone()).collect()
}

#[test]
fn a_seat_keeps_its_buttons_after_its_go() {
    let mut world = World::counting_down();
    let before = poll_rows(&world);
    assert!(labels(&before).contains(&"GO · support".to_owned()), "{before:?}");
    world.go("sam", "support");
    let after = poll_rows(&world);
    assert_eq!(after.len(), before.len());
    let shown = labels(&after);
    for label in ["GO ✓ · support", "NO-GO · support"] {
        assert!(shown.contains(&label.to_owned()), "{label}: {shown:?}");
    }
    let commands =
        |rows: &[Vec<Button>]| rows.iter().flatten().map(|b| b.command.clone()).collect::<Vec<_>>();
    assert_eq!(commands(&after), commands(&before), "a button does what it did");
}

#[test]
fn every_number_of_seats_fits_in_five_rows_of_five() {
    let world = World::counting_down();
    let policy = world.policy();
    for count in 0..=30 {
        let mut release = world.release().clone();
        let first = release.seats[0].clone();
        let role = |n: usize| Role::from(format!("{n}-{}", "x".repeat(90)).as_str());
        let seat = |n: usize| Seat { role: role(n), ..first.clone() };
        release.seats = (0..count).map(seat).collect();
        let rows = poll_buttons(&release, policy);
        assert!(rows.len() <= 5 && rows.iter().all(|row| row.len() <= 5), "{count}: {rows:?}");
        let all = labels(&rows);
        assert!(all.iter().all(|label| label.chars().count() <= 75), "{all:?}");
        let own = all.iter().filter(|label| label.contains('·')).count();
        assert_eq!(own, if count <= 9 { 2 * count } else { 0 }, "{count}");
        assert!(all.contains(&"Checklist".to_owned()) && all.contains(&"Hold".to_owned()));
    }
}

#[test]
fn a_click_settles_the_run_that_was_shown_and_no_other() {
    let mut world = World::stuck();
    let first = world.release().unsettled().map(|run| run.id.clone());
    let refused = |events: &[Event]| {
        let Event::Release { did: Happened::Refused { why, .. }, .. } = &events[0] else {
            panic!("{events:?}");
        };
        why.to_string()
    };
    let retry = |run| Command::Retry { release: id(), run };
    let outcome = |run| {
        let (release, reason) = (id(), "I looked".to_owned());
        Command::Outcome { release, run, worked: true, reason }
    };
    world.by("john", retry(first.clone()));
    assert!(
        refused(&world.by("john", retry(first.clone()))).contains("No step waits for a decision"),
        "while it runs again"
    );
    world.run_ends(1, RunOutcome::Failed("exit status 3".into()));
    for late in [retry(first.clone()), outcome(first.clone())] {
        let said = refused(&world.by("john", late));
        assert!(said.contains("out of date: it is about an earlier try of Pod 2"), "{said}");
        assert!(said.contains("Now Pod 2 failed: exit status 3."), "{said}");
    }
    let second = world.release().unsettled().map(|run| run.id.clone());
    world.by("john", outcome(second));
    assert_eq!(world.release().unsettled(), None);
}
