//! Datagrams with the sender's identity: the notify socket and `/dev/log`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::peer::Credentials;

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
    /// Descriptors that came with it, as far as there was room. Closing one may take as long as its sender likes: who cannot wait
    /// takes the datagram by [`crate::holder`].
    pub descriptors: Vec<OwnedFd>,
}

/// A datagram socket at `path` that tells who sends. `receive_bytes` is asked of the kernel as queue size.
pub fn bind(path: &Path, mode: u32, receive_bytes: usize) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    pass_pidfd(socket.as_fd(), 1)?;
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

/// Room for control messages.
#[repr(C, align(8))]
pub(crate) struct Control<const BYTES: usize>(pub(crate) [MaybeUninit<u8>; BYTES]);

/// Takes one datagram, if there is one.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let mut control = Control([MaybeUninit::uninit(); CONTROL_BYTES]);
    Ok(receive_with(socket, buffer, &mut control, 0)?.map(|(datagram, _)| datagram))
}

/// Looks at the next datagram, if there is one, and leaves it for [`receive`].
pub fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let mut control = Control([MaybeUninit::uninit(); CONTROL_BYTES]);
    Ok(receive_with(socket, buffer, &mut control, libc::MSG_PEEK)?.map(|(datagram, _)| datagram))
}

/// Whether descriptors come with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptors {
    /// None.
    None,
    /// At least one.
    Some,
}

/// The same without taking a copy of any descriptor, and without the pidfd: all of the datagram that is known before somebody
/// owns what came with it. Only for a socket that one process reads.
pub fn look(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<(Datagram, Descriptors)>> {
    // With room for the credentials alone, and nothing else asked for, what is cut off are descriptors. They stay in the queue, so
    // that the kernel, which lets go of its copies of them, is not their last holder.
    pass_pidfd(socket, 0)?;
    let mut control = Control([MaybeUninit::uninit(); CREDENTIALS_BYTES]);
    let looked = receive_with(socket, buffer, &mut control, libc::MSG_PEEK);
    // Also for the next daemon, if we end between the two: whoever takes a datagram has looked at it.
    pass_pidfd(socket, 1)?;
    looked
}

// SAFETY: CMSG_SPACE only counts.
const CREDENTIALS_BYTES: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as _) } as usize;

fn pass_pidfd(socket: BorrowedFd<'_>, value: libc::c_int) -> io::Result<()> {
    match set_option(socket, libc::SO_PASSPIDFD, value) {
        // Before Linux 6.5: the sender is then known by its credentials only.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        other => other,
    }
}

fn receive_with<const BYTES: usize>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut Control<BYTES>,
    flags: libc::c_int,
) -> io::Result<Option<(Datagram, Descriptors)>> {
    let mut datagram =
        Datagram { length: 0, whole: Whole::Yes, sender: None, pidfd: None, descriptors: Vec::new() };
    let received = receive_parts(socket, buffer, control, flags, |part| match part {
        Part::Sender(sender) => datagram.sender = Some(sender),
        Part::Pidfd(pidfd) => datagram.pidfd = pidfd,
        Part::Descriptor(descriptor) => datagram.descriptors.push(descriptor),
    })?;
    let Some((length, flags)) = received else { return Ok(None) };
    datagram.length = length;
    if flags & libc::MSG_TRUNC != 0 {
        datagram.whole = Whole::Cut;
    }
    let cut_off = flags & libc::MSG_CTRUNC != 0;
    Ok(Some((datagram, if cut_off { Descriptors::Some } else { Descriptors::None })))
}

/// What control messages carry.
pub(crate) enum Part {
    /// Who sent it.
    Sender(Credentials),
    /// The same; `None`: it was reaped already.
    Pidfd(Option<OwnedFd>),
    /// One of those it sent.
    Descriptor(OwnedFd),
}

/// Takes a datagram and gives away all that its control messages carry. Async-signal-safe if `take` is.
pub(crate) fn receive_parts<const BYTES: usize>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut Control<BYTES>,
    flags: libc::c_int,
    take: impl FnMut(Part),
) -> io::Result<Option<(usize, libc::c_int)>> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: every bit pattern is a valid `msghdr`; zero means no name, no buffers.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = BYTES as _;
    let flags = flags | libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    loop {
        // SAFETY: `header` describes `buffer` and `control`, both alive and writable for the call.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
        if length >= 0 {
            each_part(&header, take);
            return Ok(Some((length as usize, header.msg_flags)));
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

/// Gives away ownership of everything the control messages carry.
fn each_part(header: &libc::msghdr, mut take: impl FnMut(Part)) {
    // SAFETY: the kernel has filled the control buffer and its length in `header` (recvmsg returned without
    // error), so the CMSG_ functions walk only initialised bytes; the buffer is aligned for `cmsghdr`.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            let bytes = (*message).cmsg_len as usize - (data as usize - message as usize);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                    take(Part::Sender(data.cast::<libc::ucred>().read_unaligned().into()));
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..bytes / size_of::<libc::c_int>() {
                        let descriptor = data.cast::<libc::c_int>().add(index).read_unaligned();
                        take(Part::Descriptor(OwnedFd::from_raw_fd(descriptor)));
                    }
                }
                (libc::SOL_SOCKET, SCM_PIDFD) if bytes >= size_of::<libc::c_int>() => {
                    // A negative number: the sender was reaped already.
                    let descriptor = data.cast::<libc::c_int>().read_unaligned();
                    take(Part::Pidfd((descriptor >= 0).then(|| OwnedFd::from_raw_fd(descriptor))));
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
            return crate::skip("a_long_queue_holds_many", "needs root");
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
