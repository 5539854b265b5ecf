//! Channels of our own: opening one once, naming it as Slack allows, filling it, closing it.
//!
//! A channel that we opened is known again by a mark in its purpose, which outlives us. Nobody
//! else's is ever taken over, and the workspace is never listed: only where we are ourselves.

use serde_json::{Value, json};
use tracing::warn;

use super::api::{Fault, Twice, text};
use super::groups::{BATCH, ONLY_ONE, THERE, is_of_some};
use super::render::cut;
use super::{Slack, Spot, lock, render};
use crate::adapters::chat::naming::{mark, name};
use crate::ports::{Block, Failure, Inline, Message, Place, Room, RoomWish};

const TOPIC: usize = 250;
/// Ours, so that several fit beside each other.
const BOOKMARK: usize = 60;
const TRIES: usize = 20;
const PAGE: &str = "200";
const PAGES: usize = 25;

const NOT_OPENED: &str = "The channel was not opened";
const UNINVITED: &str = "Nobody was invited";
/// What says that we may not, rather than that this name will not do.
const FORBIDDEN: [&str; 7] = [
    "restricted_action",
    "missing_scope",
    "no_permission",
    "user_is_restricted",
    "user_is_ultra_restricted",
    "team_access_not_granted",
    "ekm_access_denied",
];

impl Slack {
    pub(super) async fn room(&self, wish: &RoomWish) -> Result<Room, Failure> {
        if let Some(known) = lock(&self.rooms).get(&wish.key) {
            return Ok(known.clone());
        }
        let user = self.identity().await?.user.clone();
        let room = match self.find_or_create(wish, &user).await? {
            Ok(channel) => self.furnish(wish, &channel).await?,
            Err(reason) => self.thread_instead(wish, reason).await?,
        };
        lock(&self.rooms).insert(wish.key.clone(), room.clone());
        Ok(room)
    }

    /// The channel, or why there can be none.
    async fn find_or_create(
        &self,
        wish: &RoomWish,
        user: &str,
    ) -> Result<Result<Value, String>, Failure> {
        let own = match self.own_channels(user).await {
            Ok(own) => own,
            Err(fault) if fault.is(&FORBIDDEN) => return Ok(Err(reason(fault))),
            Err(fault) => return Err(fault.failure(NOT_OPENED, Twice::Harmless)),
        };
        let mark = mark(&wish.key);
        let purpose = |channel: &Value| text(channel, "/purpose/value").to_owned();
        if let Some(marked) = own.iter().find(|channel| purpose(channel).contains(&mark)) {
            return Ok(Ok(marked.clone()));
        }
        for number in 1..=TRIES {
            let name = name(&wish.name, number);
            // Opened by us a moment ago, and then we were cut off before we could mark it.
            let bare = |channel: &&Value| text(channel, "/name") == name && is_half_open(channel);
            if let Some(half) = own.iter().find(bare) {
                return Ok(Ok(half.clone()));
            }
            let body = json!({"name": name, "is_private": false});
            match self.api.call("conversations.create", &body).await {
                Ok(answer) => return Ok(Ok(answer["channel"].clone())),
                Err(fault) if fault.is(&["name_taken"]) => {}
                Err(fault) if fault.is(&FORBIDDEN) => return Ok(Err(reason(fault))),
                Err(fault) => return Err(fault.failure(NOT_OPENED, Twice::Harmful)),
            }
        }
        let name = name(&wish.name, 1);
        Err(Failure::permanent(format!("{NOT_OPENED}: all names like {name} are taken")))
    }

    /// Those that we are in and that we opened. Archived ones too: a room that was opened and
    /// closed is not opened again.
    async fn own_channels(&self, user: &str) -> Result<Vec<Value>, Fault> {
        let (mut own, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let mut arguments =
                vec![("types", "public_channel"), ("limit", PAGE), ("exclude_archived", "false")];
            if !cursor.is_empty() {
                arguments.push(("cursor", &cursor));
            }
            let page = self.api.read("users.conversations", &arguments).await?;
            let all = page["channels"].as_array().into_iter().flatten();
            own.extend(all.filter(|channel| text(channel, "/creator") == user).cloned());
            let next = text(&page, "/response_metadata/next_cursor").to_owned();
            if next.is_empty() {
                break;
            }
            cursor = next;
        }
        Ok(own)
    }

    /// The mark first: everything after it can be done again.
    async fn furnish(&self, wish: &RoomWish, channel: &Value) -> Result<Room, Failure> {
        let id = text(channel, "/id").to_owned();
        let room =
            Room { channel: id.clone(), name: text(channel, "/name").to_owned(), instead: None };
        if channel["is_archived"] == true {
            return Ok(room);
        }
        let mark = mark(&wish.key);
        if !text(channel, "/purpose/value").contains(&mark) {
            let room_for = TOPIC - mark.len() - 1;
            let purpose = format!("{} {mark}", cut(&wish.purpose, room_for));
            let body = json!({"channel": id, "purpose": purpose.trim_start()});
            let marked = self.api.call("conversations.setPurpose", &body).await;
            marked.map_err(|fault| fault.failure("The channel got no purpose", Twice::Harmless))?;
        }
        // A room without a topic or a link, or with somebody missing, is still the room.
        for result in [
            self.write_topic(&id, &wish.topic).await,
            self.ask_in(&id, &wish.members).await,
            self.ask_groups_in(&id, &wish.groups).await,
            self.bookmark(&id, &wish.links).await,
        ] {
            match result {
                Err(Failure::Permanent { why }) => warn!(channel = id, "{why}"),
                other => other?,
            }
        }
        Ok(room)
    }

    /// What everybody looks at, on top of the channel.
    async fn bookmark(&self, channel: &str, links: &[(String, String)]) -> Result<(), Failure> {
        if links.is_empty() {
            return Ok(());
        }
        let there = self.api.call("bookmarks.list", &json!({"channel_id": channel})).await;
        let there = there.map_err(not_bookmarked)?;
        let known = |link: &str| {
            let mut all = there["bookmarks"].as_array().into_iter().flatten();
            all.any(|bookmark| text(bookmark, "/link") == link)
        };
        for (title, link) in links.iter().filter(|(_, link)| !known(link)) {
            let title = if title.trim().is_empty() { link } else { title };
            let body = json!({
                "channel_id": channel, "title": cut(title, BOOKMARK), "type": "link", "link": link,
            });
            match self.api.call("bookmarks.add", &body).await.map_err(not_bookmarked) {
                // One that Slack does not take keeps no other away.
                Err(Failure::Permanent { why }) => warn!(channel, "{why}"),
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Where we may open no channel: everything is said in one thread, and those who would have
    /// been invited are named in it.
    async fn thread_instead(&self, wish: &RoomWish, reason: String) -> Result<Room, Failure> {
        let Some(near) = &wish.near else {
            return Err(Failure::permanent(format!("{NOT_OPENED}: {reason}")));
        };
        let near = Spot::of(near).channel.to_owned();
        let (place, key) = (Place::Channel(near.clone()), format!("room/{}", wish.key));
        let parent = match self.look_for(&place, &key).await? {
            Some(found) => found,
            None => self.say(&place, &key, &opening(wish)).await?,
        };
        // It is known by the channel that it is in.
        let name = self.channel_name(&self.settings.tenant, &near).await;
        let name = name.ok().flatten();
        let name = name.map_or_else(|| wish.name.clone(), |name| name.replace('#', ""));
        Ok(Room { channel: format!("{near}:{}", parent.message), name, instead: Some(reason) })
    }

    /// A thread has no topic.
    pub(super) async fn write_topic(&self, channel: &str, topic: &str) -> Result<(), Failure> {
        self.identity().await?;
        if Spot::of(channel).thread.is_some() {
            return Ok(());
        }
        let body = json!({"channel": channel, "topic": cut(topic, TOPIC)});
        let set = self.api.call("conversations.setTopic", &body).await;
        set.map(|_| ()).map_err(|fault| fault.failure("The topic was not set", Twice::Harmless))
    }

    /// In batches, and each by themselves where somebody of a batch cannot come: they keep nobody else
    /// away, and are named.
    pub(super) async fn ask_in(&self, channel: &str, members: &[String]) -> Result<(), Failure> {
        self.identity().await?;
        if Spot::of(channel).thread.is_some() {
            return Ok(());
        }
        // A user group cannot be invited, and need not be: the channel is public.
        let people: Vec<_> =
            members.iter().map(String::as_str).filter(|it| !it.starts_with('&')).collect();
        let mut missing = Vec::new();
        for batch in people.chunks(BATCH) {
            let Err(fault) = self.ask_together_in(channel, batch).await else { continue };
            if !is_of_some(&fault) {
                return Err(fault.failure(UNINVITED, Twice::Harmless));
            }
            for member in batch {
                match self.ask_together_in(channel, &[member]).await {
                    Ok(()) => {}
                    Err(fault) if fault.is(&THERE) => {}
                    Err(fault) if fault.is(&ONLY_ONE) => missing.push((*member, fault)),
                    Err(fault) => return Err(fault.failure(UNINVITED, Twice::Harmless)),
                }
            }
        }
        let Some((_, first)) = missing.first() else { return Ok(()) };
        let names: Vec<_> = missing.iter().map(|(member, _)| *member).collect();
        let what = format!("Not invited: {}", names.join(", "));
        Err(first.clone().failure(&what, Twice::Harmless))
    }

    /// All of them or nobody.
    pub(super) async fn ask_together_in(
        &self,
        channel: &str,
        people: &[&str],
    ) -> Result<(), Fault> {
        let body = json!({"channel": channel, "users": people.join(",")});
        self.api.call("conversations.invite", &body).await.map(drop)
    }

    /// A thread ends by itself.
    pub(super) async fn close(&self, channel: &str) -> Result<(), Failure> {
        self.identity().await?;
        if Spot::of(channel).thread.is_some() {
            return Ok(());
        }
        match self.api.call("conversations.archive", &json!({"channel": channel})).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is(&["already_archived"]) => Ok(()),
            Err(fault) => Err(fault.failure("The channel was not archived", Twice::Harmless)),
        }
    }
}

fn not_bookmarked(fault: Fault) -> Failure {
    fault.failure("A link was not bookmarked", Twice::Harmless)
}

fn reason(fault: Fault) -> String {
    fault.failure("No channel can be opened here", Twice::Harmless).to_string()
}

fn opening(wish: &RoomWish) -> Message {
    let text = |text: &str| Inline::Text(text.to_owned());
    let mut body = vec![Block::Paragraph(vec![Inline::Strong(vec![text(&wish.topic)])])];
    body.push(Block::Paragraph(vec![text(&wish.purpose)]));
    let mut line = vec![text("In the thread of this message: ")];
    for member in wish.members.iter().filter(|member| render::is_person(member)) {
        line.push(Inline::Mention { id: member.clone(), name: member.clone() });
        line.push(text(" "));
    }
    for group in &wish.groups {
        line.push(Inline::Mention { id: format!("&{group}"), name: group.clone() });
        line.push(text(" "));
    }
    if line.len() > 1 {
        body.push(Block::Paragraph(line));
    }
    if !wish.links.is_empty() {
        let link = |(text, url): &(String, String)| {
            vec![Inline::Link { url: url.clone(), text: text.clone() }]
        };
        body.push(Block::List(wish.links.iter().map(link).collect()));
    }
    Message { body, ..Message::default() }
}

/// Nobody has given it a purpose yet. One that lost its mark to a person is somebody's room.
fn is_half_open(channel: &Value) -> bool {
    let never = channel.pointer("/purpose/last_set").is_none_or(|at| *at == 0);
    text(channel, "/purpose/value").is_empty() && never && channel["is_archived"] != true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_room_that_was_never_furnished_is_half_open() {
        let with =
            |value: &str, last_set: u64| json!({"purpose": {"value": value, "last_set": last_set}});
        assert!(is_half_open(&with("", 0)));
        assert!(!is_half_open(&with("", 1_700_000_000)), "somebody emptied it");
        assert!(!is_half_open(&with("lunch", 1_700_000_000)));
        let archived = json!({"purpose": {"value": "", "last_set": 0}, "is_archived": true});
        assert!(!is_half_open(&archived));
    }
}
