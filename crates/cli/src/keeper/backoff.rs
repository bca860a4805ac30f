//! How long the keeper waits before it starts a daemon that ended: not at all the first time, then longer and longer.

use std::time::Duration;

/// The second restart in a row waits this long.
const FIRST: Duration = Duration::from_millis(100);
/// The delay stops growing here.
const LONGEST: Duration = Duration::from_secs(10);
/// A daemon that lived this long had a good start; its end begins a new row.
const GOOD_LIFE: Duration = Duration::from_secs(60);

/// Counts restarts in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    in_a_row: u32,
}

impl Backoff {
    /// The delay before the next start of a daemon that lived this long.
    pub fn next(&mut self, lived: Duration) -> Duration {
        if lived >= GOOD_LIFE {
            self.in_a_row = 0;
        }
        let delay = match self.in_a_row {
            0 => Duration::ZERO,
            n => FIRST.saturating_mul(1 << (n - 1).min(16)).min(LONGEST),
        };
        self.in_a_row += 1;
        delay
    }

    /// Restarts in a row so far.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_then_the_delay_doubles_to_ten_seconds() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..10).map(|_| backoff.next(Duration::from_millis(5)).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn a_minute_of_life_begins_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.next(Duration::ZERO);
        }
        assert_eq!(backoff.next(Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(backoff.next(Duration::from_secs(59)), Duration::from_millis(100));
    }
}
