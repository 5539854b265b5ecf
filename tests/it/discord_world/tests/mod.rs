//! The stand-in refuses what Discord refuses, and the real client finds nothing odd about it.

mod gateway;
mod hands;
mod refusals;
mod rooms;
mod sdk;
mod signed;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{APP, DiscordWorld, GUILD, id};

/// A client that says just what it is told to say.
struct Plain {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Plain {
    fn of(discord: &DiscordWorld) -> Self {
        let agent = "DiscordBot (https://example.invalid, 1)";
        let http = reqwest::Client::builder().user_agent(agent).build().unwrap();
        Self { http, base: discord.api_url(), token: format!("Bot {}", discord.bot_token()) }
    }

    async fn try_call(&self, method: &str, path: &str, body: Value) -> reqwest::Result<Told> {
        let url = format!("{}/api/v10{path}", self.base);
        let request = self.http.request(method.parse().unwrap(), url);
        let mut request = request.header("authorization", &self.token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|it| it.to_str().ok());
            value.map(str::to_owned)
        };
        let scope = header("x-ratelimit-scope");
        let text = response.text().await?;
        Ok(Told { status, scope, body: serde_json::from_str(&text).unwrap_or_default() })
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Told {
        self.try_call(method, path, body).await.unwrap()
    }

    /// The number of Discord's error.
    async fn error(&self, method: &str, path: &str, body: Value) -> u64 {
        let told = self.call(method, path, body).await;
        assert!(told.status >= 400, "{:?}", told.body);
        told.body["code"].as_u64().unwrap()
    }

    async fn says(&self, channel: &str, body: Value) -> Told {
        self.call("POST", &format!("/channels/{}/messages", id("channel", channel)), body).await
    }

    async fn registers(&self, commands: Value) -> Told {
        self.call("PUT", &format!("/applications/{APP}/guilds/{GUILD}/commands"), commands).await
    }

    /// Answers an interaction.
    async fn answers(&self, heard: &Value, body: Value) -> Told {
        let (id, token) = (heard["id"].as_str().unwrap(), heard["token"].as_str().unwrap());
        self.call("POST", &format!("/interactions/{id}/{token}/callback"), body).await
    }
}

#[derive(Debug)]
struct Told {
    status: u16,
    scope: Option<String>,
    body: Value,
}

fn text(text: &str) -> Value {
    json!({"content": text, "allowed_mentions": {"parse": []}})
}

fn whisper(said: &str) -> Value {
    let mut data = text(said);
    data["flags"] = json!(64);
    json!({"type": 4, "data": data})
}

fn row(elements: &[Value]) -> Value {
    json!({"type": 1, "components": elements})
}

fn button(label: &str, id: &str) -> Value {
    json!({"type": 2, "style": 1, "label": label, "custom_id": id})
}

fn release() -> Value {
    json!([{"name": "release", "description": "Releases", "options": [
        {"type": 1, "name": "status", "description": "How it stands"},
        {"type": 1, "name": "go", "description": "Say go", "options": [
            {"type": 3, "name": "version", "description": "Which", "required": true,
             "max_length": 20},
            {"type": 3, "name": "as", "description": "For whom",
             "choices": [{"name": "Quality", "value": "qa"}]},
            {"type": 5, "name": "force", "description": "Even so"},
            {"type": 6, "name": "who", "description": "Somebody"},
        ]},
    ]}])
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(discord: &DiscordWorld) -> Socket {
    let url = discord.api_url().replacen("http", "ws", 1);
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("{url}/?v=10")).await.unwrap();
    assert_eq!(heard(&mut socket).await["op"], 10);
    socket
}

async fn identify(discord: &DiscordWorld, intents: u64) -> Socket {
    let mut socket = open(discord).await;
    let properties = json!({"os": "linux", "browser": "test", "device": "test"});
    let said = json!({"op": 2, "d": {
        "token": discord.bot_token(), "intents": intents, "properties": properties,
    }});
    say(&mut socket, &said).await;
    socket
}

async fn connect(discord: &DiscordWorld) -> Socket {
    let mut socket = identify(discord, 0).await;
    assert_eq!(heard(&mut socket).await["t"], "READY");
    socket
}

async fn heard(socket: &mut Socket) -> Value {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
        match frame.expect("a frame in time").unwrap().unwrap() {
            Frame::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
            Frame::Close(close) => return json!({"closed": close.map(|it| u16::from(it.code))}),
            Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
        }
    }
}

async fn say(socket: &mut Socket, frame: &Value) {
    socket.send(Frame::text(frame.to_string())).await.unwrap();
}

/// Answers every interaction alike, and tells what it was.
fn obliging(
    discord: &DiscordWorld,
    mut socket: Socket,
    answer: Value,
) -> tokio::sync::mpsc::UnboundedReceiver<Value> {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let bot = Plain::of(discord);
    tokio::spawn(async move {
        while let Some(Ok(frame)) = socket.next().await {
            let Frame::Text(text) = frame else { continue };
            let frame: Value = serde_json::from_str(text.as_str()).unwrap();
            if frame["t"] == "INTERACTION_CREATE" {
                if !answer.is_null() {
                    bot.answers(&frame["d"], answer.clone()).await;
                }
                tell.send(frame["d"].clone()).ok();
            }
        }
    });
    told
}
