//! Small writes that come together: whoever holds the writer first writes for all who have gathered
//! meanwhile, in one transaction with one sync. A commit takes them along.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use tokio::sync::{Notify, oneshot};

use super::inbox::{self, Kept};
use super::outbox;
use super::{CHUNK, CommitError, Store, Writer};

/// What is to be written, without an entry in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Small {
    Keep(Kept),
    Claim(String),
    Postpone { key: String, tries: u32, due_at: DateTime<Utc>, why: String },
    CardWritten { key: String, seq: u64 },
}

/// Whether the write changed anything.
type Tell = oneshot::Sender<Result<bool, CommitError>>;
pub(super) type Told = oneshot::Receiver<Result<bool, CommitError>>;

/// What waits for the writer, and who waits for it.
pub(super) type Gathered = (Small, Tell);

/// Those who wait to be written together. One of them waits for the writer, for all: whoever else
/// needs the writer stands behind one of them, and not behind each.
#[derive(Default)]
pub(super) struct Gathering {
    waiting: Mutex<Waiting>,
    /// Told when whoever was waiting for the writer has gone away.
    leaderless: Notify,
}

#[derive(Default)]
struct Waiting {
    all: Vec<Gathered>,
    led: bool,
}

impl Gathering {
    pub(super) fn join(&self, small: Small) -> Told {
        let (tell, told) = oneshot::channel();
        self.waiting().all.push((small, tell));
        told
    }

    fn lead(&self) -> Option<Leader<'_>> {
        let mut waiting = self.waiting();
        let first = !std::mem::replace(&mut waiting.led, true);
        first.then(|| Leader(self))
    }

    /// For a commit that takes them along; whoever leads them finds nothing left to do.
    pub(super) fn take_along(&self) -> Vec<Gathered> {
        std::mem::take(&mut self.waiting().all)
    }

    /// They were not written, for what the commit was about: their leader tries without it.
    pub(super) fn put_back(&self, gathered: Vec<Gathered>) {
        self.waiting().all.splice(0..0, gathered);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("never held in a panic")
    }
}

/// Waits for the writer; dropped before it comes, another takes over.
struct Leader<'a>(&'a Gathering);

impl Leader<'_> {
    /// Whoever comes from now on waits for the next leader.
    fn take_all(self) -> Vec<Gathered> {
        let mut waiting = self.0.waiting();
        waiting.led = false;
        let all = std::mem::take(&mut waiting.all);
        drop(waiting);
        std::mem::forget(self);
        all
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.0.waiting().led = false;
        self.0.leaderless.notify_one();
    }
}

impl Store {
    /// Answers when it is on the disk.
    pub(super) async fn together(&self, small: Small) -> Result<bool, CommitError> {
        self.told(self.gathering.join(small)).await
    }

    pub(super) async fn told(&self, mut told: Told) -> Result<bool, CommitError> {
        // Answered by whoever held the writer, unless they were abandoned half-way.
        let abandoned = |_| CommitError::Uncertain("the write was abandoned half-way".into());
        loop {
            if let Some(leader) = self.gathering.lead() {
                tokio::select! {
                    biased;
                    // Whoever has the answer waits for nobody's writes any more.
                    told = &mut told => return told.map_err(abandoned)?,
                    mut writer = self.writer.lock() => writer.write_all(leader.take_all()).await,
                }
            }
            tokio::select! {
                biased;
                told = &mut told => return told.map_err(abandoned)?,
                () = self.gathering.leaderless.notified() => {}
            }
        }
    }

    /// All that waits, now.
    pub async fn write_waiting(&self) {
        let mut writer = self.writer.lock().await;
        writer.write_all(self.gathering.take_along()).await;
    }
}

impl Writer {
    async fn write_all(&mut self, gathered: Vec<Gathered>) {
        if gathered.is_empty() {
            return;
        }
        let (all, waiting) = apart(gathered);
        let changed = self.written(&all).await;
        tell(waiting, changed.as_ref());
    }

    /// The places of those that changed anything.
    async fn written(&mut self, all: &[Small]) -> Result<HashSet<usize>, CommitError> {
        let (statements, head) = (statements(all), self.head);
        let write = async |conn: &mut SqliteConnection| written(conn, all).await;
        self.transaction(statements, head, write).await
    }
}

pub(super) fn apart(gathered: Vec<Gathered>) -> (Vec<Small>, Vec<Tell>) {
    gathered.into_iter().unzip()
}

pub(super) fn tell(waiting: Vec<Tell>, changed: Result<&HashSet<usize>, &CommitError>) {
    for (n, tell) in waiting.into_iter().enumerate() {
        let _ = tell.send(changed.map(|changed| changed.contains(&n)).map_err(Clone::clone));
    }
}

/// How many it takes to write them.
pub(super) fn statements(all: &[Small]) -> usize {
    let (mut kept, mut claimed, mut others) = (0, 0, 0);
    for small in all {
        match small {
            Small::Keep(_) => kept += 1,
            Small::Claim(_) => claimed += 1,
            Small::Postpone { .. } | Small::CardWritten { .. } => others += 1,
        }
    }
    [kept, claimed].into_iter().map(|rows: usize| rows.div_ceil(CHUNK)).sum::<usize>() + others
}

/// What comes in bursts takes one statement for all; what comes twice in one is written once.
pub(super) async fn written(
    conn: &mut SqliteConnection,
    all: &[Small],
) -> sqlx::Result<HashSet<usize>> {
    if all.is_empty() {
        return Ok(HashSet::new());
    }
    let mut changed = HashSet::new();
    let (mut to_keep, mut to_claim) = (Vec::new(), Vec::new());
    for (n, small) in all.iter().enumerate() {
        let done = match small {
            Small::Keep(kept) => {
                to_keep.push(kept);
                false
            }
            Small::Claim(key) => {
                to_claim.push(key.as_str());
                false
            }
            Small::Postpone { key, tries, due_at, why } => {
                outbox::postpone(conn, key, *tries, *due_at, why).await?
            }
            Small::CardWritten { key, seq } => outbox::card_written(conn, key, *seq).await?,
        };
        if done {
            changed.insert(n);
        }
    }
    let mut kept = inbox::put_in(conn, &to_keep).await?;
    let mut claimed = outbox::claim(conn, &to_claim).await?;
    for (n, small) in all.iter().enumerate() {
        let done = match small {
            Small::Keep(row) => kept.remove(&row.id),
            Small::Claim(key) => claimed.remove(key),
            Small::Postpone { .. } | Small::CardWritten { .. } => false,
        };
        if done {
            changed.insert(n);
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;
    use crate::store::testing::{effect, entries, noon};
    use crate::store::{Batch, Delivery};

    #[tokio::test]
    async fn what_comes_together_is_written_together_and_each_has_its_own_answer()
    -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let store = Arc::new(Store::open(dir.path()).await?);
        let effects = (0..100).map(|n| effect(&format!("{n:03}"), 1)).collect();
        store.commit(&Batch { effects, ..entries(1..=1) }).await?;
        let mut burst = JoinSet::new();
        for n in 0..400 {
            let store = Arc::clone(&store);
            // Each is claimed twice, half of them are not there.
            burst.spawn(async move { store.claim(&format!("{:03}", n % 200)).await });
        }
        let mut claimed = 0;
        while let Some(one) = burst.join_next().await {
            claimed += usize::from(one??);
        }
        assert_eq!(claimed, 100);
        let asked = Kept { id: "k".into(), at: noon(), heard: "{}".into() };
        let (put_off, kept) =
            tokio::join!(store.postpone("007", 1, noon(), "busy"), store.keep(&asked));
        assert!(put_off? && kept?);
        let outbox = store.outbox().await?;
        let trying = outbox.iter().filter(|it| it.state == Delivery::Trying).count();
        assert_eq!((trying, outbox.len(), store.inbox().await?.len()), (99, 100, 1));
        Ok(())
    }

    #[tokio::test]
    async fn another_takes_over_from_who_went_away_before_it_had_the_writer() -> anyhow::Result<()>
    {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        store.commit(&Batch { effects: vec![effect("a", 1)], ..entries(1..=1) }).await?;
        let held = store.writer.lock().await;
        let mut second = Box::pin(store.claim("a"));
        {
            let mut first = Box::pin(store.claim("b"));
            assert!(futures_util::poll!(&mut first).is_pending(), "it waits for the writer");
            assert!(futures_util::poll!(&mut second).is_pending(), "it waits for the first");
        }
        drop(held);
        assert!(tokio::time::timeout(Duration::from_secs(20), second).await??);
        Ok(())
    }

    #[tokio::test]
    async fn a_commit_takes_along_what_waits_and_its_own_trouble_does_not_reach_it()
    -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path()).await?;
        let effects = ["a", "b"].map(|key| effect(key, 1)).to_vec();
        store.commit(&Batch { effects, ..entries(1..=1) }).await?;
        let again = Batch { effects: vec![effect("a", 2)], ..entries(2..=2) };
        for (batch, key, seq) in [(again, "a", 1), (entries(2..=2), "b", 2)] {
            let held = store.writer.lock().await;
            let mut commit = Box::pin(store.commit(&batch));
            let mut claim = Box::pin(store.claim(key));
            assert!(futures_util::poll!(&mut commit).is_pending(), "first in the queue");
            assert!(futures_util::poll!(&mut claim).is_pending(), "and this behind it");
            drop(held);
            let (committed, claimed) = tokio::join!(commit, claim);
            assert!(claimed?, "{key}");
            assert_eq!((committed.is_ok(), store.head().seq), (seq == 2, seq), "{key}");
        }
        Ok(())
    }
}
