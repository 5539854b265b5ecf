//! One effect, one call to one neighbour.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::{error, info, warn};

use super::lane::{BEFORE_LOOKING, UNTIL_LET_IN, chance, pause};
use super::{CARD_PACE, Delivery, Job, SHOWN_LINES, lane_of};
use crate::app::conversation::tell_apart;
use crate::app::grammar::Paper;
use crate::app::{cards, gallery, markup, notices, reads};
use crate::domain::command::{Command, RunEnd, RunOutcome};
use crate::domain::effect::{self, Call, Effect, RoomWish, Target};
use crate::domain::flag;
use crate::domain::gate::{self, Word};
use crate::domain::ids::{FlagId, ReleaseId, RunId};
use crate::domain::notice::{Notice, NoticeKind};
use crate::domain::policy::RoomHome;
use crate::domain::registry;
use crate::domain::state::{Card, CardKind, Posted, Room};
use crate::ports::{
    self, Chat, Failure, GateWord, Letter, MessageRef, Outcome, Place, Ran, Receipt, Reception,
    Run, Sighting,
};
use crate::store::{self, Waiting, Which};

/// What came of a try.
pub(super) enum Done {
    /// It is done; what is to be recorded of it.
    Settled(Option<Command>),
    Failed(Failure),
    /// We are stopping: it is looked after at the next start.
    Interrupted,
}

impl From<Result<Option<Command>, Failure>> for Done {
    fn from(tried: Result<Option<Command>, Failure>) -> Self {
        match tried {
            Ok(outcome) => Self::Settled(outcome),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// As much of what was said as the log keeps.
const KEPT_TEXT: usize = 4_000;
/// A card that cannot be written is tried again as if it had failed so often: after 4 to 8 s.
const CARD_TRIES: u32 = 4;
/// Between two looks at a run that outlived us.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Delivery {
    pub(super) async fn perform(&self, waiting: &Waiting, effect: &Effect) -> Done {
        match effect {
            Effect::Say { to, notice } => self.say(waiting, to, notice).await.into(),
            Effect::Pin { posted, .. } => self.pin(posted).await.into(),
            Effect::OpenRoom { release, home, wish } => {
                self.open_room(release, home, wish).await.into()
            }
            Effect::Archive { release, platform, channel } => {
                // What was seen belongs into the room that is kept, however slow its upload is.
                match self.runs_dry(&effect::pictures(platform, channel)).await {
                    true => self.archive(release, platform, channel).await.into(),
                    false => Done::Interrupted,
                }
            }
            Effect::Run { release, run, call } => self.run(release, run, call).await,
            Effect::Look { release, run, call } => self.look_after(release, run, call).await,
            Effect::Stop { release, run, call } => self.stop(release, run, call).await.into(),
            Effect::Flag { flag, nth, call, stops } => self.flag(flag, *nth, call, stops).await,
            Effect::AnswerGate { waiting: asked, word, text, .. } => {
                self.answer_gate(waiting, asked, *word, text).await.into()
            }
            Effect::Refresh { .. } => Done::Settled(None),
        }
    }

    /// After a crash or an unknown outcome: what may have happened is looked for before it is
    /// repeated. A deploy is never repeated blindly.
    pub(super) async fn look(&self, waiting: &Waiting, effect: &Effect) -> Done {
        match effect {
            Effect::Say { to: Target::Channel { platform, channel }, notice } => {
                let place = Place::Channel(channel.clone());
                self.find_or_say(waiting, platform, &place, effect, notice).await
            }
            Effect::Say { to: Target::Person { account, .. }, notice } => {
                let place = Place::Person(account.user.clone());
                self.find_or_say(waiting, &account.platform, &place, effect, notice).await
            }
            // A letter cannot be looked for: where the receiver may not know it, nobody can tell.
            Effect::Say { to: Target::Courier { .. }, .. } if !self.may_look(effect) => {
                let why = "it was being sent when I stopped, and a letter cannot be looked for";
                Done::Failed(Failure::unknown(why))
            }
            // The receiver knows the id: the same one again is harmless.
            Effect::Say { to: Target::Courier { .. }, .. }
            | Effect::Pin { .. }
            | Effect::OpenRoom { .. }
            | Effect::Archive { .. }
            | Effect::Stop { .. }
            | Effect::Refresh { .. } => self.perform(waiting, effect).await,
            // How things stand is said once or not at all: nobody waits for it.
            Effect::AnswerGate { word: Word::Comment, .. } => Done::Settled(None),
            // The same decision again decides nothing new.
            Effect::AnswerGate { .. } => self.perform(waiting, effect).await,
            Effect::Run { release, run, call } | Effect::Look { release, run, call } => {
                self.look_after(release, run, call).await
            }
            Effect::Flag { flag, nth, call, stops } => {
                self.look_after_flag(flag, *nth, call, stops).await
            }
        }
    }

    /// Whether an unknown outcome is cleared up by looking, or by trying again under the same key.
    pub(super) fn may_look(&self, effect: &Effect) -> bool {
        let Effect::Say { to: Target::Courier { kind, .. }, .. } = effect else { return true };
        let couriers = &self.0.world.neighbours().couriers;
        // Of a kind that is gone it is said that nobody takes it.
        couriers.get(kind).is_none_or(|courier| courier.drops_repeats())
    }

    async fn find_or_say(
        &self,
        waiting: &Waiting,
        platform: &str,
        place: &Place,
        effect: &Effect,
        notice: &Notice,
    ) -> Done {
        let chat = match self.chat(platform) {
            Ok(chat) => chat,
            Err(failure) => return Done::Failed(failure),
        };
        match self.found(&*chat, place, &waiting.key).await {
            Ok(Some(found)) => {
                let message = self.render(waiting, platform, Some(place), notice).await;
                match chat.carry_on(&found, &waiting.key, &message).await {
                    Ok(()) => {
                        let text = markup::plain(&message.body);
                        Done::Settled(posted_command(notice, platform, &found, text))
                    }
                    Err(failure) => Done::Failed(failure),
                }
            }
            // It may have been there to be found, had we waited: the next start looks again.
            Ok(None) if self.0.stop.is_cancelled() => Done::Interrupted,
            Ok(None) => self.perform(waiting, effect).await,
            Err(failure) => Done::Failed(failure),
        }
    }

    /// Not found twice, further apart than the platform's lag, is not there.
    async fn found(
        &self,
        chat: &dyn Chat,
        place: &Place,
        key: &str,
    ) -> Result<Option<MessageRef>, Failure> {
        let first = chat.find(place, key).await?;
        let lag = chat.lag();
        if first.is_some() || lag.is_zero() {
            return Ok(first);
        }
        self.wait(lag).await;
        chat.find(place, key).await
    }

    fn chat(&self, platform: &str) -> Result<Arc<dyn Chat>, Failure> {
        let chats = &self.0.world.neighbours().chats;
        chats
            .get(platform)
            .cloned()
            .ok_or_else(|| Failure::permanent(format!("the platform {platform} is not connected")))
    }

    async fn say(
        &self,
        waiting: &Waiting,
        to: &Target,
        notice: &Notice,
    ) -> Result<Option<Command>, Failure> {
        let (platform, place) = match to {
            Target::Channel { platform, channel } => {
                (platform.as_str(), Place::Channel(channel.clone()))
            }
            Target::Person { account, .. } => {
                (account.platform.as_str(), Place::Person(account.user.clone()))
            }
            Target::Courier { kind, name } => {
                return self.send(waiting, kind, name, notice).await;
            }
        };
        let message = self.render(waiting, platform, Some(&place), notice).await;
        let found = self.chat(platform)?.post(&place, &waiting.key, &message).await?;
        Ok(posted_command(notice, platform, &found, markup::plain(&message.body)))
    }

    async fn send(
        &self,
        waiting: &Waiting,
        kind: &str,
        name: &str,
        notice: &Notice,
    ) -> Result<Option<Command>, Failure> {
        let couriers = &self.0.world.neighbours().couriers;
        let courier = couriers
            .get(kind)
            .ok_or_else(|| Failure::permanent(format!("nobody takes messages to {kind}:{name}")))?;
        let message = self.render(waiting, kind, None, notice).await;
        let letter = Letter {
            kind: notices::template(&notice.kind).trim_end_matches(".md").to_owned(),
            subject: markup::lead(&message.body),
            text: markup::plain(&message.body),
            body: message.body,
        };
        match courier.send(name, &waiting.key, &letter).await? {
            Receipt::Whole => Ok(None),
            Receipt::Partly { why } => {
                warn!(effect.key = %waiting.key, "{kind}:{name} was reached in part: {why}");
                Ok(partly_posted(notice, format!("{kind}:{name}"), why))
            }
        }
    }

    async fn render(
        &self,
        waiting: &Waiting,
        platform: &str,
        place: Option<&Place>,
        notice: &Notice,
    ) -> ports::Message {
        let head = match is_its_room(notice, platform, place) {
            true => self.head_at(waiting.seq).await,
            false => None,
        };
        let mut message = notices::render(&self.0.messages, notice, &self.scene(platform, head));
        if let (NoticeKind::Report, Some(brief)) = (&notice.kind, &notice.brief) {
            let (body, file) = self.report(&brief.release, waiting.seq).await;
            message.body.extend(body);
            message.files.extend(file);
        }
        if let (NoticeKind::Pictures { .. }, Some(brief)) = (&notice.kind, &notice.brief) {
            message.pictures = self.pictures(&brief.release, waiting.seq).await;
        }
        if let Some(brief) = &notice.brief {
            let prefix = self.scene(platform, None).prefix;
            tell_apart(&mut message, prefix, &self.0.engine.state(), &brief.release);
        }
        self.0.world.neighbours().people.name(&mut message).await;
        message
    }

    /// The log up to the event that asked for something, so that a second try says the same.
    async fn entries(&self, id: &ReleaseId, seq: u64) -> Vec<store::Entry> {
        let which = Which { release: Some(id.to_string()), last: Some(seq), ..Which::default() };
        self.0.engine.store().reader().entries(&which).await.unwrap_or_default()
    }

    /// Without them the words are said all the same.
    async fn pictures(&self, id: &ReleaseId, seq: u64) -> Vec<ports::Picture> {
        let entries = self.entries(id, seq).await;
        let Ok(Some(release)) = self.0.engine.release(id).await else { return Vec::new() };
        let charts = {
            let state = self.0.engine.state();
            gallery::charts(&release, state.house.policy(), &entries, seq)
        };
        let drawn = tokio::task::spawn_blocking(|| gallery::draw(charts));
        drawn.await.unwrap_or_default()
    }

    async fn report(&self, id: &ReleaseId, seq: u64) -> (Vec<ports::Block>, Option<ports::File>) {
        let entries = self.entries(id, seq).await;
        let Ok(Some(release)) = self.0.engine.release(id).await else {
            return (Vec::new(), None);
        };
        let house = self.0.engine.state().house.clone();
        let version = release.plan.release.version.clone();
        let (mut body, file) = reads::said(release, house, Paper::Report, entries).await;
        if let Some(file) = &file {
            let command = format!("tminus document {} {version}", Paper::Report.name());
            let cut = json!({"file": file.name, "command": command});
            body.extend(markup::parse(&self.0.messages.render("answer-cut.md", &cut)));
        }
        (body, file)
    }

    fn scene<'a>(&'a self, platform: &'a str, head: Option<String>) -> notices::Scene<'a> {
        let state = self.0.engine.state();
        let tenant = self.0.tenants.get(platform).map_or("", String::as_str);
        notices::Scene {
            platform,
            tenant,
            now: self.0.engine.clock().now(),
            zone: state.house.policy().zone,
            head,
            prefix: self.0.prefixes.get(platform).map_or("/release", String::as_str),
        }
    }

    /// The witness of the event that an effect came from.
    async fn head_at(&self, seq: u64) -> Option<String> {
        let which = Which { first: Some(seq), last: Some(seq), ..Which::default() };
        let entries = self.0.engine.store().reader().entries(&which).await.ok()?;
        let entry = entries.first()?;
        Some(crate::store::Head { seq: entry.seq, hash: entry.hash }.to_string())
    }

    async fn answer_gate(
        &self,
        waiting: &Waiting,
        asked: &gate::Waiting,
        word: Word,
        text: &str,
    ) -> Result<Option<Command>, Failure> {
        let gates = &self.0.world.neighbours().gates;
        let keeper = gates
            .get(&asked.gate)
            .ok_or_else(|| Failure::permanent(format!("{} is not connected", asked.gate)))?;
        let said = GateWord {
            place: asked.place.clone(),
            run: asked.run,
            environment: asked.environment.clone(),
            installation: asked.installation,
            go: match word {
                Word::Approved => Some(true),
                Word::Rejected => Some(false),
                Word::Comment => None,
            },
            text: text.to_owned(),
        };
        // What we may have said before has arrived, if nothing waits for it any more.
        let is_again = waiting.state == store::Delivery::Trying || waiting.tries > 0;
        match (keeper.tell(&said).await, word) {
            (Ok(Reception::Taken), Word::Approved | Word::Rejected | Word::Comment) => Ok(None),
            (Ok(Reception::NobodyWaits(why)), Word::Approved | Word::Rejected) if !is_again => {
                Err(Failure::permanent(why))
            }
            (Ok(Reception::NobodyWaits(why)), Word::Approved | Word::Rejected | Word::Comment) => {
                info!(effect.key = %waiting.key, "it is decided already: {why}");
                Ok(None)
            }
            (Err(Failure::Unknown { why } | Failure::Permanent { why }), Word::Comment) => {
                warn!(effect.key = %waiting.key, "a comment may not have arrived: {why}");
                Ok(None)
            }
            (Err(failure), Word::Approved | Word::Rejected | Word::Comment) => Err(failure),
        }
    }

    async fn pin(&self, posted: &Posted) -> Result<Option<Command>, Failure> {
        let at = MessageRef { channel: posted.channel.clone(), message: posted.message.clone() };
        self.chat(&posted.platform)?.pin(&at).await.map(|()| None)
    }

    async fn open_room(
        &self,
        release: &ReleaseId,
        home: &RoomHome,
        wish: &RoomWish,
    ) -> Result<Option<Command>, Failure> {
        let wanted = ports::RoomWish {
            key: format!("room/{release}"),
            name: wish.name.clone(),
            topic: wish.topic.clone(),
            purpose: wish.purpose.clone(),
            members: wish.members.iter().map(|account| account.user.clone()).collect(),
            groups: wish.groups.iter().map(|group| group.user.clone()).collect(),
            near: wish.near.clone(),
            links: wish.links.clone(),
        };
        let opened = self.chat(&home.platform)?.open_room(&wanted).await?;
        let platform = home.platform.clone();
        let ports::Room { channel, name, instead } = opened;
        let room = Room { platform, channel, name, instead };
        Ok(Some(Command::RoomOpened { release: release.clone(), room }))
    }

    /// What the room shows for ever is how it ended.
    async fn archive(
        &self,
        release: &ReleaseId,
        platform: &str,
        channel: &str,
    ) -> Result<Option<Command>, Failure> {
        let there = |card: &&Card| card.platform == platform && card.channel == channel;
        let cards: Vec<Card> = {
            let state = self.0.engine.state();
            let release = state.releases.get(release);
            let cards = release.into_iter().flat_map(|release| release.cards.keys());
            cards.filter(there).cloned().collect()
        };
        for card in cards {
            self.card_at_once(card).await;
        }
        self.chat(platform)?.archive(channel).await.map(|()| None)
    }

    // -----------------------------------------------------------------------------------------
    // Runs

    async fn run(&self, release: &ReleaseId, id: &RunId, call: &Call) -> Done {
        let seen = |line: &str| self.heard(release, id, line);
        let end = match self.run_to_its_end(id, call, &seen).await {
            Ok(end) => end,
            Err(done) => return done,
        };
        self.forget(id);
        Done::Settled(Some(Command::Ended { release: release.clone(), run: id.clone(), end }))
    }

    async fn run_to_its_end(
        &self,
        id: &RunId,
        call: &Call,
        seen: &ports::Line<'_>,
    ) -> Result<RunEnd, Done> {
        if self.is_killed(id, call) {
            return Ok(RunEnd::without_output(RunOutcome::Stopped));
        }
        let tried = tokio::select! {
            tried = self.try_to_run(id, call, seen) => tried,
            () = self.0.stop.cancelled() => return Err(Done::Interrupted),
        };
        match tried {
            Ok(ran) => Ok(end_of(ran)),
            // It did not happen: as good as failed, and safe to try again by hand.
            Err(Failure::Permanent { why }) => Ok(RunEnd::without_output(RunOutcome::Failed(why))),
            Err(Failure::Unknown { why }) => Ok(RunEnd::without_output(RunOutcome::Unknown(why))),
            Err(failure @ (Failure::Transient { .. } | Failure::NoEntry { .. })) => {
                Err(Done::Failed(failure))
            }
        }
    }

    /// A flag that was killed while it was being opened is killed once more: nobody can tell which
    /// of the two calls its provider heard last.
    async fn try_to_run(
        &self,
        id: &RunId,
        call: &Call,
        seen: &ports::Line<'_>,
    ) -> Result<Ran, Failure> {
        let deployer = &self.0.world.neighbours().deployer;
        let run = run_of(id, call);
        let ran = deployer.run(&run, seen).await?;
        if !self.is_killed(id, call) {
            return Ok(ran);
        }
        let with = call.with.iter().filter(|(name, _)| *name != "percent");
        let with = with.map(|(name, value)| (name.clone(), value.clone())).collect();
        let limit = Duration::from_millis(call.limit_ms);
        deployer.run(&Run { action: flag::KILL.to_owned(), with, limit, ..run }, seen).await?;
        Ok(Ran { outcome: Outcome::Stopped, ..ran })
    }

    /// Whether the kill switch of the flag that it opens was thrown since it was asked for.
    fn is_killed(&self, id: &RunId, call: &Call) -> bool {
        let opens = call.action.as_str() == flag::SET;
        let flag = registry::changed_by(call.action.as_str(), &call.with).filter(|_| opens);
        let state = self.0.engine.state();
        let Some(record) = flag.and_then(|flag| state.house.flags.get(&flag)) else { return false };
        let mut releases = record.releases.iter().filter_map(|release| state.releases.get(release));
        let run = releases.find_map(|release| release.runs.iter().find(|run| run.id == *id));
        record.is_killed_since(id, run.map(|run| run.began))
    }

    /// What opens it is stopped first.
    async fn flag(&self, flag: &FlagId, nth: u32, call: &Call, stops: &[(RunId, Call)]) -> Done {
        self.stop_all(stops).await;
        let id = registry::run_id(flag, nth);
        match self.run_to_its_end(&id, call, &|_| {}).await {
            Ok(end) => Done::Settled(Some(Command::FlagChanged { flag: flag.clone(), nth, end })),
            Err(done) => done,
        }
    }

    /// A change that a crash left behind may be done again; what is so already is found to be so.
    async fn look_after_flag(
        &self,
        flag: &FlagId,
        nth: u32,
        call: &Call,
        stops: &[(RunId, Call)],
    ) -> Done {
        self.stop_all(stops).await;
        let id = registry::run_id(flag, nth);
        let deployer = &self.0.world.neighbours().deployer;
        match deployer.look(&run_of(&id, call)).await {
            Ok(Sighting::Ended(ran)) if !self.is_killed(&id, call) => {
                let end = end_of(ran);
                Done::Settled(Some(Command::FlagChanged { flag: flag.clone(), nth, end }))
            }
            Ok(_) | Err(_) => self.flag(flag, nth, call, &[]).await,
        }
    }

    async fn stop_all(&self, stops: &[(RunId, Call)]) {
        for (id, call) in stops {
            if let Err(failure) = self.0.world.neighbours().deployer.stop(&run_of(id, call)).await {
                warn!(run.id = %id, %failure, "run `{id}` cannot be stopped: {failure}");
            }
        }
    }

    /// A run that a crash left behind: one that lives is running, one that ended may say how.
    async fn look_after(&self, release: &ReleaseId, id: &RunId, call: &Call) -> Done {
        let run = run_of(id, call);
        loop {
            if self.0.stop.is_cancelled() {
                return Done::Interrupted;
            }
            let end = match self.0.world.neighbours().deployer.look(&run).await {
                Ok(Sighting::Running) => {
                    self.wait(LOOK_AGAIN).await;
                    continue;
                }
                Ok(Sighting::Ended(ran)) => end_of(ran),
                Ok(Sighting::NeverBegan) => return self.run(release, id, call).await,
                Ok(Sighting::Unknown(_)) if self.was_stopped(id) => {
                    RunEnd::without_output(RunOutcome::Stopped)
                }
                Ok(Sighting::Unknown(_)) if call.repeat_safe => {
                    return self.run(release, id, call).await;
                }
                Ok(Sighting::Unknown(why)) => RunEnd::without_output(RunOutcome::Unknown(why)),
                Err(failure) => RunEnd::without_output(RunOutcome::Unknown(failure.to_string())),
            };
            let (release, run) = (release.clone(), id.clone());
            return Done::Settled(Some(Command::Ended { release, run, end }));
        }
    }

    async fn stop(
        &self,
        release: &ReleaseId,
        id: &RunId,
        call: &Call,
    ) -> Result<Option<Command>, Failure> {
        self.0.stopped.lock().expect("never held in a panic").push(id.clone());
        match self.0.world.neighbours().deployer.stop(&run_of(id, call)).await {
            Ok(()) => Ok(None),
            // What cannot be stopped never blocks a rollback: its outcome is unknown from now on.
            Err(failure) => {
                warn!(run.id = %id, %failure, "run `{id}` cannot be stopped: {failure}");
                let why = format!("it could not be stopped: {failure}");
                let end = RunEnd::without_output(RunOutcome::Unknown(why));
                Ok(Some(Command::Ended { release: release.clone(), run: id.clone(), end }))
            }
        }
    }

    fn was_stopped(&self, id: &RunId) -> bool {
        self.0.stopped.lock().expect("never held in a panic").contains(id)
    }

    /// A line of output: kept for the card, outside the log.
    fn heard(&self, release: &ReleaseId, id: &RunId, line: &str) {
        {
            let mut output = self.0.output.lock().expect("never held in a panic");
            let lines = output.entry(id.clone()).or_default();
            if lines.len() == SHOWN_LINES {
                lines.pop_front();
            }
            lines.push_back(line.to_owned());
        }
        let state = self.0.engine.state();
        let Some(release) = state.releases.get(release) else { return };
        let kind = CardKind::Run(id.clone());
        let cards: Vec<Card> =
            release.cards.keys().filter(|card| card.kind == kind).cloned().collect();
        drop(state);
        cards.into_iter().for_each(|card| self.refresh(card));
    }

    /// The end of the run carries the tail; the lines were only for watching.
    fn forget(&self, id: &RunId) {
        self.0.output.lock().expect("never held in a panic").remove(id);
    }

    fn lines(&self, card: &Card) -> Option<Vec<String>> {
        let CardKind::Run(id) = &card.kind else { return None };
        let output = self.0.output.lock().expect("never held in a panic");
        output.get(id).map(|lines: &VecDeque<String>| lines.iter().cloned().collect())
    }

    // -----------------------------------------------------------------------------------------
    // Cards

    /// Rendered from the committed state, written at most once a second and only when it changed.
    pub(super) async fn card(&self, card: Card) {
        let since = {
            let cards = self.0.cards.lock().expect("never held in a panic");
            cards.get(&card).and_then(|known| known.at).map(|at| at.elapsed())
        };
        if let Some(since) = since.filter(|since| *since < CARD_PACE && self.0.world.waits()) {
            return self.later(card, CARD_PACE - since);
        }
        self.card_at_once(card).await;
    }

    async fn card_at_once(&self, card: Card) {
        let (message, seq, posted, archived) = {
            let scene = self.scene(&card.platform, None);
            let lines = self.lines(&card);
            let (state, head) = self.0.engine.still();
            let message = cards::render(&self.0.messages, &state, &card, lines.as_deref(), &scene);
            let release = state.releases.get(&card.release);
            let posted = release.and_then(|release| release.cards.get(&card).cloned());
            let archived = release.is_some_and(|release| release.room.closed);
            (message, head.seq, posted, archived)
        };
        let message = match message {
            Some(mut message) => {
                self.0.world.neighbours().people.name(&mut message).await;
                Some(message)
            }
            None => None,
        };
        if let Some(message) = message
            && let Err(failure) = self.write_card(&card, &message, posted).await
        {
            // An archived room is read, not written; nobody has to mend that.
            if !archived {
                let (platform, channel) = (&card.platform, &card.channel);
                warn!(%failure, "the card in {platform}/{channel} is behind: {failure}");
            }
            match failure {
                Failure::Transient { retry_after, .. } => {
                    return self.later(card, pause(CARD_TRIES, retry_after, chance()));
                }
                Failure::NoEntry { why } => {
                    self.is_shut_out(&lane_of(&card), Some(why));
                    return self.later(card, pause(CARD_TRIES, Some(UNTIL_LET_IN), chance()));
                }
                // It may stand there and be unknown to the log: then it is found.
                Failure::Unknown { .. } => return self.later(card, BEFORE_LOOKING),
                Failure::Permanent { .. } => {}
            }
        }
        self.is_shut_out(&lane_of(&card), None);
        let key = serde_json::to_string(&card).expect("a card is plain data");
        if let Err(why) = self.0.engine.store().card_written(&key, seq).await {
            error!(%why, "the card cannot be marked as written: {why}");
            self.later(card, pause(CARD_TRIES, None, chance()));
        }
    }

    async fn write_card(
        &self,
        card: &Card,
        message: &ports::Message,
        posted: Option<Posted>,
    ) -> Result<(), Failure> {
        let same = {
            let cards = self.0.cards.lock().expect("never held in a panic");
            cards.get(card).is_some_and(|known| known.written.as_ref() == Some(message))
        };
        if same {
            return Ok(());
        }
        let chat = self.chat(&card.platform)?;
        let edited = match &posted {
            Some(at) => {
                let at = MessageRef { channel: at.channel.clone(), message: at.message.clone() };
                match chat.edit(&at, message).await {
                    // It is gone, or too old to edit: post anew.
                    Err(Failure::Permanent { .. }) => false,
                    other => other.map(|()| true)?,
                }
            }
            None => false,
        };
        if !edited {
            self.post_card(card, message, chat, posted.is_some()).await?;
        }
        let mut cards = self.0.cards.lock().expect("never held in a panic");
        let known = cards.entry(card.clone()).or_default();
        known.written = Some(message.clone());
        known.at = Some(Instant::now());
        Ok(())
    }

    async fn post_card(
        &self,
        card: &Card,
        message: &ports::Message,
        chat: Arc<dyn Chat>,
        anew: bool,
    ) -> Result<(), Failure> {
        let seq = self.0.engine.store().head().seq;
        let name = serde_json::to_string(card).expect("a card is plain data");
        let key = if anew { format!("card/{seq}/{name}") } else { format!("card/{name}") };
        let place = Place::Channel(card.channel.clone());
        let found = match chat.find(&place, &key).await? {
            Some(found) => {
                chat.edit(&found, message).await?;
                found
            }
            None => chat.post(&place, &key, message).await?,
        };
        let posted = Posted {
            platform: card.platform.clone(),
            channel: found.channel,
            message: found.message,
        };
        let command = Command::Posted {
            release: card.release.clone(),
            card: Some(card.clone()),
            posted,
            text: String::new(),
        };
        if let Err(lost) = self.0.engine.settle(&format!("{key}/{seq}"), Some(command)).await {
            return Err(Failure::transient(lost.to_string()));
        }
        Ok(())
    }

    /// Once more, when the pace allows.
    fn later(&self, card: Card, pause: Duration) {
        let delivery = self.clone();
        self.0.tasks.spawn(async move {
            delivery.wait(pause).await;
            if !delivery.0.stop.is_cancelled() {
                delivery.push(lane_of(&card), Job::Card(card));
            }
        });
    }
}

/// What is recorded of a message: where it is and what it said. Whole-house notices have no release
/// to record it with.
fn posted_command(
    notice: &Notice,
    platform: &str,
    found: &MessageRef,
    text: String,
) -> Option<Command> {
    let release = notice.brief.as_ref()?.release.clone();
    let posted = Posted {
        platform: platform.to_owned(),
        channel: found.channel.clone(),
        message: found.message.clone(),
    };
    let text = text.chars().take(KEPT_TEXT).collect();
    Some(Command::Posted { release, card: None, posted, text })
}

/// The log's head is for those who keep the release's record, where it is talked about.
fn is_its_room(notice: &Notice, platform: &str, place: Option<&Place>) -> bool {
    let rooms = notice.brief.iter().flat_map(|brief| &brief.rooms);
    let mut here = rooms.filter(|room| room.platform == platform);
    matches!(place, Some(Place::Channel(id)) if here.any(|room| room.channel == *id))
}

/// What the captain is told of a letter that not everybody got.
fn partly_posted(notice: &Notice, to: String, why: String) -> Option<Command> {
    let release = notice.brief.as_ref()?.release.clone();
    let what = "every copy of a message".to_owned();
    Some(Command::NotPosted { release, to, what, why, unknown: false })
}

fn run_of(id: &RunId, call: &Call) -> Run {
    Run {
        key: id.to_string(),
        action: call.action.to_string(),
        with: call.with.clone(),
        limit: Duration::from_millis(call.limit_ms),
    }
}

fn end_of(ran: Ran) -> RunEnd {
    RunEnd {
        outcome: match ran.outcome {
            Outcome::Worked => RunOutcome::Worked,
            Outcome::Failed(why) => RunOutcome::Failed(why),
            Outcome::TimedOut => RunOutcome::TimedOut,
            Outcome::Stopped => RunOutcome::Stopped,
        },
        tail: ran.tail,
        digest: ran.digest,
        took_ms: u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX),
    }
}
