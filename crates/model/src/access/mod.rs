//! Who asks, and what he may.

use crate::id::{ServiceName, SessionId};
use alloc::vec::Vec;

/// Where a caller stands, decided by the listener it came through and its control group, never by its word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A program outside every session: the machine itself.
    Outside,
    /// A program of a session; in Session 0 with the service it belongs to.
    Session {
        /// The session whose listener it used and whose control group it is in.
        id: SessionId,
        /// The service, if it is one.
        service: Option<ServiceName>,
    },
}

/// A verified caller. All of it comes from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Where it stands.
    pub origin: Origin,
    /// Its effective uid.
    pub uid: u32,
    /// Its effective gid and supplementary groups.
    pub groups: Vec<u32>,
    /// Its process id as the daemon sees it; for logs only, never for decisions.
    pub pid: i32,
}

/// Who holds every right: root outside, LocalSystem (uid 0 in Session 0), and these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Administrators {
    /// Uids named in host.toml.
    pub uids: Vec<u32>,
    /// Gids named in host.toml.
    pub gids: Vec<u32>,
}
