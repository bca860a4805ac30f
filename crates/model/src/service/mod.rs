//! Services: what they are (definition), how they are (state), what may be refused.
//!
//! See `docs/domains/service.md` for the words, and `machine` for the drawing of a service's life. The rules are in a
//! file each: `start`, `stop`, `ending` (failures and what follows), `speech` (sd_notify and tripwires), `request`,
//! `waiter`, `graph`, `configure`, `record`, `recover`, `session_end`.

pub mod definition;
pub mod notify;
pub mod refusal;
pub mod status;

mod configure;
mod ending;
mod graph;
pub(crate) mod invariants;
pub(crate) mod machine;
pub(crate) mod record;
mod recover;
mod request;
mod session_end;
mod speech;
mod start;
mod stop;
pub(crate) mod table;
mod waiter;
