//! From what somebody does in Slack to its acknowledgement, which waits until it is durable: the
//! whole program, over signed HTTP and over Socket Mode. Reported, never asserted.
//!
//! `cargo bench --bench slack`; `TMINUS_BENCH_SECONDS` (2) and `TMINUS_BENCH_DIR` (the system's
//! temporary directory) change how long and where. Those who click share the machine.

mod world;

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::extract::Path;
use axum::{Json, Router, routing::any};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message as Frame;

use self::world::{SECRET, TOKEN, installed, number, place, program, resident, say, serial};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let length = Duration::from_secs(number("TMINUS_BENCH_SECONDS", 2));
    for mode in ["http", "socket"] {
        let slack = Slack::start().await?;
        let house = House::start(&slack, mode).await?;
        say(&format!("{mode}: resident when ready: {:.0} MiB", house.resident()));
        for deed in [Deed::Line, Deed::Press] {
            for clients in [1, 16, 64, 256] {
                measured(&slack, &house, (mode, deed, clients), length).await?;
            }
        }
        say(&format!("{mode}: resident afterwards: {:.0} MiB", house.resident()));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Line,
    Press,
}

type Round = (&'static str, Deed, usize);

async fn measured(
    slack: &Slack,
    house: &House,
    (mode, deed, clients): Round,
    length: Duration,
) -> anyhow::Result<()> {
    let until = Instant::now() + length;
    let before = house.entries().await?;
    let work = (0..clients).map(|_| {
        let (lines, address) = (slack.lines.clone(), house.address.clone());
        tokio::spawn(async move {
            let (http, mut times) = (reqwest::Client::new(), Vec::new());
            while Instant::now() < until {
                let did = did(deed);
                let asked = Instant::now();
                match mode {
                    "http" => posted(&http, &address, deed, &did).await?,
                    _ => lines.send(deed, did).await?,
                }
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        })
    });
    let mut times: Vec<Duration> = Vec::new();
    for client in work.collect::<Vec<_>>() {
        times.extend(client.await??);
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (rate, kept) = (times.len() as f64 / length.as_secs_f64(), house.entries().await? - before);
    say(&format!(
        "{mode} {deed:?}, {clients:>3} clients: {rate:>6.0}/s, p50 {:?}, p95 {:?}, p99 {:?}; \
         {} acknowledged, {kept} entries",
        at(0.5),
        at(0.95),
        at(0.99),
        times.len()
    ));
    Ok(())
}

/// A vote of the QA lead: no-go with another reason each time, or a press of GO.
fn did(deed: Deed) -> Value {
    let n = serial();
    let trigger = format!("{n}.1.bench");
    match deed {
        Deed::Line => json!({
            "team_id": "T0123", "user_id": "UQUINN", "channel_id": "C1", "command": "/release",
            "text": format!("no-go --as qa \"reason {n}\""), "trigger_id": trigger,
        }),
        Deed::Press => json!({
            "type": "block_actions", "team": {"id": "T0123"}, "trigger_id": trigger,
            "user": {"id": "UQUINN", "team_id": "T0123"}, "channel": {"id": "C1"},
            "actions": [{"block_id": "row-0", "action_id": "press-0", "value": "go --as qa"}],
        }),
    }
}

/// Where Slack posts it, and as what.
fn form(deed: Deed, did: &Value) -> (&'static str, String) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    match deed {
        Deed::Line => {
            let fields = did.as_object().expect("a set of fields");
            form.extend_pairs(fields.iter().map(|(name, it)| (name, it.as_str().unwrap_or(""))));
            ("commands", form.finish())
        }
        Deed::Press => {
            form.append_pair("payload", &did.to_string());
            ("interactions", form.finish())
        }
    }
}

async fn posted(
    http: &reqwest::Client,
    address: &str,
    deed: Deed,
    did: &Value,
) -> anyhow::Result<()> {
    let (path, body) = form(deed, did);
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(format!("v0:{time}:{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
    let request = http.post(format!("{address}/slack/{path}")).body(body);
    let request = request.header("x-slack-request-timestamp", time);
    let answer = request.header("x-slack-signature", format!("v0={hex}")).send().await?;
    anyhow::ensure!(answer.status() == 200, "{}", answer.status());
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// A Slack that says yes

struct Slack {
    api: String,
    lines: Lines,
}

/// What waits for its acknowledgement, and the line that is open now.
#[derive(Clone, Default)]
struct Lines {
    out: Arc<Mutex<Option<mpsc::UnboundedSender<String>>>>,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>,
}

impl Slack {
    async fn start() -> anyhow::Result<Self> {
        let lines = Lines::default();
        let sockets = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}", sockets.local_addr()?);
        let own = lines.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = sockets.accept().await {
                tokio::spawn(own.clone().carry(stream));
            }
        });
        let answer = move |Path(method): Path<String>| {
            let url = url.clone();
            async move { Json(yes(&method, &url)) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let api = format!("http://{}/api", listener.local_addr()?);
        let router = Router::new().route("/api/{method}", any(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { api, lines })
    }
}

fn yes(method: &str, url: &str) -> Value {
    match method {
        "auth.test" => json!({"ok": true, "team_id": "T0123", "user_id": "UBOT"}),
        "apps.connections.open" => json!({"ok": true, "url": url}),
        "users.info" => json!({"ok": true, "user": {"id": "UQUINN", "name": "quinn"}}),
        _ => json!({"ok": true, "ts": format!("{}.000001", serial()), "channel": {"id": "D1"}}),
    }
}

impl Lines {
    async fn carry(self, stream: TcpStream) -> anyhow::Result<()> {
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        let hello = json!({"type": "hello", "num_connections": 1});
        socket.send(Frame::text(hello.to_string())).await?;
        let (out, mut orders) = mpsc::unbounded_channel();
        *self.out.lock().expect("no panic") = Some(out);
        loop {
            tokio::select! {
                Some(order) = orders.recv() => socket.send(Frame::text(order)).await?,
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        let receipt: Value = serde_json::from_str(&text)?;
                        let id = receipt["envelope_id"].as_str().unwrap_or_default();
                        let waiting = self.waiting.lock().expect("no panic").remove(id);
                        let _ = waiting.map(|it| it.send(()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Ok(()),
                },
            }
        }
    }

    async fn send(&self, deed: Deed, payload: Value) -> anyhow::Result<()> {
        let id = format!("envelope-{}", serial());
        let kind = match deed {
            Deed::Line => "slash_commands",
            Deed::Press => "interactive",
        };
        let envelope = json!({"envelope_id": id, "type": kind, "payload": payload}).to_string();
        let (told, tell) = oneshot::channel();
        self.waiting.lock().expect("no panic").insert(id, told);
        let out = self.out.lock().expect("no panic").clone().context("no line is open")?;
        out.send(envelope)?;
        Ok(tell.await?)
    }
}

// ---------------------------------------------------------------------------------------------
// The program

struct House {
    child: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl House {
    async fn start(slack: &Slack, mode: &str) -> anyhow::Result<Self> {
        let dir = place()?;
        let mut command = Command::from(installed(dir.path(), &slack.api, mode)?);
        command.args(["serve", "--listen", "127.0.0.1:0"]).kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        let address = loop {
            let line = out.next_line().await?.context("it ended before it was ready")?;
            if let Some(at) = line.find("http://") {
                break line[at..].trim_end_matches('/').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = out.next_line().await {} });
        let house = Self { child, address, dir };
        let asked = reqwest::Client::new().post(format!("{}/api/commands", house.address));
        let line = json!({"line": "schedule web-shop-v1.2.0 in 30h"});
        let answer = asked.bearer_auth(TOKEN).json(&line).send().await?;
        anyhow::ensure!(answer.status() == 200, "{}", answer.text().await?);
        Ok(house)
    }

    /// How long the log is.
    async fn entries(&self) -> anyhow::Result<usize> {
        let mut export = Command::from(program(self.dir.path()));
        let export = export.args(["audit", "export"]).output().await?;
        Ok(export.stdout.iter().filter(|byte| **byte == b'\n').count())
    }

    fn resident(&self) -> f64 {
        resident(self.child.id().unwrap_or_default())
    }
}
