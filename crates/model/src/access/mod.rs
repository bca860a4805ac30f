//! Who asks, and what he may.

use crate::id::{SESSION_ZERO, ServiceName, SessionId};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Where a caller stands, decided by the listener it came through and its control group, never by its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Administrators(pub Grant);

/// Accounts and groups that something is allowed to, besides administrators. No root is ever one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Uids.
    pub uids: Vec<u32>,
    /// Gids.
    pub gids: Vec<u32>,
}

impl Grant {
    /// Whether this caller is one of them.
    pub fn includes(&self, caller: &Caller) -> bool {
        caller.uid != 0
            && (self.uids.contains(&caller.uid)
                || caller.groups.iter().any(|group| *group != 0 && self.gids.contains(group)))
    }
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// See states: everybody may.
    Query,
    /// Start, stop, restart a service: those its file names may.
    Control(&'a Grant),
    /// Read what this service wrote.
    ReadLog(&'a ServiceName),
    /// Log a session off, start programs in it: its user may, outside or in that session. In another session of his he may not,
    /// nor may a service of his: a program there would reach what is in this one.
    ControlSession {
        /// Which.
        session: SessionId,
        /// Whose session it is; `None`: there is no user in it.
        user: Option<u32>,
    },
    /// Reload, shut down, upgrade; accounts; what stops more services than the one asked for.
    Host,
}

impl Administrators {
    /// Whether this caller holds every right. Uid 0 counts only where it is the machine's own: outside, and in
    /// Session 0; root of any other session is root of nothing else.
    pub fn include(&self, caller: &Caller) -> bool {
        if caller.uid == 0 {
            return caller.is_machines_root();
        }
        self.0.includes(caller)
    }

    /// Whether this caller may do this.
    pub fn allow(&self, caller: &Caller, right: Right<'_>) -> bool {
        match right {
            Right::Query => true,
            Right::Host => self.include(caller),
            Right::Control(grant) => self.include(caller) || grant.includes(caller),
            Right::ReadLog(name) => self.include(caller) || caller.is_service(name),
            // uid 0 is nobody's session's user: root of a session is not its user.
            Right::ControlSession { session, user } => {
                let near = match caller.origin {
                    Origin::Outside => true,
                    Origin::Session { id, .. } => id == session,
                };
                self.include(caller) || near && user.is_some_and(|uid| uid != 0 && uid == caller.uid)
            }
        }
    }
}

impl Caller {
    /// Whether it is root of the machine: outside, or in Session 0.
    pub fn is_machines_root(&self) -> bool {
        let machine = match &self.origin {
            Origin::Outside => true,
            Origin::Session { id, .. } => *id == SESSION_ZERO,
        };
        self.uid == 0 && machine
    }

    /// Whether it is this service, in Session 0.
    pub fn is_service(&self, name: &ServiceName) -> bool {
        match &self.origin {
            Origin::Outside => false,
            Origin::Session { id, service } => *id == SESSION_ZERO && service.as_ref() == Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;

    fn caller(origin: Origin, uid: u32, groups: &[u32]) -> Caller {
        Caller { origin, uid, groups: groups.to_vec(), pid: 1 }
    }

    fn service(session: u32, name: &str) -> Origin {
        Origin::Session { id: SessionId(session), service: ServiceName::new(name).ok() }
    }

    #[test]
    fn root_counts_only_where_it_is_the_machines() {
        let nobody = Administrators(Grant { uids: alloc::vec![0], gids: alloc::vec![0] });
        assert!(nobody.include(&caller(Origin::Outside, 0, &[0])));
        assert!(nobody.include(&caller(service(0, "web"), 0, &[0])));
        assert!(!nobody.include(&caller(service(1, "web"), 0, &[0])));
        assert!(!nobody.include(&caller(Origin::Outside, 1000, &[0])), "group 0 is not for administrators");
    }

    #[test]
    fn administrators_are_named_by_uid_or_group() {
        let some = Administrators(Grant { uids: alloc::vec![1000], gids: alloc::vec![27] });
        let control = Right::Control(&Grant { uids: alloc::vec![1002], gids: Vec::new() });
        assert!(some.allow(&caller(Origin::Outside, 1000, &[]), Right::Host));
        assert!(some.allow(&caller(Origin::Outside, 1001, &[100, 27]), control));
        assert!(!some.allow(&caller(Origin::Outside, 1001, &[100]), control));
        assert!(some.allow(&caller(service(3, "x"), 1002, &[100]), control), "its file names him");
        assert!(!some.allow(&caller(Origin::Outside, 1002, &[100]), Right::Host));
        assert!(some.allow(&caller(Origin::Outside, 1001, &[100]), Right::Query));
    }

    #[test]
    fn a_service_reads_its_own_log_and_no_other() {
        let none = Administrators::default();
        let (web, db) = (ServiceName::new("web").unwrap(), ServiceName::new("db").unwrap());
        let caller = caller(service(0, "WEB"), 33, &[33]);
        assert!(none.allow(&caller, Right::ReadLog(&web)));
        assert!(!none.allow(&caller, Right::ReadLog(&db)));
        assert!(!none.allow(&Caller { origin: service(1, "web"), ..caller }, Right::ReadLog(&web)));
    }
}
