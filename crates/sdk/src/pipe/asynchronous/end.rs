//! One end of a pipe within tokio.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::Shutdown;
use session0_api::pipe::PipeType;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::pipe::end::{Raw, flushed, not_a_stream, whole};
use crate::pipe::error::{Code, Error};
use crate::pipe::facts::{Begun, Facts, ReadMode, late};
use crate::pipe::inbox::{FRAGMENT_MAX, Framing, Gathered, Inbox, Peeked, Read, Rest, Source, fragments};
use crate::pipe::socket::{self, Patience, Socket};
use crate::wire::Descriptors;

/// The first pause of [`Pipe::flush`]; it doubles.
const FLUSH_PAUSE: Duration = Duration::from_millis(1);
/// The longest.
const FLUSH_PAUSE_MAX: Duration = Duration::from_millis(16);

/// One end of a pipe within tokio; see [`crate::pipe::Pipe`]. [`Instance`](super::Instance) and [`PipeClient`](super::PipeClient) have it in
/// common; [`Stream`] makes one [`AsyncRead`] and [`AsyncWrite`].
///
/// ```no_run
/// # async fn f(pipe: &session0::pipe::asynchronous::Pipe) -> Result<(), session0::pipe::Error> {
/// pipe.write_message(b"jobs?").await?;
/// println!("{:?}", pipe.read_message().await?);
/// # Ok(())
/// # }
/// ```
pub struct Pipe {
    stream: UnixStream,
    facts: Facts,
    /// Locked for as long as it takes to look, never while something is waited for.
    inbox: std::sync::Mutex<Inbox>,
    /// Held from the beginning of a read to its end.
    reading: Mutex<()>,
    /// The same for a write.
    writing: Mutex<()>,
    /// In nanoseconds; the highest number is none.
    timeout: AtomicU64,
}

/// Bytes from a stream of tokio's, without waiting.
struct Ready<'a> {
    stream: &'a UnixStream,
    descriptors: Descriptors,
}

impl Source for Ready<'_> {
    fn receive(
        &mut self,
        first: &mut [u8],
        then: &mut [u8],
        arrived: &mut Vec<OwnedFd>,
    ) -> Result<usize, Errno> {
        let socket = self.stream.as_fd();
        let mut socket = Socket { socket, patience: Patience::No, descriptors: self.descriptors };
        let received = self.stream.try_io(Interest::READABLE, || Ok(socket.receive(first, then, arrived)?));
        received.map_err(|error| errno(&error))
    }
}

/// tokio itself says that it is not ready without a number of the system.
fn errno(error: &io::Error) -> Errno {
    match Errno::from_io_error(error) {
        Some(errno) => errno,
        None if error.kind() == io::ErrorKind::WouldBlock => Errno::AGAIN,
        None => Errno::IO,
    }
}

/// A message of which a part is written. Breaks the pipe if it is dropped so.
struct Unfinished<'a> {
    pipe: &'a Pipe,
    begun: Begun,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.begun == Begun::Message {
            self.pipe.facts.break_off();
            let _ = rustix::net::shutdown(&self.pipe.stream, Shutdown::Both);
        }
    }
}

impl Pipe {
    pub(super) fn new(raw: Raw) -> Result<Pipe, Error> {
        let Raw { socket, kind, way, descriptors, rest, arrived } = raw;
        let facts = Facts::new(kind, way, descriptors)?;
        let stream = std::os::unix::net::UnixStream::from(socket);
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| UnixStream::from_std(stream))
            .map_err(|error| Error::system("prepare the pipe", errno(&error)))?;
        Ok(Pipe {
            stream,
            facts,
            inbox: std::sync::Mutex::new(Inbox::new(rest, arrived)),
            reading: Mutex::new(()),
            writing: Mutex::new(()),
            timeout: AtomicU64::new(u64::MAX),
        })
    }

    /// The socket, for what reads and writes it otherwise than by this type.
    pub(crate) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Something was read from it so.
    pub(crate) fn note_heard(&self) {
        self.facts.note_heard();
    }

    /// What it carries.
    pub fn kind(&self) -> PipeType {
        self.facts.kind
    }

    /// How it is read now.
    pub fn read_mode(&self) -> ReadMode {
        self.facts.read_mode()
    }

    /// Changes how a message pipe is read; see [`crate::pipe::Pipe::set_read_mode`].
    pub fn set_read_mode(&self, mode: ReadMode) -> Result<(), Error> {
        self.facts.set_read_mode(mode)
    }

    /// The longest that each read, write, flush and transaction waits; see [`crate::pipe::Pipe::set_timeout`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let nanoseconds = timeout.map_or(u64::MAX, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.timeout.store(nanoseconds, Ordering::Relaxed);
    }

    /// The longest message that [`Pipe::read_message`] gives, in bytes; [`crate::pipe::MESSAGE_MAX`] at first.
    pub fn set_message_max(&self, bytes: usize) {
        self.facts.message_max.store(bytes, Ordering::Relaxed);
    }

    /// Reads; see [`crate::pipe::Pipe::read`]. May be dropped and called again: nothing is lost.
    pub async fn read(&self, buffer: &mut [u8]) -> Result<Read, Error> {
        self.facts.may_read()?;
        self.within(async {
            let _reading = self.reading.lock().await;
            self.read_locked(buffer).await
        })
        .await
    }

    /// As [`Pipe::read`], and 234 for what does not fit; see [`crate::pipe::Pipe::read_whole`].
    pub async fn read_whole(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let Read { bytes, rest } = self.read(buffer).await?;
        match rest {
            Rest::Whole => Ok(bytes),
            Rest::More => Err(Error::more_data(
                format!("the message is longer than the buffer of {} bytes", buffer.len()),
                bytes,
            )),
        }
    }

    /// The next message, whole; see [`crate::pipe::Pipe::read_message`]. May be dropped and called again: nothing is lost.
    pub async fn read_message(&self) -> Result<Vec<u8>, Error> {
        self.facts.may_read()?;
        self.facts.must_read_messages("reading a message")?;
        self.within(async {
            let _reading = self.reading.lock().await;
            self.message_locked().await
        })
        .await
    }

    /// Writes all of it; see [`crate::pipe::Pipe::write`]. Dropped in between it may have written a part, which breaks a message pipe.
    pub async fn write(&self, bytes: &[u8]) -> Result<usize, Error> {
        self.write_with(bytes, &[]).await
    }

    /// Writes one message; see [`crate::pipe::Pipe::write_message`].
    pub async fn write_message(&self, message: &[u8]) -> Result<(), Error> {
        self.facts.must_be_message("writing a message")?;
        self.write(message).await.map(drop)
    }

    /// Writes, and passes descriptors; see [`crate::pipe::Pipe::write_with`].
    pub async fn write_with(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize, Error> {
        self.facts.may_write()?;
        Facts::must_be_few(descriptors.len())?;
        self.within(async {
            let _writing = self.writing.lock().await;
            self.write_locked(bytes, descriptors).await
        })
        .await
    }

    /// The descriptors that came with what was read; see [`crate::pipe::Pipe::take_descriptors`].
    pub fn take_descriptors(&self) -> Vec<OwnedFd> {
        self.inbox().take_descriptors()
    }

    /// Looks at what is there and takes nothing; see [`crate::pipe::Pipe::peek`]. Never waits.
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Peeked, Error> {
        self.facts.may_read()?;
        // What comes now is for the one who reads.
        let Ok(_reading) = self.reading.try_lock() else {
            return Ok(Peeked { read: 0, available: 0, left_in_message: 0, something: false });
        };
        let socket = self.stream.as_fd();
        // Past tokio, which may not have learned yet that something is there.
        let mut source = Socket { socket, patience: Patience::No, descriptors: self.facts.descriptors };
        let result = self.inbox().peek(
            &mut source,
            self.facts.framing(),
            &mut || Ok(rustix::io::ioctl_fionread(socket)?.try_into().unwrap_or(usize::MAX)),
            &mut |to| socket::look(socket, to),
            buffer,
        );
        self.facts.looked(result)
    }

    /// Waits until the other end has read everything; see [`crate::pipe::Pipe::flush`].
    pub async fn flush(&self) -> Result<(), Error> {
        self.facts.may_write()?;
        self.within(async {
            let mut pause = FLUSH_PAUSE;
            while !flushed(self.stream.as_fd(), &self.facts)? {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(FLUSH_PAUSE_MAX);
            }
            Ok(())
        })
        .await
    }

    /// Writes a message and reads the next one, as one; see [`crate::pipe::Pipe::transact`]. Dropped in between, the answer is there for the next read.
    pub async fn transact(&self, request: &[u8], reply: &mut [u8]) -> Result<Read, Error> {
        self.facts.must_transact()?;
        self.within(async {
            let _writing = self.writing.lock().await;
            let _reading = self.reading.lock().await;
            self.write_locked(request, &[]).await?;
            self.read_locked(reply).await
        })
        .await
    }

    /// As [`Pipe::transact`], with the whole reply.
    pub(super) async fn transact_whole(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        self.facts.must_transact()?;
        self.within(async {
            let _writing = self.writing.lock().await;
            let _reading = self.reading.lock().await;
            self.write_locked(request, &[]).await?;
            self.message_locked().await
        })
        .await
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Ends it from this side; false if it was ended so already.
    pub(super) fn disconnect(&self) -> bool {
        let first = self.facts.disconnect();
        // Whoever waits in a read or write is woken by it.
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Both);
        first
    }

    pub(super) fn into_parts(self) -> (UnixStream, Inbox) {
        (self.stream, self.inbox.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn within<T>(&self, act: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match self.timeout.load(Ordering::Relaxed) {
            u64::MAX => act.await,
            nanoseconds => tokio::time::timeout(Duration::from_nanos(nanoseconds), act)
                .await
                .unwrap_or_else(|_| Err(late("the other end of the pipe did nothing in time"))),
        }
    }

    async fn read_locked(&self, to: &mut [u8]) -> Result<Read, Error> {
        loop {
            let result = match (self.facts.framing(), self.facts.read_mode()) {
                (Framing::Messages, ReadMode::Message) => self.inbox().read_on(&mut self.source(), to),
                _ => self.stream_read(to).map(whole),
            };
            match result {
                Err(Errno::AGAIN) => self.readable().await?,
                result => return self.facts.read_result(result),
            }
        }
    }

    async fn message_locked(&self) -> Result<Vec<u8>, Error> {
        let most = self.facts.message_max.load(Ordering::Relaxed);
        loop {
            let result = self.inbox().gather(&mut self.source(), most);
            match result {
                Err(Errno::AGAIN) => self.readable().await?,
                result => {
                    return match self.facts.read_result(result)? {
                        Gathered::Whole => Ok(self.inbox().take()),
                        Gathered::Limit => Err(Facts::too_long(most, 0)),
                    };
                }
            }
        }
    }

    fn stream_read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        match self.facts.framing() {
            Framing::Bytes => self.inbox().read_bytes(&mut self.source(), to),
            Framing::Messages => self.inbox().read_through(&mut self.source(), to),
        }
    }

    // A task that panicked has left a state that is one: nothing in between panics.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn readable(&self) -> Result<(), Error> {
        let ready = self.stream.readable().await;
        ready.map_err(|error| Error::system("wait for the pipe", errno(&error)))
    }

    async fn write_locked(&self, bytes: &[u8], mut with: &[BorrowedFd<'_>]) -> Result<usize, Error> {
        self.facts.is_open()?;
        if self.facts.framing() == Framing::Bytes {
            return self.write_bytes(bytes, with).await;
        }
        let mut unfinished = Unfinished { pipe: self, begun: Begun::Nothing };
        for (header, body) in fragments(bytes, FRAGMENT_MAX) {
            let mut sent = 0;
            while sent < header.len() + body.len() {
                let first = &header[sent.min(header.len())..];
                let then = &body[sent.saturating_sub(header.len())..];
                let result = self.send(first, then, with).await;
                sent += result.map_err(|error| self.facts.write_error(error, unfinished.begun))?;
                unfinished.begun = Begun::Message;
                with = &[];
            }
        }
        unfinished.begun = Begun::Nothing;
        Ok(bytes.len())
    }

    async fn write_bytes(&self, bytes: &[u8], mut with: &[BorrowedFd<'_>]) -> Result<usize, Error> {
        if bytes.is_empty() && !with.is_empty() {
            let message = "descriptors go with a byte, and a byte pipe was given none";
            return Err(Error::new(Code::InvalidParameter, message));
        }
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send(&bytes[sent..], &[], with).await {
                Ok(count) => sent += count,
                Err(error) => {
                    let error = self.facts.write_error(error, Begun::Nothing);
                    // The next write says why.
                    return if sent > 0 { Ok(sent) } else { Err(error) };
                }
            }
            with = &[];
        }
        Ok(sent)
    }

    async fn send(&self, first: &[u8], then: &[u8], with: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
        loop {
            match self.try_send(first, then, with) {
                Err(Errno::AGAIN) => self.stream.writable().await.map_err(|error| errno(&error))?,
                result => return result,
            }
        }
    }

    fn try_send(&self, first: &[u8], then: &[u8], with: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
        let socket = self.stream.as_fd();
        let send = || Ok(socket::send_once(socket, first, then, with, Patience::No)?);
        self.stream.try_io(Interest::WRITABLE, send).map_err(|error| errno(&error))
    }

    fn source(&self) -> Ready<'_> {
        Ready { stream: &self.stream, descriptors: self.facts.descriptors }
    }
}

/// A pipe as tokio's [`AsyncRead`] and [`AsyncWrite`], where it has no messages: a byte pipe, and (reading) one in byte read mode. 0 is the
/// end. What goes by it does not heed [`Pipe::set_timeout`], and shutting down does nothing: a pipe has no half end.
///
/// It is made of an [`Instance`](super::Instance), a [`PipeClient`](super::PipeClient), or a `&Pipe`. One task at a time may read so, and one write.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use session0::pipe::asynchronous::{PipeClient, Stream};
/// use tokio::io::AsyncWriteExt;
///
/// let mut stream = Stream::new(PipeClient::open("bytes").await?);
/// stream.write_all(b"hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Stream<E>(E);

impl<E: Deref<Target = Pipe>> Stream<E> {
    /// The end as a stream.
    pub fn new(end: E) -> Stream<E> {
        Stream(end)
    }

    /// The end again. Nothing is lost: a stream keeps nothing for itself.
    pub fn into_inner(self) -> E {
        self.0
    }
}

impl<E: Deref<Target = Pipe> + Unpin> AsyncRead for Stream<E> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pipe: &Pipe = &self.0;
        if pipe.facts.read_mode() == ReadMode::Message {
            return Poll::Ready(Err(not_a_stream()));
        }
        pipe.facts.may_read()?;
        loop {
            let result = pipe.stream_read(buffer.initialize_unfilled());
            if result == Err(Errno::AGAIN) {
                ready!(pipe.stream.poll_read_ready(context))?;
                continue;
            }
            return Poll::Ready(match pipe.facts.read_result(result) {
                Ok(count) => {
                    buffer.advance(count);
                    Ok(())
                }
                Err(error) if error.code() == Code::BrokenPipe => Ok(()),
                Err(error) => Err(error.into()),
            });
        }
    }
}

impl<E: Deref<Target = Pipe> + Unpin> AsyncWrite for Stream<E> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let pipe: &Pipe = &self.0;
        if pipe.facts.framing() == Framing::Messages {
            return Poll::Ready(Err(not_a_stream()));
        }
        pipe.facts.may_write()?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match pipe.try_send(bytes, &[], &[]) {
                Err(Errno::AGAIN) => ready!(pipe.stream.poll_write_ready(context))?,
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) => {
                    return Poll::Ready(Err(pipe.facts.write_error(error, Begun::Nothing).into()));
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The socket. What is read or written there by hand is missing here.
impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").field("kind", &self.facts.kind).field("way", &self.facts.way).finish()
    }
}
