//! Whom a call is for: the host itself, or whoever serves a pipe.

use std::time::Duration;

use session0::Error;
use session0::pipe::{Access, Code, PipeClient};
use session0::rpc::{CALL_TIME, Client};

use crate::commands::pipe::show::all;
use crate::context::Context;
use crate::describe::one_line;
use crate::failure::{Failure, Kind};

/// The name that means the host. A pipe that is called so is `\\.\pipe\host`.
pub const HOST: &str = "host";
/// Every service answers to this, and nobody looks for it.
pub const COMMON: &str = "org.varlink.service";

/// Connects to the host's own interfaces, or opens the pipe and waits so long for a free instance; as long as for an answer if nothing
/// is said.
pub fn open(context: &Context, tried: &str, pipe: &str, wait: Option<Duration>) -> Result<Client, Failure> {
    if pipe == HOST { host(context, tried) } else { opened(context, tried, pipe, wait) }
}

fn host(context: &Context, tried: &str) -> Result<Client, Failure> {
    Client::connect(&context.socket).map_err(|error| context.failure(tried, error))
}

fn opened(context: &Context, tried: &str, pipe: &str, wait: Option<Duration>) -> Result<Client, Failure> {
    let builder = PipeClient::builder(pipe).socket(&context.socket).access(Access::Duplex);
    let builder = match wait {
        Some(time) => builder.wait(time).patience(time),
        None => builder.wait(CALL_TIME),
    };
    let client = builder.open().map_err(|error| {
        let code = error.code();
        let failure = context.pipe_failure(tried, error);
        match code {
            Code::FileNotFound | Code::InvalidName => failure.or_hint(|| all(context)),
            _ => failure,
        }
    })?;
    Client::through(client).map_err(|error| failure(tried, &error))
}

/// A failure of a call to a service, whose own errors are refusals.
pub fn failure(tried: &str, error: &Error) -> Failure {
    let kind = match error {
        Error::Refused(_) | Error::NotPermitted(_) | Error::Fault(_) => Kind::Refused,
        _ => Kind::Fault,
    };
    let failure = Failure::new(kind, tried, one_line(&error.to_string())).code(error.code().unwrap_or(0));
    match error.hint() {
        Some(hint) => failure.hint(one_line(hint)),
        None => failure,
    }
}
