//! Verbs about sessions.

pub mod list;

use crate::context::Context;
use crate::failure::Failure;

/// Verbs about sessions
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(list::Args),
}

/// Runs one.
pub fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list::run(context, &args),
    }
}
