//! The groups of one session's units, as its init makes and holds them.

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

/// One unit's groups.
#[derive(Debug)]
pub struct UnitGroups {
    v2: OwnedFd,
    v1: [Option<OwnedFd>; 3],
    limits: SessionLimits,
    /// The v2 group's id.
    pub id: u64,
}

impl Work {
    /// From what init was granted: the v2 work group, and for each controller its v1 group or anything else.
    pub fn new(v2: OwnedFd, v1: [OwnedFd; 3]) -> Work {
        Work { v2, v1: v1.map(|group| is_v1(group.as_fd()).then_some(group)) }
    }

    /// init itself joins the session's v1 groups, which its children inherit.
    pub fn join(&self) -> io::Result<()> {
        for group in self.v1.iter().flatten() {
            super::write(group.as_fd(), "cgroup.procs", "0")?;
        }
        Ok(())
    }

    /// Makes a unit's group, or opens the one that is there.
    pub fn open(&self, unit: &str) -> io::Result<UnitGroups> {
        let v2 = super::make_group(self.v2.as_fd(), OsStr::new(unit))?;
        let id = super::id(v2.as_fd())?;
        Ok(UnitGroups { v2, v1: [None, None, None], limits: SessionLimits::default(), id })
    }

    /// Removes a unit's empty v2 group and makes it anew, under a new id; limits are to be set again. EBUSY while it
    /// has processes.
    pub fn renew(&self, unit: &str, groups: &mut UnitGroups) -> io::Result<()> {
        super::remove(self.v2.as_fd(), OsStr::new(unit))?;
        let new = self.open(unit)?;
        groups.v2 = new.v2;
        groups.id = new.id;
        for (index, controller) in Controller::ALL.into_iter().enumerate() {
            if groups.v1[index].is_none() {
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
            if let (Some(parent), None) = (&self.v1[index], &groups.v1[index]) {
                groups.v1[index] = Some(super::make_group(parent.as_fd(), OsStr::new(unit))?);
            }
            let (group, version) = match &groups.v1[index] {
                Some(group) => (group, Version::V1),
                None => (&groups.v2, Version::V2),
            };
            match value {
                Some(value) => set(group.as_fd(), version, controller, value)?,
                None => unset(group.as_fd(), version, controller)?,
            }
        }
        groups.limits = wanted;
        Ok(())
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

impl UnitGroups {
    /// Its v2 group.
    pub fn v2(&self) -> BorrowedFd<'_> {
        self.v2.as_fd()
    }

    /// Its own v1 groups.
    pub fn v1(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [0, 1, 2].map(|index| self.v1[index].as_ref().map(AsFd::as_fd))
    }

    /// Its `cgroup.events`: has POLLPRI when `populated` changed.
    pub fn events(&self) -> io::Result<OwnedFd> {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.v2, c"cgroup.events", flags, rustix::fs::Mode::empty())?)
    }
}

/// linux/magic.h: CGROUP_SUPER_MAGIC
const V1_MAGIC: u64 = 0x0027_e0eb;

fn is_v1(group: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(group).is_ok_and(|stat| stat.f_type as u64 == V1_MAGIC)
}
