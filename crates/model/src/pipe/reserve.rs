//! Names that services' files declare: each is its service's from the moment the file is read, served or not. Who served it before
//! without being that service is put out: the administrator's file counts.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::alarm::Squat;
use super::id::ServerId;
use super::name::PipeName;
use super::table::{Pipe, Reserved};
use crate::limit;
use crate::service::table::File;
use crate::system::turn::Turn;
use crate::system::{ReloadReport, System};

impl System {
    /// Takes what the services configured now declare. What cannot be had is added to the report.
    pub(crate) fn reserve_pipes(&mut self, turn: &mut Turn, report: &mut ReloadReport) {
        let mut declared = self.declared_pipes(report);
        let reserved = self.pipes.table.iter().filter(|(_, pipe)| pipe.reserved.is_some());
        let mut names: BTreeSet<PipeName> = reserved.map(|(name, _)| name.clone()).collect();
        names.extend(declared.keys().cloned());
        for name in names {
            // The key is how its file writes it, where one does.
            match declared.remove_entry(&name) {
                Some((name, reserved)) => self.reserve_pipe(turn, &name, reserved),
                None => self.unreserve_pipe(turn, &name),
            }
        }
    }

    /// The first service by name has a name that several declare.
    fn declared_pipes(&self, report: &mut ReloadReport) -> BTreeMap<PipeName, Reserved> {
        let mut declared: BTreeMap<PipeName, Reserved> = BTreeMap::new();
        for service in self.services.iter().filter(|service| service.file == File::Present) {
            let definition = service.configured();
            for pipe in &definition.pipes {
                let why_not = match declared.get(&pipe.name) {
                    Some(other) => format!("the pipe {} is {}'s already", pipe.name, other.service),
                    None if declared.len() >= limit::PIPES_MAX => String::from("there are too many pipes"),
                    None => {
                        let reserved = Reserved {
                            service: definition.name.clone(),
                            opening: pipe.opening,
                            settings: pipe.settings.clone(),
                            uid: definition.plan.uid,
                            start_wait: definition.start_wait,
                        };
                        declared.insert(pipe.name.clone(), reserved);
                        continue;
                    }
                };
                report.kept.push((definition.name.clone(), why_not));
            }
        }
        declared
    }

    fn reserve_pipe(&mut self, turn: &mut Turn, name: &PipeName, reserved: Reserved) {
        let settings = reserved.settings.clone();
        let before = self.pipes.table.get(name).and_then(|pipe| pipe.reserved.as_ref());
        let other = before.is_some_and(|before| before.service != reserved.service);
        if other {
            self.pipes.uncall(name);
        }
        let new = || Pipe::new(name.clone(), settings);
        let pipe = self.pipes.table.entry(name.clone()).or_insert_with(new);
        let service = reserved.service.clone();
        pipe.name = name.clone();
        pipe.reserved = Some(reserved);
        if !pipe.served() {
            pipe.unserve();
        }
        let foreign = |id: &ServerId| {
            let server = self.pipes.servers.get(id)?;
            (!server.caller.is_service(&service)).then(|| (*id, server.caller.clone()))
        };
        let foreign: Vec<_> = pipe.servers.iter().filter_map(foreign).collect();
        for (id, caller) in foreign {
            self.pipes.alarms.raise(turn, name, &caller, Squat::Reserved);
            self.drop_pipe_server(turn, id);
        }
        self.settle_pipe(turn, name);
    }

    fn unreserve_pipe(&mut self, turn: &mut Turn, name: &PipeName) {
        self.pipes.uncall(name);
        if let Some(pipe) = self.pipes.table.get_mut(name) {
            pipe.reserved = None;
        }
        self.settle_pipe(turn, name);
    }
}
