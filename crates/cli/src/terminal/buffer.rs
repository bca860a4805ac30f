//! Bytes on their way from one descriptor to another.

use std::io;
use std::os::fd::AsFd;

/// Bytes that may be on their way: what is read and cannot be written yet. Large, so that a flood takes few system calls; bounded, so
/// that whoever floods a reader that does not read has to wait.
const SIZE: usize = 64 * 1024;

/// Bytes on their way.
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// So many bytes.
    Bytes(usize),
    /// Nothing at the moment.
    Nothing,
    /// Nothing ever more.
    End,
}

impl Buffer {
    /// An empty one.
    pub fn new() -> Buffer {
        Buffer { bytes: vec![0; SIZE].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether something can be read.
    pub fn has_room(&self) -> bool {
        self.end - self.start < SIZE
    }

    /// What is to be written.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Adds a few bytes to an empty buffer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        (self.start, self.end) = (0, bytes.len());
    }

    /// Reads once. There must be room, as a read of nothing looks like the end.
    pub fn fill(&mut self, from: impl AsFd) -> io::Result<Filled> {
        if self.end == SIZE {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        match rustix::io::retry_on_intr(|| rustix::io::read(&from, &mut self.bytes[self.end..])) {
            Ok(0) => Ok(Filled::End),
            Ok(length) => {
                self.end += length;
                Ok(Filled::Bytes(length))
            }
            Err(rustix::io::Errno::AGAIN) => Ok(Filled::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes once, at most `piece` bytes. To a descriptor that has no room it writes nothing.
    pub fn empty(&mut self, to: impl AsFd, piece: usize) -> io::Result<()> {
        let end = self.end.min(self.start.saturating_add(piece));
        match rustix::io::retry_on_intr(|| rustix::io::write(&to, &self.bytes[self.start..end])) {
            Ok(length) => self.start += length,
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if self.is_empty() {
            self.discard();
        }
        Ok(())
    }

    /// Forgets what is to be written.
    pub fn discard(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_out_once_and_in_order_through_a_buffer_that_is_often_full() {
        let (input, mut into) = std::io::pipe().unwrap();
        let (mut out, output) = std::io::pipe().unwrap();
        let sent: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        let bytes = sent.clone();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut into, &bytes).unwrap());
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            std::io::Read::read_to_end(&mut out, &mut all).unwrap();
            all
        });
        let mut buffer = Buffer::new();
        let mut ended = false;
        while !ended || !buffer.is_empty() {
            while !ended && buffer.has_room() {
                ended = buffer.fill(&input).unwrap() == Filled::End;
            }
            // Less than what is there, so that what is left has to be moved.
            buffer.empty(&output, 1000).unwrap();
        }
        drop(output);
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), sent);
    }
}
