//! /tmp, /var/tmp and /run: private, bounded, without set-user-id programs and device nodes.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{Gid, Mode, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use session0_model::launch::session_plan::{SessionKind, SessionPlan, Shown};

use super::root::{Saved, everything_is_read_only, is_real_directory, make_read_only};
use super::{On, Step, Walls};
use crate::mount::{self, Depth, FsOption};

pub(super) const ATTRIBUTES: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// A tmpfs's options: its bytes, and files in proportion (they use memory that is not counted as bytes).
pub(super) fn bounded(bytes: u64, mode: &str) -> [FsOption<'static>; 3] {
    [
        FsOption::Text("size", bytes.to_string()),
        FsOption::Text("nr_inodes", (bytes / 4096).max(1024).to_string()),
        FsOption::Text("mode", mode.into()),
    ]
}

pub(super) fn make(plan: &SessionPlan, kind: &SessionKind, saved: Saved) -> Step<()> {
    let attributes = match Walls::of(kind) {
        Walls::Up => ATTRIBUTES,
        Walls::Down => MountAttrFlags::MOUNT_ATTR_NOSUID,
    };
    for (path, bytes, mode) in [
        ("/tmp", plan.sizes.tmp, "1777"),
        ("/var/tmp", plan.sizes.tmp, "1777"),
        ("/run", plan.sizes.run, "0755"),
    ] {
        if path == "/var/tmp" && !is_real_directory(c"/var/tmp") {
            continue; // A link to /tmp, or not there at all.
        }
        let private = mount::new("tmpfs", &bounded(bytes, mode), attributes).on(path)?;
        mount::attach(private.as_fd(), Path::new(path)).on(path)?;
    }
    for (path, mode) in [
        ("/run/lock", 0o1777),
        ("/run/user", 0o755),
        ("/run/session0", 0o755),
        ("/run/session0/expose", 0o755),
        ("/tmp/.X11-unix", 0o1777),
        ("/tmp/.ICE-unix", 0o1777),
    ] {
        rustix::fs::mkdir(path, Mode::from_raw_mode(mode)).on(path)?;
    }
    match kind {
        SessionKind::Services => tripwire_directories(plan)?,
        SessionKind::User(_) | SessionKind::Xp(_) => {}
    }
    if is_real_directory(c"/var/run") {
        alias("/run", "/var/run")?;
    }
    // Users see what services expose; it is not theirs to change.
    let seen = match kind {
        SessionKind::Services | SessionKind::Xp(_) => attributes,
        SessionKind::User(_) => attributes | MountAttrFlags::MOUNT_ATTR_RDONLY,
    };
    show(saved.expose.as_fd(), "/run/session0/expose", seen)?;
    if let Some(pipes) = saved.pipes {
        let path = "/run/session0/pipe";
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).on(path)?;
        // To connect to a socket is no writing to its file system.
        let closed = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        show(pipes.as_fd(), path, ATTRIBUTES | closed)?;
    }
    if let Some(state) = saved.state {
        let path = "/run/session0/state";
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).on(path)?;
        show(state.as_fd(), path, attributes)?;
    }
    if let Some(homes) = saved.homes {
        if everything_is_read_only(plan) {
            make_read_only(homes.as_fd()).on("/home")?;
        }
        show(homes.as_fd(), "/home", attributes)?;
    }
    if let Some((place, content)) = saved.resolver {
        resolver(&place, &content)?;
    }
    match super::shown(kind) {
        Some(shown) => links(shown),
        None => Ok(()),
    }
}

fn tripwire_directories(plan: &SessionPlan) -> Step<()> {
    for uid in &plan.tripwire_uids {
        let path = format!("/run/user/{uid}");
        rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700)).on(&path)?;
        rustix::fs::chown(&path, Some(Uid::from_raw(*uid)), Some(Gid::from_raw(0))).on(&path)?;
    }
    Ok(())
}

/// Attaches a tree of the host's. Where `path` is a link (`/home` on some machines), where that leads.
fn show(tree: BorrowedFd<'_>, path: &str, attributes: MountAttrFlags) -> Step<()> {
    mount::set_attributes(tree, attributes, MountAttrFlags::empty(), Depth::Recursive).on(path)?;
    let target = mount::open_target(Path::new(path), ResolveFlags::NO_MAGICLINKS).on(path)?;
    let target = target.ok_or(Errno::NOENT).on(path)?;
    mount::attach_on(tree, target.as_fd()).on(path)
}

/// `/run/<name>` for each exposed directory: the same path as in Session 0. Last, because a name the session itself has in
/// `/run` is the session's.
fn links(shown: &Shown) -> Step<()> {
    for name in &shown.exposed {
        if name.contains('/') {
            return Err(Errno::INVAL).on(name);
        }
        let path = format!("/run/{name}");
        match rustix::fs::symlink(format!("session0/expose/{name}"), &path) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).on(&path),
        }
    }
    Ok(())
}

/// The same tree under a second name, for machines where `/var/run` is no link.
fn alias(from: &str, to: &str) -> Step<()> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let from = rustix::fs::open(from, flags, Mode::empty()).on(from)?;
    let copy = mount::clone_tree(from.as_fd(), Depth::One).on(to)?;
    mount::attach(copy.as_fd(), Path::new(to)).on(to)
}

/// Writes the resolver's configuration where the link in /etc points to.
fn resolver(place: &Path, content: &[u8]) -> Step<()> {
    let parent = place.parent().unwrap_or(Path::new("/run"));
    let directory = super::named(crate::files::make_directory(parent, 0o755))?;
    let name = place.file_name().and_then(|name| name.to_str()).unwrap_or("resolv.conf");
    crate::files::replace(directory.as_fd(), name, content, 0o644)
        .map_err(|fault| (place.display().to_string(), fault.into()))
}
