//! How long a try waits: wrong passwords are remembered by account and by caller, whichever is worse counts.
//!
//! A try counts when it is *allowed*, not when it fails, so that many at once are not cheaper than one after the other. The right
//! password takes the account's count away.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::name::AccountName;
use crate::limit;
use crate::time::Time;

/// Whose tries are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Those at an account, known or not.
    Account(AccountName),
    /// Those of a caller. Not of the machine's root: a getty's are everybody's.
    Caller(u32),
}

/// Tries that were allowed and did not turn out right.
#[derive(Debug, Clone, Copy)]
struct Count {
    tries: u32,
    /// When the last one is made.
    last: Time,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delays(BTreeMap<Key, Count>);

impl Delays {
    /// One more try is made. Says how long it waits.
    pub fn attempt(&mut self, now: Time, account: &AccountName, caller: Option<u32>) -> Duration {
        let keys = keys(account, caller);
        let tries = keys.iter().flatten().filter_map(|key| self.count(now, key)).max().unwrap_or(0);
        let wait = delay(tries);
        for key in keys.into_iter().flatten() {
            let tries = self.count(now, &key).unwrap_or(0) + 1;
            self.make_room(now, &key);
            self.0.insert(key, Count { tries, last: now + wait });
        }
        wait
    }

    /// The right password was given after so many tries in one conversation.
    pub fn succeeded(&mut self, account: &AccountName, caller: Option<u32>, tries: u32) {
        self.0.remove(&Key::Account(account.clone()));
        // The caller's other wrong tries stay: an account of one's own must not buy tries at others'.
        if let Some(count) = caller.and_then(|caller| self.0.get_mut(&Key::Caller(caller))) {
            count.tries = count.tries.saturating_sub(tries);
        }
    }

    fn count(&self, now: Time, key: &Key) -> Option<u32> {
        let count = self.0.get(key)?;
        (now.since(count.last) < limit::LOGON_FORGET).then_some(count.tries)
    }

    /// The oldest goes when all places are taken.
    fn make_room(&mut self, now: Time, key: &Key) {
        if self.0.len() < limit::LOGON_DELAYS_MAX || self.0.contains_key(key) {
            return;
        }
        self.0.retain(|_, count| now.since(count.last) < limit::LOGON_FORGET);
        let oldest = self.0.iter().min_by_key(|(_, count)| count.last).map(|(key, _)| key.clone());
        if let (true, Some(oldest)) = (self.0.len() >= limit::LOGON_DELAYS_MAX, oldest) {
            self.0.remove(&oldest);
        }
    }
}

fn keys(account: &AccountName, caller: Option<u32>) -> [Option<Key>; 2] {
    [Some(Key::Account(account.clone())), caller.map(Key::Caller)]
}

/// None for the first three, then 1, 2, 4 ... seconds.
fn delay(tries: u32) -> Duration {
    match tries.checked_sub(limit::LOGON_TRIES_MAX) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(16)).min(limit::LOGON_DELAY_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const MINUTE: Duration = Duration::from_secs(60);

    fn name(text: &str) -> AccountName {
        AccountName::new(text).unwrap()
    }

    #[test]
    fn three_tries_then_a_growing_delay_that_ends() {
        let (mut delays, alice) = (Delays::default(), name("alice"));
        let waits: Vec<u64> = (0..11).map(|_| delays.attempt(Time(0), &alice, None).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(delays.attempt(Time(0) + 20 * MINUTE, &alice, None), Duration::ZERO, "it is forgotten");
    }

    #[test]
    fn the_right_password_frees_the_account_and_not_the_caller() {
        let (mut delays, mallory) = (Delays::default(), Some(1000));
        for number in 0..6 {
            delays.attempt(Time(0), &name(&alloc::format!("victim{number}")), mallory);
        }
        assert!(delays.attempt(Time(0), &name("mallory"), mallory) >= Duration::from_secs(8));
        delays.succeeded(&name("mallory"), mallory, 1);
        assert!(delays.attempt(Time(0), &name("victim7"), mallory) >= Duration::from_secs(8));
        assert_eq!(
            delays.attempt(Time(0), &name("victim1"), Some(1001)),
            Duration::ZERO,
            "others are not hindered"
        );
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_go() {
        let mut delays = Delays::default();
        for number in 0..2 * limit::LOGON_DELAYS_MAX as u64 {
            delays.attempt(Time(number), &name(&alloc::format!("u{number}")), None);
        }
        assert_eq!(delays.0.len(), limit::LOGON_DELAYS_MAX);
    }
}
