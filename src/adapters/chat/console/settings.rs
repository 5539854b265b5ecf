//! What an operator decides about the console: who and what is on it, and who may use it.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{bail, ensure};

/// Tells the time that messages are stamped with.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

#[derive(Clone)]
pub struct ConsoleSettings {
    /// The name under which the bot speaks.
    pub bot: String,
    /// The workspace, as it appears in `Heard`.
    pub tenant: String,
    /// The slash command, with its slash.
    pub slash: String,
    pub people: Vec<Person>,
    pub channels: Vec<Channel>,
    pub access: Access,
    /// Names in the Host header that are served besides the loopback ones.
    pub hosts: Vec<String>,
    pub now: Clock,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub name: String,
    /// A word or two that helps to tell people apart: "captain", "QA".
    pub about: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub id: String,
    /// Without the leading mark.
    pub name: String,
    pub purpose: String,
}

/// Who somebody at the page is.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// Whoever they say they are: for trying things out, on loopback only.
    Switcher,
    /// The person of their token: pairs of a token and a person's id.
    Tokens(Vec<(String, String)>),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switcher => f.write_str("Switcher"),
            Self::Tokens(tokens) => write!(f, "Tokens({} hidden)", tokens.len()),
        }
    }
}

/// Refuses to let a network speak as anybody.
pub fn may_listen(listen: SocketAddr, access: &Access) -> Result<(), String> {
    let has_tokens = matches!(access, Access::Tokens(tokens) if !tokens.is_empty());
    if listen.ip().is_loopback() || has_tokens {
        return Ok(());
    }
    Err(format!(
        "The console will not listen on {listen}: without access tokens, anybody who reaches it \
         could speak as anyone. Give each person a token in the console's settings, or listen on \
         127.0.0.1."
    ))
}

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

impl ConsoleSettings {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.people.is_empty(), "the console needs at least one person");
        ensure!(!self.channels.is_empty(), "the console needs at least one channel");
        ensure!(
            self.slash.len() > 1 && self.slash.starts_with('/') && !self.slash.contains(' '),
            "the slash command `{}` must be one word that begins with /",
            self.slash
        );
        unique("person", self.people.iter().map(|person| person.id.as_str()))?;
        unique("channel", self.channels.iter().map(|channel| channel.id.as_str()))?;
        unique("channel name", self.channels.iter().map(|channel| channel.name.as_str()))?;
        self.check_tokens()
    }

    fn check_tokens(&self) -> anyhow::Result<()> {
        let Access::Tokens(tokens) = &self.access else { return Ok(()) };
        unique("token of a person", tokens.iter().map(|(_, person)| person.as_str()))?;
        for (token, person) in tokens {
            ensure!(
                token.len() >= SHORTEST_TOKEN,
                "the console token of `{person}` is shorter than {SHORTEST_TOKEN} characters"
            );
            ensure!(
                self.people.iter().any(|known| known.id == *person),
                "a console token belongs to `{person}`, who is not among the people"
            );
        }
        let values: HashSet<_> = tokens.iter().map(|(token, _)| token).collect();
        ensure!(values.len() == tokens.len(), "two people have the same console token");
        Ok(())
    }

    /// Milliseconds since 1970, as a browser counts.
    pub(super) fn now_ms(&self) -> i64 {
        let since = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }
}

/// Ids go into addresses and into the ids of private conversations and rooms.
fn unique<'a>(what: &str, ids: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    for id in ids {
        if id.is_empty() || id.starts_with('@') || id.starts_with("room-") {
            bail!("a {what} of the console cannot be `{id}`: not empty, no `@` or `room-` first");
        }
        ensure!(seen.insert(id), "the console has the {what} `{id}` twice");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_needs_tokens() {
        let tokens = Access::Tokens(vec![("0123456789abcdef".into(), "ann".into())]);
        let (inside, outside) = ("127.0.0.1:8080", "0.0.0.0:8080");
        let may =
            |listen: &str, access: &Access| may_listen(listen.parse().expect("an address"), access);
        assert_eq!(may(inside, &Access::Switcher), Ok(()));
        assert_eq!(may("[::1]:8080", &Access::Switcher), Ok(()));
        assert_eq!(may(outside, &tokens), Ok(()));
        assert!(may(outside, &Access::Tokens(Vec::new())).is_err());
        let why = may(outside, &Access::Switcher).expect_err("a switcher on the network");
        assert!(why.contains("Give each person a token"), "{why}");
    }

    #[test]
    fn tokens_are_not_printed() {
        let access = Access::Tokens(vec![("0123456789abcdef".into(), "ann".into())]);
        assert_eq!(format!("{access:?}"), "Tokens(1 hidden)");
    }
}
