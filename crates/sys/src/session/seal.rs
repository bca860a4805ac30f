//! The walls that are left when everything is made: keyring, Landlock, seccomp, capabilities, in this order.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use session0_model::launch::session_plan::{Facilities, SessionPlan};

use super::{On, Step};
use crate::{capability, seccomp};

/// A session keyring of our own: what the host's had in it is out of reach.
pub(super) fn keyring(plan: &SessionPlan) -> Step<()> {
    if !plan.facilities.contains(Facilities::KEYRING) {
        return Ok(());
    }
    join_new_keyring().on("a session keyring")
}

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

pub(crate) fn join_new_keyring() -> io::Result<()> {
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring (keyctl_join_session_keyring(3)).
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, no_name) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Scopes only: with a single file system right handled nobody inside could mount, not even init.
pub(super) fn landlock(plan: &SessionPlan) -> Step<()> {
    if !plan.facilities.contains(Facilities::LANDLOCK_SCOPES) {
        return Ok(());
    }
    restrict_scopes().on("Landlock scopes")
}

/// struct landlock_ruleset_attr (linux/landlock.h, ABI 6).
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
const SCOPE_SIGNAL: u64 = 1 << 1;

/// From now on neither this process nor its descendants reach an abstract socket or a process outside.
pub(crate) fn restrict_scopes() -> io::Result<()> {
    let attributes = RulesetAttributes {
        handled_access_fs: 0,
        handled_access_net: 0,
        scoped: SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL,
    };
    // SAFETY: the pointer and the size are `attributes`'s, which outlives the call.
    let ruleset = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<RulesetAttributes>(),
            0,
        )
    };
    if ruleset < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset as i32) };
    // SAFETY: landlock_restrict_self takes integers.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Landlock's ABI on this kernel; scopes came with 6.
pub(crate) fn landlock_abi() -> io::Result<i64> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no memory of ours.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<RulesetAttributes>(), 0, VERSION)
    };
    if abi < 0 { Err(io::Error::last_os_error()) } else { Ok(abi) }
}

/// After Landlock (whose calls a filter could deny), before the capabilities go (it needs CAP_SYS_ADMIN).
pub(super) fn seccomp(plan: &SessionPlan) -> Step<()> {
    if !plan.facilities.contains(Facilities::SECCOMP) {
        return Ok(());
    }
    let filter = seccomp::session_filter().on("the seccomp filter")?;
    seccomp::install(&filter).on("the seccomp filter")
}

/// The bounding set is everybody's; init itself keeps a little more, which no exec can pass on.
pub(super) fn capabilities(plan: &SessionPlan) -> Step<()> {
    capability::bound(plan.capabilities).on("the bounding set")?;
    capability::reduce(capability::INIT | plan.capabilities).on("init's capabilities")?;
    crate::process::set_not_dumpable().on("init")
}
