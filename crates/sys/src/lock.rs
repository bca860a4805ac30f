//! A lock file: held as long as its descriptor is open, whatever becomes of its holder.

use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::fault::{Context, Fault};

/// A held lock. Dropping it, or dying, releases it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "holding it is its use")] std::fs::File);

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum Locked {
    /// It is ours.
    Ours(Lock),
    /// Somebody else has it: the process number written in it, if it is one.
    Held(Option<i32>),
}

/// How long a lock may outlive its holder: a child that the holder had just cloned has a copy of its descriptor until
/// exec closes it.
const AFTERLIFE: Duration = Duration::from_secs(2);

/// Takes the lock at `path` and writes our process number into it. Symbolic links are refused. Waits a little for
/// one whose holder is dead.
pub fn take(path: &Path) -> Result<Locked, Fault> {
    let began = crate::process::now();
    loop {
        match try_take(path)? {
            Locked::Held(holder)
                if !holder.is_some_and(alive) && crate::process::now().since(began) < AFTERLIFE =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            decided => return Ok(decided),
        }
    }
}

/// The process whose number is written in the lock file, if it runs. Does not touch the lock, so that it is never in
/// the way of somebody who takes it; a number that was given anew in the meantime is taken for the holder.
pub fn written(path: &Path) -> Option<i32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut text = String::new();
    std::fs::File::from(file).take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| alive(*pid))
}

/// Whether a process with this number runs. A zombie does not.
fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

fn try_take(path: &Path) -> Result<Locked, Fault> {
    let what = "lock";
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // Root's alone, also where an earlier version made it readable: whoever can open it can hold a shared lock on it,
    // and keep us from ever starting.
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::open(path, flags, mode).context(what, path.display())?;
    rustix::fs::fchmod(&file, mode).context(what, path.display())?;
    let mut file = std::fs::File::from(file);
    match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0).context(what, path.display())?;
            file.rewind().context(what, path.display())?;
            writeln!(file, "{}", std::process::id()).context(what, path.display())?;
            Ok(Locked::Ours(Lock(file)))
        }
        Err(Errno::AGAIN) => {
            let mut text = String::new();
            file.take(32).read_to_string(&mut text).context(what, path.display())?;
            Ok(Locked::Held(text.trim().parse().ok()))
        }
        Err(error) => Err(error).context(what, path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_says_who() {
        let path = std::env::temp_dir().join(format!("session0-lock-{}", std::process::id()));
        assert_eq!(written(&path), None);
        let Locked::Ours(lock) = take(&path).unwrap() else { panic!("nobody else has it") };
        let me = std::process::id() as i32;
        assert!(matches!(take(&path).unwrap(), Locked::Held(Some(pid)) if pid == me));
        assert_eq!(written(&path), Some(me));
        drop(lock);
        // A holder that is dead, and a copy of its descriptor that lives on for a moment.
        let copy = std::fs::File::options().write(true).open(&path).unwrap();
        rustix::fs::flock(&copy, FlockOperation::LockExclusive).unwrap();
        std::fs::write(&path, "2147483646\n").unwrap();
        assert_eq!(written(&path), None, "it does not run");
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(copy);
        });
        assert!(matches!(take(&path).unwrap(), Locked::Ours(_)));
        release.join().unwrap();
        assert!(matches!(take(&path).unwrap(), Locked::Ours(_)), "nobody holds it any more");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(take(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
