//! One keeper a root: it holds `keeper.lock` as long as it lives, so a second `s0 up` knows, and no stale file can lie.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock, ftruncate};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::directories::open_lock;
use crate::failure::Failure;
use crate::root::Root;

/// Held until dropped.
pub struct KeeperLock {
    file: File,
}

impl KeeperLock {
    /// Takes it, or says who has it.
    pub fn take(root: &Root) -> Result<KeeperLock, Failure> {
        let path = root.run("keeper.lock");
        let file = File::from(open_lock(&path).map_err(|errno| cannot(&path, errno))?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => KeeperLock { file }.sign(&path),
            Err(Errno::WOULDBLOCK) => Err(second(root, &file)),
            Err(errno) => Err(cannot(&path, errno)),
        }
    }

    fn sign(mut self, path: &Path) -> Result<KeeperLock, Failure> {
        let written = ftruncate(&self.file, 0)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(self.file, "{}", std::process::id()));
        written.map_err(|error| Failure::fault(format!("write {}", path.display()), error))?;
        Ok(self)
    }
}

fn second(root: &Root, file: &File) -> Failure {
    let who = match read_pid(file) {
        Some(pid) => format!("keeper pid {}", pid.as_raw_nonzero()),
        None => "keeper just starting".to_owned(),
    };
    let reason = format!("it is up already: {who}, root {}", root.directory().display());
    Failure::refused("start session0", reason)
        .hint(format!("`s0 {0}status` shows it, `s0 {0}down` ends it", root.flag()))
}

/// The process that holds `daemon.lock`, if one does: a daemon whose keeper was killed.
pub fn holder_of_daemon_lock(root: &Root) -> Option<Holder> {
    let path = root.run("daemon.lock");
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).ok()?);
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let pid = read_pid(&file)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // The pid stands in a file only root can write. Read after the pidfd was opened: if it is session0d now, the
    // descriptor is session0d.
    let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).ok()?;
    (name.trim_end() == "session0d").then_some(Holder { pid, pidfd })
}

/// A living daemon that is not ours.
pub struct Holder {
    /// Its number, for messages.
    pub pid: Pid,
    /// Itself.
    pub pidfd: std::os::fd::OwnedFd,
}

fn read_pid(file: &File) -> Option<Pid> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

fn cannot(path: &Path, errno: Errno) -> Failure {
    match errno {
        Errno::LOOP => Failure::refused(format!("use {}", path.display()), "it is a symbolic link")
            .hint(format!("sudo rm {}", path.display())),
        other => Failure::fault(format!("lock {}", path.display()), std::io::Error::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeper_is_told_who_holds_the_root() {
        let path = std::env::temp_dir().join(format!("s0-lock-{}", std::process::id()));
        std::fs::create_dir_all(path.join("run/session0")).unwrap();
        let root = Root::new(Some(&path));
        let first = KeeperLock::take(&root).unwrap();
        let failure = KeeperLock::take(&root).err().unwrap();
        assert!(failure.reason.contains(&format!("keeper pid {}", std::process::id())), "{failure}");
        assert!(failure.hint.unwrap().contains("status"));
        drop(first);
        assert!(KeeperLock::take(&root).is_ok());
        std::fs::remove_dir_all(path).unwrap();
    }
}
