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
use futures_util::{FutureExt, StreamExt, stream};
use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;
use regex::Regex;
use tokio::net::unix::pipe;

use crate::chats::{ROOM, Said, Screens, Side, Typed, story};
use crate::discord_world::DiscordWorld;
use crate::operation::quiet;
use crate::program::glances;
use crate::slack_world::SlackWorld;
use crate::stage::Stage;
use crate::zones::berlin;

const DRAWN: usize = 10;
const AT_ONCE: usize = 2;
const PATIENCE: Wait = Wait::from_secs(60);

/// A thing that is done in the chat, or a step of the release, and on which side of it we are killed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Boundary {
    /// The chat has not taken it yet.
    Before(String),
    /// The chat took it, and we never heard of it.
    After(String),
    /// A step that is held at its begin or at its end: what its files are called.
    Step(&'static str),
}

// ---------------------------------------------------------------------------------------------
// The play, in which we are killed once

struct Play<C: Screens> {
    stage: Stage<C>,
    at: Option<Boundary>,
    killed: bool,
    start: DateTime<Utc>,
}

impl<C: Screens> Play<C> {
    async fn begin(at: Option<Boundary>) -> Self {
        let stage = Stage::<C>::patient(C::MODES[0]).await;
        match &at {
            None => {}
            Some(Boundary::Before(what)) => stage.world.strike(Side::Before, what),
            Some(Boundary::After(what)) => stage.world.strike(Side::After, what),
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
    async fn until(&mut self, what: &str, holds: impl AsyncFn(&Stage<C>) -> bool) {
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

    async fn sees(&mut self, channel: &str, wanted: &str) -> C::Post {
        self.until(wanted, async |stage| stage.found(channel, wanted).is_some()).await;
        self.quiet().await;
        self.stage.found(channel, wanted).expect("it was just there")
    }

    async fn comes(&mut self, at: DateTime<Utc>) {
        self.quiet().await;
        self.stage.comes(at).await;
    }

    async fn passes(&mut self, time: Duration) {
        self.quiet().await;
        self.stage.passes(time).await;
    }

    async fn says(&mut self, who: &str, line: Typed<'_>, answer: &str) {
        self.stage.types(who, line, answer).await;
        self.quiet().await;
    }

    async fn presses(&mut self, who: &str, post: &C::Post, label: &str, answer: &str) {
        self.stage.presses(who, post, label, answer).await;
        self.quiet().await;
    }

    /// Who is asked about a step whose end nobody saw has looked, and says so.
    async fn step_ends(&mut self, told: &str) {
        let asked = "nobody can tell how";
        let either = async |stage: &Stage<C>| {
            stage.found(ROOM, told).is_some() || stage.found(ROOM, asked).is_some()
        };
        self.until(told, either).await;
        let answered = self.stage.found(ROOM, told).is_some();
        if !answered && self.stage.found(ROOM, asked).is_some() {
            let line = Typed {
                slack: "outcome worked I looked",
                discord: "outcome ended:worked reason:I looked",
            };
            self.says("john", line, "").await;
        }
        self.sees(ROOM, told).await;
    }
}

/// From the schedule to the archived room.
async fn told<C: Screens>(at: Option<Boundary>) -> Play<C> {
    let mut play = Play::<C>::begin(at).await;
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
    let tick =
        Typed { slack: "checklist pass runbook", discord: "checklist act:pass item:runbook" };
    play.says("maria", tick, "The checklist is green").await;
    play.sees(ROOM, "✅ GO: Web shop v1.2.0.").await;
    rolled_out(&mut play).await;
    play.passes(Duration::hours(1)).await;
    play.sees("releases", "Web shop v1.2.0 is live.").await;
    play.passes(Duration::hours(23)).await;
    play.sees(ROOM, "the report.").await;
    play.until("the room is archived", async |stage| stage.is_archived()).await;
    play.quiet().await;
    play
}

/// How many minutes before the start, where, and what is said then.
pub(crate) const ANNOUNCED: [(i64, &str, &str); 5] = [
    (48 * 60, "releases", "Web shop v1.2.0 goes out"),
    (24 * 60, "customers", "We're launching"),
    (4 * 60, "dm-sam", "This is the reminder of T-4h"),
    (65, ROOM, "how to go back to v1.1.9"),
    (60, "releases", "🚀 Web shop v1.2.0 starts in 1 h."),
];

async fn announced<C: Screens>(play: &mut Play<C>) {
    let start = play.start;
    let local = start.with_timezone(&berlin()).format("%Y-%m-%d %H:%M");
    let line = Typed {
        slack: &format!("schedule web-shop {local}"),
        discord: &format!("schedule plan:web-shop when:{local}"),
    };
    play.says("maria", line, "is scheduled for").await;
    for (minutes, channel, wanted) in ANNOUNCED {
        play.comes(start - Duration::minutes(minutes)).await;
        play.sees(channel, wanted).await;
    }
}

async fn rolled_out<C: Screens>(play: &mut Play<C>) {
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

static ROOM_ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"C0000\d+|\d{17,20}").unwrap());

/// The state is what the log adds up to.
async fn log(stage: &Stage<impl Screens>) -> BTreeMap<String, usize> {
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

async fn checked<C: Screens>(play: Play<C>, whole: &Undisturbed) {
    let (stage, at) = (&play.stage, play.at.as_ref().expect("one was chosen"));
    assert!(play.killed, "{at:?} never came");
    stage.read_aloud();
    for pod in [1, 2] {
        assert_eq!(stage.deploys(pod, "v1.2.0"), 1, "{at:?}: pod {pod}");
        assert_eq!(stage.pod(pod), "v1.2.0", "{at:?}");
    }
    let (said, log) = (stage.world.said(), log(stage).await);
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
    let kinds = ["chat.postMessage", "conversations.create", "pins.add", "files."];
    swept::<SlackWorld>(&kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_whatever_it_does_in_discord_it_does_it_once() {
    let kinds = ["create_message", "create_guild_channel", "deprecated_create_pin", "update_"];
    swept::<DiscordWorld>(&kinds).await;
}

async fn swept<C: Screens>(kinds: &[&str]) {
    let play = told::<C>(None).await;
    let whole = Undisturbed {
        deeds: play.stage.world.deeds(),
        said: play.stage.world.said(),
        log: log(&play.stage).await,
    };
    play.stage.assert_clean().await;
    drop(play);
    let all = boundaries(&whole.deeds);
    for kind in kinds {
        let has = whole.deeds.iter().any(|deed| deed.starts_with(kind));
        assert!(has, "{kind}: {:#?}", whole.deeds);
    }
    assert!(all.len() > 80, "{all:#?}");
    let each = |at: Boundary| {
        let (name, whole) = (format!("{at:?}"), &whole);
        let play = async move { checked(told::<C>(Some(at)).await, whole).await };
        // What is wrong is printed where it goes wrong; the others are played all the same.
        async move { AssertUnwindSafe(play).catch_unwind().await.err().map(|_| name) }
    };
    let tried = stream::iter(chosen(all)).map(each).buffer_unordered(AT_ONCE);
    let wrong: Vec<Option<String>> = tried.collect().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
}
