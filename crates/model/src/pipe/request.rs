//! What is asked of pipes, what servers say, and the answers.

use alloc::boxed::Box;
use core::time::Duration;

use super::id::{InstanceId, ServerId};
use super::name::PipeName;
use super::settings::{Access, Direction, Impersonation, InstancesMax, Kind, Settings};
use crate::access::Caller;

/// About pipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipeRequest {
    /// All of them.
    List,
    /// One.
    Status(PipeName),
    /// Connect to an instance. Answered with [`super::super::system::Reply::PipeOpened`].
    Open {
        /// Which.
        name: PipeName,
        /// What for; `None`: whatever direction and list allow.
        access: Option<Access>,
        /// What the server may do with the caller's identity.
        impersonation: Impersonation,
        /// What if none is free.
        wait: Wait,
    },
    /// Wait until one is free.
    Wait {
        /// Which.
        name: PipeName,
        /// How long.
        wait: Wait,
    },
    /// Serve one. Answered with [`super::super::system::Reply::PipeListening`].
    Listen(Box<Listen>),
}

/// How long a client waits for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: 231.
    Not,
    /// The pipe's own time.
    Default,
    /// So long: 121 after it.
    For(Duration),
}

/// Serving a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Which.
    pub name: PipeName,
    /// What it is to be; `None`: what the service's file says, or, without one, the defaults.
    pub settings: Option<Settings>,
    /// Whether nobody may serve it already.
    pub first: bool,
    /// Instances that listen at once.
    pub listening: u32,
}

/// A client that was given an instance. Whoever passes the pipe on tells the server; until then [`super::super::system::Input::PipeLost`]
/// takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The name as it was first written.
    pub name: PipeName,
    /// What it carries.
    pub kind: Kind,
    /// Which way.
    pub direction: Direction,
    /// What the client may do.
    pub access: Access,
    /// What the server may do with its identity.
    pub impersonation: Impersonation,
    /// Bytes a writer may be ahead.
    pub buffer: Option<u32>,
    /// Whether descriptors are wanted.
    pub descriptors: bool,
    /// The instance.
    pub instance: InstanceId,
    /// The server.
    pub server: ServerId,
    /// Who it is.
    pub server_peer: Caller,
}

/// What the pipe is that is served now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Its number.
    pub server: ServerId,
    /// The name as it was first written.
    pub name: PipeName,
    /// What it carries.
    pub kind: Kind,
    /// Which way.
    pub direction: Direction,
    /// The most instances.
    pub instances_max: InstancesMax,
}

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// So many more instances listen.
    Listen(u32),
    /// An instance that had a client is gone.
    Closed(InstanceId),
    /// None listens any more.
    Stop,
    /// After a recount: what there is.
    Counted {
        /// Instances that listen.
        listening: u32,
        /// Instances that have a client.
        connected: u32,
    },
}

/// What a server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// So many instances could not be made to listen.
    Refused(u32),
    /// Say what there is.
    Recount,
}
