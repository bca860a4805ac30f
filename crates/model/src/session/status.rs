//! What is known of a session at one moment.

use alloc::boxed::Box;
use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::logon::name::AccountName;
use crate::time::Time;

/// The connect states of windows-semantics 1.3 that can occur today; the numbers are Windows'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
pub enum ConnectState {
    /// A user is logged on and a terminal is attached.
    Active = 0,
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
    /// Its name: `Services` for Session 0, `Terminal#N` while a terminal is attached, else nothing.
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
    /// Who is logged on.
    pub user: Option<Box<UserStatus>>,
}

/// Who is logged on in a session, and where from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStatus {
    /// The account.
    pub name: AccountName,
    /// Its uid.
    pub uid: u32,
    /// When it logged on.
    pub logon: Time,
    /// When a terminal was attached last.
    pub connected: Time,
    /// When the last terminal went away, while none is attached.
    pub disconnected: Option<Time>,
    /// The terminal, as the client named it.
    pub client: String,
    /// The uid of the client.
    pub client_uid: u32,
}
