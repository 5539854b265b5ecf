//! The program as it is installed beside a chat: a configuration that knows it, people who are linked
//! to their accounts, and a small script that deploys by flipping a link.

use std::path::PathBuf;

use chrono::{DateTime, Duration, Utc};

use crate::chats::{Chat, Screens, Typed};
use crate::installed::{Installed, Running};
use crate::operation::quiet;
use crate::shop::{self, at};
use crate::time_machine::TimeMachine;

/// The chat, the installation beside it, and the program while it runs.
pub(crate) struct Stage<C: Chat> {
    pub(crate) world: C,
    pub(crate) here: Installed,
    running: Option<Running>,
    mode: C::Mode,
    time: Option<TimeMachine>,
}

impl<C: Chat> Stage<C> {
    pub(crate) async fn set(mode: C::Mode) -> Self {
        Self::set_with(mode, C::cast(), |config| config).await
    }

    pub(crate) async fn set_with(
        mode: C::Mode,
        setup: C::Setup,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        Self::set_on(mode, setup, change, &[]).await
    }

    /// On a machine of its own kind: what is in the environment of all that is started there.
    pub(crate) async fn set_on(
        mode: C::Mode,
        setup: C::Setup,
        change: impl FnOnce(String) -> String,
        machine: &[(&str, &str)],
    ) -> Self {
        let mut stage = Self::prepared(mode, setup, change).await;
        for (name, value) in machine {
            stage.here.set_env(name, value);
        }
        stage.begin().await;
        stage
    }

    /// On a machine whose time passes when the test says so, and without the short waits of the
    /// other tests.
    pub(crate) async fn patient(mode: C::Mode) -> Self {
        let mut stage = Self::waiting(mode, shop::patiently).await;
        stage.begin().await;
        stage
    }

    /// The same, not begun yet.
    pub(crate) async fn waiting(mode: C::Mode, change: impl FnOnce(String) -> String) -> Self {
        let mut stage = Self::prepared(mode, C::cast(), change).await;
        shop::furnish_patiently(&stage.here);
        let time = TimeMachine::new();
        for (name, value) in time.environment() {
            stage.here.set_env(name, &value);
        }
        stage.time = Some(time);
        stage
    }

    async fn prepared(
        mode: C::Mode,
        setup: C::Setup,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let (world, here) = C::set(mode, setup, change).await;
        shop::furnish(&here);
        Self { world, here, running: None, mode, time: None }
    }

    /// Time passes for the program and for the chat, when nothing is under way any more.
    pub(crate) async fn passes(&self, time: Duration) {
        self.settled().await;
        self.time_goes_by(time);
        self.running().stirs().await;
    }

    /// The same, whatever is under way.
    pub(crate) fn time_goes_by(&self, time: Duration) {
        let time = time.to_std().expect("time goes on");
        self.time.as_ref().expect("the stage was set in time").passes(time);
        self.world.time_passes(time);
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

    /// Starts the program, and waits until the chat and it have found each other.
    pub(crate) async fn begin(&mut self) {
        let running = self.here.start().await;
        self.world.meets(self.mode, &running).await;
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

    /// Until nothing is under way: the outbox is empty and every lane is dry.
    pub(crate) async fn settled(&self) {
        let running = self.running();
        running.until("it is quiet", async || quiet(running).await).await;
    }

    pub(crate) fn found(&self, channel: &str, wanted: &str) -> Option<C::Post> {
        self.world.found(channel, wanted)
    }

    pub(crate) fn text_of(&self, post: &C::Post) -> String {
        self.world.text_of(post)
    }

    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.world.count(wanted)
    }

    pub(crate) fn is_archived(&self) -> bool {
        self.world.is_archived()
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

    /// Nothing that the chat objects to, nobody who waited in vain, and a log that verifies.
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

impl<C: Screens> Stage<C> {
    pub(crate) fn person(&self, name: &str) -> C::Person {
        self.world.person(name)
    }

    pub(crate) async fn sees(&self, channel: &str, wanted: &str) -> C::Post {
        self.world.sees(channel, wanted).await
    }

    pub(crate) async fn reads(&self, channel: &str, wanted: &str) -> String {
        let post = self.sees(channel, wanted).await;
        self.text_of(&post)
    }

    /// Types a line, and reads the private answer.
    pub(crate) async fn says(&self, who: &str, line: &str, answer: &str) -> String {
        self.world.asks(who, line, answer).await
    }

    /// The same, where each chat has its own way to type it.
    pub(crate) async fn types(&self, who: &str, line: Typed<'_>, answer: &str) -> String {
        self.says(who, C::own(line), answer).await
    }

    /// Presses a button of a message in a channel, and reads the private answer.
    pub(crate) async fn presses(
        &self,
        who: &str,
        post: &C::Post,
        label: &str,
        answer: &str,
    ) -> (C::Gesture, String) {
        self.world.presses(who, post, label, answer).await
    }

    /// The start of the release becomes so many hours from now.
    pub(crate) async fn starts_in(&self, hours: i64) {
        let at = at(hours);
        let line = Typed {
            slack: &format!("reschedule {at}"),
            discord: &format!("reschedule release:v1.2.0 when:{at}"),
        };
        self.types("maria", line, "now starts").await;
    }

    /// Scheduled by what is typed, close to its start, with its room and its poll.
    pub(crate) async fn to_poll(&self) -> C::Post {
        let at = at(1);
        let line = Typed {
            slack: &format!("schedule web-shop {at}"),
            discord: &format!("schedule plan:web-shop when:{at}"),
        };
        self.types("maria", line, "is scheduled for").await;
        let card = self.sees("releases", "go or no-go?").await;
        self.settled().await;
        card
    }

    /// Every seat has said go, and the checklist is green.
    pub(crate) async fn to_go(&self) -> C::Post {
        let poll = self.to_poll().await;
        for (who, role) in [("ann", "Engineering"), ("quinn", "QA"), ("sam", "Support")] {
            let answer = format!("Your GO for {role} is recorded");
            self.presses(who, &poll, &format!("GO · {role}"), &answer).await;
        }
        let tick =
            Typed { slack: "checklist pass runbook", discord: "checklist act:pass item:runbook" };
        self.types("maria", tick, "The checklist is green").await;
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
}
