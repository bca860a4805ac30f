//! What is known of a service at one moment, for those who ask.

use alloc::string::String;
use core::time::Duration;
use serde::{Deserialize, Serialize};

use crate::id::{LaunchId, ServiceName};
use crate::launch::exit::{ExitStatus, LaunchFailure, Usage};
use crate::service::definition::{Kind, StartType};
use crate::time::Time;

/// The states of windows-semantics 3.2 that can occur today. The numbers are Windows'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u32)]
pub enum State {
    /// SERVICE_STOPPED.
    Stopped = 1,
    /// SERVICE_START_PENDING.
    StartPending = 2,
    /// SERVICE_STOP_PENDING.
    StopPending = 3,
    /// SERVICE_RUNNING.
    Running = 4,
}

impl State {
    /// Windows' number.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// Why a service is not running although somebody wanted it to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// It never came to exec.
    Launch(LaunchFailure),
    /// It exited with this status before or after it was ready (1066 for a status other than 0, 1067 for a signal).
    Exit {
        /// How.
        status: ExitStatus,
        /// While it was starting or while it ran.
        phase: Phase,
        /// ERRNO= if the program said one.
        errno: Option<i32>,
    },
    /// It did not report READY in time (1053).
    StartTimeout,
    /// It did not report WATCHDOG=1 in time, or asked for it (1067).
    Watchdog,
    /// This dependency failed or stopped (1068).
    Dependency(ServiceName),
    /// Its session's init died and everything in the session with it (1067).
    SessionEnded,
    /// Its process ended while no daemon was there, and nobody kept how (1067).
    Lost,
    /// This dependency is not configured; it can never start (1075).
    DependencyMissing(ServiceName),
    /// It depends on itself by way of others; it can never start (1059).
    CircularDependency,
}

impl Failure {
    /// The Win32 error code.
    pub fn code(&self) -> u32 {
        match self {
            Failure::Launch(failure) => match failure.errno {
                2 => 2,
                1 | 13 => 5,
                8 => 193,
                _ => 1053,
            },
            Failure::Exit { status: ExitStatus::Exited(0), phase: Phase::Starting, .. } => 1053,
            Failure::Exit { status: ExitStatus::Exited(0), .. } => 0,
            Failure::Exit { status: ExitStatus::Exited(_), .. } => 1066,
            Failure::Exit { status: ExitStatus::Signaled { .. }, .. } => 1067,
            Failure::StartTimeout => 1053,
            Failure::Watchdog | Failure::SessionEnded | Failure::Lost => 1067,
            Failure::Dependency(_) => 1068,
            Failure::DependencyMissing(_) => 1075,
            Failure::CircularDependency => 1059,
        }
    }
}

/// Where in its life a service failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Before it was ready.
    Starting,
    /// While it ran.
    Running,
    /// After it was told to stop.
    Stopping,
}

/// What a service did that only a person could answer (article.md A17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsForUser {
    /// The call, for instance `connect /tmp/.X11-unix/X0` or `open /dev/tty`.
    pub call: String,
    /// When.
    pub at: Time,
    /// Whether it still waits (a held display connection) or was refused.
    pub outcome: TripwireOutcome,
}

/// What came of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TripwireOutcome {
    /// The connection is held; nobody will ever answer it.
    Held,
    /// The call failed at once.
    Refused,
}

/// One service as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: ServiceName,
    /// From its definition.
    pub description: String,
    /// From its definition.
    pub start: StartType,
    /// From its definition.
    pub kind: Kind,
    /// From its definition.
    pub account: String,
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// The launch that is alive or being made.
    pub launch: Option<LaunchId>,
    /// Its main process, in Session 0's PID namespace.
    pub pid: Option<i32>,
    /// The last failure; cleared when it is started by hand and when it becomes ready.
    pub failure: Option<Failure>,
    /// How often it failed in a row.
    pub failures: u32,
    /// When it will be started again by itself.
    pub restart_at: Option<Time>,
    /// How its last main process ended.
    pub last_exit: Option<ExitStatus>,
    /// What its last main process used.
    pub last_usage: Option<Usage>,
    /// Its own words (STATUS=).
    pub text: Option<String>,
    /// Whether it is reloading (RELOADING=1).
    pub reloading: Reloading,
    /// The dependency it waits for, if it is StartPending for that reason.
    pub waits_for: Option<ServiceName>,
    /// What only a person could answer.
    pub waits_for_user: Option<WaitsForUser>,
    /// Lines and bytes of output lost since the host started.
    pub output_lost: OutputLost,
    /// Dependents and dependencies are in the definition; the daemon adds them for `status NAME`.
    pub stop_wait: Duration,
}

/// See [`Status::reloading`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reloading {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Output that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputLost {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}
