//! Clients that wait for an instance, first come, first served. Each gets exactly one answer, whatever happens to the pipe.
//!
//! ```text
//!   Open, Wait ──▶ waits ── one listens ──▶ PipeOpened (Open takes it), Done (Wait leaves it)
//!                    ├── deadline ──▶ TimedOut
//!                    ├── the last server goes ──▶ NoSuchPipe, unless opening the pipe starts its service
//!                    ├── that service stops or fails ──▶ ServiceFailed
//!                    └── shutdown ──▶ ShutdownInProgress
//! ```
//!
//! Who does not want to wait (231 at once) waits nevertheless where nobody can say yet whether an instance is free: until the service
//! serves its pipe, or until a server has said to a new daemon what it has.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::listen::no;
use super::name::PipeName;
use super::refusal::Refusal;
use super::settings::{Access, Impersonation};
use super::table::{Count, Due, Pipes};
use crate::access::Caller;
use crate::id::{RequestId, ServiceName};
use crate::service::machine::{After, Machine, Stopped, Stopping};
use crate::service::table::{Gate, Slot};
use crate::system::turn::Turn;
use crate::system::{self, Effect, System};
use crate::time::Time;

/// A place in a pipe's queue: who came later has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub u64);

/// One client's wait.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    /// Its request.
    pub id: RequestId,
    /// Who.
    pub caller: Caller,
    /// What for.
    pub want: Want,
    /// Whether it waits for an instance, or only to know.
    pub patience: Patience,
    /// It waits no longer.
    pub deadline: Time,
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// An instance.
    Open {
        /// What for.
        access: Option<Access>,
        /// What the server may do with its identity.
        impersonation: Impersonation,
    },
    /// To know that one is free.
    Free,
}

/// What a client does when every instance is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It waits.
    Some,
    /// It goes.
    None,
}

/// A service that is to serve what somebody waits for.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    /// How far it is.
    pub step: Step,
    /// Its pipes that somebody waits for.
    pub pipes: BTreeSet<PipeName>,
}

/// How far a called service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It still stops, and is started when it has.
    Stopping,
    /// It, or what it needs, starts again by itself: no client shortens the pause after a failure.
    Pausing,
    /// It was started, or runs.
    Started,
}

impl Want {
    /// What a client is told that does not wait.
    pub fn none_free(self) -> Refusal {
        match self {
            Want::Open { .. } => Refusal::Busy,
            Want::Free => Refusal::TimedOut,
        }
    }
}

impl Pipes {
    /// A client waits from now on.
    pub fn add_waiter(&mut self, name: &PipeName, waiter: Waiter) {
        let place = Place(self.next());
        let Some(pipe) = self.table.get_mut(name) else { return };
        self.requests.insert(waiter.id, (pipe.name.clone(), place));
        self.deadlines.insert((waiter.deadline, Due::Answer(waiter.id)));
        pipe.hasty |= waiter.patience == Patience::None;
        pipe.waiters.insert(place, waiter);
    }

    /// A client waits no longer.
    pub fn take_waiter(&mut self, id: RequestId) -> Option<(PipeName, Waiter)> {
        let (name, place) = self.requests.remove(&id)?;
        let pipe = self.table.get_mut(&name)?;
        let waiter = pipe.waiters.remove(&place)?;
        self.deadlines.remove(&(waiter.deadline, Due::Answer(id)));
        if pipe.waiters.is_empty() {
            pipe.hasty = false;
            self.uncall(&name);
        }
        Some((name, waiter))
    }

    /// Nobody waits any more for this pipe's service.
    pub fn uncall(&mut self, name: &PipeName) {
        let service = self.table.get(name).and_then(|pipe| Some(pipe.reserved.as_ref()?.service.clone()));
        let Some(service) = service else { return };
        if let Some(called) = self.called.get_mut(&service) {
            called.pipes.remove(name);
            if called.pipes.is_empty() {
                self.called.remove(&service);
            }
        }
    }

    /// Whether this pipe's service was called for it.
    fn is_called(&self, name: &PipeName) -> bool {
        let reserved = self.table.get(name).and_then(|pipe| pipe.reserved.as_ref());
        let called = reserved.and_then(|reserved| self.called.get(&reserved.service));
        called.is_some_and(|called| called.pipes.contains(name))
    }

    fn first_waiter(&self, name: &PipeName) -> Option<RequestId> {
        self.table.get(name)?.waiters.first_key_value().map(|(_, waiter)| waiter.id)
    }
}

impl System {
    /// After a change of a pipe: who waits is served or told why not, its socket comes or goes, and with the last that kept it the name.
    pub(super) fn settle_pipe(&mut self, turn: &mut Turn, name: &PipeName) {
        self.serve_waiters(turn, name);
        let Some(pipe) = self.pipes.table.get(name) else { return };
        let (waits, served, starts) = (!pipe.waiters.is_empty(), pipe.served(), pipe.starts().is_some());
        if served {
            self.pipes.uncall(name);
            self.dismiss_hasty(turn, name);
        } else if waits && !starts {
            self.refuse_waiters(turn, name, &no(Refusal::NoSuchPipe));
        } else if waits
            && !self.pipes.is_called(name)
            && let Err(refusal) = self.call_service(turn, name)
        {
            self.refuse_waiters(turn, name, &refusal);
        }
        self.bind_pipe(turn, name);
        if self.pipes.table.get(name).is_some_and(|pipe| !pipe.served() && pipe.reserved.is_none()) {
            self.pipes.table.remove(name);
        }
    }

    fn serve_waiters(&mut self, turn: &mut Turn, name: &PipeName) {
        while self.pipes.table.get(name).is_some_and(|pipe| pipe.listening > 0)
            && let Some(id) = self.pipes.first_waiter(name)
            && let Some((_, waiter)) = self.pipes.take_waiter(id)
        {
            // What it is may have changed since the client came.
            let entitled = match self.pipes.table.get(name) {
                Some(pipe) => self.entitled(pipe, &waiter.caller, waiter.want),
                None => Err(Refusal::NoSuchPipe),
            };
            match entitled {
                Ok(access) => {
                    if let Some(reply) = self.satisfy(turn, &waiter.caller, name, waiter.want, access) {
                        turn.reply(id, Ok(reply));
                    }
                }
                Err(refusal) => self.refuse(turn, name, id, no(refusal)),
            }
        }
    }

    /// It is known that none listens: who does not want to wait for one goes.
    fn dismiss_hasty(&mut self, turn: &mut Turn, name: &PipeName) {
        let Some(pipe) = self.pipes.table.get_mut(name).filter(|pipe| pipe.hasty && pipe.settled()) else {
            return;
        };
        pipe.hasty = false;
        let hasty = pipe.waiters.values().filter(|waiter| waiter.patience == Patience::None);
        for (id, want) in hasty.map(|waiter| (waiter.id, waiter.want)).collect::<Vec<_>>() {
            self.pipes.take_waiter(id);
            self.refuse(turn, name, id, no(want.none_free()));
        }
    }

    fn refuse_waiters(&mut self, turn: &mut Turn, name: &PipeName, refusal: &system::Refusal) {
        while let Some(id) = self.pipes.first_waiter(name) {
            self.pipes.take_waiter(id);
            self.refuse(turn, name, id, refusal.clone());
        }
    }

    fn refuse(&mut self, turn: &mut Turn, name: &PipeName, id: RequestId, refusal: system::Refusal) {
        if let Some(pipe) = self.pipes.table.get_mut(name) {
            pipe.refused += 1;
        }
        turn.reply(id, Err(refusal));
    }

    /// The host goes down: nobody waits any longer.
    pub(crate) fn refuse_all_pipe_waiters(&mut self, turn: &mut Turn) {
        while let Some(id) = self.pipes.requests.keys().next().copied() {
            let Some((name, _)) = self.pipes.take_waiter(id) else { return };
            self.refuse(turn, &name, id, system::Refusal::ShutdownInProgress);
        }
    }

    /// The client of a request is gone.
    pub(crate) fn abandon_pipe_request(&mut self, id: RequestId) {
        self.pipes.take_waiter(id);
    }

    /// Does what is due.
    pub(crate) fn tick_pipes(&mut self, turn: &mut Turn) {
        while let Some((time, due)) = self.pipes.deadlines.first().copied()
            && time <= turn.now
        {
            self.pipes.deadlines.pop_first();
            match due {
                Due::Answer(id) => {
                    if let Some((name, _)) = self.pipes.take_waiter(id) {
                        let refusal = self.late(&name);
                        self.refuse(turn, &name, id, no(refusal));
                    }
                }
                Due::Count(server) => {
                    self.pipes.change(server, |server| server.count = Count::Overdue);
                    let name = self.pipes.servers.get(&server).map(|server| server.pipe.clone());
                    if let Some(name) = name {
                        self.settle_pipe(turn, &name);
                    }
                }
            }
        }
    }

    /// Why a client has waited in vain.
    fn late(&self, name: &PipeName) -> Refusal {
        let pipe = self.pipes.table.get(name).filter(|pipe| !pipe.served());
        let service = pipe.and_then(|pipe| pipe.starts()).map(|reserved| reserved.service.clone());
        service.map_or(Refusal::TimedOut, Refusal::NotServed)
    }

    /// A socket in every session for a name that is served, or whose opening starts a service.
    pub(super) fn bind_pipe(&mut self, turn: &mut Turn, name: &PipeName) {
        let up = self.zero.up();
        let Some(pipe) = self.pipes.table.get_mut(name) else { return };
        let starts = pipe.starts().is_some() && (up || pipe.bound);
        let wanted = (pipe.served() || starts) && pipe.name.socket_name().is_some();
        if core::mem::replace(&mut pipe.bound, wanted) != wanted {
            let name = pipe.name.clone();
            turn.push(if wanted { Effect::BindPipe(name) } else { Effect::UnbindPipe(name) });
        }
    }

    /// Sees to it that the service comes that serves a pipe which nobody serves.
    pub(super) fn call_service(&mut self, turn: &mut Turn, name: &PipeName) -> Result<(), system::Refusal> {
        let pipe = self.pipes.table.get(name).and_then(|pipe| Some((pipe.name.clone(), pipe.starts()?)));
        let (name, reserved) = pipe.ok_or(no(Refusal::NoSuchPipe))?;
        let service = reserved.service.clone();
        if !self.pipes.called.contains_key(&service) {
            let step = self.start_called(turn, &service)?;
            self.pipes.called.insert(service.clone(), Called { step, pipes: BTreeSet::new() });
        }
        if let Some(called) = self.pipes.called.get_mut(&service) {
            called.pipes.insert(name);
        }
        Ok(())
    }

    fn start_called(&mut self, turn: &mut Turn, service: &ServiceName) -> Result<Step, system::Refusal> {
        match self.services.gate {
            Gate::Open => {}
            Gate::Closed => return Err(system::Refusal::NotReady),
            Gate::ShuttingDown | Gate::Over => return Err(system::Refusal::ShutdownInProgress),
        }
        let slot = self.services.find(service).ok_or(no(Refusal::NoSuchPipe))?;
        match self.services.machine(slot) {
            Some(Machine::StartPending(_) | Machine::Running(_)) => Ok(Step::Started),
            Some(Machine::StopPending(Stopping { after: After::Stay | After::Policy, .. })) => {
                Ok(Step::Stopping)
            }
            Some(Machine::StopPending(_) | Machine::Stopped(Stopped::Restart { .. })) => Ok(Step::Pausing),
            Some(Machine::Stopped(Stopped::Held)) if self.held_by_a_pause(slot) => Ok(Step::Pausing),
            Some(Machine::Stopped(Stopped::Down | Stopped::Held)) | None => {
                if let Some(refusal) = self.services.start_refused(slot) {
                    let (service, code) = (service.clone(), refusal.code());
                    return Err(no(Refusal::ServiceFailed { service, code }));
                }
                self.services.begin(turn, slot);
                Ok(Step::Started)
            }
        }
    }

    /// Whether it waits for another that starts again by itself.
    fn held_by_a_pause(&self, slot: Slot) -> bool {
        let lacks = self.services.dependency_not_running(slot);
        let machine = lacks.and_then(|other| self.services.machine(other));
        matches!(machine, Some(Machine::Stopped(Stopped::Restart { .. } | Stopped::Held)))
    }

    /// Looks at services that were called and changed in this turn. Says whether one was told to start.
    pub(crate) fn look_called(&mut self, turn: &mut Turn) -> bool {
        let changed: Vec<ServiceName> = match self.pipes.called.is_empty() {
            true => return false,
            false => {
                let services = self.services.touched.iter().filter_map(|slot| self.services.get(*slot));
                services.map(|service| service.name().clone()).collect()
            }
        };
        let mut started = false;
        for service in changed {
            let Some(called) = self.pipes.called.get(&service) else { continue };
            started |= self.look_at_called(turn, &service, called.step);
        }
        started
    }

    fn look_at_called(&mut self, turn: &mut Turn, service: &ServiceName, step: Step) -> bool {
        let machine = self.services.find(service).and_then(|slot| self.services.machine(slot));
        let next = match (step, machine) {
            (Step::Stopping, Some(Machine::Stopped(Stopped::Down))) => {
                match self.start_called(turn, service) {
                    Ok(step) => {
                        self.step_called(service, step);
                        return true;
                    }
                    Err(refusal) => return self.fail_called(turn, service, &refusal),
                }
            }
            (Step::Stopping | Step::Pausing, Some(Machine::StopPending(_))) => step,
            (
                Step::Stopping | Step::Pausing,
                Some(Machine::Stopped(Stopped::Restart { .. } | Stopped::Held)),
            ) => Step::Pausing,
            (_, Some(Machine::StartPending(_) | Machine::Running(_) | Machine::StopPending(_))) => {
                Step::Started
            }
            (Step::Pausing | Step::Started, Some(Machine::Stopped(_))) | (_, None) => {
                let code = self.failure_code(service);
                let refusal = no(Refusal::ServiceFailed { service: service.clone(), code });
                return self.fail_called(turn, service, &refusal);
            }
        };
        self.step_called(service, next);
        false
    }

    fn step_called(&mut self, service: &ServiceName, step: Step) {
        if let Some(called) = self.pipes.called.get_mut(service) {
            called.step = step;
        }
    }

    /// Everybody who waits for it hears why.
    fn fail_called(&mut self, turn: &mut Turn, service: &ServiceName, refusal: &system::Refusal) -> bool {
        let pipes = self.pipes.called.remove(service).map(|called| called.pipes).unwrap_or_default();
        for name in pipes {
            self.refuse_waiters(turn, &name, refusal);
        }
        false
    }

    /// Why it does not run; 1062 (it is not active) if it ended well, or was stopped.
    fn failure_code(&self, service: &ServiceName) -> u32 {
        let slot = self.services.find(service);
        let failure = slot.and_then(|slot| self.services.get(slot)).and_then(|found| found.failure.as_ref());
        failure.map(|failure| failure.code()).filter(|code| *code != 0).unwrap_or(NOT_ACTIVE)
    }
}

/// ERROR_SERVICE_NOT_ACTIVE.
const NOT_ACTIVE: u32 = 1062;
