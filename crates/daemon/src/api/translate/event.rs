//! Events, with their sentences.

use session0_api::event::{Event, EventKind};
use session0_model::event::{self, EndCause};
use session0_model::id::{ServiceName, SessionId};
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{AccountChange, LogonFailure};
use session0_model::pipe::alarm::Squat;
use session0_model::pipe::name::PipeName;
use session0_model::service::status::{Failure, State};
use session0_model::session::program::{Client, EndReason};

use super::{failure, service};

/// WTS_SESSION_CREATE.
const SESSION_CREATE: u32 = 10;
/// WTS_SESSION_LOGON.
const SESSION_LOGON: u32 = 5;
/// WTS_SESSION_LOGOFF.
const SESSION_LOGOFF: u32 = 6;
/// WTS_REMOTE_CONNECT.
const REMOTE_CONNECT: u32 = 3;
/// WTS_REMOTE_DISCONNECT.
const REMOTE_DISCONNECT: u32 = 4;
/// WTS_SESSION_TERMINATE.
const SESSION_TERMINATE: u32 = 11;

/// An event.
pub fn event(event: &event::Event) -> Event {
    use event::Event as Happened;
    match event {
        Happened::HostStarted => bare(EventKind::HostStarted, "the host is up".to_owned()),
        Happened::DaemonRecovered { services } => Event {
            services: Some(*services),
            ..bare(EventKind::DaemonRecovered, format!("a new daemon took over {services} running services"))
        },
        Happened::ShutdownBegan => bare(EventKind::ShutdownBegan, "the host is shutting down".to_owned()),
        Happened::ShutdownEnded { killed } => shutdown_ended(killed),
        Happened::SessionCreated(session) => Event {
            number: Some(SESSION_CREATE),
            ..of_session(EventKind::SessionCreated, *session, format!("session {session} was made"))
        },
        Happened::SessionFailed { session, reason } => Event {
            reason: Some(reason.clone()),
            ..of_session(
                EventKind::SessionFailed,
                *session,
                format!("session {session} could not be made: {reason}"),
            )
        },
        Happened::SessionEnded { session, cause } => session_ended(*session, *cause),
        Happened::ServiceState { service, state } => service_state(service, *state),
        Happened::ServiceFailed { service, failure, count, restart_ms } => {
            service_failed(service, failure, *count, *restart_ms)
        }
        Happened::ServiceWaitsForUser { service, call } => Event {
            call: Some(call.clone()),
            ..of_service(
                EventKind::ServiceWaitsForUser,
                service,
                format!("{service} waits for a user nobody can see: {call}"),
            )
        },
        Happened::OutputLost { service, lost } => Event {
            lost: Some(service::output_lost(*lost)),
            ..of_service(
                EventKind::OutputLost,
                service,
                format!("{} lines ({} bytes) of {service}'s output were lost in all", lost.lines, lost.bytes),
            )
        },
        Happened::ServiceKilled { service } => of_service(
            EventKind::ServiceKilled,
            service,
            format!("{service} did not stop in its time and was killed"),
        ),
        Happened::ConfigurationLoaded { services, errors } => Event {
            services: Some(*services),
            errors: Some(*errors),
            ..bare(EventKind::ConfigurationLoaded, configuration_text(*services, *errors))
        },
        Happened::SessionLogon { session, account } => session_logon(*session, account),
        Happened::SessionLogoff { session, account, reason } => session_logoff(*session, account, *reason),
        Happened::SessionConnected { session, client } => session_connected(*session, client),
        Happened::SessionDisconnected(session) => Event {
            number: Some(REMOTE_DISCONNECT),
            ..of_session(
                EventKind::SessionDisconnected,
                *session,
                format!("the terminal of session {session} went away"),
            )
        },
        Happened::LogonFailed { account, uid, reason } => logon_failed(account, *uid, *reason),
        Happened::AccountChanged { account, change } => account_changed(account, *change),
        Happened::AccountsBroken { text } => accounts_broken(text),
        Happened::IdentityRefused { session, uid } => identity_refused(*session, *uid),
        Happened::PipeRefused { name, session, uid, why } => pipe_refused(name, *session, *uid, *why),
    }
}

fn bare(kind: EventKind, text: String) -> Event {
    Event {
        kind,
        text,
        number: None,
        service: None,
        session: None,
        state: None,
        failure: None,
        count: None,
        restart_ms: None,
        call: None,
        lost: None,
        names: None,
        services: None,
        errors: None,
        reason: None,
        uid: None,
        account: None,
        pipe: None,
    }
}

fn of_service(kind: EventKind, service: &ServiceName, text: String) -> Event {
    Event { service: Some(service.to_string()), ..bare(kind, text) }
}

fn of_session(kind: EventKind, session: SessionId, text: String) -> Event {
    Event { session: Some(session.0), ..bare(kind, text) }
}

fn session_logon(session: SessionId, account: &AccountName) -> Event {
    let text = format!("{account} logged on in session {session}");
    Event { number: Some(SESSION_LOGON), ..of_account(EventKind::SessionLogon, Some(session), account, text) }
}

fn session_logoff(session: SessionId, account: &AccountName, reason: EndReason) -> Event {
    let reason = crate::viewer::why(reason);
    let text = format!("session {session} of {account} ended {reason}");
    Event {
        number: Some(SESSION_LOGOFF),
        reason: Some(reason.to_owned()),
        ..of_account(EventKind::SessionLogoff, Some(session), account, text)
    }
}

fn session_connected(session: SessionId, client: &Client) -> Event {
    let terminal = if client.name.is_empty() { "a terminal" } else { &client.name };
    let text = format!("session {session} was connected to {terminal} (uid {})", client.uid);
    Event {
        number: Some(REMOTE_CONNECT),
        uid: Some(client.uid),
        ..of_session(EventKind::SessionConnected, session, text)
    }
}

fn logon_failed(account: &AccountName, uid: u32, reason: LogonFailure) -> Event {
    let why = logon_failure(reason);
    let text = format!("uid {uid} could not log on as {account}: {why}");
    Event {
        number: Some(reason.code()),
        uid: Some(uid),
        reason: Some(why.to_owned()),
        ..of_account(EventKind::LogonFailed, None, account, text)
    }
}

fn account_changed(account: &AccountName, change: AccountChange) -> Event {
    let how = account_change(change);
    let text = format!("the account {account} {how}");
    Event { reason: Some(how.to_owned()), ..of_account(EventKind::AccountChanged, None, account, text) }
}

fn accounts_broken(text: &str) -> Event {
    Event {
        reason: Some(text.to_owned()),
        ..bare(EventKind::AccountsBroken, format!("nobody can log on: {text}"))
    }
}

fn of_account(kind: EventKind, session: Option<SessionId>, account: &AccountName, text: String) -> Event {
    let session = session.map(|session| session.0);
    Event { session, account: Some(account.to_string()), ..bare(kind, text) }
}

fn logon_failure(reason: LogonFailure) -> &'static str {
    match reason {
        LogonFailure::UnknownAccount => "there is no such account",
        LogonFailure::WrongPassword => "the password is wrong",
        LogonFailure::Disabled => "the account is disabled or locked",
        LogonFailure::Expired => "the account or its password has expired",
        LogonFailure::Root => "uid 0 has no session",
        LogonFailure::Abandoned => "the client went away",
    }
}

fn account_change(change: AccountChange) -> &'static str {
    match change {
        AccountChange::Added => "was added",
        AccountChange::Password => "has a new password",
        AccountChange::Disabled => "was disabled",
        AccountChange::Enabled => "was enabled",
        AccountChange::Removed => "was removed",
    }
}

fn shutdown_ended(killed: &[ServiceName]) -> Event {
    let names: Vec<String> = killed.iter().map(ToString::to_string).collect();
    let text = match names.as_slice() {
        [] => "the host is down; every service stopped in its time".to_owned(),
        names => format!("the host is down; killed after their time: {}", names.join(", ")),
    };
    Event { names: Some(names), ..bare(EventKind::ShutdownEnded, text) }
}

fn session_ended(session: SessionId, cause: EndCause) -> Event {
    let reason = match cause {
        EndCause::Requested => "with everything in it",
        EndCause::InitDied => "because its init died",
    };
    Event {
        number: Some(SESSION_TERMINATE),
        reason: Some(reason.to_owned()),
        ..of_session(EventKind::SessionEnded, session, format!("session {session} ended {reason}"))
    }
}

fn service_state(service: &ServiceName, state: State) -> Event {
    let words = match state {
        State::Stopped => "is stopped",
        State::StartPending => "is starting",
        State::StopPending => "is stopping",
        State::Running => "is running",
    };
    // Windows writes 7036 for every state.
    Event {
        number: Some(7036),
        state: Some(service::state(state)),
        ..of_service(EventKind::ServiceState, service, format!("{service} {words}"))
    }
}

fn service_failed(service: &ServiceName, cause: &Failure, count: u32, restart_ms: Option<u64>) -> Event {
    let next = match restart_ms {
        Some(0) => "; it is started again at once".to_owned(),
        Some(ms) if ms < 1000 => format!("; it is started again in {ms} ms"),
        Some(ms) => format!("; it is started again in {} s", ms.div_ceil(1000)),
        None => String::new(),
    };
    let times = if count > 1 { format!(" ({count} times in a row)") } else { String::new() };
    Event {
        number: Some(failure_number(cause, restart_ms)),
        failure: Some(failure::failure(cause)),
        count: Some(count),
        restart_ms,
        ..of_service(
            EventKind::ServiceFailed,
            service,
            format!("{service} failed{times}: {}{next}", failure::text(cause)),
        )
    }
}

/// Windows' event numbers of service failures.
fn failure_number(cause: &Failure, restart_ms: Option<u64>) -> u32 {
    use session0_model::launch::exit::ExitStatus;
    match cause {
        Failure::Launch(_) => 7000,
        Failure::Dependency(_) => 7001,
        Failure::DependencyMissing(_) => 7003,
        Failure::CircularDependency => 7019,
        Failure::StartTimeout => 7009,
        Failure::Exit { .. } | Failure::Watchdog | Failure::SessionEnded | Failure::Lost
            if restart_ms.is_some() =>
        {
            7031
        }
        Failure::Exit { status: ExitStatus::Exited(_), .. } => 7024,
        Failure::Exit { .. } | Failure::Watchdog | Failure::SessionEnded | Failure::Lost => 7034,
    }
}

fn configuration_text(services: u32, errors: u32) -> String {
    match errors {
        0 => format!("the configuration was read: {services} services"),
        _ => format!(
            "the configuration was read: {services} services; {errors} files were left out because of errors \
             (`s0 service check` shows them)"
        ),
    }
}

fn identity_refused(session: Option<SessionId>, uid: u32) -> Event {
    let door = match session {
        Some(session) => format!("the socket of session {session}"),
        None => "the outer socket".to_owned(),
    };
    Event {
        session: session.map(|session| session.0),
        uid: Some(uid),
        ..bare(
            EventKind::IdentityRefused,
            format!("a call of uid {uid} by {door} was refused: its control group is not there"),
        )
    }
}

fn pipe_refused(name: &PipeName, session: Option<SessionId>, uid: u32, why: Squat) -> Event {
    let place = match session {
        Some(session) => format!("in session {session}"),
        None => "outside every session".to_owned(),
    };
    let why = match why {
        Squat::Reserved => "the name is reserved for a service",
        Squat::Foreign => "somebody else serves it",
        Squat::NotFirst => "it is not the first that serves it",
    };
    Event {
        session: session.map(|session| session.0),
        uid: Some(uid),
        pipe: Some(name.to_string()),
        reason: Some(why.to_owned()),
        ..bare(
            EventKind::PipeRefused,
            format!("a program of uid {uid} {place} may not serve the pipe {name}: {why}"),
        )
    }
}
