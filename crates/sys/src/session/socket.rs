//! The doors of a session, and its tripwires: what a program finds where a display or a terminal would be.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use session0_model::launch::session_plan::{Facilities, SessionPlan};
use session0_model::launch::wire::key;

use super::{On, Prepared, Step};
use crate::{datagram, fanotify, packet};

/// Clients that may wait while the daemon is away.
const API_BACKLOG: i32 = 1024;
/// A tripwire's connections are taken at once; while the daemon is away they wait.
const TRIPWIRE_BACKLOG: i32 = 64;
/// Queued notify messages while the daemon is away. The kernel charges about a page for a short one.
const NOTIFY_BYTES: usize = 8 << 20;
const SYSLOG_BYTES: usize = 8 << 20;

pub(super) fn make(plan: &SessionPlan) -> Step<Prepared> {
    let mut kept = Vec::new();
    let api = "/run/session0/api";
    kept.push((key::API.into(), packet::listen_stream(Path::new(api), 0o666, API_BACKLOG).on(api)?));
    let (notify, syslog) = ("/run/session0/notify", "/dev/log");
    let (notify, syslog) = datagram::with_long_queue(|| {
        let notify = datagram::bind(Path::new(notify), 0o666, NOTIFY_BYTES).on(notify);
        (notify, datagram::bind(Path::new(syslog), 0o666, SYSLOG_BYTES).on(syslog))
    });
    kept.push((key::NOTIFY.into(), notify?));
    let syslog = syslog?;
    if plan.facilities.contains(Facilities::FANOTIFY) {
        kept.push((key::TERMINAL_TRIPWIRE.into(), terminal_tripwire()?));
    }
    let mut displays = vec![String::from("/tmp/.X11-unix/X0"), String::from("/tmp/.X11-unix/X1")];
    displays.extend(plan.tripwire_uids.iter().map(|uid| format!("/run/user/{uid}/wayland-0")));
    for path in displays {
        let listener = packet::listen_stream(Path::new(&path), 0o666, TRIPWIRE_BACKLOG).on(&path)?;
        kept.push((format!("{}{path}", key::DISPLAY_TRIPWIRE), listener));
    }
    Ok(Prepared { kept, syslog })
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
