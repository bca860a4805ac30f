//! `io.session0.Session`: sessions.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use crate::error::{Fault, Refused};
use crate::interface::{Nothing, errors, interface};

/// A session's connect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum ConnectState {
    /// 0: a user is logged on and a terminal is attached.
    Active,
    /// 4: a user is logged on, or it is Session 0; no terminal is attached.
    Disconnected,
    /// 8: it is ending or could not be made.
    Down,
    /// 9: it is being made.
    Init,
    /// A state this reader does not know yet; its number says which it is.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// One session as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct SessionStatus {
    /// Its number.
    pub id: u32,
    /// Its name; `Services` for Session 0.
    pub name: String,
    /// Its connect state.
    pub state: ConnectState,
    /// The connect state's number on Windows.
    pub state_number: u32,
    /// When its init was started.
    pub created_ms: i64,
    /// The protocol its init speaks, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u16>,
    /// Programs started in it and alive.
    pub programs: u32,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The account that is logged on; none in Session 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// When it logged on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logon_ms: Option<i64>,
    /// When a terminal was attached last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_ms: Option<i64>,
    /// When the last terminal went away; only while none is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_ms: Option<i64>,
    /// The client's terminal, as the client named it: for people, not to be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The uid of the program that the terminal is attached by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uid: Option<u32>,
}

/// A terminal that a client has. All of it is the client's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Terminal {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// What it calls itself (`/dev/pts/3`), for `List`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A variable of the environment. Taken are TERM, COLORTERM and LC_*, if their values are plain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Parameters of `Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Which session.
    pub session: u32,
}

/// The answer to `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Session {
    /// The session.
    pub session: SessionStatus,
}

/// Parameters of `Logoff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Logoff {
    /// Which session.
    pub session: u32,
    /// Whether to answer only when nothing of it is left; false if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// Parameters of `Run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// In which session. It runs as that session's user.
    pub session: u32,
    /// Program and arguments; a program without a slash is looked for in the session's PATH.
    pub command: Vec<String>,
    /// The terminal it gets one of its own like; without, its standard streams are pipes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// Variables for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<Variable>>,
}

/// The answer to `Run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Running {
    /// How many descriptors come with it: the viewer's socket and the terminal's master (2), or the viewer's socket and standard
    /// input, output and error (4).
    pub descriptors: u32,
}

/// Parameters of `List`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// The answer to `List`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Sessions {
    /// The sessions by number.
    pub sessions: Vec<SessionStatus>,
}

errors! {
    interface "io.session0.Session";
    /// 5: the caller lacks the right.
    AccessDenied(Refused),
    /// 87: a parameter cannot be used.
    InvalidParameter(Refused),
    /// 7022: there is no such session.
    NoSuchSession(Refused),
    /// 1008: no user is logged on in it.
    NoUser(Refused),
    /// 7007: it is ending.
    Ending(Refused),
    /// The program could not be started in it.
    LaunchFailed(Refused),
    /// 1450: too many programs or callers already.
    TooMany(Refused),
    /// 21: Session 0 is not there yet.
    NotReady(Refused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// Sessions. Session 0 is the session of the services: it exists first and always.
    interface "io.session0.Session";
    types [SessionStatus, ConnectState, Terminal, Variable];
    errors Error;
    /// All sessions.
    method "List" (List) -> Sessions;
    /// One session.
    method "Status" (Status) -> Session;
    /// Ends a session: its programs are told (SIGHUP), what has not ended after five seconds is killed. Its user and
    /// administrators may.
    method "Logoff" (Logoff) -> Nothing;
    /// Starts a program in a session, as its user. Its user and administrators may. Descriptors come with the answer; on the
    /// viewer's socket (SOCK_SEQPACKET, one JSON object a packet) comes how the program ended, and closing it hangs the program up.
    method "Run" (Run) -> Running;
}
