//! Posting once, finding what was posted, editing, pinning, answering one person.
//!
//! What holds: a message carries a `nonce` made of its place and its key, and `enforce_nonce`, so
//! that for some minutes Discord itself answers a repeat with the message that is there. Beyond
//! them, and across a restart, it is looked up in the history by a mark: the address of its embed,
//! which Discord gives back as it was written and no client shows where there is no title. A
//! message's nonce is not in the history, and what is hidden in a text may be dropped tomorrow. The
//! smallest window that is left: somebody deletes the embed of a message whose answer was lost,
//! before it is looked up, after the nonce was forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ApplicationId, ChannelId, MessageId};
use tokio::sync::Semaphore;

use super::api::{Fault, Twice, id, id_at, text};
use super::render::{Attached, Letter};
use super::rooms::Ground;
use super::{Discord, Said, hashed, lock, render};
use crate::ports::{Failure, Message, MessageRef, Place, Whisper};

/// How far back is looked: 500 messages. What is looked for was posted moments ago.
const PAGE: usize = 100;
const PAGES: usize = 5;
/// Begins every mark of ours. Whoever should ever come to follow it arrives at Discord.
const MARK: &str = "https://discord.com/app#tminus-";
const NONCE: usize = 25;
/// Shown to one person alone.
pub(super) const EPHEMERAL: u64 = 1 << 6;

/// What Discord answers while it does not know yet that an answer comes; and how long that may be.
const NOT_THERE_YET: [u64; 4] = [10008, 10015, 10062, 50027];
const FIRST_CHANCE: Duration = Duration::from_millis(250);
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// How long our own acknowledgement may be under way.
const TO_ARRIVE: Duration = Duration::from_secs(3);

const NOT_POSTED: &str = "The message was not posted";
const NOT_EDITED: &str = "The message was not changed";
const NOT_ANSWERED: &str = "The answer was not given";

impl Discord {
    async fn channel_of(&self, place: &Place) -> Result<u64, Failure> {
        match place {
            Place::Channel(channel) => channel_id(channel, NOT_POSTED),
            Place::Person(user) => {
                let user = id(user).ok_or_else(|| {
                    Failure::permanent(format!("{NOT_POSTED}: Discord knows no person `{user}`"))
                })?;
                self.private(user).await
            }
        }
    }

    pub(super) async fn say(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure> {
        let letters = render::letters(message, &self.shelf)?;
        let channel = self.channel_of(place).await?;
        let slot = (channel.to_string(), key.to_owned());
        let said = lock(&self.said).get(&slot).cloned();
        self.go_on(channel, key, &letters, said).await
    }

    /// What a message cannot hold follows it.
    async fn go_on(
        &self,
        channel: u64,
        key: &str,
        letters: &[Letter<'_>],
        mut said: Option<Said>,
    ) -> Result<MessageRef, Failure> {
        let place = channel.to_string();
        let done = said.as_ref().map_or(0, |said| said.parts);
        if done < letters.len() {
            self.is_open(channel, NOT_POSTED).await?;
        }
        for (number, letter) in letters.iter().enumerate().skip(done) {
            let mark = mark(key, number);
            let mut body = letter.body(Some(&mark));
            body["nonce"] = json!(hashed(&[&place, key, &number.to_string()], NONCE));
            body["enforce_nonce"] = json!(true);
            let message = self.send(channel, &body, letter.beside.as_ref()).await?;
            let at = MessageRef { channel: place.clone(), message: message.to_string() };
            lock(&self.marks).insert(at.clone(), mark);
            let now = Said { at: said.map_or(at, |said| said.at), parts: number + 1 };
            lock(&self.said).insert((place.clone(), key.to_owned()), now.clone());
            said = Some(now);
        }
        Ok(said.expect("a message has a part").at)
    }

    /// After a post was cut off: what of it is there already is read from Discord, since nobody else
    /// knows whether the last call arrived.
    pub(super) async fn say_the_rest(
        &self,
        at: &MessageRef,
        key: &str,
        message: &Message,
    ) -> Result<(), Failure> {
        let letters = render::letters(message, &self.shelf)?;
        if letters.len() == 1 {
            return Ok(());
        }
        let (channel, first) = ids(at, NOT_POSTED)?;
        let there = self.marks_since(channel, first).await?;
        let posted = |part: &usize| there.contains(&mark(key, *part));
        let parts = 1 + (1..letters.len()).take_while(posted).count();
        let said = Said { at: at.clone(), parts };
        self.go_on(channel, key, &letters, Some(said)).await.map(|_| ())
    }

    /// The marks of what we said after a message.
    async fn marks_since(&self, channel: u64, first: u64) -> Result<BTreeSet<String>, Failure> {
        let ours = self.user().await?;
        let (mut marks, mut after) = (BTreeSet::new(), first);
        for _ in 0..PAGES {
            let page = self.page(channel, Some(("after", after))).await?;
            let messages = page.as_array().map(Vec::as_slice).unwrap_or_default();
            marks.extend(messages.iter().filter_map(|it| mark_of(it, ours)).map(str::to_owned));
            match messages.iter().filter_map(|message| id_at(message, "/id")).max() {
                Some(last) if messages.len() == PAGE => after = last,
                Some(_) | None => break,
            }
        }
        Ok(marks)
    }

    async fn send(
        &self,
        channel: u64,
        body: &Value,
        beside: Option<&Attached<'_>>,
    ) -> Result<u64, Failure> {
        let route = Route::ChannelMessages { channel_id: ChannelId::new(channel) };
        let answer = self.api.write(route, LightMethod::Post, body, beside).await;
        let answer = answer.map_err(|fault| fault.failure(NOT_POSTED, Twice::Harmful))?;
        id_at(&answer, "/id")
            .ok_or_else(|| Failure::unknown(format!("{NOT_POSTED}, or it was: Discord names none")))
    }

    /// Nothing is said in a room that is over, whatever our role would allow.
    async fn is_open(&self, channel: u64, what: &str) -> Result<(), Failure> {
        match self.ground(channel, what).await? {
            Ground::Channel { archived: true } | Ground::Thread { archived: true } => {
                Err(Failure::permanent(format!("{what}: the channel is archived")))
            }
            Ground::Channel { .. } | Ground::Thread { .. } | Ground::Private => Ok(()),
        }
    }

    pub(super) async fn look_for(
        &self,
        place: &Place,
        key: &str,
    ) -> Result<Option<MessageRef>, Failure> {
        let ours = self.user().await?;
        let channel = self.channel_of(place).await?;
        let mark = mark(key, 0);
        let mut from = None;
        for _ in 0..PAGES {
            let page = self.page(channel, from).await?;
            let messages = page.as_array().map(Vec::as_slice).unwrap_or_default();
            let found = messages.iter().find(|message| mark_of(message, ours) == Some(&mark));
            if let Some(message) = found.and_then(|message| id_at(message, "/id")) {
                let at = MessageRef { channel: channel.to_string(), message: message.to_string() };
                return Ok(Some(at));
            }
            let earliest = messages.last().filter(|_| messages.len() == PAGE);
            let Some(earliest) = earliest.and_then(|message| id_at(message, "/id")) else { break };
            from = Some(("before", earliest));
        }
        Ok(None)
    }

    async fn page(
        &self,
        channel: u64,
        from: Option<(&'static str, u64)>,
    ) -> Result<Value, Failure> {
        let mut arguments = vec![("limit", PAGE.to_string())];
        arguments.extend(from.map(|(side, id)| (side, id.to_string())));
        let route = Route::ChannelMessages { channel_id: ChannelId::new(channel) };
        let page = self.api.get_with(route, arguments).await;
        page.map_err(|fault| fault.failure("The history cannot be read", Twice::Harmless))
    }

    pub(super) async fn say_instead(
        &self,
        at: &MessageRef,
        message: &Message,
    ) -> Result<(), Failure> {
        let (channel, message_id) = ids(at, NOT_EDITED)?;
        let part = render::single(message, &self.shelf)?;
        self.is_open(channel, NOT_EDITED).await?;
        let mark = self.known_mark(at).await?;
        let route = Route::ChannelMessage {
            channel_id: ChannelId::new(channel),
            message_id: MessageId::new(message_id),
        };
        let edited = self.api.patch(route, &part.body(mark.as_deref())).await;
        edited.map(|_| ()).map_err(|fault| fault.failure(NOT_EDITED, Twice::Harmless))
    }

    /// An edit replaces the embed, and with it the mark, which has to be put back.
    async fn known_mark(&self, at: &MessageRef) -> Result<Option<String>, Failure> {
        if let Some(known) = lock(&self.marks).get(at) {
            return Ok(Some(known.clone()));
        }
        let ours = self.user().await?;
        let (channel, message) = ids(at, NOT_EDITED)?;
        let route = Route::ChannelMessage {
            channel_id: ChannelId::new(channel),
            message_id: MessageId::new(message),
        };
        let answer = self.api.get(route).await;
        let answer = answer.map_err(|fault| fault.failure(NOT_EDITED, Twice::Harmless))?;
        let mark = mark_of(&answer, ours).map(str::to_owned);
        if let Some(mark) = &mark {
            lock(&self.marks).insert(at.clone(), mark.clone());
        }
        Ok(mark)
    }

    pub(super) async fn put_on_top(&self, at: &MessageRef) -> Result<(), Failure> {
        let what = "The message was not pinned";
        let (channel, message) = ids(at, what)?;
        let route = Route::ChannelPin {
            channel_id: ChannelId::new(channel),
            message_id: MessageId::new(message),
        };
        let pinned = self.api.put(route, None).await;
        pinned.map(|_| ()).map_err(|fault| fault.failure(what, Twice::Harmless))
    }

    // -----------------------------------------------------------------------------------------
    // To one person

    /// Where they asked, while that can be answered; else in private; else they are told, where they
    /// asked, that there is an answer, and not which.
    pub(super) async fn answer_one(&self, to: &Whisper, message: &Message) -> Result<(), Failure> {
        let letters = render::letters(message, &self.shelf)?;
        let mut rest = letters.as_slice();
        if let Some(handle) = &to.handle {
            rest = self.respond(handle, rest).await?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let Some(user) = id(&to.user) else {
            return Err(Failure::permanent(format!("{NOT_ANSWERED}: there is nobody to answer")));
        };
        match self.in_private(user, rest).await {
            Err(Failure::Permanent { why }) => self.hint(to, user, why).await,
            other => other,
        }
    }

    /// Its token lives fifteen minutes. What is left over goes another way.
    async fn respond<'l, 'f>(
        &self,
        handle: &str,
        letters: &'l [Letter<'f>],
    ) -> Result<&'l [Letter<'f>], Failure> {
        let Some((application, token)) = handle.split_once('/') else { return Ok(letters) };
        let Some(application) = id(application) else { return Ok(letters) };
        let application_id = ApplicationId::new(application);
        for (number, letter) in letters.iter().enumerate() {
            // What says "thinking", or asked to confirm, becomes the answer.
            let waiting = self.first_answer(handle).await;
            let (tried, twice) = match waiting.is_some() {
                true => (self.fill_in(application_id, token, letter).await, Twice::Harmless),
                false => (self.follow_up(application_id, token, letter).await, Twice::Harmful),
            };
            match tried {
                Ok(_) => {}
                Err(Fault::Refused { .. }) => return Ok(&letters[number..]),
                Err(fault) => {
                    if let Some(known) = waiting {
                        known.add_permits(1);
                        lock(&self.waiting).insert(handle.to_owned(), known);
                    }
                    return Err(fault.failure(NOT_ANSWERED, twice));
                }
            }
        }
        Ok(&[])
    }

    /// Whether this will be the first answer; once Discord has heard that there will be one.
    async fn first_answer(&self, handle: &str) -> Option<Arc<Semaphore>> {
        let known = lock(&self.waiting).get(handle).cloned()?;
        let known_there = tokio::time::timeout(TO_ARRIVE, known.acquire());
        let _ = self.api.leaving.run_until_cancelled(known_there).await;
        lock(&self.waiting).remove(handle)
    }

    /// What we were told of may still be on its way within Discord.
    async fn fill_in(
        &self,
        application_id: ApplicationId,
        token: &str,
        letter: &Letter<'_>,
    ) -> Result<Value, Fault> {
        let (body, mut wait) = (letter.body(None), FIRST_CHANCE);
        loop {
            let route = Route::WebhookOriginalInteractionResponse { application_id, token };
            let tried =
                self.api.write(route, LightMethod::Patch, &body, letter.beside.as_ref()).await;
            match tried {
                Err(fault) if fault.is(&NOT_THERE_YET) && wait <= LAST_CHANCE => {
                    let pause = tokio::time::sleep(wait);
                    self.api.leaving.run_until_cancelled(pause).await;
                    wait *= 2;
                }
                tried => return tried,
            }
        }
    }

    async fn follow_up(
        &self,
        application_id: ApplicationId,
        token: &str,
        letter: &Letter<'_>,
    ) -> Result<Value, Fault> {
        let mut body = letter.body(None);
        body["flags"] = json!(EPHEMERAL);
        let route = Route::WebhookFollowupMessages { application_id, token };
        self.api.write(route, LightMethod::Post, &body, letter.beside.as_ref()).await
    }

    async fn in_private(&self, user: u64, letters: &[Letter<'_>]) -> Result<(), Failure> {
        let channel = self.private(user).await?;
        for letter in letters {
            self.send(channel, &letter.body(None), letter.beside.as_ref()).await?;
        }
        Ok(())
    }

    async fn hint(&self, to: &Whisper, user: u64, why: String) -> Result<(), Failure> {
        let Some(channel) = to.channel.as_deref().and_then(id) else {
            return Err(Failure::Permanent { why });
        };
        let content = format!(
            "<@{user}> I have an answer for you, and you take no direct messages from this server. \
             Ask again here, or allow them under Privacy Settings."
        );
        let body = json!({
            "content": content,
            "allowed_mentions": {"parse": [], "users": [user.to_string()]},
        });
        self.send(channel, &body, None).await.map(|_| ())
    }
}

pub(super) fn channel_id(channel: &str, what: &str) -> Result<u64, Failure> {
    id(channel).ok_or_else(|| {
        Failure::permanent(format!(
            "{what}: `{channel}` is no channel of Discord's. Copy its id: right-click the channel, \
             Copy Channel ID"
        ))
    })
}

fn ids(at: &MessageRef, what: &str) -> Result<(u64, u64), Failure> {
    let channel = channel_id(&at.channel, what)?;
    let message = id(&at.message);
    let gone = || Failure::permanent(format!("{what}: `{}` is no message", at.message));
    Ok((channel, message.ok_or_else(gone)?))
}

fn mark(key: &str, number: usize) -> String {
    let part = if number == 0 { String::new() } else { number.to_string() };
    format!("{MARK}{}", hashed(&[key, &part], 12))
}

/// Anybody can put an address like ours into a message of theirs.
fn mark_of(message: &Value, ours: u64) -> Option<&str> {
    if id_at(message, "/author/id") != Some(ours) {
        return None;
    }
    let embeds = message["embeds"].as_array().into_iter().flatten();
    embeds.map(|embed| text(embed, "/url")).find(|text| text.starts_with(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_one_key_and_of_one_part() {
        assert_eq!(mark("a", 0), mark("a", 0));
        assert_ne!(mark("a", 0), mark("b", 0));
        assert_ne!(mark("a", 0), mark("a", 1));
        assert!(reqwest::Url::parse(&mark("a", 0)).is_ok(), "Discord takes no other");
    }

    #[test]
    fn a_mark_counts_only_in_a_message_of_ours() {
        let message = json!({"author": {"id": "7"}, "embeds": [
            {"description": "x"}, {"url": mark("k", 0)},
        ]});
        assert_eq!(mark_of(&message, 7), Some(mark("k", 0).as_str()));
        assert_eq!(mark_of(&message, 8), None);
        assert_eq!(mark_of(&json!({"author": {"id": "7"}, "embeds": []}), 7), None);
    }

    #[test]
    fn a_nonce_is_as_long_as_discord_takes() {
        assert_eq!(hashed(&["1", "k", "0"], NONCE).len(), NONCE);
        assert_ne!(hashed(&["1", "k", "0"], NONCE), hashed(&["1", "k", "1"], NONCE));
        assert_ne!(hashed(&["ab", "c"], 12), hashed(&["a", "bc"], 12));
    }
}
