//! A service's record: what a new daemon must know of it that init and the configuration do not tell.
//!
//! The first byte is the format's version; the rest is postcard. A service that never ran has none. A record is
//! written at most once in a turn, and only if it differs from the one init has.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

use super::machine::{Machine, Stopped};
use super::status::{Failure, OutputLost, WaitsForUser};
use super::table::{Ending, Service, Services, Slot};
use crate::id::ServiceName;
use crate::launch::exit::{ExitStatus, Usage};
use crate::limit;
use crate::system::turn::Turn;
use crate::time::Time;

/// The format this code writes.
pub(crate) const VERSION: u8 = 1;
/// What keys of services begin with; the unit follows.
pub(crate) const PREFIX: &str = "service.";

/// See the module.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What it is doing.
    pub machine: Machine,
    /// Since when.
    pub since: Time,
    /// The last failure.
    pub failure: Option<Failure>,
    /// Failures in a row.
    pub failures: u32,
    /// Unasked ends in a row.
    pub streak: u32,
    /// How its last main process ended.
    pub last_exit: Option<ExitStatus>,
    /// What it used.
    pub last_usage: Option<Usage>,
    /// ERRNO=.
    pub errno: Option<i32>,
    /// STATUS=.
    pub text: Option<Box<str>>,
    /// What only a person could answer.
    pub waits_for_user: Option<Box<WaitsForUser>>,
    /// Display connections held.
    pub connections_held: u32,
    /// Output lost.
    pub lost: OutputLost,
    /// Of that, by loggers before this one.
    pub lost_before: OutputLost,
    /// How its last stop ended.
    pub ending: Ending,
    /// What it depends on, by the definition it was launched by.
    pub depends: Vec<ServiceName>,
    /// How it is stopped, by that definition.
    pub stop: (u8, Duration),
}

/// The key of a service's record.
pub(crate) fn key(name: &ServiceName) -> String {
    format!("{PREFIX}{}", name.as_str().to_ascii_lowercase())
}

impl Record {
    /// Reads one. `None`: it is from a format this code does not know, or damaged.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }

    /// Writes one. `None`: it is larger than init takes, which no service within its limits is.
    pub fn write(&self) -> Option<Vec<u8>> {
        let bytes = postcard::to_extend(self, alloc::vec![VERSION]).ok()?;
        (bytes.len() <= limit::RECORD_MAX).then_some(bytes)
    }
}

impl Service {
    fn record(&self) -> Record {
        Record {
            machine: self.machine,
            since: self.since,
            failure: self.failure.clone(),
            failures: self.failures,
            streak: self.streak,
            last_exit: self.last_exit,
            last_usage: self.last_usage,
            errno: self.errno,
            text: self.text.clone(),
            waits_for_user: self.waits_for_user.clone(),
            connections_held: self.connections_held,
            lost: self.lost,
            lost_before: self.lost_before,
            ending: self.ending,
            depends: if self.machine.engaged() { self.definition.depends.clone() } else { Vec::new() },
            stop: (self.definition.stop_signal, self.definition.stop_wait),
        }
    }

    /// Whether there is nothing to say that the configuration does not.
    fn untouched(&self) -> bool {
        self.machine == Machine::Stopped(Stopped::Down)
            && self.failure.is_none()
            && self.last_exit.is_none()
            && self.lost == OutputLost::default()
    }
}

impl Services {
    /// Has init keep the record, if there is an init and the record is new to it.
    pub(super) fn keep(&mut self, turn: &mut Turn, slot: Slot) {
        if !self.gate.keeps_records() {
            return;
        }
        let Some(service) = self.get_mut(slot) else { return };
        if service.stored.is_none() && service.untouched() {
            return;
        }
        let Some(bytes) = service.record().write() else { return };
        if service.stored.as_deref() != Some(&bytes) {
            service.stored = Some(bytes.clone().into_boxed_slice());
            turn.store(key(service.name()), bytes);
        }
    }

    /// A new init knows nothing: everything worth it is told again.
    pub fn forget_stored(&mut self) {
        for slot in self.all() {
            if let Some(service) = self.get_mut(slot) {
                service.stored = None;
            }
            self.touch(slot);
        }
    }
}
