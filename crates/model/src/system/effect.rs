//! What must be done.

use alloc::string::String;
use alloc::vec::Vec;

use super::request::{Refusal, Reply};
use crate::event::Event;
use crate::id::{LaunchId, RequestId, ServiceName, SessionId};
use crate::launch::wire::SignalTo;

/// Something to do, in order. Those marked *done* come back as exactly one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make a session. *Done*: `SessionCreated` or `SessionFailed`.
    CreateSession(SessionId),
    /// Kill a session's init and with it the session. *Done*: `SessionEnded`.
    EndSession(SessionId),
    /// Launch a service by its definition's plan in Session 0. *Done*: `Launched` or `LaunchFailed`, or `SessionEnded`.
    Launch {
        /// The launch's number.
        launch: LaunchId,
        /// The service; its plan is in the definition.
        service: ServiceName,
    },
    /// Send a signal; a process that is gone is no error.
    Signal {
        /// The launch.
        launch: LaunchId,
        /// The number.
        signal: u8,
        /// To whom.
        to: SignalTo,
    },
    /// Kill everything in a service's group. *Done*: `GroupEmpty`, or `SessionEnded`.
    KillGroup(ServiceName),
    /// This process is the launch's main process from now on.
    SetMain {
        /// The launch.
        launch: LaunchId,
        /// The process inside the session.
        pid: i32,
    },
    /// Remove a service's group and output pipe: its file is gone and it is stopped.
    Forget(ServiceName),
    /// Keep a record in the init of Session 0. Comes before the replies and launches that depend on it.
    Store {
        /// The key.
        key: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Drop a record.
    Unstore(String),
    /// The exits reported so far are recorded; init may forget them.
    AcknowledgeExits,
    /// Answer a request.
    Reply {
        /// Which.
        id: RequestId,
        /// The answer.
        result: Result<Reply, Refusal>,
    },
    /// Tell everybody who listens, and write it down.
    Emit(Event),
    /// Read the configuration again. *Done*: `Loaded`.
    LoadConfiguration,
    /// End the daemon.
    Exit(ExitReason),
}

/// Why the daemon ends, told to the keeper by its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Everything is down (exit status 0).
    Down,
    /// Start me again, at once: an upgrade (exit status 75).
    Upgrade,
}
