//! One call to Slack's Web API: with a time limit, untyped, and with a failure that says what may
//! be done next.
//!
//! Untyped, because one number in anybody's metadata would fail a whole typed page of history, and
//! because a field that we do not know must never cost a click.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::{Body, to_bytes};
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::http::StatusCode;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest::Url;
use serde_json::{Value, json};
use slack_morphism::errors::SlackClientError;
use slack_morphism::hyper_tokio::{SlackClientHyperConnector, SlackHyperClient};
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient};

use super::rests::{Rests, TooEarly, bucket};
use super::settings::SlackSettings;
use crate::adapters::chat::hidden::Hidden;
use crate::ports::Failure;

/// Without one, a host that swallows packets is only noticed by the limit of the whole call, and
/// then nobody can say whether the call was made.
const TO_CONNECT: Duration = Duration::from_secs(5);

const JSON: &str = "application/json; charset=utf-8";
/// As much of an answer as is read where hardly anything is said.
const LONGEST: usize = 64 << 10;
/// Somebody who sits between us and Slack has answered.
const NOT_SLACK: &str = "what answered is not Slack (a proxy?)";

/// Whether doing it twice does more than doing it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    Harmless,
    /// A second message, a second channel.
    Harmful,
}

/// Why a call did not come through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Slack said no: its code, and the scope that it asked for.
    Refused { code: String, needed: String },
    /// Too many calls of this kind.
    Busy(Option<Duration>),
    /// It did not happen.
    NotReached(String),
    /// It may have happened.
    Lost(String),
}

impl Fault {
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(&code.as_str()))
    }

    /// What delivery makes of it. `what` begins the sentence: "The message was not posted".
    pub(super) fn failure(self, what: &str, twice: Twice) -> Failure {
        match self {
            Self::Busy(after) => Failure::Transient {
                why: format!("{what}: Slack asks us to slow down"),
                retry_after: after,
            },
            Self::NotReached(why) => Failure::transient(format!("{what}: {why}")),
            Self::Lost(why) => match twice {
                Twice::Harmless => Failure::transient(format!("{what}: {why}")),
                Twice::Harmful => Failure::unknown(format!("{what}, or it was: {why}")),
            },
            Self::Refused { code, needed } => refusal(what, &code, &needed, twice),
        }
    }
}

/// What Slack's own codes mean, and what a person can do.
fn refusal(what: &str, code: &str, needed: &str, twice: Twice) -> Failure {
    let mend = match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            return Failure::transient(format!("{what}: Slack asks us to slow down"));
        }
        "service_unavailable" | "team_added_to_org" | "request_timeout" | "accesslimited" => {
            return Failure::transient(format!("{what}: Slack is busy ({code})"));
        }
        // "Some aspect of the operation may have succeeded", as its documentation says.
        "internal_error" | "fatal_error" if twice == Twice::Harmful => {
            return Failure::unknown(format!("{what}, or it was: Slack broke ({code})"));
        }
        "internal_error" | "fatal_error" => {
            return Failure::transient(format!("{what}: Slack broke ({code})"));
        }
        "missing_scope" if !needed.is_empty() => {
            return Failure::permanent(format!(
                "{what}: the app lacks the scope `{needed}`. Add it under OAuth & Permissions, \
                 then reinstall the app"
            ));
        }
        code if NO_ENTRY.contains(&code) => {
            return Failure::no_entry(format!("{what}: {}", mend(code)));
        }
        code => mend(code),
    };
    Failure::permanent(format!("{what}: {mend}"))
}

/// Nothing at all can be done with this token.
const NO_ENTRY: [&str; 8] = [
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "not_allowed_token_type",
    "org_login_required",
    "two_factor_setup_required",
];

fn mend(code: &str) -> String {
    let known = match code {
        "channel_not_found" => {
            "Slack knows no such channel, or it is private and I am not in it. Check the id in the \
             configuration, and invite me there with `/invite`"
        }
        "not_in_channel" => "I am not in that channel. Invite me there with `/invite`",
        "is_archived" | "is_inactive" => "the channel is archived. Unarchive it, or choose another",
        "msg_too_long" | "msg_blocks_too_long" => "it is too long for one message",
        "invalid_blocks" | "invalid_blocks_format" | "invalid_attachments" => {
            "Slack does not take its layout, which is our mistake: please report it"
        }
        "no_text" => "there is no text in it",
        "message_not_found" => "the message is gone",
        "edit_window_closed" => "this workspace lets messages be edited for a while only",
        "cant_update_message" => "the message is not mine, or can no longer be edited",
        "invalid_auth" | "not_authed" | "token_expired" => {
            "Slack does not take our token. Put the current Bot User OAuth Token into the \
             configuration"
        }
        "org_login_required" | "two_factor_setup_required" => {
            "the workspace is being moved or locked down. An administrator has to let the app in"
        }
        "token_revoked" | "account_inactive" => {
            "the app was removed from the workspace. Install it again, and put its new token into \
             the configuration"
        }
        "not_allowed_token_type" => "this takes a token of another kind: check which is which",
        "missing_scope" | "no_permission" => {
            "the app may not do that. Compare its scopes with deploy/slack/manifest.yaml, then \
             reinstall it"
        }
        "restricted_action" | "restricted_action_read_only_channel" => {
            "the workspace's settings forbid it. Ask an administrator"
        }
        "user_not_found" | "users_not_found" => "Slack knows no such person",
        "cannot_dm_bot" => "a bot cannot be written to",
        "user_disabled" => "that person has left the workspace",
        "too_many_pins" => "the channel has as many pins as Slack allows. Remove some",
        "name_taken" => "the name is taken",
        "ekm_access_denied" => "the workspace's encryption keys are withheld from us",
        "team_access_not_granted" => "the app is not installed in that workspace",
        _ => return format!("Slack says `{code}`"),
    };
    known.to_owned()
}

pub(super) struct Api {
    client: Arc<SlackHyperClient>,
    bot: SlackApiToken,
    timeout: Duration,
    rests: Rests,
    /// For addresses that are no method: what answers there says nothing that could be read.
    posts: Posts,
}

type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
type Posts = hyper_util::client::legacy::Client<Connector, Body>;

impl Api {
    pub(super) fn new(settings: &SlackSettings) -> anyhow::Result<Self> {
        let (https, url) = (connector(settings)?, settings.api_url.trim_end_matches('/'));
        let posts = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let posts = posts.build(https.clone());
        let connector = SlackClientHyperConnector::with_connector(https).with_slack_api_url(url);
        Ok(Self {
            client: Arc::new(SlackClient::new(connector)),
            bot: token(&settings.bot_token),
            timeout: settings.timeout,
            rests: Rests::default(),
            posts,
        })
    }

    /// For what changes something, and for what takes JSON.
    pub(super) async fn call(&self, method: &str, arguments: &Value) -> Result<Value, Fault> {
        self.call_as(&self.bot, method, arguments).await
    }

    pub(super) async fn call_as(
        &self,
        token: &SlackApiToken,
        method: &str,
        arguments: &Value,
    ) -> Result<Value, Fault> {
        let session = self.client.open_session(token);
        let call = session.http_session_api.http_post::<_, Value>(method, arguments, None);
        let bucket = bucket(method, text(arguments, "/channel"));
        of_slack(self.unhurried(bucket, self.within(call)).await)
    }

    /// For what reads: most of those methods take no JSON.
    pub(super) async fn read(
        &self,
        method: &str,
        arguments: &[(&str, &str)],
    ) -> Result<Value, Fault> {
        let session = self.client.open_session(&self.bot);
        let arguments: Vec<_> = arguments.iter().map(|(name, text)| (*name, Some(*text))).collect();
        let call = session.http_session_api.http_get::<Value, _, _>(method, &arguments, None);
        of_slack(self.unhurried(bucket(method, ""), self.within(call)).await)
    }

    /// To an address that Slack gave us and that is a secret itself; no token goes with it.
    pub(super) async fn answer(&self, url: &Url, body: &Value) -> Result<(), Fault> {
        let post = self.post(url, JSON, body.to_string().into_bytes());
        self.unhurried("response_url".to_owned(), post).await
    }

    /// As [`Self::answer`], with the bytes of a file.
    pub(super) async fn send_bytes(
        &self,
        url: &Url,
        media: &str,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        self.post(url, media, bytes.to_vec()).await
    }

    /// It is the status that counts: what stands below it may be `ok`, JSON, or nothing at all.
    async fn post(&self, url: &Url, media: &str, bytes: Vec<u8>) -> Result<(), Fault> {
        let request = hyper::Request::post(url.as_str()).header(CONTENT_TYPE, media);
        let request = request
            .body(Body::from(bytes))
            .map_err(|_| Fault::NotReached("the call cannot be made".to_owned()))?;
        let posted = async {
            let answer = self.posts.request(request).await;
            let answer = answer.map_err(|why| unheard(why.is_connect()))?;
            let (head, body) = answer.into_parts();
            let body = to_bytes(Body::new(body), LONGEST).await.map_err(|_| unheard(false))?;
            taken(head.status, &head.headers, &body)
        };
        let in_time = tokio::time::timeout(self.timeout, posted).await;
        in_time.unwrap_or_else(|_| Err(late()))
    }

    /// Not before Slack's own time: whoever comes too early is told to wait for longer.
    async fn unhurried<T>(
        &self,
        bucket: String,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let told = |answer: &Result<T, Fault>| match answer {
            Err(Fault::Busy(wait)) => *wait,
            Ok(_) | Err(_) => None,
        };
        match self.rests.unhurried(bucket, call, told).await {
            Ok(answer) => answer,
            Err(TooEarly(left)) => Err(Fault::Busy(Some(left))),
        }
    }

    async fn within(
        &self,
        call: impl Future<Output = Result<Value, SlackClientError>>,
    ) -> Result<Value, Fault> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(fault(&why)),
            Err(_) => Err(late()),
        }
    }
}

fn late() -> Fault {
    Fault::Lost("Slack did not answer in time".to_owned())
}

fn unheard(never_reached: bool) -> Fault {
    match never_reached {
        true => Fault::NotReached("Slack cannot be reached".to_owned()),
        false => Fault::Lost("the connection to Slack broke".to_owned()),
    }
}

/// Of what is no method.
fn taken(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        let wait = headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        return Err(Fault::Busy(wait.map(Duration::from_secs)));
    }
    if !status.is_success() {
        return Err(of_status(status));
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    match said["ok"] == false {
        true => {
            let code = text(&said, "/error").to_owned();
            Err(Fault::Refused { code, needed: String::new() })
        }
        false => Ok(()),
    }
}

fn of_status(status: StatusCode) -> Fault {
    match status.as_u16() {
        503 => Fault::NotReached("Slack is down (503)".to_owned()),
        status @ 500..=599 => Fault::Lost(format!("Slack broke ({status})")),
        status => Fault::Refused { code: format!("http_{status}"), needed: String::new() },
    }
}

pub(super) fn token(hidden: &Hidden) -> SlackApiToken {
    SlackApiToken::new(SlackApiTokenValue(hidden.expose().to_owned()))
}

/// By hand, since the client's own speaks https only and waits for ever to connect.
fn connector(settings: &SlackSettings) -> anyhow::Result<Connector> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(TO_CONNECT.min(settings.timeout)));
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .context("reading the certificates of this machine: is `ca-certificates` installed?")?
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http))
}

/// Of a page in HTML, as a proxy puts in between, the client makes an empty object.
fn of_slack(answered: Result<Value, Fault>) -> Result<Value, Fault> {
    match answered {
        Ok(answer) if answer["ok"] != true => Err(Fault::Lost(NOT_SLACK.to_owned())),
        answered => answered,
    }
}

/// **Invariant:** nothing of an answer's body gets into a fault, and no address: there may be
/// tokens and texts in them.
fn fault(why: &SlackClientError) -> Fault {
    match why {
        SlackClientError::ApiError(why) => {
            let body = why.http_response_body.as_deref().unwrap_or_default();
            let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
            let needed = body["needed"].as_str().unwrap_or_default().to_owned();
            match why.code.as_str() {
                "ratelimited" | "rate_limited" => Fault::Busy(None),
                code => Fault::Refused { code: code.to_owned(), needed },
            }
        }
        SlackClientError::RateLimitError(why) => Fault::Busy(why.retry_after),
        SlackClientError::HttpError(why) => of_status(why.status_code),
        SlackClientError::HttpProtocolError(why) => {
            let cause = why.cause.as_ref();
            let cause = cause.and_then(|it| it.downcast_ref::<hyper_util::client::legacy::Error>());
            unheard(cause.is_some_and(hyper_util::client::legacy::Error::is_connect))
        }
        SlackClientError::ProtocolError(_) => {
            Fault::Lost("Slack's answer cannot be read".to_owned())
        }
        SlackClientError::EndOfStream(_)
        | SlackClientError::SystemError(_)
        | SlackClientError::SocketModeProtocolError(_) => unheard(false),
    }
}

/// A text within an answer; empty where there is none.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    // None of Slack's names has anything to unescape, for which a JSON pointer copies each.
    let mut names = pointer.split('/').skip(1);
    let found = names.try_fold(answer, |within, name| match within.as_array() {
        Some(all) => all.get(name.parse::<usize>().ok()?),
        None => within.get(name),
    });
    found.and_then(Value::as_str).unwrap_or_default()
}

/// Adds what is there and leaves out what is not.
pub(super) fn with(mut body: Value, name: &str, value: Option<impl Into<Value>>) -> Value {
    if let Some(value) = value {
        body[name] = value.into();
    }
    body
}

/// An object without fields.
pub(super) fn nothing() -> Value {
    json!({})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Fault {
        Fault::Refused { code: code.into(), needed: String::new() }
    }

    #[test]
    fn each_refusal_says_what_a_person_can_do() {
        for (code, word) in [
            ("not_in_channel", "/invite"),
            ("channel_not_found", "configuration"),
            ("is_archived", "archived"),
            ("some_new_code", "some_new_code"),
        ] {
            let failure = refused(code).failure("It was not posted", Twice::Harmful);
            assert!(matches!(failure, Failure::Permanent { .. }), "{failure:?}");
            assert!(failure.to_string().contains(word), "{failure}");
        }
        for (code, word) in [("invalid_auth", "token"), ("token_revoked", "Install")] {
            let failure = refused(code).failure("It was not posted", Twice::Harmful);
            assert!(matches!(failure, Failure::NoEntry { .. }), "{failure:?}");
            assert!(failure.to_string().contains(word), "{failure}");
        }
        let scope = Fault::Refused { code: "missing_scope".into(), needed: "pins:write".into() };
        let failure = scope.failure("It was not pinned", Twice::Harmless);
        assert!(failure.to_string().contains("`pins:write`"), "{failure}");
    }

    /// A body of its own is promised nowhere.
    #[test]
    fn of_what_is_no_method_the_status_counts() {
        let said = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, "7".parse().expect("ASCII"));
            taken(status, &headers, body.as_bytes())
        };
        for body in ["", "ok", "OK - 12", r#"{"ok":true}"#, "{}", "[]"] {
            assert_eq!(said(200, body), Ok(()), "{body}");
        }
        assert_eq!(said(204, ""), Ok(()));
        assert_eq!(said(200, r#"{"ok":false,"error":"expired_url"}"#), Err(refused("expired_url")));
        assert_eq!(said(404, "used_url"), Err(refused("http_404")));
        assert_eq!(said(429, ""), Err(Fault::Busy(Some(Duration::from_secs(7)))));
        assert!(matches!(said(500, ""), Err(Fault::Lost(_))));
        assert!(matches!(said(503, ""), Err(Fault::NotReached(_))));
    }

    #[test]
    fn what_may_have_happened_is_unknown_only_where_twice_is_harmful() {
        let lost = || Fault::Lost("the connection to Slack broke".into());
        assert!(matches!(lost().failure("x", Twice::Harmful), Failure::Unknown { .. }));
        assert!(matches!(lost().failure("x", Twice::Harmless), Failure::Transient { .. }));
        let down = Fault::NotReached("down".into());
        assert!(matches!(down.failure("x", Twice::Harmful), Failure::Transient { .. }));
        let busy = Fault::Busy(Some(Duration::from_secs(7))).failure("x", Twice::Harmful);
        let Failure::Transient { retry_after, .. } = busy else { panic!("{busy:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
}
