//! One end of a pipe, as both the server's instance and the client have it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::Shutdown;
use session0_api::pipe::PipeType;

use super::error::{Code, Error};
use super::facts::{self, Begun, Facts, ReadMode, Way, broken, late};
use super::inbox::{FRAGMENT_MAX, Framing, Gathered, Inbox, Peeked, Read, Rest, fragments};
use super::socket::{self, Patience, Socket, Unread};
use crate::wire::Descriptors;

/// The first pause of [`Pipe::flush`]; it doubles.
const FLUSH_PAUSE: Duration = Duration::from_micros(20);
/// The longest.
const FLUSH_PAUSE_MAX: Duration = Duration::from_millis(10);

/// One end of a pipe: what [`Instance`](super::Instance) and [`PipeClient`](super::PipeClient) have in common.
///
/// All methods take `&self`: one thread may read while another one writes. Two that read, or two that write, take turns. `&Pipe` is
/// [`std::io::Read`] and [`std::io::Write`] where there are no messages: on a byte pipe, and (reading) in byte read mode.
///
/// ```no_run
/// # fn main() -> Result<(), session0::pipe::Error> {
/// use session0::pipe::{PipeClient, Rest};
///
/// let pipe = PipeClient::open("spooler")?;
/// pipe.write(b"jobs?")?;
/// let mut buffer = [0; 512];
/// let read = pipe.read(&mut buffer)?;
/// println!("{:?}", &buffer[..read.bytes]);
/// if read.rest == Rest::More {
///     println!("and {} bytes more", pipe.read_message()?.len());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Pipe {
    socket: OwnedFd,
    facts: Facts,
    inbox: Mutex<Inbox>,
    /// Held while something is written.
    writing: Mutex<()>,
    /// In nanoseconds; the highest number is none.
    timeout: AtomicU64,
}

/// What comes from elsewhere and is now a pipe.
pub(super) struct Raw {
    pub(super) socket: OwnedFd,
    pub(super) kind: PipeType,
    pub(super) way: Way,
    pub(super) descriptors: Descriptors,
    /// What was read of it already.
    pub(super) rest: Vec<u8>,
    /// What came with that.
    pub(super) arrived: Vec<OwnedFd>,
}

impl Pipe {
    pub(super) fn new(raw: Raw) -> Result<Pipe, Error> {
        let Raw { socket, kind, way, descriptors, rest, arrived } = raw;
        let facts = Facts::new(kind, way, descriptors)?;
        // Whoever had the socket before may have used it otherwise.
        let flags = rustix::fs::fcntl_getfl(&socket);
        flags
            .and_then(|flags| rustix::fs::fcntl_setfl(&socket, flags - OFlags::NONBLOCK))
            .and_then(|()| {
                use rustix::net::sockopt::{Timeout, set_socket_timeout};
                set_socket_timeout(&socket, Timeout::Recv, None)?;
                set_socket_timeout(&socket, Timeout::Send, None)
            })
            .map_err(|error| Error::system("prepare the pipe", error))?;
        Ok(Pipe {
            socket,
            facts,
            inbox: Mutex::new(Inbox::new(rest, arrived)),
            writing: Mutex::new(()),
            timeout: AtomicU64::new(u64::MAX),
        })
    }

    /// What it carries.
    pub fn kind(&self) -> PipeType {
        self.facts.kind
    }

    /// How it is read now.
    pub fn read_mode(&self) -> ReadMode {
        self.facts.read_mode()
    }

    /// Changes how a message pipe is read; from the next read on. 87 for message mode on a byte pipe.
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::Pipe) -> Result<(), Box<dyn std::error::Error>> {
    /// pipe.set_read_mode(session0::pipe::ReadMode::Byte)?;
    /// println!("{}", std::io::read_to_string(pipe)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_read_mode(&self, mode: ReadMode) -> Result<(), Error> {
        self.facts.set_read_mode(mode)
    }

    /// The longest that each read, write, flush and transaction waits; then it gives 121. `None`, for ever, is the beginning. A write of a
    /// message that is late when part of it is written breaks the pipe: the calls after it give 109. Waiting for one's turn behind another
    /// thread's read or write does not count.
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::Pipe) {
    /// pipe.set_timeout(Some(std::time::Duration::from_secs(5)));
    /// # }
    /// ```
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let nanoseconds = timeout.map_or(u64::MAX, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.timeout.store(nanoseconds, Ordering::Relaxed);
    }

    /// The longest message that [`Pipe::read_message`] gives, in bytes; [`super::MESSAGE_MAX`] at first.
    pub fn set_message_max(&self, bytes: usize) {
        self.facts.message_max.store(bytes, Ordering::Relaxed);
    }

    /// Reads and waits for it: on a byte pipe what is there, on a message pipe one message, or as much of it as there is room for
    /// ([`Rest::More`]; the next read goes on with it). 109 when the other end is gone and all was read; 233 after an own disconnect; 121
    /// after [`Pipe::set_timeout`], with nothing lost; 5 if this end only writes. In byte mode an end that gives 0 bytes was given an
    /// empty buffer.
    pub fn read(&self, buffer: &mut [u8]) -> Result<Read, Error> {
        self.facts.may_read()?;
        let patience = self.patience();
        self.read_locked(&mut self.inbox(), buffer, patience)
    }

    /// As [`Pipe::read`], for those who expect the whole message: what does not fit is the error 234, which says how many bytes are in the
    /// buffer ([`Error::bytes_read`]); the rest is there for the next read.
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::Pipe) -> Result<(), session0::pipe::Error> {
    /// let mut job = [0; 64];
    /// let length = pipe.read_whole(&mut job)?;
    /// println!("{:?}", &job[..length]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_whole(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let Read { bytes, rest } = self.read(buffer)?;
        match rest {
            Rest::Whole => Ok(bytes),
            Rest::More => Err(Error::more_data(
                format!("the message is longer than the buffer of {} bytes", buffer.len()),
                bytes,
            )),
        }
    }

    /// The next message, whole; what is left of it where a read took a part. 234 if it is longer than [`Pipe::set_message_max`] allows: it is
    /// there still, to be read in parts. 230 if there are no messages to be read; else as [`Pipe::read`].
    pub fn read_message(&self) -> Result<Vec<u8>, Error> {
        self.facts.may_read()?;
        self.facts.must_read_messages("reading a message")?;
        let most = self.facts.message_max.load(Ordering::Relaxed);
        let mut source = self.source(self.patience());
        let mut inbox = self.inbox();
        match self.facts.read_result(inbox.gather(&mut source, most))? {
            Gathered::Whole => Ok(inbox.take()),
            Gathered::Limit => Err(Facts::too_long(most, 0)),
        }
    }

    /// Writes all of it, as one message on a message pipe (also of length zero), and waits until there is room. How much was written: less
    /// than all only on a byte pipe whose time was over, or whose other end went away, in between. 232 when the other end is closing; 121 after
    /// [`Pipe::set_timeout`]; 233 after an own disconnect; 5 if this end only reads.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Error> {
        self.write_with(bytes, &[])
    }

    /// Writes one message, as [`Pipe::write`]; 230 on a byte pipe.
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::Pipe) -> Result<(), session0::pipe::Error> {
    /// pipe.write_message(b"a message of its own")?;
    /// pipe.write_message(b"")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_message(&self, message: &[u8]) -> Result<(), Error> {
        self.facts.must_be_message("writing a message")?;
        self.write(message).map(drop)
    }

    /// Writes, and passes descriptors with the first byte: at most 253. The other end must want them, or the kernel closes them there, or
    /// refuses them here (5). A byte pipe needs at least one byte for them (87).
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::Pipe) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::os::fd::AsFd;
    /// let file = std::fs::File::open("/etc/hostname")?;
    /// pipe.write_with(b"here it is", &[file.as_fd()])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_with(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize, Error> {
        self.facts.may_write()?;
        Facts::must_be_few(descriptors.len())?;
        let patience = self.patience();
        let _writing = self.lock_writing();
        self.write_locked(bytes, descriptors, patience)
    }

    /// The descriptors that came with what was read until now; those with bytes that are not read yet stay. Empty for an end that did not
    /// say it wants any. They are closed when the program is replaced by exec. Waits while another thread reads.
    pub fn take_descriptors(&self) -> Vec<OwnedFd> {
        self.inbox().take_descriptors()
    }

    /// Looks at what is there and takes nothing. Never waits: while another thread reads, what comes is that thread's, and nothing is seen here.
    /// 109 when the other end is gone and all was read.
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::Pipe) -> Result<(), session0::pipe::Error> {
    /// let peeked = pipe.peek(&mut [])?;
    /// println!("{} bytes to be read", peeked.available);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Peeked, Error> {
        self.facts.may_read()?;
        let Ok(mut inbox) = self.inbox.try_lock() else {
            return Ok(Peeked { read: 0, available: 0, left_in_message: 0, something: false });
        };
        let socket = self.socket.as_fd();
        let result = inbox.peek(
            &mut self.source(Patience::No),
            self.facts.framing(),
            &mut || Ok(rustix::io::ioctl_fionread(socket)?.try_into().unwrap_or(usize::MAX)),
            &mut |to| socket::look(socket, to),
            buffer,
        );
        self.facts.looked(result)
    }

    /// Waits until the other end has read everything that was written. 109 if it is gone with something unread; 233 after an own disconnect.
    pub fn flush(&self) -> Result<(), Error> {
        self.facts.may_write()?;
        let patience = self.patience();
        let mut pause = FLUSH_PAUSE;
        loop {
            if flushed(self.socket.as_fd(), &self.facts)? {
                return Ok(());
            }
            if let Patience::Until(end) = patience
                && Instant::now() >= end
            {
                return Err(late("the other end has not read everything in time"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(FLUSH_PAUSE_MAX);
        }
    }

    /// Writes a message and reads the next one, as one: nobody else's read or write at this end comes between. The time of
    /// [`Pipe::set_timeout`] is for both. 230 if the pipe does not go both ways, is a byte pipe, or is not in message read mode.
    ///
    /// ```no_run
    /// # fn f(pipe: &session0::pipe::PipeClient) -> Result<(), session0::pipe::Error> {
    /// let mut reply = [0; 512];
    /// let read = pipe.transact(b"jobs?", &mut reply)?;
    /// println!("{:?}, {:?} of it", &reply[..read.bytes], read.rest);
    /// # Ok(())
    /// # }
    /// ```
    pub fn transact(&self, request: &[u8], reply: &mut [u8]) -> Result<Read, Error> {
        self.facts.must_transact()?;
        self.facts.is_open()?;
        let patience = self.patience();
        let _writing = self.lock_writing();
        let mut inbox = self.inbox();
        self.write_locked(request, &[], patience)?;
        self.read_locked(&mut inbox, reply, patience)
    }

    /// As [`Pipe::transact`], with the whole reply.
    pub(super) fn transact_whole(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        self.facts.must_transact()?;
        let patience = self.patience();
        let _writing = self.lock_writing();
        let mut inbox = self.inbox();
        self.write_locked(request, &[], patience)?;
        let most = self.facts.message_max.load(Ordering::Relaxed);
        match self.facts.read_result(inbox.gather(&mut self.source(patience), most))? {
            Gathered::Whole => Ok(inbox.take()),
            Gathered::Limit => Err(Facts::too_long(most, 0)),
        }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Ends it from this side; false if it was ended so already.
    pub(super) fn disconnect(&self) -> bool {
        let first = self.facts.disconnect();
        // Nobody is left to shut it down for if this fails; whoever waits in a read or write is woken by it.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
        first
    }

    pub(super) fn into_parts(self) -> (OwnedFd, Inbox) {
        (self.socket, self.inbox.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_locked(&self, inbox: &mut Inbox, to: &mut [u8], patience: Patience) -> Result<Read, Error> {
        let mut source = self.source(patience);
        let result = match (self.facts.framing(), self.facts.read_mode()) {
            (Framing::Bytes, _) => inbox.read_bytes(&mut source, to).map(whole),
            (Framing::Messages, ReadMode::Byte) => inbox.read_through(&mut source, to).map(whole),
            (Framing::Messages, ReadMode::Message) => inbox.read(&mut source, to),
        };
        self.facts.read_result(result)
    }

    fn write_locked(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        patience: Patience,
    ) -> Result<usize, Error> {
        // What waited for its turn may find the pipe broken by the one before.
        self.facts.is_open()?;
        if self.facts.framing() == Framing::Bytes {
            return self.write_bytes(bytes, descriptors, patience);
        }
        let mut descriptors = descriptors;
        let mut begun = Begun::Nothing;
        for (header, body) in fragments(bytes, FRAGMENT_MAX) {
            self.write_fragment(&header, body, &mut descriptors, patience, &mut begun).map_err(|error| {
                let error = self.facts.write_error(error, begun);
                if begun == Begun::Message {
                    // So that the other end learns that the message never ends.
                    let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
                }
                error
            })?;
        }
        Ok(bytes.len())
    }

    fn write_fragment(
        &self,
        header: &[u8],
        body: &[u8],
        descriptors: &mut &[BorrowedFd<'_>],
        patience: Patience,
        begun: &mut Begun,
    ) -> Result<(), Errno> {
        let mut sent = 0;
        while sent < header.len() + body.len() {
            let first = &header[sent.min(header.len())..];
            let then = &body[sent.saturating_sub(header.len())..];
            sent += socket::send_once(self.socket.as_fd(), first, then, descriptors, patience)?;
            *descriptors = &[];
            *begun = Begun::Message;
        }
        Ok(())
    }

    fn write_bytes(
        &self,
        bytes: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
        patience: Patience,
    ) -> Result<usize, Error> {
        if bytes.is_empty() && !descriptors.is_empty() {
            let message = "descriptors go with a byte, and a byte pipe was given none";
            return Err(Error::new(Code::InvalidParameter, message));
        }
        let mut sent = 0;
        while sent < bytes.len() {
            let result = socket::send_once(self.socket.as_fd(), &bytes[sent..], &[], descriptors, patience);
            match result {
                Ok(count) => sent += count,
                // The next write says why.
                Err(error) if sent > 0 => {
                    let _ = self.facts.write_error(error, Begun::Nothing);
                    break;
                }
                Err(error) => return Err(self.facts.write_error(error, Begun::Nothing)),
            }
            descriptors = &[];
        }
        Ok(sent)
    }

    fn source(&self, patience: Patience) -> Socket<'_> {
        Socket { socket: self.socket.as_fd(), patience, descriptors: self.facts.descriptors }
    }

    fn patience(&self) -> Patience {
        facts::patience(self.timeout.load(Ordering::Relaxed))
    }

    // A thread that panicked while it read or wrote has left a state that is one: nothing in between panics.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other end has read everything; an error if it never will.
pub(super) fn flushed(socket: BorrowedFd<'_>, facts: &Facts) -> Result<bool, Error> {
    facts.is_open()?;
    let unread = session0_socket::unread(socket).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Error::system("ask how much of the pipe is unread", errno)
    })?;
    match socket::gone(socket) {
        Some(Unread::Bytes) => Err(broken("the other end went without having read everything")),
        Some(Unread::Nothing) if facts.was_reset() => {
            Err(broken("the other end went without having read everything"))
        }
        Some(Unread::Nothing) => Ok(true),
        None => Ok(unread == 0),
    }
}

pub(super) fn whole(bytes: usize) -> Read {
    Read { bytes, rest: Rest::Whole }
}

/// Why `std::io` does not go with messages.
pub(super) fn not_a_stream() -> io::Error {
    let message = "std::io knows no messages, and this pipe has them";
    Error::new(Code::BadPipe, message)
        .with_hint("use `read_message` and `write_message`, or byte read mode to read")
        .into()
}

/// 0 is the end, as everywhere in `std::io`.
impl io::Read for &Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read_mode() == ReadMode::Message {
            return Err(not_a_stream());
        }
        match Pipe::read(self, buffer) {
            Ok(read) => Ok(read.bytes),
            Err(error) if error.code() == Code::BrokenPipe => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Flushing does nothing: what is written is with the kernel. [`Pipe::flush`] waits for the reader.
impl io::Write for &Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.kind() == PipeType::Message {
            return Err(not_a_stream());
        }
        Ok(Pipe::write(self, buffer)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self, buffer)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket, to be waited for. What is read or written there by hand is missing here.
impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").field("kind", &self.facts.kind).field("way", &self.facts.way).finish()
    }
}
