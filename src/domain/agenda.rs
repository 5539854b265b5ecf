//! What time will ask for: derived from state, never stored. Rescheduling changes one field and
//! every deadline moves; there are no timers to lose in a crash.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::ids::{AnnouncementId, FlagId, FreezeId, ReleaseId};
use super::metric::Light;
use super::plan::{AnnounceAt, ItemPhase, PlannedAnnouncement};
use super::policy::Policy;
use super::state::{Phase, Rehearsal, Release, State};
use super::time::{Span, Time};

/// Something that falls due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deadline {
    AskVotes,
    Announce(AnnouncementId),
    OpenRoom,
    RemindVoters(String),
    OfferStart,
    MissStart,
    RemindMissed(u32),
    EndSoak(usize),
    DecideStage(usize),
    /// The hours begin in which it goes on by itself.
    GoOn(usize),
    /// Red has lasted and was not measured since.
    RedLasts,
    /// Nobody vetoed it.
    RollBackRed,
    /// Nobody can tell how the release fares.
    HoldUntold,
    AskForUpdate(u32),
    RecallCheck(usize),
    AskItems(ItemPhase),
    Escalate(u32),
    CloseRelease,
}

/// An announcement as people call it: `T-48h`.
pub fn called(id: &AnnouncementId) -> String {
    match id.as_str().strip_prefix("t-") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => format!("T-{rest}"),
        Some(_) | None => id.to_string(),
    }
}

impl Deadline {
    /// What a person reads in the agenda.
    fn about(&self, release: &Release) -> String {
        let plan = &release.plan;
        match self {
            Self::AskVotes => "ask for go or no-go".into(),
            Self::Announce(id) if id.as_str() == "done" => "announce that it is done".into(),
            Self::Announce(id) => format!("announce {}", called(id)),
            Self::OpenRoom => "open the war room".into(),
            Self::RemindVoters(before) => format!("remind who has not voted ({before})"),
            Self::OfferStart => "T-0: offer the start".into(),
            Self::MissStart => "hold it if nobody has started it".into(),
            Self::RemindMissed(1) => "remind the captain that it waits for a new time".into(),
            Self::RemindMissed(_) => "remind the backup that it waits for a new time".into(),
            Self::EndSoak(stage) => match plan.stages.get(*stage) {
                Some(stage) => format!("{} has soaked", stage.name),
                None => "end of the soak".into(),
            },
            Self::DecideStage(stage) => match plan.stages.get(*stage) {
                Some(stage) => format!("ask the captain to decide on {}", stage.name),
                None => "ask the captain to decide".into(),
            },
            Self::GoOn(stage) => match plan.stages.get(stage + 1) {
                Some(next) => format!("go on to {}", next.name),
                None => "go on".into(),
            },
            Self::RedLasts => "look whether it is still red".into(),
            Self::RollBackRed => "roll back, unless somebody holds it".into(),
            Self::HoldUntold => "hold it if the numbers are still not known".into(),
            Self::AskForUpdate(1) => "ask the deploying engineer for an update".into(),
            Self::AskForUpdate(2) => "ask the backup for an update".into(),
            Self::AskForUpdate(_) => "ask the captain for an update".into(),
            Self::RecallCheck(check) => match plan.checks.get(*check) {
                Some(check) => format!("check: {}", check.name),
                None => "check after the deploy".into(),
            },
            Self::AskItems(phase) => {
                format!("ask for the open checklist items of {}", super::asking::words(*phase))
            }
            Self::Escalate(_) => "escalate to the next contact".into(),
            Self::CloseRelease => "post the report and archive the room".into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Release(ReleaseId),
    Freeze(FreezeId),
    Flag(FlagId),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub at: Time,
    /// Unique within its scope and time: part of the request's id.
    pub key: String,
    pub about: String,
    pub command: Command,
}

/// All that time will ask for in this scope, the earliest first.
pub fn agenda(state: &State, scope: &Scope) -> Vec<Due> {
    until(state, scope, Time::MAX_UTC)
}

/// What time asks for by then: what is later costs a look.
pub fn until(state: &State, scope: &Scope, until: Time) -> Vec<Due> {
    let by_then = |due: &Due| due.at <= until;
    match scope {
        Scope::Freeze(id) => {
            let due = |freeze: &super::command::FreezeWish| Due {
                at: freeze.until,
                key: format!("freeze-over/{id}"),
                about: format!("end of the freeze: {}", freeze.reason),
                command: Command::FreezeOver { id: id.clone() },
            };
            state.house.freezes.get(id).map(due).into_iter().filter(by_then).collect()
        }
        Scope::Flag(id) => match state.house.flags.get(id) {
            Some(record) => {
                let all = super::registry::agenda(record, state.house.policy());
                all.into_iter().filter(by_then).collect()
            }
            None => Vec::new(),
        },
        Scope::Release(id) => match state.releases.get(id) {
            Some(release) => {
                let mut list = deadlines(release, state.house.policy(), until);
                list.sort();
                list.into_iter().map(|(at, deadline)| due(release, at, deadline)).collect()
            }
            None => Vec::new(),
        },
    }
}

/// Every scope there is.
pub fn scopes(state: &State) -> impl Iterator<Item = Scope> {
    let releases = state.releases.keys().cloned().map(Scope::Release);
    let freezes = state.house.freezes.keys().cloned().map(Scope::Freeze);
    releases.chain(freezes).chain(state.house.flags.keys().cloned().map(Scope::Flag))
}

/// What time asks first in this scope: each change of a release asks for it.
pub fn next(state: &State, scope: &Scope) -> Option<Due> {
    match scope {
        Scope::Release(id) => next_of_release(state.releases.get(id)?, state.house.policy()),
        Scope::Freeze(_) | Scope::Flag(_) => agenda(state, scope).into_iter().next(),
    }
}

/// Whether time asks this of the release by now.
pub fn is_due(release: &Release, policy: &Policy, deadline: &Deadline, now: Time) -> bool {
    deadlines(release, policy, now).iter().any(|(_, due)| due == deadline)
}

pub fn next_of_release(release: &Release, policy: &Policy) -> Option<Due> {
    let mut firsts = others(release, policy);
    firsts.extend(announcements(release, policy).min().map(announced));
    firsts.into_iter().min().map(|(at, deadline)| due(release, at, deadline))
}

fn deadlines(release: &Release, policy: &Policy, until: Time) -> Vec<(Time, Deadline)> {
    let mut list = others(release, policy);
    list.retain(|(at, _)| *at <= until);
    let early = announcements(release, policy).filter(|(at, _)| *at <= until);
    list.extend(early.map(announced));
    list
}

fn announced((at, id): (Time, &AnnouncementId)) -> (Time, Deadline) {
    (at, Deadline::Announce(id.clone()))
}

/// All but the announcements, of which there may be many.
fn others(release: &Release, policy: &Policy) -> Vec<(Time, Deadline)> {
    let mut list: Vec<(Time, Deadline)> = Vec::new();
    if release.held.is_none() || release.phase.is_before_deploy() {
        list.extend(of_phase(release, policy));
    }
    list.extend(super::health::agenda(release, policy));
    list.extend(checks(release));
    let asked = super::asking::agenda(release, policy).into_iter();
    list.extend(asked.map(|(at, phase)| (at, Deadline::AskItems(phase))));
    list.extend(escalation(release, policy));
    list.extend(closing(release, policy));
    list
}

fn due(release: &Release, at: Time, deadline: Deadline) -> Due {
    let key = key_of(&deadline);
    let about = deadline.about(release);
    Due { at, key, about, command: Command::Tick { release: release.id.clone(), deadline } }
}

fn key_of(deadline: &Deadline) -> String {
    match deadline {
        Deadline::AskVotes => "ask-votes".into(),
        Deadline::Announce(id) => format!("announce/{id}"),
        Deadline::OpenRoom => "open-room".into(),
        Deadline::RemindVoters(before) => format!("remind/{before}"),
        Deadline::OfferStart => "offer-start".into(),
        Deadline::MissStart => "miss-start".into(),
        Deadline::RemindMissed(nth) => format!("remind-missed/{nth}"),
        Deadline::EndSoak(stage) => format!("end-soak/{stage}"),
        Deadline::DecideStage(stage) => format!("decide/{stage}"),
        Deadline::GoOn(stage) => format!("go-on/{stage}"),
        Deadline::RedLasts => "red-lasts".into(),
        Deadline::RollBackRed => "roll-back-red".into(),
        Deadline::HoldUntold => "hold-untold".into(),
        Deadline::AskForUpdate(nth) => format!("ask-update/{nth}"),
        Deadline::RecallCheck(check) => format!("check/{check}"),
        Deadline::AskItems(phase) => format!("items/{}", phase.name()),
        Deadline::Escalate(nth) => format!("escalate/{nth}"),
        Deadline::CloseRelease => "close".into(),
    }
}

/// The announcements of the plan and of the policy; the plan's own wins over the policy's of the
/// same name.
pub fn planned_announcements<'a>(
    release: &'a Release,
    policy: &'a Policy,
) -> impl Iterator<Item = &'a PlannedAnnouncement> {
    let own = &release.plan.announcements;
    let policy = policy.announcements.iter();
    let policy = policy.filter(|general| !own.iter().any(|mine| mine.id == general.id));
    let told = |planned: &&PlannedAnnouncement| {
        !planned.user_facing_only || release.plan.release.user_facing
    };
    own.iter().chain(policy).filter(told)
}

/// When an announcement falls due; `None` while what it counts from has not happened.
pub fn announcement_at(release: &Release, planned: &PlannedAnnouncement) -> Option<Time> {
    match planned.at {
        AnnounceAt::Start(offset) => Some(release.start.at + offset.duration()),
        AnnounceAt::Completion(offset) => {
            release.rolled_out_at.map(|done| done + offset.duration())
        }
    }
}

fn announcements<'a>(
    release: &'a Release,
    policy: &'a Policy,
) -> impl Iterator<Item = (Time, &'a AnnouncementId)> {
    let due = |planned: &'a PlannedAnnouncement| {
        let open = match planned.at {
            AnnounceAt::Start(_) => release.phase.is_before_deploy() && !release.start_missed,
            AnnounceAt::Completion(_) => matches!(release.phase, Phase::Watching | Phase::Done),
        };
        let at = announcement_at(release, planned).filter(|_| open)?;
        // Said for this very time, or said before it: an earlier one that was moved is said anew.
        let said = release.said.get(&planned.id).is_some_and(|said| said.at >= at);
        (!said).then_some((at, &planned.id))
    };
    planned_announcements(release, policy).filter_map(due)
}

fn of_phase(release: &Release, policy: &Policy) -> Vec<(Time, Deadline)> {
    match release.phase {
        Phase::CountingDown | Phase::Ready => before_start(release, policy),
        Phase::Deploying { .. } => silence(release, policy),
        // Who has days to decide, or sleeps, is not asked for news every quarter of an hour.
        Phase::AtGate { stage } => {
            let go_on = release.goes_on_at.map(|at| (at, Deadline::GoOn(stage)));
            match to_decide(release, stage, policy) {
                Some(at) => go_on.into_iter().chain([(at, Deadline::DecideStage(stage))]).collect(),
                None if go_on.is_some() => go_on.into_iter().collect(),
                None => silence(release, policy),
            }
        }
        Phase::Soaking { stage, until } => vec![(until, Deadline::EndSoak(stage))],
        Phase::Watching
        | Phase::Done
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => Vec::new(),
    }
}

/// When the captain is asked to decide on a stage for which nobody else does. What is green goes on by
/// itself or has asked to, as soon as that is measured again.
fn to_decide(release: &Release, stage: usize, policy: &Policy) -> Option<Time> {
    let at = super::rollout::decide_by(release, stage)?;
    if release.overdue.contains(&stage) {
        return None;
    }
    let green = release.health.as_ref().is_some_and(|health| health.light == Light::Green);
    match (green, release.goes_on_at) {
        (true, Some(_)) => None,
        (true, None) => Some(at.max(release.phase_since + policy.timing.no_data.duration())),
        (false, _) => Some(at),
    }
}

fn before_start(release: &Release, policy: &Policy) -> Vec<(Time, Deadline)> {
    if release.start_missed {
        return missed(release).into_iter().collect();
    }
    let start = release.start.at;
    let timing = &policy.timing;
    let mut list = Vec::new();
    if release.asked_at.is_none() {
        list.push((start - Duration::hours(48), Deadline::AskVotes));
    }
    if !release.room.wanted {
        list.push((start - timing.room_opens.duration(), Deadline::OpenRoom));
    }
    let silent = release.seats.iter().any(|seat| seat.vote(release.poll_revision).is_none());
    if silent {
        // Whoever has only just been asked is not reminded of it.
        let since = release.asked_at.unwrap_or(release.scheduled_at);
        let open = timing.reminders.iter().filter(|before| !is_reminded(release, **before));
        let reminders = open.map(|before| {
            (start - before.duration(), Deadline::RemindVoters(reminder_name(*before)))
        });
        list.extend(reminders.filter(|(at, _)| *at > since));
    }
    if !release.start_offered {
        list.push((start, Deadline::OfferStart));
    }
    list.push((start + timing.start_within.duration(), Deadline::MissStart));
    list
}

/// How long after a missed start somebody is reminded: while the people who planned it are still
/// there, and at the same hour of the next day. Then nobody is: `status` and the list show it.
const AFTER_A_MISS: [Duration; 2] = [Duration::hours(1), Duration::hours(24)];

pub fn is_last_reminder(nth: u32) -> bool {
    nth as usize >= AFTER_A_MISS.len()
}

fn missed(release: &Release) -> Option<(Time, Deadline)> {
    let hold = release.held.as_ref().filter(|hold| !hold.taken)?;
    let after = *AFTER_A_MISS.get(release.miss_reminders as usize)?;
    Some((hold.at + after, Deadline::RemindMissed(release.miss_reminders + 1)))
}

pub fn reminder_name(before: Span) -> String {
    format!("T-{before}")
}

fn is_reminded(release: &Release, before: Span) -> bool {
    release.reminded.contains(&reminder_name(before))
}

/// **Invariant:** never while soaking: there is nothing to report then.
fn silence(release: &Release, policy: &Policy) -> Vec<(Time, Deadline)> {
    let Some(last) = release.last_update else { return Vec::new() };
    let nth = release.prompts + 1;
    if nth > 3 {
        return Vec::new();
    }
    let quiet = policy.timing.silence.duration() * i32::try_from(nth).unwrap_or(1);
    vec![(last + quiet, Deadline::AskForUpdate(nth))]
}

fn checks(release: &Release) -> Vec<(Time, Deadline)> {
    let Some(done) = release.rolled_out_at else { return Vec::new() };
    if !matches!(release.phase, Phase::Watching | Phase::Done) {
        return Vec::new();
    }
    let open = |index: &usize| !release.recalled.contains(index);
    (0..release.plan.checks.len())
        .filter(open)
        .map(|index| {
            let after = release.plan.checks[index].after.duration();
            (done + after, Deadline::RecallCheck(index))
        })
        .collect()
}

/// A step that is stuck calls the next person while nobody reacts; so does a rollback.
fn escalation(release: &Release, policy: &Policy) -> Option<(Time, Deadline)> {
    if let Some(hold) = &release.held
        && release.touched_target()
    {
        let nth = hold.escalated + 1;
        let more = (nth as usize) < super::rollback::on_duty(release).len();
        let after = policy.timing.escalate_after.duration() * i32::try_from(nth).unwrap_or(1);
        let unanswered = hold.by.is_none() && !hold.taken;
        return (unanswered && more).then(|| (hold.at + after, Deadline::Escalate(nth)));
    }
    if release.phase != Phase::RollbackFailed {
        return None;
    }
    let rollback = release.rollback.as_ref()?;
    let nth = rollback.escalated + 1;
    if nth as usize > super::rollback::contacts(release).len() {
        return None;
    }
    let at = match rollback.last_escalation {
        Some(last) => last + policy.timing.escalate_after.duration(),
        None => release.phase_since,
    };
    Some((at, Deadline::Escalate(nth)))
}

fn closing(release: &Release, policy: &Policy) -> Option<(Time, Deadline)> {
    let no_room = release.room.open.is_empty() && release.phase.is_over();
    if release.room.closed || release.room.kept || no_room {
        return None;
    }
    let since = match release.phase {
        Phase::Watching => release.rolled_out_at?,
        Phase::Done | Phase::RolledBack | Phase::Scrubbed => release.ended_at?,
        Phase::CountingDown
        | Phase::Ready
        | Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::AtGate { .. }
        | Phase::RollingBack
        | Phase::RollbackFailed => return None,
    };
    // A rehearsal that still runs would post into an archived room.
    if matches!(release.rehearsal, Rehearsal::Running { .. }) {
        return None;
    }
    Some((since + policy.timing.watch.duration(), Deadline::CloseRelease))
}
