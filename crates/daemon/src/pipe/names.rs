//! Who is at an end of a pipe, as the other end is told: by name where the machine's files have one.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use session0_api::pipe::Peer;
use session0_model::access::{Caller, Origin};
use session0_model::id::SESSION_ZERO;

use crate::config::Accounts;
use crate::core::State;

/// The overflow uid and gid of the kernel.
const NOBODY: u32 = 65534;

/// Names of uids, as the files had them when they were read; read again when they have changed.
#[derive(Default)]
pub struct Names {
    by_uid: HashMap<u32, String>,
    read: Option<[Stamp; 2]>,
}

/// What changes with a file.
type Stamp = Option<(u64, i64, i64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
}

impl Names {
    fn of(&mut self, uid: u32, published: &Path) -> Option<String> {
        let now = [stamp(Path::new("/etc/passwd")), stamp(published)];
        if self.read != Some(now) {
            self.by_uid = Accounts::load(Some(published)).names();
            self.read = Some(now);
        }
        self.by_uid.get(&uid).cloned()
    }
}

/// A caller as the other end of a pipe is told of it.
pub fn peer(state: &mut State, caller: &Caller) -> Peer {
    let (session, service) = match &caller.origin {
        Origin::Outside => (None, None),
        Origin::Session { id, service } => (Some(*id), service.as_ref()),
    };
    // Root of a user's session is root to nobody else, whatever a server makes of a uid that it is told.
    let uid = if caller.uid == 0 && !caller.is_machines_root() { NOBODY } else { caller.uid };
    // A service's account as its file names it; a user's as he logged on, who may be in no file of the machine.
    let of_service = service
        .and_then(|service| state.system.definition(service))
        .filter(|definition| definition.plan.uid == uid)
        .map(|definition| definition.account.clone());
    let of_session = || {
        let session = session.filter(|id| *id != SESSION_ZERO)?;
        let name = state.system.account_of(session, uid)?;
        Some(name.to_string())
    };
    let account = of_service.or_else(of_session).or_else(|| {
        let published = state.place.paths.published_accounts();
        state.pipes.names.of(uid, &published)
    });
    let mut groups = caller.groups.iter().copied();
    Peer {
        session: session.map(|id| id.0),
        uid,
        gid: groups.next().unwrap_or(NOBODY),
        groups: groups.collect(),
        pid: caller.pid,
        account,
        service: service.map(ToString::to_string),
    }
}
