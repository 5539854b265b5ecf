//! What Discord tells the bot about what people do.

use std::time::Duration;

use serde_json::{Value, json};

use super::permissions::{in_channel, in_guild};
use super::realm::{APP, Message, Realm};
use super::render;

/// Documented permissions; an owner has all of these.
const ALL: u64 = (1 << 52) - 1;

/// Who does something where.
pub(super) struct Scene<'a> {
    pub(super) realm: &'a Realm,
    pub(super) user: &'a str,
    pub(super) channel: &'a str,
    pub(super) id: &'a str,
    pub(super) token: &'a str,
}

impl Scene<'_> {
    fn common(&self, kind: u8, data: &Value) -> Value {
        let channel = &self.realm.channels[self.channel];
        let theirs = in_channel(self.realm, channel, self.user) & ALL;
        let mut place = render::channel(channel, self.realm);
        place["permissions"] = json!(theirs.to_string());
        let mut told = json!({
            "id": self.id, "application_id": APP, "type": kind, "token": self.token, "version": 1,
            "data": data, "channel_id": self.channel, "channel": place, "locale": "en-US",
            "app_permissions": (in_channel(self.realm, channel, APP) & ALL).to_string(),
            "entitlements": [], "entitlement_sku_ids": [], "attachment_size_limit": 10_485_760,
        });
        let Some(guild) = &channel.guild else {
            // In private there is no member, only a user.
            told["user"] = render::user(&self.realm.users[self.user]);
            told["authorizing_integration_owners"] = json!({"0": "0"});
            told["context"] = json!(1);
            return told;
        };
        let mut member = render::member(self.realm, guild, self.user);
        member["permissions"] = json!(theirs.to_string());
        told["member"] = member;
        told["guild_id"] = json!(guild);
        told["guild"] = json!({"id": guild, "locale": "en-US", "features": []});
        told["guild_locale"] = json!("en-US");
        told["authorizing_integration_owners"] = json!({"0": guild});
        told["context"] = json!(0);
        told
    }

    pub(super) fn command(&self, data: &Value) -> Value {
        self.common(2, data)
    }

    pub(super) fn completion(&self, data: &Value) -> Value {
        self.common(4, data)
    }

    pub(super) fn press(&self, message: &Message, data: &Value) -> Value {
        let channel = &self.realm.channels[self.channel];
        let mut told = self.common(3, data);
        told["message"] = render::message(message, channel, self.realm);
        told
    }

    pub(super) fn submission(&self, message: Option<&Message>, data: &Value) -> Value {
        let channel = &self.realm.channels[self.channel];
        let mut told = self.common(5, data);
        if let Some(message) = message {
            told["message"] = render::message(message, channel, self.realm);
        }
        told
    }
}

/// What the address for interactions is asked when it is entered.
pub(super) fn ping(id: &str, token: &str) -> Value {
    json!({"id": id, "application_id": APP, "type": 1, "token": token, "version": 1})
}

/// Users, members, roles and channels that are named in options, or picked from a menu.
pub(super) fn resolved(realm: &Realm, guild: Option<&str>, ids: &[String]) -> Value {
    let mut found = json!({});
    for id in ids {
        if let Some(user) = realm.users.get(id) {
            found["users"][id] = render::user(user);
            let guild = guild.filter(|it| realm.guilds[*it].members.contains_key(id));
            if let Some(guild) = guild {
                let mut member = render::member(realm, guild, id);
                let own = member.as_object_mut().expect("a member is a set of fields");
                own.retain(|name, _| !["user", "deaf", "mute"].contains(&name.as_str()));
                own.insert(
                    "permissions".to_owned(),
                    json!((in_guild(realm, guild, id) & ALL).to_string()),
                );
                found["members"][id] = member;
            }
        }
        if let Some(role) = guild.and_then(|it| realm.guilds[it].roles.get(id)) {
            found["roles"][id] = render::role(role, 1);
        }
        if let Some(channel) = realm.channels.get(id) {
            let mut shown = render::channel(channel, realm);
            shown["permissions"] = json!("0");
            found["channels"][id] = shown;
        }
    }
    found
}

/// A token as long and as opaque as the real ones.
pub(super) fn token(serial: u64, now: Duration) -> String {
    let words = [serial, serial ^ 0x5bd1_e995, now.as_secs()];
    let written: Vec<String> =
        words.iter().map(|it| super::realm::id("token", &it.to_string())).collect();
    format!("aW50ZXJhY3Rpb246{}", written.join(""))
}
