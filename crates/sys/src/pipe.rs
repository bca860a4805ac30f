//! Pipes for output: made nonblocking on our side only, looked at before they are emptied.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, OFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// A pipe: read end and write end, close-on-exec, blocking for the writer (a service).
///
/// The two ends are separate open files, so making the read end nonblocking does not concern the writer.
pub fn new() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok((read, write))
}

/// A pipe for a program of this user: both ends close-on-exec and blocking, as programs expect them. The user may open them
/// again by `/dev/stdin` and its like.
pub fn owned(uid: u32, gid: u32) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fchown(&read, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok((read, write))
}

/// A pipe held by one descriptor, both of its ends. For a holder of many pipes that each child starts with copies of.
#[derive(Debug)]
pub struct Held {
    both: OwnedFd,
    /// The write end it was made with, for the one who asks first: opening another one takes a look-up by path.
    write: Option<OwnedFd>,
}

impl Held {
    /// A new pipe.
    pub fn new() -> io::Result<Held> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Held { both: open_again(read.as_fd(), OFlags::RDWR)?, write: Some(write) })
    }

    /// Its owner: who may open it by `/dev/stdout`.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        Ok(rustix::fs::fchown(&self.both, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
    }

    /// A read end of its own, nonblocking.
    pub fn reader(&self) -> io::Result<OwnedFd> {
        open_again(self.both.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// A write end of its own, blocking.
    pub fn writer(&mut self) -> io::Result<OwnedFd> {
        match self.write.take() {
            Some(first) => Ok(first),
            None => open_again(self.both.as_fd(), OFlags::WRONLY),
        }
    }
}

/// A pipe has no name but this one.
fn open_again(descriptor: BorrowedFd<'_>, flags: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, rustix::fs::Mode::empty())?)
}

/// Copies up to `length` bytes from one pipe into another without taking them out of the first. `None`: nothing
/// is there now. `Some(0)`: the writers are gone.
pub fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, length: usize) -> io::Result<Option<usize>> {
    loop {
        match rustix::pipe::tee(from, to, length, SpliceFlags::NONBLOCK) {
            Ok(count) => return Ok(Some(count)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_pipe_has_ends_of_one_kind_each() {
        let mut pipe = Held::new().unwrap();
        let first = pipe.writer().unwrap();
        rustix::io::write(&first, b"").unwrap();
        let (read, write) = (pipe.reader().unwrap(), pipe.writer().unwrap());
        assert_eq!(rustix::io::read(&read, &mut [0; 1]), Err(Errno::AGAIN));
        assert_eq!(rustix::io::write(&read, b"x"), Err(Errno::BADF));
        assert_eq!(rustix::io::read(&write, &mut [0; 1]), Err(Errno::BADF));
        rustix::io::write(&write, b"x").unwrap();
        drop(write);
        assert_eq!(rustix::io::read(&read, &mut [0; 2]), Ok(1));
        assert_eq!(rustix::io::read(&read, &mut [0; 2]), Err(Errno::AGAIN), "it is still held");
    }

    #[test]
    fn tee_looks_without_taking() {
        let (read, write) = new().unwrap();
        let (copy_read, copy_write) = new().unwrap();
        assert_eq!(tee(read.as_fd(), copy_write.as_fd(), 100).unwrap(), None);
        rustix::io::write(&write, b"line\n").unwrap();
        assert_eq!(tee(read.as_fd(), copy_write.as_fd(), 100).unwrap(), Some(5));
        let mut buffer = [0; 10];
        assert_eq!(rustix::io::read(&copy_read, &mut buffer).unwrap(), 5);
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 5);
        drop(write);
        assert_eq!(tee(read.as_fd(), copy_write.as_fd(), 100).unwrap(), Some(0));
    }
}
