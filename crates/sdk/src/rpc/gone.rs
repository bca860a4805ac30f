//! Noticing that a client is gone while it is being worked for.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Runs something for a client, unless the client is gone before it is done. Most calls are done at once and need no watching.
pub(super) async fn unless_gone<T>(stream: BorrowedFd<'_>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let first = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    if let Poll::Ready(done) = first {
        return Some(done);
    }
    match select(work, pin!(gone(stream))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// Ends when the client is gone. A client that only closed its own sending side still wants its answers.
///
/// It watches by a descriptor of its own, and for writing: the kernel tells of a hang-up in any case, but calls that wait to be
/// read, and a sending side that was closed, would be told of again and again.
async fn gone(stream: BorrowedFd<'_>) {
    /// How often it is looked at when no descriptor is left to watch with.
    const LOOK: Duration = Duration::from_secs(1);
    let duplicate = stream.try_clone_to_owned().map(std::os::unix::net::UnixStream::from);
    let watch = duplicate.and_then(UnixStream::from_std);
    while !hung_up(stream) {
        match &watch {
            Ok(watch) => match watch.writable().await {
                Ok(()) => forget_readiness(watch),
                Err(_) => return,
            },
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The next wait is for the next change, not for what is known already: tokio takes "would block" for that.
fn forget_readiness(watch: &UnixStream) {
    let _ = watch.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

fn hung_up(stream: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
}
