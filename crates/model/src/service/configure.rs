//! The configuration comes into force: new services, changed ones, those whose file is gone.
//!
//! What has a process keeps the definition it was launched by until it is stopped; everything else changes at once, and so does who
//! may control it.
//! A changed definition that could never start (a cycle, a missing dependency) is not taken: the old one stays.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::definition::{Definition, Owner, StartType};
use super::machine::{Machine, Starting};
use super::table::{File, Gate, Service, Services, Slot, Trouble};
use crate::id::ServiceName;
use crate::limit;
use crate::system::ReloadReport;
use crate::system::turn::Turn;

impl Services {
    /// Takes a configuration. The report's `errors` are the caller's to fill.
    pub fn configure(
        &mut self,
        turn: &mut Turn,
        definitions: Vec<Definition>,
        broken: &[(ServiceName, String)],
    ) -> ReloadReport {
        let mut report = ReloadReport::default();
        let mut wanted: BTreeMap<ServiceName, Box<Definition>> = BTreeMap::new();
        for definition in definitions {
            if wanted.len() < limit::SERVICES_MAX {
                wanted.insert(definition.name.clone(), Box::new(definition));
            } else {
                report.kept.push((definition.name, String::from("left out: there are too many services")));
            }
        }
        for (name, reason) in broken {
            if self.find(name).is_some() && !wanted.contains_key(name) {
                report.kept.push((name.clone(), reason.clone()));
            }
        }
        let before: BTreeMap<ServiceName, Option<Trouble>> =
            self.iter().map(|service| (service.name().clone(), service.trouble.clone())).collect();
        self.remove(turn, &wanted, &mut report);
        let changed = self.change(turn, wanted, &mut report);
        self.keep_usable(changed, &mut report);
        self.put_in_force(turn, &before);
        for names in [&mut report.added, &mut report.removed, &mut report.changed, &mut report.need_restart] {
            names.sort();
        }
        report
    }

    fn remove(
        &mut self,
        turn: &mut Turn,
        wanted: &BTreeMap<ServiceName, Box<Definition>>,
        report: &mut ReloadReport,
    ) {
        for slot in self.all() {
            let Some(service) = self.get_mut(slot) else { continue };
            let name = service.name().clone();
            if wanted.contains_key(&name) {
                service.file = File::Present;
            } else if service.definition.owner == Owner::Administrator
                && service.file == File::Present
                && !report.kept.iter().any(|(kept, _)| *kept == name)
            {
                service.file = File::Gone;
                report.removed.push(name);
                if !service.machine.engaged() {
                    self.enter(turn, slot, Machine::Stopped(super::machine::Stopped::Down));
                    self.take_out(turn, slot);
                }
            }
        }
    }

    /// Adds and changes; returns the changed ones with what they were configured as before.
    fn change(
        &mut self,
        turn: &mut Turn,
        wanted: BTreeMap<ServiceName, Box<Definition>>,
        report: &mut ReloadReport,
    ) -> Vec<(Slot, Box<Definition>)> {
        let mut changed = Vec::new();
        for (name, definition) in wanted {
            let Some(slot) = self.find(&name) else {
                let full = self.names.len() >= limit::SERVICES_MAX;
                if full {
                    report.kept.push((name, String::from("left out: there are too many services")));
                } else {
                    self.add(Service::new(definition, turn.now));
                    report.added.push(name);
                }
                continue;
            };
            let Some(service) = self.get_mut(slot) else { continue };
            if *service.configured() == *definition {
                continue;
            }
            let before = Box::new(service.configured().clone());
            if !service.machine.engaged() {
                service.definition = definition;
                service.next = None;
            } else if *service.definition == *definition {
                service.next = None;
                continue;
            } else if service.definition.differs_in_rights_only(&definition) {
                service.definition = definition;
                service.next = None;
            } else {
                service.next = Some(definition);
            }
            changed.push((slot, before));
        }
        changed
    }

    /// Takes back changes that make a service unable to start, and reports the others.
    fn keep_usable(&mut self, mut changed: Vec<(Slot, Box<Definition>)>, report: &mut ReloadReport) {
        loop {
            let troubles: BTreeMap<Slot, Trouble> =
                self.troubles().into_iter().filter_map(|(slot, trouble)| Some((slot, trouble?))).collect();
            let (bad, good): (Vec<_>, Vec<_>) =
                changed.into_iter().partition(|(slot, _)| troubles.contains_key(slot));
            changed = good;
            if bad.is_empty() {
                break;
            }
            for (slot, before) in bad {
                let Some(service) = self.get_mut(slot) else { continue };
                let reason = troubles.get(&slot).map(reason).unwrap_or_default();
                report.kept.push((service.name().clone(), reason));
                if service.machine.engaged() {
                    service.next = (*service.definition != *before).then_some(before);
                } else {
                    service.definition = before;
                }
            }
        }
        for (slot, _) in changed {
            let Some(service) = self.get(slot) else { continue };
            let list = if service.next.is_some() { &mut report.need_restart } else { &mut report.changed };
            list.push(service.name().clone());
        }
        let troubles = self.troubles();
        for name in &report.added {
            let slot = self.find(name);
            if let Some((_, Some(trouble))) = troubles.iter().find(|(other, _)| Some(*other) == slot) {
                report.kept.push((name.clone(), reason(trouble)));
            }
        }
    }

    /// Draws the connections, starts what is new and automatic or can start now, looks at everybody once.
    fn put_in_force(&mut self, turn: &mut Turn, before: &BTreeMap<ServiceName, Option<Trouble>>) {
        self.relink();
        for slot in self.all() {
            let Some(service) = self.get_mut(slot) else { continue };
            let new = match before.get(service.name()) {
                None => true,
                Some(Some(_)) if service.trouble.is_none() => {
                    service.failure = None;
                    true
                }
                Some(_) => false,
            };
            self.touch(slot);
            self.enqueue(slot);
            if new && self.gate == Gate::Open {
                self.begin_automatic(turn, slot);
            }
        }
        // Those that wait for their dependencies may have got other ones.
        for slot in self.all() {
            if self.machine(slot) == Some(Machine::StartPending(Starting::Waiting)) {
                self.begin_depends(turn, slot);
            }
        }
    }

    /// Starts what it needs.
    pub(super) fn begin_depends(&mut self, turn: &mut Turn, slot: Slot) {
        for other in self.get(slot).map(|service| service.depends.clone()).unwrap_or_default() {
            self.begin(turn, other);
        }
    }

    /// Puts a service into the table. Its name must not be in it.
    pub fn add(&mut self, service: Service) -> Slot {
        let name = service.name().clone();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                Slot(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
            }
        };
        if let Some(place) = self.slots.get_mut(slot.0 as usize) {
            *place = Some(service);
        }
        self.names.insert(name, slot);
        slot
    }

    /// Starts it if it is to start with the host.
    pub fn begin_automatic(&mut self, turn: &mut Turn, slot: Slot) {
        let automatic = self.get(slot).is_some_and(|service| {
            service.definition.start == StartType::Auto || service.definition.owner == Owner::Builtin
        });
        if automatic {
            self.begin(turn, slot);
        }
    }

    /// Starts everything that starts with the host, our own services first.
    pub fn begin_all_automatic(&mut self, turn: &mut Turn) {
        let (own, others): (Vec<Slot>, Vec<Slot>) = self
            .all()
            .into_iter()
            .partition(|slot| self.get(*slot).is_some_and(|s| s.definition.owner == Owner::Builtin));
        for slot in own.into_iter().chain(others) {
            self.begin_automatic(turn, slot);
        }
    }
}

fn reason(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Missing(name) => {
            alloc::format!("cannot start: it depends on {name}, which is not configured")
        }
        Trouble::Circular => String::from("cannot start: it depends on itself by way of others"),
    }
}
