//! A program's standard streams passed on byte by byte through pipes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use session0::session::Viewer;

use super::buffer::{Buffer, Filled};
use super::relay::{LAST_WORDS_MAX, Outcome};

/// A pipe that is ready takes this much without blocking (PIPE_BUF); our own standard streams are shared with others and are not
/// made to never block.
const PIECE: usize = 4096;

/// One way.
struct Lane {
    /// None at its end.
    from: Option<OwnedFd>,
    /// None when nobody reads any more.
    to: Option<OwnedFd>,
    buffer: Buffer,
    piece: usize,
    /// How much may still be read after the program's end.
    last_words: usize,
}

impl Lane {
    fn new(from: OwnedFd, to: OwnedFd, piece: usize) -> Lane {
        Lane { from: Some(from), to: Some(to), buffer: Buffer::new(), piece, last_words: LAST_WORDS_MAX }
    }

    /// What it waits for: its source and its target, if at all.
    fn waits(&self) -> (Option<&OwnedFd>, Option<&OwnedFd>) {
        let from = self.from.as_ref().filter(|_| self.buffer.has_room());
        (from, self.to.as_ref().filter(|_| !self.buffer.is_empty()))
    }

    /// Its source is ready, or it is looked whether it is.
    fn read(&mut self) -> Filled {
        let Some(from) = &self.from else { return Filled::End };
        if !self.buffer.has_room() {
            return Filled::Nothing;
        }
        let filled = self.buffer.fill(from).unwrap_or(Filled::End);
        if filled == Filled::End {
            self.from = None;
        }
        filled
    }

    fn write(&mut self) {
        if let Some(to) = self.to.as_ref().filter(|_| !self.buffer.is_empty())
            && self.buffer.empty(to, self.piece).is_err()
        {
            // Nobody reads: whoever writes learns it from his own pipe.
            (self.from, self.to) = (None, None);
            self.buffer.discard();
        }
        if self.from.is_none() && self.buffer.is_empty() {
            self.to = None;
        }
    }

    /// After the program's end: what is there now is all there is.
    fn read_last_words(&mut self) {
        while let Filled::Bytes(length) = self.read() {
            self.last_words = self.last_words.saturating_sub(length);
            if self.last_words == 0 {
                break;
            }
        }
        if self.buffer.has_room() || self.last_words == 0 {
            self.from = None;
        }
    }

    fn is_done(&self) -> bool {
        self.from.is_none() && self.buffer.is_empty()
    }
}

/// Passes the streams on until the program has ended and its last output is written.
pub fn pass_on(viewer: &Viewer, input: File, output: File, error: File) -> io::Result<Outcome> {
    for stream in [&input, &output, &error] {
        rustix::io::ioctl_fionbio(stream, true)?;
    }
    let own = |stream: io::Result<OwnedFd>| stream.map(|stream| (piece(&stream), stream));
    let (out_piece, out) = own(io::stdout().as_fd().try_clone_to_owned())?;
    let (error_piece, error_out) = own(io::stderr().as_fd().try_clone_to_owned())?;
    let mut lanes = [
        Lane::new(io::stdin().as_fd().try_clone_to_owned()?, input.into(), usize::MAX),
        Lane::new(output.into(), out, out_piece),
        Lane::new(error.into(), error_out, error_piece),
    ];
    let mut outcome = None;
    loop {
        if outcome.is_some() {
            lanes[1..].iter_mut().for_each(Lane::read_last_words);
            lanes[1..].iter_mut().for_each(Lane::write);
        }
        if lanes[1..].iter().all(Lane::is_done)
            && let Some(outcome) = outcome.take()
        {
            return Ok(outcome);
        }
        let said = wait(&mut lanes, viewer, outcome.is_none())?;
        if let Some(said) = said {
            outcome = Some(said);
            let [typed, ..] = &mut lanes;
            (typed.from, typed.to) = (None, None);
            typed.buffer.discard();
        }
    }
}

/// Waits for something to do, and does it. What the host said at the end, if it did.
fn wait(lanes: &mut [Lane; 3], viewer: &Viewer, running: bool) -> io::Result<Option<Outcome>> {
    let mut watched = Vec::new();
    if running {
        watched.push(PollFd::new(viewer, PollFlags::IN));
    }
    for lane in lanes.iter() {
        let (from, to) = lane.waits();
        // Last words are read without waiting.
        watched.extend(from.filter(|_| running).map(|from| PollFd::new(from, PollFlags::IN)));
        watched.extend(to.map(|to| PollFd::new(to, PollFlags::OUT)));
    }
    let now = Timespec::default();
    let pause = if watched.is_empty() { Some(&now) } else { None };
    rustix::io::retry_on_intr(|| poll(&mut watched, pause))?;
    let mut found = watched.iter().map(|one| !one.revents().is_empty()).collect::<Vec<_>>().into_iter();
    drop(watched);
    let viewed = running && found.next() == Some(true);
    for lane in lanes.iter_mut() {
        let (from, to) = lane.waits();
        let (from, to) = (from.is_some() && running, to.is_some());
        let readable = from && found.next() == Some(true);
        let writable = to && found.next() == Some(true);
        if readable {
            lane.read();
        }
        if writable {
            lane.write();
        } else if lane.is_done() {
            lane.to = None;
        }
    }
    Ok(if viewed { Outcome::heard(viewer) } else { None })
}

/// How much may be written at once to a stream of ours.
fn piece(stream: &OwnedFd) -> usize {
    match fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::RegularFile) => usize::MAX,
        _ => PIECE,
    }
}
