//! Who is at the other end of a Unix socket, as the kernel says it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Process, user and group of a peer, fixed when it connected (or, for datagrams, when it sent).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// In the reader's PID namespace; 0 if the peer is not in it.
    pub pid: i32,
    /// Effective uid.
    pub uid: u32,
    /// Effective gid.
    pub gid: u32,
}

impl From<libc::ucred> for Credentials {
    fn from(ucred: libc::ucred) -> Credentials {
        Credentials { pid: ucred.pid, uid: ucred.uid, gid: ucred.gid }
    }
}

/// SO_PEERCRED.
pub fn credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut ucred = MaybeUninit::<libc::ucred>::zeroed();
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `ucred`, which outlives the call (unix(7), SO_PEERCRED).
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            ucred.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed, and every bit pattern is a valid `ucred` (three integers).
    Ok(unsafe { ucred.assume_init() }.into())
}

/// SO_PEERGROUPS: the peer's supplementary groups when it connected.
pub fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; 64];
    loop {
        let mut length = (groups.len() * size_of::<u32>()) as libc::socklen_t;
        // SAFETY: pointer and length describe `groups`, which outlives the call; gid_t is a u32.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut length,
            )
        };
        let needed = length as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || needed <= groups.len() {
            return Err(error);
        }
        groups.resize(needed, 0);
    }
}

/// SO_PEERPIDFD: the very process that connected, also when its number was used again since.
pub fn pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut descriptor: libc::c_int = -1;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: pointer and length describe `descriptor`, an int, which outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us and nobody else owns it. It is close-on-exec
    // (pidfds always are).
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn we_are_our_own_peer() {
        let (left, _right) = crate::packet::pair().unwrap();
        let peer = credentials(left.as_fd()).unwrap();
        assert_eq!(peer.pid as u32, std::process::id());
        assert_eq!(peer.uid, rustix::process::getuid().as_raw());
        groups(left.as_fd()).unwrap();
        let pidfd = pidfd(left.as_fd()).unwrap();
        assert_eq!(crate::pidfd::pid(pidfd.as_fd()).unwrap(), peer.pid);
    }
}
