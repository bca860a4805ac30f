//! Clients as they come, each with its command, until a signal or the host says that it is over.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::json;
use session0::api::pipe::Peer;
use session0::pipe::{self, Instance, PipeServer};

use super::child::{Orders, Served};
use super::{Args, announce};
use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::note;
use crate::terminal::signals::Signals;
use crate::words;

/// How long commands have after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);
/// What ends it.
const ENDING: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::HUP];

enum Event {
    Client(Box<Instance>),
    /// No further client comes.
    Closed(Option<pipe::Error>),
    /// The command of this instance has ended.
    Ended(u64, io::Result<ExitStatus>),
    Signal,
}

/// A command that runs.
struct Running {
    process: OwnedFd,
    client: Peer,
}

struct Crowd<'a> {
    context: &'a Context,
    args: &'a Args,
    orders: Orders,
    events: Receiver<Event>,
    event: Sender<Event>,
    running: HashMap<u64, Running>,
    /// Whether further clients are served.
    open: bool,
    /// When commands that still run are killed.
    kill_at: Option<Instant>,
    /// Why no further client comes, if that is a failure.
    failed: Option<pipe::Error>,
    /// How the last command ended.
    last: ExitCode,
}

/// Serves clients until it is told to end; with `--once` one of them.
pub fn serve(
    context: &Context,
    args: &Args,
    tried: &str,
    server: PipeServer,
    orders: Orders,
) -> Result<ExitCode, Failure> {
    let (event, events) = channel();
    let fault = |error: io::Error| Failure::fault(tried, error);
    // Signals first: one that comes when it is said that it listens is heard.
    hear_signals(event.clone()).map_err(fault)?;
    announce(context, args, &server);
    accept(server, args.once, event.clone()).map_err(fault)?;
    let running = HashMap::new();
    let (open, kill_at, failed, last) = (true, None, None, ExitCode::SUCCESS);
    let mut crowd = Crowd { context, args, orders, events, event, running, open, kill_at, failed, last };
    crowd.run();
    match crowd.failed {
        Some(error) => Err(context.pipe_failure(tried, error)),
        None if args.once => Ok(crowd.last),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn hear_signals(event: Sender<Event>) -> io::Result<()> {
    let signals = Signals::listen(&ENDING)?;
    let hear = move || {
        loop {
            let mut watched = [PollFd::new(&signals, PollFlags::IN)];
            if rustix::io::retry_on_intr(|| poll(&mut watched, None)).is_err() {
                return;
            }
            if signals.next().is_some() && event.send(Event::Signal).is_err() {
                return;
            }
        }
    };
    Builder::new().name("s0-pipe-end".to_owned()).spawn(hear).map(drop)
}

fn accept(server: PipeServer, once: bool, event: Sender<Event>) -> io::Result<()> {
    let accept = move || {
        loop {
            match server.accept() {
                Ok(instance) => {
                    if event.send(Event::Client(Box::new(instance))).is_err() || once {
                        // The server goes first: nobody may come who would not be served.
                        drop(server);
                        let _ = event.send(Event::Closed(None));
                        return;
                    }
                }
                Err(error) => {
                    let _ = event.send(Event::Closed(Some(error)));
                    return;
                }
            }
        }
    };
    Builder::new().name("s0-pipe-accept".to_owned()).spawn(accept).map(drop)
}

impl Crowd<'_> {
    fn run(&mut self) {
        while self.open || !self.running.is_empty() {
            match self.next() {
                Some(Event::Client(instance)) if self.open => self.client(*instance),
                // It came when it was over already: closed by being dropped.
                Some(Event::Client(_)) => {}
                Some(Event::Closed(error)) => {
                    self.failed = error.filter(|_| self.open);
                    self.open = false;
                }
                Some(Event::Ended(instance, status)) => self.ended(instance, status),
                Some(Event::Signal) => self.end(),
                None => self.signal(Signal::KILL),
            }
        }
    }

    /// `None` when it is time to kill.
    fn next(&mut self) -> Option<Event> {
        let Some(kill_at) = self.kill_at else {
            // A sender is kept here: there is always one.
            return self.events.recv().ok();
        };
        match self.events.recv_timeout(kill_at.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.kill_at = None;
                None
            }
        }
    }

    fn client(&mut self, instance: Instance) {
        let (number, client) = (instance.number(), instance.client().peer().clone());
        let started = Served::start(&self.orders, instance).and_then(|(served, process)| {
            self.running.insert(number, Running { process, client: client.clone() });
            let event = self.event.clone();
            let wait = move || drop(event.send(Event::Ended(number, served.wait())));
            Builder::new().name("s0-pipe-wait".to_owned()).spawn(wait).map(drop)
        });
        if let Err(error) = started {
            self.running.remove(&number);
            self.say_failed(&client, &error);
        }
    }

    fn ended(&mut self, instance: u64, status: io::Result<ExitStatus>) {
        let Some(Running { client, .. }) = self.running.remove(&instance) else { return };
        match status {
            Ok(status) => {
                self.last = code(status);
                if !status.success() {
                    self.say_ended(&client, status);
                }
            }
            Err(error) => self.say_failed(&client, &error),
        }
    }

    /// The first signal is a request, a further one is impatience.
    fn end(&mut self) {
        self.open = false;
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + PATIENCE);
            self.signal(Signal::TERM);
        } else {
            self.signal(Signal::KILL);
        }
    }

    fn signal(&self, signal: Signal) {
        for running in self.running.values() {
            // One that has ended already needs none.
            let _ = pidfd_send_signal(&running.process, signal);
        }
    }

    fn say_ended(&self, client: &Peer, status: ExitStatus) {
        if self.args.quiet {
            return;
        }
        if self.context.output.json {
            let (code, signal) = (status.code(), status.signal());
            note(&json!({ "ended": { "client": client, "status": code, "signal": signal } }).to_string());
            return;
        }
        let how = match (status.code(), status.signal().and_then(|signal| u32::try_from(signal).ok())) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {}", words::signal(signal)),
            (None, None) => "no exit status".to_owned(),
        };
        note(&format!("{} for {}: {how}", self.command(), describe::peer(client)));
    }

    /// The exit code of `--once` is that of a shell that could not run it.
    fn say_failed(&mut self, client: &Peer, error: &io::Error) {
        self.last = ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 });
        let tried = format!("run {} for {}", self.command(), describe::peer(client));
        self.context.output.failure(&Failure::fault(tried, error));
    }

    fn command(&self) -> String {
        describe::one_line(&self.orders.command[0])
    }
}

/// As a shell says it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}
