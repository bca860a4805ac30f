//! Reading a pipe without taking from it.
//!
//! `tee` copies what is in a unit's pipe, by reference, into a scratch pipe of ours, and we read that. Only when the
//! lines are in the file is exactly that much taken out of the unit's pipe, by moving it to `/dev/null`. If we die in
//! between, the next logger finds it all still there: it may write a chunk twice, it never misses one.
//!
//! Nothing here blocks, whatever flags the pipe has: its service can open it too, read from it and set its flags.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use session0_model::limit::LOG_TURN_MAX;

/// Slots the scratch pipe is to have, in bytes of a page each: as many as the largest pipe an ordinary program can
/// make of its own, so that one look sees a pipe that is full of tiny writes.
const SCRATCH_BYTES: usize = 1 << 20;

/// A write up to this size is atomic (PIPE_BUF), so a pipe with less room than this can hold up its writer.
const ATOMIC_WRITE: usize = 4096;

/// The scratch pipe and the one buffer that all units share.
#[derive(Debug)]
pub struct Scratch {
    read: OwnedFd,
    write: OwnedFd,
    null: OwnedFd,
    buffer: Box<[u8]>,
}

/// What one look at a pipe has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Bytes seen, from the pipe's beginning.
    pub bytes: usize,
    /// What is behind them.
    pub rest: Rest,
}

/// What is in a pipe behind the bytes seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing yet.
    Nothing,
    /// More than one look may take.
    More,
}

impl Scratch {
    /// Makes the scratch pipe.
    pub fn new() -> io::Result<Scratch> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused above the user's share of pipe memory; with fewer slots it only takes more looks.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, SCRATCH_BYTES);
        let null = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Scratch { read, write, null, buffer: vec![0; LOG_TURN_MAX].into_boxed_slice() })
    }

    /// Looks at the beginning of a pipe.
    pub fn look(&mut self, pipe: BorrowedFd<'_>) -> io::Result<Look> {
        let there = waiting(pipe)?;
        let want = there.min(self.buffer.len());
        if want == 0 {
            return Ok(Look { bytes: 0, rest: Rest::Nothing });
        }
        // Once: a second tee would begin at the pipe's beginning again.
        let seen = match rustix::pipe::tee(pipe, &self.write, want, SpliceFlags::NONBLOCK) {
            Ok(copied) => self.read(copied)?,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(Look { bytes: seen, rest: if seen < there { Rest::More } else { Rest::Nothing } })
    }

    /// Reads what tee put into the scratch pipe, to the last byte. Several reads, because a pipe in packet mode gives
    /// one write at a time.
    fn read(&mut self, length: usize) -> io::Result<usize> {
        let mut seen = 0;
        while seen < length {
            match rustix::io::read(&self.read, &mut self.buffer[seen..]) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(bytes) => seen += bytes,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(seen)
    }

    /// The bytes of the last look.
    pub fn seen(&self, look: Look) -> &[u8] {
        &self.buffer[..look.bytes]
    }

    /// Takes `bytes` out of the pipe. Less are taken only if the service has taken them itself.
    pub fn consume(&self, pipe: BorrowedFd<'_>, mut bytes: usize) -> io::Result<()> {
        while bytes > 0 {
            match rustix::pipe::splice(pipe, None, &self.null, None, bytes, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(taken) => bytes -= taken,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Bytes in a pipe.
pub fn waiting(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(usize::try_from(rustix::io::ioctl_fionread(pipe)?).unwrap_or(usize::MAX))
}

/// What an unfinished line in a pipe means for its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// It goes on when it likes, and its next write wakes us.
    Free,
    /// It was perhaps in the middle of a write that the full pipe held up. It goes on now, and if it fills the pipe
    /// again that wakes nobody: the kernel wakes a reader at the end of a write, or when the pipe was empty, which
    /// it was not, because of the unfinished line. We have to look again by ourselves.
    Resumes,
    /// It may be held up until we take the unfinished line, which it can therefore never finish.
    Stuck,
}

/// Tells what a writer does after a look that saw `seen` bytes, of which `left` are an unfinished line.
pub fn writer(pipe: BorrowedFd<'_>, seen: usize, left: usize) -> Writer {
    let size = rustix::pipe::fcntl_getpipe_size(pipe).unwrap_or(0);
    if left + ATOMIC_WRITE > size {
        Writer::Stuck
    } else if 2 * (seen + ATOMIC_WRITE) > size {
        // A full pipe: its pages are at least half full when writes are longer than a page.
        Writer::Resumes
    } else {
        Writer::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn looking_takes_nothing_and_consuming_takes_exactly_that() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut scratch = Scratch::new().unwrap();
        assert_eq!(scratch.look(read.as_fd()).unwrap(), Look { bytes: 0, rest: Rest::Nothing });
        rustix::io::write(&write, b"hello world").unwrap();
        for _ in 0..3 {
            let look = scratch.look(read.as_fd()).unwrap();
            assert_eq!((scratch.seen(look), look.rest), (&b"hello world"[..], Rest::Nothing));
        }
        scratch.consume(read.as_fd(), 6).unwrap();
        let look = scratch.look(read.as_fd()).unwrap();
        assert_eq!(scratch.seen(look), b"world");
        scratch.consume(read.as_fd(), 5).unwrap();
        assert_eq!(scratch.look(read.as_fd()).unwrap(), Look { bytes: 0, rest: Rest::Nothing });
    }

    #[test]
    fn packet_mode_and_a_full_pipe_are_seen_whole() {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::DIRECT | PipeFlags::NONBLOCK).unwrap();
        let mut scratch = Scratch::new().unwrap();
        let mut packets = 0;
        while rustix::io::write(&write, b"ab\n").is_ok() {
            packets += 1;
        }
        let look = scratch.look(read.as_fd()).unwrap();
        assert_eq!(look, Look { bytes: 3 * packets, rest: Rest::Nothing });
        scratch.consume(read.as_fd(), 4).unwrap();
        assert_eq!(scratch.look(read.as_fd()).unwrap().bytes, 3 * packets - 4);
    }

    #[test]
    fn a_stolen_byte_does_not_block() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let scratch = Scratch::new().unwrap();
        rustix::io::write(&write, b"abc").unwrap();
        scratch.consume(read.as_fd(), 1000).unwrap();
        assert_eq!(waiting(read.as_fd()).unwrap(), 0);
    }
}
