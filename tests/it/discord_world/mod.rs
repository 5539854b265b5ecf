//! A stand-in Discord on the loopback, stricter than Discord, for tests that are written as plays.
//!
//! It speaks the real protocol (REST and gateway, version 10, and signed HTTP), so that the bot's
//! own client runs unchanged against it; it answers each wrong call as Discord would and remembers
//! it, and each test ends with `assert_clean`.
//!
//! ```ignore
//! let discord = DiscordWorld::start().await;          // the cast is in `Setup::default`
//! let bot = start_the_bot(&discord.api_url(), &discord.bot_token()).await;
//! let ann = discord.person("ann");
//! ann.types("/release status v1.2.0", "releases").await.answered().await;
//! let card = discord.sees("releases", "waiting for 2 sign-offs").await;
//! ann.presses(&card, "GO").await;
//! ann.sees_ephemeral("Your GO is recorded").await;
//! discord.assert_clean().await;
//! ```

#![allow(dead_code, unused_imports, reason = "each play uses what it needs of the stage")]

mod api;
mod content;
mod delivery;
mod faults;
mod form;
mod gateway;
mod markup;
mod payloads;
pub(crate) mod permissions;
mod person;
mod rates;
mod realm;
mod refusal;
mod render;
mod request;
mod schema;
mod screen;
mod seen;
mod server;
mod setup;
mod signed;
mod state;
mod tls;
mod typed;

#[cfg(test)]
mod tests;

pub(crate) use delivery::Outcome;
pub(crate) use faults::{Fault, Harm};
pub(crate) use person::{Gesture, IN_PRIVATE, Person};
pub(crate) use realm::{
    APP, Channel, Content, GUILD, Guild, Kind, Message, OTHER_GUILD, Overwrite, Realm, Role, id,
};
pub(crate) use screen::{Post, Sheet, Whisper};
pub(crate) use setup::Setup;
pub(crate) use signed::Signed;
pub(crate) use state::Call;
pub(crate) use tls::Tls;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::slack_world::Clock;

use state::{State, World};

/// The whole of Discord, until it is dropped.
pub(crate) struct DiscordWorld {
    world: Arc<World>,
    servers: Mutex<Vec<JoinHandle<std::convert::Infallible>>>,
}

impl Drop for DiscordWorld {
    fn drop(&mut self) {
        let servers = self.servers.get_mut().unwrap_or_else(PoisonError::into_inner);
        servers.drain(..).for_each(|it| it.abort());
    }
}

impl DiscordWorld {
    /// With the cast of `Setup::default`.
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let realm = setup.realm();
        let world = World::new(format!("http://{address}"), State::new(setup, realm));
        let server = tokio::spawn(server::serve(listener, None, Arc::clone(&world)));
        Self { world, servers: Mutex::new(vec![server]) }
    }

    /// What stands in for `https://discord.com`, without a path: `[discord] api_url`.
    pub(crate) fn api_url(&self) -> String {
        self.world.base.clone()
    }

    /// The same Discord over TLS, under its own name; the gateway stays plain.
    pub(crate) async fn tls(&self) -> Tls {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (acceptor, authority) = tls::acceptor();
        let serving = server::serve(listener, Some(acceptor), Arc::clone(&self.world));
        let mut servers = self.servers.lock().expect("nobody panics while they hold it");
        servers.push(tokio::spawn(serving));
        Tls { address, authority }
    }

    pub(crate) fn bot_token(&self) -> String {
        self.world.look(|state| state.setup.bot_token.clone())
    }

    /// For checking signed interactions, as the developer portal shows it.
    pub(crate) fn public_key(&self) -> String {
        self.world.look(signed::public_key)
    }

    /// From now on over signed HTTP: the bot listens at `<url>/discord/interactions`.
    pub(crate) fn calls_bot_at(&self, url: &str) {
        let url = url.trim_end_matches('/').to_owned();
        self.world.change(|state| state.setup.bot_url = Some(url));
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.world.clock
    }

    #[track_caller]
    pub(crate) fn person(&self, name: &str) -> Person {
        let user = self.world.look(|state| state.realm.user(name).clone());
        Person { world: Arc::clone(&self.world), id: user.id, name: user.name }
    }

    /// Reads whatever the accessors below do not.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Realm) -> T) -> T {
        self.world.look(|state| look(&state.realm))
    }

    /// Changes things behind the bot's back: deletes, moves people, takes a role away.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Realm) -> T) -> T {
        self.world.change(|state| change(&mut state.realm))
    }

    #[track_caller]
    pub(crate) fn channel(&self, name: &str) -> Channel {
        self.look(|realm| realm.channel(name).clone())
    }

    /// The id that a plan names for a role.
    #[track_caller]
    pub(crate) fn role(&self, name: &str) -> String {
        self.look(|realm| realm.guild().role(name).id.clone())
    }

    /// Changes windows and limits while it runs.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Setup)) {
        self.world.change(|state| change(&mut state.setup));
    }

    /// Another one, with which the bot is let in again.
    pub(crate) fn issue_bot_token(&self) -> String {
        self.world.change(|state| {
            let token = format!("{}-again", state.setup.bot_token);
            state.setup.bot_token.clone_from(&token);
            state.revoked = false;
            token
        })
    }

    pub(crate) fn revoke_bot_token(&self) {
        self.world.change(|state| state.revoked = true);
    }

    /// The token that was revoked is good again.
    pub(crate) fn readmit_bot_token(&self) {
        self.world.change(|state| state.revoked = false);
    }

    /// What is registered: in the guild of the play, or everywhere.
    pub(crate) fn commands(&self, guild: Option<&str>) -> Vec<Value> {
        let scope = guild.unwrap_or_default();
        self.world.look(|state| state.commands.get(scope).cloned().unwrap_or_default())
    }

    /// Waits until a command of this name stands in either place.
    pub(crate) async fn registered(&self, name: &str) {
        let look = |state: &State| {
            state.commands.values().flatten().any(|it| it["name"] == name).then_some(())
        };
        self.world.eventually(&format!("the command /{name}"), look).await;
    }
}

/// What goes wrong.
impl DiscordWorld {
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

/// The gateway, as the test drives it.
impl DiscordWorld {
    /// Waits until so many connections have identified or resumed.
    pub(crate) async fn connected(&self, count: usize) {
        let look = |state: &State| {
            let ready = state.links.iter().filter(|it| it.open && !it.silent);
            (ready.filter(|it| it.session.is_some()).count() >= count).then_some(())
        };
        self.world.eventually(&format!("{count} connections"), look).await;
    }

    /// How often a connection began anew, and how often one went on where it was.
    pub(crate) fn sessions(&self) -> (usize, usize) {
        self.world
            .look(|state| (state.sessions.len(), state.sessions.iter().map(|it| it.resumed).sum()))
    }

    /// Waits until sessions have been resumed so often, all together.
    pub(crate) async fn resumed(&self, times: usize) {
        let look = |state: &State| {
            let sum: usize = state.sessions.iter().map(|it| it.resumed).sum();
            (sum >= times).then_some(())
        };
        self.world.eventually(&format!("{times} resumed sessions"), look).await;
    }

    /// Waits until so many sessions have begun.
    pub(crate) async fn identified(&self, times: usize) {
        let look = |state: &State| (state.sessions.len() >= times).then_some(());
        self.world.eventually(&format!("{times} new sessions"), look).await;
    }

    /// Operation 7: please reconnect, and resume.
    pub(crate) fn asks_to_reconnect(&self) {
        self.world.asks_to_reconnect();
    }

    /// Operation 9.
    pub(crate) fn invalidates_session(&self, resumable: bool) {
        self.world.invalidates(resumable);
    }

    pub(crate) fn asks_for_heartbeat(&self) {
        self.world.asks_for_heartbeat();
    }

    /// Waits until the connections have told so many heart beats, all together.
    pub(crate) async fn beaten(&self, times: usize) {
        let look = |state: &State| (state.beats >= times).then_some(());
        self.world.eventually(&format!("{times} heart beats"), look).await;
    }

    /// None of them can be resumed any more, and nobody is told.
    pub(crate) fn forgets_sessions(&self) {
        self.world.forgets_sessions();
    }

    /// Closes all connections with one of the documented codes.
    pub(crate) fn closes_connections(&self, code: u16) {
        self.world.closes(code);
    }

    /// All connections end at once, without a word.
    pub(crate) fn cuts_connections(&self) {
        self.world.cuts();
    }

    /// Nothing comes, no heart beat is answered, and nothing is closed either.
    pub(crate) fn falls_silent(&self) {
        self.world.falls_silent();
    }

    /// Tells what a gesture told once more, as it was: the same id, the same token.
    pub(crate) fn delivers_again(&self, gesture: &Gesture) {
        self.world.change(|state| state.tells_again(gesture.deed));
    }

    /// Events gather until `lets_go_backwards`.
    pub(crate) fn holds_events(&self) {
        self.world.change(|state| state.backlog = Some(Vec::new()));
    }

    /// Waits until so many events have gathered, and tells them in reverse.
    pub(crate) async fn lets_go_backwards(&self, count: usize) {
        let look = |state: &State| {
            let backlog = state.backlog.as_ref().map_or(0, Vec::len);
            (backlog >= count).then_some(())
        };
        self.world.eventually(&format!("{count} events held back"), look).await;
        self.world.change(State::tells_backwards);
    }
}

/// Signed HTTP, as an attacker would like it.
impl DiscordWorld {
    /// What Discord would send for this line: to be sent as it is, twice, or changed first.
    pub(crate) fn command_of(&self, person: &str, line: &str, channel: &str) -> Signed {
        let parcel = self.person(person).would_type(line, channel);
        self.signed(&parcel)
    }

    /// The same for a click.
    pub(crate) fn press_of(&self, person: &str, post: &Post, label: &str) -> Signed {
        let content = self.world.look(|state| post.message(state).content.clone());
        let parcel = self.person(person).would_press(post, &content, label);
        self.world.change(|state| state.deeds[parcel.deed].silent = true);
        self.signed(&parcel)
    }

    fn signed(&self, parcel: &delivery::Parcel) -> Signed {
        self.world.look(|state| {
            let now = self.world.clock.wall();
            Signed::new(state, now, &state.interactions[parcel.interaction].payload)
        })
    }

    /// What is asked when the address is entered; the answer is 200 with `{"type":1}`.
    pub(crate) fn ping(&self) -> Signed {
        let now = self.world.clock.now();
        self.world.change(|state| {
            let (id, token) = (state.snowflake(now), payloads::token(state.serial(), now));
            Signed::new(state, self.world.clock.wall(), &payloads::ping(&id, &token))
        })
    }

    /// Whether Discord would accept this address: it answers a ping, and refuses a forged one.
    pub(crate) async fn accepts_address(&self) -> Result<(), String> {
        let (status, body) = self.ping().send().await;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        if status != 200 || answer["type"] != 1 {
            return Err(format!("a ping was answered with {status} {body}"));
        }
        let (status, _) = self.ping().forged().send().await;
        if status != 401 {
            return Err(format!("a forged ping was answered with {status}"));
        }
        Ok(())
    }
}

/// What is on the screens.
impl DiscordWorld {
    /// The newest message in a channel that says this now.
    pub(crate) async fn sees(&self, channel: &str, wanted: &str) -> Post {
        let look = |state: &State| said_in(state, channel, wanted);
        self.world.eventually(&format!("{wanted:?} in #{channel}"), look).await
    }

    /// The same, if it is there already.
    pub(crate) fn says(&self, channel: &str, wanted: &str) -> Option<Post> {
        self.world.look(|state| said_in(state, channel, wanted))
    }

    /// This message has been edited until it says so.
    pub(crate) async fn sees_edit(&self, post: &Post, wanted: &str) {
        let look = |state: &State| {
            let message = post.message(state);
            let says = seen::holds(&message.content, &state.realm, wanted);
            (says && message.edited.is_some()).then_some(())
        };
        self.world.eventually(&format!("an edit to {wanted:?}"), look).await;
    }

    /// A channel or a thread with this name has come to be.
    pub(crate) async fn sees_channel(&self, name: &str) -> Channel {
        let look =
            |state: &State| state.realm.channels.values().find(|it| it.name == name).cloned();
        self.world.eventually(&format!("the channel #{name}"), look).await
    }

    /// Waits until this holds, whatever it is.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Realm) -> bool) {
        let look = |state: &State| holds(&state.realm).then_some(());
        self.world.eventually(what, look).await;
    }

    pub(crate) fn text_of(&self, post: &Post) -> String {
        self.world.look(|state| seen::readable(&post.message(state).content, &state.realm))
    }

    pub(crate) fn whisper_text(&self, whisper: &Whisper) -> String {
        self.text_of(&whisper.post())
    }

    /// The title and the lines of a form.
    pub(crate) fn sheet_text(&self, sheet: &Sheet) -> String {
        self.world.look(|state| seen::form(&state.modals[&sheet.id]))
    }

    pub(crate) fn is_open(&self, sheet: &Sheet) -> bool {
        self.world.look(|state| state.modals[&sheet.id].open)
    }

    /// What was attached to a message: its name and its bytes.
    pub(crate) fn files_of(&self, post: &Post) -> Vec<(String, Vec<u8>)> {
        self.world.look(|state| {
            let files = post.message(state).content.attachments.iter();
            files.map(|it| (it.name.clone(), it.bytes.clone())).collect()
        })
    }

    #[track_caller]
    pub(crate) fn transcript(&self, channel: &str) -> String {
        self.look(|realm| seen::transcript(realm.channel(channel), realm))
    }

    /// How many messages say this now, wherever they are.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.look(|realm| {
            let all = realm.channels.values().flat_map(Channel::shown);
            all.filter(|it| seen::holds(&it.content, realm, wanted)).count()
        })
    }

    #[track_caller]
    pub(crate) fn exactly_once(&self, wanted: &str) {
        let count = self.count(wanted);
        let all = || self.world.look(seen::everything);
        assert_eq!(count, 1, "{wanted:?} should stand there once\n{}", all());
    }

    pub(crate) fn all_calls(&self) -> Vec<Call> {
        self.world.look(|state| state.calls.clone())
    }

    /// By the name of the operation in the specification: `create_message`.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Call> {
        self.world.look(|state| {
            state.calls.iter().filter(|it| it.operation == operation).cloned().collect()
        })
    }

    /// Waits until an operation was called so often.
    pub(crate) async fn called(&self, operation: &str, times: usize) -> Call {
        let look = |state: &State| {
            let mut calls = state.calls.iter().filter(|it| it.operation == operation);
            calls.nth(times - 1).cloned()
        };
        self.world.eventually(&format!("{operation} called {times} times"), look).await
    }
}

fn said_in(state: &State, channel: &str, wanted: &str) -> Option<Post> {
    let realm = &state.realm;
    let named = |it: &&Channel| it.name == channel || it.id == channel;
    let place = realm.channels.values().find(named)?;
    let found = place.shown().rev().find(|it| seen::holds(&it.content, realm, wanted))?;
    Some(Post { channel: place.id.clone(), id: found.id.clone() })
}

/// The end of every test.
impl DiscordWorld {
    pub(crate) fn violations(&self) -> Vec<String> {
        self.world.look(|state| state.violations.clone())
    }

    /// What is allowed and still unwise: a channel that was renamed.
    pub(crate) fn smells(&self) -> Vec<String> {
        self.world.look(|state| state.smells.clone())
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

    /// They waited for something that the test did to the bot, and saw it think until they left.
    pub(crate) fn pardon_wait(&self, gesture: &Gesture) {
        self.world.change(|state| {
            state.deeds[gesture.deed].silent = true;
            let asked = state.interactions.iter().filter(|it| it.deed == gesture.deed);
            let left: Vec<_> = asked.filter_map(|it| it.original.clone()).collect();
            for channel in state.realm.channels.values_mut() {
                let own = channel.messages.iter_mut().filter(|it| left.contains(&it.id));
                own.for_each(|it| it.thinking = false);
            }
        });
    }

    /// Everybody who acted so far may have waited for a program that was in trouble.
    pub(crate) fn pardon_everybody(&self) {
        self.world.change(|state| {
            state.deeds.iter_mut().for_each(|deed| deed.silent = true);
            let all = state.realm.channels.values_mut().flat_map(|it| &mut it.messages);
            all.for_each(|it| it.thinking = false);
        });
    }

    /// All that was said, opened and called, for whoever wants to read it.
    pub(crate) fn everything(&self) -> String {
        self.world.look(seen::everything)
    }

    /// Takes back what a race may or may not have provoked.
    pub(crate) fn overlooks(&self, wanted: &str) {
        self.world.change(|state| state.violations.retain(|it| !it.contains(wanted)));
    }

    /// Commands that some message says to type, and that Discord's client would not send: a word
    /// without the name of its option, an option or a command that is not registered.
    pub(crate) fn untypeable(&self) -> Vec<String> {
        let command = Regex::new("`(/release [^`]*)`").expect("it is sound");
        let by_name = Regex::new(r"^/release( [a-z-]+){1,2}( [a-z-]+:.*)?$").expect("so is this");
        let (person, channel) = (self.person("maria").id, self.channel("releases").id);
        self.world.look(|state| {
            let all = state.realm.channels.values().flat_map(|it| &it.messages);
            let texts = all.map(|it| seen::readable(&it.content, &state.realm));
            let said = texts.flat_map(|text| {
                let found = command.captures_iter(&text).map(|it| it[1].to_owned());
                found.collect::<Vec<_>>()
            });
            // The form of a command, in a help, is no command.
            let said: BTreeSet<_> = said.filter(|line| !line.contains('[')).collect();
            let read = |line: &String| typed::read(state, &person, &channel, line).map(drop);
            let wrong =
                said.into_iter().filter_map(|line| match (read(&line), by_name.is_match(&line)) {
                    (Ok(()), true) => None,
                    (read, _) => Some(format!("`{line}` cannot be typed: {read:?}")),
                });
            wrong.collect()
        })
    }

    /// The longest that anybody waited for a visible answer so far.
    pub(crate) fn slowest_answer(&self) -> Duration {
        self.world.look(|state| {
            let waits = state.deeds.iter().filter_map(|it| Some(it.answered? - it.at));
            waits.max().unwrap_or_default()
        })
    }

    /// The longest that Discord waited for an acknowledgement.
    pub(crate) fn slowest_acknowledgement(&self) -> Duration {
        self.world.look(|state| {
            let waits = state.deeds.iter().filter_map(|it| Some(it.acknowledged? - it.at));
            waits.max().unwrap_or_default()
        })
    }

    /// No violation, nothing left thinking, and nobody waited in vain or for too long.
    pub(crate) async fn assert_clean(&self) {
        let window = self.world.look(|state| state.setup.windows.answer);
        let now = self.world.clock.now();
        let settled = |state: &State| {
            (state.unanswered().is_empty() && state.thoughts().is_empty()).then_some(())
        };
        // Whoever was asked a moment ago still has the rest of their time.
        tokio::select! {
            () = self.world.until(settled) => {}
            () = self.world.clock.until(now + window) => {}
        }
        let mut wrong = self.violations();
        self.world.look(|state| {
            wrong.extend(state.thoughts());
            wrong.extend(state.unanswered().into_iter().map(|it| format!("{it}: saw nothing")));
            wrong.extend(state.late(window));
        });
        let all = || self.world.look(seen::everything);
        assert!(wrong.is_empty(), "Discord objects:\n{}\n\n{}", wrong.join("\n"), all());
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

    /// Where it still says "is thinking…".
    fn thoughts(&self) -> Vec<String> {
        let all = self.realm.channels.values();
        let left = all.flat_map(|it| &it.messages).filter(|it| it.thinking && !it.deleted);
        left.map(|it| format!("the answer {} is left thinking", it.id)).collect()
    }

    fn late(&self, window: Duration) -> Vec<String> {
        let late = self.deeds.iter().filter_map(|deed| {
            let waited = deed.answered? - deed.at;
            // Where nobody answered at all that has been said already.
            let heard = matches!(deed.outcome, None | Some(Outcome::Acknowledged(_)));
            let too_long = waited > window && heard && !deed.silent;
            too_long.then(|| format!("{}: saw something only after {waited:?}", deed.what))
        });
        late.collect()
    }
}
