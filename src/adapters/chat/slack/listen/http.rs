//! Signed HTTP: what Slack posts to us. Whoever cannot prove to be Slack learns nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value};
use slack_morphism::SlackSigningSecret;
use slack_morphism::signature_verifier::SlackEventSignatureVerifier as Verifier;
use tracing::warn;

use super::super::api::text;
use super::super::lock;
use super::payload::Delivered;
use super::{Listener, lean};
use crate::adapters::chat::hidden::Hidden;
use crate::adapters::chat::recent::Recent;

/// Far more than Slack sends, and little enough to be read before it is checked.
const LARGEST: usize = 512 * 1024;
/// After that long Slack does not wait for an answer any more; who sends more slowly is not Slack.
const TO_SEND: Duration = Duration::from_secs(3);
/// Only what Slack signed gets in here, and only for as long as its time would pass.
const SIGNATURES: usize = 100_000;
/// As much as a look at our certificate brings.
const LOOK: usize = 1024;
const AGAIN: &str = "x-slack-retry-num";

struct Door {
    listener: Arc<Listener>,
    gate: Gate,
}

pub(super) fn router(listener: &Arc<Listener>) -> Router {
    let settings = &listener.slack.settings;
    let Some(secret) = settings.signing_secret.as_ref().filter(|_| settings.mode.has_http()) else {
        return Router::new();
    };
    let door = Arc::new(Door { listener: Arc::clone(listener), gate: Gate::new(secret) });
    Router::new()
        .route("/slack/commands", get(looked_at).post(commands))
        .route("/slack/interactions", post(interactions))
        .route("/slack/events", post(events))
        .with_state(door)
}

/// Slack looks from time to time whether the certificate of the address is good, with nothing signed
/// and nothing asked.
async fn looked_at(Query(asked): Query<Look>) -> StatusCode {
    match asked.ssl_check.as_deref() {
        Some("1") => StatusCode::OK,
        Some(_) | None => StatusCode::METHOD_NOT_ALLOWED,
    }
}

#[derive(Deserialize)]
struct Look {
    ssl_check: Option<String>,
}

async fn commands(State(door): State<Arc<Door>>, request: Request) -> Response {
    if !is_plausible(request.headers()) {
        let body = tokio::time::timeout(TO_SEND, to_bytes(request.into_body(), LOOK)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let looks =
            form_urlencoded::parse(&body).any(|(name, is)| name == "ssl_check" && is == "1");
        return if looks { StatusCode::OK } else { StatusCode::UNAUTHORIZED }.into_response();
    }
    let (body, id) = match door.gate.passed(request).await {
        Ok(passed) => passed,
        Err(status) => return status.into_response(),
    };
    let payload = Value::Object(form(&body));
    door.take(Delivered::Command { payload: &payload, id: &id }).await
}

async fn interactions(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (body, id) = match door.gate.passed(request).await {
        Ok(passed) => passed,
        Err(status) => return status.into_response(),
    };
    let mut fields = form_urlencoded::parse(body.as_bytes());
    let payload = fields.find(|(name, _)| name == "payload");
    let Some(Ok(payload)) = payload.map(|(_, json)| lean::read(&json)) else {
        return unreadable();
    };
    door.take(Delivered::Interaction { payload: &payload, id: &id }).await
}

async fn events(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (body, id) = match door.gate.passed(request).await {
        Ok(passed) => passed,
        Err(status) => return status.into_response(),
    };
    let Ok(payload) = lean::read(&body) else { return unreadable() };
    if text(&payload, "/type") == "url_verification" {
        return Json(serde_json::json!({"challenge": payload["challenge"]})).into_response();
    }
    door.take(Delivered::Event { payload: &payload, id: &id }).await
}

impl Door {
    async fn take(&self, delivered: Delivered<'_>) -> Response {
        match self.listener.take(delivered).await {
            Some(body) => Json(body).into_response(),
            None => StatusCode::OK.into_response(),
        }
    }
}

fn form(body: &str) -> Map<String, Value> {
    form_urlencoded::parse(body.as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect()
}

fn unreadable() -> Response {
    warn!("Slack posted something that cannot be read");
    StatusCode::BAD_REQUEST.into_response()
}

/// Lets in what Slack signed within five minutes, and each of it once, unless Slack says that it sends
/// it again.
struct Gate {
    verifier: Verifier,
    seen: Mutex<Recent<String, ()>>,
}

impl Gate {
    fn new(secret: &Hidden) -> Self {
        let secret = SlackSigningSecret::from(secret.expose().to_owned());
        Self { verifier: Verifier::new(&secret), seen: Mutex::new(Recent::new(SIGNATURES)) }
    }

    /// The body, and a name for this delivery. What cannot be Slack's is turned away before it is
    /// read, so that strangers cost neither memory nor patience.
    async fn passed(&self, request: Request) -> Result<(String, String), StatusCode> {
        let (head, body) = request.into_parts();
        if !is_plausible(&head.headers) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let body = match tokio::time::timeout(TO_SEND, to_bytes(body, LARGEST)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
        };
        let (body, id) = self.admits(&head.headers, &body).ok_or(StatusCode::UNAUTHORIZED)?;
        Ok((body.to_owned(), id))
    }

    /// The body, and a name for this delivery.
    fn admits<'b>(&self, headers: &HeaderMap, body: &'b Bytes) -> Option<(&'b str, String)> {
        let signature = header(headers, Verifier::SLACK_SIGNED_HASH_HEADER)?;
        let time = header(headers, Verifier::SLACK_SIGNED_TIMESTAMP)?;
        let body = std::str::from_utf8(body).ok()?;
        self.verifier.verify(signature, body, time).ok()?;
        let is_new = lock(&self.seen).insert(signature.to_owned(), ());
        // What Slack itself sends again is known by its own ids, and has the same signature within
        // the same second.
        let is_again = headers.contains_key(AGAIN);
        (is_new || is_again).then(|| (body, signature.to_owned()))
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Says that it is signed, and when: within five minutes from now.
fn is_plausible(headers: &HeaderMap) -> bool {
    let signature = header(headers, Verifier::SLACK_SIGNED_HASH_HEADER);
    let time = header(headers, Verifier::SLACK_SIGNED_TIMESTAMP);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let recent =
        |time: u64| time.abs_diff(now) <= Verifier::MAX_TIMESTAMP_AGE_SECONDS.unsigned_abs();
    signature.is_some_and(|it| it.starts_with("v0="))
        && time.and_then(|it| it.parse().ok()).is_some_and(recent)
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;

    const SECRET: &str = "a signing secret";

    fn now() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_secs()).expect("before the year 292 billion")
    }

    fn signed(secret: &str, time: &str, body: &[u8]) -> HeaderMap {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("v0:{time}:").as_bytes());
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert("x-slack-signature", format!("v0={hex}").parse().expect("ASCII"));
        headers.insert("x-slack-request-timestamp", time.parse().expect("ASCII"));
        headers
    }

    fn admits(gate: &Gate, headers: &HeaderMap, body: &'static [u8]) -> bool {
        gate.admits(headers, &Bytes::from_static(body)).is_some()
    }

    #[test]
    fn what_slack_signed_gets_in_once() {
        let gate = Gate::new(&Hidden::new(SECRET));
        let headers = signed(SECRET, &now().to_string(), b"text=go");
        assert!(admits(&gate, &headers, b"text=go"));
        assert!(!admits(&gate, &headers, b"text=go"), "a replay");
        let mut again = headers.clone();
        again.insert(AGAIN, "1".parse().expect("ASCII"));
        assert!(admits(&gate, &again, b"text=go"), "Slack says that it is one");
        assert!(!admits(&gate, &again, b"text=no-go"));
    }

    #[test]
    fn what_others_sign_or_change_or_keep_does_not() {
        let gate = Gate::new(&Hidden::new(SECRET));
        let time = now().to_string();
        assert!(!admits(&gate, &signed("another", &time, b"text=go"), b"text=go"));
        assert!(!admits(&gate, &signed(SECRET, &time, b"text=go"), b"text=no-go"));
        for age in [-301_i64, 301] {
            let time = (now() + age + age.signum()).to_string();
            assert!(!admits(&gate, &signed(SECRET, &time, b"text=go"), b"text=go"), "{age}");
        }
        assert!(!admits(&gate, &signed(SECRET, "soon", b"text=go"), b"text=go"));
        assert!(!admits(&gate, &signed(SECRET, &time, b"\xff"), b"\xff"), "no text");
        for missing in ["x-slack-signature", "x-slack-request-timestamp"] {
            let mut headers = signed(SECRET, &time, b"text=go");
            headers.remove(missing);
            assert!(!admits(&gate, &headers, b"text=go"), "{missing}");
        }
    }
}
