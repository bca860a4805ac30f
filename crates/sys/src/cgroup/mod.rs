//! Control groups: where they are mounted, the ones of a session, their limits.
//!
//! ```text
//!   v2  <base>/session-0/init          init alone
//!       <base>/session-0/work          limits of the session where v2 has the controllers; freeze
//!       <base>/session-0/work/<unit>   one service; kill, populated, its own limits
//!   v1  <base>/session-0               limits of the session where v1 has the controllers; init joins it once
//!       <base>/session-0/<unit>        only for a service with limits of its own
//! ```
//!
//! On v2 the limits are on `work`: a fork bomb at its limit does not keep init from launching. On v1 there is no
//! way to be born in a group, so there init is in the limited group itself and its children inherit that: while a
//! fork bomb holds the session's last task, launches fail with EAGAIN.
//!
//! Moving by v1's `cgroup.procs` takes 11 ms when nobody has moved for a while, because the kernel first holds up every
//! fork and exit of the machine. A single thread that moves *itself* by `tasks` waits for nobody (Linux 5.5): three groups
//! in 0.13 ms (both measured). That is how init joins, and a program with limits of its own.

mod base;
mod limits;
mod mounts;
mod session;
mod unit;

pub use base::Base;
pub use limits::{Controller, SessionLimits};
pub(crate) use mounts::unescape;
pub use mounts::{Mounts, V1};
pub use session::{SessionGroups, Unit};
pub use unit::{OpenGroups, UnitGroups, Work};

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens a group below `directory`. Symbolic links are refused (there are none in a cgroup file system; a mount
/// in the way would be somebody's trick).
pub(crate) fn open_group(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(directory, name, flags, Mode::empty(), RESOLVE)
}

const RESOLVE: ResolveFlags =
    ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::BENEATH);

/// Makes a group below `directory` if it is not there, and opens it.
pub(crate) fn make_group(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => open_group(directory, name),
        Err(error) => Err(error),
    }
}

/// Writes one of a group's files.
pub fn write(group: BorrowedFd<'_>, file: &str, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(group, file, flags, Mode::empty(), RESOLVE)?;
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

/// Reads one of a group's files.
pub fn read(group: BorrowedFd<'_>, file: &str) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(group, file, flags, Mode::empty(), RESOLVE)?;
    let mut text = String::new();
    io::Read::read_to_string(&mut std::fs::File::from(file), &mut text)?;
    Ok(text)
}

/// The group's id: the number PIDFD_GET_INFO says for its processes.
pub fn id(group: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(group)?.st_ino)
}

/// Whether a live process is in the group or below it (v2).
pub fn populated(group: BorrowedFd<'_>) -> io::Result<bool> {
    populated_at(group, "cgroup.events")
}

/// The same, of the group whose `cgroup.events` has this path below `directory`. On the way of every restart: two calls.
fn populated_at(directory: BorrowedFd<'_>, events: &str) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(directory, events, flags, Mode::empty(), RESOLVE)?;
    // Two short lines, "populated N" the first; one read has them all.
    let mut text = [0; 128];
    let length = rustix::io::read(&file, &mut text)?;
    Ok(text[..length].split(|byte| *byte == b'\n').any(|line| line == b"populated 1"))
}

/// Kills everything in the group and below it, frozen or not (v2).
pub fn kill(group: BorrowedFd<'_>) -> io::Result<()> {
    write(group, "cgroup.kill", "1")
}

/// Whether a group's processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freezer {
    /// They are stopped where they are.
    Frozen,
    /// They run.
    Thawed,
}

/// Stops or continues everything in the group and below it (v2). Takes about a millisecond to become true.
pub fn freeze(group: BorrowedFd<'_>, to: Freezer) -> io::Result<()> {
    match to {
        Freezer::Frozen => write(group, "cgroup.freeze", "1"),
        Freezer::Thawed => write(group, "cgroup.freeze", "0"),
    }
}

/// Process numbers in the group itself, in our PID namespace (those outside it read as 0).
pub fn processes(group: BorrowedFd<'_>) -> io::Result<Vec<i32>> {
    Ok(read(group, "cgroup.procs")?.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Removes a group and all groups below it. They must have no processes. One that is not there is no error.
pub fn remove(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(error) => return Err(error.into()),
    }
    let group = match open_group(parent, name) {
        Ok(group) => group,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let children: Vec<_> = Dir::read_from(&group)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type() == rustix::fs::FileType::Directory)
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.as_bytes() != b"." && name.as_bytes() != b"..")
        .collect();
    for child in children {
        use std::os::unix::ffi::OsStrExt;
        remove(group.as_fd(), OsStr::from_bytes(child.as_bytes()))?;
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
