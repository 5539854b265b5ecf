//! What people do in Slack, however it reaches us: given to the ear, acknowledged in time, answered
//! where they did it.
//!
//! **Invariant:** an acknowledgement waits for our own disk and for nothing else. Slack's patience is
//! shorter than that of a broken disk: what has to be acknowledged before it is on record is said not
//! to be, so that whoever did it knows what a crash would lose.

mod grid;
mod http;
mod lean;
mod payload;
mod socket;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use self::payload::{Asked, Back, Delivered};
use super::api::Twice;
use super::render::{self, Origin};
use super::{Slack, lock};
use crate::adapters::chat::recent::Recent;
use crate::ports::{
    Answered, Block, Button, Ear, Failure, Form, Heard, Inline, Message, Reply, Style, Tone,
    Whisper,
};

/// Slack's patience is three seconds; the rest is for the way there and back.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long answers under way may take when we stop.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// As many deliveries as Slack may repeat, and as many people as may look at their home tab.
const REMEMBERED: usize = 10_000;
/// As long as an answer that Slack would not take yet is tried again.
const BREATH: Duration = Duration::from_secs(30);

/// The side of Slack that listens.
pub struct Listener {
    slack: Arc<Slack>,
    ear: Arc<dyn Ear>,
    seen: Mutex<Recent<String, ()>>,
    /// Those who have looked at their home tab, which then follows what they do.
    at_home: Mutex<Recent<(String, String), ()>>,
    /// Answers do not wait for a better moment any more.
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    /// What people do reaches `ear`.
    pub fn new(slack: Arc<Slack>, ear: Arc<dyn Ear>) -> Arc<Self> {
        Arc::new(Self {
            slack,
            ear,
            seen: Mutex::new(Recent::new(REMEMBERED)),
            at_home: Mutex::new(Recent::new(REMEMBERED)),
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// What Slack calls, if it is set up to call us; else nothing.
    pub fn router(self: &Arc<Self>) -> Router {
        http::router(self)
    }

    /// Keeps the Socket Mode line open, if it is set up, and ends in good order when told to.
    pub async fn listen(self: Arc<Self>, stop: CancellationToken) {
        if let Err(why) = self.slack.identity().await {
            error!("{why}");
        }
        if self.slack.settings.mode.has_socket() {
            socket::keep(&self, &stop).await;
        } else {
            stop.cancelled().await;
        }
        self.ending.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await.is_err() {
            warn!("some answers to people in Slack were still under way");
        }
    }

    /// The body of the acknowledgement, if it has one.
    async fn take(self: &Arc<Self>, delivered: Delivered<'_>) -> Option<Value> {
        let settings = &self.slack.settings;
        let asked = payload::read(&delivered, &settings.tenant);
        match grid::at_home(asked, &delivered, settings) {
            Asked::Heard(heard, back) => self.hear(*heard, back).await,
            Asked::Home { tenant, user } => {
                lock(&self.at_home).insert((tenant.clone(), user.clone()), ());
                self.show_home(tenant, user);
                None
            }
            Asked::Unclear(whisper) => {
                self.whisper(whisper, unclear(&self.slack.settings.slash));
                None
            }
            Asked::Nothing => None,
        }
    }

    async fn hear(self: &Arc<Self>, heard: Heard, back: Back) -> Option<Value> {
        let is_new = lock(&self.seen).insert(heard.id.clone(), ());
        // The answer to a form is in its acknowledgement, so that one is given each time.
        if !is_new && back.view.is_none() {
            return None;
        }
        let turn = Turn { whisper: whisper_to(&heard), back, is_new };
        let who = (heard.tenant.clone(), heard.user.clone());
        let ear = Arc::clone(&self.ear);
        let mut hearing = self.tasks.spawn(async move { ear.hear(heard).await });
        match tokio::time::timeout(PATIENCE, &mut hearing).await {
            Ok(answered) => self.answer(turn, answered.ok(), who),
            Err(_) => {
                let acknowledged = turn.back.view.is_some().then(clear);
                self.answer_later(turn, hearing, who);
                acknowledged
            }
        }
    }

    /// The disk is slow: whoever asked is told that it does not count yet, and how it went as soon as
    /// it is on record. Should we die in between, the first is what they have read.
    fn answer_later(
        self: &Arc<Self>,
        turn: Turn,
        hearing: JoinHandle<Answered>,
        who: (String, String),
    ) {
        warn!("what somebody did in Slack was acknowledged before it was recorded");
        let me = Arc::clone(self);
        self.tasks.spawn(async move {
            if turn.is_new
                && let Err(why) = me.slack.answer_one(&turn.whisper, &not_yet()).await
            {
                warn!(user = turn.whisper.user, "nobody was told that it is not recorded: {why}");
            }
            let answered = hearing.await.ok();
            let turn = Turn { back: Back { view: None, ..turn.back }, ..turn };
            me.answer(turn, answered, who);
        });
    }

    /// `None` is an ear that broke.
    fn answer(
        self: &Arc<Self>,
        turn: Turn,
        answered: Option<Answered>,
        who: (String, String),
    ) -> Option<Value> {
        if lock(&self.at_home).get(&who).is_some() {
            self.show_home(who.0, who.1);
        }
        let is_form = turn.back.view.is_some();
        match answered {
            Some(Answered::Now(Reply::Form(form))) if is_form => self.ask_on(&turn, &form),
            Some(Answered::Now(Reply::Form(form))) => {
                self.ask(turn, form);
                None
            }
            Some(Answered::Now(Reply::Private(message))) => {
                if turn.is_new {
                    self.whisper(turn.whisper, message);
                }
                is_form.then(clear)
            }
            Some(Answered::Later) => is_form.then(clear),
            None => {
                error!("what somebody did in Slack could not be heard");
                self.whisper(turn.whisper, broken());
                is_form.then(clear)
            }
        }
    }

    /// In the view that is open: beside its fields where that can be, else in its place.
    fn ask_on(self: &Arc<Self>, turn: &Turn, form: &Form) -> Option<Value> {
        let shown = turn.back.view.as_ref()?;
        if let Some(errors) = render::errors(form, shown) {
            return Some(errors);
        }
        match render::view(form, &turn.origin()) {
            Some(view) => Some(json!({"response_action": "update", "view": view})),
            None => {
                self.whisper(turn.whisper.clone(), typed(form, &self.slack.settings.slash));
                Some(clear())
            }
        }
    }

    /// In a dialog, which Slack opens only for a moment after a press or a command.
    fn ask(self: &Arc<Self>, turn: Turn, form: Form) {
        let me = Arc::clone(self);
        self.tasks.spawn(async move {
            let slash = &me.slack.settings.slash;
            let message = match me.open(&turn, &form).await {
                Opened::Shown => return,
                Opened::Never => typed(&form, slash),
                Opened::TooLate => again(&form, slash, "Slack did not open the dialog in time."),
                Opened::NoPress => again(&form, slash, "A dialog opens at the press of a button."),
            };
            me.say_to_one(&turn.whisper, &message).await;
        });
    }

    async fn open(&self, turn: &Turn, form: &Form) -> Opened {
        let Some(view) = render::view(form, &turn.origin()) else { return Opened::Never };
        let Some(trigger) = &turn.back.trigger else { return Opened::NoPress };
        let body = json!({"trigger_id": trigger, "view": view});
        match self.slack.api.call("views.open", &body).await {
            Ok(_) => Opened::Shown,
            Err(fault) => {
                warn!("{}", fault.failure("A dialog was not opened", Twice::Harmful));
                Opened::TooLate
            }
        }
    }

    fn whisper(self: &Arc<Self>, to: Whisper, message: Message) {
        let me = Arc::clone(self);
        self.tasks.spawn(async move { me.say_to_one(&to, &message).await });
    }

    /// Again, for a while, if Slack asks us to wait or cannot be reached, since somebody looks at the
    /// screen. Whoever stops us waits for no better moment.
    async fn say_to_one(&self, to: &Whisper, message: &Message) {
        let end = Instant::now() + BREATH;
        let lost = loop {
            let (wait, why) = match self.slack.answer_one(to, message).await {
                Ok(()) => return,
                Err(Failure::Transient { retry_after, why }) => {
                    (retry_after.unwrap_or(Duration::from_secs(1)), why)
                }
                Err(why) => break why.to_string(),
            };
            let rest = tokio::time::sleep(wait);
            let in_time = Instant::now() + wait <= end;
            if !in_time || self.ending.run_until_cancelled(rest).await.is_none() {
                break why;
            }
        };
        warn!(user = to.user, "an answer in Slack is lost: {lost}");
    }

    fn show_home(self: &Arc<Self>, tenant: String, user: String) {
        let me = Arc::clone(self);
        self.tasks.spawn(async move {
            let message = me.ear.home("slack", &tenant, &user).await;
            let published = match render::home(&message) {
                Ok(view) => {
                    let body = json!({"user_id": user, "view": view});
                    let published = me.slack.api.call("views.publish", &body).await;
                    published
                        .map(|_| ())
                        .map_err(|fault| fault.failure("A home tab was not shown", Twice::Harmless))
                }
                Err(why) => Err(why),
            };
            if let Err(why) = published {
                warn!(user, "{why}");
            }
        });
    }
}

/// One thing that somebody did, and how it can be answered.
struct Turn {
    whisper: Whisper,
    back: Back,
    is_new: bool,
}

impl Turn {
    fn origin(&self) -> Origin {
        Origin { channel: self.whisper.channel.clone(), handle: self.whisper.handle.clone() }
    }
}

enum Opened {
    Shown,
    /// The form does not fit into a dialog.
    Never,
    TooLate,
    /// Nothing was pressed that Slack would open one for.
    NoPress,
}

fn whisper_to(heard: &Heard) -> Whisper {
    Whisper {
        user: heard.user.clone(),
        channel: heard.channel.clone(),
        handle: heard.handle.clone(),
    }
}

/// Closes the dialog.
fn clear() -> Value {
    json!({"response_action": "clear"})
}

// ---------------------------------------------------------------------------------------------
// The few sentences that only Slack needs

fn said(tone: Tone, inlines: Vec<Inline>) -> Message {
    Message { tone, body: vec![Block::Paragraph(inlines)], ..Message::default() }
}

fn words(text: &str) -> Inline {
    Inline::Text(text.to_owned())
}

fn broken() -> Message {
    said(
        Tone::Bad,
        vec![words("That was not done: something broke on my side. Please try again in a moment.")],
    )
}

fn not_yet() -> Message {
    said(
        Tone::Warning,
        vec![
            words("I have heard that, and it does not count yet: "),
            words("my disk is slow, and nothing is done before it is on record. "),
            words("I tell you when it is. If I do not within a minute, please do it again."),
        ],
    )
}

fn unclear(slash: &str) -> Message {
    let help = Inline::Code(format!("{slash} help"));
    said(
        Tone::Warning,
        vec![
            words("I do not understand that press: its button is not one of mine, or is from a "),
            words("version that I am not. Nothing was done. "),
            help,
            words(" shows what can be typed."),
        ],
    )
}

fn typed(form: &Form, slash: &str) -> Message {
    let command = Inline::Code(format!("{slash} {}", form.command));
    let lead = Inline::Strong(vec![words(&form.title)]);
    said(
        Tone::Warning,
        vec![lead, words(" needs more to be said than a dialog holds. Type "), command],
    )
}

fn again(form: &Form, slash: &str, why: &str) -> Message {
    let command = Inline::Code(format!("{slash} {}", form.command));
    let mut message = said(
        Tone::Warning,
        vec![
            Inline::Strong(vec![words(&form.title)]),
            words(&format!(": {why} Press below, or type ")),
            command,
        ],
    );
    let button =
        Button { label: form.title.clone(), command: form.command.clone(), style: Style::Primary };
    message.buttons = vec![vec![button]];
    message
}
