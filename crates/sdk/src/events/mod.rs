//! Following what happens: first everything as it is, then every event, across a daemon that is replaced.

pub mod asynchronous;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use session0_api::event::Event;
use session0_api::host::{self, EventsReply, HostStatus};
use session0_api::service::ServiceStatus;
use session0_api::session::SessionStatus;

use crate::client::{Broken, Client};
use crate::error::Error;
use crate::wire::Answers;

/// How long a lost connection is tried again before the last error is given.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before the first further attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Everything as it is now: at the beginning and after every [`Notice::Interrupted`].
    Snapshot(Box<Snapshot>),
    /// Something happened.
    Event(Box<Happening>),
    /// The connection was lost, for this reason; what happens until the next snapshot is seen in it only by its
    /// outcome.
    Interrupted(String),
}

/// Everything as it is after the event with this number.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The number of the last event that is in it.
    pub sequence: u64,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// The host.
    pub host: HostStatus,
    /// All services.
    pub services: Vec<ServiceStatus>,
    /// All sessions.
    pub sessions: Vec<SessionStatus>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// Its number.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub event: Event,
}

/// Events, one after the other; an iterator that ends with the first error.
pub struct Events {
    path: PathBuf,
    patience: Duration,
    connection: Connection,
}

enum Connection {
    Open(Client),
    /// Lost; the reason was given.
    Lost,
    /// An error was given.
    Ended,
}

impl Events {
    /// Connects and subscribes.
    pub fn connect(path: &Path) -> Result<Events, Error> {
        Events::begin(Client::connect(path)?)
    }

    pub(crate) fn begin(client: Client) -> Result<Events, Error> {
        let path = client.path().to_path_buf();
        let client = subscribe(client)?;
        Ok(Events { path, patience: PATIENCE, connection: Connection::Open(client) })
    }

    /// How long a lost connection is tried again.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    fn reconnect(&self) -> Result<Client, Error> {
        let end = Instant::now() + self.patience;
        let mut pauses = pauses();
        loop {
            let pause = pauses.next().unwrap_or(PAUSE_MAX);
            match Client::connect(&self.path).and_then(subscribe) {
                Ok(client) => return Ok(client),
                Err(error) if lasting(&error) || Instant::now() + pause > end => return Err(error),
                Err(_) => std::thread::sleep(pause),
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Notice, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut client = match std::mem::replace(&mut self.connection, Connection::Ended) {
            Connection::Open(client) => client,
            Connection::Lost => match self.reconnect() {
                Ok(client) => client,
                Err(error) => return Some(Err(error)),
            },
            Connection::Ended => return None,
        };
        match client.receive::<host::Events>().map_err(|broken| Interruption::of(broken, &self.path)) {
            Ok(reply) => {
                self.connection = Connection::Open(client);
                Some(notice(reply))
            }
            Err(Interruption::Lost(why)) => {
                self.connection = Connection::Lost;
                Some(Ok(Notice::Interrupted(why)))
            }
            Err(Interruption::Refused(error)) => Some(Err(error)),
        }
    }
}

fn subscribe(mut client: Client) -> Result<Client, Error> {
    let path = client.path().to_path_buf();
    client.send(&host::Events {}, Answers::Many).map_err(|broken| broken.into_error(&path))?;
    Ok(client)
}

/// Whether trying again cannot help.
pub(crate) fn lasting(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => false,
        Error::Refused(refused) => !matches!(refused.short_name(), "NotReady" | "TooManyClients"),
        Error::NotPermitted(_) | Error::Fault(_) | Error::Protocol { .. } | Error::System { .. } => true,
    }
}

/// What a subscription ended with.
pub(crate) enum Interruption {
    /// The connection.
    Lost(String),
    /// A refusal.
    Refused(Error),
}

impl Interruption {
    pub(crate) fn of(broken: Broken, path: &Path) -> Interruption {
        let error = broken.into_error(path);
        match &error {
            Error::Unreachable { why, .. } => Interruption::Lost(why.clone()),
            other if lasting(other) => Interruption::Refused(error),
            other => Interruption::Lost(other.to_string()),
        }
    }
}

pub(crate) fn notice(reply: EventsReply) -> Result<Notice, Error> {
    let EventsReply { sequence, at_ms, host, services, sessions, event } = reply;
    if let Some(event) = event {
        return Ok(Notice::Event(Box::new(Happening { sequence, at_ms, event })));
    }
    match (host, services, sessions) {
        (Some(host), Some(services), Some(sessions)) => {
            Ok(Notice::Snapshot(Box::new(Snapshot { sequence, at_ms, host, services, sessions })))
        }
        _ => Err(Error::Protocol { what: "the host sent neither an event nor a snapshot".to_owned() }),
    }
}

/// The pauses between attempts: doubling, up to the longest.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(PAUSE), |pause| Some((*pause * 2).min(PAUSE_MAX)))
}
