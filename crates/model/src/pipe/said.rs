//! What servers say of their instances, and their end.
//!
//! A server is believed about nobody's instances but its own: one that closes what it does not have, or counts what it was not asked to
//! count, loses its connection.

use super::id::{InstanceId, ServerId};
use super::request::{Said, Tell};
use super::table::{Count, Due, Pipe, Server};
use crate::limit;
use crate::system::turn::Turn;
use crate::system::{Effect, System};

/// What is to become of a server after what it said.
enum Verdict {
    /// It stays, and is told how many instances do not listen, if any.
    Stays {
        /// So many.
        refused: u32,
    },
    /// Its connection is closed.
    Goes,
}

/// It stays, and there is nothing to be told.
const STAYS: Verdict = Verdict::Stays { refused: 0 };

impl System {
    /// A server said something.
    pub(crate) fn pipe_said(&mut self, turn: &mut Turn, id: ServerId, said: Said) {
        let Some(server) = self.pipes.servers.get(&id) else { return };
        let (name, count) = (server.pipe.clone(), server.count);
        let verdict = match (said, count) {
            (Said::Stop, _) => {
                self.pipes.change(id, |server| {
                    server.stopped = true;
                    server.listening = 0;
                });
                STAYS
            }
            (Said::Counted { listening, connected }, Count::Asked { .. } | Count::Overdue) => {
                self.counted(id, listening, connected)
            }
            // An answer to a daemon that did not live to read it: what was said since is counted already.
            (Said::Counted { .. }, Count::Known) if server.recovered => return,
            // Nobody asked.
            (Said::Counted { .. }, Count::Known) => Verdict::Goes,
            // It was written before the recount was read: the count has it in it.
            (Said::Listen(_) | Said::Closed(_), Count::Asked { .. } | Count::Overdue) => return,
            (Said::Listen(more), Count::Known) => self.more_listen(id, more),
            (Said::Closed(instance), Count::Known) => {
                let known = self.pipes.change(id, |server| server.close(instance));
                if known == Some(true) { STAYS } else { Verdict::Goes }
            }
        };
        match verdict {
            Verdict::Stays { refused: 0 } => {}
            Verdict::Stays { refused } => {
                turn.push(Effect::TellPipeServer { server: id, tell: Tell::Refused(refused) });
            }
            Verdict::Goes => return self.drop_pipe_server(turn, id),
        }
        if self.pipes.servers.get(&id).is_some_and(Server::finished) {
            return self.drop_pipe_server(turn, id);
        }
        self.settle_pipe(turn, &name);
    }

    /// Its connection is gone, and with it every instance.
    pub(crate) fn pipe_server_gone(&mut self, turn: &mut Turn, id: ServerId) {
        let Some(server) = self.pipes.remove_server(id) else { return };
        self.forget_pipe_server(turn, id);
        self.settle_pipe(turn, &server.pipe);
    }

    /// Takes its connection away.
    pub(super) fn drop_pipe_server(&mut self, turn: &mut Turn, id: ServerId) {
        turn.push(Effect::DropPipeServer(id));
        self.pipe_server_gone(turn, id);
    }

    /// An instance did not reach its server: the client was not there any more when the ends were to be handed out.
    pub(crate) fn pipe_lost(&mut self, turn: &mut Turn, id: ServerId, instance: InstanceId) {
        let lost = self.pipes.change(id, |server| {
            let known = server.clients.remove(&instance).is_some();
            let listens = !server.stopped && server.listening < limit::PIPE_LISTENING_MAX;
            if known && listens {
                server.listening += 1;
            }
            (known, listens || server.stopped)
        });
        let Some((true, fits)) = lost else { return };
        if !fits {
            // More were announced since.
            turn.push(Effect::TellPipeServer { server: id, tell: Tell::Refused(1) });
        }
        let Some(server) = self.pipes.servers.get(&id) else { return };
        if server.finished() {
            return self.drop_pipe_server(turn, id);
        }
        let name = server.pipe.clone();
        self.settle_pipe(turn, &name);
    }

    /// More instances listen, as far as there is room.
    fn more_listen(&mut self, id: ServerId, more: u32) -> Verdict {
        let counted = self.pipes.servers.get(&id).and_then(|server| server.counted);
        let room = self.pipe_of(id).map_or(0, |pipe| self.pipes.room(pipe, counted));
        let fits = self.pipes.change(id, |server| {
            let fits = server.may_listen(room).min(more);
            server.listening += fits;
            fits
        });
        Verdict::Stays { refused: more - fits.unwrap_or(0) }
    }

    /// It says what it has, after a recount. Its connections are there, also where others were given their room meanwhile: they count,
    /// and only what listens has to fit.
    fn counted(&mut self, id: ServerId, listening: u32, connected: u32) -> Verdict {
        let most = self.pipe_of(id).map_or(0, Pipe::most);
        let before = self.pipes.change(id, |server| {
            server.uncounted = connected.min(most);
            core::mem::replace(&mut server.count, Count::Known)
        });
        if let Some(Count::Asked { until }) = before {
            self.pipes.deadlines.remove(&(until, Due::Count(id)));
        }
        self.more_listen(id, listening)
    }

    fn pipe_of(&self, id: ServerId) -> Option<&Pipe> {
        self.pipes.table.get(&self.pipes.servers.get(&id)?.pipe)
    }
}

impl Server {
    /// An instance is closed. Says whether it was one of this server's.
    fn close(&mut self, instance: InstanceId) -> bool {
        if self.clients.remove(&instance).is_some() {
            return true;
        }
        let before = self.uncounted;
        self.uncounted = before.saturating_sub(1);
        before > 0
    }

    /// How many more of its instances may listen, where the pipe has room for so many.
    fn may_listen(&self, room: u32) -> u32 {
        if self.stopped { 0 } else { room.min(limit::PIPE_LISTENING_MAX - self.listening) }
    }

    /// Whether nothing is left of it: none listens any more, and the last that had a client is closed.
    fn finished(&self) -> bool {
        self.stopped && self.count == Count::Known && self.connected() == 0
    }
}
