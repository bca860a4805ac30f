//! The same client within tokio.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::SendFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;

use super::dialogue::{
    Answer, Answers as Wanted, Dialogue, Info, Patience, taken_from, typed, unopened, unreachable,
};
use crate::connect;
use crate::error::Error;
use crate::pipe::{Access, PipeClient};

/// A connection to a varlink service; see [`rpc::Client`](super::Client). A call that is dropped before its answer came spoils the
/// connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    patience: Patience,
    dialogue: Dialogue,
}

impl Client {
    /// Opens a pipe that speaks varlink, and waits for an instance as long as its server said that clients wait. A pipe that cannot be
    /// opened is [`Error::Refused`] or [`Error::NotPermitted`] with Windows' name and number.
    pub async fn open(pipe: &str) -> Result<Client, Error> {
        let builder = PipeClient::builder(pipe).access(Access::Duplex).wait_default();
        let opened = spawn_blocking(move || builder.open()).await;
        let opened = opened.map_err(|error| Error::System {
            what: format!("{pipe} cannot be opened on a thread"),
            why: error.to_string(),
        })?;
        Client::through(opened.map_err(|error| unopened(&error))?)
    }

    /// A client through a pipe that was opened otherwise. Error 230 if it carries messages. Must be called within a tokio runtime.
    pub fn through(pipe: PipeClient) -> Result<Client, Error> {
        let (stream, dialogue) = taken_from(pipe)?;
        Client::new(stream, dialogue)
    }

    /// A client over a stream that is connected: a `UnixStream` of the standard library, or another socket. Must be called within a
    /// tokio runtime.
    pub fn over(stream: impl Into<OwnedFd>) -> Result<Client, Error> {
        Client::new(stream.into().into(), Dialogue::new("the service"))
    }

    fn new(stream: std::os::unix::net::UnixStream, dialogue: Dialogue) -> Result<Client, Error> {
        let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
        let stream = stream.map_err(|error| Error::System {
            what: "the stream cannot be used within tokio".to_owned(),
            why: error.to_string(),
        })?;
        Ok(Client { stream, patience: Patience::default(), dialogue })
    }

    /// Connects to the varlink service at this socket; the host itself is at [`path::socket`](crate::path::socket). A full queue is
    /// waited for.
    pub async fn connect(path: &Path) -> Result<Client, Error> {
        let place = path.to_path_buf();
        // On a thread: only the kernel knows when there is room in a queue.
        let connected = spawn_blocking(move || connect::blocking_within(&place, connect::CONNECT_WAIT)).await;
        let stream = connected.map_err(io::Error::from).and_then(|stream| stream);
        let stream = stream.map_err(|error| unreachable(path, &error))?;
        Client::new(stream, Dialogue::new(&path.display().to_string()))
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
    pub async fn info(&mut self) -> Result<Info, Error> {
        self.call_typed("org.varlink.service.GetInfo", &Value::Null).await
    }

    /// An interface in varlink's own language.
    pub async fn describe(&mut self, interface: &str) -> Result<String, Error> {
        let method = "org.varlink.service.GetInterfaceDescription";
        let answer = self.call(method, json!({"interface": interface})).await?;
        typed(method, answer.get("description").cloned().unwrap_or_default())
    }

    /// Calls a method, for instance `org.example.Greeter.Greet`. The parameters are an object, or null for none.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Result<Value, Error> {
        Ok(self.ask(method, &parameters).await?.parameters)
    }

    /// Calls a method with parameters and an answer of the caller's types.
    pub async fn call_typed<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<R, Error> {
        typed(method, self.ask(method, parameters).await?.parameters)
    }

    /// Calls a method that may answer more than once. Answers that are not taken to the last spoil the connection.
    pub async fn call_more(&mut self, method: &str, parameters: Value) -> Result<Answers<'_>, Error> {
        let bytes = self.dialogue.ask(self.stream.as_fd(), method, &parameters, Wanted::Many)?;
        match within(self.patience.time(Wanted::Many), self.send(&bytes)).await {
            Some(sent) => sent?,
            None => return Err(self.dialogue.late()),
        }
        Ok(Answers { client: self, ended: false })
    }

    async fn ask(&mut self, method: &str, parameters: &impl Serialize) -> Result<Answer, Error> {
        let bytes = self.dialogue.ask(self.stream.as_fd(), method, parameters, Wanted::One)?;
        let time_max = self.patience.time(Wanted::One);
        let exchange = async {
            self.send(&bytes).await?;
            self.receive().await
        };
        match within(time_max, exchange).await {
            Some(answer) => answer,
            None => Err(self.dialogue.late()),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut sent = 0;
        while sent < bytes.len() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let stream = &self.stream;
            let attempt = || Ok(rustix::net::send(stream, &bytes[sent..], flags)?);
            let error = match stream.try_io(Interest::WRITABLE, attempt) {
                Ok(count) => {
                    sent += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match stream.writable().await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A service that refuses a connection may say why before it closes: that is still to be read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => error,
            };
            return Err(self.dialogue.broken(&error));
        }
        Ok(())
    }

    /// The next answer. May be dropped and called again: nothing is lost.
    async fn receive(&mut self) -> Result<Answer, Error> {
        loop {
            if let Some(answer) = self.dialogue.take()? {
                return Ok(answer);
            }
            let ready = self.stream.readable().await;
            let (stream, dialogue) = (&self.stream, &mut self.dialogue);
            let mut read = || stream.try_io(Interest::READABLE, || dialogue.read(stream.as_fd()));
            match ready.and_then(|()| read()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.dialogue.broken(&error)),
            }
        }
    }
}

/// `None` if it takes longer.
async fn within<T>(time: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match time {
        None => Some(work.await),
        Some(time) => tokio::time::timeout(time, work).await.ok(),
    }
}

/// The answers to one call, one after the other; an error is the last.
#[derive(Debug)]
pub struct Answers<'a> {
    client: &'a mut Client,
    ended: bool,
}

impl Answers<'_> {
    /// The next one; `None` after the last. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Value, Error>> {
        if self.ended {
            return None;
        }
        let answer = match within(self.client.patience.time(Wanted::Many), self.client.receive()).await {
            Some(answer) => answer,
            None => Err(self.client.dialogue.late()),
        };
        self.ended = !answer.as_ref().is_ok_and(|answer| answer.continues);
        Some(answer.map(|answer| answer.parameters))
    }
}
