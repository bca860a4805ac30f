//! The insides of a session, made by its init for itself: mounts, sockets, walls. Once, in the order that works.
//!
//! 1. everything private to us; what the plan needs of the host's tree is cloned before the tree is left
//! 2. the root tree cloned and pivoted into, the old one and all inherited kernel file systems *unmounted* (what is
//!    only covered comes back when somebody unmounts the cover)
//! 3. fresh /proc, /sys, /dev, /tmp, /var/tmp, /run
//! 4. read-only and hidden paths
//! 5. sockets and tripwires
//! 6. keyring, Landlock, seccomp, capabilities: each needs what the next takes away

mod device;
mod private;
mod pseudo;
mod root;
pub(crate) mod seal;
mod socket;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use session0_model::launch::session_plan::{SessionPhase, SessionPlan};

/// What init keeps of a prepared session.
#[derive(Debug)]
pub struct Prepared {
    /// For the daemon, by key, in the order they are sent.
    pub kept: Vec<(String, OwnedFd)>,
    /// The `/dev/log` socket, for the logger.
    pub syslog: OwnedFd,
}

/// Why a session could not be made.
#[derive(Debug)]
pub struct SessionFault {
    /// Where.
    pub phase: SessionPhase,
    /// Why.
    pub errno: i32,
    /// On what: a path or a facility.
    pub subject: String,
}

impl fmt::Display for SessionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        write!(f, "cannot make the session: {:?}, {}: {reason}", self.phase, self.subject)
    }
}

/// An error with its subject; the phase is added where the phases are called.
type Step<T> = Result<T, (String, io::Error)>;

/// Adds the subject to an error.
trait On<T> {
    fn on(self, subject: impl fmt::Display) -> Step<T>;
}

impl<T, E: Into<io::Error>> On<T> for Result<T, E> {
    fn on(self, subject: impl fmt::Display) -> Step<T> {
        self.map_err(|error| (subject.to_string(), error.into()))
    }
}

fn phase<T>(phase: SessionPhase, step: Step<T>) -> Result<T, SessionFault> {
    step.map_err(|(subject, error)| SessionFault {
        phase,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        subject,
    })
}

/// What an init does first, before it is told anything: closes what it was not granted (0 to `granted_below`),
/// leaves its parent's terminal, lets nobody look into it.
pub fn begin(granted_below: u32) -> io::Result<()> {
    // SAFETY: no descriptor from there on is owned by anything in this process yet: it is the first thing done.
    if unsafe { libc::syscall(libc::SYS_close_range, granted_below, u32::MAX, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for granted in 3..granted_below as i32 {
        // SAFETY: fcntl with integers; these were granted by spawn and lose nothing by close-on-exec.
        if unsafe { libc::fcntl(granted, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    crate::process::new_terminal_session()?;
    crate::process::set_not_dumpable()
}

/// Makes the session. Facilities that are not in the plan are left out. After an error the process is good for
/// nothing but to end.
pub fn prepare(plan: &SessionPlan) -> Result<Prepared, SessionFault> {
    // Modes are given exactly where things are made.
    rustix::process::umask(rustix::fs::Mode::empty());
    let saved = phase(SessionPhase::Root, root::enter(plan))?;
    phase(SessionPhase::Proc, pseudo::proc(plan))?;
    phase(SessionPhase::Sys, pseudo::sys())?;
    phase(SessionPhase::Dev, device::make(plan))?;
    phase(SessionPhase::Private, private::make(plan, saved))?;
    phase(SessionPhase::ReadOnly, pseudo::mask())?;
    phase(SessionPhase::ReadOnly, root::protect(plan))?;
    let prepared = phase(SessionPhase::Sockets, socket::make(plan))?;
    phase(SessionPhase::Keyring, seal::keyring(plan))?;
    phase(SessionPhase::Landlock, seal::landlock(plan))?;
    phase(SessionPhase::Seccomp, seal::seccomp(plan))?;
    phase(SessionPhase::Capabilities, seal::capabilities(plan))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(prepared)
}
