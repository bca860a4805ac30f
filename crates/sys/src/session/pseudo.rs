//! /proc and /sys: fresh, and with what is the machine's read-only or masked.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use session0_model::launch::session_plan::{Facilities, SessionPlan};

use super::{On, Step};
use crate::mount::{self, Depth, FsOption};

const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A /proc of our own PID namespace, in which one sees one's own processes.
pub(super) fn proc(plan: &SessionPlan) -> Step<()> {
    let mut options = Vec::new();
    if plan.facilities.contains(Facilities::HIDEPID) {
        options.push(FsOption::Text("hidepid", "invisible".into()));
        options.push(FsOption::Text("gid", plan.proc_gid.to_string()));
    }
    mount_proc(&options)
}

/// The same with everybody's processes in it, for all.
pub(super) fn proc_for_all() -> Step<()> {
    mount_proc(&[])
}

fn mount_proc(options: &[FsOption<'_>]) -> Step<()> {
    let proc = mount::new("proc", options, INERT).on("/proc")?;
    mount::attach(proc.as_fd(), Path::new("/proc")).on("/proc")
}

/// A read-only /sys without control groups.
pub(super) fn sys() -> Step<()> {
    let sys = mount::new("sysfs", &[], INERT | MountAttrFlags::MOUNT_ATTR_RDONLY).on("/sys")?;
    mount::attach(sys.as_fd(), Path::new("/sys")).on("/sys")
}

/// The machine's settings: to be read.
const READ_ONLY: &[&str] = &["/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/driver"];

/// The machine's secrets and levers.
const MASKED_FILES: &[&str] = &[
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kmsg",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/kpagecgroup",
];

const MASKED_DIRECTORIES: &[&str] =
    &["/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware", "/sys/devices/virtual/powercap"];

/// Read-only and masked parts. After `/dev`: a masked file is its `null`.
pub(super) fn mask() -> Step<()> {
    for path in READ_ONLY {
        let Some(target) = mount::open_target(Path::new(path), ResolveFlags::NO_SYMLINKS).on(path)? else {
            continue;
        };
        let copy = mount::clone_tree(target.as_fd(), Depth::Recursive).on(path)?;
        let attributes = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
        mount::set_attributes(copy.as_fd(), attributes, MountAttrFlags::empty(), Depth::Recursive)
            .on(path)?;
        mount::attach_on(copy.as_fd(), target.as_fd()).on(path)?;
    }
    let null = mount::open_target(Path::new("/dev/null"), ResolveFlags::NO_SYMLINKS).on("/dev/null")?;
    let null = null.ok_or(Errno::NOENT).on("/dev/null")?;
    for path in MASKED_FILES {
        let Some(target) = mount::open_target(Path::new(path), ResolveFlags::NO_SYMLINKS).on(path)? else {
            continue;
        };
        let copy = mount::clone_tree(null.as_fd(), Depth::One).on(path)?;
        mount::attach_on(copy.as_fd(), target.as_fd()).on(path)?;
    }
    for path in MASKED_DIRECTORIES {
        super::root::hide(path)?;
    }
    Ok(())
}
