//! Effects performed: most of them are a message to init.

use session0_model::event::Event;
use session0_model::id::{LaunchId, SESSION_ZERO, ServiceName, SessionId};
use session0_model::launch::plan::Role;
use session0_model::launch::session_plan::SessionPlan;
use session0_model::launch::wire::{FromInit, ToInit, key};
use session0_model::system::{Effect, Input};

use crate::api::host::Door;
use crate::core::{Core, Exit, State};
use crate::link::{Incoming, Message};
use crate::session::{self, Joined};
use crate::{api, clock, load, logs, message, notify, tripwire};

/// Performs one effect. What comes of it is put behind the inputs that wait, or comes later.
pub fn perform(core: &Core, state: &mut State, effect: Effect) {
    match effect {
        Effect::CreateSession(session) => {
            state.creating = Some(tokio::task::spawn_local(create(core.clone(), session)));
        }
        Effect::EndSession(session) => end(core, state, session),
        Effect::Launch { launch, service } => launch_service(state, launch, &service),
        Effect::Signal { launch, signal, to } => say(state, &ToInit::Signal { launch, signal, to }),
        Effect::KillGroup(service) => say(state, &ToInit::Kill { unit: unit(&service) }),
        Effect::SetMain { launch, pid } => say(state, &ToInit::SetMain { launch, pid }),
        Effect::Forget(service) => {
            let unit = unit(&service);
            if let Some(session) = &mut state.session {
                session.units.remove(&unit);
            }
            say(state, &ToInit::Forget { unit });
        }
        Effect::Store { key, bytes } => say(state, &ToInit::Store { key, bytes }),
        Effect::Unstore(key) => say(state, &ToInit::Unstore { key }),
        Effect::AcknowledgeExits => {
            if let Some(through) = state.session.as_ref().map(|session| session.exit) {
                say(state, &ToInit::Acknowledge { through });
            }
        }
        Effect::Reply { id, result } => state.replies.push((id, result)),
        Effect::Emit(event) => emit(state, event),
        Effect::LoadConfiguration => {
            let configuration = load::again(state);
            state.inputs.push_back(Input::Loaded(configuration));
            core.settle_memory();
        }
        Effect::Exit(reason) => state.exit = Some(Exit::Asked(reason)),
    }
}

fn unit(service: &ServiceName) -> String {
    service.as_str().to_ascii_lowercase()
}

fn say(state: &State, message: &ToInit) {
    // Without a session there is nothing to tell: its end was or will be told to the model.
    if let Some(session) = &state.session {
        session.link.say(message);
    }
}

fn emit(state: &mut State, event: Event) {
    message::debug("event", &[("event", &format_args!("{event:?}"))]);
    state.events.record(event, clock::wall_now_ms());
}

fn launch_service(state: &mut State, launch: LaunchId, service: &ServiceName) {
    let (Some(session), Some(definition)) = (&state.session, state.system.definition(service)) else {
        return;
    };
    let plan = definition.plan.clone();
    match plan.role {
        Role::Program => {}
        Role::Logger => prepare_logger(state, session, plan.uid),
    }
    session.link.say(&ToInit::Launch { launch, unit: unit(service), plan });
    state.launches += 1;
}

/// What a logger is given comes by descriptor: neither its directory nor our programs need be where Session 0 sees
/// them, or where its uid may go.
fn prepare_logger(state: &State, session: &session::Session, uid: u32) {
    match logs::directory(&state.place.paths.service_logs(), uid) {
        Ok(directory) => session.link.say_with(&ToInit::LogDirectory, directory),
        // Init then reports why the launch fails.
        Err(fault) => message::warn("the log directory cannot be used", &[("reason", &fault)]),
    }
    if session.protocol < LOGGER_PROGRAM_SINCE {
        return;
    }
    match session0_sys::spawn::open_program(&state.logger) {
        Ok(program) => session.link.say_with(&ToInit::LoggerProgram, program),
        Err(fault) => message::warn("the logger's program cannot be opened", &[("reason", &fault)]),
    }
}

/// The first version whose init knows [`ToInit::LoggerProgram`].
const LOGGER_PROGRAM_SINCE: u16 = 2;

fn end(core: &Core, state: &mut State, session: SessionId) {
    if let Some(live) = &state.session {
        if let Err(error) = live.groups.kill() {
            message::error("cannot kill a session", &[("session", &session), ("reason", &error)]);
        }
        return;
    }
    // It is being made, or there is none.
    if let Some(creating) = state.creating.take() {
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

async fn create(core: Core, session: SessionId) {
    let (place, settings, plan) =
        core.with(|state| (state.place.clone(), state.settings.clone(), plan(state, session)));
    match session::create(&place, session, &settings, plan).await {
        Ok(joined) => {
            let protocol = joined.session.protocol;
            message::info("session made", &[("session", &session), ("protocol", &protocol)]);
            join(&core, joined);
            core.take([Input::SessionCreated { session, protocol }]);
        }
        Err(reason) => {
            message::warn("session cannot be made", &[("session", &session), ("reason", &reason)]);
            core.take([Input::SessionFailed { session, reason }]);
        }
    }
}

fn plan(state: &State, session: SessionId) -> SessionPlan {
    let paths = &state.place.paths;
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let mut read_only = state.settings.read_only.clone();
    read_only.extend([paths.configuration(), paths.log(), paths.library()].map(text));
    // On the machine itself our runtime directory is below /run, of which a session has its own.
    let hidden = if paths.run().starts_with("/run") { Vec::new() } else { vec![text(paths.run())] };
    SessionPlan {
        session,
        facilities: state.place.facilities,
        capabilities: session0_sys::capability::LOCAL_SYSTEM,
        read_only,
        hidden,
        expose_root: text(paths.expose()),
        state_root: text(paths.state()),
        sizes: state.settings.sizes,
        proc_gid: state.settings.logger_uid(),
        terminals_max: state.settings.terminals,
        tripwire_uids: state.tripwire_uids.clone(),
    }
}

/// A session is there: everything that belongs to it is started.
pub fn join(core: &Core, joined: Joined) {
    let Joined { session, incoming } = joined;
    let (link, init) = (session.link.clone(), session.init.clone());
    let notifications = session.kept(key::NOTIFY);
    let listener = session.kept(key::API);
    core.with(|state| {
        if let Some(outside) = state.outside.as_ref().and_then(|outside| outside.try_clone().ok()) {
            session.link.say_with(&ToInit::Keep { key: OUTSIDE.to_owned() }, outside);
        }
        state.session = Some(session);
        state.creating = None;
    });
    core.spawn_in_session(hear(core.clone(), incoming));
    let drain = core.clone();
    core.spawn_in_session(async move {
        while link.drained().await.is_ok() {
            drain.with(State::reply);
        }
    });
    tokio::task::spawn_local(watch(core.clone(), init));
    match notifications {
        Some(socket) => core.spawn_in_session(notify::listen(core.clone(), socket)),
        None => message::error("init keeps no notify socket", &[]),
    }
    match listener {
        Some(listener) => {
            core.spawn_in_session(api::listen(core.clone(), Door::Session(SESSION_ZERO), listener))
        }
        None => message::error("init keeps no API listener", &[]),
    }
    tripwire::start(core);
    core.flush();
    core.settle_memory();
}

/// Key of the outer API listener among the kept descriptors.
pub const OUTSIDE: &str = "api.outside";

async fn hear(core: Core, mut incoming: Incoming) {
    loop {
        match incoming.batch().await {
            Ok(messages) if messages.is_empty() => return closed(&core, &"it closed the connection").await,
            Ok(messages) => heard(&core, messages),
            Err(error) => return closed(&core, &error).await,
        }
    }
}

/// The link is gone. If init is gone as well, who watches it ends this task; if it lives, we begin anew.
async fn closed(core: &Core, why: &dyn std::fmt::Display) {
    let reason = why.to_string();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    core.fail("the init of session 0 lives and cannot be spoken to", &reason);
}

fn heard(core: &Core, messages: Vec<Message>) {
    let inputs = core.with(|state| {
        let mut inputs = Vec::with_capacity(messages.len());
        for (message, descriptor) in messages {
            let started = match &message {
                FromInit::Launched { launch, pid, .. } => Some((*launch, Some(*pid))),
                FromInit::LaunchFailed { launch, .. } => Some((*launch, None)),
                _ => None,
            };
            let started = started
                .and_then(|(launch, main)| Some((state.system.service_of_launch(launch)?.clone(), main)));
            let service = started.as_ref().map(|(service, _)| service);
            inputs.extend(translate(state, message, descriptor, service));
            if let Some((service, main)) = started {
                inputs.extend(notify::started(state, &service, main));
            }
        }
        inputs
    });
    core.take(inputs);
}

fn translate(
    state: &mut State,
    message: FromInit,
    descriptor: Option<std::os::fd::OwnedFd>,
    service: Option<&ServiceName>,
) -> Option<Input> {
    let session = state.session.as_mut()?;
    match message {
        FromInit::Launched { launch, pid, group, .. } => {
            state.launches = state.launches.saturating_sub(1);
            if let Some(service) = service {
                session.units.insert(group, &unit(service));
            }
            Some(Input::Launched { launch, pid })
        }
        FromInit::LaunchFailed { launch, failure } => {
            state.launches = state.launches.saturating_sub(1);
            Some(Input::LaunchFailed { launch, failure })
        }
        FromInit::Exited { sequence, launch, status, remains, .. } => {
            session.exit = session.exit.max(sequence);
            Some(Input::Exited { launch, status, remains, usage: None })
        }
        FromInit::ExitedWithUsage { sequence, launch, status, remains, usage, .. } => {
            session.exit = session.exit.max(sequence);
            Some(Input::Exited { launch, status, remains, usage: Some(usage) })
        }
        FromInit::GroupEmpty { unit } => {
            ServiceName::new(&unit).ok().map(|service| Input::GroupEmpty { service })
        }
        FromInit::Kept { key } => {
            if let Some(descriptor) = descriptor {
                session.kept.insert(key, descriptor);
            }
            None
        }
        FromInit::Hello { .. }
        | FromInit::Stored { .. }
        | FromInit::Alive { .. }
        | FromInit::Replayed
        | FromInit::Prepared
        | FromInit::Streams { .. }
        | FromInit::PrepareFailed { .. } => {
            state.dropped.count("init said something in the wrong place");
            None
        }
    }
}

/// Waits for init's end: the session's end.
async fn watch(core: Core, init: std::rc::Rc<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>) {
    session::ended(&init).await;
    let (place, session) = core.with(|state| {
        state.tasks.drain(..).for_each(|task| task.abort());
        state.deferred.clear();
        state.held = 0;
        state.launches = 0;
        (state.place.clone(), state.session.take())
    });
    message::info("session ended", &[("session", &SESSION_ZERO)]);
    if let Some(session) = session
        && let Err(fault) = session::clear(&place.base, session.groups).await
    {
        message::warn(
            "control groups of a session are left",
            &[("session", &SESSION_ZERO), ("reason", &fault)],
        );
    }
    core.take([Input::SessionEnded(SESSION_ZERO)]);
}
