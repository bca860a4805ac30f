//! The figures as a page and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Bench;
use super::figures::{Figures, Goal, ROWS, Row, Series, Verdict, verdict};
use super::manager::Manager;

const OURS: &str = "session0";

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
    pub figures: &'a Figures,
}

impl Report<'_> {
    /// `docs/performance.md`.
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        let _ = writeln!(page, "{}\n\n## Goals\n", self.machine);
        page += "| row | goal | figure (p50) | |\n|---|---|---|---|\n";
        for row in ROWS.iter().filter(|row| self.has(row)) {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                row.title,
                goal(row),
                self.figure(row),
                self.mark(row)
            );
        }
        page += "\n## Figures\n\nA ratio is ours divided by the peer's: the median over the rounds of the ratio of \
                 their medians, and of the 99th percentiles of all samples. Below 1 we are better.\n\n";
        page += "| row | manager | p50 | p99 | min | samples | ours / theirs, p50 | p99 |\n";
        page += "|---|---|---:|---:|---:|---:|---:|---:|\n";
        for row in ROWS.iter().filter(|row| self.has(row)) {
            self.lines(row, &mut page);
        }
        page += "\np99 of fewer than 100 samples is the largest one.\n\n## What the rows mean\n\n";
        page += "Nothing is pinned to a CPU. ";
        let _ = writeln!(page, "{} {}\n", METHOD, self.amounts());
        for row in ROWS.iter().filter(|row| self.has(row)) {
            let _ = writeln!(page, "- **{}** ({}). {}", row.title, row.unit, row.definition);
        }
        page += "\n## How each manager was driven\n\n";
        for manager in self.managers {
            let _ = writeln!(page, "- **{}** {}: {}.", manager.name(), manager.version(), manager.notes());
        }
        for absent in &self.absent {
            let _ = writeln!(page, "- not measured: {absent}.");
        }
        self.failures(&mut page);
        page
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> =
            ROWS.iter().filter(|row| self.has(row)).map(|row| self.row_json(row)).collect();
        let versions: serde_json::Map<String, Value> =
            self.managers.iter().map(|m| (m.name().to_owned(), Value::from(m.version()))).collect();
        json!({ "machine": self.machine, "versions": versions, "absent": self.absent, "rows": rows })
    }

    fn row_json(&self, row: &Row) -> Value {
        let ours = self.series(row, OURS);
        let series: Vec<Value> = self
            .figures
            .row(row.id)
            .map(|series| {
                json!({
                    "manager": series.manager,
                    "p50": series.percentile(50),
                    "p99": series.percentile(99),
                    "min": series.min(),
                    "ratio": ours.and_then(|ours| ours.ratio(series)),
                    "rounds": series.rounds,
                    "failures": series.failures,
                })
            })
            .collect();
        json!({
            "row": row.id,
            "unit": row.unit,
            "goal": goal(row),
            "verdict": self.mark(row),
            "series": series,
        })
    }

    fn series(&self, row: &Row, manager: &str) -> Option<&Series> {
        self.figures.row(row.id).find(|series| series.manager == manager)
    }

    fn has(&self, row: &Row) -> bool {
        self.figures.row(row.id).next().is_some()
    }

    fn mark(&self, row: &Row) -> &'static str {
        match verdict(row, self.figures, OURS) {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::Unknown => "no figure",
        }
    }

    fn figure(&self, row: &Row) -> String {
        let Some(ours) = self.series(row, OURS) else { return "-".to_owned() };
        let value = number(ours.percentile(50));
        match row.goal {
            Goal::AtMost(_) => format!("{value} {}", row.unit),
            Goal::Times(_, peer) => {
                let ratio = self.series(row, peer).and_then(|peer| ours.ratio(peer));
                format!("{} x {peer} ({value} {})", number(ratio), row.unit)
            }
        }
    }

    fn lines(&self, row: &Row, page: &mut String) {
        let ours = self.series(row, OURS);
        for series in self.figures.row(row.id) {
            let (p50, p99) = (series.percentile(50), series.percentile(99));
            let other = ours.filter(|_| series.manager != OURS);
            let tail = other.and_then(|ours| ours.percentile(99)).zip(p99);
            let _ = writeln!(
                page,
                "| {} ({}) | {} | {} | {} | {} | {} | {} | {} |",
                row.title,
                row.unit,
                series.manager,
                number(p50),
                number(p99),
                number(series.min()),
                series.count(),
                number(other.and_then(|ours| ours.ratio(series))),
                number(tail.map(|(ours, theirs)| ours / theirs).filter(|ratio| ratio.is_finite())),
            );
        }
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

    fn failures(&self, page: &mut String) {
        let mut lines = String::new();
        for row in &ROWS {
            for series in self.figures.row(row.id) {
                for failure in &series.failures {
                    let _ = writeln!(lines, "- {}, {}: {failure}", row.title, series.manager);
                }
            }
        }
        if !lines.is_empty() {
            let _ = write!(page, "\n## Rounds without a figure\n\n{lines}");
        }
    }
}

const HEAD: &str = "# Performance\n\nWritten by `cargo xtask bench services`, which measures us and every peer on the \
    machine in one run; only the last part is written by hand.\nIsolation, logs and control groups are on for us. Machine: ";

const METHOD: &str = "The service is a static C program without a C library (`xtask/src/bench/stamp.c`) that writes \
    CLOCK_MONOTONIC into a file shared by all of them as its first act and then sleeps; so a figure ends when the program runs, not when \
    somebody noticed. Each manager runs as root in a directory of its own; in a round the managers take turns. Ours \
    are release builds.";

fn goal(row: &Row) -> String {
    match row.goal {
        Goal::Times(factor, peer) => format!("<= {factor} x {peer}"),
        Goal::AtMost(most) => format!("<= {most} {}", row.unit),
    }
}

/// Three significant digits or so; a dash where there is nothing.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
