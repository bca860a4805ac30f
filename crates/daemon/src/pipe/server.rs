//! One server's connection: what it says goes to the model, clients' ends go to it. Init keeps a duplicate, so that a new daemon goes on
//! with it and no name is free for a moment.

use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use session0_api::pipe::control::{FromHost, FromServer, OBJECT_MAX};
use session0_model::access::Caller;
use session0_model::launch::wire::ToInit;
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::request::{Opened, Said, Tell};
use session0_model::pipe::settings::{Access, Impersonation};
use session0_model::system::Input;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::api::frame::{Frames, Next, READ_SIZE};
use crate::api::{send, translate};
use crate::core::{Core, State};
use crate::message;

/// A server. One whose `Listen` is just being answered has no connection yet: what it is to be told waits.
#[derive(Default)]
pub struct Server {
    socket: Option<Rc<AsyncFd<OwnedFd>>>,
    early: Vec<(Vec<u8>, Vec<OwnedFd>)>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// A duplicate of its connection.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        self.socket.as_ref()?.get_ref().try_clone().ok()
    }
}

const KEY: &str = "pipe.server.";

/// Key of a server's connection among the kept descriptors.
pub fn key(server: ServerId) -> String {
    format!("{KEY}{}", server.0)
}

/// Whose connection a key is of.
pub fn of_key(key: &str) -> Option<ServerId> {
    Some(ServerId(key.strip_prefix(KEY)?.parse().ok()?))
}

/// A server's `Listen` is being answered: clients may be given its instances before its connection is here.
pub fn expect(state: &mut State, server: ServerId) {
    state.pipes.servers.entry(server).or_default();
}

/// Whether a connection was read from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its first byte is an object's first.
    Fresh,
    /// By a daemon before us, which may have read the beginning of an object and died.
    Torn,
}

/// Its connection is here; `None`: it left before it was answered.
pub fn serve(core: &Core, id: ServerId, socket: Option<OwnedFd>, stream: Stream) {
    let begun = core.with(|state| {
        let server = state.pipes.servers.get_mut(&id)?;
        let socket = socket?;
        let socket = Rc::new(crate::readiness::reading(socket).ok()?);
        if let (Some(session), Ok(kept)) = (&state.session, socket.get_ref().try_clone()) {
            session.link.say_with(&ToInit::Keep { key: key(id) }, vec![kept]);
        }
        server.task = Some(tokio::task::spawn_local(hear(core.clone(), id, socket.clone(), stream)));
        server.socket = Some(socket);
        let early = std::mem::take(&mut server.early);
        early.into_iter().all(|(bytes, descriptors)| transmit(server, &bytes, &descriptors)).then_some(())
    });
    match begun {
        Some(()) => core.flush(),
        None => gone(core, id),
    }
}

async fn hear(core: Core, id: ServerId, socket: Rc<AsyncFd<OwnedFd>>, stream: Stream) {
    let mut frames = Frames::default();
    let mut torn = stream == Stream::Torn;
    loop {
        match frames.take(OBJECT_MAX) {
            Next::Call(object) => match said(&object) {
                // No end of an object is one. What it said, the server's answer to the recount has in it.
                Err(_) if std::mem::take(&mut torn) => {}
                Ok(said) => {
                    torn = false;
                    core.take(said.map(|said| Input::PipeSaid { server: id, said }));
                }
                Err(error) => {
                    message::debug("a pipe's server is not understood", &[("reason", &error)]);
                    break;
                }
            },
            Next::TooLong => break,
            Next::Nothing | Next::Begun => {
                let Ok(mut readable) = socket.readable().await else { break };
                let mut buffer = [0; READ_SIZE];
                match readable.try_io(|socket| Ok(rustix::io::read(socket.get_ref(), &mut buffer)?)) {
                    Ok(Ok(0) | Err(_)) => break,
                    Ok(Ok(count)) => frames.add(&buffer[..count]),
                    Err(_would_block) => {}
                }
            }
        }
        // A server that never stops talking must not keep the daemon from its other work.
        tokio::task::yield_now().await;
    }
    gone(&core, id);
}

/// Nothing for an object of a kind that this daemon does not know.
fn said(object: &[u8]) -> Result<Option<Said>, serde_json::Error> {
    let said = match serde_json::from_slice(object) {
        Ok(said) => said,
        Err(error) => {
            // serde takes an unknown name only if nothing is said with it.
            let object: std::collections::BTreeMap<String, serde_json::Value> =
                serde_json::from_slice(object)?;
            const KNOWN: [&str; 4] = ["listen", "closed", "stop", "counted"];
            return match object.keys().any(|name| KNOWN.contains(&name.as_str())) {
                true => Err(error),
                false => Ok(None),
            };
        }
    };
    Ok(match said {
        FromServer::Listen { instances } => Some(Said::Listen(instances)),
        FromServer::Closed { instance } => Some(Said::Closed(InstanceId(instance))),
        FromServer::Stop {} => Some(Said::Stop),
        FromServer::Counted { listening, connected } => Some(Said::Counted { listening, connected }),
        FromServer::Unknown => None,
    })
}

/// It is gone, or its connection cannot be used.
fn gone(core: &Core, id: ServerId) {
    core.with(|state| drop(state, id));
    core.take([Input::PipeServerGone(id)]);
}

/// Closes a server's connection.
pub fn drop(state: &mut State, id: ServerId) {
    let Some(server) = state.pipes.servers.remove(&id) else { return };
    if let Some(task) = server.task {
        task.abort();
    }
    if let (Some(session), Some(_)) = (&state.session, server.socket) {
        session.link.say(&ToInit::Release { key: key(id) });
    }
}

/// Tells it. One that does not take it is gone.
pub fn tell(state: &mut State, id: ServerId, tell: Tell) {
    let object = match tell {
        Tell::Refused(instances) => FromHost::Refused { instances },
        Tell::Recount => FromHost::Recount {},
    };
    // Neither is ever long.
    let _ = say(state, id, &object, Vec::new());
}

/// What became of an object for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It is on its way, or the server is gone.
    Said,
    /// The protocol has no object so long: nothing was said.
    TooLong,
}

fn say(state: &mut State, id: ServerId, object: &FromHost, descriptors: Vec<OwnedFd>) -> Told {
    let Some(server) = state.pipes.servers.get_mut(&id) else { return Told::Said };
    let mut bytes = serde_json::to_vec(object).unwrap_or_default();
    bytes.push(0);
    // A client with thousands of groups would be the end of a server that takes it.
    if bytes.len() > OBJECT_MAX {
        return Told::TooLong;
    }
    if server.socket.is_none() {
        server.early.push((bytes, descriptors));
        return Told::Said;
    }
    if !transmit(server, &bytes, &descriptors) {
        // It does not read what it is told, or is gone; its task need not find that out.
        drop(state, id);
        state.inputs.push_back(Input::PipeServerGone(id));
    }
    Told::Said
}

/// Whether the server's socket has all of it. It has room for as many objects as a server may have instances that listen.
fn transmit(server: &Server, bytes: &[u8], descriptors: &[OwnedFd]) -> bool {
    let descriptors: Vec<_> = descriptors.iter().map(|one| one.as_fd()).collect();
    let sent = |socket: &Rc<AsyncFd<OwnedFd>>| send(socket.get_ref().as_fd(), bytes, &descriptors);
    server.socket.as_ref().is_some_and(|socket| sent(socket).is_ok_and(|sent| sent == bytes.len()))
}

/// Gives a server its end of a pipe whose client was answered.
pub fn hand_over(core: &Core, opened: &Opened, caller: &Caller, socket: OwnedFd) {
    let prepared = prepare(opened, &socket);
    if let Err(error) = prepared {
        // The client is told by the end of its socket; the instance is taken back.
        message::warn("a pipe cannot be passed on", &[("pipe", &opened.name), ("reason", &error)]);
        return core.take([lost(opened)]);
    }
    let anonymous = opened.impersonation == Impersonation::Anonymous;
    let process = (!anonymous).then(|| session0_sys::peer::pidfd(socket.as_fd()).ok()).flatten();
    let told = core.with(|state| {
        // As the model knows it: in a user's session its root shows the kernel whom it likes.
        let caller = state.system.as_known_here(caller.clone());
        let object = FromHost::Connected {
            instance: opened.instance.0,
            access: translate::pipe::access(opened.access),
            impersonation: translate::pipe::impersonation(opened.impersonation),
            client: match anonymous {
                true => translate::pipe::anonymous(),
                false => super::names::peer(state, &caller),
            },
        };
        say(state, opened.server, &object, [socket].into_iter().chain(process).collect())
    });
    core.take(match told {
        Told::Said => None,
        Told::TooLong => Some(lost(opened)),
    });
}

fn lost(opened: &Opened) -> Input {
    Input::PipeLost { server: opened.server, instance: opened.instance }
}

/// The server's end as the pipe is: one that may not be read from, or written to, by the client cannot be, whatever the ends do.
fn prepare(opened: &Opened, socket: &OwnedFd) -> std::io::Result<()> {
    use rustix::net::{Shutdown, shutdown, sockopt};
    match opened.access {
        Access::Duplex => {}
        Access::Read => shutdown(socket, Shutdown::Read)?,
        Access::Write => shutdown(socket, Shutdown::Write)?,
    }
    if let Some(buffer) = opened.buffer {
        sockopt::set_socket_send_buffer_size(socket, usize::try_from(buffer).unwrap_or(usize::MAX))?;
    }
    match opened.descriptors {
        true => session0_sys::packet::allow_descriptors(socket.as_fd())?,
        false => session0_sys::packet::refuse_descriptors(socket.as_fd())?,
    }
    // Whoever has it from us decides for himself; most expect a socket that blocks.
    rustix::fs::fcntl_setfl(socket, rustix::fs::OFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_understood_or_skipped_or_dropped_and_nothing_panics() {
        assert_eq!(said(br#"{"listen":{"instances":2}}"#).unwrap(), Some(Said::Listen(2)));
        assert_eq!(said(br#"{"closed":{"instance":7}}"#).unwrap(), Some(Said::Closed(InstanceId(7))));
        assert_eq!(said(br#"{"stop":{}}"#).unwrap(), Some(Said::Stop));
        assert_eq!(said(br#"{"sing":{"song":2}}"#).unwrap(), None);
        for bad in
            [&b""[..], b"{", b"[]", b"7", br#"{"listen":{"instances":-1}}"#, br#"{"listen":{}}"#, b"\xff"]
        {
            assert!(said(bad).is_err(), "{bad:?}");
        }
        // A fixed sequence of pieces of what is understood, cut anywhere.
        let whole = br#"{"counted":{"listening":1,"connected":4294967295}}"#;
        for end in 0..whole.len() {
            for byte in [0u8, b'"', b'{', b'9', 0xff] {
                let mut bytes = whole[..end].to_vec();
                bytes.push(byte);
                let _ = said(&bytes);
            }
        }
    }

    #[test]
    fn fifty_thousand_spoilt_objects_are_taken_skipped_or_refused() {
        const WHOLE: [&[u8]; 5] = [
            br#"{"listen":{"instances":2}}"#,
            br#"{"closed":{"instance":18446744073709551615}}"#,
            br#"{"stop":{}}"#,
            br#"{"counted":{"listening":1,"connected":4294967295}}"#,
            br#"{"sing":[{"a":[[[]]]},null,1e400,"\ud800"]}"#,
        ];
        let mut seed = 0x5e55_1004_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut taken = 0;
        for _ in 0..50_000 {
            let mut bytes = WHOLE[random(WHOLE.len())].to_vec();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                    1 => bytes.insert(at, br#"{}[]",:0-9e"#[random(11)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            taken += usize::from(matches!(said(&bytes), Ok(Some(_))));
        }
        assert!((5_000..45_000).contains(&taken), "{taken} of them were understood");
    }

    #[test]
    fn keys_are_read_back() {
        assert_eq!(of_key(&key(ServerId(42))), Some(ServerId(42)));
        assert_eq!(of_key("pipe.server.x"), None);
        assert_eq!(of_key("pipe.socket.42"), None);
    }
}
