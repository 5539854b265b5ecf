//! The door that every connection comes in by. Nobody may stand in it for ever: who asks says so in
//! time, and there are never so many that the disk and the deploys have no files left to open.

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
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long somebody may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To say what is wanted; also between two requests.
    pub head: Duration,
    /// To send all that belongs to it.
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(15), body: Duration::from_secs(10) }
    }
}

/// Half of what a process may have open where nobody has set it higher.
const GUESTS: usize = 512;
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
    let guests = TaskTracker::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            (place, accepted(&listener).await)
        };
        let Some((place, guest)) = stop.run_until_cancelled(next).await else { break };
        let (router, stop) = (router.clone(), stop.clone());
        guests.spawn(async move {
            attend(guest, router, patience, stop).await;
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

async fn attend(guest: TcpStream, router: Router, patience: Patience, stop: CancellationToken) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answered(router, request, patience.body).await) }
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
) -> Response {
    let late = Arc::new(AtomicBool::new(false));
    let known = late.clone();
    let request = request.map(|body| in_time(body, limit, known));
    let Ok(response) = router.call(request).await;
    if late.load(Ordering::Relaxed) {
        let said = "All of a request has to be here in time.\n";
        return (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], said)
            .into_response();
    }
    response
}

/// The same body, which breaks off when it takes too long.
fn in_time(body: Incoming, limit: Duration, late: Arc<AtomicBool>) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let until = Instant::now() + limit;
    let parts = Body::new(body).into_data_stream();
    Body::from_stream(unfold((parts, late), move |(mut parts, late)| async move {
        let part = match timeout_at(until, parts.next()).await {
            Ok(part) => part?,
            Err(why) => {
                late.store(true, Ordering::Relaxed);
                Err(axum::Error::new(why))
            }
        };
        Some((part, (parts, late)))
    }))
}
