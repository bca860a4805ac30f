//! Who is at the other end, by what the kernel says: never by anybody's word, never by a process number alone.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use session0_model::access::{Caller, Origin};
use session0_model::id::{SESSION_ZERO, ServiceName, SessionId};
use session0_model::session::program::launch_of_unit;
use session0_sys::cgroup::Mounts;

use crate::api::host::Door;
use crate::core::State;
use crate::session::{Member, Session};

/// Verifies the peer of a connection that came through `door`: its control group must be where the door is. A pipe's socket is
/// everybody's: there the control group alone says where the peer is, and one that no session has says it only of a process that
/// lives. A session's group is forgotten when its last process has ended, who may have connected before.
pub fn identify(state: &mut State, door: Door, socket: BorrowedFd<'_>) -> io::Result<Caller> {
    let peer = session0_sys::peer::credentials(socket)?;
    let pidfd = session0_sys::peer::pidfd(socket)?;
    let group = session0_sys::pidfd::group_id(pidfd.as_fd(), state.place.base.mounts())?;
    let mut groups = vec![peer.gid];
    groups.extend(session0_sys::peer::groups(socket)?);
    let found = find(state, door, group)?;
    let in_session = |(id, member): (SessionId, Member)| Origin::Session {
        id,
        service: (id == SESSION_ZERO).then(|| service(&member)).flatten(),
    };
    let origin = match (door, found) {
        (Door::Pipe, Some(found)) => in_session(found),
        // Looked at after its group: if it lives now, its group was there then.
        (Door::Pipe, None) if session0_sys::pidfd::ended(pidfd.as_fd())? => return Err(gone()),
        (Door::Pipe | Door::Outside, None) => Origin::Outside,
        (Door::Session(door), Some((id, member))) if id == door => in_session((id, member)),
        _ => return Err(io::Error::new(io::ErrorKind::PermissionDenied, Mismatch { uid: peer.uid })),
    };
    Ok(Caller { origin, uid: peer.uid, groups, pid: peer.pid })
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error())
}

/// The session a control group is in, and who of it. Its own door's is looked at first; to be outside is to be in none.
fn find(state: &mut State, door: Door, group: u64) -> io::Result<Option<(SessionId, Member)>> {
    let first = match door {
        Door::Outside | Door::Pipe => SESSION_ZERO,
        Door::Session(id) => id,
    };
    if let Some(session) = state.live_mut(first)
        && let Some(member) = session.member(group)?
    {
        return Ok(Some((first, member)));
    }
    let zero = state.session.as_mut().map(|session| (SESSION_ZERO, session));
    for (id, session) in zero.into_iter().chain(state.users.iter_mut().map(|(id, session)| (*id, session))) {
        if id != first
            && let Some(member) = session.member(group)?
        {
            return Ok(Some((id, member)));
        }
    }
    Ok(None)
}

fn service(member: &Member) -> Option<ServiceName> {
    match member {
        Member::Init => None,
        // Where Session 0 has a user, too, his programs are no services.
        Member::Unit(unit) if launch_of_unit(unit).is_some() => None,
        Member::Unit(unit) => ServiceName::new(unit).ok(),
    }
}

/// The caller's control group is not where its connection came from.
#[derive(Debug)]
pub struct Mismatch {
    /// The caller's uid.
    pub uid: u32,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the caller (uid {}) is not where its connection came from", self.uid)
    }
}

impl std::error::Error for Mismatch {}

/// A process's number in the session's PID namespace, one level below ours: not the innermost one, which a program
/// with a namespace of its own chooses. `None`: it is not in the session, or was reaped.
pub fn session_pid(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    second_number(&text)
}

fn second_number(status: &str) -> Option<i32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether a process with this number in the session's PID namespace is in the unit's group now. Asked of the session's
/// own /proc, so that the answer costs the same however many processes there are: a service may ask as fast as it likes.
pub fn in_group(session: &Session, mounts: &Mounts, unit: &str, pid: i32) -> bool {
    let Ok(init) = session0_sys::pidfd::pid(session.init.get_ref().as_fd()) else { return false };
    let groups = std::fs::read_to_string(format!("/proc/{init}/root/proc/{pid}/cgroup")).unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let id = group.and_then(|group| mounts.group_id_at(group).ok());
    id.and_then(|id| session.units.member(id)).is_some_and(|member| member == Member::Unit(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_program_in_session_0_is_no_service() {
        let program = session0_model::session::program::unit(session0_model::id::LaunchId(7));
        assert_eq!(service(&Member::Unit(program.as_str().into())), None);
        assert_eq!(service(&Member::Unit("web".into())), ServiceName::new("web").ok());
        assert_eq!(service(&Member::Init), None);
    }

    #[test]
    fn the_second_number_is_the_sessions() {
        assert_eq!(second_number("Name:\tsh\nNSpid:\t812\t7\t1\n"), Some(7));
        assert_eq!(second_number("Pid:\t812\nNSpid:\t812\n"), None);
        assert_eq!(second_number(""), None);
    }
}
