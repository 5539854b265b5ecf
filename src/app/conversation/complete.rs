//! What could be typed next. From memory only: it is asked at every key.

use super::find::{self, Room};
use super::shelf::PlanShelf;
use super::short;
use crate::app::grammar::{self, Argument, Choose, CommandSpec, Type};
use crate::domain::registry::{self, Record};
use crate::domain::state::{Release, State};
use crate::ports::Completion;

/// No platform shows more.
const MOST: usize = 25;

pub(super) fn complete(
    state: &State,
    shelf: &PlanShelf,
    room: Room<'_>,
    line: &str,
) -> Vec<Completion> {
    let start = line
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
    let (before, partial) = line.split_at(start);
    let asked = Asked { state, shelf, room, before };
    let low = partial.to_lowercase();
    let fits = |(word, about): &(String, String)| {
        word.to_lowercase().starts_with(&low)
            || (low.len() > 3 && about.to_lowercase().contains(&low))
            || (low.len() > 1 && word.to_lowercase().contains(&low))
    };
    let mut found: Vec<_> = asked.candidates(partial).into_iter().filter(fits).collect();
    // What begins so comes first.
    found.sort_by_key(|(word, _)| !word.to_lowercase().starts_with(&low));
    found.truncate(MOST);
    let whole = |(word, about)| Completion { text: format!("{before}{word}"), about };
    found.into_iter().map(whole).collect()
}

struct Asked<'a> {
    state: &'a State,
    shelf: &'a PlanShelf,
    room: Room<'a>,
    before: &'a str,
}

type Word = (String, String);

impl Asked<'_> {
    fn candidates(&self, partial: &str) -> Vec<Word> {
        let words: Vec<&str> = self.before.split_whitespace().collect();
        let specs = grammar::specification();
        let Some((spec, rest)) = spec_of(&specs, &words) else {
            return match words.as_slice() {
                [] => verbs(&specs),
                [first] => seconds(&specs, first),
                _ => Vec::new(),
            };
        };
        if let Some(argument) = rest.last().and_then(|last| option(spec, last)) {
            return self.values(argument, rest);
        }
        let options = || {
            let unused = spec.arguments.iter().filter(|argument| !argument.positional);
            let unused = unused.filter(|a| !rest.contains(&format!("--{}", a.name).as_str()));
            unused.map(|a| (format!("--{}", a.name), a.about.clone())).collect::<Vec<_>>()
        };
        if partial.starts_with('-') {
            return options();
        }
        let mut found = self.places(spec, rest);
        found.extend(options());
        found
    }

    /// What may stand at the next place; the release may be left out.
    fn places(&self, spec: &CommandSpec, rest: &[&str]) -> Vec<Word> {
        let mut said = Vec::new();
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            match option(spec, word) {
                Some(_) => drop(words.next()),
                None if word.starts_with("--") => {}
                None => said.push(*word),
            }
        }
        let places: Vec<&Argument> = spec.arguments.iter().filter(|a| a.positional).collect();
        let begins = places.first().is_some_and(|a| a.completes == Some(Choose::Release));
        let named = said.first().is_some_and(|word| find::is_known(self.state, word));
        let skipped = usize::from(begins && !said.is_empty() && !named);
        let at = said.len() + skipped;
        let mut found = Vec::new();
        if let Some(argument) = places.get(at) {
            found.extend(self.values(argument, rest));
        }
        if begins && at == 0 {
            found.extend(places.get(1).map(|a| self.values(a, rest)).unwrap_or_default());
        }
        found
    }

    fn values(&self, argument: &Argument, rest: &[&str]) -> Vec<Word> {
        if let Type::Choice(choices) = &argument.kind {
            return choices.iter().map(|c| (c.clone(), argument.about.clone())).collect();
        }
        match argument.completes {
            Some(Choose::Release) => self.releases(),
            Some(Choose::Plan) => {
                self.shelf.names().into_iter().map(|name| (name, "plan".to_owned())).collect()
            }
            Some(Choose::Role) => self.roles(rest),
            Some(Choose::Item) => self.release(rest).map(items).unwrap_or_default(),
            Some(Choose::Action) => self.actions(),
            Some(Choose::Person) => self.people(),
            Some(Choose::Freeze) => {
                let freezes = self.state.house.freezes.iter();
                freezes.map(|(id, freeze)| (id.to_string(), freeze.reason.clone())).collect()
            }
            Some(Choose::Flag) => self.flags(),
            Some(Choose::Verb) => verbs(&grammar::specification()),
            None => Vec::new(),
        }
    }

    /// By version, and by more where the version alone would not tell.
    fn releases(&self) -> Vec<Word> {
        let mut all: Vec<_> = self.state.releases.values().collect();
        all.sort_by_key(|release| (release.phase.is_over(), release.start.at));
        let word = |release: &std::sync::Arc<Release>| {
            let name = short::word(release, self.state);
            (name, format!("{}, {}", release.title(), release.phase.name()))
        };
        all.into_iter().map(word).collect()
    }

    fn release(&self, rest: &[&str]) -> Option<&Release> {
        let said = rest.iter().find(|word| find::is_known(self.state, word)).copied();
        let mut all = self.state.releases.values().map(AsRef::as_ref);
        let room = all.find(|release| find::is_here(release, self.room));
        match (said, room) {
            (None, Some(room)) => Some(room),
            _ => find::release(self.state, said, Room { platform: "", channel: None }).ok(),
        }
    }

    fn roles(&self, rest: &[&str]) -> Vec<Word> {
        let Some(policy) = &self.state.house.policy else { return Vec::new() };
        let seats = self.release(rest).map(|release| &release.seats);
        let seated = |role: &&crate::domain::ids::Role| {
            seats.is_none_or(|seats| seats.iter().any(|seat| seat.role == **role))
        };
        let roles = policy.roles.keys().filter(seated);
        roles.map(|role| (role.to_string(), policy.title_of(role).to_owned())).collect()
    }

    fn actions(&self) -> Vec<Word> {
        let Some(policy) = &self.state.house.policy else { return Vec::new() };
        let open = policy.actions.iter().filter(|(_, action)| action.from_chat);
        open.map(|(name, action)| (name.to_string(), action.shows.clone())).collect()
    }

    /// By name, and by more where the name alone would not tell. Those that are gone come last.
    fn flags(&self) -> Vec<Word> {
        let mut all: Vec<_> = self.state.house.flags.values().collect();
        all.sort_by_key(|record| record.cleaned.is_some());
        let name = |record: &Record| match registry::find(&self.state.house, &record.name) {
            Ok(found) if found.id == record.id => record.name.clone(),
            Ok(_) | Err(_) => record.id.to_string(),
        };
        all.into_iter().map(|record| (name(record), record.purpose.clone())).collect()
    }

    fn people(&self) -> Vec<Word> {
        let Some(policy) = &self.state.house.policy else { return Vec::new() };
        policy.people.iter().map(|(id, person)| (id.to_string(), person.name.clone())).collect()
    }
}

fn items(release: &Release) -> Vec<Word> {
    release.items.iter().map(|item| (item.id.to_string(), item.name.clone())).collect()
}

/// The command of the words so far, and what follows it.
fn spec_of<'a, 'b>(
    specs: &'a [CommandSpec],
    words: &'b [&'b str],
) -> Option<(&'a CommandSpec, &'b [&'b str])> {
    let named = |name: &str| specs.iter().find(|spec| spec.name == name);
    match words {
        [first, second, rest @ ..] if named(&format!("{first} {second}")).is_some() => {
            Some((named(&format!("{first} {second}"))?, rest))
        }
        [first, rest @ ..] => Some((named(&first.to_lowercase())?, rest)),
        [] => None,
    }
}

fn option<'a>(spec: &'a CommandSpec, word: &str) -> Option<&'a Argument> {
    let name = word.strip_prefix("--")?;
    let mut options = spec.arguments.iter().filter(|a| !a.positional && a.kind != Type::Bool);
    options.find(|argument| argument.name == name)
}

/// Each verb once, also one that has a second word.
fn verbs(specs: &[CommandSpec]) -> Vec<Word> {
    let mut verbs: Vec<Word> = Vec::new();
    for spec in specs {
        let first = spec.name.split(' ').next().unwrap_or(&spec.name);
        if !verbs.iter().any(|(known, _)| known == first) {
            let about = grammar::Guide::of(first).map(|guide| guide.about);
            verbs.push((first.to_owned(), about.unwrap_or_default()));
        }
    }
    verbs
}

fn seconds(specs: &[CommandSpec], first: &str) -> Vec<Word> {
    let second = |spec: &CommandSpec| {
        let (outer, inner) = spec.name.split_once(' ')?;
        (outer == first).then(|| (inner.to_owned(), spec.about.clone()))
    };
    specs.iter().filter_map(second).collect()
}
