//! `s0 version`.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// Versions of this program and of the host
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 version\n  s0 version --json")]
pub struct Args {}

/// Runs it. A host that does not answer is no failure: the question was for versions.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let asked = context.client("ask for the version").and_then(|mut client| {
        client.version().map_err(|error| context.failure("ask for the version", error))
    });
    match asked {
        Ok(host) if context.output.json => context.output.json(&json!({ "s0": own, "host": host })),
        Err(_) if context.output.json => context.output.json(&json!({ "s0": own, "host": null })),
        Ok(host) => context
            .output
            .line(format!("s0 {own}\nhost {} {}, interface {}", host.product, host.version, host.interface)),
        Err(_) => context.output.line(format!("s0 {own}\nno host answers at {}", context.socket.display())),
    }
    Ok(())
}
