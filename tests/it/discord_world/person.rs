//! A person's hands and eyes: they type, press what they can see, fill in forms, and read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::delivery::{self, Outcome, Parcel};
use super::payloads::{self, Scene};
use super::permissions::{SEND_MESSAGES, VIEW_CHANNEL, in_channel};
use super::realm::{Content, Kind, Message};
use super::screen::{Post, Sheet, Whisper};
use super::state::{Deed, Interaction, State, What, World};
use super::{form, seen, typed};

/// Where a person talks with the bot alone.
pub(crate) const IN_PRIVATE: &str = "in private";

#[derive(Clone)]
pub(crate) struct Person {
    pub(super) world: Arc<World>,
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Something a person did, that went to the bot.
#[derive(Clone)]
pub(crate) struct Gesture {
    world: Arc<World>,
    pub(super) deed: usize,
    pub(crate) outcome: Outcome,
}

impl Gesture {
    /// How long until the bot acknowledged it.
    pub(crate) fn acknowledged_in(&self) -> Option<Duration> {
        self.world.look(|state| {
            let deed = &state.deeds[self.deed];
            Some(deed.acknowledged? - deed.at)
        })
    }

    /// Waits until the person saw that something came of it; how long that took.
    pub(crate) async fn answered(&self) -> Duration {
        let look = |state: &State| {
            let deed = &state.deeds[self.deed];
            Some(deed.answered? - deed.at)
        };
        self.world.eventually("an answer to what was done", look).await
    }
}

/// What is done, before it has a number.
struct Act<'a> {
    what: String,
    kind: What,
    channel: &'a str,
    message: Option<String>,
}

impl Person {
    /// `/release status v1.2.0`, `/release go release:v1.2.0`, and so on, as Discord's client
    /// would send it; it must be one that the bot has registered.
    pub(crate) async fn types(&self, line: &str, channel: &str) -> Gesture {
        let typed = self.tries(line, channel).await;
        typed.unwrap_or_else(|why| panic!("{} cannot send {line:?}: {why}", self.name))
    }

    /// The same, with what the client says where it does not send it.
    pub(crate) async fn tries(&self, line: &str, channel: &str) -> Result<Gesture, String> {
        let channel = self.place(channel);
        let (typed, data) = self.world.look(|state| {
            let typed = typed::read(state, &self.id, &channel, line)?;
            let data = typed.data(&state.realm, &state.realm.channels[&channel])?;
            Ok::<_, String>((typed, data))
        })?;
        if self.world.look(|state| state.setup.completes && state.backlog.is_none()) {
            for focused in typed.completed() {
                let half = self
                    .world
                    .look(|state| typed.unfinished(&state.realm.channels[&channel], focused));
                // The client goes on while it waits.
                let (me, line, channel) = (self.clone(), line.to_owned(), channel.clone());
                tokio::spawn(async move { me.asks(&line, &channel, &half).await });
            }
        }
        let what = format!("{} types {line}", self.name);
        let act = Act { what, kind: What::Command, channel: &channel, message: None };
        let parcel = self.prepare(act, |scene, _| scene.command(&data));
        Ok(self.send(parcel).await)
    }

    /// What is offered for the last option of a line that is not finished, by name.
    pub(crate) async fn completes(&self, line: &str, channel: &str) -> Vec<String> {
        let channel = self.place(channel);
        let half = self.world.look(|state| {
            let typed = typed::read(state, &self.id, &channel, line)?;
            let last = typed.completed().last().copied().ok_or("nothing is completed here")?;
            Ok::<_, String>(typed.unfinished(&state.realm.channels[&channel], last))
        });
        let half = half.unwrap_or_else(|why| panic!("{} types {line:?}: {why}", self.name));
        let number = self.asks(line, &channel, &half).await;
        self.world.look(|state| {
            let choices = state.interactions[number].choices.iter();
            choices.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
        })
    }

    async fn asks(&self, line: &str, channel: &str, half: &Value) -> usize {
        let what = format!("{} is typing {line}", self.name);
        let act = Act { what, kind: What::Completion, channel, message: None };
        let parcel = self.prepare(act, |scene, _| scene.completion(half));
        self.world.change(|state| state.deeds[parcel.deed].silent = true);
        let number = parcel.interaction;
        delivery::deliver(&self.world, parcel).await;
        number
    }

    /// The button with this label, in the message as it stands now.
    pub(crate) async fn presses(&self, post: &Post, label: &str) -> Gesture {
        let content = self.world.look(|state| post.message(state).content.clone());
        self.press_in(post, &content, label).await
    }

    /// The same, on a screen that still shows an earlier version; the first one is 0.
    pub(crate) async fn presses_old(&self, post: &Post, version: usize, label: &str) -> Gesture {
        let content = self.world.look(|state| post.message(state).earlier[version].clone());
        self.press_in(post, &content, label).await
    }

    pub(crate) async fn presses_in_whisper(&self, whisper: &Whisper, label: &str) -> Gesture {
        self.presses(&whisper.post(), label).await
    }

    async fn press_in(&self, post: &Post, content: &Content, label: &str) -> Gesture {
        let parcel = self.would_press(post, content, label);
        self.send(parcel).await
    }

    pub(super) fn would_press(&self, post: &Post, content: &Content, label: &str) -> Parcel {
        let button = self.find(content, label, form::button(&content.components, label));
        let data = json!({"component_type": 2, "custom_id": button["custom_id"], "id": 1});
        self.touches(post, label, &data)
    }

    /// Chooses from the menu with this placeholder or custom id.
    pub(crate) async fn picks(&self, post: &Post, menu: &str, choice: &str) -> Gesture {
        let content = self.world.look(|state| post.message(state).content.clone());
        let found = self.find(&content, menu, form::menu(&content.components, menu));
        let mut data = json!({
            "component_type": found["type"], "custom_id": found["custom_id"], "id": 1,
        });
        if found["type"] == 3 {
            let value = form::option(&found, choice);
            data["values"] = json!([value.unwrap_or_else(|| panic!("{menu} has no {choice:?}"))]);
        } else {
            let id = self.world.look(|state| {
                let user = state.realm.users.values().find(|it| it.name == choice);
                let role = state.realm.guild().roles.values().find(|it| it.name == choice);
                user.map(|it| it.id.clone()).or(role.map(|it| it.id.clone()))
            });
            let id = id.unwrap_or_else(|| panic!("nobody is called {choice}"));
            data["resolved"] = self.world.look(|state| {
                let guild = state.realm.channels[&post.channel].guild.as_deref();
                payloads::resolved(&state.realm, guild, std::slice::from_ref(&id))
            });
            data["values"] = json!([id]);
        }
        let parcel = self.touches(post, menu, &data);
        self.send(parcel).await
    }

    fn touches(&self, post: &Post, label: &str, data: &Value) -> Parcel {
        let what = format!("{} presses {label}", self.name);
        let message = Some(post.id.clone());
        let act = Act { what, kind: What::Component, channel: &post.channel, message };
        self.prepare(act, |scene, message| scene.press(message.expect("it was just there"), data))
    }

    /// Fills in the fields by their labels and sends the form; what is not named stays as it is.
    pub(crate) async fn submits(&self, sheet: &Sheet, fields: &[(&str, &str)]) -> Gesture {
        let sent = self.tries_to_submit(sheet, fields).await;
        sent.unwrap_or_else(|why| panic!("{} cannot send the form: {why}", self.name))
    }

    pub(crate) async fn tries_to_submit(
        &self,
        sheet: &Sheet,
        fields: &[(&str, &str)],
    ) -> Result<Gesture, String> {
        let modal = self.world.look(|state| state.modals[&sheet.id].clone());
        assert!(modal.open && modal.user == self.id, "{} has no such form open", self.name);
        let data = form::values(&modal.body, fields)?;
        let what = format!("{} submits {fields:?}", self.name);
        let act =
            Act { what, kind: What::Submission, channel: &modal.channel, message: modal.message };
        let parcel = self.prepare(act, |scene, message| scene.submission(message, &data));
        let gesture = self.send(parcel).await;
        // Without an answer it stays open, with "Something went wrong".
        let taken = matches!(gesture.outcome, Outcome::Acknowledged(_));
        self.world.change(|state| {
            state.modals.get_mut(&sheet.id).expect("it was just there").open = !taken;
        });
        Ok(gesture)
    }

    /// Leaves the form; the bot never hears of it.
    pub(crate) fn closes(&self, sheet: &Sheet) {
        self.world.change(|state| {
            state.modals.get_mut(&sheet.id).expect("it was open").open = false;
        });
    }

    /// Something in a channel that no bot has to answer, nor hears of.
    pub(crate) fn says(&self, channel: &str, text: &str) -> Post {
        let (channel, now) = (self.place(channel), self.world.clock.now());
        self.world.change(|state| {
            let place = &state.realm.channels[&channel];
            let may = in_channel(&state.realm, place, &self.id) & SEND_MESSAGES != 0;
            assert!(may, "{} may not speak in {}", self.name, place.name);
            let id = state.snowflake(now);
            let content = Content { text: text.to_owned(), ..Content::default() };
            let message = Message::new(&id, &self.id, content, now);
            state.realm.channel_mut(&channel).messages.push(message);
            Post { channel, id }
        })
    }

    /// What only this person sees; each is read once.
    pub(crate) async fn sees_ephemeral(&self, wanted: &str) -> Whisper {
        let look = |state: &State| {
            let realm = &state.realm;
            let own = |it: &&Message| {
                it.only_for.as_ref() == Some(&self.id) && !it.deleted && !it.read && !it.thinking
            };
            realm.channels.values().find_map(|channel| {
                let mut notes = channel.messages.iter().filter(own);
                let found = notes.find(|it| seen::holds(&it.content, realm, wanted))?;
                Some(Whisper { channel: channel.id.clone(), id: found.id.clone() })
            })
        };
        let what = format!("an answer for {} with {wanted:?}", self.name);
        let whisper = self.world.eventually(&what, look).await;
        self.world.change(|state| {
            let channel = state.realm.channel_mut(&whisper.channel);
            if let Some(note) = channel.message_mut(&whisper.id) {
                note.read = true;
            }
        });
        whisper
    }

    /// A message in the conversation of this person with the bot.
    pub(crate) async fn sees_private(&self, wanted: &str) -> Post {
        let look = |state: &State| {
            let realm = &state.realm;
            let mut own = realm.channels.values();
            let channel =
                own.find(|it| it.kind == Kind::Dm && it.with.as_ref() == Some(&self.id))?;
            let found = channel.shown().rev().find(|it| seen::holds(&it.content, realm, wanted))?;
            Some(Post { channel: channel.id.clone(), id: found.id.clone() })
        };
        let what = format!("{wanted:?} for {} in private", self.name);
        self.world.eventually(&what, look).await
    }

    /// A form on this person's screen, by its title.
    pub(crate) async fn sees_view(&self, title: &str) -> Sheet {
        let look = |state: &State| {
            let mut open = state.modals.values().filter(|it| it.open && it.user == self.id);
            let found =
                open.find(|it| it.body["title"].as_str().is_some_and(|own| own.contains(title)))?;
            Some(Sheet { id: found.id.clone() })
        };
        self.world.eventually(&format!("{} sees the form {title:?}", self.name), look).await
    }

    /// Whether this person can read the channel.
    pub(crate) fn can_see(&self, channel: &str) -> bool {
        self.world.look(|state| {
            let channel = state.realm.channel(channel);
            in_channel(&state.realm, channel, &self.id) & VIEW_CHANNEL != 0
        })
    }

    /// Whether this message rang on this person's phone.
    pub(crate) fn was_pinged_by(&self, post: &Post) -> bool {
        self.world.look(|state| {
            let pings = &post.message(state).pings;
            let own = |guild: &super::realm::Guild| {
                guild.members.get(&self.id).is_some_and(|it| it.iter().any(|it| pings.contains(it)))
            };
            let in_role = state.realm.guilds.values().any(own);
            pings.contains(&self.id) || pings.contains("everyone") || in_role
        })
    }

    /// The id of a channel by its name, seen by this person.
    fn place(&self, channel: &str) -> String {
        let now = self.world.clock.now();
        self.world.change(|state| {
            if channel == IN_PRIVATE {
                let mut all = state.realm.channels.values();
                let known =
                    all.find(|it| it.kind == Kind::Dm && it.with.as_ref() == Some(&self.id));
                let known = known.map(|it| it.id.clone());
                return known.unwrap_or_else(|| state.opens_dm(&self.id, now));
            }
            let channel = state.realm.channel(channel);
            let sees = in_channel(&state.realm, channel, &self.id) & VIEW_CHANNEL != 0;
            assert!(sees, "{} does not see {}", self.name, channel.name);
            channel.id.clone()
        })
    }

    /// Something that can be pressed; what is not there, or is grey, cannot.
    fn find(&self, content: &Content, label: &str, found: Option<Value>) -> Value {
        let found = found.filter(|it| it["disabled"] != true && it["custom_id"].is_string());
        found.unwrap_or_else(|| {
            let screen = self.world.look(|state| seen::readable(content, &state.realm));
            panic!("{} can press no {label:?} here:\n{screen}", self.name)
        })
    }

    fn prepare(
        &self,
        act: Act<'_>,
        write: impl FnOnce(&Scene<'_>, Option<&Message>) -> Value,
    ) -> Parcel {
        let now = self.world.clock.now();
        let channel = self.place(act.channel);
        self.world.change(|state| {
            let deed = state.deeds.len();
            state.deeds.push(Deed {
                what: act.what,
                user: self.id.clone(),
                channel: channel.clone(),
                at: now,
                acknowledged: None,
                answered: None,
                outcome: None,
                silent: false,
            });
            let (id, token) = (state.snowflake(now), payloads::token(state.serial(), now));
            let (user, realm) = (self.id.as_str(), &state.realm);
            let scene = Scene { realm, user, channel: &channel, id: &id, token: &token };
            let message = act.message.as_ref().and_then(|it| realm.channels[&channel].message(it));
            let payload = write(&scene, message);
            state.interactions.push(Interaction {
                id,
                token,
                what: act.kind,
                user: self.id.clone(),
                channel,
                message: act.message,
                deed,
                at: now,
                response: None,
                original: None,
                payload,
                choices: Vec::new(),
            });
            Parcel { deed, interaction: state.interactions.len() - 1 }
        })
    }

    /// What a line would send, not sent: material for an attack.
    pub(super) fn would_type(&self, line: &str, channel: &str) -> Parcel {
        let channel = self.place(channel);
        let data = self.world.look(|state| {
            let typed = typed::read(state, &self.id, &channel, line)?;
            typed.data(&state.realm, &state.realm.channels[&channel])
        });
        let data = data.unwrap_or_else(|why| panic!("{line:?}: {why}"));
        let what = "an attack".to_owned();
        let act = Act { what, kind: What::Command, channel: &channel, message: None };
        let parcel = self.prepare(act, |scene, _| scene.command(&data));
        self.world.change(|state| state.deeds[parcel.deed].silent = true);
        parcel
    }

    async fn send(&self, parcel: Parcel) -> Gesture {
        let deed = parcel.deed;
        let outcome = delivery::deliver(&self.world, parcel).await;
        Gesture { world: Arc::clone(&self.world), deed, outcome }
    }
}
