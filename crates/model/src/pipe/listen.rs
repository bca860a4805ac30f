//! Serving a pipe: who may, as what, and how many.
//!
//! A reserved name is its service's and nobody else's. Any other name is whose it is first: he decides what it is, and who may serve it
//! besides him by the right INSTANCE of its access list (FILE_CREATE_PIPE_INSTANCE).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use super::access::Rights;
use super::alarm::Squat;
use super::id::ServerId;
use super::name::PipeName;
use super::open::Answer;
use super::refusal::Refusal;
use super::request::{Listen, Listening, PipeRequest, Tell};
use super::settings::Settings;
use super::table::{Count, Pipe, Pipes, Server};
use super::waiter::Want;
use crate::access::Caller;
use crate::id::RequestId;
use crate::limit;
use crate::system::turn::Turn;
use crate::system::{self, Effect, Reply, System};

impl System {
    /// About pipes. The answer, or nothing if it was arranged for.
    pub(crate) fn pipe_request(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        request: PipeRequest,
    ) -> Answer {
        match request {
            PipeRequest::List => Ok(Some(Reply::Pipes(self.pipe_statuses()))),
            PipeRequest::Status(name) => {
                let status = self.pipe_status(caller, &name).ok_or(no(Refusal::NoSuchPipe))?;
                Ok(Some(Reply::Pipe(Box::new(status))))
            }
            PipeRequest::Open { name, access, impersonation, wait } => {
                self.instance_asked(turn, id, caller, &name, Want::Open { access, impersonation }, wait)
            }
            PipeRequest::Wait { name, wait } => {
                self.instance_asked(turn, id, caller, &name, Want::Free, wait)
            }
            PipeRequest::Listen(listen) => self.listen_asked(turn, id, caller, *listen),
        }
    }

    fn listen_asked(&mut self, turn: &mut Turn, id: RequestId, caller: &Caller, listen: Listen) -> Answer {
        if self.shutting_down() {
            return Err(system::Refusal::ShutdownInProgress);
        }
        if !self.zero.up() {
            // What a new daemon must know of it is kept in Session 0.
            return Err(system::Refusal::NotReady);
        }
        let Listen { name, settings, first, listening } = listen;
        self.may_serve(turn, caller, &name, first).map_err(no)?;
        let pipe = self.pipes.table.get(&name);
        let settings = wanted(pipe, settings).map_err(no)?;
        let counted = self.counted_against(caller);
        let reserved = pipe.is_some_and(|pipe| pipe.reserved.is_some());
        self.pipes.room_for(counted, reserved).map_err(no)?;
        let listens = match pipe.filter(|pipe| pipe.served()) {
            Some(pipe) => self.pipes.room(pipe, counted),
            None => self.pipes.room(&Pipe::new(name.clone(), settings.clone()), counted),
        };
        if listens == 0 {
            return Err(no(Refusal::InstancesFull));
        }
        let listens = listens.min(limit::PIPE_LISTENING_MAX).min(listening);
        let server = ServerId(self.pipes.next());
        let name = self.serve(caller, name, settings);
        self.pipes.add_server(server, Server::new(name.clone(), caller.clone(), counted, Count::Known));
        if !self.keep_pipe_server(turn, server) {
            self.pipes.remove_server(server);
            self.settle_pipe(turn, &name);
            let reason = "its server's groups and its access list are too long to be kept";
            return Err(no(Refusal::Invalid(String::from(reason))));
        }
        self.pipes.change(server, |server| server.listening = listens);
        self.answer_listen(turn, id, server, &name);
        if listens < listening {
            // Behind the answer: until then there is no such server for whoever passes it on.
            let tell = Tell::Refused(listening - listens);
            turn.push_last(Effect::TellPipeServer { server, tell });
        }
        self.settle_pipe(turn, &name);
        Ok(None)
    }

    /// Before the answers of clients that waited for it: they go to a server that is known.
    fn answer_listen(&mut self, turn: &mut Turn, id: RequestId, server: ServerId, name: &PipeName) {
        let Some(pipe) = self.pipes.table.get(name) else { return };
        let Settings { kind, direction, instances_max, .. } = *pipe.settings;
        let name = pipe.name.clone();
        let listening = Listening { server, name, kind, direction, instances_max };
        turn.reply(id, Ok(Reply::PipeListening(Box::new(listening))));
    }

    /// Whether this caller may serve this name; else an alarm where the name is another's.
    fn may_serve(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &PipeName,
        first: bool,
    ) -> Result<(), Refusal> {
        let Some(pipe) = self.pipes.table.get(name) else { return Ok(()) };
        let mut lets = true;
        if let Some(reserved) = &pipe.reserved {
            if !caller.is_service(&reserved.service) {
                let refusal = Refusal::Reserved(reserved.service.clone());
                self.pipes.alarms.raise(turn, name, caller, Squat::Reserved);
                return Err(refusal);
            }
        } else if pipe.served() {
            let (list, instance) = (&pipe.settings.access, Rights::INSTANCE);
            lets = list.granted(caller, pipe.owner, &self.administrators, instance) == instance;
        }
        let not_first = first && pipe.served();
        if !lets {
            let why = if not_first { Squat::NotFirst } else { Squat::Foreign };
            self.pipes.alarms.raise(turn, name, caller, why);
        }
        match (not_first, lets) {
            (true, _) => Err(Refusal::NotFirst),
            (false, false) => Err(Refusal::Foreign),
            (false, true) => Ok(()),
        }
    }

    /// The name has a server from now on. Returns the name as it is in the table.
    fn serve(&mut self, caller: &Caller, name: PipeName, settings: Arc<Settings>) -> PipeName {
        let pipe =
            self.pipes.table.entry(name).or_insert_with_key(|name| Pipe::new(name.clone(), settings.clone()));
        if !pipe.served() {
            pipe.unserve();
            pipe.settings = settings;
            pipe.owner = (caller.uid != 0 || caller.is_machines_root()).then_some(caller.uid);
        }
        pipe.name.clone()
    }
}

impl Pipes {
    /// Whether there may be one more server.
    fn room_for(&self, counted: Option<u32>, reserved: bool) -> Result<(), Refusal> {
        let own = self.tally.held(counted).servers;
        let kept = if counted.is_none() || reserved { 0 } else { limit::PIPES_KEPT.min(self.max / 4) };
        let full = self.servers.len() + kept >= self.max;
        match full || own >= limit::PIPES_PER_UID_MAX {
            true => Err(Refusal::TooManyPipes),
            false => Ok(()),
        }
    }
}

/// What the pipe is to be: as it is, where somebody serves it or a file says it; else as its first server says.
fn wanted(pipe: Option<&Pipe>, wish: Option<Settings>) -> Result<Arc<Settings>, Refusal> {
    let reserved = pipe.is_some_and(|pipe| pipe.reserved.is_some());
    let mut wish = match (wish, pipe) {
        (None, Some(pipe)) if reserved => return Ok(pipe.settings.clone()),
        (wish, _) => wish.unwrap_or_default(),
    };
    if wish.buffer.is_some_and(|buffer| buffer > limit::PIPE_BUFFER_MAX) {
        return Err(invalid("its buffer is larger than 1 MiB"));
    }
    if wish.access.0.len() > limit::PIPE_ACCESS_MAX {
        return Err(invalid("its access list has more than 64 entries"));
    }
    if wish.instances_max.count() == 0 {
        return Err(invalid("it may have no instance at all"));
    }
    let Some(pipe) = pipe.filter(|pipe| reserved || pipe.served()) else { return Ok(Arc::new(wish)) };
    if reserved && wish.access.0.is_empty() {
        wish.access = pipe.settings.access.clone();
    }
    match difference(&wish, &pipe.settings) {
        None => Ok(pipe.settings.clone()),
        Some(what) => Err(Refusal::Differs(what)),
    }
}

/// The first thing in which they are not the same, as service files call it.
fn difference(one: &Settings, other: &Settings) -> Option<&'static str> {
    let differs = [
        ("type", one.kind != other.kind),
        ("direction", one.direction != other.direction),
        ("instances", one.instances_max != other.instances_max),
        ("default_timeout", one.default_timeout != other.default_timeout),
        ("buffer", one.buffer != other.buffer),
        ("access", one.access != other.access),
        ("refuse_outside", one.refuse_outside != other.refuse_outside),
        ("descriptors", one.descriptors != other.descriptors),
        ("rpc", one.rpc != other.rpc),
    ];
    differs.into_iter().find_map(|(what, differs)| differs.then_some(what))
}

fn invalid(reason: &str) -> Refusal {
    Refusal::Invalid(String::from(reason))
}

/// A refusal about a pipe, among all.
pub(super) fn no(refusal: Refusal) -> system::Refusal {
    system::Refusal::Pipe(refusal)
}
