//! What services say about themselves (sd_notify), and what is noticed about them.

use alloc::boxed::Box;
use alloc::string::String;

use super::definition::{Kind, NotifyAccess};
use super::machine::{After, Machine, Running, Starting, Step, Stopping, Watchdog};
use super::notify::{Notification, Sender};
use super::status::{OutputLost, Reloading, TripwireOutcome, WaitsForUser};
use super::table::{Services, Slot};
use crate::event::Event;
use crate::id::ServiceName;
use crate::launch::plan::Role;
use crate::limit;
use crate::system::Effect;
use crate::system::turn::Turn;

impl Services {
    /// A service said something.
    pub fn notified(&mut self, turn: &mut Turn, name: &ServiceName, sender: Sender, said: &[Notification]) {
        let Some(slot) = self.find(name) else { return };
        let Some(service) = self.get(slot) else { return };
        let heard = match (service.definition.kind, service.definition.notify_access, sender) {
            (Kind::Simple, _, _) => false,
            (Kind::Notify, NotifyAccess::All, _) | (Kind::Notify, NotifyAccess::Main, Sender::Main) => true,
            (Kind::Notify, NotifyAccess::Main, Sender::Member) => false,
        };
        if !heard || !service.machine.engaged() {
            return;
        }
        for notification in said {
            self.hear(turn, slot, notification);
        }
    }

    fn hear(&mut self, turn: &mut Turn, slot: Slot, notification: &Notification) {
        let Some(service) = self.get_mut(slot) else { return };
        match notification {
            Notification::Ready => self.hear_ready(turn, slot),
            Notification::Reloading => self.change_running(turn, slot, |r| r.reloading = Reloading::Yes),
            Notification::Stopping => self.hear_stopping(turn, slot),
            Notification::Status(text) => {
                let text = (!text.is_empty()).then(|| cut(text).into_boxed_str());
                if service.text != text {
                    service.text = text;
                    self.touch(slot);
                }
            }
            Notification::MainProcess(pid) => self.hear_main(turn, slot, *pid),
            Notification::Errno(errno) => {
                service.errno = Some(*errno);
                self.touch(slot);
            }
            Notification::Watchdog => {
                let now = turn.now;
                self.change_running(turn, slot, |running| {
                    if let Some(watchdog) = &mut running.watchdog {
                        watchdog.deadline = now + watchdog.interval;
                    }
                });
            }
            Notification::WatchdogTrigger => {
                if service.machine.running() {
                    self.watchdog_failed(turn, slot);
                }
            }
            Notification::WatchdogInterval(interval) => {
                let watchdog = (!interval.is_zero())
                    .then(|| Watchdog { interval: *interval, deadline: turn.now + *interval });
                self.change_running(turn, slot, |running| running.watchdog = watchdog);
            }
            Notification::ExtendTimeout(span) => self.hear_extend(turn, slot, turn.now + *span),
        }
    }

    fn change_running(&mut self, turn: &mut Turn, slot: Slot, change: impl FnOnce(&mut Running)) {
        if let Some(Machine::Running(mut running)) = self.machine(slot) {
            change(&mut running);
            self.enter(turn, slot, Machine::Running(running));
        }
    }

    fn hear_ready(&mut self, turn: &mut Turn, slot: Slot) {
        match self.machine(slot) {
            Some(Machine::StartPending(Starting::Unready { launch, pid, .. })) => {
                self.ready(turn, slot, launch, pid)
            }
            Some(Machine::Running(_)) => self.change_running(turn, slot, |r| r.reloading = Reloading::No),
            Some(Machine::Stopped(_) | Machine::StartPending(_) | Machine::StopPending(_)) | None => {}
        }
    }

    fn hear_stopping(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.get_mut(slot) else { return };
        let deadline = turn.now + service.definition.stop_wait;
        let (launch, pid) = match service.machine {
            Machine::Running(running) => {
                if turn.now.since(running.ready) >= limit::FAILURE_RESET {
                    service.failures = 0;
                    service.streak = 0;
                }
                (running.launch, running.pid)
            }
            Machine::StartPending(Starting::Unready { launch, pid, .. }) => (launch, pid),
            Machine::Stopped(_) | Machine::StartPending(_) | Machine::StopPending(_) => return,
        };
        let step = Step::Asked { launch, pid, deadline };
        self.enter(turn, slot, Machine::StopPending(Stopping { step, after: After::Policy }));
    }

    fn hear_main(&mut self, turn: &mut Turn, slot: Slot, pid: i32) {
        let Some(mut machine) = self.machine(slot) else { return };
        let (Some(launch), Some(before)) = (machine.launch(), machine.pid()) else { return };
        if pid <= 0 || pid == before {
            return;
        }
        machine.set_pid(pid);
        if machine.pid() == Some(pid) {
            turn.push(Effect::SetMain { launch, pid });
            self.enter(turn, slot, machine);
        }
    }

    fn hear_extend(&mut self, turn: &mut Turn, slot: Slot, until: crate::time::Time) {
        let Some(mut machine) = self.machine(slot) else { return };
        match &mut machine {
            Machine::StartPending(Starting::Unready { deadline, .. })
            | Machine::StopPending(Stopping { step: Step::Asked { deadline, .. }, .. }) => {
                *deadline = (*deadline).max(until);
            }
            Machine::Stopped(_)
            | Machine::StartPending(_)
            | Machine::Running(_)
            | Machine::StopPending(_) => return,
        }
        self.enter(turn, slot, machine);
    }

    /// A service did what only a person could answer.
    pub fn tripped(&mut self, turn: &mut Turn, name: &ServiceName, call: &str, outcome: TripwireOutcome) {
        let Some(slot) = self.find(name) else { return };
        let Some(service) = self.get_mut(slot) else { return };
        if !service.machine.engaged() {
            return;
        }
        if outcome == TripwireOutcome::Held {
            service.connections_held = service.connections_held.saturating_add(1);
        }
        let call = cut(call);
        // A service that tries again and again is told about once.
        let known = service.waits_for_user.as_ref().is_some_and(|w| w.call == call && w.outcome == outcome);
        if !known {
            service.waits_for_user =
                Some(Box::new(WaitsForUser { call: call.clone(), at: turn.now, outcome }));
            turn.emit(Event::ServiceWaitsForUser { service: service.name().clone(), call });
        }
        self.touch(slot);
    }

    /// A service closed a display connection that was held.
    pub fn tripwire_left(&mut self, name: &ServiceName) {
        let Some(slot) = self.find(name) else { return };
        let Some(service) = self.get_mut(slot) else { return };
        service.connections_held = service.connections_held.saturating_sub(1);
        let held =
            service.waits_for_user.as_ref().is_some_and(|waits| waits.outcome == TripwireOutcome::Held);
        if service.connections_held == 0 && held {
            service.waits_for_user = None;
        }
        self.touch(slot);
    }

    /// The logger lost output; `lost` are totals since that logger was started.
    pub fn output_lost(&mut self, turn: &mut Turn, name: &ServiceName, lost: OutputLost) {
        let Some(slot) = self.find(name) else { return };
        let Some(service) = self.get_mut(slot) else { return };
        let total = OutputLost {
            lines: service.lost_before.lines.saturating_add(lost.lines),
            bytes: service.lost_before.bytes.saturating_add(lost.bytes),
        };
        if total != service.lost {
            service.lost = total;
            turn.emit(Event::OutputLost { service: service.name().clone(), lost: total });
            self.touch(slot);
        }
    }

    /// A new logger counts from zero: what was lost so far is kept apart.
    pub(super) fn logger_begins(&mut self, slot: Slot) {
        if self.get(slot).is_none_or(|service| service.definition.plan.role != Role::Logger) {
            return;
        }
        for other in self.all() {
            let Some(service) = self.get_mut(other) else { continue };
            if service.lost_before != service.lost {
                service.lost_before = service.lost;
                self.touch(other);
            }
        }
    }
}

/// The text, cut visibly to its maximum.
fn cut(text: &str) -> String {
    match text.char_indices().nth(limit::STATUS_TEXT_MAX) {
        None => String::from(text),
        Some(_) => text.chars().take(limit::STATUS_TEXT_MAX - 1).chain(['…']).collect(),
    }
}
