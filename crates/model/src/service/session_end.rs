//! Session 0 is gone, and with it every process of every service.

use super::machine::{Machine, Stopped};
use super::status::Failure;
use super::table::{Gate, Services};
use crate::event::Event;
use crate::system::turn::Turn;

impl Services {
    /// Every service is stopped: those that had a process, or were about to, have failed with it. What was to start
    /// again by itself is not: a new session starts what starts with the host.
    pub fn session_ended(&mut self, turn: &mut Turn) {
        self.gate = if self.gate.shutting_down() { Gate::Over } else { Gate::Closed };
        let asked = self.gate == Gate::Over;
        for slot in self.all() {
            let Some(service) = self.get_mut(slot) else { continue };
            let lost = !service.machine.stopped();
            service.stored = None;
            service.streak = 0;
            service.connections_held = 0;
            service.waits_for_user = None;
            if lost && !asked {
                service.failure = Some(Failure::SessionEnded);
                turn.emit(Event::ServiceFailed {
                    service: service.name().clone(),
                    failure: Failure::SessionEnded,
                    count: service.failures,
                    restart_ms: None,
                });
            }
            self.enter(turn, slot, Machine::Stopped(Stopped::Down));
            self.touch(slot);
        }
        for slot in self.all() {
            self.adopt(turn, slot);
        }
    }
}
