//! Releases that are over for good. What is kept of them in memory is enough to find and to count
//! them; the rest is read from the log when somebody asks. So what a click costs does not depend on
//! how many releases there have ever been.

use std::collections::BTreeMap;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::decide::{Case, Decided};
use super::event::Happened;
use super::ids::ReleaseId;
use super::refusal::Refusal;
use super::report::Outcome;
use super::state::{Live, Rehearsal, Release, State};
use super::time::Time;

/// A release can still be talked about for so long after its end.
const AFTER: Duration = Duration::days(7);
/// How many versions of a target stay at hand, the newest included: one can go back to the one
/// before, and from there to the one before that.
const AT_HAND: usize = 3;

/// What is known of a release without reading the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filed {
    pub ended_at: Time,
    /// Nothing: it was scrubbed.
    pub outcome: Option<Outcome>,
}

/// By version first, which is what people say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(#[serde(with = "super::state::pairs")] BTreeMap<(String, ReleaseId), Filed>);

impl Files {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, id: &ReleaseId) -> Option<&Filed> {
        self.0.get(&(version_in(id.as_str()), id.clone()))
    }

    pub fn contains(&self, id: &ReleaseId) -> bool {
        self.get(id).is_some()
    }

    pub fn insert(&mut self, id: ReleaseId, filed: Filed) {
        self.0.insert((version_in(id.as_str()), id), filed);
    }

    /// Those whom this word can mean: a version, or an id with or without its attempt.
    pub fn called<'a>(&'a self, word: &'a str) -> impl Iterator<Item = (&'a ReleaseId, &'a Filed)> {
        let version = version_in(word);
        let from = (version.clone(), ReleaseId::new(""));
        let same = self.0.range(from..).take_while(move |((of, _), _)| *of == version);
        same.map(|((_, id), filed)| (id, filed)).filter(|(id, _)| is_called(id.as_str(), word))
    }

    /// How often this service's version was tried there.
    pub fn attempts(&self, service: &str, environment: &str, version: &str) -> usize {
        self.called(&format!("{service}/{environment}/{version}")).count()
    }
}

/// `1.2.0` of `web-shop/production/v1.2.0#1`, of `v1.2.0` and of itself.
fn version_in(name: &str) -> String {
    let without_attempt = name.split('#').next().unwrap_or(name);
    let version = without_attempt.rsplit('/').next().unwrap_or(without_attempt);
    version.trim_start_matches(['v', 'V']).to_lowercase()
}

fn is_called(id: &str, word: &str) -> bool {
    let without_attempt = id.split('#').next().unwrap_or(id);
    let version = without_attempt.rsplit('/').next().unwrap_or(without_attempt);
    let names = [id, without_attempt, version, version.trim_start_matches('v')];
    names.iter().any(|name| name.eq_ignore_ascii_case(word))
}

impl Filed {
    pub fn of(release: &Release) -> Self {
        let outcome = release.result.as_ref().map(|result| result.outcome);
        Self { ended_at: release.ended_at.unwrap_or(release.phase_since), outcome }
    }
}

/// The releases that can be filed away now.
pub fn ripe(state: &State, now: Time) -> impl Iterator<Item = &ReleaseId> {
    state.releases.values().filter(move |one| is_ripe(state, one, now)).map(|one| &one.id)
}

/// **Invariant:** whatever a person could still do to a release, they could do until now: nothing
/// is due, nothing runs, its room is closed, and it is not what is live or what one would go back to.
fn is_ripe(state: &State, release: &Release, now: Time) -> bool {
    let over = release.phase.is_over() && Filed::of(release).ended_at + AFTER <= now;
    let quiet = release.running().next().is_none()
        && !matches!(release.rehearsal, Rehearsal::Running { .. })
        && (release.room.open.is_empty() || release.room.closed);
    over && quiet
        && !is_at_hand(state.house.live.get(&release.target()), &release.id)
        && super::agenda::next_of_release(release, state.house.policy()).is_none()
}

fn is_at_hand(live: Option<&Vec<Live>>, id: &ReleaseId) -> bool {
    let newest = live.into_iter().flat_map(|versions| versions.iter().rev().take(AT_HAND));
    newest.into_iter().any(|live| live.release == *id)
}

/// Older ones are in the log.
pub(super) fn keep_at_hand(versions: &mut Vec<Live>) {
    versions.drain(..versions.len().saturating_sub(AT_HAND));
}

pub(super) fn file(case: &Case) -> Decided {
    if !is_ripe(case.state, case.release, case.now) {
        let hint = "It is not over for good yet.".to_owned();
        return Err(Refusal::NothingToDo { hint });
    }
    case.did(Happened::Filed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Time;

    fn files(ids: &[&str]) -> Files {
        let mut files = Files::default();
        for id in ids {
            let ended_at = Time::from_timestamp(0, 0).expect("a time");
            files.insert(ReleaseId::new(*id), Filed { ended_at, outcome: None });
        }
        files
    }

    #[test]
    fn a_filed_release_is_found_by_what_people_call_it() {
        let files = files(&[
            "shop/production/v1.2.0#1",
            "shop/production/v1.2.0#2",
            "shop/staging/v1.2.0#1",
            "shop/production/v1.2.0-rc1#1",
            "docs/production/1.2.0#1",
        ]);
        let called =
            |word: &str| files.called(word).map(|(id, _)| id.to_string()).collect::<Vec<_>>();
        assert_eq!(called("v1.2.0").len(), 3, "{:?}", called("v1.2.0"));
        assert_eq!(called("1.2.0").len(), 4);
        assert_eq!(called("V1.2.0-RC1"), ["shop/production/v1.2.0-rc1#1"]);
        assert_eq!(called("shop/production/v1.2.0").len(), 2);
        assert_eq!(called("shop/production/v1.2.0#2"), ["shop/production/v1.2.0#2"]);
        assert!(called("v1.2").is_empty() && called("").is_empty() && called("go").is_empty());
        assert_eq!(files.attempts("shop", "production", "v1.2.0"), 2);
        assert!(files.contains(&ReleaseId::new("docs/production/1.2.0#1")));
        assert!(!files.contains(&ReleaseId::new("docs/production/1.2.0#2")));
    }
}
