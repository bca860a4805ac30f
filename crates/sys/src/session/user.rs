//! A user enters a session that is made: the accounts it shows, and his runtime directory.
//!
//! init still may mount (it keeps CAP_SYS_ADMIN in its own permitted set, and Landlock's scopes handle no file system
//! right), nobody else in the session may: what is mounted here stays.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags};
use session0_model::launch::session_plan::UserPlan;

use super::{On, Step, named, private};
use crate::files;
use crate::mount::{self, Depth};

/// Bytes of `passwd` and of `group`, each: more accounts than that are not for a session to list.
const ACCOUNTS_BYTES_MAX: usize = 4 << 20;

/// Why a user could not enter.
#[derive(Debug)]
pub struct EnterFault {
    /// Why.
    pub errno: i32,
    /// On what.
    pub subject: String,
}

impl fmt::Display for EnterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        write!(f, "cannot let the user enter: {}: {reason}", self.subject)
    }
}

/// Shows the session these accounts in place of the machine's, or of those it was shown before, and makes the user's
/// runtime directory if it is not there. The two descriptors are of regular files; they are read from their beginning.
pub fn enter(plan: &UserPlan, passwd: BorrowedFd<'_>, group: BorrowedFd<'_>) -> Result<(), EnterFault> {
    let entered = accounts(passwd, "passwd", "/etc/passwd")
        .and_then(|()| accounts(group, "group", "/etc/group"))
        .and_then(|()| runtime_directory(plan))
        .and_then(|()| plan.home.as_deref().map_or(Ok(()), |home| writable_home(home, plan.uid)));
    entered
        .map_err(|(subject, error)| EnterFault { errno: error.raw_os_error().unwrap_or(libc::EIO), subject })
}

/// A machine that has no such file shows none.
fn accounts(text: BorrowedFd<'_>, name: &str, path: &str) -> Step<()> {
    let text = read(text).on(name)?;
    let directory = named(files::open_directory(Path::new("/run/session0")))?;
    named(files::replace(directory.as_fd(), name, &text, 0o644))?;
    let Some(target) = mount::open_target(Path::new(path), ResolveFlags::NO_MAGICLINKS).on(path)? else {
        return Ok(());
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, name, flags, Mode::empty()).on(name)?;
    let copy = mount::clone_tree(file.as_fd(), Depth::One).on(name)?;
    let attributes =
        private::ATTRIBUTES | MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount::set_attributes(copy.as_fd(), attributes, MountAttrFlags::empty(), Depth::One).on(name)?;
    if device(target.as_fd()).on(path)? != device(directory.as_fd()).on(name)? {
        return mount::attach_on(copy.as_fd(), target.as_fd()).on(path);
    }
    // One of ours is there: the new one comes beneath it before it goes, so that the machine's is seen at no moment.
    mount::attach_beneath(copy.as_fd(), target.as_fd()).on(path)?;
    rustix::mount::unmount(path, UnmountFlags::DETACH).on(path)
}

fn device(of: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    Ok(rustix::fs::fstat(of)?.st_dev)
}

/// The whole of a file, wherever its offset is: others may have the same open file. Anything that one could wait for has no
/// offset and is refused.
fn read(file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut text = vec![0; ACCOUNTS_BYTES_MAX + 1];
    let mut length = 0;
    while length < text.len() {
        match rustix::io::pread(file, &mut text[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    if length > ACCOUNTS_BYTES_MAX {
        return Err(Errno::FBIG.into());
    }
    text.truncate(length);
    Ok(text)
}

/// `/run/user/<uid>`, of a size of its own. One that is there is in use, and stays.
fn runtime_directory(plan: &UserPlan) -> Step<()> {
    let parent = "/run/user";
    let path = format!("{parent}/{}", plan.uid);
    let users = named(files::open_directory(Path::new(parent)))?;
    let name = plan.uid.to_string();
    match rustix::fs::mkdirat(&users, &name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error).on(&path),
    }
    let target = open_directory(&users, &name).on(&path)?;
    if device(target.as_fd()).on(&path)? != device(users.as_fd()).on(parent)? {
        return Ok(());
    }
    let mut options = private::bounded(plan.runtime_bytes, "0700").to_vec();
    options.push(mount::FsOption::Text("uid", plan.uid.to_string()));
    options.push(mount::FsOption::Text("gid", plan.gid.to_string()));
    let directory = mount::new("tmpfs", &options, private::ATTRIBUTES).on(&path)?;
    mount::attach_on(directory.as_fd(), target.as_fd()).on(&path)
}

/// Lays a writable clone over a home that is read-only, if it is its user's own. What is mounted in it stays as it is.
fn writable_home(home: &str, uid: u32) -> Step<()> {
    let target = mount::open_target(Path::new(home), ResolveFlags::NO_MAGICLINKS).on(home)?;
    let Some(target) = target else { return Ok(()) };
    let status = rustix::fs::fstat(&target).on(home)?;
    let his =
        status.st_uid == uid && FileType::from_raw_mode(status.st_mode) == FileType::Directory && uid != 0;
    let flags = rustix::fs::fstatvfs(&target).on(home)?.f_flag;
    if !his || !flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let copy = mount::clone_tree(target.as_fd(), Depth::Recursive).on(home)?;
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    mount::set_attributes(copy.as_fd(), MountAttrFlags::empty(), read_only, Depth::One).on(home)?;
    mount::attach_on(copy.as_fd(), target.as_fd()).on(home)
}

fn open_directory(parent: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn accounts_are_read_whole_from_the_beginning_up_to_a_limit() {
        let memory = |length: usize| {
            let memory = rustix::fs::memfd_create("accounts", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            let mut file = std::fs::File::from(memory);
            file.write_all(&vec![b'a'; length]).unwrap();
            file
        };
        assert_eq!(read(memory(0).as_fd()).unwrap().len(), 0);
        assert_eq!(read(memory(ACCOUNTS_BYTES_MAX).as_fd()).unwrap().len(), ACCOUNTS_BYTES_MAX);
        let error = read(memory(ACCOUNTS_BYTES_MAX + 1).as_fd()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
        let (pipe, _write) = crate::pipe::new().unwrap();
        assert!(read(pipe.as_fd()).is_err(), "nobody is waited for");
    }
}
