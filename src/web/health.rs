//! Whether we are alive, whether we are ready, and the numbers behind it.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics::{counter, gauge};
use serde_json::json;
use tokio::sync::Mutex;

use super::Served;

pub(super) fn router() -> Router<Served> {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
}

/// The disk is asked at most this often, however often we are.
const PROBE_PACE: Duration = Duration::from_secs(5);

/// What the last look at the disk found.
#[derive(Default)]
pub struct Probe(Mutex<Option<(Instant, Result<(), String>)>>);

impl Probe {
    async fn look(&self, served: &Served) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < PROBE_PACE
        {
            return found.clone();
        }
        let found = served.engine.store().check().await.map_err(|why| why.to_string());
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

async fn ready(State(served): State<Served>) -> impl IntoResponse {
    let mut problems = Vec::new();
    if served.stop.is_cancelled() {
        problems.push("stopping".to_owned());
    }
    if served.engine.is_stuck() {
        problems.push("a deadline stays due after it was decided; see the log".to_owned());
    }
    problems.extend(served.engine.behind());
    problems.extend(served.delivery.shut_out());
    if let Err(why) = served.probe.look(&served).await {
        problems.push(format!("the log cannot be written: {why}"));
    }
    let status = match problems.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({ "ready": problems.is_empty(), "problems": problems })))
}

/// Read at the moment of the scrape, so that nothing is counted in two places.
async fn numbers(State(served): State<Served>) -> impl IntoResponse {
    let engine = &served.engine;
    let (decided, refused) = engine.counts();
    counter!("tminus_requests_decided_total").absolute(decided);
    counter!("tminus_requests_refused_total").absolute(refused);
    gauge!("tminus_log_entries").set(whole(engine.store().head().seq));
    let open = engine.state().releases.values().filter(|release| !release.phase.is_over()).count();
    gauge!("tminus_releases_open").set(whole(open as u64));
    gauge!("tminus_delivery_lanes_busy").set(whole(served.delivery.lanes() as u64));
    let waiting = engine.store().outbox().await.map_or(0, |outbox| outbox.len());
    gauge!("tminus_outbox_waiting").set(whole(waiting as u64));
    let behind = engine.store().cards_behind().await.map_or(0, |cards| cards.len());
    gauge!("tminus_cards_behind").set(whole(behind as u64));
    let next = engine.next_due().map(|due| (due.due.at - engine.now()).num_seconds());
    gauge!("tminus_next_deadline_seconds").set(next.map_or(f64::NAN, |next| next as f64));
    let plain = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (plain, served.metrics.render())
}

fn whole(number: u64) -> f64 {
    number as f64
}
