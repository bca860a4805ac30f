//! Remote procedure calls: varlink interfaces, over named pipes or any other stream.
//!
//! # A service
//!
//! It is an ordinary `#[zlink::service(interface = "...")]`. Each client is served in a task of its own, by an object of its own, and
//! its verified identity comes in two ways: `make_service` is given it, and so is every method that has an argument for it:
//!
//! ```
//! use session0::rpc::{Caller, Identified};
//! # use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, zlink::introspect::Type)]
//! struct Who {
//!     uid: u32,
//! }
//!
//! struct Greeter;
//!
//! #[zlink::service(interface = "org.example.Greeter")]
//! impl<S: Identified> Greeter {
//!     async fn who_am_i(&self, #[zlink(connection)] connection: &mut zlink::Connection<S>) -> Who {
//!         Who { uid: connection.client().uid() }
//!     }
//! }
//!
//! async fn run() -> Result<(), session0::pipe::Error> {
//!     use session0::pipe::asynchronous::PipeServer;
//!
//!     let pipe = PipeServer::builder("greeter").access(["interactive"]).rpc(true).create().await?;
//!     Err(session0::rpc::serve(pipe, |_client| Greeter).await)
//! }
//! ```
//!
//! `connection` is for that alone, and for doing something as the client ([`Caller::impersonate`]): calls are read and answers written by
//! the server around the service.
//!
//! All clients are served in one thread, so a method that blocks blocks all of them. What a client may cost is in [`Limits`]. A method runs until it is done, its time is over ([`Limits::handling_time`]) or its client
//! hangs up; in the last two cases it is dropped where it awaits. A method with `#[zlink(more)]` returns a stream of answers; the
//! first without `continues` is the last, and a client that leaves ends the stream at once. Calls that a client sends before its
//! earlier ones are answered wait in its socket.
//!
//! The server around the service is not zlink's: that one has no limits, works for one client at a time, does not notice clients
//! that leave, and closes the connection on a wrong parameter. Here every mistake that has a name in varlink is answered by it:
//!
//! | A client sends | It gets |
//! |---|---|
//! | a method the interface has not | `org.varlink.service.MethodNotFound` with the method |
//! | a method of an interface the service has not | `org.varlink.service.InterfaceNotFound` with the interface |
//! | a parameter too few, one too many for a method of none, or of the wrong type | `org.varlink.service.InvalidParameter` with the first that does not fit; `parameters` where the description does not tell which |
//! | a call with `upgrade` | `org.varlink.service.InvalidParameter` with `upgrade` |
//! | a call whose method takes longer than it may | [`TIMED_OUT`] with code 1460 |
//! | what is no JSON object with a method, half a call, a call that is too long | the end of the connection |
//!
//! Two things of zlink's remain: take `String` and not `&str` as parameters, as a `&str` cannot hold what JSON writes with a
//! backslash and the call is refused; and a service with an `upgrade` method cannot be served here, which the compiler says.
//!
//! Two pitfalls: a service whose stream ends after an answer with `continues` cuts its client off, which else would wait for ever; and
//! [`serve_stream`] and [`serve_accepted`] believe the program about who a client is, as there is no host to ask.
//!
//! # A client
//!
//! [`Client`] and [`asynchronous::Client`] call methods by name, with JSON or types of the caller's. They need nothing of zlink's.

pub mod asynchronous;
mod client;
mod connection;
mod dialogue;
mod frames;
mod gone;
mod server;
mod shape;
mod socket;
#[cfg(test)]
mod tests;

pub use client::{Answers, Client};
pub use connection::End;
pub use dialogue::{CALL_TIME, Info};
pub use frames::Descriptors;
pub use server::{Limits, serve, serve_accepted, serve_stream, serve_with};
pub use socket::{Caller, Identified, Socket};

/// The name of the error of a method that took longer than [`Limits::handling_time`].
pub const TIMED_OUT: &str = "io.session0.Rpc.TimedOut";
