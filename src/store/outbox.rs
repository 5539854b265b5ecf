//! The outbox: what the world is still to be asked, and the cards that are out of date.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::log::{instant, parse_instant, signed};
use super::{CommitError, ReadError, Store};

/// Rows in one statement, far below the number of values that SQLite binds.
const CHUNK: usize = 256;

/// What an entry wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffect {
    /// The same on each try; two effects under one key are refused with their whole batch.
    pub key: String,
    /// Effects of one lane keep their order.
    pub lane: String,
    /// The entry that wants it.
    pub seq: u64,
    /// JSON.
    pub effect: String,
}

/// Whether the neighbour may have heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Pending,
    /// Claimed. Found at start, the outcome is unknown.
    Trying,
}

/// An effect that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub key: String,
    pub lane: String,
    pub seq: u64,
    pub state: Delivery,
    /// Tries that failed.
    pub tries: u32,
    /// Not before; nothing is at once.
    pub due_at: Option<DateTime<Utc>>,
    pub last_failure: Option<String>,
    pub effect: String,
}

/// A card that is to show what the batch has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardWish {
    pub key: String,
    pub lane: String,
}

/// A card that shows less than the log knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRow {
    pub key: String,
    pub lane: String,
    pub wanted_seq: u64,
    pub written_seq: u64,
}

impl Store {
    /// Marks the effect as being tried, on the disk before the call. False if it is not there or
    /// somebody has claimed it already: then do not call.
    pub async fn claim(&self, key: &str) -> Result<bool, CommitError> {
        let mut writer = self.writer.lock().await;
        writer.begin().await?;
        let done =
            sqlx::query("update outbox set state = 'trying' where key = ? and state = 'pending'")
                .bind(key)
                .execute(&mut writer.conn)
                .await;
        let head = writer.head;
        writer.end(done.map(|done| done.rows_affected() == 1), head).await
    }

    /// The try certainly did not do it: it waits for the next one. False if it was not being tried.
    pub async fn postpone(
        &self,
        key: &str,
        due_at: DateTime<Utc>,
        why: &str,
    ) -> Result<bool, CommitError> {
        let mut writer = self.writer.lock().await;
        writer.begin().await?;
        let done = sqlx::query(
            "update outbox set state = 'pending', tries = tries + 1, due_at = ?, failure = ? \
             where key = ? and state = 'trying'",
        )
        .bind(instant(due_at))
        .bind(why)
        .bind(key)
        .execute(&mut writer.conn)
        .await;
        let head = writer.head;
        writer.end(done.map(|done| done.rows_affected() == 1), head).await
    }

    /// All that waits, in the order in which it was wanted.
    pub async fn outbox(&self) -> Result<Vec<Waiting>, ReadError> {
        let rows = sqlx::query(
            "select key, lane, seq, state, tries, due_at, failure, effect from outbox \
             order by seq, position",
        )
        .fetch_all(&self.reader.pool)
        .await?;
        Ok(rows.iter().map(waiting).collect::<sqlx::Result<_>>()?)
    }

    /// The cards to be written, the longest out of date first.
    pub async fn cards_behind(&self) -> Result<Vec<CardRow>, ReadError> {
        let rows = sqlx::query(
            "select key, lane, wanted_seq, written_seq from card where written_seq < wanted_seq \
             order by wanted_seq, key",
        )
        .fetch_all(&self.reader.pool)
        .await?;
        Ok(rows.iter().map(card).collect::<sqlx::Result<_>>()?)
    }

    /// The card shows the state of this entry. It stays behind if more was wanted meanwhile.
    pub async fn card_written(&self, key: &str, seq: u64) -> Result<(), CommitError> {
        let mut writer = self.writer.lock().await;
        writer.begin().await?;
        let done = sqlx::query("update card set written_seq = ? where key = ?")
            .bind(signed(seq))
            .bind(key)
            .execute(&mut writer.conn)
            .await;
        let head = writer.head;
        writer.end(done.map(|_| ()), head).await
    }
}

fn waiting(row: &SqliteRow) -> sqlx::Result<Waiting> {
    let state = match row.try_get("state")? {
        "pending" => Delivery::Pending,
        "trying" => Delivery::Trying,
        other => return Err(sqlx::Error::Decode(format!("`{other}` is no state").into())),
    };
    Ok(Waiting {
        key: row.try_get("key")?,
        lane: row.try_get("lane")?,
        seq: row.try_get("seq")?,
        state,
        tries: row.try_get("tries")?,
        due_at: row.try_get::<Option<&str>, _>("due_at")?.map(parse_instant).transpose()?,
        last_failure: row.try_get("failure")?,
        effect: row.try_get("effect")?,
    })
}

fn card(row: &SqliteRow) -> sqlx::Result<CardRow> {
    Ok(CardRow {
        key: row.try_get("key")?,
        lane: row.try_get("lane")?,
        wanted_seq: row.try_get("wanted_seq")?,
        written_seq: row.try_get("written_seq")?,
    })
}

pub(super) async fn add(conn: &mut SqliteConnection, effects: &[NewEffect]) -> sqlx::Result<()> {
    for chunk in effects.chunks(CHUNK) {
        QueryBuilder::<Sqlite>::new("insert into outbox (key, lane, seq, effect) ")
            .push_values(chunk, |mut row, effect| {
                row.push_bind(&effect.key)
                    .push_bind(&effect.lane)
                    .push_bind(signed(effect.seq))
                    .push_bind(&effect.effect);
            })
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// A key that is not there was settled before: nothing to do.
pub(super) async fn settle(conn: &mut SqliteConnection, keys: &[String]) -> sqlx::Result<()> {
    for chunk in keys.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new("delete from outbox where key in (");
        let mut list = query.separated(", ");
        for key in chunk {
            list.push_bind(key);
        }
        query.push(")").build().execute(&mut *conn).await?;
    }
    Ok(())
}

pub(super) async fn want(
    conn: &mut SqliteConnection,
    cards: &[CardWish],
    seq: u64,
) -> sqlx::Result<()> {
    for chunk in cards.chunks(CHUNK) {
        QueryBuilder::<Sqlite>::new("insert into card (key, lane, wanted_seq) ")
            .push_values(chunk, |mut row, card| {
                row.push_bind(&card.key).push_bind(&card.lane).push_bind(signed(seq));
            })
            .push(
                " on conflict (key) do update \
                 set lane = excluded.lane, wanted_seq = excluded.wanted_seq",
            )
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
