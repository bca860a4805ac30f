//! `io.session0.Session`: sessions.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use crate::error::{Fault, Refused};
use crate::interface::{errors, interface};

/// A session's connect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum ConnectState {
    /// 4: a user is logged on, or it is Session 0; no terminal is attached.
    Disconnected,
    /// 8: it is ending or could not be made.
    Down,
    /// 9: it is being made.
    Init,
    /// A state this reader does not know yet; its number says which it is.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// One session as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct SessionStatus {
    /// Its number.
    pub id: u32,
    /// Its name; `Services` for Session 0.
    pub name: String,
    /// Its connect state.
    pub state: ConnectState,
    /// The connect state's number on Windows.
    pub state_number: u32,
    /// When its init was started.
    pub created_ms: i64,
    /// The protocol its init speaks, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u16>,
    /// Programs started in it and alive.
    pub programs: u32,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Parameters of `List`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// The answer to `List`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Sessions {
    /// The sessions by number.
    pub sessions: Vec<SessionStatus>,
}

errors! {
    interface "io.session0.Session";
    /// 5: the caller lacks the right.
    AccessDenied(Refused),
    /// 21: Session 0 is not there yet.
    NotReady(Refused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// Sessions. Session 0 is the session of the services: it exists first and always.
    interface "io.session0.Session";
    types [SessionStatus, ConnectState];
    errors Error;
    /// All sessions.
    method "List" (List) -> Sessions;
}
