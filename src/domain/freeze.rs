//! Freezes, in which nothing starts, and locks on versions that were rolled back.

use chrono::Datelike;

use super::authority::{may, person_may};
use super::command::{Actor, FreezeWish};
use super::decide::Decided;
use super::event::Event;
use super::ids::FreezeId;
use super::policy::{Policy, Right};
use super::refusal::Refusal;
use super::state::{House, State};
use super::time::{Time, show};

pub fn add(state: &State, by: &Actor, id: &FreezeId, freeze: &FreezeWish, now: Time) -> Decided {
    let policy = state.house.policy();
    may(by, Right::Freeze, policy)?;
    if freeze.until <= now || freeze.until <= freeze.from {
        let time = show(freeze.until, policy.zone, now.year());
        return Err(Refusal::InThePast { time });
    }
    if state.house.freezes.contains_key(id) {
        let verb = "freeze add".into();
        return Ok(vec![Event::AlreadySo { verb, what: format!("The freeze {id} is in force.") }]);
    }
    Ok(vec![Event::FreezeAdded { id: id.clone(), freeze: freeze.clone() }])
}

pub fn lift(state: &State, by: &Actor, id: &FreezeId, reason: &str) -> Decided {
    may(by, Right::Freeze, state.house.policy())?;
    if !state.house.freezes.contains_key(id) {
        let known: Vec<_> = state.house.freezes.keys().map(|id| id.as_str()).collect();
        let hint = match known.is_empty() {
            true => "No freeze is in force that could be lifted.".into(),
            false => format!("These can be lifted: {}.", super::words::and(&known)),
        };
        return Err(Refusal::UnknownName {
            what: format!("The freeze {}", super::words::excerpt(id)),
            hint,
        });
    }
    Ok(vec![Event::FreezeLifted { id: id.clone(), reason: reason.to_owned() }])
}

/// A freeze that is no longer there decides to nothing and leaves no entry.
pub fn over(state: &State, id: &FreezeId, now: Time) -> Decided {
    let over = state.house.freezes.get(id).is_some_and(|freeze| freeze.until <= now);
    Ok(if over { vec![Event::FreezeEnded { id: id.clone() }] } else { vec![] })
}

pub fn lock(state: &State, by: &Actor, target: &str, version: &str, reason: &str) -> Decided {
    may(by, Right::Unlock, state.house.policy())?;
    let key = (target.to_owned(), version.to_owned());
    if state.house.locks.contains_key(&key) {
        let what = format!("{version} is locked on {target} already.");
        return Ok(vec![Event::AlreadySo { verb: "lock".into(), what }]);
    }
    let (target, version) = key;
    Ok(vec![Event::Locked { target, version, reason: reason.to_owned() }])
}

pub fn unlock(state: &State, by: &Actor, target: &str, version: &str, reason: &str) -> Decided {
    person_may(by, Right::Unlock, state.house.policy())?;
    let key = (target.to_owned(), version.to_owned());
    if !state.house.locks.contains_key(&key) {
        let what = format!("{version} is not locked on {target}.");
        return Ok(vec![Event::AlreadySo { verb: "unlock".into(), what }]);
    }
    let (target, version) = key;
    Ok(vec![Event::Unlocked { target, version, reason: reason.to_owned() }])
}

/// A freeze that covers this target at this time, with its end and its reason.
pub fn covering<'a>(
    house: &'a House,
    policy: &'a Policy,
    service: &str,
    environment: &str,
    at: Time,
) -> Option<(Time, &'a str)> {
    let fits = |wanted: &Option<String>, actual: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted == actual)
    };
    let added = house.freezes.values().filter(|freeze| {
        freeze.from <= at
            && at < freeze.until
            && fits(&freeze.service, service)
            && fits(&freeze.environment, environment)
    });
    let standing = policy.freezes.iter().filter(|freeze| {
        freeze.from <= at
            && at < freeze.until
            && fits(&freeze.service, service)
            && fits(&freeze.environment, environment)
    });
    let added = added.map(|freeze| (freeze.until, freeze.reason.as_str()));
    added.chain(standing.map(|freeze| (freeze.until, freeze.reason.as_str()))).max()
}
