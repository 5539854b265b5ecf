//! Flagger's webhooks: it asks before it moves traffic, and tells what it does.
//!
//! It sends no header of its own, so that its token stands in the address
//! (`https://flagger:TOKEN@…`, which arrives as a login) or in the hook's metadata. Anything up to
//! 202 is go. `rollback` is asked again and again, and there a 200 says: go back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use tracing::warn;

use super::{Served, authorization, digest, same};
use crate::domain::command::{Actor, Command, Request};
use crate::domain::event::{Event, Happened};
use crate::domain::gate::{self, Answer, Question, Subject};
use crate::domain::poll::TEXT_LIMIT;

/// Under this name its updates are on record.
const MACHINE: &str = "flagger";
/// Far more than Flagger sends.
const LARGEST: usize = 64 * 1024;
/// What nobody has in one cluster.
const MOST_CANARIES: usize = 1_000;

/// What the operator says of it.
#[derive(Clone)]
pub struct Flagger {
    pub token: String,
    /// `namespace/name` to service and environment.
    pub canaries: BTreeMap<String, (String, String)>,
}

struct Door {
    served: Served,
    own: Flagger,
    /// What each canary said last: what waits says so at each of its intervals.
    last: Mutex<HashMap<String, String>>,
}

/// As Flagger posts it; the fields that nobody needs are left out.
#[derive(Deserialize)]
struct Hook {
    name: String,
    namespace: String,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

pub(super) fn router(served: Served, own: Flagger) -> Router {
    let door = Arc::new(Door { served, own, last: Mutex::default() });
    Router::new()
        .route("/gates/flagger/{hook}", post(asked))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(door)
}

type Said = (StatusCode, String);

fn no(status: StatusCode, why: impl Into<String>) -> Said {
    (status, format!("{}\n", why.into()))
}

async fn asked(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Said {
    let hook: Option<Hook> = serde_json::from_slice(&body).ok();
    let in_body = hook.as_ref().and_then(|hook| hook.metadata.get("token").cloned());
    let given = authorization(&headers).or(in_body);
    if !given.is_some_and(|given| same(&door.own.token, &given)) {
        return no(StatusCode::UNAUTHORIZED, "give the token of [gates.flagger]");
    }
    let Some(hook) = hook else {
        return no(StatusCode::BAD_REQUEST, "that is not what Flagger posts");
    };
    let question = match name.as_str() {
        "confirm-rollout" => Question::Rollout,
        "confirm-traffic-increase" => Question::MoreTraffic,
        "confirm-promotion" => Question::Promotion,
        "rollback" => Question::Rollback,
        "event" => return door.told(hook, &body).await,
        _ => return no(StatusCode::NOT_FOUND, "there is no hook of that name here"),
    };
    let Some(subject) = door.subject(&hook) else { return unmapped(&hook) };
    let answer =
        gate::answer_on(&door.served.engine.state(), &subject, question, door.served.engine.now());
    match &answer {
        Answer::Go(text) => (StatusCode::OK, format!("{text}\n")),
        // No 5xx and no 429: those it would try again at once.
        Answer::NotYet(text) | Answer::Never(text) => no(StatusCode::CONFLICT, text),
    }
}

fn unmapped(hook: &Hook) -> Said {
    let canary = format!("{}/{}", hook.namespace, hook.name);
    no(StatusCode::CONFLICT, format!("{canary} is not in [gates.flagger.canaries]"))
}

impl Door {
    /// What it is about: its metadata says so, or the configuration.
    fn subject(&self, hook: &Hook) -> Option<Subject> {
        let known = self.own.canaries.get(&format!("{}/{}", hook.namespace, hook.name));
        let said = |key: &str| hook.metadata.get(key).filter(|value| !value.is_empty()).cloned();
        let service = said("service").or_else(|| known.map(|(service, _)| service.clone()))?;
        let environment = said("environment").or_else(|| known.map(|(_, own)| own.clone()));
        Some(Subject {
            service,
            environment: environment.unwrap_or_else(|| "production".into()),
            release: said("release"),
            ..Subject::default()
        })
    }

    /// Something that it did, said in the war room once.
    async fn told(&self, hook: Hook, body: &[u8]) -> Said {
        let Some(subject) = self.subject(&hook) else { return unmapped(&hook) };
        let text = in_words(&hook);
        let canary = format!("{}/{}", hook.namespace, hook.name);
        if self.is_known(&canary, &text) {
            return (StatusCode::OK, "known already\n".into());
        }
        let engine = &self.served.engine;
        let found = {
            let state = engine.state();
            gate::find(&state, &subject, Question::Rollback).map(|release| release.id.clone())
        };
        let release = match found {
            Ok(release) => release,
            Err(why) => return no(StatusCode::CONFLICT, why),
        };
        // The same delivery again is the same request: its body says when it was sent.
        let request = Request {
            id: format!("flagger/{}", digest(body)),
            by: Actor::Machine(MACHINE.into()),
            command: Command::Update { release, text: text.clone() },
        };
        let refused = match engine.ask(request).await {
            Ok(answer) => answer.events.into_iter().find_map(|(_, event)| refusal(&event)),
            Err(lost) => {
                warn!(%lost, "what Flagger told is not on record: {lost}");
                return no(StatusCode::SERVICE_UNAVAILABLE, lost.to_string());
            }
        };
        match refused {
            Some(why) => no(StatusCode::CONFLICT, why),
            None => {
                self.keep(canary, text);
                (StatusCode::OK, "told\n".into())
            }
        }
    }

    fn is_known(&self, canary: &str, text: &str) -> bool {
        let last = self.last.lock().expect("never held in a panic");
        last.get(canary).is_some_and(|last| last == text)
    }

    fn keep(&self, canary: String, text: String) {
        let mut last = self.last.lock().expect("never held in a panic");
        if last.len() >= MOST_CANARIES {
            last.clear();
        }
        last.insert(canary, text);
    }
}

fn refusal(event: &Event) -> Option<String> {
    let (Event::Refused { why, .. } | Event::Release { did: Happened::Refused { why, .. }, .. }) =
        event
    else {
        return None;
    };
    Some(why.to_string())
}

/// `Advance web-shop.shop canary weight 20`, as Flagger says it, in one line.
fn in_words(hook: &Hook) -> String {
    let message = hook.metadata.get("eventMessage").map(String::as_str).unwrap_or_default();
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = match message.is_empty() {
        true => format!("{} is {}", hook.name, hook.phase),
        false => message,
    };
    message.chars().take(TEXT_LIMIT).collect()
}
