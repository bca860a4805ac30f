//! How a process ended, and how a launch failed before there was one.

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It returned this status (0 to 255).
    Exited(u8),
    /// It was ended by this signal.
    Signaled {
        /// The signal's number.
        signal: u8,
        /// Whether memory was dumped.
        core: bool,
    },
}

/// The step of a launch that failed. In order of execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LaunchPhase {
    /// Making the service's control group.
    Group,
    /// Setting its limits.
    Limits,
    /// Making its runtime or state directory.
    Directory,
    /// Making its output pipe.
    Output,
    /// clone3.
    Clone,
    /// Its mounts (`write =`) or its network namespace.
    Namespace,
    /// Descriptors, session, signals.
    Descriptors,
    /// Its resource limits.
    ResourceLimits,
    /// The seccomp filter or no_new_privs.
    Filter,
    /// Groups, gid, uid.
    Identity,
    /// Capabilities.
    Capabilities,
    /// The working directory.
    WorkingDirectory,
    /// exec itself.
    Exec,
}

/// A launch that did not come to exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchFailure {
    /// Where.
    pub phase: LaunchPhase,
    /// Why: a Linux errno.
    pub errno: i32,
}

/// What a process used (protocol 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time in microseconds.
    pub cpu_us: u64,
    /// Largest resident size in KiB.
    pub memory_peak_kib: u64,
}
