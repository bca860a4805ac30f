//! `s0 generate completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Completions for a shell, on standard output
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 generate completions bash > /usr/share/bash-completion/completions/s0"
)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "s0", &mut bytes);
    context.output.bytes(&bytes);
    Ok(())
}
