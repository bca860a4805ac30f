//! `s0 service restart`.

use session0::Wait;

use super::{control, each};
use crate::context::Context;
use crate::failure::Failure;

/// Stop services and start them again
///
/// Takes a changed service file into use. Services that run and depend on it are stopped and started with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 reload && s0 service restart nginx")]
pub struct Args {
    /// The services' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Return as soon as it has begun
    #[arg(long)]
    no_wait: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let wait = if args.no_wait { Wait::Begun } else { Wait::Settled };
    each(context, &args.names, |name| {
        control(context, "restart", "restarting", name, wait, |client| client.restart(name, wait))
    })
}
