//! What the daemon says, done.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use session0_model::launch::session_plan::{Doors, SessionKind, SessionPlan, UserPlan};
use session0_model::launch::wire::{self, FromInit, PROTOCOL_OLDEST, ToInit};
use session0_sys::launch::Launcher;
use session0_sys::process;
use session0_sys::session::{self, Walls};

use crate::control::{SPOKEN, Stage};
use crate::init::{Init, SessionMade};
use crate::launch::{State, Told};
use crate::unit::Population;

/// The daemon said what a daemon of ours does not say.
#[derive(Debug)]
pub struct Nonsense;

impl Init {
    /// Does everything in one packet.
    pub fn packet(&mut self, mut bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<(), Nonsense> {
        let mut descriptors = descriptors.into_iter();
        while !bytes.is_empty() {
            let (message, rest) = wire::decode::<ToInit>(bytes).ok_or(Nonsense)?;
            bytes = rest;
            self.message(message, &mut descriptors)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        message: ToInit,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<(), Nonsense> {
        match (message, self.stage()) {
            (ToInit::Hello { protocol }, Some(Stage::Greeting)) => return self.hello(protocol),
            (ToInit::Hello { .. }, _) | (_, None | Some(Stage::Greeting)) => return Err(Nonsense),
            (message, Some(Stage::Settling { .. } | Stage::Talking)) => match message {
                ToInit::Hello { .. } => return Err(Nonsense),
                ToInit::Prepare(plan) => self.prepare(&plan, &SessionKind::Services, None)?,
                ToInit::Launch { launch, unit, plan } => self.launch(launch, &unit, &plan),
                ToInit::Signal { launch, signal, to } => self.signal(launch, signal, to),
                ToInit::Kill { unit } => self.kill(&unit),
                ToInit::SetMain { launch, pid } => self.set_main(launch, pid),
                ToInit::Store { key, bytes } => self.store.store(key, bytes).map_err(|_| Nonsense)?,
                ToInit::Unstore { key } => self.store.unstore(&key),
                ToInit::Keep { key } => {
                    let descriptor = descriptors.next().ok_or(Nonsense)?;
                    let descriptor = self.store.aside(descriptor);
                    self.store.keep(key, Rc::new(descriptor)).map_err(|_| Nonsense)?;
                }
                ToInit::Release { key } => self.store.release(&key),
                ToInit::Acknowledge { through } => self.exits.acknowledge(through),
                ToInit::Forget { unit } => self.forget(&unit),
                ToInit::LogDirectory => self.log_directory = Some(descriptors.next().ok_or(Nonsense)?),
                ToInit::LoggerProgram => self.logger_program = Some(descriptors.next().ok_or(Nonsense)?),
                ToInit::PrepareKind { plan, kind } => self.prepare(&plan, &kind, None)?,
                ToInit::Enter(plan) => {
                    let passwd = descriptors.next().ok_or(Nonsense)?;
                    let group = descriptors.next().ok_or(Nonsense)?;
                    self.enter(&plan, passwd.as_fd(), group.as_fd())?;
                }
                ToInit::LaunchWith { launch, unit, plan, streams } => {
                    self.launch_with(launch, &unit, &plan, streams);
                }
                ToInit::PrepareWith { plan, kind, doors } => self.prepare(&plan, &kind, Some(&doors))?,
            },
        }
        Ok(())
    }

    fn hello(&mut self, protocol: u16) -> Result<(), Nonsense> {
        if protocol < PROTOCOL_OLDEST {
            return Err(Nonsense);
        }
        let settled = self.launches.starting == 0;
        let Some(control) = &mut self.control else { return Err(Nonsense) };
        control.protocol = protocol.min(SPOKEN);
        control.stage = Stage::Settling { until: process::now() + SETTLE_WAIT };
        if settled {
            self.replay();
        }
        Ok(())
    }

    /// Says everything that a new daemon must know.
    pub fn replay(&mut self) {
        let Some(control) = &mut self.control else { return };
        for (key, bytes) in self.store.records() {
            control.say(&FromInit::Stored { key: key.clone(), bytes: bytes.clone() });
        }
        for (key, descriptor) in self.store.kept() {
            control.say_with(&FromInit::Kept { key: key.clone() }, vec![descriptor.clone()]);
        }
        for (launch, entry) in &mut self.launches.table {
            let at = match &mut entry.state {
                State::Running(at) => *at,
                State::Starting { told, .. } => {
                    *told = Told::Alive;
                    process::now()
                }
            };
            let group = self.units.get(&entry.unit).map_or(0, |unit| unit.group);
            let (launch, unit, pid) = (*launch, entry.unit.clone(), entry.pid);
            control.say(&FromInit::Alive { launch, unit, pid, group, at });
        }
        for exit in self.exits.iter() {
            control.say(&exit.message(control.protocol));
        }
        control.say(&FromInit::Replayed);
        control.replayed();
    }

    fn prepare(
        &mut self,
        plan: &SessionPlan,
        kind: &SessionKind,
        doors: Option<&Doors>,
    ) -> Result<(), Nonsense> {
        if self.session_made.is_some() || plan.session != self.session {
            return Err(Nonsense);
        }
        let prepared = match session::prepare(plan, kind, doors) {
            Ok(prepared) => prepared,
            Err(fault) => {
                complain!("session0-init {}: {fault}", self.session);
                let session::SessionFault { phase, errno, subject } = fault;
                self.say(&FromInit::PrepareFailed { phase, errno, subject });
                self.failed = true;
                return Ok(());
            }
        };
        let walls = Walls::of(kind);
        let launcher = Launcher::new(walls, plan, self.open_files, self.oom).map_err(|error| {
            complain!("session0-init {}: cannot open /dev/null: {error}", self.session);
            Nonsense
        })?;
        let (facilities, syslog) = (plan.facilities, prepared.syslog);
        let not_entered = match kind {
            SessionKind::Services => None,
            SessionKind::User(_) | SessionKind::Xp(_) => Some(rustix::io::Errno::ACCESS.raw_os_error()),
        };
        self.session_made = Some(SessionMade { facilities, launcher, syslog, not_entered });
        for (key, descriptor) in prepared.kept {
            let descriptor = Rc::new(descriptor);
            if let Some(control) = &mut self.control {
                control.say_with(&FromInit::Kept { key: key.clone() }, vec![descriptor.clone()]);
            }
            self.store.keep(key, descriptor).map_err(|_| Nonsense)?;
        }
        self.say(&FromInit::Prepared);
        Ok(())
    }

    fn enter(
        &mut self,
        plan: &UserPlan,
        passwd: BorrowedFd<'_>,
        group: BorrowedFd<'_>,
    ) -> Result<(), Nonsense> {
        let Some(made) = &mut self.session_made else { return Err(Nonsense) };
        made.not_entered = match session::enter(plan, passwd, group) {
            Ok(()) => None,
            Err(fault) => {
                complain!("session0-init {}: {fault}", self.session);
                Some(fault.errno)
            }
        };
        Ok(())
    }

    fn kill(&mut self, name: &str) {
        match self.units.population(name) {
            Population::Empty => self.say(&FromInit::GroupEmpty { unit: name.to_owned() }),
            Population::Populated => {
                if let Err(error) = self.units.kill(name, &self.poll) {
                    complain!("session0-init: cannot kill {name}: {error}");
                }
            }
        }
    }

    fn forget(&mut self, name: &str) {
        let logged = self.units.get(name).is_some_and(|unit| unit.output.is_some());
        self.units.forget(name, &self.poll);
        if logged {
            self.feed.gone(name);
        }
    }
}

/// A launch is between clone and exec for a millisecond; one in a frozen group for ever.
const SETTLE_WAIT: std::time::Duration = std::time::Duration::from_millis(100);
