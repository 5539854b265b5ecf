//! What the configuration means, judged as a whole: every name must lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::actions::signing;
use super::document::Document;
use super::file::{self, File, SecretFrom};
use super::problem::{Problem, did_you_mean, excerpt};
use super::secret::{self, Secret};
use super::{Access, ApiToken, Bearer, Console, ConsolePerson, CourierTarget, Log, Surroundings};
use super::{discord, slack};
use crate::domain::announcement::TEMPLATES;
use crate::domain::ids::{Account, PersonId, Role, is_slug, slug};
use crate::domain::plan::{PlannedAnnouncement, PlannedItem};
use crate::domain::policy::{
    Destination, Person, PolicyFreeze, Right, RoleRules, RoomHome, Section,
};
use crate::domain::time::{Time, resolve};
use crate::domain::zone::Zone;

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The file, what surrounds it, and what was found wrong so far.
pub(super) struct Judge<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) surroundings: &'a Surroundings,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Where relative paths begin.
    pub(super) base: &'a Path,
    pub(super) state: PathBuf,
    pub(super) has_public_url: bool,
    /// Whether parts of the file could not be read, so that what is absent may only be misspelt.
    pub(super) misread: bool,
    pub(super) problems: Vec<Problem>,
}

impl Judge<'_> {
    pub(super) fn wrong(&mut self, key: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(self.document.problem(key, what, mend));
    }

    pub(super) fn secret(&mut self, key: &str, from: &SecretFrom) -> Option<Secret> {
        match secret::resolve(from, self.base, self.env) {
            Ok(secret) => Some(secret),
            Err((what, mend)) => {
                self.wrong(key, what, mend);
                None
            }
        }
    }

    pub(super) fn token(&mut self, key: &str, from: &SecretFrom) -> Option<Secret> {
        let secret = self.secret(key, from)?;
        if secret.expose().len() < SHORTEST_TOKEN {
            let what = format!("the token is shorter than {SHORTEST_TOKEN} characters");
            self.wrong(key, what, "make one with `openssl rand -hex 32`");
        }
        Some(secret)
    }

    /// An address that we call.
    pub(super) fn address(&mut self, key: &str, url: &str) -> String {
        if !Self::is_safe(url) {
            let what = format!("`{}` is not an address that can be called safely", excerpt(url));
            self.wrong(key, what, "write `https://…`; `http://` is for this machine only");
        }
        url.to_owned()
    }

    /// Plain http is for this machine only.
    pub(super) fn is_safe(url: &str) -> bool {
        let host = url.strip_prefix("http://").map(|rest| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let authority = &rest[..end];
            authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned()
        });
        let here = ["localhost", "127.0.0.1", "[::1]"];
        match &host {
            Some(host) => here.contains(&host.as_str()),
            None => url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// A name that must be a key of a table of this file, whether or not its entry is right.
    pub(super) fn name(&mut self, key: &str, kind: &str, table: &str, name: &str) {
        let known = self.document.keys(table);
        if !known.iter().any(|known| known == name) {
            let what = format!("I know no {kind} `{}`", excerpt(name));
            let mend = match known.is_empty() {
                true => format!("add [{table}.{}]", excerpt(name)),
                false => did_you_mean(name, known.iter().map(String::as_str)),
            };
            self.wrong(key, what, mend);
        }
    }

    /// A name that becomes part of ids, paths and labels.
    pub(super) fn slug(&mut self, key: &str, kind: &str, name: &str) {
        if !is_slug(name) {
            let what = format!("`{}` cannot be the name of a {kind}", excerpt(name));
            self.wrong(key, what, "use at most 60 lower-case letters, digits and dashes");
        }
    }
}

// ---------------------------------------------------------------------------------------------
// People and roles

pub(super) fn people(judge: &mut Judge<'_>, file: &File) -> BTreeMap<PersonId, Person> {
    let mut owners: BTreeMap<&Account, &PersonId> = BTreeMap::new();
    for (id, person) in &file.people {
        judge.slug(&format!("people.{id}"), "person", id.as_str());
        for (index, account) in person.accounts.iter().enumerate() {
            self::account(judge, &format!("people.{id}.accounts[{index}]"), file, account);
            if let Some(other) = owners.insert(account, id) {
                let what = format!("the account `{account}` belongs to `{other}` already");
                let key = format!("people.{id}.accounts[{index}]");
                judge.wrong(&key, what, "an account is one person's: remove it from one of them");
            }
        }
    }
    let person = |person: &file::Person| Person {
        name: person.name.clone(),
        accounts: person.accounts.iter().cloned().collect(),
    };
    file.people.iter().map(|(id, each)| (id.clone(), person(each))).collect()
}

/// Whether anybody could ever come by it.
fn account(judge: &mut Judge<'_>, key: &str, file: &File, account: &Account) {
    let console = &file.console.tenant;
    match account.platform.as_str() {
        "console" if account.tenant != *console => {
            let what = format!("the console is called `{}`", excerpt(console));
            judge.wrong(key, what, format!("write `console/{console}/{}`", account.user));
        }
        "slack" if !super::slack::is_person(&account.user) => {
            let what = format!("`{}` is not the id of a person in Slack", excerpt(&account.user));
            let mend = "copy the `U…` from the person's profile (the dots, Copy member ID)";
            judge.wrong(key, what, mend);
        }
        "console" | "slack" | "discord" => {}
        other => {
            let what = format!("there is no chat platform `{}`", excerpt(other));
            let mend = format!(
                "write `slack/T…/U…`, `discord/<server>/<person>` or `console/{console}/<name>`"
            );
            judge.wrong(key, what, mend);
        }
    }
}

pub(super) fn roles(judge: &mut Judge<'_>, file: &File) -> BTreeMap<Role, RoleRules> {
    let mut roles = BTreeMap::new();
    for (id, role) in &file.roles {
        judge.slug(&format!("roles.{id}"), "role", id.as_str());
        for (index, member) in role.members.iter().enumerate() {
            let key = format!("roles.{id}.members[{index}]");
            judge.name(&key, "person", "people", member.as_str());
        }
        if role.required && role.members.is_empty() && role.groups.is_empty() {
            let what = format!("every release asks `{id}`, and nobody is in it");
            judge.wrong(&format!("roles.{id}"), what, "add `members`, or `required = false`");
        }
        let rules = RoleRules {
            title: role.title.clone(),
            members: role.members.iter().cloned().collect(),
            groups: role.groups.clone(),
            may: role.may.clone(),
            required: role.required,
        };
        roles.insert(id.clone(), rules);
    }
    holders(judge, &roles);
    roles
}

/// A directory that is down must never stand between people and a rollback, so some hold the right
/// by name.
fn holders(judge: &mut Judge<'_>, roles: &BTreeMap<Role, RoleRules>) {
    if judge.misread {
        return;
    }
    for (right, word) in
        [(Right::Rollback, "rollback"), (Right::Start, "start"), (Right::Schedule, "schedule")]
    {
        let held = |role: &RoleRules| role.may.contains(&right) && !role.members.is_empty();
        if !roles.values().any(held) {
            let what = format!("nobody may {}", right.deed());
            let mend = format!("add \"{word}\" to `may` of a role that has members");
            judge.wrong("roles", what, mend);
        }
    }
}

impl Judge<'_> {
    /// Whoever shows a token is one of them, and no other.
    fn own_token(&mut self, key: &str, known: &[ApiToken], own: &ApiToken) {
        let name = |token: &ApiToken| match &token.who {
            Bearer::Person(person) => person.to_string(),
            Bearer::Machine(machine) => machine.clone(),
        };
        if let Some(other) = known.iter().find(|other| other.secret == own.secret) {
            let what = format!("`{}` and `{}` have the same token", name(own), name(other));
            self.wrong(key, what, "one token is one person, or one machine: make another");
        }
    }
}

/// Rights that take a person, whatever a pipeline was given.
const FOR_PEOPLE: [(Right, &str); 3] =
    [(Right::Override, "override"), (Right::Waive, "waive"), (Right::AcceptRisk, "accept-risk")];

pub(super) fn machines(
    judge: &mut Judge<'_>,
    file: &File,
) -> (BTreeMap<String, BTreeSet<Right>>, Vec<ApiToken>) {
    let (mut rights, mut tokens) = (BTreeMap::new(), Vec::new());
    for (name, machine) in &file.machines {
        let key = format!("machines.{name}");
        judge.slug(&key, "machine", name);
        for (right, word) in FOR_PEOPLE {
            if machine.may.contains(&right) {
                let what = format!("a machine cannot {}", right.deed());
                judge.wrong(&format!("{key}.may"), what, format!("leave out \"{word}\""));
            }
        }
        if file.people.contains_key(name.as_str()) {
            let what = format!("`{name}` is a person already");
            judge.wrong(&key, what, "give the machine a name of its own");
        }
        let secret = judge.token(&format!("{key}.token"), &machine.token);
        let who = Bearer::Machine(name.clone());
        let token = secret.map(|secret| ApiToken { secret, who });
        if let Some(token) = token {
            judge.own_token(&format!("{key}.token"), &tokens, &token);
            tokens.push(token);
        }
        rights.insert(name.clone(), machine.may.clone());
    }
    (rights, tokens)
}

// ---------------------------------------------------------------------------------------------
// Where things are said

pub(super) fn console(
    judge: &mut Judge<'_>,
    file: &File,
    machines: &[ApiToken],
    demo: bool,
) -> Console {
    let own = &file.console;
    let mut ids = BTreeSet::new();
    for (index, channel) in own.channels.iter().enumerate() {
        let key = format!("console.channel[{index}].id");
        judge.slug(&key, "channel", &channel.id);
        if !ids.insert(&channel.id) {
            let what = format!("the channel `{}` is there twice", channel.id);
            judge.wrong(&key, what, "give each an id of its own");
        }
    }
    if own.enabled && own.channels.is_empty() {
        let mend = "add [[console.channel]] with `id` and `name`, or `enabled = false`";
        judge.wrong("console", "the console has no channel", mend);
    }
    if own.slash.len() < 2 || !own.slash.starts_with('/') || own.slash.contains(' ') {
        let what = format!("`{}` is not a slash command", excerpt(&own.slash));
        judge.wrong("console.slash", what, "write one word after a slash: `/release`");
    }
    Console {
        enabled: own.enabled,
        bot: own.bot.clone(),
        tenant: own.tenant.clone(),
        slash: own.slash.clone(),
        channels: own.channels.clone(),
        people: console_people(file),
        access: if demo { Access::Switcher } else { Access::Tokens(tokens(judge, file, machines)) },
    }
}

/// Those who have an account on the console, with their roles as a word about them.
fn console_people(file: &File) -> Vec<ConsolePerson> {
    let has_role = |id: &PersonId| {
        let roles = file.roles.iter().filter(|(_, role)| role.members.contains(id));
        let title = |(id, role): (&Role, &file::RoleFile)| match role.title.as_str() {
            "" => id.to_string(),
            title => title.to_owned(),
        };
        roles.map(title).collect::<Vec<_>>().join(", ")
    };
    let own =
        |account: &&Account| account.platform == "console" && account.tenant == file.console.tenant;
    let found = file.people.iter().filter_map(|(id, person)| {
        let account = person.accounts.iter().find(own)?;
        let (name, about) = (person.name.clone(), has_role(id));
        Some(ConsolePerson { id: account.user.clone(), person: id.clone(), name, about })
    });
    found.collect()
}

fn tokens(judge: &mut Judge<'_>, file: &File, machines: &[ApiToken]) -> Vec<(PersonId, Secret)> {
    let mut known = machines.to_vec();
    let mut tokens: Vec<(PersonId, Secret)> = Vec::new();
    for (person, from) in &file.console.tokens {
        let key = format!("console.tokens.{person}");
        judge.name(&key, "person", "people", person.as_str());
        let Some(token) = judge.token(&key, from) else { continue };
        let who = Bearer::Person(person.clone());
        let own = ApiToken { secret: token.clone(), who };
        judge.own_token(&key, &known, &own);
        known.push(own);
        tokens.push((person.clone(), token));
    }
    if file.console.enabled && file.console.tokens.is_empty() {
        let what = "the console has no tokens, so nobody could use it";
        let mend = "add [console.tokens] with `maria = { env = \"NAME\" }`, or `enabled = false`";
        judge.wrong("console", what, mend);
    }
    tokens
}

pub(super) fn log(judge: &mut Judge<'_>, log: Log) -> Log {
    if let Err(piece) = file::targets(&log.filter) {
        let what = format!("`{}` is no filter", excerpt(&piece));
        judge.wrong("log.filter", what, "write `info`, or `info,tminus=debug`");
    }
    log
}

pub(super) fn couriers(judge: &mut Judge<'_>, file: &File) -> BTreeMap<String, CourierTarget> {
    let mut couriers = BTreeMap::new();
    for (name, webhook) in &file.webhooks {
        let key = format!("webhooks.{name}");
        judge.slug(&key, "webhook", name);
        let url = judge.address(&format!("{key}.url"), &webhook.url);
        let previous = webhook.previous_secret.as_ref();
        let secrets = signing(judge, &key, Some(&webhook.secret), previous);
        let timeout = webhook.timeout.into();
        couriers.insert(name.clone(), CourierTarget { url, secrets, timeout });
    }
    couriers
}

pub(super) fn audiences(judge: &mut Judge<'_>, file: &File) {
    for (name, destinations) in &file.audiences {
        judge.slug(&format!("audiences.{name}"), "audience", name);
        for (index, destination) in destinations.iter().enumerate() {
            let key = format!("audiences.{name}[{index}]");
            match destination {
                Destination::Courier { kind, name } if kind == "email" => {
                    judge.name(&key, "list", "mail.lists", name);
                }
                Destination::Courier { name, .. } => {
                    judge.name(&key, "webhook", "webhooks", name);
                }
                Destination::Channel { platform, tenant, channel } => {
                    speaks(judge, &key, file, platform, tenant);
                    if platform == "slack" && file.slack.is_some() {
                        slack::channel(judge, &key, channel);
                    }
                    let known = file.console.channels.iter().map(|known| known.id.as_str());
                    if platform == "console" && !known.clone().any(|known| known == channel) {
                        let what = format!("the console has no channel `{}`", excerpt(channel));
                        judge.wrong(&key, what, did_you_mean(channel, known));
                    }
                }
            }
        }
    }
}

/// Whether we can speak there at all.
fn speaks(judge: &mut Judge<'_>, key: &str, file: &File, platform: &str, tenant: &str) {
    let own = &file.console.tenant;
    if platform == "slack" {
        slack::speaks(judge, key, file, tenant);
    } else if platform == "discord" {
        discord::speaks(judge, key, file, tenant);
    } else if platform != "console" {
        let what = format!("no chat platform `{}` is configured", excerpt(platform));
        let mend = format!("this version speaks on `console/{own}`, `slack/T…` and `discord/…`");
        judge.wrong(key, what, mend);
    } else if !file.console.enabled {
        let what = "the console is turned off, so nothing can be said there";
        judge.wrong(key, what, "say `enabled = true` in [console]");
    } else if tenant != own {
        let what = format!("the console's tenant is not `{}`", excerpt(tenant));
        judge.wrong(key, what, format!("write `console/{own}/…`"));
    }
}

pub(super) fn rooms(judge: &mut Judge<'_>, file: &File) -> Vec<RoomHome> {
    let mut rooms = Vec::new();
    for (index, text) in file.rooms.platforms.iter().enumerate() {
        let key = format!("rooms.platforms[{index}]");
        match text.split_once('/') {
            Some((platform, tenant)) if !tenant.is_empty() && !tenant.contains('/') => {
                speaks(judge, &key, file, platform, tenant);
                rooms.push(RoomHome { platform: platform.into(), tenant: tenant.into() });
            }
            Some(_) | None => {
                let what = format!("`{}` is not a place where rooms can open", excerpt(text));
                judge.wrong(&key, what, "write platform/tenant, for example `console/local`");
            }
        }
    }
    rooms
}

/// The operator's own announcements, as plans name them: `announce-party` for `announce-party.md`.
pub(super) fn own_templates(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let stems = names.filter_map(|name| name.strip_suffix(".md").map(str::to_owned));
    stems.filter(|name| name.starts_with("announce-")).collect()
}

pub(super) fn announcements(
    judge: &mut Judge<'_>,
    planned: &[PlannedAnnouncement],
    own: &BTreeSet<String>,
) {
    let mut ids = BTreeSet::new();
    for (index, each) in planned.iter().enumerate() {
        let key = |field: &str| format!("announcement[{index}].{field}");
        judge.name(&key("audience"), "audience", "audiences", &each.audience);
        if !ids.insert(&each.id) {
            let what = format!("the announcement `{}` is there twice", each.id);
            judge.wrong(&key("id"), what, "give each an id of its own");
        }
        let known = || TEMPLATES.into_iter().chain(own.iter().map(String::as_str));
        if !known().any(|name| name == each.template) {
            let what = format!("there is no announcement template `{}`", excerpt(&each.template));
            judge.wrong(&key("template"), what, did_you_mean(&each.template, known()));
        }
    }
}

// ---------------------------------------------------------------------------------------------
// What a release must keep to

pub(super) fn checklist(judge: &mut Judge<'_>, file: &File) -> BTreeMap<String, Section> {
    let mut sections = BTreeMap::new();
    for (id, section) in &file.checklist {
        judge.slug(&format!("checklist.{id}"), "section", id);
        let mut names = BTreeSet::new();
        for (index, item) in section.items.iter().enumerate() {
            let key = format!("checklist.{id}.items[{index}]");
            if let Some(owner) = &item.owner {
                judge.name(&format!("{key}.owner"), "person", "people", owner.as_str());
            }
            let short = slug(&item.name);
            if short.is_empty() || !names.insert(short) {
                let what = format!("\"{}\" has no id of its own", excerpt(&item.name));
                let mend = "ids come from the letters a-z and digits of the name: choose another";
                judge.wrong(&format!("{key}.name"), what, mend);
            }
        }
        let items = section.items.iter().map(|item| planned(id, item)).collect();
        sections.insert(id.clone(), Section { title: section.title.clone(), items });
    }
    sections
}

fn planned(section: &str, item: &file::Item) -> PlannedItem {
    PlannedItem {
        section: section.to_owned(),
        name: item.name.clone(),
        owner: item.owner.clone(),
        evidence: item.evidence,
        limit: item.limit.clone(),
        phase: item.phase,
    }
}

pub(super) fn freezes(judge: &mut Judge<'_>, file: &File) -> Vec<PolicyFreeze> {
    let mut freezes = Vec::new();
    for (index, freeze) in file.freezes.iter().enumerate() {
        let key = |field: &str| format!("freeze[{index}].{field}");
        let from = moment(judge, &key("from"), &freeze.from, file.zone);
        let until = moment(judge, &key("until"), &freeze.until, file.zone);
        let (Some(from), Some(until)) = (from, until) else { continue };
        if from >= until {
            let mend = "let it end after it begins";
            judge.wrong(&key("until"), "the freeze is over before it begins", mend);
        }
        let id = freeze.id.clone().unwrap_or_else(|| format!("config-{}", index + 1));
        freezes.push(PolicyFreeze {
            id,
            from,
            until,
            reason: freeze.reason.clone(),
            service: freeze.service.clone(),
            environment: freeze.environment.clone(),
        });
    }
    freezes
}

/// A local time in the configuration's zone, a day (from its midnight), or an instant.
fn moment(judge: &mut Judge<'_>, key: &str, text: &str, zone: Zone) -> Option<Time> {
    if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let local = formats.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
    let Some(local) = local.or_else(day) else {
        let what = format!("\"{}\" is not a time", excerpt(text));
        judge.wrong(key, what, "write it as `2026-12-24 00:00`");
        return None;
    };
    match resolve(local, zone) {
        Ok(instant) => Some(instant),
        Err(why) => {
            let why = why.to_string();
            let (what, mend) = why.split_once(". ").unwrap_or((why.as_str(), ""));
            judge.wrong(key, what, mend.trim_end_matches('.').replace("Say", "say"));
            None
        }
    }
}

pub(super) fn rules(judge: &mut Judge<'_>, file: &File) {
    if let Some(role) = &file.rules.hotfix_approver {
        judge.name("rules.hotfix_approver", "role", "roles", role.as_str());
    }
}
