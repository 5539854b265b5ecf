//! Who may ask us before they go on: `[gates.flagger]` and `[gates.github]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::file::{self, File};
use super::judge::Judge;
use super::problem::excerpt;
use super::secret::Secret;
use crate::domain::ids::is_slug;
use crate::domain::policy::Right;

/// The gates that we serve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GateTargets {
    pub flagger: Option<FlaggerTarget>,
    pub github: Option<GitHubTarget>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FlaggerTarget {
    pub token: Secret,
    /// `namespace/name` to service and environment.
    pub canaries: BTreeMap<String, (String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GitHubTarget {
    /// While one is replaced there are two.
    pub secrets: Vec<Secret>,
    pub login: GitHubLogin,
    /// Without a slash at the end.
    pub api_url: String,
    /// By `owner/name`.
    pub repositories: BTreeMap<String, GitHubRepository>,
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum GitHubLogin {
    Token(Secret),
    App { id: u64, key: Secret },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubRepository {
    pub service: String,
    pub environments: BTreeMap<String, String>,
}

const FLAGGER: &str = "gates.flagger";
const GITHUB: &str = "gates.github";

pub(super) fn gates(judge: &mut Judge<'_>, file: &File) -> GateTargets {
    let flagger = file.gates.flagger.as_ref().and_then(|own| flagger(judge, file, own));
    let github = file.gates.github.as_ref().and_then(|own| github(judge, file, own));
    GateTargets { flagger, github }
}

/// What those who ask may do besides asking: what Flagger does is told in the war room.
pub(super) fn machines(targets: &GateTargets) -> BTreeMap<String, BTreeSet<Right>> {
    let flagger = targets.flagger.iter();
    flagger.map(|_| ("flagger".to_owned(), BTreeSet::from([Right::Update]))).collect()
}

/// What a gate is called in the log.
fn is_nobodys(judge: &mut Judge<'_>, file: &File, gate: &str) {
    if file.machines.contains_key(gate) {
        let what = format!("the name `{gate}` is that of [gates.{gate}]");
        judge.wrong(&format!("machines.{gate}"), what, "choose another name");
    }
}

fn flagger(judge: &mut Judge<'_>, file: &File, own: &file::Flagger) -> Option<FlaggerTarget> {
    is_nobodys(judge, file, "flagger");
    let mut canaries = BTreeMap::new();
    for (canary, target) in &own.canaries {
        let key = format!("{FLAGGER}.canaries.{canary}");
        let parts: Vec<_> = canary.split('/').collect();
        if !matches!(parts.as_slice(), [namespace, name] if is_dns(namespace) && is_dns(name)) {
            let what = format!("`{}` is not a canary", excerpt(canary));
            judge.wrong(&key, what, "write `\"namespace/name\" = \"service\"`");
        }
        let (service, environment) = target.split_once('/').unwrap_or((target, "production"));
        if !is_slug(service) || !is_slug(environment) {
            let what = format!("`{}` is not a service of ours", excerpt(target));
            judge.wrong(&key, what, "write `\"service\"` or `\"service/environment\"`");
        }
        canaries.insert(canary.clone(), (service.to_owned(), environment.to_owned()));
    }
    let token = judge.token(&format!("{FLAGGER}.token"), &own.token)?;
    Some(FlaggerTarget { token, canaries })
}

/// As Kubernetes names things.
fn is_dns(name: &str) -> bool {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (1..=253).contains(&name.len()) && name.bytes().all(sound)
}

fn github(judge: &mut Judge<'_>, file: &File, own: &file::GitHubGate) -> Option<GitHubTarget> {
    is_nobodys(judge, file, "github");
    let secret = judge.token(&format!("{GITHUB}.secret"), &own.secret);
    let previous = own.previous_secret.as_ref();
    let previous =
        previous.and_then(|from| judge.token(&format!("{GITHUB}.previous_secret"), from));
    let api_url = own.api_url.as_deref().unwrap_or("https://api.github.com");
    let api_url = judge.address(&format!("{GITHUB}.api_url"), api_url);
    let repositories = repositories(judge, own);
    if !judge.has_public_url {
        let mend = "set `public_url` in [server]; GitHub posts to it, at /gates/github";
        judge.wrong(GITHUB, "GitHub has to know where to call us", mend);
    }
    let login = login(judge, own);
    Some(GitHubTarget {
        secrets: std::iter::once(secret?).chain(previous).collect(),
        login: login?,
        api_url: api_url.trim_end_matches('/').to_owned(),
        repositories,
        timeout: own.timeout.into(),
    })
}

fn repositories(
    judge: &mut Judge<'_>,
    own: &file::GitHubGate,
) -> BTreeMap<String, GitHubRepository> {
    if own.repositories.is_empty() && !judge.misread {
        let mend = "add [gates.github.repositories.\"owner/name\"] with its `service`";
        judge.wrong(GITHUB, "no repository may ask", mend);
    }
    let mut repositories = BTreeMap::new();
    for (name, repository) in &own.repositories {
        let key = format!("{GITHUB}.repositories.{name}");
        let parts: Vec<_> = name.split('/').collect();
        let sound = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !matches!(parts.as_slice(), [owner, name] if sound(owner) && sound(name)) {
            let what = format!("`{}` is not a repository", excerpt(name));
            judge.wrong(&key, what, "write `owner/name`");
        }
        judge.slug(&format!("{key}.service"), "service", &repository.service);
        for (theirs, ours) in &repository.environments {
            judge.slug(&format!("{key}.environments.{theirs}"), "environment", ours);
        }
        let (service, environments) = (repository.service.clone(), repository.environments.clone());
        repositories.insert(name.clone(), GitHubRepository { service, environments });
    }
    repositories
}

fn login(judge: &mut Judge<'_>, own: &file::GitHubGate) -> Option<GitHubLogin> {
    let token = own.token.as_ref();
    let key = own.private_key.as_ref();
    match (token, own.app, key) {
        (Some(token), None, None) => {
            judge.secret(&format!("{GITHUB}.token"), token).map(GitHubLogin::Token)
        }
        (None, Some(id), Some(key)) => {
            let key_name = format!("{GITHUB}.private_key");
            let key = judge.secret(&key_name, key)?;
            if !key.expose().starts_with("-----BEGIN") {
                let mend = "give the .pem file that the App's page lets you download";
                judge.wrong(&key_name, "that is not a private key", mend);
            }
            Some(GitHubLogin::App { id, key })
        }
        (None, None, None) if judge.misread => None,
        (Some(_), _, _) => {
            let what = "there are two ways to log in";
            judge.wrong(&format!("{GITHUB}.token"), what, "leave out `token`, or the others");
            None
        }
        (None, Some(_), None) => {
            let mend = "add `private_key = { file = \"github-app.pem\" }`";
            judge.wrong(&format!("{GITHUB}.app"), "there is an App and no key of its", mend);
            None
        }
        (None, None, Some(_)) => {
            let mend = "add `app`, the number from the App's page";
            judge.wrong(&format!("{GITHUB}.private_key"), "there is a key and no App", mend);
            None
        }
        (None, None, None) => {
            let mend = "add `app` and `private_key`, from the page of the GitHub App";
            judge.wrong(GITHUB, "there is no way to answer GitHub", mend);
            None
        }
    }
}
