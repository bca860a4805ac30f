//! The table of units: what the logger has of each, which is little, because there are many and most are quiet.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use session0_model::id::ServiceName;
use session0_model::limit::SERVICES_MAX;

/// Units beside the services: our own programs, and [`UNKNOWN`].
const UNITS_MAX: usize = SERVICES_MAX + 64;

/// Whose log a syslog datagram goes to when nobody knows who sent it.
pub const UNKNOWN: &str = "unknown";

/// One unit.
#[derive(Debug)]
pub struct Unit {
    /// Its name: that of the log file, without `.log`.
    pub name: Box<str>,
    /// The read end of its output pipe.
    pub pipe: Option<OwnedFd>,
    /// Its log file, open while there are descriptors enough.
    pub file: Option<OwnedFd>,
    /// Whether an unfinished line is in the pipe, and what is to be done about it.
    pub waits: Option<Wait>,
    /// How long the last pause between two looks was, if the pipe has to be looked at without being told that there is
    /// more: since it was seen full, until it is seen empty.
    pub pause: Option<Duration>,
    /// Whether it is in the queue of those with something to read.
    pub queued: Queued,
    group: u64,
}

/// An unfinished line in a unit's pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// When it is written as it is.
    pub until: Instant,
    /// When the pipe is looked at again, at the latest.
    pub look_at: Instant,
}

/// Whether a unit is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// All units. An index stays the same as long as its unit exists.
#[derive(Debug, Default)]
pub struct Units {
    slots: Vec<Option<Unit>>,
    free: Vec<u32>,
    by_name: BTreeMap<Box<str>, u32>,
    by_group: BTreeMap<u64, u32>,
    /// Where the search for a file to close goes on.
    hand: usize,
}

impl Units {
    /// The unit of this name, made if it is not there. `None`: it is no name of a unit, or there are too many.
    pub fn enter(&mut self, name: &str) -> Option<u32> {
        if let Some(index) = self.find(name) {
            return Some(index);
        }
        if ServiceName::new(name).is_err() || self.by_name.len() >= UNITS_MAX {
            return None;
        }
        let unit = Unit {
            name: name.into(),
            pipe: None,
            file: None,
            waits: None,
            pause: None,
            queued: Queued::No,
            group: 0,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        self.slots[index as usize] = Some(unit);
        self.by_name.insert(name.into(), index);
        Some(index)
    }

    /// The unit of this name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The unit whose group has this id.
    pub fn of_group(&self, group: u64) -> Option<u32> {
        self.by_group.get(&group).copied()
    }

    /// Notes the id of a unit's group; 0 if it has none.
    pub fn set_group(&mut self, index: u32, group: u64) {
        let Some(unit) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else { return };
        if self.by_group.get(&unit.group) == Some(&index) {
            self.by_group.remove(&unit.group);
        }
        unit.group = group;
        if group != 0 {
            self.by_group.insert(group, index);
        }
    }

    /// A unit.
    pub fn get(&mut self, index: u32) -> Option<&mut Unit> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// Forgets a unit.
    pub fn remove(&mut self, index: u32) {
        self.set_group(index, 0);
        if let Some(unit) = self.slots.get_mut(index as usize).and_then(Option::take) {
            self.by_name.remove(&unit.name);
            self.free.push(index);
        }
    }

    /// All of them.
    pub fn indices(&self) -> Vec<u32> {
        self.by_name.values().copied().collect()
    }

    /// Closes the log file of some unit other than `except`, in turn; its next line opens it again.
    pub fn close_a_file(&mut self, except: u32) {
        for _ in 0..self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            if self.hand == except as usize {
                continue;
            }
            if let Some(unit) = &mut self.slots[self.hand]
                && unit.file.take().is_some()
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_little() {
        assert!(size_of::<Option<Unit>>() <= 112, "{}", size_of::<Option<Unit>>());
    }

    #[test]
    fn units_come_and_go() {
        let mut units = Units::default();
        let a = units.enter("a").unwrap();
        let b = units.enter("b").unwrap();
        assert_eq!(units.enter("a"), Some(a));
        for name in ["", ".", "..", "x/y", "a\n"] {
            assert_eq!(units.enter(name), None, "{name:?}");
        }
        units.set_group(a, 7);
        units.set_group(b, 8);
        units.set_group(b, 9);
        assert_eq!([7, 8, 9, 0].map(|group| units.of_group(group)), [Some(a), None, Some(b), None]);
        units.remove(a);
        assert_eq!((units.find("a"), units.of_group(7)), (None, None));
        assert_eq!(units.enter("c"), Some(a));
        assert_eq!(units.indices().len(), 2);
    }

    #[test]
    fn there_is_a_most() {
        let mut units = Units::default();
        for number in 0..UNITS_MAX {
            assert!(units.enter(&format!("u{number}")).is_some());
        }
        assert_eq!(units.enter("one-more"), None);
    }
}
