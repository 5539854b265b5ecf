//! What we say: the data of it, frozen when it is committed. The words are in `messages/`, one
//! file per kind, named as here.

use serde::{Deserialize, Serialize};

use super::checklist::Tally;
use super::ids::{Account, FlagId, ItemId, PersonId, ReleaseId, RunId};
use super::policy::Policy;
use super::state::{Release, Room};
use super::time::Time;
use super::zone::Zone;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: NoticeKind,
    /// The release as it was then; absent for what concerns the whole house.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<Brief>,
    /// Customers read it: no commands, no log heads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
}

impl Notice {
    /// It is looked at rather than read.
    pub fn is_shown(&self) -> bool {
        matches!(self.kind, NoticeKind::Pictures { .. })
    }
}

/// One kind of notice with what only it knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum NoticeKind {
    // Announcements: the template's name is the plan's.
    Announcement {
        template: String,
        planned: Time,
        late: bool,
        at: Time,
    },
    Opening {
        merged: Vec<String>,
        warnings: Vec<String>,
    },
    Correction {
        reason: Option<String>,
    },
    Retraction {
        reason: String,
    },
    SaidByHand {
        text: String,
        by: PersonRef,
    },

    // The poll.
    VoteWanted {
        role: String,
        /// The seat as people call it.
        #[serde(default)]
        seat: String,
        before: Option<String>,
        people: Vec<PersonRef>,
    },
    WentGo,
    ChangedToGo {
        role: String,
        by: String,
    },
    WentNoGo {
        reasons: Vec<ReasonText>,
        after_go: bool,
    },

    // The rollout, in the war room. `at` is the stamp.
    StartOffered {
        at: Time,
        until: Time,
        captain: PersonRef,
    },
    StartMissed {
        at: Time,
        why: String,
    },
    StartWaits {
        at: Time,
        since: Time,
        waited_ms: i64,
        why: String,
        person: PersonRef,
        /// Nobody is reminded after this.
        last: bool,
    },
    Started {
        at: Time,
        by: String,
    },
    StageDone {
        at: Time,
        text: String,
        traffic: Option<f64>,
        took_ms: u64,
    },
    /// The kill switch of a flag, in a rollback.
    FlagOff {
        at: Time,
        flag: String,
        provider: String,
        /// `0.4 s`.
        after: String,
        /// Why it may still be on.
        trouble: Option<String>,
        people: Vec<PersonRef>,
    },
    /// Somebody changed a flag by hand.
    FlagChanged {
        at: Time,
        flag: String,
        id: FlagId,
        provider: String,
        /// Nothing: the kill switch.
        percent: Option<f64>,
        by: String,
        /// `0.4 s`; nothing where it was found done after an interruption.
        after: Option<String>,
        /// Why it may be otherwise.
        trouble: Option<String>,
        /// The release that is on hold for it.
        held: Option<String>,
        people: Vec<PersonRef>,
    },
    /// Its owner is to clean it up.
    FlagReminder {
        at: Time,
        flag: String,
        id: FlagId,
        owner: Option<PersonRef>,
        purpose: String,
        /// How far it is open, as far as the log knows.
        share: Option<String>,
        full_since: Option<Time>,
        expires: Option<String>,
        /// Until then; negative once that is past.
        days: Option<i64>,
        nth: u32,
        releases: Vec<String>,
        /// Whether a ticket was asked for.
        ticket: bool,
    },
    /// What a tracker is told, once for each flag.
    FlagTicket {
        flag: String,
        id: FlagId,
        owner: Option<String>,
        purpose: String,
        share: Option<String>,
        full_since: Option<Time>,
        expires: Option<String>,
        releases: Vec<String>,
    },
    StepDone {
        at: Time,
        text: String,
        took_ms: u64,
    },
    Soaking {
        at: Time,
        stage: String,
        until: Time,
        checks: Vec<String>,
        /// So long that the day has to be said.
        days: bool,
        /// The metrics that decide.
        #[serde(default)]
        judged: Vec<String>,
    },
    AdvanceWanted {
        at: Time,
        stage: String,
        /// Counted from 1: what the button commits to.
        #[serde(default)]
        number: usize,
        next: Option<String>,
        waits_for: Vec<String>,
        people: Vec<PersonRef>,
        /// As long as the plan gives it.
        #[serde(default)]
        soaked_ms: Option<i64>,
        /// What stands against it.
        #[serde(default)]
        why: Option<String>,
        /// When it goes on by itself.
        #[serde(default)]
        goes_on_at: Option<Time>,
        /// Each metric with its value and what it is compared with.
        #[serde(default)]
        lines: Vec<String>,
    },
    /// A group of people has the new version, and is asked how it is.
    Cohort {
        at: Time,
        stage: String,
        cohort: Option<String>,
        traffic: Option<f64>,
        feedback: Option<String>,
    },
    Advanced {
        at: Time,
        next: String,
        by: Option<String>,
        #[serde(default)]
        lines: Vec<String>,
    },
    StepFailed {
        at: Time,
        step: String,
        why: String,
        tail: String,
        people: Vec<PersonRef>,
        from: String,
        to: Option<String>,
    },
    /// A person said how a step ended.
    OutcomeSettled {
        at: Time,
        step: String,
        worked: bool,
        by: String,
        reason: String,
    },
    StepUnknown {
        at: Time,
        step: String,
        why: String,
        people: Vec<PersonRef>,
    },
    Update {
        at: Time,
        text: String,
        by: String,
    },
    SilencePrompt {
        at: Time,
        minutes: i64,
        person: Option<PersonRef>,
        /// Who has to say that it goes on, if it waits for that.
        captain: Option<PersonRef>,
    },
    /// What the numbers say has changed.
    Numbers {
        at: Time,
        /// Nothing: the release as a whole, while it is watched.
        stage: Option<String>,
        light: String,
        /// Each metric with its value and what it is compared with.
        lines: Vec<String>,
        automatic: bool,
        held: bool,
        /// The end of the soak, if it goes on by itself then.
        #[serde(default)]
        advances_at: Option<Time>,
        /// So far away that the day has to be said.
        #[serde(default)]
        days: bool,
    },
    /// What was measured, as pictures. They are drawn from the log when they are delivered.
    Pictures {
        at: Time,
        /// Nothing: the release as a whole.
        stage: Option<String>,
        lines: Vec<String>,
        /// It has gone back since.
        back: bool,
    },
    TurnedRed {
        at: Time,
        why: String,
        by: Option<String>,
        roll_back_at: Option<Time>,
        /// Whether there is time to stop it.
        window: bool,
        to: Option<String>,
        people: Vec<PersonRef>,
    },
    SteppedBack {
        at: Time,
        from: String,
        to: String,
        by: String,
    },
    Held {
        at: Time,
        reason: String,
        by: Option<String>,
        /// Who has to look at it, where no person held it.
        #[serde(default)]
        people: Vec<PersonRef>,
    },
    Resumed {
        at: Time,
        by: String,
    },
    RolledOut {
        at: Time,
        took_ms: u64,
    },
    SmokeTallied {
        at: Time,
        passed: usize,
        total: usize,
        failed: Vec<String>,
    },
    CheckWanted {
        at: Time,
        name: String,
        expect: Option<String>,
        people: Vec<PersonRef>,
    },
    /// The checklist items of one phase that nobody has answered.
    ItemsWanted {
        at: Time,
        phase: String,
        items: Vec<WantedItem>,
        people: Vec<PersonRef>,
    },

    // Going back.
    RehearsalEnded {
        at: Time,
        worked: bool,
        why: Option<String>,
    },
    RollbackBegan {
        at: Time,
        from: String,
        to: String,
        /// Nobody: the numbers did.
        by: Option<String>,
        reason: Option<String>,
        steps: usize,
        /// Switched off before anything else.
        #[serde(default)]
        flags: Vec<String>,
        people: Vec<PersonRef>,
    },
    RolledBack {
        at: Time,
        from: String,
        to: String,
        by: Option<String>,
        took_ms: u64,
        rto_met: Option<bool>,
        rto: Option<String>,
        verified: bool,
        downtime: bool,
    },
    RollbackFailed {
        at: Time,
        why: String,
        people: Vec<PersonRef>,
    },
    Escalation {
        at: Time,
        why: String,
        nth: u32,
        person: PersonRef,
        /// A rollback is stuck, rather than a step.
        rollback: bool,
    },

    // Around it.
    Overridden {
        at: Time,
        obstacle: String,
        by: String,
        reason: String,
    },
    HandedOver {
        at: Time,
        to: PersonRef,
    },
    Finished {
        at: Time,
        outcome: String,
        state: String,
        issues: Vec<String>,
        took_ms: Option<u64>,
        smoke: Option<(usize, usize)>,
        /// Checklist items that nobody answered.
        #[serde(default)]
        unanswered: Vec<String>,
    },
    Undelivered {
        to: String,
        what: String,
        why: String,
        unknown: bool,
    },
    /// It opened after people had been told of the start without it.
    RoomOpened,
    /// The war room is no channel of its own.
    RoomIsThread {
        name: String,
        why: String,
    },
    ClockLeapt {
        at: Time,
        from: Time,
        to: Time,
        forward: bool,
        length_ms: u64,
        /// A soak is under way that nobody measures any more.
        soaking: bool,
    },
    /// The report, written from the log when it is delivered.
    Report,
    Welcome {
        plan: String,
        title: String,
        version: String,
        strategy: super::plan::Strategy,
        stages: Vec<String>,
        features: Vec<String>,
        fixes: usize,
        captain: String,
        start: Time,
        zone: Zone,
    },
    FreezeAdded {
        from: Time,
        until: Time,
        reason: String,
        target: String,
    },
    FreezeLifted {
        reason: String,
        id: String,
    },
    Unlocked {
        version: String,
        target: String,
        reason: String,
    },
    Locked {
        version: String,
        target: String,
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasonText {
    pub text: String,
    pub owner: Option<PersonRef>,
}

/// A checklist item that somebody has to answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WantedItem {
    pub id: ItemId,
    pub name: String,
    pub owner: String,
}

/// A person, so that each platform can mention them in its own way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonRef {
    pub person: PersonId,
    pub name: String,
    pub accounts: Vec<Account>,
}

impl PersonRef {
    /// A group of a platform, asked as one.
    pub fn group(group: &str, name: &str) -> Option<Self> {
        let Account { platform, tenant, user } = group.parse().ok()?;
        let account = Account { platform, tenant, user: format!("&{user}") };
        Some(Self { person: PersonId::new(group), name: name.to_owned(), accounts: vec![account] })
    }

    pub fn of(person: &PersonId, policy: &Policy) -> Self {
        Self {
            person: person.clone(),
            name: policy.name_of(person).to_owned(),
            accounts: policy.accounts_of(person),
        }
    }
}

/// What every notice about a release may say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub release: ReleaseId,
    pub title: String,
    pub name: String,
    pub version: String,
    pub service: String,
    pub environment: String,
    pub headline: String,
    pub kind: super::plan::Kind,
    pub strategy: super::plan::Strategy,
    pub start: Time,
    pub zone: Zone,
    pub captain: PersonRef,
    pub deployer: Option<PersonRef>,
    pub oncall: Vec<PersonRef>,
    pub features: Vec<String>,
    pub enhancements: Vec<String>,
    pub fixes: usize,
    pub breaking: usize,
    pub security: usize,
    pub impact: Option<String>,
    pub duration_ms: Option<i64>,
    pub downtime_ms: Option<i64>,
    pub user_facing: bool,
    pub support: Option<String>,
    pub notes_url: Option<String>,
    pub plan_url: Option<String>,
    pub rooms: Vec<Room>,
    /// The platforms on which it is wanted, and not open yet.
    #[serde(default)]
    pub late_rooms: Vec<String>,
    pub go: usize,
    pub seats: usize,
    pub waiting: Vec<Waiting>,
    pub tally: Tally,
    pub rollback_to: Option<String>,
    pub rehearsed_at: Option<Time>,
    pub revision: u32,
    #[serde(default)]
    pub poll_revision: u32,
    /// The run that waits for a person's decision.
    #[serde(default)]
    pub unsettled: Option<RunId>,
    /// What an override has to name, where the numbers hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by_numbers: Option<String>,
    pub phase: String,
    /// On the new version, in percent.
    #[serde(default)]
    pub traffic: f64,
    // How it went, for the summaries.
    #[serde(default)]
    pub took_ms: Option<i64>,
    #[serde(default)]
    pub smoke: Option<(usize, usize)>,
    #[serde(default)]
    pub issues: Vec<String>,
}

/// A seat that has not answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub role: String,
    pub asked_at: Option<Time>,
}

impl Brief {
    pub fn of(release: &Release, policy: &Policy) -> Self {
        let plan = &release.plan;
        let head = &plan.release;
        let scope = &plan.scope;
        let person = |id: &PersonId| PersonRef::of(id, policy);
        let seat = |seat: &super::state::Seat| seat.vote(release.poll_revision).cloned();
        let votes = release.seats.iter().filter_map(seat);
        let go = votes.filter(|b| b.vote == super::command::Vote::Go).count();
        Self {
            release: release.id.clone(),
            title: plan.title(),
            name: plan.name().to_owned(),
            version: head.version.clone(),
            service: head.service.clone(),
            environment: head.environment.clone(),
            headline: head.title.clone(),
            kind: head.kind,
            strategy: head.strategy,
            start: release.start.at,
            zone: release.start.zone,
            captain: person(&release.captain),
            deployer: head.deployer.as_ref().map(person),
            oncall: plan.monitoring.oncall.people().map(person).collect(),
            features: scope.features.iter().map(|feature| feature.name.clone()).collect(),
            enhancements: scope.enhancements.clone(),
            fixes: scope.fixes.len(),
            breaking: scope.breaking.len(),
            security: scope.security.len(),
            impact: head.impact.clone(),
            duration_ms: head.duration.map(|span| span.duration().num_milliseconds()),
            downtime_ms: head.downtime.map(|span| span.duration().num_milliseconds()),
            user_facing: head.user_facing,
            support: head.support.clone(),
            notes_url: head.notes_url.clone(),
            plan_url: head.plan_url.clone(),
            rooms: release.room.open.clone(),
            late_rooms: late_rooms(release, policy),
            go,
            seats: release.seats.len(),
            waiting: waiting(release, policy),
            tally: super::checklist::tally(&release.items),
            rollback_to: plan.rollback.as_ref().map(|back| back.to.clone()),
            rehearsed_at: match release.rehearsal {
                super::state::Rehearsal::Worked { at } => Some(at),
                super::state::Rehearsal::Never
                | super::state::Rehearsal::Running { .. }
                | super::state::Rehearsal::Failed { .. } => None,
            },
            revision: release.revision,
            poll_revision: release.poll_revision,
            unsettled: release.unsettled().map(|run| run.id.clone()),
            held_by_numbers: release.held_by_numbers(),
            phase: release.phase.name().to_owned(),
            traffic: release.traffic(),
            took_ms: release
                .started_at
                .zip(release.rolled_out_at)
                .map(|(from, to)| (to - from).num_milliseconds()),
            smoke: release.smoke,
            issues: match release.rolled_out_at {
                Some(_) => super::report::result(release).issues,
                None => Vec::new(),
            },
        }
    }
}

fn late_rooms(release: &Release, policy: &Policy) -> Vec<String> {
    let open = |platform: &str| release.room.open.iter().any(|room| room.platform == platform);
    let wanted = policy.rooms.iter().filter(|_| release.room.wanted);
    wanted.map(|home| home.platform.clone()).filter(|it| !open(it)).collect()
}

fn waiting(release: &Release, policy: &Policy) -> Vec<Waiting> {
    let silent = release.seats.iter().filter(|seat| seat.vote(release.poll_revision).is_none());
    silent
        .map(|seat| Waiting {
            role: policy.title_of(&seat.role).to_owned(),
            asked_at: release.asked_at,
        })
        .collect()
}
