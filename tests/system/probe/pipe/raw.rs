//! Without the library: a server that says what it likes on its control connection.

use std::io::{Error, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::say;
use crate::attempt::name_of;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(20);

/// `pipe-listen SOCKET PARAMETERS [WORD ...]`: calls `Listen` with these parameters and `upgrade`, and then does what the words say: an
/// object is said, with its zero byte; `half=BYTES` is said without; `await` waits for an object and prints it; `end` waits until the
/// host closes the connection; `hold` for ever.
pub fn listen(arguments: &[String]) -> String {
    let [socket, parameters, words @ ..] = arguments else { return "usage".into() };
    match listened(socket, parameters, words) {
        Ok(()) => "ok".into(),
        Err(error) => name_of(&error),
    }
}

/// A server's connection, once `Listen` was answered well.
pub fn served(socket: &str, parameters: &str) -> Result<UnixStream, Error> {
    let (stream, answer) = called(socket, parameters)?;
    if answer.contains("\"error\"") || answer.is_empty() {
        return Err(Error::other(answer));
    }
    Ok(stream)
}

fn called(socket: &str, parameters: &str) -> Result<(UnixStream, String), Error> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let call =
        format!("{{\"method\":\"io.session0.Pipe.Listen\",\"parameters\":{parameters},\"upgrade\":true}}\0");
    stream.write_all(call.as_bytes())?;
    let answer = object(&mut stream)?;
    Ok((stream, answer))
}

fn listened(socket: &str, parameters: &str, words: &[String]) -> Result<(), Error> {
    let (mut stream, answer) = called(socket, parameters)?;
    say(&format!("answered {answer}"));
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("await", _) => say(&format!("told {}", object(&mut stream)?)),
            ("half", bytes) => stream.write_all(bytes.as_bytes())?,
            ("end", _) => {
                // What it was told meanwhile is of no interest; a reset is an end as well.
                let ended = stream.read_to_end(&mut Vec::new());
                let open = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
                say(if open { "still open" } else { "closed" });
            }
            ("hold", _) => {
                say("holding");
                crate::load::sleep();
            }
            _ => stream.write_all(format!("{word}\0").as_bytes())?,
        }
    }
    Ok(())
}

/// An object without its zero byte; empty at the connection's end. Descriptors that come with it are closed by the kernel.
fn object(stream: &mut UnixStream) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut one = [0];
    while stream.read(&mut one)? == 1 && one[0] != 0 {
        bytes.push(one[0]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
