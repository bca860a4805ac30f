//! What was dropped, counted by reason: said at 1, 2, 4, 8 ... so that a flood of bad input is no flood of messages.

use std::collections::BTreeMap;

use crate::message;

/// Counts by reason; the reasons are ours, so there is only a handful.
#[derive(Debug, Default)]
pub struct Dropped(BTreeMap<&'static str, u64>);

impl Dropped {
    /// One more was dropped for this reason.
    pub fn count(&mut self, why: &'static str) {
        let count = self.0.entry(why).or_default();
        *count += 1;
        if count.is_power_of_two() {
            message::warn("dropped", &[("reason", &why), ("count", count)]);
        }
    }
}
