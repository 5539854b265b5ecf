//! GitHub's custom deployment protection rules: a deployment waits, and we say when it may go on.
//!
//! Nothing that is posted becomes an address: the callback has to be the one that we would have
//! built ourselves from the operator's API, the repository and the number of the run.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::{DateTime, Duration, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use tracing::warn;

use super::{Served, digest};
use crate::domain::command::{Actor, Command, Request};
use crate::domain::gate::Waiting;

/// Under this name what it asks is on record, and answered.
const MACHINE: &str = "github";
/// With all that a repository and a sender bring along.
const LARGEST: usize = 1024 * 1024;
/// After thirty days GitHub gives up on what waits.
const OLDEST: Duration = Duration::days(30);

/// What the operator says of it.
#[derive(Clone)]
pub struct GitHub {
    /// Whichever of them signed: while one is replaced there are two.
    pub secrets: Vec<String>,
    /// Without a slash at the end.
    pub api: String,
    /// By `owner/name`.
    pub repositories: BTreeMap<String, Repository>,
}

#[derive(Clone)]
pub struct Repository {
    pub service: String,
    /// GitHub's names of environments to ours. Without any they have the same names.
    pub environments: BTreeMap<String, String>,
}

struct Door {
    served: Served,
    own: GitHub,
}

#[derive(Deserialize)]
struct Posted {
    action: String,
    environment: String,
    deployment_callback_url: String,
    deployment: Deployment,
    repository: Named,
    installation: Option<Installation>,
}

#[derive(Deserialize)]
struct Deployment {
    id: u64,
    sha: String,
    #[serde(rename = "ref")]
    reference: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

pub(super) fn router(served: Served, own: GitHub) -> Router {
    Router::new()
        .route("/gates/github", post(posted))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::new(Door { served, own }))
}

type Said = (StatusCode, String);

fn said(status: StatusCode, why: impl Into<String>) -> Said {
    (status, format!("{}\n", why.into()))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

async fn posted(State(door): State<Arc<Door>>, headers: HeaderMap, body: Bytes) -> Said {
    let signature = header(&headers, "x-hub-signature-256").unwrap_or_default();
    if !door.own.secrets.iter().any(|secret| is_signed(secret, signature, &body)) {
        return said(StatusCode::UNAUTHORIZED, "that is not signed with the secret that I know");
    }
    match header(&headers, "x-github-event") {
        Some("deployment_protection_rule") => {}
        Some("ping") => return said(StatusCode::OK, "here I am"),
        Some(_) | None => return said(StatusCode::ACCEPTED, "nothing to do"),
    }
    let delivery = header(&headers, "x-github-delivery").unwrap_or_default();
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !(8..=64).contains(&delivery.len()) || !delivery.chars().all(sound) {
        return said(StatusCode::BAD_REQUEST, "X-GitHub-Delivery is missing");
    }
    let posted: Posted = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(why) => return said(StatusCode::BAD_REQUEST, format!("that is not the event: {why}")),
    };
    if posted.action != "requested" {
        return said(StatusCode::ACCEPTED, "nothing to do");
    }
    match door.waiting(posted) {
        // What is signed is the body; what it is called may be anybody's.
        Ok((waiting, target)) => door.ask(&digest(&body), waiting, target).await,
        Err(why) => said(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}

/// Compared in constant time.
fn is_signed(secret: &str, signature: &str, body: &[u8]) -> bool {
    let Some(hex) = signature.strip_prefix("sha256=").filter(|hex| hex.len() == 64) else {
        return false;
    };
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let Some(given) = (0..64).step_by(2).map(byte).collect::<Option<Vec<u8>>>() else {
        return false;
    };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

/// What of ours it is about, if the operator has said so.
type Target = Option<(String, String)>;

impl Door {
    fn waiting(&self, posted: Posted) -> Result<(Waiting, Target), String> {
        let place = posted.repository.full_name;
        let run = self.run_of(&place, &posted.deployment_callback_url)?;
        let age = self.served.engine.clock().now() - posted.deployment.created_at;
        if age > OLDEST {
            return Err("that deployment is so old that GitHub has given it up".into());
        }
        let known = self.own.repositories.get(&place);
        let target = known.and_then(|known| {
            let environment = match known.environments.is_empty() {
                true => posted.environment.clone(),
                false => known.environments.get(&posted.environment)?.clone(),
            };
            Some((known.service.clone(), environment))
        });
        let waiting = Waiting {
            gate: MACHINE.into(),
            place,
            run,
            deployment: posted.deployment.id,
            environment: posted.environment,
            installation: posted.installation.map(|installation| installation.id),
            commit: Some(posted.deployment.sha),
            reference: Some(posted.deployment.reference),
        };
        Ok((waiting, target))
    }

    /// The run's number, if the callback is where it has to be, letter for letter.
    fn run_of(&self, place: &str, callback: &str) -> Result<u64, String> {
        let (before, after) = (
            format!("{}/repos/{place}/actions/runs/", self.own.api),
            "/deployment_protection_rule",
        );
        let run = callback.strip_prefix(&before).and_then(|rest| rest.strip_suffix(after));
        let run = run.filter(|run| run.bytes().all(|byte| byte.is_ascii_digit()));
        run.and_then(|run| run.parse().ok())
            .ok_or_else(|| format!("deployment_callback_url is not {before}…{after}"))
    }

    async fn ask(&self, body: &str, waiting: Waiting, target: Target) -> Said {
        let request = Request {
            id: format!("github/{body}"),
            by: Actor::Machine(MACHINE.into()),
            command: Command::AskGate { waiting, target },
        };
        match self.served.engine.ask(request).await {
            Ok(_) => said(StatusCode::ACCEPTED, "it will hear from me"),
            Err(lost) => {
                warn!(%lost, "a deployment that waits is not on record: {lost}");
                said(StatusCode::SERVICE_UNAVAILABLE, lost.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own example of a signature.
    #[test]
    fn what_github_signs_is_known_and_nothing_else() {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secret = "It's a Secret to Everybody";
        assert!(is_signed(secret, signature, b"Hello, World!"));
        assert!(!is_signed(secret, signature, b"Hello, World?"));
        assert!(!is_signed("It's a secret", signature, b"Hello, World!"));
        let (short, odd) = ("sha256=7571", format!("sha256=é{}", "a".repeat(62)));
        for forged in ["", "sha256=", "sha1=757107ea", short, odd.as_str()] {
            assert!(!is_signed(secret, forged, b"Hello, World!"), "{forged}");
        }
    }
}
