//! Joins two streams of ours with a pipe: one thread each way, so that neither way waits for the other.

mod clock;
mod json;
mod messages;

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::Shutdown;
use session0::pipe::{self, Code, Pipe, PipeType};

use clock::Clock;
use messages::Splitter;
pub use messages::{Framing, MessageArgs};

/// Moved at once.
const PIECE: usize = 64 * 1024;

/// What messages look like where there are only bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Where one ends, both ways.
    pub framing: Framing,
    /// Whether those that come are shown as JSON objects.
    pub json: bool,
}

/// The streams on our side.
pub struct Ours {
    /// What is said to the other end.
    pub from: File,
    /// Where it goes what the other end says.
    pub to: File,
}

impl Ours {
    /// This program's standard input and output.
    pub fn standard() -> io::Result<Ours> {
        let from = io::stdin().as_fd().try_clone_to_owned()?.into();
        Ok(Ours { from, to: io::stdout().as_fd().try_clone_to_owned()?.into() })
    }
}

/// Why one way ended before its time.
#[derive(Debug)]
pub enum Trouble {
    /// The pipe.
    Pipe(pipe::Error),
    /// The other end closed the pipe before it had read what was said to it.
    Unheard,
    /// Nothing was moved for as long as it may be.
    Idle(Duration),
    /// Our stream could not be read, or has a message that is too long.
    Input(io::Error),
    /// Our stream could not be written to, and not because nobody reads it any more.
    Output(io::Error),
    /// Nobody reads our stream any more.
    OutputClosed,
}

/// Which ways an end of a pipe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// What the other end says can be read.
    pub reads: bool,
    /// Something can be said to it.
    pub writes: bool,
}

impl Ways {
    /// The library refuses the way that an end does not go, and does nothing else in these two calls on a pipe that is new.
    pub fn of(pipe: &Pipe) -> Ways {
        let refused = |error: pipe::Error| error.code() == Code::AccessDenied;
        Ways { reads: !pipe.peek(&mut []).is_err_and(refused), writes: !pipe.flush().is_err_and(refused) }
    }
}

/// What one of the two threads found.
enum Ended {
    Saying(Result<(), Trouble>),
    Hearing(Result<(), Trouble>),
    /// The other end does not listen any more either.
    Gone,
}

/// Joins them until the other end has closed the pipe and all that it said is written. The end of our stream is passed on: the other
/// end's next read finds the end, and what it says still is heard. Where the other end does the same, what we say still is said. On a
/// pipe that only goes to the other end, until our stream has ended and was read there.
pub fn join<P>(pipe: P, ours: Ours, form: Form, idle_max: Option<Duration>) -> Result<(), Trouble>
where
    P: Deref<Target = Pipe> + Send + Sync + 'static,
{
    let ways = Ways::of(&pipe);
    let (pipe, clock) = (Arc::new(pipe), Arc::new(Clock::new()));
    let (ended, ends) = channel();
    let Ours { from, to } = ours;
    if ways.writes {
        let (pipe, clock, framing, ended) =
            (Arc::clone(&pipe), Arc::clone(&clock), form.framing.clone(), ended.clone());
        // Nobody waits for the outcome when the other way decided the end.
        start("s0-pipe-out", move || drop(ended.send(Ended::Saying(say(&pipe, from, &framing, &clock)))))?;
    }
    if ways.reads {
        let (pipe, clock, ended) = (Arc::clone(&pipe), Arc::clone(&clock), ended.clone());
        start("s0-pipe-in", move || {
            let _ = ended.send(Ended::Hearing(hear(&pipe, to, &form, &clock)));
            wait_gone(&pipe);
            let _ = ended.send(Ended::Gone);
        })?;
    }
    drop(ended);
    watch(&pipe, ways, &ends, &clock, idle_max)
}

/// A thread that may wait in a read of ours that never ends; the program's end is its end then.
fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Trouble> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(Trouble::Input)
}

/// Waits until neither way goes any more.
fn wait_gone(pipe: &Pipe) {
    let mut watched = [PollFd::new(pipe, PollFlags::empty())];
    // It fails only where there is nothing to wait for.
    let _ = rustix::io::retry_on_intr(|| poll(&mut watched, None));
}

fn watch(
    pipe: &Pipe,
    ways: Ways,
    ends: &Receiver<Ended>,
    clock: &Clock,
    idle_max: Option<Duration>,
) -> Result<(), Trouble> {
    let (mut said, mut heard) = (if ways.writes { None } else { Some(Ok(())) }, !ways.reads);
    loop {
        match next(ends, clock, idle_max)? {
            Some(Ended::Hearing(result)) => {
                result?;
                heard = true;
            }
            // The other end is closing: what it said before is still to be heard.
            Some(Ended::Saying(Err(Trouble::Pipe(error)))) if error.code() == Code::NoData => {
                said = Some(Err(Trouble::Unheard));
            }
            Some(Ended::Saying(result)) => {
                result?;
                said = Some(Ok(()));
            }
            Some(Ended::Gone) | None => {
                said.get_or_insert(Ok(()));
            }
        }
        if heard && let Some(said) = said.take() {
            return said.and_then(|()| flush(pipe, ways, idle_max));
        }
    }
}

/// The next that ended; `None` when both have.
fn next(ends: &Receiver<Ended>, clock: &Clock, idle_max: Option<Duration>) -> Result<Option<Ended>, Trouble> {
    let Some(most) = idle_max else { return Ok(ends.recv().ok()) };
    loop {
        let left = most.saturating_sub(clock.idle());
        if left.is_zero() {
            return Err(Trouble::Idle(most));
        }
        match ends.recv_timeout(left) {
            Ok(ended) => return Ok(Some(ended)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits until the other end has read everything, or is gone.
fn flush(pipe: &Pipe, ways: Ways, idle_max: Option<Duration>) -> Result<(), Trouble> {
    if !ways.writes {
        return Ok(());
    }
    pipe.set_timeout(idle_max);
    pipe.flush().map_err(|error| match (error.code(), idle_max) {
        (Code::BrokenPipe, _) => Trouble::Unheard,
        (Code::SemTimeout, Some(most)) => Trouble::Idle(most),
        _ => Trouble::Pipe(error),
    })
}

/// Both ways between a pipe and a command's standard streams, each in its thread.
pub struct Relay {
    saying: Option<JoinHandle<()>>,
    hearing: Option<JoinHandle<()>>,
}

impl Relay {
    /// Begins. A stream that is not there is a way that is not gone. The command's input ends where the client ends; what goes wrong on
    /// the pipe ends it, too: whoever waits for the command learns how that ended.
    pub fn start<P>(pipe: Arc<P>, from: Option<File>, to: Option<File>, form: &Form) -> io::Result<Relay>
    where
        P: Deref<Target = Pipe> + Send + Sync + 'static,
    {
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let clock = Arc::new(Clock::new());
        let say = from.map(|from| {
            let (pipe, framing, clock) = (Arc::clone(&pipe), form.framing.clone(), Arc::clone(&clock));
            thread("s0-pipe-out").spawn(move || drop(say(&pipe, from, &framing, &clock)))
        });
        let hear = to.map(|to| {
            let form = form.clone();
            thread("s0-pipe-in").spawn(move || drop(hear(&pipe, to, &form, &clock)))
        });
        Ok(Relay { saying: say.transpose()?, hearing: hear.transpose()? })
    }

    /// Waits until all that the command said is passed on.
    pub fn wait_said(&mut self) {
        wait(&mut self.saying);
    }

    /// Waits until nothing is heard any more.
    pub fn wait_heard(&mut self) {
        wait(&mut self.hearing);
    }
}

fn wait(thread: &mut Option<JoinHandle<()>>) {
    if let Some(thread) = thread.take() {
        // It does not panic, and if it did it would have said so.
        let _ = thread.join();
    }
}

/// Passes our stream on to its end, and then the end.
fn say(pipe: &Pipe, mut from: File, framing: &Framing, clock: &Clock) -> Result<(), Trouble> {
    if pipe.kind() == PipeType::Message {
        let mut messages = Splitter::new(from, framing.clone());
        while let Some(message) = messages.next().map_err(Trouble::Input)? {
            pipe.write_message(&message).map_err(Trouble::Pipe)?;
            clock.moved();
        }
    } else {
        let mut bytes = vec![0; PIECE];
        loop {
            let length = read(&mut from, &mut bytes).map_err(Trouble::Input)?;
            if length == 0 {
                break;
            }
            let mut piece = &bytes[..length];
            while !piece.is_empty() {
                piece = &piece[pipe.write(piece).map_err(Trouble::Pipe)?..];
            }
            clock.moved();
        }
    }
    // If it fails the other end is gone, which whoever reads from it learns.
    let _ = rustix::net::shutdown(pipe, Shutdown::Write);
    Ok(())
}

/// Writes what the other end says, until it says nothing any more.
fn hear(pipe: &Pipe, mut to: File, form: &Form, clock: &Clock) -> Result<(), Trouble> {
    let messages = pipe.kind() == PipeType::Message;
    if messages && form.json {
        return hear_json(pipe, &mut to, clock);
    }
    let end: &[u8] = if messages { form.framing.end() } else { &[] };
    let mut bytes = vec![0; PIECE + end.len()];
    loop {
        let read = match pipe.read(&mut bytes[..PIECE]) {
            Ok(read) => read,
            Err(error) if error.code() == Code::BrokenPipe => return Ok(()),
            Err(error) => return Err(Trouble::Pipe(error)),
        };
        let mut length = read.bytes;
        if read.rest == pipe::Rest::Whole {
            bytes[length..length + end.len()].copy_from_slice(end);
            length += end.len();
        }
        write(&mut to, &bytes[..length])?;
        clock.moved();
    }
}

fn hear_json(pipe: &Pipe, to: &mut File, clock: &Clock) -> Result<(), Trouble> {
    loop {
        match pipe.read_message() {
            Ok(message) => write(to, json::line(&message).as_bytes())?,
            Err(error) if error.code() == Code::BrokenPipe => return Ok(()),
            Err(error) => return Err(Trouble::Pipe(error)),
        }
        clock.moved();
    }
}

fn read(from: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn write(to: &mut File, bytes: &[u8]) -> Result<(), Trouble> {
    to.write_all(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Trouble::OutputClosed,
        _ => Trouble::Output(error),
    })
}
