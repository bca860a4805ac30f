//! The insides of a session, made by its init for itself: mounts, sockets, walls. Once, in the order that works.
//!
//! 1. everything private to us; what the plan needs of the host's tree is cloned before the tree is left
//! 2. the root tree cloned and pivoted into, the old one and all inherited kernel file systems *unmounted* (what is
//!    only covered comes back when somebody unmounts the cover)
//! 3. fresh /proc, /sys, /dev, /tmp, /var/tmp, /run
//! 4. read-only and hidden paths
//! 5. sockets and tripwires
//! 6. keyring, Landlock, seccomp, capabilities: each needs what the next takes away
//!
//! A user's session is made in the same order with less in it: no tripwires, no services' sockets, no state directories. In
//! one with its walls down (`isolation = "xp"`) 2, 4 and 6 are left out, and of 3 only what is needed not to leave anything
//! on the machine.

mod device;
mod private;
mod pseudo;
mod root;
pub(crate) mod seal;
mod socket;
mod user;

pub(crate) use device::TTY_GID;
pub use user::{EnterFault, enter};

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use session0_model::launch::session_plan::{Doors, SessionKind, SessionPhase, SessionPlan, Shown};

use crate::fault::Fault;

/// What init keeps of a prepared session.
#[derive(Debug)]
pub struct Prepared {
    /// For the daemon, by key, in the order they are sent.
    pub kept: Vec<(String, OwnedFd)>,
    /// The `/dev/log` socket, for the logger. A user's session has neither.
    pub syslog: Option<OwnedFd>,
}

/// Whether anything but its PID namespace stands between a session and the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    /// Everything the plan names.
    Up,
    /// Nothing: to show and to test what isolation prevents.
    Down,
}

impl Walls {
    /// Those of a kind of session.
    pub fn of(kind: &SessionKind) -> Walls {
        match kind {
            SessionKind::Services | SessionKind::User(_) => Walls::Up,
            SessionKind::Xp(_) => Walls::Down,
        }
    }
}

/// What a session of this kind shows of the host, if users are in it.
fn shown(kind: &SessionKind) -> Option<&Shown> {
    match kind {
        SessionKind::Services => None,
        SessionKind::User(shown) | SessionKind::Xp(shown) => Some(shown),
    }
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

/// A fault names its own subject.
fn named<T>(result: Result<T, Fault>) -> Step<T> {
    result.map_err(|fault| (fault.subject.clone(), fault.into()))
}

fn phase<T>(phase: SessionPhase, step: Step<T>) -> Result<T, SessionFault> {
    step.map_err(|(subject, error)| SessionFault {
        phase,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        subject,
    })
}

/// What an init was granted by whoever started it (see [`crate::spawn::session_init`]).
#[derive(Debug)]
pub struct Granted {
    /// 3: where daemons connect.
    pub listener: OwnedFd,
    /// 4: the parent of the units' v2 groups.
    pub work: OwnedFd,
    /// 5, 6, 7: the session's v1 groups for memory, tasks and cpu, or something else where there is none.
    pub v1: [OwnedFd; 3],
}

/// The first number that was not granted.
const GRANTED_END: i32 = 8;

/// What an init does first, before it is told anything: takes what it was granted and closes everything else, leaves
/// its parent's terminal, lets nobody look into it. Only once, as the first thing in `main`.
pub fn begin() -> io::Result<Granted> {
    // SAFETY: close_range with integers. Nothing in this process owns a descriptor yet.
    if unsafe { libc::syscall(libc::SYS_close_range, GRANTED_END, u32::MAX, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let take = |number: i32| {
        // SAFETY: fcntl with integers; it fails if the descriptor is not open.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open (see above), was granted to us, and nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    let granted = Granted { listener: take(3)?, work: take(4)?, v1: [take(5)?, take(6)?, take(7)?] };
    // PID 1 is immune to what it has no handler for, and its children start without an ignored signal.
    crate::process::reset_signals()?;
    crate::process::new_terminal_session()?;
    crate::process::set_not_dumpable()?;
    Ok(granted)
}

/// Makes the session. Facilities that are not in the plan are left out, and so are doors that a daemon before version 4 does not
/// know. After an error the process is good for nothing but to end.
pub fn prepare(
    plan: &SessionPlan,
    kind: &SessionKind,
    doors: Option<&Doors>,
) -> Result<Prepared, SessionFault> {
    // Modes are given exactly where things are made.
    rustix::process::umask(rustix::fs::Mode::empty());
    let prepared = match Walls::of(kind) {
        Walls::Up => walled(plan, kind, doors),
        Walls::Down => open(plan, kind, doors),
    }?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(prepared)
}

fn walled(plan: &SessionPlan, kind: &SessionKind, doors: Option<&Doors>) -> Result<Prepared, SessionFault> {
    let saved = phase(SessionPhase::Root, root::save(plan, kind, doors))?;
    phase(SessionPhase::Root, root::enter(plan))?;
    phase(SessionPhase::Proc, pseudo::proc(plan))?;
    phase(SessionPhase::Sys, pseudo::sys())?;
    phase(SessionPhase::Dev, device::make(plan, kind))?;
    phase(SessionPhase::Private, private::make(plan, kind, saved))?;
    phase(SessionPhase::ReadOnly, pseudo::mask())?;
    phase(SessionPhase::ReadOnly, root::protect(plan))?;
    let prepared = phase(SessionPhase::Sockets, socket::make(plan, kind))?;
    phase(SessionPhase::Keyring, seal::keyring(plan))?;
    phase(SessionPhase::Landlock, seal::landlock(plan))?;
    phase(SessionPhase::Seccomp, seal::seccomp(plan))?;
    phase(SessionPhase::Capabilities, seal::capabilities(plan))?;
    Ok(prepared)
}

/// The machine's own tree, /sys, control groups and devices, and every capability init was started with. Only what would
/// otherwise stay on the machine is private.
fn open(plan: &SessionPlan, kind: &SessionKind, doors: Option<&Doors>) -> Result<Prepared, SessionFault> {
    let saved = phase(SessionPhase::Root, root::save(plan, kind, doors))?;
    phase(SessionPhase::Proc, pseudo::proc_for_all())?;
    phase(SessionPhase::Dev, device::share(plan))?;
    phase(SessionPhase::Private, private::make(plan, kind, saved))?;
    phase(SessionPhase::ReadOnly, root::protect(plan))?;
    phase(SessionPhase::Sockets, socket::make(plan, kind))
}
