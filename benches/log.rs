//! What the log costs: commits per second by size of batch, replay and verification.
//!
//! Reports and asserts nothing. `TMINUS_BENCH_ENTRIES` is the length of the log that is replayed
//! and verified (a million if not set), `TMINUS_BENCH_SECONDS` how long each size of batch commits
//! (two if not set), `TMINUS_BENCH_DIR` the disk to measure (the current directory if not set).
#![expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tminus::store::{Batch, Finding, NewEffect, NewEntry, Reader, Store, Which, verify};

/// As long as a usual event with its facts.
const EVENT_BYTES: usize = 400;

/// How the long log is filled; only its contents matter.
const FILL: u64 = 4096;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let count = setting("TMINUS_BENCH_ENTRIES", 1_000_000)?;
    let time = Duration::from_secs_f64(setting("TMINUS_BENCH_SECONDS", 2.0)?);
    let disk = setting("TMINUS_BENCH_DIR", env::current_dir()?.display().to_string())?;
    let disk = PathBuf::from(disk);
    if cfg!(debug_assertions) {
        println!("not optimised: these figures say nothing about a release build");
    }
    for size in [1, 16, 64, 256] {
        commits(&disk, size, time).await?;
    }
    long_log(&disk, count).await
}

fn setting<T: FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    text.parse().map_err(|_| anyhow::anyhow!("{name} is `{text}`, which is not a number"))
}

/// Commits that wait for the disk, each with one effect for each entry.
async fn commits(disk: &PathBuf, size: u64, time: Duration) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(disk)?;
    let store = Store::open(dir.path()).await?;
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let batch = batch(store.head().seq + 1, size);
        let begun = Instant::now();
        store.commit(&batch).await?;
        took.push(begun.elapsed());
    }
    let elapsed = start.elapsed().as_secs_f64();
    took.sort();
    let (commits, at) = (took.len(), |share: usize| took[(took.len() - 1) * share / 100]);
    println!(
        "commit of {size:>3} with effects: {:>7.0} commits/s, {:>8.0} entries/s, \
         p50 {:>8.1?}, p99 {:>8.1?}",
        commits as f64 / elapsed,
        commits as f64 * size as f64 / elapsed,
        at(50),
        at(99),
    );
    store.close().await;
    Ok(())
}

async fn long_log(disk: &PathBuf, count: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(disk)?;
    let store = Store::open(dir.path()).await?;
    let start = Instant::now();
    while store.head().seq < count {
        let first = store.head().seq + 1;
        let size = FILL.min(count + 1 - first);
        store.commit(&Batch { effects: Vec::new(), ..batch(first, size) }).await?;
    }
    report("filled", count, start);
    store.close().await;

    let reader = Reader::open(dir.path()).await?;
    let start = Instant::now();
    let mut pages = reader.pages(Which::default());
    let mut bytes = 0;
    while let Some(page) = pages.next().await? {
        bytes += page.iter().map(|entry| entry.event.len()).sum::<usize>();
    }
    report(&format!("replayed ({} MB of events)", bytes / 1_000_000), count, start);

    let start = Instant::now();
    let mut pages = reader.proven_pages(tminus::store::Head::GENESIS);
    while pages.next().await?.is_some() {}
    report("replayed and proven", count, start);

    let start = Instant::now();
    let found = verify(&reader, None).await?;
    report("verified", count, start);
    anyhow::ensure!(matches!(found, Finding::Verified { entries, .. } if entries == count));
    reader.close().await;
    Ok(())
}

fn report(what: &str, count: u64, start: Instant) {
    let took = start.elapsed();
    println!("{what} {count} entries in {took:.2?}: {:.0}/s", count as f64 / took.as_secs_f64());
}

fn batch(first: u64, size: u64) -> Batch {
    let noon: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let entries = (first..first + size).map(|seq| NewEntry {
        at: noon,
        actor: r#"{"person":"ann","account":"slack/T024BE7LD/U024BE7LH"}"#.to_owned(),
        request: format!("slack/T024BE7LD/{seq}"),
        release: Some("web/production/1.2.0#1".to_owned()),
        schema: 1,
        event: format!(r#"{{"updated":"{}"}}"#, "x".repeat(EVENT_BYTES)),
    });
    let effects = (first..first + size).map(|seq| NewEffect {
        key: format!("web/production/1.2.0#1/update/{seq}"),
        lane: "slack/T024BE7LD/C024BE91L".to_owned(),
        seq,
        effect: r#"{"post":{"channel":"war-room","text":"Pod 1 deployed (33 % traffic)"}}"#
            .to_owned(),
    });
    Batch { entries: entries.collect(), effects: effects.collect(), ..Batch::default() }
}
