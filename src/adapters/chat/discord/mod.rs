//! Discord: REST to speak, the gateway or signed HTTP to listen.
//!
//! **Invariant:** it carries messages and does not know what they are about. What it keeps in
//! memory only saves calls; all that must outlive the process is in Discord itself (a message's
//! mark in its embed, a channel's in its topic) or, where Discord has no room for it, on the
//! [`shelf`].

mod api;
mod commands;
mod doctor;
mod listen;
mod people;
mod render;
mod rooms;
mod settings;
mod shelf;
mod talk;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use serde_json::json;
use serenity::http::Route;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use self::api::{Api, RENEW, Twice, id_at};
pub use self::commands::{Commands, Named};
pub use self::listen::Listener;
use self::people::Seen;
use self::rooms::Ground;
pub use self::settings::{API_URL, DiscordSettings, Mode, Registration};
use self::shelf::Shelf;
pub use super::finding::Finding;
pub use super::hidden::Hidden;
use super::recent::Recent;
use crate::ports::{
    Chat, Directory, Failure, Message, MessageRef, Place, Room, RoomWish, Standing, Whisper,
};

/// Libraries that must not log, whatever an operator asks for: serenity's spans and events hold the
/// bodies and the tokens of what it carries, and its WebSockets' library each frame. What goes wrong
/// is logged here.
pub const UNHEARD: [&str; 2] = ["serenity", "tungstenite"];

/// As many keys and conversations as one process has to remember.
const REMEMBERED: usize = 10_000;

/// The platform. Cloning the `Arc` around it is how the sender and the listener share it.
pub struct Discord {
    settings: DiscordSettings,
    api: Arc<Api>,
    commands: Commands,
    shelf: Shelf,
    /// The bot's user.
    user: OnceCell<u64>,
    /// What was said under which key, and how much of it.
    said: Mutex<Recent<(String, String), Said>>,
    /// The marks of our messages, which an edit must not lose.
    marks: Mutex<Recent<MessageRef, String>>,
    /// The private conversation with each person.
    private: Mutex<Recent<u64, u64>>,
    /// The room under each key.
    rooms: Mutex<Recent<String, Room>>,
    /// What kind of channel each is.
    grounds: Mutex<Recent<u64, Ground>>,
    /// Who asked something a moment ago, as Discord said with it.
    members: Mutex<Recent<u64, Seen>>,
    /// Why nobody lets us listen, while that is so.
    line: Mutex<Option<String>>,
    /// The handles whose first answer still says "thinking", each with a permit once it does.
    waiting: Mutex<Recent<String, Arc<Semaphore>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    at: MessageRef,
    /// How many of its parts are there.
    parts: usize,
}

impl Discord {
    pub fn new(settings: DiscordSettings, commands: Commands) -> anyhow::Result<Arc<Self>> {
        settings.check()?;
        let api = Arc::new(Api::new(&settings)?);
        let shelf = Shelf::open(&settings.buttons)
            .with_context(|| format!("reading {}", settings.buttons.display()))?;
        Ok(Arc::new(Self {
            settings,
            api,
            commands,
            shelf,
            user: OnceCell::new(),
            said: Mutex::new(Recent::new(REMEMBERED)),
            marks: Mutex::new(Recent::new(REMEMBERED)),
            private: Mutex::new(Recent::new(REMEMBERED)),
            rooms: Mutex::new(Recent::new(REMEMBERED)),
            grounds: Mutex::new(Recent::new(REMEMBERED)),
            members: Mutex::new(Recent::new(REMEMBERED)),
            line: Mutex::default(),
            waiting: Mutex::new(Recent::new(REMEMBERED)),
        }))
    }

    /// The bot's user id. Asked once.
    async fn user(&self) -> Result<u64, Failure> {
        let what = "Discord does not say who we are";
        let ask = || async {
            let answer = self.api.get(Route::UserMe).await;
            let answer = answer.map_err(|fault| fault.failure(what, Twice::Harmless))?;
            id_at(&answer, "/id").ok_or_else(|| Failure::transient(what))
        };
        self.user.get_or_try_init(ask).await.copied()
    }

    fn line_is_shut(&self, why: Option<String>) {
        *lock(&self.line) = why;
    }

    /// Something will be answered later, through this handle.
    fn will_answer(&self, handle: &str) {
        lock(&self.waiting).insert(handle.to_owned(), Arc::new(Semaphore::new(0)));
    }

    /// Discord knows that it will be.
    fn may_answer(&self, handle: &str) {
        if let Some(waiting) = lock(&self.waiting).get(handle) {
            waiting.add_permits(1);
        }
    }

    /// The private conversation with somebody.
    async fn private(&self, user: u64) -> Result<u64, Failure> {
        if let Some(known) = lock(&self.private).get(&user) {
            return Ok(*known);
        }
        let what = "The private conversation cannot be opened";
        let body = json!({"recipient_id": user.to_string()});
        let answer = self.api.post(Route::UserMeDmChannels, &body).await;
        let answer = answer.map_err(|fault| fault.failure(what, Twice::Harmless))?;
        let channel = id_at(&answer, "/id");
        let channel =
            channel.ok_or_else(|| Failure::transient(format!("{what}: Discord names none")))?;
        lock(&self.private).insert(user, channel);
        lock(&self.grounds).insert(channel, Ground::Private);
        Ok(channel)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Short, meaningless to others, and the same on each try.
fn hashed(parts: &[&str], digits: usize) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits].to_owned()
}

/// Between 0 and 1, so that what broke together does not come back together.
fn chance() -> f64 {
    getrandom::u32().map_or(1.0, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

#[async_trait]
impl Chat for Discord {
    async fn post(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure> {
        self.say(place, key, &self.commands.typed_here(message)).await
    }

    async fn find(&self, place: &Place, key: &str) -> Result<Option<MessageRef>, Failure> {
        self.look_for(place, key).await
    }

    async fn carry_on(&self, at: &MessageRef, key: &str, message: &Message) -> Result<(), Failure> {
        self.say_the_rest(at, key, &self.commands.typed_here(message)).await
    }

    fn lag(&self) -> Duration {
        self.settings.lag
    }

    fn shut_out(&self) -> Option<String> {
        match self.api.is_let_in() {
            true => lock(&self.line).clone(),
            false => Some(format!("Nothing gets through: {RENEW}")),
        }
    }

    async fn edit(&self, at: &MessageRef, message: &Message) -> Result<(), Failure> {
        self.say_instead(at, &self.commands.typed_here(message)).await
    }

    async fn pin(&self, at: &MessageRef) -> Result<(), Failure> {
        self.put_on_top(at).await
    }

    async fn open_room(&self, wish: &RoomWish) -> Result<Room, Failure> {
        self.room(wish).await
    }

    async fn set_topic(&self, channel: &str, topic: &str) -> Result<(), Failure> {
        self.write_topic(channel, topic).await
    }

    async fn invite(&self, channel: &str, members: &[String]) -> Result<(), Failure> {
        self.ask_in(channel, members).await
    }

    async fn archive(&self, channel: &str) -> Result<(), Failure> {
        self.close(channel).await
    }

    async fn whisper(&self, to: &Whisper, message: &Message) -> Result<(), Failure> {
        self.answer_one(to, &self.commands.typed_here(message)).await
    }
}

#[async_trait]
impl Directory for Discord {
    async fn standing(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure> {
        self.look_up(tenant, user, groups).await
    }

    fn at_hand(&self, tenant: &str, user: &str, groups: &[String]) -> Option<Standing> {
        self.just_seen(tenant, user, groups)
    }

    async fn place(&self, tenant: &str, id: &str) -> Result<Option<String>, Failure> {
        self.place_name(tenant, id).await
    }
}
