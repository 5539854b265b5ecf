//! Asking an address for measurements. Asking changes nothing there, so after whatever may pass it
//! may be asked again: no outcome is ever unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::header::AUTHORIZATION;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};

use super::quoted;
use crate::adapters::output::Mask;
use crate::adapters::signed;
use crate::ports::Failure;

/// Beyond this many bytes an answer is not read.
const MOST: usize = 4 * 1024 * 1024;

/// Where to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Address {
    pub url: String,
    pub login: Login,
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are hidden wherever they would be shown.
    pub secret_headers: BTreeMap<String, String>,
    /// Certificates of authorities that are trusted besides the public ones, as PEM.
    pub ca: Option<Vec<u8>>,
    /// For all of a question, from the connection to the last byte of the answer.
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub enum Login {
    None,
    Token(String),
    Password { user: String, password: String },
}

/// An address that can be asked.
pub(super) struct Door {
    what: String,
    pub(super) url: Url,
    client: Client,
    login: Login,
    pub(super) timeout: Duration,
    mask: Mask,
}

/// Whatever it said, with a yes or a no.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    retry_after: Option<Duration>,
}

impl Door {
    pub(super) fn new(name: &str, address: &Address) -> Result<Self, Failure> {
        let section = format!("[metrics.{name}]");
        let url = signed::address(&section, &address.url, &[])?;
        let mut builder = signed::builder().default_headers(headers(&section, address)?);
        let pem = address.ca.as_deref().map(Certificate::from_pem_bundle).transpose();
        let pem = pem.map_err(|_| Failure::permanent(format!("{section} ca is no certificate")))?;
        for authority in pem.unwrap_or_default() {
            builder = builder.add_root_certificate(authority);
        }
        let client = builder.build().map_err(|why| {
            Failure::permanent(format!("{section} cannot be asked: {}", signed::reason(why)))
        })?;
        let (login, timeout) = (address.login.clone(), address.timeout);
        let hidden = address.secret_headers.values().cloned();
        let mask = Mask::new(hidden.chain(shown_by(&client, &url, &login)));
        Ok(Self { what: format!("`{name}`"), url, client, login, timeout, mask })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        with_login(self.client.get(url), &self.login)
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        with_login(self.client.post(url), &self.login)
    }

    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let sent = request.timeout(self.timeout).send().await;
        let mut response = sent.map_err(|why| self.not_heard(why))?;
        let (status, retry_after) = (response.status(), signed::retry_after(&response));
        let body = self.body(&mut response).await?;
        Ok(Answer { status, body, retry_after })
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|why| self.not_heard(why))? {
            if bytes.len() + chunk.len() > MOST {
                return Err(self.odd(&format!(
                    "answers with more than {} MiB: ask for fewer series",
                    MOST / (1024 * 1024)
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    // Addresses may hold tokens, so no error shows them.
    fn not_heard(&self, why: reqwest::Error) -> Failure {
        let what = &self.what;
        if why.is_timeout() {
            Failure::transient(format!("{what} did not answer within {:?}", self.timeout))
        } else if why.is_builder() {
            Failure::permanent(format!("{what} cannot be asked: {}", signed::reason(why)))
        } else if why.is_connect() {
            Failure::transient(format!("{what} cannot be reached: {}", signed::reason(why)))
        } else {
            Failure::transient(format!("{what} broke off: {}", signed::reason(why)))
        }
    }

    /// What an answer without a yes means; `said` is the reason that it gives.
    pub(super) fn refused(&self, answer: &Answer, said: Option<&str>) -> Failure {
        let mut why = format!("{} answers {}", self.what, answer.status);
        if let Some(said) = said {
            why = format!("{why}: {}", self.quoted(said));
        }
        match answer.status.as_u16() {
            408 | 425 | 429 | 500..=599 => {
                Failure::Transient { why, retry_after: answer.retry_after }
            }
            300..=399 => {
                Failure::permanent(format!("{why}, and redirects are not followed: set url"))
            }
            401 | 403 => Failure::permanent(format!("{why}: it wants another login")),
            _ => Failure::permanent(why),
        }
    }

    /// An answer that we do not understand.
    pub(super) fn odd(&self, why: &str) -> Failure {
        Failure::permanent(format!("{} {why}", self.what))
    }

    /// What it said, for a sentence.
    pub(super) fn quoted(&self, text: &str) -> String {
        quoted(&self.mask.hide(text))
    }
}

fn with_login(request: RequestBuilder, login: &Login) -> RequestBuilder {
    match login {
        Login::None => request,
        Login::Token(token) => request.bearer_auth(token),
        Login::Password { user, password } => request.basic_auth(user, Some(password)),
    }
}

/// What must not be seen of a login: the secret, and the form in which it goes out.
fn shown_by(client: &Client, url: &Url, login: &Login) -> Vec<String> {
    let mut hidden = match login {
        Login::None => return Vec::new(),
        Login::Token(secret) | Login::Password { password: secret, .. } => vec![secret.clone()],
    };
    let sent = with_login(client.get(url.clone()), login).build();
    let header = sent.ok().and_then(|sent| sent.headers().get(AUTHORIZATION).cloned());
    let value = header.as_ref().and_then(|header| header.to_str().ok());
    hidden.extend(value.and_then(|value| Some(value.split_once(' ')?.1.to_owned())));
    hidden
}

fn headers(section: &str, address: &Address) -> Result<HeaderMap, Failure> {
    let mut all = HeaderMap::new();
    let open = address.headers.iter().map(|header| (header, false));
    let hidden = address.secret_headers.iter().map(|header| (header, true));
    for ((name, value), is_secret) in open.chain(hidden) {
        let bad = || Failure::permanent(format!("{section} `{name}` cannot be a header"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(is_secret);
        all.insert(name, value);
    }
    Ok(all)
}
