//! The play in Slack: a release from its form to its report, by the real program, in both modes.

use chrono::Duration;

use crate::shop::{at, picked};
use crate::slack_stage::{Mode, Stage};
use crate::slack_world::Post;

const ROOM: &str = "release-v1-2-0";

#[tokio::test]
async fn the_play_over_socket_mode() {
    play(Mode::Socket).await;
}

#[tokio::test]
async fn the_play_over_signed_http() {
    play(Mode::Http).await;
}

async fn play(mode: Mode) {
    let mut stage = Stage::set(mode).await;
    announced(&stage).await;
    decided(&stage).await;
    went_wrong(&stage).await;
    went_back(&stage).await;
    stage.read_aloud();
    for said in [
        "goes out",
        "We're launching",
        "War room: #release-v1-2-0",
        "⛔ NO-GO: Web shop",
        "✅ Database migrations complete",
        "✅ Pod 1 deployed (50 % traffic)",
        "Nothing goes on by itself",
        "✅ Pod 2 is back",
        "✅ Pod 1 is back",
        "the report.",
    ] {
        stage.world.exactly_once(said);
    }
    stage.assert_clean().await;
    stage.stopped().await;
}

/// The form, the announcements at their times, and the room.
async fn announced(stage: &Stage) {
    let maria = stage.person("maria");
    maria.types("/release new", "releases").await.answered().await;
    let form = maria.sees_view("Schedule a release").await;
    let (day, time) = picked(Duration::hours(48) + Duration::minutes(5));
    let filled = [
        ("Plan", "web-shop"),
        ("Version, if not the plan's", "v1.2.0"),
        ("Day of the start", day.as_str()),
        ("Time of the start", time.as_str()),
        ("Captain, if not the plan's", "Maria"),
    ];
    maria.submits(&form, &filled).await.answered().await;
    maria.sees_ephemeral("is scheduled for").await;
    stage.says("maria", &format!("reschedule v1.2.0 {}", at(48)), "now starts").await;
    stage.sees("releases", "Web shop v1.2.0 goes out").await;
    stage.says("maria", &format!("reschedule v1.2.0 {}", at(24)), "now starts").await;
    stage.sees("customers", "We're launching new dashboard and advanced search").await;
    stage.says("maria", &format!("reschedule v1.2.0 {}", at(1)), "now starts").await;
    let room = stage.world.sees_channel(ROOM).await;
    stage.sees("releases", "starts in 1 h").await;
    stage.sees("releases", "go or no-go?").await;
    stage.settled().await;
    let room = stage.world.channel(&room.id);
    assert!(room.topic.contains("v1.2.0"), "{}", room.topic);
    assert!(!room.pins.is_empty(), "the card is on top");
    for who in ["maria", "ann", "sam", "dave", "john", "quinn"] {
        assert!(room.has(&stage.person(who).id), "{who} is invited");
    }
}

/// GO and NO-GO by buttons, by the people whose they are, and the checklist.
async fn decided(stage: &Stage) {
    let poll = stage.sees("releases", "go or no-go?").await;
    // She is in the configuration by her user group alone.
    stage.presses("quinn", &poll, "GO · QA", "Your GO for QA is recorded").await;
    no_go(stage, &poll, "hotline is short-staffed until noon").await;
    let (_, why) = stage.presses("dave", &poll, "GO · Support", "You can't sign for").await;
    assert!(why.contains("Support") && why.contains("Sam"), "{why}");
    assert_eq!(stage.world.count("You can't sign"), 0, "it was said in private");
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.presses("sam", &poll, "GO · Support", "1 checklist item is open").await;
    stage.world.sees_edit(&poll, "3 of 3 GO").await;
    tick(stage).await;
    stage.sees(ROOM, "GO: Web shop v1.2.0.").await;
}

async fn no_go(stage: &Stage, poll: &Post, reason: &str) {
    let sam = stage.person("sam");
    sam.presses(poll, "NO-GO · Support").await.answered().await;
    let form = sam.sees_view("NO-GO").await;
    sam.submits(&form, &[("Reason", reason)]).await.answered().await;
    sam.sees_ephemeral("Your NO-GO for Support is recorded").await;
    let said = stage.sees(ROOM, "NO-GO: Web shop").await;
    let said = stage.world.text_of(&said);
    assert!(said.contains(reason) && said.contains("Sam"), "{said}");
}

/// The checklist from the card's button, and its one open item by its own.
async fn tick(stage: &Stage) {
    let maria = stage.person("maria");
    let card = stage.sees(ROOM, "waiting for").await;
    maria.presses(&card, "Checklist").await.answered().await;
    let list = maria.sees_ephemeral("Runbook up to date").await;
    maria.presses_in_whisper(&list, "✓ Runbook up to date").await.answered().await;
    maria.sees_ephemeral("The checklist is green").await;
}

/// Each stage with its line, until a pod does not start.
async fn went_wrong(stage: &Stage) {
    stage.here.write("pods/broken-2-v1.2.0", "");
    stage.says("maria", &format!("reschedule {}", at(0)), "now starts").await;
    let ready = stage.sees(ROOM, "is ready to start").await;
    stage.presses("maria", &ready, "Start", "has started").await;
    stage.sees(ROOM, "✅ Pod 1 deployed (50 % traffic)").await;
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.2.0".into(), "v1.1.9".into()));
    let gate = stage.sees(ROOM, "through its gate").await;
    stage.presses("john", &gate, "Advance", "next stage begins").await;
    stage.sees(ROOM, "Nothing goes on by itself. @john").await;
}

/// On-call rolls back, everybody who was told is told, and the room is archived with the report.
async fn went_back(stage: &Stage) {
    let john = stage.person("john");
    let failed = stage.sees(ROOM, "Nothing goes on by itself. @john").await;
    john.presses(&failed, "Roll back to v1.1.9").await.answered().await;
    let confirm = john.sees_view("").await;
    let asked = stage.world.sheet_text(&confirm);
    assert!(asked.contains("from v1.2.0 to v1.1.9?"), "{asked}");
    john.submits(&confirm, &[]).await.answered().await;
    john.sees_ephemeral("goes back from v1.2.0 to v1.1.9").await;
    for channel in ["releases", "customers", "incidents", ROOM] {
        let told = stage.sees(channel, "Web shop is back on v1.1.9").await;
        let told = stage.world.text_of(&told);
        assert!(told.contains("RTO 15 min met"), "{told}");
    }
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.1.9".into(), "v1.1.9".into()));
    stage.sees(ROOM, "the report.").await;
    let archived = async || stage.world.channel(ROOM).archived;
    stage.running().until("the room is archived", archived).await;
    let transcript = stage.world.transcript(ROOM);
    assert!(transcript.contains("(report-v1.2.0.md)"), "{transcript}");
    assert!(transcript.contains("t-48h was announced to #releases"), "{transcript}");
    assert!(!transcript.contains("slack/T0") && !transcript.contains("@C"), "{transcript}");
}
