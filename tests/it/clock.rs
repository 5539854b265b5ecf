//! The loop that follows the agenda, on a machine whose clock somebody sets.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration as Wait;

use chrono::{DateTime, Duration, Utc};
use tempfile::TempDir;
use tminus::app::clock::{self, Clock, Source};
use tminus::app::engine::Engine;
use tminus::domain::command::{Actor, Claims, Command, Commitment, Request, RunEnd, RunOutcome};
use tminus::domain::event::{Event, Happened};
use tminus::domain::ids::{Account, ReleaseId};
use tminus::domain::plan::Plan;
use tminus::domain::policy::{Policy, Rules};
use tminus::domain::state::{Phase, Release, Start};
use tminus::domain::zone::Zone;
use tminus::store::{NewEntry, Store, Which};
use tokio_util::sync::CancellationToken;

use crate::installed::{Installed, until};
use crate::sample;

const T0: &str = "2026-12-15T18:00:00Z";
const PATIENCE: Wait = Wait::from_secs(30);

/// A machine whose two clocks are moved by hand.
#[derive(Debug, Clone)]
struct Hands(Arc<Mutex<(DateTime<Utc>, Wait)>>);

impl Source for Hands {
    fn wall(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().0
    }

    fn steady(&self) -> Wait {
        self.0.lock().unwrap().1
    }
}

impl Hands {
    fn passes(&self, time: Duration) {
        let mut both = self.0.lock().unwrap();
        both.0 += time;
        both.1 += time.to_std().unwrap();
    }

    /// Somebody sets the clock; no time passes.
    fn is_set(&self, by: Duration) {
        self.0.lock().unwrap().0 += by;
    }
}

struct House {
    engine: Engine,
    hands: Hands,
    stop: CancellationToken,
    _dir: TempDir,
}

fn person(name: &str) -> Actor {
    Actor::Person { account: Account::new("console", "local", name), claims: Claims::default() }
}

fn id() -> ReleaseId {
    ReleaseId::of("web-shop", "production", "v1.2.0", 1)
}

/// The sample, without anything that a person would have to agree to.
fn agreed() -> (Policy, Plan) {
    let (mut policy, mut plan) = sample::policy_and_plan();
    policy.roles.values_mut().for_each(|role| role.required = false);
    policy.checklist.values_mut().for_each(|section| section.items.clear());
    policy.rules = Rules { rehearse_rollback: false, ..Rules::default() };
    policy.rules.required_evidence.clear();
    plan.signoff.roles.clear();
    plan.checklist.items.clear();
    (policy, plan)
}

/// The release starts in an hour, and the real loop follows the agenda.
async fn house() -> House {
    let at: DateTime<Utc> = T0.parse().unwrap();
    let hands = Hands(Arc::new(Mutex::new((at - Duration::hours(1), Wait::from_secs(7)))));
    let dir = TempDir::new().unwrap();
    let clock = Clock::over(Box::new(hands.clone()));
    let engine = Engine::start(Store::open(dir.path()).await.unwrap(), clock).await.unwrap();
    let house = House { engine, hands, stop: CancellationToken::new(), _dir: dir };
    let (policy, plan) = agreed();
    house.asks(Actor::Operator, Command::Begin { jumpable: false }).await;
    house.asks(Actor::Operator, Command::AdoptPolicy { policy: Box::new(policy) }).await;
    let zone = Zone::utc();
    let start = Start { local: at.naive_utc(), zone, at };
    let schedule = Command::Schedule { plan: Box::new(plan), start };
    let scheduled = house.asks(person("maria"), schedule).await;
    assert!(matches!(&scheduled[0], Event::Release { .. }), "{scheduled:?}");
    tokio::spawn(clock::follow_agenda(house.engine.clone(), house.stop.clone()));
    house
}

impl House {
    async fn asks(&self, by: Actor, command: Command) -> Vec<Event> {
        let id = format!("test/{}", self.engine.counts().0);
        let answer = self.engine.ask(Request { id, by, command }).await.unwrap();
        answer.events.into_iter().map(|(_, event)| event).collect()
    }

    /// Whatever is committed wakes the loop, as anything does that a person says.
    async fn wakes(&self) {
        let text = "still here".to_owned();
        self.asks(person("maria"), Command::Update { release: id(), text }).await;
    }

    fn release(&self) -> Release {
        Release::clone(&self.engine.state().releases[&id()])
    }

    async fn until(&self, what: &str, holds: impl Fn(&Release) -> bool) {
        let mut commits = self.engine.commits();
        let seen = async {
            while !holds(&self.release()) {
                commits.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, seen).await;
        assert!(found.is_ok(), "never {what}: {:?}", self.release().phase);
    }

    /// Everything that the log says, in the words of its events.
    async fn log(&self) -> Vec<(DateTime<Utc>, Event)> {
        let entries = self.engine.store().reader().entries(&Which::default()).await.unwrap();
        let read = |entry: &tminus::store::Entry| serde_json::from_str(&entry.event).unwrap();
        entries.iter().map(|entry| (entry.at, read(entry))).collect()
    }

    async fn leaps(&self) -> Vec<Duration> {
        let leap = |(_, event): &(DateTime<Utc>, Event)| {
            let Event::ClockLeapt { expected, found } = event else { return None };
            Some(*found - *expected)
        };
        self.log().await.iter().filter_map(leap).collect()
    }

    /// The one that runs ends well.
    async fn run_ends(&self) {
        self.until("a run began", |release| release.running().next().is_some()).await;
        let run = self.release().running().next().unwrap().id.clone();
        let end = RunEnd::without_output(RunOutcome::Worked);
        self.asks(Actor::Neighbour, Command::Ended { release: id(), run, end }).await;
    }

    async fn soaks(&self) {
        self.hands.passes(Duration::hours(1));
        self.wakes().await;
        self.until("offered", |release| release.start_offered).await;
        let commits = Commitment::default();
        self.asks(person("maria"), Command::Start { release: id(), commits }).await;
        while !matches!(self.release().phase, Phase::Soaking { .. }) {
            self.run_ends().await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_soak_goes_on_by_itself_when_its_time_has_really_passed() {
    let house = house().await;
    house.soaks().await;
    house.hands.passes(Duration::hours(2));
    house.wakes().await;
    house.until("soaked", |release| !matches!(release.phase, Phase::Soaking { .. })).await;
    assert_eq!(house.release().held, None);
    assert_eq!(house.leaps().await, []);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_is_noticed_before_anything_falls_due_by_it() {
    let house = house().await;
    house.soaks().await;
    house.hands.is_set(Duration::hours(2));
    house.wakes().await;
    house.until("held", |release| release.held.is_some()).await;
    assert_eq!(house.leaps().await, [Duration::hours(2)]);
    assert!(matches!(house.release().phase, Phase::AtGate { .. }));
    let log = house.log().await;
    let place = |holds: &dyn Fn(&Event) -> bool| {
        log.iter().position(|(_, event)| holds(event)).expect("it is in the log")
    };
    let ended = |event: &Event| matches!(event.of_release(), Some((_, Happened::SoakEnded { .. })));
    assert!(place(&|event| matches!(event, Event::ClockLeapt { .. })) < place(&ended));
    // Once it is on record it is over: what comes next is measured again.
    house.hands.passes(Duration::hours(1));
    house.wakes().await;
    assert_eq!(house.leaps().await, [Duration::hours(2)]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_is_noticed_and_time_stands_until_it_has_caught_up() {
    let house = house().await;
    let before = house.engine.now();
    assert_eq!(house.engine.behind(), None);
    house.hands.is_set(-Duration::hours(3));
    house.wakes().await;
    let mut commits = house.engine.commits();
    while house.leaps().await.is_empty() {
        tokio::time::timeout(PATIENCE, commits.changed()).await.unwrap().unwrap();
    }
    assert_eq!(house.leaps().await, [-Duration::hours(3)]);
    assert!(house.engine.now() >= before);
    let trouble = house.engine.behind().expect("it stands behind the log");
    assert!(trouble.starts_with("the machine's clock is 3 h behind the log"), "{trouble}");

    house.hands.passes(Duration::hours(4));
    house.wakes().await;
    house.until("offered", |release| release.start_offered).await;
    assert_eq!(house.engine.behind(), None);
    let log = house.log().await;
    assert!(log.is_sorted_by_key(|(at, _)| *at), "time in the log never goes back");
}

/// As if the clock had been a day ahead when the last entry was written.
async fn from_tomorrow(state: &Path) {
    let store = Store::open(state).await.unwrap();
    let event = Event::AlreadySo { verb: "start".into(), what: "It was so.".into() };
    let entry = NewEntry {
        at: Utc::now() + Duration::days(1),
        actor: "\"clock\"".into(),
        request: "test/tomorrow".into(),
        release: None,
        schema: tminus::domain::event::SCHEMA,
        event: serde_json::to_string(&event).unwrap(),
    };
    let entries = vec![entry];
    store.commit(&tminus::store::Batch { entries, ..Default::default() }).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn doctor_and_readiness_say_that_the_clock_stands_behind_the_log() {
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let config = config.replace("{demo_url}", "http://127.0.0.1:9");
    let here =
        Installed::new(&format!("{config}\n[console.tokens]\nmaria = {{ env = \"TOKEN\" }}"))
            .with_env("TOKEN", "maria-0123456789abcdef0123456789abcdef");
    let running = here.start().await;
    assert_eq!(running.get("/readyz").await.0, 200);
    assert!(running.stopped().await.success());
    from_tomorrow(&here.state()).await;
    let said = "behind the log, whose last entry";
    here.cli(&["doctor"]).await.expect(1, &["✗ clock: the machine's clock is ", said]);
    let running = here.start().await;
    until("it is not ready", async || {
        let (status, text) = running.get("/readyz").await;
        status == 503 && text.contains(said)
    })
    .await;
    assert!(running.stopped().await.success());
}
