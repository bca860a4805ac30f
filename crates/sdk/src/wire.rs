//! Varlink on the wire: a JSON object and a zero byte, each way.

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use session0_api::interface::Method;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::error::{Error, Refused};

/// No honest answer is longer: a list of all services a host can have is about 3 MB.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// Descriptors that may come with one read, and that may wait to be taken.
const DESCRIPTORS_MAX: usize = 64;
/// Bytes asked for at once.
const READ_SIZE: usize = 16 * 1024;
/// An emptied buffer keeps at most this much.
const KEEP_MAX: usize = 64 * 1024;

#[derive(Serialize)]
struct Call<'a, M> {
    method: &'a str,
    parameters: &'a M,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    upgrade: bool,
}

/// What is wanted for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    One,
    Many,
    /// One, and after it the connection speaks something else.
    Upgrade,
}

/// A call as bytes.
pub(crate) fn call<M: Method>(parameters: &M, answers: Answers) -> Result<Vec<u8>, Error> {
    let (more, upgrade) = (answers == Answers::Many, answers == Answers::Upgrade);
    let call = Call { method: M::NAME, parameters, more, upgrade };
    let mut bytes = serde_json::to_vec(&call).map_err(|error| Error::Protocol {
        what: format!("the parameters of {} cannot be sent: {error}", M::NAME),
    })?;
    bytes.push(0);
    Ok(bytes)
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
}

/// What a refusal's parameters have in common; those of `org.varlink.service` have other ones.
#[derive(Deserialize, Default)]
struct Common {
    code: Option<u32>,
    message: Option<String>,
    hint: Option<String>,
}

/// An answer from its bytes, without the zero byte.
pub(crate) fn answer<M: Method>(bytes: &[u8]) -> Result<M::Reply, Error> {
    let not_understood = |error: serde_json::Error| Error::Protocol {
        what: format!("the answer to {} is not understood: {error}", M::NAME),
    };
    let reply: Reply<'_> = serde_json::from_slice(bytes).map_err(not_understood)?;
    let parameters = reply.parameters.map_or("{}", RawValue::get);
    if let Some(name) = reply.error {
        return Err(refusal(name, M::NAME, parameters));
    }
    serde_json::from_str(parameters).map_err(not_understood)
}

fn refusal(name: String, method: &str, parameters: &str) -> Error {
    let value: serde_json::Value = serde_json::from_str(parameters).unwrap_or_default();
    let field = |key: &str| value.get(key).and_then(serde_json::Value::as_str).unwrap_or("?");
    let short = name.rsplit('.').next().unwrap_or(&name);
    if name.starts_with("org.varlink.service.") {
        let what = match short {
            "MethodNotFound" | "InterfaceNotFound" | "MethodNotImplemented" => {
                format!("the host does not know {method}; it is older than this program")
            }
            "InvalidParameter" => {
                format!("the host does not take the parameter {} of {method}", field("parameter"))
            }
            _ => format!("the host answers {method} with {name}"),
        };
        return Error::Protocol { what };
    }
    let kind = match short {
        "AccessDenied" => Error::NotPermitted,
        "InternalError" => Error::Fault,
        _ => Error::Refused,
    };
    let common: Common = serde_json::from_str(parameters).unwrap_or_default();
    let message = common.message.unwrap_or_else(|| format!("the host answers {method} with {name}"));
    kind(Box::new(Refused { code: common.code, hint: common.hint, message, parameters: value, name }))
}

/// What was read and not yet taken.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Up to here there is no zero byte.
    searched: usize,
    descriptors: Vec<OwnedFd>,
    accepts: Descriptors,
}

/// Whether descriptors are taken from the socket. If not, the kernel itself closes those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Descriptors {
    #[default]
    Wanted,
    Refused,
}

impl Input {
    pub(crate) fn accepting(accepts: Descriptors) -> Input {
        Input { accepts, ..Input::default() }
    }

    /// What came behind the last message that was taken: bytes, and descriptors.
    pub(crate) fn into_rest(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.bytes, self.descriptors)
    }

    /// The next whole message, without its zero byte, if it is there.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let Some(offset) = self.bytes[self.searched..].iter().position(|byte| *byte == 0) else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + offset;
        let rest = self.bytes.split_off(end + 1);
        let mut message = std::mem::replace(&mut self.bytes, rest);
        message.truncate(end);
        self.searched = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > KEEP_MAX {
            self.bytes = Vec::new();
        }
        Some(message)
    }

    /// The descriptors that came since the call was made, if they are as many as its answer says.
    pub(crate) fn take_exactly(&mut self, said: u32, of: &str) -> Result<Vec<OwnedFd>, Error> {
        let descriptors = std::mem::take(&mut self.descriptors);
        if u32::try_from(descriptors.len()) == Ok(said) {
            return Ok(descriptors);
        }
        let what = format!("the host sent {} of {said} descriptors for {of}", descriptors.len());
        Err(Error::Protocol { what })
    }

    /// Closes what came with earlier answers and was not for anybody.
    pub(crate) fn close_descriptors(&mut self) {
        self.descriptors.clear();
    }

    /// Reads once. `Ok(0)` is the end.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        if self.bytes.len() > ANSWER_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer has no end"));
        }
        let old = self.bytes.len();
        self.bytes.resize(old + READ_SIZE, 0);
        let room = &mut self.bytes[old..];
        let result = match self.accepts {
            Descriptors::Wanted => receive(socket, room, &mut self.descriptors),
            Descriptors::Refused => {
                let read = rustix::io::retry_on_intr(|| {
                    rustix::net::recv(socket, &mut *room, RecvFlags::empty()).map(|(count, _)| count)
                });
                read.map_err(io::Error::from)
            }
        };
        self.bytes.truncate(old + *result.as_ref().unwrap_or(&0));
        result
    }
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [io::IoSliceMut::new(buffer)];
    let received =
        rustix::io::retry_on_intr(|| recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            // None of our calls expects as many: what is more is closed.
            let room = DESCRIPTORS_MAX.saturating_sub(descriptors.len());
            descriptors.extend(rights.take(room));
        }
    }
    Ok(received.bytes)
}
