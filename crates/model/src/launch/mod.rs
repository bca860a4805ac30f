//! What an init is told to do, and the language it is told in.

pub mod exit;
pub mod plan;
pub mod session_plan;
pub mod wire;
