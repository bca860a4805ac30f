//! Files below directories of ours, without ever following a symbolic link.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::fault::{Context, Fault};

/// Opens a directory, refusing a symbolic link anywhere in `path`.
pub fn open_directory(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open_plain(rustix::fs::CWD, path, flags, 0).context("open the directory", path.display())
}

/// Opens a directory, making it and its missing parents with these permission bits. A symbolic link anywhere in
/// `path` is refused.
pub fn make_directory(path: &Path, mode: u32) -> Result<OwnedFd, Fault> {
    let what = "make the directory";
    let start = if path.is_absolute() { "/" } else { "." };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(start, flags, Mode::empty()).context(what, path.display())?;
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => {
                match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(mode)) {
                    // mkdir's mode is cut by umask; what was asked for is meant.
                    Ok(()) => {
                        rustix::fs::chmodat(&at, name, Mode::from_raw_mode(mode), AtFlags::empty())
                            .context(what, path.display())?;
                    }
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error).context(what, path.display()),
                }
                at = open_plain(at.as_fd(), Path::new(name), flags, 0).context(what, path.display())?;
            }
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Errno::INVAL).context(what, path.display());
            }
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open_plain(at.as_fd(), Path::new("."), flags, 0).context(what, path.display())
}

/// Opens a regular file below `directory` for appending, making it if need be. Anything else of that name (a
/// symbolic link, a fifo) is refused.
pub fn open_append(directory: BorrowedFd<'_>, name: &Path, mode: u32) -> Result<File, Fault> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
    regular(directory, name, flags, mode).context("open for appending", name.display())
}

/// Opens an existing regular file below `directory` for reading. Anything else is refused.
pub fn open_read(directory: BorrowedFd<'_>, name: &Path) -> Result<File, Fault> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    regular(directory, name, flags, 0).context("open", name.display())
}

/// Writes a whole file below `directory` so that a reader sees the old or the new content, never half.
pub fn replace(directory: BorrowedFd<'_>, name: &str, content: &[u8], mode: u32) -> Result<(), Fault> {
    let what = "write";
    let temporary = format!(".{name}.new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = regular(directory, Path::new(&temporary), flags, mode).context(what, name)?;
    std::io::Write::write_all(&mut file, content).context(what, name)?;
    rustix::fs::renameat(directory, &temporary, directory, name).context(what, name)
}

fn regular(directory: BorrowedFd<'_>, name: &Path, flags: OFlags, mode: u32) -> std::io::Result<File> {
    let file = open_plain(directory, name, flags, mode)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(std::io::Error::other("not a regular file"));
    }
    Ok(File::from(file))
}

fn open_plain(at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(at, path, flags, Mode::from_raw_mode(mode), resolve) {
            // A rename somewhere on the machine raced with the look-up.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn symbolic_links_are_refused_everywhere() {
        let top = std::env::temp_dir().join(format!("session0-files-{}", std::process::id()));
        let directory = make_directory(&top.join("a/b"), 0o755).unwrap();
        std::os::unix::fs::symlink(top.join("a"), top.join("link")).unwrap();
        assert!(open_directory(&top.join("a/b")).is_ok());
        assert!(open_directory(&top.join("link/b")).is_err());
        assert!(make_directory(&top.join("link/c"), 0o755).is_err());
        assert!(make_directory(&top.join("a/../c"), 0o755).is_err());

        writeln!(open_append(directory.as_fd(), Path::new("x.log"), 0o600).unwrap(), "line").unwrap();
        assert!(open_read(directory.as_fd(), Path::new("x.log")).is_ok());
        std::os::unix::fs::symlink("x.log", top.join("a/b/y.log")).unwrap();
        assert!(open_append(directory.as_fd(), Path::new("y.log"), 0o600).is_err());
        assert!(open_read(directory.as_fd(), Path::new("y.log")).is_err());
        assert!(open_read(directory.as_fd(), Path::new(".")).is_err());

        replace(directory.as_fd(), "number", b"1\n", 0o644).unwrap();
        replace(directory.as_fd(), "number", b"2\n", 0o644).unwrap();
        assert_eq!(std::fs::read(top.join("a/b/number")).unwrap(), b"2\n");
        std::fs::remove_dir_all(top).unwrap();
    }
}
