//! What `[slack]` means: tokens of the right kind, and ids of the right workspace.

use std::time::Duration;

use super::file::{self, File, SecretFrom};
use super::judge::Judge;
use super::problem::excerpt;
use super::secret::Secret;

/// Everything that is needed to speak and listen in one workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackTarget {
    /// The team id, `T…`.
    pub team: String,
    /// The organisation, `E…`, whose people count as this workspace's.
    pub enterprise: Option<String>,
    pub bot_token: Secret,
    pub app_token: Option<Secret>,
    pub signing_secret: Option<Secret>,
    pub mode: SlackMode,
    pub slash: String,
    /// Without a slash at the end; Slack's own where there is none.
    pub api_url: Option<String>,
    pub timeout: Duration,
    pub lag: Duration,
}

pub use file::SlackMode;

const KEY: &str = "slack";

pub(super) fn slack(judge: &mut Judge<'_>, file: &File) -> Option<SlackTarget> {
    let own = file.slack.as_ref()?;
    if !is_id(&own.team, "TE") {
        let what = format!("`{}` is not the id of a workspace", excerpt(&own.team));
        let mend = "copy the `T…` from the address of Slack in a browser: app.slack.com/client/T…";
        judge.wrong("slack.team", what, mend);
    }
    if let Some(enterprise) = own.enterprise.as_deref().filter(|id| !is_id(id, "E")) {
        let what = format!("`{}` is not the id of an organisation", excerpt(enterprise));
        judge.wrong("slack.enterprise", what, "copy the `E…` from its administration pages");
    }
    if own.slash.len() < 2 || !own.slash.starts_with('/') || own.slash.contains(' ') {
        let what = format!("`{}` is not a slash command", excerpt(&own.slash));
        judge.wrong("slack.slash", what, "write one word after a slash: `/release`");
    }
    let api_url = own.api_url.as_deref().map(|url| judge.address("slack.api_url", url));
    let bot_token = token(judge, "bot_token", Some(&own.bot_token), "xoxb-", BOT);
    let app_token = token(judge, "app_token", own.app_token.as_ref(), "xapp-", APP);
    let signing_secret = own.signing_secret.as_ref();
    let signing_secret = signing_secret.and_then(|from| judge.secret("slack.signing_secret", from));
    is_complete(judge, own);
    Some(SlackTarget {
        team: own.team.clone(),
        enterprise: own.enterprise.clone(),
        bot_token: bot_token?,
        app_token,
        signing_secret,
        mode: own.mode,
        slash: own.slash.clone(),
        api_url: api_url.map(|url| url.trim_end_matches('/').to_owned()),
        timeout: own.timeout.into(),
        lag: own.lag.into(),
    })
}

const BOT: &str = "copy the Bot User OAuth Token from the app's page OAuth & Permissions";
const APP: &str = "make one on the app's page Basic Information, under App-Level Tokens, with the \
                   scope connections:write";
const SIGNING: &str = "copy the Signing Secret from the app's page Basic Information";

/// Slack's tokens say by their first letters what they are for.
fn token(
    judge: &mut Judge<'_>,
    name: &str,
    from: Option<&SecretFrom>,
    prefix: &str,
    mend: &str,
) -> Option<Secret> {
    let key = format!("{KEY}.{name}");
    let token = judge.secret(&key, from?)?;
    if !token.expose().starts_with(prefix) {
        judge.wrong(&key, format!("this token does not begin with {prefix}"), mend);
    }
    Some(token)
}

fn is_complete(judge: &mut Judge<'_>, own: &file::Slack) {
    let socket = matches!(own.mode, SlackMode::Socket | SlackMode::Both);
    let http = matches!(own.mode, SlackMode::Http | SlackMode::Both);
    if socket && own.app_token.is_none() {
        judge.wrong(KEY, "Socket Mode needs `app_token`", APP);
    }
    if http && own.signing_secret.is_none() {
        judge.wrong(KEY, "listening over HTTP needs `signing_secret`", SIGNING);
    }
    if http && !judge.has_public_url {
        let mend = "set `public_url` in [server] to the address that Slack is to call";
        judge.wrong("slack.mode", "Slack has to know where to call us", mend);
    }
}

/// Whether Slack is there to be spoken on, and this is its workspace.
pub(super) fn speaks(judge: &mut Judge<'_>, key: &str, file: &File, tenant: &str) {
    let Some(own) = &file.slack else {
        let mend = "add [slack] with `team` and `bot_token`: deploy/slack/README.md says how";
        judge.wrong(key, "no chat platform `slack` is configured", mend);
        return;
    };
    if own.team != tenant {
        let what = format!("[slack] is for the workspace `{}`", excerpt(&own.team));
        judge.wrong(key, what, format!("write `slack/{}/…`", own.team));
    }
}

pub(super) fn channel(judge: &mut Judge<'_>, key: &str, channel: &str) {
    if !is_id(channel, "CG") {
        let what = format!("`{}` is not the id of a channel in Slack", excerpt(channel));
        let mend = "copy the `C…` from the end of the channel's details in Slack, not its name";
        judge.wrong(key, what, mend);
    }
}

/// The groups of a role: `slack/T…/S…`.
pub(super) fn groups(judge: &mut Judge<'_>, file: &File) {
    for (role, rules) in &file.roles {
        for (index, group) in rules.groups.iter().enumerate() {
            let key = format!("roles.{role}.groups[{index}]");
            let parts: Vec<_> = group.split('/').collect();
            match parts.as_slice() {
                ["slack", tenant, id] if is_id(id, "S") => {
                    speaks(judge, &key, file, tenant);
                }
                // Judged where Discord is.
                ["discord", ..] => {}
                ["slack", ..] => {
                    let what = format!("`{}` is not a user group in Slack", excerpt(group));
                    judge.wrong(&key, what, "write `slack/T…/S…`, with the group's id");
                }
                _ => {
                    let what = format!("`{}` is not a group that I can ask for", excerpt(group));
                    judge.wrong(&key, what, "write `slack/T…/S…` or `discord/<server>/<role>`");
                }
            }
        }
    }
}

pub(super) fn is_person(user: &str) -> bool {
    is_id(user, "UW")
}

fn is_id(text: &str, first: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| first.contains(c))
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}
