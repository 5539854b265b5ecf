//! What we remember: one SQLite file with the log, the outbox and the cards. All the SQL is here.
//!
//! **Invariant:** nothing here knows what an entry means. The store knows numbers, hashes, JSON
//! texts, keys and lanes; the rules live elsewhere.

pub mod export;
mod fault;
pub mod log;
mod open;
pub mod outbox;
pub mod verify;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, watch};

use fault::fault;

pub use log::{Entry, Hash, Head, NewEntry, Pages, ReadError, Reader, Which};
pub use open::OpenError;
pub use outbox::{CardRow, CardWish, Delivery, NewEffect, Waiting};
pub use verify::{Finding, Witness, verify};

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
    /// Cards that these entries make out of date.
    pub cards: Vec<CardWish>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.effects.is_empty()
            && self.settled.is_empty()
            && self.cards.is_empty()
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
    head: watch::Sender<Head>,
    reader: Reader,
    /// Last, so that it is let go of after all that it protects.
    _lock: File,
}

impl Store {
    /// Opens the state directory, creating what is missing; refuses to be the second one.
    pub async fn open(dir: &Path) -> Result<Self, OpenError> {
        let open::Opened { conn, head, reader, lock } = open::writer(dir).await?;
        let writer = Mutex::new(Writer { conn, head, unsettled: false });
        Ok(Self { writer, head: watch::Sender::new(head), reader, _lock: lock })
    }

    /// Where the log ends: the last committed entry.
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// One transaction and one sync for the whole batch; answers the numbers and the hashes of the
    /// entries when they are on the disk. A call that is abandoned half-way leaves the store unable
    /// to tell, see [`CommitError::Uncertain`].
    pub async fn commit(&self, batch: &Batch) -> Result<Vec<(u64, Hash)>, CommitError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.writer.lock().await;
        let links = log::chain(writer.head, &batch.entries).map_err(CommitError::NotRecorded)?;
        let written: Vec<_> = links.iter().map(|link| (link.seq, link.hash)).collect();
        let head = written.last().map_or(writer.head, |&(seq, hash)| Head { seq, hash });

        writer.begin().await?;
        let done = write(&mut writer.conn, batch, &links, head.seq).await;
        writer.end(done, head).await?;
        self.head.send_replace(head);
        Ok(written)
    }

    /// The entries that these requests have left already.
    pub async fn answered(
        &self,
        requests: &[String],
    ) -> Result<HashMap<String, Vec<Entry>>, ReadError> {
        self.reader.answered(requests).await
    }

    /// Writes, to know that the disk takes it.
    pub async fn check(&self) -> Result<(), CommitError> {
        let mut writer = self.writer.lock().await;
        writer.begin().await?;
        let done = beat(&mut writer.conn).await;
        let head = writer.head;
        writer.end(done, head).await
    }

    /// Lets go of the directory when everything is on the disk and the file stands alone.
    pub async fn close(self) {
        self.reader.close().await;
        if let Err(error) = self.writer.into_inner().conn.close().await {
            tracing::warn!(%error, "the database did not close well; the next start puts it right");
        }
    }
}

async fn write(
    conn: &mut SqliteConnection,
    batch: &Batch,
    links: &[log::Link<'_>],
    seq: u64,
) -> sqlx::Result<()> {
    log::append(conn, links).await?;
    outbox::settle(conn, &batch.settled).await?;
    outbox::add(conn, &batch.effects).await?;
    outbox::want(conn, &batch.cards, seq).await
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
}

impl Writer {
    async fn begin(&mut self) -> Result<(), CommitError> {
        if self.unsettled {
            let why = "an earlier write ended without a clear outcome; start again from the file";
            return Err(CommitError::Uncertain(why.to_owned()));
        }
        self.unsettled = true;
        match sqlx::query("begin immediate").execute(&mut self.conn).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.give_up(&error).await),
        }
    }

    /// Commits what was done, or takes it back.
    async fn end<T>(&mut self, done: sqlx::Result<T>, head: Head) -> Result<T, CommitError> {
        let ended = match done {
            Ok(value) => sqlx::query("commit").execute(&mut self.conn).await.map(|_| value),
            Err(error) => Err(error),
        };
        match ended {
            Ok(value) => {
                self.head = head;
                self.unsettled = false;
                Ok(value)
            }
            Err(error) => Err(self.give_up(&error).await),
        }
    }

    async fn give_up(&mut self, error: &sqlx::Error) -> CommitError {
        let fault = fault(error);
        let why = fault.explain(error);
        if !fault.leaves_nothing() || !self.rolled_back().await {
            return CommitError::Uncertain(why);
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
