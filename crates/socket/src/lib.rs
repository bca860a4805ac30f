//! The one question about a socket that the library `session0` cannot ask without unsafe code.

use rustix::ioctl::{Getter, Opcode, ioctl};
use std::io;
use std::os::fd::AsFd;

/// `SIOCOUTQ` of linux/sockios.h, where it is another name of `TIOCOUTQ`.
const SIOCOUTQ: Opcode = 0x5411;

/// How much memory holds what was written to this Unix stream socket and the other end has not read yet.
///
/// **Only zero means something exact**: the other end has read every byte, or is gone. Any other number is the size of the kernel's
/// buffers, which is larger than the bytes in them, and a buffer counts until its last byte is read.
///
/// Fails with `ENOTTY` or `EINVAL` for what is not a socket, or one that listens.
///
/// ```
/// use std::io::{Read, Write};
///
/// let (mut here, mut there) = std::os::unix::net::UnixStream::pair()?;
/// here.write_all(b"four")?;
/// assert_ne!(session0_socket::unread(&here)?, 0);
/// there.read_exact(&mut [0; 4])?;
/// assert_eq!(session0_socket::unread(&here)?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn unread(socket: impl AsFd) -> io::Result<usize> {
    // SAFETY: SIOCOUTQ writes one C int to where its argument points and reads nothing (tty_ioctl(4), and `unix_ioctl` in
    // net/unix/af_unix.c); `Getter` has room for exactly that.
    let bytes = unsafe { ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) }?;
    usize::try_from(bytes).map_err(|_| io::Error::other("the kernel counts less than nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn it_is_zero_only_when_the_last_byte_was_read() {
        let (mut here, mut there) = UnixStream::pair().expect("a pair");
        assert_eq!(unread(&here).expect("ask"), 0);
        here.write_all(&[7; 3000]).expect("write");
        there.read_exact(&mut [0; 2999]).expect("read");
        assert_ne!(unread(&here).expect("ask"), 0, "one byte is there still");
        there.read_exact(&mut [0; 1]).expect("read");
        assert_eq!(unread(&here).expect("ask"), 0);
    }

    #[test]
    fn what_is_no_socket_is_an_error() {
        assert!(unread(std::fs::File::open("/dev/null").expect("open")).is_err());
    }
}
