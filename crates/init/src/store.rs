//! What init remembers for its daemon, without looking at it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use session0_model::limit::{KEPT_DESCRIPTORS_MAX, RECORD_MAX, RECORDS_MAX, SERVICES_MAX};

/// Bytes by key, and descriptors by key: what waits to be sent shares them, so that a replay opens none.
#[derive(Default)]
pub struct Store {
    records: BTreeMap<String, Vec<u8>>,
    kept: BTreeMap<String, Rc<OwnedFd>>,
}

/// The descriptors of a host that serves no pipes, and of some. A copy of so many takes as long as the thread that avoids it.
const FEW: usize = 256;
/// Below are those of all units, and what a launch needs for a moment.
const ASIDE: i32 = 4 * SERVICES_MAX as i32;

/// The daemon asked for more than the limits of the model: it is broken, and is cut off.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMuch;

impl Store {
    /// Keeps bytes.
    pub fn store(&mut self, key: String, bytes: Vec<u8>) -> Result<(), TooMuch> {
        if bytes.len() > RECORD_MAX || key.len() > RECORD_MAX {
            return Err(TooMuch);
        }
        if self.records.len() >= RECORDS_MAX && !self.records.contains_key(&key) {
            return Err(TooMuch);
        }
        self.records.insert(key, bytes);
        Ok(())
    }

    /// Forgets bytes.
    pub fn unstore(&mut self, key: &str) {
        self.records.remove(key);
    }

    /// Keeps a descriptor.
    pub fn keep(&mut self, key: String, descriptor: Rc<OwnedFd>) -> Result<(), TooMuch> {
        let full = self.kept.len() >= KEPT_DESCRIPTORS_MAX && !self.kept.contains_key(&key);
        if full || key.len() > RECORD_MAX {
            return Err(TooMuch);
        }
        self.kept.insert(key, descriptor);
        Ok(())
    }

    /// Whether so few descriptors are kept that a launch does not feel them.
    pub fn keeps_few(&self) -> bool {
        self.kept.len() < FEW
    }

    /// A descriptor that is to be kept, out of the way of launches, where there are many: a child that gets only low numbers
    /// ([`session0_sys::launch::Table`]) then gets none of these. Without room up there it stays where it is.
    pub fn aside(&self, descriptor: OwnedFd) -> OwnedFd {
        if self.keeps_few() {
            return descriptor;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        // Of what may be open the daemon counts five eighths for pipes.
        let quarter = limit.and_then(|limit| i32::try_from(limit / 4).ok()).unwrap_or(ASIDE);
        rustix::io::fcntl_dupfd_cloexec(&descriptor, quarter.min(ASIDE)).unwrap_or(descriptor)
    }

    /// Closes a descriptor.
    pub fn release(&mut self, key: &str) {
        self.kept.remove(key);
    }

    /// All bytes.
    pub fn records(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.records.iter()
    }

    /// All descriptors.
    pub fn kept(&self) -> impl Iterator<Item = (&String, &Rc<OwnedFd>)> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_replacing_is_not_adding() {
        let mut store = Store::default();
        assert_eq!(store.store("a".into(), vec![0; RECORD_MAX + 1]), Err(TooMuch));
        for number in 0..RECORDS_MAX {
            store.store(number.to_string(), vec![1]).unwrap();
        }
        assert_eq!(store.store("one more".into(), vec![]), Err(TooMuch));
        store.store("0".into(), vec![2]).unwrap();
        assert_eq!(store.records().find(|(key, _)| *key == "0").unwrap().1, &vec![2]);
        // One for all keys: a test may not open so many.
        let null = Rc::new(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
        for number in 0..KEPT_DESCRIPTORS_MAX {
            store.keep(number.to_string(), null.clone()).unwrap();
        }
        assert_eq!(store.keep("one more".into(), null.clone()), Err(TooMuch));
        store.keep("0".into(), null.clone()).unwrap();
        store.release("0");
        assert_eq!(store.kept().count(), KEPT_DESCRIPTORS_MAX - 1);
        drop(store);
        assert_eq!(Rc::strong_count(&null), 1, "what is released or replaced is closed");
    }
}
