//! What has come and was not read yet: bytes, fragments, messages, descriptors. Knows no socket.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// A fragment's length, and whether another one follows.
pub(super) const HEADER: usize = 4;
/// The bit of a header that says another fragment of the message follows.
const FOLLOWS: u32 = 1 << 31;
/// The longest fragment.
pub(super) const FRAGMENT_MAX: usize = (FOLLOWS - 1) as usize;
/// Asked for at once: a small message with its header, and what is behind it.
const AHEAD: usize = 16 * 1024;
/// From this on a message is read where it belongs; below, reading ahead is cheaper than another call.
const DIRECT: usize = 4096;
/// From this length on, where one is expected, a message is read with its header, where it will belong; below, the call that takes both
/// costs more than copying.
const UNKNOWN: usize = 8 * 1024;
/// As much of a message that is not known yet is read where it will belong. What turns out to be the next one's is moved.
/// As much may be held ready for a message by one who waits for it.
const UNKNOWN_MAX: usize = 64 * 1024;
/// A message's room at first; it grows with what has come, [`GROWTH_FACTOR`] times: who only says that much comes costs no memory.
const GROWTH: usize = 256 * 1024;
/// Few steps to a large message, and little to be moved in them.
const GROWTH_FACTOR: usize = 4;
/// Descriptors that may wait to be taken, as many as one write can bring; what comes beyond is closed.
const DESCRIPTORS_MAX: usize = 253;

/// A fragment's header.
pub(super) fn header(length: usize, last: bool) -> [u8; HEADER] {
    let length = u32::try_from(length.min(FRAGMENT_MAX)).unwrap_or(FOLLOWS - 1);
    (if last { length } else { length | FOLLOWS }).to_le_bytes()
}

/// A message as fragments, each with its header.
pub(super) fn fragments(message: &[u8], most: usize) -> impl Iterator<Item = ([u8; HEADER], &[u8])> {
    let empty = message.is_empty().then_some(message);
    let chunks = message.chunks(most.max(1)).chain(empty);
    let count = message.len().div_ceil(most.max(1)).max(1);
    chunks.enumerate().map(move |(index, chunk)| (header(chunk.len(), index + 1 == count), chunk))
}

/// Where bytes come from.
pub(super) trait Source {
    /// Reads once into the first slice, then into the second one. 0 is the end. What descriptors came is added to `arrived`.
    fn receive(
        &mut self,
        first: &mut [u8],
        then: &mut [u8],
        arrived: &mut Vec<OwnedFd>,
    ) -> Result<usize, Errno>;
}

/// Slices for a call that takes several, without those that have no room.
pub(super) fn slices<'a>(first: &'a mut [u8], then: &'a mut [u8]) -> [IoSliceMut<'a>; 2] {
    [IoSliceMut::new(first), IoSliceMut::new(then)]
}

/// What was read, and whether there is more of the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a message may be longer than the buffer: `rest` says so"]
pub struct Read {
    /// The bytes that are in the buffer now. What the buffer had behind them may be written over.
    pub bytes: usize,
    /// Whether there is more.
    pub rest: Rest,
}

/// Whether a read gave the whole message, or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// There is no more of it. Always so in byte mode, where there are no messages.
    Whole,
    /// The buffer was too small: the next read goes on in the same message (MORE_DATA).
    More,
}

/// What is there to be read, see [`super::Pipe::peek`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peeked {
    /// The bytes that were copied into the buffer. They stay to be read.
    pub read: usize,
    /// The bytes that can be read without waiting: of the next message, on a message pipe as far as it has come.
    pub available: usize,
    /// The bytes of the next message that are not in the buffer, come or not. For a message of several fragments those of the fragment. 0 on a byte pipe.
    pub left_in_message: usize,
    /// Whether there is a message; without bytes it is one of length zero. On a byte pipe whether there are bytes.
    pub something: bool,
}

/// How far a message was gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathered {
    /// To its end.
    Whole,
    /// To the limit; there is more.
    Limit,
}

/// Where in the stream of fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Inside,
    End,
}

/// The part of an end that reads.
pub(super) struct Inbox {
    /// Read ahead: `ahead[start..end]`.
    ahead: Vec<u8>,
    start: usize,
    end: usize,
    /// Of the current message, taken off the stream already: `held[served..held_end]`. What is behind is room.
    held: Vec<u8>,
    held_end: usize,
    served: usize,
    /// Bytes of the current fragment that are in the stream still.
    left: usize,
    /// Whether another fragment follows the current one.
    follows: bool,
    /// The length of the last fragment.
    last: usize,
    /// The lesser of the last two lengths: the next one may be as long. Where small and large ones take turns a large one is not expected.
    expected: usize,
    /// Whether a message has begun.
    open: bool,
    /// All bytes that ever came.
    received: u64,
    /// Descriptors with the number of the last byte that came with them.
    descriptors: VecDeque<(u64, OwnedFd)>,
}

impl Inbox {
    /// With what came before the pipe was one.
    pub(super) fn new(rest: Vec<u8>, descriptors: Vec<OwnedFd>) -> Inbox {
        let end = rest.len();
        let last = (end as u64).saturating_sub(1);
        Inbox {
            ahead: rest,
            start: 0,
            end,
            held: Vec::new(),
            held_end: 0,
            served: 0,
            left: 0,
            follows: false,
            last: 0,
            expected: 0,
            open: false,
            received: end as u64,
            descriptors: descriptors.into_iter().map(|descriptor| (last, descriptor)).collect(),
        }
    }

    /// What was read ahead, as it came; `None` when a message is read in part, so that it would not make sense to anybody.
    pub(super) fn into_rest(self) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        if self.open {
            return None;
        }
        let descriptors = self.descriptors.into_iter().map(|(_, descriptor)| descriptor).collect();
        Some((self.ahead[self.start..self.end].to_vec(), descriptors))
    }

    /// The descriptors that came with what was read.
    pub(super) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        let consumed = self.received - self.buffered() as u64;
        let ripe = self.descriptors.iter().take_while(|(last, _)| *last < consumed).count();
        self.descriptors.drain(..ripe).map(|(_, descriptor)| descriptor).collect()
    }

    fn buffered(&self) -> usize {
        self.end - self.start
    }

    fn receive(
        source: &mut impl Source,
        first: &mut [u8],
        then: &mut [u8],
        received: &mut u64,
        descriptors: &mut VecDeque<(u64, OwnedFd)>,
    ) -> Result<usize, Errno> {
        let mut arrived = Vec::new();
        let count = source.receive(first, then, &mut arrived)?;
        *received += count as u64;
        let room = DESCRIPTORS_MAX - descriptors.len().min(DESCRIPTORS_MAX);
        let last = received.saturating_sub(1);
        descriptors.extend(arrived.into_iter().take(room).map(|descriptor| (last, descriptor)));
        if count == 0 { Err(Errno::PIPE) } else { Ok(count) }
    }

    /// Reads ahead once.
    fn fill(&mut self, source: &mut impl Source) -> Result<(), Errno> {
        if self.ahead.len() < AHEAD {
            self.ahead.resize(AHEAD, 0);
        }
        if self.start > 0 {
            self.ahead.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = &mut self.ahead[self.end..];
        let count = Self::receive(source, room, &mut [], &mut self.received, &mut self.descriptors)?;
        self.end += count;
        Ok(())
    }

    fn copy(&mut self, to: &mut [u8]) -> usize {
        let count = self.buffered().min(to.len());
        to[..count].copy_from_slice(&self.ahead[self.start..self.start + count]);
        self.start += count;
        if self.buffered() == 0 && self.ahead.len() > AHEAD {
            (self.ahead, self.start, self.end) = (Vec::new(), 0, 0);
        }
        count
    }

    /// Of a byte pipe. Waits only if there is nothing.
    pub(super) fn read_bytes(&mut self, source: &mut impl Source, to: &mut [u8]) -> Result<usize, Errno> {
        if to.is_empty() {
            return Ok(0);
        }
        if self.buffered() > 0 {
            return Ok(self.copy(to));
        }
        Self::receive(source, to, &mut [], &mut self.received, &mut self.descriptors)
    }

    /// Of a message pipe, without regard to its messages; one of length zero is passed over. Waits only if there is nothing.
    pub(super) fn read_through(&mut self, source: &mut impl Source, to: &mut [u8]) -> Result<usize, Errno> {
        let mut count = self.serve(to);
        while count < to.len() {
            let header_there = self.left > 0 || self.buffered() >= HEADER;
            if count > 0 && (self.buffered() == 0 || !header_there) {
                break;
            }
            let more = match self.position(source) {
                Ok(Position::Inside) => self.body(source, &mut to[count..]),
                Ok(Position::End) => Ok(0),
                Err(error) => Err(error),
            };
            match more {
                Ok(more) => count += more,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(count)
    }

    /// One message of a message pipe, or as much of it as there is room for. On an error nothing is read.
    pub(super) fn read(&mut self, source: &mut impl Source, to: &mut [u8]) -> Result<Read, Errno> {
        let mut count = self.serve(to);
        loop {
            if self.holds() > 0 {
                return Ok(Read { bytes: count, rest: Rest::More });
            }
            let begun = self.begin(source, &mut to[count..]).map(|more| count += more);
            let error = match begun.and_then(|()| self.position(source)) {
                Ok(Position::End) => return Ok(Read { bytes: count, rest: Rest::Whole }),
                Ok(Position::Inside) if count == to.len() => {
                    return Ok(Read { bytes: count, rest: Rest::More });
                }
                Ok(Position::Inside) => match self.body(source, &mut to[count..]) {
                    Ok(more) => {
                        count += more;
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.put_back(&to[..count]);
            return Err(error);
        }
    }

    /// As [`Inbox::read`], for who cannot wait here. What has come of a message is kept on an error, and added to.
    pub(super) fn read_on(&mut self, source: &mut impl Source, to: &mut [u8]) -> Result<Read, Errno> {
        if self.holds() == 0 {
            return self.read(source, to);
        }
        // What `read` puts back and copies out again would be all of it, each time.
        let gathered = self.gather(source, to.len())?;
        Ok(self.give(to, gathered))
    }

    /// Brings together the current message, at most so many bytes of it. On an error what has come is kept, so that it may be called again.
    pub(super) fn gather(&mut self, source: &mut impl Source, most: usize) -> Result<Gathered, Errno> {
        loop {
            self.begin_held(source, most.saturating_sub(self.holds()))?;
            let have = self.holds();
            match self.position(source)? {
                Position::End => {
                    // It is whole and held: until it is taken, the message is the current one.
                    self.open = true;
                    return Ok(Gathered::Whole);
                }
                Position::Inside if have >= most => return Ok(Gathered::Limit),
                Position::Inside => self.hold(source, most - have)?,
            }
        }
    }

    /// The message that was gathered to its end.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.open = false;
        let mut message = std::mem::take(&mut self.held);
        message.truncate(std::mem::take(&mut self.held_end));
        message.drain(..std::mem::take(&mut self.served));
        // A small one that came where a large one was expected does not keep its room.
        if message.len() < message.capacity() / 2 {
            message.shrink_to_fit();
        }
        message
    }

    /// The bytes that are held.
    fn holds(&self) -> usize {
        self.held_end - self.served
    }

    /// Holds what a read that failed had copied out. Nothing else is held then.
    fn put_back(&mut self, bytes: &[u8]) {
        self.held.clear();
        self.held.extend_from_slice(bytes);
        (self.served, self.held_end) = (0, bytes.len());
    }

    /// Copies out what is held of the message.
    fn serve(&mut self, to: &mut [u8]) -> usize {
        let count = self.holds().min(to.len());
        to[..count].copy_from_slice(&self.held[self.served..self.served + count]);
        self.served += count;
        if self.holds() == 0 {
            (self.served, self.held_end) = (0, 0);
            if self.held.len() > GROWTH {
                self.held = Vec::new();
            }
        }
        count
    }

    /// Gives what was gathered: with [`Gathered::Limit`] as much as there is room for.
    pub(super) fn give(&mut self, to: &mut [u8], gathered: Gathered) -> Read {
        let bytes = self.serve(to);
        let rest = match gathered {
            Gathered::Whole if self.holds() == 0 => {
                self.open = false;
                Rest::Whole
            }
            Gathered::Whole | Gathered::Limit => Rest::More,
        };
        Read { bytes, rest }
    }

    /// Goes on to where bytes of the message are, or to its end.
    fn position(&mut self, source: &mut impl Source) -> Result<Position, Errno> {
        loop {
            if self.left > 0 {
                return Ok(Position::Inside);
            }
            if self.open && !self.follows {
                self.open = false;
                return Ok(Position::End);
            }
            while self.buffered() < HEADER {
                self.fill(source)?;
            }
            let mut header = [0; HEADER];
            self.copy(&mut header);
            if let Err(error) = self.enter(header) {
                self.start -= HEADER;
                return Err(error);
            }
        }
    }

    /// Goes into the fragment that a header begins. Not into one of nothing that goes on: as long as somebody writes such, nobody who
    /// reads a message would ever come back. Its header is to stay where it was.
    fn enter(&mut self, header: [u8; HEADER]) -> Result<(), Errno> {
        let header = u32::from_le_bytes(header);
        if header == FOLLOWS {
            return Err(Errno::PROTO);
        }
        self.left = (header & !FOLLOWS) as usize;
        self.follows = header & FOLLOWS != 0;
        self.expected = self.left.min(self.last);
        self.last = self.left;
        self.open = true;
        Ok(())
    }

    /// How much of the next fragment is read where it belongs before its header is known: nothing if one is not begun here, if something was
    /// read ahead, or if a small one is expected.
    fn unknown(&self, room: usize) -> usize {
        let between = self.left == 0 && (self.follows || !self.open);
        let most = self.expected.min(room).min(UNKNOWN_MAX);
        if between && self.buffered() == 0 && most >= UNKNOWN { most } else { 0 }
    }

    /// Begins a fragment that is expected to be large, if there is one to begin: reads its header and, behind that, bytes of it where they
    /// belong, in one call. What the message does not have of them is kept for the next one. How many it has.
    fn begin(&mut self, source: &mut impl Source, to: &mut [u8]) -> Result<usize, Errno> {
        let most = self.unknown(to.len());
        if most == 0 {
            return Ok(0);
        }
        let mut header = [0; HEADER];
        let to = &mut to[..most];
        let count = Self::receive(source, &mut header, to, &mut self.received, &mut self.descriptors)?;
        let Some(body) = count.checked_sub(HEADER) else {
            self.keep(&header[..count]);
            return Ok(0);
        };
        if let Err(error) = self.enter(header) {
            self.keep(&[&header, &to[..body]].concat());
            return Err(error);
        }
        let count = body.min(self.left);
        self.left -= count;
        self.keep(&to[count..body]);
        Ok(count)
    }

    /// The same, to what is held.
    fn begin_held(&mut self, source: &mut impl Source, most: usize) -> Result<(), Errno> {
        let most = self.unknown(most);
        if most == 0 {
            return Ok(());
        }
        let end = self.held_end + most;
        self.make_room(end);
        let mut held = std::mem::take(&mut self.held);
        let result = self.begin(source, &mut held[self.held_end..end]);
        self.held = held;
        self.held_end += *result.as_ref().unwrap_or(&0);
        result.map(drop)
    }

    /// Keeps what came too early, where nothing else was read ahead.
    fn keep(&mut self, bytes: &[u8]) {
        if self.ahead.len() < bytes.len() {
            self.ahead.resize(bytes.len(), 0);
        }
        self.ahead[..bytes.len()].copy_from_slice(bytes);
        (self.start, self.end) = (0, bytes.len());
    }

    /// Bytes of the current fragment: what was read ahead, or else from the stream, once.
    fn body(&mut self, source: &mut impl Source, to: &mut [u8]) -> Result<usize, Errno> {
        let most = self.left.min(to.len());
        // Behind the end of a large message the next one is large, and is not read ahead.
        let end_of_large = most == self.left && self.expected >= UNKNOWN;
        if self.buffered() == 0 && most < DIRECT && !end_of_large {
            self.fill(source)?;
        }
        let count = if self.buffered() > 0 {
            self.copy(&mut to[..most])
        } else {
            let to = &mut to[..most];
            Self::receive(source, to, &mut [], &mut self.received, &mut self.descriptors)?
        };
        self.left -= count;
        Ok(count)
    }

    /// Adds bytes of the current fragment to what is held, once, and at most so many.
    fn hold(&mut self, source: &mut impl Source, most: usize) -> Result<(), Errno> {
        let wanted = self.held_end + self.left.min(most);
        // Room that was made once is filled before more is made, however little comes at a time.
        if self.held.len() == self.held_end {
            self.make_room(wanted.min(GROWTH.max(self.held_end * GROWTH_FACTOR)));
        }
        let end = wanted.min(self.held.len());
        let mut held = std::mem::take(&mut self.held);
        let result = self.body(source, &mut held[self.held_end..end]);
        self.held = held;
        self.held_end += *result.as_ref().unwrap_or(&0);
        result.map(drop)
    }

    /// Room for what is held, of this length at least. Large new room is zero by the kernel's pages, which nobody touches before bytes come.
    fn make_room(&mut self, length: usize) {
        if self.held.len() < length {
            let mut room = vec![0; length];
            room[..self.held_end].copy_from_slice(&self.held[..self.held_end]);
            self.held = room;
        }
    }

    /// Looks without waiting; `source` must not wait. `in_kernel` is what has come and was not received, and `look` copies from there.
    pub(super) fn peek(
        &mut self,
        source: &mut impl Source,
        kind: Framing,
        in_kernel: &mut dyn FnMut() -> Result<usize, Errno>,
        look: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
        to: &mut [u8],
    ) -> Result<Peeked, Errno> {
        const NOTHING: Peeked = Peeked { read: 0, available: 0, left_in_message: 0, something: false };
        let held = self.holds();
        let rest = match kind {
            Framing::Bytes => usize::MAX,
            Framing::Messages if self.open && self.left == 0 && !self.follows => 0,
            Framing::Messages => match self.header_only(source) {
                Ok(()) => self.left,
                Err(Errno::AGAIN) if held > 0 => 0,
                Err(Errno::AGAIN) => return Ok(NOTHING),
                Err(error) => return Err(error),
            },
        };
        let ahead = self.buffered().min(rest);
        let available = match rest - ahead {
            0 => held + ahead,
            behind => held + ahead + in_kernel()?.min(behind),
        };
        let wanted = to.len().min(available);
        let from_held = wanted.min(held);
        to[..from_held].copy_from_slice(&self.held[self.served..self.served + from_held]);
        let from_ahead = (wanted - from_held).min(ahead);
        let middle = from_held + from_ahead;
        to[from_held..middle].copy_from_slice(&self.ahead[self.start..self.start + from_ahead]);
        let mut read = middle;
        if middle < wanted || (kind == Framing::Bytes && available == 0) {
            let mut one = [0];
            let looked = if middle < wanted { look(&mut to[middle..wanted]) } else { look(&mut one) };
            match looked {
                Ok(0) => return Err(Errno::PIPE),
                Ok(count) if middle < wanted => read += count,
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(error) => return Err(error),
            }
        }
        let left_in_message = if kind == Framing::Bytes { 0 } else { held + rest - read };
        Ok(Peeked { read, available, left_in_message, something: kind == Framing::Messages || available > 0 })
    }

    /// The header of what comes next, if the position is between fragments.
    fn header_only(&mut self, source: &mut impl Source) -> Result<(), Errno> {
        let ended = self.open && !self.follows;
        if self.left == 0 && !ended && self.position(source)? == Position::End {
            // A message of length zero: it stays to be read.
            self.open = true;
        }
        Ok(())
    }
}

/// Whether a pipe has messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Bytes,
    Messages,
}

#[cfg(test)]
mod tests;
