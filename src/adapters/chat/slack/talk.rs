//! Posting once, finding what was posted, editing, pinning, answering one person.

use reqwest::Url;
use serde_json::{Value, json};
use tracing::warn;

use super::api::{Fault, Twice, text, with};
use super::render::{self, Ground, Part};
use super::upload::Load;
use super::{Said, Slack, Spot, lock};
use crate::ports::{Failure, File, Message, MessageRef, Picture, Place, Whisper};

/// What our messages carry, so that they are found again.
const EVENT: &str = "tminus";
const PAGE: &str = "200";
/// As far back as is looked: 1,000 messages. What is looked for was posted moments ago.
const PAGES: usize = 5;

const NOT_POSTED: &str = "The message was not posted";
const NOT_EDITED: &str = "The message was not changed";
/// Where the addresses lead that Slack gives us to answer.
const HOOKS: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];
/// What Slack says to a layout that it does not like, or that is too long for it.
const LAYOUT: [&str; 5] = [
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_too_long",
    "invalid_attachments",
];

impl Slack {
    /// The id by which the port knows the place, which may be a thread.
    async fn place_id(&self, place: &Place) -> Result<String, Failure> {
        match place {
            Place::Channel(id) => Ok(id.clone()),
            Place::Person(user) => self.private(user).await,
        }
    }

    pub(super) async fn say(
        &self,
        place: &Place,
        key: &str,
        message: &Message,
    ) -> Result<MessageRef, Failure> {
        fits(message)?;
        self.identity().await?;
        let id = self.place_id(place).await?;
        let spot = Spot::of(&id);
        let parts = render::message(message, spot.ground())?;
        let slot = (id.clone(), key.to_owned());
        let known = lock(&self.said).get(&slot).cloned();
        let said = match known {
            Some(said) => said,
            None => {
                let body = letter(&spot, spot.thread, key, &parts[0]);
                let bare = render::bare(message, &self.settings.slash);
                let message = self.send(body, Some(bare)).await?;
                Said { at: MessageRef { channel: id.clone(), message }, parts: 1 }
            }
        };
        let at = said.at.clone();
        self.go_on(key, message, &parts, said).await?;
        Ok(at)
    }

    /// What a message cannot hold follows it in its thread: the other parts, then the files. A
    /// picture is there to be seen: it stands where the message does.
    async fn go_on(
        &self,
        key: &str,
        message: &Message,
        parts: &[Part],
        mut said: Said,
    ) -> Result<(), Failure> {
        let at = said.at.clone();
        let (spot, slot) = (Spot::of(&at.channel), (at.channel.clone(), key.to_owned()));
        let thread = spot.thread.unwrap_or(&at.message);
        lock(&self.said).insert(slot.clone(), said.clone());
        while let Some(part) = parts.get(said.parts) {
            let body = letter(&spot, Some(thread), &part_key(key, said.parts), part);
            self.send(body, None).await?;
            said.parts += 1;
            lock(&self.said).insert(slot.clone(), said.clone());
        }
        let files = message.files.iter().map(|file| (Load::document(file), Some(thread)));
        let pictures = message.pictures.iter().map(|it| (Load::picture(it), spot.thread));
        for (load, thread) in files.chain(pictures).skip(said.parts - parts.len()) {
            self.upload(spot.channel, thread, &load).await?;
            said.parts += 1;
            lock(&self.said).insert(slot.clone(), said.clone());
        }
        Ok(())
    }

    /// After a post was cut off: what of it is there already is read from Slack, since nobody else
    /// knows whether the last call arrived.
    pub(super) async fn say_the_rest(
        &self,
        at: &MessageRef,
        key: &str,
        message: &Message,
    ) -> Result<(), Failure> {
        fits(message)?;
        let parts = render::message(message, Spot::of(&at.channel).ground())?;
        if parts.len() == 1 && message.files.is_empty() && message.pictures.is_empty() {
            return Ok(());
        }
        let thread = Some(Spot::of(&at.channel).thread.unwrap_or(&at.message));
        let there = self.said_in(&at.channel, thread).await?;
        let posted = |part: &usize| there.iter().any(|it| has_key(it, &part_key(key, *part)));
        let mut count = 1 + (1..parts.len()).take_while(posted).count();
        if count == parts.len() {
            let shown = |file: &&File| there.iter().any(|it| shows(it, &file.name));
            count += message.files.iter().take_while(shown).count();
        }
        if !message.pictures.is_empty() && count == parts.len() + message.files.len() {
            let there = self.said_in(&at.channel, Spot::of(&at.channel).thread).await?;
            let shown = |it: &&Picture| there.iter().any(|said| shows(said, &it.name));
            count += message.pictures.iter().take_while(shown).count();
        }
        self.go_on(key, message, &parts, Said { at: at.clone(), parts: count }).await
    }

    /// What we said lately in a channel, or in a thread of it.
    async fn said_in(&self, channel: &str, thread: Option<&str>) -> Result<Vec<Value>, Failure> {
        let ours = self.identity().await?.user.clone();
        let spot = Spot { channel: Spot::of(channel).channel, thread };
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let page = self.page(&spot, &cursor).await?;
            let messages = page["messages"].as_array().into_iter().flatten();
            found.extend(messages.filter(|message| text(message, "/user") == ours).cloned());
            cursor = text(&page, "/response_metadata/next_cursor").to_owned();
            if cursor.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Posts, and answers with the message's name. `bare` is what is said if Slack does not take
    /// the layout: words without buttons are better than silence.
    async fn send(&self, mut body: Value, bare: Option<String>) -> Result<String, Failure> {
        let mut tried = self.api.call("chat.postMessage", &body).await;
        if let Err(fault) = &tried
            && fault.is(&["not_in_channel"])
            && self.join(text(&body, "/channel")).await
        {
            tried = self.api.call("chat.postMessage", &body).await;
        }
        if let (Err(fault), Some(bare)) = (&tried, bare)
            && fault.is(&LAYOUT)
        {
            warn!("Slack refuses the layout of a message; it is posted without");
            let fields = body.as_object_mut().expect("a letter is an object");
            fields.remove("blocks");
            body["text"] = json!(bare);
            body["mrkdwn"] = json!(false);
            tried = self.api.call("chat.postMessage", &body).await;
        }
        let answer = tried.map_err(|fault| fault.failure(NOT_POSTED, Twice::Harmful))?;
        match text(&answer, "/ts") {
            "" => Err(Failure::unknown(format!("{NOT_POSTED}, or it was: Slack names none"))),
            ts => Ok(ts.to_owned()),
        }
    }

    /// Into a public channel we may go by ourselves.
    async fn join(&self, channel: &str) -> bool {
        self.api.call("conversations.join", &json!({"channel": channel})).await.is_ok()
    }

    pub(super) async fn look_for(
        &self,
        place: &Place,
        key: &str,
    ) -> Result<Option<MessageRef>, Failure> {
        let ours = self.identity().await?.user.clone();
        let id = self.place_id(place).await?;
        let spot = Spot::of(&id);
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let page = self.page(&spot, &cursor).await?;
            let messages = page["messages"].as_array().into_iter().flatten();
            let found = messages.clone().find(|message| is_ours(message, &ours, key));
            if let Some(message) = found {
                let message = text(message, "/ts").to_owned();
                return Ok(Some(MessageRef { channel: id, message }));
            }
            cursor = text(&page, "/response_metadata/next_cursor").to_owned();
            if cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }

    async fn page(&self, spot: &Spot<'_>, cursor: &str) -> Result<Value, Failure> {
        let mut arguments =
            vec![("channel", spot.channel), ("include_all_metadata", "true"), ("limit", PAGE)];
        if !cursor.is_empty() {
            arguments.push(("cursor", cursor));
        }
        let method = match spot.thread {
            Some(thread) => {
                arguments.push(("ts", thread));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        let page = self.api.read(method, &arguments).await;
        page.map_err(|fault| fault.failure("The history cannot be read", Twice::Harmless))
    }

    pub(super) async fn say_instead(
        &self,
        at: &MessageRef,
        message: &Message,
    ) -> Result<(), Failure> {
        self.identity().await?;
        let spot = Spot::of(&at.channel);
        let Part { text, blocks } = render::single(message, spot.ground())?;
        let body = json!({
            "channel": spot.channel, "ts": at.message, "text": text, "blocks": blocks,
        });
        let mut tried = self.api.call("chat.update", &body).await;
        if tried.as_ref().is_err_and(|fault| fault.is(&LAYOUT)) {
            warn!("Slack refuses the layout of a change; it is made without");
            let bare = render::bare(message, &self.settings.slash);
            let body = json!({
                "channel": spot.channel, "ts": at.message, "text": bare, "blocks": [],
            });
            tried = self.api.call("chat.update", &body).await;
        }
        tried.map(|_| ()).map_err(|fault| fault.failure(NOT_EDITED, Twice::Harmless))
    }

    /// In a thread nothing can be on top.
    pub(super) async fn put_on_top(&self, at: &MessageRef) -> Result<(), Failure> {
        self.identity().await?;
        if Spot::of(&at.channel).thread.is_some() {
            return Ok(());
        }
        let body = json!({"channel": at.channel, "timestamp": at.message});
        match self.api.call("pins.add", &body).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is(&["already_pinned"]) => Ok(()),
            Err(fault) => Err(fault.failure("The message was not pinned", Twice::Harmless)),
        }
    }

    // -----------------------------------------------------------------------------------------
    // To one person

    /// Where they asked, while that can be answered; else where only they see it; else in private.
    pub(super) async fn answer_one(&self, to: &Whisper, message: &Message) -> Result<(), Failure> {
        self.identity().await?;
        let parts = render::message(message, Ground::Channel)?;
        let mut rest = parts.as_slice();
        if let Some(url) = to.handle.as_deref().and_then(|handle| self.may_answer(handle)) {
            rest = self.respond(&url, rest).await?;
        }
        if let Some(channel) = to.channel.as_deref().filter(|id| !id.starts_with('D')) {
            rest = self.show(channel, &to.user, rest).await?;
        }
        if rest.is_empty() && message.files.is_empty() {
            return Ok(());
        }
        let private = self.private(&to.user).await?;
        for part in rest {
            let body = json!({
                "channel": private, "text": part.text, "blocks": part.blocks,
                "unfurl_links": false, "unfurl_media": false,
            });
            self.send(body, None).await?;
        }
        // A file cannot be shown to one person alone, except where nobody else is.
        for file in &message.files {
            self.upload(&private, None, &Load::document(file)).await?;
        }
        Ok(())
    }

    /// An address that Slack gave us: it lives half an hour and answers five times. What is left
    /// over goes another way.
    async fn respond<'p>(&self, url: &Url, parts: &'p [Part]) -> Result<&'p [Part], Failure> {
        for (number, part) in parts.iter().enumerate() {
            let body = json!({
                "response_type": "ephemeral", "replace_original": false,
                "text": part.text, "blocks": part.blocks,
            });
            match self.api.answer(url, &body).await {
                Ok(()) => {}
                Err(Fault::Refused { .. }) => return Ok(&parts[number..]),
                Err(fault) => return Err(fault.failure("The answer was not given", Twice::Harmful)),
            }
        }
        Ok(&[])
    }

    /// Shown in the channel to this person alone, if they and we are in it.
    async fn show<'p>(
        &self,
        channel: &str,
        user: &str,
        parts: &'p [Part],
    ) -> Result<&'p [Part], Failure> {
        let spot = Spot::of(channel);
        for (number, part) in parts.iter().enumerate() {
            let body = json!({
                "channel": spot.channel, "user": user, "text": part.text, "blocks": part.blocks,
            });
            let body = with(body, "thread_ts", spot.thread);
            match self.api.call("chat.postEphemeral", &body).await {
                Ok(_) => {}
                Err(Fault::Refused { .. }) => return Ok(&parts[number..]),
                Err(fault) => return Err(fault.failure("The answer was not given", Twice::Harmful)),
            }
        }
        Ok(&[])
    }

    /// Only Slack's own hosts for this, or the one that we were told to call: whatever a payload
    /// names, nothing of ours goes elsewhere.
    fn may_answer(&self, handle: &str) -> Option<Url> {
        let url = Url::parse(handle).ok()?;
        let ours = Url::parse(&self.settings.api_url).ok()?;
        let same = url.origin() == ours.origin();
        let slack = url.scheme() == "https"
            && url.port().is_none()
            && url.host_str().is_some_and(|host| HOOKS.contains(&host));
        let bare = url.username().is_empty() && url.password().is_none();
        ((same || slack) && bare).then_some(url)
    }
}

/// Before anything of it is said.
fn fits(message: &Message) -> Result<(), Failure> {
    match message.files.iter().find(|file| file.text.len() > File::LONGEST) {
        None => Ok(()),
        Some(file) => {
            let (name, longest) = (&file.name, File::LONGEST);
            Err(Failure::permanent(format!("the file {name} is longer than {longest} bytes")))
        }
    }
}

fn letter(spot: &Spot<'_>, thread: Option<&str>, key: &str, part: &Part) -> Value {
    let body = json!({
        "channel": spot.channel,
        "text": part.text,
        "blocks": part.blocks,
        "metadata": {"event_type": EVENT, "event_payload": {"key": key}},
        "unfurl_links": false,
        "unfurl_media": false,
    });
    with(body, "thread_ts", thread)
}

/// Parts after the first are found by their numbers.
fn part_key(key: &str, number: usize) -> String {
    format!("{key}+{number}")
}

/// Anybody can put a key into their own message.
fn is_ours(message: &Value, user: &str, key: &str) -> bool {
    has_key(message, key) && text(message, "/user") == user
}

fn has_key(message: &Value, key: &str) -> bool {
    text(message, "/metadata/event_type") == EVENT
        && text(message, "/metadata/event_payload/key") == key
}

fn shows(message: &Value, file: &str) -> bool {
    let mut files = message["files"].as_array().into_iter().flatten();
    files.any(|it| text(it, "/name") == file)
}
