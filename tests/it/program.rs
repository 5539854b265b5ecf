//! The program itself, started as anybody would, in a state directory of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::{Interval, MissedTickBehavior};

use crate::secrets;

/// The program, or the copy of it that one wants to be tried instead.
pub(crate) fn binary() -> OsString {
    std::env::var_os("TMINUS_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tminus").into())
}

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that a person would watch.
const GLANCE: Duration = Duration::from_millis(40);

pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
    /// Where the demo's web shop answers.
    pub(crate) shop: String,
    pub(crate) state: PathBuf,
    client: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
    keep: Option<TempDir>,
}

/// A message as one person sees it on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) channel: String,
    pub(crate) text: String,
    pub(crate) pinned: bool,
    pub(crate) buttons: Vec<String>,
}

impl Program {
    pub(crate) async fn start() -> Self {
        let keep = TempDir::new().unwrap();
        let mut program = Self::start_in(keep.path()).await;
        program.keep = Some(keep);
        program
    }

    pub(crate) async fn start_in(state: &Path) -> Self {
        Self::start_at(state, "127.0.0.1:0").await.unwrap_or_else(|log| panic!("{log}"))
    }

    /// Its log, if it ends before it is ready.
    async fn start_at(state: &Path, listen: &str) -> Result<Self, String> {
        let mut child = Command::new(binary())
            .args(["serve", "--listen", listen, "--state"])
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let ready = tokio::time::timeout(PATIENCE, async {
            let shop = line_with(&mut err, "shop=\"", &log).await?;
            let ready = line_with(&mut out, "ready: ", &log).await?;
            let address = ready.trim_end_matches('/').to_owned();
            Some((address, shop.split('"').next().unwrap().to_owned()))
        });
        let Some((address, shop)) = ready.await.expect("it is ready in time") else {
            return Err(log.lock().unwrap().join("\n"));
        };
        // The pipes are read to their ends, so that the program never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = out.next_line().await {} });
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = err.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        let token = std::fs::read_to_string(state.join("token")).unwrap_or_default();
        secrets::handed_out(&token);
        let client = client();
        Ok(Self { child, address, shop, state: state.to_owned(), client, log, keep: None })
    }

    /// SIGKILL: nothing is said goodbye to.
    pub(crate) async fn killed(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// The same state directory again, at the same address if nobody has taken it meanwhile.
    pub(crate) async fn started_again(mut self) -> Self {
        let listen = self.address.trim_start_matches("http://").to_owned();
        let mut again = match Self::start_at(&self.state, &listen).await {
            Ok(again) => again,
            Err(_) => Self::start_in(&self.state).await,
        };
        again.keep = self.keep.take();
        again
    }

    pub(crate) async fn killed_and_started_again(mut self) -> Self {
        self.killed().await;
        self.started_again().await
    }

    /// SIGTERM; how it ended.
    pub(crate) async fn stopped(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it stops").unwrap()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.state.join("token")).unwrap().trim().to_owned()
    }

    /// What was answered to a line, and whether it went through.
    pub(crate) async fn ask(&self, who: &str, line: &str) -> (bool, String) {
        self.ask_once(who, line, None).await.unwrap_or_else(|why| panic!("{line}: {why}"))
    }

    /// The same with a key under which it acts only once; an error where nobody answered.
    pub(crate) async fn ask_once(
        &self,
        who: &str,
        line: &str,
        key: Option<&str>,
    ) -> reqwest::Result<(bool, String)> {
        let mut request = self
            .client
            .post(format!("{}/api/commands", self.address))
            .bearer_auth(self.token())
            .json(&json!({ "line": line, "as": who }));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await?.text().await?;
        secrets::none_in(&format!("the answer to {line}"), &answer);
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|why| panic!("{why}: {answer}"));
        let text = answer["text"].as_str().unwrap_or_else(|| panic!("{line}: {answer}"));
        Ok((answer["ok"].as_bool().unwrap(), text.to_owned()))
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

    /// The next deadline, as the page's button does it. `false` where there is none.
    pub(crate) async fn jump(&self) -> bool {
        self.jump_once().await.unwrap()
    }

    pub(crate) async fn jump_once(&self) -> reqwest::Result<bool> {
        let request = self.client.post(format!("{}/demo/jump", self.address));
        let request = request.header("origin", &self.address).json(&json!({}));
        Ok(request.send().await?.status().is_success())
    }

    /// Jumps until this is said somewhere.
    pub(crate) async fn jump_until(&self, text: &str) {
        for _ in 0..60 {
            self.settled().await;
            if self.everything().await.contains(text) {
                return;
            }
            if !self.jump().await {
                break;
            }
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

    /// The demo's clock, when nothing is under way.
    pub(crate) async fn settled_clock(&self) -> reqwest::Result<Value> {
        self.settled().await;
        self.clock().await
    }

    /// Every message that one person sees, the archived channels' too.
    pub(crate) async fn board(&self, who: &str) -> Vec<Told> {
        self.board_once(who).await.unwrap()
    }

    async fn board_once(&self, who: &str) -> reqwest::Result<Vec<Told>> {
        let path = |path: &str| format!("{}/console/{path}", self.address);
        let state = self.client.get(path(&format!("state?as={who}")));
        let state = state.send().await?.text().await?;
        secrets::none_in("the page", &state);
        let state: Value =
            serde_json::from_str(&state).unwrap_or_else(|why| panic!("{why}: {state}"));
        let mut told = Vec::new();
        for channel in state["channels"].as_array().unwrap() {
            let mut page = channel.clone();
            if channel["archived"] == true {
                let id = channel["id"].as_str().unwrap();
                let rest = format!("earlier?as={who}&channel={id}");
                page = self.client.get(path(&rest)).send().await?.json().await?;
            }
            let pins: Vec<_> =
                channel["pins"].as_array().unwrap().iter().map(|pin| pin["id"].clone()).collect();
            for message in page["messages"].as_array().unwrap() {
                let rows = message["message"]["buttons"].as_array().into_iter().flatten();
                let buttons = rows.flat_map(|row| row.as_array().unwrap());
                let label = |button: &Value| button["label"].as_str().unwrap().to_owned();
                told.push(Told {
                    channel: channel["name"].as_str().unwrap().to_owned(),
                    text: plain(&message["message"]["body"]).trim().to_owned(),
                    pinned: pins.contains(&message["id"]),
                    buttons: buttons.map(label).collect(),
                });
            }
        }
        Ok(told)
    }

    pub(crate) async fn everything(&self) -> String {
        self.everything_once().await.unwrap()
    }

    pub(crate) async fn everything_once(&self) -> reqwest::Result<String> {
        let board = self.board_once("maria").await?;
        Ok(board.iter().map(|told| format!("#{}: {}\n", told.channel, told.text)).collect())
    }

    /// The only message of a channel with this in it.
    pub(crate) async fn message(&self, channel: &str, text: &str) -> Told {
        let fits = |told: &Told| told.channel == channel && told.text.contains(text);
        self.look(text, async || self.board("maria").await.iter().any(fits)).await;
        let mut found = self.board("maria").await.into_iter().filter(fits);
        let first = found.next().unwrap();
        assert!(found.next().is_none(), "twice in #{channel}: {text}");
        first
    }

    pub(crate) async fn until(&self, text: &str) {
        self.look(text, async || self.everything().await.contains(text)).await;
    }

    pub(crate) async fn look(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let looking = async {
            let mut glance = glances(GLANCE);
            loop {
                glance.tick().await;
                if holds().await {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, looking).await.is_err() {
            let log = self.log.lock().unwrap().join("\n");
            let board = self.board_once("maria").await;
            panic!("never seen: {what}\n{log}\n{board:#?}");
        }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.address)).send().await.unwrap()
    }

    /// The demo's clock: now, and the next deadline.
    pub(crate) async fn clock(&self) -> reqwest::Result<Value> {
        let clock = self.client.get(format!("{}/demo/clock", self.address));
        clock.send().await?.json().await
    }

    /// The version that a pod of the shop answers with.
    pub(crate) async fn pod(&self, pod: u8) -> String {
        let page = format!("{}/pods/{pod}/health", self.shop);
        let health: Value = self.client.get(page).send().await.unwrap().json().await.unwrap();
        health["version"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn cli(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new(binary());
        let output = command.args(["--state"]).arg(&self.state).args(args).output().await.unwrap();
        secrets::none_in(&format!("standard output of {args:?}"), &output.stdout);
        secrets::none_in(&format!("standard error of {args:?}"), &output.stderr);
        output
    }
}

impl Drop for Program {
    /// Steps outlive the program, as they should, but not the test: each has the state directory
    /// in its arguments.
    fn drop(&mut self) {
        if self.keep.is_none() {
            return;
        }
        let _ = self.child.start_kill();
        for pid in processes_with(&self.state.display().to_string()) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        secrets::none_in("what it logged", log);
        secrets::none_below(&self.state, &secrets::is_for_the_owner);
    }
}

/// A line that breaks unseen, as one may whose program lives a day in a moment, is an error and no
/// silence.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().read_timeout(2 * PATIENCE).build().unwrap()
}

/// Looks with a pause after each, however long it took: on a busy machine a look that is caught up
/// on takes from the program what it needs to get there.
pub(crate) fn glances(pause: Duration) -> Interval {
    let mut glances = tokio::time::interval(pause);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    glances
}

/// The processes with a text in their arguments.
pub(crate) fn processes_with(text: &str) -> Vec<Pid> {
    let Ok(folders) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = folders.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_text = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    pids.filter(has_text).map(Pid::from_raw).collect()
}

/// The rest of the first line with a text in it; nothing when there are no more lines.
async fn line_with(
    lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>,
    text: &str,
    log: &Mutex<Vec<String>>,
) -> Option<String> {
    while let Ok(Some(line)) = lines.next_line().await {
        let found = line.split_once(text).map(|(_, rest)| rest.to_owned());
        log.lock().unwrap().push(line);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What a reader would read aloud of a message's blocks.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text == "break" => "\n".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(plain).collect(),
        Value::Object(parts) => parts.iter().map(|(kind, part)| said(kind, part)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

fn said(kind: &str, part: &Value) -> String {
    let named = |name: &str| part[name].as_str().unwrap_or_default();
    match kind {
        "mention" => format!("@{}", named("name")),
        "channel" => format!("#{}", named("name")),
        "time" | "link" => named("text").to_owned(),
        "list" => {
            part.as_array().unwrap().iter().map(|item| format!("- {}\n", plain(item))).collect()
        }
        "paragraph" | "heading" | "quote" | "code" if part.is_array() => {
            format!("{}\n", plain(part))
        }
        _ => plain(part),
    }
}
