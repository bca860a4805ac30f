//! `s0 session logoff`.

use serde_json::json;
use session0::Wait;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Progress;

/// End a session with everything that runs in it
///
/// Its programs are told (SIGHUP); what has not ended after five seconds is killed. Waits until nothing of it is left.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 session logoff 3\n  s0 session logoff 3 --no-wait")]
pub struct Args {
    /// The session's number
    #[arg(value_name = "SESSION")]
    session: u32,
    /// Return as soon as it has begun
    #[arg(long)]
    no_wait: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let session = args.session;
    let tried = format!("log session {session} off");
    let mut client = context.client(&tried)?;
    let wait = if args.no_wait { Wait::Begun } else { Wait::Settled };
    let progress = match wait {
        Wait::Begun => None,
        Wait::Settled => {
            interrupt::leaves_it_to_the_host(format!("s0 {}session list", context.root.flag()));
            Some(Progress::start(&context.output, format!("ending session {session}"), || None))
        }
    };
    let result = client.logoff(session, wait);
    drop(progress);
    result.map_err(|error| context.failure(&tried, error))?;
    let (state, text) = match wait {
        Wait::Begun => ("ending", format!("session {session} is ending")),
        Wait::Settled => ("ended", format!("session {session} ended")),
    };
    if context.output.json {
        context.output.json(&json!({ "session": session, "outcome": state }));
    } else {
        context.output.line(text);
    }
    Ok(())
}
