//! What every chat platform promises. An adapter's tests give it a platform, real or faked at the
//! wire, and the promises are checked through the port alone.

use async_trait::async_trait;
use tminus::ports::{Block, Chat, Failure, File, Inline, Message, MessageRef, Place, RoomWish};

/// A platform that is there, with somebody in it.
#[async_trait]
pub(crate) trait Platform: Sync {
    fn chat(&self) -> &dyn Chat;

    /// A channel where the bot may speak.
    fn channel(&self) -> String;

    /// A person who may be written to and invited.
    fn person(&self) -> String;

    /// What a person reads there, one text per message, oldest first.
    async fn read(&self, place: &Place) -> Vec<String>;
}

pub(crate) fn text(text: &str) -> Message {
    let body = vec![Block::Paragraph(vec![Inline::Text(text.to_owned())])];
    Message { body, ..Message::default() }
}

pub(crate) async fn keeps_its_promises(platform: &impl Platform) {
    posts_once_per_key_and_place(platform).await;
    edits_and_pins(platform).await;
    carries_files(platform).await;
    opens_rooms_once_and_without_collisions(platform).await;
    turns_down_what_cannot_be(platform).await;
    archives_for_good(platform).await;
}

async fn posts_once_per_key_and_place(platform: &impl Platform) {
    let chat = platform.chat();
    let places = [Place::Channel(platform.channel()), Place::Person(platform.person())];
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

async fn edits_and_pins(platform: &impl Platform) {
    let chat = platform.chat();
    let place = Place::Channel(platform.channel());
    let at = chat.post(&place, "card", &text("before")).await.unwrap();
    for _ in 0..2 {
        chat.edit(&at, &text("afterwards")).await.unwrap();
        chat.pin(&at).await.unwrap();
    }
    let read = platform.read(&place).await;
    assert!(read.iter().any(|line| line.contains("afterwards")), "{read:?}");
    assert!(!read.iter().any(|line| line.contains("before")), "{read:?}");
}

fn with_file(bytes: usize) -> Message {
    let (name, media) = ("report-v1.2.0.md".to_owned(), "text/markdown".to_owned());
    let file = File { name, media, text: "whole ✓ שלום\n".repeat(bytes / 20) };
    Message { files: vec![file], ..text("how it begins") }
}

/// A document is read beside what was said of it; once more under its key changes nothing.
async fn carries_files(platform: &impl Platform) {
    let chat = platform.chat();
    for place in [Place::Channel(platform.channel()), Place::Person(platform.person())] {
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

async fn opens_rooms_once_and_without_collisions(platform: &impl Platform) {
    let chat = platform.chat();
    let long = "Room v1.2.0 ".repeat(12);
    let first = chat.open_room(&wish("a", &long, vec![platform.person()])).await.unwrap();
    let again = chat.open_room(&wish("a", &long, Vec::new())).await.unwrap();
    assert_eq!(first, again);
    let other = chat.open_room(&wish("b", &long, Vec::new())).await.unwrap();
    assert_ne!(first.channel, other.channel);
    assert_ne!(first.name, other.name);
    assert!(first.name.chars().count() <= 80 && other.name.chars().count() <= 80);
    for _ in 0..2 {
        chat.invite(&other.channel, &[platform.person()]).await.unwrap();
        chat.set_topic(&other.channel, "another topic").await.unwrap();
    }
    let place = Place::Channel(other.channel);
    chat.post(&place, "hello", &text("hello, room")).await.unwrap();
    assert!(platform.read(&place).await.iter().any(|line| line.contains("hello, room")));
}

async fn turns_down_what_cannot_be(platform: &impl Platform) {
    let chat = platform.chat();
    let place = Place::Channel(platform.channel());
    let nowhere = MessageRef { channel: platform.channel(), message: "no-such-message".to_owned() };
    is_permanent(chat.post(&Place::Channel("no-such-channel".into()), "k", &text("x")).await);
    is_permanent(chat.post(&Place::Person("no-such-person".into()), "k", &text("x")).await);
    is_permanent(chat.post(&place, "long", &text(&"x".repeat(50_000))).await);
    assert_eq!(chat.find(&place, "long").await, Ok(None));
    is_permanent(chat.edit(&nowhere, &text("x")).await);
    is_permanent(chat.pin(&nowhere).await);
    is_permanent(chat.set_topic("no-such-channel", "x").await);
    is_permanent(chat.invite(&platform.channel(), &["no-such-person".to_owned()]).await);
    is_permanent(chat.archive("no-such-channel").await);
}

async fn archives_for_good(platform: &impl Platform) {
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

fn is_permanent<T: std::fmt::Debug>(result: Result<T, Failure>) {
    let failure = result.expect_err("this cannot be");
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure:?}");
    assert!(failure.to_string().len() > 10, "says too little: {failure}");
}
