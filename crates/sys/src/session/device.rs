//! /dev: a file system of our own with the harmless nodes and nothing else; with walls down, the machine's.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev};
use rustix::mount::MountAttrFlags;
use session0_model::launch::session_plan::{SessionKind, SessionPlan};

use super::{On, Step};
use crate::mount::{self, FsOption};

const NODES: &[(&CStr, u32, u32)] = &[
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
];

/// Only ever the caller's own terminal; where there is none, opening it fails. A service's is a tripwire.
const OWN_TERMINAL: &[(&CStr, u32, u32)] = &[(c"/dev/tty", 5, 0)];

const LINKS: &[(&CStr, &CStr)] = &[
    (c"/proc/self/fd", c"/dev/fd"),
    (c"/proc/self/fd/0", c"/dev/stdin"),
    (c"/proc/self/fd/1", c"/dev/stdout"),
    (c"/proc/self/fd/2", c"/dev/stderr"),
    (c"pts/ptmx", c"/dev/ptmx"),
];

const QUIET: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// `tty`'s group on every distribution: the group of a terminal's node.
pub(crate) const TTY_GID: u32 = 5;

pub(super) fn make(plan: &SessionPlan, kind: &SessionKind) -> Step<()> {
    let options = [
        FsOption::Text("mode", "0755".into()),
        FsOption::Text("size", "256k".into()),
        FsOption::Text("nr_inodes", "256".into()),
    ];
    let dev = mount::new("tmpfs", &options, QUIET).on("/dev")?;
    mount::attach(dev.as_fd(), Path::new("/dev")).on("/dev")?;
    let own_terminal = match kind {
        SessionKind::User(_) => OWN_TERMINAL,
        SessionKind::Services | SessionKind::Xp(_) => &[],
    };
    for (path, major, minor) in NODES.iter().chain(own_terminal) {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(CWD, *path, FileType::CharacterDevice, mode, makedev(*major, *minor))
            .on(path.to_string_lossy())?;
    }
    for (target, path) in LINKS {
        rustix::fs::symlink(*target, *path).on(path.to_string_lossy())?;
    }
    for path in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).on(path)?;
    }
    terminals(plan)?;
    shared_memory(plan)?;
    // The queues are those of the mounter's IPC namespace: ours.
    let inert = QUIET | MountAttrFlags::MOUNT_ATTR_NODEV;
    let queues = mount::new("mqueue", &[], inert).on("/dev/mqueue")?;
    mount::attach(queues.as_fd(), Path::new("/dev/mqueue")).on("/dev/mqueue")
}

/// The machine's nodes, with terminals and shared memory of our own.
pub(super) fn share(plan: &SessionPlan) -> Step<()> {
    terminals(plan)?;
    shared_memory(plan)
}

/// Terminals of our own: numbers from 0, nobody else's visible.
fn terminals(plan: &SessionPlan) -> Step<()> {
    let path = "/dev/pts";
    let options = [
        FsOption::Flag("newinstance"),
        FsOption::Text("ptmxmode", "0666".into()),
        FsOption::Text("mode", "0620".into()),
        FsOption::Text("gid", TTY_GID.to_string()),
        FsOption::Text("max", plan.terminals_max.to_string()),
    ];
    let terminals = mount::new("devpts", &options, QUIET).on(path)?;
    mount::attach(terminals.as_fd(), Path::new(path)).on(path)
}

/// POSIX shared memory.
fn shared_memory(plan: &SessionPlan) -> Step<()> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let options = super::private::bounded(plan.sizes.shm, "1777");
    let memory = mount::new("tmpfs", &options, attributes).on("/dev/shm")?;
    mount::attach(memory.as_fd(), Path::new("/dev/shm")).on("/dev/shm")
}
