//! A pipe as it is now, for people and programs.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::InstanceId;
use super::name::PipeName;
use super::settings::{Opening, Settings};
use crate::access::Caller;
use crate::id::ServiceName;
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
    /// Its clients; only for who may see them.
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
