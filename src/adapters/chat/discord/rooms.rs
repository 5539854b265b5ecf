//! Channels of our own: opening one once, for those who belong there, and closing it read-only.
//!
//! A channel that we opened is known again by a mark in its topic, which outlives us. It is made
//! whole in one call: with its category, its topic, its mark and its members. Nobody else's is ever
//! taken over. What is going on is never in a channel's name: Discord lets it change twice in ten
//! minutes.

use serde_json::{Value, json};
use serenity::http::Route;
use serenity::model::id::{ChannelId, GuildId, MessageId, TargetId, UserId};
use tracing::warn;

use super::api::{Fault, Twice, id, id_at, text};
use super::render::cut;
use super::talk::channel_id;
use super::{Discord, lock};
use crate::adapters::chat::naming::{NAME, mark, name};
use crate::ports::{Block, Failure, Inline, Message, Place, Room, RoomWish};

const TOPIC: usize = 1_024;
const TRIES: usize = 99;
/// Of a guild, and of a category.
const CHANNELS: usize = 500;
const IN_CATEGORY: usize = 50;
/// A thread hides itself after a week without a word.
const MINUTES_OF_A_WEEK: u64 = 10_080;

const NOT_OPENED: &str = "The channel was not opened";
const NOT_ARCHIVED: &str = "The channel was not archived";
/// No such member, role, or person.
const NOT_HERE: [u64; 3] = [10007, 10011, 10013];
const ALREADY_A_THREAD: u64 = 160_004;

/// Discord's permissions, by their bits.
pub(super) mod may {
    pub(crate) const MANAGE_CHANNELS: u64 = 1 << 4;
    pub(crate) const VIEW: u64 = 1 << 10;
    pub(crate) const SEND: u64 = 1 << 11;
    pub(crate) const EMBED: u64 = 1 << 14;
    pub(crate) const ATTACH: u64 = 1 << 15;
    pub(crate) const HISTORY: u64 = 1 << 16;
    pub(crate) const MANAGE_ROLES: u64 = 1 << 28;
    pub(crate) const MANAGE_THREADS: u64 = 1 << 34;
    pub(crate) const PUBLIC_THREADS: u64 = 1 << 35;
    pub(crate) const SEND_IN_THREADS: u64 = 1 << 38;
    pub(crate) const PIN: u64 = 1 << 51;
}

/// What a member may do in a room, and what we may.
const MEMBER: u64 = may::VIEW | may::SEND | may::HISTORY;
const OURS: u64 = MEMBER | may::EMBED | may::ATTACH;
/// What nobody may in one that is over.
const TALK: u64 = may::SEND | may::SEND_IN_THREADS | may::PUBLIC_THREADS;

/// What a message stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    Channel { archived: bool },
    Thread { archived: bool },
    Private,
}

impl Discord {
    /// Asked once of each, and again of one that was archived: a person may have brought it back.
    pub(super) async fn ground(&self, channel: u64, what: &str) -> Result<Ground, Failure> {
        if let Some(known) = lock(&self.grounds).get(&channel) {
            return Ok(*known);
        }
        let found = self.channel(channel, what).await?;
        let ground = ground_of(&found, self.user().await?);
        let archived = Ground::Channel { archived: true };
        if ground != archived && ground != (Ground::Thread { archived: true }) {
            lock(&self.grounds).insert(channel, ground);
        }
        Ok(ground)
    }

    /// A channel of this guild, or a private conversation.
    async fn channel(&self, channel: u64, what: &str) -> Result<Value, Failure> {
        let route = Route::Channel { channel_id: ChannelId::new(channel) };
        let found = self.api.get(route).await;
        let found = found.map_err(|fault| fault.failure(what, Twice::Harmless))?;
        match id_at(&found, "/guild_id") {
            Some(guild) if guild != self.settings.guild => Err(Failure::permanent(format!(
                "{what}: the channel {channel} is of another guild than [discord] guild"
            ))),
            Some(_) | None => Ok(found),
        }
    }

    pub(super) async fn room(&self, wish: &RoomWish) -> Result<Room, Failure> {
        if let Some(known) = lock(&self.rooms).get(&wish.key) {
            return Ok(known.clone());
        }
        let room = match self.find_or_create(wish).await? {
            Ok(room) => room,
            Err(reason) => self.thread_instead(wish, reason).await?,
        };
        lock(&self.rooms).insert(wish.key.clone(), room.clone());
        Ok(room)
    }

    /// The channel, or why there can be none.
    async fn find_or_create(&self, wish: &RoomWish) -> Result<Result<Room, String>, Failure> {
        let guild_id = GuildId::new(self.settings.guild);
        let all = self.api.get(Route::GuildChannels { guild_id }).await;
        let all = all.map_err(|fault| fault.failure(NOT_OPENED, Twice::Harmless))?;
        let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
        let mark = mark(&wish.key);
        let ours = |channel: &&Value| text(channel, "/topic").ends_with(&mark);
        if let Some(found) = all.iter().find(ours).and_then(room_of) {
            return Ok(Ok(found));
        }
        if let Some(reason) = self.is_full(all) {
            return Ok(Err(reason));
        }
        let taken = |name: &str| all.iter().any(|channel| text(channel, "/name") == name);
        let free = (1..=TRIES).map(|number| name(&wish.name, number)).find(|name| !taken(name));
        let Some(name) = free else {
            let name = self::name(&wish.name, 1);
            return Err(Failure::permanent(format!(
                "{NOT_OPENED}: all names like {name} are taken"
            )));
        };
        let about = topic(&about(wish), &mark);
        let mut tried = self.create(&name, &about, &targets(&invited(wish))).await?;
        if matches!(&tried, Err(fault) if fault.is(&NOT_HERE)) {
            // Who has left the server costs nobody else their room.
            let here = self.those_here(targets(&invited(wish))).await?;
            tried = self.create(&name, &about, &here).await?;
        }
        match tried {
            Ok(answer) => room_of(&answer).map(Ok).ok_or_else(|| {
                Failure::unknown(format!("{NOT_OPENED}, or it was: Discord names none"))
            }),
            Err(fault @ Fault::Refused { .. }) => Ok(Err(self.reason(fault))),
            Err(fault) => Err(fault.failure(NOT_OPENED, Twice::Harmful)),
        }
    }

    fn is_full(&self, all: &[Value]) -> Option<String> {
        if all.len() >= CHANNELS {
            return Some(format!(
                "The server has {CHANNELS} channels, which is all that Discord allows. Delete old \
                 ones to get rooms again"
            ));
        }
        let category = self.settings.category?;
        let within = all.iter().filter(|each| id_at(each, "/parent_id") == Some(category)).count();
        (within >= IN_CATEGORY).then(category_full)
    }

    fn reason(&self, fault: Fault) -> String {
        if fault.names("PARENT_MAX") {
            return category_full();
        }
        if fault.names("parent_id") || fault.is(&[10003]) {
            return "The category for rooms is gone. Copy the id of another one (right-click the \
                    category, Copy Channel ID) into [discord] category"
                .to_owned();
        }
        fault.failure("No channel can be opened here", Twice::Harmless).to_string()
    }

    /// Whole in one call: with its category, its topic, its mark and its members.
    async fn create(
        &self,
        name: &str,
        about: &str,
        members: &[Target],
    ) -> Result<Result<Value, Fault>, Failure> {
        let everyone = overwrite(Target::Role(self.settings.guild), 0, may::VIEW);
        let us = overwrite(Target::Person(self.user().await?), OURS, 0);
        let mut overwrites = vec![everyone, us];
        overwrites.extend(members.iter().map(|member| overwrite(*member, MEMBER, 0)));
        let mut body = json!({
            "name": name, "type": 0, "topic": about, "permission_overwrites": overwrites,
        });
        if let Some(category) = self.settings.category {
            body["parent_id"] = json!(category.to_string());
        }
        let guild_id = GuildId::new(self.settings.guild);
        Ok(self.api.post(Route::GuildChannels { guild_id }, &body).await)
    }

    async fn those_here(&self, members: Vec<Target>) -> Result<Vec<Target>, Failure> {
        let guild_id = GuildId::new(self.settings.guild);
        let roles = self.api.get(Route::GuildRoles { guild_id }).await;
        let roles = roles.map_err(|fault| fault.failure(NOT_OPENED, Twice::Harmless))?;
        let roles = roles.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut here = Vec::new();
        for target in members {
            let is_here = match target {
                Target::Role(role) => roles.iter().any(|it| id_at(it, "/id") == Some(role)),
                Target::Person(user) => {
                    let user_id = UserId::new(user);
                    match self.api.get(Route::GuildMember { guild_id, user_id }).await {
                        Ok(_) => true,
                        Err(fault) if fault.is(&NOT_HERE) => false,
                        Err(fault) => return Err(fault.failure(NOT_OPENED, Twice::Harmless)),
                    }
                }
            };
            match is_here {
                true => here.push(target),
                false => warn!(?target, "not invited: not in the server any more"),
            }
        }
        Ok(here)
    }

    /// Where we may open no channel: everything is said in one thread. Its id is that of the message
    /// that it hangs on, and it is called by the channel in which people find it.
    async fn thread_instead(&self, wish: &RoomWish, reason: String) -> Result<Room, Failure> {
        let Some(near) = &wish.near else {
            return Err(Failure::permanent(format!("{NOT_OPENED}: {reason}")));
        };
        let (place, key) = (Place::Channel(near.clone()), format!("room/{}", wish.key));
        let parent = match self.look_for(&place, &key).await? {
            Some(found) => found,
            None => self.say(&place, &key, &opening(wish)).await?,
        };
        let thread = id(&parent.message).expect("a message of Discord's has an id");
        let route = Route::ChannelMessageThreads {
            channel_id: ChannelId::new(channel_id(&parent.channel, NOT_OPENED)?),
            message_id: MessageId::new(thread),
        };
        let name = cut(&wish.name, NAME);
        let body = json!({"name": name, "auto_archive_duration": MINUTES_OF_A_WEEK});
        match self.api.post(route, &body).await {
            Ok(_) => {}
            Err(fault) if fault.is(&[ALREADY_A_THREAD]) => {}
            Err(fault) => return Err(fault.failure(NOT_OPENED, Twice::Harmless)),
        }
        lock(&self.grounds).insert(thread, Ground::Thread { archived: false });
        match self.ask_in(&parent.message, &invited(wish)).await {
            Err(Failure::Permanent { why }) => warn!(thread, "{why}"),
            other => other?,
        }
        let near = self.channel(channel_id(near, NOT_OPENED)?, NOT_OPENED).await?;
        let name = text(&near, "/name").to_owned();
        Ok(Room { channel: parent.message, name, instead: Some(reason) })
    }

    /// A thread has no topic. One that stands already costs no call: Discord takes two in ten
    /// minutes.
    pub(super) async fn write_topic(&self, channel: &str, wanted: &str) -> Result<(), Failure> {
        let what = "The topic was not set";
        let channel = channel_id(channel, what)?;
        let found = self.channel(channel, what).await?;
        match ground_of(&found, self.user().await?) {
            Ground::Channel { .. } => {}
            Ground::Thread { .. } | Ground::Private => return Ok(()),
        }
        let now = text(&found, "/topic");
        let wanted = match mark_in(now) {
            Some(mark) => topic(wanted, mark),
            None => cut(wanted, TOPIC),
        };
        if wanted == now {
            return Ok(());
        }
        let route = Route::Channel { channel_id: ChannelId::new(channel) };
        let set = self.api.patch(route, &json!({"topic": wanted})).await;
        set.map(|_| ()).map_err(|fault| fault.failure(what, Twice::Harmless))
    }

    /// Each by themselves, so that one who cannot come keeps nobody else away.
    pub(super) async fn ask_in(&self, channel: &str, members: &[String]) -> Result<(), Failure> {
        let what = "Nobody was invited";
        let channel = channel_id(channel, what)?;
        let ground = self.ground(channel, what).await?;
        let mut missing = Vec::new();
        for member in members {
            let Some(target) = Target::of(member) else {
                missing.push(member.as_str());
                continue;
            };
            match self.let_in(channel, ground, target).await {
                Ok(()) => {}
                // Wrong with one person, and not with the channel.
                Err(fault) if fault.is(&NOT_HERE) || in_vain(ground, &fault) => {
                    missing.push(member)
                }
                Err(fault) => return Err(fault.failure(what, Twice::Harmless)),
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Failure::permanent(format!(
                "Not invited: {}: not in the guild. Invite them to the server first",
                missing.join(", ")
            ))),
        }
    }

    async fn let_in(&self, channel: u64, ground: Ground, target: Target) -> Result<(), Fault> {
        let channel_id = ChannelId::new(channel);
        match (ground, target) {
            (Ground::Channel { .. }, target) => {
                let target_id = TargetId::new(target.id());
                let body = json!({"type": target.kind(), "allow": MEMBER.to_string(), "deny": "0"});
                let route = Route::ChannelPermission { channel_id, target_id };
                self.api.put(route, Some(&body)).await.map(|_| ())
            }
            (Ground::Thread { .. }, Target::Person(user)) => {
                let route = Route::ChannelThreadMember { channel_id, user_id: UserId::new(user) };
                self.api.put(route, None).await.map(|_| ())
            }
            // Whoever sees the channel sees its threads.
            (Ground::Thread { .. }, Target::Role(_)) | (Ground::Private, _) => Ok(()),
        }
    }

    /// Read-only for everybody, and out of the way if there is a category for that.
    pub(super) async fn close(&self, channel: &str) -> Result<(), Failure> {
        let channel = channel_id(channel, NOT_ARCHIVED)?;
        let found = self.channel(channel, NOT_ARCHIVED).await?;
        let us = self.user().await?;
        let body = match ground_of(&found, us) {
            Ground::Thread { archived: false } => json!({"archived": true, "locked": true}),
            Ground::Channel { archived: false } => {
                json!({"permission_overwrites": read_only(&found, self.settings.guild, us)})
            }
            Ground::Thread { .. } | Ground::Channel { .. } | Ground::Private => return Ok(()),
        };
        let tried = self.shut(channel, body, &found).await;
        lock(&self.grounds).remove(&channel);
        tried.map_err(|fault| fault.failure(NOT_ARCHIVED, Twice::Harmless))
    }

    async fn shut(&self, channel: u64, body: Value, found: &Value) -> Result<(), Fault> {
        let route = Route::Channel { channel_id: ChannelId::new(channel) };
        let archive = self.settings.archive.filter(|_| body.get("permission_overwrites").is_some());
        let archive = archive.filter(|archive| id_at(found, "/parent_id") != Some(*archive));
        if let Some(archive) = archive {
            let mut moved = body.clone();
            moved["parent_id"] = json!(archive.to_string());
            match self.api.patch(route, &moved).await {
                Ok(_) => return Ok(()),
                Err(fault) if fault.names("parent_id") || fault.names("PARENT_MAX") => warn!(
                    "the archive category is full or gone, so that a room stays where it is, \
                     read-only: delete old rooms, or name another in [discord] archive"
                ),
                Err(fault) => return Err(fault),
            }
        }
        self.api.patch(route, &body).await.map(|_| ())
    }
}

/// Into a thread comes only who sees the channel that it hangs in.
fn in_vain(ground: Ground, fault: &Fault) -> bool {
    matches!(ground, Ground::Thread { .. }) && fault.is(&[50001])
}

fn targets(members: &[String]) -> Vec<Target> {
    let mut targets = Vec::new();
    for member in members {
        match Target::of(member) {
            Some(target) => targets.push(target),
            None => warn!(member, "not invited: Discord knows no such person"),
        }
    }
    targets
}

/// Whom an overwrite is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Role(u64),
    Person(u64),
}

impl Target {
    /// `42` is a person, `&42` a role.
    fn of(member: &str) -> Option<Self> {
        match member.strip_prefix('&') {
            Some(role) => id(role).map(Self::Role),
            None => id(member).map(Self::Person),
        }
    }

    fn id(self) -> u64 {
        match self {
            Self::Role(id) | Self::Person(id) => id,
        }
    }

    fn kind(self) -> u8 {
        match self {
            Self::Role(_) => 0,
            Self::Person(_) => 1,
        }
    }
}

/// People and, with the mark of a role, groups.
fn invited(wish: &RoomWish) -> Vec<String> {
    let groups = wish.groups.iter().map(|group| format!("&{group}"));
    wish.members.iter().cloned().chain(groups).collect()
}

fn overwrite(target: Target, allow: u64, deny: u64) -> Value {
    json!({
        "id": target.id().to_string(), "type": target.kind(),
        "allow": allow.to_string(), "deny": deny.to_string(),
    })
}

fn bits(overwrite: &Value, name: &str) -> u64 {
    overwrite[name].as_str().and_then(|bits| bits.parse().ok()).unwrap_or_default()
}

/// The same people see it; nobody talks in it, and we leave our own mark on that.
fn read_only(channel: &Value, guild: u64, us: u64) -> Vec<Value> {
    let known = channel["permission_overwrites"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<Value> = known.to_vec();
    for target in [Target::Role(guild), Target::Person(us)] {
        if !all.iter().any(|each| id_at(each, "/id") == Some(target.id())) {
            all.push(overwrite(target, 0, 0));
        }
    }
    for each in &mut all {
        let (allow, deny) = (bits(each, "allow") & !TALK, bits(each, "deny"));
        let ours = [guild, us].contains(&id_at(each, "/id").unwrap_or_default());
        each["allow"] = json!(allow.to_string());
        each["deny"] = json!((if ours { deny | TALK } else { deny }).to_string());
    }
    all
}

fn ground_of(channel: &Value, us: u64) -> Ground {
    match channel["type"].as_u64() {
        Some(1 | 3) => Ground::Private,
        Some(10..=12) => {
            let of = &channel["thread_metadata"];
            Ground::Thread { archived: of["archived"] == true && of["locked"] == true }
        }
        Some(_) | None => {
            let mut all = channel["permission_overwrites"].as_array().into_iter().flatten();
            let own = all.find(|each| id_at(each, "/id") == Some(us));
            let archived = own.is_some_and(|own| bits(own, "deny") & may::SEND != 0);
            Ground::Channel { archived }
        }
    }
}

fn room_of(channel: &Value) -> Option<Room> {
    let id = id_at(channel, "/id")?;
    Some(Room { channel: id.to_string(), name: text(channel, "/name").to_owned(), instead: None })
}

/// Discord has no purposes and no bookmarks: all of it is in the topic, which shows links as links.
fn about(wish: &RoomWish) -> String {
    let mut lines = vec![wish.topic.trim().to_owned(), wish.purpose.trim().to_owned()];
    lines.extend(wish.links.iter().map(|(title, url)| format!("{title}: <{url}>")));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn category_full() -> String {
    format!(
        "The category for rooms has {IN_CATEGORY} channels, which is all that Discord allows. Move \
         or delete old ones to get rooms again"
    )
}

fn opening(wish: &RoomWish) -> Message {
    let text = |text: &str| Inline::Text(text.to_owned());
    let mut body = vec![Block::Paragraph(vec![Inline::Strong(vec![text(&wish.topic)])])];
    if !wish.purpose.trim().is_empty() {
        body.push(Block::Paragraph(vec![text(&wish.purpose)]));
    }
    if !wish.links.is_empty() {
        let link = |(title, url): &(String, String)| {
            vec![Inline::Link { url: url.clone(), text: title.clone() }]
        };
        body.push(Block::List(wish.links.iter().map(link).collect()));
    }
    body.push(Block::Paragraph(vec![text("It goes on in the thread of this message.")]));
    Message { body, ..Message::default() }
}

fn mark_in(topic: &str) -> Option<&str> {
    let at = topic.rfind("[tminus ")?;
    topic.ends_with(']').then(|| &topic[at..])
}

fn topic(text: &str, mark: &str) -> String {
    let room = TOPIC - mark.len() - 1;
    format!("{}\n{mark}", cut(text.trim(), room)).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_topic_fits_and_keeps_its_mark(text in "\\PC{0,1200}", key in "\\PC{1,20}") {
            let mark = mark(&key);
            let once = topic(&text, &mark);
            prop_assert!(once.encode_utf16().count() <= TOPIC);
            prop_assert_eq!(mark_in(&once), Some(mark.as_str()));
            prop_assert_eq!(topic(&text, mark_in(&once).expect("it is there")), once);
        }
    }

    #[test]
    fn a_room_that_is_over_is_seen_by_the_same_and_spoken_in_by_nobody() {
        let room = json!({"type": 0, "permission_overwrites": [
            overwrite(Target::Role(1), 0, may::VIEW),
            overwrite(Target::Person(9), OURS, 0),
            overwrite(Target::Person(5), MEMBER, 0),
        ]});
        assert_eq!(ground_of(&room, 9), Ground::Channel { archived: false });
        let over = json!({"type": 0, "permission_overwrites": read_only(&room, 1, 9)});
        assert_eq!(ground_of(&over, 9), Ground::Channel { archived: true });
        for each in over["permission_overwrites"].as_array().expect("a list") {
            assert_eq!(bits(each, "allow") & TALK, 0, "{each}");
        }
        let member = &over["permission_overwrites"][2];
        assert_eq!(bits(member, "allow") & may::VIEW, may::VIEW, "it can still be read");
        let everyone = &over["permission_overwrites"][0];
        assert_eq!(bits(everyone, "deny"), may::VIEW | TALK);
    }

    #[test]
    fn a_thread_is_over_when_it_is_locked_and_not_when_it_only_sleeps() {
        let thread = |locked: bool| {
            let metadata = json!({"archived": true, "locked": locked});
            json!({"type": 11, "thread_metadata": metadata})
        };
        assert_eq!(ground_of(&thread(true), 9), Ground::Thread { archived: true });
        assert_eq!(ground_of(&thread(false), 9), Ground::Thread { archived: false });
        assert_eq!(ground_of(&json!({"type": 1}), 9), Ground::Private);
    }
}
