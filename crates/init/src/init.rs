//! The loop.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::process::Rlimit;
use session0_model::id::SessionId;
use session0_model::launch::session_plan::Facilities;
use session0_model::launch::wire::FromInit;
use session0_model::limit::PACKET_MAX;
use session0_sys::cgroup::Work;
use session0_sys::launch::Launcher;
use session0_sys::packet::{self, Received};
use session0_sys::process::{self, OomScore};
use session0_sys::{reaper, session};

use crate::control::{Control, SPOKEN, Stage};
use crate::exits::Exits;
use crate::feed::Feed;
use crate::launch::Launches;
use crate::poll::{Poll, Token};
use crate::store::Store;
use crate::unit::{Population, Units};

/// What is known once the session is made.
pub struct SessionMade {
    /// What it is made of.
    pub facilities: Facilities,
    /// Starts its programs.
    pub launcher: Launcher,
    /// Its `/dev/log`, if it has services.
    pub syslog: Option<OwnedFd>,
    /// Why no user's program is started: nobody has entered yet, or the last user who was to enter could not.
    pub not_entered: Option<i32>,
}

/// PID 1 of a session.
pub struct Init {
    /// Which.
    pub session: SessionId,
    /// What the loop waits for.
    pub poll: Poll,
    listener: OwnedFd,
    children: OwnedFd,
    /// The daemon, while there is one.
    pub control: Option<Control>,
    /// The session, once it is made.
    pub session_made: Option<SessionMade>,
    /// What the daemon must not forget.
    pub store: Store,
    /// Its units.
    pub units: Units,
    /// Its launches that are alive.
    pub launches: Launches,
    /// Those that ended.
    pub exits: Exits,
    /// The logger.
    pub feed: Feed,
    /// For the next logger.
    pub log_directory: Option<OwnedFd>,
    /// What a logger is executed from, if not by its plan's path.
    pub logger_program: Option<OwnedFd>,
    /// What children get back of what we raised for ourselves.
    pub open_files: Rlimit,
    /// The same for the out-of-memory score.
    pub oom: OomScore,
    /// The session could not be made: we end when that is said.
    pub failed: bool,
    buffer: Vec<u8>,
}

/// Of the receive buffer, what stays in memory.
const BUFFER_KEPT: usize = 8 * 1024;

impl Init {
    /// Takes what was granted. The first thing `main` does.
    pub fn new(session: SessionId) -> io::Result<Init> {
        let granted = session::begin()?;
        let work = Work::new(granted.work, granted.v1);
        work.join()?;
        let oom = OomScore::protect();
        let open_files = process::raise_open_files()?;
        let poll = Poll::new()?;
        let children = reaper::signal()?;
        poll.add(granted.listener.as_fd(), Token::Listener, EventFlags::IN)?;
        poll.add(children.as_fd(), Token::Children, EventFlags::IN)?;
        Ok(Init {
            session,
            poll,
            listener: granted.listener,
            children,
            control: None,
            session_made: None,
            store: Store::default(),
            units: Units::new(work),
            launches: Launches::default(),
            exits: Exits::default(),
            feed: Feed::default(),
            log_directory: None,
            logger_program: None,
            open_files,
            oom,
            failed: false,
            buffer: vec![0; PACKET_MAX],
        })
    }

    /// Runs until the session could not be made. Otherwise for ever: a session ends by the kernel's hand.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            for token in self.poll.wait(self.timeout())? {
                self.event(token)?;
            }
            self.watch_fresh();
            self.replay_if_settled();
            let syslog = self.session_made.as_ref().and_then(|made| made.syslog.as_ref());
            self.feed.flush(&self.units, syslog, &self.poll);
            self.flush();
            if self.failed {
                return Ok(());
            }
        }
    }

    fn event(&mut self, token: Token) -> io::Result<()> {
        match token {
            Token::Fate(launch) => self.settle(launch),
            Token::Children => self.reap(),
            Token::Main(launch) => self.main_ended(launch),
            Token::Group(number) => self.group_changed(number),
            Token::Listener => self.accept()?,
            Token::Control => self.read(),
            Token::Feed => self.feed.ready(&self.poll),
        }
        Ok(())
    }

    /// Takes every child that ended.
    pub fn reap(&mut self) {
        let mut signals = [0u8; 1024];
        // Only to make it unreadable: one signal may stand for many children.
        let _ = rustix::io::read(&self.children, &mut signals);
        let mut any = false;
        loop {
            match reaper::reap() {
                Ok(Some(reaped)) => {
                    any = true;
                    self.reaped(reaped);
                }
                Ok(None) => break,
                Err(error) => {
                    complain!("session0-init: cannot reap: {error}");
                    break;
                }
            }
        }
        if any {
            self.units.sweep();
        }
    }

    /// A unit somebody waits for has become empty, or has not.
    fn group_changed(&mut self, number: u64) {
        let Some(name) = self.units.name_of(number) else { return };
        if self.units.population(&name) == Population::Populated {
            return;
        }
        match self.units.get_mut(&name) {
            Some(unit) if unit.watched() => unit.unwatch(&self.poll),
            _ => return,
        }
        // Exits of the same moment come first.
        self.reap();
        self.say(&FromInit::GroupEmpty { unit: name });
    }

    fn accept(&mut self) -> io::Result<()> {
        match Control::accept(self.listener.as_fd(), &self.poll) {
            Ok(Some(mut control)) => {
                // What the daemon before said last is still to be done: it died believing that it was.
                self.read_all();
                let prepared = self.session_made.is_some();
                control.say(&FromInit::Hello { protocol: SPOKEN, session: self.session, prepared });
                self.disconnect();
                self.control = Some(control);
            }
            Ok(None) => {}
            // One bad client, or no descriptor free: the daemon tries again.
            Err(error) => complain!("session0-init: cannot take a connection: {error}"),
        }
        Ok(())
    }

    fn read(&mut self) {
        self.read_packets(PACKETS_IN_A_TURN);
    }

    fn read_all(&mut self) {
        self.read_packets(PACKETS_QUEUED_MAX);
    }

    fn read_packets(&mut self, count: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut longest = 0;
        for _ in 0..count {
            let Some(control) = &self.control else { break };
            match packet::receive(control.socket(), &mut buffer) {
                Ok(Received::Nothing) => break,
                Ok(Received::Packet { length, descriptors }) => {
                    longest = longest.max(length);
                    if self.packet(&buffer[..length], descriptors).is_err() {
                        complain!("session0-init: the daemon said what a daemon does not say; cut off");
                        self.disconnect();
                    }
                }
                Ok(Received::Closed) | Err(_) => self.disconnect(),
            }
        }
        // A burst of launches fills it; everything else is a page or two.
        if longest > BUFFER_KEPT {
            session0_sys::memory::empty(&mut buffer);
        }
        self.buffer = buffer;
    }

    /// The daemon is gone. Everything stays as it is.
    fn disconnect(&mut self) {
        if let Some(control) = self.control.take() {
            self.poll.remove(control.socket());
        }
    }

    fn flush(&mut self) {
        if let Some(control) = &mut self.control
            && control.flush(&self.poll).is_err()
        {
            self.disconnect();
        }
    }

    fn replay_if_settled(&mut self) {
        if let Some(Stage::Settling { until }) = self.stage()
            && (self.launches.starting == 0 || process::now() >= until)
        {
            self.replay();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        match self.stage() {
            // A millisecond more than is left, so that it is over when we wake.
            Some(Stage::Settling { until }) => Some(until.since(process::now()) + Duration::from_millis(1)),
            Some(Stage::Greeting | Stage::Talking) | None => None,
        }
    }

    /// Says something, if there is a daemon and its replay is over; else the replay says it.
    pub fn say(&mut self, message: &FromInit) {
        if self.talking()
            && let Some(control) = &mut self.control
        {
            control.say(message);
        }
    }

    /// Whether a daemon listens and has heard everything.
    pub fn talking(&self) -> bool {
        self.stage() == Some(Stage::Talking)
    }

    /// How far the conversation with the daemon is.
    pub fn stage(&self) -> Option<Stage> {
        self.control.as_ref().map(|control| control.stage)
    }

    /// The version spoken with the daemon, if there is one.
    pub fn protocol(&self) -> Option<u16> {
        self.control.as_ref().map(|control| control.protocol)
    }
}

/// More packets than a socket's queue holds.
const PACKETS_QUEUED_MAX: usize = 4096;

/// Packets of the daemon read before anything else is looked at again, so that children are reaped in between.
const PACKETS_IN_A_TURN: usize = 8;
