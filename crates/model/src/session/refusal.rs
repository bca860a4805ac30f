//! Refusals about sessions, with Windows' numbers (windows-semantics 1.12).

use crate::launch::exit::LaunchFailure;

/// Why a request about a session is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 7022: there is no such session.
    NoSuchSession,
    /// 1008: no user is logged on in it: it is Session 0, or just being made.
    NoUser,
    /// 7007: it is ending.
    Ending,
    /// 1053 in Windows' words: the program was not started, and this is why.
    LaunchFailed(LaunchFailure),
    /// 1450: it has as many programs as it may have.
    TooManyPrograms,
    /// 1450: too many callers wait for its end already.
    TooManyWaiters,
}

impl Refusal {
    /// The Win32 error code.
    pub fn code(self) -> u32 {
        match self {
            Refusal::NoSuchSession => 7022,
            Refusal::NoUser => 1008,
            Refusal::Ending => 7007,
            Refusal::LaunchFailed(_) => 1053,
            Refusal::TooManyPrograms | Refusal::TooManyWaiters => 1450,
        }
    }
}
