//! What has to be done now and then, and nobody waits for: filing away what is over for good, and
//! writing down what the log adds up to, for the next start.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::engine::Engine;
use super::replay;
use crate::domain::command::{Actor, Command, Request};
use crate::domain::filing;
use crate::domain::ids::ReleaseId;

/// Nothing here is urgent.
const EVERY: Duration = Duration::from_secs(60);
/// Entries that a start may have to replay beyond the last snapshot: a few milliseconds each hundred.
const BEHIND: u64 = 20_000;

/// Until it is told to stop.
pub async fn follow(engine: Engine, stop: CancellationToken) {
    loop {
        file_away(&engine).await;
        if engine.since_snapshot() >= BEHIND {
            take_snapshot(&engine).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What is over for good by the engine's clock.
pub async fn file_away(engine: &Engine) {
    let (state, _) = engine.still();
    if state.house.policy.is_none() {
        return;
    }
    // Asked anew each time: what was not over for good a moment ago may be so now.
    let now = engine.now();
    let request = |id: &ReleaseId| Request {
        id: format!("clock/release/{id}/file/{}", now.to_rfc3339()),
        by: Actor::Clock,
        command: Command::File { release: id.clone() },
    };
    let requests: Vec<_> = filing::ripe(&state, now).map(request).collect();
    drop(state);
    for lost in engine.ask_all(requests).await.into_iter().filter_map(Result::err) {
        warn!(%lost, "a release was not filed away: {lost}");
    }
}

/// Beside everything else; what cannot be written is tried again later, and nothing depends on it.
pub async fn take_snapshot(engine: &Engine) {
    let (state, head) = engine.still();
    let keeper = engine.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let body = replay::body(&state)?;
        Ok::<_, anyhow::Error>(keeper.store().keep_snapshot(head, replay::SHAPE, &body)?)
    });
    let digest = match kept.await {
        Ok(Ok(digest)) => digest.to_string(),
        Ok(Err(why)) => return warn!(%why, "no snapshot was written: {why:#}"),
        Err(why) => return error!(%why, "a snapshot was not finished: {why}"),
    };
    let command = Command::NoteSnapshot { seq: head.seq, digest };
    let request = Request { id: format!("clock/snapshot/{}", head.seq), by: Actor::Clock, command };
    match engine.ask(request).await {
        Ok(_) => {
            engine.snapshot_taken(head);
            info!(log.seq = head.seq, "a snapshot of #{} is beside the log", head.seq);
        }
        Err(lost) => warn!(%lost, "a snapshot is not on record, and will not be used: {lost}"),
    }
}
