//! Who and what is in the workspace: people, groups, channels and what was said there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) const TEAM: &str = "T0HOME0000";
pub(crate) const OTHER_TEAM: &str = "T0OTHER000";
pub(crate) const SISTER_TEAM: &str = "T0SISTER00";
pub(crate) const ENTERPRISE: &str = "E0HOME0000";
pub(crate) const APP: &str = "A0TMINUS00";
pub(crate) const BOT_USER: &str = "U0TMINUS00";
pub(crate) const BOT: &str = "B0TMINUS00";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Member,
    /// Sees the channels they were invited to.
    Guest,
    /// Sees one channel.
    SingleChannelGuest,
    /// Comes from another workspace, through a shared channel.
    Stranger,
    /// Comes from another workspace of the same organisation.
    Sister,
    Bot,
    Deactivated,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) standing: Standing,
    pub(crate) zone: String,
}

impl User {
    pub(crate) fn team(&self) -> &'static str {
        match self.standing {
            Standing::Stranger => OTHER_TEAM,
            Standing::Sister => SISTER_TEAM,
            Standing::Member
            | Standing::Guest
            | Standing::SingleChannelGuest
            | Standing::Bot
            | Standing::Deactivated => TEAM,
        }
    }

    pub(crate) fn email(&self) -> String {
        format!("{}@example.org", self.name)
    }

    pub(super) fn to_json(&self, with_email: bool) -> Value {
        let is = |standing| self.standing == standing;
        let mut profile = json!({
            "real_name": self.name, "display_name": self.name, "team": self.team(),
        });
        if with_email {
            profile["email"] = json!(self.email());
        }
        let mut shown = json!({
            "id": self.id, "team_id": self.team(), "name": self.name, "real_name": self.name,
            "deleted": is(Standing::Deactivated), "tz": self.zone, "profile": profile,
            "is_bot": is(Standing::Bot), "is_admin": false, "is_owner": false,
            "is_restricted": is(Standing::Guest) || is(Standing::SingleChannelGuest),
            "is_ultra_restricted": is(Standing::SingleChannelGuest),
            "is_stranger": is(Standing::Stranger), "is_app_user": false, "updated": 1_700_000_000,
        });
        if is(Standing::Sister) {
            shown["enterprise_user"] = json!({
                "id": self.id, "enterprise_id": ENTERPRISE, "enterprise_name": "Home & Sisters",
                "is_admin": false, "is_owner": false, "teams": [self.team()],
            });
        }
        shown
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) handle: String,
    pub(crate) users: BTreeSet<String>,
    pub(crate) disabled: bool,
}

impl Group {
    pub(super) fn to_json(&self, with_users: bool) -> Value {
        let mut group = json!({
            "id": self.id, "team_id": TEAM, "is_usergroup": true, "is_subteam": true,
            "name": self.handle, "description": "", "handle": self.handle, "is_external": false,
            "date_create": 1_700_000_000, "date_update": 1_700_000_000,
            "date_delete": i64::from(self.disabled), "created_by": BOT_USER,
            "updated_by": BOT_USER, "prefs": {"channels": [], "groups": []},
            "user_count": self.users.len(),
        });
        if with_users {
            group["users"] = json!(self.users);
        }
        group
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Public,
    Private,
    Direct,
}

#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) creator: String,
    pub(crate) members: BTreeSet<String>,
    pub(crate) archived: bool,
    /// Shared with another organisation.
    pub(crate) shared: bool,
    /// Only some may post here, and the bot is not one of them.
    pub(crate) read_only: bool,
    pub(crate) topic: String,
    pub(crate) purpose: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) pins: Vec<String>,
    pub(crate) bookmarks: Vec<Value>,
}

impl Channel {
    pub(super) fn new(id: &str, name: &str, kind: Kind, creator: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            creator: creator.to_owned(),
            members: BTreeSet::new(),
            archived: false,
            shared: false,
            read_only: false,
            topic: String::new(),
            purpose: String::new(),
            messages: Vec::new(),
            pins: Vec::new(),
            bookmarks: Vec::new(),
        }
    }

    pub(crate) fn has(&self, user: &str) -> bool {
        self.members.contains(user)
    }

    pub(crate) fn message(&self, ts: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.ts == ts && !message.deleted)
    }

    pub(crate) fn message_mut(&mut self, ts: &str) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.ts == ts && !message.deleted)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "name_normalized": self.name,
            "is_channel": self.kind == Kind::Public, "is_group": false,
            "is_im": self.kind == Kind::Direct, "is_private": self.kind != Kind::Public,
            "is_mpim": false, "is_general": self.name == "general", "created": 1_700_000_000,
            "creator": self.creator, "is_archived": self.archived,
            "is_member": self.has(BOT_USER), "is_shared": self.shared,
            "is_ext_shared": self.shared, "is_org_shared": false, "unlinked": 0,
            "context_team_id": TEAM, "previous_names": [],
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": "", "last_set": 0},
        })
    }
}

/// What a message said at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) blocks: Value,
    pub(crate) attachments: Value,
    pub(crate) metadata: Value,
}

impl Content {
    /// The blocks, and below them those of the attachments.
    pub(crate) fn all_blocks(&self) -> Value {
        let own = self.blocks.as_array().into_iter().flatten();
        let attachments = self.attachments.as_array().into_iter().flatten();
        let below = attachments.flat_map(|it| it["blocks"].as_array().into_iter().flatten());
        own.chain(below).cloned().collect()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) ts: String,
    pub(crate) thread_ts: Option<String>,
    pub(crate) user: String,
    pub(crate) content: Content,
    /// What it said before its edits, oldest first.
    pub(crate) earlier: Vec<Content>,
    pub(crate) edited: Option<String>,
    pub(crate) deleted: bool,
    pub(crate) reactions: Vec<String>,
    pub(crate) files: Vec<Value>,
    pub(crate) at: Duration,
}

impl Message {
    pub(super) fn new(user: &str, ts: &str, content: Content, at: Duration) -> Self {
        Self {
            ts: ts.to_owned(),
            thread_ts: None,
            user: user.to_owned(),
            content,
            earlier: Vec::new(),
            edited: None,
            deleted: false,
            reactions: Vec::new(),
            files: Vec::new(),
            at,
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.user == BOT_USER
    }

    /// As history and interaction payloads carry it; metadata only where it was asked for.
    pub(super) fn to_json(&self, content: &Content, with_metadata: bool) -> Value {
        let mut message = json!({
            "type": "message", "ts": self.ts, "user": self.user, "text": content.text,
            "team": TEAM,
        });
        if self.is_ours() {
            message["bot_id"] = json!(BOT);
            message["app_id"] = json!(APP);
        }
        let optional = [
            ("blocks", content.blocks.clone()),
            ("attachments", content.attachments.clone()),
            ("thread_ts", json!(self.thread_ts)),
            ("metadata", if with_metadata { content.metadata.clone() } else { Value::Null }),
        ];
        for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_null()) {
            message[name] = value;
        }
        if let Some(ts) = &self.edited {
            message["edited"] = json!({"user": self.user, "ts": ts});
        }
        if !self.files.is_empty() {
            message["files"] = json!(self.files);
        }
        message
    }
}

/// Only one person sees it, and nobody can find it again.
#[derive(Clone, Debug)]
pub(crate) struct Ephemeral {
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) ts: String,
    pub(crate) content: Content,
    /// The test has looked at it.
    pub(crate) read: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) hash: String,
    /// As the bot gave it, with the block and action ids that were missing.
    pub(crate) body: Value,
    /// The views below it; a modal may hold three.
    pub(crate) root: String,
    pub(crate) previous: Option<String>,
    pub(crate) open: bool,
    pub(crate) versions: usize,
    /// What the bot said of each field when it was last submitted.
    pub(crate) errors: BTreeMap<String, String>,
}

impl View {
    pub(crate) fn title(&self) -> String {
        self.body["title"]["text"].as_str().unwrap_or("Home").to_owned()
    }

    pub(super) fn to_json(&self, values: Option<Value>) -> Value {
        let mut view = self.body.clone();
        let more = json!({
            "id": self.id, "team_id": TEAM, "app_id": APP, "bot_id": BOT,
            "app_installed_team_id": TEAM, "hash": self.hash, "root_view_id": self.root,
            "previous_view_id": self.previous,
            "state": {"values": values.unwrap_or_else(|| json!({}))},
        });
        for (name, value) in more.as_object().expect("an object") {
            view[name] = value.clone();
        }
        for name in ["private_metadata", "callback_id", "external_id"] {
            if view.get(name).is_none() {
                view[name] = json!("");
            }
        }
        view
    }
}

#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) channels: BTreeMap<String, Channel>,
    pub(crate) ephemerals: Vec<Ephemeral>,
    pub(crate) views: BTreeMap<String, View>,
    /// Which view is each person's home tab.
    pub(crate) homes: BTreeMap<String, String>,
}

impl Workspace {
    pub(crate) fn user(&self, name: &str) -> &User {
        let found = self.users.values().find(|user| user.name == name || user.id == name);
        found.unwrap_or_else(|| panic!("nobody here is called {name}"))
    }

    pub(crate) fn group(&mut self, handle: &str) -> &mut Group {
        let found = self.groups.values_mut().find(|group| group.handle == handle);
        found.unwrap_or_else(|| panic!("no user group is called {handle}"))
    }

    /// By its id or by the name it has now.
    pub(crate) fn channel(&self, name: &str) -> &Channel {
        let name = name.trim_start_matches('#');
        let found = self.channels.values().find(|it| it.id == name || it.name == name);
        found.unwrap_or_else(|| panic!("no channel is called {name}"))
    }

    pub(crate) fn channel_mut(&mut self, name: &str) -> &mut Channel {
        let id = self.channel(name).id.clone();
        self.channels.get_mut(&id).expect("it was just found")
    }
}

/// `ann` becomes `UANN000000`: an id as Slack makes them, that a reader of a failure knows.
pub(super) fn id(prefix: char, name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    format!("{:0<10}", std::iter::once(prefix).chain(letters).take(10).collect::<String>())
}
