//! Each answer in each phase, read whole.

use super::*;
use crate::app::cards::tests::worlds;
use crate::app::notices::tests::{messages, read_aloud, scene};
use crate::domain::command::{Command, FreezeWish, RunEnd, RunOutcome};
use crate::domain::fixture::{World, time};
use crate::domain::plan::MetricGate;

fn now(world: &World) -> Scene<'static> {
    Scene { now: world.now, ..scene() }
}

fn frozen() -> World {
    let mut world = World::rolled_back();
    let freeze = FreezeWish {
        from: time("2026-12-23T08:00:00Z"),
        until: time("2027-01-04T08:00:00Z"),
        reason: "Christmas".into(),
        service: None,
        environment: Some("production".into()),
    };
    world.by("maria", Command::AddFreeze { id: "christmas".into(), freeze });
    world
}

fn marked() -> World {
    let mut world = World::counting_down();
    let release = crate::domain::fixture::id();
    let mut mark = |item: &str, mark, why: &str| {
        let (release, item, why) = (release.clone(), item.into(), Some(why.to_owned()));
        world.by("maria", Command::Mark { release, item, mark, why, link: None });
    };
    use crate::domain::checklist::Mark;
    mark("security/no-open-findings", Mark::Fail, "CVE-2026-1");
    mark("code-quality/reviewed", Mark::Waive, "two lines");
    world
}

fn qa() -> Actor {
    who("quinn")
}

fn maria() -> Actor {
    who("maria")
}

fn who(person: &str) -> Actor {
    let account = crate::domain::fixture::account(person);
    Actor::Person { account, claims: crate::domain::command::Claims::default() }
}

pub(crate) fn samples() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut add =
        |name: &str, seen, scene: &Scene| all.push((name.to_owned(), finish(seen, scene)));
    let empty = World::new();
    for world in worlds().into_iter().map(|(_, world)| world).chain([frozen(), marked()]) {
        let (release, scene) = (world.release(), now(&world));
        add("status.md", status_seen(release, world.policy(), &scene), &scene);
        add("list.md", list_seen(&world.state, &scene).0, &scene);
        add("home.md", home_seen(&world.state, &qa(), &scene).0, &scene);
        add("agenda.md", agenda_seen(&world.state, Some(release), &scene), &scene);
    }
    for world in [World::counting_down(), frozen(), marked()] {
        let (release, scene) = (world.release(), now(&world));
        add("checklist.md", checklist_seen(release, world.policy(), &scene), &scene);
        add("oncall.md", oncall_seen(&world.state), &scene);
        add("flags.md", flags_seen(&world.state, &scene), &scene);
        add("freezes.md", freezes_seen(&world.state, &scene), &scene);
    }
    for world in [World::scheduled(), flag_half_open(), flag_in_doubt()] {
        let record = world.state.house.flags.values().next().expect("the sample's flag");
        let (seen, scene) = (flag_seen(record, &world.state, &now(&world)), now(&world));
        add("flag.md", seen, &scene);
        add("flags.md", flags_seen(&world.state, &scene), &scene);
    }
    add("roles.md", roles_seen(empty.policy()), &now(&empty));
    add("list.md", list_seen(&empty.state, &now(&empty)).0, &now(&empty));
    add("agenda.md", agenda_seen(&empty.state, None, &now(&empty)), &now(&empty));
    all
}

fn flag_changed(percent: Option<f64>, outcome: RunOutcome) -> World {
    let mut world = World::counting_down();
    let flag = crate::domain::ids::FlagId::from("local/new_dashboard_ui");
    let change = match percent {
        Some(percent) => Command::SetFlag { flag: flag.clone(), percent },
        None => Command::KillFlag { flag: flag.clone() },
    };
    world.by("paula", change);
    let end = RunEnd::without_output(outcome);
    world.asks(Actor::Neighbour, Command::FlagChanged { flag, nth: 1, end });
    world
}

fn flag_half_open() -> World {
    let mut world = flag_changed(Some(100.0), RunOutcome::Worked);
    let flag = "local/new_dashboard_ui".into();
    world.by("maria", Command::SetFlag { flag, percent: 50.0 });
    world
}

fn flag_in_doubt() -> World {
    flag_changed(None, RunOutcome::Failed("the provider is down".into()))
}

#[test]
fn how_the_flags_read() {
    let mut book = String::new();
    let mut gone = flag_changed(Some(100.0), RunOutcome::Worked);
    let release = crate::domain::fixture::id();
    gone.by("maria", Command::Scrub { release, reason: "no".into() });
    gone.by("paula", Command::CleanFlag { flag: "new_dashboard_ui".into() });
    for world in [World::new(), World::scheduled(), flag_half_open(), flag_in_doubt(), gone] {
        let all = flags(&messages(), &world.state, &now(&world));
        book.push_str(&format!("── list\n{}\n\n", read_aloud(&all)));
        for record in world.state.house.flags.values() {
            let one = flag(&messages(), &world.state, record, &now(&world));
            book.push_str(&format!("── one\n{}\n\n", read_aloud(&one)));
        }
    }
    insta::assert_snapshot!(book);
}

#[test]
fn what_a_release_waits_for_in_every_phase() {
    let mut book = String::new();
    for (name, world) in worlds() {
        let said = status(&messages(), &world.state, world.release(), &now(&world));
        book.push_str(&format!("── {name}\n{}\n\n", read_aloud(&said)));
    }
    insta::assert_snapshot!(book);
}

#[test]
fn whatever_is_not_over_waits_for_something() {
    for (name, world) in worlds() {
        let waits = waits_for(world.release(), world.policy(), world.now);
        assert_eq!(waits.summary.is_empty(), world.release().phase.is_over(), "{name}: {waits:?}");
    }
}

#[test]
fn how_the_other_answers_read() {
    let (messages, empty) = (messages(), World::new());
    let (open, frozen, marked) = (World::counting_down(), frozen(), marked());
    let scene = now(&open);
    let answers = [
        list(&messages, &open.state, &scene),
        list(&messages, &frozen.state, &now(&frozen)),
        list(&messages, &empty.state, &scene),
        agenda(&messages, &open.state, Some(open.release()), &scene),
        agenda(&messages, &frozen.state, None, &now(&frozen)),
        agenda(&messages, &empty.state, None, &scene),
        checklist(&messages, &open.state, (open.release(), &maria()), &scene),
        checklist(&messages, &marked.state, (marked.release(), &qa()), &scene),
        roles(&messages, &open.state, &scene),
        oncall(&messages, &open.state, &scene),
        oncall(&messages, &empty.state, &scene),
        freezes(&messages, &frozen.state, &now(&frozen)),
        freezes(&messages, &empty.state, &scene),
    ];
    let book = answers.iter().map(|answer| format!("──\n{}\n\n", read_aloud(answer)));
    insta::assert_snapshot!(book.collect::<String>());
}

#[test]
fn nobody_is_called_twice_in_a_row() {
    let mut world = World::counting_down();
    let release = world.state.releases.values_mut().next().expect("one is open");
    let plan = &mut std::sync::Arc::make_mut(release).plan;
    let oncall = &mut std::sync::Arc::make_mut(plan).monitoring.oncall;
    oncall.secondary.clone_from(&oncall.primary);
    oncall.escalation.clone_from(&oncall.primary);
    let text = markup::plain(&oncall_text(&world).body);
    assert!(text.contains("on-call john. Captain"), "{text}");
}

fn oncall_text(world: &World) -> Message {
    super::oncall(&messages(), &world.state, &now(world))
}

#[test]
fn what_waits_for_its_hours_says_until_when_and_can_be_advanced_before() {
    let mut plan = crate::domain::fixture::plan();
    plan.release.advance_within = Some("Mon–Fri 10–10:10, Mon–Fri 14–16".parse().expect("hours"));
    let mut world = World::soaking_with(plan);
    world.after(chrono::Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    let (release, policy) = (world.release(), world.policy());
    let waits = waits_for(release, policy, world.now);
    let hours = "its hours, Tue 15 Dec, 14:00 PST, or somebody to advance it before";
    assert_eq!(waits.summary, hours);
    let next = waits.next.expect("it goes on");
    assert_eq!(next.about, format!("go on to {}", release.plan.stages[2].name));
    let buttons = cards::phase_buttons(release, world.now).concat();
    assert_eq!(buttons[0].command, format!("advance {} --stage 2", release.id));
}

#[test]
fn what_is_not_green_while_it_waits_for_its_hours_says_so() {
    let mut plan = crate::domain::fixture::plan();
    plan.release.strategy = crate::domain::plan::Strategy::Canary;
    plan.release.advance_within = Some("Mon–Fri 10–10:10, Mon–Fri 14–16".parse().expect("hours"));
    let errors = MetricGate { name: "errors".into(), ..MetricGate::default() };
    plan.stages[1].metrics = vec![errors];
    let mut world = World::soaking_with(plan);
    let lasts = |world: &mut World, share: f64, minutes: usize| {
        for _ in 0..minutes * 4 {
            world.after(chrono::Duration::seconds(15));
            world.measures(&[("errors", share, 0.30)]);
        }
    };
    let summary = |world: &World| waits_for(world.release(), world.policy(), world.now).summary;
    lasts(&mut world, 0.31, 10);
    world.run_ends(2, RunOutcome::Worked);
    lasts(&mut world, 0.31, 1);
    let hours = "its hours, Tue 15 Dec, 14:00 PST";
    assert_eq!(summary(&world), format!("{hours}, or somebody to advance it before"));
    lasts(&mut world, 0.42, 3);
    assert_eq!(summary(&world), format!("{hours}, and numbers that stay green"));
    lasts(&mut world, 0.31, 3);
    assert_eq!(summary(&world), format!("{hours}, or somebody to advance it before"));
}
