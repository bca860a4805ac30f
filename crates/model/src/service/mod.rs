//! Services: what they are (definition), how they are (state), what may be refused.
//!
//! See `docs/domains/service.md` for the words and the drawing.

pub mod definition;
pub mod notify;
pub mod refusal;
pub mod status;
