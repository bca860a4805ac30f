//! session0d as a child process: where its program is, how it is started, what its end means.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, Timespec, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, WaitStatus, pidfd_open, pidfd_send_signal};

use super::screen::Screen;
use crate::failure::Failure;
use crate::root::Root;

/// Places to look for our other programs, seen from the directory `s0` is in.
const BESIDE: [&str; 3] = [".", "../lib/session0", "../libexec/session0"];

/// Finds one of our programs that belongs to this `s0`. PATH is not asked: it is the caller's.
pub fn find_program(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::fault(format!("find {name}"), error))?;
    let directory = own.parent().unwrap_or(std::path::Path::new("/"));
    let candidates: Vec<PathBuf> = BESIDE.iter().map(|beside| directory.join(beside).join(name)).collect();
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        None => {
            let looked = format!(
                "it is not in {0}, {0}/../lib/session0 or {0}/../libexec/session0",
                directory.display()
            );
            Err(Failure::fault(format!("find {name}"), looked)
                .hint("`cargo xtask install` puts all programs where they belong"))
        }
    }
}

/// A session0d that was started and not yet reaped.
pub struct Daemon {
    /// Its number.
    pub pid: Pid,
    /// Itself.
    pub pidfd: OwnedFd,
    /// Ends when everything it said was passed on.
    pub passing: JoinHandle<()>,
    started: Instant,
}

/// What its end asks for.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// Everything is down (0).
    Down,
    /// It asks to be started again: an upgrade (75).
    Again,
    /// It refused to start and said why (78).
    Refused,
    /// It crashed, or was killed.
    Crashed(WaitStatus),
}

impl Daemon {
    /// Starts it. It gets a process group of its own, so that ^C at the terminal is the keeper's alone, and a pipe for what
    /// it says, so that a terminal that takes nothing holds up neither it nor the inits it starts.
    pub fn start(program: &PathBuf, root: &Root, screen: &Screen) -> Result<Daemon, Failure> {
        let mut command = Command::new(program);
        if !root.is_machine() {
            command.arg("--root").arg(root.directory());
        }
        command.env_remove("SESSION0_ROOT").current_dir("/");
        let tried = || format!("start {}", program.display());
        let fault = |error: std::io::Error| Failure::fault(tried(), error);
        let (said, says) = std::io::pipe().map_err(fault)?;
        fcntl_setfl(&says, OFlags::NONBLOCK).map_err(|errno| fault(errno.into()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(says).process_group(0);
        let child = command.spawn().map_err(fault)?;
        // The command holds our copy of the writing end.
        drop(command);
        let passing = screen.pass_on(said).map_err(fault)?;
        let pid = Pid::from_child(&child);
        // Not reaped yet, so the number is still this child's.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| fault(errno.into()))?;
        Ok(Daemon { pid, pidfd, passing, started: Instant::now() })
    }

    /// How long it has been alive.
    pub fn lived(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends a signal. A daemon that is gone is reaped elsewhere.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Whether it is ready for SIGTERM: one that has just been started would die of it instead of shutting down.
    pub fn takes_signals(&self) -> bool {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        std::fs::read_to_string(path).is_ok_and(|status| mentions_sigterm(&status))
    }
}

/// SIGTERM is caught or blocked (read by signalfd), by the masks of `/proc/<pid>/status`.
fn mentions_sigterm(status: &str) -> bool {
    let bit = 1u64 << (Signal::TERM.as_raw() - 1);
    status
        .lines()
        .filter_map(|line| line.strip_prefix("SigCgt:").or_else(|| line.strip_prefix("SigBlk:")))
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & bit != 0)
}

impl End {
    /// Reads a wait status.
    pub fn of(status: WaitStatus) -> End {
        match status.exit_status() {
            Some(0) => End::Down,
            Some(75) => End::Again,
            Some(78) => End::Refused,
            Some(_) | None => End::Crashed(status),
        }
    }
}

/// A wait status in words.
pub fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {}", crate::words::signal(signal.unsigned_abs())),
        (None, None) => "unknown cause".to_owned(),
    }
}

/// Kills a process and waits until it is gone.
pub fn kill_and_wait(pidfd: &OwnedFd, wait: Duration) -> bool {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    gone_within(pidfd, wait)
}

/// Whether the process ends within this time.
pub fn gone_within(pidfd: &OwnedFd, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_without_a_handler_is_not_yet_ready_for_sigterm() {
        let fresh = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000000\n";
        let caught = "SigBlk:\t0000000000000000\nSigCgt:\t0000000000004002\n";
        let blocked = "SigBlk:\t0000000000004000\nSigCgt:\t0000000000000000\n";
        assert!(!mentions_sigterm(fresh));
        assert!(mentions_sigterm(caught));
        assert!(mentions_sigterm(blocked));
        assert!(!mentions_sigterm("SigCgt:\tnonsense"));
    }

    #[test]
    fn a_process_that_is_killed_is_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        assert!(!gone_within(&pidfd, Duration::from_millis(20)));
        assert!(kill_and_wait(&pidfd, Duration::from_secs(10)));
        child.wait().unwrap();
    }
}
