//! Signed HTTP: what Slack sends, and what others would like to send.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::sync::watch;

use super::{SlackWorld, objected};
use crate::slack_world::Outcome;

type Heard = watch::Receiver<Vec<(String, HeaderMap, String)>>;

/// A bot that writes down what it hears and answers with one line.
async fn listener(answer: (u16, &'static str)) -> (String, Heard) {
    let (tell, heard) = watch::channel(Vec::new());
    let hear = move |uri: Uri, headers: HeaderMap, body: String| {
        tell.send_modify(|all| all.push((uri.path().to_owned(), headers, body)));
        async move { (axum::http::StatusCode::from_u16(answer.0).unwrap(), answer.1) }
    };
    let app = Router::new().route("/slack/{kind}", post(hear));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, app).await });
    (url, heard)
}

fn signature(secret: &str, headers: &HeaderMap, body: &str) -> String {
    let timestamp = headers["x-slack-request-timestamp"].to_str().unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    format!("v0={}", bytes.iter().map(|it| format!("{it:02x}")).collect::<String>())
}

#[tokio::test]
async fn commands_and_events_come_signed() {
    let slack = SlackWorld::start().await;
    let (url, heard) = listener((200, "Here is help.")).await;
    slack.calls_bot_at(&url);
    let ann = slack.person("ann");
    ann.types("/release help", "releases").await;
    ann.sees_ephemeral("Here is help.").await;
    let (path, headers, body) = heard.borrow()[0].clone();
    assert_eq!(path, "/slack/commands");
    assert!(body.contains("text=help") && body.contains("user_id=UANN000000"), "{body}");
    let right = signature(&slack.signing_secret(), &headers, &body);
    assert_eq!(headers["x-slack-signature"], right);
    let (challenge, wanted) = slack.challenge();
    assert_ne!(challenge.send().await.1, wanted, "this bot does not know how");
    slack.assert_clean().await;
}

#[tokio::test]
async fn attacks_carry_what_they_say() {
    let slack = SlackWorld::start().await;
    let (url, heard) = listener((200, "")).await;
    slack.calls_bot_at(&url);
    let sent = slack.command_of("ann", "/release go", "releases");
    let secret = slack.signing_secret();
    sent.send().await;
    sent.clone().forged().send().await;
    sent.clone().tampered("UANN000000", "UMARIA0000").send().await;
    sent.clone().unsigned().send().await;
    sent.clone().stale(Duration::from_secs(400)).send().await;
    let heard = heard.borrow();
    let valid = |number: usize| {
        let (_, headers, body) = &heard[number];
        headers.get("x-slack-signature").is_some_and(|it| *it == signature(&secret, headers, body))
    };
    let which: Vec<bool> = (0..5).map(valid).collect();
    assert_eq!(which, [true, false, false, false, true]);
    let age = heard[0].1["x-slack-request-timestamp"].to_str().unwrap().parse::<u64>().unwrap()
        - heard[4].1["x-slack-request-timestamp"].to_str().unwrap().parse::<u64>().unwrap();
    // The second may turn between the two.
    assert!(age >= 399, "{age}");
}

#[tokio::test]
async fn a_bot_that_refuses_slack_is_noticed() {
    let slack = SlackWorld::start().await;
    let (url, _) = listener((401, "no")).await;
    slack.calls_bot_at(&url);
    let typed = slack.person("ann").types("/release help", "releases").await;
    assert_eq!(typed.outcome, Outcome::Refused(401));
    objected(&slack, "the bot answered 401");
}

#[tokio::test]
async fn an_event_is_tried_again_with_its_number() {
    let slack = SlackWorld::start().await;
    let (url, mut heard) = listener((500, "")).await;
    slack.calls_bot_at(&url);
    let ann = slack.person("ann");
    ann.tells(json!({"type": "channel_archive", "channel": "CRELEASES0"})).await;
    let again = heard.wait_for(|all| all.iter().any(|it| it.1.contains_key("x-slack-retry-num")));
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("a second try").unwrap();
    slack.pardon("the bot answered 500");
}
