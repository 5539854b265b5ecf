//! The chat in which a whole release is played, whichever it is: what a play asks of the stand-ins of
//! Slack and of Discord alike, and the little that each has in its own way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Map, Value};

use crate::crash::without_numbers;
use crate::installed::{Installed, Running};
use crate::shop::{self, Where, prop};
use crate::{discord_stage, slack_stage};

pub(crate) const ROOM: &str = "release-v1-2-0";

/// Where it says that it is reached: whoever calls it by signed HTTP is told where it really is.
pub(crate) const PUBLIC: &str = "public_url = \"http://127.0.0.1:9\"";

/// As long as a call and an answer to another can miss each other on the way.
const CROSSING: Duration = Duration::from_millis(100);
pub(crate) const CROSSED: &str = ", as another was told to";

/// Of a call that did not wait: what was on its way when another was told is no worse than that.
pub(crate) fn crossed(said: Instant) -> &'static str {
    if said.elapsed() < CROSSING { CROSSED } else { "" }
}

/// Where, what, and how often.
pub(crate) type Said = BTreeMap<(String, String), usize>;

/// How a line is typed in Slack, and how by Discord's options.
#[derive(Clone, Copy)]
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

/// Where a release is told of, and what was done there.
pub(crate) trait Chat: Sized {
    type Mode: Copy;
    type Setup;
    type Post;

    /// A connection that we open ourselves, and being called by signed HTTP.
    const MODES: [Self::Mode; 2];

    /// Everybody of the play.
    fn cast() -> Self::Setup;
    /// The chat, and beside it an installation that knows it.
    async fn set(
        mode: Self::Mode,
        setup: Self::Setup,
        change: impl FnOnce(String) -> String,
    ) -> (Self, Installed);
    /// Until the program and the chat have found each other.
    async fn meets(&self, mode: Self::Mode, running: &Running);
    fn time_passes(&self, time: Duration);

    fn found(&self, channel: &str, wanted: &str) -> Option<Self::Post>;
    /// Without the signs that make it bold.
    fn text_of(&self, post: &Self::Post) -> String;
    fn count(&self, wanted: &str) -> usize;
    /// The room is read by those who saw it, and written by nobody.
    fn is_archived(&self) -> bool;
    fn everything(&self) -> String;
    /// Nothing that it objects to, and nobody who waited in vain.
    async fn assert_clean(&self);

    /// Everything that was done in the chat, each once.
    fn deeds(&self) -> BTreeSet<String>;
    /// Every message of ours, without the numbers that differ from run to run.
    fn said(&self) -> Said;
    fn strike(&self, side: Side, deed: &str);
    fn struck(&self) -> usize;
    fn release(&self);
}

/// One chat, with people who sit before it.
pub(crate) trait Screens: Chat {
    type Person;
    type Gesture;

    fn person(&self, name: &str) -> Self::Person;
    async fn sees(&self, channel: &str, wanted: &str) -> Self::Post;
    async fn sees_room(&self);
    async fn sees_edit(&self, post: &Self::Post, wanted: &str);
    /// Types a line, and reads the private answer.
    async fn asks(&self, who: &str, line: &str, answer: &str) -> String;
    /// The one of the two that is typed here.
    fn own<'a>(line: Typed<'a>) -> &'a str;
    /// Presses a button of a message in a channel, and reads the private answer.
    async fn presses(
        &self,
        who: &str,
        post: &Self::Post,
        label: &str,
        answer: &str,
    ) -> (Self::Gesture, String);
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
    fn exactly_once(&self, wanted: &str);
    fn was_called(&self, who: &str, post: &Self::Post) -> bool;
    fn transcript(&self) -> String;
}

/// What both chats are asked by the same words.
macro_rules! chat {
    () => {
        type Mode = Mode;
        type Setup = Setup;
        type Post = Post;

        fn cast() -> Setup {
            cast()
        }
        fn time_passes(&self, time: Duration) {
            self.clock().passes(time);
        }
        fn found(&self, channel: &str, wanted: &str) -> Option<Post> {
            self.says(channel, wanted)
        }
        fn text_of(&self, post: &Post) -> String {
            self.text_of(post).replace("**", "")
        }
        fn count(&self, wanted: &str) -> usize {
            self.count(wanted)
        }
        fn everything(&self) -> String {
            self.everything()
        }
        fn strike(&self, side: Side, deed: &str) {
            let harm = match side {
                Side::Before => Harm::Hold,
                Side::After => Harm::AnswerLost,
            };
            self.fault(Fault::on("*", harm).doing(doing, deed));
        }
        fn struck(&self) -> usize {
            self.struck()
        }
        fn release(&self) {
            self.release();
        }
    };
}

/// What people do on both screens by the same words.
macro_rules! screens {
    () => {
        type Person = Person;
        type Gesture = Gesture;

        fn person(&self, name: &str) -> Person {
            self.person(name)
        }
        async fn sees(&self, channel: &str, wanted: &str) -> Post {
            self.sees(channel, wanted).await
        }
        async fn sees_room(&self) {
            self.sees_channel(ROOM).await;
        }
        async fn sees_edit(&self, post: &Post, wanted: &str) {
            self.sees_edit(post, wanted).await;
        }
        async fn asks(&self, who: &str, line: &str, answer: &str) -> String {
            let person = self.person(who);
            person.types(&format!("/release {line}"), "releases").await.answered().await;
            let seen = person.sees_ephemeral(answer).await;
            self.whisper_text(&seen)
        }
        async fn presses(
            &self,
            who: &str,
            post: &Post,
            label: &str,
            answer: &str,
        ) -> (Gesture, String) {
            let person = self.person(who);
            let gesture = person.presses(post, label).await;
            gesture.answered().await;
            let seen = person.sees_ephemeral(answer).await;
            (gesture, self.whisper_text(&seen))
        }
        async fn gives_reason(
            &self,
            who: &str,
            post: &Post,
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
        async fn ticks(&self, who: &str, card: &Post, item: &str, answer: &str) {
            let person = self.person(who);
            person.presses(card, "Checklist").await.answered().await;
            let list = person.sees_ephemeral(item).await;
            person.presses_in_whisper(&list, &format!("✓ {item}")).await.answered().await;
            person.sees_ephemeral(answer).await;
        }
        fn exactly_once(&self, wanted: &str) {
            self.exactly_once(wanted);
        }
        fn transcript(&self) -> String {
            self.transcript(ROOM)
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
    use crate::slack_world::{Call, Fault, Gesture, Harm, Person, Post, Setup, SlackWorld};
    use slack_stage::{Mode, cast};

    impl Chat for SlackWorld {
        chat!();

        const MODES: [Mode; 2] = [Mode::Socket, Mode::Http];

        async fn set(
            mode: Mode,
            setup: Setup,
            change: impl FnOnce(String) -> String,
        ) -> (Self, Installed) {
            let world = Self::with(setup).await;
            let (name, public) = match mode {
                Mode::Socket => ("socket", ""),
                Mode::Http => ("http", PUBLIC),
            };
            let config =
                prop("tminus.toml").replace("{mode}", name).replace("# {public_url}", public);
            let here = Installed::new(&change(world.known_to(config)));
            let here = world.trusts(here);
            (world, here)
        }

        async fn meets(&self, mode: Mode, running: &Running) {
            match mode {
                Mode::Socket => self.connected(1).await,
                Mode::Http => self.calls_bot_at(&running.address),
            }
        }

        fn is_archived(&self) -> bool {
            self.channel(ROOM).archived
        }

        async fn assert_clean(&self) {
            self.assert_clean().await;
        }

        fn deeds(&self) -> BTreeSet<String> {
            let calls = self.all_calls();
            let changing = calls.iter().filter(|call| call.acted && changes_something(call));
            changing.map(|call| doing(&call.method, &call.args)).collect()
        }

        fn said(&self) -> Said {
            self.look(|workspace| {
                let mut said = Said::new();
                for channel in workspace.channels.values() {
                    for message in channel.messages.iter().filter(|it| !it.deleted) {
                        let key = key_of(&message.content.metadata);
                        let text = match is_card(&key) {
                            true => card(&key),
                            false => story(&self.shows(&message.content, workspace)),
                        };
                        *said.entry((channel.name.clone(), text)).or_default() += 1;
                    }
                }
                said
            })
        }
    }

    impl Screens for SlackWorld {
        screens!();

        fn own<'a>(line: Typed<'a>) -> &'a str {
            line.slack
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

        /// A mention rings; a name in a text does not.
        fn was_called(&self, who: &str, post: &Post) -> bool {
            let id = self.person(who).id;
            self.look(|workspace| {
                let channel = &workspace.channels[&post.channel];
                let message = channel.messages.iter().find(|it| it.ts == post.ts).unwrap();
                let blocks = message.content.all_blocks().to_string();
                blocks.contains(&format!(r#""user_id":"{id}""#))
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
    use crate::discord_world::permissions::{SEND_MESSAGES, in_channel};
    use crate::discord_world::{Call, DiscordWorld, Fault, Gesture, Harm, Person, Post, Setup, id};
    use discord_stage::{Mode, cast};

    impl Chat for DiscordWorld {
        chat!();

        const MODES: [Mode; 2] = [Mode::Gateway, Mode::Http];

        async fn set(
            mode: Mode,
            setup: Setup,
            change: impl FnOnce(String) -> String,
        ) -> (Self, Installed) {
            let world = Self::with(setup).await;
            let (name, public) = match mode {
                Mode::Gateway => ("gateway", ""),
                Mode::Http => ("http", PUBLIC),
            };
            let config = shop::moved(&prop("tminus.toml"), Where::Discord)
                .replace("{discord_mode}", name)
                .replace("# {public_url}", public);
            let here = Installed::new(&change(world.known_to(config)));
            let here = world.trusts(here);
            (world, here)
        }

        async fn meets(&self, mode: Mode, running: &Running) {
            match mode {
                Mode::Gateway => self.connected(1).await,
                Mode::Http => self.calls_bot_at(&running.address),
            }
            self.registered("release").await;
        }

        fn is_archived(&self) -> bool {
            let ann = self.person("ann");
            let archive = id("channel", "archive");
            self.look(|realm| {
                let room = realm.channel(ROOM);
                let may = in_channel(realm, room, &ann.id) & SEND_MESSAGES != 0;
                room.parent.as_ref() == Some(&archive) && !may
            })
        }

        /// Besides, no command that cannot be typed as we say.
        async fn assert_clean(&self) {
            self.assert_clean().await;
            let untypeable = self.untypeable();
            assert!(untypeable.is_empty(), "{untypeable:#?}");
        }

        fn deeds(&self) -> BTreeSet<String> {
            let calls = self.all_calls();
            let changing = calls.iter().filter(|call| call.acted && changes_something(call));
            changing.map(|call| doing(&call.operation, &call.path, &call.body)).collect()
        }

        fn said(&self) -> Said {
            self.look(|realm| {
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

    impl Screens for DiscordWorld {
        screens!();

        fn own<'a>(line: Typed<'a>) -> &'a str {
            line.discord
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

        fn was_called(&self, who: &str, post: &Post) -> bool {
            self.person(who).was_pinged_by(post)
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
