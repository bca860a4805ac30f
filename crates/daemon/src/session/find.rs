//! Finding the session a daemon before us made: by connecting to its init.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use session0_model::id::SessionId;
use session0_model::system::Recovered;
use session0_sys::cgroup::SessionGroups;
use session0_sys::fault::{Context as _, Fault};

use super::{ANSWER_WAIT, Joined, Place, Session};
use crate::link::{self, Link};
use crate::message;

/// The living session and what its init kept. `None`: there is no living init; what may be left of a session is for
/// [`super::leftovers`]. An error: there is one, but it cannot be spoken to; what then is for the caller to decide.
pub async fn find(place: &Place, session: SessionId) -> Result<Option<(Joined, Recovered)>, Fault> {
    let Some(groups) = SessionGroups::attach(&place.base, session)? else { return Ok(None) };
    let Some(pidfd) = living_init(place, &groups).context("find the init of session", session)? else {
        return Ok(None);
    };
    let what = "speak to the init of session";
    let socket = place.socket(session);
    let (link, mut incoming) = match Link::connect(&socket) {
        Ok(connected) => connected,
        Err(error) => {
            // It has its group and no socket: nobody will ever reach it.
            message::warn("an init without a socket is ended", &[("session", &session), ("reason", &error)]);
            return Ok(None);
        }
    };
    let replay = tokio::time::timeout(ANSWER_WAIT, link::hello(&link, &mut incoming)).await;
    let replay = replay.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).context(what, session)?;
    if !replay.prepared {
        // The daemon died while the session was made: nothing was launched in it yet.
        return Ok(None);
    }
    let recovered = replay.recovered.clone();
    let mut joined = Session::new(groups, pidfd, link, replay).context(what, session)?;
    // Also those whose launch is just being made: they may speak before init tells us of them.
    for unit in joined.groups.units().context(what, session)? {
        joined.units.insert(unit.id, &unit.name);
    }
    Ok(Some((Joined { session: joined, incoming }, recovered)))
}

/// The process that is alone in the session's init group, of uid 0. Not by the socket's peer: that is whoever called
/// listen, which was a daemon.
fn living_init(place: &Place, groups: &SessionGroups) -> io::Result<Option<OwnedFd>> {
    let processes = session0_sys::cgroup::processes(groups.init())?;
    let [pid] = processes[..] else { return Ok(None) };
    let pidfd = match session0_sys::pidfd::open(pid) {
        Ok(pidfd) => pidfd,
        // It ended meanwhile.
        Err(_) => return Ok(None),
    };
    if session0_sys::pidfd::ended(pidfd.as_fd())? {
        return Ok(None);
    }
    // The number may have been used again between reading it and opening it.
    let group = session0_sys::pidfd::group_id(pidfd.as_fd(), place.base.mounts())?;
    if group != groups.init_id()? {
        return Ok(None);
    }
    match session0_sys::pidfd::info(pidfd.as_fd()) {
        Ok(info) if info.user.is_some_and(|(uid, _)| uid != 0) => Ok(None),
        _ => Ok(Some(pidfd)),
    }
}
