//! A stand-in Slack on the loopback, stricter than Slack, for tests that are written as plays.
//!
//! It speaks the real protocol (Web API, Socket Mode, signed HTTP), so that the bot's own client
//! runs unchanged against it; it answers each wrong call as Slack would and remembers it, and each
//! test ends with `assert_clean`.
//!
//! ```ignore
//! let slack = SlackWorld::start().await;              // the cast is in `Setup::default`
//! let bot = start_the_bot(&slack.api_url(), &slack.bot_token(), &slack.app_token()).await;
//! let ann = slack.person("ann");
//! ann.types("/release status v1.2.0", "releases").await.answered().await;
//! let card = slack.sees("releases", "waiting for 2 sign-offs").await;
//! ann.presses(&card, "GO").await;
//! ann.sees_ephemeral("Your GO is recorded").await;
//! slack.assert_clean().await;
//! ```

#![allow(dead_code, unused_imports, reason = "each play uses what it needs of the stage")]

mod answers;
mod api;
mod args;
mod blocks;
mod clock;
mod delivery;
mod faults;
mod form;
mod hooks;
mod markup;
mod payloads;
mod person;
mod rates;
mod screen;
mod seen;
mod server;
mod setup;
mod signed;
mod socket;
mod state;
mod workspace;

#[cfg(test)]
mod tests;

pub(crate) use clock::{Clock, wall};
pub(crate) use delivery::Outcome;
pub(crate) use faults::{Fault, Harm};
pub(crate) use person::{Gesture, Person};
pub(crate) use screen::{Post, Sheet, Whisper};
pub(crate) use setup::{SCOPES, Setup};
pub(crate) use signed::Signed;
pub(crate) use state::{Call, PATIENCE};
pub(crate) use workspace::{
    APP, BOT, BOT_USER, Channel, Ephemeral, Kind, Message, OTHER_TEAM, Standing, TEAM, Workspace,
};

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use state::{State, World};

/// The whole of Slack, until it is dropped.
pub(crate) struct SlackWorld {
    world: Arc<World>,
    server: JoinHandle<std::convert::Infallible>,
}

impl Drop for SlackWorld {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl SlackWorld {
    /// With the cast of `Setup::default`.
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let workspace = setup.workspace();
        let world = World::new(format!("http://{address}"), State::new(setup, workspace));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&world)));
        Self { world, server }
    }

    /// What goes into the bot's `api_url`.
    pub(crate) fn api_url(&self) -> String {
        format!("{}/api", self.world.base)
    }

    pub(crate) fn bot_token(&self) -> String {
        self.world.look(|state| state.setup.bot_token.clone())
    }

    pub(crate) fn app_token(&self) -> String {
        self.world.look(|state| state.setup.app_token.clone())
    }

    pub(crate) fn signing_secret(&self) -> String {
        self.world.look(|state| state.setup.signing_secret.clone())
    }

    /// From now on over signed HTTP: the bot listens at `<url>/slack/commands` and so on.
    pub(crate) fn calls_bot_at(&self, url: &str) {
        let url = url.trim_end_matches('/').to_owned();
        self.world.change(|state| state.setup.bot_url = Some(url));
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.world.clock
    }

    pub(crate) fn person(&self, name: &str) -> Person {
        let user = self.world.look(|state| state.workspace.user(name).clone());
        Person { world: Arc::clone(&self.world), id: user.id, name: user.name }
    }

    /// Reads whatever the accessors below do not.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Workspace) -> T) -> T {
        self.world.look(|state| look(&state.workspace))
    }

    /// Changes the workspace behind the bot's back: archives, moves people, takes a group away.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Workspace) -> T) -> T {
        self.world.change(|state| change(&mut state.workspace))
    }

    pub(crate) fn channel(&self, name: &str) -> Channel {
        self.look(|workspace| workspace.channel(name).clone())
    }

    /// Changes scopes, windows and limits while it runs.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Setup)) {
        self.world.change(|state| change(&mut state.setup));
    }

    /// The app is installed again: from now on only its new token is taken.
    pub(crate) fn issue_bot_token(&self) -> String {
        self.world.change(|state| {
            let token = format!("{}-again", state.setup.bot_token);
            state.setup.bot_token.clone_from(&token);
            token
        })
    }

    pub(crate) fn revoke_bot_token(&self) {
        self.world.change(|state| state.revoked.insert(state.setup.bot_token.clone()));
    }
}

/// What goes wrong.
impl SlackWorld {
    pub(crate) fn fault(&self, fault: Fault) {
        self.world.change(|state| state.faults.plan(fault));
    }

    /// This share of all calls goes wrong, the same ones for the same seed.
    pub(crate) fn storm(&self, seed: u64, percent: u64) {
        self.world.change(|state| state.faults.storm(seed, percent));
    }

    pub(crate) fn calm(&self) {
        self.world.change(|state| state.faults.clear());
    }

    /// Waits until so many calls stand at a `Harm::Hold`.
    pub(crate) async fn held(&self, count: usize) {
        let look = |state: &State| (state.faults.held >= count).then_some(());
        self.world.eventually(&format!("{count} held calls"), look).await;
    }

    /// How many calls were harmed as planned.
    pub(crate) fn struck(&self) -> usize {
        self.world.look(|state| state.faults.struck)
    }

    pub(crate) fn release(&self) {
        self.world.change(|state| {
            state.faults.released += 1;
            state.faults.held = 0;
        });
    }
}

/// Socket Mode, as the test drives it.
impl SlackWorld {
    /// Connections on which something can be sent.
    pub(crate) fn connections(&self) -> usize {
        self.world.look(|state| state.links.iter().filter(|it| it.open && !it.leaving).count())
    }

    pub(crate) async fn connected(&self, count: usize) {
        let look = |state: &State| {
            let ready = state.links.iter().filter(|it| it.open && !it.leaving && !it.silent);
            (ready.count() >= count).then_some(())
        };
        self.world.eventually(&format!("{count} connections"), look).await;
    }

    pub(crate) async fn disconnected(&self) {
        let look = |state: &State| state.links.iter().all(|it| !it.open).then_some(());
        self.world.eventually("no connection", look).await;
    }

    /// `warning`, `refresh_requested` or `link_disabled`.
    pub(crate) fn disconnects(&self, reason: &str) {
        self.world.disconnects(reason);
    }

    /// All connections end at once, without a word.
    pub(crate) fn cuts_connections(&self) {
        self.world.cuts();
    }

    /// Nothing comes and nothing is read, but nothing is closed either.
    pub(crate) fn falls_silent(&self) {
        self.world.falls_silent();
    }

    /// Slack has noticed, too, that nobody reads them any more.
    pub(crate) fn notices_silence(&self) {
        self.world.change(|state| {
            state.links.iter_mut().filter(|it| it.silent).for_each(|it| it.open = false);
        });
    }

    pub(crate) fn enables_link(&self) {
        self.world.change(|state| state.link_disabled = false);
    }

    /// Sends what a gesture sent once more, as it was: the same envelope, the same trigger.
    pub(crate) fn delivers_again(&self, gesture: &Gesture) {
        self.world.change(|state| {
            let sent = state.deliveries.iter().position(|it| it.parcel.deed == gesture.deed);
            state.send_again(sent.expect("it was sent over a connection"));
        });
    }

    /// Envelopes gather until `lets_go_backwards`.
    pub(crate) fn holds_envelopes(&self) {
        self.world.change(|state| state.backlog = Some(Vec::new()));
    }

    /// Waits until so many envelopes have gathered, and sends them in reverse.
    pub(crate) async fn lets_go_backwards(&self, count: usize) {
        let look = |state: &State| {
            let backlog = state.backlog.as_ref().map_or(0, Vec::len);
            (backlog >= count).then_some(())
        };
        self.world.eventually(&format!("{count} envelopes held back"), look).await;
        self.world.change(State::send_backwards);
    }

    /// Waits until every copy of every envelope is acknowledged.
    pub(crate) async fn all_acknowledged(&self) {
        let look = |state: &State| state.unacknowledged().is_empty().then_some(());
        self.world.eventually("every envelope acknowledged", look).await;
    }
}

/// Signed HTTP, as an attacker would like it.
impl SlackWorld {
    /// What Slack would send for this line: to be sent as it is, twice, or changed first.
    pub(crate) fn command_of(&self, person: &str, line: &str, channel: &str) -> Signed {
        let channel = self.channel(channel).id;
        let parcel = self.person(person).would_type(line, &channel);
        self.signed(&parcel)
    }

    /// The same for a click.
    pub(crate) fn press_of(&self, person: &str, post: &Post, label: &str) -> Signed {
        let parcel = self.person(person).would_press(post, label);
        self.signed(&parcel)
    }

    fn signed(&self, parcel: &delivery::Parcel) -> Signed {
        let (secret, url) = self.listener();
        signed::parcel(&secret, self.world.clock.wall(), &url, parcel)
    }

    fn listener(&self) -> (String, String) {
        let (secret, url) = self
            .world
            .look(|state| (state.setup.signing_secret.clone(), state.setup.bot_url.clone()));
        (secret, url.expect("the bot listens over HTTP"))
    }

    /// What is asked when the address for events is entered, and the answer that it wants.
    pub(crate) fn challenge(&self) -> (Signed, String) {
        let (secret, url) = self.listener();
        signed::challenge(&secret, self.world.clock.wall(), &url)
    }
}

/// What is on the screens.
impl SlackWorld {
    /// The newest message in a channel that says this now.
    pub(crate) async fn sees(&self, channel: &str, wanted: &str) -> Post {
        let look = |state: &State| said_in(state, channel, wanted);
        self.world.eventually(&format!("{wanted:?} in #{channel}"), look).await
    }

    /// This message has been edited until it says so.
    pub(crate) async fn sees_edit(&self, post: &Post, wanted: &str) {
        let look = |state: &State| {
            let message = post.message(state);
            let says = seen::holds(&message.content, &state.workspace, wanted);
            (says && message.edited.is_some()).then_some(())
        };
        self.world.eventually(&format!("an edit to {wanted:?}"), look).await;
    }

    /// A channel with this name has come to be.
    pub(crate) async fn sees_channel(&self, name: &str) -> Channel {
        let look =
            |state: &State| state.workspace.channels.values().find(|it| it.name == name).cloned();
        self.world.eventually(&format!("the channel #{name}"), look).await
    }

    pub(crate) fn text_of(&self, post: &Post) -> String {
        self.world.look(|state| seen::readable(&post.message(state).content, &state.workspace))
    }

    pub(crate) fn whisper_text(&self, whisper: &Whisper) -> String {
        self.world.look(|state| seen::readable(&whisper.note(state).content, &state.workspace))
    }

    /// The title and the lines of a form or a home tab.
    pub(crate) fn sheet_text(&self, sheet: &Sheet) -> String {
        self.world.look(|state| {
            let view = &state.workspace.views[&sheet.id];
            let lines = view.body["blocks"].as_array().into_iter().flatten();
            let lines = lines.map(|block| seen::line(block, &state.workspace));
            [view.title()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
        })
    }

    /// What the bot found wrong with each field, by block id.
    pub(crate) fn errors_of(&self, sheet: &Sheet) -> Vec<String> {
        self.world.look(|state| state.workspace.views[&sheet.id].errors.values().cloned().collect())
    }

    pub(crate) fn is_open(&self, sheet: &Sheet) -> bool {
        self.look(|workspace| workspace.views[&sheet.id].open)
    }

    /// The files that stand in a channel itself, with what was uploaded under their names.
    pub(crate) fn shown_files(&self, channel: &str) -> Vec<(String, Vec<u8>)> {
        self.world.look(|state| {
            let messages = &state.workspace.channel(channel).messages;
            let shown =
                messages.iter().filter(|it| it.thread_ts.is_none()).flat_map(|it| &it.files);
            let bytes = |id: &str| state.uploads[id].bytes.clone().unwrap_or_default().to_vec();
            let file = |it: &serde_json::Value| {
                (it["name"].as_str().unwrap().to_owned(), bytes(it["id"].as_str().unwrap()))
            };
            shown.map(file).collect()
        })
    }

    pub(crate) fn transcript(&self, channel: &str) -> String {
        self.look(|workspace| seen::transcript(workspace.channel(channel), workspace))
    }

    /// All that was said, opened and called.
    pub(crate) fn everything(&self) -> String {
        self.world.look(seen::everything)
    }

    /// How many messages say this now, wherever they are.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.look(|workspace| {
            let all = workspace.channels.values().flat_map(|it| &it.messages);
            let shown = all.filter(|it| !it.deleted);
            shown.filter(|it| seen::holds(&it.content, workspace, wanted)).count()
        })
    }

    #[track_caller]
    pub(crate) fn exactly_once(&self, wanted: &str) {
        let count = self.count(wanted);
        let all = || self.world.look(seen::everything);
        assert_eq!(count, 1, "{wanted:?} should stand there once\n{}", all());
    }

    /// The newest message in a channel that says this now, if there is one.
    pub(crate) fn says(&self, channel: &str, wanted: &str) -> Option<Post> {
        self.world.look(|state| said_in(state, channel, wanted))
    }

    /// A message as a person reads it.
    pub(crate) fn shows(&self, content: &workspace::Content, workspace: &Workspace) -> String {
        seen::readable(content, workspace)
    }

    pub(crate) fn all_calls(&self) -> Vec<Call> {
        self.world.look(|state| state.calls.clone())
    }

    pub(crate) fn calls(&self, method: &str) -> Vec<Call> {
        self.world
            .look(|state| state.calls.iter().filter(|it| it.method == method).cloned().collect())
    }

    /// Waits until a method was called so often.
    pub(crate) async fn called(&self, method: &str, times: usize) -> Call {
        let look = |state: &State| {
            let mut calls = state.calls.iter().filter(|it| it.method == method);
            calls.nth(times - 1).cloned()
        };
        self.world.eventually(&format!("{method} called {times} times"), look).await
    }
}

fn said_in(state: &State, channel: &str, wanted: &str) -> Option<Post> {
    let workspace = &state.workspace;
    let named = |it: &&Channel| it.name == channel || it.id == channel;
    let place = workspace.channels.values().find(named)?;
    let mut messages = place.messages.iter().rev().filter(|it| !it.deleted);
    let found = messages.find(|it| seen::holds(&it.content, workspace, wanted))?;
    Some(Post { channel: place.id.clone(), ts: found.ts.clone() })
}

/// The end of every test.
impl SlackWorld {
    pub(crate) fn violations(&self) -> Vec<String> {
        self.world.look(|state| state.violations.clone())
    }

    /// Takes back a violation that the test meant to provoke; it must be there.
    #[track_caller]
    pub(crate) fn pardon(&self, wanted: &str) {
        let found = self.world.change(|state| {
            let before = state.violations.len();
            state.violations.retain(|it| !it.contains(wanted));
            before - state.violations.len()
        });
        assert!(found > 0, "nothing to pardon: {wanted:?} is not in {:?}", self.violations());
    }

    /// Who did this waited for a program that was killed meanwhile.
    pub(crate) fn pardon_wait(&self, gesture: &Gesture) {
        self.world.change(|state| state.deeds[gesture.deed].silent = true);
    }

    /// Everybody who acted so far may have waited for a program that was in trouble.
    pub(crate) fn pardon_everybody(&self) {
        self.world.change(|state| state.deeds.iter_mut().for_each(|deed| deed.silent = true));
    }

    /// Takes back what trouble may or may not have provoked.
    pub(crate) fn overlooks(&self, wanted: &str) {
        self.world.change(|state| state.violations.retain(|it| !it.contains(wanted)));
    }

    /// The longest that anybody waited for a visible answer so far.
    pub(crate) fn slowest_answer(&self) -> Duration {
        self.world.look(|state| {
            let waits = state.deeds.iter().filter_map(|it| Some(it.answered? - it.at));
            waits.max().unwrap_or_default()
        })
    }

    /// The longest that Slack waited for an acknowledgement.
    pub(crate) fn slowest_acknowledgement(&self) -> Duration {
        self.world.look(|state| {
            let waits = state.deeds.iter().filter_map(|it| Some(it.acknowledged? - it.at));
            waits.max().unwrap_or_default()
        })
    }

    /// No violation, nothing unacknowledged, and nobody waited in vain or for too long.
    pub(crate) async fn assert_clean(&self) {
        let window = self.world.look(|state| state.setup.windows.answer);
        let now = self.world.clock.now();
        let settled = |state: &State| {
            (state.unanswered().is_empty() && state.unacknowledged().is_empty()).then_some(())
        };
        // Whoever was asked a moment ago still has the rest of their time.
        tokio::select! {
            () = self.world.until(settled) => {}
            () = self.world.clock.until(now + window) => {}
        }
        let mut wrong = self.violations();
        self.world.look(|state| {
            let open = state.unacknowledged().into_iter();
            wrong.extend(open.map(|it| format!("{it}: never acknowledged")));
            wrong.extend(state.unanswered().into_iter().map(|it| format!("{it}: saw nothing")));
            wrong.extend(state.late(window));
        });
        let all = || self.world.look(seen::everything);
        assert!(wrong.is_empty(), "Slack objects:\n{}\n\n{}", wrong.join("\n"), all());
    }
}

impl State {
    /// Who acted and was heard, but saw nothing come of it.
    fn unanswered(&self) -> Vec<String> {
        let open = self.deeds.iter().filter(|deed| {
            let heard = matches!(deed.outcome, Some(Outcome::Acknowledged(_)));
            heard && !deed.silent && deed.answered.is_none()
        });
        open.map(|deed| deed.what.clone()).collect()
    }

    fn late(&self, window: Duration) -> Vec<String> {
        let late = self.deeds.iter().filter_map(|deed| {
            let waited = deed.answered? - deed.at;
            let too_long = waited > window && !deed.silent;
            too_long.then(|| format!("{}: saw something only after {waited:?}", deed.what))
        });
        late.collect()
    }
}
