//! One file to set it all up: read whole, judged whole, and every mistake told with its line.
//!
//! Without a file the embedded default is used: a demo that runs on this machine alone.

mod actions;
mod discord;
mod document;
mod file;
mod flags;
mod gates;
mod judge;
mod mail;
mod metrics;
mod plans;
mod problem;
mod secret;
mod slack;
#[cfg(test)]
mod tests;
mod translate;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use document::Document;
use file::File;
use judge::Judge;

use crate::domain::flag;
use crate::domain::ids::PersonId;
use crate::domain::policy::Policy;

pub use actions::{Actions, Ending, ProgramAction, WebhookAction};
pub use discord::{DiscordMode, DiscordRegistration, DiscordTarget};
pub use file::{Channel, Log, LogFormat, MailTls, targets};
pub use flags::{FlagProgram, FlagProvider, UnleashTarget};
pub use gates::{FlaggerTarget, GateTargets, GitHubLogin, GitHubRepository, GitHubTarget};
pub use mail::{Mail, MailList};
pub use metrics::{
    MetricsAddress, MetricsLogin, MetricsProgram, MetricsTarget, QUERY_PLACEHOLDERS, with_samples,
};
pub use plans::{PlanFile, line_of, read_plan};
pub use problem::Problem;
pub use secret::Secret;
pub use slack::{SlackMode, SlackTarget};

/// Everything that the operator decides, with nothing left to doubt.
#[derive(Debug, Clone)]
pub struct Config {
    pub policy: Policy,
    pub server: Server,
    pub console: Console,
    pub slack: Option<SlackTarget>,
    pub discord: Option<DiscordTarget>,
    /// What the deploy backends may run and call.
    pub actions: Actions,
    /// Webhooks that get announcements, by name.
    pub couriers: BTreeMap<String, CourierTarget>,
    /// The mail server, and the lists that get announcements.
    pub mail: Option<Mail>,
    /// Who keeps feature flags, by name.
    pub flags: BTreeMap<String, FlagProvider>,
    /// Where measurements come from, by name.
    pub metrics: BTreeMap<String, MetricsTarget>,
    /// What plans may ask of them, by name.
    pub api_tokens: Vec<ApiToken>,
    /// Who may ask us before they go on.
    pub gates: GateTargets,
    /// Plans to schedule from, by name.
    pub plans: Vec<PlanFile>,
    /// Where they are, so that a new one is found without a restart; absent for the embedded ones.
    pub plans_directory: Option<PathBuf>,
    /// What is wrong with plans. It keeps nobody from starting: a broken plan must not take the bot
    /// down at night.
    pub plan_problems: Vec<Problem>,
    /// Templates of the operator's own, which win over the embedded ones.
    pub messages: Option<PathBuf>,
    /// Absolute.
    pub state: PathBuf,
    pub log: Log,
    /// Whether this is the embedded default: people can be switched, the clock can be moved.
    pub demo: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub listen: SocketAddr,
    /// Where others reach us, without a slash at the end.
    pub public_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Console {
    pub enabled: bool,
    pub bot: String,
    pub tenant: String,
    pub slash: String,
    pub channels: Vec<Channel>,
    pub people: Vec<ConsolePerson>,
    pub access: Access,
}

/// Somebody with an account on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsolePerson {
    /// The user of the account.
    pub id: String,
    pub person: PersonId,
    pub name: String,
    pub about: String,
}

/// Who somebody at the console is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Whoever they say they are. In the embedded default only.
    Switcher,
    /// The person of their token.
    Tokens(Vec<(PersonId, Secret)>),
}

/// A webhook that gets announcements.
#[derive(Debug, Clone, PartialEq)]
pub struct CourierTarget {
    pub url: String,
    pub secrets: Vec<Secret>,
    pub timeout: Duration,
}

/// A token of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    pub secret: Secret,
    pub who: Bearer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearer {
    Person(PersonId),
    Machine(String),
}

/// What a configuration may refer to and cannot know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The state directory from the command line; it wins over the file's.
    pub state: Option<PathBuf>,
    /// This program's own path: `{self}`.
    pub own_program: PathBuf,
    /// Where the demo's shop answers: `{demo_url}`.
    pub demo_url: Option<String>,
}

/// What is used without a file.
const EMBEDDED: &str = include_str!("../config/default.toml");
const EMBEDDED_NAME: &str = "the embedded default.toml";
const EMBEDDED_PLANS: [(&str, &str); 11] = [
    ("blue-green", include_str!("../config/plans/blue-green.toml")),
    ("canary", include_str!("../config/plans/canary.toml")),
    ("direct", include_str!("../config/plans/direct.toml")),
    ("flag-quick", include_str!("../config/plans/flag-quick.toml")),
    ("flag-slow", include_str!("../config/plans/flag-slow.toml")),
    ("flag", include_str!("../config/plans/flag.toml")),
    ("recreate", include_str!("../config/plans/recreate.toml")),
    ("rolling", include_str!("../config/plans/rolling.toml")),
    ("steps", include_str!("../config/plans/steps.toml")),
    ("team-first", include_str!("../config/plans/team-first.toml")),
    ("web-shop-v1.2.0", include_str!("../config/plans/web-shop-v1.2.0.toml")),
];

/// The configuration in a file, or the embedded default; or all that is wrong with it.
pub fn load(
    path: Option<&Path>,
    surroundings: &Surroundings,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Problem>> {
    let Some(path) = path else {
        return read(EMBEDDED, EMBEDDED_NAME, None, surroundings, env);
    };
    let name = path.display().to_string();
    let text = fs::read(path).map_err(|why| {
        let what = format!("I cannot read the configuration: {why}");
        vec![Problem::of_file(&name, what, "give its path with `--config`")]
    })?;
    let text = String::from_utf8(text).map_err(|why| {
        let line = why.as_bytes()[..why.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let what = "there is something here that is not UTF-8";
        let problem = Problem::of_file(&name, what, "save the file as UTF-8");
        vec![Problem { line: line + 1, ..problem }]
    })?;
    let base = path.parent().unwrap_or(Path::new(""));
    read(&text, &name, Some(base), surroundings, env)
}

/// `base` is where relative paths begin; without one it is the embedded default.
fn read(
    text: &str,
    name: &str,
    base: Option<&Path>,
    surroundings: &Surroundings,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Problem>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut document = Document::parse(text, name)?;
    let (file, misread) = document.read::<File>();
    let Some(file) = file else { return Err(in_order(misread)) };
    let mut judge = Judge {
        document: &document,
        surroundings,
        env,
        base: base.unwrap_or(Path::new("")),
        state: state(&file, base, surroundings),
        has_public_url: file.server.public_url.is_some(),
        misread: !misread.is_empty(),
        problems: Vec::new(),
    };
    let config = config(&mut judge, file, base.is_none());
    let meant = judge.problems.into_iter().filter(|problem| !follows(problem, &misread));
    let problems: Vec<Problem> = meant.chain(misread.iter().cloned()).collect();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        Some(_) | None => Err(in_order(problems)),
    }
}

/// Whether a mistake in what the file means only follows from one in how it is written.
fn follows(problem: &Problem, misread: &[Problem]) -> bool {
    misread.iter().any(|first| first.line == problem.line || is_within(&first.key, &problem.key))
}

/// `actions.a.kind` is within `actions.a`.
fn is_within(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| {
        (&a.file, a.line, a.column, &a.what).cmp(&(&b.file, b.line, b.column, &b.what))
    });
    problems.dedup();
    problems
}

fn state(file: &File, base: Option<&Path>, surroundings: &Surroundings) -> PathBuf {
    chosen_state(surroundings.state.as_deref(), file.state.dir.as_deref(), base)
}

/// The state directory, for whoever only knocks at the one who runs there: nothing else of the
/// configuration is looked at, nor has to be right.
pub fn state_of(file: Option<&Path>, chosen: Option<&Path>) -> PathBuf {
    let read = file.and_then(|file| std::fs::read_to_string(file).ok());
    let table = read.and_then(|text| text.parse::<toml::Table>().ok());
    let own = table.as_ref().and_then(|table| table.get("state")?.get("dir")?.as_str());
    chosen_state(chosen, own.map(Path::new), file.and_then(Path::parent))
}

/// From the command line, else from the file, where it is meant from the file's own folder.
fn chosen_state(chosen: Option<&Path>, own: Option<&Path>, base: Option<&Path>) -> PathBuf {
    let own = own.map(|dir| base.unwrap_or(Path::new("")).join(dir));
    let state = chosen.map(Path::to_owned).or(own).unwrap_or_else(|| ".tminus".into());
    // Actions run in directories of their own. Only an empty path has no absolute form.
    std::path::absolute(&state).unwrap_or(state)
}

fn config(judge: &mut Judge<'_>, file: File, demo: bool) -> Option<Config> {
    let people = judge::people(judge, &file);
    let roles = judge::roles(judge, &file);
    let (mut machines, mut api_tokens) = judge::machines(judge, &file);
    let gates = gates::gates(judge, &file);
    machines.extend(gates::machines(&gates));
    let (sections, mut actions) = actions::actions(judge, &file.actions);
    let providers = flags::flags(judge, &file);
    if !providers.is_empty() {
        actions.extend(flag::actions());
    }
    let console = judge::console(judge, &file, &api_tokens, demo);
    if let Access::Tokens(tokens) = &console.access {
        api_tokens.extend(tokens.iter().map(|(person, secret)| ApiToken {
            secret: secret.clone(),
            who: Bearer::Person(person.clone()),
        }));
    }
    let slack = slack::slack(judge, &file);
    slack::groups(judge, &file);
    let discord = discord::discord(judge, &file);
    discord::names(judge, &file);
    judge::audiences(judge, &file);
    let messages = directory(judge, "messages", file.messages.directory.as_deref());
    let templates = messages.as_deref().map(judge::own_templates).unwrap_or_default();
    judge::announcements(judge, &file.announcements, &templates);
    judge::rules(judge, &file);
    let policy = Policy {
        zone: file.zone,
        rooms: judge::rooms(judge, &file),
        checklist: judge::checklist(judge, &file),
        freezes: judge::freezes(judge, &file),
        holidays: file.holidays.clone(),
        people,
        roles,
        machines,
        actions,
        audiences: file.audiences.clone(),
        flags: providers.iter().map(|(name, own)| (name.clone(), own.seen())).collect(),
        metrics: metrics::known_sources(&file),
        queries: metrics::queries(judge, &file),
        announcements: file.announcements.clone(),
        templates,
        timing: file.timing.clone(),
        rules: file.rules.clone(),
        public_url: file.server.public_url.as_deref().map(page),
        accounts: Default::default(),
    };
    let (plans, plans_directory, plan_problems) = plans(judge, &file, demo);
    Some(Config {
        policy,
        console,
        slack,
        discord,
        actions: sections,
        couriers: judge::couriers(judge, &file),
        mail: mail::mail(judge, &file),
        flags: providers,
        metrics: metrics::sources(judge, &file),
        api_tokens,
        gates,
        plans,
        plans_directory,
        plan_problems,
        messages,
        state: judge.state.clone(),
        server: server(judge, &file)?,
        log: judge::log(judge, file.log),
        demo,
    })
}

/// Where people open our own page.
fn page(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn server(judge: &mut Judge<'_>, file: &File) -> Option<Server> {
    let listen = &file.server.listen;
    let public_url = file.server.public_url.as_deref().map(|url| {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let what = format!("`{}` is not an address", problem::excerpt(url));
            judge.wrong("server.public_url", what, "write `https://…`");
        }
        page(url)
    });
    match listen.parse() {
        Ok(listen) => Some(Server { listen, public_url }),
        Err(_) => {
            let what = format!("`{}` is not an address to listen on", problem::excerpt(listen));
            judge.wrong("server.listen", what, "write address:port, such as `127.0.0.1:7777`");
            None
        }
    }
}

fn plans(
    judge: &mut Judge<'_>,
    file: &File,
    demo: bool,
) -> (Vec<PlanFile>, Option<PathBuf>, Vec<Problem>) {
    if demo {
        let (found, problems) = embedded_plans();
        return (found, None, problems);
    }
    let own = directory(judge, "plans", file.plans.directory.as_deref());
    let own = own.unwrap_or_else(|| judge.base.join("plans"));
    let (found, problems) = plans::in_directory(&own);
    (found, Some(own), problems)
}

fn embedded_plans() -> (Vec<PlanFile>, Vec<Problem>) {
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    for (name, text) in EMBEDDED_PLANS {
        let file = format!("the embedded plans/{name}.toml");
        match plans::plan_file(name.to_owned(), file, text.to_owned()) {
            Ok(plan) => plans.push(plan),
            Err(more) => problems.extend(more),
        }
    }
    (plans, problems)
}

/// A directory that the file names must be there.
fn directory(judge: &mut Judge<'_>, section: &str, named: Option<&Path>) -> Option<PathBuf> {
    let path = judge.base.join(named?);
    if !path.is_dir() {
        let what = format!("there is no directory {}", path.display());
        let mend = "create it, or name another; relative paths begin at this file";
        judge.wrong(&format!("{section}.directory"), what, mend);
    }
    Some(path)
}
