//! What we ask of the world, in the world's own words.
//!
//! **Invariant:** nothing here knows what a release is. A chat platform has places, messages and
//! buttons; a deploy backend has runs. The rules and the words are chosen above this line, so that
//! one more platform is one more adapter and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Why a neighbour did not do what we asked, by what delivery does next.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// It did not happen and may work later.
    #[error("{why}")]
    Transient { why: String, retry_after: Option<Duration> },
    /// It did not happen and will not: a person has to mend something.
    #[error("{why}")]
    Permanent { why: String },
    /// It may have happened. Look before trying again.
    #[error("{why}")]
    Unknown { why: String },
    /// It did not happen: the neighbour does not let us in. Nothing will happen there until somebody
    /// gives us new credentials, and then all of it can.
    #[error("{why}")]
    NoEntry { why: String },
}

impl Failure {
    pub fn transient(why: impl Into<String>) -> Self {
        Self::Transient { why: why.into(), retry_after: None }
    }

    pub fn permanent(why: impl Into<String>) -> Self {
        Self::Permanent { why: why.into() }
    }

    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    pub fn no_entry(why: impl Into<String>) -> Self {
        Self::NoEntry { why: why.into() }
    }
}

// ---------------------------------------------------------------------------------------------
// Messages

/// What is said, before any platform's markup. The first block is the lead: it alone must be
/// enough on a phone's lock screen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub tone: Tone,
    pub body: Vec<Block>,
    /// Rows of buttons, in reading order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Vec<Button>>,
    /// Shown by platforms as attachments: long reports are files, and the body is where they begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Shown beside the words, which are enough without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<Picture>,
}

/// The same picture twice: as dots for platforms that take files, as drawing for pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Without any folder, and no other picture's: `errors-412.png`.
    pub name: String,
    /// What it shows, for those who do not see it.
    pub alt: String,
    pub svg: String,
    #[serde(skip)]
    pub png: Vec<u8>,
}

/// A whole document beside the message that begins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Without any folder: `report-v1.2.0.md`.
    pub name: String,
    /// What it is, as the web says it: `text/markdown`.
    pub media: String,
    pub text: String,
}

impl File {
    /// The most bytes that every platform takes.
    pub const LONGEST: usize = 1_000_000;
}

/// How it feels at a glance: a colour where the platform has one, never the only carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    Heading(Vec<Inline>),
    Paragraph(Vec<Inline>),
    List(Vec<Vec<Inline>>),
    Quote(Vec<Inline>),
    /// Shown as it is, in a fixed width.
    Code(String),
    Table {
        head: Vec<Vec<Inline>>,
        rows: Vec<Vec<Vec<Inline>>>,
    },
}

impl Block {
    /// Each part of its lines, those within what stands out included.
    pub fn each_inline(&mut self, each: &mut dyn FnMut(&mut Inline)) {
        match self {
            Self::Heading(line) | Self::Paragraph(line) | Self::Quote(line) => in_line(line, each),
            Self::List(items) => items.iter_mut().for_each(|line| in_line(line, each)),
            Self::Code(_) => {}
            Self::Table { head, rows } => {
                let cells = head.iter_mut().chain(rows.iter_mut().flatten());
                cells.for_each(|line| in_line(line, each));
            }
        }
    }
}

fn in_line(line: &mut [Inline], each: &mut dyn FnMut(&mut Inline)) {
    for inline in line {
        each(inline);
        if let Inline::Strong(inner) | Inline::Emphasis(inner) = inline {
            in_line(inner, each);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inline {
    Text(String),
    Strong(Vec<Inline>),
    Emphasis(Vec<Inline>),
    Code(String),
    Break,
    /// Only http and https.
    Link {
        url: String,
        text: String,
    },
    /// An instant: the platform shows the reader's own time where it can, else `text`.
    Time {
        at: i64,
        text: String,
    },
    /// A person who must act; `id` is this platform's id, with `&` before it that of a group. Names
    /// of people who need not act are text.
    Mention {
        id: String,
        name: String,
    },
    /// A channel of this platform.
    Channel {
        id: String,
        name: String,
    },
}

/// A button carries the command line that does the same, so that a click and a typed line cannot
/// differ, and so that it outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub label: String,
    pub command: String,
    #[serde(default)]
    pub style: Style,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    #[default]
    Plain,
    Primary,
    Danger,
}

/// Asked in a dialog of the platform; a form without fields is a confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    pub title: String,
    /// What is about to happen, in full sentences.
    pub text: Vec<Block>,
    /// The line that the answers complete.
    pub command: String,
    pub fields: Vec<Field>,
    pub submit: String,
    #[serde(default)]
    pub style: Style,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The argument of the command that it fills.
    pub name: String,
    pub label: String,
    pub hint: String,
    pub kind: FieldKind,
    pub required: bool,
    #[serde(default)]
    pub value: String,
    /// What is wrong with `value`, where a form comes back.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    Line,
    Paragraph,
    Choice(Vec<(String, String)>),
    /// A day, `2026-12-15`.
    Date,
    /// A time of day, `10:00`.
    Clock,
}

// ---------------------------------------------------------------------------------------------
// Chat

/// Where something is said: a channel's id, or one person in private.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Channel(String),
    Person(String),
}

/// A message as the platform names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageRef {
    pub channel: String,
    pub message: String,
}

/// A channel that we would like to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomWish {
    /// The same on each try: a room that was opened under it is reused.
    pub key: String,
    /// Without the leading mark; the adapter applies its platform's rules and avoids collisions.
    pub name: String,
    pub topic: String,
    pub purpose: String,
    /// People, and groups with `&` before their id. A platform whose rooms are open to everybody
    /// needs no groups.
    pub members: Vec<String>,
    /// Groups of this platform, by its own ids: whoever is in one when the room opens.
    pub groups: Vec<String>,
    /// Where the conversation goes if the platform lets us open no channel: a thread in this one.
    pub near: Option<String>,
    /// What everybody in it looks at: titles with their addresses.
    pub links: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    pub channel: String,
    pub name: String,
    /// Why it is a thread and no channel of its own.
    pub instead: Option<String>,
}

/// Whom a private answer is for, and through what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    pub user: String,
    pub channel: Option<String>,
    /// [`Heard::handle`], while it lasts.
    pub handle: Option<String>,
}

/// A chat platform. Every method may be called again with the same key and then does nothing new
/// where the platform allows to know; where it does not, it answers `Failure::Unknown`.
#[async_trait]
pub trait Chat: Send + Sync {
    async fn post(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure>;

    /// The message that was posted under this key, if the platform has it.
    async fn find(&self, place: &Place, key: &str) -> Result<Option<MessageRef>, Failure>;

    /// Adds what a post under this key still lacks, when it is found to have been cut off: where a
    /// message is too long for one, or has files, its beginning alone does not prove the rest.
    async fn carry_on(&self, _: &MessageRef, _: &str, _: &Message) -> Result<(), Failure> {
        Ok(())
    }

    /// How long this platform may take to show what it took: who looks for a message of which we
    /// do not know whether it arrived looks twice, this far apart, before saying it again.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Why nobody gets in there until somebody mends it, as far as it is known; also while nothing
    /// is to be said.
    fn shut_out(&self) -> Option<String> {
        None
    }

    async fn edit(&self, at: &MessageRef, message: &Message) -> Result<(), Failure>;

    async fn pin(&self, at: &MessageRef) -> Result<(), Failure>;

    async fn open_room(&self, wish: &RoomWish) -> Result<Room, Failure>;

    async fn set_topic(&self, channel: &str, topic: &str) -> Result<(), Failure>;

    async fn invite(&self, channel: &str, members: &[String]) -> Result<(), Failure>;

    async fn archive(&self, channel: &str) -> Result<(), Failure>;

    /// Answers one person, where they asked if that can still be done, else in private. An answer
    /// is no effect: it may be lost, and then the person asks again.
    async fn whisper(&self, to: &Whisper, message: &Message) -> Result<(), Failure>;
}

/// Who somebody is in the eyes of their platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Not a full member: a guest, or from outside, or nobody any more.
    pub guest: bool,
    /// Their account there is deactivated.
    pub gone: bool,
    /// Those of the groups asked for that they are in.
    pub groups: BTreeSet<String>,
    /// What they are called there.
    pub name: Option<String>,
}

/// A platform that knows its people. One that does not vouches for whoever speaks.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Looked up singly, never by listing everybody.
    async fn standing(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure>;

    /// The same, where the platform said it with what they are just doing: from memory.
    fn at_hand(&self, _tenant: &str, _user: &str, _groups: &[String]) -> Option<Standing> {
        None
    }

    /// What people there call the place with this id, as they write it: `#releases`. Nothing for
    /// what is no place.
    async fn place(&self, _tenant: &str, _id: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

/// What a platform heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The platform's own id of this delivery: the same id gets the same answer and acts once.
    pub id: String,
    pub platform: String,
    pub tenant: String,
    pub user: String,
    pub channel: Option<String>,
    /// The platform's own way to answer this, if it has one: it expires, and only the adapter knows
    /// what it means.
    pub handle: Option<String>,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// What was typed after `/release`.
    Line(String),
    /// The command of a button.
    Pressed(String),
    /// A form that came back: its command and what was filled in.
    Submitted { command: String, fields: BTreeMap<String, String> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Only the asker sees it.
    Private(Message),
    Form(Form),
}

/// What could be typed next: `text` is the whole line after `/release` if it is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    pub text: String,
    pub about: String,
}

/// What became of what was heard, by the time the platform may be told that we have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    Now(Reply),
    /// It is kept where no crash can lose it, and answered through [`Chat::whisper`] once we know
    /// who asks.
    Later,
}

/// The side of the conversation that listens.
#[async_trait]
pub trait Ear: Send + Sync {
    /// Waits for our own disk and for nothing else, so that a platform with three seconds of
    /// patience can be answered whatever else is going on.
    async fn hear(&self, heard: Heard) -> Answered;

    /// From memory only: it is asked at every key. Who is not of the house is offered nothing.
    /// `asker` is somebody's platform, tenant and user.
    fn complete(
        &self,
        asker: (&str, &str, &str),
        channel: Option<&str>,
        line: &str,
    ) -> Vec<Completion>;

    /// What somebody sees who opens the bot itself: what is coming, and what waits for them.
    async fn home(&self, platform: &str, tenant: &str, user: &str) -> Message;
}

// ---------------------------------------------------------------------------------------------
// What can be said, for platforms that want to know it beforehand

/// A command as any platform can register it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandSpec {
    /// `no-go`, or `freeze add`.
    pub name: String,
    pub about: String,
    pub example: String,
    /// Said so often, or in such a hurry, that it may not stand behind another word.
    pub near: bool,
    pub arguments: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Argument {
    /// The name of its field.
    pub name: String,
    pub about: String,
    pub kind: Type,
    /// A platform must not insist on it: the bot asks with a form for what is missing.
    pub required: bool,
    /// It has a place instead of a name; an empty word keeps the place of one that is left out.
    pub positional: bool,
    /// Whether it takes the rest of the line.
    pub rest: bool,
    pub completes: Option<Choose>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    String,
    Int,
    Bool,
    Choice(Vec<String>),
    /// Several words, each for itself: `pod=2 zone=eu`.
    Words,
}

/// From what an argument is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    Release,
    Plan,
    Role,
    Item,
    Action,
    Person,
    Freeze,
    Flag,
    Verb,
}

// ---------------------------------------------------------------------------------------------
// Couriers

/// Takes an announcement somewhere that cannot be answered back: a webhook, a mailbox.
#[async_trait]
pub trait Courier: Send + Sync {
    /// `to` is a name from the configuration; `key` is the same on each try.
    async fn send(&self, to: &str, key: &str, letter: &Letter) -> Result<Receipt, Failure>;

    /// Whether the receiver drops what comes again under a key that it has seen. Only then is a
    /// letter repeated of which nobody knows whether it arrived.
    fn drops_repeats(&self) -> bool;
}

/// What became of a letter that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    Whole,
    /// Some of those behind the name did not get it, and will not.
    Partly {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The kind of message, for the receiver's switch.
    pub kind: String,
    pub subject: String,
    pub text: String,
    pub body: Vec<Block>,
}

// ---------------------------------------------------------------------------------------------
// Gates of others

/// What we say to a deployment that waits for our word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateWord {
    /// A repository.
    pub place: String,
    pub run: u64,
    pub environment: String,
    /// In whose name we speak.
    pub installation: Option<u64>,
    /// Whether it may go on; nothing: how things stand, while it waits.
    pub go: Option<bool>,
    pub text: String,
}

/// How our word was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reception {
    Taken,
    /// Nothing waits there for a word, or not any more; in the words of whoever says so.
    NobodyWaits(String),
}

/// Keeps deployments waiting until it has heard from us. The same decision twice decides nothing
/// new.
#[async_trait]
pub trait Gatekeeper: Send + Sync {
    async fn tell(&self, word: &GateWord) -> Result<Reception, Failure>;
}

// ---------------------------------------------------------------------------------------------
// Deploying

/// One run of one action that the operator declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The idempotency key that the backend gets: the same for the same try of the same step.
    pub key: String,
    pub action: String,
    /// Fills the action's placeholders.
    pub with: BTreeMap<String, String>,
    pub limit: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub outcome: Outcome,
    /// The last output, secrets masked, at most 4 KiB.
    pub tail: String,
    /// SHA-256 of the whole output, in hex.
    pub digest: String,
    pub took: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Worked,
    /// It ran and said no: the exit status or the answer, in words.
    Failed(String),
    /// It was stopped at its limit, the whole process group.
    TimedOut,
    /// It was stopped because we asked.
    Stopped,
}

/// What looking after a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    Running,
    Ended(Ran),
    /// The backend proves that it never began.
    NeverBegan,
    Unknown(String),
}

/// Takes a line of output. A name of its own because `async_trait` would give the `&str` of a
/// `dyn Fn(&str)` in a method's head the lifetime of the whole call, and no line lives that long.
pub type Line<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// A deploy backend.
#[async_trait]
pub trait Deployer: Send + Sync {
    /// Runs to the end. `Err(Unknown)` means that it may have run. Each line of output, masked and
    /// cut, goes to `line` as it comes.
    async fn run(&self, run: &Run, line: &Line<'_>) -> Result<Ran, Failure>;

    /// Stops what runs under this key: TERM, ten seconds, KILL, the whole process group. Answers
    /// when nothing of it runs any more.
    async fn stop(&self, run: &Run) -> Result<(), Failure>;

    /// Looks after a run whose outcome we do not know, by its key and the action's `status` command.
    async fn look(&self, run: &Run) -> Result<Sighting, Failure>;
}

// ---------------------------------------------------------------------------------------------
// Measuring

/// What to look up, over a stretch of time that ends now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In the source's own language, its placeholders filled.
    pub query: String,
    pub from: SystemTime,
    pub to: SystemTime,
    /// How far apart the points are that we want.
    pub step: Duration,
}

/// One line of numbers, in the order of time. What is no number comes as such: the rules say what
/// that means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// What tells it from the others of the same answer, such as its labels.
    pub name: String,
    pub points: Vec<(SystemTime, f64)>,
}

/// A source of measurements. It has no opinion: an answer without a series is an answer.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// Everything that the source has on it. A source that only knows the present answers with one
    /// point. `Transient`: it cannot be reached; `Permanent`: it does not understand the question,
    /// or we do not understand its answer.
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure>;
}

// ---------------------------------------------------------------------------------------------
// Feature flags

/// How far a flag is open.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagState {
    pub on: bool,
    /// Of those who ask, in percent; what a provider does not know as one number is `None`.
    pub percent: Option<f64>,
}

/// A provider of feature flags.
#[async_trait]
pub trait Flags: Send + Sync {
    /// Opens it for this share of those who ask, in percent; at 0 it is off. Setting it to what it
    /// is changes nothing, so it may be repeated.
    async fn set(&self, flag: &str, percent: f64) -> Result<(), Failure>;

    /// The kill switch: off for everybody, by the shortest way that the provider has.
    async fn kill(&self, flag: &str) -> Result<(), Failure>;

    async fn state(&self, flag: &str) -> Result<FlagState, Failure>;
}
