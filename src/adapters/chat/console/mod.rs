//! The local console: a whole chat platform in one web page and one file.
//!
//! It has channels, rooms, private messages, buttons, forms and a slash command, as the big ones
//! have, and it is as strict as they are. What was said is in a journal, so that it is still there
//! after a crash. **Invariant:** it carries messages and does not know what they are about.

mod board;
mod guard;
mod journal;
mod pages;
mod rules;
mod settings;
mod view;
mod web;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use axum::Router;
use tokio::sync::broadcast;

use self::board::{Board, Entry, Fact};
use self::journal::Journal;
use self::pages::Pages;
pub use self::settings::{Access, Channel, Clock, ConsoleSettings, Person, may_listen};
use crate::ports::{Chat, Ear, Failure, Message, MessageRef, Place, Room, RoomWish, Whisper};

/// How many changes a page may be behind before it is told to load everything again.
const BEHIND: usize = 1024;

/// The platform. Cloning the `Arc` around it is how the sender and the web server share it.
pub struct Console {
    desk: Arc<Desk>,
}

/// The one place where things are written. Readers never wait for the disk: the journal has its own
/// lock, which writers hold from the decision to the change.
struct Desk {
    settings: ConsoleSettings,
    journal: Mutex<Journal>,
    board: RwLock<Board>,
    signals: broadcast::Sender<Signal>,
    pages: Pages,
    closed: AtomicBool,
}

/// What a listening page is woken by.
#[derive(Clone)]
enum Signal {
    Changed(Arc<Entry>),
    Closed,
}

impl Console {
    /// Opens the journal, or begins one, and replays it.
    pub fn open(journal: &Path, settings: ConsoleSettings) -> anyhow::Result<Arc<Self>> {
        settings.check()?;
        let (journal, entries) = Journal::open(journal)?;
        let mut board = Board::new(&settings, journal.id());
        for entry in entries {
            board.apply(&Arc::new(entry));
        }
        let desk = Desk {
            settings,
            journal: Mutex::new(journal),
            board: RwLock::new(board),
            signals: broadcast::channel(BEHIND).0,
            pages: Pages::default(),
            closed: AtomicBool::new(false),
        };
        Ok(Arc::new(Self { desk: Arc::new(desk) }))
    }

    /// The page and what it talks to. What people do reaches `ear`.
    pub fn router(self: Arc<Self>, ear: Arc<dyn Ear>) -> Router {
        let router = web::router(Arc::clone(&self.desk), ear);
        self.guard(router)
    }

    /// Puts the console's checks of Host, Origin and content type, and its security headers, in
    /// front of other routes that the same page calls.
    pub fn guard(&self, router: Router) -> Router {
        guard::layer(router, &self.desk.settings.hosts)
    }

    /// Ends the pages' event streams, which would otherwise keep a server from stopping. The pages
    /// say that they lost the connection, and try again.
    pub fn close(&self) {
        self.desk.closed.store(true, Ordering::SeqCst);
        // An error means that nobody listens, which is as good.
        let _ = self.desk.signals.send(Signal::Closed);
    }

    /// Writes what `decide` wants, if anything, then reads the answer. On its own thread, so that
    /// neither a slow disk stops the others nor a dropped caller stops it half-way.
    async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Board) -> Result<Option<Fact>, Failure> + Send + 'static,
        answer: impl FnOnce(&Board) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let desk = Arc::clone(&self.desk);
        tokio::task::spawn_blocking(move || desk.change(decide, answer))
            .await
            .unwrap_or_else(|_| Err(Failure::unknown("the console broke off while writing")))
    }
}

impl Desk {
    fn change<T>(
        &self,
        decide: impl FnOnce(&Board) -> Result<Option<Fact>, Failure>,
        answer: impl FnOnce(&Board) -> T,
    ) -> Result<T, Failure> {
        let mut journal = lock(&self.journal);
        let wanted = decide(&self.read())?;
        if let Some(fact) = wanted {
            let entry = Entry { seq: self.read().seq() + 1, at: self.settings.now_ms(), fact };
            journal.append(&entry)?;
            self.publish(Arc::new(entry));
        }
        Ok(answer(&self.read()))
    }

    /// Under the board's lock, so that whoever reads the board and subscribes misses nothing.
    fn publish(&self, entry: Arc<Entry>) {
        let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
        board.apply(&entry);
        let _ = self.signals.send(Signal::Changed(entry));
    }

    fn read(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Chat for Console {
    async fn post(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure> {
        rules::check_message(message)?;
        let (place, key, message) = (place.clone(), key.to_owned(), message.clone());
        let (place_again, key_again) = (place.clone(), key.clone());
        let posted = self.change(
            move |board| board.post(&place, key, message),
            move |board| board.find(&place_again, &key_again),
        );
        posted.await??.ok_or_else(|| Failure::unknown("the message cannot be found"))
    }

    async fn find(&self, place: &Place, key: &str) -> Result<Option<MessageRef>, Failure> {
        self.desk.read().find(place, key)
    }

    async fn edit(&self, at: &MessageRef, message: &Message) -> Result<(), Failure> {
        rules::check_message(message)?;
        let (at, message) = (at.clone(), message.clone());
        self.change(move |board| board.edit(at, message), |_| ()).await
    }

    async fn pin(&self, at: &MessageRef) -> Result<(), Failure> {
        let at = at.clone();
        self.change(move |board| board.pin(at), |_| ()).await
    }

    async fn open_room(&self, wish: &RoomWish) -> Result<Room, Failure> {
        rules::check_topic(&wish.topic)?;
        rules::check_topic(&wish.purpose)?;
        let (mut wish, key) = (wish.clone(), wish.key.clone());
        wish.purpose = rules::purpose_with(&wish.purpose, &wish.links);
        let opened = self.change(move |board| board.open_room(wish), move |board| board.room(&key));
        opened.await?.ok_or_else(|| Failure::unknown("the room cannot be found"))
    }

    async fn set_topic(&self, channel: &str, topic: &str) -> Result<(), Failure> {
        rules::check_topic(topic)?;
        let (channel, topic) = (channel.to_owned(), topic.to_owned());
        self.change(move |board| board.set_topic(channel, topic), |_| ()).await
    }

    async fn invite(&self, channel: &str, members: &[String]) -> Result<(), Failure> {
        let (channel, members) = (channel.to_owned(), members.to_vec());
        self.change(move |board| board.invite(channel, members), |_| ()).await
    }

    async fn archive(&self, channel: &str) -> Result<(), Failure> {
        let channel = channel.to_owned();
        self.change(move |board| board.archive(channel), |_| ()).await
    }

    async fn whisper(&self, to: &Whisper, message: &Message) -> Result<(), Failure> {
        // Each answer is its own: the number of the change that it comes after names it.
        let key = format!("answer/{}", self.desk.read().seq());
        self.post(&Place::Person(to.user.clone()), &key, message).await.map(|_| ())
    }
}
