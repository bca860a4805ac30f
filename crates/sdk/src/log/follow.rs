//! Following a log across its rotations.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::change::{Change, Watch};
use super::{Past, Reader, fault, past};
use crate::error::Error;

/// How long an unreachable host is asked again for the files: a daemon that is replaced is back long before.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two such attempts, and before a file that is not there yet is looked for again.
const PAUSE: Duration = Duration::from_millis(200);
/// A quiet file is asked about again after [`PAUSE`], then ever more seldom, at last this often: it may have been
/// renamed before it was watched, when the next one was not there yet.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The lines of a log as they are written, without their line feeds; never ends by itself. After an error it may
/// be asked again.
pub struct Follow<R> {
    reopen: R,
    current: Option<Reader>,
    watch: Option<Watch>,
    next: VecDeque<File>,
    seen: Seen,
    pause: Duration,
}

/// What is known of the file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It was the newest when the files were last asked for.
    Newest,
    /// It may have been renamed since.
    Unknown,
    /// It was renamed since: there is a newer one, or soon will be.
    Moved,
    /// It is not the newest: at its end comes the next one.
    Rotated,
}

impl<R: FnMut() -> Result<Vec<File>, Error>> Follow<R> {
    /// Begins with the past. `reopen` gives the files again, oldest first, when the log was rotated: that is
    /// [`crate::Client::open_log`].
    pub fn new(files: Vec<File>, past: Past, reopen: R) -> Result<Follow<R>, Error> {
        let (first, offset) = past::begin(&files, past).map_err(fault)?;
        let mut next: VecDeque<File> = files.into_iter().skip(first).collect();
        let current = next.pop_front().map(|file| Reader::new(file, offset));
        // Between opening and watching it may have been rotated: it is looked at once more at its end.
        let seen = if next.is_empty() { Seen::Unknown } else { Seen::Rotated };
        Ok(Follow { reopen, current, watch: None, next, seen, pause: PAUSE })
    }

    /// The next line, or nothing if something changed and is to be looked at again.
    fn step(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(reader) = &mut self.current else {
            return self.find_first().map(|()| None);
        };
        if let Some(line) = reader.line() {
            return Ok(Some(line));
        }
        if reader.fill().map_err(fault)? > 0 {
            return Ok(None);
        }
        match self.seen {
            Seen::Rotated => Ok(self.go_on()),
            Seen::Unknown | Seen::Moved => self.look_again().map(|()| None),
            Seen::Newest => self.wait().map(|()| None).map_err(fault),
        }
    }

    /// There was no file at all: the service has not written anything yet.
    fn find_first(&mut self) -> Result<(), Error> {
        self.next = self.files()?.into();
        self.current = self.next.pop_front().map(|file| Reader::new(file, 0));
        self.seen = if self.next.is_empty() { Seen::Unknown } else { Seen::Rotated };
        if self.current.is_none() {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// At the end of a file that is not the newest: its unfinished line, then the next file.
    fn go_on(&mut self) -> Option<Vec<u8>> {
        let rest = self.current.as_mut().and_then(Reader::rest);
        self.watch = None;
        self.pause = PAUSE;
        self.current = self.next.pop_front().map(|file| Reader::new(file, 0));
        self.seen = if self.next.is_empty() { Seen::Unknown } else { Seen::Rotated };
        rest
    }

    /// Watches the file, then asks which is the newest: a rotation is either seen here or by the watch. What was
    /// written before the rotation is read before the next file is.
    fn look_again(&mut self) -> Result<(), Error> {
        let Some(reader) = &self.current else { return Ok(()) };
        if self.watch.is_none() {
            self.watch = Some(Watch::new(&reader.file).map_err(fault)?);
        }
        let current = identity(&reader.file).map_err(fault)?;
        let mut files = VecDeque::from(self.files()?);
        let position = files.iter().position(|file| identity(file).is_ok_and(|identity| identity == current));
        // A file that is not among them any more was rotated away; all of them are newer.
        files.drain(..position.map_or(0, |position| position + 1));
        self.seen = match (files.is_empty(), self.seen) {
            (false, _) => Seen::Rotated,
            // The logger has renamed it and not yet begun the next one.
            (true, Seen::Moved) => {
                std::thread::sleep(PAUSE);
                Seen::Moved
            }
            (true, Seen::Unknown | Seen::Newest | Seen::Rotated) => Seen::Newest,
        };
        self.next = files;
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let (Some(reader), Some(watch)) = (&mut self.current, &mut self.watch) else {
            self.seen = Seen::Unknown;
            return Ok(());
        };
        match watch.wait(&reader.file, self.pause)? {
            Change::Grown => {}
            Change::Unknown => {
                self.seen = Seen::Unknown;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
            }
            Change::Moved => self.seen = Seen::Moved,
        }
        // Somebody emptied it: begin anew.
        if reader.file.metadata()?.len() < reader.offset {
            reader.offset = 0;
        }
        Ok(())
    }

    fn files(&mut self) -> Result<Vec<File>, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            match (self.reopen)() {
                Err(Error::Unreachable { .. }) if Instant::now() < end => std::thread::sleep(PAUSE),
                other => return other,
            }
        }
    }
}

impl<R: FnMut() -> Result<Vec<File>, Error>> Iterator for Follow<R> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::path::{Path, PathBuf};

    struct Directory(PathBuf);

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn directory(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("session0-sdk-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("make a directory");
        Directory(path)
    }

    fn files(directory: &Path) -> Result<Vec<File>, Error> {
        let open = |name: &str| File::open(directory.join(name)).ok();
        Ok([open("log.2"), open("log.1"), open("log")].into_iter().flatten().collect())
    }

    fn append(directory: &Path, text: &str) {
        let path = directory.join("log");
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("open the log");
        file.write_all(text.as_bytes()).expect("write the log");
    }

    fn rotate(directory: &Path) {
        let _ = fs::rename(directory.join("log.1"), directory.join("log.2"));
        fs::rename(directory.join("log"), directory.join("log.1")).expect("rotate the log");
    }

    fn text(line: Option<Result<Vec<u8>, Error>>) -> String {
        String::from_utf8(line.expect("never ends").expect("line")).expect("text")
    }

    #[test]
    fn lines_are_followed_across_rotations_and_none_is_lost_or_repeated() {
        let directory = directory("rotation");
        let path = directory.0.clone();
        append(&path, "old\none\n");
        let reopened = path.clone();
        let mut follow = Follow::new(files(&path).expect("files"), Past::Last(1), move || files(&reopened))
            .expect("begin");
        assert_eq!(text(follow.next()), "one");
        let writer = std::thread::spawn(move || {
            for number in 0..300 {
                append(&path, &format!("{number}\n"));
                if number % 100 == 50 {
                    rotate(&path);
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        });
        for number in 0..300 {
            assert_eq!(text(follow.next()), number.to_string());
        }
        writer.join().expect("writer");
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_waited_for() {
        let directory = directory("later");
        let path = directory.0.clone();
        let reopened = path.clone();
        let mut follow = Follow::new(Vec::new(), Past::All, move || files(&reopened)).expect("begin");
        let writer = std::thread::spawn(move || append(&path, "first\n"));
        assert_eq!(text(follow.next()), "first");
        writer.join().expect("writer");
    }

    #[test]
    fn a_log_that_was_emptied_begins_anew() {
        let directory = directory("emptied");
        let path = directory.0.clone();
        append(&path, "something long\n");
        let reopened = path.clone();
        let mut follow =
            Follow::new(files(&path).expect("files"), Past::All, move || files(&reopened)).expect("begin");
        assert_eq!(text(follow.next()), "something long");
        let log = fs::OpenOptions::new().write(true).open(path.join("log")).expect("open the log");
        // The reader must have seen the end and wait before the file shrinks, or the loss is not to be noticed.
        let reader = std::thread::spawn(move || text(follow.next()));
        while !reader.is_finished() {
            log.set_len(0).expect("empty the log");
            append(&path, "new\n");
            std::thread::yield_now();
        }
        assert_eq!(reader.join().expect("reader"), "new");
    }
}
