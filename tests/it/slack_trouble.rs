//! Slack and the program when things go wrong: killed at each boundary, delivered again, refused,
//! forged, throttled, revoked. What was said stands there once, and each click has its answer.

use std::time::Duration;

use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;

use crate::installed::until;
use crate::shop::{self, at};
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
    for (name, why) in [
        ("gus", "Guests cannot act"),
        ("leaver", "Your account is deactivated"),
        ("stranger", "don't know the account"),
    ] {
        let person = stage.person(name);
        person.presses(&poll, "GO · Engineering").await.answered().await;
        let told = person.sees_ephemeral("").await;
        let told = stage.world.whisper_text(&told);
        assert!(told.contains(why), "{name}: {told}");
    }
    stage.settled().await;
    let log = stage.log().await;
    let refused: Vec<_> = log.iter().filter(|it| it.starts_with("Refused go")).collect();
    assert_eq!(refused.len(), 3, "{log:#?}");
    let gone = refused.iter().filter(|it| it.contains("account is deactivated")).count();
    assert_eq!(gone, 1, "{refused:#?}");
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
        press().ahead_of_time(Duration::from_secs(330)),
        press().tampered("UANN000000", "USAM000000"),
    ] {
        let (status, body) = forged.send().await;
        assert_eq!((status, body.as_str()), (401, ""), "without a hint");
    }
    let sound = press();
    assert_eq!(sound.send().await.0, 200);
    let retry = sound.clone().retried(1);
    assert_eq!(retry.send().await, (200, String::new()), "within the same second");
    for _ in 0..10 {
        let (status, body) = sound.send().await;
        assert!(body.is_empty() && [200, 401].contains(&status), "{status}: {body}");
    }
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.settled().await;
    let votes = stage.log().await.iter().filter(|it| it.contains("said GO")).count();
    assert_eq!(votes, 1, "a replay counts once");
}

/// Slack looks at the certificate now and then, and signs nothing for it.
#[tokio::test]
async fn a_look_at_the_certificate_is_answered_and_does_nothing() {
    let stage = Stage::set(Mode::Http).await;
    let url = format!("{}/slack/commands", stage.running().address);
    let client = stage.running().client();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(client.get(format!("{url}?ssl_check=1&token=x"))).await, 200);
    assert_eq!(status(client.get(&url)).await, 405);
    assert_eq!(status(client.post(&url).form(&[("ssl_check", "1"), ("token", "x")])).await, 200);
    for other in [("ssl_check", "2"), ("text", "ssl_check=1")] {
        assert_eq!(status(client.post(&url).form(&[other, ("command", "/release")])).await, 401);
    }
    assert_eq!(
        stage.world.all_calls().iter().filter(|it| it.method == "chat.postMessage").count(),
        0
    );
    stage.assert_clean().await;
}

/// Slack delivers again what it believes we missed, also to the program that was started since.
#[tokio::test]
async fn a_click_that_comes_again_after_a_restart_counts_once() {
    let mut stage = Stage::set(Mode::Http).await;
    let poll = stage.to_poll().await;
    let press = stage.world.press_of("ann", &poll, "GO · Engineering");
    let line = stage.world.command_of("maria", "/release hold \"it rains\"", "releases");
    for first in [&press, &line] {
        assert_eq!(first.send().await.0, 200);
    }
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.sees(ROOM, "it rains").await;
    stage.settled().await;
    stage.killed_and_started_again().await;
    stage.says("maria", "resume", "goes on").await;
    for again in [&press, &line] {
        let again = again.to(&stage.running().address);
        assert_eq!(again.send().await.0, 200, "the same body and signature, within five minutes");
        assert_eq!(again.send().await.0, 401, "a replay to one and the same program");
        let retry = again.ahead_of_time(Duration::from_secs(1)).retried(1);
        assert_eq!(retry.send().await, (200, String::new()));
    }
    stage.settled().await;
    let log = stage.log().await;
    for deed in ["said GO for Engineering", "put it on hold: it rains"] {
        let found = log.iter().filter(|it| it.contains(deed)).count();
        assert_eq!(found, 1, "{deed}: {log:#?}");
    }
    stage.world.exactly_once("is on hold, by Maria: it rains");
    let lifted = async || stage.world.count("On hold since") == 0;
    stage.running().until("what was resumed is not held again", lifted).await;
    stage.assert_clean().await;
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

/// A line that breaks again and again loses no message and doubles none: each time it is looked for.
#[tokio::test]
async fn a_message_whose_line_broke_five_times_is_there_once() {
    let mut stage = Stage::waiting(Mode::Socket, |config| config).await;
    let breaks = Fault::on("chat.postMessage", Harm::ResetBefore).in_channel("CRELEASES0");
    stage.world.fault(breaks.saying("is on the calendar").times(5));
    stage.begin().await;
    stage.says("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
    let there = async || {
        // Less than what a call may take.
        stage.time_goes_by(chrono::Duration::seconds(1));
        stage.running().stirs().await;
        stage.world.says("releases", "is on the calendar").is_some()
    };
    until("it is there", there).await;
    assert_eq!(stage.world.struck(), 5);
    stage.settled().await;
    stage.world.exactly_once("This one notice stands for T-48h");
    let log = shop::log(&stage.here).await;
    assert!(log.iter().all(|entry| !entry.contains("Nobody can tell")), "{log:#?}");
    stage.assert_clean().await;
}

/// Nobody heard that it was posted: it is looked for, and is then a card like any other.
#[tokio::test]
async fn a_card_whose_posting_nobody_heard_of_is_found_and_pinned() {
    let mut stage = Stage::waiting(Mode::Socket, |config| config).await;
    let lost = Fault::on("chat.postMessage", Harm::AnswerLost).saying("how to go back");
    stage.world.fault(lost);
    stage.begin().await;
    stage.says("maria", &format!("schedule web-shop {}", at(1)), "is scheduled for").await;
    let card = stage.sees(ROOM, "how to go back to v1.1.9").await;
    stage.settled().await;
    stage.time_goes_by(chrono::Duration::seconds(11));
    stage.running().stirs().await;
    stage.world.called("pins.add", 2).await;
    stage.settled().await;
    stage.world.exactly_once("how to go back to v1.1.9");
    let pinned = stage.world.calls("pins.add");
    assert!(pinned.iter().any(|call| call.arg("timestamp") == card.ts), "{pinned:?}");
    stage.assert_clean().await;
}

/// Whoever reads it in the channel is led there by a press: it is the channel, and not its name.
fn leads_to(stage: &Stage, said: &str, room: &str) {
    let calls = stage.world.calls("chat.postMessage");
    let call = calls.iter().find(|call| call.arg("text").contains(said)).expect("it was said");
    let link = format!(r#""type":"channel","channel_id":"{room}""#);
    let turned = format!(r#""channel_id":"{room}","type":"channel""#);
    let blocks = call.args["blocks"].to_string();
    assert!(blocks.contains(&link) || blocks.contains(&turned), "{blocks}");
}

#[tokio::test]
async fn the_last_announcement_leads_to_the_room() {
    let stage = Stage::set(Mode::Socket).await;
    stage.world.fault(Fault::on("conversations.create", Harm::TooMany(1)));
    stage.to_poll().await;
    stage.sees("releases", "🚀 Web shop v1.2.0 starts in 1 h. War room: #release-v1-2-0").await;
    leads_to(&stage, "🚀 Web shop v1.2.0 starts in 1 h", &stage.world.channel(ROOM).id);
    assert_eq!(stage.world.count("the war room is open"), 0);
    stage.assert_clean().await;
}

#[tokio::test]
async fn a_room_that_slack_keeps_waiting_is_told_of_when_it_is_there() {
    let stage = Stage::set(Mode::Socket).await;
    stage.world.fault(Fault::on("conversations.create", Harm::TooMany(6)));
    stage.to_poll().await;
    let early = stage.sees("releases", "🚀 Web shop v1.2.0 starts in 1 h").await;
    let early = stage.world.text_of(&early);
    assert!(early.contains("The war room is not open yet: I will say here when it is"), "{early}");
    stage.sees("releases", "the war room is open: #release-v1-2-0").await;
    leads_to(&stage, "the war room is open", &stage.world.channel(ROOM).id);
    stage.settled().await;
    stage.world.exactly_once("the war room is open");
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

/// Until whoever asks is told that nothing gets through, and what to do about it.
async fn shut_out(stage: &Stage) {
    let told = async || {
        let (status, ready) = stage.running().get("/readyz").await;
        status == 503 && ready.contains("Install it again")
    };
    stage.running().until("it is not ready, and says why", told).await;
}

#[tokio::test]
async fn what_a_revoked_token_holds_back_goes_out_once_with_a_new_one() {
    let mut stage = Stage::set(Mode::Socket).await;
    let poll = stage.to_poll().await;
    stage.sees("releases", "🚀 Web shop v1.2.0 starts in 1 h").await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.settled().await;
    stage.world.revoke_bot_token();
    // An answer needs no token, and what she says is on record.
    stage.says("ann", "no-go \"the queue is growing\"", "Your NO-GO for Engineering").await;
    stage.says("maria", "update we look into it", "Posted").await;
    shut_out(&stage).await;
    let knocks = stage.world.calls("chat.postMessage");
    let refused = knocks.iter().filter(|call| call.answer["error"] == "token_revoked");
    assert!(refused.count() <= 2, "nobody knocks again and again");
    let doctor = stage.here.cli(&["doctor"]).await.expect(1, &["token"]);
    assert!(doctor.out.contains("Install it again"), "{doctor:?}");
    let logged = stage.here.logged();
    assert!(logged.contains("the app was removed from the workspace"), "{logged}");
    assert!(!logged.contains(&stage.world.bot_token()), "{logged}");
    // A start does not help as long as the token is the old one.
    stage.killed_and_started_again().await;
    shut_out(&stage).await;
    assert_eq!(stage.world.count("the queue is growing"), 0);
    stage.killed().await;
    let token = stage.world.issue_bot_token();
    stage.here.set_env("SLACK_BOT_TOKEN", &token);
    stage.begin().await;
    stage.sees(ROOM, "the queue is growing").await;
    stage.sees(ROOM, "we look into it").await;
    stage.settled().await;
    for said in ["NO-GO: Web shop", "we look into it", "🚀 Web shop v1.2.0 starts in 1 h"] {
        stage.world.exactly_once(said);
    }
    assert_eq!(stage.running().get("/readyz").await.0, 200);
    stage.here.cli(&["doctor"]).await.expect(0, &[]);
    let given_up = stage.log().await.iter().filter(|it| it.contains("delivered")).count();
    assert_eq!(given_up, 0);
    stage.assert_clean().await;
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
    quinn.presses_in_sheet(&home, "GO · QA · Web shop v1.2.0").await.answered().await;
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
