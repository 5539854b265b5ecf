//! What a test may choose before the curtain rises.

use std::collections::BTreeSet;
use std::time::Duration;

use super::workspace::{BOT_USER, Channel, Group, Kind, Standing, User, Workspace, id};

/// The least that the bot should need: what its manifest asks for.
pub(crate) const SCOPES: &[&str] = &[
    "app_mentions:read",
    "bookmarks:read",
    "bookmarks:write",
    "channels:history",
    "channels:join",
    "channels:manage",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "groups:history",
    "groups:read",
    "groups:write",
    "im:history",
    "im:write",
    "pins:read",
    "pins:write",
    "reactions:write",
    "team:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
];

#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// Until an acknowledgement, and until a person sees something.
    pub(crate) answer: Duration,
    pub(crate) trigger: Duration,
    pub(crate) response_url: Duration,
    pub(crate) ticket: Duration,
    /// After which a message can no longer be edited; none means never.
    pub(crate) edit: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) rate_limits: bool,
    pub(crate) creation_forbidden: bool,
    /// The workspace is one of an organisation's.
    pub(crate) grid: bool,
    /// The app subscribes to messages, and so hears its own.
    pub(crate) hears_itself: bool,
    pub(crate) windows: Windows,
    pub(crate) bot_token: String,
    pub(crate) app_token: String,
    pub(crate) signing_secret: String,
    /// Where the bot listens, if Slack is to call it rather than be called.
    pub(crate) bot_url: Option<String>,
    people: Vec<(String, Standing)>,
    groups: Vec<(String, Vec<String>)>,
    channels: Vec<(String, Kind, Vec<String>)>,
    shared: Vec<String>,
}

impl Default for Setup {
    /// A captain, five signers with their groups, a guest, a stranger; the bot is in `releases`.
    fn default() -> Self {
        let everyone = ["maria", "ann", "quinn", "paula", "sam", "dave"];
        let mut setup = Self::empty();
        for name in everyone {
            setup = setup.person(name, Standing::Member);
        }
        setup
            .person("gus", Standing::Guest)
            .person("ursula", Standing::SingleChannelGuest)
            .person("stranger", Standing::Stranger)
            .person("leaver", Standing::Deactivated)
            .person("otherbot", Standing::Bot)
            .group("qa-leads", &["quinn"])
            .group("engineering", &["ann", "dave"])
            .channel("general", Kind::Public, &everyone)
            .channel("releases", Kind::Public, &[&everyone[..], &["bot", "gus"]].concat())
            .channel("customers", Kind::Public, &["maria", "bot", "stranger"])
            .channel("secret", Kind::Private, &["maria"])
            .shared_with_strangers("customers")
    }
}

impl Setup {
    /// Only the bot.
    pub(crate) fn empty() -> Self {
        Self {
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            rate_limits: false,
            creation_forbidden: false,
            grid: false,
            hears_itself: false,
            windows: Windows {
                answer: Duration::from_secs(3),
                trigger: Duration::from_secs(3),
                response_url: Duration::from_secs(30 * 60),
                ticket: Duration::from_secs(30),
                edit: None,
            },
            // Joined at run time, so that no scanner takes them for real ones.
            bot_token: ["xoxb", "0000000000", "standin"].join("-"),
            app_token: ["xapp", "1", "A0TMINUS00", "standin"].join("-"),
            signing_secret: "a secret of the stand-in".to_owned(),
            bot_url: None,
            people: Vec::new(),
            groups: Vec::new(),
            channels: Vec::new(),
            shared: Vec::new(),
        }
    }

    pub(crate) fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self
    }

    pub(crate) fn without_scope(mut self, scope: &str) -> Self {
        assert!(self.scopes.remove(scope), "{scope} was not there to take away");
        self
    }

    pub(crate) fn rate_limits(mut self) -> Self {
        self.rate_limits = true;
        self
    }

    pub(crate) fn creation_forbidden(mut self) -> Self {
        self.creation_forbidden = true;
        self
    }

    pub(crate) fn grid(mut self) -> Self {
        self.grid = true;
        self
    }

    pub(crate) fn hears_itself(mut self) -> Self {
        self.hears_itself = true;
        self
    }

    pub(crate) fn windows(mut self, change: impl FnOnce(&mut Windows)) -> Self {
        change(&mut self.windows);
        self
    }

    pub(crate) fn person(mut self, name: &str, standing: Standing) -> Self {
        self.people.push((name.to_owned(), standing));
        self
    }

    pub(crate) fn group(mut self, handle: &str, people: &[&str]) -> Self {
        self.groups.push((handle.to_owned(), people.iter().map(|it| (*it).to_owned()).collect()));
        self
    }

    /// Among the people, `bot` is the bot itself.
    pub(crate) fn channel(mut self, name: &str, kind: Kind, people: &[&str]) -> Self {
        let people = people.iter().map(|it| (*it).to_owned()).collect();
        self.channels.push((name.to_owned(), kind, people));
        self
    }

    pub(crate) fn shared_with_strangers(mut self, channel: &str) -> Self {
        self.shared.push(channel.to_owned());
        self
    }

    pub(super) fn workspace(&self) -> Workspace {
        let mut workspace = Workspace::default();
        let bot = ("tminus".to_owned(), Standing::Bot);
        for (name, standing) in self.people.iter().chain([&bot]) {
            let user = if name == "tminus" { BOT_USER.to_owned() } else { id('U', name) };
            let made = User {
                id: user.clone(),
                name: name.clone(),
                standing: *standing,
                zone: "Europe/Berlin".to_owned(),
            };
            workspace.users.insert(user, made);
        }
        let known = |name: &String| {
            let name = if name == "bot" { "tminus" } else { name };
            workspace.user(name).id.clone()
        };
        let mut groups = Vec::new();
        for (handle, people) in &self.groups {
            let users = people.iter().map(known).collect();
            let id = id('S', handle);
            groups.push(Group { id, handle: handle.clone(), users, disabled: false });
        }
        let mut channels = Vec::new();
        for (name, kind, people) in &self.channels {
            let mut made = Channel::new(&id('C', name), name, *kind, "UFOUNDER00");
            made.members = people.iter().map(known).collect();
            made.shared = self.shared.contains(name);
            channels.push(made);
        }
        workspace.groups = groups.into_iter().map(|it| (it.id.clone(), it)).collect();
        workspace.channels = channels.into_iter().map(|it| (it.id.clone(), it)).collect();
        workspace
    }
}
