//! Others ask whether they may go on: Flagger and GitHub, over real HTTP, at the program as an
//! operator installs it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{Duration, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::installed::{Installed, Running, until};
use crate::operation::{quiet, said};
use crate::shop::{self, at};

const MARIA: &str = "token-of-maria-0123456789-0123456789-0123456789";
const ANN: &str = "token-of-ann-0123456789-0123456789-0123456789-01";
const CI: &str = "token-of-ci-0123456789-0123456789-0123456789-012";
const FLAGGER: &str = "token-of-flagger-0123456789-0123456789";
const SECRET: &str = "the-secret-of-the-webhook-0123456789";

const CONFIG: &str = r#"
zone = "Europe/Berlin"
[server]
public_url = "https://tminus.example"
[people.maria]
name = "Maria"
accounts = ["console/local/maria"]
[people.ann]
name = "Ann"
accounts = ["console/local/ann"]
[roles.captain]
title = "Captain"
members = ["maria"]
may = ["schedule", "start", "advance", "resume", "rollback", "checklist", "override", "update"]
[roles.engineering]
title = "Engineering"
members = ["ann"]
may = ["evidence"]
required = true
[console]
[[console.channel]]
id = "releases"
name = "releases"
[console.tokens]
maria = { env = "MARIA" }
ann = { env = "ANN" }
[machines.ci]
token = { env = "CI_TOKEN" }
may = ["evidence"]
[audiences]
internal = ["console/local/releases"]
[rooms]
platforms = ["console/local"]
[rules]
rehearse_rollback = false
required_evidence = []
[timing]
measure_every = "1s"
green_for = "1s"
no_data = "30s"
settle = "1s"
[actions.deploy]
command = ["true"]
limit = "1m"
[actions.rollback]
command = ["true"]
limit = "1m"
repeat_safe = true
[queries.errors]
source = "ci"
title = "Errors"
unit = "%"
[gates.flagger]
token = { env = "FLAGGER" }
canaries = { "shop/web-shop" = "web-shop" }
"#;

const PLAN: &str = r#"
[release]
service = "web-shop"
name = "Web shop"
version = "v1.2.0"
captain = "maria"
deployer = "maria"
strategy = "canary"
[signoff]
roles = ["engineering"]
[[stage]]
name = "Some"
action = "deploy"
traffic = 5
soak = "1s"
advance = "manual"
[[stage.metric]]
name = "errors"
hold_above = 1
[[stage]]
name = "All"
action = "deploy"
traffic = 100
soak = "1h"
advance = "manual"
[rollback]
to = "v1.1.9"
rto = "15m"
triggers = ["errors above 5 %"]
[[rollback.step]]
name = "Back"
action = "rollback"
[[evidence]]
kind = "staging"
result = "pass"
[[smoke]]
name = "Looks right"
owner = "ann"
[monitoring]
health = "deploy"
watchers = ["maria"]
[[monitoring.metric]]
name = "Errors"
warning = 1
critical = 5
[monitoring.oncall]
primary = "maria"
"#;

fn installed(more: &str) -> Installed {
    let here = Installed::new(&format!("{CONFIG}{more}"));
    here.write("plans/shop.toml", PLAN);
    here.with_env("MARIA", MARIA)
        .with_env("ANN", ANN)
        .with_env("CI_TOKEN", CI)
        .with_env("FLAGGER", FLAGGER)
        .with_env("SECRET", SECRET)
}

async fn scheduled(running: &Running) {
    said(running, MARIA, &format!("schedule shop \"{}\"", at(0))).await;
}

async fn started(running: &Running) {
    let start = async || running.line(MARIA, "start").await.1["ok"] == true;
    until("it is started", start).await;
}

// ---------------------------------------------------------------------------------------------
// Flagger

/// As Flagger posts it, and with the login of an address.
async fn hook(running: &Running, name: &str, change: &Value) -> (StatusCode, String) {
    let mut body = json!({
        "name": "web-shop", "namespace": "shop", "phase": "Progressing",
        "checksum": "85d557f47b", "metadata": {},
    });
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    let request = running.client().post(format!("{}/gates/flagger/{name}", running.address));
    let answer = request.basic_auth("flagger", Some(FLAGGER)).json(&body).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn may(running: &Running, name: &str) -> bool {
    let (status, text) = hook(running, name, &json!({})).await;
    assert!(status == 200 || status == 409, "{status} {text}");
    status == 200
}

async fn refuses(running: &Running, name: &str, why: &str) {
    let (status, text) = hook(running, name, &json!({})).await;
    assert!(status == 409 && text.contains(why), "{name}: {status} {text}");
}

#[tokio::test]
async fn flagger_goes_as_far_as_our_own_rollout_and_back_with_it() {
    let here = installed("");
    let running = here.start().await;
    const UP: [&str; 3] = ["confirm-rollout", "confirm-traffic-increase", "confirm-promotion"];
    for name in UP {
        refuses(&running, name, "No release of web-shop/production is open").await;
    }
    assert!(!may(&running, "rollback").await);
    scheduled(&running).await;
    refuses(&running, "confirm-rollout", "not GO yet. Open: the sign-off of Engineering").await;
    said(&running, ANN, "go").await;
    refuses(&running, "confirm-rollout", "waits for its start").await;
    started(&running).await;
    until("the rollout", async || may(&running, "confirm-rollout").await).await;
    let soaks = async || !said(&running, MARIA, "status").await.contains("deploying");
    until("it soaks", soaks).await;
    refuses(&running, "confirm-traffic-increase", "Some").await;
    said(&running, CI, "metric v1.2.0 errors 0.2").await;
    until("more traffic", async || may(&running, "confirm-traffic-increase").await).await;
    refuses(&running, "confirm-promotion", "not yet for everybody").await;

    said(&running, ANN, "hold it smells").await;
    for name in UP {
        refuses(&running, name, "on hold").await;
    }
    assert!(!may(&running, "rollback").await, "a hold goes nowhere, not back either");
    said(&running, MARIA, "resume").await;
    said(&running, CI, "metric v1.2.0 errors 3").await;
    let yellow = async || !may(&running, "confirm-traffic-increase").await;
    until("it is yellow", yellow).await;
    said(&running, CI, "metric v1.2.0 errors 0.1").await;
    let advance = async || running.line(MARIA, "advance").await.1["ok"] == true;
    let resume = async || {
        running.line(MARIA, "resume").await;
        advance().await
    };
    until("it advances", resume).await;
    until("promotion", async || may(&running, "confirm-promotion").await).await;

    let back = "rollback --from v1.2.0 --to v1.1.9 --confirmed";
    said(&running, MARIA, back).await;
    until("back", async || may(&running, "rollback").await).await;
    for name in UP {
        assert!(!may(&running, name).await, "{name}");
    }
}

#[tokio::test]
async fn a_number_from_ci_counts_from_the_stage_on_and_until_it_is_old() {
    let here = installed("");
    let config = CONFIG.replace("no_data = \"30s\"", "no_data = \"4s\"");
    here.write("tminus.toml", &config);
    here.write(
        "plans/shop.toml",
        &PLAN.replace("hold_above = 1", "hold_above = 1\nfresh = \"3s\""),
    );
    let running = here.start().await;
    scheduled(&running).await;
    said(&running, ANN, "go").await;
    said(&running, CI, "metric v1.2.0 errors 0.1").await;
    started(&running).await;
    let status = async |text: &str| said(&running, MARIA, "status").await.contains(text);
    // What was handed in before there was a canary says nothing of it.
    until("nobody can tell", async || status("Errors cannot be told: no data").await).await;
    assert!(!may(&running, "confirm-traffic-increase").await);
    said(&running, CI, "metric v1.2.0 errors 0.2").await;
    let resume = async || running.line(MARIA, "resume").await.1["ok"] == true;
    until("it is resumed", resume).await;
    until("green", async || may(&running, "confirm-traffic-increase").await).await;
    until("it is old", async || !may(&running, "confirm-traffic-increase").await).await;
    let (_, advanced) = running.line(MARIA, "advance").await;
    assert_eq!(advanced["ok"], false, "{advanced}");
}

#[tokio::test]
async fn whoever_is_not_flagger_learns_nothing() {
    let here = installed("");
    let running = here.start().await;
    let post =
        |name: &str| running.client().post(format!("{}/gates/flagger/{name}", running.address));
    let body = json!({ "name": "web-shop", "namespace": "shop", "metadata": {} });
    let send = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(send(post("rollback").json(&body)).await, 401);
    assert_eq!(send(post("rollback").bearer_auth("wrong").json(&body)).await, 401);
    assert_eq!(send(post("rollback").bearer_auth(CI).json(&body)).await, 401);
    assert_eq!(send(post("rollback").basic_auth(FLAGGER, Some("")).json(&body)).await, 401);
    assert_eq!(send(post("rollback").body("no json")).await, 401);
    assert_eq!(send(post("rollback").bearer_auth(FLAGGER).body("no json")).await, 400);
    assert_eq!(send(post("rollback").bearer_auth(FLAGGER).json(&body)).await, 409);
    assert_eq!(send(post("pre-rollout").bearer_auth(FLAGGER).json(&body)).await, 404);
    let mut token = body.clone();
    token["metadata"] = json!({ "token": FLAGGER });
    assert_eq!(send(post("rollback").json(&token)).await, 409);
    let mut other = token.clone();
    other["name"] = "unknown".into();
    assert_eq!(send(post("confirm-rollout").json(&other)).await, 409);
    let large = "x".repeat(100_000);
    assert_eq!(send(post("rollback").bearer_auth(FLAGGER).body(large)).await, 413);
    let logged = here.logged();
    assert!(!logged.contains(FLAGGER), "{logged}");
}

#[tokio::test]
async fn what_flagger_does_is_told_in_the_room_once() {
    let here = installed("");
    let running = here.start().await;
    scheduled(&running).await;
    let event = |message: &str, at: u64| {
        json!({ "metadata": {
            "eventMessage": message, "eventType": "Normal", "timestamp": at.to_string(),
        } })
    };
    let first = event("Advance web-shop.shop canary weight 20", 1);
    for _ in 0..2 {
        assert_eq!(hook(&running, "event", &first).await.0, 200);
    }
    // What waits says so at each of its intervals.
    for at in 2..5 {
        let waits = event("Halt advancement web-shop.shop waiting for approval", at);
        assert_eq!(hook(&running, "event", &waits).await.0, 200);
    }
    assert_eq!(hook(&running, "event", &first).await.0, 200, "sent once more, much later");
    let log = here.deeds().await;
    let told = |text: &str| log.iter().filter(|entry| entry.contains(text)).count();
    assert_eq!(told("flagger: Advance web-shop.shop canary weight 20."), 1, "{log:#?}");
    assert_eq!(told("flagger: Halt advancement"), 1, "{log:#?}");
    let unknown = json!({ "namespace": "other", "metadata": { "eventMessage": "hello" } });
    assert_eq!(hook(&running, "event", &unknown).await.0, 409);
}

// ---------------------------------------------------------------------------------------------
// A stand-in for GitHub

#[derive(Default)]
struct Hub {
    /// What was taken, in order.
    told: Mutex<Vec<Value>>,
    /// Answers that come before the good ones: a status, and whether it was taken all the same.
    moods: Mutex<VecDeque<(u16, bool)>>,
    problems: Mutex<Vec<String>>,
    /// How often a decision came that was made already, where that is refused, as GitHub does.
    repeats: Mutex<Option<usize>>,
}

/// The mood in which GitHub takes what it hears and never answers.
const MUTE: u16 = 0;

impl Hub {
    async fn start() -> (Arc<Self>, String) {
        let hub = Arc::new(Self::default());
        let router = Router::new()
            .route("/app", get(app))
            .route("/app/installations/{id}/access_tokens", post(grant))
            .route("/repos/{o}/{r}/actions/runs/{run}/deployment_protection_rule", post(review))
            .with_state(hub.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (hub, url)
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    fn states(&self) -> Vec<String> {
        let state = |one: &Value| one["state"].as_str().unwrap_or("comment").to_owned();
        self.told().iter().map(state).collect()
    }

    fn is_repeat(&self, at: &str) -> bool {
        let mut repeats = self.repeats.lock().unwrap();
        let Some(count) = repeats.as_mut() else { return false };
        let all = self.told.lock().unwrap();
        let is_repeat = all.iter().any(|one| one["at"] == at && one["state"].is_string());
        *count += usize::from(is_repeat);
        is_repeat
    }

    fn has_ten_of(&self, at: &Value) -> bool {
        self.told.lock().unwrap().iter().filter(|one| one["at"] == *at).count() >= 10
    }

    #[track_caller]
    fn assert_clean(&self) {
        let problems = self.problems.lock().unwrap();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    fn problem(&self, what: impl Into<String>) -> Response {
        self.problems.lock().unwrap().push(what.into());
        StatusCode::UNPROCESSABLE_ENTITY.into_response()
    }
}

/// Signed by the App's own key, for ten minutes at most.
fn is_app(headers: &HeaderMap) -> bool {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|text| text.strip_prefix("Bearer ")) else { return false };
    let key = include_bytes!("gates/app.pub.pem");
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_required_spec_claims(&["exp", "iss"]);
    rules.set_issuer(&["4711"]);
    let key = DecodingKey::from_rsa_pem(key).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &rules).is_ok_and(|token| {
        let claim = |name: &str| token.claims[name].as_i64().unwrap();
        claim("exp") - claim("iat") <= 600 && claim("iat") <= Utc::now().timestamp()
    })
}

async fn app(headers: HeaderMap) -> Response {
    if !is_app(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let permissions = json!({ "deployments": "write", "actions": "read" });
    let app = json!({
        "slug": "tminus-gate", "permissions": permissions,
        "events": ["deployment_protection_rule"],
    });
    axum::Json(app).into_response()
}

async fn grant(Path(id): Path<u64>, headers: HeaderMap) -> Response {
    if !is_app(&headers) || id != 99 {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let ends = (Utc::now() + Duration::hours(1)).to_rfc3339();
    let granted = json!({ "token": "ghs_of-99", "expires_at": ends });
    (StatusCode::CREATED, axum::Json(granted)).into_response()
}

async fn review(
    State(hub): State<Arc<Hub>>,
    Path((owner, name, run)): Path<(String, String, u64)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header("authorization") != "Bearer ghs_of-99" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if header("accept") != "application/vnd.github+json" || header("user-agent").is_empty() {
        return hub.problem(format!("headers: {headers:?}"));
    }
    let Ok(mut told) = serde_json::from_slice::<Value>(&body) else {
        return hub.problem("no JSON");
    };
    if let Some(what) = against_the_schema(&told) {
        return hub.problem(what);
    }
    let mood = hub.moods.lock().unwrap().pop_front();
    let at = format!("{owner}/{name}/{run}");
    if hub.is_repeat(&at) {
        let message = format!(
            "No pending custom deployment requests in workflow run `{run}` to approve or reject"
        );
        let body = axum::Json(json!({ "message": message }));
        return (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
    }
    if let Some((status, false)) = mood {
        let status = StatusCode::from_u16(status).unwrap();
        return (status, [("retry-after", "1")], "{}").into_response();
    }
    told["at"] = at.into();
    if hub.has_ten_of(&told["at"]) {
        return hub.problem("more than ten reports");
    }
    hub.told.lock().unwrap().push(told);
    match mood {
        Some((MUTE, _)) => std::future::pending().await,
        Some((status, _)) => StatusCode::from_u16(status).unwrap().into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// `environment_name`, and a `comment` or a `state` with one, and nothing else.
fn against_the_schema(told: &Value) -> Option<String> {
    let known = ["environment_name", "state", "comment"];
    let told = told.as_object()?;
    let strange = told.keys().find(|key| !known.contains(&key.as_str()));
    let texts = told.values().all(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    let comment = told.get("comment").and_then(Value::as_str).unwrap_or_default();
    let state = told.get("state").and_then(Value::as_str).unwrap_or("approved");
    let sound = strange.is_none()
        && texts
        && told.contains_key("environment_name")
        && told.contains_key("comment")
        && comment.chars().count() <= 1024
        && ["approved", "rejected"].contains(&state);
    (!sound).then(|| format!("against the schema: {told:?}"))
}

fn with_github(api: &str) -> Installed {
    let more = format!(
        r#"
[gates.github]
secret = {{ env = "SECRET" }}
app = 4711
private_key = {{ file = "app.pem" }}
api_url = "{api}"
[gates.github.repositories."example/web-shop"]
service = "web-shop"
environments = {{ live = "production" }}
"#
    );
    let here = installed(&more);
    here.write("app.pem", include_str!("gates/app.pem"));
    here
}

fn payload(api: &str, run: u64) -> Value {
    json!({
        "action": "requested",
        "environment": "live",
        "event": "push",
        "deployment_callback_url":
            format!("{api}/repos/example/web-shop/actions/runs/{run}/deployment_protection_rule"),
        "deployment": {
            "id": run * 10, "sha": "3f1c2a9d0b7e4f5a6c8d9e0f1a2b3c4d5e6f7a8b", "ref": "main",
            "task": "deploy", "environment": "live",
            "created_at": Utc::now().to_rfc3339(), "updated_at": Utc::now().to_rfc3339(),
        },
        "pull_requests": [],
        "repository": { "id": 1, "full_name": "example/web-shop", "private": true },
        "installation": { "id": 99 },
        "sender": { "login": "octocat" },
    })
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

async fn delivered(running: &Running, id: &str, body: &Value, secret: &str) -> StatusCode {
    let body = body.to_string();
    let request = running.client().post(format!("{}/gates/github", running.address));
    let request = request
        .header("x-github-event", "deployment_protection_rule")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature(secret, &body))
        // What is turned away unread ends its line: the next request must not be sent on it.
        .header("connection", "close")
        .header("content-type", "application/json");
    request.body(body).send().await.unwrap().status()
}

#[tokio::test]
async fn github_waits_until_the_release_has_started_and_is_told_so_once() {
    let (hub, api) = Hub::start().await;
    let here = with_github(&api);
    let running = here.start().await;
    scheduled(&running).await;
    let body = payload(&api, 7);
    assert_eq!(delivered(&running, "delivery-0001", &body, SECRET).await, 202);
    until("how it stands", async || hub.told().len() == 1).await;
    let first = &hub.told()[0];
    assert_eq!(first["environment_name"], "live");
    assert!(first["comment"].as_str().unwrap().contains("the sign-off of Engineering"), "{first}");
    // GitHub delivers again when somebody asks it to; a stranger who has caught it, as well.
    assert_eq!(delivered(&running, "delivery-0001", &body, SECRET).await, 202);
    assert_eq!(delivered(&running, "delivery-0002", &body, SECRET).await, 202);
    said(&running, ANN, "go").await;
    until("it is go", async || hub.told().len() == 2).await;
    hub.moods.lock().unwrap().extend([(429, false), (503, false)]);
    started(&running).await;
    until("approved", async || hub.states().last().is_some_and(|last| last == "approved")).await;
    assert_eq!(hub.told()[2]["at"], "example/web-shop/7");
    assert_eq!(delivered(&running, "delivery-0003", &body, SECRET).await, 202);
    // What asks while it is rolling out is let through at once.
    assert_eq!(delivered(&running, "delivery-0004", &payload(&api, 8), SECRET).await, 202);
    until("the second", async || hub.told().len() == 4).await;
    assert_eq!(hub.states(), ["comment", "comment", "approved", "approved"]);
    hub.assert_clean();
    here.cli(&["doctor"]).await.expect(0, &["answered as tminus-gate"]);
    let log = here.deeds().await;
    let asked = log.iter().filter(|entry| entry.contains("waits for our word")).count();
    assert_eq!(asked, 2, "{log:#?}");
}

#[tokio::test]
async fn killed_before_github_answers_it_says_each_thing_once() {
    let (hub, api) = Hub::start().await;
    *hub.repeats.lock().unwrap() = Some(0);
    let here = with_github(&api);
    let running = here.start().await;
    scheduled(&running).await;
    hub.moods.lock().unwrap().push_back((MUTE, true));
    assert_eq!(delivered(&running, "delivery-0001", &payload(&api, 7), SECRET).await, 202);
    until("how it stands", async || hub.told().len() == 1).await;
    running.killed().await;
    let running = here.start().await;
    said(&running, ANN, "go").await;
    until("it is go", async || hub.told().len() == 2).await;
    hub.moods.lock().unwrap().push_back((MUTE, true));
    started(&running).await;
    until("approved", async || hub.states().last().is_some_and(|last| last == "approved")).await;
    running.killed().await;
    let running = here.start().await;
    // Nobody knows whether it arrived, so that it is said again; and it had.
    until("said again", async || *hub.repeats.lock().unwrap() == Some(1)).await;
    until("it is quiet", async || quiet(&running).await).await;
    assert_eq!(hub.states(), ["comment", "comment", "approved"]);
    hub.assert_clean();
    let log = shop::log(&here).await;
    assert!(log.iter().all(|it| !it.contains("the answer to a deployment")), "{log:#?}");
}

#[tokio::test]
async fn a_decision_that_nobody_waits_for_is_told_to_the_captain() {
    let (hub, api) = Hub::start().await;
    *hub.repeats.lock().unwrap() = Some(0);
    let here = with_github(&api);
    let running = here.start().await;
    scheduled(&running).await;
    assert_eq!(delivered(&running, "delivery-0001", &payload(&api, 7), SECRET).await, 202);
    until("how it stands", async || hub.told().len() == 1).await;
    // Somebody there let it through past us.
    let past = json!({ "at": "example/web-shop/7", "state": "approved" });
    hub.told.lock().unwrap().push(past);
    said(&running, ANN, "no-go the tests are red").await;
    let told = async || shop::log(&here).await.iter().any(|it| it.contains("No pending custom"));
    until("the captain is told", told).await;
}

#[tokio::test]
async fn github_is_told_no_by_a_no_go_and_where_nothing_is_planned() {
    let (hub, api) = Hub::start().await;
    let here = with_github(&api);
    let running = here.start().await;
    // Nothing is planned yet.
    assert_eq!(delivered(&running, "delivery-0001", &payload(&api, 1), SECRET).await, 202);
    until("no release", async || hub.states() == ["rejected"]).await;
    scheduled(&running).await;
    let mut other = payload(&api, 2);
    other["environment"] = "staging".into();
    assert_eq!(delivered(&running, "delivery-0002", &other, SECRET).await, 202);
    until("another environment", async || hub.states() == ["rejected"; 2]).await;
    assert_eq!(delivered(&running, "delivery-0003", &payload(&api, 3), SECRET).await, 202);
    until("it waits", async || hub.told().len() == 3).await;
    // Taken, and then it breaks: nobody knows, and the same decision is said again.
    hub.moods.lock().unwrap().push_back((500, true));
    said(&running, ANN, "no-go the tests are red").await;
    until("said again", async || hub.told().len() == 5).await;
    assert_eq!(hub.states()[2..], ["comment", "rejected", "rejected"]);
    let said = hub.told()[4]["comment"].as_str().unwrap().to_owned();
    assert!(said.contains("Engineering said NO-GO") && !said.contains("tests"), "{said}");
    hub.assert_clean();
}

#[tokio::test]
async fn what_is_forged_old_too_large_or_leads_elsewhere_is_not_taken() {
    let (hub, api) = Hub::start().await;
    let here = with_github(&api);
    let running = here.start().await;
    scheduled(&running).await;
    let body = payload(&api, 7);
    assert_eq!(delivered(&running, "delivery-0001", &body, "another-secret").await, 401);
    assert_eq!(delivered(&running, "", &body, SECRET).await, 400);
    let url = format!("{}/gates/github", running.address);
    let bare = running.client().post(&url).header("connection", "close");
    let bare = bare.header("x-github-event", "ping").json(&body);
    assert_eq!(bare.send().await.unwrap().status(), 401);
    let large = running.client().post(&url).header("connection", "close");
    let large = large.body("x".repeat(2_000_000));
    assert_eq!(large.send().await.unwrap().status(), 413);
    let elsewhere = [
        "http://169.254.169.254/repos/example/web-shop/actions/runs/7/deployment_protection_rule",
        "https://api.github.com.evil.example/repos/example/web-shop/actions/runs/7/\
         deployment_protection_rule",
        &format!(
            "{api}@evil.example/repos/example/web-shop/actions/runs/7/\
                  deployment_protection_rule"
        ),
        &format!("{api}/repos/example/other/actions/runs/7/deployment_protection_rule"),
        &format!("{api}/repos/example/web-shop/actions/runs/7/../8/deployment_protection_rule"),
        &format!("{api}/repos/example/web-shop/actions/runs/7/deployment_protection_rule?a=b"),
        "",
    ];
    for (nth, callback) in elsewhere.iter().enumerate() {
        let mut body = body.clone();
        body["deployment_callback_url"] = (*callback).into();
        let status = delivered(&running, &format!("delivery-1{nth:03}"), &body, SECRET).await;
        assert_eq!(status, 422, "{callback}");
    }
    let mut old = body.clone();
    old["deployment"]["created_at"] = (Utc::now() - Duration::days(31)).to_rfc3339().into();
    assert_eq!(delivered(&running, "delivery-2000", &old, SECRET).await, 422);
    let mut done = body.clone();
    done["action"] = "completed".into();
    assert_eq!(delivered(&running, "delivery-2001", &done, SECRET).await, 202);
    assert!(hub.told().is_empty(), "{:?}", hub.told());
    let log = here.deeds().await;
    assert!(log.iter().all(|entry| !entry.contains("our word")), "{log:#?}");
    hub.assert_clean();
}

#[tokio::test]
async fn mistakes_in_the_gates_are_told_with_their_lines() {
    let more = r#"
[gates.github]
secret = "inline"
app = 12
[gates.github.repositories."web-shop"]
service = "Web Shop"
"#;
    let here = installed(&more.replace("[gates.github]", "[gates.github] # here"));
    let parts = [
        "a secret must not stand in this file",
        "there is an App and no key of its",
        "`web-shop` is not a repository",
        "`Web Shop` cannot be the name of a service",
        "tminus.toml:",
    ];
    here.cli(&["config", "check"]).await.expect(1, &parts);
}
