//! The canonical enumeration of events.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::id::{ServiceName, SessionId};
use crate::service::status::{Failure, OutputLost, State};

/// Something that happened. The daemon adds sequence number and wall-clock time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The host is up: Session 0 exists and its automatic services were told to start.
    HostStarted,
    /// A new daemon took over what the one before left.
    DaemonRecovered {
        /// Services found running.
        services: u32,
    },
    /// An ordered shutdown began.
    ShutdownBegan,
    /// It ended; these services had to be killed.
    ShutdownEnded {
        /// Names of those that did not stop in their time.
        killed: alloc::vec::Vec<ServiceName>,
    },
    /// A session was made (WTS_SESSION_CREATE).
    SessionCreated(SessionId),
    /// A session could not be made.
    SessionFailed {
        /// Which.
        session: SessionId,
        /// Why.
        reason: String,
    },
    /// A session ended (WTS_SESSION_TERMINATE).
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Whether anybody asked for it.
        cause: EndCause,
    },
    /// A service entered a state (7036 for running and stopped).
    ServiceState {
        /// Which.
        service: ServiceName,
        /// The state.
        state: State,
    },
    /// A service failed (7000, 7001, 7009, 7022, 7031, 7034, 7023, 7024 by `failure` and `restart_ms`).
    ServiceFailed {
        /// Which.
        service: ServiceName,
        /// How.
        failure: Failure,
        /// Failures in a row.
        count: u32,
        /// Delay to the next start, if there will be one, in milliseconds.
        restart_ms: Option<u64>,
    },
    /// A service did what only a person could answer.
    ServiceWaitsForUser {
        /// Which.
        service: ServiceName,
        /// The call.
        call: String,
    },
    /// A service's output was lost; totals since the host started.
    OutputLost {
        /// Which.
        service: ServiceName,
        /// How much.
        lost: OutputLost,
    },
    /// A service did not stop in its time and was killed.
    ServiceKilled {
        /// Which.
        service: ServiceName,
    },
    /// The configuration was read again.
    ConfigurationLoaded {
        /// Services in it.
        services: u32,
        /// Files that were left out because of errors.
        errors: u32,
    },
    /// A call was refused because identity did not agree (the caller's control group is not the listener's session).
    IdentityRefused {
        /// The listener's session; `None` is the outer socket.
        session: Option<SessionId>,
        /// The caller's uid.
        uid: u32,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// Shutdown.
    Requested,
    /// Its init died.
    InitDied,
}
