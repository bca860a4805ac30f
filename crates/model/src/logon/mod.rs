//! Logons: who may try a password how soon, and what follows a right one.

pub mod name;
pub mod wire;
