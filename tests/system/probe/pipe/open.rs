//! `pipe-open NAME [WORD ...]`: opens a pipe by the library, and does with it what the words say, in order.
//!
//! How it is opened: `read`, `write`, `level=LEVEL`, `wait=MS`, `wait-default`. What is done: `say=TEXT` writes, `hear` reads once,
//! `hear-all` reads to the end, `send=BYTES` writes that much of a stream in pieces (`pace` between: a line of standard input each),
//! `half` begins a message and does not end it, `transact` writes and reads as one, `hold` waits for the end of standard input.

use std::io::{BufRead, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::json;
use session0::pipe::{Access, ClientBuilder, Impersonation, PipeClient, PipeType};

use super::{Sum, refused, say, stream};

/// Pieces a stream is sent in.
const PIECE: usize = 64 << 10;

/// Opens it and does as it is told.
pub fn open(arguments: &[String]) -> String {
    let Some((name, words)) = arguments.split_first() else { return "usage".into() };
    let builder = words.iter().fold(PipeClient::builder(name), |builder, word| with(builder, word));
    let pipe = match builder.open() {
        Ok(pipe) => pipe,
        Err(error) => return refused(&error),
    };
    let server = pipe.server();
    let server = json!({ "session": server.session, "uid": server.uid, "account": server.account, "service": server.service });
    say(&format!("opened {}", json!({ "instance": pipe.instance(), "name": pipe.name(), "server": server })));
    for word in words {
        if let Err(why) = done(&pipe, word) {
            return why;
        }
    }
    "ok".into()
}

fn with(builder: ClientBuilder, word: &str) -> ClientBuilder {
    match word.split_once('=').unwrap_or((word, "")) {
        ("read", _) => builder.access(Access::Read),
        ("write", _) => builder.access(Access::Write),
        ("level", "anonymous") => builder.impersonation(Impersonation::Anonymous),
        ("level", "impersonation") => builder.impersonation(Impersonation::Impersonation),
        ("wait", ms) => builder.wait(Duration::from_millis(ms.parse().unwrap_or(0))),
        ("wait-default", _) => builder.wait_default(),
        _ => builder,
    }
}

fn done(pipe: &PipeClient, word: &str) -> Result<(), String> {
    match word.split_once('=').unwrap_or((word, "")) {
        ("say", text) => write(pipe, text.as_bytes()),
        ("hear", _) => {
            let mut buffer = vec![0; PIECE];
            let read = pipe.read(&mut buffer).map_err(|error| refused(&error))?;
            say(&format!("heard {}", String::from_utf8_lossy(&buffer[..read.bytes])));
            Ok(())
        }
        ("hear-all", _) => hear_all(pipe),
        ("transact", _) => {
            let mut reply = vec![0; PIECE];
            let read = pipe.transact(b"what", &mut reply).map_err(|error| refused(&error))?;
            say(&format!("heard {}", String::from_utf8_lossy(&reply[..read.bytes])));
            Ok(())
        }
        ("send", bytes) => send(pipe, bytes.parse().unwrap_or(0)),
        ("half", _) => {
            say("half");
            super::half(pipe.as_fd()).map_err(|error| error.to_string())
        }
        ("hold", _) => {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            Ok(())
        }
        _ => Ok(()),
    }
}

fn write(pipe: &PipeClient, bytes: &[u8]) -> Result<(), String> {
    let written = match pipe.kind() {
        PipeType::Message => pipe.write_message(bytes),
        PipeType::Byte | PipeType::Unknown => pipe.write(bytes).map(drop),
    };
    written.map_err(|error| refused(&error))
}

fn hear_all(pipe: &PipeClient) -> Result<(), String> {
    let mut all = Vec::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match pipe.read(&mut buffer) {
            Ok(read) => all.extend(&buffer[..read.bytes]),
            Err(error) if error.code().number() == 109 => break,
            Err(error) => return Err(refused(&error)),
        }
    }
    say(&format!("heard {}", String::from_utf8_lossy(&all)));
    Ok(())
}

/// A piece for each line of standard input, and at its end all that is left: whoever gives the lines says when.
fn send(pipe: &PipeClient, length: usize) -> Result<(), String> {
    let mut sum = Sum::new();
    let mut lines = std::io::stdin().lock().lines();
    let mut piece = vec![0; PIECE];
    for at in (0..length).step_by(PIECE) {
        let part = &mut piece[..PIECE.min(length - at)];
        stream(at, part);
        if lines.next().is_some() {
            say(&format!("at {at}"));
        }
        write(pipe, part)?;
        sum.add(part);
    }
    say(&format!("sent {}", sum.text()));
    Ok(())
}
