//! Feature flags in a real Unleash.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tminus::adapters::flags::Unleash;
use tminus::adapters::flags::unleash::Target;
use tminus::ports::{Failure, FlagState, Flags};

use crate::installed::Installed;
use crate::unleash_world::{USERS, UnleashWorld};

fn open(percent: f64) -> Result<FlagState, Failure> {
    Ok(FlagState { on: true, percent: Some(percent) })
}

fn off() -> Result<FlagState, Failure> {
    Ok(FlagState { on: false, percent: Some(0.0) })
}

fn permanent<T: std::fmt::Debug>(refused: Result<T, Failure>, parts: &[&str]) {
    let Err(Failure::Permanent { why }) = refused else { panic!("{refused:?}") };
    assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    assert!(!why.contains("nobody-may-read"), "the token is told: {why}");
}

fn about(per_cent: u64) -> std::ops::RangeInclusive<u64> {
    let middle = USERS * per_cent / 100;
    middle - USERS / 20..=middle + USERS / 20
}

#[tokio::test]
async fn a_flag_is_opened_by_shares_and_killed_and_a_real_client_follows() {
    let mut world = UnleashWorld::start().await;
    let flags = world.flags();
    assert_eq!(flags.look().await, Ok(()));
    world.create("checkout").await;
    assert_eq!(flags.state("checkout").await, off());
    // Nothing was there to set a share of: it must not be open for everybody in between.
    assert_eq!(flags.set("checkout", 25.0).await, Ok(()));
    assert_eq!(flags.state("checkout").await, open(25.0));
    world.client_follows("checkout", about(25)).await;
    let before = world.flag("checkout").await;
    assert_eq!(before["strategies"].as_array().unwrap().len(), 1, "{before}");
    assert_eq!(before["strategies"][0]["parameters"]["rollout"], "25");
    assert_eq!(flags.set("checkout", 25.0).await, Ok(()));
    assert_eq!(world.flag("checkout").await, before, "twice is once");
    assert_eq!(flags.set("checkout", 50.0).await, Ok(()));
    world.client_follows("checkout", about(50)).await;
    let begun = Instant::now();
    assert_eq!(flags.kill("checkout").await, Ok(()));
    let killed = begun.elapsed();
    world.client_follows("checkout", 0..=0).await;
    assert!(killed < Duration::from_secs(5), "{killed:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(flags.kill("checkout").await, Ok(()), "twice is once");
    assert_eq!(flags.state("checkout").await, off());
    assert_eq!(flags.set("checkout", 100.0).await, Ok(()));
    world.client_follows("checkout", USERS..=USERS).await;
    assert_eq!(flags.set("checkout", 0.0).await, Ok(()));
    assert_eq!(flags.state("checkout").await, off());
    permanent(flags.set("checkout", 0.5).await, &["whole percents", "0.5 %"]);
    world.stop().await;
    let Err(Failure::Transient { why, .. }) = flags.kill("checkout").await else {
        panic!("nobody is there")
    };
    assert!(why.contains("Unleash (`shop`) cannot be reached"), "{why}");
}

#[tokio::test]
async fn what_others_set_up_stays_and_what_is_missing_is_named() {
    let mut world = UnleashWorld::start().await;
    let flags = world.flags();
    let with = |change: &dyn Fn(&mut Target)| {
        let mut target = world.target();
        change(&mut target);
        Unleash::new("shop", target).unwrap()
    };
    permanent(flags.set("nowhere", 5.0).await, &["no flag `nowhere` in project `default`"]);
    permanent(flags.kill("nowhere").await, &["no flag `nowhere`", "create it there"]);
    permanent(flags.state("nowhere").await, &["[flags.shop] project"]);
    for odd in ["..", "a/b", "", "a?b", "ä"] {
        permanent(flags.kill(odd).await, &["cannot be the name of a flag"]);
    }
    world.create("search").await;
    let stranger = with(&|target| target.token = "*:*.nobody-may-read-this-one".to_owned());
    permanent(stranger.kill("search").await, &["401", "[flags.shop] token"]);
    let client = with(&|target| target.token.clone_from(&world.client_token));
    permanent(client.set("search", 5.0).await, &["403", "right to change flags"]);
    let elsewhere = with(&|target| target.environment = "staging".to_owned());
    for refused in [elsewhere.kill("search").await, elsewhere.look().await] {
        permanent(refused, &["no environment `staging`", "development, production"]);
    }
    let unknown = with(&|target| target.project = "shop".to_owned());
    permanent(unknown.look().await, &["no project `shop`", "[flags.shop] project or url"]);
    leaves_groups_alone(&mut world, &flags).await;
    refuses_two_shares(&world, &flags).await;
    the_doctor_looks(&world).await;
    world.stop().await;
}

/// Our own people have it first, whatever share everybody else has.
async fn leaves_groups_alone(world: &mut UnleashWorld, flags: &Unleash) {
    let ids: Vec<_> = (0..10).map(|number| format!("user-{number}")).collect();
    let staff = json!({
        "name": "flexibleRollout", "title": "Our own people",
        "constraints": [{ "contextName": "userId", "operator": "IN", "values": ids }],
        "parameters": { "rollout": "100", "stickiness": "default", "groupId": "staff" },
    });
    world.add_strategy("search", &staff).await;
    let segment = json!({
        "name": "partners",
        "constraints": [{ "contextName": "userId", "operator": "IN", "values": ["user-10"] }],
    });
    let segment = world.admin(Method::POST, "segments", &segment).await;
    let partners = json!({
        "name": "flexibleRollout", "segments": [segment["id"]],
        "parameters": { "rollout": "100", "stickiness": "default", "groupId": "partners" },
    });
    world.add_strategy("search", &partners).await;
    let own = json!({
        "name": "flexibleRollout", "title": "Everybody else",
        "parameters": { "rollout": "1", "stickiness": "userId", "groupId": "our-group" },
    });
    world.add_strategy("search", &own).await;
    assert_eq!(flags.set("search", 30.0).await, Ok(()));
    assert_eq!(flags.state("search").await, open(30.0));
    let found = world.flag("search").await;
    let strategies = found["strategies"].as_array().unwrap();
    let share = |title: &str| {
        let found = strategies.iter().find(|strategy| strategy["title"] == title).unwrap();
        found["parameters"].clone()
    };
    assert_eq!(strategies.len(), 3, "{found}");
    assert_eq!(share("Our own people")["rollout"], "100");
    let wanted = json!({ "rollout": "30", "stickiness": "userId", "groupId": "our-group" });
    assert_eq!(share("Everybody else"), wanted);
    world.client_follows("search", about(30)).await;
    assert_eq!(flags.kill("search").await, Ok(()));
    world.client_follows("search", 0..=0).await;
}

/// The wider of two would win, whatever the other says.
async fn refuses_two_shares(world: &UnleashWorld, flags: &Unleash) {
    world.create("twice").await;
    assert_eq!(flags.set("twice", 10.0).await, Ok(()));
    world.add_strategy("twice", &json!({ "name": "default", "parameters": {} })).await;
    let before = world.flag("twice").await;
    permanent(flags.set("twice", 20.0).await, &["`twice`", "no one share", "`default`"]);
    assert_eq!(world.flag("twice").await, before);
    assert_eq!(flags.state("twice").await, Ok(FlagState { on: true, percent: None }));
    assert_eq!(flags.kill("twice").await, Ok(()), "it is killed whatever it is");
    assert_eq!(flags.state("twice").await, off());
}

async fn the_doctor_looks(world: &UnleashWorld) {
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let config = config.replace("{demo_url}", "http://127.0.0.1:9");
    let more = world.section("shop");
    let token = "[console.tokens]\nmaria = { env = \"TOKEN_MARIA\" }\n";
    let here = Installed::new(&format!("{config}{more}{token}"))
        .with_env("TOKEN_MARIA", crate::operation::MARIA)
        .with_env("UNLEASH_TOKEN", &world.token);
    let looked = here.cli(&["doctor"]).await;
    assert!(looked.out.contains(&format!("✓ flags shop at {}", world.url)), "{looked:?}");
    let here = here.with_env("UNLEASH_TOKEN", &world.client_token);
    let looked = here.cli(&["--json", "doctor"]).await.expect(1, &[]).json();
    let shop: Vec<&Value> = looked["looked_at"].as_array().unwrap().iter().collect();
    let shop = shop.iter().find(|look| look["what"].as_str().unwrap().contains("flags shop"));
    let trouble = shop.unwrap()["trouble"].as_str().unwrap();
    assert!(
        trouble.contains("[flags.shop]") && !trouble.contains(&world.client_token),
        "{trouble}"
    );
}
