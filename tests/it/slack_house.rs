//! The program as it is installed, in Slack: first clicks, a directory that is down, a channel that
//! must wait, a process that dies in mid-speech, and what the log does not hold.

use std::time::Duration;

use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::installed::{Installed, until};
use crate::operation::{MARIA, said};
use crate::slack_world::{Fault, Harm, Kind, Setup, SlackWorld, TEAM};

/// The people and plans of the embedded default, whose colleagues are told in Slack.
fn installed(world: &SlackWorld, more: &str) -> Installed {
    let mut config = std::fs::read_to_string("config/default.toml").unwrap();
    config = config.replace("{demo_url}", "http://127.0.0.1:9").replace(
        "internal = [\"console/local/releases\"]",
        &format!("internal = [\"slack/{TEAM}/CRELEASES0\", \"slack/{TEAM}/COPS000000\"]"),
    );
    config = config.replace(
        "platforms = [\"console/local\"]",
        &format!("platforms = [\"console/local\", \"slack/{TEAM}\"]"),
    );
    for name in ["maria", "ann", "quinn", "paula", "sam", "dave"] {
        let user = format!("{:0<10}", format!("U{}", name.to_uppercase()));
        config = config.replace(
            &format!("accounts = [\"console/local/{name}\"]"),
            &format!("accounts = [\"console/local/{name}\", \"slack/{TEAM}/{user}\"]"),
        );
    }
    config = config.replace(
        "listen = \"127.0.0.1:7777\"",
        "listen = \"127.0.0.1:7777\"\npublic_url = \"https://tminus.example\"",
    );
    let own = format!(
        r#"
{more}

[console.tokens]
maria = {{ env = "TOKEN_MARIA" }}

[slack]
team = "{TEAM}"
api_url = "{}"
bot_token = {{ env = "BOT_TOKEN" }}
app_token = {{ env = "APP_TOKEN" }}
"#,
        world.api_url()
    );
    let here = Installed::new(&format!("{config}{own}"));
    let sample = std::fs::read_to_string("config/plans/web-shop-v1.2.0.toml").unwrap();
    let board = "[[monitoring.dashboard]]\nname = \"Shop\"\nurl = \"https://dash.example/shop\"";
    here.write("plans/web-shop-v1.2.0.toml", &format!("{sample}\n{board}\n"));
    here.with_env("TOKEN_MARIA", MARIA)
        .with_env("BOT_TOKEN", &world.bot_token())
        .with_env("APP_TOKEN", &world.app_token())
}

async fn workspace() -> SlackWorld {
    let setup = Setup::default().channel("ops", Kind::Public, &["maria", "bot"]);
    SlackWorld::with(setup).await
}

const SCHEDULE: &str = "schedule web-shop-v1.2.0 in 30h";

#[tokio::test]
async fn who_is_not_known_yet_is_acknowledged_at_once_and_judged_when_slack_vouches() {
    let world = workspace().await;
    let here = installed(&world, "");
    let running = here.start().await;
    world.connected(1).await;
    said(&running, MARIA, SCHEDULE).await;
    let (quinn, sam) = (world.person("quinn"), world.person("sam"));
    let typed = quinn.types("/release go --as qa", "releases").await;
    assert!(typed.acknowledged_in().is_some());
    quinn.sees_ephemeral("GO").await;
    // From here on nobody is told who anybody is.
    world.fault(Fault::on("users.info", Harm::Stall(Duration::from_secs(10))).always());
    let typed = sam.types("/release go --as support", "releases").await;
    let waited = typed.acknowledged_in().expect("it is acknowledged");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    sam.sees_ephemeral("did not tell me who you are").await;
    let typed = sam.types("/release hold it burns", "releases").await;
    assert!(typed.acknowledged_in().expect("it is acknowledged") < Duration::from_secs(3));
    sam.sees_ephemeral("on hold").await;
    world.assert_clean().await;
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn the_war_room_has_the_dashboards_and_our_own_page_on_top() {
    let world = workspace().await;
    let here = installed(&world, "");
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 50m").await;
    let room = world.sees_channel("release-v1-2-0").await;
    let shown = || world.look(|it| it.channels[&room.id].bookmarks.clone());
    until("our own page", async || shown().iter().any(|it| it["title"] == "tminus")).await;
    let links: Vec<_> = shown().iter().map(|it| it["link"].as_str().unwrap().to_owned()).collect();
    assert_eq!(links, ["https://dash.example/shop", "https://tminus.example"]);
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn a_channel_that_must_wait_keeps_no_other_waiting() {
    // With the time until when, and in an answer that names none.
    for (late, most) in [(Harm::TooMany(3_600), 1), (Harm::Error("ratelimited"), usize::MAX)] {
        let world = workspace().await;
        world.fault(Fault::on("chat.postMessage", late).in_channel("CRELEASES0").always());
        let here = installed(&world, "");
        let running = here.start().await;
        said(&running, MARIA, SCHEDULE).await;
        world.sees("ops", "v1.2.0").await;
        let asked = world.calls("chat.postMessage");
        assert!(asked.iter().filter(|call| call.arg("channel") == "CRELEASES0").count() <= most);
        world.assert_clean().await;
        assert!(running.stopped().await.success());
    }
}

#[tokio::test]
async fn a_process_that_dies_in_the_middle_of_a_long_message_says_the_rest_when_it_is_back() {
    let world = workspace().await;
    let here = installed(&world, "[messages]\ndirectory = \"words\"");
    for opening in ["words/opening.md", "words/t-48h.md"] {
        here.write(opening, &"A long story goes on and on. ".repeat(1_000));
    }
    world.fault(Fault::on("chat.postMessage", Harm::Hold).in_channel("CRELEASES0").nth(2));
    let running = here.start().await;
    said(&running, MARIA, SCHEDULE).await;
    world.held(1).await;
    let pid = Pid::from_raw(i32::try_from(running.process()).unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    running.ended().await;
    world.release();
    let again = here.start().await;
    let stories = || world.transcript("releases").matches("A long story").count();
    until("the whole story", async || stories() >= 1_000).await;
    assert!(again.stopped().await.success());
    assert_eq!(stories(), 1_000);
}

#[tokio::test]
async fn many_lines_of_one_app_are_warned_of() {
    let world = workspace().await;
    let mut others = Vec::new();
    for _ in 0..7 {
        let asked =
            reqwest::Client::new().post(format!("{}/apps.connections.open", world.api_url()));
        let answer: Value =
            asked.bearer_auth(world.app_token()).send().await.unwrap().json().await.unwrap();
        let url = answer["url"].as_str().unwrap();
        let (mut line, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        line.next().await.unwrap().unwrap();
        others.push(line);
    }
    let here = installed(&world, "");
    let running = here.start().await;
    until("a warning", async || here.logged().contains("Slack allows ten lines")).await;
    world.disconnects("link_disabled");
    until("what to do", async || here.logged().contains("Socket Mode is turned off")).await;
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn no_filter_shows_a_token_a_ticket_or_an_address_to_answer() {
    let world = workspace().await;
    let here = installed(&world, "[log]\nfilter = \"trace\"");
    let running = here.start().await;
    world.connected(1).await;
    let ann = world.person("ann");
    let typed = ann.types("/release status", "releases").await;
    assert!(typed.acknowledged_in().is_some());
    ann.sees_ephemeral("").await;
    world.cuts_connections();
    world.called("apps.connections.open", 2).await;
    world.connected(1).await;
    assert!(running.stopped().await.success());
    let log = here.logged();
    assert!(log.contains("TRACE"), "the filter is as open as can be");
    let handles = ["ticket=", "response_url", "/commands/", "/hooks/"];
    for secret in [world.bot_token().as_str(), &world.app_token()].iter().chain(&handles) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test]
async fn the_page_followed_to_the_letter_leads_to_a_first_announcement() {
    let world = SlackWorld::start().await;
    let page = include_str!("../../deploy/slack/README.md");
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let mut config =
        block.replace("[slack]", &format!("[slack]\napi_url = \"{}\"", world.api_url()));
    for (example, own) in
        [("T0123", TEAM), ("U0456", "UMARIA0000"), ("S0789", "SQALEADS00"), ("C0ABC", "CRELEASES0")]
    {
        assert!(config.contains(example), "{example}");
        config = config.replace(example, own);
    }
    let here = Installed::new(&config)
        .with_env("SLACK_BOT_TOKEN", &world.bot_token())
        .with_env("SLACK_APP_TOKEN", &world.app_token());
    here.cli(&["config", "check"]).await.expect(0, &["is sound"]);
    here.cli(&["doctor"]).await.expect(0, &["✓ Slack's scopes", "✓ Slack's Socket Mode"]);
    let running = here.start().await;
    world.connected(1).await;
    let line = "/release freeze add \"fri 18:00\" \"mon 08:00\" trying tminus";
    assert!(page.contains(&format!("`{line}`")), "the page says so");
    let maria = world.person("maria");
    maria.types(line, "releases").await;
    maria.sees_ephemeral("/release freeze lift ").await;
    world.sees("releases", "trying tminus").await;
    world.assert_clean().await;
    assert!(running.stopped().await.success());
}
