//! The whole play in Slack and in Discord, from the form to `done`: three days before the start, an
//! hour of work, and a day of watching, with the times that an installation has when nobody changes
//! them.

use chrono::{DateTime, Duration, DurationRound, Utc};

use crate::chats::{ROOM, Screens, Typed};
use crate::discord_world::DiscordWorld;
use crate::shop::picked;
use crate::slack_world::SlackWorld;
use crate::stage::Stage;
use crate::{discord_stage, slack_stage};

const LIST: Typed<'_> = Typed { slack: "list", discord: "list" };
const STATUS: Typed<'_> = Typed { slack: "status v1.2.0", discord: "status release:v1.2.0" };
const REPORT: Typed<'_> = Typed { slack: "report v1.2.0", discord: "report release:v1.2.0" };

#[tokio::test]
async fn the_whole_play_in_slack_over_socket_mode() {
    whole_play::<SlackWorld>(slack_stage::Mode::Socket).await;
}

#[tokio::test]
async fn the_whole_play_in_slack_over_signed_http() {
    whole_play::<SlackWorld>(slack_stage::Mode::Http).await;
}

#[tokio::test]
async fn the_whole_play_in_discord_over_the_gateway() {
    whole_play::<DiscordWorld>(discord_stage::Mode::Gateway).await;
}

#[tokio::test]
async fn the_whole_play_in_discord_over_signed_http() {
    whole_play::<DiscordWorld>(discord_stage::Mode::Http).await;
}

async fn whole_play<C: Screens>(mode: C::Mode) {
    let mut stage = Stage::<C>::patient(mode).await;
    let start = announced(&stage).await;
    decided(&stage).await;
    stage.comes(start).await;
    let gate = half_way(&stage).await;
    went_quiet(&stage).await;
    all_the_way(&stage, &gate).await;
    watched(&stage).await;
    stage.read_aloud();
    for said in [
        "goes out",
        "We're launching",
        "🚀 Web shop v1.2.0 starts in 1 h.",
        "⛔ NO-GO: Web shop",
        "✅ GO: Web shop v1.2.0.",
        "is ready to start",
        "✅ Database migrations complete",
        "✅ Pod 1 deployed (50 % traffic)",
        "Nothing was heard for 15 minutes",
        "Nothing was heard for 30 minutes",
        "✅ Pod 2 deployed (100 % traffic)",
        "✅ Smoke tests: 1/1 passing",
        "is rolled out at 100 %",
        "is live.",
        "is closed: SUCCESS",
        "the report.",
    ] {
        stage.world.exactly_once(said);
    }
    stage.assert_clean().await;
    stage.stopped().await;
}

/// The form, and what is said 48 h, 24 h and 1 h before the start that was picked in it.
async fn announced(stage: &Stage<impl Screens>) -> DateTime<Utc> {
    let ahead = Duration::hours(73);
    let (day, time) = picked(ahead);
    let start = (Utc::now() + ahead).duration_trunc(Duration::minutes(1)).unwrap();
    stage.world.schedules_by_form("maria", &day, &time).await;
    let before = |hours, minutes| start - Duration::hours(hours) - Duration::minutes(minutes);

    stage.comes(before(48, 0)).await;
    let told = stage.reads("releases", "Web shop v1.2.0 goes out").await;
    for part in ["new dashboard, advanced search and 1 fix", "Impact: none expected", "45 min"] {
        assert!(told.contains(part), "{told}");
    }
    stage.sees("releases", "go or no-go?").await;
    assert_eq!(stage.count("We're launching"), 0, "not yet");
    stage.comes(before(24, 0)).await;
    let told = stage.reads("customers", "We're launching").await;
    assert!(told.contains("new dashboard and advanced search"), "{told}");
    assert!(told.contains("No downtime expected"), "{told}");
    stage.comes(before(4, 0)).await;
    stage.sees("dm-sam", "This is the reminder of T-4h").await;
    stage.comes(before(1, 5)).await;
    stage.world.sees_room().await;
    stage.sees(ROOM, "how to go back to v1.1.9").await;
    stage.comes(before(1, 0)).await;
    let told = stage.reads("releases", "🚀 Web shop v1.2.0 starts in 1 h.").await;
    for part in ["War room: #release-v1-2-0", "On-call: @john", "v1.1.9"] {
        assert!(told.contains(part), "{told}");
    }
    stage.settled().await;
    start
}

/// GO and NO-GO by buttons, by the people whose they are, and the checklist.
async fn decided(stage: &Stage<impl Screens>) {
    let poll = stage.sees("releases", "go or no-go?").await;
    // She is in the configuration by her group alone.
    stage.presses("quinn", &poll, "GO · QA", "Your GO for QA is recorded").await;
    let reason = "hotline is short-staffed until noon";
    let answer = "Your NO-GO for Support is recorded";
    stage.world.gives_reason("sam", &poll, "NO-GO · Support", reason, answer).await;
    let said = stage.reads(ROOM, "NO-GO: Web shop").await;
    assert!(said.contains(reason) && said.contains("Sam"), "{said}");
    let (_, why) = stage.presses("dave", &poll, "GO · Support", "You can't sign for").await;
    assert!(why.contains("Support") && why.contains("Sam"), "{why}");
    assert_eq!(stage.count("You can't sign"), 0, "it was said in private");
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.presses("sam", &poll, "GO · Support", "1 checklist item is open").await;
    stage.world.sees_edit(&poll, "3 of 3 GO").await;
    let card = stage.sees(ROOM, "waiting for").await;
    stage.world.ticks("maria", &card, "Runbook up to date", "The checklist is green").await;
    stage.sees(ROOM, "GO: Web shop v1.2.0.").await;
}

/// Started by the captain; the first pod serves the new version and waits behind its gate.
async fn half_way<C: Screens>(stage: &Stage<C>) -> C::Post {
    let ready = stage.sees(ROOM, "is ready to start").await;
    stage.presses("maria", &ready, "Start", "has started").await;
    stage.sees(ROOM, "✅ Database migrations complete").await;
    stage.sees(ROOM, "✅ Pod 1 deployed (50 % traffic)").await;
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.2.0".into(), "v1.1.9".into()));
    stage.sees(ROOM, "Soaking Pod 1 until").await;
    stage.passes(Duration::minutes(10)).await;
    stage.sees(ROOM, "Pod 1 is through its gate").await
}

/// Nobody says anything for half an hour: first the deploying engineer is asked, then the backup.
async fn went_quiet(stage: &Stage<impl Screens>) {
    for (minutes, who) in [(15, "dave"), (30, "john")] {
        stage.passes(Duration::minutes(15)).await;
        let asked = format!("@{who}, how is Web shop v1.2.0 going?");
        let post = stage.sees(ROOM, &asked).await;
        let said = stage.text_of(&post);
        assert!(said.contains(&format!("Nothing was heard for {minutes} minutes.")), "{said}");
        assert!(said.contains("It waits for @maria to advance."), "{said}");
        assert!(stage.world.was_called(who, &post), "{said}");
    }
}

async fn all_the_way<C: Screens>(stage: &Stage<C>, gate: &C::Post) {
    stage.presses("john", gate, "Advance", "next stage begins").await;
    stage.sees(ROOM, "✅ Pod 2 deployed (100 % traffic)").await;
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.2.0".into(), "v1.2.0".into()));
    stage.sees(ROOM, "Soaking Pod 2 until").await;
    stage.passes(Duration::minutes(10)).await;
    stage.sees(ROOM, "is rolled out at 100 %").await;
    stage.sees(ROOM, "✅ Smoke tests: 1/1 passing").await;
}

/// An hour later everybody is told, and a day later the room closes with the report.
async fn watched(stage: &Stage<impl Screens>) {
    stage.passes(Duration::hours(1)).await;
    let told = stage.reads("releases", "Web shop v1.2.0 is live.").await;
    for part in ["no downtime, no issues, smoke tests 1/1", "We keep watching for 24 h"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!stage.is_archived());
    assert!(stage.types("maria", LIST, "v1.2.0").await.contains("watching"));
    stage.passes(Duration::hours(23)).await;
    stage.sees(ROOM, "is closed: SUCCESS").await;
    stage.sees(ROOM, "the report.").await;
    let archived = async || stage.is_archived();
    stage.running().until("the room is archived", archived).await;
    let transcript = stage.world.transcript();
    assert!(transcript.contains("(report-v1.2.0.md)"), "{transcript}");
    assert!(!transcript.contains("rolled out and watched"), "the card shows the end: {transcript}");
    let status = stage.types("maria", STATUS, "Web shop v1.2.0").await;
    assert!(status.contains("done"), "{status}");
    let report = stage.types("maria", REPORT, "SUCCESS").await;
    assert!(report.contains("Web shop v1.2.0"), "{report}");
    stage.settled().await;
}
