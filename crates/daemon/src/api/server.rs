//! Accepting connections.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use session0_api::error::Refused;
use session0_api::host::Error;
use tokio::net::{UnixListener, UnixStream};

use super::client::{Clients, Full};
use super::connection::Connection;
use super::fault;
use super::host::{Door, Host};
use super::limits::Limits;
use crate::message;

/// Serves everybody who comes through this door, in a task of its own, as long as the daemon runs. The listener
/// is a duplicate; its owner stays the caller.
pub fn serve<H: Host>(host: H, door: Door, listener: OwnedFd) {
    tokio::task::spawn_local(listen(host, door, listener));
}

/// Serves everybody who comes through this door, until it is dropped. Connections that are open then go on.
pub async fn listen<H: Host>(host: H, door: Door, listener: OwnedFd) {
    listen_within(host, door, listener, Limits::default()).await;
}

/// The same with other limits.
pub(super) async fn listen_within<H: Host>(host: H, door: Door, listener: OwnedFd, limits: Limits) {
    let listener = match registered(listener) {
        Ok(listener) => listener,
        Err(error) => return message::error("cannot serve the API", &[("reason", &error)]),
    };
    let limits = Rc::new(limits);
    let clients = Clients::default();
    let mut failures = 0_u64;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failures = 0;
                admit(&host, door, stream, &clients, &limits);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // No descriptors, no memory: it passes when others end. Said once, not ten times a second.
                if failures == 0 {
                    message::warn("cannot accept API connections", &[("reason", &error)]);
                }
                failures += 1;
                tokio::time::sleep(limits.accept_pause).await;
            }
        }
        // Whoever connects in a loop must not keep the daemon from its other work.
        tokio::task::yield_now().await;
    }
}

fn registered(listener: OwnedFd) -> io::Result<UnixListener> {
    // Also one that an init or a daemon of an older version made.
    session0_sys::packet::refuse_descriptors(listener.as_fd())?;
    let listener = std::os::unix::net::UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Looks who it is and serves the connection, or says why not and closes it.
fn admit<H: Host>(host: &H, door: Door, stream: UnixStream, clients: &Clients, limits: &Rc<Limits>) {
    let uid = match stream.peer_cred() {
        Ok(credentials) => credentials.uid(),
        Err(error) => return message::debug("an API client left at once", &[("reason", &error)]),
    };
    let place = match clients.take(uid, limits) {
        Ok(place) => place,
        Err(full) => return turn_away(&stream, &too_many(full, uid)),
    };
    let caller = match host.identify(door, stream.as_fd()) {
        Ok(caller) => caller,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return turn_away(&stream, &not_here(&error));
        }
        // Who connected is gone; its socket may live on with somebody else, who is not identified by it.
        Err(error) if gone(&error) => return turn_away(&stream, &not_here(&error)),
        Err(error) => {
            return turn_away(
                &stream,
                &Error::InternalError(fault::report("identify an API client", &error)),
            );
        }
    };
    let connection = Connection::new(host.clone(), caller, stream, limits.clone());
    tokio::task::spawn_local(async move {
        connection.run().await;
        drop(place);
    });
}

/// Also somebody whose process has no number here: he is outside our PID namespace, a container's, and cannot be told
/// from others.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::REMOTE.raw_os_error())
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Says why and closes. What does not fit at once into the fresh socket is not said.
fn turn_away(stream: &UnixStream, error: &Error) {
    if let Ok(mut bytes) = serde_json::to_vec(error) {
        bytes.push(0);
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        let _ = rustix::net::send(stream, &bytes, flags);
    }
}

fn too_many(full: Full, uid: u32) -> Error {
    let message = match full {
        Full::All => "too many connections to the host are open".to_owned(),
        Full::User => format!("too many connections to the host are open for uid {uid}"),
    };
    Error::TooManyClients(Refused {
        code: 1450,
        message,
        hint: Some("close some: one connection serves any number of calls".to_owned()),
    })
}

fn not_here(error: &io::Error) -> Error {
    Error::AccessDenied(Refused {
        code: 5,
        message: format!("this connection does not come from where its socket is for: {error}"),
        hint: Some("connect to the socket of your own session, /run/session0/api".to_owned()),
    })
}
