//! Served gates: others ask whether they may go on, and hear the verdict of our own rollout.

mod flagger;
mod github;

use axum::Router;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Served;

pub use flagger::Flagger;
pub use github::{GitHub, Repository};

/// Who may ask, as the operator has it.
#[derive(Clone, Default)]
pub struct Gates {
    pub flagger: Option<Flagger>,
    pub github: Option<GitHub>,
}

/// The routes of those that are set up.
pub fn router(served: Served, gates: Gates) -> Router {
    let mut router = Router::new();
    if let Some(own) = gates.flagger {
        router = router.merge(flagger::router(served.clone(), own));
    }
    if let Some(own) = gates.github {
        router = router.merge(github::router(served, own));
    }
    router
}

/// By which a request that comes again is known, whatever else comes with it.
fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn same(known: &str, given: &str) -> bool {
    known.as_bytes().ct_eq(given.as_bytes()).into()
}

/// The secret of an `Authorization` header: a bearer token, or the password of an address such as
/// `https://flagger:TOKEN@…`.
fn authorization(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    if let Some(token) = text.strip_prefix("Bearer ") {
        return Some(token.trim().to_owned());
    }
    let basic = BASE64.decode(text.strip_prefix("Basic ")?.trim()).ok()?;
    let basic = String::from_utf8(basic).ok()?;
    basic.split_once(':').map(|(_, password)| password.to_owned())
}
