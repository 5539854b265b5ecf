//! What the benches share: those who click, a Slack that says yes, and the program. All of it shares
//! the machine with what is measured, so that it does as little as it can, and on one thread: else it
//! would compete for every core with what it measures.

#![allow(dead_code, reason = "each bench uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tminus::config::{self, Config, Surroundings};
use tminus::domain::command::{Actor, Claims};
use tminus::domain::ids::Account;
use tminus::domain::plan::Plan;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const SECRET: &str = "a-signing-secret-0123456789abcdef";
/// The card that asks for go or no-go, as Slack keeps it.
const CARD: &str = include_str!("card.json");
const SAMPLE: &str = include_str!("../../config/plans/web-shop-v1.2.0.toml");
pub(crate) const TOKEN: &str = "token-of-maria-0123456789-0123456789-0123456789";
static SERIAL: AtomicU64 = AtomicU64::new(1);

#[allow(clippy::print_stdout, reason = "a bench reports to whoever started it")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn serial() -> u64 {
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn secrets() -> [(&'static str, String); 4] {
    let [bot, app] = ["xoxb", "xapp"].map(|kind| [kind, "1"].join("-"));
    let (signing, token) = (SECRET.to_owned(), TOKEN.to_owned());
    [("BOT", bot), ("APP", app), ("SIGNING", signing), ("TOKEN", token)]
}

pub(crate) fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(((times.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default()
}

// ---------------------------------------------------------------------------------------------
// What is released

/// The embedded default and its sample plan.
pub(crate) fn sample() -> (Config, Plan) {
    let surroundings = Surroundings {
        state: Some(PathBuf::from("state")),
        own_program: PathBuf::from("tminus"),
        demo_url: Some("http://127.0.0.1:1".into()),
    };
    let config = config::load(None, &surroundings, &|_| None).expect("the default is valid");
    let plan = config::read_plan(SAMPLE, "web-shop-v1.2.0.toml").expect("the sample is valid");
    (config, plan)
}

pub(crate) fn person(name: &str) -> Actor {
    Actor::Person { account: Account::new("console", "local", name), claims: Claims::default() }
}

/// An installation in `dir` with the people of the embedded default, one of them in Slack too: its
/// program, to be told what to do.
pub(crate) fn installed(dir: &Path, slack: &str, mode: &str) -> anyhow::Result<Command> {
    let house =
        include_str!("../../config/default.toml").replace("{demo_url}", "http://127.0.0.1:9");
    let quinn = "accounts = [\"console/local/quinn\", \"slack/T0123/UQUINN\"]";
    let house = house.replace("accounts = [\"console/local/quinn\"]", quinn);
    let house = house.replace("\"console/local/releases\"", "\"slack/T0123/C1\"");
    let house = house
        .replace("listen = \"127.0.0.1:7777\"", "public_url = \"https://tminus.example\"")
        .replace("platforms = [\"console/local\"]", "platforms = [\"slack/T0123\"]");
    let house = format!(
        "{house}\n[console.tokens]\nmaria = {{ env = \"TOKEN\" }}\n[slack]\nteam = \"T0123\"\n\
         mode = \"{mode}\"\napi_url = \"{slack}\"\nbot_token = {{ env = \"BOT\" }}\n\
         app_token = {{ env = \"APP\" }}\nsigning_secret = {{ env = \"SIGNING\" }}\n"
    );
    std::fs::create_dir_all(dir.join("plans"))?;
    std::fs::write(dir.join("plans/web-shop-v1.2.0.toml"), SAMPLE)?;
    std::fs::write(dir.join("tminus.toml"), house)?;
    Ok(program(dir))
}

/// The program on what stands in `dir`, which keeps what it logs, too.
pub(crate) fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tminus"));
    if let Ok(log) = std::fs::File::create(dir.join("log.txt")) {
        command.stderr(log);
    }
    command.arg("--state").arg(dir.join("state")).arg("--config").arg(dir.join("tminus.toml"));
    command.envs(secrets()).stdin(Stdio::null());
    command
}

// ---------------------------------------------------------------------------------------------
// Those who click

/// A press of a button, as Slack posts and signs it: with the card that it is on.
pub(crate) fn click(user: &str, command: &str) -> Vec<u8> {
    // What is the same each time is encoded once, since those who click share the machine.
    static AROUND: LazyLock<String> = LazyLock::new(|| {
        let card: Value = serde_json::from_str(CARD).expect("it is in the repository");
        let around = json!({
            "type": "block_actions", "api_app_id": "A1", "token": "old", "enterprise": null,
            "container": {"type": "message", "message_ts": card["ts"], "channel_id": "C1"},
            "team": {"id": "T0123", "domain": "acme"}, "state": {"values": {}}, "message": card,
            "channel": {"id": "C1", "name": "releases"}, "is_enterprise_install": false,
        });
        let around = around.to_string();
        encoded(around.strip_suffix('}').expect("an object"))
    });
    let (n, around, value) = (serial(), &*AROUND, Value::from(command));
    let pressed = encoded(&format!(
        concat!(
            r#","trigger_id":"{n}.1.bench","user":{{"id":"{user}","username":"somebody","#,
            r#""team_id":"T0123"}},"actions":[{{"action_id":"press-0","block_id":"row-0","#,
            r#""text":{{"type":"plain_text","text":"GO","emoji":true}},"value":{value},"#,
            r#""type":"button","action_ts":"1763800001.000100"}}]}}"#
        ),
        n = n,
        user = user,
        value = value
    ));
    let body = format!("payload={around}{pressed}");
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(format!("v0:{time}:{body}").as_bytes());
    let hex = hex(&mac.finalize().into_bytes());
    let length = body.len();
    format!(
        "POST /slack/interactions HTTP/1.1\r\nhost: tminus.example\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\
         x-slack-request-timestamp: {time}\r\nx-slack-signature: v0={hex}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn encoded(json: &str) -> String {
    form_urlencoded::byte_serialize(json.as_bytes()).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).expect("below sixteen");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Sends one request and reads its answer, on a line that stays open.
pub(crate) async fn exchanged(
    line: &mut TcpStream,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    line.write_all(request).await?;
    answer.clear();
    let head = whole(line, answer).await?.0;
    let text = std::str::from_utf8(&answer[..head])?;
    anyhow::ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(())
}

/// Reads until a head and its body are there: their lengths.
async fn whole(line: &mut TcpStream, heard: &mut Vec<u8>) -> anyhow::Result<(usize, usize)> {
    let head = loop {
        if let Some(head) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
            break head + 4;
        }
        anyhow::ensure!(line.read_buf(heard).await? > 0, "the line was closed");
    };
    let text = std::str::from_utf8(&heard[..head])?.to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).and_then(|it| it.lines().next());
    let length: usize = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
    while heard.len() < head + length {
        anyhow::ensure!(line.read_buf(heard).await? > 0, "the line was closed");
    }
    Ok((head, length))
}

// ---------------------------------------------------------------------------------------------
// A Slack that says yes

type Hears = Arc<dyn Fn(&str, &Value) + Send + Sync>;

/// Answers where its Web API is. `hears` is told each call.
pub(crate) async fn slack(hears: Option<Hears>) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let api = format!("http://{}/api", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((line, _)) = listener.accept().await {
            tokio::spawn(says_yes(line, hears.clone()));
        }
    });
    Ok(api)
}

async fn says_yes(mut line: TcpStream, hears: Option<Hears>) -> anyhow::Result<()> {
    line.set_nodelay(true)?;
    let mut heard: Vec<u8> = Vec::new();
    loop {
        let (head, length) = whole(&mut line, &mut heard).await?;
        let first = std::str::from_utf8(&heard[..head])?.lines().next().unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default();
        let method =
            path.rsplit('/').next().and_then(|it| it.split('?').next()).unwrap_or_default();
        if let Some(hears) = &hears {
            let body = serde_json::from_slice(&heard[head..head + length]).unwrap_or_default();
            hears(method, &body);
        }
        let asked = path.split("user=").nth(1).and_then(|it| it.split('&').next());
        let user = asked.unwrap_or("U1");
        let n = serial();
        let answer = format!(
            r#"{{"ok": true, "team_id": "T0123", "team": "acme", "user_id": "UBOT", "bot_id": "B1",
            "url": "https://acme.slack.com/", "ts": "{n}.000001", "message_ts": "{n}.000001",
            "channel": {{"id": "C{n}", "name": "room"}}, "messages": [],
            "user": {{"id": "{user}", "name": "somebody", "team_id": "T0123"}}}}"#
        );
        let size = answer.len();
        let whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n{answer}"
        );
        line.write_all(whole.as_bytes()).await?;
        heard.drain(..head + length);
    }
}

// ---------------------------------------------------------------------------------------------
// What is measured

pub(crate) struct Program {
    child: Child,
    port: u16,
}

impl Program {
    /// Once a signed click gets an answer.
    pub(crate) async fn start(mut command: Command, port: u16) -> anyhow::Result<Self> {
        let mut program = Self { child: command.spawn()?, port };
        let begun = Instant::now();
        let mut answer = Vec::new();
        loop {
            if let Some(status) = program.child.try_wait()? {
                anyhow::bail!("it ended: {status}");
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(120), "it is not ready");
            if let Ok(mut line) = TcpStream::connect(("127.0.0.1", port)).await
                && exchanged(&mut line, &click("UQUINN", "go --as qa"), &mut answer).await.is_ok()
            {
                return Ok(program);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Seconds, of all its threads, in its own code and in the kernel.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        let field =
            |n: usize| after.split_whitespace().nth(n).and_then(|it| it.parse::<f64>().ok());
        // In ticks of a hundredth; the state is the first after the bracket.
        (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / 100.0
    }

    pub(crate) fn resident(&self) -> f64 {
        resident(self.child.id())
    }

    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// What a person with a token types.
pub(crate) async fn typed(port: u16, line: &str) -> anyhow::Result<Value> {
    typed_on(&reqwest::Client::new(), port, line).await
}

/// The same, on a line that stays open.
pub(crate) async fn typed_on(
    http: &reqwest::Client,
    port: u16,
    line: &str,
) -> anyhow::Result<Value> {
    let asked = http.post(format!("http://127.0.0.1:{port}/api/commands"));
    let answer = asked.bearer_auth(TOKEN).json(&json!({"line": line})).send().await?;
    let status = answer.status();
    let answer: Value = answer.json().await?;
    anyhow::ensure!(status == 200 && answer["ok"] == true, "`{line}`: {answer}");
    Ok(answer)
}

/// Where files are put: `TMINUS_BENCH_DIR`, or the system's temporary directory.
pub(crate) fn place() -> anyhow::Result<tempfile::TempDir> {
    Ok(match std::env::var("TMINUS_BENCH_DIR") {
        Ok(place) => tempfile::tempdir_in(place)?,
        Err(_) => tempfile::tempdir()?,
    })
}

/// A file of the shop that the tests release in Slack.
pub(crate) fn prop(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/slack_stage").join(name);
    std::fs::read_to_string(path).expect("it is in the repository")
}

/// Resident memory in MiB, as Linux tells it.
pub(crate) fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let kb: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    kb / 1024.0
}
