//! Sessions: connect states, Session 0's life, users' sessions and the programs in them.
//!
//! See `docs/domains/session.md` for the words, and `user` for the drawing of a user session's life. The rules are in a file each:
//! `zero`, `user` (the life), `program` (shells and what is started beside them), `arrive` (from a right password to a shell on
//! the terminal), `depart` (log off, hang up, take over), `request`, `record`, `recover`.

mod arrive;
mod depart;
pub mod program;
pub(crate) mod record;
mod recover;
pub mod refusal;
mod request;
pub mod status;
pub(crate) mod table;
pub(crate) mod user;
pub(crate) mod zero;

pub use depart::Happened;
pub use record::KEY as RECORD;
pub use table::{HangUp, Isolation, Policy};
