//! What init says.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use session0_model::launch::wire::{self, FromInit};
use session0_model::limit;
use session0_sys::packet::{self, Received};
use tokio::io::unix::AsyncFd;

/// Packets taken in one turn of the loop.
const PACKETS_MAX: usize = 32;

/// A message, and the descriptors that came with it.
pub type Message = (FromInit, Vec<OwnedFd>);

/// The receiving side.
pub struct Incoming {
    socket: Rc<AsyncFd<OwnedFd>>,
    buffer: Vec<u8>,
    messages: VecDeque<Message>,
}

impl Incoming {
    pub(super) fn new(socket: Rc<AsyncFd<OwnedFd>>) -> Incoming {
        Incoming { socket, buffer: vec![0; limit::PACKET_MAX], messages: VecDeque::new() }
    }

    /// The next message. `None`: init closed the connection.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        while self.messages.is_empty() {
            if !self.fill().await? {
                return Ok(None);
            }
        }
        Ok(self.messages.pop_front())
    }

    /// Everything that is there, at least one message. Empty: init closed the connection.
    pub async fn batch(&mut self) -> io::Result<Vec<Message>> {
        while self.messages.is_empty() {
            if !self.fill().await? {
                return Ok(Vec::new());
            }
        }
        Ok(self.messages.drain(..).collect())
    }

    /// Waits for packets and takes them. `false`: closed.
    async fn fill(&mut self) -> io::Result<bool> {
        let mut readable = self.socket.readable().await?;
        for _ in 0..PACKETS_MAX {
            match packet::receive(self.socket.get_ref().as_fd(), &mut self.buffer)? {
                Received::Packet { length, descriptors } => {
                    decode(&self.buffer[..length], descriptors, &mut self.messages)?;
                }
                Received::Nothing => {
                    readable.clear_ready();
                    break;
                }
                // What was said before is still to be heard; the next call finds the end again.
                Received::Closed => return Ok(!self.messages.is_empty()),
            }
        }
        Ok(true)
    }
}

fn decode(mut packet: &[u8], descriptors: Vec<OwnedFd>, messages: &mut VecDeque<Message>) -> io::Result<()> {
    let mut descriptors = descriptors.into_iter();
    while !packet.is_empty() {
        let Some((message, rest)) = wire::decode::<FromInit>(packet) else {
            return Err(io::Error::other("init said something that is not in the protocol"));
        };
        packet = rest;
        // A message with descriptors is alone in its packet.
        let descriptors = match &message {
            FromInit::Kept { .. } | FromInit::Streams { .. } => descriptors.by_ref().collect(),
            _ => Vec::new(),
        };
        messages.push_back((message, descriptors));
    }
    Ok(())
}
