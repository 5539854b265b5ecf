//! What an operator decides about Discord.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use reqwest::Url;

use crate::adapters::chat::hidden::Hidden;

/// How what people do reaches us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// We call Discord and keep the line open: nothing of ours has to be reachable.
    #[default]
    Gateway,
    /// Discord calls us, and signs.
    Http,
    Both,
}

impl Mode {
    pub(super) fn has_gateway(self) -> bool {
        matches!(self, Self::Gateway | Self::Both)
    }

    pub(super) fn has_http(self) -> bool {
        matches!(self, Self::Http | Self::Both)
    }
}

/// Where the slash command is registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Registration {
    /// In our guild: a change is there at once.
    #[default]
    Guild,
    /// Wherever the application is installed.
    Global,
}

#[derive(Debug, Clone)]
pub struct DiscordSettings {
    pub bot_token: Hidden,
    pub application: u64,
    /// The only guild where we speak and listen.
    pub guild: u64,
    /// Checks what Discord posts to us: 64 hexadecimal digits.
    pub public_key: Option<String>,
    /// `https://discord.com`, or a proxy or a test in its place.
    pub api_url: String,
    /// For each single call.
    pub timeout: Duration,
    /// How long Discord may take to show what it took.
    pub lag: Duration,
    /// Between tries where a person has to mend something first. Discord takes a thousand new
    /// sessions a day.
    pub until_mended: Duration,
    pub mode: Mode,
    /// Where rooms are opened; without one, beside the guild's other channels.
    pub category: Option<u64>,
    /// Where rooms go that are over; without one they stay where they are, read-only.
    pub archive: Option<u64>,
    pub registration: Registration,
    /// Keeps the lines of buttons that are longer than a button can carry.
    pub buttons: PathBuf,
    /// What carries the calls in the place of our own: for an authority that only a house knows.
    pub client: Option<reqwest::Client>,
}

pub const API_URL: &str = "https://discord.com";

impl DiscordSettings {
    /// With everything else as it usually is.
    pub fn new(bot_token: Hidden, application: u64, guild: u64, buttons: PathBuf) -> Self {
        Self {
            bot_token,
            application,
            guild,
            public_key: None,
            api_url: API_URL.to_owned(),
            timeout: Duration::from_secs(10),
            lag: Duration::from_secs(3),
            until_mended: Duration::from_secs(5 * 60),
            mode: Mode::Gateway,
            category: None,
            archive: None,
            registration: Registration::Guild,
            buttons,
            client: None,
        }
    }

    /// As every account and channel of ours names it.
    pub(super) fn tenant(&self) -> String {
        self.guild.to_string()
    }

    /// The bytes of the public key, if it is one.
    pub(super) fn key(&self) -> Option<[u8; 32]> {
        let digits = self.public_key.as_ref()?.as_bytes();
        let mut key = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(key)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let token = self.bot_token.expose();
        ensure!(
            !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()),
            "[discord] bot_token is no token: copy it from the application's page Bot"
        );
        for (name, id) in [("application", self.application), ("guild", self.guild)] {
            ensure!(id > 0, "[discord] {name} is no id");
        }
        if self.mode.has_http() {
            ensure!(
                self.key().is_some(),
                "[discord] HTTP needs public_key, 64 hexadecimal digits: copy it from the \
                 application's page General Information"
            );
        }
        may_call(&self.api_url)
    }
}

/// Tokens travel in the clear over plain http, so it is for this machine only.
fn may_call(url: &str) -> anyhow::Result<()> {
    let Ok(parsed) = Url::parse(url) else { bail!("[discord] api_url `{url}` is no address") };
    let host = parsed.host_str().unwrap_or_default();
    let own = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    ensure!(
        parsed.scheme() == "https" || (parsed.scheme() == "http" && own),
        "[discord] api_url `{url}` is not https, and not on this machine"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DiscordSettings {
        DiscordSettings::new(Hidden::new("MT.x.y"), 1, 2, PathBuf::from("buttons"))
    }

    #[test]
    fn what_cannot_work_is_told_before_it_is_tried() {
        assert!(settings().check().is_ok());
        let key = Some("ab".repeat(32));
        let http = DiscordSettings { mode: Mode::Http, ..settings() };
        assert!(http.check().is_err(), "no key");
        assert!(DiscordSettings { public_key: key, ..http.clone() }.check().is_ok());
        assert!(DiscordSettings { public_key: Some("xy".repeat(32)), ..http }.check().is_err());
        for url in ["http://discord.example", "discord.com", "ftp://127.0.0.1"] {
            let wrong = DiscordSettings { api_url: url.to_owned(), ..settings() };
            assert!(wrong.check().is_err(), "{url}");
        }
        let token = DiscordSettings { bot_token: Hidden::new("a b"), ..settings() };
        assert!(token.check().is_err());
    }

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", settings()).contains("MT.x"));
    }
}
