//! The units: each a control group, an output pipe, and what is still to be done about them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::fs::{Gid, Uid};
use session0_model::launch::plan::Limits;
use session0_model::launch::session_plan::Facilities;
use session0_sys::cgroup::{self, UnitGroups, Work};

use crate::poll::{Poll, Token};

/// One unit.
pub struct Unit {
    /// For tokens; never used again.
    pub number: u64,
    /// Its groups.
    pub groups: UnitGroups,
    /// Its output pipe: read end and write end. Both stay here, so that neither end of a service nor of the logger
    /// loses a byte.
    pub output: Output,
    /// While somebody wants to know when the group is empty.
    watch: Option<OwnedFd>,
    history: History,
}

/// Whether a group was ever killed. The kernel (6.18) kills everything that is *born* into such a group by clone3: it
/// compares the kill count of the new group with that of the parent's. So a group that was killed is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum History {
    Fresh,
    Killed,
}

/// An output pipe.
pub struct Output {
    /// For the logger.
    pub read: OwnedFd,
    /// For the unit's processes.
    pub write: OwnedFd,
    owner: Option<(u32, u32)>,
}

impl Output {
    fn new() -> io::Result<Output> {
        let (read, write) = session0_sys::pipe::new()?;
        Ok(Output { read, write, owner: None })
    }

    /// Gives the pipe to an account, so that a service can open `/dev/stdout`.
    pub fn give_to(&mut self, uid: u32, gid: u32) -> io::Result<()> {
        if self.owner != Some((uid, gid)) {
            rustix::fs::fchown(&self.write, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            self.owner = Some((uid, gid));
        }
        Ok(())
    }
}

/// Whether a group has processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// None.
    Empty,
    /// Some.
    Populated,
}

impl Unit {
    /// Whether its group has processes now.
    pub fn population(&self) -> Population {
        match cgroup::populated(self.groups.v2()) {
            Ok(true) => Population::Populated,
            // A group that cannot be read any more has no processes either.
            Ok(false) | Err(_) => Population::Empty,
        }
    }

    fn watch(&mut self, poll: &Poll) -> io::Result<()> {
        if self.watch.is_none() {
            let events = self.groups.events()?;
            poll.add(events.as_fd(), Token::Group(self.number), EventFlags::PRI)?;
            self.watch = Some(events);
        }
        Ok(())
    }

    /// Kills everything in its group, and will tell when that has happened.
    pub fn kill(&mut self, poll: &Poll) -> io::Result<()> {
        // Watched first, so that its end cannot be missed.
        self.watch(poll)?;
        self.history = History::Killed;
        cgroup::kill(self.groups.v2())
    }

    /// Does not want to know any more.
    pub fn unwatch(&mut self, poll: &Poll) {
        if let Some(events) = self.watch.take() {
            poll.remove(events.as_fd());
        }
    }

    /// Whether somebody waits for it to be empty.
    pub fn watched(&self) -> bool {
        self.watch.is_some()
    }
}

/// All units.
pub struct Units {
    work: Work,
    last_number: u64,
    table: BTreeMap<String, Unit>,
    /// Groups that could not be removed yet.
    leaving: Vec<String>,
}

/// What the logger does not know yet about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It was made now.
    New,
    /// Its group was made anew.
    Group,
    /// Nothing.
    Known,
}

impl Units {
    /// None yet.
    pub fn new(work: Work) -> Units {
        Units { work, last_number: 0, table: BTreeMap::new(), leaving: Vec::new() }
    }

    /// Finds or makes a unit: its group and its pipe.
    pub fn open(&mut self, name: &str) -> Result<(&mut Unit, Novelty), OpenFault> {
        self.leaving.retain(|leaving| leaving != name);
        if !self.table.contains_key(name) {
            let groups = self.work.open(name).map_err(OpenFault::Group)?;
            let output = Output::new().map_err(OpenFault::Output)?;
            self.last_number += 1;
            let unit =
                Unit { number: self.last_number, groups, output, watch: None, history: History::Fresh };
            return Ok((self.table.entry(name.to_owned()).or_insert(unit), Novelty::New));
        }
        let work = &self.work;
        let Some(unit) = self.table.get_mut(name) else {
            return Err(OpenFault::Group(io::ErrorKind::NotFound.into()));
        };
        match unit.history {
            History::Fresh => Ok((unit, Novelty::Known)),
            History::Killed => {
                work.renew(name, &mut unit.groups).map_err(OpenFault::Group)?;
                unit.history = History::Fresh;
                Ok((unit, Novelty::Group))
            }
        }
    }

    /// Makes a unit's limits these.
    pub fn limit(&mut self, name: &str, limits: &Limits, facilities: Facilities) -> io::Result<()> {
        match self.table.get_mut(name) {
            Some(unit) => self.work.limit(name, &mut unit.groups, limits, facilities),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A unit by its name.
    pub fn get(&self, name: &str) -> Option<&Unit> {
        self.table.get(name)
    }

    /// A unit by its name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Unit> {
        self.table.get_mut(name)
    }

    /// All, by name.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Unit)> {
        self.table.iter_mut()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.table.keys()
    }

    /// Removes a unit and its groups. `false`: there was none.
    pub fn forget(&mut self, name: &str, poll: &Poll) -> bool {
        let Some(mut unit) = self.table.remove(name) else { return false };
        unit.unwatch(poll);
        drop(unit);
        self.leaving.push(name.to_owned());
        self.sweep();
        true
    }

    /// Removes what could not be removed before: a process that has ended may keep its group a moment longer.
    pub fn sweep(&mut self) {
        let work = &self.work;
        self.leaving.retain(|name| work.remove(name).is_err());
    }
}

/// Why a unit could not be made.
#[derive(Debug)]
pub enum OpenFault {
    /// Its group.
    Group(io::Error),
    /// Its pipe.
    Output(io::Error),
}
