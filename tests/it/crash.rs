//! SIGKILL at any moment: nothing is lost, nothing is said twice, no step runs twice unasked.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use regex::Regex;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use crate::program::{Program, plain, processes_with};
use crate::story::{self, ROLL_BACK, SEATS};

// ---------------------------------------------------------------------------------------------
// What was said

/// Every message that was ever posted, from the console's journal: where, and what, without the
/// numbers that differ from run to run. A card counts by what it shows, since it changes.
fn said(state: &Path) -> BTreeMap<(String, String), usize> {
    let room = Regex::new(r"room-\d+").unwrap();
    let mut said = BTreeMap::new();
    for line in fs::read_to_string(state.join("console.jsonl")).unwrap().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let fact = &entry["fact"];
        let posted = &fact["posted"];
        let place = |channel: &Value| channel.as_str().unwrap().to_owned();
        let it = if posted.is_object() {
            let key = posted["key"].as_str().unwrap();
            let text = match key.find("card/") {
                Some(_) => key[key.find('{').unwrap()..].to_owned(),
                None => without_numbers(&plain(&posted["message"]["body"])),
            };
            (place(&posted["channel"]), text)
        } else if fact["opened"].is_object() {
            ("rooms".to_owned(), place(&fact["opened"]["name"]))
        } else {
            continue;
        };
        let (channel, text) = it;
        let it = (room.replace(&channel, "room").into(), room.replace(&text, "room").into());
        *said.entry(it).or_default() += 1;
    }
    said
}

/// Times, lengths of time, places in the log and addresses.
fn without_numbers(text: &str) -> String {
    let lengths = r"\d\d:\d\d|\d+ (h|min|s|ms|d)\b( \d+ (min|s)\b)?|under a second";
    let numbers = format!(r"{lengths}|#\d+ sha256:\w+|127\.0\.0\.1:\d+");
    let text = Regex::new(&numbers).unwrap().replace_all(text, "…").into_owned();
    // Each test has a directory of its own.
    Regex::new(r"/\S*/\.tmp\w+").unwrap().replace_all(&text, "…").into_owned()
}

fn assert_same(expected: &Path, state: &Path, but: &[&str], what: &str) {
    let (expected, found) = (said(expected), said(state));
    let counts = |(_, text): &&(String, String)| !but.iter().any(|part| text.contains(part));
    let keys = expected.keys().chain(found.keys()).filter(counts);
    let differ = keys.filter(|key| expected.get(*key) != found.get(*key));
    let differ: Vec<_> = differ.map(|key| (key, expected.get(key), found.get(key))).collect();
    assert!(differ.is_empty(), "{what}: expected, found\n{differ:#?}");
}

async fn verifies(program: &Program) {
    let verified = program.cli(&["audit", "verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
}

// ---------------------------------------------------------------------------------------------
// A step that waits for us

/// Holds a version's list of digests back, so that the step that reads it next waits.
struct Gate {
    list: PathBuf,
    pipe: PathBuf,
    content: Vec<u8>,
}

impl Gate {
    fn before(program: &Program, version: &str) -> Self {
        let list = program.state.join("demo/versions").join(version).join("digests");
        let pipe = program.state.join(format!("gate-{version}"));
        let content = fs::read(&list).unwrap();
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let beside = list.with_extension("pipe");
        fs::hard_link(&pipe, &beside).unwrap();
        fs::rename(beside, &list).unwrap();
        Self { list, pipe, content }
    }

    /// Waits until a step of the demo waits here. Everybody after it reads what was always there.
    async fn holds(&self, program: &Program, step: &str, pod: u8) -> Held {
        let found = Cell::new(None);
        program
            .look(step, async || {
                // A pipe that nobody reads cannot be opened for writing.
                let sender = pipe::OpenOptions::new().open_sender(&self.pipe).ok();
                let is_read = sender.is_some();
                found.set(sender);
                is_read && runs(program, step, pod)
            })
            .await;
        let sender = found.take().unwrap();
        let beside = self.list.with_extension("whole");
        fs::write(&beside, &self.content).unwrap();
        fs::rename(beside, &self.list).unwrap();
        Held { sender, content: self.content.clone() }
    }
}

/// A step that waits for what it reads.
struct Held {
    sender: pipe::Sender,
    content: Vec<u8>,
}

impl Held {
    async fn let_go(mut self) {
        self.sender.write_all(&self.content).await.unwrap();
    }
}

/// Whether a step of the demo runs, with these arguments.
fn runs(program: &Program, step: &str, pod: u8) -> bool {
    let state = program.state.display().to_string();
    processes_with(&state).iter().any(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let has = |word: &str| words.iter().any(|known| known == word);
        has(step) && has(&pod.to_string())
    })
}

// ---------------------------------------------------------------------------------------------
// The places that the play names

/// 2: around the announcements.
#[tokio::test]
async fn killed_around_the_announcements_each_is_said_once() {
    let mut program = Program::start().await;
    program.say("maria", &story::schedule()).await;
    program = program.killed_and_started_again().await;
    program.settled().await;
    for text in ["goes out", "No downtime expected", "needs your go", "T-1:05", "starts in 1 h"] {
        while !program.everything().await.contains(text) {
            let jumped = program.jump_once().await;
            // At once, whatever has been said by now.
            program = program.killed_and_started_again().await;
            assert!(jumped.unwrap());
            program.settled().await;
            if text == "needs your go" {
                break;
            }
        }
    }
    program.message("releases", "goes out").await;
    program.message("customers", "No downtime expected").await;
    program.message("releases", "starts in 1 h").await;
    let said = said(&program.state);
    let twice: Vec<_> = said.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
    verifies(&program).await;
}

/// 5: a deploy that outlives us is found running and followed; it is not begun again.
#[tokio::test]
async fn a_deploy_that_outlives_us_is_not_repeated() {
    let mut program = Program::start().await;
    story::to_gate(&program).await;
    let gate = Gate::before(&program, "v1.2.0");
    program.say("john", "advance").await;
    let held = gate.holds(&program, "deploy", 2).await;
    program = program.killed_and_started_again().await;
    assert!(runs(&program, "deploy", 2), "it outlives us");
    held.let_go().await;
    // It has ended without anybody watching, and no command tells how: a person is asked.
    program.until("nobody can tell how Pod 2 ended").await;
    program.settled().await;
    assert_eq!(program.pod(2).await, "v1.2.0");
    let status = program.say("maria", "status").await;
    assert!(status.contains("Pod 2"), "{status}");
    program.say("john", "outcome worked pod 2 answers with v1.2.0").await;
    program.until("Soaking Pod 2").await;
    program.jump_until("Smoke tests: 9/9").await;
    let runs = fs::read_dir(program.state.join("runs")).unwrap();
    let names = runs.map(|run| run.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("stage-3")).count(), 2, "pod 2 and its check");
    verifies(&program).await;
}

/// 6: a rollback in the middle of which we die goes on to its end.
#[tokio::test]
async fn a_rollback_goes_on() {
    let mut program = Program::start().await;
    story::to_failed_pod(&program).await;
    let gate = Gate::before(&program, "v1.1.9");
    program.say("john", ROLL_BACK).await;
    let held = gate.holds(&program, "rollback", 3).await;
    program = program.killed_and_started_again().await;
    assert!(runs(&program, "rollback", 3), "it outlives us");
    held.let_go().await;
    // It has ended without anybody watching, and no command tells how: a person is asked.
    program.until("The rollback of Web shop v1.2.0 has stopped: Pod 3").await;
    program.say("john", "outcome worked pod 3 answers with v1.1.9").await;
    program.until("is closed: FAILED").await;
    program.settled().await;
    for step in ["Pod 2 is back", "Pod 1 is back", "Health check green"] {
        program.message("release-v1-2-0", &format!("] ✅ {step}")).await;
    }
    for channel in ["releases", "customers", "incidents"] {
        program.message(channel, "is back on v1.1.9").await;
    }
    for pod in [1, 2, 3] {
        assert_eq!(program.pod(pod).await, "v1.1.9");
    }
    verifies(&program).await;
}

// ---------------------------------------------------------------------------------------------
// Any place

/// The whole story with a rollback, in moves that can be made again when we were killed within one.
struct Story {
    program: Program,
    /// Kills when this much has been written, and then each time after as much again.
    every: usize,
    next: usize,
    kills: usize,
    /// How many questions about a step were answered.
    answered: usize,
}

/// What people were asked about steps whose end nobody saw.
fn questions(all: &str) -> Vec<String> {
    let asks = |line: &&str| {
        let in_room = line.starts_with("#release-v1-2-0: ");
        in_room && (line.contains("❓ ") || line.contains("🚨 The rollback of"))
    };
    all.lines().filter(asks).map(str::to_owned).collect()
}

/// What is written to grows with every message, every edit and every step that begins or ends.
fn written(state: &Path) -> usize {
    let journal = fs::read(state.join("console.jsonl")).unwrap_or_default();
    let lines = journal.iter().filter(|byte| **byte == b'\n').count();
    let runs = fs::read_dir(state.join("runs")).into_iter().flatten().flatten();
    lines + runs.map(|run| fs::read_dir(run.path()).map_or(0, Iterator::count)).sum::<usize>()
}

async fn written_up_to(state: &Path, mark: usize) {
    let mut glance = tokio::time::interval(Duration::from_millis(1));
    while written(state) < mark {
        glance.tick().await;
    }
}

impl Story {
    async fn new(first: usize, every: usize) -> Self {
        Self { program: Program::start().await, every, next: first, kills: 0, answered: 0 }
    }

    /// Makes a move, as often as it takes.
    async fn make<T>(mut self, deed: impl AsyncFn(&Program) -> reqwest::Result<T>) -> (Self, T) {
        loop {
            let state = self.program.state.clone();
            tokio::select! {
                biased;
                () = written_up_to(&state, self.next) => {}
                made = deed(&self.program) => return (self, made.unwrap()),
            }
            self.program = self.program.killed_and_started_again().await;
            self.kills += 1;
            self.next = written(&state) + self.every;
        }
    }

    async fn say(self, who: &str, line: &str) -> Self {
        let key = format!("sweep/{who}/{}", line.replace(' ', "-"));
        let (story, (ok, text)) =
            self.make(async |program| program.ask_once(who, line, Some(&key)).await).await;
        assert!(ok, "{who}: {line}: {text}");
        story
    }

    async fn until(self, text: &str) -> Self {
        let seen = async |program: &Program| {
            let seen = async || program.everything_once().await.is_ok_and(|all| all.contains(text));
            program.look(text, seen).await;
            Ok(())
        };
        self.make(seen).await.0
    }

    /// Waits until this is said. Whenever a step's end was seen by nobody, a person is asked; the
    /// person looks, and says so.
    async fn until_ended(self, text: &str) -> Self {
        let mut story = self;
        loop {
            let answered = story.answered;
            let (next, question) = story
                .make(async |program| {
                    let found = Cell::new(None);
                    let seen = async || {
                        let all = program.everything_once().await.unwrap_or_default();
                        found.set(questions(&all).get(answered).cloned());
                        all.contains(text) || questions(&all).len() > answered
                    };
                    program.look(text, seen).await;
                    Ok(found.take())
                })
                .await;
            story = next;
            let Some(question) = question else { return story };
            story.answered += 1;
            // The orphan has done its work; but pod 2 cannot start the new version.
            let cannot = text == "Pod 2 failed" && question.contains("how Pod 2 ended");
            let outcome = if cannot { "failed" } else { "worked" };
            let line = format!("outcome {outcome} look {answered}");
            let key = format!("sweep/{}", line.replace(' ', "-"));
            // A rollback that stops is told twice: the second answer finds nothing in question.
            let answer =
                async |program: &Program| program.ask_once("john", &line, Some(&key)).await;
            story = story.make(answer).await.0;
            if cannot {
                return story;
            }
        }
    }

    /// Jumps to the next deadline, once.
    async fn jump(self) -> Self {
        let (story, clock) = self.make(async |program| program.settled_clock().await).await;
        let at = |clock: &Value, what: &str| {
            chrono::DateTime::parse_from_rfc3339(clock[what].as_str().unwrap_or_default()).ok()
        };
        let next = at(&clock["next"], "at").unwrap_or_else(|| panic!("nothing is due: {clock}"));
        let jump = async |program: &Program| {
            while at(&program.settled_clock().await?, "now").is_some_and(|now| now < next) {
                program.jump_once().await?;
            }
            Ok(())
        };
        story.make(jump).await.0
    }
}

async fn told(mut story: Story) -> Story {
    story = story.say("maria", &story::schedule()).await;
    for _ in 0..2 {
        story = story.jump().await;
    }
    for person in SEATS {
        story = story.say(person, "go").await;
    }
    story = story.say("dave", "rollback --dry-run").await.until("every step's dry run").await;
    story = story.jump().await.until("T-1:05").await.jump().await.jump().await;
    story = story.until("is ready to start").await;
    story = story.say("john", "run break-pod pod=2").await.until("✅ break-pod").await;
    story = story.say("maria", "start").await.until_ended("Soaking Pod 1").await;
    story = story.jump().await.until("Pod 1 is through its gate").await;
    story = story.say("john", "advance").await.until_ended("Pod 2 failed").await;
    story = story.say("john", ROLL_BACK).await.until_ended("is closed: FAILED").await;
    story.make(async |program| program.settled_clock().await).await.0
}

/// A step whose end nobody saw is asked about, and then it is told otherwise than undisturbed.
const ASKED_ABOUT: [&str; 6] =
    ["Pod ", "migrations", "FAILED, rolled back", "Health check", "🚨", "❓"];

#[tokio::test]
async fn killed_anywhere_it_says_the_same_things_once() {
    let whole = told(Story::new(usize::MAX, 0).await).await;
    let every = 5;
    let mut kills = 0;
    for first in 3..3 + every {
        let killed = told(Story::new(first, every).await).await;
        let but: &[&str] = if killed.answered > 0 { &ASKED_ABOUT } else { &[] };
        let all = killed.program.everything().await;
        let what = format!("killed at {first} and then every {every}:\n{all}");
        assert_same(&whole.program.state, &killed.program.state, but, &what);
        verifies(&killed.program).await;
        kills += killed.kills;
    }
    assert!(kills > 25, "{kills}");
}

/// Asked to stop in good order, it ends well, and goes on where it was.
#[tokio::test]
async fn a_stop_in_good_order_loses_nothing() {
    let mut program = Program::start().await;
    story::to_failed_pod(&program).await;
    let gate = Gate::before(&program, "v1.1.9");
    program.say("john", ROLL_BACK).await;
    let held = gate.holds(&program, "rollback", 3).await;
    let before = said(&program.state);
    let ended = program.stopped().await;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(runs(&program, "rollback", 3), "what runs is not ended with us");
    program = program.started_again().await;
    held.let_go().await;
    program.until("The rollback of Web shop v1.2.0 has stopped: Pod 3").await;
    // Nobody saw it end, so it may have run.
    program.refused("john", "retry").await;
    program.say("john", "retry --despite 1").await;
    program.until("is closed: FAILED").await;
    let after = said(&program.state);
    for (key, count) in &before {
        assert_eq!(after.get(key), Some(count), "{key:?}");
    }
    verifies(&program).await;
}
