//! What carries bytes or messages between two processes. All kinds are driven by the same loops.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, recv, send, socket_with,
};

use crate::Outcome;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 128;

/// One end of a connection.
pub trait Channel {
    /// Sends all of it; one message where there are messages.
    fn send(&mut self, bytes: &[u8]) -> Outcome<()>;

    /// Receives what one read gives, or one message. 0 at the end.
    fn receive(&mut self, into: &mut [u8]) -> Outcome<usize>;

    /// Fills `into`; whether it came whole before the end.
    fn fill(&mut self, into: &mut [u8]) -> Outcome<bool> {
        let mut filled = 0;
        while filled < into.len() {
            match self.receive(&mut into[filled..])? {
                0 => return Ok(false),
                read => filled += read,
            }
        }
        Ok(true)
    }
}

/// Where clients are accepted.
pub trait Listener {
    /// Waits for one.
    fn accept(&mut self) -> Outcome<Box<dyn Channel>>;
}

impl Channel for UnixStream {
    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.write_all(bytes).map_err(|e| format!("writing to a stream: {e}"))
    }

    fn receive(&mut self, into: &mut [u8]) -> Outcome<usize> {
        loop {
            match self.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A client that left without reading everything.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
                done => return done.map_err(|e| format!("reading from a stream: {e}")),
            }
        }
    }
}

impl Listener for UnixListener {
    fn accept(&mut self) -> Outcome<Box<dyn Channel>> {
        let (stream, _) = UnixListener::accept(self).map_err(|e| format!("accepting a stream: {e}"))?;
        Ok(Box::new(stream))
    }
}

/// A SOCK_STREAM listener at a path, where nothing else is any more.
pub fn stream_listener(path: &Path) -> Outcome<UnixListener> {
    make_room(path)?;
    UnixListener::bind(path).map_err(|e| format!("listening at {}: {e}", path.display()))
}

/// A client of one.
pub fn stream(path: &Path) -> Outcome<UnixStream> {
    UnixStream::connect(path).map_err(|e| format!("connecting to {}: {e}", path.display()))
}

/// A SOCK_SEQPACKET socket: a connection whose reads are whole messages. A message longer than the kernel's buffer is refused.
pub struct Seqpacket(OwnedFd);

impl Seqpacket {
    /// Connects to a listener at a path.
    pub fn connect(path: &Path) -> Outcome<Seqpacket> {
        let fail = |e| format!("connecting to {}: {e}", path.display());
        let socket = seqpacket().map_err(fail)?;
        connect(&socket, &SocketAddrUnix::new(path).map_err(fail)?).map_err(fail)?;
        Ok(Seqpacket(socket))
    }
}

impl Channel for Seqpacket {
    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        let sent = send(&self.0, bytes, SendFlags::NOSIGNAL).map_err(|e| format!("sending a packet: {e}"))?;
        if sent == bytes.len() { Ok(()) } else { Err(format!("only {sent} bytes of a packet were sent")) }
    }

    fn receive(&mut self, into: &mut [u8]) -> Outcome<usize> {
        match recv(&self.0, into, RecvFlags::empty()) {
            Ok((read, _)) => Ok(read),
            Err(rustix::io::Errno::CONNRESET) => Ok(0),
            Err(error) => Err(format!("receiving a packet: {error}")),
        }
    }
}

/// Where those are accepted.
pub struct SeqpacketListener(OwnedFd);

impl SeqpacketListener {
    /// One at a path, where nothing else is any more.
    pub fn at(path: &Path) -> Outcome<SeqpacketListener> {
        make_room(path)?;
        let fail = |e| format!("listening at {}: {e}", path.display());
        let socket = seqpacket().map_err(fail)?;
        bind(&socket, &SocketAddrUnix::new(path).map_err(fail)?).map_err(fail)?;
        listen(&socket, BACKLOG).map_err(fail)?;
        Ok(SeqpacketListener(socket))
    }
}

impl Listener for SeqpacketListener {
    fn accept(&mut self) -> Outcome<Box<dyn Channel>> {
        let socket = accept_with(&self.0, SocketFlags::CLOEXEC);
        Ok(Box::new(Seqpacket(socket.map_err(|e| format!("accepting a packet socket: {e}"))?)))
    }
}

fn seqpacket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

fn make_room(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("removing {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}
