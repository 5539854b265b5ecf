//! GitHub's custom deployment protection rules: our word, as the GitHub App whose rule it is.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapters::signed::{body, client, reason, retry_after};
use crate::ports::{Failure, GateWord, Gatekeeper, Reception};

/// What GitHub takes of a comment.
const LONGEST: usize = 1_024;
/// How it says that a deployment is decided already, or was called off.
const DECIDED: &str = "No pending custom deployment requests";
/// A token is not used in its last minute.
const SPARE: u64 = 60;

/// How we prove who we are.
#[derive(Clone)]
pub enum Login {
    /// A token of somebody who keeps it fresh.
    Token(String),
    /// The App itself, by its id and the key that GitHub made for it.
    App { id: u64, key: EncodingKey },
}

impl Login {
    /// From the PEM file that GitHub lets one download.
    pub fn app(id: u64, pem: &str) -> Result<Self, Failure> {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes())
            .map_err(|_| Failure::permanent("the private key is not an RSA key in PEM"))?;
        Ok(Self::App { id, key })
    }
}

pub struct GitHub {
    /// Without a slash at the end.
    api: String,
    login: Login,
    timeout: Duration,
    client: Client,
    /// By installation, with the second in which each ends.
    tokens: Mutex<HashMap<u64, (String, u64)>>,
}

#[derive(Serialize)]
struct Claims {
    iat: u64,
    exp: u64,
    iss: String,
}

#[derive(Deserialize)]
struct Granted {
    token: String,
    expires_at: String,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl GitHub {
    pub fn new(api: &str, login: Login, timeout: Duration) -> Self {
        let api = api.trim_end_matches('/').to_owned();
        Self { api, login, timeout, client: client(), tokens: Mutex::default() }
    }

    /// What is missing for us to be heard, each in a sentence.
    pub async fn doctor(&self) -> Result<String, String> {
        let Login::App { .. } = &self.login else {
            return Ok("a token of its own, which cannot be tried beforehand".into());
        };
        let found = self.as_app(Method::GET, "app").await.map_err(|why| why.to_string())?;
        let found: Value = serde_json::from_str(&found).unwrap_or_default();
        let may = found["permissions"]["deployments"].as_str().unwrap_or("no");
        if may != "write" {
            return Err(format!(
                "the App has {may} access to Deployments and needs read and write: see its \
                 Permissions"
            ));
        }
        let events = found["events"].as_array().into_iter().flatten();
        if !events.into_iter().any(|event| event == "deployment_protection_rule") {
            let what = "the App does not hear of deployments that wait: subscribe it to the event \
                        Deployment protection rule";
            return Err(what.into());
        }
        Ok(found["slug"].as_str().unwrap_or("an App without a name").to_owned())
    }

    /// As the App itself; with such a token only installations can be looked at and entered.
    async fn as_app(&self, method: Method, path: &str) -> Result<String, Failure> {
        let Login::App { id, key } = &self.login else {
            return Err(Failure::permanent("GitHub: there is no App to speak as"));
        };
        // A minute back, for a clock there that is behind ours.
        let claims = Claims { iat: now() - 60, exp: now() + 540, iss: id.to_string() };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, key)
            .map_err(|why| Failure::permanent(format!("the App's key does not sign: {why}")))?;
        let request = self.client.request(method, format!("{}/{path}", self.api));
        // Nothing comes of it that matters, so that it may be asked again.
        self.send(request.bearer_auth(token)).await.map_err(|failure| match failure {
            Failure::Unknown { why } => Failure::transient(why),
            Failure::Transient { .. } | Failure::Permanent { .. } | Failure::NoEntry { .. } => {
                failure
            }
        })
    }

    async fn token(&self, installation: Option<u64>) -> Result<String, Failure> {
        if let Login::Token(token) = &self.login {
            return Ok(token.clone());
        }
        let Some(installation) = installation else {
            return Err(Failure::permanent("GitHub did not say for which installation it asks"));
        };
        {
            let tokens = self.tokens.lock().expect("never held in a panic");
            if let Some((token, ends)) = tokens.get(&installation)
                && *ends > now() + SPARE
            {
                return Ok(token.clone());
            }
        }
        let path = format!("app/installations/{installation}/access_tokens");
        let granted = self.as_app(Method::POST, &path).await?;
        let granted: Granted = serde_json::from_str(&granted)
            .map_err(|_| Failure::permanent("GitHub grants a token that cannot be read"))?;
        let ends = chrono::DateTime::parse_from_rfc3339(&granted.expires_at)
            .map_or(0, |at| u64::try_from(at.timestamp()).unwrap_or(0));
        let mut tokens = self.tokens.lock().expect("never held in a panic");
        tokens.insert(installation, (granted.token.clone(), ends));
        Ok(granted.token)
    }

    fn forget(&self, installation: Option<u64>) {
        let mut tokens = self.tokens.lock().expect("never held in a panic");
        tokens.retain(|known, _| Some(*known) != installation);
    }

    async fn send(&self, request: RequestBuilder) -> Result<String, Failure> {
        let request = request
            .header("Accept", "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28")
            .timeout(self.timeout);
        let response = request.send().await.map_err(not_sent)?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        body(response).await.map_err(|why| Failure::unknown(format!("GitHub broke off: {why}")))
    }
}

#[async_trait]
impl Gatekeeper for GitHub {
    async fn tell(&self, word: &GateWord) -> Result<Reception, Failure> {
        // **Invariant:** the address is ours: nothing of it comes from what was posted to us but
        // a name that was checked and a number.
        let (owner, name) = word
            .place
            .split_once('/')
            .filter(|(o, n)| is_name(o) && is_name(n))
            .ok_or_else(|| Failure::permanent("that is not the name of a repository"))?;
        let url = format!(
            "{}/repos/{owner}/{name}/actions/runs/{}/deployment_protection_rule",
            self.api, word.run
        );
        let comment: String = word.text.chars().take(LONGEST).collect();
        let mut told = json!({ "environment_name": word.environment, "comment": comment });
        if let Some(go) = word.go {
            told["state"] = if go { "approved" } else { "rejected" }.into();
        }
        let token = self.token(word.installation).await?;
        let sent = self.send(self.client.post(url).bearer_auth(token).json(&told)).await;
        match sent {
            Err(Failure::Permanent { why }) if why.contains(DECIDED) => {
                Ok(Reception::NobodyWaits(why))
            }
            Err(failure) => {
                if let Failure::NoEntry { .. } = &failure {
                    self.forget(word.installation);
                }
                Err(failure)
            }
            Ok(_) => Ok(Reception::Taken),
        }
    }
}

/// As GitHub names owners and repositories.
fn is_name(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(sound) && name.bytes().any(|b| b != b'.')
}

fn not_sent(why: reqwest::Error) -> Failure {
    let never_arrived = why.is_connect();
    let late = why.is_timeout();
    let why = reason(why);
    match (never_arrived, late) {
        (true, _) => Failure::transient(format!("GitHub cannot be reached: {why}")),
        (false, true) => Failure::unknown("GitHub did not answer in time"),
        (false, false) => Failure::unknown(format!("GitHub broke off: {why}")),
    }
}

async fn refused(response: Response) -> Failure {
    let status = response.status();
    let after = retry_after(&response).or_else(|| rests(&response));
    let said = body(response).await.unwrap_or_default();
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    let said: String = said["message"].as_str().unwrap_or_default().chars().take(200).collect();
    let why = format!("GitHub answers {status}: {said}");
    match status {
        StatusCode::UNAUTHORIZED => Failure::no_entry(why),
        // Its limits come as 403 as well, and then say for how long.
        StatusCode::FORBIDDEN if after.is_some() => Failure::Transient { why, retry_after: after },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::Transient { why, retry_after: after },
        status if status.is_server_error() => Failure::unknown(why),
        _ => Failure::permanent(why),
    }
}

/// Where nothing is left of the hour's requests: until the next hour of theirs.
fn rests(response: &Response) -> Option<Duration> {
    let header = |name| response.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
    let resets = header("x-ratelimit-reset")?;
    (header("x-ratelimit-remaining")? == 0)
        .then(|| Duration::from_secs(resets.saturating_sub(now()).clamp(1, 3_600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_name_and_never_a_way() {
        for name in ["shop", "web-shop", ".github", "a_b.c"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a?b", "a#b", "a%2e", "a b", "ü"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Login::app(1, "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n").is_err());
        assert!(Login::app(1, "secret").is_err());
    }
}
