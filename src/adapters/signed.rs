//! Requests that the receiver can trust, and what their answers mean for the next try.
//!
//! Signed as Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), and once
//! more as `X-Hub-Signature-256`, keyed with the first secret just as it is written, for receivers
//! that know only that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, Url, redirect};
use sha2::Sha256;

use crate::ports::Failure;

/// Beyond this many bytes an answer is not read.
pub(super) const MOST: usize = 1024 * 1024;
const TOLERANCE: u64 = 5 * 60;

/// Signs what we send and checks what comes back. With several secrets, as while one replaces
/// another, each signs and each is accepted.
pub(super) struct Signer {
    hooks: Vec<standardwebhooks::Webhook>,
    first: String,
}

impl Signer {
    /// `what` is the section of the configuration, for the error.
    pub(super) fn new(what: &str, secrets: &[String]) -> Result<Self, Failure> {
        let bad = || {
            Failure::permanent(format!(
                "{what} secret must be `whsec_` and the base64 of 24 to 64 random bytes: \
                 make one with `echo whsec_$(openssl rand -base64 32)`"
            ))
        };
        let hook = |secret: &String| {
            let key =
                secret.strip_prefix("whsec_").filter(|key| key.len() >= 32).ok_or_else(bad)?;
            standardwebhooks::Webhook::new(key).map_err(|_| bad())
        };
        let first = secrets.first().ok_or_else(bad)?.clone();
        Ok(Self { hooks: secrets.iter().map(hook).collect::<Result<_, _>>()?, first })
    }

    pub(super) fn headers(&self, key: &str, body: &str) -> Result<HeaderMap, Failure> {
        let id = header_safe(key);
        let now = i64::try_from(now()).unwrap_or(i64::MAX);
        let sign = |hook: &standardwebhooks::Webhook| hook.sign(&id, now, body.as_bytes());
        let signatures: Vec<String> =
            self.hooks.iter().map(sign).collect::<Result<_, _>>().map_err(|why| {
                Failure::permanent(format!("the request cannot be signed: {why}"))
            })?;
        let mut headers = HeaderMap::new();
        let fields = [
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signatures.join(" ")),
            ("x-hub-signature-256", self.hub_signature(body)),
            ("idempotency-key", id),
        ];
        for (name, value) in fields {
            let value = HeaderValue::from_str(&value).expect("visible ASCII only, see header_safe");
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
    }

    fn hub_signature(&self, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.first.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(body.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }

    /// Whether one of our secrets signed this, within five minutes from now.
    pub(super) fn verifies(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        is_recent(headers) && self.hooks.iter().any(|hook| hook.verify(body, headers).is_ok())
    }
}

/// Checked before the library does: it computes with whatever number a stranger sent.
fn is_recent(headers: &HeaderMap) -> bool {
    let sent = headers.get("webhook-timestamp").and_then(|value| value.to_str().ok());
    sent.and_then(|text| text.parse::<u64>().ok())
        .is_some_and(|sent| sent.abs_diff(now()) <= TOLERANCE)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A header holds visible ASCII; a key may hold the name of a service in any script.
fn header_safe(key: &str) -> String {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) { key.to_owned() } else { percent(key) }
}

/// As one segment of a path or one value of a query.
pub(super) fn percent(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// An address that we may call. `hosts` are those that the operator allows; none means its own.
pub(super) fn address(what: &str, url: &str, hosts: &[String]) -> Result<Url, Failure> {
    let wrong = |why: String| Failure::permanent(format!("{what} url {why}"));
    let url = Url::parse(url).map_err(|why| wrong(format!("is no address: {why}")))?;
    let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
        return Err(wrong("must begin with https:// or http:// and a host".to_owned()));
    };
    if !hosts.is_empty() && !hosts.iter().any(|allowed| allowed == host) {
        let hosts = hosts.join(", ");
        return Err(wrong(format!("goes to `{host}`, and allowed are {hosts}")));
    }
    Ok(url)
}

/// No redirects: a signed request goes where the operator said, or nowhere.
pub(super) fn client() -> Client {
    builder().build().expect("the TLS back end is compiled in and needs no files")
}

/// The same, for what is trusted besides the public authorities.
pub(super) fn builder() -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("tminus/", env!("CARGO_PKG_VERSION")))
}

/// An answer that says yes, in one way or another.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// Sends with a limit for all of it. What is not a 2xx is a failure, by what may be done next: a
/// receiver that was not reached, is busy or is down did nothing; one that broke or fell silent
/// may have.
pub(super) async fn send(
    what: &str,
    request: RequestBuilder,
    limit: Duration,
) -> Result<Answer, Failure> {
    // Addresses may hold tokens, so no error shows them.
    let response = request.timeout(limit).send().await.map_err(|why| not_sent(what, why))?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(what, &response));
    }
    let text = body(response).await.map_err(|why| {
        Failure::unknown(format!("{what} answered {status}, then broke off: {}", reason(why)))
    })?;
    Ok(Answer { status, text })
}

fn not_sent(what: &str, why: reqwest::Error) -> Failure {
    if why.is_connect() {
        Failure::transient(format!("{what} cannot be reached: {}", reason(why)))
    } else if why.is_builder() {
        Failure::permanent(format!("{what} cannot be asked: {}", reason(why)))
    } else if why.is_timeout() {
        Failure::unknown(format!("{what} did not answer in time"))
    } else {
        Failure::unknown(format!("{what} broke off: {}", reason(why)))
    }
}

/// The innermost cause: the outer ones only say that there is one.
pub(super) fn reason(why: reqwest::Error) -> String {
    let why = why.without_url();
    let mut cause: &dyn std::error::Error = &why;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn refused(what: &str, response: &Response) -> Failure {
    let status = response.status();
    let why = format!("{what} answers {status}");
    match status.as_u16() {
        429 | 502..=504 => Failure::Transient { why, retry_after: retry_after(response) },
        500..=599 => Failure::unknown(format!("{why}: it may have begun")),
        300..=399 => Failure::permanent(format!("{why}, and redirects are not followed: set url")),
        _ => Failure::permanent(why),
    }
}

/// In seconds, or as a date.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = u64::try_from(chrono::DateTime::parse_from_rfc2822(text).ok()?.timestamp()).ok()?;
    Some(Duration::from_secs(at.saturating_sub(now())))
}

/// As much of it as is read.
pub(super) async fn body(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MOST - bytes.len())]);
        if bytes.len() == MOST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_key_in_any_script_becomes_a_header() {
        let signer = Signer::new("[x]", &[SECRET.to_owned()]).expect("a good secret");
        let headers = signer.headers("магазин/1#2", "{}").expect("signed");
        assert!(headers["webhook-id"].to_str().is_ok_and(|id| id.ends_with("%2F1%232")));
        assert!(signer.verifies(&headers, b"{}"));
        assert!(!signer.verifies(&headers, b"{ }"));
    }

    #[test]
    fn an_absurd_time_is_refused_and_harms_nobody() {
        let signer = Signer::new("[x]", &[SECRET.to_owned()]).expect("a good secret");
        let mut headers = signer.headers("k", "{}").expect("signed");
        for time in ["-9223372036854775808", "9223372036854775807", "0", "", "soon"] {
            headers.insert("webhook-timestamp", HeaderValue::from_static(time));
            assert!(!signer.verifies(&headers, b"{}"), "{time}");
        }
    }

    #[test]
    fn a_weak_secret_is_refused() {
        for secret in
            ["", "whsec_", "whsec_c2hvcnQ=", "password", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"]
        {
            assert!(Signer::new("[x]", &[secret.to_owned()]).is_err(), "{secret}");
        }
        assert!(Signer::new("[x]", &[]).is_err());
    }

    #[test]
    fn an_address_stays_on_allowed_hosts() {
        let hosts = ["ci.example.com".to_owned()];
        assert!(address("[x]", "https://ci.example.com/run", &hosts).is_ok());
        for url in
            ["https://evil.example/", "ftp://ci.example.com/", "ci.example.com", "file:///etc"]
        {
            assert!(address("[x]", url, &hosts).is_err(), "{url}");
        }
    }
}
