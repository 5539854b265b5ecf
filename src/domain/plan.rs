//! The plan of one release: data, never code. It names actions that the operator declared and holds
//! no argument list and no address, so that a plan can be reviewed like a document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hours::Hours;
use super::ids::{ActionName, AnnouncementId, PersonId, Role};
use super::metric::QueryKind;
use super::shared::Shared;
use super::time::{Offset, Span};
use super::zone::Zone;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub release: Head,
    #[serde(default)]
    pub scope: Shared<Scope>,
    #[serde(default)]
    pub signoff: Signoff,
    #[serde(default, rename = "stage")]
    pub stages: Shared<Vec<Stage>>,
    #[serde(default)]
    pub database: Option<Shared<Database>>,
    /// A plan without one can be read, so that `check` can say what is missing, but not scheduled.
    #[serde(default)]
    pub rollback: Option<Shared<RollbackPlan>>,
    #[serde(default, rename = "flag")]
    pub flags: Shared<Vec<Flag>>,
    #[serde(default, rename = "smoke")]
    pub smoke: Vec<Check>,
    /// What is looked at after the deploy, by time.
    #[serde(default, rename = "check")]
    pub checks: Shared<Vec<TimedCheck>>,
    #[serde(default)]
    pub monitoring: Shared<Monitoring>,
    /// What is measured for this release only, beside the queries of the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, PlannedQuery>,
    #[serde(default, rename = "risk")]
    pub risks: Shared<Vec<Risk>>,
    #[serde(default, rename = "known_issue")]
    pub known_issues: Vec<KnownIssue>,
    #[serde(default, rename = "irreversible", skip_serializing_if = "Vec::is_empty")]
    pub irreversible: Vec<Irreversible>,
    #[serde(default, rename = "contact")]
    pub contacts: Shared<Vec<Contact>>,
    /// What was already found when the plan was written; CI reports the rest.
    #[serde(default, rename = "evidence")]
    pub evidence: Shared<Vec<PlannedEvidence>>,
    #[serde(default)]
    pub checklist: Shared<PlannedChecklist>,
    #[serde(default, rename = "announcement")]
    pub announcements: Shared<Vec<PlannedAnnouncement>>,
    #[serde(default)]
    pub success: Success,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// A slug: `web-shop`.
    pub service: String,
    /// As people say it: `Web shop`. The service's slug if absent.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default = "production")]
    pub environment: String,
    pub version: String,
    /// The digest of what is deployed. Votes are bound to it.
    #[serde(default)]
    pub artifact: Option<String>,
    #[serde(default)]
    pub commit: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    #[serde(default)]
    pub title: String,
    /// Local time as people write it (`2026-12-15 10:00`), or a phrase (`tuesday 10:00`) in a
    /// template; resolved when it is scheduled.
    #[serde(default)]
    pub start: Option<String>,
    /// IANA name. The policy's zone if absent.
    #[serde(default)]
    pub zone: Option<Zone>,
    #[serde(default)]
    pub kind: Kind,
    pub captain: PersonId,
    #[serde(default)]
    pub deployer: Option<PersonId>,
    #[serde(default)]
    pub backup: Option<PersonId>,
    pub strategy: Strategy,
    #[serde(default)]
    pub rationale: Option<String>,
    /// When the rollout may go on by itself, in the zone of the release: `Mon–Fri 09–17`. At any
    /// time if absent. People advance it whenever they say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_within: Option<Hours>,
    #[serde(default)]
    pub downtime: Option<Span>,
    #[serde(default)]
    pub duration: Option<Span>,
    /// What people will notice, in one sentence.
    #[serde(default)]
    pub impact: Option<String>,
    /// Whether customers are told.
    #[serde(default)]
    pub user_facing: bool,
    /// Where customers ask.
    #[serde(default)]
    pub support: Option<String>,
    #[serde(default)]
    pub notes_url: Option<String>,
    #[serde(default)]
    pub plan_url: Option<String>,
}

fn production() -> String {
    "production".into()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Major,
    #[default]
    Minor,
    Patch,
    Hotfix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    Direct,
    Recreate,
    Rolling,
    BlueGreen,
    Canary,
    FeatureFlag,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    #[serde(rename = "feature")]
    pub features: Vec<Feature>,
    pub enhancements: Vec<String>,
    #[serde(rename = "fix")]
    pub fixes: Vec<Fix>,
    pub technical: Vec<String>,
    #[serde(rename = "breaking")]
    pub breaking: Vec<Breaking>,
    #[serde(rename = "deprecation")]
    pub deprecations: Vec<Deprecation>,
    pub dependencies: Vec<String>,
    pub configuration: Vec<String>,
    pub resources: Vec<String>,
    #[serde(rename = "performance")]
    pub performance: Vec<Performance>,
    #[serde(rename = "security")]
    pub security: Vec<SecurityFix>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub name: String,
    #[serde(default)]
    pub about: String,
    #[serde(default)]
    pub flag: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    pub id: String,
    pub title: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaking {
    pub what: String,
    pub migration_guide: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    pub what: String,
    pub removed_in: String,
    pub alternative: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Performance {
    pub metric: String,
    pub before: String,
    pub after: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityFix {
    pub id: String,
    pub title: String,
    pub severity: String,
}

/// Who is asked for go or no-go. A plan may add seats; it never drops one that policy requires.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signoff {
    pub roles: Vec<Role>,
}

/// One step of the rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: String,
    /// What is said when it worked: `Pod 1 deployed`.
    #[serde(default)]
    pub done: Option<String>,
    /// What opens the stage's flag, if nothing else is named.
    #[serde(default = "flag_set")]
    pub action: ActionName,
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    /// Share of the traffic on the new version once it is done, in percent.
    #[serde(default)]
    pub traffic: Option<f64>,
    /// When it is planned: `T+5m`.
    #[serde(default)]
    pub at: Option<Offset>,
    #[serde(default)]
    pub expect: Option<String>,
    #[serde(default)]
    pub soak: Option<Span>,
    /// Actions that must succeed after the soak before the rollout goes on.
    #[serde(default)]
    pub checks: Vec<ActionName>,
    /// `auto` goes on when the checks pass; `manual` waits for a person to advance.
    #[serde(default)]
    pub advance: Advance,
    /// Roles that must approve the step to the next stage.
    #[serde(default)]
    pub approvers: Vec<Role>,
    #[serde(default)]
    pub cohort: Option<String>,
    /// By when, counted like `soak`, somebody has to decide: from the soak's end until then it may
    /// go on as soon as it is green.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_by: Option<Span>,
    /// The audience that is told when the new version is there for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// What that audience is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// The flag that opens this stage's cohort, for its `traffic` where the stage has no action.
    #[serde(default)]
    pub flag: Option<String>,
    /// Limits by which the numbers judge this stage.
    #[serde(default, rename = "metric")]
    pub metrics: Vec<MetricGate>,
}

fn flag_set() -> ActionName {
    ActionName::from(super::flag::SET)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advance {
    Auto,
    #[default]
    Manual,
}

/// How a metric judges a stage. Without limits of its own it has those of its kind of number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricGate {
    /// A query that the operator named.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roll_back_above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_below: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roll_back_below: Option<f64>,
    /// By how many percent it may lie above its baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_rise: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roll_back_rise: Option<f64>,
    /// By how many percent it may lie below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_fall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roll_back_fall: Option<f64>,
    /// `stable` (the stable group now), `before` (the 15 minutes before the deploy), or the name of
    /// another query.
    #[serde(skip_serializing_if = "Against::is_stable")]
    pub against: Against,
    /// How long it has to be red before that counts.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Span>,
    /// With fewer points nothing can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// An older value cannot be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<Span>,
    /// Judges each line of the answer by itself: one per endpoint, for example.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub each: bool,
}

/// A question of the plan's own, to a source that the operator declared: it holds no address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlannedQuery {
    /// Not needed where there is one source only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// In the source's own language, with `{placeholders}`; CI hands its numbers in unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The same for the stable group, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    pub kind: QueryKind,
}

/// What a metric is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Against {
    #[default]
    Stable,
    Before,
    Metric(String),
}

impl Against {
    fn is_stable(&self) -> bool {
        *self == Self::Stable
    }
}

impl From<String> for Against {
    fn from(text: String) -> Self {
        match text.as_str() {
            "stable" => Self::Stable,
            "before" => Self::Before,
            _ => Self::Metric(text),
        }
    }
}

impl From<Against> for String {
    fn from(against: Against) -> Self {
        match against {
            Against::Stable => "stable".into(),
            Against::Before => "before".into(),
            Against::Metric(name) => name,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    #[serde(default, rename = "migration")]
    pub migrations: Vec<Migration>,
    #[serde(default)]
    pub backup: Option<String>,
    #[serde(default)]
    pub maintenance_window: Option<String>,
    #[serde(default)]
    pub stop_writes: Option<String>,
    #[serde(default)]
    pub resume_writes: Option<String>,
    #[serde(default)]
    pub verification: Vec<String>,
    /// In the order in which they are done, which is the reverse of the migrations'.
    #[serde(default)]
    pub rollback: Vec<String>,
    #[serde(default)]
    pub duration: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    pub name: String,
    pub backward_compatible: bool,
    #[serde(default)]
    pub destructive: bool,
    #[serde(default)]
    pub blocking: bool,
    #[serde(default)]
    pub tested_in_staging: bool,
    #[serde(default)]
    pub impact: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackPlan {
    /// The known-good version: `Rollback available to version X`.
    pub to: String,
    #[serde(default)]
    pub triggers: Vec<String>,
    /// Whether metrics that stay red roll back by themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// How long anybody may stop that with a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veto: Option<Span>,
    /// Whether the kill switches of the flags are all that it takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flags_suffice: bool,
    #[serde(default, rename = "step")]
    pub steps: Vec<RollbackStep>,
    /// Actions that prove that the old version answers.
    #[serde(default, rename = "verify")]
    pub verify: Vec<RollbackStep>,
    #[serde(default)]
    pub database: Option<String>,
    /// What cannot be rolled back, and why.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// What becomes of data that the new version wrote.
    #[serde(default)]
    pub data: Option<String>,
    #[serde(default)]
    pub traffic_back: Option<Span>,
    #[serde(default)]
    pub full: Option<Span>,
    pub rto: Span,
    #[serde(default)]
    pub rpo: Option<Span>,
    #[serde(default)]
    pub escalation: Option<PersonId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackStep {
    pub name: String,
    #[serde(default)]
    pub done: Option<String>,
    pub action: ActionName,
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    #[serde(default)]
    pub expect: Option<String>,
    #[serde(default)]
    pub limit: Option<Span>,
    /// The action that proves this step's mechanism without doing it.
    #[serde(default)]
    pub rehearse: Option<ActionName>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    pub name: String,
    #[serde(default)]
    pub owner: Option<PersonId>,
    #[serde(default)]
    pub purpose: String,
    #[serde(default)]
    pub expires: Option<Expiry>,
    #[serde(default)]
    pub provider: Option<String>,
    #[serde(default)]
    pub steps: Vec<f64>,
    #[serde(default)]
    pub depends_on: Option<String>,
    /// Where it was seen to work turned on: a link, or a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested_on: Option<String>,
    /// The same, turned off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested_off: Option<String>,
}

/// The day by which a flag is gone from the code: `2027-01-31`, or counted from the start: `T+14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Expiry {
    On(chrono::NaiveDate),
    After(Offset),
}

impl TryFrom<String> for Expiry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with(['T', 't']) {
            let offset: Offset =
                text.parse().map_err(|why: super::time::SpanError| why.to_string())?;
            return Ok(Self::After(offset));
        }
        let wrong = |_| {
            format!("`{text}` is no day: write one such as `2027-01-31`, or `T+14d` from the start")
        };
        text.parse().map(Self::On).map_err(wrong)
    }
}

impl From<Expiry> for String {
    fn from(expiry: Expiry) -> Self {
        expiry.to_string()
    }
}

impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::On(day) => write!(f, "{day}"),
            Self::After(offset) => write!(f, "{offset}"),
        }
    }
}

impl Expiry {
    /// In the zone of the release.
    pub fn day(self, start: &super::state::Start) -> chrono::NaiveDate {
        match self {
            Self::On(day) => day,
            Self::After(offset) => {
                (start.at + offset.duration()).with_timezone(&start.zone).date_naive()
            }
        }
    }
}

/// What a rollback does not take back: a mail to all customers, a message in somebody's queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Irreversible {
    pub what: String,
    /// Without a name it cannot be scheduled.
    #[serde(default)]
    pub accepted_by: Option<PersonId>,
}

/// Something to check: by an action, or by a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub name: String,
    #[serde(default)]
    pub action: Option<ActionName>,
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    #[serde(default)]
    pub expect: Option<String>,
    #[serde(default)]
    pub owner: Option<PersonId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedCheck {
    /// How long after the last stage: `15m`, `1h`, `24h`, `7d`.
    pub after: Span,
    pub name: String,
    #[serde(default)]
    pub action: Option<ActionName>,
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    #[serde(default)]
    pub expect: Option<String>,
    #[serde(default)]
    pub owner: Option<PersonId>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitoring {
    #[serde(rename = "metric")]
    pub metrics: Vec<Metric>,
    #[serde(rename = "dashboard")]
    pub dashboards: Vec<Dashboard>,
    /// The action that says whether the service is healthy.
    pub health: Option<ActionName>,
    /// Who watches the first hour.
    pub watchers: Vec<PersonId>,
    pub oncall: OnCall,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    /// The query that measures it, so that its limits judge the release while it is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(default)]
    pub unit: String,
    #[serde(default)]
    pub warning: Option<f64>,
    #[serde(default)]
    pub critical: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    pub name: String,
    pub url: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnCall {
    pub primary: Option<PersonId>,
    pub secondary: Option<PersonId>,
    pub escalation: Option<PersonId>,
}

impl OnCall {
    /// Each of them once, whoever is called first.
    pub fn people(&self) -> impl Iterator<Item = &PersonId> {
        let all = [&self.primary, &self.secondary, &self.escalation];
        let first = move |at: usize| !all[..at].contains(&all[at]);
        (0..all.len()).filter(move |at| first(*at)).filter_map(move |at| all[at].as_ref())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    pub level: Level,
    pub what: String,
    #[serde(default)]
    pub impact: String,
    #[serde(default)]
    pub mitigation: String,
    #[serde(default)]
    pub contingency: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Low,
    Medium,
    High,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownIssue {
    pub what: String,
    pub accepted_by: PersonId,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What they are for: `Database`, `Customer communication`.
    pub role: String,
    pub who: PersonId,
    /// Lower is asked first.
    pub order: u32,
    #[serde(default)]
    pub when: Condition,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    #[default]
    Always,
    Sev1,
    UserImpact,
    CustomerCommunication,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEvidence {
    pub kind: EvidenceKind,
    pub result: Finding,
    #[serde(default)]
    pub link: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
}

/// What CI or a person hands in before a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    Review,
    Tests,
    Coverage,
    SecurityScan,
    Staging,
    Performance,
    Backup,
    MigrationTest,
    Infrastructure,
    RollbackRehearsal,
    OpenBugs,
}

impl EvidenceKind {
    pub const ALL: [Self; 11] = [
        Self::Review,
        Self::Tests,
        Self::Coverage,
        Self::SecurityScan,
        Self::Staging,
        Self::Performance,
        Self::Backup,
        Self::MigrationTest,
        Self::Infrastructure,
        Self::RollbackRehearsal,
        Self::OpenBugs,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Tests => "tests",
            Self::Coverage => "coverage",
            Self::SecurityScan => "security-scan",
            Self::Staging => "staging",
            Self::Performance => "performance",
            Self::Backup => "backup",
            Self::MigrationTest => "migration-test",
            Self::Infrastructure => "infrastructure",
            Self::RollbackRehearsal => "rollback-rehearsal",
            Self::OpenBugs => "open-bugs",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    Pass,
    PassWithWarnings,
    Fail,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlannedChecklist {
    /// Sections of the policy's library that this release answers for.
    pub sections: Vec<String>,
    #[serde(rename = "item")]
    pub items: Vec<PlannedItem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedItem {
    pub section: String,
    pub name: String,
    #[serde(default)]
    pub owner: Option<PersonId>,
    /// The evidence that settles it.
    #[serde(default)]
    pub evidence: Option<EvidenceKind>,
    /// The limit that a reported number is judged by: `lighthouse > 90`.
    #[serde(default)]
    pub limit: Option<super::checklist::Limit>,
    #[serde(default)]
    pub phase: ItemPhase,
}

/// When an item is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemPhase {
    #[default]
    Before,
    #[serde(rename = "t-30m")]
    T30m,
    During,
    #[serde(rename = "first-15m")]
    First15m,
    FirstHour,
    #[serde(rename = "first-24h")]
    First24h,
    FirstWeek,
}

impl ItemPhase {
    /// As plans write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::T30m => "t-30m",
            Self::During => "during",
            Self::First15m => "first-15m",
            Self::FirstHour => "first-hour",
            Self::First24h => "first-24h",
            Self::FirstWeek => "first-week",
        }
    }
}

/// Something said at T±offset to an audience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedAnnouncement {
    pub id: AnnouncementId,
    /// `T-48h` counts from the start, `done+1h` from the completion of the last stage.
    pub at: AnnounceAt,
    pub audience: String,
    /// A file in `messages/`, without its ending.
    pub template: String,
    /// Only if customers notice something.
    #[serde(default)]
    pub user_facing_only: bool,
    /// How long after its time it is still worth saying.
    #[serde(default = "two_hours")]
    pub late: Span,
}

fn two_hours() -> Span {
    Span::hours(2)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AnnounceAt {
    Start(Offset),
    Completion(Offset),
}

impl TryFrom<String> for AnnounceAt {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("done") {
            Some(rest) => format!("T{rest}").parse().map(Self::Completion),
            None => text.parse().map(Self::Start),
        }
        .map_err(|why: super::time::SpanError| why.to_string())
    }
}

impl From<AnnounceAt> for String {
    fn from(at: AnnounceAt) -> Self {
        match at {
            AnnounceAt::Start(offset) => offset.to_string(),
            AnnounceAt::Completion(offset) => offset.to_string().replacen('T', "done", 1),
        }
    }
}

/// By what the outcome is computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Success {
    /// More downtime than this makes a success partial.
    pub max_downtime: Option<Span>,
    /// More failed runs than this make a success partial.
    pub max_failed_runs: u32,
    pub smoke_must_pass: bool,
}

impl Default for Success {
    fn default() -> Self {
        Self { max_downtime: None, max_failed_runs: 0, smoke_must_pass: true }
    }
}

impl Plan {
    /// Keeps what it has in common with the other only once.
    pub fn share(&mut self, other: &Self) {
        self.scope.share(&other.scope);
        self.stages.share(&other.stages);
        if let (Some(own), Some(other)) = (&mut self.database, &other.database) {
            own.share(other);
        }
        if let (Some(own), Some(other)) = (&mut self.rollback, &other.rollback) {
            own.share(other);
        }
        self.flags.share(&other.flags);
        self.checks.share(&other.checks);
        self.monitoring.share(&other.monitoring);
        self.risks.share(&other.risks);
        self.contacts.share(&other.contacts);
        self.evidence.share(&other.evidence);
        self.checklist.share(&other.checklist);
        self.announcements.share(&other.announcements);
    }

    /// `Web shop v1.2.0`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name(), self.release.version)
    }

    pub fn name(&self) -> &str {
        self.release.name.as_deref().unwrap_or(&self.release.service)
    }
}

impl Stage {
    /// Whether nobody has to say so before the rollout goes on from it.
    pub fn goes_on_by_itself(&self) -> bool {
        self.advance == Advance::Auto && self.approvers.is_empty()
    }

    pub fn done_text(&self) -> String {
        self.done.clone().unwrap_or_else(|| format!("{} done", self.name))
    }
}

impl RollbackStep {
    pub fn done_text(&self) -> String {
        self.done.clone().unwrap_or_else(|| format!("{} done", self.name))
    }
}
