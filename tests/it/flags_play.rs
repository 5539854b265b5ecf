//! A release by flag, from its first few users to the kill switch, in the program itself.

use chrono::{Duration, Utc};
use serde_json::Value;

use crate::installed::{Installed, Running};
use crate::operation::{MARIA, said};
use crate::program::Program;
use crate::shop;
use crate::unleash_world::{USERS, UnleashWorld};
use crate::zones::los_angeles;

const SEATS: [&str; 4] = ["ann", "quinn", "paula", "sam"];
const EVIDENCE: [&str; 6] =
    ["staging", "review", "tests", "coverage", "open-bugs", "security-scan"];

/// For how many in a hundred the file opens the flag.
pub(crate) fn share(program: &Program) -> Option<u64> {
    let text = std::fs::read_to_string(program.state.join("flags.json")).ok()?;
    let file: Value = serde_json::from_str(&text).unwrap();
    file["flags"]["new_dashboard"]["targeting"]["fractional"][0][1].as_u64()
}

pub(crate) async fn to_a_few(program: &Program) {
    let day = (Utc::now().with_timezone(&los_angeles()) + Duration::days(3)).date_naive();
    program.say("maria", &format!("schedule flag {day} 10:00 --version v1.3.0")).await;
    program.jump_until("go or no-go?").await;
    for person in SEATS {
        program.say(person, "go").await;
    }
    for kind in EVIDENCE {
        program.say("maria", &format!("evidence v1.3.0 {kind} pass")).await;
    }
    program
        .say("maria", "checklist v1.3.0 pass rollback-rehearsed --link https://ci.example/7")
        .await;
    program.jump_until("is ready to start").await;
    assert_eq!(share(program), None, "nothing is open before the start");
    program.say("maria", "start").await;
    program.until("Soaking A few").await;
    assert_eq!(share(program), Some(5));
}

#[tokio::test]
async fn a_flag_is_opened_stage_by_stage_and_closed_before_all_else() {
    let program = Program::start().await;
    to_a_few(&program).await;
    for (stage, approvers, next, percent) in [
        ("A few", ["ann"].as_slice(), "A quarter", 25),
        ("A quarter", &["ann", "paula"], "Half", 50),
        ("Half", &["ann", "paula"], "Everybody", 100),
    ] {
        program.jump_until(&format!("{stage} is through its gate")).await;
        for person in approvers {
            program.say(person, "advance").await;
        }
        program.until(&format!("Soaking {next}")).await;
        assert_eq!(share(&program), Some(percent), "{next}");
    }
    program.say("john", "rollback --from v1.3.0 --to v1.1.9 --confirmed").await;
    program.until("is closed: FAILED").await;
    assert_eq!(share(&program), Some(0));
    let off = program.message("release-v1-3-0", "Flag new_dashboard off after").await;
    assert!(off.text.contains("clients follow within their poll interval"), "{off:?}");
    let room = program.everything().await;
    let at = |text: &str| room.find(text).unwrap_or_else(|| panic!("{text}:\n{room}"));
    assert!(at("Flag new_dashboard off after") < at("Health check green"));
}

// ---------------------------------------------------------------------------------------------
// With a provider that is not the demo's

const ANN: &str = "token-of-ann-0123456789-0123456789-0123456789-01";

/// Half, then everybody, and the kill switch is the whole way back.
pub(crate) const PLAN: &str = r#"
[release]
service = "web-shop"
version = "v1.3.0"
commit = "4f1c2a9"
zone = "Europe/Berlin"
captain = "maria"
strategy = "feature-flag"
[signoff]
roles = ["engineering"]
[[flag]]
name = "checkout"
owner = "maria"
expires = "2099-12-31"
[[stage]]
name = "Half"
flag = "checkout"
traffic = 50
[[stage]]
name = "Everybody"
flag = "checkout"
traffic = 100
[rollback]
to = "v1.2.0"
rto = "5m"
flags_suffice = true
[monitoring]
health = "health"
watchers = ["john"]
oncall = { primary = "john" }
[[monitoring.metric]]
name = "Error rate"
"#;

/// The embedded default's people, of whom only the engineers have to sign, with another provider.
pub(crate) fn installed(plan: &str, change: impl FnOnce(String) -> String) -> Installed {
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let own = "[flags.local]\nkind = \"file\"\npath = \"{state}/flags.json\"\n";
    assert!(config.contains(own));
    let config = config
        .replace("{demo_url}", "http://127.0.0.1:9")
        .replace("required = true", "")
        .replace(own, "");
    let tokens = "[console.tokens]\nmaria = { env = \"MARIA\" }\nann = { env = \"ANN\" }\n";
    let here = Installed::new(&change(format!("{config}\n{tokens}")));
    here.write("plans/flagged.toml", plan);
    here.with_env("MARIA", MARIA).with_env("ANN", ANN)
}

/// The flag is open for a half.
pub(crate) async fn half_open(running: &Running) {
    said(running, MARIA, &format!("schedule flagged {}", shop::at(0))).await;
    said(running, ANN, "go v1.3.0").await;
    said(running, MARIA, "evidence v1.3.0 staging pass").await;
    said(running, MARIA, "checklist v1.3.0 pass rehearsed --link https://ci.example/7").await;
    until_status(running, "waits for Maria to start it").await;
    said(running, MARIA, "start v1.3.0").await;
    until_status(running, "at the gate").await;
}

pub(crate) async fn until_status(running: &Running, text: &str) {
    let shows = async || said(running, MARIA, "status v1.3.0").await.contains(text);
    running.until(text, shows).await;
}

#[tokio::test]
async fn a_real_client_follows_a_release_and_its_way_back() {
    let mut world = UnleashWorld::start().await;
    world.create("checkout").await;
    let unleash = |config: String| config + &world.section("unleash");
    let here = installed(PLAN, unleash).with_env("UNLEASH_TOKEN", &world.target().token);
    let running = here.start().await;
    half_open(&running).await;
    world.client_follows("checkout", USERS * 4 / 10..=USERS * 6 / 10).await;
    said(&running, MARIA, "advance v1.3.0").await;
    world.client_follows("checkout", USERS..=USERS).await;
    said(&running, MARIA, "rollback v1.3.0 --from v1.3.0 --to v1.2.0 --confirmed").await;
    world.client_follows("checkout", 0..=0).await;
    until_status(&running, "rolled back").await;
    assert!(running.stopped().await.success());
    world.stop().await;
}
