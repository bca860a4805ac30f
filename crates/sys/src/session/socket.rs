//! The doors of a session, and its tripwires: what a program finds where a display or a terminal would be.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use session0_model::launch::session_plan::{Facilities, SessionKind, SessionPlan};
use session0_model::launch::wire::key;

use super::{On, Prepared, Step};
use crate::mount::{self, Depth};
use crate::{datagram, fanotify, packet};

/// Clients that may wait while the daemon is away.
const API_BACKLOG: i32 = 1024;
/// A tripwire's connections are taken at once; while the daemon is away they wait.
const TRIPWIRE_BACKLOG: i32 = 64;
/// Queued notify messages while the daemon is away. The kernel charges about a page for a short one.
const NOTIFY_BYTES: usize = 8 << 20;
const SYSLOG_BYTES: usize = 8 << 20;

pub(super) fn make(plan: &SessionPlan, kind: &SessionKind) -> Step<Prepared> {
    let api = "/run/session0/api";
    let listener = packet::listen_stream(Path::new(api), 0o666, API_BACKLOG).on(api)?;
    let mut kept = vec![(key::API.into(), listener)];
    let syslog = match kind {
        SessionKind::User(_) => None,
        SessionKind::Services => {
            let syslog = services(&mut kept, Path::new("/dev/log"))?;
            tripwires(&mut kept, plan)?;
            Some(syslog)
        }
        SessionKind::Xp(_) => Some(shared_syslog(&mut kept)?),
    };
    Ok(Prepared { kept, syslog })
}

/// For the key under which it is kept.
type Kept = Vec<(String, OwnedFd)>;

/// Where services report, and where they log: returned.
fn services(kept: &mut Kept, syslog: &Path) -> Step<OwnedFd> {
    let notify = "/run/session0/notify";
    let (notify, bound) = datagram::with_long_queue(|| {
        let notify = datagram::bind(Path::new(notify), 0o666, NOTIFY_BYTES).on(notify);
        (notify, datagram::bind(syslog, 0o666, SYSLOG_BYTES).on(syslog.display()))
    });
    kept.push((key::NOTIFY.into(), notify?));
    let bound = bound?;
    packet::refuse_descriptors(bound.as_fd()).on(syslog.display())?;
    Ok(bound)
}

/// In the machine's `/dev` nothing may be made: `/dev/log` is ours where the machine has one, and is covered, or leads into
/// `/run`, which is private. A machine without one has no syslog, and so have we.
fn shared_syslog(kept: &mut Kept) -> Step<OwnedFd> {
    let log = Path::new("/dev/log");
    if let Ok(place) = std::fs::read_link(log) {
        let place = Path::new("/dev").join(place);
        if let (true, Some(parent)) = (place.starts_with("/run"), place.parent()) {
            super::named(crate::files::make_directory(parent, 0o755))?;
            return services(kept, &place);
        }
    }
    let ours = Path::new("/run/session0/log");
    let syslog = services(kept, ours)?;
    if let Some(target) = mount::open_target(log, ResolveFlags::NO_SYMLINKS).on(log.display())? {
        let socket = mount::open_target(ours, ResolveFlags::NO_SYMLINKS).on(ours.display())?;
        let socket = socket.ok_or(Errno::NOENT).on(ours.display())?;
        let copy = mount::clone_tree(socket.as_fd(), Depth::One).on(ours.display())?;
        mount::attach_on(copy.as_fd(), target.as_fd()).on(log.display())?;
    }
    Ok(syslog)
}

fn tripwires(kept: &mut Kept, plan: &SessionPlan) -> Step<()> {
    if plan.facilities.contains(Facilities::FANOTIFY) {
        kept.push((key::TERMINAL_TRIPWIRE.into(), terminal_tripwire()?));
    }
    let mut displays = vec![String::from("/tmp/.X11-unix/X0"), String::from("/tmp/.X11-unix/X1")];
    displays.extend(plan.tripwire_uids.iter().map(|uid| format!("/run/user/{uid}/wayland-0")));
    for path in displays {
        let listener = packet::listen_stream(Path::new(&path), 0o666, TRIPWIRE_BACKLOG).on(&path)?;
        kept.push((format!("{}{path}", key::DISPLAY_TRIPWIRE), listener));
    }
    Ok(())
}

/// Regular files, because the kernel sends no permission events for device nodes. Opening one waits for the
/// daemon's answer, which is no.
fn terminal_tripwire() -> Step<OwnedFd> {
    let group = fanotify::group().on("fanotify")?;
    for path in ["/dev/tty", "/dev/console"] {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o666)).on(path)?;
        fanotify::mark(group.as_fd(), Path::new(path)).on(path)?;
    }
    Ok(group)
}
