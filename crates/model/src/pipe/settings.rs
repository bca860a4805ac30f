//! What a pipe is, decided by who serves it first (windows-semantics 6.2).

use alloc::sync::Arc;
use core::time::Duration;
use serde::{Deserialize, Serialize};

use super::access::AccessList;
use super::name::PipeName;
use crate::limit;

/// What it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// Bytes.
    #[default]
    Byte,
    /// Messages.
    Message,
}

/// Which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Direction {
    /// The client writes.
    Inbound,
    /// The client reads.
    Outbound,
    /// Both.
    #[default]
    Duplex,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// Both.
    Duplex,
}

impl Access {
    /// Whether it reads.
    pub fn reads(self) -> bool {
        matches!(self, Access::Read | Access::Duplex)
    }

    /// Whether it writes.
    pub fn writes(self) -> bool {
        matches!(self, Access::Write | Access::Duplex)
    }

    /// Of its two parts; `None` is neither.
    pub fn of(reads: bool, writes: bool) -> Option<Access> {
        match (reads, writes) {
            (true, true) => Some(Access::Duplex),
            (true, false) => Some(Access::Read),
            (false, true) => Some(Access::Write),
            (false, false) => None,
        }
    }
}

impl Direction {
    /// All that a client can do with such a pipe.
    pub fn access(self) -> Access {
        match self {
            Direction::Inbound => Access::Write,
            Direction::Outbound => Access::Read,
            Direction::Duplex => Access::Duplex,
        }
    }
}

/// The most instances of a name (nMaxInstances): 1 to 254, or as many as there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum InstancesMax {
    /// At most so many.
    Limited(u8),
    /// PIPE_UNLIMITED_INSTANCES: [`limit::PIPE_INSTANCES_MAX`].
    #[default]
    Unlimited,
}

impl InstancesMax {
    /// By Windows' number: 255 and 0 are unlimited. `None`: there is no such maximum.
    pub fn of(number: u32) -> Option<InstancesMax> {
        match number {
            0 | 255 => Some(InstancesMax::Unlimited),
            1..=254 => u8::try_from(number).ok().map(InstancesMax::Limited),
            _ => None,
        }
    }

    /// The number.
    pub fn count(self) -> usize {
        match self {
            InstancesMax::Limited(count) => usize::from(count),
            InstancesMax::Unlimited => limit::PIPE_INSTANCES_MAX,
        }
    }
}

/// What a server may do with a client's identity (windows-semantics 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Impersonation {
    /// It is not told who the client is.
    Anonymous,
    /// It knows.
    #[default]
    Identification,
    /// It may open files as the client.
    Impersonation,
}

/// What a pipe is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// What it carries.
    pub kind: Kind,
    /// Which way.
    pub direction: Direction,
    /// The most instances.
    pub instances_max: InstancesMax,
    /// The time that a client waits who says nothing else.
    pub default_timeout: Timeout,
    /// Bytes a writer may be ahead of its reader; `None`: the kernel's own.
    pub buffer: Option<u32>,
    /// Who may do what.
    pub access: AccessList,
    /// Whether clients outside every session are refused.
    pub refuse_outside: bool,
    /// Whether the server wants descriptors that clients send.
    pub descriptors: bool,
    /// Whether it speaks varlink.
    pub rpc: bool,
}

/// nDefaultTimeOut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout(pub Duration);

impl Default for Timeout {
    /// 50 ms, as on Windows (windows-semantics 6.2).
    fn default() -> Timeout {
        Timeout(limit::PIPE_DEFAULT_TIMEOUT)
    }
}

/// A pipe that a service's file declares: its name is the service's from the moment the file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: PipeName,
    /// What it is.
    pub settings: Arc<Settings>,
    /// What opening it does while the service is stopped.
    pub opening: Opening,
}

/// See [`Declared::opening`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Starts the service, and waits for it.
    Starts,
    /// Nothing: there is no such pipe until the service serves it (2).
    Nothing,
}
