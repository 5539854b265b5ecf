//! What is on the console: channels, rooms, private conversations and their messages.
//!
//! The questions answer from memory; the wishes answer with the fact to be written, or with nothing
//! when the wish is already so. Only `apply` changes anything, the same at replay as live.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::settings::ConsoleSettings;
use super::{BEHIND, rules};
use crate::ports::{Block, Failure, Inline, Message, MessageRef, Place, Room, RoomWish};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) seq: u64,
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) fact: Fact,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fact {
    Posted {
        channel: String,
        key: String,
        message: Message,
    },
    /// A person wrote a line; `act` is what the page called the deed.
    Said {
        channel: String,
        by: String,
        act: String,
        text: String,
    },
    Edited {
        at: MessageRef,
        message: Message,
    },
    Pinned {
        at: MessageRef,
    },
    Opened {
        key: String,
        name: String,
        topic: String,
        purpose: String,
        members: Vec<String>,
    },
    Topic {
        channel: String,
        topic: String,
    },
    Invited {
        channel: String,
        members: Vec<String>,
    },
    Archived {
        channel: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) topic: String,
    pub(super) purpose: String,
    pub(super) members: BTreeSet<String>,
    pub(super) archived: bool,
    /// Their ids, in the order in which they were pinned.
    pub(super) pins: Vec<String>,
    pub(super) messages: Vec<Shown>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Room,
    /// Between the bot and this person.
    Direct(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) seq: u64,
    pub(super) at: i64,
    pub(super) by: Author,
    pub(super) message: Message,
    pub(super) edited: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Author {
    Bot,
    Person(String),
}

impl Shown {
    pub(super) fn id(&self) -> String {
        message_id(self.seq)
    }
}

impl Channel {
    fn new(id: &str, name: &str, kind: Kind) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            topic: String::new(),
            purpose: String::new(),
            members: BTreeSet::new(),
            archived: false,
            pins: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Channels and rooms are open to all; a private conversation only to its person.
    pub(super) fn is_visible_to(&self, person: &str) -> bool {
        match &self.kind {
            Kind::Channel | Kind::Room => true,
            Kind::Direct(own) => own == person,
        }
    }

    pub(super) fn message(&self, id: &str) -> Option<&Shown> {
        let seq: u64 = id.strip_prefix('m')?.parse().ok()?;
        let at = self.messages.binary_search_by_key(&seq, |shown| shown.seq).ok()?;
        Some(&self.messages[at])
    }

    fn message_mut(&mut self, id: &str) -> Option<&mut Shown> {
        let seq: u64 = id.strip_prefix('m')?.parse().ok()?;
        let at = self.messages.binary_search_by_key(&seq, |shown| shown.seq).ok()?;
        Some(&mut self.messages[at])
    }
}

pub(super) struct Board {
    /// Which journal this was replayed from.
    pub(super) journal: String,
    seq: u64,
    channels: Vec<Channel>,
    by_id: HashMap<String, usize>,
    people: BTreeSet<String>,
    /// Channel and key to message.
    keys: HashMap<(String, String), String>,
    /// Key to channel.
    rooms: HashMap<String, String>,
    /// Whose deed, and what the page called it, to message.
    acts: HashMap<(String, String), MessageRef>,
    recent: VecDeque<Arc<Entry>>,
}

type Wanted = Result<Option<Fact>, Failure>;

// The questions.
impl Board {
    pub(super) fn new(settings: &ConsoleSettings, journal: &str) -> Self {
        let mut board = Self {
            journal: journal.to_owned(),
            seq: 0,
            channels: Vec::new(),
            by_id: HashMap::new(),
            people: settings.people.iter().map(|person| person.id.clone()).collect(),
            keys: HashMap::new(),
            rooms: HashMap::new(),
            acts: HashMap::new(),
            recent: VecDeque::new(),
        };
        for channel in &settings.channels {
            let mut new = Channel::new(&channel.id, &channel.name, Kind::Channel);
            new.purpose.clone_from(&channel.purpose);
            board.add(new);
        }
        for person in &settings.people {
            let (id, kind) = (direct_id(&person.id), Kind::Direct(person.id.clone()));
            board.add(Channel::new(&id, &person.name, kind));
        }
        board
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn visible_to(&self, person: &str) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |channel| channel.is_visible_to(person))
    }

    pub(super) fn channel(&self, id: &str) -> Option<&Channel> {
        self.by_id.get(id).map(|at| &self.channels[*at])
    }

    /// What happened after `seq`, or nothing if that was too long ago to say.
    pub(super) fn since(&self, seq: u64) -> Option<Vec<Arc<Entry>>> {
        let missing = usize::try_from(self.seq.checked_sub(seq)?).ok()?;
        let skip = self.recent.len().checked_sub(missing)?;
        Some(self.recent.iter().skip(skip).cloned().collect())
    }

    pub(super) fn find(&self, place: &Place, key: &str) -> Result<Option<MessageRef>, Failure> {
        let channel = self.at(place)?.id.clone();
        let found = self.keys.get(&(channel.clone(), key.to_owned())).cloned();
        Ok(found.map(|message| MessageRef { channel, message }))
    }

    pub(super) fn room(&self, key: &str) -> Option<Room> {
        let channel = self.channel(self.rooms.get(key)?)?;
        Some(Room { channel: channel.id.clone(), name: channel.name.clone(), instead: None })
    }

    pub(super) fn act(&self, by: &str, act: &str) -> Option<MessageRef> {
        self.acts.get(&(by.to_owned(), act.to_owned())).cloned()
    }

    fn at(&self, place: &Place) -> Result<&Channel, Failure> {
        let (found, what) = match place {
            Place::Channel(id) => {
                let found = self.channel(id);
                let public = found.filter(|channel| !matches!(channel.kind, Kind::Direct(_)));
                (public, format!("channel `{id}`"))
            }
            Place::Person(id) => (self.channel(&direct_id(id)), format!("person `{id}`")),
        };
        found.ok_or_else(|| Failure::permanent(format!("the console has no {what}")))
    }

    fn open(&self, channel: &str) -> Result<&Channel, Failure> {
        let place = Place::Channel(channel.to_owned());
        alive(self.at(&place)?)
    }

    fn message(&self, at: &MessageRef) -> Result<(&Channel, &Shown), Failure> {
        let channel = self.channel(&at.channel).ok_or_else(|| {
            Failure::permanent(format!("the console has no channel `{}`", at.channel))
        })?;
        let shown = channel.message(&at.message).ok_or_else(|| {
            Failure::permanent(format!("#{} has no message `{}`", channel.name, at.message))
        })?;
        Ok((channel, shown))
    }

    fn known(&self, members: &[String]) -> Result<(), Failure> {
        match members.iter().find(|member| !self.people.contains(*member)) {
            None => Ok(()),
            Some(id) => Err(Failure::permanent(format!("the console has no person `{id}`"))),
        }
    }
}

// The wishes.
impl Board {
    pub(super) fn post(&self, place: &Place, key: String, message: Message) -> Wanted {
        if self.find(place, &key)?.is_some() {
            return Ok(None);
        }
        let channel = alive(self.at(place)?)?.id.clone();
        Ok(Some(Fact::Posted { channel, key, message }))
    }

    pub(super) fn say(&self, channel: &str, by: &str, act: &str, text: &str) -> Wanted {
        if self.act(by, act).is_some() {
            return Ok(None);
        }
        let found = self.channel(channel).filter(|channel| channel.is_visible_to(by));
        let found = found.ok_or_else(|| {
            Failure::permanent(format!("you have no channel `{channel}` on this console"))
        })?;
        let channel = alive(found)?.id.clone();
        let (by, act, text) = (by.to_owned(), act.to_owned(), text.to_owned());
        Ok(Some(Fact::Said { channel, by, act, text }))
    }

    pub(super) fn edit(&self, at: MessageRef, message: Message) -> Wanted {
        let (channel, shown) = self.message(&at)?;
        alive(channel)?;
        if shown.by != Author::Bot {
            return Err(Failure::permanent("only its author can edit a message"));
        }
        Ok((shown.message != message).then_some(Fact::Edited { at, message }))
    }

    pub(super) fn pin(&self, at: MessageRef) -> Wanted {
        let (channel, _) = self.message(&at)?;
        alive(channel)?;
        Ok((!channel.pins.contains(&at.message)).then_some(Fact::Pinned { at }))
    }

    pub(super) fn open_room(&self, wish: RoomWish) -> Wanted {
        if self.rooms.contains_key(&wish.key) {
            return Ok(None);
        }
        self.known(&wish.members)?;
        let taken = |name: &str| {
            let mut named = self.channels.iter().filter(|channel| channel.name == name);
            named.any(|channel| !matches!(channel.kind, Kind::Direct(_)))
        };
        let name = rules::room_name(&wish.name, taken);
        let RoomWish { key, topic, purpose, members, .. } = wish;
        Ok(Some(Fact::Opened { key, name, topic, purpose, members }))
    }

    pub(super) fn set_topic(&self, channel: String, topic: String) -> Wanted {
        let is_new = self.open(&channel)?.topic != topic;
        Ok(is_new.then_some(Fact::Topic { channel, topic }))
    }

    pub(super) fn invite(&self, channel: String, members: Vec<String>) -> Wanted {
        let inside = &self.open(&channel)?.members;
        self.known(&members)?;
        let is_new = members.iter().any(|member| !inside.contains(member));
        Ok(is_new.then_some(Fact::Invited { channel, members }))
    }

    pub(super) fn archive(&self, channel: String) -> Wanted {
        let found = self.at(&Place::Channel(channel.clone()))?;
        Ok((!found.archived).then_some(Fact::Archived { channel }))
    }
}

fn alive(channel: &Channel) -> Result<&Channel, Failure> {
    if channel.archived {
        return Err(Failure::permanent(format!("#{} is archived", channel.name)));
    }
    Ok(channel)
}

// The changes.
impl Board {
    pub(super) fn apply(&mut self, entry: &Arc<Entry>) {
        let seq = entry.seq;
        self.seq = seq;
        match &entry.fact {
            Fact::Posted { channel, key, message } => {
                self.keys.insert((channel.clone(), key.clone()), message_id(seq));
                self.show(entry, channel, Author::Bot, message.clone());
            }
            Fact::Said { channel, by, act, text } => {
                let at = MessageRef { channel: channel.clone(), message: message_id(seq) };
                self.acts.insert((by.clone(), act.clone()), at);
                self.show(entry, channel, Author::Person(by.clone()), spoken(text));
            }
            Fact::Edited { at, message } => {
                if let Some(shown) = self.channel_mut(&at.channel).message_mut(&at.message) {
                    shown.message.clone_from(message);
                    shown.edited = true;
                }
            }
            Fact::Pinned { at } => self.channel_mut(&at.channel).pins.push(at.message.clone()),
            Fact::Opened { key, name, topic, purpose, members } => {
                let mut room = Channel::new(&room_id(seq), name, Kind::Room);
                room.topic.clone_from(topic);
                room.purpose.clone_from(purpose);
                room.members.extend(members.iter().cloned());
                self.rooms.insert(key.clone(), room.id.clone());
                self.add(room);
            }
            Fact::Topic { channel, topic } => self.channel_mut(channel).topic.clone_from(topic),
            Fact::Invited { channel, members } => {
                self.channel_mut(channel).members.extend(members.iter().cloned());
            }
            Fact::Archived { channel } => self.channel_mut(channel).archived = true,
        }
        self.remember(entry);
    }

    fn remember(&mut self, entry: &Arc<Entry>) {
        self.recent.push_back(Arc::clone(entry));
        if self.recent.len() > BEHIND {
            self.recent.pop_front();
        }
    }

    fn show(&mut self, entry: &Entry, channel: &str, by: Author, message: Message) {
        let shown = Shown { seq: entry.seq, at: entry.at, by, message, edited: false };
        self.channel_mut(channel).messages.push(shown);
    }

    fn add(&mut self, channel: Channel) {
        self.by_id.insert(channel.id.clone(), self.channels.len());
        self.channels.push(channel);
    }

    /// A channel that the settings no longer have keeps its history, closed.
    fn channel_mut(&mut self, id: &str) -> &mut Channel {
        if !self.by_id.contains_key(id) {
            let kind = id.strip_prefix('@').map(str::to_owned);
            let mut gone = Channel::new(id, id, kind.map_or(Kind::Channel, Kind::Direct));
            gone.archived = true;
            self.add(gone);
        }
        &mut self.channels[self.by_id[id]]
    }
}

fn message_id(seq: u64) -> String {
    format!("m{seq}")
}

pub(super) fn room_id(seq: u64) -> String {
    format!("room-{seq}")
}

/// The settings allow no channel whose id begins like this.
fn direct_id(person: &str) -> String {
    format!("@{person}")
}

/// What a person typed is shown as it is.
fn spoken(text: &str) -> Message {
    let mut line = Vec::new();
    for part in text.lines() {
        if !line.is_empty() {
            line.push(Inline::Break);
        }
        line.push(Inline::Text(part.to_owned()));
    }
    Message { body: vec![Block::Paragraph(line)], ..Message::default() }
}
