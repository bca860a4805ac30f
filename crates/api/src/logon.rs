//! `io.session0.Logon`: logging on.

use serde::{Deserialize, Serialize};
use zlink::introspect::Type;

use crate::error::{Fault, Refused};
use crate::interface::{errors, interface};
use crate::session::{Terminal, Variable};

/// Parameters of `Begin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The account.
    pub account: String,
    /// The terminal the session is to be shown on.
    pub terminal: Terminal,
    /// Variables for the session's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<Variable>>,
    /// Whether another session is wanted although the account has one; false if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<bool>,
}

/// A conversation was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Begun {
    /// How many descriptors come with it: the conversation's socket (1). See [`crate::conversation`].
    pub descriptors: u32,
}

errors! {
    interface "io.session0.Logon";
    /// 5: the caller lacks the right.
    AccessDenied(Refused),
    /// 1315: this cannot be an account's name.
    InvalidName(Refused),
    /// 87: a parameter cannot be used.
    InvalidParameter(Refused),
    /// 1450: too many are logging on.
    TooMany(Refused),
    /// 21: the host is not ready yet.
    NotReady(Refused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// Logging on. No password goes through this interface: the caller is connected to a process of its own that asks for it.
    interface "io.session0.Logon";
    types [Terminal, Variable];
    errors Error;
    /// Begins a logon. Everybody may; the conversation decides. Its socket comes with the answer (SOCK_SEQPACKET, one JSON object
    /// a packet): prompts to be answered, and at the end the session with two descriptors, its terminal's master and the viewer's
    /// socket. Closing the viewer's socket is hanging up.
    method "Begin" (Begin) -> Begun;
}
