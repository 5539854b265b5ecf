//! Channels: how many, where, for whom, and under which name.

use serde_json::{Value, json};

use super::super::permissions::{ADMINISTRATOR, MANAGE_CHANNELS, MANAGE_ROLES, VIEW_CHANNEL};
use super::super::{DiscordWorld, GUILD, Setup, id};
use super::{Plain, text};

async fn makes(bot: &Plain, body: Value) -> super::Told {
    bot.call("POST", &format!("/guilds/{GUILD}/channels"), body).await
}

#[tokio::test]
async fn a_category_and_a_guild_can_be_full() {
    let discord = DiscordWorld::with(Setup::default().crowd(493)).await;
    let bot = Plain::of(&discord);
    assert_eq!(makes(&bot, json!({"name": "last"})).await.status, 201);
    assert_eq!(makes(&bot, json!({"name": "one-more"})).await.body["code"], 30013);
    discord.change(|realm| {
        let parent = id("channel", "war rooms");
        for number in 0..50 {
            realm.channel_mut(&format!("crowd-{number}")).parent = Some(parent.clone());
        }
        realm.deletes_channel("crowd-60");
    });
    let told = makes(&bot, json!({"name": "room", "parent_id": id("channel", "war rooms")})).await;
    assert!(told.body.to_string().contains("CHANNEL_PARENT_MAX_CHANNELS"), "{told:?}");
    discord.assert_clean().await;
}

#[tokio::test]
async fn rooms_that_cannot_be_made() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let own = |allow: u64| {
        let bit = allow.to_string();
        json!({"name": "room", "permission_overwrites": [
            {"id": discord.role("qa"), "type": 0, "allow": bit, "deny": "0"},
        ]})
    };
    assert_eq!(makes(&bot, own(ADMINISTRATOR)).await.body["code"], 50013);
    assert_eq!(makes(&bot, json!({"name": "r", "parent_id": "77"})).await.body["code"], 50035);
    let topic = json!({"name": "r", "topic": "x".repeat(1_025)});
    assert_eq!(makes(&bot, topic).await.body["code"], 50035);
    discord.change(|realm| realm.forbids_bot(MANAGE_ROLES));
    assert_eq!(makes(&bot, own(VIEW_CHANNEL)).await.body["code"], 50013);
    discord.change(|realm| realm.forbids_bot(MANAGE_CHANNELS));
    assert_eq!(makes(&bot, json!({"name": "r"})).await.body["code"], 50013);
    assert_eq!(discord.violations().len(), 5, "{:#?}", discord.violations());
    discord.pardon("");
    let named = DiscordWorld::start().await;
    assert_eq!(
        makes(&Plain::of(&named), json!({"name": "My Room!"})).await.body["name"],
        "my-room"
    );
    named.pardon("becomes");
}

#[tokio::test]
async fn whoever_locks_themselves_out_stays_out() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let deny = json!({"id": GUILD, "type": 0, "allow": "0", "deny": VIEW_CHANNEL.to_string()});
    let room = makes(&bot, json!({"name": "room", "permission_overwrites": [deny]})).await.body;
    let path = format!("/channels/{}/messages", room["id"].as_str().unwrap());
    assert_eq!(bot.error("POST", &path, text("x")).await, 50001);
    discord.pardon("does not see #room");
    discord.assert_clean().await;
}

#[tokio::test]
async fn a_name_changes_twice_in_ten_minutes_and_smells() {
    let discord = DiscordWorld::with(Setup::default().rate_limits()).await;
    let bot = Plain::of(&discord);
    let path = format!("/channels/{}", id("channel", "general"));
    for name in ["one", "two"] {
        assert_eq!(bot.call("PATCH", &path, json!({"name": name})).await.status, 200);
    }
    let told = bot.call("PATCH", &path, json!({"name": "three"})).await;
    assert_eq!((told.status, told.body["code"].as_u64()), (429, Some(20028)));
    assert_eq!(discord.smells().len(), 2);
    discord.assert_clean().await;
}
