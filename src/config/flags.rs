//! Feature flags: who keeps them, and how they are reached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::actions::{placeholders, text, texts};
use super::file::{File, FlagKind, FlagProvider as Own, ten_seconds};
use super::judge::Judge;
use super::secret::Secret;
use crate::domain::{flag, policy};

/// A provider of feature flags.
#[derive(Debug, Clone, PartialEq)]
pub enum FlagProvider {
    /// A file as flagd reads it.
    File {
        path: PathBuf,
    },
    Unleash(UnleashTarget),
    Program(FlagProgram),
}

impl FlagProvider {
    /// What the rules have to know of it.
    pub(super) fn seen(&self) -> policy::FlagProvider {
        policy::FlagProvider { whole_percents: matches!(self, Self::Unleash(_)) }
    }
}

/// An environment of a project of Unleash.
#[derive(Debug, Clone, PartialEq)]
pub struct UnleashTarget {
    pub url: String,
    pub project: String,
    pub environment: String,
    pub token: Secret,
    /// For each single request.
    pub timeout: Duration,
}

/// Programs that reach any other provider.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagProgram {
    pub set: Vec<String>,
    pub kill: Vec<String>,
    pub state: Vec<String>,
    pub directory: Option<PathBuf>,
    /// Variables that are passed on from our own environment.
    pub pass_environment: Vec<String>,
    /// Variables whose values are hidden in all output.
    pub secrets: BTreeMap<String, Secret>,
    /// For each single command.
    pub timeout: Duration,
}

/// The actions that change a flag. They are there without a section, so none may take their names.
pub(super) const ACTIONS: [&str; 2] = [flag::SET, flag::KILL];

pub(super) fn flags(judge: &mut Judge<'_>, file: &File) -> BTreeMap<String, FlagProvider> {
    let mut providers = BTreeMap::new();
    for (name, own) in &file.flags {
        let key = format!("flags.{name}");
        judge.slug(&key, "flag provider", name);
        strangers(judge, &key, own);
        let provider = match own.kind {
            FlagKind::File => flag_file(judge, &key, own),
            FlagKind::Unleash => unleash(judge, &key, own),
            FlagKind::Program => program(judge, &key, own),
        };
        let Some(provider) = provider else { continue };
        let same = |(_, known): &(&String, &FlagProvider)| **known == provider;
        if let Some((other, _)) = providers.iter().find(same) {
            let what = format!("[{key}] and [flags.{other}] are one and the same");
            judge.wrong(&key, what, "leave one of them out");
        }
        providers.insert(name.clone(), provider);
    }
    providers
}

/// Keys that belong to another kind of provider.
fn strangers(judge: &mut Judge<'_>, key: &str, own: &Own) {
    use FlagKind::{File, Program, Unleash};
    let all: [(&str, bool, &[FlagKind]); 11] = [
        ("path", own.path.is_some(), &[File]),
        ("url", own.url.is_some(), &[Unleash]),
        ("project", own.project.is_some(), &[Unleash]),
        ("environment", own.environment.is_some(), &[Unleash]),
        ("token", own.token.is_some(), &[Unleash]),
        ("timeout", own.timeout.is_some(), &[Unleash, Program]),
        ("set", own.set.is_some(), &[Program]),
        ("kill", own.kill.is_some(), &[Program]),
        ("state", own.state.is_some(), &[Program]),
        ("directory", own.directory.is_some(), &[Program]),
        ("pass_environment", own.pass_environment.is_some(), &[Program]),
    ];
    let secrets = ("secrets", own.secrets.is_some(), [Program].as_slice());
    for (field, is_there, kinds) in all.into_iter().chain([secrets]) {
        if is_there && !kinds.contains(&own.kind) {
            let what = format!("`{field}` has no meaning for kind = \"{}\"", own.kind.word());
            let other = kinds.iter().map(|kind| format!("\"{}\"", kind.word()));
            let other = other.collect::<Vec<_>>().join(" or ");
            let mend = format!("leave it out, or say kind = {other}");
            judge.wrong(&format!("{key}.{field}"), what, mend);
        }
    }
}

fn missing(judge: &mut Judge<'_>, key: &str, field: &str, example: &str) {
    if !judge.misread {
        let what = format!("[{key}] has no `{field}`");
        judge.wrong(key, what, format!("add `{field} = {example}`"));
    }
}

fn flag_file(judge: &mut Judge<'_>, key: &str, own: &Own) -> Option<FlagProvider> {
    let Some(path) = &own.path else {
        missing(judge, key, "path", "\"flags.json\"");
        return None;
    };
    let path = judge.base.join(text(judge, &format!("{key}.path"), path));
    if path.is_dir() {
        let what = format!("{} is a directory", path.display());
        judge.wrong(&format!("{key}.path"), what, "name the file in it");
    }
    Some(FlagProvider::File { path: std::path::absolute(&path).unwrap_or(path) })
}

fn unleash(judge: &mut Judge<'_>, key: &str, own: &Own) -> Option<FlagProvider> {
    let url = match &own.url {
        Some(url) => Some(address(judge, &format!("{key}.url"), url)),
        None => {
            missing(judge, key, "url", "\"https://unleash.example\"");
            None
        }
    };
    let environment = own.environment.clone().filter(|name| !name.is_empty());
    if environment.is_none() {
        missing(judge, key, "environment", "\"production\"");
    }
    if own.token.is_none() {
        missing(judge, key, "token", "{ env = \"NAME\" }");
    }
    let token = own.token.as_ref();
    let token = token.and_then(|from| judge.secret(&format!("{key}.token"), from));
    if let Some(token) = &token
        && !token.expose().bytes().all(|byte| byte.is_ascii_graphic())
    {
        let what = "the token has characters that no token of Unleash has";
        judge.wrong(&format!("{key}.token"), what, "put it there as Unleash showed it");
    }
    Some(FlagProvider::Unleash(UnleashTarget {
        url: url?,
        project: own.project.clone().unwrap_or_else(|| "default".to_owned()),
        environment: environment?,
        token: token?,
        timeout: own.timeout.unwrap_or_else(ten_seconds).into(),
    }))
}

/// What clients are given ends in `/api`; the admin API begins beside it.
fn address(judge: &mut Judge<'_>, key: &str, url: &str) -> String {
    let url = judge.address(key, url.trim_end_matches('/'));
    if url.ends_with("/api") {
        let what = "this is the address for clients";
        judge.wrong(key, what, "leave out `/api`");
    }
    url
}

fn program(judge: &mut Judge<'_>, key: &str, own: &Own) -> Option<FlagProvider> {
    let both = ["flag", "percent"].as_slice();
    let set = command(judge, key, "set", own.set.as_deref(), both);
    let kill = command(judge, key, "kill", own.kill.as_deref(), &both[..1]);
    let state = command(judge, key, "state", own.state.as_deref(), &both[..1]);
    let directory = own.directory.as_deref().map(|directory| {
        let directory = text(judge, &format!("{key}.directory"), directory);
        judge.base.join(directory)
    });
    let secrets = own.secrets.iter().flatten();
    let secrets = secrets.filter_map(|(name, from)| {
        Some((name.clone(), judge.secret(&format!("{key}.secrets.{name}"), from)?))
    });
    Some(FlagProvider::Program(FlagProgram {
        secrets: secrets.collect(),
        set: set?,
        kill: kill?,
        state: state?,
        directory,
        pass_environment: own.pass_environment.clone().unwrap_or_default(),
        timeout: own.timeout.unwrap_or_else(ten_seconds).into(),
    }))
}

fn command(
    judge: &mut Judge<'_>,
    key: &str,
    field: &str,
    own: Option<&[String]>,
    needs: &[&str],
) -> Option<Vec<String>> {
    let named = needs.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>();
    let Some(own) = own.filter(|own| own.first().is_some_and(|program| !program.is_empty())) else {
        let more = named.iter().map(|name| format!(", \"{name}\"")).collect::<String>();
        missing(judge, key, field, &format!("[\"/usr/local/bin/flag-{field}\"{more}]"));
        return None;
    };
    let key = format!("{key}.{field}");
    let own = texts(judge, &key, own);
    if !placeholders(&own[0]).is_empty() {
        let what = "the program itself must not be a placeholder: a plan would choose what is run";
        judge.wrong(&key, what, "name the program");
    }
    let asked: BTreeSet<String> = own.iter().flat_map(|part| placeholders(part)).collect();
    let odd = asked.iter().find(|name| !needs.contains(&name.as_str()));
    if let Some(odd) = odd {
        let what = format!("`{{{odd}}}` is not known here");
        judge.wrong(&key, what, format!("`{field}` is given {}", named.join(" and ")));
    }
    for (need, written) in needs.iter().zip(&named) {
        if !asked.contains(*need) {
            let what =
                format!("the command does not say `{written}`, so it cannot know the {need}");
            judge.wrong(&key, what, format!("pass `{written}` to it"));
        }
    }
    Some(own)
}
