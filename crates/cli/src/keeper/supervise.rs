//! The keeper's loop: one child that matters, any number of adopted ones, four signals, and a clock.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::backoff::Backoff;
use super::daemon::{Daemon, End, describe, kill_and_wait};
use super::leftovers::{self, Leftovers};
use super::screen::Screen;
use super::watch;
use crate::failure::{Failure, Kind, Told};
use crate::root::Root;
use crate::time::short;

/// What the keeper adds to the daemon's own budget for an ordered shutdown.
const MARGIN: Duration = Duration::from_secs(10);
/// A daemon that refused has nothing more to say after this.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often a daemon that has just started is asked whether it takes SIGTERM already.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Supervises until the host is down.
pub fn run(root: &Root, program: PathBuf, screen: &Screen) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::fault("start the keeper's loop", error))?;
    let result = runtime.block_on(Keeper::new(root, program, screen).run());
    reap(None);
    result
}

struct Keeper<'a> {
    root: &'a Root,
    program: PathBuf,
    screen: &'a Screen,
    backoff: Backoff,
    daemon: Option<Daemon>,
    start_at: Option<Instant>,
    /// Daemons started so far.
    starts: u32,
    shutdown: Option<Shutdown>,
}

/// An ordered shutdown under way.
struct Shutdown {
    since: Instant,
    budget: Duration,
    told: Told,
}

/// What the loop woke up for.
enum Wake {
    Child,
    End(&'static str),
    Reload,
    Clock,
}

/// The signals a keeper acts on.
struct Signals {
    children: Signal,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::fault("listen for signals", error));
        Ok(Signals {
            children: listen(SignalKind::child())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next one, or the clock.
    async fn next(&mut self, deadline: Option<Instant>) -> Wake {
        let mut clock = pin!(sleep_until(deadline));
        poll_fn(|context| {
            if self.children.poll_recv(context).is_ready() {
                Poll::Ready(Wake::Child)
            } else if self.terminate.poll_recv(context).is_ready() {
                Poll::Ready(Wake::End("SIGTERM"))
            } else if self.interrupt.poll_recv(context).is_ready() {
                Poll::Ready(Wake::End("SIGINT"))
            } else if self.hangup.poll_recv(context).is_ready() {
                Poll::Ready(Wake::Reload)
            } else {
                clock.as_mut().poll(context).map(|()| Wake::Clock)
            }
        })
        .await
    }
}

impl<'a> Keeper<'a> {
    fn new(root: &'a Root, program: PathBuf, screen: &'a Screen) -> Keeper<'a> {
        let start_at = Some(Instant::now());
        let (backoff, daemon, shutdown) = (Backoff::default(), None, None);
        Keeper { root, program, screen, backoff, daemon, start_at, starts: 0, shutdown }
    }

    async fn run(mut self) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        loop {
            self.turn()?;
            let wake = signals.next(self.deadline()).await;
            match wake {
                Wake::Child => {
                    if let Some(outcome) = self.children() {
                        return outcome;
                    }
                }
                Wake::End(name) => self.end_asked(name),
                Wake::Reload => {
                    self.daemon.iter().for_each(|daemon| daemon.signal(rustix::process::Signal::HUP))
                }
                Wake::Clock => {}
            }
        }
    }

    /// What is due now.
    fn turn(&mut self) -> Result<(), Failure> {
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.since.elapsed() >= shutdown.budget + MARGIN)
        {
            return Err(self.give_up());
        }
        if self.start_at.is_some_and(|at| at <= Instant::now()) {
            self.start()?;
        }
        if let (Some(daemon), Some(shutdown)) = (&self.daemon, &mut self.shutdown)
            && shutdown.told == Told::NotYet
            && daemon.takes_signals()
        {
            daemon.signal(rustix::process::Signal::TERM);
            shutdown.told = Told::Already;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.start_at = None;
        match Daemon::start(&self.program, self.root, self.screen) {
            Ok(daemon) => {
                self.daemon = Some(daemon);
                self.starts += 1;
                if let Some(shutdown) = &mut self.shutdown {
                    shutdown.told = Told::NotYet;
                }
                Ok(())
            }
            Err(failure) if self.starts == 0 => Err(failure),
            // Services run. What is missing (memory, a process, the program while it is replaced) may come back.
            Err(failure) => {
                let delay = self.backoff.next(Duration::ZERO);
                self.screen.say(format!("{failure}; trying again in {}", short(delay)));
                self.start_at = Some(Instant::now() + delay);
                Ok(())
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let give_up = self.shutdown.as_ref().map(|shutdown| shutdown.since + shutdown.budget + MARGIN);
        let ask = self.shutdown.as_ref().filter(|shutdown| shutdown.told == Told::NotYet);
        let ask = ask.map(|_| Instant::now() + ASK_AGAIN);
        [self.start_at, give_up, ask].into_iter().flatten().min()
    }

    /// Reaps; an outcome ends the keeper.
    fn children(&mut self) -> Option<Result<(), Failure>> {
        let watched = self.daemon.as_ref().map(|daemon| daemon.pid);
        let status = reap(watched)?;
        let daemon = self.daemon.take()?;
        match End::of(status) {
            End::Down => Some(self.down()),
            End::Refused => {
                // It said why: that is passed on before we go.
                let until = Instant::now() + LAST_WORDS;
                while !daemon.passing.is_finished() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Some(Err(Failure::told(Kind::Refused)))
            }
            End::Again => {
                self.screen.say("session0d asks to be started again");
                self.start_at = Some(Instant::now());
                None
            }
            End::Crashed(status) => {
                self.crashed(&daemon, status);
                None
            }
        }
    }

    fn crashed(&mut self, daemon: &Daemon, status: WaitStatus) {
        let delay = match self.shutdown {
            // It must come back to finish the shutdown, whatever the row of crashes.
            Some(_) => self.backoff.next(daemon.lived()).min(Duration::from_secs(1)),
            None => self.backoff.next(daemon.lived()),
        };
        let when = if delay.is_zero() { "at once".to_owned() } else { format!("in {}", short(delay)) };
        let row = self.backoff.in_a_row();
        let row = if row > 1 { format!(", restart {row} in a row") } else { String::new() };
        self.screen.say(format!("session0d ended ({}), starting it again {when}{row}", describe(status)));
        self.start_at = Some(Instant::now() + delay);
    }

    fn end_asked(&mut self, by: &str) {
        match &self.shutdown {
            Some(shutdown) => {
                let spent = Duration::from_secs(shutdown.since.elapsed().as_secs());
                watch::say_what_is_waited_for(self.root, self.screen, spent, shutdown.budget);
            }
            None => {
                let budget = watch::shutdown_budget(self.root);
                self.screen.say(format!("{by}: ordered shutdown, {} at most", short(budget)));
                self.shutdown = Some(Shutdown { since: Instant::now(), budget, told: Told::NotYet });
                if self.daemon.is_none() {
                    self.start_at = Some(Instant::now());
                }
            }
        }
    }

    /// The daemon says everything is down. That is checked, not believed.
    fn down(&self) -> Result<(), Failure> {
        match leftovers::kill(self.root) {
            Leftovers::Nothing => {
                self.screen.say("session0 is down");
                Ok(())
            }
            Leftovers::Killed(services) => {
                self.screen.say(format!("killed what was left of session 0{}", list(&services)));
                Ok(())
            }
            Leftovers::Stuck(services) => Err(stuck(&services)),
        }
    }

    /// The budget and the margin are spent.
    fn give_up(&mut self) -> Failure {
        if let Some(daemon) = self.daemon.take() {
            kill_and_wait(&daemon.pidfd, MARGIN);
        }
        match leftovers::kill(self.root) {
            Leftovers::Nothing => {
                Failure::fault("shut down in order", "session0d did not end in its time; killed it")
            }
            Leftovers::Killed(services) => Failure::fault(
                "shut down in order",
                format!("the time is over; killed session 0{}", list(&services)),
            ),
            Leftovers::Stuck(services) => stuck(&services),
        }
    }
}

fn stuck(services: &[String]) -> Failure {
    Failure::fault("end session 0", format!("it was killed and does not end{}", list(services)))
}

fn list(services: &[String]) -> String {
    if services.is_empty() { String::new() } else { format!(": {}", services.join(", ")) }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Takes the status of every child that ended, ours and adopted ones; gives back the watched one's.
fn reap(watched: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == watched {
            found = Some(status);
        }
    }
    found
}
