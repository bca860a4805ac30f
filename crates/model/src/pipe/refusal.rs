//! Refusals about pipes, with Windows' numbers (windows-semantics 6.3).

use alloc::string::String;

use crate::id::ServiceName;

/// Why a request about a pipe is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 2: nobody serves it, and nothing starts who would.
    NoSuchPipe,
    /// 5: the access list does not let the caller, or asks for less than it wants.
    NotListed,
    /// 5: the caller is outside every session, and the pipe refuses such.
    OutsideRefused,
    /// 5: the name is reserved for this service.
    Reserved(ServiceName),
    /// 5: somebody else serves it and lets nobody else.
    Foreign,
    /// 5: it is served already, and the caller wants to be the first (FILE_FLAG_FIRST_PIPE_INSTANCE).
    NotFirst,
    /// 231: every instance is busy.
    Busy,
    /// 231: there are as many instances as there may be.
    InstancesFull,
    /// 121: no instance became free in time.
    TimedOut,
    /// 230: it does not go the way that was asked for.
    WrongDirection,
    /// 5: it is served, or declared, with another one of these.
    Differs(&'static str),
    /// 121: the service that is to serve it was started, or runs, and has not served it in time.
    NotServed(ServiceName),
    /// 1053 and others: its service could not be started, and why.
    ServiceFailed {
        /// Which.
        service: ServiceName,
        /// Windows' number of the failure.
        code: u32,
    },
    /// 1450: too many pipes or servers, for this uid or in all.
    TooManyPipes,
    /// 1450: too many clients wait for it already.
    TooManyWaiters,
    /// 87: what was asked for cannot be.
    Invalid(String),
}

impl Refusal {
    /// The Win32 error code.
    pub fn code(&self) -> u32 {
        match self {
            Refusal::NoSuchPipe => 2,
            Refusal::NotListed
            | Refusal::OutsideRefused
            | Refusal::Reserved(_)
            | Refusal::Foreign
            | Refusal::NotFirst
            | Refusal::Differs(_) => 5,
            Refusal::Busy | Refusal::InstancesFull => 231,
            Refusal::TimedOut | Refusal::NotServed(_) => 121,
            Refusal::WrongDirection => 230,
            Refusal::ServiceFailed { code, .. } => *code,
            Refusal::TooManyPipes | Refusal::TooManyWaiters => 1450,
            Refusal::Invalid(_) => 87,
        }
    }
}
