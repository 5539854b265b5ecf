//! Listens, understands, asks the engine, and answers whoever spoke.
//!
//! **Invariant:** nothing is decided here. A line becomes a command or it does not; whether it may
//! be is the rules' to say. What is answered to a command is rendered from what was committed.

mod answer;
mod complete;
mod find;
mod flags;
mod forms;
mod kept;
mod prefix;
mod say;
mod shelf;
mod short;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tracing::warn;

pub use self::shelf::{NoPlan, PlanShelf, ReadPlan};
pub(in crate::app) use self::short::tell_apart;

use self::answer::After;
use self::find::Room;
use self::forms::as_message;
use self::say::Words;
use self::turn::{Meant, Turn};
use super::engine::{Answer, Engine, Lost};
use super::grammar;
use super::messages::Messages;
use super::people::{Knowledge, People};
use super::reads;
use crate::domain::authority;
use crate::domain::command::{Actor, Request};
use crate::domain::event::Event;
use crate::domain::ids::{Account, ReleaseId};
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::ports::{Answered, Chat, Completion, Ear, Form, Heard, Message, Reply, Said, Tone};
use crate::store::Which;

/// The most that is read of one line or form: no text of ours is longer.
const LONGEST: usize = 6_000;

/// The ear of every platform; cheap to clone.
#[derive(Clone)]
pub struct Conversation {
    engine: Engine,
    shelf: Arc<PlanShelf>,
    messages: Arc<Messages>,
    platforms: Arc<Platforms>,
}

/// Through whom answers go that are not given at once, and who vouches for people.
#[derive(Default)]
pub struct Platforms {
    pub chats: BTreeMap<String, Arc<dyn Chat>>,
    pub people: Arc<People>,
    /// What a command begins with on each, if not with `/release`.
    pub prefixes: BTreeMap<String, String>,
}

/// What somebody said, with who they are.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub id: String,
    pub by: Actor,
    pub platform: String,
    pub channel: Option<String>,
    pub said: Said,
    /// The asker chose the id: it belongs to these words. A platform's id always comes with the same.
    pub keyed: bool,
}

/// Whether the answer says yes: a program's exit status depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// It was done, or what was asked is shown.
    Through,
    /// It was refused, or not understood.
    Refused,
    /// More has to be said first.
    Asked,
    /// It is not recorded, or nobody can tell.
    Lost,
}

impl Conversation {
    pub fn new(
        engine: Engine,
        shelf: PlanShelf,
        messages: Arc<Messages>,
        platforms: Platforms,
    ) -> Self {
        Self { engine, shelf: Arc::new(shelf), messages, platforms: Arc::new(platforms) }
    }

    /// What a command begins with on this platform.
    pub fn prefix(&self, platform: &str) -> &str {
        self.platforms.prefixes.get(platform).map_or(prefix::OURS, String::as_str)
    }

    fn words(&self) -> Words<'_> {
        Words(&self.messages)
    }

    /// As [`Ear::hear`], for people and machines alike, and whether it went through.
    pub async fn answer(&self, spoken: Spoken) -> (Came, Reply) {
        let prefix = self.prefix(&spoken.platform).to_owned();
        let place = (spoken.platform.clone(), spoken.channel.clone());
        let old = self.filed_ones(&spoken.said).await;
        let understood = self.understand(&spoken, old.as_ref());
        let (came, reply) = self.answer_from(spoken, understood, From::Mouth).await;
        let reply = prefix::with(self.named_reply(reply).await, &prefix);
        (came, self.in_short(reply, &place.0, place.1.as_deref()))
    }

    /// As [`answer`](Self::answer), for what waited in the inbox.
    async fn answer_kept(&self, spoken: Spoken) -> (Came, Reply) {
        let (id, prefix) = (spoken.id.clone(), self.prefix(&spoken.platform).to_owned());
        let old = self.filed_ones(&spoken.said).await;
        let understood = self.understand(&spoken, old.as_ref());
        let asks = matches!(understood, Ok(Meant::Ask(_)));
        let (came, reply) = self.answer_from(spoken, understood, From::Inbox).await;
        // A command left the inbox with its events; what changed nothing leaves it now.
        if (!asks || came == Came::Lost)
            && let Err(lost) = self.engine.drop_kept(&id).await
        {
            warn!(request.id = id, "`{id}` stays in the inbox: {lost}");
        }
        (came, prefix::with(reply, &prefix))
    }

    async fn answer_from(
        &self,
        spoken: Spoken,
        understood: Result<Meant, Box<(Came, Reply)>>,
        from: From,
    ) -> (Came, Reply) {
        let words = spoken.keyed.then(|| wording(&spoken.said));
        if let (Some(words), false) = (&words, matches!(understood, Ok(Meant::Ask(_))))
            && self.engine.is_taken(&spoken.id, words).await.unwrap_or(false)
        {
            return self.taken(spoken.id);
        }
        match understood {
            Ok(Meant::Say(message)) => (Came::Through, Reply::Private(message)),
            Ok(Meant::Ask(command)) => {
                let (id, by) = (spoken.id, spoken.by);
                let request = Request { id, by, command: *command };
                self.told(match (words, from) {
                    (Some(words), _) => self.engine.ask_saying(request, &words).await,
                    (None, From::Mouth) => self.engine.ask(request).await,
                    (None, From::Inbox) => self.engine.ask_kept(request).await,
                })
            }
            Ok(Meant::Audit { release, last }) => self.audit(&spoken, release, last).await,
            Ok(Meant::Paper { release, paper }) => self.paper(&release, paper).await,
            Err(stopped) => match self.said_before(&spoken.id).await {
                Some(answer) => self.told(Ok(answer)),
                None => *stopped,
            },
        }
    }

    /// The same id gets the same answer, also if its line would mean something else by now.
    async fn said_before(&self, id: &str) -> Option<Answer> {
        let ids = [id.to_owned()];
        let mut known = self.engine.store().answered(&ids).await.ok()?;
        let entries = known.remove(id).filter(|entries| !entries.is_empty())?;
        let events = entries
            .iter()
            .filter_map(|entry| Some((entry.seq, super::replay::event_of(entry).ok()?)));
        Some(Answer { events: events.collect(), repeated: true })
    }

    /// What changes nothing is not on record; under an id that belongs to other words it is still
    /// refused, since its answer would be taken for that of the first.
    fn taken(&self, id: String) -> (Came, Reply) {
        let (verb, why) = (String::new(), Refusal::IdTaken { id });
        let events = vec![(0, Event::Refused { verb, why })];
        self.told(Ok(Answer { events, repeated: false }))
    }

    fn told(&self, answer: Result<Answer, Lost>) -> (Came, Reply) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(lost) => {
                let message = answer::lost(self.words(), &lost);
                return (Came::Lost, Reply::Private(message));
            }
        };
        let now = self.engine.now();
        // What comes next is published without a copy while this is put into words.
        let state = match answer.events.first().and_then(|(_, event)| event.of_release()) {
            Some((release, _)) => self.engine.state().narrowed(release),
            None => State::clone(&self.engine.state()),
        };
        let policy = state.house.policy();
        let after = After { words: self.words(), state: &state, policy, now };
        let came = if answer::is_refused(&answer.events) { Came::Refused } else { Came::Through };
        (came, Reply::Private(after.message(&answer.events)))
    }

    /// The state with the releases that were filed away and are meant, if any are.
    async fn filed_ones(&self, said: &Said) -> Option<State> {
        let meant = find::filed(&self.engine.state(), &wording(said));
        let mut state = None;
        for id in meant {
            match self.engine.release(&id).await {
                Ok(Some(release)) => {
                    let state = state.get_or_insert_with(|| State::clone(&self.engine.state()));
                    state.releases.insert(id, release);
                }
                Ok(None) => {}
                Err(why) => warn!(release.id = %id, "{id} was not read from the log: {why:#}"),
            }
        }
        state
    }

    /// From memory, without waiting for anything; from the state that is given, where there is one.
    fn understand(
        &self,
        spoken: &Spoken,
        old: Option<&State>,
    ) -> Result<Meant, Box<(Came, Reply)>> {
        match old {
            Some(state) => self.understand_in(spoken, state),
            None => self.understand_in(spoken, &self.engine.state()),
        }
    }

    fn understand_in(&self, spoken: &Spoken, state: &State) -> Result<Meant, Box<(Came, Reply)>> {
        let Some(policy) = state.house.policy.as_deref() else {
            return Err(refused(self.starting()));
        };
        if let Some(length) = too_long(&spoken.said) {
            return Err(refused(self.too_long(length)));
        }
        let meant = self.meaning(spoken, state, policy);
        match (self.stranger(&spoken.by, policy), meant) {
            // The rules refuse it, so that the attempt is on record.
            (Some(_), Ok(Meant::Ask(command))) => Ok(Meant::Ask(command)),
            (Some(stranger), _) => Err(refused(stranger)),
            (None, meant) => meant,
        }
    }

    /// What the words mean, whoever says them.
    fn meaning(
        &self,
        spoken: &Spoken,
        state: &State,
        policy: &Policy,
    ) -> Result<Meant, Box<(Came, Reply)>> {
        let known = |word: &str| grammar::looks_like_a_release(word) || find::is_known(state, word);
        let said = read(&spoken.said, &known)
            .map_err(|wrong| refused(turn::misunderstood(self.words(), &wrong)))?;
        // Not behind the state that we look at.
        let now = self.engine.clock().now();
        let now = state.last_at.map_or(now, |last| last.max(now));
        let turn = Turn {
            words: self.words(),
            shelf: &self.shelf,
            state,
            policy,
            by: &spoken.by,
            now,
            room: Room { platform: &spoken.platform, channel: spoken.channel.as_deref() },
            said: &said,
            is_form: matches!(spoken.said, Said::Submitted { .. }),
        };
        turn.meant().map_err(|reply| Box::new((came_to(&reply), *reply)))
    }

    /// The dialog that these words open, if they do.
    fn form(&self, spoken: &Spoken) -> Option<Form> {
        let state = self.engine.state();
        let policy = state.house.policy.as_deref()?;
        if too_long(&spoken.said).is_some() {
            return None;
        }
        match *self.meaning(spoken, &state, policy).err()? {
            (_, Reply::Form(form)) => Some(form),
            (_, Reply::Private(_)) => None,
        }
    }

    /// For a mouth without dialogs: what would be submitted, as a line to send.
    pub fn as_line(&self, form: &Form, platform: &str, channel: Option<&str>) -> Message {
        let mut message = as_message(form, self.prefix(platform));
        self.shorten(&mut message, platform, channel);
        message
    }

    /// A command as somebody could type it there and now.
    pub fn line_of(&self, command: &str, platform: &str, channel: Option<&str>) -> String {
        let room = Room { platform, channel };
        let line = short::line(command, &self.engine.state(), room);
        format!("{} {line}", self.prefix(platform))
    }

    fn in_short(&self, reply: Reply, platform: &str, channel: Option<&str>) -> Reply {
        match reply {
            Reply::Private(mut message) => {
                self.shorten(&mut message, platform, channel);
                Reply::Private(message)
            }
            Reply::Form(form) => Reply::Form(form),
        }
    }

    fn shorten(&self, message: &mut Message, platform: &str, channel: Option<&str>) {
        let room = Room { platform, channel };
        short::lines_of(message, self.prefix(platform), &self.engine.state(), room);
    }

    async fn named_reply(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Private(message) => Reply::Private(self.named(message).await),
            Reply::Form(form) => Reply::Form(form),
        }
    }

    /// From memory; people whom nobody linked are still called by their accounts.
    fn home_of(&self, platform: &str, by: &Actor) -> Message {
        let now = self.engine.now();
        let state = self.engine.state();
        let Some(policy) = state.house.policy.as_deref() else { return self.starting() };
        if let Some(stranger) = self.stranger(by, policy) {
            return stranger;
        }
        let look = reads::Look { messages: &self.messages, state: &state, policy, now, platform };
        reads::home(&look, by)
    }

    fn starting(&self) -> Message {
        self.words().wrong("I am still starting. Try again in a moment.", None)
    }

    /// What somebody is told whom the policy does not know.
    fn stranger(&self, by: &Actor, policy: &Policy) -> Option<Message> {
        let Actor::Person { account, .. } = by else { return None };
        let why = authority::person(by, policy).err()?;
        if !matches!(why, Refusal::UnknownAccount { .. }) {
            return Some(self.words().wrong(&why.to_string(), None));
        }
        #[derive(Serialize)]
        struct Stranger {
            account: String,
        }
        let stranger = Stranger { account: account.to_string() };
        Some(self.words().message(Tone::Warning, "answer-stranger.md", &stranger))
    }

    /// As far as we know at this moment.
    fn is_of_the_house(&self, account: Account) -> bool {
        let claims = match self.know(&account) {
            Knowledge::Enough(claims) | Knowledge::Aging(claims) => claims,
            Knowledge::TooLittle => return false,
        };
        let state = self.engine.state();
        let Some(policy) = state.house.policy.as_deref() else { return false };
        authority::person(&Actor::Person { account, claims }, policy).is_ok()
    }

    fn too_long(&self, length: usize) -> Message {
        #[derive(Serialize)]
        struct TooLong {
            length: usize,
            limit: usize,
            text: usize,
        }
        let too_long = TooLong { length, limit: LONGEST, text: crate::domain::poll::TEXT_LIMIT };
        self.words().message(Tone::Warning, "answer-too-long.md", &too_long)
    }

    /// Written from the log of one release.
    async fn paper(&self, id: &ReleaseId, paper: grammar::Paper) -> (Came, Reply) {
        let which = Which { release: Some(id.to_string()), ..Which::default() };
        let entries = match self.engine.store().reader().entries(&which).await {
            Ok(entries) => entries,
            Err(why) => {
                let message = self.words().wrong(&why.to_string(), None);
                return (Came::Lost, Reply::Private(message));
            }
        };
        let release = match self.engine.release(id).await {
            Ok(Some(release)) => release,
            Ok(None) => return (Came::Refused, Reply::Private(Message::default())),
            Err(why) => {
                let message = self.words().wrong(&format!("{why:#}"), None);
                return (Came::Lost, Reply::Private(message));
            }
        };
        let house = self.engine.state().house.clone();
        let version = release.plan.release.version.clone();
        let said = reads::said(release, house, paper, entries).await;
        (Came::Through, Reply::Private(self.words().document(said, &version, paper)))
    }

    async fn audit(&self, spoken: &Spoken, release: Option<ReleaseId>, last: u32) -> (Came, Reply) {
        let reader = self.engine.store().reader();
        // Of one release all are read; of everything just the end.
        let first = match release {
            Some(_) => None,
            None => Some(self.engine.store().head().seq.saturating_sub(u64::from(last)) + 1),
        };
        let release = release.map(|id| id.to_string());
        let entries = match reader.entries(&Which { first, release, ..Which::default() }).await {
            Ok(entries) => entries,
            Err(why) => {
                let message = self.words().wrong(&why.to_string(), None);
                return (Came::Lost, Reply::Private(message));
            }
        };
        let from = entries.len().saturating_sub(last as usize);
        let now = self.engine.now();
        let state = self.engine.state();
        let look = reads::Look {
            messages: &self.messages,
            state: &state,
            policy: state.house.policy(),
            now,
            platform: &spoken.platform,
        };
        (Came::Through, Reply::Private(reads::audit(&look, &entries[from..])))
    }
}

/// Whence a request comes.
#[derive(Clone, Copy)]
enum From {
    Mouth,
    Inbox,
}

/// A reply for a mouth without dialogs.
fn message_of(reply: Reply) -> Message {
    match reply {
        Reply::Private(message) => message,
        Reply::Form(form) => as_message(&form, prefix::OURS),
    }
}

/// The release that is meant where nobody can be asked back; else a sentence with what could be.
pub fn release_called(state: &State, said: Option<&str>) -> Result<ReleaseId, String> {
    let nowhere = Room { platform: "", channel: None };
    find::release(state, said, nowhere).map(|release| release.id.clone()).map_err(|unclear| {
        let names = |ids: &[ReleaseId]| {
            let name = |id: &ReleaseId| match state.releases.get(id) {
                Some(release) => short::name(release, state),
                None => id.to_string(),
            };
            let ids: Vec<_> = ids.iter().map(|id| format!("`{}`", name(id))).collect();
            crate::domain::words::or(&ids)
        };
        match unclear {
            find::Unclear::NoneAtAll => "There is no release in this log.".to_owned(),
            find::Unclear::Several(ids) => format!("Which release? Say {}.", names(&ids)),
            find::Unclear::Unknown { said, known } if known.is_empty() => {
                format!("I don't know the release `{said}`; there is none in this log.")
            }
            find::Unclear::Unknown { said, known } => {
                format!("I don't know the release `{said}`. Say {}.", names(&known))
            }
        }
    })
}

/// The words of a request, for telling whether it is the same.
fn wording(said: &Said) -> String {
    match said {
        Said::Line(line) | Said::Pressed(line) => line.clone(),
        Said::Submitted { command, fields } => {
            let fields = fields.iter().map(|(name, value)| format!("\0{name}\0{value}"));
            format!("{command}{}", fields.collect::<String>())
        }
    }
}

fn refused(message: Message) -> Box<(Came, Reply)> {
    Box::new((Came::Refused, Reply::Private(message)))
}

fn came_to(reply: &Reply) -> Came {
    match reply {
        Reply::Private(_) => Came::Refused,
        Reply::Form(_) => Came::Asked,
    }
}

fn too_long(said: &Said) -> Option<usize> {
    let length = match said {
        Said::Line(line) | Said::Pressed(line) => line.chars().count(),
        // A form can hold several texts, each of which is judged by itself.
        Said::Submitted { command, .. } => command.chars().count(),
    };
    (length > LONGEST).then_some(length)
}

fn read(said: &Said, known: &dyn Fn(&str) -> bool) -> Result<grammar::Said, grammar::Wrong> {
    match said {
        Said::Line(line) | Said::Pressed(line) => grammar::read(line, known),
        Said::Submitted { command, fields } => {
            let said = grammar::read(command, known)?;
            let words = grammar::fill(&said.words, fields)?;
            grammar::read(&grammar::line(&words), known)
        }
    }
}

#[async_trait]
impl Ear for Conversation {
    async fn hear(&self, heard: Heard) -> Answered {
        Self::hear(self, heard).await
    }

    fn complete(
        &self,
        (platform, tenant, user): (&str, &str, &str),
        channel: Option<&str>,
        line: &str,
    ) -> Vec<Completion> {
        if !self.is_of_the_house(Account::new(platform, tenant, user)) {
            return Vec::new();
        }
        let state = self.engine.state();
        complete::complete(&state, &self.shelf, Room { platform, channel }, line)
    }

    async fn home(&self, platform: &str, tenant: &str, user: &str) -> Message {
        let account = Account::new(platform, tenant, user);
        let claims = match self.know(&account) {
            Knowledge::Enough(claims) | Knowledge::Aging(claims) => claims,
            Knowledge::TooLittle => self.look_up(&account).await,
        };
        let by = Actor::Person { account, claims };
        // Names are looked up once the state is let go of: that waits for a platform.
        let home = prefix::with(Reply::Private(self.home_of(platform, &by)), self.prefix(platform));
        self.named(message_of(home)).await
    }
}

/// The words of the answers.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("answer-confirm-kill.md", include_str!("../../messages/answer-confirm-kill.md")),
    ("answer-confirm-retry.md", include_str!("../../messages/answer-confirm-retry.md")),
    ("answer-confirm-rollback.md", include_str!("../../messages/answer-confirm-rollback.md")),
    ("answer-cut.md", include_str!("../../messages/answer-cut.md")),
    ("answer-done.md", include_str!("../../messages/answer-done.md")),
    ("answer-form.md", include_str!("../../messages/answer-form.md")),
    ("answer-help-verb.md", include_str!("../../messages/answer-help-verb.md")),
    ("answer-help.md", include_str!("../../messages/answer-help.md")),
    ("answer-lost.md", include_str!("../../messages/answer-lost.md")),
    ("answer-no-release.md", include_str!("../../messages/answer-no-release.md")),
    ("answer-nothing.md", include_str!("../../messages/answer-nothing.md")),
    ("answer-plan-problems.md", include_str!("../../messages/answer-plan-problems.md")),
    ("answer-refused.md", include_str!("../../messages/answer-refused.md")),
    ("answer-stranger.md", include_str!("../../messages/answer-stranger.md")),
    ("answer-too-long.md", include_str!("../../messages/answer-too-long.md")),
    ("answer-unknown-release.md", include_str!("../../messages/answer-unknown-release.md")),
    ("answer-which-release.md", include_str!("../../messages/answer-which-release.md")),
    ("answer-wrong.md", include_str!("../../messages/answer-wrong.md")),
];

/// What the templates are tried on.
pub fn samples() -> Vec<(&'static str, serde_json::Value)> {
    use serde_json::json;
    let mut samples = vec![
        (
            "answer-confirm-kill.md",
            json!({"flag": "new_dashboard", "provider": "local", "purpose": "The new dashboard",
                "share": "open for 25 %", "title": "Web shop v1.3.0"}),
        ),
        (
            "answer-confirm-retry.md",
            json!({"step": "Pod 2", "why": "has an unknown outcome: we were away", "attempt": 1,
                "action": "deploy", "version": "v1.2.0", "stale": true}),
        ),
        (
            "answer-confirm-rollback.md",
            json!({"name": "Web shop production", "from": "v1.2.0", "to": "v1.1.9", "stale": true,
                "steps": ["Pod 3 back"], "kills": ["new_dashboard"], "flags": ["old_menu"], "takes": "2 min",
                "rto": "15 min", "running": true, "database": "stays", "constraints": ["0017"]}),
        ),
        (
            "answer-cut.md",
            json!({"file": "plan-v1.2.0.md", "command": "tminus document plan v1.2.0"}),
        ),
        (
            "answer-form.md",
            json!({"about": "Lift the hold", "depth": "", "problem": "Reason is missing."}),
        ),
        ("answer-lost.md", json!({"why": "It was not recorded."})),
        ("answer-plan-problems.md", json!({"name": "x.toml", "problems": ["line 3: `a`"]})),
        (
            "answer-refused.md",
            json!({"why": "You may not start a release.", "title": "Shop v2", "stands": "done"}),
        ),
        ("answer-stranger.md", json!({"account": "console/local/eve"})),
        ("answer-too-long.md", json!({"length": 10000, "limit": 6000, "text": 1000})),
        ("answer-unknown-release.md", json!({"said": "v9", "known": 1})),
        ("answer-wrong.md", json!({"what": "I don't know `x`.", "example": "/release help"})),
        ("answer-help-verb.md", json!(grammar::Guide::of("rollback"))),
        (
            "answer-help.md",
            json!({"groups": [{"title": "Go back", "verbs": [grammar::Guide::of("rollback")]}]}),
        ),
    ];
    samples.extend(answer::samples().into_iter().map(|sample| ("answer-done.md", sample)));
    samples
}

#[cfg(test)]
mod tests;
