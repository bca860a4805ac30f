//! The false init of Session 0 and the processes below it: what is true whether a daemon is there or not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use session0_model::id::LaunchId;
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::wire::Remains;
use session0_model::system::{Alive, Input, Recovered, UnackedExit};
use session0_model::time::Time;

use crate::program::{Children, Program};

/// A launch whose main process is alive.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Its unit.
    pub unit: String,
    /// Its main process.
    pub pid: i32,
    /// What it does.
    pub program: Program,
    /// Since when.
    pub at: Time,
}

/// One init and what is below it.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// What it keeps for its daemon.
    pub records: BTreeMap<String, Vec<u8>>,
    /// How many records it keeps at most.
    pub records_max: usize,
    /// Launches it was told of that did not come to exec yet.
    pub launching: BTreeMap<LaunchId, String>,
    /// Main processes.
    pub alive: BTreeMap<LaunchId, Process>,
    /// Units with processes that are nobody's main process.
    pub children: BTreeSet<String>,
    /// Units somebody waits to be empty.
    pub kills: BTreeSet<String>,
    /// Exits nobody acknowledged.
    pub exits: Vec<UnackedExit>,
    /// Notify datagrams nobody read.
    pub said: VecDeque<Input>,
}

impl Kernel {
    /// Keeps a record, unless the table is full.
    pub fn store(&mut self, key: &str, bytes: &[u8]) {
        if self.records.contains_key(key) || self.records.len() < self.records_max {
            self.records.insert(key.to_string(), bytes.to_vec());
        }
    }

    /// Whether a unit has any process.
    pub fn populated(&self, unit: &str) -> bool {
        self.children.contains(unit) || self.alive.values().any(|process| process.unit == unit)
    }

    /// A main process ends. `None`: there is none.
    pub fn end(&mut self, launch: LaunchId, status: ExitStatus) -> Option<UnackedExit> {
        let process = self.alive.remove(&launch)?;
        if process.program.children == Children::Some {
            self.children.insert(process.unit.clone());
        }
        let remains = if self.populated(&process.unit) { Remains::Processes } else { Remains::Nothing };
        let exit = UnackedExit { launch, status, remains, usage: None };
        self.exits.push(exit);
        Some(exit)
    }

    /// Units somebody waits for that are empty now.
    pub fn emptied(&mut self) -> Vec<String> {
        let empty: Vec<String> = self.kills.iter().filter(|unit| !self.populated(unit)).cloned().collect();
        for unit in &empty {
            self.kills.remove(unit);
        }
        empty
    }

    /// What a new daemon is told.
    pub fn replay(&self) -> Recovered {
        let alive = self.alive.iter().map(|(launch, process)| Alive {
            launch: *launch,
            unit: process.unit.clone(),
            pid: process.pid,
            at: process.at,
        });
        Recovered {
            protocol: 2,
            records: self.records.clone().into_iter().collect(),
            alive: alive.collect(),
            exits: self.exits.clone(),
        }
    }
}
