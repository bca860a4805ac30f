//! `s0 upgrade`.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::progress::Progress;

/// Replace the daemon by the installed one without disturbing any service
///
/// The running daemon ends and the keeper starts the program that is installed now; services, sessions and clients that wait
/// notice nothing. Sessions keep the init they have: `s0 doctor` lists those that speak an old protocol.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo apt install ./session0.deb && s0 upgrade")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "replace the daemon";
    let fail = |error| context.failure(tried, error);
    let mut client = context.client(tried)?;
    let old = client.version().map_err(fail)?;
    client.upgrade().map_err(fail)?;
    let progress = Progress::start(&context.output, "replacing the daemon".to_owned(), || None);
    // Whoever asks once this command has ended asks the new one.
    client.wait_closed(std::time::Duration::from_secs(30)).map_err(fail)?;
    let mut client = context.client(tried)?;
    let new = client.version().map_err(fail)?;
    let host = client.host().map_err(fail)?;
    drop(progress);
    if context.output.json {
        context.output.json(&json!({ "before": old, "now": new, "running": host.counts.running }));
        return Ok(());
    }
    let versions = match old.version == new.version {
        true => format!("still version {}", new.version),
        false => format!("{} became {}", old.version, new.version),
    };
    let services = crate::words::count(host.counts.running.into(), "service");
    context.output.line(format!("the daemon is replaced ({versions}); {services} running"));
    Ok(())
}
