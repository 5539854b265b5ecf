//! Slack's own limits: a tier per method, and about one message a second in each channel.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chats::crossed;

static TIERS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../specs/slack/rate_limit_tiers.json"))
        .expect("the published tiers are JSON")
});

const MINUTE: Duration = Duration::from_secs(60);
/// How many messages a channel takes at once before it insists on one a second.
const BURST: usize = 3;

#[derive(Default)]
pub(super) struct Rates {
    recent: BTreeMap<String, VecDeque<Duration>>,
    /// When the bot was told to come back, and when that was said.
    closed: BTreeMap<String, (Duration, Instant)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// Whole seconds, as the header has them.
    TooMany(u64),
    /// It came back although it had been told to wait.
    Impatient(u64),
}

impl Rates {
    /// Whether the bot keeps away for as long as it was told, limits or not.
    pub(super) fn told(&self, method: &str, channel: &str, now: Duration) -> Option<u64> {
        let (opens, _) = self.closed.get(&bucket(method, channel))?;
        (*opens > now).then(|| seconds(*opens - now))
    }

    /// As an objection.
    pub(super) fn crossed(&self, method: &str, channel: &str) -> &'static str {
        self.closed.get(&bucket(method, channel)).map_or("", |(_, said)| crossed(*said))
    }

    pub(super) fn tell(&mut self, method: &str, channel: &str, wait: u64, now: Duration) {
        let opens = now + Duration::from_secs(wait);
        self.closed.insert(bucket(method, channel), (opens, Instant::now()));
    }

    pub(super) fn ask(&mut self, method: &str, channel: &str, now: Duration) -> Verdict {
        if let Some(wait) = self.told(method, channel, now) {
            return Verdict::Impatient(wait);
        }
        let (most, within) = limit(method);
        let recent = self.recent.entry(bucket(method, channel)).or_default();
        recent.retain(|at| *at + within > now);
        if recent.len() < most {
            recent.push_back(now);
            return Verdict::Allowed;
        }
        let oldest = *recent.front().expect("a full bucket has a first");
        let wait = seconds(oldest + within - now);
        self.tell(method, channel, wait, now);
        Verdict::TooMany(wait)
    }
}

fn seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000).max(1)).expect("nobody waits that long")
}

/// Slack counts messages by channel and everything else by method.
fn bucket(method: &str, channel: &str) -> String {
    if method == "chat.postMessage" { format!("{method} {channel}") } else { method.to_owned() }
}

fn limit(method: &str) -> (usize, Duration) {
    match TIERS[method].as_str().unwrap_or("Tier1") {
        "Tier1" => (1, MINUTE),
        "Tier2" => (20, MINUTE),
        "Tier3" => (50, MINUTE),
        "Tier4" => (100, MINUTE),
        "SpecialTier_chat_postMessage" => (BURST, Duration::from_secs(BURST as u64)),
        _ => (300, MINUTE),
    }
}
