//! What `[discord]` means: ids that are ids, and a guild that everything else belongs to.

use std::time::Duration;

use serde::Deserialize;

use super::file::{File, SecretFrom, ten_seconds};
use super::judge::Judge;
use super::problem::excerpt;
use super::secret::Secret;
use crate::domain::policy::Destination;
use crate::domain::time::Span;

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    guild: String,
    application: String,
    bot_token: SecretFrom,
    public_key: Option<String>,
    #[serde(default)]
    mode: DiscordMode,
    category: Option<String>,
    archive: Option<String>,
    #[serde(default)]
    registration: DiscordRegistration,
    api_url: Option<String>,
    #[serde(default = "ten_seconds")]
    timeout: Span,
    #[serde(default = "three_seconds")]
    lag: Span,
}

fn three_seconds() -> Span {
    Span::seconds(3)
}

/// How what people do in Discord reaches us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscordMode {
    #[default]
    Gateway,
    Http,
    Both,
}

/// Where the slash command is registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscordRegistration {
    #[default]
    Guild,
    Global,
}

/// Everything that is needed to speak and listen in one guild.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscordTarget {
    pub guild: u64,
    pub application: u64,
    pub bot_token: Secret,
    /// 64 hexadecimal digits.
    pub public_key: Option<String>,
    pub mode: DiscordMode,
    /// Where rooms open.
    pub category: Option<u64>,
    /// Where they go when they are over.
    pub archive: Option<u64>,
    pub registration: DiscordRegistration,
    /// Without a slash at the end; Discord's own where there is none.
    pub api_url: Option<String>,
    pub timeout: Duration,
    pub lag: Duration,
}

const SET_UP: &str = "deploy/discord/README.md says how";
const TOKEN: &str = "copy it from the application's page Bot (Reset Token)";
const KEY: &str = "copy the Public Key, 64 hexadecimal digits, from the page General Information";

pub(super) fn discord(judge: &mut Judge<'_>, file: &File) -> Option<DiscordTarget> {
    let own = file.discord.as_ref()?;
    let guild = id(judge, "discord.guild", &own.guild, "right-click the server, Copy Server ID");
    let application = id(
        judge,
        "discord.application",
        &own.application,
        "copy the Application ID from the page General Information",
    );
    let category = category(judge, "category", own.category.as_deref());
    let archive = category_of_archive(judge, own);
    let bot_token = token(judge, &own.bot_token);
    let api_url = own.api_url.as_deref().map(|url| judge.address("discord.api_url", url));
    is_complete(judge, own);
    Some(DiscordTarget {
        guild: guild?,
        application: application?,
        bot_token: bot_token?,
        public_key: own.public_key.clone(),
        mode: own.mode,
        category,
        archive,
        registration: own.registration,
        api_url: api_url.map(|url| url.trim_end_matches('/').to_owned()),
        timeout: own.timeout.into(),
        lag: own.lag.into(),
    })
}

/// Discord's ids are numbers, written as texts so that no tool rounds them.
fn snowflake(text: &str) -> Option<u64> {
    let digits = (15..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id > 0)
}

fn id(judge: &mut Judge<'_>, key: &str, text: &str, mend: &str) -> Option<u64> {
    let id = snowflake(text);
    if id.is_none() {
        let what = format!("`{}` is not an id of Discord's", excerpt(text));
        judge.wrong(key, what, mend);
    }
    id
}

fn category(judge: &mut Judge<'_>, name: &str, text: Option<&str>) -> Option<u64> {
    let mend = "right-click the category, Copy Channel ID";
    id(judge, &format!("discord.{name}"), text?, mend)
}

fn category_of_archive(judge: &mut Judge<'_>, own: &Table) -> Option<u64> {
    if own.archive.is_some() && own.archive == own.category {
        let what = "rooms would be archived where they are opened, and fill it up";
        judge.wrong("discord.archive", what, "make a second category, and copy its id");
    }
    category(judge, "archive", own.archive.as_deref())
}

fn token(judge: &mut Judge<'_>, from: &SecretFrom) -> Option<Secret> {
    let token = judge.secret("discord.bot_token", from)?;
    let text = token.expose();
    if text.starts_with("Bot ") || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let what = "the token holds something that no token of Discord's holds";
        judge.wrong("discord.bot_token", what, format!("{TOKEN}, without anything around it"));
    }
    Some(token)
}

fn is_complete(judge: &mut Judge<'_>, own: &Table) {
    let http = matches!(own.mode, DiscordMode::Http | DiscordMode::Both);
    let is_key = |key: &String| key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
    match &own.public_key {
        Some(key) if !is_key(key) => {
            judge.wrong("discord.public_key", "this is not a public key of Discord's", KEY);
        }
        None if http => judge.wrong("discord", "listening over HTTP needs `public_key`", KEY),
        Some(_) | None => {}
    }
    if http && !judge.has_public_url {
        let mend = "set `public_url` in [server] to the address that Discord is to call";
        judge.wrong("discord.mode", "Discord has to know where to call us", mend);
    }
}

// ---------------------------------------------------------------------------------------------
// What else names Discord

/// Whether Discord is there to be spoken on, and this is its guild.
pub(super) fn speaks(judge: &mut Judge<'_>, key: &str, file: &File, tenant: &str) {
    let Some(own) = &file.discord else {
        // Said already, if the section is there and cannot be read.
        if !judge.misread {
            let mend = format!("add [discord] with `guild`, `application`, `bot_token`: {SET_UP}");
            judge.wrong(key, "no chat platform `discord` is configured", mend);
        }
        return;
    };
    if own.guild != tenant {
        let what = format!("[discord] is for the server `{}`", excerpt(&own.guild));
        judge.wrong(key, what, format!("write `discord/{}/…`", excerpt(&own.guild)));
    }
}

/// Channels, groups and accounts are ids of this guild.
pub(super) fn names(judge: &mut Judge<'_>, file: &File) {
    for (name, destinations) in &file.audiences {
        for (index, destination) in destinations.iter().enumerate() {
            if let Destination::Channel { platform, channel, .. } = destination
                && platform == "discord"
            {
                let mend = "right-click the channel, Copy Channel ID; its name does not do";
                id(judge, &format!("audiences.{name}[{index}]"), channel, mend);
            }
        }
    }
    for (role, rules) in &file.roles {
        for (index, group) in rules.groups.iter().enumerate() {
            self::group(judge, &format!("roles.{role}.groups[{index}]"), file, group);
        }
    }
    for (person, of) in &file.people {
        for (index, account) in of.accounts.iter().enumerate() {
            if account.platform == "discord" {
                let key = format!("people.{person}.accounts[{index}]");
                let mend = "right-click the person, Copy User ID; their name does not do";
                id(judge, &key, &account.user, mend);
            }
        }
    }
}

fn group(judge: &mut Judge<'_>, key: &str, file: &File, group: &str) {
    let parts: Vec<_> = group.split('/').collect();
    match parts.as_slice() {
        ["discord", tenant, role] => {
            speaks(judge, key, file, tenant);
            let mend = "Server Settings, Roles, the dots beside the role, Copy Role ID";
            id(judge, key, role, mend);
        }
        ["discord", ..] => {
            let what = format!("`{}` is not a role in Discord", excerpt(group));
            judge.wrong(key, what, "write `discord/<server>/<role>`, both as ids");
        }
        _ => {}
    }
}
