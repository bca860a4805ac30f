//! The groups of one session's units, as its init makes and uses them.
//!
//! No descriptor of a unit's group is kept: every child of init starts with a copy of init's descriptors, and with
//! hundreds of units that copy costs more than opening a group when it is needed (measured).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use session0_model::launch::plan::Limits;
use session0_model::launch::session_plan::Facilities;

use super::limits::{Version, set, unset};
use super::{Controller, SessionLimits};

/// Where an init makes the groups of its units.
#[derive(Debug)]
pub struct Work {
    v2: OwnedFd,
    v1: [Option<OwnedFd>; 3],
}

/// What is known of one unit's groups.
#[derive(Debug)]
pub struct UnitGroups {
    /// The v2 group's id.
    pub id: u64,
    limits: SessionLimits,
    /// Whether it has a v1 group of its own, by controller.
    own_v1: [bool; 3],
}

/// A unit's groups, opened for a launch.
#[derive(Debug)]
pub struct OpenGroups {
    v2: OwnedFd,
    v1: [Option<OwnedFd>; 3],
}

impl OpenGroups {
    /// The v2 group.
    pub fn v2(&self) -> BorrowedFd<'_> {
        self.v2.as_fd()
    }

    /// The unit's own v1 groups.
    pub fn v1(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [0, 1, 2].map(|index| self.v1[index].as_ref().map(AsFd::as_fd))
    }
}

impl Work {
    /// From what init was granted: the v2 work group, and for each controller its v1 group or anything else.
    pub fn new(v2: OwnedFd, v1: [OwnedFd; 3]) -> Work {
        Work { v2, v1: v1.map(|group| is_v1(group.as_fd()).then_some(group)) }
    }

    /// init itself, which has one thread, joins the session's v1 groups; its children inherit that.
    pub fn join(&self) -> io::Result<()> {
        for group in self.v1.iter().flatten() {
            super::write(group.as_fd(), "tasks", "0")?;
        }
        Ok(())
    }

    /// Makes a unit's group, or finds the one that is there.
    pub fn make(&self, unit: &str) -> io::Result<UnitGroups> {
        let v2 = super::make_group(self.v2.as_fd(), OsStr::new(unit))?;
        let id = super::id(v2.as_fd())?;
        Ok(UnitGroups { id, limits: SessionLimits::default(), own_v1: [false; 3] })
    }

    /// Opens a unit's v2 group.
    pub fn open(&self, unit: &str) -> io::Result<OwnedFd> {
        Ok(super::open_group(self.v2.as_fd(), OsStr::new(unit))?)
    }

    /// Opens all groups of a unit.
    pub fn open_all(&self, unit: &str, groups: &UnitGroups) -> io::Result<OpenGroups> {
        let mut open = OpenGroups { v2: self.open(unit)?, v1: [None, None, None] };
        for (index, parent) in self.v1.iter().enumerate() {
            if let (Some(parent), true) = (parent, groups.own_v1[index]) {
                open.v1[index] = Some(super::open_group(parent.as_fd(), OsStr::new(unit))?);
            }
        }
        Ok(open)
    }

    /// Removes a unit's empty v2 group and makes it anew, under a new id; limits on v2 are to be set again. EBUSY
    /// while it has processes.
    pub fn renew(&self, unit: &str, groups: &mut UnitGroups) -> io::Result<()> {
        super::remove(self.v2.as_fd(), OsStr::new(unit))?;
        groups.id = self.make(unit)?.id;
        for (index, controller) in Controller::ALL.into_iter().enumerate() {
            if !groups.own_v1[index] {
                groups.limits.clear(controller);
            }
        }
        Ok(())
    }

    /// Makes a unit's limits these. Only what changed is written; a controller the session was made without
    /// (accepted by the administrator) is left out.
    pub fn limit(
        &self,
        unit: &str,
        groups: &mut UnitGroups,
        limits: &Limits,
        facilities: Facilities,
    ) -> io::Result<()> {
        let wanted =
            SessionLimits { memory: limits.memory, tasks: limits.tasks, cpu_percent: limits.cpu_percent };
        for (index, controller) in Controller::ALL.into_iter().enumerate() {
            let value = wanted.value(controller);
            if value == groups.limits.value(controller) || !facilities.contains(controller.facility()) {
                continue;
            }
            let (group, version) = match &self.v1[index] {
                Some(parent) => {
                    groups.own_v1[index] = true;
                    (super::make_group(parent.as_fd(), OsStr::new(unit))?, Version::V1)
                }
                None => (self.open(unit)?, Version::V2),
            };
            match value {
                Some(value) => set(group.as_fd(), version, controller, value)?,
                None => unset(group.as_fd(), version, controller)?,
            }
        }
        groups.limits = wanted;
        Ok(())
    }

    /// Whether a unit's group has processes.
    pub fn populated(&self, unit: &str) -> io::Result<bool> {
        super::populated_at(self.v2.as_fd(), &format!("{unit}/cgroup.events"))
    }

    /// Kills everything in a unit's group.
    pub fn kill(&self, unit: &str) -> io::Result<()> {
        super::kill(self.open(unit)?.as_fd())
    }

    /// Process numbers in a unit's group.
    pub fn processes(&self, unit: &str) -> io::Result<Vec<i32>> {
        super::processes(self.open(unit)?.as_fd())
    }

    /// A unit's `cgroup.events`: has POLLPRI when `populated` changed.
    pub fn events(&self, unit: &str) -> io::Result<OwnedFd> {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let group = self.open(unit)?;
        Ok(rustix::fs::openat(&group, c"cgroup.events", flags, rustix::fs::Mode::empty())?)
    }

    /// Removes a unit's groups. They must be empty.
    pub fn remove(&self, unit: &str) -> io::Result<()> {
        let name = OsStr::new(unit);
        super::remove(self.v2.as_fd(), name)?;
        for group in self.v1.iter().flatten() {
            super::remove(group.as_fd(), name)?;
        }
        Ok(())
    }
}

/// linux/magic.h: CGROUP_SUPER_MAGIC
const V1_MAGIC: u64 = 0x0027_e0eb;

fn is_v1(group: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(group).is_ok_and(|stat| stat.f_type as u64 == V1_MAGIC)
}
