//! The inbox: what was asked and waits to be decided until we know who asks.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::log::{instant, parse_instant};
use super::shared::Small;
use super::{CHUNK, CommitError, ReadError, Store};

/// A request that was not decided yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: String,
    pub at: DateTime<Utc>,
    /// JSON.
    pub heard: String,
}

impl Store {
    /// On the disk before anybody is told that we have it. False if it was kept before.
    pub async fn keep(&self, kept: &Kept) -> Result<bool, CommitError> {
        self.together(Small::Keep(kept.clone())).await
    }

    /// All that waits, the oldest first.
    pub async fn inbox(&self) -> Result<Vec<Kept>, ReadError> {
        let rows = sqlx::query("select id, at, heard from inbox order by at, id")
            .fetch_all(&self.reader.pool)
            .await?;
        Ok(rows.iter().map(kept).collect::<sqlx::Result<_>>()?)
    }
}

/// The ids of those that are new.
pub(super) async fn put_in(
    conn: &mut SqliteConnection,
    rows: &[&Kept],
) -> sqlx::Result<HashSet<String>> {
    let mut new = HashSet::new();
    for chunk in rows.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new("insert into inbox (id, at, heard) ");
        query.push_values(chunk, |mut values, kept| {
            values.push_bind(&kept.id).push_bind(instant(kept.at)).push_bind(&kept.heard);
        });
        query.push(" on conflict do nothing returning id");
        for row in query.build().fetch_all(&mut *conn).await? {
            new.insert(row.try_get("id")?);
        }
    }
    Ok(new)
}

fn kept(row: &SqliteRow) -> sqlx::Result<Kept> {
    Ok(Kept {
        id: row.try_get("id")?,
        at: parse_instant(row.try_get("at")?)?,
        heard: row.try_get("heard")?,
    })
}

/// An id that is not there was decided before: nothing to do.
pub(super) async fn take_out(conn: &mut SqliteConnection, ids: &[String]) -> sqlx::Result<()> {
    for chunk in ids.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new("delete from inbox where id in (");
        let mut list = query.separated(", ");
        for id in chunk {
            list.push_bind(id);
        }
        query.push(")").build().execute(&mut *conn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::store::Batch;
    use crate::store::testing::entries;

    fn asked(id: &str) -> Kept {
        let at = "2026-12-15T18:00:00Z".parse().expect("a time");
        Kept { id: id.to_owned(), at, heard: r#"{"said":"go"}"#.to_owned() }
    }

    #[tokio::test]
    async fn a_burst_is_kept_together_and_each_of_it_once() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let store = Arc::new(Store::open(dir.path()).await?);
        let names = (0..600).map(|n| format!("{:03}", n % 300));
        let mut burst = JoinSet::new();
        for name in names {
            let store = Arc::clone(&store);
            burst.spawn(async move { store.keep(&asked(&name)).await });
        }
        let mut new = 0;
        while let Some(kept) = burst.join_next().await {
            new += usize::from(kept??);
        }
        assert_eq!((new, store.inbox().await?.len()), (300, 300));
        assert!(!store.keep(&asked("000")).await?);
        Ok(())
    }

    #[tokio::test]
    async fn a_request_is_kept_once_and_goes_with_what_decides_it() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        assert!(store.keep(&asked("a")).await?);
        assert!(!store.keep(&asked("a")).await?, "it was delivered again");
        assert!(store.keep(&asked("b")).await?);
        store.close().await;

        let store = Store::open(dir.path()).await?;
        assert_eq!(store.inbox().await?, [asked("a"), asked("b")]);
        let decided = Batch { decided: vec!["a".to_owned(), "gone".to_owned()], ..entries(1..=1) };
        store.commit(&decided).await?;
        assert_eq!(store.inbox().await?, [asked("b")]);
        Ok(())
    }
}
