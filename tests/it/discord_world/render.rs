//! The stand-in's objects as Discord writes them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::permissions;
use super::realm::{APP, Channel, Guild, Message, Realm, Role, User};

pub(super) fn time(at: Duration) -> String {
    let seconds = i64::try_from(at.as_secs()).expect("a time of our age");
    let at = DateTime::from_timestamp(seconds, at.subsec_nanos()).expect("the same");
    at.to_rfc3339_opts(SecondsFormat::Micros, false)
}

pub(super) fn user(user: &User) -> Value {
    json!({
        "id": user.id, "username": user.name, "discriminator": "0", "global_name": user.name,
        "avatar": null, "bot": user.bot, "public_flags": 0, "flags": 0,
        "avatar_decoration_data": null, "clan": null, "primary_guild": null,
    })
}

pub(super) fn member(realm: &Realm, guild: &str, of: &str) -> Value {
    let roles = &realm.guilds[guild].members[of];
    json!({
        "user": user(&realm.users[of]), "nick": null, "avatar": null, "banner": null,
        "roles": roles, "joined_at": "2026-01-01T00:00:00.000000+00:00", "premium_since": null,
        "deaf": false, "mute": false, "flags": 0, "pending": false,
        "communication_disabled_until": null,
    })
}

pub(super) fn role(role: &Role, position: usize) -> Value {
    json!({
        "id": role.id, "name": role.name, "color": 0, "hoist": false, "icon": null,
        "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
        "unicode_emoji": null, "position": position, "permissions": role.permissions.to_string(),
        "managed": role.managed, "mentionable": role.mentionable, "flags": 0,
        "description": null,
    })
}

pub(super) fn roles(guild: &Guild) -> Vec<Value> {
    let everyone = guild.roles.get(&guild.id).into_iter();
    let others = guild.roles.values().filter(|it| it.id != guild.id);
    everyone.chain(others).enumerate().map(|(position, it)| role(it, position)).collect()
}

pub(super) fn guild(guild: &Guild) -> Value {
    json!({
        "id": guild.id, "name": guild.name, "icon": null, "splash": null,
        "discovery_splash": null, "owner_id": guild.owner, "afk_channel_id": null,
        "afk_timeout": 300, "verification_level": 1, "default_message_notifications": 1,
        "explicit_content_filter": 0, "roles": roles(guild), "emojis": [], "features": [],
        "mfa_level": 0, "application_id": null, "system_channel_id": null,
        "system_channel_flags": 0, "rules_channel_id": null, "max_presences": null,
        "max_members": 500_000, "vanity_url_code": null, "description": null, "banner": null,
        "premium_tier": 0, "premium_subscription_count": 0, "preferred_locale": "en-US",
        "public_updates_channel_id": null, "nsfw_level": 0, "stickers": [], "nsfw": false,
        "premium_progress_bar_enabled": false, "safety_alerts_channel_id": null,
        "widget_enabled": false, "widget_channel_id": null, "region": "deprecated",
        "max_video_channel_users": 25, "max_stage_video_channel_users": 50,
    })
}

pub(super) fn channel(channel: &Channel, realm: &Realm) -> Value {
    let last = channel.shown().last().map(|it| it.id.clone());
    let mut shown = json!({
        "id": channel.id, "type": channel.kind.number(), "last_message_id": last, "flags": 0,
        "last_pin_timestamp": null,
    });
    let Some(guild) = &channel.guild else {
        let with = channel.with.as_ref().map(|id| user(&realm.users[id]));
        shown["recipients"] = json!(with.into_iter().collect::<Vec<_>>());
        return shown;
    };
    shown["guild_id"] = json!(guild);
    shown["name"] = json!(channel.name);
    shown["parent_id"] = json!(channel.parent);
    shown["rate_limit_per_user"] = json!(0);
    if channel.kind.is_thread() {
        shown["owner_id"] = json!(channel.with);
        shown["message_count"] = json!(channel.shown().count());
        shown["member_count"] = json!(1);
        shown["total_message_sent"] = json!(channel.messages.len());
        shown["thread_metadata"] = json!({
            "archived": channel.archived, "locked": channel.locked, "auto_archive_duration": 1440,
            "archive_timestamp": "2026-01-01T00:00:00.000000+00:00",
            "create_timestamp": "2026-01-01T00:00:00.000000+00:00",
        });
        return shown;
    }
    shown["position"] = json!(channel.position);
    shown["nsfw"] = json!(false);
    shown["topic"] = if channel.topic.is_empty() { Value::Null } else { json!(channel.topic) };
    let overwrites = channel.overwrites.iter().map(|it| {
        json!({
            "id": it.id, "type": u8::from(it.member), "allow": it.allow.to_string(),
            "deny": it.deny.to_string(),
        })
    });
    shown["permission_overwrites"] = json!(overwrites.collect::<Vec<_>>());
    shown
}

/// As it stands in history; a nonce is told to nobody but who sent it, and only then.
pub(super) fn message(message: &Message, channel: &Channel, realm: &Realm) -> Value {
    let pings = &message.pings;
    let users = pings.iter().filter_map(|id| realm.users.get(id)).map(user);
    let is_role = |id: &&String| realm.guilds.values().any(|it| it.roles.contains_key(*id));
    let roles: Vec<&String> = pings.iter().filter(is_role).collect();
    let attachments = message.content.attachments.iter().map(|file| {
        json!({
            "id": file.id, "filename": file.name, "size": file.bytes.len(),
            "content_type": file.media, "url": format!("https://cdn.invalid/{}", file.id),
            "proxy_url": format!("https://media.invalid/{}", file.id), "flags": 0,
        })
    });
    let flags = u64::from(message.only_for.is_some()) << 6 | u64::from(message.thinking) << 7;
    let mut shown = json!({
        "id": message.id, "channel_id": channel.id, "author": user(&realm.users[&message.author]),
        "content": message.content.text, "timestamp": time(message.at),
        "edited_timestamp": message.edited.map(time), "tts": false,
        "mention_everyone": pings.contains("everyone"), "mentions": users.collect::<Vec<_>>(),
        "mention_roles": roles, "attachments": attachments.collect::<Vec<_>>(),
        "embeds": message.content.embeds.iter().map(embed).collect::<Vec<_>>(),
        "components": message.content.components, "pinned": message.pinned.is_some(),
        "type": message.kind, "flags": flags,
    });
    if let Some(interaction) = &message.interaction {
        shown["application_id"] = json!(APP);
        shown["webhook_id"] = json!(APP);
        shown["interaction_metadata"] = interaction.clone();
    }
    shown
}

/// Discord adds the kind, and gives addresses back as they were.
fn embed(embed: &Value) -> Value {
    let mut shown = embed.clone();
    shown["type"] = json!("rich");
    shown["content_scan_version"] = json!(0);
    shown
}

pub(super) fn application(realm: &Realm, verify_key: &str, called: Option<String>) -> Value {
    let owner = realm.users.values().find(|it| it.name == "founder").expect("there is always one");
    json!({
        "id": APP, "name": "tminus", "icon": null, "description": "", "summary": "",
        "type": null, "is_monetized": false, "is_verified": false, "is_discoverable": false,
        "bot": user(&realm.users[APP]), "bot_public": false, "bot_require_code_grant": false,
        "verify_key": verify_key, "flags": 0, "hook": true, "redirect_uris": [],
        "interactions_endpoint_url": called, "integration_types_config": {"0": {}},
        "owner": user(owner), "team": null, "tags": [], "approximate_guild_count": 2,
        "install_params": {
            "scopes": ["bot", "applications.commands"], "permissions": permissions::BOT.to_string(),
        },
    })
}
