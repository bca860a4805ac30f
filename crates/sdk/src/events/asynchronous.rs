//! The same within tokio.

use std::path::{Path, PathBuf};
use std::time::Duration;

use session0_api::host;

use super::{Interruption, Notice, PATIENCE, lasting, notice, pauses};
use crate::asynchronous::Client;
use crate::error::Error;
use crate::wire::Answers;

/// Events, one after the other.
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
    pub async fn connect(path: &Path) -> Result<Events, Error> {
        Events::begin(Client::connect(path).await?).await
    }

    pub(crate) async fn begin(client: Client) -> Result<Events, Error> {
        let path = client.path().to_path_buf();
        let client = subscribe(client).await?;
        Ok(Events { path, patience: PATIENCE, connection: Connection::Open(client) })
    }

    /// How long a lost connection is tried again.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The next one; `None` after an error was given. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Notice, Error>> {
        if let Connection::Lost = self.connection {
            match self.reconnect().await {
                Ok(client) => self.connection = Connection::Open(client),
                Err(error) => {
                    self.connection = Connection::Ended;
                    return Some(Err(error));
                }
            }
        }
        let Connection::Open(client) = &mut self.connection else { return None };
        match client.receive::<host::Events>().await.map_err(|broken| Interruption::of(broken, &self.path)) {
            Ok(reply) => Some(notice(reply)),
            Err(Interruption::Lost(why)) => {
                self.connection = Connection::Lost;
                Some(Ok(Notice::Interrupted(why)))
            }
            Err(Interruption::Refused(error)) => {
                self.connection = Connection::Ended;
                Some(Err(error))
            }
        }
    }

    async fn reconnect(&self) -> Result<Client, Error> {
        let end = tokio::time::Instant::now() + self.patience;
        let mut pauses = pauses();
        loop {
            let attempt = match Client::connect(&self.path).await {
                Ok(client) => subscribe(client).await,
                Err(error) => Err(error),
            };
            let pause = pauses.next().unwrap_or(super::PAUSE_MAX);
            match attempt {
                Ok(client) => return Ok(client),
                Err(error) if lasting(&error) || tokio::time::Instant::now() + pause > end => {
                    return Err(error);
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
        }
    }
}

async fn subscribe(mut client: Client) -> Result<Client, Error> {
    let path = client.path().to_path_buf();
    client.send(&host::Events {}, Answers::Many).await.map_err(|broken| broken.into_error(&path))?;
    Ok(client)
}
