//! Making a session: groups, device policy, init, its insides. All or nothing.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use session0_model::id::SessionId;
use session0_model::launch::plan::Limits;
use session0_model::launch::session_plan::{Doors, Facilities, SessionKind, SessionPlan};
use session0_model::launch::wire::{FromInit, ToInit};
use session0_model::system::WALLS_DOWN;
use session0_sys::cgroup::{SessionGroups, SessionLimits};
use session0_sys::device_policy::{self, OwnTerminal};
use session0_sys::fault::{Context as _, Fault};
use session0_sys::{packet, process, spawn};

use super::{ANSWER_WAIT, END_WAIT, Joined, Place, Session, clear};
use crate::link::{self, Incoming, Link, Replay};

/// Connections that wait for init: the daemon's one, and one more of a daemon that comes after it.
const BACKLOG: i32 = 4;

/// Ends and removes what is left of a session whose init is dead, or was never finished.
pub async fn leftovers(place: &Place, session: SessionId) -> Result<(), Fault> {
    if let Some(groups) = SessionGroups::attach(&place.base, session)? {
        clear(&place.base, session, groups).await?;
    }
    super::reap_all();
    match std::fs::remove_file(place.socket(session)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context("remove", place.socket(session).display())
        }
        _ => Ok(()),
    }
}

/// What a session is to be.
pub struct Making {
    /// All of it may use so much.
    pub limits: Limits,
    /// What it is made of.
    pub plan: SessionPlan,
    /// What for.
    pub kind: SessionKind,
    /// What leads out of it.
    pub doors: Doors,
}

/// Makes a session. On failure nothing of it is left, and the text says why.
pub async fn create(place: &Place, session: SessionId, making: Making) -> Result<Joined, String> {
    leftovers(place, session).await.map_err(|fault| fault.to_string())?;
    let made = start(place, session, &making).map_err(|fault| fault.to_string());
    let made = match made {
        Ok((groups, pidfd, link, incoming)) => {
            let prepared = tokio::time::timeout(ANSWER_WAIT, prepare(&link, incoming, making)).await;
            match prepared.unwrap_or_else(|_| Err("its init does not answer".to_owned())) {
                Ok((replay, incoming)) => Session::new(groups, pidfd, link, replay)
                    .map(|session| Joined { session, incoming })
                    .map_err(|error| error.to_string()),
                Err(why) => {
                    drop(groups);
                    Err(finish(pidfd, why).await)
                }
            }
        }
        Err(why) => Err(why),
    };
    if made.is_err()
        && let Err(fault) = leftovers(place, session).await
    {
        crate::message::warn("something of a session is left", &[("session", &session), ("reason", &fault)]);
    }
    made
}

fn start(
    place: &Place,
    session: SessionId,
    making: &Making,
) -> Result<(SessionGroups, OwnedFd, Link, Incoming), Fault> {
    let limits = usable_limits(place.facilities, making.limits);
    let groups = SessionGroups::create(&place.base, session, &limits)?;
    let terminal = match making.kind {
        SessionKind::Services => Some(OwnTerminal::Denied),
        SessionKind::User(_) => Some(OwnTerminal::Allowed),
        SessionKind::Xp(_) => None,
    };
    if let Some(terminal) = terminal.filter(|_| place.facilities.contains(Facilities::DEVICE_POLICY)) {
        device_policy::attach(groups.top(), terminal).context("put the device policy on session", session)?;
    }
    let socket = place.socket(session);
    let listener = packet::listen(&socket, 0o600, BACKLOG).context("listen at", socket.display())?;
    let messages = io::stderr();
    let child =
        spawn::session_init(place.init.as_fd(), session, listener.as_fd(), &groups, messages.as_fd())?;
    let (link, incoming) = Link::connect(&socket).context("connect to", socket.display())?;
    Ok((groups, child.pidfd, link, incoming))
}

/// Limits whose controller is missing were accepted to be missing.
fn usable_limits(facilities: Facilities, limits: Limits) -> SessionLimits {
    SessionLimits {
        memory: limits.memory.filter(|_| facilities.contains(Facilities::LIMIT_MEMORY)),
        tasks: limits.tasks.filter(|_| facilities.contains(Facilities::LIMIT_TASKS)),
        cpu_percent: limits.cpu_percent.filter(|_| facilities.contains(Facilities::LIMIT_CPU)),
    }
}

/// The version from which an init makes doors.
const DOORS_KNOWN: u16 = 4;

/// Agrees on a version, has the insides made, and takes what init keeps for us.
async fn prepare(link: &Link, mut incoming: Incoming, making: Making) -> Result<(Replay, Incoming), String> {
    let text = |error: io::Error| format!("its init cannot be spoken to: {error}");
    let mut replay = link::hello(link, &mut incoming).await.map_err(text)?;
    let Making { plan, kind, doors, .. } = making;
    if let SessionKind::Xp(_) = kind {
        // Before there is anything without walls: a daemon that finds it must know what it finds.
        link.say(&ToInit::Store { key: WALLS_DOWN.to_owned(), bytes: b"xp".to_vec() });
    }
    link.say(&match (replay.recovered.protocol, kind) {
        (DOORS_KNOWN.., kind) => ToInit::PrepareWith { plan, kind, doors },
        // As every init knows it.
        (_, SessionKind::Services) => ToInit::Prepare(plan),
        (_, kind @ (SessionKind::User(_) | SessionKind::Xp(_))) => ToInit::PrepareKind { plan, kind },
    });
    link.flush().map_err(text)?;
    loop {
        match incoming.next().await.map_err(text)? {
            Some((FromInit::Kept { key }, descriptors)) => {
                replay.kept.extend(descriptors.into_iter().next().map(|descriptor| (key, descriptor)));
            }
            Some((FromInit::Prepared, _)) => return Ok((replay, incoming)),
            Some((FromInit::PrepareFailed { phase, errno, subject }, _)) => {
                let why = io::Error::from_raw_os_error(errno);
                return Err(format!("{} failed on {subject}: {why}", format!("{phase:?}").to_lowercase()));
            }
            Some(_) => return Err("its init said something in the wrong place".to_owned()),
            None => return Err("its init ended".to_owned()),
        }
    }
}

/// Ends an init that failed, and adds how it ended if it ended by itself.
async fn finish(pidfd: OwnedFd, why: String) -> String {
    let by_itself = session0_sys::pidfd::ended(pidfd.as_fd()).unwrap_or(false);
    let _ = session0_sys::pidfd::send_signal(pidfd.as_fd(), 9);
    let exit = session0_sys::pidfd::info(pidfd.as_fd()).ok().and_then(|info| info.exit);
    let deadline = process::now() + END_WAIT;
    while !session0_sys::pidfd::ended(pidfd.as_fd()).unwrap_or(true) && process::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    super::reap(pidfd.as_fd());
    match exit.filter(|_| by_itself) {
        Some(status) => format!("{why} (wait status {status:#x})"),
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session0_model::launch::session_plan::{Shown, Sizes};
    use session0_model::launch::wire::{PROTOCOL, decode, encode};
    use session0_model::limit::PACKET_MAX;
    use session0_sys::packet::Received;

    fn plan() -> SessionPlan {
        SessionPlan {
            session: SessionId(0),
            facilities: Facilities::empty(),
            capabilities: 0,
            elevation: session0_model::launch::plan::Elevation::Contained,
            read_only: Vec::new(),
            hidden: Vec::new(),
            expose_root: String::new(),
            state_root: String::new(),
            sizes: Sizes { tmp: 0, shm: 0, run: 0 },
            proc_gid: 0,
            terminals_max: 0,
            tripwire_uids: Vec::new(),
        }
    }

    fn doors() -> Doors {
        Doors { pipes: "/run/session0/pipe".into() }
    }

    /// What an init of this version is told that agrees to everything.
    async fn told(protocol: u16, kind: SessionKind) -> Vec<ToInit> {
        let (ours, init) = packet::pair().unwrap();
        let (link, incoming) = Link::over(ours).unwrap();
        let hello = FromInit::Hello { protocol, session: SessionId(0), prepared: false };
        let mut agreed = Vec::new();
        for message in [hello, FromInit::Replayed, FromInit::Prepared] {
            encode(&message, &mut agreed);
        }
        packet::send(init.as_fd(), &agreed, &[]).unwrap();
        let limits = Limits::default();
        assert!(
            prepare(&link, incoming, Making { limits, plan: plan(), kind, doors: doors() }).await.is_ok()
        );
        let mut told = Vec::new();
        let mut buffer = vec![0; PACKET_MAX];
        while let Received::Packet { length, .. } = packet::receive(init.as_fd(), &mut buffer).unwrap() {
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let (message, after) = decode(rest).unwrap();
                told.push(message);
                rest = after;
            }
        }
        told
    }

    #[test]
    fn that_the_walls_are_down_is_kept_before_they_are() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let xp = SessionKind::Xp(Shown::default());
        let kept = ToInit::Store { key: WALLS_DOWN.to_owned(), bytes: b"xp".to_vec() };
        let told_of = |kind| runtime.block_on(told(PROTOCOL, kind));
        let with = |kind| ToInit::PrepareWith { plan: plan(), kind, doors: doors() };
        assert_eq!(told_of(xp.clone())[1..], [kept, with(xp)]);
        assert_eq!(told_of(SessionKind::Services)[1..], [with(SessionKind::Services)]);
    }

    #[test]
    fn an_init_that_knows_no_doors_is_told_what_it_knows() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told_of = |kind| runtime.block_on(told(DOORS_KNOWN - 1, kind));
        let user = SessionKind::User(Shown::default());
        assert_eq!(told_of(user.clone())[1..], [ToInit::PrepareKind { plan: plan(), kind: user }]);
        assert_eq!(told_of(SessionKind::Services)[1..], [ToInit::Prepare(plan())]);
    }
}
