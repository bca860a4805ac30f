//! The connection to the daemon: who may have it, what is still to be sent, what was said at its beginning.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::epoll::EventFlags;
use session0_model::launch::wire::{self, FromInit, PROTOCOL, PROTOCOL_OLDEST};
use session0_model::limit::PACKET_MAX;
use session0_model::time::Time;
use session0_sys::packet::{self, Sent};
use session0_sys::peer;

use crate::poll::{Poll, Token};

/// The version this init says it speaks.
pub const SPOKEN: u16 = if cfg!(feature = "protocol-1") { PROTOCOL_OLDEST } else { PROTOCOL };

/// How far the beginning of a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has not said Hello.
    Greeting,
    /// It has; the replay waits until launches that are between clone and exec are one or the other, but not
    /// longer than this.
    Settling {
        /// When waiting ends.
        until: Time,
    },
    /// Everything known was said.
    Talking,
}

/// A packet not sent yet.
struct Outgoing {
    bytes: Vec<u8>,
    descriptors: Vec<Rc<OwnedFd>>,
}

/// Several messages go into one packet up to this size.
const BATCH_BYTES: usize = 32 * 1024;

/// What may wait to be sent beyond the replay. A daemon that reads so little is broken: it is cut off, and what it
/// missed is said to the next one.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// A daemon that reads as fast as we write would otherwise keep us from reaping until a replay of thirty thousand
/// descriptors is over.
const PACKETS_IN_A_TURN: usize = 512;

/// One daemon.
pub struct Control {
    socket: OwnedFd,
    /// The version spoken with this daemon.
    pub protocol: u16,
    /// How far the beginning is.
    pub stage: Stage,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    queued_bytes_max: usize,
    waiting_to_write: bool,
}

impl Control {
    /// Takes a connection, if there is one from a daemon: uid 0, outside our PID namespace.
    pub fn accept(listener: BorrowedFd<'_>, poll: &Poll) -> io::Result<Option<Control>> {
        let Some(socket) = packet::accept(listener)? else { return Ok(None) };
        let peer = peer::credentials(socket.as_fd())?;
        if peer.uid != 0 || peer.pid != 0 {
            return Ok(None);
        }
        poll.add(socket.as_fd(), Token::Control, EventFlags::IN)?;
        Ok(Some(Control {
            socket,
            protocol: SPOKEN,
            stage: Stage::Greeting,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_bytes_max: QUEUE_BYTES_MAX,
            waiting_to_write: false,
        }))
    }

    /// The socket.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// To be said, in a packet with others.
    pub fn say(&mut self, message: &FromInit) {
        let mut bytes = Vec::new();
        wire::encode(message, &mut bytes);
        self.queued_bytes += bytes.len();
        match self.queue.back_mut() {
            Some(last) if last.descriptors.is_empty() && last.bytes.len() + bytes.len() <= BATCH_BYTES => {
                last.bytes.extend_from_slice(&bytes);
            }
            _ => self.queue.push_back(Outgoing { bytes, descriptors: Vec::new() }),
        }
    }

    /// To be said with descriptors, in a packet of its own.
    pub fn say_with(&mut self, message: &FromInit, descriptors: Vec<Rc<OwnedFd>>) {
        let mut bytes = Vec::new();
        wire::encode(message, &mut bytes);
        self.queued_bytes += bytes.len();
        self.queue.push_back(Outgoing { bytes, descriptors });
    }

    /// The replay is queued whole, however long it is; the limit counts from here.
    pub fn replayed(&mut self) {
        self.stage = Stage::Talking;
        self.queued_bytes_max = self.queued_bytes + QUEUE_BYTES_MAX;
    }

    /// Sends what the daemon takes now, and not more than [`PACKETS_IN_A_TURN`]. An error: the daemon is gone or broken.
    pub fn flush(&mut self, poll: &Poll) -> io::Result<()> {
        for _ in 0..PACKETS_IN_A_TURN {
            let Some(first) = self.queue.front() else { break };
            debug_assert!(first.bytes.len() <= PACKET_MAX);
            let descriptors: Vec<BorrowedFd<'_>> =
                first.descriptors.iter().map(|kept| kept.as_fd()).collect();
            match packet::send(self.socket.as_fd(), &first.bytes, &descriptors)? {
                Sent::Later => break,
                Sent::All => {
                    self.queued_bytes -= first.bytes.len();
                    self.queue.pop_front();
                }
            }
        }
        if self.queued_bytes > self.queued_bytes_max {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOBUFS.raw_os_error()));
        }
        let wanted = !self.queue.is_empty();
        if wanted != self.waiting_to_write {
            let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            poll.change(self.socket.as_fd(), Token::Control, flags)?;
            self.waiting_to_write = wanted;
        }
        Ok(())
    }
}
