//! A real Unleash server for the tests, on a database of its own, with a real client that polls it.
//!
//! Each test that needs one starts one, in about four seconds: tests are processes of their own.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tminus::adapters::flags::Unleash;
use tminus::adapters::flags::unleash::Target;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::installed::until;

const PATIENCE: Duration = Duration::from_secs(60);
/// Of whom the client is asked.
pub(crate) const USERS: u64 = 1000;

/// `tests/unleash_server.mjs`: it ends with its standard input, which is ours, and takes its
/// database with it.
pub(crate) struct UnleashWorld {
    pub(crate) url: String,
    /// Of an admin.
    pub(crate) token: String,
    /// Of a client: it may read what clients read, and change nothing.
    pub(crate) client_token: String,
    directory: PathBuf,
    database: i32,
    client: reqwest::Client,
    server: Child,
    asks: ChildStdin,
    told: Lines<BufReader<ChildStdout>>,
}

pub(crate) const PROJECT: &str = "default";
pub(crate) const ENVIRONMENT: &str = "production";

/// A program that `tests/run` installs for the tests.
pub(crate) fn node(script: &str) -> Command {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let node = tests.join(".tools/node");
    assert!(node.exists(), "there is no {}: `tests/run` installs it", node.display());
    let mut command = Command::new(node);
    command.arg("--no-warnings").arg(tests.join(script)).stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    command
}

impl UnleashWorld {
    pub(crate) async fn start() -> Self {
        // It is never killed: it would leave its database behind.
        let mut server = node("unleash_server.mjs").spawn().unwrap();
        let asks = server.stdin.take().unwrap();
        let mut told = BufReader::new(server.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, told.next_line()).await;
        let first = first.expect("it starts in time").unwrap().expect("Unleash starts");
        let first: Value = serde_json::from_str(&first).unwrap();
        let text = |name: &str| first[name].as_str().unwrap().to_owned();
        Self {
            url: format!("http://127.0.0.1:{}", first["port"]),
            token: text("admin"),
            client_token: text("client"),
            directory: text("directory").into(),
            database: i32::try_from(first["postgres"].as_i64().unwrap()).unwrap(),
            client: reqwest::Client::new(),
            server,
            asks,
            told,
        }
    }

    /// Ends it, with all that it started; nothing is left of it.
    pub(crate) async fn stop(mut self) {
        drop(self.asks);
        let ended = tokio::time::timeout(PATIENCE, self.server.wait()).await.expect("it ends");
        assert!(ended.unwrap().success());
        assert!(!self.directory.exists(), "{}", self.directory.display());
        let database = nix::unistd::Pid::from_raw(self.database);
        assert!(nix::sys::signal::kill(database, None).is_err(), "the database lives");
    }

    /// Where the adapter finds its flags.
    pub(crate) fn target(&self) -> Target {
        Target {
            url: self.url.clone(),
            project: PROJECT.to_owned(),
            environment: ENVIRONMENT.to_owned(),
            token: self.token.clone(),
            timeout: Duration::from_secs(20),
        }
    }

    pub(crate) fn flags(&self) -> Unleash {
        Unleash::new("shop", self.target()).expect("a good address")
    }

    /// A section of a configuration; the token is in the variable `UNLEASH_TOKEN`.
    pub(crate) fn section(&self, name: &str) -> String {
        let url = &self.url;
        format!(
            "[flags.{name}]\nkind = \"unleash\"\nurl = \"{url}\"\nproject = \"{PROJECT}\"\n\
             environment = \"{ENVIRONMENT}\"\ntoken = {{ env = \"UNLEASH_TOKEN\" }}\n"
        )
    }

    /// The admin API, as its owner uses it.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.client.request(method, format!("{}/api/admin/{path}", self.url));
        let request = request.header("authorization", &self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A new flag: off, without any strategy.
    pub(crate) async fn create(&self, flag: &str) {
        let path = format!("projects/{PROJECT}/features");
        self.admin(Method::POST, &path, &json!({ "name": flag })).await;
    }

    pub(crate) async fn add_strategy(&self, flag: &str, strategy: &Value) {
        self.admin(Method::POST, &format!("{}/strategies", place(flag)), strategy).await;
    }

    /// As the server has it, with its strategies.
    pub(crate) async fn flag(&self, flag: &str) -> Value {
        self.admin(Method::GET, &place(flag), &Value::Null).await
    }

    /// For how many of `USERS` the client opens it, by what it heard last.
    pub(crate) async fn client_opens(&mut self, flag: &str) -> u64 {
        self.asks.write_all(format!("{flag}\n").as_bytes()).await.unwrap();
        let told = self.told.next_line().await.unwrap().expect("it answers");
        let told: Value = serde_json::from_str(&told).unwrap();
        told["open"].as_u64().unwrap()
    }

    /// Until the client opens it for so many of `USERS`.
    pub(crate) async fn client_follows(&mut self, flag: &str, wanted: RangeInclusive<u64>) {
        let world = tokio::sync::Mutex::new(self);
        until("the client has heard of it", async || {
            wanted.contains(&world.lock().await.client_opens(flag).await)
        })
        .await;
    }
}

fn place(flag: &str) -> String {
    format!("projects/{PROJECT}/features/{flag}/environments/{ENVIRONMENT}")
}
