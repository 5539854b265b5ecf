//! The way of a rollback: while one is decided, written and begun, what can wait a moment stands aside, so
//! that the machine is busy with nothing else.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// From here to the backend's process it takes less, where nothing is in the way.
const CLEAR: Duration = Duration::from_millis(15);
/// Then the others go on for at least so long, whoever clicks: nobody can hold them up all the time.
const REST: Duration = Duration::from_millis(60);

/// When it was cleared last.
#[derive(Debug, Default)]
pub(super) struct Way(Mutex<Option<Instant>>);

impl Way {
    pub(super) fn clear(&self) {
        self.clear_at(Instant::now());
    }

    pub(super) fn clear_at(&self, now: Instant) {
        let mut cleared = self.0.lock().expect("never held in a panic");
        if cleared.is_none_or(|at| now >= at + CLEAR + REST) {
            *cleared = Some(now);
        }
    }

    /// Until when the others stand aside.
    fn taken(&self, now: Instant) -> Option<Instant> {
        let cleared = *self.0.lock().expect("never held in a panic");
        cleared.map(|at| at + CLEAR).filter(|until| now < *until)
    }

    /// At once, but for the moment after it was cleared.
    pub(super) async fn stand_aside(&self) {
        if let Some(until) = self.taken(Instant::now()) {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_stand_aside_for_a_moment_and_go_on_for_longer_whoever_clicks() {
        let (way, noon) = (Way::default(), Instant::now());
        let cleared = |after: Duration| {
            way.clear_at(noon + after);
            way.taken(noon + after)
        };
        assert_eq!(way.taken(noon), None, "nobody rolls back");
        assert_eq!(cleared(Duration::ZERO), Some(noon + CLEAR));
        assert_eq!(cleared(CLEAR / 2), Some(noon + CLEAR), "one more does not prolong it");
        assert_eq!(cleared(CLEAR), None, "and it is theirs again");
        assert_eq!(cleared(REST), None);
        assert_eq!(cleared(CLEAR + REST), Some(noon + CLEAR + REST + CLEAR));
    }
}
