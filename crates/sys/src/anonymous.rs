//! A connected pair of sockets that shows nobody: for a client that does not want to be named.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// The overflow uid and gid of the kernel: nobody.
const NOBODY: u32 = 65534;

/// Two connected ends of a byte stream, nonblocking and close-on-exec. Their SO_PEERCRED is that of uid and gid 65534 without groups: a
/// pair made as root would show root to whoever asks. The process number is ours; it says nothing about the client.
///
/// The calling thread is nobody for the length of one system call. It comes back, or the process ends: to go on as nobody would be
/// a daemon that fails at everything, and to go on half as root is not to be thought about.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let groups = rustix::process::getgroups()?;
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    set_thread_groups(&[])?;
    let made = set_thread_res_gid(None::<Gid>, Gid::from_raw(NOBODY), None::<Gid>)
        .and_then(|()| set_thread_res_uid(None::<Uid>, Uid::from_raw(NOBODY), None::<Uid>))
        .and_then(|()| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        });
    // The uid first: with it the capabilities come back that the others need.
    let back = set_thread_res_uid(None::<Uid>, uid, None::<Uid>)
        .and_then(|()| set_thread_res_gid(None::<Gid>, gid, None::<Gid>))
        .and_then(|()| set_thread_groups(&groups));
    if back.is_err() || rustix::process::geteuid() != uid || rustix::process::getegid() != gid {
        std::process::abort();
    }
    Ok(made?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_pair_of_nobodys_shows_nobody_and_its_maker_is_who_he_was() {
        if !rustix::process::geteuid().is_root() {
            return crate::skip("a_pair_of_nobodys_shows_nobody_and_its_maker_is_who_he_was", "needs root");
        }
        let groups = rustix::process::getgroups().unwrap();
        let before = rustix::thread::capabilities(None).unwrap();
        let (left, right) = pair().unwrap();
        for end in [&left, &right] {
            let peer = crate::peer::credentials(end.as_fd()).unwrap();
            assert_eq!((peer.uid, peer.gid), (NOBODY, NOBODY));
            assert!(crate::peer::groups(end.as_fd()).unwrap().is_empty());
        }
        assert!(rustix::process::geteuid().is_root());
        assert_eq!(rustix::process::getgroups().unwrap(), groups);
        assert_eq!(rustix::thread::capabilities(None).unwrap().effective, before.effective);
    }
}
