//! sd_notify's messages, as far as they concern a service manager.

use alloc::string::String;
use core::time::Duration;

/// One assignment of a datagram, parsed. Unknown ones are not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// READY=1.
    Ready,
    /// RELOADING=1; ends with the next READY=1.
    Reloading,
    /// STOPPING=1.
    Stopping,
    /// STATUS=…, control characters removed, cut to [`crate::limit::STATUS_TEXT_MAX`].
    Status(String),
    /// MAINPID=…: inside the session's PID namespace, and seen in the service's group by the daemon.
    MainProcess(i32),
    /// ERRNO=…
    Errno(i32),
    /// WATCHDOG=1.
    Watchdog,
    /// WATCHDOG=trigger.
    WatchdogTrigger,
    /// WATCHDOG_USEC=…
    WatchdogInterval(Duration),
    /// EXTEND_TIMEOUT_USEC=…
    ExtendTimeout(Duration),
}

/// Who sent it, as far as [`super::definition::NotifyAccess`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The service's main process.
    Main,
    /// Another process of its group.
    Member,
}
