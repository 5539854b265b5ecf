//! The play in Discord: a release from its form to its end, by the real program, over the gateway and
//! over signed HTTP; once as planned, and once with a pod that does not start.

use chrono::Duration;

use crate::discord_stage::{Mode, Stage};
use crate::discord_world::permissions::{SEND_MESSAGES, in_channel};
use crate::discord_world::{APP, DiscordWorld, GUILD, Post, id};
use crate::installed::Installed;
use crate::shop::{at, picked};

const ROOM: &str = "release-v1-2-0";

#[tokio::test]
async fn the_play_over_the_gateway() {
    play(Mode::Gateway).await;
}

#[tokio::test]
async fn the_play_over_signed_http() {
    play(Mode::Http).await;
}

#[tokio::test]
async fn a_launch_over_the_gateway() {
    launch(Mode::Gateway).await;
}

#[tokio::test]
async fn a_launch_over_signed_http() {
    launch(Mode::Http).await;
}

#[tokio::test]
async fn held_and_resumed_over_the_gateway() {
    held_and_resumed(Mode::Gateway).await;
}

#[tokio::test]
async fn held_and_resumed_over_signed_http() {
    held_and_resumed(Mode::Http).await;
}

/// Anybody stops it from the card, with a reason; who may lifts it where that is told.
async fn held_and_resumed(mode: Mode) {
    let mut stage = Stage::set(mode).await;
    stage.to_start().await;
    stage.sees(ROOM, "through its gate").await;
    stage.settled().await;
    let sam = stage.person("sam");
    let card = stage.sees(ROOM, "✓ Pod 1 (50 %)").await;
    sam.presses(&card, "Hold").await.answered().await;
    let form = sam.sees_view("Hold").await;
    sam.submits(&form, &[("Reason", "the hotline is down")]).await.answered().await;
    sam.sees_ephemeral("is on hold").await;
    let held = stage.sees(ROOM, "Web shop v1.2.0 is on hold, by Sam: the hotline is down").await;
    let refused = stage.presses("sam", &held, "Resume", "You may not").await.1;
    assert!(refused.contains("Nothing was changed"), "{refused}");
    stage.presses("maria", &held, "Resume", "goes on").await;
    let gate = stage.sees(ROOM, "through its gate").await;
    stage.presses("john", &gate, "Advance", "next stage begins").await;
    stage.sees(ROOM, "✅ Pod 2 deployed (100 % traffic)").await;
    stage.read_aloud();
    stage.assert_clean().await;
    stage.stopped().await;
}

async fn play(mode: Mode) {
    let mut stage = Stage::set(mode).await;
    by_form(&stage).await;
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

async fn launch(mode: Mode) {
    let mut stage = Stage::set(mode).await;
    let line = format!("schedule plan:web-shop version:v1.2.0 when:{}", at(48));
    stage.says("maria", &line, "is scheduled for").await;
    announced(&stage).await;
    decided(&stage).await;
    went_well(&stage).await;
    stage.read_aloud();
    for said in [
        "✅ Database migrations complete",
        "✅ Pod 1 deployed (50 % traffic)",
        "✅ Pod 2 deployed (100 % traffic)",
        "is live.",
        "the report.",
    ] {
        stage.world.exactly_once(said);
    }
    stage.assert_clean().await;
    stage.stopped().await;
}

/// Discord's dialogs hold lines of text: what is a picker elsewhere is typed.
async fn by_form(stage: &Stage) {
    let maria = stage.person("maria");
    maria.types("/release more new", "releases").await.answered().await;
    let form = maria.sees_view("Schedule a release").await;
    let (day, time) = picked(Duration::hours(48) + Duration::minutes(5));
    maria.submits(&form, &[("Plan", "webshop")]).await.answered().await;
    let wrong = maria.sees_ephemeral("Plan: I don't know the plan webshop. Say web-shop.").await;
    maria.presses_in_whisper(&wrong, "Fill in again").await.answered().await;
    let form = maria.sees_view("Schedule a release").await;
    let filled = [
        ("Plan", "web-shop"),
        ("Version, if not the plan's", "v1.2.0"),
        ("Day of the start", day.as_str()),
        ("Time of the start", time.as_str()),
        ("Title, if not the plan's", ""),
    ];
    maria.submits(&form, &filled).await.answered().await;
    maria.sees_ephemeral("captain Maria").await;
    stage.starts_in(48).await;
}

/// The announcements at their times, and the room.
async fn announced(stage: &Stage) {
    stage.sees("releases", "Web shop v1.2.0 goes out").await;
    stage.starts_in(24).await;
    stage.sees("customers", "We're launching new dashboard and advanced search").await;
    stage.starts_in(1).await;
    let room = stage.world.sees_channel(ROOM).await;
    stage.sees("releases", "starts in 1 h").await;
    stage.sees("releases", "go or no-go?").await;
    stage.settled().await;
    let room = stage.world.channel(&room.id);
    assert!(room.topic.contains("v1.2.0"), "{}", room.topic);
    assert!(room.messages.iter().any(|it| it.pinned.is_some()), "the card is on top");
    assert_eq!(room.parent, Some(stage.world.channel("war rooms").id));
    for who in ["maria", "ann", "sam", "dave", "john", "quinn"] {
        assert!(stage.person(who).can_see(ROOM), "{who} is let in, by name or by role");
    }
    assert!(!stage.person("gus").can_see(ROOM), "and nobody else is");
}

/// GO and NO-GO by buttons, by the people whose they are, and the checklist.
async fn decided(stage: &Stage) {
    let poll = stage.sees("releases", "go or no-go?").await;
    // She is in the configuration by her role in Discord alone.
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

async fn started(stage: &Stage) {
    stage.starts_in(0).await;
    let ready = stage.sees(ROOM, "is ready to start").await;
    stage.presses("maria", &ready, "Start", "has started").await;
    stage.sees(ROOM, "✅ Pod 1 deployed (50 % traffic)").await;
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.2.0".into(), "v1.1.9".into()));
    let gate = stage.sees(ROOM, "through its gate").await;
    stage.presses("john", &gate, "Advance", "next stage begins").await;
}

/// Each stage with its line, an hour of watching (three seconds here), and the end.
async fn went_well(stage: &Stage) {
    started(stage).await;
    stage.sees(ROOM, "✅ Pod 2 deployed (100 % traffic)").await;
    stage.sees("releases", "Web shop v1.2.0 is live.").await;
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.2.0".into(), "v1.2.0".into()));
    closed(stage).await;
}

/// Each stage with its line, until a pod does not start.
async fn went_wrong(stage: &Stage) {
    stage.here.write("pods/broken-2-v1.2.0", "");
    started(stage).await;
    let failed = stage.sees(ROOM, "Nothing goes on by itself. @john").await;
    assert!(stage.person("john").was_pinged_by(&failed), "on call is called");
    assert!(!stage.person("ann").was_pinged_by(&failed), "and nobody else is");
}

/// On-call rolls back, everybody who was told is told, and the room is archived with the report.
async fn went_back(stage: &Stage) {
    let john = stage.person("john");
    let failed = stage.sees(ROOM, "Nothing goes on by itself. @john").await;
    john.presses(&failed, "Roll back to v1.1.9").await.answered().await;
    let confirm = john.sees_ephemeral("from v1.2.0 to v1.1.9?").await;
    stage
        .confirms("john", &confirm, "Roll back to v1.1.9", "goes back from v1.2.0 to v1.1.9")
        .await;
    for channel in ["releases", "customers", "incidents", ROOM] {
        let told = stage.sees(channel, "Web shop is back on v1.1.9").await;
        let told = stage.world.text_of(&told);
        assert!(told.contains("RTO 15 min met"), "{told}");
    }
    assert_eq!((stage.pod(1), stage.pod(2)), ("v1.1.9".into(), "v1.1.9".into()));
    closed(stage).await;
    let transcript = stage.world.transcript(ROOM);
    assert!(transcript.contains("t-48h was announced to #releases"), "{transcript}");
    assert!(!transcript.contains("discord/1200"), "{transcript}");
}

/// The report stands in the room, and the room is read by those who saw it and written by nobody.
async fn closed(stage: &Stage) {
    let report = stage.sees(ROOM, "the report.").await;
    let files = stage.world.files_of(&report);
    assert_eq!(
        files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["report-v1.2.0.md"]
    );
    let said = stage.world.text_of(&report);
    assert!(said.contains("The whole of it is in the file `report-v1.2.0.md`"), "{said}");
    let archive = stage.world.channel("archive").id;
    stage
        .world
        .until("the room is archived", |realm| {
            realm.channel(ROOM).parent.as_ref() == Some(&archive)
        })
        .await;
    let ann = stage.person("ann");
    assert!(ann.can_see(ROOM));
    let may = stage.world.look(|realm| in_channel(realm, realm.channel(ROOM), &ann.id));
    assert_eq!(may & SEND_MESSAGES, 0);
}

#[tokio::test]
async fn what_is_typed_is_completed_for_those_of_the_house_and_for_nobody_else() {
    let mut stage = Stage::set(Mode::Gateway).await;
    stage.to_poll().await;
    // Quinn is of the house by her role in Discord alone, which comes with what she types.
    let offers = [
        ("maria", "schedule plan:web", "web-shop"),
        ("quinn", "status release:v1", "v1.2.0"),
        ("quinn", "go release:v1.2.0 as:q", "qa"),
        ("ann", "checklist act:pass item:run", "documentation/runbook-up-to-date"),
    ];
    for (who, line, offered) in offers {
        let line = format!("/release {line}");
        let found = stage.person(who).completes(&line, "releases").await;
        let is_it = |it: &String| it == offered || it.starts_with(&format!("{offered} — "));
        assert!(found.iter().any(is_it), "{who}, {line}: {found:?}");
        let found = stage.person("paula").completes(&line, "releases").await;
        assert!(found.is_empty(), "{line}: {found:?}");
    }
    let told = stage.says("quinn", "more roles", "QA (asked in every release)").await;
    assert!(told.contains("People: @qa"), "{told}");
    stage.assert_clean().await;
    stage.stopped().await;
}

#[tokio::test]
async fn the_page_followed_to_the_letter_leads_to_a_first_announcement() {
    let world = DiscordWorld::start().await;
    let page = include_str!("../../deploy/discord/README.md");
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let own = format!("[discord]\napi_url = \"{}\"", world.api_url());
    let mut config = block.replace("[discord]", &own);
    for (number, id) in [
        (1, GUILD.to_owned()),
        (2, APP.to_owned()),
        (3, id("channel", "war rooms")),
        (4, id("channel", "archive")),
        (5, id("channel", "releases")),
        (6, world.role("qa")),
        (7, id("user", "maria")),
    ] {
        let example = format!("100000000000000000{number}");
        assert!(config.contains(&example), "{example}");
        config = config.replace(&example, &id);
    }
    let here = Installed::new(&config).with_env("DISCORD_TOKEN", &world.bot_token());
    here.cli(&["config", "check"]).await.expect(0, &["is sound"]);
    let running = here.start().await;
    world.connected(1).await;
    world.registered("release").await;
    here.cli(&["doctor"]).await.expect(0, &["✓ Discord's server The house", "✓ Discord's slash"]);
    let maria = world.person("maria");
    let line = "/release freeze add from:fri 18:00 until:mon 08:00 reason:trying tminus";
    maria.types(line, "releases").await.answered().await;
    maria.sees_ephemeral("/release freeze lift ").await;
    world.sees("releases", "trying tminus").await;
    world.assert_clean().await;
    assert!(running.stopped().await.success());
}
