//! What a program of ours does to itself.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Children of dead descendants become ours (the keeper).
pub fn become_subreaper() -> io::Result<()> {
    // The kernel looks only at whether the argument is zero.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// No core dump, no /proc/self for others of our uid. An exec sets it back: call it in every program.
pub fn set_not_dumpable() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// A session (in setsid's sense) of our own. Already having one is no error.
pub fn new_terminal_session() -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Raises our own soft limit of open files to the hard one; returns what it was, for children.
pub fn raise_open_files() -> io::Result<Rlimit> {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised)?;
    Ok(before)
}

/// Every signal to its default action and none blocked. Ignored signals survive exec (a Rust program ignores
/// SIGPIPE from its start), so whoever starts other people's programs calls this, or does the same in the child.
pub fn reset_signals() -> io::Result<()> {
    // SAFETY: setting the default action installs no code of ours.
    unsafe { reset_signals_raw() }
}

/// As [`reset_signals`]; async-signal-safe.
///
/// # Safety
/// Always sound; unsafe only to mark that it is made for the time between clone and exec as well.
pub(crate) unsafe fn reset_signals_raw() -> io::Result<()> {
    // SAFETY: `action` and `none` are valid for the calls and hold no pointer to code: SIG_DFL is zero.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=64 {
            // KILL, STOP and the two libc keeps for itself are refused; their action is the default anyway.
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

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
