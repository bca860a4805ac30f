//! Permission events on single files: the terminal tripwire.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Somebody opens a marked file and waits for the answer. Dropping it without an answer leaves him waiting, so it
/// is denied then.
#[derive(Debug)]
pub struct OpenAttempt<'group> {
    group: BorrowedFd<'group>,
    file: OwnedFd,
    /// The process, in the reader's PID namespace.
    pub pid: i32,
    /// The process; `None` if it ended meanwhile.
    pub pidfd: Option<OwnedFd>,
    answered: bool,
}

/// The answer to an [`OpenAttempt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The open goes on.
    Allow,
    /// The open fails with EPERM.
    Deny,
}

impl OpenAttempt<'_> {
    /// The file's path as seen inside its session.
    pub fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Lets the opener go on.
    pub fn answer(mut self, answer: Answer) -> io::Result<()> {
        self.respond(answer)
    }

    fn respond(&mut self, answer: Answer) -> io::Result<()> {
        self.answered = true;
        respond(self.group, self.file.as_raw_fd(), answer)
    }
}

impl Drop for OpenAttempt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Nothing more can be done about an error: the group itself is broken then.
            let _ = self.respond(Answer::Deny);
        }
    }
}

/// A group that is asked before marked files are opened. Needs CAP_SYS_ADMIN. Nonblocking.
pub fn group() -> io::Result<OwnedFd> {
    let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_REPORT_PIDFD;
    let file_flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE) as libc::c_uint;
    // SAFETY: fanotify_init takes two integers.
    let descriptor = unsafe { libc::fanotify_init(flags, file_flags) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Marks the file at `path`: opening it asks the group first.
pub fn mark(group: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a string with an end, alive for the call.
    let result = unsafe {
        libc::fanotify_mark(
            group.as_raw_fd(),
            libc::FAN_MARK_ADD | libc::FAN_MARK_DONT_FOLLOW,
            libc::FAN_OPEN_PERM,
            libc::AT_FDCWD,
            path.as_ptr(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// More descriptors than a reader ever has open at once.
const DESCRIPTORS: i32 = 4096;

/// Refuses the attempts that a reader before us read and, because it was killed, never answered; returns how many there
/// were. An answer names an attempt by the number its descriptor had in that reader, and the group, which somebody
/// else kept, still knows it. To be called before the first [`read`].
pub fn refuse_abandoned(group: BorrowedFd<'_>) -> usize {
    (0..DESCRIPTORS).filter(|number| respond(group, *number, Answer::Deny).is_ok()).count()
}

fn respond(group: BorrowedFd<'_>, file: RawFd, answer: Answer) -> io::Result<()> {
    let response = match answer {
        Answer::Allow => libc::FAN_ALLOW,
        Answer::Deny => libc::FAN_DENY,
    };
    let mut bytes = [0u8; 8];
    bytes[..4].copy_from_slice(&file.to_ne_bytes());
    bytes[4..].copy_from_slice(&response.to_ne_bytes());
    rustix::io::write(group, &bytes)?;
    Ok(())
}

/// The attempts that wait now (at most about fifty in one call; call until it is empty).
pub fn read(group: BorrowedFd<'_>) -> io::Result<Vec<OpenAttempt<'_>>> {
    let mut buffer = [0u8; 4096];
    let length = match rustix::io::read(group, &mut buffer) {
        Ok(length) => length,
        Err(rustix::io::Errno::AGAIN) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut rest = &buffer[..length];
    let mut attempts = Vec::new();
    while let Some((attempt, next)) = parse(group, rest) {
        attempts.extend(attempt);
        rest = next;
    }
    Ok(attempts)
}

/// One event of struct fanotify_event_metadata and the records behind it.
fn parse<'g, 'b>(group: BorrowedFd<'g>, bytes: &'b [u8]) -> Option<(Option<OpenAttempt<'g>>, &'b [u8])> {
    const METADATA: usize = size_of::<libc::fanotify_event_metadata>();
    let number = |at: usize| bytes.get(at..at + 4).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    let length = number(0)? as usize;
    if length < METADATA || bytes.len() < length {
        return None;
    }
    // vers, reserved, metadata_len, mask (8), fd, pid
    let (file, pid) = (number(16)?, number(20)?);
    let mut at = METADATA;
    let mut pidfd = None;
    // struct fanotify_event_info_header { u8 type, u8 pad, u16 len } and then the pidfd.
    while at + 8 <= length {
        let size = usize::from(u16::from_ne_bytes([bytes[at + 2], bytes[at + 3]]));
        if bytes[at] == libc::FAN_EVENT_INFO_TYPE_PIDFD {
            let descriptor = number(at + 4)?;
            // SAFETY: a descriptor in a pidfd record was made for us by the read; negative means it was not.
            pidfd = (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
        if size == 0 {
            break;
        }
        at += size;
    }
    // A queue overflow has no file, and nobody waits for its answer.
    let attempt = (file >= 0).then(|| OpenAttempt {
        group,
        // SAFETY: the descriptor in the event was made for us by the read; nobody else owns it.
        file: unsafe { OwnedFd::from_raw_fd(file) },
        pid,
        pidfd,
        answered: false,
    });
    Some((attempt, &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_open_waits_for_the_answer() {
        if !rustix::process::getuid().is_root() {
            return crate::skip("an_open_waits_for_the_answer", "needs root");
        }
        let path = std::env::temp_dir().join(format!("session0-fanotify-{}", std::process::id()));
        std::fs::write(&path, b"").unwrap();
        let group = group().unwrap();
        mark(group.as_fd(), &path).unwrap();
        for (answer, expected) in [(Answer::Deny, false), (Answer::Allow, true)] {
            let mut child = std::process::Command::new("/bin/sh")
                .args(["-c", "exec 3<\"$0\"", path.to_str().unwrap()])
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let attempt = loop {
                if let Some(attempt) = read(group.as_fd()).unwrap().pop() {
                    break attempt;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            };
            assert_eq!(attempt.path().unwrap(), path.canonicalize().unwrap());
            assert_eq!(attempt.pid as u32, child.id());
            let pidfd = attempt.pidfd.as_ref().unwrap();
            assert_eq!(crate::pidfd::pid(pidfd.as_fd()).unwrap() as u32, child.id());
            attempt.answer(answer).unwrap();
            assert_eq!(child.wait().unwrap().success(), expected);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_a_killed_reader_left_unanswered_is_refused() {
        if !rustix::process::getuid().is_root() {
            return crate::skip("what_a_killed_reader_left_unanswered_is_refused", "needs root");
        }
        let path = std::env::temp_dir().join(format!("session0-abandoned-{}", std::process::id()));
        std::fs::write(&path, b"").unwrap();
        let group = group().unwrap();
        mark(group.as_fd(), &path).unwrap();
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "exec 3<\"$0\"", path.to_str().unwrap()])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut attempt = loop {
            if let Some(attempt) = read(group.as_fd()).unwrap().pop() {
                break attempt;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        // As if we were killed: nothing is answered, and the descriptor is closed.
        attempt.answered = true;
        drop(attempt);
        assert_eq!(refuse_abandoned(group.as_fd()), 1);
        assert!(!child.wait().unwrap().success());
        std::fs::remove_file(path).unwrap();
    }
}
