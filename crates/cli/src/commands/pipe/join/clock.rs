//! When something was moved last.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Both ways' clock.
pub struct Clock(Mutex<Instant>);

impl Clock {
    /// Begins now.
    pub fn new() -> Clock {
        Clock(Mutex::new(Instant::now()))
    }

    /// Something was moved.
    pub fn moved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nothing was.
    pub fn idle(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
