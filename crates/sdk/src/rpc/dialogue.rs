//! What a client says and hears, for both clients: calls as bytes, answers from bytes, and whether the next answer is that of the
//! next call.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::frames::{Descriptors, Frames, Next, is_object};
use crate::connect::text;
use crate::error::{Error, Refused};
use crate::pipe::{self, PipeClient, PipeType};

/// The longest answer that is taken, unless the client says otherwise.
pub(super) const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// How long a call waits for its answer, unless the client says otherwise: a service that hangs must not hang who asks it.
pub const CALL_TIME: Duration = Duration::from_secs(60);

/// How long a client waits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience(Option<Option<Duration>>);

impl Patience {
    /// As the client says.
    pub fn said(time_max: Option<Duration>) -> Patience {
        Patience(Some(time_max))
    }

    /// For one answer of such a call. Those of a call of many come when something happens: there nothing is said for long.
    pub fn time(self, answers: Answers) -> Option<Duration> {
        self.0.unwrap_or((answers == Answers::One).then_some(CALL_TIME))
    }
}

/// What a service says of itself (`org.varlink.service.GetInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Who made it.
    #[serde(default)]
    pub vendor: String,
    /// What it is.
    #[serde(default)]
    pub product: String,
    /// Which version of it.
    #[serde(default)]
    pub version: String,
    /// Where more is to be read.
    #[serde(default)]
    pub url: String,
    /// The interfaces it has.
    pub interfaces: Vec<String>,
}

/// How many answers a call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    One,
    Many,
}

/// One answer.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub parameters: Value,
    /// Whether another one follows.
    pub continues: bool,
}

/// Whether the next answer is that of the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Answers are due.
    Due(Answers),
    /// Late, unintelligible, or the connection is broken.
    Spoilt,
}

/// One side of a connection: the client's.
#[derive(Debug)]
pub(super) struct Dialogue {
    /// Whom it is with, for people.
    with: String,
    method: String,
    input: Frames,
    state: State,
}

#[derive(Serialize)]
struct Call<'a> {
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    continues: Option<bool>,
}

impl Dialogue {
    pub fn new(with: &str) -> Dialogue {
        Dialogue {
            with: with.to_owned(),
            method: String::new(),
            input: Frames::new(ANSWER_MAX, Descriptors::Discarded),
            state: State::Idle,
        }
    }

    pub fn set_answer_max(&mut self, bytes: usize) {
        self.input.set_message_max(bytes);
    }

    /// A call as bytes, if one can be made now.
    pub fn ask(
        &mut self,
        socket: BorrowedFd<'_>,
        method: &str,
        parameters: &impl Serialize,
        answers: Answers,
    ) -> Result<Vec<u8>, Error> {
        let unfit = |why: String| Error::Protocol { what: format!("{method} was not called: {why}") };
        match self.state {
            State::Idle => {}
            State::Due(_) => return Err(unfit("an earlier call's answers were not all taken".to_owned())),
            State::Spoilt => return Err(unfit("an earlier call broke the connection".to_owned())),
        }
        let value = serde_json::to_value(parameters)
            .map_err(|error| unfit(format!("its parameters are no JSON: {error}")))?;
        let parameters = match value {
            Value::Object(fields) => Some(fields),
            Value::Null => None,
            _ => return Err(unfit("its parameters must be a JSON object".to_owned())),
        };
        self.quiet(socket, method)?;
        let call = Call { method, parameters, more: answers == Answers::Many };
        let mut bytes = serde_json::to_vec(&call).map_err(|error| unfit(error.to_string()))?;
        bytes.push(0);
        method.clone_into(&mut self.method);
        self.state = State::Due(answers);
        Ok(bytes)
    }

    /// An answer that is there before the call would be taken for its own.
    fn quiet(&mut self, socket: BorrowedFd<'_>, method: &str) -> Result<(), Error> {
        let result = match self.input.take() {
            Next::Nothing => self.input.fill(socket),
            Next::Message(_) | Next::Begun | Next::TooLong => Ok(1),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.broken(&error)),
            Ok(0) => Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                self.state = State::Spoilt;
                let what = format!("{method} was not called: {} sent what nobody asked for", self.with);
                Err(Error::Protocol { what })
            }
        }
    }

    /// Reads once, without waiting. The end is an error.
    pub fn read(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        match self.input.fill(socket)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next answer, if it is there.
    pub fn take(&mut self) -> Result<Option<Answer>, Error> {
        let answers = match self.state {
            State::Due(answers) => answers,
            State::Idle | State::Spoilt => return Err(self.garbage("nothing was asked")),
        };
        let message = match self.input.take() {
            Next::Nothing | Next::Begun => return Ok(None),
            Next::TooLong => return Err(self.garbage("it is too long")),
            Next::Message(message) => message.bytes,
        };
        if !is_object(&message) {
            return Err(self.garbage("it is no JSON object"));
        }
        let reply: Reply =
            serde_json::from_slice(&message).map_err(|error| self.garbage(&error.to_string()))?;
        let parameters = Value::Object(reply.parameters.unwrap_or_default());
        let continues = reply.continues.unwrap_or(false);
        match (reply.error, continues) {
            (Some(name), false) => {
                if !is_name(&name) {
                    return Err(self.garbage("it has an error without a proper name"));
                }
                self.state = State::Idle;
                Err(refusal(name, &self.method, parameters))
            }
            (Some(_), true) => Err(self.garbage("it is an error and says that another answer follows")),
            (None, true) if answers == Answers::One => {
                Err(self.garbage("it says that another follows, and one was asked for"))
            }
            (None, true) => Ok(Some(Answer { parameters, continues })),
            (None, false) => {
                self.state = State::Idle;
                Ok(Some(Answer { parameters, continues }))
            }
        }
    }

    fn garbage(&mut self, why: &str) -> Error {
        self.state = State::Spoilt;
        Error::Protocol {
            what: format!("the answer of {} to {} is not understood: {why}", self.with, self.method),
        }
    }

    /// What a broken connection means.
    pub fn broken(&mut self, error: &io::Error) -> Error {
        self.state = State::Spoilt;
        let (why, hint) = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => (
                "it closed the connection before it answered".to_owned(),
                Some("it may have carried the call out; its log may say more".to_owned()),
            ),
            _ => (text(error), None),
        };
        Error::Unreachable { path: PathBuf::from(&self.with), why, hint }
    }

    /// What an answer that did not come in time means. A late one would be taken for that of the next call.
    pub fn late(&mut self) -> Error {
        self.state = State::Spoilt;
        let why = format!("it did not answer {} in time", self.method);
        let hint = Some("it may still carry the call out".to_owned());
        Error::Unreachable { path: PathBuf::from(&self.with), why, hint }
    }
}

/// What it means that a socket cannot be connected to.
pub(super) fn unreachable(path: &Path, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there any more".to_owned(),
        io::ErrorKind::PermissionDenied => "the socket may not be opened by this user".to_owned(),
        io::ErrorKind::WouldBlock => "its queue is full".to_owned(),
        _ => text(error),
    };
    Error::Unreachable { path: path.to_path_buf(), why, hint: None }
}

/// What it means that a pipe cannot be opened: a refusal by Windows' name of the error.
pub(super) fn unopened(error: &pipe::Error) -> Error {
    let kind = match error.code() {
        pipe::Code::AccessDenied => Error::NotPermitted,
        pipe::Code::InternalError => Error::Fault,
        _ => Error::Refused,
    };
    kind(Box::new(Refused {
        name: error.name().to_owned(),
        code: Some(error.code().number()),
        message: error.message().to_owned(),
        hint: error.hint().map(str::to_owned),
        parameters: Value::Null,
    }))
}

/// What a client needs of an opened pipe.
pub(super) fn taken_from(pipe: PipeClient) -> Result<(UnixStream, Dialogue), Error> {
    if pipe.kind() != PipeType::Byte {
        return Err(Error::Refused(Box::new(Refused {
            name: pipe::Code::BadPipe.name().to_owned(),
            code: Some(pipe::Code::BadPipe.number()),
            message: format!("{} carries messages and cannot be called through", pipe.name()),
            hint: Some(format!("`s0 pipe show {}` says what it is", pipe.name())),
            parameters: Value::Null,
        })));
    }
    let mut dialogue = Dialogue::new(pipe.name());
    let (stream, read_already) = pipe.into_stream().map_err(|error| unopened(&error))?;
    dialogue.input.add(&read_already);
    Ok((stream, dialogue))
}

/// What a reply's parameters are to whoever called.
pub(super) fn typed<R: serde::de::DeserializeOwned>(method: &str, parameters: Value) -> Result<R, Error> {
    serde_json::from_value(parameters).map_err(|error| Error::Protocol {
        what: format!("the answer to {method} is not what was expected: {error}"),
    })
}

/// Letters, digits, dots, dashes and underscores: everything that varlink and those who extend it have in names.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.bytes().all(allowed)
}

/// A service's own words, for a terminal: it is no more trusted than any program.
fn printable(text: &str) -> String {
    let shown = |one: char| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one };
    text.chars().map(shown).collect()
}

fn refusal(name: String, method: &str, parameters: Value) -> Error {
    let text = |key: &str| parameters.get(key).and_then(Value::as_str).map(printable);
    let field = |key: &str| text(key).unwrap_or_else(|| "?".to_owned());
    let own = text("message").unwrap_or_else(|| format!("{method} was answered with {name}"));
    let short = name.rsplit('.').next().unwrap_or(&name);
    let (message, help) = match name.strip_prefix("org.varlink.service.").unwrap_or("") {
        "InterfaceNotFound" => (
            format!("the service has no interface {}", field("interface")),
            Some("its info says which it has"),
        ),
        "MethodNotFound" | "MethodNotImplemented" => (
            format!("the service has no method {}", field("method")),
            Some("the interface's description says which it has"),
        ),
        "InvalidParameter" => (
            format!("{method} does not take the parameter {} as it is, or lacks it", field("parameter")),
            Some("the interface's description says what it takes"),
        ),
        "ExpectedMore" => (format!("{method} has more than one answer, and one was asked for"), None),
        "PermissionDenied" => (format!("{method} may not be called by this caller"), None),
        _ => (own, None),
    };
    let kind = match short {
        "AccessDenied" | "PermissionDenied" => Error::NotPermitted,
        "InternalError" => Error::Fault,
        _ => Error::Refused,
    };
    let code = parameters.get("code").and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    let hint = text("hint").or_else(|| help.map(str::to_owned));
    kind(Box::new(Refused { code, hint, message, parameters, name }))
}
