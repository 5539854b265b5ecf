//! What the page loads and calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Json, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt};

use super::board::{Board, Channel, Entry, Kind};
use super::settings::{Access, ConsoleSettings};
use super::{Desk, Signal, rules, view};
use crate::ports::{
    Answered, Block, Completion, Ear, Failure, Heard, Inline, Message, Reply, Said, Tone,
};

const BODY: usize = 64 * 1024;
const HEARTBEAT: Duration = Duration::from_secs(15);
const COOKIE: &str = "console_token";

#[derive(Clone)]
struct Hub {
    desk: Arc<Desk>,
    ear: Arc<dyn Ear>,
}

/// Turned down, in words for the person at the page.
#[derive(Debug)]
pub(super) struct Declined(pub(super) StatusCode, pub(super) String);

impl Declined {
    fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }
}

impl From<Failure> for Declined {
    fn from(failure: Failure) -> Self {
        let status = match failure {
            Failure::Permanent { .. } => StatusCode::CONFLICT,
            Failure::Transient { .. } | Failure::Unknown { .. } | Failure::NoEntry { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self(status, failure.to_string())
    }
}

impl IntoResponse for Declined {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// JSON of a request, with complaints that a person can read.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Declined;

    async fn from_request(request: Request, state: &S) -> Result<Self, Declined> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(why) => Err(too_long_or_wrong(&why)),
        }
    }
}

fn too_long_or_wrong(why: &JsonRejection) -> Declined {
    if why.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let why = format!("That is too long: at most {} KiB fit into one message.", BODY / 1024);
        return Declined(StatusCode::PAYLOAD_TOO_LARGE, why);
    }
    Declined(why.status(), why.body_text())
}

pub(super) fn router(desk: Arc<Desk>, ear: Arc<dyn Ear>) -> Router {
    let mut router = Router::new()
        .route("/console/enter", post(enter))
        .route("/console/leave", post(leave))
        .route("/console/state", get(state))
        .route("/console/earlier", get(earlier))
        .route("/console/events", get(events))
        .route("/console/complete", get(complete))
        .route("/console/say", post(say))
        .route("/console/press", post(press))
        .route("/console/submit", post(submit));
    for file in &FILES {
        router = router.route(file.path, get(move || async { file.serve() }));
    }
    router.layer(DefaultBodyLimit::max(BODY)).with_state(Hub { desk, ear })
}

// ---------------------------------------------------------------------------------------------
// The page

struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [File; 12] = [
    File { path: "/", kind: HTML, text: include_str!("page/index.html") },
    File { path: "/page/console.css", kind: CSS, text: include_str!("page/console.css") },
    File { path: "/page/icon.svg", kind: PICTURE, text: include_str!("page/icon.svg") },
    File { path: "/page/console.js", kind: SCRIPT, text: include_str!("page/console.js") },
    File { path: "/page/server.js", kind: SCRIPT, text: include_str!("page/server.js") },
    File { path: "/page/render.js", kind: SCRIPT, text: include_str!("page/render.js") },
    File { path: "/page/markdown.js", kind: SCRIPT, text: include_str!("page/markdown.js") },
    File { path: "/page/times.js", kind: SCRIPT, text: include_str!("page/times.js") },
    File { path: "/page/stream.js", kind: SCRIPT, text: include_str!("page/stream.js") },
    File { path: "/page/dialogs.js", kind: SCRIPT, text: include_str!("page/dialogs.js") },
    File { path: "/page/line.js", kind: SCRIPT, text: include_str!("page/line.js") },
    File { path: "/page/clock.js", kind: SCRIPT, text: include_str!("page/clock.js") },
];

impl File {
    /// Asked for anew each time: a page of yesterday must not talk to the program of today.
    fn serve(&'static self) -> Response {
        let headers = [(header::CONTENT_TYPE, self.kind), (header::CACHE_CONTROL, "no-cache")];
        (headers, self.text).into_response()
    }
}

// ---------------------------------------------------------------------------------------------
// Who is asking

#[derive(Deserialize)]
struct Entrance {
    token: String,
}

async fn enter(State(hub): State<Hub>, Body(entrance): Body<Entrance>) -> Response {
    let key = digest(entrance.token.trim());
    match person_of(&hub.desk.settings.access, &key) {
        Some(person) => {
            (with_cookie(&key, "31536000"), Json(json!({ "as": person }))).into_response()
        }
        None => unknown_token().into_response(),
    }
}

async fn leave() -> Response {
    (with_cookie("", "0"), Json(json!({}))).into_response()
}

fn with_cookie(key: &str, age: &str) -> [(header::HeaderName, String); 1] {
    let cookie = format!("{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}");
    [(header::SET_COOKIE, cookie)]
}

fn unknown_token() -> Declined {
    let why = "Please enter your access token. The operator of this console gives it to you.";
    Declined(StatusCode::UNAUTHORIZED, why.to_owned())
}

/// The cookie holds this instead of the token; equal lengths make comparing take equal time.
fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn person_of<'a>(access: &'a Access, key: &str) -> Option<&'a str> {
    let Access::Tokens(tokens) = access else { return None };
    let mut found = None;
    for (token, person) in tokens {
        if bool::from(digest(token).as_bytes().ct_eq(key.as_bytes())) {
            found = Some(person.as_str());
        }
    }
    found
}

impl Hub {
    /// The person who asks. Where people have tokens, `wanted` can only be their own id.
    fn caller(&self, headers: &HeaderMap, wanted: &str) -> Result<String, Declined> {
        let settings = &self.desk.settings;
        let person = match &settings.access {
            Access::Switcher => switched(settings, wanted)?,
            Access::Tokens(_) => {
                let key = cookie(headers).ok_or_else(unknown_token)?;
                person_of(&settings.access, key).ok_or_else(unknown_token)?
            }
        };
        if !wanted.is_empty() && wanted != person {
            let why = format!("Your token is not that of `{wanted}`.");
            return Err(Declined(StatusCode::FORBIDDEN, why));
        }
        Ok(person.to_owned())
    }
}

fn switched<'a>(settings: &'a ConsoleSettings, wanted: &str) -> Result<&'a str, Declined> {
    let found = match wanted {
        "" => settings.people.first(),
        wanted => settings.person(wanted),
    };
    let found = found.map(|person| person.id.as_str());
    found.ok_or_else(|| {
        Declined(StatusCode::FORBIDDEN, format!("There is no person `{wanted}` on this console."))
    })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The channel, if it is one of this person's.
fn visible<'a>(board: &'a Board, id: &str, person: &str) -> Result<&'a Channel, Declined> {
    board.channel(id).filter(|channel| channel.is_visible_to(person)).ok_or_else(|| {
        Declined(StatusCode::NOT_FOUND, format!("You have no channel `{id}` on this console."))
    })
}

// ---------------------------------------------------------------------------------------------
// What is there

#[derive(Deserialize)]
struct Asked {
    #[serde(default, rename = "as")]
    person: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    line: String,
    before: Option<u64>,
    after: Option<String>,
}

async fn state(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Declined> {
    let person = hub.caller(&headers, &asked.person)?;
    Ok(Json(view::state(&hub.desk.read(), &hub.desk.settings, &person)))
}

async fn earlier(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Declined> {
    let person = hub.caller(&headers, &asked.person)?;
    let board = hub.desk.read();
    let channel = visible(&board, &asked.channel, &person)?;
    Ok(Json(view::earlier(channel, &hub.desk.settings, asked.before.unwrap_or(u64::MAX))))
}

async fn complete(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<Completion>>, Declined> {
    let person = hub.caller(&headers, &asked.person)?;
    let slash = &hub.desk.settings.slash;
    let line = asked.line.trim_start();
    if let Some(rest) = line.strip_prefix(slash.as_str()).filter(|rest| rest.starts_with(' ')) {
        let channel = place(&hub.desk.read(), &asked.channel, &person)?;
        let asker = ("console", hub.desk.settings.tenant.as_str(), person.as_str());
        let offered = hub.ear.complete(asker, channel.as_deref(), rest.trim_start());
        let whole = |next: Completion| Completion {
            text: format!("{slash} {}", next.text),
            about: next.about,
        };
        return Ok(Json(offered.into_iter().map(whole).collect()));
    }
    let is_beginning = !line.is_empty() && slash.starts_with(line);
    let offered = is_beginning
        .then(|| Completion { text: format!("{slash} "), about: "what can I type?".to_owned() });
    Ok(Json(offered.into_iter().collect()))
}

// ---------------------------------------------------------------------------------------------
// What happens

async fn events(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Declined> {
    let person = hub.caller(&headers, &asked.person)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok().map(str::to_owned));
    let last = last.or(asked.after);
    let stream = listen(&hub.desk, person, last.as_deref())?;
    let alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    // Whoever is let go leaves the door at once, and does not stand in it for another question.
    Ok(([(header::CONNECTION, "close")], Sse::new(stream).keep_alive(alive)).into_response())
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// First what was missed, then what comes. An id is the journal's and the number of the change in
/// it; a page that comes from another journal, or from too long ago, is told to load again.
fn listen(desk: &Arc<Desk>, person: String, last: Option<&str>) -> Result<Events, Declined> {
    let board = desk.read();
    let signals = BroadcastStream::new(desk.signals.subscribe());
    if desk.is_closed() {
        let why = "The console is stopping.".to_owned();
        return Err(Declined(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    let missed = match last.map(|last| last.rsplit_once('-')) {
        None => Some(Vec::new()),
        Some(Some((journal, seq))) if journal == board.journal => {
            seq.parse().ok().and_then(|seq| board.since(seq))
        }
        Some(_) => None,
    };
    let first: Vec<_> = match missed {
        Some(entries) => {
            entries.iter().filter_map(|entry| event(&board, desk, entry, &person)).collect()
        }
        None => vec![reset()],
    };
    drop(board);
    let page = desk.pages.opened(&person);
    let let_go = page.let_go();
    let desk = Arc::clone(desk);
    let live = signals
        .map_while(move |signal| match signal {
            Ok(Signal::Changed(entry)) => Some(event(&desk.read(), &desk, &entry, &person)),
            Ok(Signal::Closed) => None,
            Err(BroadcastStreamRecvError::Lagged(_)) => Some(Some(reset())),
        })
        .filter_map(|event| event);
    let events = tokio_stream::iter(first).chain(live).map(move |event| {
        let _open = &page;
        Ok(event)
    });
    Ok(Box::pin(futures_util::StreamExt::take_until(events, let_go)))
}

fn event(board: &Board, desk: &Desk, entry: &Entry, person: &str) -> Option<Event> {
    let (name, data) = view::event(entry, board, &desk.settings, person)?;
    let id = format!("{}-{}", board.journal, entry.seq);
    Some(Event::default().event(name).id(id).data(data.to_string()))
}

fn reset() -> Event {
    Event::default().event("reset").data("{}")
}

// ---------------------------------------------------------------------------------------------
// What people do

#[derive(Deserialize)]
struct Deed {
    id: String,
    #[serde(default, rename = "as")]
    person: String,
    channel: String,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(flatten)]
    deed: Deed,
    line: String,
}

#[derive(Deserialize)]
struct Clicked {
    #[serde(flatten)]
    deed: Deed,
    command: String,
}

#[derive(Deserialize)]
struct Filled {
    #[serde(flatten)]
    deed: Deed,
    command: String,
    fields: BTreeMap<String, String>,
}

async fn say(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Body(typed): Body<Typed>,
) -> Result<Json<Value>, Declined> {
    let person = hub.caller(&headers, &typed.deed.person)?;
    let line = typed.line.trim();
    let slash = hub.desk.settings.slash.clone();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if word.eq_ignore_ascii_case(&slash) {
        let said = Said::Line(rest.trim().to_owned());
        return hub.hear(person, typed.deed, said).await;
    }
    if line.is_empty() {
        return Err(Declined::bad("There is nothing to send."));
    }
    if word.starts_with('/') {
        return Ok(Json(json!(only_listens_to(&slash))));
    }
    rules::check_said(line)?;
    hub.post(person, typed.deed, line.to_owned()).await
}

async fn press(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Body(clicked): Body<Clicked>,
) -> Result<Json<Value>, Declined> {
    let person = hub.caller(&headers, &clicked.deed.person)?;
    hub.hear(person, clicked.deed, Said::Pressed(clicked.command)).await
}

async fn submit(
    State(hub): State<Hub>,
    headers: HeaderMap,
    Body(filled): Body<Filled>,
) -> Result<Json<Value>, Declined> {
    let person = hub.caller(&headers, &filled.deed.person)?;
    let said = Said::Submitted { command: filled.command, fields: filled.fields };
    hub.hear(person, filled.deed, said).await
}

fn only_listens_to(slash: &str) -> Reply {
    let text = |text: &str| Inline::Text(text.to_owned());
    let line = vec![
        text("This console listens to "),
        Inline::Code(format!("{slash} …")),
        text("; try "),
        Inline::Code(format!("{slash} help")),
        text("."),
    ];
    let body = vec![Block::Paragraph(line)];
    Reply::Private(Message { tone: Tone::Warning, body, ..Message::default() })
}

fn in_private(text: String) -> Reply {
    let body = vec![Block::Paragraph(vec![Inline::Text(text)])];
    Reply::Private(Message { body, ..Message::default() })
}

impl Hub {
    /// Gives it to the ear, on a task of its own: a page that goes away must not stop it half-way.
    async fn hear(&self, person: String, deed: Deed, said: Said) -> Result<Json<Value>, Declined> {
        check_id(&deed.id)?;
        let channel = place(&self.desk.read(), &deed.channel, &person)?;
        let heard = Heard {
            id: format!("console/{person}/{}", deed.id),
            platform: "console".to_owned(),
            tenant: self.desk.settings.tenant.clone(),
            user: person,
            channel,
            handle: None,
            said,
        };
        let ear = Arc::clone(&self.ear);
        let answered = tokio::spawn(async move { ear.hear(heard).await }).await;
        let reply = answered.map(|answered| match answered {
            Answered::Now(reply) => reply,
            Answered::Later => in_private("You will be answered in private.".to_owned()),
        });
        reply.map(|reply| Json(json!(reply))).map_err(|_| {
            let why = "Something broke while this was handled. Look at what happened before you \
                       try again.";
            Declined(StatusCode::INTERNAL_SERVER_ERROR, why.to_owned())
        })
    }

    /// A chat is a chat: what is no command is said to the others.
    async fn post(&self, by: String, deed: Deed, text: String) -> Result<Json<Value>, Declined> {
        check_id(&deed.id)?;
        let desk = Arc::clone(&self.desk);
        let said = tokio::task::spawn_blocking(move || {
            desk.change(
                |board| board.say(&deed.channel, &by, &deed.id, &text),
                |board| board.act(&by, &deed.id),
            )
        });
        let said = said.await.unwrap_or_else(|_| Err(Failure::unknown("the console broke off")))?;
        Ok(Json(json!({ "said": said })))
    }
}

/// The channel as the ear knows it; a private conversation is none.
fn place(board: &Board, id: &str, person: &str) -> Result<Option<String>, Declined> {
    let channel = visible(board, id, person)?;
    Ok(match channel.kind {
        Kind::Channel | Kind::Room => Some(channel.id.clone()),
        Kind::Direct(_) => None,
    })
}

fn check_id(id: &str) -> Result<(), Declined> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (8..=64).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Declined::bad("The id of a deed has 8 to 64 letters, digits or dashes."))
}
