//! Mounts by descriptor, as rustix lacks one of the calls and as we use the others.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

/// An option of a file system to be mounted.
#[derive(Debug, Clone)]
pub enum FsOption<'a> {
    /// `key`
    Flag(&'a str),
    /// `key=value`
    Text(&'a str, String),
}

/// Makes a new instance of a file system, attached nowhere.
pub fn new(kind: &str, options: &[FsOption<'_>], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in options {
        match option {
            FsOption::Flag(key) => rustix::mount::fsconfig_set_flag(context.as_fd(), *key)?,
            FsOption::Text(key, value) => {
                rustix::mount::fsconfig_set_string(context.as_fd(), *key, value.as_str())?;
            }
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    Ok(rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Whether a cloned tree has the mounts below its root as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the one mount.
    One,
    /// All of them.
    Recursive,
}

/// Clones the tree at a descriptor (O_PATH will do), attached nowhere.
pub fn clone_tree(at: BorrowedFd<'_>, depth: Depth) -> io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(at, c"", flags)?)
}

/// Attaches a detached tree at `path`.
pub fn attach(tree: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    Ok(rustix::mount::move_mount(tree, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Attaches a detached tree on what a descriptor is of.
pub fn attach_on(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, c"", target, c"", flags)?)
}

/// Attaches a detached tree beneath the mount whose root a descriptor is of: it is seen when that one goes (Linux 6.5).
pub fn attach_beneath(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_BENEATH;
    Ok(rustix::mount::move_mount(tree, c"", target, c"", flags)?)
}

/// Opens a path (of any kind) to clone it or to mount on it. `None`: there is nothing.
pub fn open_target(path: &Path, resolve: ResolveFlags) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// mount_setattr: sets and clears attributes of a mount.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    set: MountAttrFlags,
    clear: MountAttrFlags,
    depth: Depth,
) -> io::Result<()> {
    set_attributes_raw(mount.as_raw_fd(), u64::from(set.bits()), u64::from(clear.bits()), depth)
}

/// As [`set_attributes`]; makes one system call and nothing else.
pub(crate) fn set_attributes_raw(mount: i32, set: u64, clear: u64, depth: Depth) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = match depth {
        Depth::One => libc::AT_EMPTY_PATH,
        Depth::Recursive => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    let empty: &CStr = c"";
    // SAFETY: `attributes` and its size are what mount_setattr(2) reads; both pointers outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            empty.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
