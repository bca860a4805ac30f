//! Directory trees, copied and removed without following a link, by a process that may read and write everything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;
use session0_model::limit::{SKELETON_BYTES_MAX, SKELETON_DEPTH_MAX, SKELETON_FILES_MAX};
use session0_sys::{Context, Fault};

/// What is left of the bounds of one copy.
#[derive(Debug)]
struct Bounds {
    files: u32,
    bytes: u64,
}

/// Copies what is in the directory at `from` into `to`, for one owner. Links are copied as links, permission bits are kept, set-id
/// bits are not, and what is no file, directory or link (a fifo, a device) is left out.
pub fn copy(from: &Path, to: BorrowedFd<'_>, owner: u32) -> Result<(), Fault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let bounds = &mut Bounds { files: SKELETON_FILES_MAX, bytes: SKELETON_BYTES_MAX };
    rustix::fs::open(from, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|from| copy_directory(&from, to, owner, SKELETON_DEPTH_MAX, bounds))
        .context("copy the skeleton", from.display())
}

fn copy_directory(
    from: &OwnedFd,
    to: BorrowedFd<'_>,
    owner: u32,
    depth: u32,
    bounds: &mut Bounds,
) -> io::Result<()> {
    let too_much = || io::Error::other("it has too many files, too many bytes or is too deep");
    for name in names(from.as_fd(), SKELETON_FILES_MAX as usize + 1)? {
        bounds.files = bounds.files.checked_sub(1).ok_or_else(too_much)?;
        let stat = rustix::fs::statat(from, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let depth = depth.checked_sub(1).ok_or_else(too_much)?;
                rustix::fs::mkdirat(to, &name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let (inner, made) = (open_below(from.as_fd(), &name, flags)?, open_below(to, &name, flags)?);
                copy_directory(&inner, made.as_fd(), owner, depth, bounds)?;
                give(&made, owner, &stat)?;
            }
            FileType::RegularFile => copy_file(from.as_fd(), to, &name, owner, bounds)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, &name, Vec::new())?;
                rustix::fs::symlinkat(target.as_c_str(), to, &name)?;
                let (uid, gid) = ids(owner);
                rustix::fs::chownat(to, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            _ => complain!("the skeleton's {name:?} is no file, directory or link: not copied"),
        }
    }
    Ok(())
}

fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    owner: u32,
    bounds: &mut Bounds,
) -> io::Result<()> {
    // NONBLOCK: if it has become a pipe since it was looked at, opening it must not wait for a writer.
    let file = open_below(from, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("a file changed while it was copied"));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut made = std::fs::File::from(made);
    let most = bounds.bytes;
    let mut file = io::Read::take(std::fs::File::from(file), most + 1);
    let copied = io::copy(&mut file, &mut made)?;
    bounds.bytes = most.checked_sub(copied).ok_or_else(|| io::Error::other("it has too many bytes"))?;
    give(&OwnedFd::from(made), owner, &stat)
}

/// Owner and permission bits. The owner first: a change of owner clears bits.
fn give(made: &OwnedFd, owner: u32, like: &Stat) -> io::Result<()> {
    let (uid, gid) = ids(owner);
    rustix::fs::fchown(made, uid, gid)?;
    Ok(rustix::fs::fchmod(made, Mode::from_raw_mode(like.st_mode & 0o777))?)
}

/// A user's uid and gid, which are one number.
pub fn ids(owner: u32) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))
}

/// How many names of a directory are looked at before it is read again from its beginning.
const BATCH: usize = 1024;
/// How often a directory that is empty by our reckoning is tried again: somebody still puts files into it.
const TRIES: u32 = 100;

/// Removes a directory and all that is in it. A link is removed, not followed; what is mounted somewhere in it is an error.
///
/// The tree is its owner's and can be as deep as he likes, so nothing here recurses: a directory that is not empty is moved up to
/// the top, and the top is emptied until it is.
pub fn remove(parent: BorrowedFd<'_>, name: &str) -> Result<(), Fault> {
    removed(parent, name).context("remove the directory", name)
}

fn removed(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::openat(parent, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    // From now on only who is in it already can get at it.
    rustix::fs::fchown(&top, Some(Uid::ROOT), Some(Gid::ROOT))?;
    rustix::fs::fchmod(&top, Mode::RWXU)?;
    let mut moved = 0;
    loop {
        let found = names(top.as_fd(), BATCH)?;
        if found.is_empty() {
            break;
        }
        for name in found {
            if unlink(top.as_fd(), &name)? == Is::Directory {
                let below = open_below(top.as_fd(), &name, flags)?;
                empty(below.as_fd(), top.as_fd(), &mut moved)?;
                drop(below);
                remove_directory(top.as_fd(), &name, &mut moved)?;
            }
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Directory,
    Gone,
}

/// Removes what is no directory.
fn unlink(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<Is> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Is::Gone),
        Err(Errno::ISDIR) => Ok(Is::Directory),
        Err(error) => Err(error.into()),
    }
}

/// Empties a directory: its files go, its directories go to the top.
fn empty(directory: BorrowedFd<'_>, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<()> {
    loop {
        let found = names(directory, BATCH)?;
        if found.is_empty() {
            return Ok(());
        }
        for name in found {
            if unlink(directory, &name)? == Is::Gone {
                continue;
            }
            match rustix::fs::unlinkat(directory, &name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => move_up(directory, &name, top, moved)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn move_up(
    from: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    top: BorrowedFd<'_>,
    moved: &mut u64,
) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = format!(".session0-{moved}");
        match rustix::fs::renameat_with(from, name, top, &new, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // The owner has one of that name.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn remove_directory(top: BorrowedFd<'_>, name: &std::ffi::CStr, moved: &mut u64) -> io::Result<()> {
    for _ in 0..TRIES {
        match rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                empty(open_below(top, name, flags)?.as_fd(), top, moved)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("somebody still writes in it"))
}

/// Opens what is directly below a directory: no link, and nothing that is mounted there.
fn open_below(at: BorrowedFd<'_>, name: &std::ffi::CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match rustix::fs::openat2(at, name, flags | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            // A rename somewhere on the machine raced with the look-up.
            Err(Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
}

/// The first names in a directory, without `.` and `..`.
fn names(directory: BorrowedFd<'_>, most: usize) -> io::Result<Vec<std::ffi::CString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            found.push(name.to_owned());
        }
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}
