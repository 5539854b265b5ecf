//! Who may do what, where things are said, and which actions there are. Adopted as an event, so
//! that a change of the configuration is on record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::announcement::TEMPLATES;
use super::ids::{Account, ActionName, PersonId, Role};
use super::metric::Query;
use super::plan::{PlannedAnnouncement, PlannedItem};
use super::time::Span;
use super::zone::Zone;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Where nothing else says one.
    pub zone: Zone,
    pub people: BTreeMap<PersonId, Person>,
    pub roles: BTreeMap<Role, RoleRules>,
    /// What each machine (a token of the API) may do. Never a vote, never an override.
    #[serde(default)]
    pub machines: BTreeMap<String, BTreeSet<Right>>,
    pub audiences: BTreeMap<String, Vec<Destination>>,
    /// Where war rooms open: one per platform.
    pub rooms: Vec<RoomHome>,
    pub actions: BTreeMap<ActionName, Action>,
    /// Who keeps feature flags, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, FlagProvider>,
    /// Who can be asked for numbers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricSource>,
    /// What can be measured, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, Query>,
    #[serde(default)]
    pub announcements: Vec<PlannedAnnouncement>,
    /// The operator's own announcements, beside those that ship with the program.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub templates: BTreeSet<String>,
    /// The sections from which a plan chooses.
    #[serde(default)]
    pub checklist: BTreeMap<String, Section>,
    #[serde(default)]
    pub freezes: Vec<PolicyFreeze>,
    /// Days on which nobody is there to mend what went out the day before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holidays: BTreeSet<chrono::NaiveDate>,
    #[serde(default)]
    pub timing: Timing,
    #[serde(default)]
    pub rules: Rules,
    /// Where people open our own page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    #[serde(skip)]
    pub accounts: Accounts,
}

/// The person behind each account, worked out when somebody is first looked for: thousands of people
/// are not gone through at every click. A copy works it out anew, and nothing depends on it.
#[derive(Debug, Default)]
pub struct Accounts(OnceLock<BTreeMap<Account, PersonId>>);

impl Clone for Accounts {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Accounts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Accounts {
    fn get(&self, people: &BTreeMap<PersonId, Person>, account: &Account) -> Option<&PersonId> {
        let all = self.0.get_or_init(|| {
            let each = |(id, person): (&PersonId, &Person)| {
                let accounts = person.accounts.clone().into_iter();
                accounts.map(|account| (account, id.clone())).collect::<Vec<_>>()
            };
            // Whoever comes first in the list has an account that two claim.
            people.iter().rev().flat_map(each).collect()
        });
        all.get(account)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub accounts: BTreeSet<Account>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleRules {
    /// As people say it: `QA`.
    pub title: String,
    pub members: BTreeSet<PersonId>,
    /// Groups of a platform: `slack/T1/S123`.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    #[serde(default)]
    pub may: BTreeSet<Right>,
    /// Every release asks this role.
    #[serde(default)]
    pub required: bool,
}

/// What a role may be allowed to do. Reading is allowed to every known person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    Schedule,
    Start,
    Advance,
    Resume,
    Rollback,
    Checklist,
    Waive,
    Evidence,
    Update,
    Run,
    Freeze,
    Unlock,
    AcceptRisk,
    Override,
}

impl Right {
    /// Completes "may not …".
    pub fn deed(self) -> &'static str {
        match self {
            Self::Schedule => "schedule or change a release",
            Self::Start => "start a release",
            Self::Advance => "advance the rollout",
            Self::Resume => "resume a release",
            Self::Rollback => "roll back",
            Self::Checklist => "tick the checklist",
            Self::Waive => "waive a checklist item",
            Self::Evidence => "report evidence",
            Self::Update => "post updates",
            Self::Run => "run an action",
            Self::Freeze => "change the freezes",
            Self::Unlock => "lift or set a lock",
            Self::AcceptRisk => "accept a risk",
            Self::Override => "override a refusal",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomHome {
    pub platform: String,
    pub tenant: String,
}

/// Where something is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// `console/local/releases`: platform, tenant, channel id.
    Channel { platform: String, tenant: String, channel: String },
    /// `webhook:status-page`, `email:customers`: a kind, and a name from the configuration.
    Courier { kind: String, name: String },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel { platform, tenant, channel } => {
                write!(f, "{platform}/{tenant}/{channel}")
            }
            Self::Courier { kind, name } => write!(f, "{kind}:{name}"),
        }
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a destination: write platform/tenant/channel such as \
                 `console/local/releases`, `webhook:name` or `email:name`"
            )
        };
        if let Ok(account) = text.parse::<Account>() {
            let Account { platform, tenant, user } = account;
            return Ok(Self::Channel { platform, tenant, channel: user });
        }
        match text.split_once(':') {
            Some((kind @ ("webhook" | "email"), name)) if !name.is_empty() => {
                Ok(Self::Courier { kind: kind.into(), name: name.into() })
            }
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Destination {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An action that the operator declared: enough to judge and to render it, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// The exact command, with its `{placeholders}`, as the documents render it.
    pub shows: String,
    pub placeholders: BTreeSet<String>,
    pub limit: Span,
    /// Whether running it twice does the same as running it once.
    #[serde(default)]
    pub repeat_safe: bool,
    /// Whether the backend can be asked how a run ended.
    #[serde(default)]
    pub has_status: bool,
    /// Whether people may run it from chat with `run`.
    #[serde(default)]
    pub from_chat: bool,
}

/// What a provider of flags can and cannot do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlagProvider {
    /// It knows no share between one percent and the next.
    pub whole_percents: bool,
}

/// What a source of measurements can do, and what it must not be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricSource {
    /// It can be asked about the past.
    pub has_past: bool,
    /// A query becomes an argument of a program.
    pub is_program: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    pub items: Vec<PlannedItem>,
}

/// A freeze from the configuration; those that people add live in the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyFreeze {
    pub id: String,
    pub from: chrono::DateTime<chrono::Utc>,
    pub until: chrono::DateTime<chrono::Utc>,
    pub reason: String,
    #[serde(default)]
    pub service: Option<String>,
    #[serde(default)]
    pub environment: Option<String>,
}

/// How long things take and how often people are asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// How long after T-0 a release may still be started.
    pub start_within: Span,
    /// A start moved by no more than this keeps the votes.
    pub move_keeps_votes: Span,
    /// How long before the start those who have not answered are reminded.
    pub reminders: Vec<Span>,
    /// How long before the start the war room opens.
    pub room_opens: Span,
    /// How long a deploy may be silent before its engineer is asked.
    pub silence: Span,
    /// How long the room stays open after the deploy, which is how long the release is watched.
    pub watch: Span,
    /// How long each contact has before the next one is asked.
    pub escalate_after: Span,
    /// Customers are told of a rollback if the impact lasted longer.
    pub customers_after: Span,
    /// While the service's last release is younger than this, no other starts.
    pub settle: Span,
    /// Later than this after its time, a deadline is said to be late.
    pub punctual: Span,
    /// How often a stage's metrics are looked up.
    pub measure_every: Span,
    /// How long a metric is red before that counts, where a plan does not say.
    pub red_for: Span,
    /// How long nobody may be able to tell before the release is held.
    pub no_data: Span,
    /// How long it has to be green at the gate before the rollout goes on.
    pub green_for: Span,
    /// How long a kill switch is tried before a rollback goes on without it.
    pub kill_switch: Span,
    /// How long before a flag expires its owner is reminded.
    pub flag_expires: Vec<Span>,
    /// How often the owner of a flag that is open for everybody, or expired, is reminded of it.
    pub flag_clean_up: Span,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            start_within: Span::hours(1),
            move_keeps_votes: Span::hours(2),
            reminders: vec![Span::hours(4), Span::hours(1), Span::minutes(15)],
            room_opens: Span::minutes(65),
            silence: Span::minutes(15),
            watch: Span::hours(24),
            escalate_after: Span::minutes(5),
            customers_after: Span::minutes(15),
            settle: Span::hours(1),
            punctual: Span::minutes(2),
            measure_every: Span::seconds(15),
            red_for: Span::minutes(1),
            no_data: Span::minutes(5),
            green_for: Span::minutes(1),
            kill_switch: Span::seconds(30),
            flag_expires: vec![Span::hours(7 * 24), Span::hours(24)],
            flag_clean_up: Span::hours(7 * 24),
        }
    }
}

/// What policy insists on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A person signs for one role per release.
    pub one_seat_per_person: bool,
    /// A rollback rehearsal is a required item of every checklist.
    pub rehearse_rollback: bool,
    /// Evidence without which no release starts.
    pub required_evidence: Vec<super::plan::EvidenceKind>,
    /// Overlapping services warn; these refuse.
    pub hotfix_approver: Option<Role>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            one_seat_per_person: true,
            rehearse_rollback: true,
            required_evidence: vec![super::plan::EvidenceKind::Staging],
            hotfix_approver: None,
        }
    }
}

impl Policy {
    /// Whether an announcement has words: ours, or a file of the operator.
    pub fn has_template(&self, name: &str) -> bool {
        self.template_names().any(|known| known == name)
    }

    pub fn template_names(&self) -> impl Iterator<Item = &str> {
        TEMPLATES.into_iter().chain(self.templates.iter().map(String::as_str))
    }

    /// The person behind an account; nobody if the account is not linked.
    pub fn person(&self, account: &Account) -> Option<&PersonId> {
        let found = self.accounts.get(&self.people, account)?;
        self.people.get_key_value(found).map(|(id, _)| id)
    }

    /// Every account under which a person can be reached. Whom nobody linked has the one that they
    /// are called by.
    pub fn accounts_of(&self, person: &PersonId) -> Vec<Account> {
        match self.people.get(person) {
            Some(known) => known.accounts.iter().cloned().collect(),
            None => person.as_str().parse().into_iter().collect(),
        }
    }

    pub fn name_of<'a>(&'a self, person: &'a PersonId) -> &'a str {
        self.people.get(person).map_or(person.as_str(), |known| known.name.as_str())
    }

    pub fn title_of<'a>(&'a self, role: &'a Role) -> &'a str {
        match self.roles.get(role) {
            Some(rules) if !rules.title.is_empty() => &rules.title,
            Some(_) | None => role.as_str(),
        }
    }

    /// Who may do this, for the sentence that turns somebody else down.
    pub fn roles_with(&self, right: Right) -> impl Iterator<Item = &Role> {
        self.roles.iter().filter(move |(_, rules)| rules.may.contains(&right)).map(|(role, _)| role)
    }
}
