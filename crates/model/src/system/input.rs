//! What can happen.

use alloc::string::String;
use alloc::vec::Vec;

use super::request::Request;
use crate::access::{Administrators, Caller};
use crate::id::{LaunchId, LogonId, RequestId, ServiceName, SessionId, ViewerId};
use crate::launch::exit::{ExitStatus, LaunchFailure, Usage};
use crate::launch::wire::Remains;
use crate::logon::wire::FromLogon;
use crate::pipe::id::{InstanceId, ServerId};
use crate::pipe::request::Said;
use crate::service::definition::Definition;
use crate::service::notify::{Notification, Sender};
use crate::service::status::{OutputLost, TripwireOutcome};
use crate::session::{Happened, Policy};
use crate::time::Time;

/// Something happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// [`super::System::deadline`] passed.
    Tick,
    /// The daemon starts. Always the first input, with the configuration. If an init of Session 0 is alive,
    /// `recovered` has what it kept; otherwise the model asks for [`super::Effect::CreateSession`].
    Start {
        /// The configuration.
        configuration: Configuration,
        /// What the daemon before left.
        recovered: Option<Recovered>,
        /// Users' sessions that the daemon before left, each with what its init kept.
        sessions: Vec<(SessionId, Recovered)>,
        /// The highest session number ever given while the machine was up.
        session_last: u32,
    },
    /// A client asks. Answered by exactly one [`super::Effect::Reply`].
    Request {
        /// For the reply.
        id: RequestId,
        /// Who.
        caller: Caller,
        /// What.
        request: Request,
    },
    /// The client of this request is gone; no reply is wanted any more.
    Abandoned(RequestId),
    /// The answer to [`super::Effect::LoadConfiguration`].
    Loaded(Configuration),
    /// A session is made and sealed.
    SessionCreated {
        /// Which.
        session: SessionId,
        /// Its init's protocol.
        protocol: u16,
    },
    /// A session could not be made; nothing of it is left.
    SessionFailed {
        /// Which.
        session: SessionId,
        /// Why, for people.
        reason: String,
    },
    /// A session's init ended, and with it everything in the session: asked for or not.
    SessionEnded(SessionId),
    /// exec succeeded.
    Launched {
        /// The launch.
        launch: LaunchId,
        /// The main process inside the session.
        pid: i32,
    },
    /// It did not come to exec.
    LaunchFailed {
        /// The launch.
        launch: LaunchId,
        /// Where and why.
        failure: LaunchFailure,
    },
    /// A main process ended.
    Exited {
        /// The launch.
        launch: LaunchId,
        /// How.
        status: ExitStatus,
        /// Whether other processes of the service are left.
        remains: Remains,
        /// What it used, from inits that tell.
        usage: Option<Usage>,
    },
    /// A service's group has no process any more.
    GroupEmpty {
        /// The service.
        service: ServiceName,
    },
    /// A service said something.
    Notified {
        /// Which.
        service: ServiceName,
        /// Who of it.
        sender: Sender,
        /// What, in order.
        notifications: Vec<Notification>,
    },
    /// A service did what only a person could answer.
    Tripwire {
        /// Which.
        service: ServiceName,
        /// The call.
        call: String,
        /// What came of it.
        outcome: TripwireOutcome,
    },
    /// A held display connection was closed by the service.
    TripwireLeft {
        /// Which.
        service: ServiceName,
    },
    /// The logger lost output of a service; totals.
    OutputLost {
        /// Which.
        service: ServiceName,
        /// How much in all.
        lost: OutputLost,
    },
    /// Something happened to a user's program.
    Program {
        /// In which session.
        session: SessionId,
        /// Which.
        launch: LaunchId,
        /// What.
        happened: Happened,
    },
    /// A viewer's client closed its socket.
    ViewerGone(ViewerId),
    /// A session0-logon said something.
    LogonSaid {
        /// Which.
        logon: LogonId,
        /// What.
        said: FromLogon,
    },
    /// A session0-logon has ended, or could not be started.
    LogonGone(LogonId),
    /// A pipe's server said something.
    PipeSaid {
        /// Which.
        server: ServerId,
        /// What.
        said: Said,
    },
    /// A pipe's server closed its connection, or has none that could be found again.
    PipeServerGone(ServerId),
    /// An instance that was given to a client did not reach its server: it listens again.
    PipeLost {
        /// Whose.
        server: ServerId,
        /// Which.
        instance: InstanceId,
    },
    /// The keeper asks for an ordered shutdown (SIGTERM).
    Shutdown,
}

/// The configuration as loaded. Only services without errors are in it; cycles and missing dependencies are
/// the model's to find.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Services, the built-in ones included.
    pub services: Vec<Definition>,
    /// Who may do everything.
    pub administrators: Administrators,
    /// An ordered shutdown's budget.
    pub shutdown_wait: core::time::Duration,
    /// What is said about sessions of users.
    pub sessions: Policy,
    /// Servers of pipes that this machine has descriptors for; `None`: [`crate::limit::PIPES_MAX`], which is the most in any case.
    pub pipes_max: Option<usize>,
    /// Service files left out because of errors.
    pub errors: u32,
    /// Services whose file is there but has errors, each with one line that says which. Those that exist already
    /// stay as they were.
    pub broken: Vec<(ServiceName, String)>,
    /// What changed in the host's own settings, for the answer to a reload.
    pub settings: alloc::boxed::Box<super::request::SettingsReport>,
}

/// What an init kept for its daemon.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The init's protocol.
    pub protocol: u16,
    /// Stored records by key, as the model wrote them with [`super::Effect::Store`].
    pub records: Vec<(String, Vec<u8>)>,
    /// Launches whose main process is alive.
    pub alive: Vec<Alive>,
    /// Exits nobody acknowledged, oldest first.
    pub exits: Vec<UnackedExit>,
}

/// A launch that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive {
    /// The launch.
    pub launch: LaunchId,
    /// Its unit, as init has it: a launch whose record is lost still finds its service.
    pub unit: String,
    /// Its main process inside the session.
    pub pid: i32,
    /// When exec happened.
    pub at: Time,
}

/// An exit the daemon before has not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnackedExit {
    /// The launch.
    pub launch: LaunchId,
    /// How.
    pub status: ExitStatus,
    /// Whether other processes of the service were left then.
    pub remains: Remains,
    /// What it used.
    pub usage: Option<Usage>,
}
