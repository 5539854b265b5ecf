//! Feature flags: in files that flagd reads, by programs, over a server in trouble, and as runs.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tminus::adapters::deploy::{Backends, FlagCommand, FlagCommands, Program, Webhook};
use tminus::adapters::flags::unleash::Target;
use tminus::adapters::flags::{FlagBackend, FlagFile, KILL, SET, Unleash};
use tminus::ports::{Deployer, Failure, FlagState, Flags, Outcome, Ran, Run, Sighting};

use crate::installed::{Installed, until};
use crate::unleash_world::node;

fn open(percent: f64) -> Result<FlagState, Failure> {
    Ok(FlagState { on: true, percent: Some(percent) })
}

fn off() -> Result<FlagState, Failure> {
    Ok(FlagState { on: false, percent: Some(0.0) })
}

#[track_caller]
fn permanent<T: std::fmt::Debug>(refused: Result<T, Failure>, parts: &[&str]) {
    let Err(Failure::Permanent { why }) = refused else { panic!("{refused:?}") };
    assert!(parts.iter().all(|part| why.contains(part)), "{why}");
}

// ---------------------------------------------------------------------------------------------
// A file

struct Folder {
    keep: TempDir,
    path: PathBuf,
    flags: FlagFile,
}

fn folder(text: Option<&str>) -> Folder {
    let keep = TempDir::new().unwrap();
    let path = keep.path().join("flags.json");
    if let Some(text) = text {
        std::fs::write(&path, text).unwrap();
    }
    Folder { flags: FlagFile::new(path.clone()), path, keep }
}

impl Folder {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    /// What flagd's own evaluator makes of it.
    async fn says(&self, flag: &str) -> (u64, bool) {
        let answer = node("flagd_says.mjs").arg(&self.path).output().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.stdout)
            .unwrap_or_else(|why| panic!("{why}: {answer:?} of {}", self.text()));
        let flag = &answer[flag];
        (flag["open"].as_u64().unwrap(), flag["nobody"].as_bool().unwrap())
    }
}

#[tokio::test]
async fn flagd_opens_a_flag_for_the_share_that_was_set() {
    let here = folder(None);
    assert_eq!(here.flags.look().await, Ok(()));
    permanent(here.flags.state("checkout").await, &["no flag `checkout`", "there is none"]);
    // Of four thousand users, give or take, and whether somebody unknown gets it.
    for (percent, users, unknown) in [
        (25.0, 850..=1150, false),
        (0.5, 5..=40, false),
        (33.333, 1180..=1480, false),
        (100.0, 4000..=4000, true),
        (0.0, 0..=0, false),
    ] {
        assert_eq!(here.flags.set("checkout", percent).await, Ok(()));
        let state = FlagState { on: percent > 0.0, percent: Some(percent) };
        assert_eq!(here.flags.state("checkout").await, Ok(state));
        let (found, nobody) = here.says("checkout").await;
        assert!(users.contains(&found), "{percent} %: {found} of 4000\n{}", here.text());
        assert_eq!(nobody, unknown, "{percent} %");
    }
    assert_eq!(here.flags.set("search", 60.0).await, Ok(()));
    assert_eq!(here.flags.kill("search").await, Ok(()));
    assert_eq!(here.flags.state("search").await, off());
    assert_eq!(here.says("search").await, (0, false));
    permanent(here.flags.kill("serach").await, &["no flag `serach`", "checkout, search"]);
    for percent in [-1.0, 100.5, f64::NAN, f64::INFINITY] {
        permanent(here.flags.set("search", percent).await, &["is no share"]);
    }
}

const KEPT: &str = r#"{
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "metadata": { "owner": "Ünï — team" , "n": 1e3 },
    "flags": {
        "zoo":  { "state":"ENABLED","variants":{"a":1,"b":2}, "defaultVariant":"a" },
        "checkout": {
            "variants": { "yes": true, "no": false },
            "state":    "DISABLED",
            "metadata": { "why": "a \"word\" and a } brace" },
            "defaultVariant": "yes",
            "targeting": {"fractional": [ {"var": "account"}, ["yes", 1], ["no", 3] ]}
        },
        "alone": {"state": "ENABLED", "defaultVariant": "off", "variants": {"on": true, "off": false}}
    },
    "$evaluators": { "staff": { "in": ["@shop.example", {"var": "email"}] } }
}
"#;

#[tokio::test]
async fn nothing_changes_but_what_is_about_the_flag() {
    let here = folder(Some(KEPT));
    std::fs::set_permissions(&here.path, std::fs::Permissions::from_mode(0o640)).unwrap();
    // What is disabled does as each program's code says: that is neither on nor known.
    let disabled = FlagState { on: false, percent: None };
    assert_eq!(here.flags.state("checkout").await, Ok(disabled));
    assert_eq!(here.flags.set("checkout", 12.5).await, Ok(()));
    let share = r#"{ "fractional": [{"var":"account"}, ["yes", 125], ["no", 875]] }"#;
    let after = KEPT
        .replace("\"DISABLED\"", "\"ENABLED\"")
        .replace("\"defaultVariant\": \"yes\"", "\"defaultVariant\": \"no\"")
        .replace(r#"{"fractional": [ {"var": "account"}, ["yes", 1], ["no", 3] ]}"#, share);
    assert_eq!(here.text(), after);
    assert_eq!(here.flags.set("alone", 100.0).await, Ok(()));
    let alone = r#""defaultVariant": "off", "variants": {"on": true, "off": false}}"#;
    let opened = "\"defaultVariant\": \"on\", \"variants\": {\"on\": true, \"off\": false},\
         \"targeting\": { \"fractional\": [[\"on\", 100], [\"off\", 0]] }}";
    let after = after.replace(alone, opened);
    assert_eq!(here.text(), after);
    assert_eq!(here.flags.set("fresh", 5.0).await, Ok(()));
    let (before, behind) = after.split_once("\n    },\n    \"$evaluators\"").unwrap();
    let added = r#",
        "fresh": {
          "state": "ENABLED",
          "variants": { "on": true, "off": false },
          "defaultVariant": "off",
          "targeting": { "fractional": [["on", 5], ["off", 95]] }
        }"#;
    let after = format!("{before}{added}\n    }},\n    \"$evaluators\"{behind}");
    assert_eq!(here.text(), after);
    let about = std::fs::metadata(&here.path).unwrap();
    assert_eq!(about.mode() & 0o777, 0o640, "whoever could read it still can");
    // What is so already is not written again.
    assert_eq!(here.flags.set("fresh", 5.0).await, Ok(()));
    assert_eq!(std::fs::metadata(&here.path).unwrap().ino(), about.ino());
    assert_eq!(std::fs::read_dir(here.keep.path()).unwrap().count(), 1, "nothing is left over");
}

#[tokio::test]
async fn a_link_stays_a_link() {
    let here = folder(None);
    let link = here.keep.path().join("current.json");
    std::os::unix::fs::symlink("flags.json", &link).unwrap();
    let linked = FlagFile::new(link.clone());
    // At first it leads to nothing.
    for percent in [5.0, 10.0] {
        assert_eq!(linked.set("checkout", percent).await, Ok(()));
        assert!(link.is_symlink());
        assert_eq!(here.flags.state("checkout").await, open(percent));
    }
    // Without any flag it is a file of flags too.
    std::fs::write(&here.path, "{}").unwrap();
    assert_eq!(linked.set("checkout", 25.0).await, Ok(()));
    let (users, nobody) = here.says("checkout").await;
    assert!((850..=1150).contains(&users) && !nobody, "{users}");
}

#[tokio::test]
async fn rules_of_others_outlive_an_incident() {
    let rules = r#"{ "if": [ {"in": ["@shop.example", {"var": "email"}]}, "on", "off" ] }"#;
    let text = format!(
        "{{\"flags\": {{\"checkout\": {{\"state\": \"ENABLED\", \"variants\": {{\"on\": true, \
         \"off\": false}}, \"defaultVariant\": \"on\", \"targeting\": {rules}}}}}}}"
    );
    let here = folder(Some(&text));
    assert_eq!(here.flags.state("checkout").await, Ok(FlagState { on: true, percent: None }));
    permanent(here.flags.set("checkout", 5.0).await, &["rules of its own", "nothing was changed"]);
    assert_eq!(here.text(), text);
    assert_eq!(here.flags.kill("checkout").await, Ok(()));
    assert_eq!(here.flags.state("checkout").await, off());
    assert_eq!(here.says("checkout").await, (0, false));
    assert!(here.text().contains(rules), "{}", here.text());
    let killed = here.text();
    assert_eq!(here.flags.kill("checkout").await, Ok(()));
    assert_eq!(here.text(), killed, "twice is once");
    permanent(here.flags.set("checkout", 5.0).await, &["rules of its own"]);
}

#[tokio::test]
async fn a_broken_file_is_refused_where_it_is_broken_and_not_touched() {
    let word = "\"state\": \"ENABLED\", \"variants\": {\"a\": \"A\", \"b\": \"B\"}";
    for (text, parts) in [
        ("", vec!["flags.json:1:1", "EOF"]),
        (
            "{\n  \"flags\": {\n    \"a\": {},\n  }\n}",
            vec!["flags.json:4:3", "key must be a string"],
        ),
        ("{\n  \"flags\": {\"a\": {}\n", vec!["flags.json:3:1", "EOF"]),
        ("{\n  \"flags\": []\n}", vec!["flags.json:2:12", "`flags` must be an object"]),
        ("[1]", vec!["flags.json:1:1", "the whole must be an object"]),
        ("{\"flags\": {\"checkout\": 5}}", vec!["flags.json:1:24", "the flag `checkout` must be"]),
        ("{\"flags\": {\"b\": {},\n \"b\": {}}}", vec!["flags.json:2:7", "has `b` twice"]),
        (&format!("{{\"flags\": {{\"checkout\": {{{word}}}}}}}"), vec!["one variant that is true"]),
    ] {
        let here = folder(Some(text));
        permanent(here.flags.set("checkout", 5.0).await, &parts);
        assert!(here.flags.kill("checkout").await.is_err());
        assert_eq!(here.text(), text);
    }
    let here = folder(None);
    std::fs::write(&here.path, b"{\"flags\": \"\xff\"}").unwrap();
    permanent(here.flags.set("checkout", 5.0).await, &["is not UTF-8"]);
    let nowhere = FlagFile::new(here.keep.path().join("gone/flags.json"));
    permanent(nowhere.set("checkout", 5.0).await, &["create the directory", "gone"]);
    permanent(nowhere.look().await, &["create the directory"]);
    permanent(FlagFile::new(here.keep.path().into()).look().await, &["s a directory"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_lose_nothing_and_nobody_ever_reads_half_a_file() {
    let here = folder(Some(KEPT));
    let over = Arc::new(AtomicBool::new(false));
    let (path, until_over) = (here.path.clone(), over.clone());
    let reader = std::thread::spawn(move || {
        let mut reads = 0;
        while !until_over.load(Ordering::Acquire) {
            let text = std::fs::read_to_string(&path).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["metadata"]["owner"], "Ünï — team");
            reads += 1;
        }
        reads
    });
    // Each with a provider of its own: two sections may name one file by two links.
    let writers = (0..24).map(|number| {
        let flags = FlagFile::new(here.path.clone());
        tokio::spawn(async move {
            let name = format!("flag-{number}");
            flags.set(&name, f64::from(number)).await.unwrap();
            flags.set("checkout", f64::from(number)).await.unwrap();
            flags.set(&name, f64::from(number) + 1.0).await.unwrap();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Release);
    assert!(reader.join().unwrap() > 0);
    for number in 0..24 {
        let state = here.flags.state(&format!("flag-{number}")).await;
        assert_eq!(state, open(f64::from(number) + 1.0), "{}", here.text());
    }
    assert_eq!(std::fs::read_dir(here.keep.path()).unwrap().count(), 1, "nothing is left over");
}

// ---------------------------------------------------------------------------------------------
// Programs

/// Keeps each flag in a file of its own.
fn commands(folder: &Path, timeout: Duration) -> FlagCommands {
    let script = folder.join("flags");
    let text = "#!/bin/sh\nset -eu\ncase \"$1\" in\n\
         set) echo \"$3\" >\"flag-$2\" ;;\n\
         kill) [ -e \"flag-$2\" ] || { echo \"no flag $2 for $TOKEN\" >&2; exit 4; }\n\
           echo off >\"flag-$2\" ;;\n\
         state) echo \"asked\"; cat \"flag-$2\" ;;\n\
         hang) echo $$ >pid; sleep 600 & echo $! >>pid; wait ;;\n\
         esac\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    let command =
        |parts: &[&str]| [&[script], parts].concat().into_iter().map(str::to_owned).collect();
    FlagCommands {
        set: command(&["set", "{flag}", "{percent}"]),
        kill: command(&["kill", "{flag}"]),
        state: command(&["state", "{flag}"]),
        directory: Some(folder.to_owned()),
        pass_environment: Vec::new(),
        secrets: BTreeMap::from([("TOKEN".to_owned(), "hunter2-hunter2".to_owned())]),
        timeout,
    }
}

#[tokio::test]
async fn programs_reach_any_other_provider() {
    let keep = TempDir::new().unwrap();
    let flags = FlagCommand::new("own", commands(keep.path(), Duration::from_secs(30)));
    for percent in [25.0, 0.5, 100.0] {
        assert_eq!(flags.set("checkout", percent).await, Ok(()));
        assert_eq!(flags.state("checkout").await, open(percent));
    }
    assert_eq!(flags.kill("checkout").await, Ok(()));
    assert_eq!(flags.kill("checkout").await, Ok(()), "twice is once");
    assert_eq!(flags.state("checkout").await, off());
    permanent(
        flags.kill("search").await,
        &["`kill` of [flags.own] failed", "exit status 4", "no flag search for ***"],
    );
    // Arguments, not words of a shell; and what could be an option is refused.
    for odd in ["$(touch x)", "a;touch x", "--all", "../x", ""] {
        assert!(matches!(flags.kill(odd).await, Err(Failure::Permanent { .. })), "{odd}");
    }
    assert!(!keep.path().join("x").exists());
    std::fs::write(keep.path().join("flag-odd"), "perhaps\n").unwrap();
    permanent(flags.state("odd").await, &["`state` of [flags.own]", "\"perhaps\""]);
    std::fs::remove_file(keep.path().join("flags")).unwrap();
    permanent(flags.kill("checkout").await, &["does not exist", "set [flags.own] kill"]);
}

#[tokio::test]
async fn a_program_that_hangs_is_stopped_with_what_it_started() {
    let keep = TempDir::new().unwrap();
    let mut commands = commands(keep.path(), Duration::from_millis(700));
    commands.set[1] = "hang".to_owned();
    let flags = FlagCommand::new("own", commands);
    let late = flags.set("checkout", 5.0).await;
    let Err(Failure::Transient { why, .. }) = late else { panic!("{late:?}") };
    assert!(why.contains("took over 0.7 s and was stopped"), "{why}");
    let pids = std::fs::read_to_string(keep.path().join("pid")).unwrap();
    for pid in pids.lines() {
        let lives = |stat: String| !stat.rsplit_once(')').unwrap().1.starts_with(" Z");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(!stat.is_ok_and(lives), "{pid} lives");
    }
}

// ---------------------------------------------------------------------------------------------
// A server in trouble

async fn answering(answer: fn() -> Response) -> Unleash {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move { answer() });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    unleash(&url, Duration::from_secs(20))
}

fn unleash(url: &str, timeout: Duration) -> Unleash {
    let target = Target {
        url: url.to_owned(),
        project: "default".to_owned(),
        environment: "production".to_owned(),
        token: "a-token-that-nobody-may-read".to_owned(),
        timeout,
    };
    Unleash::new("shop", target).unwrap()
}

fn later(refused: Result<(), Failure>, part: &str) -> Option<Duration> {
    let Err(Failure::Transient { why, retry_after }) = refused else { panic!("{refused:?}") };
    assert!(why.contains(part), "{why}");
    retry_after
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again_and_one_that_refuses_is_not() {
    let busy = || (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "7")]).into_response();
    let asked = later(answering(busy).await.kill("f").await, "429");
    assert_eq!(asked, Some(Duration::from_secs(7)));
    for answer in [(|| StatusCode::BAD_GATEWAY.into_response()) as fn() -> Response, || {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }] {
        later(answering(answer).await.kill("f").await, "answers 50");
    }
    let leaky = || {
        let body = json!({ "message": "a-token-that-nobody-may-read\nis too old." });
        (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
    };
    permanent(answering(leaky).await.kill("f").await, &["401", "(***is too old)", "token"]);
    let elsewhere = || axum::response::Redirect::temporary("http://127.0.0.1:9/").into_response();
    permanent(answering(elsewhere).await.kill("f").await, &["307", "redirects are not followed"]);
    let page = || axum::response::Html("<p>Welcome").into_response();
    permanent(answering(page).await.set("f", 5.0).await, &["set [flags.shop] url", "/api"]);
    let flood = || "x".repeat(4 * 1024 * 1024).into_response();
    permanent(answering(flood).await.state("f").await, &["what Unleash would not"]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It takes the connection and says nothing; then it hangs up; then nobody is there.
    later(unleash(&url, Duration::from_millis(200)).kill("f").await, "did not answer in time");
    let flags = unleash(&url, Duration::from_secs(20));
    let hang_up = async {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = [0; 8];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut some).await;
        }
    };
    tokio::select! {
        refused = flags.kill("f") => { later(refused, "cannot be reached"); }
        () = hang_up => panic!("it was asked too often"),
    }
    drop(listener);
    later(flags.kill("f").await, "cannot be reached");
}

// ---------------------------------------------------------------------------------------------
// Runs

/// A provider that does as the test says, and writes down what it was asked.
#[derive(Default)]
struct Scripted {
    /// Failures of the next calls; `None` never answers.
    next: Mutex<Vec<Option<Failure>>>,
    asked: Mutex<Vec<String>>,
    state: Mutex<Option<FlagState>>,
}

impl Scripted {
    async fn called(&self, what: String) -> Result<(), Failure> {
        self.asked.lock().unwrap().push(what);
        let next = self.next.lock().unwrap().pop();
        match next {
            None => Ok(()),
            Some(Some(failure)) => Err(failure),
            Some(None) => std::future::pending().await,
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Flags for Scripted {
    async fn set(&self, flag: &str, percent: f64) -> Result<(), Failure> {
        self.called(format!("set {flag} {percent}")).await
    }

    async fn kill(&self, flag: &str) -> Result<(), Failure> {
        self.called(format!("kill {flag}")).await
    }

    async fn state(&self, _: &str) -> Result<FlagState, Failure> {
        let state = self.state.lock().unwrap().clone();
        state.ok_or_else(|| Failure::permanent("nobody may look"))
    }
}

fn run(action: &str, with: &[(&str, &str)]) -> Run {
    let with = with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let (key, limit) = ("v1#3".to_owned(), Duration::from_secs(60));
    Run { key, action: action.to_owned(), with: with.collect(), limit }
}

fn set_run(provider: &str, percent: &str) -> Run {
    run(SET, &[("provider", provider), ("flag", "checkout"), ("percent", percent)])
}

fn kill_run(provider: &str) -> Run {
    run(KILL, &[("provider", provider), ("flag", "checkout")])
}

fn backends(flags: FlagBackend) -> Backends {
    let program = Program::new(PathBuf::from("/nonexistent"), BTreeMap::new(), Vec::new());
    let webhook = Webhook::new(BTreeMap::new(), None, Vec::new()).unwrap();
    let backends = Backends::new(program, webhook).unwrap();
    backends.with(&FlagBackend::ACTIONS, Arc::new(flags)).unwrap()
}

fn scripted() -> (Arc<Scripted>, Backends) {
    let scripted: Arc<Scripted> = Arc::default();
    let provider: Arc<dyn Flags> = scripted.clone();
    let flags = FlagBackend::new(BTreeMap::from([("shop".to_owned(), provider)]));
    (scripted, backends(flags))
}

async fn ran(backends: &Backends, run: &Run) -> (Ran, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let line = |text: &str| lines.lock().unwrap().push(text.to_owned());
    let ran = backends.run(run, &line).await.unwrap();
    (ran, lines.into_inner().unwrap())
}

#[tokio::test]
async fn a_change_of_a_flag_is_a_run_that_can_be_looked_after() {
    let here = folder(None);
    let file: Arc<dyn Flags> = Arc::new(FlagFile::new(here.path.clone()));
    let backends = backends(FlagBackend::new(BTreeMap::from([("local".to_owned(), file)])));
    assert!(backends.can_stop(SET) && backends.can_stop(KILL));
    let set = set_run("local", "25");
    let Ok(Sighting::Unknown(_)) = backends.look(&set).await else { panic!("no flag yet") };
    let (done, lines) = ran(&backends, &set).await;
    assert_eq!(done.outcome, Outcome::Worked);
    assert!(done.tail.starts_with("`checkout` at `local`: open for 25 %.\n"), "{}", done.tail);
    assert!(done.tail.contains("clients follow within their own poll interval"), "{}", done.tail);
    assert!(!done.tail.contains("everywhere"), "nobody knows that");
    assert_eq!(lines.join("\n"), done.tail);
    assert_eq!(done.digest.len(), 64);
    let Ok(Sighting::Ended(seen)) = backends.look(&set).await else { panic!("it is set") };
    assert_eq!((seen.outcome, seen.tail), (done.outcome, done.tail));
    let Ok(Sighting::Unknown(why)) = backends.look(&set_run("local", "50")).await else {
        panic!("it is set to something else")
    };
    assert_eq!(why, "`checkout` at `local` is open for 25 %");
    let (killed, _) = ran(&backends, &kill_run("local")).await;
    assert_eq!(killed.outcome, Outcome::Worked);
    assert!(killed.tail.starts_with("`checkout` at `local`: off.\n"), "{}", killed.tail);
    let Ok(Sighting::Ended(_)) = backends.look(&kill_run("local")).await else { panic!("off") };
    let mut strange = kill_run("local");
    strange.with.insert("flag".to_owned(), "serach".to_owned());
    let (failed, _) = ran(&backends, &strange).await;
    let Outcome::Failed(why) = failed.outcome else { panic!("there is no such flag") };
    assert!(why.contains("no flag `serach`"), "{why}");
}

#[tokio::test]
async fn what_a_run_says_is_read_strictly() {
    let (provider, backends) = scripted();
    let silent = |_: &str| {};
    for percent in ["", "25%", " 5", "-1", "101", "1e1", "nan", "0.0001", "٥"] {
        let refused = backends.run(&set_run("shop", percent), &silent).await;
        assert!(matches!(refused, Err(Failure::Permanent { .. })), "{percent}");
    }
    permanent(
        backends.run(&kill_run("shpo"), &silent).await,
        &["no flag provider `shpo`", "configured are shop", "[flags.shpo]"],
    );
    let nameless = run(KILL, &[("provider", "shop")]);
    permanent(backends.run(&nameless, &silent).await, &["`flag-kill` needs a `flag`"]);
    permanent(backends.look(&nameless).await, &["`flag-kill` needs a `flag`"]);
    assert_eq!(provider.asked(), 0);
}

#[tokio::test]
async fn a_name_of_the_program_itself_cannot_be_taken() {
    let taken = BTreeMap::from([(KILL.to_owned(), Default::default())]);
    let program = Program::new(PathBuf::from("/nonexistent"), taken, Vec::new());
    let webhook = Webhook::new(BTreeMap::new(), None, Vec::new()).unwrap();
    let flags = Arc::new(FlagBackend::new(BTreeMap::new()));
    let both = Backends::new(program, webhook).unwrap().with(&FlagBackend::ACTIONS, flags);
    permanent(both.map(|_| ()), &["`flag-kill` is an action of the program itself"]);
}

#[tokio::test]
async fn who_cannot_be_reached_is_tried_within_the_limit_and_no_longer() {
    let (provider, backends) = scripted();
    let trouble = || Some(Failure::transient("the line is dead"));
    *provider.next.lock().unwrap() = vec![trouble(), Some(Failure::unknown("it broke off"))];
    let (done, lines) = ran(&backends, &kill_run("shop")).await;
    assert_eq!(done.outcome, Outcome::Worked);
    assert_eq!(lines[..2], ["it broke off; trying again", "the line is dead; trying again"]);
    assert!(done.tail.contains("cannot be read back: nobody may look"), "{}", done.tail);
    assert_eq!(*provider.asked.lock().unwrap(), ["kill checkout"; 3]);
    *provider.next.lock().unwrap() = (0..1000).map(|_| trouble()).collect();
    let limit = Duration::from_millis(600);
    let begun = Instant::now();
    let (late, _) = ran(&backends, &Run { limit, ..kill_run("shop") }).await;
    assert!((limit..Duration::from_secs(20)).contains(&begun.elapsed()));
    let why = "tried until the time limit: the line is dead".to_owned();
    assert_eq!(late.outcome, Outcome::Failed(why));
    provider.next.lock().unwrap().push(None);
    let (mute, _) = ran(&backends, &Run { limit, ..set_run("shop", "5") }).await;
    assert_eq!(mute.outcome, Outcome::TimedOut);
}

#[tokio::test]
async fn what_reads_otherwise_than_it_was_set_has_failed() {
    let (provider, backends) = scripted();
    *provider.state.lock().unwrap() = Some(FlagState { on: true, percent: Some(5.0) });
    let (done, _) = ran(&backends, &set_run("shop", "25")).await;
    let why = "was to be open for 25 %, and reads open for 5 %".to_owned();
    assert_eq!(done.outcome, Outcome::Failed(why));
    let (done, _) = ran(&backends, &kill_run("shop")).await;
    assert_eq!(done.outcome, Outcome::Failed("was to be off, and reads open for 5 %".to_owned()));
    // A share that is not one number contradicts nothing.
    *provider.state.lock().unwrap() = Some(FlagState { on: true, percent: None });
    let (done, _) = ran(&backends, &set_run("shop", "25")).await;
    assert_eq!(done.outcome, Outcome::Worked);
    assert!(done.tail.contains("on, for a share that is not one number"), "{}", done.tail);
}

#[tokio::test]
async fn a_run_that_is_stopped_says_what_may_have_happened() {
    let (provider, backends) = scripted();
    provider.next.lock().unwrap().push(None);
    let backends = Arc::new(backends);
    let (runner, set) = (backends.clone(), set_run("shop", "5"));
    let running = tokio::spawn(async move { ran(&runner, &set).await });
    until("it is under way", async || provider.asked() == 1).await;
    let set = set_run("shop", "5");
    assert_eq!(backends.look(&set).await, Ok(Sighting::Running));
    assert_eq!(backends.stop(&set).await, Ok(()));
    let (stopped, _) = running.await.unwrap();
    assert_eq!(stopped.outcome, Outcome::Stopped);
    assert!(stopped.tail.contains("may have been carried out"), "{}", stopped.tail);
    assert_eq!(backends.stop(&set).await, Ok(()), "nothing runs any more");
}

#[tokio::test]
async fn the_doctor_looks_at_each_provider() {
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let config = config.replace("{demo_url}", "http://127.0.0.1:9");
    let more = "[console.tokens]\nmaria = { env = \"TOKEN_MARIA\" }\n\
         [flags.broken]\nkind = \"file\"\npath = \"broken.json\"\n\
         [flags.whole]\nkind = \"file\"\npath = \"whole.json\"\n\
         [flags.own]\nkind = \"program\"\nset = [\"true\", \"{flag}\", \"{percent}\"]\n\
         kill = [\"/nonexistent/kill\", \"{flag}\"]\nstate = [\"true\", \"{flag}\"]\n";
    let here =
        Installed::new(&format!("{config}{more}")).with_env("TOKEN_MARIA", crate::operation::MARIA);
    here.write("broken.json", "{\n \"flags\": {,}\n}\n");
    here.write("whole.json", KEPT);
    let doctor = here.cli(&["doctor"]).await;
    let parts = [
        "✓ flags local in ",
        "flags.json: none yet",
        "✗ flags broken in ",
        "broken.json:2:12: ",
        "✓ flags whole in ",
        "✗ flags own: `/nonexistent/kill` is not a program here",
        "[flags.own] kill",
    ];
    doctor.expect(1, &parts);
    assert_eq!(std::fs::read_to_string(here.path("whole.json")).unwrap(), KEPT);
}
