//! What may stand in the configuration file, as it is written. What it means is judged afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::domain::checklist::Limit;
use crate::domain::ids::{Account, PersonId, Role};
use crate::domain::plan::{EvidenceKind, ItemPhase, PlannedAnnouncement};
use crate::domain::policy::{Destination, Right, Rules, Timing};
use crate::domain::time::Span;
use crate::domain::zone::Zone;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "utc")]
    pub(super) zone: Zone,
    #[serde(default)]
    pub(super) server: Server,
    #[serde(default)]
    pub(super) state: State,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) console: Console,
    pub(super) discord: Option<super::discord::Table>,
    #[serde(default)]
    pub(super) slack: Option<Slack>,
    #[serde(default)]
    pub(super) people: BTreeMap<PersonId, Person>,
    #[serde(default)]
    pub(super) roles: BTreeMap<Role, RoleFile>,
    #[serde(default)]
    pub(super) audiences: BTreeMap<String, Vec<Destination>>,
    #[serde(default)]
    pub(super) rooms: Rooms,
    #[serde(default)]
    pub(super) actions: BTreeMap<String, Action>,
    #[serde(default)]
    pub(super) webhooks: BTreeMap<String, Webhook>,
    pub(super) mail: Option<Mail>,
    #[serde(default)]
    pub(super) flags: BTreeMap<String, FlagProvider>,
    #[serde(default)]
    pub(super) metrics: BTreeMap<String, Source>,
    #[serde(default)]
    pub(super) queries: BTreeMap<String, Query>,
    #[serde(default)]
    pub(super) machines: BTreeMap<String, Machine>,
    #[serde(default)]
    pub(super) gates: Gates,
    #[serde(default)]
    pub(super) timing: Timing,
    #[serde(default)]
    pub(super) rules: Rules,
    #[serde(default, rename = "announcement")]
    pub(super) announcements: Vec<PlannedAnnouncement>,
    #[serde(default)]
    pub(super) checklist: BTreeMap<String, Section>,
    #[serde(default, rename = "freeze")]
    pub(super) freezes: Vec<Freeze>,
    #[serde(default)]
    pub(super) holidays: std::collections::BTreeSet<chrono::NaiveDate>,
    #[serde(default)]
    pub(super) plans: Directory,
    #[serde(default)]
    pub(super) messages: Directory,
}

fn utc() -> Zone {
    Zone::utc()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) listen: String,
    pub(super) public_url: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: "127.0.0.1:7777".into(), public_url: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct State {
    pub(super) dir: Option<PathBuf>,
}

/// How the program logs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// `info`, `info,tminus=debug`.
    pub filter: String,
}

/// What a filter lets through, or the part of it that is none: a level for all, and levels of targets.
/// Stricter than `Targets` itself, to which a mistake is the name of a target that nobody has.
pub fn targets(filter: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    let mut is_empty = true;
    for piece in filter.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let level = |text: &str| match text.trim() {
            "" => Err(piece.to_owned()),
            level => LevelFilter::from_str(level).map_err(|_| piece.to_owned()),
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_:-.".contains(c);
        targets = match piece.split_once('=') {
            None => targets.with_default(level(piece)?),
            Some((target, of)) if !target.is_empty() && target.trim().chars().all(is_part) => {
                targets.with_target(target.trim(), level(of)?)
            }
            Some(_) => return Err(piece.to_owned()),
        };
        is_empty = false;
    }
    if is_empty { Err(filter.to_owned()) } else { Ok(targets) }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Console {
    pub(super) enabled: bool,
    pub(super) bot: String,
    pub(super) tenant: String,
    pub(super) slash: String,
    #[serde(rename = "channel")]
    pub(super) channels: Vec<Channel>,
    pub(super) tokens: BTreeMap<PersonId, SecretFrom>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            enabled: true,
            bot: "tminus".into(),
            tenant: "local".into(),
            slash: "/release".into(),
            channels: Vec::new(),
            tokens: BTreeMap::new(),
        }
    }
}

/// A channel of the console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub purpose: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slack {
    pub(super) team: String,
    pub(super) enterprise: Option<String>,
    pub(super) bot_token: SecretFrom,
    pub(super) app_token: Option<SecretFrom>,
    pub(super) signing_secret: Option<SecretFrom>,
    #[serde(default)]
    pub(super) mode: SlackMode,
    #[serde(default = "release")]
    pub(super) slash: String,
    pub(super) api_url: Option<String>,
    #[serde(default = "ten_seconds")]
    pub(super) timeout: Span,
    #[serde(default = "ten_seconds")]
    pub(super) lag: Span,
}

fn release() -> String {
    "/release".into()
}

/// How what people do in Slack reaches us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlackMode {
    #[default]
    Socket,
    Http,
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    pub(super) name: String,
    #[serde(default)]
    pub(super) accounts: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleFile {
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) members: Vec<PersonId>,
    #[serde(default)]
    pub(super) groups: BTreeSet<String>,
    #[serde(default)]
    pub(super) may: BTreeSet<Right>,
    #[serde(default)]
    pub(super) required: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rooms {
    pub(super) platforms: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ActionKind {
    Program,
    Webhook,
}

/// Both kinds in one, so that a key in the wrong place can be told from one that does not exist.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    #[serde(default = "program")]
    pub(super) kind: ActionKind,
    #[serde(default = "ten_minutes")]
    pub(super) limit: Span,
    #[serde(default)]
    pub(super) repeat_safe: bool,
    #[serde(default)]
    pub(super) from_chat: bool,
    // A program.
    pub(super) command: Option<Vec<String>>,
    pub(super) directory: Option<String>,
    pub(super) environment: Option<BTreeMap<String, String>>,
    pub(super) pass_environment: Option<Vec<String>>,
    pub(super) secrets: Option<BTreeMap<String, SecretFrom>>,
    pub(super) status: Option<Vec<String>>,
    // A webhook.
    pub(super) url: Option<String>,
    pub(super) secret: Option<SecretFrom>,
    pub(super) previous_secret: Option<SecretFrom>,
    pub(super) hosts: Option<Vec<String>>,
    pub(super) timeout: Option<Span>,
    pub(super) outcome: Option<OutcomeBy>,
    pub(super) poll_url: Option<String>,
    pub(super) poll_every: Option<Span>,
    pub(super) placeholders: Option<BTreeSet<String>>,
}

fn program() -> ActionKind {
    ActionKind::Program
}

fn ten_minutes() -> Span {
    Span::minutes(10)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OutcomeBy {
    #[default]
    Answer,
    Poll,
    Callback,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) url: String,
    pub(super) secret: SecretFrom,
    pub(super) previous_secret: Option<SecretFrom>,
    #[serde(default = "ten_seconds")]
    pub(super) timeout: Span,
}

pub(super) fn ten_seconds() -> Span {
    Span::seconds(10)
}

/// What every letter needs is asked for by the judge, in words about letters.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mail {
    pub(super) server: Option<String>,
    pub(super) port: Option<u32>,
    pub(super) tls: MailTls,
    pub(super) ca: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretFrom>,
    pub(super) from: Option<String>,
    pub(super) helo: Option<String>,
    pub(super) timeout: Option<Span>,
    pub(super) lists: BTreeMap<String, MailList>,
}

/// How the way to the mail server is kept secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// Begins in plain text, and goes no further without TLS.
    #[default]
    Starttls,
    Implicit,
    None,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MailList {
    pub(super) to: Vec<String>,
    pub(super) reply_to: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FlagKind {
    File,
    Unleash,
    Program,
}

impl FlagKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Unleash => "unleash",
            Self::Program => "program",
        }
    }
}

/// All kinds in one, as with actions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlagProvider {
    pub(super) kind: FlagKind,
    pub(super) timeout: Option<Span>,
    // A file.
    pub(super) path: Option<String>,
    // Unleash.
    pub(super) url: Option<String>,
    pub(super) project: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) token: Option<SecretFrom>,
    // Programs.
    pub(super) set: Option<Vec<String>>,
    pub(super) kill: Option<Vec<String>>,
    pub(super) state: Option<Vec<String>>,
    pub(super) directory: Option<String>,
    pub(super) pass_environment: Option<Vec<String>>,
    pub(super) secrets: Option<BTreeMap<String, SecretFrom>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SourceKind {
    #[default]
    Prometheus,
    Json,
    Program,
}

/// All kinds in one, so that a key in the wrong place can be told from one that does not exist.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) timeout: Option<Span>,
    // An address.
    pub(super) url: Option<String>,
    pub(super) token: Option<SecretFrom>,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretFrom>,
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) secret_headers: Option<BTreeMap<String, SecretFrom>>,
    pub(super) ca: Option<PathBuf>,
    pub(super) plain_http: Option<bool>,
    // JSON.
    pub(super) time: Option<String>,
    // A program.
    pub(super) command: Option<Vec<String>>,
    pub(super) directory: Option<String>,
    pub(super) environment: Option<BTreeMap<String, String>>,
    pub(super) pass_environment: Option<Vec<String>>,
    pub(super) secrets: Option<BTreeMap<String, SecretFrom>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) source: Option<String>,
    pub(super) query: Option<String>,
    pub(super) baseline: Option<String>,
    #[serde(default)]
    pub(super) unit: String,
    pub(super) title: Option<String>,
    #[serde(default = "gauge")]
    pub(super) kind: String,
}

fn gauge() -> String {
    "gauge".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    pub(super) token: SecretFrom,
    #[serde(default)]
    pub(super) may: BTreeSet<Right>,
}

/// Who may ask us before they go on.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Gates {
    pub(super) flagger: Option<Flagger>,
    pub(super) github: Option<GitHubGate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flagger {
    pub(super) token: SecretFrom,
    #[serde(default)]
    pub(super) canaries: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitHubGate {
    pub(super) secret: SecretFrom,
    pub(super) previous_secret: Option<SecretFrom>,
    pub(super) app: Option<u64>,
    pub(super) private_key: Option<SecretFrom>,
    pub(super) token: Option<SecretFrom>,
    pub(super) api_url: Option<String>,
    #[serde(default = "ten_seconds")]
    pub(super) timeout: Span,
    #[serde(default)]
    pub(super) repositories: BTreeMap<String, GitHubRepository>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitHubRepository {
    pub(super) service: String,
    #[serde(default)]
    pub(super) environments: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    pub(super) title: String,
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) owner: Option<PersonId>,
    pub(super) evidence: Option<EvidenceKind>,
    pub(super) limit: Option<Limit>,
    #[serde(default)]
    pub(super) phase: ItemPhase,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freeze {
    pub(super) id: Option<String>,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) reason: String,
    pub(super) service: Option<String>,
    pub(super) environment: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Directory {
    pub(super) directory: Option<PathBuf>,
}

/// Where a secret comes from. One that stands in the file itself is read only to be refused.
pub(super) enum SecretFrom {
    Inline,
    Elsewhere(SecretTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretTable {
    pub(super) env: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) credential: Option<String>,
}

impl<'de> Deserialize<'de> for SecretFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = SecretFrom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`{ env = \"NAME\" }` or `{ file = \"path\" }`")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretFrom, E> {
        Ok(SecretFrom::Inline)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretFrom, A::Error> {
        SecretTable::deserialize(MapAccessDeserializer::new(map)).map(SecretFrom::Elsewhere)
    }
}
