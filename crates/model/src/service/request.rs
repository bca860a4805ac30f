//! What clients ask of services, and when the answer is no (windows-semantics 3.2 and 3.12).

use alloc::vec::Vec;

use super::definition::Owner;
use super::machine::{After, Machine, Starting, Stopped, Stopping};
use super::refusal::Refusal;
use super::table::{File, Gate, Services, Slot};
use super::waiter::Want;
use crate::id::{RequestId, ServiceName};
use crate::system::turn::Turn;
use crate::system::{self, Dependents, Wait};

/// A request is carried out and its answer arranged for, or refused.
type Carried = Result<(), system::Refusal>;

impl Services {
    /// Start.
    pub fn start_asked(&mut self, turn: &mut Turn, id: RequestId, name: &ServiceName, wait: Wait) -> Carried {
        let slot = self.known(name)?;
        self.open()?;
        match self.machine(slot) {
            Some(Machine::Running(_) | Machine::StartPending(_)) => return no(Refusal::AlreadyRunning),
            Some(Machine::StopPending(_)) => return no(Refusal::CannotAcceptControl),
            Some(Machine::Stopped(_)) | None => {}
        }
        self.room(slot, wait)?;
        self.start_refused(slot).map_or(Ok(()), no)?;
        self.begin(turn, slot);
        self.await_settled(slot, id, wait, Want::Running);
        Ok(())
    }

    /// Stop.
    pub fn stop_asked(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        name: &ServiceName,
        wait: Wait,
        dependents: Dependents,
    ) -> Carried {
        let slot = self.known(name)?;
        self.not_shutting_down()?;
        if self.get(slot).is_some_and(|service| service.definition.owner == Owner::Builtin) {
            return no(Refusal::InvalidServiceControl);
        }
        match self.machine(slot) {
            Some(Machine::Stopped(Stopped::Down)) | None => return no(Refusal::NotActive),
            Some(Machine::StopPending(Stopping { after: After::Stay, .. })) => {
                return no(Refusal::CannotAcceptControl);
            }
            Some(_) => {}
        }
        self.room(slot, wait)?;
        let active = self.dependents_active(slot);
        if dependents == Dependents::Refuse && !active.is_empty() {
            return no(Refusal::DependentServicesRunning(self.names_of(&active)));
        }
        for other in active.into_iter().chain([slot]) {
            // Whoever stops it knows; there is nothing left to attend to.
            if let Some(service) = self.get_mut(other) {
                service.waits_for_user = None;
            }
            self.stop(turn, other, After::Stay);
        }
        self.await_settled(slot, id, wait, Want::Stopped);
        Ok(())
    }

    /// Restart: a stopped one is started, a running one and those that depend on it are stopped and started again.
    pub fn restart_asked(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        name: &ServiceName,
        wait: Wait,
    ) -> Carried {
        let slot = self.known(name)?;
        self.open()?;
        let Some(service) = self.get(slot) else { return no(Refusal::DoesNotExist) };
        match service.machine {
            Machine::Stopped(_) => return self.start_asked(turn, id, name, wait),
            Machine::StopPending(Stopping { after: After::Stay, .. }) => {
                return no(Refusal::CannotAcceptControl);
            }
            Machine::StartPending(_) | Machine::Running(_) | Machine::StopPending(_) => {}
        }
        if service.file == File::Gone {
            // It would not come back.
            return no(Refusal::CannotAcceptControl);
        }
        self.start_refused(slot).map_or(Ok(()), no)?;
        self.room(slot, wait)?;
        for other in self.dependents_active(slot) {
            self.stop(turn, other, After::Start);
        }
        if let Some(service) = self.get_mut(slot) {
            service.failure = None;
            service.failures = 0;
            service.streak = 0;
        }
        if self.machine(slot) != Some(Machine::StartPending(Starting::Waiting)) {
            self.stop(turn, slot, After::Start);
        }
        self.await_settled(slot, id, wait, Want::Running);
        Ok(())
    }

    fn known(&self, name: &ServiceName) -> Result<Slot, system::Refusal> {
        self.find(name).map_or_else(|| no(Refusal::DoesNotExist), Ok)
    }

    fn not_shutting_down(&self) -> Carried {
        match self.gate {
            Gate::Open | Gate::Closed => Ok(()),
            Gate::ShuttingDown | Gate::Over => Err(system::Refusal::ShutdownInProgress),
        }
    }

    fn open(&self) -> Carried {
        match self.gate {
            Gate::Open => Ok(()),
            Gate::Closed => Err(system::Refusal::NotReady),
            Gate::ShuttingDown | Gate::Over => Err(system::Refusal::ShutdownInProgress),
        }
    }

    fn room(&self, slot: Slot, wait: Wait) -> Carried {
        if self.has_room(slot, wait) { Ok(()) } else { no(Refusal::TooManyWaiters) }
    }

    fn names_of(&self, slots: &[Slot]) -> Vec<ServiceName> {
        slots.iter().filter_map(|slot| self.get(*slot)).map(|service| service.name().clone()).collect()
    }
}

fn no<T>(refusal: Refusal) -> Result<T, system::Refusal> {
    Err(system::Refusal::Service(refusal))
}
