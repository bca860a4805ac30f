//! `io.session0.Host`: the host itself.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use crate::error::{Fault, Refused};
use crate::event::{Event, EventKind};
use crate::failure::{Exit, Failure, FailureKind, Usage};
use crate::interface::{Nothing, errors, interface};
use crate::service::{
    Kind, OutputLost, ServiceState, ServiceStatus, StartType, TripwireOutcome, WaitsForUser,
};
use crate::session::{ConnectState, SessionStatus};

/// Where in its life the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum HostPhase {
    /// Session 0 is being made.
    Starting,
    /// As it should be.
    Up,
    /// An ordered shutdown is under way.
    ShuttingDown,
    /// A phase this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// How many services are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, CustomType)]
pub struct ServiceCounts {
    /// Stopped.
    pub stopped: u32,
    /// Starting.
    pub start_pending: u32,
    /// Stopping.
    pub stop_pending: u32,
    /// Running.
    pub running: u32,
}

/// The host as it is now: one screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct HostStatus {
    /// Where in its life it is.
    pub phase: HostPhase,
    /// When Session 0 was first made.
    pub started_ms: i64,
    /// The sessions by number.
    pub sessions: Vec<SessionStatus>,
    /// How many services are in each state.
    pub counts: ServiceCounts,
    /// Services that want attention: failed, restarting, waiting for a user, losing output.
    pub attention: Vec<ServiceStatus>,
    /// Service files left out at the last load because of errors.
    pub configuration_errors: u32,
    /// Facilities the machine lacks and the administrator accepted to be without; empty if nothing is weaker.
    #[serde(default)]
    pub degraded: Vec<Degraded>,
}

/// A facility the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Degraded {
    /// Its name.
    pub facility: String,
    /// What is lost without it.
    pub lost: String,
}

/// A service left as it was by a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Kept {
    /// The service.
    pub name: String,
    /// Why its new file cannot be used.
    pub reason: String,
}

/// Parameters of `Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// Parameters of `Version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Version {}

/// Parameters of `Reload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Reload {}

/// Parameters of `Shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {}

/// Parameters of `Upgrade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {}

/// Parameters of `Events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Events {}

/// The answer to `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Host {
    /// The host.
    pub host: HostStatus,
}

/// The answer to `Version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct VersionInfo {
    /// The product's name.
    pub product: String,
    /// The product's version.
    pub version: String,
    /// The version of the public interface: it grows by one with every addition.
    pub interface: u32,
}

/// The answer to `Reload`: what it did, and what takes effect when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
pub struct ReloadReport {
    /// New services; automatic ones were told to start.
    pub added: Vec<String>,
    /// Services whose file is gone; a running one is removed once it is stopped.
    pub removed: Vec<String>,
    /// Changed and not running: takes effect at the next start.
    pub changed: Vec<String>,
    /// Changed and running: takes effect after a restart.
    pub need_restart: Vec<String>,
    /// Left as they were because their new file has errors, or cannot be used.
    pub kept: Vec<Kept>,
    /// Files with errors.
    pub errors: u32,
    /// Settings of host.toml that changed and are in effect.
    #[serde(default)]
    pub settings_now: Vec<String>,
    /// Settings of host.toml that changed and take effect when Session 0 is made the next time.
    #[serde(default)]
    pub settings_next_session: Vec<String>,
    /// Whether host.toml has errors, so that all settings stay as they were.
    #[serde(default)]
    pub settings_kept: bool,
}

/// An answer to `Events`. The first one has `host`, `services` and `sessions`: everything as it is after the
/// event with this sequence number. Each further one has `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct EventsReply {
    /// The event's sequence number; it grows by one with each event.
    pub sequence: u64,
    /// When it happened; of the first answer, when it was made.
    pub at_ms: i64,
    /// The host as it is now, in the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostStatus>,
    /// All services, in the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<ServiceStatus>>,
    /// All sessions, in the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<SessionStatus>>,
    /// What happened, in all further answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

errors! {
    interface "io.session0.Host";
    /// 5: the caller lacks the right, or is not who the listener is for.
    AccessDenied(Refused),
    /// 21: Session 0 is not there yet.
    NotReady(Refused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1450: too many connections are open, in all or of this user. The connection is closed.
    TooManyClients(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// The host: its status, its configuration, its end, and what happens on it.
    interface "io.session0.Host";
    types [
        HostStatus, HostPhase, ServiceCounts, Degraded, SessionStatus, ConnectState, ServiceStatus, ServiceState,
        StartType, Kind, Failure, FailureKind, Exit, Usage, WaitsForUser, TripwireOutcome, OutputLost,
        Kept, Event, EventKind,
    ];
    errors Error;
    /// One screen: sessions, services by state, services that want attention.
    method "Status" (Status) -> Host;
    /// The versions of product and interface.
    method "Version" (Version) -> VersionInfo;
    /// Reads the configuration again and says what takes effect when.
    method "Reload" (Reload) -> ReloadReport;
    /// Begins an ordered shutdown; answered when it has begun.
    method "Shutdown" (Shutdown) -> Nothing;
    /// Replaces the daemon by the program that is installed now; nothing else notices.
    method "Upgrade" (Upgrade) -> Nothing;
    /// Everything as it is now, then everything that happens. A subscriber that reads too slowly is cut off.
    /// Failed logons, broken accounts and refused identities are told to administrators only.
    /// Without `more` only the first answer is sent.
    /// [Supports 'more' flag]
    method "Events" (Events) -> EventsReply;
}
