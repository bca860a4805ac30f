//! A logger with a feed, a log directory and a notify socket of its own.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use session0_model::launch::wire::{Feed, encode};
use session0_sys::packet::{self, Sent};
use session0_sys::pidfd;
use session0_sys::spawn::{self, Child, Namespaces, Spawn};

/// How long anything may take on a machine that does something else as well.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Rig {
    pub path: PathBuf,
    pub directory: OwnedFd,
    pub notify: UnixDatagram,
    arguments: String,
    feed: OwnedFd,
    child: Child,
}

/// Says that a test did not run, past the test runner's capture: a test that only returns is counted as passed.
pub fn skip(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {reason}");
}

/// Polls a condition; the only waiting there is.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A unit's pipe, its read end kept as init keeps it.
pub struct Unit {
    pub name: String,
    pub read: OwnedFd,
    pub write: File,
}

impl Unit {
    pub fn new(name: &str) -> Unit {
        let (read, write) = session0_sys::pipe::new().unwrap();
        Unit { name: name.to_owned(), read, write: write.into() }
    }

    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        self.write.write_all(text.as_ref()).unwrap();
    }

    pub fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.read).unwrap()
    }
}

fn own_directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("session0-logger-{}-{number}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    path
}

impl Rig {
    /// A logger with room for all these tests say.
    pub fn new() -> Rig {
        Rig::with("--max-size 1000000000 --keep 3")
    }

    pub fn with(arguments: &str) -> Rig {
        let path = own_directory();
        let directory = path.join("log");
        std::fs::create_dir(&directory).unwrap();
        let directory = File::open(directory).unwrap().into();
        Rig::within(path, directory, arguments)
    }

    /// A logger whose directory is on a small file system of its own. `None`, and said so, without the right to make
    /// one.
    pub fn on_small_disk(test: &str, bytes: usize, arguments: &str) -> Option<Rig> {
        use rustix::mount::{
            FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
        };
        let make = || -> rustix::io::Result<OwnedFd> {
            let file_system = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(file_system.as_fd(), "size", bytes.to_string())?;
            fsconfig_create(file_system.as_fd())?;
            fsmount(file_system.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        };
        match make() {
            Ok(root) => {
                // fsmount's descriptor is O_PATH-like: open the directory itself.
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let directory = rustix::fs::openat(root, ".", flags, Mode::empty()).unwrap();
                Some(Rig::within(own_directory(), directory, arguments))
            }
            Err(error) => {
                skip(test, &format!("no right to make a small tmpfs: {error}"));
                None
            }
        }
    }

    fn within(path: PathBuf, directory: OwnedFd, arguments: &str) -> Rig {
        session0_sys::process::raise_open_files().unwrap();
        let notify = UnixDatagram::bind(path.join("notify")).unwrap();
        notify.set_nonblocking(true).unwrap();
        let (feed, child) = start(arguments, &directory, &path);
        Rig { path, directory, notify, arguments: arguments.to_owned(), feed, child }
    }

    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    fn signal(&self, signal: u8) {
        pidfd::send_signal(self.child.pidfd.as_fd(), signal).unwrap();
    }

    fn reap(&self) -> rustix::process::WaitIdStatus {
        let id = rustix::process::WaitId::PidFd(self.child.pidfd.as_fd());
        rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED).unwrap().unwrap()
    }

    /// kill -9, and a new one that knows of nothing yet.
    pub fn kill_and_restart(&mut self) {
        self.signal(9);
        assert_eq!(self.reap().terminating_signal(), Some(9));
        (self.feed, self.child) = start(&self.arguments, &self.directory, &self.path);
    }

    /// SIGTERM, its end, and a new one.
    pub fn terminate_and_restart(&mut self) {
        self.signal(15);
        assert_eq!(self.reap().exit_status(), Some(0));
        (self.feed, self.child) = start(&self.arguments, &self.directory, &self.path);
    }

    /// The feed's end, and the logger's.
    pub fn close_feed(&mut self) {
        self.feed = File::open("/dev/null").unwrap().into();
        assert_eq!(self.reap().exit_status(), Some(0));
    }

    pub fn feed(&self, message: &Feed, descriptor: Option<&OwnedFd>) {
        let mut packet = Vec::new();
        encode(message, &mut packet);
        let descriptors: Vec<_> = descriptor.iter().map(|descriptor| descriptor.as_fd()).collect();
        until("room in the feed", || {
            packet::send(self.feed.as_fd(), &packet, &descriptors).unwrap() == Sent::All
        });
    }

    pub fn add(&self, unit: &Unit) {
        self.feed(&Feed::Pipe { unit: unit.name.clone(), group: 0 }, Some(&unit.read));
    }

    pub fn gone(&self, unit: &Unit) {
        self.feed(&Feed::Gone { unit: unit.name.clone() }, None);
    }

    pub fn unit(&self, name: &str) -> Unit {
        let unit = Unit::new(name);
        self.add(&unit);
        unit
    }

    /// A file of the log directory; empty if it is not there.
    pub fn read(&self, name: &str) -> String {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut text = String::new();
        if let Ok(file) = rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            File::from(file).read_to_string(&mut text).unwrap();
        }
        text
    }

    pub fn size(&self, name: &str) -> u64 {
        let stat = rustix::fs::statat(&self.directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        stat.map_or(0, |stat| stat.st_size as u64)
    }

    /// A unit's lines without their stamps, whose form is checked.
    pub fn lines(&self, unit: &str) -> Vec<String> {
        let text = self.read(&format!("{unit}.log"));
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        // What a logger was writing when it was killed: its successor marks it and writes the chunk again.
        // It may have come no further than into the stamp.
        let torn = |line: &&str| line.len() < 60 && line.ends_with(" [session0-log: cut short here]");
        whole.lines().filter(|line| !torn(line)).map(|line| without_stamp(line).to_owned()).collect()
    }

    #[track_caller]
    pub fn wait_lines(&self, unit: &str, expected: &[&str]) {
        until(&format!("{expected:?} in {unit}.log, which has {:?}", self.lines(unit)), || {
            self.lines(unit).len() >= expected.len()
        });
        assert_eq!(self.lines(unit), expected);
    }

    pub fn names(&self) -> Vec<String> {
        let directory = rustix::fs::Dir::read_from(&self.directory).unwrap();
        let names = directory.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = pidfd::send_signal(self.child.pidfd.as_fd(), 9);
        let id = rustix::process::WaitId::PidFd(self.child.pidfd.as_fd());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[track_caller]
pub fn without_stamp(line: &str) -> &str {
    let form = "0000-00-00T00:00:00.000000Z ";
    let stamp = line.get(..form.len()).unwrap_or_else(|| panic!("no stamp: {line:?}"));
    let fits = stamp.chars().zip(form.chars()).all(|(got, form)| match form {
        '0' => got.is_ascii_digit(),
        exactly => got == exactly,
    });
    assert!(fits, "no stamp: {line:?}");
    &line[form.len()..]
}

fn start(arguments: &str, directory: &OwnedFd, path: &Path) -> (OwnedFd, Child) {
    let (ours, theirs) = packet::pair().unwrap();
    let program = spawn::open_program(Path::new(env!("CARGO_BIN_EXE_session0-log"))).unwrap();
    let arguments: Vec<CString> = std::iter::once("session0-log")
        .chain(arguments.split_whitespace())
        .map(|argument| CString::new(argument).unwrap())
        .collect();
    let notify = CString::new(format!("NOTIFY_SOCKET={}", path.join("notify").display())).unwrap();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let stderr = File::options().create(true).append(true).open(path.join("stderr")).unwrap();
    let child = spawn::start(&Spawn {
        program: program.as_fd(),
        arguments: &arguments,
        environment: &[notify],
        namespaces: Namespaces::Inherited,
        group: None,
        descriptors: &[
            (null.as_fd(), 0),
            (null.as_fd(), 1),
            (stderr.as_fd(), 2),
            (theirs.as_fd(), 3),
            (directory.as_fd(), 4),
        ],
        open_files: None,
    })
    .unwrap();
    (ours, child)
}
