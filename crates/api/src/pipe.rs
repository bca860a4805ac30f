//! `io.session0.Pipe`: named pipes.
//!
//! [`Open`] and [`Listen`] are called with `upgrade`: after the answer the connection is no longer one of calls. After `Open` it *is*
//! the pipe, and nothing of ours is on its way; after `Listen` the server and the host say on it what the module [`control`] has.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use crate::error::{Fault, Refused};
use crate::interface::{Nothing, errors, interface};

/// What a pipe carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum PipeType {
    /// Bytes.
    Byte,
    /// Messages: each is one or more fragments, a fragment is four bytes of length (little endian; the highest bit says that another
    /// fragment of the same message follows) and as many bytes.
    Message,
    /// A type this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// Which way a pipe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum Direction {
    /// From the client to the server (PIPE_ACCESS_INBOUND).
    Inbound,
    /// From the server to the client (PIPE_ACCESS_OUTBOUND).
    Outbound,
    /// Both ways (PIPE_ACCESS_DUPLEX).
    Duplex,
    /// A direction this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// What a client does with a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// Both.
    Duplex,
    /// Something this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// What the server may do with a client's identity (windows-semantics 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum Impersonation {
    /// 0: the server is not told who the client is. The pipe comes as a descriptor, without `upgrade`.
    Anonymous,
    /// 1: the server knows who the client is.
    Identification,
    /// 2: the server may open files as the client.
    Impersonation,
    /// A level this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// One end of a pipe, as the host verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Peer {
    /// Its session; none for a program outside every session, and for an anonymous client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
    /// Its uid; 65534 for an anonymous client.
    pub uid: u32,
    /// Its gid; 65534 for an anonymous client.
    pub gid: u32,
    /// Its supplementary groups.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Its process id as the machine outside every session sees it, for people: a number is used again, the descriptor that comes
    /// with it is not. 0 for an anonymous client.
    pub pid: i32,
    /// Its account, where the host knows a name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The service it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A client that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct PipeClient {
    /// The number of its instance.
    pub instance: u64,
    /// Who.
    pub peer: Peer,
    /// When it was connected.
    pub since_ms: i64,
}

/// One pipe as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct PipeStatus {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub kind: PipeType,
    /// Which way.
    pub direction: Direction,
    /// The most instances there may be; none where they are unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances_max: Option<u32>,
    /// Instances that wait for a client.
    pub listening: u32,
    /// Instances that have one.
    pub connected: u32,
    /// Clients that wait for an instance.
    pub waiting: u32,
    /// The time that a client waits who says nothing else, in milliseconds.
    pub default_timeout_ms: u32,
    /// Whether clients outside every session are refused.
    pub refuse_outside: bool,
    /// Whether it speaks varlink, so that it can be described.
    pub rpc: bool,
    /// Who may do what, an entry each.
    pub access: Vec<String>,
    /// The processes that serve it.
    pub servers: Vec<Peer>,
    /// The service that it is reserved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<String>,
    /// Whether opening it starts that service.
    pub starts_service: bool,
    /// Its socket in every session, where its name is short enough for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Connections made since it was first served.
    pub opened: u64,
    /// Clients refused since it was first served.
    pub refused: u64,
    /// Its first 1024 clients; only in `Status`, for its owner and administrators. Those from before the daemon was started again are not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<PipeClient>>,
}

/// Parameters of `List`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// The answer to `List`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Pipes {
    /// The pipes by name.
    pub pipes: Vec<PipeStatus>,
}

/// Parameters of `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Which pipe.
    pub pipe: String,
}

/// The answer to `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Pipe {
    /// The pipe.
    pub pipe: PipeStatus,
}

/// Parameters of `Open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Which pipe.
    pub pipe: String,
    /// What for; if it is not there, everything that direction and access list allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// What the server may do with the caller's identity; `identification` if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonation: Option<Impersonation>,
    /// How long to wait for an instance while all are busy, in milliseconds. Not there: not at all (231). 0: the pipe's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The answer to `Open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Opened {
    /// Its name as its server wrote it.
    pub name: String,
    /// What it carries.
    pub kind: PipeType,
    /// Which way.
    pub direction: Direction,
    /// What the caller may do with it.
    pub access: Access,
    /// The number of the instance.
    pub instance: u64,
    /// Bytes that what the caller writes may be ahead of the server: its own socket's to set. The kernel's own if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<u32>,
    /// The server.
    pub server: Peer,
    /// Descriptors that come with it: the pipe itself for an anonymous client (1), else none: the connection is the pipe.
    pub descriptors: u32,
}

/// Parameters of `Wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Which pipe.
    pub pipe: String,
    /// How long, in milliseconds; the pipe's own time if it is 0 or not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Parameters of `Listen`. Who listens first decides what the pipe is; later ones must ask for the same. A service that listens on a
/// pipe of its file may leave everything but the name out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The pipe's name.
    pub pipe: String,
    /// What it carries; `byte` if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PipeType>,
    /// Which way; `duplex` if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The most instances there may be, 1 to 254; 0 or 255 for unlimited, which they are if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances_max: Option<u32>,
    /// Whether nobody else may serve the name already (FILE_FLAG_FIRST_PIPE_INSTANCE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<bool>,
    /// The time that a client waits who says nothing else, in milliseconds; 50 if it is 0 or not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_timeout_ms: Option<u32>,
    /// Bytes that a client's writes, and the server's, may be ahead of their reader; the kernel's own if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<u32>,
    /// Who may do what, an entry each: `[allow|deny] WHO [read] [write] [instance]`, where WHO is `everyone`, `interactive`,
    /// `services`, `administrators`, `owner`, `outside`, `user NAME`, `group NAME`, `service NAME` or `session N`. Only the owner and
    /// administrators if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Vec<String>>,
    /// Whether clients outside every session are refused (PIPE_REJECT_REMOTE_CLIENTS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_outside: Option<bool>,
    /// Whether the server wants the descriptors that clients send; else the kernel refuses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<bool>,
    /// Whether it speaks varlink, so that others may ask it what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<bool>,
    /// Instances to begin with, 1 if it is not there; more are announced on the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening: Option<u32>,
}

/// The answer to `Listen`: what the pipe is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Listening {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub kind: PipeType,
    /// Which way.
    pub direction: Direction,
    /// The most instances there may be; none where they are unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances_max: Option<u32>,
    /// The most instances of one server that may wait for clients at one time.
    pub listening_max: u32,
}

errors! {
    interface "io.session0.Pipe";
    /// 5: the caller lacks the right, or somebody else's is the name.
    AccessDenied(Refused),
    /// 123: this cannot be a pipe's name.
    InvalidName(Refused),
    /// 87: a parameter cannot be used.
    InvalidParameter(Refused),
    /// 2: nobody serves a pipe of this name.
    NoSuchPipe(Refused),
    /// 231: every instance is busy, or no further one may be made.
    Busy(Refused),
    /// 121: no instance became free in time.
    TimedOut(Refused),
    /// 230: the pipe is not of the kind, or does not go the way, that was asked for.
    BadPipe(Refused),
    /// The service that serves it could not be started.
    ServiceFailed(Refused),
    /// 1450: too many pipes, instances or callers already.
    TooMany(Refused),
    /// 21: Session 0 is not there yet.
    NotReady(Refused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// Named pipes: the way across sessions. A name is machine-wide, an id and never a path; case does not count. The host pairs the
    /// ends and says who is at them; no byte goes through it.
    interface "io.session0.Pipe";
    types [PipeStatus, PipeClient, Peer, PipeType, Direction, Access, Impersonation];
    errors Error;
    /// All pipes. Everybody may.
    method "List" (List) -> Pipes;
    /// One pipe. Everybody may.
    method "Status" (Status) -> Pipe;
    /// Connects to an instance. To be called with `upgrade`: after the answer the connection is the pipe. An anonymous client calls
    /// without `upgrade`, and the pipe comes as a descriptor.
    method "Open" (Open) -> Opened;
    /// Waits until an instance is free (WaitNamedPipe); somebody else may have it first.
    method "Wait" (Wait) -> Nothing;
    /// Serves a pipe. To be called with `upgrade`: after the answer host and server say on the connection, as JSON objects each with a
    /// zero byte, what instances there are. Host: `{"connected":{"instance":1,"access":"duplex","impersonation":"identification",
    /// "client":PEER}}` with one or two descriptors, the pipe and the client's process; `{"recount":{}}`; `{"refused":{"instances":1}}`.
    /// Server: `{"listen":{"instances":1}}`, `{"closed":{"instance":1}}`, `{"stop":{}}`, and after `recount`
    /// `{"counted":{"listening":1,"connected":0}}`.
    method "Listen" (Listen) -> Listening;
}

/// What is said on a connection after `Listen`: JSON objects, each with a zero byte. Objects of kinds a reader does not know are to be
/// skipped.
pub mod control {
    use super::{Access, Impersonation, Peer};
    use serde::{Deserialize, Serialize};

    /// The longest object.
    pub const OBJECT_MAX: usize = 16 * 1024;

    /// The host to the server.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum FromHost {
        /// A client took an instance that listened. With its first byte come the pipe and, unless the client is anonymous or gone
        /// already, its process (a pidfd).
        Connected {
            /// The instance's number.
            instance: u64,
            /// What the client may do with the pipe.
            access: Access,
            /// What may be done with the client's identity.
            impersonation: Impersonation,
            /// The client.
            client: Peer,
        },
        /// A new daemon asks for [`FromServer::Counted`], once, after everything that was said before.
        Recount {},
        /// So many instances could not be made to listen: there are as many as there may be.
        Refused {
            /// How many.
            instances: u32,
        },
        /// Something this reader does not know.
        #[serde(other)]
        Unknown,
    }

    /// The server to the host.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum FromServer {
        /// So many more instances listen (CreateNamedPipe, ConnectNamedPipe).
        Listen {
            /// How many.
            instances: u32,
        },
        /// An instance that had a client is gone (DisconnectNamedPipe, CloseHandle). It does not listen by that.
        Closed {
            /// Its number.
            instance: u64,
        },
        /// No instance listens any more; those that have a client go on.
        Stop {},
        /// The answer to [`FromHost::Recount`].
        Counted {
            /// Instances that listen.
            listening: u32,
            /// Instances that have a client.
            connected: u32,
        },
        /// Something this reader does not know.
        #[serde(other)]
        Unknown,
    }
}
