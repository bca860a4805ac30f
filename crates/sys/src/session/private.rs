//! /tmp, /var/tmp and /run: private, bounded, without set-user-id programs and device nodes.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid};
use rustix::mount::MountAttrFlags;
use session0_model::launch::session_plan::SessionPlan;

use super::root::{Saved, is_real_directory};
use super::{On, Step};
use crate::mount::{self, Depth, FsOption};

const ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// A tmpfs's options: its bytes, and files in proportion (they use memory that is not counted as bytes).
pub(super) fn bounded(bytes: u64, mode: &str) -> [FsOption<'static>; 3] {
    [
        FsOption::Text("size", bytes.to_string()),
        FsOption::Text("nr_inodes", (bytes / 4096).max(1024).to_string()),
        FsOption::Text("mode", mode.into()),
    ]
}

pub(super) fn make(plan: &SessionPlan, saved: Saved) -> Step<()> {
    for (path, bytes, mode) in [
        ("/tmp", plan.sizes.tmp, "1777"),
        ("/var/tmp", plan.sizes.tmp, "1777"),
        ("/run", plan.sizes.run, "0755"),
    ] {
        if path == "/var/tmp" && !is_real_directory(c"/var/tmp") {
            continue; // A link to /tmp, or not there at all.
        }
        let private = mount::new("tmpfs", &bounded(bytes, mode), ATTRIBUTES).on(path)?;
        mount::attach(private.as_fd(), Path::new(path)).on(path)?;
    }
    for (path, mode) in [
        ("/run/lock", 0o1777),
        ("/run/user", 0o755),
        ("/run/session0", 0o755),
        ("/run/session0/expose", 0o755),
        ("/run/session0/state", 0o755),
        ("/tmp/.X11-unix", 0o1777),
        ("/tmp/.ICE-unix", 0o1777),
    ] {
        rustix::fs::mkdir(path, Mode::from_raw_mode(mode)).on(path)?;
    }
    for uid in &plan.tripwire_uids {
        let path = format!("/run/user/{uid}");
        rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700)).on(&path)?;
        rustix::fs::chown(&path, Some(Uid::from_raw(*uid)), Some(Gid::from_raw(0))).on(&path)?;
    }
    if is_real_directory(c"/var/run") {
        alias("/run", "/var/run")?;
    }
    for (tree, path) in [(saved.expose, "/run/session0/expose"), (saved.state, "/run/session0/state")] {
        mount::set_attributes(tree.as_fd(), ATTRIBUTES, MountAttrFlags::empty(), Depth::One).on(path)?;
        mount::attach(tree.as_fd(), Path::new(path)).on(path)?;
    }
    match saved.resolver {
        Some((place, content)) => resolver(&place, &content),
        None => Ok(()),
    }
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
    let directory =
        crate::files::make_directory(parent, 0o755).map_err(|fault| (fault.subject.clone(), fault.into()))?;
    let name = place.file_name().and_then(|name| name.to_str()).unwrap_or("resolv.conf");
    crate::files::replace(directory.as_fd(), name, content, 0o644)
        .map_err(|fault| (place.display().to_string(), fault.into()))
}
