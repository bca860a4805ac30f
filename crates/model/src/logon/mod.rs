//! Logons: who may try a password how soon, and which conversations there are. What follows a right password is in
//! [`crate::session`]; see `docs/domains/logon.md` for the words.

mod delay;
pub mod name;
pub mod refusal;
pub(crate) mod table;
pub mod wire;

pub use table::{Wanted, Wish};
