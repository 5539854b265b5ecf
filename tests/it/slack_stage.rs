//! The program as it is installed beside a workspace: a configuration with `[slack]`, people who are
//! linked to their accounts, and a small script that deploys by flipping a link.

use std::path::PathBuf;

use chrono::{DateTime, Duration, Utc};

use crate::installed::{Installed, Running};
use crate::operation::quiet;
use crate::shop::{self, at, prop};
use crate::slack_world::{Gesture, Kind, Person, Post, Setup, SlackWorld, Standing};
use crate::time_machine::TimeMachine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Socket,
    Http,
}

/// The workspace, the installation beside it, and the program while it runs.
pub(crate) struct Stage {
    pub(crate) world: SlackWorld,
    pub(crate) here: Installed,
    running: Option<Running>,
    mode: Mode,
    time: Option<TimeMachine>,
}

/// Everybody of the play; on call is somebody who has never been to #releases.
pub(crate) fn cast() -> Setup {
    Setup::default().person("john", Standing::Member).channel(
        "incidents",
        Kind::Public,
        &["john", "bot"],
    )
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
        Self::set_on(mode, setup, change, &[]).await
    }

    /// On a machine of its own kind: what is in the environment of all that is started there.
    pub(crate) async fn set_on(
        mode: Mode,
        setup: Setup,
        change: impl FnOnce(String) -> String,
        machine: &[(&str, &str)],
    ) -> Self {
        let mut stage = Self::prepared(mode, setup, change, machine).await;
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
        let mut stage = Self::prepared(mode, cast(), change, &[]).await;
        shop::furnish_patiently(&stage.here);
        let time = TimeMachine::new();
        for (name, value) in time.environment() {
            stage.here.set_env(name, &value);
        }
        stage.time = Some(time);
        stage
    }

    async fn prepared(
        mode: Mode,
        setup: Setup,
        change: impl FnOnce(String) -> String,
        machine: &[(&str, &str)],
    ) -> Self {
        let world = SlackWorld::with(setup).await;
        let (name, public) = match mode {
            Mode::Socket => ("socket", ""),
            Mode::Http => ("http", "public_url = \"http://127.0.0.1:9\""),
        };
        let config = prop("tminus.toml")
            .replace("{mode}", name)
            .replace("# {public_url}", public)
            .replace("{api_url}", &world.api_url());
        let here = Installed::new(&change(config))
            .with_env("SLACK_BOT_TOKEN", &world.bot_token())
            .with_env("SLACK_APP_TOKEN", &world.app_token())
            .with_env("SLACK_SIGNING_SECRET", &world.signing_secret());
        let here = machine.iter().fold(here, |here, (name, value)| here.with_env(name, value));
        shop::furnish(&here);
        Self { world, here, running: None, mode, time: None }
    }

    /// Time passes for the program and for Slack, when nothing is under way any more.
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

    /// Starts the program, and waits until Slack and it have found each other.
    pub(crate) async fn begin(&mut self) {
        let running = self.here.start().await;
        match self.mode {
            Mode::Socket => self.world.connected(1).await,
            Mode::Http => self.world.calls_bot_at(&running.address),
        }
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

    /// Types a line, and reads the private answer.
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

    /// Scheduled by a line, close to its start, with its room and its poll.
    pub(crate) async fn to_poll(&self) -> Post {
        self.says("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
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
        self.says("maria", "checklist pass runbook", "The checklist is green").await;
        self.sees("release-v1-2-0", "GO: Web shop v1.2.0.").await;
        poll
    }

    /// T-0, and the captain has said so.
    pub(crate) async fn to_start(&self) {
        self.to_go().await;
        self.says("maria", &format!("reschedule {}", at(0)), "now starts").await;
        let ready = self.sees("release-v1-2-0", "is ready to start").await;
        self.presses("maria", &ready, "Start", "has started").await;
    }

    /// The version that a pod serves.
    pub(crate) fn pod(&self, pod: u8) -> String {
        shop::pod(&self.here, pod)
    }

    /// How often a pod was told to serve a version.
    pub(crate) fn deploys(&self, pod: u8, version: &str) -> usize {
        shop::deploys(&self.here, pod, version)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.here.path(name)
    }

    /// Every entry of the audit log, refusals included.
    pub(crate) async fn log(&self) -> Vec<String> {
        shop::log(&self.here).await
    }

    /// Nothing that Slack objects to, nobody who waited in vain, and a log that verifies.
    pub(crate) async fn assert_clean(&self) {
        self.world.assert_clean().await;
        self.here.cli(&["audit", "verify"]).await.expect(0, &[]);
    }

    /// Prints what everybody sees, for the eyes of whoever runs the test with `TMINUS_READ` set.
    pub(crate) fn read_aloud(&self) {
        if std::env::var_os("TMINUS_READ").is_some() {
            eprintln!("{}", self.world.everything());
        }
    }
}
