//! Pipes' own sockets, for programs of any language: `run/session0/pipe/<name>` outside, `/run/session0/pipe/<name>` in every session.
//!
//! Whoever connects is identified by the kernel as at the API, and asks for an instance by that: what he connected becomes the pipe. He
//! cannot say how long he waits nor be told why not: he waits for [`limit::PIPE_SOCKET_WAIT`], and a refusal is the end of the stream.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use session0_model::launch::wire::ToInit;
use session0_model::limit;
use session0_model::pipe::name::PipeName;
use session0_model::pipe::request::{PipeRequest, Wait};
use session0_model::pipe::settings::Impersonation;
use session0_model::system::{Reply, Request};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::api::host::{Door as Where, Host as _};
use crate::api::{Clients, Limits};
use crate::core::{Core, State};
use crate::{api, message};

/// Clients that wait to be accepted.
const BACKLOG: i32 = 256;
const KEY: &str = "pipe.socket.";

/// A pipe's socket.
pub struct Door {
    listener: Rc<UnixListener>,
    task: JoinHandle<()>,
}

impl Door {
    /// A duplicate of the listener.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned().ok()
    }
}

/// How many clients wait at the sockets of all pipes, and whose they are.
pub struct Waiting {
    clients: Clients,
    limits: Rc<Limits>,
}

impl Default for Waiting {
    fn default() -> Waiting {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Waiting { clients: Clients::default(), limits: Rc::new(limits(open_files)) }
    }
}

/// Each is a descriptor, of which a sixteenth are for them: whoever waits here must not keep others from the API.
fn limits(open_files: Option<u64>) -> Limits {
    let part = open_files.and_then(|most| usize::try_from(most / 16).ok());
    let clients =
        part.map_or(limit::PIPE_SOCKET_CLIENTS_MAX, |part| part.min(limit::PIPE_SOCKET_CLIENTS_MAX));
    let clients_per_uid = limit::PIPE_WAITERS_MAX.min(clients / 4);
    Limits { clients, reserved: clients / 16, clients_per_uid, ..Limits::default() }
}

/// Key of a pipe's socket among the kept descriptors.
pub fn key(name: &PipeName) -> String {
    format!("{KEY}{}", name.as_str().to_ascii_lowercase())
}

/// Whether a key is of a pipe's socket.
pub fn is_key(key: &str) -> bool {
    key.starts_with(KEY)
}

/// Has a socket for a pipe: the one that init kept, so that clients who came while no daemon was there are served; else a new one.
pub fn bind(core: &Core, state: &mut State, name: PipeName) {
    let Some(file) = name.socket_name().filter(|_| !state.pipes.doors.contains_key(&name)) else { return };
    let path = state.place.paths.pipes().join(file);
    let kept = state.session.as_mut().and_then(|session| session.kept.remove(&key(&name)));
    let listener = match kept.filter(|_| std::fs::symlink_metadata(&path).is_ok()) {
        Some(listener) => Ok(listener),
        None => {
            let _ = std::fs::remove_file(&path);
            session0_sys::packet::listen_stream(&path, 0o666, BACKLOG)
        }
    };
    let begun = listener.and_then(|listener| {
        if let (Some(session), Ok(kept)) = (&state.session, listener.try_clone()) {
            session.link.say_with(&ToInit::Keep { key: key(&name) }, vec![kept]);
        }
        let listener = std::os::unix::net::UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        let listener = Rc::new(UnixListener::from_std(listener)?);
        let task = tokio::task::spawn_local(listen(core.clone(), name.clone(), listener.clone()));
        Ok(Door { listener, task })
    });
    match begun {
        Ok(door) => {
            state.pipes.doors.insert(name, door);
        }
        // The pipe is there all the same, by the API.
        Err(error) => message::error("a pipe has no socket", &[("pipe", &name), ("reason", &error)]),
    }
}

/// Has none any more. Whoever waits in its queue is told by the end of his connection.
pub fn unbind(state: &mut State, name: &PipeName) {
    let Some(door) = state.pipes.doors.remove(name) else { return };
    door.task.abort();
    if let Some(file) = name.socket_name() {
        let _ = std::fs::remove_file(state.place.paths.pipes().join(file));
    }
    if let Some(session) = &state.session {
        session.link.say(&ToInit::Release { key: key(name) });
    }
}

/// Removes sockets of pipes that are not there any more: a host before us left them.
pub fn remove_stale(state: &State) {
    let known: Vec<String> = state.pipes.doors.keys().filter_map(PipeName::socket_name).collect();
    let Ok(entries) = std::fs::read_dir(state.place.paths.pipes()) else { return };
    for entry in entries.flatten() {
        if !known.iter().any(|name| entry.file_name() == name.as_str()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

async fn listen(core: Core, name: PipeName, listener: Rc<UnixListener>) {
    let (clients, limits) =
        core.with(|state| (state.pipes.clients.clients.clone(), state.pipes.clients.limits.clone()));
    let mut failures = 0_u64;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failures = 0;
                admit(&core, &name, stream, &clients, &limits);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Said once, not ten times a second for each pipe.
                if failures == 0 {
                    message::warn("cannot accept a pipe's client", &[("pipe", &name), ("reason", &error)]);
                }
                failures += 1;
                tokio::time::sleep(limits.accept_pause).await;
            }
        }
        // Whoever connects in a loop must not keep the daemon from its other work.
        tokio::task::yield_now().await;
    }
}

fn admit(core: &Core, name: &PipeName, stream: UnixStream, clients: &Clients, limits: &Limits) {
    let caller = match core.identify(Where::Pipe, stream.as_fd()) {
        Ok(caller) => caller,
        Err(error) => {
            return message::debug("a pipe's client is not known", &[("pipe", name), ("reason", &error)]);
        }
    };
    // Every session's clients are in one book: root of one has the places of its user.
    let counted = core.with(|state| state.system.counted_against(&caller)).unwrap_or(0);
    let Ok(place) = clients.take(counted, limits) else {
        return message::debug("too many wait at pipes", &[("uid", &counted)]);
    };
    let (core, name) = (core.clone(), name.clone());
    tokio::task::spawn_local(async move {
        let request = PipeRequest::Open {
            name: name.clone(),
            access: None,
            impersonation: Impersonation::Identification,
            wait: Wait::For(limit::PIPE_SOCKET_WAIT),
        };
        // Whether he has hung up is not looked at: what he wrote before that is still to be read by the server.
        match core.request(caller.clone(), Request::Pipe(request)).await {
            Ok(Reply::PipeOpened(opened)) => {
                let given = api::given(core.clone(), caller, *opened);
                match stream.into_std() {
                    Ok(stream) => given.take(stream.into()),
                    Err(error) => message::warn("a pipe cannot be passed on", &[("reason", &error)]),
                }
            }
            Ok(_) => {}
            Err(refusal) => {
                let code = refusal.code();
                message::debug(
                    "a pipe's client is refused",
                    &[("pipe", &name), ("uid", &caller.uid), ("code", &code)],
                );
            }
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_at_pipes_takes_a_part_of_the_descriptors_and_one_user_a_part_of_that() {
        for (open_files, all, one) in
            [(Some(1024), 64, 16), (Some(20_000), 1250, 256), (Some(1 << 20), 4096, 256), (None, 4096, 256)]
        {
            let limits = limits(open_files);
            assert_eq!((limits.clients, limits.clients_per_uid), (all, one), "{open_files:?}");
        }
    }
}
