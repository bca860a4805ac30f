//! What must be done.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::request::{Refusal, Reply};
use crate::event::Event;
use crate::id::{LaunchId, LogonId, RequestId, ServiceName, SessionId, ViewerId};
use crate::launch::wire::{SIGKILL, SignalTo};
use crate::logon::wire::{Task, ToLogon, User};
use crate::pipe::id::ServerId;
use crate::pipe::name::PipeName;
use crate::pipe::request::Tell;
use crate::session::program::{Attachee, ProgramLaunch, View};

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
    /// A user enters a session: what it shows of accounts is made anew.
    Enter {
        /// Which.
        session: SessionId,
        /// Who.
        user: Box<User>,
    },
    /// Start a user's program in a session. *Done*: `Program` with `Launched` or `LaunchFailed`, or `SessionEnded`.
    LaunchProgram(Box<ProgramLaunch>),
    /// Send a signal to a user's program; one that is gone is no error.
    SignalProgram {
        /// In which session.
        session: SessionId,
        /// The launch.
        launch: LaunchId,
        /// The number.
        signal: u8,
        /// To whom.
        to: SignalTo,
    },
    /// Kill everything in a user's program's group. *Done*: `Program` with `GroupEmpty`, or `SessionEnded`.
    KillUnit {
        /// In which session.
        session: SessionId,
        /// The unit.
        unit: String,
    },
    /// Remove what init has of a user's program: it is gone.
    ForgetUnit {
        /// In which session.
        session: SessionId,
        /// The unit.
        unit: String,
    },
    /// Nobody is to come back to this program's terminal: the master that init keeps is closed. Without one it is no error.
    ReleaseTerminal {
        /// In which session.
        session: SessionId,
        /// The launch.
        launch: LaunchId,
    },
    /// Keep a user session's record in its own init.
    StoreSession {
        /// Which.
        session: SessionId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Drop that record (Session 0's user is gone).
    UnstoreSession(SessionId),
    /// The exits that this user session's init reported are recorded.
    AcknowledgeIn(SessionId),
    /// Give a client the other ends of a program's streams, and keep watching whether it is still there. *Later*: `ViewerGone`.
    Attach {
        /// In which session.
        session: SessionId,
        /// Which program.
        launch: LaunchId,
        /// The client's number.
        viewer: ViewerId,
        /// Who.
        to: Attachee,
    },
    /// Tell a viewer, and close its socket.
    TellViewer {
        /// In which session.
        session: SessionId,
        /// Whom.
        viewer: ViewerId,
        /// What.
        view: View,
    },
    /// Start a session0-logon for a client. *Done*: `LogonGone`, when it has ended.
    BeginConversation {
        /// Its number.
        logon: LogonId,
        /// What it is to do.
        task: Task,
    },
    /// Tell a session0-logon; one that is gone is no error.
    TellLogon {
        /// Which.
        logon: LogonId,
        /// What.
        message: ToLogon,
    },
    /// End a session0-logon.
    EndConversation(LogonId),
    /// Have a socket for a pipe in every session; with one already it is no error. A new daemon is told of each in its first turn:
    /// what it finds besides is nobody's (see [`super::System::pipe_sockets`]).
    BindPipe(PipeName),
    /// Have none any more; without one it is no error.
    UnbindPipe(PipeName),
    /// Tell a pipe's server; one that is gone is no error.
    TellPipeServer {
        /// Whom.
        server: ServerId,
        /// What.
        tell: Tell,
    },
    /// Close the connection of a pipe's server: it broke the rules, or nobody knows what it serves.
    DropPipeServer(ServerId),
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

impl Effect {
    /// Kills a user's program with everything it started.
    pub(crate) fn kill_program(session: SessionId, launch: LaunchId) -> Effect {
        Effect::SignalProgram { session, launch, signal: SIGKILL, to: SignalTo::Group }
    }
}

/// Why the daemon ends, told to the keeper by its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Everything is down (exit status 0).
    Down,
    /// Start me again, at once: an upgrade (exit status 75).
    Upgrade,
}
