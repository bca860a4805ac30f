//! Waiting for a file to change.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// How often a file is looked at that cannot be watched.
const LOOK: Duration = Duration::from_millis(200);

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It may have grown.
    Grown,
    /// It may have been renamed.
    Unknown,
    /// It was renamed or removed: there is a newer one, or soon will be.
    Moved,
}

/// Sees one file change: by inotify where this user may, else by looking.
pub(super) enum Watch {
    Inotify(OwnedFd),
    Looking { changed: (i64, i64) },
}

impl Watch {
    pub(super) fn new(file: &File) -> io::Result<Watch> {
        match watched(file) {
            Ok(inotify) => Ok(Watch::Inotify(inotify)),
            // The file may be open to us and still not be ours to watch; or this user has no more instances.
            Err(_) => Ok(Watch::Looking { changed: changed(file)? }),
        }
    }

    /// Waits for the next change, but not longer than this: then it is unknown.
    pub(super) fn wait(&mut self, file: &File, time_max: Duration) -> io::Result<Change> {
        match self {
            Watch::Inotify(inotify) => wait_inotify(inotify, time_max),
            Watch::Looking { changed: before } => {
                // A file's change time changes when it is written and when it is renamed.
                let end = Instant::now() + time_max;
                while changed(file)? == *before && Instant::now() < end {
                    std::thread::sleep(LOOK);
                }
                *before = changed(file)?;
                Ok(Change::Unknown)
            }
        }
    }
}

fn watched(file: &File) -> io::Result<OwnedFd> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::ATTRIB;
    inotify::add_watch(&inotify, path, flags)?;
    Ok(inotify)
}

fn changed(file: &File) -> io::Result<(i64, i64)> {
    let metadata = file.metadata()?;
    Ok((metadata.ctime(), metadata.ctime_nsec()))
}

fn wait_inotify(inotify: &OwnedFd, time_max: Duration) -> io::Result<Change> {
    let mut watched = [PollFd::new(inotify, PollFlags::IN)];
    let time_max = Timespec::try_from(time_max).map_err(io::Error::other)?;
    if rustix::io::retry_on_intr(|| poll(&mut watched, Some(&time_max)))? == 0 {
        return Ok(Change::Unknown);
    }
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(inotify, &mut space);
    let mut change = Change::Grown;
    loop {
        match reader.next() {
            Ok(event) if event.events().contains(ReadFlags::MOVE_SELF) => change = Change::Moved,
            // The number of names changed, or the mode.
            Ok(event) if event.events().contains(ReadFlags::ATTRIB) && change == Change::Grown => {
                change = Change::Unknown;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(change),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
