//! The outbox to the ports, and what came of it back to the engine. One lane per channel, person,
//! run: what shares a lane is done in order, what does not never waits for it.

mod lane;
mod perform;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};

use super::engine::{Engine, Wanted};
use super::messages::Messages;
use super::people::People;
use crate::domain::ids::RunId;
use crate::domain::state::Card;
use crate::ports::{Chat, Courier, Deployer, Gatekeeper, Message};
use crate::store::{CardWish, Claim, Waiting};

/// Those who do what we ask, by the names under which the effects know them.
#[derive(Clone)]
pub struct Neighbours {
    pub chats: BTreeMap<String, Arc<dyn Chat>>,
    pub couriers: BTreeMap<String, Arc<dyn Courier>>,
    pub deployer: Arc<dyn Deployer>,
    /// Whose deployments wait for our word.
    pub gates: BTreeMap<String, Arc<dyn Gatekeeper>>,
    /// Who can tell what people are called whom no configuration names.
    pub people: Arc<People>,
}

/// Whether what is done here reaches anybody. **Invariant:** a rehearsal's neighbours come from the
/// rehearsal itself, whatever the effects ask for.
pub enum World {
    Real(Neighbours),
    Rehearsed(Neighbours),
}

impl World {
    fn neighbours(&self) -> &Neighbours {
        match self {
            Self::Real(neighbours) | Self::Rehearsed(neighbours) => neighbours,
        }
    }

    fn waits(&self) -> bool {
        matches!(self, Self::Real(_))
    }
}

/// A card is written at most this often.
const CARD_PACE: Duration = Duration::from_secs(1);
/// How much of a run's output the card shows.
const SHOWN_LINES: usize = 12;

#[derive(Clone)]
pub struct Delivery(Arc<Inner>);

struct Inner {
    engine: Engine,
    world: World,
    messages: Arc<Messages>,
    /// What a command begins with on each platform.
    prefixes: BTreeMap<String, String>,
    /// The workspace that each platform is.
    tenants: BTreeMap<String, String>,
    lanes: Mutex<HashMap<String, Lane>>,
    cards: Mutex<HashMap<Card, CardState>>,
    output: Mutex<HashMap<RunId, VecDeque<String>>>,
    stopped: Mutex<Vec<RunId>>,
    /// The lanes whose neighbour does not let us in, and why.
    shut: Mutex<BTreeMap<String, String>>,
    /// What was committed while the outbox was read: it comes after what was there before.
    early: Mutex<Option<Vec<Wanted>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Told whenever a lane runs dry.
    quiet: Notify,
}

/// What is said in a channel is said in order, cards too.
fn lane_of(card: &Card) -> String {
    format!("{}/{}", card.platform, card.channel)
}

/// A queue with at most one task working on it.
#[derive(Default)]
struct Lane {
    jobs: VecDeque<Job>,
    working: bool,
}

enum Job {
    /// What is urgent was claimed as soon as it was asked for.
    Effect(Waiting, Option<Claim>),
    Card(Card),
}

#[derive(Default)]
struct CardState {
    /// What it says, as far as we know.
    written: Option<Message>,
    at: Option<Instant>,
}

impl Delivery {
    /// Takes up what the outbox holds, then what each commit adds, until it is told to stop.
    pub async fn start(
        engine: Engine,
        world: World,
        messages: Arc<Messages>,
        prefixes: BTreeMap<String, String>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let homes = engine.state().house.policy().rooms.clone();
        let delivery = Self(Arc::new(Inner {
            engine,
            world,
            messages,
            prefixes,
            tenants: homes.into_iter().map(|home| (home.platform, home.tenant)).collect(),
            lanes: Mutex::default(),
            cards: Mutex::default(),
            output: Mutex::default(),
            stopped: Mutex::default(),
            shut: Mutex::default(),
            early: Mutex::new(Some(Vec::new())),
            tasks: TaskTracker::new(),
            stop,
            quiet: Notify::new(),
        }));
        let follower = Arc::downgrade(&delivery.0);
        delivery.0.engine.followed_by(move |wanted| {
            if let Some(inner) = follower.upgrade() {
                Self(inner).follow(wanted);
            }
        });
        delivery.take_up().await?;
        Ok(delivery)
    }

    /// What was being tried when we stopped has an unknown outcome: its lane looks first.
    async fn take_up(&self) -> anyhow::Result<()> {
        for waiting in self.0.engine.store().outbox().await? {
            self.push(waiting.lane.clone(), Job::Effect(waiting, None));
        }
        for row in self.0.engine.store().cards_behind().await? {
            self.push_card(&row.key);
        }
        let mut early = self.0.early.lock().expect("never held in a panic");
        for Wanted { effects, urgent, cards } in early.take().unwrap_or_default() {
            // What the outbox showed us as well is claimed once.
            self.queue(urgent.into_iter().chain(effects).map(|waiting| (waiting, None)), &cards);
        }
        Ok(())
    }

    /// Each commit, before those who asked are answered. Nothing new begins once we are to stop: it waits
    /// in the outbox.
    fn follow(&self, wanted: Wanted) {
        let mut early = self.0.early.lock().expect("never held in a panic");
        if let Some(early) = early.as_mut() {
            early.push(wanted);
            return;
        }
        drop(early);
        if self.0.stop.is_cancelled() {
            return;
        }
        let Wanted { effects, urgent, cards } = wanted;
        let store = self.0.engine.store();
        let urgent = urgent.into_iter().map(|waiting| {
            let claim = store.claim_soon(&waiting.key);
            (waiting, Some(claim))
        });
        self.queue(urgent.chain(effects.into_iter().map(|waiting| (waiting, None))), &cards);
    }

    fn queue(&self, effects: impl Iterator<Item = (Waiting, Option<Claim>)>, cards: &[CardWish]) {
        for (waiting, claim) in effects {
            self.push(waiting.lane.clone(), Job::Effect(waiting, claim));
        }
        for wish in cards {
            self.push_card(&wish.key);
        }
    }

    fn push_card(&self, key: &str) {
        match serde_json::from_str::<Card>(key) {
            Ok(card) => self.refresh(card),
            Err(why) => error!(%why, "the card `{key}` cannot be read: {why}"),
        }
    }

    /// A card that is to be written already is not written twice.
    fn refresh(&self, card: Card) {
        let lane = lane_of(&card);
        {
            let lanes = self.0.lanes.lock().expect("never held in a panic");
            let queued = lanes.get(&lane).is_some_and(|lane| {
                lane.jobs.iter().any(|job| matches!(job, Job::Card(known) if *known == card))
            });
            if queued {
                return;
            }
        }
        self.push(lane, Job::Card(card));
    }

    fn push(&self, lane: String, job: Job) {
        let mut lanes = self.0.lanes.lock().expect("never held in a panic");
        let queue = lanes.entry(lane.clone()).or_default();
        queue.jobs.push_back(job);
        if !queue.working {
            queue.working = true;
            let delivery = self.clone();
            self.0.tasks.spawn(async move { delivery.work(lane).await });
        }
    }

    /// Whether nothing waits in a lane any more; not so if we are to stop before that.
    async fn runs_dry(&self, lane: &str) -> bool {
        loop {
            let mut told = std::pin::pin!(self.0.quiet.notified());
            told.as_mut().enable();
            // A lane goes as well when we stop: what was in it waits in the outbox.
            if self.0.stop.is_cancelled() {
                return false;
            }
            if !self.0.lanes.lock().expect("never held in a panic").contains_key(lane) {
                return true;
            }
            tokio::select! {
                () = told => {}
                () = self.0.stop.cancelled() => return false,
            }
        }
    }

    /// Until nothing waits and nothing is under way.
    pub async fn quiet(&self) {
        loop {
            let mut told = std::pin::pin!(self.0.quiet.notified());
            told.as_mut().enable();
            if self.lanes() == 0 {
                return;
            }
            told.await;
        }
    }

    /// What is under way finishes its call; nothing new begins. What waits stays in the outbox.
    pub async fn finish(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        let lanes: Vec<String> =
            self.0.lanes.lock().expect("never held in a panic").keys().cloned().collect();
        debug!(lanes = lanes.len(), "finishing what is under way");
        let patience = Duration::from_secs(5);
        if tokio::time::timeout(patience, self.0.tasks.wait()).await.is_err() {
            debug!("some calls did not end in time; they are looked after at the next start");
        }
    }

    /// Why nothing gets through to a neighbour until somebody mends it.
    pub fn shut_out(&self) -> BTreeSet<String> {
        let chats = self.0.world.neighbours().chats.values();
        let told = chats.filter_map(|chat| chat.shut_out());
        let shut = self.0.shut.lock().expect("never held in a panic");
        shut.values().cloned().chain(told).collect()
    }

    fn is_shut_out(&self, lane: &str, why: Option<String>) {
        let mut shut = self.0.shut.lock().expect("never held in a panic");
        match why {
            Some(why) => shut.insert(lane.to_owned(), why),
            None => shut.remove(lane),
        };
    }

    pub fn lanes(&self) -> usize {
        self.0.lanes.lock().expect("never held in a panic").len()
    }
}
