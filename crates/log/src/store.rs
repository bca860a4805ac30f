//! The log directory: one file a unit, `<unit>.log`, and what it was rotated to, `<unit>.log.1` (the youngest) to
//! `<unit>.log.<keep>`.
//!
//! A log file is only ever appended to: a reader may be anywhere in it. Rotation is renames, so that a reader finds each file
//! whole under one name or the other. Everything is reached from the directory's descriptor and no link is
//! followed: a name in it that is not a plain file of ours alone is refused.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Written where a write was cut short (the disk was full, or we were killed in it), so that half a line is not
/// taken for a whole one.
const SEAL: &[u8] = b" [session0-log: cut short here]\n";

/// The log directory and its rules.
#[derive(Debug)]
pub struct Store {
    directory: OwnedFd,
    owner: u32,
    size_max: u64,
    keep: u32,
}

/// Why something could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The system said so.
    System(Errno),
    /// The log file's name is not a regular file.
    NotRegular,
    /// The log file belongs to somebody else.
    ForeignOwner,
    /// The log file has a second name somewhere.
    HardLink,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::System(Errno::LOOP) => f.write_str("the log file is a symbolic link"),
            Reason::System(errno) => {
                // The system's own words, without the number Rust adds and as the middle of a sentence.
                let text = io::Error::from(*errno).to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                let mut characters = text.chars();
                let first = characters.next().map(|first| first.to_ascii_lowercase());
                write!(f, "{}{}", first.unwrap_or('?'), characters.as_str())
            }
            Reason::NotRegular => f.write_str("the log file is not a regular file"),
            Reason::ForeignOwner => f.write_str("the log file belongs to another user"),
            Reason::HardLink => f.write_str("the log file has a second name"),
        }
    }
}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Reason {
        Reason::System(errno)
    }
}

/// A write that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    /// Bytes written before it.
    pub written: usize,
    /// Why no more.
    pub reason: Reason,
}

impl Store {
    /// Takes the directory. `size_max`: a file that would become larger is rotated first. `keep`: how many rotated ones there are.
    pub fn new(directory: OwnedFd, size_max: u64, keep: u32) -> Store {
        Store { directory, owner: rustix::process::geteuid().as_raw(), size_max, keep }
    }

    /// Appends `parts` to the unit's file, in one write. `file` is the open file between two calls; it is closed when anything was
    /// wrong with it, so that the next call begins anew.
    pub fn append(&self, unit: &str, file: &mut Option<OwnedFd>, parts: [&[u8]; 2]) -> Result<(), Short> {
        let length = parts[0].len() + parts[1].len();
        let result = match self.prepare(unit, file, length as u64) {
            Ok(open) => write(open, parts),
            Err(reason) => Err(Short { written: 0, reason }),
        };
        if result.is_err() {
            *file = None;
        }
        result
    }

    /// The unit's open file, with room for `length` more bytes.
    fn prepare<'a>(
        &self,
        unit: &str,
        file: &'a mut Option<OwnedFd>,
        length: u64,
    ) -> Result<&'a OwnedFd, Reason> {
        let mut size = 0;
        if let Some(open) = file {
            let stat = rustix::fs::fstat(&*open)?;
            size = stat.st_size as u64;
            if stat.st_nlink == 0 {
                // Somebody has removed it: what we write there nobody can read.
                *file = None;
            }
        }
        if file.is_none() {
            let (open, at) = self.open(unit)?;
            size = at;
            *file = Some(open);
        }
        if size > 0 && size + length > self.size_max {
            *file = None;
            self.rotate(unit)?;
            *file = Some(self.open(unit)?.0);
        }
        file.as_ref().ok_or(Reason::System(Errno::BADF))
    }

    /// Opens the unit's file, made if it is not there, and says how large it is.
    fn open(&self, unit: &str) -> Result<(OwnedFd, u64), Reason> {
        // NONBLOCK: opening a FIFO somebody has put there must not wait for its reader.
        let flags = OFlags::RDWR
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let name = format!("{unit}.log");
        let file = rustix::fs::openat(&self.directory, &name, flags, Mode::from_raw_mode(0o640))?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Reason::NotRegular);
        }
        if stat.st_uid != self.owner {
            return Err(Reason::ForeignOwner);
        }
        if stat.st_nlink > 1 {
            return Err(Reason::HardLink);
        }
        let mut size = stat.st_size as u64;
        let mut last = [b'\n'];
        if size > 0 {
            rustix::io::pread(&file, &mut last, size - 1)?;
        }
        if last != [b'\n'] {
            write(&file, [SEAL, b""]).map_err(|short| short.reason)?;
            size += SEAL.len() as u64;
        }
        Ok((file, size))
    }

    /// Moves `.log` to `.log.1`, what was there to `.log.2` and so on, and removes what is too old.
    fn rotate(&self, unit: &str) -> Result<(), Reason> {
        let name = |age: u32| if age == 0 { format!("{unit}.log") } else { format!("{unit}.log.{age}") };
        // A rotation cut short leaves a gap: only what is before it has to move, and nothing is pushed out.
        let mut free = 1;
        while free < self.keep && self.exists(&name(free))? {
            free += 1;
        }
        if self.keep == 0 {
            rustix::fs::unlinkat(&self.directory, name(0), AtFlags::empty())?;
        } else {
            for age in (0..free).rev() {
                rustix::fs::renameat(&self.directory, name(age), &self.directory, name(age + 1))?;
            }
        }
        // Left over from when more were kept.
        let mut old = self.keep + 1;
        while rustix::fs::unlinkat(&self.directory, name(old), AtFlags::empty()).is_ok() {
            old += 1;
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> Result<bool, Reason> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Writes all of both parts, or says how far it came.
fn write(file: impl AsFd, parts: [&[u8]; 2]) -> Result<(), Short> {
    let [first, second] = parts;
    let mut written = 0;
    while written < first.len() + second.len() {
        let rest = [
            IoSlice::new(&first[written.min(first.len())..]),
            IoSlice::new(&second[written.saturating_sub(first.len())..]),
        ];
        match rustix::io::writev(&file, &rest) {
            Ok(0) => return Err(Short { written, reason: Errno::IO.into() }),
            Ok(bytes) => written += bytes,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Short { written, reason: errno.into() }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Trial {
        path: PathBuf,
    }

    impl Trial {
        fn new(name: &str) -> Trial {
            let path = std::env::temp_dir().join(format!("session0-log-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Trial { path }
        }

        fn store(&self, size_max: u64, keep: u32) -> Store {
            Store::new(fs::File::open(&self.path).unwrap().into(), size_max, keep)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path.join(name)).unwrap_or_else(|error| format!("{name}: {error}"))
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.path).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Trial {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    fn put(store: &Store, text: &str) -> Result<(), Short> {
        store.append("a", &mut None, [b"", text.as_bytes()])
    }

    #[test]
    fn files_are_rotated_and_bounded() {
        let trial = Trial::new("rotate");
        let store = trial.store(10, 2);
        let mut file = None;
        for number in 0..6 {
            store.append("a", &mut file, [b"", format!("line {number}\n").as_bytes()]).unwrap();
        }
        assert_eq!(trial.names(), ["a.log", "a.log.1", "a.log.2"]);
        assert_eq!((trial.read("a.log"), trial.read("a.log.2")), ("line 5\n".into(), "line 3\n".into()));
        put(&trial.store(10, 1), "less kept\n").unwrap();
        assert_eq!(trial.names(), ["a.log", "a.log.1"]);
        put(&trial.store(10, 0), "none kept\n").unwrap();
        assert_eq!((trial.names(), trial.read("a.log")), (vec!["a.log".to_owned()], "none kept\n".into()));
    }

    #[test]
    fn a_gap_in_the_rotated_ones_is_filled_first() {
        let trial = Trial::new("gap");
        for (name, text) in [("a.log", "0\n"), ("a.log.2", "2\n"), ("a.log.3", "3\n")] {
            fs::write(trial.path.join(name), text).unwrap();
        }
        put(&trial.store(2, 3), "n\n").unwrap();
        let all = ["a.log", "a.log.1", "a.log.2", "a.log.3"].map(|name| trial.read(name));
        assert_eq!(all, ["n\n", "0\n", "2\n", "3\n"]);
    }

    #[test]
    fn half_a_line_is_sealed() {
        let trial = Trial::new("seal");
        fs::write(trial.path.join("a.log"), "whole\nhal").unwrap();
        put(&trial.store(1000, 1), "next\n").unwrap();
        assert_eq!(trial.read("a.log"), "whole\nhal [session0-log: cut short here]\nnext\n");
    }

    #[test]
    fn a_removed_file_is_made_again() {
        let trial = Trial::new("removed");
        let (store, mut file) = (trial.store(1000, 1), None);
        store.append("a", &mut file, [b"", b"one\n"]).unwrap();
        fs::remove_file(trial.path.join("a.log")).unwrap();
        store.append("a", &mut file, [b"", b"two\n"]).unwrap();
        assert_eq!(trial.read("a.log"), "two\n");
    }

    #[test]
    fn what_is_not_our_own_plain_file_is_refused() {
        let trial = Trial::new("refuse");
        let store = trial.store(1000, 1);
        let elsewhere = trial.path.join("elsewhere");
        let log = trial.path.join("a.log");
        fs::write(&elsewhere, "precious\n").unwrap();

        std::os::unix::fs::symlink(&elsewhere, &log).unwrap();
        let why = |result: Result<(), Short>| result.unwrap_err().reason.to_string();
        assert_eq!(why(put(&store, "x\n")), "the log file is a symbolic link");
        fs::remove_file(&log).unwrap();

        fs::hard_link(&elsewhere, &log).unwrap();
        assert_eq!(why(put(&store, "x\n")), "the log file has a second name");
        fs::remove_file(&log).unwrap();

        rustix::fs::mknodat(rustix::fs::CWD, &log, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert_eq!(why(put(&store, "x\n")), "the log file is not a regular file");
        fs::remove_file(&log).unwrap();

        fs::create_dir(&log).unwrap();
        assert_eq!(why(put(&store, "x\n")), "is a directory");
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious\n");
    }
}
