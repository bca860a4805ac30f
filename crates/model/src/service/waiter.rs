//! Clients that wait for a service to settle. Each gets exactly one answer, whatever happens to the service.

use super::machine::Machine;
use super::refusal::Refusal;
use super::status::Failure;
use super::table::{Services, Slot};
use crate::id::RequestId;
use crate::limit;
use crate::system::turn::Turn;
use crate::system::{self, Reply, Wait};

/// One client's wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiter {
    /// Its request.
    pub id: RequestId,
    /// What for.
    pub want: Want,
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// That it runs, or has failed.
    Running,
    /// That it is stopped.
    Stopped,
}

/// What is to be said to a waiter now.
enum Answer {
    /// Nothing yet.
    Later,
    /// What it waited for.
    Good,
    /// That it will not be.
    Bad(system::Refusal),
}

impl Services {
    /// Whether one more client may wait for it.
    pub(super) fn has_room(&self, slot: Slot, wait: Wait) -> bool {
        match wait {
            Wait::Begun => true,
            Wait::Settled => self.get(slot).is_some_and(|service| service.waiters.len() < limit::WAITERS_MAX),
        }
    }

    /// The request is carried out: answered at the end of this turn, or when the service settled.
    pub(super) fn await_settled(&mut self, slot: Slot, id: RequestId, wait: Wait, want: Want) {
        match wait {
            Wait::Begun => self.begun.push((id, slot)),
            Wait::Settled => {
                if let Some(service) = self.get_mut(slot) {
                    service.waiters.push(Waiter { id, want });
                    self.requests.insert(id, slot);
                    self.touch(slot);
                }
            }
        }
    }

    /// The client is gone.
    pub fn abandon(&mut self, id: RequestId) {
        self.begun.retain(|(other, _)| *other != id);
        let Some(slot) = self.requests.remove(&id) else { return };
        if let Some(service) = self.get_mut(slot) {
            service.waiters.retain(|waiter| waiter.id != id);
        }
    }

    /// Answers everybody whose service settled in this turn.
    pub(super) fn answer(&mut self, turn: &mut Turn, slot: Slot) {
        if self.get(slot).is_none_or(|service| service.waiters.is_empty()) {
            return;
        }
        let Some(status) = self.status(slot) else { return };
        let stopped = self.answer_to(slot, Want::Stopped);
        let running = self.answer_to(slot, Want::Running);
        let Some(service) = self.get_mut(slot) else { return };
        let waiters = core::mem::take(&mut service.waiters);
        for waiter in waiters {
            let answer = match waiter.want {
                Want::Stopped => &stopped,
                Want::Running => &running,
            };
            let result = match answer {
                Answer::Later => {
                    if let Some(service) = self.get_mut(slot) {
                        service.waiters.push(waiter);
                    }
                    continue;
                }
                Answer::Good => Ok(Reply::Service(status.clone().into())),
                Answer::Bad(refusal) => Err(refusal.clone()),
            };
            self.requests.remove(&waiter.id);
            turn.reply(waiter.id, result);
        }
    }

    fn answer_to(&self, slot: Slot, want: Want) -> Answer {
        let Some(service) = self.get(slot) else { return Answer::Later };
        match (service.machine, want) {
            (Machine::StopPending(_), _) | (Machine::StartPending(_), Want::Running) => Answer::Later,
            (Machine::Stopped(_) | Machine::StartPending(_) | Machine::Running(_), Want::Stopped)
            | (Machine::Running(_), Want::Running) => Answer::Good,
            (Machine::Stopped(_), Want::Running) => Answer::Bad(self.why_not_running(slot)),
        }
    }

    /// Why a stopped service is not what somebody waits for.
    fn why_not_running(&self, slot: Slot) -> system::Refusal {
        if self.gate.shutting_down() {
            return system::Refusal::ShutdownInProgress;
        }
        let name = |slot: Slot| self.get(slot).map(|service| service.name().clone());
        let failure = self.get(slot).and_then(|service| service.failure.as_ref());
        system::Refusal::Service(match (failure, self.dependency_not_running(slot).and_then(name)) {
            (Some(Failure::Dependency(name)), _) => Refusal::DependencyFailed(name.clone()),
            (Some(Failure::DependencyMissing(name)), _) => Refusal::DependencyMissing(name.clone()),
            (Some(Failure::CircularDependency), _) => Refusal::CircularDependency,
            (Some(failure), _) => Refusal::StartFailed(failure.clone()),
            (None, Some(name)) => Refusal::DependencyFailed(name),
            (None, None) => Refusal::NotActive,
        })
    }

    /// The end of a turn: answers and records of everything that changed.
    pub fn close(&mut self, turn: &mut Turn) {
        for slot in core::mem::take(&mut self.touched) {
            self.answer(turn, slot);
            self.keep(turn, slot);
            if let Some(service) = self.get_mut(slot) {
                service.touched = false;
            }
        }
        for (id, slot) in core::mem::take(&mut self.begun) {
            let reply = self.status(slot).map_or(Reply::Done, |status| Reply::Service(status.into()));
            turn.reply(id, Ok(reply));
        }
    }
}
