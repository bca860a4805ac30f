//! `s0 service stop`.

use session0::{Dependents, Wait};

use super::{control, each};
use crate::context::Context;
use crate::failure::Failure;

/// Stop services
///
/// Sends the stop signal and waits; what does not end in its time (`stop_timeout`) is killed. A service that others need is
/// not stopped while they run, unless --with-dependents says that they go first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 service stop nginx\n  s0 service stop postgresql --with-dependents")]
pub struct Args {
    /// The services' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Stop the running services that depend on it first
    #[arg(long)]
    with_dependents: bool,
    /// Return as soon as it has begun
    #[arg(long)]
    no_wait: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let wait = if args.no_wait { Wait::Begun } else { Wait::Settled };
    let dependents = if args.with_dependents { Dependents::Stop } else { Dependents::Refuse };
    each(context, &args.names, |name| {
        control(context, "stop", "stopping", name, wait, |client| client.stop(name, wait, dependents))
            .map_err(|failure| match failure.code {
                Some(DEPENDENTS_RUNNING) => {
                    let verb = format!("`s0 {}service stop {name} --with-dependents`", context.root.flag());
                    failure.hint(format!("{verb} stops them first"))
                }
                _ => failure,
            })
    })
}

/// ERROR_DEPENDENT_SERVICES_RUNNING.
const DEPENDENTS_RUNNING: u32 = 1051;
