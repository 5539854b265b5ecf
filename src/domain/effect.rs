//! What the world is asked to do about what happened. Committed with the events, before any of it
//! is done.

use serde::{Deserialize, Serialize};

use super::gate::{Waiting, Word};
use super::ids::{Account, FlagId, PersonId, ReleaseId, RunId};
use super::notice::Notice;
use super::policy::RoomHome;
use super::state::{Card, Posted};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Says something once.
    Say {
        to: Target,
        notice: Box<Notice>,
    },
    /// Brings a live card up to date. Carries nothing: it is rendered from the committed state when
    /// it is delivered, at most once a second.
    Refresh {
        card: Card,
    },
    Pin {
        release: ReleaseId,
        posted: Posted,
    },
    OpenRoom {
        release: ReleaseId,
        home: RoomHome,
        wish: RoomWish,
    },
    Archive {
        release: ReleaseId,
        platform: String,
        channel: String,
    },
    Run {
        release: ReleaseId,
        run: RunId,
        call: Call,
    },
    /// Looks after a run that a crash left behind.
    Look {
        release: ReleaseId,
        run: RunId,
        call: Call,
    },
    Stop {
        release: ReleaseId,
        run: RunId,
        call: Call,
    },
    /// Changes a flag because a person asked.
    Flag {
        flag: FlagId,
        nth: u32,
        call: Call,
        /// What is opening it is stopped first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stops: Vec<(RunId, Call)>,
    },
    /// Tells a deployment that waits for us what it may do.
    AnswerGate {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<ReleaseId>,
        waiting: Waiting,
        word: Word,
        text: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Channel { platform: String, channel: String },
    Person { person: PersonId, account: Account },
    Courier { kind: String, name: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomWish {
    pub name: String,
    pub topic: String,
    pub purpose: String,
    pub members: Vec<Account>,
    /// Groups of the platform who belong into it; who is in them is asked when the room opens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Account>,
    /// Where a thread stands in for it, if no channel may be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<String>,
    /// What everybody in it looks at: titles with their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<(String, String)>,
}

/// An action with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub action: super::ids::ActionName,
    pub with: std::collections::BTreeMap<String, String>,
    pub limit_ms: u64,
    pub repeat_safe: bool,
}

/// The lane of what is shown in a channel.
pub fn pictures(platform: &str, channel: &str) -> String {
    format!("{platform}/{channel}/pictures")
}

impl Effect {
    /// Whether it changes what users meet: done ahead of all that is asked meanwhile. Whoever rolls
    /// back waits for nobody's click.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Run { .. } | Self::Stop { .. } | Self::Flag { .. } => true,
            Self::Say { .. }
            | Self::Refresh { .. }
            | Self::Pin { .. }
            | Self::OpenRoom { .. }
            | Self::Archive { .. }
            | Self::Look { .. }
            | Self::AnswerGate { .. } => false,
        }
    }

    /// What shares a lane is done in order, one at a time; what does not, does not wait for it.
    pub fn lane(&self) -> String {
        match self {
            // **Invariant:** no word waits for a picture.
            Self::Say { to: Target::Channel { platform, channel }, notice }
                if notice.is_shown() =>
            {
                pictures(platform, channel)
            }
            Self::Say { to: Target::Channel { platform, channel }, .. } => {
                format!("{platform}/{channel}")
            }
            Self::Say { to: Target::Person { account, .. }, .. } => account.to_string(),
            Self::Say { to: Target::Courier { kind, name }, .. } => format!("{kind}:{name}"),
            Self::Refresh { card } => format!("{}/{}", card.platform, card.channel),
            Self::Pin { posted, .. } => format!("{}/{}", posted.platform, posted.channel),
            Self::Archive { platform, channel, .. } => format!("{platform}/{channel}"),
            Self::OpenRoom { release, home, .. } => format!("room/{}/{release}", home.platform),
            Self::Run { run, .. } | Self::Look { run, .. } => format!("run/{run}"),
            Self::AnswerGate { waiting, .. } => {
                format!("{}:{}/{}", waiting.gate, waiting.place, waiting.run)
            }
            // **Invariant:** a stop never waits behind what it stops.
            Self::Stop { run, .. } => format!("stop/{run}"),
            // Nor does a kill switch.
            Self::Flag { flag, call, .. } => format!("{}/{flag}", call.action),
        }
    }
}
