//! Channels, messages, pins, bookmarks and files, with Slack's refusals.

use std::time::Duration;

use serde_json::json;

use super::{Plain, RELEASES, Setup, SlackWorld, button, card, objected};

#[tokio::test]
async fn names_of_channels_are_checked() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let long = "x".repeat(81);
    let bad = [
        ("", "invalid_name_required"),
        (long.as_str(), "invalid_name_maxlength"),
        ("Release", "invalid_name_specials"),
        ("release v1", "invalid_name_specials"),
        ("release-v1.2", "invalid_name_specials"),
        ("--", "invalid_name_punctuation"),
    ];
    for (name, error) in bad {
        assert_eq!(bot.error("conversations.create", json!({"name": name})).await, error);
        objected(&slack, error);
    }
    let made = bot.call("conversations.create", json!({"name": "release-v1-2-0"})).await;
    assert_eq!(made["channel"]["is_member"], true);
    let again = bot.error("conversations.create", json!({"name": "release-v1-2-0"})).await;
    assert_eq!(again, "name_taken");
    slack.set(|setup| setup.creation_forbidden = true);
    assert_eq!(
        bot.error("conversations.create", json!({"name": "another"})).await,
        "restricted_action"
    );
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_room_is_furnished_and_closed() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let made = bot.call("conversations.create", json!({"name": "war-room"})).await;
    let id = made["channel"]["id"].as_str().unwrap();
    let topic = json!({"channel": id, "topic": "x".repeat(251)});
    assert_eq!(bot.error("conversations.setTopic", topic).await, "too_long");
    slack.pardon("too_long");
    bot.call("conversations.setTopic", json!({"channel": id, "topic": "T-1h"})).await;
    let invite = |users: &str| json!({"channel": id, "users": users});
    let some = bot.call("conversations.invite", invite("UANN000000,UQUINN0000")).await;
    assert_eq!(some["ok"], true);
    let twice = bot.call("conversations.invite", invite("UANN000000,UMARIA0000")).await;
    assert_eq!(twice["error"], "already_in_channel");
    assert_eq!(twice["errors"][0]["user"], "UANN000000");
    assert!(!slack.channel("war-room").has("UMARIA0000"), "one who cannot come stops them all");
    assert_eq!(bot.error("conversations.invite", invite("UNOBODY000")).await, "user_not_found");
    let own = bot.error("conversations.invite", invite(super::super::BOT_USER)).await;
    assert_eq!(own, "cant_invite_self");
    slack.pardon("cant_invite_self");
    let ts = bot.says(id, "The card.").await;
    let pin = json!({"channel": id, "timestamp": ts});
    assert_eq!(bot.call("pins.add", pin.clone()).await["ok"], true);
    assert_eq!(bot.error("pins.add", pin).await, "already_pinned");
    let mark =
        |link: &str| json!({"channel_id": id, "type": "link", "title": "Plan", "link": link});
    assert_eq!(bot.error("bookmarks.add", mark("plan")).await, "invalid_link");
    slack.pardon("invalid_link");
    bot.call("bookmarks.add", mark("https://example.org/plan")).await;
    let marks = bot.call("bookmarks.list", json!({"channel_id": id})).await;
    assert_eq!(marks["bookmarks"][0]["title"], "Plan");
    assert_eq!(bot.call("conversations.archive", json!({"channel": id})).await["ok"], true);
    assert_eq!(
        bot.error("conversations.archive", json!({"channel": id})).await,
        "already_archived"
    );
    let late = json!({"channel": id, "text": "too late"});
    assert_eq!(bot.error("chat.postMessage", late).await, "is_archived");
    slack.assert_clean().await;
}

#[tokio::test]
async fn the_bot_speaks_only_where_it_is() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let to = |channel: &str| json!({"channel": channel, "text": "hello"});
    assert_eq!(bot.error("chat.postMessage", to("CGENERAL00")).await, "not_in_channel");
    assert_eq!(bot.error("chat.postMessage", to("CSECRET000")).await, "channel_not_found");
    let other = bot.error("conversations.archive", json!({"channel": RELEASES})).await;
    assert_eq!(other, "restricted_action");
    slack.pardon("somebody else's");
    let whisper = json!({"channel": RELEASES, "user": "USTRANGER0", "text": "psst"});
    assert_eq!(bot.error("chat.postEphemeral", whisper).await, "user_not_in_channel");
    slack.assert_clean().await;
}

#[tokio::test]
async fn messages_are_edited_within_bounds() {
    let minute = Duration::from_secs(60);
    let setup = Setup::default().windows(|windows| windows.edit = Some(minute));
    let slack = SlackWorld::with(setup).await;
    let bot = Plain::of(&slack);
    let ts = bot.says(RELEASES, "one").await;
    let edit = |ts: &str| json!({"channel": RELEASES, "ts": ts, "text": "two"});
    assert_eq!(bot.call("chat.update", edit(&ts)).await["ok"], true);
    assert_eq!(bot.error("chat.update", edit("1.000001")).await, "message_not_found");
    let hers = slack.person("ann").says("releases", "mine", None).await;
    assert_eq!(bot.error("chat.update", edit(&hers.ts)).await, "cant_update_message");
    slack.pardon("cant_update_message");
    slack.clock().advance(minute);
    assert_eq!(bot.error("chat.update", edit(&ts)).await, "edit_window_closed");
    assert_eq!(slack.transcript("releases"), "tminus (edited): two\nann: mine");
    slack.assert_clean().await;
}

#[tokio::test]
async fn metadata_is_kept_and_given_back_only_when_asked_for() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let metadata = json!({"event_type": "tminus_task", "event_payload": {"key": "r1/t-48h"}});
    let body = json!({"channel": RELEASES, "text": "hello", "metadata": metadata});
    bot.call("chat.postMessage", body).await;
    let plain = bot.ask("conversations.history", &[("channel", RELEASES)]).await;
    assert!(plain["messages"][0].get("metadata").is_none());
    let fields = [("channel", RELEASES), ("include_all_metadata", "true"), ("limit", "1")];
    let asked = bot.ask("conversations.history", &fields).await;
    assert_eq!(asked["messages"][0]["metadata"], metadata);
    let bad = json!({"channel": RELEASES, "text": "x", "metadata": {"event_type": "a b"}});
    assert_eq!(bot.error("chat.postMessage", bad).await, "invalid_metadata_format");
    objected(&slack, "invalid_metadata_format");
}

#[tokio::test]
async fn history_and_threads_come_in_pages() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let root = bot.says(RELEASES, "first").await;
    bot.says(RELEASES, "second").await;
    let reply = json!({"channel": RELEASES, "text": "below", "thread_ts": root});
    bot.call("chat.postMessage", reply).await;
    let page = bot.ask("conversations.history", &[("channel", RELEASES), ("limit", "1")]).await;
    assert_eq!((&page["messages"][0]["text"], &page["has_more"]), (&json!("second"), &json!(true)));
    let next = page["response_metadata"]["next_cursor"].as_str().unwrap();
    let fields = [("channel", RELEASES), ("limit", "1"), ("cursor", next)];
    assert_eq!(bot.ask("conversations.history", &fields).await["messages"][0]["text"], "first");
    let thread = bot.ask("conversations.replies", &[("channel", RELEASES), ("ts", &root)]).await;
    assert_eq!(thread["messages"][1]["text"], "below");
    assert_eq!(slack.transcript("releases"), "tminus: first\n    tminus: below\ntminus: second");
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_file_comes_in_three_steps() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let fields = [("filename", "report.md"), ("length", "5")];
    let place = bot.ask("files.getUploadURLExternal", &fields).await;
    let files = json!([{"id": place["file_id"], "title": "The report"}]);
    let done = json!({"files": files, "channel_id": RELEASES});
    assert_eq!(bot.error("files.completeUploadExternal", done.clone()).await, "file_not_found");
    slack.pardon("never uploaded");
    let url = place["upload_url"].as_str().unwrap();
    let sent = bot.http.post(url).body("hello").send().await.unwrap();
    assert_eq!(sent.status(), 200);
    assert_eq!(bot.call("files.completeUploadExternal", done).await["ok"], true);
    assert!(slack.transcript("releases").contains("(The report)"));
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_modal_opens_once_and_soon() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let mut frames = super::obliging(super::connect(&slack).await, json!({"text": "ok"}));
    let ann = slack.person("ann");
    let view = json!({
        "type": "modal", "title": {"type": "plain_text", "text": "NO-GO"},
        "blocks": card("Why?", &[button("Later", "later")]),
    });
    ann.types("/release no-go", "releases").await;
    let trigger = frames.recv().await.unwrap()["payload"]["trigger_id"].clone();
    let open = json!({"trigger_id": trigger, "view": view});
    assert_eq!(bot.call("views.open", open.clone()).await["ok"], true);
    ann.sees_view("NO-GO").await;
    assert_eq!(bot.error("views.open", open).await, "exchanged_trigger_id");
    slack.pardon("exchanged_trigger_id");
    ann.types("/release no-go", "releases").await;
    let trigger = frames.recv().await.unwrap()["payload"]["trigger_id"].clone();
    slack.clock().advance(Duration::from_secs(4));
    let late = json!({"trigger_id": trigger, "view": view});
    assert_eq!(bot.error("views.open", late).await, "expired_trigger_id");
    objected(&slack, "expired_trigger_id");
}

/// Refusals that need no story: the call, the error, and whether the bot is to blame.
#[tokio::test]
async fn the_rest_is_refused_as_documented() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let ts = bot.says(RELEASES, "hello").await;
    slack.change(|workspace| workspace.channel_mut("customers").read_only = true);
    let pin = json!({"channel": RELEASES, "timestamp": ts});
    let react = |name: &str| json!({"channel": RELEASES, "timestamp": ts, "name": name});
    let lost = json!({"channel": RELEASES, "ts": "1.000001"});
    let invite = |user: &str| json!({"channel": RELEASES, "users": user});
    let at = |ts: &str| json!({"channel": RELEASES, "timestamp": ts});
    let post = |more: serde_json::Value| {
        let mut body = json!({"channel": RELEASES, "text": "x"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let blamed = true;
    let cases = [
        ("pins.remove", pin, "no_pin", !blamed),
        ("pins.add", at("yesterday"), "bad_timestamp", blamed),
        ("pins.add", at("1.000001"), "message_not_found", !blamed),
        ("reactions.add", react(":rocket:x "), "invalid_name", blamed),
        ("chat.delete", lost, "message_not_found", !blamed),
        ("conversations.invite", invite("ULEAVER000"), "user_not_found", !blamed),
        ("conversations.invite", invite("USTRANGER0"), "cant_invite", !blamed),
        ("conversations.invite", invite("UURSULA000"), "ura_max_channels", !blamed),
        (
            "conversations.rename",
            json!({"channel": RELEASES, "name": "x"}),
            "not_authorized",
            blamed,
        ),
        ("conversations.open", json!({"users": "ULEAVER000"}), "user_disabled", !blamed),
        ("conversations.join", json!({"channel": "CSECRET000"}), "channel_not_found", !blamed),
        (
            "chat.postMessage",
            post(json!({"thread_ts": "1.000001"})),
            "cannot_reply_to_message",
            blamed,
        ),
        ("chat.postMessage", post(json!({"reply_broadcast": true})), "invalid_arguments", blamed),
        ("chat.postMessage", post(json!({"markdown_text": "y"})), "markdown_text_conflict", blamed),
        (
            "chat.postMessage",
            post(json!({"attachments": [{"x": 1}]})),
            "invalid_attachments",
            blamed,
        ),
        (
            "chat.postMessage",
            post(json!({"channel": "CCUSTOMERS"})),
            "restricted_action_read_only_channel",
            !blamed,
        ),
        (
            "views.open",
            json!({"trigger_id": "1.2.3", "view": {"type": "home", "blocks": []}}),
            "invalid_arguments",
            blamed,
        ),
        (
            "views.publish",
            json!({"user_id": "UNOBODY000", "view": {"type": "home", "blocks": []}}),
            "invalid_arguments",
            blamed,
        ),
    ];
    for (method, body, error, blamed) in cases {
        assert_eq!(bot.error(method, body.clone()).await, error, "{method} {body}");
        if blamed {
            slack.pardon(method);
        }
        assert_eq!(slack.violations(), Vec::<String>::new(), "{method} {body}");
    }
    slack.assert_clean().await;
}
