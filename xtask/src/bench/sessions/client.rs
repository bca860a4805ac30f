//! A client that logs on: the calls on the API socket and the conversation, without a program of ours in between, so that what is
//! measured is the host alone.

use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send, sockopt::Timeout,
    sockopt::set_socket_timeout,
};
use serde_json::{Value, json};

use crate::bench::Outcome;
use crate::bench::stamps::now;

/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer.
const ANSWER_MAX: usize = 64 * 1024;
/// Descriptors that come with one.
const DESCRIPTORS_MAX: usize = 4;

/// One connection to the API socket.
pub struct Api(UnixStream);

/// A user in his session. Dropping it hangs up.
pub struct Shell {
    /// The session.
    pub session: u32,
    _streams: Vec<OwnedFd>,
}

impl Api {
    /// Connects.
    pub fn connect(socket: &Path) -> Outcome<Api> {
        let stream =
            UnixStream::connect(socket).map_err(|e| format!("connecting to {}: {e}", socket.display()))?;
        patient(&stream)?;
        Ok(Api(stream))
    }

    /// Calls a method; its answer's parameters and descriptors.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Outcome<(Value, Vec<OwnedFd>)> {
        let mut call = json!({ "method": method, "parameters": parameters }).to_string().into_bytes();
        call.push(0);
        self.0.write_all(&call).map_err(|e| format!("calling {method}: {e}"))?;
        let (mut answer, mut descriptors) = (Vec::new(), Vec::new());
        while answer.last() != Some(&0) {
            let (bytes, with) = receive(&self.0).map_err(|e| format!("hearing of {method}: {e}"))?;
            answer.extend(bytes);
            descriptors.extend(with);
        }
        answer.pop();
        let answer: Value =
            serde_json::from_slice(&answer).map_err(|e| format!("reading the answer of {method}: {e}"))?;
        match answer.get("error") {
            Some(_) => Err(format!("{method} answers {answer}")),
            None => Ok((answer["parameters"].clone(), descriptors)),
        }
    }

    /// Logs a user on whose password, if he is asked for it, is `password`. With his shell comes the time just before the
    /// password was sent, or 0.
    pub fn log_on(&mut self, account: &str, password: &str) -> Outcome<(Shell, u64)> {
        let terminal = json!({ "rows": 24, "columns": 80, "name": "bench" });
        let parameters = json!({ "account": account, "terminal": terminal });
        let (said, streams, answered) = self.converse("io.session0.Logon.Begin", &parameters, password)?;
        let session = said["logged_on"]["session"].as_u64().and_then(|session| u32::try_from(session).ok());
        match session {
            Some(session) => Ok((Shell { session, _streams: streams }, answered)),
            None => Err(format!("{account} is not logged on: {said}")),
        }
    }

    /// Adds an account.
    pub fn add_account(&mut self, account: &str, password: &str, shell: &Path) -> Outcome<()> {
        let parameters = json!({ "account": account, "shell": shell.to_string_lossy() });
        let (said, ..) = self.converse("io.session0.Account.Add", &parameters, password)?;
        match said.get("done") {
            Some(_) => Ok(()),
            None => Err(format!("the account {account} is not added: {said}")),
        }
    }

    /// Ends a session; returns when nothing of it is left.
    pub fn log_off(&mut self, shell: Shell) -> Outcome<()> {
        let parameters = json!({ "session": shell.session, "wait": true });
        self.call("io.session0.Session.Logoff", &parameters).map(drop)
    }

    /// A conversation to its end: the last word, what came with it, when the password was sent.
    fn converse(
        &mut self,
        method: &str,
        parameters: &Value,
        password: &str,
    ) -> Outcome<(Value, Vec<OwnedFd>, u64)> {
        let (_, descriptors) = self.call(method, parameters)?;
        let socket = descriptors.into_iter().next().ok_or("a conversation without a socket")?;
        patient(&socket)?;
        let answer = json!({ "answer": password }).to_string();
        let mut answered = 0;
        loop {
            let (packet, streams) = receive(&socket).map_err(|e| format!("hearing session0-logon: {e}"))?;
            let said: Value = serde_json::from_slice(&packet)
                .map_err(|e| format!("reading what session0-logon says: {e}"))?;
            if said.get("prompt").is_some() {
                answered = now();
                send(&socket, answer.as_bytes(), SendFlags::NOSIGNAL)
                    .map_err(|e| format!("answering session0-logon: {e}"))?;
            } else if ["logged_on", "done", "refused"].iter().any(|end| said.get(end).is_some()) {
                return Ok((said, streams, answered));
            }
        }
    }
}

fn patient(socket: impl AsFd) -> Outcome<()> {
    set_socket_timeout(socket, Timeout::Recv, Some(PATIENCE)).map_err(|e| format!("setting a time-out: {e}"))
}

/// What comes next on a socket, with descriptors. The other side having closed it is an error.
pub fn receive(socket: impl AsFd) -> rustix::io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; ANSWER_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(rustix::io::Errno::CONNRESET);
    }
    bytes.truncate(received.bytes);
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((bytes, descriptors))
}
