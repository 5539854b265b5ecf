//! The door that every connection comes in by. Nobody may stand in it for ever: who asks says so in
//! time, and there are never so many that the disk and the deploys have no files left to open.

mod taker;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::taker::Taker;

/// How long somebody may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To say what is wanted; also between two requests.
    pub head: Duration,
    /// To send all that belongs to it.
    pub body: Duration,
    /// To take the answer, as far as it is ready.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(20),
        }
    }
}

/// Half of what a process may have open where nobody has set it higher.
const GUESTS: usize = 512;
/// What each of them may have sent without asking, before anybody knows who they are; and what all of
/// them may have sent beyond that.
const PALM: usize = 64 << 10;
const TABLE: usize = 64 << 20;
/// After an accept that failed, as it does when the machine has no more files to give.
const BREATH: Duration = Duration::from_millis(200);

/// Serves until `stop`; then what is under way is answered, and nothing more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(GUESTS));
    let table = Arc::new(Semaphore::new(TABLE));
    let guests = TaskTracker::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            (place, accepted(&listener).await)
        };
        let Some((place, guest)) = stop.run_until_cancelled(next).await else { break };
        let (router, table, stop) = (router.clone(), table.clone(), stop.clone());
        guests.spawn(async move {
            attend(guest, router, (patience, table), stop).await;
            drop(place);
        });
    }
    drop(listener);
    guests.close();
    guests.wait().await;
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((guest, _)) => return guest,
            Err(why) => {
                tracing::warn!(%why, "a connection could not be taken");
                sleep(BREATH).await;
            }
        }
    }
}

async fn attend(
    guest: TcpStream,
    router: Router,
    (patience, table): (Patience, Arc<Semaphore>),
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let guest = Taker::new(guest, patience.answer);
    let service = service_fn(move |request| {
        let (router, table) = (router.clone(), table.clone());
        async move { Ok::<_, Infallible>(answered(router, request, patience.body, table).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .serve_connection(TokioIo::new(guest), service);
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Whoever goes away in the middle, or says nothing, does so every day.
    if let Err(why) = done {
        tracing::debug!(%why, "a connection ended early");
    }
}

async fn answered(
    router: TowerToHyperService<Router>,
    request: Request<Incoming>,
    limit: Duration,
    table: Arc<Semaphore>,
) -> Response {
    let late = Arc::new(AtomicBool::new(false));
    let known = late.clone();
    let request = request.map(|body| in_time(body, limit, known, table));
    let Ok(response) = router.call(request).await;
    if late.load(Ordering::Relaxed) {
        let said = "All of a request has to be here in time.\n";
        return (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], said)
            .into_response();
    }
    response
}

/// The same body, which breaks off when it takes too long, also to find a place on the table.
fn in_time(body: Incoming, limit: Duration, late: Arc<AtomicBool>, table: Arc<Semaphore>) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let until = Instant::now() + limit;
    let parts = Body::new(body).into_data_stream();
    let began = (parts, late, Laid { table, size: 0, place: None });
    Body::from_stream(unfold(began, move |(mut parts, late, mut laid)| async move {
        let part = async {
            let part = parts.next().await?;
            if let Ok(part) = &part {
                laid.adds(part.len()).await;
            }
            Some(part)
        };
        let part = match timeout_at(until, part).await {
            Ok(part) => part?,
            Err(why) => {
                late.store(true, Ordering::Relaxed);
                Err(axum::Error::new(why))
            }
        };
        Some((part, (parts, late, laid)))
    }))
}

/// What of a body is here. Its place on the table is free again when all of it was read.
struct Laid {
    table: Arc<Semaphore>,
    size: usize,
    place: Option<OwnedSemaphorePermit>,
}

impl Laid {
    async fn adds(&mut self, more: usize) {
        let before = self.size.max(PALM);
        self.size += more;
        let beyond = u32::try_from(self.size.saturating_sub(before)).unwrap_or(u32::MAX);
        if beyond > 0 {
            let place = self.table.clone().acquire_many_owned(beyond).await;
            let place = place.expect("it is never closed");
            match &mut self.place {
                Some(own) => own.merge(place),
                None => self.place = Some(place),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_large_finds_a_place_or_waits_and_what_is_small_needs_none() {
        let table = Arc::new(Semaphore::new(1_000));
        let laid = || Laid { table: table.clone(), size: 0, place: None };
        let (mut large, mut other, mut small) = (laid(), laid(), laid());
        for part in [PALM, 600, 300] {
            large.adds(part).await;
        }
        assert_eq!(table.available_permits(), 100);
        other.adds(PALM).await;
        let waits = tokio::time::timeout(Duration::ZERO, other.adds(101)).await;
        assert!(waits.is_err(), "there is no place");
        tokio::time::timeout(Duration::ZERO, small.adds(PALM)).await.expect("it needs none");
        drop((large, other));
        assert_eq!(table.available_permits(), 1_000);
        tokio::time::timeout(Duration::ZERO, laid().adds(PALM + 1_000)).await.expect("it is free");
    }
}
