//! One call to Discord's REST API: with a time limit, within its rate limits, and with a failure
//! that says what may be done next.
//!
//! The routes and the requests are serenity's. They are sent from here because its own sender
//! either ignores `api_url` or loses `Retry-After`, and waits without end where it does neither.
//! Answers are read untyped: a field that we do not know must never cost a message.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use serenity::builder::CreateAttachment;
use serenity::http::{LightMethod, Multipart, MultipartUpload, RatelimitingBucket, Request, Route};
use tokio_util::sync::CancellationToken;

use super::lock;
use super::render::Attached;
use super::settings::{API_URL, DiscordSettings};
use crate::ports::Failure;

/// Without one, a host that swallows packets is only noticed by the limit of the whole call, and
/// then nobody can say whether the call was made.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// A limit that ends sooner is waited for here; for another one the lane that called comes back.
const BREATH: Duration = Duration::from_secs(2);
/// As many limits as are remembered at a time.
const LIMITS: usize = 10_000;

const INTERACTION_IS_OVER: u64 = 50027;
pub(super) const RENEW: &str = "Discord does not take our token. Copy it anew from the \
                                application's page Bot into the configuration";

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
    /// Discord said no: its own code, the status, and which fields it means.
    Refused { code: u64, status: u16, fields: String },
    /// Too many calls of this kind.
    Busy(Option<Duration>),
    /// It did not happen.
    NotReached(String),
    /// It may have happened.
    Lost(String),
}

impl Fault {
    pub(super) fn is(&self, codes: &[u64]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(code))
    }

    /// Whether Discord means this field: `PARENT_MAX` for a category that is full.
    pub(super) fn names(&self, word: &str) -> bool {
        matches!(self, Self::Refused { fields, .. } if fields.contains(word))
    }

    /// Ours was revoked or renewed. The token of an interaction that is over has a code of its own.
    fn is_of_token(&self) -> bool {
        matches!(self, Self::Refused { status: 401, code, .. } if *code != INTERACTION_IS_OVER)
    }

    /// What delivery makes of it. `what` begins the sentence: "The message was not posted".
    pub(super) fn failure(self, what: &str, twice: Twice) -> Failure {
        match self {
            Self::Busy(after) => Failure::Transient {
                why: format!("{what}: Discord asks us to slow down"),
                retry_after: after,
            },
            Self::NotReached(why) => Failure::transient(format!("{what}: {why}")),
            Self::Lost(why) => match twice {
                Twice::Harmless => Failure::transient(format!("{what}: {why}")),
                Twice::Harmful => Failure::unknown(format!("{what}, or it was: {why}")),
            },
            // Nothing gets in until somebody gives us the new token.
            refused if refused.is_of_token() => Failure::no_entry(format!("{what}: {RENEW}")),
            Self::Refused { code, status, fields } => refusal(what, code, status, &fields),
        }
    }
}

/// What Discord's own codes mean, and what a person can do.
fn refusal(what: &str, code: u64, status: u16, fields: &str) -> Failure {
    // Slow mode, an overloaded route, and a guild that is down: all of them pass.
    if matches!(code, 20016 | 20028 | 20029 | 130_000) {
        return Failure::transient(format!("{what}: Discord is busy ({code})"));
    }
    let mend = match code {
        10003 => {
            "Discord knows no such channel, or hides it from me. Check the id in the \
             configuration (right-click the channel, Copy Channel ID)"
        }
        10004 => "Discord does not know the guild, or I am not in it. Invite me there",
        10008 => "the message is gone",
        10007 | 10013 => "that person is not in the guild",
        10011 => "the guild has no such role: copy its id under Server Settings, Roles",
        10015 | 50027 => "the time to answer there is over",
        10062 => "Discord did not wait for the answer",
        30003 => "the channel has as many pins as Discord allows. Unpin some",
        30013 => "the guild has as many channels as Discord allows (500). Delete old ones",
        40005 => "the file is larger than Discord takes here",
        50001 => {
            "I may not see that channel. Give my role View Channel under Edit Channel, Permissions"
        }
        50005 => "the message is not mine",
        50007 => {
            "that person takes no direct messages: Privacy Settings of the server, Direct Messages"
        }
        50013 => {
            "I lack a permission there. Compare my role under Server Settings, Roles with \
             deploy/discord/README.md, and the channel's own permissions"
        }
        50019 => "only a message of the same channel can be pinned",
        50024 => "that cannot be done in a channel of this kind",
        50035 if !fields.is_empty() => {
            let why = format!("{what}: Discord does not take {fields}");
            return Failure::permanent(format!("{why}, which is our mistake: please report it"));
        }
        50083 => "the thread is archived. Unarchive it, or choose another place",
        160_002 | 160_005 => "the thread is locked",
        160_006 => "the guild has as many open threads as Discord allows. Close some",
        _ => return Failure::permanent(format!("{what}: Discord says {code} ({status})")),
    };
    Failure::permanent(format!("{what}: {mend}"))
}

pub(super) struct Api {
    client: Client,
    /// `Bot …`.
    token: String,
    /// What stands in the place of `https://discord.com`.
    proxy: Option<String>,
    limits: Limits,
    /// Whether our token was refused when it was last shown.
    refused: AtomicBool,
    /// Told when we stop: nobody waits here any more.
    pub(super) leaving: CancellationToken,
}

impl Api {
    pub(super) fn new(settings: &DiscordSettings) -> anyhow::Result<Self> {
        let client = match &settings.client {
            Some(client) => client.clone(),
            None => usual(settings.timeout).context("preparing to call Discord")?,
        };
        let url = settings.api_url.trim_end_matches('/');
        Ok(Self {
            client,
            token: format!("Bot {}", settings.bot_token.expose()),
            proxy: (url != API_URL).then(|| url.to_owned()),
            limits: Limits::default(),
            refused: AtomicBool::new(false),
            leaving: CancellationToken::new(),
        })
    }

    /// Whether Discord took our token when it was last shown.
    pub(super) fn is_let_in(&self) -> bool {
        !self.refused.load(Ordering::Relaxed)
    }

    pub(super) async fn get(&self, route: Route<'_>) -> Result<Value, Fault> {
        self.send(Request::new(route, LightMethod::Get)).await
    }

    pub(super) async fn get_with(
        &self,
        route: Route<'_>,
        arguments: Vec<(&'static str, String)>,
    ) -> Result<Value, Fault> {
        self.send(Request::new(route, LightMethod::Get).params(Some(arguments))).await
    }

    pub(super) async fn post(&self, route: Route<'_>, body: &Value) -> Result<Value, Fault> {
        self.send(Request::new(route, LightMethod::Post).body(Some(bytes(body)))).await
    }

    pub(super) async fn patch(&self, route: Route<'_>, body: &Value) -> Result<Value, Fault> {
        self.send(Request::new(route, LightMethod::Patch).body(Some(bytes(body)))).await
    }

    pub(super) async fn put(&self, route: Route<'_>, body: Option<&Value>) -> Result<Value, Fault> {
        self.send(Request::new(route, LightMethod::Put).body(body.map(bytes))).await
    }

    pub(super) async fn delete(&self, route: Route<'_>) -> Result<Value, Fault> {
        self.send(Request::new(route, LightMethod::Delete)).await
    }

    /// A message, with its file if it has one. serenity numbers only those files that it sends by
    /// itself, so that there is never a second one.
    pub(super) async fn write(
        &self,
        route: Route<'_>,
        method: LightMethod,
        body: &Value,
        beside: Option<&Attached<'_>>,
    ) -> Result<Value, Fault> {
        let request = Request::new(route, method);
        let Some(file) = beside else {
            return self.send(request.body(Some(bytes(body)))).await;
        };
        let attachment = CreateAttachment::bytes(file.bytes, file.name);
        let multipart = Multipart {
            upload: MultipartUpload::Attachments(vec![attachment]),
            fields: Vec::new(),
            payload_json: Some(body.to_string()),
        };
        self.send(request.multipart(Some(multipart))).await
    }

    async fn send(&self, request: Request<'_>) -> Result<Value, Fault> {
        self.send_reading_headers(request).await.map(|(answer, _)| answer)
    }

    /// As `doctor` wants it, which also asks what time it is there.
    pub(super) async fn send_reading_headers(
        &self,
        request: Request<'_>,
    ) -> Result<(Value, HeaderMap), Fault> {
        let line = Line::of(&request);
        let shows_token = shows_token(request.route_ref());
        self.limits.pass(line, &self.leaving).await?;
        let built = request.build(&self.client, &self.token, self.proxy.as_deref());
        let built = built.map_err(|_| Fault::NotReached("the call cannot be made".to_owned()))?;
        let answer = built.send().await.map_err(|why| not_sent(&why))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.limits.learn(line, status, &headers);
        let body = answer.bytes().await;
        if status.is_success() {
            if shows_token {
                self.refused.store(false, Ordering::Relaxed);
            }
            let body = body.map_err(|_| lost("the connection to Discord broke"))?;
            if body.is_empty() {
                return Ok((Value::Null, headers));
            }
            let answer = serde_json::from_slice(&body);
            let answer = answer.map_err(|_| lost("Discord's answer cannot be read"))?;
            return Ok((answer, headers));
        }
        let body = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or(Value::Null);
        let fault = fault(status, &headers, &body);
        if shows_token && fault.is_of_token() {
            self.refused.store(true, Ordering::Relaxed);
        }
        Err(fault)
    }
}

/// What is said in an interaction needs no token of ours, and so proves nothing about it.
fn shows_token(route: &Route<'_>) -> bool {
    of_interaction(route).is_none()
}

/// The token of the interaction in which something is said.
fn of_interaction<'r>(route: &Route<'r>) -> Option<&'r str> {
    let (Route::InteractionResponse { token, .. }
    | Route::WebhookOriginalInteractionResponse { token, .. }
    | Route::WebhookFollowupMessages { token, .. }) = route
    else {
        return None;
    };
    Some(token)
}

fn usual(timeout: Duration) -> reqwest::Result<Client> {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(TO_CONNECT.min(timeout))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .build()
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

fn lost(why: &str) -> Fault {
    Fault::Lost(why.to_owned())
}

/// **Invariant:** no address gets into a fault: tokens of interactions are part of it.
fn not_sent(why: &reqwest::Error) -> Fault {
    match why.is_connect() {
        true => Fault::NotReached("Discord cannot be reached".to_owned()),
        false if why.is_timeout() => lost("Discord did not answer in time"),
        false => lost("the connection to Discord broke"),
    }
}

fn fault(status: StatusCode, headers: &HeaderMap, body: &Value) -> Fault {
    match status.as_u16() {
        429 => Fault::Busy(retry_after(headers, body)),
        503 => Fault::NotReached("Discord is down (503)".to_owned()),
        status @ 500..=599 => Fault::Lost(format!("Discord broke ({status})")),
        status => {
            let mut fields = Vec::new();
            named(&body["errors"], "", &mut fields);
            let code = body["code"].as_u64().unwrap_or_default();
            Fault::Refused { code, status, fields: fields.join(", ") }
        }
    }
}

/// `embeds.0.description (BASE_TYPE_MAX_LENGTH)`: names of fields and of rules, and no text.
fn named(errors: &Value, at: &str, found: &mut Vec<String>) {
    for (name, value) in errors.as_object().into_iter().flatten() {
        match value.as_array().filter(|_| name == "_errors") {
            Some(all) => {
                let codes = all.iter().filter_map(|each| each["code"].as_str());
                found.extend(codes.map(|code| format!("{at} ({code})")));
            }
            None if at.is_empty() => named(value, name, found),
            None => named(value, &format!("{at}.{name}"), found),
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Rate limits

/// What Discord counts together: a method, a route, and the interaction in which something is said,
/// lest one person waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Line {
    method: u8,
    route: RatelimitingBucket,
    interaction: Option<u64>,
}

impl Line {
    fn of(request: &Request<'_>) -> Self {
        let route = request.route_ref();
        let digest = |token: &str| BuildHasherDefault::<DefaultHasher>::default().hash_one(token);
        Self {
            method: *request.method_ref() as u8,
            route: route.ratelimiting_bucket(),
            interaction: of_interaction(route).map(digest),
        }
    }
}

/// What Discord said about when we may call again.
#[derive(Default)]
struct Limits {
    closed: Mutex<HashMap<Line, Instant>>,
    everywhere: Mutex<Option<Instant>>,
}

impl Limits {
    /// Waits for a limit that is about to end, and turns back before another one: a call that would
    /// be refused costs as much as one that is made. Who leaves waits for nothing: what was to be
    /// said is said after the next start.
    async fn pass(&self, line: Line, leaving: &CancellationToken) -> Result<(), Fault> {
        let own = lock(&self.closed).get(&line).copied();
        // The limit of the whole bot is none of whoever waits for an answer.
        let everywhere = match line.interaction {
            None => *lock(&self.everywhere),
            Some(_) => None,
        };
        let Some(until) = own.max(everywhere) else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait > BREATH {
            return Err(Fault::Busy(Some(wait)));
        }
        let waited = leaving.run_until_cancelled(tokio::time::sleep(wait)).await;
        waited.ok_or(Fault::Busy(Some(wait)))
    }

    fn learn(&self, line: Line, status: StatusCode, headers: &HeaderMap) {
        let refused = status == StatusCode::TOO_MANY_REQUESTS;
        let until = |wait: Duration| Instant::now() + wait;
        if refused && let Some(wait) = retry_after(headers, &Value::Null) {
            let global = headers.contains_key("x-ratelimit-global")
                || header(headers, "x-ratelimit-scope") == Some("global");
            if global && line.interaction.is_none() {
                *lock(&self.everywhere) = Some(until(wait));
            } else {
                self.close(line, until(wait));
            }
        } else if header(headers, "x-ratelimit-remaining") == Some("0")
            && let Some(wait) = seconds(header(headers, "x-ratelimit-reset-after"))
        {
            self.close(line, until(wait));
        }
    }

    fn close(&self, line: Line, until: Instant) {
        let mut closed = lock(&self.closed);
        if closed.len() >= LIMITS {
            let now = Instant::now();
            closed.retain(|_, until| *until > now);
        }
        closed.insert(line, until);
    }
}

fn retry_after(headers: &HeaderMap, body: &Value) -> Option<Duration> {
    let told = body["retry_after"].as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
    told.or_else(|| seconds(header(headers, "retry-after")))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    text?.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// A text within an answer; empty where there is none.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Discord's ids are numbers that it writes as texts.
pub(super) fn id(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id > 0)
}

/// The same, within an answer.
pub(super) fn id_at(answer: &Value, pointer: &str) -> Option<u64> {
    id(text(answer, pointer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: u64, status: u16) -> Fault {
        Fault::Refused { code, status, fields: String::new() }
    }

    #[test]
    fn each_refusal_says_what_a_person_can_do() {
        for (code, status, word) in [
            (10003, 404, "Copy Channel ID"),
            (50001, 403, "View Channel"),
            (50013, 403, "Server Settings"),
            (50007, 403, "direct messages"),
            (30003, 400, "Unpin"),
            (30013, 400, "Delete"),
            (77777, 400, "77777"),
        ] {
            let failure = refused(code, status).failure("It was not posted", Twice::Harmful);
            assert!(matches!(failure, Failure::Permanent { .. }), "{failure:?}");
            assert!(failure.to_string().contains(word), "{failure}");
        }
        let shut_out = refused(0, 401).failure("It was not posted", Twice::Harmful);
        assert!(matches!(shut_out, Failure::NoEntry { .. }), "{shut_out:?}");
        assert!(shut_out.to_string().contains("token"), "{shut_out}");
    }

    #[test]
    fn what_may_have_happened_is_unknown_only_where_twice_is_harmful() {
        assert!(matches!(lost("x").failure("x", Twice::Harmful), Failure::Unknown { .. }));
        assert!(matches!(lost("x").failure("x", Twice::Harmless), Failure::Transient { .. }));
        let down = Fault::NotReached("down".into());
        assert!(matches!(down.failure("x", Twice::Harmful), Failure::Transient { .. }));
        let slow = refused(20016, 400).failure("x", Twice::Harmful);
        assert!(matches!(slow, Failure::Transient { .. }), "{slow:?}");
    }

    #[tokio::test]
    async fn whoever_waits_for_an_answer_waits_for_nobody_elses_limit() {
        let answer = |token| Route::WebhookFollowupMessages { application_id: 1.into(), token };
        let call = |route| Line::of(&Request::new(route, LightMethod::Post));
        let (ann, sam) = (call(answer("ann's")), call(answer("sam's")));
        assert_eq!(ann, call(answer("ann's")));
        let (limits, leaving) = (Limits::default(), CancellationToken::new());
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "30".parse().expect("ASCII"));
        limits.learn(ann, StatusCode::TOO_MANY_REQUESTS, &headers);
        assert!(limits.pass(ann, &leaving).await.is_err());
        assert_eq!(limits.pass(sam, &leaving).await, Ok(()));
        let own = call(Route::UserMeDmChannels);
        headers.insert("x-ratelimit-scope", "global".parse().expect("ASCII"));
        limits.learn(own, StatusCode::TOO_MANY_REQUESTS, &headers);
        assert!(limits.pass(call(Route::UserMe), &leaving).await.is_err(), "it is the bot's own");
        assert_eq!(limits.pass(sam, &leaving).await, Ok(()));
    }

    #[test]
    fn the_fields_that_discord_means_are_named_and_their_texts_are_not() {
        let body = json!({"code": 50035, "errors": {"embeds": {"0": {"description": {"_errors": [
            {"code": "BASE_TYPE_MAX_LENGTH", "message": "secret"},
        ]}}}}});
        let fault = fault(StatusCode::BAD_REQUEST, &HeaderMap::new(), &body);
        assert!(fault.names("embeds.0.description (BASE_TYPE_MAX_LENGTH)"), "{fault:?}");
        assert!(!format!("{fault:?}").contains("secret"));
    }

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.insert(*name, value.parse().expect("ASCII"));
        }
        headers
    }

    fn line(channel: u64) -> Line {
        let route = Route::ChannelMessages { channel_id: channel.into() };
        Line::of(&Request::new(route, LightMethod::Post))
    }

    #[tokio::test]
    async fn a_limit_stops_its_own_route_and_a_global_one_all() {
        let (limits, stays) = (Limits::default(), CancellationToken::new());
        let told = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "60.5")]);
        limits.learn(line(1), StatusCode::OK, &told);
        let busy = limits.pass(line(1), &stays).await;
        assert!(matches!(busy, Err(Fault::Busy(Some(wait))) if wait.as_secs() >= 59), "{busy:?}");
        assert_eq!(limits.pass(line(2), &stays).await, Ok(()));
        let told = headers(&[("retry-after", "30"), ("x-ratelimit-global", "true")]);
        limits.learn(line(1), StatusCode::TOO_MANY_REQUESTS, &told);
        assert!(limits.pass(line(2), &stays).await.is_err());
    }

    #[tokio::test]
    async fn a_limit_that_is_over_or_about_to_end_stops_nobody() {
        let (limits, stays) = (Limits::default(), CancellationToken::new());
        let told = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "0.01")]);
        limits.learn(line(1), StatusCode::OK, &told);
        assert_eq!(limits.pass(line(1), &stays).await, Ok(()));
        assert_eq!(limits.pass(line(1), &stays).await, Ok(()));
    }

    #[tokio::test]
    async fn who_leaves_waits_for_no_limit_and_one_that_is_over_keeps_nobody() {
        let (limits, leaving) = (Limits::default(), CancellationToken::new());
        let told = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.9")]);
        limits.learn(line(1), StatusCode::OK, &told);
        leaving.cancel();
        let since = Instant::now();
        let busy = limits.pass(line(1), &leaving).await;
        assert!(matches!(busy, Err(Fault::Busy(Some(_)))), "{busy:?}");
        assert!(since.elapsed() < Duration::from_secs(1));
        assert_eq!(limits.pass(line(2), &leaving).await, Ok(()));
    }

    #[test]
    fn the_token_of_an_interaction_that_is_over_is_not_ours() {
        let over = refused(INTERACTION_IS_OVER, 401).failure("It was not said", Twice::Harmless);
        assert!(matches!(over, Failure::Permanent { .. }), "{over:?}");
        assert!(over.to_string().contains("time to answer"), "{over}");
    }

    #[test]
    fn an_id_is_a_number() {
        assert_eq!(id("42"), Some(42));
        for wrong in ["", "0", "+4", "-4", "4x", "99999999999999999999999"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
