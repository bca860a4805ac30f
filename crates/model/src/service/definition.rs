//! What a service file means, after it was read and checked.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::access::Grant;
use crate::id::ServiceName;
use crate::launch::plan::LaunchPlan;
use crate::pipe::settings::Declared;

/// One service as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name, from the file's name.
    pub name: ServiceName,
    /// One line for people.
    pub description: String,
    /// When it starts.
    pub start: StartType,
    /// How it says that it is ready.
    pub kind: Kind,
    /// Services that must run before and while it runs.
    pub depends: Vec<ServiceName>,
    /// When it is started again.
    pub restart: Restart,
    /// Delay before it is started again.
    pub restart_delay: Duration,
    /// Time it has to report READY (`notify` only).
    pub start_wait: Duration,
    /// Time from the stop signal to the kill.
    pub stop_wait: Duration,
    /// The stop signal's number.
    pub stop_signal: u8,
    /// Who may send notify messages for it.
    pub notify_access: NotifyAccess,
    /// Longest silence between two WATCHDOG=1 (`notify` only).
    pub watchdog: Option<Duration>,
    /// Whose it is.
    pub owner: Owner,
    /// Who may start, stop and restart it, besides administrators.
    pub control: Grant,
    /// Pipes that are its own.
    pub pipes: Vec<Declared>,
    /// The account as written, for people.
    pub account: String,
    /// How it is launched. The daemon adds nothing but `NOTIFY_SOCKET` and the watchdog's variables, which are
    /// already in here.
    pub plan: LaunchPlan,
}

impl Definition {
    /// Whether the process that one of them launched could be the other's: who may control it and what pipes are its own count from
    /// the reload on.
    pub(crate) fn differs_in_rights_only(&self, other: &Definition) -> bool {
        *self == Definition { control: self.control.clone(), pipes: self.pipes.clone(), ..other.clone() }
    }
}

/// Start types (windows-semantics 3.1; the others of the five come with the control manager).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartType {
    /// With the host.
    Auto,
    /// When asked for.
    Demand,
}

/// How a program tells that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is, once exec succeeded.
    Simple,
    /// By sd_notify's READY=1.
    Notify,
}

/// When a service that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    Never,
    /// When it failed: a status other than 0, a signal, a time-out, a watchdog.
    OnFailure,
    /// Also when it ended well without being asked.
    Always,
}

/// Whose notify messages count (systemd's NotifyAccess=).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyAccess {
    /// The main process's.
    Main,
    /// Any process's of the service's group.
    All,
}

/// Whose a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The administrator's.
    Administrator,
    /// Ours: started before all others, always started again at once, refuses to be stopped.
    Builtin,
}
