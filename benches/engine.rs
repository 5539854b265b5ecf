//! What the engine does per second, and how late it is. Reported, never asserted.
//!
//! `cargo bench --bench engine`; `TMINUS_BENCH_SECONDS` (2; 0 for none of the votes),
//! `TMINUS_BENCH_RELEASES` (1000), `TMINUS_BENCH_PENDING` (100,000 deadlines that wait meanwhile) and
//! `TMINUS_BENCH_DIR` (the system's temporary directory) change how long, how many and where.

mod world;

use std::time::{Duration, Instant};

use chrono::{SubsecRound, Utc};
use serde_json::json;
use tminus::app::clock::{self, Clock};
use tminus::app::engine::Engine;
use tminus::config;
use tminus::domain::command::{Actor, Command, Commitment, Request, Vote};
use tminus::domain::event::{Event, Happened};
use tminus::domain::ids::ReleaseId;
use tminus::domain::plan::Plan;
use tminus::domain::state::Start;
use tminus::domain::zone::Zone;
use tminus::store::{Store, Which};
use tokio_util::sync::CancellationToken;

use self::world::{number, person, place, resident, sample, say};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let seconds = Duration::from_secs(number("TMINUS_BENCH_SECONDS", 2));
    let releases = number("TMINUS_BENCH_RELEASES", 1_000);
    say(&format!("resident before anything: {:.0} MiB", resident(std::process::id())));
    for clients in [1, 16, 64, 256].into_iter().filter(|_| !seconds.is_zero()) {
        decided(clients, seconds).await?;
    }
    for pending in [0, number("TMINUS_BENCH_PENDING", 100_000)] {
        due(releases, pending).await?;
    }
    Ok(())
}

async fn opened(engine: &Engine, config: &config::Config) -> anyhow::Result<()> {
    let ask = |id: &str, command| Request { id: id.into(), by: Actor::Operator, command };
    engine.ask(ask("begin", Command::Begin { jumpable: true })).await?;
    let policy = Box::new(config.policy.clone());
    engine.ask(ask("policy", Command::AdoptPolicy { policy })).await?;
    Ok(())
}

async fn schedule(engine: &Engine, plan: &Plan, n: u64, start: Start) -> anyhow::Result<ReleaseId> {
    // As if read from a file: it has nothing in common with the others yet.
    let mut plan: Plan = serde_json::from_value(serde_json::to_value(plan)?)?;
    plan.release.service = format!("service-{n}");
    let command = Command::Schedule { plan: Box::new(plan), start };
    let request = Request { id: format!("schedule/{n}"), by: person("maria"), command };
    let answer = engine.ask(request).await?;
    let Event::Release { release, did: Happened::Scheduled { .. } } = &answer.events[0].1 else {
        anyhow::bail!("not scheduled: {:?}", answer.events)
    };
    Ok(release.clone())
}

fn start_in(lead: chrono::Duration) -> Start {
    let at = (Utc::now() + lead).trunc_subsecs(0);
    let zone = Zone::utc();
    Start { local: at.naive_utc(), zone, at }
}

/// Votes, turned over and over, by so many clients that each wait for their answer.
async fn decided(clients: usize, length: Duration) -> anyhow::Result<()> {
    let (config, plan) = sample();
    let dir = place()?;
    let engine = Engine::start(Store::open(dir.path()).await?, Clock::real()).await?;
    opened(&engine, &config).await?;
    let start = start_in(chrono::Duration::days(30));
    let release = schedule(&engine, &plan, 0, start).await?;
    let until = Instant::now() + length;
    let clients_at_work = (0..clients).map(|client| {
        let (engine, release) = (engine.clone(), release.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let n = times.len();
                let reason = format!("{client} has thought of reason {n}");
                let command = Command::Vote {
                    release: release.clone(),
                    role: Some("qa".into()),
                    vote: Vote::NoGo { reason },
                    commits: Commitment::default(),
                };
                let id = format!("click/{client}/{n}");
                let asked = Instant::now();
                engine.ask(Request { id, by: person("quinn"), command }).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        })
    });
    let mut times: Vec<Duration> = Vec::new();
    for client in clients_at_work.collect::<Vec<_>>() {
        times.extend(client.await??);
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let rate = times.len() as f64 / length.as_secs_f64();
    say(&format!(
        "{clients:>4} clients: {rate:>8.0} votes decided and durable per second, \
         p50 {:?}, p95 {:?}, p99 {:?}",
        at(0.5),
        at(0.95),
        at(0.99)
    ));
    Ok(())
}

/// So many releases whose first deadline falls due in the same second, while so many deadlines wait.
async fn due(releases: u64, pending: u64) -> anyhow::Result<()> {
    let (config, mut plan) = sample();
    for n in 0..pending / releases {
        plan.announcements.push(serde_json::from_value(json!({
            "id": format!("later-{n}"), "at": format!("T+{}h", 100 + n), "audience": "customers",
            "template": "t-24h",
        }))?);
    }
    let dir = place()?;
    let engine = Engine::start(Store::open(dir.path()).await?, Clock::real()).await?;
    opened(&engine, &config).await?;
    let lead = chrono::Duration::seconds(5 + i64::try_from(releases / 200)?);
    let start = start_in(chrono::Duration::hours(48) + lead);
    let before = Instant::now();
    for n in 0..releases {
        schedule(&engine, &plan, n, start.clone()).await?;
    }
    say(&format!("{releases} releases scheduled one by one in {:?}", before.elapsed()));
    say(&format!(
        "resident with {releases} open releases and {pending} more deadlines: {:.0} MiB",
        resident(std::process::id())
    ));
    let stop = CancellationToken::new();
    let loop_ = tokio::spawn(clock::follow_agenda(engine.clone(), stop.clone()));
    let planned = start.at - chrono::Duration::hours(48);
    let mut commits = engine.commits();
    while engine.next_due().is_some_and(|next| next.due.at <= planned) {
        let _ = tokio::time::timeout(Duration::from_secs(1), commits.changed()).await;
    }
    let durable = Utc::now() - planned;
    stop.cancel();
    loop_.await?;
    let which = Which { from: Some(planned), ..Which::default() };
    let entries = engine.store().reader().entries(&which).await?;
    let by_clock = entries.iter().filter(|entry| entry.request.starts_with("clock/"));
    let mut lags: Vec<i64> =
        by_clock.map(|entry| (entry.at - planned).num_milliseconds()).collect();
    lags.sort_unstable();
    let at = |share: f64| lags[((lags.len() - 1) as f64 * share) as usize];
    say(&format!(
        "{} deadlines due in one second: lag p50 {} ms, p99 {} ms, last {} ms, \
         all durable after {} ms",
        lags.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        durable.num_milliseconds()
    ));
    drop(engine);
    Ok(())
}
