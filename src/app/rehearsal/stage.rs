//! The neighbours of a rehearsal: they write down what they were asked, and reach nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::Trouble;
use crate::app::clock::Clock;
use crate::app::markup;
use crate::domain::policy::Destination;
use crate::domain::state::State;
use crate::domain::time::Time;
use crate::ports::{
    Chat, Courier, Deployer, Failure, Letter, Line as OutputLine, Message, MessageRef, Outcome,
    Place, Ran, Receipt, Room, RoomWish, Run, Sighting, Whisper,
};

/// One line of the timeline: when, who or where, what.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    pub at: Time,
    pub place: String,
    pub text: String,
}

pub(super) struct Stage {
    clock: Clock,
    trouble: Trouble,
    lines: Mutex<Vec<Line>>,
    posted: Mutex<HashMap<String, MessageRef>>,
    hangs: AtomicBool,
    began: Notify,
}

impl Stage {
    pub(super) fn new(clock: Clock, trouble: Trouble) -> Self {
        Self {
            clock,
            trouble,
            lines: Mutex::default(),
            posted: Mutex::default(),
            hangs: AtomicBool::new(trouble == Trouble::Crash),
            began: Notify::new(),
        }
    }

    /// One rehearsed platform for each one that the policy speaks to.
    pub(super) fn chats(self: &Arc<Self>, state: &State) -> BTreeMap<String, Arc<dyn Chat>> {
        let policy = state.house.policy();
        let channels = policy.audiences.values().flatten().filter_map(|to| match to {
            Destination::Channel { platform, .. } => Some(platform.clone()),
            Destination::Courier { .. } => None,
        });
        let rooms = policy.rooms.iter().map(|home| home.platform.clone());
        channels.chain(rooms).map(|name| (name, self.clone() as Arc<dyn Chat>)).collect()
    }

    pub(super) fn couriers(self: &Arc<Self>, state: &State) -> BTreeMap<String, Arc<dyn Courier>> {
        let policy = state.house.policy();
        let kinds = policy.audiences.values().flatten().filter_map(|to| match to {
            Destination::Courier { kind, .. } => Some(kind.clone()),
            Destination::Channel { .. } => None,
        });
        kinds.map(|kind| (kind, self.clone() as Arc<dyn Courier>)).collect()
    }

    pub(super) fn note(&self, place: &str, text: &str) {
        let (at, place, text) = (self.clock.now(), place.to_owned(), text.to_owned());
        self.lines.lock().expect("never held in a panic").push(Line { at, place, text });
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("never held in a panic").clone()
    }

    /// Until the run that the crash interrupts has begun.
    pub(super) async fn run_hangs(&self) {
        self.began.notified().await;
    }

    pub(super) fn recover(&self) {
        self.hangs.store(false, Ordering::Relaxed);
    }

    fn fails(&self, run: &Run) -> bool {
        self.trouble == Trouble::FailedStep && run.key.contains("/stage-2/")
    }
}

#[async_trait]
impl Chat for Stage {
    async fn post(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure> {
        let channel = match place {
            Place::Channel(channel) => format!("#{channel}"),
            Place::Person(person) => format!("@{person}"),
        };
        let mut posted = self.posted.lock().expect("never held in a panic");
        if let Some(known) = posted.get(key) {
            return Ok(known.clone());
        }
        self.note(&channel, &markup::lead(&message.body));
        let reference = MessageRef {
            channel: channel.trim_start_matches(['#', '@']).to_owned(),
            message: format!("m{}", posted.len() + 1),
        };
        posted.insert(key.to_owned(), reference.clone());
        Ok(reference)
    }

    async fn find(&self, _: &Place, key: &str) -> Result<Option<MessageRef>, Failure> {
        Ok(self.posted.lock().expect("never held in a panic").get(key).cloned())
    }

    async fn edit(&self, _: &MessageRef, _: &Message) -> Result<(), Failure> {
        Ok(())
    }

    async fn pin(&self, _: &MessageRef) -> Result<(), Failure> {
        Ok(())
    }

    async fn open_room(&self, wish: &RoomWish) -> Result<Room, Failure> {
        self.note(&format!("#{}", wish.name), "the war room opens");
        Ok(Room { channel: wish.name.clone(), name: wish.name.clone(), instead: None })
    }

    async fn set_topic(&self, _: &str, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn invite(&self, _: &str, _: &[String]) -> Result<(), Failure> {
        Ok(())
    }

    async fn archive(&self, channel: &str) -> Result<(), Failure> {
        self.note(&format!("#{channel}"), "the war room is archived");
        Ok(())
    }

    async fn whisper(&self, to: &Whisper, message: &Message) -> Result<(), Failure> {
        self.post(&Place::Person(to.user.clone()), "", message).await.map(|_| ())
    }
}

#[async_trait]
impl Courier for Stage {
    async fn send(&self, to: &str, _: &str, letter: &Letter) -> Result<Receipt, Failure> {
        self.note(to, &letter.subject);
        Ok(Receipt::Whole)
    }

    fn drops_repeats(&self) -> bool {
        true
    }
}

#[async_trait]
impl Deployer for Stage {
    async fn run(&self, run: &Run, line: &OutputLine<'_>) -> Result<Ran, Failure> {
        let with: Vec<_> = run.with.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.note("deploy (dry run)", &format!("{} {}", run.action, with.join(" ")));
        if self.hangs.load(Ordering::Relaxed) && run.key.contains("/stage-1/") {
            self.began.notify_one();
            std::future::pending::<()>().await;
        }
        line("dry run: nothing was changed");
        let outcome = match self.fails(run) {
            true => Outcome::Failed("rehearsed trouble".into()),
            false => Outcome::Worked,
        };
        let took = Duration::from_secs(1);
        self.clock.set(self.clock.now() + chrono::Duration::seconds(1));
        Ok(Ran { outcome, tail: String::new(), digest: String::new(), took })
    }

    async fn stop(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    async fn look(&self, _: &Run) -> Result<Sighting, Failure> {
        Ok(Sighting::Unknown("tminus was killed while it ran".into()))
    }
}
