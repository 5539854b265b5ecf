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
