//! Discord and the program when things go wrong: killed at each boundary, delivered again, refused,
//! forged, throttled, cut off. What was said stands there once, and each click has its answer.

use std::time::Duration;

use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;

use crate::discord_stage::{Mode, Stage, cast};
use crate::discord_world::permissions::MANAGE_CHANNELS;
use crate::discord_world::{Fault, GUILD, Harm, id};
use crate::installed::until;
use crate::shop::at;

const ROOM: &str = "release-v1-2-0";

// ---------------------------------------------------------------------------------------------
// Killed

/// Killed while a call is held, before or after Discord did what it asks.
async fn killed_at(operation: &str, nth: usize, harm: Harm) {
    let held = harm == Harm::Hold;
    let mut stage = Stage::set(Mode::Gateway).await;
    stage.world.fault(Fault::on(operation, harm).nth(nth));
    let maria = stage.person("maria");
    let line = format!("/release schedule plan:web-shop when:{}", at(1));
    let asked = maria.types(&line, "releases").await;
    match held {
        true => stage.world.held(1).await,
        false => drop(stage.world.called(operation, nth).await),
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
    let what = format!("{operation}, the {nth}. time");
    for said in ["go or no-go?", "War room: #release-v1-2-0", "how to go back to v1.1.9"] {
        assert_eq!(stage.world.count(said), 1, "{what}: {said}\n{}", stage.world.everything());
    }
    let rooms = stage.world.look(|realm| {
        realm.channels.values().filter(|channel| channel.name.starts_with("release-")).count()
    });
    assert_eq!(rooms, 1, "{what}");
    stage.assert_clean().await;
}

#[tokio::test]
async fn killed_before_discord_takes_a_message_it_is_said_once() {
    for nth in [1, 3] {
        killed_at("create_message", nth, Harm::Hold).await;
    }
}

#[tokio::test]
async fn killed_after_discord_took_a_message_it_is_said_once() {
    for nth in [1, 2, 4] {
        killed_at("create_message", nth, Harm::AnswerLost).await;
    }
}

#[tokio::test]
async fn killed_around_the_opening_of_a_room_there_is_one() {
    killed_at("create_guild_channel", 1, Harm::Hold).await;
    killed_at("create_guild_channel", 1, Harm::AnswerLost).await;
    killed_at("deprecated_create_pin", 1, Harm::AnswerLost).await;
}

#[tokio::test]
async fn killed_while_a_deploy_runs_it_is_not_repeated() {
    let mut stage = Stage::set(Mode::Gateway).await;
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

/// The click was recorded, and Discord had not heard so when the program died.
#[tokio::test]
async fn a_click_of_which_discord_heard_nothing_counts_once() {
    let mut stage = Stage::set(Mode::Gateway).await;
    let poll = stage.to_poll().await;
    let quinn = stage.person("quinn");
    stage.world.fault(Fault::on("create_interaction_response", Harm::Hold));
    let world = &stage.world;
    let (click, ()) = tokio::join!(quinn.presses(&poll, "GO · QA"), async {
        world.held(1).await;
        // Nobody waits three seconds for what will not come.
        world.clock().advance(Duration::from_secs(4));
    });
    stage.killed().await;
    stage.world.release();
    stage.world.pardon_wait(&click);
    stage.begin().await;
    for _ in 0..10 {
        stage.world.delivers_again(&click);
    }
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.settled().await;
    let votes = stage.log().await.iter().filter(|it| it.contains("said GO for QA")).count();
    assert_eq!(votes, 1);
    stage.world.pardon("not answered within three seconds");
    // The call that was held arrived when nobody waited for it, and the answer may have been tried
    // where she clicked, of which Discord knew nothing.
    stage.world.pardon("answered after three seconds");
    stage.world.overlooks("before the interaction was answered");
    stage.assert_clean().await;
}

#[tokio::test]
async fn ten_redeliveries_of_a_click_count_once() {
    let stage = Stage::set(Mode::Gateway).await;
    let poll = stage.to_poll().await;
    let (click, _) = stage.presses("ann", &poll, "GO · Engineering", "Your GO for Eng").await;
    for _ in 0..10 {
        stage.world.delivers_again(&click);
    }
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.settled().await;
    let log = stage.log().await;
    let votes = log.iter().filter(|it| it.contains("said GO for Engineering")).count();
    assert_eq!((votes, log.iter().filter(|it| it.starts_with("Refused")).count()), (1, 0));
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
    let stage = Stage::set_with(Mode::Gateway, cast(), |config| {
        // One of them is in the configuration, and has gone to another server.
        config
            .replace("members = [\"ann\"]", "members = [\"ann\", \"leaver\"]")
            .replace("lag = \"0s\"", "lag = \"0s\"\nregistration = \"global\"")
    })
    .await;
    let poll = stage.to_poll().await;
    for name in ["paula", "gus"] {
        stage.presses(name, &poll, "GO · Engineering", "").await;
    }
    for name in ["stranger", "leaver"] {
        let person = stage.person(name);
        let line = "/release go release:v1.2.0 as:engineering";
        person.types(line, "elsewhere").await.answered().await;
        let told = person.sees_ephemeral("").await;
        let told = stage.world.whisper_text(&told);
        assert!(!told.contains("recorded"), "{name}: {told}");
    }
    // Whose role is taken away is not in it at the very next click, though she was a moment ago.
    stage.says("quinn", "status release:v1.2.0", "Web shop v1.2.0").await;
    let qa = stage.world.role("qa");
    stage.world.change(|realm| {
        let house = realm.guilds.get_mut(GUILD).unwrap();
        house.members.get_mut(&id("user", "quinn")).unwrap().remove(&qa);
    });
    stage.presses("quinn", &poll, "GO · QA", "").await;
    stage.settled().await;
    let log = stage.log().await;
    let refused: Vec<_> = log.iter().filter(|it| it.starts_with("Refused go")).collect();
    assert_eq!(refused.len(), 5, "{log:#?}");
    let votes = log.iter().filter(|it| it.contains("said GO")).count();
    assert_eq!(votes, 0);
    stage.assert_clean().await;
}

#[tokio::test]
async fn forged_stale_and_replayed_requests_change_nothing() {
    let stage = Stage::set(Mode::Http).await;
    let poll = stage.to_poll().await;
    stage.world.accepts_address().await.unwrap();
    let press = || stage.world.press_of("ann", &poll, "GO · Engineering");
    for forged in [
        press().forged(),
        press().unsigned(),
        press().without_time(),
        press().stale(Duration::from_secs(301)),
        press().ahead_of_time(Duration::from_secs(330)),
        press().tampered(&id("user", "ann"), &id("user", "sam")),
    ] {
        let (status, body) = forged.send().await;
        assert_eq!((status, body.as_str()), (401, ""), "without a hint");
    }
    let sound = press();
    assert_eq!(sound.send().await.0, 200);
    for _ in 0..10 {
        let (status, body) = sound.send().await;
        assert_eq!((status, body.as_str()), (401, ""), "the same signature again");
    }
    stage.world.sees_edit(&poll, "1 of 3 GO").await;
    stage.settled().await;
    let votes = stage.log().await.iter().filter(|it| it.contains("said GO")).count();
    assert_eq!(votes, 1, "a replay counts once");
}

#[tokio::test]
async fn words_of_people_ping_nobody() {
    let stage = Stage::set(Mode::Gateway).await;
    let john = id("user", "john");
    let loud = format!("@everyone @here <@{john}> <@&{GUILD}> [click](https://evil.example)");
    let line = format!("schedule plan:web-shop when:{} title:{loud}", at(1));
    stage.says("maria", &line, "is scheduled for").await;
    let poll = stage.sees("releases", "go or no-go?").await;
    let sam = stage.person("sam");
    sam.presses(&poll, "NO-GO · Support").await.answered().await;
    let form = sam.sees_view("NO-GO").await;
    sam.submits(&form, &[("Reason", &loud)]).await.answered().await;
    stage.world.sees_edit(&poll, "✗ Support (Sam").await;
    stage.settled().await;
    for operation in ["create_message", "update_message"] {
        for call in stage.world.calls(operation) {
            let allowed = &call.body["allowed_mentions"];
            assert_eq!(allowed["parse"], serde_json::json!([]), "{call:?}");
            assert!(!allowed["users"].to_string().contains(&john), "{call:?}");
            // A link that somebody wrote is shown as it was written.
            assert!(!call.body.to_string().contains("[click](http"), "{call:?}");
        }
    }
    stage.assert_clean().await;
}

// ---------------------------------------------------------------------------------------------
// Discord has a bad day

#[tokio::test]
async fn a_storm_of_429_delays_and_doubles_nothing() {
    let stage = Stage::set(Mode::Gateway).await;
    stage.world.fault(Fault::on("create_message", Harm::TooMany(1.0)).times(6));
    stage.world.fault(Fault::on("create_guild_channel", Harm::TooMany(1.0)).times(2));
    stage.to_poll().await;
    stage.sees("releases", "🚀 Web shop v1.2.0 starts in 1 h").await;
    stage.settled().await;
    for said in ["go or no-go?", "🚀 Web shop v1.2.0 starts in 1 h", "how to go back to v1.1.9"] {
        stage.world.exactly_once(said);
    }
    stage.assert_clean().await;
}

#[tokio::test]
async fn what_a_limit_holds_back_when_we_stop_is_said_once_at_the_next_start() {
    let mut stage = Stage::set(Mode::Gateway).await;
    stage.to_poll().await;
    stage.settled().await;
    let seen = stage.world.struck();
    stage.world.fault(Fault::on("create_message", Harm::TooMany(1.9)).times(2));
    stage.says("maria", "update text:we look into it", "Posted").await;
    let struck = async || stage.world.struck() > seen;
    stage.running().until("Discord asked us to wait", struck).await;
    stage.stopped().await;
    stage.begin().await;
    stage.sees(ROOM, "we look into it").await;
    stage.settled().await;
    stage.world.exactly_once("we look into it");
    // Who starts anew does not know what the one before was asked.
    stage.world.overlooks("did not wait for `retry_after`");
    stage.assert_clean().await;
}

#[tokio::test]
async fn within_discords_own_limits_the_whole_way_to_the_poll_is_clean() {
    let stage = Stage::set_with(Mode::Gateway, cast().rate_limits(), |config| config).await;
    let poll = stage.to_poll().await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn a_line_that_is_cut_is_opened_again_and_clicks_arrive() {
    let stage = Stage::set(Mode::Gateway).await;
    let poll = stage.to_poll().await;
    stage.world.cuts_connections();
    stage.world.resumed(1).await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.world.invalidates_session(false);
    stage.world.identified(2).await;
    stage.presses("sam", &poll, "GO · Support", "Your GO for Support").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn a_revoked_token_is_told_to_the_operator() {
    let stage = Stage::set(Mode::Gateway).await;
    stage.to_poll().await;
    stage.here.cli(&["doctor"]).await.expect(0, &["✓ Discord's bot tminus", "slash command"]);
    stage.world.revoke_bot_token();
    let doctor = stage.here.cli(&["doctor"]).await;
    assert!(doctor.out.contains("✗ Discord's bot token"), "{doctor:?}");
    assert_ne!(doctor.status, 0, "{doctor:?}");
    let logged = stage.here.logged();
    assert!(!logged.contains(&stage.world.bot_token()), "{logged}");
}

/// Until whoever asks is told that nothing gets through, and what to do about it.
async fn shut_out(stage: &Stage) {
    not_ready(stage, "Discord does not take our token").await;
}

async fn not_ready(stage: &Stage, why: &str) {
    let told = async || {
        let (status, ready) = stage.running().get("/readyz").await;
        status == 503 && ready.contains(why)
    };
    stage.running().until("it is not ready, and says why", told).await;
}

#[tokio::test]
async fn what_a_revoked_token_holds_back_goes_out_once_with_a_new_one() {
    let mut stage = Stage::set(Mode::Http).await;
    let poll = stage.to_poll().await;
    stage.sees("releases", "🚀 Web shop v1.2.0 starts in 1 h").await;
    stage.presses("ann", &poll, "GO · Engineering", "Your GO for Engineering").await;
    stage.settled().await;
    stage.world.revoke_bot_token();
    // The answer to a call needs no token, and what she says is on record.
    let line = "no-go as:engineering reason:the queue is growing";
    stage.says("ann", line, "Your NO-GO for Engineering").await;
    stage.says("maria", "update text:we look into it", "Posted").await;
    shut_out(&stage).await;
    let knocks = stage.world.calls("create_message");
    let refused = knocks.iter().filter(|call| call.status == 401).count();
    assert!(refused <= 4, "nobody knocks again and again: {refused}");
    stage.here.cli(&["doctor"]).await.expect(1, &["✗ Discord's bot token"]);
    assert!(stage.here.logged().contains("does not take our token"));
    // A start does not help as long as the token is the old one.
    stage.killed_and_started_again().await;
    shut_out(&stage).await;
    assert_eq!(stage.world.count("the queue is growing"), 0);
    stage.killed().await;
    let token = stage.world.issue_bot_token();
    stage.here.set_env("DISCORD_TOKEN", &token);
    stage.begin().await;
    stage.sees(ROOM, "the queue is growing").await;
    stage.sees(ROOM, "we look into it").await;
    stage.settled().await;
    for said in ["NO-GO: Web shop", "we look into it", "🚀 Web shop v1.2.0 starts in 1 h"] {
        stage.world.exactly_once(said);
    }
    assert_eq!(stage.running().get("/readyz").await.0, 200);
    let given_up = stage.log().await.iter().filter(|it| it.contains("delivered")).count();
    assert_eq!(given_up, 0);
    stage.assert_clean().await;
}

/// The gateway's own ways to say so, while nothing is to be said: close codes.
#[tokio::test]
async fn a_line_that_is_refused_says_why_and_does_not_knock_every_second() {
    for (code, why) in [(4004, "Discord does not take our token"), (4014, "Intents")] {
        let stage = Stage::set(Mode::Gateway).await;
        stage.settled().await;
        assert_eq!(stage.running().get("/readyz").await.0, 200);
        stage.world.closes_connections(code);
        not_ready(&stage, why).await;
        let logged = stage.here.logged();
        assert!(logged.contains("Discord's line does not open"), "{logged}");
        stage.here.cli(&["doctor"]).await.expect(1, &["it is not ready: Discord's line", why]);
        assert_eq!(stage.world.sessions().0, 1, "the next try is minutes later");
    }
}

/// Nobody has anything to say, and nobody keeps a line.
#[tokio::test]
async fn who_is_only_called_says_that_it_is_shut_out_from_its_start() {
    let mut stage = Stage::set(Mode::Http).await;
    stage.stopped().await;
    stage.world.revoke_bot_token();
    stage.begin().await;
    shut_out(&stage).await;
    stage.here.cli(&["doctor"]).await.expect(1, &["✗ Discord's bot token", "Nothing gets through"]);
    stage.stopped().await;
    stage.world.readmit_bot_token();
    stage.begin().await;
    assert_eq!(stage.running().get("/readyz").await.0, 200);
}

#[tokio::test]
async fn where_no_channel_may_be_opened_the_room_is_a_thread() {
    let setup = cast().without_permission(MANAGE_CHANNELS);
    let stage = Stage::set_with(Mode::Gateway, setup, |config| config).await;
    let line = format!("schedule plan:web-shop when:{}", at(1));
    stage.says("maria", &line, "is scheduled for").await;
    let thread = stage.world.sees_channel(ROOM).await;
    stage.sees(&thread.id, "how to go back to v1.1.9").await;
    stage.settled().await;
    let maria = stage.person("maria");
    maria.sees_private("its war room is a thread in #releases").await;
    stage.world.exactly_once("its war room is a thread in #releases");
    stage.world.exactly_once("how to go back to v1.1.9");
    stage.world.pardon("the bot lacks MANAGE_CHANNELS");
    stage.assert_clean().await;
}

/// Somebody mends what was missing, and need not think of us.
#[tokio::test]
async fn a_registration_that_is_refused_is_tried_again_by_itself() {
    let stage = Stage::waiting(Mode::Gateway, |config| config).await;
    let refused = Fault::on("create_guild_application_command", Harm::Error(50_001));
    stage.world.fault(refused);
    let running = stage.here.start().await;
    stage.world.connected(1).await;
    until("Discord refuses the command", async || stage.world.struck() == 1).await;
    // Whoever has not heard of it yet begins to wait only then.
    until("it is tried again", async || {
        stage.time_goes_by(chrono::Duration::minutes(6));
        running.stirs().await;
        stage.world.commands(Some(GUILD)).iter().any(|it| it["name"] == "release")
    })
    .await;
    running.stopped().await;
}
