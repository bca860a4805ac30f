//! What can be asked, nested by domain.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{LaunchId, LogonId, ServiceName, SessionId};
use crate::launch::plan::Streams;
use crate::logon::Wanted;
use crate::logon::name::AccountName;
use crate::logon::wire::Task;
use crate::pipe::request::{Listening, Opened, PipeRequest};
use crate::pipe::status::PipeStatus;
use crate::service;
use crate::service::status::Status;
use crate::session::status::SessionStatus;
use crate::time::Time;
use crate::{logon, pipe, session};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// About services.
    Service(ServiceRequest),
    /// About sessions.
    Session(SessionRequest),
    /// About logons.
    Logon(LogonRequest),
    /// About built-in accounts.
    Account(AccountRequest),
    /// About the host.
    Host(HostRequest),
    /// About pipes.
    Pipe(PipeRequest),
}

/// About services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceRequest {
    /// All of them.
    List,
    /// One.
    Status(ServiceName),
    /// Start it, its dependencies first.
    Start {
        /// Which.
        name: ServiceName,
        /// When to answer.
        wait: Wait,
    },
    /// Stop it.
    Stop {
        /// Which.
        name: ServiceName,
        /// When to answer.
        wait: Wait,
        /// What becomes of services that depend on it.
        dependents: Dependents,
    },
    /// Stop it and start it again; dependents that run are stopped and started with it.
    Restart {
        /// Which.
        name: ServiceName,
        /// When to answer.
        wait: Wait,
    },
    /// May this caller read this service's output? Answered with `Done` or a refusal.
    ReadLog(ServiceName),
}

/// What becomes of running dependents of a service that is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependents {
    /// They make it a refusal (1051), as on Windows.
    Refuse,
    /// They are stopped first.
    Stop,
}

/// When a start, stop or restart is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As soon as it is begun.
    Begun,
    /// When it runs, is stopped, or has failed.
    Settled,
}

/// About sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionRequest {
    /// All of them.
    List,
    /// One.
    Status(SessionId),
    /// End it.
    Logoff {
        /// Which.
        session: SessionId,
        /// When to answer.
        wait: Wait,
    },
    /// Start a program in it, as its user.
    Run {
        /// Which.
        session: SessionId,
        /// Program and arguments.
        command: Vec<String>,
        /// What its standard streams are.
        streams: Streams,
        /// Variables that the client wishes for.
        environment: Vec<(String, String)>,
    },
}

/// About logons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogonRequest {
    /// Begin one.
    Begin {
        /// Who he says he is.
        account: AccountName,
        /// What he wants.
        wanted: alloc::boxed::Box<Wanted>,
    },
}

/// About built-in accounts: what session0-logon is to do. The model decides who may, and whether an old password is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRequest {
    /// What.
    pub task: Task,
    /// The account's uid, where there is such an account.
    pub uid: Option<u32>,
}

/// About the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRequest {
    /// One screen.
    Status,
    /// Read the configuration again.
    Reload,
    /// Ordered shutdown; answered when it has begun.
    Shutdown,
    /// Replace the daemon.
    Upgrade,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It is begun or done.
    Done,
    /// One service, after a start, stop, restart or status.
    Service(alloc::boxed::Box<Status>),
    /// Services, by name.
    Services(Vec<Status>),
    /// Sessions, by number.
    Sessions(Vec<SessionStatus>),
    /// One session.
    Session(alloc::boxed::Box<SessionStatus>),
    /// A program runs in a session; its client's ends of its streams are with the daemon.
    Running(LaunchId),
    /// A conversation was begun; the client's end is with the daemon.
    Conversation(LogonId),
    /// The host.
    Host(HostStatus),
    /// What a reload did.
    Reloaded(ReloadReport),
    /// Pipes, by name.
    Pipes(Vec<PipeStatus>),
    /// One pipe.
    Pipe(alloc::boxed::Box<PipeStatus>),
    /// An instance is the caller's.
    PipeOpened(alloc::boxed::Box<Opened>),
    /// The caller serves a pipe.
    PipeListening(alloc::boxed::Box<Listening>),
}

/// The host as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// When Session 0 was first made.
    pub started: Time,
    /// Sessions.
    pub sessions: Vec<SessionStatus>,
    /// Services by state: stopped, start pending, stop pending, running.
    pub counts: [u32; 4],
    /// Services that want attention: failed, restarting, waiting for a user, losing output.
    pub attention: Vec<Status>,
    /// Whether an ordered shutdown is under way.
    pub phase: HostPhase,
    /// Service files left out at the last load.
    pub configuration_errors: u32,
}

/// See [`HostStatus::phase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPhase {
    /// Session 0 is being made.
    Starting,
    /// As it should be.
    Up,
    /// Shutting down.
    ShuttingDown,
}

/// What a reload did, and what takes effect when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadReport {
    /// New services; automatic ones were told to start.
    pub added: Vec<ServiceName>,
    /// Services whose file is gone; a running one is removed once it is stopped.
    pub removed: Vec<ServiceName>,
    /// Changed and not running: takes effect at the next start.
    pub changed: Vec<ServiceName>,
    /// Changed and running: takes effect after a restart.
    pub need_restart: Vec<ServiceName>,
    /// Services left as they were because their new file has errors, or cannot be used (cycle, missing dependency).
    pub kept: Vec<(ServiceName, String)>,
    /// Files with errors.
    pub errors: u32,
    /// What became of host.toml.
    pub settings: SettingsReport,
}

/// What became of the host's own settings in a reload; the daemon compares them, the model passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsReport {
    /// Changed, in effect.
    pub now: Vec<String>,
    /// Changed, in effect when Session 0 is made the next time.
    pub next_session: Vec<String>,
    /// Whether the file has errors, so that all settings stay as they were.
    pub file: SettingsFile,
}

/// See [`SettingsReport::file`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SettingsFile {
    /// It was taken.
    #[default]
    Taken,
    /// It has errors.
    Broken,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// About a service.
    Service(service::refusal::Refusal),
    /// About a session.
    Session(session::refusal::Refusal),
    /// About a logon or an account.
    Logon(logon::refusal::Refusal),
    /// About a pipe.
    Pipe(pipe::refusal::Refusal),
    /// 5: the caller lacks the right.
    AccessDenied,
    /// 21: Session 0 is not there yet.
    NotReady,
    /// 1115: shutting down.
    ShutdownInProgress,
}

impl Refusal {
    /// The Win32 error code.
    pub fn code(&self) -> u32 {
        match self {
            Refusal::Service(refusal) => refusal.code(),
            Refusal::Session(refusal) => refusal.code(),
            Refusal::Logon(refusal) => refusal.code(),
            Refusal::Pipe(refusal) => refusal.code(),
            Refusal::AccessDenied => 5,
            Refusal::NotReady => 21,
            Refusal::ShutdownInProgress => 1115,
        }
    }
}
