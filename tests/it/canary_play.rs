//! The canary template in the program as anybody starts it: its stages move real shares of the
//! shop's visitors, its numbers follow, and it goes back by itself when they turn red.

use chrono::{Duration, Utc};
use serde_json::Value;

use crate::program::Program;
use crate::zones::los_angeles;

const EVIDENCE: [&str; 7] =
    ["staging", "review", "tests", "coverage", "open-bugs", "security-scan", "infrastructure"];

async fn shop(program: &Program, path: &str) -> Value {
    let page = reqwest::get(format!("{}{path}", program.shop)).await.unwrap();
    page.json().await.unwrap()
}

/// What the shop's visitors get of the new version, in percent.
async fn share(program: &Program) -> f64 {
    shop(program, "/numbers").await["v1.3.0"]["percent"].as_f64().unwrap_or(0.0)
}

async fn to_the_first(program: &Program) {
    let day = (Utc::now().with_timezone(&los_angeles()) + Duration::days(3)).date_naive();
    program.say("maria", &format!("schedule canary {day} 10:00 --version v1.3.0")).await;
    program.say("maria", "rollback v1.3.0 --dry-run").await;
    program.until("rehearsed").await;
    program.jump_until("go or no-go?").await;
    for person in ["ann", "quinn", "paula", "sam"] {
        program.say(person, "go").await;
    }
    for kind in EVIDENCE {
        program.say("maria", &format!("evidence v1.3.0 {kind} pass")).await;
    }
    program.jump_until("is ready to start").await;
    assert_eq!(share(program).await, 0.0);
    program.say("maria", "start").await;
    program.until("Soaking Internal").await;
}

#[tokio::test]
async fn each_stage_has_its_share_of_the_visitors_until_everybody_has_it() {
    let program = Program::start().await;
    to_the_first(&program).await;
    assert_eq!(share(&program).await, 0.5);
    for (stage, approvers, next, percent) in [
        ("Internal", ["ann"].as_slice(), "Friendly", 5.0),
        ("Friendly", &["ann"], "Beta", 25.0),
        ("Beta", &["ann", "paula"], "General", 100.0),
    ] {
        program.jump_until(&format!("{stage} is through its gate")).await;
        for person in approvers {
            program.say(person, "advance").await;
        }
        program.until(&format!("Soaking {next}")).await;
        assert_eq!(share(&program).await, percent, "{next}");
    }
    program.jump_until("General is through its gate").await;
    for person in ["paula", "ann", "sam"] {
        program.say(person, "advance").await;
    }
    program.until("is rolled out at 100 %").await;
}

#[tokio::test]
async fn a_canary_that_fails_its_few_visitors_goes_back_by_itself() {
    let program = Program::start().await;
    to_the_first(&program).await;
    program.say("maria", "run v1.3.0 spoil").await;
    let pod = async || shop(&program, "/numbers").await["v1.3.0"]["error_rate"] == 31.0;
    program.look("its visitors meet errors", pod).await;
    assert_eq!(program.pod(1).await, "v1.3.0", "its pod looks well");
    assert_eq!(share(&program).await, 0.5, "and nobody else does");
    program.jump_until("is red").await;
    program.jump_until("is back on v1.1.9").await;
    assert_eq!(share(&program).await, 0.0);
    let told = program.everything().await;
    assert!(!told.contains("may still be on"), "the kill switch of its flag worked: {told}");
}

/// There is nothing to wait for between two jumps: what has only just begun is measured on the way.
#[tokio::test]
async fn whoever_jumps_does_not_outrun_the_numbers() {
    let program = Program::start().await;
    to_the_first(&program).await;
    program.jump_until("Internal is through its gate").await;
    let told = program.everything().await;
    assert!(!told.contains("cannot be told"), "{told}");
}
