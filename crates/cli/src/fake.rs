//! Services, sessions and pipes as tests need them.

use session0::api::failure::{Exit, Failure, FailureKind};
use session0::api::pipe::{Direction, Peer, PipeClient, PipeStatus, PipeType};
use session0::api::service::{
    Kind, OutputLost, ServiceState, ServiceStatus, StartType, TripwireOutcome, WaitsForUser,
};
use session0::api::session::{ConnectState, SessionStatus};

use crate::context::Context;
use crate::output::{ColorChoice, Output};
use crate::root::Root;

/// 2026-11-23 01:02:03Z.
pub const NOW: i64 = 1_795_395_723_000;

/// A stopped one, nothing wrong with it.
pub fn stopped(name: &str) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        description: format!("about {name}"),
        start: StartType::Demand,
        kind: Kind::Simple,
        account: "LocalSystem".to_owned(),
        state: ServiceState::Stopped,
        state_number: 1,
        since_ms: NOW - 60_000,
        attention: Vec::new(),
        launch: None,
        pid: None,
        failure: None,
        failures: 0,
        restart_at_ms: None,
        last_exit: None,
        last_usage: None,
        text: None,
        reloading: false,
        waits_for: None,
        waits_for_user: None,
        output_lost: OutputLost::default(),
        stop_wait_ms: 20_000,
        command: Vec::new(),
        depends: Vec::new(),
        dependents: Vec::new(),
    }
}

/// A running one.
pub fn running(name: &str, pid: i32) -> ServiceStatus {
    ServiceStatus { state: ServiceState::Running, state_number: 4, pid: Some(pid), ..stopped(name) }
}

/// One that exited with status 3 and is started again in five seconds.
pub fn failed(name: &str) -> ServiceStatus {
    let exit = Exit { status: Some(3), signal: None, signal_name: None, core_dumped: false };
    let failure = Failure {
        kind: FailureKind::Exit,
        code: 1066,
        text: "it ended with exit status 3 while it ran".to_owned(),
        phase: Some("running".to_owned()),
        exit: Some(exit.clone()),
        errno: None,
        errno_name: None,
        errno_text: None,
        dependency: None,
    };
    ServiceStatus {
        attention: vec!["failed: exit status 3".to_owned()],
        failure: Some(failure),
        failures: 2,
        restart_at_ms: Some(NOW + 5_000),
        last_exit: Some(exit),
        ..stopped(name)
    }
}

/// One that opened a terminal.
pub fn asking(name: &str) -> ServiceStatus {
    let waits = WaitsForUser {
        call: "open /dev/tty".to_owned(),
        at_ms: NOW - 1_000,
        outcome: TripwireOutcome::Refused,
        instead: "a message box".to_owned(),
    };
    ServiceStatus { waits_for_user: Some(waits), ..running(name, 7) }
}

/// Session 0.
pub fn services() -> SessionStatus {
    SessionStatus {
        id: 0,
        name: "Services".to_owned(),
        state: ConnectState::Disconnected,
        state_number: 4,
        created_ms: NOW - 7_200_000,
        protocol: Some(3),
        programs: 2,
        trouble: None,
        user: None,
        uid: None,
        logon_ms: None,
        connected_ms: None,
        disconnected_ms: None,
        client: None,
        client_uid: None,
    }
}

/// One that a user works in.
pub fn session(id: u32, user: &str) -> SessionStatus {
    SessionStatus {
        id,
        name: "Alice".to_owned(),
        state: ConnectState::Active,
        state_number: 0,
        created_ms: NOW - 3_600_000,
        programs: 4,
        user: Some(user.to_owned()),
        uid: Some(1001),
        logon_ms: Some(NOW - 3_600_000),
        connected_ms: Some(NOW - 60_000),
        client: Some("/dev/pts/5".to_owned()),
        client_uid: Some(0),
        ..services()
    }
}

/// A program in Session 0.
pub fn server(service: &str) -> Peer {
    Peer {
        session: Some(0),
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        pid: 42,
        account: Some("LocalSystem".to_owned()),
        service: Some(service.to_owned()),
    }
}

/// A user's program.
pub fn user(session: u32, account: &str) -> Peer {
    Peer {
        session: Some(session),
        uid: 1001,
        pid: 77,
        account: Some(account.to_owned()),
        service: None,
        ..server("")
    }
}

/// A pipe that a service serves, with one client.
pub fn pipe(name: &str) -> PipeStatus {
    PipeStatus {
        name: name.to_owned(),
        kind: PipeType::Message,
        direction: Direction::Duplex,
        instances_max: Some(10),
        listening: 2,
        connected: 1,
        waiting: 0,
        default_timeout_ms: 50,
        refuse_outside: false,
        rpc: false,
        access: vec!["allow interactive read write".to_owned(), "deny user mallory read write".to_owned()],
        servers: vec![server("spooler")],
        reserved_for: Some("spooler".to_owned()),
        starts_service: true,
        socket: Some(format!("/run/session0/pipe/{name}")),
        opened: 12,
        refused: 3,
        clients: Some(vec![PipeClient { instance: 7, peer: user(3, "alice"), since_ms: NOW - 60_000 }]),
    }
}

/// One that is reserved and that nobody serves.
pub fn unserved_pipe(name: &str) -> PipeStatus {
    PipeStatus {
        listening: 0,
        connected: 0,
        servers: Vec::new(),
        clients: None,
        opened: 0,
        refused: 0,
        ..pipe(name)
    }
}

/// What commands work with, for the machine's host and without colours.
pub fn context() -> Context {
    let root = Root::new(Some(std::path::Path::new("/")));
    Context { socket: root.socket(), root, output: Output::new(false, ColorChoice::Never) }
}
