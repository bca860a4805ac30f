//! The figures as a page and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Bench;
use super::manager::Manager;
use super::table::Table;

/// Everything a run found out.
pub struct Report<'a> {
    /// One line.
    pub machine: String,
    /// Who was measured.
    pub managers: &'a [Box<dyn Manager>],
    /// Who was not, and why.
    pub absent: Vec<String>,
    /// How much was measured.
    pub bench: &'a Bench,
    /// What came of it.
    pub table: Table<'a>,
}

impl Report<'_> {
    /// Its part of `docs/performance.md`.
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        let _ = writeln!(page, "{}\n", self.machine);
        page += &self.table.goals_and_figures("##", "manager");
        page += "## What the rows mean\n\nNothing is pinned to a CPU. ";
        let _ = writeln!(page, "{} {}\n", METHOD, self.amounts());
        page += &self.table.definitions();
        page += "\n## How each manager was driven\n\n";
        for manager in self.managers {
            let _ = writeln!(page, "- **{}** {}: {}.", manager.name(), manager.version(), manager.notes());
        }
        for absent in &self.absent {
            let _ = writeln!(page, "- not measured: {absent}.");
        }
        page += &self.table.failures("##");
        page
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let versions: serde_json::Map<String, Value> =
            self.managers.iter().map(|m| (m.name().to_owned(), Value::from(m.version()))).collect();
        json!({ "machine": self.machine, "versions": versions, "absent": self.absent, "rows": self.table.json() })
    }

    fn amounts(&self) -> String {
        format!(
            "{} rounds of {} services; {} rounds of {} single starts and kills; {} kills of the daemon below {} \
             services, each of a host of its own. A manager that takes longer than half a second for most single samples gets \
             few of them.",
            self.bench.rounds,
            self.bench.fleet,
            self.bench.single_rounds,
            self.bench.samples,
            self.bench.rounds,
            self.bench.crowd
        )
    }
}

const HEAD: &str = "# Performance\n\nWritten by `cargo xtask bench services`, which measures us and every peer on the \
    machine in one run; the sessions by `bench sessions`, pipes and calls by `bench ipc`, only the last part by hand.\nIsolation, logs and control groups are on for us. Machine: ";

const METHOD: &str = "The service is a static C program without a C library (`xtask/src/bench/stamp.c`) that writes \
    CLOCK_MONOTONIC into a file shared by all of them as its first act and then sleeps; so a figure ends when the program runs, not when \
    somebody noticed. Each manager runs as root in a directory of its own; in a round the managers take turns. Ours \
    are release builds.";
