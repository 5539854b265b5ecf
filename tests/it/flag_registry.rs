//! Flags in the hands of people, in the program itself: set, killed and cleaned up, through crashes
//! and with a provider that is down.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::{Duration, Utc};

use crate::flags_play::{self, share, to_a_few, until_status};
use crate::installed::{Installed, Running, until};
use crate::operation::{MARIA, said};
use crate::program::Program;
use crate::zones::los_angeles;

const FLAG: &str = "new_dashboard";

#[tokio::test]
async fn a_flag_is_listed_killed_once_confirmed_and_set_again_before_the_release_goes_on() {
    let program = Program::start().await;
    let empty = program.say("maria", "flag list").await;
    assert!(empty.contains("No flag is known"), "{empty}");
    to_a_few(&program).await;
    let list = program.say("sam", "flag list").await;
    for part in [FLAG, "open for 5 %", "Paula", "Web shop v1.3.0"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    // Its plan says how far it is open, and who may not is turned down.
    let against = program.refused("maria", "flag set new_dashboard 50%").await;
    assert!(against.contains("A few keeps the flag new_dashboard at 5 %"), "{against}");
    let stranger = program.refused("quinn", "flag kill new_dashboard").await;
    assert!(stranger.contains("You may not switch off the flag"), "{stranger}");
    let card = async || {
        let board = program.board("john").await;
        board.iter().any(|told| told.pinned && told.buttons.iter().any(|it| it == "Kill flag"))
    };
    program.look("the button on the card", card).await;
    // Asked once, then done.
    let (_, asked) = program.ask("john", "flag kill new_dashboard").await;
    assert!(asked.contains("--confirmed") && asked.contains("put on hold"), "{asked}");
    assert_eq!(share(&program), Some(5));
    let killed = program.say("john", "flag kill new_dashboard --confirmed").await;
    assert!(killed.contains("is being switched off at local"), "{killed}");
    let room = program.message("release-v1-3-0", "The flag new_dashboard is off at local").await;
    assert!(room.text.contains("Its clients follow within their own poll interval"), "{room:?}");
    assert!(!room.text.contains("everywhere"), "{room:?}");
    assert_eq!(share(&program), Some(0));
    program.until("On hold: the flag new_dashboard was switched off").await;
    let resume = program.refused("maria", "resume").await;
    assert!(resume.contains("flag set new_dashboard 5%"), "{resume}");
    program.say("maria", "flag set new_dashboard 5 %").await;
    program.message("release-v1-3-0", "The flag new_dashboard is open for 5 % at local").await;
    assert_eq!(share(&program), Some(5));
    program.say("maria", "resume").await;
    let shown = program.say("paula", "flag show new_dashboard").await;
    assert!(shown.contains("stands for 5 %") && shown.contains("by Maria"), "{shown}");
    let log = program.cli(&["audit", "export"]).await.stdout;
    let log = String::from_utf8(log).unwrap();
    assert_eq!(log.matches("threw the kill switch of the flag local/new_dashboard").count(), 1);
}

/// What the owner was told privately.
async fn told(program: &Program, text: &str) -> usize {
    program.board("paula").await.iter().filter(|told| told.text.contains(text)).count()
}

#[tokio::test]
async fn its_owner_is_reminded_once_also_across_a_crash_and_not_any_more_once_it_is_gone() {
    let mut program = Program::start().await;
    let day = (Utc::now().with_timezone(&los_angeles()) + Duration::days(3)).date_naive();
    program.say("maria", &format!("schedule flag {day} 10:00 --version v1.3.0")).await;
    program.say("maria", "scrub not this year").await;
    let reminder = "The flag new_dashboard expires in 7 days";
    while told(&program, reminder).await == 0 {
        assert!(program.jump().await, "there is more ahead");
        program.settled().await;
    }
    for _ in 0..2 {
        program = program.killed_and_started_again().await;
        program.settled().await;
        assert_eq!(told(&program, reminder).await, 1);
    }
    while told(&program, "is past that").await + told(&program, "expires today").await == 0 {
        assert!(program.jump().await, "there is more ahead");
        program.settled().await;
    }
    assert_eq!(told(&program, reminder).await, 1);
    assert_eq!(told(&program, "expires in 1 day").await, 1);
    let proposed = told(&program, "Open a ticket such as “Remove the flag new_dashboard”").await;
    assert_eq!(proposed, 1, "no tracker is configured");
    program.say("paula", "flag clean new_dashboard").await;
    let list = program.say("paula", "flag list").await;
    assert!(list.contains("No flag is known"), "{list}");
    let clock = program.settled_clock().await.unwrap();
    assert!(!clock.to_string().contains(FLAG), "{clock}");
}

// ---------------------------------------------------------------------------------------------
// A provider that we can stop

/// Keeps the flag in a file, and says what it was asked. While there is a file `before` or `after`,
/// a kill waits there.
const PROVIDER: &str = r#"#!/bin/sh
set -eu
cd "$(dirname "$0")"
wait_for() { while [ -e "$1" ]; do sleep 0.05; done; }
case "$1" in
set) echo "$3" >share; echo "set $3" >>asked ;;
kill) echo kill >>asked; wait_for before; echo off >share; wait_for after ;;
state) cat share ;;
esac
"#;

struct Shop {
    here: Installed,
    folder: PathBuf,
}

fn shop_with_provider(timing: &str) -> Shop {
    // The backend's own step has to work without the demo's shop.
    let step = "[[rollback.step]]\nname = \"Back\"\naction = \"true\"\n";
    let plan = flags_play::PLAN
        .replace("expires = \"2099-12-31\"", "purpose = \"The new checkout\"\nexpires = \"T+7d\"")
        .replace("to = \"v1.2.0\"", "to = \"v1.1.9\"")
        .replace("flags_suffice = true\n", step);
    let provider = "[flags.local]\nkind = \"program\"\ntimeout = \"20s\"\n\
        set = [\"{state}/../provider/flags\", \"set\", \"{flag}\", \"{percent}\"]\n\
        kill = [\"{state}/../provider/flags\", \"kill\", \"{flag}\"]\n\
        state = [\"{state}/../provider/flags\", \"state\", \"{flag}\"]\n\
        [actions.true]\ncommand = [\"true\"]\n";
    let here = flags_play::installed(&plan, |config| {
        config.replace("[timing]\n", &format!("[timing]\n{timing}\n")) + provider
    });
    let script = here.write("provider/flags", PROVIDER);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let folder = here.path("provider");
    Shop { here, folder }
}

impl Shop {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn hold(&self, place: &str) -> Held {
        let path = self.folder.join(place);
        std::fs::write(&path, "").unwrap();
        Held(path)
    }

    /// The flag is open for a half.
    async fn half_open(&self) -> Running {
        let running = self.here.start().await;
        flags_play::half_open(&running).await;
        assert_eq!(self.read("share").trim(), "50");
        running
    }

    async fn count(&self, deed: &str) -> usize {
        self.here.deeds().await.iter().filter(|said| said.starts_with(deed)).count()
    }
}

/// Goes on when it is dropped, also of a test that fails.
struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const ROLL_BACK: &str = "rollback v1.3.0 --from v1.3.0 --to v1.1.9 --confirmed";

async fn killed_at(place: &str, reads: &str) {
    let shop = shop_with_provider("");
    let running = shop.half_open().await;
    let held = shop.hold(place);
    said(&running, MARIA, ROLL_BACK).await;
    let there =
        async || shop.read("asked").ends_with("kill\n") && shop.read("share").trim() == reads;
    until("the kill switch is thrown", there).await;
    running.killed().await;
    drop(held);
    let running = shop.here.start().await;
    until_status(&running, "rolled back").await;
    assert_eq!(shop.read("share").trim(), "off");
    assert!(running.stopped().await.success());
    assert_eq!(shop.count("The kill switch of flag 1 began").await, 1);
    assert_eq!(shop.count("The kill switch of flag 1 worked").await, 1);
    assert_eq!(shop.count("Rollback step 1 worked").await, 1);
    assert_eq!(shop.count("Rolled back in").await, 1);
}

#[tokio::test]
async fn killed_before_the_provider_switched_it_off_the_rollback_switches_it_off() {
    killed_at("before", "50").await;
}

#[tokio::test]
async fn killed_after_the_provider_switched_it_off_the_rollback_finds_it_off() {
    killed_at("after", "off").await;
}

#[tokio::test]
async fn killed_while_a_person_kills_a_flag_it_is_off_and_recorded_once() {
    let shop = shop_with_provider("");
    let running = shop.half_open().await;
    let held = shop.hold("before");
    said(&running, MARIA, "flag kill checkout --confirmed").await;
    until("it is thrown", async || shop.read("asked").ends_with("kill\n")).await;
    running.killed().await;
    drop(held);
    let running = shop.here.start().await;
    let off =
        async || said(&running, MARIA, "flag show checkout").await.contains("is off at local");
    running.until("it is off", off).await;
    assert_eq!(shop.read("share").trim(), "off");
    assert!(running.stopped().await.success());
    assert_eq!(shop.count("Maria threw the kill switch of the flag local/checkout").await, 1);
    assert_eq!(shop.count("The change of the flag local/checkout worked").await, 1);
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_provider_that_is_down() {
    let shop = shop_with_provider("kill_switch = \"2s\"");
    let running = shop.half_open().await;
    // Nobody lets it go: the provider never answers.
    let held = shop.hold("before");
    said(&running, MARIA, ROLL_BACK).await;
    until_status(&running, "rolled back").await;
    assert_eq!(shop.read("share").trim(), "50", "nobody has switched it off");
    let shown = said(&running, MARIA, "flag show checkout").await;
    assert!(shown.contains("It may be otherwise: a change hit its time limit"), "{shown}");
    drop(held);
    assert!(running.stopped().await.success());
    assert_eq!(shop.count("Rollback step 1 worked").await, 1);
    let page =
        std::fs::read_to_string(Path::new(&shop.here.state()).join("console.jsonl")).unwrap();
    assert!(page.contains("may still be on: its kill switch hit its time limit"));
}
