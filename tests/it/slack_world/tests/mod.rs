//! The stand-in refuses what Slack refuses, and the real client finds nothing odd about it.

mod blocks;
mod calls;
mod faults;
mod hands;
mod http;
mod rooms;
mod sdk;
mod socket;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{Setup, SlackWorld};

/// A client that says just what it is told to say.
struct Plain {
    http: reqwest::Client,
    api: String,
    token: String,
}

impl Plain {
    fn of(slack: &SlackWorld) -> Self {
        Self { http: reqwest::Client::new(), api: slack.api_url(), token: slack.bot_token() }
    }

    async fn post(&self, method: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        let request = self.http.post(format!("{}/{method}", self.api)).bearer_auth(&self.token);
        request.json(body).send().await
    }

    /// As JSON, for the methods that write.
    async fn call(&self, method: &str, body: Value) -> Value {
        self.post(method, &body).await.unwrap().json().await.unwrap()
    }

    /// As a form, for the methods that read.
    async fn ask(&self, method: &str, fields: &[(&str, &str)]) -> Value {
        let request = self.http.post(format!("{}/{method}", self.api)).bearer_auth(&self.token);
        request.form(fields).send().await.unwrap().json().await.unwrap()
    }

    async fn error(&self, method: &str, body: Value) -> String {
        let answer = self.call(method, body).await;
        assert_eq!(answer["ok"], false, "{answer}");
        answer["error"].as_str().unwrap().to_owned()
    }

    async fn says(&self, channel: &str, text: &str) -> String {
        let said = self.call("chat.postMessage", json!({"channel": channel, "text": text})).await;
        assert_eq!(said["ok"], true, "{said}");
        said["ts"].as_str().unwrap().to_owned()
    }
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(slack: &SlackWorld) -> Socket {
    let app = Plain { token: slack.app_token(), ..Plain::of(slack) };
    let answer = app.call("apps.connections.open", json!({})).await;
    let url = answer["url"].as_str().unwrap().to_owned();
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let hello = heard(&mut socket).await;
    assert_eq!(hello["type"], "hello");
    socket
}

/// The next frame that is not a ping.
async fn heard(socket: &mut Socket) -> Value {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
        if let Frame::Text(text) = frame.expect("a frame in time").unwrap().unwrap() {
            return serde_json::from_str(text.as_str()).unwrap();
        }
    }
}

async fn say(socket: &mut Socket, frame: &Value) {
    socket.send(Frame::text(frame.to_string())).await.unwrap();
}

/// Acknowledges everything at once, and tells what it was.
fn obliging(mut socket: Socket, answer: Value) -> tokio::sync::mpsc::UnboundedReceiver<Value> {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = socket.next().await {
            let Frame::Text(text) = frame else { continue };
            let frame: Value = serde_json::from_str(text.as_str()).unwrap();
            if frame["envelope_id"].is_string() {
                let mut acknowledgement = json!({"envelope_id": frame["envelope_id"]});
                if frame["accepts_response_payload"] == true && !answer.is_null() {
                    acknowledgement["payload"] = answer.clone();
                }
                say(&mut socket, &acknowledgement).await;
            }
            tell.send(frame).ok();
        }
    });
    told
}

const RELEASES: &str = "CRELEASES0";

fn button(label: &str, action: &str) -> Value {
    json!({
        "type": "button", "action_id": action, "value": format!("{action} v1.2.0"),
        "text": {"type": "plain_text", "text": label},
    })
}

fn card(text: &str, buttons: &[Value]) -> Value {
    json!([
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "actions", "block_id": "do", "elements": buttons},
    ])
}

#[track_caller]
fn objected(slack: &SlackWorld, wanted: &str) {
    slack.pardon(wanted);
    assert_eq!(slack.violations(), Vec::<String>::new());
}
