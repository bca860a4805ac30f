//! Children that ended.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use session0_model::launch::exit::{ExitStatus, Usage};

/// A child that ended, and is now gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its number.
    pub pid: i32,
    /// How it ended.
    pub status: ExitStatus,
    /// What it and the descendants it waited for used.
    pub usage: Usage,
}

/// Blocks SIGCHLD and returns a descriptor that is readable after a child ended. No other signal is touched: as
/// PID 1 without handlers we are immune to them, but not if they were blocked, for then they would queue.
pub fn signal() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before it is read, and outlives the calls.
    let descriptor = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes one child that ended, if there is one.
pub fn reap() -> io::Result<Option<Reaped>> {
    // SAFETY: every bit pattern is a valid `rusage` (integers only).
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both pointers are to locals of the right types that outlive the call.
    let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG | libc::__WALL, &mut used) };
    match pid {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(Reaped { pid, status: exit_status(status), usage: usage(&used) })),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
            error if error.kind() == io::ErrorKind::Interrupted => reap(),
            error => Err(error),
        },
    }
}

/// A wait status in our words.
pub fn exit_status(status: i32) -> ExitStatus {
    if libc::WIFSIGNALED(status) {
        ExitStatus::Signaled { signal: libc::WTERMSIG(status) as u8, core: libc::WCOREDUMP(status) }
    } else {
        ExitStatus::Exited(libc::WEXITSTATUS(status) as u8)
    }
}

fn usage(used: &libc::rusage) -> Usage {
    let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Usage {
        cpu_us: microseconds(used.ru_utime) + microseconds(used.ru_stime),
        memory_peak_kib: used.ru_maxrss as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_understood() {
        assert_eq!(exit_status(0x700), ExitStatus::Exited(7));
        assert_eq!(exit_status(9), ExitStatus::Signaled { signal: 9, core: false });
        assert_eq!(exit_status(11 | 0x80), ExitStatus::Signaled { signal: 11, core: true });
    }
}
