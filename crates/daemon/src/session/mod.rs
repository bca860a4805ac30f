//! A live session as the daemon holds it: its groups, its init, what init keeps.

mod create;
mod find;
mod units;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use session0_model::id::{LaunchId, SessionId};
use session0_model::launch::session_plan::Facilities;
use session0_sys::cgroup::{Base, SessionGroups};
use session0_sys::fault::Fault;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::link::{Incoming, Link, Replay};
use crate::message;
use crate::paths::Paths;

pub use create::{Making, create, leftovers};
pub use find::find;
pub use units::{Member, Units};

/// Init answers within this, or it is broken. Generous: a machine that swaps is slow, not broken.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Everything of a killed session has ended within this.
const END_WAIT: Duration = Duration::from_secs(10);

/// Where sessions are made.
pub struct Place {
    /// Our files.
    pub paths: Paths,
    /// Our control groups.
    pub base: Base,
    /// session0-init, opened when we started: what is installed meanwhile is the next daemon's.
    pub init: OwnedFd,
    /// session0-logon, the same.
    pub logon: OwnedFd,
    /// What sessions are made of.
    pub facilities: Facilities,
}

impl Place {
    /// The control socket of a session's init.
    pub fn socket(&self, session: SessionId) -> PathBuf {
        self.paths.inits().join(format!("{session}.sock"))
    }
}

/// A live session.
pub struct Session {
    /// Its control groups.
    pub groups: SessionGroups,
    /// Its init.
    pub init: Rc<AsyncFd<OwnedFd>>,
    /// The connection to it.
    pub link: Link,
    /// Which group is whose.
    pub units: Units,
    /// Descriptors it keeps, by key: our duplicates.
    pub kept: HashMap<String, OwnedFd>,
    /// The other ends of programs' streams, until the programs run.
    pub streams: HashMap<LaunchId, Vec<OwnedFd>>,
    /// The number of the last exit heard of.
    pub exit: u64,
    /// Its init's version.
    pub protocol: u16,
    /// Launches that init has not answered yet.
    pub launches: usize,
    /// Tasks that end with it.
    pub tasks: Vec<JoinHandle<()>>,
}

/// A session just made or found, with the receiving side of its link.
pub struct Joined {
    /// It.
    pub session: Session,
    /// What its init says.
    pub incoming: Incoming,
}

impl Session {
    /// Of its parts.
    pub fn new(groups: SessionGroups, pidfd: OwnedFd, link: Link, replay: Replay) -> io::Result<Session> {
        let mut units = Units::new(groups.init_id()?);
        replay.groups.into_iter().for_each(|(group, unit)| units.insert(group, &unit));
        Ok(Session {
            groups,
            init: Rc::new(crate::readiness::reading(pidfd)?),
            link,
            units,
            kept: replay.kept,
            streams: HashMap::new(),
            exit: replay.exit,
            protocol: replay.recovered.protocol,
            launches: 0,
            tasks: Vec::new(),
        })
    }

    /// Kills everything in it; its end is then heard.
    pub fn kill(&self, id: SessionId) {
        if let Err(error) = self.groups.kill() {
            message::error("cannot kill a session", &[("session", &id), ("reason", &error)]);
        }
    }

    /// A duplicate of a kept descriptor.
    pub fn kept(&self, key: &str) -> Option<OwnedFd> {
        self.kept.get(key)?.try_clone().ok()
    }

    /// Who is in the group with this id.
    pub fn member(&mut self, group: u64) -> io::Result<Option<Member>> {
        if let Some(member) = self.units.member(group) {
            return Ok(Some(member));
        }
        if self.launches == 0 {
            return Ok(None);
        }
        // A program may speak before init has told us that it was started.
        let unit = self.groups.unit_of(group)?;
        Ok(unit.map(|unit| {
            self.units.insert(unit.id, &unit.name);
            Member::Unit(unit.name.into())
        }))
    }
}

/// Waits for the end of an init, or of another child, and reaps it if it was our child.
pub async fn ended(process: &AsyncFd<OwnedFd>) {
    // An error means that it cannot be watched: look again now and then instead.
    while !matches!(session0_sys::pidfd::ended(process.get_ref().as_fd()), Ok(true)) {
        match process.readable().await {
            Ok(mut readable) => readable.clear_ready(),
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
    reap(process.get_ref().as_fd());
}

fn reap(pidfd: BorrowedFd<'_>) {
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOHANG;
    // ECHILD: it was the child of a daemon before us, and the keeper reaps it.
    let _ = rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd), options);
}

/// Reaps every child of ours that has ended: they are inits whose making was given up.
fn reap_all() {
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOHANG;
    while let Ok(Some(_)) = rustix::process::waitid(rustix::process::WaitId::All, options) {}
}

/// Kills what is in a session's groups and removes them.
pub async fn clear(base: &Base, session: SessionId, groups: SessionGroups) -> Result<(), Fault> {
    if groups.populated().unwrap_or(true) {
        // It may have been frozen when its init died; an empty frozen group would stay frozen.
        let _ = groups.freeze(session0_sys::cgroup::Freezer::Thawed);
        groups.kill().map_err(|error| Fault::new("kill what is left of session", session, error))?;
        let deadline = tokio::time::Instant::now() + END_WAIT;
        while groups.populated().unwrap_or(false) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    remove(base, session, groups).await
}

/// A process that has ended, and no longer counts, still holds its group until its processor has left it: the kernel then
/// says for a moment that the group is in use.
async fn remove(base: &Base, session: SessionId, mut groups: SessionGroups) -> Result<(), Fault> {
    let deadline = tokio::time::Instant::now() + END_WAIT;
    loop {
        match groups.remove(base) {
            Err(fault)
                if fault.reason.kind() == std::io::ErrorKind::ResourceBusy
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            done => return done,
        }
        match SessionGroups::attach(base, session)? {
            Some(left) => groups = left,
            None => return Ok(()),
        }
    }
}
