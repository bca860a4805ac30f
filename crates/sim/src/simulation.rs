//! One run: what happens when, who is told, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use session0_model::access::{Caller, Origin};
use session0_model::event::Event;
use session0_model::id::{LaunchId, RequestId, SESSION_ZERO, ServiceName};
use session0_model::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase};
use session0_model::service::definition::{Definition, Owner, StartType};
use session0_model::service::notify::{Notification, Sender};
use session0_model::service::status::State;
use session0_model::system::{
    Configuration, Dependents, Effect, ExitReason, HostRequest, Input, Request, ServiceRequest, System, Wait,
};
use session0_model::time::Time;

use crate::Random;
use crate::kernel::{Kernel, Process};
use crate::program::{Children, End, HandsOver, Program};
use crate::services::{self, SHUTDOWN_WAIT, name};

/// What kinds of faults a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How long faults go on, in virtual time.
    pub faults: Duration,
    /// How many things clients and faults do.
    pub acts: u64,
    /// How many records the init keeps.
    pub records_max: usize,
}

impl Plan {
    /// The plan of a seed: most runs have a roomy record table, some a full one.
    pub fn of(random: &mut Random) -> Plan {
        let records_max = if random.percent(15) { 4 } else { 10_000 };
        Plan { faults: Duration::from_secs(30 + random.below(90)), acts: 20 + random.below(60), records_max }
    }
}

/// Something that happens at its time.
#[derive(Debug, Clone)]
enum Happening {
    /// Init tells the daemon of this life.
    Told { daemon: u64, session: u64, input: Box<Input> },
    /// Something that concerns the processes of this session.
    In { session: u64, what: Inside },
    /// The false kernel made the session this daemon asked for, or could not.
    Made { daemon: u64 },
    /// The daemon is told that its session ended.
    Ended { session: u64 },
    /// The configuration was read for this daemon.
    Loaded { daemon: u64 },
    /// The keeper starts the daemon.
    DaemonStarts,
    /// A client or a fault acts.
    Act,
}

/// Something that concerns the processes of a session.
#[derive(Debug, Clone, Copy)]
enum Inside {
    /// A launch comes to exec, or does not.
    Exec(LaunchId),
    /// The program does something by itself.
    Ready(LaunchId),
    /// It feeds its watchdog.
    Ping(LaunchId),
    /// It says STOPPING=1.
    Goodbye(LaunchId),
    /// It ends.
    Ends(LaunchId, ExitStatus),
    /// The processes a kill concerned are gone: those of this launch's unit.
    Killed(u64),
}

/// What the keeper was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// To keep the host up.
    WantsUp,
    /// To take it down; it tells every daemon.
    WantsDown,
}

/// A run.
#[derive(Debug)]
pub struct Simulation {
    random: Random,
    seed: u64,
    now: Time,
    order: u64,
    agenda: BTreeMap<(Time, u64), Happening>,
    calm_at: Time,
    acts_left: u64,
    records_max: usize,
    original: Configuration,
    configuration: Configuration,
    system: Option<System>,
    daemon: u64,
    /// The daemon dies after this many more effects.
    dies_after: Option<u64>,
    kernel: Option<Kernel>,
    /// A session is being made for this daemon.
    making: Option<u64>,
    session: u64,
    kill_targets: Vec<(String, Vec<LaunchId>)>,
    keeper: Keeper,
    pid: i32,
    request: u64,
    waiting: BTreeSet<RequestId>,
    launched: BTreeSet<(u64, LaunchId)>,
    down: Option<Time>,
    states: BTreeMap<ServiceName, State>,
    trace: Vec<String>,
    /// Steps of the model.
    pub steps: u64,
}

impl Simulation {
    /// The run of a seed.
    pub fn new(seed: u64) -> Simulation {
        let mut random = Random::new(seed);
        let plan = Plan::of(&mut random);
        Simulation::with(seed, plan, random)
    }

    fn with(seed: u64, plan: Plan, mut random: Random) -> Simulation {
        let configuration = services::configuration(&mut random);
        let start = Time(5_000_000_000);
        let mut simulation = Simulation {
            random,
            seed,
            now: start,
            order: 0,
            agenda: BTreeMap::new(),
            calm_at: start + plan.faults,
            acts_left: plan.acts,
            records_max: plan.records_max,
            original: configuration.clone(),
            configuration,
            system: None,
            daemon: 0,
            dies_after: None,
            kernel: None,
            making: None,
            session: 0,
            kill_targets: Vec::new(),
            keeper: Keeper::WantsUp,
            pid: 1,
            request: 0,
            waiting: BTreeSet::new(),
            launched: BTreeSet::new(),
            down: None,
            states: BTreeMap::new(),
            trace: Vec::new(),
            steps: 0,
        };
        simulation.later(Duration::ZERO, Happening::DaemonStarts);
        for _ in 0..plan.acts {
            let at = simulation.random.span(plan.faults);
            simulation.later(at, Happening::Act);
        }
        simulation
    }

    /// Runs it to its end and checks what must be true then. Panics, with the trace's end, if it is not.
    pub fn run(&mut self) {
        let calm = self.calm_at;
        self.run_until(calm);
        self.acts_left = 0;
        self.dies_after = None;
        self.note("calm");
        self.run_until(calm + Duration::from_secs(200));
        self.configuration = self.original.clone();
        if self.random.percent(20) {
            return self.run_shutdown();
        }
        self.ask(Request::Host(HostRequest::Reload));
        self.run_until(calm + Duration::from_secs(400));
        for definition in self.original.services.clone() {
            if definition.start == StartType::Auto && definition.owner == Owner::Administrator {
                let name = definition.name;
                self.ask(Request::Service(ServiceRequest::Start { name, wait: Wait::Settled }));
            }
        }
        self.run_until(calm + Duration::from_secs(1000));
        self.check_rest();
    }

    fn run_shutdown(&mut self) {
        let begun = self.now;
        self.keeper = Keeper::WantsDown;
        if self.random.percent(50) {
            self.dies_after = Some(self.random.below(20));
        }
        self.tell(Input::Shutdown);
        self.run_until(begun + SHUTDOWN_WAIT + Duration::from_secs(60));
        let Some(down) = self.down else { panic!("{}: the host does not go down", self.seed) };
        let took = down.since(begun);
        assert!(took <= SHUTDOWN_WAIT + Duration::from_secs(10), "{}: going down took {took:?}", self.seed);
        assert!(self.kernel.is_none(), "{}: the session is left behind", self.seed);
        assert!(self.waiting.is_empty(), "{}: {:?} are not answered", self.seed, self.waiting);
    }

    fn run_until(&mut self, end: Time) {
        while self.down.is_none() {
            let next = self.agenda.first_key_value().map(|((time, _), _)| *time);
            let deadline = self.system.as_ref().and_then(System::deadline).map(|at| at.max(self.now));
            match (next, deadline) {
                (Some(next), deadline) if next <= end && deadline.is_none_or(|deadline| next <= deadline) => {
                    self.now = self.now.max(next);
                    if let Some((_, happening)) = self.agenda.pop_first() {
                        self.happen(happening);
                    }
                }
                (_, Some(deadline)) if deadline <= end => {
                    self.now = deadline;
                    self.tell(Input::Tick);
                }
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.order += 1;
        self.agenda.insert((self.now + after, self.order), happening);
    }

    fn inside(&mut self, after: Duration, what: Inside) {
        self.later(after, Happening::In { session: self.session, what });
    }

    fn faulty(&self) -> bool {
        self.now < self.calm_at
    }

    fn note(&mut self, text: &str) {
        if self.trace.len() >= 4000 {
            self.trace.drain(..2000);
        }
        self.trace.push(format!("{:>12} {text}", self.now.0 / 1000));
    }

    fn tail(&self) -> String {
        let from = self.trace.len().saturating_sub(120);
        format!("\n{}", self.trace[from..].join("\n"))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Told { daemon, session, input } => {
                if daemon == self.daemon && session == self.session {
                    self.tell(*input);
                } else if matches!(*input, Input::Notified { .. }) && session == self.session {
                    self.say_input(*input);
                }
            }
            Happening::In { session, what } => {
                if session == self.session && self.kernel.is_some() {
                    self.happen_inside(what);
                }
            }
            Happening::Made { daemon } => self.made(daemon),
            Happening::Ended { session } => {
                // A daemon that was not there then looked for an init and found none.
                if session == self.session {
                    self.tell(Input::SessionEnded(SESSION_ZERO));
                }
            }
            Happening::Loaded { daemon } => {
                if daemon == self.daemon {
                    let configuration = self.configuration.clone();
                    self.tell(Input::Loaded(configuration));
                }
            }
            Happening::DaemonStarts => self.start_daemon(),
            Happening::Act => self.act(),
        }
    }

    // The daemon.

    fn start_daemon(&mut self) {
        if self.system.is_some() || self.down.is_some() {
            return;
        }
        self.note("the daemon starts");
        self.daemon += 1;
        if let Some(kernel) = &self.kernel {
            // A new daemon hears of launches under way when they have come to exec or have not.
            let launching: Vec<LaunchId> = kernel.launching.keys().copied().collect();
            launching.into_iter().for_each(|launch| self.exec(launch));
        }
        self.system = Some(System::new());
        let recovered = self.kernel.as_ref().map(Kernel::replay);
        if recovered.is_none() {
            self.states.clear();
        }
        let configuration = self.configuration.clone();
        self.tell(Input::Start { configuration, recovered, sessions: Vec::new(), session_last: 0 });
        let said = self.kernel.as_mut().map(|kernel| std::mem::take(&mut kernel.said)).unwrap_or_default();
        said.into_iter().for_each(|input| self.say_input(input));
        if self.keeper == Keeper::WantsDown {
            self.tell(Input::Shutdown);
        }
    }

    fn kill_daemon(&mut self) {
        if self.system.take().is_none() {
            return;
        }
        self.note("the daemon dies");
        self.daemon += 1;
        // Its clients see their connections end.
        self.waiting.clear();
        let after = self.random.span(Duration::from_millis(500));
        self.later(after, Happening::DaemonStarts);
    }

    /// One step of the model, its effects performed one by one: the daemon may die between any two.
    fn tell(&mut self, input: Input) {
        let Some(system) = &mut self.system else { return };
        let text = format!("{input:?}");
        let effects = system.handle(self.now, input);
        system.check_invariants();
        self.steps += 1;
        if !text.ends_with("[Watchdog] }") {
            self.note(&format!("> {}", text.chars().take(150).collect::<String>()));
        }
        for effect in effects {
            if self.dies_after.is_some_and(|left| left == 0) {
                self.dies_after = None;
                return self.kill_daemon();
            }
            self.dies_after = self.dies_after.map(|left| left - 1);
            if !matches!(effect, Effect::Store { .. }) {
                let text = format!("{effect:?}");
                self.note(&format!("  < {}", text.chars().take(150).collect::<String>()));
            }
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::CreateSession(_) => {
                assert!(self.kernel.is_none(), "{}: a session is made beside another", self.seed);
                let after = self.random.span(Duration::from_millis(20));
                self.making = Some(self.daemon);
                self.later(after, Happening::Made { daemon: self.daemon });
            }
            Effect::EndSession(_) => self.kill_init(),
            Effect::Launch { launch, service } => self.launch(launch, &service),
            Effect::Signal { launch, signal, .. } => self.signal(launch, signal),
            Effect::KillGroup(service) => self.kill_group(&unit(&service)),
            Effect::SetMain { launch, pid } => {
                if let Some(process) = self.kernel.as_mut().and_then(|kernel| kernel.alive.get_mut(&launch)) {
                    process.pid = pid;
                }
            }
            Effect::Forget(service) => {
                let unit = unit(&service);
                let populated = self.kernel.as_ref().is_some_and(|kernel| kernel.populated(&unit));
                assert!(!populated, "{}: {unit} is forgotten alive", self.seed);
                self.states.remove(&service);
            }
            Effect::Store { key, bytes } => {
                if let Some(kernel) = &mut self.kernel {
                    kernel.store(&key, &bytes);
                }
            }
            Effect::Unstore(key) => {
                if let Some(kernel) = &mut self.kernel {
                    kernel.records.remove(&key);
                }
            }
            Effect::AcknowledgeExits => {
                if let Some(kernel) = &mut self.kernel {
                    kernel.exits.clear();
                }
            }
            Effect::Reply { id, result } => {
                assert!(self.waiting.remove(&id), "{}: {id:?} is answered again: {result:?}", self.seed);
            }
            Effect::Emit(event) => self.hear(&event),
            Effect::LoadConfiguration => {
                let after = self.random.span(Duration::from_millis(50));
                self.later(after, Happening::Loaded { daemon: self.daemon });
            }
            Effect::Exit(ExitReason::Down) => {
                self.down = Some(self.now);
                self.system = None;
            }
            Effect::Exit(ExitReason::Upgrade) => self.kill_daemon(),
            users => panic!("nobody logs on in this simulation: {users:?}"),
        }
    }

    /// Steps of states are legal as long as one daemon tells them without being interrupted.
    fn hear(&mut self, event: &Event) {
        if matches!(event, Event::DaemonRecovered { .. }) {
            self.states = self.system.iter().flat_map(System::services).map(|s| (s.name, s.state)).collect();
        }
        let Event::ServiceState { service, state } = event else { return };
        let Some(before) = self.states.insert(service.clone(), *state) else { return };
        let legal = matches!(
            (before, state),
            (State::Stopped, State::StartPending)
                | (State::StartPending, State::Running | State::StopPending | State::Stopped)
                | (State::Running, State::StopPending | State::Stopped)
                | (State::StopPending, State::Stopped)
        );
        // A daemon that died before it told a step leaves a gap, which the next one does not fill.
        assert!(legal || self.daemon > 1, "{}: {service} {before:?} to {state:?}", self.seed);
    }

    // Session 0.

    fn made(&mut self, daemon: u64) {
        if daemon != self.daemon || self.making != Some(daemon) {
            return;
        }
        self.making = None;
        if self.faulty() && self.random.percent(10) {
            let reason = String::from("the false kernel did not want to");
            return self.tell(Input::SessionFailed { session: SESSION_ZERO, reason });
        }
        self.session += 1;
        self.kernel = Some(Kernel { records_max: self.records_max, ..Kernel::default() });
        self.kill_targets.clear();
        self.tell(Input::SessionCreated { session: SESSION_ZERO, protocol: 2 });
    }

    fn kill_init(&mut self) {
        self.note("the init dies");
        let making = self.making.take() == Some(self.daemon);
        if self.kernel.take().is_some() || making {
            let after = self.random.span(Duration::from_millis(5));
            self.later(after, Happening::Ended { session: self.session });
        }
    }

    fn launch(&mut self, launch: LaunchId, service: &ServiceName) {
        let unit = unit(service);
        let Some(kernel) = &mut self.kernel else { return };
        assert!(self.launched.insert((self.session, launch)), "{}: {launch:?} is given twice", self.seed);
        let doubled = kernel.alive.values().any(|process| process.unit == unit)
            || kernel.launching.values().any(|other| *other == unit);
        assert!(!doubled, "{}: {unit} is launched twice", self.seed);
        let roomy = self.records_max > 100;
        assert!(
            !roomy || !kernel.populated(&unit),
            "{}: {unit} is launched beside what was left of it",
            self.seed
        );
        let recorded = kernel.records.contains_key(&format!("service.{unit}"));
        assert!(!roomy || recorded, "{}: {unit} is launched before it is recorded", self.seed);
        kernel.launching.insert(launch, unit);
        let after = self.random.span(Duration::from_millis(3));
        self.inside(after, Inside::Exec(launch));
    }

    fn exec(&mut self, launch: LaunchId) {
        let faulty = self.faulty();
        let Some(kernel) = &mut self.kernel else { return };
        let Some(unit) = kernel.launching.remove(&launch) else { return };
        if faulty && self.random.percent(8) {
            let failure = LaunchFailure { phase: LaunchPhase::Exec, errno: 2 };
            return self.report(Input::LaunchFailed { launch, failure });
        }
        let program = if faulty { Program::any(&mut self.random) } else { Program::good() };
        self.pid += 2;
        let (pid, at) = (self.pid, self.now);
        if let Some(kernel) = &mut self.kernel {
            kernel.alive.insert(launch, Process { unit, pid, program, at });
        }
        if let Some(ready) = program.ready {
            self.inside(ready, Inside::Ready(launch));
        }
        self.inside(Duration::from_secs(2), Inside::Ping(launch));
        match program.end {
            None => {}
            Some((after, End::Exit(status))) => {
                self.inside(after, Inside::Ends(launch, ExitStatus::Exited(status)))
            }
            Some((after, End::Crash)) => {
                let status = ExitStatus::Signaled { signal: 11, core: true };
                self.inside(after, Inside::Ends(launch, status));
            }
            Some((after, End::Goodbye)) => self.inside(after, Inside::Goodbye(launch)),
        }
        self.report(Input::Launched { launch, pid });
    }

    fn signal(&mut self, launch: LaunchId, signal: u8) {
        let Some(process) = self.kernel.as_ref().and_then(|kernel| kernel.alive.get(&launch)) else { return };
        if signal == 9 {
            let status = ExitStatus::Signaled { signal: 9, core: false };
            self.inside(Duration::from_millis(1), Inside::Ends(launch, status));
        } else if let Some(after) = process.program.stops {
            self.inside(after, Inside::Ends(launch, ExitStatus::Exited(0)));
        }
    }

    fn kill_group(&mut self, unit: &str) {
        let Some(kernel) = &mut self.kernel else { return };
        kernel.kills.insert(unit.to_string());
        let mains = kernel.alive.iter().filter(|(_, process)| process.unit == unit);
        let mains: Vec<LaunchId> = mains.map(|(launch, _)| *launch).collect();
        // A child on its way to exec dies with its group.
        let launching = kernel.launching.iter().filter(|(_, other)| *other == unit);
        let launching: Vec<LaunchId> = launching.map(|(launch, _)| *launch).collect();
        kernel.launching.retain(|_, other| other != unit);
        for launch in launching {
            let failure = LaunchFailure { phase: LaunchPhase::Clone, errno: 4 };
            self.report(Input::LaunchFailed { launch, failure });
        }
        let at = self.kill_targets.len() as u64;
        self.kill_targets.push((unit.to_string(), mains));
        let after = self.random.span(Duration::from_millis(10));
        self.inside(after, Inside::Killed(at));
    }

    /// Init tells its daemon, if it has one.
    fn report(&mut self, input: Input) {
        if self.system.is_some() {
            // Messages keep their order: none takes longer than another.
            let (daemon, session) = (self.daemon, self.session);
            let input = Box::new(input);
            self.later(Duration::from_micros(50), Happening::Told { daemon, session, input });
        }
    }

    /// A datagram goes to the notify socket and waits there for a daemon.
    fn say_input(&mut self, input: Input) {
        if self.system.is_some() {
            self.report(input);
        } else if let Some(kernel) = &mut self.kernel {
            kernel.said.push_back(input);
        }
    }

    fn say(&mut self, launch: LaunchId, notifications: Vec<Notification>) {
        let process = self.kernel.as_ref().and_then(|kernel| kernel.alive.get(&launch));
        let Some(service) = process.map(|process| name(&process.unit)) else { return };
        self.say_input(Input::Notified { service, sender: Sender::Main, notifications });
    }

    fn happen_inside(&mut self, what: Inside) {
        match what {
            Inside::Exec(launch) => self.exec(launch),
            Inside::Ready(launch) => {
                let process = self.kernel.as_ref().and_then(|kernel| kernel.alive.get(&launch));
                let Some(program) = process.map(|process| process.program) else { return };
                let mut said = vec![Notification::Ready, Notification::Status(String::from("at work"))];
                if program.hands_over == HandsOver::Yes {
                    self.pid += 2;
                    said.insert(0, Notification::MainProcess(self.pid));
                }
                self.say(launch, said);
            }
            Inside::Ping(launch) => {
                let alive = self.kernel.as_ref().is_some_and(|kernel| kernel.alive.contains_key(&launch));
                if alive && !(self.faulty() && self.random.percent(3)) {
                    self.say(launch, vec![Notification::Watchdog]);
                    self.inside(Duration::from_secs(2), Inside::Ping(launch));
                }
            }
            Inside::Goodbye(launch) => {
                self.say(launch, vec![Notification::Stopping]);
                let after = self.random.span(Duration::from_secs(1));
                self.inside(after, Inside::Ends(launch, ExitStatus::Exited(0)));
            }
            Inside::Ends(launch, status) => self.ends(launch, status),
            Inside::Killed(at) => self.killed(at),
        }
    }

    fn ends(&mut self, launch: LaunchId, status: ExitStatus) {
        let Some(exit) = self.kernel.as_mut().and_then(|kernel| kernel.end(launch, status)) else { return };
        self.report(Input::Exited {
            launch: exit.launch,
            status: exit.status,
            remains: exit.remains,
            usage: exit.usage,
        });
        self.report_emptied();
    }

    fn killed(&mut self, at: u64) {
        let target = usize::try_from(at).ok().and_then(|at| self.kill_targets.get(at)).cloned();
        let Some((unit, mains)) = target else { return };
        if let Some(kernel) = &mut self.kernel {
            kernel.children.remove(&unit);
            for launch in &mains {
                if let Some(process) = kernel.alive.get_mut(launch) {
                    process.program.children = Children::None;
                }
            }
        }
        for launch in mains {
            self.ends(launch, ExitStatus::Signaled { signal: 9, core: false });
        }
        self.report_emptied();
    }

    fn report_emptied(&mut self) {
        let emptied = self.kernel.as_mut().map(Kernel::emptied).unwrap_or_default();
        for unit in emptied {
            self.report(Input::GroupEmpty { service: name(&unit) });
        }
    }

    // Clients and faults.

    fn act(&mut self) {
        if self.acts_left == 0 {
            return;
        }
        self.acts_left -= 1;
        match self.random.below(20) {
            0..=3 => self.kill_daemon(),
            4..=6 => self.dies_after = Some(self.random.below(12)),
            7 if self.random.percent(40) => self.kill_init(),
            8 => {
                self.configuration = services::changed(&self.original, &mut self.random);
                self.ask(Request::Host(HostRequest::Reload));
            }
            9 => self.ask(Request::Host(HostRequest::Upgrade)),
            10 => self.abandon(),
            _ => {
                let definition: Definition = self.random.pick(&self.original.services).clone();
                let wait = if self.random.percent(50) { Wait::Settled } else { Wait::Begun };
                let name = definition.name;
                let dependents = if self.random.percent(50) { Dependents::Stop } else { Dependents::Refuse };
                let request = match self.random.below(3) {
                    0 => ServiceRequest::Start { name, wait },
                    1 => ServiceRequest::Stop { name, wait, dependents },
                    _ => ServiceRequest::Restart { name, wait },
                };
                self.ask(Request::Service(request));
            }
        }
    }

    fn ask(&mut self, request: Request) {
        if self.system.is_none() {
            return;
        }
        self.request += 1;
        let id = RequestId(self.request);
        self.waiting.insert(id);
        let caller = Caller { origin: Origin::Outside, uid: 0, groups: Vec::new(), pid: 1 };
        self.tell(Input::Request { id, caller, request });
    }

    fn abandon(&mut self) {
        if let Some(id) = self.waiting.pop_first() {
            self.tell(Input::Abandoned(id));
        }
    }

    // What must be true in the end.

    fn check_rest(&self) {
        let seed = self.seed;
        let system = self.system.as_ref().unwrap_or_else(|| panic!("{seed}: there is no daemon"));
        let kernel = self.kernel.as_ref().unwrap_or_else(|| panic!("{seed}: there is no session"));
        assert!(self.waiting.is_empty(), "{seed}: {:?} are not answered", self.waiting);
        assert!(kernel.exits.is_empty(), "{seed}: exits are not acknowledged");
        assert!(kernel.launching.is_empty() && kernel.kills.is_empty(), "{seed}: init is not done");
        for status in system.services() {
            let unit = unit(&status.name);
            let mains: Vec<LaunchId> = kernel
                .alive
                .iter()
                .filter(|(_, process)| process.unit == unit)
                .map(|(launch, _)| *launch)
                .collect();
            match status.state {
                State::Running => {
                    assert_eq!(mains, Vec::from_iter(status.launch), "{seed}: {unit} runs otherwise");
                    let pid =
                        mains.first().and_then(|launch| kernel.alive.get(launch)).map(|process| process.pid);
                    assert_eq!(status.pid, pid, "{seed}: {unit} has another main process");
                }
                State::Stopped => assert!(
                    self.records_max < 100 || !kernel.populated(&unit),
                    "{seed}: {unit} is stopped and has processes"
                ),
                State::StartPending | State::StopPending => {
                    panic!("{seed}: {status:?} does not settle")
                }
            }
        }
        for definition in &self.original.services {
            self.check_demanded(system, definition);
        }
        let units: BTreeSet<&str> = kernel.alive.values().map(|process| process.unit.as_str()).collect();
        assert_eq!(units.len(), kernel.alive.len(), "{seed}: a unit has two main processes");
    }

    fn check_demanded(&self, system: &System, definition: &Definition) {
        let seed = self.seed;
        let Some(status) = system.service(&definition.name) else {
            panic!("{seed}: {} is not there", definition.name)
        };
        if definition.start == StartType::Auto || definition.owner == Owner::Builtin {
            assert!(status.state == State::Running, "{seed}: {status:?} should run");
        }
    }
}

impl Drop for Simulation {
    /// A broken invariant of the model says which, this says how it came to it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SESSION0_SIM_SEED={}{}", self.seed, self.tail());
        }
    }
}

fn unit(service: &ServiceName) -> String {
    service.as_str().to_ascii_lowercase()
}
