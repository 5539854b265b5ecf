//! Signed HTTP: how Slack calls the bot, and how somebody who is not Slack would like to.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::delivery::{Kind, Outcome, Parcel, settle};
use super::state::World;

/// A request as it goes out; an attack changes what it likes before it sends it.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) url: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
    pub(crate) timestamp: String,
    pub(crate) signature: Option<String>,
    pub(crate) retry: Option<u32>,
    now: Duration,
    secret: String,
}

impl Signed {
    fn new(secret: &str, now: Duration, url: String, content_type: &str, body: String) -> Self {
        let mut made = Self {
            url,
            content_type: content_type.to_owned(),
            body,
            timestamp: now.as_secs().to_string(),
            signature: None,
            retry: None,
            now,
            secret: secret.to_owned(),
        };
        made.sign();
        made
    }

    fn sign(&mut self) {
        let base = format!("v0:{}:{}", self.timestamp, self.body);
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length");
        mac.update(base.as_bytes());
        let hex: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.signature = Some(format!("v0={hex}"));
    }

    /// As it would have been that long ago, rightly signed.
    pub(crate) fn stale(mut self, by: Duration) -> Self {
        let then = self.now.saturating_sub(by).as_secs();
        self.timestamp = then.to_string();
        self.sign();
        self
    }

    pub(crate) fn ahead_of_time(mut self, by: Duration) -> Self {
        self.timestamp = (self.now + by).as_secs().to_string();
        self.sign();
        self
    }

    /// Signed by somebody who does not know the secret.
    pub(crate) fn forged(mut self) -> Self {
        "not the secret".clone_into(&mut self.secret);
        self.sign();
        self
    }

    /// The signature is real, the body is another.
    pub(crate) fn tampered(mut self, from: &str, to: &str) -> Self {
        assert!(self.body.contains(from), "{from} is not in {}", self.body);
        self.body = self.body.replace(from, to);
        self
    }

    /// To where the bot is by now.
    pub(crate) fn to(&self, bot: &str) -> Self {
        let path = self.url.find("/slack/").expect("all of the bot's addresses begin so");
        Self { url: format!("{bot}{}", &self.url[path..]), ..self.clone() }
    }

    /// Slack says that it is not the first time.
    pub(crate) fn retried(mut self, attempt: u32) -> Self {
        self.retry = Some(attempt);
        self
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.signature = None;
        self
    }

    pub(crate) async fn send(&self) -> (u16, String) {
        self.post(&reqwest::Client::new()).await.expect("the bot listens")
    }

    async fn post(&self, http: &reqwest::Client) -> Result<(u16, String), reqwest::Error> {
        let mut request = http
            .post(&self.url)
            .header("content-type", &self.content_type)
            .header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
            .header("x-slack-request-timestamp", &self.timestamp);
        if let Some(signature) = &self.signature {
            request = request.header("x-slack-signature", signature);
        }
        if let Some(retry) = self.retry {
            let retry = request.header("x-slack-retry-num", retry);
            request = retry.header("x-slack-retry-reason", "http_timeout");
        }
        let response = request.body(self.body.clone()).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }
}

/// What Slack would send for this, at the bot's address.
pub(super) fn parcel(secret: &str, now: Duration, bot: &str, parcel: &Parcel) -> Signed {
    let form = "application/x-www-form-urlencoded";
    match parcel.kind {
        Kind::Command => {
            let fields = parcel.payload.as_object().expect("a command is a set of fields");
            let pairs = fields.iter().map(|(name, it)| (name, it.as_str().unwrap_or_default()));
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            Signed::new(secret, now, format!("{bot}/slack/commands"), form, body)
        }
        Kind::Interaction => {
            let pairs = [("payload", parcel.payload.to_string())];
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            Signed::new(secret, now, format!("{bot}/slack/interactions"), form, body)
        }
        Kind::Event => {
            let body = parcel.payload.to_string();
            Signed::new(secret, now, format!("{bot}/slack/events"), "application/json", body)
        }
    }
}

/// What Slack asks when the address for events is entered.
pub(super) fn challenge(secret: &str, now: Duration, bot: &str) -> (Signed, String) {
    let challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P".to_owned();
    let body = json!({"type": "url_verification", "token": "deprecated", "challenge": challenge});
    let url = format!("{bot}/slack/events");
    (Signed::new(secret, now, url, "application/json", body.to_string()), challenge)
}

pub(super) async fn deliver(
    world: &Arc<World>,
    bot: &str,
    sent: &Parcel,
    attempt: Option<u32>,
) -> Outcome {
    let (secret, window) =
        world.look(|state| (state.setup.signing_secret.clone(), state.setup.windows.answer));
    let mut request = parcel(&secret, world.clock.wall(), bot, sent);
    request.retry = attempt;
    let before = world.clock.now();
    let answer = tokio::select! {
        answer = request.post(&world.http) => answer,
        () = world.clock.until(before + window) => {
            let what = world.look(|state| state.deeds[sent.deed].what.clone());
            world.change(|state| state.violated(format!("{what}: no answer in time")));
            return Outcome::TimedOut;
        }
    };
    let Ok((status, body)) = answer else { return Outcome::Lost };
    if status != 200 {
        return Outcome::Refused(status);
    }
    let now = world.clock.now();
    let payload = match (body.is_empty(), serde_json::from_str(&body)) {
        (true, _) => Value::Null,
        (false, Ok(json)) => json,
        (false, Err(_)) => Value::String(body),
    };
    world.change(|state| {
        let what = state.deeds[sent.deed].what.clone();
        if !payload.is_null() && !sent.accepts_payload() {
            state.violated(format!("{what}: the body of this answer goes nowhere: {payload}"));
        }
        settle(state, sent, &payload, now);
    });
    Outcome::Acknowledged(payload)
}
