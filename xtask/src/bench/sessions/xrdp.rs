//! `xrdp-sesman`, which makes a session with an X server for whoever proves his password to it.

use std::cell::Cell;
use std::net::{Ipv6Addr, TcpStream};
use std::os::unix::fs::chown;
use std::process::Command;

use super::Bench;
use super::peers::end;
use crate::bench::Outcome;
use crate::bench::manager::{PATIENCE, Place, on_path};
use crate::bench::process::{self, Running};
use crate::bench::stamps::{self, milliseconds, now};

/// Its name in the table.
pub const NAME: &str = "xrdp-sesman";
/// What it takes.
pub const PROGRAMS: [&str; 5] = ["xrdp-sesman", "xrdp-sesrun", "Xvnc", "unshare", "openssl"];
const ACCOUNT: &str = "session0-bench";
const PASSWORD: &str = "correct-horse";
const UID: u32 = 64_990;
/// Where it listens; on Debian only on ::1.
const PORT: u16 = 3350;

/// A running one.
pub struct Xrdp {
    place: Place,
    _running: Running,
    /// A user who asks for another size gets another session.
    height: Cell<u32>,
}

impl Xrdp {
    /// Starts it, if it is on this machine.
    pub fn launch(bench: &Bench) -> Outcome<Option<Xrdp>> {
        if PROGRAMS.iter().any(|program| on_path(program).is_none()) {
            return Ok(None);
        }
        let place = Place::new(bench.root.join("xrdp"), &bench.root.join("bin/stamp"), 1)?;
        let home = place.directory("home")?;
        stamps::compile_shell(&home.join("stamp"), place.stamps.path(), UID)?;
        chown(&home, Some(UID), None).map_err(|e| format!("giving {} away: {e}", home.display()))?;
        let script = place.write("xrdp.sh", include_str!("xrdp.sh"))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
        command.arg(script).arg(&place.root).args([ACCOUNT, &UID.to_string(), PASSWORD]);
        let mut running = Running::start(command, &place.root)?;
        running.wait_until(PATIENCE, || TcpStream::connect((Ipv6Addr::LOCALHOST, PORT)).is_ok())?;
        Ok(Some(Xrdp { place, _running: running, height: Cell::new(600) }))
    }

    /// Milliseconds from before `xrdp-sesrun` is spawned to the window manager's first instruction. The session stays until
    /// sesman ends.
    pub fn log_on(&self) -> Outcome<f64> {
        let next = self.place.stamps.read(0)?.instances + 1;
        let height = self.height.replace(self.height.get() + 4);
        let mut sesrun = Command::new("xrdp-sesrun");
        sesrun.args(["-s", "::1", "-t", "Xvnc", "-g", &format!("800x{height}"), "-p", PASSWORD, ACCOUNT]);
        let begun = now();
        let child = process::quiet(&mut sesrun, &self.place.root)?;
        let at = self.place.stamps.wait(0, next, PATIENCE / 4);
        end(child)?;
        Ok(milliseconds(begun, at?))
    }
}
