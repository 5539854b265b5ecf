//! Bad input: the answer says what was wrong and what would be right, and nothing has changed.

use std::path::Path;
use std::process::Command as Tool;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installed::{Ended, Installed, Running, deeds};
use crate::program::Program;

const SAMPLE: &str = "config/plans/web-shop-v1.2.0.toml";
const RELEASE: &str = "web-shop/production/v1.2.0#1";

/// Says each line, looks for the parts of its answer, and that all of them changed nothing.
async fn all_refused(program: &Program, cases: &[(&str, &str, &[&str])]) {
    program.settled().await;
    let before = deeds(&program.state).await;
    let mut missing = Vec::new();
    for (who, line, parts) in cases {
        let answer = program.refused(who, line).await;
        for part in parts.iter().filter(|part| !answer.contains(**part)) {
            missing.push(format!("{line}\nis answered without `{part}`:\n{answer}\n"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    program.settled().await;
    assert_eq!(deeds(&program.state).await, before);
}

#[tokio::test]
async fn what_is_not_understood_is_answered_with_what_would_be() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
    let cases: &[(&str, &str, &[&str])] = &[
        ("maria", "shedule v1.2.0", &["I don't know", "Did you mean schedule?", "For example:"]),
        ("maria", "", &["/release help"]),
        ("maria", "status v9.9.9", &["I don't know the release v9.9.9", RELEASE]),
        ("ann", "evidence v1.2.0 stagin pass", &["Did you mean staging?", "For example:"]),
        ("ann", "evidence v1.2.0 staging perhaps", &["pass", "fail"]),
        ("maria", "schedule web-shop-v1.2.1", &["I don't know the plan", "web-shop-v1.2.0"]),
        ("maria", "schedule web-shop-v1.2.0 --verison v2.0.0", &["Did you mean --version?"]),
        ("sam", "no-go v1.2.0", &["To do it: /release no-go", "<reason>"]),
        ("sam", "hold v1.2.0", &["To do it: /release hold", "<reason>"]),
        ("sam", "go v1.2.0 --as chef", &["chef", "Its seats are"]),
        ("sam", "go v1.2.0 --as qa", &["You can't sign for QA", "Quinn", "Support"]),
        ("maria", "checklist v1.2.0 pass nothing-like-it", &["nothing-like-it", "checklist"]),
        ("maria", "run v1.2.0 helth", &["helth", "health"]),
        ("maria", "run v1.2.0 deploy", &["cannot be run from chat"]),
        ("maria", "handover v1.2.0 nobody", &["nobody", "roles"]),
        ("maria", "override v1.2.0 seat:chef because", &["seat:chef", "seat:qa"]),
        ("sam", "start v1.2.0", &["You may not start", "Release captain"]),
        ("maria", "start v1.2.0", &["T-0 is at", "reschedule"]),
        ("maria", "rollback v1.2.0 --confirmed", &["Nothing was deployed", "scrub"]),
        ("maria", "schedule web-shop-v1.2.0", &["already open", "Reschedule or scrub"]),
    ];
    all_refused(&program, cases).await;
}

#[tokio::test]
async fn an_ambiguous_release_is_asked_back_with_those_that_fit() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
    program.say("maria", "schedule rolling \"in 9 days 10:00\" --version v1.3.0").await;
    let both: &[&str] = &["Which release", RELEASE, "web-shop/production/v1.3.0#1"];
    let cases: &[(&str, &str, &[&str])] =
        &[("maria", "status", both), ("maria", "go", both), ("maria", "status web-shop", both)];
    all_refused(&program, cases).await;
}

#[tokio::test]
async fn a_time_that_is_past_skipped_or_doubled_is_refused_with_the_possible_ones() {
    let program = Program::start().await;
    let skipped: &[&str] = &[
        "does not exist in America/Los_Angeles",
        "2029-03-11 01:30 America/Los_Angeles",
        "2029-03-11 03:30 America/Los_Angeles",
    ];
    let doubled: &[&str] = &[
        "happens twice in Europe/Berlin",
        "2029-10-28T02:30:00+02:00",
        "2029-10-28T02:30:00+01:00",
    ];
    let cases: &[(&str, &str, &[&str])] = &[
        ("maria", "schedule web-shop-v1.2.0 2020-12-01 10:00", &["is in the past", "The next"]),
        ("maria", "schedule web-shop-v1.2.0 2020-12-01T10:00:00Z", &["is in the past"]),
        ("maria", "schedule web-shop-v1.2.0 2029-03-11 02:30 America/Los_Angeles", skipped),
        ("maria", "schedule web-shop-v1.2.0 2029-10-28 02:30 Europe/Berlin", doubled),
        ("maria", "schedule web-shop-v1.2.0 2029-02-30 10:00", &["For example:"]),
        ("maria", "schedule web-shop-v1.2.0 when pigs fly", &["For example:"]),
        ("maria", "schedule web-shop-v1.2.0 2029-12-01 10:00 Europe/Berln", &["Europe/Berlin"]),
    ];
    all_refused(&program, cases).await;
    assert!(program.say("maria", "list").await.contains("No release is open"));
    // Either of the two that were offered is taken.
    program.say("maria", "schedule web-shop-v1.2.0 2029-10-28T02:30:00+01:00").await;
}

#[tokio::test]
async fn a_typo_in_a_plan_is_told_with_its_line_and_the_key_that_was_meant() {
    let here = Installed::demo();
    let plan = std::fs::read_to_string(SAMPLE).unwrap();
    let typo = plan.replace("captain = ", "captian = ");
    let line = 1 + typo.lines().position(|line| line.starts_with("captian")).unwrap();
    let path = here.write("typo.toml", &typo);
    let place = format!("typo.toml:{line}");
    let checked = here.cli(&["check", path.to_str().unwrap()]).await;
    checked.expect(1, &[&place, "captian", "did you mean `captain`?"]);
    let path = here.write("syntax.toml", &plan.replacen("[release]", "[release", 1));
    here.cli(&["check", path.to_str().unwrap()]).await.expect(1, &["syntax.toml:"]);
    let path = here.write("zone.toml", &plan.replace("America/Los_Angeles", "America/LosAngeles"));
    here.cli(&["check", path.to_str().unwrap()]).await.expect(1, &["zone.toml:", "Los_Angeles"]);
    here.cli(&["check", "nowhere.toml"]).await.expect(1, &["nowhere.toml", "No such file"]);
    assert!(!here.state().exists(), "checking leaves nothing behind");
}

#[tokio::test]
async fn a_typo_in_the_configuration_is_told_with_its_line_and_the_key_that_was_meant() {
    let here = Installed::new("zone = \"UTC\"\n\n[server]\nlisten_on = \"127.0.0.1:0\"\n");
    let parts = ["tminus.toml:4", "listen_on", "`listen`"];
    here.cli(&["config", "check"]).await.expect(1, &parts);
    here.cli(&["serve"]).await.expect(1, &parts);
    here.cli(&["doctor"]).await.expect(1, &parts);
    assert!(!here.state().exists(), "nothing was begun");
}

#[tokio::test]
async fn a_plan_without_a_way_back_is_refused_with_what_is_missing() {
    let here = Installed::demo();
    let plan: String = std::fs::read_to_string(SAMPLE).unwrap();
    let (mut kept, mut keeps) = (String::new(), true);
    for line in plan.lines() {
        if line.starts_with('[') {
            keeps = !line.contains("rollback");
        }
        if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let path = here.write("one-way.toml", &kept);
    let path = path.to_str().unwrap();
    here.cli(&["check", path]).await.expect(1, &["one-way.toml", "[rollback]", "refused"]);
    let found = here.cli(&["check", path, "--json"]).await.expect(1, &[]).json();
    assert_eq!(found["ok"], false);
    here.cli(&["rehearse", path]).await.expect(1, &["[rollback]"]);
}

#[tokio::test]
async fn a_second_instance_on_the_same_directory_is_sent_away() {
    let here = Installed::demo();
    let mut first = here.start().await;
    let process = format!("process {}", first.process());
    let second = here.cli(&["serve", "--listen", "127.0.0.1:0"]).await;
    second.expect(1, &["is in use by another tminus", &process, "another directory"]);
    assert!(first.is_up());
    assert_eq!(first.get("/readyz").await.0, 200);
    here.cli(&["status"]).await.expect(1, &["no release"]);
    assert!(first.stopped().await.success());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let here = Installed::demo();
    assert!(here.start().await.stopped().await.success());
    let file = here.state().join("tminus.db");
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, \
                 execution_time) values (9, 'of the future', 1, x'00', 0)";
    assert!(Tool::new("sqlite3").arg(&file).arg(newer).status().unwrap().success());
    let before = std::fs::read(&file).unwrap();
    let parts = ["written by a newer tminus", "version 9", "up to 1", "install the newer"];
    here.cli(&["serve", "--listen", "127.0.0.1:0"]).await.expect(1, &parts);
    here.cli(&["audit", "verify"]).await.expect(1, &parts);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

/// A click at the page; what the page shows for it.
async fn press(program: &Program, who: &str, command: &str) -> String {
    let body = json!({ "id": key(), "as": who, "channel": "releases", "command": command });
    post(&program.address, "/console/press", &body).await.1
}

/// An id that no deed had before.
fn key() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("a-deed-of-a-test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn post(address: &str, path: &str, body: &Value) -> (u16, String) {
    let request = reqwest::Client::new().post(format!("{address}{path}"));
    let answer = request.header("origin", address).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_click_on_an_outdated_card_is_told_so_and_the_current_one_counts() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0 2029-12-04 10:00").await;
    program.say("ann", "go v1.2.0").await;
    // A move of more than two hours asks everybody again.
    program.say("maria", "reschedule v1.2.0 2029-12-04 15:00 --reason later").await;
    program.settled().await;
    let before = deeds(&program.state).await;
    let answer = press(&program, "ann", &format!("go {RELEASE} --revision 1")).await;
    assert!(answer.contains("out of date") && answer.contains("status"), "{answer}");
    let answer = press(&program, "maria", &format!("start {RELEASE} --revision 1")).await;
    assert!(answer.contains("out of date") && answer.contains("status"), "{answer}");
    let answer = press(&program, "ann", "go web-shop/production/v9.9.9#1 --revision 1").await;
    assert!(answer.contains("know the release"), "{answer}");
    let answer = press(&program, "ann", "dance --revision 1").await;
    assert!(answer.contains("I don't know"), "{answer}");
    program.settled().await;
    assert_eq!(deeds(&program.state).await, before);
    let answer = press(&program, "ann", &format!("go {RELEASE} --revision 2")).await;
    assert!(answer.contains("is recorded"), "{answer}");
}

/// Signed by every seat, the rollback rehearsed.
async fn made_ready(program: &Program, version: &str) {
    for seat in ["ann", "quinn", "paula", "sam", "sid"] {
        program.say(seat, &format!("go {version}")).await;
    }
    program.say("dave", &format!("rollback {version} --dry-run")).await;
    program.settled().await;
}

/// Jumps to T-0, and starts.
async fn started(program: &Program, version: &str) {
    for _ in 0..40 {
        let (ok, answer) = program.ask("maria", &format!("start {version}")).await;
        if ok {
            return;
        }
        assert!(answer.contains("T-0 is at"), "{answer}");
        assert!(program.jump().await, "{answer}");
    }
    panic!("T-0 never came");
}

#[tokio::test]
async fn after_the_start_nobody_votes_and_no_other_release_of_the_service_starts() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0 2029-12-04 10:00").await;
    let next = "schedule web-shop-v1.2.0 2029-12-04 10:00 --version v1.3.0";
    program.say("maria", next).await;
    made_ready(&program, "v1.2.0").await;
    made_ready(&program, "v1.3.0").await;
    started(&program, "v1.2.0").await;
    let busy: &[&str] = &["v1.2.0", "web-shop/production", "One at a time"];
    let cases: &[(&str, &str, &[&str])] = &[
        ("maria", "start v1.3.0", busy),
        ("ann", "go v1.2.0", &["The poll closed with the start", "hold", "rollback"]),
        ("sam", "no-go v1.2.0 too late", &["The poll closed with the start"]),
        ("maria", "reschedule v1.2.0 2029-12-05 10:00", &["has not started"]),
        ("maria", "scrub v1.2.0 changed my mind", &["rollback"]),
        ("maria", "schedule web-shop-v1.2.0", &["already open"]),
    ];
    // What the start set going goes on meanwhile: that one is not ours to compare.
    program.until("Pod 1 deployed").await;
    all_refused(&program, cases).await;
    while !program.say("maria", "status v1.2.0").await.contains("watch") {
        let _ = program.ask("maria", "advance v1.2.0").await;
        assert!(program.jump().await);
        program.settled().await;
    }
    let settling: &[(&str, &str, &[&str])] = &[("maria", "start v1.3.0", busy)];
    all_refused(&program, settling).await;
}
