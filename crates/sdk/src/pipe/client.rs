//! The client's end: opening, waiting, calling.

use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use session0_api::pipe::{Access, Impersonation, Open, Opened, Peer, PipeStatus, Wait};

use super::call::{Answered, Manner, PATIENCE, Waiting, call};
use super::end::{Pipe, Raw};
use super::error::{Code, Error};
use super::facts::Way;
use super::inbox::Inbox;
use crate::path;
use crate::wire::{Answers, Descriptors};

/// The client's end of a pipe. [`Pipe`] has what can be done with it; dropping it closes it.
///
/// ```no_run
/// # fn main() -> Result<(), session0::pipe::Error> {
/// use session0::pipe::PipeClient;
///
/// let spooler = PipeClient::open("spooler")?;
/// assert_eq!(spooler.server().service.as_deref(), Some("spooler"));
/// spooler.write_message(b"jobs?")?;
/// println!("{:?}", spooler.read_message()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PipeClient {
    pipe: Pipe,
    about: About,
}

/// What the host said about a connection.
#[derive(Debug)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) instance: u64,
    pub(super) server: Peer,
}

/// How to open a pipe; made by [`PipeClient::builder`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    name: String,
    socket: Option<PathBuf>,
    access: Option<Access>,
    impersonation: Option<Impersonation>,
    pub(super) waiting: Waiting,
    pub(super) patience: Duration,
    descriptors: Descriptors,
}

impl PipeClient {
    /// Opens a pipe for all that is allowed, without waiting for an instance (231 if all are busy); the server may know who this is
    /// ([`Impersonation::Identification`]). Errors: 2, 5, 21, 123, 231, 1450 and what else the host refuses; 121 if it does not answer.
    pub fn open(name: &str) -> Result<PipeClient, Error> {
        PipeClient::builder(name).open()
    }

    /// For all that [`PipeClient::open`] decides itself.
    pub fn builder(name: &str) -> ClientBuilder {
        ClientBuilder {
            name: name.to_owned(),
            socket: None,
            access: None,
            impersonation: None,
            waiting: Waiting::No,
            patience: PATIENCE,
            descriptors: Descriptors::Refused,
        }
    }

    /// The server, as the host verified it: the defence against somebody else who was first with the name (windows-semantics 6.5).
    pub fn server(&self) -> &Peer {
        &self.about.server
    }

    /// The pipe's name as its server wrote it.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// The number of the instance.
    pub fn instance(&self) -> u64 {
        self.about.instance
    }

    /// The socket itself, and what was read ahead of it: on a message pipe with its fragments' headers (see [`session0_api::pipe::PipeType`]).
    /// Descriptors that were not taken are closed. 234 if a message was read in part.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), session0::pipe::Error> {
    /// let (socket, read_already) = session0::pipe::PipeClient::open("echo")?.into_stream()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(self) -> Result<(UnixStream, Vec<u8>), Error> {
        let (socket, inbox) = self.pipe.into_parts();
        Ok((socket.into(), rest_of(inbox)?))
    }
}

impl Deref for PipeClient {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        &self.pipe
    }
}

impl AsFd for PipeClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl ClientBuilder {
    /// What for; 5 if the pipe's direction or its access list does not allow it.
    pub fn access(mut self, access: Access) -> ClientBuilder {
        self.access = Some(access);
        self
    }

    /// What the server may do with the caller's identity. An anonymous client gets the pipe from the host, so that nothing at the
    /// server's end is the client's.
    pub fn impersonation(mut self, level: Impersonation) -> ClientBuilder {
        self.impersonation = Some(level);
        self
    }

    /// Waits so long for an instance while all are busy (121 afterwards). No time at all is not to wait.
    pub fn wait(mut self, time: Duration) -> ClientBuilder {
        self.waiting = Waiting::of(time);
        self
    }

    /// Waits as long as the pipe's server said that clients wait.
    pub fn wait_default(mut self) -> ClientBuilder {
        self.waiting = Waiting::Default;
        self
    }

    /// Waits until there is an instance. Also a host that says nothing is waited for.
    pub fn wait_for_ever(mut self) -> ClientBuilder {
        self.waiting = Waiting::ForEver;
        self
    }

    /// How long the host may take for its answer, beyond the time that is to be waited; afterwards it is 121. 30 seconds if it is not said:
    /// opening a pipe may start the service that serves it.
    pub fn patience(mut self, time: Duration) -> ClientBuilder {
        self.patience = time;
        self
    }

    /// Whether descriptors that the server sends are taken ([`Pipe::take_descriptors`]). If not, which is so at first, the kernel closes them.
    pub fn descriptors(mut self, wanted: bool) -> ClientBuilder {
        self.descriptors = if wanted { Descriptors::Wanted } else { Descriptors::Refused };
        self
    }

    /// The host's socket; [`crate::path::socket`] if it is not said.
    pub fn socket(mut self, path: impl AsRef<Path>) -> ClientBuilder {
        self.socket = Some(path.as_ref().to_path_buf());
        self
    }

    /// Opens the pipe. A connection that the host closes before it answers (it was replaced), and one too many for this user, are tried again
    /// while there is time.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), session0::pipe::Error> {
    /// use session0::pipe::{Access, Impersonation, PipeClient};
    /// use std::time::Duration;
    ///
    /// let builder = PipeClient::builder("spooler").access(Access::Duplex).wait(Duration::from_secs(5));
    /// let pipe = builder.impersonation(Impersonation::Impersonation).open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(self) -> Result<PipeClient, Error> {
        let path = self.path();
        let manner = self.manner(self.waiting.end(self.patience, self.default_time(&path)));
        let began = Instant::now();
        let answered = call(&path, manner, || self.request(began))?;
        let (raw, about) = self.accept(answered)?;
        Ok(PipeClient { pipe: Pipe::new(raw)?, about })
    }

    /// Waits until an instance is free, as [`wait`] does, and opens nothing. Without a time it is the pipe's own.
    pub fn wait_free(self) -> Result<(), Error> {
        let (builder, path) = (self.waiting_at_least(), self.path());
        let end = builder.waiting.end(builder.patience, builder.default_time(&path));
        let manner = Manner { answers: Answers::One, descriptors: Descriptors::Refused, end };
        let began = Instant::now();
        call(&path, manner, || builder.wait_request(began)).map(drop)
    }

    /// Opens the pipe, says one message, gives the answer, and closes it, as [`super::call()`] does.
    pub fn call(self, request: &[u8], time_max: Duration) -> Result<Vec<u8>, Error> {
        let end = Instant::now().checked_add(time_max);
        let client = self.wait(time_max).open()?;
        client.set_timeout(end.map(|end| end.saturating_duration_since(Instant::now())));
        client.transact_whole(request)
    }

    pub(super) fn path(&self) -> PathBuf {
        path::socket(self.socket.as_deref())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// For `Wait`, which always waits.
    pub(super) fn waiting_at_least(&self) -> ClientBuilder {
        let waiting = if self.waiting == Waiting::No { Waiting::Default } else { self.waiting };
        ClientBuilder { waiting, ..self.clone() }
    }

    /// The pipe's own time, where it is waited for.
    fn default_time(&self, path: &Path) -> Duration {
        if self.waiting != Waiting::Default {
            return Duration::ZERO;
        }
        let asked = crate::Client::connect(path).and_then(|mut host| {
            host.set_time_max(Some(self.patience.max(Duration::from_millis(1))))?;
            host.pipe(&self.name)
        });
        default_time(asked.ok())
    }

    pub(super) fn manner(&self, end: Option<Instant>) -> Manner {
        match self.impersonation {
            Some(Impersonation::Anonymous) => {
                Manner { answers: Answers::One, descriptors: Descriptors::Wanted, end }
            }
            _ => Manner { answers: Answers::Upgrade, descriptors: self.descriptors, end },
        }
    }

    pub(super) fn request(&self, began: Instant) -> Open {
        Open {
            pipe: self.name.clone(),
            access: self.access,
            impersonation: self.impersonation,
            wait_ms: self.waiting.left_ms(began),
        }
    }

    pub(super) fn wait_request(&self, began: Instant) -> Wait {
        Wait { pipe: self.name.clone(), wait_ms: self.waiting.left_ms(began) }
    }

    /// The pipe that an answer gives.
    pub(super) fn accept(&self, answered: Answered<Opened>) -> Result<(Raw, About), Error> {
        let Answered { reply, socket, rest, arrived } = answered;
        let way = Way::client(reply.access)?;
        let about = About { name: reply.name, instance: reply.instance, server: reply.server };
        let (kind, descriptors) = (reply.kind, self.descriptors);
        let miscounted = |count: usize| {
            let message =
                format!("the host sent {count} descriptors with the pipe and says {}", reply.descriptors);
            Error::new(Code::InternalError, message)
        };
        if self.impersonation == Some(Impersonation::Anonymous) {
            let [socket] = <[OwnedFd; 1]>::try_from(arrived).map_err(|arrived| miscounted(arrived.len()))?;
            return Ok((
                Raw { socket, kind, way, descriptors, rest: Vec::new(), arrived: Vec::new() },
                about,
            ));
        }
        if reply.descriptors != 0 {
            return Err(miscounted(arrived.len()));
        }
        if let Some(buffer) = reply.buffer {
            // Without it only the kernel's own number is in force.
            let bytes = usize::try_from(buffer).unwrap_or(usize::MAX);
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, bytes);
        }
        // Without a byte behind the answer they came with the answer, and nobody asked for them.
        let arrived = if rest.is_empty() { Vec::new() } else { arrived };
        Ok((Raw { socket, kind, way, descriptors, rest, arrived }, about))
    }
}

/// The bytes that were read ahead of an end that is given away.
pub(super) fn rest_of(inbox: Inbox) -> Result<Vec<u8>, Error> {
    inbox.into_rest().map(|(rest, _)| rest).ok_or_else(|| {
        let message = "the pipe cannot be given away as a socket: a message was read in part";
        Error::more_data(message.to_owned(), 0).with_hint("read it to its end before")
    })
}

/// A pipe's own time. What cannot be learned is 50 ms, as the host has it.
pub(super) fn default_time(status: Option<PipeStatus>) -> Duration {
    Duration::from_millis(status.map_or(50, |status| status.default_timeout_ms.into()))
}

/// Opens a pipe, says one message, gives the answer, and closes it (CallNamedPipe): within this time, of which waiting for an instance is a part.
/// Errors as [`PipeClient::open`] and [`Pipe::transact`]; an answer longer than [`super::MESSAGE_MAX`] is 234.
///
/// ```no_run
/// # fn main() -> Result<(), session0::pipe::Error> {
/// let jobs = session0::pipe::call("spooler", b"jobs?", std::time::Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
pub fn call_pipe(name: &str, request: &[u8], time_max: Duration) -> Result<Vec<u8>, Error> {
    PipeClient::builder(name).call(request, time_max)
}

/// Waits until an instance of the pipe is free (WaitNamedPipe): so long, or the pipe's own time. Somebody else may have it first. 2 at once
/// if nobody serves the pipe, 121 if none is free in time.
///
/// ```no_run
/// # fn main() -> Result<(), session0::pipe::Error> {
/// session0::pipe::wait("spooler", Some(std::time::Duration::from_secs(5)))?;
/// # Ok(())
/// # }
/// ```
pub fn wait(name: &str, time: Option<Duration>) -> Result<(), Error> {
    let builder = PipeClient::builder(name);
    match time {
        Some(time) => builder.wait(time.max(Duration::from_millis(1))).wait_free(),
        None => builder.wait_default().wait_free(),
    }
}
