//! A small world around the model's sessions of users: an init a session, processes that ask for passwords, clients with
//! viewers, a daemon that dies between any two effects; and the rules every step must keep.
#![allow(dead_code)]

mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use session0_model::access::{Administrators, Caller};
use session0_model::event::Event;
use session0_model::id::{LaunchId, LogonId, RequestId, SESSION_ZERO, SessionId, ViewerId};
use session0_model::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase};
use session0_model::launch::plan::{Size, Streams};
use session0_model::launch::wire::Remains;
use session0_model::logon::wire::{Entry, FromLogon, Task, ToLogon};
use session0_model::logon::{Wanted, Wish};
use session0_model::session::program::{Attachee, Client, ProgramLaunch, View, unit};
use session0_model::session::status::{ConnectState, SessionStatus};
use session0_model::session::{Happened, Isolation, Policy};
use session0_model::system::{
    AccountRequest, Alive, Configuration, Effect, Input, LogonRequest, Recovered, Refusal, Reply, Request,
    SessionRequest, System, UnackedExit, WALLS_DOWN, Wait,
};
use session0_model::time::Time;

pub use people::*;

pub const KILLED: ExitStatus = ExitStatus::Signaled { signal: 9, core: false };

/// One session's init and the processes below it.
#[derive(Debug, Clone, Default)]
pub struct Init {
    pub records: BTreeMap<String, Vec<u8>>,
    pub launching: BTreeMap<LaunchId, String>,
    pub alive: BTreeMap<LaunchId, Alive>,
    /// Units with processes that are nobody's main process.
    pub left: BTreeSet<String>,
    pub exits: Vec<UnackedExit>,
    pub kills: BTreeSet<String>,
    /// Our ends of viewers' sockets.
    pub sockets: BTreeSet<ViewerId>,
    /// Masters of terminals.
    pub terminals: BTreeSet<LaunchId>,
    /// Numbers that were given while it lives.
    pub launched: BTreeSet<LaunchId>,
    pub attached: BTreeSet<ViewerId>,
    /// Whose session it is.
    pub owner: Option<u32>,
}

/// One session0-logon.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub task: Task,
    /// What it was told in the end.
    pub told: Option<Told>,
    /// A password may be checked.
    pub may: Option<u64>,
    /// The daemon killed it.
    pub killed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Concluded(SessionId, ViewerId, Entry),
    Refused(u32),
}

/// What was done, told when a rule breaks.
#[derive(Debug, Clone, Default)]
pub struct Trail(pub Vec<String>);

impl Drop for Trail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.0.len().saturating_sub(20);
            eprintln!("after {}", self.0[from..].join(", "));
        }
    }
}

#[derive(Debug, Clone)]
pub struct World {
    pub system: System,
    pub now: Time,
    pub configuration: Configuration,
    pub inits: BTreeMap<SessionId, Init>,
    pub making: BTreeSet<SessionId>,
    pub ending: BTreeSet<SessionId>,
    pub conversations: BTreeMap<LogonId, Conversation>,
    /// Clients that see something.
    pub clients: BTreeSet<(SessionId, ViewerId)>,
    pub exited: bool,
    pub loading: bool,
    pub requests: u64,
    pub waiting: BTreeSet<RequestId>,
    pub answers: BTreeMap<RequestId, Result<Reply, Refusal>>,
    /// The highest session number, as the daemon keeps it outside of every init.
    pub session_last: u32,
    pub pid: i32,
    /// The daemon dies in the next step, after so many effects.
    pub dies_after: Option<usize>,
    pub last: Vec<Effect>,
    pub trail: Trail,
}

impl World {
    /// A host that was just started, with nothing answered yet.
    pub fn new(policy: Policy) -> World {
        let mut world = World {
            system: System::new(),
            now: Time(1_000_000_000),
            configuration: configuration(policy),
            inits: BTreeMap::new(),
            making: BTreeSet::new(),
            ending: BTreeSet::new(),
            conversations: BTreeMap::new(),
            clients: BTreeSet::new(),
            exited: false,
            loading: false,
            requests: 0,
            waiting: BTreeSet::new(),
            answers: BTreeMap::new(),
            session_last: 0,
            pid: 100,
            dies_after: None,
            last: Vec::new(),
            trail: Trail::default(),
        };
        let configuration = world.configuration.clone();
        world.step(Input::Start { configuration, recovered: None, sessions: Vec::new(), session_last: 0 });
        world
    }

    /// The same with Session 0 made.
    pub fn up(policy: Policy) -> World {
        let mut world = World::new(policy);
        assert!(world.try_made(SESSION_ZERO));
        world
    }

    /// One step of the model, with every rule checked. The daemon may die in the midst of it.
    pub fn step(&mut self, input: Input) {
        if self.take(input) {
            self.check_rules();
        }
    }

    /// Whether the daemon lived on.
    fn take(&mut self, input: Input) -> bool {
        let effects = self.system.handle(self.now, input);
        self.system.check_invariants();
        let dies_after = self.dies_after.take();
        self.last.clone_from(&effects);
        let before = self.clients.clone();
        for (at, effect) in effects.iter().enumerate() {
            if dies_after == Some(at) {
                break;
            }
            self.perform(effect);
        }
        if dies_after.is_some() {
            if !self.exited {
                self.kill_daemon();
            }
            return false;
        }
        self.check_taken_over(&before);
        true
    }

    // What is done.

    fn perform(&mut self, effect: &Effect) {
        match effect {
            Effect::CreateSession(id) => self.perform_create(*id),
            Effect::EndSession(id) => {
                assert!(
                    self.making.contains(id) || self.inits.contains_key(id),
                    "{id} is ended and not there"
                );
                assert!(self.ending.insert(*id), "session {id} is ended twice");
            }
            Effect::BeginConversation { logon, task } => {
                let new = Conversation { task: task.clone(), told: None, may: None, killed: false };
                assert!(self.conversations.insert(*logon, new).is_none(), "{logon:?} is given twice");
            }
            Effect::TellLogon { logon, message } => self.perform_tell_logon(*logon, message),
            Effect::EndConversation(logon) => {
                let conversation = self.conversations.get_mut(logon).expect("it is not gone");
                assert!(!std::mem::replace(&mut conversation.killed, true), "{logon:?} is killed twice");
            }
            Effect::Attach { session, launch, viewer, to } => {
                self.perform_attach(*session, *launch, *viewer, to);
            }
            Effect::TellViewer { session, viewer, .. } => {
                self.clients.remove(&(*session, *viewer));
                if let Some(init) = self.inits.get_mut(session) {
                    init.sockets.remove(viewer);
                }
            }
            Effect::Reply { id, result } => {
                assert!(self.waiting.remove(id), "{id:?} is answered without being asked");
                self.answers.insert(*id, result.clone());
            }
            Effect::Emit(_) => {}
            Effect::LoadConfiguration => self.loading = true,
            Effect::Exit(_) => {
                self.exited = true;
                let left: Vec<_> = self.inits.keys().filter(|id| !self.ending.contains(id)).collect();
                assert!(left.is_empty(), "sessions are left behind: {left:?}");
            }
            _ => self.perform_inside(effect),
        }
    }

    /// What goes to an init.
    fn perform_inside(&mut self, effect: &Effect) {
        match effect {
            Effect::Store { key, bytes } => self.store(SESSION_ZERO, key, bytes),
            Effect::StoreSession { session, bytes } => self.store(*session, "session", bytes),
            Effect::UnstoreSession(session) => {
                if let Some(init) = self.inits.get_mut(session) {
                    init.records.remove("session");
                    init.attached.clear();
                    init.owner = None;
                }
            }
            Effect::AcknowledgeExits => self.acknowledge(SESSION_ZERO),
            Effect::AcknowledgeIn(session) => self.acknowledge(*session),
            Effect::Enter { session, user } => {
                let init = self.inits.get_mut(session).expect("a user enters what is there");
                assert!(init.owner.replace(user.uid).is_none(), "two users are in session {session}");
            }
            Effect::LaunchProgram(launch) => self.perform_launch(launch),
            Effect::SignalProgram { .. } => {}
            Effect::KillUnit { session, unit } => {
                assert_eq!(*session, SESSION_ZERO, "a session of its own ends with its init");
                let init = self.inits.get_mut(session).expect("there is an init");
                init.kills.insert(unit.clone());
            }
            Effect::ForgetUnit { session, unit } => {
                if let Some(init) = self.inits.get(session) {
                    let alive = init.alive.values().any(|alive| alive.unit == *unit);
                    assert!(!alive && !init.left.contains(unit), "{unit} is forgotten alive");
                }
            }
            Effect::ReleaseTerminal { session, launch } => {
                if let Some(init) = self.inits.get_mut(session) {
                    init.terminals.remove(launch);
                }
            }
            services => panic!("there is no service in this world: {services:?}"),
        }
    }

    fn perform_create(&mut self, id: SessionId) {
        assert!(!self.inits.contains_key(&id), "session {id} is made twice");
        assert!(self.making.insert(id), "session {id} is made twice");
        if id == SESSION_ZERO {
            return;
        }
        assert!(id.0 > self.session_last, "the number {id} is given again");
        self.session_last = id.0;
        let made = self.system.session(id).expect("it is in the table");
        let uid = made.user.expect("it has a user").uid;
        let per_user = self.configuration.sessions.per_user as usize;
        // Session 0 is Disconnected by convention, also while its user leaves.
        let known =
            |id: &SessionId| *id != SESSION_ZERO || self.state(SESSION_ZERO) == Some(ConnectState::Active);
        assert!(
            self.sessions_of(uid).iter().filter(|id| known(id)).count() <= per_user,
            "{uid} has too many sessions"
        );
    }

    fn perform_launch(&mut self, launch: &ProgramLaunch) {
        let session = launch.session;
        assert!(!self.ending.contains(&session), "a launch in a session that ends");
        let shown = self.system.session(session).expect("a launch needs a session");
        assert_ne!(shown.state, ConnectState::Down, "a launch in a session that ends");
        let init = self.inits.get_mut(&session).expect("a launch needs an init");
        assert!(init.records.contains_key("session"), "a launch before the session is recorded");
        assert_eq!(init.owner, Some(launch.user.uid), "a program in somebody else's session");
        assert!(init.launched.insert(launch.launch), "a launch's number is given again");
        assert_eq!(launch.unit, unit(launch.launch));
        init.launching.insert(launch.launch, launch.unit.clone());
        if let Streams::Terminal(_) = launch.streams {
            init.terminals.insert(launch.launch);
        }
    }

    fn perform_tell_logon(&mut self, logon: LogonId, message: &ToLogon) {
        let conversation = self.conversations.get_mut(&logon).expect("it is not gone");
        assert_eq!(conversation.told, None, "{logon:?} was told its end already");
        match message {
            ToLogon::Wait { ms } => conversation.may = Some(*ms),
            ToLogon::Refused { code, .. } => conversation.told = Some(Told::Refused(*code)),
            other => panic!("not the model's to say: {other:?}"),
        }
    }

    /// What a client sees depends on a record: a daemon that died now would know of it.
    fn perform_attach(&mut self, session: SessionId, launch: LaunchId, viewer: ViewerId, to: &Attachee) {
        assert!(
            self.shadow().viewers().contains(&(session, viewer)),
            "{viewer:?} is attached before it is recorded"
        );
        let init = self.inits.get_mut(&session).expect("there is an init");
        assert!(init.attached.insert(viewer), "{viewer:?} is given again");
        assert!(init.alive.contains_key(&launch), "a client gets what does not run");
        init.sockets.insert(viewer);
        self.clients.insert((session, viewer));
        match to {
            Attachee::Logon { logon, entry, .. } => {
                assert!(init.terminals.contains(&launch), "the terminal was closed");
                let conversation = self.conversations.get_mut(logon).expect("it is not gone");
                let told = Told::Concluded(session, viewer, *entry);
                assert_eq!(conversation.told.replace(told), None, "{logon:?} was told its end already");
            }
            Attachee::Request(id) => assert!(self.waiting.contains(id), "nobody asked for it"),
        }
    }

    fn store(&mut self, session: SessionId, key: &str, bytes: &[u8]) {
        let init = self.inits.get_mut(&session).expect("a record needs an init");
        let before = init.records.insert(key.to_string(), bytes.to_vec());
        assert_ne!(before.as_deref(), Some(bytes), "{key} of {session} is stored without need");
    }

    fn acknowledge(&mut self, session: SessionId) {
        if let Some(init) = self.inits.get_mut(&session) {
            init.exits.clear();
        }
    }

    // What must be true after every step.

    fn check_rules(&self) {
        let mut viewers = self.system.viewers();
        viewers.sort_unstable();
        let clients: Vec<_> = self.clients.iter().copied().collect();
        assert_eq!(viewers, clients, "who is thought to see something, and who does");
        for id in &self.waiting {
            assert!(!self.answers.contains_key(id));
        }
        for (id, init) in &self.inits {
            assert!(init.exits.is_empty(), "an exit in {id} is not acknowledged");
            let known = self.system.session(*id).is_some();
            assert!(known || self.ending.contains(id), "session {id} is forgotten");
            let programs = init.alive.keys().chain(init.launching.keys()).copied();
            // What a kill does not end is given up in the end.
            let given_up = |launch: &LaunchId| init.kills.contains(&unit(*launch));
            let lost = programs.filter(|l| !given_up(l)).find(|launch| !self.system.is_program(*launch));
            assert!(lost.is_none() || self.ending.contains(id), "{lost:?} in {id} is forgotten");
        }
        for session in self.system.sessions() {
            let there = self.inits.contains_key(&session.id) || self.making.contains(&session.id);
            assert!(there || session.id == SESSION_ZERO, "session {} is only a word", session.id);
        }
        self.check_deadlines();
        self.check_records();
    }

    /// Whatever is on its way has a time at which nobody waits for it any longer.
    fn check_deadlines(&self) {
        let on_its_way = |session: &SessionStatus| {
            session.user.is_some() && matches!(session.state, ConnectState::Init | ConnectState::Down)
        };
        let sessions = self.system.sessions().iter().any(on_its_way);
        let conversations = self.conversations.values().any(|conversation| !conversation.killed);
        if (sessions || conversations) && !self.exited {
            assert!(self.system.deadline().is_some(), "somebody waits without an end");
        }
    }

    /// A daemon that took over now would know what this one knows.
    fn check_records(&self) {
        let live = |status: &SessionStatus| {
            status.user.is_some()
                && matches!(status.state, ConnectState::Active | ConnectState::Disconnected)
                && status.id != SESSION_ZERO
        };
        let live: Vec<SessionStatus> = self.system.sessions().into_iter().filter(live).collect();
        if live.is_empty() {
            return;
        }
        let shadow = self.shadow();
        for status in live {
            assert_eq!(shadow.session(status.id).as_ref(), Some(&status), "its record is another's");
        }
    }

    /// A user whose terminal goes to another client is told.
    fn check_taken_over(&self, before: &BTreeSet<(SessionId, ViewerId)>) {
        for effect in &self.last {
            let Effect::Attach { session, to: Attachee::Logon { entry, .. }, .. } = effect else { continue };
            let told: Vec<ViewerId> = self
                .last
                .iter()
                .filter_map(|effect| match effect {
                    Effect::TellViewer { session: of, viewer, view: View::TakenOver(_) } if of == session => {
                        Some(*viewer)
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(told.len(), usize::from(*entry == Entry::TakenOver), "who is told: {told:?}");
            assert!(told.iter().all(|viewer| before.contains(&(*session, *viewer))));
        }
    }

    // What happens to the daemon.

    fn recovered(&self, id: SessionId) -> Option<Recovered> {
        let init = self.inits.get(&id)?;
        let launching = init.launching.iter().map(|(launch, unit)| Alive {
            launch: *launch,
            unit: unit.clone(),
            pid: 50,
            at: self.now,
        });
        Some(Recovered {
            protocol: 3,
            records: init.records.clone().into_iter().collect(),
            alive: init.alive.values().cloned().chain(launching).collect(),
            exits: init.exits.clone(),
        })
    }

    fn start(&self) -> Input {
        let others = self.inits.keys().filter(|id| **id != SESSION_ZERO && !self.ending.contains(id));
        Input::Start {
            configuration: self.configuration.clone(),
            recovered: self.recovered(SESSION_ZERO).filter(|_| !self.ending.contains(&SESSION_ZERO)),
            sessions: others.filter_map(|id| Some((*id, self.recovered(*id)?))).collect(),
            session_last: self.session_last,
        }
    }

    /// The daemon that would take over if this one died now.
    fn shadow(&self) -> System {
        let mut system = System::new();
        system.handle(self.now, self.start());
        system.check_invariants();
        system
    }

    /// The daemon dies; a new one takes over what the inits have. What was being launched comes to exec first; what was being
    /// made is found unfinished, what was being killed is gone.
    pub fn kill_daemon(&mut self) {
        self.waiting.clear();
        self.conversations.clear();
        self.loading = false;
        for id in std::mem::take(&mut self.making) {
            if id != SESSION_ZERO {
                self.inits.insert(id, Init::default());
            }
        }
        for id in std::mem::take(&mut self.ending) {
            self.inits.remove(&id);
        }
        for init in self.inits.values_mut() {
            for (launch, unit) in std::mem::take(&mut init.launching) {
                self.pid += 1;
                init.alive.insert(launch, Alive { launch, unit, pid: self.pid, at: self.now });
            }
        }
        let kept = |(id, viewer): &(SessionId, ViewerId)| {
            self.inits.get(id).is_some_and(|init| init.sockets.contains(viewer))
        };
        self.clients = self.clients.iter().copied().filter(kept).collect();
        let start = self.start();
        self.system = System::new();
        if !self.take(start) {
            return;
        }
        // The daemon compares the sockets it finds with what its model knows.
        let viewers: BTreeSet<_> = self.system.viewers().into_iter().collect();
        self.clients.retain(|client| viewers.contains(client));
        for (id, init) in &mut self.inits {
            init.sockets.retain(|viewer| viewers.contains(&(*id, *viewer)));
        }
        let gone: Vec<ViewerId> = viewers.difference(&self.clients).map(|(_, viewer)| *viewer).collect();
        for viewer in gone {
            self.take(Input::ViewerGone(viewer));
        }
        self.check_rules();
    }

    // What happens.

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.step(Input::Tick);
    }

    /// Lets time pass to the next deadline; says whether there was one.
    pub fn wait(&mut self) -> bool {
        let Some(deadline) = self.system.deadline() else { return false };
        self.now = self.now.max(deadline);
        self.step(Input::Tick);
        true
    }

    pub fn try_made(&mut self, id: SessionId) -> bool {
        if self.ending.contains(&id) || !self.making.remove(&id) {
            return false;
        }
        self.inits.insert(id, self.made(id));
        self.step(Input::SessionCreated { session: id, protocol: 3 });
        true
    }

    /// What is there once a session is made, whether the daemon has heard that it is or not.
    pub fn made(&self, id: SessionId) -> Init {
        let mut init = Init::default();
        if id == SESSION_ZERO && self.system.isolation() == Isolation::Xp {
            init.records.insert(WALLS_DOWN.to_owned(), b"xp".to_vec());
        }
        init
    }

    pub fn try_making_fails(&mut self, id: SessionId) -> bool {
        if !self.making.remove(&id) {
            return false;
        }
        self.ending.remove(&id);
        self.step(Input::SessionFailed { session: id, reason: String::from("no") });
        true
    }

    /// A session's init dies, asked for or not.
    pub fn try_init_dies(&mut self, id: SessionId) -> bool {
        let making = self.making.remove(&id);
        let asked = self.ending.remove(&id);
        if self.inits.remove(&id).is_none() && !making && !asked {
            return false;
        }
        self.step(Input::SessionEnded(id));
        true
    }

    pub fn happens(&mut self, session: SessionId, launch: LaunchId, happened: Happened) {
        self.step(Input::Program { session, launch, happened });
    }

    pub fn launching(&self) -> Vec<(SessionId, LaunchId)> {
        let all = self.inits.iter().flat_map(|(id, init)| init.launching.keys().map(|launch| (*id, *launch)));
        all.collect()
    }

    /// exec succeeds.
    pub fn launched(&mut self, session: SessionId, launch: LaunchId) {
        let init = self.inits.get_mut(&session).expect("there is an init");
        let unit = init.launching.remove(&launch).expect("it is being launched");
        self.pid += 1;
        init.alive.insert(launch, Alive { launch, unit, pid: self.pid, at: self.now });
        self.happens(session, launch, Happened::Launched);
    }

    pub fn launch_fails(&mut self, session: SessionId, launch: LaunchId, phase: LaunchPhase) {
        let init = self.inits.get_mut(&session).expect("there is an init");
        init.launching.remove(&launch).expect("it is being launched");
        let failure = LaunchFailure { phase, errno: 2 };
        self.happens(session, launch, Happened::LaunchFailed(failure));
    }

    /// A main process ends.
    pub fn exits(&mut self, session: SessionId, launch: LaunchId, status: ExitStatus, remains: Remains) {
        let init = self.inits.get_mut(&session).expect("there is an init");
        let alive = init.alive.remove(&launch).expect("it is alive");
        if remains == Remains::Processes {
            init.left.insert(alive.unit);
        }
        init.exits.push(UnackedExit { launch, status, remains, usage: None });
        self.happens(session, launch, Happened::Exited { status, remains });
    }

    /// What was killed in Session 0 is gone.
    pub fn try_group_empty(&mut self) -> bool {
        let Some(init) = self.inits.get_mut(&SESSION_ZERO) else { return false };
        let Some(unit) = init.kills.pop_first() else { return false };
        init.left.remove(&unit);
        let launching = init.launching.iter().find(|(_, u)| **u == unit).map(|(launch, _)| *launch);
        let alive = init.alive.iter().find(|(_, a)| a.unit == unit).map(|(launch, _)| *launch);
        if let Some(launch) = launching {
            self.launch_fails(SESSION_ZERO, launch, LaunchPhase::Clone);
        }
        if let Some(launch) = alive {
            self.exits(SESSION_ZERO, launch, KILLED, Remains::Nothing);
        }
        let launch = unit.rsplit('-').next().and_then(|number| number.parse().ok()).map(LaunchId);
        self.happens(SESSION_ZERO, launch.expect("it is a program's"), Happened::GroupEmpty);
        true
    }

    pub fn viewer_goes(&mut self, session: SessionId, viewer: ViewerId) {
        assert!(self.clients.remove(&(session, viewer)), "nobody sees it");
        if let Some(init) = self.inits.get_mut(&session) {
            init.sockets.remove(&viewer);
        }
        self.step(Input::ViewerGone(viewer));
    }

    // Conversations.

    pub fn begin(&mut self, caller: Caller, uid: u32, wish: Wish) -> RequestId {
        let wanted = Wanted {
            client: Client { name: format!("/dev/pts/{}", self.requests), uid: caller.uid },
            size: Size { rows: 25, columns: 80 },
            environment: Vec::new(),
            wish,
        };
        let request = LogonRequest::Begin { account: account(uid), wanted: Box::new(wanted) };
        self.request(caller, Request::Logon(request))
    }

    /// Begins a conversation that must be allowed.
    pub fn talk(&mut self, uid: u32, wish: Wish) -> LogonId {
        let id = self.begin(root(), uid, wish);
        self.conversation(id)
    }

    pub fn conversation(&self, id: RequestId) -> LogonId {
        match self.answers.get(&id) {
            Some(Ok(Reply::Conversation(logon))) => *logon,
            other => panic!("{other:?}"),
        }
    }

    pub fn says(&mut self, logon: LogonId, said: FromLogon) {
        self.step(Input::LogonSaid { logon, said });
    }

    /// A password is typed: how long it waits, or the end.
    pub fn attempt(&mut self, logon: LogonId) -> Result<u64, u32> {
        self.says(logon, FromLogon::Attempt);
        let conversation = &mut self.conversations.get_mut(&logon).expect("it is there");
        match (conversation.told, conversation.may.take()) {
            (Some(Told::Refused(code)), _) => Err(code),
            (_, may) => Ok(may.expect("it is answered")),
        }
    }

    pub fn right(&mut self, logon: LogonId, uid: u32) {
        self.says(logon, FromLogon::Authenticated(user(uid)));
    }

    pub fn conversation_ends(&mut self, logon: LogonId) {
        self.conversations.remove(&logon);
        self.step(Input::LogonGone(logon));
    }

    pub fn told(&self, logon: LogonId) -> Option<Told> {
        self.conversations.get(&logon).and_then(|conversation| conversation.told)
    }

    /// The whole way from a password to a shell, or into a session that is there.
    pub fn log_on(&mut self, uid: u32, wish: Wish) -> SessionId {
        let logon = self.talk(uid, wish);
        self.attempt(logon).expect("the first try is allowed");
        self.right(logon, uid);
        for id in self.making.clone() {
            self.try_made(id);
        }
        for (session, launch) in self.launching() {
            self.launched(session, launch);
        }
        let Some(Told::Concluded(session, ..)) = self.told(logon) else { panic!("{:?}", self.told(logon)) };
        self.conversation_ends(logon);
        session
    }

    // Requests.

    pub fn request(&mut self, caller: Caller, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.waiting.insert(id);
        self.step(Input::Request { id, caller, request });
        id
    }

    pub fn logoff(&mut self, caller: Caller, session: SessionId, wait: Wait) -> RequestId {
        self.request(caller, Request::Session(SessionRequest::Logoff { session, wait }))
    }

    pub fn run(&mut self, caller: Caller, session: SessionId, streams: Streams) -> RequestId {
        let (command, environment) = (vec![String::from("id")], Vec::new());
        let request = SessionRequest::Run { session, command, streams, environment };
        self.request(caller, Request::Session(request))
    }

    /// Runs a program beside the shell.
    pub fn run_beside(&mut self, session: SessionId, streams: Streams) -> LaunchId {
        let id = self.run(root(), session, streams);
        for (session, launch) in self.launching() {
            self.launched(session, launch);
        }
        match self.answers.get(&id) {
            Some(Ok(Reply::Running(launch))) => *launch,
            other => panic!("{other:?}"),
        }
    }

    pub fn account(&mut self, caller: Caller, task: Task) -> RequestId {
        self.request(caller, Request::Account(AccountRequest { task, uid: None }))
    }

    pub fn abandon(&mut self) -> bool {
        let Some(id) = self.waiting.pop_last() else { return false };
        self.step(Input::Abandoned(id));
        true
    }

    pub fn load(&mut self, policy: Policy) {
        self.configuration = configuration(policy);
        self.step(Input::Loaded(self.configuration.clone()));
    }

    /// Gives these every right.
    pub fn administer(&mut self, administrators: Administrators) {
        self.configuration.administrators = administrators;
        self.step(Input::Loaded(self.configuration.clone()));
    }

    // What is.

    pub fn code(&self, id: RequestId) -> u32 {
        match self.answers.get(&id).expect("it is answered") {
            Ok(_) => 0,
            Err(refusal) => refusal.code(),
        }
    }

    /// A user's sessions that do not end.
    pub fn sessions_of(&self, uid: u32) -> Vec<SessionId> {
        let his = |status: &SessionStatus| {
            status.state != ConnectState::Down && status.user.as_ref().is_some_and(|user| user.uid == uid)
        };
        self.system.sessions().into_iter().filter(his).map(|status| status.id).collect()
    }

    pub fn shutting_down(&self) -> bool {
        self.system.host_status(self.now).phase == session0_model::system::HostPhase::ShuttingDown
    }

    pub fn state(&self, session: SessionId) -> Option<ConnectState> {
        self.system.session(session).map(|status| status.state)
    }

    /// A session's shell: the first program that was launched in it.
    pub fn shell(&self, session: SessionId) -> LaunchId {
        *self.inits[&session].alive.first_key_value().expect("it has one").0
    }

    /// Who sees something of a session, the first first.
    pub fn viewer(&self, session: SessionId) -> Option<ViewerId> {
        self.clients.iter().find(|(id, _)| *id == session).map(|(_, viewer)| *viewer)
    }

    pub fn events(&self) -> Vec<&Event> {
        let events = self.last.iter().filter_map(|effect| match effect {
            Effect::Emit(event) => Some(event),
            _ => None,
        });
        events.collect()
    }

    /// What viewers were told in the last step.
    pub fn views(&self) -> Vec<View> {
        let views = self.last.iter().filter_map(|effect| match effect {
            Effect::TellViewer { view, .. } => Some(view.clone()),
            _ => None,
        });
        views.collect()
    }

    pub fn signals(&self) -> Vec<(LaunchId, u8)> {
        let signals = self.last.iter().filter_map(|effect| match effect {
            Effect::SignalProgram { launch, signal, .. } => Some((*launch, *signal)),
            _ => None,
        });
        signals.collect()
    }

    pub fn did(&self, effect: &Effect) -> bool {
        self.last.contains(effect)
    }
}
