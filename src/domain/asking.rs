//! The checklist items that are due around and after the launch: when each phase of them is asked
//! for, once, and which of them what ran has answered already.

use chrono::Duration;

use super::checklist::{Item, ItemState, Mark};
use super::event::Happened;
use super::plan::ItemPhase;
use super::policy::Policy;
use super::report::step_name;
use super::state::{Phase, Release, Step};
use super::time::Time;

/// The phases that are asked for. What is due before the launch stands in its way anyhow, so only
/// its last half hour is.
const PHASES: [ItemPhase; 6] = [
    ItemPhase::T30m,
    ItemPhase::During,
    ItemPhase::First15m,
    ItemPhase::FirstHour,
    ItemPhase::First24h,
    ItemPhase::FirstWeek,
];

/// Ticked by a stage that runs migrations.
const MIGRATED: &str = "database/migrations-finished-as-planned";

/// As people call it.
pub fn words(phase: ItemPhase) -> &'static str {
    match phase {
        ItemPhase::Before => "before the launch",
        ItemPhase::T30m => "the last 30 minutes before the launch",
        ItemPhase::During => "the rollout",
        ItemPhase::First15m => "the first 15 minutes",
        ItemPhase::FirstHour => "the first hour",
        ItemPhase::First24h => "the first 24 hours",
        ItemPhase::FirstWeek => "the first week",
    }
}

/// What nobody has answered of this phase.
pub fn open(release: &Release, phase: ItemPhase) -> impl Iterator<Item = &Item> {
    release.items.iter().filter(move |item| item.phase == phase && item.state == ItemState::Open)
}

/// What is due once the launch has begun and nobody has answered.
pub fn unanswered(release: &Release) -> impl Iterator<Item = &Item> {
    let late = |item: &&Item| item.phase > ItemPhase::T30m && item.state == ItemState::Open;
    release.items.iter().filter(late)
}

/// The phases that will be asked for, each at its time.
pub fn agenda(release: &Release, policy: &Policy) -> Vec<(Time, ItemPhase)> {
    let wanted = |phase: &ItemPhase| {
        !release.items_asked.contains(phase) && open(release, *phase).next().is_some()
    };
    let at = |phase: ItemPhase| Some((due_at(release, policy, phase)?, phase));
    PHASES.into_iter().filter(wanted).filter_map(at).collect()
}

/// When a phase is about to end; a room that closes earlier is asked before that.
fn due_at(release: &Release, policy: &Policy, phase: ItemPhase) -> Option<Time> {
    let length = match phase {
        ItemPhase::Before => return None,
        ItemPhase::T30m => {
            let waits = release.phase.is_before_deploy() && !release.start_missed;
            return waits.then(|| release.start.at - Duration::minutes(30));
        }
        ItemPhase::During => Duration::zero(),
        ItemPhase::First15m => Duration::minutes(15),
        ItemPhase::FirstHour => Duration::hours(1),
        ItemPhase::First24h => Duration::hours(24),
        ItemPhase::FirstWeek => Duration::days(7),
    };
    let done = release.rolled_out_at.filter(|_| release.phase == Phase::Watching)?;
    let end = done + length;
    if release.room.kept {
        return Some(end);
    }
    let watch = policy.timing.watch.duration();
    let last_call = done + watch - (watch / 4).min(Duration::hours(1));
    // The report asks for it: who closes the release is done with watching it.
    let too_late = phase == ItemPhase::FirstWeek && end > done + watch;
    (!too_late).then(|| end.min(last_call))
}

/// The next item that something which ran has answered. Only what worked answers: what failed is
/// an issue by itself, and a person may still say that the item is fine. What somebody opened again
/// is left to people.
pub fn answered(release: &Release) -> Option<Happened> {
    if release.phase.is_before_deploy() || release.phase.is_over() {
        return None;
    }
    let asked = unanswered(release).filter(|item| !release.reopened.contains(&item.id));
    let (item, why) = asked.filter_map(|item| Some((item, proof(release, item)?))).next()?;
    Some(Happened::ItemMarked {
        item: item.id.clone(),
        mark: Mark::Pass,
        by: "tminus".into(),
        why: Some(why),
        link: None,
    })
}

fn proof(release: &Release, item: &Item) -> Option<String> {
    match item.id.as_str() {
        MIGRATED => migrated(release),
        _ => bears_the_name(release, &item.name),
    }
}

/// Each stage that is called a migration worked.
fn migrated(release: &Release) -> Option<String> {
    let stages = release.plan.stages.iter().enumerate();
    let stages = stages.filter(|(_, stage)| stage.name.to_lowercase().contains("migration"));
    let mut names = Vec::new();
    for (at, stage) in stages {
        let run = release.run(&Step::Stage(at))?;
        if run.worked() != Some(true) {
            return None;
        }
        names.push(stage.name.as_str());
    }
    (!names.is_empty()).then(|| format!("{} worked", super::words::and(&names)))
}

/// A stage, smoke test or check that is called like the item worked.
fn bears_the_name(release: &Release, name: &str) -> Option<String> {
    let judges = |step: &Step| matches!(step, Step::Stage(_) | Step::Smoke(_) | Step::Timed(_));
    let runs = release.runs.iter().filter(|run| judges(&run.step));
    let mut alike =
        runs.filter(|run| step_name(release, &run.step).to_lowercase() == name.to_lowercase());
    let run = alike.next_back()?;
    (run.worked() == Some(true)).then(|| "the check of this name worked".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::command::{Command, RunOutcome};
    use crate::domain::fixture::{World, id};
    use crate::domain::notice::NoticeKind;
    use crate::domain::report::Outcome;
    use crate::domain::state::State;

    fn with(mut world: World, items: &[(&str, &str, ItemPhase, Option<&str>)]) -> World {
        let release = world.state.releases.get_mut(&id()).expect("the sample");
        let release = Arc::make_mut(release);
        release.items.extend(items.iter().map(|(id, name, phase, owner)| Item {
            id: (*id).into(),
            section: "after".into(),
            section_title: "After".into(),
            name: (*name).to_owned(),
            owner: owner.map(Into::into),
            evidence: None,
            limit: None,
            phase: *phase,
            state: ItemState::Open,
        }));
        world
    }

    fn watched() -> World {
        with(
            World::rolled_out(),
            &[
                ("after/alerts", "No alerts", ItemPhase::First15m, None),
                ("after/logs", "Logs", ItemPhase::FirstHour, Some("quinn")),
                ("after/errors", "Errors", ItemPhase::FirstHour, Some("ann")),
                ("after/alarms", "No security alerts", ItemPhase::First24h, Some("sec")),
                ("after/measured", "Success is measured", ItemPhase::FirstWeek, Some("paula")),
            ],
        )
    }

    /// When something was asked for, in minutes after the rollout: which items, and of whom.
    fn asked(world: &World) -> Vec<(i64, Vec<String>, Vec<String>)> {
        let done = world.release().rolled_out_at.expect("it is rolled out");
        let asked = world.notices().filter_map(|notice| {
            let NoticeKind::ItemsWanted { at, items, people, .. } = &notice.kind else {
                return None;
            };
            let items = items.iter().map(|item| item.id.to_string()).collect();
            let people = people.iter().map(|who| who.person.to_string()).collect();
            Some(((*at - done).num_minutes(), items, people))
        });
        asked.collect()
    }

    fn marks(world: &mut World, item: &str, mark: Mark, why: Option<&str>) {
        let (release, item, why) = (id(), item.into(), why.map(str::to_owned));
        world.by("maria", Command::Mark { release, item, mark, why, link: None });
    }

    fn state<'a>(world: &'a World, id: &str) -> &'a ItemState {
        let mut items = world.release().items.iter();
        &items.find(|item| item.id.as_str() == id).expect("an item").state
    }

    fn closed(world: &mut World) {
        world.after(Duration::minutes(20));
        world.run_ends(2, RunOutcome::Worked);
        world.after(Duration::hours(25));
        assert_eq!(world.release().phase, Phase::Done);
    }

    #[test]
    fn each_phase_is_asked_for_once_and_its_owners_are_named() {
        let mut world = watched();
        closed(&mut world);
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = [
            (15, list(&["after/alerts"]), list(&["maria"])),
            (60, list(&["after/logs", "after/errors"]), list(&["quinn", "ann"])),
            (23 * 60, list(&["after/alarms"]), list(&["sec"])),
        ];
        assert_eq!(asked(&world), expected, "the last one before the room closes");
        world.after(Duration::days(30));
        assert_eq!(asked(&world).len(), 3, "nobody nags");
    }

    #[test]
    fn a_room_that_is_kept_asks_after_the_first_week_too() {
        let mut world = watched();
        world.by("maria", Command::KeepRoom { release: id() });
        world.after(Duration::minutes(20));
        world.run_ends(2, RunOutcome::Worked);
        world.after(Duration::days(8));
        let when: Vec<_> = asked(&world).into_iter().map(|(at, ..)| at).collect();
        assert_eq!(when, [15, 60, 24 * 60, 7 * 24 * 60]);
    }

    #[test]
    fn what_is_answered_is_not_asked_for() {
        let mut world = watched();
        for item in ["after/alerts", "after/logs", "after/errors", "after/alarms"] {
            marks(&mut world, item, Mark::Pass, None);
        }
        closed(&mut world);
        assert_eq!(asked(&world), []);
    }

    #[test]
    fn what_is_due_half_an_hour_before_is_asked_for_then() {
        let item = ("after/window", "Window confirmed", ItemPhase::T30m, None);
        let mut world = with(World::counting_down(), &[item]);
        let at = world.release().start.at - Duration::minutes(30);
        let due = |world: &World| agenda(world.release(), world.policy());
        assert_eq!(due(&world), [(at, ItemPhase::T30m)]);
        world.after(at - world.now);
        let wanted = |world: &World| {
            world.log.iter().any(|(_, _, e)| format!("{e:?}").contains("ItemsAsked"))
        };
        assert!(wanted(&world));
        assert_eq!(due(&world), [], "asked once");
    }

    #[test]
    fn a_failed_item_is_an_issue_and_an_open_one_is_named_but_fails_nothing() {
        let mut fine = watched();
        closed(&mut fine);
        let result = fine.release().result.as_ref().expect("closed");
        assert_eq!(result.outcome, Outcome::Success);
        let named = fine.notices().find_map(|notice| {
            let NoticeKind::Finished { unanswered, .. } = &notice.kind else { return None };
            Some(unanswered.len())
        });
        assert_eq!(named, Some(5));
        marks(&mut fine, "after/measured", Mark::Pass, None);
        assert!(state(&fine, "after/measured").is_green(), "the week goes on after the closing");

        let mut wrong = watched();
        marks(&mut wrong, "after/logs", Mark::Fail, Some("a new error"));
        closed(&mut wrong);
        let result = wrong.release().result.as_ref().expect("closed");
        assert_eq!(result.outcome, Outcome::Partial);
        assert_eq!(result.issues, ["After → Logs failed: a new error"]);
    }

    #[test]
    fn what_ran_and_worked_ticks_its_item_until_a_person_opens_it_again() {
        let items = [(MIGRATED, "Migrations finished as planned", ItemPhase::First15m, None)];
        let mut world = with(World::started(), &items);
        assert_eq!(*state(&world, MIGRATED), ItemState::Open);
        world.run_ends(130, RunOutcome::Worked);
        assert!(state(&world, MIGRATED).is_green());
        marks(&mut world, MIGRATED, Mark::Reopen, None);
        assert_eq!(*state(&world, MIGRATED), ItemState::Open);

        let mut failed = with(World::started(), &items);
        failed.run_ends(130, RunOutcome::Failed("no".into()));
        assert_eq!(*state(&failed, MIGRATED), ItemState::Open, "a failure ticks nothing");
    }

    #[test]
    fn a_replay_asks_for_the_same() {
        let mut world = World::done();
        world.after(Duration::hours(1));
        let mut again = State::default();
        for (at, _, event) in &world.log {
            again.evolve(event, *at);
        }
        assert_eq!(again.releases, world.state.releases);
    }
}
