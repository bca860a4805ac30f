//! The core: one state, one function.
//!
//! A call of [`System::handle`] has two phases. First the input is taken and propagated until nothing moves: a crash stops
//! what depends on it, an end frees what waited for it, an ordered shutdown goes one step on. Then everything that has to
//! be done is returned in order: records first, then what was decided, then answers, then what ends the daemon.

mod effect;
mod host;
mod input;
mod request;
pub(crate) mod turn;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::access::Administrators;
use crate::id::{LaunchId, RequestId, SESSION_ZERO, ServiceName, SessionId, ViewerId};
use crate::logon::table::Logons;
use crate::pipe::table::Pipes;
use crate::service::definition::Definition;
use crate::service::status::Status;
use crate::service::table::Services;
use crate::session::Isolation;
use crate::session::program::Part;
use crate::session::status::SessionStatus;
use crate::session::table::Sessions;
use crate::session::zero::SessionZero;
use crate::time::Time;

pub use effect::{Effect, ExitReason};
pub use host::WALLS_DOWN;
pub use input::{Alive, Configuration, Input, Recovered, UnackedExit};
pub use request::{
    AccountRequest, Dependents, HostPhase, HostRequest, HostStatus, LogonRequest, Refusal, ReloadReport,
    Reply, Request, ServiceRequest, SessionRequest, SettingsFile, SettingsReport, Wait,
};
use turn::Turn;

/// Everything the daemon knows, and every rule.
#[derive(Debug, Clone, Default)]
pub struct System {
    pub(crate) services: Services,
    pub(crate) zero: SessionZero,
    pub(crate) sessions: Sessions,
    pub(crate) logons: Logons,
    pub(crate) pipes: Pipes,
    /// What Session 0 was made as, or is being made as: what host.toml says now is for the next one.
    pub(crate) isolation: Isolation,
    phase: Phase,
    reload: Reload,
    pub(crate) administrators: Administrators,
    shutdown_wait: Duration,
    /// Service files left out at the last load.
    errors: u32,
    /// When the host, not this daemon, started.
    started: Time,
    /// The host's record as init has it.
    host_stored: Option<Box<[u8]>>,
}

/// Whether the host is to be up.
#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    /// It is.
    #[default]
    Up,
    /// It goes down in order.
    ShuttingDown(Shutdown),
}

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy)]
enum Shutdown {
    /// The administrator's services stop.
    Services { deadline: Time },
    /// Ours stop.
    Builtins { deadline: Time },
    /// Session 0 ends.
    Session,
    /// The daemon was told to end.
    Done,
}

/// Whether the configuration is being read.
#[derive(Debug, Clone, Default)]
enum Reload {
    /// It is not.
    #[default]
    Idle,
    /// It is, for some clients; others asked since, for whom it is read once more.
    Loading { waiting: Vec<RequestId>, next: Vec<RequestId> },
}

impl System {
    /// A system to which nothing happened yet; the first input is [`Input::Start`].
    pub fn new() -> System {
        System::default()
    }

    /// Something happened at `now`; says what must be done, in order. Never fails, never blocks.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Effect> {
        let mut turn = Turn::new(now);
        let made_before = self.zero.making();
        self.take(&mut turn, input);
        if self.zero.making() && !made_before {
            self.isolation = self.sessions.policy.isolation;
        }
        self.advance(&mut turn);
        while self.look_called(&mut turn) {
            self.advance(&mut turn);
        }
        self.services.close(&mut turn);
        self.keep_sessions(&mut turn);
        self.keep_host(&mut turn);
        turn.into_effects()
    }

    fn take(&mut self, turn: &mut Turn, input: Input) {
        match input {
            Input::Tick => self.tick(turn),
            Input::Start { configuration, recovered, sessions, session_last } => {
                self.start(turn, configuration, recovered, sessions, session_last);
            }
            Input::Request { id, caller, request } => {
                let caller = self.as_known_here(caller);
                self.request(turn, id, &caller, request);
            }
            Input::Abandoned(id) => self.abandoned(turn, id),
            Input::Loaded(configuration) => self.loaded(turn, configuration),
            Input::SessionCreated { session, protocol } if session == SESSION_ZERO => {
                self.session_created(turn, protocol);
            }
            Input::SessionFailed { session, reason } if session == SESSION_ZERO => {
                self.zero.failed(turn, reason)
            }
            Input::SessionEnded(session) if session == SESSION_ZERO => self.session_ended(turn),
            Input::SessionCreated { session, protocol } => self.user_session_created(turn, session, protocol),
            Input::SessionFailed { session, reason } => self.user_session_failed(turn, session, &reason),
            Input::SessionEnded(session) => self.user_session_ended(turn, session),
            Input::Program { session, launch, happened } => {
                self.program_happened(turn, session, launch, happened);
            }
            Input::ViewerGone(viewer) => self.viewer_gone(turn, viewer),
            Input::LogonSaid { logon, said } => self.logon_said(turn, logon, said),
            Input::LogonGone(logon) => self.logon_gone(turn, logon),
            Input::Launched { launch, pid } => self.services.launched(turn, launch, pid),
            Input::LaunchFailed { launch, failure } => self.services.launch_failed(turn, launch, failure),
            Input::Exited { launch, status, remains, usage } => {
                self.services.exited(turn, launch, status, remains, usage);
            }
            Input::GroupEmpty { service } => self.services.group_empty(turn, &service),
            Input::Notified { service, sender, notifications } => {
                self.services.notified(turn, &service, sender, &notifications);
            }
            Input::Tripwire { service, call, outcome } => {
                self.services.tripped(turn, &service, &call, outcome)
            }
            Input::TripwireLeft { service } => self.services.tripwire_left(&service),
            Input::OutputLost { service, lost } => self.services.output_lost(turn, &service, lost),
            Input::PipeSaid { server, said } => self.pipe_said(turn, server, said),
            Input::PipeServerGone(server) => self.pipe_server_gone(turn, server),
            Input::PipeLost { server, instance } => self.pipe_lost(turn, server, instance),
            Input::Shutdown => self.shut_down(turn),
        }
    }

    /// When to call again with [`Input::Tick`] if nothing else happens.
    pub fn deadline(&self) -> Option<Time> {
        let service = self.services.deadlines.first().map(|(time, _)| *time);
        let shutdown = match self.phase {
            Phase::ShuttingDown(Shutdown::Services { deadline } | Shutdown::Builtins { deadline }) => {
                Some(deadline)
            }
            Phase::Up | Phase::ShuttingDown(Shutdown::Session | Shutdown::Done) => None,
        };
        let pipes = self.pipes.deadlines.first().map(|(time, _)| *time);
        let users = [self.sessions.deadline(), self.logons.deadline(), pipes];
        [service, shutdown, self.zero.deadline()].into_iter().chain(users).flatten().min()
    }

    /// Panics if the state is impossible. Called after every step in tests and simulation.
    pub fn check_invariants(&self) {
        self.services.check_invariants();
        self.sessions.check_invariants();
        self.logons.check_invariants();
        self.pipes.check_invariants();
        self.check_shutdown();
        if self.services.gate == crate::service::table::Gate::Open {
            assert!(self.zero.up(), "services may be launched without a session");
        }
    }

    /// One service as it is now.
    pub fn service(&self, name: &ServiceName) -> Option<Status> {
        self.services.status(self.services.find(name)?)
    }

    /// One service's definition: the one in use, which is also the one to launch it by.
    pub fn definition(&self, name: &ServiceName) -> Option<&Definition> {
        Some(&*self.services.get(self.services.find(name)?)?.definition)
    }

    /// All definitions in use, by name.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.services.iter().map(|service| &*service.definition)
    }

    /// All services, by name.
    pub fn services(&self) -> Vec<Status> {
        self.services.statuses()
    }

    /// Names of the services that depend on this one directly, by the definitions in use.
    pub fn dependents(&self, name: &ServiceName) -> Vec<ServiceName> {
        let service = self.services.find(name).and_then(|slot| self.services.get(slot));
        let dependents = service.map(|service| service.dependents.as_slice()).unwrap_or_default();
        dependents
            .iter()
            .filter_map(|slot| self.services.get(*slot))
            .map(|other| other.name().clone())
            .collect()
    }

    /// All sessions, by number.
    pub fn sessions(&self) -> Vec<SessionStatus> {
        let mut all: Vec<SessionStatus> = self.session_zero().into_iter().collect();
        all.extend(self.sessions.statuses());
        all
    }

    /// Session 0 as it is now, if it is there.
    pub(crate) fn session_zero(&self) -> Option<SessionStatus> {
        let mut zero = self.zero.status(u32::try_from(self.services.launches.len()).unwrap_or(u32::MAX))?;
        self.sessions.add_to_zero(&mut zero);
        Some(zero)
    }

    /// The account of a session's user, if this is his uid.
    pub fn account_of(&self, session: SessionId, uid: u32) -> Option<&str> {
        let session = self.sessions.table.get(&session).filter(|session| session.user.uid == uid)?;
        Some(session.user.name.as_str())
    }

    /// Whether a launch is a user's program, not a service.
    pub fn is_program(&self, launch: LaunchId) -> bool {
        self.sessions.programs.contains_key(&launch)
    }

    /// The viewers there should be, and their sessions.
    pub fn viewers(&self) -> Vec<(SessionId, ViewerId)> {
        let shells = self.sessions.table.iter().filter_map(|(id, session)| Some((*id, session.viewer()?)));
        let beside = self.sessions.programs.values().filter_map(|program| match program.part {
            Part::Beside(ends) => Some((program.session, ends.viewer?)),
            Part::Shell => None,
        });
        shells.chain(beside).collect()
    }

    /// What Session 0 was made as.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Whether the host goes down.
    pub(crate) fn shutting_down(&self) -> bool {
        matches!(self.phase, Phase::ShuttingDown(_))
    }

    /// The launch of a service that is alive or being made, and its main process once there is one.
    pub fn launch_of(&self, name: &ServiceName) -> Option<(LaunchId, Option<i32>)> {
        let machine = self.services.machine(self.services.find(name)?)?;
        Some((machine.launch()?, machine.pid()))
    }

    /// Whose launch this is, while it is alive or being made.
    pub fn service_of_launch(&self, launch: LaunchId) -> Option<&ServiceName> {
        let slot = self.services.launches.get(&launch)?;
        self.services.get(*slot).map(|service| service.name())
    }
}
