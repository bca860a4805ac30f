//! How services fail and how processes end.

use serde::{Deserialize, Serialize};
use zlink::introspect::CustomType;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum FailureKind {
    /// The program could not be executed: `phase` says at which step, `errno` why.
    Launch,
    /// The program ended by itself: see `exit`.
    Exit,
    /// It did not report READY=1 in time.
    StartTimeout,
    /// It did not report WATCHDOG=1 in time, or asked for this failure.
    Watchdog,
    /// A service it depends on failed or stopped: see `dependency`.
    Dependency,
    /// Session 0 ended and everything in it.
    SessionEnded,
    /// Its process ended while no daemon was there, and nobody kept how.
    Lost,
    /// A service it depends on is not configured: see `dependency`. It can never start.
    DependencyMissing,
    /// It depends on itself by way of others. It can never start.
    CircularDependency,
    /// A kind this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// Why a service is not running although somebody wanted it to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// Windows' error code.
    pub code: u32,
    /// The failure in a sentence.
    pub text: String,
    /// Where in its life: `starting`, `running` or `stopping`; for `launch` the step that failed, for instance `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// How its main process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The error number, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// Its name, for instance `ENOENT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_name: Option<String>,
    /// Its meaning, for instance `No such file or directory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_text: Option<String>,
    /// The service it depends on, for the kinds `dependency` and `dependency_missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
}

/// How a process ended: either `status` or the signal's fields are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Exit {
    /// The status it returned, 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// The number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// The signal's name, for instance `SIGSEGV`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_name: Option<String>,
    /// Whether its memory was dumped.
    #[serde(default)]
    pub core_dumped: bool,
}

/// What a process used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, CustomType)]
pub struct Usage {
    /// User and system time in microseconds.
    pub cpu_us: u64,
    /// The largest size it had in memory, in KiB.
    pub memory_peak_kib: u64,
}
