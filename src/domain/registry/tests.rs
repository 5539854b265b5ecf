//! What is known of a flag, who may change it, and of what its owner is reminded.

use chrono::Duration;
use proptest::prelude::*;

use super::super::command::{Actor, Commitment};
use super::super::effect::{Effect, Target};
use super::super::fixture::{World, id, plan, policy, start, time};
use super::super::flag::{KILL, SET};
use super::super::ids::ActionName;
use super::super::notice::NoticeKind;
use super::super::plan::{Expiry, Plan};
use super::super::policy::FlagProvider;
use super::super::refusal::Refusal;
use super::super::state::{Phase, State};
use super::told::TICKETS;
use super::*;

const NAME: &str = "new_dashboard_ui";

fn flag_id() -> FlagId {
    FlagId::from("local/new_dashboard_ui")
}

/// The sample's migration and first pod, and then its flag for a half and for everybody.
fn flagged() -> Plan {
    let mut plan = plan();
    for (stage, share) in plan.stages[2..].iter_mut().zip([50.0, 100.0]) {
        stage.action = ActionName::from(SET);
        stage.with.clear();
        stage.flag = Some(NAME.to_owned());
        stage.traffic = Some(share);
    }
    plan
}

/// Its stage has opened the flag for a half, and soaks.
fn half_open() -> World {
    let mut world = World::soaking_with(flagged());
    world.after(Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    world.run_ends(1, RunOutcome::Worked);
    assert_eq!(world.release().phase.stage(), Some(2));
    world
}

fn record(world: &World) -> &Record {
    &world.state.house.flags[&flag_id()]
}

fn share(world: &World) -> Option<f64> {
    record(world).share.as_ref().map(|share| share.percent)
}

fn sets(world: &mut World, person: &str, percent: f64) -> Option<Refusal> {
    refusal(&world.by(person, Command::SetFlag { flag: NAME.into(), percent }))
}

fn kills(world: &mut World, person: &str) -> Option<Refusal> {
    refusal(&world.by(person, Command::KillFlag { flag: NAME.into() }))
}

fn cleans(world: &mut World, person: &str) -> Option<Refusal> {
    refusal(&world.by(person, Command::CleanFlag { flag: NAME.into() }))
}

fn refusal(events: &[Event]) -> Option<Refusal> {
    match events.first() {
        Some(Event::Refused { why, .. }) => Some(why.clone()),
        Some(_) => None,
        None => panic!("nothing was decided"),
    }
}

/// What the provider says to the change that is under way.
fn ends(world: &mut World, outcome: RunOutcome) {
    let nth = record(world).changes;
    let end = RunEnd { took_ms: 40, ..RunEnd::without_output(outcome) };
    world.asks(Actor::Neighbour, Command::FlagChanged { flag: flag_id(), nth, end });
}

fn said(refusal: Option<Refusal>) -> String {
    refusal.expect("it is turned down").to_string()
}

// ---------------------------------------------------------------------------------------------
// The registry

#[test]
fn a_flag_is_known_once_a_release_that_has_it_is_scheduled() {
    assert!(World::new().state.house.flags.is_empty());
    let world = World::scheduled();
    let record = record(&world);
    let owner = record.owner.as_ref().map(PersonId::as_str);
    assert_eq!((record.name.as_str(), owner), (NAME, Some("paula")));
    assert_eq!(
        (record.purpose.as_str(), &record.releases),
        ("Opens the new dashboard.", &vec![id()])
    );
    assert_eq!(record.expires.map(|day| day.to_string()).as_deref(), Some("2027-02-01"));
    assert_eq!((&record.share, record.may_be_open()), (&None, false));
}

#[test]
fn an_expiry_that_counts_from_the_start_moves_with_it() {
    let mut plan = plan();
    plan.flags[0].expires = Some(Expiry::try_from("T+18d".to_owned()).expect("an expiry"));
    let mut world = World::with(plan);
    let expires = |world: &World| record(world).expires.map(|day| day.to_string());
    assert_eq!(expires(&world).as_deref(), Some("2027-01-02"));
    let later = Duration::days(2);
    let local = start().local + later;
    let start = super::super::state::Start { at: start().at + later, local, ..start() };
    world.by("maria", Command::Reschedule { release: id(), start, reason: None });
    assert_eq!(expires(&world).as_deref(), Some("2027-01-04"));
}

#[test]
fn what_has_no_owner_no_end_or_hangs_on_another_flag_is_neither_scheduled_nor_taken_as_an_edit() {
    let broken: [fn(&mut Flag); 3] = [
        |flag| flag.owner = None,
        |flag| flag.expires = None,
        |flag| flag.depends_on = Some("search".into()),
    ];
    for spoil in broken {
        let mut spoilt = plan();
        spoil(&mut spoilt.flags[0]);
        let world = World::with(spoilt.clone());
        assert!(world.state.releases.is_empty() && world.state.house.flags.is_empty());
        let mut world = World::scheduled();
        let edit = Command::Edit { release: id(), plan: Box::new(spoilt) };
        let events = world.by("maria", edit);
        let did = events[0].of_release().map(|(_, did)| did);
        let Some(Happened::Refused { why, .. }) = did else { panic!("{events:?}") };
        assert!(matches!(why, Refusal::PlanRefused { .. }), "{why}");
    }
}

#[test]
fn a_plan_that_no_longer_has_a_flag_no_longer_uses_it() {
    let mut world = World::scheduled();
    let mut plan = plan();
    plan.flags.clear();
    plan.scope.features[0].flag = None;
    world.by("maria", Command::Edit { release: id(), plan: Box::new(plan) });
    assert_eq!(record(&world).releases, []);
}

#[test]
fn a_step_of_a_release_tells_how_far_it_is_open() {
    let mut world = half_open();
    let by = record(&world).share.as_ref().map(|share| share.by.clone());
    assert_eq!((share(&world), by), (Some(50.0), Some(SetBy::Release(id()))));
    world.by(
        "john",
        Command::Rollback { release: id(), reason: None, commits: Commitment::default() },
    );
    world.run_ends(30, RunOutcome::Failed("the provider is down".into()));
    assert_eq!(share(&world), Some(50.0), "as far as anybody knows");
    let doubt = record(&world).doubt.as_deref();
    assert_eq!(doubt, Some("a change failed: the provider is down"));
}

#[test]
fn a_flag_of_one_name_at_two_providers_has_to_be_said_in_full() {
    let mut world = World::scheduled();
    let mut other = Record::clone(record(&world));
    other.id = FlagId::from("cloud/new_dashboard_ui");
    Arc::make_mut(&mut world.state.house).flags.insert(other.id.clone(), Arc::new(other));
    let why = said(kills(&mut world, "paula"));
    assert!(why.contains("`cloud/new_dashboard_ui` or `local/new_dashboard_ui`"), "{why}");
    let kill = Command::KillFlag { flag: flag_id() };
    assert_eq!(refusal(&world.by("paula", kill)), None);
    let strange = Command::KillFlag { flag: "serach".into() };
    let why = said(refusal(&world.by("paula", strange)));
    assert!(why.contains("The flag serach") && why.contains("`flag list`"), "{why}");
}

// ---------------------------------------------------------------------------------------------
// Changes by people

/// Its owner is paula, the captain maria, on call are john and jane.
#[test]
fn its_owner_and_the_captain_set_it_and_whoever_is_on_call_may_kill_it() {
    for (person, may_set, may_kill) in [
        ("paula", true, true),
        ("maria", true, true),
        ("john", false, true),
        ("ann", false, false),
        ("eve", false, false),
    ] {
        assert_eq!(sets(&mut World::scheduled(), person, 5.0).is_none(), may_set, "{person}");
        assert_eq!(kills(&mut World::scheduled(), person).is_none(), may_kill, "{person}");
    }
    let why = said(sets(&mut World::scheduled(), "ann", 5.0));
    assert_eq!(
        why,
        "You may not set the flag new_dashboard_ui: that is for paula, captain or the captain of a \
         release that has it."
    );
    // Judged when they ask: whoever handed over is no captain any more.
    let mut world = World::scheduled();
    let machine = Actor::Machine("ci".into());
    let kill = Command::KillFlag { flag: NAME.into() };
    assert_eq!(refusal(&world.asks(machine, kill)), Some(Refusal::NotForMachines));
}

#[test]
fn a_share_is_one_that_its_provider_takes() {
    let mut world = World::scheduled();
    for percent in [-1.0, 100.1, f64::NAN, f64::INFINITY, 0.0001] {
        assert!(matches!(sets(&mut world, "paula", percent), Some(Refusal::BadShare { .. })));
    }
    assert_eq!(sets(&mut world, "paula", 0.5), None);
    ends(&mut world, RunOutcome::Worked);
    let mut policy = policy();
    policy.flags.insert("local".into(), FlagProvider { whole_percents: true });
    world.asks(Actor::Operator, Command::AdoptPolicy { policy: Box::new(policy.clone()) });
    let why = said(sets(&mut world, "paula", 0.5));
    assert!(why.contains("0.5 %") && why.contains("whole number"), "{why}");
    assert_eq!(share(&world), Some(0.5));
    policy.flags.clear();
    world.asks(Actor::Operator, Command::AdoptPolicy { policy: Box::new(policy) });
    assert!(said(sets(&mut world, "paula", 1.0)).contains("[flags.local]"));
    assert!(said(kills(&mut world, "paula")).contains("[flags.local]"));
}

#[test]
fn a_change_is_an_effect_and_its_end_is_told_with_its_time() {
    let mut world = World::counting_down();
    world.effects.clear();
    assert_eq!(sets(&mut world, "maria", 25.0), None);
    let [Effect::Flag { flag, nth: 1, call, stops }] = &world.effects[..] else {
        panic!("{:?}", world.effects)
    };
    assert_eq!((flag, call.action.as_str(), stops.len()), (&flag_id(), SET, 0));
    assert_eq!((call.with["percent"].as_str(), call.with["provider"].as_str()), ("25", "local"));
    assert_eq!(share(&world), None, "nobody has answered yet");
    let again = world.by("paula", Command::SetFlag { flag: NAME.into(), percent: 25.0 });
    assert!(matches!(again[..], [Event::AlreadySo { .. }]), "{again:?}");
    ends(&mut world, RunOutcome::Worked);
    let by = SetBy::Person("maria".into());
    assert_eq!(record(&world).share.as_ref().map(|share| &share.by), Some(&by));
    let told: Vec<_> = world.effects.iter().filter_map(said_to).collect();
    assert_eq!(told, ["release-v1-2-0", "maria", "paula"]);
    // The end of something older says nothing.
    let end = RunEnd::without_output(RunOutcome::Worked);
    let old = Command::FlagChanged { flag: flag_id(), nth: 1, end };
    assert_eq!(world.asks(Actor::Neighbour, old), []);
}

fn said_to(effect: &Effect) -> Option<String> {
    let Effect::Say { to, notice } = effect else { return None };
    let NoticeKind::FlagChanged { after, trouble: None, .. } = &notice.kind else { return None };
    assert_eq!(after.as_deref(), Some("0.0 s"));
    Some(match to {
        Target::Channel { channel, .. } => channel.clone(),
        Target::Person { person, .. } => person.to_string(),
        Target::Courier { name, .. } => name.clone(),
    })
}

#[test]
fn the_kill_switch_holds_the_release_and_it_goes_on_only_with_its_flag() {
    let mut world = half_open();
    world.effects.clear();
    assert_eq!(kills(&mut world, "john"), None);
    let hold = world.release().held.clone().expect("it is on hold");
    assert_eq!(
        (hold.reason.as_str(), hold.by.is_some()),
        ("the flag new_dashboard_ui was switched off", true)
    );
    let flag = world.effects.iter().find(|effect| matches!(effect, Effect::Flag { .. }));
    let Some(Effect::Flag { call, .. }) = flag else { panic!("{:?}", world.effects) };
    assert_eq!((call.action.as_str(), call.limit_ms), (KILL, 30_000));
    ends(&mut world, RunOutcome::Worked);
    assert_eq!(share(&world), Some(0.0));
    let resume = world.by("maria", Command::Resume { release: id() });
    let Some((_, Happened::Refused { why, .. })) = resume[0].of_release() else {
        panic!("{resume:?}")
    };
    assert!(why.to_string().contains("`flag set new_dashboard_ui 50%`"), "{why}");
    assert_eq!(sets(&mut world, "maria", 50.0), None);
    ends(&mut world, RunOutcome::Worked);
    world.by("maria", Command::Resume { release: id() });
    assert_eq!(world.release().held, None);
}

#[test]
fn what_still_opens_a_flag_is_stopped_before_it_is_killed() {
    let mut world = World::soaking_with(flagged());
    world.after(Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    let running = world.release().running().next().expect("the stage runs").id.clone();
    world.effects.clear();
    assert_eq!(kills(&mut world, "john"), None);
    let stops = world.effects.iter().find_map(|effect| {
        let Effect::Flag { stops, .. } = effect else { return None };
        Some(stops)
    });
    let stops: Vec<_> = stops.expect("the kill switch").iter().map(|(run, _)| run).collect();
    assert_eq!(stops, [&running]);
    let began = world.release().running().next().map(|run| run.began);
    assert!(record(&world).is_killed_since(&running, began));
    // A set by a person is stopped and overtaken in the same way.
    let mut world = World::scheduled();
    assert_eq!(sets(&mut world, "paula", 25.0), None);
    let first = run_id(&flag_id(), 1);
    assert!(!record(&world).is_killed_since(&first, None));
    world.now += Duration::seconds(1);
    assert_eq!(kills(&mut world, "paula"), None);
    let Some(Effect::Flag { stops, .. }) = world.effects.last() else { panic!("a kill switch") };
    assert_eq!(stops[0].0, first);
    assert!(record(&world).is_killed_since(&first, None));
    assert!(said(sets(&mut world, "paula", 5.0)).contains("being switched off"));
    ends(&mut world, RunOutcome::Worked);
    world.now += Duration::seconds(1);
    assert_eq!(sets(&mut world, "paula", 5.0), None);
    assert!(!record(&world).is_killed_since(&run_id(&flag_id(), 3), None));
}

#[test]
fn nobody_sets_a_flag_against_the_stage_that_stands_for_it() {
    let mut world = half_open();
    let why = said(sets(&mut world, "maria", 10.0));
    assert!(why.contains("keeps the flag new_dashboard_ui at 50 %"), "{why}");
    assert_eq!(sets(&mut world, "maria", 50.0), None, "that is what it says");
    ends(&mut world, RunOutcome::Worked);
    // Its owner does not answer for the rollout.
    world.by("ann", Command::Hold { release: id(), reason: "slow".into() });
    let why = said(sets(&mut world, "paula", 10.0));
    assert!(why.contains("while Web shop v1.2.0 opens it"), "{why}");
    assert_eq!(sets(&mut world, "maria", 10.0), None);
    ends(&mut world, RunOutcome::Worked);
    let resume = world.by("maria", Command::Resume { release: id() });
    assert!(matches!(resume[0].of_release(), Some((_, Happened::Refused { .. }))), "{resume:?}");
}

#[test]
fn nobody_opens_what_a_rollback_keeps_off() {
    let mut world = half_open();
    world.by(
        "john",
        Command::Rollback { release: id(), reason: None, commits: Commitment::default() },
    );
    assert_eq!(world.release().phase, Phase::RollingBack);
    let why = said(sets(&mut world, "maria", 50.0));
    assert!(why.contains("Its rollback keeps"), "{why}");
    assert_eq!(kills(&mut world, "maria"), None, "twice is once");
}

#[test]
fn a_kill_switch_that_fails_is_told_and_can_be_thrown_again() {
    let mut world = half_open();
    assert_eq!(kills(&mut world, "john"), None);
    let again = world.by("maria", Command::KillFlag { flag: NAME.into() });
    assert!(matches!(again[..], [Event::AlreadySo { .. }]), "{again:?}");
    ends(&mut world, RunOutcome::Failed("the line is dead".into()));
    let told = world.notices().filter_map(|notice| {
        let NoticeKind::FlagChanged { trouble, people, .. } = &notice.kind else { return None };
        Some((trouble.clone(), people.len()))
    });
    assert!(told.collect::<Vec<_>>().contains(&(Some("failed: the line is dead".into()), 1)));
    assert!(record(&world).may_be_open());
    assert_eq!(kills(&mut world, "john"), None);
    ends(&mut world, RunOutcome::Worked);
    assert_eq!((share(&world), record(&world).may_be_open()), (Some(0.0), false));
}

// ---------------------------------------------------------------------------------------------
// Reminders

/// When the owner was reminded, and how often before of cleaning up.
fn reminded(world: &World) -> Vec<(String, u32)> {
    let told = world.notices().filter_map(|notice| {
        let NoticeKind::FlagReminder { at, nth, .. } = &notice.kind else { return None };
        Some((at.format("%Y-%m-%d %H:%M").to_string(), *nth))
    });
    told.collect()
}

fn reminders(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    expected.iter().map(|(at, nth)| ((*at).to_owned(), *nth)).collect()
}

/// Ten in the morning in Los Angeles is 18:00 UTC in winter.
#[test]
fn its_owner_is_reminded_a_week_and_a_day_before_and_weekly_until_it_is_cleaned_up() {
    let mut world = World::scheduled();
    world.by("maria", Command::Scrub { release: id(), reason: "not this year".into() });
    world.wait_until("2027-02-16T00:00:00Z");
    let expected = reminders(&[
        ("2027-01-25 18:00", 0),
        ("2027-01-31 18:00", 0),
        ("2027-02-01 18:00", 1),
        ("2027-02-08 18:00", 2),
        ("2027-02-15 18:00", 3),
    ]);
    assert_eq!(reminded(&world), expected);
    assert_eq!(cleans(&mut world, "paula"), None);
    world.wait_until("2027-06-01T00:00:00Z");
    assert_eq!(reminded(&world), expected, "it is gone");
    let again = world.by("maria", Command::CleanFlag { flag: NAME.into() });
    assert!(matches!(again[..], [Event::AlreadySo { .. }]), "{again:?}");
}

#[test]
fn what_is_open_for_everybody_is_to_be_cleaned_up_and_a_tracker_hears_of_it_once() {
    let mut world = World::with(flagged());
    let mut policy = policy();
    let tracker = "webhook:tracker".parse().expect("a destination");
    policy.audiences.insert(TICKETS.to_owned(), vec![tracker]);
    world.asks(Actor::Operator, Command::AdoptPolicy { policy: Box::new(policy) });
    assert_eq!(sets(&mut world, "paula", 100.0), None);
    ends(&mut world, RunOutcome::Worked);
    let full = world.now;
    world.by("maria", Command::Scrub { release: id(), reason: "by hand".into() });
    world.after(Duration::days(15));
    let day = |days| (full + Duration::days(days)).format("%Y-%m-%d %H:%M").to_string();
    assert_eq!(reminded(&world), [(day(7), 1), (day(14), 2)]);
    let tickets = world.effects.iter().filter(|effect| {
        let Effect::Say { to: Target::Courier { name, .. }, notice } = effect else { return false };
        name == "tracker" && matches!(notice.kind, NoticeKind::FlagTicket { .. })
    });
    assert_eq!(tickets.count(), 1);
    // Less than everybody is a flag in use.
    assert_eq!(sets(&mut world, "paula", 50.0), None);
    ends(&mut world, RunOutcome::Worked);
    let dues = agenda(record(&world), world.policy());
    assert!(
        dues.iter()
            .all(|due| due.key.starts_with("expires") || due.at > world.now + Duration::days(20))
    );
}

#[test]
fn after_a_long_absence_one_reminder_stands_for_those_that_were_missed() {
    let mut world = World::scheduled();
    world.by("maria", Command::Scrub { release: id(), reason: "not this year".into() });
    // Nobody was there from before the first until after the second.
    world.now = time("2027-01-31T20:00:00Z");
    for due in agenda(record(&world), world.policy()) {
        world.asks(Actor::Clock, due.command);
    }
    assert_eq!(reminded(&world), reminders(&[("2027-01-31 20:00", 0)]));
    let left = agenda(record(&world), world.policy());
    let keys: Vec<_> = left.iter().map(|due| due.key.as_str()).collect();
    assert_eq!(keys, ["clean-up/1"]);
}

#[test]
fn who_uses_a_flag_keeps_it_from_being_cleaned_up() {
    let mut world = half_open();
    let why = said(cleans(&mut world, "paula"));
    assert!(why.contains("needs the flag new_dashboard_ui"), "{why}");
    assert!(matches!(cleans(&mut World::scheduled(), "ann"), Some(Refusal::NotYours { .. })));
}

#[test]
fn a_flag_that_comes_back_is_known_anew() {
    let mut world = World::scheduled();
    world.by("maria", Command::Scrub { release: id(), reason: "not this year".into() });
    assert_eq!(sets(&mut world, "paula", 100.0), None);
    ends(&mut world, RunOutcome::Worked);
    assert_eq!(cleans(&mut world, "paula"), None);
    assert!(said(sets(&mut world, "paula", 5.0)).contains("is cleaned up"));
    world.by("maria", Command::Schedule { plan: Box::new(plan()), start: start() });
    let record = record(&world);
    assert_eq!((&record.cleaned, &record.share, record.full_since), (&None, &None, None));
    assert_eq!(record.releases.len(), 2);
}

proptest! {
    /// However long nobody looks, a reminder that was given is not due any more, none is given
    /// twice, and a replay asks for the same.
    #[test]
    fn no_reminder_is_given_twice(gaps in prop::collection::vec(1_i64..400, 1..40)) {
        let mut world = World::scheduled();
        world.by("maria", Command::Scrub { release: id(), reason: "not this year".into() });
        for hours in gaps {
            world.now += Duration::hours(hours);
            let due: Vec<_> = agenda(record(&world), world.policy());
            let due = due.into_iter().filter(|due| due.at <= world.now);
            for due in due.collect::<Vec<_>>() {
                let (first, now) = (world.asks(Actor::Clock, due.command.clone()), world.now);
                prop_assert!(first.len() <= 1);
                prop_assert_eq!(world.asks(Actor::Clock, due.command), []);
                prop_assert!(!agenda(record(&world), world.policy()).iter()
                    .any(|other| other.key == due.key && other.at <= now));
            }
            let left = agenda(record(&world), world.policy());
            prop_assert!(left.iter().all(|due| due.at > world.now), "{:?}", left);
        }
        let told = reminded(&world);
        let times: std::collections::BTreeSet<_> = told.iter().map(|(at, nth)| (at, nth)).collect();
        prop_assert_eq!(times.len(), told.len());
        let mut again = State::default();
        for (at, _, event) in &world.log {
            again.evolve(event, *at);
        }
        prop_assert_eq!(again.house, world.state.house);
    }
}
