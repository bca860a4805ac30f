//! Refusals, with what was tried, why not, and what helps.

use session0_api::error::{DependencyRefused, DependentsRefused, Refused, StartRefused};
use session0_api::{account, host, logon, service, session};
use session0_model::id::{BadName, ServiceName};
use session0_model::logon::name::BadAccountName;
use session0_model::logon::refusal::{NamedBy, Refusal as LogonRefusal};
use session0_model::service::refusal::Refusal as ServiceRefusal;
use session0_model::session::refusal::Refusal as SessionRefusal;
use session0_model::system::Refusal;

use super::failure;
use crate::api::dispatch::Tried;
use crate::api::fault;

const ADMINISTRATORS: &str =
    "only administrators may: root outside, LocalSystem, and who is named in host.toml";
const LATER: &str = "Session 0 is being made; `s0 status` says when it is there";
const DOWN: &str = "the host goes down; start it again with `s0 up`";

pub(super) fn refused(code: u32, message: String, hint: impl Into<String>) -> Refused {
    Refused { code, message, hint: Some(hint.into()) }
}

pub(super) fn access_denied(tried: &str) -> Refused {
    refused(5, format!("this account may not {tried}"), ADMINISTRATORS)
}

fn service_denied(tried: &Tried<'_>, words: &str) -> Refused {
    let hint = match tried.verb {
        "start" | "stop" | "restart" => {
            "administrators may, and those named by `control` in its file; what depends on it is stopped by administrators only"
        }
        _ => ADMINISTRATORS,
    };
    refused(5, format!("this account may not {words}"), hint)
}

pub(super) fn not_ready(tried: &str) -> Refused {
    refused(21, format!("could not {tried}: Session 0 is not there yet"), LATER)
}

pub(super) fn shutdown_in_progress(tried: &str) -> Refused {
    refused(1115, format!("could not {tried}: the host is shutting down"), DOWN)
}

/// Of `io.session0.Host`.
pub fn host(tried: &str, refusal: Refusal) -> host::Error {
    use host::Error;
    match refusal {
        Refusal::AccessDenied => Error::AccessDenied(access_denied(tried)),
        Refusal::NotReady => Error::NotReady(not_ready(tried)),
        Refusal::ShutdownInProgress => Error::ShutdownInProgress(shutdown_in_progress(tried)),
        other => Error::InternalError(misplaced(tried, &other)),
    }
}

/// Of `io.session0.Session`.
pub fn session(tried: &str, refusal: Refusal) -> session::Error {
    use session::Error;
    match refusal {
        Refusal::Session(refusal) => about_session(tried, refusal),
        Refusal::AccessDenied => Error::AccessDenied(refused(
            5,
            format!("this account may not {tried}"),
            "a session's own user may, outside or in that session, and administrators",
        )),
        Refusal::NotReady => Error::NotReady(not_ready(tried)),
        Refusal::ShutdownInProgress => Error::ShutdownInProgress(shutdown_in_progress(tried)),
        other @ (Refusal::Service(_) | Refusal::Logon(_) | Refusal::Pipe(_)) => {
            Error::InternalError(misplaced(tried, &other))
        }
    }
}

fn about_session(tried: &str, refusal: SessionRefusal) -> session::Error {
    use session::Error;
    let code = refusal.code();
    let because = |why: &str| format!("could not {tried}: {why}");
    match refusal {
        SessionRefusal::NoSuchSession => Error::NoSuchSession(refused(
            code,
            because("there is no such session"),
            "`s0 session list` shows those there are",
        )),
        SessionRefusal::NoUser => Error::NoUser(refused(
            code,
            because("no user is logged on in it"),
            "`s0 session list` shows who is logged on where; services are for `s0 service`",
        )),
        SessionRefusal::Ending => {
            Error::Ending(refused(code, because("it is ending"), "`s0 session list` shows when it is gone"))
        }
        SessionRefusal::LaunchFailed(failed) => {
            let why = because(&failure::launch_text(failed));
            Error::LaunchFailed(refused(
                code,
                why,
                "the program must exist in the session and be executable by its user",
            ))
        }
        SessionRefusal::TooManyPrograms => Error::TooMany(refused(
            code,
            because("as many programs as there may be were started in it already"),
            "they are gone when they have ended, at the latest with the session",
        )),
        SessionRefusal::TooManyWaiters => Error::TooMany(refused(
            code,
            because("too many callers wait for it already"),
            "ask without waiting (`--no-wait`)",
        )),
    }
}

/// Of `io.session0.Logon`.
pub fn logon(tried: &str, refusal: Refusal) -> logon::Error {
    use logon::Error;
    match refusal {
        Refusal::Logon(LogonRefusal::TooMany) => Error::TooMany(too_many_logons(tried)),
        Refusal::AccessDenied => Error::AccessDenied(access_denied(tried)),
        Refusal::NotReady => Error::NotReady(not_ready(tried)),
        Refusal::ShutdownInProgress => Error::ShutdownInProgress(shutdown_in_progress(tried)),
        other => Error::InternalError(misplaced(tried, &other)),
    }
}

/// Of `io.session0.Account`.
pub fn account(tried: &str, refusal: Refusal) -> account::Error {
    use account::Error;
    match refusal {
        Refusal::Logon(LogonRefusal::TooMany) => Error::TooMany(too_many_logons(tried)),
        Refusal::Logon(refusal @ LogonRefusal::InUse) => Error::InUse(refused(
            refusal.code(),
            format!("could not {tried}: its user has a session"),
            "`s0 session list` shows it, `s0 session logoff` ends it",
        )),
        Refusal::Logon(LogonRefusal::Named(by)) => Error::Named(named(tried, &by)),
        Refusal::AccessDenied => Error::AccessDenied(access_denied(tried)),
        Refusal::ShutdownInProgress => Error::ShutdownInProgress(shutdown_in_progress(tried)),
        other => Error::InternalError(misplaced(tried, &other)),
    }
}

fn named(tried: &str, by: &NamedBy) -> Refused {
    let (file, key, without) = match by {
        NamedBy::Administrators => {
            ("host.toml".to_owned(), "[administrators]", "the host would not start without it".to_owned())
        }
        NamedBy::Account(service) => (format!("services/{service}.toml"), "`account`", broken(service)),
        NamedBy::Control(service) => (format!("services/{service}.toml"), "`control`", broken(service)),
        NamedBy::Pipe(service) => (format!("services/{service}.toml"), "`access` of a pipe", broken(service)),
    };
    let message = format!("could not {tried}: {key} in {file} names it, and {without}");
    refused(87, message, format!("take it out of {file}, then `s0 reload`"))
}

fn broken(service: &ServiceName) -> String {
    format!("{service} would be no service without it")
}

fn too_many_logons(tried: &str) -> Refused {
    refused(
        LogonRefusal::TooMany.code(),
        format!("could not {tried}: too many are doing the like just now"),
        "try again when they are done; each has two minutes",
    )
}

/// This cannot be an account's name.
pub fn bad_account(tried: &str, bad: BadAccountName) -> Refused {
    refused(1315, format!("could not {tried}: {bad}"), "`s0 account list` names the built-in accounts")
}

/// This parameter cannot be used.
pub fn invalid(tried: &str, why: &str) -> Refused {
    Refused { code: 87, message: format!("could not {tried}: {why}"), hint: None }
}

/// A refusal about something that was not asked for: a bug of ours.
pub(super) fn misplaced(tried: &str, refusal: &Refusal) -> session0_api::error::Fault {
    fault::report(tried, &format!("the model refused with code {}", refusal.code()))
}

/// Of `io.session0.Service`.
pub fn service(tried: &Tried<'_>, refusal: Refusal) -> service::Error {
    use service::Error;
    let words = format!("{} {}", tried.verb, tried.name);
    match refusal {
        Refusal::Service(refusal) => about_service(tried, &words, refusal),
        other @ (Refusal::Session(_) | Refusal::Logon(_) | Refusal::Pipe(_)) => {
            Error::InternalError(misplaced(&words, &other))
        }
        Refusal::AccessDenied => Error::AccessDenied(service_denied(tried, &words)),
        Refusal::NotReady => Error::NotReady(not_ready(&words)),
        Refusal::ShutdownInProgress => Error::ShutdownInProgress(shutdown_in_progress(&words)),
    }
}

/// This cannot be a service's name.
pub fn bad_name(tried: &Tried<'_>, bad: BadName) -> service::Error {
    let message = format!("could not {} {:?}: {bad}", tried.verb, tried.name);
    service::Error::InvalidName(refused(123, message, "`s0 service list` names all services"))
}

fn about_service(tried: &Tried<'_>, words: &str, refusal: ServiceRefusal) -> service::Error {
    use service::Error;
    let name = tried.name;
    let code = refusal.code();
    let because = |why: &str| format!("could not {words}: {why}");
    match refusal {
        ServiceRefusal::DependentServicesRunning(names) => {
            Error::DependentServicesRunning(dependents(code, name, words, &names))
        }
        ServiceRefusal::InvalidServiceControl => Error::InvalidServiceControl(refused(
            code,
            because("it does not take this control"),
            "services of session0 itself are stopped by `s0 down` only",
        )),
        ServiceRefusal::AlreadyRunning => Error::AlreadyRunning(refused(
            code,
            because("it runs already"),
            format!("`s0 service restart {name}` starts it anew"),
        )),
        ServiceRefusal::CircularDependency => Error::CircularDependency(refused(
            code,
            because("it depends on itself by way of others"),
            "look at `depends` in its file; `s0 service check` shows the circle",
        )),
        ServiceRefusal::DoesNotExist => Error::NoSuchService(refused(
            code,
            because("there is no such service"),
            "`s0 service list` names all; a new file is read by `s0 reload`; one with errors is left out, which `s0 service check` shows",
        )),
        ServiceRefusal::CannotAcceptControl => Error::CannotAcceptControl(refused(
            code,
            because("it is between two states"),
            format!("wait until it has settled: `s0 service status {name}`"),
        )),
        ServiceRefusal::NotActive => Error::NotActive(refused(
            code,
            because("it does not run"),
            format!("`s0 service start {name}` starts it"),
        )),
        ServiceRefusal::StartFailed(failure) => Error::StartFailed(StartRefused {
            code,
            message: because(&failure::text(&failure)),
            hint: Some(format!("`s0 service status {name}` shows its last lines of output")),
            failure: failure::failure(&failure),
        }),
        ServiceRefusal::DependencyFailed(dependency) => Error::DependencyFailed(DependencyRefused {
            code,
            message: because(&format!("{dependency}, which it depends on, did not start")),
            hint: Some(format!("`s0 service status {dependency}` says why")),
            dependency: dependency.to_string(),
        }),
        ServiceRefusal::DependencyMissing(dependency) => Error::DependencyMissing(DependencyRefused {
            code,
            message: because(&format!("it depends on {dependency}, and there is no such service")),
            hint: Some(format!(
                "add services/{dependency}.toml and `s0 reload`, or change `depends` in its file"
            )),
            dependency: dependency.to_string(),
        }),
        ServiceRefusal::TooManyWaiters => Error::TooManyWaiters(refused(
            code,
            because("too many callers wait for it already"),
            "ask without waiting (`--no-wait`)",
        )),
    }
}

fn dependents(code: u32, name: &str, words: &str, names: &[ServiceName]) -> DependentsRefused {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    DependentsRefused {
        code,
        message: format!("could not {words}: services that run depend on it: {}", names.join(", ")),
        hint: Some(format!("`s0 service stop {name} --with-dependents` stops them first")),
        names,
    }
}
