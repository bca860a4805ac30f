//! Services, sessions and pipes in words and colours, the same in every command.

use session0::api::failure::Exit;
use session0::api::host::HostPhase;
use session0::api::pipe::{Direction, Peer, PipeType};
use session0::api::service::{Kind, ServiceState, ServiceStatus, StartType, TripwireOutcome};
use session0::api::session::{ConnectState, SessionStatus};

use crate::output::Paint;

/// A state's name, as Windows' tools print it.
pub fn state(service: &ServiceStatus) -> &'static str {
    match service.state {
        ServiceState::Stopped => "Stopped",
        ServiceState::StartPending => "Start pending",
        ServiceState::StopPending => "Stop pending",
        ServiceState::Running => "Running",
        ServiceState::Unknown => "unknown to this version",
    }
}

/// Its colour: a stopped service is bad only when it failed.
pub fn state_paint(service: &ServiceStatus) -> Paint {
    match service.state {
        ServiceState::Stopped if service.failure.is_some() => Paint::Bad,
        ServiceState::Stopped => Paint::Faint,
        ServiceState::StartPending | ServiceState::StopPending => Paint::Moving,
        ServiceState::Running if service.waits_for_user.is_some() => Paint::Moving,
        ServiceState::Running => Paint::Good,
        ServiceState::Unknown => Paint::Plain,
    }
}

/// When it starts.
pub fn start(start: StartType) -> &'static str {
    match start {
        StartType::Auto => "auto",
        StartType::Demand => "demand",
        StartType::Unknown => "?",
    }
}

/// How it tells that it is ready.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Simple => "simple: ready once it is executed",
        Kind::Notify => "notify: says itself when it is ready",
        Kind::Unknown => "unknown to this version",
    }
}

/// What came of a call for a user.
pub fn outcome(outcome: TripwireOutcome) -> &'static str {
    match outcome {
        TripwireOutcome::Held => "it still waits; nobody will ever answer",
        TripwireOutcome::Refused => "the call was refused",
        TripwireOutcome::Unknown => "the outcome is unknown to this version",
    }
}

/// A session's connect state; one that is new since this version, by its number.
pub fn connect_state(session: &SessionStatus) -> String {
    match session.state {
        ConnectState::Active => "Active".to_owned(),
        ConnectState::Disconnected => "Disconnected".to_owned(),
        ConnectState::Down => "Down".to_owned(),
        ConnectState::Init => "Init".to_owned(),
        ConnectState::Unknown => format!("State {}", session.state_number),
    }
}

/// Its colour.
pub fn connect_paint(state: ConnectState) -> Paint {
    match state {
        ConnectState::Active | ConnectState::Disconnected => Paint::Good,
        ConnectState::Init => Paint::Moving,
        ConnectState::Down => Paint::Bad,
        ConnectState::Unknown => Paint::Plain,
    }
}

/// Where in its life the host is.
pub fn phase(phase: HostPhase) -> (&'static str, Paint) {
    match phase {
        HostPhase::Starting => ("is starting", Paint::Moving),
        HostPhase::Up => ("is up", Paint::Good),
        HostPhase::ShuttingDown => ("is shutting down", Paint::Moving),
        HostPhase::Unknown => ("is in a phase unknown to this version", Paint::Plain),
    }
}

/// `exit status 3`, `signal 9 (SIGKILL)`, `signal 11 (SIGSEGV), core dumped`.
pub fn exit(exit: &Exit) -> String {
    let core = if exit.core_dumped { ", core dumped" } else { "" };
    match (exit.status, exit.signal) {
        (Some(status), _) => format!("exit status {status}"),
        (None, Some(signal)) => format!("signal {}{core}", crate::words::signal(signal.into())),
        (None, None) => "unknown".to_owned(),
    }
}

/// Why a service wants attention, in one line; `None` when it does not.
pub fn attention(service: &ServiceStatus) -> Option<String> {
    let reasons = &service.attention;
    if reasons.is_empty() { None } else { Some(one_line(&reasons.join("; "))) }
}

/// Its description, without its own name before it.
pub fn about(service: &ServiceStatus) -> String {
    let text = one_line(&service.description);
    let prefix = format!("{}: ", service.name);
    text.strip_prefix(&prefix).map_or(text.clone(), str::to_owned)
}

/// What a pipe carries.
pub fn pipe_type(kind: PipeType) -> &'static str {
    match kind {
        PipeType::Byte => "byte",
        PipeType::Message => "message",
        PipeType::Unknown => "?",
    }
}

/// Which way a pipe goes, in one word.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Duplex => "duplex",
        Direction::Unknown => "?",
    }
}

/// One end of a pipe: `service spooler`, `alice in session 3`, `root outside`, `anonymous`.
pub fn peer(peer: &Peer) -> String {
    if is_anonymous(peer) {
        return "anonymous".to_owned();
    }
    if let Some(service) = &peer.service {
        return format!("service {}", one_line(service));
    }
    let who = peer.account.as_deref().map_or_else(|| format!("uid {}", peer.uid), one_line);
    match peer.session {
        Some(session) => format!("{who} in session {session}"),
        None => format!("{who} outside"),
    }
}

/// The host says nothing of an anonymous client; processes have numbers above 0.
pub fn is_anonymous(peer: &Peer) -> bool {
    peer.pid == 0 && peer.session.is_none()
}

/// Words of a command line as a shell would be told them.
pub fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-:+@%,=".contains(c);
    let quoted = words.iter().map(|word| match word {
        word if !word.is_empty() && word.chars().all(plain) => word.clone(),
        word if word.contains('\'') && !word.contains(['"', '$', '`', '\\']) => {
            format!("\"{}\"", one_line(word))
        }
        word => format!("'{}'", one_line(word).replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// A text from elsewhere on one line, without control characters.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
