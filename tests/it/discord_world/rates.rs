//! Rate limits: one bucket for each route and place, one for everything, and the headers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::chats::crossed;

/// Calls, and the seconds in which they may be made.
type Allowance = (u32, f64);

/// Discord publishes no numbers; these are the ones that its clients have met, on the strict side.
fn allowance(operation: &str) -> Allowance {
    match operation {
        "create_message" | "update_message" | "delete_message" => (5, 5.0),
        "execute_webhook"
        | "update_webhook_message"
        | "update_original_webhook_message"
        | "create_interaction_response" => (5, 2.0),
        "create_pin" | "delete_pin" | "deprecated_create_pin" | "deprecated_delete_pin" => (5, 4.0),
        "create_guild_channel" => (10, 10.0),
        "create_application_command" | "create_guild_application_command" => (5, 20.0),
        "bulk_set_application_commands" | "bulk_set_guild_application_commands" => (2, 60.0),
        _ => (10, 5.0),
    }
}

/// All calls of a bot together; answers to interactions are not among them.
const GLOBAL: Allowance = (50, 1.0);
/// Names and topics of one channel.
const RENAMES: Allowance = (2, 600.0);

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Duration,
    used: u32,
}

#[derive(Default)]
pub(super) struct Rates {
    windows: BTreeMap<String, Window>,
    /// Until when the bot was told to wait, and when that was said.
    told: BTreeMap<String, (Duration, Instant)>,
}

/// What the headers say.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) bucket: String,
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) reset: Duration,
    pub(super) reset_after: f64,
    pub(super) exceeded: Option<Scope>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    User,
    Global,
    Shared,
}

impl Scope {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Global => "global",
            Self::Shared => "shared",
        }
    }
}

/// What is said in an interaction is none of the bot's own calls.
fn is_answer(operation: &str) -> bool {
    ["webhook", "interaction"].iter().any(|it| operation.contains(it))
}

impl Rates {
    /// Counts this call, and says where the bot stands with it.
    pub(super) fn count(&mut self, operation: &str, bucket: &str, now: Duration) -> Standing {
        if !is_answer(operation) {
            let global = self.take("global", GLOBAL, now);
            if global.exceeded.is_some() {
                return Standing { exceeded: Some(Scope::Global), ..global };
            }
        }
        self.take(bucket, allowance(operation), now)
    }

    /// A new name or topic has a bucket of its own, and a long one.
    pub(super) fn count_rename(&mut self, channel: &str, now: Duration) -> Standing {
        self.take(&format!("rename {channel}"), RENAMES, now)
    }

    fn take(&mut self, bucket: &str, (limit, seconds): Allowance, now: Duration) -> Standing {
        let length = Duration::from_secs_f64(seconds);
        let fresh = Window { began: now, used: 0 };
        let window = self.windows.entry(bucket.to_owned()).or_insert(fresh);
        if now >= window.began + length {
            *window = fresh;
        }
        let exceeded = window.used >= limit;
        window.used += u32::from(!exceeded);
        let reset = window.began + length;
        Standing {
            bucket: super::realm::id("bucket", bucket),
            limit,
            remaining: limit - window.used,
            reset,
            reset_after: reset.saturating_sub(now).as_secs_f64(),
            exceeded: exceeded.then_some(Scope::User),
        }
    }

    pub(super) fn tell(&mut self, bucket: &str, wait: f64, now: Duration) {
        let until = now + Duration::from_secs_f64(wait);
        self.told.insert(bucket.to_owned(), (until, Instant::now()));
    }

    /// The objection to a call that was told to wait, and is here all the same. Clocks may differ by a
    /// moment.
    pub(super) fn impatient(&self, operation: &str, bucket: &str, now: Duration) -> Option<String> {
        let moment = Duration::from_millis(20);
        let early = |name: &str| self.told.get(name).filter(|(until, _)| now + moment < *until);
        let everywhere = || early("global").filter(|_| !is_answer(operation));
        let (_, said) = early(bucket).or_else(everywhere)?;
        Some(format!("{operation}: did not wait for `retry_after`{}", crossed(*said)))
    }
}
