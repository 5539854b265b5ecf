//! Signed HTTP: how Discord calls the bot, and how somebody who is not Discord would like to.

use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;

use super::api;
use super::delivery::{Outcome, Parcel};
use super::request;
use super::state::{State, World};

/// The application's own, and those of somebody else.
pub(super) struct Keys {
    own: Arc<Ed25519KeyPair>,
    others: Arc<Ed25519KeyPair>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { own: pair(), others: pair() }
    }
}

fn pair() -> Arc<Ed25519KeyPair> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there is chance");
    Arc::new(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("it was just made"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As the developer portal shows it.
pub(super) fn public_key(state: &State) -> String {
    hex(state.keys.own.public_key().as_ref())
}

/// A request as it goes out; an attack changes what it likes before it sends it.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) url: String,
    pub(crate) body: String,
    pub(crate) timestamp: Option<String>,
    pub(crate) signature: Option<String>,
    /// On the wall of the bot's machine when it was made.
    now: Duration,
    key: Arc<Ed25519KeyPair>,
    others: Arc<Ed25519KeyPair>,
}

impl Signed {
    pub(super) fn new(state: &State, now: Duration, payload: &Value) -> Self {
        let bot = state.setup.bot_url.as_ref().expect("the bot listens over HTTP");
        let mut made = Self {
            url: format!("{bot}/discord/interactions"),
            body: payload.to_string(),
            timestamp: Some(now.as_secs().to_string()),
            now,
            signature: None,
            key: Arc::clone(&state.keys.own),
            others: Arc::clone(&state.keys.others),
        };
        made.sign();
        made
    }

    fn sign(&mut self) {
        let base = format!("{}{}", self.timestamp.as_deref().unwrap_or_default(), self.body);
        self.signature = Some(hex(self.key.sign(base.as_bytes()).as_ref()));
    }

    fn at(mut self, then: Duration) -> Self {
        self.timestamp = Some(then.as_secs().to_string());
        self.sign();
        self
    }

    /// As it would have been that long ago, rightly signed.
    pub(crate) fn stale(self, by: Duration) -> Self {
        let then = self.now.saturating_sub(by);
        self.at(then)
    }

    pub(crate) fn ahead_of_time(self, by: Duration) -> Self {
        let then = self.now + by;
        self.at(then)
    }

    /// Signed by somebody who does not have the key.
    pub(crate) fn forged(mut self) -> Self {
        self.key = Arc::clone(&self.others);
        self.sign();
        self
    }

    /// The signature is real, the body is another.
    pub(crate) fn tampered(mut self, from: &str, to: &str) -> Self {
        assert!(self.body.contains(from), "{from} is not in {}", self.body);
        self.body = self.body.replace(from, to);
        self
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.signature = None;
        self
    }

    pub(crate) fn without_time(mut self) -> Self {
        self.timestamp = None;
        self
    }

    /// A signature that is no signature at all.
    pub(crate) fn signed_with(mut self, signature: &str) -> Self {
        self.signature = Some(signature.to_owned());
        self
    }

    pub(crate) async fn send(&self) -> (u16, String) {
        let (status, _, body) = self.post(&reqwest::Client::new()).await.expect("the bot listens");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn post(&self, http: &reqwest::Client) -> Result<(u16, String, Vec<u8>), reqwest::Error> {
        let mut request = http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("user-agent", "Discord-Interactions/1.0 (+https://discord.com)");
        if let Some(signature) = &self.signature {
            request = request.header("x-signature-ed25519", signature);
        }
        if let Some(timestamp) = &self.timestamp {
            request = request.header("x-signature-timestamp", timestamp);
        }
        let response = request.body(self.body.clone()).send().await?;
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type");
        let kind = kind.and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        Ok((status, kind, response.bytes().await?.to_vec()))
    }
}

/// Sends what was done to the bot's address; none where the bot may still answer by the API.
pub(super) async fn deliver(world: &Arc<World>, parcel: &Parcel) -> Option<Outcome> {
    let signed = world.look(|state| {
        let payload = &state.interactions[parcel.interaction].payload;
        Signed::new(state, world.clock.wall(), payload)
    });
    let window = world.look(|state| state.setup.windows.answer);
    let before = world.clock.now();
    let answer = tokio::select! {
        answer = signed.post(&world.http) => answer,
        () = world.clock.until(before + window) => {
            let what = world.look(|state| state.deeds[parcel.deed].what.clone());
            world.change(|state| state.violated(format!("{what}: no answer in time")));
            return Some(Outcome::TimedOut);
        }
    };
    let Ok((status, kind, body)) = answer else { return Some(Outcome::Lost) };
    if status == 202 {
        return None;
    }
    if status != 200 {
        return Some(Outcome::Refused(status));
    }
    let now = world.clock.now();
    Some(world.change(|state| accept(state, parcel, (&kind, &body), now)))
}

/// The body of the answer is the response, held against the same rules.
fn accept(
    state: &mut State,
    parcel: &Parcel,
    (kind, body): (&str, &[u8]),
    now: Duration,
) -> Outcome {
    let id = &state.interactions[parcel.interaction].id;
    let path = format!("/api/v10/interactions/{id}/-/callback");
    let raw = request::Raw { method: "POST", path: &path, query: "", content_type: kind, body };
    let read = request::find(&raw).and_then(|mut found| {
        request::read(&mut found, &raw)?;
        Ok(found)
    });
    let done = read.and_then(|it| {
        let answer = (&it.body, it.files.as_slice());
        api::respond(state, parcel.interaction, answer, now)?;
        Ok(it.body["type"].as_u64().unwrap_or_default())
    });
    match done {
        Ok(kind) => Outcome::Acknowledged(kind),
        Err(refusal) => {
            let what = state.deeds[parcel.deed].what.clone();
            state.violations.extend(refusal.blame.map(|why| format!("{what}: {why}")));
            Outcome::Refused(refusal.status)
        }
    }
}
