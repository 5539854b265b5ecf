//! Slack, spoken and listened to by the real client, on a stand-in that is stricter than Slack.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tminus::adapters::chat::slack::{Hidden, Listener, Mode, Slack, SlackSettings};
use tminus::ports::{
    Answered, Block, Button, Chat, Completion, Directory, Ear, Failure, Field, FieldKind, File,
    Form, Heard, Inline, Message, MessageRef, Place, Reply, RoomWish, Said, Style, Whisper,
};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;

use crate::chat_contract::{Platform, text};
use crate::slack_world::{Ephemeral, Fault, Harm, Kind, PATIENCE, Setup, SlackWorld, TEAM};

pub(crate) const RELEASES: &str = "CRELEASES0";
pub(crate) const ANN: &str = "UANN000000";

pub(crate) fn settings(world: &SlackWorld) -> SlackSettings {
    let mut settings = SlackSettings::new(TEAM, Hidden::new(world.bot_token()));
    settings.app_token = Some(Hidden::new(world.app_token()));
    settings.signing_secret = Some(Hidden::new(world.signing_secret()));
    settings.api_url = world.api_url();
    settings
}

pub(crate) fn adapter(world: &SlackWorld) -> Arc<Slack> {
    Slack::new(settings(world)).unwrap()
}

pub(crate) fn releases() -> Place {
    Place::Channel(RELEASES.to_owned())
}

fn at(channel: &str, message: &str) -> MessageRef {
    MessageRef { channel: channel.to_owned(), message: message.to_owned() }
}

fn why(failure: impl std::fmt::Debug) -> String {
    format!("{failure:?}")
}

// ---------------------------------------------------------------------------------------------
// Speaking

struct Stage {
    world: SlackWorld,
    slack: Arc<Slack>,
}

#[async_trait]
impl Platform for Stage {
    fn chat(&self) -> &dyn Chat {
        &*self.slack
    }

    fn restarted(&self) -> Arc<dyn Chat> {
        adapter(&self.world)
    }

    fn channels(&self) -> [String; 2] {
        [RELEASES, "CCUSTOMERS"].map(str::to_owned)
    }

    fn people(&self) -> [String; 2] {
        [ANN, "USAM000000"].map(str::to_owned)
    }

    async fn read(&self, place: &Place) -> Vec<String> {
        let channel = match place {
            Place::Channel(id) => id.clone(),
            Place::Person(user) => format!("D{}", &user[1..]),
        };
        let name = self.world.look(|it| it.channels[&channel].name.clone());
        self.world.transcript(&name).lines().map(str::to_owned).collect()
    }

    async fn told(&self, person: &str) -> String {
        let own = |it: &&Ephemeral| it.user == person;
        self.world.look(|it| format!("{:?}", it.ephemerals.iter().filter(own).collect::<Vec<_>>()))
    }

    async fn called(&self, channel: &str) -> BTreeSet<String> {
        let mut called = BTreeSet::new();
        let posts = self.world.calls("chat.postMessage");
        for call in posts.iter().filter(|call| call.arg("channel") == channel) {
            who_is_called(&call.args["blocks"], &mut called);
        }
        called
    }

    fn loses_the_next_answer(&self) -> bool {
        self.world.fault(Fault::on("chat.postMessage", Harm::ResetAfter));
        true
    }

    fn rests(&self, channel: &str) -> Option<Duration> {
        let late = Fault::on("chat.postMessage", Harm::TooMany(3_600));
        self.world.fault(late.in_channel(channel).always());
        Some(Duration::from_secs(3_600))
    }

    fn deletes(&self, at: &MessageRef) -> MessageRef {
        self.world.change(|it| {
            let channel = it.channels.get_mut(&at.channel).unwrap();
            channel.message_mut(&at.message).unwrap().deleted = true;
        });
        at.clone()
    }
}

/// In rich text only elements of their own call anybody.
fn who_is_called(within: &Value, called: &mut BTreeSet<String>) {
    match within {
        Value::Array(all) => all.iter().for_each(|each| who_is_called(each, called)),
        Value::Object(of) => {
            match within["type"].as_str() {
                Some("user") => drop(called.insert(within["user_id"].to_string().replace('"', ""))),
                Some(kind @ ("broadcast" | "usergroup")) => drop(called.insert(kind.to_owned())),
                _ => {}
            }
            of.values().for_each(|each| who_is_called(each, called));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The column of the table of promises.
pub(crate) async fn platform() -> impl Platform {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    Stage { world, slack }
}

#[tokio::test]
async fn after_a_restart_what_was_said_is_found_and_the_room_is_known_again() {
    let world = SlackWorld::start().await;
    let before = adapter(&world);
    let said = before.post(&releases(), "key/1", &text("said once")).await.unwrap();
    let wish = RoomWish {
        topic: "going out at 10:00".into(),
        members: vec![ANN.into(), "ULEAVER000".into()],
        near: Some(RELEASES.into()),
        ..wish("room/1", "Release v1.2.0")
    };
    let room = before.open_room(&wish).await.unwrap();
    drop(before);
    let after = adapter(&world);
    assert_eq!(after.find(&releases(), "key/1").await, Ok(Some(said)));
    assert_eq!(after.find(&releases(), "key/2").await, Ok(None));
    assert_eq!(after.open_room(&wish).await, Ok(room.clone()));
    assert_eq!(room.name, "release-v1-2-0");
    let shown = world.look(|it| it.channels[&room.channel].clone());
    assert_eq!(shown.topic, "going out at 10:00");
    assert!(shown.purpose.starts_with("The war room"), "{}", shown.purpose);
    assert!(shown.members.contains(ANN), "one who has left keeps nobody else out");
    world.assert_clean().await;
}

/// A room for nobody yet.
pub(crate) fn wish(key: &str, name: &str) -> RoomWish {
    RoomWish {
        key: key.into(),
        name: name.into(),
        topic: "t".into(),
        purpose: "The war room".into(),
        members: Vec::new(),
        groups: Vec::new(),
        near: None,
        links: Vec::new(),
    }
}

#[tokio::test]
async fn a_strangers_channel_is_not_taken_over() {
    let setup = Setup::default().channel("release-v1-2-0", Kind::Public, &["maria", "bot"]);
    let world = SlackWorld::with(setup).await;
    let wish = wish("room/1", "release v1.2.0");
    let room = adapter(&world).open_room(&wish).await.unwrap();
    assert_eq!(room.name, "release-v1-2-0-2");
    let other = RoomWish { key: "room/2".into(), ..wish };
    assert_eq!(adapter(&world).open_room(&other).await.unwrap().name, "release-v1-2-0-3");
    world.assert_clean().await;
}

#[tokio::test]
async fn a_room_whose_opening_was_cut_off_is_found_again() {
    let world = SlackWorld::start().await;
    world.fault(Fault::on("conversations.create", Harm::ResetAfter));
    let slack = adapter(&world);
    let wish = RoomWish { members: vec![ANN.into()], ..wish("room/1", "release") };
    let cut = slack.open_room(&wish).await;
    assert!(matches!(cut, Err(Failure::Unknown { .. })), "{cut:?}");
    let room = slack.open_room(&wish).await.unwrap();
    assert_eq!(room.name, "release");
    let made =
        world.look(|it| it.channels.values().filter(|it| it.name.contains("release-")).count());
    assert_eq!(made, 0, "no second one");
    world.assert_clean().await;
}

#[tokio::test]
async fn where_no_channel_may_be_opened_a_thread_is_the_room() {
    let world = SlackWorld::with(Setup::default().creation_forbidden()).await;
    let slack = adapter(&world);
    let wish = RoomWish {
        members: vec![ANN.into()],
        near: Some(RELEASES.into()),
        ..wish("room/1", "release")
    };
    let room = slack.open_room(&wish).await.unwrap();
    let reason = room.instead.clone().expect("it is a thread");
    assert!(reason.contains("Ask an administrator"), "{reason}");
    let place = Place::Channel(room.channel.clone());
    let said = slack.post(&place, "k", &text("in the thread")).await.unwrap();
    assert_eq!(slack.find(&place, "k").await, Ok(Some(said.clone())));
    slack.edit(&said, &text("in the thread, changed")).await.unwrap();
    slack.pin(&said).await.unwrap();
    slack.set_topic(&room.channel, "x").await.unwrap();
    slack.invite(&room.channel, &[ANN.to_owned()]).await.unwrap();
    slack.archive(&room.channel).await.unwrap();
    let transcript = world.transcript("releases");
    assert!(transcript.contains("    tminus (edited): in the thread, changed"), "{transcript}");
    assert!(transcript.contains("@ann"), "{transcript}");
    let again = adapter(&world).open_room(&wish).await.unwrap();
    assert_eq!(again.channel, room.channel, "after a restart too");
    world.assert_clean().await;
}

#[tokio::test]
async fn each_way_to_fail_has_its_own_path() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let post = |key: &'static str| {
        let slack = Arc::clone(&slack);
        async move { slack.post(&releases(), key, &text(key)).await }
    };
    for (harm, kind) in [
        (Harm::Status(503), "Transient"),
        (Harm::Status(500), "Unknown"),
        (Harm::ResetAfter, "Unknown"),
        (Harm::Garbage, "Unknown"),
        (Harm::Error("ratelimited"), "Transient"),
        (Harm::Error("fatal_error"), "Unknown"),
        (Harm::Error("is_archived"), "Permanent"),
        (Harm::Error("channel_not_found"), "Permanent"),
        (Harm::Error("token_revoked"), "NoEntry"),
    ] {
        world.fault(Fault::on("chat.postMessage", harm.clone()));
        let failed = post("one").await.expect_err("it fails");
        assert!(why(&failed).starts_with(kind), "{harm:?} is {failed:?}");
        assert!(!failed.to_string().contains("xoxb"), "{failed}");
    }
    world.fault(Fault::on("chat.postMessage", Harm::TooMany(3)));
    let busy = post("two").await.expect_err("too many");
    let Failure::Transient { retry_after, .. } = busy else { panic!("{busy:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
}

/// A page that asks to sign in, with 200, is no answer of Slack's, whatever was asked.
#[tokio::test]
async fn what_a_proxy_answers_opens_no_room_and_finds_nothing() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let wish = wish("one", "release-v9");
    for method in ["auth.test", "users.conversations", "conversations.create"] {
        world.fault(Fault::on(method, Harm::Garbage));
        let opened = slack.open_room(&wish).await;
        assert!(
            matches!(opened, Err(Failure::Unknown { .. } | Failure::Transient { .. })),
            "{method}: {opened:?}"
        );
    }
    world.fault(Fault::on("conversations.history", Harm::Garbage));
    slack.find(&releases(), "key").await.expect_err("nobody could look");
    let room = slack.open_room(&wish).await.expect("then it is opened");
    assert!(room.channel.starts_with('C') && room.instead.is_none(), "{room:?}");
}

#[tokio::test]
async fn what_may_have_been_posted_is_found_and_not_said_twice() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    world.fault(Fault::on("chat.postMessage", Harm::ResetAfter));
    let cut = slack.post(&releases(), "key", &text("said once")).await;
    assert!(matches!(cut, Err(Failure::Unknown { .. })), "{cut:?}");
    assert!(slack.find(&releases(), "key").await.unwrap().is_some());
    world.exactly_once("said once");
}

/// Other apps put into their metadata what they like, numbers too, and anybody can write our key.
#[tokio::test]
async fn what_others_carry_in_their_metadata_hides_nothing_of_ours() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let ours = slack.post(&releases(), "key", &text("said once")).await.unwrap();
    let ann = world.person("ann");
    for metadata in [
        json!({"event_type": "other", "event_payload": {"count": 7, "ratio": 0.5, "list": [1]}}),
        json!({"event_type": "tminus", "event_payload": {"key": 7}}),
        json!({"event_type": "tminus", "event_payload": {"key": "key"}}),
        json!({"event_type": "tminus", "event_payload": {"key": "nobody's"}}),
    ] {
        let theirs = ann.says("releases", "somebody else", None).await;
        world.change(|it| {
            let messages = &mut it.channel_mut(RELEASES).messages;
            let message = messages.iter_mut().find(|it| it.ts == theirs.ts);
            message.expect("it was said").content.metadata = metadata;
        });
    }
    assert_eq!(slack.find(&releases(), "key").await, Ok(Some(ours)));
    assert_eq!(slack.find(&releases(), "nobody's").await, Ok(None));
}

#[tokio::test]
async fn a_slack_that_is_not_there_is_transient_and_one_that_is_slow_is_unknown() {
    let world = SlackWorld::start().await;
    let mut settings = settings(&world);
    settings.timeout = Duration::from_millis(300);
    let slack = Slack::new(settings.clone()).unwrap();
    slack.post(&releases(), "first", &text("x")).await.unwrap();
    world.fault(Fault::on("chat.postMessage", Harm::AnswerLost));
    let slow = slack.post(&releases(), "slow", &text("x")).await;
    assert!(matches!(slow, Err(Failure::Unknown { .. })), "{slow:?}");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    settings.api_url = format!("http://{closed}/api");
    let gone = Slack::new(settings).unwrap().post(&releases(), "k", &text("x")).await;
    assert!(matches!(gone, Err(Failure::Transient { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_public_channel_is_joined_and_a_private_one_is_asked_for() {
    let setup = Setup::default().channel("ops", Kind::Public, &["maria"]);
    let world = SlackWorld::with(setup).await;
    let slack = adapter(&world);
    slack.post(&Place::Channel("COPS000000".into()), "k", &text("hello, ops")).await.unwrap();
    world.exactly_once("hello, ops");
    let secret = Place::Channel("CSECRET000".into());
    let refused = slack.post(&secret, "k", &text("x")).await.expect_err("it is private");
    assert!(refused.to_string().contains("/invite"), "{refused}");
}

#[tokio::test]
async fn without_a_scope_it_is_named() {
    let world = SlackWorld::with(Setup::default().without_scope("pins:write")).await;
    let slack = adapter(&world);
    let said = slack.post(&releases(), "k", &text("x")).await.unwrap();
    let refused = slack.pin(&said).await.expect_err("no scope");
    assert!(refused.to_string().contains("`pins:write`"), "{refused}");
}

#[tokio::test]
async fn a_layout_that_slack_refuses_is_said_without() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    for code in ["invalid_blocks", "msg_too_long", "msg_blocks_too_long"] {
        world.fault(Fault::on("chat.postMessage", Harm::Error(code)));
        let said = slack.post(&releases(), code, &card(&format!("Ready after {code}?"))).await;
        let said = said.unwrap();
        let transcript = world.transcript("releases");
        assert!(transcript.contains(&format!("Ready after {code}?")), "{transcript}");
        assert!(transcript.contains("GO: /release go v1"), "{transcript}");
        world.fault(Fault::on("chat.update", Harm::Error(code)));
        slack.edit(&said, &card(&format!("Changed after {code}."))).await.unwrap();
        world.exactly_once(&format!("Changed after {code}."));
    }
    // Slack takes not even the words: nothing more can be made of them.
    for _ in 0..2 {
        world.fault(Fault::on("chat.postMessage", Harm::Error("msg_too_long")));
    }
    let refused = slack.post(&releases(), "k", &card("Ready?")).await.expect_err("twice refused");
    assert!(matches!(refused, Failure::Permanent { .. }), "{refused:?}");
    world.assert_clean().await;
}

#[tokio::test]
async fn a_long_message_goes_on_in_its_thread_and_a_file_is_attached() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    slack.post(&releases(), "k", &text(&"word ".repeat(5_000))).await.unwrap();
    let transcript = world.transcript("releases");
    assert_eq!(transcript.matches("word").count(), 5_000);
    assert!(transcript.contains("\n    tminus: "), "the rest is in the thread");
    let file =
        File {
            name: "report.md".into(), media: "text/markdown".into(), text: "# Report ✓".into()
        };
    let report = Message { files: vec![file], ..text("It is done.") };
    let first = slack.post(&releases(), "k2", &report).await.unwrap();
    let again = slack.post(&releases(), "k2", &report).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(world.transcript("releases").matches("(report.md)").count(), 1);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_message_that_can_no_longer_be_changed_is_permanent() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let said = slack.post(&releases(), "k", &text("before")).await.unwrap();
    for code in ["message_not_found", "edit_window_closed", "cant_update_message"] {
        world.fault(Fault::on("chat.update", Harm::Error(code)));
        let refused = slack.edit(&said, &text("after")).await;
        assert!(matches!(refused, Err(Failure::Permanent { .. })), "{refused:?}");
    }
    let nowhere = slack.edit(&at(RELEASES, "1.1"), &text("x")).await;
    assert!(matches!(nowhere, Err(Failure::Permanent { .. })), "{nowhere:?}");
}

#[tokio::test]
async fn a_token_of_another_workspace_says_nothing() {
    let world = SlackWorld::start().await;
    let mut settings = settings(&world);
    settings.tenant = "TOTHER0000".into();
    let refused = Slack::new(settings).unwrap().post(&releases(), "k", &text("x")).await;
    let refused = refused.expect_err("the wrong workspace").to_string();
    assert!(refused.contains("TOTHER0000") && refused.contains(TEAM), "{refused}");
    assert!(world.calls("chat.postMessage").is_empty());
}

#[tokio::test]
async fn people_and_groups_are_looked_up_one_by_one() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let group = |id: &str| format!("slack/{TEAM}/{id}");
    let asked = [group("SQALEADS00"), group("SENGINEERI"), group("SGONE00000")];
    let quinn = slack.standing(TEAM, &world.person("quinn").id, &asked).await.unwrap();
    assert!(!quinn.guest);
    assert_eq!(quinn.groups.into_iter().collect::<Vec<_>>(), [group("SQALEADS00")]);
    for name in ["gus", "ursula", "stranger", "leaver", "otherbot"] {
        let standing = slack.standing(TEAM, &world.person(name).id, &asked).await.unwrap();
        assert!(standing.guest && standing.groups.is_empty(), "{name}: {standing:?}");
        assert_eq!(standing.gone, name == "leaver", "{standing:?}");
    }
    let outsider = slack.standing("TOTHER", &world.person("quinn").id, &asked).await.unwrap();
    assert!(outsider.guest && outsider.groups.is_empty());
    world.fault(Fault::on("users.info", Harm::AnswerLost));
    let slow = slack.standing(TEAM, ANN, &asked).await;
    assert!(matches!(slow, Err(Failure::Transient { .. })), "{slow:?}");
    world.assert_clean().await;
}

#[tokio::test]
async fn the_doctor_says_what_is_well_and_what_to_click() {
    let setup = Setup::default().without_scope("im:history");
    let world = SlackWorld::with(setup).await;
    let slack = adapter(&world);
    let (channels, groups) =
        ([RELEASES.to_owned(), "CGENERAL00".to_owned()], [format!("slack/{TEAM}/SGONE00000")]);
    let found = slack.doctor(&channels, &groups).await;
    let trouble: Vec<_> = found
        .iter()
        .filter_map(|it| Some(format!("{}: {}", it.what, it.trouble.as_ref()?)))
        .collect();
    assert_eq!(trouble.len(), 2, "{trouble:#?}");
    let general = found.iter().find(|it| it.what.contains("#general")).unwrap();
    assert!(general.what.contains("I will join it"), "{general:?}");
    assert!(trouble[0].contains("im:history") && trouble[0].contains("reinstall"), "{trouble:?}");
    assert!(trouble[1].contains("SGONE00000"), "{trouble:?}");
    world.revoke_bot_token();
    let found = slack.doctor(&channels, &groups).await;
    assert!(found[0].trouble.as_ref().is_some_and(|it| it.contains("Install it again")));
}

#[tokio::test]
async fn a_channel_that_the_bot_cannot_join_says_what_to_click() {
    let setup = Setup::default().without_scope("channels:join");
    let world = SlackWorld::with(setup).await;
    let found = adapter(&world).doctor(&["CGENERAL00".to_owned()], &[]).await;
    let general = found.iter().find(|it| it.what.contains("#general")).unwrap();
    let trouble = general.trouble.as_ref().expect("it cannot be joined");
    assert!(trouble.contains("/invite") && trouble.contains("channels:join"), "{trouble}");
}

// ---------------------------------------------------------------------------------------------
// Listening

/// An ear that writes down what it heard, and can be made to wait.
pub(crate) struct Scribe {
    heard: Mutex<Vec<Heard>>,
    pub(crate) gate: Semaphore,
    /// How many came, whether they were let through or not.
    came: watch::Sender<usize>,
}

impl Default for Scribe {
    fn default() -> Self {
        Self { heard: Mutex::default(), gate: Semaphore::new(1_000), came: watch::Sender::new(0) }
    }
}

impl Scribe {
    /// Until somebody has come.
    pub(crate) async fn waits(&self) {
        let mut came = self.came.subscribe();
        let came = came.wait_for(|came| *came > 0);
        drop(tokio::time::timeout(PATIENCE, came).await.expect("somebody comes"));
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

fn says(words: &str) -> Answered {
    Answered::Now(Reply::Private(text(words)))
}

fn card(words: &str) -> Message {
    let button = |label: &str, command: &str| Button {
        label: label.to_owned(),
        command: command.to_owned(),
        style: Style::Plain,
    };
    let row = vec![button("GO", "go v1"), button("NO-GO", "no-go v1")];
    Message { buttons: vec![row], ..text(words) }
}

fn no_go(problem: &str) -> Form {
    Form {
        title: "Say NO-GO".into(),
        text: vec![Block::Paragraph(vec![Inline::Text("This stops the start.".into())])],
        command: "no-go v1".into(),
        fields: vec![Field {
            name: "reason".into(),
            label: "Reason".into(),
            hint: "One sentence.".into(),
            kind: FieldKind::Line,
            required: true,
            value: String::new(),
            problem: problem.into(),
        }],
        submit: "NO-GO".into(),
        style: Style::Danger,
    }
}

#[async_trait]
impl Ear for Scribe {
    async fn hear(&self, heard: Heard) -> Answered {
        self.came.send_modify(|came| *came += 1);
        drop(self.gate.acquire().await.unwrap());
        self.heard.lock().unwrap().push(heard.clone());
        match &heard.said {
            Said::Line(line) if line.starts_with("no-go") => Answered::Now(Reply::Form(no_go(""))),
            Said::Line(line) => says(&format!("You typed: {line}.")),
            Said::Pressed(command) if command.starts_with("no-go") => {
                Answered::Now(Reply::Form(no_go("")))
            }
            Said::Pressed(command) if command == "later" => Answered::Later,
            Said::Pressed(command) => says(&format!("You pressed: {command}.")),
            Said::Submitted { command, fields } => match fields["reason"].as_str() {
                "x" => Answered::Now(Reply::Form(no_go("Say a little more."))),
                reason => says(&format!("Recorded: {command}, because {reason}.")),
            },
        }
    }

    fn complete(&self, _: (&str, &str, &str), _: Option<&str>, _: &str) -> Vec<Completion> {
        Vec::new()
    }

    async fn home(&self, _: &str, _: &str, user: &str) -> Message {
        let heard = self.heard().len();
        card(&format!("For {user}: {heard} things heard."))
    }
}

/// The bot's listening side, over Socket Mode or HTTP.
pub(crate) struct Bot {
    pub(crate) world: SlackWorld,
    pub(crate) slack: Arc<Slack>,
    pub(crate) ear: Arc<Scribe>,
    pub(crate) stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Bot {
    pub(crate) async fn start(mode: Mode, world: SlackWorld) -> Self {
        let settings = SlackSettings { mode, silence: Duration::from_secs(3), ..settings(&world) };
        let slack = Slack::new(settings).unwrap();
        let (ear, stop) = (Arc::new(Scribe::default()), CancellationToken::new());
        let listener = Listener::new(Arc::clone(&slack), ear.clone());
        let mut tasks = Vec::new();
        if mode == Mode::Http {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            world.calls_bot_at(&format!("http://{}", socket.local_addr().unwrap()));
            let serving = axum::serve(socket, listener.router());
            let serving = serving.with_graceful_shutdown(stop.clone().cancelled_owned());
            tasks.push(tokio::spawn(async move { serving.await.unwrap() }));
        }
        tasks.push(tokio::spawn(listener.listen(stop.clone())));
        if mode == Mode::Socket {
            world.connected(1).await;
        }
        Self { world, slack, ear, stop, tasks }
    }

    pub(crate) async fn end(self) {
        self.world.assert_clean().await;
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
        }
    }
}

const MODES: [Mode; 2] = [Mode::Socket, Mode::Http];

#[tokio::test]
async fn what_is_typed_and_pressed_is_heard_and_answered() {
    for mode in MODES {
        let bot = Bot::start(mode, SlackWorld::start().await).await;
        let ann = bot.world.person("ann");
        let typed = ann.types("/release status v1", "releases").await;
        ann.sees_ephemeral("You typed: status v1.").await;
        assert!(typed.acknowledged_in().is_some());
        bot.slack.post(&releases(), "k", &card("Ready?")).await.unwrap();
        let post = bot.world.sees("releases", "Ready?").await;
        ann.presses(&post, "GO").await.answered().await;
        ann.sees_ephemeral("You pressed: go v1.").await;
        let heard = bot.ear.heard();
        assert_eq!(heard.len(), 2);
        assert!(heard.iter().all(|it| it.platform == "slack" && it.tenant == TEAM));
        assert!(heard.iter().all(|it| it.user == ANN && it.channel.as_deref() == Some(RELEASES)));
        assert_ne!(heard[0].id, heard[1].id);
        assert!(heard[0].id.starts_with(&format!("slack/{TEAM}/")), "{}", heard[0].id);
        bot.end().await;
    }
}

#[tokio::test]
async fn a_form_opens_says_what_is_wrong_and_closes() {
    for mode in MODES {
        let bot = Bot::start(mode, SlackWorld::start().await).await;
        let ann = bot.world.person("ann");
        ann.types("/release no-go v1", "releases").await;
        let sheet = ann.sees_view("Say NO-GO").await;
        ann.submits(&sheet, &[("Reason", "x")]).await;
        assert_eq!(bot.world.errors_of(&sheet), ["Say a little more."]);
        assert!(bot.world.is_open(&sheet));
        ann.submits(&sheet, &[("Reason", "short-staffed")]).await;
        ann.sees_ephemeral("Recorded: no-go v1, because short-staffed.").await;
        assert!(!bot.world.is_open(&sheet));
        bot.end().await;
    }
}

#[tokio::test]
async fn a_dialog_that_did_not_open_can_be_opened_again() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    bot.world.fault(Fault::on("views.open", Harm::Error("expired_trigger_id")));
    ann.types("/release no-go v1", "releases").await;
    let whisper = ann.sees_ephemeral("/release no-go v1").await;
    ann.presses_in_whisper(&whisper, "Say NO-GO").await;
    ann.sees_view("Say NO-GO").await;
    bot.end().await;
}

#[tokio::test]
async fn the_same_click_twice_is_heard_once() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    bot.slack.post(&releases(), "k", &card("Ready?")).await.unwrap();
    let post = bot.world.sees("releases", "Ready?").await;
    let press = ann.presses(&post, "GO").await;
    ann.sees_ephemeral("You pressed: go v1.").await;
    for _ in 0..10 {
        bot.world.delivers_again(&press);
    }
    bot.world.all_acknowledged().await;
    assert_eq!(bot.ear.heard().len(), 1);
    bot.end().await;
}

#[tokio::test]
async fn a_slow_disk_keeps_no_acknowledgement_waiting() {
    for mode in MODES {
        let bot = Bot::start(mode, SlackWorld::start().await).await;
        let ann = bot.world.person("ann");
        let all = bot.ear.gate.acquire_many(1_000).await.unwrap();
        let typed = ann.types("/release status", "releases").await;
        let waited = typed.acknowledged_in().expect("acknowledged all the same");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        // Should we die now, this is what she has read.
        ann.sees_ephemeral("it does not count yet").await;
        assert_eq!(bot.world.count("You typed"), 0, "nothing is claimed that is not on record");
        drop(all);
        ann.sees_ephemeral("You typed: status.").await;
        bot.end().await;
    }
}

#[tokio::test]
async fn the_line_is_opened_again_whenever_it_ends() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    for (number, reason) in ["refresh_requested", "warning", "cut", "silent"].iter().enumerate() {
        match *reason {
            "cut" => bot.world.cuts_connections(),
            "silent" => bot.world.falls_silent(),
            reason => bot.world.disconnects(reason),
        }
        bot.world.called("apps.connections.open", number + 2).await;
        bot.world.connected(1).await;
        bot.world.notices_silence();
        ann.types(&format!("/release after {reason}"), "releases").await;
        ann.sees_ephemeral(&format!("You typed: after {reason}.")).await;
    }
    bot.end().await;
}

#[tokio::test]
async fn the_home_tab_shows_and_follows() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    ann.opens_home().await;
    let home = ann.sees_home(&format!("For {ANN}: 0 things heard.")).await;
    ann.presses_in_sheet(&home, "GO").await;
    ann.sees_home(&format!("For {ANN}: 1 things heard.")).await;
    bot.world.sees("dm-ann", "You pressed: go v1.").await;
    bot.end().await;
}

#[tokio::test]
async fn a_mention_is_a_line_and_a_press_of_nothing_is_answered() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    ann.says("releases", "<@UTMINUS000> status v1", Some("app_mention")).await;
    ann.sees_ephemeral("You typed: status v1.").await;
    assert!(matches!(&bot.ear.heard()[0].said, Said::Line(line) if line == "status v1"));
    bot.end().await;
}

#[tokio::test]
async fn a_stranger_is_of_their_own_workspace() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let place = Place::Channel("CCUSTOMERS".into());
    bot.slack.post(&place, "k", &card("Ready?")).await.unwrap();
    let post = bot.world.sees("customers", "Ready?").await;
    let stranger = bot.world.person("stranger");
    stranger.presses(&post, "GO").await;
    stranger.sees_ephemeral("You pressed").await;
    assert_ne!(bot.ear.heard()[0].tenant, TEAM);
    bot.end().await;
}

#[tokio::test]
async fn an_answer_finds_its_way_after_the_handle_is_used_up() {
    let world = SlackWorld::start().await;
    let slack = adapter(&world);
    let ann = world.person("ann");
    let handle = Some(format!("{}/nothing", world.api_url()));
    let to = Whisper { user: ANN.into(), channel: Some(RELEASES.into()), handle };
    slack.whisper(&to, &text("in the channel")).await.unwrap();
    ann.sees_ephemeral("in the channel").await;
    let elsewhere = Whisper { channel: Some("CSECRET000".into()), ..to };
    slack.whisper(&elsewhere, &text("in private")).await.unwrap();
    world.sees("dm-ann", "in private").await;
}

#[tokio::test]
async fn who_cannot_prove_to_be_slack_learns_nothing() {
    let bot = Bot::start(Mode::Http, SlackWorld::start().await).await;
    let command = || bot.world.command_of("ann", "/release status", "releases");
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for (what, attack) in [
        ("forged", command().forged()),
        ("stale", command().stale(minutes(6))),
        ("ahead", command().ahead_of_time(minutes(6))),
        ("tampered", command().tampered("status", "hold")),
        ("unsigned", command().unsigned()),
    ] {
        assert_eq!(attack.send().await, (401, String::new()), "{what}");
    }
    let (challenge, wanted) = bot.world.challenge();
    let (status, body) = challenge.send().await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body), (200, json!({"challenge": wanted})));
    assert!(bot.ear.heard().is_empty());
    let once = command();
    assert_eq!(once.send().await.0, 200);
    assert_eq!(once.send().await.0, 401, "a replay");
    assert_eq!(bot.ear.heard().len(), 1);
    let mut flood = command();
    flood.body = "x".repeat(1024 * 1024);
    assert_eq!(flood.send().await.0, 413);
    bot.stop.cancel();
}

#[tokio::test]
async fn an_answer_that_waits_for_a_better_moment_keeps_nobody_from_stopping() {
    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    for method in ["response_url", "chat.postEphemeral"] {
        bot.world.fault(Fault::on(method, Harm::TooMany(25)).always());
    }
    bot.world.person("ann").types("/release status", "releases").await;
    bot.world.called("response_url", 1).await;
    let since = std::time::Instant::now();
    bot.stop.cancel();
    for task in bot.tasks {
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Ink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Ink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_no_ticket_and_no_text_is_logged() {
    let ink = Ink::default();
    let silent = tminus::adapters::chat::slack::UNHEARD.map(|library| (library, LevelFilter::OFF));
    let filter = Targets::new().with_default(LevelFilter::DEBUG).with_targets(silent);
    let writer = ink.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let log = tracing_subscriber::registry().with(filter).with(lines);
    let logging = tracing::subscriber::set_default(log);

    let bot = Bot::start(Mode::Socket, SlackWorld::start().await).await;
    let ann = bot.world.person("ann");
    for harm in [Harm::Error("invalid_blocks"), Harm::Status(500), Harm::ResetAfter] {
        bot.world.fault(Fault::on("chat.postMessage", harm));
        let _ = bot.slack.post(&releases(), "k", &card("a quiet text")).await;
    }
    bot.world.cuts_connections();
    bot.world.called("apps.connections.open", 2).await;
    bot.world.connected(1).await;
    ann.types("/release a private line", "releases").await;
    ann.sees_ephemeral("a private line").await;
    drop(logging);

    let log = String::from_utf8(ink.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("listening to Slack"), "{log}");
    for secret in [
        &bot.world.bot_token(),
        &bot.world.app_token(),
        &bot.world.signing_secret(),
        "ticket-",
        "a quiet text",
        "a private line",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    bot.stop.cancel();
}

#[tokio::test]
async fn an_app_token_that_does_not_work_is_said_and_tried_again() {
    let world = SlackWorld::start().await;
    world.fault(Fault::on("apps.connections.open", Harm::Error("invalid_auth")).times(2));
    let settings = settings(&world);
    let slack = Slack::new(settings).unwrap();
    let stop = CancellationToken::new();
    let listener = Listener::new(slack, Arc::new(Scribe::default()));
    let listening = tokio::spawn(listener.listen(stop.clone()));
    world.called("apps.connections.open", 1).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), listening).await.unwrap().unwrap();
}
