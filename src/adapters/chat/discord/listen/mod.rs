//! What people do in Discord, however it reaches us: given to the ear, acknowledged in time, answered
//! where they did it.
//!
//! **Invariant:** an acknowledgement waits for our own disk and for nothing else.

mod gateway;
mod http;
mod interaction;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use serenity::http::Route;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use self::interaction::{Asked, Back};
use super::api::Twice;
use super::commands::NAME;
use super::render::{self, Asking};
use super::talk::EPHEMERAL;
use super::{Discord, lock};
use crate::adapters::chat::recent::Recent;
use crate::ports::{
    Answered, Block, Button, Ear, Failure, Form, Heard, Inline, Message, Reply, Style, Tone,
    Whisper,
};

/// Discord's patience is three seconds; the rest is for the way there and back.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long answers under way may take when we stop.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// As many interactions as Discord may repeat after a line that broke.
const REMEMBERED: usize = 10_000;
/// How long an answer waits for its second try where nobody says so, and the longest.
const A_MOMENT: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_secs(30);
/// Between tries to register the command, while Discord cannot be reached.
const LATER: Duration = Duration::from_secs(60);
/// What Discord refuses is asked again after this, and not only by the next start.
const MENDED: Duration = Duration::from_secs(300);

/// The side of Discord that listens.
pub struct Listener {
    discord: Arc<Discord>,
    ear: Arc<dyn Ear>,
    seen: Mutex<Recent<String, ()>>,
    tasks: TaskTracker,
}

/// What Discord is told about an interaction; also the kinds that it knows.
mod answer {
    pub(super) const PONG: u64 = 1;
    pub(super) const MESSAGE: u64 = 4;
    pub(super) const THINKING: u64 = 5;
    pub(super) const UPDATE_LATER: u64 = 6;
    pub(super) const UPDATE: u64 = 7;
    pub(super) const CHOICES: u64 = 8;
    pub(super) const DIALOG: u64 = 9;
}

impl Listener {
    /// What people do reaches `ear`.
    pub fn new(discord: Arc<Discord>, ear: Arc<dyn Ear>) -> Arc<Self> {
        let seen = Mutex::new(Recent::new(REMEMBERED));
        Arc::new(Self { discord, ear, seen, tasks: TaskTracker::new() })
    }

    /// What Discord calls, if it is set up to call us; else nothing.
    pub fn router(self: &Arc<Self>) -> Router {
        http::router(self)
    }

    /// Registers the command, keeps the gateway's line open if it is set up, and ends in good order
    /// when told to.
    pub async fn listen(self: Arc<Self>, stop: CancellationToken) {
        let (me, until) = (Arc::clone(&self), stop.clone());
        self.tasks.spawn(async move { me.register(&until).await });
        let (me, until) = (Arc::clone(&self), stop.clone());
        // What waits for its time is told at once; the line is closed beside it.
        self.tasks.spawn(async move {
            until.cancelled().await;
            me.discord.api.leaving.cancel()
        });
        match self.discord.settings.mode.has_gateway() {
            true => gateway::keep(&self, &stop).await,
            false => self.knock(&stop).await,
        }
        self.tasks.close();
        if tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await.is_err() {
            warn!("some answers to people in Discord were still under way");
        }
    }

    async fn register(&self, stop: &CancellationToken) {
        loop {
            let wait = match self.discord.register().await {
                Ok(()) => return,
                Err(Failure::Transient { why, retry_after }) => {
                    warn!("{why}. I try again");
                    retry_after.unwrap_or(LATER)
                }
                // Somebody has to mend it first, there or here.
                Err(
                    why @ (Failure::Permanent { .. }
                    | Failure::Unknown { .. }
                    | Failure::NoEntry { .. }),
                ) => {
                    error!("{why}");
                    MENDED
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Where no line of ours is kept: whether we are let in is asked from time to time, since nobody
    /// may notice until there is something to say.
    async fn knock(&self, stop: &CancellationToken) {
        let mut looks = tokio::time::interval(self.discord.settings.until_mended);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let asked = self.discord.api.get(Route::UserMe);
            let Some(Err(fault)) = stop.run_until_cancelled(asked).await else { continue };
            warn!("{}", fault.failure("I looked whether Discord lets us in", Twice::Harmless));
        }
    }

    /// The answer to it, unless it has had one.
    async fn take(self: &Arc<Self>, interaction: &Value) -> Option<Value> {
        match interaction::read(interaction, &self.discord) {
            Asked::Ping => Some(json!({"type": answer::PONG})),
            Asked::Heard(heard, back) => {
                let is_new = lock(&self.seen).insert(heard.id.clone(), ());
                match is_new {
                    true => Some(self.hear(*heard, back).await),
                    false => None,
                }
            }
            Asked::Begun(begun, by) => {
                let asker = ("discord", by.tenant.as_str(), by.user.as_str());
                let found = self.ear.complete(asker, by.channel.as_deref(), &begun.line);
                let choices = begun.choices(found);
                Some(json!({"type": answer::CHOICES, "data": {"choices": choices}}))
            }
            Asked::Unknown => Some(json!({"type": answer::CHOICES, "data": {"choices": []}})),
            Asked::Form(form) => Some(self.ask(&form, Back::New)),
            Asked::Cancelled => Some(self.show(&nothing_done(), Back::Instead)),
            Asked::Unclear => Some(self.show(&unclear(), Back::New)),
        }
    }

    /// The answer has gone out.
    fn acknowledged(&self, interaction: &Value) {
        if let Some(handle) = interaction::handle(interaction) {
            self.discord.may_answer(&handle);
        }
    }

    async fn hear(self: &Arc<Self>, heard: Heard, back: Back) -> Value {
        let whisper = whisper_to(&heard);
        let ear = Arc::clone(&self.ear);
        let mut hearing = self.tasks.spawn(async move { ear.hear(heard).await });
        match tokio::time::timeout(PATIENCE, &mut hearing).await {
            Ok(Ok(Answered::Now(Reply::Private(message)))) => self.say(whisper, &message, back),
            Ok(Ok(Answered::Now(Reply::Form(form)))) => self.ask(&form, back),
            Ok(Ok(Answered::Later)) => self.defer(&whisper, back),
            Ok(Err(_)) => {
                error!("what somebody did in Discord could not be heard");
                self.show(&broken(), back)
            }
            Err(_) => {
                let deferred = self.defer(&whisper, back);
                self.answer_later(whisper, hearing);
                deferred
            }
        }
    }

    /// The disk was slow: whoever asked is told as soon as it is not.
    fn answer_later(self: &Arc<Self>, whisper: Whisper, hearing: JoinHandle<Answered>) {
        warn!("what somebody did in Discord was acknowledged before it was recorded");
        let me = Arc::clone(self);
        self.tasks.spawn(async move {
            let message = match hearing.await {
                Ok(Answered::Now(Reply::Private(message))) => message,
                Ok(Answered::Now(Reply::Form(form))) => late(&form),
                Ok(Answered::Later) => return,
                Err(_) => broken(),
            };
            me.whisper(&whisper, &message).await;
        });
    }

    /// Says that an answer comes. What is whispered through this handle next becomes it.
    fn defer(&self, whisper: &Whisper, back: Back) -> Value {
        if let Some(handle) = &whisper.handle {
            self.discord.will_answer(handle);
        }
        match back {
            Back::New | Back::Dialog => {
                json!({"type": answer::THINKING, "data": {"flags": EPHEMERAL}})
            }
            Back::Instead => json!({"type": answer::UPDATE_LATER}),
        }
    }

    /// At once if it is one message; what has files or followers comes after.
    fn say(self: &Arc<Self>, whisper: Whisper, message: &Message, back: Back) -> Value {
        let typed = self.discord.commands.typed_here(message);
        let parts = match render::message(&typed, &self.discord.shelf) {
            Ok(parts) => parts,
            Err(why) => {
                warn!("an answer in Discord cannot be shown: {why}");
                return self.show(&broken(), back);
            }
        };
        if let ([part], true) = (parts.as_slice(), message.files.is_empty()) {
            return shown(part, back);
        }
        let deferred = self.defer(&whisper, back);
        let (me, message) = (Arc::clone(self), message.clone());
        self.tasks.spawn(async move { me.whisper(&whisper, &message).await });
        deferred
    }

    /// A message of one part, of ours.
    fn show(&self, message: &Message, back: Back) -> Value {
        match render::single(message, &self.discord.shelf) {
            Ok(part) => shown(&part, back),
            Err(why) => {
                error!("an answer in Discord cannot be shown: {why}");
                let data = json!({"content": "Something broke on my side.", "flags": EPHEMERAL});
                json!({"type": answer::MESSAGE, "data": data})
            }
        }
    }

    /// In a dialog, if one can be opened here.
    fn ask(&self, form: &Form, back: Back) -> Value {
        let shelf = &self.discord.shelf;
        let asked = match back {
            // A question without fields needs no dialog, and a list neither.
            Back::Dialog if form.fields.iter().any(|it| !it.problem.is_empty()) => {
                render::again(form, shelf).map(|part| Asking::Message(Box::new(part)))
            }
            Back::Dialog | Back::New | Back::Instead => render::ask(form, shelf),
        };
        let part = match asked {
            Ok(Asking::Dialog(_)) if back == Back::Dialog => render::again(form, shelf),
            Ok(Asking::Dialog(data)) => return json!({"type": answer::DIALOG, "data": data}),
            Ok(Asking::Message(part)) => Ok(*part),
            Ok(Asking::TooMuch) => {
                let line = format!("/{NAME} {}", form.command);
                let line = self.discord.commands.by_name(&line).unwrap_or(line);
                render::typed(form, line, shelf)
            }
            Err(why) => Err(why),
        };
        match part {
            Ok(part) => shown(&part, back),
            Err(why) => {
                warn!("a question in Discord cannot be asked: {why}");
                self.show(&broken(), back)
            }
        }
    }

    /// Twice if Discord asks us to wait or cannot be reached, since somebody looks at the screen.
    async fn whisper(&self, to: &Whisper, message: &Message) {
        let message = &self.discord.commands.typed_here(message);
        let mut tried = self.discord.answer_one(to, message).await;
        if let Err(Failure::Transient { retry_after, .. }) = &tried {
            let wait = tokio::time::sleep(retry_after.unwrap_or(A_MOMENT).min(BREATH));
            self.discord.api.leaving.run_until_cancelled(wait).await;
            tried = self.discord.answer_one(to, message).await;
        }
        if let Err(why) = tried {
            warn!(user = to.user, "an answer in Discord is lost: {why}");
        }
    }
}

fn shown(part: &render::Part, back: Back) -> Value {
    let mut data = part.body(None);
    match back {
        Back::New | Back::Dialog => {
            data["flags"] = json!(EPHEMERAL);
            json!({"type": answer::MESSAGE, "data": data})
        }
        Back::Instead => json!({"type": answer::UPDATE, "data": data}),
    }
}

fn whisper_to(heard: &Heard) -> Whisper {
    Whisper {
        user: heard.user.clone(),
        channel: heard.channel.clone(),
        handle: heard.handle.clone(),
    }
}

// ---------------------------------------------------------------------------------------------
// The few sentences that only Discord needs

fn said(tone: Tone, inlines: Vec<Inline>) -> Message {
    Message { tone, body: vec![Block::Paragraph(inlines)], ..Message::default() }
}

fn words(text: &str) -> Inline {
    Inline::Text(text.to_owned())
}

fn broken() -> Message {
    let text = "That was not done: something broke on my side. Please try again in a moment.";
    said(Tone::Bad, vec![words(text)])
}

fn nothing_done() -> Message {
    said(Tone::Plain, vec![words("Nothing was done.")])
}

fn unclear() -> Message {
    said(
        Tone::Warning,
        vec![
            words("I do not understand that: it is not one of mine, or is from a version that I "),
            words("am not. Nothing was done. "),
            Inline::Code(format!("/{NAME} help")),
            words(" shows what can be typed."),
        ],
    )
}

fn late(form: &Form) -> Message {
    let mut message = said(
        Tone::Warning,
        vec![
            Inline::Strong(vec![words(&form.title)]),
            words(": that took me too long to open a dialog. Press below."),
        ],
    );
    let button =
        Button { label: form.title.clone(), command: form.command.clone(), style: Style::Primary };
    message.buttons = vec![vec![button]];
    message
}
