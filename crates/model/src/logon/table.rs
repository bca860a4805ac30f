//! The conversations with clients: each a process that asks for what it needs, and here what is known of it.
//!
//! ```text
//!   Begin ──▶ Talking ──right password──▶ Entering ──the shell runs──▶ Over (Concluded) ──▶ gone
//!                │  ▲ Attempt: Wait           │ the session fails        ▲ process ended, or time
//!                └──┘                         ▼                          │
//!                └──────────────────────▶ Over (Refused) ────────────────┘
//! ```
//!
//! One that is over keeps its place until its process is gone, so that not even processes that do not end are too many.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::delay::Delays;
use super::name::AccountName;
use super::refusal::Refusal;
use crate::id::{LogonId, SessionId};
use crate::launch::plan::Size;
use crate::limit;
use crate::session::program::Client;
use crate::time::Time;

/// One conversation.
#[derive(Debug, Clone)]
pub(crate) struct Logon {
    /// Whose password is asked for, if one is.
    pub account: Option<AccountName>,
    /// What for.
    pub purpose: Purpose,
    /// The client's uid.
    pub caller: u32,
    /// Whom it is counted against; nobody, if the machine's own root asks: his gettys are everybody's.
    pub counted: Option<u32>,
    /// Tries so far.
    pub tries: u32,
    /// Nobody waits for it any longer than this.
    pub deadline: Time,
    /// How far it is.
    pub step: Step,
}

/// What a conversation is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// To log on.
    Logon(Box<Wanted>),
    /// To change accounts.
    Account,
}

/// What a client that logs on wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub client: Client,
    /// Its terminal's size.
    pub size: Size,
    /// Variables for the shell.
    pub environment: Vec<(String, String)>,
    /// Which session.
    pub wish: Wish,
}

/// Which session a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The one the user has, else a new one.
    Any,
    /// A new one.
    New,
}

/// How far a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It asks.
    Talking,
    /// Its user is on his way into this session.
    Entering(SessionId),
    /// It was told its end.
    Over,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logons {
    /// By number.
    pub table: BTreeMap<LogonId, Logon>,
    /// Wrong passwords.
    pub delays: Delays,
    last: u64,
}

impl Logons {
    /// Begins one, if there is room.
    pub fn begin(
        &mut self,
        now: Time,
        account: Option<AccountName>,
        purpose: Purpose,
        caller: u32,
        counted: Option<u32>,
    ) -> Result<LogonId, Refusal> {
        let of_caller = self.table.values().filter(|logon| logon.counted == counted).count();
        let many = counted.is_some() && of_caller >= limit::LOGONS_PER_UID_MAX;
        let kept = if counted.is_some() { limit::LOGONS_FOR_ROOT } else { 0 };
        if many || self.table.len() + kept >= limit::LOGONS_MAX {
            return Err(Refusal::TooMany);
        }
        self.last += 1;
        let (id, deadline) = (LogonId(self.last), now + limit::LOGON_TIME_MAX + limit::LOGOFF_WAIT);
        let logon = Logon { account, purpose, caller, counted, tries: 0, deadline, step: Step::Talking };
        self.table.insert(id, logon);
        Ok(id)
    }

    /// It was told its end. Says whether it is still there to be told.
    pub fn over(&mut self, id: LogonId) -> bool {
        let logon = self.table.get_mut(&id);
        logon.is_some_and(|logon| core::mem::replace(&mut logon.step, Step::Over) != Step::Over)
    }

    /// When something must be done.
    pub fn deadline(&self) -> Option<Time> {
        self.table.values().map(|logon| logon.deadline).min()
    }

    /// Panics if the state is impossible.
    pub fn check_invariants(&self) {
        assert!(self.table.len() <= limit::LOGONS_MAX);
        assert!(self.table.values().all(|logon| logon.tries <= limit::LOGON_TRIES_MAX));
    }
}
