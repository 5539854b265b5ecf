//! The full play, from the schedule to the report of a release that failed and was rolled back, in
//! moves that people make again when nothing came of them.

use std::panic::AssertUnwindSafe;
use std::time::Duration as Wait;

use chrono::{DateTime, Duration, DurationRound, Utc};
use futures_util::FutureExt;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode as Bits;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::lever::{Lever, Number};
use super::trouble::{Kind, Trouble};
use super::troubled::{Act, Troubled};
use crate::chat_crash::ANNOUNCED;
use crate::chats::ROOM;
use crate::program::glances;
use crate::shop;
use crate::stage::Stage;
use crate::zones::berlin;

/// A chat that fails eight times in a row is asked again after more than two minutes, all in all.
const PATIENCE: Wait = Wait::from_secs(240);
const TO_BEGIN: Wait = Wait::from_secs(30);
/// After which a person tries again what nothing came of.
const AGAIN: Wait = Wait::from_millis(1_500);
const TOKEN: &str = "john's token, of 32 characters or more";

/// The times of every day, short waits for whoever does not answer, and John at the API.
pub(super) fn configured(config: String) -> String {
    shop::patiently(config)
        .replace("timeout = \"5s\"", "timeout = \"2s\"")
        .replace("enabled = false", "enabled = false\ntokens = { john = { env = \"JOHN\" } }")
}

/// What a person who was asked about a step found, and said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The pod, and the version that it was to serve.
    pub(super) step: Option<(u8, &'static str)>,
    pub(super) line: String,
}

impl Answer {
    pub(super) fn is_retry(&self) -> bool {
        self.line.starts_with("retry")
    }
}

pub(super) struct Play<C: Troubled> {
    pub(super) stage: Stage<C>,
    pub(super) trouble: Trouble,
    pub(super) lever: Lever,
    start: DateTime<Utc>,
    /// How many moves were begun.
    pub(super) moves: usize,
    /// How often it was killed, or died of what was done to it.
    pub(super) ends: usize,
    /// How often something else was done to it.
    pub(super) strikes: usize,
    struck: usize,
    pub(super) answers: Vec<Answer>,
    pub(super) resumed: usize,
    full_until: Option<Instant>,
}

impl<C: Troubled> Play<C> {
    async fn begin(trouble: Trouble) -> Self {
        let mode = C::MODES[trouble.way as usize];
        let mut stage = Stage::<C>::waiting(mode, configured).await;
        stage.here.set_env("JOHN", TOKEN);
        stage.here.write("pods/broken-2-v1.2.0", "");
        let lever = Lever::on(&mut stage.here);
        for (side, deed) in &trouble.deeds {
            stage.world.strike(*side, deed);
        }
        for (weather, nth, times) in &trouble.weather {
            stage.world.harm(*weather, *nth, *times);
        }
        if let Some(step) = trouble.step {
            let hold = stage.path(&format!("pods/hold-{step}"));
            mkfifo(&hold, Bits::S_IRUSR | Bits::S_IWUSR).unwrap();
        }
        let start = (Utc::now() + Duration::hours(73)).duration_trunc(Duration::minutes(1));
        let mut play = Self {
            stage,
            trouble,
            lever,
            start: start.unwrap(),
            moves: 0,
            ends: 0,
            strikes: 0,
            struck: 0,
            answers: Vec::new(),
            resumed: 0,
            full_until: None,
        };
        play.begins().await;
        play
    }

    /// Started as often as it takes: it may die while it starts.
    async fn begins(&mut self) {
        for _ in 0..6 {
            self.arms_commit();
            let begin = AssertUnwindSafe(self.stage.begin()).catch_unwind();
            if matches!(tokio::time::timeout(TO_BEGIN, begin).await, Ok(Ok(()))) {
                return;
            }
            self.ends += 1;
        }
        panic!("it does not start any more");
    }

    async fn dies(&mut self) {
        self.stage.killed().await;
        self.stage.world.release();
    }

    /// The next commit at which something is to happen, counted on from where we are.
    fn arms_commit(&mut self) {
        let known = [
            (Kind::KilledBeforeACommit, Number::Writes, Number::DieWrite),
            (Kind::KilledAfterACommit, Number::Syncs, Number::DieSync),
            (Kind::SyncFails, Number::Syncs, Number::FailSync),
        ];
        let own = known.into_iter().find(|(kind, ..)| *kind == self.trouble.kind);
        let Some((_, counted, armed)) = own else { return };
        let soon = self.lever.read(counted) + 1;
        match self.lever.read(armed) {
            0 if self.trouble.commits.is_empty() => {}
            0 => self.lever.set(armed, self.trouble.commits.remove(0).max(soon)),
            later if self.moves >= self.trouble.at_latest && later > soon => {
                self.lever.set(armed, soon);
            }
            _ => {}
        }
    }

    // -------------------------------------------------------------------------------------------
    // What happens meanwhile

    async fn look(&mut self) {
        self.strikes().await;
        if !self.stage.is_up() {
            self.ends += 1;
            self.stage.world.release();
            self.begins().await;
        }
        self.arms_commit();
        self.answers().await;
    }

    async fn strikes(&mut self) {
        let struck = self.stage.world.struck();
        if struck > self.struck {
            if self.trouble.deeds.is_empty() {
                self.strikes += struck - self.struck;
            } else {
                self.dies().await;
            }
            self.struck = struck;
        }
        if let Some(step) = self.trouble.step {
            self.strikes_step(step).await;
        }
        if self.full_until.is_some_and(|until| until < Instant::now()) {
            self.full_until = None;
            self.lever.set(Number::Full, 0);
        }
        while self.trouble.moves.first().is_some_and(|(at, _)| *at < self.moves) {
            let (_, length) = self.trouble.moves.remove(0);
            self.strikes_now(Wait::from_millis(length)).await;
        }
    }

    /// What is held is found running by the next one; then it goes on, and nobody hears how it ends.
    async fn strikes_step(&mut self, step: &str) {
        let hold = self.stage.path(&format!("pods/hold-{step}"));
        // A pipe that nobody reads cannot be opened for writing.
        let Ok(held) = pipe::OpenOptions::new().open_sender(&hold) else { return };
        self.trouble.step = None;
        self.dies().await;
        self.ends += 1;
        std::fs::remove_file(&hold).unwrap();
        self.begins().await;
        drop(held);
    }

    async fn strikes_now(&mut self, length: Wait) {
        match self.trouble.kind {
            Kind::KilledAnywhere => self.dies_after(length),
            Kind::DiskFull => self.disk_is_full_for(length),
            Kind::DatabaseLocked => self.locks_for(length),
            Kind::HalfOpenSockets => self.goes_silent().await,
            Kind::ClockSet => {
                self.strikes += 1;
                let hour = if self.trouble.forward { 3_600 } else { -3_600 };
                let is_set = self.lever.read(Number::Leap) != 0;
                let before = self.entries().await;
                self.lever.set(Number::Leap, if is_set { 0 } else { hour });
                // What nobody noticed would be no trouble; when all is over nobody looks any more.
                let noticed = async {
                    let mut glance = glances(Wait::from_millis(15));
                    while self.entries().await == before {
                        glance.tick().await;
                    }
                };
                tokio::time::timeout(AGAIN, noticed).await.ok();
            }
            Kind::KilledBeforeAnEffect
            | Kind::KilledAfterAnEffect
            | Kind::KilledAroundAStep
            | Kind::KilledBeforeACommit
            | Kind::KilledAfterACommit
            | Kind::TooManyRequests
            | Kind::Errors
            | Kind::Resets
            | Kind::Stalls
            | Kind::DeliveredTwice
            | Kind::DeliveredBackwards
            | Kind::SyncFails => {}
        }
    }

    /// At an instant that was drawn: nobody waits for it, so this is no sleep that hides a race.
    fn dies_after(&self, length: Wait) {
        let pid = Pid::from_raw(i32::try_from(self.stage.running().process()).unwrap());
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            kill(pid, Signal::SIGKILL).ok();
        });
    }

    fn disk_is_full_for(&mut self, length: Wait) {
        self.lever.set(Number::Full, 1);
        self.full_until = Some(Instant::now() + length);
    }

    /// Another program holds the database, as somebody with a tool would.
    fn locks_for(&mut self, length: Wait) {
        self.strikes += 1;
        let file = self.stage.path("state/tminus.db");
        tokio::spawn(async move {
            let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
            let mut other = options.connect().await.unwrap();
            sqlx::query("begin immediate").execute(&mut other).await.unwrap();
            tokio::time::sleep(length).await;
            sqlx::query("rollback").execute(&mut other).await.unwrap();
            other.close().await.ok();
        });
    }

    /// Nothing comes and nothing is closed, until the program notices it by itself.
    async fn goes_silent(&mut self) {
        self.strikes += 1;
        self.stage.world.falls_silent();
        for _ in 0..30 {
            self.stage.time_goes_by(Duration::seconds(10));
            self.pokes().await;
            if tokio::time::timeout(Wait::from_millis(300), self.stage.world.connected())
                .await
                .is_ok()
            {
                return;
            }
        }
        panic!("it never noticed that nobody listens");
    }

    /// How long the log is; asking is enough for whoever sleeps to look at the clock.
    async fn entries(&self) -> Option<String> {
        let numbers = metrics(&self.stage).await?;
        let line = numbers.lines().find(|line| line.starts_with("tminus_log_entries "))?;
        Some(line.to_owned())
    }

    /// Whoever sleeps looks at the clock when something happens.
    async fn pokes(&self) {
        let running = self.stage.running();
        running.client().get(format!("{}/healthz", running.address)).send().await.ok();
    }

    /// Who is asked about a step whose end nobody saw has looked, and says so.
    async fn answers(&mut self) {
        let asked = self.stage.count(FORWARD) + self.stage.count(BACK);
        if asked > self.answers.len() {
            let answer = self.found_out();
            let key = format!("answer-{}", self.answers.len());
            if self.says_at_api(&answer.line, &key).await {
                self.answers.push(answer);
            }
        }
        let held = self.stage.count("nothing new begins until");
        if held > self.resumed && self.says_at_api("resume", &format!("resume-{held}")).await {
            self.resumed = held;
        }
    }

    fn found_out(&self) -> Answer {
        let back = self.stage.found(ROOM, BACK);
        let (post, wanted) = match back {
            Some(post) if self.stage.count(BACK) > self.asked_back() => (post, "v1.1.9"),
            _ => (self.stage.found(ROOM, FORWARD).expect("it was just there"), "v1.2.0"),
        };
        let text = self.stage.text_of(&post);
        let pod = [1, 2].into_iter().find(|pod| text.contains(&format!("Pod {pod}")));
        let step = pod.map(|pod| (pod, wanted));
        let tried = self.answers.iter().filter(|it| it.step == step).count();
        let line = match step {
            None => "outcome worked I looked".to_owned(),
            Some((pod, version)) if self.stage.pod(pod) == version => {
                "outcome worked I looked".to_owned()
            }
            // It has begun, and cannot start.
            Some((2, "v1.2.0")) if self.stage.deploys(2, "v1.2.0") > tried => {
                "outcome failed I looked".to_owned()
            }
            Some(_) => format!("retry --despite {}", tried + 1),
        };
        Answer { step, line }
    }

    fn asked_back(&self) -> usize {
        let back = |answer: &&Answer| answer.step.is_some_and(|(_, version)| version == "v1.1.9");
        self.answers.iter().filter(back).count()
    }

    /// True when it was done.
    async fn says_at_api(&self, line: &str, key: &str) -> bool {
        let running = self.stage.running();
        let request = running.client().post(format!("{}/api/commands", running.address));
        let request = request.bearer_auth(TOKEN).header("idempotency-key", key);
        let Ok(answer) = request.json(&json!({ "line": line })).send().await else { return false };
        answer.json::<Value>().await.is_ok_and(|answer| answer["ok"] == true)
    }

    /// The end of what the operator would read.
    fn last_words(&mut self) -> String {
        let logged = self.stage.here.logged();
        let lines: Vec<_> = logged.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// How often its disk refused something.
    pub(super) fn refused_by_disk(&self) -> usize {
        let refuses = [Kind::DiskFull, Kind::SyncFails].contains(&self.trouble.kind);
        if refuses { self.struck_by_lever() } else { 0 }
    }

    /// How often its disk did something to it.
    pub(super) fn struck_by_lever(&self) -> usize {
        usize::try_from(self.lever.read(Number::Struck)).unwrap()
    }

    // -------------------------------------------------------------------------------------------
    // Moves

    /// Until it holds, whatever happens to us meanwhile.
    async fn until(&mut self, what: &str, holds: impl AsyncFn(&Stage<C>) -> bool) {
        let looking = async {
            let mut glance = glances(Wait::from_millis(15));
            loop {
                glance.tick().await;
                self.look().await;
                if holds(&self.stage).await {
                    return;
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        assert!(
            seen.is_ok(),
            "never seen: {what}\n{}\n{}",
            self.last_words(),
            self.stage.world.everything()
        );
    }

    async fn quiet(&mut self) {
        self.until("it is quiet", async |stage| is_quiet(stage).await).await;
    }

    async fn sees(&mut self, channel: &str, wanted: &str) {
        self.moves += 1;
        self.until(wanted, async |stage| stage.found(channel, wanted).is_some()).await;
        self.quiet().await;
    }

    /// Trouble that strikes with this move may take its own time first.
    async fn comes(&mut self, at: DateTime<Utc>) {
        self.moves += 1;
        self.quiet().await;
        let left = (at - self.stage.now()).num_milliseconds();
        if left > 0 {
            self.stage.time_goes_by(Duration::seconds((left + 999).div_euclid(1_000)));
            self.pokes().await;
        }
    }

    async fn passes(&mut self, time: Duration) {
        self.moves += 1;
        self.quiet().await;
        self.stage.time_goes_by(time);
        self.pokes().await;
    }

    /// Does it, and again when nothing came of it, until it is on record.
    async fn does(
        &mut self,
        who: &str,
        recorded: &str,
        act: impl Fn(&Stage<C>) -> Option<Act<C::Post>>,
    ) {
        self.moves += 1;
        let mut tried: Option<Instant> = None;
        let mut under_way: Option<JoinHandle<C::Gesture>> = None;
        let deadline = Instant::now() + PATIENCE;
        let mut glance = glances(Wait::from_millis(15));
        loop {
            glance.tick().await;
            self.look().await;
            if let Some(going) = &mut under_way {
                if !going.is_finished() && tried.is_some_and(|at| at.elapsed() < 2 * AGAIN) {
                    continue;
                }
                going.abort();
                if let Some(Ok(gesture)) = going.now_or_never() {
                    self.repeats(&gesture);
                }
                under_way = None;
            }
            if self.has_recorded(recorded).await {
                return;
            }
            assert!(Instant::now() < deadline, "never recorded: {recorded}\n{}", self.last_words());
            if tried.is_some_and(|at| at.elapsed() < AGAIN) {
                continue;
            }
            if let Some(act) = act(&self.stage) {
                tried = Some(Instant::now());
                under_way = Some(tokio::spawn(self.stage.world.acts(who, act)));
            }
        }
    }

    fn repeats(&mut self, gesture: &C::Gesture) {
        if self.trouble.kind == Kind::DeliveredTwice {
            for _ in 0..3 {
                self.strikes += 1;
                self.stage.world.delivers_again(gesture);
            }
        }
    }

    async fn has_recorded(&mut self, wanted: &str) -> bool {
        let up = self.stage.is_up();
        up && self.stage.log().await.iter().any(|entry| entry.contains(wanted))
    }

    async fn presses(
        &mut self,
        who: &str,
        place: &str,
        post: &str,
        label: &'static str,
        recorded: &str,
    ) {
        let act = |stage: &Stage<C>| Some(Act::Presses(stage.found(place, post)?, label));
        self.does(who, recorded, act).await;
        self.quiet().await;
    }

    async fn types(&mut self, who: &str, [slack, discord]: [&str; 2], recorded: &str) {
        let act = |_: &Stage<C>| Some(Act::Types([slack.to_owned(), discord.to_owned()]));
        self.does(who, recorded, act).await;
        self.quiet().await;
    }

    /// All at once, and heard in reverse.
    async fn all_vote_backwards(&mut self) {
        self.stage.world.holds_back();
        let poll = || self.stage.found("releases", POLL).expect("it was seen");
        let votes = VOTES.map(|(who, label, _)| {
            tokio::spawn(self.stage.world.acts(who, Act::Presses(poll(), label)))
        });
        self.stage.world.lets_go_backwards(&VOTES.map(|(who, ..)| who)).await;
        self.strikes += VOTES.len();
        for vote in votes {
            vote.await.unwrap();
        }
    }
}

const POLL: &str = "go or no-go?";
const FORWARD: &str = "It is not repeated by itself";
const BACK: &str = "The rollback of Web shop v1.2.0 has stopped";
const VOTES: [(&str, &str, &str); 3] = [
    ("quinn", "GO · QA", "said GO for QA"),
    ("ann", "GO · Engineering", "said GO for Engineering"),
    ("sam", "GO · Support", "said GO for Support"),
];

async fn metrics(stage: &Stage<impl Troubled>) -> Option<String> {
    let running = stage.running();
    let asked = running.client().get(format!("{}/metrics", running.address)).send().await;
    asked.ok()?.text().await.ok()
}

async fn is_quiet(stage: &Stage<impl Troubled>) -> bool {
    let Some(numbers) = metrics(stage).await else { return false };
    let zero = |name: &str| numbers.lines().any(|line| line == format!("{name} 0"));
    let names = ["tminus_outbox_waiting", "tminus_delivery_lanes_busy", "tminus_cards_behind"];
    names.into_iter().all(zero)
}

/// From the schedule to the archived room.
pub(super) async fn told<C: Troubled>(trouble: Trouble) -> Play<C> {
    let mut play = Play::<C>::begin(trouble).await;
    announced(&mut play).await;
    decided(&mut play).await;
    went_wrong(&mut play).await;
    went_back(&mut play).await;
    play
}

async fn announced<C: Troubled>(play: &mut Play<C>) {
    let start = play.start;
    let local = start.with_timezone(&berlin()).format("%Y-%m-%d %H:%M");
    let lines =
        [format!("schedule web-shop {local}"), format!("schedule plan:web-shop when:{local}")];
    play.types("maria", lines.each_ref().map(String::as_str), "was scheduled for").await;
    for (minutes, channel, wanted) in ANNOUNCED {
        play.comes(start - Duration::minutes(minutes)).await;
        play.sees(channel, wanted).await;
    }
}

async fn decided<C: Troubled>(play: &mut Play<C>) {
    play.sees("releases", POLL).await;
    if play.trouble.kind == Kind::DeliveredBackwards {
        play.all_vote_backwards().await;
    }
    for (who, label, recorded) in VOTES {
        play.presses(who, "releases", POLL, label, recorded).await;
    }
    let tick = ["checklist pass runbook", "checklist act:pass item:runbook"];
    play.types("maria", tick, "Maria passed").await;
    play.sees(ROOM, "✅ GO: Web shop v1.2.0.").await;
}

async fn went_wrong<C: Troubled>(play: &mut Play<C>) {
    play.comes(play.start).await;
    let ready = "is ready to start";
    play.sees(ROOM, ready).await;
    play.presses("maria", ROOM, ready, "Start", "started the release").await;
    play.sees(ROOM, "✅ Database migrations complete").await;
    play.sees(ROOM, "✅ Pod 1 deployed (50 % traffic)").await;
    play.sees(ROOM, "Soaking Pod 1 until").await;
    play.passes(Duration::minutes(10)).await;
    let gate = "Pod 1 is through its gate";
    play.sees(ROOM, gate).await;
    play.presses("john", ROOM, gate, "Advance", "John advanced from stage").await;
    play.sees(ROOM, "Nothing goes on by itself").await;
}

async fn went_back<C: Troubled>(play: &mut Play<C>) {
    let act =
        |stage: &Stage<C>| Some(Act::RollsBack(stage.found(ROOM, "Nothing goes on by itself")?));
    play.does("john", "asked to roll back", act).await;
    for channel in ["releases", "customers", "incidents", ROOM] {
        play.sees(channel, "Web shop is back on v1.1.9").await;
    }
    play.sees(ROOM, "is closed: FAILED").await;
    // The log's own time never goes back: what it has of an hour too much, the report is later.
    let hours = if play.trouble.kind == Kind::ClockSet { 25 } else { 24 };
    play.passes(Duration::hours(hours)).await;
    play.sees(ROOM, "the report.").await;
    play.until("the room is archived", async |stage| stage.is_archived()).await;
    play.quiet().await;
}
