//! `s0 pipe listen`.

mod child;
mod crowd;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use session0::api::pipe::{Direction, PipeType};
use session0::pipe::{PipeServer, ServerBuilder};

use super::connect::ended;
use super::join::{self, Form, Framing, Ours, join};
use crate::context::Context;
use crate::describe::one_line;
use crate::failure::Failure;
use crate::output::note;
use child::Orders;

/// Serve a pipe by a command that is run for each client
///
/// On a byte pipe the pipe itself is the command's standard input and output. On a message pipe each message is a line of its input and
/// each line of its output is a message; --null, --delimiter and --whole as for `s0 pipe connect`. A way that the client does not go is
/// /dev/null for its input, and this command's own output. As many run at once as there are instances.
///
/// Who the client is, as the host verified it, stands in S0_PIPE_SESSION, S0_PIPE_UID, S0_PIPE_GID, S0_PIPE_PID, S0_PIPE_ACCOUNT,
/// S0_PIPE_SERVICE and S0_PIPE_IMPERSONATION of the command's environment, where there is one; the pipe's name in S0_PIPE_NAME. Without
/// a command standard input and output are joined with one client.
///
/// SIGTERM, SIGINT or SIGHUP ends it: clients that come then are let go at once, the commands get SIGTERM and, after five seconds or at a
/// second signal, SIGKILL. With --json what it says on standard error is a JSON object a line.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 pipe listen echo -- cat\n  s0 pipe listen who --access everyone -- sh -c 'echo you are $S0_PIPE_ACCOUNT'\n  s0 pipe listen upper --type message -- sed -u 's/.*/\\U&/'\n  s0 pipe listen drop --direction inbound --access 'user alice write' > got.txt"
)]
pub struct Args {
    /// The pipe's name
    #[arg(value_name = "NAME")]
    name: String,
    /// What it carries: bytes if nothing is said
    #[arg(long = "type", value_enum, value_name = "byte|message", hide_possible_values = true)]
    kind: Option<Kind>,
    /// Which way it goes: from clients (inbound), to them (outbound), or both (duplex) if nothing is said
    #[arg(long, value_enum, value_name = "inbound|outbound|duplex", hide_possible_values = true)]
    direction: Option<Way>,
    /// The most clients at a time, 1 to 254; without limit if nothing is said, 1 with --once and without a command
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=254))]
    instances: Option<u32>,
    /// Who may do what: [allow|deny] WHO [read] [write] [instance], where WHO is everyone, interactive, services, administrators,
    /// owner, outside, user NAME, group NAME, service NAME or session N; only you and administrators if nothing is said
    #[arg(long, value_name = "ENTRY")]
    access: Vec<String>,
    /// Only if nobody serves the name already
    #[arg(long)]
    first: bool,
    /// Refuse clients outside every session
    #[arg(long)]
    refuse_outside: bool,
    /// Serve one client and end with the command's exit code
    #[arg(long)]
    once: bool,
    /// Do not say that it listens, and how commands end
    #[arg(long, short)]
    quiet: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    messages: join::MessageArgs,
}

/// `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Byte,
    Message,
}

/// `--direction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Inbound,
    Outbound,
    Duplex,
}

/// Runs it; the exit code may be that of the command.
pub fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let tried = format!("serve pipe {}", one_line(&args.name));
    runnable(&tried, &args.command)?;
    let server = builder(context, args).create().map_err(|error| context.pipe_failure(&tried, error))?;
    let orders = Orders {
        pipe: server.name().to_owned(),
        command: args.command.clone(),
        framing: Framing::new(&args.messages),
    };
    if args.command.is_empty() {
        announce(context, args, &server);
        return alone(context, &tried, server, orders.framing).map(|()| ExitCode::SUCCESS);
    }
    crowd::serve(context, args, &tried, server, orders)
}

/// A command that is not there is said before a client comes for it.
fn runnable(tried: &str, command: &[String]) -> Result<(), Failure> {
    let Some(program) = command.first() else { return Ok(()) };
    let executable = |path: &Path| {
        path.metadata().is_ok_and(|status| status.is_file() && status.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = match program.contains('/') {
        true => executable(Path::new(program)),
        false => std::env::split_paths(&path).any(|directory| executable(&directory.join(program))),
    };
    match found {
        true => Ok(()),
        false => Err(Failure::usage(tried, format!("there is no program {} to run", one_line(program)))
            .hint("write its path, or a name that is found in PATH")),
    }
}

fn builder(context: &Context, args: &Args) -> ServerBuilder {
    let mut builder = PipeServer::builder(&args.name).socket(&context.socket);
    builder = match args.kind {
        Some(Kind::Byte) => builder.kind(PipeType::Byte),
        Some(Kind::Message) => builder.kind(PipeType::Message),
        None => builder,
    };
    builder = match args.direction {
        Some(Way::Inbound) => builder.direction(Direction::Inbound),
        Some(Way::Outbound) => builder.direction(Direction::Outbound),
        Some(Way::Duplex) => builder.direction(Direction::Duplex),
        None => builder,
    };
    let one = args.once || args.command.is_empty();
    if let Some(most) = args.instances.or(one.then_some(1)) {
        builder = builder.instances(most);
    }
    if !args.access.is_empty() {
        builder = builder.access(args.access.iter().map(String::as_str));
    }
    if args.first {
        builder = builder.first_instance(true);
    }
    if args.refuse_outside {
        builder = builder.refuse_outside(true);
    }
    builder
}

/// Says that clients may come. On standard error: standard output is the pipe's, or the commands'.
fn announce(context: &Context, args: &Args, server: &PipeServer) {
    let name = one_line(server.name());
    match (args.quiet, context.output.json) {
        (true, _) => {}
        (false, true) => note(&json!({ "listening": { "pipe": name, "type": server.kind() } }).to_string()),
        (false, false) => note(&format!("listening on pipe {name}")),
    }
}

/// One client at our own standard input and output.
fn alone(context: &Context, tried: &str, server: PipeServer, framing: Framing) -> Result<(), Failure> {
    let client = server.accept().map_err(|error| context.pipe_failure(tried, error))?;
    drop(server);
    let ours = Ours::standard().map_err(|error| Failure::fault(tried, error))?;
    let form = Form { framing, json: context.output.json };
    join(client, ours, form, None).or_else(|trouble| ended(context, tried, trouble, "client"))
}
