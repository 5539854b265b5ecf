//! What Slack delivers, read into what was heard.
//!
//! Read untyped: only what is needed must be there, and what Slack adds tomorrow costs nobody a
//! click.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::api::text;
use super::super::render::{Draft, Ground};
use crate::ports::{Heard, Said, Whisper};

/// How it arrived: the same payloads come through both doors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delivered<'a> {
    Command { payload: &'a Value, id: &'a str },
    Interaction { payload: &'a Value, id: &'a str },
    Event { payload: &'a Value, id: &'a str },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Heard(Box<Heard>, Back),
    /// Somebody opened the bot itself.
    Home {
        tenant: String,
        user: String,
    },
    /// Somebody did something, and we cannot tell what.
    Unclear(Whisper),
    Nothing,
}

/// How it can be answered besides by a private message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Back {
    /// Opens a dialog, for three seconds.
    pub(super) trigger: Option<String>,
    /// The dialog that was sent, which waits for its acknowledgement.
    pub(super) view: Option<Value>,
}

const PLATFORM: &str = "slack";

/// `tenant` is the workspace that we were told of, for where Slack names none.
pub(super) fn read(delivered: &Delivered<'_>, tenant: &str) -> Asked {
    match *delivered {
        Delivered::Command { payload, id } => command(payload, id, tenant),
        Delivered::Interaction { payload, id } => match text(payload, "/type") {
            "block_actions" => pressed(payload, id, tenant),
            "view_submission" => submitted(payload, id, tenant),
            _ => Asked::Nothing,
        },
        Delivered::Event { payload, id } => event(payload, id, tenant),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first that says something.
fn first<'a>(value: &'a Value, pointers: &[&str], otherwise: &'a str) -> &'a str {
    pointers
        .iter()
        .map(|pointer| text(value, pointer))
        .find(|it| !it.is_empty())
        .unwrap_or(otherwise)
}

/// The delivery's own id: the same on each repeat. Slack's ids are of one workspace.
fn id(payload: &Value, own: &str, tenant: &str) -> String {
    let team = first(payload, &["/team_id", "/team/id", "/user/team_id"], tenant);
    format!("{PLATFORM}/{team}/{own}")
}

fn command(payload: &Value, envelope: &str, tenant: &str) -> Asked {
    let user = text(payload, "/user_id");
    if user.is_empty() {
        return Asked::Nothing;
    }
    let heard = Heard {
        id: id(payload, first(payload, &["/trigger_id"], envelope), tenant),
        platform: PLATFORM.to_owned(),
        tenant: first(payload, &["/team_id", "/enterprise_id"], tenant).to_owned(),
        user: user.to_owned(),
        channel: some(text(payload, "/channel_id")),
        handle: some(text(payload, "/response_url")),
        said: Said::Line(text(payload, "/text").trim().to_owned()),
    };
    let trigger = some(text(payload, "/trigger_id"));
    Asked::Heard(Box::new(heard), Back { trigger, view: None })
}

/// The person's own workspace, which is not always the one that it happened in.
fn home_of(payload: &Value, tenant: &str) -> String {
    let teams = ["/user/team_id", "/team/id", "/user/enterprise_user/enterprise_id"];
    first(payload, &teams, tenant).to_owned()
}

fn pressed(payload: &Value, envelope: &str, tenant: &str) -> Asked {
    let user = text(payload, "/user/id");
    let action = &payload["actions"][0];
    // A button that only leads somewhere has an address and says nothing.
    if user.is_empty() || !text(action, "/url").is_empty() {
        return Asked::Nothing;
    }
    let channel = place(payload, text(action, "/block_id"));
    let handle = some(text(payload, "/response_url"));
    let value = text(action, "/value");
    if value.is_empty() {
        return Asked::Unclear(Whisper { user: user.to_owned(), channel, handle });
    }
    let heard = Heard {
        id: id(payload, first(payload, &["/trigger_id"], envelope), tenant),
        platform: PLATFORM.to_owned(),
        tenant: home_of(payload, tenant),
        user: user.to_owned(),
        channel,
        handle,
        said: Said::Pressed(value.to_owned()),
    };
    let trigger = some(text(payload, "/trigger_id"));
    Asked::Heard(Box::new(heard), Back { trigger, view: None })
}

/// The channel, or the thread that stands in for one; a press on the home tab was nowhere.
fn place(payload: &Value, block: &str) -> Option<String> {
    let channel = some(first(payload, &["/channel/id", "/container/channel_id"], ""))?;
    let thread = first(payload, &["/container/thread_ts", "/message/thread_ts"], "");
    match Ground::of(block) {
        Ground::ThreadRoom if !thread.is_empty() => Some(format!("{channel}:{thread}")),
        Ground::ThreadRoom | Ground::Channel => Some(channel),
    }
}

fn submitted(payload: &Value, envelope: &str, tenant: &str) -> Asked {
    let user = text(payload, "/user/id");
    if user.is_empty() {
        return Asked::Nothing;
    }
    let metadata = text(payload, "/view/private_metadata");
    let Ok(draft) = serde_json::from_str::<Draft>(metadata) else {
        return Asked::Unclear(Whisper { user: user.to_owned(), channel: None, handle: None });
    };
    let heard = Heard {
        id: id(payload, first(payload, &["/trigger_id", "/view/hash"], envelope), tenant),
        platform: PLATFORM.to_owned(),
        tenant: home_of(payload, tenant),
        user: user.to_owned(),
        channel: draft.origin.channel,
        handle: draft.origin.handle,
        said: Said::Submitted { command: draft.command, fields: fields(payload) },
    };
    let trigger = some(text(payload, "/trigger_id"));
    Asked::Heard(Box::new(heard), Back { trigger, view: Some(payload["view"].clone()) })
}

/// What was filled in, by the name of the argument; what was left empty is an empty text.
fn fields(payload: &Value) -> BTreeMap<String, String> {
    let values = payload.pointer("/view/state/values").and_then(Value::as_object);
    let inputs = values.into_iter().flat_map(|blocks| blocks.values()).filter_map(Value::as_object);
    let value = |input: &Value| {
        let shapes = ["/value", "/selected_date", "/selected_time", "/selected_option/value"];
        first(input, &shapes, "").to_owned()
    };
    inputs.flatten().map(|(name, input)| (name.clone(), value(input))).collect()
}

// ---------------------------------------------------------------------------------------------
// Events

fn event(payload: &Value, envelope: &str, tenant: &str) -> Asked {
    let event = &payload["event"];
    let user = text(event, "/user");
    // Our own messages come back to us, and other bots' are no business of ours.
    if user.is_empty() || !event["bot_id"].is_null() || !text(event, "/subtype").is_empty() {
        return Asked::Nothing;
    }
    let teams = ["/user_team", "/team", "/source_team"];
    let team = first(event, &teams, first(payload, &["/team_id"], tenant));
    match text(event, "/type") {
        "app_home_opened" if first(event, &["/tab"], "home") == "home" => {
            Asked::Home { tenant: team.to_owned(), user: user.to_owned() }
        }
        "app_mention" => spoken(payload, envelope, tenant, team),
        "message" if text(event, "/channel_type") == "im" => {
            spoken(payload, envelope, tenant, team)
        }
        _ => Asked::Nothing,
    }
}

fn spoken(payload: &Value, envelope: &str, tenant: &str, team: &str) -> Asked {
    let event = &payload["event"];
    let is_private = text(event, "/channel_type") == "im";
    let channel = some(text(event, "/channel")).map(|channel| match text(event, "/thread_ts") {
        thread if thread.is_empty() || is_private => channel,
        thread => format!("{channel}:{thread}"),
    });
    let heard = Heard {
        id: id(payload, first(payload, &["/event_id"], envelope), tenant),
        platform: PLATFORM.to_owned(),
        tenant: team.to_owned(),
        user: text(event, "/user").to_owned(),
        channel,
        handle: None,
        said: Said::Line(typed(text(event, "/text"))),
    };
    Asked::Heard(Box::new(heard), Back::default())
}

/// A message as it was typed: without the mention that it begins with, and without Slack's markup.
fn typed(message: &str) -> String {
    let mut rest = message.trim_start();
    while let Some(after) = rest.strip_prefix("<@") {
        let Some((_, behind)) = after.split_once('>') else { break };
        rest = behind.trim_start_matches([' ', ',', ':', '\u{a0}']);
    }
    let mut line = String::new();
    while let Some((before, after)) = rest.split_once('<') {
        let Some((inside, behind)) = after.split_once('>') else { break };
        line.push_str(before);
        line.push_str(&link(inside));
        rest = behind;
    }
    line.push_str(rest);
    line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").trim().to_owned()
}

/// What stands between angle brackets, as its writer saw it.
fn link(inside: &str) -> String {
    let (target, label) = inside.split_once('|').unwrap_or((inside, ""));
    match (target.chars().next(), label) {
        (Some('#'), label) if !label.is_empty() => format!("#{label}"),
        (Some('@' | '#' | '!'), "") => target.replace('!', "@"),
        (_, "") => target.to_owned(),
        (_, label) => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(asked: Asked) -> (Heard, Back) {
        let Asked::Heard(heard, back) = asked else { panic!("{asked:?}") };
        (*heard, back)
    }

    #[test]
    fn a_command_is_a_line_of_a_person_of_their_own_team() {
        let payload = json!({
            "team_id": "T1", "user_id": "U1", "channel_id": "C1", "command": "/release",
            "text": " go v1.2.0 ", "response_url": "https://hooks.slack.com/x", "trigger_id": "1.2.a",
        });
        let asked = read(&Delivered::Command { payload: &payload, id: "e1" }, "T1");
        let (heard, back) = heard(asked);
        assert_eq!(heard.id, "slack/T1/1.2.a");
        assert_eq!((heard.tenant.as_str(), heard.user.as_str()), ("T1", "U1"));
        assert_eq!(heard.said, Said::Line("go v1.2.0".into()));
        assert_eq!(back.trigger.as_deref(), Some("1.2.a"));
    }

    #[test]
    fn a_press_of_an_outsider_is_of_their_own_team() {
        let payload = json!({
            "type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U9", "team_id": "T9"},
            "channel": {"id": "C1"}, "trigger_id": "7", "container": {"thread_ts": "5.5"},
            "actions": [{"block_id": "room-0", "action_id": "press-0", "value": "go v1"}],
        });
        let asked = read(&Delivered::Interaction { payload: &payload, id: "e" }, "T1");
        let (heard, _) = heard(asked);
        assert_eq!(heard.tenant, "T9");
        assert_eq!(heard.id, "slack/T1/7");
        assert_eq!(heard.channel.as_deref(), Some("C1:5.5"), "a thread that is a room");
        assert_eq!(heard.said, Said::Pressed("go v1".into()));
    }

    #[test]
    fn a_press_that_says_nothing_is_unclear_and_a_link_is_no_press() {
        let mut payload = json!({
            "type": "block_actions", "team": null, "enterprise": {"id": "E1"},
            "user": {"id": "U1", "team_id": "T1"}, "actions": [{"action_id": "x"}],
        });
        let asked = read(&Delivered::Interaction { payload: &payload, id: "e" }, "T1");
        assert!(matches!(asked, Asked::Unclear(_)), "{asked:?}");
        payload["actions"][0]["url"] = json!("https://x");
        let asked = read(&Delivered::Interaction { payload: &payload, id: "e" }, "T1");
        assert_eq!(asked, Asked::Nothing);
    }

    #[test]
    fn a_form_brings_back_what_was_filled_in_and_where_it_was_asked() {
        let payload = json!({
            "type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1", "team_id": "T1"},
            "trigger_id": "9", "view": {
                "private_metadata": r#"{"command":"no-go v1","channel":"C1","handle":"h"}"#,
                "state": {"values": {
                    "field-0": {"reason": {"type": "plain_text_input", "value": "short-staffed"}},
                    "field-1": {"day": {"type": "datepicker", "selected_date": "2026-12-15"}},
                    "field-2": {"time": {"type": "timepicker", "selected_time": null}},
                    "field-3": {"as": {"selected_option": {"value": "qa"}}},
                }},
            },
        });
        let asked = read(&Delivered::Interaction { payload: &payload, id: "e" }, "T1");
        let (heard, back) = heard(asked);
        assert!(back.view.is_some());
        assert_eq!((heard.channel.as_deref(), heard.handle.as_deref()), (Some("C1"), Some("h")));
        let Said::Submitted { command, fields } = heard.said else { panic!() };
        assert_eq!(command, "no-go v1");
        let filled =
            [("as", "qa"), ("day", "2026-12-15"), ("reason", "short-staffed"), ("time", "")];
        let filled = filled.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields, BTreeMap::from(filled));
    }

    #[test]
    fn a_mention_is_what_was_typed_after_it() {
        for (message, line) in [
            ("<@U0BOT> status v1.2.0", "status v1.2.0"),
            ("<@U0BOT>: hold a&amp;b &lt;now&gt;", "hold a&b <now>"),
            ("<@U0BOT> see <https://x.example|x.example> in <#C1|ops>", "see x.example in #ops"),
            ("status", "status"),
            ("<@U0BOT>", ""),
            ("a < b", "a < b"),
        ] {
            assert_eq!(typed(message), line);
        }
    }

    #[test]
    fn bots_and_edits_are_not_listened_to() {
        for event in [
            json!({"type": "message", "channel_type": "im", "user": "U1", "bot_id": "B1", "text": "x"}),
            json!({"type": "message", "channel_type": "im", "user": "U1", "subtype": "message_changed"}),
            json!({"type": "message", "channel_type": "channel", "user": "U1", "text": "x"}),
            json!({"type": "app_home_opened", "user": "U1", "tab": "messages"}),
        ] {
            let payload = json!({"team_id": "T1", "event_id": "Ev1", "event": event});
            let asked = read(&Delivered::Event { payload: &payload, id: "e" }, "T1");
            assert_eq!(asked, Asked::Nothing);
        }
    }
}
