//! A new daemon takes over: records, live launches and exits become services again, and nothing that runs notices.
//!
//! For each launch a record speaks of there are three cases: init has it **alive**, init has its **exit**, or init knows
//! nothing of it. The last means that a launch was recorded but never told to init, so it is made again; a main
//! process that ran and is unknown is a failure ([`Failure::Lost`]). Kills are sent again: they may have been lost, and a second
//! one does no harm. Exits are then replayed as if they came in now.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::definition::{Definition, Kind, NotifyAccess, Owner, Restart, StartType};
use super::machine::{Group, Machine, Running, Starting, Step, Stopped, Stopping};
use super::record::{self, Record};
use super::status::{Failure, Reloading};
use super::table::{File, Service, Services, Slot};
use crate::access::Grant;
use crate::id::{LaunchId, ServiceName};
use crate::launch::plan::LaunchPlan;
use crate::launch::wire::{Remains, SignalTo};
use crate::limit;
use crate::system::turn::Turn;
use crate::system::{Alive, Effect, Recovered};

/// What init says of a launch.
#[derive(Clone, Copy)]
enum Known {
    Alive(i32),
    Exited,
    Nothing,
}

impl Services {
    /// Takes over what the daemon before left; the configuration is in the table already.
    pub fn recover(&mut self, turn: &mut Turn, recovered: Recovered) {
        let alive: BTreeMap<LaunchId, &Alive> =
            recovered.alive.iter().map(|alive| (alive.launch, alive)).collect();
        let exited: BTreeSet<LaunchId> = recovered.exits.iter().map(|exit| exit.launch).collect();
        let known = |launch| match (exited.contains(&launch), alive.get(&launch)) {
            (true, _) => Known::Exited,
            (false, Some(alive)) => Known::Alive(alive.pid),
            (false, None) => Known::Nothing,
        };
        let mut new: BTreeSet<Slot> = self.names.values().copied().collect();
        let mut found: Vec<(Slot, Machine)> = Vec::new();
        for (key, bytes) in &recovered.records {
            let Some(unit) = key.strip_prefix(record::PREFIX) else { continue };
            let Ok(name) = ServiceName::new(unit) else { continue };
            match (Record::read(bytes), self.find(&name)) {
                (Some(record), Some(slot)) => {
                    new.remove(&slot);
                    found.push((slot, record.machine));
                    self.take_record(slot, record, bytes);
                }
                (Some(record), None) if record.machine.engaged() => {
                    let slot = self.add(orphan(name, record.stop, turn));
                    found.push((slot, record.machine));
                    self.take_record(slot, record, bytes);
                }
                (Some(_), None) => {
                    turn.push(Effect::Forget(name.clone()));
                    turn.push(Effect::Unstore(key.clone()));
                }
                (None, _) => turn.push(Effect::Unstore(key.clone())),
            }
        }
        for (slot, machine) in found {
            self.resume(turn, slot, machine, known);
        }
        self.adopt_strays(turn, &recovered.alive, &exited, &mut new);
        self.relink();
        for (launch, pid) in self.alive_launching(&alive) {
            self.launched(turn, launch, pid);
        }
        for exit in recovered.exits {
            self.exited(turn, exit.launch, exit.status, exit.remains, exit.usage);
        }
        for slot in self.all() {
            self.touch(slot);
            self.enqueue(slot);
        }
        self.begin_new(turn, &new);
    }

    fn begin_new(&mut self, turn: &mut Turn, new: &BTreeSet<Slot>) {
        for slot in self.all() {
            let Some(service) = self.get(slot) else { continue };
            // What could never start before and can now is as new.
            let freed = service.trouble.is_none()
                && matches!(
                    service.failure,
                    Some(Failure::DependencyMissing(_) | Failure::CircularDependency)
                );
            if new.contains(&slot) || freed || service.definition.owner == Owner::Builtin {
                self.begin_automatic(turn, slot);
            }
        }
    }

    fn take_record(&mut self, slot: Slot, record: Record, bytes: &[u8]) {
        let Some(service) = self.get_mut(slot) else { return };
        service.since = record.since;
        service.failure = record.failure;
        service.failures = record.failures;
        service.streak = record.streak;
        service.last_exit = record.last_exit;
        service.last_usage = record.last_usage;
        service.errno = record.errno;
        service.text = record.text;
        service.waits_for_user = record.waits_for_user;
        service.connections_held = record.connections_held;
        service.lost = record.lost;
        service.lost_before = record.lost_before;
        service.ending = record.ending;
        service.stored = Some(bytes.into());
        if record.machine.engaged() && service.definition.depends != record.depends {
            // It was launched by another definition: the new one is for the next time.
            let mut used = service.definition.clone();
            used.depends = record.depends;
            service.next = Some(core::mem::replace(&mut service.definition, used));
        }
    }

    /// Puts one service into the state its record and init say together.
    fn resume(&mut self, turn: &mut Turn, slot: Slot, machine: Machine, known: impl Fn(LaunchId) -> Known) {
        let known = machine.launch().map_or(Known::Nothing, known);
        match machine {
            Machine::Stopped(_) | Machine::StartPending(Starting::Waiting) => self.place(slot, machine),
            Machine::StartPending(Starting::Launching { .. }) => match known {
                Known::Alive(_) | Known::Exited => self.place(slot, machine),
                Known::Nothing => self.place(slot, Machine::StartPending(Starting::Waiting)),
            },
            Machine::StartPending(Starting::Unready { .. }) | Machine::Running(_) => {
                let mut machine = machine;
                if let Machine::Running(Running { watchdog: Some(watchdog), .. }) = &mut machine {
                    watchdog.deadline = turn.now + watchdog.interval;
                }
                match (known, machine.launch(), machine.pid()) {
                    (Known::Alive(pid), Some(launch), Some(said)) if said > 0 && said != pid => {
                        // It named another main process, and init may not have been told.
                        turn.push(Effect::SetMain { launch, pid: said });
                    }
                    (Known::Alive(pid), _, _) => machine.set_pid(pid),
                    (Known::Exited | Known::Nothing, _, _) => {}
                }
                self.place(slot, machine);
                if matches!(known, Known::Nothing) {
                    let after = self.follow(turn, slot, Some(Failure::Lost));
                    self.leave(turn, slot, Remains::Processes, after);
                }
            }
            Machine::StopPending(stopping) => self.resume_stop(turn, slot, stopping, known),
        }
    }

    fn resume_stop(&mut self, turn: &mut Turn, slot: Slot, stopping: Stopping, known: Known) {
        let Stopping { step, after } = stopping;
        let place = |step| Machine::StopPending(Stopping { step, after });
        match (step, known) {
            (Step::Sweeping, _) | (_, Known::Nothing) => {
                self.place(slot, place(Step::Sweeping));
                self.kill(turn, slot, Step::Sweeping, after);
            }
            (Step::Launching { launch, .. } | Step::Dependents { launch, .. }, Known::Alive(pid)) => {
                self.place(slot, place(Step::Dependents { launch, pid }));
            }
            (Step::Asked { launch, deadline, .. }, Known::Alive(pid)) => {
                self.place(slot, place(Step::Asked { launch, pid, deadline }));
                if let Some(service) = self.get(slot)
                    && after != super::machine::After::Policy
                {
                    // It may never have been sent.
                    let signal = service.definition.stop_signal;
                    turn.push(Effect::Signal { launch, signal, to: SignalTo::Main });
                }
            }
            (Step::Killing { launch, pid, .. }, Known::Alive(_) | Known::Exited) => {
                let pid = match known {
                    Known::Alive(pid) => Some(pid),
                    Known::Exited | Known::Nothing => pid,
                };
                let step = Step::Killing { launch, pid, group: Group::Due };
                self.place(slot, place(step));
                self.kill(turn, slot, step, after);
            }
            (Step::Launching { .. } | Step::Dependents { .. } | Step::Asked { .. }, Known::Exited) => {
                self.place(slot, place(step));
            }
        }
    }

    /// Live launches no record speaks of: a service without a record gets its launch back, anything else is a leftover.
    fn adopt_strays(
        &mut self,
        turn: &mut Turn,
        alive: &[Alive],
        exited: &BTreeSet<LaunchId>,
        new: &mut BTreeSet<Slot>,
    ) {
        for stray in alive {
            if self.launches.contains_key(&stray.launch) || exited.contains(&stray.launch) {
                continue;
            }
            let slot = ServiceName::new(&stray.unit).ok().map(|name| match self.find(&name) {
                Some(slot) => slot,
                None => {
                    let slot = self.add(orphan(name, (15, limit::STOP_WAIT), turn));
                    new.insert(slot);
                    slot
                }
            });
            match slot {
                Some(slot) if new.remove(&slot) => {
                    let running = Running {
                        launch: stray.launch,
                        pid: stray.pid,
                        ready: stray.at,
                        watchdog: None,
                        reloading: Reloading::No,
                    };
                    self.adopt_stray(slot, running);
                }
                _ => turn.push(Effect::Signal { launch: stray.launch, signal: 9, to: SignalTo::Main }),
            }
        }
    }

    /// What it was launched by is not known: what it depends on begins to count when it is started the next time.
    fn adopt_stray(&mut self, slot: Slot, running: Running) {
        let Some(service) = self.get_mut(slot) else { return };
        service.since = running.ready;
        if !service.definition.depends.is_empty() {
            let mut used = service.definition.clone();
            used.depends = Vec::new();
            service.next = Some(core::mem::replace(&mut service.definition, used));
        }
        self.place(slot, Machine::Running(running));
    }

    /// Launches that came to exec while no daemon was there.
    fn alive_launching(&self, alive: &BTreeMap<LaunchId, &Alive>) -> Vec<(LaunchId, i32)> {
        let launching = |launch: &LaunchId, slot: Slot| match self.machine(slot) {
            Some(Machine::StartPending(Starting::Launching { .. })) => {
                alive.get(launch).map(|a| (*launch, a.pid))
            }
            _ => None,
        };
        self.launches.iter().filter_map(|(launch, slot)| launching(launch, *slot)).collect()
    }
}

/// A service that runs but is not configured any more: it goes when it is stopped.
fn orphan(name: ServiceName, stop: (u8, core::time::Duration), turn: &Turn) -> Service {
    let plan = LaunchPlan::bare("", 0, 0);
    let definition = Definition {
        pipes: Vec::new(),
        name,
        description: String::from("its file is gone; it goes when it is stopped"),
        start: StartType::Demand,
        kind: Kind::Simple,
        depends: Vec::new(),
        restart: Restart::Never,
        restart_delay: limit::RESTART_DELAY,
        start_wait: limit::START_WAIT,
        stop_wait: stop.1,
        stop_signal: stop.0,
        notify_access: NotifyAccess::Main,
        watchdog: None,
        owner: Owner::Administrator,
        control: Grant::default(),
        account: String::new(),
        plan,
    };
    Service {
        file: File::Gone,
        machine: Machine::Stopped(Stopped::Down),
        ..Service::new(Box::new(definition), turn.now)
    }
}
