//! The whole release on a clock that only moves when told, with every real neighbour cut off: what
//! the plan would do, in seconds, before anyone depends on it.

mod numbers;
mod stage;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chrono::Duration;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::delivery::{Delivery, Neighbours, World};
use super::engine::Engine;
use super::measure::Gauges;
use super::messages::Messages;
use crate::domain::checklist::Mark;
use crate::domain::command::{Actor, Claims, Command, Commitment, EvidenceReport, Request, Vote};
use crate::domain::event::{Event, Happened};
use crate::domain::health::{self, Gate};
use crate::domain::ids::{Account, PersonId, ReleaseId, Role};
use crate::domain::plan::{Finding, Plan};
use crate::domain::policy::{Policy, Right};
use crate::domain::refusal::Refusal;
use crate::domain::rollout::wanted_approvals;
use crate::domain::state::{Phase, Rehearsal, Release, Start, State};
use crate::domain::time::Time;
use crate::domain::verdict::{self, Reason};
use crate::store::Store;
use numbers::Numbers;
pub use stage::Line;
use stage::Stage;

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    #[default]
    None,
    /// The last seat says no-go and stays with it.
    NoGo,
    /// The second stage that carries traffic fails.
    FailedStep,
    /// The bot was away when the T-24h announcements fell due.
    Late,
    /// The numbers of the first stage that has some are red, and stay so.
    RedMetric,
    /// Nobody answers how the release fares.
    NoData,
    /// The numbers are now good, now bad.
    Flapping,
    /// The bot is killed in the middle of a stage and starts again.
    Crash,
}

impl Trouble {
    /// Whether it needs numbers, and the plan is judged by none: it would change nothing.
    pub fn is_idle(self, plan: &Plan) -> bool {
        let has_numbers = plan.stages.iter().any(|stage| !stage.metrics.is_empty())
            || plan.monitoring.metrics.iter().any(|metric| metric.query.is_some());
        match self {
            Self::RedMetric | Self::NoData | Self::Flapping => !has_numbers,
            Self::None | Self::NoGo | Self::FailedStep | Self::Late | Self::Crash => false,
        }
    }
}

/// How a rehearsal went.
#[derive(Debug)]
pub struct Rehearsed {
    pub timeline: Vec<Line>,
    pub release: Release,
    pub launched: bool,
    /// Why it would not have launched.
    pub obstacles: Vec<String>,
    pub state: Arc<State>,
    pub entries: Vec<crate::store::Entry>,
}

/// More acts than a release can take; a limit, so that a plan that never ends is said to.
const MOST_ACTS: usize = 2_000;

/// Plays the plan in a state directory of its own.
pub async fn rehearse(
    plan: &Plan,
    policy: &Policy,
    start: Start,
    messages: Arc<Messages>,
    trouble: Trouble,
    directory: &Path,
) -> anyhow::Result<Result<Rehearsed, Refusal>> {
    let opening = start.at - Duration::hours(49);
    let (policy, numbers) = Numbers::of(plan, policy, trouble);
    let mut play = Play::begin(&policy, messages, trouble, directory, opening, numbers).await?;
    let id = match play.schedule(plan, start).await? {
        Ok(id) => id,
        Err(why) => return Ok(Err(why)),
    };
    play.act(&id).await?;
    play.end(&id).await.map(Ok)
}

struct Play {
    gauges: Gauges,
    engine: Engine,
    delivery: Delivery,
    stage: Arc<Stage>,
    messages: Arc<Messages>,
    trouble: Trouble,
    clock: Clock,
    requests: u64,
    crashed: bool,
    went_away: bool,
}

/// **Invariant:** the neighbours come from the stage, whatever the configuration connects.
async fn wake(
    engine: &Engine,
    stage: &Arc<Stage>,
    messages: &Arc<Messages>,
) -> anyhow::Result<Delivery> {
    let world = World::Rehearsed(Neighbours {
        chats: stage.chats(&engine.state()),
        couriers: stage.couriers(&engine.state()),
        deployer: stage.clone(),
        gates: std::collections::BTreeMap::new(),
        people: Arc::default(),
    });
    Delivery::start(
        engine.clone(),
        world,
        messages.clone(),
        std::collections::BTreeMap::new(),
        CancellationToken::new(),
    )
    .await
}

/// Whoever has the right, by the policy.
fn holder(policy: &Policy, right: Right) -> Option<PersonId> {
    policy.roles_with(right).find_map(|role| member(policy, role))
}

fn member(policy: &Policy, role: &Role) -> Option<PersonId> {
    policy.roles.get(role)?.members.iter().next().cloned()
}

/// Whoever is on call, or else anybody who may.
fn rolls_back(
    release: &Release,
    policy: &Policy,
    reason: Option<String>,
) -> Option<(PersonId, Command)> {
    let who = release.plan.monitoring.oncall.primary.clone();
    let who = who.or_else(|| holder(policy, Right::Rollback))?;
    let (release, commits) = (release.id.clone(), Commitment::default());
    Some((who, Command::Rollback { release, reason, commits }))
}

impl Play {
    async fn begin(
        policy: &Policy,
        messages: Arc<Messages>,
        trouble: Trouble,
        directory: &Path,
        now: Time,
        numbers: Numbers,
    ) -> anyhow::Result<Self> {
        let clock = Clock::standing(now);
        let stage = Arc::new(Stage::new(clock.clone(), trouble));
        let store = Store::open(directory).await.context("opening the rehearsal's log")?;
        let engine = Engine::start(store, clock.clone()).await?;
        let request = |id: &str, command| Request { id: id.into(), by: Actor::Operator, command };
        engine.ask(request("rehearsal/begin", Command::Begin { jumpable: true })).await?;
        let policy = Command::AdoptPolicy { policy: Box::new(policy.clone()) };
        engine.ask(request("rehearsal/policy", policy)).await?;
        let delivery = wake(&engine, &stage, &messages).await?;
        let gauges = Gauges::new(engine.clone(), numbers.sources());
        Ok(Self {
            gauges,
            engine,
            delivery,
            stage,
            messages,
            trouble,
            clock,
            requests: 0,
            crashed: false,
            went_away: false,
        })
    }

    async fn schedule(
        &mut self,
        plan: &Plan,
        start: Start,
    ) -> anyhow::Result<Result<ReleaseId, Refusal>> {
        let captain = self.holder(Right::Schedule).unwrap_or(plan.release.captain.clone());
        let by = self.actor(&captain);
        let command = Command::Schedule { plan: Box::new(plan.clone()), start };
        for event in self.ask(by, command).await? {
            if let Event::Refused { why, .. } = event {
                return Ok(Err(why));
            }
            if let Event::Release { release, did: Happened::Scheduled { .. } } = event {
                return Ok(Ok(release));
            }
        }
        anyhow::bail!("the plan was neither scheduled nor refused")
    }

    /// People act as soon as they are wanted; then the clock moves to the next deadline.
    async fn act(&mut self, id: &ReleaseId) -> anyhow::Result<()> {
        for _ in 0..MOST_ACTS {
            self.delivery.quiet().await;
            self.gauges.measure().await;
            self.delivery.quiet().await;
            if self.release(id).room.closed {
                return Ok(());
            }
            if let Some((who, command)) = self.wanted(id) {
                self.say(&who, &command);
                let by = self.actor(&who);
                self.ask(by, command).await?;
                if self.trouble == Trouble::Crash && self.is_mid_stage(id) {
                    self.crash().await?;
                }
                continue;
            }
            let Some(due) = self.engine.next_due() else { return Ok(()) };
            // Red counts only as long as it is seen.
            let is_between = |at: &Time| *at > self.clock.now() && *at < due.due.at;
            if let Some(at) = self.next_look(id).filter(is_between) {
                self.clock.set(at);
                continue;
            }
            self.pass_time(due.due.at);
            self.gauges.measure().await;
            let request = Request { id: due.id, by: Actor::Clock, command: due.due.command };
            self.engine.ask(request).await?;
        }
        Ok(())
    }

    fn next_look(&self, id: &ReleaseId) -> Option<Time> {
        let state = self.engine.state();
        health::looks_again_at(state.releases.get(id)?, state.house.policy())
    }

    /// A bot that is away comes back to deadlines that are past.
    fn pass_time(&mut self, to: Time) {
        let away = self.trouble == Trouble::Late
            && !self.went_away
            && to - self.clock.now() > Duration::hours(12);
        self.went_away |= away;
        let late = if away { Duration::hours(3) } else { Duration::zero() };
        self.clock.set(to + late);
    }

    /// What somebody would do now, and who.
    fn wanted(&self, id: &ReleaseId) -> Option<(PersonId, Command)> {
        let state = self.engine.state();
        let release = state.releases.get(id)?;
        let policy = state.house.policy();
        let release_id = id.clone();
        let holder = |right: Right| holder(policy, right);
        match release.phase {
            Phase::CountingDown if release.asked_at.is_some() && !release.start_missed => {
                self.wanted_before(release, policy)
            }
            Phase::CountingDown if release.start_missed => {
                let reason = "the rehearsal ends here".to_owned();
                Some((holder(Right::Schedule)?, Command::Scrub { release: release_id, reason }))
            }
            Phase::Ready if release.start_offered => {
                let commits = Commitment::default();
                Some((holder(Right::Start)?, Command::Start { release: release_id, commits }))
            }
            Phase::AtGate { stage }
                if release.advance_asked.contains(&stage) && release.goes_on_at.is_none() =>
            {
                match health::gate(release, stage, policy, self.clock.now()) {
                    Gate::Open => {}
                    Gate::Wait => return None,
                    Gate::Shut(why) => return rolls_back(release, policy, Some(why)),
                }
                let approver = wanted_approvals(release, stage);
                let member = approver.first().and_then(|role| member(policy, role));
                let who = member.or_else(|| holder(Right::Advance))?;
                let commits = Commitment::default();
                Some((who, Command::Advance { release: release_id, commits }))
            }
            Phase::CountingDown
            | Phase::Ready
            | Phase::Deploying { .. }
            | Phase::Soaking { .. }
            | Phase::AtGate { .. }
            | Phase::Watching
            | Phase::Done
            | Phase::Scrubbed
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::RollbackFailed => {
                let stuck = release.held.is_some() && release.touched_target();
                stuck.then(|| self.wanted_when_stuck(release, policy)).flatten()
            }
        }
    }

    fn wanted_before(&self, release: &Release, policy: &Policy) -> Option<(PersonId, Command)> {
        let id = release.id.clone();
        if release.rehearsal == Rehearsal::Never
            && release.plan.rollback.as_ref()?.steps.iter().any(|step| step.rehearse.is_some())
        {
            return Some((
                holder(policy, Right::Rollback)?,
                Command::RehearseRollback { release: id },
            ));
        }
        let objects = release.seats.last().map(|seat| seat.role.clone());
        let reasons = verdict::reasons(release, policy);
        reasons.iter().find_map(|reason| match reason {
            Reason::Silent { role } => {
                let objects = self.trouble == Trouble::NoGo && Some(role) == objects.as_ref();
                let vote = match objects {
                    true => Vote::NoGo { reason: "rehearsed trouble: we are not ready".into() },
                    false => Vote::Go,
                };
                let taken = |person: &PersonId| {
                    release.seats.iter().any(|seat| {
                        seat.vote(release.poll_revision).is_some_and(|ballot| ballot.by == *person)
                    })
                };
                let who = policy.roles.get(role)?.members.iter().find(|who| !taken(who))?.clone();
                let (role, commits) = (Some(role.clone()), Commitment::default());
                Some((who, Command::Vote { release: id.clone(), role, vote, commits }))
            }
            Reason::ItemOpen { item, .. } | Reason::ItemFailed { item, .. } => {
                let mark = Mark::Pass;
                let why = Some("taken as given in a rehearsal".to_owned());
                let (item, link) = (item.clone(), None);
                let mark = Command::Mark { release: id.clone(), item, mark, why, link };
                Some((holder(policy, Right::Checklist)?, mark))
            }
            Reason::EvidenceMissing { kind } => {
                let note = Some("taken as given in a rehearsal".to_owned());
                let report =
                    EvidenceReport { kind: *kind, result: Finding::Pass, link: None, note };
                let command = Command::Report { release: id.clone(), report };
                Some((holder(policy, Right::Evidence)?, command))
            }
            Reason::SaidNoGo { .. }
            | Reason::OnlyTheRequester { .. }
            | Reason::EvidenceFailed { .. }
            | Reason::Frozen { .. } => None,
        })
    }

    /// A failed step is rolled back; one whose outcome nobody can tell is looked at and settled.
    fn wanted_when_stuck(&self, release: &Release, policy: &Policy) -> Option<(PersonId, Command)> {
        let id = release.id.clone();
        let unknown = release.unsettled().is_some_and(|run| run.is_unknown());
        if unknown {
            let reason = "looked at it: the new version answers".to_owned();
            let command = Command::Outcome { release: id, run: None, worked: true, reason };
            return Some((holder(policy, Right::Resume)?, command));
        }
        rolls_back(release, policy, release.held.as_ref().map(|hold| hold.reason.clone()))
    }

    fn is_mid_stage(&self, id: &ReleaseId) -> bool {
        !self.crashed && self.release(id).phase == (Phase::Deploying { stage: 0 })
    }

    /// As if killed: what is under way is lost, what is in the log and the outbox is not.
    async fn crash(&mut self) -> anyhow::Result<()> {
        self.crashed = true;
        self.stage.run_hangs().await;
        self.stage.note("tminus", "is killed in the middle of the stage, and starts again");
        self.delivery.finish().await;
        let replayed = super::replay::replay(self.engine.store().reader()).await?;
        anyhow::ensure!(replayed == *self.engine.state(), "the log replays to another state");
        self.stage.recover();
        self.delivery = wake(&self.engine, &self.stage, &self.messages).await?;
        Ok(())
    }

    async fn ask(&mut self, by: Actor, command: Command) -> anyhow::Result<Vec<Event>> {
        self.requests += 1;
        let request = Request { id: format!("rehearsal/{}", self.requests), by, command };
        let answer = self.engine.ask(request).await?;
        let events: Vec<Event> = answer.events.into_iter().map(|(_, event)| event).collect();
        for event in &events {
            if let Event::Release { did: Happened::Refused { verb, why }, .. } = event {
                self.stage.note("tminus", &format!("refuses `{verb}`: {why}"));
            }
        }
        Ok(events)
    }

    fn say(&self, who: &PersonId, command: &Command) {
        self.stage.note(who.as_str(), &format!("/release {}", command.verb()));
    }

    fn holder(&self, right: Right) -> Option<PersonId> {
        holder(self.engine.state().house.policy(), right)
    }

    fn actor(&self, person: &PersonId) -> Actor {
        let state = self.engine.state();
        let known = state.house.policy().people.get(person);
        let account = known.and_then(|known| known.accounts.first().cloned());
        let account = account.unwrap_or_else(|| Account::new("nowhere", "none", person.as_str()));
        Actor::Person { account, claims: Claims::default() }
    }

    fn release(&self, id: &ReleaseId) -> Arc<Release> {
        self.engine.state().releases.get(id).expect("it was scheduled here").clone()
    }

    async fn end(self, id: &ReleaseId) -> anyhow::Result<Rehearsed> {
        let release = Release::clone(&self.release(id));
        let state = self.engine.state();
        let launched = release.started_at.is_some();
        let reasons = verdict::reasons(&release, state.house.policy());
        let texts = reasons.iter();
        let obstacles = match launched {
            true => Vec::new(),
            false => texts
                .map(|reason| crate::domain::react::reason_text(reason, state.house.policy()))
                .collect(),
        };
        let release_id = Some(release.id.to_string());
        let of_release = crate::store::Which { release: release_id, ..Default::default() };
        let entries = self.engine.store().reader().entries(&of_release).await?;
        self.delivery.finish().await;
        let timeline = self.stage.lines();
        Ok(Rehearsed { timeline, release, launched, obstacles, state, entries })
    }
}
