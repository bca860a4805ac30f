//! The canonical enumeration of events.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::id::{ServiceName, SessionId};
use crate::logon::name::AccountName;
use crate::logon::wire::{AccountChange, LogonFailure};
use crate::pipe::alarm::Squat;
use crate::pipe::name::PipeName;
use crate::service::status::{Failure, OutputLost, State};
use crate::session::program::{Client, EndReason};

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
    /// A user logged on in a session made for it (WTS_SESSION_LOGON).
    SessionLogon {
        /// Which.
        session: SessionId,
        /// Who.
        account: AccountName,
    },
    /// A user's session is over (WTS_SESSION_LOGOFF).
    SessionLogoff {
        /// Which.
        session: SessionId,
        /// Whose.
        account: AccountName,
        /// Why.
        reason: EndReason,
    },
    /// A terminal was attached (WTS_REMOTE_CONNECT).
    SessionConnected {
        /// To which.
        session: SessionId,
        /// Which terminal.
        client: Client,
    },
    /// The terminal went away (WTS_REMOTE_DISCONNECT).
    SessionDisconnected(SessionId),
    /// Somebody did not prove who he is.
    LogonFailed {
        /// As whom.
        account: AccountName,
        /// The client's uid.
        uid: u32,
        /// Why, truly.
        reason: LogonFailure,
    },
    /// A built-in account was changed.
    AccountChanged {
        /// Which.
        account: AccountName,
        /// How.
        change: AccountChange,
    },
    /// The built-in accounts cannot be used.
    AccountsBroken {
        /// File, place and reason.
        text: String,
    },
    /// A call was refused because identity did not agree (the caller's control group is not the listener's session).
    IdentityRefused {
        /// The listener's session; `None` is the outer socket.
        session: Option<SessionId>,
        /// The caller's uid.
        uid: u32,
    },
    /// Somebody wanted to serve a pipe whose name is another's: an alarm (windows-semantics 6.5). At most one a name and minute.
    PipeRefused {
        /// The pipe.
        name: PipeName,
        /// His session; `None` is outside.
        session: Option<SessionId>,
        /// His uid.
        uid: u32,
        /// Why he may not.
        why: Squat,
    },
}

impl Event {
    /// Whether only administrators are told: it says what was tried on accounts, and how that really ended. The name in a failed
    /// logon may be a password that was typed too early.
    pub fn is_for_administrators(&self) -> bool {
        matches!(
            self,
            Event::LogonFailed { .. }
                | Event::AccountsBroken { .. }
                | Event::IdentityRefused { .. }
                | Event::PipeRefused { .. }
        )
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// Shutdown.
    Requested,
    /// Its init died.
    InitDied,
}
