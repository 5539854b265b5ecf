//! The app itself, the people and their groups.

use serde_json::{Value, json};

use super::{Answer, Request, refused, wrong};
use crate::slack_world::workspace::{APP, BOT, BOT_USER, ENTERPRISE, TEAM};

pub(super) fn auth_test(request: &mut Request) -> Answer {
    let mut us = json!({
        "url": "https://home.slack.com/", "team": "Home", "user": "tminus", "team_id": TEAM,
        "user_id": BOT_USER, "bot_id": BOT, "is_enterprise_install": false,
    });
    if request.state.setup.grid {
        us["enterprise_id"] = json!(ENTERPRISE);
    }
    Ok(us)
}

pub(super) fn connections_open(request: &mut Request) -> Answer {
    if request.state.link_disabled {
        return Err(refused("forbidden_team"));
    }
    let ticket = format!("ticket-{}", request.state.serial());
    request.state.tickets.insert(ticket.clone(), request.now);
    let host = request.base.trim_start_matches("http://");
    Ok(json!({"url": format!("ws://{host}/link/?ticket={ticket}&app_id={APP}")}))
}

pub(super) fn team_info(_: &mut Request) -> Answer {
    Ok(json!({"team": {
        "id": TEAM, "name": "Home", "domain": "home", "email_domain": "example.org",
        "url": "https://home.slack.com/",
    }}))
}

pub(super) fn info(request: &mut Request) -> Answer {
    let user = request.state.workspace.users.get(request.text("user"));
    let user = user.ok_or_else(|| refused("user_not_found"))?;
    let with_email = request.state.setup.scopes.contains("users:read.email");
    Ok(json!({"user": user.to_json(with_email)}))
}

pub(super) fn by_email(request: &mut Request) -> Answer {
    if !request.text("email").contains('@') {
        return Err(wrong("invalid_arguments", "`email` is no address"));
    }
    let mut users = request.state.workspace.users.values();
    let found = users.find(|user| user.email() == request.text("email"));
    let found = found.filter(|user| user.team() == TEAM);
    let user = found.ok_or_else(|| refused("users_not_found"))?;
    Ok(json!({"user": user.to_json(true)}))
}

pub(super) fn groups(request: &mut Request) -> Answer {
    let (disabled, users) =
        (request.args.flag("include_disabled"), request.args.flag("include_users"));
    let groups = request.state.workspace.groups.values();
    let shown = groups.filter(|group| disabled || !group.disabled);
    let shown: Vec<Value> = shown.map(|group| group.to_json(users)).collect();
    Ok(json!({"usergroups": shown}))
}

pub(super) fn group_users(request: &mut Request) -> Answer {
    let group = request.state.workspace.groups.get(request.text("usergroup"));
    let shown = group.filter(|it| !it.disabled || request.args.flag("include_disabled"));
    let group = shown.ok_or_else(|| refused("no_such_subteam"))?;
    Ok(json!({"users": group.users}))
}
