//! What an event changes. One arm per event; no event is refused here, since it has happened.

use std::sync::Arc;

use super::*;
use crate::domain::checklist::{ItemState, Mark};
use crate::domain::event::{Event, Happened};
use crate::domain::filing::{self, Filed};
use crate::domain::health;
use crate::domain::plan::Finding;
use crate::domain::policy::Policy;
use crate::domain::registry;
use crate::domain::report::step_name;
use crate::domain::rollout::how_it_ended;

impl State {
    /// `at` is the entry's time, as it stands in the log.
    pub fn evolve(&mut self, event: &Event, at: Time) {
        self.last_at = self.last_at.max(Some(at));
        match event {
            Event::Release { release, did } => self.happened(release, did, at),
            Event::SnapshotTaken { .. }
            | Event::Refused { .. }
            | Event::AlreadySo { .. }
            | Event::GateTurnedAway { .. } => {}
            // The house is shared with readers: it is copied only when it changes.
            Event::Begun { .. }
            | Event::PolicyAdopted { .. }
            | Event::ClockJumped { .. }
            | Event::ClockLeapt { .. }
            | Event::FreezeAdded { .. }
            | Event::FreezeLifted { .. }
            | Event::FreezeEnded { .. }
            | Event::Welcomed { .. }
            | Event::Locked { .. }
            | Event::Unlocked { .. }
            | Event::Flag { .. } => Arc::make_mut(&mut self.house).evolve(event, at),
        }
        if let Event::PolicyAdopted { .. }
        | Event::FreezeAdded { .. }
        | Event::FreezeLifted { .. }
        | Event::FreezeEnded { .. } = event
        {
            self.look_for_freezes();
        }
    }

    /// What was read from somewhere is kept once again, where releases are alike.
    pub fn share(&mut self) {
        let mut near: Option<&Arc<Release>> = None;
        for release in self.releases.values_mut() {
            if let Some(near) = near {
                Arc::make_mut(release).share(near);
            }
            near = Some(release);
        }
    }

    /// Whatever has not started may be covered by a freeze, or no longer.
    fn look_for_freezes(&mut self) {
        let house = self.house.clone();
        for release in self.releases.values_mut().filter(|r| r.phase.is_before_deploy()) {
            let frozen = house.freeze_over(&release.plan, release.start.at);
            if frozen != release.frozen {
                Arc::make_mut(release).frozen = frozen;
            }
        }
    }

    fn happened(&mut self, id: &ReleaseId, did: &Happened, at: Time) {
        if let Happened::Scheduled { .. } = did {
            let mut release = opened(id, did, at);
            release.frozen = self.house.freeze_over(&release.plan, release.start.at);
            registry::follow(&mut self.house, &release, did, at);
            // Next to it stand those of the same service.
            let before = self.releases.range::<ReleaseId, _>(..id);
            let after = self.releases.range::<ReleaseId, _>(id..);
            for (_, near) in before.rev().take(1).chain(after.take(1)) {
                release.share(near);
            }
            self.releases.insert(id.clone(), Arc::new(release));
            return;
        }
        let Some(release) = self.releases.get_mut(id) else {
            unreachable!("a release is scheduled before it acts, and does nothing once it is filed")
        };
        if let Happened::Filed = did {
            let filed = Filed::of(release);
            self.releases.remove(id);
            Arc::make_mut(&mut self.filed).insert(id.clone(), filed);
            return;
        }
        let release = Arc::make_mut(release);
        release.evolve(did, at);
        if let Happened::Rescheduled { .. } = did {
            release.frozen = self.house.freeze_over(&release.plan, release.start.at);
        }
        registry::follow(&mut self.house, release, did, at);
        if let Happened::RolledOut = did {
            went_live(Arc::make_mut(&mut self.house), release, at);
        } else if let Happened::RolledBack { .. } = did {
            went_back(Arc::make_mut(&mut self.house), release, at);
        }
    }
}

impl House {
    fn evolve(&mut self, event: &Event, at: Time) {
        match event {
            Event::Begun { jumpable } => {
                self.begun = true;
                self.jumpable = *jumpable;
            }
            Event::PolicyAdopted { policy } => {
                self.policy = Some(Arc::new(Policy::clone(policy)));
            }
            Event::Welcomed { .. } => self.welcomed = true,
            Event::ClockJumped { to } => self.jumped = Some((at, *to)),
            Event::ClockLeapt { expected, found } => {
                if found > expected {
                    self.leapt = Some(at);
                }
            }
            Event::FreezeAdded { id, freeze } => {
                self.freezes.insert(id.clone(), freeze.clone());
            }
            Event::FreezeLifted { id, .. } | Event::FreezeEnded { id } => {
                self.freezes.remove(id);
            }
            Event::Locked { target, version, reason } => {
                let lock = Lock { reason: reason.clone(), at };
                self.locks.insert((target.clone(), version.clone()), lock);
            }
            Event::Unlocked { target, version, .. } => {
                self.locks.remove(&(target.clone(), version.clone()));
            }
            Event::Flag { flag, did } => {
                if let Some(record) = self.flags.get_mut(flag) {
                    Arc::make_mut(record).evolve(did, at);
                }
            }
            Event::Release { .. }
            | Event::SnapshotTaken { .. }
            | Event::Refused { .. }
            | Event::AlreadySo { .. }
            | Event::GateTurnedAway { .. } => {}
        }
    }
}

fn went_live(house: &mut House, release: &Release, at: Time) {
    let live = Live {
        version: release.plan.release.version.clone(),
        since: at,
        release: release.id.clone(),
    };
    let versions = house.live.entry(release.target()).or_default();
    versions.push(live);
    filing::keep_at_hand(versions);
}

/// The version that was rolled back is no longer live, and locked until somebody lifts the lock.
fn went_back(house: &mut House, release: &Release, at: Time) {
    let Some(rollback) = &release.rollback else { return };
    let versions = house.live.entry(release.target()).or_default();
    versions.retain(|live| live.release != release.id);
    let reason = format!("{} was rolled back to {}", rollback.from, rollback.to);
    house.locks.insert((release.target(), rollback.from.clone()), Lock { reason, at });
}

fn opened(id: &ReleaseId, did: &Happened, at: Time) -> Release {
    let Happened::Scheduled { plan, start, requester, seats, items, merged, told, .. } = did else {
        unreachable!("only a scheduling opens a release")
    };
    let skipped = |id: &AnnouncementId| {
        let why = Some("merged into the opening notice".to_owned());
        (id.clone(), Said { planned: start.at, at, skipped: why })
    };
    let mut release = Release {
        id: id.clone(),
        captain: plan.release.captain.clone(),
        plan: Arc::new(Plan::clone(plan)),
        revision: 1,
        poll_revision: 1,
        start: start.clone(),
        scheduled_at: at,
        requester: requester.clone(),
        phase: Phase::CountingDown,
        phase_since: at,
        held: None,
        seats: seats.iter().map(empty_seat).collect(),
        asked_at: None,
        reminded: BTreeSet::new(),
        items: items.clone(),
        evidence: BTreeMap::new(),
        frozen: None,
        overrides: Vec::new(),
        accepted: Vec::new(),
        said: merged.iter().map(skipped).collect(),
        told: told.iter().cloned().collect(),
        room: RoomState::default(),
        cards: BTreeMap::new(),
        runs: Vec::new(),
        start_offered: false,
        start_missed: false,
        miss_reminders: 0,
        started_at: None,
        rolled_out_at: None,
        ended_at: None,
        last_update: None,
        prompts: 0,
        approvals: BTreeMap::new(),
        advance_asked: BTreeSet::new(),
        goes_on_at: None,
        overdue: BTreeSet::new(),
        stage_since: None,
        resumed_at: None,
        health: None,
        courses: BTreeMap::new(),
        red: None,
        numbers: BTreeMap::new(),
        stepped_back: false,
        smoke: None,
        recalled: BTreeSet::new(),
        items_asked: BTreeSet::new(),
        reopened: BTreeSet::new(),
        rehearsal: Rehearsal::Never,
        rollback: None,
        gates: Vec::new(),
        result: None,
    };
    for found in &plan.evidence {
        let report = EvidenceReport {
            kind: found.kind,
            result: found.result,
            link: found.link.clone(),
            note: found.note.clone(),
        };
        release.report(&report, "the plan", at);
    }
    release
}

fn empty_seat(role: &Role) -> Seat {
    Seat { role: role.clone(), ballots: Vec::new() }
}

impl Release {
    fn share(&mut self, near: &Self) {
        Arc::make_mut(&mut self.plan).share(&near.plan);
    }

    fn evolve(&mut self, did: &Happened, at: Time) {
        match did {
            Happened::Refused { .. } | Happened::AlreadySo { .. } => {}
            Happened::Scheduled { .. } => unreachable!("a scheduling opens a release"),
            Happened::Rescheduled { start, keeps_votes, .. } => self.moved(start, *keeps_votes, at),
            Happened::Edited { plan, items, stale } => self.edited(plan, items, *stale, at),
            Happened::Scrubbed { .. } => self.end(Phase::Scrubbed, at),
            Happened::ItemMarked { item, mark, by, why, link } => {
                self.mark(item, *mark, by, why.as_ref(), link.as_ref(), at);
            }
            Happened::EvidenceReported { report, by } => self.report(report, by, at),
            Happened::VoteCast { role, person, vote } => self.vote(role, person, vote, at),
            Happened::WentGo => self.enter(Phase::Ready, at),
            Happened::WentNoGo { .. } => self.enter(Phase::CountingDown, at),
            Happened::Overridden { obstacle, person, reason } => {
                self.overrides.push(overridden(obstacle, person, reason, at));
            }
            Happened::RiskAccepted { risk, person, reason } => {
                self.accepted.push(overridden(risk, person, reason, at));
            }
            Happened::HandedOver { to } => self.captain = to.clone(),
            Happened::VotesAsked => self.asked_at = Some(at),
            Happened::VotersReminded { before, .. } => {
                self.reminded.insert(before.clone());
            }
            Happened::Announced { id, to, planned, .. } => {
                let said = Said { planned: *planned, at, skipped: None };
                self.said.insert(id.clone(), said);
                self.told.extend(to.iter().cloned());
            }
            Happened::AnnouncementSkipped { id, planned, why } => {
                let said = Said { planned: *planned, at, skipped: Some(why.clone()) };
                self.said.insert(id.clone(), said);
            }
            Happened::SaidByHand { .. } | Happened::NotPosted { .. } => {}
            Happened::Posted { card, posted, .. } => {
                if let Some(card) = card {
                    self.cards.insert(card.clone(), posted.clone());
                }
            }
            Happened::RoomWanted => self.room.wanted = true,
            Happened::RoomOpened { room } => self.room.open.push(room.clone()),
            Happened::RoomKept => self.room.kept = true,
            Happened::RoomClosed => self.room.closed = true,
            Happened::StartOffered => self.start_offered = true,
            Happened::StartMissed { why } => {
                self.start_missed = true;
                self.miss_reminders = 0;
                self.held = Some(Hold::new(why, None, at));
            }
            Happened::MissReminded { nth, .. } => self.miss_reminders = *nth,
            Happened::Started { .. } => {
                self.started_at = Some(at);
                self.spoke(at);
                self.enter(Phase::Deploying { stage: 0 }, at);
            }
            Happened::StepStarted { step, attempt, action, with } => {
                self.spoke(at);
                self.runs.push(RunRecord {
                    id: run_id(&self.id, step, *attempt),
                    step: step.clone(),
                    attempt: *attempt,
                    action: action.clone(),
                    with: with.clone(),
                    began: at,
                    ended: None,
                    settled: None,
                    said: None,
                    set_aside: false,
                });
            }
            Happened::StepEnded { step, attempt, end } => {
                self.spoke(at);
                if let Some(run) = self.run_mut(step, *attempt) {
                    run.ended = Some((at, end.clone()));
                }
            }
            Happened::OutcomeSettled { step, attempt, worked, reason, .. } => {
                self.spoke(at);
                if let Some(run) = self.run_mut(step, *attempt) {
                    (run.settled, run.said) = (Some(*worked), Some(reason.clone()));
                }
                match worked {
                    true => self.held = None,
                    false => self.stuck_anew(step),
                }
                if *worked && self.phase == Phase::RollbackFailed {
                    self.enter(Phase::RollingBack, at);
                }
            }
            Happened::RetryAsked { step } => self.retry(step, at),
            Happened::StageDeployed { stage, soak_until } => {
                self.spoke(at);
                let stage = *stage;
                self.stage_since = Some(at);
                match soak_until {
                    Some(until) => self.enter(Phase::Soaking { stage, until: *until }, at),
                    None => self.enter(Phase::AtGate { stage }, at),
                }
            }
            Happened::SoakEnded { stage } => {
                self.spoke(at);
                self.enter(Phase::AtGate { stage: *stage }, at);
            }
            Happened::AdvanceAsked { stage, until } => {
                self.advance_asked.insert(*stage);
                self.goes_on_at = *until;
            }
            // It comes to its gate anew: what was green when the wait began says nothing of now.
            Happened::AdvanceOpened { stage } => {
                self.spoke(at);
                self.advance_asked.remove(stage);
                self.enter(Phase::AtGate { stage: *stage }, at);
            }
            Happened::StageOverdue { stage, .. } => {
                self.overdue.insert(*stage);
            }
            Happened::StageApproved { stage, role, person } => {
                let approvals = self.approvals.entry(*stage).or_default();
                approvals.insert(role.clone(), person.clone());
            }
            Happened::StageAdvanced { stage, .. } => {
                self.spoke(at);
                self.enter(Phase::Deploying { stage: stage + 1 }, at);
            }
            Happened::UpdatePosted { .. } => {
                self.spoke(at);
                if let Some(hold) = &mut self.held {
                    hold.taken = true;
                }
            }
            Happened::GateAsked { waiting } => self.gates.push(Waiter::new(waiting.clone())),
            Happened::GateAnswered { waiter, word, text } => {
                if let Some(waiter) = self.gates.get_mut(*waiter) {
                    waiter.told(*word, text);
                }
            }
            Happened::SilenceNoticed { nth, .. } => self.prompts = *nth,
            Happened::Held { reason, by } => {
                self.held = Some(Hold::new(reason, by.clone(), at));
                if by.is_some() {
                    // Somebody has stepped in: nothing goes back by itself.
                    self.red = None;
                }
            }
            Happened::NumberReported { number, .. } => self.keep_number(number, at),
            Happened::Measured { stage, metrics, tell, traces } => {
                self.measured((*stage, !traces.is_empty()), metrics, *tell, at);
            }
            Happened::TurnedRed { why, by, roll_back_at } => {
                let (why, by, roll_back_at) = (why.clone(), by.clone(), *roll_back_at);
                if roll_back_at.is_none() && self.held.is_none() {
                    self.held = Some(Hold::new(&why, None, at));
                }
                self.red = Some(Red { why, by, at, roll_back_at });
            }
            // Taken out of the state before it comes here.
            Happened::Filed => {}
            Happened::SteppedBack { to, .. } => {
                self.step_back(*to, at);
            }
            Happened::Resumed { .. } => {
                self.held = None;
                self.red = None;
                self.stepped_back = false;
                self.resumed_at = Some(at);
                self.set_aside(|step| matches!(step, Step::Smoke(_) | Step::Timed(_)));
                self.spoke(at);
            }
            Happened::RolledOut => {
                self.rolled_out_at = Some(at);
                self.enter(Phase::Watching, at);
            }
            Happened::SmokeTallied { passed, total } => self.smoke = Some((*passed, *total)),
            Happened::CheckRecalled { check } => {
                self.recalled.insert(*check);
            }
            Happened::ItemsAsked { phase, .. } => {
                self.items_asked.insert(*phase);
            }
            Happened::Finished { result, .. } => {
                self.result = Some(result.clone());
                if self.phase == Phase::Watching {
                    self.end(Phase::Done, at);
                }
            }
            Happened::RehearsalAsked => {
                let attempt = self.attempts(&Step::Rehearse(0)) + 1;
                self.rehearsal = Rehearsal::Running { attempt };
            }
            Happened::RehearsalEnded { worked, why } => self.rehearsed(*worked, why.as_ref(), at),
            Happened::RollbackAsked { from, to, by, reason } => {
                self.rollback = Some(Rollback {
                    from: from.clone(),
                    to: to.clone(),
                    by: by.clone(),
                    reason: reason.clone(),
                    asked_at: self.rollback.as_ref().map_or(at, |before| before.asked_at),
                    ended_at: None,
                    failed: None,
                    escalated: 0,
                    last_escalation: None,
                });
                self.held = None;
                self.ended_at = None;
                self.result = None;
                self.enter(Phase::RollingBack, at);
            }
            Happened::RolledBack { .. } => {
                if let Some(rollback) = &mut self.rollback {
                    rollback.ended_at = Some(at);
                }
                self.end(Phase::RolledBack, at);
            }
            Happened::RollbackFailed { why } => {
                if let Some(rollback) = &mut self.rollback {
                    rollback.failed = Some(why.clone());
                }
                self.enter(Phase::RollbackFailed, at);
            }
            Happened::Escalated { nth, .. } => {
                if let Some(hold) = &mut self.held {
                    hold.escalated = *nth;
                } else if let Some(rollback) = &mut self.rollback {
                    rollback.escalated = *nth;
                    rollback.last_escalation = Some(at);
                }
            }
        }
    }

    fn enter(&mut self, phase: Phase, at: Time) {
        self.phase = phase;
        self.phase_since = at;
        self.goes_on_at = None;
    }

    fn end(&mut self, phase: Phase, at: Time) {
        self.held = None;
        self.ended_at = Some(at);
        self.enter(phase, at);
    }

    /// Something was heard of the deploy: the prompts for silence begin anew.
    fn spoke(&mut self, at: Time) {
        self.last_update = Some(at);
        self.prompts = 0;
    }

    fn moved(&mut self, start: &Start, keeps_votes: bool, at: Time) {
        self.revision += 1;
        self.start = start.clone();
        self.start_offered = false;
        if self.start_missed {
            self.start_missed = false;
            self.held = None;
        }
        self.reminded.clear();
        self.items_asked.clear();
        if !keeps_votes {
            self.forget_votes(at);
        }
    }

    fn edited(&mut self, plan: &Plan, items: &[Item], stale: bool, at: Time) {
        self.revision += 1;
        let mut items = items.to_vec();
        for item in &mut items {
            if let Some(before) = self.items.iter().find(|before| before.id == item.id)
                && !stale
            {
                item.state = before.state.clone();
            }
        }
        self.items = items;
        let mut plan = plan.clone();
        plan.share(&self.plan);
        self.plan = Arc::new(plan);
        if stale {
            self.evidence.clear();
            self.rehearsal = Rehearsal::Never;
            self.forget_votes(at);
        }
    }

    /// What was agreed was agreed for that plan at that time; so was what was overridden.
    fn forget_votes(&mut self, at: Time) {
        self.poll_revision += 1;
        self.overrides.clear();
        self.asked_at = self.asked_at.map(|_| at);
        self.reminded.clear();
        if self.phase == Phase::Ready {
            self.enter(Phase::CountingDown, at);
        }
    }

    fn vote(&mut self, role: &Role, by: &PersonId, vote: &Vote, at: Time) {
        let poll_revision = self.poll_revision;
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.role == *role) {
            seat.ballots.push(Ballot { vote: vote.clone(), by: by.clone(), at, poll_revision });
        }
    }

    fn mark(
        &mut self,
        id: &crate::domain::ids::ItemId,
        mark: Mark,
        by: &str,
        why: Option<&String>,
        link: Option<&String>,
        at: Time,
    ) {
        if mark == Mark::Reopen {
            self.reopened.insert(id.clone());
        }
        let by = by.to_owned();
        let Some(item) = self.items.iter_mut().find(|item| item.id == *id) else { return };
        item.state = match mark {
            Mark::Pass => ItemState::Passed { by, at, link: link.cloned(), note: why.cloned() },
            Mark::Fail => ItemState::Failed { by, at, link: link.cloned(), note: why.cloned() },
            Mark::Waive => ItemState::Waived { by, at, why: why.cloned().unwrap_or_default() },
            Mark::Reopen => ItemState::Open,
        };
    }

    /// Evidence settles the items that wait for it, except where a person has waived them.
    fn report(&mut self, report: &EvidenceReport, by: &str, at: Time) {
        let found = Evidence { report: report.clone(), by: by.to_owned(), at };
        self.evidence.insert(report.kind, found);
        let (by, link, note) = (by.to_owned(), report.link.clone(), report.note.clone());
        for item in self.items.iter_mut().filter(|item| item.evidence == Some(report.kind)) {
            if matches!(item.state, ItemState::Waived { .. }) {
                continue;
            }
            let (by, link, note) = (by.clone(), link.clone(), note.clone());
            item.state = match report.result {
                Finding::Pass | Finding::PassWithWarnings => {
                    ItemState::Passed { by, at, link, note }
                }
                Finding::Fail => ItemState::Failed { by, at, link, note },
            };
        }
    }

    fn rehearsed(&mut self, worked: bool, why: Option<&String>, at: Time) {
        let why = why.cloned();
        self.rehearsal = if worked {
            Rehearsal::Worked { at }
        } else {
            Rehearsal::Failed { at, why: why.clone().unwrap_or_default() }
        };
        let result = if worked { Finding::Pass } else { Finding::Fail };
        let kind = EvidenceKind::RollbackRehearsal;
        let report = EvidenceReport { kind, result, link: None, note: why };
        self.report(&report, "tminus", at);
    }

    fn measured(
        &mut self,
        (stage, is_drawn): (Option<usize>, bool),
        metrics: &[Judged],
        tell: bool,
        at: Time,
    ) {
        metrics.iter().for_each(|judged| self.goes_on(judged, at));
        let light = health::overall(metrics);
        let before = self.health.take().filter(|before| before.stage == stage);
        let same = before.as_ref().filter(|before| before.light == light);
        let since = same.map_or(at, |before| before.since);
        let drawn = is_drawn || before.as_ref().is_some_and(|before| before.drawn);
        let told = if tell { Some((light, at)) } else { before.and_then(|before| before.told) };
        let metrics = metrics.to_vec();
        self.health = Some(Health { stage, light, since, at, metrics, told, drawn });
        // What a person declared no number takes back.
        if light != Light::Red && self.red.as_ref().is_some_and(|red| red.by.is_none()) {
            self.red = None;
        }
    }

    /// What cannot be told says nothing of how it went.
    fn goes_on(&mut self, judged: &Judged, at: Time) {
        if judged.value.is_none() {
            return;
        }
        let course = self.courses.entry(judged.name.clone()).or_insert_with(|| Course {
            before: None,
            worst: judged.clone(),
            last: judged.clone(),
            last_at: at,
        });
        course.before = course.before.or(judged.baseline);
        let further = judged.change().unwrap_or_default().abs()
            > course.worst.change().unwrap_or_default().abs();
        if judged.light > course.worst.light || judged.light == course.worst.light && further {
            course.worst = judged.clone();
        }
        (course.last, course.last_at) = (judged.clone(), at);
    }

    fn step_back(&mut self, to: usize, at: Time) {
        self.set_aside(|step| match step {
            Step::Stage(stage) | Step::StageCheck { stage, .. } => *stage >= to,
            Step::Smoke(_)
            | Step::Timed(_)
            | Step::FlagOff(_)
            | Step::Rollback(_)
            | Step::RollbackVerify(_)
            | Step::Rehearse(_)
            | Step::Named(_) => false,
        });
        self.held = None;
        self.red = None;
        self.stepped_back = true;
        self.advance_asked.retain(|stage| *stage < to);
        self.overdue.retain(|stage| *stage < to);
        self.approvals.retain(|stage, _| *stage < to);
        self.spoke(at);
        self.enter(Phase::Deploying { stage: to }, at);
    }

    fn set_aside(&mut self, which: impl Fn(&Step) -> bool) {
        let ended = self.runs.iter_mut().filter(|run| run.ended.is_some());
        for run in ended.filter(|run| which(&run.step)) {
            run.set_aside = true;
        }
    }

    fn retry(&mut self, step: &Step, at: Time) {
        self.set_aside(|other| other == step);
        if matches!(step, Step::Smoke(_)) {
            self.smoke = None;
        }
        self.held = None;
        self.spoke(at);
        if self.phase == Phase::RollbackFailed {
            self.enter(Phase::RollingBack, at);
        }
    }

    /// What a person has said since is why it stands still now.
    fn stuck_anew(&mut self, step: &Step) {
        let Some(run) = self.run(step) else { return };
        let why = format!("{} {}", step_name(self, step), how_it_ended(run));
        if let Some(rollback) = self.rollback.as_mut().filter(|back| back.failed.is_some()) {
            rollback.failed = Some(why.clone());
        }
        if let Some(hold) = self.held.as_mut().filter(|hold| hold.by.is_none()) {
            hold.reason = why;
        }
    }

    fn run_mut(&mut self, step: &Step, attempt: u32) -> Option<&mut RunRecord> {
        self.runs.iter_mut().find(|run| run.step == *step && run.attempt == attempt)
    }
}

impl Hold {
    fn new(reason: &str, by: Option<PersonId>, at: Time) -> Self {
        Self { reason: reason.to_owned(), by, at, escalated: 0, taken: false }
    }
}

fn overridden(what: &str, by: &PersonId, reason: &str, at: Time) -> Override {
    Override { what: what.to_owned(), by: by.clone(), reason: reason.to_owned(), at }
}
