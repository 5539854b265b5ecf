//! Discord, spoken and listened to by the real client, on a stand-in that is stricter than Discord.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use tminus::adapters::chat::discord::{
    Commands, Discord, DiscordSettings, Hidden, Listener, Mode, Registration, UNHEARD,
};
use tminus::app::grammar;
use tminus::ports::{
    Answered, Block, Button, Chat, Completion, Directory, Ear, Failure, Field, FieldKind, File,
    Form, Heard, Inline, Message, MessageRef, Place, Reply, RoomWish, Said, Style, Whisper,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;

use crate::chat_contract::{Platform, text};
use crate::discord_world::permissions::{MANAGE_CHANNELS, PIN_MESSAGES};
use crate::discord_world::{APP, DiscordWorld, Fault, GUILD, Harm, OTHER_GUILD, Setup, id};
use crate::program::glances;

fn number(id: &str) -> u64 {
    id.parse().unwrap()
}

pub(crate) fn settings(world: &DiscordWorld, folder: &Path) -> DiscordSettings {
    let buttons = folder.join("discord-buttons.jsonl");
    let token = Hidden::new(world.bot_token());
    DiscordSettings {
        api_url: world.api_url(),
        public_key: Some(world.public_key()),
        category: Some(number(&id("channel", "war rooms"))),
        archive: Some(number(&id("channel", "archive"))),
        ..DiscordSettings::new(token, number(APP), number(GUILD), buttons)
    }
}

pub(crate) fn commands() -> Commands {
    Commands::new(grammar::specification(), grammar::line, grammar::named)
}

/// Discord, and a bot of which only the speaking side is awake.
struct Stage {
    world: DiscordWorld,
    discord: Arc<Discord>,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn start() -> Self {
        Self::with(Setup::default(), |settings| settings).await
    }

    async fn with(setup: Setup, change: impl Fn(DiscordSettings) -> DiscordSettings) -> Self {
        let world = DiscordWorld::with(setup).await;
        let folder = tempfile::tempdir().unwrap();
        let discord = Discord::new(change(settings(&world, folder.path())), commands()).unwrap();
        Self { world, discord, folder }
    }

    /// The same bot in another process.
    fn restarted(&self) -> Arc<Discord> {
        Discord::new(settings(&self.world, self.folder.path()), commands()).unwrap()
    }
}

fn channel(name: &str) -> String {
    id("channel", name)
}

fn person(name: &str) -> String {
    id("user", name)
}

fn releases() -> Place {
    Place::Channel(channel("releases"))
}

fn wish(key: &str) -> RoomWish {
    RoomWish {
        key: key.into(),
        name: "Release v1.2.0".into(),
        topic: "Goes out at 10:00".into(),
        purpose: "The war room".into(),
        members: vec![person("ann")],
        groups: Vec::new(),
        links: vec![("Shop".into(), "https://dash.example/shop".into())],
        near: Some(channel("releases")),
    }
}

// ---------------------------------------------------------------------------------------------
// Speaking

#[async_trait]
impl Platform for Stage {
    fn chat(&self) -> &dyn Chat {
        &*self.discord
    }

    fn restarted(&self) -> Arc<dyn Chat> {
        Stage::restarted(self)
    }

    fn channels(&self) -> [String; 2] {
        ["releases", "customers"].map(channel)
    }

    fn people(&self) -> [String; 2] {
        ["ann", "sam"].map(person)
    }

    async fn read(&self, place: &Place) -> Vec<String> {
        let held = |it: &&crate::discord_world::Channel| match place {
            Place::Channel(id) => it.id == *id,
            Place::Person(user) => it.with.as_deref() == Some(user),
        };
        let name =
            self.world.look(|realm| realm.channels.values().find(held).map(|it| it.id.clone()));
        let Some(name) = name else { return Vec::new() };
        self.world.transcript(&name).lines().map(str::to_owned).collect()
    }

    async fn told(&self, person: &str) -> String {
        self.read(&Place::Person(person.to_owned())).await.join("\n")
    }

    async fn called(&self, channel: &str) -> BTreeSet<String> {
        self.world.look(|realm| {
            let messages = realm.channels[channel].messages.iter();
            messages.flat_map(|message| message.pings.iter().cloned()).collect()
        })
    }

    fn loses_the_next_answer(&self) -> bool {
        self.world.fault(Fault::on("create_message", Harm::ResetAfter));
        true
    }

    fn rests(&self, channel: &str) -> Option<Duration> {
        let late = Fault::on("create_message", Harm::TooMany(3_600.0));
        self.world.fault(late.in_channel(channel).always());
        Some(Duration::from_secs(3_600))
    }

    fn deletes(&self, at: &MessageRef) -> MessageRef {
        self.world.change(|realm| {
            let channel = realm.channels.get_mut(&at.channel).unwrap();
            channel.message_mut(&at.message).unwrap().deleted = true;
        });
        at.clone()
    }
}

/// The column of the table of promises.
pub(crate) async fn platform() -> impl Platform {
    Stage::start().await
}

#[tokio::test]
async fn after_a_restart_what_was_said_is_found_and_keeps_its_mark_through_an_edit() {
    let stage = Stage::start().await;
    let said = stage.discord.post(&releases(), "key/1", &text("said once")).await.unwrap();
    let room = stage.discord.open_room(&wish("room/1")).await.unwrap();
    let after = stage.restarted();
    assert_eq!(after.find(&releases(), "key/1").await, Ok(Some(said.clone())));
    assert_eq!(after.find(&releases(), "key/2").await, Ok(None));
    after.edit(&said, &text("said otherwise")).await.unwrap();
    let again = stage.restarted();
    assert_eq!(again.find(&releases(), "key/1").await, Ok(Some(said)));
    let seen = stage.world.transcript("releases");
    assert!(!seen.contains("#tminus-") && !seen.contains('·'), "nobody sees the mark: {seen}");
    assert_eq!(again.open_room(&wish("room/1")).await, Ok(room.clone()));
    let made = stage.world.look(|realm| realm.channels[&room.channel].clone());
    assert_eq!((made.name.as_str(), &made.parent), ("release-v1-2-0", &Some(channel("war rooms"))));
    let about = "Goes out at 10:00\nThe war room\nShop: <https://dash.example/shop>\n[tminus ";
    assert!(made.topic.starts_with(about), "{}", made.topic);
    assert!(stage.world.person("ann").can_see(&room.channel));
    assert!(!stage.world.person("sam").can_see(&room.channel), "nobody else");
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn a_topic_keeps_the_mark_of_its_room_and_is_not_written_twice() {
    let stage = Stage::start().await;
    let room = stage.discord.open_room(&wish("room/1")).await.unwrap();
    for _ in 0..3 {
        stage.discord.set_topic(&room.channel, "Holding").await.unwrap();
    }
    assert_eq!(stage.world.calls("update_channel").len(), 1);
    assert_eq!(stage.restarted().open_room(&wish("room/1")).await, Ok(room));
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn a_channel_of_others_is_not_taken_over() {
    let setup = Setup::default().channel("release-v1-2-0", Some("war rooms"));
    let stage = Stage::with(setup, |it| it).await;
    let room = stage.discord.open_room(&wish("room/1")).await.unwrap();
    assert_eq!(room.name, "release-v1-2-0-2");
    let other = stage.restarted().open_room(&wish("room/2")).await.unwrap();
    assert_eq!(other.name, "release-v1-2-0-3");
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn a_room_whose_opening_was_cut_off_is_found_again() {
    let stage = Stage::start().await;
    stage.world.fault(Fault::on("create_guild_channel", Harm::ResetAfter));
    let cut = stage.discord.open_room(&wish("room/1")).await;
    assert!(matches!(cut, Err(Failure::Unknown { .. })), "{cut:?}");
    let room = stage.discord.open_room(&wish("room/1")).await.unwrap();
    assert_eq!(room.name, "release-v1-2-0");
    assert_eq!(stage.world.calls("create_guild_channel").len(), 1);
}

#[tokio::test]
async fn where_no_channel_can_be_opened_a_thread_is_the_room_and_says_why() {
    let full = Setup::default().crowd(500);
    let mut crowded = Setup::default();
    for number in 0..50 {
        crowded = crowded.channel(&format!("old-{number}"), Some("war rooms"));
    }
    let forbidden = Setup::default().without_permission(MANAGE_CHANNELS);
    for (setup, word) in [(full, "500"), (crowded, "50 "), (forbidden, "Server Settings")] {
        let stage = Stage::with(setup, |it| it).await;
        let discord = &stage.discord;
        let room = discord.open_room(&wish("room/1")).await.unwrap();
        let reason = room.instead.clone().expect("it is a thread");
        assert!(reason.contains(word), "{reason}");
        assert_eq!(room.name, "releases", "where it is found");
        let joined = stage.world.look(|realm| realm.channels[&room.channel].joined.clone());
        assert!(joined.contains(&person("ann")));
        let place = Place::Channel(room.channel.clone());
        let said = discord.post(&place, "k", &text("in the thread")).await.unwrap();
        assert_eq!(discord.find(&place, "k").await, Ok(Some(said.clone())));
        discord.edit(&said, &text("in the thread, changed")).await.unwrap();
        discord.set_topic(&room.channel, "x").await.unwrap();
        assert_eq!(
            stage.restarted().open_room(&wish("room/1")).await.unwrap().channel,
            room.channel
        );
        discord.archive(&room.channel).await.unwrap();
        let late = discord.post(&place, "late", &text("too late")).await;
        assert!(matches!(late, Err(Failure::Permanent { .. })), "{late:?}");
    }
}

#[tokio::test]
async fn who_has_left_the_server_costs_nobody_else_their_room() {
    let stage = Stage::start().await;
    let members = ["ann", "stranger"].map(person).to_vec();
    let room = stage.discord.open_room(&RoomWish { members, ..wish("room/1") }).await.unwrap();
    assert_eq!((room.name.as_str(), room.instead), ("release-v1-2-0", None));
    assert!(stage.world.person("ann").can_see(&room.channel));
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn a_room_that_is_over_is_moved_and_read_only_also_where_no_room_is_left() {
    let mut setup = Setup::default();
    for number in 0..49 {
        setup = setup.channel(&format!("old-{number}"), Some("archive"));
    }
    let stage = Stage::with(setup, |it| it).await;
    for (key, home) in [("room/1", "archive"), ("room/2", "war rooms")] {
        let room = stage.discord.open_room(&wish(key)).await.unwrap();
        stage.discord.archive(&room.channel).await.unwrap();
        let made = stage.world.look(|realm| realm.channels[&room.channel].clone());
        assert_eq!(made.parent, Some(channel(home)));
        assert!(stage.world.person("ann").can_see(&room.channel), "it can still be read");
        let late = stage.restarted().post(&Place::Channel(room.channel), "k", &text("x")).await;
        assert!(matches!(late, Err(Failure::Permanent { .. })), "{late:?}");
    }
}

#[tokio::test]
async fn each_way_to_fail_has_its_own_path() {
    let stage = Stage::start().await;
    for (harm, kind) in [
        (Harm::Status(503), "Transient"),
        (Harm::Status(500), "Unknown"),
        (Harm::ResetAfter, "Unknown"),
        (Harm::Garbage, "Unknown"),
        (Harm::Error(50013), "Permanent"),
        (Harm::Error(50001), "Permanent"),
    ] {
        stage.world.fault(Fault::on("create_message", harm.clone()));
        let failed =
            stage.discord.post(&releases(), "one", &text("x")).await.expect_err("it fails");
        assert!(format!("{failed:?}").starts_with(kind), "{harm:?} is {failed:?}");
        assert!(!failed.to_string().contains("GStand"), "{failed}");
    }
}

#[tokio::test]
async fn a_limit_says_how_long_and_stops_no_other_channel() {
    let stage = Stage::start().await;
    let busy_channel = channel("releases");
    let fault = Fault::on("create_message", Harm::TooMany(30.0)).in_channel(&busy_channel);
    stage.world.fault(fault);
    for _ in 0..2 {
        let busy = stage.discord.post(&releases(), "k", &text("x")).await.expect_err("too many");
        let Failure::Transient { retry_after: Some(wait), .. } = busy else { panic!("{busy:?}") };
        assert!((28..=30).contains(&wait.as_secs()), "{wait:?}");
    }
    assert_eq!(stage.world.calls("create_message").len(), 1, "the second was not even made");
    let other = Place::Channel(channel("customers"));
    stage.discord.post(&other, "k", &text("said at once")).await.unwrap();
    stage.world.exactly_once("said at once");
}

#[tokio::test]
async fn within_the_limits_of_discord_everything_is_said() {
    let stage = Stage::with(Setup::default().rate_limits(), |it| it).await;
    for number in 0..8 {
        let key = number.to_string();
        loop {
            let words = text(&format!("number {number}"));
            match stage.discord.post(&releases(), &key, &words).await {
                Ok(_) => break,
                Err(Failure::Transient { retry_after: Some(wait), .. }) => {
                    tokio::time::sleep(wait).await;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    for number in 0..8 {
        stage.world.exactly_once(&format!("number {number}"));
    }
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn what_may_have_been_posted_is_found_and_not_said_twice() {
    let stage = Stage::start().await;
    for look in [true, false] {
        let key = format!("key/{look}");
        let words = format!("said once, {look}");
        stage.world.fault(Fault::on("create_message", Harm::ResetAfter));
        let cut = stage.discord.post(&releases(), &key, &text(&words)).await;
        assert!(matches!(cut, Err(Failure::Unknown { .. })), "{cut:?}");
        if look {
            assert!(stage.discord.find(&releases(), &key).await.unwrap().is_some());
        } else {
            // Unseen, it is said again: Discord itself knows the nonce.
            stage.restarted().post(&releases(), &key, &text(&words)).await.unwrap();
        }
        stage.world.exactly_once(&words);
    }
}

#[tokio::test]
async fn a_discord_that_is_not_there_is_transient_and_one_that_is_slow_is_unknown() {
    let short = |settings| DiscordSettings { timeout: Duration::from_millis(300), ..settings };
    let stage = Stage::with(Setup::default(), short).await;
    stage.discord.post(&releases(), "first", &text("x")).await.unwrap();
    stage.world.fault(Fault::on("create_message", Harm::AnswerLost));
    let slow = stage.discord.post(&releases(), "slow", &text("x")).await;
    assert!(matches!(slow, Err(Failure::Unknown { .. })), "{slow:?}");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut settings = settings(&stage.world, stage.folder.path());
    settings.api_url = format!("http://{closed}");
    let gone = Discord::new(settings, commands()).unwrap().post(&releases(), "k", &text("x")).await;
    assert!(matches!(gone, Err(Failure::Transient { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_channel_that_is_hidden_or_of_others_is_told_with_what_to_click() {
    let stage = Stage::start().await;
    let secret = Place::Channel(channel("secret"));
    let refused = stage.discord.post(&secret, "k", &text("x")).await.expect_err("it is hidden");
    assert!(refused.to_string().contains("View Channel"), "{refused}");
    let elsewhere = Place::Channel(channel("elsewhere"));
    let refused = stage.discord.post(&elsewhere, "k", &text("x")).await.expect_err("not ours");
    assert!(refused.to_string().contains("another guild"), "{refused}");
    assert!(stage.world.calls("create_message").is_empty());
}

#[tokio::test]
async fn without_a_permission_it_is_said_where_to_find_it() {
    let stage = Stage::with(Setup::default().without_permission(PIN_MESSAGES), |it| it).await;
    let said = stage.discord.post(&releases(), "k", &text("x")).await.unwrap();
    let refused = stage.discord.pin(&said).await.expect_err("no permission");
    assert!(refused.to_string().contains("Server Settings, Roles"), "{refused}");
}

#[tokio::test]
async fn a_long_message_goes_on_below_and_files_are_attached() {
    let stage = Stage::start().await;
    let file = |name: &str| File {
        name: name.into(),
        media: "text/markdown".into(),
        text: format!("# {name} ✓"),
    };
    let files = vec![file("plan.md"), file("report.md")];
    let long = Message { files, ..text(&"word ".repeat(2_000)) };
    let said = stage.discord.post(&releases(), "k", &long).await.unwrap();
    let transcript = stage.world.transcript("releases");
    assert_eq!(transcript.matches("word").count(), 2_000);
    assert!(transcript.contains("(plan.md)") && transcript.contains("(report.md)"));
    assert_eq!(stage.discord.post(&releases(), "k", &long).await, Ok(said.clone()));
    stage.discord.edit(&said, &long).await.unwrap();
    assert!(stage.world.transcript("releases").contains("too long to be shown"));
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn what_a_long_message_still_lacks_is_added_and_nothing_is_said_twice() {
    let long = text(&"word ".repeat(2_000));
    for harm in [Harm::ResetBefore, Harm::ResetAfter] {
        let stage = Stage::start().await;
        stage.world.fault(Fault::on("create_message", harm).nth(2));
        let cut_off = stage.discord.post(&releases(), "k", &long).await;
        assert!(matches!(cut_off, Err(Failure::Unknown { .. })), "{cut_off:?}");
        let after = stage.restarted();
        let said = after.find(&releases(), "k").await.unwrap().expect("its beginning is there");
        for _ in 0..2 {
            stage.restarted().carry_on(&said, "k", &long).await.unwrap();
        }
        assert_eq!(stage.world.transcript("releases").matches("word").count(), 2_000);
        stage.world.assert_clean().await;
    }
}

#[tokio::test]
async fn a_place_is_called_by_its_name_and_a_person_is_no_place() {
    let stage = Stage::start().await;
    let name = stage.discord.place(GUILD, &channel("releases")).await;
    assert_eq!(name.unwrap().as_deref(), Some("#releases"));
    let name = stage.discord.place(GUILD, &stage.world.role("qa")).await;
    assert_eq!(name.unwrap().as_deref(), Some("@qa"));
    assert_eq!(stage.discord.place(GUILD, &person("ann")).await, Ok(None));
    // What could not be told is not taken for a person.
    stage.world.fault(Fault::on("list_guild_channels", Harm::Status(500)));
    assert!(stage.discord.place(GUILD, &channel("releases")).await.is_err());
    assert_eq!(stage.discord.place(OTHER_GUILD, &channel("releases")).await, Ok(None));
}

#[tokio::test]
async fn who_must_act_is_pinged_and_nobody_else_whatever_the_text_says() {
    let stage = Stage::start().await;
    let mention = |id: String| Inline::Mention { id, name: "x".into() };
    let stored = format!("@everyone <@{}> see", person("sam"));
    let body = vec![
        Block::Paragraph(vec![Inline::Text(stored)]),
        Block::Paragraph(vec![
            mention(person("ann")),
            mention(format!("&{}", stage.world.role("qa"))),
        ]),
    ];
    stage.discord.post(&releases(), "k", &Message { body, ..Message::default() }).await.unwrap();
    let post = stage.world.sees("releases", "see").await;
    for (name, pinged) in [("ann", true), ("quinn", true), ("sam", false), ("paula", false)] {
        assert_eq!(stage.world.person(name).was_pinged_by(&post), pinged, "{name}");
    }
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn people_are_looked_up_one_by_one() {
    let stage = Stage::start().await;
    let groups = ["qa", "engineering"].map(|role| stage.world.role(role));
    let quinn = stage.discord.standing(GUILD, &person("quinn"), &groups).await.unwrap();
    assert!(!quinn.guest && quinn.name.is_some());
    assert_eq!(quinn.groups.into_iter().collect::<Vec<_>>(), groups[..1]);
    for (tenant, name) in [(GUILD, "stranger"), (OTHER_GUILD, "quinn"), ("dm", "quinn")] {
        let standing = stage.discord.standing(tenant, &person(name), &groups).await.unwrap();
        assert!(standing.guest && standing.groups.is_empty(), "{tenant} {name}: {standing:?}");
    }
    stage.world.fault(Fault::on("get_guild_member", Harm::Status(500)));
    let broken = stage.discord.standing(GUILD, &person("ann"), &groups).await;
    assert!(matches!(broken, Err(Failure::Transient { .. })), "{broken:?}");
}

#[tokio::test]
async fn the_doctor_says_what_is_well_and_what_to_click() {
    let setup = Setup::default().without_permission(PIN_MESSAGES);
    let stage = Stage::with(setup, |settings| DiscordSettings {
        archive: Some(number(&channel("general"))),
        ..settings
    });
    let stage = stage.await;
    let channels = [channel("releases"), channel("secret")];
    let roles = [stage.world.role("qa"), person("ann")];
    let found = stage.discord.doctor(&channels, &roles).await;
    let trouble = |found: &[tminus::adapters::chat::discord::Finding]| {
        let told =
            found.iter().filter_map(|it| Some(format!("{}: {}", it.what, it.trouble.as_ref()?)));
        told.collect::<Vec<_>>()
    };
    let told = trouble(&found);
    let words = ["Pin Messages", "no such role", "View Channel", "no category", "not registered"];
    assert_eq!(told.len(), words.len(), "{told:#?}");
    for (told, word) in told.iter().zip(words) {
        assert!(told.contains(word), "{word}: {told}");
    }
    stage.world.calls_bot_at("https://tminus.example");
    let told = trouble(&stage.discord.doctor(&channels, &roles).await);
    assert!(told[0].contains("https://tminus.example/discord/interactions"), "{told:?}");
    stage.world.revoke_bot_token();
    let told = trouble(&stage.discord.doctor(&channels, &roles).await);
    assert!(told[0].contains("page Bot"), "{told:?}");
}

// ---------------------------------------------------------------------------------------------
// Listening

/// An ear that writes down what it heard, and can be made to wait.
struct Scribe {
    heard: Mutex<Vec<Heard>>,
    gate: Semaphore,
}

impl Default for Scribe {
    fn default() -> Self {
        Self { heard: Mutex::default(), gate: Semaphore::new(1_000) }
    }
}

impl Scribe {
    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

fn says(words: &str) -> Answered {
    Answered::Now(Reply::Private(text(words)))
}

fn asks(form: Form) -> Answered {
    Answered::Now(Reply::Form(form))
}

fn card(words: &str) -> Message {
    let button = |label: &str, command: &str| Button {
        label: label.to_owned(),
        command: command.to_owned(),
        style: Style::Plain,
    };
    let long = format!("long {}", "x".repeat(1_900));
    let row = vec![
        button("GO", "go v1"),
        button("NO-GO", "no-go v1"),
        button("Long", &long),
        button("Later", "later"),
        button("Roll back", "rollback v1"),
    ];
    Message { buttons: vec![row], ..text(words) }
}

fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.into(),
        label: "Reason".into(),
        hint: "One sentence.".into(),
        kind,
        required: true,
        value: String::new(),
        problem: String::new(),
    }
}

fn form(title: &str, command: &str, fields: Vec<Field>) -> Form {
    Form {
        title: title.into(),
        text: vec![Block::Paragraph(vec![Inline::Text("This stops the start.".into())])],
        command: command.into(),
        fields,
        submit: "Do it".into(),
        style: Style::Danger,
    }
}

fn no_go(problem: &str, value: &str) -> Form {
    let field =
        Field { problem: problem.into(), value: value.into(), ..field("reason", FieldKind::Line) };
    form("Say NO-GO", "no-go v1", vec![field])
}

#[async_trait]
impl Ear for Scribe {
    async fn hear(&self, heard: Heard) -> Answered {
        drop(self.gate.acquire().await.unwrap());
        self.heard.lock().unwrap().push(heard.clone());
        match &heard.said {
            Said::Line(line) if line.starts_with("no-go") => asks(no_go("", "")),
            Said::Line(line) if line == "document" => {
                let choices = ["plan", "notes"].map(|it| (it.to_owned(), format!("The {it}")));
                let field = field("kind", FieldKind::Choice(choices.to_vec()));
                asks(form("Show a document", "document", vec![field]))
            }
            Said::Line(line) if line == "report" => {
                let file = File {
                    name: "report.md".into(),
                    media: "text/markdown".into(),
                    text: "# Report".into(),
                };
                let message = Message { files: vec![file], ..text("How it went.") };
                Answered::Now(Reply::Private(message))
            }
            Said::Line(line) => says(&format!("You typed: {line}.")),
            Said::Pressed(command) if command == "rollback v1" => {
                asks(form("Roll back?", "rollback v1 --confirmed", Vec::new()))
            }
            Said::Pressed(command) if command == "later" => Answered::Later,
            Said::Pressed(command) => says(&format!("You pressed: {command:.30}.")),
            Said::Submitted { command, fields } => match fields.values().next().unwrap().as_str() {
                "x" => asks(no_go("Say a little more.", "x")),
                value => says(&format!("Recorded: {command}, because {value}.")),
            },
        }
    }

    fn complete(&self, _: (&str, &str, &str), _: Option<&str>, line: &str) -> Vec<Completion> {
        let before = &line[..line.rfind(' ').unwrap() + 1];
        let about = "Web shop, counting down".to_owned();
        vec![Completion { text: format!("{before}v1.2.0"), about }]
    }

    async fn home(&self, _: &str, _: &str, _: &str) -> Message {
        Message::default()
    }
}

/// The bot's listening side, over the gateway or HTTP.
struct Bot {
    world: DiscordWorld,
    discord: Arc<Discord>,
    ear: Arc<Scribe>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

impl Bot {
    async fn start(mode: Mode) -> Self {
        Self::with(mode, Setup::default()).await
    }

    async fn with(mode: Mode, setup: Setup) -> Self {
        let world = DiscordWorld::with(setup).await;
        let folder = tempfile::tempdir().unwrap();
        Self::awake(mode, world, folder).await
    }

    async fn awake(mode: Mode, world: DiscordWorld, folder: tempfile::TempDir) -> Self {
        let until_mended = Duration::from_millis(500);
        let settings = DiscordSettings { mode, until_mended, ..settings(&world, folder.path()) };
        let discord = Discord::new(settings, commands()).unwrap();
        let (ear, stop) = (Arc::new(Scribe::default()), CancellationToken::new());
        let listener = Listener::new(Arc::clone(&discord), ear.clone());
        let mut tasks = Vec::new();
        if mode == Mode::Http {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            world.calls_bot_at(&format!("http://{}", socket.local_addr().unwrap()));
            let serving = axum::serve(socket, listener.router());
            let serving = serving.with_graceful_shutdown(stop.clone().cancelled_owned());
            tasks.push(tokio::spawn(async move { serving.await.unwrap() }));
        }
        tasks.push(tokio::spawn(listener.listen(stop.clone())));
        world.registered("release").await;
        if mode == Mode::Gateway {
            world.connected(1).await;
        }
        Self { world, discord, ear, stop, tasks, folder }
    }

    async fn end(self) {
        self.world.assert_clean().await;
        self.sleep().await;
    }

    async fn sleep(self) -> (DiscordWorld, tempfile::TempDir) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
        }
        (self.world, self.folder)
    }
}

const MODES: [Mode; 2] = [Mode::Gateway, Mode::Http];

#[tokio::test]
async fn what_is_typed_and_pressed_is_heard_and_answered() {
    for mode in MODES {
        let bot = Bot::start(mode).await;
        let ann = bot.world.person("ann");
        ann.types("/release status release:v1.2.0", "releases").await.answered().await;
        ann.sees_ephemeral("You typed: status v1.2.0.").await;
        bot.discord.post(&releases(), "k", &card("Ready?")).await.unwrap();
        let post = bot.world.sees("releases", "Ready?").await;
        ann.presses(&post, "GO").await.answered().await;
        ann.sees_ephemeral("You pressed: go v1.").await;
        ann.presses(&post, "Long").await.answered().await;
        ann.sees_ephemeral("You pressed: long xxxxxxxxx").await;
        let heard = bot.ear.heard();
        assert_eq!(heard.len(), 3);
        assert!(heard.iter().all(|it| it.platform == "discord" && it.tenant == GUILD));
        let place = Some(channel("releases"));
        assert!(heard.iter().all(|it| it.user == person("ann") && it.channel == place));
        assert!(heard[0].id.starts_with("discord/") && heard[0].id != heard[1].id);
        assert!(matches!(&heard[2].said, Said::Pressed(line) if line.len() == 1_905));
        bot.end().await;
    }
}

#[tokio::test]
async fn the_member_of_a_click_is_not_looked_up_again() {
    let bot = Bot::start(Mode::Gateway).await;
    bot.world.person("quinn").types("/release more roles", "releases").await.answered().await;
    let roles = [bot.world.role("qa")];
    let quinn = bot.discord.standing(GUILD, &person("quinn"), &roles).await.unwrap();
    assert_eq!(quinn.groups.len(), 1);
    assert!(bot.world.calls("get_guild_member").is_empty());
    bot.end().await;
}

#[tokio::test]
async fn yesterdays_card_works_after_a_restart() {
    let bot = Bot::start(Mode::Gateway).await;
    bot.discord.post(&releases(), "k", &card("Ready?")).await.unwrap();
    let post = bot.world.sees("releases", "Ready?").await;
    let (world, folder) = bot.sleep().await;
    let bot = Bot::awake(Mode::Gateway, world, folder).await;
    let ann = bot.world.person("ann");
    ann.presses(&post, "Long").await.answered().await;
    ann.sees_ephemeral("You pressed: long xxxxxxxxx").await;
    bot.sleep().await;
}

#[tokio::test]
async fn a_form_opens_says_what_is_wrong_and_opens_again_as_it_was() {
    for mode in MODES {
        let bot = Bot::start(mode).await;
        let ann = bot.world.person("ann");
        ann.types("/release no-go release:v1", "releases").await;
        let sheet = ann.sees_view("Say NO-GO").await;
        ann.submits(&sheet, &[("Reason", "x")]).await;
        let whisper = ann.sees_ephemeral("Say a little more.").await;
        ann.presses_in_whisper(&whisper, "Fill in again").await;
        let sheet = ann.sees_view("Say NO-GO").await;
        assert!(bot.world.sheet_text(&sheet).contains("Reason: x"));
        ann.submits(&sheet, &[("Reason", "short-staffed")]).await;
        ann.sees_ephemeral("Recorded: no-go v1, because short-staffed.").await;
        bot.end().await;
    }
}

#[tokio::test]
async fn what_is_confirmed_or_chosen_takes_the_place_of_the_question() {
    for mode in MODES {
        let bot = Bot::start(mode).await;
        let ann = bot.world.person("ann");
        bot.discord.post(&releases(), "k", &card("Ready?")).await.unwrap();
        let post = bot.world.sees("releases", "Ready?").await;
        ann.presses(&post, "Roll back").await;
        let question = ann.sees_ephemeral("Roll back?").await;
        ann.presses_in_whisper(&question, "Do it").await;
        let post = crate::discord_world::Post { channel: question.channel, id: question.id };
        bot.world.sees_edit(&post, "You pressed: rollback v1 --confirmed.").await;
        assert!(!bot.world.text_of(&post).contains("Do it"), "it cannot be confirmed twice");
        let post = bot.world.sees("releases", "Ready?").await;
        ann.presses(&post, "Roll back").await;
        let question = ann.sees_ephemeral("Roll back?").await;
        ann.presses_in_whisper(&question, "Cancel").await;
        let post = crate::discord_world::Post { channel: question.channel, id: question.id };
        bot.world.sees_edit(&post, "Nothing was done.").await;
        ann.types("/release more document", "releases").await;
        let question = ann.sees_ephemeral("Show a document").await;
        let post = crate::discord_world::Post { channel: question.channel, id: question.id };
        ann.picks(&post, "Reason", "The notes").await;
        bot.world.sees_edit(&post, "Recorded: document, because notes.").await;
        bot.end().await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_later_takes_the_place_of_the_wait() {
    for mode in MODES {
        let bot = Bot::start(mode).await;
        let ann = bot.world.person("ann");
        bot.discord.post(&releases(), "k", &card("Ready?")).await.unwrap();
        let post = bot.world.sees("releases", "Ready?").await;
        ann.presses(&post, "Later").await;
        let heard = bot.ear.heard().pop().unwrap();
        let to = Whisper { user: heard.user, channel: heard.channel, handle: heard.handle };
        bot.discord.whisper(&to, &text("It is done.")).await.unwrap();
        bot.discord.whisper(&to, &text("And one thing more.")).await.unwrap();
        ann.sees_ephemeral("It is done.").await;
        ann.sees_ephemeral("And one thing more.").await;
        ann.types("/release report", "releases").await;
        let report = ann.sees_ephemeral("How it went.").await;
        assert!(bot.world.whisper_text(&report).contains("(report.md)"));
        bot.end().await;
    }
}

#[tokio::test]
async fn after_the_handle_is_used_up_an_answer_comes_in_private() {
    let stage = Stage::start().await;
    let handle = Some(format!("{APP}/nothing"));
    let channel = Some(channel("releases"));
    let to = Whisper { user: person("ann"), channel, handle };
    stage.discord.whisper(&to, &text("in private")).await.unwrap();
    stage.world.person("ann").sees_private("in private").await;
    stage.world.fault(Fault::on("create_message", Harm::Error(50007)));
    stage.discord.whisper(&to, &text("a quiet text")).await.unwrap();
    let hint = stage.world.sees("releases", "I have an answer for you").await;
    assert!(stage.world.person("ann").was_pinged_by(&hint));
    assert!(!stage.world.transcript("releases").contains("a quiet text"));
}

/// Somebody waits for an answer that Discord keeps us from giving, and we are told to stop.
#[tokio::test]
async fn who_stops_while_an_answer_waits_is_gone_at_once() {
    let edit = "update_original_webhook_message";
    for (mode, harm) in [
        // Its second try would be half a minute later.
        (Mode::Gateway, Harm::TooMany(25.0)),
        (Mode::Http, Harm::TooMany(25.0)),
        // Discord does not know yet that an answer comes.
        (Mode::Http, Harm::Error(10015)),
    ] {
        let bot = Bot::start(mode).await;
        bot.world.fault(Fault::on(edit, harm).always());
        bot.world.person("ann").types("/release report", "releases").await;
        bot.world.called(edit, 1).await;
        let since = Instant::now();
        bot.sleep().await;
        assert!(since.elapsed() < Duration::from_millis(1_500), "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn the_same_click_twice_is_heard_once() {
    let bot = Bot::start(Mode::Gateway).await;
    let ann = bot.world.person("ann");
    let typed = ann.types("/release status", "releases").await;
    ann.sees_ephemeral("You typed: status.").await;
    for _ in 0..5 {
        bot.world.delivers_again(&typed);
    }
    ann.types("/release list", "releases").await;
    ann.sees_ephemeral("You typed: list.").await;
    assert_eq!(bot.ear.heard().len(), 2);
    bot.end().await;
}

#[tokio::test]
async fn a_slow_disk_keeps_no_acknowledgement_waiting() {
    for mode in MODES {
        let bot = Bot::start(mode).await;
        let ann = bot.world.person("ann");
        let all = bot.ear.gate.acquire_many(1_000).await.unwrap();
        let typed = ann.types("/release status", "releases").await;
        assert!(typed.acknowledged_in().expect("all the same") < Duration::from_secs(3));
        drop(all);
        ann.sees_ephemeral("You typed: status.").await;
        bot.end().await;
    }
}

#[tokio::test]
async fn the_line_is_opened_again_however_it_ends() {
    // Whether the session goes on, or is begun anew.
    for (how, goes_on) in [
        ("reconnect", true),
        ("invalid but resumable", true),
        ("cut", true),
        ("closed with 4000", true),
        ("invalid", false),
        ("closed with 4009", false),
    ] {
        let bot = Bot::start(Mode::Gateway).await;
        match how {
            "reconnect" => bot.world.asks_to_reconnect(),
            "invalid but resumable" => bot.world.invalidates_session(true),
            "cut" => bot.world.cuts_connections(),
            "closed with 4000" => bot.world.closes_connections(4000),
            "invalid" => bot.world.invalidates_session(false),
            _ => bot.world.closes_connections(4009),
        }
        match goes_on {
            true => bot.world.resumed(1).await,
            false => bot.world.identified(2).await,
        }
        assert_eq!(bot.world.sessions().0, if goes_on { 1 } else { 2 }, "{how}");
        let ann = bot.world.person("ann");
        ann.types(&format!("/release update text:{how}"), "releases").await;
        ann.sees_ephemeral(how).await;
        bot.end().await;
    }
}

/// What was clicked between two lines is told on the next one, and on no new session.
#[tokio::test]
async fn however_often_discord_asks_for_another_line_the_session_goes_on() {
    let bot = Bot::start(Mode::Gateway).await;
    for times in 1..=6 {
        bot.world.asks_to_reconnect();
        bot.world.resumed(times).await;
    }
    assert_eq!(bot.world.sessions(), (1, 6));
    bot.end().await;
}

#[tokio::test]
async fn a_bot_introduces_itself_once_in_five_seconds() {
    let begun = Instant::now();
    let bot = Bot::start(Mode::Gateway).await;
    bot.world.invalidates_session(false);
    bot.world.identified(2).await;
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    bot.end().await;
}

/// One more would cost it its token.
#[tokio::test]
async fn a_bot_that_has_begun_all_its_sessions_of_the_day_begins_none() {
    let stage = Stage::start().await;
    let soon = Duration::from_millis(200);
    stage.world.set(|setup| setup.sessions_left = (0, soon));
    let stop = CancellationToken::new();
    let listener = Listener::new(Arc::clone(&stage.discord), Arc::new(Scribe::default()));
    let listening = tokio::spawn(listener.listen(stop.clone()));
    stage.world.called("get_bot_gateway", 3).await;
    assert_eq!(stage.world.sessions(), (0, 0));
    stage.world.set(|setup| setup.sessions_left = (1, soon));
    stage.world.identified(1).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), listening).await.unwrap().unwrap();
    stage.world.assert_clean().await;
}

/// Nothing can be said to whoever was not answered at all.
#[tokio::test]
async fn an_answer_that_does_not_come_through_is_tried_while_discord_waits() {
    for (harm, came) in [
        (Harm::Status(502), false),
        (Harm::TooMany(0.3), false),
        (Harm::ResetBefore, false),
        (Harm::ResetAfter, true),
    ] {
        let bot = Bot::start(Mode::Gateway).await;
        bot.world.fault(Fault::on("create_interaction_response", harm));
        let ann = bot.world.person("ann");
        ann.types("/release status", "releases").await.answered().await;
        ann.sees_ephemeral("You typed: status.").await;
        bot.world.called("create_interaction_response", 2).await;
        if came {
            bot.world.pardon("answered twice");
        }
        bot.end().await;
    }
}

#[tokio::test]
async fn a_session_that_discord_forgot_is_begun_anew() {
    let bot = Bot::start(Mode::Gateway).await;
    // Told to resume, and then it cannot.
    bot.world.forgets_sessions();
    bot.world.asks_to_reconnect();
    bot.world.identified(2).await;
    let ann = bot.world.person("ann");
    ann.types("/release status", "releases").await;
    ann.sees_ephemeral("You typed: status.").await;
    bot.end().await;
}

fn quick_heart() -> Setup {
    Setup::default().windows(|it| it.heartbeat = Duration::from_millis(300))
}

#[tokio::test]
async fn a_line_that_acknowledges_no_heart_beat_is_dropped_and_the_session_goes_on() {
    let bot = Bot::with(Mode::Gateway, quick_heart()).await;
    let ann = bot.world.person("ann");
    bot.world.falls_silent();
    // Nobody hears it on the dead line: it is told on the next one, to the same session.
    ann.types("/release update text:meanwhile", "releases").await.answered().await;
    ann.sees_ephemeral("meanwhile").await;
    bot.world.resumed(1).await;
    assert_eq!(bot.world.sessions(), (1, 1));
    bot.discord.post(&releases(), "k", &card("Ready?")).await.unwrap();
    let post = bot.world.sees("releases", "Ready?").await;
    ann.presses(&post, "GO").await.answered().await;
    ann.sees_ephemeral("You pressed: go v1.").await;
    bot.end().await;
}

#[tokio::test]
async fn a_heart_that_beats_keeps_the_line_and_beats_when_asked() {
    let bot = Bot::with(Mode::Gateway, quick_heart()).await;
    bot.world.asks_for_heartbeat();
    bot.world.beaten(6).await;
    assert_eq!(bot.world.sessions(), (1, 0));
    bot.end().await;
}

#[tokio::test]
async fn who_is_not_let_in_says_so_until_it_is_mended() {
    for (code, word) in [(4004, "does not take our token"), (4013, "intents"), (4014, "intents")] {
        let bot = Bot::start(Mode::Gateway).await;
        assert_eq!(bot.discord.shut_out(), None);
        bot.world.closes_connections(code);
        let told = until_shut(&bot.discord, true).await.expect("it is shut");
        assert!(told.contains(word) && told.contains(&code.to_string()), "{told}");
        // Nobody forbids the next try.
        until_shut(&bot.discord, false).await;
        bot.world.identified(2).await;
        bot.end().await;
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_said_also_while_there_is_nothing_to_say() {
    for mode in MODES {
        let bot = Bot::start(mode).await;
        bot.world.revoke_bot_token();
        if mode == Mode::Gateway {
            bot.world.closes_connections(4004);
        }
        let told = until_shut(&bot.discord, true).await.expect("it is shut");
        assert!(told.contains("page Bot"), "{told}");
        let asks = if mode == Mode::Gateway { "get_bot_gateway" } else { "get_my_user" };
        bot.world.called(asks, 3).await;
        assert!(bot.discord.shut_out().is_some(), "{mode:?}: it stays so");
        bot.world.readmit_bot_token();
        until_shut(&bot.discord, false).await;
        bot.end().await;
    }
}

/// As health reads it.
async fn until_shut(discord: &Discord, shut: bool) -> Option<String> {
    let mut looks = glances(Duration::from_millis(10));
    let looking = async {
        loop {
            looks.tick().await;
            let told = discord.shut_out();
            if told.is_some() == shut {
                return told;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("it never changed")
}

#[tokio::test]
async fn what_is_chosen_is_the_line_and_what_is_typed_is_completed() {
    let bot = Bot::start(Mode::Gateway).await;
    let ann = bot.world.person("ann");
    let offered = ann.completes("/release status release:v1", "releases").await;
    assert_eq!(offered, ["v1.2.0 — Web shop, counting down"]);
    ann.types("/release more audit last:20 release:v1.2.0", "releases").await;
    ann.sees_ephemeral("You typed: audit --last=20 v1.2.0.").await;
    ann.types("/release freeze lift --reason \"it's late\"", "releases").await;
    ann.sees_ephemeral("You typed: freeze lift \"\" \"it's late\".").await;
    bot.end().await;
}

#[tokio::test]
async fn the_command_is_registered_once_and_again_only_when_it_changed() {
    let stage = Stage::start().await;
    let listen = |discord: Arc<Discord>| async {
        let stop = CancellationToken::new();
        let listener = Listener::new(discord, Arc::new(Scribe::default()));
        let listening = tokio::spawn(listener.listen(stop.clone()));
        (stop, listening)
    };
    let http = |registration| {
        let settings = settings(&stage.world, stage.folder.path());
        let settings = DiscordSettings { mode: Mode::Http, registration, ..settings };
        Discord::new(settings, commands()).unwrap()
    };
    let mut looks = 0;
    for registration in [Registration::Guild, Registration::Guild, Registration::Global] {
        let (stop, listening) = listen(http(registration)).await;
        looks += 1;
        // The other place is looked at last.
        let last = match registration {
            Registration::Guild => ("list_application_commands", looks),
            Registration::Global => ("delete_guild_application_command", 1),
        };
        stage.world.called(last.0, last.1).await;
        stop.cancel();
        listening.await.unwrap();
    }
    assert_eq!(stage.world.calls("create_guild_application_command").len(), 1);
    assert_eq!(stage.world.calls("create_application_command").len(), 1);
    assert!(stage.world.calls("update_guild_application_command").is_empty());
    assert!(stage.world.commands(Some(GUILD)).is_empty());
    assert_eq!(stage.world.commands(None).len(), 1);
    stage.world.assert_clean().await;
}

#[tokio::test]
async fn who_cannot_prove_to_be_discord_learns_nothing() {
    let bot = Bot::start(Mode::Http).await;
    let command = || bot.world.command_of("ann", "/release status", "releases");
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for (what, attack) in [
        ("forged", command().forged()),
        ("stale", command().stale(minutes(6))),
        ("ahead", command().ahead_of_time(minutes(6))),
        ("tampered", command().tampered("status", "agenda")),
        ("unsigned", command().unsigned()),
    ] {
        assert_eq!(attack.send().await, (401, String::new()), "{what}");
    }
    bot.world.accepts_address().await.unwrap();
    assert!(bot.ear.heard().is_empty());
    let once = command();
    assert_eq!(once.send().await.0, 200);
    assert_eq!(once.send().await.0, 401, "a replay");
    assert_eq!(bot.ear.heard().len(), 1);
    let mut flood = command();
    flood.body = "x".repeat(1024 * 1024);
    assert_eq!(flood.send().await.0, 413);
    bot.sleep().await;
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
async fn no_token_and_no_text_is_logged() {
    let ink = Ink::default();
    let silent = UNHEARD.map(|library| (library, LevelFilter::OFF));
    let filter = Targets::new().with_default(LevelFilter::DEBUG).with_targets(silent);
    let writer = ink.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let log = tracing_subscriber::registry().with(filter).with(lines);
    let logging = tracing::subscriber::set_default(log);

    let bot = Bot::start(Mode::Gateway).await;
    let ann = bot.world.person("ann");
    for harm in [Harm::Error(50013), Harm::Status(500), Harm::ResetAfter] {
        bot.world.fault(Fault::on("create_message", harm));
        let _ = bot.discord.post(&releases(), "k", &card("a quiet text")).await;
    }
    bot.world.cuts_connections();
    bot.world.resumed(1).await;
    ann.types("/release update text:a private line", "releases").await;
    ann.sees_ephemeral("a private line").await;
    let handle = bot.ear.heard().pop().unwrap().handle.unwrap();
    let secret = handle.split_once('/').unwrap().1.to_owned();
    drop(logging);

    let log = String::from_utf8(ink.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("listening to Discord"), "{log}");
    for secret in [&bot.world.bot_token(), &secret, "a quiet text", "a private line"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    bot.sleep().await;
}

#[tokio::test]
async fn a_gateway_that_refuses_our_token_is_said_and_ends_when_told() {
    let stage = Stage::start().await;
    stage.world.revoke_bot_token();
    let stop = CancellationToken::new();
    let listener = Listener::new(Arc::clone(&stage.discord), Arc::new(Scribe::default()));
    let listening = tokio::spawn(listener.listen(stop.clone()));
    stage.world.called("get_bot_gateway", 1).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), listening).await.unwrap().unwrap();
}

/// Nothing of the vocabulary is lost, and Discord takes it.
#[tokio::test]
async fn every_command_of_the_grammar_is_there() {
    let bot = Bot::start(Mode::Http).await;
    let registered = bot.world.commands(Some(GUILD));
    let mut names = Vec::new();
    fn leaves(at: &Value, path: &str, names: &mut Vec<String>) {
        for each in at["options"].as_array().into_iter().flatten() {
            let name = each["name"].as_str().unwrap();
            match each["type"].as_u64() {
                Some(1) => names.push(format!("{path}{name}")),
                Some(2) if name == "more" => leaves(each, path, names),
                Some(2) => leaves(each, &format!("{name} "), names),
                _ => {}
            }
        }
    }
    leaves(&registered[0], "", &mut names);
    names.sort();
    let mut wanted: Vec<_> = grammar::specification().into_iter().map(|it| it.name).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    assert_eq!(registered[0]["description"].as_str().map(str::is_empty), Some(false));
    assert_ne!(registered[0]["options"], json!([]));
    bot.end().await;
}
