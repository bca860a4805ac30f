//! The API server: the public interface ([`session0_api`]) over Varlink, behind every door.
//!
//! One task a connection, so that nobody waits for anybody else's call. Every task has limits
//! ([`limits::Limits`]): a client that sends garbage, half a call, a call without an end, nothing, or never
//! reads, costs one closed connection. What a call asks for goes to the model by [`host::Host::request`];
//! a client that hangs up abandons it.
//!
//! zlink gives the descriptions, the errors and the types of `org.varlink.service`. Its `Server` and its
//! `service` macro are not used: methods of one name in two interfaces collide in the macro, a wrong
//! parameter closes the connection there instead of being named, and long answers are serialised again for
//! every 256 bytes.

mod client;
mod connection;
mod dispatch;
mod fault;
pub mod frame;
pub mod host;
mod limits;
mod pipes;
mod server;
mod subscription;
pub mod translate;
mod users;

#[cfg(test)]
mod tests;

pub use client::{Clients, Full, Place};
pub use connection::send;
pub use limits::Limits;
pub use pipes::given;
pub use server::{listen, serve};
