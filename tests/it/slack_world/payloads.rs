//! The payloads of commands, interactions and events, as Slack writes them.

use std::time::Duration;

use serde_json::{Value, json};

use super::state::{ResponseUrl, State, Trigger};
use super::workspace::{APP, BOT_USER, Content, Kind, TEAM, User};

const TOKEN: &str = "deprecated-verification-token";

fn domain(team: &str) -> &'static str {
    if team == TEAM { "home" } else { "elsewhere" }
}

/// Who acted, where, and on what: enough for every payload.
pub(super) struct Scene<'a> {
    pub(super) user: &'a User,
    pub(super) deed: usize,
    pub(super) now: Duration,
    pub(super) base: &'a str,
}

impl Scene<'_> {
    fn team(&self) -> Value {
        json!({"id": self.user.team(), "domain": domain(self.user.team())})
    }

    fn person(&self) -> Value {
        json!({
            "id": self.user.id, "username": self.user.name, "name": self.user.name,
            "team_id": self.user.team(),
        })
    }

    fn trigger(&self, state: &mut State, view: Option<&str>) -> String {
        let id = format!("{}.{}.cafe", self.now.as_micros(), state.serial());
        let trigger = Trigger {
            user: self.user.id.clone(),
            at: self.now,
            spent: false,
            deed: self.deed,
            view: view.map(str::to_owned),
        };
        state.triggers.insert(id.clone(), trigger);
        id
    }

    fn response_url(&self, state: &mut State, channel: &str, message: Option<&str>) -> String {
        let id = format!("{APP}-{}", state.serial());
        let url = ResponseUrl {
            user: self.user.id.clone(),
            channel: channel.to_owned(),
            message: message.map(str::to_owned),
            at: self.now,
            uses: 0,
            deed: self.deed,
        };
        state.response_urls.insert(id.clone(), url);
        format!("{}/hooks/{id}", self.base)
    }

    pub(super) fn command(&self, state: &mut State, channel: &str, line: &str) -> Value {
        let (command, text) = line.split_once(' ').unwrap_or((line, ""));
        let place = state.workspace.channel(channel);
        let name = match place.kind {
            Kind::Public => place.name.clone(),
            Kind::Private => "privategroup".to_owned(),
            Kind::Direct => "directmessage".to_owned(),
        };
        let team = self.user.team();
        json!({
            "token": TOKEN, "team_id": team, "team_domain": domain(team), "channel_id": channel,
            "channel_name": name, "user_id": self.user.id, "user_name": self.user.name,
            "command": command, "text": text, "api_app_id": APP,
            "is_enterprise_install": "false",
            "response_url": self.response_url(state, channel, None),
            "trigger_id": self.trigger(state, None),
        })
    }

    /// Of a message, whose buttons answer through a response URL.
    pub(super) fn press_in_message(
        &self,
        state: &mut State,
        (channel, ts, ephemeral): (&str, &str, bool),
        content: &Content,
        action: Value,
    ) -> Value {
        let place = state.workspace.channel(channel);
        let named = json!({"id": channel, "name": place.name});
        let shown = place.message(ts).map(|message| message.to_json(content, true));
        let mut payload = json!({
            "type": "block_actions", "user": self.person(), "api_app_id": APP, "token": TOKEN,
            "container": {
                "type": "message", "message_ts": ts, "channel_id": channel,
                "is_ephemeral": ephemeral,
            },
            "trigger_id": self.trigger(state, None), "team": self.team(), "enterprise": null,
            "is_enterprise_install": false, "channel": named, "state": {"values": {}},
            "response_url": self.response_url(state, channel, Some(ts)),
            "actions": [action],
        });
        let own = content.blocks.as_array().into_iter().flatten();
        if !own.map(|it| &it["block_id"]).any(|id| *id == payload["actions"][0]["block_id"]) {
            payload["container"]["type"] = json!("message_attachment");
            payload["container"]["attachment_id"] = json!(1);
        }
        // An ephemeral message does not come back: nobody can read it again.
        if let (false, Some(message)) = (ephemeral, shown) {
            payload["message"] = message;
        }
        payload
    }

    pub(super) fn press_in_view(
        &self,
        state: &mut State,
        (view, values): (&str, Value),
        action: Value,
    ) -> Value {
        let shown = state.workspace.views[view].to_json(Some(values.clone()));
        let modal = shown["type"] == "modal";
        json!({
            "type": "block_actions", "user": self.person(), "api_app_id": APP, "token": TOKEN,
            "container": {"type": "view", "view_id": view},
            "trigger_id": self.trigger(state, modal.then_some(view)), "team": self.team(),
            "enterprise": null, "is_enterprise_install": false, "view": shown,
            "actions": [action],
        })
    }

    pub(super) fn submission(&self, state: &mut State, view: &str, values: Value) -> Value {
        let shown = state.workspace.views[view].to_json(Some(values));
        json!({
            "type": "view_submission", "team": self.team(), "user": self.person(),
            "api_app_id": APP, "token": TOKEN, "view": shown, "response_urls": [],
            "trigger_id": self.trigger(state, Some(view)), "is_enterprise_install": false,
            "enterprise": null,
        })
    }

    pub(super) fn closing(&self, state: &State, view: &str) -> Value {
        json!({
            "type": "view_closed", "team": self.team(), "user": self.person(),
            "api_app_id": APP, "token": TOKEN, "is_cleared": false,
            "view": state.workspace.views[view].to_json(None), "is_enterprise_install": false,
            "enterprise": null,
        })
    }

    pub(super) fn event(&self, state: &mut State, event: &Value) -> Value {
        json!({
            "token": TOKEN, "team_id": TEAM, "api_app_id": APP, "event": event,
            "type": "event_callback", "event_id": format!("Ev{:09}", state.serial()),
            "event_time": self.now.as_secs(), "event_context": "4-standin",
            "is_ext_shared_channel": false,
            "authorizations": [{
                "enterprise_id": null, "team_id": TEAM, "user_id": BOT_USER, "is_bot": true,
                "is_enterprise_install": false,
            }],
        })
    }

    pub(super) fn home_opened(&self, state: &mut State) -> Value {
        let known = state.workspace.homes.get(&self.user.id);
        let view = known.map(|id| state.workspace.views[id].to_json(None));
        let ts = state.ts(self.now);
        let mut event = json!({
            "type": "app_home_opened", "user": self.user.id, "tab": "home", "event_ts": ts,
            "channel": format!("D{}", &self.user.id[1..]),
        });
        if let Some(view) = view {
            event["view"] = view;
        }
        self.event(state, &event)
    }
}

/// One element, as it was acted upon.
pub(super) fn action(block: &Value, element: &Value, now: Duration) -> Value {
    let mut action = json!({
        "type": element["type"], "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": format!("{}.{:06}", now.as_secs(), now.subsec_micros()),
    });
    for name in ["text", "value", "style"] {
        if !element[name].is_null() {
            action[name] = element[name].clone();
        }
    }
    action
}
