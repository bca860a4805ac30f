//! Identities: newtypes, never reused while the machine is up.

use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A session's number. Monotone, never reused while the machine is up (windows-semantics 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u32);

/// The session of the services: made first, always there, never on a terminal.
pub const SESSION_ZERO: SessionId = SessionId(0);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One launch of one program. Monotone across restarts of the daemon: the highest one in use is read
/// back from the session's init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaunchId(pub u64);

/// One request of one client, unique within the life of one daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One conversation with a session0-logon, unique within the life of one daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogonId(pub u64);

/// One client that a program's streams are with. Never used again while the session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ViewerId(pub u64);

/// A service's name: 1 to [`crate::limit::SERVICE_NAME_MAX`] characters of `A-Z a-z 0-9 . _ - @ +`, not
/// beginning with a dot. Case is kept and ignored in comparison, as on Windows (windows-semantics 3.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

/// Why a text is not a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// Nothing at all.
    Empty,
    /// Longer than [`crate::limit::SERVICE_NAME_MAX`].
    TooLong,
    /// It begins with a dot.
    LeadingDot,
    /// It has this character.
    Character(char),
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("a service name cannot be empty"),
            BadName::TooLong => {
                write!(f, "a service name has at most {} characters", crate::limit::SERVICE_NAME_MAX)
            }
            BadName::LeadingDot => f.write_str("a service name cannot begin with a dot"),
            BadName::Character(c) => {
                write!(f, "a service name cannot contain {c:?}; allowed are A-Z a-z 0-9 . _ - @ +")
            }
        }
    }
}

impl ServiceName {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<ServiceName, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if text.len() > crate::limit::SERVICE_NAME_MAX {
            return Err(BadName::TooLong);
        }
        if text.starts_with('.') {
            return Err(BadName::LeadingDot);
        }
        match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-@+".contains(*c)) {
            Some(c) => Err(BadName::Character(c)),
            None => Ok(ServiceName(Arc::from(text))),
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for ServiceName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for ServiceName {}
impl PartialOrd for ServiceName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ServiceName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}
impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for ServiceName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        ServiceName::new(&text)
    }
}
impl From<ServiceName> for String {
    fn from(name: ServiceName) -> String {
        String::from(&*name.0)
    }
}
