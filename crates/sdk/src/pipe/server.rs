//! The server: making a pipe and accepting its clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use session0_api::pipe::{Direction, Listen, PipeType};

use super::call::{Manner, PATIENCE, Waiting, call};
use super::error::{Code, Error};
use super::instance::Instance;
use super::serving::Serving;
use super::socket::Patience;
use crate::path;
use crate::wire::{Answers, Descriptors};

/// Instances that can be counted; more are unlimited (windows-semantics 6.2).
const INSTANCES_MAX: u32 = 254;

/// A pipe that this process serves. Dropping it ends that: no further client comes, those that are connected go on.
///
/// As many instances listen as the pipe may have, or as the host lets one server have at a time; each that is closed is made up for. One
/// thread of the library hears the host and has clients ready; any number of threads may accept.
///
/// ```no_run
/// # fn main() -> Result<(), session0::pipe::Error> {
/// use session0::pipe::{PipeServer, PipeType};
///
/// let builder = PipeServer::builder("spooler").kind(PipeType::Message).access(["interactive"]);
/// let server = builder.first_instance(true).create()?;
/// loop {
///     let instance = server.accept()?;
///     std::thread::spawn(move || {
///         while let Ok(request) = instance.read_message() {
///             let answer = format!("{} bytes from uid {}", request.len(), instance.client().uid());
///             if instance.write_message(answer.as_bytes()).is_err() {
///                 break;
///             }
///         }
///     });
/// }
/// # }
/// ```
pub struct PipeServer {
    serving: Arc<Serving>,
}

/// What a pipe is to be; made by [`PipeServer::builder`].
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    listen: Listen,
    /// What was given and cannot be.
    wrong: Option<String>,
    socket: Option<PathBuf>,
    patience: Duration,
}

impl PipeServer {
    /// A pipe of this name. A service whose file declares the pipe may give the name alone; else what is not said is: bytes, both ways, unlimited
    /// instances, for its owner and administrators.
    pub fn builder(name: &str) -> ServerBuilder {
        let listen = Listen {
            pipe: name.to_owned(),
            kind: None,
            direction: None,
            instances_max: None,
            first: None,
            default_timeout_ms: None,
            buffer: None,
            access: None,
            refuse_outside: None,
            descriptors: None,
            rpc: None,
            listening: Some(1),
        };
        ServerBuilder { listen, wrong: None, socket: None, patience: PATIENCE }
    }

    /// Waits for a client. 995 if none will come: the connection to the host is lost; 231 if other processes have all the instances there
    /// may be.
    pub fn accept(&self) -> Result<Instance, Error> {
        self.take(Patience::ForEver)
    }

    /// A client that is there already; else 536.
    ///
    /// ```no_run
    /// # fn f(server: &session0::pipe::PipeServer) {
    /// use session0::pipe::Code;
    /// match server.try_accept() {
    ///     Ok(instance) => println!("uid {}", instance.client().uid()),
    ///     Err(error) if error.code() == Code::PipeListening => println!("nobody yet"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # }
    /// ```
    pub fn try_accept(&self) -> Result<Instance, Error> {
        self.take(Patience::No)
    }

    /// Waits so long for a client; then it is 121.
    ///
    /// ```no_run
    /// # fn f(server: &session0::pipe::PipeServer) -> Result<(), session0::pipe::Error> {
    /// let instance = server.accept_within(std::time::Duration::from_secs(60))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn accept_within(&self, time: Duration) -> Result<Instance, Error> {
        self.take(Patience::of(Some(time)))
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

    fn take(&self, patience: Patience) -> Result<Instance, Error> {
        Instance::new(Arc::clone(&self.serving), self.serving.take(patience)?)
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
    /// What it carries.
    pub fn kind(mut self, kind: PipeType) -> ServerBuilder {
        self.listen.kind = Some(kind);
        self
    }

    /// Which way it goes.
    pub fn direction(mut self, direction: Direction) -> ServerBuilder {
        self.listen.direction = Some(direction);
        self
    }

    /// The most instances there may be, of all servers together: 1 to 254. Who creates the pipe first decides it.
    pub fn instances(mut self, most: u32) -> ServerBuilder {
        self.listen.instances_max = Some(most);
        if !(1..=INSTANCES_MAX).contains(&most) {
            self.wrong = Some(format!("a pipe cannot be limited to {most} instances: 1 to 254 are possible"));
        }
        self
    }

    /// Any number of instances, as far as the host has room.
    pub fn unlimited(mut self) -> ServerBuilder {
        self.listen.instances_max = Some(0);
        self
    }

    /// Whether nobody else may serve the name already, which is 5 then: the defence against somebody who was first (windows-semantics 6.5).
    pub fn first_instance(mut self, first: bool) -> ServerBuilder {
        self.listen.first = Some(first);
        self
    }

    /// Bytes that each side's writes may be ahead of their reader; the kernel's own number if it is not said.
    pub fn buffer(mut self, bytes: u32) -> ServerBuilder {
        self.listen.buffer = Some(bytes);
        self
    }

    /// The time that a client waits for an instance who says nothing else; 50 ms if it is not said.
    pub fn default_timeout(mut self, time: Duration) -> ServerBuilder {
        match u32::try_from(time.as_micros().div_ceil(1000)) {
            Ok(milliseconds) => self.listen.default_timeout_ms = Some(milliseconds),
            Err(_) => self.wrong = Some("a default timeout cannot be longer than 49 days".to_owned()),
        }
        self
    }

    /// Who may do what: `[allow|deny] WHO [read] [write] [instance]`, where WHO is `everyone`, `interactive`, `services`, `administrators`,
    /// `owner`, `outside`, `user NAME`, `group NAME`, `service NAME` or `session N`.
    ///
    /// ```
    /// use session0::pipe::PipeServer;
    /// let builder = PipeServer::builder("spooler").access(["interactive", "user alice read"]);
    /// ```
    pub fn access<S: Into<String>>(mut self, entries: impl IntoIterator<Item = S>) -> ServerBuilder {
        self.listen.access = Some(entries.into_iter().map(Into::into).collect());
        self
    }

    /// Whether clients outside every session are refused (PIPE_REJECT_REMOTE_CLIENTS).
    pub fn refuse_outside(mut self, refuse: bool) -> ServerBuilder {
        self.listen.refuse_outside = Some(refuse);
        self
    }

    /// Whether descriptors that clients send are taken ([`super::Pipe::take_descriptors`]). If not, the kernel refuses or closes them.
    pub fn descriptors(mut self, wanted: bool) -> ServerBuilder {
        self.listen.descriptors = Some(wanted);
        self
    }

    /// Whether it speaks varlink, so that others may ask it what it is.
    pub fn rpc(mut self, rpc: bool) -> ServerBuilder {
        self.listen.rpc = Some(rpc);
        self
    }

    /// The host's socket; [`crate::path::socket`] if it is not said.
    pub fn socket(mut self, path: impl AsRef<Path>) -> ServerBuilder {
        self.socket = Some(path.as_ref().to_path_buf());
        self
    }

    /// How long the host may take for its answer; afterwards it is 121. 30 seconds if it is not said.
    pub fn patience(mut self, time: Duration) -> ServerBuilder {
        self.patience = time;
        self
    }

    /// Makes the pipe, or a further server of it, which must ask for the same. 5 if the name is somebody else's or reserved, 87 and 123 for
    /// what cannot be, 230 for another kind or way than it has, 231 if it has all its instances.
    pub fn create(self) -> Result<PipeServer, Error> {
        self.check()?;
        let answered = call(&self.path(), self.manner(), || self.request())?;
        Ok(PipeServer { serving: Serving::begin(answered, self.wanted())? })
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.wrong.as_ref().map_or(Ok(()), |message| Err(Error::new(Code::InvalidParameter, message)))
    }

    pub(super) fn path(&self) -> PathBuf {
        path::socket(self.socket.as_deref())
    }

    pub(super) fn manner(&self) -> Manner {
        let end = Waiting::No.end(self.patience, Duration::ZERO);
        Manner { answers: Answers::Upgrade, descriptors: Descriptors::Wanted, end }
    }

    pub(super) fn request(&self) -> Listen {
        self.listen.clone()
    }

    pub(super) fn wanted(&self) -> Descriptors {
        if self.listen.descriptors == Some(true) { Descriptors::Wanted } else { Descriptors::Refused }
    }
}
