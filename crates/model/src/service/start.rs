//! Starting: what a service depends on first, independent ones side by side.
//!
//! Telling a service to start tells everything it needs and does not have to start too; each waits until what it
//! depends on runs and is then launched. If one of them fails, those that wait for it fail with
//! [`Failure::Dependency`] and are held: wanted, and started when it runs after all.

use alloc::collections::BTreeSet;
use alloc::vec;

use super::definition::Kind;
use super::machine::{After, Machine, Running, Starting, Step, Stopped, Watchdog};
use super::refusal::Refusal;
use super::status::{Failure, Reloading};
use super::table::{Gate, Services, Slot, Trouble};
use crate::event::Event;
use crate::id::LaunchId;
use crate::launch::wire::{SIGKILL, SignalTo};
use crate::system::Effect;
use crate::system::turn::Turn;

impl Services {
    /// Tells a stopped service and everything it needs to start, with a clean slate.
    pub fn begin(&mut self, turn: &mut Turn, slot: Slot) {
        let mut stack = vec![slot];
        while let Some(slot) = stack.pop() {
            let Some(service) = self.get_mut(slot) else { continue };
            if !service.machine.stopped() {
                continue;
            }
            service.failures = 0;
            service.streak = 0;
            if service.trouble.is_some() {
                self.fail_for_trouble(turn, slot);
                continue;
            }
            service.failure = None;
            stack.extend(service.depends.iter().rev());
            self.enter(turn, slot, Machine::StartPending(Starting::Waiting));
        }
    }

    /// Why a stopped service cannot be told to start.
    pub fn start_refused(&self, slot: Slot) -> Option<Refusal> {
        match self.get(slot)?.trouble.as_ref() {
            Some(Trouble::Missing(name)) => return Some(Refusal::DependencyMissing(name.clone())),
            Some(Trouble::Circular) => return Some(Refusal::CircularDependency),
            None => {}
        }
        let mut seen = BTreeSet::from([slot]);
        let mut stack = vec![slot];
        while let Some(current) = stack.pop() {
            let Some(service) = self.get(current) else { continue };
            let stays_down = match service.machine {
                Machine::Stopped(_) => service.trouble.is_some(),
                Machine::StartPending(_) => false,
                Machine::Running(_) => continue,
                Machine::StopPending(stopping) => stopping.after == After::Stay,
            };
            if current != slot && stays_down {
                return Some(Refusal::DependencyFailed(service.name().clone()));
            }
            stack.extend(service.depends.iter().filter(|other| seen.insert(**other)));
        }
        None
    }

    /// A held service starts once everything it depends on runs.
    pub(super) fn look_held(&mut self, turn: &mut Turn, slot: Slot) {
        if self.get(slot).is_some_and(|service| service.trouble.is_some()) {
            self.fail_for_trouble(turn, slot);
        } else if self.gate == Gate::Open && self.dependency_not_running(slot).is_none() {
            self.launch(turn, slot);
        }
    }

    /// A waiting service is launched once everything it depends on runs, and fails with the first that does not start.
    pub(super) fn look_waiting(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.get(slot) else { return };
        if service.trouble.is_some() {
            return self.fail_for_trouble(turn, slot);
        }
        let failed = service
            .depends
            .iter()
            .find(|other| self.machine(**other).is_none_or(|machine| machine.stopped()));
        match failed.copied() {
            Some(failed) => {
                self.fail_for_dependency(turn, slot, failed);
                self.enter(turn, slot, Machine::Stopped(Stopped::Held));
            }
            None if self.gate == Gate::Open && self.dependency_not_running(slot).is_none() => {
                self.launch(turn, slot)
            }
            None => {}
        }
    }

    /// It can never start, and says why.
    fn fail_for_trouble(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.get_mut(slot) else { return };
        let Some(failure) = service.trouble.as_ref().map(Trouble::failure) else { return };
        if service.failure.as_ref() != Some(&failure) {
            self.fail_uncounted(turn, slot, failure);
        }
        self.touch(slot);
        self.enter(turn, slot, Machine::Stopped(Stopped::Down));
    }

    /// Notes that a dependency is the reason. The service itself did nothing wrong: its own failures do not count up.
    pub(super) fn fail_for_dependency(&mut self, turn: &mut Turn, slot: Slot, dependency: Slot) {
        let Some(name) = self.get(dependency).map(|other| other.name().clone()) else { return };
        self.fail_uncounted(turn, slot, Failure::Dependency(name));
    }

    /// Notes and tells a failure that is not the service's own doing.
    fn fail_uncounted(&mut self, turn: &mut Turn, slot: Slot, failure: Failure) {
        let Some(service) = self.get_mut(slot) else { return };
        service.failure = Some(failure.clone());
        let (service, count) = (service.name().clone(), service.failures);
        turn.emit(Event::ServiceFailed { service, failure, count, restart_ms: None });
        self.touch(slot);
    }

    /// exec succeeded.
    pub fn launched(&mut self, turn: &mut Turn, launch: LaunchId, pid: i32) {
        let Some(slot) = self.launches.get(&launch).copied() else {
            // Nobody knows it: a launch of a daemon before, told to init but not kept. Its service may have been
            // launched again already, so only this process goes.
            return turn.push(Effect::Signal { launch, signal: SIGKILL, to: SignalTo::Main });
        };
        let Some(service) = self.get(slot) else { return };
        let definition = &service.definition;
        match service.machine {
            Machine::StartPending(Starting::Launching { .. }) => match definition.kind {
                Kind::Simple => self.ready(turn, slot, launch, pid),
                Kind::Notify => {
                    let deadline = turn.now + definition.start_wait;
                    self.enter(
                        turn,
                        slot,
                        Machine::StartPending(Starting::Unready { launch, pid, deadline }),
                    );
                }
            },
            Machine::StopPending(mut stopping) => match stopping.step {
                Step::Launching { .. } => {
                    stopping.step = Step::Dependents { launch, pid };
                    self.enter(turn, slot, Machine::StopPending(stopping));
                }
                Step::Killing { group, .. } => {
                    stopping.step = Step::Killing { launch, pid: Some(pid), group };
                    self.enter(turn, slot, Machine::StopPending(stopping));
                    self.kill_again_if_empty(turn, slot);
                }
                Step::Dependents { .. } | Step::Asked { .. } | Step::Sweeping => {}
            },
            Machine::Stopped(_) | Machine::Running(_) | Machine::StartPending(_) => {}
        }
    }

    /// It runs.
    pub(super) fn ready(&mut self, turn: &mut Turn, slot: Slot, launch: LaunchId, pid: i32) {
        let Some(service) = self.get_mut(slot) else { return };
        service.failure = None;
        let watchdog = match service.definition.kind {
            Kind::Simple => None,
            Kind::Notify => service.definition.watchdog,
        };
        let watchdog = watchdog.map(|interval| Watchdog { interval, deadline: turn.now + interval });
        let running = Running { launch, pid, ready: turn.now, watchdog, reloading: Reloading::No };
        self.enter(turn, slot, Machine::Running(running));
    }
}
