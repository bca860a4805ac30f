//! Who may do what with a pipe: a list of entries that people can read, decided as Windows decides by a DACL.

use alloc::string::String;
use alloc::vec::Vec;
use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use crate::access::{Administrators, Caller, Origin};
use crate::id::{SESSION_ZERO, ServiceName, SessionId};

bitflags! {
    /// What can be allowed or denied.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    pub struct Rights: u8 {
        /// Read from it.
        const READ = 1;
        /// Write to it.
        const WRITE = 2;
        /// Serve it, besides who served it first (FILE_CREATE_PIPE_INSTANCE).
        const INSTANCE = 4;
    }
}

/// Whom an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// Everybody.
    Everyone,
    /// Programs in users' sessions (INTERACTIVE).
    Interactive,
    /// Services (SERVICE).
    Services,
    /// One service.
    Service(ServiceName),
    /// Whoever holds every right.
    Administrators,
    /// The uid that serves the pipe; no root of a user's session is one.
    Owner,
    /// Programs outside every session.
    Outside,
    /// One session's programs.
    Session(SessionId),
    /// One uid.
    User(u32),
    /// One gid.
    Group(u32),
}

/// Whether an entry gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, from entries behind it.
    Deny,
}

/// One entry. Two are equal that mean the same, however they are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// As it was written, for people.
    pub text: String,
    /// Gives or takes.
    pub effect: Effect,
    /// Whom.
    pub who: Who,
    /// What.
    pub rights: Rights,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.effect, &self.who, self.rights) == (other.effect, &other.who, other.rights)
    }
}
impl Eq for Entry {}

/// All entries, in order. An empty list is for the owner and administrators only. (Windows' default lets everybody read; a pipe that
/// nobody thought about is better closed.)
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccessList(pub Vec<Entry>);

impl AccessList {
    /// Those of the wanted rights that this caller has. Entries are looked at in order; what one denies, a later one does not give.
    /// Administrators read and write whatever the list says, but serve a pipe only where it lets them. `owner`: the uid that serves it.
    pub fn granted(
        &self,
        caller: &Caller,
        owner: Option<u32>,
        administrators: &Administrators,
        wanted: Rights,
    ) -> Rights {
        let mut granted = Rights::empty();
        let administrator = administrators.include(caller);
        if administrator {
            granted |= wanted & (Rights::READ | Rights::WRITE);
        }
        let own = owner.is_some_and(|owner| is_owner(caller, owner));
        let mut undecided = wanted - granted;
        for entry in &self.0 {
            if undecided.is_empty() {
                break;
            }
            if !includes(&entry.who, caller, own, administrator) {
                continue;
            }
            let decided = undecided & entry.rights;
            if entry.effect == Effect::Allow {
                granted |= decided;
            }
            undecided -= decided;
        }
        if own {
            // The owner can serve it anew with another list; to lock himself out helps nobody.
            granted |= wanted;
        }
        granted
    }

    /// Whether an entry is about this uid by its number.
    pub fn names_user(&self, uid: u32) -> bool {
        self.0.iter().any(|entry| entry.who == Who::User(uid))
    }
}

/// Whether a caller is the one who serves it: the same uid. Root of a user's session is nobody, wherever he claims to be.
pub(crate) fn is_owner(caller: &Caller, owner: u32) -> bool {
    caller.uid == owner && (caller.uid != 0 || caller.is_machines_root())
}

fn includes(who: &Who, caller: &Caller, own: bool, administrator: bool) -> bool {
    let session = match &caller.origin {
        Origin::Outside => None,
        Origin::Session { id, .. } => Some(*id),
    };
    let service = match &caller.origin {
        Origin::Session { id, service } if *id == SESSION_ZERO => service.as_ref(),
        Origin::Session { .. } | Origin::Outside => None,
    };
    match who {
        Who::Everyone => true,
        Who::Interactive => session.is_some_and(|session| session != SESSION_ZERO),
        Who::Services => service.is_some(),
        Who::Service(name) => service == Some(name),
        Who::Administrators => administrator,
        Who::Owner => own,
        Who::Outside => session.is_none(),
        Who::Session(id) => session == Some(*id),
        // Root of a user's session has the rights of nobody.
        Who::User(uid) => caller.uid == *uid && (*uid != 0 || caller.is_machines_root()),
        Who::Group(gid) => caller.groups.contains(gid) && (*gid != 0 || caller.is_machines_root()),
    }
}
