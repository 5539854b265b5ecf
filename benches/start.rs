//! How long a start takes on a log with many finished releases: from its first entry, and from a
//! snapshot. Reported, never asserted.
//!
//! `cargo bench --bench start`; `TMINUS_BENCH_FINISHED` (100,000 releases of eleven entries each) and
//! `TMINUS_BENCH_DIR` (the system's temporary directory) change how many and where.

mod world;

use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, Duration, SubsecRound, Utc};
use tminus::app::clock::Clock;
use tminus::app::engine::Engine;
use tminus::app::{chores, replay};
use tminus::domain::command::{Actor, Command, Commitment, Request, Vote};
use tminus::domain::ids::ReleaseId;
use tminus::domain::state::Start;
use tminus::domain::zone::Zone;
use tminus::store::{Batch, Entry, NewEntry, Store, Which};

use self::world::{number, person, place, resident, sample, say};

/// Entries in one commit.
const TOGETHER: usize = 10_000;
/// Of each release: scheduled, votes and what they came to, called off, filed.
const VOTES: usize = 7;
/// How many vote at the same time, and how often each.
const VOTERS: usize = 64;
const EACH: usize = 100;

fn main() -> anyhow::Result<()> {
    let few = place()?;
    life(worked(few.path(), "no finished release"))?;
    let dir = place()?;
    let many = usize::try_from(number("TMINUS_BENCH_FINISHED", 100_000))?;
    let told = life(one_release(dir.path()))?;
    life(repeated(dir.path(), &told, many))?;
    life(started(dir.path(), "from the first entry"))?;
    life(async {
        let engine = opened(dir.path()).await?;
        let begun = Instant::now();
        chores::take_snapshot(&engine).await;
        let size = std::fs::metadata(dir.path().join("snapshot"))?.len();
        say(&format!("a snapshot of {} kB taken in {:?}", size / 1000, begun.elapsed()));
        anyhow::Ok(())
    })?;
    for _ in 0..3 {
        life(started(dir.path(), "from the snapshot"))?;
    }
    life(worked(dir.path(), "all of them"))?;
    life(async {
        let engine = opened(dir.path()).await?;
        let begun = Instant::now();
        engine.prove_past().await?;
        say(&format!("everything proven afterwards, beside the work, in {:?}", begun.elapsed()));
        let last = ReleaseId::of(&format!("shop-{}", many - 1), "production", "v1.2.0", 1);
        let begun = Instant::now();
        anyhow::ensure!(engine.release(&last).await?.is_some(), "it is filed");
        say(&format!("a filed release read in {:?}", begun.elapsed()));
        anyhow::Ok(())
    })
}

/// A runtime is a life of the program: what still runs in it ends with it.
fn life<T>(lived: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new()?.block_on(lived)
}

async fn opened(dir: &Path) -> anyhow::Result<Engine> {
    Engine::start(Store::open(dir).await?, Clock::real()).await
}

async fn started(dir: &Path, how: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    let engine = opened(dir).await?;
    let (took, filed) = (begun.elapsed(), engine.state().filed.len());
    let entries = engine.store().head().seq;
    let resident = resident(std::process::id());
    say(&format!("started {how}: {took:?}, {filed} filed releases, {entries} entries; {resident}"));
    Ok(())
}

/// Votes on an open release, by so many who each wait for their answer.
async fn worked(dir: &Path, beside: &str) -> anyhow::Result<()> {
    let engine = opened(dir).await?;
    let (config, mut plan) = sample();
    let ask = |id: &str, by: Actor, command| engine.ask(Request { id: id.into(), by, command });
    if engine.store().head().seq == 0 {
        ask("begin", Actor::Operator, Command::Begin { jumpable: false }).await?;
        let policy = Box::new(config.policy.clone());
        ask("policy", Actor::Operator, Command::AdoptPolicy { policy }).await?;
    }
    plan.release.service = "open".into();
    let at = (Utc::now() + Duration::days(30)).trunc_subsecs(0);
    let start = Start { local: at.naive_utc(), zone: Zone::utc(), at };
    let schedule = Command::Schedule { plan: Box::new(plan), start };
    ask("open", person("maria"), schedule).await?;
    let release = ReleaseId::of("open", "production", "v1.2.0", 1);
    let begun = Instant::now();
    let voters = (0..VOTERS).map(|voter| {
        let (engine, release) = (engine.clone(), release.clone());
        tokio::spawn(async move {
            for n in 0..EACH {
                let vote = Vote::NoGo { reason: format!("{voter} thought of {n}") };
                let (release, role) = (release.clone(), Some("qa".into()));
                let command = Command::Vote { release, role, vote, commits: Commitment::default() };
                let id = format!("open/{voter}/{n}");
                engine.ask(Request { id, by: person("quinn"), command }).await?;
            }
            anyhow::Ok(())
        })
    });
    for voter in voters.collect::<Vec<_>>() {
        voter.await??;
    }
    let rate = (VOTERS * EACH) as f64 / begun.elapsed().as_secs_f64();
    say(&format!("beside {beside}: {rate:.0} votes decided and durable per second"));
    Ok(())
}

/// What one release leaves in the log, from its scheduling to its filing.
async fn one_release(dir: &Path) -> anyhow::Result<Vec<Entry>> {
    let begun: DateTime<Utc> = (Utc::now() - Duration::days(400)).trunc_subsecs(6);
    let clock = Clock::standing(begun);
    let engine = Engine::start(Store::open(dir).await?, clock.clone()).await?;
    let (config, mut plan) = sample();
    let ask = |id: &str, by: Actor, command| engine.ask(Request { id: id.into(), by, command });
    ask("begin", Actor::Operator, Command::Begin { jumpable: false }).await?;
    let policy = Box::new(config.policy.clone());
    ask("policy", Actor::Operator, Command::AdoptPolicy { policy }).await?;
    plan.release.service = "shop-0".into();
    let at = (begun + Duration::days(30)).trunc_subsecs(0);
    let start = Start { local: at.naive_utc(), zone: Zone::utc(), at };
    let plan = Command::Schedule { plan: Box::new(plan), start };
    ask("schedule", person("maria"), plan).await?;
    let release = ReleaseId::of("shop-0", "production", "v1.2.0", 1);
    for n in 0..VOTES {
        let vote = Vote::NoGo { reason: format!("thought {n}") };
        let (release, role) = (release.clone(), Some("qa".into()));
        let vote = Command::Vote { release, role, vote, commits: Commitment::default() };
        ask(&format!("vote-{n}"), person("quinn"), vote).await?;
    }
    let reason = "another day".to_owned();
    ask("scrub", person("maria"), Command::Scrub { release: release.clone(), reason }).await?;
    clock.set(begun + Duration::days(8));
    chores::file_away(&engine).await;
    let which = Which { release: Some(release.to_string()), ..Which::default() };
    let told = engine.store().reader().entries(&which).await?;
    anyhow::ensure!(told.len() >= VOTES + 3, "{} entries", told.len());
    anyhow::ensure!(replay::replay(engine.store().reader()).await?.filed.len() == 1, "filed");
    Ok(told)
}

/// The same of so many others.
async fn repeated(dir: &Path, told: &[Entry], many: usize) -> anyhow::Result<()> {
    let store = Store::open(dir).await?;
    let last = told.last().map(|entry| entry.at).unwrap_or_default();
    let mut batch = Batch::default();
    for n in 1..many {
        let own = |text: &str| text.replace("shop-0", &format!("shop-{n}"));
        batch.entries.extend(told.iter().map(|entry| NewEntry {
            at: last + Duration::milliseconds(i64::try_from(n).unwrap_or_default()),
            actor: entry.actor.clone(),
            request: format!("{}/{n}", entry.request),
            release: entry.release.as_deref().map(own),
            schema: entry.schema,
            event: own(&entry.event),
        }));
        if batch.entries.len() >= TOGETHER || n + 1 == many {
            store.commit(&batch).await?;
            batch.entries.clear();
        }
    }
    let size = std::fs::metadata(dir.join("tminus.db"))?.len();
    say(&format!("a log of {} entries, {} MB", store.head().seq, size / 1_000_000));
    store.close().await;
    Ok(())
}
