//! Who may call what, and how.

use std::time::Duration;

use serde_json::json;

use super::{Plain, RELEASES, Setup, SlackWorld, objected};

#[tokio::test]
async fn tokens_are_checked() {
    let slack = SlackWorld::start().await;
    let with = |token: &str| Plain { token: token.to_owned(), ..Plain::of(&slack) };
    assert_eq!(with("xoxb-other").error("auth.test", json!({})).await, "invalid_auth");
    let app = with(&slack.app_token());
    assert_eq!(app.error("auth.test", json!({})).await, "not_allowed_token_type");
    slack.pardon("not_allowed_token_type");
    slack.revoke_bot_token();
    assert_eq!(Plain::of(&slack).error("auth.test", json!({})).await, "token_revoked");
    slack.assert_clean().await;
}

#[tokio::test]
async fn scopes_are_checked_and_named() {
    let slack = SlackWorld::with(Setup::default().without_scope("pins:write")).await;
    let bot = Plain::of(&slack);
    let ts = bot.says(RELEASES, "hello").await;
    let answer = bot.call("pins.add", json!({"channel": RELEASES, "timestamp": ts})).await;
    assert_eq!(
        (&answer["error"], &answer["needed"]),
        (&json!("missing_scope"), &json!("pins:write"))
    );
    assert!(answer["provided"].as_str().unwrap().contains("chat:write"));
    let response = bot.post("auth.test", &json!({})).await.unwrap();
    assert!(response.headers()["x-oauth-scopes"].to_str().unwrap().contains("chat:write"));
    objected(&slack, "missing_scope");
}

#[tokio::test]
async fn unknown_methods_and_arguments_are_refused() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    assert_eq!(bot.error("chat.postPoem", json!({})).await, "unknown_method");
    slack.pardon("unknown_method");
    let odd = json!({"channel": RELEASES, "text": "x", "client_msg_id": "1"});
    assert_eq!(bot.error("chat.postMessage", odd).await, "invalid_arg_name");
    slack.pardon("client_msg_id");
    assert_eq!(bot.error("chat.postMessage", json!({"text": "x"})).await, "invalid_arguments");
    slack.pardon("`channel` is missing");
    let number = json!({"channel": 7, "text": "x"});
    assert_eq!(bot.error("chat.postMessage", number).await, "invalid_arguments");
    slack.pardon("`channel` should be string");
    let json_read = bot.error("conversations.info", json!({"channel": RELEASES})).await;
    assert_eq!(json_read, "invalid_arguments");
    slack.pardon("reads no JSON body");
    let name = json!({"channel": "#releases", "text": "x"});
    assert_eq!(bot.error("chat.postMessage", name).await, "channel_not_found");
    objected(&slack, "ids last");
}

#[tokio::test]
async fn listing_the_workspace_is_noticed() {
    let slack = SlackWorld::start().await;
    assert_eq!(Plain::of(&slack).ask("conversations.list", &[]).await["ok"], true);
    objected(&slack, "conversations.list");
}

#[tokio::test]
async fn a_message_a_second_per_channel_after_a_short_burst() {
    let slack = SlackWorld::with(Setup::default().rate_limits()).await;
    let bot = Plain::of(&slack);
    for number in 0..3 {
        bot.says(RELEASES, &format!("number {number}")).await;
    }
    let late = json!({"channel": RELEASES, "text": "one too many"});
    let response = bot.post("chat.postMessage", &late).await.unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    // Another channel has its own count.
    bot.says("CCUSTOMERS", "hello").await;
    assert_eq!(slack.violations(), Vec::<String>::new());
    bot.post("chat.postMessage", &late).await.unwrap();
    objected(&slack, "before `Retry-After` had passed");
    slack.clock().advance(Duration::from_secs(wait));
    bot.says(RELEASES, "patience").await;
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_method_has_its_tier() {
    let slack = SlackWorld::with(Setup::default().rate_limits()).await;
    let bot = Plain::of(&slack);
    for _ in 0..20 {
        bot.ask("usergroups.list", &[]).await;
    }
    assert_eq!(bot.ask("usergroups.list", &[]).await["error"], "ratelimited");
    slack.clock().advance(Duration::from_secs(60));
    assert_eq!(bot.ask("usergroups.list", &[]).await["ok"], true);
    slack.assert_clean().await;
}

#[tokio::test]
async fn people_and_groups_are_as_slack_shows_them() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let guest = bot.ask("users.info", &[("user", "UGUS000000")]).await;
    assert_eq!(guest["user"]["is_restricted"], true);
    let stranger = bot.ask("users.info", &[("user", "USTRANGER0")]).await;
    assert_eq!(stranger["user"]["is_stranger"], true);
    assert_eq!(stranger["user"]["team_id"], super::super::OTHER_TEAM);
    let found = bot.ask("users.lookupByEmail", &[("email", "ann@example.org")]).await;
    assert_eq!(found["user"]["id"], "UANN000000");
    let outside = bot.ask("users.lookupByEmail", &[("email", "stranger@example.org")]).await;
    assert_eq!(outside["error"], "users_not_found");
    let group = bot.ask("usergroups.users.list", &[("usergroup", "SQALEADS00")]).await;
    assert_eq!(group["users"], json!(["UQUINN0000"]));
    slack.change(|workspace| workspace.group("qa-leads").disabled = true);
    let gone = bot.ask("usergroups.users.list", &[("usergroup", "SQALEADS00")]).await;
    assert_eq!(gone["error"], "no_such_subteam");
    slack.assert_clean().await;
}
