//! Where Slack told us to wait: it counts messages by channel, and everything else by method.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Asked before each call, so that nobody comes back before the time that Slack named to another.
#[derive(Default)]
pub(super) struct Rests {
    until: HashMap<String, Instant>,
}

/// What is counted together.
pub(super) fn bucket(method: &str, channel: &str) -> String {
    match method {
        "chat.postMessage" => format!("{method} {channel}"),
        method => method.to_owned(),
    }
}

impl Rests {
    /// How long is still to be waited, if at all.
    pub(super) fn left(&self, bucket: &str, now: Instant) -> Option<Duration> {
        let left = self.until.get(bucket)?.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// What is over is forgotten, so that this holds no more than Slack has closed.
    pub(super) fn tell(&mut self, bucket: String, wait: Duration, now: Instant) {
        self.until.retain(|_, until| *until > now);
        if let Some(until) = now.checked_add(wait) {
            self.until.insert(bucket, until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_channel_rests_and_the_others_do_not() {
        let (mut rests, now) = (Rests::default(), Instant::now());
        rests.tell(bucket("chat.postMessage", "C1"), 3 * SECOND, now);
        assert_eq!(rests.left(&bucket("chat.postMessage", "C1"), now), Some(3 * SECOND));
        for (method, channel) in [("chat.postMessage", "C2"), ("pins.add", "C1")] {
            assert_eq!(rests.left(&bucket(method, channel), now), None, "{method} {channel}");
        }
        assert_eq!(rests.left(&bucket("chat.postMessage", "C1"), now + 3 * SECOND), None);
    }

    #[test]
    fn a_method_rests_wherever_it_is_called() {
        let (mut rests, now) = (Rests::default(), Instant::now());
        rests.tell(bucket("conversations.create", ""), 3 * SECOND, now);
        assert!(rests.left(&bucket("conversations.create", "C2"), now).is_some());
        rests.tell(bucket("pins.add", "C1"), SECOND, now + 4 * SECOND);
        assert_eq!(rests.until.len(), 1, "what is over is forgotten");
    }
}
