//! A feature-flag release: its stages open a flag, and its rollback closes it first.

use super::super::command::{Command, Commitment, RunOutcome};
use super::super::effect::Effect;
use super::super::event::Happened;
use super::super::fixture::{World, id, plan, policy};
use super::super::notice::NoticeKind;
use super::super::policy::FlagProvider;
use super::super::rollout;
use super::super::state::Phase;
use super::*;

const FLAG: &str = r#"
name = "new_dashboard_ui"
owner = "paula"
purpose = "The new dashboard"
expires = "2027-01-04"
"#;

/// The sample's migration and first pod, and then the flag for a half and for everybody.
fn flagged() -> Plan {
    let mut plan = plan();
    plan.flags = vec![toml::from_str(FLAG).expect("a flag")].into();
    for (stage, share) in plan.stages[2..].iter_mut().zip([50.0, 100.0]) {
        stage.action = ActionName::from(SET);
        stage.with.clear();
        stage.flag = Some("new_dashboard_ui".to_owned());
        stage.traffic = Some(share);
    }
    plan
}

/// The flag is open for a half.
fn half_open(plan: Plan) -> World {
    let mut world = World::soaking_with(plan);
    world.after(chrono::Duration::minutes(10));
    world.run_ends(2, RunOutcome::Worked);
    world
}

fn asked_back(mut world: World) -> World {
    let commits = Commitment::default();
    world.by("john", Command::Rollback { release: id(), reason: None, commits });
    world
}

fn steps(world: &World) -> Vec<Step> {
    world.release().running().map(|run| run.step.clone()).collect()
}

fn told(world: &World) -> Vec<(String, Option<String>)> {
    let about = world.notices().filter_map(|notice| {
        let NoticeKind::FlagOff { after, trouble, .. } = &notice.kind else { return None };
        Some((after.clone(), trouble.clone()))
    });
    about.collect()
}

#[test]
fn a_stage_without_an_action_opens_its_flag_for_its_share() {
    let stage: Stage = toml::from_str("name = \"A few\"\nflag = \"x\"").expect("a stage");
    assert!(sets(&stage));
    let world = half_open(flagged());
    let run = world.release().running().next().expect("the stage runs");
    assert_eq!((run.step.clone(), run.action.as_str()), (Step::Stage(2), SET));
    let with: Vec<_> = run.with.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(with, [("flag", "new_dashboard_ui"), ("percent", "50"), ("provider", "local")]);
}

#[test]
fn the_flag_is_off_before_the_first_step_back() {
    let mut world = half_open(flagged());
    world.run_ends(1, RunOutcome::Worked);
    let mut world = asked_back(world);
    assert_eq!(steps(&world), [Step::FlagOff(0)]);
    let run = world.release().running().next().expect("the kill switch");
    assert_eq!((run.action.as_str(), run.with["provider"].as_str()), (KILL, "local"));
    world.run_ends(1, RunOutcome::Worked);
    assert_eq!(told(&world), [("1.0 s".to_owned(), None)]);
    assert_eq!(steps(&world), [Step::Rollback(0)]);
}

#[test]
fn what_opens_it_is_stopped_first_and_whatever_became_of_that_it_is_switched_off() {
    let mut world = asked_back(half_open(flagged()));
    assert_eq!(steps(&world), [Step::Stage(2)], "it is being stopped");
    world.run_ends(1, RunOutcome::Unknown("nobody heard".into()));
    assert_eq!(steps(&world), [Step::FlagOff(0)]);
}

#[test]
fn a_flag_that_stays_on_is_told_and_the_way_back_goes_on() {
    for outcome in [
        RunOutcome::Failed("the provider is down".into()),
        RunOutcome::TimedOut,
        RunOutcome::Unknown("we were away".into()),
    ] {
        let mut world = half_open(flagged());
        world.run_ends(1, RunOutcome::Worked);
        let mut world = asked_back(world);
        world.run_ends(60, outcome);
        let told = told(&world);
        assert!(matches!(told.as_slice(), [(_, Some(_))]), "{told:?}");
        assert_eq!(steps(&world), [Step::Rollback(0)]);
        assert_eq!(world.release().phase, Phase::RollingBack);
        assert!(world.release().unsettled().is_none());
    }
}

#[test]
fn a_flag_that_nothing_has_opened_is_left_alone() {
    let world = World::soaking_with(flagged());
    assert_eq!(steps(&asked_back(world)), [Step::Rollback(0)]);
}

#[test]
fn a_flag_that_only_a_feature_names_is_switched_off_too() {
    let plan = plan();
    assert_eq!(plan.scope.features[0].flag.as_deref(), Some("new_dashboard_ui"));
    assert!(!plan.stages.iter().any(|stage| stage.flag.is_some()), "no stage opens it");
    let mut world = asked_back(World::soaking_with(plan.clone()));
    assert_eq!(steps(&world), [Step::FlagOff(0)]);
    let limits = world.effects.iter().filter_map(|effect| {
        let Effect::Run { call, .. } = effect else { return None };
        (call.action.as_str() == KILL).then_some(call.limit_ms)
    });
    assert_eq!(limits.collect::<Vec<_>>(), [30_000], "well under a minute, whoever is down");
    world.run_ends(30, RunOutcome::Failed("the provider is down".into()));
    assert_eq!(steps(&world), [Step::Rollback(0)]);
    // What nothing has is not asked for.
    let mut bare = plan;
    bare.scope.features[0].flag = None;
    assert_eq!(to_kill(&bare, &policy()).count(), 0);
}

#[test]
fn where_the_flags_suffice_they_are_the_whole_way_back() {
    let mut plan = flagged();
    let back = plan.rollback.as_mut().expect("the sample has a way back");
    back.flags_suffice = true;
    back.verify.clear();
    let mut world = half_open(plan.clone());
    world.run_ends(1, RunOutcome::Worked);
    let mut world = asked_back(world);
    let events = world.run_ends(1, RunOutcome::Worked);
    assert_eq!(world.release().phase, Phase::RolledBack);
    let is_back = |did: &Happened| matches!(did, Happened::RolledBack { .. });
    assert!(events.iter().filter_map(|event| event.of_release()).any(|(_, did)| is_back(did)));

    // Then one that stays on is a rollback that has failed, and can be tried again.
    let mut world = half_open(plan);
    world.run_ends(1, RunOutcome::Worked);
    let mut world = asked_back(world);
    world.run_ends(60, RunOutcome::Failed("the provider is down".into()));
    assert_eq!(world.release().phase, Phase::RollbackFailed);
    let run = world.release().unsettled().expect("it waits for somebody");
    assert!(rollout::how_it_ended(run).contains("the provider is down"));
    world.by("john", Command::Retry { release: id(), run: None });
    assert_eq!(steps(&world), [Step::FlagOff(0)]);
    world.run_ends(1, RunOutcome::Worked);
    assert_eq!(world.release().phase, Phase::RolledBack);
}

#[test]
fn a_flag_is_kept_by_whom_the_plan_names_or_by_the_only_one() {
    let mut flag: Flag = toml::from_str(FLAG).expect("a flag");
    let mut policy = policy();
    assert_eq!(provider(&flag, &policy), Some("local"));
    policy.flags.insert("unleash".to_owned(), FlagProvider { whole_percents: true });
    assert_eq!(provider(&flag, &policy), None, "nobody knows which");
    flag.provider = Some("unleash".to_owned());
    assert_eq!(provider(&flag, &policy), Some("unleash"));
    flag.provider = Some("cloud".to_owned());
    assert_eq!(provider(&flag, &policy), None);
}
