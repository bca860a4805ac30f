//! What the loop waits for, each with a number that says what it is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use session0_model::id::LaunchId;

/// What a descriptor of the loop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// A launch's fate. First, so that a launch is told before its exit.
    Fate(LaunchId),
    /// SIGCHLD.
    Children,
    /// A process that is a launch's main process but not our child.
    Main(LaunchId),
    /// A unit's `cgroup.events`, by the unit's number.
    Group(u64),
    /// Where daemons connect.
    Listener,
    /// The daemon.
    Control,
    /// The logger.
    Feed,
}

const KIND_SHIFT: u32 = 56;
const NUMBER: u64 = (1 << KIND_SHIFT) - 1;

impl Token {
    fn encode(self) -> u64 {
        let (kind, number) = match self {
            Token::Fate(launch) => (0, launch.0),
            Token::Children => (1, 0),
            Token::Main(launch) => (2, launch.0),
            Token::Group(unit) => (3, unit),
            Token::Listener => (4, 0),
            Token::Control => (5, 0),
            Token::Feed => (6, 0),
        };
        (kind << KIND_SHIFT) | (number & NUMBER)
    }

    fn decode(word: u64) -> Token {
        let number = word & NUMBER;
        match word >> KIND_SHIFT {
            0 => Token::Fate(LaunchId(number)),
            1 => Token::Children,
            2 => Token::Main(LaunchId(number)),
            3 => Token::Group(number),
            4 => Token::Listener,
            5 => Token::Control,
            _ => Token::Feed,
        }
    }
}

/// The set of descriptors the loop waits for.
pub struct Poll(OwnedFd);

/// Events taken in one turn.
const EVENTS: usize = 256;

impl Poll {
    /// An empty set.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Waits for `flags` on a descriptor.
    pub fn add(&self, descriptor: BorrowedFd<'_>, token: Token, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.0, descriptor, EventData::new_u64(token.encode()), flags)?)
    }

    /// Waits for something else.
    pub fn change(&self, descriptor: BorrowedFd<'_>, token: Token, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.0, descriptor, EventData::new_u64(token.encode()), flags)?)
    }

    /// Waits no more. Always called before a descriptor of the set is closed: a child that has not come to exec yet
    /// still has a copy of it, and the set would go on reporting that.
    pub fn remove(&self, descriptor: BorrowedFd<'_>) {
        // It is in the set; if it were not, there would be nothing to do.
        let _ = epoll::delete(&self.0, descriptor);
    }

    /// Waits and returns what is ready, in the order of [`Token`].
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Token>> {
        let timeout = timeout.map(|span| rustix::event::Timespec {
            tv_sec: span.as_secs() as i64,
            tv_nsec: i64::from(span.subsec_nanos()),
        });
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.0, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready: Vec<Token> = events
            .iter()
            .map(|event| {
                let data = event.data;
                Token::decode(data.u64())
            })
            .collect();
        ready.sort_unstable();
        Ok(ready)
    }
}

impl AsFd for Poll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        for token in [
            Token::Fate(LaunchId(77)),
            Token::Children,
            Token::Main(LaunchId(1)),
            Token::Group(9),
            Token::Listener,
            Token::Control,
            Token::Feed,
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
