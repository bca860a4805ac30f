//! Pipes for output: made nonblocking on our side only, looked at before they are emptied.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// A pipe: read end and write end, close-on-exec, blocking for the writer (a service).
///
/// The two ends are separate open files, so making the read end nonblocking does not concern the writer.
pub fn new() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK)?;
    Ok((read, write))
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
    use std::os::fd::AsFd;

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
