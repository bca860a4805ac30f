//! All pipes: names, servers, who waits, and the indexes that find each of them without a walk.
//!
//! ```text
//!   table: name ──▶ Pipe ── servers ──▶ Server ── instances ──▶ Client
//!                    │  └─ ready: servers that listen, the one with the most first
//!                    └─ waiters, in the order they came ◀── requests: by request
//!   deadlines: what is due when             called: services that somebody waits for, by name
//! ```
//!
//! A pipe's sums (listening, connected, recounting) and its `ready` change only in [`Pipes::change`].

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::cmp::Reverse;
use core::time::Duration;

use super::alarm::Alarms;
use super::id::{InstanceId, ServerId};
use super::name::PipeName;
use super::settings::{Opening, Settings};
use super::status::Client;
use super::waiter::{Called, Place, Waiter};
use crate::access::Caller;
use crate::id::{RequestId, ServiceName};
use crate::limit;
use crate::time::Time;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipes {
    /// Pipes that are served or reserved.
    pub table: BTreeMap<PipeName, Pipe>,
    /// Servers, by number.
    pub servers: BTreeMap<ServerId, Server>,
    /// Requests that wait: for which pipe, and where in its queue.
    pub requests: BTreeMap<RequestId, (PipeName, Place)>,
    /// What must be done when.
    pub deadlines: BTreeSet<(Time, Due)>,
    /// What each uid has.
    pub tally: Tally,
    /// Services that are to serve what somebody waits for.
    pub called: BTreeMap<ServiceName, Called>,
    /// Alarms raised lately.
    pub alarms: Alarms,
    /// Servers there may be.
    pub max: usize,
    /// The last number given to a server, an instance or a place in a queue.
    pub last: u64,
}

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A server must have said what instances it has.
    Count(ServerId),
    /// A client waits no longer.
    Answer(RequestId),
}

/// What is counted against each uid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<u32, Held>);

/// What one uid has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Servers.
    pub servers: usize,
    /// Their instances.
    pub instances: u32,
}

/// One name.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    /// As it was first written, or as its service's file has it.
    pub name: PipeName,
    /// What it is; while nobody serves it, what its service's file says.
    pub settings: Arc<Settings>,
    /// Who served it first; while nobody does, whom its service runs as. A root of a user's session owns nothing.
    pub owner: Option<u32>,
    /// Its servers; numbers count up, so these are in the order they came.
    pub servers: BTreeSet<ServerId>,
    /// Of these, those that listen.
    pub ready: BTreeSet<(Reverse<u32>, ServerId)>,
    /// Instances of all servers that listen.
    pub listening: u32,
    /// Instances of all servers that have a client.
    pub connected: u32,
    /// Servers that were asked what they have and still have time to say it.
    pub recounting: u32,
    /// Clients that wait.
    pub waiters: BTreeMap<Place, Waiter>,
    /// Whether some of them wait only until it is known whether an instance is free.
    pub hasty: bool,
    /// The service it is reserved for.
    pub reserved: Option<Reserved>,
    /// Whether it was told to have a socket.
    pub bound: bool,
    /// Connections made since it was first served.
    pub opened: u64,
    /// Clients refused since it was first served.
    pub refused: u64,
}

/// What a service's file says about a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Whose it is.
    pub service: ServiceName,
    /// What opening it does while nobody serves it.
    pub opening: Opening,
    /// What it is.
    pub settings: Arc<Settings>,
    /// Whom the service runs as.
    pub uid: u32,
    /// How long the service may take to start.
    pub start_wait: Duration,
}

/// One server of one pipe.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Its pipe.
    pub pipe: PipeName,
    /// Who it is.
    pub caller: Caller,
    /// Whom it is counted against.
    pub counted: Option<u32>,
    /// Instances that listen.
    pub listening: u32,
    /// Instances that have a client.
    pub clients: BTreeMap<InstanceId, Client>,
    /// Further ones that have a client; who, only the daemon before knew.
    pub uncounted: u32,
    /// Whether what it has is known.
    pub count: Count,
    /// It was there before this daemon, and was asked.
    pub recovered: bool,
    /// It said that none listens any more.
    pub stopped: bool,
}

/// Whether it is known what instances a server has.
///
/// ```text
///   Known          Asked ── Counted ──▶ Known
///                    └── time ──▶ Overdue ── Counted ──▶ Known
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// It is.
    Known,
    /// A new daemon asked; clients wait that long.
    Asked {
        /// Until then.
        until: Time,
    },
    /// It did not say in time, and is taken to have none.
    Overdue,
}

impl Pipe {
    /// One that nobody serves.
    pub fn new(name: PipeName, settings: Arc<Settings>) -> Pipe {
        Pipe {
            name,
            settings,
            owner: None,
            servers: BTreeSet::new(),
            ready: BTreeSet::new(),
            listening: 0,
            connected: 0,
            recounting: 0,
            waiters: BTreeMap::new(),
            hasty: false,
            reserved: None,
            bound: false,
            opened: 0,
            refused: 0,
        }
    }

    /// Whether somebody serves it.
    pub fn served(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Its service, if opening it starts that.
    pub fn starts(&self) -> Option<&Reserved> {
        self.reserved.as_ref().filter(|reserved| reserved.opening == Opening::Starts)
    }

    /// Whether it is there for clients: served, or reserved so that opening it has it served.
    pub fn exists(&self) -> bool {
        self.served() || self.starts().is_some()
    }

    /// Whether it is served and known what instances there are.
    pub fn settled(&self) -> bool {
        self.served() && self.recounting == 0
    }

    /// How many instances there may be.
    pub fn most(&self) -> u32 {
        u32::try_from(self.settings.instances_max.count()).unwrap_or(u32::MAX)
    }

    /// How many more instances there may be.
    pub fn room(&self) -> u32 {
        self.most().saturating_sub(self.listening.saturating_add(self.connected))
    }

    /// Nobody serves it any more, or yet.
    pub fn unserve(&mut self) {
        self.opened = 0;
        self.refused = 0;
        self.owner = None;
        if let Some(reserved) = &self.reserved {
            self.settings = reserved.settings.clone();
            self.owner = Some(reserved.uid);
        }
    }
}

impl Server {
    /// One that has no instance.
    pub fn new(pipe: PipeName, caller: Caller, counted: Option<u32>, count: Count) -> Server {
        let (clients, recovered) = (BTreeMap::new(), count != Count::Known);
        Server {
            pipe,
            caller,
            counted,
            listening: 0,
            clients,
            uncounted: 0,
            count,
            recovered,
            stopped: false,
        }
    }

    /// Instances that have a client.
    pub fn connected(&self) -> u32 {
        u32::try_from(self.clients.len()).unwrap_or(u32::MAX).saturating_add(self.uncounted)
    }

    /// All its instances.
    pub fn instances(&self) -> u32 {
        self.listening + self.connected()
    }

    /// Whether clients wait for it to say what it has.
    pub fn recounting(&self) -> bool {
        matches!(self.count, Count::Asked { .. })
    }
}

impl Pipes {
    /// How many more instances of a pipe a server may have that is counted so.
    pub fn room(&self, pipe: &Pipe, counted: Option<u32>) -> u32 {
        let own = limit::PIPE_INSTANCES_PER_UID_MAX.saturating_sub(self.tally.held(counted).instances);
        pipe.room().min(own)
    }

    /// The next number: never one that was given, also not by a daemon before (see [`super::recover`]).
    pub fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The one way to change a server: keeps its pipe's sums.
    pub fn change<R>(&mut self, id: ServerId, change: impl FnOnce(&mut Server) -> R) -> Option<R> {
        let server = self.servers.get_mut(&id)?;
        let pipe = self.table.get_mut(&server.pipe)?;
        self.tally.take_out(server);
        pipe.take_out(id, server);
        let result = change(server);
        pipe.put_in(id, server);
        self.tally.put_in(server);
        Some(result)
    }

    /// A server that is new. Its pipe must be in the table.
    pub fn add_server(&mut self, id: ServerId, server: Server) {
        self.tally.put_in(&server);
        if let Count::Asked { until } = server.count {
            self.deadlines.insert((until, Due::Count(id)));
        }
        if let Some(pipe) = self.table.get_mut(&server.pipe) {
            pipe.servers.insert(id);
            pipe.put_in(id, &server);
        }
        self.servers.insert(id, server);
    }

    /// A server that is gone, with all its instances.
    pub fn remove_server(&mut self, id: ServerId) -> Option<Server> {
        let server = self.servers.remove(&id)?;
        self.tally.take_out(&server);
        if let Count::Asked { until } = server.count {
            self.deadlines.remove(&(until, Due::Count(id)));
        }
        if let Some(pipe) = self.table.get_mut(&server.pipe) {
            pipe.take_out(id, &server);
            pipe.servers.remove(&id);
            if !pipe.served() {
                pipe.unserve();
            }
        }
        Some(server)
    }
}

impl Tally {
    /// What this uid has; nothing for whom nothing is counted.
    pub fn held(&self, counted: Option<u32>) -> Held {
        counted.and_then(|uid| self.0.get(&uid)).copied().unwrap_or_default()
    }

    /// Everybody who has something.
    pub fn all(&self) -> impl Iterator<Item = &Held> {
        self.0.values()
    }

    /// A server is, or is as it is now.
    pub fn put_in(&mut self, server: &Server) {
        let Some(uid) = server.counted else { return };
        let held = self.0.entry(uid).or_default();
        held.servers += 1;
        held.instances += server.instances();
    }

    fn take_out(&mut self, server: &Server) {
        let Some(uid) = server.counted else { return };
        let Some(held) = self.0.get_mut(&uid) else { return };
        held.servers -= 1;
        held.instances -= server.instances();
        if held.servers == 0 {
            self.0.remove(&uid);
        }
    }
}

impl Pipe {
    fn take_out(&mut self, id: ServerId, server: &Server) {
        self.listening -= server.listening;
        self.connected -= server.connected();
        self.recounting -= u32::from(server.recounting());
        self.ready.remove(&(Reverse(server.listening), id));
    }

    fn put_in(&mut self, id: ServerId, server: &Server) {
        self.listening += server.listening;
        self.connected += server.connected();
        self.recounting += u32::from(server.recounting());
        if server.listening > 0 {
            self.ready.insert((Reverse(server.listening), id));
        }
    }
}
