//! `s0 rpc describe`.

use std::time::Duration;

use serde_json::json;
use session0::rpc::Client;

use super::target::{COMMON, failure, open};
use super::varlink;
use crate::context::Context;
use crate::describe::one_line;
use crate::failure::Failure;
use crate::progress::Progress;

/// What an interface on a pipe is: its methods, types and errors
///
/// In varlink's interface language, as the service itself says it. Without INTERFACE all of the pipe's but org.varlink.service, which
/// every service has. With --json each is a line {"pipe", "interface", "description"}. The pipe `host` stands for the host itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 rpc describe greeter\n  s0 rpc describe host io.session0.Pipe\n  s0 rpc describe greeter --json | jq -r .description"
)]
pub struct Args {
    /// The pipe's name
    #[arg(value_name = "PIPE")]
    pipe: String,
    /// The interface's name
    #[arg(value_name = "INTERFACE")]
    interface: Option<String>,
}

/// How long the service may take for each answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let pipe = one_line(&args.pipe);
    let tried = match &args.interface {
        Some(interface) => format!("describe {} on {pipe}", one_line(interface)),
        None => format!("describe {pipe}"),
    };
    let progress = Progress::start(&context.output, format!("{pipe} has not answered yet"), || None);
    let mut client = open(context, &tried, &args.pipe, Some(ANSWER_MAX))?;
    client.set_time_max(Some(ANSWER_MAX));
    let fail = |error| failure(&tried, &error);
    let interfaces = match &args.interface {
        Some(interface) => vec![interface.clone()],
        None => interfaces(&mut client).map_err(fail)?,
    };
    let described: Result<Vec<_>, _> = interfaces
        .into_iter()
        .map(|interface| client.describe(&interface).map(|description| (interface, description)))
        .collect();
    drop(progress);
    let described = described.map_err(|error| {
        fail(error).or_hint(|| format!("`s0 {}rpc list` shows what there is", context.root.flag()))
    })?;
    for (index, (interface, description)) in described.iter().enumerate() {
        if context.output.json {
            let object = json!({ "pipe": args.pipe, "interface": interface, "description": description });
            context.output.json(&object);
        } else {
            let between = if index > 0 { "\n" } else { "" };
            context.output.line(format!("{between}{}", varlink::shown(&context.output, description)));
        }
    }
    Ok(())
}

/// All of a service's but what every service has, unless that is all.
pub fn interfaces(client: &mut Client) -> Result<Vec<String>, session0::Error> {
    let mut all = client.info()?.interfaces;
    if all.iter().any(|interface| interface != COMMON) {
        all.retain(|interface| interface != COMMON);
    }
    Ok(all)
}
