//! One connection: reads calls, answers them, in the order they came.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use session0_model::access::Caller;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::dispatch::{self, Answer, Call};
use super::frame::{Frames, Next, READ_SIZE};
use super::host::Host;
use super::limits::Limits;
use super::subscription;
use crate::message;

/// Descriptors of one answer (the kernel takes 253).
pub const DESCRIPTORS_MAX: usize = 64;

/// Takes over a connection whose call with `upgrade` was answered. Dropped without that, what was promised is taken back.
pub trait Taken: std::fmt::Debug {
    /// The connection, nonblocking.
    fn take(self: Box<Self>, socket: OwnedFd);
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The client closed it.
    Closed,
    /// The client sent what is no call.
    Garbage(String),
    /// A call was longer than it may be.
    TooLong,
    /// A call that had begun was not whole in time.
    HalfACall,
    /// Nothing was asked for too long.
    Idle,
    /// The client did not take its answer in time.
    NeverReads,
    /// A subscriber fell too far behind.
    Behind(u64),
    /// The daemon ends.
    Down,
    /// The socket failed.
    Socket(io::Error),
    /// It is no connection of calls any more.
    Upgraded(Box<dyn Taken>),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Closed => f.write_str("it hung up"),
            End::Garbage(what) => write!(f, "it sent what is no call: {what}"),
            End::TooLong => f.write_str("it sent a call that is too long"),
            End::HalfACall => f.write_str("it sent half a call and no more"),
            End::Idle => f.write_str("it asked for nothing"),
            End::NeverReads => f.write_str("it did not read its answer"),
            End::Behind(events) => write!(f, "it was {events} events behind"),
            End::Down => f.write_str("the daemon ends"),
            End::Socket(error) => write!(f, "its socket failed: {error}"),
            End::Upgraded(_) => f.write_str("it became something else"),
        }
    }
}

/// One client.
pub struct Connection<H> {
    host: H,
    caller: Caller,
    pub(super) output: Output,
    input: Frames,
}

/// The side that is written to.
pub struct Output {
    pub(super) stream: UnixStream,
    pub(super) limits: Rc<Limits>,
}

impl<H: Host> Connection<H> {
    /// A connection that was accepted and identified.
    pub fn new(host: H, caller: Caller, stream: UnixStream, limits: Rc<Limits>) -> Connection<H> {
        Connection { host, caller, output: Output { stream, limits }, input: Frames::default() }
    }

    /// Serves it to its end.
    pub async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let (uid, pid) = (self.caller.uid, self.caller.pid);
        message::debug("an API connection ended", &[("uid", &uid), ("pid", &pid), ("reason", &end)]);
        if let End::Upgraded(taken) = end {
            match self.output.stream.into_std() {
                Ok(stream) => taken.take(stream.into()),
                Err(error) => message::warn("a connection cannot be passed on", &[("reason", &error)]),
            }
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let bytes = self.next_call().await?;
            // serde would take a list for the fields in their order.
            if !bytes.trim_ascii_start().starts_with(b"{") {
                return Err(End::Garbage("it is no object".to_owned()));
            }
            let call: Call =
                serde_json::from_slice(&bytes).map_err(|error| End::Garbage(error.to_string()))?;
            drop(bytes);
            let handling = dispatch::handle(&self.host, &self.caller, &call);
            match unless_gone(self.output.stream.as_fd(), handling).await {
                // The call is abandoned. Further ones it sent before it hung up may want no answer.
                None => {}
                Some(_) if call.oneway() => {}
                Some(Answer::Reply(bytes)) => self.output.write(&bytes, &[]).await?,
                Some(Answer::Long(bytes, _place)) => self.output.write(&bytes, &[]).await?,
                Some(Answer::Files(bytes, files)) => self.output.write(&bytes, &files).await?,
                Some(Answer::Upgraded(bytes, taken)) => {
                    if self.input.is_begun() {
                        return Err(End::Garbage("it went on before its call was answered".to_owned()));
                    }
                    self.output.write(&bytes, &[]).await?;
                    return Err(End::Upgraded(taken));
                }
                Some(Answer::Subscribed(subscription)) => {
                    subscription::serve(&self.host, &self.output, *subscription, &call).await?;
                }
            }
            // Whoever sends many calls at once must not keep the daemon from its other work.
            tokio::task::yield_now().await;
        }
    }

    async fn next_call(&mut self) -> Result<Vec<u8>, End> {
        let limits = self.output.limits.clone();
        let mut begun_until = None;
        loop {
            let (until, late) = match self.input.take(limits.call_bytes) {
                Next::Call(call) => return Ok(call),
                Next::TooLong => return Err(End::TooLong),
                Next::Nothing => (Instant::now() + limits.idle_time, End::Idle),
                Next::Begun => {
                    (*begun_until.get_or_insert_with(|| Instant::now() + limits.call_time), End::HalfACall)
                }
            };
            match self.read() {
                Ok(0) => return Err(End::Closed),
                Ok(_) => {
                    // Bytes that come one at a time and never end must not keep the daemon from its other work.
                    tokio::task::consume_budget().await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match tokio::time::timeout_at(until, self.output.stream.readable()).await {
                        Ok(ready) => ready.map_err(End::Socket)?,
                        Err(_) => return Err(late),
                    }
                }
                Err(error) => return Err(ended(error)),
            }
        }
    }

    /// Reads once. No room is given for descriptors, so the kernel drops those that somebody sends: no method
    /// takes any.
    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; READ_SIZE];
        let count = self.output.stream.try_read(&mut buffer)?;
        self.input.add(&buffer[..count]);
        Ok(count)
    }
}

impl Output {
    /// Writes one or more whole messages; descriptors go with the first byte.
    pub async fn write(&self, bytes: &[u8], files: &[OwnedFd]) -> Result<(), End> {
        let files: Vec<BorrowedFd<'_>> = files.iter().take(DESCRIPTORS_MAX).map(AsFd::as_fd).collect();
        let mut sent = 0;
        let mut until = None;
        while sent < bytes.len() {
            let with = if sent == 0 { &files[..] } else { &[] };
            match self.stream.try_io(Interest::WRITABLE, || send(self.stream.as_fd(), &bytes[sent..], with)) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *until.get_or_insert_with(|| Instant::now() + self.limits.write_time);
                    match tokio::time::timeout_at(until, self.stream.writable()).await {
                        Ok(ready) => ready.map_err(End::Socket)?,
                        Err(_) => return Err(End::NeverReads),
                    }
                }
                Err(error) => return Err(ended(error)),
            }
        }
        Ok(())
    }
}

/// Sends what fits now; descriptors go with the first byte.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("too many descriptors for one answer"));
    }
    let slices = [io::IoSlice::new(bytes)];
    Ok(rustix::io::retry_on_intr(|| sendmsg(socket, &slices, &mut control, flags))?)
}

fn ended(error: io::Error) -> End {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => End::Closed,
        _ => End::Socket(error),
    }
}

/// Runs something for a client, unless the client is gone before it is done. Most calls are done at once and
/// need no watching.
pub async fn unless_gone<T>(stream: BorrowedFd<'_>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let first = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    if let Poll::Ready(done) = first {
        return Some(done);
    }
    match select(work, pin!(gone(stream))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// Ends when the client is gone. A client that only closed its own sending side still wants its answers.
///
/// It watches by a descriptor of its own, and for writing: the kernel tells of a hang-up in any case, but calls
/// that wait to be read, and a sending side that was closed, would be told of again and again.
pub async fn gone(stream: BorrowedFd<'_>) {
    /// How often it is looked at when no descriptor is left to watch with.
    const LOOK: Duration = Duration::from_secs(1);
    let duplicate = stream.try_clone_to_owned().map(std::os::unix::net::UnixStream::from);
    let watch = duplicate.and_then(UnixStream::from_std);
    while !hung_up(stream) {
        match &watch {
            Ok(watch) => match watch.writable().await {
                Ok(()) => forget_readiness(watch),
                Err(_) => return,
            },
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The next wait is for the next change, not for what is known already: tokio takes "would block" for that.
fn forget_readiness(watch: &UnixStream) {
    let _ = watch.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

fn hung_up(stream: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
}
