//! Which release somebody means.

use std::ops::Bound;

use crate::domain::ids::ReleaseId;
use crate::domain::state::{Release, State};
use crate::domain::words::excerpt;

/// The most that are offered to choose from.
const OFFERED: usize = 5;

/// Why it is not one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unclear {
    Unknown { said: String, known: Vec<ReleaseId> },
    Several(Vec<ReleaseId>),
    NoneAtAll,
}

/// Where somebody speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    pub platform: &'a str,
    pub channel: Option<&'a str>,
}

/// What was said, else this room's release, else the only open one.
pub(super) fn release<'a>(
    state: &'a State,
    said: Option<&str>,
    room: Room<'_>,
) -> Result<&'a Release, Unclear> {
    match said.filter(|said| !said.is_empty()) {
        Some(said) => named(state, said, room),
        None => of_room(state, room).map_or_else(|| only(state), Ok),
    }
}

/// What was filed away and is meant by these words, where no release at hand is: the newest of them.
pub(super) fn filed(state: &State, said: &str) -> Vec<ReleaseId> {
    if state.filed.is_empty() {
        return Vec::new();
    }
    let mut words = said.split(|c: char| c.is_whitespace() || c == '\0' || c == '"');
    let old = words.find_map(|word| {
        let mut fits: Vec<_> = state.filed.called(word).collect();
        fits.sort_by_key(|(id, filed)| (filed.ended_at, (*id).clone()));
        let newest = fits.into_iter().rev().take(OFFERED).map(|(id, _)| id.clone());
        let newest: Vec<_> = newest.collect();
        (!newest.is_empty() && !is_known(state, word)).then_some(newest)
    });
    old.unwrap_or_default()
}

pub(super) fn is_known(state: &State, word: &str) -> bool {
    !by_id(state, word).is_empty()
        || state.releases.values().any(|release| is_called(release, word))
}

/// Whether it means more than one open release, wherever it is said. Stops at the second.
pub(super) fn means_several(state: &State, word: &str) -> bool {
    let open = state.releases.values().filter(|release| !release.phase.is_over());
    by_id(state, word).is_empty()
        && open.filter(|release| is_called(release, word)).nth(1).is_some()
}

/// Whose id this is, with or without its attempt: most words that mean a release are one, and need
/// no search through all of them.
fn by_id<'a>(state: &'a State, word: &str) -> Vec<&'a Release> {
    let from = (Bound::Included(word), Bound::Unbounded);
    let near = state.releases.range::<str, _>(from);
    let near = near.take_while(|(id, _)| id.as_str().starts_with(word));
    let same = |id: &ReleaseId| {
        let rest = &id.as_str()[word.len()..];
        rest.is_empty() || rest.starts_with('#')
    };
    near.filter(|(id, _)| same(id)).map(|(_, release)| release.as_ref()).collect()
}

fn of_room<'a>(state: &'a State, room: Room<'_>) -> Option<&'a Release> {
    state.releases.values().map(AsRef::as_ref).find(|release| is_here(release, room))
}

/// Whether this is a release's war room.
pub(super) fn is_here(release: &Release, room: Room<'_>) -> bool {
    release
        .room
        .open
        .iter()
        .any(|open| Some(open.channel.as_str()) == room.channel && open.platform == room.platform)
}

fn only(state: &State) -> Result<&Release, Unclear> {
    let all = || state.releases.values().map(AsRef::as_ref);
    let open: Vec<&Release> = all().filter(|release| !release.phase.is_over()).collect();
    match open.as_slice() {
        [only] => Ok(only),
        [] => match newest(all().collect()).as_slice() {
            [] => Err(Unclear::NoneAtAll),
            [only] => Ok(only),
            several => Err(Unclear::Several(ids(several))),
        },
        _ => Err(Unclear::Several(ids(&newest(open)))),
    }
}

fn newest(mut list: Vec<&Release>) -> Vec<&Release> {
    list.sort_by_key(|release| std::cmp::Reverse((release.scheduled_at, release.id.clone())));
    list
}

fn ids(list: &[&Release]) -> Vec<ReleaseId> {
    list.iter().take(OFFERED).map(|release| release.id.clone()).collect()
}

fn named<'a>(state: &'a State, said: &str, room: Room<'_>) -> Result<&'a Release, Unclear> {
    if let Some(exact) = state.releases.get(said) {
        return Ok(exact);
    }
    let all = || state.releases.values().map(AsRef::as_ref);
    let mut fits = by_id(state, said);
    if fits.is_empty() {
        fits = all().filter(|release| is_called(release, said)).collect();
    }
    let open: Vec<&Release> = fits.iter().copied().filter(|one| !one.phase.is_over()).collect();
    match (open.as_slice(), fits.as_slice()) {
        ([only], _) | (_, [only]) => Ok(only),
        (_, []) => {
            Err(Unclear::Unknown { said: excerpt(said), known: ids(&newest(all().collect())) })
        }
        ([], [first, others @ ..]) => {
            // Several attempts at the same thing: the last one is meant.
            let same = |other: &&Release| {
                other.target() == first.target() && version(other) == version(first)
            };
            let newest = newest(fits.clone());
            if others.iter().all(same) {
                Ok(newest[0])
            } else {
                Err(Unclear::Several(ids(&newest)))
            }
        }
        // In a war room its own release is meant.
        _ => match open.iter().find(|release| is_here(release, room)) {
            Some(here) => Ok(here),
            None => Err(Unclear::Several(ids(&newest(open)))),
        },
    }
}

fn version(release: &Release) -> &str {
    &release.plan.release.version
}

/// `v1.2.0` or `1.2.0`, a service or its name, both together, a target, or an id with or without its
/// attempt. Every open release is asked about each word of a line: nothing is allocated for that.
fn is_called(release: &Release, word: &str) -> bool {
    let version = version(release);
    let id = release.id.as_str();
    let without_attempt = id.split('#').next().unwrap_or(id);
    let versions = [version, version.trim_start_matches('v')];
    let (service, environment) =
        (release.plan.release.service.as_str(), release.plan.release.environment.as_str());
    let same = |name: &str| name.eq_ignore_ascii_case(word);
    let joined = |first: &str, mark: char| {
        let (head, rest) = word.split_at_checked(first.len())?;
        head.eq_ignore_ascii_case(first).then(|| rest.strip_prefix(mark)).flatten()
    };
    let with_version = |name: &str| {
        joined(name, ' ')
            .is_some_and(|rest| versions.iter().any(|version| version.eq_ignore_ascii_case(rest)))
    };
    versions.into_iter().chain([id, without_attempt, service]).any(same)
        || joined(service, '/').is_some_and(|rest| rest.eq_ignore_ascii_case(environment))
        || [service, release.plan.name()].into_iter().any(with_version)
}
