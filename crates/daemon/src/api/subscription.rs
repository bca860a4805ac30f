//! Subscribers of events.

use std::os::fd::AsFd;
use std::rc::Rc;

use session0_api::host::EventsReply;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::connection::{End, Output, unless_gone};
use super::dispatch::{Call, Continues, reply};
use super::host::{Host, Recorded, Subscription, Told};
use super::translate;

/// Events that wait are written together up to this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Sends the snapshot, and with `more` everything that happens until the client is gone. Without, the client may
/// go on with other calls.
pub async fn serve<H: Host>(
    host: &H,
    output: &Output,
    subscription: Subscription,
    call: &Call,
) -> Result<(), End> {
    let (told, mut receiver) = (subscription.told, subscription.receiver);
    let services = subscription.services;
    let snapshot = EventsReply {
        sequence: subscription.sequence,
        at_ms: now_ms(),
        sessions: Some(translate::session::all(host, &subscription.host.sessions)),
        host: Some(translate::host::status(host, &subscription.host)),
        services: Some(translate::service::all(host, &services)),
        event: None,
    };
    drop(services);
    let continues = if call.more() { Continues::Yes } else { Continues::No };
    output.write(&reply(&snapshot, continues), &[]).await?;
    drop(snapshot);
    if !call.more() {
        return Ok(());
    }
    loop {
        let first = unless_gone(output.stream.as_fd(), receiver.recv()).await.ok_or(End::Closed)?;
        let mut bytes = match first {
            Ok(recorded) => event(&recorded, told),
            Err(RecvError::Lagged(missed)) => return Err(End::Behind(missed)),
            Err(RecvError::Closed) => return Err(End::Down),
        };
        while bytes.len() < BATCH_BYTES {
            match receiver.try_recv() {
                Ok(recorded) => bytes.extend_from_slice(&event(&recorded, told)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                Err(TryRecvError::Lagged(missed)) => return Err(End::Behind(missed)),
            }
        }
        output.write(&bytes, &[]).await?;
    }
}

/// Nothing if the subscriber is not told it.
fn event(recorded: &Rc<Recorded>, told: Told) -> Vec<u8> {
    if told == Told::WhatIsForAll && recorded.event.is_for_administrators() {
        return Vec::new();
    }
    let event = EventsReply {
        sequence: recorded.sequence,
        at_ms: recorded.at_ms,
        host: None,
        services: None,
        sessions: None,
        event: Some(translate::event::event(&recorded.event)),
    };
    reply(&event, Continues::Yes)
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
