//! The grammar over HTTP, for the command line and for pipelines: one address, one bearer token, the
//! same words as in chat.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Served;
use crate::app::conversation::{Came, Conversation, Spoken};
use crate::app::markup;
use crate::domain::command::{Actor, Claims};
use crate::domain::ids::PersonId;
use crate::domain::policy::Right;
use crate::ports::{Message, Reply, Said};

/// A secret and who speaks with it.
#[derive(Clone)]
pub struct Token {
    pub secret: String,
    pub bearer: Bearer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    Person(PersonId),
    Machine(String),
    /// The owner of the embedded default, who may speak as anybody.
    Anyone,
}

/// More than any line of ours.
const BODY_LIMIT: usize = 64 * 1024;

pub(super) fn router() -> Router<Served> {
    Router::new().route("/api/commands", post(command)).layer(DefaultBodyLimit::max(BODY_LIMIT))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What one would type after `/release`.
    line: String,
    /// Whom the owner of the embedded default speaks as.
    #[serde(default, rename = "as")]
    speaker: Option<String>,
}

#[derive(Serialize)]
struct Answered {
    ok: bool,
    outcome: Came,
    text: String,
    message: Message,
}

#[derive(Serialize)]
struct Wrong {
    error: String,
}

type Answer = Result<Json<Answered>, (StatusCode, Json<Wrong>)>;

fn wrong(status: StatusCode, error: impl Into<String>) -> (StatusCode, Json<Wrong>) {
    (status, Json(Wrong { error: error.into() }))
}

async fn command(
    State(served): State<Served>,
    headers: HeaderMap,
    body: Result<Json<Asked>, axum::extract::rejection::JsonRejection>,
) -> Answer {
    let bearer = bearer(&served, &headers)
        .ok_or_else(|| wrong(StatusCode::UNAUTHORIZED, "give a bearer token that I know"))?;
    let Json(asked) = body.map_err(|why| {
        let shape = "send JSON: {\"line\": \"status v1.2.0\"}";
        let status = match why.status() {
            large @ StatusCode::PAYLOAD_TOO_LARGE => large,
            _ => StatusCode::BAD_REQUEST,
        };
        wrong(status, format!("{}; {shape}", why.body_text()))
    })?;
    let (name, by) = speaker(&served, &bearer, asked.speaker)?;
    let (id, keyed) = request_id(&headers, &name)?;
    let (platform, said) = ("api".into(), Said::Line(asked.line));
    let spoken = Spoken { id, by, platform, channel: None, said, keyed };
    let (came, reply) = served.conversation.answer(spoken).await;
    let message = match reply {
        Reply::Private(message) => message,
        Reply::Form(form) => served.conversation.as_line(&form, "console", None),
    };
    let text = in_words(came, &message, &served.conversation);
    let answered = Answered { ok: came == Came::Through, outcome: came, text, message };
    match came {
        Came::Lost => Err(wrong(StatusCode::SERVICE_UNAVAILABLE, answered.text)),
        Came::Through | Came::Refused | Came::Asked => Ok(Json(answered)),
    }
}

/// What a reader without buttons gets: an answer that asks back names what can be chosen.
fn in_words(came: Came, message: &Message, talk: &Conversation) -> String {
    // Who reads this can scroll: a document comes whole.
    let mut text = match message.files.as_slice() {
        [] => markup::plain(&message.body),
        files => files.iter().map(|file| file.text.as_str()).collect::<Vec<_>>().join("\n"),
    };
    if matches!(came, Came::Refused | Came::Asked) {
        for button in message.buttons.iter().flatten() {
            let line = talk.line_of(&button.command, "console", None);
            if !text.contains(&line) {
                text.push_str(&format!("\n- {}: {line}", button.label));
            }
        }
    }
    text
}

/// Every token is compared, whichever fits, so that time tells nothing.
fn bearer(served: &Served, headers: &HeaderMap) -> Option<Bearer> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim();
    let mut found = None;
    for token in served.tokens.iter() {
        if bool::from(token.secret.as_bytes().ct_eq(given.as_bytes())) {
            found = Some(token.bearer.clone());
        }
    }
    found
}

/// One token is one person; only the embedded default's owner may be somebody else.
fn speaker(
    served: &Served,
    bearer: &Bearer,
    wanted: Option<String>,
) -> Result<(String, Actor), (StatusCode, Json<Wrong>)> {
    let person = match (bearer, wanted) {
        (Bearer::Machine(name), None) => return Ok((name.clone(), Actor::Machine(name.clone()))),
        (Bearer::Person(person), None) => person.clone(),
        (Bearer::Anyone, Some(name)) => PersonId::new(name),
        (Bearer::Anyone, None) => captain(served)?,
        (Bearer::Machine(_) | Bearer::Person(_), Some(_)) => {
            let error = "this token is one person (or machine) and cannot speak as another";
            return Err(wrong(StatusCode::FORBIDDEN, error));
        }
    };
    let state = served.engine.state();
    let known = state.house.policy().people.get(&person);
    let account = known.and_then(|known| known.accounts.first().cloned());
    match account {
        Some(account) => {
            let by = Actor::Person { account, claims: Claims::default() };
            Ok((person.to_string(), by))
        }
        None => {
            let error = format!("I know nobody called {person}; the people are in [people]");
            Err(wrong(StatusCode::FORBIDDEN, error))
        }
    }
}

/// Whom the owner of the embedded default is, unless they say somebody else.
fn captain(served: &Served) -> Result<PersonId, (StatusCode, Json<Wrong>)> {
    let state = served.engine.state();
    let policy = state.house.policy();
    let mut captains = policy
        .roles_with(Right::Schedule)
        .filter_map(|role| policy.roles.get(role)?.members.first().cloned());
    captains.next().ok_or_else(|| {
        wrong(StatusCode::BAD_REQUEST, "say who you are: `TMINUS_AS=somebody tminus …`")
    })
}

/// The same key acts once, and belongs to what was said first; without one, each request is its own.
fn request_id(
    headers: &HeaderMap,
    name: &str,
) -> Result<(String, bool), (StatusCode, Json<Wrong>)> {
    let Some(key) = headers.get("idempotency-key") else {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|why| wrong(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()))?;
        let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok((format!("api/{name}/{random}"), false));
    };
    let sound =
        |key: &&str| (8..=100).contains(&key.len()) && key.chars().all(|c| c.is_ascii_graphic());
    match key.to_str().ok().filter(sound) {
        Some(key) => Ok((format!("api/{name}/{key}"), true)),
        None => {
            let error = "an Idempotency-Key has 8 to 100 printable ASCII characters";
            Err(wrong(StatusCode::BAD_REQUEST, error))
        }
    }
}
