//! The root tree: cloned, entered, freed of everything inherited, and what of it is read-only or hidden.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};
use session0_model::launch::session_plan::{Doors, SessionKind, SessionPlan};

use super::{On, Step};
use crate::mount::{self, Depth, FsOption};

/// What was taken from the host's tree before it was left.
pub(super) struct Saved {
    pub(super) expose: OwnedFd,
    /// The sockets of named pipes, if the session has that door.
    pub(super) pipes: Option<OwnedFd>,
    /// Services have state directories.
    pub(super) state: Option<OwnedFd>,
    /// What becomes `/home`, if the machine's own is not meant.
    pub(super) homes: Option<OwnedFd>,
    /// Where `/etc/resolv.conf` points to below `/run`, and what was in it.
    pub(super) resolver: Option<(PathBuf, Vec<u8>)>,
}

/// Makes everything private to us, and takes what the plan needs of the host's tree.
pub(super) fn save(plan: &SessionPlan, kind: &SessionKind, doors: Option<&Doors>) -> Step<Saved> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", private).on("/")?;
    let state = match kind {
        SessionKind::Services | SessionKind::Xp(_) => Some(tree(&plan.state_root, Depth::One)?),
        SessionKind::User(_) => None,
    };
    let homes = super::shown(kind).and_then(|shown| shown.homes.as_deref());
    // A home may be a file system of its own.
    let homes = homes.map(|homes| tree(homes, Depth::Recursive)).transpose()?;
    let pipes = doors.map(|doors| tree(&doors.pipes, Depth::One)).transpose()?;
    Ok(Saved { expose: tree(&plan.expose_root, Depth::One)?, pipes, state, homes, resolver: resolver() })
}

/// Leaves the host's tree for a copy of it without anything inherited.
pub(super) fn enter(plan: &SessionPlan) -> Step<()> {
    let root = mount::open_target(Path::new("/"), ResolveFlags::empty()).on("/")?;
    let root = root.ok_or(Errno::NOENT).on("/")?;
    let copy = mount::clone_tree(root.as_fd(), Depth::Recursive).on("/")?;
    // Nothing of the machine's files is a device here, whatever the device policy says.
    let nodev = MountAttrFlags::MOUNT_ATTR_NODEV;
    mount::set_attributes(copy.as_fd(), nodev, MountAttrFlags::empty(), Depth::Recursive).on("/")?;
    mount::attach(copy.as_fd(), Path::new("/")).on("/")?;
    rustix::process::fchdir(&copy).on("/")?;
    rustix::process::pivot_root(c".", c".").on("/")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).on("the old root")?;
    rustix::process::chdir(c"/").on("/")?;
    detach_inherited()?;
    close_top(plan)
}

/// Names in `/` that lead to programs and libraries: on most machines links into `/usr`. They stay as they are.
const PROGRAMS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Makes `/` itself read-only: with `/lib64` replaced by something else, nothing below `/usr` would have to be written
/// to have the machine execute it. The directories in it stay writable, each under a clone of its own, unless the plan makes all
/// of `/` read-only.
fn close_top(plan: &SessionPlan) -> Step<()> {
    let root = mount::open_target(Path::new("/"), ResolveFlags::empty()).on("/")?;
    let root = root.ok_or(Errno::NOENT).on("/")?;
    let of_root = mount_id(root.as_fd()).on("/")?;
    for entry in std::fs::read_dir("/").on("/")? {
        let entry = entry.on("/")?;
        let path = entry.path();
        let programs = PROGRAMS.iter().any(|name| entry.file_name() == *name);
        let later = REPLACED.iter().any(|top| path == Path::new(top.to_string_lossy().as_ref()))
            || plan.read_only.iter().any(|read_only| path == Path::new(read_only));
        if programs || later || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Some(target) = mount::open_target(&path, ResolveFlags::NO_SYMLINKS).on(path.display())? else {
            continue;
        };
        // What is mounted there is a mount of its own already.
        let mut top = target;
        if mount_id(top.as_fd()).on(path.display())? == of_root {
            let copy = mount::clone_tree(top.as_fd(), Depth::Recursive).on(path.display())?;
            mount::attach_on(copy.as_fd(), top.as_fd()).on(path.display())?;
            top = copy;
        }
        if everything_is_read_only(plan) {
            make_read_only(top.as_fd()).on(path.display())?;
        }
    }
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    mount::set_attributes(root.as_fd(), read_only, MountAttrFlags::empty(), Depth::One).on("/")
}

/// Whether the plan makes all of `/` read-only.
pub(super) fn everything_is_read_only(plan: &SessionPlan) -> bool {
    plan.read_only.iter().any(|path| path == "/")
}

/// A tree of mounts.
pub(super) fn make_read_only(tree: BorrowedFd<'_>) -> std::io::Result<()> {
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    mount::set_attributes(tree, read_only, MountAttrFlags::empty(), Depth::Recursive)
}

fn mount_id(at: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let status = rustix::fs::statx(at, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    Ok(status.stx_mnt_id)
}

/// A detached clone of a directory of ours. A symbolic link in its path is refused.
fn tree(path: &str, depth: Depth) -> Step<OwnedFd> {
    let target = mount::open_target(Path::new(path), ResolveFlags::NO_SYMLINKS).on(path)?;
    let target = target.ok_or(Errno::NOENT).on(path)?;
    mount::clone_tree(target.as_fd(), depth).on(path)
}

/// More than any resolver configuration.
const RESOLVER_BYTES_MAX: usize = 64 * 1024;

/// A resolv.conf that is a link into `/run` would point to nothing in a private `/run`.
fn resolver() -> Option<(PathBuf, Vec<u8>)> {
    let path = Path::new("/etc/resolv.conf");
    if !path.symlink_metadata().ok()?.file_type().is_symlink() {
        return None;
    }
    let place = path.canonicalize().ok()?;
    if !place.starts_with("/run") {
        return None;
    }
    let content = std::fs::read(&place).ok()?;
    (content.len() <= RESOLVER_BYTES_MAX).then_some((place, content))
}

/// Directories whose inherited mounts go as a whole.
const REPLACED: &[&CStr] = &[c"/proc", c"/sys", c"/dev", c"/run", c"/tmp", c"/var/tmp"];

/// Kernel file systems that nobody granted, wherever they are mounted.
const KERNEL_KINDS: &[&[u8]] = &[
    b"proc",
    b"sysfs",
    b"devtmpfs",
    b"devpts",
    b"mqueue",
    b"cgroup",
    b"cgroup2",
    b"debugfs",
    b"tracefs",
    b"securityfs",
    b"bpf",
    b"binfmt_misc",
    b"configfs",
    b"efivarfs",
    b"pstore",
    b"fusectl",
    b"hugetlbfs",
    b"rpc_pipefs",
    b"nfsd",
    b"selinuxfs",
];

fn detach_inherited() -> Step<()> {
    // The inherited /proc still is there, and is gone after this.
    let mountinfo = std::fs::read("/proc/self/mountinfo").on("/proc/self/mountinfo")?;
    for path in kernel_mounts(&mountinfo) {
        match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
            // It went with the one above it, or lies under another.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(error).on(path.display()),
        }
    }
    for path in REPLACED {
        // As often as something is mounted there.
        loop {
            match rustix::mount::unmount(*path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::NOENT) => break,
                Err(error) => return Err(error).on(path.to_string_lossy()),
            }
        }
    }
    Ok(())
}

/// Mount points of kernel file systems outside the replaced directories, the innermost first.
fn kernel_mounts(mountinfo: &[u8]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            let dash = words.iter().position(|word| *word == b"-")?;
            let kind = words.get(dash + 1)?;
            let path = crate::cgroup::unescape(words.get(4)?);
            let replaced = REPLACED.iter().any(|top| path.starts_with(top.to_string_lossy().as_ref()));
            (KERNEL_KINDS.contains(kind) && !replaced).then_some(path)
        })
        .collect();
    paths.reverse();
    paths
}

/// Makes the plan's paths read-only and covers its hidden directories.
pub(super) fn protect(plan: &SessionPlan) -> Step<()> {
    for path in plan.read_only.iter().filter(|path| *path != "/") {
        let Some(target) = mount::open_target(Path::new(path), ResolveFlags::NO_MAGICLINKS).on(path)? else {
            continue;
        };
        let copy = mount::clone_tree(target.as_fd(), Depth::Recursive).on(path)?;
        make_read_only(copy.as_fd()).on(path)?;
        mount::attach_on(copy.as_fd(), target.as_fd()).on(path)?;
        private_stays_writable(Path::new(path), copy.as_fd())?;
    }
    for path in &plan.hidden {
        hide(path)?;
    }
    Ok(())
}

/// `/var` may be read-only, the session's own `/var/tmp` in it is not.
fn private_stays_writable(path: &Path, copy: BorrowedFd<'_>) -> Step<()> {
    let of_path = mount_id(copy).on(path.display())?;
    for top in REPLACED {
        let top = Path::new(std::ffi::OsStr::from_bytes(top.to_bytes()));
        if top == path || !top.starts_with(path) {
            continue;
        }
        let Some(target) = mount::open_target(top, ResolveFlags::NO_SYMLINKS).on(top.display())? else {
            continue;
        };
        if mount_id(target.as_fd()).on(top.display())? != of_path {
            let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
            mount::set_attributes(target.as_fd(), MountAttrFlags::empty(), read_only, Depth::One)
                .on(top.display())?;
        }
    }
    Ok(())
}

/// Covers a directory with an empty read-only file system. One that does not exist is hidden already.
pub(super) fn hide(path: &str) -> Step<()> {
    let Some(target) = mount::open_target(Path::new(path), ResolveFlags::NO_MAGICLINKS).on(path)? else {
        return Ok(());
    };
    let stat = rustix::fs::fstat(&target).on(path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR).on(path);
    }
    let options = [
        FsOption::Text("size", "4k".into()),
        FsOption::Text("nr_inodes", "2".into()),
        FsOption::Text("mode", "0555".into()),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let empty = mount::new("tmpfs", &options, attributes).on(path)?;
    mount::attach_on(empty.as_fd(), target.as_fd()).on(path)
}

/// Whether `path` is there and no symbolic link.
pub(super) fn is_real_directory(path: &CStr) -> bool {
    rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_file_systems_elsewhere_are_found_innermost_first() {
        let text = b"22 27 0:21 / /proc rw - proc proc rw\n\
            23 27 0:22 / /srv/box/sys rw - sysfs sysfs rw\n\
            31 23 0:28 / /srv/box/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
            27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let expected = [PathBuf::from("/srv/box/sys/fs/cgroup"), PathBuf::from("/srv/box/sys")];
        assert_eq!(kernel_mounts(text), expected);
    }
}
