//! Messages as bytes: a JSON object and a zero byte. What was read and not yet taken, with a maximum.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Bytes asked for at once.
const READ_SIZE: usize = 16 * 1024;
/// An emptied buffer keeps at most this much.
const KEEP_MAX: usize = 4 * READ_SIZE;
/// Descriptors that may come with one read (the kernel passes no more).
const DESCRIPTORS_MAX: usize = 253;

/// What becomes of descriptors that the other side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Descriptors {
    /// The kernel is given no room for them, so they are never installed.
    #[default]
    Discarded,
    /// They are taken, close-on-exec.
    Taken,
}

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    /// Without its zero byte.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Whether a message is an object, if it is JSON at all: serde would take an array for a struct, too.
pub(super) fn is_object(message: &[u8]) -> bool {
    message.trim_ascii_start().starts_with(b"{")
}

/// The next message.
#[derive(Debug)]
pub(super) enum Next {
    /// Whole.
    Message(Message),
    /// Begun, not whole.
    Begun,
    /// Not begun.
    Nothing,
    /// Longer than it may be.
    TooLong,
}

/// Holds at most one message's maximum and one read.
#[derive(Debug)]
pub(super) struct Frames {
    message_max: usize,
    accept: Descriptors,
    bytes: Vec<u8>,
    /// Up to here there is no zero byte.
    searched: usize,
    /// With the position of the last byte they came with: that is in the message they belong to.
    descriptors: Vec<(usize, OwnedFd)>,
}

impl Frames {
    /// For messages of at most so many bytes without the zero byte.
    pub fn new(message_max: usize, accept: Descriptors) -> Frames {
        Frames { message_max, accept, bytes: Vec::new(), searched: 0, descriptors: Vec::new() }
    }

    /// From now on messages may be of at most so many bytes.
    pub fn set_message_max(&mut self, message_max: usize) {
        self.message_max = message_max;
    }

    /// Adds what was read elsewhere.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next message, if it is whole.
    pub fn take(&mut self) -> Next {
        let Some(offset) = self.bytes[self.searched..].iter().position(|byte| *byte == 0) else {
            self.searched = self.bytes.len();
            return match self.searched {
                0 => Next::Nothing,
                length if length > self.message_max => Next::TooLong,
                _ => Next::Begun,
            };
        };
        let end = self.searched + offset;
        if end > self.message_max {
            return Next::TooLong;
        }
        let rest = self.bytes.split_off(end + 1);
        let mut bytes = std::mem::replace(&mut self.bytes, rest);
        bytes.truncate(end);
        self.searched = 0;
        self.bytes.shrink_to(KEEP_MAX);
        Next::Message(Message { bytes, descriptors: self.take_descriptors(end) })
    }

    /// Those of the message that ends here.
    fn take_descriptors(&mut self, end: usize) -> Vec<OwnedFd> {
        let (of_it, later) =
            std::mem::take(&mut self.descriptors).into_iter().partition(|(at, _)| *at <= end);
        let later: Vec<(usize, OwnedFd)> = later;
        self.descriptors = later.into_iter().map(|(at, descriptor)| (at - end - 1, descriptor)).collect();
        let of_it: Vec<(usize, OwnedFd)> = of_it;
        of_it.into_iter().map(|(_, descriptor)| descriptor).collect()
    }

    /// Reads once, without waiting. `Ok(0)` is the end. To be called when [`Frames::take`] found nothing whole.
    pub fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let old = self.bytes.len();
        self.bytes.resize(old + READ_SIZE, 0);
        let result = self.receive(socket, old);
        self.bytes.truncate(old + *result.as_ref().unwrap_or(&0));
        result
    }

    fn receive(&mut self, socket: BorrowedFd<'_>, old: usize) -> io::Result<usize> {
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut slices = [io::IoSliceMut::new(&mut self.bytes[old..])];
        if self.accept == Descriptors::Discarded {
            let mut control = RecvAncillaryBuffer::default();
            let received = rustix::io::retry_on_intr(|| recvmsg(socket, &mut slices, &mut control, flags))?;
            return Ok(received.bytes);
        }
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| recvmsg(socket, &mut slices, &mut control, flags))?;
        // The kernel ends a read where the write that had descriptors ends.
        let last = (old + received.bytes).saturating_sub(1);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                let room = DESCRIPTORS_MAX.saturating_sub(self.descriptors.len());
                self.descriptors.extend(rights.take(room).map(|descriptor| (last, descriptor)));
            }
        }
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn fed(frames: &mut Frames, bytes: &[u8]) {
        let (mut client, server) = UnixStream::pair().expect("a pair");
        client.write_all(bytes).expect("write");
        while frames.fill(server.as_fd()).is_ok_and(|count| count > 0) {}
    }

    fn whole(frames: &mut Frames) -> Vec<u8> {
        match frames.take() {
            Next::Message(message) => message.bytes,
            other => panic!("no message: {other:?}"),
        }
    }

    #[test]
    fn messages_are_taken_one_by_one_whatever_the_reads_were() {
        let mut frames = Frames::new(10, Descriptors::Discarded);
        assert!(matches!(frames.take(), Next::Nothing));
        fed(&mut frames, b"on");
        assert!(matches!(frames.take(), Next::Begun));
        fed(&mut frames, b"e\0two\0th");
        assert_eq!(whole(&mut frames), b"one");
        assert_eq!(whole(&mut frames), b"two");
        assert!(matches!(frames.take(), Next::Begun));
        fed(&mut frames, b"ree\0");
        assert_eq!(whole(&mut frames), b"three");
        assert!(matches!(frames.take(), Next::Nothing));
    }

    #[test]
    fn the_limit_holds_for_whole_messages_and_for_those_without_an_end() {
        let mut frames = Frames::new(4, Descriptors::Discarded);
        fed(&mut frames, b"1234\0");
        assert_eq!(whole(&mut frames), b"1234");
        fed(&mut frames, b"12345\0");
        assert!(matches!(frames.take(), Next::TooLong));
        let mut frames = Frames::new(4, Descriptors::Discarded);
        fed(&mut frames, b"12345");
        assert!(matches!(frames.take(), Next::TooLong));
    }

    fn send(socket: &UnixStream, bytes: &[u8], descriptor: BorrowedFd<'_>) {
        let descriptors = [descriptor];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors)));
        let slices = [io::IoSlice::new(bytes)];
        rustix::net::sendmsg(socket, &slices, &mut control, rustix::net::SendFlags::empty()).expect("send");
    }

    #[test]
    fn descriptors_belong_to_the_message_they_came_with_and_are_close_on_exec() {
        let (mut client, server) = UnixStream::pair().expect("a pair");
        let (reader, _writer) = io::pipe().expect("a pipe");
        client.write_all(b"one\0").expect("write");
        send(&client, b"two\0", reader.as_fd());
        client.write_all(b"three\0").expect("write");
        let mut frames = Frames::new(10, Descriptors::Taken);
        while frames.fill(server.as_fd()).is_ok_and(|count| count > 0) {}
        let mut counts = Vec::new();
        while let Next::Message(message) = frames.take() {
            for descriptor in &message.descriptors {
                let flags = rustix::io::fcntl_getfd(descriptor).expect("flags");
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            }
            counts.push(message.descriptors.len());
        }
        assert_eq!(counts, [0, 1, 0]);
    }

    #[test]
    fn descriptors_that_nobody_asked_for_are_not_installed() {
        let (client, server) = UnixStream::pair().expect("a pair");
        let (reader, writer) = io::pipe().expect("a pipe");
        send(&client, b"one\0", reader.as_fd());
        drop(reader);
        let mut frames = Frames::new(10, Descriptors::Discarded);
        frames.fill(server.as_fd()).expect("read");
        assert_eq!(whole(&mut frames), b"one");
        // The only reader there could be is one that was received.
        let error = (&writer).write(b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
