//! The single writer. It takes all the requests that are waiting, decides and evolves each on a
//! draft, commits them with one fsync, and only then answers and lets readers see.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{debug, error, info};

use super::clock::Clock;
use super::replay::{self, Replayed, event_of};
use super::way::Way;
use crate::domain::agenda::{self, Scope};
use crate::domain::command::{Actor, Command, Request};
use crate::domain::decide::{decide, refused};
use crate::domain::effect::Effect;
use crate::domain::event::{Event, SCHEMA};
use crate::domain::ids::ReleaseId;
use crate::domain::react::react;
use crate::domain::refusal::Refusal;
use crate::domain::registry;
use crate::domain::state::{Release, State};
use crate::domain::time::Time;
use crate::store::{
    Asked as Saying, Batch, CardWish, CommitError, Entry, Finding, Hash, Head, NewEffect, NewEntry,
    ReadError, Store, Turn, Waiting,
};

/// Once so many share a commit, nobody else joins it.
const BATCH: usize = 256;
/// How many requests of one asker share a commit at most: whoever clicks meanwhile waits for it,
/// which is less than they would wait for the fsyncs of several.
pub const TOGETHER: usize = 1024;

/// Where several come at once, those who come so soon after them share their commit: on a machine that
/// is busy a commit costs as much as several decisions. Whoever comes alone, or goes first, does not
/// wait for it.
const GATHER: std::time::Duration = std::time::Duration::from_millis(1);

/// So many of the others are decided beside those who go first, and before those who came late: they
/// starve nobody.
const FAIR: usize = 8;

/// A handle on the engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    /// Held by handles alone: the writer stops when nobody can ask any more. What comes in one
    /// piece is decided in one batch: sent one by one, the runtime would hand them over in several,
    /// each with an fsync of its own.
    inbox: mpsc::Sender<Vec<Asked>>,
    /// What does not wait behind others.
    first: mpsc::Sender<Vec<Asked>>,
}

struct Inner {
    store: Store,
    clock: Clock,
    /// What readers see: committed, never a draft. Who reads takes it along and looks at it for as long
    /// as they like, so that no reader holds the lock.
    published: RwLock<Arc<State>>,
    /// Up to which entry. Written while `published` is.
    published_head: Mutex<Head>,
    /// The entry of the last snapshot.
    snapshot: AtomicU64,
    agenda: Mutex<Index>,
    agenda_changed: Notify,
    committed: watch::Sender<Head>,
    follower: Mutex<Option<Follower>>,
    way: Arc<Way>,
    stuck: AtomicBool,
    asked: AtomicU64,
    refused: AtomicU64,
    decided: AtomicU64,
}

impl Inner {
    fn published(&self) -> RwLockReadGuard<'_, Arc<State>> {
        self.published.read().expect("the writer does not panic while it publishes")
    }
}

/// What a commit wants done.
#[derive(Debug, Default)]
pub struct Wanted {
    pub effects: Vec<Waiting>,
    /// Those that are done ahead of all that is asked meanwhile.
    pub urgent: Vec<Waiting>,
    pub cards: Vec<CardWish>,
}

/// Told of each commit, before those who asked for it are.
type Follower = Box<dyn Fn(Wanted) + Send>;

/// The events of one request, with their places in the log. The same request gets the same again.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub events: Vec<(u64, Event)>,
    pub repeated: bool,
}

/// What those who wait need to hear that nobody can tell what was recorded.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

/// Why a request is not on record.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Lost {
    #[error("It was not recorded, and nothing changed: {0}")]
    NotRecorded(String),
    #[error("I cannot tell whether it was recorded: {0}. I start again from the file; look there.")]
    CannotTell(String),
    #[error("I am stopping. Send it again when I am back.")]
    Stopping,
}

struct Asked {
    /// Rises with each one that is asked.
    nth: u64,
    work: Work,
    answer: oneshot::Sender<Result<Answer, Lost>>,
}

enum Work {
    Request {
        request: Box<Request>,
        /// What was said, where the asker chose the id: it belongs to these words.
        said: Option<Hash>,
        ends: Ends,
    },
    End(Ends),
}

/// What waited for this, and goes in the transaction that records it.
enum Ends {
    Nothing,
    /// Leaves the outbox.
    Effect(String),
    /// Leaves the inbox.
    Kept(String),
}

/// A deadline with the id under which its command is asked.
#[derive(Debug, Clone)]
pub struct Due {
    pub id: String,
    pub scope: Scope,
    pub due: agenda::Due,
}

/// The earliest deadline of every scope, in one order; those after it are worked out when it is
/// over. So neither memory nor the next deadline depends on how many are pending.
#[derive(Default)]
struct Index {
    order: BTreeSet<(Time, Scope)>,
    scopes: HashMap<Scope, Time>,
}

// A scope is compared and hashed as a key of the index.
impl std::hash::Hash for Scope {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Release(id) => (0, id.as_str()).hash(state),
            Self::Freeze(id) => (1, id.as_str()).hash(state),
            Self::Flag(id) => (2, id.as_str()).hash(state),
        }
    }
}

impl Index {
    fn renew(&mut self, state: &State, scope: &Scope) {
        if let Some(at) = self.scopes.remove(scope) {
            self.order.remove(&(at, scope.clone()));
        }
        if let Some(first) = agenda::next(state, scope) {
            self.scopes.insert(scope.clone(), first.at);
            self.order.insert((first.at, scope.clone()));
        }
    }

    fn rebuild(&mut self, state: &State) {
        *self = Self::default();
        let scopes: Vec<_> = agenda::scopes(state).collect();
        for scope in scopes {
            self.renew(state, &scope);
        }
    }

    /// At most so many of the scopes in which something is due first, and due by then.
    fn scopes(&self, until: Option<Time>, most: usize) -> Vec<Scope> {
        let early = self.order.iter().take_while(|(at, _)| until.is_none_or(|until| *at <= until));
        early.take(most).map(|(_, scope)| scope.clone()).collect()
    }
}

impl Engine {
    /// Adds up the log, proving its chain on the way, and starts the writer. What a snapshot stands
    /// for is proven by [`prove_past`](Self::prove_past). The writer stops, and lets go of the store,
    /// when the last handle is gone.
    pub async fn start(store: Store, clock: Clock) -> anyhow::Result<Self> {
        let Replayed { state, snapshot } = replay::start(&store).await?;
        let head = store.head();
        if let Some((at, to)) = state.house.jumped {
            // A demo goes on where its clock was, plus what has passed since.
            clock.set(chrono::Utc::now().max(at) + (to - at));
        }
        if let Some(last) = state.last_at.filter(|_| state.house.jumpable) {
            clock.set(last);
        }
        let mut index = Index::default();
        if state.house.policy.is_some() {
            index.rebuild(&state);
        }
        let (inbox, asked) = mpsc::channel(4 * BATCH);
        let (first, going_first) = mpsc::channel(4 * BATCH);
        let way = Arc::<Way>::default();
        let inner = Arc::new(Inner {
            store,
            clock,
            published: RwLock::new(Arc::new(state.clone())),
            published_head: Mutex::new(head),
            snapshot: AtomicU64::new(snapshot.map_or(0, |head| head.seq)),
            agenda: Mutex::new(index),
            agenda_changed: Notify::new(),
            committed: watch::Sender::new(head),
            follower: Mutex::default(),
            way: Arc::clone(&way),
            stuck: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            decided: AtomicU64::new(0),
        });
        let queues = Queues { asked, first: going_first, left: Vec::new(), crowd: false, way };
        tokio::spawn(write(Writer { inner: inner.clone(), draft: state }, queues));
        Ok(Self { inner, inbox, first })
    }

    /// Decided, durably recorded, then answered.
    pub async fn ask(&self, request: Request) -> Result<Answer, Lost> {
        self.send(Work::of(request)).await
    }

    /// As [`ask`](Self::ask), for what waited in the inbox.
    pub async fn ask_kept(&self, request: Request) -> Result<Answer, Lost> {
        let ends = Ends::Kept(request.id.clone());
        self.send(Work::Request { request: Box::new(request), said: None, ends }).await
    }

    /// It waited in the inbox, and there is nothing to decide.
    pub async fn drop_kept(&self, id: &str) -> Result<Answer, Lost> {
        self.send(Work::End(Ends::Kept(id.to_owned()))).await
    }

    /// The same for an id that the asker chose: with other words it is refused, since an answer to
    /// the first would be taken for an answer to the second.
    pub async fn ask_saying(&self, request: Request, said: &str) -> Result<Answer, Lost> {
        let said = Some(Saying::new(&request.id, said).said);
        let (request, ends) = (Box::new(request), Ends::Nothing);
        self.send(Work::Request { request, said, ends }).await
    }

    /// Whether other words were said under this id.
    pub async fn is_taken(&self, id: &str, said: &str) -> Result<bool, ReadError> {
        let known = self.inner.store.asked(&[id.to_owned()]).await?;
        Ok(known.get(id).is_some_and(|first| *first != Saying::new(id, said).said))
    }

    /// Many at once, each release's in this order; they share commits.
    pub async fn ask_all(&self, requests: Vec<Request>) -> Vec<Result<Answer, Lost>> {
        let asked = requests.into_iter().map(|request| self.asked(Work::of(request)));
        let (asked, answers): (Vec<_>, Vec<_>) = asked.unzip();
        let goes_first = |asked: &Asked| asked.work.goes_first();
        let (first, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(goes_first);
        // Whoever goes first takes along what was asked before it, and so that is there by then.
        // Whoever is turned away hears it, since the answer's other end is gone.
        for together in pieces(others) {
            let _ = self.inbox.send(together).await;
        }
        for together in pieces(first) {
            let _ = self.send_first(together).await;
        }
        let mut results = Vec::with_capacity(answers.len());
        for answered in answers {
            results.push(answered.await.unwrap_or(Err(Lost::Stopping)));
        }
        results
    }

    /// What came of an effect: recorded in the transaction that takes the effect out of the outbox.
    pub async fn settle(&self, effect: &str, outcome: Option<Command>) -> Result<Answer, Lost> {
        let Some(command) = outcome else {
            return self.send(Work::End(Ends::Effect(effect.to_owned()))).await;
        };
        let request =
            Box::new(Request { id: format!("effect/{effect}"), by: Actor::Neighbour, command });
        let ends = Ends::Effect(effect.to_owned());
        self.send(Work::Request { request, said: None, ends }).await
    }

    fn asked(&self, work: Work) -> (Asked, oneshot::Receiver<Result<Answer, Lost>>) {
        let (answer, answered) = oneshot::channel();
        let nth = self.inner.asked.fetch_add(1, Ordering::Relaxed);
        (Asked { nth, work, answer }, answered)
    }

    async fn send(&self, work: Work) -> Result<Answer, Lost> {
        let goes_first = work.goes_first();
        let (asked, answered) = self.asked(work);
        match goes_first {
            true => self.send_first(vec![asked]).await,
            false => self.inbox.send(vec![asked]).await,
        }
        .map_err(|_| Lost::Stopping)?;
        let answer = answered.await.map_err(|_| Lost::Stopping)?;
        if !goes_first {
            self.stand_aside().await;
        }
        answer
    }

    async fn send_first(&self, asked: Vec<Asked>) -> Result<(), SendError<Vec<Asked>>> {
        if asked.iter().any(|asked| asked.work.clears_the_way()) {
            self.inner.way.clear();
        }
        self.first.send(asked).await
    }

    /// For a moment, if a rollback is on its way: whoever does something that can wait asks before it.
    pub(super) async fn stand_aside(&self) {
        self.inner.way.stand_aside().await;
    }

    /// The committed state as it is now. Whoever still has it when the next commit comes costs that a
    /// copy of the map of releases.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.published())
    }

    /// A release of any age: from memory, or, where it was filed away, from the log.
    pub async fn release(&self, id: &ReleaseId) -> anyhow::Result<Option<Arc<Release>>> {
        let house = {
            let state = self.state();
            let known = state.releases.get(id).cloned();
            if known.is_some() || !state.filed.contains(id) {
                return Ok(known);
            }
            state.house.clone()
        };
        replay::release(self.inner.store.reader(), id, house).await
    }

    /// The committed state and the entry up to which it adds up.
    pub fn still(&self) -> (Arc<State>, Head) {
        let state = self.inner.published();
        let head = *self.inner.published_head.lock().expect("never held in a panic");
        (Arc::clone(&state), head)
    }

    /// How many entries a start would have to add to the last snapshot.
    pub fn since_snapshot(&self) -> u64 {
        self.inner.store.head().seq - self.inner.snapshot.load(Ordering::Relaxed)
    }

    pub fn snapshot_taken(&self, head: Head) {
        self.inner.snapshot.store(head.seq, Ordering::Relaxed);
    }

    /// Whether it started from a snapshot that is still to be proven, or took one since.
    pub fn has_snapshot(&self) -> bool {
        self.inner.snapshot.load(Ordering::Relaxed) > 0
    }

    /// Every entry again, from the first one on: what a snapshot stands for was not looked at when
    /// we started.
    pub async fn prove_past(&self) -> anyhow::Result<Finding> {
        let snapshot = self.inner.store.snapshot(replay::SHAPE);
        replay::prove(self.inner.store.reader(), None, snapshot.as_ref()).await
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Never behind the log.
    pub fn now(&self) -> Time {
        let now = self.inner.clock.now();
        self.state().last_at.map_or(now, |last| last.max(now))
    }

    /// What is wrong while the clock stands behind the log.
    pub fn behind(&self) -> Option<String> {
        let last = self.state().last_at?;
        super::clock::behind(last, self.inner.clock.now())
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Where the log ends, whenever something was committed.
    pub fn commits(&self) -> watch::Receiver<Head> {
        self.inner.committed.subscribe()
    }

    /// Who does what the commits ask for, from now on. It holds no handle on us: we would never end.
    pub fn followed_by(&self, follower: impl Fn(Wanted) + Send + 'static) {
        *self.inner.follower.lock().expect("no follower panics") = Some(Box::new(follower));
    }

    pub fn next_due(&self) -> Option<Due> {
        let scope = self.scopes_in_order(None, 1).pop()?;
        let next = agenda::next(&self.state(), &scope)?;
        Some(due(scope, next))
    }

    /// What is due by now, the earliest first.
    pub fn due(&self, now: Time, most: usize) -> Vec<Due> {
        let listed = self.listed(Some(now), most);
        listed.into_iter().map(|(scope, next)| due(scope, next)).collect()
    }

    /// The next deadlines of every scope, the earliest first.
    pub fn agenda(&self, most: usize) -> Vec<(Scope, agenda::Due)> {
        self.listed(None, most)
    }

    /// The first deadlines of all are among those of the scopes whose first ones are the earliest.
    fn listed(&self, until: Option<Time>, most: usize) -> Vec<(Scope, agenda::Due)> {
        let scopes = self.scopes_in_order(until, most);
        let state = self.state();
        let mut listed = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let early = agenda::until(&state, &scope, until.unwrap_or(Time::MAX_UTC)).into_iter();
            listed.extend(early.map(|due| (scope.clone(), due)));
        }
        listed
            .sort_by(|(a, one), (b, other)| (one.at, a, &one.key).cmp(&(other.at, b, &other.key)));
        listed.truncate(most);
        listed
    }

    fn scopes_in_order(&self, until: Option<Time>, most: usize) -> Vec<Scope> {
        let index = self.inner.agenda.lock().expect("never held in a panic");
        index.scopes(until, most)
    }

    pub async fn agenda_changed(&self) {
        self.inner.agenda_changed.notified().await;
    }

    /// A deadline stays due although it was decided: something is wrong with the rules.
    pub fn set_stuck(&self, stuck: bool) {
        self.inner.stuck.store(stuck, Ordering::Relaxed);
    }

    pub fn is_stuck(&self) -> bool {
        self.inner.stuck.load(Ordering::Relaxed)
    }

    /// Requests decided and refused since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.inner.decided.load(Ordering::Relaxed), self.inner.refused.load(Ordering::Relaxed))
    }
}

/// The id is the same however often it is asked.
fn due(scope: Scope, due: agenda::Due) -> Due {
    let scope_name = match &scope {
        Scope::Release(id) => format!("release/{id}"),
        Scope::Freeze(id) => format!("freeze/{id}"),
        Scope::Flag(id) => format!("flag/{id}"),
    };
    let id = format!("clock/{scope_name}/{}/{}", due.key, due.at.to_rfc3339());
    Due { id, scope, due }
}

/// What may share a commit.
fn pieces(asked: Vec<Asked>) -> impl Iterator<Item = Vec<Asked>> {
    let mut asked = asked.into_iter();
    std::iter::from_fn(move || {
        let piece: Vec<_> = asked.by_ref().take(TOGETHER).collect();
        (!piece.is_empty()).then_some(piece)
    })
}

struct Writer {
    inner: Arc<Inner>,
    /// Ahead of what is published by what is being decided.
    draft: State,
}

/// What a batch has come to, before it is committed.
#[derive(Default)]
struct Drafted {
    batch: Batch,
    wanted: Wanted,
    touched: BTreeSet<ReleaseId>,
    scopes: BTreeSet<Scope>,
    policy: bool,
    answers: Vec<(oneshot::Sender<Result<Answer, Lost>>, Answer)>,
    /// What each new entry came from, for the operator's log.
    notes: Vec<(u64, String, Event)>,
    in_batch: HashMap<String, usize>,
    /// Which cards are wanted already.
    wished: HashSet<String>,
    /// What was said under each id, before this batch or in it.
    said: HashMap<String, Hash>,
}

async fn write(mut writer: Writer, mut queues: Queues) {
    let inner = Arc::clone(&writer.inner);
    loop {
        let wrote = tokio::select! {
            together = queues.next() => match together {
                None => return,
                Some(together) => writer.batch(together, &mut queues).await,
            },
            // A claim of an effect or a row of the inbox can be the first to hear it.
            () = inner.store.doubted() => Err(Unsure),
        };
        if let Err(Unsure) = wrote {
            error!("nobody can tell what is on the disk: I end, to start again from the file");
            let _ = tokio::time::timeout(LAST_WORDS, queues.turn_away()).await;
            // Never retry an fsync: what the kernel has dropped it will not write.
            std::process::exit(70);
        }
    }
}

/// Who waits for the writer.
struct Queues {
    asked: mpsc::Receiver<Vec<Asked>>,
    first: mpsc::Receiver<Vec<Asked>>,
    /// Taken out of `asked` and not decided yet.
    left: Vec<Asked>,
    /// Several have shared the last commit.
    crowd: bool,
    way: Arc<Way>,
}

/// Who shares a commit.
struct Together {
    asked: Vec<Asked>,
    /// So many are decided, whoever comes meanwhile.
    at_least: usize,
}

impl Queues {
    /// All who go first, and few beside them; else many. None when nobody can ask any more.
    async fn next(&mut self) -> Option<Together> {
        let mut first = Vec::new();
        if self.first.is_empty() && self.left.is_empty() {
            tokio::select! {
                biased;
                Some(came) = self.first.recv() => first.extend(came),
                // Both queues end at once, when the last handle goes.
                came = self.asked.recv() => self.left.extend(came?),
            }
        }
        if first.is_empty() {
            self.stand_aside(&mut first).await;
        }
        if self.crowd && first.is_empty() && self.left.len() < BATCH {
            tokio::select! {
                biased;
                Some(came) = self.first.recv() => first.extend(came),
                () = tokio::time::sleep(GATHER) => {}
            }
        }
        while let Ok(more) = self.first.try_recv() {
            first.extend(more);
        }
        let most = if first.is_empty() { TOGETHER } else { FAIR };
        if !first.is_empty() {
            self.take_along(&mut first);
        }
        while self.left.len() < BATCH
            && let Ok(more) = self.asked.try_recv()
        {
            self.left.extend(more);
        }
        let at_least = first.len() + FAIR;
        first.extend(self.left.drain(..self.left.len().min(most)));
        self.crowd = first.len() > 1;
        Some(Together { asked: first, at_least })
    }

    /// While a rollback is on its way nothing is decided that can wait, but with what goes first. Who asks
    /// meanwhile is heard, so that nothing overtakes what was asked of its release before.
    async fn stand_aside(&mut self, first: &mut Vec<Asked>) {
        let way = Arc::clone(&self.way);
        let mut clear = std::pin::pin!(way.stand_aside());
        loop {
            tokio::select! {
                biased;
                Some(came) = self.first.recv() => return first.extend(came),
                () = &mut clear => return,
                Some(came) = self.asked.recv(), if self.left.len() < TOGETHER => {
                    self.left.extend(came);
                }
            }
        }
    }

    /// **Invariant:** what is asked of one release, or of the house, is decided in the order in which
    /// it was asked: a stop that overtook an earlier `resume` would be lifted by it.
    fn take_along(&mut self, first: &mut Vec<Asked>) {
        while let Ok(more) = self.asked.try_recv() {
            self.left.extend(more);
        }
        let last = first.iter().map(|asked| asked.nth).max().unwrap_or_default();
        let releases: HashSet<_> = first.iter().filter_map(|asked| asked.work.release()).collect();
        let goes_along = |asked: &Asked| {
            let of_them = match asked.work.release() {
                Some(release) => releases.contains(release),
                None => matches!(asked.work, Work::Request { .. }),
            };
            of_them && asked.nth < last
        };
        let (along, left) = std::mem::take(&mut self.left).into_iter().partition(goes_along);
        self.left = left;
        first.extend::<Vec<_>>(along);
        first.sort_by_key(|asked| asked.nth);
    }

    /// The answers are still on their way out of this process; who comes meanwhile is told, too.
    async fn turn_away(&mut self) {
        let tell = |late: Asked| drop(late.answer.send(Err(Lost::Stopping)));
        self.left.drain(..).for_each(tell);
        loop {
            let late = tokio::select! {
                late = self.asked.recv() => late,
                late = self.first.recv() => late,
            };
            let Some(late) = late else { return };
            late.into_iter().for_each(tell);
        }
    }
}

/// These releases as they are in the other state, or as they are there no more.
fn take_over(into: &mut State, from: &State, touched: &BTreeSet<ReleaseId>) {
    for id in touched {
        match from.releases.get(id) {
            Some(release) => drop(into.releases.insert(id.clone(), release.clone())),
            None => drop(into.releases.remove(id)),
        }
    }
}

/// Only a new start can tell what is on the disk.
struct Unsure;

impl Writer {
    async fn batch(&mut self, together: Together, queues: &mut Queues) -> Result<(), Unsure> {
        let Together { asked, at_least } = together;
        let inner = Arc::clone(&self.inner);
        let (turn, Known { answered, said }) = match known(&inner.store, &asked).await {
            Ok(known) => known,
            Err(why) => {
                let lost = Lost::NotRecorded(why.to_string());
                asked.into_iter().for_each(|a| drop(a.answer.send(Err(lost.clone()))));
                return Ok(());
            }
        };
        let mut drafted = Drafted { said, ..Drafted::default() };
        let mut again = Vec::new();
        let mut asked = asked.into_iter();
        while let Some(Asked { work, answer, .. }) = asked.next() {
            match work {
                Work::End(ends) => {
                    drafted.end(ends);
                    drafted.answers.push((answer, Answer { events: vec![], repeated: false }));
                }
                Work::Request { mut request, said, ends } => {
                    drafted.end(ends);
                    let taken = said.filter(|said| drafted.is_taken(&request.id, said));
                    let first_id = taken.map(|said| {
                        let own = id_of_its_own(&request.id, &said);
                        std::mem::replace(&mut request.id, own)
                    });
                    if let Some(entries) = answered.get(&request.id) {
                        drafted.answers.push((answer, repeated(entries)));
                    } else if let Some(first) = drafted.in_batch.get(&request.id) {
                        again.push((answer, *first));
                    } else {
                        self.decide(&mut drafted, &request, first_id, answer);
                        drafted.keep_said(&request.id, said.filter(|_| taken.is_none()));
                    }
                }
            }
            if drafted.answers.len() >= at_least && !queues.first.is_empty() {
                queues.left.splice(0..0, asked);
                break;
            }
        }
        for (answer, first) in again {
            let same = Answer { repeated: true, ..drafted.answers[first].1.clone() };
            drafted.answers.push((answer, same));
        }
        self.commit(drafted, turn).await
    }

    /// `taken` is the id under which something else was said before.
    fn decide(
        &mut self,
        drafted: &mut Drafted,
        request: &Request,
        taken: Option<String>,
        answer: oneshot::Sender<Result<Answer, Lost>>,
    ) {
        let now = self.inner.clock.now();
        let now = micros(self.draft.last_at.map_or(now, |last| last.max(now)));
        let mut events = Vec::new();
        let decided = match taken {
            Some(id) => {
                vec![refused(&self.draft, &request.command, Refusal::IdTaken { id })]
            }
            None => decide(&self.draft, request, now),
        };
        for event in decided {
            self.draft.evolve(&event, now);
            let seq = self.inner.store.head().seq + drafted.batch.entries.len() as u64 + 1;
            drafted.touch(&event);
            let flags = registry::scopes(&self.draft, &event).into_iter();
            drafted.scopes.extend(flags.map(Scope::Flag));
            if event.moves_freezes() {
                let waiting = self.draft.releases.values().filter(|r| r.phase.is_before_deploy());
                drafted.touched.extend(waiting.map(|release| release.id.clone()));
            }
            drafted.batch.entries.push(entry(request, &event, now));
            for (n, effect) in react(&self.draft, &event, now).into_iter().enumerate() {
                drafted.effect(seq, n, &effect);
            }
            drafted.notes.push((seq, request.id.clone(), event.clone()));
            events.push((seq, event));
        }
        self.inner.decided.fetch_add(1, Ordering::Relaxed);
        drafted.in_batch.insert(request.id.clone(), drafted.answers.len());
        drafted.answers.push((answer, Answer { events, repeated: false }));
    }

    async fn commit(&mut self, drafted: Drafted, turn: Turn<'_>) -> Result<(), Unsure> {
        match turn.commit(&drafted.batch).await {
            Ok(_) => self.publish(drafted).await,
            Err(CommitError::NotRecorded(why)) => {
                error!(%why, "a batch was not recorded, and nothing changed: {why}");
                self.discard(&drafted);
                let lost = Lost::NotRecorded(why);
                drafted.answers.into_iter().for_each(|(a, _)| drop(a.send(Err(lost.clone()))));
            }
            Err(CommitError::Uncertain(why)) => {
                error!(%why, "cannot tell what was recorded, starting again from the file: {why}");
                let lost = Lost::CannotTell(why);
                drafted.answers.into_iter().for_each(|(a, _)| drop(a.send(Err(lost.clone()))));
                return Err(Unsure);
            }
        }
        Ok(())
    }

    /// The draft goes back to what readers see.
    fn discard(&mut self, drafted: &Drafted) {
        let published = self.inner.published();
        self.draft.house = published.house.clone();
        self.draft.last_at = published.last_at;
        self.draft.filed = published.filed.clone();
        take_over(&mut self.draft, &published, &drafted.touched);
    }

    async fn publish(&self, mut drafted: Drafted) {
        {
            let mut published = self.inner.published.write().expect("readers do not panic");
            let published = Arc::make_mut(&mut published);
            published.house = self.draft.house.clone();
            published.last_at = self.draft.last_at;
            published.filed = self.draft.filed.clone();
            take_over(published, &self.draft, &drafted.touched);
            *self.inner.published_head.lock().expect("held by nobody else") =
                self.inner.store.head();
        }
        self.renew_agenda(&drafted);
        drafted.wanted.cards = drafted.batch.cards;
        let is_urgent = !drafted.wanted.urgent.is_empty();
        // Before the answers, so that whoever has one can wait until its effects are done.
        if let Some(follower) = &*self.inner.follower.lock().expect("no follower panics") {
            follower(drafted.wanted);
        }
        self.inner.committed.send_replace(self.inner.store.head());
        for (answer, answered) in drafted.answers {
            let _ = answer.send(Ok(answered));
        }
        if is_urgent {
            self.inner.store.write_waiting().await;
        }
        for (seq, request, event) in &drafted.notes {
            self.note(*seq, request, event);
        }
    }

    fn renew_agenda(&self, drafted: &Drafted) {
        let mut index = self.inner.agenda.lock().expect("never held in a panic");
        if drafted.policy {
            index.rebuild(&self.draft);
        } else {
            for scope in &drafted.scopes {
                index.renew(&self.draft, scope);
            }
        }
        drop(index);
        self.inner.agenda_changed.notify_one();
    }

    fn note(&self, seq: u64, request: &str, event: &Event) {
        let (name, release) = name_of(event);
        if name == "refused" {
            self.inner.refused.fetch_add(1, Ordering::Relaxed);
        }
        if name == "already-so" {
            // Clicks that come too late come in crowds, and have changed nothing.
            debug!(log.seq = seq, request.id = request, "#{seq} {name} {release}");
            return;
        }
        info!(log.seq = seq, request.id = request, release.id = release, "#{seq} {name} {release}");
    }
}

/// The event's name as it stands in the log, and the release that it is about.
pub(super) fn name_of(event: &Event) -> (&str, String) {
    match event {
        Event::Release { release, did } => (did.name(), release.to_string()),
        Event::Begun { .. } => ("begun", String::new()),
        Event::PolicyAdopted { .. } => ("policy-adopted", String::new()),
        Event::ClockJumped { .. } => ("clock-jumped", String::new()),
        Event::ClockLeapt { .. } => ("clock-leapt", String::new()),
        Event::SnapshotTaken { .. } => ("snapshot-taken", String::new()),
        Event::Refused { .. } => ("refused", String::new()),
        Event::AlreadySo { .. } => ("already-so", String::new()),
        Event::FreezeAdded { .. } => ("freeze-added", String::new()),
        Event::FreezeLifted { .. } => ("freeze-lifted", String::new()),
        Event::FreezeEnded { .. } => ("freeze-ended", String::new()),
        Event::Welcomed { .. } => ("welcomed", String::new()),
        Event::Locked { .. } => ("locked", String::new()),
        Event::Unlocked { .. } => ("unlocked", String::new()),
        Event::Flag { did, .. } => (did.name(), String::new()),
        Event::GateTurnedAway { .. } => ("gate-turned-away", String::new()),
    }
}

impl Work {
    fn goes_first(&self) -> bool {
        match self {
            Self::Request { request, .. } => request.command.goes_first(),
            Self::End(_) => false,
        }
    }

    fn clears_the_way(&self) -> bool {
        match self {
            Self::Request { request, .. } => request.command.clears_the_way(),
            Self::End(_) => false,
        }
    }

    fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Request { request, .. } => request.command.release(),
            Self::End(_) => None,
        }
    }

    fn of(request: Request) -> Self {
        Self::Request { request: Box::new(request), said: None, ends: Ends::Nothing }
    }
}

/// What is known of requests, by their ids.
struct Known {
    /// The entries that they have left.
    answered: HashMap<String, Vec<Entry>>,
    /// What was said under them.
    said: HashMap<String, Hash>,
}

/// What these requests have left before, and the turn to decide them.
async fn known<'s>(store: &'s Store, asked: &[Asked]) -> Result<(Turn<'s>, Known), ReadError> {
    let (mut ids, mut bound) = (Vec::with_capacity(asked.len()), Vec::new());
    for asked in asked {
        let Work::Request { request, said, .. } = &asked.work else { continue };
        if let Some(said) = said {
            bound.push(request.id.clone());
            ids.push(id_of_its_own(&request.id, said));
        }
        ids.push(request.id.clone());
    }
    // Before the turn: readers may all be busy for long.
    let said = store.asked(&bound).await?;
    let mut turn = store.turn().await;
    let answered = turn.answered(&ids).await?;
    Ok((turn, Known { answered, said }))
}

/// Under which the other words are refused: the same each time, so that one entry tells it.
fn id_of_its_own(id: &str, said: &Hash) -> String {
    format!("{id}#{said:.16}")
}

impl Drafted {
    fn is_taken(&self, id: &str, said: &Hash) -> bool {
        self.said.get(id).is_some_and(|first| first != said)
    }

    /// Kept beside the entries that it left, if any.
    fn keep_said(&mut self, id: &str, said: Option<Hash>) {
        let Some(said) = said else { return };
        self.said.insert(id.to_owned(), said);
        if self.answers.last().is_some_and(|(_, answer)| !answer.events.is_empty()) {
            self.batch.asked.push(Saying { request: id.to_owned(), said });
        }
    }

    fn touch(&mut self, event: &Event) {
        match event {
            Event::Release { release, .. } => {
                self.touched.insert(release.clone());
                self.scopes.insert(Scope::Release(release.clone()));
            }
            Event::FreezeAdded { id, .. }
            | Event::FreezeLifted { id, .. }
            | Event::FreezeEnded { id } => drop(self.scopes.insert(Scope::Freeze(id.clone()))),
            Event::PolicyAdopted { .. } => self.policy = true,
            Event::Begun { .. }
            | Event::ClockJumped { .. }
            | Event::ClockLeapt { .. }
            | Event::SnapshotTaken { .. }
            | Event::Refused { .. }
            | Event::AlreadySo { .. }
            | Event::Welcomed { .. }
            | Event::Locked { .. }
            | Event::Unlocked { .. }
            | Event::Flag { .. }
            | Event::GateTurnedAway { .. } => {}
        }
    }

    fn end(&mut self, ends: Ends) {
        match ends {
            Ends::Nothing => {}
            Ends::Effect(key) => self.batch.settled.push(key),
            Ends::Kept(id) => self.batch.decided.push(id),
        }
    }

    fn effect(&mut self, seq: u64, n: usize, effect: &Effect) {
        if let Effect::Refresh { card } = effect {
            let key = serde_json::to_string(card).expect("a card is plain data");
            if self.wished.insert(key.clone()) {
                self.batch.cards.push(CardWish { key, lane: effect.lane() });
            }
            return;
        }
        let key = format!("{seq}.{n}");
        let text = serde_json::to_string(effect).expect("an effect is plain data");
        let lane = effect.lane();
        let new = NewEffect { key, lane, seq, effect: text };
        let wanted = &mut self.wanted;
        let queue = if effect.is_urgent() { &mut wanted.urgent } else { &mut wanted.effects };
        queue.push(waiting(&new));
        self.batch.effects.push(new);
    }
}

fn waiting(new: &NewEffect) -> Waiting {
    Waiting {
        key: new.key.clone(),
        lane: new.lane.clone(),
        seq: new.seq,
        state: crate::store::Delivery::Pending,
        tries: 0,
        due_at: None,
        last_failure: None,
        effect: new.effect.clone(),
    }
}

fn repeated(entries: &[Entry]) -> Answer {
    let events = entries.iter().filter_map(|entry| Some((entry.seq, event_of(entry).ok()?)));
    Answer { events: events.collect(), repeated: true }
}

fn entry(request: &Request, event: &Event, at: Time) -> NewEntry {
    NewEntry {
        at,
        actor: serde_json::to_string(&request.by).expect("an actor is plain data"),
        request: request.id.clone(),
        release: event.of_release().map(|(release, _)| release.to_string()),
        schema: SCHEMA,
        event: serde_json::to_string(event).expect("an event is plain data"),
    }
}

/// As precise as the log: what is decided must replay to the same instant.
fn micros(at: Time) -> Time {
    use chrono::SubsecRound;
    at.trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::poll;
    use tokio::time::Instant;

    use super::*;

    fn asked(nth: u64) -> Asked {
        Asked { nth, work: Work::End(Ends::Nothing), answer: oneshot::channel().0 }
    }

    /// Who shares a commit, if one has asked and another does while the queues are looked at.
    async fn together(crowd: bool, goes_first: bool) -> Vec<u64> {
        let ((inbox, others), (first, going_first)) = (mpsc::channel(8), mpsc::channel(8));
        let (left, way) = (Vec::new(), Arc::default());
        let mut queues = Queues { asked: others, first: going_first, left, crowd, way };
        inbox.send(vec![asked(1)]).await.expect("there is room");
        let other = if goes_first { first.clone() } else { inbox.clone() };
        let next = tokio::join!(queues.next(), async {
            other.send(vec![asked(2)]).await.expect("there is room");
        });
        let next = next.0.expect("somebody may still ask");
        assert_eq!(queues.crowd, next.asked.len() > 1);
        next.asked.iter().map(|asked| asked.nth).collect()
    }

    #[tokio::test]
    async fn a_crowd_shares_a_commit_and_who_comes_alone_does_not_wait() {
        assert_eq!(together(false, false).await, [1]);
        assert_eq!(together(true, false).await, [1, 2]);
        assert_eq!(together(true, true).await, [2, 1], "ahead, and at once");
    }

    #[tokio::test]
    async fn while_a_rollback_is_on_its_way_nothing_is_decided_that_can_wait() {
        let ((inbox, others), (first, going_first)) = (mpsc::channel(8), mpsc::channel(8));
        let (left, way) = (Vec::new(), Arc::<Way>::default());
        way.clear_at(Instant::now() + Duration::from_secs(600));
        let mut queues = Queues { asked: others, first: going_first, left, crowd: false, way };
        let together = {
            let mut next = std::pin::pin!(queues.next());
            for nth in [1, 2] {
                inbox.send(vec![asked(nth)]).await.expect("there is room");
                assert!(poll!(&mut next).is_pending(), "it stands aside");
            }
            first.send(vec![asked(3)]).await.expect("there is room");
            next.await.expect("somebody may still ask")
        };
        let order: Vec<_> = together.asked.iter().map(|asked| asked.nth).collect();
        assert_eq!(order, [3, 1, 2]);
    }
}
