//! The client's end within tokio.

use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use session0_api::pipe::{Access, Impersonation, Peer};
use tokio::net::UnixStream;

use super::call::call;
use super::end::Pipe;
use crate::pipe::call::{Manner, Waiting};
use crate::pipe::client::{self, About};
use crate::pipe::error::Error;
use crate::wire::{Answers, Descriptors};

/// The client's end of a pipe within tokio; see [`crate::pipe::PipeClient`]. [`Pipe`] has what can be done with it.
///
/// ```no_run
/// # async fn f() -> Result<(), session0::pipe::Error> {
/// use session0::pipe::asynchronous::PipeClient;
///
/// let spooler = PipeClient::open("spooler").await?;
/// spooler.write_message(b"jobs?").await?;
/// println!("{:?}", spooler.read_message().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PipeClient {
    pipe: Pipe,
    about: About,
}

/// How to open a pipe; see [`crate::pipe::ClientBuilder`].
#[derive(Debug, Clone)]
pub struct ClientBuilder(client::ClientBuilder);

impl PipeClient {
    /// Opens a pipe; see [`crate::pipe::PipeClient::open`].
    pub async fn open(name: &str) -> Result<PipeClient, Error> {
        PipeClient::builder(name).open().await
    }

    /// For all that [`PipeClient::open`] decides itself.
    pub fn builder(name: &str) -> ClientBuilder {
        ClientBuilder(client::PipeClient::builder(name))
    }

    /// The server, as the host verified it.
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

    /// The socket itself, and what was read ahead of it; see [`crate::pipe::PipeClient::into_stream`].
    pub fn into_stream(self) -> Result<(UnixStream, Vec<u8>), Error> {
        let (stream, inbox) = self.pipe.into_parts();
        Ok((stream, client::rest_of(inbox)?))
    }
}

impl ClientBuilder {
    super::same! { ClientBuilder:
        /// What for; see [`crate::pipe::ClientBuilder::access`].
        access(access: Access);
        /// What the server may do with the caller's identity; see [`crate::pipe::ClientBuilder::impersonation`].
        impersonation(level: Impersonation);
        /// Waits so long for an instance; see [`crate::pipe::ClientBuilder::wait`].
        wait(time: Duration);
        /// Waits as long as the pipe's server said that clients wait.
        wait_default();
        /// Waits until there is an instance. Also a host that says nothing is waited for.
        wait_for_ever();
        /// How long the host may take for its answer; see [`crate::pipe::ClientBuilder::patience`].
        patience(time: Duration);
        /// Whether descriptors that the server sends are taken; see [`crate::pipe::ClientBuilder::descriptors`].
        descriptors(wanted: bool);
        /// The host's socket; [`crate::path::socket`] if it is not said.
        socket(path: impl AsRef<Path>);
    }

    /// Opens the pipe; see [`crate::pipe::ClientBuilder::open`].
    pub async fn open(self) -> Result<PipeClient, Error> {
        let (builder, path) = (&self.0, self.0.path());
        let end = builder.waiting.end(builder.patience, self.default_time(&path).await);
        let began = Instant::now();
        let answered = call(&path, builder.manner(end), || builder.request(began)).await?;
        let (raw, about) = builder.accept(answered)?;
        Ok(PipeClient { pipe: Pipe::new(raw)?, about })
    }

    /// Waits until an instance is free, and opens nothing; see [`crate::pipe::wait()`].
    pub async fn wait_free(self) -> Result<(), Error> {
        let (builder, path) = (self.0.waiting_at_least(), self.0.path());
        let end =
            builder.waiting.end(builder.patience, ClientBuilder(builder.clone()).default_time(&path).await);
        let manner = Manner { answers: Answers::One, descriptors: Descriptors::Refused, end };
        let began = Instant::now();
        call(&path, manner, || builder.wait_request(began)).await.map(drop)
    }

    /// Opens the pipe, says one message, gives the answer, and closes it; see [`crate::pipe::call()`].
    pub async fn call(self, request: &[u8], time_max: Duration) -> Result<Vec<u8>, Error> {
        let end = Instant::now().checked_add(time_max);
        let client = self.wait(time_max).open().await?;
        client.set_timeout(end.map(|end| end.saturating_duration_since(Instant::now())));
        client.transact_whole(request).await
    }

    async fn default_time(&self, path: &Path) -> Duration {
        if self.0.waiting != Waiting::Default {
            return Duration::ZERO;
        }
        let asked = async {
            let mut host = crate::asynchronous::Client::connect(path).await?;
            host.pipe(self.0.name()).await
        };
        client::default_time(tokio::time::timeout(self.0.patience, asked).await.ok().and_then(Result::ok))
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

/// Opens a pipe, says one message, gives the answer, and closes it; see [`crate::pipe::call()`].
///
/// ```no_run
/// # async fn f() -> Result<(), session0::pipe::Error> {
/// let time = std::time::Duration::from_secs(5);
/// let jobs = session0::pipe::asynchronous::call("spooler", b"jobs?", time).await?;
/// # Ok(())
/// # }
/// ```
pub async fn call_pipe(name: &str, request: &[u8], time_max: Duration) -> Result<Vec<u8>, Error> {
    PipeClient::builder(name).call(request, time_max).await
}

/// Waits until an instance of the pipe is free; see [`crate::pipe::wait()`].
///
/// ```no_run
/// # async fn f() -> Result<(), session0::pipe::Error> {
/// session0::pipe::asynchronous::wait("spooler", None).await?;
/// # Ok(())
/// # }
/// ```
pub async fn wait(name: &str, time: Option<Duration>) -> Result<(), Error> {
    let builder = PipeClient::builder(name);
    match time {
        Some(time) => builder.wait(time.max(Duration::from_millis(1))).wait_free().await,
        None => builder.wait_default().wait_free().await,
    }
}
