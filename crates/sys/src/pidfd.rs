//! Processes by descriptor: never a number that may mean somebody else tomorrow.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::cgroup::Mounts;

/// What PIDFD_GET_INFO tells. A field is `None` where this kernel, or the process's state, has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// Its number in our PID namespace (alive or not yet reaped).
    pub pid: Option<i32>,
    /// Effective uid and gid (alive).
    pub user: Option<(u32, u32)>,
    /// The id of its control group; also known after its end.
    pub group: Option<u64>,
    /// Its wait status once it has ended.
    pub exit: Option<i32>,
}

/// pidfd_open. The caller must know that `pid` still is the process meant (its child, or checked afterwards).
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Sends a signal. `Ok` also if the process has already ended.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: u8) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal reads nothing of ours: siginfo is null, which pidfd_send_signal(2) allows.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::c_int::from(signal), none, 0)
    };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}

/// Whether the process has ended (all its threads).
pub fn ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut poll = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(rustix::event::poll(&mut poll, Some(&now))? > 0)
}

/// PIDFD_GET_INFO. `Unsupported` on a kernel without it.
pub fn info(pidfd: BorrowedFd<'_>) -> io::Result<Info> {
    // SAFETY: every bit pattern is a valid `pidfd_info` (integers only).
    let mut raw: libc::pidfd_info = unsafe { std::mem::zeroed() };
    raw.mask =
        (libc::PIDFD_INFO_PID | libc::PIDFD_INFO_CREDS | libc::PIDFD_INFO_CGROUPID | libc::PIDFD_INFO_EXIT)
            as u64;
    // SAFETY: the request encodes the size of `pidfd_info`, so the kernel writes only inside `raw`.
    if unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO as libc::Ioctl, &mut raw) } != 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOTTY | libc::EINVAL) => Err(io::ErrorKind::Unsupported.into()),
            // Ended and reaped, and this kernel keeps nothing of it.
            Some(libc::ESRCH) => Ok(Info::default()),
            _ => Err(error),
        };
    }
    let has = |bit: libc::c_uint| raw.mask & u64::from(bit) != 0;
    Ok(Info {
        pid: (has(libc::PIDFD_INFO_PID as _) && raw.pid != 0).then_some(raw.pid as i32),
        user: has(libc::PIDFD_INFO_CREDS as _).then_some((raw.euid, raw.egid)),
        group: has(libc::PIDFD_INFO_CGROUPID as _).then_some(raw.cgroupid),
        exit: has(libc::PIDFD_INFO_EXIT as _).then_some(raw.exit_code),
    })
}

/// The process's number in our PID namespace; 0 if it is not in it; an error once it was reaped.
pub fn pid(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    numbers(pidfd)?.first().copied().ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// The process's number in its innermost PID namespace: what the process itself is told.
pub fn inner_pid(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    numbers(pidfd)?.last().copied().ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// From /proc/self/fdinfo: `Pid:` and `NSpid:` (which begins with the same number).
fn numbers(pidfd: BorrowedFd<'_>) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let numbers = line("NSpid:").or_else(|| line("Pid:")).unwrap_or("");
    let numbers: Vec<i32> = numbers.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    // -1 means that it was reaped.
    if numbers.first() == Some(&-1) { Ok(Vec::new()) } else { Ok(numbers) }
}

/// The id of the process's v2 control group: by PIDFD_GET_INFO where the kernel has it (also after its end), else
/// by /proc/<pid>/cgroup, which is believed only if the process was still alive afterwards.
pub fn group_id(pidfd: BorrowedFd<'_>, mounts: &Mounts) -> io::Result<u64> {
    match info(pidfd) {
        Ok(Info { group: Some(group), .. }) => return Ok(group),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(error) => return Err(error),
    }
    let pid = pid(pidfd)?;
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let id = mounts.group_id_at(path)?;
    if ended(pidfd)? {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn we_are_alive_in_our_own_group() {
        let me = open(std::process::id() as i32).unwrap();
        assert!(!ended(me.as_fd()).unwrap());
        assert_eq!(pid(me.as_fd()).unwrap() as u32, std::process::id());
        let mounts = Mounts::find().unwrap();
        let group = group_id(me.as_fd(), &mounts).unwrap();
        let text = fs::read_to_string("/proc/self/cgroup").unwrap();
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        assert_eq!(mounts.group_id_at(path).unwrap(), group);
    }

    #[test]
    fn the_exit_is_known_after_the_reaping() {
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pidfd = open(child.id() as i32).unwrap();
        child.wait().unwrap();
        assert!(ended(pidfd.as_fd()).unwrap());
        send_signal(pidfd.as_fd(), 15).unwrap();
        match info(pidfd.as_fd()) {
            Ok(info) => assert!(matches!(info.exit, None | Some(0x700)), "{info:?}"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        }
    }
}
