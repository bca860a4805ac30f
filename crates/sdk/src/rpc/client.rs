//! The blocking client of any varlink service.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::dialogue::{
    Answer, Answers as Wanted, Dialogue, Info, Patience, taken_from, typed, unopened, unreachable,
};
use crate::connect;
use crate::error::Error;
use crate::pipe::{Access, PipeClient};

/// A connection to a varlink service that waits for each answer.
///
/// A service's error is [`Error::Refused`], [`Error::NotPermitted`] (by its name: `AccessDenied`, `PermissionDenied`) or
/// [`Error::Fault`] (`InternalError`), with its name, its parameters, and `code`, `message` and `hint` where it has them. After an
/// answer that was late, not understood or not taken the connection is of no use any more: further calls are refused. Descriptors that
/// a service sends are discarded.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    patience: Patience,
    dialogue: Dialogue,
}

impl Client {
    /// Opens a pipe that speaks varlink, and waits for an instance as long as its server said that clients wait. A pipe that cannot be
    /// opened is [`Error::Refused`] or [`Error::NotPermitted`] with Windows' name and number.
    pub fn open(pipe: &str) -> Result<Client, Error> {
        let opened = PipeClient::builder(pipe).access(Access::Duplex).wait_default().open();
        Client::through(opened.map_err(|error| unopened(&error))?)
    }

    /// A client through a pipe that was opened otherwise. Error 230 if it carries messages.
    pub fn through(pipe: PipeClient) -> Result<Client, Error> {
        let (stream, dialogue) = taken_from(pipe)?;
        Ok(Client { stream, patience: Patience::default(), dialogue })
    }

    /// A client over a stream that is connected: a `UnixStream`, or another socket.
    pub fn over(stream: impl Into<OwnedFd>) -> Client {
        let dialogue = Dialogue::new("the service");
        Client { stream: stream.into().into(), patience: Patience::default(), dialogue }
    }

    /// Connects to the varlink service at this socket; the host itself is at [`path::socket`](crate::path::socket). A full queue is
    /// waited for.
    pub fn connect(path: &Path) -> Result<Client, Error> {
        let stream = connect::blocking_within(path, connect::CONNECT_WAIT)
            .map_err(|error| unreachable(path, &error))?;
        let dialogue = Dialogue::new(&path.display().to_string());
        Ok(Client { stream, patience: Patience::default(), dialogue })
    }

    /// The longest that each call waits until its answer is whole, and a call of many answers for each of them; `None` is for ever.
    /// At first it is [`CALL_TIME`](super::CALL_TIME) for a call, and for ever for each of many answers.
    pub fn set_time_max(&mut self, time_max: Option<Duration>) {
        self.patience = Patience::said(time_max);
    }

    /// The longest answer that is taken, in bytes; 64 MiB at first.
    pub fn set_answer_max(&mut self, bytes: usize) {
        self.dialogue.set_answer_max(bytes);
    }

    /// What the service is and which interfaces it has.
    pub fn info(&mut self) -> Result<Info, Error> {
        self.call_typed("org.varlink.service.GetInfo", &Value::Null)
    }

    /// An interface in varlink's own language.
    pub fn describe(&mut self, interface: &str) -> Result<String, Error> {
        let method = "org.varlink.service.GetInterfaceDescription";
        let answer = self.call(method, json!({"interface": interface}))?;
        typed(method, answer.get("description").cloned().unwrap_or_default())
    }

    /// Calls a method, for instance `org.example.Greeter.Greet`. The parameters are an object, or null for none.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, Error> {
        self.begin(method, &parameters, Wanted::One)?;
        Ok(self.receive(Wanted::One)?.parameters)
    }

    /// Calls a method with parameters and an answer of the caller's types.
    pub fn call_typed<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<R, Error> {
        self.begin(method, parameters, Wanted::One)?;
        typed(method, self.receive(Wanted::One)?.parameters)
    }

    /// Calls a method that may answer more than once. Answers that are not taken to the last spoil the connection.
    pub fn call_more(&mut self, method: &str, parameters: Value) -> Result<Answers<'_>, Error> {
        self.begin(method, &parameters, Wanted::Many)?;
        Ok(Answers { client: self, ended: false })
    }

    fn begin(&mut self, method: &str, parameters: &impl Serialize, answers: Wanted) -> Result<(), Error> {
        let bytes = self.dialogue.ask(self.stream.as_fd(), method, parameters, answers)?;
        let until = self.until(answers);
        let mut sent = 0;
        while sent < bytes.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let result = rustix::net::send(&self.stream, &bytes[sent..], flags).map_err(io::Error::from);
            match result {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT, until)?;
                }
                // A service that refuses a connection may say why before it closes: that is still to be read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(self.dialogue.broken(&error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self, answers: Wanted) -> Result<Answer, Error> {
        let until = self.until(answers);
        loop {
            if let Some(answer) = self.dialogue.take()? {
                return Ok(answer);
            }
            match self.dialogue.read(self.stream.as_fd()) {
                // Bytes that come one at a time must not outlast the time.
                Ok(()) if until.is_some_and(|until| until <= Instant::now()) => {
                    return Err(self.dialogue.late());
                }
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::IN, until)?,
                Err(error) => return Err(self.dialogue.broken(&error)),
            }
        }
    }

    fn until(&self, answers: Wanted) -> Option<Instant> {
        self.patience.time(answers).and_then(|time_max| Instant::now().checked_add(time_max))
    }

    fn wait(&mut self, what: PollFlags, until: Option<Instant>) -> Result<(), Error> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut watched = [PollFd::new(&self.stream, what)];
            match poll(&mut watched, left.as_ref()) {
                Ok(0) => return Err(self.dialogue.late()),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.dialogue.broken(&error.into())),
            }
        }
    }
}

/// The answers to one call, one after the other; an error is the last.
#[derive(Debug)]
pub struct Answers<'a> {
    client: &'a mut Client,
    ended: bool,
}

impl Iterator for Answers<'_> {
    type Item = Result<Value, Error>;

    fn next(&mut self) -> Option<Result<Value, Error>> {
        if self.ended {
            return None;
        }
        let answer = self.client.receive(Wanted::Many);
        self.ended = !answer.as_ref().is_ok_and(|answer| answer.continues);
        Some(answer.map(|answer| answer.parameters))
    }
}
