//! Slack's clock: it runs by itself, and a test may put it forward instead of waiting.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub(crate) struct Clock {
    began: Instant,
    epoch: Duration,
    ahead: watch::Sender<Duration>,
    /// By how much the bot's machine is ahead of this one.
    shared: Mutex<Duration>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let epoch = wall();
        let (ahead, shared) = (watch::Sender::new(Duration::ZERO), Mutex::default());
        Self { began: Instant::now(), epoch, ahead, shared }
    }

    /// Since 1970.
    pub(crate) fn now(&self) -> Duration {
        self.epoch + self.began.elapsed() + *self.ahead.borrow()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead += by);
    }

    /// Time passes, for Slack and for the bot's machine.
    pub(crate) fn passes(&self, time: Duration) {
        *self.shared.lock().expect("no panic") += time;
        self.advance(time);
    }

    /// The clock on the wall of the bot's machine, which its own check of signatures reads too.
    pub(crate) fn wall(&self) -> Duration {
        wall() + *self.shared.lock().expect("no panic")
    }

    pub(crate) async fn until(&self, at: Duration) {
        let mut ahead = self.ahead.subscribe();
        loop {
            let now = self.now();
            if now >= at {
                return;
            }
            // Over when the clock was put forward, or when it got there by itself.
            let _ = tokio::time::timeout(at - now, ahead.changed()).await;
        }
    }
}

/// The clock on the wall, which the bot's own check of signatures reads too.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970")
}
