//! A client of our own that logs on by the public interface.

use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendFlags, recvmsg, sendmsg,
};
use serde_json::{Value, json};

/// Nothing is waited for longer.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// A conversation with the host.
pub struct Conversation(OwnedFd);

impl Conversation {
    /// Begins a logon; what was answered, if it is no conversation.
    pub fn logon(socket: &Path, parameters: &Value) -> Result<Conversation, String> {
        Conversation::begin(socket, "io.session0.Logon.Begin", parameters)
    }

    fn begin(socket: &Path, method: &str, parameters: &Value) -> Result<Conversation, String> {
        let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
        stream.set_read_timeout(PATIENCE).map_err(|error| error.to_string())?;
        let call = json!({ "method": method, "parameters": parameters });
        stream.write_all(format!("{call}\0").as_bytes()).map_err(|error| error.to_string())?;
        let (reply, mut descriptors) = packet(&stream)?;
        let Some(conversation) = descriptors.pop() else { return Err(reply.to_string()) };
        set_socket_timeout(&conversation, Timeout::Recv, PATIENCE).map_err(|error| error.to_string())?;
        Ok(Conversation(conversation))
    }

    /// What the host says next, and what comes with it.
    pub fn next_said(&self) -> Result<(Value, Vec<OwnedFd>), String> {
        packet(&self.0)
    }

    /// Answers a prompt.
    pub fn answer(&self, text: &str) -> Result<(), String> {
        let answer = json!({ "answer": text }).to_string();
        let mut none = SendAncillaryBuffer::default();
        let sent = sendmsg(&self.0, &[IoSlice::new(answer.as_bytes())], &mut none, SendFlags::NOSIGNAL);
        sent.map(drop).map_err(|error| error.to_string())
    }

    /// Gives this password as often as it is asked for. Everything the host said, the last being how it ended, and what came
    /// with that.
    pub fn talk(&self, password: &str) -> Result<(Vec<Value>, Vec<OwnedFd>), String> {
        let mut all = Vec::new();
        loop {
            let (said, descriptors) = self.next_said()?;
            if said.get("prompt").is_some() {
                self.answer(password)?;
            }
            let over = ["logged_on", "refused", "done"].iter().any(|word| said.get(word).is_some());
            all.push(said);
            if over {
                return Ok((all, descriptors));
            }
        }
    }
}

impl From<Conversation> for OwnedFd {
    fn from(conversation: Conversation) -> OwnedFd {
        conversation.0
    }
}

/// One JSON object and the descriptors that came with it.
fn packet(socket: impl AsFd) -> Result<(Value, Vec<OwnedFd>), String> {
    let mut bytes = vec![0; 64 << 10];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut with = RecvAncillaryBuffer::new(&mut room);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(socket, &mut parts, &mut with, RecvFlags::CMSG_CLOEXEC)
        .map_err(|error| format!("nothing was answered: {error}"))?;
    let mut descriptors = Vec::new();
    for message in with.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let text = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
    let text = text.trim_end_matches('\0');
    let value = serde_json::from_str(text).map_err(|error| format!("not JSON ({error}): {text:?}"))?;
    Ok((value, descriptors))
}
