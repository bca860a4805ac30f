//! `s0 service check`.

use std::path::PathBuf;
use std::process::Stdio;

use crate::commands::host::doctor::offline;
use crate::context::Context;
use crate::failure::{Failure, Kind};

/// Check all service files and host.toml, without a host
///
/// Reads them with the same code as the host and shows every mistake with file, line, column and what is allowed. The host need
/// not be up. With FILE only these service files are checked, wherever they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 service check && s0 reload\n  s0 service check ./redis.toml")]
pub struct Args {
    /// Service files; without any, all of the host's configuration
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut command = offline(context, "--check")?;
    if context.output.json {
        command.arg("--json");
    }
    let output = command.arg("--").args(&args.files).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::fault("check the configuration", error))?;
    context.output.bytes(&output.stdout);
    if output.status.success() { Ok(()) } else { Err(Failure::told(Kind::Refused)) }
}
