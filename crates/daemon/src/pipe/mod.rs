//! Named pipes: the connections of their servers, their sockets in every session, and passing ends on. Which client gets which instance is
//! the model's to say; no byte of a pipe comes by here.

pub mod door;
pub mod names;
pub mod server;

use std::collections::{BTreeMap, HashMap};

use session0_model::launch::wire::ToInit;
use session0_model::pipe::id::ServerId;
use session0_model::pipe::name::PipeName;
use session0_model::system::Input;

use crate::core::{Core, State};
use crate::{api, message};

/// What the daemon has of pipes.
#[derive(Default)]
pub struct Pipes {
    /// Servers' connections.
    pub servers: HashMap<ServerId, server::Server>,
    /// Pipes' sockets.
    pub doors: BTreeMap<PipeName, door::Door>,
    /// Who waits at them.
    pub clients: door::Waiting,
    /// Whose lists of pipes are being written.
    pub lists: api::Clients,
    /// Names of accounts.
    pub names: names::Names,
}

/// Has a new init of Session 0 keep what the one before kept.
pub fn keep_all(state: &State) {
    let Some(session) = &state.session else { return };
    for (id, server) in &state.pipes.servers {
        if let Some(socket) = server.duplicate() {
            session.link.say_with(&ToInit::Keep { key: server::key(*id) }, vec![socket]);
        }
    }
    for (name, door) in &state.pipes.doors {
        if let Some(listener) = door.duplicate() {
            session.link.say_with(&ToInit::Keep { key: door::key(name) }, vec![listener]);
        }
    }
}

/// Goes on with the servers' connections that init kept for us; before the model starts, which has something to ask them.
pub fn adopt(core: &Core) {
    let kept = core.with(|state| {
        let session = state.session.as_mut()?;
        let servers: Vec<ServerId> = session.kept.keys().filter_map(|key| server::of_key(key)).collect();
        let take = |id: ServerId| Some((id, session.kept.remove(&server::key(id))?));
        Some(servers.into_iter().filter_map(take).collect::<Vec<_>>())
    });
    for (id, socket) in kept.into_iter().flatten() {
        core.with(|state| server::expect(state, id));
        server::serve(core, id, Some(socket), server::Stream::Torn);
    }
}

/// After the model has started: closes what nobody knows of, and says which servers' connections are not there.
pub fn settle(core: &Core) {
    let gone = core.with(|state| {
        let known = state.system.pipe_servers();
        let missing: Vec<ServerId> =
            known.iter().filter(|id| !state.pipes.servers.contains_key(id)).copied().collect();
        let mut unknown: Vec<ServerId> = state.pipes.servers.keys().copied().collect();
        unknown.retain(|id| !known.contains(id));
        for id in unknown {
            server::drop(state, id);
        }
        if let Some(session) = &mut state.session {
            let doors: Vec<String> = session.kept.keys().filter(|key| door::is_key(key)).cloned().collect();
            for key in doors {
                session.kept.remove(&key);
                if !state.pipes.doors.keys().any(|name| door::key(name) == key) {
                    session.link.say(&ToInit::Release { key });
                }
            }
        }
        door::remove_stale(state);
        missing
    });
    core.take(gone.into_iter().map(Input::PipeServerGone));
}

/// Nothing is left of pipes: the host goes down.
pub fn close_all(state: &mut State) {
    let names: Vec<PipeName> = state.pipes.doors.keys().cloned().collect();
    for name in names {
        door::unbind(state, &name);
    }
    let servers: Vec<ServerId> = state.pipes.servers.keys().copied().collect();
    for id in servers {
        server::drop(state, id);
    }
    message::debug("pipes are closed", &[]);
}
