//! Taking a datagram with descriptors that may be slow to close.
//!
//! A TCP socket that lingers, or a file of a file system whose server does not answer, makes a close wait for as long as its sender
//! likes; the latter also a close that is not the last, and an fstat. So such descriptors never come into our table: a child that
//! has nothing else of ours takes the datagram, gives us what the kernel says of the sender, and keeps the rest until we are done
//! with it. It lets go of them by ending, where sockets do not linger; what waits all the same, waits there.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit};

use crate::datagram::{self, Control, Part};
use crate::packet::{self, Received};
use crate::spawn::CLONE_CLEAR_SIGHAND;

/// A child that holds what came with a datagram.
#[derive(Debug)]
pub struct Holder {
    /// It: ended once the descriptors are closed, and then to be reaped.
    pub pidfd: OwnedFd,
    /// While this is open it holds them, which is what BARRIER waits for.
    pub hold: OwnedFd,
}

impl Holder {
    /// Starts a child that takes the datagram that was looked at. With an error it is still there.
    pub fn start(socket: BorrowedFd<'_>) -> io::Result<Holder> {
        let (hold, child_end) = packet::pair()?;
        let pidfd = clone(socket.as_raw_fd(), child_end.as_raw_fd())?;
        Ok(Holder { pidfd, hold })
    }

    /// The process that sent the datagram; `None` if it was reaped before. Waits for the child, which waits for nobody before it
    /// has said so.
    pub fn sender(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            let mut poll = [PollFd::new(&self.hold, PollFlags::IN)];
            match rustix::event::poll(&mut poll, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match packet::receive(self.hold.as_fd(), &mut [0])? {
                Received::Packet { mut descriptors, .. } => return Ok(descriptors.pop()),
                Received::Nothing => {}
                Received::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

fn clone(socket: RawFd, hold: RawFd) -> io::Result<OwnedFd> {
    let mut pidfd: RawFd = -1;
    // SAFETY: every bit pattern is a valid `clone_args` (integers only).
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: without CLONE_VM the child has its own copy of memory and returns here with 0; it then runs only `hold_all`, which
    // makes system calls alone. `args` and `pidfd` live for the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    if pid == 0 {
        let status = if hold_all(socket, hold).is_some() { 0 } else { 1 };
        crate::spawn::exit_now(status);
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: clone3 succeeded with CLONE_PIDFD, so it has put a descriptor of ours there.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// As many as one message has at most (SCM_MAX_FD), with the credentials and the pidfd: what had no room, would be closed before
/// we end.
const DESCRIPTORS_MAX: usize = 253;
// SAFETY: CMSG_SPACE only counts.
const CONTROL_BYTES: usize = unsafe {
    libc::CMSG_SPACE(size_of::<libc::ucred>() as _)
        + libc::CMSG_SPACE(size_of::<libc::c_int>() as _)
        + libc::CMSG_SPACE((DESCRIPTORS_MAX * size_of::<libc::c_int>()) as _)
} as usize;

/// The child's life. Nothing in it allocates or closes. `None`: it had to give up.
fn hold_all(socket: RawFd, hold: RawFd) -> Option<()> {
    keep_only(socket, hold)?;
    let room = DESCRIPTORS_MAX as u64 * 2;
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(room), maximum }).ok()?;
    // SAFETY: both are open here, were not closed above, and are not before the end.
    let (socket, hold) = unsafe { (BorrowedFd::borrow_raw(socket), BorrowedFd::borrow_raw(hold)) };
    let mut control = Control([MaybeUninit::uninit(); CONTROL_BYTES]);
    let mut sender = None;
    // The bytes are known.
    let taken = datagram::receive_parts(socket, &mut [], &mut control, 0, |part| match part {
        Part::Sender(_) => {}
        Part::Pidfd(pidfd) => sender = pidfd.map(IntoRawFd::into_raw_fd),
        Part::Descriptor(descriptor) => {
            let _ = descriptor.into_raw_fd();
        }
    });
    taken.ok()??;
    // SAFETY: the kernel has just made it, and nobody closes it.
    let sender = sender.map(|sender| unsafe { BorrowedFd::borrow_raw(sender) });
    packet::send(hold, &[1], sender.as_slice()).ok()?;
    // Until the other end is closed: nothing is ever sent there.
    let mut poll = [PollFd::from_borrowed_fd(hold, PollFlags::IN)];
    while rustix::event::poll(&mut poll, None) == Err(rustix::io::Errno::INTR) {}
    Some(())
}

/// Closes all but these two.
fn keep_only(one: RawFd, other: RawFd) -> Option<()> {
    let (low, high) = (one.min(other) as u32, one.max(other) as u32);
    for (first, last) in [(0, low.checked_sub(1)), (low + 1, Some(high - 1)), (high + 1, Some(u32::MAX))] {
        let Some(last) = last.filter(|last| first <= *last) else { continue };
        // SAFETY: integers only; nobody in this copy of the process uses any of them again.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::{Descriptors, look};
    use rustix::process::{WaitId, WaitIdOptions};
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn descriptors_are_held_by_a_child_until_the_message_is_done_and_never_by_us() {
        let path = std::env::temp_dir().join(format!("session0-holder-{}", std::process::id()));
        let socket = datagram::bind(&path, 0o600, 1 << 16).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut buffer = [0; 50];
        assert!(look(socket.as_fd(), &mut buffer).unwrap().is_none());

        client.send(b"READY=1").unwrap();
        let (_, descriptors) = look(socket.as_fd(), &mut buffer).unwrap().unwrap();
        assert_eq!(descriptors, Descriptors::None);
        let datagram = datagram::receive(socket.as_fd(), &mut buffer).unwrap().unwrap();
        assert!(datagram.pidfd.is_some());

        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        packet::send(client.as_fd(), b"BARRIER=1", &[write.as_fd(); 3]).unwrap();
        drop(write);
        let (datagram, descriptors) = look(socket.as_fd(), &mut buffer).unwrap().unwrap();
        assert_eq!((descriptors, &buffer[..datagram.length]), (Descriptors::Some, &b"BARRIER=1"[..]));
        let holder = Holder::start(socket.as_fd()).unwrap();
        let pidfd = holder.sender().unwrap().unwrap();
        assert_eq!(crate::pidfd::pid(pidfd.as_fd()).unwrap() as u32, std::process::id());
        assert!(look(socket.as_fd(), &mut buffer).unwrap().is_none(), "it was taken");
        assert_eq!(rustix::io::read(&read, &mut [0; 1]), Err(rustix::io::Errno::AGAIN), "it is held");
        let child = crate::pidfd::pid(holder.pidfd.as_fd()).unwrap();
        // The socket, the other end, the sender's pidfd, and three.
        assert_eq!(std::fs::read_dir(format!("/proc/{child}/fd")).unwrap().count(), 6);
        drop(holder.hold);
        let _ = rustix::process::waitid(WaitId::PidFd(holder.pidfd.as_fd()), WaitIdOptions::EXITED);
        assert_eq!(rustix::io::read(&read, &mut [0; 1]), Ok(0));
    }
}
