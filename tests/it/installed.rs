//! The program as an operator installs it: with a configuration, secrets and limits of its own, and
//! with everything that it says kept.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::program::{binary, client, glances};
use crate::secrets;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that a person would watch.
const GLANCE: Duration = Duration::from_millis(40);

/// A folder with a configuration, a state directory and what is said on standard error.
pub(crate) struct Installed {
    keep: TempDir,
    configured: bool,
    env: Vec<(String, String)>,
    /// Run by a shell before the program takes its place.
    before: Option<String>,
}

impl Installed {
    /// The embedded default.
    pub(crate) fn demo() -> Self {
        let keep = TempDir::new().unwrap();
        Self { keep, configured: false, env: Vec::new(), before: None }
    }

    pub(crate) fn new(config: &str) -> Self {
        let mut installed = Self::demo();
        installed.configured = true;
        installed.write("tminus.toml", config);
        installed
    }

    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The operator puts another value in its place.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn with_limits(mut self, before: &str) -> Self {
        self.before = Some(before.to_owned());
        self
    }

    pub(crate) fn without_limits(&mut self) {
        self.before = None;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.keep.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What went to standard error of everything that was served here.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_on(&self.state(), args)
    }

    /// Whatever the configuration takes from elsewhere is looked for from now on.
    fn hand_out(&self) {
        let config = std::fs::read_to_string(self.path("tminus.toml")).unwrap_or_default();
        secrets::of_configuration(&config, self.keep.path(), &self.env);
        let own = std::fs::read_to_string(self.state().join("token"));
        secrets::handed_out(&own.unwrap_or_default());
    }

    fn command_on(&self, state: &Path, args: &[&str]) -> Command {
        self.hand_out();
        let mut command = match &self.before {
            None => Command::new(binary()),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(binary());
                shell
            }
        };
        command.arg("--state").arg(state);
        if self.configured {
            command.arg("--config").arg(self.path("tminus.toml"));
        }
        command.args(args).envs(self.env.iter().cloned()).env_remove("TMINUS_LOG");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub(crate) async fn cli(&self, args: &[&str]) -> Ended {
        self.cli_on(&self.state(), args).await
    }

    /// The same on another state directory.
    pub(crate) async fn cli_on(&self, state: &Path, args: &[&str]) -> Ended {
        let output = self.command_on(state, args).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
        secrets::none_in(&format!("standard output of {args:?}"), &output.stdout);
        secrets::none_in(&format!("standard error of {args:?}"), &output.stderr);
        Ended::of(output)
    }

    pub(crate) async fn start(&self) -> Running {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("stderr"))
            .unwrap();
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(at) = line.find("http://") {
                    return line[at..].trim_end_matches('/').to_owned();
                }
            }
            panic!("it ended before it was ready: {}", self.logged());
        };
        let address = tokio::time::timeout(PATIENCE, ready).await.expect("it is ready in time");
        // The pipe is read to its end, so that the program never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Running { child, address, client: client() }
    }

    /// Everything that changed something, as the log tells it.
    pub(crate) async fn deeds(&self) -> Vec<String> {
        deeds(&self.state()).await
    }
}

impl Drop for Installed {
    /// What it has said and left behind is looked through for secrets; where the configuration says
    /// that one is, it may be.
    fn drop(&mut self) {
        self.hand_out();
        let config = std::fs::read_to_string(self.path("tminus.toml")).unwrap_or_default();
        let places = secrets::files_of(&config);
        let spared = |path: &Path| {
            secrets::is_for_the_owner(path) || places.iter().any(|place| path == self.path(place))
        };
        secrets::none_below(self.keep.path(), &spared);
    }
}

/// What changed something, as the log of a state directory tells it; refusals changed nothing.
pub(crate) async fn deeds(state: &Path) -> Vec<String> {
    let export =
        Command::new(binary()).arg("--state").arg(state).args(["audit", "export"]).output();
    let export = Ended::of(export.await.unwrap());
    assert_eq!(export.status, 0, "{export:?}");
    let entries = export.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let said = entries.map(|entry| entry["description"].as_str().unwrap().to_owned());
    said.filter(|said| !said.starts_with("Refused ")).collect()
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
        let status = output.status.code().expect("it was not killed");
        Self { status, out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// Ended so, and said all of this somewhere.
    #[track_caller]
    pub(crate) fn expect(self, status: i32, parts: &[&str]) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        for part in parts {
            assert!(self.out.contains(part) || self.err.contains(part), "{part}: {self:?}");
        }
        self
    }
}

pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
    client: reqwest::Client,
}

impl Running {
    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How it ends by itself.
    pub(crate) async fn ended(mut self) -> std::process::ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }

    /// SIGKILL: nothing is said goodbye to.
    pub(crate) async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM; how it ended.
    pub(crate) async fn stopped(self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.ended().await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let ask = || self.client.get(format!("{}{path}", self.address)).send();
        // A line that was kept open may be closed just as it is used: time has passed meanwhile.
        let answer = match ask().await {
            Ok(answer) => answer,
            Err(_) => ask().await.unwrap(),
        };
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        secrets::none_in(path, &text);
        (status, text)
    }

    /// Time has passed: whoever sleeps looks at the clock when something happens. It may be killed
    /// by what is due then, before it answers.
    pub(crate) async fn stirs(&self) {
        drop(self.client.get(format!("{}/healthz", self.address)).send().await);
    }

    /// A deed at the page, from the page itself.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, String) {
        let request = self.client.post(format!("{}{path}", self.address));
        let answer = request.header("origin", &self.address).json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        secrets::none_in(path, &text);
        (status, text)
    }

    pub(crate) async fn line(&self, token: &str, line: &str) -> (StatusCode, Value) {
        self.line_with(token, &json!({ "line": line }), None).await
    }

    pub(crate) async fn line_with(
        &self,
        token: &str,
        body: &Value,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}/api/commands", self.address));
        let request = request.bearer_auth(token).json(body);
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        secrets::none_in(&format!("the answer to {body}"), &text);
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Until it holds, or until it never will.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        until(what, holds).await;
    }
}

/// Looks until it holds, or until it never will.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let looking = async {
        let mut glance = glances(GLANCE);
        loop {
            glance.tick().await;
            if holds().await {
                return;
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "never seen: {what}");
}
