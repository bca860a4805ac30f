//! What the API server sees of the rest of the daemon.

use std::future::Future;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use session0_api::pipe::Peer;
use session0_model::access::Caller;
use session0_model::event::Event;
use session0_model::id::{LaunchId, LogonId, ServiceName, SessionId};
use session0_model::logon::name::AccountName;
use session0_model::pipe::access::AccessList;
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::request::Opened;
use session0_model::service::status::Status;
use session0_model::system::{HostStatus, Refusal, Reply, Request};
use session0_model::time::Time;

use super::client::{Full, Place};

/// Which listener a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The outer socket: programs outside every session.
    Outside,
    /// A session's own socket.
    Session(SessionId),
    /// A pipe's socket, which every session sees.
    Pipe,
}

/// An event with its number and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Counts up by one, also across restarts of the daemon.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    pub event: Event,
}

/// Which events somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// All.
    Everything,
    /// Those that are not for administrators only.
    WhatIsForAll,
}

/// A snapshot, and everything that happens after it.
pub struct Subscription {
    /// Which of them the subscriber is told.
    pub told: Told,
    /// The number of the last event that the snapshot includes.
    pub sequence: u64,
    /// The host.
    pub host: HostStatus,
    /// All services.
    pub services: Vec<Status>,
    /// What happens from now on. `Lagged` means that the reader fell behind by more than
    /// [`session0_model::limit::EVENTS_BEHIND_MAX`] events and is to be cut off.
    pub receiver: tokio::sync::broadcast::Receiver<Rc<Recorded>>,
}

/// What is configured of a service besides what its status says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The services it depends on.
    pub depends: Vec<ServiceName>,
    /// The services that depend on it directly.
    pub dependents: Vec<ServiceName>,
}

/// The daemon, as the API server sees it.
pub trait Host: Clone + 'static {
    /// Runs one request through the model. Dropping the future abandons it.
    fn request(&self, caller: Caller, request: Request) -> impl Future<Output = Result<Reply, Refusal>>;
    /// Snapshot and everything after it, as far as this caller is told it.
    fn subscribe(&self, caller: &Caller) -> Subscription;
    /// The service's log files, oldest first, opened for reading.
    fn open_log(&self, service: &ServiceName) -> io::Result<Vec<OwnedFd>>;
    /// The client's end of a conversation just begun; once. `None`: it is over already.
    fn conversation(&self, logon: LogonId) -> Option<OwnedFd> {
        let _ = logon;
        None
    }
    /// The client's ends of a program's streams, just started; once. The viewer's socket is the first.
    fn streams(&self, launch: LaunchId) -> Vec<OwnedFd> {
        let _ = launch;
        Vec::new()
    }
    /// An access list from its texts, or what is wrong with it.
    fn access_list(&self, texts: &[String]) -> Result<AccessList, String> {
        let _ = texts;
        Err("no account is known here".to_owned())
    }
    /// A place for an answer that may be long, to be held until it is written. `None`: none is needed here.
    fn place_for_long_answer(&self, caller: &Caller) -> Result<Option<Place>, Full> {
        let _ = caller;
        Ok(None)
    }
    /// One end of a pipe, as the other is told of it.
    fn peer(&self, caller: &Caller) -> Peer;
    /// A pipe's end for its server: the client was answered.
    fn hand_over(&self, opened: Opened, caller: &Caller, socket: OwnedFd) {
        let _ = (opened, caller, socket);
    }
    /// A client that was given an instance did not take it.
    fn not_taken(&self, server: ServerId, instance: InstanceId) {
        let _ = (server, instance);
    }
    /// The connection of a pipe's server, which was answered; `None`: it is gone before that.
    fn serve_pipe(&self, server: ServerId, socket: Option<OwnedFd>) {
        let _ = (server, socket);
    }
    /// Wall-clock milliseconds of a monotonic time.
    fn wall_ms(&self, at: Time) -> i64;
    /// What is configured of a service besides what its status says.
    fn configured(&self, service: &ServiceName) -> Configured {
        let _ = service;
        Configured::default()
    }
    /// The uid of a built-in account.
    fn uid_of(&self, account: &AccountName) -> Option<u32> {
        let _ = account;
        None
    }
    /// What this machine lacks and the administrator accepted to be without: name, and what is lost.
    fn degraded(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// Verifies who is at the other end of an accepted connection.
    fn identify(&self, door: Door, socket: BorrowedFd<'_>) -> io::Result<Caller>;
}
