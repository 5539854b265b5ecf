//! Going back: one click from the right person, step by step, until the old version answers.

use super::ids::PersonId;
use super::plan::Condition;
use super::state::Release;

/// Whom a failed rollback calls, in order: a failed rollback is a Sev 1 with user impact.
pub fn contacts(release: &Release) -> Vec<PersonId> {
    let mut contacts: Vec<_> = release.plan.contacts.iter().collect();
    contacts.sort_by_key(|contact| contact.order);
    let fits = |when: Condition| match when {
        Condition::Always | Condition::Sev1 | Condition::UserImpact => true,
        Condition::CustomerCommunication => release.plan.release.user_facing,
    };
    let planned = contacts.iter().filter(|contact| fits(contact.when)).map(|c| c.who.clone());
    let own = release.plan.rollback.as_ref().and_then(|back| back.escalation.clone());
    let oncall = release.plan.monitoring.oncall.people().cloned();
    let mut people: Vec<PersonId> = Vec::new();
    for person in planned.chain(own).chain(oncall) {
        if !people.contains(&person) {
            people.push(person);
        }
    }
    people
}
