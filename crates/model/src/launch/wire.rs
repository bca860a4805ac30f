//! The language between a daemon and an init: packets on a `SOCK_SEQPACKET` Unix socket.
//!
//! A packet is one or more messages, each encoded by [`encode`], one after the other, at most
//! [`crate::limit::PACKET_MAX`] bytes. A message that carries descriptors is alone in its packet.
//!
//! ```text
//!   daemon                                   init
//!     │── connect ─────────────────────────────▶ accept: peer must be uid 0 and outside init's PID namespace
//!     │◀───────────────────────────── Hello ────│ (an older connection is dropped)
//!     │── Hello ───────────────────────────────▶│
//!     │◀── Stored* Kept* Alive* Exited* ────────│ what the one before knew, and has not acknowledged
//!     │◀───────────────────────────── Replayed ─│
//!     │── Prepare (only if not yet prepared) ──▶│ makes the session
//!     │◀───────────── Kept* then Prepared ──────│
//!     │── Launch, Store, Keep, Signal ... ─────▶│
//!     │◀── Launched, LaunchFailed, Exited ... ──│
//! ```
//!
//! **Versions.** Variants are only ever added at the end, and their fields never change. Each side says its
//! version in `Hello` and sends only what the other's version knows. A daemon speaks its own version and the
//! one before. Version 2 added [`FromInit::ExitedWithUsage`] in the place of [`FromInit::Exited`], and
//! [`ToInit::LoggerProgram`]. Version 3 added sessions of users: [`ToInit::PrepareKind`], [`ToInit::Enter`],
//! [`ToInit::LaunchWith`], [`FromInit::Streams`]. Version 4 added [`ToInit::PrepareWith`], in the place of
//! [`ToInit::Prepare`] and [`ToInit::PrepareKind`].

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::exit::{ExitStatus, LaunchFailure, Usage};
use super::plan::{LaunchPlan, Streams};
use super::session_plan::{Doors, SessionKind, SessionPhase, SessionPlan, UserPlan};
use crate::id::{LaunchId, SessionId};
use crate::time::Time;

/// The version this code speaks.
pub const PROTOCOL: u16 = 4;
/// The oldest version this code still understands.
pub const PROTOCOL_OLDEST: u16 = 1;

/// Keys of the descriptors init keeps. Those init makes itself, in the order they are sent with [`FromInit::Kept`]
/// before `Prepared`.
pub mod key {
    /// The session's API listener (`/run/session0/api` inside).
    pub const API: &str = "api";
    /// The notify socket (`/run/session0/notify` inside).
    pub const NOTIFY: &str = "notify";
    /// The fanotify group of the terminal tripwire (absent without [`super::super::session_plan::Facilities::FANOTIFY`]).
    pub const TERMINAL_TRIPWIRE: &str = "tripwire.terminal";
    /// Prefix of display tripwire listeners: followed by the socket's path inside.
    pub const DISPLAY_TRIPWIRE: &str = "tripwire.display:";
    /// Prefix of the masters of pseudo-terminals: followed by the number of the launch that has it. Kept by init itself when it
    /// makes one, and sent with [`super::FromInit::Streams`]; the daemon releases it.
    pub const TERMINAL: &str = "terminal.";
    /// Prefix of our ends of viewers' sockets: followed by the viewer's number. Kept by the daemon, so that the next one
    /// still knows when a client is gone.
    pub const VIEWER: &str = "viewer.";
}

/// The signal nobody survives.
pub const SIGKILL: u8 = 9;

/// Whom a signal goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalTo {
    /// The main process.
    Main,
    /// Every process of the unit's group.
    Group,
}

/// Daemon to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToInit {
    /// First message.
    Hello {
        /// The daemon's version.
        protocol: u16,
    },
    /// Make the session's insides.
    Prepare(SessionPlan),
    /// Start a program in the group `unit` below the session's work group.
    Launch {
        /// Its number.
        launch: LaunchId,
        /// One path component: the service's name in lower case.
        unit: String,
        /// What to start.
        plan: LaunchPlan,
    },
    /// Send a signal. Nothing is answered; a process that is gone is no error.
    Signal {
        /// The launch.
        launch: LaunchId,
        /// The signal's number.
        signal: u8,
        /// To whom.
        to: SignalTo,
    },
    /// Kill every process of the unit's group (`cgroup.kill`). Answered by [`FromInit::GroupEmpty`] once it is
    /// empty, at once if it is already.
    Kill {
        /// The group.
        unit: String,
    },
    /// From now on this process (seen from inside the session) is the launch's main process. Its exit is the
    /// launch's exit. Sent only after the daemon saw the process in the unit's group.
    SetMain {
        /// The launch.
        launch: LaunchId,
        /// The process, in the session's PID namespace.
        pid: i32,
    },
    /// Keep these bytes under this key, replacing what was there.
    Store {
        /// The key.
        key: String,
        /// The bytes, not looked at.
        bytes: Vec<u8>,
    },
    /// Forget what is stored under this key.
    Unstore {
        /// The key.
        key: String,
    },
    /// Keep the descriptor that comes with this message, replacing what was there.
    Keep {
        /// The key.
        key: String,
    },
    /// Close the descriptor kept under this key.
    Release {
        /// The key.
        key: String,
    },
    /// The exits up to and including this number are recorded; init forgets them.
    Acknowledge {
        /// [`FromInit::Exited`]'s `sequence`.
        through: u64,
    },
    /// Remove the unit's group, its output pipe and everything init has of it. Only when it is empty.
    Forget {
        /// The unit.
        unit: String,
    },
    /// Use the descriptor that comes with this message as the log directory of the next launch with
    /// [`super::plan::Role::Logger`].
    LogDirectory,
    /// Execute the descriptor that comes with this message in launches with [`super::plan::Role::Logger`], instead of
    /// their plan's program: where our programs are installed need not be a place that the session sees, or that the
    /// logger's uid may enter. Version 2.
    LoggerProgram,
    /// As `Prepare`, of this kind. Version 3.
    PrepareKind {
        /// What of.
        plan: SessionPlan,
        /// What for.
        kind: SessionKind,
    },
    /// A user enters the session: what it shows of accounts is made anew. Two descriptors come with it (see [`UserPlan`]).
    /// Nothing is answered; if it fails, launches with streams fail in [`super::exit::LaunchPhase::Namespace`]. Version 3.
    Enter(UserPlan),
    /// As `Launch`, of a user's program whose standard streams are its client's. Version 3.
    LaunchWith {
        /// Its number.
        launch: LaunchId,
        /// One path component.
        unit: String,
        /// What to start.
        plan: LaunchPlan,
        /// What its standard streams are.
        streams: Streams,
    },
    /// As `PrepareKind`, of a session with these doors. Version 4.
    PrepareWith {
        /// What of.
        plan: SessionPlan,
        /// What for.
        kind: SessionKind,
        /// What leads out of it.
        doors: Doors,
    },
}

/// Init to daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromInit {
    /// First message.
    Hello {
        /// The init's version.
        protocol: u16,
        /// Which session it is.
        session: SessionId,
        /// Whether [`ToInit::Prepare`] was already done.
        prepared: bool,
    },
    /// A stored record.
    Stored {
        /// The key.
        key: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A kept descriptor comes with this message (a duplicate; init keeps its own).
    Kept {
        /// The key.
        key: String,
    },
    /// A launch whose main process is alive.
    Alive {
        /// The launch.
        launch: LaunchId,
        /// Its unit.
        unit: String,
        /// Its main process in the session's PID namespace.
        pid: i32,
        /// The cgroup id of the unit's group.
        group: u64,
        /// When exec happened.
        at: Time,
    },
    /// All that was known has been said.
    Replayed,
    /// The session is made and sealed.
    Prepared,
    /// The session could not be made; init ends itself after this.
    PrepareFailed {
        /// Where.
        phase: SessionPhase,
        /// Why: a Linux errno.
        errno: i32,
        /// On what: a path or a facility.
        subject: String,
    },
    /// exec succeeded.
    Launched {
        /// The launch.
        launch: LaunchId,
        /// Its main process in the session's PID namespace.
        pid: i32,
        /// The cgroup id of the unit's group.
        group: u64,
        /// When init learned of it.
        at: Time,
    },
    /// It did not come to exec. Nothing of it is left.
    LaunchFailed {
        /// The launch.
        launch: LaunchId,
        /// Where and why.
        failure: LaunchFailure,
    },
    /// A launch's main process ended. Repeated to a new daemon until acknowledged.
    Exited {
        /// Counts up by one per exit, for [`ToInit::Acknowledge`].
        sequence: u64,
        /// The launch.
        launch: LaunchId,
        /// How.
        status: ExitStatus,
        /// When init reaped it.
        at: Time,
        /// Whether other processes of the unit's group are still alive.
        remains: Remains,
    },
    /// The unit's group has no process any more; answer to [`ToInit::Kill`].
    GroupEmpty {
        /// The unit.
        unit: String,
    },
    /// As `Exited`, with what the process used. Version 2.
    ExitedWithUsage {
        /// As in `Exited`.
        sequence: u64,
        /// The launch.
        launch: LaunchId,
        /// How.
        status: ExitStatus,
        /// When init reaped it.
        at: Time,
        /// As in `Exited`.
        remains: Remains,
        /// What it used.
        usage: Usage,
    },
    /// The other ends of a launch's streams come with this message, before its `Launched`: the master of its terminal (of which
    /// init keeps one under [`key::TERMINAL`]), or the write end of its standard input and the read ends of its standard output
    /// and error. Version 3.
    Streams {
        /// The launch.
        launch: LaunchId,
    },
}

/// Whether a unit's group still has processes after its main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remains {
    /// None.
    Nothing,
    /// Some.
    Processes,
}

/// Init to logger, one message a packet on a `SOCK_SEQPACKET` socketpair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Feed {
    /// The read end of a unit's output pipe comes with this message. A second one for the same unit replaces
    /// the first.
    Pipe {
        /// The unit: also the log file's name, followed by `.log`.
        unit: String,
        /// The cgroup id of its group, to tell whose syslog datagram one is; 0 if there is none yet.
        group: u64,
    },
    /// The unit is gone: read what is left, then close.
    Gone {
        /// The unit.
        unit: String,
    },
    /// The session's `/dev/log` socket comes with this message.
    Syslog,
    /// The cgroup id of a unit's group became known or changed.
    Group {
        /// The unit.
        unit: String,
        /// The cgroup id.
        group: u64,
    },
}

/// Appends one message to a packet.
pub fn encode<M: Serialize>(message: &M, packet: &mut Vec<u8>) {
    let bytes = postcard::to_allocvec(message).expect("these types always encode");
    packet.extend_from_slice(&bytes);
}

/// Takes the first message off a packet. `None`: this is not what a peer of ours says.
pub fn decode<'a, M: Deserialize<'a>>(packet: &'a [u8]) -> Option<(M, &'a [u8])> {
    postcard::take_from_bytes(packet).ok()
}
