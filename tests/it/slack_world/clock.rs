//! Slack's clock: it runs by itself, and a test may put it forward instead of waiting.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub(crate) struct Clock {
    began: Instant,
    epoch: Duration,
    ahead: watch::Sender<Duration>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let epoch = wall();
        Self { began: Instant::now(), epoch, ahead: watch::Sender::new(Duration::ZERO) }
    }

    /// Since 1970.
    pub(crate) fn now(&self) -> Duration {
        self.epoch + self.began.elapsed() + *self.ahead.borrow()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead += by);
    }

    pub(crate) async fn until(&self, at: Duration) {
        let mut ahead = self.ahead.subscribe();
        loop {
            let now = self.now();
            if now >= at {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(at - now) => {}
                _ = ahead.changed() => {}
            }
        }
    }
}

/// The clock on the wall, which the bot's own check of signatures reads too.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970")
}
