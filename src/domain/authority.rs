//! Who may do what, judged at the moment of the act. Whoever is not known may do nothing.

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
        Actor::Person { claims, .. } if claims.guest => Err(Refusal::Guest),
        Actor::Person { account, .. } => policy
            .person(account)
            .cloned()
            .ok_or_else(|| Refusal::UnknownAccount { account: account.to_string() }),
        Actor::Machine(_) | Actor::Clock | Actor::Neighbour | Actor::Operator => {
            Err(Refusal::NotForMachines)
        }
    }
}

/// Whoever asks, if one of their roles (or their token) has the right.
pub fn may(by: &Actor, right: Right, policy: &Policy) -> Result<Who, Refusal> {
    match by {
        Actor::Person { .. } => {
            let person = person(by, policy)?;
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
    let person = person(by, policy)?;
    may(by, right, policy).map(|_| person)
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
