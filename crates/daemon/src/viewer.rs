//! Viewers: clients that a program's streams are with. Each has a socket whose end says that the client is gone; our end of it is
//! kept by the session's init as well, so that a new daemon still hears that.

use std::os::fd::{AsFd as _, OwnedFd};

use session0_api::conversation::View as Said;
use session0_model::id::{LaunchId, SESSION_ZERO, SessionId, ViewerId};
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::wire::{self, ToInit};
use session0_model::logon::wire::ToLogon;
use session0_model::session::program::{Attachee, EndReason, View};
use session0_model::system::Input;
use session0_sys::packet;
use tokio::task::JoinHandle;

use crate::core::{Core, State};
use crate::{conversation, message, program};

/// One client.
pub struct Viewer {
    socket: OwnedFd,
    watch: JoinHandle<()>,
}

/// Key of our end of a viewer's socket.
pub fn key(viewer: ViewerId) -> String {
    format!("{}{}", wire::key::VIEWER, viewer.0)
}

/// Gives a client the other ends of a program's streams.
pub fn attach(
    core: &Core,
    state: &mut State,
    id: SessionId,
    launch: LaunchId,
    viewer: ViewerId,
    to: Attachee,
) {
    let (ours, theirs) = match packet::pair_with_client() {
        Ok(pair) => pair,
        Err(error) => {
            message::error("cannot give a client its terminal", &[("session", &id), ("reason", &error)]);
            return state.inputs.push_back(Input::ViewerGone(viewer));
        }
    };
    if let (Some(session), Ok(kept)) = (state.live(id), ours.try_clone()) {
        session.link.say_with(&ToInit::Keep { key: key(viewer) }, vec![kept]);
    }
    watch(core, state, viewer, ours);
    let streams = state.live_mut(id).and_then(|session| session.streams.remove(&launch));
    match to {
        Attachee::Request(request) => {
            let streams = std::iter::once(theirs).chain(streams.unwrap_or_default());
            state.attached.insert(launch, (request, streams.collect()));
        }
        Attachee::Logon { logon, entry, notices } => {
            let kept = state.live(id).and_then(|session| session.kept(&program::terminal_key(launch)));
            let Some(terminal) = kept else {
                message::error("a session's terminal is not there", &[("session", &id)]);
                return conversation::end(state, logon);
            };
            let message = ToLogon::Concluded { session: id.0, entry, notices };
            state.concluded.push((logon, message, vec![terminal, theirs]));
        }
    }
}

/// Closes kept sockets of viewers that nobody knows of: the daemon before died between keeping one and saying whose it is. Their
/// clients hear the end of it.
pub fn close_unknown(state: &mut State, known: &[(SessionId, ViewerId)]) {
    let sessions = state.session.iter_mut().map(|session| (SESSION_ZERO, session));
    for (id, session) in sessions.chain(state.users.iter_mut().map(|(id, session)| (*id, session))) {
        let of_viewer = |key: &&String| key.starts_with(wire::key::VIEWER);
        let kept: Vec<String> = session.kept.keys().filter(of_viewer).cloned().collect();
        for kept in kept {
            if !known.iter().any(|(session, viewer)| *session == id && key(*viewer) == kept) {
                session.kept.remove(&kept);
                session.link.say(&ToInit::Release { key: kept });
            }
        }
    }
}

/// Watches our end of a viewer's socket: one just made, or one that init kept.
pub fn watch(core: &Core, state: &mut State, viewer: ViewerId, socket: OwnedFd) {
    let (core, watched) = (core.clone(), socket.try_clone());
    let watch = tokio::task::spawn_local(async move {
        if let Ok(socket) = watched.and_then(crate::readiness::reading) {
            until_closed(&socket).await;
        }
        core.with(|state| state.viewers.remove(&viewer));
        core.take([Input::ViewerGone(viewer)]);
    });
    state.viewers.insert(viewer, Viewer { socket, watch });
}

/// A viewer says nothing. What it says all the same is never read: it fills its own socket, and costs us no more than that.
async fn until_closed(socket: &tokio::io::unix::AsyncFd<OwnedFd>) {
    while let Ok(mut readable) = socket.readable().await {
        if readable.ready().is_read_closed() {
            return;
        }
        readable.clear_ready();
    }
}

/// Tells a viewer why it is over, and closes its socket.
pub fn tell(state: &mut State, id: SessionId, viewer: ViewerId, view: &View) {
    if let Some(told) = state.viewers.remove(&viewer)
        && let Ok(bytes) = serde_json::to_vec(&said(view))
    {
        told.watch.abort();
        // Whoever does not take it now is told by the socket's end.
        let _ = packet::send(told.socket.as_fd(), &bytes, &[]);
    }
    if let Some(session) = state.live_mut(id) {
        let key = key(viewer);
        session.kept.remove(&key);
        session.link.say(&ToInit::Release { key });
    }
}

fn said(view: &View) -> Said {
    match view {
        View::TakenOver(client) => Said::TakenOver { by: client.name.clone() },
        View::Ended { reason, status } => {
            let (code, signal) = match status {
                Some(ExitStatus::Exited(code)) => (Some(*code), None),
                Some(ExitStatus::Signaled { signal, .. }) => (None, Some(*signal)),
                None => (None, None),
            };
            Said::Ended { reason: why(*reason).to_owned(), code, signal }
        }
    }
}

/// Why a session or a program in it ended, after "it ended".
pub fn why(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Left => "by itself",
        EndReason::LoggedOff => "because it was logged off",
        EndReason::HungUp => "because its terminal went away",
        EndReason::Shutdown => "because the host shuts down",
        EndReason::InitDied => "because its init died",
        EndReason::Lost => "because nobody knows any more what it was",
    }
}
