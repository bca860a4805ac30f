//! Events: what happened, in the order it happened.

use serde::{Deserialize, Serialize};
use zlink::introspect::CustomType;

use crate::failure::Failure;
use crate::service::{OutputLost, ServiceState};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub enum EventKind {
    /// The host is up: Session 0 exists and its automatic services were told to start.
    HostStarted,
    /// A new daemon took over what the one before left. `services` were found running.
    DaemonRecovered,
    /// An ordered shutdown began.
    ShutdownBegan,
    /// An ordered shutdown ended; the services in `names` had to be killed.
    ShutdownEnded,
    /// `session` was made.
    SessionCreated,
    /// `session` could not be made, because of `reason`.
    SessionFailed,
    /// `session` ended; `reason` says why.
    SessionEnded,
    /// `service` entered `state`.
    ServiceState,
    /// `service` failed: `failure`, the `count`th time in a row; started again after `restart_ms`, if that is there.
    ServiceFailed,
    /// `service` did `call`, which only a person could answer.
    ServiceWaitsForUser,
    /// Output of `service` was lost; `lost` is the total since the host started.
    OutputLost,
    /// `service` did not stop in its time and was killed.
    ServiceKilled,
    /// The configuration was read again: `services` are in it, `errors` files were left out.
    ConfigurationLoaded,
    /// `account` logged on in `session`, which was made for it.
    SessionLogon,
    /// `account` logged off from `session`; `reason` says why.
    SessionLogoff,
    /// A terminal was attached to `session`: at logon, when its user came back, or when he went on elsewhere.
    SessionConnected,
    /// The terminal of `session` went away, and the session runs on.
    SessionDisconnected,
    /// A logon as `account` by a program of `uid` failed because of `reason`.
    LogonFailed,
    /// The built-in account `account` was changed; `reason` says how.
    AccountChanged,
    /// The built-in accounts cannot be used because of `reason`: nobody can log on with one.
    AccountsBroken,
    /// A call of `uid` was refused because its control group is not that of the listener's `session`.
    IdentityRefused,
    /// A program of `uid` in `session` may not serve `pipe` because of `reason`: the name is another's.
    PipeRefused,
    /// An event this reader does not know yet; its text says what it is.
    #[serde(other)]
    #[zlink(skip)]
    Unknown,
}

/// Something that happened. Which of the optional fields are there depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The event in a sentence.
    pub text: String,
    /// Windows' number: of the event log for services (7036 ...), of WTS for sessions (10, 11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
    /// The state entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ServiceState>,
    /// The failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Failures in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The delay to the next start in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_ms: Option<u64>,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Output lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<OutputLost>,
    /// Services by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// A number of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,
    /// A number of files with errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<u32>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The caller's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The pipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe: Option<String>,
}
