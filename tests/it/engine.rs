//! The single writer: once only, all or nothing, and seen by readers only when it is durable.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use tempfile::TempDir;
use tminus::app::clock::Clock;
use tminus::app::delivery::{Delivery, Neighbours, World};
use tminus::app::engine::{Answer, Engine};
use tminus::app::messages::Messages;
use tminus::app::replay::replay;
use tminus::domain::command::{Actor, Claims, Command, Commitment, Request, Vote};
use tminus::domain::event::{Event, Happened};
use tminus::domain::ids::{Account, ReleaseId};
use tminus::domain::refusal::Refusal;
use tminus::domain::state::{Start, State};
use tminus::ports::{Deployer, Failure, Line, Outcome, Ran, Run, Sighting};
use tminus::store::{Delivery as Tried, Finding, OpenError, Store, Which, verify};
use tokio_util::sync::CancellationToken;

use crate::program::glances;
use crate::sample;
use crate::zones::los_angeles;

const T0: &str = "2026-12-15T18:00:00Z";

struct House {
    engine: Engine,
    clock: Clock,
    release: ReleaseId,
    _dir: TempDir,
}

fn person(name: &str) -> Actor {
    Actor::Person { account: Account::new("console", "local", name), claims: Claims::default() }
}

fn request(id: &str, who: &str, command: Command) -> Request {
    Request { id: id.into(), by: person(who), command }
}

fn vote(release: &ReleaseId, reason: &str) -> Command {
    Command::Vote {
        release: release.clone(),
        role: Some("qa".into()),
        vote: Vote::NoGo { reason: reason.into() },
        commits: Commitment::default(),
    }
}

async fn house() -> House {
    let dir = TempDir::new().unwrap();
    let at: chrono::DateTime<chrono::Utc> = T0.parse().unwrap();
    let clock = Clock::standing(at - chrono::Duration::hours(72));
    let engine =
        Engine::start(Store::open(dir.path()).await.unwrap(), clock.clone()).await.unwrap();
    let (policy, plan) = sample::policy_and_plan();
    let operator = |id: &str, command| Request { id: id.into(), by: Actor::Operator, command };
    engine.ask(operator("begin", Command::Begin { jumpable: true })).await.unwrap();
    let policy = Command::AdoptPolicy { policy: Box::new(policy) };
    engine.ask(operator("policy", policy)).await.unwrap();
    let zone = los_angeles();
    let start = Start { local: at.with_timezone(&zone).naive_local(), zone, at };
    let schedule = Command::Schedule { plan: Box::new(plan), start };
    engine.ask(request("schedule", "maria", schedule)).await.unwrap();
    let release = ReleaseId::of("web-shop", "production", "v1.2.0", 1);
    House { engine, clock, release, _dir: dir }
}

#[tokio::test]
async fn the_same_request_twice_acts_once_and_gets_the_same_answer() {
    let house = house().await;
    let click = || request("click-1", "quinn", vote(&house.release, "the cart is broken"));
    let first = house.engine.ask(click()).await.unwrap();
    let head = house.engine.store().head();
    let second = house.engine.ask(click()).await.unwrap();
    assert_eq!(first.events, second.events);
    assert!(!first.repeated && second.repeated);
    assert_eq!(house.engine.store().head(), head, "nothing was written the second time");
}

#[tokio::test]
async fn the_same_request_twice_within_one_batch_acts_once() {
    let house = house().await;
    let click = || request("click-1", "quinn", vote(&house.release, "the cart is broken"));
    let answers = house.engine.ask_all(vec![click(), click(), click()]).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers[0].events, answers[1].events);
    assert_eq!(answers[0].events, answers[2].events);
    let cast =
        |event: &Event| matches!(event, Event::Release { did: Happened::VoteCast { .. }, .. });
    let which = Which { request: Some("click-1".into()), ..Which::default() };
    let entries = house.engine.store().reader().entries(&which).await.unwrap();
    assert_eq!(entries.len(), answers[0].events.len());
    assert_eq!(answers[0].events.iter().filter(|(_, event)| cast(event)).count(), 1);
}

/// Asked while a hold is on its way, somebody's word has its answer when the hold's moment is over.
#[tokio::test]
async fn what_can_wait_stands_aside_for_a_hold() {
    let house = house().await;
    let begun = Instant::now();
    let hold = Command::Hold { release: house.release.clone(), reason: "errors".into() };
    let hold = house.engine.ask(request("hold-1", "john", hold));
    let word = house.engine.ask(request("vote-1", "quinn", vote(&house.release, "not yet")));
    let ((), ()) = tokio::join!(async { drop(hold.await.unwrap()) }, async {
        word.await.unwrap();
        let moment = Duration::from_millis(15);
        assert!(begun.elapsed() >= moment, "{:?}", begun.elapsed());
    });
    assert_eq!(order(&house).await, [("hold".into(), 1), ("vote".into(), 1)]);
}

/// On two threads: whoever waits for a lock holds up the thread that it is on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_the_state_keeps_nobody_from_changing_it() {
    let house = house().await;
    let votes = |state: &State| state.releases[&house.release].seats[1].ballots.len();
    let looked_at = house.engine.state();
    let word = house.engine.ask(request("vote-1", "quinn", vote(&house.release, "not yet")));
    let answered = tokio::time::timeout(Duration::from_secs(20), word).await;
    answered.expect("it waits for nobody").unwrap();
    assert_eq!((votes(&looked_at), votes(&house.engine.state())), (0, 1));
}

/// How many requests of a kind follow each other in the log, by the first words of their ids.
async fn order(house: &House) -> Vec<(String, usize)> {
    let entries = house.engine.store().reader().entries(&Which::default()).await.unwrap();
    let mut order: Vec<(String, usize)> = Vec::new();
    let mut last = String::new();
    for entry in entries {
        let Some((kind, _)) = entry.request.split_once('-').filter(|_| entry.request != last)
        else {
            continue;
        };
        match order.last_mut().filter(|(before, _)| before == kind) {
            Some((_, count)) => *count += 1,
            None => order.push((kind.to_owned(), 1)),
        }
        last = entry.request;
    }
    order
}

/// A release beside the first one.
async fn another(house: &House) -> ReleaseId {
    let (_, mut plan) = sample::policy_and_plan();
    plan.release.service = "help-desk".into();
    let start = house.engine.state().releases[&house.release].start.clone();
    let schedule = Command::Schedule { plan: Box::new(plan), start };
    house.engine.ask(request("another", "maria", schedule)).await.unwrap();
    ReleaseId::of("help-desk", "production", "v1.2.0", 1)
}

fn hold(release: &ReleaseId, reason: &str) -> Command {
    Command::Hold { release: release.clone(), reason: reason.into() }
}

#[tokio::test]
async fn who_wants_to_stop_something_goes_first_and_starves_nobody() {
    let house = house().await;
    let (engine, other) = (&house.engine, another(&house).await);
    let votes = (0..400).map(|n| request(&format!("vote-{n}"), "quinn", vote(&other, "no")));
    let hold = |n| {
        let hold = hold(&house.release, &format!("fire {n}"));
        engine.ask(request(&format!("hold-{n}"), "maria", hold))
    };
    // All of them wait before the first one is decided.
    let (votes, holds) =
        tokio::join!(engine.ask_all(votes.collect()), join_all((0..300).map(hold)));
    assert!(votes.iter().chain(&holds).all(Result::is_ok), "nobody was forgotten");
    let order = order(&house).await;
    let kinds: Vec<_> = order.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["hold", "vote", "hold", "vote"], "{order:?}");
    assert_eq!((order[1].1, order[3].1), (8, 392), "a few beside each: {order:?}");
}

#[tokio::test]
async fn of_many_at_once_those_go_first_too_and_each_has_its_own_answer() {
    let house = house().await;
    let other = another(&house).await;
    let voted = |n| request(&format!("vote-{n}"), "quinn", vote(&other, "no"));
    let held = request("hold-1", "maria", hold(&house.release, "a fire"));
    let answers = house.engine.ask_all(vec![voted(1), held, voted(2)]).await;
    assert_eq!(order(&house).await, [("hold".to_owned(), 1), ("vote".to_owned(), 2)]);
    let held = |answer: &Answer| {
        matches!(answer.events[0].1, Event::Release { did: Happened::Held { .. }, .. })
    };
    assert_eq!(answers.iter().flatten().map(held).collect::<Vec<_>>(), [false, true, false]);
}

#[tokio::test]
async fn the_last_word_on_a_release_is_the_last_whoever_goes_first() {
    let house = house().await;
    let other = another(&house).await;
    let (engine, release) = (&house.engine, &house.release);
    engine.ask(request("before", "maria", hold(release, "a fire"))).await.unwrap();
    let resume = || Command::Resume { release: release.clone() };
    let asked = [
        ("vote-1", "quinn", vote(&other, "no")),
        ("resume-1", "maria", resume()),
        ("hold-1", "maria", hold(release, "smoke again")),
        ("hold-2", "maria", hold(&other, "smoke there")),
        ("resume-2", "maria", Command::Resume { release: other.clone() }),
    ];
    let asked = asked.map(|(id, who, command)| request(id, who, command));
    for answer in engine.ask_all(asked.to_vec()).await {
        answer.unwrap();
    }
    let order: Vec<_> = order(&house).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(order, ["vote", "resume", "hold", "resume"], "each release in its order");
    let held = |id: &ReleaseId| engine.state().releases[id].held.is_some();
    assert_eq!((held(release), held(&other)), (true, false), "as each was asked last");
}

/// Whether the request was refused because its id is another's.
fn is_taken(answer: &Answer) -> bool {
    matches!(answer.events.as_slice(), [(_, Event::Release {
        did: Happened::Refused { why: Refusal::IdTaken { id }, .. }, ..
    })] if id == "key-1")
}

async fn says(engine: &Engine, id: &str, release: &ReleaseId, words: &str) -> Answer {
    engine.ask_saying(request(id, "quinn", vote(release, words)), words).await.unwrap()
}

/// A runtime is a life of the program: what still runs in it ends with it.
fn life() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn an_id_belongs_to_what_was_said_first_also_after_a_restart() {
    let (dir, clock, release, first, before) = life().block_on(async {
        let house = house().await;
        let (engine, release) = (&house.engine, &house.release);
        let first = says(engine, "key-1", release, "one").await;
        let before = engine.state().releases.clone();
        let other = says(engine, "key-1", release, "two").await;
        assert!(is_taken(&other), "{other:?}");
        assert_eq!(engine.state().releases, before, "nothing changed");
        let head = engine.store().head();
        assert!(is_taken(&says(engine, "key-1", release, "two").await));
        assert_eq!(says(engine, "key-1", release, "one").await.events, first.events);
        assert_eq!(engine.store().head(), head, "each was on record already");
        (house._dir, house.clock, house.release, first, before)
    });
    life().block_on(async {
        let engine = Engine::start(Store::open(dir.path()).await.unwrap(), clock).await.unwrap();
        assert_eq!(says(&engine, "key-1", &release, "one").await.events, first.events);
        assert!(is_taken(&says(&engine, "key-1", &release, "two").await));
        assert!(is_taken(&says(&engine, "key-1", &release, "three").await));
        assert_eq!(engine.state().releases, before);
    });
}

#[tokio::test]
async fn an_id_belongs_to_what_was_said_first_within_one_batch() {
    let house = house().await;
    let (engine, release) = (&house.engine, &house.release);
    let answers = tokio::join!(
        says(engine, "key-1", release, "one"),
        says(engine, "key-1", release, "two"),
        says(engine, "key-1", release, "one"),
        says(engine, "key-1", release, "two"),
    );
    assert_eq!(answers.0.events, answers.2.events);
    assert!(is_taken(&answers.1) && is_taken(&answers.3), "{answers:?}");
    assert_eq!(answers.1.events, answers.3.events, "one entry tells it");
    let seat = |role: &str| {
        engine.state().releases[release]
            .seats
            .iter()
            .find(|seat| seat.role.as_str() == role)
            .unwrap()
            .ballots
            .len()
    };
    assert_eq!(seat("qa"), 1);
}

#[tokio::test]
async fn a_refusal_is_on_record_with_who_asked() {
    let house = house().await;
    let answer =
        house.engine.ask(request("click-1", "dave", vote(&house.release, "no"))).await.unwrap();
    let [(seq, Event::Release { did: Happened::Refused { verb, why }, .. })] =
        answer.events.as_slice()
    else {
        panic!("{answer:?}")
    };
    assert_eq!(verb, "no-go");
    assert_eq!(why.to_string(), "You can't sign for QA: that seat belongs to Quinn.");
    let which = Which { first: Some(*seq), ..Which::default() };
    let entry = &house.engine.store().reader().entries(&which).await.unwrap()[0];
    assert!(entry.actor.contains("console/local/dave"), "{}", entry.actor);
}

#[tokio::test]
async fn what_readers_see_is_what_the_log_replays_to_after_a_thousand_clicks_at_once() {
    let house = house().await;
    let clicks = (0..1_000).map(|n| {
        let who = ["quinn", "dave", "sam"][n % 3];
        request(&format!("click-{n}"), who, vote(&house.release, &format!("reason {n}")))
    });
    for answer in house.engine.ask_all(clicks.collect()).await {
        answer.unwrap();
    }
    house.clock.set(T0.parse().unwrap());
    for due in house.engine.due(house.engine.now(), 100) {
        let request = Request { id: due.id, by: Actor::Clock, command: due.due.command };
        house.engine.ask(request).await.unwrap();
    }
    let replayed = replay(house.engine.store().reader()).await.unwrap();
    assert_eq!(replayed, *house.engine.state());
    let found = verify(house.engine.store().reader(), None).await.unwrap();
    assert!(matches!(found, Finding::Verified { .. }), "{found:?}");
}

#[tokio::test]
async fn what_is_asked_in_one_piece_shares_one_commit() {
    let house = house().await;
    let (tell, commits) = std::sync::mpsc::channel();
    house.engine.followed_by(move |_| tell.send(()).unwrap());
    let clicks = (0..1_000).map(|n| {
        request(&format!("click-{n}"), "quinn", vote(&house.release, &format!("reason {n}")))
    });
    let answers = house.engine.ask_all(clicks.collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(commits.try_iter().count(), 1);
    let seqs = answers.iter().flatten().map(|answer| answer.events[0].0);
    assert!(seqs.is_sorted(), "in the order in which it was asked");
}

#[tokio::test]
async fn a_clock_that_goes_backwards_is_not_believed() {
    let house = house().await;
    let before = house.engine.state().last_at.unwrap();
    house.engine.ask(request("click-1", "quinn", vote(&house.release, "one"))).await.unwrap();
    assert!(house.engine.now() >= before);
    assert!(house.engine.state().last_at.unwrap() >= before);
}

#[tokio::test]
async fn nobody_holds_the_store_when_the_last_handle_is_gone() {
    let House { engine, _dir: dir, .. } = house().await;
    let other = engine.clone();
    drop(engine);
    assert!(matches!(Store::open(dir.path()).await, Err(OpenError::InUse { .. })));
    let asked = Request {
        id: "late".into(),
        by: person("maria"),
        command: Command::Hold {
            release: ReleaseId::of("web-shop", "production", "v1.2.0", 1),
            reason: "one more look".into(),
        },
    };
    other.ask(asked).await.unwrap();
    drop(other);
    let mut looks = glances(Duration::from_millis(10));
    for _ in 0..1_000 {
        looks.tick().await;
        match Store::open(dir.path()).await {
            Err(OpenError::InUse { .. }) => continue,
            opened => return assert!(opened.is_ok()),
        }
    }
    panic!("the writer never let go of the store");
}

/// Every deploy works at once; the keys under which they were asked for.
#[derive(Default)]
struct Deploys(Mutex<Vec<String>>);

#[async_trait]
impl Deployer for Deploys {
    async fn run(&self, run: &Run, _: &Line<'_>) -> Result<Ran, Failure> {
        self.0.lock().unwrap().push(run.key.clone());
        let (tail, digest, took) = (String::new(), String::new(), Duration::ZERO);
        Ok(Ran { outcome: Outcome::Worked, tail, digest, took })
    }

    async fn stop(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    async fn look(&self, _: &Run) -> Result<Sighting, Failure> {
        Ok(Sighting::Unknown("nobody saw it".into()))
    }
}

impl House {
    async fn delivery(&self, deploys: &Arc<Deploys>, stop: &CancellationToken) -> Delivery {
        let world = World::Real(Neighbours {
            chats: BTreeMap::new(),
            couriers: BTreeMap::new(),
            deployer: deploys.clone(),
            gates: BTreeMap::new(),
            people: Arc::default(),
        });
        let messages = Arc::new(Messages::built_in(&[]));
        let (engine, prefixes) = (self.engine.clone(), BTreeMap::new());
        Delivery::start(engine, world, messages, prefixes, stop.clone()).await.unwrap()
    }

    /// A dry run of the rollback is a deploy that anybody may ask for at any time.
    async fn asks_for_a_deploy(&self) {
        let rehearse = Command::RehearseRollback { release: self.release.clone() };
        self.engine.ask(request("dry", "john", rehearse)).await.unwrap();
    }

    async fn deploys_waiting(&self) -> Vec<Tried> {
        let outbox = self.engine.store().outbox().await.unwrap();
        let runs = outbox.iter().filter(|waiting| waiting.lane.starts_with("run/"));
        runs.map(|waiting| waiting.state).collect()
    }
}

#[tokio::test]
async fn a_deploy_is_claimed_by_the_writer_though_nobody_waits_for_it() {
    let house = house().await;
    // It holds itself, and never ends.
    let engine = house.engine.clone();
    house.engine.followed_by(move |wanted| {
        wanted.urgent.iter().for_each(|effect| drop(engine.store().claim_soon(&effect.key)));
    });
    house.asks_for_a_deploy().await;
    let claimed = async {
        while house.deploys_waiting().await != [Tried::Trying] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), claimed).await.expect("the writer does it");
}

/// None if the deploy began before we stopped, as it may on a busy machine.
async fn stopped_before_a_deploy_begins() -> Option<(House, Arc<Deploys>)> {
    let house = house().await;
    let (deploys, stop) = (Arc::new(Deploys::default()), CancellationToken::new());
    let delivery = house.delivery(&deploys, &stop).await;
    let (mut commits, stops) = (house.engine.commits(), stop.clone());
    // On the one thread of a test this comes right after its lane, which waits for the disk.
    let stopped = tokio::spawn(async move {
        commits.changed().await.unwrap();
        stops.cancel();
    });
    house.asks_for_a_deploy().await;
    stopped.await.unwrap();
    delivery.finish().await;
    let none_began = deploys.0.lock().unwrap().is_empty();
    none_began.then_some((house, deploys))
}

#[tokio::test]
async fn a_deploy_that_has_not_begun_when_we_stop_waits_for_the_next_start_and_is_not_in_doubt() {
    let (house, deploys) = loop {
        if let Some(stopped) = stopped_before_a_deploy_begins().await {
            break stopped;
        }
    };
    assert_eq!(house.deploys_waiting().await, [Tried::Pending]);
    let delivery = house.delivery(&deploys, &CancellationToken::new()).await;
    let done = async {
        while !house.deploys_waiting().await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("it begins");
    let began = std::mem::take(&mut *deploys.0.lock().unwrap());
    let steps: HashSet<_> = began.iter().collect();
    assert!(!steps.is_empty() && steps.len() == began.len(), "each once: {began:?}");
    delivery.finish().await;
}
