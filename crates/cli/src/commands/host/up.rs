//! `s0 up`.

use crate::context::Context;
use crate::failure::Failure;
use crate::keeper::{self, Events};

/// Start the host and stay in the foreground
///
/// Needs root. Makes Session 0 and starts its automatic services, shows what happens as lines, starts the daemon again when
/// it ends, and reaps orphans, so it can be a container's first process. SIGTERM and ^C end everything in order; a second
/// ^C says what is being waited for. SIGHUP reads the configuration again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo s0 up\n  sudo s0 --root /srv/trial up --quiet")]
pub struct Args {
    /// Show no events, only what the keeper itself does
    #[arg(long, short)]
    quiet: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let events = if args.quiet { Events::Quiet } else { Events::Shown };
    keeper::run(&context.root, events)
}
