//! Messages in a stream of bytes: where one ends and the next begins.

use std::io::{self, Read};

use session0::pipe::MESSAGE_MAX;

/// Read at once.
const PIECE: usize = 64 * 1024;

/// Where a message ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// Where these bytes are, which are no part of it. Never empty.
    Delimiter(Vec<u8>),
    /// Where the stream ends: all of it is one message.
    Whole,
}

/// What is said of messages on the command line.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Message pipes")]
pub struct MessageArgs {
    /// The text that each message ends with, both ways, instead of the end of a line
    #[arg(long, value_name = "TEXT", value_parser = delimiter, conflicts_with_all = ["null", "whole"])]
    delimiter: Option<String>,
    /// Each message ends with a zero byte, both ways
    #[arg(long, short = '0', conflicts_with = "whole")]
    null: bool,
    /// The whole input is one message; those that come are written one after the other
    #[arg(long)]
    whole: bool,
}

fn delimiter(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("a delimiter has at least one character".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

impl Framing {
    /// As the command line has it.
    pub fn new(args: &MessageArgs) -> Framing {
        match &args.delimiter {
            _ if args.whole => Framing::Whole,
            _ if args.null => Framing::Delimiter(vec![0]),
            Some(text) => Framing::Delimiter(text.clone().into_bytes()),
            None => Framing::Delimiter(vec![b'\n']),
        }
    }

    /// What is written behind each message.
    pub fn end(&self) -> &[u8] {
        match self {
            Framing::Delimiter(bytes) => bytes,
            Framing::Whole => &[],
        }
    }
}

/// Messages from a stream, each as soon as it has come.
pub struct Splitter<R> {
    from: R,
    framing: Framing,
    bytes: Vec<u8>,
    /// Where the next message begins.
    begin: usize,
    /// Before this no delimiter begins.
    searched: usize,
    /// The stream has ended.
    ended: bool,
    message_max: usize,
}

impl<R: Read> Splitter<R> {
    /// Nothing is read yet. No message is longer than the library's readers take at once: so much is held.
    pub fn new(from: R, framing: Framing) -> Splitter<R> {
        let message_max = MESSAGE_MAX;
        Splitter { from, framing, bytes: Vec::new(), begin: 0, searched: 0, ended: false, message_max }
    }

    /// The next one; `None` at the end. What is behind the last delimiter is one, too, if it is anything.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(message) = self.delimited() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            if self.bytes.len() - self.begin > self.message_max {
                let why = format!("a message is longer than {} MiB", self.message_max >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            if self.fill()? == 0 {
                self.ended = true;
                return Ok(self.last());
            }
        }
    }

    fn delimited(&mut self) -> Option<Vec<u8>> {
        let Framing::Delimiter(delimiter) = &self.framing else { return None };
        let found = match delimiter.as_slice() {
            [one] => self.bytes[self.searched..].iter().position(|byte| byte == one),
            several => self.bytes[self.searched..].windows(several.len()).position(|part| part == several),
        };
        let Some(offset) = found else {
            // The beginning of a delimiter may be there already.
            self.searched = self.bytes.len().saturating_sub(delimiter.len() - 1).max(self.searched);
            return None;
        };
        let end = self.searched + offset;
        let message = self.bytes[self.begin..end].to_vec();
        self.begin = end + delimiter.len();
        self.searched = self.begin;
        Some(message)
    }

    fn last(&mut self) -> Option<Vec<u8>> {
        let rest = self.bytes.split_off(self.begin);
        (self.bytes, self.begin, self.searched) = (Vec::new(), 0, 0);
        match self.framing {
            Framing::Delimiter(_) if rest.is_empty() => None,
            Framing::Delimiter(_) | Framing::Whole => Some(rest),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.bytes.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        let old = self.bytes.len();
        self.bytes.resize(old + PIECE, 0);
        let result = loop {
            match self.from.read(&mut self.bytes[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.bytes.truncate(old + *result.as_ref().unwrap_or(&0));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it has in pieces of a length.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(to.len());
            to[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn split(bytes: &[u8], framing: &Framing, piece: usize) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::new(Pieces(bytes, piece), framing.clone());
        let mut all = Vec::new();
        while let Some(message) = splitter.next().unwrap() {
            all.push(message);
        }
        assert!(splitter.next().unwrap().is_none(), "there is something behind the end");
        all
    }

    #[test]
    fn messages_are_the_same_in_whatever_pieces_they_come() {
        let lines = Framing::Delimiter(b"\n".to_vec());
        let marked = Framing::Delimiter(b"--".to_vec());
        for piece in 1..8 {
            assert_eq!(split(b"one\n\ntwo\nthree", &lines, piece), [&b"one"[..], b"", b"two", b"three"]);
            assert_eq!(split(b"one\n", &lines, piece), [b"one"]);
            assert_eq!(split(b"", &lines, piece), [b""; 0]);
            assert_eq!(split(b"a-b---c--", &marked, piece), [&b"a-b"[..], b"-c"]);
            assert_eq!(split(b"\0\xff\n\0\n", &lines, piece), [&b"\0\xff"[..], b"\0"]);
            assert_eq!(split(b"one\ntwo\n", &Framing::Whole, piece), [b"one\ntwo\n"]);
            assert_eq!(split(b"", &Framing::Whole, piece), [b""]);
        }
    }

    #[test]
    fn a_message_is_there_before_the_stream_goes_on() {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut splitter = Splitter::new(theirs, Framing::Delimiter(b"\n".to_vec()));
        io::Write::write_all(&mut ours, b"one\ntw").unwrap();
        assert_eq!(splitter.next().unwrap().unwrap(), b"one");
        io::Write::write_all(&mut ours, b"o\n").unwrap();
        assert_eq!(splitter.next().unwrap().unwrap(), b"two");
    }

    #[test]
    fn a_message_without_an_end_does_not_fill_the_memory() {
        let mut splitter = Splitter::new(io::repeat(b'x'), Framing::Delimiter(b"\n".to_vec()));
        splitter.message_max = 100_000;
        assert_eq!(splitter.next().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(splitter.bytes.len() <= 100_000 + PIECE);
    }
}
