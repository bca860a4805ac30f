//! The units: each a control group, a service's output pipe, and what is still to be done about them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use session0_model::launch::plan::Limits;
use session0_model::launch::session_plan::Facilities;
use session0_sys::cgroup::{OpenGroups, UnitGroups, Work};
use session0_sys::pipe::Held;

use crate::poll::{Poll, Token};

/// One unit.
pub struct Unit {
    /// For tokens; never used again.
    pub number: u64,
    /// Its group's id.
    pub group: u64,
    groups: UnitGroups,
    /// Its output, if it is a service's. It stays here, so that neither a service's death nor the logger's loses a byte.
    pub output: Option<Held>,
    owner: Option<(u32, u32)>,
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

/// Whether a group has processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// None.
    Empty,
    /// Some.
    Populated,
}

impl Unit {
    /// A write end of its output, which is this account's from now on, so that a service can open `/dev/stdout`.
    pub fn writer(&mut self, uid: u32, gid: u32) -> io::Result<OwnedFd> {
        let output = self.output.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if self.owner != Some((uid, gid)) {
            output.give_to(uid, gid)?;
            self.owner = Some((uid, gid));
        }
        output.writer()
    }

    /// Does not want to know any more when its group is empty.
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

/// Whether something of a unit is there only now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It was made for this launch.
    New,
    /// It was there.
    Known,
}

impl Units {
    /// None yet.
    pub fn new(work: Work) -> Units {
        Units { work, last_number: 0, table: BTreeMap::new(), leaving: Vec::new() }
    }

    /// Finds or makes a unit and its group: returns whether its group is new.
    pub fn open(&mut self, name: &str) -> io::Result<Novelty> {
        self.leaving.retain(|leaving| leaving != name);
        match self.table.get_mut(name) {
            None => {
                let groups = self.work.make(name)?;
                self.last_number += 1;
                let (number, group) = (self.last_number, groups.id);
                let history = History::Fresh;
                let unit = Unit { number, group, groups, output: None, owner: None, watch: None, history };
                self.table.insert(name.to_owned(), unit);
                Ok(Novelty::New)
            }
            Some(unit) => match unit.history {
                History::Fresh => Ok(Novelty::Known),
                History::Killed => {
                    self.work.renew(name, &mut unit.groups)?;
                    unit.group = unit.groups.id;
                    unit.history = History::Fresh;
                    Ok(Novelty::New)
                }
            },
        }
    }

    /// Finds or makes a unit's output.
    pub fn open_output(&mut self, name: &str) -> io::Result<Novelty> {
        let unit = self.table.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        if unit.output.is_some() {
            return Ok(Novelty::Known);
        }
        unit.output = Some(Held::new()?);
        Ok(Novelty::New)
    }

    /// Makes a unit's limits these.
    pub fn limit(&mut self, name: &str, limits: &Limits, facilities: Facilities) -> io::Result<()> {
        match self.table.get_mut(name) {
            Some(unit) => self.work.limit(name, &mut unit.groups, limits, facilities),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Opens a unit's groups for a launch.
    pub fn open_groups(&self, name: &str) -> io::Result<OpenGroups> {
        match self.table.get(name) {
            Some(unit) => self.work.open_all(name, &unit.groups),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether a unit's group has processes now.
    pub fn population(&self, name: &str) -> Population {
        match self.work.populated(name) {
            Ok(true) => Population::Populated,
            // A group that is not there, or cannot be read any more, has no processes either.
            Ok(false) | Err(_) => Population::Empty,
        }
    }

    /// The processes of a unit's group.
    pub fn processes(&self, name: &str) -> Vec<i32> {
        self.work.processes(name).unwrap_or_default()
    }

    /// Kills everything in a unit's group, and will tell when that has happened.
    pub fn kill(&mut self, name: &str, poll: &Poll) -> io::Result<()> {
        let Some(unit) = self.table.get_mut(name) else { return Ok(()) };
        // Watched first, so that its end cannot be missed.
        if unit.watch.is_none() {
            let events = self.work.events(name)?;
            poll.add(events.as_fd(), Token::Group(unit.number), EventFlags::PRI)?;
            unit.watch = Some(events);
        }
        unit.history = History::Killed;
        self.work.kill(name)
    }

    /// The name of the unit of this number.
    pub fn name_of(&self, number: u64) -> Option<String> {
        self.table.iter().find(|(_, unit)| unit.number == number).map(|(name, _)| name.clone())
    }

    /// A unit by its name.
    pub fn get(&self, name: &str) -> Option<&Unit> {
        self.table.get(name)
    }

    /// A unit by its name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Unit> {
        self.table.get_mut(name)
    }

    /// The names of those with an output.
    pub fn with_output(&self) -> impl Iterator<Item = &String> {
        self.table.iter().filter(|(_, unit)| unit.output.is_some()).map(|(name, _)| name)
    }

    /// Removes a unit and its groups.
    pub fn forget(&mut self, name: &str, poll: &Poll) {
        let Some(mut unit) = self.table.remove(name) else { return };
        unit.unwatch(poll);
        drop(unit);
        self.leaving.push(name.to_owned());
        self.sweep();
    }

    /// Removes what could not be removed before: a process that has ended may keep its group a moment longer.
    pub fn sweep(&mut self) {
        let work = &self.work;
        self.leaving.retain(|name| work.remove(name).is_err());
    }
}
