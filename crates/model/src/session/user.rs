//! A user session's life.
//!
//! ```text
//!  right password
//!      │ CreateSession          SessionCreated, Enter,          Launched
//!      ▼                        the shell is launched              │
//!    Making ──────────────────▶ Starting ─────────────────▶ Live (Active) ◀── the user logs on again ──┐
//!      │ failed, or the client     │ LaunchFailed              │  │ the terminal goes away              │
//!      │ is gone                   │                           │  └──────▶ Live (Disconnected) ─────────┘
//!      │                           ▼                           │            (hang_up = "disconnect")
//!      │                         Ending ◀──────────────────────┘ the shell ends, logoff, hang-up, shutdown
//!      │                           │ its programs are told (SIGHUP); those that have not ended in time are killed
//!      └──────────▶ gone ◀─────────┘ SessionEnded
//! ```
//!
//! A shell that ends by itself takes the session with it at once, daemonised processes too. Where the first user shares Session 0
//! with the services (`isolation = "xp"`) only his programs' groups are killed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::program::{Client, EndReason, Home};
use super::status::{ConnectState, UserStatus};
use crate::id::{LaunchId, LogonId, RequestId, ViewerId};
use crate::launch::exit::ExitStatus;
use crate::logon::wire::User;
use crate::time::Time;

/// One session with a user in it, or on his way into it.
#[derive(Debug, Clone)]
pub(crate) struct UserSession {
    /// Whose.
    pub user: Box<User>,
    /// When it was begun to be made.
    pub created: Time,
    /// When its user proved who he is.
    pub logon: Time,
    /// Its init's protocol, once it is made.
    pub protocol: Option<u16>,
    /// What it is doing.
    pub state: State,
    /// The client that its shell was with last.
    pub client: Client,
    /// When that was attached.
    pub connected: Time,
    /// The number in its name, `Terminal#N`: a new one at every attachment.
    pub terminal: u32,
    /// Requests that wait for its end.
    pub waiters: Vec<RequestId>,
    /// The highest number of a launch in it.
    pub launch_last: u64,
    /// The highest number of a viewer of it.
    pub viewer_last: u64,
    /// The record init has of it.
    pub stored: Option<Box<[u8]>>,
}

/// What a user session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its init is being made.
    Making {
        /// For this logon.
        logon: LogonId,
    },
    /// Its shell is being launched.
    Starting {
        /// For this logon.
        logon: LogonId,
        /// The shell's launch.
        shell: LaunchId,
        /// Where it starts.
        home: Home,
    },
    /// Its shell runs.
    Live {
        /// The shell's launch.
        shell: LaunchId,
        /// Whether somebody sees it.
        seat: Seat,
    },
    /// It ends.
    Ending(Ending),
}

/// Whether a session's terminal is with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// It is with this one.
    Active {
        /// Which.
        viewer: ViewerId,
    },
    /// It is with nobody.
    Disconnected {
        /// Since when.
        since: Time,
    },
}

/// A session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Why.
    pub reason: EndReason,
    /// Who is told when it is over.
    pub viewer: Option<ViewerId>,
    /// How its shell ended, if it has.
    pub status: Option<ExitStatus>,
    /// How far it is.
    pub step: Step,
}

/// How far an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its programs were told to end, and are killed then.
    Asked {
        /// When.
        deadline: Time,
    },
    /// It was killed; that it is over is to be said. Nobody waits longer than this for it.
    Killed {
        /// When.
        until: Time,
    },
}

impl UserSession {
    /// The connect state people are told.
    pub fn connect_state(&self) -> ConnectState {
        match self.state {
            State::Making { .. } | State::Starting { .. } => ConnectState::Init,
            State::Live { seat: Seat::Active { .. }, .. } => ConnectState::Active,
            State::Live { seat: Seat::Disconnected { .. }, .. } => ConnectState::Disconnected,
            State::Ending(_) => ConnectState::Down,
        }
    }

    /// The logon that waits for it.
    pub fn expected_by(&self) -> Option<LogonId> {
        match self.state {
            State::Making { logon } | State::Starting { logon, .. } => Some(logon),
            State::Live { .. } | State::Ending(_) => None,
        }
    }

    /// Whether it ends.
    pub fn ending(&self) -> bool {
        matches!(self.state, State::Ending(_))
    }

    /// Its shell's launch.
    pub fn shell(&self) -> Option<LaunchId> {
        match self.state {
            State::Starting { shell, .. } | State::Live { shell, .. } => Some(shell),
            State::Making { .. } | State::Ending(_) => None,
        }
    }

    /// Who sees its shell.
    pub fn viewer(&self) -> Option<ViewerId> {
        match self.state {
            State::Live { seat: Seat::Active { viewer }, .. } => Some(viewer),
            State::Ending(ending) => ending.viewer,
            State::Making { .. } | State::Starting { .. } | State::Live { .. } => None,
        }
    }

    /// When something must be done about it.
    pub fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Ending(Ending {
                step: Step::Asked { deadline: due } | Step::Killed { until: due },
                ..
            }) => Some(due),
            State::Making { .. } | State::Starting { .. } | State::Live { .. } => None,
        }
    }

    /// Its user as he is now.
    pub fn user_status(&self) -> UserStatus {
        let disconnected = match self.state {
            State::Live { seat: Seat::Disconnected { since }, .. } => Some(since),
            State::Making { .. } | State::Starting { .. } | State::Live { .. } | State::Ending(_) => None,
        };
        UserStatus {
            name: self.user.name.clone(),
            uid: self.user.uid,
            logon: self.logon,
            connected: self.connected,
            disconnected,
            client: self.client.name.clone(),
            client_uid: self.client.uid,
        }
    }
}
