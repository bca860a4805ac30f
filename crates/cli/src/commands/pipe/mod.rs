//! Verbs about named pipes.

pub mod connect;
mod join;
pub mod list;
pub mod listen;
pub mod show;

use std::process::ExitCode;

use crate::context::Context;
use crate::failure::Failure;

/// Verbs about named pipes
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(list::Args),
    Show(show::Args),
    Connect(connect::Args),
    Listen(listen::Args),
}

/// Runs one; the exit code may be that of a command it ran.
pub fn run(context: &Context, verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::List(args) => list::run(context, &args)?,
        Verb::Show(args) => show::run(context, &args)?,
        Verb::Connect(args) => connect::run(context, &args)?,
        Verb::Listen(args) => return listen::run(context, &args),
    }
    Ok(ExitCode::SUCCESS)
}
