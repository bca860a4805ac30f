//! Ends nobody asked for: what is a failure, and what follows.
//!
//! A failure is an exit with a status other than 0, a signal, a launch that did not come to exec, READY that did not
//! come in time, silence longer than the watchdog allows. Each failure in a row counts up; a service that ran for
//! [`limit::FAILURE_RESET`] begins anew. The delay to the next start is the definition's; after
//! [`limit::FAILURES_BEFORE_SLOWING`] it doubles each time up to [`limit::RESTART_DELAY_MAX`].
//! An exit after a stop was asked for is never a failure.

use core::time::Duration;

use super::definition::{Kind, Owner, Restart};
use super::machine::{After, Group, Machine, Running, Starting, Step, Stopping};
use super::status::{Failure, Phase};
use super::table::{File, Services, Slot};
use crate::event::Event;
use crate::id::LaunchId;
use crate::launch::exit::{ExitStatus, LaunchFailure, Usage};
use crate::launch::wire::Remains;
use crate::limit;
use crate::system::turn::{Acknowledge, Turn};
use crate::time::Time;

impl Services {
    /// A main process ended.
    pub fn exited(
        &mut self,
        turn: &mut Turn,
        launch: LaunchId,
        status: ExitStatus,
        remains: Remains,
        usage: Option<Usage>,
    ) {
        turn.acknowledge = Acknowledge::Yes;
        let Some(slot) = self.launches.get(&launch).copied() else { return };
        let Some(service) = self.get_mut(slot) else { return };
        service.last_exit = Some(status);
        service.last_usage = usage;
        self.touch(slot);
        let Some(service) = self.get(slot) else { return };
        let phase = match (service.machine, service.definition.kind) {
            (Machine::StartPending(Starting::Launching { launch }), Kind::Simple) => {
                // Its exec was reported to a daemon that is gone.
                self.ready(turn, slot, launch, 0);
                Phase::Running
            }
            (Machine::StartPending(_), _) => Phase::Starting,
            (Machine::Running(_), _) => Phase::Running,
            (Machine::StopPending(stopping), _) => {
                return self.exited_stopping(turn, slot, stopping, status, remains);
            }
            (Machine::Stopped(_), _) => return,
        };
        let failure = self.exit_failure(slot, status, phase);
        let after = self.follow(turn, slot, failure);
        self.leave(turn, slot, remains, after);
    }

    /// An exit's failure; none for a status of 0 after it was ready.
    fn exit_failure(&self, slot: Slot, status: ExitStatus, phase: Phase) -> Option<Failure> {
        match (status, phase) {
            (ExitStatus::Exited(0), Phase::Running | Phase::Stopping) => None,
            _ => {
                Some(Failure::Exit { status, phase, errno: self.get(slot).and_then(|service| service.errno) })
            }
        }
    }

    fn exited_stopping(
        &mut self,
        turn: &mut Turn,
        slot: Slot,
        stopping: Stopping,
        status: ExitStatus,
        remains: Remains,
    ) {
        let after = match stopping.after {
            After::Policy => {
                let failure = self.exit_failure(slot, status, Phase::Stopping);
                self.follow(turn, slot, failure)
            }
            decided @ (After::Stay | After::Start | After::Delay(_)) => decided,
        };
        match (stopping.step, remains) {
            (Step::Launching { .. } | Step::Dependents { .. } | Step::Asked { .. }, _) => {
                self.leave(turn, slot, remains, after);
            }
            (Step::Killing { group: Group::Due, .. }, _) => {
                self.enter(turn, slot, Machine::StopPending(Stopping { step: Step::Sweeping, after }));
            }
            (Step::Killing { group: Group::Empty, .. }, _) => self.leave(turn, slot, remains, after),
            (Step::Sweeping, _) => {}
        }
    }

    /// A launch did not come to exec. Nothing of it is left.
    pub fn launch_failed(&mut self, turn: &mut Turn, launch: LaunchId, failure: LaunchFailure) {
        let Some(slot) = self.launches.get(&launch).copied() else { return };
        match self.machine(slot) {
            Some(Machine::StartPending(Starting::Launching { .. })) => {
                let after = self.follow(turn, slot, Some(Failure::Launch(failure)));
                self.finish(turn, slot, after);
            }
            Some(Machine::StopPending(Stopping { step, after })) => match step {
                Step::Launching { .. } | Step::Killing { group: Group::Empty, .. } => {
                    self.finish(turn, slot, after)
                }
                Step::Killing { group: Group::Due, .. } => {
                    self.enter(turn, slot, Machine::StopPending(Stopping { step: Step::Sweeping, after }));
                }
                Step::Dependents { .. } | Step::Asked { .. } | Step::Sweeping => {}
            },
            Some(Machine::Stopped(_) | Machine::StartPending(_) | Machine::Running(_)) | None => {}
        }
    }

    /// Counts an end nobody asked for and decides what follows.
    pub(super) fn follow(&mut self, turn: &mut Turn, slot: Slot, failure: Option<Failure>) -> After {
        let gate = self.gate;
        let Some(service) = self.get_mut(slot) else { return After::Stay };
        if let Machine::Running(Running { ready, .. }) = service.machine
            && turn.now.since(ready) >= limit::FAILURE_RESET
        {
            service.failures = 0;
            service.streak = 0;
        }
        service.streak = service.streak.saturating_add(1);
        let again = match (service.definition.owner, service.definition.restart) {
            (Owner::Builtin, _) | (Owner::Administrator, Restart::Always) => true,
            (Owner::Administrator, Restart::OnFailure) => failure.is_some(),
            (Owner::Administrator, Restart::Never) => false,
        };
        let after = if again && service.file == File::Present && !gate.shutting_down() {
            After::Delay(delay(service.definition.restart_delay, service.streak))
        } else {
            After::Stay
        };
        service.failure = failure.clone();
        if let Some(failure) = failure {
            service.failures = service.failures.saturating_add(1);
            turn.emit(Event::ServiceFailed {
                service: service.name().clone(),
                failure,
                count: service.failures,
                restart_ms: match after {
                    After::Delay(delay) => u64::try_from(delay.as_millis()).ok(),
                    After::Stay | After::Start | After::Policy => None,
                },
            });
        }
        self.touch(slot);
        after
    }

    /// A failure while its main process is still there: everything of it is killed first.
    fn fail_alive(&mut self, turn: &mut Turn, slot: Slot, failure: Failure) {
        let Some(machine) = self.machine(slot) else { return };
        let Some(launch) = machine.launch() else { return };
        let after = self.follow(turn, slot, Some(failure));
        self.kill(turn, slot, Step::Killing { launch, pid: machine.pid(), group: Group::Due }, after);
    }

    /// The watchdog was not fed, or asked for this itself.
    pub(super) fn watchdog_failed(&mut self, turn: &mut Turn, slot: Slot) {
        self.fail_alive(turn, slot, Failure::Watchdog);
    }

    /// Does what is due at this moment.
    pub fn tick(&mut self, turn: &mut Turn) {
        let due: alloc::vec::Vec<(Time, Slot)> =
            self.deadlines.range(..=(turn.now, Slot(u32::MAX))).copied().collect();
        for (_, slot) in due {
            match self.machine(slot) {
                Some(Machine::Stopped(super::machine::Stopped::Restart { .. })) => {
                    self.enter(turn, slot, Machine::Stopped(super::machine::Stopped::Held));
                }
                Some(Machine::StartPending(_)) => self.fail_alive(turn, slot, Failure::StartTimeout),
                Some(Machine::Running(_)) => self.watchdog_failed(turn, slot),
                Some(Machine::StopPending(Stopping { step, after })) => self.overdue(turn, slot, step, after),
                Some(Machine::Stopped(_)) | None => {}
            }
        }
    }
}

/// The delay before the next start after this many ends in a row.
fn delay(configured: Duration, streak: u32) -> Duration {
    let Some(doublings @ 1..) = streak.checked_sub(limit::FAILURES_BEFORE_SLOWING) else { return configured };
    let base = configured.max(limit::RESTART_DELAY);
    let slowed = base.checked_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).unwrap_or(Duration::MAX);
    slowed.min(limit::RESTART_DELAY_MAX.max(configured))
}
