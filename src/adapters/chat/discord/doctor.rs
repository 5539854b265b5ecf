//! Whether Discord is set up so that a release can run in it, and what to click where it is not.

use serde_json::Value;
use serenity::http::{LightMethod, Request, Route};
use serenity::model::id::{ChannelId, GuildId, UserId};

use super::Discord;
use super::api::{Twice, id, id_at, text};
use super::rooms::may;
use super::settings::Mode;
use crate::adapters::chat::finding::{Finding, bad, clock, good};

/// The permissions without which something does not work, and what.
const NEEDED: [(u64, &str, &str); 11] = [
    (may::VIEW, "View Channels", "seeing where announcements go"),
    (may::SEND, "Send Messages", "saying anything"),
    (may::EMBED, "Embed Links", "everything below the first line of a message"),
    (may::ATTACH, "Attach Files", "attaching reports"),
    (may::HISTORY, "Read Message History", "finding out whether a message was posted"),
    (may::PIN, "Pin Messages", "pinning the live card"),
    (may::MANAGE_CHANNELS, "Manage Channels", "opening and archiving rooms"),
    (may::MANAGE_ROLES, "Manage Permissions", "letting people into rooms"),
    (may::PUBLIC_THREADS, "Create Public Threads", "a thread where no room can be opened"),
    (may::SEND_IN_THREADS, "Send Messages in Threads", "talking in such a thread"),
    (may::MANAGE_THREADS, "Manage Threads", "closing such a thread"),
];

/// In a channel where announcements go.
const IN_CHANNEL: u64 = may::VIEW | may::SEND | may::EMBED | may::ATTACH | may::HISTORY;
const ADMINISTRATOR: u64 = 1 << 3;
/// Presences, members and the contents of messages, of an application in many servers or in few.
const PRIVILEGED: u64 = 0b1111 << 12 | 0b11 << 18;

impl Discord {
    /// `channels` and `groups` are ids of this guild that the configuration names.
    pub async fn doctor(&self, channels: &[String], groups: &[String]) -> Vec<Finding> {
        let me = Request::new(Route::UserMe, LightMethod::Get);
        let (me, headers) = match self.api.send_reading_headers(me).await {
            Ok(answered) => answered,
            Err(fault) => {
                let why = fault.failure("it does not work", Twice::Harmless);
                return vec![bad("Discord's bot token", why.to_string())];
            }
        };
        let name = text(&me, "/username");
        let mut found = vec![good(format!("Discord's bot {name}")), clock("Discord", &headers)];
        found.extend(self.application().await);
        let roles = match self.guild_and_roles().await {
            Ok((guild, roles)) => {
                found.push(good(guild));
                roles
            }
            Err(finding) => {
                found.push(finding);
                return found;
            }
        };
        let ours = self.own_roles(&me, &roles).await;
        found.extend(permissions(ours.granted));
        for group in groups {
            found.push(role(group, &roles));
        }
        for channel in channels {
            found.push(self.where_said(channel, &ours).await);
        }
        let categories = [("category", self.settings.category), ("archive", self.settings.archive)];
        for (name, category) in categories {
            if let Some(category) = category {
                found.push(self.category(name, category, &ours).await);
            }
        }
        found.push(self.registration().await);
        found
    }

    async fn application(&self) -> Vec<Finding> {
        let what = "Discord's application";
        let answer = match self.api.get(Route::Oauth2ApplicationCurrent).await {
            Ok(answer) => answer,
            Err(fault) => {
                let why = fault.failure("it cannot be seen", Twice::Harmless);
                return vec![bad(what, why.to_string())];
            }
        };
        let (own, wanted) = (id_at(&answer, "/id"), self.settings.application);
        if own != Some(wanted) {
            let own = own.unwrap_or_default();
            let why = format!(
                "the token is of {own}, and [discord] application says {wanted}: correct one of them"
            );
            return vec![bad(what, why)];
        }
        let key = text(&answer, "/verify_key");
        let application = match &self.settings.public_key {
            Some(own) if !key.is_empty() && !own.eq_ignore_ascii_case(key) => bad(
                what,
                "[discord] public_key is another one: copy it from the page General Information",
            ),
            Some(_) | None => good(what),
        };
        vec![application, intents(&answer), way_in(self.settings.mode, &answer)]
    }

    async fn guild_and_roles(&self) -> Result<(String, Vec<Value>), Finding> {
        let guild_id = GuildId::new(self.settings.guild);
        let what = format!("Discord's server {guild_id}");
        let guild = self.api.get(Route::Guild { guild_id }).await.map_err(|fault| {
            let why = fault.failure("it cannot be seen", Twice::Harmless);
            bad(&what, format!("{why}. The invitation is in deploy/discord/README.md"))
        })?;
        let roles = guild["roles"].as_array().cloned().unwrap_or_default();
        Ok((format!("Discord's server {}", text(&guild, "/name")), roles))
    }

    async fn own_roles(&self, me: &Value, roles: &[Value]) -> Ours {
        let guild = self.settings.guild;
        let user = id_at(me, "/id").unwrap_or_default();
        let route =
            Route::GuildMember { guild_id: GuildId::new(guild), user_id: UserId::new(user.max(1)) };
        let member = self.api.get(route).await.unwrap_or(Value::Null);
        let held = member["roles"].as_array().into_iter().flatten();
        let mut ids: Vec<u64> = held.filter_map(|role| id(role.as_str()?)).collect();
        ids.push(guild);
        let all =
            roles.iter().filter(|role| id_at(role, "/id").is_some_and(|id| ids.contains(&id)));
        let granted = all.fold(0, |all, role| all | number(role, "/permissions"));
        Ours { user, guild, roles: ids, granted }
    }

    async fn where_said(&self, channel: &str, ours: &Ours) -> Finding {
        let what = format!("Discord channel {channel}");
        let Some(id) = id(channel) else {
            return bad(what, "that is no id: right-click the channel, Copy Channel ID");
        };
        let route = Route::Channel { channel_id: ChannelId::new(id) };
        let found = match self.api.get(route).await {
            Ok(found) => found,
            Err(fault) => {
                return bad(what, fault.failure("it cannot be seen", Twice::Harmless).to_string());
            }
        };
        let what = format!("{what} (#{})", text(&found, "/name"));
        if id_at(&found, "/guild_id") != Some(self.settings.guild) {
            return bad(what, "it is of another server than [discord] guild");
        }
        let may = ours.may_in(&found);
        let missing = names(IN_CHANNEL & !may);
        match missing.is_empty() {
            true => good(what),
            false => bad(
                what,
                format!(
                    "I lack {missing} there: Edit Channel, Permissions, add my role, and allow it"
                ),
            ),
        }
    }

    async fn category(&self, name: &str, category: u64, ours: &Ours) -> Finding {
        let what = format!("Discord's category for [discord] {name}");
        let route = Route::Channel { channel_id: ChannelId::new(category) };
        let found = match self.api.get(route).await {
            Ok(found) => found,
            Err(fault) => {
                return bad(what, fault.failure("it cannot be seen", Twice::Harmless).to_string());
            }
        };
        if found["type"] != 4 || id_at(&found, "/guild_id") != Some(self.settings.guild) {
            let mend = "right-click the category itself, Copy Channel ID";
            return bad(what, format!("{category} is no category of this server: {mend}"));
        }
        let wanted = may::VIEW | may::MANAGE_CHANNELS | may::MANAGE_ROLES;
        let missing = names(wanted & !ours.may_in(&found));
        match missing.is_empty() {
            true => good(what),
            false => bad(
                what,
                format!(
                    "I lack {missing} in it: Edit Category, Permissions, add my role, and allow it"
                ),
            ),
        }
    }

    async fn registration(&self) -> Finding {
        let what = "Discord's slash command";
        match self.is_registered().await {
            Ok(true) => good(what),
            Ok(false) => {
                bad(what, "it is not registered as it is now: start tminus, which does it")
            }
            Err(fault) => {
                let why = fault.failure("it cannot be seen", Twice::Harmless);
                let mend = "Invite me again with the scope applications.commands";
                bad(what, format!("{why}. {mend}"))
            }
        }
    }
}

/// What an application may listen to is told by its flags.
fn intents(application: &Value) -> Finding {
    let what = "Discord's intents";
    let flags = application["flags"].as_u64().unwrap_or_default();
    match flags & PRIVILEGED {
        0 => good(what),
        _ => bad(
            what,
            "the application may read what I need not: turn Privileged Gateway Intents off on its \
             page Bot",
        ),
    }
}

/// Where Discord sends what people do: to the address on the application's page if there is one, and
/// then nothing through our line.
fn way_in(mode: Mode, application: &Value) -> Finding {
    const FIELD: &str = "General Information, Interactions Endpoint URL";
    const PATH: &str = "/discord/interactions";
    let what = "Discord's way to us";
    match (mode, text(application, "/interactions_endpoint_url")) {
        (Mode::Gateway | Mode::Both, "") => good(what),
        (Mode::Gateway, taken) => bad(
            what,
            format!(
                "all that people type and click goes to {taken}: empty {FIELD}, or set mode = \
                 \"http\" in [discord]"
            ),
        ),
        (Mode::Http, "") => bad(
            what,
            format!("no address is entered: while tminus runs, put https://…{PATH} under {FIELD}"),
        ),
        (Mode::Http | Mode::Both, own) if own.trim_end_matches('/').ends_with(PATH) => good(what),
        (Mode::Http | Mode::Both, other) => bad(
            what,
            format!("Discord calls {other}, where I do not listen: {FIELD} has to end in {PATH}"),
        ),
    }
}

/// Who we are there, and what our roles allow.
struct Ours {
    user: u64,
    guild: u64,
    roles: Vec<u64>,
    granted: u64,
}

impl Ours {
    /// As Discord reckons: everyone, then the roles together, then the member.
    fn may_in(&self, channel: &Value) -> u64 {
        if self.granted & ADMINISTRATOR != 0 {
            return u64::MAX;
        }
        let all = channel["permission_overwrites"].as_array().map(Vec::as_slice);
        let all = all.unwrap_or_default();
        let of = |wanted: &dyn Fn(u64) -> bool| {
            let fits = |each: &&Value| id_at(each, "/id").is_some_and(wanted);
            all.iter().filter(fits).fold((0, 0), |(allow, deny), each| {
                (allow | number(each, "/allow"), deny | number(each, "/deny"))
            })
        };
        let everyone = of(&|id| id == self.guild);
        let roles = of(&|id| id != self.guild && self.roles.contains(&id));
        let member = of(&|id| id == self.user);
        [everyone, roles, member]
            .into_iter()
            .fold(self.granted, |may, (allow, deny)| (may & !deny) | allow)
    }
}

fn number(value: &Value, pointer: &str) -> u64 {
    text(value, pointer).parse().unwrap_or_default()
}

fn names(missing: u64) -> String {
    let named = NEEDED.iter().filter(|(bit, _, _)| missing & bit != 0);
    named.map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What our roles lack, each with what it is for.
fn permissions(granted: u64) -> Vec<Finding> {
    if granted & ADMINISTRATOR != 0 {
        let why = "I am an administrator, which is far more than I need: take that from my role \
                   under Server Settings, Roles, and give it what deploy/discord/README.md names";
        return vec![bad("Discord's permissions", why)];
    }
    let missing: Vec<_> = NEEDED.iter().filter(|(bit, _, _)| granted & bit == 0).collect();
    if missing.is_empty() {
        return vec![good("Discord's permissions")];
    }
    let mend = "allow it to my role under Server Settings, Roles";
    let finding = |(_, name, what): &&(u64, &str, &str)| {
        bad(format!("Discord's permission {name}"), format!("{what} needs it: {mend}"))
    };
    missing.iter().map(finding).collect()
}

fn role(group: &str, roles: &[Value]) -> Finding {
    let wanted = group.rsplit('/').next().unwrap_or(group);
    let what = format!("Discord role {wanted}");
    match roles.iter().find(|role| text(role, "/id") == wanted) {
        Some(role) => good(format!("{what} ({})", text(role, "/name"))),
        None => bad(
            what,
            "the server has no such role: Server Settings, Roles, the dots beside it, Copy Role ID",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn needed() -> u64 {
        NEEDED.iter().fold(0, |all, (bit, _, _)| all | bit)
    }

    #[test]
    fn a_missing_permission_is_named_with_what_it_is_for() {
        assert_eq!(permissions(needed()), [good("Discord's permissions")]);
        let [finding] = &permissions(needed() & !may::PIN)[..] else { panic!("one is missing") };
        assert!(finding.what.ends_with("Pin Messages"), "{finding:?}");
        assert!(finding.trouble.as_ref().is_some_and(|why| why.contains("live card")));
        assert!(permissions(needed() | ADMINISTRATOR)[0].trouble.is_some(), "too much is no good");
    }

    #[test]
    fn to_be_able_to_listen_to_more_than_is_needed_is_told() {
        assert_eq!(intents(&json!({"flags": 1 << 23})), good("Discord's intents"), "commands");
        for bit in [12, 13, 14, 15, 18, 19] {
            let found = intents(&json!({"flags": 1_u64 << bit}));
            assert!(found.trouble.is_some_and(|why| why.contains("page Bot")), "{bit}");
        }
    }

    #[test]
    fn where_people_are_not_heard_the_field_is_named() {
        let page = |url: &str| json!({"interactions_endpoint_url": url});
        let ours = page("https://tminus.example/discord/interactions");
        for (mode, page) in [
            (Mode::Gateway, json!({"interactions_endpoint_url": null})),
            (Mode::Both, page("")),
            (Mode::Both, ours.clone()),
            (Mode::Http, ours.clone()),
        ] {
            assert_eq!(way_in(mode, &page), good("Discord's way to us"), "{mode:?} {page}");
        }
        for (mode, page, word) in [
            (Mode::Gateway, ours, "empty"),
            (Mode::Http, page(""), "no address"),
            (Mode::Http, page("https://tminus.example/discord"), "where I do not listen"),
            (Mode::Both, page("https://tminus.example"), "where I do not listen"),
        ] {
            let why = way_in(mode, &page).trouble.expect("nobody would be heard");
            assert!(why.contains(word) && why.contains("Interactions Endpoint URL"), "{why}");
        }
    }

    #[test]
    fn the_invitation_asks_for_what_is_needed_and_for_nothing_else() {
        let page = include_str!("../../../../deploy/discord/README.md");
        let asked = format!("permissions={}&", needed());
        assert!(page.contains(&asked), "the invitation should say {asked}");
        for (_, name, _) in NEEDED {
            assert!(page.contains(name), "{name} is not explained");
        }
    }

    #[test]
    fn a_channel_may_take_back_what_a_role_gives_and_give_it_to_one() {
        let ours = Ours { user: 9, guild: 1, roles: vec![1, 5], granted: needed() };
        let over = |id: u64, allow: u64, deny: u64| {
            let [id, allow, deny] = [id, allow, deny].map(|bits| bits.to_string());
            json!({"id": id, "allow": allow, "deny": deny})
        };
        let channel = |all: Value| json!({"permission_overwrites": all});
        let closed = channel(json!([over(1, 0, may::VIEW)]));
        assert_eq!(ours.may_in(&closed) & may::VIEW, 0);
        let open = channel(json!([over(1, 0, may::VIEW), over(5, may::VIEW, 0)]));
        assert_ne!(ours.may_in(&open) & may::VIEW, 0);
        let own = channel(json!([over(5, 0, may::SEND), over(9, may::SEND, 0)]));
        assert_ne!(ours.may_in(&own) & may::SEND, 0);
    }
}
