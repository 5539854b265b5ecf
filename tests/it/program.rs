//! The program itself, started as anybody would, in a state directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tminus");
/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that a person would watch.
const GLANCE: Duration = Duration::from_millis(40);

pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
    pub(crate) state: PathBuf,
    client: reqwest::Client,
    _keep: Option<TempDir>,
}

impl Program {
    pub(crate) async fn start() -> Self {
        let keep = TempDir::new().unwrap();
        let mut program = Self::start_in(keep.path()).await;
        program._keep = Some(keep);
        program
    }

    pub(crate) async fn start_in(state: &Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(at) = line.find("http://") {
                    let address = line[at..].split_whitespace().next().unwrap();
                    return address.trim_end_matches('/').to_owned();
                }
            }
            panic!("it ended before it was ready");
        })
        .await
        .expect("it is ready in time");
        // The pipe is read to its end, so that the program never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = reqwest::Client::new();
        Self { child, address, state: state.to_owned(), client, _keep: None }
    }

    /// SIGKILL, and the same state directory again.
    pub(crate) async fn killed_and_started_again(mut self) -> Self {
        self.child.kill().await.unwrap();
        let mut again = Self::start_in(&self.state).await;
        again._keep = self._keep.take();
        again
    }

    /// SIGTERM; how it ended.
    pub(crate) async fn stopped(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it stops").unwrap()
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.state.join("token")).unwrap().trim().to_owned()
    }

    /// What was answered to a line, and whether it went through.
    pub(crate) async fn ask(&self, who: &str, line: &str) -> (bool, String) {
        let answer: Value = self
            .client
            .post(format!("{}/api/commands", self.address))
            .bearer_auth(self.token())
            .json(&json!({ "line": line, "as": who }))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let text = answer["text"].as_str().unwrap_or_else(|| panic!("{line}: {answer}"));
        (answer["ok"].as_bool().unwrap(), text.to_owned())
    }

    /// A line that has to go through.
    pub(crate) async fn say(&self, who: &str, line: &str) -> String {
        let (ok, text) = self.ask(who, line).await;
        assert!(ok, "{who}: /release {line}\n{text}");
        text
    }

    /// A line that has to be refused.
    pub(crate) async fn refused(&self, who: &str, line: &str) -> String {
        let (ok, text) = self.ask(who, line).await;
        assert!(!ok, "{who}: /release {line} went through\n{text}");
        text
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.address)).send().await.unwrap()
    }

    /// The next deadline, as the page's button does it. `false` where there is none.
    pub(crate) async fn jump(&self) -> bool {
        let origin = self.address.clone();
        let answer = self
            .client
            .post(format!("{}/demo/jump", self.address))
            .header("origin", origin)
            .json(&json!({ "id": "a-jump-of-a-test" }))
            .send()
            .await
            .unwrap();
        answer.status().is_success()
    }

    /// Jumps until this is said somewhere.
    pub(crate) async fn jump_until(&self, text: &str) {
        for _ in 0..60 {
            if self.everything().await.contains(text) {
                return;
            }
            if !self.jump().await {
                break;
            }
            self.settled().await;
        }
        self.until(text).await;
    }

    /// Until nothing is under way: the outbox is empty and every lane is dry.
    pub(crate) async fn settled(&self) {
        self.look("the outbox is empty", async || {
            let numbers = self.get("/metrics").await.text().await.unwrap();
            let zero = |name: &str| numbers.lines().any(|line| line == format!("{name} 0"));
            zero("tminus_outbox_waiting") && zero("tminus_delivery_lanes_busy")
        })
        .await;
    }

    /// Every message of every channel, as the console shows it to one person.
    pub(crate) async fn console(&self, who: &str) -> Value {
        self.get(&format!("/console/state?as={who}")).await.json().await.unwrap()
    }

    pub(crate) async fn everything(&self) -> String {
        self.console("maria").await.to_string()
    }

    pub(crate) async fn until(&self, text: &str) {
        self.look(text, async || self.everything().await.contains(text)).await;
    }

    async fn look(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let looking = async {
            let mut glance = tokio::time::interval(GLANCE);
            loop {
                glance.tick().await;
                if holds().await {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, looking).await.is_err() {
            panic!("never seen: {what}\n{:#}", self.console("maria").await);
        }
    }

    /// The version that a pod answers with.
    pub(crate) async fn cli(&self, args: &[&str]) -> std::process::Output {
        Command::new(BINARY).args(["--state"]).arg(&self.state).args(args).output().await.unwrap()
    }
}
