//! What is true of every table of services between two turns.

use super::machine::{Machine, Starting, Step, Stopped, Stopping};
use super::status::Failure;
use super::table::{File, Gate, Service, Services, Slot};
use crate::limit;

impl Services {
    /// Panics if the table is impossible.
    pub fn check_invariants(&self) {
        assert!(
            self.queue.is_empty() && self.touched.is_empty() && self.begun.is_empty(),
            "a turn left work undone"
        );
        assert!(self.names.len() <= limit::SERVICES_MAX, "more services than allowed");
        assert_eq!(self.names.len() + self.free.len(), self.slots.len(), "a slot is neither used nor free");
        for (name, slot) in &self.names {
            let service = self.get(*slot).expect("a name leads to a service");
            assert_eq!(name, service.name(), "a name leads to another service");
            self.check_service(*slot, service);
        }
        for (launch, slot) in &self.launches {
            assert_eq!(self.machine(*slot).and_then(|m| m.launch()), Some(*launch), "a launch leads nowhere");
            assert!(launch.0 <= self.launch_last, "a launch's number may be given again");
        }
        assert!(self.launch_last <= self.launch_reserved, "launch numbers are used that are not reserved");
        for (time, slot) in &self.deadlines {
            assert_eq!(self.get(*slot).and_then(|s| s.armed), Some(*time), "a deadline leads nowhere");
        }
        for (id, slot) in &self.requests {
            let service = self.get(*slot).expect("a request waits for a service");
            assert!(
                service.waiters.iter().any(|w| w.id == *id),
                "a request waits that its service does not know"
            );
        }
    }

    fn check_service(&self, slot: Slot, service: &Service) {
        let name = service.name();
        assert_eq!(service.armed, service.machine.deadline(), "{name}: its deadline is not the armed one");
        assert!(service.waiters.len() <= limit::WAITERS_MAX, "{name}: too many waiters");
        for waiter in &service.waiters {
            assert_eq!(self.requests.get(&waiter.id), Some(&slot), "{name}: a waiter is not indexed");
        }
        if let Some(launch) = service.machine.launch() {
            assert_eq!(self.launches.get(&launch), Some(&slot), "{name}: its launch is not indexed");
        }
        for other in &service.depends {
            let other = self.get(*other).expect("a dependency is a service");
            assert!(other.dependents.contains(&slot), "{name}: {} does not know its dependent", other.name());
        }
        if matches!(self.gate, Gate::Closed | Gate::Over) {
            assert!(!service.machine.engaged(), "{name}: it has processes without a session");
        }
        if service.file == File::Gone {
            assert!(service.machine.engaged(), "{name}: it is not configured and stays");
        }
        self.check_machine(slot, service);
    }

    fn check_machine(&self, slot: Slot, service: &Service) {
        let name = service.name();
        let lacks = self.dependency_not_running(slot);
        match service.machine {
            Machine::Stopped(Stopped::Down) => {}
            Machine::Stopped(Stopped::Restart { .. }) => assert!(service.file == File::Present, "{name}"),
            Machine::Stopped(Stopped::Held) => {
                assert!(
                    lacks.is_some() || self.gate != Gate::Open,
                    "{name}: held, but nothing is in its way"
                );
            }
            Machine::StartPending(Starting::Waiting) => {
                assert!(lacks.is_some(), "{name}: it waits for nothing");
                let lost = |other: &Slot| self.machine(*other).is_some_and(|machine| machine.stopped());
                assert!(!service.depends.iter().any(lost), "{name}: it waits for what does not start");
            }
            Machine::StartPending(Starting::Launching { .. } | Starting::Unready { .. })
            | Machine::Running(_) => {
                assert!(lacks.is_none(), "{name}: it runs, and what it depends on does not");
            }
            Machine::StopPending(Stopping { step, .. }) => {
                if matches!(step, Step::Dependents { .. }) {
                    assert!(self.dependents_engaged(slot), "{name}: it waits for dependents that are gone");
                }
                for other in &service.dependents {
                    let other = self.get(*other).expect("a dependent is a service");
                    assert!(
                        !other.machine.running()
                            && !matches!(other.machine, Machine::StartPending(s) if s != Starting::Waiting),
                        "{}: it runs while {name} stops",
                        other.name()
                    );
                }
            }
        }
        if let Some(Failure::Dependency(other)) = &service.failure {
            assert!(other != name, "{name}: it is its own reason");
        }
    }
}
