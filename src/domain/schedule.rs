//! Putting a release on the calendar, moving it, changing it, calling it off.

use super::announcement;
use super::authority::may;
use super::checklist;
use super::command::Actor;
use super::decide::{Case, Decided, already, did};
use super::event::Happened;
use super::freeze;
use super::ids::{PersonId, ReleaseId, Role};
use super::lint;
use super::plan::Plan;
use super::policy::{Policy, Right};
use super::refusal::Refusal;
use super::state::{Release, Start, State, target};
use super::time::{Span, Time, show};

pub fn schedule(state: &State, by: &Actor, plan: &Plan, start: &Start, now: Time) -> Decided {
    let policy = state.house.policy();
    let who = may(by, Right::Schedule, policy)?;
    not_past(start, now)?;
    not_open_already(state, plan)?;
    let target = target(plan);
    if state.house.live(&target).is_some_and(|live| live.version == plan.release.version) {
        return Err(Refusal::AlreadyLive { version: plan.release.version.clone(), target });
    }
    not_locked(state, plan)?;
    not_frozen(state, plan, start)?;
    let warnings = linted(state, plan, start, None)?;
    let id = next_id(state, plan);
    Ok(vec![did(&id, scheduled(plan, policy, start, who.person(), warnings, now))])
}

/// What a plan becomes when it is put on the calendar.
pub fn scheduled(
    plan: &Plan,
    policy: &Policy,
    start: &Start,
    requester: Option<PersonId>,
    warnings: Vec<String>,
    now: Time,
) -> Happened {
    let merged = announcement::already_past(plan, policy, start, now);
    Happened::Scheduled {
        plan: Box::new(plan.clone()),
        start: start.clone(),
        requester,
        seats: seats(plan, policy),
        items: checklist::opened(plan, policy),
        told: announcement::audiences(plan, policy, &merged),
        merged,
        warnings,
    }
}

fn not_past(start: &Start, now: Time) -> Result<(), Refusal> {
    use chrono::Datelike;
    if start.at > now {
        return Ok(());
    }
    Err(Refusal::InThePast { time: show(start.at, start.zone, now.year()) })
}

fn of_version<'a>(state: &'a State, plan: &Plan) -> impl Iterator<Item = &'a Release> {
    let (target, version) = (target(plan), plan.release.version.clone());
    state
        .releases
        .values()
        .map(AsRef::as_ref)
        .filter(move |known| known.target() == target && known.plan.release.version == version)
}

fn not_open_already(state: &State, plan: &Plan) -> Result<(), Refusal> {
    match of_version(state, plan).find(|known| !known.phase.is_over()) {
        Some(known) => {
            Err(Refusal::AlreadyOpen { release: known.title(), phase: known.phase.name().into() })
        }
        None => Ok(()),
    }
}

pub fn not_locked(state: &State, plan: &Plan) -> Result<(), Refusal> {
    let key = (target(plan), plan.release.version.clone());
    match state.house.locks.get(&key) {
        Some(lock) => Err(Refusal::Locked {
            hint: format!("Lift it with a reason: `unlock {} \"why it is safe now\"`.", key.1),
            target: key.0,
            version: key.1,
            reason: lock.reason.clone(),
        }),
        None => Ok(()),
    }
}

fn not_frozen(state: &State, plan: &Plan, start: &Start) -> Result<(), Refusal> {
    use chrono::Datelike;
    let head = &plan.release;
    let policy = state.house.policy();
    let found = freeze::covering(&state.house, policy, &head.service, &head.environment, start.at);
    match found {
        Some((until, reason)) => Err(Refusal::Frozen {
            target: target(plan),
            until: show(until, start.zone, start.local.year()),
            reason: reason.to_owned(),
            hint: "Choose a later start, or have the freeze lifted (`freeze lift`).".into(),
        }),
        None => Ok(()),
    }
}

/// What the lint warns of; what it refuses is a refusal.
fn linted(
    state: &State,
    plan: &Plan,
    start: &Start,
    except: Option<&ReleaseId>,
) -> Result<Vec<String>, Refusal> {
    let facts = lint::Facts {
        overlapping: overlapping(state, plan, start, except),
        ..lint::Facts::default()
    };
    let findings = lint::lint(plan, state.house.policy(), Some(start), &facts);
    let text = |finding: &lint::Finding| format!("{} {}", finding.what, finding.mend);
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    let problems: Vec<_> = of(lint::Severity::Refuse).map(text).collect();
    if problems.is_empty() {
        Ok(of(lint::Severity::Warn).map(text).collect())
    } else {
        Err(Refusal::PlanRefused { problems })
    }
}

/// Other releases of this service, or in this environment, that it would meet from the start until
/// nobody watches it any more.
fn overlapping(
    state: &State,
    plan: &Plan,
    start: &Start,
    except: Option<&ReleaseId>,
) -> Vec<String> {
    let watch = state.house.policy().timing.watch.duration();
    let hour = chrono::Duration::hours(1);
    let length = |plan: &Plan| plan.release.duration.map_or(hour, Span::duration) + watch;
    let head = &plan.release;
    let near = |other: &Plan| {
        other.release.service == head.service || other.release.environment == head.environment
    };
    let end = start.at + length(plan);
    let open = state
        .releases
        .values()
        .filter(|other| !other.phase.is_over() && Some(&other.id) != except && near(&other.plan));
    open.filter(|other| other.start.at < end && start.at < other.start.at + length(&other.plan))
        .map(|other| format!("{} ({})", other.title(), other.plan.release.environment))
        .collect()
}

fn next_id(state: &State, plan: &Plan) -> ReleaseId {
    let head = &plan.release;
    let filed = state.filed.attempts(&head.service, &head.environment, &head.version);
    let attempt = of_version(state, plan).count() + filed + 1;
    let attempt = u32::try_from(attempt).expect("fewer attempts than that");
    ReleaseId::of(&head.service, &head.environment, &head.version, attempt)
}

/// A plan may add seats; it never drops one that policy requires.
fn seats(plan: &Plan, policy: &Policy) -> Vec<Role> {
    let mut seats = plan.signoff.roles.clone();
    let required = policy.roles.iter().filter(|(_, rules)| rules.required);
    for (role, _) in required {
        if !seats.contains(role) {
            seats.push(role.clone());
        }
    }
    seats
}

pub(super) fn reschedule(case: &Case, start: &Start, reason: &Option<String>) -> Decided {
    case.may(Right::Schedule)?;
    let release = case.release;
    if !release.phase.is_before_deploy() {
        return Err(case.wrong_phase("Only what has not started can be moved."));
    }
    if release.start.at == start.at && !release.start_missed {
        let what = format!("{} starts {} already.", release.title(), case.when(start.at));
        return already(release, "reschedule", what);
    }
    not_past(start, case.now)?;
    if !release.is_overridden("freeze") {
        not_frozen(case.state, &release.plan, start)?;
    }
    let warnings = linted(case.state, &release.plan, start, Some(&release.id))?;
    let by = (start.at - release.start.at).abs();
    let keeps_votes = by <= case.policy.timing.move_keeps_votes.duration();
    let moved = Happened::Rescheduled {
        start: start.clone(),
        keeps_votes,
        reason: reason.clone(),
        warnings,
    };
    let mut events = vec![did(&release.id, moved)];
    events.extend(announcement::overtaken_by_move(case, start));
    Ok(events)
}

/// A change of scope, version or artifact makes votes stale, and asks again.
pub(super) fn edit(case: &Case, plan: &Plan) -> Decided {
    case.may(Right::Schedule)?;
    let release = case.release;
    if !release.phase.is_before_deploy() {
        return Err(case.wrong_phase("A plan is fixed once the deploy has begun."));
    }
    let (old, new) = (&release.plan.release, &plan.release);
    if (&old.service, &old.environment, &old.version)
        != (&new.service, &new.environment, &new.version)
    {
        return Err(Refusal::PlanRefused {
            problems: vec![format!(
                "It is for {} {} in {}, not for {}. Another version is another release: scrub \
                 this one and schedule that one.",
                new.service,
                new.version,
                new.environment,
                release.title()
            )],
        });
    }
    linted(case.state, plan, &release.start, Some(&release.id))?;
    if *release.plan == *plan {
        return already(release, "edit", "That is the plan it has.");
    }
    let stale = old.artifact != new.artifact
        || old.commit != new.commit
        || release.plan.scope != plan.scope
        || release.plan.stages != plan.stages
        || release.plan.database != plan.database;
    let items = checklist::opened(plan, case.policy);
    case.did(Happened::Edited { plan: Box::new(plan.clone()), items, stale })
}

pub(super) fn scrub(case: &Case, reason: &str) -> Decided {
    case.may(Right::Schedule)?;
    match case.release.phase {
        phase if phase.is_before_deploy() && reason.trim().is_empty() => Err(Refusal::NeedsReason),
        phase if phase.is_before_deploy() => {
            case.did(Happened::Scrubbed { reason: reason.to_owned() })
        }
        phase if phase.is_over() => Err(case.wrong_phase("There is nothing left to call off.")),
        _ => Err(case.wrong_phase("Something is deployed already: `rollback` takes it back.")),
    }
}

pub(super) fn handover(case: &Case, to: &PersonId) -> Decided {
    let person = case.person()?;
    if person != case.release.captain {
        case.may(Right::Schedule)?;
    }
    if !case.policy.people.contains_key(to) {
        let hint = "`roles` shows who is known.".into();
        return Err(Refusal::UnknownName {
            what: format!("The person {}", super::words::excerpt(to)),
            hint,
        });
    }
    if case.release.phase.is_over() {
        return Err(case.wrong_phase("There is nothing left to hand over."));
    }
    if case.release.captain == *to {
        return already(case.release, "handover", format!("{to} is the captain already."));
    }
    case.did(Happened::HandedOver { to: to.clone() })
}

pub(super) fn keep_room(case: &Case) -> Decided {
    case.person()?;
    let room = &case.release.room;
    if room.closed {
        return Err(Refusal::NothingToDo { hint: "The room is archived already.".into() });
    }
    if room.kept {
        return already(case.release, "keep", "The room stays open already.");
    }
    case.did(Happened::RoomKept)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{World, plan, start};
    use super::*;

    fn met(service: &str, environment: &str, hours: i64) -> Vec<String> {
        let world = World::scheduled();
        let mut other = plan();
        other.release.service = service.into();
        other.release.environment = environment.into();
        let at = start().at + chrono::Duration::hours(hours);
        overlapping(&world.state, &other, &Start { at, ..start() }, None)
    }

    #[test]
    fn what_shares_a_service_or_an_environment_is_met_until_it_is_watched_no_more() {
        let ours = ["Web shop v1.2.0 (production)"];
        assert_eq!(met("web-shop", "staging", 3), ours);
        assert_eq!(met("search", "production", 3), ours);
        assert_eq!(met("search", "production", -20), ours, "ours starts while it is watched");
        assert_eq!(met("search", "production", 30), [""; 0]);
        assert_eq!(met("search", "staging", 0), [""; 0]);
    }
}
