//! Rows and their figures as Markdown and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::{Figures, Goal, Row, Series, Verdict, verdict, verdict_of};

/// What we are called among the series.
pub const OURS: &str = "session0";

/// The rows of one bench and what came of them.
pub struct Table<'a> {
    /// In the order they are shown in; those without any series are left out.
    pub rows: &'a [Row],
    /// What was measured.
    pub figures: &'a Figures,
}

impl Table<'_> {
    /// The goals and whether they are met, then all figures, below headings of this level. `who` heads the column of names.
    pub fn goals_and_figures(&self, heading: &str, who: &str) -> String {
        let mut page = format!("{heading} Goals\n\n| row | goal | figure (p50) | |\n|---|---|---|---|\n");
        for (row, goal) in self.shown().flat_map(|row| row.goals().into_iter().map(move |goal| (row, goal))) {
            let mark = mark(verdict_of(row, goal, self.figures, OURS));
            let _ = writeln!(
                page,
                "| {} | {} | {} | {mark} |",
                row.title,
                said(goal, row.unit),
                self.figure(row, goal)
            );
        }
        let _ = write!(
            page,
            "\n{heading} Figures\n\nA ratio is ours divided by the other's: the median over the rounds of the ratio of \
             their medians, and of the 99th percentiles of all samples. Below 1 we are better.\n\n\
             | row | {who} | p50 | p99 | min | samples | ours / theirs, p50 | p99 |\n\
             |---|---|---:|---:|---:|---:|---:|---:|\n"
        );
        self.shown().for_each(|row| self.lines(row, &mut page));
        page += "\np99 of fewer than 100 samples is the largest one.\n\n";
        page
    }

    /// What each row means.
    pub fn definitions(&self) -> String {
        let mut page = String::new();
        for row in self.shown() {
            let _ = writeln!(page, "- **{}** ({}). {}", row.title, row.unit, row.definition);
        }
        page
    }

    /// Why rounds have no figure, if any have none.
    pub fn failures(&self, heading: &str) -> String {
        let mut lines = String::new();
        for row in self.rows {
            for series in self.figures.row(row.id) {
                for failure in &series.failures {
                    let _ = writeln!(lines, "- {}, {}: {failure}", row.title, series.manager);
                }
            }
        }
        match lines.is_empty() {
            true => lines,
            false => format!("\n{heading} Rounds without a figure\n\n{lines}"),
        }
    }

    /// All of it for programs.
    pub fn json(&self) -> Vec<Value> {
        self.shown().map(|row| self.row_json(row)).collect()
    }

    fn shown(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| self.figures.row(row.id).next().is_some())
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
            "goal": all_said(row),
            "verdict": mark(verdict(row, self.figures, OURS)),
            "series": series,
        })
    }

    fn series(&self, row: &Row, manager: &str) -> Option<&Series> {
        self.figures.row(row.id).find(|series| series.manager == manager)
    }

    fn figure(&self, row: &Row, goal: Goal) -> String {
        let Some(ours) = self.series(row, OURS) else { return "-".to_owned() };
        let value = number(ours.percentile(50));
        match goal {
            _ if ours.count() == 0 => "-".to_owned(),
            Goal::AtMost(_) | Goal::Each(_) | Goal::None => format!("{value} {}", row.unit),
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
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "**missed**",
        Verdict::Unknown => "no figure",
        Verdict::NoGoal => "",
    }
}

fn said(goal: Goal, unit: &str) -> String {
    match goal {
        Goal::Times(factor, peer) => format!("<= {factor} x {peer}"),
        Goal::AtMost(most) => format!("<= {most} {unit}"),
        Goal::Each(_) | Goal::None => "-".to_owned(),
    }
}

fn all_said(row: &Row) -> String {
    let all: Vec<String> = row.goals().into_iter().map(|goal| said(goal, row.unit)).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
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
