//! All services of the host, what connects them, and the propagation of a change to its neighbours.
//!
//! A service lives in a slot; names, launches and deadlines are indexes into the slots. Whoever changes a service does
//! it through [`Services::enter`], which keeps the indexes, says the new state, and queues the neighbours;
//! [`Services::settle`] then looks at each queued service until nothing moves.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use super::definition::Definition;
use super::machine::{Machine, Starting, Step, Stopped};
use super::status::{Failure, OutputLost, Reloading, State, Status, WaitsForUser};
use super::waiter::Waiter;
use crate::event::Event;
use crate::id::{LaunchId, RequestId, ServiceName};
use crate::launch::exit::{ExitStatus, Usage};
use crate::system::Effect;
use crate::system::turn::Turn;
use crate::time::Time;

/// A place in the table. Used again after its service is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub u32);

/// One service: its definition, its life, and what is remembered of it.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// In use: what its process was launched by, or will be.
    pub definition: Box<Definition>,
    /// A newer one, used from the next time it is stopped.
    pub next: Option<Box<Definition>>,
    /// Whether it is still configured.
    pub file: File,
    /// What it is doing.
    pub machine: Machine,
    /// Since when it is in its state.
    pub since: Time,
    /// The last failure.
    pub failure: Option<Failure>,
    /// Failures in a row.
    pub failures: u32,
    /// Ends in a row that nobody asked for, failures or not: what the back-off counts.
    pub streak: u32,
    /// How its last main process ended.
    pub last_exit: Option<ExitStatus>,
    /// What it used.
    pub last_usage: Option<Usage>,
    /// ERRNO= of this launch.
    pub errno: Option<i32>,
    /// STATUS= of this launch.
    pub text: Option<Box<str>>,
    /// What only a person could answer, in this launch.
    pub waits_for_user: Option<Box<WaitsForUser>>,
    /// Display connections that are held open.
    pub connections_held: u32,
    /// Output lost, by this logger and by those before it.
    pub lost: OutputLost,
    /// Of that, by those before it.
    pub lost_before: OutputLost,
    /// How its last stop ended.
    pub ending: Ending,
    /// Slots of what it depends on, by the definition in use.
    pub depends: Vec<Slot>,
    /// Slots of those that depend on it, by the definitions in use.
    pub dependents: Vec<Slot>,
    /// Why it can never start, by the definition configured.
    pub trouble: Option<Trouble>,
    /// Clients that wait for it.
    pub waiters: Vec<Waiter>,
    /// Its entry in the table's deadlines.
    pub armed: Option<Time>,
    /// The record init has of it.
    pub stored: Option<Box<[u8]>>,
    /// It is in the list of those changed in this turn.
    pub touched: bool,
    /// It is in the queue of those to look at.
    pub queued: bool,
}

/// Whether a service is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// It is.
    Present,
    /// Not any more: it goes when it is stopped.
    Gone,
}

/// How a service's last stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Ending {
    /// In its time.
    InTime,
    /// It had to be killed.
    Killed,
}

/// Why a service can never start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This dependency is not configured.
    Missing(ServiceName),
    /// It depends on itself.
    Circular,
}

/// Whether services may be launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Gate {
    /// No: Session 0 is not there.
    #[default]
    Closed,
    /// Yes.
    Open,
    /// Never again: the host shuts down.
    ShuttingDown,
    /// Never again, and Session 0 is gone already.
    Over,
}

impl Gate {
    /// Whether the host goes down.
    pub fn shutting_down(self) -> bool {
        matches!(self, Gate::ShuttingDown | Gate::Over)
    }

    /// Whether there is an init that keeps records.
    pub fn keeps_records(self) -> bool {
        matches!(self, Gate::Open | Gate::ShuttingDown)
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    /// The services.
    pub slots: Vec<Option<Service>>,
    /// Slots without a service.
    pub free: Vec<Slot>,
    /// Slots by name.
    pub names: BTreeMap<ServiceName, Slot>,
    /// Slots by the launch that is alive or being made.
    pub launches: BTreeMap<LaunchId, Slot>,
    /// When something must be done about which.
    pub deadlines: BTreeSet<(Time, Slot)>,
    /// Requests that wait, by the service they wait for.
    pub requests: BTreeMap<RequestId, Slot>,
    /// Whether services may be launched.
    pub gate: Gate,
    /// The last launch's number.
    pub launch_last: u64,
    /// Numbers up to this one are reserved in the host's record.
    pub launch_reserved: u64,
    /// Services to look at.
    pub queue: VecDeque<Slot>,
    /// Services changed in this turn.
    pub touched: Vec<Slot>,
    /// Requests of this turn that are answered with a service's status at its end.
    pub begun: Vec<(RequestId, Slot)>,
}

/// How many launch numbers are reserved at once.
pub(crate) const LAUNCHES_RESERVED: u64 = 1024;

impl Service {
    /// One that never ran.
    pub fn new(definition: Box<Definition>, now: Time) -> Service {
        Service {
            definition,
            next: None,
            file: File::Present,
            machine: Machine::Stopped(Stopped::Down),
            since: now,
            failure: None,
            failures: 0,
            streak: 0,
            last_exit: None,
            last_usage: None,
            errno: None,
            text: None,
            waits_for_user: None,
            connections_held: 0,
            lost: OutputLost::default(),
            lost_before: OutputLost::default(),
            ending: Ending::InTime,
            depends: Vec::new(),
            dependents: Vec::new(),
            trouble: None,
            waiters: Vec::new(),
            armed: None,
            stored: None,
            touched: false,
            queued: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServiceName {
        &self.definition.name
    }

    /// The definition it will have next.
    pub fn configured(&self) -> &Definition {
        self.next.as_deref().unwrap_or(&self.definition)
    }
}

impl Trouble {
    /// As a failure.
    pub fn failure(&self) -> Failure {
        match self {
            Trouble::Missing(name) => Failure::DependencyMissing(name.clone()),
            Trouble::Circular => Failure::CircularDependency,
        }
    }
}

impl Services {
    /// The service in a slot, unless it was forgotten.
    pub fn get(&self, slot: Slot) -> Option<&Service> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    /// The same, to change what is not its machine.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Service> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    /// The slot of a name.
    pub fn find(&self, name: &ServiceName) -> Option<Slot> {
        self.names.get(name).copied()
    }

    /// What a slot's service is doing.
    pub fn machine(&self, slot: Slot) -> Option<Machine> {
        self.get(slot).map(|service| service.machine)
    }

    /// Slots in the order of their names.
    pub fn all(&self) -> Vec<Slot> {
        self.names.values().copied().collect()
    }

    /// The services in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.names.values().filter_map(|slot| self.get(*slot))
    }

    /// Its record may have to be written, its waiters answered.
    pub fn touch(&mut self, slot: Slot) {
        if let Some(service) = self.get_mut(slot)
            && !core::mem::replace(&mut service.touched, true)
        {
            self.touched.push(slot);
        }
    }

    /// It has to be looked at.
    pub fn enqueue(&mut self, slot: Slot) {
        if let Some(service) = self.get_mut(slot)
            && !core::mem::replace(&mut service.queued, true)
        {
            self.queue.push_back(slot);
        }
    }

    /// The one way to change what a service is doing.
    pub fn enter(&mut self, turn: &mut Turn, slot: Slot, machine: Machine) {
        let Some(service) = self.get_mut(slot) else { return };
        if service.machine.state() != machine.state() {
            service.since = turn.now;
            turn.emit(Event::ServiceState { service: service.name().clone(), state: machine.state() });
        }
        self.place(slot, machine);
    }

    /// The same without telling anybody: for a new daemon that finds it so.
    pub(super) fn place(&mut self, slot: Slot, machine: Machine) {
        let Some(service) = self.slots.get_mut(slot.0 as usize).and_then(Option::as_mut) else { return };
        let before = core::mem::replace(&mut service.machine, machine);
        if before == machine {
            return;
        }
        let armed = machine.deadline();
        let disarmed = core::mem::replace(&mut service.armed, armed);
        if disarmed != armed {
            disarmed.map(|time| self.deadlines.remove(&(time, slot)));
            armed.map(|time| self.deadlines.insert((time, slot)));
        }
        if before.launch() != machine.launch() {
            before.launch().map(|launch| self.launches.remove(&launch));
            machine.launch().map(|launch| self.launches.insert(launch, slot));
        }
        self.touch(slot);
        self.enqueue(slot);
        if before.running() != machine.running()
            || before.engaged() != machine.engaged()
            || before.stopped() != machine.stopped()
        {
            self.enqueue_neighbours(slot);
        }
    }

    fn enqueue_neighbours(&mut self, slot: Slot) {
        let Some(service) = self.get_mut(slot) else { return };
        let dependents = core::mem::take(&mut service.dependents);
        let depends = core::mem::take(&mut service.depends);
        for neighbour in dependents.iter().chain(&depends) {
            self.enqueue(*neighbour);
        }
        if let Some(service) = self.get_mut(slot) {
            service.dependents = dependents;
            service.depends = depends;
        }
    }

    /// Looks at queued services until nothing moves.
    pub fn settle(&mut self, turn: &mut Turn) {
        while let Some(slot) = self.queue.pop_front() {
            if let Some(service) = self.get_mut(slot) {
                service.queued = false;
                self.look(turn, slot);
            }
        }
    }

    /// What one service does about the state of its neighbours.
    fn look(&mut self, turn: &mut Turn, slot: Slot) {
        let Some(service) = self.get(slot) else { return };
        let machine = service.machine;
        if service.file == File::Gone && !machine.engaged() {
            self.enter(turn, slot, Machine::Stopped(Stopped::Down));
            return self.forget(turn, slot);
        }
        match machine {
            Machine::Stopped(Stopped::Down | Stopped::Restart { .. }) => {}
            Machine::Stopped(Stopped::Held) => self.look_held(turn, slot),
            Machine::StartPending(Starting::Waiting) => self.look_waiting(turn, slot),
            Machine::StartPending(Starting::Launching { .. } | Starting::Unready { .. })
            | Machine::Running(_) => {
                if let Some(lost) = self.dependency_not_running(slot) {
                    self.lose_dependency(turn, slot, lost);
                }
            }
            Machine::StopPending(stopping) => {
                if matches!(stopping.step, Step::Dependents { .. }) && !self.dependents_engaged(slot) {
                    self.ask(turn, slot);
                }
            }
        }
    }

    /// The first dependency that does not run.
    pub fn dependency_not_running(&self, slot: Slot) -> Option<Slot> {
        let depends = &self.get(slot)?.depends;
        depends.iter().copied().find(|other| !self.machine(*other).is_some_and(|machine| machine.running()))
    }

    /// Whether a service that depends on it has processes.
    pub fn dependents_engaged(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|service| {
            service
                .dependents
                .iter()
                .any(|other| self.machine(*other).is_some_and(|machine| machine.engaged()))
        })
    }

    /// All services that depend on it, directly or not, and are not stopped; those to be stopped first come first.
    pub fn dependents_active(&self, slot: Slot) -> Vec<Slot> {
        let mut seen: BTreeSet<Slot> = BTreeSet::from([slot]);
        let mut found = Vec::new();
        let mut next = 0;
        let mut current = slot;
        loop {
            let dependents =
                self.get(current).map(|service| service.dependents.as_slice()).unwrap_or_default();
            for other in dependents {
                if self.machine(*other).is_some_and(|machine| !machine.stopped()) && seen.insert(*other) {
                    found.push(*other);
                }
            }
            match found.get(next) {
                Some(other) => current = *other,
                None => break,
            }
            next += 1;
        }
        found.reverse();
        found
    }

    /// The next launch's number.
    pub fn next_launch(&mut self) -> LaunchId {
        self.launch_last += 1;
        if self.launch_last > self.launch_reserved {
            self.launch_reserved = self.launch_last + LAUNCHES_RESERVED;
        }
        LaunchId(self.launch_last)
    }

    /// Begins a launch.
    pub fn launch(&mut self, turn: &mut Turn, slot: Slot) {
        let launch = self.next_launch();
        self.logger_begins(slot);
        let Some(service) = self.get_mut(slot) else { return };
        service.errno = None;
        service.text = None;
        service.waits_for_user = None;
        service.connections_held = 0;
        service.ending = Ending::InTime;
        let name = service.name().clone();
        self.enter(turn, slot, Machine::StartPending(Starting::Launching { launch }));
        turn.push(Effect::Launch { launch, service: name });
    }

    /// A service as it is now.
    pub fn status(&self, slot: Slot) -> Option<Status> {
        self.get(slot).map(|service| self.status_of(slot, service))
    }

    fn status_of(&self, slot: Slot, service: &Service) -> Status {
        let waits_for = match service.machine {
            Machine::StartPending(Starting::Waiting) => self.dependency_not_running(slot),
            _ => None,
        };
        let (restart_at, reloading) = match service.machine {
            Machine::Stopped(Stopped::Restart { at }) => (Some(at), Reloading::No),
            Machine::Running(running) => (None, running.reloading),
            _ => (None, Reloading::No),
        };
        let definition = &service.definition;
        Status {
            name: definition.name.clone(),
            description: definition.description.clone(),
            start: definition.start,
            kind: definition.kind,
            account: definition.account.clone(),
            state: service.machine.state(),
            since: service.since,
            launch: service.machine.launch(),
            pid: service.machine.pid(),
            failure: service.failure.clone(),
            failures: service.failures,
            restart_at,
            last_exit: service.last_exit,
            last_usage: service.last_usage,
            text: service.text.as_deref().map(String::from),
            reloading,
            waits_for: waits_for.and_then(|other| self.get(other)).map(|other| other.name().clone()),
            waits_for_user: service.waits_for_user.as_deref().cloned(),
            output_lost: service.lost,
            stop_wait: definition.stop_wait,
        }
    }

    /// All services as they are now, by name.
    pub fn statuses(&self) -> Vec<Status> {
        self.names.values().filter_map(|slot| self.status(*slot)).collect()
    }

    /// Services by state: stopped, start pending, stop pending, running.
    pub fn counts(&self) -> [u32; 4] {
        let mut counts = [0; 4];
        for service in self.iter() {
            counts[match service.machine.state() {
                State::Stopped => 0,
                State::StartPending => 1,
                State::StopPending => 2,
                State::Running => 3,
            }] += 1;
        }
        counts
    }
}
