//! How a release is called in a line that a person could copy: nothing in its own room, else its
//! version, and only as much more as tells it from the others.
//!
//! **Invariant:** what is shown is understood: each shorter line is read again, at the same place,
//! and must mean the same. What a button or a form carries stays exact, since it is read later.

use std::collections::BTreeMap;

use super::find::{self, Room};
use super::prefix::each_code;
use crate::app::grammar;
use crate::domain::ids::ReleaseId;
use crate::domain::state::{Release, State};
use crate::ports::Message;

/// Every line in an answer that begins with the prefix of commands.
pub(super) fn lines_of(message: &mut Message, prefix: &str, state: &State, room: Room<'_>) {
    let mut shorten = |code: &mut String| {
        let line = code.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(' '));
        if let Some(short) = line.map(|line| self::line(line, state, room)) {
            *code = format!("{prefix} {short}");
        }
    };
    message.body.iter_mut().for_each(|block| each_code(block, &mut shorten));
}

/// The shortest line that means the same here and now.
pub(super) fn line(line: &str, state: &State, room: Room<'_>) -> String {
    let mut named = line.split(' ').filter_map(|word| state.releases.get(word));
    let Some(release) = named.next() else { return line.to_owned() };
    let Some(meant) = in_full(line, state, release) else { return line.to_owned() };
    let call = |name: &String| {
        let words = line.split(' ').map(|word| match word == release.id.as_str() {
            true => name.as_str(),
            false => word,
        });
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let means_it = |short: &String| in_full(short, state, release).as_ref() == Some(&meant);
    let names = names(release).into_iter().filter(|name| is_it(name, state, release, room));
    names.map(|name| call(&name)).find(means_it).unwrap_or_else(|| line.to_owned())
}

/// Every line in what is said of a release by itself, where its version alone is not enough: another
/// service may have the same one.
pub(in crate::app) fn tell_apart(
    message: &mut Message,
    prefix: &str,
    state: &State,
    id: &ReleaseId,
) {
    let Some(release) = state.releases.get(id) else { return };
    let (name, version) = (name(release, state), release.plan.release.version.as_str());
    if name == version {
        return;
    }
    let called = |line: &str, name: &str| {
        let words = line.split(' ').map(|word| if word == version { name } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut tell = |code: &mut String| {
        let line = code.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(' '));
        let Some(line) = line else { return };
        let longer = called(line, &name);
        let meant = in_full(&called(line, id.as_str()), state, release);
        if meant.is_some() && in_full(&longer, state, release) == meant {
            *code = format!("{prefix} {longer}");
        }
    };
    message.body.iter_mut().for_each(|block| each_code(block, &mut tell));
}

/// What a release is called, where nobody speaks and nothing is left out.
pub(super) fn name(release: &Release, state: &State) -> String {
    let nowhere = Room { platform: "", channel: None };
    let mut names = names(release).into_iter().filter(|name| !name.is_empty());
    names
        .find(|name| is_it(name, state, release, nowhere))
        .unwrap_or_else(|| release.id.to_string())
}

/// As [`name`], in one word.
pub(super) fn word(release: &Release, state: &State) -> String {
    let name = name(release, state);
    if !name.contains(' ') {
        return name;
    }
    let whole = format!("{}/{}", release.target(), release.plan.release.version);
    let nowhere = Room { platform: "", channel: None };
    if is_it(&whole, state, release, nowhere) { whole } else { release.id.to_string() }
}

/// Shortest first. Only in its room is nothing said: the only open one today has company tomorrow.
fn names(release: &Release) -> [String; 4] {
    let head = &release.plan.release;
    let (service, version) = (&head.service, &head.version);
    [
        String::new(),
        version.clone(),
        format!("{service} {version}"),
        format!("{}/{version}", release.target()),
    ]
}

fn is_it(name: &str, state: &State, release: &Release, room: Room<'_>) -> bool {
    if name.is_empty() && !find::is_here(release, room) {
        return false;
    }
    // In a room it may still mean the release of that room.
    if room.channel.is_none() && !name.is_empty() && find::means_several(state, name) {
        return false;
    }
    find::release(state, Some(name), room).is_ok_and(|found| found.id == release.id)
}

/// The words of a line once its release is put in by its id.
fn in_full(line: &str, state: &State, release: &Release) -> Option<Vec<String>> {
    let known = |word: &str| grammar::looks_like_a_release(word) || find::is_known(state, word);
    let fields = BTreeMap::from([("release".to_owned(), release.id.to_string())]);
    grammar::read(line, &known).and_then(|said| grammar::fill(&said.words, &fields)).ok()
}
