//! Launches: from a plan to a process, and from a process to an exit.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::epoll::EventFlags;
use session0_model::id::LaunchId;
use session0_model::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase, Usage};
use session0_model::launch::plan::{LaunchPlan, Role, Size, Streams};
use session0_model::launch::wire::{FromInit, Remains, SignalTo, key};
use session0_model::time::Time;
use session0_sys::launch::{Outcome, Place, Standard, Table, failure, outcome};
use session0_sys::reaper::Reaped;
use session0_sys::terminal::{self, Terminal};
use session0_sys::{packet, pidfd, pipe, process};

use crate::directory;
use crate::exits::Exit;
use crate::init::Init;
use crate::poll::Token;
use crate::unit::{Novelty, Population};

/// One launch whose main process is alive.
pub struct Launch {
    /// Its unit.
    pub unit: String,
    /// Its main process.
    pub pid: i32,
    /// When exec happened; until then its fate.
    pub state: State,
    /// The main process, if SetMain made one of it that is not our own child.
    main: Option<OwnedFd>,
    /// The other ends of a user's streams, for the daemon as soon as exec happened.
    ends: Vec<OwnedFd>,
}

/// What a child is given.
struct Given<'a> {
    standard: Standard<'a>,
    /// Descriptors 3 and following.
    extra: &'a [BorrowedFd<'a>],
    /// What is executed, if not by its plan's path.
    program: Option<BorrowedFd<'a>>,
    /// The other ends, for the daemon.
    ends: Vec<OwnedFd>,
}

/// What a logger is given besides what every program gets.
struct Logger {
    /// Its end of a new feed.
    theirs: OwnedFd,
    /// Our end.
    ours: OwnedFd,
    /// The log directory.
    directory: OwnedFd,
    /// What it is executed from, if not by its plan's path.
    program: Option<OwnedFd>,
}

/// How far a launch is.
pub enum State {
    /// Between clone and exec.
    Starting {
        /// Readable when it is one or the other.
        fate: OwnedFd,
        /// Whether a daemon was already told that it is alive.
        told: Told,
    },
    /// exec succeeded then.
    Running(Time),
}

/// Whether a launch between clone and exec was already told to a daemon as alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was, in a replay that could not wait longer.
    Alive,
    /// It was not.
    Nothing,
}

/// Launches by their number, and their main processes.
#[derive(Default)]
pub struct Launches {
    /// By number.
    pub table: BTreeMap<LaunchId, Launch>,
    by_pid: BTreeMap<i32, LaunchId>,
    /// Just cloned, oldest first: looked at while others are cloned, watched only if that was too early.
    fresh: VecDeque<LaunchId>,
    /// Between clone and exec.
    pub starting: usize,
}

impl Launches {
    fn is_starting(&self, launch: LaunchId) -> bool {
        self.table.get(&launch).is_some_and(|entry| matches!(entry.state, State::Starting { .. }))
    }

    fn remove(&mut self, launch: LaunchId) -> Option<Launch> {
        let gone = self.table.remove(&launch)?;
        if self.by_pid.get(&gone.pid) == Some(&launch) {
            self.by_pid.remove(&gone.pid);
        }
        if matches!(gone.state, State::Starting { .. }) {
            self.starting -= 1;
        }
        Some(gone)
    }
}

impl Init {
    /// Starts a program. Its outcome comes later, a refusal is said now.
    pub fn launch(&mut self, launch: LaunchId, unit: &str, plan: &LaunchPlan) {
        if let Err(failure) = self.try_launch(launch, unit, plan) {
            self.say(&FromInit::LaunchFailed { launch, failure });
        }
        self.settle_fresh();
    }

    /// Starts a user's program, with streams of its own.
    pub fn launch_with(&mut self, launch: LaunchId, unit: &str, plan: &LaunchPlan, streams: Streams) {
        let tried = match streams {
            Streams::Terminal(size) => self.try_launch_on_terminal(launch, unit, plan, size),
            Streams::Pipes => self.try_launch_with_pipes(launch, unit, plan),
        };
        if let Err(failure) = tried {
            self.say(&FromInit::LaunchFailed { launch, failure });
        }
        self.settle_fresh();
    }

    fn try_launch_on_terminal(
        &mut self,
        launch: LaunchId,
        name: &str,
        plan: &LaunchPlan,
        size: Size,
    ) -> Result<(), LaunchFailure> {
        self.make_users_unit(launch, name, plan)?;
        let Terminal { master, slave } =
            terminal::open(size, plan.uid).map_err(during(LaunchPhase::Output))?;
        let ends = vec![master.try_clone().map_err(during(LaunchPhase::Output))?];
        let kept = self.store.keep(terminal_key(launch), Rc::new(master));
        kept.map_err(|_| failure(LaunchPhase::Output, rustix::io::Errno::MFILE.raw_os_error()))?;
        let given = Given { standard: Standard::Terminal(slave.as_fd()), extra: &[], program: None, ends };
        let cloned = self.clone_child(launch, name, plan, given);
        if cloned.is_err() {
            self.store.release(&terminal_key(launch));
        }
        cloned
    }

    fn try_launch_with_pipes(
        &mut self,
        launch: LaunchId,
        name: &str,
        plan: &LaunchPlan,
    ) -> Result<(), LaunchFailure> {
        self.make_users_unit(launch, name, plan)?;
        let pipe = || pipe::owned(plan.uid, plan.gid).map_err(during(LaunchPhase::Output));
        let ((input, to_input), (from_output, output), (from_error, error)) = (pipe()?, pipe()?, pipe()?);
        let standard = Standard::Pipes([input.as_fd(), output.as_fd(), error.as_fd()]);
        let ends = vec![to_input, from_output, from_error];
        self.clone_child(launch, name, plan, Given { standard, extra: &[], program: None, ends })
    }

    fn make_users_unit(
        &mut self,
        launch: LaunchId,
        name: &str,
        plan: &LaunchPlan,
    ) -> Result<(), LaunchFailure> {
        if let Some(errno) = self.session_made.as_ref().and_then(|made| made.not_entered) {
            return Err(failure(LaunchPhase::Namespace, errno));
        }
        match plan.role {
            Role::Program => self.make_unit(launch, name, plan),
            Role::Logger => Err(failure(LaunchPhase::Descriptors, rustix::io::Errno::INVAL.raw_os_error())),
        }
    }

    /// Everything a launch needs but its streams.
    fn make_unit(&mut self, launch: LaunchId, name: &str, plan: &LaunchPlan) -> Result<(), LaunchFailure> {
        let Some(session) = &self.session_made else {
            return Err(failure(LaunchPhase::Group, rustix::io::Errno::NXIO.raw_os_error()));
        };
        if !directory::is_component(name) || self.launches.table.contains_key(&launch) {
            return Err(failure(LaunchPhase::Group, rustix::io::Errno::INVAL.raw_os_error()));
        }
        if self.exits.full() {
            return Err(failure(LaunchPhase::Group, rustix::io::Errno::AGAIN.raw_os_error()));
        }
        let group = self.units.open(name).map_err(during(LaunchPhase::Group))?;
        let logged = self.units.get(name).is_some_and(|unit| unit.output.is_some());
        if logged && group == Novelty::New {
            self.feed.group(name);
        }
        let limited = self.units.limit(name, &plan.limits, session.facilities);
        limited.map_err(during(LaunchPhase::Limits))?;
        directory::make(name, plan).map_err(during(LaunchPhase::Directory))
    }

    fn try_launch(&mut self, launch: LaunchId, name: &str, plan: &LaunchPlan) -> Result<(), LaunchFailure> {
        self.make_unit(launch, name, plan)?;
        match self.units.open_output(name).map_err(during(LaunchPhase::Output))? {
            Novelty::New => self.feed.pipe(name),
            Novelty::Known => {}
        }
        let Some(unit) = self.units.get_mut(name) else {
            return Err(failure(LaunchPhase::Group, rustix::io::Errno::NOENT.raw_os_error()));
        };
        let output = unit.writer(plan.uid, plan.gid).map_err(during(LaunchPhase::Output))?;
        let standard = Standard::Output(output.as_fd());
        let logger = match plan.role {
            Role::Program => {
                let given = Given { standard, extra: &[], program: None, ends: Vec::new() };
                return self.clone_child(launch, name, plan, given);
            }
            Role::Logger => self.logger_descriptors().map_err(during(LaunchPhase::Descriptors))?,
        };
        let extra = [logger.theirs.as_fd(), logger.directory.as_fd()];
        let program = logger.program.as_ref().map(AsFd::as_fd);
        self.clone_child(launch, name, plan, Given { standard, extra: &extra, program, ends: Vec::new() })?;
        if let Err(error) = self.feed.connect(logger.ours, &self.units, &self.poll) {
            // It sees the end of its feed and ends; the next one may have more luck.
            complain!("session0-init: cannot feed the logger: {error}");
        }
        Ok(())
    }

    fn logger_descriptors(&self) -> io::Result<Logger> {
        let directory = self.log_directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let directory = rustix::io::fcntl_dupfd_cloexec(directory, ABOVE_GRANTED)?;
        let program = self.logger_program.as_ref();
        let program =
            program.map(|program| rustix::io::fcntl_dupfd_cloexec(program, ABOVE_GRANTED)).transpose()?;
        let (theirs, ours) = packet::pair()?;
        Ok(Logger { theirs, ours, directory, program })
    }

    fn clone_child(
        &mut self,
        launch: LaunchId,
        name: &str,
        plan: &LaunchPlan,
        given: Given<'_>,
    ) -> Result<(), LaunchFailure> {
        let groups = self.units.open_groups(name).map_err(during(LaunchPhase::Group))?;
        let Some(session) = &self.session_made else {
            return Err(failure(LaunchPhase::Group, rustix::io::Errno::NXIO.raw_os_error()));
        };
        let Given { standard, extra, program, ends } = given;
        let table = if self.store.keeps_few() { Table::Whole } else { Table::Low };
        let place = Place { group: groups.v2(), v1: groups.v1(), standard, extra, program, table };
        let child = session.launcher.start(plan, &place)?;
        // From here on there is a child: errors must not make it be forgotten.
        self.launches.by_pid.insert(child.pid, launch);
        self.launches.fresh.push_back(launch);
        self.launches.starting += 1;
        let state = State::Starting { fate: child.fate, told: Told::Nothing };
        let unit = name.to_owned();
        self.launches.table.insert(launch, Launch { unit, pid: child.pid, state, main: None, ends });
        Ok(())
    }

    /// Settles those of the fresh launches whose fate is known by now, oldest first. In a burst that keeps their pipes
    /// few: every child gets a copy of each open descriptor, and closes it at exec.
    fn settle_fresh(&mut self) {
        while let Some(oldest) = self.launches.fresh.front().copied() {
            self.settle(oldest);
            if self.launches.is_starting(oldest) {
                return;
            }
            self.launches.fresh.pop_front();
        }
    }

    /// Before the loop waits: from now on it wakes up for the fresh launches that are still on their way.
    pub fn watch_fresh(&mut self) {
        self.settle_fresh();
        for launch in std::mem::take(&mut self.launches.fresh) {
            let state = self.launches.table.get(&launch).map(|entry| &entry.state);
            let Some(State::Starting { fate, .. }) = state else { continue };
            if let Err(error) = self.poll.add(fate.as_fd(), Token::Fate(launch), EventFlags::IN) {
                complain!("session0-init: cannot watch launch {}: {error}; its end will tell", launch.0);
            }
        }
    }

    /// A launch came to exec or did not: says so. Nothing if that is not known yet.
    pub fn settle(&mut self, launch: LaunchId) {
        let Some(entry) = self.launches.table.get_mut(&launch) else { return };
        let State::Starting { fate, told } = &entry.state else { return };
        let told = *told;
        match outcome(fate.as_fd()) {
            Outcome::Pending => {}
            Outcome::Executed => {
                self.poll.remove(fate.as_fd());
                let at = process::now();
                let (pid, unit) = (entry.pid, entry.unit.clone());
                let ends = std::mem::take(&mut entry.ends);
                entry.state = State::Running(at);
                self.launches.starting -= 1;
                if told == Told::Nothing {
                    let group = self.units.get(&unit).map_or(0, |unit| unit.group);
                    self.say_streams(launch, ends);
                    self.say(&FromInit::Launched { launch, pid, group, at });
                }
            }
            Outcome::Failed(failure) => {
                self.poll.remove(fate.as_fd());
                let unit = self.launches.remove(launch).map(|gone| gone.unit).unwrap_or_default();
                self.store.release(&terminal_key(launch));
                if told == Told::Nothing && self.talking() {
                    self.say(&FromInit::LaunchFailed { launch, failure });
                } else {
                    // No daemon, or one that believes it alive: then this is how it ended.
                    self.ended(launch, &unit, ExitStatus::Exited(EXEC_FAILED), Usage::default());
                }
            }
        }
    }

    /// Hands the other ends of a user's streams to the daemon. Without one they are closed: of a terminal the next daemon gets
    /// what is kept; pipes were for a client that the one before had, and are gone with both.
    fn say_streams(&mut self, launch: LaunchId, ends: Vec<OwnedFd>) {
        if !ends.is_empty()
            && self.talking()
            && let Some(control) = &mut self.control
        {
            control.say_with(&FromInit::Streams { launch }, ends.into_iter().map(Rc::new).collect());
        }
    }

    /// A child ended. If it was a launch's main process, that is the launch's exit.
    pub fn reaped(&mut self, reaped: Reaped) {
        let Some(launch) = self.launches.by_pid.remove(&reaped.pid) else { return };
        self.settle(launch);
        if let Some(gone) = self.launches.remove(launch) {
            if let Some(main) = &gone.main {
                self.poll.remove(main.as_fd());
            }
            if let State::Starting { fate, .. } = &gone.state {
                // Killed before exec, while somebody else still holds its pipe.
                self.poll.remove(fate.as_fd());
            }
            self.ended(launch, &gone.unit, reaped.status, reaped.usage);
        }
    }

    fn ended(&mut self, launch: LaunchId, unit: &str, status: ExitStatus, usage: Usage) {
        let remains = match self.units.population(unit) {
            Population::Populated => Remains::Processes,
            Population::Empty => Remains::Nothing,
        };
        let at = process::now();
        let exit = self.exits.record(Exit { sequence: 0, launch, status, at, remains, usage });
        if let Some(protocol) = self.protocol() {
            self.say(&exit.message(protocol));
        }
    }

    /// Makes another process the main process of a launch.
    pub fn set_main(&mut self, launch: LaunchId, pid: i32) {
        let Some(entry) = self.launches.table.get_mut(&launch) else { return };
        if entry.pid == pid {
            return;
        }
        // A process that is gone already: the launch keeps the one it has.
        let Ok(main) = pidfd::open(pid) else { return };
        if self.launches.by_pid.get(&entry.pid) == Some(&launch) {
            self.launches.by_pid.remove(&entry.pid);
        }
        if let Some(before) = entry.main.take() {
            self.poll.remove(before.as_fd());
        }
        entry.pid = pid;
        self.launches.by_pid.insert(pid, launch);
        // If it is not our child, its end is seen only here.
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        if let Err(error) = self.poll.add(main.as_fd(), Token::Main(launch), flags) {
            complain!("session0-init: cannot watch process {pid}: {error}");
        }
        entry.main = Some(main);
    }

    /// The main process of a launch, one that SetMain named, ended. If it was our child, reaping tells; if its own
    /// parent has reaped it, the kernel may still know how it ended.
    pub fn main_ended(&mut self, launch: LaunchId) {
        self.reap();
        let Some(entry) = self.launches.table.get(&launch) else { return };
        let Some(main) = &entry.main else { return };
        let status = match pidfd::info(main.as_fd()) {
            Ok(pidfd::Info { exit: Some(status), .. }) => session0_sys::reaper::exit_status(status),
            // Its parent has not reaped it yet; the set tells again when it does, because it reports that always.
            Ok(pidfd::Info { pid: Some(_), .. }) => {
                let _ = self.poll.change(main.as_fd(), Token::Main(launch), EventFlags::ONESHOT);
                return;
            }
            // This kernel does not tell: it is gone, and nobody said that it failed.
            Ok(_) | Err(_) => ExitStatus::Exited(0),
        };
        self.poll.remove(main.as_fd());
        if let Some(gone) = self.launches.remove(launch) {
            self.ended(launch, &gone.unit, status, Usage::default());
        }
    }

    /// Sends a signal.
    pub fn signal(&mut self, launch: LaunchId, signal: u8, to: SignalTo) {
        let Some(entry) = self.launches.table.get(&launch) else { return };
        match (to, &entry.main) {
            (SignalTo::Main, Some(main)) => {
                // A process that is gone is no error; nothing else can be done about one.
                let _ = pidfd::send_signal(main.as_fd(), signal);
            }
            // Our child: until we reap it, its number means nobody else.
            (SignalTo::Main, None) => process::signal(entry.pid, signal),
            (SignalTo::Group, _) => {
                for pid in self.units.processes(&entry.unit) {
                    process::signal(pid, signal);
                }
            }
        }
    }
}

/// Descriptors for children must lie above the numbers they are given there.
const ABOVE_GRANTED: i32 = 8;

/// What a shell says of a program that could not be executed.
const EXEC_FAILED: u8 = 127;

/// Where the master of a launch's terminal is kept.
fn terminal_key(launch: LaunchId) -> String {
    format!("{}{}", key::TERMINAL, launch.0)
}

fn during(phase: LaunchPhase) -> impl Fn(io::Error) -> LaunchFailure {
    move |error| failure(phase, error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()))
}
