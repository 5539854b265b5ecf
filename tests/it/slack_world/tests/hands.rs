//! People press what they can see, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Plain, RELEASES, SlackWorld, button, card, connect, objected, obliging};

async fn on_stage() -> (SlackWorld, Plain, tokio::sync::mpsc::UnboundedReceiver<Value>) {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let frames = obliging(connect(&slack).await, Value::Null);
    (slack, bot, frames)
}

async fn payload(frames: &mut tokio::sync::mpsc::UnboundedReceiver<Value>) -> Value {
    let frame = tokio::time::timeout(Duration::from_secs(20), frames.recv()).await;
    frame.expect("a frame in time").expect("the connection lives")["payload"].clone()
}

fn ask(text: &str, buttons: &[Value]) -> Value {
    json!({"channel": RELEASES, "text": text, "blocks": card(text, buttons)})
}

#[tokio::test]
async fn a_button_is_found_by_its_label_on_the_message_as_it_stands() {
    let (slack, bot, mut frames) = on_stage().await;
    let mut roll = button("Roll back", "rollback");
    roll["confirm"] = json!({
        "title": {"type": "plain_text", "text": "Sure?"},
        "text": {"type": "plain_text", "text": "From v1.2.0 to v1.1.9"},
        "confirm": {"type": "plain_text", "text": "Roll back"},
        "deny": {"type": "plain_text", "text": "Keep"},
    });
    let posted = bot.call("chat.postMessage", ask("Go?", &[button("GO", "go"), roll])).await;
    let post = slack.sees("releases", "[ GO ]").await;
    let ann = slack.person("ann");
    let pressed = ann.presses(&post, "Roll back").await;
    assert_eq!(pressed.confirmed.as_deref(), Some("From v1.2.0 to v1.1.9"));
    let click = payload(&mut frames).await;
    assert_eq!(click["actions"][0]["value"], "rollback v1.2.0");
    assert_eq!(click["message"]["ts"], posted["ts"]);
    assert_eq!(click["user"]["id"], ann.id);

    let mut edit = ask("Gone.", &[button("Hold", "hold")]);
    edit["ts"] = posted["ts"].clone();
    bot.call("chat.update", edit).await;
    slack.sees_edit(&post, "Gone.").await;
    pressed.answered().await;
    ann.presses_old(&post, 0, "GO").await;
    assert_eq!(payload(&mut frames).await["actions"][0]["value"], "go v1.2.0");
    let there = tokio::spawn({
        let (ann, post) = (ann.clone(), post.clone());
        async move { ann.presses(&post, "GO").await }
    });
    assert!(there.await.is_err_and(|it| it.is_panic()), "GO is no longer there");
    bot.says(RELEASES, "an answer").await;
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_response_url_works_five_times_for_half_an_hour() {
    let (slack, bot, mut frames) = on_stage().await;
    let ann = slack.person("ann");
    let typed = ann.types("/release status", "releases").await;
    let url = payload(&mut frames).await["response_url"].as_str().unwrap().to_owned();
    let say = |text: String| bot.http.post(&url).json(&json!({"text": text})).send();
    for number in 0..5 {
        assert_eq!(say(format!("answer {number}")).await.unwrap().status(), 200);
    }
    typed.answered().await;
    let whisper = ann.sees_ephemeral("answer 3").await;
    assert_eq!(slack.whisper_text(&whisper), "answer 3");
    assert_eq!(say("six".to_owned()).await.unwrap().status(), 404);
    objected(&slack, "used more than 5 times");
    ann.types("/release status", "releases").await;
    let url = payload(&mut frames).await["response_url"].as_str().unwrap().to_owned();
    bot.http.post(&url).json(&json!({"text": "soon"})).send().await.unwrap();
    slack.clock().advance(Duration::from_secs(30 * 60));
    let late = bot.http.post(&url).json(&json!({"text": "late"})).send().await.unwrap();
    assert_eq!(late.status(), 404);
    slack.assert_clean().await;
}

fn new_release() -> Value {
    let text = |text: &str| json!({"type": "plain_text", "text": text});
    let option = |label: &str| json!({"text": text(label), "value": label.to_lowercase()});
    let plans = json!({
        "type": "static_select", "action_id": "p", "initial_option": option("Canary"),
        "options": [option("Rolling"), option("Canary")],
    });
    let fields = [
        ("Version", "v", json!({"type": "plain_text_input", "action_id": "v"})),
        ("Day", "d", json!({"type": "datepicker", "action_id": "d"})),
        ("Plan", "p", plans),
        ("Captain", "c", json!({"type": "users_select", "action_id": "c"})),
    ];
    let blocks: Vec<Value> = fields
        .into_iter()
        .map(|(label, id, element)| {
            json!({"type": "input", "block_id": id, "label": text(label), "element": element})
        })
        .collect();
    json!({
        "type": "modal", "callback_id": "new", "title": text("New release"),
        "submit": text("Open"), "private_metadata": "kept", "blocks": blocks,
    })
}

#[tokio::test]
async fn a_form_is_filled_in_by_its_labels() {
    let (slack, bot, mut frames) = on_stage().await;
    let ann = slack.person("ann");
    ann.types("/release new", "releases").await;
    let trigger = payload(&mut frames).await["trigger_id"].clone();
    let view = new_release();
    bot.call("views.open", json!({"trigger_id": trigger, "view": view})).await;
    let sheet = ann.sees_view("New release").await;
    let short = tokio::spawn({
        let (ann, sheet) = (ann.clone(), sheet.clone());
        async move { ann.submits(&sheet, &[("Version", "v1.2.0")]).await }
    });
    assert!(short.await.is_err_and(|it| it.is_panic()), "Slack keeps a form with a gap");
    let fields = [("Version", "v1.2.0"), ("Day", "2026-12-15"), ("Captain", "maria")];
    ann.submits(&sheet, &fields).await;
    let sent = payload(&mut frames).await;
    let values = &sent["view"]["state"]["values"];
    assert_eq!(values["v"]["v"]["value"], "v1.2.0");
    assert_eq!(values["d"]["d"]["selected_date"], "2026-12-15");
    assert_eq!(values["p"]["p"]["selected_option"]["value"], "canary");
    assert_eq!(values["c"]["c"]["selected_user"], "UMARIA0000");
    assert_eq!(sent["view"]["private_metadata"], "kept");
    assert!(!slack.is_open(&sheet));
    slack.assert_clean().await;
}

#[tokio::test]
async fn the_home_tab_is_published_when_it_is_opened() {
    let (slack, bot, mut frames) = on_stage().await;
    let ann = slack.person("ann");
    let opened = ann.opens_home().await;
    let event = payload(&mut frames).await["event"].clone();
    assert_eq!((&event["type"], &event["user"]), (&json!("app_home_opened"), &json!(ann.id)));
    let view =
        json!({"type": "home", "blocks": card("Nothing waits for you.", &[button("New", "new")])});
    bot.call("views.publish", json!({"user_id": ann.id, "view": view})).await;
    let home = ann.sees_home("Nothing waits").await;
    opened.answered().await;
    ann.presses_in_sheet(&home, "New").await;
    assert_eq!(payload(&mut frames).await["view"]["type"], "home");
    let body = json!({"channel": RELEASES, "user": ann.id, "text": "Type `/release new`."});
    bot.call("chat.postEphemeral", body).await;
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_submission_is_answered_in_its_acknowledgement() {
    let slack = SlackWorld::start().await;
    let bot = Plain::of(&slack);
    let mut socket = connect(&slack).await;
    let ann = slack.person("ann");
    let submits = |fields: &'static [(&str, &str)]| {
        let (ann, slack) = (ann.clone(), &slack);
        async move {
            let sheet = ann.sees_view("New release").await;
            ann.submits(&sheet, fields).await;
            slack.errors_of(&sheet)
        }
    };
    let open = async {
        let frame = super::heard(&mut socket).await;
        let said = json!({"envelope_id": frame["envelope_id"]});
        super::say(&mut socket, &said).await;
        let trigger = frame["payload"]["trigger_id"].clone();
        bot.call("views.open", json!({"trigger_id": trigger, "view": new_release()})).await
    };
    let (_, opened) = tokio::join!(ann.types("/release new", "releases"), open);
    let answer = async |socket: &mut super::Socket, payload: Value| {
        let frame = super::heard(socket).await;
        assert_eq!(frame["accepts_response_payload"], true);
        let said = json!({"envelope_id": frame["envelope_id"], "payload": payload});
        super::say(socket, &said).await;
    };
    let fields = &[("Version", "one"), ("Day", "2026-12-15"), ("Captain", "ann")];
    let errors = json!({"response_action": "errors", "errors": {"v": "Not a version"}});
    let (seen, ()) = tokio::join!(submits(fields), answer(&mut socket, errors));
    assert_eq!(seen, ["Not a version"]);
    let errors = json!({"response_action": "errors", "errors": {"nobody": "Not a field"}});
    tokio::join!(submits(fields), answer(&mut socket, errors));
    slack.pardon("errors for fields that are not there");
    let mut bad = new_release();
    bad["title"]["text"] = json!("A title of more than 24 characters");
    let update = json!({"response_action": "update", "view": bad});
    tokio::join!(submits(fields), answer(&mut socket, update));
    slack.pardon("/title/text");
    let update = json!({"response_action": "update", "view": new_release()});
    tokio::join!(submits(fields), answer(&mut socket, update));
    let stale = json!({"view_id": opened["view"]["id"], "hash": opened["view"]["hash"],
        "view": new_release()});
    assert_eq!(bot.error("views.update", stale).await, "hash_conflict");
    let clear = json!({"response_action": "clear"});
    tokio::join!(submits(fields), answer(&mut socket, clear));
    let late = json!({"view_id": opened["view"]["id"], "view": new_release()});
    assert_eq!(bot.error("views.update", late).await, "not_found");
    slack.assert_clean().await;
}

#[tokio::test]
async fn a_button_in_an_attachment_is_a_button() {
    let (slack, bot, mut frames) = on_stage().await;
    let below =
        json!([{"color": "#2eb67d", "blocks": card("Ready.", &[button("Start", "start")])}]);
    let body = json!({"channel": RELEASES, "text": "Ready.", "attachments": below});
    bot.call("chat.postMessage", body).await;
    let post = slack.sees("releases", "[ Start ]").await;
    slack.person("ann").presses(&post, "Start").await;
    let click = payload(&mut frames).await;
    assert_eq!(click["container"]["type"], "message_attachment");
    assert_eq!(click["actions"][0]["block_id"], "do");
    bot.says(RELEASES, "Started.").await;
    slack.assert_clean().await;
}
