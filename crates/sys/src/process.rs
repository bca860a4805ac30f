//! What a program of ours does to itself.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use session0_model::limit;

/// Children of dead descendants become ours (the keeper).
pub fn become_subreaper() -> io::Result<()> {
    // The kernel looks only at whether the argument is zero.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// No core dump, no /proc/self for others of our uid. An exec sets it back: call it in every program.
pub fn set_not_dumpable() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// No core file, wherever the machine would put one: a pipe is not bound by the limit, but a process that is not dumpable
/// ([`set_not_dumpable`]) has none there either.
pub fn set_no_core() -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Ok(rustix::process::setrlimit(Resource::Core, none)?)
}

/// The kernel ends this process (SIGALRM) after so many seconds, whatever it is waiting for by then.
pub fn end_after(seconds: u32) {
    // SAFETY: alarm(2) takes a number and cannot fail.
    unsafe { libc::alarm(seconds) };
}

/// A session (in setsid's sense) of our own. Already having one is no error.
pub fn new_terminal_session() -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Raises our own soft limit of open files to the hard one, and both to [`limit::OPEN_FILES`] where the hard one is lower and we
/// may; returns what it was, for children.
pub fn raise_open_files() -> io::Result<Rlimit> {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let enough = before.maximum.map(|maximum| maximum.max(limit::OPEN_FILES));
    let raise = |to| rustix::process::setrlimit(Resource::Nofile, Rlimit { current: to, maximum: to });
    // Without CAP_SYS_RESOURCE, or where the machine forbids so many, it is what there is.
    raise(enough).or_else(|_| raise(before.maximum))?;
    Ok(before)
}

/// Every signal to its default action and none blocked. Ignored signals survive exec (a Rust program ignores
/// SIGPIPE from its start), so whoever starts other people's programs calls this, or does the same in the child.
/// Async-signal-safe.
pub fn reset_signals() -> io::Result<()> {
    // The system calls themselves: libc's functions refuse 32 and 33, which it keeps for itself, but those too
    // can have been ignored by whoever started us.
    let action = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for signal in 1..=64 {
        // SAFETY: `action` is what the kernel reads (with 8 bytes of mask and no handler code) and outlives the call;
        // null: the old one is not wanted. KILL and STOP are refused; their action is the default anyway.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, 0, size_of::<u64>()) };
    }
    unblock_signals()
}

/// No signal blocked. Async-signal-safe.
pub fn unblock_signals() -> io::Result<()> {
    let mask = 0u64;
    // SAFETY: the kernel reads 8 bytes of `mask`, which outlives the call; null: the old one is not wanted.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0, size_of::<u64>())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The kernel's struct sigaction; on every architecture we build for, an all-zero one is the default action.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Sends a signal by number: only where the number cannot mean somebody else meanwhile (our own child that was not
/// reaped, or everything in a group that is to get it). A process that is gone is no error.
pub fn signal(pid: i32, signal: u8) {
    if pid > 1 {
        // SAFETY: kill takes integers.
        unsafe { libc::kill(pid, libc::c_int::from(signal)) };
    }
}

/// Whether our own out-of-memory score was lowered, which children must not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomScore {
    /// The kernel does not choose us when memory runs out.
    Protected,
    /// As everybody's.
    Ordinary,
}

impl OomScore {
    /// Asks the kernel not to choose this process when memory runs out. Needs CAP_SYS_RESOURCE; without it nothing
    /// changes.
    pub fn protect() -> OomScore {
        match std::fs::write(OOM_SCORE, "-1000") {
            Ok(()) => OomScore::Protected,
            Err(_) => OomScore::Ordinary,
        }
    }

    /// In a child: back to what everybody has.
    pub(crate) fn restore(self) -> io::Result<()> {
        match self {
            OomScore::Protected => std::fs::write(OOM_SCORE, "0"),
            OomScore::Ordinary => Ok(()),
        }
    }
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// CLOCK_MONOTONIC in nanoseconds: the model's time.
pub fn now() -> session0_model::time::Time {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    session0_model::time::Time(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// The running kernel's version.
pub fn kernel_version() -> (u32, u32) {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The kernel's own name for itself, for people.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
