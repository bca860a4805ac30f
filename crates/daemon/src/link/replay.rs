//! The beginning of a connection: versions, and what init kept.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use session0_model::launch::wire::{FromInit, PROTOCOL, PROTOCOL_OLDEST, ToInit};
use session0_model::limit;
use session0_model::system::{Alive, Recovered, UnackedExit};

use super::{Incoming, Link};

/// What init had kept for us.
pub struct Replay {
    /// Whether the session is made already.
    pub prepared: bool,
    /// For the model, init's own version included. What we say has not changed since the oldest version we speak, so
    /// nothing else depends on it.
    pub recovered: Recovered,
    /// Kept descriptors by key.
    pub kept: HashMap<String, OwnedFd>,
    /// Control group ids of units with a live launch.
    pub groups: Vec<(u64, String)>,
    /// The number of the last exit, to acknowledge.
    pub exit: u64,
}

/// Agrees on a version and hears everything out.
pub async fn hello(link: &Link, incoming: &mut Incoming) -> io::Result<Replay> {
    let (version, prepared) = match incoming.next().await? {
        Some((FromInit::Hello { protocol, prepared, .. }, _)) => (protocol, prepared),
        Some(_) => return Err(io::Error::other("init did not begin with its version")),
        None => return Err(io::ErrorKind::ConnectionReset.into()),
    };
    if version < PROTOCOL_OLDEST {
        let message = format!(
            "init speaks protocol {version}, and this daemon {PROTOCOL_OLDEST} to {PROTOCOL}: start the version of \
             session0 that made the session, or end it with that version's `s0 down`"
        );
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    link.say(&ToInit::Hello { protocol: PROTOCOL });
    link.flush()?;
    let mut replay = Replay {
        prepared,
        recovered: Recovered { protocol: version, records: Vec::new(), alive: Vec::new(), exits: Vec::new() },
        kept: HashMap::new(),
        groups: Vec::new(),
        exit: 0,
    };
    loop {
        match incoming.next().await? {
            Some((FromInit::Replayed, _)) => return Ok(replay),
            Some((message, descriptors)) => replay.take(message, descriptors.into_iter().next())?,
            None => return Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

impl Replay {
    fn take(&mut self, message: FromInit, descriptor: Option<OwnedFd>) -> io::Result<()> {
        let recovered = &mut self.recovered;
        match message {
            FromInit::Stored { key, bytes } => recovered.records.push((key, bytes)),
            FromInit::Kept { key } => {
                let descriptor =
                    descriptor.ok_or_else(|| io::Error::other("a kept descriptor did not come"))?;
                self.kept.insert(key, descriptor);
            }
            FromInit::Alive { launch, unit, pid, group, at } => {
                self.groups.push((group, unit.clone()));
                recovered.alive.push(Alive { launch, unit, pid, at });
            }
            FromInit::Exited { sequence, launch, status, remains, .. } => {
                self.exit = self.exit.max(sequence);
                recovered.exits.push(UnackedExit { launch, status, remains, usage: None });
            }
            FromInit::ExitedWithUsage { sequence, launch, status, remains, usage, .. } => {
                self.exit = self.exit.max(sequence);
                recovered.exits.push(UnackedExit { launch, status, remains, usage: Some(usage) });
            }
            FromInit::Hello { .. }
            | FromInit::Replayed
            | FromInit::Prepared
            | FromInit::PrepareFailed { .. }
            | FromInit::Launched { .. }
            | FromInit::LaunchFailed { .. }
            | FromInit::Streams { .. }
            | FromInit::GroupEmpty { .. } => {
                return Err(io::Error::other("init said something in the wrong place"));
            }
        }
        let entries = recovered.records.len().max(recovered.exits.len()).max(recovered.alive.len());
        if limit::EXITS_MAX.max(limit::RECORDS_MAX) < entries || limit::KEPT_DESCRIPTORS_MAX < self.kept.len()
        {
            return Err(io::Error::other("init kept more than it may"));
        }
        Ok(())
    }
}
