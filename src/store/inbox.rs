//! The inbox: what was asked and waits to be decided until we know who asks.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::log::{instant, parse_instant};
use super::{CommitError, ReadError, Store};

/// Rows in one statement, far below the number of values that SQLite binds.
const CHUNK: usize = 256;

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
        let mut writer = self.writer.lock().await;
        writer.begin().await?;
        let row = "insert into inbox (id, at, heard) values (?, ?, ?) on conflict do nothing";
        let done = sqlx::query(row)
            .bind(&kept.id)
            .bind(instant(kept.at))
            .bind(&kept.heard)
            .execute(&mut writer.conn)
            .await;
        let head = writer.head;
        writer.end(done.map(|done| done.rows_affected() == 1), head).await
    }

    /// All that waits, the oldest first.
    pub async fn inbox(&self) -> Result<Vec<Kept>, ReadError> {
        let rows = sqlx::query("select id, at, heard from inbox order by at, id")
            .fetch_all(&self.reader.pool)
            .await?;
        Ok(rows.iter().map(kept).collect::<sqlx::Result<_>>()?)
    }
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
    use super::*;
    use crate::store::Batch;
    use crate::store::testing::entries;

    fn asked(id: &str) -> Kept {
        let at = "2026-12-15T18:00:00Z".parse().expect("a time");
        Kept { id: id.to_owned(), at, heard: r#"{"said":"go"}"#.to_owned() }
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
