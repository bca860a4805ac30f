//! A client of a D-Bus bus and a service on it, as fast as they can be: blocking, one write and as a rule one read for a message, the call
//! made up beforehand. What a library would add is not the bus's to answer for.

pub mod broker;
pub mod message;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::measure::Exchange;
use crate::rpc::WORDS;
use message::{ANSWER, Body, CALL, ERROR, FIXED, Message, Method, Writer};

/// The service's name on the bus.
pub const NAME: &str = "io.session0.Bench";

const BUS: Method<'static> = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};
const ECHO: Method<'static> = Method { destination: NAME, path: "/", interface: NAME, member: "Echo" };
/// RequestName's flag: fail rather than wait.
const DO_NOT_QUEUE: u32 = 4;
/// Its answer when the name is ours.
const OWNER: u32 = 1;

/// One connection.
pub struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// What of the buffer has been read from the socket, and of that the message that was handed out last.
    filled: usize,
    taken: usize,
    serial: u32,
}

impl Connection {
    /// Connects, proves who we are by the socket's credentials, and says Hello.
    pub fn open(path: &Path) -> Outcome<Connection> {
        let stream =
            UnixStream::connect(path).map_err(|e| format!("connecting to {}: {e}", path.display()))?;
        let mut connection = Connection::over(stream);
        let serial = connection.next_serial();
        connection.begin("", &message::call(serial, BUS, Body::of("", &[])))?;
        connection.answer_to(serial)?;
        Ok(connection)
    }

    fn over(stream: UnixStream) -> Connection {
        Connection { stream, buffer: vec![0; 4096], filled: 0, taken: 0, serial: 0 }
    }

    /// Proves who we are, with `wish` before the proof's end, and sends the first message behind it without waiting for the word
    /// that the proof is taken, as every client that is in a hurry does.
    fn begin(&mut self, wish: &str, first: &[u8]) -> Outcome<()> {
        let digits = rustix::process::geteuid().as_raw().to_string();
        let digits: String = digits.bytes().map(|digit| format!("{digit:02x}")).collect();
        let mut opening = format!("\0AUTH EXTERNAL {digits}\r\n{wish}BEGIN\r\n").into_bytes();
        opening.extend(first);
        self.write(&opening)?;
        self.line("OK ")
    }

    /// Takes a name.
    fn own(&mut self, name: &str) -> Outcome<()> {
        let mut body = Writer::default();
        body.text(name);
        body.number(DO_NOT_QUEUE);
        let serial = self.next_serial();
        let call = message::call(serial, Method { member: "RequestName", ..BUS }, Body::of("su", &body.0));
        self.write(&call)?;
        match self.answer_to(serial)?.body {
            answer if *answer == OWNER.to_le_bytes() => Ok(()),
            answer => Err(format!("the bus does not give us the name {name}: {answer:?}")),
        }
    }

    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1).max(1);
        self.serial
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.stream.write_all(bytes).map_err(|e| format!("writing to the bus: {e}"))
    }

    /// Waits for a line that begins so, before any message.
    fn line(&mut self, begin: &str) -> Outcome<()> {
        loop {
            let left = &self.buffer[self.taken..self.filled];
            if let Some(end) = left.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&left[..end]).into_owned();
                self.taken += end + 1;
                return match line.starts_with(begin) {
                    true => Ok(()),
                    false => Err(format!("the bus does not take us: {}", line.trim())),
                };
            }
            self.read_more()?;
        }
    }

    /// Waits for the answer to a call; other messages are skipped.
    fn answer_to(&mut self, serial: u32) -> Outcome<Message<'_>> {
        loop {
            let whole = self.next_message()?;
            let message = message::read(&self.buffer[whole.clone()])?;
            if message.answers != serial {
                continue;
            }
            match message.kind {
                ANSWER => return message::read(&self.buffer[whole]),
                ERROR => {
                    let why = message::text(message.body).unwrap_or("without a reason");
                    return Err(format!("the bus answers with an error: {why}"));
                }
                kind => return Err(format!("the bus answers with a message of kind {kind}")),
            }
        }
    }

    /// Waits for a message; where it is in the buffer until the next one is asked for.
    fn next_message(&mut self) -> Outcome<std::ops::Range<usize>> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        loop {
            if let Some(first) = self.buffer[..self.filled].first_chunk::<FIXED>() {
                let whole = message::lengths(first)?.whole;
                if whole <= self.filled {
                    self.taken = whole;
                    return Ok(0..whole);
                }
                if self.buffer.len() < whole {
                    self.buffer.resize(whole, 0);
                }
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Outcome<()> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => Err("the bus has closed the connection".to_owned()),
            Ok(read) => {
                self.filled += read;
                Ok(())
            }
            Err(error) => Err(format!("reading from the bus: {error}")),
        }
    }
}

/// A call, again and again.
pub struct Call {
    connection: Connection,
    message: Vec<u8>,
}

impl Call {
    /// To the service on the bus at this path.
    pub fn service(path: &Path) -> Outcome<Call> {
        let mut body = Writer::default();
        body.text(WORDS);
        Call::of(path, ECHO, Body::of("s", &body.0))
    }

    /// To the bus itself.
    pub fn bus(path: &Path) -> Outcome<Call> {
        Call::of(path, Method { member: "GetId", ..BUS }, Body::of("", &[]))
    }

    fn of(path: &Path, method: Method, body: Body) -> Outcome<Call> {
        Ok(Call { connection: Connection::open(path)?, message: message::call(1, method, body) })
    }
}

impl Exchange for Call {
    fn exchange(&mut self) -> Outcome<()> {
        let serial = self.connection.next_serial();
        message::renumber(&mut self.message, serial);
        self.connection.write(&self.message)?;
        let answer = self.connection.answer_to(serial)?;
        match message::text(answer.body) {
            Some(_) => Ok(()),
            None => Err("an answer without a text".to_owned()),
        }
    }
}

/// A connection to a bus made anew each time, until the bus has said which name it has there.
pub struct Hello(pub PathBuf);

impl Exchange for Hello {
    fn exchange(&mut self) -> Outcome<()> {
        Connection::open(&self.0).map(drop)
    }
}

/// The service: answers every call with what came with it, for ever.
pub fn serve(path: &Path) -> Outcome<()> {
    let mut connection = Connection::open(path)?;
    connection.own(NAME)?;
    loop {
        let whole = connection.next_message()?;
        let message = message::read(&connection.buffer[whole])?;
        if message.kind == CALL && message.member == ECHO.member {
            let body = Body::of(message.signature, message.body);
            let answer = message::answer(1, message.serial, message.sender, body);
            connection.write(&answer)?;
        }
    }
}
