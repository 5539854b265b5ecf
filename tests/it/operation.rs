//! Running it: health, numbers, logs, secrets, tokens, and what others may send or get.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::installed::{Installed, Running, until};
use crate::program::Program;

pub(crate) const MARIA: &str = "token-of-maria-0123456789-0123456789-0123456789";
const ANN: &str = "token-of-ann-0123456789-0123456789-0123456789-01";
const CI: &str = "token-of-ci-0123456789-0123456789-0123456789-012";
const LEAK: &str = "hunter2-correct-horse-battery-staple";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0MfKQ9r8GKY=";

/// The embedded default's people and words, installed for real: tokens, a pipeline, a webhook, and
/// an action that says its secret aloud.
fn installed(hook: &str) -> Installed {
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let config = config.replace("{demo_url}", "http://127.0.0.1:9").replace(
        "internal = [\"console/local/releases\"]",
        "internal = [\"console/local/releases\", \"webhook:status-page\"]",
    );
    let more = format!(
        r#"
[log]
format = "json"

[console.tokens]
maria = {{ env = "TOKEN_MARIA" }}
ann = {{ env = "TOKEN_ANN" }}

[machines.ci]
token = {{ env = "TOKEN_CI" }}
may = ["evidence", "checklist", "update"]

[webhooks.status-page]
url = "{hook}"
secret = {{ env = "SIGNING" }}

[[announcement]]
id = "soon"
at = "T-2h"
audience = "internal"
template = "t-48h"

[actions.leak]
command = ["sh", "-c", "echo out $LEAKED; echo err $LEAKED >&2; exit 3"]
secrets = {{ LEAKED = {{ env = "LEAK" }} }}
limit = "1m"
repeat_safe = true
from_chat = true
"#
    );
    let here = Installed::new(&format!("{config}{more}"));
    let sample = std::fs::read_to_string("config/plans/web-shop-v1.2.0.toml").unwrap();
    here.write("plans/web-shop-v1.2.0.toml", &sample);
    here.with_env("TOKEN_MARIA", MARIA)
        .with_env("TOKEN_ANN", ANN)
        .with_env("TOKEN_CI", CI)
        .with_env("SIGNING", SIGNING)
        .with_env("LEAK", LEAK)
}

const NOWHERE: &str = "http://127.0.0.1:9/hook";

pub(crate) async fn said(running: &Running, token: &str, line: &str) -> String {
    let (status, answer) = running.line(token, line).await;
    assert!(status == 200 && answer["ok"] == true, "{line}: {answer}");
    answer["text"].as_str().unwrap().to_owned()
}

async fn refused(running: &Running, token: &str, line: &str) -> String {
    let (status, answer) = running.line(token, line).await;
    assert!(status == 200 && answer["ok"] == false, "{line}: {answer}");
    answer["text"].as_str().unwrap().to_owned()
}

/// What the page shows to whoever holds the token.
pub(crate) async fn page(running: &Running, token: &str) -> String {
    let cookie = cookie(running, token).await;
    let request = running.client().get(format!("{}/console/state", running.address));
    request.header("cookie", cookie).send().await.unwrap().text().await.unwrap()
}

pub(crate) async fn cookie(running: &Running, token: &str) -> String {
    let request = running.client().post(format!("{}/console/enter", running.address));
    let request = request.header("origin", &running.address).json(&json!({ "token": token }));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(token), "the cookie is not the token");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn it_says_whether_it_is_alive_and_ready_and_gives_its_numbers() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    assert_eq!(running.get("/healthz").await, (StatusCode::OK, "alive\n".to_owned()));
    let (status, ready) = running.get("/readyz").await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert!(status == 200 && ready == json!({ "ready": true, "problems": [] }), "{ready}");
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 30h").await;
    let (status, numbers) = running.get("/metrics").await;
    assert_eq!(status, 200);
    for line in ["tminus_releases_open 1", "tminus_requests_refused_total 0"] {
        assert!(numbers.lines().any(|found| found == line), "{line}: {numbers}");
    }
    let ahead = async || {
        let numbers = running.get("/metrics").await.1;
        let mut lines = numbers.lines();
        let due = lines.find_map(|line| line.strip_prefix("tminus_next_deadline_seconds "));
        due.unwrap().parse::<f64>().unwrap() > 0.0
    };
    running.until("what was due is done", ahead).await;
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn every_line_of_the_log_is_json_with_the_entry_and_the_release() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 30h").await;
    refused(&running, MARIA, "start v1.2.0").await;
    assert!(running.stopped().await.success());
    let logged = here.logged();
    let lines: Vec<Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let id = "web-shop/production/v1.2.0#1";
    let of_it: Vec<&Value> = lines.iter().filter(|line| line["release.id"] == id).collect();
    assert!(of_it.len() >= 2, "{logged}");
    assert!(of_it.iter().any(|line| line["log.seq"].as_u64() == Some(3)), "{logged}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
    assert!(lines.iter().any(|line| line["message"].as_str().unwrap().starts_with("stopping")));
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[tokio::test]
async fn secrets_are_in_no_log_no_message_and_no_export() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 50m").await;
    said(&running, MARIA, "run v1.2.0 leak").await;
    let status = || async { said(&running, MARIA, "audit v1.2.0 --last 50").await };
    running.until("the run has ended", async || status().await.contains("leak failed")).await;
    running
        .until("its output is shown", async || page(&running, MARIA).await.contains("out "))
        .await;
    let shown = [page(&running, MARIA).await, status().await, running.get("/metrics").await.1];
    for line in ["status", "report v1.2.0", "plan v1.2.0"] {
        said(&running, MARIA, line).await;
    }
    let mut exports = Vec::new();
    for format in ["jsonl", "csv", "markdown"] {
        exports.push(here.cli(&["audit", "export", "--format", format]).await.expect(0, &[]).out);
    }
    exports.push(here.cli(&["document", "report", "v1.2.0"]).await.expect(0, &[]).out);
    exports.push(here.cli(&["doctor"]).await.out);
    exports.push(here.cli(&["config", "check"]).await.out);
    assert!(running.stopped().await.success());
    exports.push(here.logged());
    for secret in [LEAK, MARIA, ANN, CI, SIGNING, &SIGNING[6..]] {
        for text in shown.iter().chain(&exports) {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        // What a run wrote is kept as it wrote it, for its owner alone.
        let kept = files(&here.state()).into_iter().filter(|path| !is_raw(path));
        for path in kept {
            assert!(!holds(&std::fs::read(&path).unwrap(), secret), "{secret}: {path:?}");
        }
    }
}

fn is_raw(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "runs")
}

#[tokio::test]
async fn it_listens_beyond_this_machine_only_with_tokens() {
    let demo = Installed::demo();
    let parts = ["0.0.0.0", "token"];
    demo.cli(&["serve", "--listen", "0.0.0.0:0"]).await.expect(1, &parts);
    assert!(!demo.state().exists(), "nothing was begun");
    let config = "[console]\nenabled = true\n";
    let bare = Installed::new(config);
    bare.cli(&["serve", "--listen", "0.0.0.0:0"]).await.expect(1, &["console.tokens"]);
    let short = Installed::new(
        "[people.maria]\nname = \"Maria\"\n[console.tokens]\nmaria = { env = \"T\" }\n",
    )
    .with_env("T", "short");
    short.cli(&["config", "check"]).await.expect(1, &["shorter than"]);
    let inline =
        Installed::new("[console.tokens]\nmaria = \"0123456789012345678901234567890123\"\n");
    let refused = inline.cli(&["config", "check"]).await.expect(1, &["env"]);
    assert!(!refused.out.contains("01234567890"), "{}", refused.out);
}

/// From whatever folder it is started, and whoever only knocks at it; what stopped stands alone.
#[tokio::test]
async fn the_configuration_says_where_the_state_is() {
    let keep = tempfile::TempDir::new().unwrap();
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let config = config.replace("{demo_url}", "http://127.0.0.1:9");
    let config = config.replace("127.0.0.1:7777", "127.0.0.1:0");
    let file = keep.path().join("tminus.toml");
    let own = "[state]\ndir = \"kept/here\"\n[console.tokens]\nmaria = { env = \"TOKEN\" }\n";
    std::fs::write(&file, format!("{config}\n{own}")).unwrap();
    let elsewhere = keep.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let run = |args: &[&str]| {
        let mut command = tokio::process::Command::new(crate::program::binary());
        command.args(args).arg("--config").arg(&file).current_dir(&elsewhere);
        command.env("TMINUS_TOKEN", MARIA).env("TOKEN", MARIA).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut serving = run(&["serve"]).spawn().unwrap();
    let state = keep.path().join("kept/here");
    until("it is there", async || state.join("url").exists()).await;
    let asked = async || run(&["roles"]).output().await.unwrap().status.success();
    until("it is found by who knocks", asked).await;
    let pid = Pid::from_raw(i32::try_from(serving.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(serving.wait().await.unwrap().success());
    assert!(!elsewhere.join(".tminus").exists());
    // Whoever copies the one file has all of it.
    let copy = keep.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(state.join("tminus.db"), copy.join("tminus.db")).unwrap();
    let verified = run(&["audit", "verify", "--state", copy.to_str().unwrap()]).output().await;
    let verified = String::from_utf8(verified.unwrap().stdout).unwrap();
    assert!(verified.starts_with("The log is what was written: "), "{verified}");
    let mode = std::fs::metadata(state.join("tminus.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// And not as the configuration at hand does, which an auditor may not even have.
#[tokio::test]
async fn an_export_names_people_as_the_log_does() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 30h").await;
    assert!(said(&running, ANN, "go v1.2.0").await.contains("GO for Engineering"));
    assert!(running.stopped().await.success());
    let config = std::fs::read_to_string(here.path("tminus.toml")).unwrap();
    here.write("tminus.toml", &config.replace("name = \"Ann\"", "name = \"Somebody else\""));
    let export = here.cli(&["audit", "export"]).await.expect(0, &["Ann said GO for Engineering"]);
    assert!(!export.out.contains("Somebody else said"), "{}", export.out);
}

/// Whoever chose a folder of their own for the state finds in it what was there before.
#[tokio::test]
async fn to_start_over_puts_away_what_is_ours_and_nothing_else() {
    let keep = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(keep.path().join("docs")).unwrap();
    std::fs::write(keep.path().join("docs/thesis"), "dear to somebody").unwrap();
    let program = Program::start_in(keep.path()).await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
    let token = program.token();
    let host = program.address.clone();
    let over = reqwest::Client::new().post(format!("{host}/demo/start-over"));
    let over = over.header("origin", &host).json(&json!({})).send().await.unwrap();
    assert_eq!(over.status(), 200);
    let anew =
        async || std::fs::read_to_string(keep.path().join("token")).is_ok_and(|it| it != token);
    until("it has begun anew", anew).await;
    assert_eq!(
        std::fs::read_to_string(keep.path().join("docs/thesis")).unwrap(),
        "dear to somebody"
    );
    drop(program);
}

#[tokio::test]
async fn one_token_is_one_person_and_the_demo_is_not_there() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    for path in ["/demo/clock", "/demo/jump", "/demo/start-over"] {
        assert_eq!(running.get(path).await.0, 404, "{path}");
        assert_eq!(running.post(path, &json!({ "id": "12345678" })).await.0, 404, "{path}");
    }
    assert!(!here.state().join("demo").exists() && !here.state().join("token").exists());
    assert_eq!(running.get("/console/state").await.0, 401);
    assert_eq!(running.get("/console/state?as=maria").await.0, 401);
    assert_eq!(running.get("/console/events").await.0, 401);
    let (status, _) = running.line("token-of-nobody-0123456789-0123456789", "status").await;
    assert_eq!(status, 401);
    let as_ann = json!({ "line": "roles", "as": "ann" });
    let (status, answer) = running.line_with(MARIA, &as_ann, None).await;
    assert!(status == 403 && answer["error"].as_str().unwrap().contains("cannot speak as"));
    let (status, _) = running.line_with(CI, &as_ann, None).await;
    assert_eq!(status, 403);
    let cookie = cookie(&running, ANN).await;
    let other = running.client().get(format!("{}/console/state?as=maria", running.address));
    assert_eq!(other.header("cookie", &cookie).send().await.unwrap().status(), 403);
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 30h").await;
    assert!(said(&running, ANN, "go v1.2.0").await.contains("GO for Engineering"));
    assert!(refused(&running, ANN, "start v1.2.0").await.contains("You may not start"));
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn a_page_of_somebody_else_can_do_nothing() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    let cookie = cookie(&running, MARIA).await;
    let deed = json!({ "id": "12345678", "channel": "releases", "line": "/release list" });
    let send = async |origin: Option<&str>, host: Option<&str>, kind: &str| {
        let request = running.client().post(format!("{}/console/say", running.address));
        let request = request.header("cookie", &cookie).header("content-type", kind);
        let request = origin.into_iter().fold(request, |r, origin| r.header("origin", origin));
        let request = host.into_iter().fold(request, |r, host| r.header("host", host));
        request.body(deed.to_string()).send().await.unwrap().status().as_u16()
    };
    let (own, sound) = (Some(running.address.as_str()), "application/json");
    assert_eq!(send(own, None, sound).await, 200);
    assert_eq!(send(None, None, sound).await, 403);
    assert_eq!(send(Some("http://evil.example"), None, sound).await, 403);
    assert_eq!(send(Some("null"), None, sound).await, 403);
    assert_eq!(send(Some("http://evil.example"), Some("evil.example"), sound).await, 421);
    assert_eq!(send(own, None, "text/plain").await, 415);
    let page = running.client().get(&running.address).header("host", "evil.example");
    assert_eq!(page.send().await.unwrap().status(), 421);
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn a_pipeline_reports_and_neither_votes_nor_overrides() {
    let receiver = Receiver::start().await;
    let here = installed(&receiver.url);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 30h").await;
    said(&running, CI, "evidence v1.2.0 staging fail --link https://ci.example/7").await;
    said(&running, CI, "evidence v1.2.0 staging pass --link https://ci.example/8").await;
    said(&running, CI, "status v1.2.0").await;
    running.until("it is quiet", async || quiet(&running).await).await;
    let before = here.deeds().await;
    for line in [
        "go v1.2.0",
        "go v1.2.0 --as qa",
        "no-go v1.2.0 because",
        "override v1.2.0 seat:qa because",
        "checklist v1.2.0 waive rollback --reason because",
        "start v1.2.0",
        "advance v1.2.0",
        "scrub v1.2.0 because",
        "rollback v1.2.0 --confirmed --reason because",
        "unlock v1.2.0 because --target web-shop/production",
        "schedule web-shop-v1.2.0 in 40h --version v1.3.0",
        "run v1.2.0 leak",
        "handover v1.2.0 ann",
        "accept v1.2.0 search --reason because",
    ] {
        refused(&running, CI, line).await;
    }
    assert_eq!(here.deeds().await, before);
    assert!(running.stopped().await.success());
}

pub(crate) async fn quiet(running: &Running) -> bool {
    let numbers = running.get("/metrics").await.1;
    let zero = |name: &str| numbers.lines().any(|line| line == format!("{name} 0"));
    zero("tminus_outbox_waiting") && zero("tminus_delivery_lanes_busy")
}

#[tokio::test]
async fn the_same_idempotency_key_acts_once() {
    let here = installed(NOWHERE);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 30h").await;
    let update = json!({ "line": "update v1.2.0 the cache is warm" });
    let first = running.line_with(MARIA, &update, Some("pipeline-7-step-3")).await;
    let again = running.line_with(MARIA, &update, Some("pipeline-7-step-3")).await;
    assert_eq!(first, again);
    let both = tokio::join!(
        running.line_with(MARIA, &update, Some("pipeline-7-step-4")),
        running.line_with(MARIA, &update, Some("pipeline-7-step-4")),
    );
    assert_eq!(both.0, both.1);
    // The key is of whoever uses it.
    let theirs = running.line_with(CI, &update, Some("pipeline-7-step-3")).await;
    assert_eq!(theirs.1["ok"], true, "{}", theirs.1);
    let other = json!({ "line": "update v1.2.0 something else" });
    let taken = running.line_with(MARIA, &other, Some("pipeline-7-step-3")).await.1;
    assert_eq!(taken["outcome"], "refused", "{taken}");
    let why = taken["text"].as_str().unwrap();
    assert!(why.contains("pipeline-7-step-3 was used for another request"), "{why}");
    for line in ["status v1.2.0", "no such line"] {
        let asked = json!({ "line": line });
        let read = running.line_with(MARIA, &asked, Some("pipeline-7-step-3")).await.1;
        assert_eq!(read["text"].as_str(), Some(why), "{line}");
    }
    let (status, wrong) = running.line_with(MARIA, &update, Some("short")).await;
    assert!(status == 400 && wrong["error"].as_str().unwrap().contains("8 to 100"), "{wrong}");
    let deeds = here.deeds().await;
    let count = |said: &str| deeds.iter().filter(|deed| *deed == said).count();
    assert_eq!(count("Maria: the cache is warm."), 2, "{deeds:#?}");
    assert_eq!(count("ci: the cache is warm."), 1, "{deeds:#?}");
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn the_directory_of_a_demo_is_never_that_of_an_installation() {
    let demo = Installed::demo();
    assert!(demo.start().await.stopped().await.success());
    let here = installed(NOWHERE);
    let args = ["serve", "--listen", "127.0.0.1:0"];
    let parts = ["belongs to the embedded demo", "--state DIR"];
    here.cli_on(&demo.state(), &args).await.expect(1, &parts);
    assert!(here.start().await.stopped().await.success());
    let parts = ["belongs to an installation", "--state DIR"];
    demo.cli_on(&here.state(), &args).await.expect(1, &parts);
    demo.cli(&["audit", "verify"]).await.expect(0, &["3 entries"]);
}

// ---------------------------------------------------------------------------------------------
// A receiver of webhooks

#[derive(Default)]
struct Received {
    /// Verified, and taken.
    taken: Vec<(String, Value)>,
    /// Turned away once, to be sent again.
    tries: Vec<String>,
}

struct Receiver {
    url: String,
    received: Arc<Mutex<Received>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn start() -> Self {
        let received: Arc<Mutex<Received>> = Arc::default();
        let router = Router::new().route("/hook", post(receive)).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, received, task }
    }

    fn taken(&self) -> Vec<(String, Value)> {
        self.received.lock().unwrap().taken.clone()
    }
}

/// Takes what is signed; the first one is turned away once, as a receiver that is restarted would.
async fn receive(
    State(received): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let hook = standardwebhooks::Webhook::new(SIGNING).unwrap();
    if hook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    crate::secrets::none_in("what a webhook got", &body);
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let mut received = received.lock().unwrap();
    received.tries.push(id.clone());
    if received.tries.len() == 1 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    received.taken.push((id, serde_json::from_slice(&body).unwrap()));
    StatusCode::NO_CONTENT
}

#[tokio::test]
async fn a_webhook_gets_each_announcement_once_and_signed() {
    let receiver = Receiver::start().await;
    let here = installed(&receiver.url);
    let running = here.start().await;
    let start = chrono::Utc::now() + chrono::Duration::hours(2) + chrono::Duration::seconds(2);
    let start = start.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    said(&running, MARIA, &format!("schedule web-shop-v1.2.0 {start}")).await;
    let announced = |taken: &[(String, Value)]| {
        let of_it = |(_, letter): &&(String, Value)| {
            letter["text"].as_str().is_some_and(|text| text.contains("goes out"))
        };
        taken.iter().filter(of_it).count()
    };
    until("the announcement is taken", async || announced(&receiver.taken()) > 0).await;
    said(&running, MARIA, "announce v1.2.0 search is slower for an hour").await;
    let by_hand = |taken: &[(String, Value)]| {
        taken.iter().filter(|(_, letter)| letter.to_string().contains("search is slower")).count()
    };
    until("the announcement by hand is taken", async || by_hand(&receiver.taken()) > 0).await;
    until("it is quiet", async || quiet(&running).await).await;
    assert!(running.stopped().await.success());
    // A new start says nothing twice.
    let running = here.start().await;
    until("it is quiet again", async || quiet(&running).await).await;
    let taken = receiver.taken();
    assert_eq!((announced(&taken), by_hand(&taken)), (1, 1), "{taken:#?}");
    let tries = receiver.received.lock().unwrap().tries.clone();
    assert_eq!(tries[0], tries[1], "sent again under the same id");
    assert_eq!(tries.len(), taken.len() + 1);
    assert!(running.stopped().await.success());
}
