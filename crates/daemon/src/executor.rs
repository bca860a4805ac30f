//! Effects performed: most of them are a message to init.

use session0_model::event::Event;
use session0_model::id::{LaunchId, SESSION_ZERO, ServiceName, SessionId};
use session0_model::launch::plan::Role;
use session0_model::launch::wire::ToInit;
use session0_model::session::{Isolation, RECORD};
use session0_model::system::{Effect, Input, Reply};

use crate::core::{Core, Exit, State};
use crate::{clock, conversation, join, load, logs, message, pipe, program, session, viewer};

/// Performs one effect. What comes of it is put behind the inputs that wait, or comes later.
pub fn perform(core: &Core, state: &mut State, effect: Effect) {
    match effect {
        Effect::CreateSession(session) => {
            let making = tokio::task::spawn_local(join::create(core.clone(), session));
            state.creating.insert(session, making);
        }
        Effect::EndSession(session) => join::end(core, state, session),
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
        Effect::Enter { session, user } => program::enter(state, session, &user),
        Effect::LaunchProgram(launch) => program::launch(state, *launch),
        Effect::SignalProgram { session, launch, signal, to } => {
            say_in(state, session, &ToInit::Signal { launch, signal, to });
        }
        Effect::KillUnit { session, unit } => say_in(state, session, &ToInit::Kill { unit }),
        Effect::ForgetUnit { session, unit } => program::forget(state, session, unit),
        Effect::ReleaseTerminal { session, launch } => program::release_terminal(state, session, launch),
        Effect::StoreSession { session, bytes } => {
            say_in(state, session, &ToInit::Store { key: RECORD.to_owned(), bytes });
        }
        Effect::UnstoreSession(session) => {
            say_in(state, session, &ToInit::Unstore { key: RECORD.to_owned() })
        }
        Effect::AcknowledgeIn(id) => {
            if let Some(through) = state.live(id).map(|session| session.exit) {
                say_in(state, id, &ToInit::Acknowledge { through });
            }
        }
        Effect::Attach { session, launch, viewer, to } => {
            viewer::attach(core, state, session, launch, viewer, to)
        }
        Effect::TellViewer { session, viewer, view } => viewer::tell(state, session, viewer, &view),
        Effect::BeginConversation { logon, task } => conversation::begin(core, state, logon, task),
        Effect::TellLogon { logon, message } => conversation::tell(state, logon, &message, &[]),
        Effect::EndConversation(logon) => conversation::end(state, logon),
        Effect::Store { key, bytes } => say(state, &ToInit::Store { key, bytes }),
        Effect::Unstore(key) => say(state, &ToInit::Unstore { key }),
        Effect::AcknowledgeExits => {
            if let Some(through) = state.session.as_ref().map(|session| session.exit) {
                say(state, &ToInit::Acknowledge { through });
            }
        }
        Effect::BindPipe(name) => pipe::door::bind(core, state, name),
        Effect::UnbindPipe(name) => pipe::door::unbind(state, &name),
        Effect::TellPipeServer { server, tell } => pipe::server::tell(state, server, tell),
        Effect::DropPipeServer(server) => pipe::server::drop(state, server),
        Effect::Reply { id, result } => {
            if let Ok(Reply::PipeListening(listening)) = &result {
                pipe::server::expect(state, listening.server);
            }
            state.replies.push((id, result));
        }
        Effect::Emit(event) => emit(state, event),
        Effect::LoadConfiguration => {
            let configuration = load::again(state);
            state.inputs.push_back(Input::Loaded(configuration));
            core.settle_memory();
        }
        Effect::Exit(reason) => state.exit = Some(Exit::Asked(reason)),
    }
}

/// The unit of a service.
pub fn unit(service: &ServiceName) -> String {
    service.as_str().to_ascii_lowercase()
}

fn say(state: &State, message: &ToInit) {
    say_in(state, SESSION_ZERO, message);
}

/// Tells the init of a session.
pub fn say_in(state: &State, session: SessionId, message: &ToInit) {
    // Without a session there is nothing to tell: its end was or will be told to the model.
    if let Some(session) = state.live(session) {
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
    let mut plan = definition.plan.clone();
    if state.system.isolation() == Isolation::Xp {
        program::without_walls(&mut plan);
    }
    match plan.role {
        Role::Program => {}
        Role::Logger => prepare_logger(state, session, plan.uid),
    }
    session.link.say(&ToInit::Launch { launch, unit: unit(service), plan });
    if let Some(session) = &mut state.session {
        session.launches += 1;
    }
}

/// What a logger is given comes by descriptor: neither its directory nor our programs need be where Session 0 sees
/// them, or where its uid may go.
fn prepare_logger(state: &State, session: &session::Session, uid: u32) {
    match logs::directory(&state.place.paths.service_logs(), uid) {
        Ok(directory) => session.link.say_with(&ToInit::LogDirectory, vec![directory]),
        // Init then reports why the launch fails.
        Err(fault) => message::warn("the log directory cannot be used", &[("reason", &fault)]),
    }
    if session.protocol < LOGGER_PROGRAM_SINCE {
        return;
    }
    match session0_sys::spawn::open_program(&state.logger) {
        Ok(program) => session.link.say_with(&ToInit::LoggerProgram, vec![program]),
        Err(fault) => message::warn("the logger's program cannot be opened", &[("reason", &fault)]),
    }
}

/// The first version whose init knows [`ToInit::LoggerProgram`].
const LOGGER_PROGRAM_SINCE: u16 = 2;
