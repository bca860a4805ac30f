//! Sessions made, found, heard and ended: the daemon's side of a session's life.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use session0_model::id::{LaunchId, SESSION_ZERO, ServiceName, SessionId};
use session0_model::launch::plan::Elevation;
use session0_model::launch::session_plan::{Doors, SessionKind, SessionPlan, Shown};
use session0_model::launch::wire::{FromInit, ToInit, key};
use session0_model::service::definition::Definition;
use session0_model::session::program::launch_of_unit;
use session0_model::session::{Happened, Isolation};
use session0_model::system::Input;
use tokio::io::unix::AsyncFd;

use crate::api::host::Door;
use crate::core::{Core, State};
use crate::executor::unit;
use crate::link::{Incoming, Message};
use crate::session::{self, Joined, Making};
use crate::{api, message, notify, pipe, program, tripwire};

/// Ends a session, also one that is just being made.
pub fn end(core: &Core, state: &mut State, session: SessionId) {
    if let Some(live) = state.live(session) {
        return live.kill(session);
    }
    // It is being made, or there is none.
    if let Some(creating) = state.creating.remove(&session) {
        creating.abort();
    }
    let (core, place) = (core.clone(), state.place.clone());
    tokio::task::spawn_local(async move {
        if let Err(fault) = session::leftovers(&place, session).await {
            message::warn("something of a session is left", &[("session", &session), ("reason", &fault)]);
        }
        core.take([Input::SessionEnded(session)]);
    });
}

/// Makes a session.
pub async fn create(core: Core, session: SessionId) {
    let reserved = core.with(|state| reserve(state, session));
    let (place, making) = core.with(|state| (state.place.clone(), making(state, session)));
    let made = match reserved {
        Ok(()) => session::create(&place, session, making).await,
        Err(reason) => Err(reason),
    };
    match made {
        Ok(joined) => {
            let protocol = joined.session.protocol;
            message::info("session made", &[("session", &session), ("protocol", &protocol)]);
            join(&core, session, joined);
            core.take([Input::SessionCreated { session, protocol }]);
        }
        Err(reason) => {
            message::warn("session cannot be made", &[("session", &session), ("reason", &reason)]);
            core.with(|state| state.creating.remove(&session));
            core.take([Input::SessionFailed { session, reason }]);
        }
    }
}

/// Writes down that a user session's number is given, before anything has it: none is given twice until the machine starts again.
fn reserve(state: &State, session: SessionId) -> Result<(), String> {
    if session == SESSION_ZERO {
        return Ok(());
    }
    crate::run::keep_next_session(&state.place.paths, session.0.saturating_add(1))
        .map_err(|fault| format!("its number cannot be kept: {fault}"))
}

fn making(state: &State, session: SessionId) -> Making {
    let kind = match (session, state.system.isolation()) {
        (SESSION_ZERO, Isolation::Vista) => SessionKind::Services,
        (SESSION_ZERO, Isolation::Xp) => SessionKind::Xp(shown(state)),
        _ => SessionKind::User(shown(state)),
    };
    let limits = match kind {
        SessionKind::Services | SessionKind::Xp(_) => state.settings.session_limits,
        SessionKind::User(_) => state.settings.users.limits,
    };
    let doors = Doors { pipes: state.place.paths.pipes().to_string_lossy().into_owned() };
    Making { limits, plan: plan(state, session, &kind), kind, doors }
}

/// What users see of the host: homes where they are not the machine's own, and what services expose.
fn shown(state: &State) -> Shown {
    let paths = &state.place.paths;
    let homes = (!paths.machine()).then(|| paths.homes().to_string_lossy().into_owned());
    let directories = |definition: &Definition| definition.plan.runtime_directories.clone();
    let exposed = state.system.definitions().flat_map(directories);
    let exposed = exposed
        .filter(|directory| directory.visibility == session0_model::launch::plan::Visibility::Exposed)
        .map(|directory| directory.name);
    Shown { homes, exposed: exposed.collect() }
}

fn plan(state: &State, session: SessionId, kind: &SessionKind) -> SessionPlan {
    let paths = &state.place.paths;
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let settings = &state.settings;
    let own = [paths.configuration(), paths.log(), paths.library()].map(text);
    // On the machine itself our runtime directory is below /run, of which a session has its own.
    let run = if paths.run().starts_with("/run") { Vec::new() } else { vec![text(paths.run())] };
    let (read_only, hidden) = match kind {
        SessionKind::Services => (settings.read_only.iter().cloned().chain(own).collect(), run),
        SessionKind::Xp(_) => (Vec::new(), Vec::new()),
        SessionKind::User(_) => (program::read_only(settings), own.into_iter().chain(run).collect()),
    };
    let (terminals_max, state_root, tripwire_uids) = match kind {
        SessionKind::Services => (settings.terminals, text(paths.state()), state.tripwire_uids.clone()),
        SessionKind::Xp(_) => (settings.terminals, text(paths.state()), Vec::new()),
        SessionKind::User(_) => (settings.users.terminals, String::new(), Vec::new()),
    };
    SessionPlan {
        session,
        facilities: state.place.facilities,
        capabilities: session0_sys::capability::LOCAL_SYSTEM,
        elevation: match kind {
            SessionKind::Services | SessionKind::Xp(_) => Elevation::Contained,
            SessionKind::User(_) => settings.users.elevation,
        },
        read_only,
        hidden,
        expose_root: text(paths.expose()),
        state_root,
        sizes: settings.sizes,
        proc_gid: settings.logger_uid(),
        terminals_max,
        tripwire_uids,
    }
}

/// A session is there: everything that belongs to it is started.
pub fn join(core: &Core, id: SessionId, joined: Joined) {
    let Joined { session, incoming } = joined;
    let (link, init) = (session.link.clone(), session.init.clone());
    let listener = session.kept(key::API);
    core.with(|state| {
        state.creating.remove(&id);
        if id == SESSION_ZERO {
            if let Some(outside) = state.outside.as_ref().and_then(|outside| outside.try_clone().ok()) {
                session.link.say_with(&ToInit::Keep { key: OUTSIDE.to_owned() }, vec![outside]);
            }
            state.session = Some(session);
            pipe::keep_all(state);
        } else {
            state.users.insert(id, session);
        }
    });
    core.spawn_in(id, hear(core.clone(), id, incoming));
    let drain = core.clone();
    core.spawn_in(id, async move {
        while link.drained().await.is_ok() {
            drain.flush();
        }
    });
    tokio::task::spawn_local(watch(core.clone(), id, init));
    match listener {
        Some(listener) => core.spawn_in(id, api::listen(core.clone(), Door::Session(id), listener)),
        None => message::error("init keeps no API listener", &[("session", &id)]),
    }
    if id == SESSION_ZERO {
        serve_services(core);
        core.settle_memory();
    }
    core.flush();
}

/// What only Session 0 has.
fn serve_services(core: &Core) {
    match core.with(|state| state.session.as_ref().and_then(|session| session.kept(key::NOTIFY))) {
        Some(socket) => core.spawn_in_session(notify::listen(core.clone(), socket)),
        None => message::error("init keeps no notify socket", &[]),
    }
    tripwire::start(core);
}

/// Key of the outer API listener among the kept descriptors.
pub const OUTSIDE: &str = "api.outside";

async fn hear(core: Core, id: SessionId, mut incoming: Incoming) {
    loop {
        match incoming.batch().await {
            Ok(messages) if messages.is_empty() => {
                return closed(&core, id, &"it closed the connection").await;
            }
            Ok(messages) => heard(&core, id, messages),
            Err(error) => return closed(&core, id, &error).await,
        }
    }
}

/// The link is gone. If init is gone as well, who watches it ends this task; if it lives, its session ends, or for Session 0 we
/// begin anew.
async fn closed(core: &Core, id: SessionId, why: &dyn Display) {
    let reason = why.to_string();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    if id == SESSION_ZERO {
        return core.fail("the init of session 0 lives and cannot be spoken to", &reason);
    }
    message::error("an init lives and cannot be spoken to", &[("session", &id), ("reason", &reason)]);
    core.with(|state| state.live(id).map(|session| session.kill(id)));
}

fn heard(core: &Core, id: SessionId, messages: Vec<Message>) {
    let inputs = core.with(|state| {
        let mut inputs = Vec::with_capacity(messages.len());
        for (message, descriptors) in messages {
            let started = match &message {
                FromInit::Launched { launch, pid, .. } => Some((*launch, Some(*pid))),
                FromInit::LaunchFailed { launch, .. } => Some((*launch, None)),
                _ => None,
            };
            let started = started
                .and_then(|(launch, main)| Some((state.system.service_of_launch(launch)?.clone(), main)));
            let service = started.as_ref().map(|(service, _)| service);
            inputs.extend(translate(state, id, message, descriptors, service));
            if let Some((service, main)) = started {
                inputs.extend(notify::started(state, &service, main));
            }
        }
        inputs
    });
    core.take(inputs);
}

/// Whether a launch of a session is a user's program: in Session 0 it may be a service's.
fn is_program(state: &State, id: SessionId, launch: LaunchId) -> bool {
    id != SESSION_ZERO || state.system.is_program(launch)
}

fn translate(
    state: &mut State,
    id: SessionId,
    message: FromInit,
    descriptors: Vec<OwnedFd>,
    service: Option<&ServiceName>,
) -> Option<Input> {
    let program = match &message {
        FromInit::Launched { launch, .. }
        | FromInit::LaunchFailed { launch, .. }
        | FromInit::Exited { launch, .. }
        | FromInit::ExitedWithUsage { launch, .. } => is_program(state, id, *launch),
        _ => false,
    };
    let session = state.live_mut(id)?;
    let happened = |launch, happened| Input::Program { session: id, launch, happened };
    let exited = |launch, status, remains, usage| match program {
        true => happened(launch, Happened::Exited { status, remains }),
        false => Input::Exited { launch, status, remains, usage },
    };
    match message {
        FromInit::Launched { launch, pid, group, .. } => {
            session.launches = session.launches.saturating_sub(1);
            match service {
                Some(service) => session.units.insert(group, &unit(service)),
                None if program => {
                    session.units.insert(group, &session0_model::session::program::unit(launch))
                }
                None => {}
            }
            Some(if program { happened(launch, Happened::Launched) } else { Input::Launched { launch, pid } })
        }
        FromInit::LaunchFailed { launch, failure } => {
            session.launches = session.launches.saturating_sub(1);
            Some(match program {
                true => happened(launch, Happened::LaunchFailed(failure)),
                false => Input::LaunchFailed { launch, failure },
            })
        }
        FromInit::Exited { sequence, launch, status, remains, .. } => {
            session.exit = session.exit.max(sequence);
            Some(exited(launch, status, remains, None))
        }
        FromInit::ExitedWithUsage { sequence, launch, status, remains, usage, .. } => {
            session.exit = session.exit.max(sequence);
            Some(exited(launch, status, remains, Some(usage)))
        }
        FromInit::GroupEmpty { unit } => match launch_of_unit(&unit) {
            Some(launch) => Some(happened(launch, Happened::GroupEmpty)),
            None => ServiceName::new(&unit).ok().map(|service| Input::GroupEmpty { service }),
        },
        FromInit::Streams { launch } => {
            program::streams(state, id, launch, descriptors);
            None
        }
        FromInit::Kept { key } => {
            if let Some(descriptor) = descriptors.into_iter().next() {
                session.kept.insert(key, descriptor);
            }
            None
        }
        FromInit::Hello { .. }
        | FromInit::Stored { .. }
        | FromInit::Alive { .. }
        | FromInit::Replayed
        | FromInit::Prepared
        | FromInit::PrepareFailed { .. } => {
            state.dropped.count("init said something in the wrong place");
            None
        }
    }
}

/// Waits for init's end: the session's end.
async fn watch(core: Core, id: SessionId, init: Rc<AsyncFd<OwnedFd>>) {
    session::ended(&init).await;
    let (place, session) = core.with(|state| {
        let session = match id {
            SESSION_ZERO => {
                state.deferred.clear();
                state.held = 0;
                state.session.take()
            }
            id => state.users.remove(&id),
        };
        if let Some(session) = &session {
            session.tasks.iter().for_each(|task| task.abort());
        }
        (state.place.clone(), session)
    });
    message::info("session ended", &[("session", &id)]);
    if let Some(session) = session
        && let Err(fault) = session::clear(&place.base, id, session.groups).await
    {
        message::warn("control groups of a session are left", &[("session", &id), ("reason", &fault)]);
    }
    if id != SESSION_ZERO {
        let _ = std::fs::remove_file(place.socket(id));
    }
    core.take([Input::SessionEnded(id)]);
}
