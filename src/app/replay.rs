//! What the log adds up to: from its first entry, or from a snapshot that the log vouches for.

use std::sync::Arc;

use anyhow::Context;

use crate::domain::event::{Event, Happened};
use crate::domain::ids::ReleaseId;
use crate::domain::state::{House, Release, State};
use crate::domain::time::Time;
use crate::store::{Entry, Finding, Head, Pages, Reader, Snapshot, Store, Which, Witness, verify};

/// Rises whenever the same log adds up to something else, or is written in another way. A change of
/// the golden state without it is found by `tests/it/golden.rs`.
pub const SHAPE: u32 = 1;

/// What the log adds up to, and up to where that was taken from a snapshot.
pub(super) struct Replayed {
    pub(super) state: State,
    pub(super) snapshot: Option<Head>,
}

/// Proves the chain on the way: of everything, or of what follows the snapshot.
pub(super) async fn start(store: &Store) -> anyhow::Result<Replayed> {
    if let Some(found) = store.snapshot(SHAPE)
        && let Some(state) = from_snapshot(store, &found).await?
    {
        return Ok(Replayed { state, snapshot: Some(found.head) });
    }
    let mut state = State::default();
    let pages = store.reader().proven_pages(Head::GENESIS);
    each(pages, |event, at| follow(&mut state, event, at)).await?;
    Ok(Replayed { state, snapshot: None })
}

/// Nothing if the log does not vouch for it.
async fn from_snapshot(store: &Store, found: &Snapshot) -> anyhow::Result<Option<State>> {
    let reader = store.reader();
    if !reader.says(found.head).await? {
        return Ok(None);
    }
    let Ok(mut state) = serde_json::from_str::<State>(&found.body) else { return Ok(None) };
    state.share();
    let digest = found.digest.to_string();
    let mut vouched = false;
    let pages = reader.proven_pages(found.head);
    each(pages, |event, at| {
        let this = |seq: u64, of: &String| seq == found.head.seq && *of == digest;
        vouched |= matches!(event, Event::SnapshotTaken { seq, digest } if this(*seq, digest));
        follow(&mut state, event, at)
    })
    .await?;
    Ok(vouched.then_some(state))
}

async fn each(
    mut pages: Pages,
    mut evolve: impl FnMut(&Event, Time) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while let Some(page) = pages.next().await? {
        for entry in page {
            let event = event_of(&entry)?;
            evolve(&event, entry.at).with_context(|| format!("entry #{}", entry.seq))?;
        }
    }
    Ok(())
}

/// One step further. A chain that holds says who wrote last, not that it was us: what we would never
/// have written after what stands before it ends the reading, and not the program.
pub fn follow(state: &mut State, event: &Event, at: Time) -> anyhow::Result<()> {
    if event.of_release().is_some() && state.house.policy.is_none() {
        anyhow::bail!("a release acts there before any policy was adopted");
    }
    if let Some((release, did)) = event.of_release()
        && !matches!(did, Happened::Scheduled { .. })
        && !state.releases.contains_key(release)
    {
        anyhow::bail!("{release} acts there, and was not scheduled before or is filed away");
    }
    state.evolve(event, at);
    Ok(())
}

pub fn event_of(entry: &Entry) -> anyhow::Result<Event> {
    serde_json::from_str(&entry.event)
        .map_err(|why| anyhow::anyhow!("entry #{} cannot be read: {why}", entry.seq))
}

/// What the whole log adds up to.
pub async fn replay(reader: &Reader) -> anyhow::Result<State> {
    let mut state = State::default();
    each(reader.pages(Which::default()), |event, at| follow(&mut state, event, at)).await?;
    Ok(state)
}

/// As if nothing had ever been filed away: for whoever looks for a release of any age.
pub async fn replay_all(reader: &Reader) -> anyhow::Result<State> {
    let mut state = State::default();
    each(reader.pages(Which::default()), |event, at| match is_filing(event) {
        true => Ok(()),
        false => follow(&mut state, event, at),
    })
    .await?;
    Ok(state)
}

fn is_filing(event: &Event) -> bool {
    matches!(event.of_release(), Some((_, Happened::Filed)))
}

/// One release as its own entries tell it, also after it was filed away.
///
/// Nothing of the house is in it but its freezes, which an ended release does not feel: so the house
/// of today will do.
pub async fn release(
    reader: &Reader,
    id: &ReleaseId,
    house: Arc<House>,
) -> anyhow::Result<Option<Arc<Release>>> {
    let which = Which { release: Some(id.to_string()), ..Which::default() };
    let mut state = State { house, ..State::default() };
    each(reader.pages(which), |event, at| match is_filing(event) {
        true => Ok(()),
        false => follow(&mut state, event, at),
    })
    .await
    .with_context(|| format!("reading {id} from the log"))?;
    Ok(state.releases.remove(id))
}

/// What the log adds up to there, as a snapshot holds it.
pub fn body(state: &State) -> serde_json::Result<String> {
    serde_json::to_string(state)
}

/// Every hash from the first entry on, and, where a snapshot is kept, whether the log adds up to it.
pub async fn prove(
    reader: &Reader,
    against: Option<&Witness>,
    snapshot: Option<&Snapshot>,
) -> anyhow::Result<Finding> {
    let found = verify(reader, against).await?;
    let (Finding::Verified { .. }, Some(snapshot)) = (&found, snapshot) else { return Ok(found) };
    let mut state = State::default();
    let which = Which { last: Some(snapshot.head.seq), ..Which::default() };
    each(reader.pages(which), |event, at| follow(&mut state, event, at)).await?;
    Ok(match body(&state)? == snapshot.body {
        true => found,
        false => {
            let why = "the snapshot beside the log is not what the log adds up to there; remove that file, \
                and the next start adds everything up again".to_owned();
            Finding::Broken { seq: snapshot.head.seq, why }
        }
    })
}
