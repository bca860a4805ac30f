//! Pipes as the interface has them.

use session0_api::error::Refused;
use session0_api::pipe;
use session0_model::id::ServiceName;
use session0_model::limit;
use session0_model::pipe::name::{BadName, PipeName};
use session0_model::pipe::refusal::Refusal as PipeRefusal;
use session0_model::pipe::request::{Listening, Opened};
use session0_model::pipe::settings::{Access, Direction, Impersonation, InstancesMax, Kind, Opening};
use session0_model::pipe::status::{Client, PipeStatus};
use session0_model::system::Refusal;

use super::refusal::{access_denied, misplaced, not_ready, refused, shutdown_in_progress};
use crate::api::host::Host;

/// The uid and gid of who is not named: nobody's.
const NOBODY: u32 = 65534;
/// Where a session sees pipes' sockets.
const SOCKETS: &str = "/run/session0/pipe";

/// One pipe.
pub fn status<H: Host>(host: &H, status: &PipeStatus) -> pipe::PipeStatus {
    let settings = &status.settings;
    let client = |client: &Client| pipe::PipeClient {
        instance: client.instance.0,
        peer: client.caller.as_ref().map_or_else(anonymous, |caller| host.peer(caller)),
        since_ms: host.wall_ms(client.since),
    };
    pipe::PipeStatus {
        name: status.name.to_string(),
        kind: kind(settings.kind),
        direction: direction(settings.direction),
        instances_max: instances_max(settings.instances_max),
        listening: status.listening,
        connected: status.connected,
        waiting: status.waiting,
        default_timeout_ms: u32::try_from(settings.default_timeout.0.as_millis()).unwrap_or(u32::MAX),
        refuse_outside: settings.refuse_outside,
        rpc: settings.rpc,
        access: settings.access.0.iter().map(|entry| entry.text.clone()).collect(),
        servers: status.servers.iter().map(|server| host.peer(server)).collect(),
        reserved_for: status.reserved.as_ref().map(|(service, _)| service.to_string()),
        starts_service: status.reserved.as_ref().is_some_and(|(_, opening)| *opening == Opening::Starts),
        socket: socket(&status.name),
        opened: status.opened,
        refused: status.refused,
        clients: status.clients.as_ref().map(|clients| clients.iter().map(client).collect()),
    }
}

fn socket(name: &PipeName) -> Option<String> {
    name.socket_name().map(|name| format!("{SOCKETS}/{name}"))
}

/// Who is not named.
pub fn anonymous() -> pipe::Peer {
    let groups = Vec::new();
    pipe::Peer { session: None, uid: NOBODY, gid: NOBODY, groups, pid: 0, account: None, service: None }
}

fn kind(kind: Kind) -> pipe::PipeType {
    match kind {
        Kind::Byte => pipe::PipeType::Byte,
        Kind::Message => pipe::PipeType::Message,
    }
}

fn direction(direction: Direction) -> pipe::Direction {
    match direction {
        Direction::Inbound => pipe::Direction::Inbound,
        Direction::Outbound => pipe::Direction::Outbound,
        Direction::Duplex => pipe::Direction::Duplex,
    }
}

fn instances_max(max: InstancesMax) -> Option<u32> {
    match max {
        InstancesMax::Limited(count) => Some(u32::from(count)),
        InstancesMax::Unlimited => None,
    }
}

/// What a client may do.
pub fn access(access: Access) -> pipe::Access {
    match access {
        Access::Read => pipe::Access::Read,
        Access::Write => pipe::Access::Write,
        Access::Duplex => pipe::Access::Duplex,
    }
}

/// What a server may do with a client's identity.
pub fn impersonation(level: Impersonation) -> pipe::Impersonation {
    match level {
        Impersonation::Anonymous => pipe::Impersonation::Anonymous,
        Impersonation::Identification => pipe::Impersonation::Identification,
        Impersonation::Impersonation => pipe::Impersonation::Impersonation,
    }
}

/// The answer to `Open`.
pub fn opened<H: Host>(host: &H, opened: &Opened, descriptors: u32) -> pipe::Opened {
    pipe::Opened {
        name: opened.name.to_string(),
        kind: kind(opened.kind),
        direction: direction(opened.direction),
        access: access(opened.access),
        instance: opened.instance.0,
        buffer: opened.buffer,
        server: host.peer(&opened.server_peer),
        descriptors,
    }
}

/// The answer to `Listen`.
pub fn listening(listening: &Listening) -> pipe::Listening {
    pipe::Listening {
        name: listening.name.to_string(),
        kind: kind(listening.kind),
        direction: direction(listening.direction),
        instances_max: instances_max(listening.instances_max),
        listening_max: limit::PIPE_LISTENING_MAX,
    }
}

/// This cannot be a pipe's name.
pub fn bad_name(tried: &str, bad: BadName) -> pipe::Error {
    let message = format!("could not {tried}: {bad}");
    pipe::Error::InvalidName(refused(123, message, "`s0 pipe list` names the pipes there are"))
}

/// Of `io.session0.Pipe`.
pub fn refusal(tried: &str, refusal: Refusal) -> pipe::Error {
    use pipe::Error;
    match refusal {
        Refusal::Pipe(refusal) => about_pipe(tried, &refusal),
        Refusal::AccessDenied => Error::AccessDenied(access_denied(tried)),
        Refusal::NotReady => Error::NotReady(not_ready(tried)),
        Refusal::ShutdownInProgress => Error::ShutdownInProgress(shutdown_in_progress(tried)),
        other @ (Refusal::Service(_) | Refusal::Session(_) | Refusal::Logon(_)) => {
            Error::InternalError(misplaced(tried, &other))
        }
    }
}

fn about_pipe(tried: &str, refusal: &PipeRefusal) -> pipe::Error {
    use pipe::Error;
    // What was tried ends with the name.
    let show = format!("s0 pipe show {}", tried.rsplit(' ').next().unwrap_or("NAME"));
    let (why, hint) = words(refusal, &show);
    let refused =
        Refused { code: refusal.code(), message: format!("could not {tried}: {why}"), hint: Some(hint) };
    match refusal {
        PipeRefusal::NoSuchPipe => Error::NoSuchPipe(refused),
        PipeRefusal::NotListed
        | PipeRefusal::OutsideRefused
        | PipeRefusal::Reserved(_)
        | PipeRefusal::Foreign
        | PipeRefusal::NotFirst
        | PipeRefusal::Differs(_) => Error::AccessDenied(refused),
        PipeRefusal::Busy | PipeRefusal::InstancesFull => Error::Busy(refused),
        PipeRefusal::TimedOut | PipeRefusal::NotServed(_) => Error::TimedOut(refused),
        PipeRefusal::WrongDirection => Error::BadPipe(refused),
        PipeRefusal::ServiceFailed { .. } => Error::ServiceFailed(refused),
        PipeRefusal::TooManyPipes | PipeRefusal::TooManyWaiters => Error::TooMany(refused),
        PipeRefusal::Invalid(_) => Error::InvalidParameter(refused),
    }
}

/// Why not, and what helps; `show` is the command that shows the pipe.
fn words(refusal: &PipeRefusal, show: &str) -> (String, String) {
    let (why, hint): (&str, &str) = match refusal {
        PipeRefusal::NoSuchPipe => (
            "nobody serves a pipe of this name",
            "`s0 pipe list` names the pipes there are; the service that serves it may not run",
        ),
        PipeRefusal::NotListed => {
            ("its access list does not let this caller", &format!("`{show}` shows who may do what with it"))
        }
        PipeRefusal::OutsideRefused => {
            ("it refuses callers outside every session", "call from a session: `s0 session run N -- COMMAND`")
        }
        PipeRefusal::Reserved(service) => (
            &format!("the name is reserved for the service {service}"),
            "choose another name; the reservation is in that service's file",
        ),
        PipeRefusal::Foreign => (
            "somebody else serves it and lets nobody else",
            &format!("choose another name; `{show}` shows who serves it"),
        ),
        PipeRefusal::NotFirst => (
            "it is served already, and you want to be the first",
            &format!("`{show}` shows by whom: if it is not you, somebody squats on the name"),
        ),
        PipeRefusal::Differs(what) => (
            &format!("it is served, or declared by its service's file, with another `{what}`"),
            &format!("ask for the same, or change the file: `{show}` shows how it is"),
        ),
        PipeRefusal::NotServed(service) => return of_service(service, None),
        PipeRefusal::ServiceFailed { service, code } => return of_service(service, Some(*code)),
        PipeRefusal::Busy => {
            ("every instance is busy", "wait for one: `s0 pipe connect --wait`, or wait_ms in the call")
        }
        PipeRefusal::InstancesFull => {
            ("there are as many instances of it as there may be", &format!("`{show}` shows who has them"))
        }
        PipeRefusal::TimedOut => {
            ("no instance became free in time", &format!("wait longer, or look who has them: `{show}`"))
        }
        PipeRefusal::WrongDirection => ("it does not go that way", &format!("`{show}` shows its direction")),
        PipeRefusal::TooManyPipes => {
            ("too many pipes are served already, by this account or in all", "`s0 pipe list` shows them")
        }
        PipeRefusal::TooManyWaiters => {
            ("too many callers wait for it already", "try again when some of them were served")
        }
        PipeRefusal::Invalid(why) => (why, "see docs/domains/pipe.md"),
    };
    (why.to_owned(), hint.to_owned())
}

/// The same about the service that a pipe is reserved for; the code is that of its failure, if it is not merely late.
fn of_service(service: &ServiceName, code: Option<u32>) -> (String, String) {
    match code {
        // Nothing failed.
        Some(1062) => (
            format!("the service {service}, which serves it, was stopped or ended by itself"),
            format!("`s0 service start {service}` starts it"),
        ),
        Some(_) => (
            format!("the service {service}, which serves it, did not start"),
            format!("`s0 service status {service}` says why"),
        ),
        None => (
            format!("the service {service}, which is to serve it, has not begun to"),
            format!("`s0 service status {service}` says what it does; does it serve this very name?"),
        ),
    }
}
