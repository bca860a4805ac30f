//! `s0 rpc call`.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use serde_json::{Value, json};
use session0::rpc::Client;
use session0::{Error, Refused};

use super::describe::interfaces;
use super::target::{failure, open};
use super::varlink;
use crate::context::Context;
use crate::describe::one_line;
use crate::failure::{Failure, Kind};
use crate::output::note;
use crate::time;

/// Call a method of an interface on a pipe
///
/// The reply is printed as JSON: over several lines on a terminal, else, and with --json or --more, on one. An error that the service
/// replies goes to standard error with its name and parameters, and the exit code is 1. The pipe `host` stands for the host itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 rpc call greeter Greet '{\"name\": \"you\"}'\n  s0 rpc call greeter org.example.Greeter.Greet @arguments.json\n  s0 rpc call host io.session0.Host.Version\n  s0 rpc call host io.session0.Host.Events --more | head -1"
)]
pub struct Args {
    /// The pipe's name
    #[arg(value_name = "PIPE")]
    pipe: String,
    /// The method: org.example.Greeter.Greet, or Greet if only one of the pipe's interfaces has it
    #[arg(value_name = "METHOD")]
    method: String,
    /// The arguments: a JSON object, @FILE with one, or - for one from standard input
    #[arg(
        value_name = "JSON|@FILE|-",
        default_value = "{}",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    arguments: String,
    /// Ask for all replies of a method that has more than one, a line each
    #[arg(long)]
    more: bool,
    /// Give up when there is no free instance, or no reply, for so long; 1m if it is not given, and with --more no reply is waited for as
    /// long as it takes
    #[arg(long, value_name = "TIME", value_parser = time::parse_duration)]
    timeout: Option<Duration>,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("call {} of {}", one_line(&args.method), one_line(&args.pipe));
    let arguments = arguments(&tried, &args.arguments)?;
    let mut client = open(context, &tried, &args.pipe, args.timeout)?;
    if args.timeout.is_some() {
        client.set_time_max(args.timeout);
    }
    let method = method(context, &tried, &mut client, args)?;
    let tried = format!("call {} of {}", one_line(&method), one_line(&args.pipe));
    let fail = |error| failed(context, &tried, &args.pipe, error);
    let output = &context.output;
    if args.more {
        for reply in client.call_more(&method, arguments).map_err(fail)? {
            output.line(compact(&reply.map_err(fail)?));
        }
        return Ok(());
    }
    let reply = client.call(&method, arguments).map_err(fail)?;
    let pretty = !output.json && std::io::stdout().is_terminal();
    output.line(if pretty { spread(&reply) } else { compact(&reply) });
    Ok(())
}

fn arguments(tried: &str, text: &str) -> Result<Value, Failure> {
    let unread = |what: &str, error: std::io::Error| Failure::usage(tried, format!("{what}: {error}"));
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| unread(path, error))?,
        None if text == "-" => {
            let mut all = String::new();
            let read = std::io::stdin().read_to_string(&mut all);
            read.map_err(|error| unread("standard input", error))?;
            all
        }
        None => text.to_owned(),
    };
    let hint = "arguments are an object: '{\"name\": \"you\"}'";
    match serde_json::from_str(&text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Failure::usage(tried, "the arguments are no JSON object").hint(hint)),
        Err(error) => Err(Failure::usage(tried, format!("the arguments are no JSON: {error}")).hint(hint)),
    }
}

/// The method with its interface.
fn method(context: &Context, tried: &str, client: &mut Client, args: &Args) -> Result<String, Failure> {
    if args.method.contains('.') {
        return Ok(args.method.clone());
    }
    let fail = |error| failed(context, tried, &args.pipe, error);
    let mut found = Vec::new();
    for interface in interfaces(client).map_err(fail)? {
        if varlink::has_method(&client.describe(&interface).map_err(fail)?, &args.method) {
            found.push(format!("{interface}.{}", args.method));
        }
    }
    let describe = || format!("`s0 {}rpc describe {}` shows them", context.root.flag(), one_line(&args.pipe));
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::refused(tried, "none of its interfaces has such a method").hint(describe())),
        several => {
            let names = several.iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", ");
            Err(Failure::usage(tried, format!("several interfaces have it: {names}"))
                .hint("write it in full"))
        }
    }
}

/// Errors that the service replied are said here; others are left to be said.
fn failed(context: &Context, tried: &str, pipe: &str, error: Error) -> Failure {
    let mut failure = failure(tried, &error);
    let Some(refused) = error.refused() else { return failure };
    if refused.name.starts_with("org.varlink.service.") {
        let flag = context.root.flag();
        failure = failure.hint(format!("`s0 {flag}rpc describe {}` shows what it has", one_line(pipe)));
    }
    if context.output.json {
        note(&error_json(&failure, refused));
    } else {
        context.output.failure(&failure);
        note(&error_text(refused));
    }
    Failure::told(Kind::Refused)
}

fn error_json(failure: &Failure, refused: &Refused) -> String {
    let mut object = json!({ "error": failure });
    object["error"]["name"] = json!(refused.name);
    object["error"]["parameters"] = refused.parameters.clone();
    object.to_string()
}

/// Its name, and those of its parameters that were not said before it.
fn error_text(refused: &Refused) -> String {
    let mut parameters = refused.parameters.clone();
    if let Some(parameters) = parameters.as_object_mut() {
        parameters.retain(|name, _| !["code", "message", "hint"].contains(&name.as_str()));
    }
    let nothing = parameters.as_object().is_none_or(serde_json::Map::is_empty);
    let name = one_line(&refused.name);
    if nothing { name } else { format!("{name} {}", spread(&parameters)) }
}

fn compact(value: &Value) -> String {
    harmless(&value.to_string())
}

fn spread(value: &Value) -> String {
    // A value that came as JSON can be written as JSON.
    harmless(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()))
}

/// JSON leaves control characters beyond ASCII as they are, and terminals obey them. In JSON they are only in strings, where they may be
/// written by their number.
fn harmless(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            written.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            written.push(c);
        }
    }
    written
}
