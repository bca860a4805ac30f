//! The daemon's one state, and the one way into the model: inputs in, effects out.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use session0_api::pipe::Peer;
use session0_model::access::Caller;
use session0_model::event::Event;
use session0_model::id::{LaunchId, LogonId, RequestId, SESSION_ZERO, ServiceName, SessionId, ViewerId};
use session0_model::limit;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::ToLogon;
use session0_model::pipe::access::AccessList;
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::request::Opened;
use session0_model::system::{ExitReason, Input, Refusal, Reply, Request, System};
use session0_model::time::Time;
use session0_sys::facility::{Probe, Without};
use session0_sys::process::now;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::api::host::{Configured, Door, Host, Subscription, Told};
use crate::config::{Machine, Settings};
use crate::conversation::Conversation;
use crate::dropped::Dropped;
use crate::event::Events;
use crate::identity;
use crate::message;
use crate::notify::Deferred;
use crate::pipe::{self, Pipes};
use crate::session::{Place, Session};
use crate::viewer::Viewer;
use crate::{api, clock, conversation, executor};

/// Everything the daemon has.
pub struct State {
    /// What is decided here is decided in there.
    pub system: System,
    /// Where sessions are made.
    pub place: Rc<Place>,
    /// host.toml as loaded last.
    pub settings: Settings,
    /// What the machine's files say for every program.
    pub machine: Machine,
    /// Uids that displays are pretended to.
    pub tripwire_uids: Vec<u32>,
    /// session0-log.
    pub logger: PathBuf,
    /// Session 0, once it is made.
    pub session: Option<Session>,
    /// Sessions of users, once they are made.
    pub users: BTreeMap<SessionId, Session>,
    /// Sessions being made.
    pub creating: HashMap<SessionId, JoinHandle<()>>,
    /// Conversations with session0-logons.
    pub conversations: HashMap<LogonId, Conversation>,
    /// Clients that programs' streams are with.
    pub viewers: HashMap<ViewerId, Viewer>,
    /// The same, until the answers to these requests take them along.
    pub attached: HashMap<LaunchId, (RequestId, Vec<OwnedFd>)>,
    /// What happened.
    pub events: Events,
    /// The outer API listener, to be kept by each new init.
    pub outside: Option<OwnedFd>,
    /// Messages whose program's start is not yet reported.
    pub deferred: Vec<Deferred>,
    /// Held display connections.
    pub held: usize,
    /// Named pipes.
    pub pipes: Pipes,
    /// What was dropped.
    pub dropped: Dropped,
    /// Clients that wait for a reply.
    pub pending: HashMap<RequestId, oneshot::Sender<Result<Reply, Refusal>>>,
    /// Replies that wait until the records before them are sent.
    pub replies: Vec<(RequestId, Result<Reply, Refusal>)>,
    /// Users who are in their sessions and are to be told so, which waits for the same: what they get with it.
    pub concluded: Vec<(LogonId, ToLogon, Vec<OwnedFd>)>,
    /// What is to go into the model next.
    pub inputs: VecDeque<Input>,
    /// How the daemon is to end.
    pub exit: Option<Exit>,
    request: u64,
}

/// How the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The model says so.
    Asked(ExitReason),
    /// We cannot go on, and starting again may help.
    Broken,
}

impl State {
    /// A state to which nothing happened yet.
    pub fn new(place: Place, settings: Settings, tripwire_uids: Vec<u32>, logger: PathBuf) -> State {
        let events = Events::open(&place.paths.log(), settings.events);
        State {
            system: System::new(),
            place: Rc::new(place),
            settings,
            machine: Machine::load(),
            tripwire_uids,
            logger,
            session: None,
            users: BTreeMap::new(),
            creating: HashMap::new(),
            conversations: HashMap::new(),
            viewers: HashMap::new(),
            attached: HashMap::new(),
            events,
            outside: None,
            deferred: Vec::new(),
            held: 0,
            pipes: Pipes::default(),
            dropped: Dropped::default(),
            pending: HashMap::new(),
            replies: Vec::new(),
            concluded: Vec::new(),
            inputs: VecDeque::new(),
            exit: None,
            request: 0,
        }
    }

    /// A live session.
    pub fn live(&self, id: SessionId) -> Option<&Session> {
        if id == SESSION_ZERO { self.session.as_ref() } else { self.users.get(&id) }
    }

    /// The same, to be changed.
    pub fn live_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        if id == SESSION_ZERO { self.session.as_mut() } else { self.users.get_mut(&id) }
    }

    /// Sends what was said to the inits. Replies go out only when everything before them did: a client must not see what
    /// the next daemon would not know of.
    pub fn flush(&mut self) {
        let mut all = crate::link::Flushed::All;
        let zero = self.session.as_ref().map(|session| (SESSION_ZERO, session));
        let users = self.users.iter().map(|(id, session)| (*id, session));
        for (id, session) in zero.into_iter().chain(users) {
            match session.link.flush() {
                Ok(crate::link::Flushed::All) => {}
                Ok(crate::link::Flushed::Later) => all = crate::link::Flushed::Later,
                Err(error) => {
                    message::warn("cannot speak to init", &[("session", &id), ("reason", &error)]);
                    // Nobody is left waiting. If init is gone, who watches its process says so; if it is there and does not
                    // read, its session ends, or we begin anew.
                    if error.kind() == io::ErrorKind::Other {
                        if id == SESSION_ZERO {
                            self.exit = self.exit.or(Some(Exit::Broken));
                        } else {
                            session.kill(id);
                        }
                    }
                }
            }
        }
        if all == crate::link::Flushed::All {
            self.reply();
            self.conclude();
        }
        self.events.flush();
    }

    /// Lets users into their sessions who waited for that.
    fn conclude(&mut self) {
        for (logon, message, descriptors) in std::mem::take(&mut self.concluded) {
            let descriptors: Vec<_> = descriptors.iter().map(|one| one.as_fd()).collect();
            conversation::tell(self, logon, &message, &descriptors);
        }
    }

    /// Sends the replies that waited.
    pub fn reply(&mut self) {
        for (id, result) in std::mem::take(&mut self.replies) {
            // Whoever left while it waited here has abandoned a request that the model had answered.
            let untaken = match self.pending.remove(&id) {
                Some(client) => client.send(result).err(),
                None => Some(result),
            };
            untaken.into_iter().for_each(|result| self.take_back(result));
        }
    }

    /// An answer that nobody takes any more: what it gave is taken back.
    fn take_back(&mut self, result: Result<Reply, Refusal>) {
        match result {
            Ok(Reply::PipeOpened(opened)) => {
                let (server, instance) = (opened.server, opened.instance);
                self.inputs.push_back(Input::PipeLost { server, instance });
            }
            Ok(Reply::PipeListening(listening)) => {
                pipe::server::drop(self, listening.server);
                self.inputs.push_back(Input::PipeServerGone(listening.server));
            }
            _ => {}
        }
    }
}

/// The daemon's handle to itself: cheap to clone, used by every task.
#[derive(Clone)]
pub struct Core(Rc<Shared>);

struct Shared {
    state: RefCell<State>,
    /// The model's deadline may have changed.
    alarm: Notify,
    /// [`State::exit`] was set.
    ended: Notify,
}

impl Core {
    /// Around a state.
    pub fn new(state: State) -> Core {
        Core(Rc::new(Shared { state: RefCell::new(state), alarm: Notify::new(), ended: Notify::new() }))
    }

    /// Looks at the state, or changes what is not the model's. Must not be nested.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.state.borrow_mut())
    }

    /// Something happened (or nothing, and what was said to init is to be sent): through the model, and out with the
    /// effects.
    pub fn take(&self, inputs: impl IntoIterator<Item = Input>) {
        let mut state = self.0.state.borrow_mut();
        state.inputs.extend(inputs);
        loop {
            while let Some(input) = state.inputs.pop_front() {
                let effects = state.system.handle(now(), input);
                for effect in effects {
                    executor::perform(self, &mut state, effect);
                }
            }
            state.flush();
            // An answer that nobody took is something that happened, too.
            if state.inputs.is_empty() {
                break;
            }
        }
        self.0.alarm.notify_one();
        self.0.ended.notify_one();
    }

    /// Gives memory back that a burst of work (a start, a reload) needed, once it is over.
    pub fn settle_memory(&self) {
        /// After the burst, and once more in case it took longer.
        const WAITS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
        tokio::task::spawn_local(async {
            for wait in WAITS {
                tokio::time::sleep(wait).await;
                session0_sys::memory::give_back();
            }
        });
    }

    /// Sends what was said to init outside the model's effects.
    pub fn flush(&self) {
        self.take([]);
    }

    /// We cannot go on: the keeper starts us again, and everything is read back from init.
    pub fn fail(&self, why: &str, reason: &dyn std::fmt::Display) {
        message::error(why, &[("reason", reason)]);
        self.with(|state| state.exit = state.exit.or(Some(Exit::Broken)));
        self.0.ended.notify_one();
    }

    /// Starts a task that ends with Session 0.
    pub fn spawn_in_session(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_in(SESSION_ZERO, task);
    }

    /// Starts a task that ends with a session.
    pub fn spawn_in(&self, id: SessionId, task: impl Future<Output = ()> + 'static) {
        self.with(|state| {
            // Without the session it would have ended already.
            let Some(session) = state.live_mut(id) else { return };
            session.tasks.retain(|task| !task.is_finished());
            session.tasks.push(tokio::task::spawn_local(task));
        });
    }

    /// Ticks the model when it wants to be. Never returns.
    pub async fn tick(self) {
        loop {
            let deadline = self.with(|state| state.system.deadline());
            let changed = self.0.alarm.notified();
            match deadline {
                None => changed.await,
                Some(deadline) => {
                    let wait = deadline.since(now());
                    if wait.is_zero() || tokio::time::timeout(wait, changed).await.is_err() {
                        self.take([Input::Tick]);
                        // A deadline that stays in the past is the model's mistake; others have their turn all the same.
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    /// Waits until the daemon is to end.
    pub async fn ended(&self) -> Exit {
        loop {
            if let Some(exit) = self.with(|state| state.exit) {
                return exit;
            }
            self.0.ended.notified().await;
        }
    }

    fn begin(&self, caller: Caller, request: Request) -> Asked {
        let (client, answer) = oneshot::channel();
        let id = self.with(|state| {
            state.request += 1;
            let id = RequestId(state.request);
            state.pending.insert(id, client);
            id
        });
        self.take([Input::Request { id, caller, request }]);
        Asked { core: self.clone(), id, answer, answered: false }
    }
}

/// A request under way. Dropped before its answer, it is abandoned.
struct Asked {
    core: Core,
    id: RequestId,
    answer: oneshot::Receiver<Result<Reply, Refusal>>,
    /// Whoever asked has the answer.
    answered: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let waited = self.core.with(|state| {
            // What was to go with an answer that nobody takes is closed: that is how a client hangs up.
            state.attached.retain(|_, (id, _)| *id != self.id);
            state.pending.remove(&self.id).is_some()
        });
        if waited {
            self.core.take([Input::Abandoned(self.id)]);
        } else if let Ok(result) = self.answer.try_recv() {
            self.core.with(|state| state.take_back(result));
            self.core.flush();
        }
    }
}

impl Host for Core {
    async fn request(&self, caller: Caller, request: Request) -> Result<Reply, Refusal> {
        let mut asked = self.begin(caller, request);
        let answer = (&mut asked.answer).await;
        asked.answered = true;
        // Without an answer the daemon ends: an ordered shutdown has answered everybody before that.
        answer.unwrap_or(Err(Refusal::ShutdownInProgress))
    }

    fn subscribe(&self, caller: &Caller) -> Subscription {
        self.with(|state| Subscription {
            told: match state.system.is_administrator(caller) {
                true => Told::Everything,
                false => Told::WhatIsForAll,
            },
            sequence: state.events.sequence(),
            host: state.system.host_status(now()),
            services: state.system.services(),
            receiver: state.events.subscribe(),
        })
    }

    fn open_log(&self, service: &ServiceName) -> io::Result<Vec<OwnedFd>> {
        let directory = self.with(|state| state.place.paths.service_logs());
        open_log(&directory, service)
    }

    fn conversation(&self, logon: LogonId) -> Option<OwnedFd> {
        self.with(|state| state.conversations.get_mut(&logon)?.client.take())
    }

    fn streams(&self, launch: LaunchId) -> Vec<OwnedFd> {
        self.with(|state| state.attached.remove(&launch).map(|(_, streams)| streams).unwrap_or_default())
    }

    fn wall_ms(&self, at: Time) -> i64 {
        clock::wall_ms(at)
    }

    fn configured(&self, service: &ServiceName) -> Configured {
        self.with(|state| {
            let Some(definition) = state.system.definition(service) else { return Configured::default() };
            let plan = &definition.plan;
            Configured {
                command: plan.arguments.clone(),
                depends: definition.depends.clone(),
                dependents: state.system.dependents(service),
            }
        })
    }

    fn uid_of(&self, account: &AccountName) -> Option<u32> {
        crate::config::built_in_uid(&self.with(|state| state.place.paths.published_accounts()), account)
    }

    fn access_list(&self, texts: &[String]) -> Result<AccessList, String> {
        let published = self.with(|state| state.place.paths.published_accounts());
        crate::config::access_list(texts, &crate::config::Accounts::load(Some(&published)))
    }

    fn place_for_long_answer(&self, caller: &Caller) -> Result<Option<api::Place>, api::Full> {
        let limits = api::Limits {
            clients: limit::PIPE_LISTS_MAX,
            reserved: limit::PIPE_LISTS_MAX / 4,
            clients_per_uid: limit::PIPE_LISTS_PER_UID_MAX,
            ..api::Limits::default()
        };
        self.with(|state| {
            let counted = state.system.counted_against(caller).unwrap_or(0);
            state.pipes.lists.take(counted, &limits).map(Some)
        })
    }

    fn peer(&self, caller: &Caller) -> Peer {
        self.with(|state| pipe::names::peer(state, caller))
    }

    fn hand_over(&self, opened: Opened, caller: &Caller, socket: OwnedFd) {
        pipe::server::hand_over(self, &opened, caller, socket);
    }

    fn not_taken(&self, server: ServerId, instance: InstanceId) {
        self.take([Input::PipeLost { server, instance }]);
    }

    fn serve_pipe(&self, server: ServerId, socket: Option<OwnedFd>) {
        pipe::server::serve(self, server, socket, pipe::server::Stream::Fresh);
    }

    fn degraded(&self) -> Vec<(String, String)> {
        // Whatever is missing was accepted: without that the daemon does not start. What nobody need accept is for doctor.
        let accepted = |probe: &&Probe| !probe.found && probe.without != Without::Always;
        let missing = crate::facility::probes().iter().filter(accepted);
        let mut degraded: Vec<(String, String)> =
            missing.map(|probe| (probe.name.to_owned(), probe.lost.to_owned())).collect();
        let keeper = self.with(|state| state.place.paths.run().join("keeper.lock"));
        if session0_sys::lock::written(&keeper).is_none() {
            let lost = "nobody starts session0d again when it ends: `s0 up` takes over, and disturbs nothing";
            degraded.push(("the keeper".to_owned(), lost.to_owned()));
        }
        degraded
    }

    fn identify(&self, door: Door, socket: BorrowedFd<'_>) -> io::Result<Caller> {
        self.with(|state| {
            let caller = identity::identify(state, door, socket);
            let mismatch = caller.as_ref().err().and_then(io::Error::get_ref);
            if let Some(mismatch) = mismatch.and_then(|error| error.downcast_ref::<identity::Mismatch>()) {
                let session = match door {
                    Door::Outside | Door::Pipe => None,
                    Door::Session(session) => Some(session),
                };
                let event = Event::IdentityRefused { session, uid: mismatch.uid };
                state.events.record(event, clock::wall_now_ms());
                state.events.flush();
            }
            caller
        })
    }
}

/// A unit's log files, oldest first.
fn open_log(directory: &std::path::Path, service: &ServiceName) -> io::Result<Vec<OwnedFd>> {
    /// More were never kept (`log.keep`).
    const FILES_MAX: u32 = 100;
    let unit = service.as_str().to_ascii_lowercase();
    let directory = session0_sys::files::open_directory(directory)?;
    let mut files = Vec::new();
    for number in 0..FILES_MAX {
        let name = if number == 0 { format!("{unit}.log") } else { format!("{unit}.log.{number}") };
        match session0_sys::files::open_read(directory.as_fd(), name.as_ref()) {
            Ok(file) => files.push(file.into()),
            // Before the first rotation's end there may be no current file for a moment.
            Err(fault) if fault.reason.kind() == io::ErrorKind::NotFound && number == 0 => {}
            Err(fault) if fault.reason.kind() == io::ErrorKind::NotFound => break,
            Err(fault) => return Err(fault.into()),
        }
    }
    files.reverse();
    Ok(files)
}

#[cfg(test)]
mod tests;
