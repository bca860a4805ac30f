//! Waiting for what must come true: a condition and a deadline, never a bare sleep.

use std::time::{Duration, Instant};

/// Nothing we wait for takes longer than this, even on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds; panics with `what` if it never does.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_value(what, || condition().then_some(()));
}

/// Waits until `look` finds something; panics with `what` if it never does.
pub fn eventually_value<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_else(look, || what.to_owned())
}

/// The same where what is to be said is known only when it has failed.
pub fn eventually_else<T>(mut look: impl FnMut() -> Option<T>, what: impl FnOnce() -> String) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if began.elapsed() >= PATIENCE {
            panic!("never came true: {}", what());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
