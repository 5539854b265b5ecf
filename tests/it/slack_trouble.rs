//! Slack and the program when things go wrong: killed at each boundary, delivered again, refused,
//! forged, throttled, revoked. What was said stands there once, and each click has its answer.

use std::time::Duration;

use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;

use crate::shop::at;
use crate::slack_stage::{Mode, Stage, cast};
use crate::slack_world::{Fault, Harm};

const ROOM: &str = "release-v1-2-0";

// ---------------------------------------------------------------------------------------------
// Killed

/// Killed while a call is held, before or after Slack did what it asks.
async fn killed_at(method: &str, nth: usize, harm: Harm) {
    let held = harm == Harm::Hold;
    let mut stage = Stage::set(Mode::Socket).await;
    stage.world.fault(Fault::on(method, harm).nth(nth));
    let maria = stage.person("maria");
    let line = format!("/release schedule web-shop {}", at(1));
    let asked = maria.types(&line, "releases").await;
    match held {
        true => stage.world.held(1).await,
        false => drop(stage.world.called(method, nth).await),
    }
    stage.killed().await;
    stage.world.release();
    stage.world.pardon_wait(&asked);
    stage.begin().await;
    let poll = stage.sees("releases", "go or no-go?").await;
    stage.sees("releases", "War room: #release-v1-2-0").await;
    stage.sees(ROOM, "how to go back to v1.1.9").await;
    stage.settled().await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    let what = format!("{method}, the {nth}. time");
    for said in ["go or no-go?", "War room: #release-v1-2-0", "how to go back to v1.1.9"] {
        assert_eq!(stage.world.count(said), 1, "{what}: {said}\n{}", stage.world.everything());
    }
    let rooms = stage.world.look(|it| {
        it.channels.values().filter(|channel| channel.name.starts_with("release-")).count()
    });
    assert_eq!(rooms, 1, "{what}");
    stage.assert_clean().await;
}

#[tokio::test]
async fn killed_before_slack_takes_a_message_it_is_said_once() {
    for nth in [1, 3] {
        killed_at("chat.postMessage", nth, Harm::Hold).await;
    }
}

#[tokio::test]
async fn killed_after_slack_took_a_message_it_is_said_once() {
    for nth in [1, 2, 4] {
        killed_at("chat.postMessage", nth, Harm::AnswerLost).await;
    }
}

#[tokio::test]
async fn killed_around_the_opening_of_a_room_there_is_one() {
    killed_at("conversations.create", 1, Harm::Hold).await;
    killed_at("conversations.create", 1, Harm::AnswerLost).await;
    killed_at("conversations.invite", 1, Harm::AnswerLost).await;
    killed_at("pins.add", 1, Harm::AnswerLost).await;
}

#[tokio::test]
async fn killed_while_a_deploy_runs_it_is_not_repeated() {
    let mut stage = Stage::set(Mode::Socket).await;
    let gate = stage.path("pods/gate-1");
    mkfifo(&gate, Bits::S_IRUSR | Bits::S_IWUSR).unwrap();
    stage.to_start().await;
    let running = async || stage.deploys(1, "v1.2.0") == 1;
    stage.running().until("the deploy runs", running).await;
    stage.killed_and_started_again().await;
    // Whoever opens the other end lets it go on.
    tokio::task::spawn_blocking(move || std::fs::write(gate, "")).await.unwrap().unwrap();
    let asked = stage.sees(ROOM, "nobody can tell how Pod 1 ended").await;
    let john = stage.person("john");
    john.presses(&asked, "It worked").await.answered().await;
    let form = john.sees_view("").await;
    john.submits(&form, &[("How you know", "pod 1 answers")]).await.answered().await;
    stage.sees(ROOM, "✅ Pod 1 deployed (50 % traffic)").await;
    assert_eq!(stage.deploys(1, "v1.2.0"), 1);
    stage.settled().await;
    for said in ["✅ Database migrations complete", "✅ Pod 1 deployed", "has started"] {
        stage.world.exactly_once(said);
    }
    stage.assert_clean().await;
}

/// The click is acknowledged and kept; who clicked was still being looked up.
#[tokio::test]
async fn a_click_that_was_kept_is_answered_after_a_restart_and_counts_once() {
    let mut stage = Stage::set(Mode::Socket).await;
    let poll = stage.to_poll().await;
    let quinn = stage.person("quinn");
    stage.world.fault(Fault::on("users.info", Harm::Hold));
    let click = quinn.presses(&poll, "GO · QA").await;
    stage.world.held(1).await;
    stage.killed().await;
    stage.world.release();
    stage.begin().await;
    quinn.sees_ephemeral("Your GO for QA is recorded").await;
    for _ in 0..10 {
        stage.world.delivers_again(&click);
    }
    stage.world.all_acknowledged().await;
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.settled().await;
    let votes = stage.log().await.iter().filter(|it| it.contains("said GO for QA")).count();
    assert_eq!(votes, 1);
    // It waited for our restart, which a person would have seen as well.
    stage.world.pardon_wait(&click);
    stage.assert_clean().await;
}

#[tokio::test]
async fn yesterdays_card_answers_and_works_after_a_restart() {
    let mut stage = Stage::set(Mode::Http).await;
    let poll = stage.to_poll().await;
    stage.presses("sam", &poll, "GO · Support", "Your GO for Support").await;
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.killed_and_started_again().await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    // A screen that has not been redrawn since the first version.
    let sam = stage.person("sam");
    sam.presses_old(&poll, 0, "GO · Support").await.answered().await;
    let told = sam.sees_ephemeral("Support").await;
    let told = stage.world.whisper_text(&told);
    assert!(told.contains("Nothing was changed"), "{told}");
    stage.assert_clean().await;
}

// ---------------------------------------------------------------------------------------------
// Refused

#[tokio::test]
async fn who_is_not_of_the_house_is_refused_and_it_is_on_record() {
    let stage = Stage::set_with(Mode::Socket, cast(), |config| {
        // They are in the configuration, and still not let in.
        config.replace("members = [\"ann\"]", "members = [\"ann\", \"gus\", \"leaver\"]")
    })
    .await;
    let poll = stage.to_poll().await;
    for name in ["gus", "leaver", "stranger"] {
        let person = stage.person(name);
        person.presses(&poll, "GO · Engineering").await.answered().await;
        let told = person.sees_ephemeral("").await;
        let told = stage.world.whisper_text(&told);
        assert!(!told.contains("recorded"), "{name}: {told}");
    }
    stage.settled().await;
    let log = stage.log().await;
    let refused: Vec<_> = log.iter().filter(|it| it.starts_with("Refused go")).collect();
    assert_eq!(refused.len(), 3, "{log:#?}");
    let votes = log.iter().filter(|it| it.contains("said GO")).count();
    assert_eq!(votes, 0);
    stage.assert_clean().await;
}

#[tokio::test]
async fn forged_stale_and_replayed_requests_change_nothing() {
    let stage = Stage::set(Mode::Http).await;
    let poll = stage.to_poll().await;
    let press = || stage.world.press_of("ann", &poll, "GO · Engineering");
    for forged in [
        press().forged(),
        press().unsigned(),
        press().stale(Duration::from_secs(301)),
        press().ahead_of_time(Duration::from_secs(301)),
        press().tampered("UANN000000", "USAM000000"),
    ] {
        let (status, body) = forged.send().await;
        assert_eq!((status, body.as_str()), (401, ""), "without a hint");
    }
    let sound = press();
    assert_eq!(sound.send().await.0, 200);
    for _ in 0..10 {
        let (status, body) = sound.send().await;
        assert!(body.is_empty() && [200, 401].contains(&status), "{status}: {body}");
    }
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.settled().await;
    let votes = stage.log().await.iter().filter(|it| it.contains("said GO")).count();
    assert_eq!(votes, 1, "a replay counts once");
}

#[tokio::test]
async fn words_of_people_ping_nobody() {
    let stage = Stage::set(Mode::Socket).await;
    let loud = "<!here> <!channel|x> <@UJOHN00000> @channel & <https://evil.example|click>";
    let line = format!("schedule web-shop {} --title \"{loud}\"", at(1));
    stage.says("maria", &line, "is scheduled for").await;
    let poll = stage.sees("releases", "go or no-go?").await;
    let sam = stage.person("sam");
    sam.presses(&poll, "NO-GO · Support").await.answered().await;
    let form = sam.sees_view("NO-GO").await;
    sam.submits(&form, &[("Reason", loud)]).await.answered().await;
    stage.world.sees_edit(&poll, "✗ Support (Sam").await;
    stage.settled().await;
    let posted = stage.world.calls("chat.postMessage");
    for call in posted.iter().chain(&stage.world.calls("chat.update")) {
        let text = call.arg("text");
        assert!(!text.contains("<!") && !text.contains("<@UJOHN00000> @channel"), "{text}");
        // In rich text only elements of their own ping or lead anywhere.
        let blocks = serde_json::to_string(&call.args["blocks"]).unwrap();
        assert!(!blocks.contains("\"broadcast\"") && !blocks.contains("\"url\""), "{blocks}");
        assert!(!blocks.contains("\"mrkdwn\""), "{blocks}");
    }
    stage.assert_clean().await;
}

// ---------------------------------------------------------------------------------------------
// Slack has a bad day

#[tokio::test]
async fn a_storm_of_429_delays_and_doubles_nothing() {
    let stage = Stage::set(Mode::Socket).await;
    stage.world.fault(Fault::on("chat.postMessage", Harm::TooMany(1)).times(6));
    stage.world.fault(Fault::on("conversations.create", Harm::TooMany(1)).times(2));
    stage.to_poll().await;
    stage.sees("releases", "🚀 Web shop v1.2.0 starts in 1 h").await;
    stage.settled().await;
    for said in ["go or no-go?", "🚀 Web shop v1.2.0 starts in 1 h", "how to go back to v1.1.9"] {
        stage.world.exactly_once(said);
    }
    stage.assert_clean().await;
}

#[tokio::test]
async fn a_disabled_link_is_told_to_the_operator_and_a_restart_mends_it() {
    let mut stage = Stage::set(Mode::Socket).await;
    let poll = stage.to_poll().await;
    stage.world.disconnects("link_disabled");
    let told = async || stage.here.logged().contains("Socket Mode is turned off");
    stage.running().until("the operator is told", told).await;
    stage.world.enables_link();
    stage.killed_and_started_again().await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn a_revoked_token_is_told_to_the_operator() {
    let stage = Stage::set(Mode::Socket).await;
    stage.to_poll().await;
    stage.world.revoke_bot_token();
    let doctor = stage.here.cli(&["doctor"]).await;
    assert!(doctor.out.contains("token") || doctor.err.contains("token"), "{doctor:?}");
    assert_ne!(doctor.status, 0, "{doctor:?}");
    let logged = stage.here.logged();
    assert!(!logged.contains(&stage.world.bot_token()), "{logged}");
}

// ---------------------------------------------------------------------------------------------
// Other places

#[tokio::test]
async fn the_home_tab_shows_what_waits_for_me_and_works() {
    let stage = Stage::set(Mode::Socket).await;
    stage.to_poll().await;
    let quinn = stage.person("quinn");
    quinn.opens_home().await.answered().await;
    let home = quinn.sees_home("1 sign-off waits for you.").await;
    let shown = stage.world.sheet_text(&home);
    assert!(shown.contains("QA for Web shop v1.2.0"), "{shown}");
    assert!(!shown.contains("web-shop/production"), "no ids: {shown}");
    quinn.presses_in_sheet(&home, "GO · QA · v1.2.0").await.answered().await;
    quinn.sees_home("Nothing waits for you.").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn where_no_channel_may_be_opened_the_room_is_a_thread() {
    let stage = Stage::set_with(Mode::Socket, cast().creation_forbidden(), |config| config).await;
    stage.says("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
    stage.sees("releases", "how to go back to v1.1.9").await;
    stage.settled().await;
    stage.sees("dm-maria", "its war room is a thread in #releases").await;
    stage.world.exactly_once("its war room is a thread in #releases");
    stage.world.exactly_once("how to go back to v1.1.9");
    let transcript = stage.world.transcript("releases");
    assert!(transcript.contains("    tminus: Web shop v1.2.0: how to go back"), "{transcript}");
    let customers = stage.world.transcript("customers");
    assert!(customers.contains("is on the calendar") && !customers.contains("[ "), "{customers}");
    stage.assert_clean().await;
}
