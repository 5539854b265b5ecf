//! Whether Slack is set up so that a release can run in it, and what to click where it is not.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::api::{self, Fault, Twice, text};
use super::{Hidden, Slack, Spot};
use crate::adapters::chat::finding::{Finding, bad, clock, good};

/// The scopes without which something does not work, and what.
const NEEDED: [(&str, &str); 17] = [
    ("app_mentions:read", "answering a mention"),
    ("bookmarks:read", "seeing which links a war room has"),
    ("bookmarks:write", "adding the dashboards to a war room"),
    ("channels:history", "finding out whether a message was posted"),
    ("channels:join", "joining the channel of an announcement"),
    ("channels:manage", "opening and archiving war rooms"),
    ("channels:read", "finding our own war rooms again"),
    ("chat:write", "saying anything"),
    ("commands", "the slash command"),
    ("files:write", "attaching reports"),
    ("groups:history", "the same in private channels"),
    ("groups:read", "the same in private channels"),
    ("im:history", "the same in private conversations"),
    ("im:write", "writing to people in private"),
    ("pins:write", "pinning the live card"),
    ("usergroups:read", "roles that are user groups"),
    ("users:read", "telling members from guests"),
];

const JOIN: &str = "channels:join";

impl Slack {
    /// `channels` and `groups` are ids of this workspace that the configuration names.
    pub async fn doctor(&self, channels: &[String], groups: &[String]) -> Vec<Finding> {
        let (answer, headers) = match self.ask_plainly().await {
            Ok(answer) => answer,
            Err(why) => return vec![bad("Slack", why)],
        };
        if answer["ok"] != true {
            let code = text(&answer, "/error").to_owned();
            let fault = Fault::Refused { code, needed: String::new() };
            let why = fault.failure("it does not work", Twice::Harmless);
            return vec![bad("Slack's bot token", why.to_string())];
        }
        let mut found = vec![self.team(&answer), clock("Slack", &headers)];
        found.extend(scopes(&headers));
        let can_join = granted(&headers).is_none_or(|scopes| scopes.contains(JOIN));
        for channel in channels {
            found.push(self.channel(channel, text(&answer, "/user"), can_join).await);
        }
        for group in groups {
            found.push(self.group(group).await);
        }
        if let Some(app) = self.settings.app_token.as_ref().filter(|_| self.has_socket()) {
            found.push(self.line(app).await);
        }
        found
    }

    fn has_socket(&self) -> bool {
        self.settings.mode.has_socket()
    }

    /// By hand, since the SDK keeps the headers to itself.
    async fn ask_plainly(&self) -> Result<(Value, HeaderMap), String> {
        let unreachable = |_: reqwest::Error| {
            "it cannot be reached: check the network, the proxy and [slack] api_url".to_owned()
        };
        let client = reqwest::Client::builder().timeout(self.settings.timeout).build();
        let url = format!("{}/auth.test", self.settings.api_url.trim_end_matches('/'));
        let asked = client.map_err(unreachable)?.post(url);
        let asked = asked.bearer_auth(self.settings.bot_token.expose()).send().await;
        let answer = asked.map_err(unreachable)?;
        let headers = answer.headers().clone();
        let body = answer
            .json()
            .await
            .map_err(|_| "what answers there is not Slack: check [slack] api_url".to_owned())?;
        Ok((body, headers))
    }

    fn team(&self, answer: &Value) -> Finding {
        let (team, wanted) = (text(answer, "/team_id"), &self.settings.tenant);
        let what = format!("Slack's workspace {}", text(answer, "/team"));
        let theirs = text(answer, "/enterprise_id");
        let enterprise = self.settings.enterprise.as_deref().filter(|it| *it != theirs);
        match (team == wanted || theirs == wanted, enterprise) {
            (true, None) => good(what),
            (true, Some(wanted)) => bad(
                what,
                format!(
                    "the token is not of the organisation {wanted} that [slack] enterprise names"
                ),
            ),
            (false, _) => bad(
                what,
                format!("the token is of {team}, and [slack] team says {wanted}: correct one"),
            ),
        }
    }

    /// Into a public one we go by ourselves once there is something to say.
    async fn channel(&self, channel: &str, own: &str, can_join: bool) -> Finding {
        let id = Spot::of(channel).channel;
        let what = format!("Slack channel {id}");
        let info = match self.api.read("conversations.info", &[("channel", id)]).await {
            Ok(info) => info,
            Err(fault) => {
                return bad(what, fault.failure("it cannot be seen", Twice::Harmless).to_string());
            }
        };
        let name = text(&info, "/channel/name");
        let what = format!("{what} (#{name})");
        if info["channel"]["is_archived"] == true {
            return bad(what, "it is archived: unarchive it, or name another");
        }
        let invite = format!("type `/invite @{own}` in #{name}");
        let (inside, private) =
            (info["channel"]["is_member"] == true, info["channel"]["is_private"] == true);
        match (inside, private, can_join) {
            (true, ..) => good(what),
            (false, true, _) => bad(what, format!("I am not in it, and it is private: {invite}")),
            (false, false, true) => good(format!("{what}: I will join it at the first post")),
            (false, false, false) => {
                let scope = format!("give the app the scope {JOIN} under OAuth & Permissions");
                bad(what, format!("I am not in it, and may not join: {invite}, or {scope}"))
            }
        }
    }

    async fn group(&self, group: &str) -> Finding {
        let id = group.rsplit('/').next().unwrap_or(group);
        let what = format!("Slack user group {id}");
        let members = self.api.read("usergroups.users.list", &[("usergroup", id)]).await;
        match members {
            Ok(members) => match members["users"].as_array().map_or(0, Vec::len) {
                0 => bad(what, "nobody is in it: add members under People, User groups"),
                _ => good(what),
            },
            Err(fault) if fault.is(&["no_such_subteam", "subteam_not_found"]) => {
                bad(what, "Slack knows no such group: copy its id under People, User groups")
            }
            Err(fault) => {
                bad(what, fault.failure("it cannot be seen", Twice::Harmless).to_string())
            }
        }
    }

    async fn line(&self, app: &Hidden) -> Finding {
        let what = "Slack's Socket Mode";
        let token = api::token(app);
        match self.api.call_as(&token, "apps.connections.open", &api::nothing()).await {
            Ok(_) => good(what),
            Err(fault) => {
                let why = fault.failure("it does not open", Twice::Harmless);
                let mend = "Turn it on under Socket Mode, and make the app token under Basic \
                            Information, App-Level Tokens, with the scope connections:write";
                bad(what, format!("{why}. {mend}"))
            }
        }
    }
}

fn granted(headers: &HeaderMap) -> Option<BTreeSet<&str>> {
    let granted = headers.get("x-oauth-scopes")?.to_str().ok()?;
    Some(granted.split(',').map(str::trim).collect())
}

/// What the token may do, as Slack says with every answer.
fn scopes(headers: &HeaderMap) -> Vec<Finding> {
    let Some(granted) = granted(headers) else {
        return vec![bad("Slack's scopes", "Slack does not say which the token has")];
    };
    let missing: Vec<_> = NEEDED.iter().filter(|(scope, _)| !granted.contains(scope)).collect();
    if missing.is_empty() {
        return vec![good("Slack's scopes")];
    }
    let mend = "add it under OAuth & Permissions, Bot Token Scopes, then reinstall the app";
    let finding = |(scope, what): &&(&str, &str)| {
        bad(format!("Slack's scope {scope}"), format!("{what} needs it: {mend}"))
    };
    missing.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_named_with_what_it_is_for() {
        let mut headers = HeaderMap::new();
        let all: Vec<_> = NEEDED.iter().map(|(scope, _)| *scope).collect();
        headers.insert("x-oauth-scopes", all.join(",").parse().expect("ASCII"));
        assert_eq!(scopes(&headers), [good("Slack's scopes")]);
        let fewer = all.join(",").replace("pins:write,", "");
        headers.insert("x-oauth-scopes", fewer.parse().expect("ASCII"));
        let found = scopes(&headers);
        let [Finding { what, trouble: Some(trouble) }] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert!(what.contains("pins:write") && trouble.contains("reinstall"), "{what}: {trouble}");
    }

    #[test]
    fn the_manifest_asks_for_what_is_needed_and_for_nothing_else() {
        let manifest = include_str!("../../../../deploy/slack/manifest.yaml");
        let asked = manifest.split("    bot:").nth(1).and_then(|it| it.split("settings:").next());
        let lines = asked.expect("it has a list of scopes").lines();
        let asked: Vec<_> = lines.filter_map(|line| line.trim().strip_prefix("- ")).collect();
        assert_eq!(asked, NEEDED.map(|(scope, _)| scope));
    }
}
