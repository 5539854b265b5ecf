//! Many people in a room of Slack: named ones, and who holds a seat by a user group alone.

use tminus::ports::{Chat, RoomWish};

use crate::slack_adapter::{self, adapter};
use crate::slack_world::{Setup, SlackWorld, Standing};

fn wish(key: &str, groups: &[&str]) -> RoomWish {
    RoomWish {
        members: vec!["UMARIA0000".into()],
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..slack_adapter::wish(key, key)
    }
}

fn crew() -> Vec<String> {
    (0..120).map(|n| format!("crew{n:03}")).collect()
}

fn staffed(setup: Setup, crew: &[String]) -> Setup {
    crew.iter().fold(setup, |setup, name| setup.person(name, Standing::Member))
}

#[tokio::test]
async fn many_named_people_come_in_batches_and_who_cannot_come_is_told() {
    let crew = crew();
    let world = SlackWorld::with(staffed(Setup::default(), &crew)).await;
    let slack = adapter(&world);
    let room = slack.open_room(&wish("one", &[])).await.unwrap();
    let before = world.calls("conversations.invite").len();
    let people: Vec<String> = crew.iter().map(|name| world.person(name).id).collect();
    slack.invite(&room.channel, &people).await.unwrap();
    assert_eq!(world.calls("conversations.invite").len() - before, 3, "fifty at a time");
    let inside = || world.look(|it| it.channels[&room.channel].members.clone());
    assert!(people.iter().all(|id| inside().contains(id)));

    let late = ["UANN000000", "ULEAVER000", "UMARIA0000", "UQUINN0000"].map(String::from);
    let missing = slack.invite(&room.channel, &late).await.unwrap_err();
    assert!(missing.to_string().contains("Not invited: ULEAVER000"), "{missing}");
    assert!(inside().contains("UANN000000") && inside().contains("UQUINN0000"));
    world.assert_clean().await;
}

#[tokio::test]
async fn a_large_group_is_invited_in_batches_and_nobody_keeps_the_others_away() {
    let names = crew();
    let crew: Vec<&str> = names.iter().map(String::as_str).collect();
    let setup = Setup::default().group("crew", &[&crew[..], &["leaver", "maria"]].concat());
    let world = SlackWorld::with(staffed(setup, &names)).await;
    let slack = adapter(&world);
    let room = slack.open_room(&wish("one", &["SCREW00000", "SGONE00000"])).await.unwrap();
    let inside = world.look(|it| it.channels[&room.channel].members.clone());
    for name in names.iter().map(String::as_str).chain(["maria"]) {
        assert!(inside.contains(&world.person(name).id), "{name} is in the room");
    }
    assert!(!inside.contains("ULEAVER000"));
    assert!(world.calls("conversations.invite").len() <= 4, "they come in batches");
    slack.open_room(&wish("two", &["SCREW00000"])).await.unwrap();
    let asked = world.calls("usergroups.users.list");
    let asked = asked.iter().filter(|call| call.arg("usergroup") == "SCREW00000").count();
    assert_eq!(asked, 1, "who is in it is believed for a minute");
    world.assert_clean().await;
}

#[tokio::test]
async fn a_group_of_people_who_are_all_there_or_gone_is_no_trouble() {
    let world = SlackWorld::with(Setup::default().group("old", &["leaver", "maria"])).await;
    let room = adapter(&world).open_room(&wish("one", &["SOLD000000"])).await.unwrap();
    let inside = world.look(|it| it.channels[&room.channel].members.clone());
    assert!(inside.contains("UMARIA0000"));
    world.assert_clean().await;
}

#[tokio::test]
async fn without_the_scope_the_room_opens_all_the_same() {
    let world = SlackWorld::with(Setup::default().without_scope("usergroups:read")).await;
    let room = adapter(&world).open_room(&wish("one", &["SQALEADS00"])).await.unwrap();
    assert!(room.instead.is_none());
}
