//! Watching a descriptor in the loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor for reading.
pub fn reading(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watch(descriptor, Interest::READABLE)
}

/// Watches a descriptor for reading and writing.
pub fn both(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watch(descriptor, Interest::READABLE | Interest::WRITABLE)
}

#[expect(
    deprecated,
    reason = "it is unsound for types that give up their descriptor while they are watched; an OwnedFd that is moved \
              in does not, and the form that replaces it is unsafe, which is only in session0-sys"
)]
fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, interest)
}
