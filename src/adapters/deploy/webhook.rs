//! Deploys by asking another service over HTTP: signed, with the run's key as its id.
//!
//! We send `{"key", "action", "with", "callback_url"}`. A 2xx with `{"outcome": "worked"}` or
//! `"failed"`, and perhaps `"output"`, ends the run at once. Any other 2xx says that it was taken
//! on, and never by itself that it worked: the outcome is then asked for at a status address or
//! comes as a callback, `POST /callbacks/<key>`, signed with the same secret and carrying `"key"`
//! beside the outcome. A status may also be `"running"` or `"never-began"`.
//!
//! What began elsewhere cannot be stopped from here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::{check, missing, unknown_action};
use crate::adapters::fill::fill_with;
use crate::adapters::output::{self, Mask};
use crate::adapters::signed::{self, Signer, address, percent};
use crate::ports::{Deployer, Failure, Line, Outcome, Ran, Run, Sighting};

/// So many callbacks are remembered; older ones are of runs long over.
const REMEMBERED: usize = 1_000;

#[derive(Debug, Clone)]
pub struct WebhookAction {
    pub url: String,
    /// `whsec_…`; several while one replaces another.
    pub secrets: Vec<String>,
    /// Hosts that may be called; none means that of `url`.
    pub hosts: Vec<String>,
    /// For each single request.
    pub timeout: Duration,
    pub ending: Ending,
}

/// How we learn the outcome of what was taken on.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The answer to the request says it, or nobody does.
    Answer,
    Callback,
    /// `url` is on the same host and may hold `{key}` and the step's placeholders.
    Poll {
        url: String,
        interval: Duration,
        limit: Duration,
    },
}

pub struct Webhook {
    client: Client,
    desk: Arc<Desk>,
    mask: Mask,
    /// Where callbacks reach us, without a slash at the end.
    public_url: Option<String>,
}

impl Webhook {
    /// `public_url` is where others reach our `router`; `secrets` are hidden in all output.
    pub fn new(
        actions: BTreeMap<String, WebhookAction>,
        public_url: Option<String>,
        secrets: Vec<String>,
    ) -> Result<Self, Failure> {
        let own = actions.values().flat_map(|action| action.secrets.clone());
        let mask = Mask::new(secrets.into_iter().chain(own));
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        let ready = |(name, action): (String, WebhookAction)| {
            let ready = Ready::new(&name, action, public_url.is_some())?;
            Ok((name, ready))
        };
        let actions = actions.into_iter().map(ready).collect::<Result<_, _>>()?;
        let (changed, _) = watch::channel(());
        let desk = Arc::new(Desk { actions, inbox: Mutex::default(), changed });
        Ok(Self { client: signed::client(), desk, mask, public_url })
    }

    pub fn knows(&self, action: &str) -> bool {
        self.desk.actions.contains_key(action)
    }

    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.desk.actions.keys().map(String::as_str)
    }

    /// Takes callbacks at `/callbacks/{key}`, where any action ends by one.
    pub fn router(&self) -> axum::Router {
        if !self.desk.actions.values().any(|action| matches!(action.ending, Ending::Callback)) {
            return axum::Router::new();
        }
        axum::Router::new()
            .route("/callbacks/{key}", post(called_back))
            .layer(DefaultBodyLimit::max(signed::MOST))
            .with_state(self.desk.clone())
    }

    fn action(&self, run: &Run) -> Result<&Ready, Failure> {
        self.desk.actions.get(&run.action).ok_or_else(|| {
            let names: Vec<_> = self.actions().collect();
            unknown_action(&run.action, &names)
        })
    }

    fn request(&self, run: &Run, action: &Ready) -> String {
        let mut body = json!({ "key": run.key, "action": run.action, "with": run.with });
        if let (Ending::Callback, Some(base)) = (&action.ending, &self.public_url) {
            body["callback_url"] = json!(format!("{base}/callbacks/{}", percent(&run.key)));
        }
        body.to_string()
    }

    fn ran(&self, outcome: Outcome, report: &Report, took: Duration) -> Ran {
        let (tail, digest) = output::sum_up_text(&report.output, &self.mask);
        let outcome = match (outcome, output::last_line(&tail)) {
            (Outcome::Failed(_), Some(line)) => Outcome::Failed(line),
            (outcome, _) => outcome,
        };
        Ran { outcome, tail, digest, took }
    }
}

#[async_trait]
impl Deployer for Webhook {
    async fn run(&self, run: &Run, line: &Line<'_>) -> Result<Ran, Failure> {
        let action = self.action(run)?;
        let begun = Instant::now();
        let (report, outcome) = self.report(run, action, begun + run.limit, line).await?;
        for text in report.output.lines() {
            line(&output::one_line(text.as_bytes(), &self.mask));
        }
        Ok(self.ran(outcome, &report, begun.elapsed()))
    }

    async fn stop(&self, run: &Run) -> Result<(), Failure> {
        let action = self.action(run)?;
        Err(Failure::permanent(format!(
            "what `{}` started cannot be stopped from here: stop it at {}",
            run.action,
            action.url.host_str().unwrap_or("its backend")
        )))
    }

    async fn look(&self, run: &Run) -> Result<Sighting, Failure> {
        let action = self.action(run)?;
        if let Some((report, outcome)) = self.desk.answer(run) {
            return Ok(Sighting::Ended(self.ran(outcome, &report, Duration::ZERO)));
        }
        let Ending::Poll { url, .. } = &action.ending else {
            return Ok(Sighting::Unknown("nobody has told how it ended".to_owned()));
        };
        let report = match self.status(run, action, url, action.timeout).await {
            Ok(report) => report,
            Err(again @ (Failure::Transient { .. } | Failure::NoEntry { .. })) => {
                return Err(again);
            }
            Err(Failure::Permanent { why } | Failure::Unknown { why }) => {
                return Ok(Sighting::Unknown(why));
            }
        };
        Ok(match report.outcome {
            Said::Running => Sighting::Running,
            Said::NeverBegan => Sighting::NeverBegan,
            Said::Worked => Sighting::Ended(self.ran(Outcome::Worked, &report, Duration::ZERO)),
            Said::Failed => Sighting::Ended(self.ran(failed(), &report, Duration::ZERO)),
        })
    }
}

// ---------------------------------------------------------------------------------------------
// Asking

type Ended = (Report, Outcome);

impl Webhook {
    async fn report(
        &self,
        run: &Run,
        action: &Ready,
        until: Instant,
        line: &Line<'_>,
    ) -> Result<Ended, Failure> {
        // A backend may be quicker with its callback than with its answer, or than our restart.
        if let Some(ended) = self.desk.answer(run) {
            return Ok(ended);
        }
        let body = self.request(run, action);
        let headers = action.signer.headers(&run.key, &body)?;
        let request = self.client.post(action.url.clone()).headers(headers).body(body);
        let limit = action.timeout.min(run.limit);
        let answer = signed::send(&action.what, request, limit).await?;
        if let Some(ended) = Report::read(&answer.text).and_then(Report::ended) {
            return Ok(ended);
        }
        line(&format!("{} took it on ({})", action.what, answer.status));
        match &action.ending {
            Ending::Answer => Err(Failure::unknown(format!(
                "{} took it on and did not say how it ended: neither {{\"outcome\": \"worked\"}} nor \
                 \"failed\"",
                action.what
            ))),
            Ending::Callback => self.desk.wait(run, until).await,
            Ending::Poll { url, interval, limit } => {
                let until = until.min(Instant::now() + *limit);
                self.poll(run, action, (url, *interval), until, line).await
            }
        }
    }

    /// Asks until there is an outcome. Whatever goes wrong in between may pass, and is told once.
    async fn poll(
        &self,
        run: &Run,
        action: &Ready,
        (url, every): (&str, Duration),
        until: Instant,
        line: &Line<'_>,
    ) -> Result<Ended, Failure> {
        let mut trouble = String::new();
        let mut next = Instant::now();
        loop {
            let limit = action.timeout.min(until.saturating_duration_since(Instant::now()));
            let now = match self.status(run, action, url, limit).await.map(Report::ended) {
                Ok(Some(ended)) => return Ok(ended),
                Ok(None) => String::new(),
                Err(why) => why.to_string(),
            };
            if !now.is_empty() && now != trouble {
                line(&now);
            }
            trouble = now;
            next = (next + every).max(Instant::now());
            if next >= until {
                let why = if trouble.is_empty() { "it still runs" } else { &trouble };
                return Err(Failure::unknown(format!(
                    "{} gave no outcome in time: {why}",
                    action.what
                )));
            }
            sleep_until(next).await;
        }
    }

    async fn status(
        &self,
        run: &Run,
        action: &Ready,
        template: &str,
        limit: Duration,
    ) -> Result<Report, Failure> {
        let what = format!("the status address of {}", action.what);
        let url = fill_with(template, |name| {
            if name == "key" {
                return Ok(percent(&run.key));
            }
            let value = run.with.get(name).ok_or_else(|| missing(&run.action, name, &run.with))?;
            check(&run.action, name, value)?;
            Ok(percent(value))
        })?;
        let url = address(&what, &url, &[])?;
        same_origin(&what, &url, &action.url)?;
        let request = self.client.get(url).headers(action.signer.headers(&run.key, "")?);
        let answer = signed::send(&what, request, limit).await?;
        match Report::read(&answer.text) {
            Some(report) => Ok(report),
            None if answer.status == StatusCode::ACCEPTED => Ok(Report::running()),
            None => Err(Failure::unknown(format!("{what} answers without an outcome"))),
        }
    }
}

/// An action whose configuration holds.
struct Ready {
    what: String,
    url: Url,
    signer: Signer,
    timeout: Duration,
    ending: Ending,
}

impl Ready {
    fn new(name: &str, action: WebhookAction, public: bool) -> Result<Self, Failure> {
        let what = format!("[actions.{name}]");
        let url = address(&what, &action.url, &action.hosts)?;
        match &action.ending {
            Ending::Callback if !public => {
                return Err(Failure::permanent(format!(
                    "{what} waits for a callback: set public_url to where its backend reaches us"
                )));
            }
            Ending::Callback | Ending::Answer => {}
            Ending::Poll { url: template, .. } => {
                let sample = fill_with(template, |_| Ok("x".to_owned()))?;
                same_origin(&what, &address(&what, &sample, &[])?, &url)?;
            }
        }
        let signer = Signer::new(&what, &action.secrets)?;
        let (timeout, ending) = (action.timeout, action.ending);
        Ok(Self { what: format!("the webhook of `{name}`"), url, signer, timeout, ending })
    }
}

fn same_origin(what: &str, status: &Url, url: &Url) -> Result<(), Failure> {
    if status.origin() == url.origin() {
        return Ok(());
    }
    Err(Failure::permanent(format!(
        "{what}: the status url must be on the same host as the url, {}",
        url.origin().ascii_serialization()
    )))
}

/// What a backend says about a run.
#[derive(Debug, Clone, Deserialize)]
struct Report {
    outcome: Said,
    #[serde(default)]
    output: String,
    /// Of a callback: the signature covers the body, not the path.
    #[serde(default)]
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Worked,
    Failed,
    Running,
    NeverBegan,
}

impl Report {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn running() -> Self {
        Self { outcome: Said::Running, output: String::new(), key: None }
    }

    fn ended(self) -> Option<Ended> {
        match self.outcome {
            Said::Worked => Some((self, Outcome::Worked)),
            Said::Failed => Some((self, failed())),
            Said::Running | Said::NeverBegan => None,
        }
    }
}

fn failed() -> Outcome {
    Outcome::Failed("the backend says that it failed".to_owned())
}

// ---------------------------------------------------------------------------------------------
// Callbacks

/// Where callbacks are handed in and waited for.
struct Desk {
    actions: BTreeMap<String, Ready>,
    inbox: Mutex<Inbox>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Inbox {
    /// By the key of the run, with the actions whose secret signed it.
    arrived: BTreeMap<String, (BTreeSet<String>, Ended)>,
    keys: VecDeque<String>,
    /// Ids of the callbacks that were taken. A signature is good for five minutes, so that one
    /// which is forgotten here is too old by then, but for a thousand callbacks in that time.
    ids: VecDeque<String>,
}

impl Desk {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, run: &Run) -> Option<Ended> {
        let inbox = self.inbox();
        let (actions, ended) = inbox.arrived.get(&run.key)?;
        actions.contains(&run.action).then(|| ended.clone())
    }

    async fn wait(&self, run: &Run, until: Instant) -> Result<Ended, Failure> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(ended) = self.answer(run) {
                return Ok(ended);
            }
            tokio::select! {
                // The sender lives as long as we do.
                _ = changed.changed() => {}
                () = sleep_until(until) => {
                    return Err(Failure::unknown(format!(
                        "`{}` was taken on, and no callback came in time",
                        run.action
                    )));
                }
            }
        }
    }

    /// The actions that wait for callbacks and share a secret with the sender.
    fn signers(&self, headers: &HeaderMap, body: &[u8]) -> BTreeSet<String> {
        let signed = |(name, action): (&String, &Ready)| match action.ending {
            Ending::Callback => action.signer.verifies(headers, body).then(|| name.clone()),
            Ending::Poll { .. } | Ending::Answer => None,
        };
        self.actions.iter().filter_map(signed).collect()
    }
}

async fn called_back(
    State(desk): State<Arc<Desk>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let signers = desk.signers(&headers, &body);
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let (false, Some(id)) = (signers.is_empty(), id) else {
        warn!("refused a callback whose signature does not hold");
        return (StatusCode::UNAUTHORIZED, "the signature does not hold, or is too old\n");
    };
    let report: Report = match serde_json::from_slice(&body) {
        Ok(report) => report,
        Err(_) => return (StatusCode::BAD_REQUEST, "say {\"key\": …, \"outcome\": \"worked\"}\n"),
    };
    if report.key.as_deref() != Some(&key) {
        return (StatusCode::BAD_REQUEST, "the key in the body must be the one in the path\n");
    }
    let Some(ended) = report.ended() else {
        return (StatusCode::BAD_REQUEST, "the outcome must be worked or failed\n");
    };
    if !desk.inbox().take(key, id, signers, ended) {
        return (StatusCode::CONFLICT, "this was said before; nothing was changed\n");
    }
    desk.changed.send_replace(());
    (StatusCode::OK, "thank you\n")
}

impl Inbox {
    /// The first word counts: neither a repeated request nor a second opinion changes it.
    fn take(&mut self, key: String, id: &str, by: BTreeSet<String>, ended: Ended) -> bool {
        if self.arrived.contains_key(&key) || self.ids.iter().any(|known| known == id) {
            return false;
        }
        self.arrived.insert(key.clone(), (by, ended));
        self.keys.push_back(key);
        self.ids.push_back(id.to_owned());
        if self.keys.len() > REMEMBERED {
            self.ids.pop_front();
            if let Some(oldest) = self.keys.pop_front() {
                self.arrived.remove(&oldest);
            }
        }
        true
    }
}
