//! What can be asked: of people by their words and clicks, of the clock by its deadlines, and of
//! neighbours by how they fared. Facts arrive inside commands, so that a replay decides the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::agenda::Deadline;
use super::checklist::Mark;
use super::event::Reminder;
use super::gate::Waiting;
use super::ids::{Account, ActionName, FlagId, FreezeId, ItemId, PersonId, ReleaseId, Role, RunId};
use super::metric::Reading;
use super::plan::{EvidenceKind, Finding, Plan};
use super::policy::Policy;
use super::state::{Card, Posted, Start};
use super::time::Time;

/// A command with its id and who asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The platform's own id. The same id twice changes nothing the second time.
    pub id: String,
    pub by: Actor,
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    Person {
        account: Account,
        #[serde(default, skip_serializing_if = "Claims::is_plain")]
        claims: Claims,
    },
    /// A token of the API.
    Machine(String),
    /// A deadline.
    Clock,
    /// A neighbour, by how it fared.
    Neighbour,
    /// The program's owner at its start.
    Operator,
}

/// Under which facts somebody is judged, as they were when they asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    #[serde(default)]
    pub guest: bool,
    /// Their account is deactivated; who is gone is a guest at most.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// When their platform said so. Nothing: their platform vouches for whoever speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// Their platform was asked and did not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

impl Claims {
    pub fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// What a click commits to. Only a change of *this* makes it stale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commitment {
    pub revision: Option<u32>,
    pub stage: Option<usize>,
    pub attempt: Option<u32>,
    pub from: Option<String>,
    pub to: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    // The house.
    Begin {
        jumpable: bool,
    },
    AdoptPolicy {
        policy: Box<Policy>,
    },
    JumpClock {
        to: Time,
    },
    /// Puts on record that the machine's clock was set.
    NoteLeap {
        expected: Time,
        found: Time,
    },
    /// Puts on record what was written beside the log.
    NoteSnapshot {
        seq: u64,
        digest: String,
    },
    /// What was asked while we were away, longer ago than anybody still means it.
    ComeTooLate {
        said: String,
    },
    /// Shows the sample plan, once, where the demo's releases are announced.
    Welcome {
        plan: Box<Plan>,
        name: String,
        start: Start,
    },
    AddFreeze {
        id: FreezeId,
        freeze: FreezeWish,
    },
    LiftFreeze {
        id: FreezeId,
        reason: String,
    },
    Lock {
        target: String,
        version: String,
        reason: String,
    },
    Unlock {
        target: String,
        version: String,
        reason: String,
    },

    // Flags, called by their name or by `provider/name`.
    SetFlag {
        flag: FlagId,
        percent: f64,
    },
    KillFlag {
        flag: FlagId,
    },
    CleanFlag {
        flag: FlagId,
    },
    /// A deployment of somebody else's waits for our word. Which service and environment of ours
    /// it is about, the configuration knows, or nobody.
    AskGate {
        waiting: Waiting,
        target: Option<(String, String)>,
    },

    // A release before its deploy.
    Schedule {
        plan: Box<Plan>,
        start: Start,
    },
    Reschedule {
        release: ReleaseId,
        start: Start,
        reason: Option<String>,
    },
    Edit {
        release: ReleaseId,
        plan: Box<Plan>,
    },
    Scrub {
        release: ReleaseId,
        reason: String,
    },
    Mark {
        release: ReleaseId,
        item: ItemId,
        mark: Mark,
        why: Option<String>,
        link: Option<String>,
    },
    Report {
        release: ReleaseId,
        report: EvidenceReport,
    },
    Vote {
        release: ReleaseId,
        role: Option<Role>,
        vote: Vote,
        commits: Commitment,
    },
    Override {
        release: ReleaseId,
        obstacle: String,
        reason: String,
    },
    AcceptRisk {
        release: ReleaseId,
        risk: String,
        reason: String,
    },
    Handover {
        release: ReleaseId,
        to: PersonId,
    },
    KeepRoom {
        release: ReleaseId,
    },
    Announce {
        release: ReleaseId,
        text: String,
    },

    // The rollout.
    Start {
        release: ReleaseId,
        commits: Commitment,
    },
    Update {
        release: ReleaseId,
        text: String,
    },
    Advance {
        release: ReleaseId,
        commits: Commitment,
    },
    Hold {
        release: ReleaseId,
        reason: String,
    },
    Resume {
        release: ReleaseId,
    },
    Retry {
        release: ReleaseId,
        /// The run that was shown.
        run: Option<RunId>,
    },
    Verify {
        release: ReleaseId,
    },
    Complete {
        release: ReleaseId,
    },
    RunAction {
        release: ReleaseId,
        action: ActionName,
        with: BTreeMap<String, String>,
    },
    Outcome {
        release: ReleaseId,
        /// The run that was shown.
        run: Option<RunId>,
        worked: bool,
        reason: String,
    },

    /// CI hands in a number that stages are judged by.
    ReportNumber {
        release: ReleaseId,
        number: Number,
    },
    /// What the sources answered.
    Measured {
        release: ReleaseId,
        stage: Option<usize>,
        readings: Vec<Reading>,
    },
    /// A person says that it is red, whatever the numbers say.
    DeclareRed {
        release: ReleaseId,
        reason: String,
    },
    StepBack {
        release: ReleaseId,
    },

    // Going back.
    Rollback {
        release: ReleaseId,
        reason: Option<String>,
        commits: Commitment,
    },
    RehearseRollback {
        release: ReleaseId,
    },

    // Time.
    /// It is over for good.
    File {
        release: ReleaseId,
    },
    Tick {
        release: ReleaseId,
        deadline: Deadline,
    },
    FreezeOver {
        id: FreezeId,
    },
    RemindOwner {
        flag: FlagId,
        reminder: Reminder,
    },

    // Neighbours.
    FlagChanged {
        flag: FlagId,
        nth: u32,
        end: RunEnd,
    },
    Ended {
        release: ReleaseId,
        run: RunId,
        end: RunEnd,
    },
    Posted {
        release: ReleaseId,
        card: Option<Card>,
        posted: Posted,
        text: String,
    },
    NotPosted {
        release: ReleaseId,
        to: String,
        what: String,
        why: String,
        unknown: bool,
    },
    RoomOpened {
        release: ReleaseId,
        room: super::state::Room,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FreezeWish {
    pub from: Time,
    pub until: Time,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceReport {
    pub kind: EvidenceKind,
    pub result: Finding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A number from CI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The query whose answer it is.
    pub query: String,
    pub value: f64,
    /// The same of the stable group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// Which one of several: an endpoint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub line: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vote {
    Go,
    NoGo { reason: String },
}

/// How a run ended, as the backend says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    pub outcome: RunOutcome,
    /// The last output, masked, at most 4 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
    /// SHA-256 of the whole output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    #[serde(default)]
    pub took_ms: u64,
}

impl RunEnd {
    pub fn without_output(outcome: RunOutcome) -> Self {
        Self { outcome, tail: String::new(), digest: String::new(), took_ms: 0 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    Worked,
    Failed(String),
    TimedOut,
    Stopped,
    /// Nobody can tell. A person is asked; it is never repeated blindly.
    Unknown(String),
}

impl Command {
    /// Nobody waits behind other releases who wants to stop one or to take it back, and neither does
    /// what the next step of it waits for.
    pub fn goes_first(&self) -> bool {
        matches!(
            self,
            Self::Rollback { .. }
                | Self::StepBack { .. }
                | Self::Hold { .. }
                | Self::DeclareRed { .. }
                | Self::Ended { .. }
                | Self::Tick { deadline: Deadline::RollBackRed, .. }
        )
    }

    /// Whether what can wait stands aside for a moment: it goes first, and somebody or something has just
    /// said that users are to be spared.
    pub fn clears_the_way(&self) -> bool {
        self.goes_first() && !matches!(self, Self::Ended { .. })
    }

    /// The release that it is about.
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Begin { .. }
            | Self::AdoptPolicy { .. }
            | Self::JumpClock { .. }
            | Self::NoteLeap { .. }
            | Self::NoteSnapshot { .. }
            | Self::ComeTooLate { .. }
            | Self::AddFreeze { .. }
            | Self::LiftFreeze { .. }
            | Self::Lock { .. }
            | Self::Unlock { .. }
            | Self::FreezeOver { .. }
            | Self::SetFlag { .. }
            | Self::KillFlag { .. }
            | Self::CleanFlag { .. }
            | Self::RemindOwner { .. }
            | Self::FlagChanged { .. }
            | Self::Welcome { .. }
            | Self::AskGate { .. }
            | Self::Schedule { .. } => None,
            Self::Reschedule { release, .. }
            | Self::Edit { release, .. }
            | Self::Scrub { release, .. }
            | Self::Mark { release, .. }
            | Self::Report { release, .. }
            | Self::Vote { release, .. }
            | Self::Override { release, .. }
            | Self::AcceptRisk { release, .. }
            | Self::Handover { release, .. }
            | Self::KeepRoom { release }
            | Self::Announce { release, .. }
            | Self::Start { release, .. }
            | Self::Update { release, .. }
            | Self::Advance { release, .. }
            | Self::Hold { release, .. }
            | Self::Resume { release }
            | Self::Retry { release, .. }
            | Self::Verify { release }
            | Self::Complete { release }
            | Self::RunAction { release, .. }
            | Self::Outcome { release, .. }
            | Self::Rollback { release, .. }
            | Self::RehearseRollback { release }
            | Self::ReportNumber { release, .. }
            | Self::Measured { release, .. }
            | Self::DeclareRed { release, .. }
            | Self::StepBack { release }
            | Self::File { release }
            | Self::Tick { release, .. }
            | Self::Ended { release, .. }
            | Self::Posted { release, .. }
            | Self::NotPosted { release, .. }
            | Self::RoomOpened { release, .. } => Some(release),
        }
    }

    /// What was asked, in the grammar's word, for the log of what was refused.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "begin",
            Self::AdoptPolicy { .. } => "adopt-policy",
            Self::JumpClock { .. } => "jump",
            Self::NoteLeap { .. } => "leap",
            Self::NoteSnapshot { .. } => "snapshot",
            Self::ComeTooLate { .. } => "late",
            Self::Welcome { .. } => "welcome",
            Self::AddFreeze { .. } => "freeze add",
            Self::LiftFreeze { .. } => "freeze lift",
            Self::Lock { .. } => "lock",
            Self::Unlock { .. } => "unlock",
            Self::AskGate { .. } => "gate",
            Self::Schedule { .. } => "schedule",
            Self::Reschedule { .. } => "reschedule",
            Self::Edit { .. } => "edit",
            Self::Scrub { .. } => "scrub",
            Self::Mark { .. } => "checklist",
            Self::Report { .. } => "evidence",
            Self::Vote { vote: Vote::Go, .. } => "go",
            Self::Vote { vote: Vote::NoGo { .. }, .. } => "no-go",
            Self::Override { .. } => "override",
            Self::AcceptRisk { .. } => "accept",
            Self::Handover { .. } => "handover",
            Self::KeepRoom { .. } => "keep",
            Self::Announce { .. } => "announce",
            Self::Start { .. } => "start",
            Self::Update { .. } => "update",
            Self::Advance { .. } => "advance",
            Self::Hold { .. } => "hold",
            Self::Resume { .. } => "resume",
            Self::Retry { .. } => "retry",
            Self::Verify { .. } => "verify",
            Self::Complete { .. } => "complete",
            Self::RunAction { .. } => "run",
            Self::Outcome { .. } => "outcome",
            Self::Rollback { .. } => "rollback",
            Self::RehearseRollback { .. } => "rollback --dry-run",
            Self::ReportNumber { .. } => "metric",
            Self::Measured { .. } => "measured",
            Self::DeclareRed { .. } => "red",
            Self::StepBack { .. } => "step-back",
            Self::File { .. } => "file",
            Self::SetFlag { .. } => "flag set",
            Self::KillFlag { .. } => "flag kill",
            Self::CleanFlag { .. } => "flag clean",
            Self::Tick { .. } | Self::FreezeOver { .. } | Self::RemindOwner { .. } => "tick",
            Self::FlagChanged { .. } => "flag-changed",
            Self::Ended { .. } => "ended",
            Self::Posted { .. } => "posted",
            Self::NotPosted { .. } => "not-posted",
            Self::RoomOpened { .. } => "room-opened",
        }
    }
}
