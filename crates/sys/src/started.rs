//! What a program of ours is started with: descriptors at agreed numbers, and a way to be told to end.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes the descriptor that whoever started us left at this number (3 to 63), once. It will not be inherited further.
pub fn descriptor(number: i32) -> io::Result<OwnedFd> {
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let bit = match number {
        3..=63 => 1 << number,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    // SAFETY: F_SETFD touches only the descriptor table, and fails for a number that is not open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: it is open (fcntl succeeded), and it is handed out once (`TAKEN`). Programs call this before they open
    // anything, so that the number is still the one they were started with.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A descriptor that becomes readable when we are sent SIGTERM, which from now on does nothing else.
pub fn terminate() -> io::Result<OwnedFd> {
    // SAFETY: `set` is a valid signal set (all zero is one, and sigemptyset makes it empty) for all three calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let descriptor = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_taken_once() {
        assert!(descriptor(0).is_err());
        assert!(descriptor(64).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        let file = rustix::io::fcntl_dupfd_cloexec(&file, 40).unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(file);
        drop(descriptor(number).unwrap());
        assert!(descriptor(number).is_err());
    }
}
