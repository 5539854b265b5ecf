//! SIGKILL at any moment: nothing is lost, nothing is said twice, no step runs twice unasked.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use regex::Regex;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use crate::program::{Program, glances, plain, processes_with};
use crate::story::{self, ROLL_BACK, SEATS};

// ---------------------------------------------------------------------------------------------
// What was said

/// Where, what, and how often.
type Said = BTreeMap<(String, String), usize>;

/// Every message that was ever posted, from the console's journal: where, and what, without the
/// numbers that differ from run to run. A card counts by what it shows, since it changes.
fn said(state: &Path) -> Said {
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

static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
    let lengths = r"\d\d:\d\d|\d+ (h|min|s|ms|d)\b( \d+ (min|s)\b)?|under a second";
    Regex::new(&format!(r"{lengths}|#\d+ sha256:\w+|127\.0\.0\.1:\d+")).unwrap()
});
/// How long it took is told only of what took a while.
static LENGTH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" \(…\)| · …| in …").unwrap());
/// Each test has a directory of its own.
static DIRECTORY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"/\S*/\.tmp\w+").unwrap());

/// Times, lengths of time, places in the log and addresses.
pub(crate) fn without_numbers(text: &str) -> String {
    let text = NUMBERS.replace_all(text, "…");
    let text = LENGTH.replace_all(&text, "");
    DIRECTORY.replace_all(&text, "…").into_owned()
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
    /// What was answered to questions about a step.
    answers: Vec<Answer>,
}

/// What people were asked about steps whose end nobody saw.
fn questions(all: &str) -> Vec<String> {
    let in_room = all.lines().filter_map(|line| line.strip_prefix("#release-v1-2-0: "));
    let asks =
        |line: &&str| line.contains("nobody can tell how") || line.contains("🚨 The rollback of");
    in_room.filter(asks).map(str::to_owned).collect()
}

#[derive(PartialEq, Eq)]
enum Found {
    /// The orphan has done its work.
    Worked,
    /// It has; but pod 2 cannot start the new version.
    Failed,
    /// We were killed before it began, or it with us: it is tried again.
    NotThere,
}

/// What a person said who was asked about a step, and had looked.
struct Answer {
    question: String,
    back: bool,
    /// Of the database otherwise.
    pod: Option<usize>,
    attempt: usize,
    what: Found,
}

impl Answer {
    fn by_looking(story: &Story, question: String) -> Self {
        let back = question.contains("The rollback of");
        let pod = (1..=3).find(|pod| question.contains(&format!("Pod {pod}")));
        let demo = story.program.state.join("demo");
        let read = |file: &str| fs::read_to_string(demo.join(file)).unwrap();
        let is_there = match pod {
            Some(pod) => {
                let version = if back { "v1.1.9" } else { "v1.2.0" };
                read(&format!("pods/{pod}/current/version")).trim() == version
            }
            None => read("database").contains("dashboard_layouts"),
        };
        let what = match (is_there, pod, back) {
            (false, _, _) => Found::NotThere,
            (true, Some(2), false) => Found::Failed,
            (true, _, _) => Found::Worked,
        };
        // Who was asked about it before has had it tried again.
        let before = story.answers.iter().filter(|before| (before.back, before.pod) == (back, pod));
        Self { attempt: 1 + before.count(), question, back, pod, what }
    }

    fn line(&self) -> String {
        match self.what {
            Found::Worked => "outcome worked I looked".to_owned(),
            Found::Failed => "outcome failed I looked".to_owned(),
            Found::NotThere => format!("retry --despite {}", self.attempt),
        }
    }

    /// What is said otherwise after it than undisturbed; all the rest is the same.
    fn changes(&self, expected: &mut Said) {
        let question = ("room".to_owned(), without_numbers(&self.question));
        *expected.entry(question).or_default() += 1;
        if let Some(told) = self.told() {
            *expected.entry(("room".to_owned(), told)).or_default() += 1;
        }
        match (&self.what, self.back, self.pod) {
            // What a person says is not told as seen: neither that the pod is back, ...
            (Found::Worked, true, Some(pod)) => gone(expected, &format!("✅ Pod {pod} is back")),
            // ... nor that it failed, with its output.
            (Found::Failed, ..) => gone(expected, "❌ Web shop v1.2.0: Pod 2 failed"),
            // A stage is told as done either way.
            (Found::Worked, ..) => {}
            (Found::NotThere, true, pod) => {
                self.another_card(expected, &format!("rollback-{}", 4 - pod.unwrap()));
            }
            (Found::NotThere, false, pod) => {
                self.another_card(expected, &format!("stage-{}", 1 + pod.unwrap_or(0)));
            }
        }
    }

    /// The room hears who said what.
    fn told(&self) -> Option<String> {
        let (mark, how) = match self.what {
            Found::Worked => ("✅", "worked"),
            Found::Failed => ("❌", "failed"),
            Found::NotThere => return None,
        };
        let step = self.pod.map_or("Database migrations".to_owned(), |pod| format!("Pod {pod}"));
        Some(format!("[…] {mark} Web shop v1.2.0: {step} counts as {how}, says John: I looked"))
    }

    /// Each try has a card of its own.
    fn another_card(&self, expected: &mut Said, step: &str) {
        let card = format!("{step}/1\"");
        let first = expected.keys().find(|(_, text)| text.contains(&card)).unwrap().clone();
        let next = first.1.replace(&card, &format!("{step}/{}\"", self.attempt + 1));
        *expected.entry((first.0, next)).or_default() += 1;
    }
}

fn gone(expected: &mut Said, start: &str) {
    let told = format!("[…] {start}");
    let gone = expected.extract_if(.., |(_, text), _| text.starts_with(&told)).count();
    assert_eq!(gone, 1, "{start}");
}

/// The first line of what tells of a step in question, and of what sums up without its issues.
fn in_short(said: Said) -> Said {
    let mut short = Said::new();
    for ((place, text), count) in said {
        let first = text.lines().next().unwrap_or_default();
        let asks = first.starts_with("[…] ❓") || first.starts_with("[…] 🚨");
        let text = if asks || first.contains(" counts as ") {
            first.to_owned()
        } else if first.starts_with("[…] 🏁") {
            // The issues name each question.
            first.split(". ").next().unwrap().to_owned()
        } else {
            text
        };
        *short.entry((place, text)).or_default() += count;
    }
    short
}

/// A rollback that stands still calls the first contact at once, unless the answer is faster.
fn calls(answers: &[Answer], (place, text): &(String, String)) -> bool {
    let mut back = answers.iter().filter(|answer| answer.back);
    let stuck = |pod| format!("the rollback of Web shop v1.2.0 is stuck: Pod {pod} has an unknown");
    ["room", "@dave"].contains(&place.as_str())
        && text.starts_with("[…] 🚨 @Dave, ")
        && back.any(|answer| answer.pod.is_some_and(|pod| text.contains(&stuck(pod))))
}

/// It says what it says undisturbed, but for what people were asked and answered.
fn assert_same(whole: &Story, killed: &Story, what: &str) {
    let mut expected = in_short(said(&whole.program.state));
    for answer in &killed.answers {
        answer.changes(&mut expected);
    }
    let mut found = in_short(said(&killed.program.state));
    let calls = found.extract_if(.., |key, _| calls(&killed.answers, key));
    assert!(calls.map(|(_, count)| count).all(|count| count == 1), "called twice: {what}");
    let keys = expected.keys().chain(found.keys());
    let differ = keys.filter(|key| expected.get(*key) != found.get(*key));
    let differ: Vec<_> = differ.map(|key| (key, expected.get(key), found.get(key))).collect();
    assert!(differ.is_empty(), "{what}: expected, found\n{differ:#?}");
}

/// What is written to grows with every message, every edit and every step that begins or ends.
fn written(state: &Path) -> usize {
    lines(state) + of_runs(state)
}

fn lines(state: &Path) -> usize {
    let journal = fs::read(state.join("console.jsonl")).unwrap_or_default();
    journal.iter().filter(|byte| **byte == b'\n').count()
}

fn of_runs(state: &Path) -> usize {
    let runs = fs::read_dir(state.join("runs")).into_iter().flatten().flatten();
    runs.map(|run| fs::read_dir(run.path()).map_or(0, Iterator::count)).sum()
}

/// The journal is read only when it has grown, so that we do not keep the machine busy ourselves.
async fn written_up_to(state: &Path, mark: usize) {
    let mut glance = glances(Duration::from_millis(2));
    let (mut length, mut known) = (0, 0);
    loop {
        glance.tick().await;
        let now = fs::metadata(state.join("console.jsonl")).map_or(0, |journal| journal.len());
        if now != length {
            (length, known) = (now, lines(state));
        }
        if known + of_runs(state) >= mark {
            return;
        }
    }
}

impl Story {
    async fn new(first: usize, every: usize) -> Self {
        Self { program: Program::start().await, every, next: first, kills: 0, answers: Vec::new() }
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
            let answered = story.answers.len();
            let (next, question) = story
                .make(async |program| {
                    let found = Cell::new(None);
                    let seen = async || {
                        let all = program.everything_once().await.unwrap_or_default();
                        let question = questions(&all).get(answered).cloned();
                        let is_new = question.is_some();
                        found.set(question);
                        all.contains(text) || is_new
                    };
                    program.look(text, seen).await;
                    Ok(found.take())
                })
                .await;
            story = next;
            let Some(question) = question else { return story };
            let answer = Answer::by_looking(&story, question);
            let (line, key) = (answer.line(), format!("sweep/answer-{answered}"));
            let deed = async |program: &Program| program.ask_once("john", &line, Some(&key)).await;
            let (next, (ok, told)) = story.make(deed).await;
            story = next;
            assert!(ok, "{line}: {told}");
            let cannot = answer.what == Found::Failed;
            story.answers.push(answer);
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

#[tokio::test]
async fn killed_anywhere_it_says_the_same_things_once() {
    let whole = told(Story::new(usize::MAX, 0).await).await;
    let every = 5;
    let mut kills = 0;
    for first in 3..3 + every {
        let killed = told(Story::new(first, every).await).await;
        let all = killed.program.everything().await;
        let what = format!("killed at {first} and then every {every}:\n{all}");
        assert_same(&whole, &killed, &what);
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
