//! Stopping: dependents first, then the stop signal, then the kill, then whatever is left of the group.
//!
//! ```text
//!   Dependents ──▶ Asked ──── main process gone ────┬── nothing left ──────────▶ stopped
//!                    │ stop_wait                    └── Sweeping, GroupEmpty ──▶ stopped
//!                    ▼
//!                 Killing ─── main process gone and GroupEmpty ────────────────▶ stopped
//! ```
//!
//! A `KillGroup` is always waited for: its `GroupEmpty` must never be taken for the answer to a later one.

use core::time::Duration;

use super::machine::{After, Group, Machine, Starting, Step, Stopped, Stopping};
use super::table::{Ending, File, Services, Slot};
use crate::event::Event;
use crate::id::ServiceName;
use crate::launch::wire::{Remains, SignalTo};
use crate::system::Effect;
use crate::system::turn::Turn;

impl Services {
    /// Stops a service. Its dependents must have been dealt with; it is told once none of them has processes.
    pub fn stop(&mut self, turn: &mut Turn, slot: Slot, after: After) {
        let Some(service) = self.get(slot) else { return };
        let stopping = |step| Machine::StopPending(Stopping { step, after });
        let deadline = turn.now + service.definition.stop_wait;
        match service.machine {
            Machine::Stopped(_) | Machine::StartPending(Starting::Waiting) => match after {
                After::Stay => self.enter(turn, slot, Machine::Stopped(Stopped::Down)),
                After::Start | After::Delay(_) | After::Policy => {}
            },
            Machine::StartPending(Starting::Launching { launch }) => {
                self.enter(turn, slot, stopping(Step::Launching { launch, deadline }));
            }
            Machine::StartPending(Starting::Unready { launch, pid, .. }) => {
                self.enter(turn, slot, stopping(Step::Dependents { launch, pid }));
            }
            Machine::Running(running) => {
                let step = Step::Dependents { launch: running.launch, pid: running.pid };
                self.enter(turn, slot, stopping(step));
            }
            Machine::StopPending(Stopping { step, after: before }) => {
                if before != After::Stay {
                    self.enter(turn, slot, Machine::StopPending(Stopping { step, after }));
                }
            }
        }
    }

    /// Something it depends on does not run any more: it stops, and starts again when that runs again.
    pub(super) fn lose_dependency(&mut self, turn: &mut Turn, slot: Slot, dependency: Slot) {
        self.fail_for_dependency(turn, slot, dependency);
        self.stop(turn, slot, After::Start);
    }

    /// None of its dependents has processes any more: it is told to stop.
    pub(super) fn ask(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.get(slot) else { return };
        let Machine::StopPending(Stopping { step: Step::Dependents { launch, pid }, after }) =
            service.machine
        else {
            return;
        };
        let signal = service.definition.stop_signal;
        let step = Step::Asked { launch, pid, deadline: turn.now + service.definition.stop_wait };
        turn.push(Effect::Signal { launch, signal, to: SignalTo::Main });
        self.enter(turn, slot, Machine::StopPending(Stopping { step, after }));
    }

    /// It did not stop in its time.
    pub(super) fn overdue(&mut self, turn: &mut Turn, slot: Slot, step: Step, after: After) {
        let Some(service) = self.get_mut(slot) else { return };
        let Some(launch) = step.launch() else { return };
        service.ending = Ending::Killed;
        turn.emit(Event::ServiceKilled { service: service.name().clone() });
        self.kill(turn, slot, Step::Killing { launch, pid: step.pid(), group: Group::Due }, after);
    }

    /// Kills everything of it.
    pub(super) fn kill(&mut self, turn: &mut Turn, slot: Slot, step: Step, after: After) {
        let Some(name) = self.get(slot).map(|service| service.name().clone()) else { return };
        turn.push(Effect::KillGroup(name));
        self.enter(turn, slot, Machine::StopPending(Stopping { step, after }));
    }

    /// A group that was empty has a process again: the kill came before the launch's clone.
    pub(super) fn kill_again_if_empty(&mut self, turn: &mut Turn, slot: Slot) {
        if let Some(Machine::StopPending(Stopping {
            step: Step::Killing { launch, pid, group: Group::Empty },
            after,
        })) = self.machine(slot)
        {
            self.kill(turn, slot, Step::Killing { launch, pid, group: Group::Due }, after);
        }
    }

    /// Its main process is gone: what is left of its group goes too.
    pub(super) fn leave(&mut self, turn: &mut Turn, slot: Slot, remains: Remains, after: After) {
        match remains {
            Remains::Nothing => self.finish(turn, slot, after),
            Remains::Processes => self.kill(turn, slot, Step::Sweeping, after),
        }
    }

    /// Its group has no process any more.
    pub fn group_empty(&mut self, turn: &mut Turn, name: &ServiceName) {
        let Some(slot) = self.find(name) else { return };
        let Some(Machine::StopPending(Stopping { step, after })) = self.machine(slot) else { return };
        match step {
            Step::Sweeping => self.finish(turn, slot, after),
            Step::Killing { launch, pid, group: Group::Due } => {
                let step = Step::Killing { launch, pid, group: Group::Empty };
                self.enter(turn, slot, Machine::StopPending(Stopping { step, after }));
            }
            Step::Killing { group: Group::Empty, .. }
            | Step::Launching { .. }
            | Step::Dependents { .. }
            | Step::Asked { .. } => {}
        }
    }

    /// Nothing is left of it: what comes now was decided before.
    pub(super) fn finish(&mut self, turn: &mut Turn, slot: Slot, after: After) {
        let Some(service) = self.get(slot) else { return };
        let stopped = match (service.file, self.gate.shutting_down(), after) {
            (File::Gone, _, _) | (_, true, _) | (_, _, After::Stay | After::Policy) => Stopped::Down,
            (_, _, After::Start | After::Delay(Duration::ZERO)) => Stopped::Held,
            (_, _, After::Delay(delay)) => Stopped::Restart { at: turn.now + delay },
        };
        self.enter(turn, slot, Machine::Stopped(stopped));
        self.adopt(turn, slot);
    }
}
