//! What a new daemon must know of pipes, and how it takes them over.
//!
//! Each server has a record in Session 0's init (`pipe.<number>`); the daemon finds its connection again among what init keeps. How many
//! instances there are is not in the record, which would have to be written for each client: the server knows and is asked. Until it
//! answers, clients wait. The first byte of a record is the format's version, the rest is postcard.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::id::ServerId;
use super::name::PipeName;
use super::request::Tell;
use super::settings::Settings;
use super::table::{Count, Pipe, Server};
use crate::access::Caller;
use crate::limit;
use crate::system::turn::Turn;
use crate::system::{Effect, Recovered, System};

/// The format this code writes.
const VERSION: u8 = 1;
/// What keys of servers begin with; the number follows.
const PREFIX: &str = "pipe.";

/// One server. What its pipe is stands in each, the same in all: any of them can go, or be found, first.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    name: PipeName,
    settings: Settings,
    owner: Option<u32>,
    caller: Caller,
    counted: Option<u32>,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Record> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Vec<u8>> {
        let bytes = postcard::to_extend(self, alloc::vec![VERSION]).ok()?;
        (bytes.len() <= limit::RECORD_MAX).then_some(bytes)
    }
}

fn key(id: ServerId) -> String {
    format!("{PREFIX}{}", id.0)
}

impl System {
    /// Has Session 0's init keep a server's record. `false`: it is too long for one.
    pub(super) fn keep_pipe_server(&self, turn: &mut Turn, id: ServerId) -> bool {
        let Some(server) = self.pipes.servers.get(&id) else { return false };
        let Some(pipe) = self.pipes.table.get(&server.pipe) else { return false };
        let record = Record {
            name: pipe.name.clone(),
            settings: Settings::clone(&pipe.settings),
            owner: pipe.owner,
            caller: server.caller.clone(),
            counted: server.counted,
        };
        let Some(bytes) = record.write() else { return false };
        if self.services.gate.keeps_records() {
            turn.store(key(id), bytes);
        }
        true
    }

    /// A server is gone.
    pub(super) fn forget_pipe_server(&self, turn: &mut Turn, id: ServerId) {
        if self.services.gate.keeps_records() {
            turn.push(Effect::Unstore(key(id)));
        }
    }

    /// Session 0 was made again: its init knows no server, and has no socket.
    pub(crate) fn keep_pipes_again(&mut self, turn: &mut Turn) {
        for id in self.pipes.servers.keys() {
            self.keep_pipe_server(turn, *id);
        }
        self.bind_all_pipes(turn);
    }

    /// Says of every name that is to have a socket that it is.
    fn bind_all_pipes(&mut self, turn: &mut Turn) {
        let names: Vec<PipeName> = self.pipes.table.keys().cloned().collect();
        for name in names {
            if let Some(pipe) = self.pipes.table.get_mut(&name) {
                pipe.bound = false;
            }
            self.bind_pipe(turn, &name);
        }
    }

    /// No number is given twice while the machine is up: a new daemon begins with the nanoseconds since boot, and none gives numbers
    /// faster than these pass.
    pub(crate) fn number_pipes(&mut self, turn: &Turn) {
        self.pipes.last = self.pipes.last.max(turn.now.0);
    }

    /// Takes over the servers that the daemon before left, and asks each what instances it has.
    pub(crate) fn recover_pipes(&mut self, turn: &mut Turn, recovered: &Recovered) {
        let number = |key: &str| key.strip_prefix(PREFIX)?.parse().ok().map(ServerId);
        let records = recovered.records.iter();
        let found = records.filter_map(|(key, bytes)| Some((number(key)?, bytes)));
        let until = turn.now + limit::PIPE_RECOUNT_WAIT;
        for (id, bytes) in found {
            self.pipes.last = self.pipes.last.max(id.0);
            match Record::read(bytes) {
                Some(record) => {
                    let name = self.restore_pipe_server(id, record, Count::Asked { until });
                    self.bind_pipe(turn, &name);
                    turn.push(Effect::TellPipeServer { server: id, tell: Tell::Recount });
                }
                None => {
                    turn.push(Effect::Unstore(key(id)));
                    turn.push(Effect::DropPipeServer(id));
                }
            }
        }
    }

    fn restore_pipe_server(&mut self, id: ServerId, record: Record, count: Count) -> PipeName {
        let Record { name, settings, owner, caller, counted } = record;
        let settings = Arc::new(settings);
        let pipe =
            self.pipes.table.entry(name).or_insert_with_key(|name| Pipe::new(name.clone(), settings.clone()));
        if !pipe.served() {
            pipe.settings = settings;
            pipe.owner = owner;
        }
        let name = pipe.name.clone();
        self.pipes.add_server(id, Server::new(name.clone(), caller, counted, count));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Origin;

    #[test]
    fn a_record_is_read_back_and_a_damaged_one_is_none_or_another() {
        let caller = Caller { origin: Origin::Outside, uid: 1000, groups: alloc::vec![1000, 27], pid: 7 };
        let name = PipeName::new("Echo").unwrap();
        let record =
            Record { name, settings: Settings::default(), owner: Some(1000), caller, counted: Some(1000) };
        let bytes = record.write().unwrap();
        let read = Record::read(&bytes).unwrap();
        assert_eq!((read.name, read.caller.pid, read.owner), (record.name, 7, Some(1000)));
        assert!(Record::read(&[]).is_none());
        for at in 0..bytes.len() {
            assert!(Record::read(&bytes[..at]).is_none(), "cut at {at}");
            for byte in 0..=u8::MAX {
                let mut damaged = bytes.clone();
                damaged[at] = byte;
                // Nothing panics, and no name comes of it that is none.
                if let Some(record) = Record::read(&damaged) {
                    assert!(PipeName::new(record.name.as_str()).is_ok());
                }
            }
        }
    }
}
