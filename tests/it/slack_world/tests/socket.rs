//! Socket Mode: acknowledgements, redelivery, and connections that end.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Setup, SlackWorld, connect, heard, objected, obliging, say};
use crate::slack_world::Outcome;

#[tokio::test]
async fn a_ticket_opens_one_connection() {
    let slack = SlackWorld::start().await;
    let app = super::Plain { token: slack.app_token(), ..super::Plain::of(&slack) };
    let answer = app.call("apps.connections.open", json!({})).await;
    let url = answer["url"].as_str().unwrap();
    let _first = tokio_tungstenite::connect_async(url).await.unwrap();
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
    objected(&slack, "the ticket");
}

#[tokio::test]
async fn what_is_not_acknowledged_in_time_is_held_against_the_bot() {
    let slack = SlackWorld::start().await;
    let mut socket = connect(&slack).await;
    let ann = slack.person("ann");
    let typed = tokio::spawn(async move { ann.types("/release status", "releases").await });
    let frame = heard(&mut socket).await;
    slack.clock().advance(Duration::from_secs(4));
    assert_eq!(typed.await.unwrap().outcome, Outcome::TimedOut);
    slack.pardon("operation_timeout");
    say(&mut socket, &json!({"envelope_id": frame["envelope_id"]})).await;
    slack.all_acknowledged().await;
    slack.assert_clean().await;
}

#[tokio::test]
async fn acknowledgements_are_checked() {
    let slack = SlackWorld::start().await;
    let mut socket = connect(&slack).await;
    let ann = slack.person("ann");
    let bot = super::Plain::of(&slack);
    let blocks = super::card("Go?", &[super::button("GO", "go")]);
    let body = json!({"channel": super::RELEASES, "text": "Go?", "blocks": blocks});
    bot.call("chat.postMessage", body).await;
    let post = slack.sees("releases", "Go?").await;
    let pressed = tokio::spawn({
        let (ann, post) = (ann.clone(), post.clone());
        async move { ann.presses(&post, "GO").await }
    });
    let frame = heard(&mut socket).await;
    assert_eq!(frame["accepts_response_payload"], false);
    let odd = json!({"envelope_id": frame["envelope_id"], "payload": {"text": "done"}});
    say(&mut socket, &odd).await;
    pressed.await.unwrap();
    slack.pardon("this takes no payload");
    say(&mut socket, &odd).await;
    say(&mut socket, &json!({"envelope_id": "invented"})).await;
    let answered = tokio::spawn(async move { ann.types("/release help", "releases").await });
    let frame = heard(&mut socket).await;
    let said = json!({"text": "Here is help."});
    say(&mut socket, &json!({"envelope_id": frame["envelope_id"], "payload": said})).await;
    answered.await.unwrap().answered().await;
    slack.pardon("acknowledged 2 times");
    objected(&slack, "which was never sent");
}

#[tokio::test]
async fn a_click_without_an_answer_is_noticed() {
    let brief = Setup::default().windows(|it| it.answer = Duration::from_millis(500));
    let slack = SlackWorld::with(brief).await;
    let _frames = obliging(connect(&slack).await, Value::Null);
    slack.person("ann").types("/release status", "releases").await;
    let verdict = tokio::spawn(async move { slack.assert_clean().await }).await;
    let said = verdict.unwrap_err().into_panic();
    assert!(said.downcast_ref::<String>().unwrap().contains("saw nothing"));
}

#[tokio::test]
async fn events_come_again_and_commands_do_not() {
    let slack = SlackWorld::start().await;
    let socket = connect(&slack).await;
    let ann = slack.person("ann");
    let event = json!({"type": "channel_archive", "channel": super::RELEASES, "user": ann.id});
    let told = tokio::spawn(async move { ann.tells(event).await });
    slack.called("apps.connections.open", 1).await;
    let mut socket = socket;
    let first = heard(&mut socket).await;
    assert_eq!(first["retry_attempt"], 0);
    slack.cuts_connections();
    assert_eq!(told.await.unwrap().outcome, Outcome::Lost);
    let mut other = connect(&slack).await;
    let second = heard(&mut other).await;
    assert_eq!(second["retry_attempt"], 1);
    assert_eq!(second["payload"]["event_id"], first["payload"]["event_id"]);
    say(&mut other, &json!({"envelope_id": second["envelope_id"]})).await;
    slack.all_acknowledged().await;
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_click_may_come_twice_and_is_acknowledged_twice() {
    let slack = SlackWorld::start().await;
    let mut frames = obliging(connect(&slack).await, json!({"text": "ok"}));
    let typed = slack.person("ann").types("/release status", "releases").await;
    let first = frames.recv().await.unwrap();
    slack.delivers_again(&typed);
    let second = frames.recv().await.unwrap();
    assert_eq!(first, second);
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_disconnect_is_announced_and_the_next_connection_serves() {
    let slack = SlackWorld::start().await;
    let mut old = connect(&slack).await;
    slack.disconnects("refresh_requested");
    let farewell = heard(&mut old).await;
    assert_eq!(
        (&farewell["type"], &farewell["reason"]),
        (&json!("disconnect"), &json!("refresh_requested"))
    );
    let _frames = obliging(connect(&slack).await, json!({"text": "ok"}));
    let typed = slack.person("ann").types("/release status", "releases").await;
    assert!(matches!(typed.outcome, Outcome::Acknowledged(_)));
    slack.disconnects("link_disabled");
    let app = super::Plain { token: slack.app_token(), ..super::Plain::of(&slack) };
    assert_eq!(app.error("apps.connections.open", json!({})).await, "forbidden_team");
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_silent_connection_takes_what_is_sent_and_says_nothing() {
    let slack = SlackWorld::start().await;
    let _socket = connect(&slack).await;
    slack.falls_silent();
    let ann = slack.person("ann");
    let typed = tokio::spawn(async move { ann.types("/release status", "releases").await });
    let waits = slack.world.until(|state| (!state.deliveries.is_empty()).then_some(()));
    waits.await;
    slack.clock().advance(Duration::from_secs(4));
    assert_eq!(typed.await.unwrap().outcome, Outcome::Lost);
    slack.assert_clean().await;
}

#[tokio::test]
async fn envelopes_may_overtake_each_other() {
    let slack = SlackWorld::start().await;
    let mut frames = obliging(connect(&slack).await, json!({"text": "ok"}));
    slack.holds_envelopes();
    let ann = slack.person("ann");
    let (first, second) =
        (ann.types("/release one", "releases"), ann.types("/release two", "releases"));
    tokio::join!(first, second, slack.lets_go_backwards(2));
    assert_eq!(frames.recv().await.unwrap()["payload"]["text"], "two");
    assert_eq!(frames.recv().await.unwrap()["payload"]["text"], "one");
    slack.assert_clean().await;
}

#[tokio::test]
async fn an_eleventh_connection_is_turned_away() {
    let slack = SlackWorld::start().await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(connect(&slack).await);
    }
    slack.connected(10).await;
    let app = super::Plain { token: slack.app_token(), ..super::Plain::of(&slack) };
    let answer = app.call("apps.connections.open", json!({})).await;
    let url = answer["url"].as_str().unwrap();
    let (mut late, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(heard(&mut late).await["reason"], "too_many_websockets");
    objected(&slack, "10 at most");
}

#[tokio::test]
async fn a_bot_that_listens_hears_itself() {
    let slack = SlackWorld::with(Setup::default().hears_itself()).await;
    let mut frames = obliging(connect(&slack).await, Value::Null);
    super::Plain::of(&slack).says(super::RELEASES, "hello").await;
    let event = frames.recv().await.unwrap()["payload"]["event"].clone();
    assert_eq!(
        (&event["text"], &event["bot_id"]),
        (&json!("hello"), &json!(crate::slack_world::BOT))
    );
    slack.assert_clean().await;
}
