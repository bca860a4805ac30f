//! A client of our own that logs on by the public interface, with a terminal that calls itself what it likes.

use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendFlags, recvmsg, sendmsg,
};
use serde_json::{Value, json};

/// Logs `account` on in a new session, from a terminal of this name and with these variables. What it holds while it is to be
/// connected, or what was answered instead.
pub fn log_on_as(
    socket: &Path,
    account: &str,
    password: &str,
    terminal: &str,
    environment: &[(&str, &str)],
) -> Result<Vec<OwnedFd>, String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).map_err(|error| error.to_string())?;
    let variables: Vec<Value> =
        environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let call = json!({
        "method": "io.session0.Logon.Begin",
        "parameters": {
            "account": account,
            "terminal": { "rows": 24, "columns": 80, "name": terminal },
            "environment": variables,
            "new": true,
        },
    });
    stream.write_all(format!("{call}\0").as_bytes()).map_err(|error| error.to_string())?;
    let (reply, mut descriptors) = packet(&stream)?;
    let Some(conversation) = descriptors.pop() else { return Err(reply.to_string()) };
    rustix::net::sockopt::set_socket_timeout(&conversation, rustix::net::sockopt::Timeout::Recv, patience)
        .map_err(|error| error.to_string())?;
    loop {
        let (said, mut descriptors) = packet(&conversation)?;
        if said.get("prompt").is_some() {
            let answer = json!({ "answer": password }).to_string();
            let mut none = SendAncillaryBuffer::default();
            sendmsg(&conversation, &[IoSlice::new(answer.as_bytes())], &mut none, SendFlags::NOSIGNAL)
                .map_err(|error| error.to_string())?;
        } else if said.get("logged_on").is_some() {
            descriptors.push(conversation);
            return Ok(descriptors);
        } else if said.get("refused").is_some() {
            return Err(said.to_string());
        }
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
