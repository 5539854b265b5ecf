//! Registered commands: their rules, and what stands registered.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::guilds::guild;
use super::{Answer, nothing, ok, unknown};
use crate::discord_world::realm::APP;
use crate::discord_world::refusal::{Problem, Refusal, circumstance, form, refuse};
use crate::discord_world::request::Request;
use crate::discord_world::schema::length;
use crate::discord_world::state::State;

const PER_SCOPE: usize = 100;
const ALL_WORDS: i64 = 8_000;
const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;

pub(super) fn call(state: &mut State, request: &Request, now: Duration) -> Answer {
    if request.id("application_id") != APP {
        return Err(refuse(50001, format!("{}: not this application", request.operation)));
    }
    let in_guild = !request.id("guild_id").is_empty();
    let scope = if in_guild { guild(state, request)?.id.clone() } else { String::new() };
    let name = request.operation.replace("_guild_", "_");
    match name.as_str() {
        "list_application_commands" => ok(listed(state, &scope)),
        "get_application_command" => {
            ok(state.commands[&scope][position(state, &scope, request)?].clone())
        }
        "create_application_command" => create(state, &scope, request, now),
        "bulk_set_application_commands" => replace_all(state, &scope, request, now),
        "update_application_command" => update(state, &scope, request, now),
        "delete_application_command" => {
            let number = position(state, &scope, request)?;
            let gone = state.commands.entry(scope).or_default().remove(number);
            state.realm.gone.extend(gone["id"].as_str().map(str::to_owned));
            nothing()
        }
        other => panic!("{other} is in the specification and not in the stand-in"),
    }
}

fn listed(state: &State, scope: &str) -> Value {
    json!(state.commands.get(scope).cloned().unwrap_or_default())
}

fn position(state: &State, scope: &str, request: &Request) -> Result<usize, Refusal> {
    let id = request.id("command_id");
    let own = state.commands.get(scope).into_iter().flatten();
    let found = own.into_iter().position(|it| it["id"] == id);
    found.ok_or_else(|| unknown(state, 10063, id, &request.operation))
}

/// The same name again replaces what there was, and keeps its id.
fn create(state: &mut State, scope: &str, request: &Request, now: Duration) -> Answer {
    accepted(&request.body)?;
    let own = state.commands.entry(scope.to_owned()).or_default();
    let known = own.iter().position(|it| same(it, &request.body));
    if known.is_none() && own.len() >= PER_SCOPE {
        return Err(circumstance(30032));
    }
    let id = known.map(|number| state.commands[scope][number]["id"].clone());
    let made = registered(state, scope, &request.body, id, now);
    let own = state.commands.entry(scope.to_owned()).or_default();
    match known {
        Some(number) => own[number] = made.clone(),
        None => own.push(made.clone()),
    }
    let status = if known.is_some() { 200 } else { 201 };
    Ok(super::Reply { status, body: made })
}

fn same(one: &Value, other: &Value) -> bool {
    let kind = |it: &Value| it["type"].as_u64().unwrap_or(1);
    one["name"] == other["name"] && kind(one) == kind(other)
}

fn replace_all(state: &mut State, scope: &str, request: &Request, now: Duration) -> Answer {
    let given = request.body.as_array().cloned().unwrap_or_default();
    if given.len() > PER_SCOPE {
        return Err(refuse(30032, "more than 100 commands"));
    }
    for (number, one) in given.iter().enumerate() {
        accepted(one)?;
        if given[..number].iter().any(|it| same(it, one)) {
            let message = "Application command names must be unique";
            let code = "APPLICATION_COMMANDS_DUPLICATE_NAME";
            return Err(form(&[Problem::new(&format!("{number}/name"), code, message)]));
        }
    }
    let before = state.commands.get(scope).cloned().unwrap_or_default();
    let mut after = Vec::new();
    for one in &given {
        let id = before.iter().find(|it| same(it, one)).map(|it| it["id"].clone());
        after.push(registered(state, scope, one, id, now));
    }
    let kept = |it: &&Value| after.iter().any(|own| own["id"] == it["id"]);
    let gone = before.iter().filter(|it| !kept(it)).filter_map(|it| it["id"].as_str());
    state.realm.gone.extend(gone.map(str::to_owned));
    state.commands.insert(scope.to_owned(), after);
    ok(listed(state, scope))
}

fn update(state: &mut State, scope: &str, request: &Request, now: Duration) -> Answer {
    let number = position(state, scope, request)?;
    let before = state.commands[scope][number].clone();
    let mut body = before.clone();
    for (name, value) in request.body.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    accepted(&body)?;
    let made = registered(state, scope, &body, Some(before["id"].clone()), now);
    state.commands.get_mut(scope).expect("it was just there")[number] = made.clone();
    ok(made)
}

/// As Discord gives it back: what is false, empty or none is left out of options.
fn registered(
    state: &mut State,
    scope: &str,
    body: &Value,
    id: Option<Value>,
    now: Duration,
) -> Value {
    let id = id.unwrap_or_else(|| json!(state.snowflake(now)));
    let permissions = &body["default_member_permissions"];
    let permissions = permissions.as_u64().map_or(permissions.clone(), |it| json!(it.to_string()));
    let mut made = json!({
        "id": id, "application_id": APP, "version": state.snowflake(now),
        "type": body["type"].as_u64().unwrap_or(1), "name": body["name"],
        "name_localizations": body["name_localizations"],
        "description": body["description"].as_str().unwrap_or_default(),
        "description_localizations": body["description_localizations"],
        "default_member_permissions": permissions, "nsfw": body["nsfw"] == true,
    });
    if let Some(options) = body["options"].as_array().filter(|it| !it.is_empty()) {
        made["options"] = options.iter().map(sparse).collect();
    }
    if scope.is_empty() {
        let contexts = &body["contexts"];
        made["contexts"] = contexts.clone();
        made["dm_permission"] = json!(body["dm_permission"] != false);
        let types = &body["integration_types"];
        made["integration_types"] = if types.is_null() { json!([0]) } else { types.clone() };
    } else {
        made["guild_id"] = json!(scope);
    }
    made
}

fn sparse(option: &Value) -> Value {
    let mut kept = Map::new();
    for (name, value) in option.as_object().into_iter().flatten() {
        let empty = value.is_null()
            || *value == false
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !empty {
            let value = match value.as_array() {
                Some(list) if ["options", "choices"].contains(&name.as_str()) => {
                    list.iter().map(sparse).collect()
                }
                _ => value.clone(),
            };
            kept.insert(name.clone(), value);
        }
    }
    Value::Object(kept)
}

fn accepted(command: &Value) -> Result<(), Refusal> {
    let mut found = Vec::new();
    if command["type"].as_u64().unwrap_or(1) == 1 {
        name(command, "", &mut found);
        if length(command["description"].as_str().unwrap_or_default()) == 0 {
            found.push(Problem::new("description", "BASE_TYPE_REQUIRED", "This field is required"));
        }
        options(command, "", 0, &mut found);
        if words(command) > ALL_WORDS {
            let message = "Command exceeds maximum size (8000)";
            found.push(Problem::new("", "APPLICATION_COMMAND_TOO_LARGE", message));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(form(&found)) }
}

fn name(of: &Value, at: &str, found: &mut Vec<Problem>) {
    let name = of["name"].as_str().unwrap_or_default();
    let fits = |letter: char| letter.is_alphanumeric() || "-_'".contains(letter);
    if !name.chars().all(fits) || name != name.to_lowercase() || !(1..=32).contains(&length(name)) {
        let message = "Command name is invalid";
        let at = format!("{at}/name");
        found.push(Problem::new(&at, "APPLICATION_COMMAND_INVALID_NAME", message));
    }
}

fn options(of: &Value, at: &str, depth: usize, found: &mut Vec<Problem>) {
    let none = Vec::new();
    let list = of["options"].as_array().unwrap_or(&none);
    let nested = |it: &Value| matches!(it["type"].as_u64(), Some(SUBCOMMAND | GROUP));
    let mixed = list.iter().any(nested) && !list.iter().all(nested);
    let mut complain = |at: &str, code, message: &str| {
        found.push(Problem::new(at, code, message));
    };
    if mixed {
        let message = "Sub-command and sub-command group option types are mutually exclusive to \
                       all other types";
        complain(&format!("{at}/options"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message);
    }
    for (number, option) in list.iter().enumerate() {
        let at = format!("{at}/options/{number}");
        if list[..number].iter().any(|it| it["name"] == option["name"]) {
            let message = "Option names must be unique";
            complain(&at, "APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE", message);
        }
        let late = list[..number].iter().any(|it| it["required"] != true && !nested(it));
        if option["required"] == true && late {
            let message = "Required options must be placed before non-required options";
            complain(&at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message);
        }
        let kind = option["type"].as_u64();
        let too_deep =
            (kind == Some(SUBCOMMAND) && depth > 1) || (kind == Some(GROUP) && depth > 0);
        if too_deep {
            complain(&at, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "nested too deep");
        }
        let group_in_sub = kind != Some(SUBCOMMAND) && of["type"] == GROUP && depth > 0;
        if group_in_sub {
            complain(&at, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "a group holds sub-commands");
        }
    }
    for (number, option) in list.iter().enumerate() {
        let at = format!("{at}/options/{number}");
        name(option, &at, found);
        choices(option, &at, found);
        if nested(option) {
            options(option, &at, depth + 1, found);
        }
    }
}

fn choices(option: &Value, at: &str, found: &mut Vec<Problem>) {
    let none = Vec::new();
    let list = option["choices"].as_array().unwrap_or(&none);
    if !list.is_empty() && option["autocomplete"] == true {
        let message = "autocomplete and choices are mutually exclusive";
        found.push(Problem::new(at, "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID", message));
    }
    if option["autocomplete"] == true && !matches!(option["type"].as_u64(), Some(3 | 4 | 10)) {
        let message = "only words and numbers are completed";
        found.push(Problem::new(at, "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID", message));
    }
    for (number, choice) in list.iter().enumerate() {
        let earlier = &list[..number];
        if earlier.iter().any(|it| it["name"] == choice["name"] || it["value"] == choice["value"]) {
            let message = "Choices must be unique";
            found.push(Problem::new(at, "APPLICATION_COMMAND_OPTIONS_CHOICES_DUPLICATE", message));
        }
    }
}

/// Names, descriptions and values, of all that hangs below.
fn words(of: &Value) -> i64 {
    let own = ["name", "description", "value"].iter().filter_map(|it| of[*it].as_str());
    let below = ["options", "choices"].iter().filter_map(|it| of[*it].as_array()).flatten();
    own.map(length).sum::<i64>() + below.map(words).sum::<i64>()
}
