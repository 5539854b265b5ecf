//! What the tests of the store share: a directory, entries to fill it with, and a hand that cheats.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::{Batch, NewEffect, NewEntry, Store};

pub(super) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_796_126_400, 0).expect("a time in December 2026")
}

/// The entry that belongs at this number; every third belongs to no release.
pub(super) fn entry(seq: u64) -> NewEntry {
    let micros = TimeDelta::microseconds(i64::try_from(seq).expect("a small number"));
    NewEntry {
        at: noon() + micros,
        actor: r#"{"person":"ann"}"#.to_owned(),
        request: format!("console/{seq}"),
        release: (!seq.is_multiple_of(3)).then(|| format!("web/prod/{}", seq % 2)),
        schema: 1,
        event: format!(r#"{{"said":"größer als {seq}"}}"#),
    }
}

pub(super) fn entries(seqs: impl IntoIterator<Item = u64>) -> Batch {
    Batch { entries: seqs.into_iter().map(entry).collect(), ..Batch::default() }
}

pub(super) fn effect(key: &str, seq: u64) -> NewEffect {
    NewEffect { key: key.to_owned(), lane: "room".to_owned(), seq, effect: "{}".to_owned() }
}

/// A closed state directory whose log has this many entries.
pub(super) async fn filled(count: u64) -> anyhow::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path()).await?;
    store.commit(&entries(1..=count)).await?;
    store.close().await;
    Ok(dir)
}

/// Somebody with a tool: past our checks, past the foreign keys.
pub(super) async fn raw(dir: &Path) -> sqlx::Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(dir.join("tminus.db"))
        .foreign_keys(false)
        .create_if_missing(true)
        .connect()
        .await
}

/// The same, who has dropped the triggers too.
pub(super) async fn cheat(dir: &Path) -> anyhow::Result<SqliteConnection> {
    let mut conn = raw(dir).await?;
    sqlx::raw_sql(
        "drop trigger log_is_never_changed; drop trigger log_is_never_shortened; \
         drop trigger log_takes_the_next_number;",
    )
    .execute(&mut conn)
    .await?;
    Ok(conn)
}
