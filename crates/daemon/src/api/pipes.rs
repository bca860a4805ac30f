//! What the methods about named pipes do.

use std::os::fd::OwnedFd;
use std::time::Duration;

use session0_api::interface::Method;
use session0_api::pipe;
use session0_model::access::Caller;
use session0_model::limit;
use session0_model::pipe::access::AccessList;
use session0_model::pipe::id::ServerId;
use session0_model::pipe::name::PipeName;
use session0_model::pipe::request::{Listen, Opened, PipeRequest, Wait};
use session0_model::pipe::settings::{
    Access, Direction, Impersonation, InstancesMax, Kind, Settings, Timeout,
};
use session0_model::pipe::status::PipeStatus;
use session0_model::system::{Reply, Request};
use zlink::varlink_service;

use super::connection::Taken;
use super::dispatch::{
    Answer, Call, Continues, done, message, method_not_found, one, reply, unexpected, varlink_error,
};
use super::host::Host;
use super::{fault, translate};

/// The longest that a client may say it wants to wait.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a call makes the connection something else.
pub fn upgrades(call: &Call) -> bool {
    [pipe::Open::NAME, pipe::Listen::NAME].contains(&call.method.as_str()) && !call.oneway() && !call.more()
}

/// `io.session0.Pipe`.
pub async fn pipe_call<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    match call.method.as_str() {
        pipe::List::NAME => {
            call.parameters::<pipe::List>()?;
            let place = host.place_for_long_answer(caller).map_err(|_| too_many_lists())?;
            match ask(host, caller, "list the pipes", PipeRequest::List).await? {
                Reply::Pipes(pipes) => {
                    let pipes = pipe::Pipes { pipes: all(host, &pipes).await };
                    Ok(Answer::Long(reply(&pipes, Continues::No), place))
                }
                other => Err(unexpected(call, &other)),
            }
        }
        pipe::Status::NAME => {
            let pipe::Status { pipe } = call.parameters()?;
            let (tried, name) = named("look at", &pipe)?;
            match ask(host, caller, &tried, PipeRequest::Status(name)).await? {
                Reply::Pipe(status) => {
                    let pipe = translate::pipe::status(host, &status);
                    Ok(one::<pipe::Status>(&pipe::Pipe { pipe }))
                }
                other => Err(unexpected(call, &other)),
            }
        }
        pipe::Wait::NAME => {
            let pipe::Wait { pipe, wait_ms } = call.parameters()?;
            let (tried, name) = named("wait for", &pipe)?;
            let wait = wait(wait_ms.or(Some(0)));
            let reply = ask(host, caller, &tried, PipeRequest::Wait { name, wait }).await?;
            done::<pipe::Wait>(call, &reply)
        }
        pipe::Open::NAME => open(host, caller, call).await,
        pipe::Listen::NAME => listen(host, caller, call).await,
        _ => Err(method_not_found(call)),
    }
}

/// There may be thousands: whoever asks for them again and again must not keep the daemon from its other work.
async fn all<H: Host>(host: &H, statuses: &[PipeStatus]) -> Vec<pipe::PipeStatus> {
    const AT_ONCE: usize = 64;
    let mut pipes = Vec::with_capacity(statuses.len());
    for some in statuses.chunks(AT_ONCE) {
        pipes.extend(some.iter().map(|status| translate::pipe::status(host, status)));
        tokio::task::yield_now().await;
    }
    pipes
}

/// What was not read of them yet is the daemon's memory.
fn too_many_lists() -> Answer {
    refuse(&pipe::Error::TooMany(session0_api::error::Refused {
        code: 1450,
        message: "could not list the pipes: too many lists are being written already".to_owned(),
        hint: Some("read the answers of the calls before".to_owned()),
    }))
}

async fn ask<H: Host>(host: &H, caller: &Caller, tried: &str, request: PipeRequest) -> Result<Reply, Answer> {
    let refused = |refusal| refuse(&translate::pipe::refusal(tried, refusal));
    host.request(caller.clone(), Request::Pipe(request)).await.map_err(refused)
}

fn refuse(error: &pipe::Error) -> Answer {
    Answer::Reply(message(error))
}

fn named(verb: &str, name: &str) -> Result<(String, PipeName), Answer> {
    match PipeName::new(name) {
        Ok(name) => Ok((format!("{verb} the pipe {name}"), name)),
        Err(bad) => {
            let mut short: String = name.chars().take(64).collect();
            if short.len() < name.len() {
                short.push('\u{2026}');
            }
            Err(refuse(&translate::pipe::bad_name(&format!("{verb} the pipe {short:?}"), bad)))
        }
    }
}

fn invalid(tried: &str, why: &str) -> Answer {
    refuse(&pipe::Error::InvalidParameter(translate::refusal::invalid(tried, why)))
}

/// A value of an enumeration that this host does not know.
fn not_known(parameter: &'static str) -> Answer {
    varlink_error(&varlink_service::Error::InvalidParameter { parameter: parameter.into() })
}

fn wait(ms: Option<u64>) -> Wait {
    match ms {
        None => Wait::Not,
        Some(0) => Wait::Default,
        Some(ms) => Wait::For(Duration::from_millis(ms).min(WAIT_MAX)),
    }
}

async fn open<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    let pipe::Open { pipe, access, impersonation, wait_ms } = call.parameters()?;
    let (tried, name) = named("open", &pipe)?;
    let access = access.map(|access| match access {
        pipe::Access::Read => Ok(Access::Read),
        pipe::Access::Write => Ok(Access::Write),
        pipe::Access::Duplex => Ok(Access::Duplex),
        pipe::Access::Unknown => Err(not_known("access")),
    });
    let impersonation = match impersonation {
        None | Some(pipe::Impersonation::Identification) => Impersonation::Identification,
        Some(pipe::Impersonation::Anonymous) => Impersonation::Anonymous,
        Some(pipe::Impersonation::Impersonation) => Impersonation::Impersonation,
        Some(pipe::Impersonation::Unknown) => return Err(not_known("impersonation")),
    };
    if (impersonation == Impersonation::Anonymous) == call.upgrades() {
        let why = "an anonymous client calls without `upgrade`, every other one with it";
        return Err(invalid(&tried, why));
    }
    let access = access.transpose()?;
    let request = PipeRequest::Open { name, access, impersonation, wait: wait(wait_ms) };
    match ask(host, caller, &tried, request).await? {
        Reply::PipeOpened(opened) => {
            let given = Given { host: host.clone(), caller: caller.clone(), opened: Some(*opened) };
            opened_answer(&tried, given)
        }
        other => Err(unexpected(call, &other)),
    }
}

fn opened_answer<H: Host>(tried: &str, mut given: Given<H>) -> Result<Answer, Answer> {
    let Some(opened) = given.opened.take() else {
        return Err(refuse(&pipe::Error::InternalError(fault::report(tried, &"the instance is not there"))));
    };
    let anonymous = opened.impersonation == Impersonation::Anonymous;
    let answer = translate::pipe::opened(&given.host, &opened, u32::from(anonymous));
    let bytes = reply(&answer, Continues::No);
    given.opened = Some(opened);
    if !anonymous {
        return Ok(Answer::Upgraded(bytes, Box::new(given)));
    }
    // What shows who connected would name the client: the pipe is a pair of nobody's.
    match session0_sys::anonymous::pair() {
        Ok((server, client)) => {
            Box::new(given).take(server);
            Ok(Answer::Files(bytes, vec![client]))
        }
        Err(error) => Err(refuse(&pipe::Error::InternalError(fault::report(tried, &error)))),
    }
}

/// An instance that a client was given, until its server has the pipe.
struct Given<H: Host> {
    host: H,
    caller: Caller,
    opened: Option<Opened>,
}

/// Takes a pipe's own socket over for its server, for an instance given to whoever connected to it.
pub fn given<H: Host>(host: H, caller: Caller, opened: Opened) -> Box<dyn Taken> {
    Box::new(Given { host, caller, opened: Some(opened) })
}

impl<H: Host> std::fmt::Debug for Given<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a pipe")
    }
}

impl<H: Host> Taken for Given<H> {
    fn take(mut self: Box<Self>, socket: OwnedFd) {
        if let Some(opened) = self.opened.take() {
            self.host.hand_over(opened, &self.caller, socket);
        }
    }
}

impl<H: Host> Drop for Given<H> {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.host.not_taken(opened.server, opened.instance);
        }
    }
}

async fn listen<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    let parameters: pipe::Listen = call.parameters()?;
    let (tried, name) = named("serve", &parameters.pipe)?;
    if !call.upgrades() {
        return Err(invalid(&tried, "`Listen` is called with `upgrade`"));
    }
    let first = parameters.first.unwrap_or(false);
    let listening = parameters.listening.unwrap_or(1);
    let settings = settings(host, &tried, parameters)?;
    let request = Listen { name, settings, first, listening };
    match ask(host, caller, &tried, PipeRequest::Listen(Box::new(request))).await? {
        Reply::PipeListening(listening) => {
            let bytes = reply(&translate::pipe::listening(&listening), Continues::No);
            let serving = Serving { host: host.clone(), server: Some(listening.server) };
            Ok(Answer::Upgraded(bytes, Box::new(serving)))
        }
        other => Err(unexpected(call, &other)),
    }
}

/// What the pipe is to be; `None` if nothing is said about it.
fn settings<H: Host>(host: &H, tried: &str, said: pipe::Listen) -> Result<Option<Settings>, Answer> {
    let nothing = said.kind.is_none()
        && said.direction.is_none()
        && said.instances_max.is_none()
        && said.default_timeout_ms.is_none()
        && said.buffer.is_none()
        && said.access.is_none()
        && said.refuse_outside.is_none()
        && said.descriptors.is_none()
        && said.rpc.is_none();
    if nothing {
        return Ok(None);
    }
    let kind = match said.kind {
        None | Some(pipe::PipeType::Byte) => Kind::Byte,
        Some(pipe::PipeType::Message) => Kind::Message,
        Some(pipe::PipeType::Unknown) => return Err(not_known("kind")),
    };
    let direction = match said.direction {
        None | Some(pipe::Direction::Duplex) => Direction::Duplex,
        Some(pipe::Direction::Inbound) => Direction::Inbound,
        Some(pipe::Direction::Outbound) => Direction::Outbound,
        Some(pipe::Direction::Unknown) => return Err(not_known("direction")),
    };
    let number = said.instances_max.unwrap_or(0);
    let instances_max = InstancesMax::of(number).ok_or_else(|| {
        invalid(tried, &format!("there cannot be {number} instances; 1 to 254, or 255 for unlimited"))
    })?;
    let default_timeout = match said.default_timeout_ms {
        None | Some(0) => Timeout::default(),
        Some(ms) => Timeout(Duration::from_millis(u64::from(ms))),
    };
    if let Some(buffer) = said.buffer.filter(|buffer| limit::PIPE_BUFFER_MAX < *buffer) {
        let why = format!("a buffer of {buffer} bytes is more than {}", limit::PIPE_BUFFER_MAX);
        return Err(invalid(tried, &why));
    }
    if said.rpc == Some(true) && kind == Kind::Message {
        return Err(invalid(tried, "varlink is spoken over a pipe of bytes, not of messages"));
    }
    if said.rpc == Some(true) && direction != Direction::Duplex {
        return Err(invalid(tried, "varlink is spoken both ways: `rpc` needs the direction duplex"));
    }
    let access = match said.access {
        None => AccessList::default(),
        Some(texts) => host.access_list(&texts).map_err(|why| invalid(tried, &why))?,
    };
    Ok(Some(Settings {
        kind,
        direction,
        instances_max,
        default_timeout,
        buffer: said.buffer.filter(|buffer| *buffer != 0),
        access,
        refuse_outside: said.refuse_outside.unwrap_or(false),
        descriptors: said.descriptors.unwrap_or(false),
        rpc: said.rpc.unwrap_or(false),
    }))
}

/// A server that was answered, until its connection is with the others.
struct Serving<H: Host> {
    host: H,
    server: Option<ServerId>,
}

impl<H: Host> std::fmt::Debug for Serving<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection of a pipe's server")
    }
}

impl<H: Host> Taken for Serving<H> {
    fn take(mut self: Box<Self>, socket: OwnedFd) {
        if let Some(server) = self.server.take() {
            self.host.serve_pipe(server, Some(socket));
        }
    }
}

impl<H: Host> Drop for Serving<H> {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.host.serve_pipe(server, None);
        }
    }
}
