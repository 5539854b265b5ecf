//! The house in which a release is played in Slack and in Discord together: both stand-ins, and one
//! installation between them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::chats::{Chat, PUBLIC, Said, Side};
use crate::discord_world::{self, DiscordWorld};
use crate::installed::{Installed, Running};
use crate::shop::{self, Where, prop};
use crate::slack_world::{self, SlackWorld};
use crate::{discord_stage, slack_stage, stage};

pub(crate) type Stage = stage::Stage<Both>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Socket Mode, and the gateway.
    Line,
    /// Signed requests of both.
    Http,
}

pub(crate) struct Both {
    pub(crate) slack: SlackWorld,
    pub(crate) discord: DiscordWorld,
}

pub(crate) struct Setup {
    pub(crate) slack: slack_world::Setup,
    pub(crate) discord: discord_world::Setup,
    /// Whether Quinn, who is in her role by a group, is known to be one person.
    pub(crate) quinn_is_linked: bool,
}

/// What is said in both, or to a person in one of them.
pub(crate) struct Post {
    pub(crate) slack: Option<slack_world::Post>,
    pub(crate) discord: Option<discord_world::Post>,
}

const IN_SLACK: &str = "slack: ";
const IN_DISCORD: &str = "discord: ";

const QUINN: &str = "[people.quinn]\nname = \"Quinn\"\n\
                     accounts = [\"slack/T0HOME0000/UQUINN0000\"]\n[people.dave]";

impl Chat for Both {
    type Mode = Mode;
    type Setup = Setup;
    type Post = Post;

    const MODES: [Mode; 2] = [Mode::Line, Mode::Http];

    fn cast() -> Setup {
        Setup { slack: slack_stage::cast(), discord: discord_stage::cast(), quinn_is_linked: true }
    }

    async fn set(
        mode: Mode,
        setup: Setup,
        change: impl FnOnce(String) -> String,
    ) -> (Self, Installed) {
        let both = Self {
            slack: SlackWorld::with(setup.slack).await,
            discord: DiscordWorld::with(setup.discord).await,
        };
        let mut config = prop("tminus.toml");
        if setup.quinn_is_linked {
            config = config.replace("[people.dave]", QUINN);
        }
        let (slack, discord, public) = match mode {
            Mode::Line => ("socket", "gateway", ""),
            Mode::Http => ("http", "http", PUBLIC),
        };
        let config = shop::moved(&config, Where::SlackAndDiscord)
            .replace("{mode}", slack)
            .replace("{discord_mode}", discord)
            .replace("# {public_url}", public);
        let config = both.discord.known_to(both.slack.known_to(config));
        let here = Installed::new(&change(config));
        let here = both.discord.trusts(both.slack.trusts(here));
        (both, here)
    }

    async fn meets(&self, mode: Mode, running: &Running) {
        let (slack, discord) = match mode {
            Mode::Line => (slack_stage::Mode::Socket, discord_stage::Mode::Gateway),
            Mode::Http => (slack_stage::Mode::Http, discord_stage::Mode::Http),
        };
        tokio::join!(self.slack.meets(slack, running), self.discord.meets(discord, running));
    }

    fn time_passes(&self, time: Duration) {
        self.slack.time_passes(time);
        self.discord.time_passes(time);
    }

    fn found(&self, channel: &str, wanted: &str) -> Option<Post> {
        let slack = self.slack.found(channel, wanted);
        let discord = self.discord.found(channel, wanted);
        let is_there = match channel.starts_with("dm-") {
            true => slack.is_some() || discord.is_some(),
            false => slack.is_some() && discord.is_some(),
        };
        is_there.then_some(Post { slack, discord })
    }

    fn text_of(&self, post: &Post) -> String {
        let slack = post.slack.as_ref().map(|post| Chat::text_of(&self.slack, post));
        let discord = || post.discord.as_ref().map(|post| Chat::text_of(&self.discord, post));
        slack.or_else(discord).expect("it is in one of them")
    }

    fn count(&self, wanted: &str) -> usize {
        self.slack.count(wanted).min(self.discord.count(wanted))
    }

    fn is_archived(&self) -> bool {
        self.slack.is_archived() && self.discord.is_archived()
    }

    fn everything(&self) -> String {
        format!(
            "In Slack:\n{}\nIn Discord:\n{}",
            self.slack.everything(),
            self.discord.everything()
        )
    }

    async fn assert_clean(&self) {
        Chat::assert_clean(&self.slack).await;
        Chat::assert_clean(&self.discord).await;
    }

    fn deeds(&self) -> BTreeSet<String> {
        let slack = self.slack.deeds().into_iter().map(|it| format!("{IN_SLACK}{it}"));
        let discord = self.discord.deeds().into_iter().map(|it| format!("{IN_DISCORD}{it}"));
        slack.chain(discord).collect()
    }

    fn said(&self) -> Said {
        let slack = self.slack.said().into_iter().map(|it| (IN_SLACK, it));
        let discord = self.discord.said().into_iter().map(|it| (IN_DISCORD, it));
        let all = slack.chain(discord);
        all.map(|(house, ((channel, text), often))| ((format!("{house}{channel}"), text), often))
            .collect()
    }

    fn strike(&self, side: Side, deed: &str) {
        match deed.strip_prefix(IN_SLACK) {
            Some(deed) => self.slack.strike(side, deed),
            None => self.discord.strike(side, deed.trim_start_matches(IN_DISCORD)),
        }
    }

    fn struck(&self) -> usize {
        self.slack.struck() + self.discord.struck()
    }

    fn release(&self) {
        self.slack.release();
        self.discord.release();
    }
}
