//! Modals and home tabs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::content::with_ids;
use super::{Answer, Refusal, Request, refused, wrong};
use crate::slack_world::state::{State, Trigger};
use crate::slack_world::workspace::View;
use crate::slack_world::{blocks, markup};

/// As large as Slack takes one.
const MOST_BYTES: usize = 250_000;

pub(super) fn open(request: &mut Request) -> Answer {
    let body = given(request, "modal", None)?;
    let trigger = exchanged(request)?;
    let view = shown(request.state, &trigger.user, body, None);
    request.state.answered(trigger.deed, request.now);
    Ok(json!({"view": view.to_json(None)}))
}

pub(super) fn push(request: &mut Request) -> Answer {
    let body = given(request, "modal", None)?;
    let trigger = exchanged(request)?;
    let below = trigger.view.clone().ok_or_else(|| {
        wrong("not_found", "only what was pressed in a modal can push another onto it")
    })?;
    let views = &request.state.workspace.views;
    let root = views.get(&below).map(|it| it.root.clone()).unwrap_or_default();
    if views.values().filter(|it| it.open && it.root == root).count() >= 3 {
        return Err(wrong("push_limit_reached", "three at most"));
    }
    let view = shown(request.state, &trigger.user, body, Some(&below));
    request.state.answered(trigger.deed, request.now);
    Ok(json!({"view": view.to_json(None)}))
}

pub(super) fn update(request: &mut Request) -> Answer {
    let (id, external) = (request.text("view_id"), request.text("external_id"));
    if id.is_empty() == external.is_empty() {
        return Err(wrong("invalid_arguments", "either `view_id` or `external_id`"));
    }
    let mut views = request.state.workspace.views.values().filter(|it| it.open);
    let named = |it: &View| !external.is_empty() && it.body["external_id"] == external;
    let found = views.find(|it| it.id == id || named(it));
    let found = found.ok_or_else(|| refused("not_found"))?;
    let (id, user, kind) = (found.id.clone(), found.user.clone(), found.body["type"].clone());
    let hash = request.text("hash");
    if !hash.is_empty() && hash != found.hash {
        return Err(refused("hash_conflict"));
    }
    let body = given(request, kind.as_str().unwrap_or_default(), Some(&id))?;
    let view = replaced(request.state, &id, body);
    request.state.seen_by(&user, request.now);
    Ok(json!({"view": view.to_json(None)}))
}

pub(super) fn publish(request: &mut Request) -> Answer {
    let user = request.text("user_id").to_owned();
    if !request.state.workspace.users.contains_key(&user) {
        return Err(wrong("invalid_arguments", format!("{user} is nobody")));
    }
    let known = request.state.workspace.homes.get(&user).cloned();
    let body = given(request, "home", known.as_deref())?;
    let hash = request.text("hash").to_owned();
    let current = known.as_ref().map(|id| request.state.workspace.views[id].hash.clone());
    if !hash.is_empty() && current != Some(hash) {
        return Err(refused("hash_conflict"));
    }
    let view = match known {
        Some(id) => replaced(request.state, &id, body),
        None => shown(request.state, &user, body, None),
    };
    request.state.workspace.homes.insert(user.clone(), view.id.clone());
    request.state.seen_by(&user, request.now);
    Ok(json!({"view": view.to_json(None)}))
}

fn given(request: &mut Request, kind: &str, own: Option<&str>) -> Result<Value, Refusal> {
    let Some(Ok(view)) = request.args.tree("view") else {
        return Err(wrong("invalid_arguments", "`view` is no JSON"));
    };
    if view["type"] != kind {
        return Err(wrong("invalid_arguments", format!("this takes a {kind}")));
    }
    checked(request.state, &view, own)?;
    Ok(view)
}

fn checked(state: &mut State, view: &Value, own: Option<&str>) -> Result<(), Refusal> {
    if view.to_string().len() > MOST_BYTES {
        return Err(wrong("view_too_large", "250 kB at most"));
    }
    if let Some(first) = blocks::view_problems(view).first() {
        return Err(wrong("invalid_arguments", first));
    }
    let external = view["external_id"].as_str().filter(|it| !it.is_empty());
    let other = |it: &&View| it.open && Some(it.id.as_str()) != own;
    let mut others = state.workspace.views.values().filter(other);
    if external.is_some() && others.any(|it| it.body["external_id"].as_str() == external) {
        return Err(wrong("duplicate_external_id", "another view has it"));
    }
    let problems: Vec<String> = markup::texts(view)
        .iter()
        .flat_map(|text| markup::problems(text, &state.workspace))
        .collect();
    problems.into_iter().for_each(|problem| state.violated(format!("markup: {problem}")));
    Ok(())
}

/// What is wrong with a view that came in an acknowledgement.
pub(in crate::slack_world) fn refused_view(
    state: &mut State,
    view: &Value,
    own: Option<&str>,
) -> Option<String> {
    let refusal = checked(state, view, own).err()?;
    Some(format!("{} ({})", refusal.error, refusal.wrong.unwrap_or_default()))
}

fn exchanged(request: &mut Request) -> Result<Trigger, Refusal> {
    let id = request.text("trigger_id").to_owned();
    let window = request.state.setup.windows.trigger;
    let now = request.now;
    let Some(trigger) = request.state.triggers.get_mut(&id) else {
        return Err(wrong("invalid_trigger_id", format!("{id:?}")));
    };
    if trigger.spent {
        return Err(wrong("exchanged_trigger_id", "it opens one view"));
    }
    if now > trigger.at + window {
        return Err(wrong("expired_trigger_id", format!("after {:?}", now - trigger.at)));
    }
    trigger.spent = true;
    Ok(trigger.clone())
}

/// Puts it before the person, on top of another or by itself.
pub(in crate::slack_world) fn shown(
    state: &mut State,
    user: &str,
    body: Value,
    below: Option<&str>,
) -> View {
    let id = format!("V{:09}", state.serial());
    let root = below.map(|it| state.workspace.views[it].root.clone());
    let view = View {
        id: id.clone(),
        user: user.to_owned(),
        hash: format!("hash.{}", state.serial()),
        body: named(body),
        root: root.unwrap_or_else(|| id.clone()),
        previous: below.map(str::to_owned),
        open: true,
        versions: 1,
        errors: BTreeMap::new(),
    };
    state.workspace.views.insert(id, view.clone());
    view
}

pub(in crate::slack_world) fn replaced(state: &mut State, id: &str, body: Value) -> View {
    let hash = format!("hash.{}", state.serial());
    let view = state.workspace.views.get_mut(id).expect("the caller has found it");
    view.body = named(body);
    view.hash = hash;
    view.versions += 1;
    view.clone()
}

fn named(mut body: Value) -> Value {
    let blocks = body["blocks"].take();
    body["blocks"] = with_ids(blocks);
    body
}
