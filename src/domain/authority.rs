//! Who may do what, judged at the moment of the act. Whoever is not known may do nothing.

use std::collections::BTreeSet;

use super::command::Actor;
use super::ids::{PersonId, Role};
use super::policy::{Policy, Right};
use super::refusal::Refusal;

/// Somebody who may do what they asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Person(PersonId),
    Machine(String),
    /// The clock, a neighbour, the operator at start.
    House,
}

impl Who {
    pub fn name(&self) -> String {
        match self {
            Self::Person(person) => person.to_string(),
            Self::Machine(name) => name.clone(),
            Self::House => "tminus".into(),
        }
    }

    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Person(person) => Some(person.clone()),
            Self::Machine(_) | Self::House => None,
        }
    }
}

/// The person who asks: known, and a member of this house.
pub fn person(by: &Actor, policy: &Policy) -> Result<PersonId, Refusal> {
    match by {
        Actor::Person { account, claims } if claims.unknown => {
            Err(Refusal::NotSure { platform: account.platform.clone() })
        }
        Actor::Person { .. }
        | Actor::Machine(_)
        | Actor::Clock
        | Actor::Neighbour
        | Actor::Operator => named(by, policy),
    }
}

/// As [`person`], also while their platform does not answer: a directory that is down must not stand
/// between those whom the configuration names and a hold or a rollback.
pub fn named(by: &Actor, policy: &Policy) -> Result<PersonId, Refusal> {
    match by {
        Actor::Person { claims, .. } if claims.gone => Err(Refusal::Gone),
        Actor::Person { claims, .. } if claims.guest => Err(Refusal::Guest),
        Actor::Person { account, claims } => match policy.person(account) {
            Some(person) => Ok(person.clone()),
            // Whom no line of the configuration links is a person of their own, if a group of theirs
            // is in a role.
            None if policy.roles.values().any(|role| !role.groups.is_disjoint(&claims.groups)) => {
                Ok(PersonId::new(account.to_string()))
            }
            None => Err(Refusal::UnknownAccount { account: account.to_string() }),
        },
        Actor::Machine(_) | Actor::Clock | Actor::Neighbour | Actor::Operator => {
            Err(Refusal::NotForMachines)
        }
    }
}

/// Who may sign a release that lives on several platforms is the same person on each.
pub fn signer(by: &Actor, policy: &Policy) -> Result<PersonId, Refusal> {
    let person = person(by, policy)?;
    let platforms: BTreeSet<_> = policy.rooms.iter().map(|home| &home.platform).collect();
    match by {
        Actor::Person { account, .. }
            if platforms.len() > 1 && policy.person(account).is_none() =>
        {
            Err(Refusal::NotLinked { account: account.to_string() })
        }
        Actor::Person { .. }
        | Actor::Machine(_)
        | Actor::Clock
        | Actor::Neighbour
        | Actor::Operator => Ok(person),
    }
}

/// Whoever asks, if one of their roles (or their token) has the right.
pub fn may(by: &Actor, right: Right, policy: &Policy) -> Result<Who, Refusal> {
    match by {
        Actor::Person { .. } => {
            let person = match right {
                Right::Rollback => named(by, policy)?,
                Right::Schedule
                | Right::Start
                | Right::Advance
                | Right::Resume
                | Right::Checklist
                | Right::Waive
                | Right::Evidence
                | Right::Update
                | Right::Run
                | Right::Freeze
                | Right::Unlock
                | Right::AcceptRisk
                | Right::Override => person(by, policy)?,
            };
            let allowed = policy.roles_with(right).any(|role| is_in(by, &person, role, policy));
            if allowed { Ok(Who::Person(person)) } else { Err(not_yours(right, policy)) }
        }
        Actor::Machine(name) => {
            let allowed = policy.machines.get(name).is_some_and(|rights| rights.contains(&right));
            if allowed { Ok(Who::Machine(name.clone())) } else { Err(not_yours(right, policy)) }
        }
        Actor::Clock | Actor::Neighbour | Actor::Operator => Ok(Who::House),
    }
}

/// As [`may`], but only for a person: a machine never signs, never overrides.
pub fn person_may(by: &Actor, right: Right, policy: &Policy) -> Result<PersonId, Refusal> {
    named(by, policy)?;
    match may(by, right, policy)? {
        Who::Person(person) => Ok(person),
        Who::Machine(_) | Who::House => Err(Refusal::NotForMachines),
    }
}

/// Whether a person is in a role, by name or by a group that the platform vouches for.
pub fn is_in(by: &Actor, person: &PersonId, role: &Role, policy: &Policy) -> bool {
    let Some(rules) = policy.roles.get(role) else { return false };
    let by_group = match by {
        Actor::Person { claims, .. } => !rules.groups.is_disjoint(&claims.groups),
        Actor::Machine(_) | Actor::Clock | Actor::Neighbour | Actor::Operator => false,
    };
    rules.members.contains(person) || by_group
}

fn not_yours(right: Right, policy: &Policy) -> Refusal {
    let roles: Vec<_> = policy.roles_with(right).map(|role| policy.title_of(role)).collect();
    let roles = match roles.is_empty() {
        true => "nobody in the current policy".into(),
        false => super::words::or(&roles),
    };
    Refusal::NotYours { deed: right.deed().into(), roles }
}
