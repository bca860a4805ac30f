//! What the daemon says, done.

use std::os::fd::{AsFd, OwnedFd};

use session0_model::launch::session_plan::SessionPlan;
use session0_model::launch::wire::{self, FromInit, PROTOCOL_OLDEST, ToInit};
use session0_sys::launch::Launcher;
use session0_sys::{process, session};

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
                ToInit::Prepare(plan) => self.prepare(&plan)?,
                ToInit::Launch { launch, unit, plan } => self.launch(launch, &unit, &plan),
                ToInit::Signal { launch, signal, to } => self.signal(launch, signal, to),
                ToInit::Kill { unit } => self.kill(&unit),
                ToInit::SetMain { launch, pid } => self.set_main(launch, pid),
                ToInit::Store { key, bytes } => self.store.store(key, bytes).map_err(|_| Nonsense)?,
                ToInit::Unstore { key } => self.store.unstore(&key),
                ToInit::Keep { key } => {
                    let descriptor = descriptors.next().ok_or(Nonsense)?;
                    self.store.keep(key, descriptor).map_err(|_| Nonsense)?;
                }
                ToInit::Release { key } => self.store.release(&key),
                ToInit::Acknowledge { through } => self.exits.acknowledge(through),
                ToInit::Forget { unit } => self.forget(&unit),
                ToInit::LogDirectory => self.log_directory = Some(descriptors.next().ok_or(Nonsense)?),
                ToInit::LoggerProgram => self.logger_program = Some(descriptors.next().ok_or(Nonsense)?),
                ToInit::PrepareKind { .. } | ToInit::Enter(_) | ToInit::LaunchWith { .. } => {
                    return Err(Nonsense);
                }
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
            if let Err(error) = control.say_with(&FromInit::Kept { key: key.clone() }, descriptor) {
                complain!("session0-init: cannot duplicate what is kept as {key}: {error}");
            }
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

    fn prepare(&mut self, plan: &SessionPlan) -> Result<(), Nonsense> {
        if self.session_made.is_some() || plan.session != self.session {
            return Err(Nonsense);
        }
        let prepared = match session::prepare(plan) {
            Ok(prepared) => prepared,
            Err(fault) => {
                complain!("session0-init {}: {fault}", self.session);
                let session::SessionFault { phase, errno, subject } = fault;
                self.say(&FromInit::PrepareFailed { phase, errno, subject });
                self.failed = true;
                return Ok(());
            }
        };
        let launcher = Launcher::new(plan.capabilities, self.open_files, self.oom).map_err(|error| {
            complain!("session0-init {}: cannot open /dev/null: {error}", self.session);
            Nonsense
        })?;
        self.session_made =
            Some(SessionMade { facilities: plan.facilities, launcher, syslog: prepared.syslog });
        for (key, descriptor) in prepared.kept {
            if let Some(control) = &mut self.control {
                let said = control.say_with(&FromInit::Kept { key: key.clone() }, descriptor.as_fd());
                said.map_err(|_| Nonsense)?;
            }
            self.store.keep(key, descriptor).map_err(|_| Nonsense)?;
        }
        self.say(&FromInit::Prepared);
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
        if self.units.forget(name, &self.poll) {
            self.feed.gone(name);
        }
    }
}

/// A launch is between clone and exec for a millisecond; one in a frozen group for ever.
const SETTLE_WAIT: std::time::Duration = std::time::Duration::from_millis(100);
