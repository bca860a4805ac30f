//! A call to the host itself.

use crate::Outcome;
use crate::measure::Exchange;

/// `io.session0.Host.Version`, on one connection.
pub struct Version(session0::Client);

impl Version {
    /// Of the host of `SESSION0_ROOT`.
    pub fn connect() -> Outcome<Version> {
        session0::Client::discover().map(Version).map_err(|e| e.to_string())
    }
}

impl Exchange for Version {
    fn exchange(&mut self) -> Outcome<()> {
        self.0.version().map(drop).map_err(|e| e.to_string())
    }
}
