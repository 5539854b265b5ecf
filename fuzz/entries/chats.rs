//! What Slack and Discord post, rightly signed and not, through their own doors to an ear that
//! writes down what it heard.

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit, Mac};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::Sha256;
use tminus::adapters::chat::{discord, slack};
use tminus::ports::{Answered, Completion, Ear, Heard, Message};

use super::{chosen, hex, seconds};

const SECRET: &str = "a signing secret of nobody's";
const NOBODY: &str = "http://127.0.0.1:9";
const GUILD: u64 = 4711;

#[derive(Default)]
struct Listening(Mutex<Vec<Heard>>);

#[async_trait]
impl Ear for Listening {
    async fn hear(&self, heard: Heard) -> Answered {
        self.0.lock().expect("never held in a panic").push(heard);
        Answered::Later
    }

    fn complete(&self, _: (&str, &str, &str), _: Option<&str>, _: &str) -> Vec<Completion> {
        Vec::new()
    }

    async fn home(&self, _: &str, _: &str, _: &str) -> Message {
        Message::default()
    }
}

type Headers = Vec<(&'static str, String)>;

/// The same to the same door, signed and with a signature of somebody else's. Answers under way die
/// with the runtime.
fn posted(
    platform: &str,
    door: impl Fn(Arc<Listening>) -> Router,
    path: &str,
    body: &[u8],
    signed: impl Fn(&[u8], bool) -> Headers,
) {
    let life = tokio::runtime::Builder::new_current_thread().enable_all().build();
    life.expect("a runtime").block_on(async {
        for rightly in [false, true] {
            let ear = Arc::new(Listening::default());
            let router = door(ear.clone());
            let mut request = Request::post(path);
            for (name, value) in signed(body, rightly) {
                request = request.header(name, value);
            }
            let request = request.body(Body::from(body.to_vec())).expect("sound headers");
            let Ok(answer) = TowerToHyperService::new(router).call(request).await;
            let status = answer.status().as_u16();
            let heard = ear.0.lock().expect("never held in a panic").clone();
            assert!(status < 500, "{status}");
            assert!(rightly || (status == 401 && heard.is_empty()), "a stranger was heard");
            for heard in heard {
                assert!(heard.platform == platform && !heard.user.is_empty(), "{heard:?}");
                assert!(heard.id.starts_with(&format!("{platform}/")), "{heard:?}");
                assert!(!heard.tenant.is_empty(), "{heard:?}");
            }
        }
    });
}

static SLACK: LazyLock<Arc<slack::Slack>> = LazyLock::new(|| {
    let mut settings = slack::SlackSettings::new("T0001", slack::Hidden::new("xoxb-nobody"));
    settings.signing_secret = Some(slack::Hidden::new(SECRET));
    settings.mode = slack::Mode::Http;
    settings.api_url = NOBODY.into();
    slack::Slack::new(settings).expect("sound settings")
});

/// The first byte chooses the address.
pub(super) fn slack(data: &[u8]) {
    let Some((first, rest)) = chosen(data) else { return };
    let (path, body) = match first % 3 {
        0 => ("/slack/commands", rest.to_vec()),
        1 => {
            let payload = form_urlencoded::byte_serialize(rest).collect::<String>();
            ("/slack/interactions", format!("payload={payload}").into_bytes())
        }
        _ => ("/slack/events", rest.to_vec()),
    };
    let door = |ear: Arc<Listening>| slack::Listener::new(SLACK.clone(), ear).router();
    let signed = |body: &[u8], rightly: bool| {
        let time = seconds().to_string();
        let secret = if rightly { SECRET } else { "another secret" };
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("v0:{time}:").as_bytes());
        mac.update(body);
        let signature = format!("v0={}", hex(&mac.finalize().into_bytes()));
        vec![("x-slack-signature", signature), ("x-slack-request-timestamp", time)]
    };
    posted("slack", door, path, &body, signed);
}

static PAIRS: LazyLock<[Ed25519KeyPair; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed"))
});

static DISCORD: LazyLock<Arc<discord::Discord>> = LazyLock::new(|| {
    let buttons = std::env::temp_dir().join(format!("tminus-fuzz-{}", std::process::id()));
    let token = discord::Hidden::new("MT.nobody.x");
    let mut settings = discord::DiscordSettings::new(token, 1, GUILD, buttons);
    settings.public_key = Some(hex(PAIRS[1].public_key().as_ref()));
    settings.mode = discord::Mode::Http;
    settings.api_url = NOBODY.into();
    let commands = tminus::serve::discord_commands();
    discord::Discord::new(settings, commands).expect("sound settings")
});

pub(super) fn discord(data: &[u8]) {
    let door = |ear: Arc<Listening>| discord::Listener::new(DISCORD.clone(), ear).router();
    let signed = |body: &[u8], rightly: bool| {
        let time = seconds().to_string();
        let said = [time.as_bytes(), body].concat();
        let signature = hex(PAIRS[usize::from(rightly)].sign(&said).as_ref());
        vec![("x-signature-ed25519", signature), ("x-signature-timestamp", time)]
    };
    posted("discord", door, "/discord/interactions", data, signed);
}
