//! Reads small files the way a root program should: regular, not too big, not through a link, never waiting.

use std::fmt;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

/// Whether a symbolic link at the path's end is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is: the machine's own files (`/etc/localtime` is one by design).
    Follow,
    /// It is refused: our files.
    Refuse,
}

/// Why a file was not read.
#[derive(Debug)]
pub enum Unreadable {
    /// It is a symbolic link.
    Link,
    /// It is not a regular file but this.
    NotRegular(&'static str),
    /// It has more bytes than this.
    TooBig(u64),
    /// It is not UTF-8.
    NotText,
    /// Others than root may write it.
    Writable(&'static str),
    /// The system said no.
    System(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Link => f.write_str("it is a symbolic link, which is refused"),
            Unreadable::NotRegular(kind) => write!(f, "it is {kind}, not a regular file"),
            Unreadable::TooBig(max) => write!(f, "it has more than {max} bytes"),
            Unreadable::NotText => f.write_str("it is not UTF-8 text"),
            Unreadable::Writable(who) => write!(f, "{who}: it could be changed by somebody who is not root"),
            Unreadable::System(error) => error.fmt(f),
        }
    }
}

impl Unreadable {
    /// Whether there is no such file.
    pub fn missing(&self) -> bool {
        matches!(self, Unreadable::System(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a whole text file of at most `max` bytes.
pub fn read(path: &Path, max: u64, links: Links) -> Result<String, Unreadable> {
    let (file, stat) = open(path, links)?;
    read_open(file, &stat, max)
}

fn read_open(file: OwnedFd, stat: &Stat, max: u64) -> Result<String, Unreadable> {
    if max < u64::try_from(stat.st_size).unwrap_or(u64::MAX) {
        return Err(Unreadable::TooBig(max));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0) + 1);
    // It may have grown since: read one byte more than allowed and look.
    std::fs::File::from(file).take(max + 1).read_to_end(&mut bytes).map_err(Unreadable::System)?;
    if max < bytes.len() as u64 {
        return Err(Unreadable::TooBig(max));
    }
    String::from_utf8(bytes).map_err(|_| Unreadable::NotText)
}

/// As [`read`], of a file that decides what root starts: only its owner may be able to write it, and he must be
/// root or we ourselves.
pub fn read_trusted(path: &Path, max: u64) -> Result<String, Unreadable> {
    let (file, stat) = open(path, Links::Refuse)?;
    trusted(&stat)?;
    read_open(file, &stat, max)
}

fn trusted(stat: &Stat) -> Result<(), Unreadable> {
    if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Unreadable::Writable("it does not belong to root"));
    }
    if stat.st_mode & 0o002 != 0 {
        return Err(Unreadable::Writable("everybody may write it"));
    }
    if stat.st_mode & 0o020 != 0 && stat.st_gid != 0 {
        return Err(Unreadable::Writable("its group may write it"));
    }
    Ok(())
}

fn open(path: &Path, links: Links) -> Result<(OwnedFd, Stat), Unreadable> {
    let follow = match links {
        Links::Follow => OFlags::empty(),
        Links::Refuse => OFlags::NOFOLLOW,
    };
    // NONBLOCK: opening a pipe that somebody put there must not wait for its other end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | follow;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| why_not(path, error, links))?;
    let stat = rustix::fs::fstat(&file).map_err(|error| Unreadable::System(error.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, stat)),
        other => Err(Unreadable::NotRegular(kind(other))),
    }
}

fn why_not(path: &Path, error: rustix::io::Errno, links: Links) -> Unreadable {
    let found = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    match found {
        Ok(FileType::Symlink) if links == Links::Refuse => Unreadable::Link,
        Ok(other @ (FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice)) => {
            Unreadable::NotRegular(kind(other))
        }
        _ => Unreadable::System(error.into()),
    }
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}
