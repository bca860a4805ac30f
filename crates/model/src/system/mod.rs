//! The core: one state, one function.

mod effect;
mod input;
mod request;

use alloc::vec::Vec;

use crate::id::{LaunchId, ServiceName};
use crate::service::definition::Definition;
use crate::service::status::Status;
use crate::session::status::SessionStatus;
use crate::time::Time;

pub use effect::{Effect, ExitReason};
pub use input::{Alive, Configuration, Input, Recovered, UnackedExit};
pub use request::{
    Dependents, HostPhase, HostRequest, HostStatus, Refusal, ReloadReport, Reply, Request, ServiceRequest,
    SessionRequest, Wait,
};

/// Everything the daemon knows, and every rule.
#[derive(Debug, Default)]
pub struct System {}

impl System {
    /// A system to which nothing happened yet; the first input is [`Input::Start`].
    pub fn new() -> System {
        System::default()
    }

    /// Something happened at `now`; says what must be done, in order. Never fails, never blocks.
    pub fn handle(&mut self, _now: Time, _input: Input) -> Vec<Effect> {
        Vec::new()
    }

    /// When to call again with [`Input::Tick`] if nothing else happens.
    pub fn deadline(&self) -> Option<Time> {
        None
    }

    /// Panics if the state is impossible.
    pub fn check_invariants(&self) {}

    /// One service as it is now.
    pub fn service(&self, _name: &ServiceName) -> Option<Status> {
        None
    }

    /// One service's definition: the one in use, which is also the one to launch it by.
    pub fn definition(&self, _name: &ServiceName) -> Option<&Definition> {
        None
    }

    /// All services, by name.
    pub fn services(&self) -> Vec<Status> {
        Vec::new()
    }

    /// All sessions, by number.
    pub fn sessions(&self) -> Vec<SessionStatus> {
        Vec::new()
    }

    /// The host as it is now.
    pub fn host_status(&self, _now: Time) -> HostStatus {
        HostStatus {
            started: Time(0),
            sessions: Vec::new(),
            counts: [0; 4],
            attention: Vec::new(),
            phase: HostPhase::Starting,
            configuration_errors: 0,
        }
    }

    /// The launch of a service that is alive or being made, and its main process once there is one.
    pub fn launch_of(&self, _name: &ServiceName) -> Option<(LaunchId, Option<i32>)> {
        None
    }

    /// Whose launch this is, while it is alive or being made.
    pub fn service_of_launch(&self, _launch: LaunchId) -> Option<&ServiceName> {
        None
    }
}
