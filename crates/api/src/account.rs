//! `io.session0.Account`: the built-in accounts.

use serde::{Deserialize, Serialize};
use zlink::introspect::Type;

use crate::error::{Fault, Refused};
use crate::interface::{errors, interface};
use crate::logon::Begun;

/// Parameters of `List`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// Parameters of `Add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Its name.
    pub account: String,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Login shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
}

/// Parameters of `Password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// Whose.
    pub account: String,
}

/// Parameters of `Disable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Disable {
    /// Whose.
    pub account: String,
}

/// Parameters of `Enable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// Whose.
    pub account: String,
}

/// Parameters of `Remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Whose.
    pub account: String,
    /// Whether its home is removed with everything in it; false if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<bool>,
}

errors! {
    interface "io.session0.Account";
    /// 5: the caller lacks the right.
    AccessDenied(Refused),
    /// 1315: this cannot be an account's name.
    InvalidName(Refused),
    /// 1450: too many are doing this.
    TooMany(Refused),
    /// 2402: its user has a session.
    InUse(Refused),
    /// 87: host.toml or a service's file names it, and could not be used without it.
    Named(Refused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// The built-in accounts. Each method begins a conversation, whose socket comes with the answer (SOCK_SEQPACKET, one JSON object
    /// a packet): prompts for passwords, which no other part of the host ever sees, and what came of it.
    interface "io.session0.Account";
    types [];
    errors Error;
    /// All built-in accounts. Administrators may.
    method "List" (List) -> Begun;
    /// A new account, its home made from the skeleton. Administrators may.
    method "Add" (Add) -> Begun;
    /// A new password. Administrators may, and everybody for himself with his old one.
    method "Password" (Password) -> Begun;
    /// No logon any more; sessions stay. Administrators may.
    method "Disable" (Disable) -> Begun;
    /// Logons again. Administrators may.
    method "Enable" (Enable) -> Begun;
    /// The account goes. Refused while it has a session, or the configuration names it. Administrators may.
    method "Remove" (Remove) -> Begun;
}
