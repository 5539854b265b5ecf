//! Bad input: the answer says what was wrong and what would be right, and nothing has changed.

use std::path::Path;
use std::process::Command as Tool;

use serde_json::{Value, json};
use tminus::app::grammar;
use tminus::domain::plan::EvidenceKind;

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
        for offered in offered(&answer) {
            let read = grammar::read(offered, &grammar::looks_like_a_release);
            if let Err(wrong) = read {
                missing.push(format!("{line}\noffers `{offered}`, which is wrong: {wrong}\n"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    program.settled().await;
    assert_eq!(deeds(&program.state).await, before);
}

/// The lines behind the buttons of an answer.
fn offered(answer: &str) -> impl Iterator<Item = &str> {
    // A sentence may name a command as well, and goes on after it.
    let behind = |line: &'_ str| line.starts_with("- ") || line.starts_with("To do it: ");
    let lines = answer.lines().filter(move |line| behind(line));
    lines.filter_map(|line| line.split_once(": /release ").map(|(_, offered)| offered))
}

#[tokio::test]
async fn what_is_not_understood_is_answered_with_what_would_be() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
    let cases: &[(&str, &str, &[&str])] = &[
        ("maria", "shedule v1.2.0", &["I don't know", "Did you mean schedule?", "For example:"]),
        ("maria", "", &["/release help"]),
        ("maria", "status v9.9.9", &["I don't know the release v9.9.9", "/release status v1.2.0"]),
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
        ("maria", "run v1.2.0 health pod=2", &["pod", "takes no arguments"]),
        (
            "maria",
            "freeze add \"2029-12-24 00:00\" \"2029-12-20 00:00\" holidays",
            &["2029-12-20 00:00", "before it begins"],
        ),
    ];
    all_refused(&program, cases).await;
}

#[tokio::test]
async fn an_ambiguous_release_is_asked_back_with_those_that_fit() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
    program.say("maria", "schedule rolling \"in 9 days 10:00\" --version v1.3.0").await;
    let both: &[&str] = &["Which release", "v1.2.0", "v1.3.0"];
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
    let past = plan.replacen("\nstart = ", "\nstart = \"2020-01-01 10:00\" # ", 1);
    let path = here.write("past.toml", &past);
    let told = ["past.toml:", "is in the past", "The next one is"];
    here.cli(&["check", path.to_str().unwrap()]).await.expect(1, &told);
    let json = here.cli(&["--json", "check", path.to_str().unwrap()]).await.expect(1, &[]).json();
    assert!(json["problems"][0].as_str().unwrap().contains("is in the past"), "{json}");
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

fn with_announcement(text: &str, audience: &str, template: &str) -> String {
    format!(
        "{text}\n[[announcement]]\nid = \"soon\"\nat = \"T-2h\"\naudience = \"{audience}\"\n\
         template = \"{template}\"\n"
    )
}

#[tokio::test]
async fn an_announcement_without_words_is_told_with_its_line_and_the_template_that_was_meant() {
    let here = of_many_scripts();
    let config = std::fs::read_to_string(here.path("tminus.toml")).unwrap();
    let config = format!("{config}\n[messages]\ndirectory = \"words\"\n");
    here.write("words/announce-party.md", "Party: {{ title }}\n");
    let named = |template: &str| with_announcement(&config, "internal", template);
    let last = |text: &str| text.lines().count();

    here.write("tminus.toml", &named("t-84h"));
    let place = format!("tminus.toml:{}", last(&named("t-84h")));
    here.cli(&["config", "check"]).await.expect(1, &[&place, "`t-84h`", "did you mean `t-48h`?"]);
    here.write("tminus.toml", &named("announce-party"));
    here.cli(&["config", "check"]).await.expect(0, &[]);

    let plan = std::fs::read_to_string(SAMPLE).unwrap();
    let plan = with_announcement(&plan, "internal", "announce-prty");
    let path = here.write("plans/party.toml", &plan);
    let place = format!("party.toml:{}", last(&plan));
    let parts = [place.as_str(), "`announce-prty`", "Did you mean `announce-party`?"];
    here.cli(&["config", "check"]).await.expect(1, &parts);
    here.cli(&["check", path.to_str().unwrap()]).await.expect(1, &parts);
    let demo = Installed::demo();
    let path = demo.write("plan.toml", &plan.replace("announce-prty", "t-84h"));
    let parts = ["plan.toml:", "Did you mean `t-48h`?"];
    demo.cli(&["check", path.to_str().unwrap()]).await.expect(1, &parts);
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
async fn a_wrong_filter_of_the_log_is_refused_by_the_name_that_it_came_by() {
    let here = Installed::demo();
    let mut serve = here.command(&["serve", "--listen", "127.0.0.1:0"]);
    let refused = serve.env("TMINUS_LOG", "tminus=wat").output().await.unwrap();
    Ended::of(refused).expect(1, &["TMINUS_LOG: `tminus=wat` is no filter", "write `info`"]);
    assert!(!here.state().exists(), "nothing was begun");
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
    let known = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let known = format!("up to {};", known.count());
    let parts = ["written by a newer tminus", "version 9", &known, "install the newer"];
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
    // What was found of one version says nothing about another.
    for kind in EvidenceKind::ALL.into_iter().filter(|kind| kind.name() != "rollback-rehearsal") {
        program.say("ann", &format!("evidence v1.3.0 {} pass", kind.name())).await;
    }
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
    for _ in 0..30 {
        if program.everything().await.contains("is rolled out") {
            break;
        }
        let advanced = program.ask("maria", "advance v1.2.0").await.0;
        assert!(
            advanced || program.jump().await,
            "{}",
            program.say("maria", "status v1.2.0").await
        );
        program.settled().await;
    }
    let settling: &[(&str, &str, &[&str])] = &[("maria", "start v1.3.0", busy)];
    all_refused(&program, settling).await;
}

// ---------------------------------------------------------------------------------------------
// Texts

#[tokio::test]
async fn a_text_of_ten_thousand_characters_is_refused_with_the_limit() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
    let (long, longer) = ("\u{1f680}".repeat(2_000), "a".repeat(10_000));
    let limit = &["1000", "Say it shorter, or link to it"][..];
    let lines = [
        ("maria", format!("update v1.2.0 {longer}")),
        ("sam", format!("no-go v1.2.0 {longer}")),
        ("sam", format!("no-go v1.2.0 {long}")),
        ("sam", format!("hold v1.2.0 {long}")),
        ("maria", format!("announce v1.2.0 {long}")),
        ("maria", format!("scrub v1.2.0 {long}")),
        ("maria", format!("lock v1.2.0 {long}")),
        ("maria", format!("override v1.2.0 seat:qa {long}")),
        ("maria", format!("accept v1.2.0 search --reason={long}")),
        ("maria", format!("checklist v1.2.0 waive rollback --reason={long}")),
        ("ann", format!("evidence v1.2.0 staging pass --note={long}")),
        ("maria", format!("reschedule v1.2.0 2029-12-04 10:00 --reason={long}")),
        ("maria", format!("schedule web-shop-v1.2.0 --version v9.0.0 --title={long}")),
        ("maria", format!("status {longer}")),
    ];
    let cases: Vec<_> = lines.iter().map(|(who, line)| (*who, line.as_str(), limit)).collect();
    all_refused(&program, &cases).await;
    let before = deeds(&program.state).await;
    let mut answers = Vec::new();
    let deed = || json!({ "id": key(), "as": "sam", "channel": "releases" });
    let with = |more: Value| {
        let mut deed = deed();
        deed.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        deed
    };
    let form = json!({ "command": format!("no-go {RELEASE}"), "fields": { "reason": longer } });
    answers.push(post(&program.address, "/console/submit", &with(form)).await);
    let line = json!({ "line": format!("/release hold v1.2.0 {longer}") });
    answers.push(post(&program.address, "/console/say", &with(line)).await);
    // What is no command is chat, and may be long.
    let chat = post(&program.address, "/console/say", &with(json!({ "line": longer }))).await;
    assert_eq!(chat.0, 200, "{}", chat.1);
    answers.push(post(&program.address, "/console/press", &with(json!({"command": longer}))).await);
    let huge = json!({ "line": "a".repeat(100_000) });
    answers.push(post(&program.address, "/console/say", &with(huge)).await);
    for (status, answer) in &answers {
        assert!(*status < 500, "{status} {answer}");
        let short = ["horter", "too long", "longer than"];
        assert!(short.iter().any(|word| answer.contains(word)), "{status} {answer:.300}");
    }
    assert_eq!(deeds(&program.state).await, before);
}

const NAMES: [&str; 4] = [
    "Zo\u{eb} \u{1f469}\u{200d}\u{1f680}",
    "\u{645}\u{631}\u{64a}\u{645}",
    "\u{5e9}\u{5b8}\u{5c1}\u{5dc}\u{5d5}\u{5b9}\u{5dd}",
    "\u{6728}\u{6751} *_`[x](y)`",
];
const TITLE: &str = "\u{645}\u{62a}\u{62c}\u{631} \u{1f6d2} <b>&amp; *bold* \u{5e9}";

/// The sample installation with people of many scripts, and its plan with such a name.
fn of_many_scripts() -> Installed {
    let mut config = std::fs::read_to_string("config/default.toml").unwrap();
    for (id, name) in ["Maria", "Ann", "Quinn", "Paula"].iter().zip(NAMES) {
        config = config.replace(&format!("name = \"{id}\""), &format!("name = '{name}'"));
    }
    let config = config.replace("{demo_url}", "http://127.0.0.1:9");
    let config = format!("{config}\n[console.tokens]\nmaria = {{ env = \"TOKEN\" }}\n");
    let here = Installed::new(&config).with_env("TOKEN", &"t".repeat(40));
    let plan = std::fs::read_to_string(SAMPLE).unwrap();
    let plan = plan.replace("name = \"Web shop\" ", &format!("name = '{TITLE}' "));
    let plan = plan.replace("name = \"new dashboard\"", &format!("name = '{TITLE}'"));
    here.write("plans/many.toml", &plan);
    here
}

#[tokio::test]
async fn names_of_every_script_are_shown_intact_in_a_whole_release() {
    let here = of_many_scripts();
    let plan = here.path("plans/many.toml");
    let report = here.path("report.md");
    let (plan, report) = (plan.to_str().unwrap(), report.to_str().unwrap());
    here.cli(&["check", plan]).await.expect(0, &[TITLE]);
    let rehearsed = here.cli(&["rehearse", plan, "--report", report]).await.expect(0, &[]);
    for what in [TITLE, NAMES[0]] {
        assert!(rehearsed.out.contains(what), "{what}: {}", rehearsed.out);
    }
    assert!(std::fs::read_to_string(report).unwrap().contains(NAMES[0]));
    for paper in ["plan", "checklist", "rollback", "notes", "technical-notes"] {
        here.cli(&["document", paper, "--plan", plan]).await.expect(0, &["v1.2.0"]);
    }
    let mut running = here.start().await;
    let (_, answer) = running.line(&"t".repeat(40), "schedule many in 30h").await;
    assert_eq!(answer["ok"], true, "{answer}");
    assert!(answer["text"].as_str().unwrap().contains(TITLE), "{answer}");
    let (_, status) = running.line(&"t".repeat(40), "status").await;
    for what in [TITLE, NAMES[1], NAMES[2], NAMES[3]] {
        assert!(status["text"].as_str().unwrap().contains(what), "{what}: {status}");
    }
    assert!(running.is_up());
}

#[tokio::test]
async fn a_broken_template_is_named_at_the_start_and_ours_speaks_instead() {
    let here = of_many_scripts();
    let config = std::fs::read_to_string(here.path("tminus.toml")).unwrap();
    here.write("tminus.toml", &format!("{config}\n[messages]\ndirectory = \"words\"\n"));
    here.write("words/answer-no-release.md", "Nothing\nhere: {{ oops\n");
    here.write("words/answer-refused.md", "NO! {{ why }}\n");
    here.write("words/answr-wrong.md", "{{ what }}\n");
    let folder = here.path("words");
    let places = ["answer-no-release.md:2", "answr-wrong.md"];
    let [broken, misnamed] = places.map(|name| folder.join(name).display().to_string());
    let parts = [broken.as_str(), &misnamed, "`answer-wrong.md`"];
    here.cli(&["config", "check"]).await.expect(1, &parts);
    let running = here.start().await;
    let logged = here.logged();
    for part in [&parts[..], &["the built-in text is used instead"]].concat() {
        assert!(logged.contains(part), "{part}: {logged}");
    }
    let token = "t".repeat(40);
    let (_, ours) = running.line(&token, "status").await;
    assert!(ours["text"].as_str().unwrap().starts_with("There is no release yet"), "{ours}");
    let (_, theirs) = running.line(&token, "schedule many in 30h").await;
    assert_eq!(theirs["ok"], true, "{theirs}");
    let (_, theirs) = running.line(&token, "start v1.2.0").await;
    assert!(theirs["text"].as_str().unwrap().starts_with("NO! "), "{theirs}");
}

// ---------------------------------------------------------------------------------------------
// What is meant to be more than a text

#[tokio::test]
async fn nothing_that_is_said_becomes_an_option_a_path_or_a_second_line() {
    let program = Program::start().await;
    program.say("maria", "schedule web-shop-v1.2.0 \"2029-12-04 10:00\"").await;
    let mut cases = Vec::new();
    for plan in ["../../etc/passwd", "/etc/passwd", "..", "default.toml\0", "plans/../web-shop"] {
        cases.push((format!("schedule {plan}"), "I don't know the plan"));
    }
    let odd = ["--help", "-rf", "../../x", "v1/../../x", "v1\nv2", "v1\0", "$(id)", "`id`", "a;b"];
    for version in odd.iter().chain(&["<!channel>", "@everyone", "a\u{202e}b", "%00 x"]) {
        cases.push((format!("schedule rolling --version=\"{version}\""), "version"));
    }
    for release in ["../../etc/passwd", "web-shop/production/../../x", "@everyone", "v1.2.0\0"] {
        for line in ["status", "plan", "report", "audit"] {
            cases.push((format!("{line} {release}"), "release"));
        }
    }
    for action in ["../health", "--help2", "/bin/sh", "health;id"] {
        cases.push((format!("run v1.2.0 {action}"), "action"));
    }
    let shown: Vec<_> = cases.iter().map(|(line, part)| (line.as_str(), *part)).collect();
    let parts: Vec<[&str; 1]> = shown.iter().map(|(_, part)| [*part]).collect();
    let lines = shown.iter().zip(&parts).map(|((line, _), parts)| ("maria", *line, &parts[..]));
    all_refused(&program, &lines.collect::<Vec<_>>()).await;
    let mut files = std::fs::read_dir(program.state.join("..")).unwrap();
    assert!(files.all(|file| !file.unwrap().file_name().to_string_lossy().contains("passwd")));
}

/// Every mention and every link of a page.
fn marks(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(parts) => parts.iter().flat_map(marks).collect(),
        Value::Object(parts) => {
            let own = parts.iter().filter(|(name, _)| ["mention", "link"].contains(&name.as_str()));
            own.map(|(_, mark)| mark).chain(parts.values().flat_map(marks)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test]
async fn a_note_with_everyone_in_it_is_a_text_wherever_it_is_kept() {
    let program = Program::start().await;
    let loud = "@everyone <!channel> [x](person:console/local/john) https://evil.example **b**";
    program.say("maria", "schedule web-shop-v1.2.0").await;
    program.say("ann", &format!("evidence v1.2.0 staging pass --note=\"{loud}\"")).await;
    program.say("maria", &format!("announce v1.2.0 {loud}")).await;
    program.until("@everyone <!channel>").await;
    let page: Value = program.get("/console/state?as=maria").await.json().await.unwrap();
    for mark in marks(&page) {
        let mark = mark.to_string();
        let made = ["everyone", "!channel", "john", "evil.example"];
        assert!(!made.iter().any(|word| mark.contains(word)), "{mark}");
    }
    for line in ["status v1.2.0", "checklist v1.2.0", "audit v1.2.0"] {
        program.say("maria", line).await;
    }
}

// ---------------------------------------------------------------------------------------------
// Disks

/// A file system of its own, in memory, where this machine lets a test mount one.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mounted(at: &'a Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Tool::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        done.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }

    fn remounted(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Tool::new("mount").args(["-o", &options]).arg(self.0).status().unwrap();
        assert!(done.success());
    }

    fn fill(&self) -> std::path::PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        let (page, mut written) = ([0_u8; 4096], 0);
        while std::io::Write::write_all(&mut file, &page).is_ok() {
            written += 1;
        }
        assert!(written > 0, "there was no space to take");
        ballast
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Tool::new("umount").arg("-l").arg(self.0).status();
    }
}

fn token_of(here: &Installed) -> String {
    std::fs::read_to_string(here.state().join("token")).unwrap().trim().to_owned()
}

/// Until a line is not recorded; the space that the log still has is used up before.
async fn not_recorded(running: &Running, token: &str) -> Value {
    for attempt in 0..200 {
        let reason = format!("hold v1.2.0 attempt {attempt} {}", "x".repeat(900));
        let (status, answer) = running.line(token, &reason).await;
        if status == 503 {
            return answer;
        }
        running.line(token, "resume v1.2.0").await;
    }
    panic!("it was recorded all the time");
}

#[tokio::test]
async fn on_a_full_disk_it_says_not_recorded_stays_up_and_goes_on_when_there_is_space() {
    let here = Installed::demo();
    let state = here.state();
    let Some(disk) = Disk::mounted(&state, "size=8m") else {
        return a_write_beyond_the_limit_is_not_hidden().await;
    };
    let mut running = here.start().await;
    let token = token_of(&here);
    running.line(&token, "schedule web-shop-v1.2.0").await;
    let ballast = disk.fill();
    let answer = not_recorded(&running, &token).await;
    assert!(answer["error"].as_str().unwrap().contains("not recorded"), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("disk is full"), "{answer}");
    let (status, problems) = running.get("/readyz").await;
    assert!(status == 503 && problems.contains("the disk is full"), "{status} {problems}");
    assert_eq!(running.get("/healthz").await.0, 200);
    let (status, shown) = running.line(&token, "status v1.2.0").await;
    assert!(status == 200 && shown["ok"] == true, "reading works: {shown}");
    here.cli(&["go", "v1.2.0"]).await.expect(4, &["not recorded"]);
    assert!(running.is_up());
    std::fs::remove_file(ballast).unwrap();
    let (_, answer) = running.line(&token, "update v1.2.0 there is space again").await;
    assert_eq!(answer["ok"], true, "{answer}");
    running.until("it is ready again", async || running.get("/readyz").await.0 == 200).await;
    here.cli(&["audit", "verify"]).await.expect(0, &["The log is what was written"]);
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn a_write_that_fails_in_any_other_way_is_not_hidden_either() {
    a_write_beyond_the_limit_is_not_hidden().await;
}

/// A limit on the size of files makes a write fail at an arbitrary place. Nobody can tell what is
/// on the disk then: it says so and ends, and a new start finds out.
async fn a_write_beyond_the_limit_is_not_hidden() {
    let mut here = Installed::demo().with_limits("trap '' XFSZ; ulimit -f 1024");
    let running = here.start().await;
    let token = token_of(&here);
    running.line(&token, "schedule web-shop-v1.2.0").await;
    let answer = not_recorded(&running, &token).await;
    // Whichever write was the first to fail: ours, or that of a message.
    let said = answer["error"].as_str().unwrap();
    assert!(said.contains("I cannot tell") || said.contains("I am stopping"), "{answer}");
    assert_eq!(running.ended().await.code(), Some(70));
    here.without_limits();
    let running = here.start().await;
    here.cli(&["audit", "verify"]).await.expect(0, &["The log is what was written"]);
    here.cli(&["update", "v1.2.0", "there", "is", "space", "again"]).await.expect(0, &[]);
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn on_a_read_only_disk_it_says_so_and_does_not_start() {
    let here = Installed::demo();
    let state = here.state();
    let parts = ["cannot be written", "mounted for writing"];
    let Some(disk) = Disk::mounted(&state, "size=8m") else {
        // Nobody may create a directory there, not even the owner of the machine.
        let served = here.command(&["serve", "--state", "/proc/1/tminus"]).output().await.unwrap();
        let served = Ended::of(served);
        return drop(served.expect(1, &["/proc/1/tminus"]));
    };
    here.start().await.stopped().await;
    disk.remounted("ro");
    here.cli(&["serve", "--listen", "127.0.0.1:0"]).await.expect(1, &parts);
    here.cli(&["audit", "verify"]).await.expect(0, &["The log is what was written"]);
    disk.remounted("rw");
    assert!(here.start().await.stopped().await.success());
}
