//! The rules under every sequence of requests that people, clock and neighbours may come up with.

use std::collections::BTreeSet;

use chrono::{Duration, TimeZone, Utc};
use proptest::prelude::*;
use tminus::domain::agenda::{self, Scope};
use tminus::domain::checklist::Mark;
use tminus::domain::command::{
    Actor, Claims, Command, Commitment, EvidenceReport, FreezeWish, Request, RunEnd, RunOutcome,
    Vote,
};
use tminus::domain::decide::decide;
use tminus::domain::effect::Effect;
use tminus::domain::event::{Event, Happened};
use tminus::domain::ids::{Account, FreezeId, ReleaseId, RunId};
use tminus::domain::plan::{EvidenceKind, Finding, Plan};
use tminus::domain::policy::Policy;
use tminus::domain::react::react;
use tminus::domain::state::{Phase, Start, State};
use tminus::domain::time::Time;
use tminus::domain::{freeze, verdict};

use crate::sample;
use crate::zones::{berlin, lord_howe, los_angeles};

/// One thing that somebody does.
#[derive(Debug, Clone)]
enum Act {
    Vote {
        who: usize,
        role: usize,
        go: bool,
        stale: bool,
    },
    Mark {
        who: usize,
        item: usize,
        mark: u8,
    },
    Report {
        who: usize,
        kind: usize,
        finding: u8,
    },
    Override {
        who: usize,
        which: usize,
    },
    Start(usize),
    Advance(usize),
    Hold(usize),
    Resume(usize),
    Retry(usize),
    Outcome {
        who: usize,
        worked: bool,
    },
    Rollback(usize),
    Rehearse(usize),
    Verify(usize),
    Complete(usize),
    Move {
        who: usize,
        minutes: i64,
    },
    Freeze {
        who: usize,
        hours: i64,
    },
    Thaw(usize),
    Scrub(usize),
    /// A run ends, well or badly.
    End {
        which: usize,
        how: u8,
    },
    /// The next deadline falls due.
    Jump,
    /// Time passes, or the wall clock goes back.
    Wait(i64),
}

const PEOPLE: [&str; 11] =
    ["maria", "ann", "quinn", "paula", "sam", "sid", "dave", "john", "jane", "erin", "nobody"];
const ROLES: [&str; 5] = ["engineering", "qa", "product", "support", "security"];

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..PEOPLE.len();
    prop_oneof![
        6 => (who(), 0..ROLES.len(), prop::bool::weighted(0.85), prop::bool::weighted(0.1))
            .prop_map(|(who, role, go, stale)| Act::Vote { who, role, go, stale }),
        1 => (who(), 0..40usize, 0..4u8).prop_map(|(who, item, mark)| Act::Mark { who, item, mark }),
        1 => (who(), 0..11usize, 0..4u8)
            .prop_map(|(who, kind, finding)| Act::Report { who, kind, finding }),
        1 => (who(), 0..6usize).prop_map(|(who, which)| Act::Override { who, which }),
        3 => who().prop_map(Act::Start),
        3 => who().prop_map(Act::Advance),
        1 => who().prop_map(Act::Hold),
        2 => who().prop_map(Act::Resume),
        1 => who().prop_map(Act::Retry),
        1 => (who(), any::<bool>()).prop_map(|(who, worked)| Act::Outcome { who, worked }),
        1 => who().prop_map(Act::Rollback),
        2 => who().prop_map(Act::Rehearse),
        1 => who().prop_map(Act::Verify),
        1 => who().prop_map(Act::Complete),
        1 => (who(), -600..6_000i64).prop_map(|(who, minutes)| Act::Move { who, minutes }),
        1 => (who(), 1..100i64).prop_map(|(who, hours)| Act::Freeze { who, hours }),
        1 => who().prop_map(Act::Thaw),
        1 => prop::bool::weighted(0.1).prop_flat_map(move |really| match really {
            true => who().prop_map(Act::Scrub).boxed(),
            false => Just(Act::Jump).boxed(),
        }),
        8 => (0..4usize, 0..12u8).prop_map(|(which, how)| Act::End { which, how }),
        8 => Just(Act::Jump),
        2 => (-120..600i64).prop_map(Act::Wait),
    ]
}

/// A house with one release, and everything that happened in it.
struct World {
    state: State,
    now: Time,
    log: Vec<(Event, Time)>,
    runs: Vec<(ReleaseId, RunId)>,
    release: ReleaseId,
    asked: u64,
}

impl World {
    fn open(plan: &Plan, policy: &Policy, start: Start) -> Self {
        let mut world = Self {
            state: State::default(),
            now: start.at - Duration::hours(72),
            log: Vec::new(),
            runs: Vec::new(),
            release: ReleaseId::of("web-shop", "production", "v1.2.0", 1),
            asked: 0,
        };
        world.ask(Actor::Operator, Command::Begin { jumpable: true });
        let policy = Box::new(policy.clone());
        world.ask(Actor::Operator, Command::AdoptPolicy { policy });
        let schedule = Command::Schedule { plan: Box::new(plan.clone()), start };
        let events = world.ask(person("maria"), schedule);
        assert!(matches!(events[0], Event::Release { .. }), "{events:?}");
        world
    }

    fn ask(&mut self, by: Actor, command: Command) -> Vec<Event> {
        self.asked += 1;
        let at = self.state.last_at.map_or(self.now, |last| last.max(self.now));
        let request = Request { id: self.asked.to_string(), by, command };
        let before = self.state.clone();
        let events = decide(&self.state, &request, self.now);
        for event in &events {
            self.state.evolve(event, at);
            self.log.push((event.clone(), at));
            for effect in react(&self.state, event, at) {
                if let Effect::Run { release, run, .. } = effect {
                    self.runs.push((release, run));
                }
            }
            self.judge(&before, event, at);
        }
        events
    }

    /// What must hold of every event, whatever came before it.
    fn judge(&self, before: &State, event: &Event, at: Time) {
        let Event::Release { release, did } = event else { return };
        let now = &self.state.releases[release];
        if let Happened::Started { .. } = did {
            let was = &before.releases[release];
            let policy = before.house.policy();
            assert_eq!(verdict::reasons(was, policy), [], "started without verdict go");
            assert_eq!(was.held, None, "started on hold");
            let frozen =
                freeze::covering(&before.house, policy, "web-shop", "production", at).is_some();
            assert!(!frozen || was.is_overridden("freeze"), "started in a freeze");
            assert!(was.start.at <= at, "started before T-0");
        }
        if let Happened::Overridden { person, .. } = did {
            assert_eq!(person.as_str(), "maria", "only the captain's role may override");
        }
        if let Happened::VoteCast { role, person, .. } = did {
            let policy = before.house.policy();
            assert!(policy.roles[role].members.contains(person), "a vote from outside the role");
        }
        let changing = now.running().filter(|run| run.step.changes_target()).count();
        assert!(changing <= 1, "two steps change the target at once");
    }

    fn act(&mut self, act: &Act) {
        let release = self.release.clone();
        let id = || release.clone();
        let commits = Commitment::default;
        let reason = || "because".to_owned();
        let current = self.state.releases[&release].clone();
        let (who, command) = match act {
            Act::Vote { who, role, go, stale } => {
                let vote = if *go { Vote::Go } else { Vote::NoGo { reason: reason() } };
                let revision = current.poll_revision + u32::from(*stale);
                let commits = Commitment { revision: Some(revision), ..commits() };
                let role = Some(ROLES[*role].into());
                (who, Command::Vote { release: id(), role, vote, commits })
            }
            Act::Mark { who, item, mark } => {
                let item = current.items[item % current.items.len()].id.clone();
                let mark = [Mark::Pass, Mark::Fail, Mark::Waive, Mark::Reopen][*mark as usize];
                let why = Some(reason());
                (who, Command::Mark { release: id(), item, mark, why, link: None })
            }
            Act::Report { who, kind, finding } => {
                let result = match finding {
                    0 => Finding::Fail,
                    1 => Finding::PassWithWarnings,
                    _ => Finding::Pass,
                };
                let kind = EvidenceKind::ALL[*kind];
                let report = EvidenceReport { kind, result, link: None, note: None };
                (who, Command::Report { release: id(), report })
            }
            Act::Override { who, which } => {
                let reasons = verdict::reasons(&current, self.state.house.policy());
                let obstacle = reasons.get(*which).map(verdict::Reason::obstacle);
                let obstacle = obstacle.unwrap_or("freeze".into());
                (who, Command::Override { release: id(), obstacle, reason: reason() })
            }
            Act::Start(who) => (who, Command::Start { release: id(), commits: commits() }),
            Act::Advance(who) => (who, Command::Advance { release: id(), commits: commits() }),
            Act::Hold(who) => (who, Command::Hold { release: id(), reason: reason() }),
            Act::Resume(who) => (who, Command::Resume { release: id() }),
            Act::Retry(who) => (who, Command::Retry { release: id(), run: None }),
            Act::Outcome { who, worked } => {
                let worked = *worked;
                (who, Command::Outcome { release: id(), run: None, worked, reason: reason() })
            }
            Act::Rollback(who) => {
                (who, Command::Rollback { release: id(), reason: None, commits: commits() })
            }
            Act::Rehearse(who) => (who, Command::RehearseRollback { release: id() }),
            Act::Verify(who) => (who, Command::Verify { release: id() }),
            Act::Complete(who) => (who, Command::Complete { release: id() }),
            Act::Move { who, minutes } => {
                let at = current.start.at + Duration::minutes(*minutes);
                let zone = current.start.zone;
                let start = Start { local: at.with_timezone(&zone).naive_local(), zone, at };
                (who, Command::Reschedule { release: id(), start, reason: None })
            }
            Act::Freeze { who, hours } => {
                let freeze = FreezeWish {
                    from: self.now,
                    until: self.now + Duration::hours(*hours),
                    reason: reason(),
                    service: None,
                    environment: None,
                };
                (who, Command::AddFreeze { id: FreezeId::from("f1"), freeze })
            }
            Act::Thaw(who) => {
                (who, Command::LiftFreeze { id: FreezeId::from("f1"), reason: reason() })
            }
            Act::Scrub(who) => (who, Command::Scrub { release: id(), reason: reason() }),
            Act::End { which, how } => return self.end_run(*which, *how),
            Act::Jump => return self.jump(),
            Act::Wait(minutes) => {
                self.now += Duration::minutes(*minutes);
                return self.fire();
            }
        };
        self.ask(person(PEOPLE[*who]), command);
        self.fire();
    }

    fn end_run(&mut self, which: usize, how: u8) {
        if self.runs.is_empty() {
            return;
        }
        let (release, run) = self.runs.remove(which % self.runs.len());
        let outcome = match how {
            0 => RunOutcome::Failed("exit status 1".into()),
            1 => RunOutcome::TimedOut,
            2 => RunOutcome::Unknown("nobody knows".into()),
            3 => RunOutcome::Stopped,
            _ => RunOutcome::Worked,
        };
        let end = RunEnd::without_output(outcome);
        let command = Command::Ended { release, run, end };
        self.ask(Actor::Neighbour, command.clone());
        // The same end twice changes nothing.
        assert_eq!(self.ask(Actor::Neighbour, command), []);
    }

    fn jump(&mut self) {
        let next = self.agenda().into_iter().map(|due| due.at).min();
        if let Some(at) = next {
            self.now = self.now.max(at);
        }
        self.fire();
    }

    fn agenda(&self) -> Vec<agenda::Due> {
        agenda::scopes(&self.state).flat_map(|scope| agenda::agenda(&self.state, &scope)).collect()
    }

    /// As the clock does: what is due is asked for, the earliest first, until nothing is.
    fn fire(&mut self) {
        for _ in 0..200 {
            let now = self.state.last_at.map_or(self.now, |last| last.max(self.now));
            let mut due = self.agenda();
            due.retain(|due| due.at <= now);
            due.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
            let Some(first) = due.into_iter().next() else { return };
            let events = self.ask(Actor::Clock, first.command.clone());
            assert!(!events.is_empty(), "{} decides to nothing while it is due", first.key);
            for event in &events {
                let refused = matches!(
                    event,
                    Event::Refused { .. } | Event::Release { did: Happened::Refused { .. }, .. }
                );
                assert!(!refused, "the agenda asked for what is refused: {event:?}");
            }
            let again = self.agenda();
            let still = again.iter().any(|due| due.key == first.key && due.at <= first.at);
            assert!(!still, "{} is still due after it was decided", first.key);
        }
        panic!("the agenda never runs dry");
    }

    /// Through JSON, as the log keeps it.
    fn replayed(&self) -> State {
        let mut state = State::default();
        for (event, at) in &self.log {
            let text = serde_json::to_string(event).unwrap();
            state.evolve(&serde_json::from_str(&text).unwrap(), *at);
        }
        state
    }
}

fn person(name: &str) -> Actor {
    Actor::Person { account: Account::new("console", "local", name), claims: Claims::default() }
}

/// Starts around the hour that the zone skips or doubles, and in between.
fn starts() -> impl Strategy<Value = Start> {
    let zone = prop_oneof![Just(los_angeles()), Just(berlin()), Just(lord_howe())];
    let around = prop_oneof![
        Just(Utc.with_ymd_and_hms(2027, 3, 14, 10, 0, 0).unwrap()),
        Just(Utc.with_ymd_and_hms(2027, 3, 28, 1, 0, 0).unwrap()),
        Just(Utc.with_ymd_and_hms(2027, 10, 31, 1, 0, 0).unwrap()),
        Just(Utc.with_ymd_and_hms(2027, 11, 7, 9, 0, 0).unwrap()),
        Just(Utc.with_ymd_and_hms(2027, 6, 1, 17, 0, 0).unwrap()),
    ];
    (zone, around, -3_000..3_000i64).prop_map(|(zone, around, minutes)| {
        let at = around + Duration::minutes(minutes);
        Start { local: at.with_timezone(&zone).naive_local(), zone, at }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_people_do_the_rules_hold_and_the_log_replays(
        start in starts(),
        agreed in any::<bool>(),
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let (policy, plan) = sample::policy_and_plan();
        let mut world = World::open(&plan, &policy, start);
        // Half of the walks begin with everyone at go, so that they get far.
        if agreed {
            agree(&mut world);
        }
        for act in &acts {
            world.act(act);
        }
        let replayed = world.replayed();
        prop_assert_eq!(&replayed, &world.state);
        let kept = tminus::app::replay::body(&replayed).unwrap();
        let read: State = serde_json::from_str(&kept).unwrap();
        prop_assert_eq!(&read, &replayed);
        for scope in agenda::scopes(&world.state).collect::<BTreeSet<Scope>>() {
            prop_assert_eq!(
                agenda::agenda(&replayed, &scope),
                agenda::agenda(&world.state, &scope)
            );
        }
    }
}

/// The random walk must reach the far corners, or it proves nothing.
#[test]
fn a_release_walks_from_t_minus_72h_to_its_report() {
    let mut world = walked(&[]);
    let release = &world.state.releases[&world.release];
    assert_eq!(release.phase, Phase::Watching);
    assert_eq!(release.smoke, Some((1, 1)));
    while world.state.releases[&world.release].phase != Phase::Done {
        finish_runs(&mut world);
        world.jump();
    }
    let result = world.state.releases[&world.release].result.clone().unwrap();
    assert_eq!(result.outcome.word(), "SUCCESS");
    assert_eq!(result.state.word(), "DEPLOYED");
}

#[test]
fn a_failed_stage_holds_and_a_rollback_brings_the_old_version_back() {
    let mut world = walked(&["stage-3"]);
    let release = world.release.clone();
    let held = world.state.releases[&release].held.clone().expect("a failed step holds");
    assert_eq!(held.reason, "Pod 2 failed: exit status 1");
    let commits = Commitment {
        from: Some("v1.2.0".into()),
        to: Some("v1.1.9".into()),
        ..Commitment::default()
    };
    let rollback = Command::Rollback { release: release.clone(), reason: None, commits };
    world.ask(person("john"), rollback);
    finish_runs(&mut world);
    let now = &world.state.releases[&release];
    assert_eq!(now.phase, Phase::RolledBack);
    assert_eq!(now.result.as_ref().map(|result| result.state.word()), Some("ROLLED_BACK"));
    let locked = ("web-shop/production".to_owned(), "v1.2.0".to_owned());
    assert!(world.state.house.locks.contains_key(&locked), "the version is locked");
}

/// Through votes, rehearsal and start, as far as it goes when these runs fail.
fn walked(failing: &[&str]) -> World {
    let (policy, plan) = sample::policy_and_plan();
    let zone = los_angeles();
    let at = Utc.with_ymd_and_hms(2026, 12, 15, 18, 0, 0).unwrap();
    let start = Start { local: at.with_timezone(&zone).naive_local(), zone, at };
    let mut world = World::open(&plan, &policy, start);
    let release = world.release.clone();
    agree(&mut world);
    assert_eq!(world.state.releases[&release].phase, Phase::Ready);
    while !world.state.releases[&release].start_offered {
        world.jump();
    }
    let start = Command::Start { release: release.clone(), commits: Commitment::default() };
    world.ask(person("maria"), start);
    for _ in 0..60 {
        if let Some((_, run)) = world.runs.first()
            && failing.iter().any(|part| run.as_str().contains(part))
        {
            world.end_run(0, 0);
            return world;
        }
        finish_runs_one(&mut world);
        let current = world.state.releases[&release].clone();
        if current.phase == Phase::Watching && current.smoke.is_some() {
            return world;
        }
        if let Phase::Soaking { .. } = current.phase {
            world.jump();
        }
        if let Phase::AtGate { stage } = current.phase
            && current.advance_asked.contains(&stage)
        {
            let commits = Commitment::default();
            world.ask(person("maria"), Command::Advance { release: release.clone(), commits });
        }
    }
    panic!("it never got there: {:?}", world.state.releases[&release].phase);
}

/// The way back is rehearsed, and everyone says go.
fn agree(world: &mut World) {
    let release = world.release.clone();
    world.ask(person("dave"), Command::RehearseRollback { release: release.clone() });
    finish_runs(world);
    for (who, role) in ["ann", "quinn", "paula", "sam", "sid"].iter().zip(ROLES) {
        let (role, commits) = (Some(role.into()), Commitment::default());
        let vote = Command::Vote { release: release.clone(), role, vote: Vote::Go, commits };
        world.ask(person(who), vote);
    }
}

fn finish_runs_one(world: &mut World) {
    if !world.runs.is_empty() {
        world.end_run(0, 9);
    }
}

fn finish_runs(world: &mut World) {
    while !world.runs.is_empty() {
        finish_runs_one(world);
    }
}
