//! The client of the product: slack-morphism, unchanged, with the connector that the bot gives it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use slack_morphism::clients_manager::SlackSocketModeClientsManagerFactory as _;
use slack_morphism::prelude::*;

use super::{RELEASES, SlackWorld};

type Connector = SlackClientHyperConnector<hyper_rustls::HttpsConnector<HttpConnector>>;

fn client(slack: &SlackWorld) -> SlackClient<Connector> {
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()
        .expect("this machine knows whom to trust")
        .https_or_http()
        .enable_all_versions()
        .build();
    let connector = SlackClientHyperConnector::with_connector(connector);
    SlackClient::new(connector.with_slack_api_url(&slack.api_url()))
}

fn token(value: String) -> SlackApiToken {
    SlackApiToken::new(SlackApiTokenValue(value))
}

/// Writes down each raw frame before it acknowledges it.
#[derive(Default)]
struct Scribe(Mutex<Vec<Value>>);

#[async_trait]
impl SlackSocketModeClientListener for Scribe {
    async fn on_message(&self, _: &SlackSocketModeWssClientId, frame: String) -> Option<String> {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let answer = frame["envelope_id"].is_string().then(|| {
            let said = json!({"text": "Nothing is waiting."});
            json!({"envelope_id": frame["envelope_id"], "payload": said}).to_string()
        });
        self.0.lock().unwrap().push(frame);
        answer
    }

    async fn on_error(&self, _: Box<dyn std::error::Error + Send + Sync>) {}

    async fn on_disconnect(&self, _: &SlackSocketModeWssClientId) {}
}

#[tokio::test]
async fn the_real_client_posts_edits_and_reads_back() {
    let slack = SlackWorld::start().await;
    let client = client(&slack);
    let token = token(slack.bot_token());
    let session = client.open_session(&token);

    let content = SlackMessageContent::new().with_text("Web shop goes out.".to_owned());
    let request = SlackApiChatPostMessageRequest::new(RELEASES.into(), content);
    let posted = session.chat_post_message(&request).await.unwrap();

    let content = SlackMessageContent::new().with_text("Web shop is out.".to_owned());
    let request = SlackApiChatUpdateRequest::new(RELEASES.into(), content, posted.ts.clone());
    session.chat_update(&request).await.unwrap();

    let request = SlackApiConversationsHistoryRequest::new().with_channel(RELEASES.into());
    let history = session.conversations_history(&request).await.unwrap();
    assert_eq!(history.messages.len(), 1);
    assert_eq!(history.messages[0].origin.ts, posted.ts);
    let user = SlackApiUsersInfoRequest::new("UANN000000".into());
    assert_eq!(session.users_info(&user).await.unwrap().user.name.as_deref(), Some("ann"));
    let who = session.auth_test().await.unwrap();
    assert_eq!(who.team_id.to_string(), super::super::TEAM);

    slack.exactly_once("Web shop is out.");
    slack.assert_clean().await;
}

#[tokio::test]
async fn the_real_client_hears_a_command_and_acknowledges_it() {
    let slack = SlackWorld::start().await;
    let client = Arc::new(client(&slack));
    let scribe = Arc::new(Scribe::default());
    let environment = Arc::new(SlackClientEventsListenerEnvironment::new(Arc::clone(&client)));
    let manager = client.http_api.connector.new_clients_manager(environment);
    let config = SlackClientSocketModeConfig::new().with_max_connections_count(1);
    let listener: Arc<dyn SlackSocketModeClientListener + Send + Sync> = scribe.clone();
    manager.register_new_token(&config, token(slack.app_token()), listener).await.unwrap();
    manager.start().await;

    let ann = slack.person("ann");
    let typed = ann.types("/release status v1.2.0", "releases").await;
    ann.sees_ephemeral("Nothing is waiting.").await;

    assert!(typed.acknowledged_in().is_some());
    let frame = scribe.0.lock().unwrap().last().cloned().unwrap();
    assert_eq!(frame["type"], "slash_commands");
    let command: SlackCommandEvent = serde_json::from_value(frame["payload"].clone()).unwrap();
    assert_eq!(command.text.as_deref(), Some("status v1.2.0"));
    slack.assert_clean().await;
    manager.shutdown().await;
}

/// Every payload that people's hands make, read by the models of the real client.
#[tokio::test]
async fn the_real_client_understands_every_payload() {
    let slack = SlackWorld::start().await;
    let bot = super::Plain::of(&slack);
    let mut frames = super::obliging(super::connect(&slack).await, Value::Null);
    let ann = slack.person("ann");

    let blocks = super::card("Go?", &[super::button("GO", "go")]);
    bot.call("chat.postMessage", json!({"channel": RELEASES, "text": "Go?", "blocks": blocks}))
        .await;
    let post = slack.sees("releases", "Go?").await;
    ann.presses(&post, "GO").await;
    let click = frames.recv().await.unwrap()["payload"].clone();
    let text = |text: &str| json!({"type": "plain_text", "text": text});
    let reason = json!({"type": "plain_text_input", "action_id": "r"});
    let view = json!({
        "type": "modal", "title": text("NO-GO"), "submit": text("Vote"), "callback_id": "no-go",
        "notify_on_close": true,
        "blocks": [{"type": "input", "block_id": "r", "label": text("Why"), "element": reason}],
    });
    bot.call("views.open", json!({"trigger_id": click["trigger_id"], "view": view})).await;
    let sheet = ann.sees_view("NO-GO").await;
    ann.submits(&sheet, &[("Why", "too risky")]).await;
    let submission = frames.recv().await.unwrap()["payload"].clone();
    ann.closes(&sheet).await;
    let closing = frames.recv().await.unwrap()["payload"].clone();
    for payload in [click, submission, closing] {
        serde_json::from_value::<SlackInteractionEvent>(payload.clone())
            .unwrap_or_else(|why| panic!("{why}: {payload}"));
    }
    ann.opens_home().await;
    let home = frames.recv().await.unwrap()["payload"].clone();
    let home: SlackPushEventCallback = serde_json::from_value(home).unwrap();
    assert!(matches!(home.event, SlackEventCallbackBody::AppHomeOpened(_)));
    ann.says("releases", "hello", Some("message")).await;
    let said = frames.recv().await.unwrap()["payload"].clone();
    serde_json::from_value::<SlackPushEventCallback>(said).unwrap();
    bot.says(RELEASES, "an answer").await;
    let view =
        json!({"type": "home", "blocks": super::card("Home", &[super::button("New", "new")])});
    bot.call("views.publish", json!({"user_id": ann.id, "view": view})).await;
    slack.assert_clean().await;
}

#[tokio::test]
async fn the_real_client_understands_rooms_and_groups() {
    let slack = SlackWorld::start().await;
    let client = client(&slack);
    let token = token(slack.bot_token());
    let session = client.open_session(&token);
    let request = SlackApiConversationsCreateRequest::new("war-room".to_owned());
    let room = session.conversations_create(&request).await.unwrap().channel.id;
    // Its own model sends a list where Slack documents names with commas.
    let people = vec!["UANN000000".into()];
    let request = SlackApiConversationsInviteRequest::new(room.clone(), people);
    assert!(session.conversations_invite(&request).await.is_err());
    slack.pardon("`users` should be string");
    let people = json!({"channel": room, "users": "UANN000000"});
    let invite = session.http_session_api.http_post("conversations.invite", &people, None);
    let _: Value = invite.await.unwrap();
    let request = SlackApiConversationsInfoRequest::new(room.clone());
    assert_eq!(session.conversations_info(&request).await.unwrap().channel.id, room);
    let request = SlackApiConversationsMembersRequest::new().with_channel(room.clone());
    assert_eq!(session.conversations_members(&request).await.unwrap().members.len(), 2);
    let request = SlackApiUserGroupsListRequest::new();
    assert_eq!(session.usergroups_list(&request).await.unwrap().usergroups.len(), 2);
    let request = SlackApiUserGroupsUsersListRequest::new("SQALEADS00".into());
    assert_eq!(session.usergroups_users_list(&request).await.unwrap().users.len(), 1);
    let request = SlackApiFilesGetUploadUrlExternalRequest::new("report.md".into(), 5);
    session.get_upload_url_external(&request).await.unwrap();
    let mark =
        json!({"channel_id": room, "type": "link", "title": "x", "link": "https://x.example"});
    let marked: Value =
        session.http_session_api.http_post("bookmarks.add", &mark, None).await.unwrap();
    assert_eq!(marked["bookmark"]["title"], "x");
    slack.assert_clean().await;
}
