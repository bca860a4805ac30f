//! A service's life, as one value: what it is doing, with exactly the data that belongs to that.
//!
//! A service is **stopped**, **start pending**, **running** or **stop pending** (Windows' numbers 1, 2, 4 and 3).
//! A *stopped* one is down because nobody wants it or it failed for good; or it waits for the moment of its next
//! automatic start; or it is held: wanted, and started as soon as everything it depends on runs. A *start pending*
//! one waits for its dependencies, then for init's word that exec succeeded, then (kind `notify`) for its own word
//! that it is ready. A *running* one has a main process, and all its dependencies run. A *stop pending* one waits
//! for its dependents to be gone, then for its main process, which was asked or killed, then for what is left of
//! its group; what comes after is decided when the stop begins, and may be changed until it ends.
//!
//! ```text
//!                    dependencies run           exec (notify)
//!            ┌─▶ Waiting ───────────▶ Launching ───────────▶ Unready      ─ StartPending 2
//!      start │      │ a dependency        │  exec (simple)     │ READY=1
//!            │      ▼ failed              └────────┬───────────┘
//!     Down, Restart, Held  (Stopped 1)             ▼
//!            ▲                                  Running                   ─ Running 4
//!            │ nothing                             │ stop, failure, STOPPING=1, a dependency is lost
//!            │ is left                             ▼
//!            └── Sweeping ◀── Asked, Killing ◀── Dependents, Launching    ─ StopPending 3
//! ```
//!
//! Legal steps between the four: 1→2→4, 2→3→1, 2→1, 4→3→1, 4→1.

use core::time::Duration;
use serde::{Deserialize, Serialize};

use super::status::{Reloading, State};
use crate::id::LaunchId;
use crate::time::Time;

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Machine {
    /// It has no process.
    Stopped(Stopped),
    /// It was told to start and is not ready.
    StartPending(Starting),
    /// It is ready.
    Running(Running),
    /// It ends.
    StopPending(Stopping),
}

/// Why it has no process, and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stopped {
    /// Nobody wants it to run, or it failed for good.
    Down,
    /// It is started again by itself.
    Restart {
        /// When.
        at: Time,
    },
    /// It is wanted and starts when everything it depends on runs.
    Held,
}

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Starting {
    /// Its dependencies do not all run yet.
    Waiting,
    /// Init was told to launch it.
    Launching {
        /// The launch.
        launch: LaunchId,
    },
    /// exec succeeded; READY=1 is due (`notify` only).
    Unready {
        /// The launch.
        launch: LaunchId,
        /// Its main process.
        pid: i32,
        /// READY=1 must be here by then.
        deadline: Time,
    },
}

/// A main process that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The launch.
    pub launch: LaunchId,
    /// Its main process.
    pub pid: i32,
    /// When it became ready, for the failure count.
    pub ready: Time,
    /// Its watchdog, if it has one.
    pub watchdog: Option<Watchdog>,
    /// Whether it reads its configuration again.
    pub reloading: Reloading,
}

/// The longest silence allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watchdog {
    /// Between two WATCHDOG=1.
    pub interval: Duration,
    /// The next one must be here by then. Not kept: a new daemon grants a whole interval.
    #[serde(skip)]
    pub deadline: Time,
}

/// A stop under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stopping {
    /// How far it has come.
    pub step: Step,
    /// What comes when nothing is left of it.
    pub after: After,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Its launch is not answered yet; it is told to stop as soon as it is.
    Launching {
        /// The launch.
        launch: LaunchId,
        /// Killed then.
        deadline: Time,
    },
    /// It has not been told yet: services that depend on it still have processes.
    Dependents {
        /// The launch.
        launch: LaunchId,
        /// Its main process.
        pid: i32,
    },
    /// The stop signal was sent, or it said STOPPING=1 itself.
    Asked {
        /// The launch.
        launch: LaunchId,
        /// Its main process.
        pid: i32,
        /// Killed then.
        deadline: Time,
    },
    /// Its group was killed while the main process (or the launch) was still outstanding.
    Killing {
        /// The launch.
        launch: LaunchId,
        /// Its main process, if there was one.
        pid: Option<i32>,
        /// Whether init said already that the group is empty.
        group: Group,
    },
    /// Its main process is gone, the rest of its group was killed.
    Sweeping,
}

/// What is known of a killed group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Group {
    /// `GroupEmpty` is due.
    Due,
    /// It came.
    Empty,
}

/// What comes after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum After {
    /// It stays down.
    Stay,
    /// It starts again as soon as everything it depends on runs.
    Start,
    /// It starts again after this long.
    Delay(Duration),
    /// It stops by its own will: the exit status and its policy decide.
    Policy,
}

impl Machine {
    /// The state people are told.
    pub fn state(&self) -> State {
        match self {
            Machine::Stopped(_) => State::Stopped,
            Machine::StartPending(_) => State::StartPending,
            Machine::Running(_) => State::Running,
            Machine::StopPending(_) => State::StopPending,
        }
    }

    /// The launch that is alive or being made.
    pub fn launch(&self) -> Option<LaunchId> {
        match self {
            Machine::Stopped(_) | Machine::StartPending(Starting::Waiting) => None,
            Machine::StartPending(Starting::Launching { launch } | Starting::Unready { launch, .. }) => {
                Some(*launch)
            }
            Machine::Running(running) => Some(running.launch),
            Machine::StopPending(stopping) => stopping.step.launch(),
        }
    }

    /// Its main process, once there is one.
    pub fn pid(&self) -> Option<i32> {
        match self {
            Machine::Stopped(_) | Machine::StartPending(Starting::Waiting | Starting::Launching { .. }) => {
                None
            }
            Machine::StartPending(Starting::Unready { pid, .. }) => Some(*pid),
            Machine::Running(running) => Some(running.pid),
            Machine::StopPending(stopping) => stopping.step.pid(),
        }
    }

    /// Another process is its main process now.
    pub fn set_pid(&mut self, main: i32) {
        match self {
            Machine::Stopped(_) | Machine::StartPending(Starting::Waiting | Starting::Launching { .. }) => {}
            Machine::StartPending(Starting::Unready { pid, .. }) => *pid = main,
            Machine::Running(running) => running.pid = main,
            Machine::StopPending(stopping) => match &mut stopping.step {
                Step::Launching { .. } | Step::Killing { .. } | Step::Sweeping => {}
                Step::Dependents { pid, .. } | Step::Asked { pid, .. } => *pid = main,
            },
        }
    }

    /// Whether it has, or may have, processes.
    pub fn engaged(&self) -> bool {
        !matches!(self, Machine::Stopped(_) | Machine::StartPending(Starting::Waiting))
    }

    /// Whether it is ready.
    pub fn running(&self) -> bool {
        matches!(self, Machine::Running(_))
    }

    /// Whether it has no process and is not about to get one.
    pub fn stopped(&self) -> bool {
        matches!(self, Machine::Stopped(_))
    }

    /// When something must be done about it.
    pub fn deadline(&self) -> Option<Time> {
        match self {
            Machine::Stopped(Stopped::Down | Stopped::Held) => None,
            Machine::Stopped(Stopped::Restart { at }) => Some(*at),
            Machine::StartPending(Starting::Waiting | Starting::Launching { .. }) => None,
            Machine::StartPending(Starting::Unready { deadline, .. }) => Some(*deadline),
            Machine::Running(running) => running.watchdog.map(|watchdog| watchdog.deadline),
            Machine::StopPending(stopping) => match stopping.step {
                Step::Launching { deadline, .. } | Step::Asked { deadline, .. } => Some(deadline),
                Step::Dependents { .. } | Step::Killing { .. } | Step::Sweeping => None,
            },
        }
    }
}

impl Step {
    /// The launch whose end is outstanding.
    pub fn launch(&self) -> Option<LaunchId> {
        match self {
            Step::Launching { launch, .. }
            | Step::Dependents { launch, .. }
            | Step::Asked { launch, .. }
            | Step::Killing { launch, .. } => Some(*launch),
            Step::Sweeping => None,
        }
    }

    /// Its main process.
    pub fn pid(&self) -> Option<i32> {
        match self {
            Step::Launching { .. } | Step::Sweeping => None,
            Step::Dependents { pid, .. } | Step::Asked { pid, .. } => Some(*pid),
            Step::Killing { pid, .. } => *pid,
        }
    }
}
