//! Numbers of servers and instances.

use serde::{Deserialize, Serialize};

/// One server of one pipe: one process's listening side. Never used again while the machine is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerId(pub u64);

/// One client's connection to one server. Never used again while the machine is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub u64);
