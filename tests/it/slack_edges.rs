//! Slack at its edges: told to wait, cut off in mid-speech, closed in mid-click, and attacked.

use std::time::{Duration, Instant};

use tminus::adapters::chat::slack::{Mode, Slack, SlackSettings};
use tminus::ports::{Chat, Failure, File, Message, Place, RoomWish, Whisper};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::chat_contract::text;
use crate::slack_adapter::{ANN, Bot, RELEASES, adapter, releases, settings};
use crate::slack_world::{Fault, Harm, Kind, Setup, SlackWorld};

// ---------------------------------------------------------------------------------------------
// Told to wait

#[track_caller]
fn must_wait<T: std::fmt::Debug>(tried: Result<T, Failure>) -> Duration {
    match tried {
        Err(Failure::Transient { retry_after: Some(wait), .. }) => wait,
        other => panic!("it was not told to wait: {other:?}"),
    }
}

#[tokio::test]
async fn a_channel_that_must_wait_stalls_no_other_and_is_not_asked_again() {
    let setup = Setup::default().channel("ops", Kind::Public, &["maria", "bot"]);
    let world = SlackWorld::with(setup).await;
    let slack = adapter(&world);
    let harm = Harm::TooMany(600);
    world.fault(Fault::on("chat.postMessage", harm).in_channel(RELEASES));
    assert_eq!(must_wait(slack.post(&releases(), "k1", &text("x")).await).as_secs(), 600);
    let ops = Place::Channel("COPS000000".into());
    let said = slack.post(&ops, "k1", &text("heard elsewhere")).await.unwrap();
    slack.edit(&said, &text("another method")).await.unwrap();
    let left = must_wait(slack.post(&releases(), "k2", &text("x")).await);
    assert!(left > Duration::from_secs(500), "{left:?}");
    let asked = world.calls("chat.postMessage");
    assert_eq!(asked.iter().filter(|call| call.arg("channel") == RELEASES).count(), 1);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_method_that_must_wait_stalls_no_other() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let said = slack.post(&releases(), "k", &text("x")).await.unwrap();
    world.fault(Fault::on("pins.add", Harm::TooMany(600)));
    must_wait(slack.pin(&said).await);
    must_wait(slack.pin(&said).await);
    assert_eq!(world.calls("pins.add").len(), 1);
    slack.edit(&said, &text("y")).await.unwrap();
    slack.post(&releases(), "k2", &text("z")).await.unwrap();
    world.assert_clean().await;
}

// ---------------------------------------------------------------------------------------------
// Cut off in mid-speech

fn long() -> Message {
    let file = |name: &str| File {
        name: name.to_owned(),
        media: "text/markdown".into(),
        text: "# Report".into(),
    };
    Message { files: vec![file("report.md"), file("plan.md")], ..text(&"word ".repeat(6_000)) }
}

/// The call that is cut off, and whether Slack did what it asked.
#[tokio::test]
async fn a_long_message_is_made_whole_wherever_it_was_cut_off() {
    for harm in [Harm::ResetBefore, Harm::ResetAfter] {
        for (method, nth) in [
            ("chat.postMessage", 2),
            ("chat.postMessage", 3),
            ("files.completeUploadExternal", 1),
            ("files.completeUploadExternal", 2),
        ] {
            let world = SlackWorld::start().await;
            world.fault(Fault::on(method, harm.clone()).nth(nth));
            let before = adapter(&world);
            let cut = before.post(&releases(), "key", &long()).await;
            assert!(matches!(cut, Err(Failure::Unknown { .. })), "{method} {nth}: {cut:?}");
            drop(before);
            // Another process: nothing is remembered.
            let after = adapter(&world);
            let found = after.find(&releases(), "key").await.unwrap().expect("its beginning");
            after.carry_on(&found, "key", &long()).await.unwrap();
            after.carry_on(&found, "key", &long()).await.unwrap();
            let transcript = world.transcript("releases");
            assert_eq!(transcript.matches("word").count(), 6_000, "{harm:?} {method} {nth}");
            for name in ["(report.md)", "(plan.md)"] {
                assert_eq!(transcript.matches(name).count(), 1, "{name} {harm:?} {method} {nth}");
            }
            world.assert_clean().await;
        }
    }
}

#[tokio::test]
async fn a_short_message_is_whole_and_costs_no_call() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let said = slack.post(&releases(), "key", &text("short")).await.unwrap();
    slack.carry_on(&said, "key", &text("short")).await.unwrap();
    assert!(world.calls("conversations.replies").is_empty());
}

// ---------------------------------------------------------------------------------------------
// Links on top of a room

fn wish(links: &[(&str, &str)]) -> RoomWish {
    RoomWish {
        key: "room/1".into(),
        name: "release".into(),
        topic: "t".into(),
        purpose: "p".into(),
        members: vec![ANN.into()],
        groups: Vec::new(),
        near: Some(RELEASES.into()),
        links: links.iter().map(|(title, url)| ((*title).into(), (*url).into())).collect(),
    }
}

const BOARDS: [(&str, &str); 3] = [
    ("Latency", "https://dash.example/latency"),
    ("Not an address", "dash"),
    ("tminus", "https://tminus.example"),
];

#[tokio::test]
async fn what_everybody_looks_at_is_bookmarked_once() {
    let world = SlackWorld::start().await;
    let room = adapter(&world).open_room(&wish(&BOARDS)).await.unwrap();
    assert_eq!(adapter(&world).open_room(&wish(&BOARDS)).await, Ok(room.clone()));
    let shown = world.look(|it| it.channels[&room.channel].bookmarks.clone());
    let shown: Vec<_> =
        shown.iter().map(|it| (it["title"].as_str(), it["link"].as_str())).collect();
    let wanted = [BOARDS[0], BOARDS[2]].map(|(title, link)| (Some(title), Some(link)));
    assert_eq!(shown, wanted, "one that Slack does not take keeps no other away");
    world.pardon("invalid_link");
    world.assert_clean().await;
}

#[tokio::test]
async fn a_room_without_its_bookmarks_is_the_room() {
    for scope in ["bookmarks:read", "bookmarks:write"] {
        let world = SlackWorld::with(Setup::default().without_scope(scope)).await;
        let room = adapter(&world).open_room(&wish(&BOARDS[..1])).await.unwrap();
        assert_eq!(room.instead, None);
        assert!(world.look(|it| it.channels[&room.channel].has(ANN)));
        world.pardon(scope);
    }
}

#[tokio::test]
async fn where_a_thread_is_the_room_its_links_stand_in_it() {
    let world = SlackWorld::with(Setup::default().creation_forbidden()).await;
    adapter(&world).open_room(&wish(&BOARDS[..1])).await.unwrap();
    assert!(world.transcript("releases").contains("Latency"), "{}", world.transcript("releases"));
}

// ---------------------------------------------------------------------------------------------
// Listening

#[tokio::test]
async fn many_clicks_on_a_slow_disk_are_each_acknowledged_in_time() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let all = bot.ear.gate.acquire_many(1_000).await.unwrap();
    let people = ["maria", "ann", "quinn", "paula", "sam", "dave"].map(|it| bot.world.person(it));
    let typed = people.iter().map(|it| it.types("/release status", "releases"));
    for typed in futures_util::future::join_all(typed).await {
        let waited = typed.acknowledged_in().expect("acknowledged all the same");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
    }
    drop(all);
    for person in &people {
        person.sees_ephemeral("You typed: status.").await;
    }
    bot.end().await;
}

#[tokio::test]
async fn what_is_being_heard_when_we_stop_is_still_acknowledged() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    let all = bot.ear.gate.acquire_many(1_000).await.unwrap();
    let typing = tokio::spawn(async move {
        let typed = ann.types("/release status", "releases").await;
        (ann, typed)
    });
    bot.ear.waits().await;
    bot.stop.cancel();
    drop(all);
    let (ann, typed) = typing.await.unwrap();
    assert!(typed.acknowledged_in().is_some());
    ann.sees_ephemeral("You typed: status.").await;
    bot.end().await;
}

#[tokio::test]
async fn a_line_that_was_turned_off_is_left_alone() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    bot.world.disconnects("link_disabled");
    bot.world.disconnected().await;
    // Stopping does not wait for the next try, which is minutes away.
    let since = Instant::now();
    assert_eq!(bot.world.calls("apps.connections.open").len(), 1);
    bot.end().await;
    assert!(since.elapsed() < Duration::from_secs(10));
}

// ---------------------------------------------------------------------------------------------
// Attacked

#[tokio::test]
async fn a_slow_body_is_not_waited_for_and_a_stranger_is_not_read_at_all() {
    let bot = Bot::start(Mode::Http, SlackWorld::start().await).await;
    let genuine = bot.world.command_of("ann", "/release status", "releases");
    let host = genuine.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let begin = |time: &str, signature: &str| {
        format!(
            "POST /slack/commands HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000\r\n\
             x-slack-request-timestamp: {time}\r\nx-slack-signature: {signature}\r\n\r\ntext="
        )
    };
    let signature = genuine.signature.clone().unwrap();
    for (what, head, status) in [
        ("unsigned", begin(&genuine.timestamp, "none"), "401"),
        ("stale", begin("1700000000", &signature), "401"),
        ("absurd", begin("-9223372036854775808", &signature), "401"),
        ("slow", begin(&genuine.timestamp, &signature), "408"),
    ] {
        let mut line = TcpStream::connect(&host).await.unwrap();
        line.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        let read = tokio::time::timeout(Duration::from_secs(10), line.read_exact(&mut answer));
        read.await.expect("it is answered before it ends").unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), format!("HTTP/1.1 {status}"), "{what}");
    }
    assert!(bot.ear.heard().is_empty());
    bot.stop.cancel();
}

#[tokio::test]
async fn the_same_trigger_with_other_words_is_not_heard() {
    let bot = Bot::start(Mode::Http, SlackWorld::start().await).await;
    let genuine = bot.world.command_of("ann", "/release status", "releases");
    assert_eq!(genuine.send().await.0, 200);
    let signed_anew = genuine.tampered("status", "hold").stale(Duration::ZERO);
    assert_eq!(signed_anew.send().await.0, 200);
    assert_eq!(bot.ear.heard().len(), 1);
    bot.stop.cancel();
}

#[tokio::test]
async fn an_answer_goes_to_slack_and_nowhere_else() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = trap.local_addr().unwrap();
    let base = world.api_url();
    let (scheme, own) = base.split_once("://").unwrap();
    for handle in [
        format!("http://{host}/x"),
        format!("http://{}@{host}/x", own.split('/').next().unwrap()),
        format!("{scheme}://user:word@{own}/x"),
        "http://hooks.slack.com/x".to_owned(),
        "https://hooks.slack.com:8443/x".to_owned(),
        "https://hooks.slack.com.evil.example/x".to_owned(),
        "https://files.slack.com/x".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://hooks.slack.com/x".to_owned(),
    ] {
        let channel = Some(RELEASES.to_owned());
        let to = Whisper { user: ANN.into(), channel, handle: Some(handle.clone()) };
        slack.whisper(&to, &text(&format!("instead of {}", handle.len()))).await.unwrap();
        world.person("ann").sees_ephemeral(&format!("instead of {}", handle.len())).await;
    }
    assert!(world.calls("response_url").is_empty());
    let called = tokio::time::timeout(Duration::ZERO, trap.accept()).await;
    assert!(called.is_err(), "nobody knocked");
}

#[tokio::test]
async fn what_people_write_mentions_nobody() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let words = "<!channel> <!here> <@UANN000000> <https://evil.example|click> & more";
    slack.post(&releases(), "k", &text(words)).await.unwrap();
    let sent = world.calls("chat.postMessage").pop().unwrap();
    assert!(!sent.arg("text").contains("<!"), "{}", sent.arg("text"));
    let blocks = sent.args["blocks"].to_string();
    for kind in ["\"broadcast\"", "\"user\"", "\"link\"", "mrkdwn"] {
        assert!(!blocks.contains(kind), "{kind} in {blocks}");
    }
}

// ---------------------------------------------------------------------------------------------
// Scopes

/// Everything that the adapter ever asks of Slack, whatever becomes of it.
pub(crate) async fn everything(world: &SlackWorld) {
    let slack = Slack::new(SlackSettings { lag: Duration::ZERO, ..settings(world) }).unwrap();
    let private = Place::Channel("CBACKROOM0".into());
    let person = Place::Person(ANN.into());
    let report = Message { files: long().files, ..text("x") };
    for place in [&releases(), &private, &person] {
        let said = slack.post(place, "k", &report).await;
        let _ = slack.find(place, "k").await;
        let Ok(said) = said else { continue };
        let _ = slack.carry_on(&said, "k", &report).await;
        let _ = slack.pin(&said).await;
    }
    let _ = slack.post(&Place::Channel("COPS000000".into()), "k", &text("joins")).await;
    if let Ok(room) = slack.open_room(&wish(&BOARDS[..1])).await {
        let _ = slack.archive(&room.channel).await;
    }
    let groups = [format!("slack/{}/SQALEADS00", crate::slack_world::TEAM)];
    let directory: &dyn tminus::ports::Directory = &*slack;
    let _ = directory.standing(crate::slack_world::TEAM, ANN, &groups).await;
    let channels = [RELEASES.to_owned(), "CBACKROOM0".to_owned()];
    let _ = slack.doctor(&channels, &groups).await;
}

/// A workspace that grants these and no others.
pub(crate) async fn granting(scopes: impl Iterator<Item = String>) -> SlackWorld {
    let mut setup = Setup::default().channel("ops", Kind::Public, &["maria"]).channel(
        "backroom",
        Kind::Private,
        &["maria", "bot"],
    );
    setup.scopes = scopes.collect();
    SlackWorld::with(setup).await
}
