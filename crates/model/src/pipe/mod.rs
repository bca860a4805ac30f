//! Named pipes (windows-semantics 6): a machine-wide table of names, the servers of each, and who is connected to them. The model pairs
//! clients with instances and counts; bytes and descriptors are not its matter.
//!
//! ```text
//!   name      (nobody) ── first server listens ──▶ served ── its last instance and server are gone ──▶ (nobody)
//!             reserved for a service by its file: only that service serves it, and opening it may start the service
//!
//!   instance  ── listen ──▶ listening ── a client opens ──▶ connected ── closed ──▶ gone
//!                               └──────────── stop ──────────────────────────────────▲
//! ```
//!
//! A server says how many instances listen; each takes one client. Listening and connected instances of all servers of a name are never
//! more than its maximum. A client that finds none listening is refused (231) or waits, first come, first served.

pub mod access;
pub mod alarm;
pub mod id;
mod invariants;
mod listen;
pub mod name;
mod open;
mod recover;
pub mod refusal;
pub mod request;
mod reserve;
mod said;
pub mod settings;
pub mod status;
pub(crate) mod table;
mod waiter;
