//! Faults: logged once with an id, reported with the same id.

use std::cell::Cell;
use std::fmt::Display;

use session0_api::error::Fault;

use crate::message;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// ERROR_INTERNAL_ERROR.
const CODE: u32 = 1359;

/// Writes a fault to the log and makes what the client is told.
pub fn report(tried: &str, reason: &dyn Display) -> Fault {
    COUNT.set(COUNT.get() + 1);
    let id = format!("{}-{}", std::process::id(), COUNT.get());
    message::error(tried, &[("reason", reason), ("id", &id)]);
    Fault {
        code: CODE,
        message: format!("a fault of the host: {tried}: {reason}"),
        hint: Some(format!("the daemon's log has the details under id={id}")),
        id,
    }
}
