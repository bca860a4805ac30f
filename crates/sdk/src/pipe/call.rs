//! The calls of `io.session0.Pipe` that end as something else than a call, and when they are made again.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use session0_api::interface::Method;

use super::error::{Code, Error};
use super::facts::late;
use crate::connect;
use crate::wire::{self, Answers, Descriptors, Input};

/// What a host has beyond the time that was to be waited: it may be starting the service that serves the pipe.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before the first further attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The wait that is asked for where it is for ever: asked for again when it is over.
const EVER_MS: u64 = u32::MAX as u64;

/// How long to wait for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    No,
    /// As long as the pipe's server said.
    Default,
    For(Duration),
    ForEver,
}

impl Waiting {
    pub(super) fn of(time: Duration) -> Waiting {
        if time.is_zero() { Waiting::No } else { Waiting::For(time) }
    }

    /// What is asked for now, where waiting began then. In the interface nothing is not at all, and 0 is the pipe's own time.
    pub(super) fn left_ms(self, began: Instant) -> Option<u64> {
        match self {
            Waiting::No => None,
            Waiting::Default => Some(0),
            Waiting::For(time) => {
                let left = time.saturating_sub(began.elapsed()).as_micros().div_ceil(1000);
                Some(u64::try_from(left).unwrap_or(EVER_MS).clamp(1, EVER_MS))
            }
            Waiting::ForEver => Some(EVER_MS),
        }
    }

    /// When the answer must be there. `default` is the pipe's own time.
    pub(super) fn end(self, patience: Duration, default: Duration) -> Option<Instant> {
        let time = match self {
            Waiting::No => patience,
            Waiting::Default => default.saturating_add(patience),
            Waiting::For(time) => time.saturating_add(patience),
            Waiting::ForEver => return None,
        };
        Instant::now().checked_add(time)
    }
}

/// An answer, and the connection as it is behind it.
pub(super) struct Answered<R> {
    pub(super) reply: R,
    pub(super) socket: OwnedFd,
    /// Bytes behind the answer.
    pub(super) rest: Vec<u8>,
    /// Descriptors that came with the answer or with what is behind it.
    pub(super) arrived: Vec<OwnedFd>,
}

/// How a call is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) answers: Answers,
    pub(super) descriptors: Descriptors,
    /// When the answer must be there; `None` is never.
    pub(super) end: Option<Instant>,
}

impl Manner {
    /// The time that is left, which is never nothing: to a socket no time is for ever.
    pub(super) fn left(&self) -> Option<Duration> {
        let least = Duration::from_millis(1);
        self.end.map(|end| end.saturating_duration_since(Instant::now()).max(least))
    }
}

/// Why an attempt failed.
pub(super) enum Failed {
    /// It was not carried out and may be made again.
    Again(Error),
    Lasting(Error),
}

/// When the next attempt is, if there is one.
pub(super) struct Retry {
    end: Option<Instant>,
    pause: Duration,
}

impl Retry {
    pub(super) fn new(end: Option<Instant>) -> Retry {
        Retry { end, pause: PAUSE }
    }

    /// The pause before the next attempt; the error, if it lasts or there is no time.
    pub(super) fn after(&mut self, failed: Failed) -> Result<Duration, Error> {
        let error = match failed {
            Failed::Lasting(error) => {
                // One who waits for ever asks again when the longest time that can be asked for is over.
                let for_ever = self.end.is_none() && error.code() == Code::SemTimeout;
                return if for_ever { Ok(PAUSE) } else { Err(error) };
            }
            Failed::Again(error) => error,
        };
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        match self.end {
            Some(end) if Instant::now() + pause >= end => Err(error),
            _ => Ok(pause),
        }
    }
}

/// Makes a call, and makes it again while that can help and there is time.
pub(super) fn call<M: Method>(
    path: &Path,
    manner: Manner,
    parameters: impl Fn() -> M,
) -> Result<Answered<M::Reply>, Error> {
    let mut retry = Retry::new(manner.end);
    loop {
        match attempt(path, manner, &parameters()) {
            Ok(answered) => return Ok(answered),
            Err(failed) => std::thread::sleep(retry.after(failed)?),
        }
    }
}

fn attempt<M: Method>(path: &Path, manner: Manner, parameters: &M) -> Result<Answered<M::Reply>, Failed> {
    let wait = manner.left().map_or(connect::CONNECT_WAIT, |left| left.min(connect::CONNECT_WAIT));
    let mut stream =
        connect::blocking_within(path, wait).map_err(|error| unconnected(path, &error, M::NAME))?;
    let call = wire::call(parameters, manner.answers).map_err(|error| Failed::Lasting(error.into()))?;
    match stream.write_all(&call) {
        Ok(()) => {}
        // A host that refuses a connection says why before it closes: that is still to be read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => return Err(unanswered(path, &error, M::NAME)),
    }
    let mut input = Input::accepting(manner.descriptors);
    loop {
        if let Some(message) = input.take() {
            return answered::<M>(&message, stream.into(), input);
        }
        let filled = stream.set_read_timeout(manner.left()).and_then(|()| input.fill(stream.as_fd()));
        match filled {
            Ok(0) => return Err(unanswered(path, &io::ErrorKind::UnexpectedEof.into(), M::NAME)),
            Ok(_) => {}
            Err(error) => return Err(unanswered(path, &error, M::NAME)),
        }
    }
}

/// What an answer means, whoever waited for it.
pub(super) fn answered<M: Method>(
    message: &[u8],
    socket: OwnedFd,
    input: Input,
) -> Result<Answered<M::Reply>, Failed> {
    match wire::answer::<M>(message) {
        Ok(reply) => {
            let (rest, arrived) = input.into_rest();
            Ok(Answered { reply, socket, rest, arrived })
        }
        Err(crate::Error::Refused(refused)) if refused.name == "io.session0.Host.TooManyClients" => {
            Err(Failed::Again(crate::Error::Refused(refused).into()))
        }
        Err(error) => Err(Failed::Lasting(error.into())),
    }
}

/// What a connection that is not made means.
pub(super) fn unconnected(path: &Path, error: &io::Error, method: &str) -> Failed {
    Failed::Lasting(match error.kind() {
        io::ErrorKind::WouldBlock => silent(method),
        _ => connect::unreachable(path, error).into(),
    })
}

/// What a connection without an answer means.
pub(super) fn unanswered(path: &Path, error: &io::Error, method: &str) -> Failed {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Failed::Again(connect::broken(path, error).into())
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failed::Lasting(silent(method)),
        _ => Failed::Lasting(connect::broken(path, error).into()),
    }
}

/// The host does not answer.
pub(super) fn silent(method: &str) -> Error {
    late(&format!("the host did not answer {method} in time"))
        .with_hint("the daemon may be starting again; `s0 doctor` says what is wrong")
}
