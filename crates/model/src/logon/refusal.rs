//! Refusals about logons and accounts.

use crate::id::ServiceName;

/// Why a conversation is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 1450: too many conversations, in all or of this uid.
    TooMany,
    /// 2402: the account's user has a session.
    InUse,
    /// 87: the configuration names the account, and is good for nothing without it. Windows lets an account go that is named, and
    /// what named it fails later; it has no code for this.
    Named(NamedBy),
}

/// What names an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedBy {
    /// `[administrators]` of host.toml: the host would not start.
    Administrators,
    /// `account` of this service's file: it would be no service.
    Account(ServiceName),
    /// `control` of this service's file: the same.
    Control(ServiceName),
    /// An access list of a pipe in this service's file: the same.
    Pipe(ServiceName),
}

impl Refusal {
    /// The Win32 error code.
    pub fn code(&self) -> u32 {
        match self {
            Refusal::TooMany => 1450,
            Refusal::InUse => 2402,
            Refusal::Named(_) => 87,
        }
    }
}
