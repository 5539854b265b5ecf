//! What every chat platform promises: one table of cases, a column for each platform. An adapter's
//! tests give it a platform, real or faked at the wire, and the promises are checked through the port
//! alone.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tminus::ports::{
    Block, Chat, Failure, File, Inline, Message, MessageRef, Place, RoomWish, Whisper,
};

use crate::{console, discord_adapter, slack_adapter};

/// A platform that is there, with somebody in it.
#[async_trait]
pub(crate) trait Platform: Send + Sync {
    fn chat(&self) -> &dyn Chat;

    /// The same bot in another process, which remembers only what outlives one.
    fn restarted(&self) -> Arc<dyn Chat>;

    /// Two channels where the bot may speak.
    fn channels(&self) -> [String; 2];

    /// Two people who may be written to and invited.
    fn people(&self) -> [String; 2];

    /// What a person reads there, one text per message, oldest first.
    async fn read(&self, place: &Place) -> Vec<String>;

    /// What this person alone was told, wherever they see it.
    async fn told(&self, person: &str) -> String;

    /// Whom the messages in a channel call.
    async fn called(&self, channel: &str) -> BTreeSet<String>;

    /// The answer to the next message is lost on its way. `false` where none can be.
    fn loses_the_next_answer(&self) -> bool;

    /// This channel must be left alone for so long, if the platform ever asks for that.
    fn rests(&self, channel: &str) -> Option<Duration>;

    /// Somebody deletes the message; what then names it.
    fn deletes(&self, at: &MessageRef) -> MessageRef;
}

pub(crate) fn text(text: &str) -> Message {
    let body = vec![Block::Paragraph(vec![Inline::Text(text.to_owned())])];
    Message { body, ..Message::default() }
}

type Case = for<'p> fn(&'p dyn Platform) -> Pin<Box<dyn Future<Output = ()> + Send + 'p>>;

/// Each line is asked of each platform, on a fresh one.
const PROMISES: [(&str, Case); 20] = [
    ("posts once per key and place", |p| posts_once_per_key_and_place(p).boxed()),
    ("finds after a restart what it said", |p| finds_after_a_restart(p).boxed()),
    ("says once what may not have arrived", |p| says_once_what_may_not_have_arrived(p).boxed()),
    ("edits and pins, and again", |p| edits_and_pins(p).boxed()),
    ("refuses to edit what was deleted", |p| refuses_to_edit_what_was_deleted(p).boxed()),
    ("carries files", |p| carries_files(p).boxed()),
    ("goes on where a text is too long for one", |p| goes_on_in_other_parts(p).boxed()),
    ("adds what a message lacks", |p| adds_what_a_message_lacks(p).boxed()),
    ("calls who must act and nobody else", |p| calls_who_must_act(p).boxed()),
    ("rests one channel and no other", |p| rests_one_channel_and_no_other(p).boxed()),
    ("opens a room once", |p| opens_a_room_once(p).boxed()),
    ("knows its room after a restart", |p| knows_its_room_after_a_restart(p).boxed()),
    ("keeps rooms apart", |p| keeps_rooms_apart(p).boxed()),
    ("takes no room of others", |p| takes_no_room_of_others(p).boxed()),
    ("cuts long names of rooms", |p| cuts_long_names(p).boxed()),
    ("invites, and again", |p| invites_and_sets_topics(p).boxed()),
    ("turns down what cannot be", |p| turns_down_what_cannot_be(p).boxed()),
    ("archives for good", |p| archives_for_good(p).boxed()),
    ("tells one person alone", |p| tells_one_person_alone(p).boxed()),
    ("turns down a whisper to nobody", |p| turns_down_a_whisper_to_nobody(p).boxed()),
];

/// Every cell is looked at, so that one that breaks hides no other.
#[tokio::test]
async fn every_platform_keeps_every_promise() {
    let mut broken = Vec::new();
    let mut table = format!("{:<42} {:>8} {:>8} {:>8}\n", "", "console", "Slack", "Discord");
    for (promise, case) in PROMISES {
        table.push_str(&format!("{promise:<42}"));
        let columns: [(&str, Box<dyn Platform>); 3] = [
            ("console", Box::new(console::platform().await)),
            ("Slack", Box::new(slack_adapter::platform().await)),
            ("Discord", Box::new(discord_adapter::platform().await)),
        ];
        for (name, platform) in columns {
            let kept = AssertUnwindSafe(case(&*platform)).catch_unwind().await.is_ok();
            table.push_str(&format!(" {:>8}", if kept { "kept" } else { "BROKEN" }));
            if !kept {
                broken.push(format!("{name} {promise}"));
            }
        }
        table.push('\n');
    }
    assert!(broken.is_empty(), "{broken:#?}\n{table}");
}

async fn posts_once_per_key_and_place(platform: &dyn Platform) {
    let chat = platform.chat();
    let places = [
        Place::Channel(platform.channels()[0].clone()),
        Place::Person(platform.people()[0].clone()),
    ];
    for place in &places {
        assert_eq!(chat.find(place, "once").await, Ok(None));
        let first = chat.post(place, "once", &text("said once ✓ שלום")).await.unwrap();
        let again = chat.post(place, "once", &text("said twice")).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(chat.find(place, "once").await, Ok(Some(first)));
        let read = platform.read(place).await;
        let said = read.iter().filter(|line| line.contains("said once ✓ שלום")).count();
        assert_eq!(said, 1, "in {place:?}: {read:?}");
        assert!(!read.iter().any(|line| line.contains("said twice")));
    }
}

async fn finds_after_a_restart(platform: &dyn Platform) {
    let [channel, other] = platform.channels().map(Place::Channel);
    let said = platform.chat().post(&channel, "once", &text("said once")).await.unwrap();
    let after = platform.restarted();
    assert_eq!(after.find(&channel, "once").await, Ok(Some(said)));
    assert_eq!(after.find(&other, "once").await, Ok(None));
    assert_eq!(after.find(&channel, "twice").await, Ok(None));
}

/// Whoever cannot tell says so, and looks before it is said again.
async fn says_once_what_may_not_have_arrived(platform: &dyn Platform) {
    let place = Place::Channel(platform.channels()[0].clone());
    let lost = platform.loses_the_next_answer();
    let tried = platform.chat().post(&place, "key", &text("said once")).await;
    match lost {
        true => assert!(matches!(tried, Err(Failure::Unknown { .. })), "{tried:?}"),
        false => drop(tried.unwrap()),
    }
    let after = platform.restarted();
    let found = after.find(&place, "key").await.unwrap().expect("it did arrive");
    after.carry_on(&found, "key", &text("said once")).await.unwrap();
    let read = platform.read(&place).await;
    assert_eq!(read.iter().filter(|line| line.contains("said once")).count(), 1, "{read:?}");
}

async fn edits_and_pins(platform: &dyn Platform) {
    let chat = platform.chat();
    let place = Place::Channel(platform.channels()[0].clone());
    let at = chat.post(&place, "card", &text("before")).await.unwrap();
    for _ in 0..2 {
        chat.edit(&at, &text("afterwards")).await.unwrap();
        chat.pin(&at).await.unwrap();
    }
    let read = platform.read(&place).await;
    assert!(read.iter().any(|line| line.contains("afterwards")), "{read:?}");
    assert!(!read.iter().any(|line| line.contains("before")), "{read:?}");
}

async fn refuses_to_edit_what_was_deleted(platform: &dyn Platform) {
    let place = Place::Channel(platform.channels()[0].clone());
    let at = platform.chat().post(&place, "card", &text("before")).await.unwrap();
    let gone = platform.deletes(&at);
    // Permanent: it is then posted anew.
    is_permanent(platform.chat().edit(&gone, &text("afterwards")).await);
    is_permanent(platform.restarted().edit(&gone, &text("afterwards")).await);
}

fn long() -> Message {
    text(&"word ".repeat(2_000))
}

async fn words(platform: &dyn Platform, place: &Place) -> usize {
    platform.read(place).await.iter().map(|line| line.matches("word").count()).sum()
}

async fn goes_on_in_other_parts(platform: &dyn Platform) {
    let place = Place::Channel(platform.channels()[0].clone());
    let first = platform.chat().post(&place, "long", &long()).await.unwrap();
    assert_eq!(platform.chat().post(&place, "long", &long()).await, Ok(first));
    assert_eq!(words(platform, &place).await, 2_000);
}

async fn adds_what_a_message_lacks(platform: &dyn Platform) {
    let place = Place::Channel(platform.channels()[0].clone());
    platform.loses_the_next_answer();
    let _ = platform.chat().post(&place, "long", &long()).await;
    let after = platform.restarted();
    let found = after.find(&place, "long").await.unwrap().expect("it began");
    for _ in 0..2 {
        platform.restarted().carry_on(&found, "long", &long()).await.unwrap();
    }
    assert_eq!(words(platform, &place).await, 2_000);
}

/// What somebody wrote calls nobody, whatever it looks like.
async fn calls_who_must_act(platform: &dyn Platform) {
    let [must, other] = platform.people();
    let loud = format!("@everyone @here <!channel> <@{other}> @{other}");
    let mention = Inline::Mention { id: must.clone(), name: "somebody".into() };
    let body = vec![
        Block::Paragraph(vec![Inline::Text(loud.clone())]),
        Block::List(vec![vec![mention], vec![Inline::Text(loud)]]),
    ];
    let channel = platform.channels()[0].clone();
    let message = Message { body, ..Message::default() };
    platform.chat().post(&Place::Channel(channel.clone()), "k", &message).await.unwrap();
    assert_eq!(platform.called(&channel).await, BTreeSet::from([must]));
}

async fn rests_one_channel_and_no_other(platform: &dyn Platform) {
    let [busy, free] = platform.channels();
    let asked = platform.rests(&busy);
    let tried = platform.chat().post(&Place::Channel(busy), "k", &text("x")).await;
    match (asked, tried) {
        (None, Ok(_)) => {}
        (Some(asked), Err(Failure::Transient { retry_after: Some(wait), .. })) => {
            assert!(wait <= asked && wait + Duration::from_secs(5) >= asked, "{wait:?}");
        }
        (asked, tried) => panic!("asked to rest {asked:?}: {tried:?}"),
    }
    platform.chat().post(&Place::Channel(free), "k", &text("x")).await.unwrap();
}

fn with_file(bytes: usize) -> Message {
    let (name, media) = ("report-v1.2.0.md".to_owned(), "text/markdown".to_owned());
    let file = File { name, media, text: "whole ✓ שלום\n".repeat(bytes / 20) };
    Message { files: vec![file], ..text("how it begins") }
}

/// A document is read beside what was said of it; once more under its key changes nothing.
async fn carries_files(platform: &dyn Platform) {
    let chat = platform.chat();
    for place in [
        Place::Channel(platform.channels()[0].clone()),
        Place::Person(platform.people()[0].clone()),
    ] {
        let first = chat.post(&place, "file", &with_file(60_000)).await.unwrap();
        assert_eq!(chat.post(&place, "file", &with_file(60_000)).await, Ok(first));
        let read = platform.read(&place).await;
        assert!(read.iter().any(|line| line.contains("how it begins")), "{read:?}");
        let names = read.iter().map(|line| line.matches("report-v1.2.0.md").count());
        assert_eq!(names.sum::<usize>(), 1, "in {place:?}");
        is_permanent(chat.post(&place, "too long", &with_file(3 * File::LONGEST)).await);
        assert_eq!(chat.find(&place, "too long").await, Ok(None));
    }
}

fn wish(key: &str, name: &str, members: Vec<String>) -> RoomWish {
    let (topic, purpose) = ("a topic".to_owned(), "a purpose".to_owned());
    let (key, name, links) = (key.to_owned(), name.to_owned(), Vec::new());
    RoomWish { key, name, topic, purpose, members, groups: Vec::new(), near: None, links }
}

async fn opens_a_room_once(platform: &dyn Platform) {
    let chat = platform.chat();
    let first = chat.open_room(&wish("a", "Room", vec![platform.people()[0].clone()])).await;
    let first = first.unwrap();
    assert_eq!(first.instead, None);
    assert_eq!(chat.open_room(&wish("a", "Room", Vec::new())).await, Ok(first));
}

async fn knows_its_room_after_a_restart(platform: &dyn Platform) {
    let room = platform.chat().open_room(&wish("a", "Room", Vec::new())).await.unwrap();
    let again = platform.restarted().open_room(&wish("a", "Room", Vec::new())).await;
    assert_eq!(again, Ok(room));
}

async fn keeps_rooms_apart(platform: &dyn Platform) {
    let chat = platform.chat();
    let first = chat.open_room(&wish("a", "Room", Vec::new())).await.unwrap();
    let other = chat.open_room(&wish("b", "Room", Vec::new())).await.unwrap();
    assert_ne!(first.channel, other.channel);
    assert_ne!(first.name, other.name);
}

/// The name of a channel that others have is left to them.
async fn takes_no_room_of_others(platform: &dyn Platform) {
    let room = platform.chat().open_room(&wish("a", "releases", Vec::new())).await.unwrap();
    assert!(!platform.channels().contains(&room.channel), "{room:?}");
    assert_ne!(room.name, "releases");
}

async fn cuts_long_names(platform: &dyn Platform) {
    let chat = platform.chat();
    let long = "Room v1.2.0 ✓ ".repeat(12);
    let first = chat.open_room(&wish("a", &long, Vec::new())).await.unwrap();
    let other = chat.open_room(&wish("b", &long, Vec::new())).await.unwrap();
    assert_ne!(first.name, other.name);
    assert!(first.name.chars().count() <= 80 && other.name.chars().count() <= 80);
}

async fn invites_and_sets_topics(platform: &dyn Platform) {
    let chat = platform.chat();
    let room = chat.open_room(&wish("a", "Room", Vec::new())).await.unwrap();
    for _ in 0..2 {
        chat.invite(&room.channel, &platform.people()).await.unwrap();
        chat.set_topic(&room.channel, "another topic").await.unwrap();
    }
    let place = Place::Channel(room.channel);
    chat.post(&place, "hello", &text("hello, room")).await.unwrap();
    assert!(platform.read(&place).await.iter().any(|line| line.contains("hello, room")));
}

async fn turns_down_what_cannot_be(platform: &dyn Platform) {
    let chat = platform.chat();
    let place = Place::Channel(platform.channels()[0].clone());
    let nowhere = MessageRef {
        channel: platform.channels()[0].clone(),
        message: "no-such-message".to_owned(),
    };
    is_permanent(chat.post(&Place::Channel("no-such-channel".into()), "k", &text("x")).await);
    is_permanent(chat.post(&Place::Person("no-such-person".into()), "k", &text("x")).await);
    is_permanent(chat.post(&place, "long", &text(&"x".repeat(50_000))).await);
    assert_eq!(chat.find(&place, "long").await, Ok(None));
    is_permanent(chat.edit(&nowhere, &text("x")).await);
    is_permanent(chat.pin(&nowhere).await);
    is_permanent(chat.set_topic("no-such-channel", "x").await);
    is_permanent(
        chat.invite(&platform.channels()[0].clone(), &["no-such-person".to_owned()]).await,
    );
    is_permanent(chat.archive("no-such-channel").await);
}

async fn archives_for_good(platform: &dyn Platform) {
    let chat = platform.chat();
    let room = chat.open_room(&wish("old", "old", Vec::new())).await.unwrap();
    let place = Place::Channel(room.channel.clone());
    let at = chat.post(&place, "last", &text("last words")).await.unwrap();
    for _ in 0..2 {
        chat.archive(&room.channel).await.unwrap();
    }
    is_permanent(chat.post(&place, "later", &text("too late")).await);
    is_permanent(chat.edit(&at, &text("too late")).await);
    // What was there is still known, so that a repeat of it is not taken for a loss.
    assert_eq!(chat.post(&place, "last", &text("last words")).await, Ok(at));
    assert_eq!(chat.open_room(&wish("old", "old", Vec::new())).await, Ok(room));
}

fn to(platform: &dyn Platform, user: &str) -> Whisper {
    let channel = Some(platform.channels()[0].clone());
    Whisper { user: user.to_owned(), channel, handle: None }
}

async fn tells_one_person_alone(platform: &dyn Platform) {
    let [asked, other] = platform.people();
    for answer in ["one answer", "another answer"] {
        platform.chat().whisper(&to(platform, &asked), &text(answer)).await.unwrap();
        assert!(platform.told(&asked).await.contains(answer));
        assert!(!platform.told(&other).await.contains(answer));
        let read = platform.read(&Place::Channel(platform.channels()[0].clone())).await;
        assert!(!read.iter().any(|line| line.contains(answer)), "{read:?}");
    }
}

async fn turns_down_a_whisper_to_nobody(platform: &dyn Platform) {
    is_permanent(platform.chat().whisper(&to(platform, "no-such-person"), &text("x")).await);
}

fn is_permanent<T: std::fmt::Debug>(result: Result<T, Failure>) {
    let failure = result.expect_err("this cannot be");
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure:?}");
    assert!(failure.to_string().len() > 10, "says too little: {failure}");
}
