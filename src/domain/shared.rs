//! What many releases have alike, kept once: the plans of a house differ in a version and a date.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Whoever changes it changes their own copy.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shared<T>(Arc<T>);

impl<T: PartialEq> Shared<T> {
    /// From now on the other's, where the two are alike.
    pub fn share(&mut self, other: &Self) {
        if self == other {
            self.0 = other.0.clone();
        }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> From<T> for Shared<T> {
    fn from(part: T) -> Self {
        Self(Arc::new(part))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<'a, T> IntoIterator for &'a Shared<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::domain::command::Command;
    use crate::domain::fixture::{World, plan, start};
    use crate::domain::state::State;

    /// The scopes and the announcements of all releases, each counted once.
    fn kept(state: &State) -> [usize; 2] {
        let plans = || state.releases.values().map(|release| &release.plan);
        let scopes: BTreeSet<_> = plans().map(|plan| std::ptr::from_ref(&*plan.scope)).collect();
        let told: BTreeSet<_> = plans().map(|plan| plan.announcements.as_ptr()).collect();
        [scopes.len(), told.len()]
    }

    #[test]
    fn what_plans_have_in_common_is_kept_once_and_changed_alone() {
        let mut world = World::scheduled();
        for version in ["v1.3.0", "v1.4.0", "v1.2.9"] {
            let mut plan = plan();
            plan.release.version = version.into();
            plan.announcements = world.policy().announcements.clone().into();
            let plan = Box::new(plan);
            world.by("maria", Command::Schedule { plan, start: start() });
        }
        assert_eq!(kept(&world.state), [1, 2]);
        let changed = world.state.releases.keys().nth(1).expect("there are four").clone();
        let mut plan = plan();
        plan.release.version = world.state.releases[&changed].plan.release.version.clone();
        plan.announcements = world.policy().announcements.clone().into();
        plan.scope.enhancements.push("Faster search".into());
        let edit = Command::Edit { release: changed.clone(), plan: Box::new(plan) };
        world.by("maria", edit);
        assert_eq!(kept(&world.state), [2, 2]);
        let others = || world.state.releases.iter().filter(|(id, _)| **id != changed);
        assert!(
            others().all(|(_, it)| !it.plan.scope.enhancements.contains(&"Faster search".into()))
        );

        let text = serde_json::to_string(&world.state).expect("it is data");
        let mut read: State = serde_json::from_str(&text).expect("it was written so");
        assert_eq!(kept(&read), [4, 4]);
        read.share();
        assert_eq!(read, world.state);
        assert_eq!(kept(&read)[1], 2);
    }
}
