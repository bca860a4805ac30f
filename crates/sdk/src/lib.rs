//! The library for services, applications and tools of a session0 host.
//!
//! [`Client`] asks and waits; [`asynchronous::Client`] does the same within tokio; [`events`] follows what
//! happens; [`log`] reads and follows a service's output; [`logon`] logs on and manages accounts; [`session`] is
//! about programs in sessions; [`pipe`] is named pipes, the way across sessions; [`rpc`] serves and calls varlink
//! interfaces over them.
//!
//! ```no_run
//! # fn main() -> Result<(), session0::Error> {
//! let mut host = session0::Client::discover()?;
//! for service in host.services()? {
//!     println!("{} {:?}", service.name, service.state);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A session's programs find the host at `/run/session0/api`, programs outside at the same place below
//! `$SESSION0_ROOT`; see [`path::socket`]. While the daemon is away (it is replaced, or was killed and is
//! started again) connecting and calling wait for the next one instead of failing.
#![forbid(unsafe_code)]

pub mod asynchronous;
mod client;
mod connect;
mod error;
pub mod events;
pub mod log;
pub mod logon;
mod packet;
pub mod path;
pub mod pipe;
pub mod rpc;
pub mod session;
mod wire;

pub use client::{Client, Home};
pub use error::{Error, Refused};
pub use session0_api as api;
pub use session0_api::service::{Dependents, Wait};
