//! How long to wait before a line to a platform is tried again.

use std::time::Duration;

/// Doubled each time, up to this.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// 0, 1, 2, 4 … seconds.
pub(super) fn backoff(tries: u32) -> Duration {
    match tries {
        0 => Duration::ZERO,
        tries => Duration::from_secs(1 << (tries - 1).min(10)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<_> = (0..9).map(|tries| backoff(tries).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
