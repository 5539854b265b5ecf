//! Handles on what stands on a screen: a message, a private answer, a form.

use super::state::State;
use super::workspace::{Ephemeral, Message};

/// A message in a channel, whatever it says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) channel: String,
    pub(crate) ts: String,
}

impl Post {
    pub(super) fn message<'a>(&self, state: &'a State) -> &'a Message {
        let channel = state.workspace.channel(&self.channel);
        channel.message(&self.ts).unwrap_or_else(|| panic!("the message {} is gone", self.ts))
    }
}

/// What only one person sees.
#[derive(Clone, Debug)]
pub(crate) struct Whisper {
    pub(crate) channel: String,
    pub(crate) ts: String,
}

impl Whisper {
    pub(super) fn note<'a>(&self, state: &'a State) -> &'a Ephemeral {
        let found = state.workspace.ephemerals.iter().find(|it| it.ts == self.ts);
        found.expect("an answer stays until it is deleted")
    }
}

/// A modal or a home tab.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    pub(crate) id: String,
}
