//! `s0 generate man`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Man pages: s0(1) and one for every verb, written into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 generate man /usr/share/man/man1")]
pub struct Args {
    /// Where they are written; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Runs it.
pub fn run(_: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("write man pages into {}", args.directory.display());
    std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory))
        .map_err(|error| Failure::fault(tried, error))
}
