//! What we remember: one SQLite file with the log, the outbox, the inbox and the cards. All the SQL is here.
//!
//! **Invariant:** nothing here knows what an entry means. The store knows numbers, hashes, JSON
//! texts, keys and lanes; the rules live elsewhere.

mod asked;
pub mod export;
mod fault;
mod inbox;
pub mod log;
mod open;
pub mod outbox;
mod shared;
mod snapshot;
#[cfg(test)]
mod testing;
pub mod verify;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

use fault::fault;

pub use asked::Asked;
pub use inbox::Kept;
pub use log::{Entry, Hash, Head, NewEntry, Pages, ReadError, Reader, Which};
pub use open::OpenError;
pub use outbox::{CardRow, CardWish, Claim, Delivery, NewEffect, Waiting};
pub use snapshot::Snapshot;
pub use verify::{Finding, Witness, damaged, verify};

/// What is written together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order: the first gets the number after the head.
    pub entries: Vec<NewEntry>,
    /// What these entries want done.
    pub effects: Vec<NewEffect>,
    /// Keys of effects whose outcome these entries tell. They are removed before the new ones are
    /// added, so a key may be settled and asked for again in one batch.
    pub settled: Vec<String>,
    /// Ids of what was kept in the inbox and is decided by these entries.
    pub decided: Vec<String>,
    /// Cards that these entries make out of date.
    pub cards: Vec<CardWish>,
    /// What was said under ids that the askers chose.
    pub asked: Vec<Asked>,
}

/// Rows or ids in one statement. SQLite binds at most 32,766 values in one: this stays far below.
const CHUNK: usize = 256;

impl Batch {
    /// How many it takes to write it.
    fn statements(&self) -> usize {
        let Self { entries, effects, settled, decided, cards, asked } = self;
        let rows =
            [entries.len(), effects.len(), settled.len(), decided.len(), cards.len(), asked.len()];
        rows.into_iter().map(|rows| rows.div_ceil(CHUNK)).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.effects.is_empty()
            && self.settled.is_empty()
            && self.decided.is_empty()
            && self.cards.is_empty()
            && self.asked.is_empty()
    }
}

/// Why something was not written, by what must happen next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Certainly rolled back: stay up and say that it was not recorded.
    #[error("not recorded: {0}")]
    NotRecorded(String),
    /// It may be on the disk or not: only a new start from the file can tell. Until then the store
    /// answers this to every write, since a sync that failed once proves nothing the second time.
    #[error("cannot tell whether it was recorded: {0}")]
    Uncertain(String),
}

/// The one writer of a state directory, and its readers.
pub struct Store {
    writer: Mutex<Writer>,
    gathering: shared::Gathering,
    /// Nobody can tell any more what is on the disk.
    doubt: CancellationToken,
    head: watch::Sender<Head>,
    reader: Reader,
    dir: PathBuf,
    /// Last, so that it is let go of after all that it protects.
    _lock: File,
}

impl Store {
    /// Opens the state directory, creating what is missing; refuses to be the second one.
    pub async fn open(dir: &Path) -> Result<Self, OpenError> {
        let open::Opened { conn, head, reader, lock } = open::writer(dir).await?;
        let doubt = CancellationToken::new();
        let writer = Mutex::new(Writer { conn, head, unsettled: false, doubt: doubt.clone() });
        let (gathering, head) = (shared::Gathering::default(), watch::Sender::new(head));
        Ok(Self { writer, gathering, doubt, head, reader, dir: dir.to_owned(), _lock: lock })
    }

    /// Until some write, whoever's it was, ended [`CommitError::Uncertain`]: none will succeed after
    /// it, so that only a new start helps.
    pub async fn doubted(&self) {
        self.doubt.cancelled().await;
    }

    /// Where the log ends: the last committed entry.
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The last one that was taken, if it is of this shape. Whether the log vouches for it is for
    /// whoever reads on from there to see.
    pub fn snapshot(&self, shape: u32) -> Option<Snapshot> {
        Snapshot::read(&self.dir, shape)
    }

    /// Takes the place of the one before when it is on the disk; answers its digest.
    pub fn keep_snapshot(&self, head: Head, shape: u32, body: &str) -> std::io::Result<Hash> {
        let (taken, text) = Snapshot::new(head, shape, body);
        snapshot::write(&self.dir, &text).map(|()| taken.digest)
    }

    /// When nobody else writes.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { store: self, writer: self.writer.lock().await }
    }

    /// As [`Turn::answered`], for who has nothing to commit.
    pub async fn answered(
        &self,
        requests: &[String],
    ) -> Result<HashMap<String, Vec<Entry>>, ReadError> {
        self.turn().await.answered(requests).await
    }

    /// As [`Turn::commit`], for who has nothing to look up before.
    pub async fn commit(&self, batch: &Batch) -> Result<Vec<(u64, Hash)>, CommitError> {
        self.turn().await.commit(batch).await
    }

    /// Writes, to know that the disk takes it.
    pub async fn check(&self) -> Result<(), CommitError> {
        let mut writer = self.writer.lock().await;
        let head = writer.head;
        writer.transaction(1, head, beat).await
    }

    /// Puts everything into the file itself, for whoever copies it while nobody writes.
    pub async fn gather(&self) {
        let mut writer = self.writer.lock().await;
        let gathered = sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut writer.conn);
        if let Err(error) = gathered.await {
            tracing::warn!(%error, "the journal stays beside the log; both belong together");
        }
    }

    /// Lets go of the directory when everything is on the disk and the file stands alone.
    pub async fn close(self) {
        self.reader.close().await;
        if let Err(error) = self.writer.into_inner().conn.close().await {
            tracing::warn!(%error, "the database did not close well; the next start puts it right");
        }
    }
}

/// The writer, for as long as it takes to look and to commit: nobody comes in between, and whatever
/// small is to be written meanwhile goes along.
pub struct Turn<'s> {
    store: &'s Store,
    writer: MutexGuard<'s, Writer>,
}

impl Turn<'_> {
    /// The entries that these requests have left already. Asked by the writer's own connection, which
    /// is at hand: a pool's costs more than the question.
    pub async fn answered(
        &mut self,
        requests: &[String],
    ) -> Result<HashMap<String, Vec<Entry>>, ReadError> {
        if self.writer.unsettled {
            // What it sees may not be on the disk.
            let mut conn = self.store.reader.pool.acquire().await?;
            return log::answered(&mut conn, requests).await;
        }
        log::answered(&mut self.writer.conn, requests).await
    }

    /// One transaction and one sync for the whole batch; answers the numbers and the hashes of the
    /// entries when they are on the disk. A call that is abandoned half-way leaves the store unable
    /// to tell, see [`CommitError::Uncertain`].
    pub async fn commit(self, batch: &Batch) -> Result<Vec<(u64, Hash)>, CommitError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let Self { store, mut writer } = self;
        let links = log::chain(writer.head, &batch.entries).map_err(CommitError::NotRecorded)?;
        let written: Vec<_> = links.iter().map(|link| (link.seq, link.hash)).collect();
        let head = written.last().map_or(writer.head, |&(seq, hash)| Head { seq, hash });

        let (small, waiting) = shared::apart(store.gathering.take_along());
        let statements = batch.statements() + shared::statements(&small);
        let write =
            async |conn: &mut SqliteConnection| write(conn, batch, &links, head.seq, &small).await;
        match writer.transaction(statements, head, write).await {
            Ok(changed) => {
                store.head.send_replace(head);
                shared::tell(waiting, Ok(&changed));
                Ok(written)
            }
            Err(why @ CommitError::NotRecorded(_)) => {
                store.gathering.put_back(small.into_iter().zip(waiting).collect());
                Err(why)
            }
            Err(why @ CommitError::Uncertain(_)) => {
                shared::tell(waiting, Err(&why));
                Err(why)
            }
        }
    }
}

async fn write(
    conn: &mut SqliteConnection,
    batch: &Batch,
    links: &[log::Link<'_>],
    seq: u64,
    small: &[shared::Small],
) -> sqlx::Result<HashSet<usize>> {
    log::append(conn, links).await?;
    asked::add(conn, &batch.asked).await?;
    outbox::settle(conn, &batch.settled).await?;
    inbox::take_out(conn, &batch.decided).await?;
    outbox::add(conn, &batch.effects).await?;
    outbox::want(conn, &batch.cards, seq).await?;
    shared::written(conn, small).await
}

async fn between_begin_and_commit<T>(
    conn: &mut SqliteConnection,
    write: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    sqlx::query("begin immediate").execute(&mut *conn).await?;
    let value = write(&mut *conn).await?;
    sqlx::query("commit").execute(conn).await?;
    Ok(value)
}

async fn beat(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("update pulse set beats = beats + 1").execute(conn).await.map(|_| ())
}

/// The one connection that writes. Transactions are spelled out rather than left to sqlx, whose
/// count of them goes wrong when SQLite rolls back by itself, as it may on a full disk.
struct Writer {
    conn: SqliteConnection,
    head: Head,
    /// A transaction has begun and its outcome is not known to us.
    unsettled: bool,
    doubt: CancellationToken,
}

impl Writer {
    /// All of it or nothing; then the log ends at this head. One statement is a transaction by itself:
    /// to begin and to commit would take longer than most of them.
    async fn transaction<T>(
        &mut self,
        statements: usize,
        head: Head,
        write: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
    ) -> Result<T, CommitError> {
        if self.unsettled {
            let why = "an earlier write ended without a clear outcome; start again from the file";
            return Err(self.uncertain(why.to_owned()));
        }
        self.unsettled = true;
        let written = match statements {
            1 => write(&mut self.conn).await,
            _ => between_begin_and_commit(&mut self.conn, write).await,
        };
        match written {
            Ok(value) => {
                self.head = head;
                self.unsettled = false;
                Ok(value)
            }
            Err(error) => Err(self.give_up(&error).await),
        }
    }

    fn uncertain(&self, why: String) -> CommitError {
        self.doubt.cancel();
        CommitError::Uncertain(why)
    }

    async fn give_up(&mut self, error: &sqlx::Error) -> CommitError {
        let fault = fault(error);
        let why = fault.explain(error);
        if !fault.leaves_nothing() || !self.rolled_back().await {
            return self.uncertain(why);
        }
        self.unsettled = false;
        CommitError::NotRecorded(why)
    }

    /// Rolls back and proves it: a transaction can begin, so none is open, and the log ends where
    /// it ended before.
    async fn rolled_back(&mut self) -> bool {
        // Fails where SQLite has rolled back already, which is as good.
        let _ = sqlx::query("rollback").execute(&mut self.conn).await;
        matches!(self.head_on_disk().await, Ok(head) if head == self.head)
    }

    async fn head_on_disk(&mut self) -> sqlx::Result<Head> {
        sqlx::query("begin").execute(&mut self.conn).await?;
        let head = log::head(&mut self.conn).await;
        sqlx::query("rollback").execute(&mut self.conn).await?;
        head
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::AssertSqlSafe;

    use super::testing::{effect, entries, entry, filled, raw};
    use super::*;

    async fn opened() -> anyhow::Result<(tempfile::TempDir, Store)> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        Ok((dir, store))
    }

    fn numbers(written: &[(u64, Hash)]) -> Vec<u64> {
        written.iter().map(|(seq, _)| *seq).collect()
    }

    #[tokio::test]
    async fn what_is_committed_is_read_back_after_a_restart() -> anyhow::Result<()> {
        let (dir, store) = opened().await?;
        assert_eq!(store.head(), Head::GENESIS);
        let written = store.commit(&entries(1..=3)).await?;
        let last = written[2];
        assert_eq!(store.head(), Head { seq: 3, hash: last.1 });
        store.close().await;

        let store = Store::open(dir.path()).await?;
        assert_eq!(store.head(), Head { seq: 3, hash: last.1 });
        let read = store.reader().entries(&Which::default()).await?;
        for (read, (seq, hash)) in read.iter().zip(&written) {
            let NewEntry { at, actor, request, release, schema, event } = entry(*seq);
            let (seq, hash) = (*seq, *hash);
            assert_eq!(*read, Entry { seq, at, actor, request, release, schema, event, hash });
        }
        assert_eq!(read.len(), 3);
        Ok(())
    }

    #[tokio::test]
    async fn a_batch_keeps_its_order_beyond_one_statement() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        assert_eq!(numbers(&store.commit(&entries(1..=700)).await?), Vec::from_iter(1..=700));
        let read = store.reader().entries(&Which::default()).await?;
        let requests: Vec<_> = read.iter().map(|entry| entry.request.clone()).collect();
        assert_eq!(requests, Vec::from_iter((1..=700).map(|seq| format!("console/{seq}"))));
        Ok(())
    }

    #[tokio::test]
    async fn writers_that_come_together_are_chained_one_after_the_other() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        let (one, two, three) = (entries(1..=5), entries(6..=9), entries(10..=10));
        let (a, b, c) = tokio::join!(store.commit(&one), store.commit(&two), store.commit(&three));
        assert_eq!(numbers(&[a?, b?, c?].concat()), Vec::from_iter(1..=10));
        let found = verify(store.reader(), None).await?;
        assert_eq!(found, Finding::Verified { entries: 10, head: store.head() });
        Ok(())
    }

    #[tokio::test]
    async fn a_request_finds_the_entries_that_it_left() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        let mut batch = entries(1..=400);
        batch.entries[6].request = "console/1".to_owned();
        store.commit(&batch).await?;
        let asked: Vec<_> = (0..=400).map(|seq| format!("console/{seq}")).collect();
        let answered = store.answered(&asked).await?;
        let left: Vec<_> = answered["console/1"].iter().map(|entry| entry.seq).collect();
        assert_eq!(left, [1, 7]);
        assert!(!answered.contains_key("console/0"), "never asked before");
        assert_eq!(answered.len(), 399, "all but the seventh, which took the first one's id");
        Ok(())
    }

    #[tokio::test]
    async fn a_full_disk_changes_nothing_and_is_survived() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        store.commit(&entries(1..=1)).await?;
        let before = store.head();
        limit(&store, "pragma max_page_count = 1").await?;

        let mut big = entries(2..=3);
        big.entries[1].event = format!("\"{}\"", "x".repeat(1 << 20));
        big.effects = vec![effect("announce", 2)];
        let error = store.commit(&big).await.expect_err("no page is left");
        assert!(matches!(&error, CommitError::NotRecorded(why) if why.contains("full")), "{error}");
        assert_eq!(store.head(), before);
        assert_eq!(store.reader().head().await?, before);
        assert_eq!(store.outbox().await?, []);

        limit(&store, "pragma max_page_count = 1000000").await?;
        store.check().await?;
        assert_eq!(numbers(&store.commit(&big).await?), [2, 3]);
        assert_eq!(store.outbox().await?.len(), 1);
        let found = verify(store.reader(), None).await?;
        assert_eq!(found, Finding::Verified { entries: 3, head: store.head() });
        Ok(())
    }

    async fn limit(store: &Store, pragma: &'static str) -> sqlx::Result<()> {
        let mut writer = store.writer.lock().await;
        sqlx::query(pragma).execute(&mut writer.conn).await.map(|_| ())
    }

    #[tokio::test]
    async fn a_stranger_who_holds_the_database_is_named_and_survived() -> anyhow::Result<()> {
        let (dir, store) = opened().await?;
        let mut stranger = raw(dir.path()).await?;
        sqlx::query("begin immediate").execute(&mut stranger).await?;
        let error = store.commit(&entries(1..=1)).await.expect_err("somebody else writes");
        assert!(
            matches!(&error, CommitError::NotRecorded(why) if why.contains("holds")),
            "{error}"
        );
        assert!(matches!(store.check().await, Err(CommitError::NotRecorded(_))));

        sqlx::query("rollback").execute(&mut stranger).await?;
        assert_eq!(numbers(&store.commit(&entries(1..=1)).await?), [1]);
        Ok(())
    }

    #[tokio::test]
    async fn an_effect_that_waits_already_refuses_its_whole_batch() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        store.commit(&Batch { effects: vec![effect("a", 1)], ..entries(1..=1) }).await?;
        let twice = Batch { effects: vec![effect("a", 2)], ..entries(2..=2) };
        assert!(matches!(store.commit(&twice).await, Err(CommitError::NotRecorded(_))));
        assert_eq!(store.head().seq, 1);
        let settled = Batch { settled: vec!["a".to_owned()], ..twice };
        assert_eq!(numbers(&store.commit(&settled).await?), [2]);
        Ok(())
    }

    #[tokio::test]
    async fn what_is_not_json_is_refused_before_it_is_hashed() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        let mut batch = entries(1..=2);
        batch.entries[1].event = "{".to_owned();
        let error = store.commit(&batch).await.expect_err("half an object");
        assert!(error.to_string().contains("the event of entry #2 is not JSON"), "{error}");
        assert_eq!(store.head(), Head::GENESIS);
        Ok(())
    }

    #[tokio::test]
    async fn an_abandoned_commit_is_admitted_by_every_write_after_it() -> anyhow::Result<()> {
        let (dir, store) = opened().await?;
        let batch = entries(1..=1);
        {
            let mut commit = std::pin::pin!(store.commit(&batch));
            let first = std::future::poll_fn(|context| {
                std::task::Poll::Ready(commit.as_mut().poll(context).is_pending())
            });
            assert!(first.await, "it waits for the disk");
        }
        assert!(matches!(store.commit(&batch).await, Err(CommitError::Uncertain(_))));
        assert!(matches!(store.claim("a").await, Err(CommitError::Uncertain(_))));
        store.doubted().await;
        store.close().await;

        let store = Store::open(dir.path()).await?;
        assert_eq!(numbers(&store.commit(&batch).await?), [store.head().seq]);
        Ok(())
    }

    #[tokio::test]
    async fn an_empty_batch_is_nothing_to_write() -> anyhow::Result<()> {
        let (_dir, store) = opened().await?;
        assert_eq!(store.commit(&Batch::default()).await?, []);
        assert_eq!(store.head(), Head::GENESIS);
        Ok(())
    }

    #[tokio::test]
    async fn the_database_itself_refuses_to_rewrite_history() -> anyhow::Result<()> {
        let dir = filled(3).await?;
        let mut conn = raw(dir.path()).await?;
        let copy = |verb: &str, seq: i64| {
            format!(
                "{verb} into log (seq, at, actor, request, release, schema, event, hash) \
                 select {seq}, at, actor, request, release, schema, event, hash from log \
                 where seq = 2"
            )
        };
        let attempts = [
            ("update log set event = '{}' where seq = 2".to_owned(), "never changed"),
            ("delete from log where seq = 3".to_owned(), "never removed"),
            (copy("insert or replace", 2), "only the next number"),
            (copy("insert or ignore", 0), "only the next number"),
            (copy("insert", 5), "only the next number"),
            (copy("insert", -1), "only the next number"),
        ];
        for (attempt, said) in attempts {
            let done = sqlx::query(AssertSqlSafe(attempt.clone())).execute(&mut conn).await;
            let error = done.expect_err(&attempt).to_string();
            assert!(error.contains(said), "{attempt}: {error}");
        }
        let reader = Reader::open(dir.path()).await?;
        assert!(matches!(verify(&reader, None).await?, Finding::Verified { entries: 3, .. }));
        Ok(())
    }

    #[tokio::test]
    async fn a_slow_reader_keeps_nobody_from_writing() -> anyhow::Result<()> {
        let (dir, store) = opened().await?;
        store.commit(&entries(1..=10)).await?;
        let reader = Reader::open(dir.path()).await?;
        let mut pages = reader.pages(Which::default());
        pages.next().await?;
        let commit = tokio::time::timeout(Duration::from_secs(10), async {
            store.commit(&entries(11..=12)).await
        });
        assert_eq!(numbers(&commit.await??), [11, 12]);
        assert_eq!(reader.head().await?, store.head());
        Ok(())
    }
}
