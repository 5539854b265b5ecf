//! What an operator decides about Slack.

use std::time::Duration;

use anyhow::{bail, ensure};
use reqwest::Url;

use crate::adapters::chat::hidden::Hidden;

/// How what people do reaches us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// We call Slack and keep the line open: nothing of ours has to be reachable.
    #[default]
    Socket,
    /// Slack calls us, and signs.
    Http,
    Both,
}

impl Mode {
    pub(super) fn has_socket(self) -> bool {
        matches!(self, Self::Socket | Self::Both)
    }

    pub(super) fn has_http(self) -> bool {
        matches!(self, Self::Http | Self::Both)
    }
}

#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// `xoxb-…`: speaks.
    pub bot_token: Hidden,
    /// `xapp-…`: opens Socket Mode.
    pub app_token: Option<Hidden>,
    /// Checks what Slack posts to us.
    pub signing_secret: Option<Hidden>,
    /// `https://slack.com/api`, or another one for GovSlack, a proxy or a test.
    pub api_url: String,
    /// For each single call.
    pub timeout: Duration,
    /// The slash command, with its slash.
    pub slash: String,
    /// The team id, `T…`: the token must belong to it.
    pub tenant: String,
    /// The organisation, `E…`, whose other workspaces' people are members here, too.
    pub enterprise: Option<String>,
    pub mode: Mode,
    /// How long Slack may take to show what it took.
    pub lag: Duration,
    /// How long Socket Mode may be silent before the line is taken for dead. Whole seconds.
    pub silence: Duration,
}

pub const API_URL: &str = "https://slack.com/api";

impl SlackSettings {
    /// With everything else as it usually is.
    pub fn new(tenant: impl Into<String>, bot_token: Hidden) -> Self {
        Self {
            bot_token,
            app_token: None,
            signing_secret: None,
            api_url: API_URL.to_owned(),
            timeout: Duration::from_secs(10),
            slash: "/release".to_owned(),
            tenant: tenant.into(),
            enterprise: None,
            mode: Mode::Socket,
            lag: Duration::from_secs(10),
            silence: Duration::from_secs(30),
        }
    }

    /// A token of a whole organisation says by itself which one that is.
    pub(super) fn organisation(&self) -> Option<&str> {
        let whole = Some(self.tenant.as_str()).filter(|tenant| tenant.starts_with('E'));
        self.enterprise.as_deref().or(whole)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.bot_token.expose().starts_with("xoxb-"),
            "[slack] bot_token does not begin with xoxb-: copy the Bot User OAuth Token"
        );
        if self.mode.has_socket() {
            let token = self.app_token.as_ref().map_or("", Hidden::expose);
            ensure!(
                token.starts_with("xapp-"),
                "[slack] Socket Mode needs app_token, which begins with xapp-: make one under \
                 Basic Information, App-Level Tokens, with the scope connections:write"
            );
        }
        if self.mode.has_http() {
            let secret = self.signing_secret.as_ref().map_or("", Hidden::expose);
            ensure!(
                !secret.is_empty(),
                "[slack] HTTP needs signing_secret: copy it from Basic Information"
            );
        }
        ensure!(is_team(&self.tenant), "[slack] team `{}` is no team id (T…)", self.tenant);
        let enterprise = self.enterprise.as_deref().unwrap_or("E1");
        ensure!(
            enterprise.starts_with('E') && is_team(enterprise),
            "[slack] enterprise `{enterprise}` is no id of an organisation (E…)"
        );
        may_call(&self.api_url)
    }
}

fn is_team(id: &str) -> bool {
    id.starts_with(['T', 'E']) && id.len() > 1 && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Tokens travel in the clear over plain http, so it is for this machine only.
fn may_call(url: &str) -> anyhow::Result<()> {
    let Ok(parsed) = Url::parse(url) else { bail!("[slack] api_url `{url}` is no address") };
    let here = parsed.host_str().is_some_and(|host| {
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    ensure!(
        parsed.scheme() == "https" || (parsed.scheme() == "http" && here),
        "[slack] api_url must begin with https://; http:// is for this machine only"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SlackSettings {
        let mut settings = SlackSettings::new("T0123", Hidden::new("xoxb-1"));
        settings.app_token = Some(Hidden::new("xapp-1"));
        settings
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(settings().check().is_ok());
        let wrong = |change: &dyn Fn(&mut SlackSettings), word: &str| {
            let mut settings = settings();
            change(&mut settings);
            let why = settings.check().expect_err("this cannot work").to_string();
            assert!(why.contains(word), "{why}");
        };
        wrong(&|it| it.bot_token = Hidden::new("xoxp-1"), "xoxb-");
        wrong(&|it| it.app_token = None, "app_token");
        wrong(&|it| it.mode = Mode::Both, "signing_secret");
        wrong(&|it| it.tenant = "acme".into(), "team id");
        wrong(&|it| it.enterprise = Some("T1".into()), "organisation");
        wrong(&|it| it.api_url = "http://slack.com/api".into(), "https://");
        wrong(&|it| it.api_url = "slack.com/api".into(), "api_url");
    }

    #[test]
    fn tokens_are_not_printed() {
        let text = format!("{:?}", settings());
        assert!(!text.contains("xoxb-1") && !text.contains("xapp-1"), "{text}");
    }
}
