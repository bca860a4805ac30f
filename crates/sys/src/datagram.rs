//! Datagrams with the sender's identity: the notify socket and `/dev/log`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::peer::Credentials;

/// Descriptors taken from one datagram at most (sd_notify's BARRIER sends one); the kernel closes the rest.
pub const DESCRIPTORS_MAX: usize = 8;

/// Whether a datagram was longer than the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// All of it is there.
    Yes,
    /// Its end is lost.
    Cut,
}

/// One datagram.
#[derive(Debug)]
pub struct Datagram {
    /// Bytes in the buffer.
    pub length: usize,
    /// Whether that is all.
    pub whole: Whole,
    /// Who sent it; `None` if the kernel did not say (the socket was not made by [`bind`]).
    pub sender: Option<Credentials>,
    /// The sending process; `None` if it was reaped before we read.
    pub pidfd: Option<OwnedFd>,
    /// Descriptors that came with it. Dropping them closes them, which is what BARRIER waits for.
    pub descriptors: Vec<OwnedFd>,
}

/// A datagram socket at `path` that tells who sends. `receive_bytes` is asked of the kernel as queue size.
pub fn bind(path: &Path, mode: u32, receive_bytes: usize) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    match set_option(socket.as_fd(), libc::SO_PASSPIDFD, 1) {
        // Before Linux 6.5: the sender is then known by its credentials only.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
        other => other?,
    }
    let bytes = libc::c_int::try_from(receive_bytes).unwrap_or(libc::c_int::MAX);
    if set_option(socket.as_fd(), libc::SO_RCVBUFFORCE, bytes).is_err() {
        set_option(socket.as_fd(), libc::SO_RCVBUF, bytes)?;
    }
    crate::packet::with_address(path, |address| Ok(rustix::net::bind(&socket, address)?))?;
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))?;
    Ok(socket)
}

/// Makes sockets that queue many datagrams. How many is fixed when a socket is made, by a setting of the network
/// namespace it is made in: 10 unless somebody raised it, and it is not for us to raise it on the machine. Sockets with
/// a path are reached from every network namespace, so these are made in one of their own. Where that does not work
/// they are made here, and senders wait earlier. Only for a program with one thread.
pub fn with_long_queue<T>(make: impl FnOnce() -> T) -> T {
    let here = rustix::fs::open(c"/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let Ok(here) = here else { return make() };
    // SAFETY: a network namespace of our own shares no memory and no descriptors with anybody.
    if unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.is_err() {
        return make();
    }
    // If it stays as it was, the queue is short: said above.
    let _ = std::fs::write("/proc/sys/net/unix/max_dgram_qlen", QUEUE_DATAGRAMS);
    let made = make();
    let network = Some(rustix::thread::LinkNameSpaceType::Network);
    match rustix::thread::move_into_link_name_space(here.as_fd(), network) {
        Ok(()) => made,
        // Nobody may go on in a network that is not the machine's.
        Err(error) => panic!("cannot return to the machine's network: {error}"),
    }
}

/// More than one for every service that may start at once.
const QUEUE_DATAGRAMS: &str = "4096";

pub(crate) fn set_option(socket: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: pointer and length describe `value`, an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const CONTROL_BYTES: usize = 256;

#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL_BYTES]);

/// Takes one datagram, if there is one.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    receive_with(socket, buffer, 0)
}

/// Looks at the next datagram, if there is one, and leaves it for [`receive`].
pub fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    receive_with(socket, buffer, libc::MSG_PEEK)
}

fn receive_with(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<Option<Datagram>> {
    let mut control = Control([MaybeUninit::uninit(); CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: every bit pattern is a valid `msghdr`; zero means no name, no buffers.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES as _;
    let flags = flags | libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    let length = loop {
        // SAFETY: `header` describes `buffer` and `control`, both alive and writable for the call.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
        if length >= 0 {
            break length as usize;
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    };
    let cut = header.msg_flags & libc::MSG_TRUNC != 0;
    let mut datagram = Datagram {
        length,
        whole: if cut { Whole::Cut } else { Whole::Yes },
        sender: None,
        pidfd: None,
        descriptors: Vec::new(),
    };
    take_control(&header, &mut datagram);
    Ok(Some(datagram))
}

/// Takes ownership of everything the control messages carry.
fn take_control(header: &libc::msghdr, datagram: &mut Datagram) {
    // SAFETY: the kernel has filled the control buffer and its length in `header` (recvmsg returned without
    // error), so the CMSG_ functions walk only initialised bytes; the buffer is aligned for `cmsghdr`.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            let bytes = (*message).cmsg_len as usize - (data as usize - message as usize);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                    datagram.sender = Some(data.cast::<libc::ucred>().read_unaligned().into());
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..bytes / size_of::<libc::c_int>() {
                        let descriptor = data.cast::<libc::c_int>().add(index).read_unaligned();
                        datagram.descriptors.push(OwnedFd::from_raw_fd(descriptor));
                    }
                }
                (libc::SOL_SOCKET, SCM_PIDFD) if bytes >= size_of::<libc::c_int>() => {
                    // A negative number: the sender was reaped already.
                    let descriptor = data.cast::<libc::c_int>().read_unaligned();
                    datagram.pidfd = (descriptor >= 0).then(|| OwnedFd::from_raw_fd(descriptor));
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
}

/// include/linux/socket.h
const SCM_PIDFD: libc::c_int = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_long_queue_holds_many() {
        if !rustix::process::getuid().is_root() {
            eprintln!("SKIPPED: a_long_queue_holds_many needs root");
            return;
        }
        let path = std::env::temp_dir().join(format!("session0-long-{}", std::process::id()));
        // On a thread of its own, because namespaces are a thread's and tests run beside each other.
        let at = path.clone();
        let socket = std::thread::spawn(move || with_long_queue(|| bind(&at, 0o600, 8 << 20)).unwrap())
            .join()
            .unwrap();
        let mut sent = 0;
        while sent < 1000 {
            // A client each, as services are: the limit of one sender's own memory is another matter.
            let client = UnixDatagram::unbound().unwrap();
            client.set_nonblocking(true).unwrap();
            client.send_to(b"READY=1", &path).unwrap();
            sent += 1;
        }
        std::fs::remove_file(&path).unwrap();
        let mut buffer = [0; 50];
        assert!(receive(socket.as_fd(), &mut buffer).unwrap().is_some());
    }

    #[test]
    fn a_datagram_tells_its_sender() {
        let path = std::env::temp_dir().join(format!("session0-datagram-{}", std::process::id()));
        let socket = bind(&path, 0o600, 1 << 16).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"READY=1", &path).unwrap();
        client.send_to(&[b'x'; 100], &path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut buffer = [0; 50];
        let datagram = peek(socket.as_fd(), &mut buffer).unwrap().unwrap();
        assert_eq!((datagram.length, datagram.sender.is_some(), datagram.pidfd.is_some()), (7, true, true));
        let datagram = receive(socket.as_fd(), &mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..datagram.length], b"READY=1");
        assert_eq!(datagram.sender.unwrap().pid as u32, std::process::id());
        let pidfd = datagram.pidfd.unwrap();
        assert_eq!(crate::pidfd::pid(pidfd.as_fd()).unwrap() as u32, std::process::id());
        assert_eq!(receive(socket.as_fd(), &mut buffer).unwrap().unwrap().whole, Whole::Cut);
        assert!(receive(socket.as_fd(), &mut buffer).unwrap().is_none());
    }
}
