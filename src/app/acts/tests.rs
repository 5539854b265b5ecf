//! Who is offered which buttons.

use super::*;
use crate::app::grammar;
use crate::domain::checklist::ItemState;
use crate::domain::command::Claims;
use crate::domain::fixture::{World, account};

fn who(person: &str) -> Actor {
    Actor::Person { account: account(person), claims: Claims::default() }
}

fn labels(rows: &[Vec<Button>]) -> Vec<String> {
    rows.iter().flatten().map(|button| button.label.clone()).collect()
}

/// The sample with so many open items.
fn with_items(count: usize) -> Release {
    let mut release = World::counting_down().release().clone();
    let mut item = release.items[0].clone();
    item.state = ItemState::Open;
    let numbered = |n: usize| Item {
        id: format!("many/item-{n}").as_str().into(),
        name: format!("Item {n}"),
        ..item.clone()
    };
    release.items = (1..=count).map(numbered).collect();
    release
}

#[test]
fn each_sees_what_they_may_do_about_an_item() {
    let world = World::counting_down();
    let of = |person: &str| labels(&of_checklist(&with_items(1), world.policy(), &who(person)));
    assert_eq!(of("maria"), ["✓ Item 1", "Waive Item 1"]);
    assert_eq!(of("quinn"), ["✓ Item 1"], "QA may tick, and not waive");
    assert!(of("paula").is_empty());
}

#[test]
fn five_rows_of_five_hold_any_checklist() {
    let world = World::counting_down();
    for count in [0, 1, 4, 5, 8, 9, 120] {
        let rows = of_checklist(&with_items(count), world.policy(), &who("maria"));
        let fits = rows.len() <= 5 && rows.iter().all(|row| (1..=5).contains(&row.len()));
        assert!(fits, "{count} items: {rows:?}");
        let form = rows.iter().flatten().find(|button| button.label.starts_with("Waive another"));
        assert_eq!(form.is_some(), count > 8, "{count} items");
        for button in rows.iter().flatten() {
            grammar::parse(&button.command).expect("what a button says can be typed");
        }
    }
}

#[test]
fn what_comes_after_the_deploy_is_offered_after_it() {
    let world = World::counting_down();
    let mut release = with_items(2);
    release.items[1].phase = ItemPhase::FirstHour;
    let of = |release: &Release| labels(&of_checklist(release, world.policy(), &who("quinn")));
    assert_eq!(of(&release), ["✓ Item 1"]);
    release.phase = crate::domain::state::Phase::Watching;
    assert_eq!(of(&release), ["✓ Item 1", "✓ Item 2"]);
    release.phase = crate::domain::state::Phase::Done;
    assert_eq!(of(&release), ["✓ Item 2"], "it may be answered late");
}

#[test]
fn a_card_offers_the_first_of_what_stands_in_the_way() {
    assert_eq!(labels(&of_card(&with_items(9))).len(), 6);
    assert!(of_card(World::started().release()).is_empty());
}

#[test]
fn each_sees_the_verbs_that_are_theirs() {
    let of = |world: &World, person: &str| {
        labels(&[of_person(world.release(), world.policy(), &who(person), world.now)])
    };
    let ready = World::ready();
    assert_eq!(of(&ready, "quinn"), ["Status of Web shop v1.2.0", "Hold · Web shop v1.2.0"]);
    let deploying = World::started();
    let back = "Roll back to v1.1.9 · Web shop v1.2.0";
    assert!(of(&deploying, "john").contains(&back.to_owned()), "{:?}", of(&deploying, "john"));
    assert!(!of(&deploying, "sam").contains(&back.to_owned()));
}

#[test]
fn what_is_open_is_its_owners() {
    let world = World::scheduled();
    let release = world.release();
    let mine = |person: &str| items_of(&[release], world.policy(), &who(person)).len();
    let open = |owner: &str| {
        let own = |item: &&Item| item.owner.as_ref().is_some_and(|is| is.as_str() == owner);
        open(release).filter(own).count()
    };
    for person in ["ann", "quinn", "paula"] {
        assert_eq!(mine(person), open(person), "{person}");
    }
    assert!(mine("ann") > 0);
}
