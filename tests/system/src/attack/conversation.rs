//! A client of our own that logs on by the public interface, with a terminal that calls itself what it likes.

use std::os::fd::OwnedFd;
use std::path::Path;

use serde_json::{Value, json};

use crate::conversation::Conversation;

/// Logs `account` on in a new session, from a terminal of this name and with these variables. What it holds while it is to be
/// connected, or what was answered instead.
pub fn log_on_as(
    socket: &Path,
    account: &str,
    password: &str,
    terminal: &str,
    environment: &[(&str, &str)],
) -> Result<Vec<OwnedFd>, String> {
    let variables: Vec<Value> =
        environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let parameters = json!({
        "account": account,
        "terminal": { "rows": 24, "columns": 80, "name": terminal },
        "environment": variables,
        "new": true,
    });
    let conversation = Conversation::logon(socket, &parameters)?;
    let (said, mut descriptors) = conversation.talk(password)?;
    let last = said.last().cloned().unwrap_or_default();
    if last.get("logged_on").is_none() {
        return Err(last.to_string());
    }
    descriptors.push(conversation.into());
    Ok(descriptors)
}
