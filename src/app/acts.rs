//! What somebody can do about a release by clicking: its open items, and the verbs of its phase.
//!
//! **Invariant:** whom a button is not for may still click it, and is told why not by the rules. It
//! is left out here only so that nobody reads what is not theirs.

use super::notices::plain;
use super::{cards, status};
use crate::domain::authority;
use crate::domain::checklist::{Item, missing};
use crate::domain::command::Actor;
use crate::domain::plan::ItemPhase;
use crate::domain::policy::{Policy, Right};
use crate::domain::rollout::{right_to_settle, wanted_approvals};
use crate::domain::state::Release;
use crate::domain::time::Time;
use crate::ports::Button;

/// Items that have buttons of their own in an answer: with the last row they fill the five rows
/// that every platform shows. A form finds the others.
const ITEMS: usize = 8;
/// In a row of their own up to here, beyond it two in a row.
const ROOMY: usize = 4;
/// On a card, below what everybody presses.
const ON_CARD: usize = 3;

/// What one may do with the items of a checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct May {
    tick: bool,
    waive: bool,
}

impl May {
    fn of(by: &Actor, policy: &Policy) -> Self {
        Self {
            tick: authority::may(by, Right::Checklist, policy).is_ok(),
            waive: authority::person_may(by, Right::Waive, policy).is_ok(),
        }
    }
}

/// What is open and can be answered by now: what is looked at after the deploy is not offered
/// before it.
fn open(release: &Release) -> impl Iterator<Item = &Item> {
    let now = |item: &&Item| item.phase <= ItemPhase::T30m || !release.phase.is_before_deploy();
    release.items.iter().filter(|item| !item.state.is_green()).filter(now)
}

/// `about` tells items of several releases apart; empty where there is one.
fn pair(release: &Release, item: &Item, about: &str, may: May) -> Vec<Button> {
    let (id, name) = (&release.id, &item.name);
    let of = if about.is_empty() { String::new() } else { format!(" · {about}") };
    let line = |act: &str| format!("checklist {id} {act} --item {}", item.id);
    let tick = || plain(&cards::shortened(&format!("✓ {name}{of}")), line("pass"));
    let waive = || plain(&cards::shortened(&format!("Waive {name}{of}")), line("waive"));
    may.tick.then(tick).into_iter().chain(may.waive.then(waive)).collect()
}

/// Every open item with what the asker may do about it; where there are many, forms for the rest.
pub(super) fn of_checklist(release: &Release, policy: &Policy, by: &Actor) -> Vec<Vec<Button>> {
    let may = May::of(by, policy);
    let is_over = release.phase.is_over();
    let items: Vec<_> =
        open(release).filter(|item| !is_over || item.phase > ItemPhase::T30m).collect();
    let abreast = if items.len() <= ROOMY { 1 } else { 2 };
    let row = |few: &[&Item]| few.iter().flat_map(|item| pair(release, item, "", may)).collect();
    let shown = &items[..items.len().min(ITEMS)];
    let mut rows: Vec<Vec<Button>> = shown.chunks(abreast).map(row).collect();
    if items.len() > shown.len() {
        let line = |act: &str| format!("checklist {} {act}", release.id);
        let tick = may.tick.then(|| plain("✓ Another item…", line("pass")));
        let waive = may.waive.then(|| plain("Waive another item…", line("waive")));
        rows.push(tick.into_iter().chain(waive).collect());
    }
    rows.retain(|row| !row.is_empty());
    rows
}

/// The first of what stands between the checklist and green, for whoever is in the room.
pub(super) fn of_card(release: &Release) -> Vec<Vec<Button>> {
    if !release.phase.is_before_deploy() {
        return Vec::new();
    }
    let everybody = May { tick: true, waive: true };
    let first = missing(&release.items).take(ON_CARD);
    first.map(|item| pair(release, item, "", everybody)).collect()
}

/// What is open and belongs to this person.
pub(super) fn items_of<'a>(
    open_releases: &[&'a Release],
    policy: &Policy,
    by: &Actor,
) -> Vec<(&'a Release, &'a Item)> {
    let Ok(person) = authority::person(by, policy) else { return Vec::new() };
    let of = |release: &'a Release| open(release).map(move |item| (release, item));
    let all = open_releases.iter().flat_map(|release| of(release));
    all.filter(|(_, item)| item.owner.as_ref() == Some(&person)).collect()
}

pub(super) fn of_item(
    (release, item): &(&Release, &Item),
    policy: &Policy,
    by: &Actor,
) -> Vec<Button> {
    pair(release, item, &release.title(), May::of(by, policy))
}

/// What this person can do next about a release, besides signing: with its name on each button,
/// since several releases may stand below each other, and two of them may have one version.
pub(super) fn of_person(release: &Release, policy: &Policy, by: &Actor, now: Time) -> Vec<Button> {
    let status = plain(&format!("Status of {}", release.title()), format!("status {}", release.id));
    let named = |button: Button| {
        let label = format!("{} · {}", button.label, release.title());
        Button { label: cards::shortened(&label), ..button }
    };
    let acts = cards::phase_buttons(release, now).into_iter().flatten();
    let acts = acts.filter(|button| is_for(button, release, policy, by)).map(named);
    [status].into_iter().chain(acts).take(status::ABREAST).collect()
}

/// Votes and the checklist have rows of their own.
fn is_for(button: &Button, release: &Release, policy: &Policy, by: &Actor) -> bool {
    let right = match button.command.split(' ').next().unwrap_or_default() {
        "hold" => return true,
        "advance" => return may_advance(release, policy, by),
        "start" => Right::Start,
        "resume" => Right::Resume,
        "rollback" => Right::Rollback,
        "reschedule" | "scrub" => Right::Schedule,
        "verify" => Right::Run,
        "retry" | "outcome" => right_to_settle(release),
        _ => return false,
    };
    authority::may(by, right, policy).is_ok()
}

fn may_advance(release: &Release, policy: &Policy, by: &Actor) -> bool {
    let wanted = release.phase.stage().map(|stage| wanted_approvals(release, stage));
    let Ok(person) = authority::person(by, policy) else { return false };
    match wanted.unwrap_or_default().as_slice() {
        [] => authority::may(by, Right::Advance, policy).is_ok(),
        roles => roles.iter().any(|role| authority::is_in(by, &person, role, policy)),
    }
}

#[cfg(test)]
mod tests;
