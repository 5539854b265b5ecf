//! What is served to pipelines, monitors and the demo's page. People talk through the adapters.

mod api;
mod demo;
pub mod door;
pub mod gates;
mod health;

use std::sync::Arc;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

pub use api::{Bearer, Token};
pub use demo::StartOver;

use crate::app::conversation::Conversation;
use crate::app::delivery::Delivery;
use crate::app::engine::Engine;
use crate::app::measure::Gauges;

/// What the routes share.
#[derive(Clone)]
pub struct Served {
    pub engine: Engine,
    pub delivery: Delivery,
    pub conversation: Arc<Conversation>,
    pub tokens: Arc<Vec<Token>>,
    pub metrics: PrometheusHandle,
    pub probe: Arc<health::Probe>,
    pub stop: CancellationToken,
}

impl Served {
    pub fn new(
        engine: Engine,
        delivery: Delivery,
        conversation: Arc<Conversation>,
        tokens: Vec<Token>,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> Self {
        let (tokens, probe) = (Arc::new(tokens), Arc::default());
        Self { engine, delivery, conversation, tokens, metrics, probe, stop }
    }
}

/// Health, metrics and the API.
pub fn router(served: Served) -> Router {
    Router::new().merge(health::router()).merge(api::router()).with_state(served)
}

/// The clock of the embedded default, for its page.
pub fn demo_router(served: Served, gauges: Gauges, again: Arc<StartOver>) -> Router {
    demo::router(served, gauges, again)
}
