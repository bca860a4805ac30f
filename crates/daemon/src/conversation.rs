//! Conversations: a session0-logon for each client that logs on or changes accounts. Passwords are between those two; we hear what
//! came of them.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use session0_model::id::LogonId;
use session0_model::launch::wire::{SIGKILL, decode, encode};
use session0_model::limit;
use session0_model::logon::wire::{AccountPlace, FromLogon, Task, ToLogon};
use session0_model::system::Input;
use session0_sys::packet::{self, Received};
use session0_sys::spawn::{self, Child, Namespaces, Spawn};
use tokio::io::unix::AsyncFd;

use crate::core::{Core, State};
use crate::message;

/// One session0-logon.
pub struct Conversation {
    /// Our end of what we speak with it by.
    control: OwnedFd,
    /// It.
    process: OwnedFd,
    /// The client's end of the conversation, until the client has it.
    pub client: Option<OwnedFd>,
}

/// Where homes are in sessions, whatever the host's root.
const HOMES_INSIDE: &str = "/home";

/// Starts one. If that fails the model hears that it is over.
pub fn begin(core: &Core, state: &mut State, logon: LogonId, task: Task) {
    match start(state) {
        Ok((conversation, control)) => {
            state.conversations.insert(logon, conversation);
            let place = place(state);
            tell(state, logon, &ToLogon::Begin { task, place }, &[]);
            tokio::task::spawn_local(hear(core.clone(), logon, control));
        }
        Err(error) => {
            message::error("cannot start session0-logon", &[("reason", &error)]);
            state.inputs.push_back(Input::LogonGone(logon));
        }
    }
}

fn start(state: &State) -> std::io::Result<(Conversation, OwnedFd)> {
    let (ours, theirs) = packet::pair()?;
    let (its, client) = packet::pair_with_client()?;
    let heard = ours.try_clone()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let messages = std::io::stderr();
    let descriptors =
        [(null.as_fd(), 0), (null.as_fd(), 1), (messages.as_fd(), 2), (theirs.as_fd(), 3), (its.as_fd(), 4)];
    let Child { pidfd, .. } = spawn::start(&Spawn {
        program: state.place.logon.as_fd(),
        arguments: &[CString::from(c"session0-logon")],
        environment: &[],
        namespaces: Namespaces::Inherited,
        group: None,
        descriptors: &descriptors,
        open_files: None,
    })?;
    Ok((Conversation { control: ours, process: pidfd, client: Some(client) }, heard))
}

fn place(state: &State) -> AccountPlace {
    let (paths, settings) = (&state.place.paths, &state.settings);
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    AccountPlace {
        accounts: text(paths.accounts()),
        published: text(paths.published_accounts()),
        homes: text(paths.homes()),
        homes_inside: HOMES_INSIDE.to_owned(),
        skeletons: vec![text(paths.configuration().join("skel")), "/etc/skel".to_owned()],
        uids: (*settings.uids.start(), *settings.uids.end()),
        sources: settings.sources,
    }
}

/// Tells a session0-logon. One that does not read has nobody to speak with any more.
pub fn tell(state: &State, logon: LogonId, message: &ToLogon, descriptors: &[BorrowedFd<'_>]) {
    let Some(conversation) = state.conversations.get(&logon) else { return };
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    if !matches!(packet::send(conversation.control.as_fd(), &bytes, descriptors), Ok(packet::Sent::All)) {
        end(state, logon);
    }
}

/// Ends one: its end is then heard.
pub fn end(state: &State, logon: LogonId) {
    if let Some(conversation) = state.conversations.get(&logon) {
        // One that is gone is no error.
        let _ = session0_sys::pidfd::send_signal(conversation.process.as_fd(), SIGKILL);
    }
}

async fn hear(core: Core, logon: LogonId, control: OwnedFd) {
    if let Ok(control) = crate::readiness::reading(control) {
        hear_out(&core, logon, &control).await;
    }
    // Whatever it still does, nobody listens.
    core.with(|state| end(state, logon));
    let process = core.with(|state| state.conversations.remove(&logon)).map(|gone| gone.process);
    if let Some(process) = process.and_then(|process| crate::readiness::reading(process).ok()) {
        crate::session::ended(&process).await;
    }
    core.take([Input::LogonGone(logon)]);
}

async fn hear_out(core: &Core, logon: LogonId, control: &AsyncFd<OwnedFd>) {
    let mut buffer = vec![0; limit::CONVERSATION_PACKET_MAX];
    loop {
        let Ok(mut readable) = control.readable().await else { return };
        match packet::receive(control.get_ref().as_fd(), &mut buffer) {
            Ok(Received::Nothing) => readable.clear_ready(),
            Ok(Received::Packet { length, .. }) => match decode::<FromLogon>(&buffer[..length]) {
                Some((said, [])) => core.take([Input::LogonSaid { logon, said }]),
                Some(_) | None => {
                    return core.with(|state| state.dropped.count("session0-logon said something unknown"));
                }
            },
            Ok(Received::Closed) | Err(_) => return,
        }
    }
}
