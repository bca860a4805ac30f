//! Tripwires: a service that connects to a display, or opens a terminal, waits for a user nobody can see.

use std::os::fd::{AsFd, OwnedFd};

use session0_model::id::ServiceName;
use session0_model::launch::wire::{ToInit, key};
use session0_model::limit;
use session0_model::service::status::TripwireOutcome;
use session0_model::system::Input;
use session0_sys::fanotify::{self, Answer};
use session0_sys::{packet, peer};

use crate::core::{Core, State};
use crate::message;
use crate::session::Member;

/// Prefix of the keys of held connections: followed by a number, a colon and the unit.
const HELD: &str = "held.";
/// Attempts taken in one turn.
const BATCH_MAX: usize = 64;

/// Serves one display listener, whose path inside the session is `path`.
pub async fn display(core: Core, path: String, listener: OwnedFd) {
    let call = format!("connect {path}");
    let listener = match crate::readiness::reading(listener) {
        Ok(listener) => listener,
        Err(error) => {
            return message::error("cannot watch a display", &[("path", &path), ("reason", &error)]);
        }
    };
    loop {
        let Ok(mut readable) = listener.readable().await else { return };
        for _ in 0..BATCH_MAX {
            match packet::accept(listener.get_ref().as_fd()) {
                Ok(Some(connection)) => connected(&core, &call, connection),
                Ok(None) => {
                    readable.clear_ready();
                    break;
                }
                Err(error) => {
                    // Descriptors or memory are short: they come back, and the connection waits meanwhile.
                    message::warn("cannot take a connection to a display", &[("reason", &error)]);
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    break;
                }
            }
        }
        drop(readable);
        tokio::task::yield_now().await;
    }
}

fn connected(core: &Core, call: &str, connection: OwnedFd) {
    let Ok(pidfd) = peer::pidfd(connection.as_fd()) else { return };
    let Some(service) = core.with(|state| service_of(state, &pidfd)) else {
        return core.with(|state| state.dropped.count("a connection to a display by no service"));
    };
    let held = core.with(|state| hold(state, &service, &connection));
    let outcome = match held {
        Some(_) => TripwireOutcome::Held,
        None => TripwireOutcome::Refused,
    };
    core.take([Input::Tripwire { service: service.clone(), call: call.to_owned(), outcome }]);
    if let Some(key) = held {
        core.spawn_in_session(watch(core.clone(), key, service, connection));
    }
}

/// Has init keep the connection as well, so that a daemon's death does not close it. `None`: too many are held.
fn hold(state: &mut State, service: &ServiceName, connection: &OwnedFd) -> Option<String> {
    let session = state.session.as_mut()?;
    if limit::TRIPWIRES_HELD_MAX <= state.held {
        return None;
    }
    let kept = connection.try_clone().ok()?;
    let taken = |number: &usize| {
        let prefix = format!("{HELD}{number}:");
        session.kept.keys().all(|key| !key.starts_with(&prefix))
    };
    let number = (0..limit::TRIPWIRES_HELD_MAX).find(taken)?;
    let key = format!("{HELD}{number}:{}", service.as_str().to_ascii_lowercase());
    let ours = connection.try_clone().ok()?;
    session.link.say_with(&ToInit::Keep { key: key.clone() }, vec![kept]);
    session.kept.insert(key.clone(), ours);
    state.held += 1;
    Some(key)
}

/// Connections that a daemon before us held.
pub fn resume(core: &Core) {
    let held: Vec<(String, ServiceName, OwnedFd)> = core.with(|state| {
        let kept = state.session.iter().flat_map(|session| &session.kept);
        let held: Vec<_> = kept
            .filter_map(|(key, descriptor)| {
                let (_, unit) = key.strip_prefix(HELD)?.split_once(':')?;
                Some((key.clone(), ServiceName::new(unit).ok()?, descriptor.try_clone().ok()?))
            })
            .collect();
        state.held = held.len();
        held
    });
    for (key, service, connection) in held {
        core.spawn_in_session(watch(core.clone(), key, service, connection));
    }
}

/// Waits until the service hangs up. What it sends is never read, and nothing is ever answered.
async fn watch(core: Core, key: String, service: ServiceName, connection: OwnedFd) {
    if let Ok(connection) = crate::readiness::reading(connection) {
        while let Ok(mut readable) = connection.readable().await {
            if readable.ready().is_read_closed() {
                break;
            }
            readable.clear_ready();
        }
    }
    core.with(|state| {
        if let Some(session) = &mut state.session {
            session.link.say(&ToInit::Release { key: key.clone() });
            session.kept.remove(&key);
        }
        state.held = state.held.saturating_sub(1);
    });
    core.take([Input::TripwireLeft { service }]);
}

/// Serves the terminal tripwire: every open is refused and recorded.
pub async fn terminal(core: Core, group: OwnedFd) {
    let group = match crate::readiness::reading(group) {
        Ok(group) => group,
        Err(error) => return message::error("cannot watch terminals", &[("reason", &error)]),
    };
    let abandoned = fanotify::refuse_abandoned(group.get_ref().as_fd());
    if abandoned > 0 {
        message::info("attempts to open a terminal were left unanswered; refused", &[("count", &abandoned)]);
    }
    loop {
        let Ok(mut readable) = group.readable().await else { return };
        match fanotify::read(group.get_ref().as_fd()) {
            Ok(attempts) if attempts.is_empty() => readable.clear_ready(),
            Ok(attempts) => attempts.into_iter().for_each(|attempt| refuse(&core, attempt)),
            Err(error) => {
                // Descriptors are short: they come back. Others wait behind this one, so it stays ready.
                message::warn("cannot read attempts to open a terminal", &[("reason", &error)]);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        drop(readable);
        tokio::task::yield_now().await;
    }
}

fn refuse(core: &Core, attempt: fanotify::OpenAttempt<'_>) {
    let path =
        attempt.path().map(|path| path.display().to_string()).unwrap_or_else(|_| "a terminal".to_owned());
    let service = attempt.pidfd.as_ref().and_then(|pidfd| core.with(|state| service_of(state, pidfd)));
    if let Err(error) = attempt.answer(Answer::Deny) {
        message::warn("cannot answer an attempt to open a terminal", &[("reason", &error)]);
    }
    match service {
        Some(service) => core.take([Input::Tripwire {
            service,
            call: format!("open {path}"),
            outcome: TripwireOutcome::Refused,
        }]),
        None => core.with(|state| state.dropped.count("an attempt to open a terminal by no service")),
    }
}

fn service_of(state: &mut State, pidfd: &OwnedFd) -> Option<ServiceName> {
    let group = session0_sys::pidfd::group_id(pidfd.as_fd(), state.place.base.mounts()).ok()?;
    match state.session.as_mut()?.member(group).ok()?? {
        Member::Unit(unit) => ServiceName::new(&unit).ok(),
        Member::Init => None,
    }
}

/// The tripwires among kept descriptors: display listeners by path inside, and the terminals' group.
pub fn start(core: &Core) {
    let (displays, terminals) = core.with(|state| {
        let Some(session) = &state.session else { return (Vec::new(), None) };
        let displays: Vec<(String, OwnedFd)> = session
            .kept
            .iter()
            .filter_map(|(name, descriptor)| {
                let path = name.strip_prefix(key::DISPLAY_TRIPWIRE)?;
                Some((path.to_owned(), descriptor.try_clone().ok()?))
            })
            .collect();
        (displays, session.kept(key::TERMINAL_TRIPWIRE))
    });
    for (path, listener) in displays {
        core.spawn_in_session(display(core.clone(), path, listener));
    }
    if let Some(group) = terminals {
        core.spawn_in_session(terminal(core.clone(), group));
    }
    resume(core);
}
