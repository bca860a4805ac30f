//! `--check` and `--doctor`: answers without a daemon.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::arguments::Form;
use crate::config;
use crate::facility;
use crate::paths::Paths;

/// Says what is wrong with the configuration: 0 nothing, 1 something.
pub fn check(root: &Path, files: &[PathBuf], form: Form) -> ExitCode {
    let loaded = match files {
        [] => config::load(&Paths::new(root)),
        files => config::load_files(files),
    };
    let services = loaded.configuration.services.len();
    let errors = loaded.problems.len();
    match form {
        Form::Text => {
            let mut text: String = loaded.problems.iter().map(|problem| problem.render() + "\n").collect();
            text.push_str(&format!("{services} services, {errors} errors\n"));
            print(&text);
        }
        Form::Json => {
            let problems: Vec<_> = loaded.problems.iter().map(config::Problem::json).collect();
            print(&format!("{}\n", serde_json::json!({ "services": services, "errors": problems })));
        }
    }
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Says what this machine can do: 0 all that is needed or accepted, 1 not.
pub fn doctor(root: &Path, form: Form) -> ExitCode {
    let (settings, problems) = config::load_settings(&Paths::new(root));
    let accepted = settings.accept;
    let verdict = facility::usable(accepted);
    match form {
        Form::Text => {
            let mut text: String = facility::probes().iter().map(facility::line).collect();
            problems.iter().for_each(|problem| text.push_str(&(problem.render() + "\n")));
            match &verdict {
                Ok(_) if problems.is_empty() => text.push_str("session0 can run here\n"),
                Ok(_) => text.push_str("session0 does not start with these errors in host.toml\n"),
                Err(refusal) => text.push_str(&format!("\n{refusal}")),
            }
            print(&text);
        }
        Form::Json => {
            let facilities: Vec<_> =
                facility::probes().iter().map(|probe| facility::json(probe, accepted)).collect();
            let object = serde_json::json!({
                "kernel": session0_sys::process::kernel_release(),
                "facilities": facilities,
                "usable": verdict.is_ok(),
                "refusal": verdict.as_ref().err(),
                "errors": problems.iter().map(config::Problem::json).collect::<Vec<_>>(),
            });
            print(&format!("{object}\n"));
        }
    }
    if verdict.is_ok() && problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// To standard output; whoever closed it does not want to know.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
