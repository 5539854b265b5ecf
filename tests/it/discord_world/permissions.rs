//! Who may do what where, computed as Discord's documentation has it.

use super::realm::{Channel, Realm};

pub(crate) const ADMINISTRATOR: u64 = 1 << 3;
pub(crate) const MANAGE_CHANNELS: u64 = 1 << 4;
pub(crate) const VIEW_CHANNEL: u64 = 1 << 10;
pub(crate) const SEND_MESSAGES: u64 = 1 << 11;
pub(crate) const MANAGE_MESSAGES: u64 = 1 << 13;
pub(crate) const EMBED_LINKS: u64 = 1 << 14;
pub(crate) const ATTACH_FILES: u64 = 1 << 15;
pub(crate) const READ_MESSAGE_HISTORY: u64 = 1 << 16;
pub(crate) const MENTION_EVERYONE: u64 = 1 << 17;
pub(crate) const MANAGE_ROLES: u64 = 1 << 28;
pub(crate) const USE_APPLICATION_COMMANDS: u64 = 1 << 31;
pub(crate) const MANAGE_THREADS: u64 = 1 << 34;
pub(crate) const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
pub(crate) const CREATE_PRIVATE_THREADS: u64 = 1 << 36;
pub(crate) const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
/// Since 2026 it alone decides on pins; `MANAGE_MESSAGES` no longer does.
pub(crate) const PIN_MESSAGES: u64 = 1 << 51;

const NAMES: &[(u64, &str)] = &[
    (MANAGE_CHANNELS, "MANAGE_CHANNELS"),
    (VIEW_CHANNEL, "VIEW_CHANNEL"),
    (SEND_MESSAGES, "SEND_MESSAGES"),
    (MANAGE_MESSAGES, "MANAGE_MESSAGES"),
    (EMBED_LINKS, "EMBED_LINKS"),
    (ATTACH_FILES, "ATTACH_FILES"),
    (READ_MESSAGE_HISTORY, "READ_MESSAGE_HISTORY"),
    (MENTION_EVERYONE, "MENTION_EVERYONE"),
    (MANAGE_ROLES, "MANAGE_ROLES"),
    (MANAGE_THREADS, "MANAGE_THREADS"),
    (CREATE_PUBLIC_THREADS, "CREATE_PUBLIC_THREADS"),
    (CREATE_PRIVATE_THREADS, "CREATE_PRIVATE_THREADS"),
    (SEND_MESSAGES_IN_THREADS, "SEND_MESSAGES_IN_THREADS"),
    (PIN_MESSAGES, "PIN_MESSAGES"),
];

/// What a member has who is in no role.
pub(crate) const EVERYONE: u64 = VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | READ_MESSAGE_HISTORY
    | USE_APPLICATION_COMMANDS
    | CREATE_PUBLIC_THREADS
    | SEND_MESSAGES_IN_THREADS;

/// The least that the bot needs: what its invitation should ask for.
pub(crate) const BOT: u64 = EVERYONE
    | MANAGE_CHANNELS
    | MANAGE_ROLES
    | ATTACH_FILES
    | PIN_MESSAGES
    | MANAGE_THREADS
    | CREATE_PRIVATE_THREADS;

const IN_PRIVATE: u64 =
    VIEW_CHANNEL | SEND_MESSAGES | EMBED_LINKS | ATTACH_FILES | READ_MESSAGE_HISTORY | PIN_MESSAGES;

pub(super) fn names(bits: u64) -> String {
    let named = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name);
    named.collect::<Vec<_>>().join(", ")
}

pub(crate) fn in_guild(realm: &Realm, guild: &str, user: &str) -> u64 {
    let guild = &realm.guilds[guild];
    if guild.owner == user {
        return u64::MAX;
    }
    let Some(roles) = guild.members.get(user) else { return 0 };
    let own = roles.iter().chain([&guild.id]).filter_map(|role| guild.roles.get(role));
    let base = own.fold(0, |sum, role| sum | role.permissions);
    if base & ADMINISTRATOR != 0 { u64::MAX } else { base }
}

pub(crate) fn in_channel(realm: &Realm, channel: &Channel, user: &str) -> u64 {
    let Some(guild) = &channel.guild else {
        let own = channel.with.as_deref() == Some(user) || user == super::realm::APP;
        return if own { IN_PRIVATE } else { 0 };
    };
    if channel.kind.is_thread() {
        let parent = channel.parent.as_ref().and_then(|id| realm.channels.get(id));
        return parent.map_or(0, |parent| in_channel(realm, parent, user));
    }
    let base = in_guild(realm, guild, user);
    if base == u64::MAX || base == 0 {
        return base;
    }
    implied(overwritten(realm, channel, guild, user, base))
}

/// First `@everyone`, then all roles together, then the member.
fn overwritten(realm: &Realm, channel: &Channel, guild: &str, user: &str, base: u64) -> u64 {
    let mut bits = base;
    let find = |id: &str| channel.overwrites.iter().find(|it| it.id == id);
    if let Some(all) = find(guild) {
        bits = (bits & !all.deny) | all.allow;
    }
    let (mut allow, mut deny) = (0, 0);
    for role in realm.guilds[guild].members.get(user).into_iter().flatten() {
        if let Some(own) = find(role) {
            (allow, deny) = (allow | own.allow, deny | own.deny);
        }
    }
    bits = (bits & !deny) | allow;
    match find(user) {
        Some(own) => (bits & !own.deny) | own.allow,
        None => bits,
    }
}

/// Who does not see a channel can do nothing there; who cannot speak cannot ring either.
fn implied(bits: u64) -> u64 {
    if bits & VIEW_CHANNEL == 0 {
        return 0;
    }
    if bits & SEND_MESSAGES == 0 {
        return bits & !(MENTION_EVERYONE | ATTACH_FILES | EMBED_LINKS);
    }
    bits
}
