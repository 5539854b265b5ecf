//! What there is in the stand-in Discord: users, guilds, roles, channels and what was said there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

/// The application, which is its own bot user, as with every newer one.
pub(crate) const APP: &str = "1100000000000000001";
pub(crate) const GUILD: &str = "1200000000000000001";
/// A guild of other people, where the bot is too.
pub(crate) const OTHER_GUILD: &str = "1200000000000000002";

/// The same name has the same id in each test, so that plans can name it.
pub(crate) fn id(kind: &str, name: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in kind.bytes().chain(*b"/").chain(name.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (400_000_000_000_000_000 + hash % 100_000_000_000_000_000).to_string()
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) bot: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) permissions: u64,
    pub(crate) mentionable: bool,
    /// It belongs to a bot, and nobody can be put into it.
    pub(crate) managed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Guild {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: String,
    /// The one with the guild's own id is `@everyone`.
    pub(crate) roles: BTreeMap<String, Role>,
    /// Who is here, and in which roles.
    pub(crate) members: BTreeMap<String, BTreeSet<String>>,
}

impl Guild {
    #[track_caller]
    pub(crate) fn role(&self, name: &str) -> &Role {
        let found = self.roles.values().find(|it| it.name == name || it.id == name);
        found.unwrap_or_else(|| panic!("no role {name} in {}", self.name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text = 0,
    Dm = 1,
    Category = 4,
    PublicThread = 11,
    PrivateThread = 12,
}

impl Kind {
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn of(number: u64) -> Option<Self> {
        let all = [Self::Text, Self::Dm, Self::Category, Self::PublicThread, Self::PrivateThread];
        all.into_iter().find(|it| u64::from(it.number()) == number)
    }

    pub(crate) fn is_thread(self) -> bool {
        matches!(self, Self::PublicThread | Self::PrivateThread)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overwrite {
    pub(crate) id: String,
    /// Of one member; else of a role.
    pub(crate) member: bool,
    pub(crate) allow: u64,
    pub(crate) deny: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: String,
    /// None: a conversation of one person with the bot.
    pub(crate) guild: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) parent: Option<String>,
    pub(crate) position: u64,
    pub(crate) overwrites: Vec<Overwrite>,
    pub(crate) messages: Vec<Message>,
    /// For a conversation: with whom. For a thread: who made it.
    pub(crate) with: Option<String>,
    /// Who was put into it, if it is a thread.
    pub(crate) joined: BTreeSet<String>,
    pub(crate) archived: bool,
    pub(crate) locked: bool,
    /// Each name it had before this one.
    pub(crate) earlier_names: Vec<String>,
}

impl Channel {
    pub(crate) fn new(id: &str, guild: Option<&str>, kind: Kind, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            guild: guild.map(str::to_owned),
            kind,
            name: name.to_owned(),
            topic: String::new(),
            parent: None,
            position: 0,
            overwrites: Vec::new(),
            messages: Vec::new(),
            with: None,
            joined: BTreeSet::new(),
            archived: false,
            locked: false,
            earlier_names: Vec::new(),
        }
    }

    pub(crate) fn message(&self, id: &str) -> Option<&Message> {
        self.messages.iter().find(|it| it.id == id && !it.deleted)
    }

    pub(crate) fn message_mut(&mut self, id: &str) -> Option<&mut Message> {
        self.messages.iter_mut().find(|it| it.id == id && !it.deleted)
    }

    /// What everybody who can read the channel sees.
    pub(crate) fn shown(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter().filter(|it| !it.deleted && it.only_for.is_none() && !it.thinking)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) media: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) embeds: Vec<Value>,
    pub(crate) components: Vec<Value>,
    pub(crate) attachments: Vec<Attachment>,
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        let nothing_shown = self.embeds.is_empty() && self.components.is_empty();
        self.text.is_empty() && nothing_shown && self.attachments.is_empty()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) at: Duration,
    pub(crate) content: Content,
    /// What it said before each edit.
    pub(crate) earlier: Vec<Content>,
    pub(crate) edited: Option<Duration>,
    pub(crate) deleted: bool,
    pub(crate) pinned: Option<Duration>,
    pub(crate) nonce: Option<Value>,
    /// Whom it rang for: ids of users, ids of roles, `everyone`.
    pub(crate) pings: BTreeSet<String>,
    /// Ephemeral, for this user.
    pub(crate) only_for: Option<String>,
    /// "tminus is thinking…", and nothing more yet.
    pub(crate) thinking: bool,
    pub(crate) read: bool,
    /// It answers an interaction: `interaction_metadata`.
    pub(super) interaction: Option<Value>,
    /// The token that may change it.
    pub(super) token: Option<String>,
    /// 6 for "pinned a message", 18 for "started a thread", 0 for what is said.
    pub(super) kind: u8,
}

impl Message {
    pub(super) fn new(id: &str, author: &str, content: Content, at: Duration) -> Self {
        Self {
            id: id.to_owned(),
            author: author.to_owned(),
            at,
            content,
            earlier: Vec::new(),
            edited: None,
            deleted: false,
            pinned: None,
            nonce: None,
            pings: BTreeSet::new(),
            only_for: None,
            thinking: false,
            read: false,
            interaction: None,
            token: None,
            kind: 0,
        }
    }

    pub(super) fn edit(&mut self, content: Content, now: Duration) {
        self.earlier.push(std::mem::replace(&mut self.content, content));
        self.edited = Some(now);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Realm {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) guilds: BTreeMap<String, Guild>,
    pub(crate) channels: BTreeMap<String, Channel>,
    /// Ids that were real once: asking for them is no mistake.
    pub(crate) gone: BTreeSet<String>,
}

impl Realm {
    #[track_caller]
    pub(crate) fn user(&self, name: &str) -> &User {
        let found = self.users.values().find(|it| it.name == name || it.id == name);
        found.unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    #[track_caller]
    pub(crate) fn channel(&self, name: &str) -> &Channel {
        let found = self.channels.values().find(|it| it.name == name || it.id == name);
        found.unwrap_or_else(|| panic!("there is no channel {name}"))
    }

    #[track_caller]
    pub(crate) fn channel_mut(&mut self, name: &str) -> &mut Channel {
        let found = self.channels.values_mut().find(|it| it.name == name || it.id == name);
        found.unwrap_or_else(|| panic!("there is no channel {name}"))
    }

    pub(crate) fn guild(&self) -> &Guild {
        &self.guilds[GUILD]
    }

    pub(crate) fn guild_mut(&mut self) -> &mut Guild {
        self.guilds.get_mut(GUILD).expect("it is always there")
    }

    /// Behind the bot's back: this person is in this role no more.
    pub(crate) fn takes_role_from(&mut self, person: &str, role: &str) {
        let (user, role) = (self.user(person).id.clone(), self.guild().role(role).id.clone());
        let roles = self.guild_mut().members.get_mut(&user).expect("they are a member");
        assert!(roles.remove(&role), "{person} was not in that role");
    }

    pub(crate) fn gives_role_to(&mut self, person: &str, role: &str) {
        let (user, role) = (self.user(person).id.clone(), self.guild().role(role).id.clone());
        self.guild_mut().members.get_mut(&user).expect("they are a member").insert(role);
    }

    /// The bot may do this in the guild no more.
    pub(crate) fn forbids_bot(&mut self, permission: u64) {
        let bot = id("role", "tminus");
        self.guild_mut().roles.get_mut(&bot).expect("the bot has a role").permissions &=
            !permission;
    }

    /// Behind the bot's back: the channel, and what was said there, is gone.
    pub(crate) fn deletes_channel(&mut self, name: &str) {
        let id = self.channel(name).id.clone();
        let channel = self.channels.remove(&id).expect("it was just there");
        self.gone.extend(channel.messages.into_iter().map(|it| it.id));
        self.channels.retain(|_, it| !(it.kind.is_thread() && it.parent.as_ref() == Some(&id)));
        for child in self.channels.values_mut().filter(|it| it.parent.as_ref() == Some(&id)) {
            child.parent = None;
        }
        self.gone.insert(id);
    }

    /// Behind the bot's back: somebody with the right to do so deletes it.
    pub(crate) fn deletes_message(&mut self, channel: &str, message: &str) {
        let channel = self.channel_mut(channel);
        channel.message_mut(message).expect("it is there").deleted = true;
        self.gone.insert(message.to_owned());
    }
}
