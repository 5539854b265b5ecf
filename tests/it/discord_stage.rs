//! The program as it is installed beside a server in Discord: the same house as in Slack, with its
//! people, roles and channels as Discord has them.

use std::path::PathBuf;

use chrono::{DateTime, Duration, Utc};

use crate::discord_world::{DiscordWorld, Gesture, Person, Post, Setup, Whisper};
use crate::installed::{Installed, Running};
use crate::operation::quiet;
use crate::shop::{self, Where, at, prop};
use crate::time_machine::TimeMachine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Gateway,
    Http,
}

/// The server, the installation beside it, and the program while it runs.
pub(crate) struct Stage {
    pub(crate) world: DiscordWorld,
    pub(crate) here: Installed,
    running: Option<Running>,
    mode: Mode,
    time: Option<TimeMachine>,
}

/// Everybody of the play; on call is somebody who has never been to #releases.
pub(crate) fn cast() -> Setup {
    Setup::default().person("john", &["on-call"]).stranger("leaver").channel("incidents", None)
}

impl Stage {
    pub(crate) async fn set(mode: Mode) -> Self {
        Self::set_with(mode, cast(), |config| config).await
    }

    pub(crate) async fn set_with(
        mode: Mode,
        setup: Setup,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let mut stage = Self::prepared(mode, setup, change).await;
        stage.begin().await;
        stage
    }

    /// On a machine whose time passes when the test says so, and without the short waits of the
    /// other tests.
    pub(crate) async fn patient(mode: Mode) -> Self {
        let mut stage = Self::waiting(mode, shop::patiently).await;
        stage.begin().await;
        stage
    }

    /// The same, not begun yet.
    pub(crate) async fn waiting(mode: Mode, change: impl FnOnce(String) -> String) -> Self {
        let mut stage = Self::prepared(mode, cast(), change).await;
        shop::furnish_patiently(&stage.here);
        let time = TimeMachine::new();
        for (name, value) in time.environment() {
            stage.here.set_env(name, &value);
        }
        stage.time = Some(time);
        stage
    }

    async fn prepared(mode: Mode, setup: Setup, change: impl FnOnce(String) -> String) -> Self {
        let world = DiscordWorld::with(setup).await;
        let (name, public) = match mode {
            Mode::Gateway => ("gateway", ""),
            Mode::Http => ("http", "public_url = \"http://127.0.0.1:9\""),
        };
        let config = shop::moved(&prop("tminus.toml"), Where::Discord)
            .replace("{discord_mode}", name)
            .replace("# {public_url}", public)
            .replace("{public_key}", &world.public_key())
            .replace("{discord_url}", &world.api_url());
        let here = Installed::new(&change(config)).with_env("DISCORD_TOKEN", &world.bot_token());
        shop::furnish(&here);
        Self { world, here, running: None, mode, time: None }
    }

    /// Time passes for the program and for Discord, when nothing is under way any more.
    pub(crate) async fn passes(&self, time: Duration) {
        self.settled().await;
        self.time_goes_by(time);
        self.running().stirs().await;
    }

    /// The same, whatever is under way.
    pub(crate) fn time_goes_by(&self, time: Duration) {
        let time = time.to_std().expect("time goes on");
        self.time.as_ref().expect("the stage was set in time").passes(time);
        self.world.clock().passes(time);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.time.as_ref().expect("the stage was set in time").now()
    }

    /// Until then, to the second.
    pub(crate) async fn comes(&self, at: DateTime<Utc>) {
        self.settled().await;
        let left = (at - self.now()).num_milliseconds();
        self.passes(Duration::seconds((left + 999).div_euclid(1_000))).await;
    }

    /// Starts the program, and waits until Discord and it have found each other.
    pub(crate) async fn begin(&mut self) {
        let running = self.here.start().await;
        match self.mode {
            Mode::Gateway => self.world.connected(1).await,
            Mode::Http => self.world.calls_bot_at(&running.address),
        }
        self.world.registered("release").await;
        self.running = Some(running);
    }

    /// SIGKILL: nothing is said goodbye to.
    pub(crate) async fn killed(&mut self) {
        self.running.take().expect("it runs").killed().await;
    }

    pub(crate) async fn killed_and_started_again(&mut self) {
        self.killed().await;
        self.begin().await;
    }

    pub(crate) async fn stopped(&mut self) {
        assert!(self.running.take().expect("it runs").stopped().await.success());
    }

    /// Whether it runs, or has ended by itself.
    pub(crate) fn is_up(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::is_up)
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    pub(crate) fn person(&self, name: &str) -> Person {
        self.world.person(name)
    }

    pub(crate) async fn sees(&self, channel: &str, wanted: &str) -> Post {
        self.world.sees(channel, wanted).await
    }

    /// Until nothing is under way: the outbox is empty and every lane is dry.
    pub(crate) async fn settled(&self) {
        let running = self.running();
        running.until("it is quiet", async || quiet(running).await).await;
    }

    /// Gives the slash command its options, and reads the private answer.
    pub(crate) async fn says(&self, who: &str, line: &str, answer: &str) -> String {
        let person = self.person(who);
        person.types(&format!("/release {line}"), "releases").await.answered().await;
        let seen = person.sees_ephemeral(answer).await;
        self.world.whisper_text(&seen)
    }

    /// Presses a button of a message in a channel, and reads the private answer.
    pub(crate) async fn presses(
        &self,
        who: &str,
        post: &Post,
        label: &str,
        answer: &str,
    ) -> (Gesture, String) {
        let person = self.person(who);
        let gesture = person.presses(post, label).await;
        gesture.answered().await;
        let seen = person.sees_ephemeral(answer).await;
        (gesture, self.world.whisper_text(&seen))
    }

    /// Confirms a private question, whose place the answer takes.
    pub(crate) async fn confirms(&self, who: &str, asked: &Whisper, label: &str, answer: &str) {
        self.person(who).presses_in_whisper(asked, label).await.answered().await;
        let asked = Post { channel: asked.channel.clone(), id: asked.id.clone() };
        self.world.sees_edit(&asked, answer).await;
    }

    /// The start of the release becomes so many hours from now.
    pub(crate) async fn starts_in(&self, hours: i64) {
        let line = format!("reschedule release:v1.2.0 when:{}", at(hours));
        self.says("maria", &line, "now starts").await;
    }

    /// Scheduled by typed options, close to its start, with its room and its poll.
    pub(crate) async fn to_poll(&self) -> Post {
        let line = format!("schedule plan:web-shop when:{}", at(1));
        self.says("maria", &line, "is scheduled for").await;
        let card = self.sees("releases", "go or no-go?").await;
        self.settled().await;
        card
    }

    /// Every seat has said go, and the checklist is green.
    pub(crate) async fn to_go(&self) -> Post {
        let poll = self.to_poll().await;
        for (who, role) in [("ann", "Engineering"), ("quinn", "QA"), ("sam", "Support")] {
            let answer = format!("Your GO for {role} is recorded");
            self.presses(who, &poll, &format!("GO · {role}"), &answer).await;
        }
        let tick = "checklist act:pass item:runbook";
        self.says("maria", tick, "The checklist is green").await;
        self.sees("release-v1-2-0", "GO: Web shop v1.2.0.").await;
        poll
    }

    /// T-0, and the captain has said so.
    pub(crate) async fn to_start(&self) {
        self.to_go().await;
        self.starts_in(0).await;
        let ready = self.sees("release-v1-2-0", "is ready to start").await;
        self.presses("maria", &ready, "Start", "has started").await;
    }

    pub(crate) fn pod(&self, pod: u8) -> String {
        shop::pod(&self.here, pod)
    }

    pub(crate) fn deploys(&self, pod: u8, version: &str) -> usize {
        shop::deploys(&self.here, pod, version)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.here.path(name)
    }

    pub(crate) async fn log(&self) -> Vec<String> {
        shop::log(&self.here).await
    }

    /// Nothing that Discord objects to, nobody who waited in vain, no command that cannot be typed as
    /// we say, and a log that verifies.
    pub(crate) async fn assert_clean(&self) {
        self.world.assert_clean().await;
        let untypeable = self.world.untypeable();
        assert!(untypeable.is_empty(), "{untypeable:#?}");
        self.here.cli(&["audit", "verify"]).await.expect(0, &[]);
    }

    /// Prints what everybody sees, for the eyes of whoever runs the test with `TMINUS_READ` set.
    pub(crate) fn read_aloud(&self) {
        if std::env::var_os("TMINUS_READ").is_some() {
            eprintln!("{}", self.world.everything());
        }
    }
}
