//! The limits of every connection.

use session0_model::limit;
use std::time::Duration;

/// What one client may cost. The defaults are those of [`session0_model::limit`]; tests take small ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one call.
    pub call_bytes: usize,
    /// A call that has begun must be whole within this.
    pub call_time: Duration,
    /// A connection without a call, an answer due or a subscription is closed after this.
    pub idle_time: Duration,
    /// An answer must be taken within this.
    pub write_time: Duration,
    /// Open connections of one door.
    pub clients: usize,
    /// Of these, kept for root: others cannot lock the administrator out.
    pub reserved: usize,
    /// Open connections of one user other than root.
    pub clients_per_uid: usize,
    /// How long accepting pauses when it fails, for instance because no descriptor is left.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            call_bytes: limit::API_CALL_MAX,
            call_time: limit::API_CALL_TIME_MAX,
            idle_time: limit::API_IDLE_MAX,
            write_time: limit::API_WRITE_TIME_MAX,
            clients: limit::API_CLIENTS_MAX,
            reserved: limit::API_CLIENTS_MAX / 16,
            clients_per_uid: limit::API_CLIENTS_PER_UID_MAX,
            accept_pause: Duration::from_millis(100),
        }
    }
}
