//! The gateway: who is let in, what is told again, and how connections end.

use serde_json::json;

use super::super::{DiscordWorld, Outcome};
use super::{Plain, connect, heard, identify, obliging, open, release, say, whisper};

#[tokio::test]
async fn intents_are_the_least() {
    let discord = DiscordWorld::start().await;
    let mut socket = identify(&discord, 1 << 15).await;
    assert_eq!(heard(&mut socket).await["closed"], 4014);
    discord.pardon("privileged intents");
    let mut socket = identify(&discord, 1).await;
    assert_eq!(heard(&mut socket).await["t"], "READY");
    discord.pardon("intents 1");
    let mut socket = open(&discord).await;
    say(&mut socket, &json!({"op": 2, "d": {"token": "x", "intents": 0}})).await;
    assert_eq!(heard(&mut socket).await["closed"], 4004);
    discord.pardon("authentication failed");
    let mut socket = open(&discord).await;
    say(&mut socket, &json!({"op": 4, "d": {}})).await;
    assert_eq!(heard(&mut socket).await["closed"], 4003);
    discord.pardon("before it identified");
    discord.assert_clean().await;
}

#[tokio::test]
async fn a_session_goes_on_and_is_told_what_it_missed() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    bot.registers(release()).await;
    let mut socket = identify(&discord, 0).await;
    let ready = heard(&mut socket).await;
    say(&mut socket, &json!({"op": 1, "d": 1})).await;
    assert_eq!(heard(&mut socket).await["op"], 11);
    discord.cuts_connections();
    let ann = discord.person("ann");
    let typing = tokio::spawn(async move { ann.types("/release status", "releases").await });
    let look = |state: &super::super::State| (!state.deliveries.is_empty()).then_some(());
    discord.world.eventually("an event nobody heard", look).await;

    let mut socket = open(&discord).await;
    let session = &ready["d"]["session_id"];
    let resume = json!({"token": discord.bot_token(), "session_id": session, "seq": 1});
    say(&mut socket, &json!({"op": 6, "d": resume})).await;
    let missed = heard(&mut socket).await;
    assert_eq!((&missed["t"], &missed["s"]), (&json!("INTERACTION_CREATE"), &json!(2)));
    assert_eq!(heard(&mut socket).await["t"], "RESUMED");
    bot.answers(&missed["d"], whisper("Still here.")).await;
    assert_eq!(typing.await.unwrap().outcome, Outcome::Acknowledged(4));
    assert_eq!(discord.sessions(), (1, 1));

    discord.asks_to_reconnect();
    assert_eq!(heard(&mut socket).await["op"], 7);
    discord.invalidates_session(false);
    assert_eq!(heard(&mut socket).await["op"], 9);
    discord.closes_connections(4000);
    assert_eq!(heard(&mut socket).await["closed"], 4000);
    let mut socket = open(&discord).await;
    say(&mut socket, &json!({"op": 6, "d": resume})).await;
    assert_eq!(heard(&mut socket).await, json!({"op": 9, "d": false, "s": null, "t": null}));
    discord.assert_clean().await;
}

#[tokio::test]
async fn events_come_twice_and_backwards() {
    let discord = DiscordWorld::start().await;
    Plain::of(&discord).registers(release()).await;
    let mut told = obliging(&discord, connect(&discord).await, whisper("Heard."));
    let typed = discord.person("ann").types("/release status", "releases").await;
    let first = told.recv().await.unwrap();
    discord.delivers_again(&typed);
    assert_eq!(told.recv().await.unwrap()["id"], first["id"]);
    discord.pardon("answered twice");

    discord.holds_events();
    let mut typing = Vec::new();
    for name in ["ann", "quinn"] {
        let person = discord.person(name);
        typing.push(tokio::spawn(async move { person.types("/release status", "releases").await }));
    }
    discord.lets_go_backwards(2).await;
    let ids =
        [told.recv().await.unwrap(), told.recv().await.unwrap()].map(|it| it["id"].to_string());
    assert!(ids[0] > ids[1], "{ids:?}");
    for one in typing {
        one.await.unwrap();
    }
    discord.assert_clean().await;
}
