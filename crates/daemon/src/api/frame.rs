//! Calls as bytes: a JSON object and a zero byte.

/// Bytes read at once.
pub const READ_SIZE: usize = 8 * 1024;
/// An emptied buffer keeps at most this much.
const KEEP_MAX: usize = 2 * READ_SIZE;

/// What was read and not yet taken. Holds at most one call's maximum and one read.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Up to here there is no zero byte.
    searched: usize,
}

/// The next call.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Whole, without its zero byte.
    Call(Vec<u8>),
    /// Begun, not whole.
    Begun,
    /// Not begun.
    Nothing,
    /// Longer than it may be.
    TooLong,
}

impl Frames {
    /// Takes the next call, if it is whole.
    pub fn take(&mut self, call_max: usize) -> Next {
        let Some(offset) = self.bytes[self.searched..].iter().position(|byte| *byte == 0) else {
            self.searched = self.bytes.len();
            return match self.searched {
                0 => Next::Nothing,
                length if length > call_max => Next::TooLong,
                _ => Next::Begun,
            };
        };
        let end = self.searched + offset;
        if end > call_max {
            return Next::TooLong;
        }
        let rest = self.bytes.split_off(end + 1);
        let mut call = std::mem::replace(&mut self.bytes, rest);
        call.truncate(end);
        self.searched = 0;
        self.bytes.shrink_to(KEEP_MAX);
        Next::Call(call)
    }

    /// Whether something was read that was not taken.
    pub fn is_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Adds what was read.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_taken_one_by_one_whatever_the_reads_were() {
        let mut frames = Frames::default();
        assert_eq!(frames.take(10), Next::Nothing);
        frames.add(b"on");
        assert_eq!(frames.take(10), Next::Begun);
        frames.add(b"e\0two\0th");
        assert_eq!(frames.take(10), Next::Call(b"one".to_vec()));
        assert_eq!(frames.take(10), Next::Call(b"two".to_vec()));
        assert_eq!(frames.take(10), Next::Begun);
        frames.add(b"ree\0");
        assert_eq!(frames.take(10), Next::Call(b"three".to_vec()));
        assert_eq!(frames.take(10), Next::Nothing);
    }

    #[test]
    fn the_limit_holds_for_whole_calls_and_for_calls_without_an_end() {
        let mut frames = Frames::default();
        frames.add(b"1234\0");
        assert_eq!(frames.take(4), Next::Call(b"1234".to_vec()));
        frames.add(b"12345\0");
        assert_eq!(frames.take(4), Next::TooLong);
        let mut frames = Frames::default();
        frames.add(b"12345");
        assert_eq!(frames.take(4), Next::TooLong);
    }
}
