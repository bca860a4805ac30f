//! Calls to a host itself.

use session0::{Client, Dependents, Wait};

use crate::Outcome;
use crate::address::Place;
use crate::measure::Exchange;

/// `io.session0.Host.Version`, on one connection.
pub struct Version(Client);

impl Version {
    /// Of the host at this place.
    pub fn connect(host: &Place) -> Outcome<Version> {
        connect(host).map(Version)
    }
}

impl Exchange for Version {
    fn exchange(&mut self) -> Outcome<()> {
        self.0.version().map(drop).map_err(|e| format!("asking for the version: {e}"))
    }
}

/// `io.session0.Service.Start` of a stopped service, until it runs.
pub struct Start {
    host: Client,
    service: String,
}

impl Start {
    /// Of the service at this place.
    pub fn connect(service: &Place) -> Outcome<Start> {
        Ok(Start { host: connect(service)?, service: service.name.clone() })
    }
}

impl Exchange for Start {
    fn exchange(&mut self) -> Outcome<()> {
        let started = self.host.start(&self.service, Wait::Settled);
        started.map(drop).map_err(|e| format!("starting {}: {e}", self.service))
    }

    fn restore(&mut self) -> Outcome<()> {
        let stopped = self.host.stop(&self.service, Wait::Settled, Dependents::Refuse);
        stopped.map(drop).map_err(|e| format!("stopping {}: {e}", self.service))
    }
}

fn connect(host: &Place) -> Outcome<Client> {
    Client::connect(&host.socket()).map_err(|e| e.to_string())
}
