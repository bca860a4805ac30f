//! `s0 up`: the keeper. It starts session0d and starts it again, adopts and reaps what is left without a parent,
//! and turns SIGTERM into an ordered shutdown. It decides nothing about services: the daemon does.

mod backoff;
pub mod daemon;
mod directories;
mod leftovers;
mod lock;
mod screen;
mod supervise;
mod watch;

pub use watch::still_running;

use std::time::Duration;

use rustix::process::{geteuid, set_child_subreaper};

use crate::failure::{Failure, Kind};
use crate::root::Root;
use screen::Screen;

/// A daemon that is killed is gone long before this.
const TAKE_OVER_WAIT: Duration = Duration::from_secs(10);

/// Whether events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Events {
    /// As lines on stdout.
    Shown,
    /// Only the keeper's own words.
    Quiet,
}

/// Runs a host until it is down.
pub fn run(root: &Root, events: Events) -> Result<(), Failure> {
    if !geteuid().is_root() {
        let reason = "making namespaces and control groups needs root";
        return Err(Failure::new(Kind::NotPermitted, "start session0", reason)
            .hint(format!("sudo s0 {}up", root.flag())));
    }
    let program = daemon::find_program("session0d")?;
    directories::prepare(root)?;
    let _lock = lock::KeeperLock::take(root)?;
    set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| Failure::fault("become the parent of orphans", std::io::Error::from(errno)))?;
    let (screen, printer) = screen::start().map_err(|error| Failure::fault("start a thread", error))?;
    take_over(root, &screen)?;
    if events == Events::Shown {
        watch::start(root, screen.clone()).map_err(|error| Failure::fault("start a thread", error))?;
    }
    let result = supervise::run(root, program, &screen);
    printer.finish(screen);
    result
}

/// A daemon whose keeper was killed is crash-only: it is killed, and ours finds everything as it left it.
fn take_over(root: &Root, screen: &Screen) -> Result<(), Failure> {
    let Some(holder) = lock::holder_of_daemon_lock(root) else { return Ok(()) };
    let pid = holder.pid.as_raw_nonzero();
    screen.say(format!("session0d (pid {pid}) lives without a keeper; replacing it, services run on"));
    if daemon::kill_and_wait(&holder.pidfd, TAKE_OVER_WAIT) {
        return Ok(());
    }
    Err(Failure::fault(format!("take over session0d (pid {pid})"), "it was killed and does not end"))
}
