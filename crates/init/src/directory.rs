//! Directories made for a service: below `/run`, where it may be seen, and its state.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use session0_model::launch::plan::{LaunchPlan, RuntimeDirectory, Visibility};

/// Makes everything the plan asks for, owned by the service. What is there already is given to it.
pub fn make(unit: &str, plan: &LaunchPlan) -> io::Result<()> {
    if plan.runtime_directories.is_empty() && !plan.state_directory {
        return Ok(());
    }
    let run = open(CWD, "/run")?;
    for directory in &plan.runtime_directories {
        runtime(run.as_fd(), directory, plan)?;
    }
    if plan.state_directory {
        let state = open(CWD, "/run/session0/state")?;
        owned(state.as_fd(), unit, 0o700, plan)?;
    }
    Ok(())
}

fn runtime(run: BorrowedFd<'_>, directory: &RuntimeDirectory, plan: &LaunchPlan) -> io::Result<()> {
    match directory.visibility {
        Visibility::Private => owned(run, &directory.name, directory.mode, plan),
        Visibility::Exposed => {
            let expose = open(run, "session0/expose")?;
            owned(expose.as_fd(), &directory.name, directory.mode, plan)?;
            link(run, &directory.name)
        }
    }
}

/// `/run/<name>` as a link to the exposed directory.
fn link(run: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let target = format!("session0/expose/{name}");
    match rustix::fs::symlinkat(&target, run, name) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::fs::readlinkat(run, name, Vec::new()) {
        Ok(there) if there.as_bytes() == target.as_bytes() => Ok(()),
        Ok(_) => Err(Errno::EXIST.into()),
        // A directory from when it was private. It goes if nothing is in it.
        Err(_) => {
            rustix::fs::unlinkat(run, name, rustix::fs::AtFlags::REMOVEDIR)?;
            Ok(rustix::fs::symlinkat(&target, run, name)?)
        }
    }
}

/// Makes or takes over one directory. A link of that name is refused, whoever put it there.
fn owned(parent: BorrowedFd<'_>, name: &str, mode: u32, plan: &LaunchPlan) -> io::Result<()> {
    if !is_component(name) {
        return Err(Errno::INVAL.into());
    }
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let directory = open(parent, name)?;
    rustix::fs::fchown(&directory, Some(Uid::from_raw(plan.uid)), Some(Gid::from_raw(plan.gid)))?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode))?;
    Ok(())
}

fn open(parent: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat2(parent, name, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?)
}

/// Whether a name is one component of a path and hides nothing.
pub fn is_component(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_are_names() {
        assert!(is_component("postgresql"));
        for bad in ["", ".", "..", ".hidden", "a/b", "/a", "a\0"] {
            assert!(!is_component(bad), "{bad:?}");
        }
    }
}
