//! The server's end of a pipe.

use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::end::Pipe;
use super::error::{Code, Error};
use super::facts::Facts;
use super::impersonate;
use super::peer::Client;
use super::serving::{Accepted, Serving};
use super::socket::{self, Patience};

/// The server's end of a pipe, with a client. [`Pipe`] has what can be done with it. Dropping it closes it, and a new instance listens.
///
/// ```no_run
/// # fn f(server: &session0::pipe::PipeServer) -> Result<(), session0::pipe::Error> {
/// let instance = server.accept()?;
/// let path = String::from_utf8_lossy(&instance.read_message()?).into_owned();
/// let file = instance.impersonate(|| std::fs::read(path))?;
/// instance.write_message(&file.unwrap_or_default())?;
/// instance.flush()?;
/// # Ok(())
/// # }
/// ```
pub struct Instance {
    pipe: Pipe,
    client: Client,
    place: Place,
}

/// The instance as the host counts it; gone when it is dropped.
pub(super) struct Place {
    serving: Arc<Serving>,
    number: u64,
    given_up: AtomicBool,
}

impl Place {
    pub(super) fn new(serving: Arc<Serving>, number: u64) -> Place {
        Place { serving, number, given_up: AtomicBool::new(false) }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn serving(&self) -> &Arc<Serving> {
        &self.serving
    }

    /// Tells the host, once.
    pub(super) fn give_up(&self) {
        if !self.given_up.swap(true, Ordering::AcqRel) {
            self.serving.closed(self.number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Instance {
    pub(super) fn new(serving: Arc<Serving>, accepted: Accepted) -> Result<Instance, Error> {
        let Accepted { instance, raw, client } = accepted;
        let place = Place::new(serving, instance);
        Ok(Instance { pipe: Pipe::new(raw)?, client, place })
    }

    /// Its client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.place.number()
    }

    /// Ends the connection (DisconnectNamedPipe): the client's reads give 109 and its writes 232, all calls here 233, also those that wait in another
    /// thread. A new instance listens. 233 if it is disconnected already.
    ///
    /// What the client wrote and was not read here is discarded. What it was sent and has not read is *not*, other than on Windows: it is in the
    /// client's socket already, where nobody can take it back, and the client may still read it. [`Pipe::flush`] before waits until it was read.
    ///
    /// ```no_run
    /// # fn f(instance: session0::pipe::Instance) -> Result<(), session0::pipe::Error> {
    /// instance.write_message(b"goodbye")?;
    /// instance.flush()?;
    /// instance.disconnect()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn disconnect(&self) -> Result<(), Error> {
        if !self.pipe.disconnect() {
            return self.pipe.facts().is_open();
        }
        self.place.give_up();
        Ok(())
    }

    /// Waits for the next client, after [`Instance::disconnect`] (ConnectNamedPipe). 535 if the client is there; 232 if it is gone and was not
    /// disconnected; 995 and 231 as [`super::PipeServer::accept`].
    ///
    /// ```no_run
    /// # fn f(mut instance: session0::pipe::Instance) -> Result<(), session0::pipe::Error> {
    /// loop {
    ///     instance.write_message(b"one at a time")?;
    ///     instance.flush()?;
    ///     instance.disconnect()?;
    ///     instance.connect()?;
    /// }
    /// # }
    /// ```
    pub fn connect(&mut self) -> Result<(), Error> {
        may_connect(self.pipe.facts(), self.pipe.as_fd())?;
        let serving = Arc::clone(self.place.serving());
        let accepted = serving.take(Patience::ForEver)?;
        *self = Instance::new(serving, accepted)?;
        Ok(())
    }

    /// Does something as the client (ImpersonateNamedPipeClient, RevertToSelf): with its effective uid, gid and groups and without capabilities,
    /// on this thread only, until it returns or panics. 1346 if the client did not open the pipe with
    /// [`session0_api::pipe::Impersonation::Impersonation`]; 1368 before anything was read from it, or if the kernel refuses; 1314 without CAP_SETUID and
    /// CAP_SETGID.
    ///
    /// What it can mean and what not:
    /// - Files are found in *this* process's mount namespace: a path of the client's `/tmp`, `/run` or `/dev` is another file here, or none.
    /// - Threads and programs started meanwhile keep the client's effective identity; a program that is executed has this process's real uid still.
    /// - Only the effective ids are the client's, so the client's programs can neither signal nor trace this thread.
    /// - Capabilities are lowered, not given up: code that is not trusted could raise them again. Run none.
    /// - Where the process cannot become itself again it is aborted.
    /// - The kernel makes a process that changes its uid not dumpable (`/proc/sys/fs/suid_dumpable`): it leaves no core file afterwards.
    ///
    /// ```no_run
    /// # fn f(instance: &session0::pipe::Instance) -> Result<(), session0::pipe::Error> {
    /// instance.read_message()?;
    /// let allowed = instance.impersonate(|| std::fs::File::open("/srv/reports/2026.txt").is_ok())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn impersonate<T>(&self, act: impl FnOnce() -> T) -> Result<T, Error> {
        impersonate::run(&self.client, self.pipe.facts(), act)
    }
}

/// Whether an instance may wait for the next client.
pub(super) fn may_connect(facts: &Facts, socket: BorrowedFd<'_>) -> Result<(), Error> {
    if facts.disconnected() {
        return Ok(());
    }
    Err(match socket::gone(socket) {
        None => Error::new(Code::PipeConnected, "a client is there already"),
        Some(_) => {
            Error::new(Code::NoData, "the client is gone, and the instance is not disconnected from it")
                .with_hint("call `disconnect` before `connect`")
        }
    })
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
