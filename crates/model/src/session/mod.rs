//! Sessions: connect states, Session 0's life.

pub mod status;
pub(crate) mod zero;
