//! Refusals about logons and accounts.

/// Why a conversation is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 5: the caller lacks the right.
    AccessDenied,
    /// 1450: too many conversations, in all or of this uid.
    TooMany,
    /// 2402: the account's user has a session.
    InUse,
}

impl Refusal {
    /// The Win32 error code.
    pub fn code(self) -> u32 {
        match self {
            Refusal::AccessDenied => 5,
            Refusal::TooMany => 1450,
            Refusal::InUse => 2402,
        }
    }
}
