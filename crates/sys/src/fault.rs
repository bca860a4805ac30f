//! An error with what was tried and on what.

use std::fmt;
use std::io;

/// Something the system refused: what was tried, on what, why not.
#[derive(Debug)]
pub struct Fault {
    /// What was tried, for instance `make the control group`.
    pub tried: &'static str,
    /// On what: a path or a name.
    pub subject: String,
    /// Why not.
    pub reason: io::Error,
}

impl Fault {
    /// A fault that is not the system's word but our own.
    pub fn new(tried: &'static str, subject: impl fmt::Display, reason: impl Into<io::Error>) -> Fault {
        Fault { tried, subject: subject.to_string(), reason: reason.into() }
    }

    /// The errno, or EIO where there is none.
    pub fn errno(&self) -> i32 {
        self.reason.raw_os_error().unwrap_or(libc::EIO)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.tried, self.subject, self.reason)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> io::Error {
        io::Error::new(fault.reason.kind(), fault)
    }
}

/// Adds what was tried to an error of the system.
pub trait Context<T> {
    /// Says what was tried and on what.
    fn context(self, tried: &'static str, subject: impl fmt::Display) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, tried: &'static str, subject: impl fmt::Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(tried, subject, error))
    }
}
