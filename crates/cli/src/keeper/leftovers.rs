//! What the daemon should have ended and did not: found by the init of Session 0, killed by its control group.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::daemon::{gone_within, kill_and_wait};
use crate::root::Root;

/// The kernel needs this long at most to end a killed group.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// What was found and killed.
#[derive(Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing was there.
    Nothing,
    /// Session 0 was there, with these services in it.
    Killed(Vec<String>),
    /// It could not be killed.
    Stuck(Vec<String>),
}

/// Ends what is left of Session 0.
pub fn kill(root: &Root) -> Leftovers {
    let Some(init) = init_of(root) else { return Leftovers::Nothing };
    let group = session_group(init.pid);
    let services = group.as_deref().map(populated_units).unwrap_or_default();
    if let Some(group) = &group {
        let _ = std::fs::write(group.join("cgroup.kill"), "1");
    }
    // PID 1 of the session's namespace: the kernel ends the rest with it, whatever became of the group.
    let gone = kill_and_wait(&init.pidfd, KILL_WAIT) && gone_within(&init.pidfd, KILL_WAIT);
    if gone { Leftovers::Killed(services) } else { Leftovers::Stuck(services) }
}

struct Init {
    pid: Pid,
    pidfd: OwnedFd,
}

/// The init that holds the control socket of this root's Session 0: the kernel lists sockets by path, and a process's
/// descriptors by socket. Its name alone would not tell it from another root's.
fn init_of(root: &Root) -> Option<Init> {
    let sockets = std::fs::read_to_string("/proc/net/unix").ok()?;
    let inodes = listening(&sockets, &root.run("init/0.sock"));
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.find_map(|pid| {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let name = std::fs::read_to_string(process.join("comm")).ok()?;
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let ours = name.trim_end() == "session0-init" && is_root(&status) && holds(&process, &inodes);
        ours.then_some(Init { pid, pidfd })
    })
}

/// Any user can have a process of that name with a socket that has this path in a mount namespace of his own. Its owner
/// in /proc tells nothing (it is root's as soon as it is not dumpable), its uids do.
fn is_root(status: &str) -> bool {
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let mut uids = uids.split_ascii_whitespace().peekable();
    uids.peek().is_some() && uids.all(|uid| uid == "0")
}

/// Sockets that listen at a path, as `/proc/net/unix` has them: number, count, protocol, flags, type, state, inode, path.
fn listening(sockets: &str, path: &Path) -> Vec<String> {
    const LISTENS: &str = "00010000";
    let fields = sockets.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    fields
        .filter_map(|fields| match fields[..] {
            [_, _, _, LISTENS, _, _, inode, at] if Path::new(at) == path => Some(format!("socket:[{inode}]")),
            _ => None,
        })
        .collect()
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|target| sockets.iter().any(|socket| target == Path::new(socket)))
}

/// `<mount of cgroup v2>/<base>/session-0`: the parent of the group init is in.
fn session_group(init: Pid) -> Option<PathBuf> {
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", init.as_raw_nonzero())).ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    group_from(&cgroup, &mounts)
}

fn group_from(cgroup: &str, mounts: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = Path::new(path).parent()?;
    // Only a group that is a session's by its name is ever killed.
    let name = group.file_name()?.to_str()?;
    if !name.starts_with("session-") {
        return None;
    }
    let mount = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() != Some("cgroup2") {
            return None;
        }
        before.split(' ').nth(4)
    })?;
    Some(Path::new(mount).join(group.strip_prefix("/").ok()?))
}

/// The units whose groups still have processes.
fn populated_units(group: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(group.join("work")) else { return Vec::new() };
    let mut units: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            std::fs::read_to_string(entry.path().join("cgroup.events"))
                .is_ok_and(|events| events.contains("populated 1"))
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    units.sort();
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "24 1 0:21 / /proc rw - proc proc rw\n\
        31 29 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_session_group_is_the_parent_of_inits() {
        let cgroup = "4:memory:/session0-ab/session-0\n0::/session0-ab/session-0/init\n";
        let group = group_from(cgroup, MOUNTS);
        assert_eq!(group.as_deref(), Some(Path::new("/sys/fs/cgroup/unified/session0-ab/session-0")));
    }

    #[test]
    fn no_group_but_a_sessions_is_ever_killed() {
        assert_eq!(group_from("0::/init\n", MOUNTS), None);
        assert_eq!(group_from("0::/\n", MOUNTS), None);
        assert_eq!(group_from("0::/user.slice/init\n", MOUNTS), None);
        assert_eq!(group_from("1:name=systemd:/session-0/init\n", MOUNTS), None);
        assert_eq!(group_from("0::/a/session-0/init\n", "no mount"), None);
    }

    #[test]
    fn only_a_socket_that_listens_at_the_very_path_counts() {
        let sockets = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000e90d003d: 00000002 00000000 00010000 0005 01 17 /r/run/session0/init/0.sock\n\
            00000000e90d003e: 00000002 00000000 00000000 0005 03 18 /r/run/session0/init/0.sock\n\
            00000000e90d003f: 00000002 00000000 00010000 0005 01 19 /x/run/session0/init/0.sock\n\
            00000000e90d0040: 00000002 00000000 00010000 0005 01 20\n";
        assert_eq!(listening(sockets, Path::new("/r/run/session0/init/0.sock")), ["socket:[17]"]);
    }

    #[test]
    fn a_users_process_is_no_init_of_ours() {
        assert!(is_root("Name:\tsession0-init\nUid:\t0\t0\t0\t0\n"));
        assert!(!is_root("Name:\tsession0-init\nUid:\t1000\t0\t0\t0\n"));
        assert!(!is_root("Name:\tsession0-init\n"));
    }

    #[test]
    fn without_an_init_nothing_is_left() {
        let root = Root::new(Some(Path::new("/nonexistent/root")));
        assert_eq!(kill(&root), Leftovers::Nothing);
    }
}
