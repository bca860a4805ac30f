//! Packets with descriptors on `SOCK_SEQPACKET` Unix sockets. Nothing here ever blocks.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Descriptors that come with one packet at most. A peer that sends more breaks the protocol.
pub const DESCRIPTORS_MAX: usize = 16;

/// What became of a packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has all of it.
    All,
    /// The peer's queue is full: keep it and try again when the socket is writable.
    Later,
}

/// What a read found.
#[derive(Debug)]
pub enum Received {
    /// A packet of this many bytes is in the buffer.
    Packet {
        /// Its length.
        length: usize,
        /// The descriptors that came with it, close-on-exec.
        descriptors: Vec<OwnedFd>,
    },
    /// Nothing is there now.
    Nothing,
    /// The peer is gone.
    Closed,
}

/// asm-generic/socket.h, since Linux 6.16.
const SO_PASSRIGHTS: libc::c_int = 83;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Two connected ends, nonblocking and close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?)
}

/// The same with a second end that blocks: for clients, who may wait for what comes. A client has no descriptors to give.
pub fn pair_with_client() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, client) = pair()?;
    refuse_descriptors(ours.as_fd())?;
    rustix::fs::fcntl_setfl(&client, rustix::fs::OFlags::empty())?;
    Ok((ours, client))
}

/// A listening socket at `path` with these permission bits. Nothing may be at `path` yet.
pub fn listen(path: &Path, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    listen_typed(path, SocketType::SEQPACKET, mode, backlog)
}

/// As [`listen`], for a byte stream (the API), and without descriptors of clients: see [`refuse_descriptors`].
pub fn listen_stream(path: &Path, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    let socket = listen_typed(path, SocketType::STREAM, mode, backlog)?;
    refuse_descriptors(socket.as_fd())?;
    Ok(socket)
}

/// Nobody can send descriptors to this socket any more, nor to what it accepts. Not to take them is not enough: the last close
/// of one is then the receiver's, and a TCP socket that lingers, or a file of somebody's own file system, makes that wait for as
/// long as its sender likes. Kernels before 6.16 cannot refuse, and there it stays so.
pub fn refuse_descriptors(socket: BorrowedFd<'_>) -> io::Result<()> {
    match try_refuse_descriptors(socket) {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        other => other,
    }
}

/// Descriptors can be sent to this socket (again).
pub fn allow_descriptors(socket: BorrowedFd<'_>) -> io::Result<()> {
    match crate::datagram::set_option(socket, SO_PASSRIGHTS, 1) {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        other => other,
    }
}

/// As [`refuse_descriptors`], and ENOPROTOOPT where the kernel cannot.
pub(crate) fn try_refuse_descriptors(socket: BorrowedFd<'_>) -> io::Result<()> {
    crate::datagram::set_option(socket, SO_PASSRIGHTS, 0)
}

fn listen_typed(path: &Path, kind: SocketType, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, FLAGS, None)?;
    with_address(path, |address| Ok(rustix::net::bind(&socket, address)?))?;
    // Between bind and chmod the mode is what umask left; nobody can connect before listen.
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}

/// Connects to a [`listen`]ing socket. A full backlog is `WouldBlock`.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
    with_address(path, |address| Ok(rustix::net::connect(&socket, address)?))?;
    Ok(socket)
}

/// Takes one connection, if there is one.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    loop {
        match rustix::net::accept_with(listener, FLAGS) {
            Ok(socket) => return Ok(Some(socket)),
            Err(Errno::AGAIN) => return Ok(None),
            // The client left before it was taken: look for the next.
            Err(Errno::CONNABORTED | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends one packet with descriptors. The descriptors are not consumed.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<Sent> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Ok(_) => return Ok(Sent::All),
            Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(Sent::Later),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one packet. One that does not fit, or more descriptors than [`DESCRIPTORS_MAX`], is an error after
/// which the connection is to be closed.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(message) => break message,
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            // The peer left with something of ours unread. The kernel says so once, before it gives what the peer had sent.
            Err(Errno::CONNRESET | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    if message.bytes == 0 {
        return Ok(Received::Closed);
    }
    Ok(Received::Packet { length: message.bytes, descriptors })
}

/// Calls `act` with the address of `path`. A path too long for an address is reached through its directory's
/// descriptor.
pub(crate) fn with_address<T>(
    path: &Path,
    act: impl FnOnce(&SocketAddrUnix) -> io::Result<T>,
) -> io::Result<T> {
    match SocketAddrUnix::new(path) {
        Ok(address) => act(&address),
        Err(Errno::NAMETOOLONG) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
            };
            let directory = rustix::fs::open(
                parent,
                rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let through = Path::new("/proc/self/fd").join(raw(&directory).to_string()).join(name);
            act(&SocketAddrUnix::new(&through)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn raw(descriptor: &impl AsFd) -> i32 {
    use std::os::fd::AsRawFd;
    descriptor.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_carries_bytes_and_descriptors() {
        let (left, right) = pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(send(left.as_fd(), b"hello", &[file.as_fd()]).unwrap(), Sent::All);
        let mut buffer = [0; 64];
        match receive(right.as_fd(), &mut buffer).unwrap() {
            Received::Packet { length, descriptors } => {
                assert_eq!(&buffer[..length], b"hello");
                assert_eq!(descriptors.len(), 1);
                let flags = rustix::io::fcntl_getfd(&descriptors[0]).unwrap();
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(receive(right.as_fd(), &mut buffer).unwrap(), Received::Nothing));
        drop(left);
        assert!(matches!(receive(right.as_fd(), &mut buffer).unwrap(), Received::Closed));
    }

    #[test]
    fn a_peers_last_words_are_heard_although_it_did_not_listen() {
        let (left, right) = pair().unwrap();
        send(left.as_fd(), b"unread", &[]).unwrap();
        send(right.as_fd(), b"last words", &[]).unwrap();
        drop(right);
        let mut buffer = [0; 64];
        let received = receive(left.as_fd(), &mut buffer).unwrap();
        assert!(matches!(received, Received::Packet { length: 10, .. }), "{received:?}");
        assert!(matches!(receive(left.as_fd(), &mut buffer).unwrap(), Received::Closed));
    }

    #[test]
    fn a_packet_larger_than_the_buffer_is_an_error() {
        let (left, right) = pair().unwrap();
        send(left.as_fd(), &[1; 100], &[]).unwrap();
        assert!(receive(right.as_fd(), &mut [0; 10]).is_err());
    }

    #[test]
    fn a_full_queue_is_later_not_an_error() {
        let (left, _right) = pair().unwrap();
        let mut sent = 0;
        while send(left.as_fd(), &[0; 1000], &[]).unwrap() == Sent::All {
            sent += 1;
            assert!(sent < 100_000);
        }
        assert!(sent > 0);
    }

    #[test]
    fn a_client_cannot_hand_over_descriptors() {
        let (probe, _) = pair().unwrap();
        if try_refuse_descriptors(probe.as_fd()).is_err() {
            return crate::skip(
                "a_client_cannot_hand_over_descriptors",
                "descriptors cannot be refused by this kernel (6.16 and newer can)",
            );
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        let give = |client: &OwnedFd| {
            let given = send(client.as_fd(), b"x", &[file.as_fd()]);
            given.expect_err("nobody wants it").raw_os_error()
        };
        let (ours, client) = pair_with_client().unwrap();
        assert_eq!(give(&client), Some(libc::EPERM));
        send(ours.as_fd(), b"x", &[file.as_fd()]).expect("what we give is something else");

        let path = std::env::temp_dir().join(format!("session0-refuse-{}", std::process::id()));
        let listener = listen_stream(&path, 0o600, 4).unwrap();
        let client = OwnedFd::from(std::os::unix::net::UnixStream::connect(&path).unwrap());
        assert_eq!(give(&client), Some(libc::EPERM), "before it is accepted");
        let server = accept(listener.as_fd()).unwrap().unwrap();
        assert_eq!(give(&client), Some(libc::EPERM));
        send(server.as_fd(), b"x", &[file.as_fd()]).expect("answers carry descriptors");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_path_too_long_for_an_address_works() {
        let mut directory = std::env::temp_dir().join(format!("session0-packet-{}", std::process::id()));
        let top = directory.clone();
        for _ in 0..5 {
            directory.push("a-directory-with-a-long-name-indeed");
        }
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let listener = listen(&path, 0o600, 4).unwrap();
        let client = connect(&path).unwrap();
        let server = accept(listener.as_fd()).unwrap().unwrap();
        send(client.as_fd(), b"x", &[]).unwrap();
        assert!(matches!(receive(server.as_fd(), &mut [0; 4]).unwrap(), Received::Packet { length: 1, .. }));
        std::fs::remove_dir_all(top).unwrap();
    }
}
