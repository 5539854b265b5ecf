//! Slack: the Web API to speak, Socket Mode or signed HTTP to listen.
//!
//! **Invariant:** it carries messages and does not know what they are about. What it keeps in
//! memory only saves calls; all that must outlive the process is in Slack itself (a message's key
//! in its metadata, a channel's in its purpose) or with whoever asks.

mod api;
mod doctor;
mod groups;
mod listen;
mod people;
mod render;
mod rests;
mod rooms;
mod settings;
mod talk;
mod upload;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::OnceCell;

use self::api::{Api, Twice, text};
pub use self::listen::Listener;
pub use self::settings::{API_URL, Mode, SlackSettings};
pub use super::finding::Finding;
pub use super::hidden::Hidden;
use super::recent::Recent;
use crate::ports::{
    Chat, Directory, Failure, Message, MessageRef, Place, Room, RoomWish, Standing, Whisper,
};

/// Libraries that must not log, whatever an operator asks for: they write down addresses that hold
/// the ticket of a line, headers with tokens and whole frames. What goes wrong is logged here.
pub const UNHEARD: [&str; 4] = ["slack_morphism", "tungstenite", "tokio_tungstenite", "h2"];

/// As many keys and conversations as one process has to remember.
const REMEMBERED: usize = 10_000;

/// The platform. Cloning the `Arc` around it is how the sender and the listener share it.
pub struct Slack {
    settings: SlackSettings,
    api: Arc<Api>,
    identity: OnceCell<Identity>,
    /// What was said under which key, and how much of it.
    said: Mutex<Recent<(String, String), Said>>,
    /// The private conversation with each person.
    private: Mutex<Recent<String, String>>,
    /// The channel under each key.
    rooms: Mutex<Recent<String, Room>>,
    /// Who is in each user group, for a minute.
    groups: Mutex<Recent<String, groups::Seen>>,
    /// Whom of a group we have asked into which channel.
    invited: Mutex<Recent<(String, String), ()>>,
}

/// Who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    team: String,
    user: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    at: MessageRef,
    /// How many of its parts are there.
    parts: usize,
}

impl Slack {
    pub fn new(settings: SlackSettings) -> anyhow::Result<Arc<Self>> {
        settings.check()?;
        let api = Arc::new(Api::new(&settings)?);
        Ok(Arc::new(Self {
            settings,
            api,
            identity: OnceCell::new(),
            said: Mutex::new(Recent::new(REMEMBERED)),
            private: Mutex::new(Recent::new(REMEMBERED)),
            rooms: Mutex::new(Recent::new(REMEMBERED)),
            groups: Mutex::new(Recent::new(REMEMBERED)),
            invited: Mutex::new(Recent::new(REMEMBERED)),
        }))
    }

    /// Asked once. A token of another workspace says nothing at all, rather than in the wrong one.
    async fn identity(&self) -> Result<&Identity, Failure> {
        self.identity.get_or_try_init(|| self.ask_identity()).await
    }

    async fn ask_identity(&self) -> Result<Identity, Failure> {
        let what = "Slack does not say who we are";
        let answer = self.api.call("auth.test", &api::nothing()).await;
        let answer = answer.map_err(|fault| fault.failure(what, Twice::Harmless))?;
        let team = text(&answer, "/team_id").to_owned();
        // One token of an organisation serves all its workspaces.
        let organisation = text(&answer, "/enterprise_id");
        let wanted = &self.settings.tenant;
        if team != *wanted && organisation != wanted {
            return Err(Failure::no_entry(format!(
                "The bot token belongs to the workspace {team}, and [slack] team is {wanted}: \
                 correct one of them"
            )));
        }
        match &self.settings.enterprise {
            Some(wanted) if organisation != wanted => {
                let theirs = if organisation.is_empty() { "no organisation" } else { organisation };
                return Err(Failure::permanent(format!(
                    "The bot token belongs to {theirs}, and [slack] enterprise is {wanted}: \
                     correct one of them"
                )));
            }
            Some(_) | None => {}
        }
        Ok(Identity { team, user: text(&answer, "/user_id").to_owned() })
    }

    /// The id of the private conversation with somebody.
    async fn private(&self, user: &str) -> Result<String, Failure> {
        if let Some(known) = lock(&self.private).get(user) {
            return Ok(known.clone());
        }
        let what = "The private conversation cannot be opened";
        let answer = self.api.call("conversations.open", &json!({"users": user})).await;
        let answer = answer.map_err(|fault| fault.failure(what, Twice::Harmless))?;
        let id = text(&answer, "/channel/id").to_owned();
        if id.is_empty() {
            return Err(Failure::transient(format!("{what}: Slack names none")));
        }
        lock(&self.private).insert(user.to_owned(), id.clone());
        Ok(id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in Slack: a channel, or a thread in one, written `C123:1699.42`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot<'a> {
    channel: &'a str,
    thread: Option<&'a str>,
}

impl<'a> Spot<'a> {
    fn of(id: &'a str) -> Self {
        match id.split_once(':') {
            Some((channel, thread)) => Self { channel, thread: Some(thread) },
            None => Self { channel: id, thread: None },
        }
    }

    fn ground(&self) -> render::Ground {
        match self.thread {
            Some(_) => render::Ground::ThreadRoom,
            None => render::Ground::Channel,
        }
    }
}

#[async_trait]
impl Chat for Slack {
    async fn post(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure> {
        self.say(place, key, message).await
    }

    async fn find(&self, place: &Place, key: &str) -> Result<Option<MessageRef>, Failure> {
        self.look_for(place, key).await
    }

    async fn carry_on(&self, at: &MessageRef, key: &str, message: &Message) -> Result<(), Failure> {
        self.say_the_rest(at, key, message).await
    }

    fn lag(&self) -> Duration {
        self.settings.lag
    }

    async fn edit(&self, at: &MessageRef, message: &Message) -> Result<(), Failure> {
        self.say_instead(at, message).await
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
        self.answer_one(to, message).await
    }
}

#[async_trait]
impl Directory for Slack {
    async fn standing(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure> {
        self.look_up(tenant, user, groups).await
    }

    async fn place(&self, tenant: &str, id: &str) -> Result<Option<String>, Failure> {
        self.channel_name(tenant, id).await
    }
}
