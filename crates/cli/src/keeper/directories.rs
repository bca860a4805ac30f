//! The directories a host needs, made by the keeper before anything is started. None of them may be a symbolic
//! link or writable by anybody but root: whoever can swap a directory below us can become us.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, mkdirat, open, openat};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::root::Root;

/// One per purpose, relative to the root, the mode of the last component, and whose it is.
const DIRECTORIES: [(&str, u32, Owner); 7] = [
    ("etc/session0", 0o755, Owner::Root),
    ("etc/session0/services", 0o755, Owner::Root),
    ("run/session0", 0o755, Owner::Root),
    ("run/session0/init", 0o700, Owner::Root),
    ("var/lib/session0", 0o755, Owner::Root),
    ("var/log/session0", 0o755, Owner::Root),
    ("var/log/session0/services", 0o755, Owner::Logger),
];

/// Whose a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Ours.
    Root,
    /// The logger's, which has an account of its own: the daemon sees to that.
    Logger,
}

/// The machine's own directories may be links (`/var/log` on another disk); ours and those of a trial root may not.
const OURS: &str = "session0";

/// Makes them all and checks each step on the way.
pub fn prepare(root: &Root) -> Result<(), Failure> {
    let top = open_root(root)?;
    for (path, mode, owner) in DIRECTORIES {
        descend(root, &top, path, mode, owner)?;
    }
    Ok(())
}

fn open_root(root: &Root) -> Result<OwnedFd, Failure> {
    let directory = root.directory();
    refuse_links_above(directory)?;
    let opened = open(directory, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let top = opened.map_err(|errno| match errno {
        Errno::NOENT => Failure::refused(format!("use {}", directory.display()), "it does not exist")
            .hint(format!("sudo mkdir -m 0755 {}", directory.display())),
        other => cannot(directory, other),
    })?;
    check_owner(&top, directory)?;
    Ok(top)
}

/// A link anywhere in the root's path is refused: what it points to can change under our feet.
fn refuse_links_above(directory: &Path) -> Result<(), Failure> {
    for part in directory.ancestors() {
        let linked = std::fs::symlink_metadata(part).is_ok_and(|meta| meta.file_type().is_symlink());
        if linked {
            let failure = Failure::refused(
                format!("use {} as the root", directory.display()),
                format!("{} is a symbolic link", part.display()),
            );
            let real = std::fs::canonicalize(directory).ok();
            return Err(match real {
                Some(real) => failure.hint(format!("name the directory itself: --root {}", real.display())),
                None => failure,
            });
        }
    }
    Ok(())
}

fn descend(root: &Root, top: &OwnedFd, path: &str, mode: u32, owner: Owner) -> Result<(), Failure> {
    let mut at: Option<OwnedFd> = None;
    let mut walked = PathBuf::from(root.directory());
    let mut remaining = path.split('/').peekable();
    let mut ours = !root.is_machine();
    while let Some(name) = remaining.next() {
        walked.push(name);
        ours |= name == OURS;
        let parent = at.as_ref().unwrap_or(top);
        let last = remaining.peek().is_none();
        let wanted = if last { mode } else { 0o755 };
        match mkdirat(parent, name, Mode::from_raw_mode(wanted)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(cannot(&walked, errno)),
        }
        let follow = if ours { OFlags::NOFOLLOW } else { OFlags::empty() };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | follow;
        let next = openat(parent, name, flags, Mode::empty()).map_err(|errno| cannot(&walked, errno))?;
        if ours && !(last && owner == Owner::Logger) {
            check_owner(&next, &walked)?;
        }
        at = Some(next);
    }
    Ok(())
}

fn check_owner(directory: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let stat = fstat(directory).map_err(|errno| cannot(path, errno))?;
    let tried = || format!("use {}", path.display());
    if stat.st_uid != 0 {
        let reason = format!("it belongs to uid {}, not to root", stat.st_uid);
        return Err(Failure::refused(tried(), reason).hint(format!("sudo chown root: {}", path.display())));
    }
    if stat.st_mode & 0o022 != 0 {
        let reason = format!("others than root may write it (mode {:04o})", stat.st_mode & 0o7777);
        return Err(Failure::refused(tried(), reason).hint(format!("sudo chmod go-w {}", path.display())));
    }
    Ok(())
}

fn cannot(path: &Path, errno: Errno) -> Failure {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink());
    if is_link {
        return Failure::refused(format!("use {}", path.display()), "it is a symbolic link")
            .hint("put a directory in its place, or use another root with --root");
    }
    match errno {
        Errno::NOTDIR => Failure::refused(format!("use {}", path.display()), "it is not a directory"),
        other => Failure::fault(format!("use {}", path.display()), std::io::Error::from(other)),
    }
}

/// Opens a file of ours for a lock: made when absent, a link refused. It is root's alone: whoever can open it can hold a
/// shared lock on it, and keep every keeper from starting.
pub fn open_lock(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = openat(CWD, path, flags, mode)?;
    rustix::fs::fchmod(&file, mode)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("s0-directories-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn as_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn directories_are_made_once_and_accepted_again() {
        if !as_root() {
            return;
        }
        let path = scratch("made");
        let root = Root::new(Some(&path));
        assert_eq!(prepare(&root), Ok(()));
        assert_eq!(prepare(&root), Ok(()));
        let init = fs::metadata(path.join("run/session0/init")).unwrap();
        assert_eq!(init.permissions().mode() & 0o7777, 0o700);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_root_that_is_a_link_is_refused() {
        let path = scratch("link");
        let link = path.join("link");
        symlink(&path, &link).unwrap();
        let failure = prepare(&Root::new(Some(&link))).unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.reason.contains("symbolic link"), "{failure}");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_link_below_the_root_is_refused() {
        if !as_root() {
            return;
        }
        for inside in ["run", "run/session0", "var", "etc/session0", "var/log/session0/services"] {
            let path = scratch("inside");
            let link = path.join(inside);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink("/tmp", &link).unwrap();
            let failure = prepare(&Root::new(Some(&path))).unwrap_err();
            assert!(failure.reason.contains("symbolic link"), "{inside}: {failure}");
            fs::remove_dir_all(path).unwrap();
        }
    }

    #[test]
    fn a_root_others_may_write_is_refused() {
        if !as_root() {
            return;
        }
        let path = scratch("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let failure = prepare(&Root::new(Some(&path))).unwrap_err();
        assert!(failure.reason.contains("others than root"), "{failure}");
        fs::remove_dir_all(path).unwrap();
    }
}
