//! Named pipes: the way across sessions, as Windows has it.
//!
//! A pipe's name is machine-wide: a service in Session 0 makes a pipe, and a program in any session opens it. The host pairs the two ends and
//! tells each who is at the other one; then no byte goes through it, and what the two ends have is a socket of their own.
//!
//! ```no_run
//! # fn main() -> Result<(), session0::pipe::Error> {
//! use session0::pipe::{PipeClient, PipeServer, PipeType};
//! use std::time::Duration;
//!
//! // The service:
//! let server = PipeServer::builder("greeter").kind(PipeType::Message).access(["interactive"]).create()?;
//! let instance = server.accept()?;
//! let request = instance.read_message()?;
//! instance.write_message(format!("hello uid {}", instance.client().uid()).as_bytes())?;
//!
//! // The program, elsewhere:
//! let client = PipeClient::builder("greeter").wait(Duration::from_secs(5)).open()?;
//! client.write_message(b"who am I?")?;
//! println!("{}", String::from_utf8_lossy(&client.read_message()?));
//!
//! // The same in one call:
//! let answer = session0::pipe::call("greeter", b"who am I?", Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! # The calls and Windows' names for them
//!
//! | Here | Windows |
//! |---|---|
//! | [`PipeServer::builder`] … [`create`](ServerBuilder::create) | CreateNamedPipe |
//! | [`PipeServer::accept`], [`Instance::connect`] | ConnectNamedPipe |
//! | [`Instance::disconnect`] | DisconnectNamedPipe |
//! | [`Instance::impersonate`] | ImpersonateNamedPipeClient, RevertToSelf |
//! | [`Instance::client`] | GetNamedPipeClientProcessId, …SessionId |
//! | [`PipeClient::open`], [`PipeClient::builder`] | CreateFile |
//! | [`PipeClient::server`] | GetNamedPipeServerProcessId, …SessionId |
//! | [`wait()`], [`call()`] | WaitNamedPipe, CallNamedPipe |
//! | [`Pipe::read`], [`Pipe::write`] | ReadFile, WriteFile |
//! | [`Pipe::peek`], [`Pipe::transact`] | PeekNamedPipe, TransactNamedPipe |
//! | [`Pipe::flush`], [`Pipe::set_read_mode`] | FlushFileBuffers, SetNamedPipeHandleState |
//!
//! # Bytes and messages
//!
//! A *byte* pipe carries bytes; a write and a read need not be of one size. A *message* pipe keeps what was written in one call together, at any
//! size, none included: [`Pipe::read_message`] gives one, [`Pipe::read`] gives one or, where the buffer is too small, its beginning, and says so.
//! [`ReadMode::Byte`] reads a message pipe as bytes.
//!
//! # Errors
//!
//! Every [`Error`] has Windows' number ([`Code`]), a sentence, and often a hint. When the other end is gone, reads go on until everything it wrote was
//! read and then give 109; writes give 232. After an own [`Instance::disconnect`] everything gives 233. Nobody is ever killed by SIGPIPE.
//!
//! # Where it is not as on Windows
//!
//! - Both ends of a message pipe begin in message read mode; there a client begins in byte read mode.
//! - [`Instance::disconnect`] cannot take back what is on its way to the client.
//! - The identity of a client is the one it had when it opened the pipe, not that of who wrote the last message.
//! - A client that does not say otherwise is at level Identification; there it is Impersonation.
//!
//! [`asynchronous`] has the same within tokio.

pub mod asynchronous;
mod call;
mod client;
mod control;
mod end;
mod error;
mod facts;
mod impersonate;
mod inbox;
mod instance;
mod peer;
mod server;
mod serving;
mod socket;

pub use client::{ClientBuilder, PipeClient, call_pipe as call, wait};
pub use end::Pipe;
pub use error::{Code, Error};
pub use facts::{MESSAGE_MAX, ReadMode};
pub use inbox::{Peeked, Read, Rest};
pub use instance::Instance;
pub use peer::Client;
pub use server::{PipeServer, ServerBuilder};
pub use session0_api::pipe::{Access, Direction, Impersonation, Peer, PipeStatus, PipeType};
