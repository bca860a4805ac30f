//! A small world around the model: an init that does what it is told when the test says so, and the rules every step
//! must keep.
#![allow(dead_code)]

pub mod pipes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use session0_model::access::{Administrators, Caller, Origin};
use session0_model::event::Event;
use session0_model::id::{LaunchId, RequestId, SESSION_ZERO, ServiceName};
use session0_model::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase};
use session0_model::launch::plan::{LaunchPlan, Role};
use session0_model::launch::wire::Remains;
use session0_model::pipe::id::ServerId;
use session0_model::pipe::request::PipeRequest;
use session0_model::service::definition::{Definition, Kind, NotifyAccess, Owner, Restart, StartType};
use session0_model::service::notify::{Notification, Sender};
use session0_model::service::status::{State, Status};
use session0_model::system::{
    Alive, Configuration, Dependents, Effect, HostRequest, Input, Recovered, Refusal, Reply, Request,
    ServiceRequest, System, UnackedExit, Wait,
};
use session0_model::time::Time;

use pipes::{Asked, Pipes};

pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("tests use good names")
}

pub fn definition(text: &str) -> Definition {
    Definition {
        name: name(text),
        description: String::new(),
        start: StartType::Auto,
        kind: Kind::Simple,
        depends: Vec::new(),
        restart: Restart::OnFailure,
        restart_delay: Duration::from_millis(100),
        start_wait: Duration::from_secs(80),
        stop_wait: Duration::from_secs(20),
        stop_signal: 15,
        notify_access: NotifyAccess::Main,
        watchdog: None,
        owner: Owner::Administrator,
        control: Default::default(),
        pipes: Vec::new(),
        account: String::from("LocalSystem"),
        plan: LaunchPlan { arguments: vec![String::from("true")], ..LaunchPlan::bare("/bin/true", 0, 0) },
    }
}

/// Shorthands for definitions.
pub trait Shape: Sized {
    fn demand(self) -> Self;
    fn notify(self) -> Self;
    fn on(self, depends: &[&str]) -> Self;
    fn restart(self, restart: Restart) -> Self;
    fn builtin(self) -> Self;
}

impl Shape for Definition {
    fn demand(mut self) -> Self {
        self.start = StartType::Demand;
        self
    }
    fn notify(mut self) -> Self {
        self.kind = Kind::Notify;
        self
    }
    fn on(mut self, depends: &[&str]) -> Self {
        self.depends = depends.iter().map(|d| name(d)).collect();
        self
    }
    fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }
    fn builtin(mut self) -> Self {
        self.owner = Owner::Builtin;
        self.plan.role = Role::Logger;
        self
    }
}

pub fn configuration(services: Vec<Definition>) -> Configuration {
    Configuration {
        pipes_max: None,
        services,
        administrators: Administrators::default(),
        shutdown_wait: Duration::from_secs(90),
        sessions: Default::default(),
        errors: 0,
        broken: Vec::new(),
        settings: Default::default(),
    }
}

pub fn root() -> Caller {
    Caller { origin: Origin::Outside, uid: 0, groups: vec![0], pid: 1 }
}

pub fn somebody() -> Caller {
    Caller { origin: Origin::Outside, uid: 1000, groups: vec![1000], pid: 2 }
}

/// What an init has.
#[derive(Debug, Clone, Default)]
pub struct Init {
    pub records: BTreeMap<String, Vec<u8>>,
    pub launching: BTreeMap<LaunchId, String>,
    pub alive: BTreeMap<LaunchId, Alive>,
    /// Mains whose group was killed and whose exit is not reported yet.
    pub dying: BTreeSet<LaunchId>,
    pub kills: BTreeSet<String>,
    pub exits: Vec<UnackedExit>,
}

/// Something the test looks at afterwards.
pub type Answer = Result<Reply, Refusal>;

#[derive(Debug, Clone)]
pub struct World {
    pub system: System,
    pub now: Time,
    pub configuration: Configuration,
    pub init: Option<Init>,
    pub creating: bool,
    pub ending: bool,
    pub loading: bool,
    pub exited: bool,
    pub requests: u64,
    pub waiting: BTreeSet<RequestId>,
    pub answers: BTreeMap<RequestId, Answer>,
    pub states: BTreeMap<ServiceName, State>,
    pub highest: LaunchId,
    pub pid: i32,
    pub pipes: Pipes,
    /// The daemon dies in the next step, after so many effects. Where there are services, what is told of them is lost with it.
    pub dies_after: Option<usize>,
    /// The effects of the last step.
    pub last: Vec<Effect>,
}

impl World {
    /// A host that was just started, with nothing answered yet.
    pub fn new(services: Vec<Definition>) -> World {
        let mut world = World {
            system: System::new(),
            now: Time(1_000_000_000),
            configuration: configuration(services),
            init: None,
            creating: false,
            ending: false,
            loading: false,
            exited: false,
            requests: 0,
            waiting: BTreeSet::new(),
            answers: BTreeMap::new(),
            states: BTreeMap::new(),
            highest: LaunchId(0),
            pid: 100,
            pipes: Pipes::default(),
            dies_after: None,
            last: Vec::new(),
        };
        let configuration = world.configuration.clone();
        world.step(Input::Start { configuration, recovered: None, sessions: Vec::new(), session_last: 0 });
        world
    }

    /// The same with Session 0 made.
    pub fn up(services: Vec<Definition>) -> World {
        let mut world = World::new(services);
        world.session_created();
        world
    }

    /// The same with everything automatic running.
    pub fn running(services: Vec<Definition>) -> World {
        let mut world = World::up(services);
        world.run_all();
        world
    }

    /// Answers launches and says READY until nothing more comes of it.
    pub fn run_all(&mut self) {
        for _ in 0..100 {
            let launching: Vec<String> = self.units_launching();
            let unready: Vec<ServiceName> = self
                .system
                .services()
                .iter()
                .filter(|s| s.state == State::StartPending && s.pid.is_some())
                .map(|s| s.name.clone())
                .collect();
            if launching.is_empty() && unready.is_empty() {
                return;
            }
            launching.iter().for_each(|unit| self.launched(unit));
            unready.iter().for_each(|unit| self.say(unit.as_str(), Notification::Ready));
        }
        panic!("it does not come to rest");
    }

    pub fn units_launching(&self) -> Vec<String> {
        self.init.iter().flat_map(|init| init.launching.values().cloned()).collect()
    }

    /// One step of the model, with every rule checked.
    pub fn step(&mut self, input: Input) -> &[Effect] {
        let effects = self.system.handle(self.now, input);
        self.system.check_invariants();
        let mut stored = BTreeSet::new();
        self.pipes.told.clear();
        self.pipes.dropped.clear();
        if let Some(after) = self.dies_after.take() {
            effects.iter().take(after).for_each(|effect| self.perform(effect));
            self.last = effects;
            self.kill_daemon();
            return &self.last;
        }
        for effect in &effects {
            if let Effect::Store { key, .. } = effect {
                assert!(stored.insert(key.clone()), "{key} is stored twice in a step");
            }
            self.perform(effect);
        }
        self.last = effects;
        for status in self.system.services() {
            let told = self.states.get(&status.name).copied().unwrap_or(State::Stopped);
            assert_eq!(told, status.state, "{}: its state was not told", status.name);
        }
        for id in &self.waiting {
            assert!(!self.answers.contains_key(id));
        }
        self.check_pipes();
        &self.last
    }

    fn perform(&mut self, effect: &Effect) {
        match effect {
            Effect::CreateSession(SESSION_ZERO) => {
                assert!(!self.creating && self.init.is_none(), "a session is made twice");
                self.creating = true;
            }
            Effect::EndSession(SESSION_ZERO) => {
                assert!(self.creating || self.init.is_some() || self.ending);
                self.ending = true;
            }
            Effect::CreateSession(_) | Effect::EndSession(_) => panic!("there is no such session"),
            Effect::Launch { launch, service } => self.perform_launch(*launch, service),
            Effect::Signal { .. } | Effect::SetMain { .. } => assert!(self.init.is_some()),
            Effect::KillGroup(service) => {
                let unit = service.as_str().to_ascii_lowercase();
                let init = self.init.as_mut().expect("there is an init");
                let mains = init.alive.values().filter(|a| a.unit == unit).map(|a| a.launch);
                init.dying.extend(mains.collect::<Vec<_>>());
                init.kills.insert(unit);
            }
            Effect::Forget(service) => {
                let unit = service.as_str().to_ascii_lowercase();
                let init = self.init.as_ref();
                assert!(
                    !init.is_some_and(|init| init.alive.values().any(|a| a.unit == unit)),
                    "{unit} is forgotten alive"
                );
                self.states.remove(service);
            }
            Effect::Store { key, bytes } => {
                let init = self.init.as_mut().expect("a record needs an init");
                assert_ne!(init.records.get(key), Some(bytes), "{key} is stored without need");
                init.records.insert(key.clone(), bytes.clone());
            }
            Effect::Unstore(key) => {
                if let Some(init) = &mut self.init {
                    init.records.remove(key);
                }
            }
            Effect::AcknowledgeExits => {
                if let Some(init) = &mut self.init {
                    init.exits.clear();
                }
            }
            Effect::Reply { id, result } => {
                assert!(self.waiting.remove(id), "{id:?} is answered without being asked");
                self.check_turn(*id, result);
                self.answers.insert(*id, result.clone());
            }
            Effect::Emit(event) => self.hear(event),
            Effect::LoadConfiguration => {
                assert!(!self.loading, "the configuration is read twice at once");
                self.loading = true;
            }
            Effect::Exit(_) => self.exited = true,
            others => self.pipes.perform(others),
        }
    }

    /// What a client of a pipe is given is its own, and nobody who came before it waits.
    fn check_turn(&mut self, id: RequestId, result: &Answer) {
        let Ok(reply) = result else { return };
        let none = BTreeMap::new();
        let records = self.init.as_ref().map_or(&none, |init| &init.records);
        self.pipes.answered(id, reply, records);
        if let (Reply::PipeOpened(opened), before) = (reply, self.waiting.range(..id)) {
            let same = |other: &RequestId| self.pipes.asked.get(other).is_some_and(|a| a.name == opened.name);
            assert!(!before.copied().any(|other| same(&other)), "{id:?} overtakes who came before it");
        }
    }

    fn perform_launch(&mut self, launch: LaunchId, service: &ServiceName) {
        let unit = service.as_str().to_ascii_lowercase();
        assert!(launch > self.highest, "a launch's number is given again");
        self.highest = launch;
        let init = self.init.as_mut().expect("a launch needs an init");
        assert!(
            init.records.contains_key(&format!("service.{unit}")),
            "{unit} is launched before it is recorded"
        );
        assert!(!init.alive.values().any(|a| a.unit == unit), "{unit} is launched while it is alive");
        assert!(!init.launching.values().any(|u| *u == unit), "{unit} is launched twice");
        assert!(!init.kills.contains(&unit), "{unit} is launched while its group is being killed");
        init.launching.insert(launch, unit);
    }

    fn hear(&mut self, event: &Event) {
        let Event::ServiceState { service, state } = event else { return };
        let before = self.states.insert(service.clone(), *state).unwrap_or(State::Stopped);
        let legal = matches!(
            (before, state),
            (State::Stopped, State::StartPending)
                | (State::StartPending, State::Running | State::StopPending | State::Stopped)
                | (State::Running, State::StopPending | State::Stopped)
                | (State::StopPending, State::Stopped)
        );
        assert!(legal, "{service}: {before:?} to {state:?} is no legal step");
    }

    // What happens.

    pub fn session_created(&mut self) {
        assert!(std::mem::take(&mut self.creating));
        self.init = Some(Init::default());
        self.step(Input::SessionCreated { session: SESSION_ZERO, protocol: 2 });
    }

    pub fn session_ended(&mut self) {
        self.creating = false;
        self.ending = false;
        self.init = None;
        self.step(Input::SessionEnded(SESSION_ZERO));
    }

    pub fn launch_of(&self, unit: &str) -> Option<LaunchId> {
        self.system.launch_of(&name(unit)).map(|(launch, _)| launch)
    }

    /// exec succeeds. Whether there was a launch.
    pub fn launched(&mut self, unit: &str) {
        assert!(self.try_launched(unit), "{unit} is not being launched");
    }

    pub fn try_launched(&mut self, unit: &str) -> bool {
        let now = self.now;
        let Some(init) = &mut self.init else { return false };
        let Some(launch) = init.launching.iter().find(|(_, u)| *u == unit).map(|(launch, _)| *launch) else {
            return false;
        };
        init.launching.remove(&launch);
        self.pid += 1;
        init.alive.insert(launch, Alive { launch, unit: unit.to_string(), pid: self.pid, at: now });
        self.step(Input::Launched { launch, pid: self.pid });
        true
    }

    pub fn try_launch_failed(&mut self, unit: &str) -> bool {
        let Some(init) = &mut self.init else { return false };
        let Some(launch) = init.launching.iter().find(|(_, u)| *u == unit).map(|(launch, _)| *launch) else {
            return false;
        };
        init.launching.remove(&launch);
        let failure = LaunchFailure { phase: LaunchPhase::Exec, errno: 2 };
        self.step(Input::LaunchFailed { launch, failure });
        true
    }

    /// The unit's main process ends, without the daemon being told yet.
    pub fn end(&mut self, unit: &str, status: ExitStatus, remains: Remains) -> Option<UnackedExit> {
        let init = self.init.as_mut()?;
        let launch = init.alive.values().find(|a| a.unit == unit)?.launch;
        init.alive.remove(&launch);
        let status =
            if init.dying.remove(&launch) { ExitStatus::Signaled { signal: 9, core: false } } else { status };
        let exit = UnackedExit { launch, status, remains, usage: None };
        init.exits.push(exit);
        Some(exit)
    }

    pub fn try_exit(&mut self, unit: &str, status: ExitStatus, remains: Remains) -> bool {
        let Some(UnackedExit { launch, status, remains, usage }) = self.end(unit, status, remains) else {
            return false;
        };
        self.step(Input::Exited { launch, status, remains, usage });
        assert!(self.init.as_ref().is_none_or(|init| init.exits.is_empty()), "an exit was not acknowledged");
        true
    }

    pub fn exit(&mut self, unit: &str, status: u8) {
        assert!(self.try_exit(unit, ExitStatus::Exited(status), Remains::Nothing), "{unit} is not alive");
    }

    pub fn try_group_empty(&mut self, unit: &str) -> bool {
        let Some(init) = &mut self.init else { return false };
        if !init.kills.remove(unit) {
            return false;
        }
        self.step(Input::GroupEmpty { service: name(unit) });
        true
    }

    pub fn group_empty(&mut self, unit: &str) {
        assert!(self.try_group_empty(unit), "{unit}'s group was not killed");
    }

    pub fn say(&mut self, unit: &str, notification: Notification) {
        self.step(Input::Notified {
            service: name(unit),
            sender: Sender::Main,
            notifications: vec![notification],
        });
    }

    /// Lets time pass to the next deadline; says whether there was one.
    pub fn wait(&mut self) -> bool {
        let Some(deadline) = self.system.deadline() else { return false };
        self.now = self.now.max(deadline);
        self.step(Input::Tick);
        true
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.step(Input::Tick);
    }

    pub fn request(&mut self, caller: Caller, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.waiting.insert(id);
        let asked = match &request {
            Request::Pipe(PipeRequest::Open { name, .. } | PipeRequest::Wait { name, .. }) => Some((name, 0)),
            Request::Pipe(PipeRequest::Listen(listen)) => Some((&listen.name, listen.listening)),
            _ => None,
        };
        if let Some((name, listening)) = asked {
            self.pipes.asked.insert(id, Asked { name: name.clone(), listening });
        }
        self.step(Input::Request { id, caller, request });
        id
    }

    pub fn ask(&mut self, request: ServiceRequest) -> RequestId {
        self.request(root(), Request::Service(request))
    }

    pub fn start(&mut self, unit: &str) -> RequestId {
        self.ask(ServiceRequest::Start { name: name(unit), wait: Wait::Settled })
    }

    pub fn stop(&mut self, unit: &str) -> RequestId {
        self.ask(ServiceRequest::Stop {
            name: name(unit),
            wait: Wait::Settled,
            dependents: Dependents::Refuse,
        })
    }

    pub fn stop_all(&mut self, unit: &str) -> RequestId {
        self.ask(ServiceRequest::Stop { name: name(unit), wait: Wait::Settled, dependents: Dependents::Stop })
    }

    pub fn restart(&mut self, unit: &str) -> RequestId {
        self.ask(ServiceRequest::Restart { name: name(unit), wait: Wait::Settled })
    }

    pub fn host(&mut self, request: HostRequest) -> RequestId {
        self.request(root(), Request::Host(request))
    }

    pub fn abandon(&mut self) -> bool {
        let Some(id) = self.waiting.pop_last() else { return false };
        self.step(Input::Abandoned(id));
        true
    }

    pub fn loaded(&mut self, services: Vec<Definition>) {
        self.loading = false;
        self.configuration = configuration(services);
        let configuration = self.configuration.clone();
        self.step(Input::Loaded(configuration));
    }

    /// The daemon dies; a new one takes over what init has. What was being launched comes to exec first.
    pub fn kill_daemon(&mut self) {
        self.kill_daemon_losing(BTreeSet::new());
    }

    /// The same, and these servers' connections are not kept.
    pub fn kill_daemon_losing(&mut self, mut lost: BTreeSet<ServerId>) {
        self.waiting.clear();
        if !self.pipes.given.is_empty() {
            // More nanoseconds pass than numbers are given.
            self.now = self.now + Duration::from_millis(1);
        }
        if self.init.is_none() {
            self.pipes.servers.clear();
        }
        // The new daemon closes what it is not told to have.
        self.pipes.sockets.clear();
        self.pipes.servers.retain(|id, _| !lost.contains(id));
        self.pipes.taking_over = true;
        self.loading = false;
        let before = self.system.services();
        let recovered = self.init.as_mut().map(|init| {
            for (launch, unit) in std::mem::take(&mut init.launching) {
                self.pid += 1;
                init.alive.insert(launch, Alive { launch, unit, pid: self.pid, at: self.now });
            }
            Recovered {
                protocol: 2,
                records: init.records.clone().into_iter().collect(),
                alive: init.alive.values().cloned().collect(),
                exits: init.exits.clone(),
            }
        });
        self.creating = false;
        self.exited = false;
        let fresh = recovered.is_none();
        if fresh {
            self.states.clear();
            self.highest = LaunchId(0);
        }
        self.system = System::new();
        let configuration = self.configuration.clone();
        self.step(Input::Start { configuration, recovered, sessions: Vec::new(), session_last: 0 });
        if !fresh {
            self.check_recovered(&before);
        }
        let records = self.init.iter().flat_map(|init| init.records.keys());
        let recorded = records.filter_map(|key| key.strip_prefix("pipe.")?.parse().ok().map(ServerId));
        lost.extend(recorded.filter(|id| !self.pipes.servers.contains_key(id)));
        for id in lost {
            self.step(Input::PipeServerGone(id));
        }
        self.pipes.taking_over = false;
        self.check_pipes();
    }

    /// Nothing that ran was disturbed, nothing is launched twice.
    fn check_recovered(&self, before: &[Status]) {
        let init = self.init.as_ref().expect("an init was there");
        for status in before {
            let alive = status.launch.is_some_and(|launch| init.alive.contains_key(&launch));
            if status.state != State::Running || !alive {
                continue;
            }
            let depends = self.system.definition(&status.name).map(|d| d.depends.clone()).unwrap_or_default();
            let kept =
                |other: &ServiceName| self.system.service(other).is_some_and(|s| s.state == State::Running);
            let after = self.system.service(&status.name).expect("what runs is not forgotten");
            if depends.iter().all(kept) && !self.shutting_down() {
                assert_eq!(
                    (after.state, after.launch),
                    (State::Running, status.launch),
                    "{} was disturbed",
                    status.name
                );
                let touched = self.last.iter().any(|effect| match effect {
                    Effect::Signal { launch, .. } => Some(*launch) == status.launch,
                    Effect::KillGroup(service) | Effect::Launch { service, .. } => *service == status.name,
                    _ => false,
                });
                assert!(!touched, "{} was disturbed", status.name);
            }
        }
    }

    pub fn shutting_down(&self) -> bool {
        self.system.host_status(self.now).phase == session0_model::system::HostPhase::ShuttingDown
    }

    // What is.

    pub fn status(&self, unit: &str) -> Status {
        self.system.service(&name(unit)).expect("it is configured")
    }

    pub fn state(&self, unit: &str) -> State {
        self.status(unit).state
    }

    pub fn answer(&self, id: RequestId) -> &Answer {
        self.answers.get(&id).expect("it is answered")
    }

    pub fn code(&self, id: RequestId) -> u32 {
        match self.answer(id) {
            Ok(_) => 0,
            Err(refusal) => refusal.code(),
        }
    }

    /// Whether this was done in the last step.
    pub fn did(&self, effect: &Effect) -> bool {
        self.last.contains(effect)
    }

    /// Signals sent in the last step, by service.
    pub fn signals(&self) -> Vec<(String, u8)> {
        let whose = |launch: LaunchId| {
            let alive = self.init.as_ref().and_then(|init| init.alive.get(&launch));
            alive.map(|a| a.unit.clone()).unwrap_or_default()
        };
        self.last
            .iter()
            .filter_map(|effect| match effect {
                Effect::Signal { launch, signal, .. } => Some((whose(*launch), *signal)),
                _ => None,
            })
            .collect()
    }

    pub fn events(&self) -> Vec<&Event> {
        self.last
            .iter()
            .filter_map(|effect| match effect {
                Effect::Emit(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    /// Services launched in the last step.
    pub fn launches(&self) -> Vec<String> {
        self.last
            .iter()
            .filter_map(|effect| match effect {
                Effect::Launch { service, .. } => Some(service.to_string()),
                _ => None,
            })
            .collect()
    }
}
