//! D-Bus messages, as far as calls and answers with texts need them (D-Bus Specification 0.43, "Message Protocol").

/// The first bytes of a message, whose length is always the same.
pub const FIXED: usize = 16;
/// The longest message a bus passes on.
const MESSAGE_MAX: usize = 128 * 1024 * 1024;

/// A call.
pub const CALL: u8 = 1;
/// Its answer.
pub const ANSWER: u8 = 2;
/// An answer that says why not.
pub const ERROR: u8 = 3;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;
const UNIX_FDS: u8 = 9;

/// Values, each at the multiple of its size that it must lie at.
#[derive(Debug, Default, Clone)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Zero bytes up to a multiple.
    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// `y`.
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// `u`, `h` and, as 0 or 1, `b`.
    pub fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// `t`.
    pub fn long(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// `s` and `o`.
    pub fn text(&mut self, value: &str) {
        self.number(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// `g`.
    pub fn signature(&mut self, value: &str) {
        self.0.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// An array of structures, which `write` writes one after the other.
    pub fn array(&mut self, write: impl FnOnce(&mut Writer)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(8);
        let begin = self.0.len();
        write(self);
        let length = u32::try_from(self.0.len() - begin).unwrap_or(u32::MAX);
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn field(&mut self, code: u8, kind: &str, value: impl FnOnce(&mut Writer)) {
        self.align(8);
        self.byte(code);
        self.signature(kind);
        value(self);
    }
}

/// What a call is for.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    /// The name on the bus; empty on a connection without a bus.
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
}

/// Bytes and their type.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// `s`, `su` ...
    pub signature: &'a str,
    /// As [`Writer`] wrote them.
    pub bytes: &'a [u8],
    /// Descriptors that go with it.
    pub descriptors: u32,
}

impl<'a> Body<'a> {
    /// One without descriptors.
    pub fn of(signature: &'a str, bytes: &'a [u8]) -> Self {
        Body { signature, bytes, descriptors: 0 }
    }
}

/// A whole call.
pub fn call(serial: u32, method: Method, body: Body) -> Vec<u8> {
    whole(CALL, serial, body, |fields| {
        fields.field(PATH, "o", |to| to.text(method.path));
        fields.field(INTERFACE, "s", |to| to.text(method.interface));
        fields.field(MEMBER, "s", |to| to.text(method.member));
        if !method.destination.is_empty() {
            fields.field(DESTINATION, "s", |to| to.text(method.destination));
        }
    })
}

/// A whole answer to the call with this serial.
pub fn answer(serial: u32, to: u32, destination: &str, body: Body) -> Vec<u8> {
    whole(ANSWER, serial, body, |fields| {
        fields.field(REPLY_SERIAL, "u", |writer| writer.number(to));
        fields.field(DESTINATION, "s", |writer| writer.text(destination));
    })
}

fn whole(kind: u8, serial: u32, body: Body, fields: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut to = Writer(Vec::with_capacity(256 + body.bytes.len()));
    to.0.extend([b'l', kind, 0, 1]);
    to.number(u32::try_from(body.bytes.len()).unwrap_or(u32::MAX));
    to.number(serial);
    to.array(|array| {
        fields(array);
        if !body.signature.is_empty() {
            array.field(SIGNATURE, "g", |writer| writer.signature(body.signature));
        }
        if body.descriptors > 0 {
            array.field(UNIX_FDS, "u", |writer| writer.number(body.descriptors));
        }
    });
    to.align(8);
    to.0.extend(body.bytes);
    to.0
}

/// Writes another serial into a whole message.
pub fn renumber(message: &mut [u8], serial: u32) {
    message[8..12].copy_from_slice(&serial.to_le_bytes());
}

/// Where the parts of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The fields' end.
    fields_end: usize,
    /// The body's begin.
    body: usize,
    /// The message's end.
    pub whole: usize,
}

/// The lengths that the first bytes of a message say.
pub fn lengths(first: &[u8; FIXED]) -> Result<Lengths, String> {
    if first[0] != b'l' || first[3] != 1 {
        return Err("a message in a byte order or a version that the bench does not speak".to_owned());
    }
    let (body, fields) = (number_at(first, 4), number_at(first, 12));
    let fields_end = FIXED + fields as usize;
    let begin = fields_end.next_multiple_of(8);
    match begin + body as usize {
        whole if whole <= MESSAGE_MAX => Ok(Lengths { fields_end, body: begin, whole }),
        whole => Err(format!("a message of {whole} bytes is longer than a bus allows")),
    }
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// [`CALL`], [`ANSWER`] ...
    pub kind: u8,
    /// Its serial.
    pub serial: u32,
    /// The serial it answers, or 0.
    pub answers: u32,
    /// Who sent it; empty without a bus.
    pub sender: &'a str,
    /// The method that is called.
    pub member: &'a str,
    /// The type of its body.
    pub signature: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

/// Reads a whole message.
pub fn read(bytes: &[u8]) -> Result<Message<'_>, String> {
    let broken = || "a broken message".to_owned();
    let first = bytes.first_chunk::<FIXED>().ok_or_else(broken)?;
    let lengths = lengths(first)?;
    let body = bytes.get(lengths.body..lengths.whole).ok_or_else(broken)?;
    let mut message = Message {
        kind: first[1],
        serial: number_at(first, 8),
        answers: 0,
        sender: "",
        member: "",
        signature: "",
        body,
    };
    let mut reader = Reader { bytes: bytes.get(..lengths.fields_end).ok_or_else(broken)?, at: FIXED };
    while reader.at < lengths.fields_end {
        reader.at = reader.at.next_multiple_of(8);
        let code = reader.byte().ok_or_else(broken)?;
        let kind = reader.signature().ok_or_else(broken)?;
        match (code, kind) {
            (REPLY_SERIAL, "u") => message.answers = reader.number().ok_or_else(broken)?,
            (SENDER, "s") => message.sender = reader.text().ok_or_else(broken)?,
            (MEMBER, "s") => message.member = reader.text().ok_or_else(broken)?,
            (SIGNATURE, "g") => message.signature = reader.signature().ok_or_else(broken)?,
            (_, "s" | "o") => drop(reader.text().ok_or_else(broken)?),
            (_, "u") => drop(reader.number().ok_or_else(broken)?),
            (_, kind) => return Err(format!("a message with a field of type {kind:?}")),
        }
    }
    Ok(message)
}

/// The text a body of type `s` is.
pub fn text(body: &[u8]) -> Option<&str> {
    Reader { bytes: body, at: 0 }.text()
}

fn number_at(bytes: &[u8; FIXED], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.at = self.at.next_multiple_of(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        self.terminated(length)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()? as usize;
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut body = Writer::default();
        body.text("hello");
        let method = Method { destination: "a.b", path: "/", interface: "a.b", member: "Echo" };
        call(7, method, Body::of("s", &body.0))
    }

    #[test]
    fn a_call_is_read_as_it_is_written() -> Result<(), String> {
        let bytes = sample();
        let message = read(&bytes)?;
        assert_eq!((message.kind, message.serial, message.member, message.signature), (CALL, 7, "Echo", "s"));
        assert_eq!(text(message.body), Some("hello"));
        let first = bytes.first_chunk().ok_or("a short message")?;
        assert_eq!(lengths(first)?.whole, bytes.len());
        Ok(())
    }

    #[test]
    fn an_answer_names_the_call_it_answers() -> Result<(), String> {
        let mut bytes = answer(3, 41, ":1.5", Body::of("", &[]));
        renumber(&mut bytes, 9);
        let message = read(&bytes)?;
        assert_eq!((message.kind, message.serial, message.answers), (ANSWER, 9, 41));
        Ok(())
    }

    #[test]
    fn a_message_that_is_cut_or_changed_is_refused_or_read_but_never_a_panic() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end} bytes of it are no message");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = read(&changed);
            }
        }
    }
}
