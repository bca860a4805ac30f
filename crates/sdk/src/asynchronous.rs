//! The same client within tokio; one thread is enough.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use session0_api::host::{HostStatus, ReloadReport, VersionInfo};
use session0_api::interface::Method;
use session0_api::logon::{Begin, Begun};
use session0_api::pipe::PipeStatus;
use session0_api::service::{Dependents, ServiceStatus, Wait};
use session0_api::session::SessionStatus;
use session0_api::{account, host, pipe, service, session};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use crate::client::{Broken, Home, Repeat, methods};
use crate::error::Error;
use crate::logon::Conversation;
use crate::session::Running;
use crate::wire::{self, Answers, Input};
use crate::{connect, path};

pub use crate::events::asynchronous::Events;

/// A connection to the host. A call that is dropped before its answer came spoils the connection; the next
/// call makes a new one.
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
    input: Input,
    state: State,
}

/// Whether the next answer is that of the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// An answer is due that nobody waits for any more.
    Spoilt,
}

impl Client {
    /// Connects to the host at [`path::socket`].
    pub async fn discover() -> Result<Client, Error> {
        Client::connect(&path::socket(None)).await
    }

    /// Connects to the host at this socket.
    pub async fn connect(path: &Path) -> Result<Client, Error> {
        let stream = connect::asynchronous(path).await?;
        Ok(Client { path: path.to_path_buf(), stream, input: Input::default(), state: State::Idle })
    }

    /// The socket it is connected to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Follows what happens. The connection is used up.
    pub async fn events(self) -> Result<Events, Error> {
        Events::begin(self).await
    }

    async fn call<M: Method>(&mut self, parameters: &M, repeat: Repeat) -> Result<M::Reply, Error> {
        if self.state == State::Spoilt || self.closed() {
            *self = Client::connect(&self.path).await?;
        }
        self.input.close_descriptors();
        let mut result = self.try_call(parameters).await;
        if let (Err(Broken::Connection(_)), Repeat::Once) = (&result, repeat) {
            *self = Client::connect(&self.path).await?;
            result = self.try_call(parameters).await;
        }
        result.map_err(|broken| broken.into_error(&self.path))
    }

    async fn try_call<M: Method>(&mut self, parameters: &M) -> Result<M::Reply, Broken> {
        self.state = State::Spoilt;
        self.send(parameters, Answers::One).await?;
        let answer = self.receive::<M>().await;
        if !matches!(answer, Err(Broken::Connection(_) | Broken::Late(_))) {
            self.state = State::Idle;
        }
        answer
    }

    pub(crate) async fn send<M: Method>(&mut self, parameters: &M, answers: Answers) -> Result<(), Broken> {
        let bytes = wire::call(parameters, answers)?;
        match self.stream.write_all(&bytes).await {
            Ok(()) => Ok(()),
            // A host that refuses a connection says why before it closes: that is still to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Broken::Connection(error)),
        }
    }

    pub(crate) async fn receive<M: Method>(&mut self) -> Result<M::Reply, Broken> {
        loop {
            if let Some(message) = self.input.take() {
                return Ok(wire::answer::<M>(&message)?);
            }
            self.stream.readable().await.map_err(Broken::Connection)?;
            let (stream, input) = (&self.stream, &mut self.input);
            match stream.try_io(Interest::READABLE, || input.fill(stream.as_fd())) {
                Ok(0) => return Err(Broken::Connection(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Broken::Connection(error)),
            }
        }
    }

    /// Whether the other side is gone already.
    fn closed(&self) -> bool {
        crate::client::closed(self.stream.as_fd())
    }

    methods!([async] [.await]);
}
