//! What is over for good costs nothing any more: it is filed away and read from the log, and a start
//! goes on from a snapshot that the hash chain covers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use tempfile::TempDir;
use tminus::app::clock::Clock;
use tminus::app::engine::{Answer, Engine};
use tminus::app::{chores, replay};
use tminus::domain::command::{Actor, Claims, Command, Request};
use tminus::domain::event::{Event, Happened};
use tminus::domain::ids::{Account, ReleaseId};
use tminus::domain::refusal::Refusal;
use tminus::domain::state::{Start, State};
use tminus::store::{Finding, Store};

use crate::sample;
use crate::zones::los_angeles;

const NOW: &str = "2026-12-12T18:00:00Z";

/// A runtime is a life of the program: what still runs in it ends with it.
fn life<T>(lived: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(lived)
}

fn clock() -> Clock {
    Clock::standing(NOW.parse().unwrap())
}

async fn opened(dir: &Path, clock: &Clock) -> anyhow::Result<Engine> {
    Engine::start(Store::open(dir).await?, clock.clone()).await
}

async fn asked(engine: &Engine, id: &str, by: Actor, command: Command) -> Answer {
    engine.ask(Request { id: id.into(), by, command }).await.unwrap()
}

fn maria() -> Actor {
    let account = Account::new("console", "local", "maria");
    Actor::Person { account, claims: Claims::default() }
}

fn release(attempt: u32) -> ReleaseId {
    ReleaseId::of("web-shop", "production", "v1.2.0", attempt)
}

/// A release that was called off, another that is open.
async fn begun(dir: &Path, clock: &Clock) -> Engine {
    let engine = opened(dir, clock).await.unwrap();
    let (policy, _) = sample::policy_and_plan();
    asked(&engine, "begin", Actor::Operator, Command::Begin { jumpable: true }).await;
    let policy = Command::AdoptPolicy { policy: Box::new(policy) };
    asked(&engine, "policy", Actor::Operator, policy).await;
    schedules(&engine, 1, clock.now()).await;
    let reason = "another day".to_owned();
    let scrub = Command::Scrub { release: release(1), reason };
    asked(&engine, "scrub", maria(), scrub).await;
    schedules(&engine, 2, clock.now()).await;
    engine
}

async fn schedules(engine: &Engine, attempt: u32, now: DateTime<Utc>) -> Answer {
    let (_, plan) = sample::policy_and_plan();
    let zone = los_angeles();
    let at = now + Duration::days(40);
    let start = Start { local: at.with_timezone(&zone).naive_local(), zone, at };
    let plan = Command::Schedule { plan: Box::new(plan), start };
    asked(engine, &format!("schedule-{attempt}"), maria(), plan).await
}

fn is_here(engine: &Engine, attempt: u32) -> bool {
    engine.state().releases.contains_key(&release(attempt))
}

#[test]
fn what_is_over_for_good_is_filed_and_still_read() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    life(async {
        let engine = begun(dir.path(), &clock).await;
        let before = engine.release(&release(1)).await.unwrap().unwrap();
        chores::file_away(&engine).await;
        assert!(is_here(&engine, 1), "people may still talk about it");
        clock.set(clock.now() + Duration::days(8));
        chores::file_away(&engine).await;
        assert!(!is_here(&engine, 1) && is_here(&engine, 2), "the open one stays");
        assert_eq!(*engine.release(&release(1)).await.unwrap().unwrap(), *before);

        let hold = Command::Hold { release: release(1), reason: "wait".into() };
        let answer = asked(&engine, "hold", maria(), hold).await;
        let [(_, Event::Refused { why, .. })] = answer.events.as_slice() else {
            panic!("{answer:?}")
        };
        assert!(matches!(why, Refusal::Filed { .. }), "{why}");

        let reason = "again".to_owned();
        asked(&engine, "scrub-2", maria(), Command::Scrub { release: release(2), reason }).await;
        clock.set(clock.now() + Duration::days(8));
        chores::file_away(&engine).await;
        let answer = schedules(&engine, 3, clock.now()).await;
        let third = |event: &Event| event.of_release().is_some_and(|(id, _)| *id == release(3));
        assert!(answer.events.iter().any(|(_, event)| third(event)), "{answer:?}");

        let reader = engine.store().reader();
        assert_eq!(replay::replay(reader).await.unwrap(), *engine.state());
        let all = replay::replay_all(reader).await.unwrap();
        assert_eq!(all.releases.len(), 3);
    });
}

/// A log with a snapshot in its middle and entries after it; what it adds up to.
fn with_a_snapshot(dir: &Path) -> Arc<State> {
    let clock = clock();
    life(async {
        let engine = begun(dir, &clock).await;
        clock.set(clock.now() + Duration::days(8));
        chores::file_away(&engine).await;
        assert!(!engine.has_snapshot());
        chores::take_snapshot(&engine).await;
        assert!(engine.has_snapshot());
        let handover = Command::Handover { release: release(2), to: "john".into() };
        asked(&engine, "handover", maria(), handover).await;
        engine.state().clone()
    })
}

#[derive(Debug, PartialEq)]
enum Started {
    FromSnapshot,
    FromTheLog,
    NotAtAll(String),
}

/// How it starts from there, and that it comes to the same if it does.
fn started(dir: &Path, expected: &State) -> Started {
    let clock = clock();
    clock.set(clock.now() + Duration::days(9));
    life(async {
        match opened(dir, &clock).await {
            Ok(engine) => {
                assert_eq!(*engine.state(), *expected);
                match engine.has_snapshot() {
                    true => Started::FromSnapshot,
                    false => Started::FromTheLog,
                }
            }
            Err(why) => Started::NotAtAll(why.to_string()),
        }
    })
}

fn sql(dir: &Path, text: &str) {
    let log = dir.join("tminus.db");
    // The thread of a life that is over may still hold it for a moment.
    let mut sqlite = std::process::Command::new("sqlite3");
    let ran = sqlite.args(["-cmd", ".timeout 10000"]).arg(log).arg(text).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

const OPENED_UP: &str = "drop trigger log_is_never_changed; drop trigger log_is_never_shortened;";

#[test]
fn a_start_goes_on_from_the_snapshot() {
    let dir = TempDir::new().unwrap();
    let expected = with_a_snapshot(dir.path());
    assert_eq!(started(dir.path(), &expected), Started::FromSnapshot);
    let proven = life(async {
        let engine = opened(dir.path(), &clock()).await.unwrap();
        engine.prove_past().await.unwrap()
    });
    assert!(matches!(proven, Finding::Verified { .. }), "{proven:?}");
}

#[test]
fn a_snapshot_that_the_log_does_not_vouch_for_is_not_used() {
    let dir = TempDir::new().unwrap();
    let expected = with_a_snapshot(dir.path());
    let file = dir.path().join("snapshot");
    let text = std::fs::read_to_string(&file).unwrap();
    for (what, tampered) in [
        ("a captain", text.replacen("\"captain\":\"maria\"", "\"captain\":\"dave\"", 1)),
        ("its place", text.replacen(" snapshot 1 ", " snapshot 2 ", 1)),
        ("cut", text[..text.len() / 2].to_owned()),
        ("empty", String::new()),
    ] {
        assert_ne!(tampered, text, "{what}");
        std::fs::write(&file, tampered).unwrap();
        assert_eq!(started(dir.path(), &expected), Started::FromTheLog, "{what}");
    }
    // Written, and the program killed before that was on record.
    let text = text.replacen("\"held\":null", "\"held\":null ", 1);
    std::fs::write(&file, text).unwrap();
    assert_eq!(started(dir.path(), &expected), Started::FromTheLog);
}

#[test]
fn a_log_that_was_changed_is_found_on_either_side_of_the_snapshot() {
    let dir = TempDir::new().unwrap();
    let expected = with_a_snapshot(dir.path());
    let change = |seq: &str| {
        let set = "update log set actor = replace(actor, 'maria', 'dave'), event = event || ' '";
        sql(dir.path(), &format!("{set} where seq = {seq};"));
    };
    sql(dir.path(), OPENED_UP);
    change("3");
    assert_eq!(started(dir.path(), &expected), Started::FromSnapshot);
    let found = life(async {
        let engine = opened(dir.path(), &clock()).await.unwrap();
        engine.prove_past().await.unwrap()
    });
    assert!(matches!(found, Finding::Broken { seq: 3, .. }), "{found:?}");
    change("(select max(seq) from log)");
    match started(dir.path(), &expected) {
        Started::NotAtAll(why) => assert!(why.contains("is damaged at entry"), "{why}"),
        other @ (Started::FromSnapshot | Started::FromTheLog) => panic!("{other:?}"),
    }
}

/// It starts, since what it goes on from is vouched for, and ends when it has looked at the rest.
#[test]
fn the_program_does_not_act_by_a_log_that_was_changed_before_the_snapshot() {
    let dir = TempDir::new().unwrap();
    with_a_snapshot(dir.path());
    sql(dir.path(), OPENED_UP);
    sql(dir.path(), "update log set actor = replace(actor, 'maria', 'dave') where seq = 3;");
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_tminus"))
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(dir.path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success(), "{said}");
    assert!(said.contains("The log is damaged at entry #3"), "{said}");
    assert!(said.contains("restore the state directory from a backup"), "{said}");
}

/// Somebody who can write the digest into the log anew, and every hash after it.
#[test]
fn a_snapshot_that_is_not_what_the_log_adds_up_to_is_found_by_proving() {
    let dir = TempDir::new().unwrap();
    with_a_snapshot(dir.path());
    let found = life(async {
        let engine = opened(dir.path(), &clock()).await.unwrap();
        let (state, head) = engine.still();
        let emptied = State { releases: BTreeMap::new(), ..State::clone(&state) };
        let body = replay::body(&emptied).unwrap();
        let digest = engine.store().keep_snapshot(head, replay::SHAPE, &body).unwrap();
        let note = Command::NoteSnapshot { seq: head.seq, digest: digest.to_string() };
        asked(&engine, "forged", Actor::Clock, note).await;
        engine.prove_past().await.unwrap()
    });
    let Finding::Broken { why, .. } = found else { panic!("{found:?}") };
    assert!(why.contains("the snapshot beside the log is not what"), "{why}");
}

#[test]
fn only_what_is_over_is_filed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    life(async {
        let engine = begun(dir.path(), &clock).await;
        let file = Command::File { release: release(2) };
        let answer = asked(&engine, "file", Actor::Clock, file).await;
        let refused =
            |event: &Event| matches!(event.of_release(), Some((_, Happened::Refused { .. })));
        assert!(answer.events.iter().all(|(_, event)| refused(event)), "{answer:?}");
        assert!(is_here(&engine, 2));
    });
}
