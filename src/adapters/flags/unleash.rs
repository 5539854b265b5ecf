//! Unleash, by its admin API.
//!
//! What is off here is off within milliseconds for whoever asks the server; clients ask when their
//! poll interval says so.
//!
//! The share is that of the one strategy which is for everybody. Strategies are alternatives, so a
//! second one for everybody would make the first one's share a lie: such a flag is not touched.
//! Those with constraints or segments are for a group picked by name, such as our own people: they
//! stay as they are and do not count.
//!
//! Everything here may be done twice, so a call of which nobody knows whether it arrived is one
//! that may be made again.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::percentage;
use crate::adapters::signed;
use crate::ports::{Failure, FlagState, Flags};

/// Where the flags are.
#[derive(Clone)]
pub struct Target {
    pub url: String,
    pub project: String,
    pub environment: String,
    /// Of an admin, or of a service account that may change flags; not that of a client.
    pub token: String,
    /// For each single request.
    pub timeout: Duration,
}

pub struct Unleash {
    name: String,
    client: Client,
    base: Url,
    target: Target,
}

impl Unleash {
    /// `name` is that of its section in the configuration.
    pub fn new(name: &str, target: Target) -> Result<Self, Failure> {
        let base = signed::address(&format!("[flags.{name}]"), &target.url, &[])?;
        Ok(Self { name: name.to_owned(), client: signed::client(), base, target })
    }

    /// Whether the server lets us in and has the project and the environment; changes nothing.
    pub async fn look(&self) -> Result<(), Failure> {
        let project = self.path(&["projects", &self.target.project, "overview"]);
        let (project, missing) = (self.request(Method::GET, &project), self.no_project());
        let found: Project = self.read(project, &missing).await?;
        let wanted = &self.target.environment;
        if found.environments.iter().any(|known| known.environment == *wanted) {
            return Ok(());
        }
        let names = found.environments.iter().map(|known| known.environment.as_str());
        Err(self.no_environment(names))
    }
}

#[async_trait]
impl Flags for Unleash {
    async fn set(&self, flag: &str, percent: f64) -> Result<(), Failure> {
        let share = whole(percent)?;
        if share == 0 {
            return self.kill(flag).await;
        }
        let found = self.look_up(flag).await?;
        // Before it goes on: it never stands open further than was asked.
        match found.for_everybody().as_slice() {
            [] => self.add(flag, share).await?,
            [one] if one.share() == Some(f64::from(share)) => {}
            [one] if one.is_rollout() => self.change(flag, one, share).await?,
            others => return Err(self.not_ours(flag, others)),
        }
        if found.enabled { Ok(()) } else { self.switch(flag, "on").await }
    }

    async fn kill(&self, flag: &str) -> Result<(), Failure> {
        let off = self.switch(flag, "off").await;
        match off {
            // It did not work: there is time to find out what is missing.
            Err(Failure::Permanent { why }) => {
                let found = self.look_up(flag).await.map(|_| ());
                Err(found.err().unwrap_or(Failure::Permanent { why }))
            }
            done => done,
        }
    }

    async fn state(&self, flag: &str) -> Result<FlagState, Failure> {
        let found = self.look_up(flag).await?;
        let percent = found.percent();
        Ok(FlagState { on: found.enabled && percent != Some(0.0), percent })
    }
}

/// Its clients sort those who ask into a hundred parts, so half a percent would be nobody.
fn whole(percent: f64) -> Result<u8, Failure> {
    let percent = percentage(percent)?;
    let share = (0..=100_u8).find(|share| f64::from(*share) == percent);
    share.ok_or_else(|| {
        Failure::permanent(format!(
            "Unleash opens flags for whole percents, so {percent} % would not be what its clients \
             do: choose a whole number"
        ))
    })
}

// ---------------------------------------------------------------------------------------------
// What it knows

#[derive(Deserialize)]
struct Project {
    environments: Vec<ProjectEnvironment>,
}

#[derive(Deserialize)]
struct ProjectEnvironment {
    environment: String,
}

#[derive(Deserialize)]
struct Feature {
    environments: Vec<Environment>,
}

#[derive(Deserialize)]
struct Environment {
    name: String,
    enabled: bool,
    strategies: Vec<Strategy>,
}

#[derive(Deserialize)]
struct Strategy {
    id: String,
    name: String,
    title: Option<String>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    constraints: Vec<Value>,
    #[serde(default)]
    segments: Vec<Value>,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
}

/// Strategies that pick those whom they let in by name.
const BY_NAME: [&str; 3] = ["userWithId", "remoteAddress", "applicationHostname"];

impl Environment {
    fn for_everybody(&self) -> Vec<&Strategy> {
        self.strategies.iter().filter(|strategy| strategy.is_for_everybody()).collect()
    }

    fn percent(&self) -> Option<f64> {
        match self.for_everybody().as_slice() {
            _ if !self.enabled => Some(0.0),
            // Without any strategy a flag that is on is on for everybody.
            [] if self.strategies.is_empty() => Some(100.0),
            [one] if one.name == "default" => Some(100.0),
            [one] => one.share(),
            _ => None,
        }
    }
}

impl Strategy {
    fn is_for_everybody(&self) -> bool {
        let picks = !self.constraints.is_empty() || !self.segments.is_empty();
        !self.disabled && !picks && !BY_NAME.contains(&self.name.as_str())
    }

    fn is_rollout(&self) -> bool {
        self.name == "flexibleRollout"
    }

    /// It is a text, and was a number once.
    fn share(&self) -> Option<f64> {
        let rollout = self.parameters.get("rollout").filter(|_| self.is_rollout())?;
        rollout.as_str().map_or_else(|| rollout.as_f64(), |text| text.trim().parse().ok())
    }
}

// ---------------------------------------------------------------------------------------------
// What is asked of it

impl Unleash {
    async fn look_up(&self, flag: &str) -> Result<Environment, Failure> {
        let request = self.request(Method::GET, &self.feature(flag, &[])?);
        let feature: Feature = self.read(request, &self.no_flag(flag)).await?;
        let wanted = &self.target.environment;
        let names: Vec<String> =
            feature.environments.iter().map(|known| known.name.clone()).collect();
        let found = feature.environments.into_iter().find(|known| known.name == *wanted);
        found.ok_or_else(|| self.no_environment(names.iter().map(String::as_str)))
    }

    async fn switch(&self, flag: &str, to: &str) -> Result<(), Failure> {
        let path = self.feature(flag, &["environments", &self.target.environment, to])?;
        self.done(self.request(Method::POST, &path), &self.no_flag(flag)).await
    }

    async fn add(&self, flag: &str, share: u8) -> Result<(), Failure> {
        let path = self.strategies(flag, &[])?;
        // Without one, going on would open it for everybody: Unleash adds one of 100 %.
        let strategy = json!({
            "name": "flexibleRollout",
            "parameters": { "rollout": share.to_string(), "stickiness": "default", "groupId": flag },
        });
        let request = self.request(Method::POST, &path).json(&strategy);
        self.done(request, &self.no_flag(flag)).await
    }

    /// Its share and nothing else of it: what others set up stays as they want it.
    async fn change(&self, flag: &str, strategy: &Strategy, share: u8) -> Result<(), Failure> {
        let path = self.strategies(flag, &[&strategy.id])?;
        let patch =
            json!([{ "op": "replace", "path": "/parameters/rollout", "value": share.to_string() }]);
        self.done(self.request(Method::PATCH, &path).json(&patch), &self.no_flag(flag)).await
    }

    fn strategies(&self, flag: &str, more: &[&str]) -> Result<String, Failure> {
        let path = ["environments", &self.target.environment, "strategies"];
        self.feature(flag, &[&path, more].concat())
    }

    fn feature(&self, flag: &str, more: &[&str]) -> Result<String, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        if flag.is_empty() || matches!(flag, "." | "..") || !flag.chars().all(plain) {
            let shown = flag.escape_debug();
            return Err(Failure::permanent(format!(
                "\"{shown}\" cannot be the name of a flag in Unleash: letters, digits and -_.~ can"
            )));
        }
        let start = ["projects", &self.target.project, "features", flag];
        Ok(self.path(&[&start, more].concat()))
    }

    fn path(&self, segments: &[&str]) -> String {
        let base = self.base.as_str().trim_end_matches('/');
        let path: Vec<String> = segments.iter().map(|segment| signed::percent(segment)).collect();
        format!("{base}/api/admin/{}", path.join("/"))
    }

    fn request(&self, method: Method, address: &str) -> RequestBuilder {
        // Without `Bearer`: the token is the header's whole value.
        let request = self.client.request(method, address).header("accept", "application/json");
        request.header("authorization", &self.target.token).timeout(self.target.timeout)
    }

    async fn read<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        missing: &str,
    ) -> Result<T, Failure> {
        let text = self.send(request, missing).await?;
        serde_json::from_str(&text).map_err(|_| {
            Failure::permanent(format!(
                "{} answers what Unleash would not: set [flags.{}] url to its address, without /api",
                self.what(),
                self.name
            ))
        })
    }

    async fn done(&self, request: RequestBuilder, missing: &str) -> Result<(), Failure> {
        self.send(request, missing).await.map(|_| ())
    }

    async fn send(&self, request: RequestBuilder, missing: &str) -> Result<String, Failure> {
        let what = self.what();
        let response = request.send().await.map_err(|why| {
            let kind = (why.is_builder(), why.is_timeout() && !why.is_connect());
            match (kind, signed::reason(why)) {
                ((true, _), why) => Failure::permanent(format!("{what} cannot be asked: {why}")),
                ((_, true), _) => Failure::transient(format!("{what} did not answer in time")),
                (_, why) => Failure::transient(format!("{what} cannot be reached: {why}")),
            }
        })?;
        if !response.status().is_success() {
            return Err(self.refused(response, missing).await);
        }
        signed::body(response).await.map_err(|why| {
            Failure::transient(format!("{what} broke off its answer: {}", signed::reason(why)))
        })
    }

    async fn refused(&self, response: Response, missing: &str) -> Failure {
        let (what, name, status) = (self.what(), &self.name, response.status());
        let retry_after = signed::retry_after(&response);
        let said = signed::body(response).await.unwrap_or_default();
        let said = self.said(&said);
        let mend = match status {
            StatusCode::UNAUTHORIZED => format!(
                "the token is not one it knows: put the token of an admin or of a service account \
                 into [flags.{name}] token"
            ),
            StatusCode::FORBIDDEN => format!(
                "the token in [flags.{name}] may not do this: give it the right to change flags in \
                 project `{}`",
                self.target.project
            ),
            StatusCode::NOT_FOUND => return Failure::permanent(format!("{what}: {missing}")),
            status if status.is_redirection() => {
                format!("redirects are not followed: set [flags.{name}] url to where it leads")
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                let why = format!("{what} answers {status}{said}");
                return Failure::Transient { why, retry_after };
            }
            status if status.is_server_error() => {
                let why = format!("{what} answers {status}{said}");
                return Failure::Transient { why, retry_after };
            }
            _ => return Failure::permanent(format!("{what} answers {status}{said}")),
        };
        Failure::permanent(format!("{what} answers {status}{said}: {mend}"))
    }

    /// Its own words, in one short line and without the token.
    fn said(&self, body: &str) -> String {
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        let words = answer["message"].as_str().unwrap_or_default();
        let words = words.replace(&self.target.token, "***");
        let words: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
        let words = words.trim_end_matches('.');
        if words.is_empty() { String::new() } else { format!(" ({words})") }
    }
}

// ---------------------------------------------------------------------------------------------
// What has to be mended

impl Unleash {
    fn what(&self) -> String {
        format!("Unleash (`{}`)", self.name)
    }

    fn environment(&self) -> &str {
        &self.target.environment
    }

    fn no_project(&self) -> String {
        let (name, project) = (&self.name, &self.target.project);
        format!(
            "there is no project `{project}`, or no Unleash: mend [flags.{name}] project or url"
        )
    }

    fn no_flag(&self, flag: &str) -> String {
        let project = &self.target.project;
        format!(
            "there is no flag `{flag}` in project `{project}`: create it there, or mend its name \
             or [flags.{}] project",
            self.name
        )
    }

    fn no_environment<'a>(&self, known: impl Iterator<Item = &'a str>) -> Failure {
        let (name, project, environment) = (&self.name, &self.target.project, self.environment());
        let known: Vec<_> = known.collect();
        Failure::permanent(format!(
            "project `{project}` of Unleash has no environment `{environment}`, it has {}: mend \
             [flags.{name}] environment",
            known.join(", ")
        ))
    }

    fn not_ours(&self, flag: &str, strategies: &[&Strategy]) -> Failure {
        let named = |one: &&Strategy| {
            let title = one.title.as_deref().filter(|title| !title.is_empty());
            format!("`{}`", title.unwrap_or(&one.name))
        };
        let names: Vec<_> = strategies.iter().map(named).collect();
        Failure::permanent(format!(
            "`{flag}` is opened for everybody in {} by {}, so no one share holds: leave a single \
             gradual rollout for everybody there; nothing was changed",
            self.environment(),
            names.join(" and ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(enabled: bool, strategies: Value) -> Environment {
        let text = json!({ "name": "production", "enabled": enabled, "strategies": strategies });
        serde_json::from_value(text).expect("as Unleash writes it")
    }

    fn rollout(share: &Value) -> Value {
        json!({ "id": "1", "name": "flexibleRollout", "parameters": { "rollout": share } })
    }

    #[test]
    fn a_share_is_known_only_where_one_strategy_is_for_everybody() {
        let (quarter, half) = (rollout(&json!("25")), rollout(&json!(50)));
        let mut staff = rollout(&json!("100"));
        staff["constraints"] = json!([{ "contextName": "userId" }]);
        let mut team = rollout(&json!("100"));
        team["segments"] = json!([1]);
        let mut idle = rollout(&json!("100"));
        idle["disabled"] = json!(true);
        let named = json!({ "id": "2", "name": "userWithId" });
        let all = json!({ "id": "3", "name": "default" });
        let own = json!({ "id": "4", "name": "our-own-idea" });
        for (strategies, percent) in [
            (json!([]), Some(100.0)),
            (json!([quarter]), Some(25.0)),
            (json!([half]), Some(50.0)),
            (json!([staff, team, idle, named, quarter]), Some(25.0)),
            (json!([all]), Some(100.0)),
            (json!([quarter, half]), None),
            (json!([quarter, all]), None),
            (json!([staff]), None),
            (json!([own]), None),
        ] {
            assert_eq!(environment(true, strategies.clone()).percent(), percent, "{strategies}");
            assert_eq!(environment(false, strategies).percent(), Some(0.0));
        }
    }

    #[test]
    fn a_share_that_its_clients_would_round_away_is_refused() {
        assert_eq!(whole(25.0), Ok(25));
        assert_eq!(whole(100.0), Ok(100));
        for percent in [0.5, 12.5, 99.99] {
            let refused = whole(percent).expect_err("it would be another share");
            assert!(matches!(refused, Failure::Permanent { .. }), "{refused}");
        }
    }
}
