//! The house in which a whole release is played, whatever chat it lives in: what a play asks of
//! the stages of Slack and of Discord alike, and the little that each has in its own way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use chrono::{DateTime, Duration, Utc};
use regex::Regex;
use serde_json::{Map, Value};

use crate::crash::without_numbers;
use crate::installed::Running;
use crate::{discord_stage, discord_world, slack_stage, slack_world};

pub(crate) const ROOM: &str = "release-v1-2-0";

/// Where, what, and how often.
pub(crate) type Said = BTreeMap<(String, String), usize>;

/// How a line is typed in Slack, and how by Discord's options.
pub(crate) struct Typed<'a> {
    pub(crate) slack: &'a str,
    pub(crate) discord: &'a str,
}

/// On which side of something that is done in the chat the program is to be struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

pub(crate) trait House: Sized {
    type Mode: Copy;
    type Post;

    /// A connection that we open ourselves, and being called by signed HTTP.
    const MODES: [Self::Mode; 2];

    /// On a machine whose time passes when the test says so, with the times of every day.
    async fn patient(mode: Self::Mode) -> Self;
    async fn begin(&mut self);
    async fn killed(&mut self);
    async fn stopped(&mut self);
    fn running(&self) -> &Running;
    fn path(&self, name: &str) -> PathBuf;
    async fn settled(&self);
    async fn comes(&self, at: DateTime<Utc>);
    async fn passes(&self, time: Duration);

    async fn sees(&self, channel: &str, wanted: &str) -> Self::Post;
    async fn sees_room(&self);
    async fn sees_edit(&self, post: &Self::Post, wanted: &str);
    fn found(&self, channel: &str, wanted: &str) -> Option<Self::Post>;
    /// Without the signs that make it bold.
    fn text_of(&self, post: &Self::Post) -> String;
    async fn says(&self, who: &str, line: Typed<'_>, answer: &str) -> String;
    async fn presses(&self, who: &str, post: &Self::Post, label: &str, answer: &str) -> String;
    /// Opens the form of a new release, fills it in and sends it.
    async fn schedules_by_form(&self, who: &str, day: &str, time: &str);
    /// Presses a button that asks for a reason, gives it, and reads the private answer.
    async fn gives_reason(
        &self,
        who: &str,
        post: &Self::Post,
        label: &str,
        reason: &str,
        answer: &str,
    );
    /// The open item of the checklist, by the card's button and then by its own.
    async fn ticks(&self, who: &str, card: &Self::Post, item: &str, answer: &str);

    fn pod(&self, pod: u8) -> String;
    fn deploys(&self, pod: u8, version: &str) -> usize;
    async fn log(&self) -> Vec<String>;
    fn count(&self, wanted: &str) -> usize;
    fn exactly_once(&self, wanted: &str);
    /// The room is read by those who saw it, and written by nobody.
    fn is_archived(&self) -> bool;
    fn was_called(&self, who: &str, post: &Self::Post) -> bool;
    fn transcript(&self) -> String;
    fn everything(&self) -> String;
    fn read_aloud(&self);
    async fn assert_clean(&self);

    /// Everything that was done in the chat, each once.
    fn deeds(&self) -> BTreeSet<String>;
    /// Every message of ours, without the numbers that differ from run to run.
    fn said(&self) -> Said;
    fn strike(&self, side: Side, deed: &str);
    fn has_struck(&self) -> bool;
    fn release(&self);

    async fn reads(&self, channel: &str, wanted: &str) -> String {
        let post = self.sees(channel, wanted).await;
        self.text_of(&post)
    }
}

/// What both stages do by the same words.
macro_rules! alike {
    ($world:ident) => {
        type Mode = Mode;
        type Post = $world::Post;

        async fn patient(mode: Mode) -> Self {
            Self::patient(mode).await
        }
        async fn begin(&mut self) {
            self.begin().await;
        }
        async fn killed(&mut self) {
            self.killed().await;
        }
        async fn stopped(&mut self) {
            self.stopped().await;
        }
        fn running(&self) -> &Running {
            self.running()
        }
        fn path(&self, name: &str) -> PathBuf {
            self.path(name)
        }
        async fn settled(&self) {
            self.settled().await;
        }
        async fn comes(&self, at: DateTime<Utc>) {
            self.comes(at).await;
        }
        async fn passes(&self, time: Duration) {
            self.passes(time).await;
        }
        async fn sees(&self, channel: &str, wanted: &str) -> Self::Post {
            self.sees(channel, wanted).await
        }
        async fn sees_room(&self) {
            self.world.sees_channel(ROOM).await;
        }
        async fn sees_edit(&self, post: &Self::Post, wanted: &str) {
            self.world.sees_edit(post, wanted).await;
        }
        fn found(&self, channel: &str, wanted: &str) -> Option<Self::Post> {
            self.world.says(channel, wanted)
        }
        fn text_of(&self, post: &Self::Post) -> String {
            self.world.text_of(post).replace("**", "")
        }
        async fn presses(&self, who: &str, post: &Self::Post, label: &str, answer: &str) -> String {
            self.presses(who, post, label, answer).await.1
        }
        async fn gives_reason(
            &self,
            who: &str,
            post: &Self::Post,
            label: &str,
            reason: &str,
            answer: &str,
        ) {
            let person = self.person(who);
            person.presses(post, label).await.answered().await;
            let form = person.sees_view("").await;
            person.submits(&form, &[("Reason", reason)]).await.answered().await;
            person.sees_ephemeral(answer).await;
        }
        async fn ticks(&self, who: &str, card: &Self::Post, item: &str, answer: &str) {
            let person = self.person(who);
            person.presses(card, "Checklist").await.answered().await;
            let list = person.sees_ephemeral(item).await;
            person.presses_in_whisper(&list, &format!("✓ {item}")).await.answered().await;
            person.sees_ephemeral(answer).await;
        }
        fn pod(&self, pod: u8) -> String {
            self.pod(pod)
        }
        fn deploys(&self, pod: u8, version: &str) -> usize {
            self.deploys(pod, version)
        }
        async fn log(&self) -> Vec<String> {
            self.log().await
        }
        fn count(&self, wanted: &str) -> usize {
            self.world.count(wanted)
        }
        fn exactly_once(&self, wanted: &str) {
            self.world.exactly_once(wanted);
        }
        fn transcript(&self) -> String {
            self.world.transcript(ROOM)
        }
        fn everything(&self) -> String {
            self.world.everything()
        }
        fn read_aloud(&self) {
            self.read_aloud();
        }
        async fn assert_clean(&self) {
            self.assert_clean().await;
        }
        fn strike(&self, side: Side, deed: &str) {
            let harm = match side {
                Side::Before => $world::Harm::Hold,
                Side::After => $world::Harm::AnswerLost,
            };
            self.world.fault($world::Fault::on("*", harm).doing(doing, deed));
        }
        fn has_struck(&self) -> bool {
            self.world.struck() > 0
        }
        fn release(&self) {
            self.world.release();
        }
    };
}

static DAYS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b\w{3} \d{1,2} \w{3}( \d{4})?\b").unwrap());

/// Of the report its begin: it quotes the log, whose entries may come in another order.
pub(crate) fn story(text: &str) -> String {
    let text = without_numbers(&DAYS.replace_all(text, "…"));
    match text.starts_with("📄") {
        true => text.lines().next().unwrap_or_default().to_owned(),
        false => text,
    }
}

mod in_slack {
    use super::*;
    use slack_stage::{Mode, Stage};
    use slack_world::Call;

    impl House for Stage {
        alike!(slack_world);

        const MODES: [Mode; 2] = [Mode::Socket, Mode::Http];

        async fn says(&self, who: &str, line: Typed<'_>, answer: &str) -> String {
            self.says(who, line.slack, answer).await
        }

        async fn schedules_by_form(&self, who: &str, day: &str, time: &str) {
            let person = self.person(who);
            person.types("/release new", "releases").await.answered().await;
            let form = person.sees_view("Schedule a release").await;
            let filled = [
                ("Plan", "web-shop"),
                ("Version, if not the plan's", "v1.2.0"),
                ("Day of the start", day),
                ("Time of the start", time),
                ("Captain, if not the plan's", "Maria"),
            ];
            person.submits(&form, &filled).await.answered().await;
            person.sees_ephemeral("is scheduled for").await;
        }

        fn is_archived(&self) -> bool {
            self.world.channel(ROOM).archived
        }

        /// A mention rings; a name in a text does not.
        fn was_called(&self, who: &str, post: &Self::Post) -> bool {
            let id = self.person(who).id;
            self.world.look(|workspace| {
                let channel = &workspace.channels[&post.channel];
                let message = channel.messages.iter().find(|it| it.ts == post.ts).unwrap();
                let blocks = message.content.all_blocks().to_string();
                blocks.contains(&format!(r#""user_id":"{id}""#))
            })
        }

        fn deeds(&self) -> BTreeSet<String> {
            let calls = self.world.all_calls();
            let changing = calls.iter().filter(|call| call.acted && changes_something(call));
            changing.map(|call| doing(&call.method, &call.args)).collect()
        }

        fn said(&self) -> Said {
            self.world.look(|workspace| {
                let mut said = Said::new();
                for channel in workspace.channels.values() {
                    for message in channel.messages.iter().filter(|it| !it.deleted) {
                        let key = key_of(&message.content.metadata);
                        let text = match is_card(&key) {
                            true => card(&key),
                            false => story(&self.world.shows(&message.content, workspace)),
                        };
                        *said.entry((channel.name.clone(), text)).or_default() += 1;
                    }
                }
                said
            })
        }
    }

    fn changes_something(call: &Call) -> bool {
        let groups = ["chat.", "pins.", "bookmarks.add", "files."];
        let rooms = ["create", "setTopic", "setPurpose", "invite", "archive", "open"];
        let method = call.method.as_str();
        let of_rooms = method.strip_prefix("conversations.").is_some_and(|it| rooms.contains(&it));
        // What only one person sees is no effect of a release.
        let is_answer = method == "chat.postEphemeral";
        of_rooms || (groups.iter().any(|group| method.starts_with(group)) && !is_answer)
    }

    /// What a call does, without what differs from run to run.
    fn doing(method: &str, args: &Map<String, Value>) -> String {
        let arg = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
        let key = args.get("metadata").map(key_of).unwrap_or_default();
        let what = match method {
            // A card is rewritten whenever it is out of date.
            "chat.update" => String::new(),
            "files.getUploadURLExternal" => arg("filename").to_owned(),
            _ if is_card(&key) => card(&key),
            _ => ["text", "name", "topic", "purpose", "users", "title"].map(arg).concat(),
        };
        let channel = [arg("channel"), arg("channel_id")].concat();
        format!("{method} {} {}", place(&channel), story(&what))
    }

    /// The room has another id each time.
    fn place(channel: &str) -> &str {
        if channel.starts_with("C0000") { "room" } else { channel }
    }

    fn key_of(metadata: &Value) -> String {
        metadata["event_payload"]["key"].as_str().unwrap_or_default().to_owned()
    }

    fn is_card(key: &str) -> bool {
        key.starts_with("card/")
    }

    /// Without the place in the log at which it was posted anew.
    fn card(key: &str) -> String {
        let card: Value = serde_json::from_str(&key[key.find('{').unwrap()..]).unwrap();
        format!("card {} in {}", card["kind"], place(card["channel"].as_str().unwrap()))
    }
}

mod in_discord {
    use super::*;
    use discord_stage::{Mode, Stage};
    use discord_world::permissions::{SEND_MESSAGES, in_channel};
    use discord_world::{Call, id};

    impl House for Stage {
        alike!(discord_world);

        const MODES: [Mode; 2] = [Mode::Gateway, Mode::Http];

        async fn says(&self, who: &str, line: Typed<'_>, answer: &str) -> String {
            self.says(who, line.discord, answer).await
        }

        /// Discord's dialogs hold lines of text: what is a picker elsewhere is typed.
        async fn schedules_by_form(&self, who: &str, day: &str, time: &str) {
            let person = self.person(who);
            person.types("/release more new", "releases").await.answered().await;
            let form = person.sees_view("Schedule a release").await;
            let filled = [
                ("Plan", "web-shop"),
                ("Version, if not the plan's", "v1.2.0"),
                ("Day of the start", day),
                ("Time of the start", time),
                ("Title, if not the plan's", ""),
            ];
            person.submits(&form, &filled).await.answered().await;
            person.sees_ephemeral("is scheduled for").await;
        }

        fn is_archived(&self) -> bool {
            let ann = self.person("ann");
            let archive = id("channel", "archive");
            self.world.look(|realm| {
                let room = realm.channel(ROOM);
                let may = in_channel(realm, room, &ann.id) & SEND_MESSAGES != 0;
                room.parent.as_ref() == Some(&archive) && !may
            })
        }

        fn was_called(&self, who: &str, post: &Self::Post) -> bool {
            self.person(who).was_pinged_by(post)
        }

        fn deeds(&self) -> BTreeSet<String> {
            let calls = self.world.all_calls();
            let changing = calls.iter().filter(|call| call.acted && changes_something(call));
            changing.map(|call| doing(&call.operation, &call.path, &call.body)).collect()
        }

        fn said(&self) -> Said {
            self.world.look(|realm| {
                let mut said = Said::new();
                for channel in realm.channels.values() {
                    for message in channel.shown() {
                        let content = &message.content;
                        let text = card_or_story(&words(&content.text, &content.embeds));
                        *said.entry((channel.name.clone(), text)).or_default() += 1;
                    }
                }
                said
            })
        }
    }

    fn changes_something(call: &Call) -> bool {
        let of_rooms = [
            "create_guild_channel",
            "update_channel",
            "set_channel_permission_overwrite",
            "create_thread",
            "add_thread_member",
            "create_dm",
            "create_message",
            "update_message",
            "create_pin",
            "deprecated_create_pin",
        ];
        of_rooms.contains(&call.operation.as_str())
    }

    static ELSEWHERE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"<t:\d+:\w>|<#\d+>|\d{17,20}").unwrap());
    static RUN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\S+ \*\*([^*]+)\*\* .*\n+`sh \S*pods\.sh").unwrap());

    /// What a call does, without what differs from run to run.
    fn doing(operation: &str, path: &str, body: &Value) -> String {
        let arg = |name: &str| body[name].as_str().unwrap_or_default();
        let embeds = body["embeds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let what = match operation {
            // A card is rewritten whenever it is out of date.
            "update_message" => String::new(),
            _ => card_or_story(&words(arg("content"), embeds)),
        };
        let more = ELSEWHERE.replace_all(&[arg("name"), arg("topic")].concat(), "…").into_owned();
        let moved = if body["parent_id"].is_string() { " into a category" } else { "" };
        format!("{operation} {} {}{what}{moved}", place(path), story(&more))
    }

    /// The room has another id each time, and so have private conversations.
    fn place(path: &str) -> &'static str {
        let known = ["releases", "customers", "incidents"];
        let here = |name: &&str| path.contains(&id("channel", name));
        known.into_iter().find(here).unwrap_or("room or person")
    }

    /// What a message says, without its mark.
    fn words(text: &str, embeds: &[Value]) -> String {
        let parts = embeds.iter().flat_map(|embed| [&embed["title"], &embed["description"]]);
        let parts = parts.filter_map(Value::as_str);
        let all: Vec<_> = std::iter::once(text).chain(parts).filter(|it| !it.is_empty()).collect();
        all.join("\n")
    }

    fn card_or_story(text: &str) -> String {
        let text = text.replace(r"\", "");
        if let Some(run) = RUN.captures(&text) {
            return format!("card of a run of {}", &run[1]);
        }
        let poll = ["go or no-go?**", "GO** · starts", "The poll "];
        let kind = match text.strip_prefix("**Web shop v1.2.0") {
            Some(rest) if rest.starts_with(" · ") => "live",
            Some(rest) if rest.starts_with(": how to go back") => "rollback plan",
            Some(rest) if poll.iter().any(|it| rest.contains(it)) => "poll",
            // The story first: a digest may hold as many digits as an id.
            Some(_) | None => return ELSEWHERE.replace_all(&story(&text), "…").into_owned(),
        };
        format!("card {kind}")
    }
}
