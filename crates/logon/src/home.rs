//! Homes of built-in accounts: made whole or not at all.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use session0_model::logon::wire::AccountPlace;
use session0_sys::{Context, Fault, files};

use crate::over::Over;
use crate::tree;

/// What stood in the place of a home before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Nothing: it is new.
    New,
    /// It was there, and is this uid's already: an Add that was killed, or an account that was removed without its home and came
    /// back under its number.
    Found,
}

/// What came of removing a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Removed,
    /// There was none.
    Missing,
    /// It is no directory of the account's own: left alone.
    NotTheirs,
}

/// ERROR_ALREADY_EXISTS.
const EXISTS: u32 = 183;

/// Makes a home from the first skeleton that exists.
pub fn make(place: &AccountPlace, name: &str, uid: u32) -> Result<Made, Over> {
    let what = "make the home";
    let path = format!("{}/{name}", place.homes);
    let homes = files::make_directory(Path::new(&place.homes), 0o755)?;
    match look(&homes, name)? {
        None => {}
        Some(stat) if is_theirs(&stat, uid) => return Ok(Made::Found),
        Some(_) => {
            return Err(Over::refused_with(
                EXISTS,
                format!("{path} exists already and is not a directory of uid {uid}"),
                format!("if it is to be the home: chown -R {uid}:{uid} {path}; else move it away"),
            ));
        }
    }
    // Under a name nobody looks for and with nobody's rights, until it is whole. The lock is held: one that is there is left over.
    let temporary = format!(".{name}.session0-new");
    if look(&homes, &temporary)?.is_some() {
        tree::remove(homes.as_fd(), &temporary)?;
    }
    let made = fill(&homes, &temporary, place, uid).and_then(|()| {
        rustix::fs::renameat_with(&homes, &temporary, &homes, name, RenameFlags::NOREPLACE)
            .context(what, &path)
    });
    if let Err(fault) = made {
        if let Err(second) = tree::remove(homes.as_fd(), &temporary) {
            complain!("{second}");
        }
        return Err(fault.into());
    }
    Ok(Made::New)
}

fn fill(homes: &OwnedFd, name: &str, place: &AccountPlace, uid: u32) -> Result<(), Fault> {
    let what = "make the home";
    rustix::fs::mkdirat(homes, name, Mode::RWXU).context(what, name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let home = rustix::fs::openat(homes, name, flags, Mode::empty()).context(what, name)?;
    let skeleton = place.skeletons.iter().map(Path::new).find(|skeleton| skeleton.is_dir());
    if let Some(skeleton) = skeleton {
        tree::copy(skeleton, home.as_fd(), uid)?;
    }
    let (owner, group) = tree::ids(uid);
    rustix::fs::fchown(&home, owner, group).context(what, name)?;
    rustix::fs::fchmod(&home, Mode::RWXU).context(what, name)
}

/// Takes back what [`make`] made: what it was for failed.
pub fn unmake(place: &AccountPlace, name: &str) -> Result<(), Fault> {
    let homes = files::open_directory(Path::new(&place.homes))?;
    tree::remove(homes.as_fd(), name)
}

/// Removes a home with everything in it.
pub fn remove(place: &AccountPlace, name: &str, home: &str, uid: u32) -> Result<Fate, Fault> {
    if home != format!("{}/{name}", place.homes_inside) {
        return Ok(Fate::NotTheirs);
    }
    let homes = match files::open_directory(Path::new(&place.homes)) {
        Err(fault) if fault.reason.kind() == std::io::ErrorKind::NotFound => return Ok(Fate::Missing),
        other => other?,
    };
    match look(&homes, name)? {
        None => Ok(Fate::Missing),
        Some(stat) if is_theirs(&stat, uid) => tree::remove(homes.as_fd(), name).map(|()| Fate::Removed),
        Some(_) => Ok(Fate::NotTheirs),
    }
}

fn look(homes: &OwnedFd, name: &str) -> Result<Option<Stat>, Fault> {
    match rustix::fs::statat(homes, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error).context("look at", name),
    }
}

fn is_theirs(stat: &Stat, uid: u32) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory && stat.st_uid == uid
}
