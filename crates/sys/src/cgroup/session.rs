//! The groups of one session, as the daemon makes and holds them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use session0_model::id::SessionId;

use super::limits::{Version, set};
use super::{Base, Controller, Freezer, SessionLimits};
use crate::fault::{Context, Fault};

/// The groups of one session.
#[derive(Debug)]
pub struct SessionGroups {
    name: OsString,
    top: OwnedFd,
    init: OwnedFd,
    work: OwnedFd,
    v1: [Option<OwnedFd>; 3],
}

/// One unit's group, found by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Its group's id.
    pub id: u64,
}

impl SessionGroups {
    /// Makes the session's groups with its limits. Groups of that name that are there and have no processes are
    /// removed first: a session before, whose end nobody saw, left them.
    pub fn create(base: &Base, session: SessionId, limits: &SessionLimits) -> Result<SessionGroups, Fault> {
        let name = name(session);
        remove_at(base, &name)?;
        let groups = Self::make(base, name).context("make the control groups of session", session)?;
        groups.limit(limits).context("limit session", session)?;
        Ok(groups)
    }

    fn make(base: &Base, name: OsString) -> io::Result<SessionGroups> {
        let top = super::make_group(base.v2().as_fd(), &name)?;
        super::base::enable(base.mounts(), top.as_fd())?;
        let init = super::make_group(top.as_fd(), OsStr::new(INIT))?;
        let work = super::make_group(top.as_fd(), OsStr::new(WORK))?;
        super::base::enable(base.mounts(), work.as_fd())?;
        let mut v1 = [None, None, None];
        for (index, slot) in v1.iter_mut().enumerate() {
            if let Some(directory) = base.v1(index) {
                *slot = Some(super::make_group(directory.as_fd(), &name)?);
            }
        }
        Ok(SessionGroups { name, top, init, work, v1 })
    }

    fn limit(&self, limits: &SessionLimits) -> io::Result<()> {
        for (index, controller) in Controller::ALL.into_iter().enumerate() {
            let Some(value) = limits.value(controller) else { continue };
            match &self.v1[index] {
                Some(group) => set(group.as_fd(), Version::V1, controller, value)?,
                None => set(self.work.as_fd(), Version::V2, controller, value)?,
            }
        }
        Ok(())
    }

    /// Opens the groups a daemon before us made. `None`: there are none.
    pub fn attach(base: &Base, session: SessionId) -> Result<Option<SessionGroups>, Fault> {
        let name = name(session);
        match super::open_group(base.v2().as_fd(), &name) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).context("open the control groups of session", session),
        }
        Self::make(base, name).context("open the control groups of session", session).map(Some)
    }

    /// The sessions that have groups below the base, by number.
    pub fn all(base: &Base) -> io::Result<Vec<SessionId>> {
        let mut sessions = Vec::new();
        for entry in rustix::fs::Dir::read_from(base.v2())? {
            let entry = entry?;
            let number =
                entry.file_name().to_str().ok().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            sessions.extend(number.map(SessionId));
        }
        sessions.sort_unstable();
        Ok(sessions)
    }

    /// The session's group: the device policy goes on it, and everything of the session is below it.
    pub fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// Where init is put by clone3.
    pub fn init(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }

    /// The parent of the units' groups: init's descriptor 4. Freezing it freezes everything but init.
    pub fn work(&self) -> BorrowedFd<'_> {
        self.work.as_fd()
    }

    /// The session's v1 groups for memory, pids, cpu: init's descriptors 5, 6, 7. `None` where that is on v2 or
    /// nowhere.
    pub fn v1(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [0, 1, 2].map(|index| self.v1[index].as_ref().map(AsFd::as_fd))
    }

    /// The id of init's group.
    pub fn init_id(&self) -> io::Result<u64> {
        super::id(self.init.as_fd())
    }

    /// The unit whose group has this id (of those that exist now).
    pub fn unit_of(&self, id: u64) -> io::Result<Option<Unit>> {
        Ok(self.units()?.into_iter().find(|unit| unit.id == id))
    }

    /// All units that have a group now.
    pub fn units(&self) -> io::Result<Vec<Unit>> {
        let mut units = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.work)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if entry.file_type() == rustix::fs::FileType::Directory && name != "." && name != ".." {
                let stat = rustix::fs::statat(&self.work, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
                units.push(Unit { name: name.to_owned(), id: stat.st_ino });
            }
        }
        Ok(units)
    }

    /// Kills everything of the session, init included.
    pub fn kill(&self) -> io::Result<()> {
        super::kill(self.top.as_fd())
    }

    /// Whether any process of the session is alive.
    pub fn populated(&self) -> io::Result<bool> {
        super::populated(self.top.as_fd())
    }

    /// Freezes or thaws the session's programs; init keeps running.
    pub fn freeze(&self, to: Freezer) -> io::Result<()> {
        super::freeze(self.work.as_fd(), to)
    }

    /// Removes the session's groups. Everything in it must have ended.
    pub fn remove(self, base: &Base) -> Result<(), Fault> {
        let name = self.name.clone();
        drop(self);
        remove_at(base, &name)
    }
}

fn remove_at(base: &Base, name: &OsStr) -> Result<(), Fault> {
    let what = "remove the control groups of";
    let subject = base.path().join(name);
    for index in 0..3 {
        if let Some(directory) = base.v1(index) {
            super::remove(directory.as_fd(), name).context(what, subject.display())?;
        }
    }
    super::remove(base.v2().as_fd(), name).context(what, subject.display())
}

const INIT: &str = "init";
const WORK: &str = "work";

/// What the groups of sessions are called, followed by the number.
const PREFIX: &str = "session-";

fn name(session: SessionId) -> OsString {
    format!("{PREFIX}{session}").into()
}
