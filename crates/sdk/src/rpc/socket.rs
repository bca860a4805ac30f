//! What a method sees of its connection: who is at the other end.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::net::UnixStream;
use zlink::connection::PassedCredentials;
use zlink::connection::socket::{self, ReadResult};

use crate::pipe::asynchronous::Instance;
use crate::pipe::{Client, Code, Error};

/// The socket type that services of this module are called with. It carries the client's identity and nothing else: calls are
/// read and answers are written by the server around the service, so a method that tries to read or write itself gets an error.
#[derive(Clone)]
pub struct Socket {
    link: Arc<Link>,
}

/// What a client is connected by. It is closed when the last part of its connection is dropped.
pub(super) enum Link {
    /// A named pipe.
    Pipe(Box<Instance>),
    /// Another stream; the identity is what the program says it is.
    Stream(UnixStream, Client),
}

impl Link {
    pub fn client(&self) -> &Client {
        match self {
            Link::Pipe(instance) => instance.client(),
            Link::Stream(_, client) => client,
        }
    }

    pub fn stream(&self) -> &UnixStream {
        match self {
            Link::Pipe(instance) => instance.stream(),
            Link::Stream(stream, _) => stream,
        }
    }

    fn impersonate<T>(&self, act: impl FnOnce() -> T) -> Result<T, Error> {
        match self {
            Link::Pipe(instance) => {
                // A method runs because its call was read.
                instance.note_heard();
                instance.impersonate(act)
            }
            Link::Stream(..) => Err(Error::new(
                Code::BadImpersonationLevel,
                "the client did not come through a pipe of a host, so nobody vouches for it",
            )),
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

/// A socket whose client is known. The bound of a service that wants to know who calls: `impl<S: Identified> MyService`. It is
/// [`Socket`]'s alone.
pub trait Identified: socket::Socket + Sized {
    /// Who is at the other end of this connection.
    fn client_of(connection: &zlink::Connection<Self>) -> &Client;

    /// See [`Caller::impersonate`].
    fn impersonate_of<T>(connection: &zlink::Connection<Self>, act: impl FnOnce() -> T) -> Result<T, Error>;
}

impl Identified for Socket {
    fn client_of(connection: &zlink::Connection<Socket>) -> &Client {
        connection.read().read_half().link.client()
    }

    fn impersonate_of<T>(
        connection: &zlink::Connection<Socket>,
        act: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        connection.read().read_half().link.impersonate(act)
    }
}

/// What the argument marked `#[zlink(connection)]` is for.
pub trait Caller {
    /// Who calls, as the host verified it.
    fn client(&self) -> &Client;

    /// Does something as the client, on this thread and without awaiting: see
    /// [`pipe::Instance::impersonate`](crate::pipe::Instance::impersonate) for what that means and its errors. 1346 for a client that
    /// did not come through a pipe.
    fn impersonate<T>(&self, act: impl FnOnce() -> T) -> Result<T, Error>;
}

impl<S: Identified> Caller for zlink::Connection<S> {
    fn client(&self) -> &Client {
        S::client_of(self)
    }

    fn impersonate<T>(&self, act: impl FnOnce() -> T) -> Result<T, Error> {
        S::impersonate_of(self, act)
    }
}
