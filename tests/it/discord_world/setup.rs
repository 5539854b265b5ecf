//! What a test may choose before the curtain rises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::permissions;
use super::realm::id;
use super::realm::{APP, Channel, GUILD, Guild, Kind, OTHER_GUILD, Overwrite, Realm, Role, User};

#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// Until an acknowledgement, and until a person sees something.
    pub(crate) answer: Duration,
    /// For which the token of an interaction is good.
    pub(crate) token: Duration,
    /// For which a nonce is remembered.
    pub(crate) nonce: Duration,
    pub(crate) heartbeat: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) windows: Windows,
    /// Buckets are counted, told in headers and enforced.
    pub(crate) rate_limits: bool,
    /// Whoever types asks for completions on the way.
    pub(crate) completes: bool,
    /// Intents that are no mistake to ask for.
    pub(crate) intents: u64,
    /// How many sessions the bot may still begin, and when it may begin more.
    pub(crate) sessions_left: (u32, Duration),
    pub(crate) bot_token: String,
    /// Where the bot listens, if Discord is to call it rather than be connected to.
    pub(crate) bot_url: Option<String>,
    /// The bot's own, in the guild of the play.
    pub(crate) permissions: u64,
    people: Vec<(String, Vec<String>)>,
    strangers: Vec<String>,
    roles: Vec<String>,
    channels: Vec<(String, Option<String>)>,
    categories: Vec<String>,
    hidden: Vec<(String, Vec<String>)>,
    crowd: usize,
}

impl Default for Setup {
    /// A captain, signers with their roles, a member without any, a stranger; `releases` is open,
    /// and in `secret` the bot sees nothing.
    fn default() -> Self {
        Self::empty()
            .role("captain")
            .role("qa")
            .role("engineering")
            .role("support")
            .role("on-call")
            .person("maria", &["captain"])
            .person("ann", &["engineering"])
            .person("dave", &["engineering", "on-call"])
            .person("quinn", &["qa"])
            .person("sam", &["support"])
            .person("paula", &[])
            .person("gus", &[])
            .stranger("stranger")
            .category("war rooms")
            .category("archive")
            .channel("general", None)
            .channel("releases", None)
            .channel("customers", None)
            .hidden_channel("secret", &["maria"])
    }
}

impl Setup {
    /// Only the bot, in its guild and in another.
    pub(crate) fn empty() -> Self {
        Self {
            windows: Windows {
                answer: Duration::from_secs(3),
                token: Duration::from_secs(15 * 60),
                nonce: Duration::from_secs(120),
                heartbeat: Duration::from_millis(41_250),
            },
            rate_limits: false,
            completes: true,
            intents: 0,
            sessions_left: (999, Duration::from_secs(4 * 60 * 60)),
            // Joined at run time, so that no scanner takes it for a real one.
            bot_token: ["MTEwMDAwMDAwMDAwMDAwMDAwMQ", "GStand", "in-that-is-no-secret"].join("."),
            bot_url: None,
            permissions: permissions::BOT,
            people: Vec::new(),
            strangers: Vec::new(),
            roles: Vec::new(),
            channels: Vec::new(),
            categories: Vec::new(),
            hidden: Vec::new(),
            crowd: 0,
        }
    }

    pub(crate) fn rate_limits(mut self) -> Self {
        self.rate_limits = true;
        self
    }

    pub(crate) fn windows(mut self, change: impl FnOnce(&mut Windows)) -> Self {
        change(&mut self.windows);
        self
    }

    pub(crate) fn without_permission(mut self, permission: u64) -> Self {
        assert!(self.permissions & permission != 0, "it was not there to take away");
        self.permissions &= !permission;
        self
    }

    pub(crate) fn role(mut self, name: &str) -> Self {
        self.roles.push(name.to_owned());
        self
    }

    /// A member of the guild; the guild belongs to `founder`.
    pub(crate) fn person(mut self, name: &str, roles: &[&str]) -> Self {
        self.people.push((name.to_owned(), roles.iter().map(|it| (*it).to_owned()).collect()));
        self
    }

    /// In no guild of the play, and owner of the other one.
    pub(crate) fn stranger(mut self, name: &str) -> Self {
        self.strangers.push(name.to_owned());
        self
    }

    pub(crate) fn category(mut self, name: &str) -> Self {
        self.categories.push(name.to_owned());
        self
    }

    pub(crate) fn channel(mut self, name: &str, category: Option<&str>) -> Self {
        self.channels.push((name.to_owned(), category.map(str::to_owned)));
        self
    }

    /// Seen by these people only, and not by the bot.
    pub(crate) fn hidden_channel(mut self, name: &str, people: &[&str]) -> Self {
        self.hidden.push((name.to_owned(), people.iter().map(|it| (*it).to_owned()).collect()));
        self
    }

    /// So many channels more, of which nobody speaks: towards the limit of 500.
    pub(crate) fn crowd(mut self, channels: usize) -> Self {
        self.crowd = channels;
        self
    }

    pub(super) fn realm(&self) -> Realm {
        let mut realm = Realm::default();
        add_user(&mut realm, APP, "tminus", true);
        let people = self.people.iter().map(|(name, _)| name);
        for name in people.chain(&self.strangers).chain([&"founder".to_owned()]) {
            add_user(&mut realm, &id("user", name), name, false);
        }
        let other = self.strangers.first().map_or("founder", String::as_str);
        let mut home = guild(GUILD, "The house", &id("user", "founder"));
        let away = guild(OTHER_GUILD, "Other people", &id("user", other));
        self.fill(&mut home);
        realm.guilds = [home, away].into_iter().map(|it| (it.id.clone(), it)).collect();
        let elsewhere = realm.guilds.get_mut(OTHER_GUILD).expect("it was just made");
        elsewhere.members.insert(APP.to_owned(), BTreeSet::new());
        elsewhere
            .members
            .extend(self.strangers.iter().map(|name| (id("user", name), BTreeSet::new())));
        self.furnish(&mut realm);
        realm
    }

    fn fill(&self, guild: &mut Guild) {
        for name in &self.roles {
            add_role(guild, name, 0, false);
        }
        let own = add_role(guild, "tminus", self.permissions, true);
        guild.members.insert(APP.to_owned(), BTreeSet::from([own]));
        guild.members.insert(id("user", "founder"), BTreeSet::new());
        for (name, roles) in &self.people {
            let roles = roles.iter().map(|role| guild.role(role).id.clone()).collect();
            guild.members.insert(id("user", name), roles);
        }
    }

    fn furnish(&self, realm: &mut Realm) {
        let mut add = |name: &str, guild, kind, parent: Option<&String>, overwrites| {
            let mut made = Channel::new(&id("channel", name), Some(guild), kind, name);
            made.parent = parent.map(|it| id("channel", it));
            made.overwrites = overwrites;
            realm.channels.insert(made.id.clone(), made);
        };
        for name in &self.categories {
            add(name, GUILD, Kind::Category, None, Vec::new());
        }
        for (name, parent) in &self.channels {
            add(name, GUILD, Kind::Text, parent.as_ref(), Vec::new());
        }
        for (name, people) in &self.hidden {
            let seen = people.iter().map(|it| overwrite(&id("user", it), true));
            let overwrites = [overwrite(GUILD, false)].into_iter().chain(seen).collect();
            add(name, GUILD, Kind::Text, None, overwrites);
        }
        for number in 0..self.crowd {
            add(&format!("crowd-{number}"), GUILD, Kind::Text, None, Vec::new());
        }
        add("elsewhere", OTHER_GUILD, Kind::Text, None, Vec::new());
    }
}

fn overwrite(id: &str, member: bool) -> Overwrite {
    let bit = permissions::VIEW_CHANNEL;
    let (allow, deny) = if member { (bit, 0) } else { (0, bit) };
    Overwrite { id: id.to_owned(), member, allow, deny }
}

fn add_user(realm: &mut Realm, id: &str, name: &str, bot: bool) {
    let user = User { id: id.to_owned(), name: name.to_owned(), bot };
    realm.users.insert(user.id.clone(), user);
}

fn add_role(guild: &mut Guild, name: &str, permissions: u64, managed: bool) -> String {
    let id = id("role", name);
    let name = name.to_owned();
    let role = Role { id: id.clone(), name, permissions, mentionable: true, managed };
    guild.roles.insert(id.clone(), role);
    id
}

fn guild(id: &str, name: &str, owner: &str) -> Guild {
    let everyone = Role {
        id: id.to_owned(),
        name: "@everyone".to_owned(),
        permissions: permissions::EVERYONE,
        mentionable: false,
        managed: false,
    };
    Guild {
        id: id.to_owned(),
        name: name.to_owned(),
        owner: owner.to_owned(),
        roles: BTreeMap::from([(everyone.id.clone(), everyone)]),
        members: BTreeMap::new(),
    }
}
