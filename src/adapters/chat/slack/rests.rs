//! Where Slack told us to wait: it counts messages by channel, and everything else by method.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock;

/// Asked before each call, so that nobody comes back before the time that Slack named to another.
/// When it is over, whoever comes first tries alone: all who had waited would only be sent away
/// together.
#[derive(Default)]
pub(super) struct Rests(Mutex<HashMap<String, Rest>>);

struct Rest {
    until: Instant,
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

/// How long is still to be waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooEarly(pub Duration);

/// What is counted together.
pub(super) fn bucket(method: &str, channel: &str) -> String {
    match method {
        "chat.postMessage" => format!("{method} {channel}"),
        method => method.to_owned(),
    }
}

impl Rests {
    /// Calls, unless it is too early. `told` reads from the answer how long Slack wants us to wait.
    pub(super) async fn unhurried<T>(
        &self,
        bucket: String,
        call: impl Future<Output = T>,
        told: impl FnOnce(&T) -> Option<Duration>,
    ) -> Result<T, TooEarly> {
        let gate = lock(&self.0).get(&bucket).map(|rest| rest.one_at_a_time.clone());
        let alone = match gate {
            Some(gate) => {
                self.is_over(&bucket)?;
                let alone = gate.lock_owned().await;
                self.is_over(&bucket)?;
                lock(&self.0).contains_key(&bucket).then_some(alone)
            }
            None => None,
        };
        let answer = call.await;
        match told(&answer) {
            Some(wait) => self.tell(bucket, wait, Instant::now()),
            None if alone.is_some() => drop(lock(&self.0).remove(&bucket)),
            None => {}
        }
        Ok(answer)
    }

    fn is_over(&self, bucket: &str) -> Result<(), TooEarly> {
        let until = lock(&self.0).get(bucket).map(|rest| rest.until);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero()).map_or(Ok(()), |left| Err(TooEarly(left)))
    }

    /// What is over and nobody tries is forgotten, so that this holds no more than Slack has closed.
    fn tell(&self, bucket: String, wait: Duration, now: Instant) {
        let mut rests = lock(&self.0);
        rests.retain(|_, rest| rest.until > now || Arc::strong_count(&rest.one_at_a_time) > 1);
        let Some(until) = now.checked_add(wait) else { return };
        let rest = rests.entry(bucket);
        rest.and_modify(|rest| rest.until = until)
            .or_insert_with(|| Rest { until, one_at_a_time: Arc::default() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(3_600);

    /// A call that Slack answers so.
    async fn called(
        rests: &Rests,
        method: &str,
        channel: &str,
        answer: Option<Duration>,
    ) -> Result<Option<Duration>, TooEarly> {
        rests.unhurried(bucket(method, channel), async { answer }, |told| *told).await
    }

    /// As if it had been told so long ago that it is over now.
    fn over(rests: &Rests, method: &str, channel: &str) {
        let before =
            Instant::now().checked_sub(SECOND).expect("a second has passed since the boot");
        rests.tell(bucket(method, channel), SECOND, before);
    }

    #[tokio::test]
    async fn one_channel_rests_and_the_others_do_not() {
        let rests = Rests::default();
        called(&rests, "chat.postMessage", "C1", Some(LONG)).await.expect("nothing rests yet");
        let TooEarly(left) =
            called(&rests, "chat.postMessage", "C1", None).await.expect_err("it rests");
        assert!(left <= LONG && left > LONG / 2, "{left:?}");
        for (method, channel) in [("chat.postMessage", "C2"), ("pins.add", "C1")] {
            assert!(called(&rests, method, channel, None).await.is_ok(), "{method} {channel}");
        }
        over(&rests, "chat.postMessage", "C1");
        assert!(called(&rests, "chat.postMessage", "C1", None).await.is_ok());
        assert!(lock(&rests.0).is_empty(), "and nothing is remembered of it");
    }

    #[tokio::test]
    async fn a_method_rests_wherever_it_is_called() {
        let rests = Rests::default();
        called(&rests, "conversations.create", "", Some(LONG)).await.expect("nothing rests yet");
        assert!(called(&rests, "conversations.create", "C2", None).await.is_err());
        over(&rests, "conversations.create", "");
        called(&rests, "pins.add", "C1", Some(LONG)).await.expect("nothing rests yet");
        assert_eq!(lock(&rests.0).len(), 1, "what is over is forgotten");
    }

    #[tokio::test]
    async fn after_a_rest_one_tries_and_nobody_else_is_sent_away_with_it() {
        let rests = Rests::default();
        over(&rests, "chat.update", "");
        let (sent, slow) = (AtomicU32::new(0), tokio::sync::Notify::new());
        let refused = async {
            sent.fetch_add(1, Ordering::Relaxed);
            slow.notified().await;
            Some(LONG)
        };
        let update = || bucket("chat.update", "C2");
        let first = rests.unhurried(update(), refused, |told| *told);
        let other = async {
            sent.fetch_add(1, Ordering::Relaxed);
            None
        };
        let other = rests.unhurried(update(), other, |told| *told);
        let answers = async {
            tokio::task::yield_now().await;
            assert_eq!(sent.load(Ordering::Relaxed), 1, "one tries alone");
            slow.notify_one();
        };
        let (first, other, ()) = tokio::join!(first, other, answers);
        assert_eq!(first, Ok(Some(LONG)));
        assert!(other.is_err() && sent.load(Ordering::Relaxed) == 1, "the other was never sent");

        over(&rests, "chat.update", "");
        assert_eq!(called(&rests, "chat.update", "C1", None).await, Ok(None));
        assert!(lock(&rests.0).is_empty(), "then all go as before");
    }
}
