//! The connection to one init: packets out in batches, packets in as messages. Nothing here waits for init.

mod incoming;
mod outgoing;
mod replay;

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use session0_model::launch::wire::ToInit;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

pub use incoming::{Incoming, Message};
pub use outgoing::Flushed;
pub use replay::{Replay, hello};

use outgoing::Outgoing;

/// Asked of the kernel as the socket's queue: starting five hundred services fits and leaves without a wait.
const SEND_BUFFER: usize = 4 << 20;

/// The sending side.
#[derive(Clone)]
pub struct Link {
    socket: Rc<AsyncFd<OwnedFd>>,
    outgoing: Rc<RefCell<Outgoing>>,
    /// Something waits for the socket to become writable.
    full: Rc<Notify>,
}

impl Link {
    /// Connects to the init that listens at `path`.
    pub fn connect(path: &Path) -> io::Result<(Link, Incoming)> {
        Link::over(session0_sys::packet::connect(path)?)
    }

    /// A link over a connected socket.
    pub fn over(socket: OwnedFd) -> io::Result<(Link, Incoming)> {
        // Without the privilege the kernel's own size stays: more packets, nothing else.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, SEND_BUFFER);
        let socket = Rc::new(crate::readiness::both(socket)?);
        let link = Link { socket: socket.clone(), outgoing: Rc::default(), full: Rc::default() };
        Ok((link, Incoming::new(socket)))
    }

    /// Puts a message into the batch.
    pub fn say(&self, message: &ToInit) {
        self.outgoing.borrow_mut().push(message, Vec::new());
    }

    /// Puts a message with descriptors into the batch.
    pub fn say_with(&self, message: &ToInit, descriptors: Vec<OwnedFd>) {
        self.outgoing.borrow_mut().push(message, descriptors);
    }

    /// Sends what was said. An error ends the link: init is gone, or so far behind that it must be broken.
    pub fn flush(&self) -> io::Result<Flushed> {
        let flushed = self.outgoing.borrow_mut().flush(self.socket.get_ref().as_fd())?;
        if flushed == Flushed::Later {
            self.full.notify_one();
        }
        Ok(flushed)
    }

    /// Waits until the rest was sent that did not fit; returns each time everything left.
    pub async fn drained(&self) -> io::Result<()> {
        self.full.notified().await;
        loop {
            let mut writable = self.socket.writable().await?;
            match self.outgoing.borrow_mut().flush(self.socket.get_ref().as_fd())? {
                Flushed::All => return Ok(()),
                Flushed::Later => writable.clear_ready(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
