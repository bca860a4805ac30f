//! Verbs about services.

pub mod check;
pub mod list;
pub mod log;
pub mod restart;
pub mod start;
pub mod status;
pub mod stop;

use session0::api::service::ServiceStatus;
use session0::{Client, Error, Wait};

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Progress;

/// Verbs about services
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(list::Args),
    Status(status::Args),
    Start(start::Args),
    Stop(stop::Args),
    Restart(restart::Args),
    Log(log::Args),
    Check(check::Args),
}

/// Runs one.
pub fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list::run(context, &args),
        Verb::Status(args) => status::run(context, &args),
        Verb::Start(args) => start::run(context, &args),
        Verb::Stop(args) => stop::run(context, &args),
        Verb::Restart(args) => restart::run(context, &args),
        Verb::Log(args) => log::run(context, &args),
        Verb::Check(args) => check::run(context, &args),
    }
}

/// Does the same to each service in turn. One that cannot be done does not keep the others from it; the first
/// failure's exit code counts.
fn each(
    context: &Context,
    names: &[String],
    one: impl Fn(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut first = None;
    for name in names {
        let Err(failure) = one(name) else { continue };
        if names.len() == 1 {
            return Err(failure);
        }
        context.output.failure(&failure);
        first.get_or_insert(failure.kind);
    }
    first.map_or(Ok(()), |kind| Err(Failure::told(kind)))
}

/// One control: connects, shows progress while it waits, prints how the service is then.
fn control(
    context: &Context,
    verb: &str,
    gerund: &str,
    name: &str,
    wait: Wait,
    call: impl FnOnce(&mut Client) -> Result<ServiceStatus, Error>,
) -> Result<(), Failure> {
    let tried = format!("{verb} {name}");
    let mut client = context.client(&tried)?;
    let progress = match wait {
        Wait::Settled => {
            interrupt::leaves_it_to_the_host(format!("s0 {}service list", context.root.flag()));
            Some(Progress::start(&context.output, format!("{gerund} {name}"), how(context, name)))
        }
        Wait::Begun => None,
    };
    let result = call(&mut client);
    drop(progress);
    let service = result.map_err(|error| context.failure(&tried, error).or_hint(|| helps(context, name)))?;
    if context.output.json {
        context.output.json(&service);
    } else {
        let state =
            context.output.paint(describe::state_paint(&service), &describe::state(&service).to_lowercase());
        let pid = service.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        context.output.line(format!("{} is {state}{pid}", service.name));
    }
    Ok(())
}

fn helps(context: &Context, name: &str) -> String {
    format!("`s0 {}service status {name}` says more", context.root.flag())
}

/// What the service says while somebody waits for it.
fn how(context: &Context, name: &str) -> impl FnMut() -> Option<String> + Send + 'static {
    let (socket, name) = (context.socket.clone(), name.to_owned());
    move || {
        let mut client = Client::connect(&socket).ok()?;
        client.set_time_max(Some(std::time::Duration::from_secs(1))).ok()?;
        let service = client.service(&name).ok()?;
        let waits = service.waits_for.map(|other| format!("waits for {other}"));
        waits.or(service.text.map(|text| describe::one_line(&text)))
    }
}
