//! The play: the sample release from its announcement to its report, against the running program.

use std::path::Path;

use fantoccini::Locator;
use serde_json::json;
use tokio::process::Command;

use crate::browser::{Browser, Scheme};
use crate::program::Program;
use crate::story::{self, ROLL_BACK, schedule};

/// What a person does at the page.
impl Browser {
    async fn speak_as(&self, person: &str) {
        self.find(&format!("#person option[value={person}]")).await.click().await.unwrap();
        let switched = format!(
            "return document.getElementById('person').value === '{person}' && \
             !document.querySelector('#messages[aria-busy=true]')"
        );
        self.until(person, &switched).await;
    }

    /// Types a line, sends it, and reads the private answer.
    async fn say(&self, line: &str, answer: &str) {
        let input = self.find("#line").await;
        input.clear().await.unwrap();
        self.fill("Message or command", line).await;
        self.click("Send").await;
        self.wait_for_text(answer).await;
        self.put_away().await;
    }

    /// Puts the private answers away.
    async fn put_away(&self) {
        let dismiss = "const button = [...document.querySelectorAll('button')]
            .find((it) => it.textContent.trim() === 'Dismiss' && it.checkVisibility());
            button?.click(); return !button;";
        self.until("no private answer", dismiss).await;
    }

    /// Sends the form that is open.
    async fn submit(&self) {
        let submit = "const open = [...document.querySelectorAll('dialog[open]')].pop();
            const button = open?.querySelector('button[type=submit]');
            if (!button || button.hasAttribute('aria-busy')) return false;
            button.click(); return true;";
        self.until("a form to send", submit).await;
    }

    pub(crate) async fn go_to(&self, channel: &str) {
        let link = format!(
            "const link = [...document.querySelectorAll('#places a, #places button')]
               .find((it) => it.textContent.replace('#', '').trim().startsWith('{channel}'));
             link?.click(); return document.title.includes('#{channel}');"
        );
        self.until(channel, &link).await;
    }

    /// Presses the jump button until something is said in a channel.
    async fn jump_until(&self, program: &Program, channel: &str, text: &str) {
        for _ in 0..30 {
            program.settled().await;
            let said =
                |told: &crate::program::Told| told.channel == channel && told.text.contains(text);
            if program.board("maria").await.iter().any(said) {
                return;
            }
            let press = "const jump = document.getElementById('jump');
                if (jump.disabled || jump.hasAttribute('aria-busy')) return false;
                jump.click(); return true;";
            self.until("the jump button", press).await;
            let done = "return !document.getElementById('jump').hasAttribute('aria-busy')";
            self.until("the end of the jump", done).await;
        }
        panic!("never said in #{channel}: {text}\n{}", program.everything().await);
    }

    /// The page's pictures that a person may have before them are free of faults.
    pub(crate) async fn is_accessible(&self, what: &str) {
        for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            self.scheme(scheme).await;
            for (width, height) in [(1280, 800), (360, 740)] {
                self.size(width, height).await;
                self.shot(&format!("play-{what}-{name}-{width}")).await;
                let faults = self.axe().await;
                assert_eq!(faults, Vec::<String>::new(), "{what}, {name}, {width}");
                let wide = "return document.documentElement.scrollWidth <= window.innerWidth";
                self.until("no sideways scrolling", wide).await;
            }
        }
        self.scheme(Scheme::Light).await;
        self.size(1280, 800).await;
    }
}

#[tokio::test]
async fn the_play_in_a_browser() {
    let program = Program::start().await;
    let page = Browser::start().await;
    page.goto(&program.address).await;
    announced(&page, &program).await;
    decided(&page, &program).await;
    rolled_out(&page, &program).await;
    reported(&page, &program).await;
    page.close().await;
}

/// 1 to 3: the empty page says what to type; the announcements appear at their times.
async fn announced(page: &Browser, program: &Program) {
    page.wait_for_text("#releases").await;
    page.wait_for_text("Tip: Type /release schedule v1.2.0").await;
    page.is_accessible("empty").await;
    page.speak_as("maria").await;
    page.say(&format!("/release {}", schedule()), "is scheduled for").await;
    page.say("/release agenda", "announce T-48h").await;

    page.jump_until(program, "releases", "goes out").await;
    for text in ["new dashboard, advanced search and 15 fixes", "Impact: none expected", "45 min"] {
        page.wait_for_text(text).await;
    }
    page.jump_until(program, "customers", "No downtime expected").await;
    page.go_to("customers").await;
    page.wait_for_text("We're launching new dashboard and advanced search").await;

    page.jump_until(program, "release-v1-2-0", "T-1:05").await;
    page.go_to("release-v1-2-0").await;
    page.until("the pinned card", "return document.getElementById('pins').checkVisibility()").await;
    let card = program.message("release-v1-2-0", "waiting for 5 sign-offs").await;
    assert!(card.pinned && card.buttons.contains(&"NO-GO".to_owned()), "{card:?}");
    page.jump_until(program, "releases", "starts in 1 h").await;
    let said = program.message("releases", "starts in 1 h").await.text;
    for text in ["War room: #release-v1-2-0", "On-call: @John", "not rehearsed yet"] {
        assert!(said.contains(text), "{said}");
    }
    page.is_accessible("card").await;
}

/// 4: the poll, with a wrong person, a no-go that needs its reason, and an open item.
async fn decided(page: &Browser, program: &Program) {
    page.go_to("releases").await;
    page.speak_as("quinn").await;
    page.click("GO · QA").await;
    page.wait_for_text("Your GO for QA is recorded").await;
    page.put_away().await;
    page.click("GO ✓ · QA").await;
    page.wait_for_text("QA is GO already").await;
    page.put_away().await;

    page.speak_as("sam").await;
    page.click("NO-GO · Support").await;
    page.submit().await;
    page.wait_for_text("Please fill in “Reason”.").await;
    page.fill("Reason", "hotline is short-staffed").await;
    page.submit().await;
    page.wait_for_text("Your NO-GO for Support is recorded").await;
    page.put_away().await;
    let said = program.message("release-v1-2-0", "NO-GO: Web shop").await.text;
    assert!(said.contains("Support: “hotline is short-staffed” (Sam)"), "{said}");

    page.speak_as("dave").await;
    page.click("GO ✓ · QA").await;
    page.wait_for_text("You can't sign for QA: that seat belongs to Quinn").await;
    let everybody = program.everything().await;
    assert!(!everybody.contains("You can't sign"), "it was said in private");
    page.put_away().await;

    for (person, role) in [("ann", "Engineering"), ("paula", "Product"), ("sid", "Security")] {
        page.speak_as(person).await;
        page.click(&format!("GO · {role}")).await;
        page.wait_for_text(&format!("Your GO for {role} is recorded")).await;
        page.put_away().await;
    }
    page.speak_as("sam").await;
    page.click("GO · Support").await;
    page.wait_for_text("5 of 5 GO. 1 checklist item is open").await;
    page.put_away().await;
    page.speak_as("maria").await;
    page.say("/release status", "waits for Rollback readiness → Rollback rehearsed").await;
    page.speak_as("dave").await;
    page.say("/release rollback --dry-run", "The rehearsal of the rollback runs").await;
    page.go_to("release-v1-2-0").await;
    page.wait_for_text("GO: Web shop v1.2.0.").await;
    page.wait_for_text("every step's dry run worked").await;
}

/// 5: real processes, each told with its time; silence is noticed; the shop shows the new version.
async fn rolled_out(page: &Browser, program: &Program) {
    assert_eq!(program.pod(1).await, "v1.1.9");
    page.jump_until(program, "release-v1-2-0", "is ready to start").await;
    page.speak_as("maria").await;
    page.click("Start").await;
    page.wait_for_text("[10:00] ✅ Database migrations complete").await;
    page.wait_for_text("[10:00] ✅ Pod 1 deployed (33 % traffic)").await;
    assert_eq!((program.pod(1).await, program.pod(2).await), ("v1.2.0".into(), "v1.1.9".into()));
    page.jump_until(program, "release-v1-2-0", "through its gate").await;
    page.jump_until(program, "release-v1-2-0", "Nothing was heard for 15 minutes").await;
    page.wait_for_text("@Dave, how is Web shop v1.2.0 going?").await;
    page.is_accessible("gate").await;
    page.click("Advance").await;
    page.wait_for_text("✅ Pod 2 deployed (67 % traffic)").await;
    page.jump_until(program, "release-v1-2-0", "Pod 3 deployed (100 % traffic)").await;
    page.jump_until(program, "release-v1-2-0", "Smoke tests: 9/9 passing").await;
    page.wait_for_text("is rolled out at 100 %").await;
    assert_eq!(program.pod(3).await, "v1.2.0");
    let here = page.client.current_url().await.unwrap();
    page.goto(&program.shop).await;
    page.wait_for_text("v1.2.0").await;
    assert!(!page.text().await.contains("v1.1.9"));
    page.goto(here.as_str()).await;
}

/// The first hour, the archived room, the report, and a log that verifies.
async fn reported(page: &Browser, program: &Program) {
    page.jump_until(program, "releases", "is live").await;
    story::to_archive(program).await;
    page.go_to("releases").await;
    page.wait_for_text("no downtime, no issues, smoke tests 9/9").await;
    page.wait_for_text("Archived (1)").await;
    page.speak_as("maria").await;
    page.say("/release report v1.2.0", "SUCCESS").await;
    let verified = program.cli(&["audit", "verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
}

/// 6, at the page: the hold, the confirmation, the steps back, and everybody told.
#[tokio::test]
async fn a_failed_pod_is_rolled_back_at_the_page() {
    let program = Program::start().await;
    story::to_failed_pod(&program).await;
    let page = Browser::start().await;
    page.goto(&program.address).await;
    page.speak_as("john").await;
    page.go_to("release-v1-2-0").await;
    page.wait_for_text("Web shop v1.2.0: Pod 2 failed").await;
    page.wait_for_text("the payment module of v1.2.0 does not start").await;
    page.wait_for_text("On hold").await;
    page.is_accessible("failed").await;

    let buttons = Locator::XPath("//button[normalize-space()='Roll back to v1.1.9']");
    assert!(!page.client.find_all(buttons).await.unwrap().is_empty());
    page.click("Roll back to v1.1.9").await;
    page.wait_for_text("from v1.2.0 to v1.1.9?").await;
    page.shot("play-confirm").await;
    assert_eq!(page.axe().await, Vec::<String>::new(), "the confirmation");
    page.submit().await;
    for step in ["Pod 3 is back", "Pod 2 is back", "Pod 1 is back", "Health check green"] {
        page.wait_for_text(step).await;
    }
    for channel in ["releases", "customers", "incidents"] {
        let said = program.message(channel, "Web shop is back on v1.1.9").await.text;
        assert!(said.contains("RTO 15 min met"), "{said}");
    }
    for pod in [1, 2, 3] {
        assert_eq!(program.pod(pod).await, "v1.1.9");
    }
    let locked = program.ask("maria", "schedule v1.2.0 in 73h").await.1;
    assert!(locked.contains("locked"), "{locked}");
    page.go_to("releases").await;
    page.speak_as("maria").await;
    page.say("/release report", "FAILED").await;
    page.close().await;
}

async fn sqlite(database: &Path, sql: &str) {
    let done = Command::new("sqlite3").arg(database).arg(sql).output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// 7: who drops the triggers and changes one byte is found, while it runs and after.
#[tokio::test]
async fn one_changed_byte_is_named() {
    let mut program = Program::start().await;
    story::to_failed_pod(&program).await;
    program.say("john", ROLL_BACK).await;
    program.until("is closed: FAILED").await;
    let verified = program.cli(&["audit", "verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
    assert!(program.stopped().await.success());

    let database = program.state.join("tminus.db");
    let attack = "drop trigger log_is_never_changed;
        update log set event = replace(event, 'does not start', 'does not smart')
        where seq = (select min(seq) from log where event like '%does not start%');";
    sqlite(&database, attack).await;
    let found = program.cli(&["audit", "verify"]).await;
    let text = String::from_utf8_lossy(&found.stdout) + String::from_utf8_lossy(&found.stderr);
    assert_eq!(found.status.code(), Some(1), "{text}");
    let seq = Command::new("sqlite3")
        .arg(&database)
        .arg("select min(seq) from log where event like '%does not smart%'")
        .output()
        .await
        .unwrap();
    let seq = String::from_utf8(seq.stdout).unwrap();
    assert!(text.contains(&format!("#{}", seq.trim())), "{text}");
    let json = program.cli(&["--json", "audit", "verify"]).await;
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_ne!(json["verified"], json!(true), "{json}");
    let export = program.cli(&["audit", "export"]).await;
    let (out, err) =
        (String::from_utf8_lossy(&export.stdout), String::from_utf8_lossy(&export.stderr));
    assert_eq!(export.status.code(), Some(1), "{err}");
    assert!(err.contains(&format!("damaged at entry #{}", seq.trim())), "{err}");
    assert!(out.contains("does not smart"), "it is exported all the same");
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["doctor"]] {
        let refused = program.cli(args).await;
        let said = [refused.stdout, refused.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!refused.status.success(), "{args:?}: {said}");
        for part in [&format!("#{}", seq.trim()), "damaged", "backup", "audit verify"] {
            assert!(said.contains(part), "{args:?}, {part}: {said}");
        }
    }
}

#[tokio::test]
async fn a_preview_shows_each_announcement_before_anybody_gets_it() {
    let program = Program::start().await;
    program.say("maria", &story::schedule()).await;
    let said = program.say("maria", "announce v1.2.0 preview").await;
    for part in [
        "T-48h: ",
        "to console/local/releases",
        "In it: new dashboard, advanced search and 15 fixes.",
        "T-24h: ",
        "to console/local/customers",
        "We're launching new dashboard and advanced search",
        "T-1h: ",
        "done: done+1h",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(!program.everything().await.contains("goes out"), "nothing was sent");
}
