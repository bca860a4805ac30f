//! The keeper's lines on stdout, and the daemon's on stderr. They are written by a thread of their own: a terminal that
//! is held by ^S or a full pipe stops the lines, never the supervision, and never the daemon.

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::time;

/// Lines that wait for a slow reader; further ones are counted and dropped.
const LINES_MAX: usize = 512;
/// Bytes of one of the daemon's lines.
const LINE_MAX: u64 = 64 * 1024;
/// How long the last lines may take at the end.
const FLUSH_WAIT: Duration = Duration::from_millis(500);

/// A line and where it goes.
enum Line {
    /// The keeper's, to stdout.
    Ours(String),
    /// The daemon's, to stderr as it came.
    Daemons(Vec<u8>),
}

/// Where lines go. Cheap to clone, one for each thread.
#[derive(Clone)]
pub struct Screen {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

/// The thread that writes.
pub struct Printer {
    thread: JoinHandle<()>,
}

/// Starts the thread.
pub fn start() -> std::io::Result<(Screen, Printer)> {
    let (lines, receiver) = sync_channel(LINES_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&dropped);
    let thread = small_thread("s0-screen").spawn(move || {
        give_way();
        write_lines(&receiver, &counter);
    })?;
    Ok((Screen { lines, dropped }, Printer { thread }))
}

/// A thread with a small stack: the keeper stays small.
pub fn small_thread(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024)
}

/// What this thread does is for people: on a busy processor it waits until init and a service that starts have had
/// their turn.
pub fn give_way() {
    // A number the kernel takes for the calling thread alone. Refused or not, nothing depends on it.
    let _ = rustix::process::setpriority_process(None, 10);
}

impl Screen {
    /// A line with the present time before it. Never waits.
    pub fn say(&self, text: impl AsRef<str>) {
        self.say_at(time::now_ms(), text);
    }

    /// A line with this time before it. Never waits.
    pub fn say_at(&self, at_ms: i64, text: impl AsRef<str>) {
        self.send(Line::Ours(format!("{}  {}\n", time::stamp(at_ms), text.as_ref())));
    }

    /// Passes on what the daemon and its init say, until nobody is left who could. Ends at the end of the pipe.
    pub fn pass_on(&self, said: PipeReader) -> std::io::Result<JoinHandle<()>> {
        let screen = self.clone();
        small_thread("s0-daemon-says").spawn(move || {
            let mut said = BufReader::with_capacity(8 * 1024, said);
            let mut line = Vec::new();
            // A line without an end is passed on in pieces.
            while (&mut said).take(LINE_MAX).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                screen.send(Line::Daemons(std::mem::take(&mut line)));
            }
        })
    }

    fn send(&self, line: Line) {
        match self.lines.try_send(line) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Printer {
    /// Waits a moment for the last lines, once every [`Screen`] that matters is gone or silent.
    pub fn finish(self, screen: Screen) {
        drop(screen);
        let until = Instant::now() + FLUSH_WAIT;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn write_lines(lines: &Receiver<Line>, dropped: &AtomicU64) {
    while let Ok(line) = lines.recv() {
        let lost = dropped.swap(0, Ordering::Relaxed);
        // A terminal that is gone takes no lines; the host runs on.
        if lost > 0 {
            let _ = writeln!(std::io::stdout(), "({lost} lines were not shown: nobody read them)");
        }
        let _ = match line {
            Line::Ours(text) => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
            }
            Line::Daemons(bytes) => std::io::stderr().lock().write_all(&bytes),
        };
    }
}
