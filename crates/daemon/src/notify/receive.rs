//! Taking datagrams off the socket and finding out whose they are.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use session0_model::id::ServiceName;
use session0_model::limit;
use session0_model::service::notify::{Notification, Sender};
use session0_model::system::Input;
use session0_sys::datagram::{self, Datagram, Descriptors, Whole};
use session0_sys::holder::Holder;
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

use super::{Said, parse};
use crate::builtin::LOGGER;
use crate::core::{Core, State};
use crate::identity;
use crate::message;
use crate::session::Member;

/// Messages that wait for the report that their program was started; further ones are dropped.
const DEFERRED_MAX: usize = 256;

/// A message of a program whose start init has not yet reported: whether it comes from the main process is not known
/// before that.
pub struct Deferred {
    service: ServiceName,
    pid: Option<i32>,
    said: Said,
    /// Closed when the message is done: what BARRIER waits for.
    _hold: Option<OwnedFd>,
}

/// Serves the notify socket of Session 0 until the task is ended.
pub async fn listen(core: Core, socket: OwnedFd) {
    let socket = match crate::readiness::reading(socket) {
        Ok(socket) => socket,
        Err(error) => return message::error("cannot listen for notifications", &[("reason", &error)]),
    };
    let holders = Arc::new(Semaphore::new(limit::NOTIFY_HOLDERS_MAX));
    let mut buffer = vec![0; limit::NOTIFY_MAX];
    loop {
        let mut readable = match socket.readable().await {
            Ok(readable) => readable,
            Err(error) => return message::error("cannot listen for notifications", &[("reason", &error)]),
        };
        match batch(&core, &socket, &mut buffer, &holders) {
            Batch::Full => drop(readable),
            Batch::Empty => readable.clear_ready(),
            Batch::Later(wait) => {
                drop(readable);
                tokio::time::sleep(wait).await;
            }
        }
        // Whatever else is due has its turn before the next batch of a flood.
        tokio::task::yield_now().await;
    }
}

/// How long to wait for one of those that hold descriptors to end.
const CROWDED_WAIT: Duration = Duration::from_millis(20);
/// After a fault, which may be over then. A message that could not be taken is still there.
const FAULT_WAIT: Duration = Duration::from_secs(1);

/// Whether more may be there.
enum Batch {
    Full,
    Empty,
    /// More is there, but not for now.
    Later(Duration),
}

fn batch(core: &Core, socket: &AsyncFd<OwnedFd>, buffer: &mut [u8], holders: &Arc<Semaphore>) -> Batch {
    for _ in 0..limit::NOTIFY_BATCH_MAX {
        let (datagram, hold) = match next(socket.get_ref().as_fd(), buffer, holders) {
            Ok(Next::Datagram(datagram, hold)) => (datagram, hold),
            Ok(Next::Nothing) => return Batch::Empty,
            Ok(Next::Later) => return Batch::Later(CROWDED_WAIT),
            Err(error) => {
                message::warn("cannot read a notification", &[("reason", &error)]);
                return Batch::Later(FAULT_WAIT);
            }
        };
        let costly = hold.is_some();
        // One by one: a MAINPID decides who the next one's sender is.
        match core.with(|state| look(state, &buffer[..datagram.length], &datagram)) {
            Looked::Said(inputs) => core.take(inputs),
            Looked::Early { service, pid, said } => {
                let deferred = Deferred { service, pid, said, _hold: hold };
                core.with(|state| defer(state, deferred));
            }
            Looked::Dropped(why) => core.with(|state| state.dropped.count(why)),
        }
        // What came with the datagram is let go here, after it was handled: that is what BARRIER waits for.
        if costly {
            return Batch::Full;
        }
    }
    Batch::Full
}

/// What is next in the queue.
enum Next {
    Nothing,
    /// A datagram and, if descriptors came with it, what keeps them open.
    Datagram(Datagram, Option<OwnedFd>),
    /// One whose descriptors nobody can hold now: it stays.
    Later,
}

fn next(socket: BorrowedFd<'_>, buffer: &mut [u8], holders: &Arc<Semaphore>) -> io::Result<Next> {
    let Some((mut datagram, descriptors)) = datagram::look(socket, buffer)? else { return Ok(Next::Nothing) };
    if descriptors == Descriptors::None {
        let datagram = datagram::receive(socket, buffer)?;
        return Ok(datagram.map_or(Next::Nothing, |datagram| Next::Datagram(datagram, None)));
    }
    let Ok(permit) = holders.clone().try_acquire_owned() else { return Ok(Next::Later) };
    let holder = Holder::start(socket)?;
    let sender = holder.sender();
    let child = crate::readiness::reading(holder.pidfd)?;
    tokio::task::spawn_local(async move {
        crate::session::ended(&child).await;
        drop(permit);
    });
    datagram.pidfd = sender?;
    Ok(Next::Datagram(datagram, Some(holder.hold)))
}

/// What a datagram is.
enum Looked {
    /// Something for the model.
    Said(Vec<Input>),
    /// Its program's start is not yet reported.
    Early { service: ServiceName, pid: Option<i32>, said: Said },
    /// Nothing.
    Dropped(&'static str),
}

fn look(state: &mut State, bytes: &[u8], datagram: &Datagram) -> Looked {
    if datagram.whole == Whole::Cut {
        return Looked::Dropped("too long");
    }
    let Some(said) = parse(bytes) else { return Looked::Dropped("not sd_notify") };
    let Some(pidfd) = &datagram.pidfd else { return Looked::Dropped("its sender has ended") };
    let group = session0_sys::pidfd::group_id(pidfd.as_fd(), state.place.base.mounts());
    let member = match (group, &mut state.session) {
        (Ok(group), Some(session)) => session.member(group).unwrap_or(None),
        _ => None,
    };
    let Some(Member::Unit(unit)) = member else { return Looked::Dropped("its sender is of no service") };
    let Ok(service) = ServiceName::new(&unit) else { return Looked::Dropped("its sender is of no service") };
    let pid = identity::session_pid(pidfd.as_fd());
    match state.system.launch_of(&service) {
        Some((_, None)) => Looked::Early { service, pid, said },
        Some((_, main @ Some(_))) if main == pid => Looked::Said(inputs(state, service, Sender::Main, said)),
        Some(_) | None => Looked::Said(inputs(state, service, Sender::Member, said)),
    }
}

fn defer(state: &mut State, deferred: Deferred) {
    if state.deferred.len() < DEFERRED_MAX {
        state.deferred.push(deferred);
    } else {
        state.dropped.count("too many before their program's start was reported");
    }
}

/// The messages that waited for this service's start, now that its main process is known or there is none.
pub fn started(state: &mut State, service: &ServiceName, main: Option<i32>) -> Vec<Input> {
    if state.deferred.is_empty() {
        return Vec::new();
    }
    let (due, rest) =
        std::mem::take(&mut state.deferred).into_iter().partition(|one| one.service == *service);
    state.deferred = rest;
    let due: Vec<Deferred> = due;
    due.into_iter()
        .flat_map(|one| {
            let sender = if main.is_some() && main == one.pid { Sender::Main } else { Sender::Member };
            inputs(state, one.service, sender, one.said)
        })
        .collect()
}

fn inputs(state: &mut State, service: ServiceName, sender: Sender, mut said: Said) -> Vec<Input> {
    said.notifications.retain(|notification| match notification {
        Notification::MainProcess(pid) => {
            let unit = service.as_str().to_ascii_lowercase();
            let mounts = state.place.base.mounts();
            let session = state.session.as_ref();
            let there = session.is_some_and(|session| identity::in_group(session, mounts, &unit, *pid));
            if !there {
                state.dropped.count("MAINPID is not a process of the service");
            }
            there
        }
        _ => true,
    });
    let mut inputs = Vec::with_capacity(1);
    if service.as_str() == LOGGER {
        inputs.extend(said.lost.into_iter().map(|(service, lost)| Input::OutputLost { service, lost }));
    } else if !said.lost.is_empty() {
        state.dropped.count("losses told by somebody who is not the logger");
    }
    if !said.notifications.is_empty() {
        inputs.push(Input::Notified { service, sender, notifications: said.notifications });
    }
    inputs
}
