//! Interactions over HTTP: signatures that a verifier has to take, and those that it must not.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use super::super::{DiscordWorld, Outcome};
use super::{Plain, release, whisper};

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16));
    pairs.collect::<Result<_, _>>().unwrap_or_default()
}

const TYPE: [(&str, &str); 1] = [("content-type", "application/json")];
type Answer = (StatusCode, [(&'static str, &'static str); 1], String);

/// A listener that checks what a careful bot checks, but for replays.
async fn listen(State(key): State<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or("");
    let time = header("x-signature-timestamp");
    let signed = [time.as_bytes(), &body].concat();
    let key = UnparsedPublicKey::new(&ED25519, bytes(&key));
    let right = key.verify(&signed, &bytes(header("x-signature-ed25519"))).is_ok();
    let age = crate::slack_world::wall().as_secs().abs_diff(time.parse().unwrap_or_default());
    if !right || age > 60 {
        return (StatusCode::UNAUTHORIZED, TYPE, String::new());
    }
    let told: Value = serde_json::from_slice(&body).unwrap();
    let answer = if told["type"] == 1 { json!({"type": 1}) } else { whisper("By HTTP.") };
    (StatusCode::OK, TYPE, answer.to_string())
}

#[tokio::test]
async fn signatures_are_real_and_attacks_are_not() {
    let discord = DiscordWorld::start().await;
    Plain::of(&discord).registers(release()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/discord/interactions", post(listen));
    let router = router.with_state(discord.public_key());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    discord.calls_bot_at(&url);
    discord.accepts_address().await.unwrap();

    let ann = discord.person("ann");
    let typed = ann.types("/release status", "releases").await;
    assert_eq!(typed.outcome, Outcome::Acknowledged(4));
    ann.sees_ephemeral("By HTTP.").await;

    let command = || discord.command_of("ann", "/release go v1.2.0", "releases");
    let hour = Duration::from_secs(3_600);
    assert_eq!(command().send().await.0, 200);
    for attack in [
        command().forged(),
        command().stale(hour),
        command().ahead_of_time(hour),
        command().tampered("v1.2.0", "v6.6.6"),
        command().unsigned(),
        command().without_time(),
        command().signed_with("no hex"),
    ] {
        assert_eq!(attack.send().await.0, 401);
    }
    discord.assert_clean().await;
    serving.abort();
}
