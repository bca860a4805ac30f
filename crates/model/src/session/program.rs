//! Programs of users: a session's shell, and what is started beside it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::id::{LaunchId, RequestId, SessionId, ViewerId};
use crate::launch::exit::ExitStatus;
use crate::launch::plan::Streams;
use crate::logon::wire::User;
use crate::time::Time;

/// A program to be started in a session. The daemon makes the launch plan of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramLaunch {
    /// In which session.
    pub session: SessionId,
    /// Its number.
    pub launch: LaunchId,
    /// Its unit: a control group of its own.
    pub unit: String,
    /// As whom.
    pub user: Box<User>,
    /// What.
    pub what: What,
    /// What its standard streams are.
    pub streams: Streams,
    /// Variables that the client wished for; the daemon takes the harmless ones.
    pub environment: Vec<(String, String)>,
    /// Where it starts.
    pub home: Home,
}

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The account's login shell.
    Shell,
    /// Program and arguments.
    Command(Vec<String>),
}

/// Where a program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Home {
    /// In the account's home directory.
    Own,
    /// In `/`: the home directory cannot be entered.
    Root,
}

/// A terminal that a client has, and who the client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What the client calls its terminal. Cleaned by the daemon; for people only.
    pub name: String,
    /// Its uid.
    pub uid: u32,
}

/// What a viewer is told before its socket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The program ended, and with a shell its session.
    Ended {
        /// Why.
        reason: EndReason,
        /// How, where it is known.
        status: Option<ExitStatus>,
    },
    /// The user went on elsewhere, on this terminal.
    TakenOver(Client),
}

/// Why a session, or a program in it, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The program ended by itself.
    Left,
    /// Its user or an administrator logged the session off.
    LoggedOff,
    /// The terminal went away.
    HungUp,
    /// The host shuts down.
    Shutdown,
    /// The session's init died.
    InitDied,
    /// Nobody knows what it is any more.
    Lost,
}

/// Who gets the other ends of a program's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachee {
    /// The client of a logon.
    Logon {
        /// Which.
        logon: crate::id::LogonId,
        /// How he came into the session.
        entry: crate::logon::wire::Entry,
        /// What he is shown first.
        notices: Vec<String>,
    },
    /// The client of a request.
    Request(RequestId),
}

/// One program of a user, from its launch until nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// In which session.
    pub session: SessionId,
    /// Its part in it.
    pub part: Part,
    /// How far it is.
    pub phase: Phase,
}

/// A program's part in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Its end is the session's.
    Shell,
    /// It was started beside the shell.
    Beside(Ends),
}

/// The other ends of a program's streams that was started beside the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ends {
    /// The viewer, once it runs.
    pub viewer: Option<ViewerId>,
    /// Whether it has a terminal, which is hung up when the viewer goes.
    pub terminal: HasTerminal,
    /// Who waits for it to run.
    #[serde(skip)]
    pub asked: Option<Asked>,
}

/// A client that waits for a program to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its request.
    pub request: RequestId,
    /// It waits no longer than this.
    pub until: Time,
}

impl Part {
    /// Who waits for it to run.
    pub fn asked(self) -> Option<Asked> {
        match self {
            Part::Beside(ends) => ends.asked,
            Part::Shell => None,
        }
    }
}

/// Whether a program has a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HasTerminal {
    /// It has.
    Yes,
    /// It has pipes.
    No,
}

/// How far a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Init was told to launch it.
    Launching,
    /// exec succeeded.
    Running,
    /// Its main process is gone, others of its group are not.
    Left,
    /// What is left of its group is being killed (only where its session does not end as a whole).
    Sweeping,
}

/// The unit of a launch. Names that begin so are refused for services.
pub fn unit(launch: LaunchId) -> String {
    alloc::format!("{UNIT_PREFIX}{}", launch.0)
}

/// The launch of a unit of ours.
pub fn launch_of_unit(unit: &str) -> Option<LaunchId> {
    unit.strip_prefix(UNIT_PREFIX)?.parse().ok().map(LaunchId)
}

const UNIT_PREFIX: &str = "session0-program-";
