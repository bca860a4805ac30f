//! What is known of a session at one moment.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::time::Time;

/// The connect states of windows-semantics 1.3 that can occur today; the numbers are Windows'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
pub enum ConnectState {
    /// A user is logged on, or it is Session 0; no terminal is attached.
    Disconnected = 4,
    /// It is ending or could not be made.
    Down = 8,
    /// It is being made.
    Init = 9,
}

impl ConnectState {
    /// Windows' number.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// One session as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its number.
    pub id: SessionId,
    /// Its window station's name; `Services` for Session 0.
    pub name: String,
    /// Its connect state.
    pub state: ConnectState,
    /// When its init was started.
    pub created: Time,
    /// The protocol its init speaks.
    pub protocol: Option<u16>,
    /// Programs launched and alive.
    pub programs: u32,
    /// Why it is Down.
    pub trouble: Option<String>,
}
