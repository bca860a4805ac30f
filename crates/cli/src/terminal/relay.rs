//! A terminal passed on to a session: bytes between it and the master of the session's terminal, its size, and its end.
//!
//! ```text
//!   terminal ── input ──▶ master        a buffer each way; a side is read only while its buffer has room, so whoever
//!            ◀─ output ──               floods a reader that does not read has to wait, and nothing is lost
//!   viewer   ── how it ends
//! ```

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::termios::{Winsize, tcsetwinsize};
use session0::session::{View, Viewer};

use super::buffer::{Buffer, Filled};
use super::screen::Screen;
use super::{Mode, Terminal};

/// After the end was said, at most this much is still shown: what waits in a terminal is less, and somebody left behind may write on.
pub const LAST_WORDS_MAX: usize = 1024 * 1024;
/// Nobody has the session's terminal open, and somebody may open it again: it is looked at that often.
const ABSENCE_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// So long a terminal has another size before it has its own: a shell looks at its size when it gets to it, and draws its prompt anew only
/// if it finds another one than before.
const OTHER_SIZE_TIME: Duration = Duration::from_millis(100);

/// How passing on ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The host says how.
    Said(View),
    /// The host says nothing any more.
    Silence,
    /// The terminal went away, or this process was told to end.
    Gone(Signal),
}

impl Outcome {
    /// What the host says, if that is an end.
    pub fn heard(viewer: &Viewer) -> Option<Outcome> {
        match viewer.next() {
            Ok(Some(View::Unknown)) => None,
            Ok(Some(view)) => Some(Outcome::Said(view)),
            Ok(None) | Err(_) => Some(Outcome::Silence),
        }
    }
}

/// The exit code when this command's terminal is gone: a shell's for a program that the signal ended.
pub fn gone_code(signal: Signal) -> ExitCode {
    ExitCode::from(128 + signal.as_raw() as u8)
}

/// Whether programs are to draw their screens anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redraw {
    /// Yes: what they drew was drawn on another terminal.
    Yes,
    /// There is nothing to be drawn.
    No,
}

/// The other end of the session's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Programs {
    /// It is read.
    Present,
    /// No program has it open at the moment.
    Absent,
    /// The end was said; so much may still be read.
    LastWords(usize),
    /// It is not read any more.
    Done,
}

struct Relay<'a> {
    terminal: &'a mut Terminal,
    master: OwnedFd,
    viewer: Viewer,
    input: Buffer,
    output: Buffer,
    programs: Programs,
    screen: Screen,
    outcome: Option<Outcome>,
    closing: Closing,
    /// When the session's terminal gets its real size, if it has another one now.
    resize_at: Option<Instant>,
}

/// Whether what undoes the session's modes is on its way to the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    NotYet,
    Shown,
}

/// What is ready, after waiting.
struct Ready {
    signals: PollFlags,
    viewer: PollFlags,
    terminal: PollFlags,
    master: PollFlags,
}

/// Passes the terminal on until one side ends. Then it is as it was found, also its screen; the last output was shown.
pub fn relay(
    terminal: &mut Terminal,
    master: OwnedFd,
    viewer: Viewer,
    redraw: Redraw,
) -> io::Result<Outcome> {
    // The other descriptors of this master are init's and those of terminals before this one; none of them relies on blocking.
    rustix::io::ioctl_fionbio(&master, true)?;
    terminal.enter(Mode::Raw)?;
    let mut relay = Relay {
        terminal,
        master,
        viewer,
        input: Buffer::new(),
        output: Buffer::new(),
        programs: Programs::Present,
        screen: Screen::default(),
        outcome: None,
        closing: Closing::NotYet,
        resize_at: None,
    };
    relay.begin(redraw);
    let result = relay.run();
    relay.finish(&result);
    result
}

impl Relay<'_> {
    fn begin(&mut self, redraw: Redraw) {
        if redraw == Redraw::No {
            return self.pass_size_on();
        }
        // A size that does not change is not told to programs.
        let size = self.terminal.size();
        let other = Winsize { ws_row: size.ws_row, ws_col: size.ws_col.saturating_sub(1).max(1), ..size };
        let _ = tcsetwinsize(&self.master, other);
        self.resize_at = Some(Instant::now() + OTHER_SIZE_TIME);
    }

    /// How long until the terminal is to have its real size; it gets it if that is now.
    fn resize(&mut self) -> Option<Timespec> {
        let left = self.resize_at?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.pass_size_on();
            return None;
        }
        Timespec::try_from(left).ok()
    }

    fn pass_size_on(&mut self) {
        self.resize_at = None;
        // A terminal whose session has ended has no size; its end is said elsewhere.
        let _ = tcsetwinsize(&self.master, self.terminal.size());
    }

    fn run(&mut self) -> io::Result<Outcome> {
        loop {
            if self.programs == Programs::Done && self.output.is_empty() {
                match (&self.outcome, self.closing) {
                    (Some(outcome), Closing::Shown) => return Ok(outcome.clone()),
                    (Some(_), Closing::NotYet) => {
                        self.output.push(&self.last_bytes());
                        self.closing = Closing::Shown;
                        continue;
                    }
                    (None, _) => {}
                }
            }
            let ready = self.wait()?;
            if let Some(signal) = self.signals(&ready)? {
                return Ok(Outcome::Gone(signal));
            }
            match self.pass_on(&ready) {
                Ok(()) => {}
                Err(error) if gone(&error) => return Ok(Outcome::Gone(Signal::HUP)),
                Err(error) => return Err(error),
            }
        }
    }

    /// What would be reported again and again without anything to do about it is not waited for.
    fn wait(&mut self) -> io::Result<Ready> {
        let resize = self.resize();
        let talking = self.outcome.is_none();
        let only = |wanted: bool, flag: PollFlags| if wanted { flag } else { PollFlags::empty() };
        let terminal = only(talking && self.input.has_room(), PollFlags::IN)
            | only(!self.output.is_empty(), PollFlags::OUT);
        let master = match self.programs {
            Programs::Present => {
                only(self.output.has_room(), PollFlags::IN)
                    | only(talking && !self.input.is_empty(), PollFlags::OUT)
            }
            Programs::LastWords(_) => only(self.output.has_room(), PollFlags::IN),
            Programs::Absent | Programs::Done => PollFlags::empty(),
        };
        let pause = match self.programs {
            Programs::Absent => Some(ABSENCE_PAUSE),
            // There is nothing to wait for but room: what is there is there.
            Programs::LastWords(_) if self.output.has_room() => Some(Timespec::default()),
            Programs::LastWords(_) | Programs::Present | Programs::Done => resize,
        };
        let mut watched = vec![
            PollFd::new(&self.terminal.signals, PollFlags::IN),
            PollFd::new(&self.terminal.file, terminal),
        ];
        if talking {
            watched.push(PollFd::new(&self.viewer, PollFlags::IN));
        }
        if !master.is_empty() {
            watched.push(PollFd::new(&self.master, master));
        }
        rustix::io::retry_on_intr(|| poll(&mut watched, pause.as_ref()))?;
        let mut found = watched.iter().map(PollFd::revents);
        let mut next =
            |is_there: bool| if is_there { found.next() } else { None }.unwrap_or(PollFlags::empty());
        Ok(Ready {
            signals: next(true),
            terminal: next(true),
            viewer: next(talking),
            master: next(!master.is_empty()),
        })
    }

    /// The signal to end by, if one came.
    fn signals(&mut self, ready: &Ready) -> io::Result<Option<Signal>> {
        if ready.signals.is_empty() {
            return Ok(None);
        }
        while let Some(signal) = self.terminal.signals.next() {
            match signal {
                Signal::WINCH => self.pass_size_on(),
                Signal::TSTP => self.terminal.stop()?,
                // Whoever had the terminal meanwhile has left it as he likes it.
                Signal::CONT => {
                    self.terminal.enter(Mode::Raw)?;
                    self.pass_size_on();
                }
                other => return Ok(Some(other)),
            }
        }
        Ok(None)
    }

    fn pass_on(&mut self, ready: &Ready) -> io::Result<()> {
        if ready.terminal.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(Errno::IO.into());
        }
        if ready.terminal.contains(PollFlags::IN) && self.input.fill(&self.terminal.file)? == Filled::End {
            return Err(Errno::IO.into());
        }
        if !ready.viewer.is_empty() {
            self.view();
        }
        self.hear_programs(ready);
        if !self.output.is_empty() {
            self.output.empty(&self.terminal.file, usize::MAX)?;
        }
        if self.outcome.is_none() && !self.input.is_empty() {
            // What is typed for a terminal that has ended is typed for nobody.
            if self.input.empty(&self.master, usize::MAX).is_err() {
                self.input.discard();
            }
        }
        Ok(())
    }

    /// What the host says. After another terminal has taken the session over, its output is for that one alone.
    fn view(&mut self) {
        let Some(outcome) = Outcome::heard(&self.viewer) else { return };
        self.programs = match outcome {
            Outcome::Said(View::TakenOver { .. }) => Programs::Done,
            Outcome::Said(View::Ended { .. } | View::Unknown) | Outcome::Silence | Outcome::Gone(_) => {
                Programs::LastWords(LAST_WORDS_MAX)
            }
        };
        self.outcome = Some(outcome);
        self.input.discard();
    }

    fn hear_programs(&mut self, ready: &Ready) {
        let said = match self.programs {
            Programs::Present => ready.master.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            Programs::Absent | Programs::LastWords(_) => true,
            Programs::Done => false,
        };
        if !said {
            return;
        }
        if !self.output.has_room() {
            // Waited for to be written to, it reports that it has ended, which is not to be waited for again.
            if self.programs == Programs::Present {
                self.programs = Programs::Absent;
            }
            return;
        }
        let (heard, last) = self.hear();
        self.programs = match (self.programs, last) {
            (Programs::LastWords(left), Filled::Bytes(_)) if left > heard => {
                Programs::LastWords(left - heard)
            }
            (Programs::LastWords(_) | Programs::Done, _) => Programs::Done,
            (Programs::Present | Programs::Absent, Filled::End) => Programs::Absent,
            (Programs::Present | Programs::Absent, Filled::Bytes(_) | Filled::Nothing) => Programs::Present,
        };
    }

    /// Reads all there is room for: how much it was, and what the last reading gave.
    fn hear(&mut self) -> (usize, Filled) {
        let before = self.output.waiting().len();
        let mut last = Filled::Nothing;
        while self.output.has_room() {
            // A terminal that nobody has open is at its end, which it says by an error.
            last = self.output.fill(&self.master).unwrap_or(Filled::End);
            if !matches!(last, Filled::Bytes(_)) {
                break;
            }
        }
        let heard = &self.output.waiting()[before..];
        self.screen.follow(heard);
        if let Some(guard) = &mut self.terminal.guard {
            guard.tell(self.screen.modes());
        }
        (heard.len(), last)
    }

    /// What makes the screen as a shell expects it, and is shown after the last words.
    fn last_bytes(&self) -> Vec<u8> {
        let mut bytes = self.screen.modes().undo();
        if !self.screen.at_line_start() {
            bytes.extend(b"\r\n");
        }
        bytes
    }

    /// Gives the terminal back. One that takes nothing now, or is gone, shows nothing.
    fn finish(&mut self, outcome: &io::Result<Outcome>) {
        if !matches!(outcome, Ok(Outcome::Said(_) | Outcome::Silence)) {
            let _ = rustix::io::write(self.terminal.file.as_fd(), &self.last_bytes());
        }
        let _ = self.terminal.enter(Mode::AsFound);
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::NXIO | Errno::NODEV))
}
