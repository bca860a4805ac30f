//! A pipe that is served: the connection to the host, the thread that hears it, and who waits for clients.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use session0_api::pipe::control::{FromHost, FromServer};
use session0_api::pipe::{Access, Impersonation, Listening, Peer, PipeType};

use super::call::Answered;
use super::control::{Counts, Hearing, Object, said};
use super::end::Raw;
use super::error::{Code, Error};
use super::facts::{Way, late, not_known};
use super::peer::Client;
use super::socket::Patience;
use crate::packet;
use crate::wire::Descriptors;

/// What all instances and the server have in common.
pub(super) struct Serving {
    socket: OwnedFd,
    pub(super) about: Listening,
    descriptors: Descriptors,
    state: Mutex<State>,
    changed: Condvar,
    /// The same for those who wait within tokio.
    pub(super) notify: tokio::sync::Notify,
}

struct State {
    counts: Counts,
    /// Clients that nobody has accepted yet.
    ready: VecDeque<Accepted>,
    /// Why nothing is heard from the host any more.
    ended: Option<Error>,
}

/// A client at its instance.
pub(super) struct Accepted {
    pub(super) instance: u64,
    pub(super) raw: Raw,
    pub(super) client: Client,
}

/// What waiting for a client may find.
pub(super) enum Found {
    Client(Box<Accepted>),
    Nobody,
}

/// Whether one who waits has asked the host again for an instance it had refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Not,
    Already,
}

impl Serving {
    /// Begins to serve on the connection that `Listen` was answered on, where one instance listens.
    pub(super) fn begin(
        answered: Answered<Listening>,
        descriptors: Descriptors,
    ) -> Result<Arc<Serving>, Error> {
        let Answered { reply: about, socket, rest, arrived } = answered;
        if about.kind == PipeType::Unknown {
            return Err(not_known("a type of pipe"));
        }
        // The thread waits for the host as long as it takes; what is said to it is off this end long before it would be late.
        rustix::io::ioctl_fionbio(&socket, false)
            .and_then(|()| set_socket_timeout(&socket, Timeout::Recv, None))
            .and_then(|()| set_socket_timeout(&socket, Timeout::Send, Some(crate::connect::SEND_WAIT)))
            .map_err(|error| Error::system("prepare the connection to the host", error))?;
        let counts = Counts {
            limit: about.instances_max,
            listening_max: about.listening_max.max(1),
            listening: 1,
            connected: 0,
            refused: false,
            stopped: false,
        };
        let state = Mutex::new(State { counts, ready: VecDeque::new(), ended: None });
        let (changed, notify) = (Condvar::new(), tokio::sync::Notify::new());
        let serving = Arc::new(Serving { socket, about, descriptors, state, changed, notify });
        serving.announce(&mut serving.lock());
        let hearing = Hearing::new(rest, arrived);
        let thread = std::thread::Builder::new().name("session0-pipe".to_owned());
        let heard = Arc::clone(&serving);
        thread.spawn(move || heard.hear(hearing)).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::NOMEM);
            Error::system("start the thread that hears the host", errno)
        })?;
        Ok(serving)
    }

    /// Until the host says nothing any more.
    fn hear(&self, mut hearing: Hearing) {
        let why = loop {
            match hearing.next(self.socket.as_fd()) {
                Ok(Some(object)) => {
                    if let Err(error) = self.heard(object) {
                        break error;
                    }
                }
                Ok(None) => break lost("the host closed the connection"),
                Err(error) => break Error::system("hear from the host about a pipe", error),
            }
        };
        self.end(&mut self.lock(), why);
    }

    fn heard(&self, object: Object) -> Result<(), Error> {
        let Object { bytes, descriptors } = object;
        match packet::read(&bytes, "the host about a pipe")? {
            FromHost::Connected { instance, access, impersonation, client } => {
                self.taken(instance, access, impersonation, client, descriptors);
            }
            FromHost::Recount {} => {
                let mut state = self.lock();
                let Counts { listening, connected, .. } = state.counts;
                self.say(&mut state, &[FromServer::Counted { listening, connected }]);
            }
            FromHost::Refused { instances } => {
                self.lock().counts.refuse(instances);
                self.tell();
            }
            FromHost::Unknown => {}
        }
        Ok(())
    }

    fn taken(
        &self,
        instance: u64,
        access: Access,
        level: Impersonation,
        peer: Peer,
        descriptors: Vec<OwnedFd>,
    ) {
        let mut descriptors = descriptors.into_iter();
        let (socket, process) = (descriptors.next(), descriptors.next());
        let mut state = self.lock();
        state.counts.taken();
        let way = Way::server(access);
        match (socket, way) {
            (Some(socket), Ok(way)) if !state.counts.stopped => {
                let (kind, descriptors) = (self.about.kind, self.descriptors);
                let raw = Raw { socket, kind, way, descriptors, rest: Vec::new(), arrived: Vec::new() };
                let client = Client::new(peer, process, level);
                state.ready.push_back(Accepted { instance, raw, client });
                self.announce(&mut state);
            }
            // Nobody will accept it; or there was no room for its descriptor in this process.
            _ => self.close(&mut state, instance),
        }
        drop(state);
        self.tell();
    }

    /// An instance that had a client is gone.
    pub(super) fn closed(&self, instance: u64) {
        self.close(&mut self.lock(), instance);
        self.tell();
    }

    fn close(&self, state: &mut State, instance: u64) {
        state.counts.closed();
        let mut objects = vec![FromServer::Closed { instance }];
        let more = state.counts.more(state.ready.len());
        if more > 0 {
            objects.push(FromServer::Listen { instances: more });
        }
        self.say(state, &objects);
        self.finish(state);
    }

    /// No instance listens any more; those with a client go on.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.counts.stop();
        self.say(&mut state, &[FromServer::Stop {}]);
        let unaccepted = std::mem::take(&mut state.ready);
        for accepted in &unaccepted {
            self.close(&mut state, accepted.instance);
        }
        self.finish(&mut state);
        drop(state);
        self.tell();
    }

    /// Closes the connection to the host when nothing will be said on it any more.
    fn finish(&self, state: &mut State) {
        if state.counts.stopped && state.counts.connected == 0 {
            self.end(state, lost("the server was closed"));
        }
    }

    fn end(&self, state: &mut State, why: Error) {
        state.ended.get_or_insert(why);
        // Wakes the thread that hears.
        let _ = shutdown(&self.socket, Shutdown::Both);
        self.tell();
    }

    /// Has as many listen as may.
    fn announce(&self, state: &mut State) {
        let more = state.counts.more(state.ready.len());
        if more > 0 {
            self.say(state, &[FromServer::Listen { instances: more }]);
        }
    }

    /// Says it while the state is held, so that the host hears things in the order in which they were counted.
    fn say(&self, state: &mut State, objects: &[FromServer]) {
        if state.ended.is_some() {
            return;
        }
        let sent = said(objects).map_err(|_| Errno::INVAL).and_then(|bytes| {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let count = retry_on_intr(|| send(&self.socket, rest, SendFlags::NOSIGNAL))?;
                rest = &rest[count..];
            }
            Ok(())
        });
        match sent {
            Ok(()) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => self.end(state, lost("the host closed the connection")),
            Err(error) => self.end(state, Error::system("tell the host about a pipe", error)),
        }
    }

    /// The next client, if there is one. An error if there will be none.
    pub(super) fn try_take(&self, asked: &mut Asked) -> Result<Found, Error> {
        self.try_take_locked(&mut self.lock(), asked)
    }

    fn try_take_locked(&self, state: &mut State, asked: &mut Asked) -> Result<Found, Error> {
        if let Some(accepted) = state.ready.pop_front() {
            self.announce(state);
            return Ok(Found::Client(Box::new(accepted)));
        }
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        if state.counts.stopped {
            return Err(lost("the server was closed"));
        }
        let Counts { listening, connected, refused, .. } = state.counts;
        if refused && listening == 0 {
            match *asked {
                // What was refused may be possible since: another server's instances may be gone.
                Asked::Not => {
                    *asked = Asked::Already;
                    state.counts.refused = false;
                    self.announce(state);
                }
                Asked::Already if connected == 0 => {
                    let message = format!("{} has as many instances as it may have", self.about.name);
                    return Err(Error::new(Code::PipeBusy, message)
                        .with_hint("another process serves it too; `s0 pipe list` shows who"));
                }
                // One that is closed here makes room.
                Asked::Already => {}
            }
        }
        Ok(Found::Nobody)
    }

    /// Waits for the next client.
    pub(super) fn take(&self, patience: Patience) -> Result<Accepted, Error> {
        let mut asked = Asked::Not;
        let mut state = self.lock();
        loop {
            if let Found::Client(accepted) = self.try_take_locked(&mut state, &mut asked)? {
                return Ok(*accepted);
            }
            state = match patience {
                Patience::ForEver => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Patience::No => return Err(nobody()),
                Patience::Until(end) => {
                    let left = end.saturating_duration_since(std::time::Instant::now());
                    if left.is_zero() {
                        return Err(no_client_in_time());
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn tell(&self) {
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    // What is counted is counted before anything can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn nobody() -> Error {
    Error::new(Code::PipeListening, "no client is there yet")
}

pub(super) fn no_client_in_time() -> Error {
    late("no client came in time")
}

fn lost(why: &str) -> Error {
    Error::new(Code::OperationAborted, format!("no client can come any more: {why}"))
        .with_hint("clients that are connected go on; serve the pipe again when the host is up")
}
