//! How a conversation ends, and what is said then to whom.

use std::fmt;

use session0_model::logon::wire::{FromLogon, OldPassword, Task};

use crate::peers::Peers;
use crate::said::Said;
use crate::{change, logon};

/// Why a conversation ended before what it was for was done.
#[derive(Debug)]
pub enum Over {
    /// The client went away.
    ClientGone,
    /// The client said what no client of ours says.
    ClientNonsense,
    /// The daemon went away.
    DaemonGone,
    /// The daemon said what no daemon of ours says.
    DaemonNonsense,
    /// It took too long.
    TimeUp,
    /// The client is told why not.
    Refused {
        /// Windows' error code.
        code: u32,
        /// In a sentence.
        message: String,
        /// What helps.
        hint: Option<String>,
    },
    /// Accounts cannot be used: a file is broken, or the system said no. For the administrator only.
    Broken(String),
}

impl Over {
    /// A refusal.
    pub fn refused(code: u32, message: impl Into<String>) -> Over {
        Over::Refused { code, message: message.into(), hint: None }
    }

    /// A refusal and what helps.
    pub fn refused_with(code: u32, message: impl Into<String>, hint: impl Into<String>) -> Over {
        Over::Refused { code, message: message.into(), hint: Some(hint.into()) }
    }

    /// The system said no.
    pub fn system(tried: &str, error: impl fmt::Display) -> Over {
        Over::Broken(format!("cannot {tried}: {error}"))
    }
}

impl From<session0_sys::Fault> for Over {
    fn from(fault: session0_sys::Fault) -> Over {
        Over::Broken(fault.to_string())
    }
}

/// ERROR_TIMEOUT.
const TIMEOUT: u32 = 1460;
/// ERROR_INTERNAL_ERROR.
const INTERNAL: u32 = 1359;
/// ERROR_NO_SYSTEM_RESOURCES.
pub const NO_RESOURCES: u32 = 1450;

/// Does what the daemon wants done, and says how it ended.
pub fn conclude(peers: &mut Peers) {
    let (task, place) = match peers.begin() {
        Ok(begun) => begun,
        Err(over) => return end(peers, over, Audience::Anybody),
    };
    let audience = audience(&task);
    let done = match task {
        Task::Logon { account } => logon::logon(peers, &place, &account),
        Task::List => change::list(peers, &place),
        Task::Add { account, full_name, shell } => {
            change::add(peers, &place, &account, &full_name, shell.as_deref())
        }
        Task::Password { account, old } => change::password(peers, &place, &account, old),
        Task::Disable { account } => change::enabled(peers, &place, &account, change::Logons::Refused),
        Task::Enable { account } => change::enabled(peers, &place, &account, change::Logons::Allowed),
        Task::Remove { account, home } => change::remove(peers, &place, &account, home),
        Task::Publish => change::publish(peers, &place),
    };
    if let Err(over) = done {
        end(peers, over, audience);
    }
}

/// Who is at the client's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Somebody the daemon knows as an administrator: sees what is broken.
    Administrator,
    /// Anybody.
    Anybody,
}

fn audience(task: &Task) -> Audience {
    match task {
        Task::Logon { .. } | Task::Password { old: OldPassword::Asked, .. } | Task::Publish => {
            Audience::Anybody
        }
        Task::List
        | Task::Add { .. }
        | Task::Password { old: OldPassword::NotNeeded, .. }
        | Task::Disable { .. }
        | Task::Enable { .. }
        | Task::Remove { .. } => Audience::Administrator,
    }
}

fn end(peers: &Peers, over: Over, audience: Audience) {
    match over {
        Over::ClientGone | Over::DaemonGone => {}
        Over::ClientNonsense => complain!("a client said what no client says, and was cut off"),
        Over::DaemonNonsense => complain!("the daemon said what no daemon of this version says"),
        Over::TimeUp => {
            peers.last_word(&Said::Refused { code: TIMEOUT, message: "it took too long".into(), hint: None })
        }
        Over::Refused { code, message, hint } => peers.last_word(&Said::Refused { code, message, hint }),
        Over::Broken(text) => {
            let message = match audience {
                Audience::Administrator => text.clone(),
                Audience::Anybody => {
                    "logons are not possible now; the administrator has been told why".into()
                }
            };
            // A daemon that is gone has its stderr, where this was said as well.
            complain!("{text}");
            let _ = peers.tell(&FromLogon::Broken { text });
            peers.last_word(&Said::Refused { code: INTERNAL, message, hint: None });
        }
    }
}
