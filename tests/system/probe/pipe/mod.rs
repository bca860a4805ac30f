//! Ends of named pipes, by the library and by hand.

pub mod attack;
mod open;
mod raw;
mod serve;

pub use open::open;
pub use raw::listen;
pub use serve::serve;

use std::os::fd::AsFd;

use session0::pipe::Error;

/// Prints a line at once.
pub fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// `refused NUMBER NAME: why`.
pub fn refused(error: &Error) -> String {
    format!("refused {} {}: {}", error.code().number(), error.name(), error.message())
}

/// A fragment of a hundred bytes is announced, and ten come.
pub fn half(socket: impl AsFd) -> Result<(), rustix::io::Errno> {
    let mut bytes = 100_u32.to_le_bytes().to_vec();
    bytes.extend([b'x'; 10]);
    rustix::io::write(socket, &bytes).map(drop)
}

/// A stream that nobody has by accident: the bytes from `at` on.
pub fn stream(at: usize, bytes: &mut [u8]) {
    for (index, byte) in (at..).zip(bytes) {
        let mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        *byte = (mixed ^ (mixed >> 8)) as u8;
    }
}

/// What tells two streams apart (FNV-1a).
pub struct Sum {
    count: usize,
    value: u64,
}

impl Sum {
    /// Of nothing.
    pub fn new() -> Sum {
        Sum { count: 0, value: 0xcbf2_9ce4_8422_2325 }
    }

    /// More bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.count += bytes.len();
        for byte in bytes {
            self.value = (self.value ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// `COUNT HASH`.
    pub fn text(&self) -> String {
        format!("{} {:016x}", self.count, self.value)
    }
}
