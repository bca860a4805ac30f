//! Limits, in v1's words and in v2's.

use std::io;
use std::os::fd::BorrowedFd;

use session0_model::launch::session_plan::Facilities;

/// The controllers that limits use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// memory
    Memory,
    /// pids
    Tasks,
    /// cpu
    Cpu,
}

impl Controller {
    /// All of them, in the order of init's descriptors 5, 6, 7.
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Tasks, Controller::Cpu];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Tasks => "pids",
            Controller::Cpu => "cpu",
        }
    }
}

impl Controller {
    /// The facility that stands for it.
    pub fn facility(self) -> Facilities {
        match self {
            Controller::Memory => Facilities::LIMIT_MEMORY,
            Controller::Tasks => Facilities::LIMIT_TASKS,
            Controller::Cpu => Facilities::LIMIT_CPU,
        }
    }
}

/// Limits of a whole session. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Share of one CPU in percent; 250 is two and a half CPUs.
    pub cpu_percent: Option<u32>,
}

impl SessionLimits {
    /// The number for one controller.
    pub fn value(&self, controller: Controller) -> Option<u64> {
        match controller {
            Controller::Memory => self.memory,
            Controller::Tasks => self.tasks,
            Controller::Cpu => self.cpu_percent.map(u64::from),
        }
    }
}

impl SessionLimits {
    /// No limit for one controller.
    pub(crate) fn clear(&mut self, controller: Controller) {
        match controller {
            Controller::Memory => self.memory = None,
            Controller::Tasks => self.tasks = None,
            Controller::Cpu => self.cpu_percent = None,
        }
    }
}

/// Which kind of control group a descriptor is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// A CPU limit is so much of this many microseconds.
const PERIOD_US: u64 = 100_000;

pub(crate) fn set(
    group: BorrowedFd<'_>,
    version: Version,
    controller: Controller,
    value: u64,
) -> io::Result<()> {
    let number = value.to_string();
    match (version, controller) {
        (Version::V1, Controller::Memory) => {
            // Memory and swap together may never be less than memory alone: first out of the way, then both down.
            // Where swap is not accounted its file does not exist.
            optional(super::write(group, "memory.memsw.limit_in_bytes", "-1"))?;
            super::write(group, "memory.limit_in_bytes", &number)?;
            optional(super::write(group, "memory.memsw.limit_in_bytes", &number))
        }
        (Version::V2, Controller::Memory) => {
            super::write(group, "memory.max", &number)?;
            optional(super::write(group, "memory.swap.max", "0"))
        }
        (_, Controller::Tasks) => super::write(group, "pids.max", &number),
        (Version::V1, Controller::Cpu) => {
            super::write(group, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            super::write(group, "cpu.cfs_quota_us", &quota(value).to_string())
        }
        (Version::V2, Controller::Cpu) => {
            super::write(group, "cpu.max", &format!("{} {PERIOD_US}", quota(value)))
        }
    }
}

/// Takes a limit away.
pub(crate) fn unset(group: BorrowedFd<'_>, version: Version, controller: Controller) -> io::Result<()> {
    match (version, controller) {
        (Version::V1, Controller::Memory) => {
            optional(super::write(group, "memory.memsw.limit_in_bytes", "-1"))?;
            super::write(group, "memory.limit_in_bytes", "-1")
        }
        (Version::V2, Controller::Memory) => {
            optional(super::write(group, "memory.swap.max", "max"))?;
            super::write(group, "memory.max", "max")
        }
        (_, Controller::Tasks) => super::write(group, "pids.max", "max"),
        (Version::V1, Controller::Cpu) => super::write(group, "cpu.cfs_quota_us", "-1"),
        (Version::V2, Controller::Cpu) => super::write(group, "cpu.max", "max"),
    }
}

/// A file that does not exist on this kernel is no error.
fn optional(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The kernel refuses quotas below a millisecond.
fn quota(percent: u64) -> u64 {
    (percent.saturating_mul(PERIOD_US) / 100).max(1000)
}
