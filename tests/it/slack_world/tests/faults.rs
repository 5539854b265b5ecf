//! What is made to go wrong goes wrong in just that way.

use std::pin::pin;
use std::time::Duration;

use serde_json::json;

use super::{Plain, RELEASES, SlackWorld, objected};
use crate::slack_world::{Fault, Harm};

fn body(text: &str) -> serde_json::Value {
    json!({"channel": RELEASES, "text": text})
}

#[tokio::test]
async fn the_third_call_alone_is_harmed() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    slack.fault(Fault::on("chat.postMessage", Harm::Status(500)).nth(3).in_channel(RELEASES));
    bot.says(RELEASES, "one").await;
    bot.says("CCUSTOMERS", "elsewhere").await;
    bot.says(RELEASES, "two").await;
    assert_eq!(bot.post("chat.postMessage", &body("three")).await.unwrap().status(), 500);
    bot.says(RELEASES, "four").await;
    assert_eq!(slack.count("three"), 0);
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_reset_comes_before_or_after_the_deed() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    slack.fault(Fault::on("chat.postMessage", Harm::ResetBefore));
    slack.fault(Fault::on("chat.postMessage", Harm::ResetAfter));
    assert!(bot.post("chat.postMessage", &body("never")).await.is_err());
    assert_eq!(slack.count("never"), 0);
    assert!(bot.post("chat.postMessage", &body("once")).await.is_err());
    slack.exactly_once("once");
    let calls = slack.calls("chat.postMessage");
    assert_eq!(calls.iter().map(|call| call.acted).collect::<Vec<_>>(), [false, true]);
    slack.assert_clean().await;
}

#[tokio::test]
async fn an_answer_may_be_lost_late_or_held() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    slack.fault(Fault::on("chat.postMessage", Harm::AnswerLost));
    let lost = bot.http.post(format!("{}/chat.postMessage", bot.api)).bearer_auth(&bot.token);
    let mut lost = pin!(lost.json(&body("lost")).send());
    tokio::select! {
        answer = &mut lost => panic!("{answer:?}"),
        _ = slack.sees("releases", "lost") => {}
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), lost).await.is_err());
    slack.exactly_once("lost");
    slack.fault(Fault::on("chat.postMessage", Harm::AnswerLate(Duration::from_secs(60))));
    let said = body("late");
    let (late, ()) = tokio::join!(bot.post("chat.postMessage", &said), async {
        slack.sees("releases", "late").await;
        slack.clock().advance(Duration::from_secs(60));
    });
    assert_eq!(late.unwrap().status(), 200);
    slack.fault(Fault::on("chat.postMessage", Harm::Hold));
    let said = body("held");
    let (held, ()) = tokio::join!(bot.post("chat.postMessage", &said), async {
        slack.held(1).await;
        assert_eq!(slack.count("held"), 0);
        slack.release();
    });
    assert_eq!(held.unwrap().status(), 200);
    slack.exactly_once("held");
    slack.assert_clean().await;
}

#[tokio::test]
async fn coming_back_too_early_is_noticed() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    slack.fault(Fault::on("chat.update", Harm::TooMany(30)));
    let ts = bot.says(RELEASES, "one").await;
    let edit = json!({"channel": RELEASES, "ts": ts, "text": "two"});
    let refused = bot.post("chat.update", &edit).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    bot.post("chat.update", &edit).await.unwrap();
    objected(&slack, "before `Retry-After` had passed");
    slack.clock().advance(Duration::from_secs(30));
    assert_eq!(bot.call("chat.update", edit).await["ok"], true);
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_storm_is_the_same_for_the_same_seed() {
    async fn weathered(seed: u64) -> Vec<bool> {
        let slack = SlackWorld::start().await;
        let bot = Plain::of(&slack);
        slack.storm(seed, 40);
        let mut came = Vec::new();
        for _ in 0..30 {
            let answer = bot.post("team.info", &json!({})).await;
            came.push(answer.is_ok_and(|it| it.status() == 200));
            slack.clock().advance(Duration::from_secs(2));
        }
        came
    }
    let first = weathered(7).await;
    assert_eq!(first, weathered(7).await);
    assert!(first.contains(&true) && first.contains(&false));
    assert_ne!(first, weathered(8).await);
}
