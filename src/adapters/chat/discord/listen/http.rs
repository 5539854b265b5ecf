//! Signed HTTP: what Discord posts to us. Whoever cannot prove to be Discord learns nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde_json::Value;
use serenity::interactions_endpoint::Verifier;
use tracing::warn;

use super::super::lock;
use super::Listener;
use crate::adapters::chat::recent::Recent;

/// Far more than Discord sends, and little enough to be read before it is checked.
const LARGEST: usize = 512 * 1024;
/// Only what Discord signed gets in here, and only for as long as its time would pass.
const SIGNATURES: usize = 100_000;
/// Seconds by which a signature may be older, or younger, than our clock.
const AGE: i64 = 300;

/// Nobody tells us when an answer has been sent.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

struct Door {
    listener: Arc<Listener>,
    gate: Gate,
}

pub(super) fn router(listener: &Arc<Listener>) -> Router {
    let settings = &listener.discord.settings;
    let Some(key) = settings.key().filter(|_| settings.mode.has_http()) else {
        return Router::new();
    };
    let Some(gate) = Gate::new(key) else {
        warn!("[discord] public_key is no key, so nobody is let in");
        return Router::new();
    };
    let door = Arc::new(Door { listener: Arc::clone(listener), gate });
    Router::new()
        .route("/discord/interactions", post(interactions))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(door)
}

async fn interactions(State(door): State<Arc<Door>>, headers: HeaderMap, body: Bytes) -> Response {
    if !door.gate.admits(&headers, &body, now()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(interaction) = serde_json::from_slice::<Value>(&body) else {
        warn!("Discord posted something that cannot be read");
        return StatusCode::BAD_REQUEST.into_response();
    };
    match door.listener.take(&interaction).await {
        Some(answer) => {
            let listener = Arc::clone(&door.listener);
            door.listener.tasks.spawn(async move {
                let leaving = &listener.discord.api.leaving;
                leaving.run_until_cancelled(tokio::time::sleep(ON_ITS_WAY)).await;
                listener.acknowledged(&interaction);
            });
            Json(answer).into_response()
        }
        // It came through the gateway as well, and was answered there.
        None => StatusCode::ACCEPTED.into_response(),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Lets in what Discord signed within five minutes, and each of it once.
struct Gate {
    verifier: Verifier,
    seen: Mutex<Recent<String, ()>>,
}

impl Gate {
    fn new(key: [u8; 32]) -> Option<Self> {
        let verifier = Verifier::try_new(key).ok()?;
        Some(Self { verifier, seen: Mutex::new(Recent::new(SIGNATURES)) })
    }

    fn admits(&self, headers: &HeaderMap, body: &[u8], now: i64) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signature = header("x-signature-ed25519").unwrap_or_default();
        let time = header("x-signature-timestamp").unwrap_or_default();
        let fresh = time.parse::<i64>().is_ok_and(|at| at.abs_diff(now) <= AGE.unsigned_abs());
        if !fresh || self.verifier.verify(signature, time, body).is_err() {
            return false;
        }
        // In one case of letters, or the same signature could come twice.
        lock(&self.seen).insert(signature.to_ascii_lowercase(), ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made once with a key of nobody's: the time 1700000000 and the body `{"type":1}`.
    const KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    const SIGNATURE: &str = concat!(
        "c1098e97d711377f30225d53d94b89d43537f92e5b3afaddc590781b1f9f9d4b",
        "2eeab335d370be3b9a090bc61a85b86448bc140dcd195f1569c2bff181257607"
    );
    const TIME: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"type":1}"#;

    fn gate() -> Gate {
        let byte = |at: usize| u8::from_str_radix(&KEY[at * 2..at * 2 + 2], 16).expect("hex");
        Gate::new(std::array::from_fn(byte)).expect("a key")
    }

    fn headers(signature: &str, time: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-signature-ed25519", signature.parse().expect("ASCII"));
        headers.insert("x-signature-timestamp", time.parse().expect("ASCII"));
        headers
    }

    #[test]
    fn what_discord_signed_gets_in_once() {
        let (gate, own) = (gate(), headers(SIGNATURE, "1700000000"));
        assert!(gate.admits(&own, BODY, TIME + 299));
        assert!(!gate.admits(&own, BODY, TIME), "a replay");
        let shouted = headers(&SIGNATURE.to_ascii_uppercase(), "1700000000");
        assert!(!gate.admits(&shouted, BODY, TIME), "the same in capitals");
    }

    #[test]
    fn what_is_old_changed_or_of_others_does_not() {
        let (gate, own) = (gate(), headers(SIGNATURE, "1700000000"));
        assert!(!gate.admits(&own, BODY, TIME + 301) && !gate.admits(&own, BODY, TIME - 301));
        assert!(!gate.admits(&own, br#"{"type":2}"#, TIME));
        assert!(!gate.admits(&headers(SIGNATURE, "1700000001"), BODY, TIME));
        assert!(!gate.admits(&headers(SIGNATURE, "soon"), BODY, TIME));
        assert!(!gate.admits(&headers(&"0".repeat(128), "1700000000"), BODY, TIME));
        assert!(!gate.admits(&headers("short", "1700000000"), BODY, TIME));
        assert!(!gate.admits(&HeaderMap::new(), BODY, TIME));
        assert!(gate.admits(&own, BODY, TIME), "none of that used it up");
    }
}
