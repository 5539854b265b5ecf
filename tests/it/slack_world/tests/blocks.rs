//! Block Kit and markup: what is refused, and where it says the mistake is.

use serde_json::{Value, json};

use super::{Plain, RELEASES, SlackWorld, button, card, objected};

async fn refused(blocks: Value) -> String {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let body = json!({"channel": RELEASES, "text": "fallback", "blocks": blocks});
    let answer = bot.call("chat.postMessage", body).await;
    assert_eq!(answer["ok"], false, "{answer}");
    slack.pardon("chat.postMessage");
    assert_eq!(slack.count("fallback"), 0);
    format!("{} {}", answer["error"], answer["response_metadata"]["messages"][0])
}

#[track_caller]
fn says(answer: &str, wanted: &str) {
    assert!(answer.contains(wanted), "{answer} does not say {wanted}");
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

#[tokio::test]
async fn blocks_beyond_the_limits_are_refused() {
    let many: Vec<Value> = (0..51).map(|_| section("x")).collect();
    says(&refused(json!(many)).await, "no more than 50 items allowed");
    let long = refused(json!([section(&"x".repeat(3001))])).await;
    says(&long, "less than 3001 long, is 3001 [json-pointer:/blocks/0/text/text]");
    let header = json!({"type": "header", "text": {"type": "plain_text", "text": "x".repeat(151)}});
    says(&refused(json!([header])).await, "/blocks/0/text/text");
    let buttons: Vec<Value> = (0..26).map(|it| button("x", &format!("a{it}"))).collect();
    says(&refused(card("x", &buttons)).await, "/blocks/1/elements");
    let all: Vec<Value> = (0..5).map(|_| section(&"x".repeat(2900))).collect();
    says(&refused(json!(all)).await, "msg_blocks_too_long");
}

#[tokio::test]
async fn an_emoji_counts_as_two() {
    let text = "🚀".repeat(1501);
    says(&refused(json!([section(&text)])).await, "less than 3001 long, is 3002");
}

#[tokio::test]
async fn blocks_of_the_wrong_shape_are_refused() {
    says(&refused(json!([{"type": "poem"}])).await, "unsupported type");
    says(&refused(json!([{"type": "section"}])).await, "a section needs");
    let odd = json!([{"type": "divider", "colour": "red"}]);
    says(&refused(odd).await, "invalid additional property: colour");
    let twins = card("x", &[button("GO", "go"), button("NO-GO", "go")]);
    says(&refused(twins).await, "already exists in this block");
    let mut markdown = button("GO", "go");
    markdown["text"]["type"] = json!("mrkdwn");
    says(&refused(card("x", &[markdown])).await, "/elements/0/text/type");
    let mut bold = button("GO", "go");
    bold["style"] = json!("warning");
    says(&refused(card("x", &[bold])).await, "must be one of");
}

#[tokio::test]
async fn a_message_is_not_empty_and_not_endless() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let post =
        |text: String| bot.error("chat.postMessage", json!({"channel": RELEASES, "text": text}));
    assert_eq!(post(String::new()).await, "no_text");
    slack.pardon("no_text");
    assert_eq!(post("x".repeat(4001)).await, "msg_too_long");
    objected(&slack, "msg_too_long");
}

#[tokio::test]
async fn blocks_without_a_text_beside_them_are_noticed() {
    let slack = SlackWorld::start().await;
    let body = json!({"channel": RELEASES, "blocks": [section("hello")]});
    assert_eq!(Plain::of(&slack).call("chat.postMessage", body).await["ok"], true);
    objected(&slack, "screen readers");
}

#[tokio::test]
async fn markup_names_only_who_is_there_and_escapes_the_rest() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let good = "<@UANN000000> &amp; <!subteam^SQALEADS00>: <#CRELEASES0> at \
                <!date^1765821600^{date_short} {time}|15 Dec, 18:00 UTC>, <https://x.example|x>";
    bot.says(RELEASES, good).await;
    slack.sees("releases", "@ann & @qa-leads: #releases at 15 Dec, 18:00 UTC, x").await;
    assert_eq!(slack.violations(), Vec::<String>::new());
    let bad = [
        ("p95 < 200 ms", "a `<` that is not escaped"),
        ("a <b> c", "a `<` that is not escaped"),
        ("R&D", "an `&` that is not escaped"),
        ("<@UNOBODY000>", "names no user"),
        ("<!date^soon^{time}|soon>", "a date that Slack does not know"),
        ("<!date^1765821600^{hour}|soon>", "a date that Slack does not know"),
    ];
    for (text, wanted) in bad {
        bot.says(RELEASES, text).await;
        objected(&slack, wanted);
    }
}

#[tokio::test]
async fn a_secret_in_a_text_is_noticed() {
    let slack = SlackWorld::start().await;
    let text = format!("the token is {}", slack.bot_token());
    Plain::of(&slack).says(RELEASES, &text).await;
    objected(&slack, "a secret is in what was sent");
}
