//! What Discord tells of one interaction, read untyped: a field that we do not know must never cost
//! a click.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Discord;
use super::super::api::text;
use super::super::commands::{Begun, NAME};
use super::super::render::{self, Carried, Kind};
use crate::ports::{Form, Heard, Said};

/// What somebody did.
#[derive(Debug)]
pub(super) enum Asked {
    /// Discord wants to know whether we are there.
    Ping,
    Heard(Box<Heard>, Back),
    /// Something is being typed.
    Begun(Begun, Typist),
    /// The same, where we know of nothing to choose: a client still shows what was there before.
    Unknown,
    /// A form that is known already is to be opened.
    Form(Box<Form>),
    Cancelled,
    /// Nothing that we can make sense of.
    Unclear,
}

/// Who is typing, and in which channel.
#[derive(Debug)]
pub(super) struct Typist {
    pub(super) tenant: String,
    pub(super) user: String,
    pub(super) channel: Option<String>,
}

/// Where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// Into a message that only the asker sees.
    New,
    /// In the place of the question that was answered, which only they see.
    Instead,
    /// As `New`, and no dialog can be opened.
    Dialog,
}

pub(super) fn read(interaction: &Value, discord: &Discord) -> Asked {
    if text(interaction, "/guild_id") == discord.settings.tenant() {
        discord.note(interaction);
    }
    let data = &interaction["data"];
    match interaction["type"].as_u64() {
        Some(1) => Asked::Ping,
        Some(2) if text(data, "/name") == NAME => match discord.commands.line_of(data) {
            Some(line) => heard(interaction, Said::Line(line), Back::New),
            None => Asked::Unclear,
        },
        Some(3) => pressed(interaction, discord),
        Some(4) => match discord.commands.begun(data) {
            Some(begun) => Asked::Begun(begun, typist(interaction)),
            None => Asked::Unknown,
        },
        Some(5) => submitted(interaction, discord),
        Some(_) | None => Asked::Unclear,
    }
}

fn heard(interaction: &Value, said: Said, back: Back) -> Asked {
    let id = text(interaction, "/id");
    let Typist { tenant, user, channel } = typist(interaction);
    if id.is_empty() || user.is_empty() {
        return Asked::Unclear;
    }
    let heard = Heard {
        id: format!("discord/{id}"),
        platform: "discord".to_owned(),
        tenant,
        user,
        channel,
        handle: handle(interaction),
        said,
    };
    Asked::Heard(Box::new(heard), back)
}

fn typist(interaction: &Value) -> Typist {
    let mut users = ["/member/user/id", "/user/id"].map(|at| text(interaction, at)).into_iter();
    let user = users.find(|id| !id.is_empty()).unwrap_or_default().to_owned();
    // Outside of a guild there is nobody whom we know.
    let tenant = Some(text(interaction, "/guild_id")).filter(|guild| !guild.is_empty());
    let tenant = tenant.unwrap_or("dm").to_owned();
    Typist { tenant, user, channel: channel(interaction) }
}

/// The way to answer later.
pub(super) fn handle(interaction: &Value) -> Option<String> {
    let [application, token] = ["/application_id", "/token"].map(|at| text(interaction, at));
    (!token.is_empty()).then(|| format!("{application}/{token}"))
}

fn channel(interaction: &Value) -> Option<String> {
    let found = ["/channel_id", "/channel/id"].map(|at| text(interaction, at));
    found.into_iter().find(|id| !id.is_empty()).map(str::to_owned)
}

fn pressed(interaction: &Value, discord: &Discord) -> Asked {
    let id = text(interaction, "/data/custom_id");
    let Some(Carried { kind, text: carried }) = render::carried(id, &discord.shelf) else {
        return Asked::Unclear;
    };
    match kind {
        Kind::Press => heard(interaction, Said::Pressed(carried), Back::New),
        Kind::Confirm => heard(interaction, Said::Pressed(carried), Back::Instead),
        Kind::Cancel => Asked::Cancelled,
        Kind::Reopen => form(&carried).map_or(Asked::Unclear, |form| Asked::Form(Box::new(form))),
        Kind::Choose => {
            let chosen = text(interaction, "/data/values/0");
            match form(&carried) {
                Some(form) if !form.fields.is_empty() && !chosen.is_empty() => {
                    let fields = BTreeMap::from([(form.fields[0].name.clone(), chosen.to_owned())]);
                    let said = Said::Submitted { command: form.command, fields };
                    heard(interaction, said, Back::Instead)
                }
                Some(_) | None => Asked::Unclear,
            }
        }
        Kind::Fill => Asked::Unclear,
    }
}

fn submitted(interaction: &Value, discord: &Discord) -> Asked {
    let id = text(interaction, "/data/custom_id");
    let carried = render::carried(id, &discord.shelf).filter(|it| it.kind == Kind::Fill);
    let Some(form) = carried.and_then(|carried| form(&carried.text)) else { return Asked::Unclear };
    let mut fields = BTreeMap::new();
    inputs(&interaction["data"]["components"], &mut fields);
    let fields = render::filled(&form, fields);
    heard(interaction, Said::Submitted { command: form.command, fields }, Back::Dialog)
}

/// Wherever they stand: Discord has changed what a dialog is made of before.
fn inputs(within: &Value, fields: &mut BTreeMap<String, String>) {
    match within {
        Value::Array(all) => all.iter().for_each(|each| inputs(each, fields)),
        Value::Object(of) => {
            if let (Some(name), Some(value)) =
                (within["custom_id"].as_str(), within["value"].as_str())
            {
                fields.insert(name.to_owned(), value.to_owned());
            }
            let inner = ["components", "component"].iter().filter_map(|name| of.get(*name));
            inner.for_each(|inner| inputs(inner, fields));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn form(kept: &str) -> Option<Form> {
    serde_json::from_str(kept).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_filled_in_is_found_in_the_dialogs_of_today_and_of_tomorrow() {
        let mut fields = BTreeMap::new();
        let text = |name: &str| json!({"type": 4, "custom_id": name, "value": name});
        let dialog = json!([
            {"type": 1, "components": [text("a")]},
            {"type": 18, "component": text("b"), "id": 3},
            {"type": 10}, null, 7,
        ]);
        inputs(&dialog, &mut fields);
        assert_eq!(fields.into_keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
