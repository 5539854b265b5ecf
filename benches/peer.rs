//! A click beside a Slack app in Bolt for JavaScript that does the same, on the same machine in the
//! same run: signed, authorised by role, durable before it is acknowledged, and answered. Reported,
//! never asserted.
//!
//! `benches/peer/run` installs the app and starts this; `TMINUS_BENCH_SECONDS` (3),
//! `TMINUS_BENCH_ROUNDS` (3) and `TMINUS_BENCH_DIR` (the system's temporary directory, which is to be
//! on a disk) change how long, how often and where. NODE is the Node to start.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "a-signing-secret-0123456789abcdef";
const TOKEN: &str = "token-of-maria-0123456789-0123456789-0123456789";
const CLIENTS: [usize; 2] = [1, 64];
static SERIAL: AtomicU64 = AtomicU64::new(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let length = Duration::from_secs(number("TMINUS_BENCH_SECONDS", 3));
    let rounds = number("TMINUS_BENCH_ROUNDS", 3);
    let slack = slack().await?;
    let disk = std::env::var("TMINUS_BENCH_DIR")
        .unwrap_or_else(|_| std::env::temp_dir().display().to_string());
    for (place, name) in [("/dev/shm", "tmpfs"), (disk.as_str(), "disk")] {
        let mut told: Vec<(Who, Figures)> = Vec::new();
        for _ in 0..rounds {
            for who in [Who::Tminus, Who::Bolt] {
                let dir = tempfile::tempdir_in(place)?;
                told.push((who, figures(who, dir.path(), &slack, length).await?));
            }
        }
        say(&format!("\n{name}, the median of {rounds} rounds of {length:?}:"));
        compared(&told);
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a bench reports to whoever started it")]
fn say(text: &str) {
    println!("{text}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Tminus,
    Bolt,
}

/// One for each number of clients.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    rate: f64,
    p50: f64,
    p99: f64,
    /// CPU seconds of the process for 10,000 clicks.
    cpu: f64,
}

#[derive(Debug, Clone, Default)]
struct Figures {
    start_ms: f64,
    idle_mib: f64,
    peak_mib: f64,
    loads: Vec<Load>,
}

fn compared(told: &[(Who, Figures)]) {
    let median = |who: Who, of: &dyn Fn(&Figures) -> f64| {
        let mut all: Vec<f64> =
            told.iter().filter(|(one, _)| *one == who).map(|(_, figures)| of(figures)).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let line = |what: &str, of: &dyn Fn(&Figures) -> f64| {
        let (ours, theirs) = (median(Who::Tminus, of), median(Who::Bolt, of));
        say(&format!("| {what} | {ours:.2} | {theirs:.2} | {:.2} |", ours / theirs));
    };
    say("| what | tminus | Bolt | ratio |\n|---|---|---|---|");
    line("from start to the first acknowledged click, ms", &|it| it.start_ms);
    line("resident when idle, MiB", &|it| it.idle_mib);
    line("resident afterwards, MiB", &|it| it.peak_mib);
    for (n, clients) in CLIENTS.iter().enumerate() {
        line(&format!("clicks per second, {clients} clients"), &|it| it.loads[n].rate);
        line(&format!("p50 ms, {clients} clients"), &|it| it.loads[n].p50);
        line(&format!("p99 ms, {clients} clients"), &|it| it.loads[n].p99);
        line(&format!("CPU seconds for 10,000 clicks, {clients} clients"), &|it| it.loads[n].cpu);
    }
}

async fn figures(who: Who, dir: &Path, slack: &str, length: Duration) -> anyhow::Result<Figures> {
    let mut house = House::start(who, dir, slack).await?;
    // Once more, with what it has by then: a first start makes its files.
    house.stop()?;
    let begun = Instant::now();
    house = House::start(who, dir, slack).await?;
    let start_ms = begun.elapsed().as_secs_f64() * 1e3;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle_mib = house.resident();
    let mut loads = Vec::new();
    for clients in CLIENTS {
        loads.push(house.loaded(clients, length).await?);
    }
    let peak_mib = house.resident();
    house.stop()?;
    Ok(Figures { start_ms, idle_mib, peak_mib, loads })
}

// ---------------------------------------------------------------------------------------------
// Those who click

/// A press of GO by somebody who may, as Slack posts it.
fn click() -> Vec<u8> {
    let n = SERIAL.fetch_add(1, Ordering::Relaxed);
    let press = json!({
        "type": "block_actions", "team": {"id": "T0123", "domain": "acme"},
        "trigger_id": format!("{n}.1.bench"), "api_app_id": "A1", "token": "old",
        "user": {"id": "UQUINN", "team_id": "T0123", "username": "quinn"},
        "channel": {"id": "C1", "name": "releases"}, "container": {"type": "message"},
        "actions": [{
            "type": "button", "block_id": "row-0", "action_id": "press-0", "value": "go --as qa",
            "action_ts": "1.1", "text": {"type": "plain_text", "text": "GO"},
        }],
    });
    let mut form = form_urlencoded::Serializer::new(String::new());
    let body = form.append_pair("payload", &press.to_string()).finish();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(format!("v0:{time}:{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
    let length = body.len();
    format!(
        "POST /slack/interactions HTTP/1.1\r\nhost: tminus.example\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\
         x-slack-request-timestamp: {time}\r\nx-slack-signature: v0={hex}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends one request and reads its answer, on a line that stays open.
async fn exchanged(
    line: &mut TcpStream,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    line.write_all(request).await?;
    answer.clear();
    let (head, length) = loop {
        anyhow::ensure!(line.read_buf(answer).await? > 0, "the line was closed");
        if let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = std::str::from_utf8(&answer[..head])?;
            anyhow::ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
            let lower = text.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1).and_then(|it| it.lines().next());
            break (head + 4, length.and_then(|it| it.parse().ok()).unwrap_or(0usize));
        }
    };
    while answer.len() < head + length {
        anyhow::ensure!(line.read_buf(answer).await? > 0, "the line was closed");
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// A Slack that says yes

/// As little as can be: it shares the machine.
async fn slack() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let api = format!("http://{}/api/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((line, _)) = listener.accept().await {
            tokio::spawn(yes(line));
        }
    });
    Ok(api)
}

async fn yes(mut line: TcpStream) -> anyhow::Result<()> {
    let _ = line.set_nodelay(true);
    let mut heard: Vec<u8> = Vec::new();
    loop {
        let head = loop {
            if let Some(head) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
                break head + 4;
            }
            anyhow::ensure!(line.read_buf(&mut heard).await? > 0, "closed");
        };
        let text = std::str::from_utf8(&heard[..head])?.to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|it| it.lines().next());
        let length: usize = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
        while heard.len() < head + length {
            anyhow::ensure!(line.read_buf(&mut heard).await? > 0, "closed");
        }
        let answer = match text.contains("/users.info") {
            true => {
                json!({"ok": true, "user": {"id": "UQUINN", "name": "quinn", "team_id": "T0123"}})
            }
            false => json!({
                "ok": true, "team_id": "T0123", "team": "acme", "user_id": "UBOT", "bot_id": "B1",
                "user": "tminus", "url": "https://acme.slack.com/", "ts": "1.000001",
                "message_ts": "1.000001", "channel": {"id": "C1"},
            }),
        }
        .to_string();
        let size = answer.len();
        let whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n{answer}"
        );
        line.write_all(whole.as_bytes()).await?;
        heard.drain(..head + length);
    }
}

// ---------------------------------------------------------------------------------------------
// The two

struct House {
    child: Child,
    port: u16,
}

impl House {
    /// Until its first click is acknowledged.
    async fn start(who: Who, dir: &Path, slack: &str) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let child = match who {
            Who::Tminus => tminus(dir, slack, port)?,
            Who::Bolt => bolt(dir, slack, port)?,
        };
        let mut house = Self { child, port };
        if who == Who::Tminus && !dir.join("scheduled").exists() {
            house.schedules().await?;
            std::fs::write(dir.join("scheduled"), "")?;
        }
        let mut answer = Vec::new();
        loop {
            if let Some(status) = house.child.try_wait()? {
                anyhow::bail!("{who:?} ended: {status}");
            }
            if let Ok(mut line) = TcpStream::connect(("127.0.0.1", port)).await
                && exchanged(&mut line, &click(), &mut answer).await.is_ok()
            {
                return Ok(house);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn schedules(&self) -> anyhow::Result<()> {
        let asked = json!({"line": "schedule web-shop-v1.2.0 in 30h"});
        let address = format!("http://127.0.0.1:{}/api/commands", self.port);
        let http = reqwest::Client::new();
        for _ in 0..500 {
            match http.post(&address).bearer_auth(TOKEN).json(&asked).send().await {
                Ok(answer) => {
                    anyhow::ensure!(answer.status() == 200, "{}", answer.text().await?);
                    return Ok(());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        anyhow::bail!("nobody listens")
    }

    async fn loaded(&self, clients: usize, length: Duration) -> anyhow::Result<Load> {
        let (cpu, begun) = (self.cpu(), Instant::now());
        let until = begun + length;
        let port = self.port;
        let work = (0..clients).map(|_| {
            tokio::spawn(async move {
                let mut line = TcpStream::connect(("127.0.0.1", port)).await?;
                line.set_nodelay(true)?;
                let (mut times, mut answer) = (Vec::new(), Vec::new());
                while Instant::now() < until {
                    let request = click();
                    let asked = Instant::now();
                    exchanged(&mut line, &request, &mut answer).await?;
                    times.push(asked.elapsed());
                }
                anyhow::Ok(times)
            })
        });
        let mut times: Vec<Duration> = Vec::new();
        for client in work.collect::<Vec<_>>() {
            times.extend(client.await??);
        }
        // Answers to people may still be on their way: they are part of the work.
        tokio::time::sleep(Duration::from_secs(1)).await;
        times.sort();
        let at =
            |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let many = times.len() as f64;
        Ok(Load {
            rate: many / length.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            cpu: (self.cpu() - cpu) / many * 1e4,
        })
    }

    /// Seconds, of all its threads, in its own code and in the kernel.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        let field =
            |n: usize| after.split_whitespace().nth(n).and_then(|it| it.parse::<f64>().ok());
        // The 14th and the 15th, in ticks of a hundredth: the first two stand before the bracket.
        (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / 100.0
    }

    fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        let kb: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
        kb / 1024.0
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn secrets() -> [(&'static str, String); 3] {
    let bot = ["xoxb", "1"].join("-");
    [("BOT", bot), ("SIGNING", SECRET.to_owned()), ("TOKEN", TOKEN.to_owned())]
}

fn bolt(dir: &Path, slack: &str, port: u16) -> anyhow::Result<Child> {
    let node = std::env::var("NODE").unwrap_or_else(|_| "node".to_owned());
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/app.mjs");
    let mut command = Command::new(&node);
    command.args([app, &port.to_string()]).arg(dir).arg(slack).envs(secrets());
    command.env("NODE_NO_WARNINGS", "1").stdin(Stdio::null());
    command.spawn().with_context(|| format!("starting {node}; benches/peer/run installs the app"))
}

fn tminus(dir: &Path, slack: &str, port: u16) -> anyhow::Result<Child> {
    std::fs::write(dir.join("tminus.toml"), config(slack))?;
    let plan = include_str!("../config/plans/web-shop-v1.2.0.toml");
    std::fs::create_dir_all(dir.join("plans"))?;
    std::fs::write(dir.join("plans/web-shop-v1.2.0.toml"), plan)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tminus"));
    command.arg("--state").arg(dir.join("state")).arg("--config").arg(dir.join("tminus.toml"));
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).envs(secrets());
    command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.spawn()?)
}

/// The people of the embedded default, one of them in Slack too.
fn config(slack: &str) -> String {
    let house = include_str!("../config/default.toml").replace("{demo_url}", "http://127.0.0.1:9");
    let quinn = "accounts = [\"console/local/quinn\", \"slack/T0123/UQUINN\"]";
    let house = house.replace("accounts = [\"console/local/quinn\"]", quinn);
    let house = house.replace("\"console/local/releases\"", "\"slack/T0123/C1\"");
    let house = house
        .replace("listen = \"127.0.0.1:7777\"", "public_url = \"https://tminus.example\"")
        .replace("platforms = [\"console/local\"]", "platforms = [\"slack/T0123\"]");
    let api = slack.trim_end_matches('/');
    format!(
        "{house}\n[console.tokens]\nmaria = {{ env = \"TOKEN\" }}\n[slack]\nteam = \"T0123\"\n\
         mode = \"http\"\napi_url = \"{api}\"\nbot_token = {{ env = \"BOT\" }}\n\
         signing_secret = {{ env = \"SIGNING\" }}\n"
    )
}
