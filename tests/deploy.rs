//! The deploy backends and the courier against real processes and real sockets, and the demo shop
//! as the sample release deploys it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use standardwebhooks::Webhook as Hook;
use tempfile::TempDir;
use tminus::adapters::courier;
use tminus::adapters::deploy::{Backends, Ending, Program, ProgramAction, Webhook, WebhookAction};
use tminus::demo::{self, Demo, Shop};
use tminus::ports::{Courier, Deployer, Failure, Letter, Outcome, Ran, Receipt, Run, Sighting};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const PATIENCE: Duration = Duration::from_secs(60);

// ---------------------------------------------------------------------------------------------
// Programs

fn script(text: &str) -> ProgramAction {
    let command = ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
    ProgramAction { command, ..ProgramAction::default() }
}

fn run(key: &str, with: &[(&str, &str)]) -> Run {
    Run {
        key: key.to_owned(),
        action: "step".to_owned(),
        with: with.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        limit: Duration::from_secs(60),
    }
}

fn program(dir: &Path, action: ProgramAction) -> Program {
    let actions = BTreeMap::from([("step".to_owned(), action)]);
    Program::new(dir.to_owned(), actions, vec!["tok-1234".to_owned()])
        .with_limits(Duration::from_millis(500), 1 << 30)
}

/// The outcome and all lines of one run.
async fn all(program: &dyn Deployer, run: &Run) -> (Result<Ran, Failure>, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let note = |line: &str| lines.lock().expect("no panic").push(line.to_owned());
    let ran = timeout(PATIENCE, program.run(run, &note)).await.expect("it ends");
    (ran, lines.into_inner().expect("no panic"))
}

async fn one(action: ProgramAction) -> (Ran, Vec<String>) {
    let dir = tempfile::tempdir().expect("a directory");
    let (ran, lines) = all(&program(dir.path(), action), &run("k", &[])).await;
    (ran.expect("it ran"), lines)
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let mut tick = interval(Duration::from_millis(10));
    // A look that is late is not caught up on: what is waited for needs the machine.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waited = timeout(PATIENCE, async {
        while !holds().await {
            tick.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['Z', 'X']));
    state == Some(false)
}

#[tokio::test]
async fn a_program_that_works_tells_all_it_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let action = script("echo one; echo two >&2; echo \"$TMINUS_KEY $TMINUS_ACTION\"");
    let (ran, lines) = all(&program(dir.path(), action), &run("shop/v1#1", &[])).await;
    let ran = ran.expect("it ran");
    assert_eq!(ran.outcome, Outcome::Worked);
    assert_eq!(lines, ["one", "two", "shop/v1#1 step"]);
    assert_eq!(ran.tail, "one\ntwo\nshop/v1#1 step\n");
    let digest = Sha256::digest(ran.tail.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ran.digest, digest);
    let run = fs::read_dir(dir.path().join("runs")).expect("runs").next();
    let run = run.expect("one run").expect("readable");
    assert_eq!(run.metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_failure_says_the_status_and_the_last_line() {
    let (ran, _) = one(script("echo no space; exit 3")).await;
    assert_eq!(ran.outcome, Outcome::Failed("exit status 3: no space".to_owned()));
    let (ran, _) = one(script("kill -SEGV $$")).await;
    assert_eq!(ran.outcome, Outcome::Failed("killed by SIGSEGV".to_owned()));
}

#[tokio::test]
async fn at_the_limit_the_whole_group_goes_even_what_ignores_term() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "(trap '' TERM; sleep 300 & echo $!; while :; do wait; done) & echo $!; wait";
    let mut run = run("k", &[]);
    // Enough for two shells to say who they are, on a busy machine too.
    run.limit = Duration::from_secs(3);
    let (ran, lines) = all(&program(dir.path(), script(text)), &run).await;
    assert_eq!(ran.expect("it ran").outcome, Outcome::TimedOut);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(!lines.iter().any(|pid| lives(pid)), "{lines:?}");
}

#[tokio::test]
async fn the_operators_limit_is_a_ceiling() {
    let action =
        ProgramAction { limit: Some(Duration::from_millis(100)), ..script("exec sleep 300") };
    assert_eq!(one(action).await.0.outcome, Outcome::TimedOut);
}

#[tokio::test]
async fn stop_ends_the_run_that_is_awaited() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = program(dir.path(), script("echo started; sleep 300 & wait"));
    let run = run("k", &[]);
    let (told, mut lines) = mpsc::unbounded_channel();
    let running = tokio::spawn({
        let (program, run) = (program.clone(), run.clone());
        async move { program.run(&run, &|line| drop(told.send(line.to_owned()))).await }
    });
    assert_eq!(lines.recv().await.as_deref(), Some("started"));
    assert_eq!(program.look(&run).await, Ok(Sighting::Running));
    assert_eq!(program.stop(&run).await, Ok(()));
    let ran = running.await.expect("no panic").expect("it ran");
    assert_eq!(ran.outcome, Outcome::Stopped);
    assert_eq!(program.look(&run).await, Ok(Sighting::Ended(ran)));
    assert_eq!(program.stop(&run).await, Ok(()), "stopping twice is harmless");
}

#[tokio::test]
async fn secrets_are_masked_wherever_they_come_from() {
    let action = ProgramAction {
        environment: BTreeMap::from([
            ("PASSWORD".to_owned(), "pass word-9".to_owned()),
            ("PLAIN".to_owned(), "visible".to_owned()),
        ]),
        secret_environment: BTreeSet::from(["PASSWORD".to_owned()]),
        ..script("printf 'a tok-'; printf '1234 b\\n'; echo \"$PASSWORD $PLAIN\"; exit 1")
    };
    let (ran, lines) = one(action).await;
    assert_eq!(lines, ["a *** b", "*** visible"]);
    assert_eq!(ran.tail, "a *** b\n*** visible\n");
    assert_eq!(ran.outcome, Outcome::Failed("exit status 1: *** visible".to_owned()));
}

#[tokio::test]
async fn a_value_cannot_become_an_option_a_line_or_a_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let touch = dir.path().join("touched");
    let command = ["/usr/bin/touch".to_owned(), "{file}".to_owned()].to_vec();
    let program = program(dir.path(), ProgramAction { command, ..ProgramAction::default() });
    for value in ["--help", "a\nb", "a\0b", "../..", "", "$(id)", &"x".repeat(201)] {
        let (ran, _) = all(&program, &run("k", &[("file", value)])).await;
        assert!(matches!(ran, Err(Failure::Permanent { .. })), "{value:?}: {ran:?}");
    }
    let (ran, _) = all(&program, &run("k", &[("other", "x")])).await;
    assert!(matches!(ran, Err(Failure::Permanent { .. })), "{ran:?}");
    assert!(!dir.path().join("runs").exists(), "nothing began");
    let value = touch.to_str().expect("a plain path");
    let (ran, _) = all(&program, &run("k", &[("file", value)])).await;
    assert_eq!(ran.expect("a harmless value").outcome, Outcome::Worked);
    assert!(touch.exists());
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let command = ["/bin/echo", "{version}", "$HOME; `id` && *"].map(str::to_owned).to_vec();
    let dir = tempfile::tempdir().expect("a directory");
    let program = program(dir.path(), ProgramAction { command, ..ProgramAction::default() });
    let (_, lines) = all(&program, &run("k", &[("version", "v1")])).await;
    assert_eq!(lines, ["v1 $HOME; `id` && *"]);
}

#[tokio::test]
async fn only_the_allowed_environment_is_inherited() {
    let action = ProgramAction {
        pass_environment: vec!["CARGO_PKG_NAME".to_owned(), "NOT_SET_ANYWHERE".to_owned()],
        command: vec!["/usr/bin/env".to_owned()],
        ..ProgramAction::default()
    };
    let (_, lines) = one(action).await;
    let names: BTreeSet<_> = lines.iter().filter_map(|line| line.split('=').next()).collect();
    let wanted = ["CARGO_PKG_NAME", "PATH", "TMINUS_ACTION", "TMINUS_KEY", "TMINUS_RUN"];
    // Cargo sets the name at run time of a test.
    assert_eq!(names, BTreeSet::from(wanted));
}

#[tokio::test]
async fn of_a_long_output_the_end_is_kept_as_valid_text() {
    let text = "i=0; while [ $i -lt 2000 ]; do echo \"line $i\"; i=$((i+1)); done; \
                printf 'bad \\377 byte\\n'; printf '%0600d\\n' 0; echo end";
    let (ran, lines) = one(script(text)).await;
    assert_eq!(lines.len(), 2003);
    assert_eq!(lines[1999], "line 1999");
    assert_eq!(lines[2000], "bad \u{fffd} byte");
    assert_eq!(lines[2001].chars().count(), 500);
    assert!(ran.tail.len() <= 4096 && ran.tail.len() > 4000, "{}", ran.tail.len());
    assert!(ran.tail.ends_with("end\n"));
}

#[tokio::test]
async fn a_flood_is_stopped_before_it_fills_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = program(dir.path(), script("while :; do echo much; done"))
        .with_limits(Duration::from_millis(500), 100_000);
    let (ran, _) = all(&program, &run("k", &[])).await;
    let outcome = ran.expect("it ran").outcome;
    assert!(matches!(&outcome, Outcome::Failed(why) if why.contains("100000")), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_be_started_is_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    let plain = dir.path().join("plain");
    fs::write(&plain, "not a program").expect("a file");
    let missing = "/no/such/program".to_owned();
    let plain = plain.to_str().expect("a plain path").to_owned();
    for (command, says) in [
        (vec![missing], "`/no/such/program` does not exist: set [actions.step] command to"),
        (vec![plain], "may not be executed: set [actions.step] command to"),
        (vec![], "[actions.step] command must begin with a program"),
        (vec!["{program}".to_owned()], "[actions.step] command must begin with a program"),
    ] {
        let program = program(dir.path(), ProgramAction { command, ..ProgramAction::default() });
        let (ran, _) = all(&program, &run("k", &[("program", "ls")])).await;
        let Err(Failure::Permanent { why }) = ran else { panic!("{ran:?}") };
        assert!(why.contains(says), "{why}");
    }
    let action = ProgramAction { directory: Some("/no/such/place".into()), ..script("true") };
    let (ran, _) = all(&program(dir.path(), action), &run("k", &[])).await;
    assert!(ran.expect_err("no directory").to_string().contains("directory to one that does"));
}

#[tokio::test]
async fn a_dropped_future_loses_neither_the_child_nor_its_outcome() {
    let dir = tempfile::tempdir().expect("a directory");
    let go = dir.path().join("go");
    let text = format!("echo one; until [ -e {} ]; do sleep 0.02; done; echo two", go.display());
    let program = program(dir.path(), script(&text));
    let run = run("k", &[]);
    let gone = timeout(Duration::from_millis(200), program.run(&run, &|_| {})).await;
    assert!(gone.is_err());
    assert_eq!(program.look(&run).await, Ok(Sighting::Running));
    let (again, _) = tokio::join!(all(&program, &run), async {
        fs::write(&go, "").expect("a file");
    });
    assert_eq!(again.0.as_ref().expect("it ran").tail, "one\ntwo\n");
    // And a third time it is only told: nothing runs twice under one key.
    fs::remove_file(&go).expect("it was there");
    assert_eq!(all(&program, &run).await, (again.0, vec![]));
}

/// What a crash leaves: the process, and nobody who watches it.
fn orphan(dir: &TempDir, action: &ProgramAction, run: &Run) {
    let before = Runtime::new().expect("a runtime");
    let program = program(dir.path(), action.clone());
    let begun = dir.path().join("begun");
    before.block_on(async {
        let running = tokio::spawn({
            let run = run.clone();
            async move { program.run(&run, &|_| {}).await }
        });
        until("it begins", async || begun.exists()).await;
        drop(running);
    });
    drop(before);
}

#[test]
fn a_survivor_is_found_and_stopped_by_a_new_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let begun = dir.path().join("begun");
    let action = script(&format!("echo $$ > {0}.tmp; mv {0}.tmp {0}; sleep 300", begun.display()));
    let run = run("shop/v1.2.0#1", &[]);
    orphan(&dir, &action, &run);
    let pid = fs::read_to_string(&begun).expect("it began").trim().to_owned();

    Runtime::new().expect("a runtime").block_on(async {
        let after = program(dir.path(), action);
        assert_eq!(after.look(&run).await, Ok(Sighting::Running));
        let (ran, _) = all(&after, &run).await;
        assert!(matches!(ran, Err(Failure::Unknown { .. })), "{ran:?}");
        let elsewhere = tempfile::tempdir().expect("a directory");
        let other = program(elsewhere.path(), script("true"));
        assert_eq!(other.stop(&run).await, Ok(()), "another instance with the same key");
        assert!(lives(&pid));
        assert_eq!(after.stop(&run).await, Ok(()));
        assert!(!lives(&pid));
        assert!(matches!(after.look(&run).await, Ok(Sighting::Unknown(_))));
    });
}

#[test]
fn a_survivor_that_ends_later_is_judged_by_its_status_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let (begun, go, done) =
        (dir.path().join("begun"), dir.path().join("go"), dir.path().join("done"));
    let text = format!(
        "touch {}; until [ -e {} ]; do sleep 0.02; done; echo deployed; touch {}",
        begun.display(),
        go.display(),
        done.display()
    );
    let status = format!("[ \"$TMINUS_KEY\" = k ] && [ -e {} ]", done.display());
    let status = Some(["/bin/sh", "-c", &status].map(str::to_owned).to_vec());
    let action = ProgramAction { status, ..script(&text) };
    let run = run("k", &[]);
    orphan(&dir, &action, &run);

    Runtime::new().expect("a runtime").block_on(async {
        let after = program(dir.path(), action);
        assert_eq!(after.look(&run).await, Ok(Sighting::Running));
        fs::write(&go, "").expect("a file");
        until("it ends", async || after.look(&run).await != Ok(Sighting::Running)).await;
        let Ok(Sighting::Ended(ran)) = after.look(&run).await else { panic!("it ended") };
        assert_eq!((ran.outcome, ran.tail.as_str()), (Outcome::Worked, "deployed\n"));
    });
}

#[tokio::test]
async fn the_exit_status_of_a_status_command_is_a_sighting() {
    let dir = tempfile::tempdir().expect("a directory");
    let status = ["/bin/sh", "-c", "echo hm; exit {code}"].map(str::to_owned).to_vec();
    let program = program(dir.path(), ProgramAction { status: Some(status), ..script("true") });
    let look = async |code| program.look(&run("k", &[("code", code)])).await.expect("an answer");
    assert!(matches!(look("0").await, Sighting::Ended(ran) if ran.outcome == Outcome::Worked));
    let failed = Outcome::Failed("the status command says that it failed: hm".to_owned());
    assert!(matches!(look("1").await, Sighting::Ended(ran) if ran.outcome == failed));
    assert_eq!(look("3").await, Sighting::NeverBegan);
    assert_eq!(look("4").await, Sighting::Running);
    assert!(matches!(look("2").await, Sighting::Unknown(why) if why.contains("exit status 2")));
    assert!(matches!(look("127").await, Sighting::Unknown(_)));
}

// ---------------------------------------------------------------------------------------------
// Webhooks

/// A receiver that writes down what it was asked and answers what it was told to.
#[derive(Clone, Default)]
struct Receiver {
    heard: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

type Asked = (Method, Uri, HeaderMap, String);

enum Answer {
    Say(u16, &'static str),
    Headed(u16, &'static str, String),
    Silence,
}

use Answer::{Headed, Say, Silence};

impl Receiver {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, String) {
        let receiver = Self::default();
        receiver.answers.lock().expect("no panic").extend(answers);
        let app = axum::Router::new().fallback(answer).with_state(receiver.clone());
        (receiver, serve(app, bind().await))
    }

    fn heard(&self) -> Vec<Asked> {
        self.heard.lock().expect("no panic").clone()
    }
}

async fn answer(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("text");
    receiver.heard.lock().expect("no panic").push((method, uri, headers, body));
    let answer = receiver.answers.lock().expect("no panic").pop_front();
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match answer.unwrap_or(Say(200, r#"{"outcome":"worked","output":"the rest"}"#)) {
        Say(code, body) => (status(code), body).into_response(),
        Headed(code, name, value) => (status(code), [(name, value)]).into_response(),
        Silence => std::future::pending().await,
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

fn serve(app: axum::Router, listener: TcpListener) -> String {
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn polled(url: &str) -> WebhookAction {
    WebhookAction {
        url: format!("{url}/deploy"),
        secrets: vec![SECRET.to_owned(), OTHER.to_owned()],
        hosts: vec![],
        timeout: Duration::from_secs(10),
        ending: Ending::Poll {
            url: format!("{url}/status/{{key}}?version={{version}}"),
            interval: Duration::from_millis(10),
            limit: Duration::from_secs(10),
        },
    }
}

fn webhook(action: WebhookAction, public_url: Option<String>) -> Webhook {
    let actions = BTreeMap::from([("step".to_owned(), action)]);
    Webhook::new(actions, public_url, vec!["tok-1234".to_owned()]).expect("a good configuration")
}

fn v2() -> Run {
    run("shop/v2#1", &[("version", "v2")])
}

/// What one run says when the receiver answers the first request so.
async fn first_answer(answer: Answer) -> Result<Ran, Failure> {
    let (receiver, url) = Receiver::start([answer]).await;
    let mut action = polled(&url);
    action.timeout = Duration::from_secs(2);
    let ran = all(&webhook(action, None), &v2()).await.0;
    assert_eq!(receiver.heard().len(), 1, "asked once");
    ran
}

#[tokio::test]
async fn a_request_is_signed_with_every_secret_and_carries_the_key() {
    let says = r#"{"outcome":"worked","output":"a tok-1234\nb"}"#;
    let (receiver, url) = Receiver::start([Say(200, says)]).await;
    let (ran, lines) = all(&webhook(polled(&url), None), &v2()).await;
    let ran = ran.expect("it ran");
    assert_eq!((ran.outcome, ran.tail.as_str()), (Outcome::Worked, "a ***\nb"));
    assert_eq!(lines, ["a ***", "b"]);
    let (_, uri, headers, body) = receiver.heard().remove(0);
    assert_eq!(uri.path(), "/deploy");
    for secret in [SECRET, OTHER] {
        Hook::new(secret).expect("a secret").verify(body.as_bytes(), &headers).expect("signed");
    }
    assert_eq!(headers["webhook-id"], "shop/v2#1");
    assert_eq!(headers["idempotency-key"], "shop/v2#1");
    assert!(headers["x-hub-signature-256"].to_str().is_ok_and(|s| s.starts_with("sha256=")));
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let wanted =
        serde_json::json!({"key": "shop/v2#1", "action": "step", "with": {"version": "v2"}});
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn answers_are_told_apart_by_what_may_be_done_next() {
    for code in [500, 501, 505] {
        let ran = first_answer(Say(code, "")).await;
        assert!(matches!(ran, Err(Failure::Unknown { .. })), "{code}: {ran:?}");
    }
    for code in [502, 503, 504] {
        let ran = first_answer(Say(code, "")).await;
        assert!(matches!(ran, Err(Failure::Transient { .. })), "{code}: {ran:?}");
    }
    for code in [400, 401, 404, 409, 422] {
        let ran = first_answer(Say(code, "")).await;
        assert!(matches!(ran, Err(Failure::Permanent { .. })), "{code}: {ran:?}");
    }
    let busy = first_answer(Headed(429, "retry-after", "7".to_owned())).await;
    let Err(Failure::Transient { retry_after, .. }) = busy else { panic!("{busy:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    let slow = first_answer(Silence).await;
    assert!(matches!(slow, Err(Failure::Unknown { .. })), "{slow:?}");
    let said_no = first_answer(Say(200, r#"{"outcome":"failed","output":"no\n"}"#)).await;
    assert_eq!(said_no.expect("it ran").outcome, Outcome::Failed("no".to_owned()));
}

#[tokio::test]
async fn a_closed_port_may_be_tried_again() {
    let listener = bind().await;
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let (ran, _) = all(&webhook(polled(&url), None), &v2()).await;
    assert!(matches!(ran, Err(Failure::Transient { .. })), "{ran:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, other) = Receiver::start([]).await;
    let ran = first_answer(Headed(307, "location", other)).await;
    assert!(matches!(ran, Err(Failure::Permanent { .. })), "{ran:?}");
    assert!(elsewhere.heard().is_empty());
}

#[tokio::test]
async fn what_was_taken_on_is_polled_to_its_end() {
    let (receiver, url) = Receiver::start([
        Say(202, ""),
        Say(202, ""),
        Say(503, ""),
        Say(200, r#"{"outcome":"running"}"#),
        Say(200, r#"{"outcome":"failed","output":"pod 2 is red"}"#),
    ])
    .await;
    let (ran, lines) = all(&webhook(polled(&url), None), &v2()).await;
    assert_eq!(ran.expect("it ran").outcome, Outcome::Failed("pod 2 is red".to_owned()));
    assert_eq!(lines.last().map(String::as_str), Some("pod 2 is red"));
    let heard = receiver.heard();
    assert_eq!(heard.len(), 5);
    let (method, uri, headers, _) = &heard[4];
    assert_eq!(
        (method, uri.to_string().as_str()),
        (&Method::GET, "/status/shop%2Fv2%231?version=v2")
    );
    Hook::new(SECRET).expect("a secret").verify(b"", headers).expect("signed");
}

#[tokio::test]
async fn success_is_never_assumed() {
    let (_, url) = Receiver::start((0..1000).map(|_| Say(200, "thanks"))).await;
    let mut run = v2();
    run.limit = Duration::from_millis(200);
    let (ran, _) = all(&webhook(polled(&url), None), &run).await;
    assert!(matches!(ran, Err(Failure::Unknown { .. })), "{ran:?}");
}

#[tokio::test]
async fn look_asks_the_status_address() {
    let (_, url) = Receiver::start([
        Say(200, r#"{"outcome":"running"}"#),
        Say(200, r#"{"outcome":"never-began"}"#),
        Say(500, ""),
        Say(200, "hm"),
        Say(200, r#"{"outcome":"worked"}"#),
    ])
    .await;
    let webhook = webhook(polled(&url), None);
    assert_eq!(webhook.look(&v2()).await, Ok(Sighting::Running));
    assert_eq!(webhook.look(&v2()).await, Ok(Sighting::NeverBegan));
    assert!(matches!(webhook.look(&v2()).await, Ok(Sighting::Unknown(_))));
    assert!(matches!(webhook.look(&v2()).await, Ok(Sighting::Unknown(_))));
    assert!(matches!(webhook.look(&v2()).await, Ok(Sighting::Ended(_))));
    assert!(matches!(webhook.stop(&v2()).await, Err(Failure::Permanent { .. })));
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let url = "http://ci.example.com";
    let other_host = Ending::Poll {
        url: "http://evil.example/{key}".to_owned(),
        interval: Duration::from_secs(1),
        limit: Duration::from_secs(1),
    };
    for action in [
        WebhookAction { secrets: vec![], ..polled(url) },
        WebhookAction { secrets: vec!["secret".to_owned()], ..polled(url) },
        WebhookAction { hosts: vec!["ok.example".to_owned()], ..polled(url) },
        WebhookAction { url: "nonsense".to_owned(), ..polled(url) },
        WebhookAction { ending: other_host, ..polled(url) },
        WebhookAction { ending: Ending::Callback, ..polled(url) },
    ] {
        let actions = BTreeMap::from([("step".to_owned(), action.clone())]);
        let refused = Webhook::new(actions, None, vec![]).err();
        let Some(Failure::Permanent { why }) = refused else { panic!("{action:?}") };
        assert!(why.starts_with("[actions.step]") && !why.contains(SECRET), "{why}");
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the end of time")
}

async fn call_back(to: &str, id: &str, at: i64, secret: &str, body: &str) -> u16 {
    let hook = Hook::new(secret).expect("a secret");
    let signature = hook.sign(id, at, body.as_bytes()).expect("signed");
    let request = reqwest::Client::new().post(to).body(body.to_owned());
    let request = request.header("webhook-id", id).header("webhook-timestamp", at);
    let answer = request.header("webhook-signature", signature).send().await;
    answer.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_callback_counts_once_and_only_if_it_is_signed_fresh_and_for_this_run() {
    let (receiver, url) = Receiver::start([Say(202, "")]).await;
    let ours = bind().await;
    let public_url = format!("http://{}", ours.local_addr().expect("an address"));
    let action = WebhookAction { ending: Ending::Callback, ..polled(&url) };
    let webhook = Arc::new(webhook(action, Some(public_url)));
    serve(webhook.router(), ours);
    let running = tokio::spawn({
        let webhook = webhook.clone();
        async move { webhook.run(&v2(), &|_| {}).await }
    });
    until("the request comes", async || !receiver.heard().is_empty()).await;
    let body: serde_json::Value = serde_json::from_str(&receiver.heard()[0].3).expect("JSON");
    let to = body["callback_url"].as_str().expect("an address").to_owned();
    assert!(to.ends_with("/callbacks/shop%2Fv2%231"), "{to}");

    let good = r#"{"key":"shop/v2#1","outcome":"worked","output":"done"}"#;
    let forger = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
    assert_eq!(call_back(&to, "m1", now(), forger, good).await, 401);
    assert_eq!(call_back(&to, "m1", now() - 400, SECRET, good).await, 401);
    assert_eq!(call_back(&to, "m1", now() + 400, SECRET, good).await, 401);
    let other = r#"{"key":"shop/v1#1","outcome":"worked"}"#;
    assert_eq!(call_back(&to, "m1", now(), SECRET, other).await, 400);
    assert_eq!(call_back(&to, "m1", now(), SECRET, "{}").await, 400);
    assert!(!running.is_finished());
    assert!(matches!(webhook.look(&v2()).await, Ok(Sighting::Unknown(_))));

    assert_eq!(call_back(&to, "m1", now(), SECRET, good).await, 200);
    let ran = timeout(PATIENCE, running).await.expect("it wakes").expect("no panic");
    let ran = ran.expect("it ran");
    assert_eq!((ran.outcome, ran.tail.as_str()), (Outcome::Worked, "done"));
    assert_eq!(call_back(&to, "m1", now(), SECRET, good).await, 409, "replayed");
    let changed = r#"{"key":"shop/v2#1","outcome":"failed"}"#;
    assert_eq!(call_back(&to, "m2", now(), SECRET, changed).await, 409, "a second opinion");
    let Ok(Sighting::Ended(seen)) = webhook.look(&v2()).await else { panic!("it ended") };
    assert_eq!(seen.outcome, Outcome::Worked);
}

#[tokio::test]
async fn each_action_goes_to_its_backend() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, url) = Receiver::start([]).await;
    let local = || program(dir.path(), script("echo local"));
    let refused = Backends::new(local(), webhook(polled(&url), None)).err();
    assert!(refused.is_some_and(|why| why.to_string().contains("both a command and a url")));
    let actions = BTreeMap::from([("remote".to_owned(), polled(&url))]);
    let remote = Webhook::new(actions, None, vec![]).expect("a good configuration");
    let both = Backends::new(local(), remote).expect("two names");
    assert_eq!(all(&both, &run("a", &[])).await.1, ["local"]);
    let on = |action: &str| Run { action: action.to_owned(), ..v2() };
    assert_eq!(all(&both, &on("remote")).await.1, ["the rest"]);
    let (ran, _) = all(&both, &on("stepp")).await;
    let says = "there is no action `stepp`: configured are step, remote; add [actions.stepp]";
    assert_eq!(ran, Err(Failure::permanent(says)));
    assert!(both.can_stop("step") && !both.can_stop("remote"));
}

#[tokio::test]
async fn a_letter_arrives_signed_under_its_key() {
    let (receiver, url) = Receiver::start([Say(204, ""), Say(503, ""), Silence]).await;
    let target = courier::Target {
        url: format!("{url}/news"),
        secrets: vec![SECRET.to_owned()],
        timeout: Duration::from_millis(500),
    };
    let courier = courier::Webhook::new(BTreeMap::from([("status".to_owned(), target)]));
    let courier = courier.expect("a good configuration");
    let letter = Letter {
        kind: "t-48h".to_owned(),
        subject: "Web shop v1.2.0 – Tuesday".to_owned(),
        text: "It goes out on Tuesday. 📅".to_owned(),
        body: vec![],
    };
    assert_eq!(courier.send("status", "shop/t-48h", &letter).await, Ok(Receipt::Whole));
    let again = courier.send("status", "shop/t-48h", &letter).await;
    assert!(matches!(again, Err(Failure::Transient { .. })), "{again:?}");
    let again = courier.send("status", "shop/t-48h", &letter).await;
    assert!(matches!(again, Err(Failure::Unknown { .. })), "{again:?}");
    let nobody = courier.send("statsu", "k", &letter).await;
    assert!(matches!(nobody, Err(Failure::Permanent { .. })), "{nobody:?}");
    for (_, _, headers, body) in receiver.heard() {
        assert_eq!(headers["webhook-id"], "shop/t-48h");
        Hook::new(SECRET).expect("a secret").verify(body.as_bytes(), &headers).expect("signed");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["kind"], "t-48h");
        assert_eq!(body["text"], "It goes out on Tuesday. 📅");
    }
}

// ---------------------------------------------------------------------------------------------
// The demo shop

struct Play {
    _dir: TempDir,
    shop: Shop,
}

impl Play {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        demo::prepare(dir.path()).expect("a shop");
        demo::prepare(dir.path()).expect("twice does nothing");
        let url = serve(demo::router(dir.path()), bind().await);
        let shop = Shop { dir: dir.path().to_owned(), url };
        Self { _dir: dir, shop }
    }

    async fn says(&self, verb: impl FnOnce(Shop) -> Demo) -> Result<String, String> {
        let mut out = Vec::new();
        let done = demo::carry_out(verb(self.shop.clone()), &mut out).await;
        done.map(|()| String::from_utf8(out).expect("text")).map_err(|why| format!("{why:#}"))
    }

    async fn deploy(&self, pod: u8, to: &str) -> Result<String, String> {
        let version = to.parse().expect("a version");
        self.says(|shop| Demo::Deploy { shop, pod, version, percent: None }).await
    }

    async fn canary(&self, pod: u8, to: &str, percent: &str) -> Result<String, String> {
        let version = to.parse().expect("a version");
        let percent = Some(percent.parse().expect("a share"));
        self.says(|shop| Demo::Deploy { shop, pod, version, percent }).await
    }

    /// How many of a thousand customers get a version.
    async fn visitors_of(&self, version: &str) -> usize {
        let client = reqwest::Client::new();
        let mut count = 0;
        for _ in 0..1000 {
            let page = client.get(format!("{}/visit", self.shop.url)).send().await;
            let page = page.expect("an answer").text().await.expect("text");
            count += usize::from(page.contains(&format!("<footer>{version}, served by pod")));
        }
        count
    }

    async fn roll_back(&self, pod: u8, to: &str, dry_run: bool) -> Result<String, String> {
        let version = to.parse().expect("a version");
        self.says(|shop| Demo::Rollback { shop, pod, version, dry_run }).await
    }

    async fn health(&self, of: Option<&str>) -> Result<String, String> {
        let version = of.map(|version| version.parse().expect("a version"));
        self.says(|shop| Demo::Health { shop, version }).await
    }

    async fn smoke(&self, of: &str) -> Result<String, String> {
        let version = of.parse().expect("a version");
        self.says(|shop| Demo::Smoke { shop, version, percent: None }).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.shop.url)).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// All files and links, to see that nothing changed.
    fn files(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.shop.dir.clone()];
        while let Some(path) = open.pop() {
            let name = path.display().to_string();
            if let Ok(target) = fs::read_link(&path) {
                found.insert(name, target.display().to_string());
            } else if path.is_dir() {
                let inside = fs::read_dir(&path).expect("readable");
                open.extend(inside.map(|entry| entry.expect("readable").path()));
            } else {
                found.insert(name, fs::read_to_string(&path).expect("text"));
            }
        }
        found
    }
}

#[tokio::test]
async fn a_share_of_the_visitors_moves_and_the_numbers_with_it() {
    let play = Play::begin().await;
    let numbers = async || play.get("/numbers").await.1;
    for (pod, percent, thousandths) in [(1, "0.5", 5), (1, "5", 50), (2, "25", 250)] {
        let said = play.canary(pod, "v1.3.0", percent).await.expect("deployed");
        let share = format!("v1.3.0 has {percent} % of the visitors.\n");
        assert!(said.ends_with(&share), "{said}");
        let seen = play.visitors_of("v1.3.0").await;
        assert!(seen.abs_diff(thousandths) <= 3, "{percent} %: {seen} of 1000");
        assert!(numbers().await.contains("\"v1.3.0\":{\"percent\":"), "{}", numbers().await);
        let version = "v1.3.0".parse().expect("a version");
        let percent = Some(percent.parse().expect("a share"));
        let tried = play.says(|shop| Demo::Smoke { shop, version, percent }).await;
        assert!(tried.is_ok(), "{tried:?}");
        let other = Some("50".parse().expect("a share"));
        let tried = play.says(|shop| Demo::Smoke { shop, version, percent: other }).await;
        assert!(tried.is_err(), "that is not its share");
    }
    play.says(|shop| Demo::Break { shop, pod: 3 }).await.expect("broken");
    assert!(!numbers().await.contains("31.0"), "nobody gets the new version there yet");
    // The first step back takes the visitors, the others the pods.
    play.roll_back(2, "v1.1.9", false).await.expect("rolled back");
    assert_eq!(play.visitors_of("v1.3.0").await, 0);
    assert!(!numbers().await.contains("v1.3.0"), "{}", numbers().await);
    play.roll_back(1, "v1.1.9", false).await.expect("rolled back");
    play.health(Some("v1.1.9")).await.expect("as it was");
    // Whoever deploys by pods again gets what the pods are.
    play.deploy(1, "v1.3.0").await.expect("deployed");
    let seen = play.visitors_of("v1.3.0").await;
    assert!((320..=340).contains(&seen), "{seen}");
}

#[tokio::test]
async fn the_shop_goes_to_a_version_and_back() {
    let play = Play::begin().await;
    let v2 = || "v1.2.0".parse().expect("a version");
    play.health(Some("v1.1.9")).await.expect("the first version");
    assert!(play.smoke("v1.1.9").await.expect("it works").ends_with("9/9 passed\n"));
    play.says(|shop| Demo::Backup { shop }).await.expect("a backup");
    play.says(|shop| Demo::RestoreCheck { shop }).await.expect("a good backup");
    let first = play.says(|shop| Demo::Migrate { shop, version: v2() }).await.expect("migrated");
    assert!(first.contains("applied 0017"), "{first}");
    let again = play.says(|shop| Demo::Migrate { shop, version: v2() }).await.expect("migrated");
    assert!(again.contains("0 to do"), "{again}");

    let said = play.deploy(1, "v1.2.0").await.expect("deployed");
    assert!(said.ends_with("Pod 1 answers with v1.2.0.\n"), "{said}");
    let (code, health) = play.get("/health").await;
    assert_eq!(code, 200);
    assert!(health.contains(r#"{"version":"v1.2.0","percent":33.0}"#), "{health}");
    assert!(play.health(Some("v1.2.0")).await.is_err());
    assert!(play.health(None).await.is_ok());
    assert_eq!(play.smoke("v1.2.0").await.expect_err("two pods are behind"), "4/9 passed");
    play.deploy(2, "v1.2.0").await.expect("deployed");
    play.deploy(3, "v1.2.0").await.expect("deployed");
    assert!(play.smoke("v1.2.0").await.expect("it works").ends_with("9/9 passed\n"));
    let (_, page) = play.get("/").await;
    assert!(page.contains("v1.2.0 · 100 %") && !page.contains("v1.1.9"), "{page}");

    let before = play.files();
    let said = play.roll_back(2, "v1.1.9", true).await.expect("it could");
    assert!(said.ends_with("Nothing was changed.\n"), "{said}");
    assert_eq!(play.files(), before);
    assert!(play.roll_back(2, "v1.0.0", true).await.is_err(), "it is not there");
    for pod in [3, 2, 1] {
        play.roll_back(pod, "v1.1.9", false).await.expect("back");
    }
    play.health(Some("v1.1.9")).await.expect("the first version again");
}

#[tokio::test]
async fn a_broken_pod_fails_its_deploy_and_still_goes_back() {
    let play = Play::begin().await;
    play.says(|shop| Demo::Break { shop, pod: 2 }).await.expect("broken");
    play.health(None).await.expect("the old version still works");
    play.deploy(1, "v1.2.0").await.expect("another pod is well");
    let why = play.deploy(2, "v1.2.0").await.expect_err("it is broken");
    let says = "Pod 2 does not come up with v1.2.0: the payment module of v1.2.0 does not start.";
    assert_eq!(why, says);
    let (code, health) = play.get("/pods/2/health").await;
    assert_eq!(code, 503);
    assert!(health.contains(r#""version":"v1.2.0""#), "{health}");
    assert_eq!(play.get("/health").await.0, 503);
    assert!(play.health(None).await.is_err());
    play.roll_back(2, "v1.1.9", false).await.expect("back");
    assert_eq!(play.get("/pods/2/health").await.0, 200);
    play.says(|shop| Demo::Mend { shop, pod: 2 }).await.expect("mended");
    play.deploy(2, "v1.2.0").await.expect("now it works");
    assert!(play.deploy(4, "v1.2.0").await.is_err(), "there is no fourth");
    assert_eq!(play.get("/pods/4/health").await.0, 404);
}

#[tokio::test]
async fn a_damaged_version_or_backup_is_noticed() {
    let play = Play::begin().await;
    play.says(|shop| Demo::Backup { shop }).await.expect("a backup");
    let backups = fs::read_dir(play.shop.dir.join("backups")).expect("backups");
    for path in backups.map(|entry| entry.expect("readable").path()) {
        if path.extension().is_none() {
            fs::write(path, "something else").expect("writable");
        }
    }
    let why = play.says(|shop| Demo::RestoreCheck { shop }).await.expect_err("damaged");
    assert!(why.contains("is damaged"), "{why}");
    fs::write(play.shop.dir.join("versions/v1.1.9/products.json"), "[]").expect("writable");
    let why = play.health(None).await.expect_err("damaged");
    assert!(why.contains("pod 1, pod 2, pod 3"), "{why}");
    assert!(play.roll_back(1, "v1.1.9", true).await.is_err());
}
