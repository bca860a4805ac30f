//! The language between the daemon and one `session0-logon`: packets on a `SOCK_SEQPACKET` socketpair, one message each, encoded
//! as in [`crate::launch::wire`].
//!
//! ```text
//!   client ── conversation (JSON, public) ── session0-logon ── this ── session0d
//!                                                 │◀── Begin ────────────│
//!        for each password:                       │─── Attempt ─────────▶│ who may try how soon is the model's rule
//!                                                 │◀── Wait ─────────────│ (or Refused)
//!                                                 │─── Failed ──────────▶│
//!        the right one:                           │─── Authenticated ───▶│ a session is made or found, a shell started
//!                                                 │◀── Concluded + fds ──│ (or Refused)
//! ```
//!
//! No password is ever in here. The process ends when either side is gone: it holds nothing worth keeping.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::name::AccountName;

/// Daemon to logon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLogon {
    /// The first message.
    Begin {
        /// What to do.
        task: Task,
        /// Where things are.
        place: AccountPlace,
    },
    /// A password may be checked after this long. The client is told if it is long.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// It is over; the client is told why.
    Refused {
        /// Windows' error code.
        code: u32,
        /// In a sentence.
        message: String,
        /// What helps.
        hint: Option<String>,
    },
    /// The user is in his session. Two descriptors come with it, for the client: the terminal's master, and the viewer's socket.
    Concluded {
        /// Which session.
        session: u32,
        /// Whether it was there before.
        entry: Entry,
        /// What the client is to be shown first, a line each.
        notices: Vec<String>,
    },
}

/// How a user came into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// It was made for this logon.
    New,
    /// It was his already and was disconnected.
    Reconnected,
    /// It was his already and active elsewhere: that terminal was told.
    TakenOver,
}

/// Logon to daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromLogon {
    /// May a password of this account be checked?
    Attempt,
    /// It was checked, and the logon goes on or has ended. For events, never for the client.
    Failed {
        /// Why, truly.
        reason: LogonFailure,
    },
    /// The account is who it says.
    Authenticated(User),
    /// The accounts cannot be used at all: for root. The process ends after this.
    Broken {
        /// File, place and reason.
        text: String,
    },
    /// An account was added, changed or removed.
    Changed {
        /// Which.
        account: AccountName,
        /// What happened to it.
        change: AccountChange,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Log this user on.
    Logon {
        /// Who says he is.
        account: AccountName,
    },
    /// All built-in accounts, to be shown.
    List,
    /// A new account.
    Add {
        /// Its name.
        account: AccountName,
        /// The person's name; may be empty.
        full_name: String,
        /// Login shell; `None` is the usual one.
        shell: Option<String>,
    },
    /// A new password.
    Password {
        /// Whose.
        account: AccountName,
        /// Whether the old one is asked for first.
        old: OldPassword,
    },
    /// No logon any more.
    Disable {
        /// Whose.
        account: AccountName,
    },
    /// Logons again.
    Enable {
        /// Whose.
        account: AccountName,
    },
    /// The account goes.
    Remove {
        /// Whose.
        account: AccountName,
        /// What becomes of his home.
        home: HomeFate,
    },
    /// Write the public list anew ([`AccountPlace::published`]); nobody is told.
    Publish,
}

/// Whether somebody who changes a password must know the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldPassword {
    /// He must: it is his own.
    Asked,
    /// He need not: he is an administrator.
    NotNeeded,
}

/// What becomes of the home of a removed account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HomeFate {
    /// It stays.
    Kept,
    /// It is removed with everything in it.
    Removed,
}

/// What happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountChange {
    /// It is new.
    Added,
    /// It has another password.
    Password,
    /// It may not log on any more.
    Disabled,
    /// It may log on again.
    Enabled,
    /// It is gone.
    Removed,
}

/// Where accounts are. Paths are absolute, in the daemon's mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPlace {
    /// accounts.toml: the truth, with the hashes, mode 0600.
    pub accounts: String,
    /// The same without hashes as passwd(5) lines, mode 0644: written by session0-logon at every change, read by the daemon.
    pub published: String,
    /// The directory homes are made in.
    pub homes: String,
    /// What that directory is called inside sessions (`/home`): what `home` of an account says.
    pub homes_inside: String,
    /// Skeleton directories, the first that exists is copied.
    pub skeletons: Vec<String>,
    /// Uids for built-in accounts, both ends included.
    pub uids: (u32, u32),
    /// Whose accounts may log on.
    pub sources: Sources,
}

/// Whose accounts may log on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Those in accounts.toml.
    pub builtin: bool,
    /// The machine's own, by NSS and shadow.
    pub machine: bool,
}

/// An account that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: AccountName,
    /// Its uid, never 0.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
    /// Its supplementary groups; never 0.
    pub groups: Vec<u32>,
    /// Its home directory as sessions see it.
    pub home: String,
    /// Its login shell.
    pub shell: String,
    /// Whose account it is.
    pub source: Source,
}

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Ours: accounts.toml.
    Builtin,
    /// The machine's: NSS.
    Machine,
}

/// Why a logon failed, for events. The client is told only what he may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogonFailure {
    /// There is no such account.
    UnknownAccount,
    /// The password is wrong.
    WrongPassword,
    /// The account is disabled or locked.
    Disabled,
    /// The account or its password has expired.
    Expired,
    /// It is uid 0, which has no session.
    Root,
    /// The client went away or said nothing in time.
    Abandoned,
}

impl LogonFailure {
    /// Windows' error code (windows-semantics 1.12 and the logon codes around 1326).
    pub fn code(self) -> u32 {
        match self {
            LogonFailure::UnknownAccount => 1317,
            LogonFailure::WrongPassword => 1326,
            LogonFailure::Disabled => 1331,
            LogonFailure::Expired => 1330,
            LogonFailure::Root => 1385,
            LogonFailure::Abandoned => 1223,
        }
    }
}
