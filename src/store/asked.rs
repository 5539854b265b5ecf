//! What was said under the ids that askers choose themselves: the same id with something else is
//! somebody's mistake, and has to be told from a repetition.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::log::Hash;
use super::{CHUNK, ReadError, Store};

/// What was said under a request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub request: String,
    pub said: Hash,
}

impl Asked {
    /// Only the digest is kept.
    pub fn new(request: &str, said: &str) -> Self {
        let said = Hash::of(Sha256::digest(said.as_bytes()).into());
        Self { request: request.to_owned(), said }
    }
}

impl Store {
    /// What was said under these ids; nothing for an id that is new, or whose words nobody keeps.
    pub async fn asked(&self, requests: &[String]) -> Result<HashMap<String, Hash>, ReadError> {
        let mut asked = HashMap::new();
        for chunk in requests.chunks(CHUNK) {
            let mut query =
                QueryBuilder::<Sqlite>::new("select request, said from asked where request in (");
            let mut list = query.separated(", ");
            for request in chunk {
                list.push_bind(request);
            }
            for row in query.push(")").build().fetch_all(&self.reader.pool).await? {
                let said = row.try_get::<&str, _>("said")?.parse();
                let said = said.map_err(|why| sqlx::Error::Decode(Box::new(why)))?;
                asked.insert(row.try_get("request")?, said);
            }
        }
        Ok(asked)
    }
}

/// The first words under an id stand.
pub(super) async fn add(conn: &mut SqliteConnection, asked: &[Asked]) -> sqlx::Result<()> {
    for chunk in asked.chunks(CHUNK) {
        QueryBuilder::<Sqlite>::new("insert into asked (request, said) ")
            .push_values(chunk, |mut row, asked| {
                row.push_bind(&asked.request).push_bind(asked.said.to_string());
            })
            .push(" on conflict do nothing")
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::entries;
    use super::super::{Batch, Store};
    use super::*;

    #[tokio::test]
    async fn the_first_words_under_an_id_stand_also_after_a_restart() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        let saying = |seq: u64, said: &str| Batch {
            asked: vec![Asked::new("api/ci/key", said)],
            ..entries([seq])
        };
        store.commit(&saying(1, "hold")).await?;
        store.commit(&saying(2, "resume")).await?;
        store.close().await;
        let store = Store::open(dir.path()).await?;
        let known = store.asked(&["api/ci/key".to_owned(), "api/ci/other".to_owned()]).await?;
        let expected = Asked::new("api/ci/key", "hold");
        assert_eq!(known, HashMap::from([(expected.request, expected.said)]));
        Ok(())
    }
}
