//! What a method sees of its connection: who is at the other end.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use zlink::connection::PassedCredentials;
use zlink::connection::socket::{self, ReadResult};

use crate::pipe;

/// The socket type that services of this module are called with. It carries the client's identity and nothing else: calls are
/// read and answers are written by the server around the service, so a method that tries to read or write itself gets an error.
#[derive(Clone)]
pub struct Socket {
    link: Arc<Link>,
}

/// What a client is connected by. It is closed when the last part of its connection is dropped.
pub(super) enum Link {
    /// Another stream; the identity is what the program says it is.
    Stream(pipe::Client),
}

impl Link {
    pub fn client(&self) -> &pipe::Client {
        match self {
            Link::Stream(client) => client,
        }
    }
}

impl Socket {
    pub(super) fn new(link: Arc<Link>) -> Socket {
        Socket { link }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("client", self.link.client()).finish_non_exhaustive()
    }
}

impl socket::Socket for Socket {
    type ReadHalf = Socket;
    type WriteHalf = Socket;
    const CAN_TRANSFER_FDS: bool = true;

    fn split(self) -> (Socket, Socket) {
        (self.clone(), self)
    }
}

fn not_here(what: &str) -> zlink::Error {
    let why = format!("a method cannot {what} its connection; it returns its answer");
    zlink::Error::Io(io::Error::new(io::ErrorKind::Unsupported, why))
}

impl socket::ReadHalf for Socket {
    async fn read(&mut self, _: &mut [u8]) -> zlink::Result<ReadResult> {
        Err(not_here("read from"))
    }
}

impl socket::WriteHalf for Socket {
    async fn write(&mut self, _: &[u8], _: &[impl AsFd], _: Option<&PassedCredentials>) -> zlink::Result<()> {
        Err(not_here("write to"))
    }
}

/// A socket whose client is known. The bound of a service that wants to know who calls: `impl<S: Identified> MyService`.
pub trait Identified: socket::Socket {
    /// Who is at the other end of this connection.
    fn client_of(connection: &zlink::Connection<Self>) -> &pipe::Client
    where
        Self: Sized;
}

impl Identified for Socket {
    fn client_of(connection: &zlink::Connection<Socket>) -> &pipe::Client {
        connection.read().read_half().link.client()
    }
}

/// `connection.client()`, for the argument marked `#[zlink(connection)]`.
pub trait Caller {
    /// Who calls, as the host verified it.
    fn client(&self) -> &pipe::Client;
}

impl<S: Identified> Caller for zlink::Connection<S> {
    fn client(&self) -> &pipe::Client {
        S::client_of(self)
    }
}
