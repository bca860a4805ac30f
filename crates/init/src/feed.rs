//! The feed: output pipes on their way to the logger.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use session0_model::launch::wire::{self, Feed as Message};
use session0_model::limit::SERVICES_MAX;
use session0_sys::packet::{self, Received, Sent};

use crate::poll::{Poll, Token};
use crate::unit::Units;

/// Something the logger is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Syslog,
    Pipe(String),
    Group(String),
    Gone(String),
}

/// A logger that reads nothing for so long is broken: it is cut off, and told everything anew when it is back.
const ITEMS_MAX: usize = 4 * SERVICES_MAX;

/// The connection to the logger, if there is one.
#[derive(Default)]
pub struct Feed {
    socket: Option<OwnedFd>,
    items: VecDeque<Item>,
    waiting_to_write: bool,
}

impl Feed {
    /// A new logger: it is told everything.
    pub fn connect(&mut self, socket: OwnedFd, units: &Units, poll: &Poll) -> io::Result<()> {
        self.disconnect(poll);
        poll.add(socket.as_fd(), Token::Feed, EventFlags::IN)?;
        self.socket = Some(socket);
        self.items.push_back(Item::Syslog);
        self.items.extend(units.with_output().cloned().map(Item::Pipe));
        Ok(())
    }

    /// The logger is gone. Its pipes stay with us, and their bytes in them.
    pub fn disconnect(&mut self, poll: &Poll) {
        if let Some(socket) = self.socket.take() {
            poll.remove(socket.as_fd());
        }
        self.items.clear();
        self.waiting_to_write = false;
    }

    /// A unit has a pipe.
    pub fn pipe(&mut self, unit: &str) {
        self.push(Item::Pipe(unit.to_owned()));
    }

    /// A unit's group is another one.
    pub fn group(&mut self, unit: &str) {
        self.push(Item::Group(unit.to_owned()));
    }

    /// A unit is gone.
    pub fn gone(&mut self, unit: &str) {
        self.push(Item::Gone(unit.to_owned()));
    }

    fn push(&mut self, item: Item) {
        if self.socket.is_some() {
            self.items.push_back(item);
        }
    }

    /// Something about the connection: only its end is possible, as a logger never says anything. It may also have
    /// been the end of the one before, seen only now.
    pub fn ready(&mut self, poll: &Poll) {
        let Some(socket) = &self.socket else { return };
        if !matches!(packet::receive(socket.as_fd(), &mut [0; 1]), Ok(Received::Nothing)) {
            self.disconnect(poll);
        }
    }

    /// Tells as much as the logger takes now.
    pub fn flush(&mut self, units: &Units, syslog: Option<&OwnedFd>, poll: &Poll) {
        if self.items.is_empty() && !self.waiting_to_write {
            return;
        }
        match self.send(units, syslog) {
            Ok(()) if self.items.len() <= ITEMS_MAX => self.wait_to_write(poll),
            _ => self.disconnect(poll),
        }
    }

    fn send(&mut self, units: &Units, syslog: Option<&OwnedFd>) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let mut packet = Vec::new();
        while let Some(item) = self.items.front() {
            packet.clear();
            // What is forgotten before it was told is not told.
            let told = match item {
                Item::Syslog => syslog.map(|_| (Message::Syslog, None)),
                Item::Pipe(name) => {
                    match units.get(name).and_then(|unit| Some((unit, unit.output.as_ref()?))) {
                        None => None,
                        Some((unit, output)) => {
                            let message = Message::Pipe { unit: name.clone(), group: unit.group };
                            Some((message, Some(output.reader()?)))
                        }
                    }
                }
                Item::Group(name) => units
                    .get(name)
                    .map(|unit| (Message::Group { unit: name.clone(), group: unit.group }, None)),
                Item::Gone(name) => Some((Message::Gone { unit: name.clone() }, None)),
            };
            if let Some((message, reader)) = told {
                wire::encode(&message, &mut packet);
                let syslog = syslog.filter(|_| *item == Item::Syslog);
                let descriptors: Vec<BorrowedFd<'_>> =
                    reader.as_ref().or(syslog).map(AsFd::as_fd).into_iter().collect();
                if packet::send(socket.as_fd(), &packet, &descriptors)? == Sent::Later {
                    return Ok(());
                }
            }
            self.items.pop_front();
        }
        Ok(())
    }

    fn wait_to_write(&mut self, poll: &Poll) {
        let wanted = !self.items.is_empty();
        let Some(socket) = &self.socket else { return };
        if wanted != self.waiting_to_write {
            let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            if poll.change(socket.as_fd(), Token::Feed, flags).is_ok() {
                self.waiting_to_write = wanted;
            }
        }
    }
}
