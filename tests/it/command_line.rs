//! The command line: what it teaches, how it ends, and that programs can read it.

use serde_json::Value;

use crate::installed::{Ended, Installed};

const SAMPLE: &str = "config/plans/web-shop-v1.2.0.toml";
const PLANS: [&str; 7] = [
    "config/plans/canary.toml",
    "config/plans/direct.toml",
    "config/plans/flag.toml",
    "config/plans/flag-quick.toml",
    "config/plans/flag-slow.toml",
    "config/plans/rolling.toml",
    SAMPLE,
];
const PAPERS: [(&str, &str); 6] = [
    ("plan", "# Release plan: Web shop v"),
    ("checklist", "# Deployment checklist: Web shop v"),
    ("rollback", "# Rollback plan: Web shop v"),
    ("notes", "# Web shop v"),
    ("technical-notes", "# Web shop v"),
    ("report", "# Post-deployment report: Web shop v"),
];

#[tokio::test]
async fn the_help_of_every_command_teaches() {
    let here = Installed::demo();
    let parts = ["Examples:", "Exit status:", "TMINUS_URL", "rehearse", "no-go", "--json"];
    let help = here.cli(&["--help"]).await.expect(0, &parts);
    let commands = help.out.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = commands.take_while(|line| line.starts_with("  "));
    let commands = commands.filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|name| *name != "help").collect();
    assert!(commands.len() > 35, "{commands:?}");
    for command in commands {
        let help = here.cli(&[command, "--help"]).await.expect(0, &["Usage:"]);
        assert!(help.out.lines().next().is_some_and(|about| about.len() > 10), "{}", help.out);
        assert!(help.err.is_empty(), "{}", help.err);
    }
    for two in [["audit", "verify"], ["audit", "export"], ["config", "check"], ["freeze", "add"]] {
        here.cli(&[two[0], two[1], "--help"]).await.expect(0, &["Usage:"]);
    }
    here.cli(&["help", "rehearse"]).await.expect(0, &["--trouble"]);
    here.cli(&["--version"]).await.expect(0, &["tminus "]);
    assert!(!here.state().exists(), "asking for help leaves nothing behind");
}

#[tokio::test]
async fn what_is_not_understood_ends_with_two() {
    let here = Installed::demo();
    let wrong: &[(&[&str], &str)] = &[
        (&["shedule"], "schedule"),
        (&["--stat", "x"], "--state"),
        (&["check"], "PLAN"),
        (&["audit", "export", "--format", "xml"], "jsonl"),
        (&["audit", "export", "--from", "yesterday"], "2026-12-01"),
        (&["audit", "verify", "--against", "nonsense"], "nonsense"),
        (&["document", "poem"], "rollback"),
        (&["rehearse", SAMPLE, "--trouble", "flood"], "failed-step"),
        (&["evidence", "v1.2.0", "stagin", "pass"], "staging"),
        (&["completions", "csh"], "zsh"),
        (&["serve", "--listen", "everywhere"], "--listen"),
        (&["config"], "check"),
    ];
    for (args, right) in wrong {
        let ended = here.cli(args).await.expect(2, &[right]);
        assert!(ended.out.is_empty(), "{args:?}: {}", ended.out);
    }
}

#[tokio::test]
async fn completions_of_every_shell_know_the_verbs() {
    let here = Installed::demo();
    for shell in ["bash", "zsh", "fish"] {
        let script = here.cli(&["completions", shell]).await.expect(0, &["rollback", "rehearse"]);
        assert!(script.out.len() > 1_000, "{shell}");
    }
}

#[tokio::test]
async fn whoever_reads_the_files_beside_it_may_read_a_document() {
    use std::os::unix::fs::PermissionsExt;
    let here = Installed::demo();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let usual = mode(&here.write("usual.md", "as any other program writes it"));
    assert_ne!(usual, 0o600, "the umask of these tests lets others read");
    let (report, notes) = (here.path("report.md"), here.path("notes.md"));
    here.cli(&["rehearse", SAMPLE, "--report", report.to_str().unwrap()]).await.expect(0, &[]);
    here.cli(&["document", "notes", "--plan", SAMPLE, "-o", notes.to_str().unwrap()])
        .await
        .expect(0, &[]);
    assert_eq!([mode(&report), mode(&notes)], [usual; 2]);
}

#[tokio::test]
async fn a_start_without_an_address_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let here = Installed::demo();
    here.cli(&["serve", "--listen", &address]).await.expect(1, &["I cannot listen on", &address]);
    assert!(!here.state().exists());
}

#[tokio::test]
async fn every_plan_that_is_shipped_can_be_scheduled() {
    let here = Installed::demo();
    for plan in PLANS {
        here.cli(&["check", plan])
            .await
            .expect(0, &["can be scheduled", "Risk:", "Rolled back by"]);
        let found = here.cli(&["check", plan, "--json"]).await.expect(0, &[]).json();
        assert_eq!(found["ok"], true, "{found}");
        assert!(found["findings"].is_array() && found["risk"].is_string(), "{found}");
    }
    let found = here.cli(&["check", "nowhere.toml", "--json"]).await.expect(1, &[]).json();
    assert_eq!(found["ok"], false, "{found}");
}

#[tokio::test]
async fn what_a_plan_says_steers_no_terminal() {
    let here = Installed::demo();
    let plan = std::fs::read_to_string(SAMPLE).unwrap();
    let named = "name = \"Web \\u001b[2Jshop\\u202e\"";
    assert!(plan.contains("name = \"Web shop\""));
    let plan = here.write("odd.toml", &plan.replacen("name = \"Web shop\"", named, 1));
    let plan = plan.to_str().unwrap();
    let shown = "Web \\u001b[2Jshop\\u202e";
    for args in [["check", plan].as_slice(), &["rehearse", plan]] {
        let ended = here.cli(args).await.expect(0, &[shown]);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ended.out.contains(steers), "{}", ended.out);
    }
    let exact = here.cli(&["check", plan, "--json"]).await.expect(0, &[]).json();
    assert_eq!(exact["ok"], true, "{exact}");
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let here = Installed::demo();
    let running = here.start().await;
    here.cli(&["schedule", "web-shop-v1.2.0", "in 50h"]).await.expect(0, &[]);
    let lines: &[&[&str]] = &[
        &["agenda"],
        &["agenda", "--json"],
        &["check", SAMPLE],
        &["audit", "export"],
        &["audit", "export", "--format", "csv"],
        &["document", "plan"],
        &["completions", "bash"],
    ];
    for line in lines {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = here.command(line);
        let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        // The command holds the writing end too.
        drop(command);
        let ended = Ended::of(child.wait_with_output().await.unwrap());
        assert!(ended.err.is_empty(), "{line:?}: {ended:?}");
        ended.expect(0, &[]);
    }
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn the_default_and_the_sample_configuration_are_sound() {
    let here = Installed::demo();
    here.cli(&["config", "check"]).await.expect(0, &["The embedded default is sound"]);
    let sample = std::fs::read_to_string("config/tminus.toml").unwrap();
    let here = Installed::new(&sample);
    let unset = here.cli(&["config", "check"]).await;
    unset.expect(1, &["tminus.toml:", "TMINUS_TOKEN_MARIA", "not set"]);
    let found = here.cli(&["doctor", "--json"]).await.expect(1, &[]).json();
    assert_eq!(found["ok"], false, "{found}");
    let here = Installed::new(&sample).with_env("TMINUS_TOKEN_MARIA", &"m".repeat(40));
    here.cli(&["config", "check"]).await.expect(0, &["is sound"]);
    let found = here.cli(&["config", "check", "--json"]).await.expect(0, &[]).json();
    assert_eq!((&found["ok"], &found["problems"]), (&true.into(), &Value::Array(vec![])));
    // Its programs are not on this machine, and that is said.
    here.cli(&["doctor"]).await.expect(1, &["✗ action deploy", "/usr/local/bin/deploy"]);
}

#[tokio::test]
async fn every_document_can_be_written_with_and_without_a_running_bot() {
    let here = Installed::demo();
    let running = here.start().await;
    here.cli(&["schedule", "web-shop-v1.2.0"]).await.expect(0, &["is scheduled"]);
    for (paper, title) in PAPERS {
        here.cli(&["document", paper, "v1.2.0"]).await.expect(0, &[title, "v1.2.0"]);
    }
    assert!(running.stopped().await.success());
    let before = std::fs::read(here.state().join("tminus.db")).unwrap();
    for (paper, title) in PAPERS {
        let offline = here.cli(&["document", paper]).await.expect(0, &[title, "v1.2.0"]);
        let path = here.path("paper.md");
        let path = path.to_str().unwrap();
        let written = here.cli(&["document", paper, "v1.2.0", "-o", path]).await.expect(0, &[]);
        assert!(written.out.is_empty(), "{}", written.out);
        assert_eq!(std::fs::read_to_string(path).unwrap(), offline.out);
        for plan in PLANS {
            let of_plan = here.cli(&["document", paper, "--plan", plan]).await;
            match paper {
                "report" => {
                    of_plan.expect(1, &[&format!("`tminus rehearse {plan} --report FILE`")])
                }
                _ => of_plan.expect(0, &[title]),
            };
        }
    }
    here.cli(&["document", "report"]).await.expect(0, &["**IN PROGRESS** · counting down"]);
    here.cli(&["document", "plan", "v9.9.9"]).await.expect(1, &["v9.9.9", "Say `v1.2.0`."]);
    assert_eq!(std::fs::read(here.state().join("tminus.db")).unwrap(), before);
    let empty = Installed::demo();
    empty.cli(&["document", "plan", "v1.2.0"]).await.expect(1, &["there is no log"]);
}

#[tokio::test]
async fn the_log_is_verified_and_exported_beside_the_running_writer() {
    let here = Installed::demo();
    let running = here.start().await;
    here.cli(&["schedule", "web-shop-v1.2.0"]).await.expect(0, &[]);
    here.cli(&["audit", "verify"]).await.expect(0, &["The log is what was written", "sha256:"]);
    let found = here.cli(&["audit", "verify", "--json"]).await.expect(0, &[]).json();
    let head = found["head"].as_str().unwrap().to_owned();
    here.cli(&["audit", "verify", "--against", &head]).await.expect(0, &[]);
    let forged = format!("{} sha256:{}", head.split(' ').next().unwrap(), "0".repeat(64));
    here.cli(&["audit", "verify", "--against", &forged]).await.expect(1, &["damaged"]);
    let entries = found["entries"].as_u64().unwrap() as usize;
    let lines = here.cli(&["audit", "export"]).await.expect(0, &[]).out;
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert!(lines.lines().count() >= entries);
    let table = here.cli(&["audit", "export", "--format", "csv"]).await.expect(0, &[]).out;
    assert!(table.starts_with("seq,at,description,actor"), "{table}");
    let page = here.cli(&["audit", "export", "--format", "markdown"]).await.expect(0, &[]).out;
    assert!(page.starts_with("| seq | at |"), "{page}");
    let path = here.path("log.jsonl");
    let args = ["audit", "export", "--release", "v1.2.0", "-o", path.to_str().unwrap()];
    here.cli(&args).await.expect(0, &["entries are in"]);
    let of_it = std::fs::read_to_string(&path).unwrap();
    assert!(
        of_it.lines().all(|line| line.contains("\"release\":\"web-shop/production/v1.2.0#1\""))
    );
    let later = here.cli(&["audit", "export", "--from", "2099-01-01"]).await.expect(0, &[]);
    assert!(later.out.is_empty(), "{}", later.out);
    here.cli(&["audit", "--last", "2"]).await.expect(0, &["The last 2 entries"]);
    assert!(running.stopped().await.success());
    here.cli(&["audit", "verify"]).await.expect(0, &["The log is what was written"]);
}

#[tokio::test]
async fn a_rehearsal_ends_with_what_would_have_happened() {
    let here = Installed::demo();
    let report = here.path("report.md");
    let troubles: [(&[&str], i32, &str); 5] = [
        (&[], 0, "would have launched: SUCCESS, DEPLOYED"),
        (&["--trouble", "no-go"], 1, "would not have launched"),
        (&["--trouble", "failed-step"], 0, "ROLLED_BACK"),
        (&["--trouble", "late"], 0, "would have launched: SUCCESS"),
        (&["--trouble", "crash"], 0, "is killed in"),
    ];
    for (trouble, status, verdict) in troubles {
        let _ = std::fs::remove_file(&report);
        let mut args = vec!["rehearse", SAMPLE, "--report", report.to_str().unwrap()];
        args.extend(trouble);
        here.cli(&args).await.expect(status, &["T-48h", verdict, "The report is in"]);
        let written = std::fs::read_to_string(&report).unwrap();
        assert!(written.starts_with("# Post-deployment report"), "{written}");
        args.push("--json");
        let found = here.cli(&args).await.expect(status, &[]).json();
        assert_eq!(found["launched"], status == 0, "{found}");
        assert!(found["timeline"].as_array().is_some_and(|lines| lines.len() > 5), "{found}");
    }
    assert!(!here.state().exists(), "a rehearsal leaves nothing behind");
}

#[tokio::test]
async fn a_rehearsal_shows_what_the_numbers_would_do() {
    let here = Installed::demo();
    let plan = "config/plans/canary.toml";
    let troubles: [(&[&str], &str, &str); 4] = [
        (&[], "would have launched: SUCCESS, DEPLOYED", "Advance"),
        (&["--trouble", "red-metric"], "ROLLED_BACK", "Rolling Web shop back"),
        (&["--trouble", "no-data"], "ROLLED_BACK", "cannot be told: no data"),
        (&["--trouble", "flapping"], "ROLLED_BACK", "the numbers do not settle"),
    ];
    for (trouble, verdict, said) in troubles {
        let mut args = vec!["rehearse", plan];
        args.extend(trouble);
        let told = here.cli(&args).await.expect(0, &["T-48h", verdict]);
        if !trouble.is_empty() {
            assert!(told.out.contains(said), "{trouble:?}: {}", told.out);
        }
        if trouble.last() == Some(&"flapping") {
            assert!(!told.out.contains("The numbers rolled it back"), "{}", told.out);
        }
    }
    let args = ["rehearse", "config/plans/rolling.toml", "--trouble", "red-metric"];
    here.cli(&args).await.expect(1, &["No numbers judge this plan"]);
}

#[tokio::test]
async fn verbs_go_to_the_running_bot_and_end_as_they_were_answered() {
    let here = Installed::demo();
    let running = here.start().await;
    here.cli(&["list"]).await.expect(0, &["No release is open"]);
    here.cli(&["status"]).await.expect(1, &["There is no release yet"]);
    here.cli(&["schedule", "web-shop-v1.2.0", "in 80h"]).await.expect(0, &["is scheduled"]);
    here.cli(&["status", "v1.2.0"]).await.expect(0, &["waits for 5 sign-offs"]);
    here.cli(&["agenda"]).await.expect(0, &["announce T-48h", "announce T-24h"]);
    let status = here.cli(&["status", "--json"]).await.expect(0, &[]).json();
    assert!(status["ok"] == true && status["message"]["body"].is_array(), "{status}");
    let refused = here.cli(&["start", "--json"]).await.expect(1, &[]).json();
    assert!(refused["ok"] == false, "{refused}");
    here.cli(&["go", "v1.2.0"]).await.expect(1, &["You hold no seat"]);
    as_person(&here, "ann", &["go", "v1.2.0"]).await.expect(0, &["GO for Engineering"]);
    here.cli(&["say", "--as", "quinn", "go", "v1.2.0"]).await.expect(0, &["GO for QA"]);
    here.cli(&["say", "status v1.2.0"]).await.expect(0, &["waits for 3 sign-offs"]);
    as_person(&here, "nobody", &["status"]).await.expect(1, &["I know nobody called nobody"]);
    let wrong = here.command(&["status"]).env("TMINUS_TOKEN", "wrong").output().await.unwrap();
    Ended::of(wrong).expect(1, &["The token is not accepted", "TMINUS_TOKEN"]);
    let found = here.cli(&["doctor", "--json"]).await.expect(0, &[]).json();
    assert!(found["ok"] == true && found["looked_at"].is_array(), "{found}");
    here.cli(&["doctor"]).await.expect(0, &["is ready", "verified"]);
    assert!(running.stopped().await.success());
    here.cli(&["status"]).await.expect(3, &["No tminus answers at", "tminus serve"]);
    let lost = here.cli(&["status", "--json"]).await.expect(3, &[]).json();
    assert_eq!(lost["ok"], false);
    here.cli(&["doctor"]).await.expect(0, &["no bot answers"]);
    let nowhere = Installed::demo();
    nowhere.cli(&["status"]).await.expect(3, &["There is no token", "tminus serve"]);
}

async fn as_person(here: &Installed, person: &str, args: &[&str]) -> Ended {
    Ended::of(here.command(args).env("TMINUS_AS", person).output().await.unwrap())
}

/// Every verb that only shows something speaks JSON, too.
#[tokio::test]
async fn what_is_shown_can_be_read_by_programs() {
    let here = Installed::demo();
    let _running = here.start().await;
    here.cli(&["schedule", "web-shop-v1.2.0"]).await.expect(0, &["is scheduled"]);
    for verb in [
        "list",
        "status",
        "agenda",
        "checklist",
        "roles",
        "oncall",
        "notes",
        "plan",
        "report",
        "audit",
        "freeze",
    ] {
        let shown = here.cli(&["--json", verb]).await.expect(0, &[]).json();
        assert!(shown["ok"] == true && !shown["text"].as_str().unwrap().is_empty(), "{shown}");
    }
}
