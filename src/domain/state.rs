//! What the log adds up to. Replayed from the events and from nothing else.

mod evolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use super::checklist::Item;
use super::command::{EvidenceReport, FreezeWish, RunEnd, RunOutcome, Vote};
use super::filing::Files;
use super::gate::Waiter;
use super::ids::{
    ActionName, AnnouncementId, FlagId, FreezeId, ItemId, PersonId, ReleaseId, Role, RunId,
};
use super::metric::{Judged, Light, Line};
use super::plan::{EvidenceKind, ItemPhase, Plan};
use super::policy::{Destination, Policy};
use super::report::Result as ReleaseResult;
use super::time::Time;
use super::zone::Zone;

/// Everything that the bot believes. Parts are shared, so that a draft costs what it touches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub house: Arc<House>,
    pub releases: BTreeMap<ReleaseId, Arc<Release>>,
    /// What is over for good and no longer among them.
    pub filed: Arc<Files>,
    /// The latest time in the log: the clock never goes back behind it.
    pub last_at: Option<Time>,
}

impl State {
    /// To this release: what is worked out of it must not cost more the more there are.
    pub fn narrowed(&self, id: &ReleaseId) -> Self {
        let release = self.releases.get(id).map(|release| (id.clone(), release.clone()));
        Self {
            house: self.house.clone(),
            releases: release.into_iter().collect(),
            filed: self.filed.clone(),
            last_at: self.last_at,
        }
    }
}

/// What belongs to no release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct House {
    pub begun: bool,
    pub jumpable: bool,
    pub welcomed: bool,
    /// Where a demo's clock was last set, and what the log's clock said then.
    pub jumped: Option<(Time, Time)>,
    /// When the machine's clock was last set forward: what was measured across it was not.
    pub leapt: Option<Time>,
    pub policy: Option<Arc<Policy>>,
    pub freezes: BTreeMap<FreezeId, FreezeWish>,
    /// Why a version must not go to a target (`service/environment`), by both.
    #[serde(with = "pairs")]
    pub locks: BTreeMap<(String, String), Lock>,
    /// The flags of every release that was ever scheduled.
    pub flags: BTreeMap<FlagId, Arc<super::registry::Record>>,
    /// What is live on each target and what was before, the newest last. Only versions that were
    /// good are here.
    pub live: BTreeMap<String, Vec<Live>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    pub reason: String,
    pub at: Time,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    pub version: String,
    pub since: Time,
    pub release: ReleaseId,
}

/// When a release starts: the local time that people agreed on and the instant that it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub local: NaiveDateTime,
    pub zone: Zone,
    pub at: Time,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub plan: Arc<Plan>,
    /// Rises with each change of plan or time.
    pub revision: u32,
    /// Rises when a change makes earlier votes stale; votes commit to it.
    pub poll_revision: u32,
    pub start: Start,
    pub scheduled_at: Time,
    pub requester: Option<PersonId>,
    pub captain: PersonId,
    pub phase: Phase,
    pub phase_since: Time,
    /// A hold is a lid on any phase, not a phase of its own.
    pub held: Option<Hold>,
    pub seats: Vec<Seat>,
    pub asked_at: Option<Time>,
    pub reminded: BTreeSet<String>,
    pub items: Vec<Item>,
    pub evidence: BTreeMap<EvidenceKind, Evidence>,
    /// A freeze that covers its start: until when, and why.
    pub frozen: Option<(Time, String)>,
    pub overrides: Vec<Override>,
    pub accepted: Vec<Override>,
    pub said: BTreeMap<AnnouncementId, Said>,
    /// Everyone who got an announcement, for the corrections and the notice of a rollback.
    pub told: BTreeSet<Destination>,
    pub room: RoomState,
    #[serde(with = "pairs")]
    pub cards: BTreeMap<Card, Posted>,
    pub runs: Vec<RunRecord>,
    pub start_offered: bool,
    pub start_missed: bool,
    /// How many were reminded that it waits for a new time.
    pub miss_reminders: u32,
    pub started_at: Option<Time>,
    pub rolled_out_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub last_update: Option<Time>,
    pub prompts: u32,
    pub approvals: BTreeMap<usize, BTreeMap<Role, PersonId>>,
    pub advance_asked: BTreeSet<usize>,
    /// When it goes on by itself, while it waits for its hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on_at: Option<Time>,
    /// The stages that have soaked as long as they may without a decision.
    pub overdue: BTreeSet<usize>,
    /// Since when the stage's traffic is what it is.
    pub stage_since: Option<Time>,
    pub resumed_at: Option<Time>,
    /// What the numbers said last.
    pub health: Option<Health>,
    /// All that was ever measured, by name.
    pub courses: BTreeMap<String, Course>,
    pub red: Option<Red>,
    /// What CI has handed in, by query; each line in the order of time.
    pub numbers: BTreeMap<String, Vec<Line>>,
    /// It was taken back to an earlier share, and waits for a person to go on.
    pub stepped_back: bool,
    pub smoke: Option<(usize, usize)>,
    pub recalled: BTreeSet<usize>,
    /// The phases whose open checklist items were asked for.
    pub items_asked: BTreeSet<ItemPhase>,
    /// Items that a person opened again: nothing ticks them by itself.
    pub reopened: BTreeSet<ItemId>,
    pub rehearsal: Rehearsal,
    pub rollback: Option<Rollback>,
    /// Who waits for our word before a deployment of theirs goes on.
    pub gates: Vec<Waiter>,
    pub result: Option<ReleaseResult>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// Votes and checklist are open.
    CountingDown,
    /// The verdict is go.
    Ready,
    Deploying {
        stage: usize,
    },
    Soaking {
        stage: usize,
        until: Time,
    },
    /// Soaked; its checks run and its people are asked.
    AtGate {
        stage: usize,
    },
    Watching,
    Done,
    Scrubbed,
    RollingBack,
    RolledBack,
    RollbackFailed,
}

impl Phase {
    pub fn name(&self) -> &'static str {
        match self {
            Self::CountingDown => "counting down",
            Self::Ready => "ready",
            Self::Deploying { .. } => "deploying",
            Self::Soaking { .. } => "soaking",
            Self::AtGate { .. } => "at the gate",
            Self::Watching => "watching",
            Self::Done => "done",
            Self::Scrubbed => "scrubbed",
            Self::RollingBack => "rolling back",
            Self::RolledBack => "rolled back",
            Self::RollbackFailed => "rollback failed",
        }
    }

    pub fn is_before_deploy(&self) -> bool {
        matches!(self, Self::CountingDown | Self::Ready)
    }

    /// Between the first step and the last stage.
    pub fn is_rolling_out(&self) -> bool {
        matches!(self, Self::Deploying { .. } | Self::Soaking { .. } | Self::AtGate { .. })
    }

    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Scrubbed | Self::RolledBack)
    }

    pub fn soaks_until(&self) -> Option<Time> {
        if let Self::Soaking { until, .. } = self { Some(*until) } else { None }
    }

    pub fn stage(&self) -> Option<usize> {
        match self {
            Self::Deploying { stage } | Self::Soaking { stage, .. } | Self::AtGate { stage } => {
                Some(*stage)
            }
            Self::CountingDown
            | Self::Ready
            | Self::Watching
            | Self::Done
            | Self::Scrubbed
            | Self::RollingBack
            | Self::RolledBack
            | Self::RollbackFailed => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub reason: String,
    /// Nobody: the bot itself.
    pub by: Option<PersonId>,
    pub at: Time,
    /// How many were called after the first, because nobody had reacted.
    pub escalated: u32,
    /// Somebody has told the room that they are on it.
    pub taken: bool,
}

/// A place in the poll. Every ballot is kept; the last one of this poll revision counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    pub role: Role,
    pub ballots: Vec<Ballot>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    pub vote: Vote,
    pub by: PersonId,
    pub at: Time,
    pub poll_revision: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub report: EvidenceReport,
    pub by: String,
    pub at: Time,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Override {
    pub what: String,
    pub by: PersonId,
    pub reason: String,
    pub at: Time,
}

/// What became of an announcement, for the planned time that it had then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub planned: Time,
    pub at: Time,
    pub skipped: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomState {
    pub wanted: bool,
    pub open: Vec<Room>,
    pub kept: bool,
    pub closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub platform: String,
    pub channel: String,
    pub name: String,
    /// Why it is a thread and no channel of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// A message that is rewritten in place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Card {
    pub release: ReleaseId,
    pub kind: CardKind,
    pub platform: String,
    pub channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardKind {
    /// The go/no-go poll, where releases are announced.
    Poll,
    /// The live card, pinned in the war room.
    Live,
    /// How to go back by hand, pinned for the day on which we are down ourselves.
    RollbackPlan,
    /// One run's output as it comes.
    Run(RunId),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Posted {
    pub platform: String,
    pub channel: String,
    pub message: String,
}

/// One place in the order of things that run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    Stage(usize),
    StageCheck {
        stage: usize,
        check: usize,
    },
    Smoke(usize),
    Timed(usize),
    /// The kill switch of a flag, by its place in the plan.
    FlagOff(usize),
    Rollback(usize),
    RollbackVerify(usize),
    Rehearse(usize),
    Named(ActionName),
}

impl Step {
    /// Changes what runs in the target: at most one such at a time.
    pub fn changes_target(&self) -> bool {
        match self {
            Self::Stage(_) | Self::Rollback(_) => true,
            Self::StageCheck { .. }
            | Self::Smoke(_)
            | Self::Timed(_)
            | Self::FlagOff(_)
            | Self::RollbackVerify(_)
            | Self::Rehearse(_)
            | Self::Named(_) => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub id: RunId,
    pub step: Step,
    pub attempt: u32,
    pub action: ActionName,
    pub with: BTreeMap<String, String>,
    pub began: Time,
    pub ended: Option<(Time, RunEnd)>,
    /// What a person said of it.
    pub settled: Option<bool>,
    /// How they know.
    pub said: Option<String>,
    /// Nobody waits for it any more: another attempt was asked for, or a person went on regardless.
    pub set_aside: bool,
}

impl RunRecord {
    pub fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// `None` while nobody can tell.
    pub fn worked(&self) -> Option<bool> {
        if self.settled.is_some() {
            return self.settled;
        }
        match self.ended.as_ref().map(|(_, end)| &end.outcome)? {
            RunOutcome::Worked => Some(true),
            RunOutcome::Failed(_) | RunOutcome::TimedOut | RunOutcome::Stopped => Some(false),
            RunOutcome::Unknown(_) => None,
        }
    }

    pub fn is_unknown(&self) -> bool {
        !self.is_running() && self.worked().is_none()
    }
}

/// What the numbers say, of a stage or of the release while it is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub stage: Option<usize>,
    /// The worst of them.
    pub light: Light,
    /// Since when that is so.
    pub since: Time,
    /// When it was last put on record.
    pub at: Time,
    pub metrics: Vec<Judged>,
    /// What the room was last told, and when.
    pub told: Option<(Light, Time)>,
    /// What was seen of it is on record, so that it can be shown.
    pub drawn: bool,
}

/// A number over the whole release, for its report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Before the deploy, or of the group that stayed on the old version.
    pub before: Option<f64>,
    pub worst: Judged,
    pub last: Judged,
    pub last_at: Time,
}

/// Red for long enough, or by a person's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Red {
    pub why: String,
    pub by: Option<PersonId>,
    pub at: Time,
    pub roll_back_at: Option<Time>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Rehearsal {
    #[default]
    Never,
    Running {
        attempt: u32,
    },
    Worked {
        at: Time,
    },
    Failed {
        at: Time,
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    pub from: String,
    pub to: String,
    /// Nobody: the numbers did.
    pub by: Option<PersonId>,
    pub reason: Option<String>,
    pub asked_at: Time,
    pub ended_at: Option<Time>,
    pub failed: Option<String>,
    pub escalated: u32,
    pub last_escalation: Option<Time>,
}

impl House {
    /// The freeze that covers a release's start, if any.
    pub fn freeze_over(&self, plan: &Plan, start: Time) -> Option<(Time, String)> {
        let (head, policy) = (&plan.release, self.policy.as_deref()?);
        let found = super::freeze::covering(self, policy, &head.service, &head.environment, start)?;
        Some((found.0, found.1.to_owned()))
    }

    pub fn policy(&self) -> &Policy {
        self.policy.as_deref().expect("a policy is adopted before the first request is decided")
    }

    pub fn live(&self, target: &str) -> Option<&Live> {
        self.live.get(target).and_then(|versions| versions.last())
    }
}

impl Release {
    /// `service/environment`: what at most one deploy changes at a time.
    pub fn target(&self) -> String {
        target(&self.plan)
    }

    pub fn title(&self) -> String {
        self.plan.title()
    }

    /// The last run of a step.
    pub fn run(&self, step: &Step) -> Option<&RunRecord> {
        self.runs.iter().rev().find(|run| run.step == *step)
    }

    pub fn running(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().filter(|run| run.is_running())
    }

    /// The run whose failure or silence holds the release, if any.
    pub fn unsettled(&self) -> Option<&RunRecord> {
        self.runs.iter().rev().find(|run| {
            !run.is_running()
                && !run.set_aside
                && run.worked() != Some(true)
                && self.needs(&run.step)
        })
    }

    /// Whether the release cannot go on without this step.
    fn needs(&self, step: &Step) -> bool {
        match step {
            Step::Stage(stage) => self.phase == Phase::Deploying { stage: *stage },
            Step::StageCheck { stage, .. } => self.phase == Phase::AtGate { stage: *stage },
            Step::Rollback(_) | Step::RollbackVerify(_) => {
                matches!(self.phase, Phase::RollingBack | Phase::RollbackFailed)
            }
            // What stands in for the whole way back; otherwise the other steps go on without it.
            Step::FlagOff(_) => {
                matches!(self.phase, Phase::RollingBack | Phase::RollbackFailed)
                    && self.plan.rollback.as_ref().is_some_and(|plan| plan.flags_suffice)
            }
            Step::Smoke(_) | Step::Timed(_) => self.phase == Phase::Watching,
            Step::Rehearse(_) | Step::Named(_) => false,
        }
    }

    pub fn attempts(&self, step: &Step) -> u32 {
        self.runs.iter().filter(|run| run.step == *step).map(|run| run.attempt).max().unwrap_or(0)
    }

    /// Something of the new version may be live.
    pub fn touched_target(&self) -> bool {
        self.runs.iter().any(|run| matches!(run.step, Step::Stage(_)))
    }

    pub fn last_stage(&self) -> usize {
        self.plan.stages.len().saturating_sub(1)
    }

    /// Traffic on the new version, by the stages that are done.
    pub fn traffic(&self) -> f64 {
        let done = match self.phase {
            Phase::Deploying { stage } => stage,
            Phase::Soaking { stage, .. } | Phase::AtGate { stage } => stage + 1,
            Phase::Watching | Phase::Done => self.plan.stages.len(),
            Phase::CountingDown
            | Phase::Ready
            | Phase::Scrubbed
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::RollbackFailed => 0,
        };
        self.plan.stages[..done].iter().rev().find_map(|stage| stage.traffic).unwrap_or(0.0)
    }

    pub fn is_overridden(&self, obstacle: &str) -> bool {
        self.overrides.iter().any(|over| over.what == obstacle)
    }
}

pub fn target(plan: &Plan) -> String {
    format!("{}/{}", plan.release.service, plan.release.environment)
}

pub fn run_id(release: &ReleaseId, step: &Step, attempt: u32) -> RunId {
    let place = match step {
        Step::Stage(stage) => format!("stage-{}", stage + 1),
        Step::StageCheck { stage, check } => format!("stage-{}-check-{}", stage + 1, check + 1),
        Step::Smoke(check) => format!("smoke-{}", check + 1),
        Step::Timed(check) => format!("check-{}", check + 1),
        Step::FlagOff(flag) => format!("flag-off-{}", flag + 1),
        Step::Rollback(step) => format!("rollback-{}", step + 1),
        Step::RollbackVerify(step) => format!("rollback-verify-{}", step + 1),
        Step::Rehearse(step) => format!("rehearse-{}", step + 1),
        Step::Named(action) => format!("run-{action}"),
    };
    RunId::new(format!("{release}/{place}/{attempt}"))
}

impl Seat {
    /// The vote that counts.
    pub fn vote(&self, poll_revision: u32) -> Option<&Ballot> {
        self.ballots.last().filter(|ballot| ballot.poll_revision == poll_revision)
    }
}

/// A map whose keys are no plain text, as a list of pairs: JSON has no other place for them.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::domain) fn serialize<K, V, S>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        to.collect_seq(map)
    }

    pub(in crate::domain) fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}
