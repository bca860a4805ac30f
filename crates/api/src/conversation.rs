//! What is said on a conversation's and on a viewer's socket: `SOCK_SEQPACKET`, one JSON object a packet, at most 16 KiB.
//!
//! A conversation is with a process of one's own beside the host (`session0-logon`) that asks for what it needs. It ends with
//! [`Said::Refused`], [`Said::LoggedOn`] or [`Said::Done`]; closing the socket cancels it. Objects of kinds a reader does not know
//! are to be skipped.

use serde::{Deserialize, Serialize};

/// The host's side of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// To be answered with [`Answer::Answer`].
    Prompt {
        /// What to show.
        text: String,
        /// Whether the answer is a secret: not to be shown while it is typed.
        secret: bool,
    },
    /// To be shown.
    Message {
        /// The text, one line.
        text: String,
    },
    /// Nothing happens for so long, because of wrong passwords before.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// It is over.
    Refused {
        /// Windows' error code.
        code: u32,
        /// What was tried and why not, in a sentence.
        message: String,
        /// What helps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// It is over: the user is in his session. Two descriptors come with it: the terminal's master, the viewer's socket.
    LoggedOn {
        /// Which session.
        session: u32,
        /// How he came into it.
        entry: Entry,
        /// To be shown first, a line each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notices: Vec<String>,
    },
    /// Some of the accounts that were asked for, where they do not fit into one packet; the others follow.
    Accounts {
        /// By name.
        accounts: Vec<Account>,
    },
    /// It is over and was done.
    Done {
        /// The accounts, where they were asked for, or the last of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accounts: Option<Vec<Account>>,
    },
    /// Something this reader does not know.
    #[serde(other)]
    Unknown,
}

/// How a user came into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It was made for this logon.
    New,
    /// It was his already and was disconnected.
    Reconnected,
    /// It was his already and active elsewhere.
    TakenOver,
    /// Something this reader does not know.
    #[serde(other)]
    Unknown,
}

/// A built-in account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid and gid.
    pub uid: u32,
    /// The person's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub full_name: String,
    /// Its home directory.
    pub home: String,
    /// Its login shell.
    pub shell: String,
    /// Whether it may log on.
    pub enabled: bool,
}

/// The client's side of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To a prompt.
    Answer(String),
}

/// What the host says on a viewer's socket. The client says nothing there; closing it is hanging up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The program ended, and with a shell its session.
    Ended {
        /// In a sentence.
        reason: String,
        /// Its exit status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// The signal it was ended by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<u8>,
    },
    /// The user logged on elsewhere and went on with this session there.
    TakenOver {
        /// Where, for people.
        by: String,
    },
    /// Something this reader does not know.
    #[serde(other)]
    Unknown,
}
