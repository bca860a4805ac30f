//! Verbs about sessions.

pub mod list;
pub mod logoff;
pub mod run;
pub mod show;

use std::process::ExitCode;

use crate::context::Context;
use crate::failure::Failure;

/// Verbs about sessions
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(list::Args),
    Show(show::Args),
    Run(run::Args),
    Logoff(logoff::Args),
}

/// Runs one; the exit code may be that of a program it ran.
pub fn run(context: &Context, verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::List(args) => list::run(context, &args)?,
        Verb::Show(args) => show::run(context, &args)?,
        Verb::Run(args) => return run::run(context, &args),
        Verb::Logoff(args) => logoff::run(context, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
