//! A pipe as it is now, for people and programs.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::access::is_owner;
use super::id::{InstanceId, ServerId};
use super::name::PipeName;
use super::settings::{Opening, Settings};
use super::table::Pipe;
use crate::access::Caller;
use crate::id::ServiceName;
use crate::limit;
use crate::system::System;
use crate::time::Time;

/// One pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeStatus {
    /// Its name as it was first written.
    pub name: PipeName,
    /// What it is.
    pub settings: Arc<Settings>,
    /// Instances that listen.
    pub listening: u32,
    /// Instances that have a client.
    pub connected: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// Who serves it.
    pub servers: Vec<Caller>,
    /// The service it is reserved for, and what opening it does.
    pub reserved: Option<(ServiceName, Opening)>,
    /// Connections made since it was first served.
    pub opened: u64,
    /// Clients refused since it was first served.
    pub refused: u64,
    /// Its clients, the oldest first and so many at most; only for who may see them, and asked for it alone.
    pub clients: Option<Vec<Client>>,
}

/// A client that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its instance.
    pub instance: InstanceId,
    /// Who; `None` for an anonymous one.
    pub caller: Option<Caller>,
    /// Since when.
    pub since: Time,
}

impl System {
    /// One pipe as it is now, as this caller may see it: its clients are for its owner and administrators.
    pub(super) fn pipe_status(&self, caller: &Caller, name: &PipeName) -> Option<PipeStatus> {
        let pipe = self.pipes.table.get(name)?;
        let own = pipe.owner.is_some_and(|owner| is_owner(caller, owner));
        let sees = own || self.administrators.include(caller);
        let servers = pipe.servers.iter().filter_map(|id| self.pipes.servers.get(id));
        let clients = servers.flat_map(|server| server.clients.values());
        let clients = sees.then(|| clients.take(limit::PIPE_CLIENTS_SHOWN_MAX).cloned().collect());
        Some(PipeStatus { clients, ..self.status_of_pipe(pipe) })
    }

    /// All pipes that are served or reserved, by name, without clients: of all pipes these can be more than one answer holds.
    pub(super) fn pipe_statuses(&self) -> Vec<PipeStatus> {
        self.pipes.table.values().map(|pipe| self.status_of_pipe(pipe)).collect()
    }

    /// The servers there are.
    pub fn pipe_servers(&self) -> BTreeSet<ServerId> {
        self.pipes.servers.keys().copied().collect()
    }

    /// Names of the pipes that are to have a socket in every session.
    pub fn pipe_sockets(&self) -> impl Iterator<Item = &PipeName> {
        self.pipes.table.values().filter(|pipe| pipe.bound).map(|pipe| &pipe.name)
    }

    fn status_of_pipe(&self, pipe: &Pipe) -> PipeStatus {
        let servers = pipe.servers.iter().filter_map(|id| self.pipes.servers.get(id));
        PipeStatus {
            name: pipe.name.clone(),
            settings: pipe.settings.clone(),
            listening: pipe.listening,
            connected: pipe.connected,
            waiting: u32::try_from(pipe.waiters.len()).unwrap_or(u32::MAX),
            servers: servers.map(|server| server.caller.clone()).collect(),
            reserved: pipe.reserved.as_ref().map(|reserved| (reserved.service.clone(), reserved.opening)),
            opened: pipe.opened,
            refused: pipe.refused,
            clients: None,
        }
    }
}
