//! The core: one state, one function.

mod effect;
mod input;
mod request;

pub use effect::{Effect, ExitReason};
pub use input::{Alive, Configuration, Input, Recovered, UnackedExit};
pub use request::{
    HostRequest, HostStatus, Refusal, ReloadReport, Reply, Request, ServiceRequest, SessionRequest, Wait,
};
