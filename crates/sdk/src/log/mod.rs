//! A service's output: reading it, and following it as it grows and is rotated.
//!
//! The host gives descriptors ([`crate::Client::open_log`]), oldest file first; no byte passes through it.
//! Every line begins with its time (`2026-11-23T01:02:03.123456Z `).
//!
//! ```no_run
//! # fn main() -> Result<(), session0::Error> {
//! use session0::log::{Follow, Past};
//! let mut host = session0::Client::discover()?;
//! let files = host.open_log("redis")?;
//! for line in Follow::new(files, Past::Last(10), move || host.open_log("redis"))? {
//!     println!("{}", String::from_utf8_lossy(&line?));
//! }
//! # Ok(())
//! # }
//! ```

mod change;
mod follow;
mod past;
mod stamp;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use crate::error::Error;

pub use follow::Follow;

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1024;
/// A line that is longer is given in pieces; the logger itself cuts at 8 KiB.
const LINE_MAX: usize = 1024 * 1024;

/// How much of what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Everything.
    All,
    /// This many lines.
    Last(usize),
    /// What was written at this time and later.
    Since(SystemTime),
}

/// The lines that are there, without their line feeds. Ends at the end of the newest file.
pub fn read(files: Vec<File>, past: Past) -> Result<impl Iterator<Item = Result<Vec<u8>, Error>>, Error> {
    let (first, offset) = past::begin(&files, past).map_err(fault)?;
    let mut offset = Some(offset);
    let lines = files.into_iter().skip(first).flat_map(move |file| Lines {
        reader: Reader::new(file, offset.take().unwrap_or(0)),
        state: State::Reading,
    });
    Ok(lines)
}

/// The lines of one file to its end.
struct Lines {
    reader: Reader,
    state: State,
}

enum State {
    Reading,
    Ended,
}

impl Iterator for Lines {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let State::Reading = self.state {
            if let Some(line) = self.reader.line() {
                return Some(Ok(line));
            }
            match self.reader.fill() {
                Ok(0) => {
                    self.state = State::Ended;
                    return self.reader.rest().map(Ok);
                }
                Ok(_) => {}
                Err(error) => {
                    self.state = State::Ended;
                    return Some(Err(fault(error)));
                }
            }
        }
        None
    }
}

/// One file, read by position so that nobody else's reading of the same descriptor matters.
struct Reader {
    file: File,
    /// Where the next byte is read.
    offset: u64,
    /// Read, and not yet given.
    bytes: Vec<u8>,
    /// Up to here there is no line feed.
    searched: usize,
    /// Up to here it was given.
    given: usize,
}

impl Reader {
    fn new(file: File, offset: u64) -> Reader {
        Reader { file, offset, bytes: Vec::new(), searched: 0, given: 0 }
    }

    /// The next whole line that was read.
    fn line(&mut self) -> Option<Vec<u8>> {
        let begin = self.given;
        match self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                let end = self.searched + length;
                self.given = end + 1;
                self.searched = end + 1;
                Some(self.bytes[begin..end].to_vec())
            }
            None if self.bytes.len() - begin >= LINE_MAX => self.rest(),
            None => {
                self.searched = self.bytes.len();
                None
            }
        }
    }

    /// What is left without a line feed.
    fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = self.bytes.split_off(self.given);
        self.bytes.clear();
        self.searched = 0;
        self.given = 0;
        (!rest.is_empty()).then_some(rest)
    }

    /// Reads once; 0 is the end of the file as it is now.
    fn fill(&mut self) -> io::Result<usize> {
        self.bytes.drain(..self.given);
        self.searched -= self.given;
        self.given = 0;
        let old = self.bytes.len();
        self.bytes.resize(old + READ_SIZE, 0);
        let result = loop {
            match self.file.read_at(&mut self.bytes[old..], self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = *result.as_ref().unwrap_or(&0);
        self.bytes.truncate(old + count);
        self.offset += count as u64;
        result
    }
}

fn fault(error: io::Error) -> Error {
    Error::System { what: "the log could not be read".to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    pub(super) fn file(content: &str) -> File {
        let mut file = temporary();
        file.write_all(content.as_bytes()).expect("write a temporary file");
        file
    }

    fn temporary() -> File {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)
            .expect("open a temporary file")
            .into()
    }

    fn lines(files: &[&str], past: Past) -> Vec<String> {
        let files = files.iter().map(|content| file(content)).collect();
        let lines = read(files, past).expect("begin");
        lines.map(|line| String::from_utf8(line.expect("line")).expect("text")).collect()
    }

    #[test]
    fn all_of_it_is_oldest_first_and_an_unfinished_line_counts() {
        assert_eq!(lines(&["a\nb\n", "c\nd"], Past::All), ["a", "b", "c", "d"]);
        assert_eq!(lines(&["", "", "\n"], Past::All), [""]);
        assert!(lines(&[], Past::All).is_empty());
    }

    #[test]
    fn the_last_lines_reach_back_into_older_files() {
        let files = ["a\nb\n", "c\n", "d\ne"];
        assert_eq!(lines(&files, Past::Last(1)), ["e"]);
        assert_eq!(lines(&files, Past::Last(2)), ["d", "e"]);
        assert_eq!(lines(&files, Past::Last(4)), ["b", "c", "d", "e"]);
        assert_eq!(lines(&files, Past::Last(99)), ["a", "b", "c", "d", "e"]);
        assert!(lines(&files, Past::Last(0)).is_empty());
        assert_eq!(lines(&["a\nb\n", ""], Past::Last(1)), ["b"]);
    }

    #[test]
    fn the_last_lines_of_a_large_file_are_found_across_blocks() {
        let line = "x".repeat(1000);
        let content: String = (0..500).map(|number| format!("{number} {line}\n")).collect();
        let last = lines(&[&content], Past::Last(200));
        assert_eq!(last.len(), 200);
        assert!(last[0].starts_with("300 "));
    }

    #[test]
    fn since_a_time_is_by_the_stamps() {
        let older = "2026-11-23T01:02:03.000000Z a\n2026-11-23T01:02:04.000000Z b\n";
        let newer = "2026-11-23T01:02:05.000000Z c\n2026-11-23T01:02:06.000000Z d\n";
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let stamp = 1_795_395_723; // 2026-11-23T01:02:03Z
        assert_eq!(lines(&[older, newer], Past::Since(at(stamp))).len(), 4);
        assert_eq!(lines(&[older, newer], Past::Since(at(stamp + 1))).len(), 3);
        assert_eq!(lines(&[older, newer], Past::Since(at(stamp + 2))).len(), 2);
        assert_eq!(lines(&[older, newer], Past::Since(at(stamp + 3))).len(), 1);
        assert!(lines(&[older, newer], Past::Since(at(stamp + 4))).is_empty());
    }
}
