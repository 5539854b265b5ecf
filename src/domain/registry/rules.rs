//! Who may change a flag, and what a change means while the plan of a release governs it.

use std::sync::Arc;

use super::super::authority::{is_in, named, person};
use super::super::command::{Actor, RunEnd};
use super::super::decide::{Decided, did};
use super::super::event::{Event, FlagDid, Happened, Reminder};
use super::super::flag;
use super::super::ids::{FlagId, PersonId};
use super::super::policy::{Policy, Right};
use super::super::refusal::Refusal;
use super::super::state::{House, Phase, Release, State};
use super::super::time::Time;
use super::super::words;
use super::{Record, about, agenda, id_of};

/// By its name, or by `provider/name` where several providers have one of that name.
pub fn find<'a>(house: &'a House, said: &str) -> Result<&'a Arc<Record>, Refusal> {
    if let Some(record) = house.flags.get(&FlagId::from(said)) {
        return Ok(record);
    }
    let called: Vec<_> = house.flags.values().filter(|record| record.name == said).collect();
    match called.as_slice() {
        [only] => Ok(only),
        [] => Err(unknown(house, said)),
        several => {
            let known: Vec<_> = several.iter().map(|record| format!("`{}`", record.id)).collect();
            Err(Refusal::WhichFlag { flag: words::excerpt(said), known: words::or(&known) })
        }
    }
}

/// A page of names helps nobody.
const NAMED: usize = 10;

fn unknown(house: &House, said: &str) -> Refusal {
    let known = house.flags.values().filter(|record| record.cleaned.is_none());
    let known: Vec<_> = known.map(|record| format!("`{}`", record.name)).take(NAMED).collect();
    let hint = match known.is_empty() {
        true => "A flag is known once a release whose plan has it is scheduled.".to_owned(),
        false => format!("`flag list` shows those I know: {}.", words::and(&known)),
    };
    Refusal::UnknownName { what: format!("The flag {}", words::excerpt(said)), hint }
}

fn of_flag(record: &Record, did: FlagDid) -> Event {
    Event::Flag { flag: record.id.clone(), did }
}

fn already(verb: &str, what: String) -> Decided {
    Ok(vec![Event::AlreadySo { verb: verb.to_owned(), what }])
}

// ---------------------------------------------------------------------------------------------
// Who may

/// Its owner, the captain of a release that has it, and the roles with one of these rights.
fn may(
    by: &Actor,
    person: &PersonId,
    record: &Record,
    rights: &[Right],
    (state, deed): (&State, &str),
) -> Result<(), Refusal> {
    let policy = state.house.policy();
    let captains = releases(state, record).map(|release| &release.captain);
    let answers_for_it = record.owner.iter().chain(captains).any(|other| other == person);
    let roles = || rights.iter().flat_map(|right| policy.roles_with(*right));
    if answers_for_it || roles().any(|role| is_in(by, person, role, policy)) {
        return Ok(());
    }
    Err(Refusal::NotYours {
        deed: format!("{deed} the flag {}", record.name),
        roles: allowed(record, roles().map(|role| policy.title_of(role)), policy),
    })
}

fn allowed<'a>(
    record: &'a Record,
    roles: impl Iterator<Item = &'a str>,
    policy: &'a Policy,
) -> String {
    let owner = record.owner.as_ref().map(|owner| policy.name_of(owner));
    let mut names: Vec<&str> = owner.into_iter().collect();
    for role in roles.chain(["the captain of a release that has it"]) {
        if !names.contains(&role) {
            names.push(role);
        }
    }
    words::or(&names)
}

pub(super) fn releases<'a>(
    state: &'a State,
    record: &'a Record,
) -> impl Iterator<Item = &'a Release> {
    record.releases.iter().rev().filter_map(|id| state.releases.get(id).map(AsRef::as_ref))
}

// ---------------------------------------------------------------------------------------------
// The plan that governs it

/// The release whose stages open it right now.
pub fn governing<'a>(state: &'a State, record: &'a Record) -> Option<&'a Release> {
    let opens = |release: &&Release| {
        release.plan.stages.iter().any(|stage| flag::sets(stage) && is_about(stage, record))
    };
    releases(state, record).filter(|release| release.phase.is_rolling_out()).find(opens)
}

fn is_about(stage: &super::super::plan::Stage, record: &Record) -> bool {
    stage.flag.as_ref() == Some(&record.name)
}

/// The stage that opened it last by the plan, and for what share.
pub fn stands_for<'a>(release: &'a Release, record: &Record) -> Option<(&'a str, f64)> {
    let current = release.phase.stage()?;
    let so_far = release.plan.stages.get(..=current)?.iter().rev();
    let mut opened = so_far.filter(|stage| flag::sets(stage) && is_about(stage, record));
    opened.next().and_then(|stage| Some((stage.name.as_str(), stage.traffic?)))
}

/// How nearly equal two shares are the same.
const SAME: f64 = 0.001;

/// What the stage stands for is not what is there, so that going on would pretend.
pub(in super::super) fn disagreement(release: &Release, house: &House) -> Option<Refusal> {
    if let Phase::Deploying { .. } = release.phase {
        return None;
    }
    let policy = house.policy();
    let of_plan =
        release.plan.flags.iter().filter_map(|flag| house.flags.get(&id_of(flag, policy)));
    of_plan.filter_map(|record| differs(release, record)).next()
}

fn differs(release: &Release, record: &Record) -> Option<Refusal> {
    let (stage, planned) = stands_for(release, record)?;
    let share = record.share.as_ref().filter(|share| (share.percent - planned).abs() > SAME)?;
    let (name, now) = (&record.name, share_text(share.percent));
    Some(Refusal::OnHold {
        release: release.title(),
        reason: format!("the flag {name} is {now}, and {stage} stands for {planned} %"),
        hint: format!("Say `flag set {name} {planned}%` first, or `step-back`, or `rollback`."),
    })
}

pub fn share_text(percent: f64) -> String {
    if percent > 0.0 { format!("open for {percent} %") } else { "off".to_owned() }
}

// ---------------------------------------------------------------------------------------------
// The rules

pub(in super::super) fn set(state: &State, by: &Actor, said: &FlagId, percent: f64) -> Decided {
    let who = person(by, state.house.policy())?;
    let record = find(&state.house, said.as_str())?;
    may(by, &who, record, &[Right::Schedule], (state, "set"))?;
    fits(record, percent, state.house.policy())?;
    if record.cleaned.is_some() {
        let hint = format!("The flag {} is cleaned up: nothing asks for it any more.", record.name);
        return Err(Refusal::NothingToDo { hint });
    }
    match &record.change {
        Some(change) if change.percent == Some(percent) => {
            let what = format!("The flag {} is being set to {percent} %.", record.name);
            return already("flag set", what);
        }
        Some(change) if change.percent.is_none() => {
            let hint =
                format!("The flag {} is being switched off; see how that ends.", record.name);
            return Err(Refusal::NothingToDo { hint });
        }
        Some(_) | None => {}
    }
    not_against_a_plan(state, by, &who, record, percent)?;
    let change = FlagDid::ChangeAsked { nth: record.changes + 1, percent: Some(percent), by: who };
    Ok(vec![of_flag(record, change)])
}

/// The same that the lint says of a stage.
fn fits(record: &Record, percent: f64, policy: &Policy) -> Result<(), Refusal> {
    let own = record.provider.as_ref().and_then(|name| Some((name, policy.flags.get(name)?)));
    let Some((provider, own)) = own else { return Err(nobody(record)) };
    let thousandths = percent * 1_000.0;
    let right = if !(0.0..=100.0).contains(&percent) {
        "Say a share from 0 to 100."
    } else if own.whole_percents && percent.fract() != 0.0 {
        "It takes whole ones. Say a whole number."
    } else if (thousandths - thousandths.round()).abs() > 1e-6 {
        "Three decimals are enough."
    } else {
        return Ok(());
    };
    let (flag, provider) = (record.name.clone(), provider.clone());
    Err(Refusal::BadShare { flag, provider, share: percent.to_string(), right: right.into() })
}

fn nobody(record: &Record) -> Refusal {
    let name = record.provider.as_deref().unwrap_or("NAME");
    Refusal::NobodyKeeps { flag: record.name.clone(), section: format!("[flags.{name}]") }
}

/// **Invariant:** nobody opens a flag behind the back of a rollback, nor against the stage that
/// stands for its share, unless the rollout is on hold and they answer for it.
fn not_against_a_plan(
    state: &State,
    by: &Actor,
    who: &PersonId,
    record: &Record,
    percent: f64,
) -> Result<(), Refusal> {
    let goes_back =
        |release: &&Release| matches!(release.phase, Phase::RollingBack | Phase::RollbackFailed);
    let wrong_phase = |release: &Release, hint: String| Refusal::WrongPhase {
        release: release.title(),
        phase: release.phase.name().into(),
        hint,
    };
    if let Some(release) = releases(state, record).find(goes_back).filter(|_| percent > 0.0) {
        let hint = format!("Its rollback keeps the flag {} off.", record.name);
        return Err(wrong_phase(release, hint));
    }
    let Some(release) = governing(state, record) else { return Ok(()) };
    let policy = state.house.policy();
    let leads = policy.roles_with(Right::Advance).any(|role| is_in(by, who, role, policy));
    if !leads && *who != release.captain {
        let roles = policy.roles_with(Right::Advance).map(|role| policy.title_of(role));
        let deed = format!("set the flag {} while {} opens it", record.name, release.title());
        return Err(Refusal::NotYours { deed, roles: words::or(&roles.collect::<Vec<_>>()) });
    }
    let name = &record.name;
    if release.running().any(|run| about(run).as_ref() == Some(&record.id)) {
        let hint = format!("A step of it is setting the flag {name}. Wait for that, or kill it.");
        return Err(wrong_phase(release, hint));
    }
    let planned = stands_for(release, record);
    let same = planned.is_some_and(|(_, share)| (share - percent).abs() < SAME);
    if release.held.is_some() || same {
        return Ok(());
    }
    let keeps = match planned {
        Some((stage, share)) => format!("Its stage {stage} keeps the flag {name} at {share} %."),
        None => format!("It opens the flag {name} by its own stages."),
    };
    let hint = "Say `advance` or `step-back`; or `hold` it first, and answer for the share.";
    Err(wrong_phase(release, format!("{keeps} {hint}")))
}

/// Whoever answers for it, and whoever may roll back; also while their platform does not answer.
pub(in super::super) fn kill(state: &State, by: &Actor, said: &FlagId) -> Decided {
    let policy = state.house.policy();
    named(by, policy)?;
    let record = find(&state.house, said.as_str())?;
    let who = may_kill(state, by, record)?;
    if !record.provider.as_ref().is_some_and(|name| policy.flags.contains_key(name)) {
        return Err(nobody(record));
    }
    if record.change.as_ref().is_some_and(|change| change.percent.is_none()) {
        return already("flag kill", format!("The flag {} is being switched off.", record.name));
    }
    let nth = record.changes + 1;
    let change = FlagDid::ChangeAsked { nth, percent: None, by: who.clone() };
    let mut events = vec![of_flag(record, change)];
    // Its stages would open it again.
    events.extend(governing(state, record).filter(|release| release.held.is_none()).map(
        |release| {
            let reason = format!("the flag {} was switched off", record.name);
            did(&release.id, Happened::Held { reason, by: Some(who) })
        },
    ));
    Ok(events)
}

/// Asked before anybody is made to confirm it.
pub fn may_kill(state: &State, by: &Actor, record: &Record) -> Result<PersonId, Refusal> {
    let who = named(by, state.house.policy())?;
    let open = releases(state, record).filter(|release| !release.phase.is_over());
    let mut on_call = open.flat_map(|release| release.plan.monitoring.oncall.people());
    if !on_call.any(|person| *person == who) {
        may(by, &who, record, &[Right::Rollback, Right::Schedule], (state, "switch off"))?;
    }
    Ok(who)
}

/// Its owner says that it is gone from the code.
pub(in super::super) fn clean(state: &State, by: &Actor, said: &FlagId) -> Decided {
    let who = person(by, state.house.policy())?;
    let record = find(&state.house, said.as_str())?;
    may(by, &who, record, &[Right::Schedule], (state, "clean up"))?;
    if record.cleaned.is_some() {
        return already("flag clean", format!("The flag {} is cleaned up.", record.name));
    }
    if let Some(release) = releases(state, record).find(|release| !release.phase.is_over()) {
        return Err(Refusal::WrongPhase {
            release: release.title(),
            phase: release.phase.name().into(),
            hint: format!("It needs the flag {} until it is closed.", record.name),
        });
    }
    Ok(vec![of_flag(record, FlagDid::Cleaned { by: who })])
}

/// What is no longer due leaves no entry. After a long absence the nearest reminder stands for
/// those before it.
pub(in super::super) fn remind(
    state: &State,
    flag: &FlagId,
    asked: &Reminder,
    now: Time,
) -> Decided {
    let Some(record) = state.house.flags.get(flag) else { return Ok(Vec::new()) };
    let due = agenda(record, state.house.policy());
    let by_now = due.into_iter().filter(|due| due.at <= now);
    let by_now = by_now.filter_map(|due| {
        let super::Command::RemindOwner { reminder, .. } = due.command else { return None };
        Some(reminder)
    });
    let by_now: Vec<_> = by_now.collect();
    if !by_now.contains(asked) {
        return Ok(Vec::new());
    }
    let nearest = by_now.into_iter().filter(|reminder| is_alike(reminder, asked)).min();
    let reminded = nearest.map(|reminder| of_flag(record, FlagDid::OwnerReminded { reminder }));
    Ok(reminded.into_iter().collect())
}

fn is_alike(one: &Reminder, other: &Reminder) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// A change that another one has overtaken tells nothing any more.
pub(in super::super) fn changed(state: &State, flag: &FlagId, nth: u32, end: &RunEnd) -> Decided {
    let record = state.house.flags.get(flag);
    let waits =
        |record: &&Arc<Record>| record.change.as_ref().is_some_and(|change| change.nth == nth);
    let ended = record
        .filter(waits)
        .map(|record| of_flag(record, FlagDid::ChangeEnded { nth, end: end.clone() }));
    Ok(ended.into_iter().collect())
}
