//! The server and its instances within tokio.

use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session0_api::pipe::{Direction, PipeType};

use super::call::call;
use super::end::Pipe;
use crate::pipe::error::Error;
use crate::pipe::instance::{Place, may_connect};
use crate::pipe::peer::Client;
use crate::pipe::serving::{Accepted, Asked, Found, Serving, no_client_in_time, nobody};
use crate::pipe::{impersonate, server};

/// A pipe that this process serves, within tokio; see [`crate::pipe::PipeServer`].
///
/// ```no_run
/// # async fn f() -> Result<(), session0::pipe::Error> {
/// use session0::pipe::asynchronous::PipeServer;
///
/// let server = PipeServer::builder("spooler").create().await?;
/// loop {
///     let instance = server.accept().await?;
///     tokio::spawn(async move { instance.write(b"hello").await });
/// }
/// # }
/// ```
pub struct PipeServer {
    serving: Arc<Serving>,
}

/// What a pipe is to be; see [`crate::pipe::ServerBuilder`].
#[derive(Debug, Clone)]
pub struct ServerBuilder(server::ServerBuilder);

impl PipeServer {
    /// A pipe of this name; see [`crate::pipe::PipeServer::builder`].
    pub fn builder(name: &str) -> ServerBuilder {
        ServerBuilder(server::PipeServer::builder(name))
    }

    /// Waits for a client; see [`crate::pipe::PipeServer::accept`]. May be dropped and called again: no client is lost.
    pub async fn accept(&self) -> Result<Instance, Error> {
        Instance::next(&self.serving).await
    }

    /// A client that is there already; else 536.
    pub fn try_accept(&self) -> Result<Instance, Error> {
        match self.serving.try_take(&mut Asked::Not)? {
            Found::Client(accepted) => Instance::new(Arc::clone(&self.serving), *accepted),
            Found::Nobody => Err(nobody()),
        }
    }

    /// Waits so long for a client; then it is 121.
    pub async fn accept_within(&self, time: Duration) -> Result<Instance, Error> {
        tokio::time::timeout(time, self.accept()).await.unwrap_or_else(|_| Err(no_client_in_time()))
    }

    /// The pipe's name.
    pub fn name(&self) -> &str {
        &self.serving.about.name
    }

    /// What it carries.
    pub fn kind(&self) -> PipeType {
        self.serving.about.kind
    }

    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        self.serving.about.direction
    }

    /// The most instances there may be; none where they are unlimited.
    pub fn instances_max(&self) -> Option<u32> {
        self.serving.about.instances_max
    }
}

impl Drop for PipeServer {
    fn drop(&mut self) {
        self.serving.stop();
    }
}

impl std::fmt::Debug for PipeServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PipeServer").field(&self.serving.about).finish()
    }
}

impl ServerBuilder {
    super::same! { ServerBuilder:
        /// What it carries.
        kind(kind: PipeType);
        /// Which way it goes.
        direction(direction: Direction);
        /// The most instances there may be; see [`crate::pipe::ServerBuilder::instances`].
        instances(most: u32);
        /// Any number of instances, as far as the host has room.
        unlimited();
        /// Whether nobody else may serve the name already; see [`crate::pipe::ServerBuilder::first_instance`].
        first_instance(first: bool);
        /// Bytes that each side's writes may be ahead of their reader.
        buffer(bytes: u32);
        /// The time that a client waits for an instance who says nothing else.
        default_timeout(time: Duration);
        /// Whether clients outside every session are refused.
        refuse_outside(refuse: bool);
        /// Whether descriptors that clients send are taken; see [`crate::pipe::ServerBuilder::descriptors`].
        descriptors(wanted: bool);
        /// Whether it speaks varlink, so that others may ask it what it is.
        rpc(rpc: bool);
        /// The host's socket; [`crate::path::socket`] if it is not said.
        socket(path: impl AsRef<Path>);
        /// How long the host may take for its answer; afterwards it is 121.
        patience(time: Duration);
    }

    /// Who may do what; see [`crate::pipe::ServerBuilder::access`].
    pub fn access<S: Into<String>>(self, entries: impl IntoIterator<Item = S>) -> ServerBuilder {
        ServerBuilder(self.0.access(entries))
    }

    /// Makes the pipe; see [`crate::pipe::ServerBuilder::create`].
    pub async fn create(self) -> Result<PipeServer, Error> {
        self.0.check()?;
        let answered = call(&self.0.path(), self.0.manner(), || self.0.request()).await?;
        Ok(PipeServer { serving: Serving::begin(answered, self.0.wanted())? })
    }
}

/// The server's end of a pipe within tokio, with a client; see [`crate::pipe::Instance`].
pub struct Instance {
    pipe: Pipe,
    client: Client,
    place: Place,
}

impl Instance {
    fn new(serving: Arc<Serving>, accepted: Accepted) -> Result<Instance, Error> {
        let Accepted { instance, raw, client } = accepted;
        let place = Place::new(serving, instance);
        Ok(Instance { pipe: Pipe::new(raw)?, client, place })
    }

    async fn next(serving: &Arc<Serving>) -> Result<Instance, Error> {
        let mut asked = Asked::Not;
        loop {
            let mut told = std::pin::pin!(serving.notify.notified());
            // Before looking, so that what happens in between is not missed.
            told.as_mut().enable();
            if let Found::Client(accepted) = serving.try_take(&mut asked)? {
                return Instance::new(Arc::clone(serving), *accepted);
            }
            told.await;
        }
    }

    /// Its client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.place.number()
    }

    /// Ends the connection; see [`crate::pipe::Instance::disconnect`] for what that does to what was not read.
    pub fn disconnect(&self) -> Result<(), Error> {
        if !self.pipe.disconnect() {
            return self.pipe.facts().is_open();
        }
        self.place.give_up();
        Ok(())
    }

    /// Waits for the next client, after [`Instance::disconnect`]; see [`crate::pipe::Instance::connect`].
    pub async fn connect(&mut self) -> Result<(), Error> {
        may_connect(self.pipe.facts(), self.pipe.as_fd())?;
        let serving = Arc::clone(self.place.serving());
        *self = Instance::next(&serving).await?;
        Ok(())
    }

    /// Does something as the client, on this thread and without waiting for anything of tokio's; see [`crate::pipe::Instance::impersonate`].
    pub fn impersonate<T>(&self, act: impl FnOnce() -> T) -> Result<T, Error> {
        impersonate::run(&self.client, self.pipe.facts(), act)
    }
}

impl Deref for Instance {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        &self.pipe
    }
}

impl AsFd for Instance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Instance");
        debug.field("number", &self.number()).field("client", &self.client).finish_non_exhaustive()
    }
}
