//! Files made from the command line's own description, for packaging.

pub mod completions;
pub mod man;

use crate::context::Context;
use crate::failure::Failure;

/// Files made from the command line's own description
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Man(man::Args),
    Completions(completions::Args),
}

/// Runs one.
pub fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Man(args) => man::run(context, &args),
        Verb::Completions(args) => completions::run(context, &args),
    }
}
