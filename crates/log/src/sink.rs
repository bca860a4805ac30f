//! Where lines go: into the unit's file, or, if that cannot be, into the count of what was lost.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::loss::{Amount, Losses, News, Notifier};
use crate::store::{Reason, Store};
use crate::unit::{Unit, Units};

/// Our own unit: what we say about a log that cannot be written goes there.
const OURSELVES: &str = "session0-log";

/// A log that cannot be written is tried again after this, also if its unit is silent.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Complaints on stderr are this far apart; the totals tell what was left out.
const COMPLAINT_WAIT: Duration = Duration::from_millis(100);

/// Files, losses, and whom to tell of them.
#[derive(Debug)]
pub struct Sink {
    store: Store,
    losses: Losses,
    notifier: Notifier,
    /// The line about what is missing, while it is being written.
    missing: Vec<u8>,
    files_max: usize,
    files_open: usize,
    retry_at: Option<Instant>,
    complaint_at: Instant,
}

impl Sink {
    /// A sink that has at most `files_max` files open.
    pub fn new(store: Store, notifier: Notifier, files_max: usize) -> Sink {
        Sink {
            store,
            losses: Losses::default(),
            notifier,
            missing: Vec::new(),
            files_max,
            files_open: 0,
            retry_at: None,
            complaint_at: Instant::now(),
        }
    }

    /// Writes lines to a unit's file, behind the line about what is missing before them. The error: how many bytes of
    /// `lines` are in the file, and why not all.
    pub fn write(
        &mut self,
        units: &mut Units,
        index: u32,
        stamp: &[u8],
        lines: &[u8],
    ) -> Result<(), (usize, Reason)> {
        let must_open = units.get(index).is_some_and(|unit| unit.file.is_none());
        if must_open && self.files_open >= self.files_max {
            units.close_a_file(index);
            self.files_open -= 1;
        }
        let Some(Unit { name, file, .. }) = units.get(index) else { return Ok(()) };
        self.files_open -= usize::from(file.is_some());
        let result = self.append(name, file, stamp, lines);
        self.files_open += usize::from(file.is_some());
        result
    }

    fn append(
        &mut self,
        name: &str,
        file: &mut Option<OwnedFd>,
        stamp: &[u8],
        lines: &[u8],
    ) -> Result<(), (usize, Reason)> {
        self.losses.line(name, stamp, &mut self.missing);
        let missing = self.missing.len();
        let result = self.store.append(name, file, [&self.missing, lines]);
        let written = match result {
            Ok(()) => missing,
            Err(short) => short.written,
        };
        if missing > 0 && written >= missing {
            self.losses.said(name);
        }
        result.map_err(|short| (short.written.saturating_sub(missing), short.reason))
    }

    /// Counts what a unit has lost.
    pub fn lose(&mut self, unit: &str, amount: Amount, reason: Reason, now: Instant) {
        self.retry_at.get_or_insert(now + RETRY_WAIT);
        if self.losses.count(unit, amount, reason, now) == News::Begins
            && unit != OURSELVES
            && now >= self.complaint_at
        {
            self.complaint_at = now + COMPLAINT_WAIT;
            complain(&format!("cannot write {unit}.log: {reason}; what {unit} says is being lost"));
        }
    }

    /// A unit goes; its file is closed.
    pub fn close(&mut self, units: &mut Units, index: u32) {
        let closed = units.get(index).and_then(|unit| unit.file.take());
        self.files_open -= usize::from(closed.is_some());
    }

    /// When to call [`Sink::tick`].
    pub fn deadline(&self) -> Option<Instant> {
        [self.retry_at, self.losses.deadline()].into_iter().flatten().min()
    }

    /// Does what is due: tells totals, and tries the logs that could not be written.
    pub fn tick(&mut self, units: &mut Units, stamp: &[u8], now: Instant) {
        if self.losses.deadline().is_some_and(|at| at <= now) {
            self.losses.tell(&self.notifier, now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.retry(units, stamp);
            if !self.losses.unsaid().is_empty() {
                self.retry_at = Some(now + RETRY_WAIT);
            }
        }
    }

    /// Says in every log that lost something what that was, where it can be written by now.
    fn retry(&mut self, units: &mut Units, stamp: &[u8]) {
        for name in self.losses.unsaid() {
            // What fails again is still unsaid: that is all there is to know.
            let _ = match units.find(&name) {
                Some(index) => self.write(units, index, stamp, b""),
                None => self.append(&name, &mut None, stamp, b""),
            };
        }
    }

    /// The last words before we end.
    pub fn finish(&mut self, units: &mut Units, stamp: &[u8], now: Instant) {
        self.retry(units, stamp);
        self.losses.tell(&self.notifier, now);
    }
}

/// Says something on stderr, unless that would wait: it is a pipe whose reader may be ourselves.
pub fn complain(text: &str) {
    let stderr = rustix::stdio::stderr();
    let mut poll = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut poll, Some(&at_once)).is_ok_and(|ready| ready > 0)
        && poll[0].revents().contains(PollFlags::OUT)
    {
        // A pipe that is writable has room for PIPE_BUF bytes, and so much is written whole or not at all.
        let _ = rustix::io::write(stderr, format!("session0-log: {text:.1000}\n").as_bytes());
    }
}
