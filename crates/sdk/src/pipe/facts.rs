//! What an end of a pipe is and may do, and what the kernel's errors mean on it. The blocking and the asynchronous ends share it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use rustix::io::Errno;
use session0_api::pipe::{Access, PipeType};

use super::error::{Code, Error};
use super::inbox::Framing;
use super::socket::{DESCRIPTORS_MAX, Patience};
use crate::wire::Descriptors;

/// The longest message that [`super::Pipe::read_message`] takes if nothing else is said.
pub const MESSAGE_MAX: usize = 64 * 1024 * 1024;

/// How a message pipe is read (windows-semantics 6.2: PIPE_READMODE). A byte pipe is always read as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Without regard to where messages end; a message of length zero is passed over.
    Byte,
    /// Message by message. A message pipe begins so, at both ends; on Windows a client begins in byte mode.
    Message,
}

/// What an end may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) reads: bool,
    pub(super) writes: bool,
}

impl Way {
    /// The client's end.
    pub(super) fn client(access: Access) -> Result<Way, Error> {
        match access {
            Access::Read => Ok(Way { reads: true, writes: false }),
            Access::Write => Ok(Way { reads: false, writes: true }),
            Access::Duplex => Ok(Way { reads: true, writes: true }),
            Access::Unknown => Err(not_known("an access")),
        }
    }

    /// The server's end of a pipe whose client may do this.
    pub(super) fn server(access: Access) -> Result<Way, Error> {
        let Way { reads, writes } = Way::client(access)?;
        Ok(Way { reads: writes, writes: reads })
    }
}

/// What a newer host says and this library does not know.
pub(super) fn not_known(what: &str) -> Error {
    Error::new(Code::InternalError, format!("the host says {what} that this program does not know"))
        .with_hint("the host is newer than the program: build it with the newer library")
}

const OPEN: u8 = 0;
const DISCONNECTED: u8 = 1;
const BROKEN: u8 = 2;

pub(super) struct Facts {
    pub(super) kind: PipeType,
    pub(super) way: Way,
    pub(super) descriptors: Descriptors,
    pub(super) message_max: AtomicUsize,
    bytewise: AtomicBool,
    state: AtomicU8,
    /// The other end went without having read everything.
    reset: AtomicBool,
    /// Something was read.
    heard: AtomicBool,
}

impl Facts {
    pub(super) fn new(kind: PipeType, way: Way, descriptors: Descriptors) -> Result<Facts, Error> {
        if kind == PipeType::Unknown {
            return Err(not_known("a type of pipe"));
        }
        Ok(Facts {
            kind,
            way,
            descriptors,
            message_max: AtomicUsize::new(MESSAGE_MAX),
            bytewise: AtomicBool::new(kind == PipeType::Byte),
            state: AtomicU8::new(OPEN),
            reset: AtomicBool::new(false),
            heard: AtomicBool::new(false),
        })
    }

    pub(super) fn framing(&self) -> Framing {
        if self.kind == PipeType::Message { Framing::Messages } else { Framing::Bytes }
    }

    pub(super) fn read_mode(&self) -> ReadMode {
        if self.bytewise.load(Ordering::Relaxed) { ReadMode::Byte } else { ReadMode::Message }
    }

    pub(super) fn set_read_mode(&self, mode: ReadMode) -> Result<(), Error> {
        if self.kind != PipeType::Message && mode == ReadMode::Message {
            let message = "a byte pipe cannot be read message by message";
            return Err(Error::new(Code::InvalidParameter, message)
                .with_hint("its server makes it a message pipe with `kind(PipeType::Message)`"));
        }
        self.bytewise.store(mode == ReadMode::Byte, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn may_read(&self) -> Result<(), Error> {
        if !self.way.reads {
            return Err(Error::new(Code::AccessDenied, "this end of the pipe only writes"));
        }
        self.is_open()
    }

    pub(super) fn may_write(&self) -> Result<(), Error> {
        if !self.way.writes {
            return Err(Error::new(Code::AccessDenied, "this end of the pipe only reads"));
        }
        self.is_open()
    }

    /// For what needs messages.
    pub(super) fn must_be_message(&self, what: &str) -> Result<(), Error> {
        if self.kind == PipeType::Message {
            return Ok(());
        }
        Err(Error::new(Code::BadPipe, format!("{what} needs a message pipe, this is a byte pipe")))
    }

    /// For what needs whole messages to be read.
    pub(super) fn must_read_messages(&self, what: &str) -> Result<(), Error> {
        self.must_be_message(what)?;
        match self.read_mode() {
            ReadMode::Message => Ok(()),
            ReadMode::Byte => Err(Error::new(Code::BadPipe, format!("{what} needs message read mode"))
                .with_hint("call `set_read_mode(ReadMode::Message)`")),
        }
    }

    /// For `transact`.
    pub(super) fn must_transact(&self) -> Result<(), Error> {
        if !(self.way.reads && self.way.writes) {
            return Err(Error::new(Code::BadPipe, "a transaction needs a pipe that goes both ways"));
        }
        self.must_read_messages("a transaction")
    }

    pub(super) fn must_be_few(descriptors: usize) -> Result<(), Error> {
        if descriptors <= DESCRIPTORS_MAX {
            return Ok(());
        }
        let message = format!("{descriptors} descriptors cannot go with one write: {DESCRIPTORS_MAX} can");
        Err(Error::new(Code::InvalidParameter, message))
    }

    pub(super) fn is_open(&self) -> Result<(), Error> {
        match self.state.load(Ordering::Acquire) {
            OPEN => Ok(()),
            DISCONNECTED => Err(Error::new(Code::PipeNotConnected, "this end of the pipe is disconnected")),
            _ => Err(broken("the pipe broke when a message was written in part")),
        }
    }

    /// A message was written in part and will not be written to its end.
    pub(super) fn break_off(&self) {
        let _ = self.state.compare_exchange(OPEN, BROKEN, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Disconnects; false if it was not open any more.
    pub(super) fn disconnect(&self) -> bool {
        self.state.swap(DISCONNECTED, Ordering::AcqRel) != DISCONNECTED
    }

    pub(super) fn disconnected(&self) -> bool {
        self.state.load(Ordering::Acquire) == DISCONNECTED
    }

    /// Something was read by other ways than this end's.
    pub(super) fn note_heard(&self) {
        self.heard.store(true, Ordering::Release);
    }

    pub(super) fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// Whether a read was told that the other end left something unread.
    pub(super) fn was_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// A read's outcome; what succeeds was heard.
    pub(super) fn read_result<T>(&self, result: Result<T, Errno>) -> Result<T, Error> {
        let read = self.looked(result)?;
        self.heard.store(true, Ordering::Release);
        Ok(read)
    }

    /// The outcome of what takes nothing.
    pub(super) fn looked<T>(&self, result: Result<T, Errno>) -> Result<T, Error> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if error == Errno::CONNRESET {
            self.reset.store(true, Ordering::Release);
        }
        Err(match error {
            Errno::PIPE | Errno::CONNRESET => match self.is_open() {
                Ok(()) => broken("the other end of the pipe is gone"),
                Err(error) => error,
            },
            Errno::TIMEDOUT => late("nothing was there to be read in time"),
            error => Error::system("read from the pipe", error),
        })
    }

    /// Why a write failed. One that had begun a message breaks the pipe, so that nobody takes the next message for its end.
    pub(super) fn write_error(&self, error: Errno, begun: Begun) -> Error {
        if error == Errno::CONNRESET {
            self.reset.store(true, Ordering::Release);
        }
        let open = self.is_open();
        if begun == Begun::Message {
            self.break_off();
        }
        match (error, open) {
            (Errno::PIPE | Errno::CONNRESET, Err(error)) => error,
            (Errno::PIPE | Errno::CONNRESET, Ok(())) => {
                Error::new(Code::NoData, "the other end of the pipe is closing: nobody reads what is written")
            }
            (Errno::TIMEDOUT, _) if begun == Begun::Message => {
                late("a message was written only in part in time; the pipe is broken now")
            }
            (Errno::TIMEDOUT, _) => late("there was no room for it in time"),
            (error, _) => Error::system("write to the pipe", error),
        }
    }

    /// A message is longer than may be taken at once.
    pub(super) fn too_long(limit: usize, have: usize) -> Error {
        let message = format!("the message is longer than the {limit} bytes that are taken at once");
        Error::more_data(message, have)
            .with_hint("read it in parts with `read`, or allow more with `set_message_max`")
    }
}

/// Whether a write that fails has left part of a message behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Nothing,
    Message,
}

pub(super) fn broken(message: &str) -> Error {
    Error::new(Code::BrokenPipe, message)
}

pub(super) fn late(message: &str) -> Error {
    Error::new(Code::SemTimeout, message)
}

/// The patience that a time in nanoseconds means; the highest number is none.
pub(super) fn patience(nanoseconds: u64) -> Patience {
    let time = (nanoseconds != u64::MAX).then(|| std::time::Duration::from_nanos(nanoseconds));
    Patience::of(time)
}
