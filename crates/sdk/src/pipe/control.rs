//! What a server and the host say to each other while the pipe is served: counts, objects, and descriptors that belong to them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use session0_api::pipe::control::{FromServer, OBJECT_MAX};

use super::inbox::Source;
use super::socket::{Patience, Socket};
use crate::wire::Descriptors;

/// How many instances there are and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// The most instances; none where they are unlimited.
    pub(super) limit: Option<u32>,
    /// The most that may listen at a time.
    pub(super) listening_max: u32,
    pub(super) listening: u32,
    /// With a client, accepted or not.
    pub(super) connected: u32,
    /// The host said that there are as many as there may be: other servers have the rest.
    pub(super) refused: bool,
    pub(super) stopped: bool,
}

impl Counts {
    /// A client took an instance.
    pub(super) fn taken(&mut self) {
        self.listening = self.listening.saturating_sub(1);
        self.connected += 1;
    }

    /// An instance that had a client is gone, which makes room.
    pub(super) fn closed(&mut self) {
        self.connected = self.connected.saturating_sub(1);
        self.refused = false;
    }

    pub(super) fn refuse(&mut self, instances: u32) {
        self.listening = self.listening.saturating_sub(instances);
        self.refused = true;
    }

    pub(super) fn stop(&mut self) {
        self.listening = 0;
        self.stopped = true;
    }

    /// How many more are to listen now, which are counted at once. Clients that nobody has accepted yet stand for as many that listen: so a
    /// server that does not keep up has no more of them than it wanted.
    pub(super) fn more(&mut self, unaccepted: usize) -> u32 {
        if self.stopped || self.refused {
            return 0;
        }
        let unaccepted = u32::try_from(unaccepted).unwrap_or(u32::MAX);
        let wanted = self.listening_max.saturating_sub(self.listening).saturating_sub(unaccepted);
        let room = self
            .limit
            .map_or(u32::MAX, |limit| limit.saturating_sub(self.listening).saturating_sub(self.connected));
        let more = wanted.min(room);
        self.listening += more;
        more
    }
}

/// Objects as they are sent.
pub(super) fn said(objects: &[FromServer]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for object in objects {
        serde_json::to_writer(&mut bytes, object)?;
        bytes.push(0);
    }
    Ok(bytes)
}

/// One object of the host, and the descriptors that came with its first byte.
pub(super) struct Object {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// What the host says, as it comes.
pub(super) struct Hearing {
    bytes: Vec<u8>,
    /// The number of the first of them in the whole stream.
    first: u64,
    /// Descriptors of a read that got the bytes with these numbers. The kernel ends a read behind what came with descriptors, so that
    /// they are of the last object that began in it.
    arrived: VecDeque<(std::ops::Range<u64>, Vec<OwnedFd>)>,
}

impl Hearing {
    /// With what came behind the answer that began it.
    pub(super) fn new(rest: Vec<u8>, arrived: Vec<OwnedFd>) -> Hearing {
        let arrived = [(0..rest.len() as u64, arrived)];
        let arrived = arrived.into_iter().filter(|(range, with)| !range.is_empty() && !with.is_empty());
        Hearing { arrived: arrived.collect(), bytes: rest, first: 0 }
    }

    /// The next whole object. Waits for it; `None` is the end.
    pub(super) fn next(&mut self, socket: BorrowedFd<'_>) -> Result<Option<Object>, Errno> {
        let mut searched = 0;
        loop {
            if let Some(length) = self.bytes[searched..].iter().position(|byte| *byte == 0) {
                return Ok(Some(self.take(searched + length)));
            }
            searched = self.bytes.len();
            if searched > OBJECT_MAX {
                return Err(Errno::MSGSIZE);
            }
            let mut source = Socket { socket, patience: Patience::ForEver, descriptors: Descriptors::Wanted };
            let mut room = [0; 4096];
            let mut arrived = Vec::new();
            let count = match source.receive(&mut room, &mut [], &mut arrived) {
                Ok(0) | Err(Errno::CONNRESET) => return Ok(None),
                Ok(count) => count,
                Err(error) => return Err(error),
            };
            let begin = self.first + searched as u64;
            if !arrived.is_empty() {
                self.arrived.push_back((begin..begin + count as u64, arrived));
            }
            self.bytes.extend_from_slice(&room[..count]);
        }
    }

    fn take(&mut self, length: usize) -> Object {
        let begin = self.first;
        let rest = self.bytes.split_off(length + 1);
        let mut bytes = std::mem::replace(&mut self.bytes, rest);
        bytes.truncate(length);
        self.first += length as u64 + 1;
        let mut descriptors = Vec::new();
        // A read that the next object begins in too has that one's; what no object can have any more is closed.
        while let Some((range, with)) = self.arrived.pop_front() {
            if range.start > begin || range.contains(&self.first) {
                self.arrived.push_front((range, with));
                break;
            }
            if range.contains(&begin) {
                descriptors = with;
            }
        }
        Object { bytes, descriptors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
        sendmsg, socketpair,
    };
    use std::io::IoSlice;
    use std::os::fd::AsFd;

    fn send(host: &OwnedFd, bytes: &[u8], descriptors: usize) {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let with = vec![host.as_fd(); descriptors];
        assert!(descriptors == 0 || control.push(SendAncillaryMessage::ScmRights(&with)));
        let sent = sendmsg(host, &[IoSlice::new(bytes)], &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(bytes.len()));
    }

    #[test]
    fn descriptors_are_of_the_object_whose_first_byte_they_came_with() {
        let (host, server) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a pair");
        let long = [&[b'l'; 9000][..], b"\0"].concat();
        // All of it is there before anything is read: with and without descriptors, in one read and in several.
        let sent: [(&[u8], usize); 7] =
            [(b"a\0", 0), (b"b\0", 2), (b"c\0", 1), (b"d\0", 0), (&long, 2), (b"e\0", 0), (b"f\0", 1)];
        for (bytes, descriptors) in sent {
            send(&host, bytes, descriptors);
        }
        send(&host, b"in tw", 1);
        let mut hearing =
            Hearing::new(b"behind the answer\0".to_vec(), vec![host.try_clone().expect("clone")]);
        let mut heard = || {
            let object = hearing.next(server.as_fd()).expect("hear").expect("not the end");
            (object.bytes.len(), object.descriptors.len())
        };
        assert_eq!(heard(), (17, 1));
        for (bytes, descriptors) in sent {
            assert_eq!(heard(), (bytes.len() - 1, descriptors));
        }
        send(&host, b"o parts\0", 0);
        assert_eq!(heard(), (12, 1));
        drop(host);
        assert!(hearing.next(server.as_fd()).expect("hear").is_none());
    }

    #[test]
    fn in_every_order_of_what_may_happen_the_counts_keep_their_limits() {
        let mut run = 0u32;
        for limit in [None, Some(1), Some(3)] {
            for order in 0..4u32.pow(8) {
                let (limit, listening_max) = (limit, 2);
                let mut counts = Counts {
                    limit,
                    listening_max,
                    listening: 1,
                    connected: 0,
                    refused: false,
                    stopped: false,
                };
                let mut unaccepted = 0;
                counts.more(unaccepted);
                for step in 0..8 {
                    match order / 4u32.pow(step) % 4 {
                        0 if counts.listening > 0 => {
                            counts.taken();
                            unaccepted += 1;
                        }
                        1 => unaccepted = unaccepted.saturating_sub(1),
                        2 if counts.connected as usize > unaccepted => counts.closed(),
                        3 if counts.listening > 0 => counts.refuse(1),
                        _ => continue,
                    }
                    counts.more(unaccepted);
                    let all = counts.listening + counts.connected;
                    assert!(limit.is_none_or(|limit| all <= limit), "{order}: {counts:?}");
                    assert!(counts.listening <= listening_max, "{order}: {counts:?}");
                    let room = limit.is_none_or(|limit| all < limit) && unaccepted == 0;
                    let silent = counts.refused || counts.listening > 0 || !room;
                    assert!(silent, "{order}: nobody listens: {counts:?}");
                    run += 1;
                }
            }
        }
        assert!(run > 100_000);
    }
}
