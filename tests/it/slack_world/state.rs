//! Everything the stand-in remembers, behind one lock, and how to wait until it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::clock::Clock;
use super::delivery::Delivery;
use super::faults::Faults;
use super::rates::Rates;
use super::setup::Setup;
use super::socket::Link;
use super::workspace::Workspace;

/// How long a test waits, on the wall, for something that ought to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One call of the bot, as it came and as it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) args: Map<String, Value>,
    pub(crate) at: Duration,
    pub(crate) status: u16,
    pub(crate) answer: Value,
    /// It was done, though the fault may have kept the answer from the bot.
    pub(crate) acted: bool,
}

impl Call {
    pub(crate) fn arg(&self, name: &str) -> &str {
        self.args.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a person did, and how long until they saw that something came of it.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) what: String,
    pub(crate) user: String,
    pub(crate) channel: Option<String>,
    pub(crate) view: Option<String>,
    pub(crate) at: Duration,
    pub(crate) acknowledged: Option<Duration>,
    pub(crate) answered: Option<Duration>,
    pub(crate) outcome: Option<super::delivery::Outcome>,
    /// Nobody promised a visible answer: an event, or an attack.
    pub(crate) silent: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Trigger {
    pub(super) user: String,
    pub(super) at: Duration,
    pub(super) spent: bool,
    pub(super) deed: usize,
    /// The modal it was pressed in.
    pub(super) view: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct ResponseUrl {
    pub(super) user: String,
    pub(super) channel: String,
    pub(super) message: Option<String>,
    pub(super) at: Duration,
    pub(super) uses: u32,
    pub(super) deed: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) length: usize,
    pub(super) bytes: Option<Vec<u8>>,
}

pub(crate) struct State {
    pub(crate) setup: Setup,
    pub(crate) workspace: Workspace,
    pub(crate) violations: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(super) triggers: BTreeMap<String, Trigger>,
    pub(super) response_urls: BTreeMap<String, ResponseUrl>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) tickets: BTreeMap<String, Duration>,
    pub(super) links: Vec<Link>,
    pub(super) faults: Faults,
    pub(super) rates: Rates,
    pub(super) revoked: BTreeSet<String>,
    pub(super) link_disabled: bool,
    /// What waits to be sent, while the test holds it back.
    pub(super) backlog: Option<Vec<(u64, String)>>,
    serial: u64,
    last_ts: u128,
}

impl State {
    pub(super) fn new(setup: Setup, workspace: Workspace) -> Self {
        Self {
            setup,
            workspace,
            violations: Vec::new(),
            calls: Vec::new(),
            deeds: Vec::new(),
            deliveries: Vec::new(),
            triggers: BTreeMap::new(),
            response_urls: BTreeMap::new(),
            uploads: BTreeMap::new(),
            tickets: BTreeMap::new(),
            links: Vec::new(),
            faults: Faults::default(),
            rates: Rates::default(),
            revoked: BTreeSet::new(),
            link_disabled: false,
            backlog: None,
            serial: 0,
            last_ts: 0,
        }
    }

    pub(super) fn violated(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    pub(super) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Unique in the workspace, and never going back.
    pub(super) fn ts(&mut self, now: Duration) -> String {
        self.last_ts = now.as_micros().max(self.last_ts + 1);
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }

    /// Somebody could see this, so whoever waited for it in that place has their answer.
    pub(super) fn seen_in(&mut self, channel: &str, now: Duration) {
        for deed in self.deeds.iter_mut().filter(|deed| deed.channel.as_deref() == Some(channel)) {
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
