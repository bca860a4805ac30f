//! Who depends on whom, and who can never start because of it.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::machine::{Machine, Stopped};
use super::table::{File, Gate, Service, Services, Slot, Trouble};
use crate::id::ServiceName;
use crate::system::Effect;
use crate::system::turn::Turn;

use super::record;

impl Services {
    /// Draws all connections anew, from the definitions in use, and finds those that can never start, from the
    /// definitions configured.
    pub fn relink(&mut self) {
        let slots = self.all();
        for slot in &slots {
            if let Some(service) = self.get_mut(*slot) {
                service.dependents = Vec::new();
            }
        }
        for slot in &slots {
            let Some(service) = self.get(*slot) else { continue };
            let mut depends: Vec<Slot> =
                service.definition.depends.iter().filter_map(|name| self.find(name)).collect();
            depends.sort_unstable();
            depends.dedup();
            for other in &depends {
                if let Some(other) = self.get_mut(*other) {
                    other.dependents.push(*slot);
                }
            }
            if let Some(service) = self.get_mut(*slot) {
                service.depends = depends;
            }
        }
        for (slot, trouble) in self.troubles() {
            if let Some(service) = self.get_mut(slot) {
                service.trouble = trouble;
            }
        }
    }

    /// For each service, why it can never start by its configured definition.
    pub fn troubles(&self) -> Vec<(Slot, Option<Trouble>)> {
        let circular = self.circular();
        let trouble = |slot: Slot| {
            let service = self.get(slot)?;
            let missing = service.configured().depends.iter().find(|name| !self.configured(name));
            match (missing, circular.get(slot.0 as usize)) {
                (Some(name), _) => Some(Trouble::Missing(name.clone())),
                (None, Some(true)) => Some(Trouble::Circular),
                (None, _) => None,
            }
        };
        self.names.values().map(|slot| (*slot, trouble(*slot))).collect()
    }

    fn configured(&self, name: &ServiceName) -> bool {
        self.find(name).and_then(|slot| self.get(slot)).is_some_and(|service| service.file == File::Present)
    }

    /// Which slots are in a cycle: what remains when services without dependencies, and then those without
    /// dependents, are taken away again and again. (One between two cycles remains too; it can start as little.)
    fn circular(&self) -> Vec<bool> {
        let mut remains = vec![false; self.slots.len()];
        let mut down: Vec<Vec<usize>> = vec![Vec::new(); self.slots.len()];
        let mut up: Vec<Vec<usize>> = vec![Vec::new(); self.slots.len()];
        for slot in self.names.values() {
            let Some(service) = self.get(*slot) else { continue };
            let slot = slot.0 as usize;
            remains[slot] = true;
            for other in service.configured().depends.iter().filter_map(|name| self.find(name)) {
                down[slot].push(other.0 as usize);
                up[other.0 as usize].push(slot);
            }
        }
        peel(&mut remains, &down, &up);
        peel(&mut remains, &up, &down);
        remains
    }

    /// A stopped service takes its newer definition. If it is to start again, what it newly needs starts too.
    pub(super) fn adopt(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.get_mut(slot) else { return };
        let Some(next) = service.next.take() else { return };
        let connections = service.definition.depends != next.depends;
        service.definition = next;
        let wanted = service.machine != Machine::Stopped(Stopped::Down);
        if connections {
            self.relink();
            if wanted && self.gate == Gate::Open {
                self.begin_depends(turn, slot);
            }
        }
        self.touch(slot);
        self.enqueue(slot);
    }

    /// A stopped service whose file is gone leaves the table, and init.
    pub(super) fn forget(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.take_out(turn, slot) else { return };
        self.relink();
        for neighbour in service.dependents.iter().chain(&service.depends) {
            self.enqueue(*neighbour);
        }
    }

    /// The same, with the connections left for the caller to draw anew.
    pub(super) fn take_out(&mut self, turn: &mut Turn, slot: Slot) -> Option<Service> {
        self.answer(turn, slot);
        let service = self.slots.get_mut(slot.0 as usize)?.take()?;
        service.armed.map(|time| self.deadlines.remove(&(time, slot)));
        for waiter in &service.waiters {
            // Stopped services have answered everybody; this keeps the index right whatever happens.
            self.requests.remove(&waiter.id);
        }
        let begun = core::mem::take(&mut self.begun);
        for (id, other) in begun {
            if other == slot {
                turn.reply(id, Ok(crate::system::Reply::Done));
            } else {
                self.begun.push((id, other));
            }
        }
        self.names.remove(service.name());
        self.free.push(slot);
        turn.push(Effect::Forget(service.name().clone()));
        if service.stored.is_some() {
            turn.push(Effect::Unstore(record::key(service.name())));
        }
        Some(service)
    }
}

/// Takes away those whose `down` are all taken away, again and again.
fn peel(remains: &mut [bool], down: &[Vec<usize>], up: &[Vec<usize>]) {
    let mut open: Vec<usize> =
        down.iter().map(|others| others.iter().filter(|other| remains[**other]).count()).collect();
    let mut ready: VecDeque<usize> = (0..remains.len()).filter(|at| remains[*at] && open[*at] == 0).collect();
    while let Some(at) = ready.pop_front() {
        remains[at] = false;
        for above in &up[at] {
            open[*above] = open[*above].saturating_sub(1);
            if remains[*above] && open[*above] == 0 {
                ready.push_back(*above);
            }
        }
    }
}
