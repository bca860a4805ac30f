//! `s0 down`.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::keeper::still_running;
use crate::progress::Progress;

/// End the host in order: services first, then Session 0
///
/// Services get their stop signal and their time, dependents before what they depend on. What still runs when the host's
/// budget (`shutdown_budget` in host.toml) is spent is killed. Waits until everything is down.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 down\n  s0 down --no-wait")]
pub struct Args {
    /// Return as soon as it has begun
    #[arg(long)]
    no_wait: bool,
}

/// Longer than any budget with the keeper's margin; after that something is wrong and worth a word.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = "end the host";
    let mut client = context.client(tried)?;
    client.shutdown().map_err(|error| context.failure(tried, error))?;
    if args.no_wait {
        said(context, "begun", "the ordered shutdown has begun");
        return Ok(());
    }
    drop(client);
    let progress = Progress::start(&context.output, "ending the host".to_owned(), still_stopping(context));
    let since = Instant::now();
    while is_up(context) {
        if since.elapsed() > WAIT_MAX {
            return Err(Failure::fault(tried, "it has begun and does not come to an end").hint("s0 status"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(progress);
    said(context, "down", "session0 is down");
    Ok(())
}

fn said(context: &Context, state: &str, words: &str) {
    if context.output.json {
        context.output.json(&json!({ "host": state }));
    } else {
        context.output.line(words);
    }
}

/// The keeper holds its lock until the last moment. Where the lock cannot be seen, the socket tells.
fn is_up(context: &Context) -> bool {
    match File::open(context.root.run("keeper.lock")) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(_) => UnixStream::connect(&context.socket).is_ok(),
    }
}

fn still_stopping(context: &Context) -> impl FnMut() -> Option<String> + Send + 'static {
    let socket = context.socket.clone();
    move || still_running(&socket).filter(|names| !names.is_empty()).map(|names| names.join(", "))
}
