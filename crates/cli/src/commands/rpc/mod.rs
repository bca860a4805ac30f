//! Verbs about interfaces on named pipes.

pub mod call;
pub mod describe;
pub mod list;
mod target;
mod varlink;

use crate::context::Context;
use crate::failure::Failure;

/// Verbs about interfaces on named pipes
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(list::Args),
    Describe(describe::Args),
    Call(call::Args),
}

/// Runs one.
pub fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list::run(context, &args),
        Verb::Describe(args) => describe::run(context, &args),
        Verb::Call(args) => call::run(context, &args),
    }
}
