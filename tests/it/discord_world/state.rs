//! Everything the stand-in remembers, behind one lock, and how to wait until it has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::slack_world::{Clock, PATIENCE};

use super::delivery::{Delivery, Outcome};
use super::faults::Faults;
use super::gateway::{Link, Session};
use super::rates::Rates;
use super::realm::Realm;
use super::setup::Setup;
use super::signed::Keys;

/// Snowflakes count from the first second of 2015.
const EPOCH: u128 = 1_420_070_400_000;

/// One call of the bot, as it came and as it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The operation as the specification calls it: `create_message`.
    pub(crate) operation: String,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) at: Duration,
    pub(crate) status: u16,
    pub(crate) answer: Value,
    /// It was done, though the fault may have kept the answer from the bot.
    pub(crate) acted: bool,
}

/// What a person did, and how long until they saw that something came of it.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) what: String,
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) at: Duration,
    pub(crate) acknowledged: Option<Duration>,
    pub(crate) answered: Option<Duration>,
    pub(crate) outcome: Option<Outcome>,
    /// Nobody promised a visible answer: an attack.
    pub(crate) silent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Command,
    Component,
    Completion,
    Submission,
}

/// What the bot was told that somebody did, and what it may do with it.
#[derive(Clone, Debug)]
pub(super) struct Interaction {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) what: What,
    pub(super) user: String,
    pub(super) channel: String,
    /// The message with the component; for a form the one it was opened from.
    pub(super) message: Option<String>,
    pub(super) deed: usize,
    pub(super) at: Duration,
    /// When, and with which type.
    pub(super) response: Option<(Duration, u64)>,
    /// What `@original` is.
    pub(super) original: Option<String>,
    pub(super) payload: Value,
    /// What a completion was answered with.
    pub(super) choices: Vec<Value>,
}

/// A form on somebody's screen.
#[derive(Clone, Debug)]
pub(crate) struct Modal {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) message: Option<String>,
    pub(crate) body: Value,
    pub(crate) open: bool,
}

pub(crate) struct State {
    pub(crate) setup: Setup,
    pub(crate) realm: Realm,
    pub(crate) violations: Vec<String>,
    /// Allowed, and still a bad habit: a channel that was renamed.
    pub(crate) smells: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) modals: BTreeMap<String, Modal>,
    /// By guild; the empty name is everywhere.
    pub(super) commands: BTreeMap<String, Vec<Value>>,
    pub(super) interactions: Vec<Interaction>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) links: Vec<Link>,
    pub(super) sessions: Vec<Session>,
    pub(super) faults: Faults,
    pub(super) rates: Rates,
    pub(super) keys: Keys,
    pub(super) revoked: bool,
    pub(super) beats: usize,
    /// What waits to be sent, while the test holds it back.
    pub(super) backlog: Option<Vec<(u64, Value)>>,
    serial: u64,
    last_ms: u128,
}

impl State {
    pub(super) fn new(setup: Setup, realm: Realm) -> Self {
        Self {
            setup,
            realm,
            violations: Vec::new(),
            smells: Vec::new(),
            calls: Vec::new(),
            deeds: Vec::new(),
            modals: BTreeMap::new(),
            commands: BTreeMap::new(),
            interactions: Vec::new(),
            deliveries: Vec::new(),
            links: Vec::new(),
            sessions: Vec::new(),
            faults: Faults::default(),
            rates: Rates::default(),
            keys: Keys::new(),
            revoked: false,
            beats: 0,
            backlog: None,
            serial: 0,
            last_ms: 0,
        }
    }

    pub(super) fn violated(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    pub(super) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Unique, in order, and of the time it was made at.
    pub(super) fn snowflake(&mut self, now: Duration) -> String {
        let serial = u128::from(self.serial());
        self.last_ms = now.as_millis().saturating_sub(EPOCH).max(self.last_ms);
        ((self.last_ms << 22) + (serial << 2)).to_string()
    }

    /// Somebody could see this, so whoever waited for it in that place has their answer.
    pub(super) fn seen_in(&mut self, channel: &str, now: Duration) {
        for deed in self.deeds.iter_mut().filter(|deed| deed.channel == channel) {
            deed.answered.get_or_insert(now);
        }
    }

    pub(super) fn seen_by(&mut self, user: &str, now: Duration) {
        for deed in self.deeds.iter_mut().filter(|deed| deed.user == user) {
            deed.answered.get_or_insert(now);
        }
    }

    pub(super) fn answered(&mut self, deed: usize, now: Duration) {
        self.deeds[deed].answered.get_or_insert(now);
    }
}

pub(crate) struct World {
    pub(super) clock: Clock,
    /// `http://127.0.0.1:<port>`.
    pub(super) base: String,
    pub(super) http: reqwest::Client,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl World {
    pub(super) fn new(base: String, state: State) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::new(),
            base,
            http: reqwest::Client::new(),
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        })
    }

    /// A test may fail while it looks; what it saw is still true for the others.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
        done
    }

    /// Waits for as long as it takes: for the stand-in's own use, beside something that ends it.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(found) = self.look(&mut look) {
                return found;
            }
            changed.changed().await.expect("the world outlives who waits in it");
        }
    }

    /// Waits at most `PATIENCE`, then fails the test with all that was said.
    pub(super) async fn eventually<T>(
        &self,
        what: &str,
        look: impl FnMut(&State) -> Option<T>,
    ) -> T {
        match tokio::time::timeout(PATIENCE, self.until(look)).await {
            Ok(found) => found,
            Err(_) => panic!("nobody saw {what}.\n{}", self.look(super::seen::everything)),
        }
    }
}
