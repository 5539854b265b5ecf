//! A person's hands and eyes: they type, press what they can see, fill in forms, and read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::delivery::{self, Kind, Outcome, Parcel};
use super::payloads::{Scene, action};
use super::screen::{Post, Sheet, Whisper};
use super::state::{Deed, State, World};
use super::workspace::{BOT_USER, Content, ENTERPRISE, Message, OTHER_TEAM, User};
use super::{answers, form, seen};

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
    /// What the confirm dialog said, if there was one.
    pub(crate) confirmed: Option<String>,
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

/// An organisation is named in everything that comes from one of its workspaces, whoever acted.
fn on_grid(kind: Kind, payload: &mut Value) {
    match kind {
        Kind::Command => payload["enterprise_id"] = json!(ENTERPRISE),
        Kind::Interaction => payload["enterprise"] = json!({"id": ENTERPRISE, "name": "Home"}),
        Kind::Event => payload["authorizations"][0]["enterprise_id"] = json!(ENTERPRISE),
    }
}

/// What an element belongs to, when it is pressed.
enum On<'a> {
    Message { channel: &'a str, ts: &'a str, ephemeral: bool, content: &'a Content },
    View(&'a str),
}

impl Person {
    pub(super) fn itself(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), id: BOT_USER.to_owned(), name: "tminus".to_owned() }
    }

    /// `/release status v1.2.0` and the like, with what comes back at once.
    pub(crate) async fn types(&self, line: &str, channel: &str) -> Gesture {
        assert!(line.starts_with('/'), "only commands come to the bot: {line}");
        let channel = self.world.look(|state| state.workspace.channel(channel).id.clone());
        let what = format!("{} types {line}", self.name);
        let parcel = self.prepare(&what, Some(&channel), None, |scene, state| {
            (Kind::Command, scene.command(state, &channel, line))
        });
        self.send(Parcel { channel, ..parcel }).await
    }

    /// The same, not sent: material for an attack.
    pub(super) fn would_type(&self, line: &str, channel: &str) -> Parcel {
        let parcel = self.prepare("an attack", Some(channel), None, |scene, state| {
            state.deeds[scene.deed].silent = true;
            (Kind::Command, scene.command(state, channel, line))
        });
        Parcel { channel: channel.to_owned(), ..parcel }
    }

    pub(super) fn would_press(&self, post: &Post, label: &str) -> Parcel {
        let content = self.world.look(|state| post.message(state).content.clone());
        let (block, element) = self.find(&content.all_blocks(), label, &content);
        self.prepare("an attack", Some(&post.channel), None, |scene, state| {
            state.deeds[scene.deed].silent = true;
            let done = action(&block, &element, scene.now);
            let place = (post.channel.as_str(), post.ts.as_str(), false);
            (Kind::Interaction, scene.press_in_message(state, place, &content, done))
        })
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

    async fn press_in(&self, post: &Post, content: &Content, label: &str) -> Gesture {
        let on = On::Message { channel: &post.channel, ts: &post.ts, ephemeral: false, content };
        let found = self.find(&content.all_blocks(), label, content);
        self.act(on, found, label, json!({})).await
    }

    pub(crate) async fn presses_in_whisper(&self, whisper: &Whisper, label: &str) -> Gesture {
        let content = self.world.look(|state| whisper.note(state).content.clone());
        let found = self.find(&content.all_blocks(), label, &content);
        let (channel, ts) = (whisper.channel.as_str(), whisper.ts.as_str());
        let on = On::Message { channel, ts, ephemeral: true, content: &content };
        self.act(on, found, label, json!({})).await
    }

    pub(crate) async fn presses_in_sheet(&self, sheet: &Sheet, label: &str) -> Gesture {
        let blocks =
            self.world.look(|state| state.workspace.views[&sheet.id].body["blocks"].clone());
        let found = self.find(&blocks, label, &Content::default());
        self.act(On::View(&sheet.id), found, label, json!({})).await
    }

    /// Chooses from the menu with this placeholder or action id, in a message.
    pub(crate) async fn picks(&self, post: &Post, menu: &str, choice: &str) -> Gesture {
        let content = self.world.look(|state| post.message(state).content.clone());
        let (block, element) = form::menu(&content.all_blocks(), menu);
        let workspace = |state: &State| form::filled(&element, choice, &state.workspace);
        let chosen = self.world.look(workspace);
        let (channel, ts) = (post.channel.as_str(), post.ts.as_str());
        let on = On::Message { channel, ts, ephemeral: false, content: &content };
        self.act(on, (block, element), menu, chosen).await
    }

    /// Fills in the fields by their labels and sends the form; what is not named stays as it is.
    pub(crate) async fn submits(&self, sheet: &Sheet, fields: &[(&str, &str)]) -> Gesture {
        let values = self.world.look(|state| {
            let view = &state.workspace.views[&sheet.id];
            assert!(view.open, "{} is closed", view.title());
            form::values(&view.body["blocks"], fields, &state.workspace)
        });
        let what = format!("{} submits {:?}", self.name, fields);
        let parcel = self.prepare(&what, None, Some(&sheet.id), |scene, state| {
            (Kind::Interaction, scene.submission(state, &sheet.id, values))
        });
        self.send(parcel).await
    }

    /// Leaves the form; the bot hears of it only if it asked to.
    pub(crate) async fn closes(&self, sheet: &Sheet) -> Option<Gesture> {
        let wanted = self.world.change(|state| {
            let view = state.workspace.views.get_mut(&sheet.id).expect("it was open");
            view.open = false;
            view.body["notify_on_close"] == true
        });
        if !wanted {
            return None;
        }
        let what = format!("{} closes a form", self.name);
        let parcel = self.prepare(&what, None, Some(&sheet.id), |scene, state| {
            state.deeds[scene.deed].silent = true;
            (Kind::Interaction, scene.closing(state, &sheet.id))
        });
        Some(self.send(parcel).await)
    }

    pub(crate) async fn opens_home(&self) -> Gesture {
        let what = format!("{} opens the home tab", self.name);
        let parcel =
            self.prepare(&what, None, None, |scene, state| (Kind::Event, scene.home_opened(state)));
        self.send(parcel).await
    }

    /// Something in a channel that no bot has to answer; `event` is what Slack tells the bot.
    pub(crate) async fn says(&self, channel: &str, text: &str, event: Option<&str>) -> Post {
        let now = self.world.clock.now();
        let post = self.world.change(|state| {
            let ts = state.ts(now);
            let channel = state.workspace.channel(channel).id.clone();
            let content = Content { text: text.to_owned(), ..Content::default() };
            let message = Message::new(&self.id, &ts, content, now);
            state.workspace.channel_mut(&channel).messages.push(message);
            Post { channel, ts }
        });
        if let Some(kind) = event {
            let told = json!({
                "type": kind, "user": self.id, "text": text, "ts": post.ts,
                "channel": post.channel, "channel_type": "channel", "event_ts": post.ts,
            });
            self.tells(told).await;
        }
        post
    }

    /// Any event at all, in the name of this person.
    pub(crate) async fn tells(&self, event: Value) -> Gesture {
        let what = format!("{}: event {}", self.name, event["type"]);
        let parcel = self.prepare(&what, None, None, |scene, state| {
            state.deeds[scene.deed].silent = true;
            (Kind::Event, scene.event(state, &event))
        });
        self.send(parcel).await
    }

    /// What only this person sees; each is read once.
    pub(crate) async fn sees_ephemeral(&self, wanted: &str) -> Whisper {
        let look = |state: &State| {
            let own = |it: &&super::workspace::Ephemeral| it.user == self.id && !it.read;
            let mut notes = state.workspace.ephemerals.iter().filter(own);
            let found = notes.find(|it| seen::holds(&it.content, &state.workspace, wanted))?;
            Some(Whisper { channel: found.channel.clone(), ts: found.ts.clone() })
        };
        let what = format!("an answer for {} with {wanted:?}", self.name);
        let whisper = self.world.eventually(&what, look).await;
        self.world.change(|state| {
            let mut notes = state.workspace.ephemerals.iter_mut();
            if let Some(note) = notes.find(|it| it.ts == whisper.ts) {
                note.read = true;
            }
        });
        whisper
    }

    /// A form on this person's screen, by its title.
    pub(crate) async fn sees_view(&self, title: &str) -> Sheet {
        let look = |state: &State| {
            let mut views = state.workspace.views.values().filter(|it| it.open);
            let found = views.find(|it| {
                it.user == self.id && it.body["type"] == "modal" && it.title().contains(title)
            })?;
            Some(Sheet { id: found.id.clone() })
        };
        self.world.eventually(&format!("{} sees the form {title:?}", self.name), look).await
    }

    pub(crate) async fn sees_home(&self, wanted: &str) -> Sheet {
        let look = |state: &State| {
            let id = state.workspace.homes.get(&self.id)?;
            let blocks = state.workspace.views[id].body["blocks"].clone();
            let content = Content { blocks, ..Content::default() };
            let there = seen::readable(&content, &state.workspace).contains(wanted);
            there.then(|| Sheet { id: id.clone() })
        };
        self.world.eventually(&format!("{}'s home with {wanted:?}", self.name), look).await
    }

    fn user(&self, state: &State) -> User {
        state.workspace.users[&self.id].clone()
    }

    /// The block and the button in it; a label that is not there cannot be pressed.
    fn find(&self, blocks: &Value, label: &str, content: &Content) -> (Value, Value) {
        form::button(blocks, label).unwrap_or_else(|| {
            let screen = self.world.look(|state| seen::readable(content, &state.workspace));
            panic!("{} sees no button {label:?} here:\n{screen}", self.name)
        })
    }

    async fn act(
        &self,
        on: On<'_>,
        (block, element): (Value, Value),
        label: &str,
        chosen: Value,
    ) -> Gesture {
        let confirmed = element["confirm"]["text"]["text"].as_str().map(str::to_owned);
        let what = format!("{} presses {label}", self.name);
        let (channel, message, view) = match &on {
            On::Message { channel, ts, .. } => (Some(*channel), Some((*ts).to_owned()), None),
            On::View(view) => (None, None, Some(*view)),
        };
        let parcel = self.prepare(&what, channel, view, |scene, state| {
            let mut done = action(&block, &element, scene.now);
            for (name, value) in chosen.as_object().into_iter().flatten() {
                done[name] = value.clone();
            }
            let payload = match on {
                On::Message { channel, ts, ephemeral, content } => {
                    let place = (channel, ts, ephemeral);
                    scene.press_in_message(state, place, content, done)
                }
                On::View(view) => {
                    let blocks = state.workspace.views[view].body["blocks"].clone();
                    let values = form::initial(&blocks);
                    scene.press_in_view(state, (view, values), done)
                }
            };
            (Kind::Interaction, payload)
        });
        let mut gesture = self.send(Parcel { message, ..parcel }).await;
        gesture.confirmed = confirmed;
        gesture
    }

    fn prepare(
        &self,
        what: &str,
        channel: Option<&str>,
        view: Option<&str>,
        write: impl FnOnce(&Scene, &mut State) -> (Kind, Value),
    ) -> Parcel {
        let now = self.world.clock.now();
        self.world.change(|state| {
            let user = self.user(state);
            let deed = state.deeds.len();
            state.deeds.push(Deed {
                what: what.to_owned(),
                user: self.id.clone(),
                channel: channel.map(str::to_owned),
                view: view.map(str::to_owned),
                at: now,
                acknowledged: None,
                answered: None,
                outcome: None,
                silent: false,
            });
            let scene = Scene { user: &user, deed, now, base: &self.world.base };
            let (kind, mut payload) = write(&scene, state);
            if state.setup.grid {
                on_grid(kind, &mut payload);
            }
            let name = payload["type"].as_str().unwrap_or("slash_commands");
            for field in answers::undocumented(&format!("payload {name}"), &payload) {
                state.violated(format!("the stand-in itself: {name} carries `{field}`"));
            }
            Parcel {
                deed,
                kind,
                payload,
                user: self.id.clone(),
                channel: channel.unwrap_or_default().to_owned(),
                message: None,
                view: view.map(str::to_owned),
            }
        })
    }

    async fn send(&self, parcel: Parcel) -> Gesture {
        let deed = parcel.deed;
        let outcome = delivery::deliver(&self.world, parcel).await;
        Gesture { world: Arc::clone(&self.world), deed, outcome, confirmed: None }
    }

    pub(crate) fn is_stranger(&self) -> bool {
        self.world.look(|state| self.user(state).team() == OTHER_TEAM)
    }
}
