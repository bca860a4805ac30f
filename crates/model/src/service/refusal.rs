//! Refusals: the caller's mistakes, with Windows' numbers (windows-semantics 3.12).

use crate::id::ServiceName;

/// Why a service request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 1051: services that run depend on it; these.
    DependentServicesRunning(alloc::vec::Vec<ServiceName>),
    /// 1052: this service does not take this control.
    InvalidServiceControl,
    /// 1056.
    AlreadyRunning,
    /// 1060.
    DoesNotExist,
    /// 1061: not in this state.
    CannotAcceptControl,
    /// 1062.
    NotActive,
    /// 1068: this dependency did not start.
    DependencyFailed(ServiceName),
    /// 1075: this dependency is not configured.
    DependencyMissing(ServiceName),
    /// 1059.
    CircularDependency,
    /// 1066 or 1067 or 1053 or 1070: it was started and failed; its status says how.
    StartFailed(super::status::Failure),
    /// Too many clients wait for this service already.
    TooManyWaiters,
}

impl Refusal {
    /// The Win32 error code.
    pub fn code(&self) -> u32 {
        match self {
            Refusal::DependentServicesRunning(_) => 1051,
            Refusal::InvalidServiceControl => 1052,
            Refusal::AlreadyRunning => 1056,
            Refusal::CircularDependency => 1059,
            Refusal::DoesNotExist => 1060,
            Refusal::CannotAcceptControl => 1061,
            Refusal::NotActive => 1062,
            Refusal::StartFailed(failure) => failure.code(),
            Refusal::DependencyFailed(_) => 1068,
            Refusal::DependencyMissing(_) => 1075,
            Refusal::TooManyWaiters => 1450,
        }
    }
}
