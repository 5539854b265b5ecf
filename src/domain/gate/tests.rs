//! What others are told, by where the sample release stands.

use chrono::Duration;

use super::super::command::{Actor, Command, Commitment, RunOutcome};
use super::super::effect::Effect;
use super::super::fixture::{World, id, plan};
use super::super::plan::{MetricGate, Plan, Strategy};
use super::*;

const GREEN: &[(&str, f64, f64)] = &[("errors", 0.31, 0.30)];
const YELLOW: &[(&str, f64, f64)] = &[("errors", 0.42, 0.30)];
const RED: &[(&str, f64, f64)] = &[("errors", 3.1, 0.30)];

fn subject() -> Subject {
    let plan = plan();
    let (service, environment) = (plan.release.service, plan.release.environment);
    Subject { service, environment, ..Subject::default() }
}

fn told(world: &World, question: Question) -> Answer {
    answer_on(&world.state, &subject(), question, world.now)
}

fn gated() -> Plan {
    let mut plan = plan();
    plan.release.strategy = Strategy::Canary;
    plan.stages[1].metrics = vec![MetricGate { name: "errors".into(), ..MetricGate::default() }];
    plan
}

#[test]
fn nobody_is_told_go_before_a_person_has_started_it() {
    for world in [World::new(), World::scheduled(), World::counting_down(), World::ready()] {
        for question in
            [Question::Rollout, Question::MoreTraffic, Question::Promotion, Question::Rollback]
        {
            assert!(!told(&world, question).is_go(), "{question:?}");
        }
    }
    let ready = told(&World::ready(), Question::Rollout);
    assert!(ready.text().contains("is GO, and waits for its start"), "{ready:?}");
    assert!(told(&World::started(), Question::Rollout).is_go());
}

#[test]
fn more_traffic_takes_numbers_that_are_green_and_of_now() {
    let mut world = World::soaking_with(gated());
    let traffic = |world: &World| told(world, Question::MoreTraffic);
    assert!(!traffic(&world).is_go(), "nothing was measured");
    world.measures(GREEN);
    assert!(traffic(&world).is_go());
    world.after(Duration::seconds(15));
    world.measures(YELLOW);
    assert!(traffic(&world).text().contains("yellow"));
    world.after(Duration::seconds(15));
    world.reads(Vec::new());
    assert!(traffic(&world).text().contains("cannot be told"));
    world.measures(GREEN);
    assert!(traffic(&world).is_go());
    world.now += Duration::minutes(7);
    assert!(traffic(&world).text().contains("old"));
}

#[test]
fn a_hold_stops_everybody_and_a_rollback_is_the_only_way_to_be_told_to_go_back() {
    let mut world = World::soaking();
    assert!(told(&world, Question::MoreTraffic).is_go(), "no metric judges this stage");
    world.by("quinn", Command::Hold { release: id(), reason: "it smells".into() });
    for question in [Question::Rollout, Question::MoreTraffic, Question::Promotion] {
        assert_eq!(told(&world, question), Answer::NotYet("Web shop v1.2.0 is on hold.".into()));
    }
    assert!(!told(&world, Question::Rollback).is_go());
    let (reason, commits) = (None, Commitment::default());
    world.by("john", Command::Rollback { release: id(), reason, commits });
    assert!(told(&world, Question::Rollback).is_go());
    for question in [Question::Rollout, Question::MoreTraffic, Question::Promotion] {
        assert!(matches!(told(&world, question), Answer::Never(_)));
    }
    assert!(told(&World::rolled_back(), Question::Rollback).is_go(), "also when it has ended");
}

#[test]
fn red_that_people_decide_on_goes_back_by_their_word_only() {
    let mut world = World::soaking_with(gated());
    for _ in 0..12 {
        world.after(Duration::seconds(15));
        world.measures(RED);
    }
    assert!(world.release().red.is_some());
    assert!(!told(&world, Question::Rollback).is_go());
    assert!(!told(&world, Question::MoreTraffic).is_go());
}

#[test]
fn everybody_gets_it_once_our_own_rollout_has_come_to_its_last_stage() {
    let mut world = World::soaking();
    assert!(!told(&world, Question::Promotion).is_go());
    world.after(Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    world.run_ends(40, RunOutcome::Worked);
    assert!(!told(&world, Question::Promotion).is_go(), "pod 2 of 3");
    assert!(told(&World::rolled_out(), Question::Promotion).is_go());
    assert!(told(&World::done(), Question::Rollout).text().contains("No release"));
}

#[test]
fn another_service_environment_version_or_commit_is_another_release() {
    let world = World::soaking();
    let ask = |change: &dyn Fn(&mut Subject)| {
        let mut subject = subject();
        change(&mut subject);
        answer_on(&world.state, &subject, Question::Rollout, world.now).is_go()
    };
    assert!(ask(&|_| {}));
    assert!(ask(&|subject| subject.release = Some("v1.2.0".into())));
    assert!(ask(&|subject| subject.release = Some(id().to_string())));
    assert!(ask(&|subject| subject.reference = Some("refs/tags/v1.2.0".into())));
    assert!(ask(&|subject| subject.reference = Some("main".into())));
    assert!(!ask(&|subject| subject.service = "other".into()));
    assert!(!ask(&|subject| subject.environment = "staging".into()));
    assert!(!ask(&|subject| subject.release = Some("v1.2.1".into())));
    assert!(!ask(&|subject| subject.reference = Some("refs/tags/v1.2.1".into())));
}

fn waiting() -> Waiting {
    Waiting {
        gate: "github".into(),
        place: "example/web-shop".into(),
        run: 7,
        deployment: 8,
        environment: "production".into(),
        installation: None,
        commit: None,
        reference: None,
    }
}

fn asks(world: &mut World, waiting: Waiting, target: Option<(&str, &str)>) -> Vec<(Word, String)> {
    let target = target.map(|(service, own)| (service.to_owned(), own.to_owned()));
    world.asks(Actor::Machine("github".into()), Command::AskGate { waiting, target });
    words(world)
}

fn words(world: &World) -> Vec<(Word, String)> {
    let told = world.effects.iter().filter_map(|effect| match effect {
        Effect::AnswerGate { word, text, .. } => Some((*word, text.clone())),
        Effect::Say { .. }
        | Effect::Refresh { .. }
        | Effect::Pin { .. }
        | Effect::OpenRoom { .. }
        | Effect::Archive { .. }
        | Effect::Run { .. }
        | Effect::Look { .. }
        | Effect::Flag { .. }
        | Effect::Stop { .. } => None,
    });
    told.collect()
}

#[test]
fn who_waits_hears_how_it_stands_and_is_let_through_once_it_has_started() {
    let mut world = World::ready();
    let target = (subject().service, subject().environment);
    let target = Some((target.0.as_str(), target.1.as_str()));
    let heard = asks(&mut world, waiting(), target);
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].0, Word::Comment);
    assert_eq!(asks(&mut world, waiting(), target), heard, "asked twice, told once");
    world.by("maria", Command::Start { release: id(), commits: Commitment::default() });
    let heard = words(&world);
    assert_eq!(heard.last().expect("it is told").0, Word::Approved);
    let before = heard.len();
    world.run_ends(130, RunOutcome::Worked);
    world.by("quinn", Command::Hold { release: id(), reason: "it smells".into() });
    assert_eq!(words(&world).len(), before, "what was decided is not said again");
}

#[test]
fn a_no_go_turns_away_and_so_does_what_nobody_has_set_up() {
    let mut world = World::counting_down();
    let target = (subject().service, subject().environment);
    let target = Some((target.0.as_str(), target.1.as_str()));
    asks(&mut world, waiting(), target);
    world.no_go("sam", "support", "the hotline is short-staffed");
    let (word, text) = words(&world).pop().expect("it is told");
    assert_eq!(word, Word::Rejected);
    assert!(
        text.contains("support said NO-GO") && !text.contains("hotline"),
        "no quotes outside: {text}"
    );
    for target in [None, Some(("web-shop", "staging")), Some(("other", "production"))] {
        let mut world = World::ready();
        let heard = asks(&mut world, waiting(), target);
        assert_eq!(heard.iter().map(|(word, _)| *word).collect::<Vec<_>>(), [Word::Rejected]);
    }
}

#[test]
fn it_is_told_how_things_stand_nine_times_at_most() {
    let mut world = World::ready();
    let target = (subject().service, subject().environment);
    asks(&mut world, waiting(), Some((target.0.as_str(), target.1.as_str())));
    for _ in 0..12 {
        world.by("quinn", Command::Hold { release: id(), reason: "it smells".into() });
        world.by("maria", Command::Resume { release: id() });
    }
    assert_eq!(words(&world).len(), 9);
    world.by("maria", Command::Start { release: id(), commits: Commitment::default() });
    assert_eq!(words(&world).last().expect("it is told").0, Word::Approved);
}
