//! Handles on what stands on a screen: a message, a private answer, a form.

use super::realm::Message;
use super::state::State;

/// A message in a channel, whatever it says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) channel: String,
    pub(crate) id: String,
}

impl Post {
    pub(super) fn message<'a>(&self, state: &'a State) -> &'a Message {
        let channel = state.realm.channel(&self.channel);
        channel.message(&self.id).unwrap_or_else(|| panic!("the message {} is gone", self.id))
    }
}

/// What only one person sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whisper {
    pub(crate) channel: String,
    pub(crate) id: String,
}

impl Whisper {
    pub(super) fn post(&self) -> Post {
        Post { channel: self.channel.clone(), id: self.id.clone() }
    }
}

/// A form that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    pub(crate) id: String,
}
