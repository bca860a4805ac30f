//! What is to be sent: messages gathered into as few packets as hold them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use session0_model::launch::wire::{self, ToInit};
use session0_model::limit;
use session0_sys::packet::{self, Sent};

/// Packets to be sent, oldest first.
#[derive(Default)]
pub struct Outgoing {
    packets: VecDeque<Packet>,
    /// Bytes in `packets`.
    queued: usize,
    /// Where one message is encoded before it is known which packet it goes into.
    scratch: Vec<u8>,
}

struct Packet {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// Whether everything left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Yes.
    All,
    /// The socket is full; the rest goes when it is writable.
    Later,
}

impl Outgoing {
    /// Adds a message. One with descriptors is alone in its packet.
    pub fn push(&mut self, message: &ToInit, descriptors: Vec<OwnedFd>) {
        self.scratch.clear();
        wire::encode(message, &mut self.scratch);
        self.queued += self.scratch.len();
        let open = self.packets.back_mut().filter(|packet| {
            descriptors.is_empty()
                && packet.descriptors.is_empty()
                && packet.bytes.len() + self.scratch.len() <= limit::PACKET_MAX
        });
        match open {
            Some(packet) => packet.bytes.extend_from_slice(&self.scratch),
            None => self.packets.push_back(Packet { bytes: self.scratch.clone(), descriptors }),
        }
    }

    /// Sends as much as the socket takes.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<Flushed> {
        while let Some(packet) = self.packets.front() {
            let descriptors: Vec<BorrowedFd<'_>> = packet.descriptors.iter().map(AsFd::as_fd).collect();
            match packet::send(socket, &packet.bytes, &descriptors)? {
                Sent::All => {
                    self.queued -= packet.bytes.len();
                    self.packets.pop_front();
                }
                Sent::Later if limit::INIT_QUEUE_MAX < self.queued => {
                    return Err(io::Error::other("init does not read what it is told"));
                }
                Sent::Later => return Ok(Flushed::Later),
            }
        }
        self.packets.shrink_to(4);
        Ok(Flushed::All)
    }
}
