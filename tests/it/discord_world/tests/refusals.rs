//! Messages, commands and calls that Discord does not take, and what it says then.

use serde_json::{Value, json};

use super::super::permissions::{EMBED_LINKS, PIN_MESSAGES, SEND_MESSAGES, VIEW_CHANNEL};
use super::super::{APP, DiscordWorld, Fault, GUILD, Harm, Setup, id};
use super::{Plain, button, release, row, text};

/// Each body, with a word of the complaint.
async fn refused(cases: &[(Value, &str)]) {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    for (body, wanted) in cases {
        let mut body = body.clone();
        body["allowed_mentions"] =
            body.get("allowed_mentions").cloned().unwrap_or_else(|| json!({"parse": []}));
        let told = bot.says("releases", body.clone()).await;
        assert_eq!(told.status, 400, "{body} was taken: {told:?}");
        assert!(told.body.to_string().contains(wanted), "{wanted}: {told:?}");
        assert_eq!(discord.violations().len(), 1, "{body}: {:?}", discord.violations());
        discord.pardon("");
    }
    assert_eq!(discord.transcript("releases"), "");
}

#[tokio::test]
async fn too_long_and_too_many() {
    let long = |size: usize| "x".repeat(size);
    let embed = |embed: Value| json!({"embeds": [embed]});
    let fields: Vec<Value> = (0..26).map(|_| json!({"name": "a", "value": "b"})).collect();
    let many = json!({"description": long(3_001)});
    refused(&[
        (json!({"content": long(2_001)}), "2000 or fewer"),
        (json!({"content": ""}), "50006"),
        (embed(json!({"title": long(257)})), "256 or fewer"),
        (embed(json!({"description": long(4_097)})), "4096 or fewer"),
        (embed(json!({"title": "t", "fields": fields})), "25 or fewer"),
        (json!({"embeds": [many, many]}), "6000"),
        (json!({"embeds": vec![json!({"title": "t"}); 11]}), "10 or fewer"),
        (embed(json!({"color": 3})), "BASE_TYPE_REQUIRED"),
        (json!({"content": "x", "nonce": long(26)}), "25 or fewer"),
        (json!({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}), "excl"),
        (json!({"content": "x", "colour": 1}), "UNKNOWN_FIELD"),
        (json!({"content": 7}), "BASE_TYPE_BAD_TYPE"),
    ])
    .await;
}

#[tokio::test]
async fn buttons_that_cannot_be() {
    let with = |rows: Value| json!({"content": "Go?", "components": rows});
    let one = |element: Value| with(json!([row(&[element])]));
    let six: Vec<Value> = (0..6).map(|it| button("b", &it.to_string())).collect();
    let rows: Vec<Value> = (0..6).map(|it| row(&[button("b", &it.to_string())])).collect();
    let menu = json!({"type": 3, "custom_id": "m", "options": [{"label": "a", "value": "a"}]});
    refused(&[
        (with(json!(rows)), "5 or fewer"),
        (with(json!([row(&six)])), "5 or fewer"),
        (with(json!([row(&[button("a", "x"), button("b", "x")])])), "DUPLICATED"),
        (with(json!([row(&[button("a", "x"), menu])])), "WIDTH_EXCEEDED"),
        (one(button(&"x".repeat(81), "x")), "80 or fewer"),
        (one(button("a", &"x".repeat(101))), "100 or fewer"),
        (one(json!({"type": 2, "style": 1, "label": "a"})), "custom id"),
        (one(json!({"type": 2, "style": 5, "label": "a", "custom_id": "x"})), "url"),
        (one(json!({"type": 2, "style": 1, "custom_id": "x"})), "label"),
        (with(json!([button("a", "x")])), "components"),
    ])
    .await;
}

#[tokio::test]
async fn commands_that_cannot_be_registered() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let option = |name: &str, must: bool| {
        let name = name.to_owned();
        json!({"type": 3, "name": name, "description": "d", "required": must})
    };
    let with = |options: Value| json!([{"name": "x", "description": "d", "options": options}]);
    let sub = json!({"type": 1, "name": "s", "description": "d"});
    let many: Vec<Value> = (0..26).map(|it| option(&format!("o{it}"), false)).collect();
    let choices: Vec<Value> =
        (0..26).map(|it| json!({"name": it.to_string(), "value": it.to_string()})).collect();
    let mut chosen = option("o", false);
    chosen["choices"] = json!(choices);
    let mut both = option("o", false);
    both["autocomplete"] = json!(true);
    both["choices"] = json!([{"name": "a", "value": "a"}]);
    let long = "d".repeat(100);
    let wordy: Vec<Value> = (0..4)
        .map(|group| {
            let options: Vec<Value> = (0..22)
                .map(|it| json!({"type": 3, "name": format!("o{it}"), "description": long}))
                .collect();
            json!({"type": 1, "name": format!("s{group}"), "description": "d", "options": options})
        })
        .collect();
    let cases = [
        (json!([{"name": "Release", "description": "d"}]), "INVALID_NAME"),
        (json!([{"name": "re lease", "description": "d"}]), "INVALID_NAME"),
        (json!([{"name": "x".repeat(33), "description": "d"}]), "32 or fewer"),
        (json!([{"name": "x"}]), "BASE_TYPE_REQUIRED"),
        (json!([{"name": "x", "description": "d".repeat(101)}]), "100 or fewer"),
        (with(json!([option("a", false), option("b", true)])), "REQUIRED_INVALID"),
        (with(json!([option("a", false), option("a", false)])), "NAME_DUPLICATE"),
        (with(json!([sub, option("a", false)])), "mutually exclusive"),
        (with(json!(many)), "25 or fewer"),
        (with(json!([chosen])), "25 or fewer"),
        (with(json!([both])), "AUTOCOMPLETE_INVALID"),
        (with(json!(wordy)), "TOO_LARGE"),
        (json!([release()[0], release()[0]]), "unique"),
    ];
    for (body, wanted) in cases {
        let told = bot.registers(body.clone()).await;
        assert_eq!(told.status, 400, "{body} was taken");
        assert!(told.body.to_string().contains(wanted), "{wanted}: {told:?}");
        discord.pardon("");
    }
    assert!(discord.commands(Some(GUILD)).is_empty());
    assert_eq!(bot.registers(release()).await.status, 200);
    let before = discord.commands(Some(GUILD))[0]["id"].clone();
    bot.registers(release()).await;
    assert_eq!(discord.commands(Some(GUILD))[0]["id"], before);
    discord.assert_clean().await;
}

#[tokio::test]
async fn what_would_ring_or_leak_is_remembered() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    bot.says("releases", json!({"content": "@everyone"})).await;
    discord.pardon("no `allowed_mentions`");
    bot.says("releases", text(&format!("It is {}", discord.bot_token()))).await;
    discord.pardon("a secret");
    bot.says("releases", text("Hello <@123>")).await;
    discord.pardon("names nothing");

    let qa = discord.role("qa");
    let quiet = text(&format!("<@&{qa}> @everyone"));
    let loud = json!({"content": format!("now <@&{qa}>"), "allowed_mentions": {"roles": [qa]}});
    bot.says("releases", quiet).await;
    bot.says("releases", loud).await;
    let (quiet, loud) = (
        discord.sees("releases", "@qa @everyone").await,
        discord.sees("releases", "now @qa").await,
    );
    let (ann, quinn) = (discord.person("ann"), discord.person("quinn"));
    assert!(!quinn.was_pinged_by(&quiet));
    assert!(quinn.was_pinged_by(&loud) && !ann.was_pinged_by(&loud));
    discord.assert_clean().await;
}

#[tokio::test]
async fn what_the_bot_may_not_do() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let messages = |name: &str| format!("/channels/{}/messages", id("channel", name));
    assert_eq!(bot.error("POST", &messages("secret"), text("x")).await, 50001);
    assert_eq!(bot.error("POST", &messages("war rooms"), text("x")).await, 50008);
    assert_eq!(bot.error("POST", "/channels/77/messages", text("x")).await, 10003);
    assert_eq!(bot.error("GET", &format!("{}/77", messages("releases")), Value::Null).await, 10008);
    assert_eq!(bot.error("GET", "/guilds/77", Value::Null).await, 10004);
    assert_eq!(bot.error("GET", "/nowhere", Value::Null).await, 0);
    let theirs = discord.person("ann").says("releases", "Mine.");
    let path = format!("{}/{}", messages("releases"), theirs.id);
    assert_eq!(bot.error("PATCH", &path, text("Not yours.")).await, 50005);
    assert_eq!(bot.call("GET", &path, Value::Null).await.body["content"], "");
    discord.change(|realm| realm.forbids_bot(PIN_MESSAGES));
    let pin = format!("/channels/{}/messages/pins/{}", id("channel", "releases"), theirs.id);
    assert_eq!(bot.error("PUT", &pin, Value::Null).await, 50013);
    discord.change(|realm| {
        let guild = realm.guild_mut();
        guild.roles.get_mut(GUILD).unwrap().permissions &= !(EMBED_LINKS | SEND_MESSAGES);
        realm.forbids_bot(EMBED_LINKS);
    });
    let embed = json!({"embeds": [{"title": "t"}], "allowed_mentions": {"parse": []}});
    assert_eq!(bot.error("POST", &messages("releases"), embed).await, 50013);
    assert_eq!(bot.says("releases", text("x")).await.status, 200);
    discord.change(|realm| {
        realm.guild_mut().roles.get_mut(GUILD).unwrap().permissions &= !VIEW_CHANNEL;
        realm.forbids_bot(VIEW_CHANNEL);
    });
    assert_eq!(bot.error("POST", &messages("releases"), text("x")).await, 50001);
    let stranger = Plain { token: "Bot nobody".to_owned(), ..Plain::of(&discord) };
    assert_eq!(stranger.says("releases", text("x")).await.status, 401);
    assert_eq!(discord.violations().len(), 11, "{:#?}", discord.violations());
}

#[tokio::test]
async fn what_was_deleted_is_nobodys_mistake() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let said = bot.says("releases", text("Gone soon.")).await.body;
    let path = format!(
        "/channels/{}/messages/{}",
        id("channel", "releases"),
        said["id"].as_str().unwrap()
    );
    discord.change(|realm| realm.deletes_message("releases", said["id"].as_str().unwrap()));
    assert_eq!(bot.error("PATCH", &path, text("x")).await, 10008);
    discord.change(|realm| realm.deletes_channel("releases"));
    assert_eq!(bot.error("PATCH", &path, text("x")).await, 10003);
    discord.assert_clean().await;
}

#[tokio::test]
async fn a_nonce_is_said_once_while_it_is_remembered() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let mut body = text("Once.");
    (body["nonce"], body["enforce_nonce"]) = (json!("n"), json!(true));
    let first = bot.says("releases", body.clone()).await.body;
    assert_eq!(first["nonce"], "n");
    assert_eq!(bot.says("releases", body.clone()).await.body["id"], first["id"]);
    let path = format!("/channels/{}/messages", id("channel", "releases"));
    let history = bot.call("GET", &format!("{path}?limit=5"), Value::Null).await.body;
    assert!(history[0]["nonce"].is_null() && history[0]["content"] == "Once.");
    discord.clock().advance(std::time::Duration::from_secs(121));
    assert_ne!(bot.says("releases", body).await.body["id"], first["id"]);
    assert_eq!(discord.count("Once."), 2);
    discord.assert_clean().await;
}

#[tokio::test]
async fn limits_are_told_and_have_to_be_kept() {
    let discord = DiscordWorld::with(Setup::default().rate_limits()).await;
    let bot = Plain::of(&discord);
    for _ in 0..5 {
        assert_eq!(bot.says("releases", text("x")).await.status, 200);
    }
    let told = bot.says("releases", text("x")).await;
    assert_eq!((told.status, told.scope.as_deref()), (429, Some("user")));
    assert!(told.body["retry_after"].as_f64().unwrap() > 1.0);
    assert_eq!(bot.says("general", text("Elsewhere.")).await.status, 200);
    assert!(discord.violations().is_empty());
    bot.says("releases", text("x")).await;
    discord.pardon("did not wait");
    discord.clock().advance(std::time::Duration::from_secs(5));
    assert_eq!(bot.says("releases", text("x")).await.status, 200);
    discord.assert_clean().await;
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    let path = format!("/channels/{}/messages", id("channel", "releases"));
    discord.fault(Fault::on("create_message", Harm::ResetBefore));
    discord.fault(Fault::on("create_message", Harm::ResetAfter).nth(1));
    assert!(bot.try_call("POST", &path, text("Lost.")).await.is_err());
    assert_eq!(discord.count("Lost."), 0);
    assert!(bot.try_call("POST", &path, text("Said.")).await.is_err());
    assert_eq!(discord.count("Said."), 1);
    discord.fault(Fault::on("create_message", Harm::TooManyShared(0.5)));
    let told = bot.says("releases", text("x")).await;
    assert_eq!((told.status, told.scope.as_deref()), (429, Some("shared")));
    discord.clock().advance(std::time::Duration::from_secs(1));
    discord.fault(Fault::on("*", Harm::Status(502)));
    assert_eq!(bot.says("releases", text("x")).await.status, 502);
    discord.fault(Fault::on("*", Harm::Error(50013)).in_channel(&id("channel", "general")));
    assert_eq!(bot.says("releases", text("x")).await.status, 200);
    assert_eq!(bot.says("general", text("x")).await.status, 403);
    let me = bot.call("GET", "/users/@me", Value::Null).await.body;
    assert_eq!(me["id"], APP);
    discord.assert_clean().await;
}
