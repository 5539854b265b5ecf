//! What Slack sends to the bot: once, acknowledged in time, and again only where Slack does that.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::hooks::{self, Place};
use super::socket::Order;
use super::state::{PATIENCE, State, World};
use super::{api, signed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Interaction,
    Event,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Command => "slash_commands",
            Self::Interaction => "interactive",
            Self::Event => "events_api",
        }
    }
}

/// How it went, as Slack sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// With what the acknowledgement carried.
    Acknowledged(Value),
    TimedOut,
    /// The connection ended before an acknowledgement came.
    Lost,
    /// Over HTTP: anything but 200.
    Refused(u16),
}

#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) deed: usize,
    pub(super) kind: Kind,
    pub(super) payload: Value,
    pub(super) user: String,
    pub(super) channel: String,
    pub(super) message: Option<String>,
    pub(super) view: Option<String>,
}

impl Parcel {
    pub(super) fn accepts_payload(&self) -> bool {
        let answerable = ["view_submission", "block_suggestion"];
        let kind = self.payload["type"].as_str().unwrap_or_default();
        self.kind == Kind::Command || answerable.contains(&kind)
    }
}

/// One envelope, as it was sent and acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) envelope: String,
    pub(super) parcel: Parcel,
    pub(super) links: Vec<u64>,
    pub(crate) sent: Duration,
    pub(crate) acknowledgements: Vec<Duration>,
    pub(super) answer: Value,
}

pub(super) async fn deliver(world: &Arc<World>, parcel: Parcel) -> Outcome {
    let outcome = once(world, &parcel, None).await;
    let what = world.change(|state| {
        let deed = &mut state.deeds[parcel.deed];
        deed.outcome = Some(outcome.clone());
        deed.what.clone()
    });
    if let Outcome::Refused(status) = outcome {
        world.change(|state| state.violated(format!("{what}: the bot answered {status}")));
    }
    let failed = !matches!(outcome, Outcome::Acknowledged(_));
    if failed && parcel.kind == Kind::Event {
        tokio::spawn(retried(Arc::clone(world), parcel));
    }
    outcome
}

/// Events come again at once, after a minute and after five; nothing else does.
async fn retried(world: Arc<World>, parcel: Parcel) {
    for (attempt, wait) in [(1, 0), (2, 60), (3, 300)] {
        world.clock.until(world.clock.now() + Duration::from_secs(wait)).await;
        let outcome = once(&world, &parcel, Some(attempt)).await;
        if matches!(outcome, Outcome::Acknowledged(_)) {
            world.change(|state| state.deeds[parcel.deed].outcome = Some(outcome));
            return;
        }
    }
}

async fn once(world: &Arc<World>, parcel: &Parcel, attempt: Option<u32>) -> Outcome {
    if let Some(url) = world.look(|state| state.setup.bot_url.clone()) {
        return signed::deliver(world, &url, parcel, attempt).await;
    }
    let ready = |state: &State| state.ready().map(|_| ());
    if tokio::time::timeout(PATIENCE, world.until(ready)).await.is_err() {
        world.change(|state| state.violated("nobody is connected to hear it"));
        return Outcome::Lost;
    }
    let now = world.clock.now();
    let envelope = world.change(|state| state.send(parcel, attempt, now));
    let window = world.look(|state| state.setup.windows.answer);
    tokio::select! {
        outcome = world.until(|state| state.outcome(&envelope)) => outcome,
        () = world.clock.until(now + window) => world.change(|state| state.overdue(&envelope)),
    }
}

impl State {
    /// The connections take turns, each round beginning with another: what comes in pairs would
    /// otherwise always find the same one.
    fn ready(&self) -> Option<u64> {
        let ready: Vec<u64> =
            self.links.iter().filter(|it| it.open && !it.leaving).map(|it| it.id).collect();
        let turn = self.deliveries.len();
        (!ready.is_empty()).then(|| ready[(turn + turn / ready.len()) % ready.len()])
    }

    fn send(&mut self, parcel: &Parcel, attempt: Option<u32>, now: Duration) -> String {
        let envelope = format!("0000-envelope-{}", self.serial());
        let mut frame = json!({
            "envelope_id": envelope, "type": parcel.kind.name(), "payload": parcel.payload,
            "accepts_response_payload": parcel.accepts_payload(),
        });
        if parcel.kind == Kind::Event {
            frame["retry_attempt"] = json!(attempt.unwrap_or(0));
            frame["retry_reason"] = json!(attempt.map_or("", |_| "timeout"));
        }
        let links: Vec<u64> = self.ready().into_iter().collect();
        self.put(&links, &frame);
        self.deliveries.push(Delivery {
            envelope: envelope.clone(),
            parcel: parcel.clone(),
            links,
            sent: now,
            acknowledgements: Vec::new(),
            answer: Value::Null,
        });
        envelope
    }

    fn put(&mut self, links: &[u64], frame: &Value) {
        if let Some(backlog) = &mut self.backlog {
            backlog.extend(links.iter().map(|link| (*link, frame.to_string())));
            return;
        }
        for link in self.links.iter().filter(|it| links.contains(&it.id)) {
            link.out.send(Order::Say(frame.to_string())).ok();
        }
    }

    /// The same envelope once more, on whichever connection is next.
    pub(super) fn send_again(&mut self, number: usize) {
        let links: Vec<u64> = self.ready().into_iter().collect();
        let delivery = &mut self.deliveries[number];
        let frame = json!({
            "envelope_id": delivery.envelope, "type": delivery.parcel.kind.name(),
            "payload": delivery.parcel.payload,
            "accepts_response_payload": delivery.parcel.accepts_payload(),
        });
        delivery.links.extend(&links);
        self.put(&links, &frame);
    }

    /// Sends what was held back, the last first.
    pub(super) fn send_backwards(&mut self) {
        for (id, frame) in self.backlog.take().unwrap_or_default().into_iter().rev() {
            let link = self.links.iter().find(|it| it.id == id);
            link.and_then(|it| it.out.send(Order::Say(frame)).ok());
        }
    }

    fn outcome(&self, envelope: &str) -> Option<Outcome> {
        let delivery = self.deliveries.iter().find(|it| it.envelope == envelope)?;
        if !delivery.acknowledgements.is_empty() {
            return Some(Outcome::Acknowledged(delivery.answer.clone()));
        }
        let mut links = self.links.iter().filter(|it| delivery.links.contains(&it.id));
        links.all(|it| !it.open).then_some(Outcome::Lost)
    }

    fn overdue(&mut self, envelope: &str) -> Outcome {
        let number = self.deliveries.iter().position(|it| it.envelope == envelope);
        let delivery = &self.deliveries[number.expect("it was just sent")];
        let what = self.deeds[delivery.parcel.deed].what.clone();
        let silenced = self.links.iter().any(|it| delivery.links.contains(&it.id) && it.silent);
        if silenced {
            return Outcome::Lost;
        }
        self.violated(format!("{what}: not acknowledged in time (operation_timeout)"));
        Outcome::TimedOut
    }

    /// Envelopes that the bot could have acknowledged and did not.
    pub(super) fn unacknowledged(&self) -> Vec<String> {
        let open = |it: &&Delivery| {
            let alive =
                |link: &&u64| self.links.iter().any(|it| it.id == **link && it.open && !it.silent);
            it.acknowledgements.len() < it.links.iter().filter(alive).count()
        };
        let waiting = self.deliveries.iter().filter(open);
        waiting.map(|it| self.deeds[it.parcel.deed].what.clone()).collect()
    }
}

/// A frame of the bot: nothing but acknowledgements is ever said on this side.
pub(super) fn acknowledged(state: &mut State, link: u64, frame: &Value, now: Duration) {
    let envelope = frame["envelope_id"].as_str().unwrap_or_default();
    let Some(number) = state.deliveries.iter().position(|it| it.envelope == envelope) else {
        return state.violated(format!("an acknowledgement of {envelope:?}, which was never sent"));
    };
    let fields = frame.as_object().expect("it has an envelope id");
    if let Some(name) = fields.keys().find(|it| !["envelope_id", "payload"].contains(&&***it)) {
        state.violated(format!("an acknowledgement with `{name}`"));
    }
    let delivery = &mut state.deliveries[number];
    delivery.acknowledgements.push(now);
    let (times, copies) = (delivery.acknowledgements.len(), delivery.links.len());
    let elsewhere = !delivery.links.contains(&link);
    let parcel = delivery.parcel.clone();
    let payload = frame["payload"].clone();
    if times == 1 {
        delivery.answer = payload.clone();
    }
    let what = state.deeds[parcel.deed].what.clone();
    if elsewhere {
        state.violated(format!("{what}: acknowledged on another connection"));
    }
    if times > copies {
        return state.violated(format!("{what}: acknowledged {times} times"));
    }
    let empty = payload.is_null() || payload.as_object().is_some_and(Map::is_empty);
    if !empty && !parcel.accepts_payload() {
        return state.violated(format!("{what}: this takes no payload: {payload}"));
    }
    if times == 1 {
        settle(state, &parcel, &payload, now);
    }
}

/// What an acknowledgement shows to the person.
pub(super) fn settle(state: &mut State, parcel: &Parcel, payload: &Value, now: Duration) {
    state.deeds[parcel.deed].acknowledged.get_or_insert(now);
    if parcel.payload["type"] == "view_submission" {
        state.answered(parcel.deed, now);
        return submitted(state, parcel, payload);
    }
    if parcel.kind != Kind::Command {
        return;
    }
    let said = match payload {
        Value::String(text) if !text.is_empty() => {
            Map::from_iter([("text".to_owned(), json!(text))])
        }
        Value::Object(fields) if !fields.is_empty() => fields.clone(),
        Value::Null | Value::String(_) | Value::Object(_) => return,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return state.violated(format!("an answer that is no message: {payload}"));
        }
    };
    let only_kind = said.keys().all(|name| name == "response_type");
    let place = Place { user: parcel.user.clone(), channel: parcel.channel.clone(), message: None };
    if !only_kind && hooks::respond(state, &place, &said, now).is_ok() {
        state.answered(parcel.deed, now);
    }
}

fn submitted(state: &mut State, parcel: &Parcel, payload: &Value) {
    let id = parcel.view.clone().expect("a submission has its view");
    let view = &payload["view"];
    let action = payload["response_action"].as_str().unwrap_or_default();
    if ["update", "push"].contains(&action) {
        let own = (action == "update").then_some(id.as_str());
        if let Some(why) = api::refused_view(state, view, own) {
            return state.violated(format!("a view in an acknowledgement: {why}"));
        }
    }
    match action {
        "" => state.close(&id, false),
        "clear" => state.close(&id, true),
        "update" => drop(api::replaced(state, &id, view.clone())),
        "push" => drop(api::shown(state, &parcel.user, view.clone(), Some(&id))),
        "errors" => {
            let blocks = state.workspace.views[&id].body["blocks"].clone();
            let inputs = blocks.as_array().into_iter().flatten();
            let known: Vec<Value> = inputs
                .filter(|it| it["type"] == "input")
                .map(|it| it["block_id"].clone())
                .collect();
            let errors = payload["errors"].as_object().cloned().unwrap_or_default();
            if errors.is_empty() || errors.keys().any(|it| !known.contains(&json!(it))) {
                state.violated(format!("errors for fields that are not there: {payload}"));
            }
            let view = state.workspace.views.get_mut(&id).expect("it was just there");
            view.errors = errors.into_iter().map(|(id, why)| (id, said(&why))).collect();
        }
        other => state.violated(format!("`response_action` {other:?}")),
    }
}

fn said(why: &Value) -> String {
    why.as_str().unwrap_or_default().to_owned()
}

impl State {
    fn close(&mut self, id: &str, all: bool) {
        let root = self.workspace.views[id].root.clone();
        for view in self.workspace.views.values_mut() {
            if view.id == id || (all && view.root == root) {
                view.open = false;
            }
        }
    }
}
