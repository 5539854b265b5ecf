//! The outbox: what the world is still to be asked, and the cards that are out of date.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteQueryResult, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::log::{instant, parse_instant, signed};
use super::shared::{Small, Told};
use super::{CHUNK, CommitError, ReadError, Store};

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

/// A claim on its way to the disk.
pub struct Claim(Told);

impl Store {
    /// Marks the effect as being tried, on the disk before the call. False if it is not there or
    /// somebody has claimed it already: then do not call.
    pub async fn claim(&self, key: &str) -> Result<bool, CommitError> {
        self.claimed(self.claim_soon(key)).await
    }

    /// The same, before anybody waits for it: it goes with whatever is written next.
    pub fn claim_soon(&self, key: &str) -> Claim {
        Claim(self.gathering.join(Small::Claim(key.to_owned())))
    }

    pub async fn claimed(&self, claim: Claim) -> Result<bool, CommitError> {
        self.told(claim.0).await
    }

    /// The try certainly did not do it: it waits for the next one. False if it was not being tried.
    pub async fn postpone(
        &self,
        key: &str,
        tries: u32,
        due_at: DateTime<Utc>,
        why: &str,
    ) -> Result<bool, CommitError> {
        let (key, why) = (key.to_owned(), why.to_owned());
        self.together(Small::Postpone { key, tries, due_at, why }).await
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
        self.together(Small::CardWritten { key: key.to_owned(), seq }).await.map(drop)
    }
}

/// The keys of those that waited for somebody to claim them.
pub(super) async fn claim(
    conn: &mut SqliteConnection,
    keys: &[&str],
) -> sqlx::Result<HashSet<String>> {
    let mut claimed = HashSet::new();
    for chunk in keys.chunks(CHUNK) {
        let sql = "update outbox set state = 'trying' where state = 'pending' and key in (";
        let mut query = QueryBuilder::<Sqlite>::new(sql);
        let mut list = query.separated(", ");
        for key in chunk {
            list.push_bind(key);
        }
        query.push(") returning key");
        for row in query.build().fetch_all(&mut *conn).await? {
            claimed.insert(row.try_get("key")?);
        }
    }
    Ok(claimed)
}

pub(super) async fn postpone(
    conn: &mut SqliteConnection,
    key: &str,
    tries: u32,
    due_at: DateTime<Utc>,
    why: &str,
) -> sqlx::Result<bool> {
    let sql = "update outbox set state = 'pending', tries = ?, due_at = ?, failure = ? \
               where key = ? and state = 'trying'";
    let query = sqlx::query(sql).bind(tries).bind(instant(due_at)).bind(why).bind(key);
    changed(query.execute(conn).await)
}

pub(super) async fn card_written(
    conn: &mut SqliteConnection,
    key: &str,
    seq: u64,
) -> sqlx::Result<bool> {
    let query = sqlx::query("update card set written_seq = ? where key = ?");
    changed(query.bind(signed(seq)).bind(key).execute(conn).await)
}

fn changed(done: sqlx::Result<SqliteQueryResult>) -> sqlx::Result<bool> {
    done.map(|done| done.rows_affected() == 1)
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

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::super::testing::{effect, entries, noon};
    use super::*;

    fn keys(waiting: &[Waiting]) -> Vec<&str> {
        waiting.iter().map(|effect| effect.key.as_str()).collect()
    }

    async fn with_effects(effects: &[(&str, u64)]) -> anyhow::Result<(tempfile::TempDir, Store)> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        let effects = effects.iter().map(|(key, seq)| effect(key, *seq)).collect();
        store.commit(&Batch { effects, ..entries(1..=3) }).await?;
        Ok((dir, store))
    }

    #[tokio::test]
    async fn effects_wait_in_the_order_in_which_they_were_wanted() -> anyhow::Result<()> {
        let (_dir, store) = with_effects(&[("z", 1), ("a", 1), ("m", 3), ("k", 2)]).await?;
        assert_eq!(keys(&store.outbox().await?), ["z", "a", "k", "m"]);
        store.commit(&Batch { settled: vec!["a".to_owned()], ..entries(4..=4) }).await?;
        assert_eq!(keys(&store.outbox().await?), ["z", "k", "m"]);
        Ok(())
    }

    #[tokio::test]
    async fn many_effects_and_outcomes_fit_in_one_batch() -> anyhow::Result<()> {
        let (_dir, store) = with_effects(&[]).await?;
        let names: Vec<_> = (0..1000).map(|number| format!("effect/{number}")).collect();
        let effects = names.iter().map(|key| effect(key, 4)).collect();
        store.commit(&Batch { effects, ..entries(4..=4) }).await?;
        assert_eq!(keys(&store.outbox().await?), names);
        store.commit(&Batch { settled: names[1..].to_vec(), ..entries(5..=5) }).await?;
        assert_eq!(keys(&store.outbox().await?), ["effect/0"]);
        Ok(())
    }

    #[tokio::test]
    async fn an_effect_of_an_entry_that_is_not_there_is_refused() -> anyhow::Result<()> {
        let (_dir, store) = with_effects(&[]).await?;
        let orphan = Batch { effects: vec![effect("a", 9)], ..entries(4..=4) };
        assert!(matches!(store.commit(&orphan).await, Err(CommitError::NotRecorded(_))));
        assert_eq!(store.head().seq, 3);
        Ok(())
    }

    #[tokio::test]
    async fn an_effect_is_claimed_once() -> anyhow::Result<()> {
        let (_dir, store) = with_effects(&[("a", 1)]).await?;
        assert!(store.claim("a").await?);
        assert!(!store.claim("a").await?, "somebody is at it");
        assert!(!store.claim("b").await?, "there is no such effect");
        Ok(())
    }

    #[tokio::test]
    async fn what_was_being_tried_is_still_so_after_a_crash() -> anyhow::Result<()> {
        let (dir, store) = with_effects(&[("a", 1), ("b", 1)]).await?;
        assert!(store.claim("a").await?);
        drop(store);
        let store = Store::open(dir.path()).await?;
        let states: Vec<_> = store.outbox().await?.iter().map(|effect| effect.state).collect();
        assert_eq!(states, [Delivery::Trying, Delivery::Pending]);
        assert!(!store.claim("a").await?, "its outcome is unknown: it must be looked up first");
        Ok(())
    }

    #[tokio::test]
    async fn a_postponed_effect_says_when_and_why() -> anyhow::Result<()> {
        let (_dir, store) = with_effects(&[("a", 2)]).await?;
        assert!(!store.postpone("a", 1, noon(), "nobody has tried it").await?);
        assert!(store.claim("a").await?);
        assert!(store.postpone("a", 1, noon(), "429, try later").await?);
        let expected = Waiting {
            key: "a".to_owned(),
            lane: "room".to_owned(),
            seq: 2,
            state: Delivery::Pending,
            tries: 1,
            due_at: Some(noon()),
            last_failure: Some("429, try later".to_owned()),
            effect: "{}".to_owned(),
        };
        assert_eq!(store.outbox().await?, [expected]);
        assert!(store.claim("a").await?, "it may be tried again");
        Ok(())
    }

    #[tokio::test]
    async fn a_card_is_behind_until_the_latest_wish_is_written() -> anyhow::Result<()> {
        let (_dir, store) = with_effects(&[]).await?;
        let wish = |key: &str| CardWish { key: key.to_owned(), lane: "room".to_owned() };
        let cards = vec![wish("war-room"), wish("summary"), wish("war-room")];
        store.commit(&Batch { cards, ..entries(4..=5) }).await?;
        let behind = |key: &str, wanted_seq, written_seq| CardRow {
            key: key.to_owned(),
            lane: "room".to_owned(),
            wanted_seq,
            written_seq,
        };
        let both = [behind("summary", 5, 0), behind("war-room", 5, 0)];
        assert_eq!(store.cards_behind().await?, both);

        store.commit(&Batch { cards: vec![wish("war-room")], ..entries(6..=6) }).await?;
        store.card_written("war-room", 5).await?;
        store.card_written("summary", 5).await?;
        assert_eq!(store.cards_behind().await?, [behind("war-room", 6, 5)]);
        store.card_written("war-room", 6).await?;
        assert_eq!(store.cards_behind().await?, []);
        Ok(())
    }
}
