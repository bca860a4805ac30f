//! The host's own life: it starts or takes over, it shuts down in order, its daemon is replaced, its configuration
//! is read again.
//!
//! ```text
//!   Up ── Shutdown ──▶ services stop ──▶ our own services stop ──▶ Session 0 ends ──▶ Exit(Down)
//!                      dependents first, independent ones side by side, each within its stop_wait,
//!                      all within shutdown_wait: then Session 0 is ended with whatever is left in it
//! ```
//!
//! A shutdown under way is in the host's record: a new daemon goes on with it.

use alloc::string::ToString;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::effect::{Effect, ExitReason};
use super::input::{Configuration, Recovered};
use super::request::{
    Dependents, HostPhase, HostRequest, HostStatus, Refusal, Reply, Request, ServiceRequest,
};
use super::turn::Turn;
use super::{Phase, Reload, Shutdown, System};
use crate::access::{Caller, Right};
use crate::event::Event;
use crate::id::{RequestId, SESSION_ZERO, ServiceName, SessionId};
use crate::limit;
use crate::service;
use crate::service::definition::Owner;
use crate::service::machine::{After, Machine, Stopped};
use crate::service::status::{OutputLost, State, Status};
use crate::service::table::{Ending, Gate, Slot};
use crate::session::Isolation;
use crate::session::record::launch_last;
use crate::time::Time;

/// The key of the host's record.
const KEY: &str = "host";
/// The key of the record that says that Session 0 was made with its walls down. Not an effect stores it but who makes the
/// session, before init is told what to make: a daemon that finds it made finds this too, whenever the one before died.
pub const WALLS_DOWN: &str = "isolation";

/// What a new daemon must know of the host. The first byte of the record is the format's version.
#[derive(Debug, Default, Serialize, Deserialize)]
struct HostRecord {
    started: Time,
    session_created: Time,
    launch_reserved: u64,
    shutdown: Option<Time>,
}

impl HostRecord {
    fn read(bytes: &[u8]) -> Option<HostRecord> {
        match bytes.split_first() {
            Some((&service::record::VERSION, rest)) => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }
}

impl System {
    /// The daemon starts.
    pub(super) fn start(
        &mut self,
        turn: &mut Turn,
        configuration: Configuration,
        recovered: Option<Recovered>,
        sessions: Vec<(SessionId, Recovered)>,
        session_last: u32,
    ) {
        if !self.zero.absent() || !matches!(self.phase, Phase::Up) {
            return; // It started already.
        }
        self.take_settings(&configuration);
        let mut report = self.services.configure(turn, configuration.services, &[]);
        self.number_pipes(turn);
        self.started = turn.now;
        self.sessions.last = session_last;
        // Sessions outlive Session 0, and with it the record of reserved numbers.
        let numbers = sessions.iter().map(|(_, recovered)| launch_last(recovered));
        self.services.launch_last = numbers.max().unwrap_or(0);
        self.services.launch_reserved = self.services.launch_last;
        match recovered {
            None => self.zero.make(turn),
            Some(recovered) => self.recover(turn, recovered),
        }
        self.reserve_pipes(turn, &mut report);
        self.errors = self.errors.saturating_add(u32::try_from(report.kept.len()).unwrap_or(u32::MAX));
        for (id, recovered) in &sessions {
            self.recover_session(turn, *id, recovered);
        }
        if self.shutting_down() {
            self.end_all_sessions(turn);
        }
    }

    fn recover(&mut self, turn: &mut Turn, mut recovered: Recovered) {
        let bytes = recovered.records.iter().find(|(key, _)| key == KEY).map(|(_, bytes)| bytes);
        let record = bytes.and_then(|bytes| HostRecord::read(bytes));
        let xp = recovered.records.iter().any(|(key, _)| key == WALLS_DOWN);
        self.isolation = if xp { Isolation::Xp } else { Isolation::Vista };
        let fresh = record.is_none();
        let record = record.unwrap_or(HostRecord {
            started: turn.now,
            session_created: turn.now,
            ..HostRecord::default()
        });
        self.started = record.started;
        self.host_stored = bytes.map(|bytes| bytes.as_slice().into());
        self.zero.found(record.session_created, recovered.protocol);
        let given = launch_last(&recovered).max(record.launch_reserved);
        self.services.launch_last = self.services.launch_last.max(given);
        self.services.launch_reserved = self.services.launch_last;
        self.services.gate = Gate::Open;
        if let Some(deadline) = record.shutdown {
            self.phase = Phase::ShuttingDown(Shutdown::Services { deadline });
            self.services.gate = Gate::ShuttingDown;
        }
        self.recover_session(turn, SESSION_ZERO, &recovered);
        self.recover_pipes(turn, &recovered);
        recovered.alive.retain(|alive| crate::session::program::launch_of_unit(&alive.unit).is_none());
        self.services.recover(turn, recovered);
        self.services.settle(turn);
        if fresh {
            turn.emit(Event::HostStarted);
        }
        let [_, _, _, running] = self.services.counts();
        turn.emit(Event::DaemonRecovered { services: running });
        if self.services.gate == Gate::ShuttingDown {
            self.stop_all(turn, Owner::Administrator);
        }
    }

    /// Session 0 is made.
    pub(super) fn session_created(&mut self, turn: &mut Turn, protocol: u16) {
        if !self.zero.created(turn, protocol) {
            return;
        }
        self.services.gate = Gate::Open;
        self.services.forget_stored();
        self.host_stored = None;
        self.keep_pipes_again(turn);
        self.services.begin_all_automatic(turn);
        self.services.settle(turn);
        turn.emit(Event::HostStarted);
    }

    /// Session 0's init is gone.
    pub(super) fn session_ended(&mut self, turn: &mut Turn) {
        if !self.zero.ended(turn) {
            return;
        }
        if let Phase::ShuttingDown(_) = self.phase {
            self.note_killed(|machine| !machine.stopped());
        }
        self.services.session_ended(turn);
        self.user_session_ended(turn, SESSION_ZERO);
        match self.phase {
            Phase::Up => self.zero.make_again(turn),
            Phase::ShuttingDown(_) => self.phase = Phase::ShuttingDown(Shutdown::Session),
        }
    }

    /// An ordered shutdown begins.
    pub(super) fn shut_down(&mut self, turn: &mut Turn) {
        if matches!(self.phase, Phase::ShuttingDown(_)) {
            return;
        }
        turn.emit(Event::ShutdownBegan);
        let deadline = turn.now + self.shutdown_wait;
        self.phase = Phase::ShuttingDown(Shutdown::Services { deadline });
        self.services.gate = if self.zero.up() { Gate::ShuttingDown } else { Gate::Over };
        if !self.zero.up() {
            // Nobody is to make it while users' sessions end.
            self.zero.end(turn);
        }
        for slot in self.services.all() {
            if let Some(service) = self.services.get_mut(slot)
                && service.machine.stopped()
            {
                service.ending = Ending::InTime;
            }
        }
        self.end_all_sessions(turn);
        self.refuse_all_pipe_waiters(turn);
        self.stop_all(turn, Owner::Administrator);
        self.answer_reloads(turn, &Err(Refusal::ShutdownInProgress));
    }

    fn stop_all(&mut self, turn: &mut Turn, owner: Owner) {
        for slot in self.services.all() {
            let idle = self.services.machine(slot).is_none_or(|machine| !machine.engaged());
            if self.services.get(slot).is_some_and(|s| s.definition.owner == owner) || idle {
                self.services.stop(turn, slot, After::Stay);
                self.services.touch(slot);
            }
        }
    }

    /// Goes on with a shutdown as far as it can.
    pub(super) fn advance(&mut self, turn: &mut Turn) {
        loop {
            self.services.settle(turn);
            let Phase::ShuttingDown(step) = self.phase else { return };
            let next = match step {
                Shutdown::Services { deadline }
                    if self.all_stopped(Some(Owner::Administrator)) && self.sessions.table.is_empty() =>
                {
                    self.stop_all(turn, Owner::Builtin);
                    Shutdown::Builtins { deadline }
                }
                Shutdown::Builtins { .. } if self.all_stopped(None) => {
                    self.zero.end(turn);
                    Shutdown::Session
                }
                Shutdown::Session if self.zero.absent() && self.sessions.table.is_empty() => {
                    let killed = self.killed();
                    turn.emit(Event::ShutdownEnded { killed });
                    turn.push_last(Effect::Exit(ExitReason::Down));
                    Shutdown::Done
                }
                Shutdown::Services { .. }
                | Shutdown::Builtins { .. }
                | Shutdown::Session
                | Shutdown::Done => return,
            };
            self.phase = Phase::ShuttingDown(next);
        }
    }

    fn all_stopped(&self, owner: Option<Owner>) -> bool {
        let concerned = |other: Owner| owner.is_none_or(|owner| owner == other);
        self.services.iter().all(|service| service.machine.stopped() || !concerned(service.definition.owner))
    }

    fn note_killed(&mut self, late: impl Fn(Machine) -> bool) {
        for slot in self.services.all() {
            if let Some(service) = self.services.get_mut(slot)
                && late(service.machine)
            {
                service.ending = Ending::Killed;
            }
        }
    }

    fn killed(&self) -> Vec<ServiceName> {
        let killed = self.services.iter().filter(|service| service.ending == Ending::Killed);
        killed.map(|service| service.name().clone()).collect()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, turn: &mut Turn) {
        self.services.tick(turn);
        self.zero.tick(turn);
        self.tick_sessions(turn);
        self.tick_pipes(turn);
        match self.phase {
            Phase::ShuttingDown(Shutdown::Services { deadline } | Shutdown::Builtins { deadline })
                if deadline <= turn.now =>
            {
                self.note_killed(|machine| !machine.stopped());
                self.kill_all_sessions(turn);
                self.zero.end(turn);
                self.phase = Phase::ShuttingDown(Shutdown::Session);
            }
            Phase::Up | Phase::ShuttingDown(_) => {}
        }
    }

    /// A configuration is here: asked for or not.
    pub(super) fn loaded(&mut self, turn: &mut Turn, configuration: Configuration) {
        let (waiting, next) = match core::mem::take(&mut self.reload) {
            Reload::Idle => (Vec::new(), Vec::new()),
            Reload::Loading { waiting, next } => (waiting, next),
        };
        self.take_settings(&configuration);
        let services = u32::try_from(configuration.services.len()).unwrap_or(u32::MAX);
        let errors = configuration.errors;
        let mut report = self.services.configure(turn, configuration.services, &configuration.broken);
        self.reserve_pipes(turn, &mut report);
        report.errors = errors;
        report.settings = *configuration.settings;
        turn.emit(Event::ConfigurationLoaded { services, errors });
        for id in waiting {
            turn.reply(id, Ok(Reply::Reloaded(report.clone())));
        }
        if !next.is_empty() {
            // They asked after this reading had begun: what they mean may not be in it.
            self.reload = Reload::Loading { waiting: next, next: Vec::new() };
            turn.push(Effect::LoadConfiguration);
        }
    }

    fn take_settings(&mut self, configuration: &Configuration) {
        self.administrators = configuration.administrators.clone();
        self.shutdown_wait = configuration.shutdown_wait;
        self.sessions.policy = configuration.sessions;
        self.errors = configuration.errors;
        self.pipes.max = configuration.pipes_max.unwrap_or(limit::PIPES_MAX).min(limit::PIPES_MAX);
    }

    fn reload(&mut self, turn: &mut Turn, id: RequestId) -> Result<(), Refusal> {
        match &mut self.reload {
            Reload::Idle => {
                self.reload = Reload::Loading { waiting: alloc::vec![id], next: Vec::new() };
                turn.push(Effect::LoadConfiguration);
            }
            Reload::Loading { next, .. } if next.len() < limit::WAITERS_MAX => next.push(id),
            Reload::Loading { .. } => {
                return Err(Refusal::Service(service::refusal::Refusal::TooManyWaiters));
            }
        }
        Ok(())
    }

    fn answer_reloads(&mut self, turn: &mut Turn, result: &Result<Reply, Refusal>) {
        if let Reload::Loading { waiting, next } = &mut self.reload {
            for id in waiting.drain(..).chain(next.drain(..)) {
                turn.reply(id, result.clone());
            }
        }
    }

    /// The client of a request is gone.
    pub(super) fn abandoned(&mut self, turn: &mut Turn, id: RequestId) {
        self.services.abandon(id);
        self.abandon_in_sessions(turn, id);
        self.abandon_pipe_request(id);
        if let Reload::Loading { waiting, next } = &mut self.reload {
            waiting.retain(|other| *other != id);
            next.retain(|other| *other != id);
        }
    }

    /// A client asks.
    pub(super) fn request(&mut self, turn: &mut Turn, id: RequestId, caller: &Caller, request: Request) {
        let result = match request {
            Request::Service(request) => self.service_request(turn, id, caller, request),
            Request::Session(request) => self.session_request(turn, id, caller, request),
            Request::Logon(request) => self.logon_request(turn, caller, request),
            Request::Account(request) => self.account_request(turn, caller, request),
            Request::Host(request) => self.host_request(turn, id, caller, request),
            Request::Pipe(request) => self.pipe_request(turn, id, caller, request),
        };
        match result {
            Ok(None) => {}
            Ok(Some(reply)) => turn.reply(id, Ok(reply)),
            Err(refusal) => turn.reply(id, Err(refusal)),
        }
    }

    /// The answer, or nothing if it was arranged for.
    fn service_request(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        request: ServiceRequest,
    ) -> Result<Option<Reply>, Refusal> {
        self.may(caller, &request)?;
        let unknown = Refusal::Service(service::refusal::Refusal::DoesNotExist);
        match request {
            ServiceRequest::List => return Ok(Some(Reply::Services(self.services()))),
            ServiceRequest::Status(name) => {
                let status = self.service(&name).ok_or(unknown)?;
                return Ok(Some(Reply::Service(status.into())));
            }
            ServiceRequest::Start { name, wait } => self.services.start_asked(turn, id, &name, wait)?,
            ServiceRequest::Stop { name, wait, dependents } => {
                self.services.stop_asked(turn, id, &name, wait, dependents)?;
            }
            ServiceRequest::Restart { name, wait } => self.services.restart_asked(turn, id, &name, wait)?,
            ServiceRequest::ReadLog(name) => {
                self.services.find(&name).ok_or(unknown)?;
                return Ok(Some(Reply::Done));
            }
        }
        Ok(None)
    }

    fn may(&self, caller: &Caller, request: &ServiceRequest) -> Result<(), Refusal> {
        let control = |name| {
            let service = self.services.find(name).and_then(|slot| self.services.get(slot));
            service.map_or(Right::Host, |service| Right::Control(&service.configured().control))
        };
        let right = match request {
            ServiceRequest::List | ServiceRequest::Status(_) => Right::Query,
            // Who may control one service does not thereby stop those that depend on it.
            ServiceRequest::Stop { dependents: Dependents::Stop, .. } => Right::Host,
            ServiceRequest::Restart { name, .. } if self.has_active_dependents(name) => Right::Host,
            ServiceRequest::Start { name, .. }
            | ServiceRequest::Stop { name, .. }
            | ServiceRequest::Restart { name, .. } => control(name),
            ServiceRequest::ReadLog(name) => Right::ReadLog(name),
        };
        match self.administrators.allow(caller, right) {
            true => Ok(()),
            false => Err(Refusal::AccessDenied),
        }
    }

    fn has_active_dependents(&self, name: &ServiceName) -> bool {
        self.services.find(name).is_some_and(|slot| !self.services.dependents_active(slot).is_empty())
    }

    fn host_request(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        request: HostRequest,
    ) -> Result<Option<Reply>, Refusal> {
        let right = match request {
            HostRequest::Status => Right::Query,
            HostRequest::Reload | HostRequest::Shutdown | HostRequest::Upgrade => Right::Host,
        };
        if !self.administrators.allow(caller, right) {
            return Err(Refusal::AccessDenied);
        }
        let shutting_down = matches!(self.phase, Phase::ShuttingDown(_));
        match request {
            HostRequest::Status => Ok(Some(Reply::Host(self.host_status(turn.now)))),
            HostRequest::Shutdown => {
                self.shut_down(turn);
                Ok(Some(Reply::Done))
            }
            HostRequest::Reload | HostRequest::Upgrade if shutting_down => Err(Refusal::ShutdownInProgress),
            HostRequest::Reload => self.reload(turn, id).map(|()| None),
            HostRequest::Upgrade => {
                turn.push_last(Effect::Exit(ExitReason::Upgrade));
                Ok(Some(Reply::Done))
            }
        }
    }

    /// Has init keep the host's record, if it changed.
    pub(super) fn keep_host(&mut self, turn: &mut Turn) {
        if !self.services.gate.keeps_records() {
            return;
        }
        let record = HostRecord {
            started: self.started,
            session_created: self.zero.since(),
            launch_reserved: self.services.launch_reserved,
            shutdown: match self.phase {
                Phase::ShuttingDown(Shutdown::Services { deadline } | Shutdown::Builtins { deadline }) => {
                    Some(deadline)
                }
                // What is left of it is to end the session: at once.
                Phase::ShuttingDown(Shutdown::Session | Shutdown::Done) => Some(Time::default()),
                Phase::Up => None,
            },
        };
        let Ok(bytes) = postcard::to_extend(&record, alloc::vec![service::record::VERSION]) else { return };
        if self.host_stored.as_deref() != Some(&bytes) {
            self.host_stored = Some(bytes.clone().into_boxed_slice());
            turn.store_host(KEY.to_string(), bytes);
        }
    }

    /// Whether a caller is told everything that happens, or only what is not for administrators.
    pub fn is_administrator(&self, caller: &Caller) -> bool {
        self.administrators.include(&self.as_known_here(caller.clone()))
    }

    /// The host as it is now.
    pub fn host_status(&self, _now: Time) -> HostStatus {
        let wants_attention = |status: &Status| {
            let stopped_badly = status.state != State::Running && status.failure.is_some();
            stopped_badly
                || status.restart_at.is_some()
                || status.waits_for_user.is_some()
                || status.output_lost != OutputLost::default()
        };
        HostStatus {
            started: self.started,
            sessions: self.sessions(),
            counts: self.services.counts(),
            attention: self.services.statuses().into_iter().filter(wants_attention).collect(),
            phase: match self.phase {
                Phase::ShuttingDown(_) => HostPhase::ShuttingDown,
                Phase::Up if self.zero.up() => HostPhase::Up,
                Phase::Up => HostPhase::Starting,
            },
            configuration_errors: self.errors,
        }
    }

    /// Panics if a shutdown is undermined.
    pub(super) fn check_shutdown(&self) {
        let Phase::ShuttingDown(_) = self.phase else { return };
        assert!(self.services.gate.shutting_down(), "services may be launched while the host shuts down");
        let coming = |slot: &Slot| matches!(self.services.machine(*slot), Some(Machine::Stopped(s)) if s != Stopped::Down);
        assert!(!self.services.all().iter().any(coming), "a service is to start while the host shuts down");
    }
}
