//! SIGKILL at each thing that is done in Slack, before Slack takes it and after it took it: what an
//! undisturbed run says is said once, no step runs twice, and the log tells the same story.
//!
//! Ten boundaries, drawn by `TMINUS_SEED`, each time; `TMINUS_BOUNDARIES=all` takes all of them,
//! and any other word those in which it is.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::time::Duration as Wait;

use chrono::{DateTime, Duration, DurationRound, Utc};
use chrono_tz::Europe::Berlin;
use futures_util::{FutureExt, StreamExt, stream};
use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;
use regex::Regex;
use serde_json::{Map, Value};
use tokio::net::unix::pipe;

use crate::crash::without_numbers;
use crate::operation::quiet;
use crate::program::glances;
use crate::slack_play::ROOM;
use crate::slack_stage::{Mode, Stage};
use crate::slack_world::{Fault, Harm, Post};

/// Where, what, and how often.
type Said = BTreeMap<(String, String), usize>;

const DRAWN: usize = 10;
const AT_ONCE: usize = 2;
const PATIENCE: Wait = Wait::from_secs(60);

/// A thing that is done in Slack, or a step of the release, and on which side of it we are killed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Boundary {
    /// Slack has not taken it yet.
    Before(String),
    /// Slack took it, and we never heard of it.
    After(String),
    /// A step that is held at its begin or at its end: what its files are called.
    Step(&'static str),
}

/// What is done in Slack, without what differs from run to run.
fn deed(method: &str, args: &Map<String, Value>) -> String {
    let arg = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = args.get("metadata").map(key_of).unwrap_or_default();
    let what = match method {
        // A card is rewritten whenever it is out of date.
        "chat.update" => String::new(),
        "files.getUploadURLExternal" => arg("filename").to_owned(),
        _ if is_card(&key) => card(&key),
        _ => ["text", "name", "topic", "purpose", "users", "title"].map(arg).concat(),
    };
    let channel = [arg("channel"), arg("channel_id")].concat();
    format!("{method} {} {}", place(&channel), story(&what))
}

/// The room has another id each time.
fn place(channel: &str) -> &str {
    if channel.starts_with("C0000") { "room" } else { channel }
}

fn key_of(metadata: &Value) -> String {
    metadata["event_payload"]["key"].as_str().unwrap_or_default().to_owned()
}

fn is_card(key: &str) -> bool {
    key.starts_with("card/")
}

/// Without the place in the log at which it was posted anew.
fn card(key: &str) -> String {
    let card: Value = serde_json::from_str(&key[key.find('{').unwrap()..]).unwrap();
    format!("card {} in {}", card["kind"], place(card["channel"].as_str().unwrap()))
}

/// Everything that a run has done in Slack, each once.
fn deeds(stage: &Stage) -> BTreeSet<String> {
    let calls = stage.world.all_calls();
    let changing = calls.iter().filter(|call| call.acted && changes_something(&call.method));
    changing.map(|call| deed(&call.method, &call.args)).collect()
}

fn changes_something(method: &str) -> bool {
    let groups = ["chat.", "pins.", "bookmarks.add", "files."];
    let rooms = ["create", "setTopic", "setPurpose", "invite", "archive", "open"];
    let of_rooms = method.strip_prefix("conversations.").is_some_and(|it| rooms.contains(&it));
    of_rooms || (groups.iter().any(|group| method.starts_with(group)) && !is_answer(method))
}

/// What only one person sees is no effect of a release.
fn is_answer(method: &str) -> bool {
    method == "chat.postEphemeral"
}

// ---------------------------------------------------------------------------------------------
// The play, in which we are killed once

struct Play {
    stage: Stage,
    at: Option<Boundary>,
    killed: bool,
    start: DateTime<Utc>,
}

impl Play {
    async fn begin(at: Option<Boundary>) -> Self {
        let stage = Stage::patient(Mode::Socket).await;
        let fault = |harm, wanted: &String| Fault::on("*", harm).doing(deed, wanted);
        match &at {
            None => {}
            Some(Boundary::Before(what)) => stage.world.fault(fault(Harm::Hold, what)),
            Some(Boundary::After(what)) => stage.world.fault(fault(Harm::AnswerLost, what)),
            Some(Boundary::Step(name)) => {
                let hold = stage.path(&format!("pods/hold-{name}"));
                mkfifo(&hold, Bits::S_IRUSR | Bits::S_IWUSR).unwrap();
            }
        }
        let start = (Utc::now() + Duration::hours(73)).duration_trunc(Duration::minutes(1));
        Self { stage, at, killed: false, start: start.unwrap() }
    }

    /// Kills, if this is the moment, and starts again.
    async fn look(&mut self) {
        match &self.at {
            Some(Boundary::Before(_) | Boundary::After(_)) if self.stage.world.struck() > 0 => {
                if !self.killed && self.stands_alone().await {
                    self.killed = true;
                    self.stage.killed().await;
                    self.stage.world.release();
                    self.stage.begin().await;
                }
            }
            Some(Boundary::Step(name)) if !self.killed => {
                let hold = self.stage.path(&format!("pods/hold-{name}"));
                // A pipe that nobody reads cannot be opened for writing.
                let Ok(held) = pipe::OpenOptions::new().open_sender(&hold) else { return };
                self.killed = true;
                self.stage.killed().await;
                std::fs::remove_file(&hold).unwrap();
                self.stage.begin().await;
                // Found running by us; now it goes on, and nobody hears how it ends.
                drop(held);
            }
            Some(Boundary::Before(_) | Boundary::After(_) | Boundary::Step(_)) | None => {}
        }
    }

    /// Nothing else is under way: a step that ran would have an end that nobody saw.
    async fn stands_alone(&self) -> bool {
        let mut glance = glances(Wait::from_millis(10));
        for _ in 0..5 {
            glance.tick().await;
            let numbers = self.stage.running().get("/metrics").await.1;
            if !numbers.lines().any(|line| line == "tminus_delivery_lanes_busy 1") {
                return false;
            }
        }
        true
    }

    /// Until it holds, whatever happens to us meanwhile.
    async fn until(&mut self, what: &str, holds: impl AsyncFn(&Stage) -> bool) {
        let at = self.at.clone();
        let looking = async {
            let mut glance = glances(Wait::from_millis(20));
            while !holds(&self.stage).await {
                glance.tick().await;
                self.look().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        assert!(seen.is_ok(), "{at:?}: never seen: {what}\n{}", self.stage.world.everything());
    }

    async fn quiet(&mut self) {
        self.until("it is quiet", async |stage| quiet(stage.running()).await).await;
    }

    async fn sees(&mut self, channel: &str, wanted: &str) -> Post {
        self.until(wanted, async |stage| stage.world.says(channel, wanted).is_some()).await;
        self.quiet().await;
        self.stage.world.says(channel, wanted).expect("it was just there")
    }

    async fn comes(&mut self, at: DateTime<Utc>) {
        self.quiet().await;
        self.stage.comes(at).await;
    }

    async fn passes(&mut self, time: Duration) {
        self.quiet().await;
        self.stage.passes(time).await;
    }

    async fn says(&mut self, who: &str, line: &str, answer: &str) {
        self.stage.says(who, line, answer).await;
        self.quiet().await;
    }

    async fn presses(&mut self, who: &str, post: &Post, label: &str, answer: &str) {
        self.stage.presses(who, post, label, answer).await;
        self.quiet().await;
    }

    /// Who is asked about a step whose end nobody saw has looked, and says so.
    async fn step_ends(&mut self, told: &str) {
        let asked = "nobody can tell how";
        let either = async |stage: &Stage| {
            stage.world.says(ROOM, told).is_some() || stage.world.says(ROOM, asked).is_some()
        };
        self.until(told, either).await;
        let answered = self.stage.world.says(ROOM, told).is_some();
        if !answered && self.stage.world.says(ROOM, asked).is_some() {
            self.says("john", "outcome worked I looked", "").await;
        }
        self.sees(ROOM, told).await;
    }
}

/// From the schedule to the archived room.
async fn told(at: Option<Boundary>) -> Play {
    let mut play = Play::begin(at).await;
    announced(&mut play).await;
    let poll = play.sees("releases", "go or no-go?").await;
    // On record, and so in the report: it becomes too long for a message, and is a file.
    for _ in 0..8 {
        play.presses("dave", &poll, "GO · Support", "You can't sign for Support").await;
    }
    for (who, role) in [("quinn", "QA"), ("ann", "Engineering"), ("sam", "Support")] {
        let poll = play.sees("releases", "go or no-go?").await;
        let answer = format!("Your GO for {role} is recorded");
        play.presses(who, &poll, &format!("GO · {role}"), &answer).await;
    }
    play.says("maria", "checklist pass runbook", "The checklist is green").await;
    play.sees(ROOM, "✅ GO: Web shop v1.2.0.").await;
    rolled_out(&mut play).await;
    play.passes(Duration::hours(1)).await;
    play.sees("releases", "Web shop v1.2.0 is live.").await;
    play.passes(Duration::hours(23)).await;
    play.sees(ROOM, "the report.").await;
    play.until("the room is archived", async |stage| stage.world.channel(ROOM).archived).await;
    play.quiet().await;
    play
}

async fn announced(play: &mut Play) {
    let start = play.start;
    let local = start.with_timezone(&Berlin).format("%Y-%m-%d %H:%M");
    play.says("maria", &format!("schedule web-shop {local}"), "is scheduled for").await;
    for (minutes, channel, wanted) in [
        (48 * 60, "releases", "Web shop v1.2.0 goes out"),
        (24 * 60, "customers", "We're launching"),
        (4 * 60, "dm-sam", "This is the reminder of T-4h"),
        (65, ROOM, "how to go back to v1.1.9"),
        (60, "releases", "🚀 Web shop v1.2.0 starts in 1 h."),
    ] {
        play.comes(start - Duration::minutes(minutes)).await;
        play.sees(channel, wanted).await;
    }
}

async fn rolled_out(play: &mut Play) {
    play.comes(play.start).await;
    let ready = play.sees(ROOM, "is ready to start").await;
    play.presses("maria", &ready, "Start", "has started").await;
    play.step_ends("✅ Database migrations complete").await;
    play.step_ends("✅ Pod 1 deployed (50 % traffic)").await;
    play.sees(ROOM, "Soaking Pod 1 until").await;
    play.passes(Duration::minutes(10)).await;
    let gate = play.sees(ROOM, "Pod 1 is through its gate").await;
    play.passes(Duration::minutes(15)).await;
    play.sees(ROOM, "Nothing was heard for 15 minutes").await;
    play.presses("john", &gate, "Advance", "next stage begins").await;
    play.step_ends("✅ Pod 2 deployed (100 % traffic)").await;
    play.sees(ROOM, "Soaking Pod 2 until").await;
    play.passes(Duration::minutes(10)).await;
    play.sees(ROOM, "is rolled out at 100 %").await;
    play.sees(ROOM, "✅ Smoke tests: 1/1 passing").await;
}

// ---------------------------------------------------------------------------------------------
// What came of it

/// Every message of ours: where, and what, without the numbers that differ from run to run.
fn said(stage: &Stage) -> Said {
    stage.world.look(|workspace| {
        let mut said = Said::new();
        for channel in workspace.channels.values() {
            let shown = channel.messages.iter().filter(|it| !it.deleted);
            for message in shown {
                let key = key_of(&message.content.metadata);
                let text = match is_card(&key) {
                    true => card(&key),
                    false => story(&stage.world.shows(&message.content, workspace)),
                };
                *said.entry((channel.name.clone(), text)).or_default() += 1;
            }
        }
        said
    })
}

static DAYS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b\w{3} \d{1,2} \w{3}( \d{4})?\b").unwrap());
static ROOM_ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"C0000\d+").unwrap());

/// Of the report its begin: it quotes the log, whose entries may come in another order.
fn story(text: &str) -> String {
    let text = without_numbers(&DAYS.replace_all(text, "…"));
    match text.starts_with("📄") {
        true => text.lines().next().unwrap_or_default().to_owned(),
        false => text,
    }
}

/// The state is what the log adds up to.
async fn log(stage: &Stage) -> BTreeMap<String, usize> {
    let mut log = BTreeMap::new();
    for entry in stage.log().await {
        let entry = ROOM_ID.replace_all(&story(&entry), "room").into_owned();
        *log.entry(entry).or_default() += 1;
    }
    log
}

struct Undisturbed {
    deeds: BTreeSet<String>,
    said: Said,
    log: BTreeMap<String, usize>,
}

async fn checked(play: Play, whole: &Undisturbed) {
    let (stage, at) = (&play.stage, play.at.as_ref().expect("one was chosen"));
    assert!(play.killed, "{at:?} never came");
    stage.read_aloud();
    for pod in [1, 2] {
        assert_eq!(stage.deploys(pod, "v1.2.0"), 1, "{at:?}: pod {pod}");
        assert_eq!(stage.pod(pod), "v1.2.0", "{at:?}");
    }
    let (said, log) = (said(stage), log(stage).await);
    let twice: Vec<_> = said
        .iter()
        .filter(|(what, count)| **count > *whole.said.get(*what).unwrap_or(&1))
        .collect();
    assert!(twice.is_empty(), "{at:?}: {twice:#?}");
    if !matches!(at, Boundary::Step(_)) {
        // A step whose end nobody saw asks a person, and tells of it as an issue.
        differ(at, &whole.said, &said);
        differ(at, &whole.log, &log);
    }
    stage.assert_clean().await;
}

fn differ<K: Ord + std::fmt::Debug>(
    at: &Boundary,
    whole: &BTreeMap<K, usize>,
    found: &BTreeMap<K, usize>,
) {
    let keys: BTreeSet<&K> = whole.keys().chain(found.keys()).collect();
    let differ = keys.into_iter().filter(|key| whole.get(*key) != found.get(*key));
    let differ: Vec<_> = differ.map(|key| (key, whole.get(key), found.get(key))).collect();
    assert!(differ.is_empty(), "{at:?}: what, undisturbed, found\n{differ:#?}");
}

// ---------------------------------------------------------------------------------------------
// Which of them

fn boundaries(deeds: &BTreeSet<String>) -> Vec<Boundary> {
    let steps = ["begin-migrate-", "end-migrate-", "begin-deploy-1", "end-deploy-1"];
    let more = ["begin-deploy-2", "end-deploy-2", "begin-health-", "end-health-", "end-live-"];
    let sides = |deed: &String| [Boundary::Before(deed.clone()), Boundary::After(deed.clone())];
    let steps = steps.into_iter().chain(more).map(Boundary::Step);
    deeds.iter().flat_map(sides).chain(steps).collect()
}

/// All of them, or as many as are drawn: the same ones for the same seed.
fn chosen(mut all: Vec<Boundary>) -> Vec<Boundary> {
    if let Ok(wanted) = std::env::var("TMINUS_BOUNDARIES") {
        all.retain(|at| wanted == "all" || format!("{at:?}").contains(&wanted));
        return all;
    }
    let seed = std::env::var("TMINUS_SEED").ok().and_then(|it| it.parse().ok());
    let mut seed: u64 = seed.unwrap_or(1);
    let mut drawn = Vec::new();
    while drawn.len() < DRAWN && !all.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let which = usize::try_from(seed >> 33).unwrap() % all.len();
        drawn.push(all.swap_remove(which));
    }
    drawn
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_whatever_it_does_in_slack_it_does_it_once() {
    let play = told(None).await;
    let whole = Undisturbed {
        deeds: deeds(&play.stage),
        said: said(&play.stage),
        log: log(&play.stage).await,
    };
    play.stage.assert_clean().await;
    drop(play);
    let all = boundaries(&whole.deeds);
    let has = |what: &str| whole.deeds.iter().any(|deed| deed.starts_with(what));
    for what in ["chat.postMessage", "conversations.create", "pins.add", "files."] {
        assert!(has(what), "{what}: {:#?}", whole.deeds);
    }
    assert!(all.len() > 80, "{all:#?}");
    let each = |at: Boundary| {
        let (name, whole) = (format!("{at:?}"), &whole);
        let play = async move { checked(told(Some(at)).await, whole).await };
        // What is wrong is printed where it goes wrong; the others are played all the same.
        async move { AssertUnwindSafe(play).catch_unwind().await.err().map(|_| name) }
    };
    let tried = stream::iter(chosen(all)).map(each).buffer_unordered(AT_ONCE);
    let wrong: Vec<Option<String>> = tried.collect().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
}
