//! Capability sets as the kernel's bit masks.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// CAP_CHOWN.
pub const CHOWN: u64 = 1 << 0;
/// CAP_DAC_OVERRIDE.
pub const DAC_OVERRIDE: u64 = 1 << 1;
/// CAP_DAC_READ_SEARCH.
pub const DAC_READ_SEARCH: u64 = 1 << 2;
/// CAP_FOWNER.
pub const FOWNER: u64 = 1 << 3;
/// CAP_FSETID.
pub const FSETID: u64 = 1 << 4;
/// CAP_KILL.
pub const KILL: u64 = 1 << 5;
/// CAP_SETGID.
pub const SETGID: u64 = 1 << 6;
/// CAP_SETUID.
pub const SETUID: u64 = 1 << 7;
/// CAP_SETPCAP.
pub const SETPCAP: u64 = 1 << 8;
/// CAP_NET_BIND_SERVICE.
pub const NET_BIND_SERVICE: u64 = 1 << 10;
/// CAP_NET_ADMIN.
pub const NET_ADMIN: u64 = 1 << 12;
/// CAP_SYS_CHROOT.
pub const SYS_CHROOT: u64 = 1 << 18;
/// CAP_SYS_PTRACE.
pub const SYS_PTRACE: u64 = 1 << 19;
/// CAP_SYS_ADMIN.
pub const SYS_ADMIN: u64 = 1 << 21;
/// CAP_SYS_RESOURCE.
pub const SYS_RESOURCE: u64 = 1 << 24;
/// CAP_MKNOD.
pub const MKNOD: u64 = 1 << 27;
/// CAP_AUDIT_WRITE.
pub const AUDIT_WRITE: u64 = 1 << 29;

/// The bounding set of LocalSystem, and so of everything in Session 0 (isolation: SYS_ADMIN, SYS_PTRACE, MKNOD,
/// SETFCAP and the like would each make every other wall void).
pub const LOCAL_SYSTEM: u64 = CHOWN
    | DAC_OVERRIDE
    | FOWNER
    | FSETID
    | KILL
    | SETGID
    | SETUID
    | SETPCAP
    | NET_BIND_SERVICE
    | SYS_CHROOT
    | AUDIT_WRITE;

/// Those of a mask, as people write them.
pub fn names(mask: u64) -> String {
    let names: Vec<String> = CapabilitySet::from_bits_retain(mask)
        .iter_names()
        .map(|(name, _)| format!("CAP_{}", name.trim_start_matches("CAP_")))
        .collect();
    names.join(", ")
}

/// What an init keeps for itself after the session is sealed: launching needs it. It is in no bounding set, so
/// nothing it starts can have more than the launch plan says.
pub const INIT: u64 = LOCAL_SYSTEM | SYS_ADMIN | SYS_RESOURCE | NET_ADMIN;

/// Without these no session can be made, or no program be launched in it with what it is to have.
pub const REQUIRED: u64 = LOCAL_SYSTEM | SYS_ADMIN | MKNOD;

/// What the daemon keeps: what it uses itself, and what a session init it starts will need.
pub const DAEMON: u64 = INIT | MKNOD | DAC_READ_SEARCH | SYS_PTRACE;

/// Keeps at most these capabilities in every set of this process, the bounding set included. Capabilities it
/// does not have are not an error.
pub fn trim(keep: u64) -> io::Result<()> {
    bound(keep)?;
    reduce(keep)
}

/// Takes everything else out of the bounding set. Needs CAP_SETPCAP.
pub fn bound(keep: u64) -> io::Result<()> {
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if keep & (1 << number) != 0 {
            continue;
        }
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The first number the kernel does not know: there are none above it.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reduces the permitted and effective sets to at most these, and empties the inheritable and ambient ones.
pub fn reduce(keep: u64) -> io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    let keep = CapabilitySet::from_bits_retain(keep) & now.permitted;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: keep, permitted: keep, inheritable: none },
    )?;
    rustix::thread::clear_ambient_capability_set()?;
    Ok(())
}

/// What this process is permitted.
pub fn permitted() -> io::Result<u64> {
    Ok(rustix::thread::capabilities(None)?.permitted.bits())
}

#[cfg(test)]
mod tests {
    #[test]
    fn local_system_is_the_measured_set() {
        assert_eq!(super::LOCAL_SYSTEM, 0x2004_05fb);
    }
}
