//! The house in which a release is played in Slack.

use crate::installed::Installed;
use crate::slack_world::{Kind, Setup, SlackWorld, Standing};
use crate::stage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Socket,
    Http,
}

pub(crate) type Stage = stage::Stage<SlackWorld>;

/// Everybody of the play; on call is somebody who has never been to #releases.
pub(crate) fn cast() -> Setup {
    Setup::default().person("john", Standing::Member).channel(
        "incidents",
        Kind::Public,
        &["john", "bot"],
    )
}

impl SlackWorld {
    /// A configuration that knows where this Slack is.
    pub(crate) fn known_to(&self, config: String) -> String {
        config.replace("{api_url}", &self.api_url())
    }

    /// What it takes of an installation.
    pub(crate) fn trusts(&self, here: Installed) -> Installed {
        here.with_env("SLACK_BOT_TOKEN", &self.bot_token())
            .with_env("SLACK_APP_TOKEN", &self.app_token())
            .with_env("SLACK_SIGNING_SECRET", &self.signing_secret())
    }
}
