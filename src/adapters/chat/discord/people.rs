//! Who somebody is: from what Discord said with their click, else looked up singly.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use serenity::http::Route;
use serenity::model::id::{GuildId, UserId};

use super::api::{Twice, id, id_at, text};
use super::{Discord, lock};
use crate::ports::{Failure, Standing};

/// How long what came with a click stands for a look-up: long enough for the click itself.
const FRESH: Duration = Duration::from_secs(5);
/// A member's flag: here by an invitation to one call, and no longer than that.
const IS_GUEST: u64 = 1 << 4;

const UNKNOWN: &str = "Discord does not say who that is";

/// A member as Discord described them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    at: Instant,
    /// The interaction that said it; 0 is none.
    by: u64,
    guest: bool,
    roles: BTreeSet<String>,
    name: Option<String>,
}

impl Seen {
    fn of(member: &Value) -> Self {
        let roles = member["roles"].as_array().into_iter().flatten();
        let flags = member["flags"].as_u64().unwrap_or_default();
        let bot = member["user"]["bot"] == true;
        let names = ["/nick", "/user/global_name", "/user/username"];
        let name = names.iter().map(|at| text(member, at)).find(|name| !name.is_empty());
        Self {
            at: Instant::now(),
            by: 0,
            guest: bot || member["pending"] == true || flags & IS_GUEST != 0,
            roles: roles.filter_map(Value::as_str).map(str::to_owned).collect(),
            name: name.map(str::to_owned),
        }
    }

    fn gives_way_to(&self, by: u64) -> bool {
        self.by <= by || self.at.elapsed() >= FRESH
    }

    /// Groups are roles of this guild, and `everyone` is one as well.
    fn standing(self, guild: &str, groups: &[String]) -> Standing {
        let is_in = |group: &&String| {
            let role = group.rsplit('/').next().unwrap_or(group);
            self.roles.contains(role) || role == guild
        };
        let groups = match self.guest {
            true => BTreeSet::new(),
            false => groups.iter().filter(is_in).cloned().collect(),
        };
        Standing { guest: self.guest, gone: false, groups, name: self.name }
    }
}

fn stranger() -> Standing {
    Standing { guest: true, ..Standing::default() }
}

impl Discord {
    /// An interaction of our guild holds its member with all roles, as of this click. One that was
    /// overtaken says what was true before; ids grow with time.
    pub(super) fn note(&self, interaction: &Value) {
        let member = &interaction["member"];
        let Some((user, by)) = id_at(member, "/user/id").zip(id_at(interaction, "/id")) else {
            return;
        };
        let mut members = lock(&self.members);
        if members.get(&user).is_none_or(|known| known.gives_way_to(by)) {
            members.insert(user, Seen { by, ..Seen::of(member) });
        }
    }

    /// As Discord said it with what they are just doing.
    pub(super) fn just_seen(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Option<Standing> {
        let guild = self.settings.tenant();
        let user = id(user).filter(|_| tenant == guild)?;
        let seen = lock(&self.members).get(&user).filter(|it| it.at.elapsed() < FRESH).cloned();
        seen.map(|seen| seen.standing(&guild, groups))
    }

    pub(super) async fn look_up(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure> {
        let guild = self.settings.tenant();
        // Somebody of another guild is a guest here, whoever they are there.
        let (true, Some(user)) = (tenant == guild, id(user)) else { return Ok(stranger()) };
        if let Some(standing) = self.just_seen(tenant, &user.to_string(), groups) {
            return Ok(standing);
        }
        let (guild_id, user_id) = (GuildId::new(self.settings.guild), UserId::new(user));
        match self.api.get(Route::GuildMember { guild_id, user_id }).await {
            Ok(member) => Ok(Seen::of(&member).standing(&guild, groups)),
            // Gone, or never there.
            Err(fault) if fault.is(&[10007, 10013]) => Ok(stranger()),
            Err(fault) => Err(fault.failure(UNKNOWN, Twice::Harmless)),
        }
    }
}

impl Discord {
    /// Discord's ids do not say what they are of, and asking for a channel that is a person counts
    /// as a mistake: so it is looked for among all of them, which is one call, and another for roles.
    pub(super) async fn place_name(
        &self,
        tenant: &str,
        place: &str,
    ) -> Result<Option<String>, Failure> {
        let place = id(place).filter(|_| tenant == self.settings.tenant());
        let Some(place) = place.filter(|place| lock(&self.members).get(place).is_none()) else {
            return Ok(None);
        };
        let guild_id = GuildId::new(self.settings.guild);
        let channels = self.name_among(Route::GuildChannels { guild_id }, place).await?;
        if let Some(channel) = channels {
            return Ok(Some(format!("#{channel}")));
        }
        let role = self.name_among(Route::GuildRoles { guild_id }, place).await?;
        Ok(role.map(|role| format!("@{}", role.trim_start_matches('@'))))
    }

    async fn name_among(&self, all: Route<'_>, place: u64) -> Result<Option<String>, Failure> {
        let what = "What a place is called was not told";
        let all = self.api.get(all).await.map_err(|fault| fault.failure(what, Twice::Harmless))?;
        let found = all.as_array().into_iter().flatten();
        let mut found = found.filter(|it| id_at(it, "/id") == Some(place));
        Ok(found.next().map(|it| text(it, "/name").to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing(member: &Value) -> Standing {
        let groups = ["1", "5", "6", "discord/1/7"].map(str::to_owned);
        Seen::of(member).standing("1", &groups)
    }

    #[test]
    fn a_member_is_in_their_roles_and_in_everyone() {
        let member = json!({"nick": null, "roles": ["5", "7", "9"],
            "user": {"id": "4", "username": "ann_1", "global_name": "Ann"}});
        let found = standing(&member);
        assert!(!found.guest);
        assert_eq!(found.groups, BTreeSet::from(["1", "5", "discord/1/7"].map(str::to_owned)));
        assert_eq!(found.name.as_deref(), Some("Ann"));
    }

    #[test]
    fn an_interaction_that_was_overtaken_does_not_give_back_a_role() {
        let seen = |by, at| Seen { by, at, ..Seen::of(&json!({"roles": []})) };
        let now = seen(20, Instant::now());
        assert!(now.gives_way_to(21) && now.gives_way_to(20) && !now.gives_way_to(19));
        let long_ago = Instant::now().checked_sub(FRESH).expect("it has run for longer");
        assert!(seen(20, long_ago).gives_way_to(19));
    }

    #[test]
    fn bots_guests_and_those_who_have_not_agreed_to_the_rules_are_in_nothing() {
        for mark in [
            json!({"pending": true}),
            json!({"flags": 16}),
            json!({"user": {"id": "4", "bot": true}}),
        ] {
            let mut member = json!({"roles": ["5"], "user": {"id": "4", "username": "x"}});
            for (name, value) in mark.as_object().expect("an object") {
                member[name] = value.clone();
            }
            let found = standing(&member);
            assert!(found.guest && found.groups.is_empty(), "{mark}");
        }
    }
}
