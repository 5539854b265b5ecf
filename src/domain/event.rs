//! What happened. Events are the audit log: past participles, additive, never edited.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checklist::{Item, Mark};
use super::command::{EvidenceReport, FreezeWish, Number, RunEnd, Vote};
use super::gate::{Waiting, Word};
use super::ids::{ActionName, AnnouncementId, FlagId, FreezeId, ItemId, PersonId, ReleaseId, Role};
use super::metric::{Judged, Trace};
use super::plan::{ItemPhase, Plan};
use super::policy::{Destination, Policy};
use super::refusal::Refusal;
use super::report::Result as ReleaseResult;
use super::state::{Card, Posted, Room, Start, Step};
use super::time::{Span, Time};
use super::verdict::Reason;

/// The version of the events' shape, hashed with each entry.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The first entry. A jumpable log refuses real neighbours for ever.
    Begun {
        jumpable: bool,
    },
    PolicyAdopted {
        policy: Box<Policy>,
    },
    ClockJumped {
        to: Time,
    },
    /// The machine's clock was set: it was to say one thing, and said another.
    ClockLeapt {
        expected: Time,
        found: Time,
    },
    /// What the log adds up to at an entry was written beside it; this digest is of that file.
    SnapshotTaken {
        seq: u64,
        digest: String,
    },
    /// Somebody asked for what may not be. Nothing changed.
    Refused {
        verb: String,
        why: Refusal,
    },
    /// Somebody asked for what was so already. Nothing changed.
    AlreadySo {
        verb: String,
        what: String,
    },
    FreezeAdded {
        id: FreezeId,
        freeze: FreezeWish,
    },
    FreezeLifted {
        id: FreezeId,
        reason: String,
    },
    FreezeEnded {
        id: FreezeId,
    },
    /// The sample was shown to whoever opens the demo for the first time.
    Welcomed {
        plan: Box<Plan>,
        name: String,
        start: Start,
    },
    Locked {
        target: String,
        version: String,
        reason: String,
    },
    Unlocked {
        target: String,
        version: String,
        reason: String,
    },
    /// Somebody waits for our word on what no release of ours is about.
    GateTurnedAway {
        waiting: Waiting,
        why: String,
    },
    Release {
        release: ReleaseId,
        did: Happened,
    },
    Flag {
        flag: FlagId,
        did: FlagDid,
    },
}

/// What happened to a flag, other than by a step of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagDid {
    /// Somebody asked for another share; for none with the kill switch.
    ChangeAsked {
        nth: u32,
        percent: Option<f64>,
        by: PersonId,
    },
    ChangeEnded {
        nth: u32,
        end: RunEnd,
    },
    OwnerReminded {
        reminder: Reminder,
    },
    /// It is gone from the code.
    Cleaned {
        by: PersonId,
    },
}

impl FlagDid {
    /// As it stands in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ChangeAsked { percent: Some(_), .. } => "flag-set-asked",
            Self::ChangeAsked { percent: None, .. } => "flag-kill-asked",
            Self::ChangeEnded { .. } => "flag-change-ended",
            Self::OwnerReminded { .. } => "flag-owner-reminded",
            Self::Cleaned { .. } => "flag-cleaned",
        }
    }
}

/// Of what the owner of a flag is reminded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reminder {
    /// That it expires, so long before.
    Expires { before: Span },
    /// That it is still there, though it is open for everybody, or expired.
    CleanUp { nth: u32 },
}

/// What happened to a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    // Refusals and repetitions that concern one release, so that its audit is complete.
    Refused {
        verb: String,
        why: Refusal,
    },
    AlreadySo {
        verb: String,
        what: String,
    },

    // Before the deploy.
    Scheduled {
        plan: Box<Plan>,
        start: Start,
        requester: Option<PersonId>,
        seats: Vec<Role>,
        items: Vec<Item>,
        /// What was already past when it was scheduled, merged into the opening notice.
        merged: Vec<AnnouncementId>,
        /// Who gets that opening notice.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        told: Vec<Destination>,
        warnings: Vec<String>,
    },
    Rescheduled {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        start: Start,
        keeps_votes: bool,
        reason: Option<String>,
    },
    Edited {
        plan: Box<Plan>,
        items: Vec<Item>,
        stale: bool,
    },
    Scrubbed {
        reason: String,
    },
    ItemMarked {
        item: ItemId,
        mark: Mark,
        by: String,
        why: Option<String>,
        link: Option<String>,
    },
    EvidenceReported {
        report: EvidenceReport,
        by: String,
    },
    VoteCast {
        role: Role,
        person: PersonId,
        vote: Vote,
    },
    /// The verdict is go: start will be offered at T-0.
    WentGo,
    /// The verdict is no longer go.
    WentNoGo {
        reasons: Vec<Reason>,
    },
    Overridden {
        obstacle: String,
        person: PersonId,
        reason: String,
    },
    RiskAccepted {
        risk: String,
        person: PersonId,
        reason: String,
    },
    HandedOver {
        to: PersonId,
    },

    // What is said.
    VotesAsked,
    VotersReminded {
        before: String,
        roles: Vec<Role>,
    },
    Announced {
        id: AnnouncementId,
        to: Vec<Destination>,
        planned: Time,
        late: bool,
    },
    AnnouncementSkipped {
        id: AnnouncementId,
        planned: Time,
        why: String,
    },
    SaidByHand {
        text: String,
        by: PersonId,
    },
    Posted {
        card: Option<Card>,
        posted: Posted,
        /// What was said, as plain text.
        text: String,
    },
    NotPosted {
        to: String,
        what: String,
        why: String,
        unknown: bool,
    },

    // The room.
    RoomWanted,
    RoomOpened {
        room: Room,
    },
    RoomKept,
    RoomClosed,

    // The rollout.
    StartOffered,
    StartMissed {
        why: String,
    },
    /// It still waits for a new time, and somebody was told so.
    MissReminded {
        nth: u32,
        to: PersonId,
    },
    Started {
        by: PersonId,
    },
    StepStarted {
        step: Step,
        attempt: u32,
        action: ActionName,
        with: BTreeMap<String, String>,
    },
    StepEnded {
        step: Step,
        attempt: u32,
        end: RunEnd,
    },
    /// A person said how a step ended that nobody could tell, or that failed.
    OutcomeSettled {
        step: Step,
        attempt: u32,
        worked: bool,
        by: PersonId,
        reason: String,
    },
    RetryAsked {
        step: Step,
    },
    StageDeployed {
        stage: usize,
        soak_until: Option<Time>,
    },
    SoakEnded {
        stage: usize,
    },
    AdvanceAsked {
        stage: usize,
        /// When it goes on by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// The hours have begun in which it goes on by itself.
    AdvanceOpened {
        stage: usize,
    },
    StageApproved {
        stage: usize,
        role: Role,
        person: PersonId,
    },
    /// It has soaked for as long as the plan gives it, and nobody has decided.
    StageOverdue {
        stage: usize,
        why: Option<String>,
    },
    StageAdvanced {
        stage: usize,
        by: Option<PersonId>,
    },
    NumberReported {
        number: Number,
        by: String,
    },
    /// What the numbers say, where that is news.
    Measured {
        stage: Option<usize>,
        metrics: Vec<Judged>,
        /// Whether the room hears of it.
        #[serde(default)]
        tell: bool,
        /// What was seen, where it may decide: a picture of it is drawn from here.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        traces: Vec<Trace>,
    },
    /// The numbers were red for long enough, or a person said so.
    TurnedRed {
        why: String,
        by: Option<PersonId>,
        /// When it rolls back by itself unless somebody holds it; never, if people decide.
        roll_back_at: Option<Time>,
    },
    /// It is over for good: what is left to say of it is read from the log.
    Filed,
    SteppedBack {
        from: usize,
        to: usize,
        by: PersonId,
    },
    UpdatePosted {
        text: String,
        by: String,
    },
    /// A deployment of somebody else's waits for our word.
    GateAsked {
        waiting: Waiting,
    },
    /// It hears it, or how things stand; by its place among those who wait.
    GateAnswered {
        waiter: usize,
        word: Word,
        text: String,
    },
    SilenceNoticed {
        nth: u32,
        who: Option<PersonId>,
    },
    Held {
        reason: String,
        by: Option<PersonId>,
    },
    Resumed {
        by: PersonId,
    },

    // Afterwards.
    RolledOut,
    SmokeTallied {
        passed: usize,
        total: usize,
    },
    CheckRecalled {
        check: usize,
    },
    /// The open checklist items of a phase were asked for, before it ends.
    ItemsAsked {
        phase: ItemPhase,
        items: Vec<ItemId>,
    },
    Finished {
        result: ReleaseResult,
        by: Option<PersonId>,
    },

    // Going back.
    RehearsalAsked,
    RehearsalEnded {
        worked: bool,
        why: Option<String>,
    },
    RollbackAsked {
        from: String,
        to: String,
        /// Nobody: the numbers did.
        by: Option<PersonId>,
        reason: Option<String>,
    },
    RolledBack {
        took_ms: u64,
    },
    RollbackFailed {
        why: String,
    },
    Escalated {
        nth: u32,
        to: PersonId,
    },
}

impl Event {
    /// The release that it is about, and what happened to it; nothing for what concerns the house.
    pub fn of_release(&self) -> Option<(&ReleaseId, &Happened)> {
        match self {
            Self::Release { release, did } => Some((release, did)),
            Self::Begun { .. }
            | Self::PolicyAdopted { .. }
            | Self::ClockJumped { .. }
            | Self::ClockLeapt { .. }
            | Self::SnapshotTaken { .. }
            | Self::Refused { .. }
            | Self::AlreadySo { .. }
            | Self::FreezeAdded { .. }
            | Self::FreezeLifted { .. }
            | Self::FreezeEnded { .. }
            | Self::Welcomed { .. }
            | Self::Locked { .. }
            | Self::Unlocked { .. }
            | Self::Flag { .. }
            | Self::GateTurnedAway { .. } => None,
        }
    }

    /// Whether it may freeze or thaw releases that have not started.
    pub fn moves_freezes(&self) -> bool {
        matches!(
            self,
            Self::FreezeAdded { .. }
                | Self::FreezeLifted { .. }
                | Self::FreezeEnded { .. }
                | Self::PolicyAdopted { .. }
        )
    }
}

impl Happened {
    /// As it stands in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::AlreadySo { .. } => "already-so",
            Self::Scheduled { .. } => "scheduled",
            Self::Rescheduled { .. } => "rescheduled",
            Self::Edited { .. } => "edited",
            Self::Scrubbed { .. } => "scrubbed",
            Self::ItemMarked { .. } => "item-marked",
            Self::EvidenceReported { .. } => "evidence-reported",
            Self::VoteCast { .. } => "vote-cast",
            Self::WentGo => "went-go",
            Self::WentNoGo { .. } => "went-no-go",
            Self::Overridden { .. } => "overridden",
            Self::RiskAccepted { .. } => "risk-accepted",
            Self::HandedOver { .. } => "handed-over",
            Self::VotesAsked => "votes-asked",
            Self::VotersReminded { .. } => "voters-reminded",
            Self::Announced { .. } => "announced",
            Self::AnnouncementSkipped { .. } => "announcement-skipped",
            Self::SaidByHand { .. } => "said-by-hand",
            Self::Posted { .. } => "posted",
            Self::NotPosted { .. } => "not-posted",
            Self::RoomWanted => "room-wanted",
            Self::RoomOpened { .. } => "room-opened",
            Self::RoomKept => "room-kept",
            Self::RoomClosed => "room-closed",
            Self::StartOffered => "start-offered",
            Self::StartMissed { .. } => "start-missed",
            Self::MissReminded { .. } => "miss-reminded",
            Self::Started { .. } => "started",
            Self::StepStarted { .. } => "step-started",
            Self::StepEnded { .. } => "step-ended",
            Self::OutcomeSettled { .. } => "outcome-settled",
            Self::RetryAsked { .. } => "retry-asked",
            Self::StageDeployed { .. } => "stage-deployed",
            Self::SoakEnded { .. } => "soak-ended",
            Self::AdvanceAsked { .. } => "advance-asked",
            Self::AdvanceOpened { .. } => "advance-opened",
            Self::StageApproved { .. } => "stage-approved",
            Self::StageOverdue { .. } => "stage-overdue",
            Self::StageAdvanced { .. } => "stage-advanced",
            Self::NumberReported { .. } => "number-reported",
            Self::Measured { .. } => "measured",
            Self::TurnedRed { .. } => "turned-red",
            Self::SteppedBack { .. } => "stepped-back",
            Self::Filed => "filed",
            Self::UpdatePosted { .. } => "update-posted",
            Self::GateAsked { .. } => "gate-asked",
            Self::GateAnswered { .. } => "gate-answered",
            Self::SilenceNoticed { .. } => "silence-noticed",
            Self::Held { .. } => "held",
            Self::Resumed { .. } => "resumed",
            Self::RolledOut => "rolled-out",
            Self::SmokeTallied { .. } => "smoke-tallied",
            Self::CheckRecalled { .. } => "check-recalled",
            Self::ItemsAsked { .. } => "items-asked",
            Self::Finished { .. } => "finished",
            Self::RehearsalAsked => "rehearsal-asked",
            Self::RehearsalEnded { .. } => "rehearsal-ended",
            Self::RollbackAsked { .. } => "rollback-asked",
            Self::RolledBack { .. } => "rolled-back",
            Self::RollbackFailed { .. } => "rollback-failed",
            Self::Escalated { .. } => "escalated",
        }
    }
}
