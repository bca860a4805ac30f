//! `s0 service start`.

use session0::Wait;

use super::{control, each};
use crate::context::Context;
use crate::failure::Failure;

/// Start services, those they depend on first
///
/// Waits until each runs (a `notify` service: until it says that it is ready) or has failed, and says which.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 service start redis\n  s0 service start redis nginx --no-wait")]
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
        control(context, "start", "starting", name, wait, |client| client.start(name, wait))
    })
}
