//! Events: numbered, timed, written down, told to whoever listens.
//!
//! `events.jsonl` has one object a line: `sequence`, `at_ms` (milliseconds since 1970), and the fields of the public
//! interface's `Event` (idl/io.session0.Host.varlink). A line `{"sequence":n,"at_ms":m,"kind":"events_lost","count":c}`
//! says that c events could not be written before it.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use session0_model::event::Event;
use session0_model::limit;
use tokio::sync::broadcast;

use crate::api::host::Recorded;
use crate::config::Rotation;
use crate::message;

const FILE: &str = "events.jsonl";
/// It says how logons failed: not for everybody.
const MODE: u32 = 0o640;
/// How much of the file's end is looked through for the last number.
const TAIL: u64 = 256 * 1024;

/// The record of what happened.
pub struct Events {
    sequence: u64,
    ring: broadcast::Sender<Rc<Recorded>>,
    file: EventFile,
    /// Lines of this turn, written together.
    lines: Vec<u8>,
    count: u64,
}

impl Events {
    /// Goes on where `directory`'s events.jsonl ends.
    pub fn open(directory: &Path, rotation: Rotation) -> Events {
        let mut file = EventFile { directory: directory.to_owned(), rotation, open: None, bytes: 0, lost: 0 };
        let sequence = file.last_sequence().unwrap_or(0);
        let (ring, _) = broadcast::channel(limit::EVENTS_BEHIND_MAX);
        Events { sequence, ring, file, lines: Vec::new(), count: 0 }
    }

    /// New limits for the file.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.file.rotation = rotation;
    }

    /// The number of the last event.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Everything from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Rc<Recorded>> {
        self.ring.subscribe()
    }

    /// Something happened.
    pub fn record(&mut self, event: Event, at_ms: i64) {
        self.sequence += 1;
        let recorded = Recorded { sequence: self.sequence, at_ms, event };
        self.lines.extend_from_slice(line(&recorded).as_bytes());
        self.count += 1;
        // Nobody listening is no error.
        let _ = self.ring.send(Rc::new(recorded));
    }

    /// Writes what was recorded since the last call.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        self.file.append(&lines, std::mem::take(&mut self.count), self.sequence);
        self.lines = lines;
        self.lines.clear();
        self.lines.shrink_to(64 * 1024);
    }
}

/// One line of the file.
#[derive(serde::Serialize)]
struct Line {
    sequence: u64,
    at_ms: i64,
    #[serde(flatten)]
    event: session0_api::event::Event,
}

fn line(recorded: &Recorded) -> String {
    let event = crate::api::translate::event::event(&recorded.event);
    let line = Line { sequence: recorded.sequence, at_ms: recorded.at_ms, event };
    // These types always encode: they are structs, names and numbers.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

struct EventFile {
    directory: PathBuf,
    rotation: Rotation,
    open: Option<(OwnedFd, std::fs::File)>,
    bytes: u64,
    lost: u64,
}

impl EventFile {
    fn append(&mut self, lines: &[u8], count: u64, sequence: u64) {
        let before = self.lost;
        if let Err(error) = self.try_append(lines, sequence) {
            self.lost += count;
            // Once, not for each event: the disk that is full may be the one these messages go to.
            if before == 0 {
                let file = self.directory.join(FILE);
                message::warn("cannot write events", &[("file", &file.display()), ("reason", &error)]);
            }
            self.open = None;
        }
    }

    fn try_append(&mut self, lines: &[u8], sequence: u64) -> io::Result<()> {
        if self.open.is_some() && self.rotation.max_bytes < self.bytes + lines.len() as u64 {
            self.rotate()?;
        }
        if self.open.is_none() {
            self.open()?;
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        if 0 < self.lost {
            let at = crate::clock::wall_now_ms();
            let lost = format!(
                "{{\"sequence\":{sequence},\"at_ms\":{at},\"kind\":\"events_lost\",\"count\":{}}}\n",
                self.lost
            );
            file.write_all(lost.as_bytes())?;
            self.bytes += lost.len() as u64;
            self.lost = 0;
        }
        file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let directory = session0_sys::files::make_directory(&self.directory, 0o755)?;
        let file = session0_sys::files::open_append(directory.as_fd(), Path::new(FILE), MODE)?;
        // One that a daemon before us made may be for everybody.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(MODE))?;
        self.bytes = file.metadata()?.len();
        // What a daemon that was killed in the middle of a line left must not become the beginning of ours.
        let whole = self.bytes == 0 || last_byte(directory.as_fd())? == Some(b'\n');
        self.open = Some((directory, file));
        if !whole && let Some((_, file)) = &mut self.open {
            file.write_all(b"\n")?;
            self.bytes += 1;
        }
        Ok(())
    }

    /// events.jsonl becomes events.jsonl.1 and so on; the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        let Some((directory, _)) = self.open.take() else { return Ok(()) };
        let name = |number: u32| if number == 0 { FILE.to_owned() } else { format!("{FILE}.{number}") };
        if self.rotation.keep == 0 {
            return Ok(rustix::fs::unlinkat(&directory, FILE, rustix::fs::AtFlags::empty())?);
        }
        for number in (0..self.rotation.keep).rev() {
            match rustix::fs::renameat(&directory, name(number), &directory, name(number + 1)) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The number of the last event that was written.
    fn last_sequence(&mut self) -> Option<u64> {
        let directory = session0_sys::files::open_directory(&self.directory).ok()?;
        [FILE.to_owned(), format!("{FILE}.1")].iter().find_map(|name| {
            let tail = tail(directory.as_fd(), name)?;
            tail.split(|byte| *byte == b'\n').rev().find_map(|line| {
                let object: serde_json::Value = serde_json::from_slice(line).ok()?;
                object.get("sequence")?.as_u64()
            })
        })
    }
}

fn last_byte(directory: std::os::fd::BorrowedFd<'_>) -> io::Result<Option<u8>> {
    use std::os::unix::fs::FileExt as _;
    let file = session0_sys::files::open_read(directory, Path::new(FILE))?;
    let length = file.metadata()?.len();
    let mut byte = [0];
    let read = file.read_at(&mut byte, length.saturating_sub(1))?;
    Ok((read == 1).then_some(byte[0]))
}

fn tail(directory: std::os::fd::BorrowedFd<'_>, name: &str) -> Option<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let mut file = session0_sys::files::open_read(directory, Path::new(name)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use session0_model::id::SessionId;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("session0-events-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Directory(path)
        }

        fn lines(&self, file: &str) -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(self.0.join(file)).unwrap_or_default();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const ROTATION: Rotation = Rotation { max_bytes: 1 << 20, keep: 2 };

    fn record(events: &mut Events) {
        events.record(Event::SessionCreated(SessionId(0)), 1_000);
        events.flush();
    }

    #[test]
    fn numbers_go_on_after_a_restart_and_after_half_a_line() {
        let directory = Directory::new("sequence");
        let mut events = Events::open(&directory.0, ROTATION);
        record(&mut events);
        record(&mut events);
        let mut file = std::fs::OpenOptions::new().append(true).open(directory.0.join(FILE)).unwrap();
        file.write_all(b"{\"sequence\":99,").unwrap();
        let mut events = Events::open(&directory.0, ROTATION);
        assert_eq!(events.sequence(), 2);
        record(&mut events);
        let text = std::fs::read_to_string(directory.0.join(FILE)).unwrap();
        assert!(text.lines().last().unwrap().starts_with("{") && text.contains("99,\n"));
        assert_eq!(Events::open(&directory.0, ROTATION).sequence(), 3);
    }

    #[test]
    fn the_file_is_put_aside_and_the_oldest_goes() {
        let directory = Directory::new("rotation");
        let mut events = Events::open(&directory.0, Rotation { max_bytes: 300, keep: 2 });
        for _ in 0..40 {
            record(&mut events);
        }
        let last = directory.lines(FILE).last().unwrap()["sequence"].as_u64();
        assert_eq!(last, Some(40));
        assert!(
            !directory.lines("events.jsonl.2").is_empty() && directory.lines("events.jsonl.3").is_empty()
        );
        assert!(std::fs::metadata(directory.0.join(FILE)).unwrap().len() <= 300);
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_refused_and_what_is_lost_is_counted() {
        let directory = Directory::new("link");
        std::fs::create_dir_all(&directory.0).unwrap();
        std::os::unix::fs::symlink("/dev/null", directory.0.join(FILE)).unwrap();
        let mut events = Events::open(&directory.0, ROTATION);
        record(&mut events);
        record(&mut events);
        std::fs::remove_file(directory.0.join(FILE)).unwrap();
        record(&mut events);
        let lines = directory.lines(FILE);
        assert_eq!((&lines[0]["kind"], &lines[0]["count"]), (&"events_lost".into(), &2.into()));
        assert_eq!(lines[1]["sequence"], 3);
    }

    #[test]
    fn a_listener_that_falls_behind_is_told() {
        let directory = Directory::new("ring");
        let mut events = Events::open(&directory.0, ROTATION);
        let mut receiver = events.subscribe();
        record(&mut events);
        assert_eq!(receiver.try_recv().map(|recorded| recorded.sequence), Ok(1));
        for _ in 0..=2 * limit::EVENTS_BEHIND_MAX {
            events.record(Event::HostStarted, 0);
        }
        assert!(matches!(receiver.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
    }
}
