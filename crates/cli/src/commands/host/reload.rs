//! `s0 reload`.

use session0::api::host::ReloadReport;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::Paint;
use crate::words::count;

/// Read the configuration again, and say what takes effect when
///
/// New automatic services are started. Nothing that runs is disturbed: a changed service takes its new file at its next start,
/// a removed one goes when it is stopped. A file with errors leaves its service as it was; a new one with errors is no service
/// yet. host.toml is read too: its comments say what takes effect at once and what when Session 0 is made the next time. If anything was
/// left as it was because of errors, the exit code is 1, and the rest is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 service check && s0 reload")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "read the configuration again";
    let report = context.client(tried)?.reload().map_err(|error| context.failure(tried, error))?;
    if context.output.json {
        context.output.json(&report);
    } else {
        context.output.line(text(context, &report));
    }
    match taken(&report) {
        true => Ok(()),
        false => Err(Failure::told(Kind::Refused)),
    }
}

/// Whether all that is written is in force now, or will be.
fn taken(report: &ReloadReport) -> bool {
    report.errors == 0 && report.kept.is_empty() && !report.settings_kept
}

fn text(context: &Context, report: &ReloadReport) -> String {
    let groups: [(&str, &[String]); 6] = [
        ("settings changed, in effect", &report.settings_now),
        ("settings changed, in effect when Session 0 is made the next time", &report.settings_next_session),
        ("added", &report.added),
        ("removed (a running one goes when it is stopped)", &report.removed),
        ("changed, takes effect at the next start", &report.changed),
        ("changed, takes effect after a restart", &report.need_restart),
    ];
    let mut lines: Vec<String> = groups
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect();
    for kept in &report.kept {
        // A new one has nothing that it could be left at.
        let what = if report.added.contains(&kept.name) { "" } else { "left as it was: " };
        lines.push(context.output.paint(Paint::Bad, &format!("{what}{}: {}", kept.name, kept.reason)));
    }
    if report.settings_kept {
        let text = "host.toml has errors: all settings stay as they were";
        lines.push(context.output.paint(Paint::Bad, text));
    }
    if lines.is_empty() {
        lines.push("nothing has changed".to_owned());
    }
    if !report.need_restart.is_empty() {
        let verb = format!("s0 {}service restart {}", context.root.flag(), report.need_restart.join(" "));
        lines.push(format!("`{verb}` applies it now"));
    }
    if report.errors > 0 {
        let errors = count(report.errors.into(), "file");
        let verb = format!("s0 {}service check", context.root.flag());
        lines.push(context.output.paint(Paint::Bad, &format!("{errors} with errors: `{verb}` shows them")));
    }
    lines.join("\n")
}
