//! `s0 generate man`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory))
        .and_then(|()| name_examples(&Cli::command(), "s0", &args.directory))
        .map_err(|error| Failure::fault(tried, error))
}

/// clap_mangen puts what comes after the help under `EXTRA`; a reader of man pages looks for `EXAMPLES`.
fn name_examples(command: &clap::Command, name: &str, directory: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        name_examples(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    let path = directory.join(format!("{name}.1"));
    let page = fs::read_to_string(&path)?;
    fs::write(&path, page.replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n"))
}
