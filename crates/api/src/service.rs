//! `io.session0.Service`: services.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use crate::error::{DependencyRefused, DependentsRefused, Fault, Refused, StartRefused};
use crate::failure::{Exit, Failure, FailureKind, Usage};
use crate::interface::{errors, interface};

/// A service's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum ServiceState {
    /// 1: SERVICE_STOPPED.
    Stopped,
    /// 2: SERVICE_START_PENDING.
    StartPending,
    /// 3: SERVICE_STOP_PENDING.
    StopPending,
    /// 4: SERVICE_RUNNING.
    Running,
    /// A state this reader does not know yet; its number says which it is.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// When a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum StartType {
    /// With the host.
    Auto,
    /// When asked for.
    Demand,
    /// A type this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// How a program tells that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum Kind {
    /// It is ready once it was executed.
    Simple,
    /// By sd_notify's READY=1.
    Notify,
    /// A kind this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// What came of a call that only a person could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum TripwireOutcome {
    /// The connection is held; nobody will ever answer it.
    Held,
    /// The call failed at once.
    Refused,
    /// An outcome this reader does not know yet.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// A service did what only a person could answer, and there is no person in Session 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct WaitsForUser {
    /// The call, for instance `connect /tmp/.X11-unix/X0`.
    pub call: String,
    /// When.
    pub at_ms: i64,
    /// What came of it.
    pub outcome: TripwireOutcome,
    /// What to use instead.
    pub instead: String,
}

/// Output of a service that could not be written, since the host started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, CustomType)]
pub struct OutputLost {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One service as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// One line about it, from its file.
    pub description: String,
    /// When it starts.
    pub start: StartType,
    /// How it tells that it is ready.
    pub kind: Kind,
    /// The account it runs under, as its file says.
    pub account: String,
    /// Its state.
    pub state: ServiceState,
    /// The state's number on Windows.
    pub state_number: u32,
    /// Since when it is in this state.
    pub since_ms: i64,
    /// What an administrator should know, in sentences; empty if all is well.
    #[serde(default)]
    pub attention: Vec<String>,
    /// The number of the launch that is alive or being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<u64>,
    /// Its main process, as seen in Session 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its last failure; none after it was started by hand or became ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How often it failed in a row.
    pub failures: u32,
    /// When it will be started again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at_ms: Option<i64>,
    /// How its last main process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
    /// What its last main process used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_usage: Option<Usage>,
    /// What it says about itself (sd_notify's STATUS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether it is reloading its own configuration (sd_notify's RELOADING).
    pub reloading: bool,
    /// The service it waits for before it can start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What it did that only a person could answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for_user: Option<WaitsForUser>,
    /// Output that was lost.
    pub output_lost: OutputLost,
    /// The time from its stop signal to its kill, in milliseconds.
    pub stop_wait_ms: u64,
    /// Its command line; only in answers about one service.
    #[serde(default)]
    pub command: Vec<String>,
    /// The services it depends on; only in answers about one service.
    #[serde(default)]
    pub depends: Vec<String>,
    /// The services that depend on it; only in answers about one service.
    #[serde(default)]
    pub dependents: Vec<String>,
}

/// When `Start`, `Stop` and `Restart` answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum Wait {
    /// As soon as it is begun.
    Begun,
    /// When it runs, is stopped, or has failed. This is what is meant if nothing is said.
    #[default]
    Settled,
}

/// What becomes of services that run and depend on one that is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum Dependents {
    /// The call is refused, as on Windows. This is what is meant if nothing is said.
    #[default]
    Refuse,
    /// They are stopped first.
    Stop,
}

/// Parameters of `List`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// Parameters of `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The service's name.
    pub name: String,
}

/// Parameters of `Start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The service's name.
    pub name: String,
    /// When to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

/// Parameters of `Stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The service's name.
    pub name: String,
    /// When to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// What becomes of services that depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependents: Option<Dependents>,
}

/// Parameters of `Restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// The service's name.
    pub name: String,
    /// When to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

/// Parameters of `OpenLog`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct OpenLog {
    /// The service's name.
    pub name: String,
}

/// The answer to `List`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Services {
    /// The services by name.
    pub services: Vec<ServiceStatus>,
}

/// The answer to `Status`, `Start`, `Stop` and `Restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Service {
    /// The service as it is when the call is answered.
    pub service: ServiceStatus,
}

/// The answer to `OpenLog`; the files come with it as descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LogFiles {
    /// How many descriptors come with this answer: files opened for reading, the oldest first.
    pub files: u32,
}

errors! {
    interface "io.session0.Service";
    /// 5: the caller lacks the right.
    AccessDenied(Refused),
    /// 21: Session 0 is not there yet.
    NotReady(Refused),
    /// 123: this cannot be a service's name.
    InvalidName(Refused),
    /// 1051: services that run depend on it.
    DependentServicesRunning(DependentsRefused),
    /// 1052: the service does not take this control.
    InvalidServiceControl(Refused),
    /// 1056: it runs already.
    AlreadyRunning(Refused),
    /// 1059: its dependencies go round in a circle.
    CircularDependency(Refused),
    /// 1060: there is no such service.
    NoSuchService(Refused),
    /// 1061: not in the state it is in.
    CannotAcceptControl(Refused),
    /// 1062: it does not run.
    NotActive(Refused),
    /// It was started and failed; the code is the failure's.
    StartFailed(StartRefused),
    /// 1068: a service it depends on did not start.
    DependencyFailed(DependencyRefused),
    /// 1075: a service it depends on is not configured.
    DependencyMissing(DependencyRefused),
    /// 1115: the host is shutting down.
    ShutdownInProgress(Refused),
    /// 1450: too many callers wait for this service already.
    TooManyWaiters(Refused),
    /// 1359: a fault of the host; its log has the details under this id.
    InternalError(Fault),
}

interface! {
    /// Services of Session 0: what they do, how they are, their output.
    interface "io.session0.Service";
    types [
        ServiceStatus, ServiceState, StartType, Kind, Failure, FailureKind, Exit, Usage, WaitsForUser,
        TripwireOutcome, OutputLost, Wait, Dependents,
    ];
    errors Error;
    /// All services.
    method "List" (List) -> Services;
    /// One service.
    method "Status" (Status) -> Service;
    /// Starts a service, the services it depends on first.
    method "Start" (Start) -> Service;
    /// Stops a service.
    method "Stop" (Stop) -> Service;
    /// Stops a service and starts it again; services that depend on it and run are stopped and started with it.
    method "Restart" (Restart) -> Service;
    /// Opens the files of a service's output. The descriptors come with the answer.
    method "OpenLog" (OpenLog) -> LogFiles;
}
