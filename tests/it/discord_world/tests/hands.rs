//! What people do, and the answers that Discord takes for it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{APP, DiscordWorld, IN_PRIVATE, Outcome};
use super::{Plain, button, connect, obliging, release, row, text, whisper};

async fn ready() -> (DiscordWorld, Plain) {
    let discord = DiscordWorld::start().await;
    let bot = Plain::of(&discord);
    assert_eq!(bot.registers(release()).await.status, 200);
    (discord, bot)
}

#[tokio::test]
async fn a_line_goes_through_what_is_registered() {
    let (discord, bot) = ready().await;
    let mut told = obliging(&discord, connect(&discord).await, whisper("Heard."));
    let ann = discord.person("ann");
    let wrong = [
        ("/deploy", "no command"),
        ("/release", "has"),
        ("/release stop", "has"),
        ("/release go", "required"),
        ("/release go v1 as:captain", "one of"),
        ("/release go v1 force:perhaps", "true or false"),
        ("/release go v1 --loudly", "no option"),
        ("/release go version:a-version-that-is-too-long", "letters"),
        ("/release status now", "nothing takes"),
    ];
    for (line, why) in wrong {
        let said = ann.tries(line, "releases").await.err().unwrap_or_default();
        assert!(said.contains(why), "{line}: {said:?}");
    }
    let line = "/release go v1.2.0 as:Quality --force who:@quinn";
    ann.types(line, "releases").await.answered().await;
    let heard = told.recv().await.unwrap();
    let options = &heard["data"]["options"][0]["options"];
    let values: Vec<&Value> = options.as_array().unwrap().iter().map(|it| &it["value"]).collect();
    assert_eq!(values[..3], [&json!("v1.2.0"), &json!("qa"), &json!(true)]);
    let quinn = discord.person("quinn").id;
    assert_eq!(heard["data"]["resolved"]["members"][&quinn]["roles"][0], discord.role("qa"));
    assert_eq!(heard["member"]["roles"][0], discord.role("engineering"));

    assert!(ann.tries("/release status", IN_PRIVATE).await.is_err());
    let everywhere = format!("/applications/{APP}/commands");
    assert_eq!(bot.call("PUT", &everywhere, release()).await.status, 200);
    ann.types("/release status", IN_PRIVATE).await.answered().await;
    let heard = told.recv().await.unwrap();
    assert!(heard["member"].is_null() && heard["user"]["id"] == ann.id.as_str());
    discord.assert_clean().await;
}

#[tokio::test]
async fn an_answer_is_given_once_and_in_time() {
    let (discord, bot) = ready().await;
    let mut told = obliging(&discord, connect(&discord).await, whisper("Heard."));
    let ann = discord.person("ann");
    ann.types("/release status", "releases").await;
    let heard = told.recv().await.unwrap();
    assert_eq!(bot.answers(&heard, whisper("Again.")).await.body["code"], 40060);
    discord.pardon("answered twice");
    let mut other = heard.clone();
    other["token"] = json!("another");
    assert_eq!(bot.answers(&other, whisper("x")).await.body["code"], 10062);
    discord.pardon("invented");

    let hook = format!("/webhooks/{APP}/{}", heard["token"].as_str().unwrap());
    assert_eq!(bot.call("POST", &hook, text("More.")).await.status, 200);
    let original = format!("{hook}/messages/@original");
    assert_eq!(bot.call("PATCH", &original, text("Changed.")).await.status, 200);
    ann.sees_ephemeral("Changed.").await;
    discord.clock().advance(Duration::from_secs(15 * 60));
    assert_eq!(bot.error("POST", &hook, text("Late.")).await, 50027);
    discord.pardon("older than a quarter");
    discord.assert_clean().await;
}

#[tokio::test]
async fn silence_and_endless_thought_are_found() {
    let (discord, bot) = ready().await;
    let mut told = obliging(&discord, connect(&discord).await, Value::Null);
    let ann = discord.person("ann");
    let typing = {
        let ann = ann.clone();
        tokio::spawn(async move { ann.types("/release status", "releases").await })
    };
    let heard = told.recv().await.unwrap();
    discord.clock().advance(Duration::from_secs(3));
    assert_eq!(typing.await.unwrap().outcome, Outcome::TimedOut);
    discord.pardon("not answered within three seconds");
    assert_eq!(bot.answers(&heard, whisper("x")).await.body["code"], 10062);
    discord.pardon("after three seconds");

    let typing = tokio::spawn(async move { ann.types("/release status", "releases").await });
    let heard = told.recv().await.unwrap();
    let hook = format!("/webhooks/{APP}/{}", heard["token"].as_str().unwrap());
    assert_eq!(bot.error("POST", &hook, text("Too early.")).await, 10015);
    discord.pardon("before the interaction was answered");
    assert_eq!(bot.answers(&heard, json!({"type": 5})).await.status, 204);
    assert_eq!(typing.await.unwrap().outcome, Outcome::Acknowledged(5));
    assert!(discord.world.look(|state| state.thoughts().len()) == 1);
    bot.call("POST", &hook, text("Thought.")).await;
    discord.sees("releases", "Thought.").await;
    discord.assert_clean().await;
}

#[tokio::test]
async fn a_button_asks_and_a_form_is_checked() {
    let (discord, bot) = ready().await;
    let input =
        |id: &str| json!({"type": 4, "custom_id": id, "style": 1, "label": id, "max_length": 5});
    let modal = |rows: Value| {
        json!({"type": 9, "data": {
            "custom_id": "why", "title": "Why", "components": rows,
        }})
    };
    let mut told = obliging(&discord, connect(&discord).await, Value::Null);
    let mut body = text("Go?");
    body["components"] = json!([row(&[button("NO-GO", "no")])]);
    bot.says("releases", body).await;
    let (ann, post) = (discord.person("ann"), discord.sees("releases", "Go?").await);
    let pressing = {
        let (ann, post) = (ann.clone(), post.clone());
        tokio::spawn(async move { ann.presses(&post, "NO-GO").await })
    };
    let heard = told.recv().await.unwrap();
    assert_eq!(heard["message"]["id"], post.id.as_str());
    assert_eq!(heard["data"]["custom_id"], "no");
    let twins = modal(json!([row(&[input("a")]), row(&[input("a")])]));
    assert_eq!(bot.answers(&heard, twins).await.body["code"], 50035);
    discord.pardon("duplicated");
    assert_eq!(bot.answers(&heard, json!({"type": 8, "data": {}})).await.body["code"], 50035);
    discord.pardon("not to be answered with type 8");
    assert_eq!(bot.answers(&heard, modal(json!([row(&[input("reason")])]))).await.status, 204);
    pressing.await.unwrap();
    let sheet = ann.sees_view("Why").await;
    assert!(ann.tries_to_submit(&sheet, &[]).await.is_err());
    assert!(ann.tries_to_submit(&sheet, &[("reason", "far too long")]).await.is_err());
    let sending = {
        let (ann, sheet) = (ann.clone(), sheet.clone());
        tokio::spawn(async move { ann.submits(&sheet, &[("reason", "red")]).await })
    };
    let heard = told.recv().await.unwrap();
    assert_eq!(bot.answers(&heard, json!({"type": 7, "data": text("No-go.")})).await.status, 204);
    sending.await.unwrap();
    assert!(!discord.is_open(&sheet));
    discord.sees_edit(&post, "No-go.").await;
    discord.assert_clean().await;
}
