//! `s0 service check`.

use std::process::Stdio;

use serde_json::json;

use crate::commands::host::doctor::offline;
use crate::context::Context;
use crate::failure::{Failure, Kind};

/// Check all service files and host.toml, without a host
///
/// Reads them with the same code as the host and shows every mistake with file, line, column and what is allowed. The host need
/// not be up.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 service check && s0 reload")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "check the configuration";
    let mut command = offline(context, "--check")?;
    command.stdin(Stdio::null());
    if context.output.json {
        let output = command.output().map_err(|error| Failure::fault(tried, error))?;
        let text = [output.stdout, output.stderr].concat();
        context.output.json(&json!({
            "ok": output.status.success(),
            "report": String::from_utf8_lossy(&text).trim_end(),
        }));
        return outcome(output.status.success());
    }
    let status = command.status().map_err(|error| Failure::fault(tried, error))?;
    outcome(status.success())
}

fn outcome(ok: bool) -> Result<(), Failure> {
    if ok { Ok(()) } else { Err(Failure::told(Kind::Refused)) }
}
