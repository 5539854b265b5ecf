//! The house in which a release is played in Discord: the same as in Slack, with its people, roles and
//! channels as Discord has them.

use crate::discord_world::{DiscordWorld, Post, Setup, Whisper};
use crate::installed::Installed;
use crate::stage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Gateway,
    Http,
}

pub(crate) type Stage = stage::Stage<DiscordWorld>;

/// Everybody of the play; on call is somebody who has never been to #releases.
pub(crate) fn cast() -> Setup {
    Setup::default().person("john", &["on-call"]).stranger("leaver").channel("incidents", None)
}

impl DiscordWorld {
    /// A configuration that knows where this Discord is.
    pub(crate) fn known_to(&self, config: String) -> String {
        config.replace("{public_key}", &self.public_key()).replace("{discord_url}", &self.api_url())
    }

    /// What it takes of an installation.
    pub(crate) fn trusts(&self, here: Installed) -> Installed {
        here.with_env("DISCORD_TOKEN", &self.bot_token())
    }
}

impl Stage {
    /// Confirms a private question, whose place the answer takes.
    pub(crate) async fn confirms(&self, who: &str, asked: &Whisper, label: &str, answer: &str) {
        self.person(who).presses_in_whisper(asked, label).await.answered().await;
        let asked = Post { channel: asked.channel.clone(), id: asked.id.clone() };
        self.world.sees_edit(&asked, answer).await;
    }
}
