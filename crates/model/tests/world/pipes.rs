//! Pipes' servers around the model: what each really has, so that the model's counts can be held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use session0_model::access::{Caller, Origin};
use session0_model::id::{RequestId, SESSION_ZERO, SessionId};
use session0_model::pipe::access::{AccessList, Effect as Gives, Entry, Rights, Who};
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::name::PipeName;
use session0_model::pipe::request::{Listen, Opened, PipeRequest, Said, Tell, Wait};
use session0_model::pipe::settings::{Access, Declared, Impersonation, InstancesMax, Opening, Settings};
use session0_model::pipe::status::PipeStatus;
use session0_model::service::definition::Definition;
use session0_model::system::{Effect, Input, Reply, Request};

use super::{World, name, root};

/// What is around the model.
#[derive(Debug, Clone, Default)]
pub struct Pipes {
    /// Names that have a socket.
    pub sockets: BTreeSet<PipeName>,
    /// Servers whose connection lives.
    pub servers: BTreeMap<ServerId, Server>,
    /// What requests are about.
    pub asked: BTreeMap<RequestId, Asked>,
    /// Every number that was given.
    pub given: BTreeSet<u64>,
    /// What servers were told in the last step.
    pub told: Vec<(ServerId, Tell)>,
    /// Servers whose connection was closed in the last step.
    pub dropped: Vec<ServerId>,
    /// A new daemon is being told which servers are left.
    pub taking_over: bool,
}

/// What a request is about.
#[derive(Debug, Clone)]
pub struct Asked {
    pub name: PipeName,
    /// For Listen: how many are to listen.
    pub listening: u32,
}

/// A server as it is.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: PipeName,
    pub listening: u32,
    pub clients: BTreeSet<InstanceId>,
    pub stopped: bool,
    /// It was asked what it has and did not answer.
    pub owes: bool,
}

pub fn pipe(text: &str) -> PipeName {
    PipeName::new(text).expect("tests use good names")
}

/// A program of a user outside every session.
pub fn user(uid: u32) -> Caller {
    Caller { origin: Origin::Outside, uid, groups: vec![uid], pid: 3 }
}

/// A process of a service.
pub fn service(text: &str) -> Caller {
    let origin = Origin::Session { id: SESSION_ZERO, service: Some(name(text)) };
    Caller { origin, uid: 0, groups: vec![0], pid: 4 }
}

/// Who claims to be a service, in a session of a user.
pub fn elsewhere(text: &str) -> Caller {
    let origin = Origin::Session { id: SessionId(1), service: Some(name(text)) };
    Caller { origin, ..service(text) }
}

/// An entry that allows.
pub fn allow(who: Who, rights: Rights) -> Entry {
    Entry { text: format!("{who:?} {rights:?}"), effect: Gives::Allow, who, rights }
}

pub fn listed(entries: Vec<Entry>) -> Settings {
    Settings { access: AccessList(entries), ..Settings::default() }
}

/// Everybody reads and writes; at most so many instances.
pub fn open_to_all(most: u8) -> Settings {
    let instances_max = InstancesMax::Limited(most);
    Settings { instances_max, ..listed(vec![allow(Who::Everyone, Rights::READ | Rights::WRITE)]) }
}

/// Declares a pipe that is open to all.
pub fn serves(mut definition: Definition, text: &str, opening: Opening) -> Definition {
    let settings = Arc::new(open_to_all(2));
    definition.pipes.push(Declared { name: pipe(text), settings, opening });
    definition
}

impl Pipes {
    pub fn perform(&mut self, effect: &Effect) {
        match effect {
            Effect::BindPipe(name) => drop(self.sockets.insert(name.clone())),
            Effect::UnbindPipe(name) => {
                assert!(self.sockets.remove(name), "{name} has no socket that could be taken away");
            }
            Effect::TellPipeServer { server, tell } => {
                self.told.push((*server, *tell));
                let Some(found) = self.servers.get_mut(server) else { return };
                match tell {
                    Tell::Refused(count) if found.owes => {
                        found.listening = found.listening.saturating_sub(*count);
                    }
                    Tell::Refused(count) => found.listening -= count,
                    Tell::Recount => found.owes = true,
                }
            }
            Effect::DropPipeServer(server) => {
                self.servers.remove(server);
                self.dropped.push(*server);
            }
            other => panic!("nobody logs on in this world: {other:?}"),
        }
    }

    /// A request is answered. `records`: what init has.
    pub fn answered(&mut self, id: RequestId, reply: &Reply, records: &BTreeMap<String, Vec<u8>>) {
        match reply {
            Reply::PipeListening(reply) => {
                let asked = self.asked.get(&id).expect("it was asked for");
                assert_eq!(reply.name, asked.name);
                assert!(self.given.insert(reply.server.0), "{:?} is given again", reply.server);
                let key = format!("pipe.{}", reply.server.0);
                assert!(records.contains_key(&key), "{key} is answered before it is recorded");
                let (name, listening) = (asked.name.clone(), asked.listening);
                let server =
                    Server { name, listening, clients: BTreeSet::new(), stopped: false, owes: false };
                self.servers.insert(reply.server, server);
            }
            Reply::PipeOpened(opened) => {
                assert!(self.given.insert(opened.instance.0), "{:?} is given again", opened.instance);
                let server = self.servers.get_mut(&opened.server).expect("the server is known");
                assert_eq!(server.name, opened.name);
                assert!(server.owes || server.listening > 0, "{:?} has none that listens", opened.server);
                server.listening = server.listening.saturating_sub(1);
                server.clients.insert(opened.instance);
            }
            _ => {}
        }
    }
}

impl World {
    /// What the model counts is what there is.
    pub fn check_pipes(&self) {
        let sockets: BTreeSet<PipeName> = self.system.pipe_sockets().cloned().collect();
        assert_eq!(sockets, self.pipes.sockets, "other names have sockets");
        if self.pipes.taking_over {
            return;
        }
        for status in self.pipe_statuses() {
            let name = &status.name;
            let servers = || self.pipes.servers.values().filter(|server| server.name == *name);
            let waiting = self.waiting.iter().filter_map(|id| self.pipes.asked.get(id));
            assert_eq!(
                status.waiting as usize,
                waiting.filter(|asked| asked.name == *name).count(),
                "{name}: others wait"
            );
            assert_eq!(status.servers.len(), servers().count(), "{name}: others serve it");
            if servers().any(|server| server.owes) {
                continue;
            }
            let listening: u32 = servers().map(|server| server.listening).sum();
            let connected: usize = servers().map(|server| server.clients.len()).sum();
            assert_eq!((status.listening, status.connected as usize), (listening, connected), "{name}");
        }
    }

    /// Whether somebody waits for a pipe.
    pub fn waiting_for_pipes(&self) -> bool {
        self.waiting.iter().any(|id| self.pipes.asked.contains_key(id))
    }

    /// All pipes as an administrator sees them.
    fn pipe_statuses(&self) -> Vec<PipeStatus> {
        match self.look(PipeRequest::List) {
            Some(Reply::Pipes(pipes)) => pipes,
            other => panic!("no list: {other:?}"),
        }
    }

    /// A question, which changes nothing.
    fn look(&self, request: PipeRequest) -> Option<Reply> {
        let mut system = self.system.clone();
        let (id, request) = (RequestId(u64::MAX), Request::Pipe(request));
        let effects = system.handle(self.now, Input::Request { id, caller: root(), request });
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { result: Ok(reply), .. } => Some(reply),
            _ => None,
        })
    }

    /// A pipe as an administrator sees it.
    pub fn pipe_status(&self, name: &PipeName) -> Option<PipeStatus> {
        match self.look(PipeRequest::Status(name.clone())) {
            Some(Reply::Pipe(status)) => Some(*status),
            _ => None,
        }
    }

    pub fn listen_with(&mut self, caller: Caller, listen: Listen) -> RequestId {
        self.request(caller, Request::Pipe(PipeRequest::Listen(Box::new(listen))))
    }

    pub fn listen(&mut self, caller: Caller, text: &str, settings: Settings, listening: u32) -> RequestId {
        let listen = Listen { name: pipe(text), settings: Some(settings), first: false, listening };
        self.listen_with(caller, listen)
    }

    /// Serves a pipe of this name that everybody may use, with at most two instances.
    pub fn serve(&mut self, caller: Caller, text: &str, listening: u32) -> ServerId {
        let id = self.listen(caller, text, open_to_all(2), listening);
        self.server(id)
    }

    pub fn open(&mut self, caller: Caller, text: &str, wait: Wait) -> RequestId {
        self.open_for(caller, text, None, wait)
    }

    pub fn open_for(&mut self, caller: Caller, text: &str, access: Option<Access>, wait: Wait) -> RequestId {
        let impersonation = Impersonation::Identification;
        self.request(
            caller,
            Request::Pipe(PipeRequest::Open { name: pipe(text), access, impersonation, wait }),
        )
    }

    pub fn wait_for(&mut self, caller: Caller, text: &str, wait: Wait) -> RequestId {
        self.request(caller, Request::Pipe(PipeRequest::Wait { name: pipe(text), wait }))
    }

    /// The server that a request made.
    pub fn server(&self, id: RequestId) -> ServerId {
        match self.answer(id) {
            Ok(Reply::PipeListening(listening)) => listening.server,
            other => panic!("it does not listen: {other:?}"),
        }
    }

    pub fn opened(&self, id: RequestId) -> &Opened {
        match self.answer(id) {
            Ok(Reply::PipeOpened(opened)) => opened,
            other => panic!("it is not open: {other:?}"),
        }
    }

    pub fn said(&mut self, server: ServerId, said: Said) {
        self.step(Input::PipeSaid { server, said });
    }

    /// A server has more that listen.
    pub fn more_listen(&mut self, server: ServerId, count: u32) {
        if let Some(found) = self.pipes.servers.get_mut(&server) {
            found.listening += count;
        }
        self.said(server, Said::Listen(count));
    }

    /// A server closes an instance.
    pub fn close(&mut self, server: ServerId, instance: InstanceId) {
        if let Some(found) = self.pipes.servers.get_mut(&server) {
            found.clients.remove(&instance);
        }
        self.said(server, Said::Closed(instance));
    }

    /// A server stops listening.
    pub fn stop_listening(&mut self, server: ServerId) {
        if let Some(found) = self.pipes.servers.get_mut(&server) {
            found.listening = 0;
            found.stopped = true;
        }
        self.said(server, Said::Stop);
    }

    /// What a server says from now on is not held against what it has.
    pub fn distrust(&mut self, server: ServerId) {
        self.pipes.servers.get_mut(&server).expect("it is there").owes = true;
    }

    /// A server's connection closes.
    pub fn server_goes(&mut self, server: ServerId) {
        self.pipes.servers.remove(&server);
        self.step(Input::PipeServerGone(server));
    }

    /// An instance does not reach its server.
    pub fn lose(&mut self, server: ServerId, instance: InstanceId) {
        if let Some(found) = self.pipes.servers.get_mut(&server)
            && found.clients.remove(&instance)
        {
            // It never heard of the client.
            found.listening += u32::from(!found.stopped);
        }
        self.step(Input::PipeLost { server, instance });
    }

    /// A server says what it has.
    pub fn count(&mut self, server: ServerId) {
        let Some(found) = self.pipes.servers.get_mut(&server) else { return };
        found.owes = false;
        let (listening, connected) = (found.listening, found.clients.len() as u32);
        self.said(server, Said::Counted { listening, connected });
    }
}
