//! The loop: what is ready is read in turns, a bounded amount each, so that a flood delays nobody else for long.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{Timespec, epoll};
use session0_model::launch::wire::{Feed, decode};
use session0_model::limit::{LOG_PARTIAL_WAIT, LOG_TURN_MAX, SYSLOG_BATCH_MAX, SYSLOG_MAX};
use session0_sys::datagram::{self, Datagram, Whole};
use session0_sys::packet::{self, Received};

use crate::line::{self, Unfinished};
use crate::loss::Amount;
use crate::pipe::{self, Look, Rest, Scratch, Writer};
use crate::sink::{Sink, complain};
use crate::stamp::stamp;
use crate::syslog;
use crate::unit::{Queued, UNKNOWN, Units, Wait};

/// Tokens of what is not a unit's pipe; those have their index.
const FEED: u64 = u64::MAX;
const SYSLOG: u64 = u64::MAX - 1;
const TERMINATE: u64 = u64::MAX - 2;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 64;
/// Units that have a turn before the kernel is asked again.
const TURNS_MAX: usize = 32;
/// Messages of the feed taken in one turn.
const FEED_BATCH_MAX: usize = 256;
/// Bytes of one message of the feed: a name, a number, and room.
const FEED_MESSAGE_MAX: usize = 1024;

/// The first pause before a pipe is looked at again unasked: a writer that resumes at once fills it in less. Each
/// next pause is twice as long, up to the largest: on a busy machine it resumes later.
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// Everything the loop has.
#[derive(Debug)]
pub struct Logger {
    epoll: OwnedFd,
    feed: OwnedFd,
    syslog: Option<OwnedFd>,
    scratch: Scratch,
    sink: Sink,
    units: Units,
    /// Units that may have something to read.
    ready: VecDeque<u32>,
    /// Units with an unfinished line, by the time at which it is written as it is.
    waiting: BTreeSet<(Instant, u32)>,
    /// Lines on their way into a file.
    out: Vec<u8>,
    room: usize,
}

/// What one look at a unit's pipe came to.
struct Taken {
    bytes: usize,
    left: usize,
    rest: Rest,
}

impl Logger {
    /// A logger that has not heard of any unit. `terminate` becomes readable when we are to end.
    pub fn new(feed: OwnedFd, terminate: &OwnedFd, sink: Sink, size_max: u64) -> io::Result<Logger> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &feed, epoll::EventData::new_u64(FEED), epoll::EventFlags::IN)?;
        epoll::add(&epoll, terminate, epoll::EventData::new_u64(TERMINATE), epoll::EventFlags::IN)?;
        Ok(Logger {
            epoll,
            feed,
            syslog: None,
            scratch: Scratch::new()?,
            sink,
            units: Units::default(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            out: Vec::new(),
            room: LOG_TURN_MAX.min(usize::try_from(size_max).unwrap_or(usize::MAX)),
        })
    }

    /// Works until we are told to end or init is gone.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let wait = self.wait().map(|wait| Timespec {
                tv_sec: wait.as_secs() as i64,
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let (token, flags) = (event.data.u64(), event.flags);
                if self.happened(token, flags)? == Feeding::Closed {
                    return Ok(());
                }
            }
            self.take_turns();
            self.tick();
        }
    }

    /// One thing that happened. `Closed`: it was the last.
    fn happened(&mut self, token: u64, flags: epoll::EventFlags) -> io::Result<Feeding> {
        match token {
            TERMINATE => {
                // init keeps the pipes, and with them the lines that are not finished yet.
                self.take_feed()?;
                self.flush(Unfinished::Waits);
                return Ok(Feeding::Closed);
            }
            FEED => {
                if self.take_feed()? == Feeding::Closed {
                    // init is gone, and with us the last to have the pipes.
                    self.flush(Unfinished::Ends);
                    return Ok(Feeding::Closed);
                }
            }
            SYSLOG => self.take_syslog(SYSLOG_BATCH_MAX),
            index if flags.contains(epoll::EventFlags::HUP) => {
                // Nobody can write any more: init has forgotten the unit, or is about to end.
                self.drain(index as u32, Unfinished::Ends);
                self.close_pipe(index as u32);
            }
            index => self.enqueue(index as u32),
        }
        Ok(Feeding::Open)
    }

    /// How long there is nothing to do if nothing happens.
    fn wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let partial = self.waiting.first().map(|(at, _)| *at);
        let at = [partial, self.sink.deadline()].into_iter().flatten().min()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        while let Some((at, index)) = self.waiting.first().copied() {
            if at > now {
                break;
            }
            match self.units.get(index).and_then(|unit| unit.waits) {
                Some(wait) if wait.until > now => {
                    // Its turn says when to look the next time.
                    self.waiting.remove(&(at, index));
                    self.enqueue(index);
                }
                _ => {
                    self.waiting.remove(&(at, index));
                    self.end_line(index);
                }
            }
        }
        if self.sink.deadline().is_some_and(|at| at <= now) {
            self.sink.tick(&mut self.units, &stamp(SystemTime::now()), now);
        }
    }

    fn enqueue(&mut self, index: u32) {
        if let Some(unit) = self.units.get(index)
            && unit.queued == Queued::No
            && unit.pipe.is_some()
        {
            unit.queued = Queued::Yes;
            self.ready.push_back(index);
        }
    }

    fn take_turns(&mut self) {
        for _ in 0..TURNS_MAX {
            let Some(index) = self.ready.pop_front() else { return };
            // Not in the queue any more: also if its unit was replaced by another one of the same index, which
            // then has been queued by its own right.
            let Some(unit) = self.units.get(index) else { continue };
            unit.queued = Queued::No;
            self.turn(index);
        }
    }

    /// One turn of one unit.
    fn turn(&mut self, index: u32) {
        let Some(taken) = self.take(index, Unfinished::Waits) else { return };
        let Some(unit) = self.units.get(index) else { return };
        if taken.bytes + taken.left == 0 && taken.rest == Rest::Nothing {
            // Only a pipe seen empty wakes us for certain when there is something again.
            unit.pause = None;
            self.stop_waiting(index);
            return;
        }
        let Some(pipe) = &unit.pipe else { return };
        let writer = pipe::writer(pipe.as_fd(), taken.bytes + taken.left, taken.left);
        unit.pause = match (writer, unit.pause) {
            (Writer::Free, None) => None,
            (_, Some(last)) if taken.bytes == 0 => Some(PAUSE_MAX.min(last * 2)),
            (_, _) => Some(PAUSE_MIN),
        };
        if taken.left == 0 || taken.rest == Rest::More {
            self.stop_waiting(index);
            self.enqueue(index);
        } else if writer == Writer::Stuck {
            self.end_line(index);
        } else {
            self.keep_waiting(index, taken.bytes);
        }
    }

    /// An unfinished line is left. Its time runs from when its beginning was first seen.
    fn keep_waiting(&mut self, index: u32, taken: usize) {
        let Some(unit) = self.units.get(index) else { return };
        let (before, pause) = (unit.waits, unit.pause);
        self.stop_waiting(index);
        let now = Instant::now();
        let until = match before {
            Some(wait) if taken == 0 => wait.until,
            _ => now + LOG_PARTIAL_WAIT,
        };
        let look_at = pause.map_or(until, |pause| until.min(now + pause));
        if let Some(unit) = self.units.get(index) {
            unit.waits = Some(Wait { until, look_at });
            self.waiting.insert((look_at, index));
        }
        if pause.is_some() && taken > 0 {
            // It had room to resume while we were writing: most often there is more by now.
            self.enqueue(index);
        }
    }

    fn stop_waiting(&mut self, index: u32) {
        if let Some(wait) = self.units.get(index).and_then(|unit| unit.waits.take()) {
            self.waiting.remove(&(wait.look_at, index));
        }
    }

    /// An unfinished line waits no longer.
    fn end_line(&mut self, index: u32) {
        self.stop_waiting(index);
        self.take(index, Unfinished::Ends);
        // What came in the meantime, or was more than one look.
        self.enqueue(index);
    }

    /// Looks at a unit's pipe once, writes the lines that are there, and takes them out of the pipe. Without a pipe:
    /// `None`. A pipe that cannot be read is closed.
    fn take(&mut self, index: u32, unfinished: Unfinished) -> Option<Taken> {
        let pipe = self.units.get(index)?.pipe.take()?;
        let result = self.take_from(&pipe, index, unfinished);
        let unit = self.units.get(index)?;
        unit.pipe = Some(pipe);
        match result {
            Ok(taken) => Some(taken),
            Err(error) => {
                complain(&format!("cannot read the output of {}: {error}", unit.name));
                self.close_pipe(index);
                None
            }
        }
    }

    fn take_from(&mut self, pipe: &OwnedFd, index: u32, unfinished: Unfinished) -> io::Result<Taken> {
        let look = self.scratch.look(pipe.as_fd())?;
        // What a look has not reached may finish the line.
        let mode = if look.rest == Rest::More { Unfinished::Waits } else { unfinished };
        let mut bytes = self.write_lines(pipe, index, look, mode)?;
        if bytes == 0 && look.bytes > 0 && look.rest == Rest::More {
            // So many tiny writes that a look cannot reach the end of the line.
            bytes = self.write_lines(pipe, index, look, Unfinished::Ends)?;
        }
        Ok(Taken { bytes, left: look.bytes - bytes, rest: look.rest })
    }

    /// Writes the lines of a look, in as few writes as there is room for; each is followed by taking exactly its bytes
    /// out of the pipe. Returns how many that were.
    fn write_lines(
        &mut self,
        pipe: &OwnedFd,
        index: u32,
        look: Look,
        unfinished: Unfinished,
    ) -> io::Result<usize> {
        let mut done = 0;
        let stamp = stamp(SystemTime::now());
        loop {
            self.out.clear();
            let raw = &self.scratch.seen(look)[done..];
            let rendered = line::render(raw, unfinished, &stamp, self.room, &mut self.out);
            if rendered.bytes == 0 {
                return Ok(done);
            }
            if let Err((written, reason)) = self.sink.write(&mut self.units, index, &stamp, &self.out) {
                // Whole lines that came into the file before it was full are not lost.
                let saved = self.out[..written].iter().filter(|byte| **byte == b'\n').count() as u64;
                let bytes = rendered.bytes - line::length(&raw[..rendered.bytes], saved);
                let amount = Amount { lines: rendered.lines - saved, bytes: bytes as u64 };
                if let Some(unit) = self.units.get(index) {
                    self.sink.lose(&unit.name, amount, reason, Instant::now());
                }
            }
            self.scratch.consume(pipe.as_fd(), rendered.bytes)?;
            done += rendered.bytes;
        }
    }

    /// Reads what is in a unit's pipe at this moment, and no more: somebody may still be writing.
    fn drain(&mut self, index: u32, unfinished: Unfinished) {
        let Some(pipe) = self.units.get(index).and_then(|unit| unit.pipe.as_ref()) else { return };
        let mut there = pipe::waiting(pipe.as_fd()).unwrap_or(0);
        while there > 0 {
            match self.take(index, unfinished) {
                Some(taken) if taken.bytes > 0 => there = there.saturating_sub(taken.bytes),
                _ => return,
            }
        }
    }

    /// Stops reading a unit's pipe. It must be taken out of the epoll set by hand: init has the same open file.
    fn close_pipe(&mut self, index: u32) {
        self.stop_waiting(index);
        if let Some(pipe) = self.units.get(index).and_then(|unit| unit.pipe.take()) {
            let _ = epoll::delete(&self.epoll, &pipe);
        }
    }

    fn take_feed(&mut self) -> io::Result<Feeding> {
        let mut buffer = [0; FEED_MESSAGE_MAX];
        for _ in 0..FEED_BATCH_MAX {
            match packet::receive(self.feed.as_fd(), &mut buffer)? {
                Received::Nothing => break,
                Received::Closed => return Ok(Feeding::Closed),
                Received::Packet { length, descriptors } => match decode::<Feed>(&buffer[..length]) {
                    Some((message, _)) => self.fed(message, descriptors),
                    None => complain("the feed has a message that nobody of ours sends; it is ignored"),
                },
            }
        }
        Ok(Feeding::Open)
    }

    fn fed(&mut self, message: Feed, mut descriptors: Vec<OwnedFd>) {
        match message {
            Feed::Pipe { unit, group } => match (self.units.enter(&unit), descriptors.pop()) {
                (Some(index), Some(pipe)) => self.open_pipe(index, pipe, group),
                (None, _) => complain(&format!("the feed names a unit that cannot be: {unit:?}")),
                (_, None) => complain(&format!("the feed has no pipe with {unit}'s message")),
            },
            Feed::Gone { unit } => {
                if let Some(index) = self.units.find(&unit) {
                    self.drain(index, Unfinished::Ends);
                    self.close_pipe(index);
                    self.sink.close(&mut self.units, index);
                    self.units.remove(index);
                }
            }
            Feed::Syslog => {
                if let Some(before) = self.syslog.take() {
                    let _ = epoll::delete(&self.epoll, &before);
                }
                let event = epoll::EventData::new_u64(SYSLOG);
                match descriptors.pop() {
                    Some(socket)
                        if epoll::add(&self.epoll, &socket, event, epoll::EventFlags::IN).is_ok() =>
                    {
                        self.syslog = Some(socket);
                    }
                    _ => complain("the feed has no usable socket with its syslog message"),
                }
            }
            Feed::Group { unit, group } => {
                if let Some(index) = self.units.find(&unit) {
                    self.units.set_group(index, group);
                }
            }
        }
    }

    fn open_pipe(&mut self, index: u32, pipe: OwnedFd, group: u64) {
        self.drain(index, Unfinished::Ends);
        self.close_pipe(index);
        self.units.set_group(index, group);
        // Edges, because an unfinished line stays in the pipe, which would be ready all the time.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let added = epoll::add(&self.epoll, &pipe, epoll::EventData::new_u64(u64::from(index)), flags);
        let Some(unit) = self.units.get(index) else { return };
        match added {
            Ok(()) => {
                unit.pipe = Some(pipe);
                self.enqueue(index);
            }
            Err(error) => complain(&format!("cannot watch the output of {}: {error}", unit.name)),
        }
    }

    fn take_syslog(&mut self, most: usize) {
        for _ in 0..most {
            let Some(socket) = &self.syslog else { return };
            let mut buffer = [0; SYSLOG_MAX];
            // As with pipes: it is taken only when it is written.
            let result = match datagram::peek(socket.as_fd(), &mut buffer) {
                Ok(Some(datagram)) => {
                    self.syslogged(&datagram, &buffer[..datagram.length]);
                    self.syslog.as_ref().map(|socket| datagram::receive(socket.as_fd(), &mut []))
                }
                Ok(None) => return,
                Err(error) => Some(Err(error)),
            };
            if let Some(Err(error)) = result {
                complain(&format!("cannot read /dev/log: {error}"));
                if let Some(socket) = self.syslog.take() {
                    let _ = epoll::delete(&self.epoll, &socket);
                }
            }
        }
    }

    fn syslogged(&mut self, datagram: &Datagram, text: &[u8]) {
        let sender = syslog::sender(datagram, &self.units);
        let Some(index) = sender.or_else(|| self.units.enter(UNKNOWN)) else { return };
        let stamp = stamp(SystemTime::now());
        self.out.clear();
        let lines = syslog::render(text, &stamp, &mut self.out);
        if datagram.whole == Whole::Cut {
            self.out.pop();
            self.out.extend_from_slice(b" [session0-log: cut short here]\n");
        }
        if let Err((_, reason)) = self.sink.write(&mut self.units, index, &stamp, &self.out) {
            let amount = Amount { lines, bytes: text.len() as u64 };
            if let Some(unit) = self.units.get(index) {
                self.sink.lose(&unit.name, amount, reason, Instant::now());
            }
        }
    }

    /// Reads everything there is at this moment.
    fn flush(&mut self, unfinished: Unfinished) {
        self.take_syslog(SYSLOG_BATCH_MAX * 16);
        for index in self.units.indices() {
            self.drain(index, unfinished);
        }
        self.sink.finish(&mut self.units, &stamp(SystemTime::now()), Instant::now());
    }
}

/// Whether there can be more of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeding {
    Open,
    Closed,
}
