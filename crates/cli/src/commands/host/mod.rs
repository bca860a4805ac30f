//! Verbs about the host itself; they have no noun before them.

pub mod doctor;
pub mod down;
pub mod events;
pub mod reload;
pub mod status;
pub mod up;
pub mod upgrade;
pub mod version;
