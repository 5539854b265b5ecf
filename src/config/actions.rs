//! Actions: what the operator lets plans run. For the backends with everything, for the policy
//! without secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::file::{Action, ActionKind, OutcomeBy, SecretFrom, ten_seconds};
use super::flags;
use super::judge::Judge;
use super::problem::excerpt;
use super::secret::Secret;
use crate::domain::argument::{self, is_name};
use crate::domain::ids::{ActionName, is_slug};
use crate::domain::policy;
use crate::domain::time::Span;

/// The sections of the backends, by the action's name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actions {
    pub programs: BTreeMap<String, ProgramAction>,
    pub webhooks: BTreeMap<String, WebhookAction>,
}

/// A program that may be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramAction {
    /// The program and its arguments; `{name}` inside of an argument is filled by the step.
    pub command: Vec<String>,
    pub directory: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    /// Variables that are passed on from our own environment.
    pub pass_environment: Vec<String>,
    /// Variables whose values are hidden in all output.
    pub secrets: BTreeMap<String, Secret>,
    /// Asked for the outcome of a run that nobody saw end.
    pub status: Option<Vec<String>>,
    pub limit: Duration,
}

/// An address that may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookAction {
    pub url: String,
    /// The one to sign with first; the one before it while it is replaced.
    pub secrets: Vec<Secret>,
    /// Hosts that may be called; none means that of `url`.
    pub hosts: Vec<String>,
    /// For each single request.
    pub timeout: Duration,
    pub ending: Ending,
    pub limit: Duration,
}

/// How the outcome is learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The answer to the request says it.
    Answer,
    Callback,
    Poll {
        url: String,
        every: Duration,
    },
}

pub(super) fn actions(
    judge: &mut Judge<'_>,
    files: &BTreeMap<String, Action>,
) -> (Actions, BTreeMap<ActionName, policy::Action>) {
    let (mut sections, mut known) = (Actions::default(), BTreeMap::new());
    for (name, file) in files {
        let key = format!("actions.{name}");
        if !is_slug(name) {
            let what = format!("`{}` cannot be the name of an action", excerpt(name));
            judge.wrong(&key, what, "use lower-case letters, digits and dashes");
        }
        if flags::ACTIONS.contains(&name.as_str()) {
            let what = format!("`{name}` is an action of the program itself");
            judge.wrong(&key, what, "give it another name; providers of flags are in [flags]");
        }
        strangers(judge, &key, file);
        let seen = match file.kind {
            ActionKind::Program => program(judge, &key, file).map(|(section, seen)| {
                sections.programs.insert(name.clone(), section);
                seen
            }),
            ActionKind::Webhook => webhook(judge, &key, file).map(|(section, seen)| {
                sections.webhooks.insert(name.clone(), section);
                seen
            }),
        };
        known.extend(seen.map(|seen| (ActionName::new(name.as_str()), seen)));
    }
    (sections, known)
}

/// Keys that belong to the other kind of action.
fn strangers(judge: &mut Judge<'_>, key: &str, file: &Action) {
    let program = [
        ("command", file.command.is_some()),
        ("directory", file.directory.is_some()),
        ("environment", file.environment.is_some()),
        ("pass_environment", file.pass_environment.is_some()),
        ("secrets", file.secrets.is_some()),
        ("status", file.status.is_some()),
    ];
    let webhook = [
        ("url", file.url.is_some()),
        ("secret", file.secret.is_some()),
        ("previous_secret", file.previous_secret.is_some()),
        ("hosts", file.hosts.is_some()),
        ("timeout", file.timeout.is_some()),
        ("outcome", file.outcome.is_some()),
        ("poll_url", file.poll_url.is_some()),
        ("poll_every", file.poll_every.is_some()),
        ("placeholders", file.placeholders.is_some()),
    ];
    let (own, other, strange) = match file.kind {
        ActionKind::Program => ("program", "webhook", webhook.as_slice()),
        ActionKind::Webhook => ("webhook", "program", program.as_slice()),
    };
    for (field, _) in strange.iter().filter(|(_, is_there)| *is_there) {
        let what = format!("`{field}` has no meaning for kind = \"{own}\"");
        let mend = format!("leave it out, or say kind = \"{other}\"");
        judge.wrong(&format!("{key}.{field}"), what, mend);
    }
}

fn program(
    judge: &mut Judge<'_>,
    key: &str,
    file: &Action,
) -> Option<(ProgramAction, policy::Action)> {
    let command = file.command.as_deref().unwrap_or_default();
    if command.is_empty() || command[0].is_empty() {
        let what = format!("[{key}] has no command, so there is nothing to run");
        judge.wrong(key, what, "add `command = [\"/usr/local/bin/deploy\", \"{version}\"]`");
        return None;
    }
    let command = texts(judge, &format!("{key}.command"), command);
    if !placeholders(&command[0]).is_empty() {
        let what = "the program itself must not be a placeholder: a plan would choose what is run";
        judge.wrong(&format!("{key}.command"), what, "name the program");
    }
    let status = file.status.as_deref();
    let status = status.map(|status| texts(judge, &format!("{key}.status"), status));
    let directory = file.directory.as_deref();
    let directory = directory.map(|directory| {
        let directory = text(judge, &format!("{key}.directory"), directory);
        judge.base.join(directory)
    });
    let mut environment = BTreeMap::new();
    for (name, value) in file.environment.iter().flatten() {
        let value = text(judge, &format!("{key}.environment.{name}"), value);
        environment.insert(name.clone(), value);
    }
    let secrets = file.secrets.iter().flatten();
    let secrets = secrets.filter_map(|(name, from)| {
        Some((name.clone(), judge.secret(&format!("{key}.secrets.{name}"), from)?))
    });
    let section = ProgramAction {
        secrets: secrets.collect(),
        environment,
        directory,
        pass_environment: file.pass_environment.clone().unwrap_or_default(),
        limit: file.limit.into(),
        command,
        status,
    };
    let arguments = section.command.iter().chain(section.status.iter().flatten());
    let names = arguments.flat_map(|argument| placeholders(argument));
    let mut seen = seen(file, rendered(&section.command), names.collect());
    seen.has_status = section.status.is_some();
    Some((section, seen))
}

fn webhook(
    judge: &mut Judge<'_>,
    key: &str,
    file: &Action,
) -> Option<(WebhookAction, policy::Action)> {
    let Some(url) = file.url.as_deref() else {
        let what = format!("[{key}] has no url, so there is nothing to ask");
        judge.wrong(key, what, "add `url = \"https://…\"`");
        return None;
    };
    let url = judge.address(&format!("{key}.url"), url);
    let secrets = signing(judge, key, file.secret.as_ref(), file.previous_secret.as_ref());
    let ending = ending(judge, key, file);
    let mut names: BTreeSet<String> = file.placeholders.clone().unwrap_or_default();
    if let Ending::Poll { url, .. } = &ending {
        names.extend(placeholders(url));
    }
    let mut seen = seen(file, format!("POST {url}"), names);
    seen.has_status = matches!(ending, Ending::Poll { .. });
    let section = WebhookAction {
        hosts: file.hosts.clone().unwrap_or_default(),
        timeout: file.timeout.unwrap_or_else(ten_seconds).into(),
        limit: file.limit.into(),
        url,
        secrets,
        ending,
    };
    Some((section, seen))
}

/// The secrets of a webhook: every one is signed, so that the receiver knows who asks.
pub(super) fn signing(
    judge: &mut Judge<'_>,
    key: &str,
    secret: Option<&SecretFrom>,
    previous: Option<&SecretFrom>,
) -> Vec<Secret> {
    if secret.is_none() {
        let what = format!("[{key}] has no secret to sign with");
        judge.wrong(key, what, "add `secret = { env = \"NAME\" }`");
    }
    let named = [("secret", secret), ("previous_secret", previous)];
    let named = named.into_iter().filter_map(|(name, from)| Some((name, from?)));
    named.filter_map(|(name, from)| signing_secret(judge, &format!("{key}.{name}"), from)).collect()
}

/// As Standard Webhooks writes them: a shorter one would weaken every signature.
fn signing_secret(judge: &mut Judge<'_>, key: &str, from: &SecretFrom) -> Option<Secret> {
    let secret = judge.secret(key, from)?;
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let is_good = |key: &str| key.len() >= 32 && key.chars().all(base64);
    if !secret.expose().strip_prefix("whsec_").is_some_and(is_good) {
        let what = "a secret to sign with is `whsec_` and the base64 of at least 24 bytes";
        judge.wrong(key, what, "make one with `echo whsec_$(openssl rand -base64 32)`");
    }
    Some(secret)
}

fn ending(judge: &mut Judge<'_>, key: &str, file: &Action) -> Ending {
    match (file.outcome.unwrap_or_default(), &file.poll_url) {
        (OutcomeBy::Poll, Some(url)) => {
            let url = judge.address(&format!("{key}.poll_url"), url);
            if file.url.as_deref().is_some_and(|own| origin(own) != origin(&url)) {
                let what = "the address to ask is on another host than `url`";
                judge.wrong(&format!("{key}.poll_url"), what, "an outcome is asked where it began");
            }
            Ending::Poll { url, every: file.poll_every.unwrap_or(Span::seconds(5)).into() }
        }
        (OutcomeBy::Poll, None) => {
            let mend = "add `poll_url = \"https://…/{key}\"`";
            judge.wrong(&format!("{key}.outcome"), "there is no address to ask", mend);
            Ending::Answer
        }
        (OutcomeBy::Callback, _) => {
            if !judge.has_public_url {
                let what = "a callback needs an address at which we can be reached";
                let mend = "add `public_url = \"https://…\"` to [server]";
                judge.wrong(&format!("{key}.outcome"), what, mend);
            }
            Ending::Callback
        }
        (OutcomeBy::Answer, _) => Ending::Answer,
    }
}

/// `https://host:port`.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |end| host + end);
    &url[..end]
}

fn seen(file: &Action, shows: String, mut placeholders: BTreeSet<String>) -> policy::Action {
    // The key of the run is ours to give.
    placeholders.remove("key");
    policy::Action {
        shows,
        placeholders,
        limit: file.limit,
        repeat_safe: file.repeat_safe,
        has_status: false,
        from_chat: file.from_chat,
    }
}

pub(super) fn texts(judge: &mut Judge<'_>, key: &str, list: &[String]) -> Vec<String> {
    let each = list.iter().enumerate();
    each.map(|(index, item)| text(judge, &format!("{key}[{index}]"), item)).collect()
}

/// Fills what is known when the configuration is read, and leaves what each step fills.
pub(super) fn text(judge: &mut Judge<'_>, key: &str, text: &str) -> String {
    let mut filled = text.to_owned();
    let around = judge.surroundings;
    let program = around.own_program.display().to_string();
    let state = judge.state.display().to_string();
    filled = filled.replace("{self}", &program).replace("{state}", &state);
    if text.contains("{demo_url}") {
        match &around.demo_url {
            Some(url) => filled = filled.replace("{demo_url}", url),
            None => {
                let what = "`{demo_url}` is known only where the program brings its own demo";
                judge.wrong(key, what, "write the address");
            }
        }
    }
    if let Some(name) = unclosed(text) {
        let what = format!("the placeholder `{{{name}` is not closed");
        judge.wrong(key, what, format!("write `{{{name}}}`"));
    }
    filled
}

pub(super) fn placeholders(text: &str) -> BTreeSet<String> {
    argument::placeholders(text).into_iter().map(str::to_owned).collect()
}

fn unclosed(text: &str) -> Option<&str> {
    let (_, last) = text.rsplit_once('{')?;
    let name = last.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next()?;
    (!last.contains('}') && is_name(name)).then_some(name)
}

/// The command as one would type it.
fn rendered(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,{}".contains(c);
    let each = command.iter().map(|argument| {
        let is_plain = !argument.is_empty() && argument.chars().all(plain);
        if is_plain { argument.clone() } else { format!("'{}'", argument.replace('\'', "'\\''")) }
    });
    each.collect::<Vec<_>>().join(" ")
}
