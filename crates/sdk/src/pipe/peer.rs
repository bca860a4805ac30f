//! The client as its server sees it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use session0_api::pipe::{Impersonation, Peer};

/// A client as the host verified it; nothing of it is the client's own word.
///
/// ```no_run
/// # fn f(instance: &session0::pipe::Instance) {
/// let client = instance.client();
/// println!("uid {} in session {:?}, alive: {:?}", client.uid(), client.session(), client.is_alive());
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    peer: Peer,
    process: Option<OwnedFd>,
    level: Impersonation,
}

impl Client {
    pub(crate) fn new(peer: Peer, process: Option<OwnedFd>, level: Impersonation) -> Client {
        Client { peer, process, level }
    }

    /// Its session; none for one outside every session, and for an anonymous one.
    pub fn session(&self) -> Option<u32> {
        self.peer.session
    }

    /// Its uid; 65534 for an anonymous one.
    pub fn uid(&self) -> u32 {
        self.peer.uid
    }

    /// Its gid; 65534 for an anonymous one.
    pub fn gid(&self) -> u32 {
        self.peer.gid
    }

    /// Its supplementary groups.
    pub fn groups(&self) -> &[u32] {
        &self.peer.groups
    }

    /// Its process id as the machine outside every session has it, for people to read: numbers are used again. 0 for an anonymous one.
    pub fn pid(&self) -> i32 {
        self.peer.pid
    }

    /// Its process, as a pidfd; none for an anonymous one, and for one that was gone when it was connected.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(AsFd::as_fd)
    }

    /// Its account, where the host knows a name for it.
    pub fn account(&self) -> Option<&str> {
        self.peer.account.as_deref()
    }

    /// The service it belongs to.
    pub fn service(&self) -> Option<&str> {
        self.peer.service.as_deref()
    }

    /// What may be done with its identity.
    pub fn impersonation(&self) -> Impersonation {
        self.level
    }

    /// All of that as the host said it.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the process that opened the pipe still runs. `None` for an anonymous one. It may have passed the pipe on, so that the pipe outlives it.
    pub fn is_alive(&self) -> Option<bool> {
        let Some(process) = &self.process else {
            return (self.level != Impersonation::Anonymous).then_some(false);
        };
        let mut watched = [PollFd::new(process, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut watched, Some(&now)).ok().map(|ended| ended == 0)
    }
}
