//! Opening a pipe, and waiting until one can be opened (WaitNamedPipe): who may, and which instance.
//!
//! Existence is asked first, then rights, then the direction: who has no right at all hears that and nothing more. Then comes an
//! instance: of the server that has the most listening, of several the one that came first, so that none is forgotten. If none listens,
//! the client waits or is refused (231); what waits is in [`super::waiter`].

use alloc::boxed::Box;
use core::time::Duration;

use super::access::Rights;
use super::id::{InstanceId, ServerId};
use super::listen::no;
use super::name::PipeName;
use super::refusal::Refusal;
use super::request::{Opened, Wait};
use super::settings::{Access, Impersonation};
use super::status::Client;
use super::table::Pipe;
use super::waiter::{Patience, Waiter, Want};
use crate::access::{Caller, Origin};
use crate::id::RequestId;
use crate::limit;
use crate::system::turn::Turn;
use crate::system::{self, Reply, System};

/// The answer to a request, or nothing if it was arranged for.
pub(super) type Answer = Result<Option<Reply>, system::Refusal>;

impl System {
    /// Open, or Wait.
    pub(super) fn instance_asked(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        name: &PipeName,
        want: Want,
        wait: Wait,
    ) -> Answer {
        if self.shutting_down() {
            return Err(system::Refusal::ShutdownInProgress);
        }
        let answer = self.instance_or_wait(turn, id, caller, name, want, wait);
        if answer.is_err()
            && let Some(pipe) = self.pipes.table.get_mut(name)
        {
            pipe.refused += 1;
        }
        answer
    }

    fn instance_or_wait(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        name: &PipeName,
        want: Want,
        wait: Wait,
    ) -> Answer {
        let pipe = self.pipes.table.get(name).filter(|pipe| pipe.exists());
        let pipe = pipe.ok_or(no(Refusal::NoSuchPipe))?;
        let access = self.entitled(pipe, caller, want).map_err(no)?;
        if pipe.listening > 0 {
            // Nobody waits while one listens, so nobody is overtaken.
            return Ok(self.satisfy(turn, caller, name, want, access));
        }
        if pipe.settled() && wait == Wait::Not {
            return Err(no(want.none_free()));
        }
        let counted = self.counted_against(caller);
        let his = |waiter: &&Waiter| self.counted_against(&waiter.caller) == counted;
        let own = counted.map_or(0, |_| pipe.waiters.values().filter(his).count());
        if pipe.waiters.len() >= limit::PIPE_WAITERS_MAX || own >= limit::PIPE_WAITERS_PER_UID_MAX {
            return Err(no(Refusal::TooManyWaiters));
        }
        // Who says how long he waits waits so long; who does not gives a service time to start, and a server time to count.
        let least = match pipe.starts() {
            Some(reserved) if !pipe.served() => reserved.start_wait.min(limit::PIPE_START_WAIT),
            _ if pipe.recounting > 0 => limit::PIPE_RECOUNT_WAIT,
            _ => Duration::ZERO,
        };
        let time = match wait {
            Wait::Not => least,
            Wait::Default => pipe.settings.default_timeout.0.max(least),
            Wait::For(span) => span,
        };
        if !pipe.served() {
            self.call_service(turn, name)?;
        }
        let patience = if wait == Wait::Not { Patience::None } else { Patience::Some };
        let deadline = turn.now + time;
        self.pipes.add_waiter(name, Waiter { id, caller: caller.clone(), want, patience, deadline });
        Ok(None)
    }

    /// What a caller may do of what he wants, if that is enough.
    pub(super) fn entitled(&self, pipe: &Pipe, caller: &Caller, want: Want) -> Result<Access, Refusal> {
        if pipe.settings.refuse_outside && caller.origin == Origin::Outside {
            return Err(Refusal::OutsideRefused);
        }
        let both = Rights::READ | Rights::WRITE;
        let rights = pipe.settings.access.granted(caller, pipe.owner, &self.administrators, both);
        let (reads, writes) = (rights.contains(Rights::READ), rights.contains(Rights::WRITE));
        let granted = Access::of(reads, writes).ok_or(Refusal::NotListed)?;
        let way = pipe.settings.direction.access();
        let wanted = match want {
            Want::Free => return Ok(granted),
            Want::Open { access: None, .. } => {
                return Access::of(reads && way.reads(), writes && way.writes()).ok_or(Refusal::NotListed);
            }
            Want::Open { access: Some(access), .. } => access,
        };
        if (wanted.reads() && !way.reads()) || (wanted.writes() && !way.writes()) {
            return Err(Refusal::WrongDirection);
        }
        if (wanted.reads() && !reads) || (wanted.writes() && !writes) {
            return Err(Refusal::NotListed);
        }
        Ok(wanted)
    }

    /// Gives what is wanted of a pipe where an instance listens.
    pub(super) fn satisfy(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &PipeName,
        want: Want,
        access: Access,
    ) -> Option<Reply> {
        match want {
            Want::Free => Some(Reply::Done),
            Want::Open { impersonation, .. } => {
                let opened = self.connect(turn, caller, name, access, impersonation)?;
                Some(Reply::PipeOpened(Box::new(opened)))
            }
        }
    }

    fn connect(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &PipeName,
        access: Access,
        impersonation: Impersonation,
    ) -> Option<Opened> {
        let (_, server) = *self.pipes.table.get(name)?.ready.first()?;
        // Files of root's are no less root's for a server that is one: root of a user's session is nobody to act as.
        let foreign_root = caller.uid == 0 && !caller.is_machines_root();
        let most = if foreign_root { Impersonation::Identification } else { Impersonation::Impersonation };
        let impersonation = impersonation.min(most);
        let instance = InstanceId(self.pipes.next());
        let told = (impersonation != Impersonation::Anonymous).then(|| caller.clone());
        let client = Client { instance, caller: told, since: turn.now };
        let server_peer = self.pipes.change(server, |server| {
            server.listening -= 1;
            server.clients.insert(instance, client);
            server.caller.clone()
        })?;
        let pipe = self.pipes.table.get_mut(name)?;
        pipe.opened += 1;
        Some(opened(pipe, access, impersonation, instance, server, server_peer))
    }
}

fn opened(
    pipe: &Pipe,
    access: Access,
    impersonation: Impersonation,
    instance: InstanceId,
    server: ServerId,
    server_peer: Caller,
) -> Opened {
    Opened {
        name: pipe.name.clone(),
        kind: pipe.settings.kind,
        direction: pipe.settings.direction,
        access,
        impersonation,
        buffer: pipe.settings.buffer,
        descriptors: pipe.settings.descriptors,
        instance,
        server,
        server_peer,
    }
}
